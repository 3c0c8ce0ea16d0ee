# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A decision explained on a terminal."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.capacity_table import capacity_table

DECISION = {
    "group": "test-web",
    "app": "web",
    "region": "us-east-1",
    "kind": "fallback",
    "target": 8,
    "serving": 6,
    "fallback": 2,
    "cost_per_hour": 0.21,
    "on_demand_cost_per_hour": 0.48,
    "reasons": ["a reason " * 20],
    "pools": [
        {
            "pool": f"us-east-1a/m{number}.large",
            "held": 2 * (number == 0),
            "wanted": 0,
            "price_per_hour": 0.02,
            "hours_to_a_loss": 12.5,
            "chance_open": 0.6,
        }
        for number in range(20)
    ],
}


def test_the_lines_fit_a_terminal_and_tell_all():
    lines = capacity_table([DECISION])
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert "web in us-east-1: fallback; 6 of 8 serve" in text and "and 8 dearer pools" in text
    assert "60 %" in text and "12.5 h" in text


def test_nothing_steered_and_nothing_decided_are_said():
    assert capacity_table([]) == ["No application is steered here."]
    new = {**DECISION, "target": None, "pools": [], "reasons": ["the group is new"]}
    assert capacity_table([new])[0] == "web in us-east-1: fallback; nothing was decided"


def test_other_input_is_refused():
    with pytest.raises(AnsibleFilterError, match="spot_autoscale"):
        capacity_table([{"app": "web"}])
