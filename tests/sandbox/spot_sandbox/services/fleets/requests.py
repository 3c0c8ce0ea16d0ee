"""What a request may ask of a fleet, checked as both APIs do."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from spot_sandbox import market
from spot_sandbox.services import instances
from spot_sandbox.services.fleets.state import Dialect
from spot_sandbox.services.instances import Choice

MAX_POOLS = 300
SPOT_STRATEGIES = (
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)
ON_DEMAND_STRATEGIES = ("lowest-price", "prioritized")


def check_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise EC2ClientError("InvalidParameterValue", f"{name} {value} is not one of {', '.join(known)}")


def check_common(dialect: Dialect, kind: str, rebalance: dict[str, Any] | None, unit: str | None) -> None:
    """What neither API allows."""
    if kind != "maintain" and rebalance:
        raise EC2ClientError("InvalidParameterCombination", "CapacityRebalance needs a fleet of type maintain")
    if unit and unit != "units":
        raise EC2ClientError(
            dialect.config_error,
            f"TargetCapacityUnitType {unit} needs InstanceRequirements in the overrides: with instance types, count"
            " in any unit by WeightedCapacity",
        )


def check_tag_types(given: list[dict[str, Any]], allowed: tuple[str, ...]) -> None:
    for item in given:
        if item.get("ResourceType") not in allowed:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"'{item.get('ResourceType')}' is not a valid taggable resource type for this operation; use"
                f" {', '.join(allowed)}. To tag the instances, name their tags in the launch template.",
            )


def moment(value: datetime | None) -> datetime | None:
    """A time of a request, aware."""
    return value.replace(tzinfo=timezone.utc) if value and not value.tzinfo else value


def read_choices(dialect: Dialect, region: str, configs: list[dict[str, Any]]) -> list[Choice]:
    """Every pool that the launch template configs name; raises EC2's errors for a wrong one."""
    backend = instances.backend_of(region)
    subnets = {s.id: s for zone in backend.subnets.values() for s in zone.values()}
    made: list[Choice] = []
    for config in configs:
        template = dict(config.get("LaunchTemplateSpecification") or {})
        version = instances.template_version(region, template)
        named = {
            "LaunchTemplateId": version.template.id,
            "LaunchTemplateName": version.template.name,
            "Version": template.get("Version") or str(version.number),
        }
        for override in config.get("Overrides") or [{}]:
            if override.get("InstanceRequirements"):
                raise EC2ClientError(
                    "UnsupportedOperation", "The sandbox does not have InstanceRequirements: name the types"
                )
            kind = override.get("InstanceType") or version.instance_type
            if kind not in market.types(region):
                raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
            zones = [override["AvailabilityZone"]] if override.get("AvailabilityZone") else list(market.zones(region))
            if override.get("SubnetId"):
                if override["SubnetId"] not in subnets:
                    raise EC2ClientError(
                        "InvalidSubnetID.NotFound", f"The subnet ID '{override['SubnetId']}' does not exist"
                    )
                zones = [subnets[override["SubnetId"]].availability_zone]
            weight = float(override.get("WeightedCapacity") or 1)
            what = {"override": {**override, "InstanceType": kind}, "template": named}
            made += [Choice(kind, zone, weight, what) for zone in zones]
    if not made:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
    _check_pools(dialect, made)
    return [c for c in made if market.offered(region, c.zone, c.instance_type)] or made


def _check_pools(dialect: Dialect, made: list[Choice]) -> None:
    if len(made) > MAX_POOLS:
        raise EC2ClientError(dialect.config_error, f"The fleet names {len(made)} pools; the limit is {MAX_POOLS}")
    twice = [pool for pool, n in Counter((c.instance_type, c.zone) for c in made).items() if n > 1]
    if twice:
        kind, zone = twice[0]
        raise EC2ClientError(
            dialect.config_error, f"The fleet configuration contains duplicate instance pools ({kind} in {zone})"
        )
    by_zone: dict[str, set[str]] = {}
    for choice in made:
        by_zone.setdefault(choice.zone, set()).add(choice.what["override"].get("SubnetId") or "")
    if crowded := [zone for zone, ids in by_zone.items() if len(ids) > 1]:
        raise EC2ClientError(
            dialect.config_error, f"The fleet names more than one subnet in the Availability Zone {crowded[0]}"
        )
