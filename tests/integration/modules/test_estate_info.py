# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""estate_info against the sandbox: what serves, what it costs, what is told when something cannot be read."""

from __future__ import annotations

import re

import pytest
from ansible_collections.spot.platform.plugins.filter.status_table import status_table
from ansible_collections.spot.platform.plugins.modules import estate_info
from ansible_collections.spot.platform.tests.integration.modules import fleets
from ansible_collections.spot.platform.tests.integration.modules.groups import make


@pytest.fixture
def estate(run_module, tmp_path):
    """Run the module with a cache of the test's own."""

    def run(**options):
        return run_module("estate_info", {"cache_dir": str(tmp_path), "regions": ["us-east-1"], **options})

    return run


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", advance=seconds)


def calls_of(sandbox):
    return sandbox.get("/sandbox/calls")["services"]


def documented():
    return set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", estate_info.DOCUMENTATION))


def test_nothing_runs(sandbox, fresh, estate):
    found = estate()
    assert (found["fleets"], found["errors"], found["changed"]) == ([], [], False)
    assert status_table(found) == ["No application runs here."]


def test_a_fleet_its_pools_and_its_money(sandbox, fresh, estate):
    make(sandbox)
    advance(sandbox, 3480)
    sandbox.post("/sandbox/calls/reset")
    (fleet,) = estate()["fleets"]
    assert (fleet["app"], fleet["environment"], fleet["group"]) == ("web", "sandbox", "sandbox-web")
    assert (fleet["target"], fleet["serving"], fleet["spot"], fleet["on_demand"]) == (8, 8, 6, 2)
    assert (fleet["serving_min"], fleet["fallback"], fleet["health"]) == (8, 0, {"healthy": 4, "unhealthy": 0})
    assert sum(pool["capacity"] for pool in fleet["pools"]) == 8
    hourly = sum(pool["instances"] * pool["price_per_hour"] for pool in fleet["pools"])
    assert fleet["cost_per_hour"] == pytest.approx(hourly, abs=1e-6)
    assert fleet["cost_per_hour"] < fleet["on_demand_cost_per_hour"]
    cost = fleet["cost"]
    assert cost["all_on_demand"] == pytest.approx(fleet["on_demand_cost_per_hour"], rel=0.02)
    assert cost["spot_platform"] == pytest.approx(fleet["cost_per_hour"], rel=0.05)
    assert cost["fallback_share"] == 0 and cost["unpriced"] == [] and cost["committed"] is None
    assert fleet["timeline"][0]["spot"] == 0 and fleet["timeline"][-1]["spot"] == 6
    made = {f"{service}:{name}" for service, names in calls_of(sandbox).items() for name in names}
    assert made <= documented()


def test_a_drought_is_in_the_minimum_the_timeline_and_the_activities(sandbox, fresh, estate, run_module):
    make(sandbox)
    sandbox.post("/sandbox/capacity", region="us-east-1", room=0)
    advance(sandbox, 200)
    run_module("spot_autoscale", {"regions": ["us-east-1"]})
    advance(sandbox, 120)
    (fleet,) = estate()["fleets"]
    assert (fleet["serving"], fleet["on_demand"], fleet["fallback"], fleet["serving_min"]) == (8, 8, 6, 2)
    assert fleet["timeline"][-1]["on_demand"] == 8
    assert 0 < fleet["cost"]["fallback_share"] < 1
    cost = fleet["cost"]
    assert cost["all_on_demand"] > 0 and 0 < cost["fallback"] < cost["spot_platform"] and 0 < cost["interrupted"] < cost["spot_platform"]
    for parts in (cost["by_day"], cost["by_pool"]):
        for name in ("spot_platform", "all_on_demand", "fallback", "interrupted"):
            assert round(sum(part[name] for part in parts), 6) == round(cost[name], 6)
    failed = [one for one in fleet["activities"] if one["status"] == "Failed"]
    assert failed and "Spot" in failed[0]["message"]
    assert any("On-Demand stands in for 6 vcpus" in line for line in status_table({"fleets": [fleet], "errors": []}))


def test_an_instance_larger_than_the_base_stands_in_for_nothing(sandbox, fresh, estate, run_module):
    make(sandbox, base=1)
    for _each in range(3):
        run_module("spot_autoscale", {"regions": ["us-east-1"]})
        advance(sandbox, 120)
    (fleet,) = estate()["fleets"]
    assert (fleet["on_demand"], fleet["on_demand_base"], fleet["fallback"]) == (2, 1, 0)
    assert fleet["serving"] == fleet["target"] == 8, "one unit of the base's instance is used, not bought once more"
    assert fleet["cost"]["fallback_share"] == 0


@pytest.mark.parametrize("kind", ["ec2_fleet", "spot_fleet"])
def test_a_fleet_is_shown_like_a_group(sandbox, fresh, estate, kind):
    fleets.make(sandbox, kind)
    advance(sandbox, 180)
    sandbox.post("/sandbox/calls/reset")
    (fleet,) = estate(apps=["work"])["fleets"]
    assert (fleet["kind"], fleet["group"], fleet["environment"]) == (kind, "sandbox-work", "sandbox")
    assert (fleet["spot"], fleet["on_demand"], fleet["target"], fleet["fallback"]) == (6, 2, 8, 0)
    assert 0 < fleet["cost"]["spot_platform"] < fleet["cost"]["all_on_demand"]
    calls = calls_of(sandbox)["ec2"]
    asked = ("DescribeFleets", "DescribeSpotFleetRequests", "DescribeInstances")
    assert {name: calls[name] for name in asked} == dict.fromkeys(asked, 1)
    made = {f"{service}:{name}" for service, names in calls_of(sandbox).items() for name in names}
    assert made <= documented()
    assert estate(apps=["web"])["fleets"] == [] and estate(environment="production")["fleets"] == []


def test_each_spot_fleet_shows_its_own_fallback_in_a_drought(sandbox, fresh, estate, run_module):
    for app in ("covered", "bare"):
        fleets.make(sandbox, "spot_fleet", app=app, target=2, base=0)
    sandbox.post("/sandbox/capacity", region="us-east-1", room=0)
    advance(sandbox, 200)
    run_module("spot_autoscale", {"regions": ["us-east-1"], "apps": ["covered"]})
    advance(sandbox, 120)
    bare, covered = estate()["fleets"]
    assert (covered["serving"], covered["on_demand"], covered["fallback"]) == (2, 2, 2)
    assert (bare["serving"], bare["target"], bare["fallback"]) == (0, 2, 0)


def test_what_migrates_is_shown_as_both(sandbox, fresh, estate):
    make(sandbox, app="work")
    fleets.make(sandbox, "spot_fleet")
    shown = [(fleet["group"], fleet["kind"], fleet["serving"]) for fleet in estate()["fleets"]]
    assert sorted(shown) == [("sandbox-work", "auto_scaling_group", 8), ("sandbox-work", "spot_fleet", 8)]
    lines = status_table(estate())
    assert sum("work" in line for line in lines) == 2


def test_without_permission_for_fleets_the_groups_are_shown(sandbox, fresh, estate):
    make(sandbox)
    rules = [{"operation": "DescribeSpotFleetRequests", "kind": "denied"}]
    sandbox.post("/sandbox/faults", rules=rules)
    found = estate()
    assert "ec2:DescribeSpotFleetRequests" in found["errors"][0]["message"]
    assert [fleet["kind"] for fleet in found["fleets"]] == ["auto_scaling_group"]


def test_regions_apps_and_environments_narrow(sandbox, fresh, estate):
    make(sandbox)
    make(sandbox, app="worker")
    make(sandbox, region="eu-west-1")
    both = {"regions": ["us-east-1", "eu-west-1"]}
    assert [(one["app"], one["region"]) for one in estate(**both)["fleets"]] == [
        ("web", "eu-west-1"),
        ("web", "us-east-1"),
        ("worker", "us-east-1"),
    ]
    assert [one["region"] for one in estate(**both, apps=["worker"])["fleets"]] == ["us-east-1"]
    assert estate(**both, environment="production")["fleets"] == []


def test_what_cannot_be_read_is_named_and_the_rest_returned(sandbox, fresh, estate):
    make(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"service": "pricing", "rate": 1, "kind": "denied"}])
    found = estate()
    assert "pricing:GetProducts" in found["errors"][0]["message"] and found["errors"][0]["region"] == "us-east-1"
    (fleet,) = found["fleets"]
    assert fleet["serving"] == 8 and fleet["cost_per_hour"] is None
    assert "pricing:GetProducts" in str(found["warnings"])


def test_a_commitment_is_compared_with(sandbox, fresh, estate):
    make(sandbox)
    advance(sandbox, 600)
    (fleet,) = estate(apps=["web"])["fleets"]
    rates = {pool["instance_type"]: 0.01 for pool in fleet["pools"]}
    (fleet,) = estate(apps=["web"], committed_rates=rates)["fleets"]
    assert 0 < fleet["cost"]["committed"] < fleet["cost"]["spot_platform"]
    refused = estate(committed_rates={"m5.large": "cheap"})
    assert refused["failed"] and "committed_rates.m5.large is 'cheap': it must be USD an hour" in refused["msg"]
