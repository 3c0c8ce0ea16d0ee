# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether and how a group of instances, an Auto Scaling group or a fleet, is to be made or changed.

How many instances run is the autoscaler's affair: the desired capacity of a group that stands only rises here, and
On-Demand that stands in for Spot stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.allocation import (
    Limits,
    Plan,
    plan,
    should_replan,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import (
    AUTO_SCALING_GROUP,
    EC2_FLEET,
    SPOT_FLEET,
    Group,
    Policy,
    Subnet,
    changes,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.market import Offer, Selection

SHORTLIST = 24
"""Instance types, cheapest first, whose price history is worth reading: a plan uses few, and dear ones stay dear."""
FLEET_POOLS = 300
"""Pools of type and subnet that AWS lets one fleet have."""


@dataclass(frozen=True, kw_only=True)
class GroupSpec:
    """What is asked for of one group; ``None`` means: as it is, or AWS's default for a new one."""

    name: str
    region: str
    kind: str
    template: str
    template_version: str | None
    subnets: tuple[str, ...]
    selection: Selection
    minimum: int
    maximum: int
    target: int | None
    on_demand_base: int
    unit: str
    fallback: str
    limits: Limits
    profile: str
    replan_threshold_percent: float
    target_group_arns: tuple[str, ...] | None = None
    health_check_type: str | None = None
    health_check_grace_period: int | None = None
    capacity_rebalance: bool | None = None
    fleet_role: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    """The tags by which the group is known as ours: a group of that name without them is somebody else's."""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for figures that contradict each other."""
        if not 0 <= self.minimum <= self.maximum:
            raise ValueError(f"min is {self.minimum} and max is {self.maximum}: it must be 0 <= min <= max")
        if self.target is not None and not self.minimum <= self.target <= self.maximum:
            raise ValueError(f"target is {self.target}: it must be from min {self.minimum} to max {self.maximum}")
        if not 0 <= self.on_demand_base <= self.maximum:
            raise ValueError(f"on_demand_base is {self.on_demand_base}: it must be from 0 to max {self.maximum}")
        if self.kind == EC2_FLEET and self.target_group_arns:
            raise ValueError("an EC2 Fleet knows no target groups: use kind auto_scaling_group or spot_fleet")
        if self.kind != AUTO_SCALING_GROUP and self.health_check_type:
            raise ValueError("a fleet does not ask a load balancer for health: use kind auto_scaling_group")
        if self.kind != SPOT_FLEET and self.fleet_role:
            raise ValueError("fleet_role is the role of a Spot Fleet: use kind spot_fleet, or leave it out")


@dataclass(frozen=True)
class Decision:
    """What a group shall be, and why. ``present`` is ``None`` where there is none yet, or none any more."""

    wanted: Group
    present: Group | None
    plan: Plan
    reasons: tuple[str, ...]

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """(before, after) of every field that differs; empty for a group that is to be made."""
        return changes(self.wanted, self.present) if self.present else {}


def decide(
    spec: GroupSpec, present: Group | None, template: str, subnets: Sequence[Subnet], offers: Iterable[Offer]
) -> Decision:
    """What to make of ``spec``: where there is no such group yet, or with the one that is there.

    ``template``: the launch template's identifier. ``offers``: those of the region, at least for the types that the
    spec selects. Raises ``ValueError`` for subnets that cannot be used, `Infeasible` where no plan keeps the limits.
    """
    if present is not None and present.deleting:
        present = None
    check_owner(spec.name, spec.identity, present)
    _check(spec, subnets)
    zones = {subnet.zone for subnet in subnets}
    usable = [offer for offer in offers if offer.zone in zones and offer.instance_type in spec.selection]
    absent = _not_offered(spec, zones, usable)
    policy = _policy(spec, present)
    chosen, overrides, why = _planned(spec, policy, present, usable)
    desired, base, capacity_reasons = _capacity(spec, policy, present)
    wanted = Group(
        launch_template=template,
        launch_template_version=_first(spec.template_version, present and present.launch_template_version, "$Default"),
        subnets=tuple(sorted(spec.subnets)),
        overrides=overrides,
        desired=desired,
        on_demand_base=base,
        policy=policy,
        tags={**(present.tags if present else {}), **spec.tags, **spec.identity},
        capacity_rebalance=_first(spec.capacity_rebalance, present and present.capacity_rebalance, False),
    )
    complete = _as_group if spec.kind == AUTO_SCALING_GROUP else _as_fleet
    return Decision(
        complete(wanted, spec, policy, present, subnets, usable),
        present,
        chosen,
        (*why, *capacity_reasons, *chosen.reasons, *absent),
    )


def _as_group(
    wanted: Group,
    spec: GroupSpec,
    policy: Policy,
    present: Group | None,
    subnets: Sequence[Subnet],
    offers: Sequence[Offer],
) -> Group:
    """With what only an Auto Scaling group has. MaxSize leaves room for what replaces all that runs, before that goes."""
    arns = None if spec.target_group_arns is None else tuple(sorted(spec.target_group_arns))
    grace = spec.health_check_grace_period
    return replace(
        wanted,
        min_size=policy.minimum,
        max_size=2 * policy.maximum,
        health_check_type=_first(spec.health_check_type, present and present.health_check_type, "EC2"),
        health_check_grace_period=_first(grace, present.health_check_grace_period if present else None, 0),
        target_group_arns=_first(arns, present.target_group_arns if present else None, ()),
    )


def _as_fleet(
    wanted: Group,
    spec: GroupSpec,
    policy: Policy,
    present: Group | None,
    subnets: Sequence[Subnet],
    offers: Sequence[Offer],
) -> Group:
    """With the pools of a fleet, best type first, as many as AWS allows; a subnet without one is not in it."""
    offered = {(offer.instance_type.name, offer.zone) for offer in offers}
    pools = [(name, s.id) for name, weight in wanted.overrides for s in subnets if (name, s.zone) in offered]
    pools = pools[:FLEET_POOLS]
    used = {name for name, subnet in pools}
    if spec.kind == SPOT_FLEET:
        arns = None if spec.target_group_arns is None else tuple(sorted(spec.target_group_arns))
        wanted = replace(
            wanted,
            target_group_arns=_first(arns, present.target_group_arns if present else None, ()),
            fleet_role=spec.fleet_role or (present.fleet_role if present else None),
        )
    return replace(
        wanted,
        overrides=tuple((name, weight) for name, weight in wanted.overrides if name in used),
        pools=tuple(sorted(pools)),
        subnets=tuple(sorted({subnet for name, subnet in pools})),
        on_demand_base=min(wanted.on_demand_base, wanted.desired),
    )


def shortlist(spec: GroupSpec, offers: Iterable[Offer]) -> set[str]:
    """The names of the types that a plan for ``spec`` is likely to use: the cheapest on Spot for what they count."""
    cheapest: dict[str, float] = {}
    for offer in offers:
        kind = offer.instance_type
        if offer.spot_price is not None and kind in spec.selection:
            price = offer.spot_price / (kind.vcpus if spec.unit == "vcpus" else 1)
            cheapest[kind.name] = min(price, cheapest.get(kind.name, price))
    return set(sorted(cheapest, key=lambda name: (cheapest[name], name))[:SHORTLIST])


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def check_owner(name: str, identity: Mapping[str, str], present: Group | None) -> None:
    """Raises ``ValueError`` for a group of that name that is not ours."""
    if present is None:
        return
    for key, value in identity.items():
        if present.tags.get(key) != value:
            has = f"has {present.tags[key]!r}" if key in present.tags else "is not there"
            raise ValueError(
                f"a group {name} exists that is not this one: its tag {key} {has} instead of {value!r}; "
                "choose another name, or tag that group so to hand it over"
            )


def _check(spec: GroupSpec, subnets: Sequence[Subnet]) -> None:
    missing = sorted(set(spec.subnets) - {subnet.id for subnet in subnets})
    if missing:
        raise ValueError(f"there is no subnet {', '.join(missing)} in {spec.region}; name public subnets of one VPC")
    private = sorted(subnet.id for subnet in subnets if not subnet.public)
    if private:
        raise ValueError(
            f"subnet {', '.join(private)} is private: its instances get no public address; name public subnets "
            "(MapPublicIpOnLaunch) only"
        )
    zones = [subnet.zone for subnet in subnets]
    twice = sorted({zone for zone in zones if zones.count(zone) > 1})
    if spec.kind != AUTO_SCALING_GROUP and twice:
        raise ValueError(f"there are several subnets in {', '.join(twice)}: a fleet takes one in each zone")


def _not_offered(spec: GroupSpec, zones: Iterable[str], usable: Iterable[Offer]) -> tuple[str, ...]:
    """A reason that names the types that were asked for by name and are not on offer, if any.

    Raises ``ValueError`` where nothing at all is on offer.
    """
    offered = {offer.instance_type.name for offer in usable}
    missing = ", ".join(sorted((spec.selection.names or frozenset()) - offered))
    where = f"in {', '.join(sorted(zones))}"
    if not offered:
        named = f"none of instance_types ({missing})" if missing else "no instance type"
        raise ValueError(f"{named} meets the requirements and is on offer {where}; widen them or add zones")
    return (f"not on offer {where}, or not meeting the requirements: {missing}",) if missing else ()


def _policy(spec: GroupSpec, present: Group | None) -> Policy:
    target = spec.target
    if target is None:  # not asked for: as it is, as far as the bounds allow
        kept = present and (present.policy.target if present.policy else present.desired)
        target = min(max(kept or 0, spec.minimum), spec.maximum)
    return Policy(
        target,
        spec.minimum,
        spec.maximum,
        spec.on_demand_base,
        spec.unit,
        spec.fallback,
        spec.profile,
        spec.limits.max_zone_share,
    )


def _planned(
    spec: GroupSpec, policy: Policy, present: Group | None, offers: Sequence[Offer]
) -> tuple[Plan, tuple[tuple[str, int], ...], tuple[str, ...]]:
    """The plan, the overrides that follow from it or are kept, and why they are kept or not."""

    def planned(among: Sequence[Offer]) -> Plan:
        return plan(among, policy.target, policy.unit, policy.on_demand_base, spec.limits, spec.profile)

    fresh = planned(offers)
    overrides = tuple((name, fresh.weights[name]) for name in fresh.types)
    if present is None:
        return fresh, overrides, ()
    weights = dict(present.overrides)
    again, why = should_replan(tuple(weights), weights, fresh, offers, spec.replan_threshold_percent)
    if again:
        return fresh, overrides, (why,)
    return planned([offer for offer in offers if offer.instance_type.name in weights]), present.overrides, (why,)


def _capacity(spec: GroupSpec, policy: Policy, present: Group | None) -> tuple[int, int, tuple[str, ...]]:
    """(desired capacity, On-Demand base, reasons).

    What a standing group has is the autoscaler's affair: more is asked for at once where the target rises above it, but
    nothing is taken away here, and what stands in for Spot stays.
    """
    before = present.policy if present else None
    if present is None or before is None or before.unit != policy.unit:
        return policy.target, policy.on_demand_base, ()
    reasons = []
    if before.target != policy.target:
        reasons.append(f"the target goes from {before.target} to {policy.target}")
    standing_in = present.on_demand_base - before.on_demand_base
    if standing_in > 0:
        reasons.append(f"{standing_in} {policy.unit} of On-Demand stand in for Spot and stay: the autoscaler ends them")
    desired = max(present.desired, policy.target if policy.target > before.target else policy.minimum)
    base = max(policy.on_demand_base, present.on_demand_base) if standing_in > 0 else policy.on_demand_base
    return desired, base, tuple(reasons)
