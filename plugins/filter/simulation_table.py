# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulation of the capacity as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.plugin_utils.table import aligned, money, wrapped

DOCUMENTATION = r"""
name: simulation_table
short_description: Show a simulation of the capacity as a table
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Makes the lines of a table, at most 100 characters wide, of what each policy would have cost and served, and of how well
    the replayed history is known.
  - P(spot.platform.simulation_table#filter) is for people. Use the result of M(spot.platform.capacity_simulation_info) for
    programs.
options:
  _input:
    description: What M(spot.platform.capacity_simulation_info) returned.
    type: dict
    required: true
"""
EXAMPLES = r"""
- name: Show the simulation
  ansible.builtin.debug:
    msg: "{{ simulation | spot.platform.simulation_table }}"
  vars:
    simulation:
      rows: []
      observed: []
"""
RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

HEAD = ("REPLAYED", "POLICY", "TARGET", "AVAILABLE", "SERVED", "LONGEST GAP", "COST", "USD/H")


def simulation_table(simulation: Mapping[str, Any]) -> list[str]:
    """The lines of the table of ``simulation`` (the result of capacity_simulation_info)."""
    if not isinstance(simulation, Mapping) or not {"rows", "observed"} <= set(simulation):
        raise AnsibleFilterError(
            "simulation_table needs the result of spot.platform.capacity_simulation_info, with 'rows'"
        )
    lines = aligned([HEAD, *map(cells, simulation["rows"])])
    lines.insert(1, "-" * max(map(len, lines)))
    remarks = [remark for each in simulation["observed"] for remark in each["remarks"]]
    return [line for text in [*lines, *remarks] for line in wrapped(text)]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row's cells. ``COST`` is the share of what the target costs On-Demand."""
    gap = row["longest_shortfall"]
    return (
        row["trace"],
        f"{row['policy']} ({row['profile']})" if row["profile"] else row["policy"],
        str(row["target"]),
        f"{100 * row['availability']:.3f} %",
        f"{100 * row['service']:.3f} %",
        f"{gap:.0f} s" if gap else "-",
        f"{100 * row['cost']:.1f} %",
        money(row["cost_usd_per_hour"]),
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {"simulation_table": simulation_table}
