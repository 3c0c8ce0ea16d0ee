# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cost_info against the sandbox: the fewest requests, none twice, none past the budget, and an estimate where none is allowed."""

from __future__ import annotations

import json
import stat
import threading
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

COMPUTE, EBS, BALANCING = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other", "Amazon Elastic Load Balancing"
DEMAND, SPOT, PLANS = "On Demand Instances", "Spot Instances", "Savings Plans"
TODAY = datetime.now(timezone.utc).date()
LAST_MONTH = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
MONTH = [LAST_MONTH + timedelta(days=number) for number in range((TODAY.replace(day=1) - LAST_MONTH).days)]


def bill(days=MONTH, apps=("web", "worker")):
    lines = []
    for number, day in enumerate(days):
        for weight, app in enumerate((*apps, None), 1):
            for service, purchase, usd in (
                (COMPUTE, DEMAND, 1.1),
                (COMPUTE, SPOT, 0.3333333),
                (COMPUTE, PLANS, 0.1),
                (EBS, DEMAND, 0.0700001),
                (BALANCING, DEMAND, 0.54),
            ):
                line = {"day": str(day), "service": service, "purchase": purchase, "usd": usd * weight + number / 3}
                lines.append(line | ({"app": app} if app else {}))
    return lines


@pytest.fixture
def costs(fresh, run_module, tmp_path):
    """``costs(**options)``: the module's answer for last month, with a cache of the test's own, and the requests that it made."""

    def ask(denied=False, **options):
        fresh.post("/sandbox/calls/reset")
        given = {"start": str(LAST_MONTH), "end": str(TODAY.replace(day=1)), "cache_dir": str(tmp_path / "cache"), **options}
        answer = run_module("cost_info", given)
        made = sum(fresh.get("/sandbox/calls")["services"].get("ce", {}).values())
        assert answer["api_requests"] == (0 if denied else made), "what it says that it asked"
        return answer

    return ask


def exact(rows):
    return sum(Decimal(str(row["usd"])) for row in rows)


def test_a_month_takes_the_planned_requests_and_none_when_it_is_asked_for_again(fresh, costs):
    lines = bill()
    fresh.post("/sandbox/costs", lines=lines)
    first = costs()
    assert (first["api_requests"], first["api_cost_usd"], first["cached_requests"]) == (3, 0.03, 0)
    assert (first["basis"], first["reason"], first["changed"]) == ("billed", None, False)
    assert len(first["rows"]) == len(lines)
    assert first["total_usd"] == pytest.approx(sum(line["usd"] for line in lines))
    (row,) = (
        row
        for row in first["rows"]
        if (row["day"], row["app"], row["service"], row["purchase"]) == (str(MONTH[3]), "worker", COMPUTE, SPOT)
    )
    assert row["usd"] == pytest.approx(0.3333333 * 2 + 1, abs=1e-6) and row["region"] is None and row["basis"] == "billed"
    again = costs()
    assert (again["api_requests"], again["api_cost_usd"], again["cached_requests"]) == (0, 0.0, 3)
    assert again["rows"] == first["rows"] and again["totals"] == first["totals"]


def test_sums_are_exactly_their_parts(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill())
    found = costs(by=["app", "service", "region", "purchase"])
    total = Decimal(str(found["total_usd"]))
    assert exact(found["rows"]) == total
    for sums in found["totals"].values():
        assert sum(Decimal(str(usd)) for usd in sums.values()) == total
    for app, usd in found["totals"]["app"].items():
        assert exact(row for row in found["rows"] if row["app"] == app) == Decimal(str(usd))


def test_a_question_that_needs_days_of_which_some_are_kept_asks_for_the_others_only(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill())
    costs(by=["app"], end=str(MONTH[10]))
    fresh.post("/sandbox/costs", lines=[{"day": str(MONTH[2]), "app": "web", "usd": 1000}])
    found = costs(by=["app"])
    assert (found["api_requests"], found["cached_requests"]) == (1, 0)
    assert found["total_usd"] < 1000 + sum(line["usd"] for line in bill()), "the kept day is not asked for again"
    assert costs(by=["app"], start=str(MONTH[5]))["api_requests"] == 0


def test_each_page_is_counted_and_paid_for(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill(), page=20)
    found = costs(by=["app"])
    assert found["api_requests"] == -(-len(MONTH) * 3 // 20) and found["api_cost_usd"] == round(found["api_requests"] / 100, 2)
    assert found["total_usd"] == pytest.approx(sum(line["usd"] for line in bill()))


def test_nothing_is_asked_past_the_budget_and_what_was_answered_is_kept(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill())
    refused = costs(max_usd=0)
    assert refused["failed"] and refused["api_requests"] == 0
    assert "0 requests were made, and at least 1 more is needed, 0.01 USD in all, but max_usd allows 0.00 USD" in refused["msg"]
    partly = costs(max_usd=0.02)
    assert partly["failed"] and partly["api_requests"] == 2 and "at least 1 more is needed, 0.03 USD in all" in partly["msg"]
    rest = costs(max_usd=0.01)
    assert (rest["api_requests"], rest["cached_requests"]) == (1, 2)
    assert costs(max_usd=0)["rows"] == rest["rows"], "what is kept costs nothing"
    fresh.post("/sandbox/costs", page=10)
    paged = costs(by=["region"], max_usd=0.02)
    assert paged["failed"] and paged["api_requests"] == 2


def test_the_cache_is_its_owners_alone_and_a_damaged_one_is_asked_again(fresh, costs, tmp_path):
    fresh.post("/sandbox/costs", lines=bill())
    whole = costs(by=["app"])
    files = sorted((tmp_path / "cache").glob("*.json"))
    assert len(files) == 1 and all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    text = files[0].read_text("utf-8")
    for damage in (text[:-40], "", "[]", text.replace('"asked":', '"asked":"x'), text.replace('"groups":[', '"groups":[[],')):
        files[0].write_text(damage, "utf-8")
        found = costs(by=["app"])
        assert found["api_requests"] == 1 and found["rows"] == whole["rows"]


def test_where_nothing_can_be_kept_the_answer_is_there_and_it_is_said(fresh, costs, tmp_path):
    fresh.post("/sandbox/costs", lines=bill())
    (tmp_path / "file").write_text("in the way", "utf-8")
    found = costs(by=["app"], cache_dir=str(tmp_path / "file" / "cache"))
    assert found["api_requests"] == 1 and found["rows"]
    assert any("are not kept" in text for text in found["notes"])


def test_two_at_once_ask_once(fresh, run_module, tmp_path):
    fresh.post("/sandbox/costs", lines=bill())
    fresh.post("/sandbox/faults", rules=[{"kind": "latency", "service": "ce", "seconds": 1}])
    fresh.post("/sandbox/calls/reset")
    given = {"start": str(LAST_MONTH), "end": str(TODAY.replace(day=1)), "cache_dir": str(tmp_path)}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(run_module("cost_info", given))) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh.get("/sandbox/calls")["services"]["ce"] == {"GetCostAndUsage": 3}
    assert sorted(one["api_requests"] for one in answers) == [0, 3]
    assert answers[0]["rows"] == answers[1]["rows"]


def test_days_that_have_not_settled_are_asked_for_again(fresh, costs):
    days = [TODAY - timedelta(days=number) for number in range(8)]
    fresh.post("/sandbox/costs", lines=[{"day": str(day), "app": "web", "usd": 2} for day in days])
    asked = {"start": str(days[-1]), "end": str(TODAY + timedelta(days=1)), "by": ["app"]}
    first = costs(**asked)
    assert first["total_usd"] == 16 and str(TODAY) in first["period"]["open"]
    assert costs(**asked)["api_requests"] == 0, "within cache_hours"
    fresh.post("/sandbox/costs", lines=[{"day": str(day), "app": "web", "usd": 100} for day in (TODAY, days[-1])])
    later = costs(**asked, cache_hours=0)
    assert later["api_requests"] == 1 and later["total_usd"] == 116, "the day that has settled is kept"


def test_months_for_a_payer_of_several_accounts(fresh, costs):
    lines = bill()
    for number, line in enumerate(lines):
        line["account"] = ("111111111111", "222222222222")[number % 2]
    fresh.post("/sandbox/costs", lines=lines)
    found = costs(granularity="month", by=["app", "service"], accounts=["222222222222"])
    assert {row["day"] for row in found["rows"]} == {str(LAST_MONTH)} and found["api_requests"] == 1
    assert found["total_usd"] == pytest.approx(sum(line["usd"] for line in lines if line["account"] == "222222222222"))
    everything = costs(granularity="month", by=[])
    assert [row["app"] for row in everything["rows"]] == [None]
    assert everything["total_usd"] == pytest.approx(sum(line["usd"] for line in lines))


def test_some_apps_are_a_part_of_the_same_answer(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill())
    whole = costs(by=["app", "service"])
    part = costs(by=["service"], apps=["worker"])
    assert part["api_requests"] == 0 and part["total_usd"] == whole["totals"]["app"]["worker"]
    assert {row["app"] for row in part["rows"]} == {"worker"}


def test_a_tag_that_is_not_activated_is_told_and_asked_about_once(fresh, costs):
    client = fresh.client("ce")
    fresh.post("/sandbox/costs", lines=bill())
    client.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": "spot.platform/app", "Status": "Inactive"}])
    found = costs(by=["app"])
    assert found["totals"]["app"].keys() == {""} and found["api_requests"] == 2
    (said,) = found["notes"]
    assert f"on {len(MONTH)} of {len(MONTH)} days with costs" in said and "is not activated: activate it in the payer account" in said
    assert costs(by=["app"])["notes"] == [said]
    assert costs(by=["app"])["api_requests"] == 0


def test_costs_before_the_tag_was_activated_are_told(fresh, costs):
    client = fresh.client("ce")
    for status in ("Inactive", "Active"):
        client.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": "spot.platform/app", "Status": status}])
    fresh.post("/sandbox/costs", lines=bill())
    (said,) = costs(by=["app"])["notes"]
    assert f"the cost allocation tag spot.platform/app is active since {TODAY}" in said


def test_without_permission_the_costs_are_estimated_from_what_runs(fresh, costs, tmp_path):
    made = fresh.post("/sandbox/instances", region="us-east-1", count=20, app="web", environment="production")
    assert made["count"] == 20
    fresh.post("/sandbox/clock", advance=7200, speed=0)
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ce"}])
    asked = {"start": str(TODAY), "end": str(TODAY + timedelta(days=1)), "regions": ["us-east-1"]}
    found = costs(denied=True, **asked)
    assert (found["basis"], found["api_requests"], found["api_cost_usd"]) == ("estimated", 0, 0.0)
    assert "allow the IAM action ce:GetCostAndUsage" in found["reason"] and "list prices" in found["reason"]
    assert {(row["app"], row["service"]) for row in found["rows"]} <= {("web", COMPUTE), ("web", EBS), ("", EBS)}
    assert all(row["basis"] == "estimated" for row in found["rows"])
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "pricing"}])
    partly = costs(source="estimated", **asked, cache_dir=str(tmp_path / "other"))
    assert "us-east-1: cannot read the On-Demand prices" in partly["notes"][0]
    assert {row["service"] for row in partly["rows"]} == {EBS}


def test_billed_only_fails_where_it_is_denied(fresh, costs):
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ce"}])
    refused = costs(denied=True, source="billed")
    assert refused["failed"] and "cannot read the costs from Cost Explorer in us-east-1: access denied" in refused["msg"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": "2026-02-30"}, "start is '2026-02-30': write a day as in 2026-01-31"),
        ({"start": str(TODAY), "end": str(LAST_MONTH)}, "is empty"),
        ({"start": str(TODAY + timedelta(days=2)), "end": str(TODAY + timedelta(days=3))}, "in the future"),
        ({"end": str(TODAY + timedelta(days=40))}, "in the future"),
        ({"start": str(date(TODAY.year - 2, 1, 1))}, "keeps 14 months by day"),
        ({"max_usd": -1}, "max_usd is -1: it must be 0 or more"),
        ({"cache_hours": -1}, "cache_hours is -1"),
        ({"accounts": ["prod"]}, "accounts[0] is 'prod': an account is a number of twelve digits"),
    ],
)
def test_input_that_cannot_be_is_refused_before_anything_is_asked(costs, wrong, message):
    refused = costs(**wrong)
    assert refused["failed"] and message in refused["msg"] and refused["api_requests"] == 0


def test_an_application_without_costs_is_refused_with_those_that_have_some(fresh, costs):
    fresh.post("/sandbox/costs", lines=bill())
    refused = costs(apps=["wbe"])
    assert refused["failed"] and "nothing is booked to the application wbe" in refused["msg"] and "there is web, worker" in refused["msg"]


@pytest.fixture
def ran(fresh):
    """Hours of instances in two regions, Spot and On-Demand, of two applications, all on the day of the module; each with its price On-Demand."""
    for region, app, spot_share in (("us-east-1", "web", 0.5), ("eu-west-1", "web", 1.0), ("us-east-1", "worker", 0.0)):
        fresh.post("/sandbox/instances", region=region, count=6, app=app, environment="production", spot_share=spot_share)
    left = 86400 - fresh.get("/sandbox/clock")["epoch"] % 86400
    fresh.post("/sandbox/clock", advance=min(4 * 3600, left / 2), speed=0)
    fresh.post("/sandbox/costs", lines=[{"day": fresh.get("/sandbox/clock")["time"][:10], "usd": 9, "app": "web", "usage_type": "DataTransfer-Out-Bytes"}])
    prices = {
        (region, pool["instance_type"]): pool["on_demand_price"]
        for region in ("us-east-1", "eu-west-1")
        for pool in fresh.get("/sandbox/market", region=region)["pools"]
    }
    history = fresh.get("/sandbox/history")
    return [
        {**one, "hours": (history["now"] - one["launched"]) / 3600, "price": prices[one["region"], one["instance_type"]]}
        for one in history["instances"]
    ]


def test_the_same_hours_on_demand_are_those_of_the_instances_at_list_price(fresh, costs, ran):
    day = fresh.get("/sandbox/clock")["time"][:10]
    asked = {"start": day, "end": str(date.fromisoformat(day) + timedelta(days=1)), "by": ["app"], "equivalents": True}
    found = costs(**asked)
    assert (found["api_requests"], found["basis"]) == (2, "billed"), "one for the costs, one for the hours"
    told = found["equivalents"]
    assert len(ran) == 18
    assert told["on_demand_usd"] == pytest.approx(sum(one["hours"] * one["price"] for one in ran), abs=1e-4)
    assert told["paid_usd"] == pytest.approx(sum(one["cost"] for one in ran), abs=1e-4)
    for lifecycle in ("spot", "on_demand"):
        assert told[f"{lifecycle}_hours"] == pytest.approx(sum(one["hours"] for one in ran if one["lifecycle"] == lifecycle), abs=1e-4)
    for name in ("paid_usd", "on_demand_usd", "saved_usd"):
        assert sum(Decimal(str(row[name])) for row in told["rows"]) == Decimal(str(told[name]))
    assert {(row["app"], row["region"]) for row in told["rows"]} == {("web", "us-east-1"), ("web", "eu-west-1"), ("worker", "us-east-1")}
    (worker,) = (one for one in told["apps"] if one["app"] == "worker")
    assert worker["saved_usd"] == pytest.approx(0, abs=1e-4) and told["saved_usd"] > 0
    assert (told["other_usd"], told["left_out_usd"], found["notes"]) == (9.0, 0.0, [])
    assert (told["start"], told["end"], told["paid_basis"], told["on_demand_basis"]) == (day, asked["end"], "billed", "list price")
    again = costs(**asked)
    assert (again["api_requests"], again["cached_requests"]) == (0, 2) and again["equivalents"] == told
    rates = {one["instance_type"]: one["price"] * 0.6 for one in ran}
    rated = costs(**asked, committed_rates=rates)["equivalents"]
    assert rated["committed_usd"] == pytest.approx(sum(one["hours"] * rates[one["instance_type"]] for one in ran), abs=1e-4)
    assert told["committed_usd"] is None and rated["paid_usd"] == told["paid_usd"]
    refused = costs(**asked, committed_rates={"m5.large": -1})
    assert refused["failed"] and "committed_rates.m5.large is -1: it must be 0 or more" in refused["msg"]
    part = costs(**asked, apps=["worker"])["equivalents"]
    assert part["apps"] == [worker] and part["other_usd"] == 0
    assert costs(**{**asked, "equivalents": False})["equivalents"] is None


def test_hours_are_counted_before_anything_is_asked_and_each_of_their_pages_is_paid_for(fresh, costs, tmp_path):
    fresh.post("/sandbox/costs", lines=bill())
    refused = costs(by=["app"], equivalents=True, max_usd=0.01)
    assert refused["failed"] and refused["api_requests"] == 0 and "at least 2 more are needed, 0.02 USD in all" in refused["msg"]
    whole = costs(by=["app"], equivalents=True, max_usd=0.02)
    assert whole["api_requests"] == 2
    told = whole["equivalents"]
    assert told["spot_hours"] == told["on_demand_hours"] == 3 * len(MONTH), "what a Savings Plan covers is in neither side"
    fresh.post("/sandbox/costs", page=25)
    paged = costs(by=[], equivalents=True, cache_dir=str(tmp_path / "other"), max_usd=0.2)
    assert paged["api_requests"] == 2 + -(-6 * len(MONTH) // 25)
    assert paged["equivalents"] == told
    assert costs(by=["app"], equivalents=True, max_usd=0)["equivalents"] == told, "what is kept costs nothing"


def test_hours_by_month_and_of_an_environment(fresh, costs):
    lines = [{**line, "tags": {"spot.platform/environment": "production"}} for line in bill(apps=("web",))]
    fresh.post("/sandbox/costs", lines=[*lines, *bill(apps=("other",))])
    told = costs(by=["app"], granularity="month", environment="production", equivalents=True)["equivalents"]
    assert {row["day"] for row in told["rows"]} == {str(LAST_MONTH)} and {one["app"] for one in told["apps"]} == {"web", ""}
    assert told["spot_hours"] == 2 * len(MONTH)


def test_what_has_no_price_is_named_and_left_out_of_both_sides(fresh, costs, tmp_path):
    lines = [{"day": str(MONTH[0]), "app": "web", "usd": 1, "usage": 10, "usage_type": kind} for kind in ("SpotUsage:m5.large", "SpotUsage:x99.large")]
    fresh.post("/sandbox/costs", lines=[*lines, {**lines[0], "usd": 3, "usage_type": "LAX1-BoxUsage:m5.large"}])
    found = costs(by=["app"], equivalents=True)
    told = found["equivalents"]
    assert (told["paid_usd"], told["left_out_usd"]) == (1.0, 4.0) and told["on_demand_usd"] == pytest.approx(0.96)
    (said,) = found["notes"]
    assert "4.00 USD for 20 hours of instances are in neither side of the comparison" in said and "SpotUsage:x99.large" in said and "LAX1" in said
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "pricing"}])
    without = costs(by=["app"], equivalents=True, cache_dir=str(tmp_path / "other"))
    assert without["rows"] == found["rows"] and without["equivalents"]["left_out_usd"] == 5.0
    assert without["equivalents"]["saved_percent"] is None and "allow the IAM action pricing:GetProducts" in without["notes"][0]


def test_where_cost_explorer_is_denied_nothing_is_compared_and_it_is_said(fresh, costs):
    fresh.post("/sandbox/instances", region="us-east-1", count=3, app="web", environment="production")
    fresh.post("/sandbox/clock", advance=3600)
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ce"}])
    found = costs(denied=True, start=str(TODAY), end=str(TODAY + timedelta(days=1)), regions=["us-east-1"], equivalents=True)
    assert found["basis"] == "estimated" and found["equivalents"] is None and found["rows"]
    assert any("are not known without Cost Explorer" in text for text in found["notes"])


def test_hours_that_are_damaged_on_disk_are_asked_for_again(fresh, costs, tmp_path):
    fresh.post("/sandbox/costs", lines=bill())
    whole = costs(by=[], equivalents=True)
    for file in (tmp_path / "cache").glob("*.json"):
        kept = json.loads(file.read_text("utf-8"))
        for answer in kept.get("values", {}).values():
            answer["groups"] = [group[:-1] for group in answer["groups"]]
        file.write_text(json.dumps(kept), "utf-8")
    again = costs(by=[], equivalents=True)
    assert again["api_requests"] == 2 and again["equivalents"] == whole["equivalents"]
