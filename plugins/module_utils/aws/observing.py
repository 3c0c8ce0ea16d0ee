# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step begins with: a region's groups, what is wanted of each, by its tags, its metrics and what is paid for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import balancers, commitments, metrics, steering
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Member, Spread
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine import memory as remembering
from ansible_collections.spot.platform.plugins.module_utils.engine import overrides, risk
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Paid, Want, split
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling

DEAR = 3.0
"""What On-Demand costs over Spot where its price is not known."""


@dataclass(frozen=True)
class Options:
    """How to step. ``policy``: what comes before the groups' tags. ``scalings`` by app. ``act`` false: check mode.
    ``release``: let go of the groups instead.

    ``holder`` names this controller. ``run_seconds``: how long a region waits until launched instances run.
    ``lease_seconds``: how long to wait for another controller that acts on a group. ``commitments``: whether to look for
    what is paid for already. ``spreads``: the applications whose regions help each other, or have a name.
    """

    question: steering.Question
    policy: Mapping[str, Any]
    scalings: Mapping[str, Scaling]
    prometheus: metrics.Prometheus
    holder: str
    act: bool
    release: bool
    boot_seconds: float
    run_seconds: int
    lease_seconds: float
    commitments: bool = False
    spreads: Sequence[Spread] = ()


@dataclass(frozen=True)
class Observed:
    """A region as a step finds it. ``members``: its groups by key, or what is wrong with one; ``balancers``: by target
    group, of the groups whose load balancer matters. ``problem``: why those are not known. ``began``: when it had been
    observed, on this machine's monotonic clock: a step may wait for its turn."""

    region: str
    seen: steering.Region
    began: float
    members: Mapping[str, Member | str]
    balancers: Mapping[str, Balancer] = field(default_factory=dict)
    problem: str | None = None


def observe(
    clients: Clients, region: str, names: Sequence[str] | None, options: Options, cache: Cache
) -> Observed:
    """The groups of ``region``, those called ``names`` or all. Raises `AwsError` where they cannot be read."""
    seen = steering.observe(clients, region, replace(options.question, names=names), cache)
    began = time.monotonic()
    if options.release:
        return Observed(region, seen, began, {})
    alike: dict[str, list[steering.Steered]] = {}
    for one in seen.steered:
        alike.setdefault(one.name, []).append(one)
    policies = {one.key: _policy(one, alike[one.name], options) for one in seen.steered}
    try:
        found, problem = _balancers(clients, region, seen.steered, policies, options), None
    except AwsError as error:
        found, problem = {}, str(error)
    policies = _measured(clients, region, seen.steered, policies, found, options, cache)
    paid = _paid(clients, region, seen.steered, cache) if options.commitments else {}
    members = {one.key: member(one, seen, policies[one.key], paid.get(one.key, Paid())) for one in seen.steered}
    return Observed(region, seen, began, members, found, problem)


def member(one: steering.Steered, seen: steering.Region, policy: engine.Policy | str, paid: Paid) -> Member | str:
    """A group with what is wanted of it and what is remembered of it, or what is wrong with it."""
    if isinstance(policy, str):
        return policy
    held = seen.states.get(one.key)
    remembered = remembering.read(held.memory if held else None)
    running = sum(each.capacity for each in one.instances if each.pool is None and each.id in paid.covered)
    try:
        observation = observation_of(one, seen, remembered, running + paid.units)
    except ValueError as error:
        return str(error)
    return Member(one, policy, remembered, observation, paid)


def _policy(
    one: steering.Steered, alike: Sequence[steering.Steered], options: Options
) -> engine.Policy | str:
    """The policy of one, or what is wrong with it. Where several are called ``alike``, the application migrates: until
    one of them is gone, all keep the largest of their targets, for what is measured is split between them."""
    try:
        scaling = options.scalings.get(one.app or "") if len(alike) == 1 else None
        policy = policy_of(one, options.policy, scaling, options.boot_seconds)
        if len(alike) > 1:
            target = max(each.number(ours.TARGET) for each in alike)
            policy = replace(policy, scaling=Scaling(target, target, unit=policy.scaling.unit))
        return policy
    except ValueError as error:
        return str(error)


def _measured(
    clients: Clients,
    region: str,
    steered: Sequence[steering.Steered],
    policies: Mapping[str, engine.Policy | str],
    found: Mapping[str, Balancer],
    options: Options,
    cache: Cache,
) -> dict[str, engine.Policy | str]:
    """The policies, with the values of their metrics."""
    watched = {}
    for one in steered:
        policy = policies[one.key]
        if isinstance(policy, str) or not policy.scaling.metrics:
            continue
        target_group = next(iter(one.target_groups), None)
        balancer = found.get(target_group or "")
        watched[one.key] = metrics.Watch(
            region=region,
            scaling=policy.scaling,
            serving=sum(each.capacity for each in one.instances if each.serving),
            group=one.name if one.kind == AUTO_SCALING_GROUP else None,
            instances=[] if one.kind == AUTO_SCALING_GROUP else [each.id for each in one.instances],
            load_balancer=balancer.arn if balancer else None,
            target_group=target_group,
            names={"app": one.app or "", "environment": one.tags.get(ours.ENVIRONMENT, "")},
        )
    if not watched:
        return dict(policies)
    now = max(one.now for one in steered)
    read = metrics.observe(clients, list(watched.values()), now, options.prometheus, cache)
    return {**policies, **{key: replace(policies[key], scaling=scaling) for key, scaling in zip(watched, read)}}


def _balancers(
    clients: Clients,
    region: str,
    steered: Sequence[steering.Steered],
    policies: Mapping[str, engine.Policy | str],
    options: Options,
) -> dict[str, Balancer]:
    """The load balancers of those that have a name, or whose requests are counted at them."""
    named = {spread.app for spread in options.spreads if spread.name}

    def matters(one: steering.Steered) -> bool:
        policy = policies[one.key]
        measured = () if isinstance(policy, str) else policy.scaling.metrics
        return one.app in named or any(metric.name == "requests" for metric in measured)

    return balancers.balancers(clients, region, [arn for one in steered if matters(one) for arn in one.target_groups])


def _paid(clients: Clients, region: str, steered: Sequence[steering.Steered], cache: Cache) -> dict[str, Paid]:
    """What of the account's commitments each group can use. A fleet launches On-Demand of a type of its own choice."""
    groups = [one for one in steered if one.kind == AUTO_SCALING_GROUP and one.weights]
    if not groups:
        return {}
    spare = commitments.spare(clients, region, cache)
    return split(spare, {one.key: Want(one.weights, frozenset(one.subnets), _uncovered(one)) for one in groups})


def _uncovered(one: steering.Steered) -> int:
    """The units that a group could have On-Demand and has not."""
    wanted = int(text) if (text := one.tags.get(ours.TARGET, "")).isdigit() else one.desired
    return max(0, wanted - sum(each.capacity for each in one.instances if each.pool is None))


def policy_of(
    one: steering.Steered, given: Mapping[str, Any], scaling: Scaling | None, boot_seconds: float
) -> engine.Policy:
    """The policy in the tags, with what is ``given`` (and not ``None``) before it; raises ``ValueError`` for a bad tag."""

    def number(option: str, tag: str) -> int:
        return one.number(tag) if given.get(option) is None else given[option]

    fallback = given.get("fallback") or one.text(ours.FALLBACK)
    if fallback not in ("on_demand", "none"):
        raise ValueError(f"the tag {ours.FALLBACK} of {one.name} is {fallback!r}, not on_demand or none")
    profile = given.get("profile") or one.text(ours.PROFILE, engine.BALANCED)
    if profile not in engine.PROFILES:
        raise ValueError(f"the tag {ours.PROFILE} of {one.name} is {profile!r}, not one of {', '.join(engine.PROFILES)}")
    share = one.text(ours.ZONE_SHARE, "1.0")
    try:
        most_of_zone = float(share)
        if not 0 < most_of_zone <= 1:
            raise ValueError
    except ValueError:
        raise ValueError(f"the tag {ours.ZONE_SHARE} of {one.name} is {share!r}, not a number above 0 and up to 1") from None
    low, high = number("min", ours.MINIMUM), number("max", ours.MAXIMUM)
    unit = one.text(ours.UNIT, "instances")
    override = overrides.read(one.tags.get(ours.OVERRIDE))
    return engine.Policy(
        scaling=replace(scaling or Scaling(low, high), min=low, max=high, unit=unit, override=override),
        on_demand_base=overrides.base_of(override, one.now, number("on_demand_base", ours.ON_DEMAND_BASE), high),
        profile=profile,
        fallback=fallback == "on_demand",
        most_of_zone=most_of_zone,
        outage_hours=(boot_seconds + engine.ASK_AGAIN / 2) / risk.HOUR,
        answered=one.kind == AUTO_SCALING_GROUP,
        fleet=one.kind != AUTO_SCALING_GROUP,
    )


def observation_of(
    one: steering.Steered, region: steering.Region, remembered: remembering.Remembered, paid: int
) -> engine.Observation:
    """What the engine is told."""
    if isinstance(one.homes, str):
        raise ValueError(one.homes)
    if one.tags.get(ours.STAYS) and (one.homes is None or any(weight != 1 for weight in one.weights.values())):
        raise ValueError(
            f"{one.name} has data volumes that stay with their zones, by its tag {ours.STAYS}: it needs the kind auto_scaling_group and the "
            "unit instances"
        )
    zones = one.subnets.keys()
    pools = region.market.pools(one.weights, zones)
    on_demand = region.market.on_demand(one.weights, zones)
    if on_demand is None:
        dearest = max((pool.price for pool in pools), default=1.0)
        on_demand = (DEAR * dearest, min(one.weights.values(), default=1))
    gone = {name: pool for name, pool in one.taken.items() if name not in remembered.counted}
    told = {each.id: each.pool for each in one.instances if each.leaving and not each.replaced and each.pool}
    lost = {*gone.values(), *(pool for name, pool in told.items() if name not in remembered.counted)}
    new = region.warned - remembered.warned
    warned = {each.pool for each in one.instances if each.pool and each.id in new}
    changed = remembered.changed_at
    return engine.Observation(
        now=one.now,
        target=one.number(ours.TARGET),
        instances=one.instances,
        pools=pools,
        memory=remembered.memory,
        on_demand_price=on_demand[0],
        on_demand_capacity=on_demand[1],
        lost=tuple(sorted(lost)),
        refused=tuple(sorted(one.refused)),
        warned=tuple(sorted(warned)),
        since_change=None if changed is None else max(0.0, one.now - changed),
        paid=paid,
        lent=one.lent,
        homes=one.homes,
    )


def counted_in(one: steering.Steered) -> frozenset[str]:
    """The instances whose loss is counted once the memory that was learned from ``one`` is written."""
    return frozenset(one.taken) | {each.id for each in one.instances if each.leaving and not each.replaced}


def replaced_in(one: steering.Steered) -> frozenset[str]:
    """The instances that the next steps are to replace, too: until they are gone, or AWS takes them away."""
    return frozenset(each.id for each in one.instances if each.replaced)


def warned_in(one: steering.Steered, region: steering.Region, remembered: remembering.Remembered) -> frozenset[str]:
    """The instances whose recommendation to leave is counted once the memory that was learned from ``one`` is written."""
    return frozenset(each.id for each in one.instances) & (region.warned | remembered.warned)
