# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done so that a mount is on a smaller volume, and whether it can be, by what is there now.

EBS cannot shrink, so a smaller volume takes the place of the larger one. Nothing is remembered: a successor carries its predecessor's
id, and the predecessor is the one that is mounted, until the successor is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

GIB = 1 << 30
MIB = 1 << 20

NOTHING, REPLACE, FINISH = "nothing", "replace", "finish"

SUPPORTED = ("ext4", "xfs", "btrfs")
SMALLEST = {"gp2": 1, "gp3": 1, "io1": 4, "io2": 4, "st1": 125, "sc1": 125, "standard": 1}
"""GiB that a volume of a type has at least."""
IOPS_PER_GIB = {"gp3": (500, 3000), "io1": (50, 100), "io2": (500, 100)}
"""IOPS that a volume of a type may have for each GiB, and those that it may have at any size."""
MADE_IOPS, MADE_THROUGHPUT = 16000, 1000
"""The most that amazon.aws.ec2_vol makes a gp3 volume with."""
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
"""Names that AWS recommends for data volumes."""
JOURNALS = ((128 * MIB, 4), (GIB, 16), (2 * GIB, 32), (16 * GIB, 64), (32 * GIB, 128), (64 * GIB, 256), (128 * GIB, 512))
"""MiB of ext4's journal below a size; above all of them 1024. https://git.kernel.org/pub/scm/fs/ext2/e2fsprogs.git, mke2fs"""
INODE, RATIO = 256, 16384
"""Bytes of an ext4 inode, and bytes of the file system for which mke2fs makes one."""
RESERVED = 0.05
"""Part of ext4 that only root may fill."""
KINDS = {
    "lvm": "a logical volume of LVM",
    "crypt": "encrypted by LUKS",
    "raid": "a RAID of several disks",
    "mapper": "a device of the device mapper",
    "none": "no block device",
}


@dataclass(frozen=True, slots=True)
class Process:
    """Who has something of a file system open."""

    pid: int
    command: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted at ``path``. ``kind``: type of the file system; ``volume``: the one that it is on; ``block``: which kind of device
    that is, with so many ``partitions``; ``root``: which part of the file system; sizes in bytes. ``fstab``: the UUID of each of its
    entries; ``twins``: other volumes with a file system of the same UUID. ``units``: active ones that systemd knows to need it."""

    path: str
    kind: str
    volume: str | None
    block: str
    partitions: int
    root: str
    options: str
    uuid: str | None
    used: int
    inodes_used: int
    fstab: tuple[str | None, ...]
    nested: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    layers: int = 1
    subvolumes: int = 0
    units: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the instance, or a successor of one. ``instance``, ``device``: where it is attached; ``shrinks``: its predecessor."""

    id: str
    size: int
    kind: str
    zone: str
    iops: int | None = None
    throughput: int | None = None
    instance: str | None = None
    device: str | None = None
    shrinks: str | None = None
    multi_attach: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """``size`` in GiB, with so many percent above what is in use; ``units`` that are stopped, of which those in ``missing`` are not
    there; ``tools`` that the host has."""

    size: int
    instance: str
    margin: float
    units: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """``action``: `REPLACE` ``old`` by ``new`` (``None`` where that is to be made, as ``device``), `FINISH` what was begun, or `NOTHING`.
    ``problems``: why it cannot be; ``need``, ``need_inodes``: bytes and inodes that the new file system must have."""

    action: str
    old: str | None = None
    new: str | None = None
    device: str | None = None
    need: int = 0
    need_inodes: int = 0
    problems: list[str] = field(default_factory=list)


def plan(mount: Mount, volumes: Sequence[Volume], wish: Wish) -> Plan:
    """What to do now."""
    by_id = {one.id: one for one in volumes}
    current = by_id.get(mount.volume) if mount.volume else None
    if current and current.shrinks:
        return Plan(FINISH, old=current.shrinks, new=current.id)
    problems = shape_problems(mount)
    if problems:
        return Plan(NOTHING, problems=problems)
    if current is None or current.instance != wish.instance:
        return Plan(NOTHING, problems=[f"{mount.path} is on {mount.volume}, which EC2 does not show attached to {wish.instance}"])
    if wish.size == current.size:
        return Plan(NOTHING, new=current.id)
    found = Plan(REPLACE, old=current.id, need=margined(mount.used, wish.margin), need_inodes=margined(mount.inodes_used, wish.margin))
    found.problems = [*_size_problems(mount, current, wish, found), *_host_problems(mount, wish)]
    successors = [one for one in volumes if one.shrinks == current.id]
    found.problems += _successor_problems(successors, current, wish)
    found.new = successors[0].id if successors else None
    taken = {one.device for one in volumes if one.instance == wish.instance and one.id != found.new}
    own = successors[0].device if successors and successors[0].instance == wish.instance else None
    found.device = own or next((name for name in DEVICES if name not in taken and name.replace("/sd", "/xvd") not in taken), None)
    if found.device is None:
        found.problems.append(f"{wish.instance} has no free device name between {DEVICES[0]} and {DEVICES[-1]}: detach a volume")
    return found


def shape_problems(mount: Mount) -> list[str]:
    """Why what is mounted there is nothing that is copied to a smaller volume."""
    path, found = mount.path, []
    if path == "/":
        return ["/ is the root volume, which is not replaced while the instance runs: build an image with a smaller root volume"]
    if mount.block in KINDS:
        return [f"{path} is {KINDS[mount.block]}; only a file system on a whole disk or on its only partition is copied to a smaller volume"]
    if mount.kind not in SUPPORTED:
        found.append(f"{path} is {mount.kind}; supported are {', '.join(SUPPORTED)}")
    if mount.block == "partition" and mount.partitions != 1:
        found.append(f"the disk of {path} has {mount.partitions} partitions; it may have one")
    if mount.volume is None:
        found.append(f"{path} is on no EBS volume that the host knows by the names of a Nitro instance")
    if mount.root != "/" or mount.subvolumes:
        found.append(f"{path} has several subvolumes or devices, or is one of them; only a Btrfs of one device without subvolumes is copied")
    if mount.layers != 1:
        found.append(f"{mount.layers} mounts lie upon each other at {path}: unmount the upper ones")
    if mount.nested:
        found.append(f"there are mounts below {path}, {', '.join(mount.nested)}: unmount them first")
    if mount.elsewhere:
        found.append(f"the file system of {path} is mounted at {', '.join(mount.elsewhere)} too: unmount it there")
    if mount.twins:
        found.append(f"{', '.join(mount.twins)} has a file system with the UUID of {path}, as of a snapshot of it: detach it")
    quotas = [name for name in mount.options.split(",") if "quota" in name and name != "noquota"]
    if quotas:
        found.append(f"{path} has quotas ({', '.join(quotas)}), which are not copied")
    if len(mount.fstab) != 1:
        found.append(f"/etc/fstab has {len(mount.fstab) or 'no'} {'entries' if mount.fstab else 'entry'} for {path}: it must have one")
    elif mount.fstab[0] != mount.uuid:
        found.append(f"/etc/fstab has another file system for {path} than is mounted there, {mount.fstab[0]} and not {mount.uuid}")
    return found


def margined(used: int, percent: float) -> int:
    """What is used, and the margin."""
    return math.ceil(used * (1 + percent / 100))


def capacity(kind: str, size: int, inodes: int) -> int:
    """Bytes that a new file system of ``size`` bytes leaves to files, at least, if it is to have so many inodes."""
    if kind == "ext4":
        journal = next((mib for below, mib in JOURNALS if size < below), 1024) * MIB
        made = max(inodes, size // RATIO)
        return math.floor(size * (1 - RESERVED) * 0.98 - made * INODE - journal)
    if kind == "xfs":
        return math.floor(size * 0.98 - max(96 * MIB, min(size // 2048, 2 * GIB)))
    return math.floor(size * 0.9 - 64 * MIB)


def smallest(kind: str, volume_kind: str, need: int, inodes: int) -> int:
    """GiB of the smallest volume that what is needed fits in."""
    size = max(SMALLEST.get(volume_kind, 1), need // GIB)
    while capacity(kind, size * GIB, inodes) < need:
        size += 1
    return size


def _size_problems(mount: Mount, current: Volume, wish: Wish, found: Plan) -> list[str]:
    if wish.size > current.size:
        return [f"{current.id} has {current.size} GiB, {wish.size} would be larger: spot.platform.ebs_volume_resize grows volumes"]
    problems = []
    least = smallest(mount.kind, current.kind, found.need, found.need_inodes)
    if wish.size < least:
        problems.append(
            f"{wish.size} GiB are too small for {mount.path}: with {mount.used / GIB:.1f} GiB and {mount.inodes_used} inodes in use, "
            f"{wish.margin:g} % margin and what {mount.kind} itself takes, a {current.kind} volume needs {least} GiB"
        )
    if current.kind in IOPS_PER_GIB and current.iops:
        each, always = IOPS_PER_GIB[current.kind]
        if current.iops > max(each * wish.size, always):
            problems.append(
                f"{current.id} has {current.iops} IOPS, {current.kind} allows {max(each * wish.size, always)} for {wish.size} GiB: "
                "lower them first with spot.platform.ebs_volume_resize"
            )
    if current.kind == "gp3" and ((current.iops or 0) > MADE_IOPS or (current.throughput or 0) > MADE_THROUGHPUT):
        problems.append(
            f"{current.id} has {current.iops} IOPS and {current.throughput} MiB/s; more than {MADE_IOPS} and {MADE_THROUGHPUT} cannot be made: "
            "lower them first with spot.platform.ebs_volume_resize"
        )
    if current.multi_attach:
        problems.append(f"{current.id} is made for several instances (multi-attach), which is not supported")
    return problems


def _host_problems(mount: Mount, wish: Wish) -> list[str]:
    problems = []
    if wish.missing:
        problems.append(f"there is no unit {', '.join(wish.missing)} on the host")
    lacking = [name for name in ("rsync", "flock", "ionice", f"mkfs.{mount.kind}") if name not in wish.tools]
    if lacking:
        problems.append(f"the host lacks {', '.join(lacking)}: install it")
    stopped = {*wish.units, *mount.units}
    others = [one for one in mount.processes if one.unit not in stopped]
    if others:
        shown = ", ".join(f"{one.pid} ({one.unit or 'no unit'}: {one.command})" for one in others[:10])
        problems.append(f"{mount.path} is in use by processes of units that would not be stopped, {shown}: name their units or end them")
    return problems


def _successor_problems(successors: Sequence[Volume], current: Volume, wish: Wish) -> list[str]:
    if len(successors) > 1:
        return [f"{', '.join(one.id for one in successors)} are all to replace {current.id}: delete all but one"]
    for one in successors:
        if one.size != wish.size:
            return [f"{one.id} with {one.size} GiB is already there to replace {current.id}: ask for its size, or delete it"]
        if one.zone != current.zone or one.instance not in (None, wish.instance):
            return [f"{one.id}, which is to replace {current.id}, is in {one.zone}, attached to {one.instance}: delete it"]
    return []
