# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a volume is to change now: what is wished, within its maximum, within a day's growth, and as often as EBS allows.

Sizes are GiB, times seconds since the epoch. Limits of EBS: https://docs.aws.amazon.com/ebs/latest/userguide/modify-volume-requirements.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

DAY = 86400.0
MOST = 4
"""Modifications of a volume that EBS lets begin within a `DAY`."""
LARGEST = {"gp2": 16384, "gp3": 65536, "io1": 16384, "io2": 65536, "st1": 16384, "sc1": 16384, "standard": 1024}
"""GiB that a volume of a type may have."""
SMALLEST = {"io1": 4, "io2": 4, "st1": 125, "sc1": 125}
"""GiB that a volume of a type has at least, where that is not 1."""
IOPS = {"gp3": (3000, 80000, 500), "io1": (100, 64000, 50), "io2": (100, 256000, 1000)}
"""Of the types that are told theirs: at least, at most, and at most for each GiB; gp3 may have its least at any size."""
THROUGHPUT = {"gp3": (125, 2000, 0.25)}
"""MiB/s of the types that are told theirs: at least, at most, and at most for each of its IOPS."""
UNDER_WAY = ("modifying", "optimizing")
MODIFIABLE = ("in-use", "available")

STEP_PERCENT = 20.0
"""By how much the volume of a file system grows that has enough and is told of all the same: it fills fast."""
LEAST_SHARE = 0.05
"""The least share of a volume that files are reckoned to have; a goal that leaves them less would never be reached."""

CHANGE, KEEP, DEFER, REFUSE = "change", "keep", "defer", "refuse"


@dataclass(frozen=True, slots=True)
class Change:
    """A modification that was begun: when, and the size that the volume had before."""

    began: float
    size: int


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as it is. ``modification``: the state of its last one, ``None`` where it is not known of one. ``past``: its
    modifications, oldest first, at least those of the last day that are known."""

    id: str
    size: int
    kind: str
    iops: int | None = None
    throughput: int | None = None
    state: str = "in-use"
    modification: str | None = None
    past: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a volume is to have. One of ``size``, ``percent`` (more than it has), ``free_percent`` (of the size is to be free,
    with ``used`` GiB in use) says how large; without any the size stays. ``kind``, ``iops`` and ``throughput`` stay where they
    are ``None``."""

    size: int | None = None
    percent: float | None = None
    free_percent: float | None = None
    used: float | None = None
    maximum: int | None = None
    kind: str | None = None
    iops: int | None = None
    throughput: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """A file system on its ``disk``: its size, what is ``used``, and what is ``available`` to ordinary users."""

    disk: float
    filesystem: float
    used: float
    available: float


@dataclass(frozen=True, slots=True)
class Plan:
    """``action``: `CHANGE`, `KEEP`, `DEFER` or `REFUSE`. ``size``, ``kind``, ``iops``, ``throughput``: of a change, what is asked
    of EBS, ``None`` for what stays. ``not_before``: of what is deferred, when it may be tried; ``None`` where only AWS knows.
    ``alert``: whether a limit of ours keeps the volume smaller than is wished."""

    action: str
    reasons: tuple[str, ...] = ()
    size: int | None = None
    kind: str | None = None
    iops: int | None = None
    throughput: int | None = None
    not_before: float | None = None
    alert: bool = False


def decide(volume: Volume, wish: Wish, day_percent: float, now: float) -> Plan:
    """What to do with a volume. ``day_percent``: how much of the size it had a day ago it may grow by in a day. Pure."""
    kind = wish.kind or volume.kind
    wanted = _wanted(volume, wish)
    problem = _problem(volume, wish, wanted, kind)
    if problem:
        return Plan(REFUSE, (problem,))
    reasons: list[str] = []
    limit, what = _limit(volume, wish, kind, day_percent, now)
    size, alert = max(volume.size, min(wanted, limit)), wanted > max(volume.size, limit)
    if wanted > volume.size:
        reasons.append(_why(volume, wish, wanted))
    if alert:
        reasons.append(what)
    if volume.kind == "gp2" and wish.kind is None:
        reasons.append("gp3 costs a fifth less a GiB than gp2, with 3,000 IOPS or more at any size: ask for type gp3 to change it")
    figures = {
        "size": size if size > volume.size else None,
        "kind": kind if kind != volume.kind else None,
        "iops": wish.iops if wish.iops not in (None, volume.iops) else None,
        "throughput": wish.throughput if wish.throughput not in (None, volume.throughput) else None,
    }
    if not any(figures.values()):
        held = alert and _of_today(volume, now) and limit < _hard_limit(wish, kind)
        return Plan(
            DEFER if held else KEEP, tuple(reasons), alert=alert, not_before=_of_today(volume, now)[0].began + DAY if held else None
        )
    later, until = _not_now(volume, now)
    if later:
        return Plan(DEFER, (*reasons, later), not_before=until, alert=alert)
    return Plan(CHANGE, tuple(reasons), alert=alert, **figures)


def misfits(kind: str, size: int, iops: int | None, throughput: int | None) -> list[str]:
    """What keeps EBS from making such a volume; ``iops`` and ``throughput`` are ``None`` where the type's own are taken. Limits:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html"""
    problems = []
    least, most = SMALLEST.get(kind, 1), LARGEST[kind]
    if not least <= size <= most:
        problems.append(f"size is {size}: {kind} has from {least} to {most} GiB")
    if kind not in IOPS:
        if iops is not None:
            problems.append(f"iops is {iops}: {kind} is not told its IOPS, leave it out or take one of {', '.join(IOPS)}")
    elif iops is None:
        if kind != "gp3":
            problems.append(f"iops is missing: {kind} must be told its IOPS")
    else:
        floor, ceiling, share = IOPS[kind]
        ceiling = max(floor, min(ceiling, share * size))
        if not floor <= iops <= ceiling:
            problems.append(f"iops is {iops}: {kind} of {size} GiB has from {floor} to {ceiling}")
    if kind not in THROUGHPUT:
        if throughput is not None:
            problems.append(f"throughput is {throughput}: {kind} is not told its throughput, leave it out or take {', '.join(THROUGHPUT)}")
    elif throughput is not None:
        floor, ceiling, part = THROUGHPUT[kind]
        ceiling = min(ceiling, math.floor(part * (iops or IOPS[kind][0])))
        if not floor <= throughput <= ceiling:
            problems.append(f"throughput is {throughput}: {kind} with {iops or IOPS[kind][0]} IOPS has from {floor} to {ceiling} MiB/s")
    return problems


def wish_for(usage: Usage, grow_below: float, free_percent: float, maximum: int | None, told: bool) -> Wish | None:
    """What the volume of a file system is to have, ``None`` where it has enough: ``grow_below`` percent of it that are free, unless
    somebody ``told`` of it.

    What is neither used nor available - tables of inodes, reserved blocks - is a share of the file system, however large it is. So
    ``used`` is in ``used / (1 - lost - free)`` of a disk when ``free`` of it is free, and a file system that has not all of its disk
    yet is judged as it will be.
    """
    lost = 1 - (usage.used + usage.available) / usage.filesystem
    free = 100 * (1 - lost - usage.used / usage.disk)
    if free >= grow_below and not told:
        return None
    if free >= free_percent:
        return Wish(percent=STEP_PERCENT, maximum=maximum)
    size = usage.used / max(LEAST_SHARE, 1 - lost - free_percent / 100)
    return Wish(free_percent=free_percent, used=round(size * (1 - free_percent / 100), 6), maximum=maximum)


def deferred(volume: Volume, plan: Plan, why: str, too_often: bool, now: float) -> Plan:
    """What becomes of a plan that EBS refuses for now: somebody else was there in between, or before, and has left no trace.
    ``too_often``: because of the modifications of a day, which are all a day old when the last one that is known of is."""
    last = volume.past[-1].began if volume.past else now
    return Plan(DEFER, (*plan.reasons, why), not_before=last + DAY if too_often else None, alert=plan.alert)


def _wanted(volume: Volume, wish: Wish) -> int:
    """The size that is wished, before any limit."""
    if wish.size is not None:
        return wish.size
    if wish.percent is not None:
        return math.ceil(volume.size * (1 + wish.percent / 100) - 1e-9)
    if wish.free_percent is not None and wish.used is not None:
        return max(volume.size, math.ceil(wish.used / (1 - wish.free_percent / 100) - 1e-9))
    return volume.size


def _why(volume: Volume, wish: Wish, wanted: int) -> str:
    if wish.percent is not None:
        return f"{wish.percent:g} % more than {volume.size} GiB are {wanted} GiB"
    if wish.free_percent is not None:
        return f"with {wish.used:g} GiB in use {wish.free_percent:g} % are free at {wanted} GiB"
    return f"{wanted} GiB are wanted, it has {volume.size}"


def _problem(volume: Volume, wish: Wish, wanted: int, kind: str) -> str | None:
    """Why a wish cannot be had, whenever it is asked."""
    if kind not in LARGEST:
        return f"there is no type {kind}: use one of {', '.join(LARGEST)}"
    if wanted < volume.size:
        return f"{wanted} GiB are wanted, below its {volume.size}: EBS cannot shrink a volume, the role volume_shrink replaces it by a smaller one"
    if wish.maximum is not None and wish.maximum < volume.size:
        return f"its maximum is {wish.maximum} GiB, below its {volume.size}: make it {volume.size} or more"
    if volume.size > LARGEST[kind]:
        return f"it has {volume.size} GiB, and {kind} may have {LARGEST[kind]} at most"
    return None


def _hard_limit(wish: Wish, kind: str) -> int:
    return min(LARGEST[kind], wish.maximum if wish.maximum is not None else LARGEST[kind])


def _limit(volume: Volume, wish: Wish, kind: str, day_percent: float, now: float) -> tuple[int, str]:
    """The most that the volume may have now, and which limit says so."""
    hard = _hard_limit(wish, kind)
    today = _of_today(volume, now)
    before = today[0].size if today else volume.size
    daily = math.floor(before * (1 + day_percent / 100) + 1e-9)
    if daily < hard:
        return daily, f"it may grow by {day_percent:g} % of its {before} GiB of a day ago, to {daily} GiB: raise max_growth_percent if it must be more"
    name = "the maximum of its wish" if wish.maximum is not None and wish.maximum <= LARGEST[kind] else f"the most that {kind} may have"
    return hard, f"{hard} GiB are {name}"


def _not_now(volume: Volume, now: float) -> tuple[str | None, float | None]:
    """Why EBS would refuse a modification now, and until when."""
    if volume.state not in MODIFIABLE:
        return f"it is {volume.state}: only volumes that are {' or '.join(MODIFIABLE)} can be modified", None
    if volume.modification in UNDER_WAY:
        return f"a modification is {volume.modification}: the next may begin when it is completed", None
    today = _of_today(volume, now)
    if len(today) >= MOST:
        return f"{MOST} modifications began within 24 hours, the most that EBS allows", today[-MOST].began + DAY
    return None, None


def _of_today(volume: Volume, now: float) -> Sequence[Change]:
    return [one for one in volume.past if now - one.began < DAY]
