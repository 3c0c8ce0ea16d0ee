# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of data volumes that stay with their zone: the module's result, its diff, and the events that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts
from ansible_collections.spot.platform.plugins.module_utils.aws.affinity import Result, Settled, Wanted
from ansible_collections.spot.platform.plugins.module_utils.engine import affinity as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.affinity import Plan

KINDS = {
    engine.CLAIM: ("volume.claimed", "{app}'s {mount}: {volume} {goes} to {instance} in {zone}"),
    engine.FORCE: ("volume.detach_forced", "{app}'s {mount}: {volume} {goes} free by force, its instance has ended"),
    engine.FENCE: ("instance.fenced", "{app}'s {mount}: {instance} is {ended}, which has {volume} and cannot be reached"),
    engine.MOVE: ("volume.moved", "{app}'s {mount}: {volume} {goes} to {zone}, where {instance} waits for it"),
}


def result_of(results: Sequence[Result], acted: bool) -> dict[str, Any]:
    """The module's result. ``acted``: whether it was not check mode."""
    ordered = sorted(results, key=lambda one: (one.wanted.region, one.wanted.app, one.wanted.mount))
    pairs = [(one.wanted, settled) for one in ordered for _name, settled in sorted(one.volumes.items())]
    changed = [(wanted, one) for wanted, one in pairs if one.done]
    return {
        "changed": bool(changed),
        "volumes": [volume_of(wanted, one, acted) for wanted, one in pairs],
        "lacking": [{**_named(one.wanted), "instance": name} for one in ordered for name in one.decision.lacking],
        "errors": [
            *({"region": one.wanted.region, "message": one.error} for one in ordered if one.error),
            *({"region": wanted.region, "message": f"{one.volume.id}: {one.error}"} for wanted, one in pairs if one.error),
        ],
        "activity": as_dicts(_event(wanted, plan, acted) for wanted, one in changed for plan in one.done),
        "diff": {
            "before": {f"{one.volume.id}@{wanted.region}": {"instance": _before(one), "zone": one.volume.zone} for wanted, one in changed},
            "after": {f"{one.volume.id}@{wanted.region}": {"instance": _after(one, acted), "zone": one.done[-1].zone} for wanted, one in changed},
        },
    }


def volume_of(wanted: Wanted, one: Settled, acted: bool) -> dict[str, Any]:
    """A volume as the module returns it."""
    return {
        "id": one.volume.id,
        "zone": one.volume.zone,
        **_named(wanted),
        "instance": _after(one, acted),
        "actions": [plan.action for plan in one.done],
        "reasons": list(dict.fromkeys(reason for plan in (*one.done, one.plan) for reason in plan.reasons)),
    }


def _named(wanted: Wanted) -> dict[str, Any]:
    return {"app": wanted.app, "mount": wanted.mount, "region": wanted.region}


def _before(one: Settled) -> str | None:
    first = one.done[0]
    return first.instance if first.action in (engine.FORCE, engine.FENCE) else None


def _after(one: Settled, acted: bool) -> str | None:
    """Who has it, in check mode who would have."""
    if not acted and one.done:
        return one.done[-1].instance if one.done[-1].action == engine.CLAIM else None
    return one.volume.instance


def _event(wanted: Wanted, plan: Plan, acted: bool) -> Event:
    kind, words = KINDS[plan.action]
    goes, ended = ("goes", "ended") if acted else ("would go", "to be ended")
    told = words.format(app=wanted.app, mount=wanted.mount, volume=plan.volume, instance=plan.instance, zone=plan.zone, goes=goes, ended=ended)
    return Event(
        kind=kind,
        resource=plan.volume,
        summary=told,
        app=wanted.app,
        region=wanted.region,
        reasons=plan.reasons,
        after={"instance": plan.instance, "zone": plan.zone, "mount": wanted.mount},
        changed=acted,
    )
