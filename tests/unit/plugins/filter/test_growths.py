# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems are to grow, by the name that an event gives them or by the manifests."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.growths import growths
from ansible_collections.spot.platform.plugins.filter.manifest import check

SHOP = {
    "name": "shop",
    "owner": "owner@example.com",
    "regions": ["us-east-1"],
    "capacity": {"min": 1, "max": 2},
    "runtime": {"kind": "systemd", "command": "/bin/true"},
    "volumes": [{"mount": "/srv/data", "free_percent": 30, "max_size": 100}, {"mount": "/"}],
}


def instance(number, app="shop"):
    return {"instance_id": f"i-{number:017x}", "app_name": app, "app_region": "us-east-1"}


HOSTS = {
    "shop@us-east-1": {"app_manifest": SHOP, "app_region": "us-east-1"},
    "one": instance(1),
    "two": instance(2),
    "other": instance(3, "blog"),
    "localhost": {},
}


def test_what_an_event_names_is_found_by_instance_or_by_host_with_what_its_manifest_says():
    found = growths([f"i-{2:017x}:/srv/data", "one:/srv/data", "one:/srv/data"], HOSTS)
    assert [(one["host"], one["mount"], one["free_percent"], one["max_size"]) for one in found] == [
        ("one", "/srv/data", 30.0, 100),
        ("two", "/srv/data", 30.0, 100),
    ]
    assert (found[0]["app"], found[0]["region"]) == ("shop", "us-east-1")


def test_what_no_manifest_has_goes_by_the_defaults():
    (found,) = growths(["other:/var/lib/x:y"], HOSTS)
    assert (found["mount"], found["grow_below"], found["free_percent"], found["max_size"]) == ("/var/lib/x:y", 10, 25, None)


def test_all_that_manifests_have_is_found_where_that_is_asked():
    assert growths([], HOSTS) == []
    assert [(one["host"], one["mount"], one["named"]) for one in growths(["two:/"], HOSTS, everything=True)] == [
        ("one", "/", False),
        ("one", "/srv/data", False),
        ("two", "/", True),
        ("two", "/srv/data", False),
    ]


def test_a_manifest_that_cannot_be_used_is_named():
    with pytest.raises(AnsibleFilterError, match="the manifest shop cannot be used: volumes.mount is 'srv'"):
        growths([], {"shop@us-east-1": {"app_manifest": {**SHOP, "volumes": [{"mount": "srv"}]}}})


@pytest.mark.parametrize("named", ["i-0123456789abcdef0", "one:srv", "", ":/srv", "i-0123456789abcdef0:/srv/data", "localhost:/"])
def test_what_cannot_be_found_is_named(named):
    with pytest.raises(AnsibleFilterError, match="names no file system|no host of the inventory is"):
        growths([named], HOSTS)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"mount": "srv"}, "volumes.mount is 'srv': it must be a path"),
        ({"mount": "/srv/"}, "volumes.mount is '/srv/'"),
        ({"mount": "/srv", "free_percent": 10}, "volumes of /srv has grow_below 10 and free_percent 10: grow_below must be"),
        ({"mount": "/srv", "free_percent": 91}, "and free_percent 91: "),
        ({"mount": "/srv", "grow_below": 0}, "has grow_below 0 "),
        ({"mount": "/srv", "max_size": 0}, "volumes.max_size of /srv is 0: it must be 1 or more"),
        ({"mount": "/srv", "size": 3}, "unknown key volumes.size"),
        ({}, "volumes.mount is missing"),
    ],
)
def test_a_manifest_with_volumes_that_cannot_be_is_refused(volume, words):
    _made, problems = check({**SHOP, "volumes": [volume]})
    assert len(problems) == 1 and words in problems[0], problems


def test_a_mount_point_is_there_once():
    assert check({**SHOP, "volumes": [{"mount": "/srv"}] * 2})[1] == ["volumes.mount /srv is there twice: leave one"]
