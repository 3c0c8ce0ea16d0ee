# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance hours to dollars, and what the same capacity would have cost On-Demand.

Money is in whole micro-dollars, so that a sum is exactly the sum of its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS
from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import Stay

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
class Cost:
    """The cost of a group from ``since`` to ``until`` in micro-dollars; ``unpriced`` are types left out of both sums.

    ``fallback_share``: the part of the instances' time, weighted by capacity, that was On-Demand above the base.
    """

    since: datetime
    until: datetime
    parts: tuple[Part, ...]
    fallback_share: float
    unpriced: tuple[str, ...] = ()

    @property
    def spent(self) -> int:
        """What was paid, in micro-dollars."""
        return sum(part.spent for part in self.parts)

    @property
    def all_on_demand(self) -> int:
        """What the same capacity would have cost On-Demand, in micro-dollars."""
        return sum(part.all_on_demand for part in self.parts)

    @property
    def savings_percent(self) -> float | None:
        """The share of the On-Demand cost that was saved, to one place; ``None`` when there is nothing to compare."""
        return round(100.0 * (1 - self.spent / self.all_on_demand), 1) if self.all_on_demand else None


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
) -> Cost:
    """The cost of ``stays`` from ``since`` to ``until``, each from its launch to its end.

    The comparison is cautious: it is the same instance types at their On-Demand price, but of the time in which more
    than ``target`` ran (a replacement that overlaps with what it replaces) only the target's share counts, since who
    runs On-Demand throughout replaces nothing.
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

    needed = dict.fromkeys((stay.id for stay, _begin, _end in billed), 0.0)  # seconds, without the overlap
    ran = stood_in = 0.0
    edges = sorted({moment for _stay, begin, end in billed for moment in (begin, end)})
    for start, stop in zip(edges, edges[1:]):
        span = (stop - start).total_seconds()
        running = [stay for stay, begin, end in billed if begin <= start and stop <= end]
        capacity = sum(stay.capacity for stay in running)
        on_demand = sum(stay.capacity for stay in running if stay.lifecycle == "on_demand")
        for stay in running:
            needed[stay.id] += span * min(1.0, target / capacity)
        ran += capacity * span
        stood_in += max(0, on_demand - on_demand_base) * span

    parts = []
    for stay, begin, end in billed:
        price = on_demand_prices[stay.instance_type]
        if stay.lifecycle == "spot":
            spent = price_over(spot_prices[stay.zone, stay.instance_type], begin, end)
        else:
            spent = price * (end - begin).total_seconds()
        instead = price * needed[stay.id]
        parts.append(Part(stay.id, stay.lifecycle, round(spent * MICRO / HOUR), round(instead * MICRO / HOUR)))
    return Cost(since, until, tuple(parts), round(stood_in / ran, 4) if ran else 0.0, tuple(sorted(unpriced)))


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
