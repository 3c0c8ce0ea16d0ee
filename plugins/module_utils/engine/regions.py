# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One application in several regions: where one runs short in spite of On-Demand, the others carry what it lacks.

A region that is short goes on asking for its own demand; so the targets that are set add up to more than the demand by
what is carried, and what can serve adds up to it. What a region carries for others is a tag of its group, beside the
target that it is part of, and is kept between two bounds: at least what is short now (``_Need.missing``), at
most what has not served for a while yet (``_Need.unsettled``). Between them nothing moves, so a region that comes back
for a moment moves nothing, and nothing is given back before what replaces it has served: make before break.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

from ansible_collections.spot.platform.plugins.module_utils.engine.proportion import divided


@dataclass(frozen=True, slots=True)
class Region:
    """A region of an application. Capacities are in the application's unit.

    ``demand``: what its own load asks for. ``target``: the one in force, of which ``lent`` is carried for others, as its
    group is tagged. ``serving``: what serves now; ``settled``: the part of it that has for long (see `settled`);
    ``expected``: what serves or surely will. ``short_for``: seconds for which ``expected`` has been below ``target`` with all that On-Demand could give, or for
    which the region could not be observed; ``None`` where neither, or where that is not known. Of a region that is not
    ``reachable``, demand and target are the last that are known, and the rest counts for nothing.
    """

    name: str
    demand: int
    minimum: int
    maximum: int
    target: int
    serving: int
    settled: int
    expected: int
    lent: int = 0
    short_for: float | None = None
    reachable: bool = True
    price_per_unit: float | None = None

    @property
    def own(self) -> int:
        """The demand within the bounds."""
        return max(self.minimum, min(self.maximum, self.demand))


@dataclass(frozen=True, slots=True)
class Limits:
    """How far regions help each other.

    ``max_extra``: what a region may carry for others, as a share of its own demand, rounded up so that one of a single
    unit can help. ``after_seconds`` of shortage before they do, ``stable_seconds`` of service before they stop.
    ``step``: what a region gives back at a step, as a share of its own demand, so that DNS can follow.
    """

    max_extra: float = 0.5
    after_seconds: float = 120.0
    stable_seconds: float = 300.0
    step: float = 0.25

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for limits that mean nothing."""
        for name in ("max_extra", "after_seconds", "stable_seconds"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be a number, 0 or more")
        if not 0 < self.step <= 1:
            raise ValueError(f"step is {self.step!r}: it must be above 0 and at most 1")

    def room(self, region: Region) -> int:
        """The most that ``region`` may carry for others."""
        return min(_part(self.max_extra, region.own), region.maximum - region.own)


@dataclass(frozen=True, slots=True)
class Share:
    """A region's part: the ``target`` to set, of which ``lent`` is carried for others (``lent_before``: until now), and
    of its own demand what others carry (``borrowed``) and what nobody does (``missing``)."""

    region: str
    before: int
    target: int
    lent_before: int
    lent: int
    borrowed: int
    missing: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sharing:
    """The shares in the order of the regions. ``missing``: what is short and nobody may carry; ``returning``: what is
    carried though nobody needs it any more, and goes in the next steps."""

    shares: tuple[Share, ...]
    missing: int
    returning: int

    @property
    def targets(self) -> dict[str, int]:
        """The target to set for each region."""
        return {one.region: one.target for one in self.shares}


@dataclass(frozen=True, slots=True)
class _Need:
    """Of a region's own demand: what is to be carried by others, and what may stay with them."""

    missing: int = 0
    unsettled: int = 0


def settled(serving: Iterable[tuple[int, float]], limits: Limits) -> int:
    """The units that have served for ``stable_seconds``. ``serving``: of each instance, its units and the seconds."""
    return sum(units for units, seconds in serving if seconds >= limits.stable_seconds)


def pooled(regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions with their demand divided anew: each its minimum, the rest in proportion to what is above it.

    For weighted routing, where the load goes where capacity serves: a region that was short has little load of its
    own, so that by its own metrics it would never come back. Regions that cannot be observed keep what they have.
    """
    seen = [one for one in regions if one.reachable]
    spare = sum(one.own - one.minimum for one in seen)
    parts = iter(divided(spare, [one.maximum - one.minimum for one in seen]))
    return tuple(replace(one, demand=one.minimum + next(parts)) if one.reachable else one for one in regions)


def share(regions: Sequence[Region], limits: Limits, unit: str = "units") -> Sharing:
    """The target of each region. Pure: the same arguments give the same sharing.

    The targets found and set, and nothing else changed, the next call finds the same ones, but for what is given back
    step by step.
    """
    needs = [_need(one, regions, limits) for one in regions]
    held = [_held(one, need, limits) for one, need in zip(regions, needs)]
    missing, unsettled = (sum(getattr(need, part) for need in needs) for part in ("missing", "unsettled"))
    wanted = max(missing, min(sum(held), unsettled))
    lent = _lent(regions, needs, held, wanted, missing, limits)
    carried = sum(lent)
    urgent = divided(min(carried, missing), [need.missing for need in needs])
    rest = min(carried, unsettled) - sum(urgent)
    kept = divided(rest, [need.unsettled - need.missing for need in needs])
    borrowed = [first + second for first, second in zip(urgent, kept)]
    whose = [one.name for one, part in zip(regions, borrowed) if part]
    shares = tuple(
        Share(
            region=one.name,
            before=one.target,
            target=one.own + lends if one.reachable else one.target,
            lent_before=one.lent,
            lent=lends if one.reachable else one.lent,
            borrowed=borrows,
            missing=need.missing - first,
            reasons=(
                *_why_borrowed(one, need, borrows, first, regions, limits, unit),
                *_why_lent(one, lends, whose, limits, unit),
            ),
        )
        for one, need, lends, borrows, first in zip(regions, needs, lent, borrowed, urgent)
    )
    return Sharing(shares, missing - sum(urgent), max(0, carried - unsettled))


def _part(share_of: float, whole: int) -> int:
    return ceil(share_of * whole - 1e-9)


def _long(region: Region, limits: Limits) -> bool:
    return region.short_for is not None and region.short_for >= limits.after_seconds


def _blind(regions: Sequence[Region]) -> bool:
    """Most regions cannot be observed: the trouble is likely on this side, not on theirs."""
    return 2 * sum(not one.reachable for one in regions) > len(regions)


def _need(region: Region, regions: Sequence[Region], limits: Limits) -> _Need:
    """What of the region's demand others are to carry. AWS's control plane may be down while instances serve on, or all
    may be lost: a region that cannot be observed keeps what is carried for it, and is helped as one that has nothing.
    """
    own = region.own
    if not region.reachable:
        return _Need(own if _long(region, limits) and not _blind(regions) else 0, own)
    missing = max(0, own - region.expected) if _long(region, limits) else 0
    if region.lent and not missing:
        return _Need()  # it carries for others: what is new in it is no return from a shortage
    return _Need(missing, max(missing, own - min(region.settled, region.serving, region.expected), 0))


def _held(region: Region, need: _Need, limits: Limits) -> int:
    """What the region carries now and may go on to carry; one that is short itself lends nothing."""
    return min(region.lent, limits.room(region)) if region.reachable and not need.missing else 0


def _lent(
    regions: Sequence[Region],
    needs: Sequence[_Need],
    held: Sequence[int],
    wanted: int,
    missing: int,
    limits: Limits,
) -> list[int]:
    """What each region carries, ``wanted`` together if the limits allow, ``missing`` of it urgently.

    As little as possible moves: each keeps what it carries and can give; the cheapest take what is missing, the dearest
    give back first.
    """
    numbers = range(len(regions))
    failing = [_long(one, limits) and one.expected < one.target for one in regions]
    lent = [
        min(held[number], max(0, one.expected - one.own)) if failing[number] else held[number]
        for number, one in enumerate(regions)
    ]
    price = [inf if one.price_per_unit is None else one.price_per_unit for one in regions]
    surplus = sum(lent) - wanted
    if surplus > 0:
        for number in sorted(numbers, key=lambda number: -price[number]):
            back = min(surplus, lent[number], max(1, _part(limits.step, regions[number].own)))
            lent[number] -= back
            surplus -= back
        return lent
    more = max(0, missing - sum(lent))
    able = {
        number
        for number, one in enumerate(regions)
        if one.reachable and not (needs[number].missing or failing[number]) and one.expected >= min(one.own, one.target)
    }
    for each in sorted({price[number] for number in able}):
        room = [limits.room(regions[n]) - lent[n] if n in able and price[n] == each else 0 for n in numbers]
        taken = divided(min(more, sum(room)), room)
        lent = [before + part for before, part in zip(lent, taken)]
        more -= sum(taken)
    # What nobody else takes stays asked of those that do not get it.
    asked = [part - have if failing[n] else 0 for n, (part, have) in enumerate(zip(held, lent))]
    still = divided(min(wanted - sum(lent), sum(asked)), asked)
    return [before + part for before, part in zip(lent, still)]


def _why_borrowed(
    region: Region,
    need: _Need,
    borrowed: int,
    urgent: int,
    regions: Sequence[Region],
    limits: Limits,
    unit: str,
) -> Iterable[str]:
    own, since = region.own, f"{region.short_for or 0:.0f} s"
    if own != region.demand:
        yield f"the demand of {region.demand} {unit} is outside {region.minimum} to {region.maximum}: {own} is taken"
    if not region.reachable:
        yield from _why_unseen(region, need, borrowed, regions, limits, unit)
    elif need.missing:
        yield f"{region.expected} of {own} {unit} are to be had for {since}, On-Demand included: others carry {urgent}"
    elif region.expected < min(own, region.target):  # a demand that has just grown is no shortage
        short = f"{own - region.expected} of {own} {unit} are short"
        if region.short_for is None:
            yield f"{short}, it is not known for how long: nothing more is moved"
        else:
            yield f"{short} for {since}: others help after {limits.after_seconds:g} s"
    elif borrowed:
        yield (
            f"{min(region.settled, region.serving)} of {own} {unit} have served for {limits.stable_seconds:g} s: "
            f"others carry {borrowed} until the rest has"
        )
    if need.missing > urgent:
        why = "there is no other region"
        if len(regions) > 1:
            why = (
                f"the others are at their limits (max_extra of {100 * limits.max_extra:g} % of their demand, their "
                "maximum), or short themselves"
            )
        yield f"{need.missing - urgent} {unit} are missing: {why}"


def _why_unseen(
    region: Region, need: _Need, borrowed: int, regions: Sequence[Region], limits: Limits, unit: str
) -> Iterable[str]:
    since = "an unknown time" if region.short_for is None else f"{region.short_for:.0f} s"
    yield (
        f"cannot be observed for {since}: its {region.own} {unit} may serve or not, so its own target "
        f"of {region.target} stays as it is"
    )
    unseen = sum(not one.reachable for one in regions)
    if need.missing:
        yield f"in case they do not serve, others carry {borrowed} of them until it is seen again"
    elif _blind(regions):
        yield f"{unseen} of {len(regions)} regions cannot be observed: the trouble may be on this side, nothing moves"
    else:
        yield f"others carry its demand after {limits.after_seconds:g} s; what they carry already stays"


def _why_lent(region: Region, lent: int, whose: Sequence[str], limits: Limits, unit: str) -> Iterable[str]:
    if not region.reachable:
        return
    if lent < region.lent:
        yield f"gives back {region.lent - lent} of the {region.lent} {unit} above its own demand of {region.own}"
    if lent:
        others = " and ".join(name for name in whose if name != region.name)
        yield (
            f"carries {lent} {unit} {f'for {others} ' if others else ''}above its own demand of {region.own} "
            f"(at most {limits.room(region)}: {100 * limits.max_extra:g} % of it, and a maximum of {region.maximum})"
        )
        if _long(region, limits) and region.expected < region.target:
            yield f"gets {region.expected} of {region.target} {unit} itself, for {region.short_for:.0f} s"
