# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How file systems come to what their disks have: steps in their order, what is left over, and what is in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.filesystems import (
    FUDGE,
    MBR_SECTORS,
    MIB,
    Crypt,
    Device,
    Ext,
    FileSystem,
    LogicalVolume,
    Member,
    Partition,
    PhysicalVolume,
    Slice,
    Wish,
    Xfs,
    capacity,
    decide,
    disks_of,
    size_of,
)

GIB = 1024 * MIB
EXTENT = 4 * MIB
TAIL = 33 * 512
XFS = Xfs(4096, 65536)


def disk(size=GIB, name="/dev/nvme1n1", **more):
    return Device(name, "disk", size, **more)


def part(under, start=MIB, size=500 * MIB, others=(), label="gpt", number=1, known=None):
    """A partition; ``others``: where others begin and what they have, and their type."""
    own = Slice(f"{under.name}p{number}", start // 512, size // 512, "83")
    entries = (own, *(Slice(f"{under.name}p{n}", at // 512, has // 512, kind) for n, (at, has, kind) in enumerate(others, number + 1)))
    return Device(own.node, "part", size if known is None else known, (under,), partition=Partition(number, label, 512, own, entries))


def volume(*under, extents=100, used=None, plain=True, stripes=1, own=50):
    """A logical volume on devices, of whose ``extents`` each ``used`` are taken."""
    volumes = tuple(PhysicalVolume(one, extents, extents if used is None else used, MIB) for one in under)
    kind = "striped" if stripes > 1 else "linear"
    logical = LogicalVolume("shop/data", own, EXTENT, plain, kind if plain else "thin", stripes, volumes)
    return Device("/dev/mapper/shop-data", "lvm", own * EXTENT, tuple(under), logical=logical)


def xfs(device, size=None, **more):
    return FileSystem("/srv", "xfs", (Member(device, device.size if size is None else size),), "/srv", geometry=XFS, **more)


def actions(growth):
    return [step.action for step in growth.steps]


def after(system):
    """The system with all its steps done as they were foretold, on a disk, or a partition on it."""
    growth = decide(system, Wish())
    sizes = {(step.action, step.device): step.after for step in growth.steps}
    (member,) = system.members
    device = member.device
    if device.partition:
        size = sizes.get(("partition", device.name), device.size)
        own = replace(device.partition.own, size=size // 512)
        entries = tuple(own if one.node == own.node else one for one in device.partition.entries)
        device = replace(device, size=size, partition=replace(device.partition, own=own, entries=entries))
    return replace(system, members=(Member(device, sizes.get(("filesystem", device.name), member.size)),))


def test_a_file_system_takes_the_whole_disk():
    growth = decide(xfs(disk(), 500 * MIB), Wish())
    (step,) = growth.steps
    assert (step.action, step.device, step.before, step.after) == ("filesystem", "/dev/nvme1n1", 500 * MIB, GIB)
    assert step.command == ("xfs_growfs", "-d", "/srv") and not growth.problem


@pytest.mark.parametrize(
    ("kind", "geometry", "command"),
    [
        ("ext4", Ext(4096, 0, 32768, 512, 60, 64, ("sparse_super", "64bit")), ("resize2fs", "/dev/nvme1n1")),
        ("ext3", Ext(4096, 0, 32768, 512, 60, 32, ("sparse_super",)), ("resize2fs", "/dev/nvme1n1")),
        ("btrfs", None, ("btrfs", "filesystem", "resize", "1:max", "/other")),
    ],
)
def test_each_kind_grows_by_its_own_tool_through_a_writable_mount(kind, geometry, command):
    growth = decide(FileSystem("/srv", kind, (Member(disk(), 500 * MIB, 1),), "/other", geometry=geometry), Wish())
    assert growth.steps[0].command == command


def test_a_partition_grows_first_and_leaves_the_backup_of_the_gpt_its_place():
    growth = decide(xfs(part(disk())), Wish())
    assert actions(growth) == ["partition", "filesystem"]
    assert growth.steps[0].command == ("growpart", "/dev/nvme1n1", "1")
    assert growth.steps[0].after == GIB - MIB - TAIL
    assert growth.steps[1].after == (GIB - MIB - TAIL) // 4096 * 4096


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_what_growpart_does_not_take_is_no_growth(label):
    all_of_it = GIB - MIB - TAIL
    assert not decide(xfs(part(disk(), size=all_of_it, label=label), all_of_it // 4096 * 4096), Wish()).steps
    below = all_of_it - FUDGE + 512
    assert not decide(xfs(part(disk(), size=below, label=label), below // 4096 * 4096), Wish()).steps
    assert decide(xfs(part(disk(), size=all_of_it - FUDGE, label=label)), Wish()).steps


@pytest.mark.parametrize("label", ["gpt", "dos"])
@pytest.mark.parametrize("odd", [0, 512, 4096 - 512, 63 * 4096, 64 * 4096, 5 * MIB + 1024, 300 * MIB + 7 * 512])
def test_a_second_run_has_nothing_to_do(label, odd):
    for system in (xfs(disk(GIB + odd), 500 * MIB), xfs(part(disk(GIB + odd), label=label))):
        assert decide(system, Wish()).steps and not decide(after(system), Wish()).steps


def test_after_an_interruption_it_goes_on_where_it_is():
    all_of_it = GIB - MIB - TAIL
    assert actions(decide(xfs(part(disk(), size=all_of_it), 500 * MIB), Wish())) == ["filesystem"]
    unknown = decide(xfs(part(disk(), size=all_of_it, known=500 * MIB)), Wish())
    assert actions(unknown) == ["reread", "filesystem"]
    assert unknown.steps[0].command == ("partx", "--update", "--nr", "1", "/dev/nvme1n1")


def test_a_partition_takes_the_gap_behind_it_and_what_lies_beyond_is_a_problem():
    system = xfs(part(disk(2 * GIB), others=[(800 * MIB, 100 * MIB, "83")]))
    growth = decide(system, Wish())
    assert growth.steps[0].after == 799 * MIB and actions(growth) == ["partition", "filesystem"]
    assert "remove or move /dev/nvme1n1p2" in growth.problem
    rest = decide(after(system), Wish())
    assert not rest.steps and rest.problem == growth.problem


def test_a_partition_between_others_on_a_disk_without_room_is_no_problem():
    system = xfs(part(disk(), start=100 * MIB, others=[(MIB, 90 * MIB, "ef"), (600 * MIB, 423 * MIB, "83")]))
    assert decide(system, Wish()) == decide(after(system), Wish()) and not decide(system, Wish()).problem


def test_partitions_before_it_do_not_matter_whatever_their_numbers():
    growth = decide(xfs(part(disk(), start=100 * MIB, others=[(MIB, 3 * MIB, "bios"), (4 * MIB, 90 * MIB, "efi")])), Wish())
    assert growth.steps[0].after == GIB - 100 * MIB - TAIL and not growth.problem


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (part(disk(), start=2 * MIB, label="dos", number=5, others=[(MIB, 600 * MIB, "5")]), "parted /dev/nvme1n1 resizepart"),
        (part(disk(), label="sun"), "of the kind sun, and growpart knows GPT and MBR only"),
        (part(disk(3 * 1024 * GIB), size=(MBR_SECTORS - 2048) * 512, label="dos"), "it needs a GPT"),
    ],
)
def test_partitions_that_growpart_cannot_grow_are_refused(device, said):
    growth = decide(xfs(device, device.size // 4096 * 4096), Wish())
    assert not growth.steps and said in growth.problem


def test_an_mbr_grows_to_what_it_addresses_and_says_that_more_needs_a_gpt():
    growth = decide(xfs(part(disk(3 * 1024 * GIB), label="dos")), Wish())
    assert growth.steps[0].after == (MBR_SECTORS - 2048) * 512 and "it needs a GPT" in growth.problem


def test_sectors_of_4096_bytes_are_counted_as_such():
    own = Slice("/dev/nvme1n1p1", 256, 500 * MIB // 4096, "83")
    device = Device(own.node, "part", 500 * MIB, (disk(),), partition=Partition(1, "gpt", 4096, own, (own,)))
    assert decide(xfs(device), Wish()).steps[0].after == GIB - MIB - 33 * 4096


def test_a_logical_volume_takes_what_its_physical_volumes_gain():
    growth = decide(xfs(volume(disk(), part(disk(name="/dev/nvme2n1")), extents=100)), Wish())
    assert actions(growth) == ["physical_volume", "partition", "physical_volume", "logical_volume", "filesystem"]
    gained = (GIB - MIB) // EXTENT - 100 + (GIB - 2 * MIB - TAIL) // EXTENT - 100
    assert growth.steps[3].command == ("lvextend", "-l", f"+{gained}", "shop/data")
    assert growth.steps[4].after == (50 + gained) * EXTENT


def test_a_logical_volume_has_no_more_than_its_share_of_the_group():
    device = volume(disk(100 * EXTENT + MIB), extents=100, used=50)
    growth = decide(xfs(device), Wish(share=80))
    assert growth.steps[0].command == ("lvextend", "-l", "+30", "shop/data")
    kept = decide(xfs(replace(device, size=80 * EXTENT, logical=replace(device.logical, extents=80))), Wish(share=80))
    assert not kept.steps and "has its 80 % of the volume group" in kept.reasons[0]


def test_stripes_take_what_there_is_on_as_many_disks_as_they_are():
    small, large = disk(100 * EXTENT + MIB), disk(200 * EXTENT + MIB, "/dev/nvme2n1")
    volumes = (PhysicalVolume(small, 100, 90, MIB), PhysicalVolume(large, 200, 90, MIB))
    device = volume(small, large, stripes=2)
    device = replace(device, logical=replace(device.logical, volumes=volumes))
    assert decide(xfs(device), Wish()).steps[0].command == ("lvextend", "-l", "+20", "shop/data")
    full = replace(device.logical, volumes=(replace(volumes[0], used=100), volumes[1]))
    assert not decide(xfs(replace(device, logical=full)), Wish()).steps


def test_the_second_copy_of_the_metadata_at_the_end_is_left_its_place():
    under = disk(100 * EXTENT + 2 * MIB)
    device = volume(under)
    twice = replace(device.logical, volumes=(PhysicalVolume(under, 99, 99, MIB, tail=2 * MIB),))
    assert not decide(xfs(replace(device, logical=twice)), Wish()).steps


@pytest.mark.parametrize("grew", [False, True])
def test_what_is_not_plain_is_refused_where_something_under_it_grew(grew):
    thin = volume(disk(GIB if grew else 100 * EXTENT + MIB), plain=False)
    raid = Device("/dev/md0", "raid1", 500 * MIB, (part(disk(), size=500 * MIB if grew else GIB - MIB - TAIL),))
    for device, said in ((thin, "shop/data is thin"), (raid, "/dev/md0 is of the kind raid1")):
        growth = decide(xfs(device), Wish())
        assert not growth.steps and (said in (growth.problem or "")) is grew


def test_a_mapping_of_luks_follows_its_partition_without_its_header():
    luks = Device("/dev/mapper/safe", "crypt", 484 * MIB, (part(disk()),), crypt=Crypt("safe", "LUKS2", 16 * MIB, 4096))
    growth = decide(xfs(luks), Wish(key_file="/run/key"))
    assert actions(growth) == ["partition", "crypt", "filesystem"]
    assert growth.steps[1].command == ("cryptsetup", "resize", "safe", "--key-file", "/run/key")
    assert growth.steps[1].after == (GIB - MIB - TAIL - 16 * MIB) // 4096 * 4096
    assert decide(xfs(luks), Wish()).steps[1].command == ("cryptsetup", "resize", "safe")


def test_with_a_size_it_is_foretold_what_a_disk_of_that_size_gives():
    system = xfs(part(disk(502 * MIB)))
    growth = decide(system, Wish(size=GIB))
    assert actions(growth) == ["rescan", "partition", "filesystem"]
    assert growth.steps[1:] == decide(xfs(part(disk())), Wish()).steps
    assert actions(decide(xfs(disk(), 500 * MIB), Wish(size=GIB // 2))) == ["filesystem"]


def test_a_size_for_several_disks_is_refused():
    system = xfs(volume(disk(), disk(name="/dev/nvme2n1")))
    assert "lies on /dev/nvme1n1, /dev/nvme2n1" in decide(system, Wish(size=GIB)).problem
    assert [one.name for one in disks_of(system)] == ["/dev/nvme1n1", "/dev/nvme2n1"]


def test_what_is_read_only_is_refused_only_where_it_would_grow():
    assert "mount -o remount,rw /srv" in decide(xfs(disk(), 500 * MIB, read_only=True), Wish()).problem
    assert not decide(xfs(disk(), read_only=True), Wish()).problem
    assert "blockdev --setrw" in decide(xfs(disk(read_only=True), 500 * MIB), Wish()).problem


def test_sizes_are_found_by_step_and_device():
    system = xfs(volume(part(disk())), 7)
    assert size_of(system, "filesystem", "/dev/mapper/shop-data") == 7
    assert size_of(system, "physical_volume", "/dev/nvme1n1p1") == 100 * EXTENT
    assert size_of(system, "partition", "/dev/nvme1n1p1") == 500 * MIB
    assert size_of(system, "partition", "/dev/gone") is None and size_of(system, "physical_volume", "/dev/gone") is None


@pytest.mark.parametrize(
    ("rest", "used"),
    [(0, 0), (1, 0), (63, 0), (64, 64), (65535, 65535)],
)
def test_xfs_makes_no_group_of_less_than_64_blocks(rest, used):
    assert capacity("xfs", XFS, (4 * 65536 + rest) * 4096 + 511) == (4 * 65536 + used) * 4096


def test_ext4_makes_no_group_that_holds_only_its_metadata():
    """2 bitmaps, 512 blocks of inodes, and in group 3, which has a superblock, that, 1 descriptor block and 60 reserved ones."""
    geometry = Ext(4096, 0, 32768, 512, 60, 64, ("sparse_super", "64bit"))
    for group, metadata in ((2, 514), (3, 514 + 62), (4, 514), (9, 514 + 62)):
        whole = group * 32768
        assert capacity("ext4", geometry, (whole + metadata + 49) * 4096) == whole * 4096
        assert capacity("ext4", geometry, (whole + metadata + 50) * 4096) == (whole + metadata + 50) * 4096


def test_ext4_has_whole_pages_and_without_64bit_no_more_than_its_numbers_count():
    small = Ext(1024, 1, 8192, 256, 256, 64, ("sparse_super", "64bit"), page=4096)
    assert capacity("ext4", small, 130 * MIB + 3 * 1024) == 130 * MIB
    narrow = Ext(4096, 0, 32768, 512, 60, 32, ("sparse_super",))
    assert 2**32 - 32768 <= capacity("ext4", narrow, 2**45) // 4096 < 2**32


def test_btrfs_has_whole_sectors_and_is_not_resized_to_less_than_256_mib():
    assert capacity("btrfs", None, 300 * MIB + 4095) == 300 * MIB
    assert not decide(FileSystem("/srv", "btrfs", (Member(disk(200 * MIB), 150 * MIB, 1),), "/srv"), Wish()).steps


def test_of_what_it_does_not_know_it_says_so():
    with pytest.raises(ValueError, match="nothing is known of the geometry of vfat"):
        capacity("vfat", None, GIB)
