"""What a request may ask of a group, checked as Auto Scaling does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.core.exceptions import ServiceException
from spot_sandbox import market
from spot_sandbox.services import instances
from spot_sandbox.services.autoscaling.state import DISTRIBUTION, LAUNCHING, TERMINATING, Group, Hook
from spot_sandbox.services.events import ACCOUNT

MAX_OVERRIDES = 40
PLAIN_FIELDS = (
    "MinSize MaxSize DesiredCapacity DefaultCooldown HealthCheckType HealthCheckGracePeriod"
    " NewInstancesProtectedFromScaleIn CapacityRebalance MaxInstanceLifetime DefaultInstanceWarmup TerminationPolicies"
    " PlacementGroup ServiceLinkedRoleARN Context DesiredCapacityType InstanceMaintenancePolicy"
    " AvailabilityZoneDistribution"
).split()
"""What a group keeps as it was given, by the API's own names."""
DEFAULTS: dict[str, Any] = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "NewInstancesProtectedFromScaleIn": False,
    "CapacityRebalance": False,
    "TerminationPolicies": ["Default"],
    "ServiceLinkedRoleARN": (
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    ),
}
SPOT_STRATEGIES = ("lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized")


def invalid(message: str) -> ValidationError:
    return ValidationError(message)


def read_settings(given: dict[str, Any], group: Group | None) -> dict[str, Any]:
    """The plain fields after a create or an update, checked as Auto Scaling does."""
    old = group.plain if group else DEFAULTS
    plain = {**old, **{k: given[k] for k in PLAIN_FIELDS if given.get(k) is not None}}
    least, most = int(plain["MinSize"]), int(plain["MaxSize"])
    if least < 0 or most < least:
        raise invalid(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if given.get("DesiredCapacity") is None:
        plain["DesiredCapacity"] = min(max(int(plain.get("DesiredCapacity", least)), least), most)
    desired = int(plain["DesiredCapacity"])
    if not least <= desired <= most:
        raise invalid(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")
    if plain["HealthCheckType"] not in ("EC2", "ELB", "EC2,ELB", "EBS", "VPC_LATTICE"):
        raise invalid(
            f"Invalid HealthCheckType: {plain['HealthCheckType']}. Supported types are [EC2, ELB, EBS, VPC_LATTICE]."
        )
    return plain


def read_places(region: str, given: dict[str, Any]) -> tuple[list[str], list[str]] | None:
    """Zones and subnets of a request; ``None`` if it names neither."""
    backend = instances.backend_of(region)
    subnets = [s.strip() for s in (given.get("VPCZoneIdentifier") or "").split(",") if s.strip()]
    zones = list(given.get("AvailabilityZones") or [])
    known = {subnet.id: subnet for zone in backend.subnets.values() for subnet in zone.values()}
    if missing := [s for s in subnets if s not in known]:
        raise invalid(f"The subnet ID '{missing[0]}' does not exist")
    if unknown := [z for z in zones if z not in market.zones(region)]:
        raise invalid(f"Invalid availability zones [{', '.join(unknown)}]")
    if subnets:
        return sorted({known[s].availability_zone for s in subnets}), subnets
    return (sorted(zones), []) if zones else None


def read_template(region: str, given: dict[str, Any]) -> dict[str, Any]:
    """A launch template specification with both id and name; raises if it does not exist or lacks an image."""
    try:
        version = instances.template_version(region, given)
    except ServiceException as refused:
        named = given.get("LaunchTemplateId") or given.get("LaunchTemplateName")
        raise invalid(
            "You must use a valid fully-formed launch template."
            f" The specified launch template, with template {named}, does not exist. ({refused.code})"
        ) from None
    if not version.image_id:
        raise invalid(
            "You must use a valid fully-formed launch template. The request must contain the parameter ImageId"
        )
    made = {"LaunchTemplateId": version.template.id, "LaunchTemplateName": version.template.name}
    return {**made, **({"Version": given["Version"]} if given.get("Version") else {})}


def read_policy(region: str, given: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
    """A mixed instances policy after a create or an update: what is not given stays as it is."""
    made = {**((old or {}).get("LaunchTemplate") or {})}
    launch = given.get("LaunchTemplate") or {}
    if launch.get("LaunchTemplateSpecification"):
        made["LaunchTemplateSpecification"] = read_template(region, launch["LaunchTemplateSpecification"])
    if launch.get("Overrides") is not None:
        made["Overrides"] = [_override(region, o) for o in launch["Overrides"]]
    if not made.get("LaunchTemplateSpecification"):
        raise invalid("LaunchTemplateSpecification must be specified when creating a mixed instances policy")
    overrides = made.get("Overrides") or []
    if len(overrides) > MAX_OVERRIDES:
        raise invalid(
            "1 validation error detected: Value at 'mixedInstancesPolicy.launchTemplate.overrides' failed to satisfy"
            f" constraint: Member must have length less than or equal to {MAX_OVERRIDES}"
        )
    repeated = [t for t, n in Counter(o["InstanceType"] for o in overrides).items() if n > 1]
    if repeated:
        raise invalid(f"Overrides contain the instance type {repeated[0]} more than once")
    if 0 < sum("WeightedCapacity" in o for o in overrides) < len(overrides):
        raise invalid("WeightedCapacity must be specified for all overrides or for none")
    distribution = {
        **DISTRIBUTION,
        **((old or {}).get("InstancesDistribution") or {}),
        **{k: v for k, v in (given.get("InstancesDistribution") or {}).items() if v is not None},
    }
    _check_distribution(distribution)
    return {"LaunchTemplate": made, "InstancesDistribution": distribution}


def _override(region: str, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("InstanceRequirements"):
        raise invalid("The sandbox does not have InstanceRequirements: name the instance types")
    instance_type, weight = given.get("InstanceType"), given.get("WeightedCapacity")
    if not instance_type:
        raise invalid("An override must name an InstanceType")
    if instance_type not in market.types(region):
        raise invalid(f"The instance type {instance_type} is not supported in {region}")
    if weight is not None and not (str(weight).isdigit() and 1 <= int(weight) <= 999):
        raise invalid(f"WeightedCapacity {weight} of {instance_type} must be a whole number from 1 to 999")
    made: dict[str, Any] = {"InstanceType": instance_type}
    if weight is not None:
        made["WeightedCapacity"] = str(weight)
    if given.get("LaunchTemplateSpecification"):
        made["LaunchTemplateSpecification"] = read_template(region, given["LaunchTemplateSpecification"])
    return made


def _check_distribution(distribution: dict[str, Any]) -> None:
    strategy = distribution["SpotAllocationStrategy"]
    if strategy not in SPOT_STRATEGIES:
        raise invalid(f"Spot allocation strategy {strategy} is not supported; use one of {', '.join(SPOT_STRATEGIES)}")
    if distribution["OnDemandAllocationStrategy"] not in ("prioritized", "lowest-price"):
        raise invalid(f"On-Demand allocation strategy {distribution['OnDemandAllocationStrategy']} is not supported")
    if int(distribution["OnDemandBaseCapacity"]) < 0:
        raise invalid("OnDemandBaseCapacity must be at least 0")
    if not 0 <= int(distribution["OnDemandPercentageAboveBaseCapacity"]) <= 100:
        raise invalid("OnDemandPercentageAboveBaseCapacity must be between 0 and 100")
    if strategy == "lowest-price":
        distribution.setdefault("SpotInstancePools", 2)
    else:
        distribution.pop("SpotInstancePools", None)


def read_hook(group: Group, given: dict[str, Any]) -> Hook:
    """A lifecycle hook after it is put: what is not given stays as it is."""
    name, old = given["LifecycleHookName"], group.hooks.get(given["LifecycleHookName"])
    transition = given.get("LifecycleTransition") or (old.transition if old else None)
    if transition not in (LAUNCHING, TERMINATING):
        raise invalid(f"LifecycleTransition {transition} must be {LAUNCHING} or {TERMINATING}")
    hook = Hook(name, transition)
    fields = {
        "timeout": "HeartbeatTimeout",
        "default": "DefaultResult",
        "metadata": "NotificationMetadata",
        "target": "NotificationTargetARN",
        "role": "RoleARN",
    }
    for attribute, parameter in fields.items():
        value = given.get(parameter)
        setattr(hook, attribute, value if value is not None else getattr(old or hook, attribute))
    if not 30 <= int(hook.timeout) <= 7200:
        raise invalid(f"HeartbeatTimeout {hook.timeout} must be from 30 to 7200 seconds")
    if hook.default not in ("CONTINUE", "ABANDON"):
        raise invalid(f"DefaultResult {hook.default} must be CONTINUE or ABANDON")
    return hook
