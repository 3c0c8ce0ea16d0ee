# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's month as it is planned: it ends at the present, and its load, crunch and people come when they should."""

from __future__ import annotations

import importlib.util
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

HOURS = 719.0


@pytest.fixture(name="month", scope="module")
def the_month():
    """The module, which the demo imports from beside itself."""
    spec = importlib.util.spec_from_file_location("month", Path(__file__).with_name("month.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lasts(step):
    return step["seconds"] + step.get("pause", 0) * step["looks"]


@pytest.mark.parametrize("monday", [0.0, 0.3, 19.9, 67.0, 100.0, 148.0, 167.9])
@pytest.mark.parametrize("hours", [717.3, HOURS, 720.0])
def test_the_steps_are_in_order_and_end_at_the_present(month, hours, monday):
    parts = month.parts(hours, monday, "us-east-1", "eu-west-1")
    steps = [step for part in parts for step in part]
    assert all(step["seconds"] >= 0 for step in steps) and all(parts)
    assert sum(lasts(step) for step in steps) == pytest.approx(hours * 3600, abs=1200)
    assert steps[-1]["say"] == "the present"


def test_the_crunch_takes_a_week_and_is_over_some_hours_before_the_end(month):
    passed, moments = 0.0, {}
    for part in month.parts(HOURS, 67.0, "us-east-1", "eu-west-1"):
        for step in part:
            moments[step["say"]] = (passed + step["seconds"]) / 3600
            passed += lasts(step)
    begin, end = moments["Spot runs dry in us-east-1"], moments["Spot comes back"]
    assert 7 * 24 <= end - begin <= 8 * 24 and HOURS - end == pytest.approx(6.0)
    rules = [rule for part in month.parts(HOURS, 67.0, "us-east-1", "eu-west-1") for step in part for rule in step.get("room", [])]
    assert [rule["room"] for rule in rules] == [40, 0, 1, 1, 40] and all(rule.get("region", "us-east-1") == "us-east-1" for rule in rules)


def test_visitors_come_on_workdays_and_fewer_at_the_weekend(month):
    start = datetime(2026, 10, 27, 13, 30, tzinfo=timezone.utc)
    monday = month.until_monday(start)
    assert start + timedelta(hours=monday) == datetime(2026, 11, 2, 8, tzinfo=timezone.utc)
    week = [month.visitors(monday + hour, monday) for hour in range(168)]
    assert week == [month.WORKDAY] * 120 + [month.WEEKEND] * 48
    assert month.visitors(0, monday) == month.WORKDAY, "it begins on a Tuesday"
