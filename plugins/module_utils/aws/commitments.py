# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe what an account has paid for in a region, and which of its On-Demand instances use it.

What may not be read counts as nothing, with the reason: commitments save money, they must not stop a step. Needs
``ec2:DescribeReservedInstances``, ``ec2:DescribeCapacityReservations``, ``savingsplans:DescribeSavingsPlans`` and, where
there is something, ``ec2:DescribeInstances`` and ``pricing:GetProducts``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import DENIED, AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances
from ansible_collections.spot.platform.plugins.module_utils.aws.market import PRICING_REGION, on_demand_prices
from ansible_collections.spot.platform.plugins.module_utils.engine import commitments as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import (
    Commitments,
    Plan,
    Reservation,
    Reserved,
    Running,
    Spare,
)

FRESH = 600.0
"""Seconds for which a list of commitments is kept; what is used of them is read anew each time."""
LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


def spare(clients: Clients, region: str, cache: Cache) -> Spare:
    """What is paid for and unused in ``region``, for all of the account's apps together. Raises nothing that AWS says.

    Where nothing is committed: three calls in ten minutes, and one for the account in a process.
    """
    found = commitments(clients, region, cache)
    if not found.families:
        return Spare(reasons=tuple(found.reasons))
    ec2 = clients.get("ec2", region)
    try:
        running = [
            running_of(one)
            for one in describe_instances(ec2, _on_demand_filters(found.families))
            if not one.get("instance_lifecycle")
        ]
        prices = on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache) if found.plans else {}
    except AwsError as failure:
        return Spare(reasons=(*found.reasons, f"what is paid for counts as used: {failure}"))
    return engine.spare(found, running, prices)


def _on_demand_filters(families: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        {"Name": "instance-type", "Values": [f"{family}.*" for family in families]},
    ]


def running_of(instance: Mapping[str, Any]) -> Running:
    """An instance as `describe_instances` gives it."""
    placement = instance["placement"]
    plain = instance.get("platform_details", LINUX[0]) in LINUX and placement.get("tenancy", "default") == "default"
    return Running(
        instance["instance_id"],
        instance["instance_type"],
        placement["availability_zone"],
        plain,
        instance.get("capacity_reservation_id") or None,
    )


def commitments(clients: Clients, region: str, cache: Cache) -> Commitments:
    """The active commitments of the account in ``region``."""
    try:
        account = account_of(clients)
    except AwsError as failure:
        return Commitments(reasons=(f"what is paid for is not known: {failure}",))
    ec2 = clients.get("ec2", region)
    plans_client = clients.get("savingsplans", PRICING_REGION)  # a global service
    asked = (
        (["reserved", account, region], lambda: describe_reserved_instances(ec2)),
        (["reservations", account, region], lambda: describe_capacity_reservations(ec2)),
        (["plans", account], lambda: describe_savings_plans(plans_client)),
    )
    (reserved, no_reserved), (held, no_held), (plans, no_plans) = side_by_side(lambda a: _ask(cache, *a), asked)
    if held:  # how many are unused changes with every launch
        try:
            held = describe_capacity_reservations(ec2)
        except AwsError as failure:
            held, no_held = [], str(failure)
    reasons = [
        f"{problem}; nothing of it counts as paid for" for problem in (no_reserved, no_held, no_plans) if problem
    ]
    reservations, more = _reservations(held, account)
    own_plans, others = _plans(plans, region)
    return Commitments(_reserved(reserved), reservations, own_plans, (*reasons, *more, *others))


@functools.lru_cache(maxsize=8)
def account_of(clients: Clients) -> str:
    """The account's number: what one account has paid for is not another's, also in the cache."""
    return caller(clients.get("sts"))


def _ask(
    cache: Cache, question: list[Any], ask: Callable[[], list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], str | None]:
    """The answer, kept for a while, or the reason why there is none; a refusal is kept too, a failure is not."""

    def answer() -> dict[str, Any]:
        try:
            return {"found": ask()}
        except AwsError as failure:
            if failure.code not in DENIED:
                raise
            return {"problem": str(failure)}

    try:
        kept = cache.remember(question, FRESH, answer)
    except AwsError as failure:
        return [], str(failure)
    return kept.get("found", []), kept.get("problem")


def _reserved(found: list[dict[str, Any]]) -> tuple[Reserved, ...]:
    """Those of shared Linux; no other can pay for our instances."""
    return tuple(
        Reserved(one["InstanceType"], one["InstanceCount"], one.get("AvailabilityZone"))
        for one in found
        if one["ProductDescription"] in LINUX and one["InstanceTenancy"] == "default"
    )


def _reservations(found: list[dict[str, Any]], account: str) -> tuple[tuple[Reservation, ...], list[str]]:
    """The account's own for shared Linux, and which of them a launch does not fill by itself."""
    own = [
        one
        for one in found
        if one["OwnerId"] == account
        and one.get("UnusedReservationBillingOwnerId", account) == account
        and one["InstancePlatform"] in LINUX
        and one["Tenancy"] == "default"
        and one.get("ReservationType", "default") == "default"
        and not one.get("OutpostArn")
    ]
    made = tuple(
        Reservation(
            one["CapacityReservationId"],
            one["InstanceType"],
            one["AvailabilityZone"],
            one["AvailableInstanceCount"],
            one["InstanceMatchCriteria"] == "open" and not one.get("PlacementGroupArn"),
        )
        for one in own
    )
    reasons = [
        f"{one.id} counts as used: only instances that name it, or its placement group, run in it"
        for one in made
        if one.available and not one.open
    ]
    return made, reasons


def _plans(found: list[dict[str, Any]], region: str) -> tuple[tuple[Plan, ...], list[str]]:
    """The EC2 Instance Savings Plans of the region, in USD, and why others do not count."""
    made = tuple(
        Plan(one["savingsPlanId"], one["ec2InstanceFamily"], float(one["commitment"]))
        for one in found
        if one["savingsPlanType"] == "EC2Instance" and one.get("region") == region and one["currency"] == "USD"
    )
    reasons = [
        f"the Compute Savings Plan {one['savingsPlanId']} ({one['commitment']} {one['currency']} an hour) counts as used:"
        " other regions, Fargate and Lambda draw on it too; an On-Demand base in the manifest makes use of it"
        for one in found
        if one["savingsPlanType"] == "Compute"
    ]
    return made, reasons


@Errors.common_error_handler("ask for the account of the credentials")
def caller(client: Any) -> str:
    """GetCallerIdentity: the account's number. Needs no permission."""
    return client.get_caller_identity()["Account"]


@Errors.common_error_handler("describe the Reserved Instances")
def describe_reserved_instances(client: Any) -> list[dict[str, Any]]:
    """DescribeReservedInstances, the active ones, as far as they matter; it has no pages."""
    keys = ("InstanceType", "InstanceCount", "AvailabilityZone", "ProductDescription", "InstanceTenancy")
    answer = client.describe_reserved_instances(Filters=[{"Name": "state", "Values": ["active"]}])
    return [{key: one[key] for key in keys if one.get(key)} for one in answer["ReservedInstances"]]


@Errors.common_error_handler("describe the capacity reservations")
def describe_capacity_reservations(client: Any) -> list[dict[str, Any]]:
    """DescribeCapacityReservations, the active ones, all pages, without their times."""
    pages = client.get_paginator("describe_capacity_reservations").paginate(
        Filters=[{"Name": "state", "Values": ["active"]}]
    )
    return [
        {key: value for key, value in one.items() if isinstance(value, (str, int, bool))}
        for page in pages
        for one in page["CapacityReservations"]
    ]


@Errors.common_error_handler("describe the Savings Plans")
def describe_savings_plans(client: Any) -> list[dict[str, Any]]:
    """DescribeSavingsPlans, the active ones, all pages; botocore has no paginator for it."""
    keys = ("savingsPlanId", "savingsPlanType", "region", "ec2InstanceFamily", "commitment", "currency")
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = client.describe_savings_plans(states=["active"], **token)
        found += [{key: one[key] for key in keys if one.get(key)} for one in answer["savingsPlans"]]
        if not answer.get("nextToken"):
            return found
        token = {"nextToken": answer["nextToken"]}
