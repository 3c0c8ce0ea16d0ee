# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group saw of the market, made into a trace that can be replayed under another policy.

A pool is a zone and an instance type. It had room from the time that it gave an instance; it had none for more from the
time that it refused one or took one away until it gave one again: then it holds what the group still had there. A group
tries all its types in a zone before it says that the zone has nothing, so a refusal that names no type is one of the zone,
and whatever the zone gives ends it. AWS soon forgets what an instance was that has ended; what is told of such a one counts
for all types of its zone. Nobody knows whether a pool had room that was not asked: it is taken as open while it has a price.

Everything is in the group's unit. A pool's price is that of an instance over its capacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.costs import SpotHistory
from ansible_collections.spot.platform.plugins.module_utils.engine.market import GRANTED, LOST, REFUSED
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace
from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import Stay

OPEN = 10**6
"""The room of an open pool: more than any group asks for."""


@dataclass(frozen=True)
class Sighting:
    """Spot was granted in ``zone``, refused there, or lost. ``instance_type`` is ``None`` where it is not known."""

    time: datetime
    zone: str
    instance_type: str | None
    what: str


@dataclass(frozen=True)
class History:
    """What a group saw from ``since`` to ``until``. ``weights``: the capacity of an instance of each of its types;
    ``prices`` of its pools; ``stays`` of the instances that are known; ``stood_in``: when On-Demand stood in for Spot.
    """

    name: str
    since: datetime
    until: datetime
    zones: Sequence[str]
    weights: Mapping[str, int]
    prices: SpotHistory
    sightings: Sequence[Sighting]
    stays: Sequence[Stay] = ()
    stood_in: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True)
class Pool:
    """How well a pool is known. ``observed``: the share of the time in which it held an instance of the group, or was
    between the first and the last refusal of a spell; ``open``: the share in which it is taken as open; ``price``: the
    mean price of a unit, USD an hour, where it is known."""

    name: str
    observed: float
    open: float
    price: float | None


def pool_of_trace(trace: Trace, zone: str) -> Pool:
    """A pool of a recorded trace: all of it was observed."""
    paid = trace.prices.get(zone)
    mean = paid and trace.mean_price and trace.mean_price * sum(paid) / len(paid)
    return Pool(zone, 1.0, sum(map(bool, trace.room[zone])) / len(trace.room[zone]), mean or None)


@dataclass(frozen=True)
class Spell:
    """A pool without room: from ``begin`` to ``end``, refusing last at ``seen``."""

    begin: datetime
    seen: datetime
    end: datetime


def replayable(history: History, gap: float, billed: bool) -> tuple[Trace, list[Pool]]:
    """The history as a trace with ticks of ``gap`` seconds, and how well each of its pools is known.

    A pool without room at some moment of a tick has none in all of it, so that no loss falls between two ticks. Raises
    ``ValueError`` where there is nothing to replay.
    """
    ticks = int((history.until - history.since).total_seconds() // gap)
    if ticks < 2:
        raise ValueError(
            f"{history.name}: its history is {(history.until - history.since).total_seconds():.0f} s long, less than two "
            f"ticks of {gap:g} s: wait until there is more, or give a smaller tick_seconds"
        )
    keys = sorted((zone, kind) for zone, kind in history.prices if zone in history.zones and history.weights.get(kind))
    if not keys:
        raise ValueError(
            f"{history.name}: AWS knows no Spot price of {', '.join(sorted(history.weights))} in "
            f"{', '.join(sorted(history.zones))}, so there is no pool to replay"
        )
    starts = [history.since + timedelta(seconds=tick * gap) for tick in range(ticks)]
    paid, room, pools = {}, {}, []
    for zone, kind in keys:
        name = f"{zone}/{kind}"
        prices = _held(history.prices[zone, kind], starts)
        own = [one for one in history.stays if (one.zone, one.instance_type, one.lifecycle) == (zone, kind, "spot")]
        room[name], observed = _room(history, zone, kind, own, starts, gap)
        known = history.prices[zone, kind][0][0]
        room[name] = [0 if start + timedelta(seconds=gap) <= known else here for start, here in zip(starts, room[name])]
        paid[name] = [price / history.weights[kind] for price in prices]
        is_open = sum(here == OPEN for here in room[name]) / ticks
        pools.append(Pool(name, observed, is_open, sum(paid[name]) / ticks))
    mean = sum(map(sum, paid.values())) / (ticks * len(paid))
    relative = {name: [price / mean for price in prices] for name, prices in paid.items()}
    return Trace(history.name, gap, tuple(room), room, True, relative, mean, billed), pools


def _held(prices: Sequence[tuple[datetime, float]], moments: Sequence[datetime]) -> list[float]:
    """The price at each of ``moments``, both in order of time; the first holds before its time too."""
    found, number = [], 0
    for moment in moments:
        while number + 1 < len(prices) and prices[number + 1][0] <= moment:
            number += 1
        found.append(prices[number][1])
    return found


def _room(
    history: History, zone: str, kind: str, own: Sequence[Stay], starts: Sequence[datetime], gap: float
) -> tuple[list[int], float]:
    """The pool's room at each tick, and the share of the ticks in which it was observed."""
    ticks = len(starts)

    def between(begin: datetime, end: datetime) -> range:
        """The ticks that have a part of the time from ``begin`` to ``end``."""
        first, last = ((moment - starts[0]).total_seconds() // gap for moment in (begin, end))
        return range(max(0, int(first)), min(ticks, int(last) + 1))

    held, seen, room = [0] * ticks, [False] * ticks, [OPEN] * ticks
    for stay in own:
        for tick in between(stay.launched, stay.ended or history.until):
            seen[tick] = True
            # The tick in which it ended is not one that it could be kept through.
            if stay.ended is None or stay.ended >= starts[tick] + timedelta(seconds=gap):
                held[tick] += stay.capacity
    for spell in closed(history, zone, kind):
        for tick in between(spell.begin, spell.end):
            room[tick] = held[tick]
        for tick in between(spell.begin, spell.seen):
            seen[tick] = True
    return room, sum(seen) / ticks


def closed(history: History, zone: str, kind: str) -> list[Spell]:
    """When the pool had no room for more; spells of the zone and of the pool alone may overlap."""
    here = [one for one in _told(history) if one.zone == zone]
    of_zone = [one for one in here if one.instance_type is None or one.what == GRANTED]
    of_pool = [one for one in here if one.instance_type == kind or (one.instance_type is None and one.what == GRANTED)]
    return _spells(of_zone, history.until) + _spells(of_pool, history.until)


def _told(history: History) -> list[Sighting]:
    """The sightings without what was On-Demand, most likely: while that stood in, an instance that was granted and of
    which nothing else is known tells nothing of Spot before it stands in no more."""
    found = []
    for one in history.sightings:
        if one.what == GRANTED and one.instance_type is None:
            ends = [end for begin, end in history.stood_in if begin <= one.time < end]
            one = Sighting(max(ends), one.zone, None, GRANTED) if ends else one
        found.append(one)
    return found


def _spells(sightings: Iterable[Sighting], until: datetime) -> list[Spell]:
    found: list[Spell] = []
    begin = seen = None
    for one in sorted(sightings, key=lambda one: (one.time, one.what == GRANTED)):
        if one.what != GRANTED:
            begin, seen = begin or one.time, one.time
        elif begin is not None:
            found.append(Spell(begin, seen, one.time))
            begin = None
    return found if begin is None else [*found, Spell(begin, seen, until)]


def events_of(events: Iterable[Mapping[str, Any]], region: str, group: str) -> list[tuple[datetime, Mapping[str, Any]]]:
    """The activity events of the group's capacity with their times, in order of time."""
    mine = [one for one in events if (one.get("region"), one.get("resource")) == (region, group)]
    timed = [(datetime.fromisoformat(one["time"].replace("Z", "+00:00")), one) for one in mine]
    return sorted((one for one in timed if one[1]["kind"].startswith("capacity.")), key=lambda one: one[0])


def told(timed: Iterable[tuple[datetime, Mapping[str, Any]]]) -> list[Sighting]:
    """What events tell of pools: of the autoscaler's own launches, which no scaling activity tells of."""
    found = []
    for time, event in timed:
        after = event.get("after")
        for what in (GRANTED, REFUSED, LOST):
            pools = after.get(what) if isinstance(after, Mapping) else None
            for pool in pools or ():
                zone, _slash, kind = pool.partition("/")
                found.append(Sighting(time, zone, kind, what))
    return found


def stood_in(timed: Iterable[tuple[datetime, Mapping[str, Any]]], until: datetime) -> list[tuple[datetime, datetime]]:
    """When On-Demand stood in for Spot, from ``capacity.fallback`` to ``capacity.returned``."""
    found, begin = [], None
    for time, event in timed:
        if event["kind"] == "capacity.fallback" and event.get("changed"):
            begin = begin or time
        elif event["kind"] == "capacity.returned" and begin is not None:
            found.append((begin, time))
            begin = None
    return found if begin is None else [*found, (begin, until)]
