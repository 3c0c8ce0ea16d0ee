# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of file systems that were to grow: the module's result, its diff, and the events that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts
from ansible_collections.spot.platform.plugins.module_utils.engine import filesystems as engine
from ansible_collections.spot.platform.plugins.module_utils.filesystems import Grown, Observed


def result_of(grown: Sequence[Grown], acted: bool) -> dict[str, Any]:
    """The module's result. ``acted``: whether it was not check mode."""
    told = [filesystem_of(one) for one in grown]
    changed = [one for one in told if one["steps"]]
    return {
        "changed": bool(changed),
        "filesystems": told,
        "errors": [{"mount": one.path, "message": text} for one in grown for text in (one.error, one.problem) if text],
        "activity": as_dicts(_event(one, acted) for one in told if one["outcome"] != "kept"),
        "diff": {
            "before": {one["mount"]: one["before"] for one in changed},
            "after": {one["mount"]: one["after"] for one in changed},
        },
    }


def filesystem_of(one: Grown) -> dict[str, Any]:
    """A file system as the module returns it."""
    system = one.before.system if one.before else None
    disks = engine.disks_of(one.after.system if one.after else system) if system else []
    before = _figures(one.before) if one.before else None
    return {
        "mount": one.path,
        "outcome": _outcome(one),
        "device": system.members[0].device.name if system else None,
        "disk": disks[0].name if disks else None,
        "volume_id": disks[0].volume_id if disks else None,
        "disks": [{"disk": disk.name, "volume_id": disk.volume_id, "size": disk.size} for disk in disks],
        "fstype": system.kind if system else None,
        "before": before,
        "after": _figures(one.after) if one.after else _foretold(one, before),
        "steps": [dict(asdict(step), command=list(step.command)) for step in one.steps],
        "reasons": list(one.reasons) + [text for text in (one.error, one.problem) if text],
    }


def _outcome(one: Grown) -> str:
    if one.error:
        return "failed"
    if one.problem:
        return "refused"
    return "changed" if one.steps else "kept"


def _figures(observed: Observed) -> dict[str, Any]:
    devices = engine.devices_of(observed.system)
    partitions = [device.size for device in devices if device.partition]
    return {
        "disk": sum(disk.size for disk in engine.disks_of(observed.system)),
        "partition": sum(partitions) if partitions else None,
        "filesystem": observed.system.size,
        "used": observed.used,
        "available": observed.available,
    }


def _foretold(one: Grown, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures as steps that are not done yet would make them."""
    if before is None or not one.steps:
        return before
    after = dict(before, used=None, available=None)
    fields = {engine.RESCAN: "disk", engine.REREAD: "partition", engine.PARTITION: "partition", engine.FILESYSTEM: "filesystem"}
    for step in one.steps:
        if step.action in fields:
            after[fields[step.action]] += step.after - step.before
    return after


def _event(told: dict[str, Any], acted: bool) -> Event:
    before, after = told["before"], told["after"]
    kind, summary = {
        "changed": ("filesystem.grown", "{mount} {verb} from {before} to {after} bytes"),
        "refused": ("filesystem.refused", "{mount} cannot grow as it was asked"),
        "failed": ("filesystem.failed", "{mount} could not be grown"),
    }[told["outcome"]]
    sizes = [figures["filesystem"] if figures else None for figures in (before, after)]
    return Event(
        kind=kind,
        resource=told["mount"],
        summary=summary.format(mount=told["mount"], verb="grows" if acted else "would grow", before=sizes[0], after=sizes[1]),
        reasons=tuple(told["reasons"]),
        before=before,
        after=after,
        changed=bool(told["steps"]) and acted,
    )
