# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of the autoscaler: how much capacity, of what, what may go, and why.

`decide` is one pure function of what was observed and what the owner wants. The demand (`demand.decide`) says how much;
the supply (`supply.step`) of what: Spot by the hazard of its pools, spares, On-Demand, make before break. The module
spot_autoscale acts on it, and the backtest plays recorded markets to it. What must be remembered is in the observation.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.spot.platform.plugins.module_utils.engine import demand, homes, placement, regions, risk, supply
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling

PROFILES = tuple(supply.WORTH)
BALANCED = "balanced"
ASK_AGAIN = 60
"""Seconds to the next step where nothing is due before."""
ASK_SOON = 20
"""Where something was asked for, or is on its way: an instance runs, is registered and is told healthy in about that time."""
TOLD = 5
"""So many pools are named in a reason."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An application's fleet in a region, and its market, at ``now`` (seconds since the epoch). Capacities are in units.

    ``target``: the one in force; ``since_change``: seconds since it was set, ``None`` where it was long ago.
    ``instances`` and ``pools``: those of the fleet. ``lost``, ``refused`` and ``warned``: the pools that took an instance
    away (or told one to go), refused one, or have one that AWS recommends to leave, since ``memory`` was made.
    ``on_demand_price``: of a unit for an hour, in the unit of the pools' prices; ``on_demand_capacity``: the units of one
    On-Demand Instance. ``paid``: the units of On-Demand that reservations and plans pay for already.
    ``lent``: the units of the target that are carried for other regions. ``share``: the region's part of an application
    whose regions help each other, the target to set in place of its own demand. ``homes``: the zones of its data volumes, where it is
    stateful.
    """

    now: float
    target: int
    instances: Sequence[supply.Instance]
    pools: Sequence[risk.Pool]
    memory: risk.Memory
    on_demand_price: float
    on_demand_capacity: int = 1
    lost: Sequence[str] = ()
    refused: Sequence[str] = ()
    warned: Sequence[str] = ()
    since_change: float | None = None
    paid: int = 0
    lent: int = 0
    share: regions.Share | None = None
    homes: homes.Homes | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner wants.

    ``profile`` names the worth of a unit short for an hour (`supply.WORTH`). ``fallback``: whether On-Demand stands in
    beyond ``on_demand_base``. ``most_of_zone`` and ``most_of_pool``: the part of the target that one may hold.
    ``outage_hours``: until a lost unit is replaced. ``answered``: whether a refusal is known at once. ``fleet``: whether
    it is a fleet, which chooses its pools itself.
    """

    scaling: Scaling
    on_demand_base: int = 0
    profile: str = BALANCED
    fallback: bool = True
    most_of_zone: float = 1.0
    most_of_pool: float = 1.0
    outage_hours: float = 180 / risk.HOUR
    answered: bool = True
    fleet: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next, and why.

    ``kind``: ``fallback`` (On-Demand is sent for), ``returned`` (it is given back), ``scaled`` (the target changes),
    ``moved`` (other Spot for the same target), ``waiting`` (less serves than is wanted, and nothing more can be done) or
    ``steady``. ``serving``: the units that serve now; ``expected``: those that will when all that is asked for has come;
    ``short``: those that nothing is on its way for. ``on_demand``: the On-Demand units that there will be, those that stay
    until they are replaced included; ``fallback``: those that stand in for Spot. ``lent``: the units of the target that are carried
    for other regions. Costs are for an hour: of the best fleet, with the risk of its pools, and of the target On-Demand.
    ``lost`` and ``refused``: the pools of the observation. ``rooms``: where On-Demand may be launched, anywhere if ``None``.
    """

    kind: str
    target: int
    demand: demand.Demand
    moves: supply.Moves
    best: supply.Composition
    prospects: Mapping[str, risk.Prospect]
    memory: risk.Memory
    on_demand: int
    fallback: int
    serving: int
    expected: int
    short: int
    cost: float
    on_demand_cost: float
    reasons: tuple[str, ...]
    ask_again_seconds: int
    lent: int = 0
    lost: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    rooms: homes.Rooms | None = None

    @property
    def acts(self) -> bool:
        """Whether instances are asked for or ended."""
        return bool(self.moves.spot or self.moves.on_demand or self.moves.end)


def decide(observation: Observation, policy: Policy) -> Decision:
    """The next step. Pure: the same arguments give the same decision."""
    seen = observation
    asked = asked_of(seen, policy)
    if seen.share is None:
        target = min(asked.target + seen.lent, max(policy.scaling.max, asked.target))
        lent = target - asked.target
    else:
        target, lent = seen.share.target, seen.share.lent
    # What is paid for already costs nothing more, and no risk: it is the base.
    base = min(target, max(policy.on_demand_base, seen.paid))
    pools, rooms = seen.pools, None
    if seen.homes is not None:
        pools = homes.open_pools(seen.pools, seen.instances, homes.rooms_of(seen.homes, seen.instances, target))
    taken = supply.step(
        supply.Seen(seen.now, target, base, seen.instances, pools, seen.memory, seen.lost, seen.refused, seen.warned),
        supply.Stakes(
            supply.WORTH[policy.profile],
            seen.on_demand_price,
            policy.outage_hours,
            policy.most_of_zone,
            policy.most_of_pool,
            seen.on_demand_capacity,
            policy.fallback,
            policy.answered,
        ),
    )
    if policy.fleet:
        moves = placement.of_fleet(seen.instances, taken, target, supply.WORTH[policy.profile])
        taken = replace(taken, moves=moves)
    if seen.homes is not None:
        moves, rooms = homes.fitting(taken.moves, taken.prospects, seen.instances, seen.homes, target)
        taken = replace(taken, moves=moves)
    return _told(seen, policy, asked, target, lent, base, taken, rooms)


def asked_of(seen: Observation, policy: Policy) -> demand.Demand:
    """What the region's own demand asks for."""
    own = max(0, seen.target - seen.lent)
    return demand.decide(policy.scaling, own, seen.now, price_of(seen), seen.since_change)


def price_of(seen: Observation) -> float:
    """What a unit of the fleet costs an hour on the mean: the budget buys by it."""
    prices = {pool.id: pool.price for pool in seen.pools}
    held = supply.units_of(one for one in seen.instances if not one.leaving)
    units = sum(held.values())
    if not units:
        return seen.on_demand_price
    return sum(count * prices.get(pool, seen.on_demand_price) for pool, count in held.items()) / units


def on_demand_after(seen: Observation, moves: supply.Moves) -> list[int]:
    """The capacities of the On-Demand Instances, the oldest first, once ``moves`` are made."""
    staying = [one for one in seen.instances if not one.leaving and one.id not in moves.end]
    new, rest = divmod(moves.on_demand, seen.on_demand_capacity)
    return [*supply.on_demand_of(staying), *[seen.on_demand_capacity] * new, *[rest] * bool(rest)]


def _told(
    seen: Observation,
    policy: Policy,
    asked: demand.Demand,
    target: int,
    lent: int,
    base: int,
    taken: supply.Step,
    rooms: homes.Rooms | None,
) -> Decision:
    """The decision, with what is told of it."""
    moves, best = taken.moves, taken.best
    ending = set(moves.end)
    staying = [one for one in seen.instances if not one.leaving and one.id not in ending]
    had, has = supply.on_demand_of(one for one in seen.instances if not one.leaving), on_demand_after(seen, moves)
    on_demand = sum(has)
    serving = sum(one.capacity for one in seen.instances if one.serving)
    expected = sum(one.capacity for one in staying) + sum(moves.spot.values()) + moves.on_demand
    if moves.on_demand and supply.beyond_base(base, has):
        kind = "fallback"
    elif sum(has) - moves.on_demand < sum(had) and supply.beyond_base(base, had):
        kind = "returned"
    elif target != seen.target:
        kind = "scaled"
    elif moves.spot or moves.on_demand or moves.end:
        kind = "moved"
    else:
        kind = "waiting" if serving < target else "steady"
    return Decision(
        kind=kind,
        target=target,
        demand=asked,
        moves=moves,
        best=best,
        prospects=taken.prospects,
        memory=taken.memory,
        on_demand=on_demand + outgoing(seen.instances, ending),
        fallback=supply.beyond_base(policy.on_demand_base, has),
        serving=serving,
        expected=expected,
        short=max(0, target - expected),
        cost=best.cost,
        on_demand_cost=target * seen.on_demand_price,
        reasons=_reasons(seen, policy, asked, target, base, taken, serving) if kind != "steady" else asked.reasons,
        ask_again_seconds=_ask_again(seen, taken, serving < target),
        lent=lent,
        lost=tuple(seen.lost),
        refused=tuple(seen.refused),
        rooms=rooms,
    )


def outgoing(instances: Iterable[supply.Instance], ending: Container[str]) -> int:
    """The On-Demand units that go, but not yet: a group whose On-Demand base left them out would replace them by Spot."""
    return sum(one.capacity for one in instances if one.leaving and one.pool is None and one.id not in ending)


def _ask_again(seen: Observation, taken: supply.Step, short: bool) -> int:
    """In how many seconds the next step is worth taking."""
    coming = any(not one.serving for one in seen.instances) or taken.moves.spot or taken.moves.on_demand
    if short or coming or any(one.leaving for one in seen.instances):
        return ASK_SOON
    return ASK_AGAIN


def _reasons(
    seen: Observation,
    policy: Policy,
    asked: demand.Demand,
    target: int,
    base: int,
    taken: supply.Step,
    serving: int,
) -> tuple[str, ...]:
    """Why, in sentences with their numbers."""
    unit, moves = policy.scaling.unit, taken.moves
    found = list(asked.reasons)
    if seen.share is not None:
        found += seen.share.reasons
    elif seen.lent:
        found.append(f"{seen.lent} {unit} of the target are carried for other regions")
    held = supply.units_of(one for one in seen.instances if not one.leaving)
    on_demand = held.pop(None, 0)
    found.append(
        f"{serving} of {target} {unit} serve: {sum(held.values())} {unit} of Spot in {_count(len(held), 'pool')} and "
        f"{on_demand} On-Demand are there or on their way (base {policy.on_demand_base})"
    )
    if base > policy.on_demand_base:
        found.append(f"{base} {unit} of On-Demand are paid for by reservations or plans, so they are used first")
    for leaving, what in (
        ([one for one in seen.instances if one.leaving and not one.replaced], "told to go"),
        ([one for one in seen.instances if one.replaced], "to be replaced, and to go when what replaces them serves"),
    ):
        if leaving:
            named = ", ".join(f"{one.id} ({one.pool or 'On-Demand'})" for one in leaving[:TOLD])
            found.append(f"{_count(len(leaving), 'instance')} {what}: {named}{_more(len(leaving))}")
    for pools, what in (
        (seen.lost, "took an instance away"),
        (seen.refused, "refused one"),
        (seen.warned, "has one that AWS recommends to leave: its risk rises"),
    ):
        if pools:
            found.append(f"{', '.join(sorted(set(pools))[:TOLD])}{_more(len(set(pools)))} {what}")
    if moves.spot or moves.on_demand or moves.end:
        found.append(_best(seen, policy, target, taken))
    if seen.homes is not None and (moves.spot or moves.on_demand or moves.short):
        where = ", ".join(f"{count} in {zone}" for zone, count in sorted(seen.homes.zones.items()))
        more = f"{seen.homes.movable} may move" if seen.homes.movable else ""
        found.append(f"it has its data volumes where they are: {', '.join(filter(None, (where, more))) or 'none yet'}")
    asks = [f"{units} {unit} in {pool}{_chance(taken, pool)}" for pool, units in sorted(moves.spot.items())]
    if moves.on_demand:
        asks.append(f"{moves.on_demand} {unit} On-Demand")
    if asks:
        found.append(f"asked for: {', '.join(asks[:TOLD])}{_more(len(asks))}")
    if moves.end:
        found.append(
            f"{_count(len(moves.end), 'instance')} may go, for what replaces them serves: "
            f"{', '.join(moves.end[:TOLD])}{_more(len(moves.end))}"
        )
    if moves.short and not policy.fallback:
        found.append("the policy is fallback: none, so no On-Demand stands in")
    return tuple(found)


def _best(seen: Observation, policy: Policy, target: int, taken: supply.Step) -> str:
    """The sentence on the fleet that is best."""
    unit, best = policy.scaling.unit, taken.best
    parts = [
        f"{units} in {pool} (a loss in {1 / taken.prospects[pool].hazard:.1f} h)"
        for pool, units in sorted(best.spot.items(), key=lambda item: -item[1])
    ]
    spares = f", {best.spares} of them spare" if best.spares else ""
    return (
        f"best for the profile {policy.profile} (an hour short of one counts {supply.WORTH[policy.profile]:g} On-Demand "
        f"hours): {', '.join(parts[:TOLD]) or 'no Spot'}{_more(len(parts))} and {best.on_demand} {unit} On-Demand{spares}; "
        f"{best.cost:.4f} an hour with its risk, against {target * seen.on_demand_price:.4f} all On-Demand"
    )


def _chance(taken: supply.Step, pool: str) -> str:
    chance = taken.prospects[pool].open if pool in taken.prospects else 1.0
    return f" (open with a chance of {chance:.0%})" if chance < 1 else ""


def _more(count: int) -> str:
    return f" and {count - TOLD} more" if count > TOLD else ""


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
