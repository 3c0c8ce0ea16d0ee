# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Billed hours beside the same hours On-Demand: usage types read, sums that are their parts, and what is not known in neither side."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import (
    REGIONS,
    Hours,
    by_app,
    compare,
    hours_of,
    left_out,
    regions_of,
    summed,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.money import units_of

DAY = "2026-01-31"
PRICES = {"us-east-1": {"m5.large": 0.096, "c5.large": 0.085}, "eu-west-1": {"m5.large": 0.107}}
SUMS = ("paid_usd", "on_demand_usd", "saved_usd")


def usage(*lines):
    """Of (app, usage type, USD, hours), on one day each."""
    return {(DAY, (app, kind)): (units_of(paid), units_of(hours)) for app, kind, paid, hours in lines}


@pytest.mark.parametrize(
    ("usage_type", "expected"),
    [
        ("BoxUsage:m5.large", Hours("", "us-east-1", "on_demand", "m5.large")),
        ("SpotUsage:c5.large", Hours("", "us-east-1", "spot", "c5.large")),
        ("USE2-SpotUsage:c5.large", Hours("USE2", "us-east-2", "spot", "c5.large")),
        ("EU-BoxUsage:m5.24xlarge", Hours("EU", "eu-west-1", "on_demand", "m5.24xlarge")),
        ("EUC1-SpotUsage:u-6tb1.56xlarge", Hours("EUC1", "eu-central-1", "spot", "u-6tb1.56xlarge")),
        ("APS3-BoxUsage:c6gd.metal", Hours("APS3", "ap-south-1", "on_demand", "c6gd.metal")),
        ("BoxUsage", Hours("", "us-east-1", "on_demand", "m1.small")),
        ("LAX1-BoxUsage:t3.medium", Hours("LAX1", None, "on_demand", "t3.medium")),
        ("HostBoxUsage:m5.large", None),
        ("USW2-DedicatedUsage:m5.large", None),
        ("USE2-UnusedBox:m5.large", None),
        ("EBSOptimized:m4.large", None),
        ("DataTransfer-Out-Bytes", None),
        ("APE1-USE1-AWS-In-Bytes", None),
        ("", None),
    ],
)
def test_a_usage_type_says_region_lifecycle_and_instance_type(usage_type, expected):
    assert hours_of(usage_type) == expected


def test_each_region_has_one_code_and_the_first_none():
    assert len(set(REGIONS.values())) == len(REGIONS) - 1, "us-east-1 alone has two, none and its own"
    assert REGIONS[""] == REGIONS["USE1"] == "us-east-1"


def test_the_hours_of_each_app_and_lifecycle_are_priced_in_their_region():
    found = compare(
        usage(
            ("web", "SpotUsage:m5.large", 0.96, 24), ("web", "BoxUsage:m5.large", 0.576, 6), ("web", "EU-SpotUsage:m5.large", 0.4, 10),
            ("", "SpotUsage:c5.large", 0.03, 1),
        ),
        PRICES,
    )  # fmt: skip
    rows = {(row["app"], row["region"], row["lifecycle"]): row for row in found["rows"]}
    assert rows["web", "us-east-1", "spot"] == {
        "day": DAY, "app": "web", "region": "us-east-1", "instance_type": "m5.large", "lifecycle": "spot", "hours": 24.0, "paid_usd": 0.96,
        "on_demand_usd": 2.304, "saved_usd": 1.344, "committed_usd": None, "left_out": None,
    }  # fmt: skip
    assert rows["web", "us-east-1", "on_demand"]["saved_usd"] == 0.0
    assert rows["web", "eu-west-1", "spot"]["on_demand_usd"] == 1.07
    assert (found["spot_hours"], found["on_demand_hours"], found["left_out_usd"], found["other_usd"]) == (35.0, 6.0, 0.0, 0.0)
    assert [(one["app"], one["saved_usd"], one["saved_percent"]) for one in found["apps"]] == [("", 0.055, 64.7), ("web", 2.014, 51.0)]


def test_sums_are_exactly_their_parts_whatever_the_figures():
    chance = random.Random(7)
    lines = {
        (f"2026-01-{day:02}", (app, kind)): (chance.randrange(10**12), chance.randrange(10**13))
        for day in range(1, 29)
        for app in ("web", "worker", "")
        for kind in ("BoxUsage:m5.large", "SpotUsage:c5.large", "EU-SpotUsage:m5.large", "SpotUsage:x9.large", "DataTransfer-Out-Bytes")
    }
    found = compare(lines, PRICES)
    compared = [row for row in found["rows"] if not row["left_out"]]
    for name in SUMS:
        parts = sum(Decimal(str(row[name])) for row in compared)
        assert parts == Decimal(str(found[name])) == sum(Decimal(str(one[name])) for one in found["apps"])
    assert sum(Decimal(str(row["hours"])) for row in compared) == Decimal(str(found["spot_hours"])) + Decimal(str(found["on_demand_hours"]))
    assert Decimal(str(found["saved_usd"])) == Decimal(str(found["on_demand_usd"])) - Decimal(str(found["paid_usd"]))
    everything = sum(paid for paid, _quantity in lines.values()) / 10**10
    assert found["paid_usd"] + found["left_out_usd"] + found["other_usd"] == pytest.approx(everything, abs=3e-6)
    part = compare(lines, PRICES, ["worker"])
    assert part["apps"] == [one for one in found["apps"] if one["app"] == "worker"], "an app's figures do not depend on which are asked for"
    assert {row["app"] for row in part["rows"]} == {"worker"} and part["other_usd"] < found["other_usd"]


def test_a_price_or_a_region_that_is_not_known_is_in_neither_side_and_named():
    found = compare(usage(("web", "SpotUsage:x9.large", 5, 10), ("web", "LAX1-BoxUsage:m5.large", 2, 4), ("web", "BoxUsage:m5.large", 0.96, 10)), PRICES)
    lacking = {row["instance_type"]: row for row in found["rows"] if row["left_out"]}
    assert [lacking["x9.large"][name] for name in ("hours", "paid_usd", "on_demand_usd", "saved_usd")] == [10.0, 5.0, None, None]
    assert lacking["m5.large"]["region"] is None
    assert (found["paid_usd"], found["on_demand_usd"], found["saved_percent"], found["left_out_usd"]) == (0.96, 0.96, 0.0, 7.0)
    said = left_out(found["rows"])
    assert said.startswith("7.00 USD for 14 hours of instances are in neither side")
    assert "SpotUsage:x9.large: no On-Demand price is known in us-east-1" in said
    assert "LAX1-BoxUsage:m5.large: no region is known for the billing code LAX1" in said
    assert left_out([row for row in found["rows"] if not row["left_out"]]) is None


def test_many_that_are_left_out_make_one_sentence():
    found = compare(usage(*(("web", f"SpotUsage:x{number}.large", 1, 1) for number in range(5))), PRICES)
    assert left_out(found["rows"]).endswith("x2.large: no On-Demand price is known in us-east-1, and 2 more")
    assert found["saved_percent"] is None, "there is nothing to compare"


def test_no_hours_and_no_usage_are_no_saving():
    nothing = {**dict.fromkeys((*SUMS, "spot_hours", "on_demand_hours", "left_out_usd"), 0.0), "saved_percent": None, "committed_usd": None}
    assert compare({}, PRICES) == {"rows": [], **nothing, "apps": [], "other_usd": 0.0}
    found = compare(usage(("web", "SpotUsage:m5.large", 0, 0)), PRICES)
    assert len(found["rows"]) == 1 and summed(found["rows"]) == nothing
    assert by_app(found["rows"]) == [{"app": "web", **nothing}]


def test_only_regions_with_hours_are_asked_for_prices():
    seen = usage(("web", "EU-SpotUsage:m5.large", 1, 1), ("web", "USW2-DataTransfer-Out-Bytes", 1, 1), ("web", "LAX1-BoxUsage:m5.large", 1, 1))
    assert regions_of(seen) == ["eu-west-1"] and regions_of({}) == []


def test_the_hours_are_compared_with_the_rates_of_a_commitment_where_each_type_has_one():
    lines = (("web", "SpotUsage:m5.large", 0.96, 24), ("web", "BoxUsage:m5.large", 0.576, 6), ("worker", "EU-SpotUsage:c5.large", 0.4, 10))
    prices = {**PRICES, "eu-west-1": {"c5.large": 0.09}}
    found = compare(usage(*lines), prices, committed_rates={"m5.large": 0.06})
    assert [row["committed_usd"] for row in found["rows"]] == [0.36, 1.44, None]
    assert (found["committed_usd"], [one["committed_usd"] for one in found["apps"]]) == (None, [1.8, None])
    assert compare(usage(*lines), prices, committed_rates={"m5.large": 0.06, "c5.large": 0.0})["committed_usd"] == 1.8
    assert compare(usage(*lines), prices, ["web"], {"m5.large": 0.06})["committed_usd"] == 1.8
    assert compare({}, prices, committed_rates={"m5.large": 0.06})["committed_usd"] is None
    unpriced = compare(usage(*lines), {"us-east-1": PRICES["us-east-1"]}, committed_rates={"m5.large": 0.06, "c5.large": 0.05})
    assert unpriced["committed_usd"] == 1.8, "what is in neither side is not in this one"


def test_committed_costs_add_up_however_they_are_rounded():
    chance = random.Random(2)
    lines = [(f"app{number % 7}", "SpotUsage:m5.large", 0.01, f"{chance.uniform(0, 3):.6f}") for number in range(7)]
    found = compare(usage(*lines), PRICES, committed_rates={"m5.large": 0.0312345678})
    assert sum(Decimal(str(row["committed_usd"])) for row in found["rows"]) == Decimal(str(found["committed_usd"]))
