# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems are to grow, by the name that an event gives them or by the manifests."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.growths import GIB, growth_wishes, growths
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
        ({"mount": "/srv", "sise": 3}, "unknown key volumes.sise: did you mean volumes.size?"),
        ({}, "volumes.mount is missing"),
    ],
)
def test_a_manifest_with_volumes_that_cannot_be_is_refused(volume, words):
    _made, problems = check({**SHOP, "volumes": [volume]})
    assert len(problems) == 1 and words in problems[0], problems


def test_a_mount_point_is_there_once():
    assert check({**SHOP, "volumes": [{"mount": "/srv"}] * 2})[1] == ["volumes.mount /srv is there twice: leave one"]


def looked_at(available, used, disk=10, **told):
    """What filesystem_grow saw of a file system of 10 GiB on a disk of so many."""
    before = {"disk": disk * GIB, "filesystem": 10 * GIB, "used": used * GIB, "available": available * GIB}
    seen = {"mount": "/srv/data", "outcome": "kept", "disk": "/dev/nvme1n1", "volume_id": "vol-1", "disks": [{}], "before": before, **told}
    return {"one": {"__seen": {"filesystems": [seen]}}}


def wishes(hosts, named=True, **policy):
    one = {"host": "one", "mount": "/srv/data", "region": "us-east-1", "named": named, "grow_below": 10, "free_percent": 25, "max_size": None}
    return growth_wishes([one | policy], hosts)


def test_a_full_one_is_to_have_what_is_to_be_free_of_what_files_can_have():
    (wish,) = wishes(looked_at(0.5, 9.5))["wishes"]
    assert wish == {"ids": ["vol-1"], "regions": ["us-east-1"], "free_percent": 25, "used": 9.5}
    (wish,) = wishes(looked_at(0.5, 8.5), max_size=20)["wishes"]  # a tenth is neither used nor available, and will be
    size = wish["used"] / 0.75
    assert size * 0.9 - 8.5 == pytest.approx(0.25 * size) and wish["max_size"] == 20


def test_one_that_has_enough_is_left_alone_unless_it_was_named():
    assert wishes(looked_at(3, 7), named=False) == {"wishes": [], "left_out": []}
    assert wishes(looked_at(1.5, 8.5), named=False)["wishes"] == []
    assert wishes(looked_at(0.9, 9.1), named=False)["wishes"][0]["free_percent"] == 25
    assert wishes(looked_at(1.5, 8.5))["wishes"][0]["free_percent"] == 25
    assert wishes(looked_at(3, 7))["wishes"][0]["percent"] == 20


def test_one_that_has_not_all_of_its_disk_yet_is_judged_as_it_will_be():
    assert wishes(looked_at(0.1, 8.9, disk=20), named=False)["wishes"] == []
    (wish,) = wishes(looked_at(0.1, 8.9, disk=11), named=False)["wishes"]
    assert wish == wishes(looked_at(0.1, 8.9))["wishes"][0], "what it is to have does not depend on what it has"


def test_what_has_no_one_volume_is_left_out_and_said():
    (why,) = wishes(looked_at(0, 10, disks=[{}, {}]))["left_out"]
    assert why.startswith("/srv/data of one lies on 2 disks")
    (why,) = wishes(looked_at(0, 10, volume_id=None))["left_out"]
    assert "no EBS volume" in why
    assert wishes(looked_at(0, 10, outcome="refused")) == {"wishes": [], "left_out": []}
    assert wishes({"one": {}}) == {"wishes": [], "left_out": []}
