# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as spot_capacity leaves it, made with boto3, so that the tests of what follows need nothing of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.spot.platform.tests.integration.modules.groups import TYPES

ROLE = "arn:aws:iam::123456789012:role/aws-service-role/spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet"
MEMBERS = {"ec2_fleet": "aws:ec2:fleet-id", "spot_fleet": "aws:ec2spot:fleet-request-id"}


def make(
    sandbox: Any,
    kind: str,
    app: str = "work",
    target: int = 8,
    base: int = 2,
    role: str = ROLE,
    target_groups: list[str] | None = None,
    **tags: str,
) -> str:
    """A fleet of ``target`` vCPUs over three zones, running; returns its id."""
    name, ec2 = f"sandbox-{app}", sandbox.client("ec2")
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])[:3]
    image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
    identity = {
        "Name": name,
        "spot.platform/app": app,
        "spot.platform/environment": "sandbox",
        "spot.platform/managed-by": "spot.platform",
    }
    of_instances = {"ResourceType": "instance", "Tags": listed(identity)}
    template = ec2.create_launch_template(
        LaunchTemplateName=f"{name}-{kind}",
        LaunchTemplateData={"ImageId": image, "TagSpecifications": [of_instances]},
    )
    carried = {
        **identity,
        "spot.platform/unit": "vcpus",
        "spot.platform/target": str(target),
        "spot.platform/min": "2",
        "spot.platform/max": "20",
        "spot.platform/on-demand-base": str(base),
        "spot.platform/fallback": "on_demand",
        **tags,
    }
    configurations = [
        {
            "LaunchTemplateSpecification": {
                "LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"],
                "Version": "$Default",
            },
            "Overrides": [
                {"InstanceType": kind, "SubnetId": subnet["SubnetId"], "WeightedCapacity": weight}
                for kind, weight in TYPES.items()
                for subnet in subnets
            ],
        }
    ]
    labels = listed(carried)
    if kind == "ec2_fleet":
        made = ec2.create_fleet(
            Type="maintain",
            LaunchTemplateConfigs=configurations,
            TargetCapacitySpecification={
                "TotalTargetCapacity": target,
                "OnDemandTargetCapacity": base,
                "DefaultTargetCapacityType": "spot",
            },
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
            OnDemandOptions={"AllocationStrategy": "lowest-price"},
            ExcessCapacityTerminationPolicy="no-termination",
            TagSpecifications=[{"ResourceType": "fleet", "Tags": labels}],
        )["FleetId"]
    else:
        request = {
            "Type": "maintain",
            "IamFleetRole": role,
            "LaunchTemplateConfigs": configurations,
            "TargetCapacity": target,
            "OnDemandTargetCapacity": base,
            "AllocationStrategy": "priceCapacityOptimized",
            "ExcessCapacityTerminationPolicy": "noTermination",
            "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": labels}],
        }
        if target_groups:
            balanced = {"TargetGroups": [{"Arn": arn} for arn in target_groups]}
            request["LoadBalancersConfig"] = {"TargetGroupsConfig": balanced}
        made = ec2.request_spot_fleet(SpotFleetRequestConfig=request)["SpotFleetRequestId"]
    sandbox.post("/sandbox/clock", advance=120)
    return str(made)


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def members(sandbox: Any, kind: str) -> list[dict[str, Any]]:
    """The running instances of all fleets of a kind."""
    filters = [{"Name": "tag-key", "Values": [MEMBERS[kind]]}, {"Name": "instance-state-name", "Values": ["running"]}]
    pages = sandbox.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    return [one for page in pages for part in page["Reservations"] for one in part["Instances"]]


def figures(sandbox: Any, kind: str) -> dict[str, int]:
    """Of the only fleet of a kind: its target, On-Demand part, and what runs of Spot and of On-Demand."""
    ec2 = sandbox.client("ec2")
    if kind == "ec2_fleet":
        (fleet,) = ec2.describe_fleets(Filters=[{"Name": "type", "Values": ["maintain"]}])["Fleets"]
        capacity = fleet["TargetCapacitySpecification"]
        told = {"desired": capacity["TotalTargetCapacity"], "base": capacity["OnDemandTargetCapacity"]}
    else:
        (fleet,) = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
        given = fleet["SpotFleetRequestConfig"]
        told = {"desired": given["TargetCapacity"], "base": given["OnDemandTargetCapacity"]}
    running = members(sandbox, kind)
    spot = sum(TYPES[one["InstanceType"]] for one in running if one.get("InstanceLifecycle") == "spot")
    return {**told, "spot": spot, "on_demand": sum(TYPES[one["InstanceType"]] for one in running) - spot}
