# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run must show: every shortage explained by an event, nothing orphaned, On-Demand given back, and what it cost.

Pure: it reads a history as `run.told` writes it. Times are seconds after the start, an app is ``group@region``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from . import troubles

REPLACED = 240.0
"""Seconds in which what is missing is there again once it can be had: the next step, boot, and the step that attaches it."""
HEARD = 360.0
"""Seconds in which a rise in traffic is served, or a loss without notice replaced: CloudWatch is a minute late, the steps of
quiet times are five apart."""
ATTACHED = 120
"""Seconds in which what was launched runs and is attached."""
LEASE = 120.0
"""Seconds that the lease of a controller that was killed keeps the others off."""
WEIGHT = 4
"""The most units of an instance: by less than that On-Demand may be above its base, by two of them all may be above what is
wanted, while one takes the other's place."""

History = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Cause:
    """What explains a shortage from ``begin`` to ``end``, of a group, of a region, or of all."""

    begin: float
    end: float
    text: str
    region: str | None = None
    group: str | None = None

    def concerns(self, group: str) -> bool:
        """Whether it is about ``group@region``."""
        return self.group in (None, group) and self.region in (None, group.partition("@")[2])


@dataclass(frozen=True)
class Shortage:
    """``least`` of ``target`` served from ``begin`` to ``end``; ``unexplained``: the seconds for which there is no cause."""

    group: str
    begin: float
    end: float
    least: int
    target: int
    causes: tuple[str, ...] = ()
    unexplained: float = 0.0


def judge(history: History) -> dict[str, Any]:
    """The verdict: figures, shortages with their causes, and findings, of which there must be none."""
    found = shortages(history)
    findings = [
        f"{one.group}: {one.least} of {one.target} served from {clock(one.begin)} to {clock(one.end)}, and nothing explains "
        f"{one.unexplained:.0f} s of it"
        for one in found
        if one.unexplained > 0
    ]
    findings += orphans(history["remains"]) + ends(history)
    return {
        "findings": findings,
        "figures": figures(history, found),
        "shortages": [
            {
                "group": one.group,
                "begin": one.begin,
                "end": one.end,
                "least": one.least,
                "target": one.target,
                "causes": list(one.causes),
            }
            for one in found
        ],
    }


def shortages(history: History) -> list[Shortage]:
    """Each interval in which less served than the target, with its causes."""
    known = causes(history)
    found = []
    for group, told in history["groups"].items():
        mine = [one for one in known if one.concerns(group)]
        mine += _rises(told["rows"])
        found += [_explained(one, mine) for one in _short(group, told["rows"], history["end"])]
    return sorted(found, key=lambda one: (one.begin, one.group))


def _spans(rows: Sequence[Sequence[float]], end: float) -> list[tuple[float, float, int, int, int]]:
    """(begin, end, target, Spot, On-Demand) from the start on."""
    ends = [*(row[0] for row in rows[1:]), end]
    return [
        (max(0.0, row[0]), until, int(row[1]), int(row[2]), int(row[3])) for row, until in zip(rows, ends) if until > 0
    ]


def _short(group: str, rows: Sequence[Sequence[float]], end: float) -> list[Shortage]:
    found: list[Shortage] = []
    for begin, until, target, spot, on_demand in _spans(rows, end):
        serving = spot + on_demand
        if serving >= target or until <= begin:
            continue
        if found and found[-1].end == begin:
            last = found.pop()
            worse = min((last.least - last.target, last.least, last.target), (serving - target, serving, target))
            found.append(Shortage(group, last.begin, until, worse[1], worse[2]))
        else:
            found.append(Shortage(group, begin, until, serving, target))
    return found


def _explained(one: Shortage, known: Iterable[Cause]) -> Shortage:
    """With the causes that hold in it, and the time that none of them covers."""
    mine = sorted(cause for cause in known if cause.begin < one.end and cause.end > one.begin)
    covered, missing = one.begin, 0.0
    for cause in mine:
        missing += max(0.0, cause.begin - covered)
        covered = max(covered, cause.end)
    missing += max(0.0, one.end - covered)
    texts = tuple(dict.fromkeys(cause.text for cause in mine))
    return Shortage(one.group, one.begin, one.end, one.least, one.target, texts, missing)


def _rises(rows: Sequence[Sequence[float]]) -> list[Cause]:
    """The target rose: what is launched for it boots."""
    return [
        Cause(now[0], now[0] + REPLACED, "the traffic rose: what was launched for it boots")
        for before, now in pairwise(rows)
        if now[1] > before[1]
    ]


def causes(history: History) -> list[Cause]:
    """What happened in the run that may leave an app short."""
    found = []
    for one in history["instances"]:
        if one["cause"] == "spot":
            region = one["group"].partition("@")[2]
            told = one["warned"] is not None and one["warned"] < one["ended"]
            text = f"{one['pool']} took an instance away{'' if told else ' without notice'}"
            lasts = REPLACED if told else HEARD
            found.append(Cause(one["ended"], one["ended"] + lasts, text, region, one["group"]))
    for event in history["events"]:
        begin, region = event["time"], event["region"]
        group = f"{event['group']}@{region}" if event["group"] else None
        faults = [
            one
            for one in history["troubles"]
            if one["kind"] in troubles.FAULTS and one["begin"] <= begin <= one["end"] + REPLACED
        ]
        if event["what"] == "refused":  # while calls are repeated the next step is late
            lasts = HEARD if faults else REPLACED
            found.append(Cause(begin, begin + lasts, "On-Demand was refused", region, group))
        elif event["what"] == "killed":
            found.append(Cause(begin, begin + LEASE + REPLACED, "the controller was killed", region))
        elif event["what"] == "error":
            for trouble in faults:
                found.append(Cause(begin, begin + HEARD, f"a step failed: {trouble['text']}", region, group))
    for trouble in history["troubles"]:
        if trouble["kind"] == troubles.AWAY:
            found.append(Cause(trouble["begin"], trouble["end"] + REPLACED, trouble["text"]))
    return found


def orphans(remains: Mapping[str, Any]) -> list[str]:
    """What is left that nobody looks after."""
    found = []
    for one in remains["instances"]:
        if one["member_of"] is None and one["age"] <= ATTACHED:
            continue
        if one["member_of"] is None:
            found.append(f"the instance {one['id']} in {one['region']}, launched for {one['group']}, is in no group")
        elif one["member_of"] != one["group"]:
            found.append(f"the instance {one['id']} in {one['region']} is in {one['member_of']}, not in {one['group']}")
    found += [f"the fleet {one['id']} in {one['region']} is left" for one in remains["fleets"]]
    found += [f"the Spot request {one['id']} in {one['region']} is left" for one in remains["spot_requests"]]
    found += [f"{one['holder']} still holds the lease of {one['id']} in {one['region']}" for one in remains["leases"]]
    for name, group in remains["groups"].items():
        if forgotten := sorted(set(group["suspended"]) - set(group["noted"])):
            found.append(f"{name}: {', '.join(forgotten)} are suspended, and it is not written down that they are")
    return found


def ends(history: History) -> list[str]:
    """Each app at its target in the end, on Spot again."""
    found = []
    for name, group in history["remains"]["groups"].items():
        _begin, _end, target, spot, on_demand = _spans(history["groups"][name]["rows"], history["end"])[-1]
        if spot + on_demand < target:
            found.append(f"{name}: {spot + on_demand} of {target} serve in the end")
        best = group["best"]
        if spot + on_demand > max(target, best["spot"] + best["on_demand"]) + 2 * WEIGHT:
            found.append(
                f"{name}: {spot + on_demand} are kept in the end, though the target is {target} and the best fleet has "
                f"{best['spot'] + best['on_demand']}"
            )
        if on_demand >= max(group["base"], best["on_demand"]) + WEIGHT:
            found.append(
                f"{name}: {on_demand} On-Demand are kept in the end, though the base is {group['base']} and the best fleet has "
                f"{best['on_demand']}"
            )
    return found


def figures(history: History, found: Sequence[Shortage]) -> dict[str, Any]:
    """What a reader wants to know of the run."""
    end = history["end"]
    wanted = served = spot_time = all_time = all_on_demand = above = 0.0
    for group, told in history["groups"].items():
        price = history["on_demand_price"][told["region"]]
        for begin, until, target, spot, on_demand in _spans(told["rows"], end):
            seconds = until - begin
            wanted += seconds * target
            served += seconds * min(target, spot + on_demand)
            above += seconds * max(0, spot + on_demand - target)
            spot_time += seconds * spot
            all_time += seconds * (spot + on_demand)
            all_on_demand += seconds / 3600 * target * price
    short = sum(one.end - one.begin for one in found)
    cost = sum(one["cost"] for one in history["instances"])
    return {
        "available": round(1 - short / (end * len(history["groups"])), 6),
        "served": round(served / wanted, 6),
        "spot_share": round(spot_time / all_time, 4),
        "above_target": round(above / wanted, 4),
        "cost": round(cost, 2),
        "all_on_demand": round(all_on_demand, 2),
        "cost_share": round(cost / all_on_demand, 4),
        "shortages": len(found),
        "longest_shortage": round(max((one.end - one.begin for one in found), default=0.0)),
        "interruptions": sum(one["cause"] == "spot" for one in history["instances"]),
        "instances": len(history["instances"]),
    }


def clock(seconds: float) -> str:
    """A time of the run: day, hours, minutes and seconds."""
    day, rest = divmod(round(seconds), 86400)
    return f"day {day + 1} {rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def report(history: History) -> list[str]:
    """The run in some lines."""
    verdict = history["verdict"]
    one, counts = verdict["figures"], history["counts"]
    return [
        f"seed {history['seed']}: {history['apps']} apps in {len(history['regions'])} regions, {history['hours']:g} hours, "
        f"{len(history['troubles'])} troubles, {one['interruptions']} interruptions",
        f"target served {one['available']:.2%} of the time, {one['served']:.3%} of its units; {one['shortages']} shortages, "
        f"each explained, the longest {one['longest_shortage']} s"
        if not verdict["findings"]
        else f"target served {one['available']:.2%} of the time; {one['shortages']} shortages",
        f"cost {one['cost']:.2f} USD, all On-Demand {one['all_on_demand']:.2f} USD: {one['cost_share']:.1%}; Spot was "
        f"{one['spot_share']:.1%} of what served",
        f"{counts.get('steps', 0)} steps, {counts.get('killed', 0)} kills, {counts.get('two', 0)} times two controllers, "
        f"{counts.get('error', 0)} errors",
        *(f"FOUND: {text}" for text in verdict["findings"]),
    ]
