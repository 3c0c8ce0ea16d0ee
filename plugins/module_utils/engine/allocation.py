# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pools an application's capacity is to come from: the cheapest for the risk that it will take.

The problem, exactly. A pool *p* (an offer) has the weight ``w`` of one instance in the unit of the target (its vCPUs,
or 1) and an expected price ``c`` (``expected_price``). With ``S = target - on_demand_base``, choose whole numbers
``n`` of instances so that the sum of ``c n`` is least, while

- ``sum(w n) >= S``;
- what one pool, zone or family holds, ``sum(w n)``, is at most its share of S, rounded up to a multiple of the smallest
  weight on offer (half of 10 vCPUs is 12 where the smallest instance has 4); a share of 1 is no limit;
- at least ``min_pools`` pools are used, or as many as S has room for instances of the smallest weight, if less;
- at most ``max_types`` instance types are used, the On-Demand base's among them;
- the Spot prices and the On-Demand base together cost at most ``budget_per_hour``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from ansible_collections.spot.platform.plugins.module_utils.engine.covering import Problem, solve
from ansible_collections.spot.platform.plugins.module_utils.engine.market import BANDS, InstanceType, Offer

MAX_OVERRIDES = 40
"""Instance types that a mixed instances policy may list (the quota of EC2 Auto Scaling)."""

RESERVE_TYPES = 10
"""Next best types that a group may fall to beside those chosen: AWS advises to be flexible across ten types."""

PROFILES = {"cost": 0.02, "balanced": 0.5, "availability": 3.0}
"""What a profile pays for safety: the premium, as a share of the price, of the safest pool over the riskiest."""

RISKS = {"band": 0.5, "score": 0.2, "heat": 0.15, "nearness": 0.15}
"""How much each sign of risk counts; they add up to 1."""


@dataclass(frozen=True)
class Limits:
    """What a plan must keep; shares are of the Spot part of the target, the budget is USD an hour for all of it."""

    min_pools: int = 1
    max_pool_share: float = 1.0
    max_zone_share: float = 1.0
    max_family_share: float = 1.0
    budget_per_hour: float | None = None
    max_types: int = MAX_OVERRIDES

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a limit that makes no sense."""
        if self.min_pools < 1:
            raise ValueError(f"min_pools is {self.min_pools}: it must be 1 or more")
        for name in ("max_pool_share", "max_zone_share", "max_family_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0 and at most 1 (1 is no limit)")
        if self.budget_per_hour is not None and self.budget_per_hour <= 0:
            raise ValueError(f"budget_per_hour is {self.budget_per_hour}: it must be above 0; leave it out for none")
        if not 1 <= self.max_types <= MAX_OVERRIDES:
            raise ValueError(f"max_types is {self.max_types}: it must be 1 to {MAX_OVERRIDES}")


@dataclass(frozen=True)
class Choice:
    """``instances`` of one pool, each counting ``weight`` in the target's unit."""

    offer: Offer
    instances: int
    weight: int

    @property
    def capacity(self) -> int:
        """What the choice adds to the group, in the target's unit."""
        return self.instances * self.weight


@dataclass(frozen=True)
class Plan:
    """What to run where.

    ``choices`` are the Spot pools, the largest capacity first; ``on_demand`` the base. ``types`` are the
    overrides for a group or fleet, those chosen first, then the reserve; ``weights`` has all of them; ``zones`` are
    those where any of them is on offer. Costs are USD an hour, ``on_demand_cost_per_hour`` that of the whole target
    on the cheapest On-Demand type; it and the saving are ``None`` where no On-Demand price is known.
    ``expected_cost_per_hour`` has the Spot part at risk-adjusted prices: what was minimised.
    """

    choices: tuple[Choice, ...]
    on_demand: tuple[Choice, ...]
    types: tuple[str, ...]
    weights: dict[str, int]
    zones: tuple[str, ...]
    cost_per_hour: float
    on_demand_cost_per_hour: float | None
    savings_percent: float | None
    expected_cost_per_hour: float
    reasons: tuple[str, ...]
    target: int
    unit: str
    on_demand_base: int
    limits: Limits
    profile: str


class Infeasible(ValueError):
    """No plan keeps all limits; ``limit`` is the name of the one in the way, the message has numbers and a remedy."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


def risk(offer: Offer) -> float:
    """How likely an instance of the pool is to be taken away, from 0 to 1: a weighted sum (``RISKS``) of four signs.

    - *band*: the share of instances interrupted last month, as published by the Spot Instance Advisor: the middle of
      the offer's band over that of the highest. It is the only frequency that is measured, hence half of the sum.
    - *score*: the placement score, 10 is 0 and 1 is 1: how likely a request succeeds now.
    - *heat*: the price against its own typical one; 50 % above is 1. Prices rise where demand does.
    - *nearness*: the price against On-Demand; half of it is 0, all of it is 1. Where Spot saves little,
      little is spare.

    A sign that is not known counts as the middle of its scale.
    """
    band = score = heat = nearness = 0.5
    if offer.interruption_band is not None:
        band = (offer.interruption_band + 0.5) / (len(BANDS) - 0.5)
    if offer.placement_score is not None:
        score = (10 - offer.placement_score) / 9
    if offer.spot_price is not None and offer.typical_spot_price:
        heat = min(max((offer.spot_price / offer.typical_spot_price - 1) / 0.5, 0.0), 1.0)
    if offer.spot_price is not None and offer.on_demand_price:
        nearness = min(max((offer.spot_price / offer.on_demand_price - 0.5) / 0.5, 0.0), 1.0)
    return RISKS["band"] * band + RISKS["score"] * score + RISKS["heat"] * heat + RISKS["nearness"] * nearness


def expected_price(offer: Offer, profile: str) -> float:
    """USD an hour at which the plan reckons with one instance: ``spot price x (1 + premium of the profile x risk)``.

    The form is that of a certainty equivalent: a pool at risk 1 has to be ``premium`` cheaper than one at risk 0 to be
    worth as much. One figure a profile (``PROFILES``), so that a person can say what a profile does.
    """
    return offer.spot_price * (1.0 + PROFILES[profile] * risk(offer))


def plan(
    offers: Sequence[Offer],
    target: int,
    unit: str,
    on_demand_base: int,
    limits: Limits = Limits(),
    profile: str = "balanced",
) -> Plan:
    """The cheapest plan for ``target`` (in ``unit``: ``vcpus`` or ``instances``) that keeps all ``limits``.

    ``on_demand_base`` of the target runs On-Demand, on the one type that covers it at the least cost (as a group with
    the ``lowest-price`` strategy does), spread over the zones; the rest is Spot. An offer without a Spot price is not
    used for Spot, one without an On-Demand price not for the base. The answer depends on nothing but the arguments.

    Raises ``Infeasible`` where no plan was found, ``ValueError`` for arguments that make no sense.
    """
    asked = question(offers, target, unit, on_demand_base, limits, profile)
    problem, fitting = asked.formulate()
    over_budget = limits.budget_per_hour is not None and asked.base_cost > limits.budget_per_hour
    counts = None if over_budget or (asked.need and len(asked.pools) < limits.min_pools) else solve(problem)
    if counts is None:
        raise _in_the_way(asked)
    choices = tuple(
        sorted(
            (Choice(fitting[i], count, problem.weight[i]) for i, count in counts.items()),
            key=lambda choice: (-choice.capacity, _pool(choice.offer)),
        )
    )
    base = asked.base
    cost = asked.base_cost + sum(choice.instances * choice.offer.spot_price for choice in choices)
    all_on_demand = sum(c.instances * c.offer.on_demand_price for c in _on_demand(offers, target, unit))
    chosen = dict.fromkeys(choice.offer.instance_type for choice in (*choices, *base))
    made = Plan(
        choices=choices,
        on_demand=base,
        types=tuple(kind.name for kind in chosen),
        weights={},
        zones=(),
        cost_per_hour=round(cost, 6),
        on_demand_cost_per_hour=round(all_on_demand, 6) if all_on_demand else None,
        savings_percent=round(100 * (1 - cost / all_on_demand), 1) if all_on_demand else None,
        expected_cost_per_hour=round(asked.base_cost + sum(problem.cost[i] * count for i, count in counts.items()), 6),
        reasons=(),
        target=target,
        unit=unit,
        on_demand_base=on_demand_base,
        limits=limits,
        profile=profile,
    )
    reserve = _reserve(made, fitting, problem, all_on_demand / target if all_on_demand else None)
    kinds = (*chosen, *reserve)
    types = tuple(kind.name for kind in kinds)
    drawn = [
        *(offer for offer in fitting if offer.instance_type.name in set(types)),
        *(choice.offer for choice in base),
    ]
    return replace(
        made,
        types=types,
        weights={kind.name: _weight(kind, unit) for kind in kinds},
        zones=tuple(sorted({offer.zone for offer in drawn})),
        reasons=_reasons(made, len(offers), len(asked.pools), len(fitting), reserve),
    )


def should_replan(
    current_types: Iterable[str],
    current_weights: Mapping[str, int],
    plan_now: Plan,
    offers: Sequence[Offer],
    threshold_percent: float,
) -> tuple[bool, str]:
    """Whether a running group's types are to be replaced by those of ``plan_now``, and why (not).

    They stay, unless one of them is not on offer any more, counts for another weight, they cannot keep the limits of
    ``plan_now`` any more, or the expected (risk-adjusted) cost of the best plan with them is more than
    ``threshold_percent`` above that of ``plan_now``.
    """
    current = list(dict.fromkeys(current_types))
    if not current:
        return True, "the group has no types yet"
    offered = {offer.instance_type.name: offer.instance_type for offer in offers if offer.spot_price is not None}
    gone = [name for name in current if name not in offered]
    if gone:
        return True, f"no longer on offer: {', '.join(gone)}"
    for name in current:
        weight = _weight(offered[name], plan_now.unit)
        if current_weights.get(name, weight) != weight:
            return (
                True,
                f"{name} counts {current_weights[name]} in the group, but has to count {weight} ({plan_now.unit})",
            )
    kept = [offer for offer in offers if offer.instance_type.name in current]
    try:
        now = plan(kept, plan_now.target, plan_now.unit, plan_now.on_demand_base, plan_now.limits, plan_now.profile)
    except Infeasible as error:
        return True, f"the group's types cannot keep the limits any more: {error}"
    kept_cost, best_cost = now.expected_cost_per_hour, plan_now.expected_cost_per_hour
    percent = max(100 * (1 - best_cost / kept_cost), 0.0) if kept_cost else 0.0
    figures = f"{kept_cost:.4f} USD/h at risk-adjusted prices with the group's types, {best_cost:.4f} with the best"
    if percent > threshold_percent:
        return True, f"{figures}: {percent:.1f} % less, more than the threshold of {threshold_percent:g} %"
    return False, f"{figures}: {percent:.1f} % less, not more than the threshold of {threshold_percent:g} %"


@dataclass(frozen=True)
class Question:
    """What is asked, the On-Demand base already chosen: ``need`` is the Spot part, ``pools`` are those with a price."""

    pools: Sequence[Offer]
    need: int
    unit: str
    base: tuple[Choice, ...]
    limits: Limits
    profile: str

    @property
    def base_cost(self) -> float:
        """USD an hour for the On-Demand base."""
        return sum(choice.instances * choice.offer.on_demand_price for choice in self.base)

    def formulate(self) -> tuple[Problem, list[Offer]]:
        """The problem in numbers, and the offers that its indices mean: those of which one instance keeps the caps."""
        limits, weights = self.limits, [_weight(offer.instance_type, self.unit) for offer in self.pools]
        smallest = min(weights, default=1)
        sized = max(
            self.need, smallest
        )  # a group that is to run nothing now still needs the types of its first instance
        zone_cap = _cap(limits.max_zone_share, sized, smallest)
        family_cap = _cap(limits.max_family_share, sized, smallest)
        pool_cap = _cap(limits.max_pool_share, sized, smallest)
        cap = min((cap for cap in (zone_cap, family_cap, pool_cap) if cap is not None), default=None)
        fitting = [offer for offer, weight in zip(self.pools, weights) if cap is None or weight <= cap]
        weights = [weight for weight in weights if cap is None or weight <= cap]
        problem = Problem(
            need=self.need,
            weight=weights,
            cost=[expected_price(offer, self.profile) for offer in fitting],
            price=[offer.spot_price for offer in fitting],
            zone=[offer.zone for offer in fitting],
            family=[offer.instance_type.family for offer in fitting],
            type=[offer.instance_type.name for offer in fitting],
            most=[(pool_cap or self.need + weight - 1) // weight for weight in weights],
            zone_cap=zone_cap,
            family_cap=family_cap,
            min_pools=min(limits.min_pools, -(-self.need // smallest)),
            max_types=limits.max_types,
            base_type=self.base[0].offer.instance_type.name if self.base else None,
            budget=None if limits.budget_per_hour is None else limits.budget_per_hour - self.base_cost,
        )
        return problem, fitting


def question(
    offers: Sequence[Offer], target: int, unit: str, on_demand_base: int, limits: Limits, profile: str
) -> Question:
    """The ``Question`` that ``plan`` answers; raises as ``plan`` does for arguments that make no sense."""
    if unit not in ("vcpus", "instances"):
        raise ValueError(f"unit is {unit!r}: use vcpus or instances")
    if target < 0 or on_demand_base < 0:
        raise ValueError(f"target is {target} and on_demand_base {on_demand_base}: both must be 0 or more")
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}: use one of {', '.join(PROFILES)}")
    pools = {_pool(offer): offer for offer in offers}
    if len(pools) < len(offers):
        raise ValueError(f"{len(offers)} offers are of {len(pools)} pools only: give one offer for each pool")
    base = _on_demand(offers, min(target, on_demand_base), unit)
    if on_demand_base and target and not base:
        raise Infeasible(
            "on_demand_base",
            f"on_demand_base {on_demand_base} is in the way: none of {len(offers)} offers has an On-Demand price; "
            "widen the instance types or set it to 0",
        )
    priced = [pools[pool] for pool in sorted(pools) if pools[pool].spot_price is not None]
    return Question(priced, max(target - on_demand_base, 0), unit, base, limits, profile)


def _pool(offer: Offer) -> tuple[str, str]:
    return offer.zone, offer.instance_type.name


def _weight(kind: InstanceType, unit: str) -> int:
    return kind.vcpus if unit == "vcpus" else 1


def _on_demand(offers: Sequence[Offer], capacity: int, unit: str) -> tuple[Choice, ...]:
    """``capacity`` on the type that covers it at the least On-Demand price, spread evenly over its zones.

    Empty if there is nothing to cover, or no On-Demand price.
    """
    prices = {
        (offer.region, offer.instance_type.name): (offer.on_demand_price, _weight(offer.instance_type, unit))
        for offer in offers
        if offer.on_demand_price is not None
    }
    if not capacity or not prices:
        return ()
    costs = {kind: -(-capacity // weight) * price for kind, (price, weight) in prices.items()}
    cheapest = min(costs, key=lambda kind: (costs[kind], kind))
    weight = prices[cheapest][1]
    count = -(-capacity // weight)
    spread = sorted(
        (o for o in offers if (o.region, o.instance_type.name) == cheapest and o.on_demand_price is not None), key=_pool
    )
    shares = [count // len(spread) + (place < count % len(spread)) for place in range(len(spread))]
    return tuple(Choice(offer, share, weight) for offer, share in zip(spread, shares) if share)


def _cap(share: float, need: int, smallest: int) -> int | None:
    """What a share of the need lets one place hold: rounded up to whole instances of the smallest weight."""
    if share >= 1:
        return None
    return smallest * ceil(round(share * need / smallest, 9))


def _in_the_way(asked: Question) -> Infeasible:
    """The limit without which there would be a plan, and what it would have to be."""
    limits, stated = asked.limits, f"{asked.need} {asked.unit} of Spot"
    if not asked.pools:
        return Infeasible(
            "requirements",
            f"requirements: no pool is on offer for {stated}; widen the instance types, the requirements or the zones",
        )
    pools = len(asked.pools)
    zones = len({offer.zone for offer in asked.pools})
    families = len({offer.instance_type.family for offer in asked.pools})
    on_offer = f"{pools} pools in {zones} zones and {families} families are on offer"

    def lifted(**without: object) -> Question:
        return replace(asked, limits=replace(limits, **without))

    if limits.budget_per_hour is not None:
        free = lifted(budget_per_hour=None)
        problem, _fitting = free.formulate()
        counts = solve(replace(problem, cost=problem.price)) if pools >= limits.min_pools else None
        if counts is not None:
            least = asked.base_cost + sum(problem.price[i] * count for i, count in counts.items())
            return Infeasible(
                "budget_per_hour",
                f"budget_per_hour {limits.budget_per_hour:g} is in the way: {stated} and the On-Demand base cost at "
                f"least {least:.4f} USD/h; raise it, lower the target or the base, or widen the instance types",
            )
        asked, limits = free, free.limits  # it is not the budget alone
    if pools < limits.min_pools:
        return Infeasible(
            "min_pools", f"min_pools {limits.min_pools} is in the way: {on_offer}; lower it or widen the types"
        )
    eased = {
        "max_pool_share": 1.0,
        "max_zone_share": 1.0,
        "max_family_share": 1.0,
        "min_pools": 1,
        "max_types": MAX_OVERRIDES,
    }
    in_force = [name for name, none in eased.items() if getattr(limits, name) != none]
    for name in in_force:
        if solve(lifted(budget_per_hour=None, **{name: eased[name]}).formulate()[0]) is not None:
            places = {"max_zone_share": zones, "max_family_share": families, "max_pool_share": pools}.get(name)
            floor = f", so that it cannot be below {ceil(100 / places) / 100:g}" if places else ""
            return Infeasible(
                name,
                f"{name} {getattr(limits, name):g} is in the way of {stated}: {on_offer}{floor}; "
                f"{'lower' if name == 'min_pools' else 'raise'} it or widen the instance types or zones",
            )
    listed = ", ".join(f"{name} {getattr(limits, name):g}" for name in in_force)
    return Infeasible(
        in_force[0] if in_force else "requirements",
        f"no plan for {stated} keeps {listed or 'the limits'} together: {on_offer}; ease more than one of them "
        "or widen the instance types or zones",
    )


def _reserve(made: Plan, fitting: Sequence[Offer], problem: Problem, cheapest_unit: float | None) -> list[InstanceType]:
    """The next best types, cheapest expected price per unit first.

    None is larger than the Spot part, dearer per unit than On-Demand or, if it had to carry the Spot part alone, over
    the budget, unless it is needed for the group to have ``min_pools`` pools to draw from.
    """
    largest = max(problem.need, min(problem.weight, default=1))
    drawn = Counter(problem.type)
    taken = set(made.types)
    pools = sum(drawn[name] for name in taken)
    reserve: list[InstanceType] = []
    per_unit = [cost / weight for cost, weight in zip(problem.cost, problem.weight)]
    for i in sorted(range(len(fitting)), key=per_unit.__getitem__):
        if len(taken) >= made.limits.max_types or (len(reserve) >= RESERVE_TYPES and pools >= made.limits.min_pools):
            break
        name, price = problem.type[i], problem.price[i] / problem.weight[i]
        worth = (
            len(reserve) < RESERVE_TYPES
            and problem.weight[i] <= largest
            and (cheapest_unit is None or price < cheapest_unit)
            and (problem.budget is None or price * problem.need <= problem.budget)
        )
        if name not in taken and (worth or pools < made.limits.min_pools):
            taken.add(name)
            reserve.append(fitting[i].instance_type)
            pools += drawn[name]
    return reserve


def _reasons(made: Plan, offers: int, pools: int, fitting: int, reserve: Sequence[InstanceType]) -> tuple[str, ...]:
    """The plan in sentences; of the pools on offer, those with a Spot price and those within the caps, how many."""
    sentences = [_sentence(choice) for choice in made.choices]
    if made.on_demand:
        count, kind = sum(choice.instances for choice in made.on_demand), made.on_demand[0].offer.instance_type.name
        zones = ", ".join(choice.offer.zone for choice in made.on_demand)
        sentences.append(
            f"{count} x {kind} On-Demand in {zones}: {made.on_demand[0].offer.on_demand_price:.4f} USD/h each, "
            f"the cheapest for the base of {min(made.target, made.on_demand_base)} {made.unit}"
        )
    if reserve:
        sentences.append(f"in reserve, next best: {', '.join(kind.name for kind in reserve)}")
    used, unpriced, large = len(made.choices), offers - pools, pools - fitting
    left_out = [
        (unpriced, "have no Spot price"),
        (large, "have instances larger than a limit lets one place hold"),
        (
            fitting - used,
            f"cost more at the {made.profile} profile's risk-adjusted prices, or would break a limit",
        ),
    ]
    parts = [f"{count} {why}" for count, why in left_out if count]
    if parts:
        sentences.append(f"{used} of {offers} pools chosen; of the others {'; '.join(parts)}")
    cost = f"expected cost {made.cost_per_hour:.4f} USD/h"
    if made.savings_percent is not None:
        cost += f", {made.savings_percent:.0f} % below {made.on_demand_cost_per_hour:.4f} USD/h for all On-Demand"
    return (*sentences, cost)


def _sentence(choice: Choice) -> str:
    offer = choice.offer
    parts = [f"{choice.instances} x {offer.instance_type.name} in {offer.zone}: {offer.spot_price:.4f} USD/h each"]
    if offer.savings_percent is not None:
        way = "below" if offer.savings_percent >= 0 else "above"
        parts.append(f"{abs(offer.savings_percent):.0f} % {way} On-Demand")
    if offer.interruption_band is not None:
        parts.append(f"interruption band {BANDS[offer.interruption_band]}")
    if offer.placement_score is not None:
        parts.append(f"placement score {offer.placement_score}")
    if offer.typical_spot_price:
        parts.append(f"{100 * (offer.spot_price / offer.typical_spot_price - 1):+.0f} % against its typical price")
    return ", ".join(parts)
