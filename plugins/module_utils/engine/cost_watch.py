# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches a budget, and which day is far from its own past, and why."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.forecasts import CONSISTENT, WINDOW, Forecast, forecast

FAR = 3.5
"""Robust standard deviations from which on a day is out of line (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)."""
LEAST_ALIKE = 4
"""Days alike that are needed to judge one."""
LEAST_SPREAD = 0.05
"""The spread of days alike is taken to be at least this part of their median, so that a steady cost is not out of line for cents."""
EXPLAINED = 0.8
"""The part of the difference that the causes named together explain, if three do."""
MOST_CAUSES = 3
SETTLING = 2
"""Days that Cost Explorer may show too little of."""

Series = Mapping[date, float]


@dataclass(frozen=True)
class Budget:
    """USD a month for an application, and the percentages at which somebody is told."""

    app: str
    monthly: float
    alerts: tuple[float, ...]

    def __post_init__(self) -> None:
        if not math.isfinite(self.monthly) or self.monthly <= 0:
            raise ValueError(f"the budget of {self.app} is {self.monthly:g} USD a month: it must be above 0")
        for share in self.alerts:
            if not 0 < share <= 1000:
                raise ValueError(f"the budget of {self.app} has an alert at {share:g} %: it must be above 0 and 1000 at most")


@dataclass(frozen=True)
class State:
    """A budget in a month. ``share``: what is spent, in percent. ``crossed``: the highest alert that is reached, ``None`` if none is.
    ``exceeds``: whether the forecast is above the budget."""

    budget: Budget
    month: str
    spent: float
    share: float
    crossed: float | None
    forecast: Forecast | None

    @property
    def exceeds(self) -> bool:
        return self.forecast is not None and self.forecast.expected > self.budget.monthly


@dataclass(frozen=True)
class Cause:
    """What an application spent on a service, beside what it does on such days."""

    app: str
    service: str
    usd: float
    usual: float

    @property
    def difference(self) -> float:
        return self.usd - self.usual


@dataclass(frozen=True)
class Anomaly:
    """A day out of line. ``app``: whose, ``None`` for all together. ``score``: robust standard deviations from ``usual``."""

    day: date
    app: str | None
    usd: float
    usual: float
    score: float
    causes: tuple[Cause, ...]

    @property
    def difference(self) -> float:
        return self.usd - self.usual


class Costs:
    """Daily costs in USD by application and service."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """``rows``: ``day``, ``app``, ``service``, ``usd``. Raises ``ValueError`` for one that is none."""
        self.cells: dict[tuple[str, str], dict[date, float]] = defaultdict(lambda: defaultdict(float))
        for number, row in enumerate(rows):
            try:
                self.cells[row.get("app") or "", row.get("service") or ""][date.fromisoformat(row["day"])] += float(row["usd"])
            except (KeyError, TypeError, ValueError, AttributeError):
                raise ValueError(f"rows[{number}] is {row!r}: a row has day (2026-01-31), app, service and usd") from None

    def of(self, app: str | None = None) -> dict[date, float]:
        """By day, of an application or of all together."""
        found: dict[date, float] = defaultdict(float)
        for (name, _service), days in self.cells.items():
            if app is None or name == app:
                for day, usd in days.items():
                    found[day] += usd
        return dict(found)

    @property
    def apps(self) -> list[str]:
        """Those that have costs; empty stands for what belongs to none."""
        return sorted({app for app, _service in self.cells})

    @property
    def first(self) -> date | None:
        """The first day with costs."""
        return min((day for days in self.cells.values() for day in days), default=None)


def known_until(costs: Costs, today: date) -> date:
    """The first day that is not over, or of which nothing is known yet: Cost Explorer is up to ``SETTLING`` days late."""
    days = costs.of()
    for late in range(SETTLING):
        if days.get(today - timedelta(days=late + 1)):
            return today - timedelta(days=late)
    return today


def budgets(costs: Costs, wanted: Sequence[Budget], today: date) -> list[State]:
    """How each budget stands in the month of ``today``."""
    until = known_until(costs, today)
    found = []
    for budget in wanted:
        series = costs.of(budget.app)
        month = today.replace(day=1)
        spent = sum(usd for day, usd in series.items() if month <= day <= today)
        share = 100 * spent / budget.monthly
        reached = [one for one in budget.alerts if share >= one]
        # On the first days of a month, the days that are not known yet may be of the one before.
        expected = forecast({day: usd for day, usd in series.items() if day < until}, until) if until >= month else None
        found.append(State(budget, f"{month:%Y-%m}", spent, share, max(reached, default=None), expected))
    return found


def anomalies(costs: Costs, days: Iterable[date], least_usd: float, settled_until: date = date.max) -> list[Anomaly]:
    """The days that are out of line by at least ``least_usd``, by day and application. Of those from ``settled_until`` on not all is
    known, so they may only be out of line for costing too much.

    A day is compared with days alike: of the ``WINDOW`` before it, workdays with workdays and weekends with weekends. Its score is the
    modified z-score, the difference from their median over their median absolute deviation times 1.4826. What is out of line for all
    together is told only where no application is.
    """
    found = []
    for day in sorted(set(days)):
        settled = day < settled_until
        own = [one for app in costs.apps if (one := _judge(costs, day, app, least_usd)) and (settled or one.difference > 0)]
        whole = None if own else _judge(costs, day, None, least_usd)
        found += own or ([whole] if whole and (settled or whole.difference > 0) else [])
    return found


def _judge(costs: Costs, day: date, app: str | None, least_usd: float) -> Anomaly | None:
    past = alike(costs, day)
    if len(past) < LEAST_ALIKE:
        return None
    series = costs.of(app)
    before = [series.get(one, 0.0) for one in past]
    usual = median(before)
    usd = series.get(day, 0.0)
    spread = max(CONSISTENT * median(abs(one - usual) for one in before), LEAST_SPREAD * abs(usual))
    difference = usd - usual
    if abs(difference) < max(least_usd, 1e-9) or (spread > 0 and abs(difference) / spread < FAR):
        return None
    score = difference / spread if spread > 0 else float("inf") * difference
    return Anomaly(day, app, usd, usual, score, _causes(costs, day, app, past, difference))


def alike(costs: Costs, day: date) -> list[date]:
    """The days before it that it is compared with."""
    first = costs.first
    if first is None:
        return []
    weekend = day.weekday() >= 5
    days = (day - timedelta(days=number) for number in range(1, WINDOW + 1))
    return [one for one in days if one >= first and (one.weekday() >= 5) == weekend]


def _causes(costs: Costs, day: date, app: str | None, past: Sequence[date], difference: float) -> tuple[Cause, ...]:
    """Whose services differ most in the same direction, as many as explain most of it."""
    sign = 1 if difference > 0 else -1
    candidates = []
    for (name, service), series in costs.cells.items():
        if app is None or name == app:
            cause = Cause(name, service, series.get(day, 0.0), median(series.get(one, 0.0) for one in past))
            if cause.difference * sign > 0:
                candidates.append(cause)
    candidates.sort(key=lambda one: (-abs(one.difference), one.app, one.service))
    found: list[Cause] = []
    for cause in candidates[:MOST_CAUSES]:
        found.append(cause)
        if sum(one.difference for one in found) * sign >= EXPLAINED * abs(difference):
            break
    return tuple(found)
