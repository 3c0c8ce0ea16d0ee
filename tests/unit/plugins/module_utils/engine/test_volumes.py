# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How volumes change: wishes, limits, and what EBS does not allow now."""

from __future__ import annotations

import random

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.volumes import (
    CHANGE,
    DAY,
    DEFER,
    KEEP,
    LARGEST,
    MOST,
    REFUSE,
    Change,
    Volume,
    Wish,
    decide,
)

NOW = 1_800_000_000.0


def gp3(size=100, **more):
    return Volume("vol-1", size, "gp3", 3000, 125, **more)


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        (Wish(size=120), 120),
        (Wish(percent=10), 110),
        (Wish(percent=0.1), 101),
        (Wish(free_percent=20, used=96), 120),
        (Wish(free_percent=20, used=80.1), 101),
        (Wish(size=500, maximum=150), 150),
    ],
)
def test_it_grows_as_is_wished_up_to_its_maximum(wish, size):
    plan = decide(gp3(), wish, 100, NOW)
    assert (plan.action, plan.size, plan.kind, plan.iops, plan.throughput) == (CHANGE, size, None, None, None)
    assert plan.reasons and plan.alert is (wish.maximum is not None)


@pytest.mark.parametrize("wish", [Wish(), Wish(size=100), Wish(free_percent=20, used=80), Wish(iops=3000), Wish(kind="gp3", throughput=125)])
def test_what_is_so_already_is_left_alone(wish):
    assert decide(gp3(modification="optimizing", past=(Change(NOW, 50),) * MOST), wish, 0, NOW).action == KEEP


@pytest.mark.parametrize(
    ("volume", "wish", "reason"),
    [
        (gp3(), Wish(size=99), "volume_shrink"),
        (gp3(), Wish(size=120, maximum=99), "its maximum is 99 GiB, below its 100"),
        (gp3(), Wish(kind="gp4"), "there is no type gp4"),
        (gp3(20000), Wish(kind="gp2"), "gp2 may have 16384 at most"),
    ],
)
def test_what_can_never_be_is_refused_with_the_way_out(volume, wish, reason):
    plan = decide(volume, wish, 100, NOW)
    assert plan.action == REFUSE and reason in plan.reasons[0]


def test_type_and_figures_change_only_when_told():
    old = Volume("vol-1", 400, "gp2", 1200)
    grown = decide(old, Wish(size=500), 100, NOW)
    assert (grown.kind, grown.size) == (None, 500) and any("gp3 costs a fifth less" in one for one in grown.reasons)
    told = decide(old, Wish(kind="gp3", iops=4000), 100, NOW)
    assert (told.action, told.kind, told.iops, told.size) == (CHANGE, "gp3", 4000, None)


@pytest.mark.parametrize("state", ["creating", "deleting", "error"])
def test_what_is_not_there_yet_or_any_more_is_left_for_later(state):
    plan = decide(gp3(state=state), Wish(size=120), 100, NOW)
    assert (plan.action, plan.not_before) == (DEFER, None) and f"it is {state}" in plan.reasons[-1]


@pytest.mark.parametrize("state", ["modifying", "optimizing"])
def test_it_waits_for_the_modification_under_way(state):
    plan = decide(gp3(modification=state, past=(Change(NOW - 60, 90),)), Wish(size=120), 100, NOW)
    assert (plan.action, plan.not_before) == (DEFER, None) and state in plan.reasons[-1]


def test_the_fifth_within_a_day_waits_until_the_first_is_a_day_old():
    past = tuple(Change(NOW - 7200 + number * 900, 100) for number in range(MOST))
    plan = decide(gp3(modification="completed", past=past), Wish(size=120), 100, NOW)
    assert (plan.action, plan.not_before) == (DEFER, NOW - 7200 + DAY)
    assert decide(gp3(modification="completed", past=past), Wish(size=120), 100, plan.not_before).action == CHANGE


def test_a_day_has_its_growth_and_an_alert_says_that_it_binds():
    past = (Change(NOW - DAY - 1, 10), Change(NOW - 7200, 80))
    some = decide(gp3(modification="completed", past=past), Wish(size=200), 50, NOW)
    assert (some.action, some.size, some.alert) == (CHANGE, 120, True)
    none = decide(Volume("vol-1", 120, "gp3", past=past), Wish(size=200), 50, NOW)
    assert (none.action, none.alert, none.not_before) == (DEFER, True, NOW - 7200 + DAY)
    full = decide(gp3(), Wish(size=200, maximum=100), 50, NOW)
    assert (full.action, full.alert, full.not_before) == (KEEP, True, None)


def a_volume(chance):
    size = chance.randint(1, 1000)
    began = sorted(NOW - chance.uniform(0, 2 * DAY) for _one in range(chance.randint(0, 6)))
    return Volume(
        "vol-1",
        size,
        chance.choice(["gp2", "gp3", "io2", "standard"]),
        state=chance.choice(["in-use", "available", "deleting"]),
        modification=chance.choice([None, "optimizing", "completed", "failed"]),
        past=tuple(Change(one, chance.randint(1, size)) for one in began),
    )


def a_wish(chance, size):
    return Wish(
        maximum=chance.choice([None, chance.randint(1, 3000)]),
        **chance.choice(
            [
                {"size": chance.randint(1, 3000)},
                {"percent": chance.uniform(0.1, 300)},
                {"free_percent": 20, "used": chance.uniform(0, size)},
            ]
        ),
    )


def test_no_plan_shrinks_exceeds_a_limit_or_comes_too_often():
    chance = random.Random(5)
    changes = 0
    for _number in range(3000):
        volume = a_volume(chance)
        wish = a_wish(chance, volume.size)
        plan = decide(volume, wish, chance.uniform(0, 200), NOW)
        if plan.action == CHANGE:
            changes += 1
            assert volume.size < plan.size <= min(LARGEST[volume.kind], wish.maximum or 10**9)
            assert volume.modification != "optimizing" and volume.state != "deleting"
            assert sum(NOW - one.began < DAY for one in volume.past) < MOST
        else:
            assert plan.size is None and (plan.reasons or plan.action == KEEP)
    assert changes > 100
