# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a month's costs: sums that are their parts, tables that fit, CSV and metrics that are read as they were meant."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.cost_report import FilterModule
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import compare
from ansible_collections.spot.platform.plugins.module_utils.engine.money import units_of

FILTERS = FilterModule().filters()
EC2 = "Amazon Elastic Compute Cloud - Compute"
BUDGET = {
    "app": "web",
    "month": "2026-01",
    "budget_usd": 50.0,
    "spent_usd": 20.0,
    "spent_percent": 40.0,
    "crossed_percent": None,
    "exceeds": True,
    "forecast": {"expected": 60.0, "low": 55.0, "high": 66.0, "spent": 20.0, "days_over": 10, "days_left": 21},
}
ANOMALY = {
    "day": "2026-01-05",
    "app": "web",
    "usd": 9.0,
    "usual_usd": 1.0,
    "score": 12.0,
    "causes": [{"app": "web", "service": EC2, "usd": 9.0, "usual_usd": 1.0}],
}
FORECAST = {"expected": 90.5, "low": 80.0, "high": 99.0, "spent": 30.0, "days_over": 10, "days_left": 21}


def row(day, app, usd, service=EC2, purchase="Spot Instances"):
    return {"day": day, "app": app, "service": service, "region": None, "purchase": purchase, "usd": usd, "basis": "billed"}


def costs(rows=None):
    return {
        "rows": rows if rows is not None else [row(f"2026-01-{day:02}", app, 3.333333) for day in range(1, 11) for app in ("web", "worker", "")]
        + [row("2025-12-31", "web", 1000)],
        "basis": "billed",
        "reason": None,
        "metric": "UnblendedCost",
        "period": {"start": "2025-12-01", "end": "2026-01-11", "open": ["2025-12-31", "2026-01-09", "2026-01-10"]},
        "notes": [],
        "api_requests": 3,
        "api_cost_usd": 0.03,
    }


def fleet(app="web", region="us-east-1"):
    cost = {"since": f"2026-01-10T0{len(region) % 7}:00:00.000Z", "until": "2026-01-10T12:00:00.000Z", "spot_platform": 3.0}
    return {"app": app, "region": region, "cost": {**cost, "all_on_demand": 10.0, "fallback": 0.5, "interrupted": 0.25}}


def report(over=False, **given):
    watch = {"budgets": [BUDGET], "anomalies": [ANOMALY], "forecast": FORECAST}
    estate = {"fleets": [fleet(), fleet(region="eu-west-1"), fleet("none")]}
    return FILTERS["cost_report"](given.get("costs", costs()), watch, "2026-01", over, estate, given.get("waste"))


def test_the_report_is_of_the_month_and_its_sums_are_its_rows():
    found = report()
    assert len(found["rows"]) == 30 and found["total_usd"] == pytest.approx(100, abs=1e-4)
    total = Decimal(str(found["total_usd"]))
    for name in ("days", "apps", "services", "purchases"):
        assert sum(Decimal(str(one["usd"])) for one in found[name]) == total
    assert found["open"] == ["2026-01-09", "2026-01-10"]
    assert [one["day"] for one in found["days"]] == [f"2026-01-{day:02}" for day in range(1, 11)]


def test_cents_in_the_table_add_up_too():
    found = FILTERS["cost_event"](report())["after"]["tables"]
    (apps,) = (table for table in found if table["title"] == "Applications")
    *parts, total = apps["rows"]
    assert total[0] == "TOTAL" and sum(Decimal(one[1]) for one in parts) == Decimal(total[1])
    assert total[5] == "90.50"


def test_savings_of_an_application_are_those_of_its_regions_together():
    (none, web) = report()["savings"]
    assert (web["paid"], web["all_on_demand"], web["savings_percent"], web["fallback"]) == (6.0, 20.0, 70.0, 1.0)
    assert none["app"] == "none" and web["basis"] == "estimated" and web["since"] < web["until"]


def hours(day, app, kind, paid, ran):
    return {(day, (app, kind)): (units_of(paid), units_of(ran))}


def compared(rates=None):
    lines = {}
    for day in range(1, 11):
        for app in ("web", "worker", ""):
            lines |= hours(f"2026-01-{day:02}", app, "SpotUsage:m5.large", 1.0333333, 24) | hours(f"2026-01-{day:02}", app, "BoxUsage:m5.large", 0.3, 3)
    lines |= hours("2025-12-31", "web", "SpotUsage:m5.large", 100, 1000) | hours("2026-01-03", "web", "SpotUsage:x9.large", 5, 7)
    bases = {"start": "2025-12-01", "end": "2026-01-11", "paid_basis": "billed", "on_demand_basis": "list price"}
    return {**compare(lines, {"us-east-1": {"m5.large": 0.1}}, committed_rates=rates), **bases}


def test_the_months_saving_is_billed_and_the_estimate_keeps_what_only_it_can_tell():
    found = report(costs={**costs(), "equivalents": compared()})
    told = found["equivalents"]
    assert (told["start"], told["end"], told["paid_basis"], told["on_demand_basis"]) == ("2026-01-01", "2026-01-11", "billed", "list price")
    assert (told["spot_hours"], told["on_demand_hours"], told["on_demand_usd"], told["left_out_usd"]) == (720.0, 90.0, 81.0, 5.0)
    assert told["saved_usd"] == pytest.approx(81 - 40, abs=1e-5) and told["saved_percent"] == 50.6
    for name in ("paid_usd", "on_demand_usd", "saved_usd"):
        assert sum(Decimal(str(one[name])) for one in told["apps"]) == Decimal(str(told[name]))
    tables = {table["title"].partition(" (")[0]: table for table in FILTERS["cost_event"](found)["after"]["tables"]}
    *parts, total = tables["Savings of instances against On-Demand"]["rows"]
    for column in (3, 4, 5):
        assert sum(Decimal(one[column]) for one in parts) == Decimal(total[column]), "in cents, too"
    assert total == ["TOTAL", "720.0", "90.0", "40.00", "81.00", "41.00", "50.6 %"]
    assert tables["Fallback and interrupted work of instances that EC2 still shows"]["head"] == ["APPLICATION", "SINCE", "FALLBACK", "INTERRUPTED"]
    lines = FILTERS["cost_table"](found)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 100
    assert "so 41.00 (50.6 %) were saved" in text and "savings are of hours from 2026-01-01 until 2026-01-11" in text
    metrics = FILTERS["cost_metrics"](found, 0.0)
    assert 'spot_platform_instance_month_on_demand_usd{app="web",month="2026-01"} 27.0' in metrics
    assert 'spot_platform_instance_month_usd{app="worker",month="2026-01"} 13.33333' in metrics
    assert 'spot_platform_instance_cost_fallback_usd{app="web"} 1.0' in metrics


def test_the_rates_of_a_commitment_are_a_column_in_cents_that_add_up():
    found = report(costs={**costs(), "equivalents": compared({"m5.large": 0.0601234})})
    tables = {table["title"].partition(" (")[0]: table for table in FILTERS["cost_event"](found)["after"]["tables"]}
    table = tables["Savings of instances against On-Demand"]
    *parts, total = table["rows"]
    assert table["head"][-1] == "COMMITTED" and total[-1] == "48.70"
    assert sum(Decimal(one[-1]) for one in parts) == Decimal(total[-1])
    assert max(map(len, FILTERS["cost_table"](found))) <= 100
    some = report(costs={**costs(), "equivalents": compared({"c5.large": 0.06})})
    tables = {table["title"].partition(" (")[0]: table for table in FILTERS["cost_event"](some)["after"]["tables"]}
    assert tables["Savings of instances against On-Demand"]["head"][-1] == "SHARE"


def test_a_month_that_is_over_has_its_saving_and_without_hours_there_is_none():
    found = report(over=True, costs={**costs(), "equivalents": compared()})
    assert found["equivalents"]["saved_percent"] == 50.6
    nothing = {**compared(), "rows": []}
    found = report(costs={**costs(), "equivalents": nothing})
    assert found["equivalents"]["apps"] == [] and "were saved" not in FILTERS["cost_table"](found)[0]
    assert report()["equivalents"] is None


def test_the_table_fits_a_terminal_and_says_what_is_to_be_known():
    lines = FILTERS["cost_table"](report())
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert "2026-01 has cost 100.00 USD (billed), 90.50 USD are to be expected at its end (80.00 to 99.00)" in text
    assert re.search(r"^web +33\.3[34] +33\.3 % +50\.00 +40 % +60\.00$", text, re.MULTILINE)
    assert "(no application)" in text and "Days out of line" in text
    assert "2 of the days may still change" in text and "has cost 0.03 USD, for 3 requests" in text


def test_waste_is_listed_and_what_could_not_be_looked_for_is_said():
    one = {"kind": "volume.gp2", "resource": "vol-1", "region": "us-east-1", "usd_month": 2.0}
    error = {"region": "eu-west-1", "missing": "volume.gp2", "message": "access denied"}
    found = report(waste={"findings": [one, {**one, "resource": "vol-2", "usd_month": 1.5}], "usd_month": 3.5, "errors": [error]})
    text = "\n".join(FILTERS["cost_table"](found))
    assert re.search(r"^volume.gp2 +vol-1 +us-east-1 +2\.00$", text, re.MULTILINE)
    assert "3.50 USD a month are wasted in 2 places" in text and "waste is not known in full: eu-west-1: access denied" in text
    assert 'spot_platform_waste_month_usd{kind="volume.gp2",region="us-east-1"} 3.5' in FILTERS["cost_metrics"](found, 0.0)


def test_of_a_month_that_is_over_nothing_is_forecast():
    found = report(over=True)
    assert found["forecast"] is None and "expected" not in FILTERS["cost_table"](found)[0]
    assert "forecast" not in FILTERS["cost_metrics"](found, 0.0)


def test_a_month_without_costs_is_shown():
    lines = FILTERS["cost_table"](report(costs=costs([])))
    assert any(line.startswith("TOTAL") and "0.00" in line for line in lines)


def test_csv_is_read_as_it_was_meant_and_is_no_formula():
    rows = [row("2026-01-01", "=HYPERLINK(1)", 1.5), row("2026-01-02", 'a "b", c', 0.000001)]
    text = FILTERS["cost_csv"](report(costs=costs(rows)))
    head, first, second = csv.reader(io.StringIO(text))
    assert head == ["day", "app", "service", "region", "purchase", "usd", "basis"]
    assert first[1] == "'=HYPERLINK(1)" and float(first[5]) == 1.5 and first[3] == ""
    assert second[1] == 'a "b", c' and float(second[5]) == 1e-6


def test_metrics_have_the_format_of_prometheus():
    text = FILTERS["cost_metrics"](report(costs=costs([row("2026-01-01", 'we"b\\\n', 2.5)])), 1768000000.5)
    sample = re.compile(r'spot_platform_\w+(\{\w+="(\\.|[^"\\\n])*"(,\w+="(\\.|[^"\\\n])*")*\})? -?[0-9.e+-]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP spot_platform_", "# TYPE spot_platform_")) or sample.fullmatch(line), line
    assert 'spot_platform_cost_month_usd{app="we\\"b\\\\\\n",service="Amazon' in text
    assert 'spot_platform_budget_spent_ratio{app="web"} 0.4' in text
    assert 'spot_platform_cost_forecast_usd{app="",bound="expected"} 90.5' in text
    assert text.endswith("spot_platform_cost_report_timestamp_seconds 1768000000.5\n")
    assert 'budget_usd{environment="it",app="web"} 50.0' in FILTERS["cost_metrics"](report(), 0.0, environment="it")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (({}, {"budgets": []}, "2026-01"), "needs the result of spot.platform.cost_info"),
        ((costs(), {}, "2026-01"), "needs the result of spot.platform.cost_watch"),
        ((costs(), {"budgets": []}, "January"), "the month is 'January'"),
    ],
)
def test_what_is_no_result_is_refused(given, message):
    with pytest.raises(AnsibleFilterError, match=message):
        FILTERS["cost_report"](*given)
