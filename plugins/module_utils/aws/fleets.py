# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 Fleets of type maintain: as they are in AWS, turned into `Group`, and a `Group` turned into calls.

A backend like ``groups``. A fleet has no name, so it is known by its ``Name`` tag; of its capacity and On-Demand base
the same holds as for a group: ``TotalTargetCapacity`` and ``OnDemandTargetCapacity``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.waiter import BaseWaiterFactory, custom_waiter_config
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.groups import all_tags, identity, policy_of
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import Group

SERVICE = "ec2"
GONE = ("deleted", "deleted_running", "deleted_terminating", "failed")


class _Waiters(BaseWaiterFactory):
    @property
    def _waiter_model_data(self) -> dict[str, Any]:
        states = {"matcher": "pathAll", "argument": "Fleets[].FleetState"}
        return {
            "fleet_deleted": {
                "operation": "DescribeFleets",
                "delay": 2,
                "maxAttempts": 300,
                "acceptors": [
                    {"state": "success", "expected": "deleted", **states},
                    {"state": "success", "matcher": "path", "argument": "length(Fleets) == `0`", "expected": True},
                ],
            }
        }


def observe(client: Any, names: Collection[str]) -> dict[str, Group]:
    """The newest live fleet of each of ``names``, of those that we manage."""
    found: dict[str, Group] = {}
    for item in sorted(describe_fleets(client), key=lambda fleet: str(fleet.get("CreateTime"))):
        name = _tags(item).get("Name")
        if name in names and item["FleetState"] not in GONE and tags.MANAGED_BY in _tags(item):
            found[name] = _group(item)
    return found


@Errors.common_error_handler("describe the EC2 Fleets")
def describe_fleets(client: Any) -> list[dict[str, Any]]:
    """DescribeFleets, all pages, also those deleted in the last days; it cannot filter by tag."""
    return [item for page in client.get_paginator("describe_fleets").paginate() for item in page["Fleets"]]


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def _group(item: Mapping[str, Any]) -> Group:
    configuration = (item.get("LaunchTemplateConfigs") or [{}])[0]
    template = configuration.get("LaunchTemplateSpecification", {})
    overrides = configuration.get("Overrides", ())
    capacity = item["TargetCapacitySpecification"]
    rebalance = item.get("SpotOptions", {}).get("MaintenanceStrategies", {}).get("CapacityRebalance", {})
    weights = {pool["InstanceType"]: int(pool.get("WeightedCapacity", 1)) for pool in overrides}
    found = _tags(item)
    return Group(
        launch_template=template.get("LaunchTemplateId", ""),
        launch_template_version=template.get("Version", "$Default"),
        subnets=tuple(sorted({pool["SubnetId"] for pool in overrides if "SubnetId" in pool})),
        overrides=tuple(weights.items()),
        desired=capacity["TotalTargetCapacity"],
        on_demand_base=capacity.get("OnDemandTargetCapacity", 0),
        policy=policy_of(found),
        tags=identity(found),
        capacity_rebalance=bool(rebalance.get("ReplacementStrategy")),
        pools=tuple(sorted((pool["InstanceType"], pool.get("SubnetId", "")) for pool in overrides)),
        spot_allocation_strategy=item.get("SpotOptions", {}).get("AllocationStrategy", ""),
        on_demand_allocation_strategy=item.get("OnDemandOptions", {}).get("AllocationStrategy", ""),
        id=item["FleetId"],
    )


def create(client: Any, name: str, wanted: Group) -> None:
    """Make the fleet, in one call.

    Two runs at once make one fleet: the token is the same for the same name, until a fleet of that name was deleted.
    """
    past = sorted(item["FleetId"] for item in describe_fleets(client) if _tags(item).get("Name") == name)
    request = {
        "Type": "maintain",
        "LaunchTemplateConfigs": _configurations(wanted),
        "TargetCapacitySpecification": _capacity(wanted),
        "SpotOptions": {
            "AllocationStrategy": wanted.spot_allocation_strategy,
            **(
                {"MaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}}}
                if wanted.capacity_rebalance
                else {}
            ),
        },
        "OnDemandOptions": {"AllocationStrategy": wanted.on_demand_allocation_strategy},
        "ExcessCapacityTerminationPolicy": "termination",
        "ReplaceUnhealthyInstances": True,
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": _as_list(all_tags(wanted))}],
    }
    token = hashlib.sha256(json.dumps([name, past, request], sort_keys=True).encode()).hexdigest()[:48]
    create_fleet(client, {"ClientToken": token, **request})


def update(client: Any, name: str, wanted: Group, present: Group, changed: Collection[str]) -> None:
    """Change the fields ``changed``. Raises `AwsError` for one that AWS lets nobody change in a fleet."""
    fixed = {"capacity_rebalance", "spot_allocation_strategy", "on_demand_allocation_strategy"} & set(changed)
    if fixed:
        raise AwsError(
            f"{', '.join(sorted(fixed))} of the EC2 Fleet {name} ({present.id}) cannot be changed: AWS settles it when "
            "the fleet is made; delete the fleet (state absent) and make it again"
        )
    request: dict[str, Any] = {}
    if {"launch_template", "launch_template_version", "overrides", "pools"} & set(changed):
        request["LaunchTemplateConfigs"] = _configurations(wanted)
    if {"desired", "on_demand_base"} & set(changed) or request:
        request["TargetCapacitySpecification"] = _capacity(wanted)
        modify_fleet(client, {"FleetId": present.id, "ExcessCapacityTerminationPolicy": "termination", **request})
    if {"tags", "policy"} & set(changed):
        create_tags(client, present.id, all_tags(wanted))


def _configurations(wanted: Group) -> list[dict[str, Any]]:
    weights = dict(wanted.overrides)
    return [
        {
            "LaunchTemplateSpecification": {
                "LaunchTemplateId": wanted.launch_template,
                "Version": wanted.launch_template_version,
            },
            "Overrides": [
                {"InstanceType": name, "SubnetId": subnet, "WeightedCapacity": float(weights[name])}
                for name in weights
                for kind, subnet in wanted.pools or ()
                if kind == name
            ],
        }
    ]


def _capacity(wanted: Group) -> dict[str, Any]:
    on_demand = min(wanted.on_demand_base, wanted.desired)
    return {
        "TotalTargetCapacity": wanted.desired,
        "OnDemandTargetCapacity": on_demand,
        "SpotTargetCapacity": wanted.desired - on_demand,
        "DefaultTargetCapacityType": "spot",
    }


def _as_list(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(wanted.items()) if not key.startswith("aws:")]


def delete(client: Any, present: Group, timeout: int) -> None:
    """Delete the fleet with its instances, and wait at most ``timeout`` seconds until it is gone."""
    delete_fleet(client, present.id)
    wait_until_deleted(client, present.id, timeout)


@Errors.common_error_handler("create the EC2 Fleet")
def create_fleet(client: Any, request: Mapping[str, Any]) -> None:
    """CreateFleet. Pools without room are no error: a maintained fleet goes on asking."""
    client.create_fleet(**request)


@Errors.common_error_handler("modify the EC2 Fleet")
def modify_fleet(client: Any, request: Mapping[str, Any]) -> None:
    """ModifyFleet."""
    client.modify_fleet(**request)


@Errors.common_error_handler("tag the EC2 Fleet")
def create_tags(client: Any, fleet_id: str, wanted: Mapping[str, str]) -> None:
    """CreateTags."""
    client.create_tags(Resources=[fleet_id], Tags=_as_list(wanted))


@Errors.common_error_handler("delete the EC2 Fleet")
def delete_fleet(client: Any, fleet_id: str) -> None:
    """DeleteFleets. Raises `AwsError` where AWS refuses in its answer."""
    answer = client.delete_fleets(FleetIds=[fleet_id], TerminateInstances=True)
    for refused in answer.get("UnsuccessfulFleetDeletions", ()):
        error = refused["Error"]
        raise AwsError(f"cannot delete the EC2 Fleet {fleet_id}: {error['Code']}: {error['Message']}", error["Code"])


@Errors.common_error_handler("wait until the EC2 Fleet is deleted")
def wait_until_deleted(client: Any, fleet_id: str, timeout: int) -> None:
    """Polls DescribeFleets."""
    waiter = _Waiters().get_waiter(client, "fleet_deleted")
    waiter.wait(FleetIds=[fleet_id], WaiterConfig=custom_waiter_config(timeout))
