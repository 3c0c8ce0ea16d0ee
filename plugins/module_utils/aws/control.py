# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of many groups: observe each region once, let them help each other, and step each group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ansible_collections.spot.platform.plugins.module_utils.aws import observing, route53, sharing, steering
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus
from ansible_collections.spot.platform.plugins.module_utils.aws.observing import Observed, Options
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Member
from ansible_collections.spot.platform.plugins.module_utils.aws.stepping import BACKENDS, Outcome, Step


@dataclass(frozen=True)
class Stepped:
    """What became of a step: of each group, and of each name that leads to one."""

    outcomes: Sequence[Outcome]
    names: Sequence[route53.Change] = ()


def options_on_event(
    question: steering.Question, holder: str, act: bool, boot_seconds: float, run_seconds: int, lease_seconds: float
) -> Options:
    """How to step when an event asks for it: the policy is what the tags say, and the targets stay."""
    return Options(
        question=question,
        policy={},
        scalings={},
        prometheus=Prometheus(),
        holder=holder,
        act=act,
        release=False,
        boot_seconds=boot_seconds,
        run_seconds=run_seconds,
        lease_seconds=lease_seconds,
        commitments=True,
    )


def step(clients: Clients, wanted: Mapping[str, Sequence[str] | None], options: Options, cache: Cache) -> Stepped:
    """The step of each group of the regions ``wanted``, of those that are named there or of all. A region that cannot be
    read is an outcome."""
    parts = side_by_side(partial(_observed, clients, options, cache), sorted(wanted.items()))
    seen = [part for part in parts if isinstance(part, Observed)]
    unseen = {part.region: part for part in parts if isinstance(part, Outcome)}
    whole = not options.release and all(names is None for names in wanted.values())
    spreads = [one for one in options.spreads if whole and set(one.regions) <= wanted.keys()]
    together = [(spread, _members(seen, spread)) for spread in spreads]
    shared = {
        (region, member.one.key): member
        for spread, members in together
        for region, member in sharing.shared(spread, members, unseen.keys(), options.boot_seconds).items()
    }
    outcomes = side_by_side(
        lambda item: _step_of(clients, *item, shared, options, cache),
        [(part, one) for part in seen for one in part.seen.steered],
    )
    outcomes += [outcome for part in seen for outcome in _troubles(part, wanted[part.region])]
    names = _lead(clients, together, unseen.keys(), seen, outcomes, options) if together else ()
    return Stepped([*outcomes, *unseen.values()], names)


def _observed(
    clients: Clients, options: Options, cache: Cache, item: tuple[str, Sequence[str] | None]
) -> Observed | Outcome:
    region, names = item
    try:
        return observing.observe(clients, region, names, options, cache)
    except AwsError as error:
        return Outcome(region, None, error=str(error))


def _members(seen: Sequence[Observed], spread: sharing.Spread) -> dict[str, Member]:
    """An application's group by region; one that is about to go, or cannot be understood, is none."""
    found: dict[str, Member] = {}
    for part in seen:
        for member in part.members.values():
            if isinstance(member, Member) and member.one.app == spread.app and not member.one.busy:
                found.setdefault(part.region, member)
    return found


def _step_of(
    clients: Clients,
    part: Observed,
    one: steering.Steered,
    shared: Mapping[tuple[str, str], Member],
    options: Options,
    cache: Cache,
) -> Outcome:
    if options.release:
        return _release(clients, one, options.act)
    member = shared.get((part.region, one.key), part.members[one.key])
    if isinstance(member, str):
        return Outcome(part.region, one, one.name, error=member)
    return Step(clients, member, part.seen, options, cache, part.began).take()


def _troubles(part: Observed, names: Sequence[str] | None) -> list[Outcome]:
    """What was asked for and is not there, and what could not be read though the groups could."""
    missing = sorted(set(names or ()) - {one.name for one in part.seen.steered})
    found = [
        Outcome(part.region, None, name, error=f"the group {name} is not there in {part.region}") for name in missing
    ]
    return [*found, Outcome(part.region, None, error=part.problem)] if part.problem else found


def _lead(
    clients: Clients,
    together: Sequence[tuple[sharing.Spread, Mapping[str, Member]]],
    unseen: Collection[str],
    seen: Sequence[Observed],
    outcomes: Sequence[Outcome],
    options: Options,
) -> list[route53.Change]:
    """Let the names follow what serves."""
    balancers = {part.region: part.balancers for part in seen}
    targets = {
        (one.group.app, one.region): one.decisions[-1].target for one in outcomes if one.group and one.decisions
    }
    records = [
        sharing.record(
            spread,
            members,
            unseen,
            {region: target for (app, region), target in targets.items() if app == spread.app},
            balancers,
        )
        for spread, members in together
    ]
    wanted = [one for one in records if one is not None]
    return route53.follow(clients, wanted, options.act) if wanted else []


def _release(clients: Clients, one: steering.Steered, act: bool) -> Outcome:
    """Resume what was suspended."""
    acting = BACKENDS[one.kind]
    try:
        processes = acting.resume(clients, one) if act else acting.suspended(one)
        return Outcome(one.region, one, one.name, resumed=tuple(processes), released=True)
    except AwsError as error:
        return Outcome(one.region, one, one.name, error=str(error))
