# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications in several regions: what each region is to carry, and where their names lead, from what was observed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import route53
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine import demand
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Paid
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Peer, Remembered
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits, Region, pooled, settled, share
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import DEGRADE


@dataclass(frozen=True)
class Spread:
    """An application in several ``regions``. ``limits``: how far they help each other, not at all if ``None``.

    ``name``: the DNS name that leads to it, in the hosted ``zone``, by the ``policy`` weighted or latency, if there is one.
    """

    app: str
    regions: Sequence[str]
    limits: Limits | None = None
    name: str | None = None
    zone: str = ""
    policy: str = "weighted"


@dataclass(frozen=True)
class Member:
    """An application's group in a region at the beginning of a step: as it was observed, what is wanted of it, and what is
    remembered of it. ``paid``: the On-Demand that costs it nothing more. ``peers``: of its other regions, to remember."""

    one: Steered
    policy: engine.Policy
    remembered: Remembered
    observation: engine.Observation
    paid: Paid = field(default_factory=Paid)
    peers: Mapping[str, Peer] = field(default_factory=dict)

    @property
    def serving(self) -> int:
        """The units that serve now."""
        return sum(one.capacity for one in self.one.instances if one.serving)


def shared(spread: Spread, members: Mapping[str, Member], unseen: Collection[str], boot_seconds: float) -> dict[str, Member]:
    """The ``members`` of an application by region, each with its part of what all want together.

    ``unseen``: the regions that could not be observed. Of one that nobody remembers it is only known that it has its
    minimum: nothing moves for it before the next step.
    """
    if spread.limits is None or not members:
        return dict(members)
    known = {name: _known(name, members) for name in sorted(unseen) if name in spread.regions}
    parts = [_region(name, member, spread.limits, boot_seconds) for name, member in sorted(members.items())]
    parts += [_unseen(name, peer, members) for name, peer in known.items()]
    unit = next(iter(members.values())).policy.scaling.unit
    metered = any(member.policy.scaling.metrics for member in members.values())
    if spread.name and spread.policy == "weighted" and metered:
        parts = list(pooled(parts))  # the load goes where capacity serves
    found = {one.region: one for one in share(parts, spread.limits, unit).shares}
    peers = {name: Peer(part.target, part.lent) for name, part in found.items()} | known
    return {
        name: replace(
            member,
            observation=replace(member.observation, share=found[name]),
            peers={other: peer for other, peer in peers.items() if other != name},
        )
        for name, member in members.items()
    }


def _region(name: str, member: Member, limits: Limits, boot_seconds: float) -> Region:
    """What is to be known of a region that was observed."""
    seen = member.observation
    minimum, maximum = _bounds(member)
    staying = [one for one in seen.instances if not one.leaving]
    since = member.remembered.short_since
    expected = sum(one.capacity for one in staying)
    return Region(
        name,
        demand=engine.asked_of(seen, member.policy).target,
        minimum=minimum,
        maximum=maximum,
        target=seen.target,
        serving=member.serving,
        settled=settled(
            ((one.capacity, seen.now - one.launched_at - boot_seconds) for one in staying if one.serving), limits
        ),
        expected=expected,
        lent=seen.lent,
        short_for=None if since is None or expected >= seen.target else max(0.0, seen.now - since),
        price_per_unit=min((pool.price for pool in seen.pools), default=seen.on_demand_price),
    )


def _bounds(member: Member) -> tuple[int, int]:
    """The bounds in force, the upper one by what the budget buys too, where that is to limit."""
    scaling, seen = member.policy.scaling, member.observation
    low, high = demand.bounds(scaling, seen.now)[:2]
    if scaling.budget is not None and scaling.budget.when_exceeded == DEGRADE:
        high = max(low, min(high, scaling.budget.buys(engine.price_of(seen))))
    return low, high


def _known(name: str, members: Mapping[str, Member]) -> Peer:
    """What the others remember of a region that could not be observed, since when at the latest it could not."""
    found = [member.remembered.peers[name] for member in members.values() if name in member.remembered.peers]
    now = max(member.observation.now for member in members.values())
    last = found[0] if found else Peer(min(member.policy.scaling.min for member in members.values()), 0)
    return replace(last, unseen_since=min((peer.unseen_since for peer in found if peer.unseen_since), default=now))


def _unseen(name: str, peer: Peer, members: Mapping[str, Member]) -> Region:
    """A region that could not be observed; its bounds are those of the others."""
    scaling = next(iter(members.values())).policy.scaling
    now = max(member.observation.now for member in members.values())
    return Region(
        name,
        demand=peer.target - peer.lent,
        minimum=scaling.min,
        maximum=scaling.max,
        target=peer.target,
        serving=0,
        settled=0,
        expected=0,
        lent=peer.lent,
        short_for=None if peer.unseen_since is None else max(0.0, now - peer.unseen_since),
        reachable=False,
    )


def record(
    spread: Spread,
    members: Mapping[str, Member],
    unseen: Collection[str],
    targets: Mapping[str, int],
    balancers: Mapping[str, Mapping[str, Balancer]],
) -> route53.Record | None:
    """The name as it is to be, ``None`` where the application has none, or is nowhere.

    ``targets``: those that the step set, by region. What is given back serves on for a while, but is not led to any more.
    ``balancers``: by region and target group.
    """
    if spread.name is None or not members:
        return None
    first = next(iter(members.values()))
    found = []
    for region in spread.regions:
        member = members.get(region)
        if member is None:
            found.append(route53.Target(region, None if region in unseen else 0))
            continue
        arn = next(iter(member.one.target_groups), None)
        serving = min(member.serving, targets.get(region, member.serving))
        found.append(route53.Target(region, serving, balancers.get(region, {}).get(arn) if arn else None))
    return route53.Record(
        zone=spread.zone,
        name=spread.name,
        policy=spread.policy,
        app=spread.app,
        environment=first.one.tags.get(ours.ENVIRONMENT, ""),
        targets=tuple(found),
        unit=first.policy.scaling.unit,
    )
