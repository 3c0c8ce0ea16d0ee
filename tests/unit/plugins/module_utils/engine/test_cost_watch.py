# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_watch import Budget, Costs, anomalies, budgets, known_until

TODAY = date(2026, 1, 21)
COMPUTE, EBS = "EC2 - Compute", "EC2 - Other"


def rows(extra=(), days=56, noise=0.03, seed=1):
    dice = random.Random(seed)
    found = []
    for number in range(1, days + 1):
        day = TODAY - timedelta(days=number)
        for app, service, usd in (("web", COMPUTE, 40.0), ("web", EBS, 4.0), ("worker", COMPUTE, 15.0), ("", "AWS Lambda", 1.0)):
            scale = 0.5 if day.weekday() >= 5 else 1.0
            found.append({"day": str(day), "app": app, "service": service, "usd": usd * scale * (1 + dice.gauss(0, noise))})
    return [*found, *extra]


def test_a_budget_stands_at_what_is_spent_and_at_what_is_to_come():
    costs = Costs(rows())
    ample, tight = budgets(costs, [Budget("web", 2000, (50, 80, 100)), Budget("worker", 210, (50, 80, 100))], TODAY)
    spent = sum(usd for day, usd in costs.of("web").items() if day >= date(2026, 1, 1))
    assert (ample.month, ample.spent, ample.share) == ("2026-01", pytest.approx(spent), pytest.approx(spent / 20))
    assert (ample.crossed, ample.exceeds) == (None, False)
    assert tight.crossed == 100 and tight.exceeds


def test_the_highest_share_that_is_reached_counts():
    (state,) = budgets(Costs(rows()), [Budget("worker", 300, (100, 50, 80))], TODAY)
    assert state.crossed == 80 and state.exceeds and state.forecast.low < state.forecast.expected < state.forecast.high


def test_an_application_without_costs_has_spent_nothing():
    (state,) = budgets(Costs([]), [Budget("new", 10, (50,))], TODAY)
    assert (state.spent, state.crossed, state.forecast, state.exceeds) == (0, None, None, False)


@pytest.mark.parametrize(("monthly", "alerts"), [(0, (50,)), (-5, (50,)), (10, (0,)), (10, (1001,)), (float("nan"), (50,))])
def test_a_budget_that_cannot_be_is_refused(monthly, alerts):
    with pytest.raises(ValueError, match="the budget of web"):
        Budget("web", monthly, alerts)


def test_days_of_which_nothing_is_known_yet_are_to_come():
    late = Costs([row for row in rows() if row["day"] < str(TODAY - timedelta(days=1))])
    assert known_until(Costs(rows()), TODAY) == TODAY
    assert known_until(late, TODAY) == TODAY - timedelta(days=1)
    (state,) = budgets(late, [Budget("worker", 320, (50,))], TODAY)
    assert state.forecast.days_left == 12


def days(count=14):
    return [TODAY - timedelta(days=number) for number in range(1, count + 1)]


@pytest.mark.parametrize("seed", range(8))
def test_noise_and_weekends_are_not_out_of_line(seed):
    assert anomalies(Costs(rows(seed=seed)), days(), 1.0) == []


def test_a_day_out_of_line_names_the_application_and_the_service():
    day = TODAY - timedelta(days=3)
    (found,) = anomalies(Costs(rows([{"day": str(day), "app": "web", "service": EBS, "usd": 30.0}])), days(), 1.0)
    assert (found.day, found.app) == (day, "web") and found.score > 3.5
    assert found.difference == pytest.approx(30, abs=5)
    (cause,) = found.causes
    assert (cause.app, cause.service) == ("web", EBS) and cause.usual == pytest.approx(2, abs=0.3), "as on weekends"


def test_two_services_that_share_the_blame_are_both_named():
    day = str(TODAY - timedelta(days=2))
    extra = [{"day": day, "app": "web", "service": service, "usd": 20.0} for service in (EBS, "AWS Backup")]
    (found,) = anomalies(Costs(rows(extra)), days(), 1.0)
    assert {cause.service for cause in found.causes} == {EBS, "AWS Backup"}


def test_a_day_that_costs_too_little_is_out_of_line_too():
    day = TODAY - timedelta(days=6)
    found = anomalies(Costs([row for row in rows() if (row["day"], row["app"]) != (str(day), "web")]), days(), 1.0)
    assert [(one.app, one.difference < 0, one.causes[0].service) for one in found] == [("web", True, COMPUTE)]


def test_a_day_of_which_not_all_is_known_is_not_out_of_line_for_costing_too_little():
    day = TODAY - timedelta(days=1)
    little = Costs([row for row in rows() if (row["day"], row["app"]) != (str(day), "web")])
    assert anomalies(little, [day], 1.0, TODAY - timedelta(days=2)) == []
    much = Costs(rows([{"day": str(day), "app": "web", "service": EBS, "usd": 60.0}]))
    assert [one.app for one in anomalies(much, [day], 1.0, TODAY - timedelta(days=2))] == ["web"]


def test_many_small_increases_that_no_application_shows_are_told_of_all():
    day = TODAY - timedelta(days=1)
    dice, lines = random.Random(4), []
    for number in range(40, 0, -1):
        one = TODAY - timedelta(days=number)
        for app in range(25):
            usd = dice.uniform(4, 16) + (4 if one == day else 0)
            lines.append({"day": str(one), "app": f"app{app}", "service": COMPUTE, "usd": usd})
    found = anomalies(Costs(lines), [day], 1.0)
    assert [one.app for one in found] == [None] and len(found[0].causes) == 3


def test_a_steady_cost_is_not_out_of_line_for_cents_and_a_new_one_is_named():
    steady = [{"day": str(one), "app": "web", "service": COMPUTE, "usd": 10.0} for one in days(40)[1:]]
    last = str(TODAY - timedelta(days=1))
    assert anomalies(Costs([*steady, {"day": last, "app": "web", "service": COMPUTE, "usd": 10.9}]), days(1), 0.5) == []
    both = [{"day": last, "app": app, "service": service, "usd": usd} for app, service, usd in (("web", COMPUTE, 10), ("new", EBS, 9))]
    found = anomalies(Costs([*steady, *both]), days(1), 1.0)
    assert [(one.app, one.usual) for one in found] == [("new", 0)]


def test_without_a_past_nothing_is_judged():
    assert anomalies(Costs(rows(days=4)), days(), 1.0) == []
    assert anomalies(Costs([]), days(), 1.0) == []


def test_a_row_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"rows\[1\] is .*: a row has day"):
        Costs([{"day": "2026-01-01", "usd": 1}, {"day": "yesterday", "usd": 1}])
