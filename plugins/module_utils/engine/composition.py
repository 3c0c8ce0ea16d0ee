# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet is best made of: Spot by pool, spares, and On-Demand.

A fleet of ``n[z]`` units of Spot in pool *z* and *m* On-Demand costs, an hour,

    sum(n[z] * price[z]) + m * on_demand_price + worth * outage * shortage

where ``worth`` is what a unit short for an hour is worth, ``outage`` the hours until a lost unit is replaced, and

    shortage = sum(hazard[z] * n[z] / (n[z] + mean[z]) * uncovered(spares - n[z], mean[z]))

is how many units an hour are lost and not covered. When pool *z* goes, ``n[z]`` units go, and ``mean[z]`` others on
average: those of pools that go at the same moment, and those lost before the first are replaced, ``sum(n[y] *
(together[z, y] + hazard[y] * outage))``, taken for Poisson. The ``spares``, what the fleet has above its target, cover
the first of them; the fraction keeps a loss of several pools from being counted once for each. `compose` builds, for each
number of spares, the fleet unit by unit at the least added cost, and takes the best; without spares that is the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd

from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Prospect

CANDIDATES = 8
"""So many pools, the cheapest with their risk, are looked at besides those that hold something, and those without which
the parts that a zone and a pool may hold leave no room for the target."""
MOST_SPARES = 3
STEPS = 24
"""A fleet is built in about so many steps at most."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Units by pool, On-Demand units, spares, and what it costs an hour with its risk."""

    spot: Mapping[str, int]
    on_demand: int
    spares: int
    cost: float

    @property
    def total(self) -> int:
        """All units."""
        return sum(self.spot.values()) + self.on_demand


@dataclass(frozen=True, slots=True)
class Terms:
    """What a fleet is composed by. Prices are of a unit for an hour.

    ``base``: units that are On-Demand in any case; ``fallback``: whether more may be. ``on_demand_capacity``: the units of
    one On-Demand Instance. ``risk_price``: what one unit lost and not covered costs; ``entry_price`` is added to what is
    not held yet. ``outage``: hours until a lost unit is replaced. No zone and no pool gets more than its ``most_of`` of the
    target beyond the spares; where the pools do not allow that, On-Demand takes the rest.
    """

    target: int
    base: int
    on_demand_price: float
    risk_price: float
    entry_price: float
    outage: float = 0.0
    most_of_zone: float = 1.0
    most_of_pool: float = 1.0
    on_demand_capacity: int = 1
    fallback: bool = True


def compose(
    prospects: Sequence[Prospect],
    held: Mapping[str, int],
    held_on_demand: int,
    terms: Terms,
    together: Callable[[Prospect, Prospect], float],
) -> Composition:
    """The best composition. Instances come whole, so it may have some units more than the target and the spares."""
    ranked = sorted(
        prospects,
        key=lambda one: (
            one.pool.price + terms.risk_price * one.hazard + (0 if held.get(one.pool.id) else terms.entry_price)
        ),
    )
    chosen = _candidates(ranked, held, terms)
    ties = [[together(a, b) + b.hazard * terms.outage for b in chosen] for a in chosen]
    cheapest = min([terms.on_demand_price, *(one.pool.price for one in chosen)])
    # Losses are counted in the largest part that all instances are made of.
    part = gcd(terms.on_demand_capacity, *(one.pool.capacity for one in chosen))
    smallest = min((one.pool.capacity for one in chosen), default=terms.on_demand_capacity)
    built = partial(_built, chosen, ties, held, held_on_demand, terms, part)
    best = built(0)
    for number in range(1, MOST_SPARES + 1):
        spares = number * smallest
        if terms.base * terms.on_demand_price + (terms.target - terms.base + spares) * cheapest >= best.cost:
            break  # the units alone cost as much
        best = min(best, built(spares), key=lambda one: one.cost)
    return best


def _candidates(ranked: Sequence[Prospect], held: Mapping[str, int], terms: Terms) -> list[Prospect]:
    """The pools to look at, of those ``ranked`` from the best on."""
    chosen: list[Prospect] = []
    filled: dict[str, int] = {}
    per_zone, per_pool = _most(terms.most_of_zone, terms), _most(terms.most_of_pool, terms)
    missing = terms.target - terms.base
    for number, one in enumerate(ranked):
        room = 0
        if missing > 0 and not one.full:
            room = _room(one.pool.capacity, per_zone, filled.get(one.pool.zone, 0), per_pool, 0)
        if number < CANDIDATES or held.get(one.pool.id) or room > 0:
            chosen.append(one)
            filled[one.pool.zone] = filled.get(one.pool.zone, 0) + room
            missing -= room
    return chosen


def _most(share: float, terms: Terms) -> int:
    """The units of the target that something may hold."""
    return max(1, int(share * terms.target + 1e-9))


def _room(capacity: int, per_zone: int, in_zone: int, per_pool: int, in_pool: int) -> int:
    """The units, in whole instances, that a pool may still get; the first instance of a zone or pool is always allowed:
    less than one cannot be had."""
    room = min(
        per_zone - in_zone if in_zone else max(per_zone, capacity),
        per_pool - in_pool if in_pool else max(per_pool, capacity),
    )
    return max(0, room // capacity * capacity)


def uncovered(spares: int, mean: float) -> float:
    """The units lost beyond ``spares`` on average, where Poisson many with ``mean`` are lost; spares may be negative."""
    if spares <= 0:
        return mean - spares
    term = math.exp(-mean)
    missing = spares * term
    for count in range(1, spares):
        term *= mean / count
        missing += (spares - count) * term
    return mean - spares + missing


def _built(
    pools: Sequence[Prospect],
    ties: Sequence[Sequence[float]],
    held: Mapping[str, int],
    held_on_demand: int,
    terms: Terms,
    part: int,
    spares: int,
) -> Composition:
    """The fleet with ``spares`` units, built step by step; a large one in larger steps."""
    count = len(pools)
    grain = terms.target // STEPS
    sizes = [one.pool.capacity * max(1, grain // one.pool.capacity) for one in pools]
    on_demand_size = terms.on_demand_capacity * max(1, grain // terms.on_demand_capacity)
    units = [0] * count
    lost_with = [0.0] * count
    on_demand, cost, risk, total = terms.base, terms.base * terms.on_demand_price, 0.0, terms.base
    wanted, covered = terms.target + spares, spares // part
    per_zone, per_pool = _most(terms.most_of_zone, terms) + spares, _most(terms.most_of_pool, terms) + spares
    zones: dict[str, int] = {}
    some: list[int] = []  # the pools that have any, in the order of their first unit
    while total < wanted:
        left = wanted - total
        choice, least, added, risk_after, chosen = -1, float("inf"), 0.0, risk, 0
        if terms.fallback:
            entry = terms.entry_price if on_demand >= held_on_demand else 0.0
            added = on_demand_size * (terms.on_demand_price + entry)
            least = added / min(left, on_demand_size)
        elif not count:
            break
        for index in range(count):
            one, size = pools[index], sizes[index]
            zone = one.pool.zone
            if one.full:
                size = min(size, held.get(one.pool.id, 0) - units[index])
                if size <= 0:
                    continue
            in_zone = zones.get(zone, 0)
            if in_zone + size > per_zone or units[index] + size > per_pool:
                size = min(size, _room(one.pool.capacity, per_zone, in_zone, per_pool, units[index]))
                if size <= 0:
                    continue
            price = one.pool.price
            if units[index] >= held.get(one.pool.id, 0):
                price += terms.entry_price + (1 - one.open) * terms.entry_price
            useful = min(left, size)
            if price * size / useful >= least:
                continue
            n = size // part
            if spares:
                n += units[index] // part
                mean = lost_with[index]
                after = one.hazard * n * uncovered(covered - n, mean) / (n + mean)
                for other in some:
                    if other != index:
                        n = units[other] // part
                        mean = lost_with[other] + ties[other][index] * size / part
                        after += pools[other].hazard * n * uncovered(covered - n, mean) / (n + mean)
            else:
                after = risk + one.hazard * n
            more = size * price + terms.risk_price * part * (after - risk)
            if more / useful < least:
                choice, least, added, risk_after, chosen = index, more / useful, more, after, size
        if choice < 0 and not terms.fallback:
            break
        cost += added
        risk = risk_after
        if choice < 0:
            on_demand += on_demand_size
            total += on_demand_size
            continue
        size, zone = chosen, pools[choice].pool.zone
        if not units[choice]:
            some.append(choice)
        units[choice] += size
        total += size
        zones[zone] = zones.get(zone, 0) + size
        for other in range(count):
            if other != choice:
                lost_with[other] += ties[other][choice] * size / part
    return Composition(
        {pools[index].pool.id: units[index] for index in range(count) if units[index]}, on_demand, spares, cost
    )
