# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One time line of what several sources tell, each thing once.

The same act is told by several: our own event of a volume that was resized, the event of EventBridge, and the call that
CloudTrail saw. Whoever knows most of it stays, and learns from CloudTrail who did it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

PLATFORM, CODEDEPLOY, AUTOSCALING, EVENTBRIDGE, CLOUDTRAIL = (
    "platform",
    "codedeploy",
    "autoscaling",
    "eventbridge",
    "cloudtrail",
)
SOURCES = (PLATFORM, CODEDEPLOY, AUTOSCALING, EVENTBRIDGE, CLOUDTRAIL)
"""Those that know more of a thing first."""
WITHIN = 60.0
"""Seconds between two that tell of the same thing, at most: our own events have the time at which the task ended."""
LAUNCH, END, CREATE, DELETE, CHANGE, ATTACH, DETACH, DEPLOY, ANY = (
    "launch", "end", "create", "delete", "change", "attach", "detach", "deploy", "any"
)  # fmt: skip
ACTS = (
    (CHANGE, ("create_tags", "create_or_update_tags", "delete_tags")),
    (DEPLOY, ("deployment", "create_deployment", "deploy", "stop_deployment")),
    (LAUNCH, ("launch", "run_instances", "start_instances", "create_fleet")),
    (END, ("terminat", "stop_instances", "ended", "interrupt", "fenced")),
    (ATTACH, ("attach", "claim", "register", "associate")),
    (DETACH, ("detach", "deregister", "disassociate", "released")),
    (DELETE, ("delet", "remov", "cancel", "release", "revoke", "offboard", "destroy")),
    (CREATE, ("creat", "made", "allocate", "import", "request", "onboard", "copy_", "moved", "restore")),
    (
        CHANGE,
        (
            "modif",
            "updat",
            "set_",
            "put_",
            "resiz",
            "grow",
            "scal",
            "fallback",
            "return",
            "chang",
            "shr",
            "tag_",
            "enable",
        ),
    ),
    (
        CHANGE,
        (
            "authorize",
            "disable",
            "suspend",
            "resume",
            "complete",
            "start_",
            "stop_",
            "enter",
            "exit",
            "execute",
            "reboot",
        ),
    ),
)
"""By the beginning of what follows the full stop in the kind of an event; the first that fits."""
SINGLE = frozenset({"volume.deferred", "volume.refused", "filesystem.refused"})
"""Of what was not done there is nothing for others to tell."""


def act_of(kind: str) -> str:
    """What is done by an event of this kind: ``capacity.launched`` and ``ec2.run_instances`` are both a launch.

    ``any`` where the name does not tell, as in ``app.elb_application_lb``: the module of a role.
    """
    area, _stop, what = kind.partition(".")
    if area == "deployment":
        return DEPLOY
    return next((act for act, words in ACTS if what.startswith(words)), ANY)


def subjects(event: Mapping[str, Any]) -> set[str]:
    """What an event is about: its resource, by ARN and by name, and the ids beside it."""
    after = event.get("after")
    named = [event.get("resource"), *_texts(event.get("ids"))]
    if not event.get("resource") and isinstance(after, Mapping):
        named.append(after.get("group"))
    found = {one for one in named if isinstance(one, str) and one}
    return found | {re.split(r"[:/]", one)[-1] for one in found if one.startswith("arn:")}


def _texts(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def seconds(event: Mapping[str, Any]) -> float:
    """When it was, in seconds since the epoch."""
    return datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00")).timestamp()


def merged(events: Iterable[Mapping[str, Any]], within: float = WITHIN) -> list[dict[str, Any]]:
    """The events in order of time, without doubles.

    Two are doubles if they have the same id, or are told by different sources of the same resource and the same kind of
    act, at most ``within`` seconds apart, and either both say that it was done or both that it was not. The one of the
    source that comes first in `SOURCES` stays; if CloudTrail tells of it too, it has ``principal``, whom AWS knows as the
    one who did it, and that for ``actor`` where it has none of its own. An event stands for one of each other source, for
    the nearest in time.
    """
    ordered = sorted(
        (dict(event) for event in events),
        key=lambda one: (SOURCES.index(one["source"]), seconds(one), str(one.get("id"))),
    )
    ids: set[Any] = set()
    kept: list[dict[str, Any]] = []
    told: list[set[str]] = []
    index: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for event in ordered:
        if event.get("id") in ids:
            continue
        ids.add(event.get("id"))
        about, time = subjects(event), seconds(event)
        twin = _twin(event, about, time, kept, told, index, within)
        if twin is not None:
            told[twin].add(event["source"])
            if event["source"] == CLOUDTRAIL:
                _learn(kept[twin], event)
            continue
        kept.append(event)
        told.append({event["source"]})
        for name in about:
            insort(index[name], (time, len(kept) - 1))
    return sorted(kept, key=lambda one: (seconds(one), SOURCES.index(one["source"]), str(one.get("id"))))


def _twin(
    event: Mapping[str, Any],
    about: set[str],
    time: float,
    kept: list[dict[str, Any]],
    told: list[set[str]],
    index: Mapping[str, list[tuple[float, int]]],
    within: float,
) -> int | None:
    """The place of the event that tells of the same already."""
    act = act_of(event["kind"])
    near: list[tuple[float, int]] = []
    for name in about:
        entries = index.get(name, [])
        for then, place in entries[bisect_left(entries, (time - within, -1)) :]:
            if then > time + within:
                break
            other = kept[place]
            same = act == act_of(other["kind"]) or (ANY in (act, act_of(other["kind"])) and PLATFORM in told[place])
            if (
                same
                and event["source"] not in told[place]
                and _done(event) == _done(other)
                and other["kind"] not in SINGLE
            ):
                if not event.get("region") or not other.get("region") or event["region"] == other["region"]:
                    near.append((abs(then - time), place))
    return min(near)[1] if near else None


def _done(event: Mapping[str, Any]) -> bool:
    """Whether it says that something was done. EventBridge and Auto Scaling tell of what others did, and changed nothing."""
    if event["source"] == EVENTBRIDGE:
        return not event["kind"].endswith("_failed")
    return bool(event.get("changed", True))


def _learn(event: dict[str, Any], trail: Mapping[str, Any]) -> None:
    event["principal"] = trail.get("principal") or trail.get("actor")
    if not event.get("actor") or event["source"] in (AUTOSCALING, EVENTBRIDGE):
        event["actor"] = trail.get("actor")
