# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is already paid for and unused: Reserved Instances, capacity reservations and Savings Plans.

All of it in one region and one account, whose own use comes first wherever a benefit is shared with an organization.
Where it is not sure that one more On-Demand instance costs nothing, it counts as not paid for. Sources: the EC2 User
Guide, "How Reserved Instance discounts are applied" and "Capacity Reservation pricing and billing"; the Savings Plans
User Guide, "Understanding how Savings Plans apply to your usage".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

FACTORS = {"nano": 0.25, "micro": 0.5, "small": 1.0, "medium": 2.0, "large": 4.0, "xlarge": 8.0}
"""Normalization factors; those of ``<n>xlarge`` are n times that of ``xlarge``."""
RIGID = {"dl", "f", "g", "gr", "hpc", "inf", "mac", "p", "trn", "u", "vt"}
"""Series without size flexibility, or where it is not sure: those with accelerators and for special purposes."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Reserved:
    """Active Reserved Instances of shared Linux: ``count`` of a type, in a zone or (``None``) anywhere in the region."""

    instance_type: str
    count: int
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """An active On-Demand capacity reservation of this account for shared Linux, with its unused instances.

    ``open``: any instance of its type and zone runs in it, without naming it.
    """

    id: str
    instance_type: str
    zone: str
    available: int
    open: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """An active EC2 Instance Savings Plan of the region: USD an hour committed for a family of types."""

    id: str
    family: str
    commitment: float


@dataclass(frozen=True, slots=True)
class Running:
    """An On-Demand instance that runs. ``plain``: Linux without further software, on shared hardware."""

    id: str
    instance_type: str
    zone: str
    plain: bool = True
    reservation: str | None = None


@dataclass(frozen=True, slots=True)
class Commitments:
    """What an account has paid for in a region; ``reasons`` name what was left out, and why."""

    reserved: Sequence[Reserved] = ()
    reservations: Sequence[Reservation] = ()
    plans: Sequence[Plan] = ()
    reasons: Sequence[str] = ()

    @property
    def families(self) -> tuple[str, ...]:
        """The families of types of which the running instances must be known."""
        named = {family_of(one.instance_type) for one in (*self.reserved, *self.reservations)}
        return tuple(sorted(named | {plan.family for plan in self.plans}))


@dataclass(frozen=True, slots=True)
class Place:
    """Instances of a type that are paid for, in a zone or (``None``) in any; ``why``: by what."""

    instance_type: str
    zone: str | None
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Spare:
    """What is paid for and unused: places, normalized units by family, and USD an hour by family with the prices of the
    types. ``covered``: the running instances that cost nothing more than what is paid for already."""

    places: tuple[Place, ...] = ()
    normalized: Mapping[str, float] = field(default_factory=dict)
    dollars: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    covered: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """What an app could use: the units that each type counts, the zones it is in (``None``: all), and the units that it
    can use at most (``None``: any number)."""

    types: Mapping[str, int]
    zones: frozenset[str] | None = None
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """On-Demand that an app can launch without paying more: where and why, and the units it comes to.

    ``covered``: the running instances, of any app, that are paid for; to keep them costs nothing either.
    """

    units: int = 0
    places: tuple[Place, ...] = ()
    covered: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()

    @property
    def types(self) -> dict[str, int]:
        """How many instances of each type."""
        counts: Counter[str] = Counter()
        for place in self.places:
            counts[place.instance_type] += place.count
        return dict(sorted(counts.items()))


def family_of(instance_type: str) -> str:
    """``m5`` of ``m5.large``."""
    return instance_type.partition(".")[0]


def factor_of(instance_type: str) -> float | None:
    """The normalization factor of a type's size; ``None`` for bare metal, whose factor depends on the family."""
    size = instance_type.partition(".")[2]
    multiple = re.fullmatch(r"(\d+)xlarge", size)
    return FACTORS["xlarge"] * int(multiple[1]) if multiple else FACTORS.get(size)


def flexible(reserved: Reserved) -> bool:
    """Whether the discount applies to all sizes of the family, in proportion to their factors."""
    series = re.match(r"[a-z]+", reserved.instance_type)
    known = series is not None and series[0] not in RIGID
    return known and reserved.zone is None and factor_of(reserved.instance_type) is not None


@dataclass(frozen=True, eq=False)
class _Use:
    """What is billed On-Demand unless a discount takes it. ``sunk``: paid for in a capacity reservation, whether an
    instance runs there (``id``) or not; discounts go there too, and are lost for other instances."""

    id: str
    instance_type: str
    zone: str
    plain: bool
    sunk: bool


class _Ledger:
    """The uses that no discount has taken yet, those in capacity reservations first."""

    def __init__(self, uses: Iterable[_Use]) -> None:
        self._uses = sorted(uses, key=lambda use: (not use.sunk, use.id))
        self._taken: set[_Use] = set()

    @property
    def unpaid(self) -> list[_Use]:
        return [use for use in self._uses if use not in self._taken]

    @property
    def covered(self) -> frozenset[str]:
        """The instances that discounts or reservations pay for."""
        return frozenset(use.id for use in self._uses if use.id and (use.sunk or use in self._taken))

    def take(self, uses: Iterable[_Use]) -> None:
        self._taken.update(uses)

    def apply(self, amount: float, sizes: Mapping[_Use, float]) -> float:
        """Let ``amount`` pay for uses of these sizes, small ones first as AWS does it; returns what is left.

        The last one may be paid in part: then it is not covered.
        """
        for use, size in sorted(sizes.items(), key=lambda item: (not item[0].sunk, item[1])):
            if size <= amount + ROUNDING:
                self.take([use])
            amount = max(0.0, amount - size)
        return amount


def spare(commitments: Commitments, running: Sequence[Running], prices: Mapping[str, float]) -> Spare:
    """What of the commitments the ``running`` On-Demand instances leave unused.

    ``running``: at least all those of ``commitments.families``; ``prices``: On-Demand, USD an hour, by type.
    """
    slots = commitments.reservations
    own = {slot.id for slot in slots}
    ledger = _Ledger(
        [
            *(_Use(one.id, one.instance_type, one.zone, one.plain, one.reservation in own) for one in running),
            *(_Use("", slot.instance_type, slot.zone, True, True) for slot in slots for _n in range(slot.available)),
        ]
    )
    places = [
        Place(slot.instance_type, slot.zone, slot.available, f"capacity reservation {slot.id}")
        for slot in slots
        if slot.open and slot.available
    ]
    places += _fixed(commitments.reserved, ledger)
    normalized, reasons = _normalized(commitments.reserved, ledger)
    dollars, more = _dollars(commitments.plans, ledger, prices)
    known = {name: price for name, price in prices.items() if family_of(name) in dollars}
    reasons = [*commitments.reasons, *reasons, *more]
    return Spare(tuple(places), normalized, dollars, known, ledger.covered, tuple(reasons))


def _fixed(reserved: Sequence[Reserved], ledger: _Ledger) -> list[Place]:
    """The places that zonal, then inflexible regional Reserved Instances leave."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for one in reserved:
        if not flexible(one):
            counts[one.instance_type, one.zone] += one.count
    places = []
    for (name, zone), count in sorted(counts.items(), key=lambda item: (item[0][1] is None, str(item[0]))):
        matching = [
            use
            for use in ledger.unpaid
            if use.plain
            and use.instance_type == name
            and (zone is None or (use.zone == zone and not use.sunk))  # zonal discounts skip capacity reservations
        ]
        ledger.take(matching[:count])
        if count > len(matching):
            left = count - len(matching)
            places.append(Place(name, zone, left, f"{left} of {count} Reserved Instances of its type are unused"))
    return places


def _normalized(reserved: Sequence[Reserved], ledger: _Ledger) -> tuple[dict[str, float], list[str]]:
    """The normalized units by family that flexible Reserved Instances leave."""
    totals: Counter[str] = Counter()
    for one in reserved:
        factor = factor_of(one.instance_type)
        if flexible(one) and factor is not None:
            totals[family_of(one.instance_type)] += one.count * factor
    left, reasons = {}, []
    for family, total in sorted(totals.items()):
        sizes: dict[_Use, float] = {}
        unknown = None
        for use in ledger.unpaid:
            if use.plain and family_of(use.instance_type) == family:
                factor = factor_of(use.instance_type)
                if factor is None:
                    unknown = use.instance_type
                else:
                    sizes[use] = factor
        if unknown:
            reasons.append(
                f"the Reserved Instances of {family} count as used: {unknown} runs, whose share is not known"
            )
            continue
        left[family] = ledger.apply(total, sizes)
        reasons.append(f"{left[family]:g} of {total:g} normalized units of Reserved Instances of {family} are unused")
    return left, reasons


def _dollars(plans: Sequence[Plan], ledger: _Ledger, prices: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """The USD an hour by family that EC2 Instance Savings Plans leave; all use counts at its On-Demand price, which is
    more than the plan's own rate."""
    totals: Counter[str] = Counter()
    for plan in plans:
        totals[plan.family] += plan.commitment
    left, reasons = {}, []
    for family, total in sorted(totals.items()):
        uses = [use for use in ledger.unpaid if family_of(use.instance_type) == family]
        unpriced = sorted({use.instance_type for use in uses if not use.plain or use.instance_type not in prices})
        if unpriced:
            reasons.append(
                f"the Savings Plans for {family} count as used: {unpriced[0]} runs, not as shared Linux at a known price"
            )
            continue
        left[family] = ledger.apply(total, {use: prices[use.instance_type] for use in uses})
        reasons.append(f"{left[family]:.4f} of {total:.4f} USD an hour of Savings Plans for {family} are unused")
    return left, reasons


def fit(left: Spare, want: Want) -> tuple[Paid, Spare]:
    """What an app gets of what is spare, up to the units that it can use, and what is left for others.

    What is tied to a type goes first. A family's normalized units and dollars buy whole instances: of the type that
    gives most units for them, then of smaller ones. The last instance may be larger than what is still wanted.
    """
    share = _Share(want)
    places = []
    for place in sorted(left.places, key=lambda place: (place.zone is None, place.zone or "", place.instance_type)):
        count = share.take(place)
        places.append(replace(place, count=place.count - count))
    factors = {name: factor_of(name) for name in want.types}
    why = "Reserved Instances of the family {} are unused"
    normalized = {family: share.buy(family, amount, factors, why) for family, amount in left.normalized.items()}
    why = "Savings Plans for the family {} are unused"
    dollars = {family: share.buy(family, amount, left.prices, why) for family, amount in left.dollars.items()}
    reasons = [f"{p.count} x {p.instance_type} in {p.zone or 'any zone'} are paid for: {p.why}" for p in share.places]
    paid = Paid(share.units, tuple(share.places), left.covered, (*left.reasons, *reasons))
    rest = tuple(place for place in places if place.count)
    return paid, replace(left, places=rest, normalized=normalized, dollars=dollars)


class _Share:
    """What an app has got so far."""

    def __init__(self, want: Want) -> None:
        self._want = want
        self.places: list[Place] = []
        self.units = 0

    def take(self, offered: Place) -> int:
        """Take as many of a place as can be used; returns how many."""
        want, weight = self._want, self._want.types.get(offered.instance_type, 0)
        if weight <= 0 or (offered.zone and want.zones is not None and offered.zone not in want.zones):
            return 0
        count = offered.count
        if want.units is not None:
            count = min(count, max(0, math.ceil((want.units - self.units) / weight)))
        if count:
            self.places.append(replace(offered, count=count))
            self.units += count * weight
        return count

    def buy(self, family: str, amount: float, costs: Mapping[str, float | None], why: str) -> float:
        """Buy instances of a family, each at what its type costs; returns what is left of the amount."""
        offers = []
        for name, weight in self._want.types.items():
            cost = costs.get(name)
            if cost and weight > 0 and family_of(name) == family:
                offers.append((-weight / cost, cost, name))
        for _worth, cost, name in sorted(offers):
            count = math.floor((amount + ROUNDING) / cost)
            amount -= cost * self.take(Place(name, None, count, why.format(family)))
        return max(0.0, amount)


def split(left: Spare, wants: Mapping[str, Want]) -> dict[str, Paid]:
    """What each app of a region gets of what is spare: the app that can use most units first, each unit once."""

    def need(name: str) -> float:
        units = wants[name].units
        return math.inf if units is None else units

    shares = {}
    for name in sorted(wants, key=lambda name: (-need(name), name)):
        shares[name], left = fit(left, wants[name])
    return {name: shares[name] for name in wants}
