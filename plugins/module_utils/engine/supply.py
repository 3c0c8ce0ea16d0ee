# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the fleet as it is to the fleet as it is best: what to ask for, and what may go.

Make before break: what the best composition has no place for goes only when what replaces it serves. What is short is
asked for at once, where it most likely is to be had; where that is unsure, other pools and On-Demand are asked as well,
as far as what a refusal would cost outweighs what a needless instance costs until the next step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from ansible_collections.spot.platform.plugins.module_utils.engine.composition import Composition, Terms, compose
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import (
    Memory,
    Pool,
    Prospect,
    learn,
    prospects,
    together,
)

WORTH = {"cost": 3.0, "balanced": 10.0, "availability": 30.0}
"""What a unit short for an hour is worth, in On-Demand hours, by profile."""
ENTRY = 0.03
"""What it counts against a unit, in On-Demand hours, that it must be launched first: fleets do not change for a trifle."""
SURE = 0.1
"""The cost of a refusal, in On-Demand hours an hour, up to which no On-Demand is asked for besides: a tenth of what one
costs, for a refusal delays by a step and may be followed by another."""
PROBED = 0.25
"""What is asked of closed pools in a step while nothing is short, as a share of the target, where a grant is known at once."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a fleet: its pool (``None`` for On-Demand), whether it serves, whether it is to go: ``leaving``, because
    it was told to, or, ``replaced``, by our own wish, so that its pool has not taken it away. ``zone``: where it is, if that matters."""

    id: str
    pool: str | None
    capacity: int
    launched_at: float
    serving: bool
    leaving: bool = False
    replaced: bool = False
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A fleet and its market at ``now`` (seconds since the epoch). ``lost``, ``refused`` and ``warned``: the pools that took
    an instance away, refused one, or have one that AWS recommends to leave, since ``memory`` was made.
    ``target`` and ``base``, its On-Demand part, are in units.
    """

    now: float
    target: int
    base: int
    instances: Sequence[Instance]
    pools: Sequence[Pool]
    memory: Memory
    lost: Sequence[str] = ()
    refused: Sequence[str] = ()
    warned: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stakes:
    """What counts. ``worth``: of a unit short for an hour, in On-Demand hours; ``on_demand_price``: of a unit for an hour;
    ``outage_hours``: until a lost unit is replaced; ``most_of_zone`` and ``most_of_pool``: the part of the target that one
    may hold; ``on_demand_capacity``: units of one On-Demand Instance; ``fallback``: whether On-Demand stands in beyond the
    base. ``answered``: a refusal is known at once, so that nothing needs to be asked for besides."""

    worth: float
    on_demand_price: float
    outage_hours: float
    most_of_zone: float = 1.0
    most_of_pool: float = 1.0
    on_demand_capacity: int = 1
    fallback: bool = True
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step: the moves, the composition they lead to, what each pool promises, and what to remember. ``base``: the units of the
    instances that are On-Demand in any case."""

    moves: Moves
    best: Composition
    prospects: Mapping[str, Prospect]
    memory: Memory
    base: int


@dataclass(frozen=True, slots=True)
class Moves:
    """What to launch, by pool and On-Demand, in units, and whom to end; ``short``: the units that nothing was on its way
    for. What may be refused is asked for twice, so the launches can be more than that."""

    spot: Mapping[str, int]
    on_demand: int
    end: tuple[str, ...]
    short: int


def step(seen: Seen, stakes: Stakes) -> Step:
    """The next step of a fleet. Pure: the same arguments give the same step."""
    alive = [one for one in seen.instances if not one.leaving]
    held = units_of(alive)
    on_demand = held.pop(None, 0)
    holding = held.keys() | {one.pool for one in seen.instances if one.replaced and one.pool}
    memory = learn(seen.memory, seen.now, holding, seen.lost, seen.refused, seen.warned)
    # Most recommendations to leave are followed by no interruption: they are weighed where something is sought, and move nothing.
    base = _of_whole_instances(seen.base, alive, stakes.on_demand_capacity)
    sought = sum(held.values()) + min(on_demand, base) < seen.target
    promised = prospects(seen.pools, memory, seen.now, holding, hinted=sought)
    best = compose(
        [one for one in promised.values() if one.open > 0.5],
        held,
        on_demand,
        Terms(
            target=seen.target,
            base=base,
            on_demand_price=stakes.on_demand_price,
            risk_price=stakes.worth * stakes.on_demand_price * stakes.outage_hours,
            entry_price=ENTRY * stakes.on_demand_price,
            outage=stakes.outage_hours,
            most_of_zone=stakes.most_of_zone,
            most_of_pool=stakes.most_of_pool,
            on_demand_capacity=stakes.on_demand_capacity,
            fallback=stakes.fallback,
        ),
        lambda one, other: together(memory, one.pool, other.pool),
    )
    made = moves(alive, best, promised, seen.target, base, stakes)
    return Step(_without_leaving(seen, made), best, promised, memory, base)


def _without_leaving(seen: Seen, made: Moves) -> Moves:
    """With those that are to go among those to end, once the target is served without them."""
    ending = set(made.end)
    served = sum(
        one.capacity for one in seen.instances if one.serving and not one.leaving and one.id not in ending
    )
    leaving = tuple(one.id for one in seen.instances if one.leaving)
    return replace(made, end=(*made.end, *leaving)) if leaving and served >= seen.target else made


def units_of(instances: Iterable[Instance]) -> Counter[str | None]:
    """Their units by pool, On-Demand under ``None``."""
    found: Counter[str | None] = Counter()
    for one in instances:
        found[one.pool] += one.capacity
    return found


def moves(
    alive: Sequence[Instance],
    best: Composition,
    prospects: Mapping[str, Prospect],
    target: int,
    base: int,
    stakes: Stakes,
) -> Moves:
    """The next moves of those ``alive`` towards ``best``. ``base``: the units of the instances that are On-Demand in any case."""
    held, served = units_of(alive), units_of(one for one in alive if one.serving)
    on_demand, on_demand_served = held.pop(None, 0), served.pop(None, 0)
    asks = {
        pool: _whole(units - held[pool], prospects[pool].pool.capacity)
        for pool, units in best.spot.items()
        if units > held[pool]
    }
    more = max(0, best.on_demand - on_demand)
    short = max(0, target - sum(held.values()) - on_demand)
    unsure = 0 if stakes.answered else _unsure(asks, prospects, short, stakes.worth)
    if unsure:
        more = max(more, unsure if stakes.fallback else 0)
        _hedge(asks, prospects, unsure, stakes.worth * stakes.on_demand_price)
    more = _whole(more, stakes.on_demand_capacity)
    tried = set()
    standing_in = max(_beyond(base, alive), max(best.on_demand, more) - base)
    if standing_in > 0:
        tried = _try_out(asks, held, best, prospects, standing_in, stakes.answered)
    else:
        _look_again(asks, prospects, target * PROBED if stakes.answered else inf)
    return Moves(asks, more, _surplus(alive, best, held, served, on_demand_served, target, tried), short)


def _look_again(asks: dict[str, int], prospects: Mapping[str, Prospect], most: float) -> None:
    """Ask closed pools that are due for one instance each, the best first, for ``most`` units or one instance: what they give is not needed,
    and after a region's drought all of them may give at once. The others are asked at the next steps."""
    asked = 0
    for one in sorted(prospects.values(), key=lambda one: one.hazard):
        if asked >= most:
            break
        if one.probe and one.pool.id not in asks:
            asks[one.pool.id] = one.pool.capacity
            asked += one.pool.capacity


def _of_whole_instances(base: int, alive: Sequence[Instance], capacity: int) -> int:
    """The units of those On-Demand Instances that the base has, and of those of ``capacity`` that it lacks."""
    have = sum(on_demand_of(alive)) - _beyond(base, alive)
    return have + _whole(max(0, base - have), capacity)


def _beyond(base: int, alive: Sequence[Instance]) -> int:
    """The On-Demand units of ``alive`` beyond those instances that the base needs."""
    return beyond_base(base, on_demand_of(alive))


def on_demand_of(instances: Iterable[Instance]) -> list[int]:
    """The capacities of those that are On-Demand, the oldest first."""
    return [one.capacity for one in sorted(instances, key=lambda one: one.launched_at) if one.pool is None]


def beyond_base(base: int, capacities: Iterable[int]) -> int:
    """The units of On-Demand Instances, the oldest first, beyond those that the base needs: they may be larger than it."""
    beyond = 0
    for capacity in capacities:
        beyond += capacity if base <= 0 else 0
        base -= capacity
    return beyond


def _unsure(asks: Mapping[str, int], prospects: Mapping[str, Prospect], short: int, worth: float) -> int:
    """Of the units that are short, those whose pool may refuse them: On-Demand is asked for them as well, unless the pool
    holds instances now, or a refusal is so unlikely that it costs less than the On-Demand until the next step."""
    left, unsure = short, 0
    for pool in sorted(asks, key=lambda one: -prospects[one].open):
        units = min(left, asks[pool])
        left -= units
        if (1 - prospects[pool].open) * worth > SURE:
            unsure += units
    return unsure + left


def _hedge(asks: dict[str, int], prospects: Mapping[str, Prospect], units: int, price: float) -> None:
    """Ask further pools for ``units``, until all refusing is so unlikely that it costs less, at ``price`` for a unit short
    for an hour, than one more."""
    refusal = 1.0
    for pool in asks:
        refusal *= 1 - prospects[pool].open
    others = (one for one in prospects.values() if one.pool.id not in asks)
    for one in sorted(others, key=lambda one: (-one.open, one.hazard)):
        if refusal * price < one.pool.price:
            break
        asks[one.pool.id] = _whole(units, one.pool.capacity)
        refusal *= 1 - one.open


def _whole(units: int, capacity: int) -> int:
    """``units`` in whole instances of ``capacity``."""
    return -(-units // capacity) * capacity


def _try_out(
    asks: dict[str, int],
    held: Mapping[str, int],
    best: Composition,
    prospects: Mapping[str, Prospect],
    units: int,
    answered: bool,
) -> set[str]:
    """While On-Demand stands in for ``units``, hold one instance in each of the best pools that are too young to be relied
    on, for so many units, so that they grow old, and ask those that are closed: a refusal costs nothing. Where it is known at once, no more
    is asked for than On-Demand stands in for; the next ones are asked when these have refused. Returns the pools that
    are held for that."""
    tried: set[str] = set()
    kept = asked = 0
    young = [one for one in prospects.values() if not best.spot.get(one.pool.id)]
    for one in sorted(young, key=lambda one: (not held.get(one.pool.id), one.hazard)):
        if kept >= units:
            break
        if held.get(one.pool.id):
            tried.add(one.pool.id)
            kept += one.pool.capacity
        elif one.pool.id not in asks and (one.probe or not one.closed):
            if answered and asked >= units:
                continue
            asks[one.pool.id] = one.pool.capacity
            asked += one.pool.capacity
            if one.open > 0.5:
                tried.add(one.pool.id)
                kept += one.pool.capacity
    return tried


def _surplus(
    alive: Sequence[Instance],
    best: Composition,
    held: Mapping[str, int],
    served: Mapping[str, int],
    on_demand_served: int,
    target: int,
    tried: set[str],
) -> tuple[str, ...]:
    """Whom to end: what has no place in ``best`` and is not needed until what has one serves."""
    room = dict(best.spot)
    for pool in tried:
        room[pool] = max(room.get(pool, 0), 1)
    on_demand_room = best.on_demand
    spare: list[Instance] = []
    # Those that serve longest keep the places.
    for one in sorted(alive, key=lambda one: (not one.serving, one.launched_at)):
        if one.pool is None:
            if on_demand_room > 0:
                on_demand_room -= one.capacity
            else:
                spare.append(one)
        elif room.get(one.pool, 0) > 0:
            room[one.pool] -= one.capacity
        else:
            spare.append(one)
    if not spare:
        return ()
    settled = sum(min(served.get(pool, 0), units) for pool, units in best.spot.items())
    settled += min(on_demand_served, best.on_demand)
    needed = max(0, target - settled)
    end = set()
    # Spot that serves is the cheapest to wait with.
    for one in sorted(spare, key=lambda one: (one.pool is None, one.launched_at)):
        if one.serving and needed > 0:
            needed -= one.capacity
        elif one.serving:
            end.add(one.id)
    # What does not serve yet goes where those before it are enough; at the same age, those that have a place come first.
    waiting = {one.id for one in spare if not one.serving}
    before = 0
    for one in sorted(alive, key=lambda one: (one.launched_at, one.id in waiting, one.id)):
        if one.id in waiting and before >= target:
            end.add(one.id)
        elif one.pool not in tried and one.id not in end:
            before += one.capacity
    spare.sort(key=lambda one: (not one.serving, one.pool is None, one.launched_at))
    return tuple(one.id for one in spare if one.id in end)
