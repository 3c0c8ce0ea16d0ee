"""Auto Scaling groups of the sandbox: how they launch, fail, replace, shrink, and what they refuse."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest


def test_a_group_launches_by_lifecycle_over_all_zones(aws: Any) -> None:
    tag = {"Key": "app", "Value": "web", "PropagateAtLaunch": True}
    aws.make_group(desired=9, MixedInstancesPolicy=aws.policy(base=2), Tags=[tag])
    assert aws.states() == {"Pending": 9}
    aws.advance(31)
    assert aws.states() == {"InService": 9}
    assert aws.mix() == {"on_demand": 2, "spot": 7}
    found = aws.instances(i["InstanceId"] for i in aws.group()["Instances"])
    assert Counter(i["Placement"]["AvailabilityZone"] for i in found) == dict.fromkeys(aws.zones, 3)
    assert all({"Key": "app", "Value": "web"} in i["Tags"] for i in found)
    assert all({"Key": "aws:autoscaling:groupName", "Value": "web"} in i["Tags"] for i in found)


def test_the_percentage_above_the_base_rounds_towards_on_demand(aws: Any) -> None:
    aws.make_group(desired=10, MixedInstancesPolicy=aws.policy(base=1, percentage=25))
    assert aws.mix() == {"on_demand": 4, "spot": 6}


def test_weights_count_in_the_groups_unit_and_may_overshoot(aws: Any) -> None:
    types = [
        {"InstanceType": "m5.large", "WeightedCapacity": "2"},
        {"InstanceType": "m5.xlarge", "WeightedCapacity": "4"},
    ]
    aws.room(0, instance_type="m5.large")
    aws.make_group(desired=9, MixedInstancesPolicy=aws.policy(types, base=2))
    group = aws.group()
    assert sum(int(i["WeightedCapacity"]) for i in group["Instances"]) == 10
    assert sorted(i["InstanceType"] for i in group["Instances"]) == ["m5.large", "m5.xlarge", "m5.xlarge"]


@pytest.mark.parametrize("strategy", ["lowest-price", "price-capacity-optimized"])
def test_a_strategy_by_price_takes_cheap_pools(aws: Any, strategy: str) -> None:
    prices = {
        kind: aws.sandbox.get("/sandbox/market", region=aws.region, zone=aws.zones[0], instance_type=kind)
        for kind in ("m5.large", "m5.4xlarge")
    }
    assert prices["m5.large"] != prices["m5.4xlarge"]
    aws.make_group(
        desired=3,
        MixedInstancesPolicy=aws.policy(
            prices, SpotAllocationStrategy=strategy, **({"SpotInstancePools": 1} if strategy == "lowest-price" else {})
        ),
    )
    assert {i["InstanceType"] for i in aws.group()["Instances"]} == {"m5.large"}


def test_capacity_optimized_takes_the_deepest_pool(aws: Any) -> None:
    aws.room(1, instance_type="m5.large")
    aws.room(500, instance_type="c5.large")
    aws.room(20, instance_type="m5a.large")
    aws.make_group(desired=6, MixedInstancesPolicy=aws.policy(SpotAllocationStrategy="capacity-optimized"))
    assert {i["InstanceType"] for i in aws.group()["Instances"]} == {"c5.large"}


def test_on_demand_goes_by_priority_and_takes_the_next_type_where_one_is_out(aws: Any) -> None:
    aws.room(0, lifecycle="on_demand", instance_type="m5.large")
    aws.make_group(desired=3, MixedInstancesPolicy=aws.policy(base=3))
    assert {i["InstanceType"] for i in aws.group()["Instances"]} == {"m5a.large"}
    assert aws.mix() == {"on_demand": 3}


def test_without_spot_the_group_fails_says_why_and_never_falls_back(aws: Any) -> None:
    aws.room(0)
    aws.make_group(desired=4, MixedInstancesPolicy=aws.policy(base=1))
    assert aws.mix() == {"on_demand": 1}
    failed = [a for a in aws.activities() if a["StatusCode"] == "Failed"]
    assert {json.loads(a["Details"])["Availability Zone"] for a in failed} == set(aws.zones)
    assert failed[0]["StatusMessage"] == (
        "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request"
        " configuration. Please adjust your request and try again. Launching EC2 instance failed."
    )
    assert failed[0]["Description"] == f"Launching a new EC2 instance.  Status Reason: {failed[0]['StatusMessage']}"
    aws.advance(59)
    assert len([a for a in aws.activities() if a["StatusCode"] == "Failed"]) == 3
    aws.advance(2)
    assert len([a for a in aws.activities() if a["StatusCode"] == "Failed"]) == 6
    aws.room(None)
    aws.advance(130)
    assert aws.mix() == {"on_demand": 1, "spot": 3}


def test_one_type_alone_fails_in_the_words_of_its_pool(aws: Any) -> None:
    aws.room(0, instance_type="m5.large")
    aws.room(0, instance_type="m5.large", lifecycle="on_demand", zone=aws.zones[0])
    aws.make_group("spot", 1, MixedInstancesPolicy=aws.policy(["m5.large"]))
    aws.make_group("steady", 1, LaunchTemplate={"LaunchTemplateId": aws.template}, VPCZoneIdentifier=aws.subnets[0])
    assert aws.activities("spot")[0]["StatusMessage"] == (
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that"
        " matches your request. Launching EC2 instance failed."
    )
    message = aws.activities("steady")[0]["StatusMessage"]
    assert message.startswith(
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a)."
        " Our system will be working on provisioning additional capacity. You can currently get m5.large capacity by"
        " not specifying an Availability Zone in your request or choosing us-east-1b"
    )
    assert message.endswith(" Launching EC2 instance failed.")


def test_a_zone_without_room_is_covered_by_the_others(aws: Any) -> None:
    aws.room(0, zone=aws.zones[0])
    aws.make_group(desired=6)
    aws.advance(31)
    assert Counter(i["AvailabilityZone"] for i in aws.group()["Instances"]) == {aws.zones[1]: 3, aws.zones[2]: 3}
    assert {a["StatusCode"] for a in aws.activities()} == {"Successful", "Failed"}


def test_the_fallback_of_the_platform_works_on_a_group(aws: Any) -> None:
    """Target 6, base 1: On-Demand covers 5 while Spot is gone, Spot is hunted at no cost, and what is too much goes."""
    aws.make_group(desired=6, MinSize=1, MixedInstancesPolicy=aws.policy(base=1))
    aws.advance(31)
    aws.room(0)
    aws.advance(121)
    assert aws.mix() == {"on_demand": 1}
    more = {"InstancesDistribution": {"OnDemandBaseCapacity": 6}}
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", DesiredCapacity=11, MixedInstancesPolicy=more)
    aws.advance(31)
    assert (aws.mix(), aws.states()) == ({"on_demand": 6}, {"InService": 6})
    assert len(aws.group()["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]) == 3
    aws.room(None)
    aws.advance(200)
    assert (aws.mix(), aws.states()) == ({"on_demand": 6, "spot": 5}, {"InService": 11})
    found = aws.instances(i["InstanceId"] for i in aws.group()["Instances"])
    for instance in [i["InstanceId"] for i in found if "InstanceLifecycle" not in i][:5]:
        aws.asg.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    back = {"InstancesDistribution": {"OnDemandBaseCapacity": 1}}
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", DesiredCapacity=6, MixedInstancesPolicy=back)
    aws.advance(600)
    assert (aws.mix(), aws.states()) == ({"on_demand": 1, "spot": 5}, {"InService": 6})


def test_a_changed_base_replaces_instances_step_by_step_launching_first(aws: Any) -> None:
    aws.make_group(desired=6, MixedInstancesPolicy=aws.policy(base=1))
    aws.advance(31)
    more = {"InstancesDistribution": {"OnDemandBaseCapacity": 3}}
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", MixedInstancesPolicy=more)
    assert aws.mix() == {"on_demand": 1, "spot": 5}
    least, steps = 6, set()
    for _attempt in range(60):
        aws.advance(10)
        least = min(least, aws.states().get("InService", 0))
        steps.add(tuple(sorted(aws.mix().items())))
    assert least == 6
    assert (("on_demand", 2), ("spot", 5)) in steps
    assert aws.mix() == {"on_demand": 3, "spot": 3}


def test_scale_in_takes_the_option_over_its_share_and_keeps_the_zones_even(aws: Any) -> None:
    aws.make_group(desired=9, MixedInstancesPolicy=aws.policy(base=3))
    aws.advance(31)
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=6)
    assert aws.mix() == {"on_demand": 3, "spot": 3}
    assert Counter(i["AvailabilityZone"] for i in aws.group()["Instances"]) == dict.fromkeys(aws.zones, 2)
    cause = aws.activities()[0]["Cause"]
    assert "a user request explicitly set group desired capacity changing the desired capacity from 9 to 6" in cause
    assert "shrinking the capacity from 9 to 6" in cause and "was selected for termination" in cause


def test_protected_instances_stay(aws: Any) -> None:
    aws.make_group(desired=4)
    aws.advance(31)
    kept = [i["InstanceId"] for i in aws.group()["Instances"]][:2]
    aws.asg.set_instance_protection(AutoScalingGroupName="web", InstanceIds=kept, ProtectedFromScaleIn=True)
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    assert sorted(i["InstanceId"] for i in aws.group()["Instances"]) == sorted(kept)


def test_what_dies_or_is_unhealthy_is_replaced(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    first, second, _third = [i["InstanceId"] for i in aws.group()["Instances"]]
    aws.ec2.terminate_instances(InstanceIds=[first])
    aws.asg.set_instance_health(InstanceId=second, HealthStatus="Unhealthy")
    ids = [i["InstanceId"] for i in aws.group()["Instances"]]
    assert len(ids) == 3 and not {first, second} & set(ids)
    ended = {a["Description"]: a["Cause"] for a in aws.activities() if a["Description"].startswith("Terminating")}
    assert (
        "an EC2 health check indicating it has been terminated or stopped"
        in ended[f"Terminating EC2 instance: {first}"]
    )
    assert aws.instances([second])[0]["State"]["Name"] == "terminated"


def test_many_groups_are_tagged_in_one_call_or_none_is(aws: Any, refused: Any) -> None:
    names = [f"g{number}" for number in range(4)]
    for name in names:
        aws.make_group(name, 0)
    tag = {"ResourceType": "auto-scaling-group", "Key": "spot.platform/target", "PropagateAtLaunch": False}
    tags = [{**tag, "ResourceId": name, "Value": str(number)} for number, name in enumerate(names)]
    aws.asg.create_or_update_tags(Tags=tags)
    shown = aws.asg.describe_tags(Filters=[{"Name": "key", "Values": ["spot.platform/target"]}])["Tags"]
    assert {(t["ResourceId"], t["Value"]) for t in shown} == {(n, str(i)) for i, n in enumerate(names)}
    wrong = [{**tag, "ResourceId": "g0", "Value": "9"}, {**tag, "ResourceId": "gone", "Value": "9"}]
    assert refused(aws.asg.create_or_update_tags, Tags=wrong)[0] == "ValidationError"
    assert aws.group("g0")["Tags"][0]["Value"] == "0"


def test_an_update_keeps_what_it_does_not_name(aws: Any) -> None:
    aws.make_group(desired=2, MixedInstancesPolicy=aws.policy(base=1), CapacityRebalance=True)
    before = aws.group()
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", MaxSize=7)
    assert aws.group() == {**before, "MaxSize": 7}


def test_tags_filters_and_pages(aws: Any) -> None:
    for number in range(5):
        tag = {"Key": "app", "Value": f"a{number % 2}", "PropagateAtLaunch": False}
        aws.make_group(f"g{number}", 0, Tags=[tag])
    pages = aws.asg.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 2})
    assert [[g["AutoScalingGroupName"] for g in p["AutoScalingGroups"]] for p in pages] == [
        ["g0", "g1"],
        ["g2", "g3"],
        ["g4"],
    ]
    wanted = [{"Name": "tag:app", "Values": ["a1"]}]
    found = aws.asg.describe_auto_scaling_groups(Filters=wanted)["AutoScalingGroups"]
    assert [g["AutoScalingGroupName"] for g in found] == ["g1", "g3"]
    named = {"ResourceId": "g0", "ResourceType": "auto-scaling-group"}
    aws.asg.create_or_update_tags(
        Tags=[{**named, "Key": "spot.platform/target", "Value": "4", "PropagateAtLaunch": False}]
    )
    shown = aws.asg.describe_tags(Filters=[{"Name": "key", "Values": ["spot.platform/*"]}])["Tags"]
    assert [(t["ResourceId"], t["Value"]) for t in shown] == [("g0", "4")]
    aws.asg.delete_tags(Tags=[{**named, "Key": "app"}])
    assert [t["Key"] for t in aws.group("g0")["Tags"]] == ["spot.platform/target"]


def test_deleting_needs_force_while_there_are_instances_and_leaves_nothing(aws: Any, refused: Any) -> None:
    aws.make_group(desired=3)
    assert refused(aws.asg.delete_auto_scaling_group, AutoScalingGroupName="web")[0] == "ResourceInUse"
    aws.asg.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    assert aws.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    assert aws.ec2.describe_instances(Filters=running)["Reservations"] == []
    assert aws.ec2.describe_volumes()["Volumes"] == []
    assert aws.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert aws.sandbox.get("/sandbox/capacity")["pools"] == []
    assert len(aws.activities(IncludeDeletedGroups=True)) == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"DesiredCapacity": 31}, "Desired capacity:31 must be between the specified min size:0 and max size:30"),
        ({"MaxSize": 1, "MinSize": 2}, "Max bound, 1, must be greater than or equal to min bound, 2"),
        ({"VPCZoneIdentifier": "subnet-0"}, "The subnet ID 'subnet-0' does not exist"),
        ({"TargetGroupARNs": ["arn:x"]}, "Provided Target Groups may not be valid"),
    ],
)
def test_wrong_groups_are_refused(aws: Any, refused: Any, change: dict[str, Any], words: str) -> None:
    code, message = refused(aws.make_group, name="web", **change)
    assert code == "ValidationError" and words in message


def test_wrong_policies_are_refused(aws: Any, refused: Any) -> None:
    types = aws.sandbox.get("/sandbox/market", region=aws.region)
    assert types
    wrong = {
        "must have length less than or equal to 40": aws.policy(["m5.large"] * 41),
        "more than once": aws.policy(["m5.large", "m5.large"]),
        "for all overrides or for none": aws.policy(
            [{"InstanceType": "m5.large", "WeightedCapacity": "2"}, "c5.large"]
        ),
        "from 1 to 999": aws.policy([{"InstanceType": "m5.large", "WeightedCapacity": "1000"}]),
        "is not supported": aws.policy(["z9.huge"]),
        "SpotAllocationStrategy": aws.policy(SpotAllocationStrategy="cheap"),
    }
    for words, policy in wrong.items():
        code, message = refused(aws.make_group, MixedInstancesPolicy=policy)
        assert code == "ValidationError" and words.lower() in message.lower().replace(
            "spot allocation s", "spotallocations"
        )


def test_limits_of_the_desired_capacity(aws: Any, refused: Any) -> None:
    aws.make_group(desired=2, MinSize=2)
    aws.advance(31)
    named = {"AutoScalingGroupName": "web"}
    assert "above max value 30" in refused(aws.asg.set_desired_capacity, **named, DesiredCapacity=31)[1]
    assert "below min value 2" in refused(aws.asg.set_desired_capacity, **named, DesiredCapacity=1)[1]
    instance = aws.group()["Instances"][0]["InstanceId"]
    code, message = refused(
        aws.asg.terminate_instance_in_auto_scaling_group, InstanceId=instance, ShouldDecrementDesiredCapacity=True
    )
    assert code == "ValidationError"
    assert message.startswith(
        "Currently, desiredSize equals minSize (2). Terminating instance without replacement will violate"
    )


def test_capacity_rebalancing_launches_before_the_warned_instance_goes(aws: Any) -> None:
    aws.make_group(desired=3, CapacityRebalance=True)
    aws.advance(31)
    warned = aws.group()["Instances"][0]["InstanceId"]
    aws.sandbox.post("/sandbox/rebalance", instance_ids=[warned])
    assert aws.states() == {"InService": 3, "Pending": 1}
    aws.advance(31)
    assert aws.states() == {"InService": 3}
    assert warned not in [i["InstanceId"] for i in aws.group()["Instances"]]


@pytest.mark.parametrize("mixed", [False, True])
def test_the_module_of_amazon_aws_creates_a_group_and_runs_again(aws: Any, run_module: Any, mixed: bool) -> None:
    aws.sandbox.post("/sandbox/clock", speed=60)
    policy = {
        "instance_types": ["m5.large", "c5.large"],
        "instances_distribution": {"on_demand_base_capacity": 1, "on_demand_percentage_above_base_capacity": 0},
    }
    arguments = {
        "name": "web",
        "region": aws.region,
        "min_size": 1,
        "max_size": 4,
        "desired_capacity": 2,
        "vpc_zone_identifier": aws.subnets,
        "launch_template": {"launch_template_id": aws.template},
        "mixed_instances_policy": policy if mixed else None,
        "wait_for_instances": False,
        "tags": [{"app": "web", "propagate_at_launch": True}],
    }
    first = run_module("amazon.aws.autoscaling_group", arguments)
    assert first.get("changed") is True, first
    while aws.states() != {"InService": 2}:
        pass
    again = run_module("amazon.aws.autoscaling_group", arguments)
    assert again.get("changed") is False, again
    gone = run_module("amazon.aws.autoscaling_group", {"name": "web", "region": aws.region, "state": "absent"})
    assert gone.get("changed") is True, gone
