# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance hours to dollars, and what the same capacity would have cost On-Demand.

Money is in whole micro-dollars, so that a sum is exactly the sum of its parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import beyond_base
from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import Stay, on_demand_of

MICRO = 1_000_000
HOUR = 3600.0

SpotHistory = Mapping[tuple[str, str], Sequence[tuple[datetime, float]]]
"""By (zone, instance type): the USD an hour that hold from each moment on, in order of time."""


@dataclass(frozen=True)
class Part:
    """What one instance cost, and what its share of the same capacity would have cost, in micro-dollars."""

    id: str
    lifecycle: str
    spent: int
    all_on_demand: int


@dataclass(frozen=True)
class Slice:
    """What one instance cost on one day in UTC, in micro-dollars.

    ``all_on_demand``, ``committed``: what its share of the same capacity would have cost On-Demand, and at the rates of a Savings Plan or
    of Reserved Instances, ``None`` without a rate. ``fallback``: of ``spent``, for On-Demand that stood in for Spot. ``interrupted``: of
    ``spent``, for an instance that Spot took away in the end, whose work was lost or had to be saved.
    """

    id: str
    day: date
    zone: str
    instance_type: str
    lifecycle: str
    spent: int
    all_on_demand: int
    fallback: int
    interrupted: int
    committed: int | None


@dataclass(frozen=True)
class Cost:
    """The cost of a group from ``since`` to ``until`` in micro-dollars; ``unpriced`` are types left out of both sums.

    ``fallback_share``: the part of the instances' time, weighted by capacity, that was On-Demand above the base.
    """

    since: datetime
    until: datetime
    slices: tuple[Slice, ...]
    fallback_share: float
    unpriced: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """By instance, in the order of the slices."""
        sums: dict[tuple[str, str], list[int]] = {}
        for one in self.slices:
            entry = sums.setdefault((one.id, one.lifecycle), [0, 0])
            entry[0] += one.spent
            entry[1] += one.all_on_demand
        return tuple(Part(*key, *entry) for key, entry in sums.items())

    @property
    def spent(self) -> int:
        """What was paid, in micro-dollars."""
        return sum(one.spent for one in self.slices)

    @property
    def all_on_demand(self) -> int:
        """What the same capacity would have cost On-Demand, in micro-dollars."""
        return sum(one.all_on_demand for one in self.slices)

    @property
    def committed(self) -> int | None:
        """What it would have cost at the rates of a commitment; ``None`` where a type has none."""
        found = [one.committed for one in self.slices]
        return None if None in found or not found else sum(one for one in found if one is not None)

    @property
    def savings_percent(self) -> float | None:
        """The share of the On-Demand cost that was saved, to one place; ``None`` when there is nothing to compare."""
        return round(100.0 * (1 - self.spent / self.all_on_demand), 1) if self.all_on_demand else None

    def by(self, key: Callable[[Slice], Any]) -> dict[Any, "Cost"]:
        """The cost by what ``key`` says of each slice, in its order; together they are this one, to the last micro-dollar."""
        found: dict[Any, list[Slice]] = {}
        for one in self.slices:
            found.setdefault(key(one), []).append(one)
        return {name: Cost(self.since, self.until, tuple(found[name]), self.fallback_share) for name in sorted(found)}


def rates_of(given: Mapping[str, Any]) -> dict[str, float]:
    """The option ``committed_rates``, USD an hour by instance type. Raises ``ValueError`` for one that is no price."""
    rates = {}
    for name, value in given.items():
        try:
            rates[name] = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"committed_rates.{name} is {value!r}: it must be USD an hour") from None
        if not 0 <= rates[name] < float("inf"):
            raise ValueError(f"committed_rates.{name} is {value}: it must be 0 or more")
    return rates


def dollars(micro: int) -> float:
    """Micro-dollars as dollars."""
    return micro / MICRO


def cost(
    stays: Sequence[Stay],
    spot_prices: SpotHistory,
    on_demand_prices: Mapping[str, float],
    since: datetime,
    until: datetime,
    target: int,
    on_demand_base: int,
    committed_rates: Mapping[str, float] | None = None,
) -> Cost:
    """The cost of ``stays`` from ``since`` to ``until``, each from its launch to its end.

    The comparison is cautious: it is the same instance types at their On-Demand price, but of the time in which more
    than ``target`` ran (a replacement that overlaps with what it replaces) only the target's share counts, since who
    runs On-Demand throughout replaces nothing. ``committed_rates``: USD an hour by type, of a Savings Plan or of Reserved Instances.
    """
    billed = [(stay, max(stay.launched, since), min(stay.ended or until, until)) for stay in stays]
    billed = [(stay, begin, end) for stay, begin, end in billed if begin < end]
    unpriced = {
        stay.instance_type
        for stay, _begin, _end in billed
        if stay.instance_type not in on_demand_prices
        or (stay.lifecycle == "spot" and not spot_prices.get((stay.zone, stay.instance_type)))
    }
    billed = [entry for entry in billed if entry[0].instance_type not in unpriced]

    days = _midnights(since, until)
    needed: dict[tuple[str, date], float] = defaultdict(float)  # seconds, without the overlap
    standing_in: dict[tuple[str, date], float] = defaultdict(float)  # seconds
    ran = stood_in = 0.0
    edges = sorted({*(moment for _stay, begin, end in billed for moment in (begin, end)), *days})
    for start, stop in zip(edges, edges[1:]):
        span = (stop - start).total_seconds()
        running = [stay for stay, begin, end in billed if begin <= start and stop <= end]
        if not running:
            continue
        day = start.astimezone(timezone.utc).date()
        capacity = sum(stay.capacity for stay in running)
        own = on_demand_of(running)
        on_demand, above = sum(own), beyond_base(on_demand_base, own)
        for stay in running:
            needed[stay.id, day] += span * min(1.0, target / capacity)
            if stay.lifecycle == "on_demand":
                standing_in[stay.id, day] += span * above / on_demand
        ran += capacity * span
        stood_in += above * span

    slices = []
    for stay, begin, end in billed:
        price, rate = on_demand_prices[stay.instance_type], (committed_rates or {}).get(stay.instance_type)
        cuts = [begin, *(moment for moment in days if begin < moment < end), end]
        for start, stop in zip(cuts, cuts[1:]):
            day = start.astimezone(timezone.utc).date()
            seconds = (stop - start).total_seconds()
            paid = price_over(spot_prices[stay.zone, stay.instance_type], start, stop) if stay.lifecycle == "spot" else price * seconds
            spent = round(paid * MICRO / HOUR)
            instead = needed[stay.id, day]
            slices.append(
                Slice(
                    id=stay.id,
                    day=day,
                    zone=stay.zone,
                    instance_type=stay.instance_type,
                    lifecycle=stay.lifecycle,
                    spent=spent,
                    all_on_demand=round(price * instead * MICRO / HOUR),
                    fallback=min(spent, round(price * standing_in[stay.id, day] * MICRO / HOUR)),
                    interrupted=spent if stay.interrupted else 0,
                    committed=None if rate is None else round(rate * instead * MICRO / HOUR),
                )
            )
    return Cost(since, until, tuple(slices), round(stood_in / ran, 4) if ran else 0.0, tuple(sorted(unpriced)))


def _midnights(since: datetime, until: datetime) -> list[datetime]:
    """The midnights in UTC between two times."""
    found, moment = [], datetime.combine(since.astimezone(timezone.utc).date() + timedelta(days=1), time(), timezone.utc)
    while moment < until:
        found.append(moment)
        moment += timedelta(days=1)
    return found


def price_over(history: Sequence[tuple[datetime, float]], begin: datetime, end: datetime) -> float:
    """The price times the seconds it held, from ``begin`` to ``end``; the first price holds before its time too."""
    changes = [moment for moment, _price in history[1:]]
    starts = [begin, *changes]
    ends = [*changes, end]
    return sum(
        price * max(0.0, (min(stop, end) - max(start, begin)).total_seconds())
        for (_since, price), start, stop in zip(history, starts, ends)
    )


@dataclass(frozen=True)
class Use:
    """Something that ran: what it is booked under, from when until when, and its price, USD an hour, over that time."""

    app: str
    service: str
    region: str
    purchase: str
    begin: datetime
    end: datetime
    prices: Sequence[tuple[datetime, float]]


def estimated(uses: Iterable[Use], first: datetime, until: datetime) -> dict[tuple[date, str, str, str, str], int]:
    """Units of money (`money`) by day in UTC, app, service, region and purchase option, from ``first`` to ``until``."""
    found: dict[tuple[date, str, str, str, str], int] = {}
    for use in uses:
        begin, end = max(use.begin, first), min(use.end, until)
        while begin < end:
            day = begin.date()
            stop = min(end, datetime.combine(day + timedelta(days=1), time(), begin.tzinfo))
            key = (day, use.app, use.service, use.region, use.purchase)
            found[key] = found.get(key, 0) + round(price_over(use.prices, begin, stop) / HOUR * UNITS)
            begin = stop
    return found
