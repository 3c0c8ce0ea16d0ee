# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 Fleets of type maintain: as they are in AWS, turned into `Group`, and a `Group` turned into calls.

A backend like ``groups``. A fleet has no name, so it is known by its ``Name`` tag; of its capacity and On-Demand base
the same holds as for a group: ``TotalTargetCapacity`` and ``OnDemandTargetCapacity``. It keeps what is above its capacity:
which instances go is the autoscaler's to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.waiter import BaseWaiterFactory, custom_waiter_config
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.groups import all_tags, identity, policy_of
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import Group

SERVICE = "ec2"
GONE = ("deleted", "deleted_running", "deleted_terminating", "failed")
FIXED = {"capacity_rebalance", "spot_allocation_strategy", "on_demand_allocation_strategy"}
"""What AWS lets nobody change in a fleet that stands."""


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
        name = tags_of(item).get("Name")
        if name in names and item["FleetState"] not in GONE and tags.MANAGED_BY in tags_of(item):
            found[name] = _group(item)
    return found


@Errors.common_error_handler("describe the EC2 Fleets")
def describe_fleets(client: Any) -> list[dict[str, Any]]:
    """DescribeFleets, all pages, also those deleted in the last days; it cannot filter by tag."""
    return [item for page in client.get_paginator("describe_fleets").paginate() for item in page["Fleets"]]


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """The tags of something in EC2."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def _group(item: Mapping[str, Any]) -> Group:
    configuration = (item.get("LaunchTemplateConfigs") or [{}])[0]
    template = configuration.get("LaunchTemplateSpecification", {})
    overrides = configuration.get("Overrides", ())
    capacity = item["TargetCapacitySpecification"]
    rebalance = item.get("SpotOptions", {}).get("MaintenanceStrategies", {}).get("CapacityRebalance", {})
    weights = {pool["InstanceType"]: int(pool.get("WeightedCapacity", 1)) for pool in overrides}
    found = tags_of(item)
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
    past = sorted(item["FleetId"] for item in describe_fleets(client) if tags_of(item).get("Name") == name)
    request = {
        "Type": "maintain",
        "LaunchTemplateConfigs": configurations(wanted),
        "TargetCapacitySpecification": _capacity(wanted.desired, wanted.on_demand_base),
        "SpotOptions": {
            "AllocationStrategy": wanted.spot_allocation_strategy,
            **(
                {"MaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}}}
                if wanted.capacity_rebalance
                else {}
            ),
        },
        "OnDemandOptions": {"AllocationStrategy": wanted.on_demand_allocation_strategy},
        "ExcessCapacityTerminationPolicy": "no-termination",
        "ReplaceUnhealthyInstances": True,
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": as_list(all_tags(wanted))}],
    }
    create_fleet(client, {"ClientToken": token_of(name, past, request), **request})


def token_of(name: str, past: Sequence[str], request: Mapping[str, Any]) -> str:
    """The client token of a request; ``past``: the fleets of that name that there were."""
    return hashlib.sha256(json.dumps([name, past, request], sort_keys=True).encode()).hexdigest()[:48]


def update(client: Any, name: str, wanted: Group, present: Group, changed: Collection[str]) -> None:
    """Change the fields ``changed``. Raises `AwsError` for one that AWS lets nobody change in a fleet."""
    check_fixed(f"EC2 Fleet {name} ({present.id})", FIXED & set(changed))
    request: dict[str, Any] = {}
    if {"launch_template", "launch_template_version", "overrides", "pools"} & set(changed):
        request["LaunchTemplateConfigs"] = configurations(wanted)
    if {"desired", "on_demand_base"} & set(changed) or request:
        set_capacity(client, present.id, wanted.desired, wanted.on_demand_base, True, request)
    if {"tags", "policy"} & set(changed):
        create_tags(client, present.id, all_tags(wanted))


def check_fixed(what: str, changed: Collection[str]) -> None:
    """Raises `AwsError` for fields that AWS lets nobody change in a fleet."""
    if changed:
        raise AwsError(
            f"{', '.join(sorted(changed))} of the {what} cannot be changed: AWS settles it when the fleet is made; "
            "delete the fleet (state absent) and make it again"
        )


def set_capacity(
    client: Any, fleet_id: str, total: int, on_demand: int, keep: bool, more: Mapping[str, Any] | None = None
) -> None:
    """Set total and On-Demand part; ``keep``: what is above them stays. ``more`` goes with the same request."""
    modify_fleet(
        client,
        {
            "FleetId": fleet_id,
            "ExcessCapacityTerminationPolicy": "no-termination" if keep else "termination",
            "TargetCapacitySpecification": _capacity(total, on_demand),
            **(more or {}),
        },
    )


def configurations(wanted: Group) -> list[dict[str, Any]]:
    """The launch template with the pools, as both APIs of fleets take them."""
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


def _capacity(total: int, on_demand: int) -> dict[str, Any]:
    return {
        "TotalTargetCapacity": total,
        "OnDemandTargetCapacity": min(on_demand, total),
        "SpotTargetCapacity": max(0, total - on_demand),
        "DefaultTargetCapacityType": "spot",
    }


def as_list(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(wanted.items()) if not key.startswith("aws:")]


def drain(clients: Clients, region: str, present: Group, timeout: int) -> None:
    """Nothing: an EC2 Fleet has no load balancer."""


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


@Errors.common_error_handler("tag the fleet")
def create_tags(client: Any, fleet_id: str, wanted: Mapping[str, str]) -> None:
    """CreateTags."""
    client.create_tags(Resources=[fleet_id], Tags=as_list(wanted))


@Errors.common_error_handler("remove tags of the fleet")
def delete_tags(client: Any, fleet_id: str, keys: Collection[str]) -> None:
    """DeleteTags."""
    client.delete_tags(Resources=[fleet_id], Tags=[{"Key": key} for key in keys])


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
