"""How good a policy can get that is told the present: a bound for the backtest's, which sees only what it asked for and what it lost.

    python tests/bench/informed.py [--traces DIR] [--target 3] [--worth 200 400 800 1200 1600 3200] [--windows 10 --seed 0]

At each tick this policy knows which zones have room and for how long they have had it. It knows the chance that a zone is lost from
the whole trace, its future included: by the zone, its age and how many others of its region are closed; and how often two zones were lost
together. It takes what costs least in the next tick, Spot and On-Demand, with the shortage to expect, and **moves cost it nothing**: what
it wants to have elsewhere serves there at once. Only what is lost comes back after a cold start. On-Demand costs three times Spot, there
is no notice.

``--worth``: what a tick short of the target is worth, in Spot ticks of one instance. Each row is one of them: availability and cost
of the trace as a whole, and loss(30) in cold windows of a day against SpotHedge's in the same ones.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace  # noqa: E402  the paths above come first
from tests.bench import backtest  # noqa: E402
from tests.bench.backtesting import runs  # noqa: E402
from tests.bench.common import DATA  # noqa: E402

RATIO, COLD_START = 3.0, 120.0
AGES = (0, 1 / 6, 1 / 2, 1, 3, 6, 12, 24, 48)
"""Hours from which a zone is of the next class of age."""
PRIOR = 2.0
"""How many losses the chance of all zones of an age is worth, beside the zone's own."""
WIDEST, SPARES = 5, 3

Composition = tuple[tuple[str, int], ...]


class Past:
    """What the whole trace tells of its zones; ``known[tick][zone]`` is its class before the tick, ``None`` while it is closed."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.known = list(self._classes())
        seen: Counter[object] = Counter()
        lost: Counter[object] = Counter()
        joint: Counter[tuple[str, str]] = Counter()
        beside: Counter[tuple[str, str]] = Counter()
        for tick in range(1, len(trace)):
            up = [zone for zone in trace.zones if self.known[tick][zone] is not None]
            gone = [zone for zone in up if not trace.room[zone][tick]]
            for zone in up:
                kind = self.known[tick][zone]
                for key in (kind, (zone, kind)):
                    seen[key] += 1
                    lost[key] += zone in gone
            beside.update((one, other) for one in gone for other in up if other != one)
            joint.update((one, other) for one in gone for other in gone if other != one)
        self.chances = {}
        for zone in trace.zones:
            for kind in {kind for tick in self.known if (kind := tick[zone]) is not None}:
                usual = lost[kind] / seen[kind] if seen[kind] else 0.0
                prior = PRIOR / usual if usual else 0.0
                own = lost[zone, kind] + (PRIOR if usual else 0.0)
                self.chances[zone, kind] = own / max(1.0, seen[zone, kind] + prior)
        self.together = {pair: joint[pair] / beside[pair] for pair in beside}

    def _classes(self) -> Iterator[dict[str, tuple[int, int] | None]]:
        trace = self.trace
        age = dict.fromkeys(trace.zones, 0.0)
        for tick in range(len(trace)):
            found: dict[str, tuple[int, int] | None] = {}
            for zone in trace.zones:
                others = [one for one in trace.zones if one[:-1] == zone[:-1] and one != zone]
                closed = sum(1 for one in others if not age[one])
                region = 0 if not closed else 2 if closed == len(others) else 1
                kind = sum(1 for start in AGES if age[zone] >= start) - 1
                found[zone] = (kind, region) if age[zone] else None
            yield found
            for zone in trace.zones:
                age[zone] = age[zone] + trace.gap / 3600 if trace.room[zone][tick] else 0.0

    def chance(self, zone: str, tick: int) -> float:
        """That the zone, which has room before the tick, has none at it."""
        return self.chances[zone, self.known[tick][zone]]

    def lost_together(self, one: str, other: str, chances: dict[str, float]) -> float:
        """The chance that both are lost at the tick, whichever of them is thought of first."""
        first = chances[one] * self.together.get((one, other), 0.0)
        return (first + chances[other] * self.together.get((other, one), 0.0)) / 2


def compositions(zones: Sequence[str], target: int) -> Iterator[Composition]:
    """All ways to hold ``target`` and up to `SPARES` more in up to `WIDEST` of ``zones``."""
    for width in range(1, min(WIDEST, len(zones)) + 1):
        for chosen in itertools.combinations(zones, width):
            for total in range(max(target, width), target + SPARES + 1):
                for cuts in itertools.combinations(range(1, total), width - 1):
                    edges = (0, *cuts, total)
                    yield tuple((zone, edges[at + 1] - edges[at]) for at, zone in enumerate(chosen))


def shortage(past: Past, held: Composition, target: int, chances: dict[str, float]) -> float:
    """The chance that fewer than ``target`` serve at the tick: one zone lost that is too many, or two that are together."""
    spare = sum(count for _zone, count in held) - target
    alone = sum(chances[zone] for zone, count in held if count > spare)
    few = [(zone, count) for zone, count in held if count <= spare]
    pairs = itertools.combinations(few, 2)
    return alone + sum(past.lost_together(one, other, chances) for (one, n), (other, m) in pairs if n + m > spare)


def best(past: Past, target: int, worth: float, chances: dict[str, float]) -> tuple[int, Composition]:
    """How many On-Demand, and which Spot beside them, cost least in the next tick together with the shortage."""
    zones = sorted(chances, key=chances.__getitem__)[: WIDEST + 1]
    options: list[tuple[float, int, Composition]] = [(target * RATIO, target, ())]
    for on_demand in range(target):
        for one in compositions(zones, target - on_demand):
            cost = on_demand * RATIO + sum(count for _zone, count in one)
            options.append((cost + worth * shortage(past, one, target - on_demand, chances), on_demand, one))
    _least, on_demand, held = min(options)
    return on_demand, held


def play(past: Past, target: int, worth: float) -> tuple[list[float], list[int]]:
    """Of each tick: what it cost, in Spot Instances, and how many of the target served."""
    trace = past.trace
    cold = math.ceil(COLD_START / trace.gap)
    costs, serving = [], [target] * (len(trace) + cold)
    held: Composition = ()
    on_demand = target
    found: dict[tuple[object, ...], tuple[int, Composition]] = {}
    for tick in range(len(trace)):
        left = on_demand + sum(count for zone, count in held if trace.room[zone][tick])
        for later in range(tick, tick + cold if left < target else tick):
            serving[later] = min(serving[later], left)
        on_demand, held = target, ()
        up = [zone for zone in trace.zones if trace.room[zone][tick]]
        if up and tick + 1 < len(trace):
            chances = {zone: past.chance(zone, tick + 1) for zone in up}
            key = tuple(chances.items())
            if key not in found:
                found[key] = best(past, target, worth, chances)
            on_demand, held = found[key]
        costs.append(sum(count for _zone, count in held) + on_demand * RATIO)
    return costs, serving[: len(trace)]


def loss(costs: Sequence[float], serving: Sequence[int], spells: Sequence[tuple[int, int]], target: int, cold: int) -> float:
    """loss(30) over the spells: the ticks of the first cold start count for the cost alone, as in the backtest."""
    cost = sum(sum(costs[start : start + ticks]) for start, ticks in spells) / sum(ticks for _start, ticks in spells)
    served = [count for start, ticks in spells for count in serving[start + cold : start + ticks]]
    return cost / (target * RATIO) + 30 * (1 - sum(served) / len(served) / target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=DATA / "traces")
    parser.add_argument("--target", type=int, default=3)
    parser.add_argument("--worth", type=float, nargs="+", default=[200, 400, 800, 1200, 1600, 3200])
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'trace':<14}{'worth':>7}{'available, %':>14}{'cost':>8}{'loss(30), of SpotHedge':>24}")
    for folder in backtest.sets_of(options.traces):
        market = runs.Market(folder)
        trace = market.trace
        if trace.limited:
            raise SystemExit(f"{folder} counts the room of its zones: this is for traces that say open or closed")
        spell = runs.Spell(windows=options.windows, seed=options.seed)
        theirs = runs.row(runs.Run(market, "spothedge", None, options.target, 0, COLD_START, spell))["loss_30"]
        past = Past(trace)
        for worth in options.worth:
            costs, serving = play(past, options.target, worth)
            available = sum(1 for count in serving if count >= options.target) / len(trace)
            cost = sum(costs) / len(trace) / (options.target * RATIO)
            ours = loss(costs, serving, spell.of(trace), options.target, math.ceil(COLD_START / trace.gap))
            print(f"{trace.name:<14}{worth:>7g}{available:>14.2%}{cost:>8.3f}{ours / theirs:>24.2f}", flush=True)


if __name__ == "__main__":
    main()
