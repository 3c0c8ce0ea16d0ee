# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounted file systems of a host: what is under them is observed, and what the engine decides is done and verified.

It runs on hosts, and therefore on Python 3.7, without boto3.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine import filesystems as engine
from ansible_collections.spot.platform.plugins.module_utils.mounts import NVME, unescaped

PACKAGES = {
    "btrfs": ("btrfs-progs", "btrfs-progs"),
    "cryptsetup": ("cryptsetup-bin", "cryptsetup"),
    "dumpe2fs": ("e2fsprogs", "e2fsprogs"),
    "growpart": ("cloud-guest-utils", "cloud-utils-growpart"),
    "losetup": ("mount", "util-linux"),
    "lsblk": ("util-linux", "util-linux"),
    "lvextend": ("lvm2", "lvm2"),
    "lvs": ("lvm2", "lvm2"),
    "partx": ("util-linux", "util-linux"),
    "pvresize": ("lvm2", "lvm2"),
    "pvs": ("lvm2", "lvm2"),
    "resize2fs": ("e2fsprogs", "e2fsprogs"),
    "sfdisk": ("fdisk", "util-linux"),
    "xfs_growfs": ("xfsprogs", "xfsprogs"),
}
"""The packages of the tools, in Debian and as RPM."""
NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p")
LOCK = "/run/spot-filesystem-grow.lock"
REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o")


class Trouble(Exception):
    """What keeps a file system from growing, with the way out."""


class Gone(Trouble):
    """The file system is not mounted any more."""


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo. ``number``: major and minor number of the file system's device."""

    path: str
    number: str
    root: str
    options: tuple[str, ...]
    kind: str
    source: str
    super_options: tuple[str, ...]

    @property
    def writable(self) -> bool:
        return "ro" not in self.options and "ro" not in self.super_options


@dataclass(frozen=True)
class Observed:
    """A file system as it is. ``number``: what tells whether it is still the same. ``used`` bytes, and ``available`` ones for
    ordinary users; together they are less than all where some are reserved, or hold tables."""

    system: engine.FileSystem
    number: str
    used: int
    available: int


@dataclass(frozen=True)
class Grown:
    """What became of a mount point; ``before`` is ``None`` where no file system was found that could grow. ``problem``: what it
    could not have, ``error``: what went wrong on the way. ``steps``: those that were done, in check mode that would be."""

    path: str
    before: Observed | None = None
    after: Observed | None = None
    steps: tuple[engine.Step, ...] = ()
    reasons: tuple[str, ...] = ()
    problem: str | None = None
    error: str | None = None


class Host:
    """The host's tools and files. ``run``: runs a command with variables of the environment, gives exit code, output and errors;
    ``find``: the path of a tool, ``None`` where there is none. ``root``: where the files of the host are."""

    def __init__(self, run: Callable[..., tuple[int, str, str]], find: Callable[[str], str | None], root: str = "") -> None:
        self._run, self._find, self._root = run, find, root

    def path(self, path: str) -> str:
        """Where a file of the host is."""
        return self._root + path

    def read(self, path: str) -> str | None:
        """A file's text without the end of its line, ``None`` where it cannot be read."""
        try:
            with open(self.path(path), encoding="utf-8", errors="replace") as file:
                return file.read().rstrip("\n")
        except OSError:
            return None

    def which(self, name: str) -> str:
        """The path of a tool. Raises `Trouble` where it is not installed."""
        path = self._find(name)
        if not path:
            debian, rpm = PACKAGES[name]
            raise Trouble(f"{name} is not installed: install {debian} (Debian, Ubuntu) or {rpm} (RPM)")
        return path

    def tool(self, command: Sequence[str]) -> tuple[int, str, str]:
        """Run a tool, with what it writes meanwhile in memory: a file system that is to grow may be full."""
        return self._run([self.which(command[0])] + list(command[1:]), {"LC_ALL": "C", "TMPDIR": "/run"})

    def ask(self, *command: str) -> str:
        """What a tool tells. Raises `Trouble` where it fails.

        Ansible's run_command loses what a command prints in the moment in which it looks whether the command is over: ask again.
        """
        for _attempt in range(3):
            code, out, err = self.tool(command)
            if code:
                raise Trouble(_failed(command, code, out, err))
            if out:
                break
        return out


def _failed(command: Sequence[str], code: int, out: str, err: str) -> str:
    said = [line.strip() for line in (err.strip() or out.strip()).splitlines() if line.strip()]
    return f"{' '.join(command)} failed with exit code {code}: {'; '.join(said[-3:]) or 'it says nothing'}"


def mounts(host: Host) -> list[Mount]:
    """All mounts, in their order; of several on one mount point the last one is seen."""
    found = []
    for line in (host.read("/proc/self/mountinfo") or "").splitlines():
        left, _dash, right = line.partition(" - ")
        _id, _parent, number, root, path, options = left.split(" ")[:6]
        kind, source, more = right.split(" ")[:3]
        words = (tuple(one.split(",")) for one in (options, more))
        found.append(Mount(unescaped(path), number, unescaped(root), next(words), kind, unescaped(source), next(words)))
    return found


def mount_of(host: Host, path: str) -> tuple[Mount, list[Mount]]:
    """The mount on a path, and all mounts of the same file system that are seen. Raises `Gone` where nothing is mounted there."""
    everything = {one.path: one for one in mounts(host)}
    here = everything.get(path)
    if here:
        return here, [one for one in everything.values() if (one.number, one.kind) == (here.number, here.kind)]
    if not os.path.lexists(host.path(path)):
        raise Gone(f"there is no {path}")
    above = [one for one in everything if path.startswith(one.rstrip("/") + "/")]
    within = f": it lies on {max(above, key=len)}" if above else ""
    raise Gone(f"nothing is mounted on {path}{within}")


def observe(host: Host, path: str) -> Observed:
    """The file system on a mount point, and all that is under it. Raises `Trouble`."""
    mount, same = mount_of(host, path)
    if mount.kind not in engine.GROW_ONLINE:
        raise Trouble(_unfit(mount))
    chosen = _via(host, mount, same)
    reader = _Reader(host)
    if mount.kind == "btrfs":
        members, geometry = reader.btrfs(chosen.path), None
    else:
        device = reader.device(_device_name(host, mount))
        size, geometry = reader.xfs(chosen.path) if mount.kind == "xfs" else reader.ext(device.name)
        members = (engine.Member(device, size),)
    try:
        numbers = os.statvfs(host.path(path))
    except OSError as error:
        raise Gone(f"{path} cannot be read: {error.strerror}")
    system = engine.FileSystem(path, mount.kind, members, chosen.path, not chosen.writable, geometry)
    used, available = numbers.f_blocks - numbers.f_bfree, numbers.f_bavail
    return Observed(system, mount.number, used * numbers.f_frsize, available * numbers.f_frsize)


def _unfit(mount: Mount) -> str:
    grow = "ext3, ext4, XFS and Btrfs grow here"
    if mount.kind in NETWORKED:
        return f"{mount.path} is {mount.kind} from {mount.source}: it grows on its server"
    if mount.number.startswith("0:"):
        return f"{mount.path} is {mount.kind}, which is on no disk: {grow}"
    return f"{mount.path} is {mount.kind}, which cannot grow while it is mounted: {grow}"


def _via(host: Host, mount: Mount, same: Sequence[Mount]) -> Mount:
    """The mount through which a file system grows: a writable one, on a folder, best the one that was named."""
    return max(same, key=lambda one: (one.writable, os.path.isdir(host.path(one.path)), one is mount, one.root == "/"))


def _device_name(host: Host, mount: Mount) -> str:
    event = host.read(f"/sys/dev/block/{mount.number}/uevent") or ""
    name = re.search(r"^DEVNAME=(.+)$", event, re.MULTILINE)
    if not name:
        raise Trouble(f"{mount.path} is on the device {mount.number}, of which the kernel tells nothing here: run this on the host itself")
    return "/dev/" + name.group(1)


class _Reader:
    """Reads what is under a file system, each thing once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._tables: dict[str, dict[str, Any]] = {}

    def device(self, name: str) -> engine.Device:
        """A device with all that is under it."""
        columns = "NAME,KNAME,TYPE,SIZE,SERIAL,RO,MAJ:MIN"
        told = _json(self.host, "lsblk", "--inverse", "--json", "--bytes", "--paths", "--output", columns, name)["blockdevices"]
        if not told:
            raise Gone(f"lsblk knows no {name}")
        return self._built(told[0])

    def _built(self, told: dict[str, Any]) -> engine.Device:
        name, kind, kernel = told["name"], told["type"], os.path.basename(told["kname"])
        device = engine.Device(name, kind, int(told["size"]), read_only=told["ro"] in (True, "1"))
        if kind == "lvm":
            logical = self._logical(name, device.size)
            return replace(device, logical=logical, parents=tuple(volume.device for volume in logical.volumes))
        parents = tuple(self._built(one) for one in told.get("children") or ())
        device = replace(device, parents=parents)
        if not parents:
            serial = told["serial"] or self.host.read(f"/sys/class/block/{kernel}/device/serial")
            return replace(device, volume_id=self._volume_id(serial, kernel), knob=self._knob(name, kernel))
        if kind == "part":
            return replace(device, partition=self._partition(kernel, parents[0]))
        if kind == "crypt":
            return replace(device, crypt=self._crypt(name))
        return device

    def _volume_id(self, serial: str | None, kernel: str) -> str | None:
        """The EBS volume: the serial number of its NVMe disk, or the link that udev made of it."""
        match = re.match(r"vol-?([0-9a-f]+)$", (serial or "").strip())
        if match:
            return "vol-" + match.group(1)
        links = "/dev/disk/by-id"
        with contextlib.suppress(OSError):
            for link in sorted(os.listdir(self.host.path(links))):
                match = re.match(NVME + "vol([0-9a-f]+)$", link)
                if match and os.path.basename(os.path.realpath(self.host.path(f"{links}/{link}"))) == kernel:
                    return "vol-" + match.group(1)
        return None

    def _knob(self, name: str, kernel: str) -> tuple[str, ...]:
        """How the kernel looks for a disk's new size; by itself where nothing is found, as it is with Xen and virtio."""
        if self.host.read(f"/sys/class/block/{kernel}/loop/backing_file"):
            return ("losetup", "--set-capacity", name)
        for knob in ("rescan_controller", "rescan"):
            path = f"/sys/class/block/{kernel}/device/{knob}"
            if os.path.exists(self.host.path(path)):
                return (path,)
        return ()

    def _partition(self, kernel: str, disk: engine.Device) -> engine.Partition | None:
        number, start = (self.host.read(f"/sys/class/block/{kernel}/{one}") for one in ("partition", "start"))
        if number is None or start is None:
            return None
        if disk.name not in self._tables:
            self._tables[disk.name] = _json(self.host, "sfdisk", "--json", disk.name)["partitiontable"]
        table = self._tables[disk.name]
        sector = int(self.host.read(f"/sys/class/block/{os.path.basename(disk.name)}/queue/logical_block_size") or 512)
        entries = tuple(engine.Slice(one["node"], int(one["start"]), int(one["size"]), one["type"]) for one in table["partitions"])
        own = [one for one in entries if one.start * sector == int(start) * 512]
        if not own:
            raise Trouble(f"the partition table of {disk.name} has no partition that begins where {kernel} does: partprobe {disk.name}")
        return engine.Partition(int(number), table["label"], sector, own[-1], entries)

    def _crypt(self, name: str) -> engine.Crypt:
        mapping = os.path.basename(name)
        told = dict(re.findall(r"^\s+([a-z ]+):\s+(.+?)\s*$", self.host.ask("cryptsetup", "status", mapping), re.MULTILINE))
        offset = int(told["offset"].split()[0]) * 512
        return engine.Crypt(mapping, told["type"], offset, int(told.get("sector size", "512").split()[0]))

    def _logical(self, name: str, size: int) -> engine.LogicalVolume:
        fields = "vg_name,lv_name,lv_attr,segtype,stripes,vg_extent_size"
        segments = _report(self.host, "seg", "lvs", "--segments", *REPORT, fields, name)
        first = segments[0]
        group, extent = first["vg_name"], int(first["vg_extent_size"])
        fields = "pv_name,pe_start,pv_pe_count,pv_pe_alloc_count,pv_mda_count,pv_mda_size"
        rows = _report(self.host, "pv", "pvs", *REPORT, fields, "--select", f"vg_name={group}")
        if any(not one["pv_name"].startswith("/dev/") for one in rows):
            remedy = f"bring it back, then vgextend --restoremissing {group}"
            raise Trouble(f"a physical volume of the volume group {group} is missing: {remedy}")
        volumes = [
            engine.PhysicalVolume(
                self.device(one["pv_name"]),
                int(one["pv_pe_count"]),
                int(one["pv_pe_alloc_count"]),
                int(one["pe_start"]),
                int(one["pv_mda_size"]) if int(one["pv_mda_count"]) > 1 else 0,
            )
            for one in rows
        ]
        kinds = sorted({one["segtype"] for one in segments})
        plain = first["lv_attr"][0] == "-" and set(kinds) <= {"linear", "striped"}
        return engine.LogicalVolume(
            f"{group}/{first['lv_name']}",
            size // extent,
            extent,
            plain,
            ", ".join(kinds) if set(kinds) - {"linear", "striped"} else "a snapshot or has some",
            int(segments[-1]["stripes"]),
            tuple(sorted(volumes, key=lambda one: one.device.name)),
        )

    def ext(self, device: str) -> tuple[int, engine.Ext]:
        """Size and geometry of ext3 and ext4."""
        told = dict(re.findall(r"^([A-Z][^:]+):\s+(.*?)\s*$", self.host.ask("dumpe2fs", "-h", device), re.MULTILINE))
        block = int(told["Block size"])
        geometry = engine.Ext(
            block,
            int(told["First block"]),
            int(told["Blocks per group"]),
            int(told["Inode blocks per group"]),
            int(told.get("Reserved GDT blocks", 0)),
            int(told.get("Group descriptor size", 32)),
            tuple(told["Filesystem features"].split()),
            os.sysconf("SC_PAGE_SIZE"),
        )
        return int(told["Block count"]) * block, geometry

    def xfs(self, mount: str) -> tuple[int, engine.Xfs]:
        """Size and geometry of XFS."""
        told = self.host.ask("xfs_growfs", "-n", mount)
        group = re.search(r"agsize=(\d+) blks", told)
        data = re.search(r"^data\s+=\s+bsize=(\d+)\s+blocks=(\d+)", told, re.MULTILINE)
        if not group or not data:
            raise Trouble(f"xfs_growfs -n {mount} does not tell the size of its data: {told[:200]!r}")
        block = int(data.group(1))
        return int(data.group(2)) * block, engine.Xfs(block, int(group.group(1)))

    def btrfs(self, mount: str) -> tuple[engine.Member, ...]:
        """The devices of a Btrfs, by their numbers."""
        told = self.host.ask("btrfs", "filesystem", "show", "--raw", mount)
        found = re.findall(r"^\s*devid\s+(\d+)\s+size\s+(\d+)\s+used\s+\d+\s+path\s+(.*?)\s*$", told, re.MULTILINE)
        total = re.search(r"Total devices (\d+)", told)
        if not found or not total or len(found) != int(total.group(1)) or any(not path.startswith("/dev/") for _id, _size, path in found):
            raise Trouble(f"a device of the Btrfs on {mount} is missing: bring it back, or btrfs replace it")
        return tuple(engine.Member(self.device(os.path.realpath(path)), int(size), int(number)) for number, size, path in found)


def _json(host: Host, *command: str) -> dict[str, Any]:
    text = host.ask(*command)
    try:
        return json.loads(text)
    except ValueError:
        raise Trouble(f"{' '.join(command)} does not print JSON: {text[:200]!r}")


def _report(host: Host, kind: str, *command: str) -> list[dict[str, str]]:
    rows = _json(host, *command)["report"][0][kind]
    if not rows:
        raise Gone(f"{' '.join(command)} tells of nothing")
    return rows


def grow(host: Host, path: str, wish: engine.Wish, act: bool, timeout: float) -> Grown:
    """Grow the file system on a mount point, or say how. ``timeout``: seconds to wait for the disk."""
    try:
        before = observe(host, path)
    except Trouble as trouble:
        return Grown(path, problem=str(trouble))
    plan = engine.decide(before.system, wish)
    if not act:
        return Grown(path, before, None, plan.steps, plan.reasons, plan.problem)
    now, done, reasons, tried = before, [], list(plan.reasons), set()
    try:
        for step in plan.steps:
            if step.command:
                host.which(step.command[0])
        while plan.steps:
            step = plan.steps[0]
            if (step.action, step.device) in tried:
                sizes = f"{step.device} has {step.before} bytes and should have {step.after}"
                raise Trouble(f"{sizes}: the step {step.action} gave no error, and is not done")
            tried.add((step.action, step.device))
            _act(host, now.system, step, timeout)
            now = _again(host, path, now)
            done.append(replace(step, after=engine.size_of(now.system, step.action, step.device) or step.before))
            plan = engine.decide(now.system, wish)
    except Trouble as trouble:
        return Grown(path, before, now, tuple(done), tuple(reasons), error=str(trouble))
    return Grown(path, before, now, tuple(done), tuple(reasons), plan.problem)


def _again(host: Host, path: str, before: Observed) -> Observed:
    """The file system after a step. Raises `Gone` where another or none is mounted now."""
    remedy = "mount it and run this again, which goes on from where it is"
    try:
        now = observe(host, path)
    except Gone as gone:
        raise Gone(f"{path} vanished meanwhile, {gone}: {remedy}")
    if now.number != before.number:
        raise Gone(f"another file system is mounted on {path} now: {remedy}")
    return now


def _act(host: Host, system: engine.FileSystem, step: engine.Step, timeout: float) -> None:
    """Do a step. Raises `Trouble` where its tool fails."""
    if step.action == engine.RESCAN:
        _wait(host, next(disk for disk in engine.disks_of(system) if disk.name == step.device), step.after, timeout)
        return
    command = step.command
    if step.action in (engine.PHYSICAL, engine.LOGICAL) and _full(host.path("/etc/lvm")):
        command += ("--autobackup", "n")
    code, out, err = host.tool(command)
    if code and not (command[0] == "growpart" and out.startswith("NOCHANGE")):
        hint = ": give key_file" if step.action == engine.CRYPT and "--key-file" not in command else ""
        raise Trouble(_failed(command, code, out, err) + hint)


def _full(folder: str) -> bool:
    try:
        numbers = os.statvfs(folder)
    except OSError:
        return False
    return numbers.f_bfree * numbers.f_frsize < engine.MIB


def _wait(host: Host, disk: engine.Device, wanted: int, timeout: float) -> None:
    """Wait until the kernel knows a disk's new size, and make it look where that helps."""
    until = time.monotonic() + timeout
    while True:
        if len(disk.knob) > 1:
            host.tool(disk.knob)
        elif disk.knob:
            with contextlib.suppress(OSError), open(host.path(disk.knob[0]), "w", encoding="ascii") as knob:
                knob.write("1")
        size = int(host.read(f"/sys/class/block/{os.path.basename(disk.name)}/size") or 0) * 512
        if size >= wanted:
            return
        if time.monotonic() >= until:
            remedy = "see whether its modification has failed"
            raise Trouble(f"{disk.name} has {size} bytes after {timeout:g} seconds, {wanted} are waited for: {remedy}")
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))


@contextlib.contextmanager
def alone(path: str, timeout: float) -> Iterator[None]:
    """Hold the host's lock; it goes with the process. Raises `Trouble` where another run keeps it for longer than ``timeout``."""
    until = time.monotonic() + timeout
    with open(path, "a", encoding="ascii") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= until:
                    raise Trouble(f"another run has held {path} for {timeout:g} seconds: wait for it, or end it")
                time.sleep(0.2)
        yield
