# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A decision of the autoscaler, explained on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.plugin_utils.table import aligned, wrapped

DOCUMENTATION = r"""
name: capacity_table
short_description: Explain the decisions of the autoscaler
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Makes lines, at most 100 characters wide, of what the autoscaler decided on each application, why, and what it knows of
    the pools.
options:
  _input:
    description: The decisions that M(spot.platform.spot_autoscale) returned, with O(spot.platform.spot_autoscale#module:explain=true).
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: Explain the decisions
  ansible.builtin.debug:
    msg: "{{ decisions | spot.platform.capacity_table }}"
  vars:
    decisions: []
"""
RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

HEAD = ("POOL", "HELD", "WANTED", "USD/H", "LOST IN", "OPEN")
SHOWN = 12
"""Of the pools that are neither held nor wanted, so many in all are shown."""


def capacity_table(decisions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines on ``decisions``."""
    if not isinstance(decisions, Sequence) or any("reasons" not in one for one in decisions):
        raise AnsibleFilterError("capacity_table needs the decisions of spot.platform.spot_autoscale")
    if not decisions:
        return ["No application is steered here."]
    return [line for one in decisions for text in _told(one) for line in wrapped(text)]


def _told(one: Mapping[str, Any]) -> list[str]:
    figures = "nothing was decided"
    if one["target"] is not None:
        figures = (
            f"{one['serving']} of {one['target']} serve, {one['fallback']} of them On-Demand in place of Spot; "
            f"{one['cost_per_hour']:.4f} USD an hour with its risk, {one['on_demand_cost_per_hour']:.4f} all On-Demand"
        )
    lines = [f"{one['app'] or one['group']} in {one['region']}: {one['kind']}; {figures}"]
    lines += [f"  - {reason}" for reason in one["reasons"]]
    pools = [pool for place, pool in enumerate(one.get("pools", ())) if place < SHOWN or pool["held"] or pool["wanted"]]
    if pools:
        lines += [f"  {line}" for line in aligned([HEAD, *map(_row, pools)], left=1)]
    hidden = len(one.get("pools", ())) - len(pools)
    return [*lines, *([f"  and {hidden} dearer pools"] if hidden else []), ""]


def _row(pool: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        pool["pool"],
        str(pool["held"]),
        str(pool["wanted"]),
        f"{pool['price_per_hour']:.4f}",
        f"{pool['hours_to_a_loss']:.1f} h",
        f"{100 * pool['chance_open']:.0f} %",
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {"capacity_table": capacity_table}
