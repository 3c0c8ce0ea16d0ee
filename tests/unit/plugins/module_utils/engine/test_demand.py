# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demand: what metrics, schedules, steps, the forecast and the budget make of the target."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import DAY, decide
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import (
    Budget,
    Metric,
    Point,
    Scaling,
    Schedule,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=timezone.utc).timestamp()  # a Wednesday
ALWAYS = Schedule(frozenset(range(7)), 0, 1440, "UTC")


def points(*values, serving=4, until=NOW, period=60):
    """One point for each value, the last one at ``until``."""
    return tuple(
        Point(until - period * (len(values) - 1 - number), value, serving) for number, value in enumerate(values)
    )


def cpu(*values, target=60, serving=4, **more):
    return Metric("cpu", "utilization", target, series=points(*values, serving=serving, **more))


def requests(*values, target=100, **more):
    return Metric("requests", "load", target, series=points(*values, **more))


def scaling(*metrics, **more):
    return Scaling(min=2, max=20, metrics=metrics, **more)


def steady(metric_of, value, minutes=15):
    return metric_of(*[value] * minutes)


def test_utilization_is_tracked():
    demand = decide(scaling(cpu(50, 84)), 4, NOW)
    assert (demand.target, demand.wanted, demand.limited_by) == (6, 6, None)
    assert demand.reasons == ("CPU is 84 % of 4 instances against 60 %: 6 instances are wanted",)


def test_a_load_is_tracked():
    demand = decide(scaling(requests(700, 1234), unit="vcpus"), 4, NOW)
    assert demand.target == 13
    assert demand.reasons == ("the requests a minute: 1,234 against 100 for each of the vcpus: 13 vcpus are wanted",)


def test_what_starts_is_not_asked_for_twice():
    """Six are on their way, four serve: CPU still says that six are wanted."""
    assert decide(scaling(cpu(84, 88)), 6, NOW).target == 6


@pytest.mark.parametrize(("value", "target"), [(55, 10), (65, 10), (66, 10), (67, 12), (54, 10)])
def test_the_tolerance_stops_small_changes(value, target):
    demand = decide(scaling(steady(lambda *v: cpu(*v, serving=10), value)), 10, NOW)
    assert demand.target == target
    if value == 65:
        assert demand.reasons[0].endswith("11 instances are wanted; 10 are within the tolerance of 10 %")


def test_the_largest_of_several_wins():
    assert decide(scaling(cpu(84), requests(900)), 4, NOW).target == 9
    assert decide(scaling(cpu(200), requests(900)), 4, NOW).target == 14


def test_going_down_needs_every_point_of_the_window():
    low = [100.0] * 16
    assert decide(scaling(requests(*low)), 8, NOW).target == 2
    low[7] = 700  # eight minutes ago
    demand = decide(scaling(requests(*low)), 8, NOW)
    assert (demand.target, demand.wanted, demand.limited_by) == (7, 1, "stabilization")
    assert "7 instances were wanted within the last 10 minutes" in demand.reasons[-1]
    assert decide(scaling(requests(*low), stabilization_seconds=300), 8, NOW).target == 2
    assert decide(scaling(requests(*low)), 8, NOW).target == 7, "no memory: the same question has the same answer"


def test_the_window_must_have_been_seen():
    first = decide(scaling(requests(100)), 8, NOW)
    assert (first.target, first.limited_by) == (8, "stabilization")
    assert first.reasons[-1] == "not all of the last 10 minutes is known: nothing is taken away until it is"
    holed = tuple(one for one in points(*[100] * 20) if not NOW - 480 < one.time < NOW - 60)
    demand = decide(scaling(Metric("requests", "load", 100, series=holed)), 8, NOW)
    assert (demand.target, demand.limited_by) == (8, "stabilization")


def test_values_every_five_minutes_are_enough():
    slow = cpu(*[10] * 6, period=300)
    assert decide(scaling(slow), 4, NOW + 400).target == 2


def test_a_metric_without_recent_values_keeps_what_there_is():
    old = requests(*[5000] * 15, until=NOW - 1800)
    demand = decide(scaling(old), 8, NOW)
    assert (demand.target, demand.missing) == (8, ("requests",))
    assert "no value since 30 minutes" in demand.reasons[0]
    assert decide(scaling(replace(old, series=())), 8, NOW).target == 8
    silent = replace(old, problem="cannot be read: Prometheus does not answer")
    assert "Prometheus does not answer: it is left out" in decide(scaling(silent), 8, NOW).reasons[0]


def test_missing_data_never_scales_down_but_others_scale_up():
    missing = Metric("requests", "load", 100)
    down = decide(scaling(steady(cpu, 10), missing), 8, NOW)
    assert (down.target, down.limited_by, down.missing) == (8, "missing data", ("requests",))
    assert down.reasons[-1] == "requests may need the 8 instances: nothing is taken away"
    assert decide(scaling(steady(cpu, 180), missing), 8, NOW).target == 12


def test_utilization_of_nothing_says_nothing():
    demand = decide(scaling(cpu(0, serving=0)), 4, NOW)
    assert demand.target == 4 and "not known how much served" in demand.reasons[0]


@pytest.mark.parametrize(("value", "target", "limited"), [(5000, 10, "step_up"), (0, 5, "step_down")])
def test_steps_are_limited(value, target, limited):
    wanted = scaling(steady(requests, value), step_up=2, step_down=3)
    demand = decide(wanted, 8, NOW)
    assert (demand.target, demand.limited_by) == (target, limited)
    assert "a minute" in demand.reasons[-1]
    again = decide(wanted, 8, NOW, since_change=20.0)
    assert (again.target, again.limited_by) == (8, limited) and "20 s ago" in again.reasons[-1]
    assert decide(wanted, 8, NOW, since_change=59.0).target == target


def test_minimum_and_maximum_hold():
    top = decide(scaling(requests(9000)), 8, NOW)
    assert (top.target, top.wanted, top.limited_by) == (20, 90, "maximum")
    bottom = decide(scaling(steady(requests, 0)), 8, NOW)
    assert (bottom.target, bottom.wanted, bottom.limited_by) == (2, 0, "minimum")
    assert decide(scaling(), 50, NOW).target == 20 and decide(scaling(), 0, NOW).target == 2


def test_without_metrics_nothing_moves():
    demand = decide(scaling(), 7, NOW)
    assert (demand.target, demand.reasons, demand.limited_by) == (7, (), None)


def test_schedules_narrow_the_bounds():
    busy = replace(ALWAYS, min=10)
    demand = decide(scaling(steady(requests, 0), schedules=(busy,), step_up=1), 4, NOW)
    assert (demand.target, demand.limited_by) == (10, "schedule")
    assert "scheduled minimum of 10" in demand.reasons[-1]
    demand = decide(
        scaling(requests(9000), schedules=(busy, replace(ALWAYS, max=12), replace(ALWAYS, max=15))), 10, NOW
    )
    assert (demand.target, demand.limited_by) == (12, "schedule")
    assert decide(scaling(schedules=(busy, replace(ALWAYS, max=6))), 4, NOW).target == 10, "the minimum counts"


def test_schedules_alone_go_back_to_the_minimum():
    nine_to_five = Schedule(frozenset(range(5)), 9 * 60, 17 * 60, "UTC", min=10)
    wanted = scaling(schedules=(nine_to_five,))
    assert decide(wanted, 2, NOW).target == 10
    assert decide(wanted, 10, NOW + 6 * 3600).target == 2


def test_the_budget_degrades_or_alerts():
    busy = scaling(requests(1500), budget=Budget(1.0))
    demand = decide(busy, 8, NOW, price_per_unit_hour=0.1)
    assert (demand.target, demand.wanted, demand.limited_by) == (10, 15, "budget")
    assert demand.reasons[-1] == (
        "15 instances cost 1.50 USD an hour, above the budget of 1.00: it buys 10, so 10 are asked for"
    )
    enough = decide(replace(busy, budget=Budget(1.5)), 8, NOW, price_per_unit_hour=0.1)
    assert (enough.target, enough.limited_by, len(enough.reasons)) == (15, None, 1)
    loud = decide(replace(busy, budget=Budget(1.0, "alert")), 8, NOW, price_per_unit_hour=0.1)
    assert (loud.target, loud.limited_by) == (15, None) and "when_exceeded is alert" in loud.reasons[-1]
    blind = decide(busy, 8, NOW)
    assert blind.target == 15 and "price" in blind.reasons[-1]
    poor = decide(busy, 8, NOW, price_per_unit_hour=1.0)
    assert (poor.target, poor.limited_by) == (2, "minimum"), "the minimum is kept at any price"


def test_prices_that_move_a_little_do_not_move_the_target():
    busy = scaling(requests(1900), budget=Budget(1.0))
    assert decide(busy, 10, NOW, price_per_unit_hour=0.0905).target == 10  # 11 could be bought
    assert decide(busy, 10, NOW, price_per_unit_hour=0.0801).target == 12
    assert decide(busy, 10, NOW, price_per_unit_hour=0.105).target == 9


def with_history(days, now_level=1.0, ahead=2.0, serving=4):
    """Requests at ``100 * now_level`` a minute now; on each day 100 until now and ``100 * ahead`` soon after."""
    daily = []
    for day in days:
        for minute in range(-60, 60, 5):
            value = 100.0 * (ahead if minute > 5 else 1.0)
            daily.append(Point(NOW - day * DAY + 60 * minute, value, serving))
    series = points(*[100 * now_level] * 45, serving=serving)
    return Metric("requests", "load", 10, series=series, daily=tuple(sorted(daily)))


def test_the_forecast_asks_for_what_earlier_days_needed():
    metric = with_history(days=(1, 2, 3, 4))
    assert decide(scaling(metric), 10, NOW).target == 10
    demand = decide(scaling(metric, forecast=True), 10, NOW)
    assert demand.target == 20
    assert demand.reasons[0].endswith("and 20 by the same hour of 4 earlier days")
    assert decide(Scaling(2, 50, (with_history((1, 2, 3, 4), now_level=1.5),), forecast=True), 10, NOW).target == 30


def test_the_forecast_needs_three_days_and_never_lowers():
    few = decide(scaling(with_history(days=(1, 2)), forecast=True), 10, NOW)
    assert few.target == 10 and "a forecast needs 3 earlier days, 2 are known" in few.reasons[0]
    quiet = with_history(days=(1, 2, 3, 4), ahead=0.1)
    assert decide(scaling(quiet, forecast=True), 10, NOW).target == 10


def test_one_odd_day_does_not_move_the_forecast():
    metric = with_history(days=(1, 2, 3, 4, 5), ahead=1.0)
    odd = tuple(one._replace(value=5000.0) if NOW - DAY < one.time < NOW - DAY / 2 else one for one in metric.daily)
    assert decide(scaling(replace(metric, daily=odd), forecast=True), 10, NOW).target == 10


@pytest.mark.parametrize(
    ("level", "ahead", "target"),
    [
        (5.0, 1.0, 50),  # a feast day at five times the level of the days before: the metric itself decides
        (5.0, 3.0, 60),  # and the days before count twice, not five times
        (0.1, 1.0, 5),  # a quiet day: they count half
    ],
)
def test_an_unlike_day_counts_within_limits(level, ahead, target):
    metric = with_history(days=(1, 2, 3), now_level=level, ahead=ahead)
    assert decide(Scaling(0, 90, (metric,), forecast=True), 1, NOW).target == target


def test_a_week_is_looked_at():
    demand = decide(scaling(with_history(days=range(1, 10)), forecast=True), 10, NOW)
    assert demand.reasons[0].endswith("of 7 earlier days")


def random_scaling(chance):
    low = chance.randrange(0, 10)
    high = low + chance.randrange(0, 30)
    values = [chance.choice([0, 5, 40, 60, 90, 300, 5000]) * chance.random() for _one in range(chance.randrange(0, 25))]
    late = chance.choice([0, 0, 60, 2000])
    kind = chance.choice(["utilization", "load"])
    series = points(*values, serving=chance.randrange(0, 20), until=NOW - late)
    daily = with_history(range(1, chance.randrange(2, 6))).daily
    metric = Metric("custom", kind, chance.choice([1, 10, 60]), series=series, daily=daily)
    return Scaling(
        low,
        high,
        tuple(chance.choice([metric, cpu(chance.random() * 100)]) for _one in range(chance.randrange(0, 4))),
        schedules=chance.choice([(), (replace(ALWAYS, min=low),), (replace(ALWAYS, max=(low + high) // 2),)]),
        step_up=chance.choice([None, 1, 5]),
        step_down=chance.choice([None, 1, 5]),
        stabilization_seconds=chance.choice([0, 60, 600]),
        forecast=chance.random() < 0.5,
        budget=chance.choice([None, Budget(1.0), Budget(0.3, "alert")]),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_target_is_always_within_its_bounds(seed):
    chance = random.Random(seed)
    for _round in range(20):
        wanted = random_scaling(chance)
        demand = decide(wanted, chance.randrange(0, 50), NOW, chance.choice([None, 0.05, 0.5]))
        assert wanted.min <= demand.target <= wanted.max
        assert demand.target == demand.wanted or demand.limited_by, demand


@pytest.mark.parametrize("seed", range(20))
def test_the_target_grows_with_the_metric(seed):
    """Whatever else holds: more load, now or at any time of the window, never gives a lower target."""
    chance = random.Random(seed)
    for _round in range(10):
        wanted, current = random_scaling(chance), chance.randrange(0, 40)
        price = chance.choice([None, 0.05, 0.5])
        before = None
        for factor in (0, 0.3, 0.5, 0.9, 1, 1.05, 1.3, 2, 10):
            more = tuple(
                replace(metric, series=tuple(one._replace(value=one.value * factor) for one in metric.series))
                for metric in wanted.metrics
            )
            target = decide(replace(wanted, metrics=more), current, NOW, price).target
            assert before is None or target >= before
            before = target


@pytest.mark.parametrize("seed", range(10))
def test_fewer_values_never_scale_down_further(seed):
    chance = random.Random(seed)
    for _round in range(20):
        series = points(*[chance.choice([100, 300, 900]) for _one in range(20)])
        full = Metric("requests", "load", 100, series=series)
        kept = tuple(one for one in series[:-1] if chance.random() < 0.5) + series[-1:]
        quiet = [100.0] * 20
        assert (
            decide(scaling(replace(full, series=kept)), 3, NOW).target
            >= decide(scaling(requests(*quiet)), 3, NOW).target
        )
        outage = tuple(one for one in series if not NOW - 900 < one.time < NOW - 120)
        assert decide(scaling(replace(full, series=outage)), 9, NOW).target >= 9


def traffic(moment, chance):
    """Requests a minute of a day: a night, two peaks, five percent of noise and a burst now and then."""
    hour = moment % DAY / 3600
    smooth = 300 + 1200 * math.exp(-(((hour - 11) / 2.5) ** 2)) + 1500 * math.exp(-(((hour - 20) / 2) ** 2))
    burst = 1.4 if chance.random() < 0.002 else 1.0
    return smooth * burst * (1 + chance.gauss(0, 0.05))


def replay(forecast, seed=1, days=1):
    """A day, minute by minute, after four days of history: [(time, value, target)]."""
    chance = random.Random(seed)
    start = NOW - NOW % DAY
    history = [Point(start - 4 * DAY + 300 * n, traffic(300 * n, chance)) for n in range(4 * 288)]
    series, target, log = [], 3, []
    for minute in range(-60, days * 1440):
        moment = start + 60 * minute
        series = [*series[-60:], Point(moment, traffic(moment, chance))]
        if minute < 0:
            continue
        daily = tuple(one for one in history if abs((one.time - moment + DAY / 2) % DAY - DAY / 2) < 5400)
        metric = Metric("requests", "load", 100, series=tuple(series), daily=daily)
        target = decide(Scaling(2, 60, (metric,), forecast=forecast), target, moment).target
        log.append((moment, series[-1].value, target))
    return log


@pytest.mark.parametrize("forecast", [False, True])
def test_a_day_of_traffic_does_not_flap(forecast):
    log = replay(forecast)
    targets = [target for _moment, _value, target in log]
    changes = [(moment, after - before) for (moment, _value, after), before in zip(log[1:], targets) if after != before]
    for (then, one), (moment, other) in zip(changes, changes[1:]):
        assert not (one > 0 > other) or moment - then >= 600, "what came up stays for the stabilization window"
    turns = sum(one * other < 0 for (_then, one), (_moment, other) in zip(changes, changes[1:]))
    # Two peaks and a night have three turns; bursts of 40 % for one minute add two each.
    bursts = sum(value > 1.25 * before for (_then, before, _t), (_moment, value, _u) in zip(log, log[1:]))
    assert turns <= 8 + 2 * bursts and len(changes) < 90, (turns, bursts, len(changes))
    assert max(targets) >= 17 and min(targets) <= 4
    short = sum(value > 1.15 * 100 * target for _moment, value, target in log)
    assert short == 0, "it follows in the same minute"


def test_the_forecast_is_ahead_of_the_rise():
    """Capacity that takes five minutes to serve is there more often when it was foreseen."""

    def late(log, minutes=5):
        targets = [target for _moment, _value, target in log]
        return sum(value > 100 * then for (_moment, value, _target), then in zip(log[minutes:], targets))

    assert late(replay(True)) < late(replay(False)) / 2
