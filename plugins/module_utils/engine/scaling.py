# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application's owner asks of the scaling: metrics with their targets, schedules, steps and a budget."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import Override

UTILIZATION = "utilization"
LOAD = "load"
KINDS = {"cpu": UTILIZATION, "memory": UTILIZATION, "requests": LOAD, "queue_depth": LOAD}
"""The kind of each metric that has a name of its own; a ``custom`` one says its kind."""
NAMES = (*KINDS, "custom")
CLOUDWATCH = "cloudwatch"
PROMETHEUS = "prometheus"
SOURCES = (CLOUDWATCH, PROMETHEUS)
DEGRADE = "degrade"
ALERT = "alert"
WHEN_EXCEEDED = (DEGRADE, ALERT)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_STABILIZATION_MINUTES = 120
"""What is kept up for longer than this is a schedule's business."""

_STATISTIC = re.compile(r"Average|Sum|Minimum|Maximum|SampleCount|p\d{1,2}(\.\d{1,2})?|p100")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


class Point(NamedTuple):
    """A metric's value at ``time`` (seconds since the epoch), and the capacity that served then; 0 is not known."""

    time: float
    value: float
    serving: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a metric is read. What is ``None`` or empty is taken from the preset of the metric's name.

    CloudWatch: ``namespace``, ``metric``, ``dimensions`` and ``statistic``; ``queue`` is the name of an SQS queue.
    Prometheus: ``query`` and, if not the observer's own, ``url``.
    """

    system: str = CLOUDWATCH
    namespace: str | None = None
    metric: str | None = None
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str | None = None
    queue: str | None = None
    query: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """What is followed, and what was seen of it.

    ``kind``: ``utilization`` is a mean in percent of what serves, so serving * value / target is wanted; ``load`` is a
    total, so value / target is wanted. ``series``: the last minutes, in order of time. ``daily``: the same hours of
    earlier days, in order of time, for the forecast. ``problem``: why there is nothing, where that is known.
    """

    name: str
    kind: str
    target: float
    source: Source = Source()
    series: tuple[Point, ...] = ()
    daily: tuple[Point, ...] = ()
    problem: str | None = None

    def wanted(self, point: Point) -> float:
        """The capacity that ``point`` asks for, not rounded."""
        return point.value * (point.serving if self.kind == UTILIZATION else 1.0) / self.target

    def known(self, points: Sequence[Point]) -> list[Point]:
        """Those of ``points`` that say how much is wanted: a utilization of nothing says nothing."""
        return [one for one in points if one.serving > 0] if self.kind == UTILIZATION else list(points)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Narrower bounds in a part of the week. ``days``: 0 is Monday; ``start`` and ``end``: minutes after midnight.

    A window whose end is not after its start lasts into the next day; the days are those on which it starts.
    """

    days: frozenset[int]
    start: int
    end: int
    timezone: str
    min: int | None = None
    max: int | None = None

    def holds(self, now: float) -> bool:
        """Whether ``now`` (seconds since the epoch) is in the window: from its start, up to but without its end.

        Where clocks are put forward a time that does not exist is counted by the offset before, as calendars do
        (RFC 5545, 3.3.5); where they are put back the window goes from the first to the last of a time that is there
        twice, so that it is never interrupted.
        """
        zone = ZoneInfo(self.timezone)
        today = datetime.fromtimestamp(now, zone).date()
        return any(
            day.weekday() in self.days
            and _first(day, self.start, zone) <= now < _last(self._last_day(day), self.end, zone)
            for day in (today, today - timedelta(days=1))
        )

    def _last_day(self, day: date) -> date:
        return day if self.end > self.start else day + timedelta(days=1)


def _moment(day: date, minute: int, zone: ZoneInfo, fold: int) -> float:
    clock = datetime.combine(day, time()) + timedelta(minutes=minute)  # 24:00 is the next day's midnight
    return clock.replace(tzinfo=zone, fold=fold).timestamp()


def _first(day: date, minute: int, zone: ZoneInfo) -> float:
    return _moment(day, minute, zone, 0)


def _last(day: date, minute: int, zone: ZoneInfo) -> float:
    return max(_moment(day, minute, zone, fold) for fold in (0, 1))


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``per_hour`` USD: ``degrade`` asks for no more than it buys, ``alert`` only says that it is exceeded."""

    per_hour: float
    when_exceeded: str = DEGRADE

    def buys(self, price_per_unit_hour: float) -> int:
        """The capacity that the budget buys at ``price_per_unit_hour`` (USD, above 0)."""
        return int(self.per_hour / price_per_unit_hour + 1e-9)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the target follows the demand, from ``min`` to ``max`` of ``unit`` (``vcpus`` or ``instances``).

    ``step_up`` and ``step_down``: the most that is added and taken away in a minute, ``None`` for no limit.
    ``stabilization_seconds``: less is asked for only when all points of so long a time agree. ``tolerance``: the share
    of the target by which the demand may differ before anything is done. ``override``: what somebody set for some hours.
    """

    min: int
    max: int
    metrics: tuple[Metric, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    step_up: int | None = None
    step_down: int | None = None
    stabilization_seconds: float = 600.0
    tolerance: float = 0.1
    forecast: bool = False
    budget: Budget | None = None
    unit: str = "instances"
    override: Override | None = None


_METRIC_KEYS = "name source kind target query url namespace metric dimensions statistic queue".split()
_SCHEDULE_KEYS = "days start end timezone min max".split()
_KEYS = "metrics schedules step_up step_down stabilization_minutes forecast budget".split()


def scaling_of(given: Mapping[str, Any] | None, minimum: int, maximum: int, unit: str = "instances") -> Scaling:
    """The ``Scaling`` of the manifest's ``capacity.scaling``, with its ``capacity.min``, ``max`` and ``unit``.

    A key that is missing or ``None`` takes its default. Raises ``ValueError`` that names the key, its value and what
    would be right.
    """
    here = "capacity.scaling"
    if minimum > maximum:
        raise ValueError(f"capacity.min is {minimum}, above capacity.max {maximum}: make it {maximum} or less")
    wanted = _known(given, _KEYS, here)
    metrics = tuple(
        _metric(one, f"{here}.metrics[{number}]")
        for number, one in enumerate(_list(wanted.get("metrics"), f"{here}.metrics"))
    )
    names = [metric.name for metric in metrics if metric.name != "custom"]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{here}.metrics has {name} {names.count(name)} times: keep one")
    schedules = tuple(
        _schedule(one, f"{here}.schedules[{number}]", minimum, maximum)
        for number, one in enumerate(_list(wanted.get("schedules"), f"{here}.schedules"))
    )
    minutes = _whole(wanted.get("stabilization_minutes", 10), f"{here}.stabilization_minutes", 0)
    if minutes > MAX_STABILIZATION_MINUTES:
        raise ValueError(f"{here}.stabilization_minutes is {minutes}: use {MAX_STABILIZATION_MINUTES} at most")
    forecast = wanted.get("forecast", False)
    if not isinstance(forecast, bool):
        raise ValueError(f"{here}.forecast is {forecast!r}: use true or false")
    steps = {key: _whole(wanted[key], f"{here}.{key}", 1) for key in ("step_up", "step_down") if key in wanted}
    return Scaling(
        min=minimum,
        max=maximum,
        metrics=metrics,
        schedules=schedules,
        stabilization_seconds=60.0 * minutes,
        forecast=forecast,
        budget=_budget(wanted.get("budget"), f"{here}.budget"),
        unit=unit,
        **steps,
    )


def _metric(given: Any, here: str) -> Metric:
    wanted = _known(given, _METRIC_KEYS, here)
    name = _one_of(wanted.get("name"), NAMES, f"{here}.name")
    system = _one_of(wanted.get("source", CLOUDWATCH), SOURCES, f"{here}.source")
    kind = wanted.get("kind", KINDS.get(name))
    _one_of(kind, (UTILIZATION, LOAD) if name == "custom" else (KINDS[name],), f"{here}.kind")
    target = _above_zero(wanted.get("target"), f"{here}.target")
    if kind == UTILIZATION and target > 100:
        raise ValueError(f"{here}.target is {target:g}: a utilization is a percentage, use 100 at most")

    own = {"namespace", "metric", "dimensions", "statistic"} if name in ("memory", "custom") else set()
    needed = {"namespace", "metric"} if name == "custom" else set()
    if name == "queue_depth":
        own = needed = {"queue"}
    if system == PROMETHEUS:
        own, needed = {"query", "url"}, {"query"}
    foreign = sorted(wanted.keys() - own - {"name", "source", "kind", "target"})
    if foreign:
        may = ", ".join(sorted(own)) or "none of its own"
        raise ValueError(f"{here} ({name} from {system}) has {', '.join(foreign)}: remove it; its keys are {may}")
    for key in sorted(needed - wanted.keys()):
        raise ValueError(f"{here} ({name} from {system}) has no {key}: give it")
    texts = {key: _text(wanted[key], f"{here}.{key}") for key in sorted(own & wanted.keys() - {"dimensions"})}
    if not _STATISTIC.fullmatch(texts.get("statistic", "Average")):
        raise ValueError(
            f"{here}.statistic is {texts['statistic']!r}: use Average, Sum, Minimum, Maximum, SampleCount or a "
            "percentile such as p90"
        )
    if not texts.get("url", "https://").startswith(("https://", "http://")):
        raise ValueError(f"{here}.url is {texts['url']!r}: write it as in https://prometheus.example.com:9090")
    if "@" in texts.get("url", ""):
        raise ValueError(f"{here}.url has a user name in it: a manifest is no place for it, give it to the task")
    dimensions = wanted.get("dimensions", {})
    if not isinstance(dimensions, Mapping):
        raise ValueError(f"{here}.dimensions is {dimensions!r}: it must be a mapping of names to values")
    pairs = tuple(sorted((str(key), _text(value, f"{here}.dimensions.{key}")) for key, value in dimensions.items()))
    return Metric(name, kind, target, Source(system=system, dimensions=pairs, **texts))


def _schedule(given: Any, here: str, minimum: int, maximum: int) -> Schedule:
    wanted = _known(given, _SCHEDULE_KEYS, here)
    days = frozenset(
        DAYS.index(_one_of(day, DAYS, f"{here}.days")) for day in _list(wanted.get("days", DAYS), f"{here}.days")
    )
    if not days:
        raise ValueError(f"{here}.days is empty: name some of {', '.join(DAYS)}, or leave it out for all")
    bounds = {key: _whole(wanted[key], f"{here}.{key}", 0) for key in ("min", "max") if key in wanted}
    if not bounds:
        raise ValueError(f"{here} has neither min nor max: give one of them, or both")
    for key, value in bounds.items():
        if not minimum <= value <= maximum:
            raise ValueError(
                f"{here}.{key} is {value}, outside capacity.min {minimum} to capacity.max {maximum}: "
                "a schedule narrows them, so widen them or change it"
            )
    if bounds.get("min", minimum) > bounds.get("max", maximum):
        raise ValueError(f"{here} is impossible: min {bounds['min']} is above max {bounds['max']}; exchange them")
    return Schedule(
        days=days,
        start=_minute(wanted.get("start"), f"{here}.start"),
        end=_minute(wanted.get("end"), f"{here}.end"),
        timezone=_zone(wanted.get("timezone", "UTC"), f"{here}.timezone"),
        **bounds,
    )


def _budget(given: Any, here: str) -> Budget | None:
    if given is None:
        return None
    wanted = _known(given, ["per_hour", "when_exceeded"], here)
    exceeded = _one_of(wanted.get("when_exceeded", DEGRADE), WHEN_EXCEEDED, f"{here}.when_exceeded")
    return Budget(_above_zero(wanted.get("per_hour"), f"{here}.per_hour"), exceeded)


def _known(given: Any, names: Sequence[str], here: str) -> dict[str, Any]:
    """The keys of ``given`` that have a value; all must be among ``names``."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{here} is {given!r}: it must be a mapping")
    unknown = sorted(str(key) for key in given if key not in names)
    if unknown:
        raise ValueError(f"{here} has no {', '.join(unknown)}: its keys are {', '.join(names)}")
    return {key: value for key, value in given.items() if value is not None}


def _list(given: Any, here: str) -> Sequence[Any]:
    if given is not None and not isinstance(given, (list, tuple)):
        raise ValueError(f"{here} is {given!r}: it must be a list")
    return given or ()


def _one_of(given: Any, choices: Sequence[str], here: str) -> str:
    if given not in choices:
        raise ValueError(f"{here} is {given!r}: use {'one of ' * (len(choices) > 1)}{', '.join(choices)}")
    return given


def _text(given: Any, here: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{here} is {given!r}: it must be a text")
    return given


def _whole(given: Any, here: str, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ValueError(f"{here} is {given!r}: it must be a whole number, {least} or more")
    return given


def _above_zero(given: Any, here: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < float("inf"):
        raise ValueError(f"{here} is {given!r}: it must be a number above 0")
    return float(given)


def _minute(given: Any, here: str) -> int:
    """Minutes after midnight of ``HH:MM``. YAML takes 22:00 without quotes for the number 1320."""
    if not isinstance(given, str) or not _CLOCK.fullmatch(given):
        raise ValueError(f"{here} is {given!r}: write hours and minutes in quotes, as in '08:30'")
    hours, minutes = given.split(":")
    return 60 * int(hours) + int(minutes)


def _zone(given: Any, here: str) -> str:
    try:
        return ZoneInfo(_text(given, here)).key
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"{here} is {given!r}, which this machine does not know: use an IANA name such as Europe/Berlin "
            "(and install tzdata where even that is not known)"
        ) from None
