"""Whether a report reaches what the product promises, each point against SpotHedge of the same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.supply import WORTH

from .runs import OURS

CHEAPER = 0.18
LOSS_ABOVE = 0.90
LOSS_MEAN = {"cost": 0.78, "balanced": 0.80, "availability": 0.82}
LONG_SET, LONG_AVAILABILITY, LONG_COST = "v100-2month", 0.999, 0.40
MANY_MEAN = 0.90


@dataclass(frozen=True)
class Point:
    """A goal as a sentence, the figures by set or by case, and whether they meet it (None: the run has no such rows)."""

    goal: str
    figures: dict[str, str]
    met: bool | None


Row = dict[str, Any]


def points(rows: Sequence[Row]) -> list[Point]:
    """The four points, in their order."""
    return [_with_notice(rows), _cold(rows), _long(rows), _many(rows)]


def pairs(rows: Sequence[Row], **wanted: Any) -> Iterator[tuple[Row, Row]]:
    """Our rows that are as ``wanted``, each with SpotHedge's."""
    hedges = {_case(row): row for row in rows if row["policy"] == "spothedge"}
    for row in rows:
        if row["policy"] == OURS and _case(row) in hedges and all(row[key] == value for key, value in wanted.items()):
            yield row, hedges[_case(row)]


def _case(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("trace", "notice", "target", "mode"))


def _judged(passed: Sequence[bool]) -> bool | None:
    return all(passed) if passed else None


def _with_notice(rows: Sequence[Row]) -> Point:
    figures, passed = {}, []
    for mine, hedge in pairs(rows, notice=120, target=3, profile="balanced"):
        cheaper = 1 - mine["cost"] / hedge["cost"]
        passed.append(mine["availability"] == 1 and cheaper >= CHEAPER)
        figures[f"{mine['trace']}, {mine['mode']}"] = f"{mine['availability']:.3%} at {cheaper:.1%} less"
    goal = f"with 120 s notice, balanced: 100 % available on every set, at least {CHEAPER:.0%} cheaper than SpotHedge"
    return Point(goal, figures, _judged(passed))


def _ratios(found: Sequence[tuple[Row, Row]], worth: float) -> dict[str, float]:
    """loss(w) as a share of SpotHedge's, by set."""
    return {mine["trace"]: mine[f"loss_{worth:g}"] / hedge[f"loss_{worth:g}"] for mine, hedge in found}


def _told(ratios: dict[str, float]) -> str:
    each = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
    return f"{each}; mean {mean(ratios.values()):.3f}"


def _cold(rows: Sequence[Row]) -> Point:
    figures, passed = {}, []
    for profile, limit in LOSS_MEAN.items():
        ratios = _ratios(list(pairs(rows, notice=0, target=3, mode="cold", profile=profile)), WORTH[profile])
        if ratios:
            passed.append(max(ratios.values()) <= LOSS_ABOVE and mean(ratios.values()) <= limit)
            figures[f"{profile}, loss({WORTH[profile]:g})"] = f"{_told(ratios)} (mean wanted: {limit:.2f})"
    limits = ", ".join(f"{limit:.2f} ({profile})" for profile, limit in LOSS_MEAN.items())
    goal = f"without notice, cold windows: loss(w) at most {LOSS_ABOVE:.2f} of SpotHedge's on any set, in the mean {limits}"
    return Point(goal, figures, _judged(passed))


def _long(rows: Sequence[Row]) -> Point:
    found = [mine for mine, _hedge in pairs(rows, notice=0, target=3, mode="whole", trace=LONG_SET)]
    figures = {mine["profile"]: f"{mine['availability']:.2%} at {mine['cost']:.3f}" for mine in found}
    reached = [mine["availability"] >= LONG_AVAILABILITY and mine["cost"] <= LONG_COST for mine in found]
    goal = f"without notice, all of {LONG_SET}, a profile: {LONG_AVAILABILITY:.1%} available at {LONG_COST:.2f} or less"
    return Point(goal, figures, any(reached) if reached else None)


def _many(rows: Sequence[Row]) -> Point:
    figures, passed = {}, []
    for notice in (0, 120):
        for mode in ("cold", "whole"):
            found = list(pairs(rows, notice=notice, target=12, mode=mode, profile="balanced"))
            ratios = _ratios(found, WORTH["balanced"])
            if ratios:
                passed.append(max(ratios.values()) <= 1 and mean(ratios.values()) <= MANY_MEAN)
                figures[f"notice {notice}, {mode}"] = _told(ratios)
    goal = f"target 12, balanced: loss(10) not above SpotHedge's on any set, at most {MANY_MEAN:.2f} of it in the mean"
    return Point(goal, figures, _judged(passed))


def record_of(found: Sequence[Point]) -> tuple[dict[str, Any], str, bool]:
    """Figures, goal and truth in the form of the benchmarks' record."""
    figures: dict[str, Any] = {}
    for number, point in enumerate(found, 1):
        verdict = {True: "met", False: "MISSED", None: "not run"}[point.met]
        figures[f"{number}"] = f"{verdict}: {point.goal}"
        figures |= {f"{number} {name}": value for name, value in point.figures.items()}
    return figures, "; ".join(point.goal for point in found), all(point.met for point in found)
