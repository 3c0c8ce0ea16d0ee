# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that make the report of a month's costs, and a table, CSV, metrics and the contents of a mail of it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cost_report
short_description: Compose the report of a month's costs
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Puts costs, budgets, savings and waste of a month together.
options:
  _input:
    description: What M(spot.platform.cost_info) returned, with daily costs; with C(equivalents) the month's saving is in the report.
    type: dict
    required: true
  watch:
    description: What M(spot.platform.cost_watch) returned.
    type: dict
    required: true
  month:
    description: The month, such as V(2026-01).
    type: str
    required: true
  over:
    description: Whether it is over, so that nothing is forecast.
    type: bool
    default: false
  estate:
    description:
      - What M(spot.platform.estate_info) returned, for fallback and interrupted work and, without C(equivalents), for an estimate of the savings.
    type: dict
  waste:
    description: What M(spot.platform.waste_info) returned.
    type: dict
"""

EXAMPLES = r"""
- name: Show the costs
  ansible.builtin.debug:
    msg: "{{ costs | spot.platform.cost_report(watch, '2026-01') | spot.platform.cost_table }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
"""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.module_utils.engine import cost_report as engine
from ansible_collections.spot.platform.plugins.plugin_utils.table import aligned, wrapped

COLUMNS = ("day", "app", "service", "region", "purchase", "usd", "basis")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
WORDS = {"Applications": 1, "Services": 1, "Purchase options": 1, engine.COMPARED: 1, "Days out of line": 2, "Waste, USD a month": 3}
"""How many columns of a table are words, which stand on the left."""


def cost_report(
    costs: Any, watch: Any, month: Any, over: bool = False, estate: Any = None, waste: Any = None
) -> dict[str, Any]:
    """See the filter's documentation above."""
    if not isinstance(costs, Mapping) or "rows" not in costs or "basis" not in costs:
        raise AnsibleFilterError("the report needs the result of spot.platform.cost_info, which has 'rows' and 'basis'")
    if not isinstance(watch, Mapping) or "budgets" not in watch:
        raise AnsibleFilterError("the report needs the result of spot.platform.cost_watch, which has 'budgets'")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", str(month)):
        raise AnsibleFilterError(f"the month is {month!r}: write it as in 2026-01")
    return engine.compose(costs, watch, estate, waste, str(month), over)


def cost_table(report: Mapping[str, Any]) -> list[str]:
    """See ``cost_table.yml``."""
    lines = [engine.summary(report), ""]
    for table in engine.tables(report):
        shown = aligned([table["head"], *table["rows"]], left=WORDS.get(table["title"], 2))
        lines += [table["title"], *shown, ""]
    return [line for text in [*lines, *engine.remarks(report)] for line in wrapped(text)]


def cost_csv(report: Mapping[str, Any]) -> str:
    """The rows as CSV (RFC 4180), see ``cost_csv.yml``. What a spreadsheet would take for a formula has an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in report["rows"]:
        writer.writerow([_harmless(row.get(name)) for name in COLUMNS])
    return file.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else "" if value is None else value


def cost_event(report: Mapping[str, Any]) -> dict[str, Any]:
    """See ``cost_event.yml``."""
    return {
        "kind": "cost.report",
        "resource": f"cost/{report['month']}",
        "summary": engine.summary(report),
        "reasons": engine.remarks(report),
        "after": {"month": report["month"], "total_usd": report["total_usd"], "basis": report["basis"], "tables": engine.tables(report)},
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {
            "cost_report": cost_report,
            "cost_table": cost_table,
            "cost_csv": cost_csv,
            "cost_metrics": engine.metrics,
            "cost_event": cost_event,
        }
