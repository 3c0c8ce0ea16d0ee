# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The market of a trace, played to a policy tick by tick, by the rules of the design (section 6).

At each tick the room of every zone changes first, and instances above it are taken away (or told to go, where there is
notice). Then the policy sees what it has, what was taken and what was refused, and asks for Spot by zone and for
On-Demand. Spot is granted while the zone has room; what is refused the policy learns at the next tick.

The ticks before the fleet's first cold start is over count for no policy's availability or service, since no policy
could serve in them; what they cost counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SPOT = "spot"
ON_DEMAND = "on_demand"
LOSSES = (3, 10, 30)
"""What an hour short of one instance may be worth, in On-Demand hours: the w of loss(w)."""


@dataclass(frozen=True)
class Trace:
    """Zones with their room at each tick of ``gap`` seconds.

    ``limited``: the room is a number of instances; else it only says open or closed. ``prices``: the Spot price by zone
    and tick, in multiples of the trace's mean price, ``mean_price`` (USD an hour); a zone without prices costs 1.
    A policy sees and pays these prices where ``billed``, else 1 for each Spot Instance.
    """

    name: str
    gap: float
    zones: tuple[str, ...]
    room: Mapping[str, Sequence[int]]
    limited: bool
    prices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    mean_price: float | None = None
    billed: bool = False

    def price(self, zone: str, tick: int) -> float:
        """The Spot price of the zone; 1 is the mean of the trace."""
        return self.prices[zone][tick] if zone in self.prices else 1.0

    def bill(self, zone: str, tick: int) -> float:
        """What a Spot Instance of the zone pays for the tick, as a rate."""
        return self.price(zone, tick) if self.billed else 1.0

    def __len__(self) -> int:
        return min(len(room) for room in self.room.values())


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
    """What a policy sees at a tick; what it wants to remember of earlier ones is its own business.

    ``taken``: who went, or was told to go, at this tick. ``refused``: what was asked for at the last tick and not
    granted, by zone. ``prices`` by zone and ``od_ratio``, the On-Demand price, are in the same unit. Times are seconds.
    """

    now: float
    gap: float
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
        """The figures by which policies are compared: shares, launches a day, and the longest shortfall in seconds."""
        service = self.served / self.wanted
        cost = self.cost / self.on_demand_cost
        return {
            "availability": self.available / self.ticks,
            "service": service,
            "cost": cost,
            **{f"loss_{w}": cost + w * (1 - service) for w in LOSSES},
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
    watch: Callable[[int, list[Running], int], None] | None = None,
    count_start: bool = False,
) -> Outcome:
    """Play ``ticks`` of ``trace`` from ``start``; the fleet starts empty. ``watch(tick, instances, serving)`` may look on."""
    gap, number = trace.gap, 0
    fleet: list[Running] = []
    refused: dict[str, int] = {}
    short_since: float | None = None
    flat = dict.fromkeys(trace.zones, 1.0)
    result = Outcome()
    for tick in range(ticks):
        at, now = start + tick, tick * float(gap)
        fleet = [one for one in fleet if one.gone_at is None or one.gone_at > now]
        taken = _take(trace, at, fleet, now, notice)
        if taken and not notice:
            fleet = [one for one in fleet if one.told_at is None]
        prices = {zone: trace.bill(zone, at) for zone in trace.zones} if trace.billed else flat
        view = View(now, gap, trace.zones, fleet, taken, refused, target, od_ratio, cold_start, notice, prices)
        ask = policy.step(view)
        if ask.end:
            ending = set(ask.end)
            fleet = [one for one in fleet if one.id not in ending]
        refused = {}
        for zone, count in ask.spot.items():
            granted = max(0, min(count, _free(trace, zone, at, fleet, count)))
            fleet += [Running(number + each, zone, SPOT, now) for each in range(1, granted + 1)]
            number += granted
            if granted < count:
                refused[zone] = count - granted
        fleet += [Running(number + each, None, ON_DEMAND, now) for each in range(1, ask.on_demand + 1)]
        number += max(0, ask.on_demand)
        serving = sum(1 for one in fleet if now - one.launched_at >= cold_start)
        for one in fleet:
            paid = gap if one.gone_at is None else min(gap, one.gone_at - now)
            result.cost += paid * (od_ratio if one.zone is None else trace.bill(one.zone, at))
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


def _take(trace: Trace, at: int, fleet: list[Running], now: float, notice: float) -> list[Running]:
    """Tell those above their zone's room to go, the youngest first, and return them."""
    taken = []
    for zone in trace.zones:
        room = trace.room[zone][at]
        if (room and not trace.limited) or room >= len(fleet):
            continue
        mine = [one for one in fleet if one.zone == zone and one.told_at is None]
        for one in mine[room:]:
            one.told_at, one.gone_at = now, now + notice
            taken.append(one)
    return taken


def _free(trace: Trace, zone: str, at: int, fleet: list[Running], count: int) -> int:
    """How many of ``count`` the zone has room for."""
    room = trace.room[zone][at]
    if not trace.limited:
        return count if room else 0
    return max(0, room - sum(1 for one in fleet if one.zone == zone))
