# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary bounds: what is asked for, what it makes of those in force, and what the demand makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import bounds, decide
from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import (
    Bounds,
    Override,
    Wish,
    end,
    moment,
    read,
    settle,
    written,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Budget, Metric, Point, Scaling, Schedule

NOW = moment("2026-11-27T03:00Z")
HOUR = 3600.0
GROUP = Bounds("web", "us-east-1", "vcpus", 2, 20, 8)
TWELVE = Override(NOW + 2 * HOUR, minimum=12, before=8, by="alice", reason='an "advert"')
ALWAYS = {"days": frozenset(range(7)), "start": 0, "end": 1440, "timezone": "UTC"}


def scaling(override, **more):
    return Scaling(**{"min": 2, "max": 20, "unit": "vcpus", "override": override, **more})


def load(value):
    return Metric("requests", "load", 100, series=tuple(Point(NOW - 60 * ago, 100 * value) for ago in range(15, -1, -1)))


@pytest.mark.parametrize("override", [TWELVE, Override(NOW, maximum=0, on_demand_base=0), Override(NOW, 3, 4, 5, 6, "bób", "–" * 30)])
def test_what_is_written_is_read(override):
    assert read(written(override)) == override


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "12",
        "[1]",
        "{}",
        '{"min":12}',
        '{"min":12,"until":"soon"}',
        '{"min":"12","until":"2026-11-27T05:00Z"}',
        '{"min":-1,"until":"2026-11-27T05:00Z"}',
    ],
)
def test_what_cannot_be_read_is_none(text):
    assert read(text) is None


@pytest.mark.parametrize("text", ["2026-11-27T05:00Z", "2026-11-27T05:00:59+00:00", "2026-11-27t06:00+01:00", " 2026-11-27 05:00z "])
def test_a_time_with_its_zone(text):
    assert moment(text) == NOW + 2 * HOUR


def test_the_target_before_is_kept_where_nothing_else_sets_it():
    change = settle(None, Wish(minimum=12, hours=2), GROUP, NOW, followed=False)
    assert (change.before, change.after) == (None, Override(NOW + 2 * HOUR, minimum=12, before=8))
    raised = replace(GROUP, target=12)
    assert settle(change.after, Wish(minimum=16, hours=2), raised, NOW, followed=False).after.before == 8
    over = replace(change.after, until=NOW - 60)  # and no step was taken since
    assert settle(over, Wish(minimum=16, hours=2), raised, NOW, followed=False).after.before == 8
    assert settle(None, Wish(minimum=12, hours=2), GROUP, NOW, followed=True).after.before is None


@pytest.mark.parametrize(
    ("wish", "later", "changes"),
    [
        (Wish(minimum=12, hours=2), 0, False),
        (Wish(minimum=12, hours=2, by="bob"), 600, False),
        (Wish(minimum=12, hours=2), 1200, True),
        (Wish(minimum=12, hours=1), 0, True),
        (Wish(minimum=13, hours=2), 0, True),
        (Wish(minimum=12, on_demand_base=2, hours=2), 0, True),
        (Wish(minimum=12, hours=2, reason="another"), 0, True),
        (Wish(minimum=12, until=NOW + 2 * HOUR), 600, False),
        (Wish(minimum=12, until=NOW + 2 * HOUR + 60), 600, True),
    ],
)
def test_the_same_again_is_no_change(wish, later, changes):
    present = Override(NOW + 2 * HOUR, minimum=12, before=8, by="alice")
    assert (settle(present, wish, GROUP, NOW + later, False).after is not None) == changes


def test_ended_early_it_is_over_and_still_knows_the_target_before():
    change = end(TWELVE, GROUP, NOW + 30)
    assert change.after == replace(TWELVE, until=NOW) and not change.after.holds(NOW + 30)
    assert end(change.after, GROUP, NOW + 60).after is None and end(None, GROUP, NOW).after is None


def test_the_demand_is_within_it_until_it_ends():
    raised = decide(scaling(TWELVE), 8, NOW)
    assert (raised.target, raised.wanted, raised.limited_by) == (12, 8, "override")
    assert 'temporarily at least 12 vcpus, until 2026-11-27T05:00Z (alice: an "advert")' in raised.reasons
    kept = decide(scaling(TWELVE), 12, TWELVE.until - 1)
    assert (kept.target, kept.limited_by) == (12, "override")
    over = decide(scaling(TWELVE), 12, TWELVE.until)
    assert (over.target, over.limited_by) == (8, None) and over.reasons[0].startswith("over: temporarily at least 12")


def test_metrics_move_within_it():
    override = replace(TWELVE, before=None)
    assert decide(scaling(override, metrics=(load(5),)), 8, NOW).target == 12
    assert decide(scaling(override, metrics=(load(15),)), 8, NOW).target == 15
    assert decide(scaling(override, metrics=(load(15),)), 15, override.until).target == 15
    assert decide(scaling(replace(override, minimum=None, maximum=10), metrics=(load(15),)), 8, NOW).target == 10


def test_it_comes_before_steps_schedules_and_the_budget_but_not_before_the_manifest():
    assert decide(scaling(TWELVE, step_up=1), 8, NOW).target == 12
    night = Schedule(**ALWAYS, max=6)
    assert decide(scaling(TWELVE, schedules=(night,)), 6, NOW).target == 12
    assert decide(scaling(TWELVE, schedules=(night,)), 12, TWELVE.until).target == 2, "the schedule's minimum, not the target before"
    assert decide(scaling(TWELVE, budget=Budget(1.0)), 8, NOW, 0.5).target == 12
    assert decide(scaling(TWELVE, max=10), 8, NOW).target == 10
    low = Override(NOW + HOUR, maximum=4)
    assert decide(scaling(low, schedules=(Schedule(**ALWAYS, min=10),)), 10, NOW).target == 4
    assert decide(scaling(low, min=6), 10, NOW).target == 6


def test_a_schedule_that_asks_for_more_stays():
    assert bounds(scaling(TWELVE, schedules=(Schedule(**ALWAYS, min=15),)), NOW) == (15, 20, "scheduled minimum", "maximum")


def test_down_by_steps_it_is_limited_until_it_is_down():
    down = decide(scaling(TWELVE, step_down=2), 12, TWELVE.until, since_change=None)
    assert (down.target, down.limited_by) == (10, "step_down")
