# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest's scaling: what it means, what it refuses, and schedules where clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import (
    Budget,
    Metric,
    Schedule,
    Source,
    scaling_of,
)

BERLIN = "Europe/Berlin"
EVERY_DAY = frozenset(range(7))


def test_all_that_can_be_said():
    scaling = scaling_of(
        {
            "metrics": [
                {"name": "cpu", "target": 60, "source": None, "query": None},
                {"name": "queue_depth", "target": 30, "queue": "$environment-jobs"},
                {"name": "memory", "target": 70.5, "namespace": "Agent"},
                {
                    "name": "custom",
                    "kind": "load",
                    "target": 5,
                    "namespace": "Shop",
                    "metric": "Carts",
                    "dimensions": {"Shop": "a"},
                    "statistic": "p90",
                },
                {"name": "requests", "source": "prometheus", "target": 10, "query": "sum(x)", "url": "http://p:9090"},
            ],
            "schedules": [
                {"days": ["mon", "fri"], "start": "22:00", "end": "06:30", "timezone": BERLIN, "min": 4, "max": 8},
                {"start": "00:00", "end": "24:00", "max": 9},
            ],
            "step_up": 5,
            "stabilization_minutes": 15,
            "forecast": True,
            "budget": {"per_hour": 3, "when_exceeded": "alert"},
        },
        2,
        20,
        "vcpus",
    )
    assert scaling.metrics == (
        Metric("cpu", "utilization", 60),
        Metric("queue_depth", "load", 30, Source(queue="$environment-jobs")),
        Metric("memory", "utilization", 70.5, Source(namespace="Agent")),
        Metric(
            "custom",
            "load",
            5,
            Source(namespace="Shop", metric="Carts", dimensions=(("Shop", "a"),), statistic="p90"),
        ),
        Metric("requests", "load", 10, Source(system="prometheus", query="sum(x)", url="http://p:9090")),
    )
    assert scaling.schedules == (
        Schedule(frozenset({0, 4}), 1320, 390, BERLIN, 4, 8),
        Schedule(EVERY_DAY, 0, 1440, "UTC", None, 9),
    )
    assert (scaling.min, scaling.max, scaling.unit, scaling.step_up, scaling.step_down) == (2, 20, "vcpus", 5, None)
    assert (scaling.stabilization_seconds, scaling.forecast, scaling.budget) == (900.0, True, Budget(3.0, "alert"))


def test_nothing_said_is_nothing_asked():
    for given in (None, {}, {"metrics": None, "budget": None}):
        scaling = scaling_of(given, 1, 2)
        assert (scaling.metrics, scaling.schedules, scaling.budget, scaling.forecast) == ((), (), None, False)
        assert scaling.stabilization_seconds == 600.0


CPU = {"name": "cpu", "target": 60}
CUSTOM = {"name": "custom", "kind": "load", "target": 1, "namespace": "N", "metric": "M"}
NIGHT = {"start": "22:00", "end": "06:00", "min": 4}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "capacity.scaling is []: it must be a mapping"),
        ({"steps": 1}, "capacity.scaling has no steps: its keys are metrics, schedules, step_up"),
        ({"metrics": {}}, "metrics is {}: it must be a list"),
        (
            {"metrics": [{"target": 60}]},
            "metrics[0].name is None: use one of cpu, memory, requests, queue_depth, custom",
        ),
        ({"metrics": [CPU, {"name": "disk"}]}, "metrics[1].name is 'disk': use one of"),
        ({"metrics": [CPU, CPU]}, "metrics has cpu 2 times: keep one"),
        ({"metrics": [{**CPU, "source": "graphite"}]}, "source is 'graphite': use one of cloudwatch, prometheus"),
        ({"metrics": [{**CPU, "kind": "load"}]}, "kind is 'load': use utilization"),
        ({"metrics": [{**CPU, "target": 0}]}, "target is 0: it must be a number above 0"),
        ({"metrics": [{**CPU, "target": "60"}]}, "target is '60': it must be a number"),
        ({"metrics": [{**CPU, "target": float("nan")}]}, "target is nan: it must be a number"),
        ({"metrics": [{**CPU, "target": 120}]}, "target is 120: a utilization is a percentage, use 100 at most"),
        ({"metrics": [{**CPU, "query": "up"}]}, "(cpu from cloudwatch) has query: remove it; its keys are none"),
        ({"metrics": [{**CPU, "source": "prometheus"}]}, "(cpu from prometheus) has no query: give it"),
        (
            {"metrics": [{**CPU, "source": "prometheus", "query": "q", "url": "prom:9090"}]},
            "url is 'prom:9090': write it as in https://",
        ),
        (
            {"metrics": [{**CPU, "source": "prometheus", "query": "q", "url": "http://a:b@prom"}]},
            "url has a user name in it",
        ),
        ({"metrics": [{"name": "queue_depth", "target": 1}]}, "(queue_depth from cloudwatch) has no queue: give it"),
        ({"metrics": [{**CUSTOM, "metric": None}]}, "has no metric: give it"),
        ({"metrics": [{**CUSTOM, "kind": None}]}, "kind is None: use one of utilization, load"),
        ({"metrics": [{**CUSTOM, "statistic": "mean"}]}, "statistic is 'mean': use Average"),
        ({"metrics": [{**CUSTOM, "dimensions": ["a"]}]}, "dimensions is ['a']: it must be a mapping"),
        ({"metrics": [{**CUSTOM, "dimensions": {"a": 1}}]}, "dimensions.a is 1: it must be a text"),
        ({"schedules": [{**NIGHT, "start": 1320}]}, "schedules[0].start is 1320: write hours and minutes in quotes"),
        ({"schedules": [{**NIGHT, "end": "25:00"}]}, "end is '25:00': write hours"),
        ({"schedules": [{**NIGHT, "days": ["monday"]}]}, "days is 'monday': use one of mon, tue"),
        ({"schedules": [{**NIGHT, "days": []}]}, "days is empty: name some of mon"),
        ({"schedules": [{**NIGHT, "timezone": "Berlin"}]}, "timezone is 'Berlin', which this machine does not know"),
        ({"schedules": [{**NIGHT, "timezone": "../etc"}]}, "timezone is '../etc', which"),
        ({"schedules": [{**NIGHT, "min": None}]}, "schedules[0] has neither min nor max"),
        ({"schedules": [{**NIGHT, "min": 40}]}, "min is 40, outside capacity.min 2 to capacity.max 20"),
        ({"schedules": [{**NIGHT, "max": 3}]}, "impossible: min 4 is above max 3"),
        ({"step_up": 0}, "step_up is 0: it must be a whole number, 1 or more"),
        ({"step_down": True}, "step_down is True: it must be a whole number"),
        ({"stabilization_minutes": 600}, "stabilization_minutes is 600: use 120 at most"),
        ({"forecast": "yes"}, "forecast is 'yes': use true or false"),
        ({"budget": {"when_exceeded": "alert"}}, "budget.per_hour is None: it must be a number above 0"),
        ({"budget": {"per_hour": 1, "when_exceeded": "stop"}}, "when_exceeded is 'stop': use one of degrade, alert"),
    ],
)
def test_what_is_wrong_is_named(given, said):
    with pytest.raises(ValueError) as refused:
        scaling_of(given, 2, 20)
    assert said in str(refused.value) and str(refused.value).startswith("capacity.scaling")


def test_bounds_that_nothing_is_between():
    with pytest.raises(ValueError, match="capacity.min is 5, above capacity.max 4: make it 4 or less"):
        scaling_of({}, 5, 4)


def at(text, zone=BERLIN, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def window(start, end, days=EVERY_DAY, zone=BERLIN):
    minutes = [60 * int(one[:2]) + int(one[3:]) for one in (start, end)]
    return Schedule(days, *minutes, zone, min=1)


def hours(schedule, first, last):
    """How long it holds from ``first`` to ``last``, and how many times it begins, minute by minute."""
    held = [schedule.holds(first + 60 * minute) for minute in range(int((last - first) / 60))]
    return sum(held) / 60, sum(now and not before for before, now in zip([False, *held], held))


def test_a_window_has_its_start_and_not_its_end():
    day = window("08:00", "18:30")
    assert [day.holds(at(f"2026-06-03 {clock}")) for clock in ("07:59:59", "08:00", "18:29:59", "18:30")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts():
    friday = window("22:00", "06:00", frozenset({4}))
    held = [
        friday.holds(at("2026-06-04 23:00")),  # a Thursday
        friday.holds(at("2026-06-05 05:00")),
        friday.holds(at("2026-06-05 22:00")),
        friday.holds(at("2026-06-06 05:59")),
        friday.holds(at("2026-06-06 22:00")),
    ]
    assert held == [False, False, True, True, False]


@pytest.mark.parametrize(("start", "end"), [("00:00", "24:00"), ("00:00", "00:00"), ("09:00", "09:00")])
def test_a_whole_day(start, end):
    assert hours(window(start, end), at("2026-06-03 00:00"), at("2026-06-05 00:00")) == (48, 1)


def test_the_zone_counts():
    assert window("09:00", "17:00", zone="Asia/Kolkata").holds(at("2026-06-03 03:30", "UTC"))
    assert not window("09:00", "17:00", zone="Asia/Kolkata").holds(at("2026-06-03 03:29", "UTC"))


SPRING = (at("2026-03-28 12:00"), at("2026-03-29 12:00"))  # 02:00 becomes 03:00
AUTUMN = (at("2026-10-24 12:00"), at("2026-10-25 12:00"))  # 03:00 becomes 02:00


@pytest.mark.parametrize(
    ("start", "end", "change", "length"),
    [
        ("20:00", "06:00", SPRING, 9),
        ("20:00", "06:00", AUTUMN, 11),
        ("01:00", "04:00", SPRING, 2),
        ("01:00", "04:00", AUTUMN, 4),
        ("02:15", "02:45", SPRING, 0.5),  # does not exist: by the offset before, at 03:15
        ("02:15", "02:45", AUTUMN, 1.5),  # is there twice: from the first to the last
        ("01:00", "02:30", SPRING, 1.5),
        ("01:00", "02:30", AUTUMN, 2.5),
        ("08:00", "10:00", SPRING, 2),
    ],
)
def test_windows_where_clocks_change(start, end, change, length):
    assert hours(window(start, end), *change) == (length, 1)


def test_work_starts_at_eight_by_the_clock_on_the_wall():
    day = window("08:00", "17:00")
    for date in ("2026-03-28", "2026-03-29", "2026-10-25", "2026-10-26"):
        assert day.holds(at(f"{date} 08:00")) and not day.holds(at(f"{date} 07:59"))
