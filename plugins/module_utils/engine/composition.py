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

from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Prospect

CANDIDATES = 8
"""So many pools, the cheapest with their risk, are looked at besides those that hold something."""
MOST_SPARES = 3


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


def compose(
    prospects: Sequence[Prospect],
    held: Mapping[str, int],
    held_on_demand: int,
    target: int,
    base: int,
    on_demand_price: float,
    risk_price: float,
    entry_price: float,
    together: Callable[[Prospect, Prospect], float],
    most_of_zone: float,
    outage: float = 0.0,
) -> Composition:
    """The best composition for ``target`` units, of which ``base`` On-Demand.

    ``outage``: hours until a lost unit is replaced; ``risk_price``: what one unit lost and not covered costs;
    ``entry_price`` is added to what is not ``held`` yet. No zone gets more than ``most_of_zone`` of the target beyond the
    spares; where the pools do not allow that, On-Demand takes the rest.
    """
    ranked = sorted(
        prospects,
        key=lambda one: (one.pool.price + risk_price * one.hazard + (0 if held.get(one.pool.id) else entry_price)),
    )
    chosen = ranked[:CANDIDATES] + [one for one in ranked[CANDIDATES:] if held.get(one.pool.id)]
    ties = [[together(a, b) + b.hazard * outage for b in chosen] for a in chosen]
    cheapest = min([on_demand_price, *(one.pool.price for one in chosen)])
    built = partial(
        _built,
        chosen,
        ties,
        held,
        held_on_demand,
        target,
        base,
        on_demand_price,
        risk_price,
        entry_price,
        most_of_zone,
    )
    best = built(0)
    for spares in range(1, MOST_SPARES + 1):
        if base * on_demand_price + (target - base + spares) * cheapest >= best.cost:
            break  # the units alone cost as much
        best = min(best, built(spares), key=lambda one: one.cost)
    return best


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
    target: int,
    base: int,
    on_demand_price: float,
    risk_price: float,
    entry_price: float,
    most_of_zone: float,
    spares: int,
) -> Composition:
    """The fleet with ``spares``, built unit by unit."""
    count = len(pools)
    units = [0] * count
    lost_with = [0.0] * count
    on_demand, cost, risk, total = base, base * on_demand_price, 0.0, base
    most = max(1, int(most_of_zone * target + 1e-9)) + spares
    zones: dict[str, int] = {}
    while total < target + spares:
        choice, least, least_risk = -1, on_demand_price + (entry_price if on_demand >= held_on_demand else 0.0), risk
        for index in range(count):
            one = pools[index]
            if zones.get(one.pool.zone, 0) >= most:
                continue
            added = one.pool.price
            if units[index] >= held.get(one.pool.id, 0):
                added += entry_price + (1 - one.open) * entry_price
            if added >= least:
                continue
            after = 0.0
            for other in range(count):
                n = units[other] + (other == index)
                if n:
                    mean = lost_with[other] + (0.0 if other == index else ties[other][index])
                    after += pools[other].hazard * n * (uncovered(spares - n, mean) / (n + mean) if spares else 1.0)
            added += risk_price * (after - risk)
            if added < least:
                choice, least, least_risk = index, added, after
        cost += least
        risk = least_risk
        if choice < 0:
            on_demand += 1
        else:
            units[choice] += 1
            zone = pools[choice].pool.zone
            zones[zone] = zones.get(zone, 0) + 1
            for other in range(count):
                if other != choice:
                    lost_with[other] += ties[other][choice]
        total += 1
    return Composition(
        {pools[index].pool.id: units[index] for index in range(count) if units[index]}, on_demand, spares, cost
    )
