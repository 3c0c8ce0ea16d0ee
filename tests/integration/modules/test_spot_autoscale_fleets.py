# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale on EC2 Fleets and Spot Fleets against the sandbox: through a drought and back, and what may go wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.plugins.modules import spot_autoscale
from ansible_collections.spot.platform.tests.integration.modules import groups
from ansible_collections.spot.platform.tests.integration.modules.fleets import figures, make, members

REGION = "us-east-1"
WELL = {"desired": 8, "base": 2, "spot": 6, "on_demand": 2}
MODIFY = {"ec2_fleet": "ModifyFleet", "spot_fleet": "ModifySpotFleetRequest"}
DESCRIBE = {"ec2_fleet": "DescribeFleets", "spot_fleet": "DescribeSpotFleetRequests"}


@pytest.fixture(params=["ec2_fleet", "spot_fleet"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def table(fresh: Any) -> None:
    fresh.client("dynamodb").create_table(
        TableName="spot-platform-sandbox",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )


@pytest.fixture
def step(sandbox: Any, run_module: Any, tmp_path: Any, table: None) -> Any:
    """``step(check=False, **options)``: take one, with the calls counted from its beginning."""

    def take(check: bool = False, **options: Any) -> dict[str, Any]:
        sandbox.post("/sandbox/calls/reset")
        where = {"region": REGION} if "groups" in options else {"regions": [REGION]}
        return run_module("spot_autoscale", {**where, "cache_dir": str(tmp_path), **options}, check=check, diff=True)

    return take


def advance(sandbox: Any, seconds: float) -> None:
    sandbox.post("/sandbox/clock", advance=seconds)


def dry(sandbox: Any) -> None:
    """No pool of the region has room for a Spot Instance; what runs is interrupted and gone."""
    sandbox.post("/sandbox/capacity", region=REGION, room=0)
    advance(sandbox, 200)


def calls(sandbox: Any, service: str = "ec2") -> dict[str, int]:
    found: dict[str, int] = sandbox.get("/sandbox/calls")["services"].get(service, {})
    return found


def writes(sandbox: Any) -> dict[str, int]:
    return {name: count for name, count in calls(sandbox).items() if not name.startswith("Describe")}


def only(result: dict[str, Any]) -> dict[str, Any]:
    (decision,) = result["decisions"]
    return dict(decision)


def test_a_fleet_that_is_well_is_left_alone_and_costs_two_calls(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    assert figures(sandbox, kind) == WELL
    step()
    result = step()
    assert not result["changed"] and result["activity"] == []
    assert (only(result)["kind"], only(result)["backend"], only(result)["serving"]) == ("steady", kind, 8)
    found = calls(sandbox)
    assert (found[DESCRIBE[kind]], found["DescribeInstances"]) == (1, 1)
    assert not {"DescribeFleetHistory", "DescribeSpotFleetRequestHistory"} & set(found)


def test_a_region_with_groups_only_is_asked_for_fleets_only_where_they_are_wanted(sandbox: Any, step: Any) -> None:
    groups.make(sandbox)
    step()
    step(kinds=["auto_scaling_group"])
    alone = calls(sandbox)
    step()
    assert calls(sandbox) == {**alone, "DescribeFleets": 1, "DescribeSpotFleetRequests": 1}


def test_through_a_drought_and_back(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    step()
    dry(sandbox)
    assert figures(sandbox, kind) == {**WELL, "spot": 0}

    shown = step(check=True)
    assert shown["changed"] and not writes(sandbox)
    assert shown["diff"]["after"] == {
        f"sandbox-work/{kind}@{REGION}": {"target": 8, "desired": 14, "on_demand_base": 8}
    }

    covered = step()
    assert (only(covered)["kind"], only(covered)["fallback"], only(covered)["serving"]) == ("fallback", 6, 2)
    assert only(covered)["after"] == {"target": 8, "desired": 14, "on_demand_base": 8}
    assert writes(sandbox) == {MODIFY[kind]: 1}
    (event,) = covered["activity"]
    assert (event["kind"], event["app"], event["changed"]) == ("capacity.fallback", "work", True)
    assert figures(sandbox, kind) == {"desired": 14, "base": 8, "spot": 0, "on_demand": 8}

    advance(sandbox, 60)
    again = step()
    assert not again["changed"] and not writes(sandbox)
    assert (only(again)["kind"], only(again)["serving"]) == ("waiting", 8)

    sandbox.post("/sandbox/capacity", region=REGION, room=None)
    kinds = set()
    for _minute in range(10):
        advance(sandbox, 60)
        result = step()
        kinds.add(only(result)["kind"])
        now = figures(sandbox, kind)
        assert now["spot"] + now["on_demand"] >= 8, "going back must not take serving capacity away"
    assert now == WELL and "returned" in kinds
    assert not result["changed"] and only(result)["kind"] == "steady"


def test_a_pool_that_is_lost_is_replaced_by_the_fleet_and_needs_no_on_demand(
    sandbox: Any, kind: str, step: Any
) -> None:
    make(sandbox, kind)
    step()
    victim = next(one for one in members(sandbox, kind) if one.get("InstanceLifecycle") == "spot")
    pool = {"zone": victim["Placement"]["AvailabilityZone"], "instance_type": victim["InstanceType"]}
    sandbox.post("/sandbox/capacity", region=REGION, room=0, **pool)
    advance(sandbox, 200)
    result = step()
    assert figures(sandbox, kind) == WELL and not result["changed"]


def test_what_was_told_to_go_is_replaced_before_it_goes(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    step()
    victim = next(one for one in members(sandbox, kind) if one.get("InstanceLifecycle") == "spot")
    sandbox.post("/sandbox/interrupt", instance_ids=[victim["InstanceId"]], notice=120)
    step()
    assert figures(sandbox, kind)["spot"] == 8, "the new one runs beside the one that goes"
    for _minute in range(4):
        advance(sandbox, 60)
        step()
        now = figures(sandbox, kind)
        assert now["spot"] + now["on_demand"] >= 8
    assert now == WELL


def test_the_target_moves_the_fleet_and_it_ends_nothing_by_itself(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    step()
    grown = step(min=12)
    assert only(grown)["after"]["target"] == 12 and figures(sandbox, kind)["spot"] == 10
    assert writes(sandbox) == {MODIFY[kind]: 1, "CreateTags": 1}
    advance(sandbox, 60)
    assert not step(min=12)["changed"]

    shrunk = step(max=6)
    assert len(only(shrunk)["ended"]) == 3
    assert writes(sandbox) == {MODIFY[kind]: 1, "CreateTags": 1, "TerminateInstances": 1}
    advance(sandbox, 120)
    assert figures(sandbox, kind) == {"desired": 6, "base": 2, "spot": 4, "on_demand": 2}


def test_without_the_table_what_is_missing_is_added_and_nothing_is_ended(
    sandbox: Any, kind: str, step: Any
) -> None:
    make(sandbox, kind)
    sandbox.client("dynamodb").delete_table(TableName="spot-platform-sandbox")
    assert figures(sandbox, kind)["spot"] == 6
    step(min=12)
    assert figures(sandbox, kind)["spot"] == 10
    kept = step(max=6)
    assert only(kept)["ended"] == [] and figures(sandbox, kind)["spot"] == 10
    assert any("nothing is ended: there is no table" in reason for reason in only(kept)["reasons"])


def test_a_fleet_that_ends_by_itself_is_told_not_to_and_let_go_as_it_was(
    sandbox: Any, kind: str, step: Any
) -> None:
    fleet = make(sandbox, kind)
    ec2 = sandbox.client("ec2")
    if kind == "ec2_fleet":
        ec2.modify_fleet(FleetId=fleet, ExcessCapacityTerminationPolicy="termination")
    else:
        ec2.modify_spot_fleet_request(SpotFleetRequestId=fleet, ExcessCapacityTerminationPolicy="default")
    taken = step()
    assert taken["changed"] and writes(sandbox) == {MODIFY[kind]: 1, "CreateTags": 1}
    assert any("ExcessCapacityTermination" in reason for reason in only(taken)["reasons"])
    assert excess(sandbox, kind) in ("no-termination", "noTermination")
    assert not step()["changed"]

    assert step(state="released", check=True)["changed"]
    released = step(state="released")
    assert released["changed"] and released["activity"][0]["kind"] == "capacity.released"
    assert excess(sandbox, kind) in ("termination", "default")
    assert not step(state="released")["changed"]
    assert figures(sandbox, kind) == WELL


def excess(sandbox: Any, kind: str) -> str:
    """What the only fleet does with more than it is to keep."""
    ec2 = sandbox.client("ec2")
    if kind == "ec2_fleet":
        return str(ec2.describe_fleets()["Fleets"][0]["ExcessCapacityTerminationPolicy"])
    (fleet,) = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    return str(fleet["SpotFleetRequestConfig"]["ExcessCapacityTerminationPolicy"])


def test_what_is_denied_is_named_and_nothing_is_changed(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    dry(sandbox)
    for operation in (DESCRIBE[kind], MODIFY[kind]):
        sandbox.post("/sandbox/faults", rules=[{"operation": operation, "kind": "denied"}])
        refused = step()
        assert refused["failed"] and f"ec2:{operation}" in refused["msg"]
    sandbox.post("/sandbox/faults", rules=[])
    assert figures(sandbox, kind) == {**WELL, "spot": 0}
    assert only(step())["kind"] == "fallback"


def test_a_fleet_that_is_not_there_is_named(sandbox: Any, kind: str, step: Any) -> None:
    make(sandbox, kind)
    result = step(groups=[{"name": "sandbox-work"}, {"name": "nosuch"}])
    assert result["failed"] and f"the group nosuch is not there in {REGION}" in result["msg"]
    assert only(result)["group"] == "sandbox-work"


def test_a_spot_fleet_without_its_role_launches_nothing_and_says_so(sandbox: Any, step: Any) -> None:
    make(sandbox, "spot_fleet", role="arn:aws:iam::123456789012:role/gone")
    result = step()
    assert result["failed"] and "it launches nothing: iamFleetRoleInvalid" in result["msg"]


def test_what_the_load_balancer_does_not_call_healthy_does_not_serve(sandbox: Any, step: Any) -> None:
    elb, ec2 = sandbox.client("elbv2"), sandbox.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elb.create_target_group(Name="work", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    make(sandbox, "spot_fleet", target_groups=[arn])
    assert only(step())["serving"] == 8
    gone = members(sandbox, "spot_fleet")[0]["InstanceId"]
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": gone}])
    assert only(step())["serving"] == 6


def test_what_migrates_keeps_its_target_and_what_is_new_is_covered_in_a_drought(
    sandbox: Any, kind: str, step: Any
) -> None:
    groups.make(sandbox, app="work", target=10)
    dry(sandbox)
    make(sandbox, kind, target=8)
    busy = [{"name": "queue_depth", "target": 1, "queue": "nosuch"}]
    for _step in range(3):
        result = step(groups=[{"name": "sandbox-work"}], scaling=[{"app": "work", "metrics": busy}])
        advance(sandbox, 30)
    found = {one["backend"]: one for one in result["decisions"]}
    assert {name: one["target"] for name, one in found.items()} == {"auto_scaling_group": 10, kind: 10}
    assert found[kind]["serving"] == 10 and found[kind]["fallback"] == 8


def test_every_call_is_documented(sandbox: Any, kind: str, step: Any) -> None:
    documented = re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", str(yaml.safe_load(spot_autoscale.DOCUMENTATION)["notes"]))
    make(sandbox, kind)
    dry(sandbox)
    made: set[str] = set()
    for options in ({}, {"max": 6}, {"state": "released"}):
        step(**options)
        found = sandbox.get("/sandbox/calls")["services"]
        made |= {f"{service}:{name}" for service, names in found.items() for name in names}
    assert made - set(documented) == set()
