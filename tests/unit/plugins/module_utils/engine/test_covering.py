"""The arithmetic of the allocation against every possible answer, for problems small enough to try them all."""

from __future__ import annotations

import random
from itertools import product

from ansible_collections.spot.platform.plugins.module_utils.engine.covering import Problem, solve


def keeps_the_limits(problem: Problem, counts: dict[int, int]) -> bool:
    """Whether the instances cover the need within all limits."""
    zones: dict[str, int] = {}
    families: dict[str, int] = {}
    for i, count in counts.items():
        zones[problem.zone[i]] = zones.get(problem.zone[i], 0) + count * problem.weight[i]
        families[problem.family[i]] = families.get(problem.family[i], 0) + count * problem.weight[i]
    types = {problem.type[i] for i in counts} | ({problem.base_type} - {None})
    return (
        sum(count * problem.weight[i] for i, count in counts.items()) >= problem.need
        and all(0 < count <= problem.most[i] for i, count in counts.items())
        and len(counts) >= problem.min_pools
        and len(types) <= problem.max_types
        and all(problem.zone_cap is None or held <= problem.zone_cap for held in zones.values())
        and all(problem.family_cap is None or held <= problem.family_cap for held in families.values())
        and (problem.budget is None or cost_of(problem.price, counts) <= problem.budget + 1e-9)
    )


def cost_of(each, counts: dict[int, int]) -> float:
    """The sum over the instances."""
    return sum(each[i] * count for i, count in counts.items())


def least_cost(problem: Problem) -> float | None:
    """The optimum, by trying all."""
    best = None
    for numbers in product(*(range(most + 1) for most in problem.most)):
        counts = {i: number for i, number in enumerate(numbers) if number}
        cost = cost_of(problem.cost, counts)
        if (best is None or cost < best) and keeps_the_limits(problem, counts):
            best = cost
    return best


def small_problem(rng: random.Random) -> Problem:
    """Six pools: three types of two families in two zones."""
    need, pools = rng.randint(1, 12), 6
    weight = [rng.choice((1, 2, 4)) for _type in range(3)] * 2
    price = [w * rng.uniform(0.5, 2) for w in weight]
    return Problem(
        need=need,
        weight=weight,
        cost=[p * rng.uniform(1, 2) for p in price],
        price=price,
        zone=["a"] * 3 + ["b"] * 3,
        family=["m5", "m5", "c5"] * 2,
        type=["m5.large", "m5.xlarge", "c5.large"] * 2,
        most=[min(rng.randint(1, 3), -(-need // w)) for w in weight],
        zone_cap=rng.choice((None, max(4, need // 2 + 1))),
        family_cap=rng.choice((None, max(4, need * 2 // 3))),
        min_pools=rng.randint(1, 3),
        max_types=rng.randint(1, 3),
        base_type=rng.choice((None, "c5.large")),
        budget=rng.choice((None, need * rng.uniform(0.6, 1.5))),
    )


def test_every_plan_is_within_a_hundredth_of_the_optimum_and_found_where_there_is_one():
    rng, feasible = random.Random(1), 0
    for number in range(150):
        problem = small_problem(rng)
        best, counts = least_cost(problem), solve(problem)
        assert (counts is None) == (best is None), (number, problem)
        if counts is not None:
            feasible += 1
            assert keeps_the_limits(problem, counts), (number, problem)
            assert cost_of(problem.cost, counts) <= best * 1.01, (number, problem)
    assert 40 < feasible < 140  # both kinds were among them


def test_nothing_needed_is_nothing_used():
    problem = Problem(0, [1], [1.0], [1.0], ["a"], ["m5"], ["m5.large"], [1], min_pools=3)
    assert solve(problem) == {}


def test_no_pools_cover_nothing():
    assert solve(Problem(1, [], [], [], [], [], [], [])) is None
