# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot: the one document that the page is made of, and how it is written for a browser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.report import with_scaling
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot_parts import saved_of

PARTS = (
    "apps",
    "fleets",
    "instances",
    "resources",
    "certificates",
    "service_accounts",
    "quotas",
    "volumes",
    "costs",
    "market",
)
"""What a snapshot may have beside its activity. A part that is missing is not known; one that is empty has nothing."""


def compose(
    parts: Mapping[str, Any],
    events: Iterable[Mapping[str, Any]],
    made_at: str,
    environment: str | None = None,
    events_max: int = 2000,
) -> dict[str, Any]:
    """The snapshot of what was observed.

    ``parts`` has those of ``PARTS`` that are known, ``errors``, ``regions`` and ``actions``; ``events`` is the activity in any order, to
    which comes what the groups did by themselves (`with_scaling`). The newest ``events_max`` stay, the newest last; where some went,
    ``truncated`` says how many there were.
    """
    fleets = [fleet for fleet in parts.get("fleets") or () if isinstance(fleet, Mapping)]
    known = {name: parts[name] for name in PARTS if parts.get(name) is not None}
    if "fleets" in known:
        known["fleets"] = [{key: value for key, value in fleet.items() if key != "activities"} for fleet in fleets]
    if "costs" in known:
        known["costs"] = {**saved_of(fleets), **known["costs"]}
    happened = [{"source": "platform", **event} for event in with_scaling(events, fleets)]
    unique = {str(event.get("id") or number): event for number, event in enumerate(happened)}
    ordered = sorted(unique.values(), key=lambda event: (str(event.get("time", "")), str(event.get("id", ""))))
    kept = ordered[-events_max:] if events_max else []
    began = [fleet["cost"]["since"] for fleet in fleets if (fleet.get("cost") or {}).get("since")]
    return {
        "made_at": made_at,
        "environment": environment,
        "regions": sorted(parts.get("regions") or {str(fleet.get("region")) for fleet in fleets}),
        "period": {"from": min(began, default=None), "to": made_at},
        "errors": [
            error if isinstance(error, Mapping) else {"message": str(error)} for error in parts.get("errors") or ()
        ],
        **known,
        "activity": kept,
        "actions": dict(parts.get("actions") or {}),
        **({"truncated": {"activity": {"kept": len(kept), "of": len(ordered)}}} if len(kept) < len(ordered) else {}),
    }


def app_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of an application's manifest."""
    return {
        "app": manifest["name"],
        "owner": manifest.get("owner"),
        "regions": list(manifest.get("regions") or ()),
        "unit": (manifest.get("capacity") or {}).get("unit"),
        "budget": manifest.get("budget"),
        "links": dict(manifest.get("links") or {}),
    }


def as_json(snapshot: Mapping[str, Any]) -> str:
    """The snapshot as JSON: ASCII, without ``<``, so that it is harmless wherever it is put; what is no finite number is null."""
    return json.dumps(plain(snapshot), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def as_script(text: str) -> str:
    """A script that hands the JSON ``text`` over as a string, since an object literal would take ``__proto__`` for more than a key."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"receive('{escaped}');\n"


def plain(value: Any) -> Any:
    """``value`` in types of JSON alone."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
