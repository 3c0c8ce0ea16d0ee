# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch just what was decided, and be told at once what could not be had.

An EC2 Fleet of the type ``instant`` is one synchronous request: it launches in the pool that it names, and answers with
the instances and with the error of each pool that gave none.

Required IAM actions: ``ec2:CreateFleet``, ``ec2:RunInstances``, ``ec2:CreateTags``, ``ec2:DescribeInstances``,
``ec2:TerminateInstances``, ``iam:PassRole``; EC2 asks for RunInstances, CreateTags and PassRole on behalf of the fleet.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.waiter import BaseWaiterFactory, custom_waiter_config
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import ON_DEMAND, SPOT, shortened
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import read_quickly

NO_CAPACITY = (
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
    "MaxFleetCountExceeded",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "Unsupported",
)
"""The errors that say that a pool, or the account's quota, gives nothing now; all others say that the request is wrong."""


@dataclass(frozen=True)
class Order:
    """Units to launch in one Spot pool (zone, type), or On-Demand (``pool`` is ``None``) in whatever zone and type is
    cheapest. ``weights`` are units by type, ``subnets`` by zone. ``paid``: it is On-Demand that is paid for already."""

    pool: str | None
    units: int
    weights: Mapping[str, int]
    subnets: Mapping[str, str]
    paid: bool = False

    @property
    def zone(self) -> str | None:
        """Where all of it comes from, if that is one zone."""
        if self.pool:
            return self.pool.partition("/")[0]
        return next(iter(self.subnets)) if len(self.subnets) == 1 else None

    @property
    def overrides(self) -> list[dict[str, Any]]:
        """The pools that may be launched in, as a fleet takes them."""
        return [
            {"InstanceType": name, "SubnetId": subnet, "WeightedCapacity": float(weight)}
            for zone, subnet in sorted(self.subnets.items())
            for name, weight in sorted(self.weights.items())
            if self.pool in (None, f"{zone}/{name}")
        ]


@dataclass(frozen=True)
class Launched:
    """What became of an order: the instances, with their type, and why there are fewer units than were ordered.

    ``wrong``: the request itself was refused, so that no pool would give anything.
    """

    order: Order
    instances: Mapping[str, str]
    refusal: str | None = None
    wrong: bool = False

    @property
    def units(self) -> int:
        """The capacity that was had."""
        return sum(self.order.weights.get(kind, 1) for kind in self.instances.values())


def launch(client: Any, order: Order, template: Mapping[str, str], tags: Mapping[str, str]) -> Launched:
    """Launch what is ordered. Raises `AwsError` where the request could not be made at all; a refusal is an answer."""
    lifecycle = ON_DEMAND if order.pool is None else SPOT
    specification = {"Version": template.get("Version", "$Default")}
    key = "LaunchTemplateId" if "LaunchTemplateId" in template else "LaunchTemplateName"
    specification[key] = template[key]
    request = {
        "ClientToken": str(uuid.uuid4()),
        "Type": "instant",
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": specification, "Overrides": order.overrides}],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": order.units,
            "DefaultTargetCapacityType": "on-demand" if lifecycle == ON_DEMAND else "spot",
        },
        "SpotOptions": {"AllocationStrategy": "price-capacity-optimized"},
        "OnDemandOptions": {"AllocationStrategy": "lowest-price"},
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
        ],
    }
    try:
        answer = create_fleet(client, request)
    except AwsError as error:
        if error.code in NO_CAPACITY:
            return Launched(order, {}, shortened(str(error)))
        raise
    instances = {name: part["InstanceType"] for part in answer["Instances"] for name in part["InstanceIds"]}
    made = Launched(order, instances)
    if made.units >= order.units:
        return made
    errors = answer["Errors"]
    said = [f"{code}: {shortened(texts[0], 120)}{_more(texts)}" for code, texts in sorted(_by_code(errors).items())]
    wrong = bool(errors) and not instances and all(one["ErrorCode"] not in NO_CAPACITY for one in errors)
    return Launched(order, instances, "; ".join(said) or "no reason given", wrong)


def _by_code(errors: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was said, by error code, each once."""
    found: dict[str, list[str]] = {}
    for one in errors:
        text = one.get("ErrorMessage", "")
        if text not in found.setdefault(one["ErrorCode"], []):
            found[one["ErrorCode"]].append(text)
    return found


def _more(texts: Sequence[str]) -> str:
    return f" (and {len(texts) - 1} more like it)" if len(texts) > 1 else ""


@Errors.common_error_handler("launch instances by an instant fleet")
def create_fleet(client: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """CreateFleet; its client token makes a repeated call harmless."""
    return client.create_fleet(**request)


class _Waiters(BaseWaiterFactory):
    """Until all instances run, or one of them cannot."""

    @property
    def _waiter_model_data(self) -> dict[str, Any]:
        state = "Reservations[].instances[].state.name"  # as `read_quickly` gives it
        return {
            "instances_run": {
                "operation": "DescribeInstances",
                "delay": 3,
                "maxAttempts": 100,
                "acceptors": [
                    {"state": "success", "matcher": "pathAll", "argument": state, "expected": "running"},
                    {"state": "failure", "matcher": "pathAny", "argument": state, "expected": "terminated"},
                    {"state": "failure", "matcher": "pathAny", "argument": state, "expected": "shutting-down"},
                    {"state": "retry", "matcher": "error", "expected": "InvalidInstanceID.NotFound"},
                ],
            }
        }


def running(client: Any, ids: Sequence[str], seconds: int) -> bool:
    """Whether all of ``ids`` run within ``seconds``; those that do not are found and attached at the next step."""
    try:
        wait_until_running(client, ids, seconds)
    except AwsError:
        return False
    return True


@Errors.common_error_handler("wait until the instances run")
def wait_until_running(client: Any, ids: Sequence[str], seconds: int) -> None:
    """Polls DescribeInstances."""
    read_quickly(client)
    waiter = _Waiters().get_waiter(client, "instances_run")
    waiter.wait(InstanceIds=list(ids), WaiterConfig=custom_waiter_config(seconds, default_pause=3))


@Errors.common_error_handler("terminate the instances")
def terminate_instances(client: Any, ids: Sequence[str]) -> None:
    """TerminateInstances."""
    client.terminate_instances(InstanceIds=list(ids))
