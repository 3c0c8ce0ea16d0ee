# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of the chaos run, on made-up histories: it finds what it is there to find."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3]))

from tests.chaos import judge, page, troubles  # noqa: E402  the path is set above

APP = "chaos-web@us-east-1"
END = 10_000.0


def history(rows=(), events=(), plan=(), instances=(), **remains):
    """A run of one app that wants 8 units and has them, but for what is given."""
    return {
        "seed": 0,
        "hours": END / 3600,
        "apps": 1,
        "regions": ["us-east-1"],
        "end": END,
        "counts": {"steps": 10},
        "troubles": list(plan),
        "events": [{"region": "us-east-1", "group": None, "text": "", **one} for one in events],
        "groups": {APP: {"profile": "balanced", "region": "us-east-1", "rows": [[-60.0, 8, 6, 2], *rows]}},
        "instances": [
            {
                "group": APP,
                "pool": "us-east-1a/m5.large",
                "launched": 0,
                "warned": 0,
                "ended": END,
                "cause": None,
                "cost": 0.1,
                **one,
            }
            for one in instances
        ],
        "on_demand_price": {"us-east-1": 0.05},
        "remains": {
            "instances": [],
            "fleets": [],
            "spot_requests": [],
            "leases": [],
            "groups": {APP: {"target": 8, "base": 2, "best": {"on_demand": 2, "spot": 6}, "suspended": [], "noted": []}},
            **remains,
        },
    }


def trouble(kind, begin, end):
    return {"kind": kind, "begin": begin, "end": end, "region": None, "text": troubles.WORDS[kind]}


def findings(**given):
    return judge.judge(history(**given))["findings"]


LOST = [[4000.0, 8, 4, 2], [4100.0, 8, 6, 2]]


def test_a_quiet_run_has_no_findings():
    verdict = judge.judge(history())
    assert verdict["findings"] == [] and verdict["shortages"] == []
    assert verdict["figures"]["available"] == verdict["figures"]["served"] == 1.0


def test_a_shortage_that_nothing_explains_is_found_with_app_and_time():
    (found,) = findings(rows=LOST)
    assert found == f"{APP}: 6 of 8 served from day 1 01:06:40 to day 1 01:08:20, and nothing explains 100 s of it"


@pytest.mark.parametrize(
    "given",
    [
        {"instances": [{"ended": 4000.0, "cause": "spot"}]},
        {"events": [{"time": 3990.0, "what": "refused"}]},
        {"events": [{"time": 3800.0, "what": "killed"}]},
        {"events": [{"time": 3950.0, "what": "error"}], "plan": [trouble(troubles.FAIL, 3900.0, 4000.0)]},
        {"plan": [trouble(troubles.AWAY, 3500.0, 4000.0)]},
    ],
    ids=["an interruption", "a refusal", "a kill", "an API that fails", "no controller"],
)
def test_what_happened_explains_a_shortage_for_some_minutes_and_no_longer(given):
    assert findings(rows=LOST, **given) == []
    late = [[4000.0, 8, 4, 2], [5000.0, 8, 6, 2]]
    assert "nothing explains" in findings(rows=late, **given)[0]


def test_what_goes_without_notice_is_seen_at_the_next_step_of_a_quiet_time():
    rows = [[4000.0, 8, 4, 2], [4330.0, 8, 6, 2]]
    lost = {"ended": 4000.0, "cause": "spot"}
    assert "nothing explains 90 s" in findings(rows=rows, instances=[{**lost, "warned": 3880.0}])[0]
    assert findings(rows=rows, instances=[{**lost, "warned": 4000.0}]) == []
    assert findings(rows=rows, instances=[{**lost, "warned": None}]) == []


@pytest.mark.parametrize(
    "given",
    [
        {"instances": [{"ended": 4000.0, "cause": "spot", "group": "chaos-other@us-east-1"}]},
        {"instances": [{"ended": 4000.0, "cause": "user"}]},
        {"instances": [{"ended": 4050.0, "cause": "spot"}]},
        {"events": [{"time": 3990.0, "what": "refused", "region": "eu-west-1"}]},
        {"events": [{"time": 3950.0, "what": "error"}]},
        {"plan": [trouble(troubles.FAIL, 3900.0, 4000.0)]},
        {"plan": [trouble(troubles.JUMP, 3900.0, 4000.0)]},
    ],
    ids=[
        "an interruption of another app",
        "an instance that was ended on purpose",
        "an interruption that came later",
        "a refusal in another region",
        "an error where no API was to fail",
        "an API that fails, and no step that failed of it",
        "a wrong clock",
    ],
)
def test_what_does_not_concern_a_shortage_does_not_explain_it(given):
    assert len(findings(rows=LOST, **given)) == 1


def test_a_rise_of_the_target_explains_the_time_to_boot_only():
    assert findings(rows=[[4000.0, 10, 6, 2], [4200.0, 10, 8, 2]]) == []
    (found,) = findings(rows=[[4000.0, 10, 6, 2], [4300.0, 10, 8, 2]])
    assert "nothing explains 60 s" in found


@pytest.mark.parametrize(
    ("remains", "words"),
    [
        ({"instances": [{"id": "i-1", "region": "us-east-1", "group": "web", "member_of": None, "age": 121}]}, "in no group"),
        ({"instances": [{"id": "i-1", "region": "us-east-1", "group": "web", "member_of": "b"}]}, "is in b, not in web"),
        ({"fleets": [{"id": "fleet-1", "region": "us-east-1"}]}, "the fleet fleet-1"),
        ({"spot_requests": [{"id": "sir-1", "region": "us-east-1"}]}, "the Spot request sir-1"),
        ({"leases": [{"id": "web", "region": "us-east-1", "holder": "a"}]}, "a still holds the lease of web"),
    ],
    ids=["instance", "instance of another group", "fleet", "spot request", "lease"],
)
def test_an_orphan_is_found(remains, words):
    given = history()
    (found,) = judge.judge({**given, "remains": {**given["remains"], **remains}})["findings"]
    assert words in found


def test_a_suspended_process_that_is_not_written_down_is_found():
    group = {"target": 8, "base": 2, "best": {"on_demand": 2, "spot": 6}, "suspended": ["AZRebalance", "Launch"], "noted": ["AZRebalance"]}
    (found,) = findings(groups={APP: group})
    assert found.startswith(f"{APP}: Launch are suspended")


def test_what_was_launched_just_now_is_no_orphan():
    given = history()
    young = {"id": "i-1", "region": "us-east-1", "group": "web", "member_of": None, "age": 120}
    assert judge.judge({**given, "remains": {**given["remains"], "instances": [young]}})["findings"] == []


def test_more_than_is_wanted_is_found():
    assert findings(rows=[[9000.0, 8, 14, 2]]) == []
    (found,) = findings(rows=[[9000.0, 8, 15, 2]])
    assert found == f"{APP}: 17 are kept in the end, though the target is 8 and the best fleet has 8"


def test_on_demand_that_is_not_given_back_is_found():
    (found,) = findings(rows=[[9000.0, 8, 2, 6]])
    assert found.startswith(f"{APP}: 6 On-Demand are kept in the end")


def test_an_app_below_its_target_in_the_end_is_found():
    found = findings(rows=[[9990.0, 8, 2, 2]], instances=[{"ended": 9990.0, "cause": "spot"}])
    assert found == [f"{APP}: 4 of 8 serve in the end"]


def test_the_cost_is_compared_with_that_of_the_target_on_demand():
    figures = judge.judge(history(instances=[{"cost": 0.3}, {"cost": 0.2}]))["figures"]
    assert figures["all_on_demand"] == round(END / 3600 * 8 * 0.05, 2)
    assert (figures["cost"], figures["cost_share"]) == (0.5, round(0.5 / (END / 3600 * 8 * 0.05), 4))


def test_the_page_shows_every_app_and_what_was_found():
    given = history(rows=LOST, plan=[trouble(troubles.AWAY, 100.0, 900.0)])
    shown = page.html({**given, "verdict": judge.judge(given)})
    assert APP in shown and "nothing explains 100 s" in shown and shown.count('class="target"') == 1
    assert "http://" not in shown.replace("http://www.w3.org", "") and "<script" not in shown
