# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_capacity against the sandbox: made, left alone, changed, deleted; and all that may go wrong on the way."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.plugins.module_utils.aws import steered_fleets
from ansible_collections.spot.platform.plugins.modules import spot_capacity

READS = ("Describe", "Get")
IAM_NAMES = {"elbv2": "elasticloadbalancing"}
TYPES = ["m5.large", "m5a.large", "m6i.large", "c5.large", "r5.large"]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def place(fresh: Any) -> dict[str, Any]:
    """Public subnets in three zones of us-east-1, a private one, and a launch template."""
    return make_place(fresh, "us-east-1")


def make_place(sandbox: Any, region: str) -> dict[str, Any]:
    ec2 = sandbox.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:3]
    subnets = []
    for number, zone in enumerate([*zones, zones[0]]):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"]
        subnets.append(subnet["SubnetId"])
        ec2.modify_subnet_attribute(SubnetId=subnets[-1], MapPublicIpOnLaunch={"Value": number < len(zones)})
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.create_launch_template(LaunchTemplateName="test-web", LaunchTemplateData={"ImageId": image})
    return {"region": region, "zones": zones, "public": subnets[:3], "private": subnets[3]}


@pytest.fixture
def capacity(sandbox: Any, place: dict[str, Any], run_module: Any, cache_dir: str) -> Any:
    """``capacity({overrides of the first group}, ...)``: run the module; a group's ``None`` leaves an option out."""

    def run(*changed: dict[str, Any], check: bool = False) -> dict[str, Any]:
        sandbox.post("/sandbox/calls/reset")
        groups = []
        for overrides in changed or ({},):
            group = {
                "name": "test-web",
                "region": place["region"],
                "app": "web",
                "environment": "test",
                "launch_template": {"name": "test-web"},
                "subnets": place["public"],
                "unit": "vcpus",
                "min": 2,
                "max": 16,
                "target": 8,
                "on_demand_base": 2,
                "instance_types": TYPES,
                **overrides,
            }
            groups.append({key: value for key, value in group.items() if value is not None})
        return run_module("spot_capacity", {"groups": groups, "cache_dir": cache_dir}, check=check, diff=True)

    return run


def calls(sandbox: Any) -> dict[str, set[str]]:
    """The operations called, by the name of their service in IAM."""
    services = sandbox.get("/sandbox/calls")["services"]
    services = {IAM_NAMES.get(service, service): operations for service, operations in services.items()}
    return {service: {name for name, count in operations.items() if count} for service, operations in services.items()}


def writes(sandbox: Any) -> set[str]:
    return {name for names in calls(sandbox).values() for name in names if not name.startswith(READS)}


def described(sandbox: Any, name: str = "test-web") -> dict[str, Any] | None:
    found = sandbox.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return next(iter(found["AutoScalingGroups"]), None)


def test_made_once_then_left_alone(sandbox: Any, capacity: Any) -> None:
    shown = capacity(check=True)
    assert shown["changed"] and not writes(sandbox) and described(sandbox) is None
    assert shown["activity"] == []
    assert shown["diff"][0]["after"]["expected"]["cost_per_hour"] > 0

    made = capacity()
    assert made["changed"] and made["groups"][0]["action"] == "created"
    assert writes(sandbox) == {"CreateAutoScalingGroup"}
    plan = made["groups"][0]["plan"]
    assert plan["savings_percent"] > 0 and plan["reasons"]
    event = made["activity"][0]
    assert (event["kind"], event["app"], event["region"], event["changed"]) == (
        "capacity.created",
        "web",
        "us-east-1",
        True,
    )

    again = capacity()
    assert not again["changed"] and again["groups"][0]["action"] == "unchanged"
    assert not writes(sandbox)
    assert again["activity"][0]["kind"] == "capacity.unchanged" and not again["activity"][0]["changed"]


def test_what_is_made(sandbox: Any, capacity: Any) -> None:
    plan = capacity({"tags": {"team": "shop"}})["groups"][0]["plan"]
    group = described(sandbox)
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (2, 32, 8)
    assert group["CapacityRebalance"] is False
    policy = group["MixedInstancesPolicy"]
    assert [item["InstanceType"] for item in policy["LaunchTemplate"]["Overrides"]] == plan["types"]
    assert {item["WeightedCapacity"] for item in policy["LaunchTemplate"]["Overrides"]} == {"2"}
    distribution = policy["InstancesDistribution"]
    assert distribution["OnDemandBaseCapacity"] == 2
    assert distribution["OnDemandPercentageAboveBaseCapacity"] == 0
    assert distribution["SpotAllocationStrategy"] == "price-capacity-optimized"
    tags = {tag["Key"]: (tag["Value"], tag["PropagateAtLaunch"]) for tag in group["Tags"]}
    assert tags == {
        "Name": ("test-web", True),
        "team": ("shop", True),
        "spot.platform/app": ("web", True),
        "spot.platform/environment": ("test", True),
        "spot.platform/managed-by": ("spot.platform", True),
        "spot.platform/target": ("8", False),
        "spot.platform/min": ("2", False),
        "spot.platform/max": ("16", False),
        "spot.platform/on-demand-base": ("2", False),
        "spot.platform/unit": ("vcpus", False),
        "spot.platform/fallback": ("on_demand", False),
        "spot.platform/profile": ("balanced", False),
        "spot.platform/max-zone-share": ("1.0", False),
    }


def test_capacity_is_the_autoscalers(sandbox: Any, capacity: Any) -> None:
    capacity()
    autoscaling = sandbox.client("autoscaling")
    policy = described(sandbox)["MixedInstancesPolicy"]
    policy["InstancesDistribution"]["OnDemandBaseCapacity"] = 6  # a fallback of 4
    autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="test-web", DesiredCapacity=12, MixedInstancesPolicy=policy
    )
    assert not capacity()["changed"]
    assert (described(sandbox)["DesiredCapacity"], capacity({"target": None})["changed"]) == (12, False)

    assert capacity({"target": 10})["groups"][0]["changes"].keys() == {"policy"}, "it has more: what goes, it says"
    moved = capacity({"target": 14})
    assert moved["groups"][0]["changes"]["desired"] == {"before": 12, "after": 14}
    group = described(sandbox)
    assert group["DesiredCapacity"] == 14
    assert group["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"] == 6
    assert writes(sandbox) == {"UpdateAutoScalingGroup", "CreateOrUpdateTags"}
    assert not capacity({"target": 14})["changed"]


def test_types_change_where_one_is_not_wanted_any_more(sandbox: Any, capacity: Any) -> None:
    capacity()
    changed = capacity({"instance_types": TYPES[1:]})
    assert changed["groups"][0]["action"] == "updated"
    assert writes(sandbox) == {"UpdateAutoScalingGroup"}
    overrides = described(sandbox)["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert "m5.large" not in {item["InstanceType"] for item in overrides}
    assert not capacity({"instance_types": TYPES[1:]})["changed"]


def test_target_groups_and_health_check(sandbox: Any, capacity: Any, place: dict[str, Any]) -> None:
    elb = sandbox.client("elbv2")
    vpc = sandbox.client("ec2").describe_subnets(SubnetIds=place["public"])["Subnets"][0]["VpcId"]
    arns = [
        elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
        for name in ("one", "two")
    ]
    capacity({"target_group_arns": arns[:1], "health_check_type": "ELB", "health_check_grace_period": 60})
    assert described(sandbox)["TargetGroupARNs"] == arns[:1]
    assert not capacity()["changed"], "what is not asked for stays"
    changed = capacity({"target_group_arns": arns[1:]})
    assert changed["changed"] and described(sandbox)["TargetGroupARNs"] == arns[1:]
    assert writes(sandbox) == {"AttachLoadBalancerTargetGroups", "DetachLoadBalancerTargetGroups"}


def test_deleted_with_its_instances(sandbox: Any, capacity: Any) -> None:
    capacity()
    assert capacity({"state": "absent"}, check=True)["changed"] and described(sandbox)
    gone = capacity({"state": "absent"})
    assert gone["changed"] and described(sandbox) is None
    assert gone["activity"][0]["kind"] == "capacity.deleted"
    again = capacity({"state": "absent"})
    assert not again["changed"] and not writes(sandbox)


def test_a_group_that_is_being_deleted_is_made_anew(sandbox: Any, capacity: Any) -> None:
    capacity()
    sandbox.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="test-web", ForceDelete=True)
    assert capacity()["groups"][0]["action"] == "created"
    assert not described(sandbox).get("Status") and not capacity()["changed"]


def test_somebody_elses_group_is_not_touched(sandbox: Any, capacity: Any) -> None:
    capacity()
    for overrides in ({"app": "other"}, {"app": "other", "state": "absent"}):
        refused = capacity(overrides)
        assert refused["failed"] and "spot.platform/app has 'web' instead of 'other'" in refused["msg"]
        assert not writes(sandbox)


def test_each_failure_is_named_and_stops_no_other(capacity: Any, place: dict[str, Any], sandbox: Any) -> None:
    bad = {
        "there is no launch template nosuch in us-east-1": {"launch_template": {"name": "nosuch"}},
        "there is no subnet subnet-0123456789abcdef0": {"subnets": ["subnet-0123456789abcdef0"]},
        f"subnet {place['private']} is private": {"subnets": [*place["public"][1:], place["private"]]},
        "budget_per_hour": {"limits": {"budget_per_hour": 0.01}},
        "none of instance_types (m5.huge)": {"instance_types": ["m5.huge"]},
    }
    named = [{"name": f"test-bad-{number}", **overrides} for number, overrides in enumerate(bad.values())]
    done = capacity(*named, {})
    assert done["failed"] and done["changed"] and "5 of 6 groups failed: test-bad-0 (us-east-1): " in done["msg"]
    for words, group in zip(bad, done["groups"]):
        assert group["action"] == "failed" and words in group["error"], group["error"]
    assert [event["kind"] for event in done["activity"]] == ["capacity.failed"] * 5 + ["capacity.created"]
    assert writes(sandbox) == {"CreateAutoScalingGroup"}
    assert described(sandbox) and not described(sandbox, "test-bad-0")


def test_two_runs_at_once_make_one_group(capacity: Any, sandbox: Any) -> None:
    sandbox.post("/sandbox/faults", rules=[{"operation": "CreateAutoScalingGroup", "kind": "latency", "seconds": 1}])
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda number: capacity(), range(2)))
    assert not any(result.get("failed") for result in results), results
    assert sorted(result["groups"][0]["action"] for result in results) == ["created", "unchanged"]


def test_lost_answer_and_throttling_end_well(capacity: Any, sandbox: Any) -> None:
    sandbox.post(
        "/sandbox/faults",
        rules=[
            {"operation": "CreateAutoScalingGroup", "kind": "lost", "count": 1},
            {"kind": "throttle", "rate": 0.3},
            {"kind": "error", "rate": 0.05},
        ],
    )
    assert not capacity().get("failed")
    sandbox.post("/sandbox/faults", rules=[])
    assert not capacity()["changed"]


@pytest.mark.parametrize(
    "rule, words",
    [
        ({"operation": "CreateAutoScalingGroup", "kind": "denied"}, "autoscaling:CreateAutoScalingGroup"),
        ({"operation": "DescribeSubnets", "kind": "denied"}, "ec2:DescribeSubnets"),
        ({"kind": "expired"}, "credentials have expired"),
    ],
)
def test_denied_and_expired_say_what_to_do(capacity: Any, sandbox: Any, rule: dict[str, Any], words: str) -> None:
    sandbox.post("/sandbox/faults", rules=[rule])
    refused = capacity()
    assert refused["failed"] and words in refused["msg"], refused["msg"]
    sandbox.post("/sandbox/faults", rules=[])
    assert capacity()["groups"][0]["action"] == "created"


FLEETS = {
    "ec2_fleet": ({"CreateFleet"}, {"ModifyFleet", "CreateTags"}, {"DeleteFleets"}),
    "spot_fleet": ({"RequestSpotFleet"}, {"ModifySpotFleetRequest", "CreateTags"}, {"CancelSpotFleetRequests"}),
}
"""What makes, changes and deletes a fleet of each kind."""


@pytest.mark.parametrize("kind", FLEETS)
def test_fleet(capacity: Any, sandbox: Any, kind: str) -> None:
    fleet, (makes, changes, deletes) = {"kind": kind, "name": "test-worker", "app": "worker"}, FLEETS[kind]
    assert capacity(fleet, check=True)["changed"] and not writes(sandbox)
    assert capacity(fleet)["groups"][0]["action"] == "created"
    assert writes(sandbox) == makes
    again = capacity(fleet)
    assert not again["changed"], again["groups"][0]["changes"]
    assert not writes(sandbox)
    moved = capacity({**fleet, "target": 10})
    assert moved["groups"][0]["action"] == "updated" and writes(sandbox) == changes
    assert not capacity({**fleet, "target": 10})["changed"]
    other = capacity({**fleet, "target": 10, "instance_types": TYPES[1:]})
    assert other["groups"][0]["action"] == "updated" and writes(sandbox) == changes - {"CreateTags"}
    refused = capacity({**fleet, "target": 10, "capacity_rebalance": True})
    assert refused["failed"] and "capacity_rebalance of the" in refused["msg"] and "make it again" in refused["msg"]
    assert capacity({**fleet, "state": "absent"})["changed"] and writes(sandbox) == deletes
    assert not capacity({**fleet, "state": "absent"})["changed"]
    assert capacity(fleet)["groups"][0]["action"] == "created", "another one after the first was deleted"


def test_two_runs_at_once_make_one_spot_fleet(capacity: Any, sandbox: Any) -> None:
    sandbox.post("/sandbox/faults", rules=[{"operation": "RequestSpotFleet", "kind": "latency", "seconds": 1}])
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda number: capacity({"kind": "spot_fleet"}), range(2)))
    assert not any(result.get("failed") for result in results), results
    assert len(spot_fleets(sandbox)) == 1


@pytest.fixture
def fleet_role(place: dict[str, Any], sandbox: Any) -> str:
    """The role without which a Spot Fleet launches nothing; its ARN."""
    role = {"RoleName": "aws-ec2-spot-fleet-tagging-role", "AssumeRolePolicyDocument": "{}"}
    return str(sandbox.client("iam").create_role(**role)["Role"]["Arn"])


@pytest.fixture
def target_group(place: dict[str, Any], sandbox: Any) -> str:
    """A target group in the place's network that drains for a second; its ARN."""
    vpc = sandbox.client("ec2").describe_subnets(SubnetIds=place["public"])["Subnets"][0]["VpcId"]
    elb = sandbox.client("elbv2")
    made = elb.create_target_group(Name="one", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    return arn


def targets(sandbox: Any, arn: str) -> int:
    return len(sandbox.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"])


def spot_fleets(sandbox: Any) -> list[dict[str, Any]]:
    """The configurations of the living Spot Fleets."""
    found = sandbox.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    return [one["SpotFleetRequestConfig"] for one in found if one["SpotFleetRequestState"] == "active"]


def test_spot_fleet_has_its_role_and_its_target_groups(
    capacity: Any, sandbox: Any, fleet_role: str, target_group: str
) -> None:
    fleet = {"kind": "spot_fleet", "target_group_arns": [target_group]}
    capacity(fleet)
    (given,) = spot_fleets(sandbox)
    assert given["IamFleetRole"] == fleet_role
    assert (given["AllocationStrategy"], given["ExcessCapacityTerminationPolicy"]) == (
        "priceCapacityOptimized",
        "noTermination",
    )
    assert targets(sandbox, target_group) == 4
    assert not capacity({"kind": "spot_fleet"})["changed"], "what is not asked for stays"
    for changed in ({"target_group_arns": []}, {"fleet_role": fleet_role.replace("aws-ec2", "other")}):
        refused = capacity({**fleet, **changed})
        assert refused["failed"] and f"{next(iter(changed))} of the Spot Fleet test-web" in refused["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "ec2_fleet", "target_group_arns": ["arn:one"]}, "an EC2 Fleet knows no target groups"),
        ({"kind": "spot_fleet", "health_check_type": "ELB"}, "a fleet does not ask a load balancer for health"),
        ({"fleet_role": "arn:role"}, "fleet_role is the role of a Spot Fleet"),
    ],
)
def test_what_a_kind_cannot_have_is_refused(
    capacity: Any, sandbox: Any, options: dict[str, Any], words: str
) -> None:
    refused = capacity(options)
    assert refused["failed"] and words in refused["msg"] and not writes(sandbox)


@pytest.mark.parametrize("kind", FLEETS)
def test_a_fleet_takes_the_place_of_a_group_as_large_as_that_and_back(
    capacity: Any, sandbox: Any, kind: str
) -> None:
    capacity({"target": 12})
    key, value = "spot.platform/override", '{"min":12,"until":"2999-01-01T00:00Z","before":4}'
    of_group = {"ResourceId": "test-web", "ResourceType": "auto-scaling-group"}
    sandbox.client("autoscaling").create_or_update_tags(Tags=[{**of_group, "Key": key, "Value": value, "PropagateAtLaunch": False}])
    fleet = {"kind": kind, "target": 4}
    refused = capacity(fleet)
    assert refused["failed"] and "test-web is there as auto_scaling_group" in refused["msg"], refused["msg"]
    assert "spot.platform.capacity_migrate" in refused["msg"] and not writes(sandbox)

    made = capacity({**fleet, "migrate": True})["groups"][0]
    assert (made["action"], made["desired"]) == ("created", 12)
    assert "it takes the place of the auto_scaling_group, whose target is 12" in made["plan"]["reasons"]
    assert described(sandbox)["DesiredCapacity"] == 12
    held = sandbox.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": [key]}])["Tags"]
    assert [one["Value"] for one in held] == [value], "of the fleet, and of no instance"

    gone = {"state": "absent", "migrate": True}
    assert capacity(gone)["changed"] and described(sandbox) is None
    assert writes(sandbox) == {"UpdateAutoScalingGroup", "DeleteAutoScalingGroup"}
    assert not capacity(gone)["changed"]

    back = capacity({"migrate": True})["groups"][0]
    assert (back["action"], back["desired"]) == ("created", 12)
    (one,) = (one for one in described(sandbox)["Tags"] if one["Key"] == key)
    assert (one["Value"], one["PropagateAtLaunch"]) == (value, False)
    assert capacity({"kind": kind, **gone})["changed"] and described(sandbox)


def test_what_counts_otherwise_is_not_taken_the_place_of(capacity: Any, sandbox: Any) -> None:
    capacity()
    refused = capacity({"kind": "spot_fleet", "migrate": True, "unit": "instances"})
    assert refused["failed"] and "counts vcpus as auto_scaling_group" in refused["msg"] and not writes(sandbox)


def test_a_spot_fleet_is_drained_before_it_goes(
    capacity: Any, sandbox: Any, fleet_role: str, target_group: str
) -> None:
    capacity({"kind": "spot_fleet", "target_group_arns": [target_group]})
    assert targets(sandbox, target_group) == 4
    assert capacity({"kind": "spot_fleet", "state": "absent", "migrate": True})["changed"]
    assert writes(sandbox) == {"CreateTags", "DeregisterTargets", "CancelSpotFleetRequests"}
    assert "DescribeTargetHealth" in calls(sandbox)["elasticloadbalancing"] and targets(sandbox, target_group) == 0


def test_a_spot_fleet_that_was_drained_half_way_is_made_anew_on_the_way_back(
    capacity: Any, sandbox: Any, fleet_role: str, target_group: str
) -> None:
    """It never registers its instances again: taken for one that serves, it would let the group go and leave nothing."""
    fleet = {"kind": "spot_fleet", "migrate": True, "target_group_arns": [target_group]}
    capacity(fleet)
    capacity({"migrate": True, "target_group_arns": [target_group]})
    rules = [{"operation": "CancelSpotFleetRequests", "kind": "denied"}]
    sandbox.post("/sandbox/faults", rules=rules)
    assert "ec2:CancelSpotFleetRequests" in capacity({**fleet, "state": "absent"})["msg"]
    sandbox.post("/sandbox/faults", rules=[])
    (drained,) = steered_fleets.fleets(sandbox.client("ec2"), "spot_fleet")
    assert drained.state == "draining"

    back = capacity({**fleet, "target": 4})["groups"][0]
    assert (back["action"], back["desired"]) == ("created", 8), back["error"]
    (now,) = steered_fleets.fleets(sandbox.client("ec2"), "spot_fleet")
    assert now.id != drained.id and now.state == "active"
    assert len(spot_fleets(sandbox)) == 1 and described(sandbox)
    assert not capacity(fleet)["changed"]


def test_every_call_is_documented(capacity: Any, sandbox: Any, fleet_role: str, target_group: str) -> None:
    documented = set(
        re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", str(yaml.safe_load(spot_capacity.DOCUMENTATION)["notes"]))
    )
    made: set[str] = set()
    kinds = [{}, *({"kind": kind, "name": f"test-{kind}", "app": "worker"} for kind in FLEETS)]
    kinds[-1]["target_group_arns"] = [target_group]
    changes = ({}, {"target": 10}, {"state": "absent", "migrate": True})
    for overrides in ({**kind, **change} for kind in kinds for change in changes):
        assert not capacity(overrides).get("failed")
        made |= {f"{service}:{name}" for service, names in calls(sandbox).items() for name in names}
    assert made - documented == set()
