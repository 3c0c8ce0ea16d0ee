# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much capacity the demand asks for: target tracking on any metrics, within schedules, steps and a budget.

There is no memory but in what was observed: whoever has the metrics of the last minutes comes to the same target.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import told
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import (
    DEGRADE,
    UTILIZATION,
    Metric,
    Point,
    Scaling,
)

DAY = 86400.0
FORECAST_DAYS = 7
"""The earlier days that the forecast looks at; it needs ``FORECAST_LEAST`` of them."""
FORECAST_LEAST = 3
FORECAST_AHEAD = 900.0
"""Seconds: new capacity is asked for, granted, started and serves in less."""
FORECAST_LEVEL = 1800.0
"""Seconds over which the level of today is compared with that of an earlier day."""
FORECAST_RATIO = (0.5, 2.0)
"""How much an earlier day's demand is scaled at most: what is further off is not the same kind of day."""
LATE = 180.0
"""Seconds: CloudWatch shows a period up to three minutes after its end."""
STEP_SECONDS = 55.0
"""Steps at least so far apart count as one a minute: a timer is not exact."""

LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "scheduled minimum": "schedule",
    "scheduled maximum": "schedule",
    "temporary minimum": "override",
    "temporary maximum": "override",
}
"""What each bound is called in a sentence, and as what limits the target."""
TITLES = {"cpu": "CPU", "memory": "memory", "requests": "the requests a minute", "queue_depth": "the queue depth"}


@dataclass(frozen=True, slots=True)
class Demand:
    """The ``target`` to set, and what the metrics alone ask for (``wanted``).

    ``limited_by`` is what keeps the two apart: ``minimum``, ``maximum``, ``schedule``, ``override``, ``step_up``, ``step_down``,
    ``stabilization``, ``budget`` or ``missing data``, the last that did; ``None`` where nothing does. ``missing``: the
    metrics that have no recent value.
    """

    target: int
    wanted: int
    reasons: tuple[str, ...]
    limited_by: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one metric asks for: ``now``, and the most of the stabilization window, if all of that is ``known``."""

    now: int
    lately: int
    known: bool
    reason: str


def decide(
    scaling: Scaling,
    current: int,
    now: float,
    price_per_unit_hour: float | None = None,
    since_change: float | None = None,
) -> Demand:
    """The target that follows ``current``. Pure: the same arguments give the same demand.

    ``price_per_unit_hour``: USD for what a unit of capacity costs now on the mean, for the budget. ``since_change``:
    seconds since the target was last changed, for the step limits; ``None`` where it was long ago.
    """
    unit = scaling.unit
    low, high, low_name, high_name = bounds(scaling, now)
    reasons: list[str] = []
    limited: str | None = None

    wishes, missing = [], []
    for metric in scaling.metrics:
        wish = _wish(metric, scaling, current, now)
        if isinstance(wish, str):
            missing.append(metric.name)
            reasons.append(wish)
        else:
            wishes.append(wish)
            reasons.append(wish.reason)
    # Schedules alone: the target follows their minimum, or it would stay up when they are over.
    idle = low if scaling.schedules and not scaling.metrics else current
    override = scaling.override
    if override is not None:
        if override.before is not None and not scaling.schedules:  # likewise
            idle = override.before
        words = told(override, unit)
        reasons.append(words if override.holds(now) else f"over: {words}")
    wanted = target = max((wish.now for wish in wishes), default=idle)

    if missing and target < current:
        target, limited = current, "missing data"
        reasons.append(f"{_list(missing)} may need the {current} {unit}: nothing is taken away")
    lately = min(current, max((wish.lately for wish in wishes), default=0))
    if target < lately:
        target, limited = lately, "stabilization"
        minutes = f"the last {scaling.stabilization_seconds / 60:g} minutes"
        if all(wish.known for wish in wishes):
            reasons.append(f"{lately} {unit} were wanted within {minutes}: no fewer are kept until that is past")
        else:
            reasons.append(f"not all of {minutes} is known: nothing is taken away until it is")

    step, name = (scaling.step_up, "step_up") if target > current else (scaling.step_down, "step_down")
    if step is not None and target != current:
        waits = since_change is not None and since_change < STEP_SECONDS
        allowed = 0 if waits else min(step, abs(target - current))
        if allowed < abs(target - current):
            target, limited = current + (allowed if target > current else -allowed), name
            reasons.append(
                f"the last step was {since_change:.0f} s ago: {name} allows one of {step} {unit} a minute"
                if waits
                else f"{name} allows {step} {unit} a minute: {target} now"
            )

    target, limited = _within_budget(scaling, current, target, limited, price_per_unit_hour, reasons)
    if target < low:
        reasons.append(f"the {low_name} of {low} {unit} is kept, though {target} would do")
        target, limited = low, LIMITS[low_name]
    elif target > high:
        reasons.append(f"{target} {unit} would be right, but the {high_name} is {high}")
        target, limited = high, LIMITS[high_name]
    return Demand(target, wanted, tuple(reasons), limited if target != wanted else None, tuple(missing))


def bounds(scaling: Scaling, now: float) -> tuple[int, int, str, str]:
    """Minimum and maximum in force, and what each is called in a sentence.

    Of several schedules in force the narrowest counts; where they leave nothing between, the minimum does. What somebody set
    for some hours comes before schedules, within the bounds of the manifest.
    """
    low, high, low_name, high_name = scaling.min, scaling.max, "minimum", "maximum"
    for schedule in scaling.schedules:
        if not schedule.holds(now):
            continue
        if schedule.min is not None and schedule.min > low:
            low, low_name = schedule.min, "scheduled minimum"
        if schedule.max is not None and schedule.max < high:
            high, high_name = schedule.max, "scheduled maximum"
    high, override = max(low, high), scaling.override
    if override is None or not override.holds(now):
        return low, high, low_name, high_name
    if override.minimum is not None and override.minimum > low:
        low, low_name = min(override.minimum, max(scaling.min, scaling.max)), "temporary minimum"
        high = max(low, high)
    if override.maximum is not None and override.maximum < high:
        high, high_name = max(override.maximum, scaling.min), "temporary maximum"
        low = min(low, high)
    return low, high, low_name, high_name


def patience(points: Sequence[Point]) -> float:
    """How old, in seconds, the newest of ``points`` may be, and how far apart two of them: by their own period."""
    steps = [later.time - earlier.time for earlier, later in zip(points, points[1:])]
    return LATE + 2 * (median(steps) if steps else 60.0)


def _wish(metric: Metric, scaling: Scaling, current: int, now: float) -> _Wish | str:
    """What ``metric`` asks for, or a sentence that says why it is not known."""
    points = metric.known(metric.series)
    title = TITLES.get(metric.name, metric.source.metric or "the custom metric")
    wait = patience(points)
    if metric.problem or not points or now - points[-1].time > wait:
        if metric.problem:
            why = metric.problem
        elif not points:
            why = "has no values" if not metric.series else "has values, but it is not known how much served"
        else:
            why = f"has no value since {(now - points[-1].time) / 60:.0f} minutes"
        return f"{title} {why}: it is left out"

    since = now - scaling.stabilization_seconds
    window = [one for one in points[:-1] if one.time >= since] + [points[-1]]
    foresee = _Forecast.of(metric, points) if scaling.forecast else None

    def asked(point: Point) -> float:
        return max(metric.wanted(point), (foresee.wanted(point.time) if foresee else None) or 0.0)

    newest = points[-1]
    alone, most = metric.wanted(newest), asked(newest)
    wanted = _proposal(most, current, scaling.tolerance)
    lately, known = current, _covers(points, window, since, wait)
    if wanted < current and known:
        lately = max(_proposal(asked(one), current, scaling.tolerance) for one in window)

    unit = scaling.unit
    if metric.kind == UTILIZATION:
        seen = f"{title} is {newest.value:.3g} % of {newest.serving:g} {unit} against {metric.target:g} %"
    else:
        seen = f"{title}: {newest.value:,.6g} against {metric.target:g} for each of the {unit}"
    reason = f"{seen}: {_up(alone)} {unit} are wanted"
    days = len(foresee.days(newest.time)) if foresee else 0
    if most > alone:
        reason += f", and {_up(most)} by the same hour of {days} earlier days"
    elif foresee and days < FORECAST_LEAST:
        reason += f" (a forecast needs {FORECAST_LEAST} earlier days, {days} are known)"
    if wanted == current != _up(most):
        reason += f"; {current} are within the tolerance of {100 * scaling.tolerance:g} %"
    return _Wish(wanted, lately, known, reason)


def _proposal(wanted: float, current: int, tolerance: float) -> int:
    """``wanted`` as a whole number, or ``current`` where that is near enough; it grows with ``wanted``."""
    return current if abs(wanted - current) <= tolerance * current else _up(wanted)


def _up(wanted: float) -> int:
    return ceil(wanted - 1e-9)


def _covers(points: Sequence[Point], window: Sequence[Point], since: float, wait: float) -> bool:
    """Whether the values leave no hole since the time ``since``: what was not seen does not agree."""
    times = [one.time for one in points if one.time < since][-1:] + [one.time for one in window]
    return times[0] - since <= wait and all(later - earlier <= wait for earlier, later in zip(times, times[1:]))


@dataclass(frozen=True, slots=True)
class _Course:
    """The capacity wanted over time; ``times`` ascend."""

    times: list[float]
    wanted: list[float]

    @classmethod
    def of(cls, metric: Metric, points: Sequence[Point]) -> "_Course":
        return cls([one.time for one in points], [metric.wanted(one) for one in points])

    def between(self, start: float, end: float) -> list[float]:
        """What was wanted after ``start``, up to ``end``."""
        return self.wanted[bisect_right(self.times, start) : bisect_right(self.times, end)]


@dataclass(frozen=True, slots=True)
class _Forecast:
    """What earlier days wanted at this hour, scaled to the level of today."""

    today: _Course
    earlier: _Course

    @classmethod
    def of(cls, metric: Metric, points: Sequence[Point]) -> "_Forecast":
        return cls(_Course.of(metric, points), _Course.of(metric, metric.known(metric.daily)))

    def days(self, at: float) -> list[tuple[float, float]]:
        """Of each earlier day that is known: its level before the time ``at``, and the most wanted soon after."""
        found = []
        for number in range(1, FORECAST_DAYS + 1):
            then = at - number * DAY
            level = self.earlier.between(then - FORECAST_LEVEL, then)
            ahead = self.earlier.between(then, then + FORECAST_AHEAD)
            if any(level) and ahead:
                found.append((fmean(level), max(ahead)))
        return found

    def wanted(self, at: float) -> float | None:
        """The capacity wanted soon after ``at``; ``None`` where there are too few days.

        The median of the days, so that one odd day counts for nothing.
        """
        level, days = self.today.between(at - FORECAST_LEVEL, at), self.days(at)
        if not level or len(days) < FORECAST_LEAST:
            return None
        now, (lowest, highest) = fmean(level), FORECAST_RATIO
        return median(ahead * min(highest, max(lowest, now / before)) for before, ahead in days)


def _within_budget(
    scaling: Scaling, current: int, target: int, limited: str | None, price: float | None, reasons: list[str]
) -> tuple[int, str | None]:
    """Target and what limits it, once the budget has had its say."""
    budget, unit = scaling.budget, scaling.unit
    if budget is None:
        return target, limited
    if not price:
        reasons.append("the price of the capacity is not known, so the budget is not applied")
        return target, limited
    buys = budget.buys(price)
    if target <= buys:
        return target, limited
    costs = f"{target} {unit} cost {target * price:.2f} USD an hour, above the budget of {budget.per_hour:.2f}"
    if budget.when_exceeded != DEGRADE:
        reasons.append(f"{costs}; they are kept, because when_exceeded is alert")
        return target, limited
    # Prices move all the time: a little more that could be bought is not worth a change.
    capped = current if current < buys <= current * (1 + scaling.tolerance) else buys
    reasons.append(f"{costs}: it buys {buys}, so {capped} are asked for")
    return capped, "budget"


def _list(names: Sequence[str]) -> str:
    return " and ".join(names)
