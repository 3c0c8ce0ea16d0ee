# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic under ``allocation``: cover a number with whole instances at the least cost, under caps.

It is an integer program (a covering knapsack with group caps), solved here without a solver in three steps:

1. *Relax*: were instances divisible, and without the limits on the number of pools and types, it would be a flow from
   zones to families through pools, and successive shortest paths give its optimum, which is also a lower bound.
2. *Round*: keep the whole instances of that flow and fill up with the cheapest that fit.
3. *Improve*: take one or two instances away (or all of a type), look for the cheapest way to fill the gap by branch and
   bound, and keep it if it costs less; stop at a thousandth above the lower bound or when nothing helps.

``tests/bench/allocation.py`` measures the result against a solver's optimum.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import inf

CLOSE_ENOUGH = 1.001
"""Times the lower bound: from there on, improving is not worth the time."""

TINY = 1e-9


@dataclass(frozen=True)
class Problem:
    """Pools by index: the weight, cost and price of one instance, its zone, family and type, and how many it may hold.

    ``cost`` is what is minimised, ``price`` what counts for ``budget``. A zone may hold ``zone_cap`` in weight, a
    family ``family_cap`` (``None``: no cap). ``base_type`` is a type in use already (``None``: none).
    """

    need: int
    weight: Sequence[int]
    cost: Sequence[float]
    price: Sequence[float]
    zone: Sequence[str]
    family: Sequence[str]
    type: Sequence[str]
    most: Sequence[int]
    zone_cap: int | None = None
    family_cap: int | None = None
    min_pools: int = 1
    max_types: int = 40
    base_type: str | None = None
    budget: float | None = None


def solve(problem: Problem) -> dict[int, int] | None:
    """Instances by pool, or ``None`` where no way to keep all limits was found. Deterministic."""
    if problem.need <= 0:
        return {}
    best = _solve(problem, problem.cost)
    if problem.budget is None or best is None or _total(problem.price, best) <= problem.budget + TINY:
        return best
    # Over budget: make the price count for more and more until it fits, then see how little more is enough.
    cheapest = _solve(problem, problem.price)
    if cheapest is None or _total(problem.price, cheapest) > problem.budget + TINY:
        return None
    best, low, high = cheapest, 0.0, 1.0
    for _step in range(7):
        middle = (low + high) / 2
        blend = [(1 - middle) * c + middle * p for c, p in zip(problem.cost, problem.price)]
        found = _solve(problem, blend)
        if found is not None and _total(problem.price, found) <= problem.budget + TINY:
            high = middle
            best = min(best, found, key=lambda counts: _total(problem.cost, counts))
        else:
            low = middle
    fleet = _Fleet(problem, problem.cost, _order(problem, problem.cost))
    for pool, count in best.items():
        fleet.add(pool, count)
    fleet.improve(0.0)
    return dict(fleet.counts)


def _total(each: Sequence[float], counts: dict[int, int]) -> float:
    return sum(each[pool] * count for pool, count in counts.items())


def _order(problem: Problem, cost: Sequence[float]) -> list[int]:
    """The pools by cost per unit of the need, cheapest first."""
    need = problem.need
    return sorted(range(len(cost)), key=lambda i: (cost[i] / min(problem.weight[i], need), i))


def _solve(problem: Problem, cost: Sequence[float]) -> dict[int, int] | None:
    """``solve`` for ``cost`` without the budget."""
    order = _shortlist(problem, _order(problem, cost))
    flow, bound = _relax(problem, cost, order)
    if flow is None:
        return None
    flow = _fewer_types(problem, cost, flow)
    fleet = _Fleet(replace(problem, budget=None), cost, order)
    for pool, units in sorted(flow.items()):
        if units >= problem.weight[pool]:
            fleet.add(pool, units // problem.weight[pool])
    fleet.fill()
    fleet.improve(bound)
    return dict(fleet.counts) if fleet.complete else None


def _shortlist(problem: Problem, order: list[int]) -> list[int]:
    """The pools that can matter: of each zone and weight the cheapest few, and their types in the other zones.

    Few is what the caps may call for, and some more: a zone's share of the need takes so many pools and families.
    """
    need = problem.need
    zone_need = min(need, problem.zone_cap or need)
    few = 4 + problem.min_pools
    if problem.family_cap:
        few += -(-zone_need // problem.family_cap)
    if order:
        largest = max(problem.most[i] * problem.weight[i] for i in order)
        few += -(-zone_need // max(largest, 1))
    taken: dict[tuple[str, int], int] = defaultdict(int)
    types = {problem.base_type}
    for i in order:
        group = (problem.zone[i], min(problem.weight[i], need))
        if taken[group] < few:
            taken[group] += 1
            types.add(problem.type[i])
    return [i for i in order if problem.type[i] in types]


def _relax(problem: Problem, cost: Sequence[float], order: list[int]) -> tuple[dict[int, int] | None, float]:
    """The cheapest divisible cover from the pools in ``order``: units by pool, and its cost; ``None`` if there is none.

    Successive shortest paths: zone -> family along the next pool with room, family -> zone back along the last used.
    """
    need, weight = problem.need, problem.weight
    unit = {i: cost[i] / min(weight[i], need) for i in order}
    room = {i: problem.most[i] * weight[i] for i in order}
    cells: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i in order:
        cells[problem.zone[i]][problem.family[i] if problem.family_cap else ""].append(i)
    at = {(zone, family): 0 for zone, families in cells.items() for family in families}
    used: dict[str, set[str]] = defaultdict(set)  # the zones that a family has units in
    zone_room = dict.fromkeys(cells, problem.zone_cap or need)
    family_room = dict.fromkeys({family for _zone, family in at}, problem.family_cap or need)
    flow: dict[int, int] = defaultdict(int)
    left, total = need, 0.0
    while left:
        zones = {zone: 0.0 for zone, free in zone_room.items() if free}
        families: dict[str, float] = {}
        came: dict[tuple[str, str], tuple[str, int]] = {}
        queue = deque(("zone", zone) for zone in zones)
        while queue:
            kind, node = queue.popleft()
            if kind == "zone":
                distance = zones[node]
                for family, pools in cells[node].items():
                    position = at[node, family]
                    if position < len(pools):
                        reach = distance + unit[pools[position]]
                        if reach < families.get(family, inf) - TINY:
                            families[family] = reach
                            came["family", family] = (node, pools[position])
                            if used[family]:
                                queue.append(("family", family))
            else:
                distance = families[node]
                for zone in sorted(used[node]):
                    pools, position = cells[zone][node], at[zone, node]
                    last = pools[position] if position < len(pools) and flow[pools[position]] else pools[position - 1]
                    reach = distance - unit[last]
                    if reach < zones.get(zone, inf) - TINY:
                        zones[zone] = reach
                        came["zone", zone] = (node, last)
                        queue.append(("zone", zone))
        ends = [family for family in families if family_room[family]]
        if not ends:
            return None, inf
        end = min(ends, key=lambda family: (families[family], family))
        path, node = [], ("family", end)
        while node in came:
            before, pool = came[node]
            path.append((node[0], pool))
            node = ("zone" if node[0] == "family" else "family", before)
        amount = min(left, family_room[end], zone_room[node[1]])
        for kind, pool in path:
            amount = min(amount, room[pool] - flow[pool] if kind == "family" else flow[pool])
        left -= amount
        family_room[end] -= amount
        zone_room[node[1]] -= amount
        for kind, pool in path:
            step = amount if kind == "family" else -amount
            flow[pool] += step
            total += step * unit[pool]
            zone, family = problem.zone[pool], problem.family[pool] if problem.family_cap else ""
            pools = cells[zone][family]
            at[zone, family] = pools.index(pool) + (flow[pool] == room[pool])
            if flow[pool] or pool != pools[0]:
                used[family].add(zone)
            else:
                used[family].discard(zone)
    return {pool: units for pool, units in flow.items() if units}, total


def _fewer_types(problem: Problem, cost: Sequence[float], flow: dict[int, int]) -> dict[int, int]:
    """``flow`` from no more than ``max_types`` types: as long as there are too many, do without the least used."""
    while True:
        carried: dict[str, int] = defaultdict(int)
        for pool, units in flow.items():
            carried[problem.type[pool]] += units
        if len(carried.keys() | ({problem.base_type} - {None})) <= problem.max_types:
            return flow
        order = _order(problem, cost)
        for least in sorted(carried.keys() - {problem.base_type}, key=lambda name: (carried[name], name)):
            kept = carried.keys() - {least} | {problem.base_type}
            fewer, _bound = _relax(problem, cost, [i for i in order if problem.type[i] in kept])
            if fewer is not None:
                flow = fewer
                break
        else:
            kept = sorted(carried, key=lambda name: (-carried[name], name))[: problem.max_types]
            return {pool: units for pool, units in flow.items() if problem.type[pool] in kept}


class _Fleet:
    """The whole instances chosen so far, and what room they leave."""

    def __init__(self, problem: Problem, cost: Sequence[float], order: list[int]) -> None:
        self.problem, self.cost, self.order = problem, cost, order
        self.counts: dict[int, int] = {}
        self.left = problem.need
        self.spent = 0.0
        self.zone_room: dict[str, float] = dict.fromkeys(problem.zone, problem.zone_cap or inf)
        self.family_room: dict[str, float] = dict.fromkeys(problem.family, problem.family_cap or inf)
        self.types: dict[str, int] = {} if problem.base_type is None else {problem.base_type: 1}

    @property
    def total(self) -> float:
        return _total(self.cost, self.counts)

    @property
    def complete(self) -> bool:
        return self.left <= 0 and len(self.counts) >= self.problem.min_pools

    def fits(self, i: int) -> bool:
        """Whether one more instance of the pool keeps the caps."""
        problem, weight = self.problem, self.problem.weight[i]
        return (
            weight <= self.zone_room[problem.zone[i]]
            and weight <= self.family_room[problem.family[i]]
            and self.counts.get(i, 0) < problem.most[i]
            and (problem.type[i] in self.types or len(self.types) < problem.max_types)
            and (problem.budget is None or self.spent + problem.price[i] <= problem.budget + TINY)
        )

    def add(self, i: int, count: int) -> None:
        """``count`` instances more in the pool, or fewer if negative."""
        problem, weight = self.problem, self.problem.weight[i]
        before = self.counts.get(i, 0)
        self.left -= count * weight
        self.spent += count * problem.price[i]
        self.zone_room[problem.zone[i]] -= count * weight
        self.family_room[problem.family[i]] -= count * weight
        if before + count:
            self.counts[i] = before + count
        else:
            del self.counts[i]
        step = (before + count > 0) - (before > 0)
        if step:
            name = problem.type[i]
            self.types[name] = self.types.get(name, 0) + step
            if not self.types[name]:
                del self.types[name]

    def fill(self) -> None:
        """Add the cheapest that fit for what is left, then for the pools that are missing."""
        weight, cost = self.problem.weight, self.cost
        while self.left > 0:
            fitting = [i for i in self.order if self.fits(i)]
            if not fitting:
                return
            i = min(fitting, key=lambda i: (cost[i] / min(weight[i], self.left), i))
            self.add(i, 1)
        while len(self.counts) < self.problem.min_pools:
            fitting = [i for i in self.order if i not in self.counts and self.fits(i)]
            if not fitting:
                return
            self.add(min(fitting, key=lambda i: (cost[i], i)), 1)

    def improve(self, bound: float) -> None:
        """Take away and fill again, for as long as it lowers the cost (or completes what is not complete)."""
        while not self.complete or self.total > bound * CLOSE_ENOUGH:
            if not any(self._exchange(out) for out in self._removals()):
                return

    def _removals(self) -> Iterator[list[int]]:
        used = sorted(self.counts)
        yield from ([i] for i in used)
        for i, j in combinations_with_replacement(used, 2):
            if i != j or self.counts[i] > 1:
                yield [i, j]

    def _exchange(self, out: list[int]) -> bool:
        """Replace the instances ``out`` by cheaper ones; false and unchanged if there are none."""
        limit = sum(self.cost[i] for i in out) - TINY if self.complete else inf
        for i in out:
            self.add(i, -1)
        found = self._cheapest_fill(limit)
        for i in out if found is None else found:
            self.add(i, 1)
        return found is not None

    def _cheapest_fill(self, limit: float) -> list[int] | None:
        """Up to three instances that complete the fleet for less than ``limit``, by branch and bound."""
        weight, cost, need = self.problem.weight, self.cost, self.problem.need
        candidates = [i for i in self.order if self.fits(i)]
        unit = [cost[i] / min(weight[i], need) for i in candidates]
        best: list[int] | None = [] if self.complete and limit > 0 else None
        if best is not None:
            return best
        chosen: list[int] = []
        steps = 2000

        def descend(start: int, spent: float, depth: int) -> None:
            nonlocal best, limit, steps
            for position in range(start, len(candidates)):
                left = self.left
                if left > 0 and spent + left * unit[position] >= limit:
                    return
                steps -= 1
                if steps < 0:
                    return
                i = candidates[position]
                total = spent + cost[i]
                if total >= limit or (depth == 1 and weight[i] < left) or not self.fits(i):
                    continue
                self.add(i, 1)
                chosen.append(i)
                if self.complete:
                    best, limit = list(chosen), total - TINY
                elif depth > 1:
                    descend(position, total, depth - 1)
                chosen.pop()
                self.add(i, -1)

        descend(0, 0.0, 3)
        return best
