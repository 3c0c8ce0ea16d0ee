"""The market of a trace, played to a policy tick by tick, by the rules of the design (section 6).

At each tick the room of every zone changes first, and instances above it are taken away (or told to go, where there is
notice). Then the policy sees what it has, what was taken and what was refused, and asks for Spot by zone and for
On-Demand. Spot is granted while the zone has room; what is refused the policy learns at the next tick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SPOT = "spot"
ON_DEMAND = "on_demand"


@dataclass(frozen=True)
class Trace:
    """Zones with their room at each tick of ``gap`` seconds, and the Spot price by tick, On-Demand costing ``ratio``.

    A room of ``None`` in `room_of` is without limit: a set whose values never exceed 1 only says open or closed.
    """

    name: str
    gap: int
    zones: tuple[str, ...]
    room: Mapping[str, Sequence[int]]
    limited: bool
    prices: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def prices_at(self, tick: int) -> dict[str, float]:
        """The Spot price of each zone; 1 where the trace has none."""
        return {zone: float(self.prices[zone][tick]) if zone in self.prices else 1.0 for zone in self.zones}

    def __len__(self) -> int:
        return min(len(room) for room in self.room.values())


def load(folder: Path, gap: int | None = None) -> Trace:
    """The traces of ``folder``, one JSON file a zone; raises ``ValueError`` for a folder that holds none or mixes gaps."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ValueError(f"{folder} holds no trace: it wants *.json with metadata.gap_seconds and data")
    read = {path.stem.split("_")[0]: json.loads(path.read_text(encoding="utf-8")) for path in files}
    gaps = {content["metadata"]["gap_seconds"] for content in read.values()}
    if len(gaps) > 1:
        raise ValueError(f"the traces in {folder} have different gaps: {sorted(gaps)}")
    room = {zone: content["data"] for zone, content in read.items()}
    prices = {zone: content["prices"] for zone, content in read.items() if content.get("prices")}
    limited = max(max(values) for values in room.values()) > 1
    return Trace(folder.name, gap or gaps.pop(), tuple(sorted(room)), room, limited, prices)


class Running:
    """An instance: taken or told to go at ``told_at``, gone at ``gone_at``, where that is known."""

    __slots__ = ("gone_at", "id", "launched_at", "lifecycle", "told_at", "zone")

    def __init__(self, number: int, zone: str | None, lifecycle: str, now: float) -> None:
        self.id = number
        self.zone = zone
        self.lifecycle = lifecycle
        self.launched_at = now
        self.told_at: float | None = None
        self.gone_at: float | None = None


@dataclass
class View:
    """What a policy sees at a tick. ``taken``: who went, or was told to go, at this tick; ``refused``: asked for at the
    last tick and not granted, by zone; ``served``: the longest-known facts are the policy's own to remember."""

    now: float
    gap: int
    zones: tuple[str, ...]
    instances: list[Running]
    taken: list[Running]
    refused: dict[str, int]
    target: int
    od_ratio: float
    cold_start: float
    notice: float
    prices: Mapping[str, float]


@dataclass
class Ask:
    """New Spot by zone, new On-Demand, and the ids of those to end."""

    spot: dict[str, int] = field(default_factory=dict)
    on_demand: int = 0
    end: Sequence[int] = ()


class Policy(Protocol):
    """A policy is stepped once a tick."""

    def step(self, view: View) -> Ask: ...


@dataclass
class Outcome:
    """What a run served and cost, summed over ticks. Shares are of the ticks after the fleet's first cold start."""

    ticks: int = 0
    available: int = 0
    served: int = 0
    wanted: int = 0
    cost: float = 0.0
    on_demand_cost: float = 0.0
    launches: int = 0
    seconds: float = 0.0
    longest_shortfall: float = 0.0

    def add(self, other: Outcome) -> None:
        """Take another run into the sums."""
        for name in ("ticks", "available", "served", "wanted", "cost", "on_demand_cost", "launches", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_shortfall = max(self.longest_shortfall, other.longest_shortfall)

    def figures(self) -> dict[str, float]:
        """The figures by which policies are compared."""
        service = self.served / self.wanted
        cost = self.cost / self.on_demand_cost
        return {
            "availability": self.available / self.ticks,
            "service": service,
            "cost": cost,
            **{f"loss_{w}": cost + w * (1 - service) for w in (3, 10, 30)},
            "launches_per_day": self.launches / (self.seconds / 86400),
            "longest_shortfall": self.longest_shortfall,
        }


def play(
    trace: Trace,
    policy: Policy,
    start: int,
    ticks: int,
    target: int,
    od_ratio: float = 3.0,
    cold_start: float = 120.0,
    notice: float = 0.0,
    watch=None,
    count_start: bool = False,
) -> Outcome:
    """Play ``ticks`` of ``trace`` from ``start``; the fleet starts empty. ``watch(tick, instances, serving)`` may look on."""
    gap, fleet, number = trace.gap, [], 0
    result, refused, short_since = Outcome(), {}, None
    prices = trace.prices
    for tick in range(ticks):
        at, now = start + tick, tick * float(gap)
        taken = []
        gone = {one.id for one in fleet if one.gone_at is not None and one.gone_at <= now}
        if gone:
            fleet = [one for one in fleet if one.id not in gone]
        for zone in trace.zones:
            room = trace.room[zone][at]
            if room and not trace.limited:
                continue
            mine = [one for one in fleet if one.zone == zone and one.told_at is None]
            for one in mine[room:]:  # the youngest first
                one.told_at, one.gone_at = now, now + notice
                taken.append(one)
        if taken and not notice:
            fleet = [one for one in fleet if one.told_at is None]
        ask = policy.step(
            View(now, gap, trace.zones, fleet, taken, refused, target, od_ratio, cold_start, notice, trace.prices_at(at))
        )
        if ask.end:
            ending = set(ask.end)
            fleet = [one for one in fleet if one.id not in ending]
        refused = {}
        for zone, count in ask.spot.items():
            room = trace.room[zone][at]
            if room and trace.limited:
                room = max(0, room - sum(1 for one in fleet if one.zone == zone))
            elif room:
                room = count
            for _each in range(min(room, count)):
                number += 1
                fleet.append(Running(number, zone, SPOT, now))
            if room < count:
                refused[zone] = count - room
        for _each in range(ask.on_demand):
            number += 1
            fleet.append(Running(number, None, ON_DEMAND, now))
        serving, hours = 0, 0.0
        for one in fleet:
            if now - one.launched_at >= cold_start:
                serving += 1
            stays = gap if one.gone_at is None else max(0.0, min(gap, one.gone_at - now))
            if one.lifecycle is ON_DEMAND:
                hours += stays * od_ratio
            else:
                hours += stays * (1.0 if one.zone not in prices else 1.0)
        result.cost += hours
        result.on_demand_cost += target * od_ratio * gap
        if watch:
            watch(tick, fleet, serving)
        if now < cold_start and not count_start:
            continue
        result.ticks += 1
        result.wanted += target
        result.served += min(serving, target)
        if serving >= target:
            result.available += 1
            short_since = None
        else:
            short_since = now if short_since is None else short_since
            result.longest_shortfall = max(result.longest_shortfall, now + gap - short_since)
    result.launches = number
    result.seconds = ticks * float(gap)
    return result


def windows(trace: Trace, count: int, hours: float, seed: int) -> list[tuple[int, int]]:
    """``count`` random windows of ``hours`` as (start, ticks)."""
    import random

    ticks = min(len(trace), round(hours * 3600 / trace.gap))
    rng = random.Random(seed)
    return [(rng.randint(0, len(trace) - ticks), ticks) for _each in range(count)]
