# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.snapshot import (
    snapshot,
    snapshot_json,
    snapshot_metrics,
    snapshot_script,
)

NOW = "2026-01-31T12:00:00.000Z"


def test_parts_come_in_place_of_those_of_the_estate_and_those_without_a_value_do_not():
    made = snapshot(
        {"fleets": [], "volumes": [1], "instances": [2], "generated_at": NOW},
        parts={"volumes": [{"id": "v"}], "instances": None, "market": {"pools": []}},
    )
    assert (made["volumes"], made["instances"], made["market"]) == ([{"id": "v"}], [2], {"pools": []})
    assert made["made_at"] == NOW


def test_manifests_of_all_regions_are_one_application_each():
    manifest = {"name": "web", "regions": ["us-east-1", "eu-west-1"]}
    made = snapshot({"fleets": [], "generated_at": NOW}, manifests=[manifest, manifest, {"name": "api"}])
    assert [app["app"] for app in made["apps"]] == ["api", "web"]
    assert "apps" not in snapshot({"fleets": [], "generated_at": NOW})


def test_what_is_no_estate_or_no_snapshot_is_refused():
    with pytest.raises(AnsibleFilterError, match="estate_info"):
        snapshot({"instances": []})
    with pytest.raises(AnsibleFilterError, match="made_at"):
        snapshot_json({"fleets": []})


def test_the_same_snapshot_gives_the_same_text():
    made = snapshot({"fleets": [], "generated_at": NOW})
    assert snapshot_json(made) == snapshot_json(json.loads(snapshot_json(made)))
    assert snapshot_script(snapshot_json(made)) == f"receive('{snapshot_json(made).strip()}');\n"


def test_metrics_need_a_snapshot_with_times():
    assert "snapshot_timestamp_seconds" in snapshot_metrics(snapshot({"fleets": [], "generated_at": NOW}))
    with pytest.raises(AnsibleFilterError, match="made_at"):
        snapshot_metrics({"fleets": []})
    with pytest.raises(AnsibleFilterError, match="yesterday"):
        snapshot_metrics({"made_at": "yesterday"})
