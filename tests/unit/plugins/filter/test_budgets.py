# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The budget of each application, as cost_watch takes it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.manifest import budgets_filter


def manifest(name="web", budget=None):
    return {
        "name": name,
        "owner": "owner@example.com",
        "regions": ["us-east-1"],
        "capacity": {"min": 1, "max": 8},
        "runtime": {"kind": "systemd", "command": "/bin/true"},
        **({"budget": budget} if budget is not None else {}),
    }


def test_budgets_come_by_name_with_their_alerts_and_once_for_several_regions():
    given = [manifest("web", {"monthly": 500}), manifest("api", {"monthly": 20.5, "alerts": [90]}), manifest("none"), manifest("web", {"monthly": 500})]
    assert budgets_filter(given) == [
        {"app": "api", "monthly": 20.5, "alerts": [90.0]},
        {"app": "web", "monthly": 500.0, "alerts": [50, 80, 100]},
    ]


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"monthly": 0}, "the budget of web is 0 USD a month: it must be above 0"),
        ({"monthly": -1}, "it must be above 0"),
        ({"monthly": 5, "alerts": [0]}, "has an alert at 0 %: it must be above 0"),
        ({}, "monthly is missing"),
        ({"month": 5}, "unknown key budget.month"),
        ({"monthly": "much"}, "budget.monthly is 'much': it must be a number"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(budget, message):
    with pytest.raises(AnsibleFilterError, match=message):
        budgets_filter([manifest(budget=budget)])
