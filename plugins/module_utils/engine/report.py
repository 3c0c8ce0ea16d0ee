# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: fleets, activity and cost of an environment in one JSON document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.activities import AUTOSCALING

REGION_KEYS = (
    "region",
    "group",
    "kind",
    "unit",
    "target",
    "serving",
    "serving_min",
    "spot",
    "on_demand",
    "fallback",
    "pools",
    "cost_per_hour",
    "on_demand_cost_per_hour",
    "savings_percent",
    "cost",
    "timeline",
)


def compose(
    fleets: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    generated_at: str,
    errors: Iterable[str] = (),
) -> dict[str, Any]:
    """The report of ``estate_info``'s fleets and of activity events.

    ``events`` has the activity and what the groups did by themselves (`with_scaling`), newest first. ``apps`` has
    one entry an application, each with one entry a region; ``cost`` sums the regions' dollars over their common
    basis; ``errors`` says what could not be seen. ``generated_at`` is RFC 3339.
    """
    fleets = sorted(fleets, key=lambda fleet: (fleet["app"], fleet["region"]))
    apps: dict[str, list[dict[str, Any]]] = {}
    for fleet in fleets:
        apps.setdefault(fleet["app"], []).append({key: fleet.get(key) for key in REGION_KEYS})
    return {
        "generated_at": generated_at,
        "apps": [{"name": name, "regions": regions} for name, regions in apps.items()],
        "events": sorted(with_scaling(events, fleets), key=lambda event: str(event.get("time", "")), reverse=True),
        "cost": total_cost([fleet["cost"] for fleet in fleets if fleet.get("cost")]),
        "errors": list(errors),
    }


def with_scaling(events: Iterable[Mapping[str, Any]], fleets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``events`` with what the groups did by themselves, unless they tell of that already, as those of activity_info do."""
    told = [dict(event) for event in events]
    if any(event.get("source") == AUTOSCALING for event in told):
        return told
    return [*told, *({**event, "source": AUTOSCALING} for event in scaling_events(fleets))]


def scaling_events(fleets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the groups did by themselves, as activity events: one for all like activities of a group in one minute.

    Attempts in vain, which a group repeats as long as there is no capacity, are one event an hour.

    Kinds: ``scaling.launched``, ``scaling.ended`` and ``scaling.failed``. An id is made of group and time, so that the
    same activities give the same event.
    """
    gathered: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for fleet in fleets:
        for activity in fleet.get("activities") or ():
            ended = activity["description"].startswith("Terminating")
            kind = "failed" if activity["status"] == "Failed" else "ended" if ended else "launched"
            window = activity["time"][: len("2026-01-31T11" if kind == "failed" else "2026-01-31T11:00")]
            key = (fleet["app"], fleet["region"], kind, window)
            gathered.setdefault(key, []).append({**activity, "group": fleet["group"]})
    found = []
    for (app, region, kind, _window), alike in gathered.items():
        first = min(alike, key=lambda activity: activity["time"])
        count, group = len(alike), first["group"]
        noun = "instance" if count == 1 else "instances"
        said = {"launched": f"launched {count} {noun}", "ended": f"ended {count} {noun}"}
        tried = "once" if count == 1 else f"{count} times"
        why = (activity["message"] or TIMESTAMP.sub("", activity.get("cause") or "") for activity in alike)
        found.append(
            {
                "id": f"{group}@{region}/{first['time']}/{kind}",
                "time": first["time"],
                "app": app,
                "region": region,
                "kind": f"scaling.{kind}",
                "resource": group,
                "summary": f"The group {said.get(kind) or f'tried in vain to launch instances, {tried}'}",
                "reasons": list(dict.fromkeys(reason.strip() for reason in why if reason.strip()))[:3],
                "before": None,
                "after": None,
                "actor": "autoscaling.amazonaws.com",
                "run": None,
                "changed": kind != "failed",
            }
        )
    return found


TIMESTAMP = re.compile(r"\bAt \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")
"""How the sentences of an activity's cause begin; without it, like causes read alike."""


def total_cost(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of the fleets' costs in USD, since the earliest of their beginnings; savings in percent, one place."""
    spent = round(sum(cost["spot_platform"] for cost in costs), 6)
    instead = round(sum(cost["all_on_demand"] for cost in costs), 6)
    return {
        "since": min((cost["since"] for cost in costs if cost.get("since")), default=None),
        "spot_platform": spent,
        "all_on_demand": instead,
        "savings_percent": round(100 * (1 - spent / instead), 1) if instead else 0.0,
        "basis": next((cost["basis"] for cost in costs if cost.get("basis")), None),
    }
