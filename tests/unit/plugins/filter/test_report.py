# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.report import report


def test_an_empty_estate_has_a_report():
    assert report({"fleets": [], "errors": [{"message": "no access"}], "generated_at": "2026-01-31T12:00:00.000Z"}) == {
        "generated_at": "2026-01-31T12:00:00.000Z",
        "apps": [],
        "events": [],
        "cost": {"since": None, "spot_platform": 0, "all_on_demand": 0, "savings_percent": 0.0, "basis": None},
        "errors": ["no access"],
    }


def test_the_input_must_be_an_estate():
    with pytest.raises(AnsibleFilterError, match="estate_info"):
        report({"instances": []})
