# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cost_watch on the answers of cost_info: each alert once a month, each day out of line once."""

from __future__ import annotations

import json
import stat
import threading
from datetime import date, datetime, timedelta, timezone

import pytest

TODAY = datetime.now(timezone.utc).date()
EC2, EBS = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other"


def rows(usd=10.0, days=60, today=TODAY, **extra):
    found = []
    for number in range(1, days + 1):
        day = today - timedelta(days=number)
        found.append({"day": str(day), "app": "shop", "service": EC2, "usd": usd})
    return [*found, *extra.get("more", [])]


@pytest.fixture
def watch(run_module, tmp_path):
    def run(check=False, **options):
        given = {"rows": rows(), "state_path": str(tmp_path / "state" / "told.json"), **options}
        return run_module("cost_watch", given, check=check)

    return run


def kinds(result):
    return [(event["kind"], event["app"]) for event in result["activity"]]


DAY_20, DAY_25, NEXT = date(2026, 1, 21), date(2026, 1, 26), date(2026, 2, 20)
BUDGET = [{"app": "shop", "monthly": 390, "alerts": [50, 80, 100]}]


def test_each_alert_is_told_once_a_month(watch, tmp_path):
    first = watch(rows=rows(today=DAY_20), today=str(DAY_20), budgets=BUDGET)
    assert kinds(first) == [("budget.reached", "shop")] and first["changed"]
    (event,) = first["activity"]
    assert event["summary"] == "shop has spent 200.00 USD in 2026-01, 51 % of its budget of 390.00 USD"
    assert event["reasons"][0] == "the alert at 50 % is reached"
    assert first["budgets"][0]["forecast"]["expected"] == 310 and first["budgets"][0]["exceeds"] is False
    again = watch(rows=rows(today=DAY_20), today=str(DAY_20), budgets=BUDGET)
    assert again["activity"] == [] and again["changed"] is False
    dearer = rows(today=DAY_25, more=[{"day": "2026-01-22", "app": "shop", "service": EBS, "usd": 200.0}])
    over = watch(rows=dearer, today=str(DAY_25), budgets=BUDGET)
    assert kinds(over) == [("budget.exceeded", "shop"), ("cost.anomaly", "shop")]
    assert over["activity"][0]["after"]["crossed_percent"] == 100
    assert watch(rows=dearer, today=str(DAY_25), budgets=BUDGET)["activity"] == []
    assert kinds(watch(rows=rows(usd=11, today=NEXT), today=str(NEXT), budgets=BUDGET)) == [("budget.reached", "shop")]
    file = tmp_path / "state" / "told.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text("utf-8"))["budgets"]["shop"]["month"] == "2026-02"


def test_a_budget_that_will_be_exceeded_is_told_before(watch):
    budget = [{"app": "shop", "monthly": 300, "alerts": [90]}]
    found = watch(rows=rows(today=DAY_20), today=str(DAY_20), budgets=budget)
    assert kinds(found) == [("budget.forecast", "shop")]
    assert "is to spend 310.00 USD in 2026-01, more than its budget of 300.00 USD" in found["activity"][0]["summary"]
    assert watch(rows=rows(today=DAY_20), today=str(DAY_20), budgets=budget)["activity"] == []


def test_check_mode_tells_and_keeps_nothing(watch, tmp_path):
    for _time in range(2):
        found = watch(check=True, rows=rows(today=DAY_20), today=str(DAY_20), budgets=BUDGET)
        assert kinds(found) == [("budget.reached", "shop")]
    assert not (tmp_path / "state").exists()


def test_two_at_once_tell_nothing_twice(watch):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(watch(rows=rows(today=DAY_20), today=str(DAY_20), budgets=BUDGET)))
        for _number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one["activity"]) for one in found) == [0, 1]


def test_a_day_out_of_line_that_the_sandbox_billed_is_told_with_its_cause(fresh, run_module, watch, tmp_path):
    odd = TODAY - timedelta(days=4)
    lines = [{**row, "usd": row["usd"] + (number % 5) / 5} for number, row in enumerate(rows(days=50))]
    lines.append({"day": str(odd), "app": "shop", "service": EBS, "usd": 75.5, "usage_type": "EBS:VolumeUsage.gp3"})
    fresh.post("/sandbox/costs", lines=lines)
    asked = {"start": str(TODAY - timedelta(days=50)), "by": ["app", "service"], "cache_dir": str(tmp_path / "cache")}
    costs = run_module("cost_info", asked)
    assert costs["api_requests"] == 1
    found = watch(rows=costs["rows"], basis=costs["basis"])
    (anomaly,) = found["anomalies"]
    assert (anomaly["day"], anomaly["app"], anomaly["causes"][0]["service"]) == (str(odd), "shop", EBS)
    (event,) = found["activity"]
    assert event["kind"] == "cost.anomaly" and event["reasons"] == [f"{EBS} of shop: 75.50 USD, usually 0.00 USD", "the costs are billed"]
    assert found["forecast"]["low"] <= found["forecast"]["expected"] <= found["forecast"]["high"]
    assert watch(rows=costs["rows"])["activity"] == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budgets": [{"app": "shop", "monthly": 0}]}, "the budget of shop is 0 USD a month: it must be above 0"),
        ({"budgets": [{"app": "shop", "monthly": 1, "alerts": [-5]}]}, "has an alert at -5 %"),
        ({"budgets": [{"app": "shop", "monthly": 1}] * 2}, "there are two budgets of shop: leave one"),
        ({"rows": [{"app": "shop"}]}, "rows[0] is"),
        ({"today": "soon"}, "today is 'soon': write a day"),
        ({"days": -1}, "days is -1"),
        ({"state_path": "/proc/nowhere/told.json"}, "cannot keep what was told"),
    ],
)
def test_input_that_cannot_be_is_refused(watch, wrong, message):
    refused = watch(**wrong)
    assert refused["failed"] and message in refused["msg"] and refused["activity"] == []


def test_a_damaged_memory_is_not_taken_for_an_empty_one(watch, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "told.json").write_text("{", "utf-8")
    refused = watch(budgets=BUDGET)
    assert refused["failed"] and "cannot read what was told" in refused["msg"]
