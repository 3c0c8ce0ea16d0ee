# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_simulation_info: the replay of a group that the sandbox took a zone from, and of a folder of traces."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import make

REGION = "us-east-1"
NAME = "capacity_simulation_info"
POLICIES = {
    ("spot.platform", "cost"),
    ("spot.platform", "balanced"),
    ("spot.platform", "availability"),
    ("static-mix", None),
    ("all-on-demand", None),
}


@pytest.fixture
def simulate(fresh, run_module, tmp_path):
    """The module, with a cache of its own."""
    return lambda **options: run_module(NAME, {"region": REGION, "cache_dir": str(tmp_path / "cache"), **options})


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", advance=seconds)


def spot_pool(sandbox):
    """(zone, type) of a Spot Instance of the group."""
    pages = sandbox.client("ec2").get_paginator("describe_instances").paginate()
    found = [one for page in pages for part in page["Reservations"] for one in part["Instances"]]
    spot = min((one for one in found if one.get("InstanceLifecycle") == "spot"), key=lambda one: one["InstanceId"])
    return spot["Placement"]["AvailabilityZone"], spot["InstanceType"]


def test_a_zone_that_vanished_and_came_back_is_replayed(sandbox, simulate):
    make(sandbox)
    zone, kind = spot_pool(sandbox)
    advance(sandbox, 1800)
    sandbox.post("/sandbox/capacity", region=REGION, zone=zone, room=0)
    advance(sandbox, 1800)
    sandbox.post("/sandbox/capacity", region=REGION, zone=zone, room=1000)
    others = {one["zone"] for one in sandbox.get("/sandbox/market", region=REGION)["pools"]} - {zone}
    for other in others:  # so the group goes back
        sandbox.post("/sandbox/capacity", region=REGION, zone=other, room=0)
    advance(sandbox, 1800)

    sandbox.post("/sandbox/calls/reset")
    result = simulate(groups=["sandbox-web"], tick_seconds=60)

    assert not result.get("failed"), result["msg"]
    assert not result["changed"]
    assert {(row["policy"], row["profile"]) for row in result["rows"]} == POLICIES
    costs = [row["cost"] for row in result["rows"]]
    assert costs == sorted(costs) and result["rows"][-1]["policy"] == "all-on-demand" and costs[-1] == 1.0
    for row in result["rows"]:
        assert (row["trace"], row["target"], row["notice"]) == ("sandbox-web@us-east-1", 8, 120)
        assert row["cost_usd_per_hour"] == pytest.approx(
            row["cost"] * result["rows"][-1]["cost_usd_per_hour"], abs=1e-5
        )
        assert row["loss_30"] == pytest.approx(row["cost"] + 30 * (1 - row["service"]), abs=1e-4)

    (observed,) = result["observed"]
    pools = {pool["pool"]: pool for pool in observed["pools"]}
    assert len(pools) == 9 and observed["app"] == "web" and observed["unit"] == "vcpus"
    assert observed["days"] == pytest.approx(92 * 60 / 86400, abs=0.002)
    lost, elsewhere = pools[f"{zone}/{kind}"], [pool for name, pool in pools.items() if not name.startswith(zone)]
    assert 0.3 < lost["open_share"] < 0.75, "the zone was without room for half an hour of an hour and a half"
    assert lost["observed_share"] > 0.3
    assert all(pool["spot_price"] > 0 and pool["open_share"] < 0.8 for pool in elsewhere)
    assert len(result["summary"]) == 6 and "9 pools were replayed" in result["summary"][-1]

    made = sandbox.get("/sandbox/calls")["services"]
    assert made["autoscaling"] == {"DescribeAutoScalingGroups": 1, "DescribeScalingActivities": 1}
    assert made["ec2"] == {"DescribeInstances": 1, "DescribeSpotPriceHistory": 1}
    text = import_module(f"ansible_collections.spot.platform.plugins.modules.{NAME}").DOCUMENTATION
    documented = set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", text))
    assert {f"{service}:{name}" for service, names in made.items() for name in names} == documented


def test_the_activity_tells_what_no_scaling_activity_does(sandbox, simulate, tmp_path):
    """The autoscaler's own launches are refused by EC2, not by the group."""
    make(sandbox)
    began = datetime.fromisoformat(sandbox.get("/sandbox/clock")["time"])
    advance(sandbox, 6 * 3600)

    def event(kind, hours, **after):
        at = (began + timedelta(hours=hours)).isoformat()
        told = {"app": "web", "region": REGION, "resource": "sandbox-web", "changed": True, "after": after}
        return {"id": "1", "kind": f"capacity.{kind}", "time": at, "summary": "", **told}

    pools = [f"us-east-1{zone}/{kind}" for zone in "abc" for kind in ("m5.large", "m5a.large", "m6i.large")]
    events = [event("fallback", 1, refused=pools), event("returned", 4, granted=pools)]
    path = tmp_path / "activity.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in events), encoding="utf-8")

    result = simulate(activity_file=str(path), tick_seconds=60)

    hours = 24 * result["observed"][0]["days"]
    for pool in result["observed"][0]["pools"]:
        assert (1 - pool["open_share"]) * hours == pytest.approx(3, abs=0.2)
    blind = simulate(tick_seconds=60)
    assert service_of(result, "static-mix") < service_of(blind, "static-mix")
    assert min(pool["open_share"] for pool in blind["observed"][0]["pools"]) > 0.9, "without it nothing seems refused"


def service_of(result, policy):
    return next(row["service"] for row in result["rows"] if row["policy"] == policy)


def test_options_narrow_what_is_asked(sandbox, simulate):
    make(sandbox)
    make(sandbox, app="worker")
    advance(sandbox, 1800)
    sandbox.post("/sandbox/calls/reset")
    result = simulate(
        apps=["worker"], environment="sandbox", profiles=["cost"], target=4, od_ratio=5, notice=0, prices=False
    )
    assert "pricing" not in sandbox.get("/sandbox/calls")["services"], "the ratio is given"
    assert sandbox.get("/sandbox/calls")["services"]["autoscaling"]["DescribeScalingActivities"] == 1
    assert {row["policy"] for row in result["rows"]} == {"spot.platform", "static-mix", "all-on-demand"}
    assert {(row["trace"], row["target"], row["notice"]) for row in result["rows"]} == {
        ("sandbox-worker@us-east-1", 4, 0)
    }
    assert result["observed"][0]["od_ratio"] == 5
    mix = next(row for row in result["rows"] if row["policy"] == "static-mix")
    # One of four On-Demand at 5, three on Spot at 1: without prices all pools cost the same.
    assert mix["cost"] == pytest.approx((5 + 3) / 20, abs=0.01)


def write(folder, zone, data, **more):
    folder.mkdir(exist_ok=True)
    content = {"metadata": {"gap_seconds": 60}, "data": data, **more}
    (folder / f"{zone}_m5_1.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_folder_of_traces_needs_no_aws(sandbox, simulate, tmp_path):
    write(tmp_path / "made", "z1", [1] * 60 + [0] * 60, prices=[0.03] * 120)
    write(tmp_path / "made", "z2", [1] * 120, prices=[0.05] * 120)
    sandbox.post("/sandbox/calls/reset")
    result = simulate(traces=str(tmp_path / "made"), region=None, target=2)
    assert {(row["policy"], row["profile"]) for row in result["rows"]} == POLICIES
    assert {row["availability"] for row in result["rows"] if row["policy"] == "spot.platform"} == {1.0}
    assert result["rows"][-1]["cost_usd_per_hour"] == pytest.approx(2 * 3 * 0.04)
    (observed,) = result["observed"]
    assert (observed["trace"], observed["od_ratio"], observed["days"]) == ("made", 3.0, 0.0833)
    assert [(pool["pool"], pool["open_share"]) for pool in observed["pools"]] == [("z1", 0.5), ("z2", 1.0)]
    assert sandbox.get("/sandbox/calls")["total"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"days": 0}, "days is 0: it must be 1 to 42"),
        ({"days": 43}, "days is 43: it must be 1 to 42"),
        ({"target": 0}, "target is 0: it must be above 0"),
        ({"tick_seconds": -1}, "tick_seconds is -1: it must be above 0"),
        ({"cold_start": -1}, "cold_start is -1: it must be 0 or more"),
        ({"profiles": []}, "profiles is empty: name at least one of cost, balanced, availability"),
        ({"groups": ["sandbox-none"]}, "the group sandbox-none is not there in us-east-1"),
        ({"apps": ["none"]}, "the application none has no group in us-east-1"),
        ({"environment": "none"}, "the platform manages no group in us-east-1, environment none"),
        ({"activity_file": "none.jsonl"}, "cannot read the activity file"),
        ({"tick_seconds": 86400}, "less than two ticks of 86400 s"),
        ({"cold_start": 86400}, "no longer than the cold start of 86400 s"),
    ],
)
def test_what_cannot_be_replayed_is_named(sandbox, simulate, options, message):
    make(sandbox)
    advance(sandbox, 900)
    result = simulate(**options)
    assert result["failed"] and message in result["msg"]


def test_traces_that_cannot_be_read_are_named(simulate, tmp_path):
    empty = simulate(traces=str(tmp_path / "none"))
    assert empty["failed"] and f"{tmp_path / 'none'} holds no trace: *.json" in empty["msg"]
    write(tmp_path / "made", "z1", [1] * 10)
    unpriced = simulate(traces=str(tmp_path / "made"), prices=True)
    assert unpriced["failed"] and "have no prices: leave out prices" in unpriced["msg"]
    both = simulate(traces=str(tmp_path / "made"), groups=["web"])
    assert both["failed"] and "mutually exclusive: traces|groups" in both["msg"]


@pytest.mark.parametrize(
    "action", ["autoscaling:DescribeScalingActivities", "ec2:DescribeSpotPriceHistory", "pricing:GetProducts"]
)
def test_a_denied_action_is_named(sandbox, simulate, action):
    make(sandbox)
    advance(sandbox, 900)
    service, operation = action.split(":")
    sandbox.post("/sandbox/faults", rules=[{"service": service, "operation": operation, "rate": 1, "kind": "denied"}])
    result = simulate()
    assert result["failed"] and action in result["msg"] and "access denied" in result["msg"]


def test_throttling_is_survived(sandbox, simulate):
    make(sandbox)
    advance(sandbox, 900)
    sandbox.post("/sandbox/faults", rules=[{"service": "*", "rate": 0.3, "kind": "throttle", "count": 5}])
    result = simulate()
    assert not result.get("failed") and len(result["rows"]) == 5
