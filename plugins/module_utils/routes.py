# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the routes of a region's events: the module's result, its diff, and the event that it leaves."""

from __future__ import annotations

from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.activity import Event
from ansible_collections.spot.platform.plugins.module_utils.aws.routes import Outcome
from ansible_collections.spot.platform.plugins.module_utils.engine import routes


def action_of(outcome: Outcome, present: bool) -> str:
    """One word for what was done."""
    if outcome.error:
        return "failed"
    if not outcome.changes:
        return "unchanged" if present else "absent"
    if not present:
        return "deleted"
    return "created" if all(change.action == "created" for change in outcome.changes) else "updated"


def result_of(outcome: Outcome, present: bool) -> dict[str, Any]:
    """An outcome as the module returns it."""
    place = outcome.place
    return {
        "region": place.region,
        "action": action_of(outcome, present),
        "error": outcome.error,
        "queue_urls": {name.removeprefix(place.name()): url for name, url in sorted(outcome.urls.items())},
        "topic_arn": place.topic,
        "key_alias": place.alias,
        "pending": list(outcome.pending),
        "changes": [{"kind": change.kind, "name": change.name, "action": change.action} for change in outcome.changes],
    }


def event_of(outcome: Outcome, present: bool) -> Event:
    """What an outcome leaves in the activity."""
    action = action_of(outcome, present)
    sentence = {
        "failed": f"could not be {'ensured' if present else 'removed'}: {outcome.error}",
        "unchanged": "are as they are to be",
        "absent": "are absent",
        "deleted": "were removed",
        "created": "were made",
        "updated": f"were changed: {', '.join(f'{change.kind} {change.name}' for change in outcome.changes)}",
    }[action]
    before, after = sides(outcome)
    return Event(
        kind=f"events.{action}",
        resource=outcome.place.name(routes.EVENTS),
        summary=f"The routes of events of {outcome.place.environment} in {outcome.place.region} {sentence}",
        region=outcome.place.region,
        reasons=(outcome.error,) if outcome.error else (),
        before=before or None,
        after=after or None,
        changed=bool(outcome.changes),
    )


def diff_of(outcome: Outcome) -> dict[str, Any]:
    """What differs, with its values."""
    before, after = sides(outcome)
    header = f"{outcome.place.name(routes.EVENTS)} ({outcome.place.region})"
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def sides(outcome: Outcome) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that changed, before and after, by kind and name."""
    before, after = (
        {
            f"{change.kind} {change.name}": dict(settings)
            for change in outcome.changes
            if (settings := getattr(change, side)) is not None
        }
        for side in ("before", "after")
    )
    return before, after
