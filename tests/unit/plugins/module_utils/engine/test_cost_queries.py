# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from itertools import combinations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_queries import (
    DIMENSIONS,
    Ask,
    assemble,
    check_period,
    earliest,
    next_asks,
    spans,
    still_good,
)

COMPUTE, EBS, BALANCING = "EC2 - Compute", "EC2 - Other", "Load Balancing"
DEMAND, SPOT, RESERVED, PLAN = "On Demand Instances", "Spot Instances", "Standard Reserved Instances", "Savings Plans"


class Bill:
    """Cost Explorer: it groups by two at most, and counts."""

    def __init__(self, lines):
        self.lines = lines  # [(day, {dimension: value}, units)]
        self.asked = []

    def answer(self, ask):
        assert len(ask.groups) <= 2, "Cost Explorer groups by two at most"
        assert ask not in self.asked, "never ask twice"
        self.asked.append(ask)
        found = defaultdict(int)
        for day, values, units in self.lines:
            if all(values[dim] == value for dim, value in ask.only):
                found[day, tuple(values[dim] for dim in ask.groups)] += units
        return dict(found)

    def truth(self, by):
        found = defaultdict(int)
        for day, values, units in self.lines:
            found[day, tuple((dim, values[dim]) for dim in DIMENSIONS if dim in by)] += units
        return dict(found)


def solve(bill, by):
    known = {}
    while asks := next_asks(by, known):
        known |= {ask: bill.answer(ask) for ask in asks}
    return assemble(by, known)


def line(day, app, service, purchase, units, region="us-east-1"):
    return (day, {"app": app, "service": service, "region": region, "purchase": purchase}, units)


def month(purchases=(DEMAND, SPOT), apps=("web", "worker", ""), days=30):
    lines = []
    for number in range(days):
        for weight, app in enumerate(apps, 3):
            for purchase in purchases:
                lines.append(line(f"2026-01-{number + 1:02}", app, COMPUTE, purchase, weight * (7 if purchase == SPOT else 11)))
            lines += [line(f"2026-01-{number + 1:02}", app, service, DEMAND, weight) for service in (EBS, BALANCING)]
    return Bill(lines)


@pytest.mark.parametrize("by", [(), *((one,) for one in DIMENSIONS), *combinations(DIMENSIONS, 2)])
def test_up_to_two_dimensions_take_one_request(by):
    bill = month()
    assert solve(bill, by) == bill.truth(by)
    assert len(bill.asked) == 1


@pytest.mark.parametrize("purchases", [(DEMAND, SPOT), (DEMAND, SPOT, RESERVED), (DEMAND, SPOT, RESERVED, PLAN)])
def test_a_month_by_app_service_and_purchase_option_takes_three_requests_however_many_options_there_are(purchases):
    bill = month(purchases)
    by = ("app", "service", "purchase")
    assert solve(bill, by) == bill.truth(by)
    assert bill.asked == [
        Ask(("service", "purchase")),
        Ask(("app", "purchase")),
        Ask(("app", "service"), (("purchase", DEMAND),)),
    ]


def test_fewer_cannot_do_where_two_services_and_two_apps_share_a_purchase_option():
    """Two bills that agree in every answer of two requests without a filter, and differ."""
    one = Bill([line("d", "a", EBS, DEMAND, 1), line("d", "b", COMPUTE, DEMAND, 1), line("d", "a", COMPUTE, SPOT, 1)])
    one.lines += [line("d", "a", COMPUTE, DEMAND, 1), line("d", "b", EBS, DEMAND, 1)]
    other = Bill([*one.lines[2:3], line("d", "a", EBS, DEMAND, 2), line("d", "b", COMPUTE, DEMAND, 2)])
    for pair in (("service", "purchase"), ("app", "purchase")):
        assert one.answer(Ask(pair)) == other.answer(Ask(pair))
    assert one.truth(("app", "service", "purchase")) != other.truth(("app", "service", "purchase"))


def test_with_one_purchase_option_nothing_is_cut():
    bill = month((DEMAND,))
    by = ("app", "service", "purchase")
    assert solve(bill, by) == bill.truth(by)
    assert bill.asked == [Ask(("service", "purchase")), Ask(("app", "service"))]


def test_a_month_without_costs_takes_one_request():
    bill = Bill([])
    assert solve(bill, DIMENSIONS) == {} and len(bill.asked) == 1


def test_four_dimensions_ask_spot_once_and_the_rest_region_by_region():
    bill = month()
    bill.lines += [(day, {**values, "region": "eu-west-1"}, units + 1) for day, values, units in bill.lines]
    assert solve(bill, DIMENSIONS) == bill.truth(DIMENSIONS)
    spot = [ask for ask in bill.asked if ("purchase", SPOT) in ask.only]
    assert spot == [Ask(("app", "region"), (("purchase", SPOT),))]
    assert len(bill.asked) == 1 + 1 + 1 + 2, "services by option, Spot, services by region, and each region"


@pytest.mark.parametrize("size", [3, 4])
def test_what_is_put_together_is_the_bill_whatever_it_looks_like(size):
    dice = random.Random(size)
    for _problem in range(150):
        values = {dim: [f"{dim}{number}" for number in range(dice.randint(1, 4))] for dim in DIMENSIONS}
        lines = [
            (f"day{dice.randint(1, 3)}", {dim: dice.choice(values[dim]) for dim in DIMENSIONS}, dice.randint(1, 1000))
            for _line in range(dice.randint(0, 12))
        ]
        by = dice.sample(DIMENSIONS, size)
        bill = Bill(lines)
        assert solve(bill, by) == bill.truth(by)
        if size == 3:
            cut = next(dim for dim in ("purchase", "region") if dim in by)
            assert len(bill.asked) <= 2 + len({held[cut] for _day, held, _units in lines})


def test_what_is_not_there_cannot_be_grouped_by():
    with pytest.raises(ValueError, match="costs are not known by colour"):
        next_asks(["app", "colour"], {})
    with pytest.raises(ValueError, match="not all is asked yet"):
        assemble(["app"], {})


TODAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("first", "end", "granularity", "message"),
    [
        ("2026-03-02", "2026-03-01", "day", "is empty"),
        ("2026-03-02", "2026-03-02", "day", "is empty"),
        ("2026-03-11", "2026-03-12", "day", "begins on 2026-03-11, which is in the future"),
        ("2026-03-01", "2026-04-01", "day", "ends with 2026-03-31, which is in the future"),
        ("2025-01-31", "2026-03-01", "day", "keeps 14 months by day: start may be 2025-02-01"),
        ("2023-01-31", "2026-03-01", "month", "keeps 38 months by month: start may be 2023-02-01"),
    ],
)
def test_a_period_that_cannot_be_told_of_is_refused(first, end, granularity, message):
    with pytest.raises(ValueError, match=message):
        check_period(date.fromisoformat(first), date.fromisoformat(end), TODAY, granularity)


def test_a_period_may_go_from_the_earliest_day_through_today():
    check_period(earliest(TODAY, "day"), TODAY + timedelta(days=1), TODAY, "day")


def test_months_are_cut_where_the_period_is():
    found = spans(date(2026, 1, 15), date(2026, 3, 2), "month")
    assert found == [
        (date(2026, 1, 15), date(2026, 2, 1)),
        (date(2026, 2, 1), date(2026, 3, 1)),
        (date(2026, 3, 1), date(2026, 3, 2)),
    ]
    assert len(spans(date(2026, 2, 1), date(2026, 3, 1), "day")) == 28


SPAN = (date(2026, 1, 10), date(2026, 1, 11))


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("asked", "estimated", "now", "good"),
    [
        ("2026-01-10T12:00", True, "2026-01-10T17:59", True),
        ("2026-01-10T12:00", True, "2026-01-10T18:01", False),
        ("2026-01-13T23:00", False, "2026-01-20T00:00", False),
        ("2026-01-14T00:00", True, "2026-01-31T00:00", True),
        ("2026-01-14T00:00", True, "2026-02-07T00:00", False),
        ("2026-02-08T00:00", False, "2030-01-01T00:00", True),
        ("2026-03-20T00:00", True, "2030-01-01T00:00", True),
        ("2026-01-14T00:00", False, "2030-01-01T00:00", True),
        ("2026-01-12T00:00", True, "2026-01-11T00:00", False),
    ],
)
def test_a_day_that_has_settled_is_asked_for_once_more_when_its_month_is_closed_and_then_never(asked, estimated, now, good):
    assert still_good(SPAN, moment(asked), estimated, moment(now), timedelta(hours=6)) is good
