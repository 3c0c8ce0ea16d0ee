# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of temporary bounds: the module's result, its diff, and the events that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts, rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.overrides import Set
from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import bounds_of

BOUNDS = ("minimum", "maximum", "on_demand_base", "until", "by", "reason", "summary")


def result_of(found: Sequence[Set]) -> dict[str, Any]:
    """The module's result."""
    changed = [one for one in found if one.change.after is not None and not one.error]
    return {
        "changed": bool(changed),
        "overrides": [override_of(one) for one in found],
        "errors": [{"group": one.one.name, "region": one.one.region, "message": one.error} for one in found if one.error],
        "activity": as_dicts(event_of(one) for one in changed),
        "diff": {
            name: {f"{one.one.key}@{one.one.region}": bounds_of(getattr(one.change, name), one.one.now, unit_of(one)) for one in changed}
            for name in ("before", "after")
        },
    }


def override_of(found: Set) -> dict[str, Any]:
    """The bounds of a group as they are then."""
    change, one = found.change, found.one
    then = change.before if change.after is None or found.error else change.after
    return {
        "group": one.name,
        "region": one.region,
        "app": one.app,
        "changes": change.after is not None and not found.error,
        **(bounds_of(then, one.now, unit_of(found)) or dict.fromkeys(BOUNDS)),
    }


def unit_of(found: Set) -> str:
    """What the figures count."""
    return found.one.tags.get(tags.UNIT, "instances")


def event_of(found: Set) -> Event:
    """The event of bounds that were set, or ended."""
    one, change = found.one, found.change
    (words,) = change.reasons
    return Event(
        kind="capacity.overridden" if change.after and change.after.holds(one.now) else "capacity.restored",
        resource=one.name,
        summary=f"{words[0].upper()}{words[1:]}",
        app=one.app,
        region=one.region,
        before=bounds_of(change.before, one.now, unit_of(found)),
        after=bounds_of(change.after, one.now, unit_of(found)),
        changed=True,
        time=rfc3339(datetime.fromtimestamp(one.now, timezone.utc)),
    )
