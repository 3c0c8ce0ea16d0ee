# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a simulation."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.simulation_table import simulation_table

ROW = {
    "trace": "production-web@us-east-1",
    "policy": "spot.platform",
    "profile": "balanced",
    "target": 8,
    "availability": 0.9998,
    "service": 0.99995,
    "longest_shortfall": 300.0,
    "cost": 0.41,
    "cost_usd_per_hour": 0.1574,
}


def test_a_row_is_a_line_and_remarks_follow():
    other = {**ROW, "policy": "all-on-demand", "profile": None, "availability": 1.0, "longest_shortfall": 0.0}
    rows = [ROW, {**other, "cost": 1.0, "cost_usd_per_hour": None}]
    lines = simulation_table({"rows": rows, "observed": [{"remarks": ["word " * 40]}]})
    assert lines[0].split() == "REPLAYED POLICY TARGET AVAILABLE SERVED LONGEST GAP COST USD/H".split()
    assert lines[2].split()[1:] == "spot.platform (balanced) 8 99.980 % 99.995 % 300 s 41.0 % 0.1574".split()
    assert lines[3].split()[1:] == "all-on-demand 8 100.000 % 99.995 % - 100.0 % ?".split()
    assert lines[4].startswith("word word") and max(map(len, lines)) <= 100


def test_anything_else_is_refused():
    with pytest.raises(AnsibleFilterError, match="capacity_simulation_info"):
        simulation_table({"fleets": []})
