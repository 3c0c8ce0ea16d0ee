"""Which policy plays which trace, for how long: one run, one row."""

from __future__ import annotations

import functools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.spot.platform.plugins.module_utils import traces
from ansible_collections.spot.platform.plugins.module_utils.engine import simulation
from ansible_collections.spot.platform.plugins.module_utils.engine.comparison import OTHERS, OURS
from ansible_collections.spot.platform.plugins.module_utils.engine.replay import Ours
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import WORTH

from . import baselines, oracle

ORACLE = "oracle"
BASELINES: dict[str, Callable[[], simulation.Policy]] = {
    "all-on-demand": OTHERS["all-on-demand"],
    "static-mix": OTHERS["static-mix"],
    "round-robin": baselines.RoundRobin,
    "spothedge": baselines.SpotHedge,
}
POLICIES = (*BASELINES, ORACLE, OURS)
PROFILES = tuple(WORTH)

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Market:
    """How a folder of traces is read: seconds a tick (None: as its files say), and what Spot and On-Demand cost.

    On-Demand costs ``od_ratio`` times the mean Spot price, or where ``od_price`` (USD an hour) is given what that is of
    the traced mean. ``billed``: Spot costs its traced price instead of 1.
    """

    folder: Path
    gap: float | None = None
    od_ratio: float = 3.0
    od_price: float | None = None
    billed: bool = False

    @property
    def trace(self) -> simulation.Trace:
        """The traces; raises ``ValueError`` where there are none, or not what is asked for."""
        trace = _load(self.folder, self.gap)
        if (self.billed or self.od_price) and trace.mean_price is None:
            raise ValueError(f"{self.folder} has no prices: leave out --prices and --od-price")
        return replace(trace, billed=self.billed)

    @property
    def ratio(self) -> float:
        """The On-Demand price in the unit of the Spot price."""
        if self.od_price is None:
            return self.od_ratio
        return self.od_price / (self.trace.mean_price or 1.0)


_load = functools.lru_cache(maxsize=None)(traces.load)


@dataclass(frozen=True)
class Spell:
    """Which part of the trace is played: ``windows`` random ones, each with an empty fleet at first, or all of it."""

    windows: int = 10
    hours: float = 24.0
    seed: int = 0
    whole: bool = False

    def of(self, trace: simulation.Trace) -> list[tuple[int, int]]:
        """The parts as (start, ticks)."""
        return [(0, len(trace))] if self.whole else windows(trace, self.windows, self.hours, self.seed)


def windows(trace: simulation.Trace, count: int, hours: float, seed: int) -> list[tuple[int, int]]:
    """``count`` random windows of ``hours`` as (start, ticks); raises ``ValueError`` where the trace is shorter."""
    ticks = round(hours * 3600 / trace.gap)
    if ticks > len(trace):
        have = len(trace) * trace.gap / 3600
        raise ValueError(
            f"{trace.name} is {have:.1f} hours long, a window of {hours:g} hours does not fit: ask for less"
        )
    rng = random.Random(seed)
    return [(rng.randint(0, len(trace) - ticks), ticks) for _each in range(count)]


def worst(trace: simulation.Trace, hours: float) -> tuple[int, int]:
    """The window of ``hours``, as (start, ticks), in which zones lost room most often, whatever a policy had there."""
    ticks = min(len(trace), round(hours * 3600 / trace.gap))
    lost = [0]
    for tick in range(1, len(trace)):
        lost.append(lost[-1] + sum(1 for room in trace.room.values() if room[tick] < room[tick - 1]))
    step = max(1, round(3600 / trace.gap))
    start = max(range(0, len(trace) - ticks + 1, step), key=lambda first: lost[first + ticks - 1] - lost[first])
    return start, ticks


@dataclass(frozen=True)
class Run:
    """A policy on a market for a spell; ``profile`` is None for all but ours. Times are seconds."""

    market: Market
    policy: str
    profile: str | None
    target: int
    notice: int
    cold_start: float
    spell: Spell

    def __str__(self) -> str:
        name = f"{self.policy} ({self.profile})" if self.profile else self.policy
        mode = "whole" if self.spell.whole else "cold"
        return f"{self.market.folder.name}, target {self.target}, notice {self.notice}, {mode}: {name}"

    def play(self, start: int, ticks: int, watch: Callable[..., None] | None = None) -> simulation.Outcome:
        """Play a part with a new policy."""
        trace, ratio = self.market.trace, self.market.ratio
        setting = (start, ticks, self.target, ratio, self.cold_start, self.notice)
        policy: simulation.Policy
        if self.policy == ORACLE:
            policy = oracle.Oracle(oracle.plan(trace, *setting)[0], trace.gap)
        else:
            policy = Ours(self.profile) if self.profile else BASELINES[self.policy]()
        return simulation.play(trace, policy, *setting, watch)


def row(run: Run) -> dict[str, Any]:
    """What the run served and cost, with what was run."""
    result = simulation.Outcome()
    for start, ticks in run.spell.of(run.market.trace):
        result.add(run.play(start, ticks))
    spell = run.spell
    return {
        "trace": run.market.folder.name,
        "policy": run.policy,
        "profile": run.profile,
        "notice": run.notice,
        "target": run.target,
        **result.figures(),
        "gap": run.market.trace.gap,
        "mode": "whole" if spell.whole else "cold",
        "windows": 1 if spell.whole else spell.windows,
        "seed": None if spell.whole else spell.seed,
    }


@dataclass(frozen=True)
class Day:
    """What a policy had on a day of ``ticks``: (tick, On-Demand serving, Spot serving) at each change.

    Nobody could serve in the first ``cold`` ticks.
    """

    policy: str
    profile: str | None
    ticks: int
    cold: int
    changes: tuple[tuple[int, int, int], ...]
    figures: dict[str, float]


def day(run: Run) -> Day:
    """The worst day of the trace under the policy."""
    changes: list[tuple[int, int, int]] = []

    def watch(tick: int, fleet: list[simulation.Running], serving: int) -> None:
        now = tick * run.market.trace.gap
        on_demand = sum(1 for one in fleet if one.zone is None and now - one.launched_at >= run.cold_start)
        if not changes or changes[-1][1:] != (on_demand, serving - on_demand):
            changes.append((tick, on_demand, serving - on_demand))

    start, ticks = worst(run.market.trace, 24)
    result = run.play(start, ticks, watch)
    cold = math.ceil(run.cold_start / run.market.trace.gap)
    return Day(run.policy, run.profile, ticks, cold, tuple(changes), result.figures())


def kinds(policies: Sequence[str], profiles: Sequence[str]) -> list[tuple[str, str | None]]:
    """The policies with their profiles, in the order in which they are shown."""
    named = [(policy, None) for policy in POLICIES if policy in policies and policy != OURS]
    return named + [(OURS, profile) for profile in PROFILES if OURS in policies and profile in profiles]


def side_by_side(work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
    """``work`` of each job in as many processes as there are cores, as they end, with the job's number."""
    with ProcessPoolExecutor(min(len(os.sched_getaffinity(0)), max(1, len(jobs)))) as pool:
        futures = {pool.submit(work, job): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
