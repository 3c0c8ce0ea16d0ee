# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a month will have cost at its end, with an error band, from the days that are over."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist, median

WINDOW = 56
"""Days that are looked back at: eight of each weekday."""
LATELY = 7
"""Days that say where the level is now: one of each weekday."""
LEAST = 7
"""Days that are needed."""
LEAST_ALIKE = 3
"""Days of one weekday that are needed to tell it from the others."""
CONSISTENT = 1.4826
"""Makes the median absolute deviation an estimate of a normal distribution's standard deviation: 1 / Phi^-1(3/4)."""
COVERAGE = 0.8
"""The part of months that are to end within the band."""


@dataclass(frozen=True)
class Forecast:
    """USD at the end of the month: the middle, and the band that holds ``COVERAGE`` of months; ``spent`` so far in ``days_over`` of it."""

    spent: float
    expected: float
    low: float
    high: float
    days_over: int
    days_left: int


def forecast(by_day: Mapping[date, float], today: date) -> Forecast | None:
    """The forecast for the month of ``today``, which is not over and does not count. ``None`` with fewer than ``LEAST`` days before it.

    A day without an entry, after the first one, cost nothing.

    The model: a day costs its level times the factor of its weekday, plus noise. The factor of a weekday is the median of its days over
    their own week's mean (ratio to moving average: Makridakis, Wheelwright, Hyndman, Forecasting, 3rd ed., 3/4), 1 where fewer than
    ``LEAST_ALIKE`` are known. The level is the median of the last ``LATELY`` days, each over its weekday's factor. Medians, so that one day
    that is far off moves nothing.

    The band: the rest of the month is a sum of ``h`` days. Its error has two parts: the noise of each day, ``s * sqrt(h)``, and
    that the level now is not known and drifts, which all days share, ``h * d``, with ``d`` the standard error of the level. Both are
    measured on the past by the median absolute deviation (times ``CONSISTENT``): ``s`` of days against the level of the ``LATELY`` days before
    them, ``d`` as ``s * sqrt(pi / 2 / LATELY)`` (the standard error of the median of so many normal values) or, if that is more, what the
    mean of a week has differed from the level before it. They add as squares.
    """
    first = min(by_day, default=today)
    begin = max(first, today - timedelta(days=WINDOW))
    days = [begin + timedelta(days=number) for number in range((today - begin).days)]
    if len(days) < LEAST:
        return None
    costs = [by_day.get(day, 0.0) for day in days]
    factors = weekday_factors(days, costs)
    even = [cost / factors[day.weekday()] for day, cost in zip(days, costs)]
    level = median(even[-LATELY:])
    month = today.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    left = [today + timedelta(days=number) for number in range((following - today).days)]
    spent = sum(cost for day, cost in by_day.items() if month <= day < today)
    expected = spent + level * sum(factors[day.weekday()] for day in left)
    z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    half = z * _error(even, len(left))
    return Forecast(spent, expected, max(spent, expected - half), expected + half, (today - month).days, len(left))


def weekday_factors(days: Sequence[date], costs: Sequence[float]) -> dict[int, float]:
    """By weekday (Monday is 0), how its cost compares with that of the seven days around it; their mean is 1."""
    ratios: dict[int, list[float]] = defaultdict(list)
    for number in range(3, len(days) - 3):
        around = sum(costs[number - 3 : number + 4]) / 7
        if around > 0:
            ratios[days[number].weekday()].append(costs[number] / around)
    if any(len(ratios[weekday]) < LEAST_ALIKE for weekday in range(7)):
        return dict.fromkeys(range(7), 1.0)
    raw = {weekday: max(0.05, median(ratios[weekday])) for weekday in range(7)}
    mean = sum(raw.values()) / 7
    return {weekday: factor / mean for weekday, factor in raw.items()}


def _error(even: Sequence[float], ahead: int) -> float:
    """The standard deviation of the sum of ``ahead`` days."""
    days, weeks = [], []
    for number in range(LATELY, len(even)):
        level = median(even[number - LATELY : number])
        days.append(even[number] - level)
        if number + LATELY <= len(even):
            weeks.append(sum(even[number : number + LATELY]) / LATELY - level)
    if not days:
        middle = median(even)
        days = [one - middle for one in even]
    noise = CONSISTENT * median(abs(one) for one in days)
    drift = max(noise * math.sqrt(math.pi / 2 / LATELY), CONSISTENT * median(abs(one) for one in weeks) if weeks else 0.0)
    return math.hypot(noise * math.sqrt(ahead), drift * ahead)
