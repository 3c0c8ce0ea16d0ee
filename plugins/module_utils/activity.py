# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The activity event: what every change leaves behind, and every change that was not made, and why."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """One change made (``changed``) or deliberately not made, with its reasons.

    ``kind`` is ``<area>.<what>``, for example ``capacity.fallback``; ``resource`` the identifier of what it is
    about; ``summary`` one sentence; ``before`` and ``after`` JSON values. ``time`` is RFC 3339 in UTC.
    ``actor`` and ``run`` are filled in by the callback, which knows who runs which playbook.
    """

    kind: str
    resource: str
    summary: str
    app: str | None = None
    region: str | None = None
    reasons: tuple[str, ...] = ()
    before: Any = None
    after: Any = None
    changed: bool = True
    actor: str | None = None
    run: str | None = None
    time: str = field(default_factory=lambda: rfc3339(datetime.now(timezone.utc)))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def as_dict(self) -> dict[str, Any]:
        """The event as it is written: one flat JSON object."""
        return {**asdict(self), "reasons": list(self.reasons)}


def rfc3339(moment: datetime) -> str:
    """``2026-01-31T23:59:59.123Z``: an aware time in UTC, to the millisecond.

    Raises ``ValueError`` for a naive time: which zone it is in cannot be known.
    """
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment.isoformat()} has no time zone")
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_dicts(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The ``activity`` that a module returns."""
    return [event.as_dict() for event in events]


def events_in(path: str, since: datetime | None = None) -> list[dict[str, Any]]:
    """The events of an activity file, one JSON object a line, not older than ``since``; raises ``ValueError`` that names the
    file and the line. A line is read at a time: the file may be long."""
    found = []
    try:
        with Path(path).expanduser().open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                event = _event_of(line, number, path)
                if since is None or datetime.fromisoformat(event["time"].replace("Z", "+00:00")) >= since:
                    found.append(event)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read the activity file {path}: {error}; name a file that the callback wrote"
        ) from error
    return found


def _event_of(line: str, number: int, path: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
        if datetime.fromisoformat(event["time"].replace("Z", "+00:00")).tzinfo is None:
            raise ValueError("its time has no time zone")
        return {**event, "kind": event["kind"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"line {number} of the activity file {path} is not an event: {line[:80].rstrip()}") from error
