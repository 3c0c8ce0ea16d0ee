"""What several modules tell of, as the page shows it."""

from __future__ import annotations

import pytest
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
    saved = {"saved_usd": 3.0, "saved_share": 0.75, "saved_since": MONEY["since"], "fallback_usd": 0.25, "interrupted_usd": 0.5}
    assert saved_of(fleets) == saved and saved_of([]) == {}
    made = compose({"fleets": fleets, "costs": {"basis": "billed"}}, [], "2026-01-31T00:00:00Z")
    assert made["costs"] == {"basis": "billed", **saved}
    assert "costs" not in compose({"fleets": fleets}, [], "2026-01-31T00:00:00Z")


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
    pool = {"pool": "us-east-1a/m5.large", "held": 2, "wanted": 4, "instance_price_per_hour": 0.04, "hours_to_a_loss": 30.0, "chance_open": 1.0}
    decisions = [
        {"region": "us-east-1", "pools": [pool]},
        {"region": "us-east-1", "pools": [{**pool, "held": 1, "wanted": 0, "hours_to_a_loss": 20.0, "chance_open": 0.6}]},
        {"region": "eu-west-1"},
    ]
    assert market_of(decisions) == {
        "pools": [
            {
                "region": "us-east-1", "zone": "us-east-1a", "type": "m5.large", "held": 3, "wanted": 4, "price": 0.04, "hours_to_a_loss": 20.0,
                "chance_open": 0.6,
            }
        ]
    }  # fmt: skip
