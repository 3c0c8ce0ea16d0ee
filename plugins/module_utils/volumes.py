# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of volumes that were to change: the module's result, its diff, and the events that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts, rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.volumes import Judged
from ansible_collections.spot.platform.plugins.module_utils.engine import volumes as engine

OUTCOMES = {engine.CHANGE: "changed", engine.KEEP: "kept", engine.DEFER: "deferred", engine.REFUSE: "refused"}


def result_of(judged: Sequence[Judged], errors: Sequence[tuple[str | None, str]], acted: bool) -> dict[str, Any]:
    """The module's result. ``acted``: whether it was not check mode."""
    refused = any(one.plan.action == engine.REFUSE for one in judged)
    changed = [] if refused else [one for one in judged if one.changed or one.state is not None]
    wrong = [(one.region, f"{one.volume.id}: {text}") for one in judged for text in _problems(one)]
    return {
        "changed": bool(changed),
        "alert": any(one.plan.alert for one in judged),
        "volumes": [volume_of(one, one in changed) for one in judged],
        "errors": [{"region": region, "message": text} for region, text in (*errors, *wrong)],
        "activity": as_dicts(_event(one, one in changed, acted) for one in judged if _worth_telling(one, refused)),
        "diff": {
            "before": {f"{one.volume.id}@{one.region}": _before(one) for one in changed},
            "after": {f"{one.volume.id}@{one.region}": _after(one) for one in changed},
        },
    }


def volume_of(one: Judged, changed: bool) -> dict[str, Any]:
    """A volume as the module returns it."""
    until = one.plan.not_before
    outcome = "failed" if one.error else OUTCOMES[one.plan.action]
    return {
        "id": one.volume.id,
        "region": one.region,
        "app": one.tags.get(tags.APP),
        "mount": one.mount,
        "instance": one.instance,
        "device": one.device,
        "outcome": "kept" if outcome == "changed" and not changed else outcome,
        "before": _before(one),
        "after": _after(one) if changed else _before(one),
        "state": one.state,
        "not_before": rfc3339(datetime.fromtimestamp(until, timezone.utc)) if until is not None else None,
        "alert": one.plan.alert,
        "reasons": [*one.plan.reasons, *filter(None, (one.error,))],
    }


def _problems(one: Judged) -> tuple[str, ...]:
    return one.plan.reasons if one.plan.action == engine.REFUSE else tuple(filter(None, (one.error,)))


def _before(one: Judged) -> dict[str, Any]:
    volume = one.volume
    return {"size": volume.size, "type": volume.kind, "iops": volume.iops, "throughput": volume.throughput}


def _after(one: Judged) -> dict[str, Any]:
    plan = one.plan
    wished = {"size": plan.size, "type": plan.kind, "iops": plan.iops, "throughput": plan.throughput}
    return _before(one) | {name: value for name, value in wished.items() if value is not None}


def _worth_telling(one: Judged, refused: bool) -> bool:
    """Whether anything was done, or was wished and could not be."""
    return one.plan.action == engine.REFUSE or (not refused and (one.plan.action != engine.KEEP or one.plan.alert))


def _event(one: Judged, changed: bool, acted: bool) -> Event:
    told = volume_of(one, changed)
    name = f"{told['app']}'s {told['mount']}" if told["app"] and told["mount"] else one.volume.id
    after = told["after"]
    kind, summary = {
        "changed": ("volume.resized", f"{name} {'grows' if acted else 'would grow'} from {one.volume.size} to {after['size']} GiB"),
        "deferred": ("volume.deferred", f"{name} cannot be modified {'before ' + told['not_before'] if told['not_before'] else 'now'}"),
        "refused": ("volume.refused", f"{name} cannot be changed as it was asked"),
        "failed": ("volume.failed", f"{name} could not be modified"),
        "kept": ("volume.full", f"{name} is wished to grow, and may not"),
    }[told["outcome"]]
    if told["outcome"] == "changed" and after["size"] == one.volume.size:
        summary = f"{name} {'becomes' if acted else 'would become'} {after['type']} with {after['iops']} IOPS"
    return Event(
        kind=kind,
        resource=one.volume.id,
        summary=summary,
        app=told["app"],
        region=one.region,
        reasons=tuple(told["reasons"]),
        before=told["before"],
        after=after | {"state": one.state, "not_before": told["not_before"], "instance": one.instance},
        changed=changed and acted,
        time=rfc3339(datetime.fromtimestamp(one.now, timezone.utc)),
    )
