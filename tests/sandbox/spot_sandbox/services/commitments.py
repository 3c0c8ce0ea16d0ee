"""What an account has committed to pay: Reserved Instances, capacity reservations and Savings Plans.

``POST /sandbox/commitments`` sets them; they change no bill here and hold no place in a pool.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from spot_sandbox import clock, market
from spot_sandbox.services import instances
from spot_sandbox.services.ec2 import Page
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.instances.reservations import RESERVATIONS, CapacityReservation, occupants

YEAR = 365 * 86400


@dataclass(frozen=True)
class ReservedInstances:
    """A purchase of Reserved Instances; without a zone they are regional."""

    id: str
    region: str
    instance_type: str
    count: int
    zone: str | None = None
    platform: str = "Linux/UNIX"
    tenancy: str = "default"
    state: str = "active"


@dataclass(frozen=True)
class SavingsPlan:
    """A Savings Plan of so many USD an hour; an EC2 Instance Savings Plan has a region and a family."""

    id: str
    commitment: float
    type: str = "EC2Instance"
    region: str | None = None
    family: str | None = None
    state: str = "active"


_reserved: dict[str, ReservedInstances] = {}
_plans: dict[str, SavingsPlan] = {}


def reset() -> None:
    _reserved.clear()
    _plans.clear()
    RESERVATIONS.clear()


class Commitments(EC2Response):
    """EC2's commitments."""

    def describe_reserved_instances(self) -> ActionResult:
        self.error_on_dryrun()
        ids = self._get_param("ReservedInstancesIds") or []
        found = [r for r in _reserved.values() if r.region == self.region and (not ids or r.id in ids)]
        readers: dict[str, Callable[[ReservedInstances], Any]] = {
            "state": lambda r: r.state,
            "instance-type": lambda r: r.instance_type,
            "availability-zone": lambda r: r.zone,
            "scope": _scope,
            "product-description": lambda r: r.platform,
        }
        return ActionResult({"ReservedInstances": [_shown(r) for r in self._commitments_filtered(found, readers)]})

    def describe_capacity_reservations(self) -> ActionResult:
        self.error_on_dryrun()
        ids = self._get_param("CapacityReservationIds") or []
        found = [r for r in RESERVATIONS.values() if r.region == self.region and (not ids or r.id in ids)]
        if missing := [i for i in ids if i not in {r.id for r in found}]:
            raise EC2ClientError(
                "InvalidCapacityReservationId.NotFound", f"The capacity reservation '{missing[0]}' does not exist"
            )
        readers: dict[str, Callable[[CapacityReservation], Any]] = {
            "state": lambda r: "active",
            "instance-type": lambda r: r.instance_type,
            "availability-zone": lambda r: r.zone,
            "instance-match-criteria": lambda r: r.match,
            "owner-id": lambda r: ACCOUNT,
        }
        rows, token = Page(self.params, default=1000, least=1, most=1000).cut(
            self._commitments_filtered(found, readers)
        )
        used = Counter(occupants(self.region).values())
        shown = [
            {
                "CapacityReservationId": r.id,
                "OwnerId": ACCOUNT,
                "CapacityReservationArn": f"arn:aws:ec2:{r.region}:{ACCOUNT}:capacity-reservation/{r.id}",
                "AvailabilityZone": r.zone,
                "AvailabilityZoneId": market.zones(r.region)[r.zone],
                "InstanceType": r.instance_type,
                "InstancePlatform": "Linux/UNIX",
                "Tenancy": "default",
                "TotalInstanceCount": r.count,
                "AvailableInstanceCount": r.count - used[r.id],
                "InstanceMatchCriteria": r.match,
                "State": "active",
                "EndDateType": "unlimited",
                "ReservationType": "default",
            }
            for r in rows
        ]
        return ActionResult({"CapacityReservations": shown, "NextToken": token or None})

    def _commitments_filtered(self, found: list[Any], readers: dict[str, Callable[[Any], Any]]) -> list[Any]:
        for item in self._get_param("Filters") or []:
            read, match = readers.get(item["Name"]), instances.matcher(item.get("Values") or [])
            if read is None:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{item['Name']}' is invalid")
            found = [one for one in found if match(read(one))]
        return found


def _scope(reserved: ReservedInstances) -> str:
    return "Availability Zone" if reserved.zone else "Region"


def _shown(reserved: ReservedInstances) -> dict[str, Any]:
    return {
        "ReservedInstancesId": reserved.id,
        "InstanceType": reserved.instance_type,
        "InstanceCount": reserved.count,
        "Scope": _scope(reserved),
        "AvailabilityZone": reserved.zone,
        "ProductDescription": reserved.platform,
        "InstanceTenancy": reserved.tenancy,
        "OfferingClass": "standard",
        "OfferingType": "No Upfront",
        "State": reserved.state,
        "CurrencyCode": "USD",
        "Duration": YEAR,
        "End": clock.now() + timedelta(seconds=YEAR / 2),
    }


class SavingsPlansError(ServiceException):
    __module__ = "moto.savingsplans.exceptions"  # moto's serialiser finds the service by it


class SavingsPlans(BaseResponse):
    """Savings Plans, a service that moto lacks."""

    def __init__(self) -> None:
        super().__init__(service_name="savingsplans")
        self.automated_parameter_parsing = True

    def describe_savings_plans(self) -> ActionResult:
        states, size = self._get_param("states") or [], int(self._get_param("maxResults") or 1000)
        ids = self._get_param("savingsPlanIds") or []
        found = [p for p in _plans.values() if (not states or p.state in states) and (not ids or p.id in ids)]
        try:
            start = int(self._get_param("nextToken") or 0)
        except ValueError:
            raise SavingsPlansError("ValidationException", "The next token is invalid") from None
        more = str(start + size) if start + size < len(found) else None
        return ActionResult({"savingsPlans": [_plan_shown(p) for p in found[start : start + size]], "nextToken": more})


def _plan_shown(plan: SavingsPlan) -> dict[str, Any]:
    family = {"region": plan.region, "ec2InstanceFamily": plan.family} if plan.type == "EC2Instance" else {}
    return {
        "savingsPlanId": plan.id,
        "savingsPlanArn": f"arn:aws:savingsplans::{ACCOUNT}:savingsplan/{plan.id}",
        "savingsPlanType": plan.type,
        "state": plan.state,
        "commitment": f"{plan.commitment:.8f}",
        "currency": "USD",
        "paymentOption": "No Upfront",
        "productTypes": ["EC2"] if family else ["EC2", "Fargate", "Lambda"],
        "termDurationInSeconds": YEAR,
        **family,
    }


# Control


def control(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the commitments of the kinds that are named; returns their ids."""
    if unknown := sorted(set(body) - set(_KINDS)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(_KINDS)}")
    made = {}
    for kind, wanted in body.items():
        if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
            raise ValueError(f"{kind} must be a list of objects; [] clears")
        store, make, prefix = _KINDS[kind]
        made[kind] = [_make(make, prefix, one) for one in wanted]
        store.clear()
        store.update({one.id: one for one in made[kind]})
    return {kind: [one.id for one in some] for kind, some in made.items()}


_KINDS: dict[str, tuple[dict[str, Any], Callable[..., Any], str]] = {
    "reserved_instances": (_reserved, ReservedInstances, ""),
    "capacity_reservations": (RESERVATIONS, CapacityReservation, "cr-"),
    "savings_plans": (_plans, SavingsPlan, ""),
}


def _make(make: Callable[..., Any], prefix: str, values: dict[str, Any]) -> Any:
    identity = f"{prefix}{uuid.uuid4().hex[:17] if prefix else uuid.uuid4()}"
    try:
        one = make(id=identity, **values)
    except TypeError as problem:
        raise ValueError(f"{make.__name__}: {str(problem).partition(' ')[2]}") from None
    if one.region is not None and one.region not in market.regions():
        raise ValueError(f"region {one.region!r} is not served: use one of {', '.join(market.regions())}")
    kind, zone = getattr(one, "instance_type", None), getattr(one, "zone", None)
    if kind is not None and kind not in market.types(one.region):
        raise ValueError(f"instance type {kind!r} is not in the market of {one.region}")
    if zone is not None and zone not in market.zones(one.region):
        raise ValueError(f"zone {zone!r} is not in {one.region}: use one of {', '.join(market.zones(one.region))}")
    return one


RESPONSES = {"ec2": Commitments, "savingsplans": SavingsPlans}
CONTROL = {"POST /sandbox/commitments": control}
