# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of the applications, put together from EBS, the hosts and Prometheus, and as a table for a terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: volume_table
short_description: Show volumes as a table
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Makes the lines of a table, at most 100 characters wide, of what P(spot.platform.volume_rows#filter) put together.
options:
  _input:
    description: The rows.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the volumes
  ansible.builtin.debug:
    msg: "{{ rows | spot.platform.volume_table }}"
  vars:
    rows: []
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.plugin_utils.table import aligned, percent, wrapped

GIB = 1024**3
HEAD = ("APP", "VOLUME", "REGION", "MOUNT", "GIB", "USED", "GIB/DAY", "DAYS LEFT", "NEXT CHANGE")


def volume_rows(volumes: Iterable[Mapping[str, Any]], hosts: Mapping[str, Any], growth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See ``volume_rows.yml``."""
    seen = {}
    for name in hosts:
        for one in (hosts[name].get("__seen") or {}).get("filesystems") or ():
            if one.get("volume_id") and one.get("before") and len(one["disks"]) == 1:
                seen[one["volume_id"]] = one
    filling = {}
    for one in growth.get("result", ()):
        labels = one["metric"]
        filling[labels.get("instance_id"), labels.get("mountpoint")] = float(one["value"][1])
    rows = []
    for volume in volumes:
        file_system = seen.get(volume["id"], {})
        mount = file_system.get("mount") or volume["mount"]
        rate, before = filling.get((volume["instance"], mount)), file_system.get("before")
        rows.append(
            {
                "app": volume["app"],
                "id": volume["id"],
                "region": volume["region"],
                "instance": volume["instance"],
                "mount": mount,
                "type": volume["before"]["type"],
                "size_gib": volume["before"]["size"],
                "used_bytes": before["used"] if before else None,
                "available_bytes": before["available"] if before else None,
                "growth_bytes_per_day": rate,
                "days_left": before["available"] / rate if before and rate is not None and rate > 0 else None,
                "may_change": volume["outcome"] == "changed",
                "not_before": volume["not_before"],
                "reasons": volume["reasons"] if volume["outcome"] in ("deferred", "refused", "failed") else [],
            }
        )
    return sorted(rows, key=lambda row: (row["app"] or "", row["region"], row["mount"] or "", row["id"]))


def volume_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """See the filter's documentation above."""
    if not rows:
        return ["No application has a volume here."]
    lines = aligned([HEAD, *map(cells, rows)], left=4)
    lines.insert(1, "-" * max(map(len, lines)))
    notes = [f"{row['id']}: {reason}" for row in rows for reason in row["reasons"]]
    unseen = sum(row["used_bytes"] is None for row in rows)
    if unseen:
        notes.append(f"What is used of {unseen} of {len(rows)} is not known: no host that could be asked has them mounted.")
    return [line for text in [*lines, *notes] for line in wrapped(text)]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A volume's cells."""
    used, available, rate = row["used_bytes"], row["available_bytes"], row["growth_bytes_per_day"]
    return (
        row["app"] or "-",
        row["id"],
        row["region"],
        row["mount"] or "-",
        str(row["size_gib"]),
        "?" if used is None else percent(100 * used / max(1, used + available)),
        "?" if rate is None else f"{rate / GIB:.1f}",
        "-" if row["days_left"] is None else f"{row['days_left']:.0f}",
        "now" if row["may_change"] else (row["not_before"] or "later")[:16].replace("T", " "),
    )


class FilterModule:
    """The filters ``spot.platform.volume_rows`` and ``spot.platform.volume_table``."""

    def filters(self) -> dict[str, Any]:
        """Their names in Jinja."""
        return {"volume_rows": volume_rows, "volume_table": volume_table}
