# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications in several regions, or with a name, as the autoscaler takes them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.spot.platform.plugins.filter.manifest import check, spreads_filter
from ansible_collections.spot.platform.plugins.modules.spot_autoscale import ARGUMENTS

DNS = {"zone": "example.com", "name": "web.example.com"}


def manifest(name="web", regions=("us-east-1", "eu-west-1"), sharing=None, dns=None, port=8080):
    return {
        "name": name,
        "owner": "owner@example.com",
        "regions": list(regions),
        "capacity": {"min": 1, "max": 8, **({"sharing": sharing} if sharing else {})},
        "runtime": {"kind": "systemd", "command": "/bin/true", **({"port": port} if port else {})},
        **({"routing": {"dns": dns}} if dns else {}),
    }


def test_regions_help_each_other_unless_told_otherwise():
    assert spreads_filter([manifest()]) == [
        {
            "app": "web",
            "regions": ["us-east-1", "eu-west-1"],
            "sharing": {"max_extra": 0.5, "after_seconds": 120, "stable_seconds": 300},
        }
    ]
    assert spreads_filter([manifest(sharing={"max_extra": 0.0})]) == []
    assert spreads_filter([manifest(regions=["us-east-1"])]) == []


def test_a_name_needs_no_second_region():
    (found,) = spreads_filter([manifest(regions=["us-east-1"], dns=DNS)])
    assert found == {"app": "web", "regions": ["us-east-1"], "dns": {**DNS, "policy": "weighted"}}


def test_each_is_what_the_autoscaler_takes_once_by_name():
    found = spreads_filter([manifest("web", dns={**DNS, "policy": "latency"}), manifest("api"), manifest("api")])
    assert [one["app"] for one in found] == ["api", "web"]
    assert ArgumentSpecValidator(ARGUMENTS).validate({"spread": found}).error_messages == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sharing": {"max_extra": -0.5}}, "capacity.sharing.max_extra is -0.5: it must be a number, 0 or more"),
        ({"dns": {**DNS, "name": "web.example.org"}}, "'web.example.org': it must be in the zone example.com"),
        ({"dns": {**DNS, "name": "badexample.com"}}, "'badexample.com': it must be in the zone example.com"),
        ({"dns": DNS, "port": None}, "routing.dns needs a load balancer: set runtime.port"),
        ({"dns": {"zone": "example.com"}}, "routing.dns.name is missing: add it"),
    ],
)
def test_what_cannot_be_is_named(wrong, says):
    _result, problems = check(manifest(**wrong))
    assert len(problems) == 1 and says in problems[0]
    with pytest.raises(AnsibleFilterError, match="the manifest web cannot be used"):
        spreads_filter([manifest(**wrong)])


@pytest.mark.parametrize("dns", [{"zone": "Z0123456789", "name": "web.example.org"}, {"zone": "example.com.", "name": "Example.com"}])
def test_a_zone_is_given_by_its_id_or_its_name(dns):
    assert check(manifest(dns=dns))[1] == []
