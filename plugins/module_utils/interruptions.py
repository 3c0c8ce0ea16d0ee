# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of interruptions that were handled: the module's result, its diff, and the events that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import autoscaling
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Stepped
from ansible_collections.spot.platform.plugins.module_utils.aws.interruptions import Handled, Treated
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import INTERRUPTION, REPLACE

HANDLED, NOTED, REPLACED = "handled", "noted", "replaced"


def result_of(handled: Handled, policy: str) -> dict[str, Any]:
    """The module's result. ``policy``: that for rebalance recommendations."""
    stepped = autoscaling.result_of(Stepped(handled.outcomes))
    treated = sorted(handled.treated, key=lambda one: one.known.id)
    instances = [instance_of(one, policy) for one in treated]
    changed = [one for one in treated if one.target_groups or one.hooks]
    return {
        "changed": bool(stepped["changed"] or changed),
        "instances": instances,
        "skipped": [
            {"id": one.id, "region": one.region, "reason": one.reason}
            for one in sorted(handled.skipped, key=lambda one: one.id)
        ],
        "decisions": stepped["decisions"],
        "errors": [*stepped["errors"], *({"group": None, "region": where, "message": text} for where, text in handled.errors)],
        "notes": list(dict.fromkeys(handled.notes)),
        "activity": [*as_dicts(events_of(treated, policy)), *stepped["activity"]],
        "diff": {
            "before": stepped["diff"]["before"]
            | {one.known.id: {"target_groups": list(one.target_groups), "hooks": list(one.hooks)} for one in changed},
            "after": stepped["diff"]["after"] | {one.known.id: {"target_groups": [], "hooks": []} for one in changed},
        },
    }


def action_of(one: Treated, policy: str) -> str:
    """What was done about an instance."""
    if one.told == INTERRUPTION:
        return HANDLED
    return REPLACED if policy == REPLACE else NOTED


def instance_of(one: Treated, policy: str) -> dict[str, Any]:
    """An instance as the module returns it."""
    return {
        "id": one.known.id,
        "region": one.known.region,
        "app": one.known.app,
        "environment": one.known.environment,
        "group": one.group,
        "told": one.told,
        "action": action_of(one, policy),
        "target_groups": list(one.target_groups),
        "held": one.held,
        "drained": one.drained,
        "hooks": list(one.hooks),
        "seconds_left": round(one.left) if one.told == INTERRUPTION else None,
        "failed": one.failed,
    }


def events_of(treated: Sequence[Treated], policy: str) -> list[Event]:
    """An event for each group and what its instances were told."""
    together: dict[tuple[Any, ...], list[Treated]] = {}
    for one in treated:
        key = (one.known.region, one.known.app, one.group, action_of(one, policy))
        together.setdefault(key, []).append(one)
    return [_event(*key, found) for key, found in together.items()]


def _event(region: str, app: str | None, group: str | None, action: str, found: Sequence[Treated]) -> Event:
    ids = [one.known.id for one in found]
    count = f"{len(found)} instance{'s' if len(found) > 1 else ''}"
    reasons: list[str] = []
    if action == HANDLED:
        out = [one for one in found if one.target_groups]
        summary = f"{count} told to go by AWS: {len(out)} taken out of their target groups"
        for what, some in (
            ("stayed in the target group at first, for nothing else was healthy there", [one for one in found if one.held]),
            ("not drained in time", [one for one in found if one.drained is False]),
            ("no group of the application has it", [one for one in found if one.group is None]),
            ("failed, and to be handled again", [one for one in found if one.failed]),
        ):
            if some:
                reasons.append(f"{what}: {', '.join(one.known.id for one in some)}")
    elif action == REPLACED:
        summary = f"{count} that AWS recommends to leave: to be replaced, and to go when what replaces them serves"
    else:
        summary = f"{count} that AWS recommends to leave: the risk of their pools rises"
    hooks = sum(len(one.hooks) for one in found)
    return Event(
        kind=f"{'interruption' if action == HANDLED else 'rebalance'}.{action}",
        resource=group or ids[0],
        summary=summary,
        app=app,
        region=region,
        reasons=tuple(reasons),
        after={
            "ids": ids,
            "target_groups": sorted({arn for one in found for arn in one.target_groups}),
            "hooks": hooks,
        },
        changed=any(one.target_groups or one.hooks for one in found) or action == REPLACED,
    )
