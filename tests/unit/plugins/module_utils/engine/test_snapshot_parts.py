"""What several modules tell of, as the page shows it."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import COMPUTE, compare
from ansible_collections.spot.platform.plugins.module_utils.engine.money import units_of
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot import compose
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot_parts import costs_of, market_of, purchase_of, saved_of

ROWS = [
    {"day": "2026-01-30", "app": "web", "service": "EC2", "region": None, "purchase": "Spot Instances", "usd": 1.1, "basis": "billed"},
    {"day": "2026-01-31", "app": "web", "service": "EC2", "region": None, "purchase": "On Demand Instances", "usd": 0.2, "basis": "billed"},
    {"day": "2025-12-31", "app": "", "service": "S3", "region": None, "purchase": "NoPurchase", "usd": 5.0, "basis": "billed"},
]
COSTS = {"rows": ROWS, "basis": "billed", "reason": None, "notes": ["a tag is not active"]}
BUDGET = {"app": "web", "budget_usd": 10.0, "spent_usd": 8.5, "spent_percent": 85.0, "crossed_percent": 80.0, "forecast": {"expected": 12.0}}
ODD = {"day": "2026-01-31", "app": "web", "usd": 9.0, "usual_usd": 2.0, "causes": [{"app": "web", "service": "EC2"}]}
WATCH = {"budgets": [BUDGET], "forecast": {"expected": 12.0, "low": 11.0, "high": 13.0}, "anomalies": [ODD]}
MONEY = {"since": "2026-01-30T00:00:00Z", "until": "2026-01-31T00:00:00Z", "spot_platform": 1.0, "all_on_demand": 4.0}
FLEET = {"app": "web", "cost": {**MONEY, "fallback": 0.25, "interrupted": 0.5}}
FINDING = {
    "kind": "volume.unattached", "resource": "vol-1", "region": "us-east-1", "app": None, "usd_month": 8.0, "reasons": ["old", "unused"],
    "command": "aws ec2 delete-volume",
}  # fmt: skip


def test_the_costs_of_a_page_are_those_of_the_modules():
    part = costs_of(COSTS, WATCH, {"findings": [FINDING]}, "2026-01-31")
    assert (part["today_usd"], part["month_usd"], part["basis"]) == (0.2, 1.3, "billed")
    assert [row["purchase"] for row in part["days"]] == ["spot", "on_demand", "other"] and ROWS[0]["purchase"] == "Spot Instances"
    assert part["forecast"] == {"month_end_usd": 12.0, "low_usd": 11.0, "high_usd": 13.0, "confidence": 0.8}
    assert part["budgets"] == [
        {"app": "web", "monthly_usd": 10.0, "spent_usd": 8.5, "share": 0.85, "forecast_share": 1.2, "crossed": [0.8]}
    ]
    assert part["anomalies"][0]["text"] == "web cost 9.00 USD on 2026-01-31, and 2.00 on days alike, because of EC2"
    assert (part["waste"][0]["why"], part["waste"][0]["remedy"]) == ("old; unused", "aws ec2 delete-volume")
    assert part["warnings"] == ["a tag is not active"]


def test_what_was_saved_is_that_of_the_fleets_and_comes_with_the_costs():
    fleets = [FLEET, {"app": "new", "cost": None}]
    since = MONEY["since"]
    saved = {"saved_usd": 3.0, "saved_share": 0.75, "saved_since": since, "saved_basis": "estimated"}
    saved |= {"fallback_usd": 0.25, "interrupted_usd": 0.5, "fallback_since": since}
    assert saved_of(fleets) == saved and saved_of([]) == {}
    made = compose({"fleets": fleets, "costs": {"basis": "billed"}}, [], "2026-01-31T00:00:00Z")
    assert made["costs"] == {"basis": "billed", **saved}
    assert "costs" not in compose({"fleets": fleets}, [], "2026-01-31T00:00:00Z")


def test_days_have_what_they_would_have_cost_on_demand_and_the_month_what_it_saved():
    rows = [
        {"day": day, "app": "web", "service": service, "region": None, "purchase": purchase, "usd": usd, "basis": "billed"}
        for day, service, purchase, usd in (
            ("2026-01-30", COMPUTE, "Spot Instances", 1.1), ("2026-01-30", COMPUTE, "On Demand Instances", 0.2),
            ("2026-01-30", "EC2 - Other", "On Demand Instances", 0.3), ("2025-12-31", COMPUTE, "Spot Instances", 2.0),
            ("2026-01-29", COMPUTE, "Spot Instances", 7.0),
        )
    ]  # fmt: skip
    lines = {
        ("2026-01-30", ("web", "SpotUsage:m5.large")): (units_of(0.4), units_of(10)),
        ("2026-01-30", ("web", "EU-SpotUsage:m5.large")): (units_of(0.6), units_of(10)),
        ("2026-01-30", ("web", "BoxUsage:m5.large")): (units_of(0.2), units_of(2)),
        ("2026-01-29", ("web", "SpotUsage:x9.large")): (units_of(7), units_of(10)),
        ("2025-12-31", ("web", "SpotUsage:m5.large")): (units_of(2), units_of(30)),
    }
    compared = compare(lines, {"us-east-1": {"m5.large": 0.1}, "eu-west-1": {"m5.large": 0.11}})
    told = {**compared, "start": "2025-12-05", "end": "2026-01-31", "paid_basis": "billed", "on_demand_basis": "list price"}
    part = costs_of({**COSTS, "rows": rows, "equivalents": told}, WATCH, None, "2026-01-30")
    shown = [row.get("on_demand_usd") for row in part["days"]]
    assert shown == [2.2, 0.2, None, 3.0, None], "what has no price or is no instance has no such figure"
    saved = {"saved_usd": 1.1, "saved_share": pytest.approx(1.1 / 2.3), "saved_since": "2026-01-01T00:00:00Z"}
    saved["saved_basis"] = "billed, On-Demand at list price"
    assert {name: part[name] for name in saved} == saved
    made = compose({"fleets": [FLEET], "costs": part}, [], "2026-01-31T00:00:00Z")["costs"]
    assert {name: made[name] for name in saved} == saved, "what is billed comes before the estimate"
    assert (made["fallback_usd"], made["fallback_since"]) == (0.25, MONEY["since"])
    by_region = [{**rows[0], "region": region} for region in ("us-east-1", "eu-west-1")]
    part = costs_of({**COSTS, "rows": by_region, "equivalents": told}, WATCH, None, "2026-01-30")
    assert [row["on_demand_usd"] for row in part["days"]] == [1.7, 1.6]


def test_a_month_that_begins_has_no_forecast():
    part = costs_of({**COSTS, "rows": []}, {"budgets": [], "forecast": None, "anomalies": []}, None, "2026-01-31")
    assert (part["forecast"], part["today_usd"]) == (None, 0.0)
    assert "waste" not in part, "it could not be looked for"
    assert costs_of(COSTS, WATCH, {"findings": []}, "2026-01-31")["waste"] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Standard Reserved Instances", "reserved"),
        ("Savings Plans", "savings_plan"),
        ("On Demand Instances", "on_demand"),
        ("Spot Instances", "spot"),
        ("", "other"),
        (None, None),
    ],
)
def test_purchase_options(text, name):
    assert purchase_of(text) == name


def test_the_market_has_each_pool_once_with_what_all_hold():
    pool = {
        "pool": "us-east-1a/m5.large", "held": 2, "wanted": 4, "instance_price_per_hour": 0.04, "on_demand_price_per_hour": 0.16,
        "interruption_band": "<5 %", "placement_score": None, "hours_to_a_loss": 30.0, "chance_open": 1.0,
    }  # fmt: skip
    decisions = [
        {"region": "us-east-1", "pools": [pool]},
        {"region": "us-east-1", "pools": [{**pool, "held": 1, "wanted": 0, "hours_to_a_loss": 20.0, "chance_open": 0.6}]},
        {"region": "eu-west-1"},
    ]
    assert market_of(decisions) == {
        "pools": [
            {
                "region": "us-east-1", "zone": "us-east-1a", "type": "m5.large", "held": 3, "wanted": 4, "price": 0.04,
                "on_demand_price": 0.16, "saving": 0.75, "interruption_band": "<5 %", "score": None, "hours_to_a_loss": 20.0, "chance_open": 0.6,
            }
        ]
    }  # fmt: skip
