# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The estate as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.plugin_utils.table import aligned, money, percent, wrapped

DOCUMENTATION = r"""
name: status_table
short_description: Show the estate as a table
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Makes the lines of a table, at most 100 characters wide, of the fleets of all applications, with their totals.
  - P(spot.platform.status_table#filter) is for people. Use the result of M(spot.platform.estate_info) for programs.
options:
  _input:
    description: What M(spot.platform.estate_info) returned.
    type: dict
    required: true
"""
EXAMPLES = r"""
- name: Show the estate
  ansible.builtin.debug:
    msg: "{{ estate | spot.platform.status_table }}"
  vars:
    estate:
      fleets: []
      errors: []
"""
RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

HEAD = ("APP", "REGION", "TARGET", "SERVING", "SPOT", "ON-DEMAND", "FALLBACK", "POOLS/ZONES", "USD/H", "SAVING")


def status_table(estate: Mapping[str, Any]) -> list[str]:
    """The lines of ``estate``'s table (the result of estate_info)."""
    if not isinstance(estate, Mapping) or "fleets" not in estate:
        raise AnsibleFilterError("status_table needs the result of spot.platform.estate_info, which has 'fleets'")
    fleets = estate["fleets"]
    lines = (
        aligned([HEAD, *(row(fleet) for fleet in fleets), total(fleets)]) if fleets else ["No application runs here."]
    )
    if fleets:
        lines[1:1] = lines[-1:-1] = ["-" * len(lines[0])]
    notes = [note for fleet in fleets for note in notes_of(fleet)]
    errors = [f"Could not be read: {error['region']}: {error['message']}" for error in estate.get("errors", ())]
    return [line for text in [*lines, *notes, *errors] for line in wrapped(text)]


def row(fleet: Mapping[str, Any]) -> tuple[str, ...]:
    """A fleet's cells."""
    pools = fleet["pools"]
    return (
        str(fleet["app"] or fleet["group"]),
        fleet["region"],
        f"{fleet['target']} {'vCPU' if fleet['unit'] == 'vcpus' else 'inst'}",
        str(fleet["serving"]) + ("" if fleet["serving"] >= fleet["target"] else " (!)"),
        str(fleet["spot"]),
        str(fleet["on_demand"]),
        str(fleet["fallback"] or "-"),
        f"{len(pools)}/{len({pool['zone'] for pool in pools})}",
        money(fleet["cost_per_hour"]),
        percent(fleet["savings_percent"]),
    )


def total(fleets: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The cells of the last line: what adds up over applications of different units is money."""
    priced = [fleet for fleet in fleets if fleet["cost_per_hour"] is not None]
    paid = sum(fleet["cost_per_hour"] for fleet in priced)
    instead = sum(fleet["on_demand_cost_per_hour"] for fleet in priced)
    saving = percent(100 * (1 - paid / instead) if instead else None)
    return ("TOTAL", *[""] * 7, money(paid), saving)


def notes_of(fleet: Mapping[str, Any]) -> list[str]:
    """What a reader should know beside the figures."""
    name = f"{fleet['app'] or fleet['group']} in {fleet['region']}"
    notes = []
    if fleet["serving"] < fleet["target"]:
        notes.append(f"(!) {name} serves {fleet['serving']} of {fleet['target']} {fleet['unit']}.")
    if fleet.get("override"):
        notes.append(f"{name}: {fleet['override']['summary']}.")
    if fleet["fallback"]:
        notes.append(f"{name}: On-Demand stands in for {fleet['fallback']} {fleet['unit']} of Spot.")
    if fleet["cost_per_hour"] is None:
        notes.append(f"{name}: not all prices are known, so it is not in the total.")
    return notes


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {"status_table": status_table}
