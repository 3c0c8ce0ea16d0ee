"""Plans keep their limits, say why, and take the cheapest for the risk that was asked for."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.allocation import (
    PROFILES,
    RESERVE_TYPES,
    Infeasible,
    Limits,
    expected_price,
    plan,
    risk,
    should_replan,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.market import InstanceType, Offer

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SIZES = (("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16))


def a_type(name: str, vcpus: int = 2) -> InstanceType:
    return InstanceType(name, vcpus, vcpus * 4096, ("x86_64",), False, True, 0, False)


def an_offer(name: str, zone: str = "us-east-1a", spot: float | None = 0.03, vcpus: int = 2, **more) -> Offer:
    given = {"on_demand_price": 0.1, **more}
    return Offer("us-east-1", zone, zone.replace("us-east-1", "use1-az"), a_type(name, vcpus), spot, **given)


def a_market(seed: int, families: int = 5) -> list[Offer]:
    """Families of four sizes in three zones, with prices and signs of risk by chance."""
    rng, offers = random.Random(seed), []
    for family in range(families):
        vcpu_price = rng.uniform(0.04, 0.06)
        for size, vcpus in SIZES:
            for zone in ZONES:
                spot = vcpu_price * vcpus * rng.uniform(0.25, 0.6)
                offers.append(
                    an_offer(
                        f"m{family}.{size}",
                        zone,
                        round(spot, 4),
                        vcpus,
                        on_demand_price=round(vcpu_price * vcpus, 4),
                        interruption_band=rng.randrange(5),
                        placement_score=rng.randint(1, 10),
                        typical_spot_price=round(spot * rng.uniform(0.7, 1.3), 4),
                    )
                )
    return offers


def held(choices, key) -> dict:
    """Capacity by what ``key`` says of the offer."""
    result: dict = {}
    for choice in choices:
        result[key(choice.offer)] = result.get(key(choice.offer), 0) + choice.capacity
    return result


def capped(share: float, need: int, smallest: int) -> float:
    """What a share lets one place hold; the 1e-6 is for the rounding of the product."""
    return float("inf") if share == 1 else smallest * -(-(share * need - 1e-6) // smallest)


@pytest.mark.parametrize("seed", range(25))
def test_a_plan_keeps_all_limits(seed):
    rng = random.Random(seed)
    offers, unit = a_market(seed), rng.choice(("vcpus", "instances"))
    target = rng.randint(1, 300) if unit == "vcpus" else rng.randint(1, 60)
    base = rng.choice((0, target // 5))
    limits = Limits(rng.randint(1, 5), rng.uniform(0.2, 1), rng.uniform(0.4, 1), rng.uniform(0.3, 1), None, 12)
    made = plan(offers, target, unit, base, limits, rng.choice(sorted(PROFILES)))
    need, smallest = target - base, 2 if unit == "vcpus" else 1
    assert sum(choice.capacity for choice in made.choices) >= need
    assert sum(choice.capacity for choice in made.on_demand) >= base
    for share, key in (
        (limits.max_pool_share, lambda offer: (offer.zone, offer.instance_type.name)),
        (limits.max_zone_share, lambda offer: offer.zone),
        (limits.max_family_share, lambda offer: offer.instance_type.family),
    ):
        assert max(held(made.choices, key).values()) <= capped(share, need, smallest)
    assert len(made.choices) >= min(limits.min_pools, -(-need // smallest))
    assert len(set(made.types)) == len(made.types) <= 12
    assert set(made.weights) == set(made.types)
    used = {choice.offer.instance_type.name for choice in (*made.choices, *made.on_demand)}
    assert set(made.types[: len(used)]) == used
    assert len(made.types) <= len(used) + RESERVE_TYPES
    assert all(choice.weight == made.weights[choice.offer.instance_type.name] for choice in made.choices)
    cost = sum(c.instances * c.offer.spot_price for c in made.choices)
    cost += sum(c.instances * c.offer.on_demand_price for c in made.on_demand)
    assert made.cost_per_hour == pytest.approx(cost, abs=1e-5)
    assert plan(list(reversed(offers)), target, unit, base, limits, made.profile) == made


@pytest.mark.parametrize("seed", range(10))
def test_a_plan_costs_no_more_than_the_best_single_pool(seed):
    offers, target = a_market(seed), 40
    for profile in PROFILES:
        made = plan(offers, target, "vcpus", 0, Limits(), profile)
        single = min(-(-target // o.instance_type.vcpus) * expected_price(o, profile) for o in offers)
        assert made.expected_cost_per_hour <= single + 1e-6


@pytest.mark.parametrize("seed", range(15))
def test_the_profile_trades_cost_for_risk(seed):
    offers, limits = a_market(seed), Limits(3, 0.5, 0.6, 0.6)
    plans = {profile: plan(offers, 80, "vcpus", 0, limits, profile) for profile in PROFILES}

    def at_risk(made) -> float:  # the dollars that are in pools at risk: what the profile weighs
        return sum(choice.instances * choice.offer.spot_price * risk(choice.offer) for choice in made.choices)

    tolerance = 1.01  # plans are within a hundredth of their optimum
    assert at_risk(plans["availability"]) <= at_risk(plans["balanced"]) * tolerance
    assert at_risk(plans["balanced"]) <= at_risk(plans["cost"]) * tolerance
    assert plans["cost"].cost_per_hour <= plans["balanced"].cost_per_hour * tolerance
    assert plans["balanced"].cost_per_hour <= plans["availability"].cost_per_hour * tolerance


def test_availability_takes_the_lower_interruption_band_and_cost_the_lower_price():
    offers = [
        an_offer("m5.large", spot=0.030, interruption_band=4),
        an_offer("c5.large", spot=0.034, interruption_band=0),
    ]
    chosen = {p: plan(offers, 10, "vcpus", 0, Limits(), p).choices[0].offer.instance_type.name for p in PROFILES}
    assert chosen == {"cost": "m5.large", "balanced": "c5.large", "availability": "c5.large"}


@pytest.mark.parametrize(
    "better, worse",
    [
        ({"interruption_band": 0}, {"interruption_band": 1}),
        ({"interruption_band": 0}, {}),
        ({"placement_score": 9}, {"placement_score": 3}),
        ({"typical_spot_price": 0.03}, {"typical_spot_price": 0.025}),
        ({"on_demand_price": 0.1}, {"on_demand_price": 0.04}),
    ],
)
def test_each_sign_of_risk_counts(better, worse):
    low, high = risk(an_offer("m5.large", **better)), risk(an_offer("m5.large", **worse))
    assert 0 <= low < high <= 1


def test_a_plan_says_why():
    offers = [
        an_offer("m5.large", spot=0.034, interruption_band=0, placement_score=8, typical_spot_price=0.04),
        an_offer("c5.large", spot=0.09, interruption_band=3),
        an_offer("r5.large", spot=None),
    ]
    reasons = plan(offers, 6, "vcpus", 2, Limits(), "balanced").reasons
    assert reasons == (
        "2 x m5.large in us-east-1a: 0.0340 USD/h each, 66 % below On-Demand, interruption band <5 %, "
        "placement score 8, -15 % against its typical price",
        "1 x c5.large On-Demand in us-east-1a: 0.1000 USD/h each, the cheapest for the base of 2 vcpus",
        "1 of 3 pools chosen; of the others 1 have no Spot price; "
        "1 cost more at the balanced profile's risk-adjusted prices, or would break a limit",
        "expected cost 0.1680 USD/h, 44 % below 0.3000 USD/h for all On-Demand",
    )


def test_on_demand_is_the_cheapest_type_spread_over_its_zones():
    offers = [an_offer("m5.large", zone, on_demand_price=0.096) for zone in ZONES]
    offers += [an_offer("c5.large", zone, on_demand_price=0.085) for zone in ZONES]
    made = plan(offers, 12, "vcpus", 8, Limits(), "cost")
    assert [(c.offer.instance_type.name, c.offer.zone, c.instances) for c in made.on_demand] == [
        ("c5.large", ZONES[0], 2),
        ("c5.large", ZONES[1], 1),
        ("c5.large", ZONES[2], 1),
    ]


@pytest.mark.parametrize(
    "target, base, spot, on_demand", [(0, 0, 0, 0), (0, 4, 0, 0), (4, 8, 0, 4), (8, 8, 0, 8), (8, 4, 4, 4)]
)
def test_the_base_is_never_more_than_the_target(target, base, spot, on_demand):
    made = plan(a_market(1), target, "vcpus", base, Limits(3, 0.5, 0.5, 0.5), "balanced")
    assert sum(choice.capacity for choice in made.choices) == spot
    assert sum(choice.capacity for choice in made.on_demand) == on_demand
    assert made.types, "a group needs types to grow to, also while it runs nothing"
    assert made.zones == ZONES


def test_instances_all_count_one():
    made = plan(a_market(2), 7, "instances", 0, Limits(), "cost")
    assert set(made.weights.values()) == {1}
    assert sum(choice.instances for choice in made.choices) == 7


def test_one_instance_of_the_smallest_weight_is_always_possible():
    made = plan(a_market(3), 1, "vcpus", 0, Limits(3, 0.1, 0.1, 0.1), "balanced")
    assert [(choice.instances, choice.weight) for choice in made.choices] == [(1, 2)]
    assert set(made.weights.values()) == {2}


@pytest.mark.parametrize(
    "limits, name, says",
    [
        (Limits(max_zone_share=0.2), "max_zone_share", "cannot be below 0.34"),
        (Limits(max_family_share=0.1), "max_family_share", "cannot be below 0.2"),
        (Limits(max_pool_share=0.01), "max_pool_share", "raise it"),
        (Limits(min_pools=61), "min_pools", "60 pools"),
        (Limits(budget_per_hour=0.5), "budget_per_hour", "cost at least"),
        (Limits(max_types=1, max_family_share=0.5), "max_family_share", "families"),
        (Limits(max_types=1, max_pool_share=0.2), "max_pool_share", "raise it"),
        (Limits(max_zone_share=0.2, max_family_share=0.1), "max_zone_share", "max_family_share 0.1 together"),
    ],
)
def test_the_limit_in_the_way_is_named(limits, name, says):
    with pytest.raises(Infeasible) as raised:
        plan(a_market(4), 100, "vcpus", 0, limits, "balanced")
    assert raised.value.limit == name
    assert name in str(raised.value) and says in str(raised.value)


def test_a_budget_just_enough_is_kept():
    free = plan(a_market(5), 60, "vcpus", 10, Limits(3, 0.4), "availability")
    least = plan(a_market(5), 60, "vcpus", 10, Limits(3, 0.4), "cost").cost_per_hour
    budget = (least + free.cost_per_hour) / 2
    made = plan(a_market(5), 60, "vcpus", 10, Limits(3, 0.4, budget_per_hour=budget), "availability")
    assert least <= made.cost_per_hour <= budget < free.cost_per_hour
    with pytest.raises(Infeasible, match="budget_per_hour"):
        plan(a_market(5), 60, "vcpus", 10, Limits(3, 0.4, budget_per_hour=least * 0.9), "availability")


def test_a_base_over_the_budget_is_named():
    with pytest.raises(Infeasible, match="budget_per_hour"):
        plan(a_market(5), 60, "vcpus", 60, Limits(budget_per_hour=0.01), "cost")


@pytest.mark.parametrize("offers", [[], [an_offer("m5.large", spot=None)]])
def test_no_pools_are_named(offers):
    with pytest.raises(Infeasible, match="no pool is on offer") as raised:
        plan(offers, 4, "vcpus", 0, Limits(), "cost")
    assert raised.value.limit == "requirements"


def test_a_base_without_an_on_demand_price_is_named():
    with pytest.raises(Infeasible, match="On-Demand price") as raised:
        plan([an_offer("m5.large", on_demand_price=None)], 4, "vcpus", 2, Limits(), "cost")
    assert raised.value.limit == "on_demand_base"
    made = plan([an_offer("m5.large", on_demand_price=None)], 4, "vcpus", 0, Limits(), "cost")
    assert made.on_demand_cost_per_hour is None and made.savings_percent is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_pools": 0},
        {"max_pool_share": 0},
        {"max_zone_share": 1.5},
        {"max_family_share": -1},
        {"budget_per_hour": 0},
        {"max_types": 41},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"unit": "cores"}, "unit is 'cores'"),
        ({"target": -1}, "target is -1"),
        ({"profile": "safe"}, "profile is 'safe'"),
        ({"offers": [an_offer("m5.large"), an_offer("m5.large")]}, "2 offers are of 1 pools"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(change, says):
    asked = {"offers": a_market(1), "target": 4, "unit": "vcpus", "on_demand_base": 0, "profile": "cost", **change}
    with pytest.raises(ValueError, match=says):
        plan(limits=Limits(), **asked)


def test_a_group_keeps_its_types_while_prices_move_a_little():
    limits = Limits(3, 0.5, 0.5, 0.6)
    before = plan(a_market(6), 40, "vcpus", 4, limits, "balanced")
    rng = random.Random(6)
    offers = [replace(offer, spot_price=round(offer.spot_price * rng.uniform(0.97, 1.03), 4)) for offer in a_market(6)]
    now = plan(offers, 40, "vcpus", 4, limits, "balanced")
    again, reason = should_replan(before.types, before.weights, now, offers, 10)
    assert not again
    assert "not more than the threshold of 10 %" in reason


def test_a_group_takes_new_types_when_they_save_enough():
    offers = [an_offer("m5.large", spot=0.04), an_offer("c5.large", spot=0.03)]
    now = plan(offers, 10, "vcpus", 0, Limits(), "cost")
    assert should_replan(["m5.large"], {"m5.large": 2}, now, offers, 20)[0]
    assert not should_replan(["m5.large"], {"m5.large": 2}, now, offers, 30)[0]


@pytest.mark.parametrize(
    "types, weights, limits, says",
    [
        ([], {}, Limits(), "has no types yet"),
        (["m5.large", "m4.large"], {}, Limits(), "no longer on offer: m4.large"),
        (["m5.large"], {"m5.large": 1}, Limits(), "counts 1 in the group, but has to count 2"),
        (["m5.large"], {"m5.large": 2}, Limits(max_family_share=0.5), "max_family_share 0.5 is in the way"),
    ],
)
def test_a_group_that_cannot_stay_as_it_is_is_planned_again(types, weights, limits, says):
    offers = [an_offer("m5.large"), an_offer("c5.large")]
    now = plan(offers, 10, "vcpus", 0, limits, "cost")
    again, reason = should_replan(types, weights, now, offers, 1000)
    assert again and says in reason
