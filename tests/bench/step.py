"""The engine's decision: how long it takes with a hundred pools, for small fleets and large ones.

`supply.step` is the part of it that grows with pools and fleet; `autoscaling.decide` is all of it, its reasons too. Each
case is a fleet in the midst of things: of the pools some are aged, some closed, some were lost together; half of the target
is held and serves. Each repeat is another fleet; the median and the slowest tenth are recorded.

    python tests/bench/step.py [--pools 100] [--repeats 30] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from ansible_collections.spot.platform.plugins.module_utils.engine import (  # noqa: E402 - the paths above have to be set first
    autoscaling,
    risk,
    scaling,
    supply,
)

from tests.bench.common import record, table  # noqa: E402 - as above

GOAL = 5.0
"""CPU milliseconds: what else runs on the machine does not count."""
TARGETS = (3, 12, 60, 500)
CAPACITIES = {"capacity 1": (1,), "capacities 2 and 4": (2, 4)}
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1")
NOW = 1_000_000.0
OUTAGE_HOURS = 120 / risk.HOUR


def pools_of(rng: random.Random, count: int, capacities: tuple[int, ...]) -> list[risk.Pool]:
    """So many pools of twelve zones in four regions, of ten families."""
    zones = [f"{region}{letter}" for region in REGIONS for letter in "abc"]
    return [
        risk.Pool(
            f"pool{number}",
            zones[number % len(zones)],
            rng.uniform(0.8, 1.4),
            capacities[number % len(capacities)],
            f"family{number // len(zones) % 10}",
            rng.uniform(0.8, 1.3),
            rng.randint(1, 10),
            rng.randint(0, 4),
        )
        for number in range(count)
    ]


def memory_of(rng: random.Random, pools: list[risk.Pool], held: set[str]) -> risk.Memory:
    """What is known: all that is held is aged, of the others a third is aged, a third closed and a third unknown."""
    records = {}
    for pool in pools:
        kind = rng.randrange(3)
        losses, expected = rng.uniform(0, 4), rng.uniform(0, 4)
        if pool.id in held or kind == 0:
            seen_at = NOW - (60.0 if pool.id in held else rng.uniform(60, 36000))
            records[pool.id] = risk.Record(rng.uniform(0.1, 72), seen_at, None, None, losses, expected)
        elif kind == 1:
            closed_at = NOW - rng.uniform(600, 36000)
            records[pool.id] = risk.Record(0.2, None, closed_at, rng.uniform(closed_at, NOW), losses, expected)
    known = sorted(records)
    pairs = {(rng.choice(known), rng.choice(known)): (rng.uniform(0, 1), rng.uniform(1, 3)) for _pair in range(100)}
    return risk.Memory(NOW - 60.0, records, pairs)


def fleet_of(rng: random.Random, pools: list[risk.Pool], target: int) -> list[supply.Instance]:
    """Instances of some pools for half of the target, and On-Demand for a tenth."""
    places = rng.sample(pools, min(len(pools), 6))
    fleet: list[supply.Instance] = []
    while sum(one.capacity for one in fleet) < target // 2:
        pool = rng.choice(places)
        launched_at = NOW - rng.uniform(300, 90000)
        fleet.append(supply.Instance(f"i-{len(fleet):04}", pool.id, pool.capacity, launched_at, True))
    return fleet + [supply.Instance(f"od-{number:04}", None, 1, NOW - 600.0, True) for number in range(target // 10)]


def times(
    rng: random.Random, count: int, target: int, capacities: tuple[int, ...], repeats: int
) -> dict[str, list[float]]:
    """The CPU milliseconds of so many steps and decisions, each of another fleet, the profiles in turn."""
    found: dict[str, list[float]] = {"step": [], "decide": []}
    for number in range(repeats):
        pools = pools_of(rng, count, capacities)
        fleet = fleet_of(rng, pools, target)
        memory = memory_of(rng, pools, {one.pool for one in fleet if one.pool})
        profile = autoscaling.PROFILES[number % len(autoscaling.PROFILES)]
        smallest = min(capacities)
        seen = supply.Seen(NOW, target, 0, fleet, pools, memory)
        stakes = supply.Stakes(
            supply.WORTH[profile], 3.0, OUTAGE_HOURS, most_of_zone=0.5, on_demand_capacity=smallest, answered=True
        )
        observation = autoscaling.Observation(NOW, target, fleet, pools, memory, 3.0, smallest)
        policy = autoscaling.Policy(
            scaling.Scaling(1, 2 * target), profile=profile, most_of_zone=0.5, outage_hours=OUTAGE_HOURS
        )
        for name, work in (
            ("step", lambda: supply.step(seen, stakes)),
            ("decide", lambda: autoscaling.decide(observation, policy)),
        ):
            began = time.process_time()
            work()
            found[name].append(1000 * (time.process_time() - began))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    times(rng, options.pools, 3, (1,), 3)  # what runs first is slower
    figures, slowest = {}, 0.0
    for name, capacities in CAPACITIES.items():
        for target in TARGETS:
            for what, found in times(rng, options.pools, target, capacities, options.repeats).items():
                median, late = statistics.median(found), statistics.quantiles(found, n=10)[-1]
                slowest = max(slowest, late)
                figure = {"median": round(median, 2), "slowest tenth": round(late, 2)}
                figures[f"{what}, target {target}, {name}, ms"] = figure
    goal = f"a decision with {options.pools} pools takes less than {GOAL:g} ms, but for the slowest tenth of a case"
    record("step", figures, goal, slowest < GOAL)
    print(table())


if __name__ == "__main__":
    main()
