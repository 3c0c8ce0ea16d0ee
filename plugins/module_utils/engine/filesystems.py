# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a mounted file system grows: what each device under it can give to the one above, in which order, and what keeps it.

Sizes are bytes, but for those of a partition table, which are its sectors. What is left over at the end of a device, and is no
growth, has its sources here, so that a second run finds nothing to do:

- partition: growpart leaves the last 33 sectors to the backup of a GPT, on an MBR too, and grows by 1 MiB or more (its fudge);
- physical volume: whole extents, after the start of the data, and before a second copy of the metadata, where there is one;
- LUKS: whole sectors of the mapping, after its header;
- ext3, ext4: whole blocks, in whole pages, and a last group that holds more than its own metadata (ext2fs_initialize, resize2fs);
- XFS: whole blocks, and a last allocation group of 64 blocks or more (XFS_MIN_AG_BLOCKS);
- Btrfs: whole sectors of 4 KiB, and nothing below 256 MiB (btrfs_ioctl_resize).

It runs on hosts, and therefore on Python 3.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MIB = 1024 * 1024
FUDGE = MIB
"""What growpart grows by at least."""
GPT_BACKUP = 33
"""Sectors that growpart leaves free at the end of a disk."""
MBR_SECTORS = 2**32
"""Sectors that an MBR can address."""
BTRFS_LEAST = 256 * MIB
"""What Btrfs lets a device be resized to at least."""
EXTENDED = ("5", "f", "85")
"""Types of an MBR's extended partitions, which hold the logical ones."""
GROW_ONLINE = ("ext3", "ext4", "xfs", "btrfs")

RESCAN, REREAD, PARTITION, CRYPT, PHYSICAL, LOGICAL, FILESYSTEM = (
    "rescan",
    "reread",
    "partition",
    "crypt",
    "physical_volume",
    "logical_volume",
    "filesystem",
)


@dataclass(frozen=True)
class Slice:
    """An entry of a partition table, in sectors."""

    node: str
    start: int
    size: int
    kind: str = ""

    @property
    def last(self) -> int:
        return self.start + self.size - 1


@dataclass(frozen=True)
class Partition:
    """A partition's place: its ``number``, its own entry, and all entries of the table."""

    number: int
    label: str
    sector: int
    own: Slice
    entries: tuple[Slice, ...]


@dataclass(frozen=True)
class Crypt:
    """A mapping of cryptsetup: where its data begin, and its sectors. ``kind``: as ``cryptsetup status`` says."""

    name: str
    kind: str
    offset: int
    sector: int


@dataclass(frozen=True)
class PhysicalVolume:
    """``extents`` of which ``used``; data begin at ``start``, and ``tail`` bytes at the end hold metadata."""

    device: Device
    extents: int
    used: int
    start: int
    tail: int = 0


@dataclass(frozen=True)
class LogicalVolume:
    """A logical volume and its group. ``plain``: whether it is neither snapshot, origin, thin, cached nor mirrored."""

    name: str
    extents: int
    extent: int
    plain: bool
    kind: str
    stripes: int
    volumes: tuple[PhysicalVolume, ...]


@dataclass(frozen=True)
class Device:
    """A block device on those in ``parents``, which for a logical volume are all of its group. ``kind``: as lsblk says. ``knob``: how
    to make the kernel look for a new size, a path to write to or a command; none where it looks by itself."""

    name: str
    kind: str
    size: int
    parents: tuple[Device, ...] = ()
    read_only: bool = False
    volume_id: str | None = None
    knob: tuple[str, ...] = ()
    partition: Partition | None = None
    crypt: Crypt | None = None
    logical: LogicalVolume | None = None


@dataclass(frozen=True)
class Ext:
    """The geometry of ext3 and ext4, in blocks. ``page``: bytes of a page of memory."""

    block: int
    first: int
    per_group: int
    inodes_per_group: int
    reserved: int
    descriptor: int
    features: tuple[str, ...]
    page: int = 4096


@dataclass(frozen=True)
class Xfs:
    """The geometry of XFS."""

    block: int
    group: int


@dataclass(frozen=True)
class Member:
    """A device of a file system, and the ``size`` that the file system has there. ``id``: its number in Btrfs."""

    device: Device
    size: int
    id: int | None = None


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system. ``via``: the mount point through which it grows; ``read_only``: whether none lets it be written."""

    mount: str
    kind: str
    members: tuple[Member, ...]
    via: str
    read_only: bool = False
    geometry: Ext | Xfs | None = None

    @property
    def size(self) -> int:
        return sum(member.size for member in self.members)


@dataclass(frozen=True)
class Wish:
    """``size``: what the disk is to have, where it is known. ``share``: percent of a volume group that a logical volume may have.
    ``key_file``: for cryptsetup, where it asks for one."""

    size: int | None = None
    share: float = 100.0
    key_file: str | None = None


@dataclass(frozen=True)
class Step:
    """One thing to do: ``device`` has ``before`` and is to have ``after`` bytes."""

    action: str
    device: str
    command: tuple[str, ...]
    before: int
    after: int
    reason: str


@dataclass(frozen=True)
class Growth:
    """``steps`` in their order. ``problem``: what keeps the file system from having all that it could, and the way out."""

    steps: tuple[Step, ...] = ()
    reasons: tuple[str, ...] = ()
    problem: str | None = None


def decide(system: FileSystem, wish: Wish) -> Growth:
    """How a file system comes to all that its disks have. Pure."""
    disks = disks_of(system)
    if wish.size is not None and len(disks) != 1:
        names = ", ".join(disk.name for disk in disks)
        return Growth(problem=f"{system.mount} lies on {names}, and size can be of one disk only: leave size out")
    plan = _Plan(wish)
    for member in system.members:
        plan.grow_member(system, member)
    if plan.steps and system.read_only:
        return Growth(problem=f"{system.mount} is mounted read-only, and would grow: mount -o remount,rw {system.mount}")
    locked = [device.name for device in devices_of(system) if device.read_only]
    if plan.steps and locked:
        return Growth(problem=f"{', '.join(locked)} under {system.mount} is read-only: blockdev --setrw lifts that")
    return Growth(tuple(plan.steps), tuple(plan.reasons), "; ".join(dict.fromkeys(plan.problems)) or None)


def devices_of(system: FileSystem) -> list[Device]:
    """All devices under a file system, each once, from the bottom up."""
    found = {}
    for member in system.members:
        for device in _under(member.device):
            found.setdefault(device.name, device)
    return list(found.values())


def disks_of(system: FileSystem) -> list[Device]:
    """The devices at the bottom."""
    return [device for device in devices_of(system) if not device.parents]


def size_of(system: FileSystem, action: str, device: str) -> int | None:
    """The size that a step's device has for that step, ``None`` where it is gone."""
    if action == FILESYSTEM:
        return next((member.size for member in system.members if member.device.name == device), None)
    for one in devices_of(system):
        if action == PHYSICAL and one.logical:
            for volume in one.logical.volumes:
                if volume.device.name == device:
                    return volume.extents * one.logical.extent
        elif one.name == device and action != PHYSICAL:
            return one.size
    return None


def capacity(kind: str, geometry: Ext | Xfs | None, size: int) -> int:
    """The bytes that a file system can have of a device of ``size``."""
    if isinstance(geometry, Ext):
        return _ext_capacity(geometry, size)
    if isinstance(geometry, Xfs):
        blocks = size // geometry.block
        rest = blocks % geometry.group
        return (blocks - rest if rest < 64 else blocks) * geometry.block
    if kind == "btrfs":
        return size - size % 4096 if size >= BTRFS_LEAST else 0
    raise ValueError(f"nothing is known of the geometry of {kind}")


def _ext_capacity(geometry: Ext, size: int) -> int:
    blocks = size // geometry.block
    if geometry.page > geometry.block:
        blocks -= blocks % (geometry.page // geometry.block)
    if "64bit" not in geometry.features:
        blocks = min(blocks, 2**32 - 1)
    rest = (blocks - geometry.first) % geometry.per_group
    group = (blocks - geometry.first) // geometry.per_group
    metadata = 2 + geometry.inodes_per_group
    if _has_superblock(geometry, group):
        per_block = geometry.block // geometry.descriptor
        metadata += 1 + -(-(group + 1) // per_block) + geometry.reserved
    if group and rest < metadata + 50:
        blocks -= rest
    return blocks * geometry.block


def _has_superblock(geometry: Ext, group: int) -> bool:
    """Whether a group has a copy of the superblock: with sparse_super 0, 1 and the powers of 3, 5 and 7."""
    if "sparse_super2" in geometry.features:
        return False
    if group <= 1 or "sparse_super" not in geometry.features:
        return True
    return any(group == base**power for base in (3, 5, 7) for power in range(1, 21))


def _under(device: Device) -> Iterator[Device]:
    """A device and what is under it, from the bottom up."""
    for parent in device.parents:
        yield from _under(parent)
    yield device


class _Plan:
    """Steps as they are found: the size that a device will have follows from that of the devices under it."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.steps: list[Step] = []
        self.reasons: list[str] = []
        self.problems: list[str] = []
        self._sizes: dict[str, int] = {}

    def grow_member(self, system: FileSystem, member: Member) -> None:
        """The steps of one device of the file system, and of the file system on it."""
        device = member.device
        size = self.size(device)
        possible = capacity(system.kind, system.geometry, size)
        if possible <= member.size:
            return
        command = {
            "xfs": ("xfs_growfs", "-d", system.via),
            "btrfs": ("btrfs", "filesystem", "resize", f"{member.id}:max", system.via),
        }.get(system.kind, ("resize2fs", device.name))
        reason = f"{system.kind} has {member.size} of the {size} bytes of {device.name}"
        self._step(FILESYSTEM, device.name, command, member.size, possible, reason)

    def size(self, device: Device) -> int:
        """What a device will have when the steps so far are done."""
        if device.name not in self._sizes:
            self._sizes[device.name] = self._how(device)(device)
        return self._sizes[device.name]

    def _how(self, device: Device) -> Callable[[Device], int]:
        if not device.parents:
            return self._disk
        if device.logical:
            return self._logical
        if device.partition:
            return self._partition
        if device.crypt and device.crypt.kind.startswith("LUKS"):
            return self._crypt
        return self._other

    def _disk(self, disk: Device) -> int:
        wanted = self.wish.size
        if wanted is None or wanted <= disk.size:
            return disk.size
        how = disk.knob if len(disk.knob) > 1 else ()
        self._step(RESCAN, disk.name, how, disk.size, wanted, f"{disk.name} is to have {wanted} bytes and has {disk.size}")
        return wanted

    def _partition(self, device: Device) -> int:
        disk, partition = device.parents[0], device.partition
        total = self.size(disk)
        own, sector = partition.own, partition.sector
        recorded = own.size * sector
        if recorded > device.size:
            command = ("partx", "--update", "--nr", str(partition.number), disk.name)
            self._step(REREAD, device.name, command, device.size, recorded, f"the table of {disk.name} says more than the kernel knows")
        sectors = total // sector
        behind = sorted((one for one in partition.entries if one.start > own.start and one.start >= own.last), key=lambda one: one.start)
        last = (behind[0].start if behind else sectors) - 1
        if partition.label == "dos":
            last = min(last, MBR_SECTORS - 1)
        last = min(last, sectors - GPT_BACKUP - 1)
        gain = (last - own.last) * sector
        rest = (sectors - GPT_BACKUP - 1 - max(one.last for one in partition.entries)) * sector
        if gain < FUDGE and rest < FUDGE:
            return max(device.size, recorded)
        problem = self._no_growth(device, rest if behind else 0, behind, total)
        if problem:
            self.problems.append(problem)
        if gain < FUDGE or partition.label not in ("gpt", "dos") or _inside(partition):
            return max(device.size, recorded)
        command = ("growpart", disk.name, str(partition.number))
        self._step(PARTITION, device.name, command, recorded, recorded + gain, f"{gain} bytes behind {device.name} on {disk.name} are free")
        return recorded + gain

    def _no_growth(self, device: Device, rest: int, behind: Sequence[Slice], total: int) -> str | None:
        """Why a partition cannot have what is free on its disk."""
        disk, partition = device.parents[0], device.partition
        if partition.label not in ("gpt", "dos"):
            return f"{disk.name} has a partition table of the kind {partition.label}, and growpart knows GPT and MBR only"
        if _inside(partition):
            remedy = f"parted {disk.name} resizepart can"
            return f"{device.name} is a logical partition within an extended one, which growpart cannot grow: {remedy}"
        if rest >= FUDGE:
            return (
                f"{rest} bytes at the end of {disk.name} lie behind {behind[0].node}, and {device.name} cannot have them: "
                f"remove or move {behind[0].node}"
            )
        if partition.label == "dos" and total // partition.sector > MBR_SECTORS + FUDGE // partition.sector:
            return f"{disk.name} has an MBR, which addresses {MBR_SECTORS * partition.sector} of its {total} bytes: it needs a GPT"
        return None

    def _crypt(self, device: Device) -> int:
        crypt = device.crypt
        room = self.size(device.parents[0]) - crypt.offset
        room -= room % crypt.sector
        if room <= device.size:
            return device.size
        key = ("--key-file", self.wish.key_file) if self.wish.key_file else ()
        command = ("cryptsetup", "resize", crypt.name) + key
        self._step(CRYPT, device.name, command, device.size, room, f"{device.name} has {device.size} of the {room} bytes behind its header")
        return room

    def _logical(self, device: Device) -> int:
        logical = device.logical
        if not logical.plain:
            why = f"{logical.name} is {logical.kind}, and only linear and striped volumes grow here: lvextend {logical.name} by hand"
            return self._left_alone(device, why, lambda beneath: beneath.free(logical))
        free = self.free(logical)
        total = sum(free) + sum(volume.used for volume in logical.volumes)
        allowed = int(total * self.wish.share / 100 + 1e-9) - logical.extents
        take = min(_striped(free, logical.stripes), allowed)
        take -= take % logical.stripes
        if sum(free) > 0 and allowed <= 0:
            stays = sum(free) * logical.extent
            self.reasons.append(f"{logical.name} has its {self.wish.share:g} % of the volume group; {stays} bytes stay free")
        if take <= 0:
            return device.size
        after = device.size + take * logical.extent
        reason = f"{sum(free) * logical.extent} bytes of the volume group are free, {logical.name} takes {take * logical.extent}"
        self._step(LOGICAL, device.name, ("lvextend", "-l", f"+{take}", logical.name), device.size, after, reason)
        return after

    def free(self, logical: LogicalVolume) -> list[int]:
        """The extents that will be free on each physical volume of a group."""
        found = []
        for volume in logical.volumes:
            name, size = volume.device.name, self.size(volume.device)
            extents = max(volume.extents, (size - volume.start - volume.tail) // logical.extent)
            if extents > volume.extents:
                before, after = volume.extents * logical.extent, extents * logical.extent
                reason = f"{name} has {size} bytes, and its volume group uses {before}"
                self._step(PHYSICAL, name, ("pvresize", name), before, after, reason)
            found.append(extents - volume.used)
        return found

    def _other(self, device: Device) -> int:
        why = f"{device.name} is of the kind {device.kind}, which does not grow here: grow it by its own tools, then run this again"
        return self._left_alone(device, why, lambda beneath: [beneath.size(parent) for parent in device.parents])

    def _left_alone(self, device: Device, why: str, look: Callable[[_Plan], object]) -> int:
        """A device that does not grow: a problem where what is under it could."""
        beneath = _Plan(self.wish)
        look(beneath)
        if beneath.steps:
            self.problems.append(why)
        return device.size

    def _step(self, action: str, device: str, command: tuple[str, ...], before: int, after: int, reason: str) -> None:
        self.steps.append(Step(action, device, command, before, after, reason))


def _inside(partition: Partition) -> bool:
    """Whether it is a logical partition, inside an extended one."""
    if partition.label != "dos":
        return False
    return any(one.kind in EXTENDED and one.start < partition.own.start <= one.last for one in partition.entries)


def _striped(free: Sequence[int], stripes: int) -> int:
    """The extents that a volume of ``stripes`` can have, each stripe on a physical volume of its own."""
    low, high = 0, sum(free) // stripes
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(one, middle) for one in free) >= stripes * middle:
            low = middle
        else:
            high = middle - 1
    return low * stripes
