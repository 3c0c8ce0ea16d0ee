#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets, forecasts and days out of line."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cost_watch
version_added: 0.1.0
short_description: Tell when budgets are reached and days are out of line
description:
  - Takes daily costs, as M(spot.platform.cost_info) returns them, and tells how budgets stand, what the month will have cost at its end, and
    which days are far from their own past, with the applications and services that make the difference.
  - Every alert of a budget is told once a month, and every day out of line once, as activity, which notifications take to the owners.
    What was told is kept in O(state_path).
  - Asks nothing of AWS.
author:
  - The spot.platform developers (@spot-platform)
options:
  rows:
    description: Daily costs with C(day), C(app), C(service) and C(usd). Two months of them make the best forecast.
    type: list
    elements: dict
    required: true
  basis:
    description: What the costs are, for the words of the events.
    type: str
    default: billed
  budgets:
    description: What applications may cost.
    type: list
    elements: dict
    default: []
    suboptions:
      app:
        description: The application.
        type: str
        required: true
      monthly:
        description: USD a month.
        type: float
        required: true
      alerts:
        description: Percentages of it at which to tell.
        type: list
        elements: float
        default: [50, 80, 100]
  today:
    description: The day that it is, in UTC, such as V(2026-01-31). By default that of the clock.
    type: str
  days:
    description: How many days before O(today) to look at for those out of line.
    type: int
    default: 7
  min_usd:
    description: By how much a day must differ at least to be out of line.
    type: float
    default: 1
  state_path:
    description: Where it is kept what was told, on the host that the task runs on.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode, where nothing is kept.
    support: full
  diff_mode:
    description: Has nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: See what two months have cost
  spot.platform.cost_info:
    start: "2026-01-01"
    by: [app, service]
  register: costs

- name: Tell when the shop reaches its budget
  spot.platform.cost_watch:
    rows: "{{ costs.rows }}"
    basis: "{{ costs.basis }}"
    budgets:
      - app: shop
        monthly: 500
        alerts: [50, 80, 100]
    state_path: /var/lib/spot-platform/costs.json
"""

RETURN = r"""
budgets:
  description: How each budget stands.
  returned: always
  type: list
  elements: dict
  contains:
    app:
      description: The application.
      type: str
      sample: shop
    month:
      description: The month.
      type: str
      sample: 2026-01
    budget_usd:
      description: Its budget.
      type: float
      sample: 500.0
    spent_usd:
      description: What it has spent in the month.
      type: float
      sample: 412.5
    spent_percent:
      description: The same in percent.
      type: float
      sample: 82.5
    crossed_percent:
      description: The highest alert that is reached, null if none is.
      type: float
      sample: 80.0
    exceeds:
      description: Whether it is to spend more than its budget.
      type: bool
    forecast:
      description: See RV(forecast).
      type: dict
forecast:
  description: What all together will have cost at the end of the month; null with less than a week of costs.
  returned: always
  type: dict
  contains:
    expected:
      description: USD.
      type: float
      sample: 1250.0
    low:
      description: The lower end of the band, in which four of five months end.
      type: float
      sample: 1190.0
    high:
      description: Its upper end.
      type: float
      sample: 1310.0
    spent:
      description: USD that are spent.
      type: float
      sample: 900.0
    days_over:
      description: Days of the month that are over.
      type: int
      sample: 22
    days_left:
      description: Days that are to come.
      type: int
      sample: 9
anomalies:
  description: The days out of line.
  returned: always
  type: list
  elements: dict
  contains:
    day:
      description: The day.
      type: str
      sample: "2026-01-20"
    app:
      description: The application, empty for what belongs to none, null for all together.
      type: str
      sample: shop
    usd:
      description: What it cost.
      type: float
      sample: 80.0
    usual_usd:
      description: The median of days alike.
      type: float
      sample: 40.0
    score:
      description: The modified z-score; null where days alike never differ.
      type: float
      sample: 12.5
    causes:
      description: The applications and services that make most of the difference.
      type: list
      elements: dict
      sample: [{app: shop, service: EC2 - Other, usd: 42.0, usual_usd: 2.0}]
activity:
  description: An event for each thing that was not told before, C(budget.reached), C(budget.exceeded), C(budget.forecast) or C(cost.anomaly).
  returned: always
  type: list
  elements: dict
  sample: [{kind: budget.reached, app: shop, resource: budget/shop/2026-01, changed: false}]
"""

from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import cost_watch
from ansible_collections.spot.platform.plugins.module_utils.activity import as_dicts
from ansible_collections.spot.platform.plugins.module_utils.engine import cost_watch as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.forecasts import forecast

ARGUMENTS = {
    "rows": {"type": "list", "elements": "dict", "required": True},
    "basis": {"type": "str", "default": "billed"},
    "budgets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "app": {"type": "str", "required": True},
            "monthly": {"type": "float", "required": True},
            "alerts": {"type": "list", "elements": "float", "default": [50, 80, 100]},
        },
    },
    "today": {"type": "str"},
    "days": {"type": "int", "default": 7},
    "min_usd": {"type": "float", "default": 1},
    "state_path": {"type": "path", "required": True},
}


def watch(given: dict[str, Any], keep: bool) -> dict[str, Any]:
    """The module's result; ``keep``: whether to remember what is told. Raises ``ValueError`` for what means nothing."""
    for name in ("days", "min_usd"):
        if given[name] < 0:
            raise ValueError(f"{name} is {given[name]:g}: it must be 0 or more")
    today = cost_watch.day_of("today", given["today"], datetime.now(timezone.utc).date())
    cost_watch.budgets_named(given["budgets"])
    wanted = [engine.Budget(one["app"], one["monthly"], tuple(one["alerts"])) for one in given["budgets"]]
    costs = engine.Costs(given["rows"])
    states = engine.budgets(costs, wanted, today)
    until = engine.known_until(costs, today)
    days = [day for number in range(1, given["days"] + 1) if (day := today - timedelta(days=number)) < until]
    found = engine.anomalies(costs, days, given["min_usd"], today - timedelta(days=engine.SETTLING))
    whole = forecast({day: usd for day, usd in costs.of().items() if day < until}, until) if until >= today.replace(day=1) else None
    told = cost_watch.Told(given["state_path"])
    with told.alone() if keep else nullcontext():
        told.read()
        events = cost_watch.news(states, found, told, given["basis"])
        if keep:
            told.write(today)
    return {
        "changed": bool(events),
        "budgets": [cost_watch.budget_of(one) for one in states],
        "forecast": cost_watch.forecast_of(whole),
        "anomalies": [cost_watch.anomaly_of(one) for one in found],
        "activity": as_dicts(events),
    }


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result = watch(module.params, keep=not module.check_mode)
    except ValueError as problem:
        module.fail_json(msg=str(problem), activity=[])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
