# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status table."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.status_table import status_table

POOLS = [
    {"zone": "us-east-1a", "instance_type": "m5.large", "lifecycle": "spot", "instances": 2, "capacity": 4},
    {"zone": "us-east-1b", "instance_type": "m5.large", "lifecycle": "on_demand", "instances": 1, "capacity": 2},
]


def fleet(**more):
    return {
        "app": "web",
        "region": "us-east-1",
        "group": "sandbox-web",
        "unit": "vcpus",
        "target": 10,
        "serving": 10,
        "spot": 8,
        "on_demand": 2,
        "fallback": 0,
        "pools": POOLS,
        "cost_per_hour": 0.25,
        "on_demand_cost_per_hour": 0.5,
        "savings_percent": 50.0,
        **more,
    }


def test_columns_stand_under_each_other_and_money_adds_up():
    lines = status_table({"fleets": [fleet(), fleet(app="worker", region="eu-west-1", unit="instances")], "errors": []})
    assert lines[0].split() == ("APP REGION TARGET SERVING SPOT ON-DEMAND FALLBACK POOLS/ZONES USD/H SAVING".split())
    assert lines[2].split() == "web us-east-1 10 vCPU 10 8 2 - 2/2 0.2500 50.0 %".split()
    assert lines[3].split()[:4] == "worker eu-west-1 10 inst".split()
    assert lines[-1].split() == "TOTAL 0.5000 50.0 %".split()
    assert len({len(line) for line in lines}) == 1


def test_what_is_amiss_is_said():
    lines = status_table(
        {
            "fleets": [fleet(serving=6, spot=4, fallback=4, cost_per_hour=None, savings_percent=None)],
            "errors": [{"region": "eu-west-1", "message": "access denied; " + "allow the action and " * 10}],
        }
    )
    text = "\n".join(lines)
    assert "(!) web in us-east-1 serves 6 of 10 vcpus." in text
    assert "On-Demand stands in for 4 vcpus" in text
    assert "not all prices are known" in text
    assert "Could not be read: eu-west-1: access denied" in text
    assert max(map(len, lines)) <= 100


def test_long_names_and_large_figures_still_fit():
    wide = fleet(
        app="a-very-long-name-yes", region="ap-southeast-1", target=100000, serving=99999, cost_per_hour=12345.6
    )
    assert max(map(len, status_table({"fleets": [wide], "errors": []}))) <= 100


def test_nothing_runs():
    assert status_table({"fleets": [], "errors": []}) == ["No application runs here."]


def test_anything_else_is_refused():
    with pytest.raises(AnsibleFilterError, match="estate_info"):
        status_table([])
