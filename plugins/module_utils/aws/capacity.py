# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ensure groups: observe each region once, decide and act on each of its groups, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import fleets, groups, market, spot_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, AwsError, message
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import (
    AUTO_SCALING_GROUP,
    EC2_FLEET,
    SPOT_FLEET,
    Group,
    Subnet,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.market import Offer
from ansible_collections.spot.platform.plugins.module_utils.engine.provisioning import (
    Decision,
    GroupSpec,
    check_owner,
    decide,
    shortlist,
)

BACKENDS: dict[str, Any] = {AUTO_SCALING_GROUP: groups, EC2_FLEET: fleets, SPOT_FLEET: spot_fleets}
LOST_RACES = ("AlreadyExists", "AlreadyExistsFault")
"""What AWS answers where another run, or our own call that was repeated, made the group first."""


@dataclass(frozen=True)
class Wish:
    """What is asked for of one group: what it shall be, or with ``spec`` ``None`` that it be gone.

    ``migrate``: the application moves between this group and one of another kind and the same name: a new one is made
    beside the old, and what goes is drained first.
    """

    name: str
    region: str
    kind: str
    identity: Mapping[str, str]
    spec: GroupSpec | None
    migrate: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a wish. ``action``: created, updated, unchanged, deleted, absent or failed (then ``error``)."""

    wish: Wish
    action: str
    decision: Decision | None = None
    present: Group | None = None
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether AWS was changed, or in check mode would be."""
        return self.action in ("created", "updated", "deleted")


@dataclass(frozen=True)
class Settings:
    """How to observe and how far to go. ``act`` false: check mode; ``timeout``: seconds to wait for a deletion."""

    cache: Cache
    bands: market.Bands | None
    history_days: int
    placement_scores: bool
    act: bool
    timeout: int


@dataclass(frozen=True)
class Region:
    """A region as far as its groups need it. ``present``: those that are there, and of those that are to be made also the
    ones of the same name and another kind."""

    present: Mapping[tuple[str, str], Group]
    offers: Sequence[Offer] = ()
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)


def ensure(clients: Clients, wishes: Sequence[Wish], settings: Settings) -> list[Outcome]:
    """The outcome of each wish, in their order. What fails in one region or group does not stop the others.

    Raises ``ValueError`` for a group that is named twice.
    """
    counts = Counter((wish.name, wish.region, wish.kind) for wish in wishes)
    twice = sorted(f"{name} in {region}" for (name, region, kind), count in counts.items() if count > 1)
    if twice:
        raise ValueError(f"these groups are named more than once: {', '.join(twice)}")
    by_region: dict[str, list[Wish]] = {}
    for wish in wishes:
        by_region.setdefault(wish.region, []).append(wish)

    def look(region: str) -> Region | str:
        return _attempt(lambda: observe(clients, region, by_region[region], settings))

    regions = dict(zip(by_region, side_by_side(look, by_region)))

    def work(wish: Wish) -> Outcome:
        region = regions[wish.region]
        if isinstance(region, str):
            return Outcome(wish, "failed", error=region)
        outcome = _attempt(lambda: (_present if wish.spec else _absent)(clients, wish, region, settings))
        return Outcome(wish, "failed", error=outcome) if isinstance(outcome, str) else outcome

    return side_by_side(work, wishes)


def _attempt(work: Callable[[], Any]) -> Any:
    """What ``work`` returns, or the text of its failure."""
    try:
        return work()
    except FAILURES as failure:
        return message(failure)


def observe(clients: Clients, region: str, wishes: Sequence[Wish], settings: Settings) -> Region:
    """All that the groups of ``region`` need, each asked for once."""
    specs = [wish.spec for wish in wishes if wish.spec]
    ec2 = clients.get("ec2", region)

    def look(names_of: Mapping[str, set[str]]) -> dict[tuple[str, str], Group]:
        return {
            (kind, name): group
            for kind, backend in BACKENDS.items()
            if names_of[kind]
            for name, group in backend.observe(clients.get(backend.SERVICE, region), names_of[kind]).items()
        }

    def present() -> dict[tuple[str, str], Group]:
        asked = {kind: {wish.name for wish in wishes if wish.kind == kind} for kind in BACKENDS}
        found = look(asked)
        staying = {key for key, group in found.items() if not group.deleting}
        new = {wish.name for wish in wishes if wish.spec and (wish.kind, wish.name) not in staying}
        return {**look({kind: new - names for kind, names in asked.items()}), **found}

    if not specs:
        return Region(present())
    found = side_by_side(
        lambda ask: ask(),
        (
            present,
            lambda: market.offers(clients, [region], _question(specs, settings), settings.cache, settings.bands),
            lambda: groups.subnets(ec2, {subnet for spec in specs for subnet in spec.subnets}),
            lambda: groups.launch_templates(ec2, {spec.template for spec in specs}),
        ),
    )
    return Region(*found)


def _question(specs: Sequence[GroupSpec], settings: Settings) -> market.Question:
    """One question to the market for all the groups of a region."""
    names = [spec.selection.names for spec in specs]
    largest = max(specs, key=lambda spec: spec.target or spec.minimum)
    return market.Question(
        wanted=lambda kind: any(kind in spec.selection for spec in specs),
        names=None if None in names else frozenset().union(*names),
        history_days=settings.history_days,
        history_of=lambda offers: set().union(*(shortlist(spec, offers) for spec in specs)),
        score_target=max(1, largest.target or largest.minimum) if settings.placement_scores else None,
        score_unit=largest.unit,
    )


def _present(clients: Clients, wish: Wish, region: Region, settings: Settings) -> Outcome:
    spec, backend = wish.spec, BACKENDS[wish.kind]
    client = clients.get(backend.SERVICE, wish.region)
    template = region.templates.get(spec.template)
    if template is None:
        raise ValueError(f"there is no launch template {spec.template} in {spec.region}; make it first")
    subnets = [region.subnets[subnet] for subnet in spec.subnets if subnet in region.subnets]
    present = region.present.get((wish.kind, wish.name))
    new = present is None or present.deleting
    spec, place = _place(wish, spec, region) if new else (spec, ())
    if wish.kind == SPOT_FLEET and new and spec.fleet_role is None:
        spec = replace(spec, fleet_role=spot_fleets.default_role(clients.get("sts", wish.region)))
    decision = decide(spec, present, template, subnets, region.offers)
    decision = replace(decision, reasons=(*place, *decision.reasons))
    if settings.act and present is not None and present.deleting:
        # What is left of it is in the way of a new one.
        if wish.migrate:
            backend.drain(clients, wish.region, present, settings.timeout)
        backend.delete(client, present, settings.timeout)
    if decision.present is None and settings.act:
        try:
            backend.create(client, spec.name, decision.wanted)
        except AwsError as error:
            if error.code not in LOST_RACES:
                raise
            decision = decide(
                spec, backend.observe(client, [spec.name]).get(spec.name), template, subnets, region.offers
            )
            if decision.present is None:
                raise
    if decision.present is None:
        return Outcome(wish, "created", decision)
    if decision.changes and settings.act:
        backend.update(client, spec.name, decision.wanted, decision.present, decision.changes.keys())
    return Outcome(wish, "updated" if decision.changes else "unchanged", decision, decision.present)


def _place(wish: Wish, spec: GroupSpec, region: Region) -> tuple[GroupSpec, tuple[str, ...]]:
    """What is to be made, and why: where the application has a group of another kind, as large as that one, with its temporary bounds.

    Raises ``ValueError`` where it has one and is not to migrate: two of them would serve the same.
    """
    for kind in BACKENDS:
        other = region.present.get((kind, wish.name))
        if kind == wish.kind or other is None or other.deleting or wish.identity.items() - other.tags.items():
            continue
        if not wish.migrate:
            raise ValueError(
                f"{wish.name} is there as {kind}, so no {wish.kind} is made beside it; run "
                f"spot.platform.capacity_migrate to move it, or ask for kind {kind}"
            )
        if other.policy is None or other.policy.unit != spec.unit:
            counted = other.policy.unit if other.policy else "nothing that is known"
            raise ValueError(f"{wish.name} counts {counted} as {kind}: it must count {spec.unit} before it migrates")
        target = min(max(other.policy.target, spec.minimum), spec.maximum)
        temporary = {key: value for key, value in other.tags.items() if key == tags.OVERRIDE}
        spec = replace(spec, target=target, tags={**spec.tags, **temporary})
        return spec, (f"it takes the place of the {kind}, whose target is {target}",)
    return spec, ()


def _absent(clients: Clients, wish: Wish, region: Region, settings: Settings) -> Outcome:
    backend = BACKENDS[wish.kind]
    present = region.present.get((wish.kind, wish.name))
    if present is None:
        return Outcome(wish, "absent")
    check_owner(wish.name, wish.identity, present)
    if settings.act:
        if wish.migrate:
            backend.drain(clients, wish.region, present, settings.timeout)
        backend.delete(clients.get(backend.SERVICE, wish.region), present, settings.timeout)
    return Outcome(wish, "deleted", present=present)
