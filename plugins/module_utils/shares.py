# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of file systems that instances share: the module's result, its diff, and the events that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts
from ansible_collections.spot.platform.plugins.module_utils.aws.shares import Done


def result_of(made: Sequence[Done], given: Mapping[str, Any], region: str | None, acted: bool) -> dict[str, Any]:
    """The module's result. ``given``: its options; ``acted``: whether it was not check mode."""
    changed = [one for one in made if one.steps]
    return {
        "changed": bool(changed),
        "shares": [share_of(one) for one in made],
        "activity": as_dicts(_event(one, given, region, acted) for one in changed),
        "diff": {"before": {}, "after": {one.name: one.steps for one in changed}},
    }


def share_of(one: Done) -> dict[str, Any]:
    """A file system as the module returns it."""
    return {
        "name": one.name,
        "id": one.id,
        "arn": one.arn,
        "access_point_id": one.access_point.rpartition("/")[2] if one.access_point else None,
        "access_point_arn": one.access_point,
        "subnets": one.targets,
        "steps": one.steps,
    }


def _event(one: Done, given: Mapping[str, Any], region: str | None, acted: bool) -> Event:
    kind, what = ("share.created", "is made") if one.created else ("share.changed", "is changed")
    if given["state"] == "absent":
        kind, what = ("share.deleted", "is deleted, with all that it held") if given["delete_data"] else ("share.kept", "is kept, and out of reach")
    return Event(
        kind=kind,
        resource=one.id or one.name,
        summary=f"{given['app']}'s file system {one.name} {what}{'' if acted else ', in check mode'}",
        app=given["app"],
        region=region,
        reasons=tuple(one.steps),
        changed=acted,
    )
