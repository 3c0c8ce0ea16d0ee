# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.report import page, report

TEMPLATE = str(Path(__file__).parents[4] / "roles/dashboard/templates/index.html.j2")
HOSTILE = '"><script>alert(1)</script>'


def estate():
    pool = {"zone": HOSTILE, "instance_type": HOSTILE, "lifecycle": HOSTILE, "instances": 1, "price_per_hour": None}
    fleet = {
        "app": HOSTILE,
        "region": HOSTILE,
        "unit": HOSTILE,
        "target": 4,
        "serving": 2,
        "serving_min": 1,
        "spot": 2,
        "on_demand": 0,
        "fallback": 0,
        "pools": [pool],
        "cost_per_hour": 0.1,
        "on_demand_cost_per_hour": 0.3,
        "savings_percent": 66.7,
        "cost": {"since": HOSTILE, "spot_platform": 1.0, "all_on_demand": 3.0, "basis": HOSTILE},
        "timeline": [{"time": "2026-01-31T11:00:00.000Z", "spot": 2, "on_demand": 0}],
    }
    return {"fleets": [fleet], "errors": [{"message": HOSTILE}], "generated_at": "2026-01-31T12:00:00.000Z"}


def test_whatever_comes_from_outside_is_escaped():
    event = {key: HOSTILE for key in ("time", "kind", "app", "region", "summary")} | {"reasons": [HOSTILE], "changed": True}
    html = page(report(estate(), [event]), TEMPLATE)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 12


def test_a_fleet_that_is_short_says_by_how_much():
    assert "short by 2" in page(report(estate()), TEMPLATE)


def test_an_empty_estate_has_a_page():
    html = page(report({"fleets": [], "errors": []}), TEMPLATE)
    assert "No application runs" in html


def test_the_input_must_be_an_estate():
    with pytest.raises(AnsibleFilterError, match="estate_info"):
        report({"instances": []})


def test_a_template_that_is_not_there_is_named():
    with pytest.raises(AnsibleFilterError, match="no/such/page"):
        page({}, "no/such/page")
