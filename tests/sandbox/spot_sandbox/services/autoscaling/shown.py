"""Groups, members and tags as the API shows them."""

from __future__ import annotations

from typing import Any

from spot_sandbox.services.autoscaling.state import PROCESSES, Group, Member
from spot_sandbox.services.autoscaling.targets import sources_of


def group_shown(group: Group) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        **{k: v for k, v in group.plain.items() if k != "PlacementGroup"},
        "AvailabilityZones": group.zones,
        "LoadBalancerNames": group.load_balancers,
        "TargetGroupARNs": group.target_groups,
        "CreatedTime": group.created,
        "SuspendedProcesses": [
            {"ProcessName": p, "SuspensionReason": "User suspended"} for p in PROCESSES if p in group.suspended
        ],
        "VPCZoneIdentifier": ",".join(group.subnets),
        "EnabledMetrics": [{"Metric": m, "Granularity": "1Minute"} for m in group.metrics],
        "Tags": tags_shown(group),
        "TrafficSources": sources_of(group),
        "Instances": [member_shown(m) for m in group.members.values()],
    }
    if group.plain.get("PlacementGroup"):
        shown["PlacementGroup"] = group.plain["PlacementGroup"]
    if group.policy:
        shown["MixedInstancesPolicy"] = {
            "LaunchTemplate": {"Overrides": [], **group.policy["LaunchTemplate"]},
            "InstancesDistribution": group.policy["InstancesDistribution"],
        }
    else:
        shown["LaunchTemplate"] = group.template
    return shown


def member_shown(member: Member) -> dict[str, Any]:
    shown = {
        "InstanceId": member.id,
        "InstanceType": member.instance_type,
        "AvailabilityZone": member.zone,
        "LifecycleState": member.state,
        "HealthStatus": member.health,
        "LaunchTemplate": member.template,
        "ProtectedFromScaleIn": member.protected,
    }
    if member.weighted is not None:
        shown["WeightedCapacity"] = member.weighted
    return shown


def tags_shown(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": propagate,
        }
        for key, (value, propagate) in sorted(group.tags.items())
    ]
