# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon a Spot pool will take its instances away, learned from what was observed of it.

The longer a pool has been up, the longer it stays up. Its *hazard*, losses per hour, after *u* hours of known up-time is
``LOSS_RATE * u ** -AGEING``: some 2.7 an hour in the first minutes, one in two hours after one hour, one a day after two
days. It is less while the other pools of its region have room, and more while they have none. Each pool has a factor of
its own, losses observed over losses expected so far (the mean of a Gamma posterior whose prior is worth
``PRIOR_LOSSES``), times what AWS says of it: its interruption band, its placement score, and its price against its usual
one. Where the figures come from: ``docs/decisions/0006-hazard-of-a-pool.md``.

A pool that refused or took an instance away is *closed*; the chance that it is open again follows a law of the same form
in the time since. A pool that was never asked was open for an unknown time: `DISCOVERED_HOURS` stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

HOUR = 3600.0
LOSS_RATE, AGEING = 0.55, 0.65
REOPENING_RATE, CLOSED_AGEING = 0.45, 0.7
YOUNGEST_HOURS = 5 / 60
"""Hazards of younger pools were not told apart in the traces."""
DISCOVERED_HOURS = 1.0
REMEMBERED, REMEMBERED_HOURS = 0.2, 0.5
"""The part of its up-time that a pool is credited with again after a loss, and at most how much."""
PRIOR_LOSSES = 2.0
HALF_LIFE_HOURS = 72.0
"""After this time what was observed counts half."""
BAND_FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5)
"""By interruption band, 0 (under 5 % a month) to 4 (over 20 %)."""
PROBE_AFTER, PROBE_LEAST = 0.1, 60.0
CALM, SCARCE, SCARCE_HOURS = 0.6, 5.0, 2.0
"""A pool is this much less hazardous where all others of its region have room, and `SCARCE` times more where none has; in
its first hours the difference is smaller."""
UNKNOWN_OPEN = 0.6
"""The chance that a pool of which nothing is known has room."""
TOGETHER_SAME_ZONE, TOGETHER_SAME_REGION, TOGETHER_ELSEWHERE = 0.5, 0.3, 0.05
"""The chance that a pool is lost at the same moment as another one, before anything was observed."""
TOGETHER_SAME_FAMILY = 0.1
"""What is added to that for the same family of types in another zone; in the same zone, half of what lacks to certainty."""
TOGETHER_PRIOR = 4.0
"""How many joint observations the prior is worth."""
WARNING = 0.3
"""What a rebalance recommendation counts as, in losses: of 30 that one operator saw in 17 hours, 9 were followed by the
interruption of the instance."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A place to get Spot from. ``price`` is that of one unit of capacity for an hour; ``capacity`` the units of one
    instance; ``price_ratio`` the price over its usual one; ``score`` 1 to 10; ``band`` 0 to 4; ``on_demand`` the price of a unit
    of the same type On-Demand; ``None`` is unknown.
    ``full``: no more is to be asked of it than it holds."""

    id: str
    zone: str
    price: float
    capacity: int = 1
    family: str = ""
    price_ratio: float | None = None
    score: int | None = None
    band: int | None = None
    on_demand: float | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a pool. Times are seconds since the epoch.

    ``up_hours``: watched up without a break, or credited; ``seen_at``: when it last held an instance of ours;
    ``closed_at`` and ``refused_at``: when it was first and last known to be closed, ``None`` when it is open or unknown;
    ``losses``: times that it went from open to closed; ``expected``: how many there should have been; ``hints``: what AWS's
    recommendations to leave it count, in losses; all three fading.
    """

    up_hours: float = 0.0
    seen_at: float | None = None
    closed_at: float | None = None
    refused_at: float | None = None
    losses: float = 0.0
    expected: float = 0.0
    hints: float = 0.0


NOTHING_KNOWN = Record()


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered between steps: a record of each pool, and of pairs of pools how often the second was lost with
    the first, and how often it could have been."""

    at: float | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    together: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a pool promises: ``hazard`` in losses an hour, the chance that it is ``open``; ``closed``: it is known to have
    refused, or taken away, since it last gave; ``probe``: and it is time to ask it again; ``full``: it holds instances and
    has refused more, or is not to be asked for more."""

    pool: Pool
    hazard: float
    open: float
    probe: bool = False
    closed: bool = False
    full: bool = False


def base_hazard(up_hours: float) -> float:
    """Losses an hour of a usual pool after ``up_hours`` of known up-time."""
    return LOSS_RATE * max(up_hours, YOUNGEST_HOURS) ** -AGEING


def expected_losses(up_hours: float) -> float:
    """The losses that a usual pool is expected to have had at an up-time of ``up_hours``: the hazard's integral."""
    young = min(up_hours, YOUNGEST_HOURS)
    power = 1 - AGEING
    old = LOSS_RATE / power * (max(up_hours, YOUNGEST_HOURS) ** power - YOUNGEST_HOURS**power)
    return young * base_hazard(0.0) + old


def learn(
    memory: Memory,
    now: float,
    held: Iterable[str],
    lost: Iterable[str],
    refused: Iterable[str],
    warned: Iterable[str] = (),
) -> Memory:
    """``memory`` after what was seen since it was made: which pools hold an instance, lost one, refused one, or have one
    that AWS recommends to leave."""
    held, lost = set(held), set(lost)
    closed = lost | set(refused)
    warned = set(warned) - closed
    hours = 0.0 if memory.at is None else max(0.0, now - memory.at) / HOUR
    fading = 0.5 ** (hours / HALF_LIFE_HOURS)
    records = dict(memory.records)
    for pool in records.keys() | held | closed | warned:
        record = records.get(pool, NOTHING_KNOWN)
        losses, expected = record.losses * fading, record.expected * fading
        hints = record.hints * fading + WARNING * (pool in warned)
        if pool in closed:
            if record.closed_at is None:
                known = pool in lost or record.seen_at is not None
                credit = min(record.up_hours * REMEMBERED, REMEMBERED_HOURS)
                run = expected_losses(record.up_hours)
                records[pool] = Record(credit, None, now, now, losses + known, expected + (run if known else 0))
            else:
                records[pool] = replace(record, refused_at=now, losses=losses, expected=expected, hints=hints)
        elif pool in held:
            up = record.up_hours
            if record.closed_at is None and record.seen_at is None:
                up = DISCOVERED_HOURS
            elif record.closed_at is None and record.seen_at == memory.at:
                up += hours
            records[pool] = Record(up, now, None, None, losses, expected, hints)
        elif (losses, expected, hints) != (record.losses, record.expected, record.hints):
            records[pool] = replace(record, losses=losses, expected=expected, hints=hints)
    return Memory(now, records, _together(memory, held, lost, fading))


def _together(
    memory: Memory, held: set[str], lost: set[str], fading: float
) -> Mapping[tuple[str, str], tuple[float, float]]:
    """The pairs, after the losses of one step: who else was lost, of those that could have been."""
    if not lost:
        return memory.together
    pairs = dict(memory.together)
    for one in lost:
        for other in (held | lost) - {one}:
            joint, chances = pairs.get((one, other), (0.0, 0.0))
            pairs[one, other] = (joint * fading + (other in lost), chances * fading + 1.0)
    return pairs


def factor(pool: Pool, record: Record, hinted: bool = True) -> float:
    """How much more (or less) hazardous than usual a pool is, by its own history and by what AWS says of it. ``hinted``: whether its
    recommendations to leave count."""
    running = expected_losses(record.up_hours) if record.closed_at is None else 0.0
    own = (PRIOR_LOSSES + record.losses + record.hints * hinted) / (PRIOR_LOSSES + record.expected + running)
    if pool.band is not None:
        own *= BAND_FACTORS[pool.band]
    if pool.score is not None:
        own *= 1.5 - pool.score / 10
    if pool.price_ratio is not None:
        own *= min(2.0, max(0.5, pool.price_ratio))
    return own


def prospects(pools: Iterable[Pool], memory: Memory, now: float, held: Iterable[str], hinted: bool = True) -> dict[str, Prospect]:
    """What each pool promises now, by its id. ``hinted``: whether AWS's recommendations to leave count."""
    pools, held = list(pools), set(held)
    opens = {
        pool.id: 1.0 if pool.id in held else open_chance(memory.records.get(pool.id, NOTHING_KNOWN), now)
        for pool in pools
    }
    closed: dict[str, list[float]] = {}
    for pool in pools:
        total = closed.setdefault(pool.zone[:-1], [0.0, 0.0])
        total[0] += 1 - opens[pool.id]
        total[1] += 1
    found = {}
    for pool in pools:
        record = memory.records.get(pool.id, NOTHING_KNOWN)
        known = record.seen_at is not None or record.closed_at is not None
        up = record.up_hours if known else DISCOVERED_HOURS
        missing, count = closed[pool.zone[:-1]]
        hazard = base_hazard(up) * factor(pool, record, hinted)
        if count > 1:
            share = (missing - 1 + opens[pool.id]) / (count - 1)
            hazard *= (CALM * SCARCE**share) ** min(1.0, up / SCARCE_HOURS)
        closed_since = record.closed_at is not None
        full = pool.full or (closed_since and pool.id in held)
        found[pool.id] = Prospect(pool, hazard, opens[pool.id], probe_due(record, now), closed_since, full)
    return found


def probe_due(record: Record, now: float) -> bool:
    """Whether to ask a closed pool again: after a tenth of the time that it has been closed, and a minute at least. A
    refusal costs nothing."""
    if record.closed_at is None or record.refused_at is None:
        return False
    return now - record.refused_at >= max(PROBE_LEAST, PROBE_AFTER * (record.refused_at - record.closed_at))


def open_chance(record: Record, now: float) -> float:
    """The chance that a pool that holds nothing of ours has room: by the law above, in the time since it was known."""
    if record.refused_at is not None and record.closed_at is not None:
        since = max((record.refused_at - record.closed_at) / HOUR, YOUNGEST_HOURS)
        until = max((now - record.closed_at) / HOUR, YOUNGEST_HOURS)
        power = 1 - CLOSED_AGEING
        return 0.7 * (1 - _surviving(REOPENING_RATE / power * (until**power - since**power)))
    if record.seen_at is None:
        return UNKNOWN_OPEN
    up, away = max(record.up_hours, YOUNGEST_HOURS), max(0.0, now - record.seen_at) / HOUR
    power = 1 - AGEING
    kept = _surviving(LOSS_RATE / power * ((up + away) ** power - up**power))
    return UNKNOWN_OPEN + (0.99 - UNKNOWN_OPEN) * kept


def _surviving(expected: float) -> float:
    """The chance of no event where ``expected`` are expected."""
    return math.exp(-expected)


def together(memory: Memory, one: Pool, other: Pool) -> float:
    """The chance that ``other`` is lost at the moment that ``one`` is."""
    if one.zone == other.zone:
        prior = TOGETHER_SAME_ZONE
    elif one.zone[:-1] == other.zone[:-1]:
        prior = TOGETHER_SAME_REGION
    else:
        prior = TOGETHER_ELSEWHERE
    if one.family and one.family == other.family:
        prior = (1 + prior) / 2 if one.zone == other.zone else prior + TOGETHER_SAME_FAMILY
    joint, chances = memory.together.get((one.id, other.id), (0.0, 0.0))
    return (TOGETHER_PRIOR * prior + joint) / (TOGETHER_PRIOR + chances)
