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
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Paid, Want, split
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling


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
    members: Mapping[str, Member | str]
    balancers: Mapping[str, Balancer] = field(default_factory=dict)
    problem: str | None = None
    began: float = 0.0


def observe(
    clients: Clients, region: str, names: Sequence[str] | None, options: Options, cache: Cache
) -> Observed:
    """The groups of ``region``, those called ``names`` or all. Raises `AwsError` where they cannot be read."""
    seen = steering.observe(clients, region, replace(options.question, names=names), cache)
    began = time.monotonic()
    if options.release:
        return Observed(region, seen, {}, began=began)
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
    return Observed(region, seen, members, found, problem, began)


def member(one: steering.Steered, seen: steering.Region, policy: engine.Policy | str, paid: Paid) -> Member | str:
    """A group with what is wanted of it and what is remembered of it, or what is wrong with it."""
    if isinstance(policy, str):
        return policy
    held = seen.states.get(one.key)
    remembered = remembering.read(held.memory if held else None)
    running = sum(each.capacity for each in one.instances if each.pool is None and each.id in paid.covered)
    try:
        observation = steering.observation_of(one, seen, remembered, running + paid.units)
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
        policy = steering.policy_of(one, options.policy, scaling, options.boot_seconds)
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
