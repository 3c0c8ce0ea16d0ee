# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds that somebody sets for some hours, narrower than those of the manifest, as text: they are a tag of the group.

They end by themselves: whoever takes a step after that time no longer keeps them, and removes the tag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

LONGEST_HOURS = 168.0
"""What is to last for longer than a week is the manifest's business."""
NEAR = 0.1
"""The share of the hours asked for by which an end may be earlier and is still the same: to ask twice changes nothing."""
TAG_LENGTH = 256
"""AWS's limit for the value of a tag."""
FIGURES = ("minimum", "maximum", "on_demand_base")


@dataclass(frozen=True, slots=True)
class Override:
    """Until the time ``until`` (seconds since the epoch) the target is ``minimum`` at least and ``maximum`` at most, and
    ``on_demand_base`` of it On-Demand at least; ``None``: as in the manifest.

    ``before``: the target to go back to, of an application whose target nothing else sets. ``by``: who wants it.
    """

    until: float
    minimum: int | None = None
    maximum: int | None = None
    on_demand_base: int | None = None
    before: int | None = None
    by: str = ""
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Whether it is in force at ``now``."""
        return now < self.until

    @property
    def figures(self) -> dict[str, int]:
        """What it sets, by name."""
        return {name: value for name in FIGURES if (value := getattr(self, name)) is not None}


def written(override: Override) -> str:
    """As a text that `read` takes."""
    found = {
        "min": override.minimum,
        "max": override.maximum,
        "base": override.on_demand_base,
        "until": clock(override.until),
        "before": override.before,
        "by": override.by or None,
        "why": override.reason or None,
    }
    kept = {name: value for name, value in found.items() if value is not None}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def read(text: str | None) -> Override | None:
    """What was written; ``None`` where there is no such text: what cannot be read must not keep a group from its steps."""
    try:
        found = json.loads(text or "")
        override = Override(
            moment(found["until"]),
            *(found.get(name) for name in ("min", "max", "base", "before")),
            str(found.get("by", "")),
            str(found.get("why", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    numbers = (*override.figures.values(), override.before or 0)
    return override if all(isinstance(one, int) and one >= 0 for one in numbers) else None


def clock(time: float) -> str:
    """``2026-01-31T23:59Z``, in UTC."""
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def moment(text: str) -> float:
    """Seconds since the epoch, to the minute, of a time with its zone. Raises ``ValueError`` that says what is wrong with it."""
    try:
        found = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        raise ValueError(f"the end is {text!r}, which is no time: write it as 2026-01-31T23:59Z") from None
    if found.tzinfo is None:
        raise ValueError(f"the end is {text!r}, which names no time zone: write it as 2026-01-31T23:59Z or 2026-01-31T23:59+01:00")
    return found.timestamp() // 60 * 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: the figures, for ``hours`` or until the time ``until``, one of the two."""

    minimum: int | None = None
    maximum: int | None = None
    on_demand_base: int | None = None
    hours: float | None = None
    until: float | None = None
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the group is tagged with: the manifest's ``low`` and ``high``, and the target in force without what is carried for others."""

    app: str
    region: str
    unit: str
    low: int
    high: int
    target: int


@dataclass(frozen=True, slots=True)
class Change:
    """What the tag is to say; ``None``: as it is. ``before``: what is in force."""

    before: Override | None
    after: Override | None
    reasons: tuple[str, ...]


def settle(present: Override | None, wish: Wish, bounds: Bounds, now: float, followed: bool) -> Change:
    """What ``wish`` makes of a group that has ``present``. ``followed``: whether metrics or schedules set its target.

    Raises ``ValueError`` with the value and the remedy for what cannot be.
    """
    check(wish, bounds)
    until = _end(wish, now)
    before = None
    if not followed:
        before = bounds.target if present is None or present.before is None else present.before
    wanted = Override(until, wish.minimum, wish.maximum, wish.on_demand_base, before, wish.by, wish.reason)
    length = len(written(wanted))
    if length > TAG_LENGTH:
        raise ValueError(f"reason has {len(wish.reason)} characters, {length - TAG_LENGTH} more than fit into a tag: shorten it")
    held = present if present is not None and present.holds(now) else None
    same = held is not None and (held.figures, held.reason) == (wanted.figures, wanted.reason)
    near = 60.0 if wish.hours is None else NEAR * 3600 * wish.hours
    if held is not None and same and 0 <= until - held.until < near:
        return Change(held, None, (f"{told(held, bounds.unit)}, as it is",))
    return Change(held, wanted, (told(wanted, bounds.unit),))


def end(present: Override | None, bounds: Bounds, now: float) -> Change:
    """What it takes to end ``present`` now: the step that finds it over goes back to what was before."""
    if present is None or not present.holds(now):
        return Change(None, None, ("no temporary bounds are in force",))
    return Change(present, replace(present, until=now // 60 * 60), (f"ended early: {told(present, bounds.unit)}",))


def check(wish: Wish, bounds: Bounds) -> None:
    """Raises ``ValueError`` for figures that are not within the manifest's bounds, or that contradict each other."""
    low, high, app = bounds.low, bounds.high, f"{bounds.app} in {bounds.region}"
    if all(getattr(wish, name) is None for name in FIGURES):
        raise ValueError("there is nothing to set: give minimum, maximum or on_demand_base")
    for name, least in (("minimum", low), ("maximum", low), ("on_demand_base", 0)):
        value = getattr(wish, name)
        if value is not None and value > high:
            raise ValueError(
                f"{name} is {value}, but capacity.max of {app} is {high} {bounds.unit}: ask for {high} at most, or raise "
                "capacity.max in its manifest and run spot.platform.app_onboard"
            )
        if value is not None and value < least:
            raise ValueError(
                f"{name} is {value}, but capacity.min of {app} is {least} {bounds.unit}: ask for {least} at least, or lower "
                "capacity.min in its manifest and run spot.platform.app_onboard"
                if least
                else f"{name} is {value}: it must be 0 or more"
            )
    if wish.minimum is not None and wish.maximum is not None and wish.minimum > wish.maximum:
        raise ValueError(f"minimum is {wish.minimum}, above maximum {wish.maximum}: exchange them")


def _end(wish: Wish, now: float) -> float:
    """When it is to end. Raises ``ValueError``."""
    if wish.hours is not None:
        if not 0 < wish.hours <= LONGEST_HOURS:
            raise ValueError(
                f"hours is {wish.hours:g}: it must be above 0 and up to {LONGEST_HOURS:g}; what is to last longer belongs in "
                "the manifest, in capacity.min or capacity.scaling.schedules"
            )
        return (now + 3600 * wish.hours + 59) // 60 * 60
    if wish.until is None:
        raise ValueError("it is not said for how long: give hours, or until when")
    if wish.until <= now:
        raise ValueError(f"the end is {clock(wish.until)}, which is past: it is {clock(now)} at AWS")
    if wish.until > now + 3600 * LONGEST_HOURS:
        raise ValueError(
            f"the end is {clock(wish.until)}, more than {LONGEST_HOURS:g} hours ahead: what is to last longer belongs in the "
            "manifest, in capacity.min or capacity.scaling.schedules"
        )
    return wish.until


def told(override: Override, unit: str) -> str:
    """In words: what it sets, until when, by whom and why."""
    names = {"minimum": "at least {} {unit}", "maximum": "at most {} {unit}", "on_demand_base": "{} {unit} of On-Demand"}
    parts = [names[name].format(value, unit=unit) for name, value in override.figures.items()]
    who = ": ".join(filter(None, (override.by, override.reason)))
    return f"temporarily {_list(parts)}, until {clock(override.until)}{f' ({who})' if who else ''}"


def bounds_of(override: Override | None, now: float, unit: str) -> dict[str, Any] | None:
    """The bounds as JSON with a sentence, ``None`` where none are in force."""
    if override is None or not override.holds(now):
        return None
    return {
        "minimum": override.minimum,
        "maximum": override.maximum,
        "on_demand_base": override.on_demand_base,
        "until": clock(override.until),
        "by": override.by or None,
        "reason": override.reason or None,
        "summary": told(override, unit),
    }


def base_of(override: Override | None, now: float, base: int, most: int) -> int:
    """The On-Demand base in force, of the manifest's ``base`` and what somebody set, that within ``most``."""
    if override is None or not override.holds(now):
        return base
    return max(base, min(override.on_demand_base or 0, most))


def _list(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
