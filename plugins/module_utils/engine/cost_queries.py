# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests of Cost Explorer answer a question, as few as can be, and when an answer need not be asked for again.

Each request costs money and groups by two dimensions at most. Costs by three or four of them are put together from answers for two:

- One dimension is cut into its values, and each value asked for with a filter, by the other dimensions.
- What the cut dimension's values are, one answer by it and the service tells. Spot occurs with one service only, and so do Reserved
  Instances: where on every day one service is all there is, the service needs no asking, and all such values share one request.

So a month by app, service and purchase option takes three requests, not one for each purchase option and another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import COMPUTE

REQUEST_USD = 0.01
"""What each page of an answer costs (AWS's price list of Cost Explorer)."""
DIMENSIONS = ("app", "service", "region", "purchase")
CUT_FIRST = ("purchase", "region", "service", "app")
"""The dimension with the fewest values first."""
DAY, MONTH = "day", "month"
MONTHS_KEPT = {DAY: 13, MONTH: 37}
"""Months before the present one that Cost Explorer can tell of: 14 months by day, 38 by month, the present one counted."""
SETTLED_AFTER = timedelta(days=3)
"""After its end, from when on a day is kept: AWS brings its figures up to date for 24 hours, at times for longer."""
CLOSED_AFTER = timedelta(days=6)
"""After the end of its month, from when on AWS says of a day whether it is final."""


@dataclass(frozen=True, order=True)
class Ask:
    """A request: the dimensions that it groups by, two at most, and the values that it is narrowed to."""

    groups: tuple[str, ...]
    only: tuple[tuple[str, str], ...] = ()


USAGE = Ask(("app", "usage_type"), (("service", COMPUTE), ("record_type", "Usage")))
"""The hours of instances, and what was paid for them as Spot or On-Demand; not those that a Savings Plan or a Reserved Instance covers, and
no credits. By the service and not by a group of usage types: AWS does not say which types are in ``EC2: Running Hours``."""

Cell = tuple[str, tuple[str, ...]]
"""A day or month, and the values of the groups."""
Answer = Mapping[Cell, int]
"""Units of money by cell."""
Rows = dict[tuple[str, tuple[tuple[str, str], ...]], int]
"""Units of money by day and by (dimension, value), in order of the dimensions."""


def next_asks(by: Iterable[str], known: Mapping[Ask, Answer]) -> tuple[Ask, ...]:
    """What is to be asked next, given what is ``known``; nothing once `assemble` can put all together.

    A cost and a refund that cancel out to nothing in an answer for two dimensions are taken as not there.
    """
    return tuple(dict.fromkeys(_solve(_ordered(by), (), known)[1]))


def assemble(by: Iterable[str], known: Mapping[Ask, Answer]) -> Rows:
    """The costs by all of ``by``. Raises ``ValueError`` while something is to be asked."""
    rows, missing = _solve(_ordered(by), (), known)
    if missing:
        raise ValueError(f"not all is asked yet: {missing[0]}")
    return rows


def _ordered(by: Iterable[str]) -> tuple[str, ...]:
    wanted = set(by)
    if unknown := sorted(wanted - set(DIMENSIONS)):
        raise ValueError(f"costs are not known by {unknown[0]}: use {', '.join(DIMENSIONS)}")
    return tuple(one for one in DIMENSIONS if one in wanted)


def _solve(dims: tuple[str, ...], only: tuple[tuple[str, str], ...], known: Mapping[Ask, Answer]) -> tuple[Rows, list[Ask]]:
    """The rows by ``dims`` where ``only`` holds, and what is missing for them."""
    if len(dims) <= 2:
        ask = Ask(dims, only)
        return (_rows(ask, known[ask]), []) if ask in known else ({}, [ask])
    cut = next(one for one in CUT_FIRST if one in dims)
    side = "service" if "service" in dims else "region"
    rest = tuple(one for one in dims if one not in (cut, side))
    first = Ask((side, cut), only)
    if first not in known:
        return {}, [first]
    sides = _beside(known[first], 1)
    if not sides:
        return {}, []
    if len(sides) == 1:  # nothing to cut
        rows, missing = _solve(_without(dims, cut), only, known)
        return {(day, _with(values, cut, one)): units for (day, values), units in rows.items() for one in sides}, missing
    rows: Rows = {}
    missing: list[Ask] = []
    alone = {value for value, days in sides.items() if all(len(found) == 1 for found in days.values())}
    shared = Ask((*rest, cut), only)
    if len(rest) == 1 and alone:
        if shared not in known:
            return {}, [shared]
        others = _beside(known[shared], 1)
        for value, days in sides.items():
            if all(len(found) == 1 or len(others.get(value, {}).get(day, ())) <= 1 for day, found in days.items()):
                rows |= _determined(value, cut, side, rest[0], known[first], known[shared])
                sides = {key: one for key, one in sides.items() if key != value}
    for value in sorted(sides):
        inner = rest if value in alone else _without(dims, cut)
        found, more = _solve(inner, (*only, (cut, value)), known)
        missing += more
        for (day, values), units in found.items():
            full = _with(values, cut, value)
            if value in alone:
                full = _with(full, side, next(iter(sides[value].get(day, {""}))))
            rows[day, full] = units
    return rows, missing


def _without(dims: Sequence[str], one: str) -> tuple[str, ...]:
    return tuple(dim for dim in dims if dim != one)


def _with(values: tuple[tuple[str, str], ...], dim: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((*values, (dim, value)), key=lambda pair: DIMENSIONS.index(pair[0])))


def _rows(ask: Ask, answer: Answer) -> Rows:
    return {(day, tuple(zip(ask.groups, values))): units for (day, values), units in answer.items()}


def _beside(answer: Answer, position: int) -> dict[str, dict[str, set[str]]]:
    """By each value at the position and by day, what occurs at the other one."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (day, values), _units in answer.items():
        found[values[position]][day].add(values[1 - position])
    return found


def _determined(value: str, cut: str, side: str, other: str, by_side: Answer, by_other: Answer) -> Rows:
    """The rows of a value of ``cut`` with one value of ``side``, or one of ``other``, on each day."""
    sides: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (day, (one, held)), units in by_side.items():
        if held == value:
            sides[day].append((one, units))
    rows: Rows = {}
    others: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (day, (one, held)), units in by_other.items():
        if held == value:
            others[day].append((one, units))
    for day, found in sides.items():
        beside = others.get(day) or [("", sum(units for _one, units in found))]
        pairs = (
            [(found[0][0], one, units) for one, units in beside]
            if len(found) == 1
            else [(one, beside[0][0], units) for one, units in found]
        )
        for one, another, units in pairs:
            rows[day, _with(_with(((cut, value),), side, one), other, another)] = units
    return rows


def spans(first: date, end: date, granularity: str) -> list[tuple[date, date]]:
    """The days, or the months as far as they belong to the period, from ``first`` until before ``end``."""
    found = []
    while first < end:
        following = first + timedelta(days=1) if granularity == DAY else next_month(first)
        found.append((first, min(following, end)))
        first = following
    return found


def next_month(day: date) -> date:
    """The first day of the month after that of ``day``."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def earliest(today: date, granularity: str) -> date:
    """The first day that Cost Explorer tells of."""
    months = today.year * 12 + today.month - 1 - MONTHS_KEPT[granularity]
    return date(months // 12, months % 12 + 1, 1)


def check_period(first: date, end: date, today: date, granularity: str) -> None:
    """Raises ``ValueError`` for a period that Cost Explorer cannot tell of; ``end`` is the first day that is not in it."""
    if first >= end:
        raise ValueError(f"the period from {first} to {end} is empty: end is the first day that does not count, so it must be after start")
    if first > today:
        raise ValueError(f"the period begins on {first}, which is in the future: today is {today}, in UTC")
    if end > today + timedelta(days=1):
        raise ValueError(f"the period ends with {end - timedelta(days=1)}, which is in the future: end may be {today + timedelta(days=1)} at most")
    known = earliest(today, granularity)
    if first < known:
        raise ValueError(
            f"the period begins on {first}, but Cost Explorer keeps {MONTHS_KEPT[granularity] + 1} months by {granularity}: "
            f"start may be {known} at the earliest"
        )


def still_good(span: tuple[date, date], asked: datetime, estimated: bool, now: datetime, fresh: timedelta) -> bool:
    """Whether the answer for a day or a month, as it was ``asked``, need not be asked for again.

    Once it is final, for ever. Once it has settled, until its month is closed, and then is asked for once more, as corrections come
    with the bill. Before, for as long as answers are ``fresh``.
    """
    over = _midnight(span[1])
    closed = _midnight(next_month(span[0])) + CLOSED_AFTER
    if asked >= over + SETTLED_AFTER:
        if not estimated or asked >= closed + timedelta(days=30):
            return True
        if now < closed:
            return True
    return asked <= now < asked + fresh


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.utc)
