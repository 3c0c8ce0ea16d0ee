# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto Scaling groups: as they are in AWS, turned into `Group`, and a `Group` turned into calls.

A backend, as ``fleets`` is another: ``observe``, ``create``, ``update``, ``drain``, ``delete``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.waiter import BaseWaiterFactory, custom_waiter_config
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import FILTER_VALUES
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import Group, Policy, Subnet

SERVICE = "autoscaling"
POLICY_TAGS = {
    "target": tags.TARGET,
    "minimum": tags.MINIMUM,
    "maximum": tags.MAXIMUM,
    "on_demand_base": tags.ON_DEMAND_BASE,
    "unit": tags.UNIT,
    "fallback": tags.FALLBACK,
    "profile": tags.PROFILE,
    "max_zone_share": tags.ZONE_SHARE,
}
"""The tag that holds each field of a group's `Policy`."""
_READ: dict[str, Any] = {"unit": str, "fallback": str, "profile": str, "max_zone_share": float}
PAGE = 50
"""Groups that DescribeAutoScalingGroups takes by name in one request."""


class _Waiters(BaseWaiterFactory):
    @property
    def _waiter_model_data(self) -> dict[str, Any]:
        none_left = {"matcher": "path", "argument": "length(AutoScalingGroups) == `0`", "expected": True}
        empty = {"matcher": "path", "argument": "length(AutoScalingGroups[].Instances[]) == `0`", "expected": True}
        return {
            "group_empty": {
                "operation": "DescribeAutoScalingGroups",
                "delay": 2,
                "maxAttempts": 300,
                "acceptors": [{"state": "success", **empty}],
            },
            "group_deleted": {
                "operation": "DescribeAutoScalingGroups",
                "delay": 2,
                "maxAttempts": 300,
                "acceptors": [{"state": "success", **none_left}],
            }
        }


# What both kinds of group need to know of their surroundings


def subnets(client: Any, ids: Collection[str]) -> dict[str, Subnet]:
    """Those of ``ids`` that exist. ``client``: of EC2."""
    return {
        item["SubnetId"]: Subnet(item["SubnetId"], item["AvailabilityZone"], item["MapPublicIpOnLaunch"])
        for part in chunks(sorted(ids), FILTER_VALUES)
        for item in describe_subnets(client, part)
    }


@Errors.common_error_handler("describe the subnets")
def describe_subnets(client: Any, ids: Sequence[str]) -> list[dict[str, Any]]:
    """DescribeSubnets by filter: a subnet that does not exist is left out, where ids would be an error."""
    pages = client.get_paginator("describe_subnets").paginate(Filters=[{"Name": "subnet-id", "Values": list(ids)}])
    return [item for page in pages for item in page["Subnets"]]


def launch_templates(client: Any, wanted: Collection[str]) -> dict[str, str]:
    """The identifier of each of the launch templates ``wanted``, names or identifiers, that exists."""
    ids = sorted(template for template in wanted if template.startswith("lt-"))
    names = sorted(set(wanted) - set(ids))
    asked = [{"LaunchTemplateIds": list(part)} for part in chunks(ids, FILTER_VALUES)]
    asked += [
        {"Filters": [{"Name": "launch-template-name", "Values": list(part)}]} for part in chunks(names, FILTER_VALUES)
    ]
    found = [item for one in asked for item in describe_launch_templates(client, **one)]
    return {
        key: item["LaunchTemplateId"]
        for item in found
        for key in (item["LaunchTemplateId"], item["LaunchTemplateName"])
    }


@Errors.common_error_handler("describe the launch templates")
def describe_launch_templates(client: Any, **chosen: Any) -> list[dict[str, Any]]:
    """DescribeLaunchTemplates, all pages."""
    pages = client.get_paginator("describe_launch_templates").paginate(**chosen)
    return [item for page in pages for item in page["LaunchTemplates"]]


def identity(group_tags: Mapping[str, str]) -> dict[str, str]:
    """A group's tags without those that hold its policy."""
    return {key: value for key, value in group_tags.items() if key not in POLICY_TAGS.values()}


def policy_of(group_tags: Mapping[str, str]) -> Policy | None:
    """The policy that a group's tags hold; ``None`` where one is missing or is no number."""
    try:
        kept = {name: group_tags[tag] for name, tag in POLICY_TAGS.items()}
        return Policy(**{name: _READ.get(name, int)(value) for name, value in kept.items()})
    except (KeyError, ValueError):
        return None


def all_tags(group: Group) -> dict[str, str]:
    """Every tag that a group is to carry."""
    return {**group.tags, **{tag: str(getattr(group.policy, name)) for name, tag in POLICY_TAGS.items()}}


# The groups


def observe(client: Any, names: Collection[str]) -> dict[str, Group]:
    """Those of the groups ``names`` that exist."""
    ordered = sorted(names)
    pages = [ordered[first : first + PAGE] for first in range(0, len(ordered), PAGE)]
    found = [item for page in pages for item in describe_auto_scaling_groups(client, page)]
    return {item["AutoScalingGroupName"]: _group(item) for item in found}


@Errors.common_error_handler("describe the Auto Scaling groups")
def describe_auto_scaling_groups(client: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """DescribeAutoScalingGroups by name (at most 50), all pages."""
    pages = client.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=list(names))
    return [item for page in pages for item in page["AutoScalingGroups"]]


def _group(item: Mapping[str, Any]) -> Group:
    mixed = item.get("MixedInstancesPolicy", {})
    template = mixed.get("LaunchTemplate", {})
    specification = template.get("LaunchTemplateSpecification") or item.get("LaunchTemplate", {})
    distribution = mixed.get("InstancesDistribution", {})
    found = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
    return Group(
        launch_template=specification.get("LaunchTemplateId", ""),
        launch_template_version=specification.get("Version", "$Default"),
        subnets=tuple(sorted(filter(None, item.get("VPCZoneIdentifier", "").split(",")))),
        overrides=tuple(
            (override["InstanceType"], int(override.get("WeightedCapacity", 1)))
            for override in template.get("Overrides", ())
            if "InstanceType" in override
        ),
        desired=item["DesiredCapacity"],
        on_demand_base=distribution.get("OnDemandBaseCapacity", 0),
        policy=policy_of(found),
        tags=identity(found),
        capacity_rebalance=item.get("CapacityRebalance", False),
        min_size=item["MinSize"],
        max_size=item["MaxSize"],
        health_check_type=item.get("HealthCheckType", "EC2"),
        health_check_grace_period=item.get("HealthCheckGracePeriod", 0),
        target_group_arns=tuple(sorted(item.get("TargetGroupARNs", ()))),
        spot_allocation_strategy=distribution.get("SpotAllocationStrategy", ""),
        on_demand_allocation_strategy=distribution.get("OnDemandAllocationStrategy", ""),
        on_demand_percentage_above_base=distribution.get("OnDemandPercentageAboveBaseCapacity", 100),
        id=item["AutoScalingGroupName"],
        deleting=bool(item.get("Status")),
    )


def create(client: Any, name: str, wanted: Group) -> None:
    """Make the group, in one call. Raises `AwsError` with the code ``AlreadyExists`` where another was faster."""
    create_auto_scaling_group(
        client,
        {
            "AutoScalingGroupName": name,
            **_settings(wanted, {field for fields in _FIELDS.values() for field in fields}),
            "TargetGroupARNs": list(wanted.target_group_arns or ()),
            "Tags": _tags(name, all_tags(wanted)),
        },
    )


def update(client: Any, name: str, wanted: Group, present: Group, changed: Collection[str]) -> None:
    """Change the fields ``changed``: one call for the group's settings, one each for tags and target groups."""
    settings = _settings(wanted, changed)
    if settings:
        update_auto_scaling_group(client, {"AutoScalingGroupName": name, **settings})
    before, after = set(present.target_group_arns or ()), set(wanted.target_group_arns or ())
    if after - before:
        attach_target_groups(client, name, sorted(after - before))
    if before - after:
        detach_target_groups(client, name, sorted(before - after))
    if {"tags", "policy"} & set(changed):
        held = {**present.tags, **(all_tags(present) if present.policy else {})}
        differing = {key: value for key, value in all_tags(wanted).items() if held.get(key) != value}
        create_or_update_tags(client, _tags(name, differing))


_POLICY_FIELDS = (
    "launch_template",
    "launch_template_version",
    "overrides",
    "on_demand_base",
    "spot_allocation_strategy",
    "on_demand_allocation_strategy",
    "on_demand_percentage_above_base",
)
_FIELDS = {
    "MixedInstancesPolicy": _POLICY_FIELDS,
    "MinSize": ("min_size",),
    "MaxSize": ("max_size",),
    "DesiredCapacity": ("desired",),
    "VPCZoneIdentifier": ("subnets",),
    "HealthCheckType": ("health_check_type",),
    "HealthCheckGracePeriod": ("health_check_grace_period",),
    "CapacityRebalance": ("capacity_rebalance",),
}
"""The parameter of create and update in which each field of a `Group` goes."""


def _settings(wanted: Group, changed: Iterable[str]) -> dict[str, Any]:
    """The parameters of create and update for the fields ``changed``."""
    values = {
        "MixedInstancesPolicy": _mixed_policy(wanted),
        "VPCZoneIdentifier": ",".join(wanted.subnets),
    }
    changed = set(changed)
    return {
        parameter: values[parameter] if parameter in values else getattr(wanted, fields[0])
        for parameter, fields in _FIELDS.items()
        if changed.intersection(fields)
    }


def _mixed_policy(wanted: Group) -> dict[str, Any]:
    return {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {
                "LaunchTemplateId": wanted.launch_template,
                "Version": wanted.launch_template_version,
            },
            "Overrides": [{"InstanceType": name, "WeightedCapacity": str(weight)} for name, weight in wanted.overrides],
        },
        "InstancesDistribution": {
            "OnDemandAllocationStrategy": wanted.on_demand_allocation_strategy,
            "OnDemandBaseCapacity": wanted.on_demand_base,
            "OnDemandPercentageAboveBaseCapacity": wanted.on_demand_percentage_above_base,
            "SpotAllocationStrategy": wanted.spot_allocation_strategy,
        },
    }


def _tags(name: str, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    """In the API's form. Instances get all of them but those of the policy and the temporary bounds, which change while they run."""
    return [
        {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": key not in (*POLICY_TAGS.values(), tags.OVERRIDE),
        }
        for key, value in sorted(wanted.items())
        if not key.startswith("aws:")
    ]


def drain(clients: Clients, region: str, present: Group, timeout: int) -> None:
    """Take the group down to nothing, and wait at most ``timeout`` seconds until its instances are drained and gone."""
    client = clients.get(SERVICE, region)
    if not present.deleting:
        none = {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
        update_auto_scaling_group(client, {"AutoScalingGroupName": present.id, **none})
    wait_until_empty(client, present.id, timeout)


def delete(client: Any, present: Group, timeout: int) -> None:
    """Delete the group with its instances, and wait at most ``timeout`` seconds until it is gone."""
    if not present.deleting:
        delete_auto_scaling_group(client, present.id)
    wait_until_deleted(client, present.id, timeout)


@Errors.common_error_handler("create the Auto Scaling group")
def create_auto_scaling_group(client: Any, request: Mapping[str, Any]) -> None:
    """CreateAutoScalingGroup."""
    client.create_auto_scaling_group(**request)


@Errors.common_error_handler("update the Auto Scaling group")
def update_auto_scaling_group(client: Any, request: Mapping[str, Any]) -> None:
    """UpdateAutoScalingGroup."""
    client.update_auto_scaling_group(**request)


@Errors.common_error_handler("attach the target groups to the Auto Scaling group")
def attach_target_groups(client: Any, name: str, arns: Sequence[str]) -> None:
    """AttachLoadBalancerTargetGroups."""
    client.attach_load_balancer_target_groups(AutoScalingGroupName=name, TargetGroupARNs=list(arns))


@Errors.common_error_handler("detach the target groups from the Auto Scaling group")
def detach_target_groups(client: Any, name: str, arns: Sequence[str]) -> None:
    """DetachLoadBalancerTargetGroups."""
    client.detach_load_balancer_target_groups(AutoScalingGroupName=name, TargetGroupARNs=list(arns))


@Errors.common_error_handler("tag the Auto Scaling group")
def create_or_update_tags(client: Any, wanted: Sequence[Mapping[str, Any]]) -> None:
    """CreateOrUpdateTags."""
    client.create_or_update_tags(Tags=list(wanted))


@Errors.common_error_handler("delete the Auto Scaling group")
def delete_auto_scaling_group(client: Any, name: str) -> None:
    """DeleteAutoScalingGroup, its instances with it."""
    client.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


@Errors.common_error_handler("wait until the Auto Scaling group is empty")
def wait_until_empty(client: Any, name: str, timeout: int) -> None:
    """Polls DescribeAutoScalingGroups."""
    waiter = _Waiters().get_waiter(client, "group_empty")
    waiter.wait(AutoScalingGroupNames=[name], WaiterConfig=custom_waiter_config(timeout))


@Errors.common_error_handler("wait until the Auto Scaling group is deleted")
def wait_until_deleted(client: Any, name: str, timeout: int) -> None:
    """Polls DescribeAutoScalingGroups."""
    waiter = _Waiters().get_waiter(client, "group_deleted")
    waiter.wait(AutoScalingGroupNames=[name], WaiterConfig=custom_waiter_config(timeout))
