"""Smaller volumes: what is to be done by what is there, whether it fits, and each reason why it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import shrinking
from ansible_collections.spot.platform.plugins.module_utils.engine.shrinking import GIB, MIB, Mount, Process, Volume, Wish, plan

OLD, NEW, INSTANCE = "vol-1", "vol-2", "i-1"
MOUNT = Mount("/srv/a", "ext4", OLD, "disk", 0, "/", "rw,noatime", "u-1", 10 * GIB, 1000, ("u-1",), units=("a.service",))
VOLUME = Volume(OLD, 100, "gp3", "eu-west-1a", 3000, 125, INSTANCE, "/dev/sdf")
SUCCESSOR = Volume(NEW, 20, "gp3", "eu-west-1a", 3000, 125, shrinks=OLD)
WISH = Wish(20, INSTANCE, 15, ("a.service",), (), ("rsync", "flock", "ionice", "mkfs.ext4"))


def problems(mount=MOUNT, volumes=(VOLUME,), wish=WISH):
    return plan(mount, volumes, wish).problems


def test_a_smaller_volume_is_made():
    made = plan(MOUNT, [VOLUME], WISH)
    assert (made.action, made.old, made.new, made.device, made.problems) == (shrinking.REPLACE, OLD, None, "/dev/sdg", [])
    assert made.need == 11.5 * GIB and made.need_inodes == 1150


def test_one_that_is_there_is_taken_and_keeps_its_name():
    assert plan(MOUNT, [VOLUME, SUCCESSOR], WISH).new == NEW
    attached = replace(SUCCESSOR, instance=INSTANCE, device="/dev/sdk")
    found = plan(MOUNT, [VOLUME, attached], WISH)
    assert (found.new, found.device, found.problems) == (NEW, "/dev/sdk", [])


def test_once_the_new_one_is_mounted_the_rest_is_done_whatever_else_there_is():
    mount = replace(MOUNT, volume=NEW, nested=("/srv/a/b",), processes=(Process(1, "sh", None),))
    found = plan(mount, [VOLUME, replace(SUCCESSOR, instance=INSTANCE, device="/dev/sdg")], replace(WISH, size=5))
    assert (found.action, found.old, found.new, found.problems) == (shrinking.FINISH, OLD, NEW, [])


def test_nothing_is_done_where_it_has_its_size():
    assert plan(MOUNT, [VOLUME], replace(WISH, size=100)).action == shrinking.NOTHING
    assert problems(wish=replace(WISH, size=100)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "/"}, "build an image with a smaller root volume"),
        ({"block": "lvm"}, "is a logical volume of LVM"),
        ({"block": "crypt"}, "is encrypted by LUKS"),
        ({"block": "raid"}, "is a RAID"),
        ({"block": "none"}, "is no block device"),
        ({"kind": "f2fs"}, "supported are ext4, xfs, btrfs"),
        ({"block": "partition", "partitions": 2}, "has 2 partitions"),
        ({"volume": None}, "on no EBS volume that the host knows"),
        ({"volume": "vol-9"}, "which EC2 does not show attached to i-1"),
        ({"root": "/sub"}, "only a Btrfs of one device without subvolumes"),
        ({"subvolumes": 1}, "only a Btrfs of one device without subvolumes"),
        ({"layers": 2}, "2 mounts lie upon each other"),
        ({"nested": ("/srv/a/b", "/srv/a/c")}, "mounts below /srv/a, /srv/a/b, /srv/a/c"),
        ({"elsewhere": ("/mnt",)}, "is mounted at /mnt too"),
        ({"twins": ("vol-7",)}, "vol-7 has a file system with the UUID of /srv/a"),
        ({"options": "rw,usrquota"}, "has quotas (usrquota)"),
        ({"fstab": ()}, "has no entry for /srv/a"),
        ({"fstab": ("u-1", "u-1")}, "has 2 entries for /srv/a"),
        ({"fstab": ("u-2",)}, "another file system for /srv/a than is mounted there, u-2 and not u-1"),
        ({"processes": (Process(7, "tail log", "b.service"),)}, "7 (b.service: tail log)"),
        ({"processes": (Process(8, "bash", None),)}, "8 (no unit: bash)"),
        ({"kind": "xfs"}, "the host lacks mkfs.xfs"),
        ({"used": 18 * GIB}, "20 GiB are too small for /srv/a: with 18.0 GiB and 1000 inodes in use"),
        ({"inodes_used": 60_000_000}, "20 GiB are too small for /srv/a"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_its_reason(change, said):
    (problem,) = problems(replace(MOUNT, **change))
    assert said in problem


@pytest.mark.parametrize(
    ("change", "size", "said"),
    [
        ({}, 101, "spot.platform.ebs_volume_resize grows volumes"),
        ({"iops": 12000}, 20, "has 12000 IOPS, gp3 allows 10000 for 20 GiB"),
        ({"kind": "io1", "iops": 2000}, 20, "io1 allows 1000 for 20 GiB"),
        ({"iops": 20000, "size": 1000}, 500, "has 20000 IOPS and 125 MiB/s; more than 16000 and 1000 cannot be made"),
        ({"throughput": 1500}, 20, "lower them first"),
        ({"multi_attach": True}, 20, "multi-attach"),
        ({"instance": "i-2"}, 20, "which EC2 does not show attached to i-1"),
    ],
)
def test_what_ebs_does_not_allow_is_refused(change, size, said):
    (problem,) = problems(volumes=[replace(VOLUME, **change)], wish=replace(WISH, size=size))
    assert said in problem


@pytest.mark.parametrize(
    ("successors", "said"),
    [
        ([replace(SUCCESSOR, size=30)], "vol-2 with 30 GiB is already there"),
        ([SUCCESSOR, replace(SUCCESSOR, id="vol-3")], "vol-2, vol-3 are all to replace vol-1"),
        ([replace(SUCCESSOR, instance="i-2", device="/dev/sdf")], "attached to i-2"),
        ([replace(SUCCESSOR, zone="eu-west-1b")], "is in eu-west-1b"),
    ],
)
def test_a_successor_that_is_another_is_not_taken(successors, said):
    (problem,) = problems(volumes=[VOLUME, *successors])
    assert said in problem


def test_all_reasons_are_said_at_once():
    found = problems(replace(MOUNT, used=18 * GIB), wish=replace(WISH, missing=("x.service",), tools=()))
    assert len(found) == 3 and "there is no unit x.service" in found[1] and "lacks rsync, flock, ionice, mkfs.ext4" in found[2]


def test_processes_of_units_that_systemd_knows_are_no_reason():
    assert problems(replace(MOUNT, processes=(Process(7, "a", "a.service"),)), wish=replace(WISH, units=())) == []


def test_names_that_other_volumes_have_are_not_taken_in_either_spelling():
    others = [replace(VOLUME, id=f"vol-1{letter}", device=f"/dev/xvd{letter}") for letter in "ghij"]
    assert plan(MOUNT, [VOLUME, *others], WISH).device == "/dev/sdk"
    every = [replace(VOLUME, id=f"vol-1{letter}", device=f"/dev/sd{letter}") for letter in "ghijklmnop"]
    assert "no free device name" in problems(volumes=[VOLUME, *every])[0]


@pytest.mark.parametrize("kind", shrinking.SUPPORTED)
@pytest.mark.parametrize("used", [0, 100 * MIB, 10 * GIB, 700 * GIB])
def test_the_smallest_size_is_the_smallest(kind, used):
    least = shrinking.smallest(kind, "gp3", used, 1000)
    assert shrinking.capacity(kind, least * GIB, 1000) >= used
    assert least == 1 or shrinking.capacity(kind, (least - 1) * GIB, 1000) < used
    assert shrinking.smallest(kind, "st1", used, 1000) >= 125


@pytest.mark.parametrize(
    ("kind", "size", "measured"),
    [
        ("ext4", 1, 950_214_656),
        ("ext4", 8, 7_904_002_048),
        ("ext4", 64, 63_596_892_160),
        ("ext4", 200, 199_487_336_448),
        ("xfs", 1, 965_767_168),
        ("xfs", 8, 8_429_551_616),
        ("xfs", 64, 68_139_859_968),
        ("xfs", 200, 213_113_126_912),
        ("btrfs", 1, 948_568_064),
        ("btrfs", 8, 8_035_237_888),
        ("btrfs", 64, 66_554_167_296),
        ("btrfs", 200, 212_583_055_360),
    ],
)
def test_the_estimate_is_below_what_an_empty_file_system_of_debian_12_has_and_near_it(kind, size, measured):
    assert 0.9 * measured < shrinking.capacity(kind, size * GIB, 0) <= measured
