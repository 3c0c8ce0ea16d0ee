# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted on a host, on which EBS volume, and who uses it; and its fstab. It runs on hosts, with Python 3.7."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, List, Tuple

NVME = "nvme-Amazon_Elastic_Block_Store_"
"""What the name of an EBS volume on a Nitro instance begins with, in /dev/disk/by-id."""
Run = Callable[[List[str]], Tuple[int, str, str]]
"""Runs a command: its status, what it prints, and what it says of errors."""
TARGETS = ("target", "slice", "scope", "mount", "device", "swap", "automount")
"""Kinds of units that nobody stops for a mount."""


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo. ``device``: its number as ``major:minor``; ``root``: which folder of the file system."""

    device: str
    root: str
    target: str
    options: str
    kind: str
    source: str


@dataclass(frozen=True)
class Entry:
    """An entry of fstab. ``line``: its number, from 0."""

    line: int
    spec: str
    target: str
    kind: str
    options: str


def unescaped(text: str) -> str:
    """A field of mountinfo or fstab, with its octal escapes resolved."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def mounts_in(text: str) -> list[Mount]:
    """The mounts of a text like ``/proc/self/mountinfo``, in the order in which they were made."""
    found = []
    for line in text.splitlines():
        before, _dash, after = line.partition(" - ")
        fields, (kind, source, *_super) = before.split(), after.split()
        found.append(Mount(fields[2], unescaped(fields[3]), unescaped(fields[4]), fields[5], kind, unescaped(source)))
    return found


def entries_in(text: str) -> list[Entry]:
    """The entries of an fstab."""
    found = []
    for number, line in enumerate(text.splitlines()):
        fields = line.split()
        if len(fields) >= 3 and not line.lstrip().startswith("#"):
            options = fields[3] if len(fields) > 3 else "defaults"
            found.append(Entry(number, unescaped(fields[0]), unescaped(fields[1]).rstrip("/") or "/", fields[2], options))
    return found


def with_spec(text: str, path: str, spec: str) -> str:
    """The fstab with ``spec`` as what is mounted at ``path``, and nothing else changed. Raises ``ValueError`` where there is no entry, or
    several."""
    found = [one for one in entries_in(text) if one.target == path]
    if len(found) != 1:
        raise ValueError(f"fstab has {len(found) or 'no'} {'entries' if found else 'entry'} for {path}: it must have one")
    lines = text.splitlines(keepends=True)
    number = found[0].line
    lines[number] = re.sub(r"^(\s*)\S+", lambda match: match.group(1) + spec, lines[number])
    return "".join(lines)


def read(path: str) -> str:
    """A file's text; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """Replace a file so that after a crash it is the old or the new one, with owner and mode as they were."""
    real = os.path.realpath(path)
    state = os.stat(real) if os.path.exists(real) else None
    new = f"{real}.spot-new"
    with open(new, "w", encoding="utf-8", errors="surrogateescape") as file:
        if state:
            os.fchown(file.fileno(), state.st_uid, state.st_gid)
            os.fchmod(file.fileno(), state.st_mode & 0o7777)
            with contextlib.suppress(OSError):
                for name in os.listxattr(real):
                    os.setxattr(new, name, os.getxattr(real, name))
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, real)
    folder = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def block_of(device: str) -> dict:
    """What kind of block device it is: ``disk`` (the whole one, ``None`` where it is on several), ``partitions`` of that, and ``kind``,
    ``disk``, ``partition``, ``lvm``, ``crypt``, ``raid``, ``mapper`` or ``none``."""
    name = os.path.basename(os.path.realpath(device))
    place = os.path.realpath(f"/sys/class/block/{name}")
    if not os.path.isdir(place):
        return {"kind": "none", "disk": None, "partitions": 0}
    if os.path.exists(f"{place}/partition"):
        disk = os.path.basename(os.path.dirname(place))
        return {"kind": "partition", "disk": f"/dev/{disk}", "partitions": len(_partitions(disk))}
    if os.path.isdir(f"{place}/dm"):
        kind = read(f"{place}/dm/uuid").partition("-")[0].lower()
        return {"kind": kind if kind in ("lvm", "crypt") else "mapper", "disk": None, "partitions": 0}
    if os.path.isdir(f"{place}/md"):
        return {"kind": "raid", "disk": None, "partitions": 0}
    return {"kind": "disk", "disk": f"/dev/{name}", "partitions": len(_partitions(name))}


def _partitions(disk: str) -> list[str]:
    place = f"/sys/class/block/{disk}"
    return [name for name in (os.listdir(place) if os.path.isdir(place) else []) if os.path.exists(f"{place}/{name}/partition")]


def volumes() -> dict[str, str]:
    """The EBS volumes that the host sees: the device of each, by id."""
    found = {}
    folder = "/dev/disk/by-id"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        match = re.match(rf"^{NVME}vol-?([0-9a-f]+)$", name)
        if match and os.path.exists(f"{folder}/{name}"):
            found[f"vol-{match.group(1)}"] = os.path.realpath(f"{folder}/{name}")
    for name in sorted(os.listdir("/sys/class/block")) if os.path.isdir("/sys/class/block") else []:
        match = re.match(r"^vol-?([0-9a-f]+)$", read(f"/sys/class/block/{name}/device/serial").strip())
        if match and re.match(r"^nvme\d+n\d+$", name):
            found.setdefault(f"vol-{match.group(1)}", f"/dev/{name}")
    return found


def signature(device: str, run: Run) -> dict[str, str]:
    """What is on a device, as blkid reads it from the disk: ``TYPE``, ``UUID``, ``LABEL``, ``PTTYPE``."""
    status, text, error = run(["blkid", "--probe", "--output", "export", device])
    if status not in (0, 2):
        raise ValueError(f"blkid cannot read {device}: {error.strip()}")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def usage(path: str) -> dict[str, int]:
    """Bytes and inodes of the file system. ``available``: for others than root. Without a count of inodes both are 0."""
    state = os.statvfs(path)
    return {
        "size": state.f_blocks * state.f_frsize,
        "used": (state.f_blocks - state.f_bfree) * state.f_frsize,
        "available": state.f_bavail * state.f_frsize,
        "inodes": state.f_files,
        "inodes_used": state.f_files - state.f_ffree,
    }


def processes(path: str, ours: Iterable[int] = ()) -> list[dict]:
    """The processes besides ``ours`` that have something of the file system open, mapped, or as their folder: ``pid``, ``command``,
    ``unit`` and one ``file``."""
    device = os.stat(path).st_dev
    numbers = f"{os.major(device):02x}:{os.minor(device):02x}"
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in (os.getpid(), *ours):
            continue
        file = _open_in(f"/proc/{name}", device, numbers, path)
        if file:
            command = read(f"/proc/{name}/cmdline").replace("\0", " ").strip() or read(f"/proc/{name}/comm").strip()
            found.append({"pid": int(name), "command": command[:100], "unit": _unit(read(f"/proc/{name}/cgroup")), "file": file})
    return sorted(found, key=lambda one: one["pid"])


def holders(lock: str) -> list[int]:
    """The processes that have the file open."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended
                files = os.listdir(f"/proc/{name}/fd")
                if any(os.readlink(f"/proc/{name}/fd/{file}") == lock for file in files):
                    found.append(int(name))
    return sorted(found)


def _open_in(process: str, device: int, numbers: str, path: str) -> str | None:
    links = [f"{process}/{name}" for name in ("cwd", "root", "exe")]
    with contextlib.suppress(OSError):
        links += [f"{process}/fd/{name}" for name in os.listdir(f"{process}/fd")]
    for link in links:
        with contextlib.suppress(OSError):  # it ended, or closed the file
            if os.stat(link).st_dev == device:
                return os.readlink(link)
    for line in read(f"{process}/maps").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and (fields[3] == numbers or fields[5].startswith(f"{path}/")):
            return fields[5]
    return None


def _unit(cgroups: str) -> str | None:
    """The systemd unit of a process, of the innermost part of its cgroup."""
    for line in cgroups.splitlines():
        parts = [part for part in line.rpartition(":")[2].split("/") if part.endswith((".service", ".scope"))]
        if parts:
            return parts[-1]
    return None


def units(names: Iterable[str], run: Run) -> dict[str, dict[str, str]]:
    """Properties of units by name: ``LoadState``, ``ActiveState``, ``TriggeredBy``, and who needs them."""
    found = {}
    wanted = ["LoadState", "ActiveState", "TriggeredBy", "RequiredBy", "BoundBy", "RequisiteOf", "WantedBy"]
    for name in names:
        status, text, error = run(["systemctl", "show", f"--property={','.join(wanted)}", "--", name])
        if status:
            raise ValueError(f"systemd cannot tell of {name}: {error.strip()}")
        found[name] = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found


def unit_of_mount(path: str, run: Run) -> str:
    """The name of a mount's unit."""
    status, text, error = run(["systemd-escape", "--path", "--suffix=mount", path])
    if status:
        raise ValueError(f"systemd-escape: {error.strip()}")
    return text.strip()


def users(path: str, run: Run) -> list[str]:
    """The active units that need the mount, by systemd's dependencies and by the paths that they require."""
    name = unit_of_mount(path, run)
    shown = units([name], run)[name]
    asking = {unit for key in ("RequiredBy", "BoundBy", "RequisiteOf", "WantedBy") for unit in shown.get(key, "").split()}
    status, text, error = run(["systemctl", "show", "--property=Id,RequiresMountsFor", "*"])
    if status:
        raise ValueError(f"systemd cannot tell of its units: {error.strip()}")
    for block in text.split("\n\n"):
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if any(one == path or one.startswith(f"{path}/") for one in told.get("RequiresMountsFor", "").split()):
            asking.add(told["Id"])
    asking = {unit for unit in asking if unit.rpartition(".")[2] not in TARGETS}
    states = units(sorted(asking), run)
    return [unit for unit in sorted(asking) if states[unit].get("ActiveState") in ("active", "activating", "reloading")]


def facts(path: str, run: Run, ours: Iterable[int] = ()) -> dict:
    """All that is to be known of a mount point and the EBS volumes of the host; see the module ``ebs_mount_info``. ``ours``: processes
    that do not count as users."""
    path = os.path.normpath(path)
    mounted = mounts_in(read("/proc/self/mountinfo"))
    here = [one for one in mounted if one.target == path]
    entries = [one for one in entries_in(read("/etc/fstab")) if one.target == path]
    attached = volumes()
    told = {
        "path": path,
        "mounted": bool(here),
        "fstab": [{"spec": one.spec, "type": one.kind, "options": one.options, "uuid": _uuid_of(one.spec, run)} for one in entries],
        "nested": [one.target for one in mounted if one.target.startswith(path.rstrip("/") + "/")],
        "volumes": {name: _volume(device, mounted, run) for name, device in attached.items()},
        "units": users(path, run) if path != "/" else [],
    }
    if not here:
        return told
    mount = here[-1]
    block = block_of(mount.source)
    found = signature(mount.source, run) if block["kind"] != "none" else {}
    by_device = {device: name for name, device in attached.items()}
    told.update(
        device=mount.source,
        type=mount.kind,
        options=mount.options,
        root=mount.root,
        layers=len(here),
        uuid=found.get("UUID"),
        label=found.get("LABEL"),
        elsewhere=[one.target for one in mounted if one.device == mount.device and one.target != path],
        volume=by_device.get(block["disk"]),
        block=block,
        processes=processes(path, ours) if path != "/" else [],
        subvolumes=_subvolumes(path, run) if mount.kind == "btrfs" else 0,
        **usage(path),
    )
    return told


def _subvolumes(path: str, run: Run) -> int:
    status, text, error = run(["btrfs", "subvolume", "list", path])
    if status:
        raise ValueError(f"btrfs cannot list the subvolumes of {path}: {error.strip()}")
    status, devices, error = run(["btrfs", "filesystem", "show", path])
    return len(text.splitlines()) + max(0, len(re.findall(r"^\s+devid", devices, re.MULTILINE)) - 1)


def _volume(device: str, mounted: list[Mount], run: Run) -> dict:
    found = signature(device, run)
    with open(device, "rb") as file:
        size = file.seek(0, os.SEEK_END)
    places = [one.target for one in mounted if os.path.realpath(one.source) == device]
    kind = found.get("TYPE") or found.get("PTTYPE")
    return {"device": device, "size": size, "type": kind, "uuid": found.get("UUID"), "mounts": places}


def _uuid_of(spec: str, run: Run) -> str | None:
    """The UUID of the file system that an entry of fstab names."""
    if spec.startswith("UUID="):
        return spec[5:].strip('"').lower()
    if spec.startswith("/dev/"):
        return signature(spec, run).get("UUID") if os.path.exists(spec) else None
    status, text, _error = run(["findfs", spec]) if "=" in spec else (1, "", "")
    return signature(text.strip(), run).get("UUID") if status == 0 else None
