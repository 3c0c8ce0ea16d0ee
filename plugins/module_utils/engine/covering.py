# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic under ``allocation``: cover a number with whole instances at the least cost, under caps.

It is an integer program (a covering knapsack with group caps), solved here by branch and bound in pure Python:

- *Bound*: were instances divisible, and pools and types not limited in number, it would be a flow from zones to
  families through pools; successive shortest paths give its optimum, below which no plan can be. Where the budget
  binds, it is priced in (Lagrangian relaxation): ``cost + m x price - m x budget`` is minimised for the best m.
- *Round*: the whole instances of that flow, filled up with the cheapest that fit, then improved: take one or two
  instances away, find the cheapest way to fill the gap, keep it if it costs less.
- *Branch*: on a pool whose share of the flow is not a whole number, a pool that has to be used or a type too many.

It stops within a thousandth of the bound, or after a fixed effort, counted in steps, so that the answer does not depend
on the machine. ``tests/bench/allocation.py`` measures how far it is from a solver's optimum.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from math import inf

CLOSE_ENOUGH = 1.001
"""Times the bound: from there on, a better plan is not worth the time."""

EFFORT = 60_000
"""Steps to improve the first plan, each about a microsecond; four times as many are spent on finding one."""

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
    return _Search(problem).run()


@dataclass(frozen=True)
class _Node:
    """A part of the problem: how many instances a pool has at least (0) and at most (``problem.most``)."""

    low: Mapping[int, int] = field(default_factory=dict)
    high: Mapping[int, int] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    """Types that may stay when there are too many."""


@dataclass(frozen=True)
class _Flow:
    """A divisible cover: a bound on the cost, the instances (not whole) of each pool, and what one more costs where.

    ``multiplier`` is what a dollar of the budget is worth to it, ``next`` the pool to use where there
    are too few, and ``extra`` what those that are missing add to the bound.
    """

    bound: float
    instances: Mapping[int, float]
    zones: Mapping[str, float]
    families: Mapping[str, float]
    multiplier: float
    next: int | None
    extra: float


def _whole(count: float) -> float:
    """``count``, but exactly whole where only rounding keeps it from that."""
    return round(count) if abs(count - round(count)) < 1e-6 else count


class _Search:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.effort = 4 * EFFORT
        self.zone = problem.zone if problem.zone_cap else [""] * len(problem.zone)
        self.family = problem.family if problem.family_cap else [""] * len(problem.family)
        self.pools: list[int] = []
        self.best: dict[int, int] | None = None
        self.least = inf

    def run(self) -> dict[int, int] | None:
        self.pools = self._shortlist()
        root = self._relax(_Node()) if self._can_carry(_Node()) else None
        if root is None:
            return None
        self._round(_Node(), root)
        self._drop_hopeless(root)
        nodes, deep = [(root.bound, _Node(), root)], False
        while nodes and self.effort > 0:
            # The most promising first; while there is no plan at all, in turn with the deepest.
            deep = self.best is None and not deep
            at = len(nodes) - 1 if deep else min(range(len(nodes)), key=lambda k: nodes[k][0])
            bound, node, flow = nodes.pop(at)
            if bound * CLOSE_ENOUGH >= self.least:
                break  # so are all others: there is a plan, hence this was the lowest bound
            for child in self._branch(node, flow):
                below = self._relax(child) if self._can_carry(child) else None
                if below is not None and below.bound * CLOSE_ENOUGH < self.least:
                    self._round(child, below)
                    nodes.append((below.bound, child, below))
        return self.best

    def _shortlist(self) -> list[int]:
        """The pools that can matter: of each zone and weight the cheapest few, and their types in the other zones.

        Few is what the caps may call for, and some more: a zone's part of the need takes so many pools and families.
        With a budget the cheapest by price are among them too.
        """
        problem, need = self.problem, self.problem.need
        zone_need = min(need, problem.zone_cap or need)
        largest = max((most * weight for most, weight in zip(problem.most, problem.weight)), default=1)
        few = 4 + problem.min_pools - (-zone_need // largest) - (-zone_need // (problem.family_cap or need))
        types: set[str | None] = {problem.base_type}
        for each in (problem.cost, problem.price) if problem.budget is not None else (problem.cost,):
            taken: dict[tuple[str | None, int], int] = defaultdict(int)
            unit = [amount / (weight if weight < need else need) for amount, weight in zip(each, problem.weight)]
            for i in sorted(range(len(each)), key=unit.__getitem__):
                group = (problem.zone[i] if problem.zone_cap else None, min(problem.weight[i], need))
                if taken[group] < few:
                    taken[group] += 1
                    types.add(problem.type[i])
        return [i for i in range(len(problem.cost)) if problem.type[i] in types]

    def _relax(self, node: _Node) -> _Flow | None:
        """The cheapest divisible cover within the node's bounds and the budget; ``None`` where there is none.

        It is a mix of two flows, one within the budget and one over it, that cost the same at the multiplier where the
        bound is highest; each step takes the multiplier at which the two found so far would (Kelley's cutting planes).
        """
        problem = self.problem
        over = self._flow(node, problem.cost, 0.0)
        if over is None or problem.budget is None or self._price(over) <= problem.budget + TINY:
            return over
        under = self._flow(node, problem.price, inf)
        if under is None or under.bound > problem.budget + TINY:
            return None
        found = over
        for _step in range(12):
            (cost, price), (dear, cheap) = self._cost_and_price(over), self._cost_and_price(under)
            if price - cheap < TINY:
                break
            multiplier = (dear - cost) / (price - cheap)
            reckoned = [c + multiplier * p for c, p in zip(problem.cost, problem.price)]
            found = self._flow(node, reckoned, multiplier)
            if found.bound + multiplier * problem.budget > cost + multiplier * price - TINY:
                break
            if self._price(found) > problem.budget:
                over = found
            else:
                under = found
        over_price, under_price = self._price(over), self._price(under)
        part = (problem.budget - under_price) / max(over_price - under_price, TINY)
        mixed = {
            i: _whole((1 - part) * under.instances.get(i, 0) + part * over.instances.get(i, 0))
            for i in sorted(over.instances.keys() | under.instances.keys())
        }
        return replace(found, instances={i: count for i, count in mixed.items() if count})

    def _can_carry(self, node: _Node) -> bool:
        """Whether the ``max_types`` types that can carry the most, within the caps, can carry the need."""
        problem = self.problem
        if len({problem.type[i] for i in self.pools}) <= problem.max_types:
            return True
        families: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
        for i in self.pools:
            room = node.high.get(i, problem.most[i]) * problem.weight[i]
            families[problem.family[i]][problem.type[i]][problem.zone[i]] += room
        more = []  # what each type adds to its family, the largest first
        for types in families.values():
            left = problem.family_cap or inf
            for carried in sorted(
                (sum(min(r, problem.zone_cap or r) for r in z.values()) for z in types.values()), reverse=True
            ):
                more.append(min(carried, left))
                left -= more[-1]
        self.effort -= len(self.pools)
        return sum(sorted(more, reverse=True)[: problem.max_types]) >= problem.need

    def _cost_and_price(self, flow: _Flow) -> tuple[float, float]:
        return sum(self.problem.cost[i] * count for i, count in flow.instances.items()), self._price(flow)

    def _price(self, flow: _Flow) -> float:
        return sum(self.problem.price[i] * count for i, count in flow.instances.items())

    def _flow(self, node: _Node, reckoned: Sequence[float], multiplier: float) -> _Flow | None:
        """The cheapest divisible cover within the node's bounds at the costs ``reckoned``; ``None`` if there is none.

        Successive shortest paths: zone -> family along the cheapest pool with room, family -> zone back along the
        dearest in use. Two things make the bound tighter: an instance larger than what is left counts as what is left,
        and pools that are missing to ``min_pools`` cost at least the least reduced costs.
        """
        problem, weight = self.problem, self.problem.weight
        zone_of, family_of = self.zone, self.family
        left = problem.need
        total = 0.0
        zone_room: dict[str, float] = {zone_of[i]: problem.zone_cap or inf for i in self.pools}
        family_room: dict[str, float] = {family_of[i]: problem.family_cap or inf for i in self.pools}
        for i, count in node.low.items():
            total += count * reckoned[i]
            left -= count * weight[i]
            zone_room[zone_of[i]] -= count * weight[i]
            family_room[family_of[i]] -= count * weight[i]
        banned = any(count > node.high.get(i, count) for i, count in node.low.items())
        if banned or min(zone_room.values(), default=0) < 0 or min(family_room.values(), default=0) < 0:
            return None
        instances: dict[int, float] = dict(node.low)
        size, unit, room, free = {}, {}, {}, []
        for i in self.pools:
            count = node.high.get(i, problem.most[i]) - node.low.get(i, 0)
            if count > 0 and weight[i] <= zone_room[zone_of[i]] and weight[i] <= family_room[family_of[i]]:
                free.append(i)
                if left > 0:
                    size[i] = weight[i] if weight[i] < left else left
                    unit[i] = reckoned[i] / size[i]
                    room[i] = count * size[i]
        cells: dict[str, dict[str, list[int]]] = {zone: {} for zone in zone_room}
        for i in sorted(unit, key=unit.__getitem__):
            cells[zone_of[i]].setdefault(family_of[i], []).append(i)
        self.effort -= 3 * len(self.pools)
        at = {(zone, family): 0 for zone, families in cells.items() for family in families}
        used: dict[str, dict[str, None]] = {family: {} for family in family_room}
        flow: dict[int, int] = dict.fromkeys(unit, 0)
        zones: dict[str, float] = {}
        families: dict[str, float] = {}
        while left > 0:
            zones = {zone: 0.0 for zone, free in zone_room.items() if free}
            families = {}
            came: dict[tuple[bool, str], tuple[str, int]] = {}
            queue = deque((True, zone) for zone in zones)
            while queue:
                is_zone, place = queue.popleft()
                if is_zone:
                    distance = zones[place]
                    self.effort -= len(cells[place])
                    for family, pools in cells[place].items():
                        position = at[place, family]
                        if position < len(pools):
                            reach = distance + unit[pools[position]]
                            if reach < families.get(family, inf) - TINY:
                                families[family] = reach
                                came[False, family] = (place, pools[position])
                                if used[family]:
                                    queue.append((False, family))
                else:
                    distance = families[place]
                    for zone in used[place]:
                        pools, position = cells[zone][place], at[zone, place]
                        if position == len(pools) or not flow[pools[position]]:
                            position -= 1
                        reach = distance - unit[pools[position]]
                        if reach < zones.get(zone, inf) - TINY:
                            zones[zone] = reach
                            came[True, zone] = (place, pools[position])
                            queue.append((True, zone))
            end = min((family for family in families if family_room[family]), key=families.__getitem__, default=None)
            if end is None:
                return None
            path, here = [], (False, end)
            while here in came:
                place, pool = came[here]
                path.append((-1 if here[0] else 1, pool))
                here = (not here[0], place)
            amount = min(left, family_room[end], zone_room[here[1]])
            amount = min(amount, *(room[i] - flow[i] if way > 0 else flow[i] for way, i in path))
            left -= amount
            family_room[end] -= amount
            zone_room[here[1]] -= amount
            for way, i in path:
                flow[i] += way * amount
                total += way * amount * unit[i]
                zone, family = zone_of[i], family_of[i]
                pools = cells[zone][family]
                at[zone, family] = pools.index(i) + (flow[i] == room[i])
                if flow[i] or i != pools[0]:
                    used[family][zone] = None
                else:
                    used[family].pop(zone, None)
        for i, units in flow.items():
            if units:
                instances[i] = instances.get(i, 0) + (units // size[i] if units % size[i] == 0 else units / size[i])

        def dearer(i: int) -> float:  # what an instance of the pool costs more than what it would replace
            zone, family = zones.get(zone_of[i]), families.get(family_of[i])
            if not size:
                return reckoned[i]
            return 0.0 if zone is None or family is None else reckoned[i] - (family - zone) * size[i]

        missing, extra = problem.min_pools - len(instances), []
        if missing > 0:
            free = [i for i in free if i not in instances]
            if len(free) < missing:
                return None
            extra = sorted((max(dearer(i), 0.0), i) for i in free)[:missing]
        more = sum(cost for cost, _pool in extra)
        if multiplier < inf:
            total -= multiplier * (problem.budget or 0.0)
        return _Flow(total + more, instances, zones, families, multiplier, extra[0][1] if extra else None, more)

    def _drop_hopeless(self, root: _Flow) -> None:
        """Leave out the pools of which one instance alone would cost more than the best plan: bound + reduced cost."""
        problem, limit = self.problem, self.least - (root.bound - root.extra)
        kept = []
        for i in self.pools:
            zone, family = root.zones.get(self.zone[i]), root.families.get(self.family[i])
            reckoned = problem.cost[i] + root.multiplier * problem.price[i]
            dearer = reckoned - ((family or 0.0) - (zone or 0.0)) * min(problem.weight[i], problem.need)
            if zone is None or family is None or i in root.instances or i == root.next or dearer < limit:
                kept.append(i)
        self.pools = kept

    def _round(self, node: _Node, flow: _Flow) -> None:
        """Make whole instances of the flow, and keep them if they are the best plan so far."""
        fleet = _Fleet(self)
        types: dict[str, float] = defaultdict(float)
        for i, count in flow.instances.items():
            types[self.problem.type[i]] += count * self.problem.weight[i]
        spared = sorted(types, key=lambda name: (name != self.problem.base_type, name not in node.kept, -types[name]))
        spared = spared[: self.problem.max_types]
        for i, count in sorted(flow.instances.items()):
            if self.problem.type[i] in spared:
                fleet.add_up_to(i, int(count))
        fleet.fill(flow.multiplier)
        if not fleet.complete or fleet.total < 1.1 * self.least:
            fleet.improve(flow.bound, 1 if node.low or node.high else 2)
        if fleet.complete and self.best is None:
            self.effort = EFFORT
            fleet.improve(flow.bound, 2)
        if fleet.complete and fleet.total < self.least - TINY:
            self.best, self.least = dict(fleet.counts), fleet.total

    def _branch(self, node: _Node, flow: _Flow) -> list[_Node]:
        """Two parts of the node, without what is wrong with its flow; none if nothing is."""
        problem = self.problem
        parts = {i: abs(count - round(count)) * problem.weight[i] for i, count in flow.instances.items()}
        i = max(parts, key=parts.__getitem__, default=None)
        if i is not None and parts[i]:
            return self._split(node, i, int(flow.instances[i]) + 1)
        if not self._keeps_the_caps(flow):  # what counted as what was left does not fit with its whole weight
            loose = [i for i, count in flow.instances.items() if count > node.low.get(i, 0)]
            i = max(loose, key=lambda i: (problem.weight[i], -i))
            return self._split(node, i, int(flow.instances[i]))
        if len(flow.instances) < problem.min_pools:
            return [] if flow.next is None or flow.next in flow.instances else self._split(node, flow.next, 1)
        carried: dict[str, float] = defaultdict(float)
        for i, count in flow.instances.items():
            carried[problem.type[i]] += count * problem.weight[i]
        kept = node.kept | ({problem.base_type} - {None})
        if len(carried.keys() | kept) > problem.max_types:
            loose = sorted(carried.keys() - kept, key=lambda name: (carried[name], name))
            if len(kept) >= problem.max_types:
                return [_Node(node.low, {**node.high, **self._none_of(loose)}, node.kept)]
            return [
                _Node(node.low, {**node.high, **self._none_of(loose[:1])}, node.kept),
                _Node(node.low, node.high, node.kept | {loose[0]}),
            ]
        return []

    def _split(self, node: _Node, i: int, count: int) -> list[_Node]:
        """The pool holds ``count`` or more, or fewer."""
        return [
            replace(node, high={**node.high, i: count - 1}),
            replace(node, low={**node.low, i: count}),
        ]

    def _keeps_the_caps(self, flow: _Flow) -> bool:
        problem, zones, families = self.problem, Counter(), Counter()
        for i, count in flow.instances.items():
            zones[problem.zone[i]] += count * problem.weight[i]
            families[problem.family[i]] += count * problem.weight[i]
        return max(zones.values(), default=0) <= (problem.zone_cap or inf) and max(families.values(), default=0) <= (
            problem.family_cap or inf
        )

    def _none_of(self, types: Sequence[str]) -> dict[int, int]:
        return {i: 0 for i in self.pools if self.problem.type[i] in types}


class _Fleet:
    """The whole instances chosen so far, and what room they leave."""

    def __init__(self, search: _Search) -> None:
        problem = search.problem
        self.search, self.problem, self.cost = search, problem, problem.cost
        self.counts: dict[int, int] = {}
        self.left = problem.need
        self.total = 0.0
        self.spent = 0.0
        self.zone_room: dict[str, float] = {problem.zone[i]: problem.zone_cap or inf for i in search.pools}
        self.family_room: dict[str, float] = {problem.family[i]: problem.family_cap or inf for i in search.pools}
        self.types: dict[str, int] = {} if problem.base_type is None else {problem.base_type: 1}
        unit = {i: problem.cost[i] / min(problem.weight[i], problem.need) for i in search.pools}
        self.order = sorted(search.pools, key=lambda i: (unit[i], i))

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
        problem, weight = self.problem, self.problem.weight[i] * count
        before = self.counts.get(i, 0)
        self.left -= weight
        self.total += count * self.cost[i]
        self.spent += count * problem.price[i]
        self.zone_room[problem.zone[i]] -= weight
        self.family_room[problem.family[i]] -= weight
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

    def add_up_to(self, i: int, count: int) -> None:
        """As many of ``count`` instances as fit."""
        problem, weight = self.problem, self.problem.weight[i]
        if not self.fits(i):
            return
        count = min(count, self.zone_room[problem.zone[i]] // weight, self.family_room[problem.family[i]] // weight)
        if problem.budget is not None:
            count = min(count, (problem.budget + TINY - self.spent) // problem.price[i])
        if count >= 1:
            self.add(i, int(count))

    def fill(self, multiplier: float) -> None:
        """Add the cheapest that fit for what is left, then for the pools that are missing."""
        weight, cost, price = self.problem.weight, self.problem.cost, self.problem.price
        while not self.complete:
            self.search.effort -= len(self.order)
            fitting = [i for i in self.order if self.fits(i) and (self.left > 0 or i not in self.counts)]
            if not fitting:
                return
            left = max(self.left, 1)
            self.add(min(fitting, key=lambda i: ((cost[i] + multiplier * price[i]) / min(weight[i], left), i)), 1)

    def improve(self, bound: float, width: int) -> None:
        """Take up to ``width`` instances away and fill again, as long as it lowers the cost or completes the fleet."""
        while self.search.effort > 0 and (not self.complete or self.total > bound * CLOSE_ENOUGH):
            if not any(self._exchange(out) for out in self._removals(width)):
                return

    def _removals(self, width: int) -> Iterator[tuple[int, ...]]:
        used = sorted(self.counts)
        for number in range(1, width + 1):
            for out in combinations_with_replacement(used, number):
                if all(out.count(i) <= self.counts[i] for i in out):
                    yield out

    def _exchange(self, out: tuple[int, ...]) -> bool:
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
        if self.complete:
            return []
        weight, cost, need = self.problem.weight, self.cost, self.problem.need
        candidates = [i for i in self.order if self.fits(i)]
        unit = [cost[i] / min(weight[i], need) for i in candidates]
        self.search.effort -= len(self.order)
        best: list[int] | None = None
        chosen: list[int] = []
        steps = 300

        def descend(start: int, spent: float, depth: int) -> None:
            nonlocal best, limit, steps
            left = self.left
            for position in range(start, len(candidates)):
                if steps < 0 or (left > 0 and spent + left * unit[position] >= limit):
                    return
                steps -= 1
                i = candidates[position]
                total = spent + cost[i]
                covers = weight[i] >= left
                if total >= limit or not (covers or depth > 1) or not self.fits(i):
                    continue
                if covers and len(self.counts) + (i not in self.counts) >= self.problem.min_pools:
                    best, limit = [*chosen, i], total - TINY
                elif depth > 1:
                    self.add(i, 1)
                    chosen.append(i)
                    descend(position, total, depth - 1)
                    chosen.pop()
                    self.add(i, -1)

        descend(0, 0.0, 3)
        self.search.effort -= 300 - steps
        return best
