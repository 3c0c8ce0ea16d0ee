# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group as spot_capacity leaves it, made with boto3, so that the tests of what follows need nothing of it."""

from __future__ import annotations

from typing import Any

REGION = "us-east-1"
TYPES = {"m5.large": 2, "m5a.large": 2, "m6i.large": 2}


def make(sandbox: Any, app: str = "web", region: str = "us-east-1", target: int = 8, base: int = 2, weights: Any = None, **tags: str) -> str:
    """A group of ``target`` vCPUs over three zones, running; returns its name. ``weights``: of the types, in place of their vCPUs."""
    weights = weights or TYPES
    name = f"sandbox-{app}"
    ec2, autoscaling = sandbox.client("ec2", region), sandbox.client("autoscaling", region)
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])[:3]
    image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": image})
    carried = {
        "spot.platform/app": app,
        "spot.platform/environment": "sandbox",
        "spot.platform/managed-by": "spot.platform",
        "spot.platform/unit": "vcpus",
        "spot.platform/target": str(target),
        "spot.platform/min": "2",
        "spot.platform/max": "20",
        "spot.platform/on-demand-base": str(base),
        "spot.platform/fallback": "on_demand",
        **tags,
    }
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=2,
        MaxSize=40,
        DesiredCapacity=target,
        VPCZoneIdentifier=",".join(subnet["SubnetId"] for subnet in subnets),
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "$Latest"},
                "Overrides": [{"InstanceType": kind, "WeightedCapacity": str(weight)} for kind, weight in weights.items()],
            },
            "InstancesDistribution": {
                "OnDemandAllocationStrategy": "lowest-price",
                "OnDemandBaseCapacity": base,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        },
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in carried.items()],
    )
    table(sandbox, region)
    sandbox.post("/sandbox/clock", advance=120)
    return name


def table(sandbox: Any, region: str = "us-east-1") -> None:
    """The table in which the autoscaler remembers, as the role network makes it."""
    dynamodb = sandbox.client("dynamodb", region)
    if "spot-platform-sandbox" not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName="spot-platform-sandbox",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )


def figures(sandbox: Any, name: str = "sandbox-web", region: str = "us-east-1") -> dict[str, Any]:
    """A group's desired capacity, On-Demand base, and what is in service of Spot and of On-Demand."""
    found = sandbox.client("autoscaling", region).describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    (group,) = found["AutoScalingGroups"]
    members = {one["InstanceId"]: one for one in group["Instances"] if one["LifecycleState"] == "InService"}
    pages = sandbox.client("ec2", region).get_paginator("describe_instances").paginate()
    spot = on_demand = 0
    for page in pages:
        for instance in (one for part in page["Reservations"] for one in part["Instances"]):
            if instance["InstanceId"] in members:
                weight = int(members[instance["InstanceId"]].get("WeightedCapacity", 1))
                if instance.get("InstanceLifecycle") == "spot":
                    spot += weight
                else:
                    on_demand += weight
    base = group["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"]
    return {"desired": group["DesiredCapacity"], "base": base, "spot": spot, "on_demand": on_demand}


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", advance=seconds)


def settle(sandbox, step, steps=8):
    """Take a step a minute until one has nothing to do."""
    for _each in range(steps):
        result = step()
        advance(sandbox, 60)
        if not result["changed"]:
            return result
    raise AssertionError(f"still at work after {steps} steps: {result['decisions']}")


def dry(sandbox, region=REGION):
    """No pool of the region has room for a Spot Instance; what runs is interrupted and gone."""
    sandbox.post("/sandbox/capacity", region=region, room=0)
    advance(sandbox, 200)


def group_of(sandbox, name="sandbox-web"):
    return sandbox.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]


def serving(sandbox):
    now = figures(sandbox)
    return now["spot"] + now["on_demand"]


def spot_members(sandbox):
    """The group's Spot Instances that run, with their pool."""
    members = {one["InstanceId"] for one in group_of(sandbox)["Instances"]}
    found = sandbox.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    return {
        one["InstanceId"]: (one["Placement"]["AvailabilityZone"], one["InstanceType"])
        for part in found["Reservations"]
        for one in part["Instances"]
        if one["InstanceId"] in members and one.get("InstanceLifecycle") == "spot"
    }


def orphans(sandbox):
    """What runs, carries our tag, and belongs to no group."""
    groups = sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    members = {one["InstanceId"] for group in groups for one in group["Instances"]}
    filters = [
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        {"Name": "tag:spot.platform/managed-by", "Values": ["spot.platform"]},
    ]
    found = sandbox.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {one["InstanceId"] for part in found for one in part["Instances"]} - members


def writes(sandbox):
    """The calls since the last reset that changed something, without what is remembered."""
    reads = ("Describe", "Get", "BatchGet", "List")
    return {
        name: count
        for service, names in sandbox.get("/sandbox/calls")["services"].items()
        for name, count in names.items()
        if not name.startswith(reads) and service != "dynamodb"
    }
