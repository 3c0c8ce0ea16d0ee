"""The allocation engine: how fast it plans over whole regions, and how near to the optimum.

Offers are those of the sandbox's market (real prices of all regions). The optimum is that of a mixed-integer program of
the same problem, risk-adjusted prices and all limits on, solved by HiGHS; where HiGHS does not prove it in its
time, its bound is taken for it, so that a gap is never understated.

    python tests/bench/allocation.py [--problems 200] [--seed 1]
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections"), str(ROOT / "tests" / "sandbox")]

import highspy  # noqa: E402  the paths above come first
from ansible_collections.spot.platform.plugins.module_utils.engine import allocation, covering  # noqa: E402
from ansible_collections.spot.platform.plugins.module_utils.engine.market import InstanceType, Offer  # noqa: E402
from spot_sandbox import market  # noqa: E402

from tests.bench.common import record  # noqa: E402

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
SOLVER_SECONDS = 30.0
SOLVER_GAP = 1e-5


def offers_of(region: str) -> list[Offer]:
    """All pools of the region, with what the sandbox knows of them."""
    found = []
    types = {name: InstanceType(**vars(market.type_info(name))) for name in market.types(region)}
    for zone, zone_id in sorted(market.zones(region).items()):
        for name, kind in types.items():
            price = market.spot_price(region, zone, name, NOW)
            if price is None and not market.offered(region, zone, name):
                continue
            on_demand, band = market.on_demand_price(region, name), market.band(region, name)
            found.append(Offer(region, zone, zone_id, kind, price, on_demand, band))
    return found


def random_problem(rng: random.Random, offers: list[Offer]) -> tuple[list[Offer], dict[str, Any]]:
    """Some types in some zones with scores and typical prices of their own, a target, and all limits on."""
    types = sorted({offer.instance_type.name for offer in offers if offer.spot_price is not None})
    names = set(rng.sample(types, min(len(types), rng.choice((6, 12, 25, 60, 150)))))
    zones = sorted({offer.zone for offer in offers})
    places = set(rng.sample(zones, rng.randint(min(2, len(zones)), len(zones))))
    some = []
    for offer in offers:
        if offer.instance_type.name in names and offer.zone in places:
            price = offer.spot_price and round(offer.spot_price * rng.uniform(0.8, 1.25), 4)
            typical = price and price * rng.uniform(0.7, 1.3)
            some.append(
                Offer(
                    offer.region,
                    offer.zone,
                    offer.zone_id,
                    offer.instance_type,
                    price,
                    offer.on_demand_price,
                    offer.interruption_band,
                    rng.randint(1, 10),
                    None,
                    typical,
                )
            )
    unit = rng.choice(("vcpus", "vcpus", "instances"))
    target = round(2 ** rng.uniform(1, 11)) if unit == "vcpus" else round(2 ** rng.uniform(0, 8))
    asked: dict[str, Any] = {
        "target": target,
        "unit": unit,
        "on_demand_base": rng.choice((0, 0, target // 10, target // 4)),
        "profile": rng.choice(sorted(allocation.PROFILES)),
    }
    limits = allocation.Limits(
        min_pools=rng.randint(2, 6),
        max_pool_share=round(rng.uniform(0.15, 0.6), 2),
        max_zone_share=round(rng.uniform(1 / len(places), 0.95), 2),
        max_family_share=round(rng.uniform(0.2, 0.8), 2),
        max_types=rng.choice((4, 8, 15, 40)),
    )
    budget = None
    try:  # a budget between too little and ample for what the plan costs without one
        budget = round(allocation.plan(some, limits=limits, **asked).cost_per_hour * rng.uniform(0.85, 1.3), 4) or None
    except allocation.Infeasible:
        pass  # no budget will make it feasible
    asked["limits"] = allocation.Limits(**{**vars(limits), "budget_per_hour": budget})
    return some, asked


def problem_of(offers: list[Offer], asked: dict[str, Any]) -> covering.Problem:
    """The numbers that ``plan`` solves for these offers."""
    return allocation.question(offers, **asked).formulate()[0]


def optimum(problem: covering.Problem) -> tuple[str, float]:
    """``("optimal", cost)``, ``("bound", a cost that none is below)`` or ``("infeasible", inf)``, by HiGHS."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", SOLVER_SECONDS)
    solver.setOptionValue("mip_rel_gap", SOLVER_GAP)
    infinity, pools = highspy.kHighsInf, range(len(problem.cost))
    types = sorted(set(problem.type) | ({problem.base_type} - {None}))
    columns = [(0, problem.most[i], problem.cost[i]) for i in pools]  # instances of each pool,
    columns += [(0, 1, 0.0)] * len(pools)  # whether the pool counts as used,
    columns += [(int(name == problem.base_type), 1, 0.0) for name in types]  # whether the type is
    for low, high, cost in columns:
        solver.addCol(cost, low, high, 0, [], [])
    for column in range(len(columns)):
        solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)

    def row(low: float, high: float, terms: dict[int, float]) -> None:
        solver.addRow(low, high, len(terms), list(terms), list(terms.values()))

    used, kind = len(pools), {name: 2 * len(pools) + place for place, name in enumerate(types)}
    row(problem.need, infinity, {i: problem.weight[i] for i in pools})
    row(problem.min_pools, infinity, {used + i: 1 for i in pools})
    row(0, problem.max_types, {column: 1 for column in kind.values()})
    if problem.budget is not None:
        row(-infinity, problem.budget, {i: problem.price[i] for i in pools})
    for cap, groups in ((problem.zone_cap, problem.zone), (problem.family_cap, problem.family)):
        if cap is not None:
            for group in sorted(set(groups)):
                row(0, cap, {i: problem.weight[i] for i in pools if groups[i] == group})
    for i in pools:
        row(0, infinity, {i: 1, used + i: -1})
        row(-infinity, 0, {i: 1, kind[problem.type[i]]: -problem.most[i]})
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    if status == highspy.HighsModelStatus.kInfeasible:
        return "infeasible", float("inf")
    if status == highspy.HighsModelStatus.kOptimal:
        return "optimal", info.objective_function_value
    return "bound", info.mip_dual_bound


def near_the_optimum(count: int, seed: int) -> tuple[dict[str, Any], bool]:
    """Gaps over ``count`` random problems, in percent of the optimum."""
    rng = random.Random(seed)
    regions = market.regions()
    catalogue = {region: offers_of(region) for region in rng.sample(regions, 8)}
    gaps, worst, agreed, feasible, bounded, wrong = [], (0.0, -1), 0, 0, 0, []
    ours = solver = 0.0
    for number in range(count):
        offers, asked = random_problem(rng, catalogue[rng.choice(sorted(catalogue))])
        start = time.process_time()
        try:
            problem = problem_of(offers, asked)
            counts = covering.solve(problem)
        except allocation.Infeasible:
            counts, problem = None, None
        ours += time.process_time() - start
        start = time.process_time()
        status, best = optimum(problem) if problem and problem.need else ("optimal", 0.0)
        solver += time.process_time() - start
        bounded += status == "bound"
        if (counts is None) == (status == "infeasible"):
            agreed += 1
        else:
            wrong.append(number)
        if counts is None or status == "infeasible":
            continue
        feasible += 1
        cost = sum(problem.cost[i] * n for i, n in counts.items())
        gaps.append(100 * (cost / best - 1) if best > 0 else 0.0)
        worst = max(worst, (gaps[-1], number))
        print(f"\r  {number + 1}/{count}: worst gap {worst[0]:.3f} %", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    figures = {
        "problems": count,
        "feasible": feasible,
        "feasibility_agreed": agreed,
        "feasibility_disagreed_at": wrong,
        "solver_stopped_at_bound": bounded,
        "gap_percent_mean": round(statistics.fmean(gaps), 4),
        "gap_percent_p95": round(statistics.quantiles(gaps, n=20)[-1], 4),
        "gap_percent_max": round(worst[0], 4),
        "worst_problem": worst[1],
        "cpu_seconds_engine": round(ours, 2),
        "cpu_seconds_solver": round(solver, 2),
    }
    return figures, worst[0] <= 1.0 and agreed == count


def fast_enough() -> tuple[dict[str, Any], bool]:
    """CPU time of ``plan`` over whole catalogues, and the memory of this process."""
    regions = market.regions()
    catalogues = {region: offers_of(region) for region in regions}
    largest = max(regions, key=lambda region: len(catalogues[region]))
    limits = allocation.Limits(5, 0.3, 0.5, 0.4, 500.0)
    gc.collect()
    seconds = {}
    for target in (8, 100, 5000):
        start = time.process_time()
        allocation.plan(catalogues[largest], target, "vcpus", target // 10, limits, "balanced")
        seconds[target] = time.process_time() - start
    start = time.process_time()
    planned = [region for region in regions if len(catalogues[region]) > 100][:30]
    for region in planned:
        allocation.plan(catalogues[region], 100, "vcpus", 10, limits, "balanced")
    thirty = (time.process_time() - start) * 30 / len(planned)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "region": largest,
        "pools": len(catalogues[largest]),
        "cpu_ms_by_target": {str(target): round(1000 * spent, 1) for target, spent in seconds.items()},
        "regions_planned": len(planned),
        "pools_planned": sum(len(catalogues[region]) for region in planned),
        "cpu_seconds_30_regions": round(thirty, 3),
        "peak_memory_mb": round(peak, 1),
    }
    return figures, max(seconds.values()) < 0.1 and thirty < 2 and peak < 200


def main() -> None:
    """Run both and record them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    market.configure(seed=arguments.seed, origin=NOW.timestamp())
    figures, met = fast_enough()
    goal = "a region's whole catalogue in under 100 ms of CPU, 30 regions in under 2 s, under 200 MB"
    print(record("allocation_speed", figures, goal, met))
    figures, met = near_the_optimum(arguments.problems, arguments.seed)
    goal = "every plan within 1 % of the MILP optimum, all limits on; feasible exactly where the MILP is"
    print(record("allocation_optimality", figures, goal, met))


if __name__ == "__main__":
    main()
