# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scaling of each application, as the autoscaler takes it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.spot.platform.plugins.filter.manifest import scalings_filter
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of
from ansible_collections.spot.platform.plugins.modules.spot_autoscale import ARGUMENTS

CPU = {"metrics": [{"name": "cpu", "target": 60}]}


def manifest(name="web", scaling=None):
    return {
        "name": name,
        "owner": "owner@example.com",
        "regions": ["us-east-1"],
        "capacity": {"min": 1, "max": 8, **({"scaling": scaling} if scaling else {})},
        "runtime": {"kind": "systemd", "command": "/bin/true"},
    }


def test_an_application_without_a_scaling_is_left_out_and_keeps_its_target():
    assert scalings_filter([]) == []
    assert scalings_filter([manifest(), manifest("api", {"step_up": 2})]) == []


def test_applications_come_by_name_each_once():
    found = scalings_filter([manifest("web", CPU), manifest("api", CPU), manifest("web", CPU)])
    assert [one["app"] for one in found] == ["api", "web"]


@pytest.mark.parametrize(
    "scaling",
    [CPU, {"schedules": [{"start": "08:00", "end": "18:00", "min": 4}]}, {"budget": {"per_hour": 2.5}}],
    ids=["metrics", "schedules", "budget"],
)
def test_a_scaling_is_what_the_autoscaler_takes(scaling):
    (found,) = scalings_filter([manifest("web", scaling)])
    assert ArgumentSpecValidator(ARGUMENTS).validate({"scaling": [found]}).error_messages == []
    assert found.pop("app") == "web"
    assert scaling_of(found, 1, 8) == scaling_of(scaling, 1, 8)


def test_a_wrong_manifest_is_named_with_what_is_wrong():
    with pytest.raises(AnsibleFilterError, match="the manifest web cannot be used: .*target is 160"):
        scalings_filter([manifest("web", {"metrics": [{"name": "cpu", "target": 160}]})])
    with pytest.raises(AnsibleFilterError, match="the manifest that is no mapping cannot be used"):
        scalings_filter(["web"])
    with pytest.raises(AnsibleFilterError, match="the manifest without a name cannot be used"):
        scalings_filter([{}])
