# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest is checked against one schema: what it lacks is filled in, what is wrong is said with its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.manifest import affinities_filter, manifest_filter, scalings_filter


def good(**changes: Any) -> dict[str, Any]:
    """The smallest manifest, with keys replaced."""
    return {
        "name": "web",
        "owner": "owner@example.com",
        "regions": ["us-east-1"],
        "capacity": {"min": 1, "max": 2},
        "runtime": {"kind": "systemd", "command": "/bin/true"},
        **changes,
    }


def test_defaults_are_filled_in_at_every_depth_and_the_input_is_left_alone() -> None:
    written = good()
    manifest = manifest_filter(written)
    assert manifest["capacity"]["unit"] == "vcpus"
    assert manifest["capacity"]["limits"]["max_zone_share"] == 1.0
    assert manifest["capacity"]["requirements"]["architectures"] == ["x86_64"]
    assert manifest["routing"]["allow_from"] == ["0.0.0.0/0"]
    assert written == good()


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (good(ownr="x"), "unknown key ownr: did you mean owner?"),
        (good(capacity={"min": 1, "max": 2, "limits": {"min_pool": 2}}), "capacity.limits.min_pool: did you mean"),
        (good(permissions=[{"action": []}]), "unknown key permissions.action: did you mean permissions.actions?"),
        (good(regions="us-east-1"), "regions is 'us-east-1': it must be a list"),
        (good(capacity={"min": "1", "max": 2}), "capacity.min is '1': it must be a whole number"),
        (good(capacity={"min": True, "max": 2}), "capacity.min is True: it must be a whole number"),
        (good(capacity={"max": 2}), "capacity.min is missing: add it"),
        (good(capacity=8), "capacity is 8: it must be a mapping"),
        (good(runtime={"kind": "java"}), "runtime.kind must be one of: gunicorn, docker, systemd, got: java"),
        ([], "the manifest must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(manifest: Any, problem: str) -> None:
    problems = manifest_filter(manifest, errors=True)
    assert any(problem in said for said in problems), problems
    with pytest.raises(AnsibleFilterError, match="the manifest cannot be used"):
        manifest_filter(manifest)


def volume(**changes: Any) -> dict[str, Any]:
    """A manifest with one volume that is made, with keys replaced."""
    return good(volumes=[{"mount": "/srv/data", "size": 100, **changes}])


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (volume(mount="srv/data"), "volumes.mount is 'srv/data': it must be a path such as /srv/data"),
        (volume(mount="/"), "volumes.mount is '/': the instance needs what is there"),
        (volume(mount="/etc/ssh"), "volumes.mount is '/etc/ssh': the instance needs what is there"),
        (volume(mount="/srv/my data"), "volumes.mount is '/srv/my data': it must be a path of letters"),
        (volume(mount="/srv/../etc"), "volumes.mount is '/srv/../etc': it must be a path of letters"),
        (volume(mount="/srv/" + "d" * 255), "of 255 characters at most"),
        (volume(size=0), "volumes.size is 0: gp3 has from 1 to 65536 GiB, at /srv/data"),
        (volume(type="st1"), "volumes.size is 100: st1 has from 125 to 16384 GiB"),
        (volume(type="standard"), "volumes.type must be one of"),
        (volume(type="gp2", iops=3000), "volumes.iops is 3000: gp2 is not told its IOPS, leave it out or take one of gp3, io1, io2"),
        (volume(type="io2"), "volumes.iops is missing: io2 must be told its IOPS"),
        (volume(type="io1", iops=6000), "volumes.iops is 6000: io1 of 100 GiB has from 100 to 5000"),
        (volume(type="io2", iops=3000, throughput=125), "volumes.throughput is 125: io2 is not told its throughput"),
        (volume(throughput=1000), "volumes.throughput is 1000: gp3 with 3000 IOPS has from 125 to 750 MiB/s"),
        (volume(max_size=50), "volumes.max_size of /srv/data is 50, below its size, 100: make it 100 or more"),
        (volume(size=None, iops=3000), "volumes of /srv/data has iops and no size: give the size, or leave it out"),
        (volume(filesystem="zfs"), "volumes.filesystem must be one of: ext4, xfs"),
        (good(volumes=[{"mount": "/srv/data", "size": 1}, {"mount": "/srv/data"}]), "volumes.mount /srv/data is there twice"),
    ],
)
def test_a_volume_that_ebs_or_the_instance_cannot_have_is_refused(manifest: dict[str, Any], problem: str) -> None:
    problems = manifest_filter(manifest, errors=True)
    assert any(problem in said for said in problems), problems


def shared(**changes: Any) -> dict[str, Any]:
    """A manifest with one file system that is shared, with keys replaced."""
    return good(file_systems=[{"name": "media", "mount": "/srv/media", **changes}])


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (shared(name="Media"), "file_systems: the name 'Media' must start with a letter"),
        (shared(uid=0), "file_systems: uid of media is 0: it must be from 1 to 65533"),
        (shared(cold_after_days=31), "file_systems: cold_after_days of media is 31: EFS knows 0, 1, 7"),
        (shared(mount="srv"), "file_systems.mount is 'srv': it must be a path such as /srv/shared"),
        (shared(mount="/usr/share"), "file_systems.mount is '/usr/share': the instance needs what is there"),
        ({**shared(), "volumes": [{"mount": "/srv/media"}]}, "file_systems.mount /srv/media is there twice, in file_systems or volumes"),
        (good(file_systems=[{"name": "media", "mount": f"/srv/{one}"} for one in "ab"]), "file_systems has media twice: leave one"),
    ],
)
def test_a_file_system_that_cannot_be_shared_is_refused(manifest: dict[str, Any], problem: str) -> None:
    problems = manifest_filter(manifest, errors=True)
    assert any(problem in said for said in problems), problems


def test_volumes_that_are_made_and_file_systems_that_are_there_go_together() -> None:
    manifest = good(
        volumes=[
            {"mount": "/"},
            {"mount": "/srv", "size": 8, "iops": 3000, "throughput": 125},
            {"mount": "/srv/data", "size": 500, "type": "io2", "iops": 10000, "filesystem": "xfs", "max_size": 500, "kms_key": "alias/data"},
        ]
    )
    assert manifest_filter(manifest, errors=True) == []
    root, first, _second = manifest_filter(manifest)["volumes"]
    assert root["size"] is None and (first["type"], first["filesystem"]) == ("gp3", "ext4")


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(manifest_filter(good(ownr="x", regions="us-east-1"), errors=True)) == 2


def test_a_good_manifest_has_no_errors() -> None:
    assert manifest_filter(good(), errors=True) == []


def scaled(**scaling: Any) -> dict[str, Any]:
    return good(capacity={"min": 1, "max": 8, "scaling": scaling})


def test_the_scaling_of_each_application_is_found_once() -> None:
    web = scaled(metrics=[{"name": "cpu", "target": 60}], budget={"per_hour": 2.0})
    (found,) = scalings_filter([web, web, good(name="other")])
    assert found["app"] == "web" and found["metrics"][0]["target"] == 60
    assert found["budget"] == {"per_hour": 2.0, "when_exceeded": "degrade"}


def test_a_scaling_that_cannot_be_is_refused_with_its_key() -> None:
    wrong = scaled(metrics=[{"name": "cpu", "target": 160}])
    assert any("metrics[0].target is 160" in problem for problem in manifest_filter(wrong, errors=True))
    with pytest.raises(AnsibleFilterError, match="the manifest web cannot be used"):
        scalings_filter([wrong])


STAYS = {"mount": "/srv/data", "affinity": {"device": "/dev/sdf", "fence_after": 300}}


def test_volumes_that_stay_are_found_once_for_all_regions() -> None:
    counted = {"min": 1, "max": 2, "unit": "instances"}
    manifest = good(capacity=counted, volumes=[STAYS, {"mount": "/srv/logs"}], regions=["us-east-1", "eu-west-1"])
    assert affinities_filter([manifest, good(name="api"), manifest]) == [
        {"app": "web", "mount": "/srv/data", "regions": ["us-east-1", "eu-west-1"], "device": "/dev/sdf", "fence_after": 300}
    ]


@pytest.mark.parametrize(
    ("capacity", "volumes", "problem"),
    [
        ({}, [STAYS], "set capacity.kind to auto_scaling_group, capacity.unit to instances"),
        ({"unit": "instances", "kind": "ec2_fleet"}, [STAYS], "set capacity.kind to auto_scaling_group"),
        ({"unit": "instances"}, [{**STAYS, "affinity": {}}], "device is missing"),
        ({"unit": "instances"}, [{**STAYS, "mount": "/srv/my data"}], "with affinity it must be without spaces"),
        ({"unit": "instances"}, [STAYS, {**STAYS, "mount": "/srv/more"}], "volumes.affinity.device /dev/sdf is there twice"),
        ({"unit": "instances"}, [{**STAYS, "affinity": {"device": "/dev/sdf", "move_after": -1}}], "move_after of /srv/data is -1"),
        ({"unit": "instances"}, [{**STAYS, "affinity": {"device": "sdf"}}], "volumes.affinity.device is 'sdf': it must be a name such as /dev/sdf"),
        ({"unit": "instances"}, [{**STAYS, "size": 20}], "what stays is not made with an instance"),
        ({"unit": "instances"}, [STAYS, {"mount": "/srv/logs", "size": 20}], "/dev/sdf is that of a volume with a size: take one behind /dev/sdf"),
    ],
)
def test_volumes_that_cannot_stay_are_refused_with_the_remedy(capacity: Any, volumes: Any, problem: str) -> None:
    manifest = good(capacity={"min": 1, "max": 2, **capacity}, volumes=volumes)
    assert problem in " ".join(manifest_filter(manifest, errors=True))
