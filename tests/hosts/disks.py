"""EBS volumes for systemd hosts in Docker: what the sandbox attaches to an instance is there in the instance's host.

    python tests/hosts/disks.py --endpoint http://127.0.0.1:5566 --folder build/disks --host i-0123=spot-host [--mib 1024]

Each volume that is attached to one of the instances is a sparse file on a loop device, which the host sees under the name that udev
gives it on a Nitro instance, ``/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123``, partitions as ``-part1``. It is gone after
DetachVolume, and grows once a modification is optimizing. A volume made from a snapshot begins with what its source held when the
snapshot was seen, at most a second after it was made. Root devices are the container's own and have no file.

A host is a container with the arguments `DOCKER_ARGUMENTS`. Loop devices end with this program; those that a killed one left in the
folder are detached when the next one starts. It needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCKER_ARGUMENTS = ("--device-cgroup-rule=b 7:* rwm", "--device-cgroup-rule=b 259:* rwm")
"""What a container needs beyond a systemd host's arguments, to use loop devices and their partitions."""
ROOTS = ("/dev/xvda", "/dev/sda1")
BY_ID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
MIB = 1 << 20


def run(*command: str) -> str:
    """What the command prints. Raises ``RuntimeError`` with what it says where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def loops() -> dict[str, str]:
    """The loop devices of the machine, by the path of their file."""
    listed = json.loads(run("losetup", "--json", "--list", "--output", "NAME,BACK-FILE") or '{"loopdevices": []}')["loopdevices"]
    return {one["back-file"].removesuffix(" (deleted)"): one["name"] for one in listed}


def by_id(volume: str) -> str:
    """The link by which a host finds a volume."""
    return BY_ID + volume.replace("-", "")


@dataclass
class Disk:
    """A volume's file. ``loop`` and ``host``: where it is attached, ``None`` where it is not."""

    file: Path
    loop: str | None = None
    host: str | None = None
    shown: tuple[str, ...] = ()
    """The nodes that the host has."""


class Disks:
    """Follows the volumes of a sandbox's regions.

    ``client``: makes an EC2 client for a region; ``hosts``: the container of each instance, which may change at any time; ``mib``: MiB
    of file for each GiB of volume. `start` follows until `stop`; `follow` brings everything up to date once.
    """

    def __init__(self, client: Any, folder: Path, hosts: Mapping[str, str], regions: Sequence[str] = ("us-east-1",), mib: int = 1024) -> None:
        self._clients = [client(region) for region in regions]
        self._folder = folder.resolve()
        self.hosts = hosts
        self._mib = mib
        self._disks: dict[str, Disk] = {}
        self._snapshots: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disks", daemon=True)
        self.problem: str | None = None
        """Why the last pass failed, ``None`` where it did not."""

    def start(self, period: float = 0.5) -> None:
        """Detach what a killed one left, and follow, every ``period`` seconds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file, loop in loops().items():
            if Path(file).parent == self._folder:
                run("losetup", "--detach", loop)
        for file in self._folder.glob("*.img"):
            file.unlink()
        self._period = period
        self.follow()
        self._thread.start()

    def stop(self) -> None:
        """Detach all, and remove the files."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for name in list(self._disks):
                self._forget(name)
            for file in self._folder.glob("*.img"):
                file.unlink()

    def __enter__(self) -> Disks:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def loop(self, volume: str) -> str | None:
        """The loop device of a volume that is attached."""
        disk = self._disks.get(volume)
        return disk.loop if disk else None

    def _run(self) -> None:
        while not self._ended.wait(self._period):
            try:
                self.follow()
                self.problem = None
            except Exception as error:  # pylint: disable=broad-except  # the sandbox or the engine may be away for a while
                if self.problem != str(error):
                    print(f"disks: {error}", file=sys.stderr, flush=True)
                self.problem = str(error)

    def follow(self) -> None:
        """Make files and devices what the sandbox says now."""
        with self._lock:
            found = {}
            for client in self._clients:
                pages = client.get_paginator("describe_snapshots").paginate(OwnerIds=["self"])
                for snapshot in (one for page in pages for one in page["Snapshots"]):
                    self._snapshot(snapshot["SnapshotId"], snapshot["VolumeId"])
                pages = client.get_paginator("describe_volumes").paginate()
                found |= {one["VolumeId"]: one for page in pages for one in page["Volumes"]}
            for name in [name for name in self._disks if name not in found]:
                self._forget(name)
            for name, volume in found.items():
                self._volume(name, volume)

    def _snapshot(self, name: str, volume: str) -> None:
        if name in self._snapshots:
            return
        self._snapshots.add(name)
        disk = self._disks.get(volume)
        if disk:
            with frozen(disk):
                copy(disk.file, self._folder / f"{name}.img")

    def _volume(self, name: str, volume: Mapping[str, Any]) -> None:
        attached = [one for one in volume.get("Attachments", []) if one["State"] == "attached"]
        if any(one["Device"] in ROOTS for one in attached):
            return
        disk = self._disks.get(name)
        if disk is None:
            disk = self._disks[name] = Disk(self._folder / f"{name}.img")
            source = self._folder / f"{volume.get('SnapshotId')}.img"
            if source.exists():
                copy(source, disk.file)
            disk.file.touch()
        size = volume["Size"] * self._mib * MIB
        if disk.file.stat().st_size < size:
            os.truncate(disk.file, size)
            if disk.loop:
                run("losetup", "--set-capacity", disk.loop)
        hosts = [self.hosts[one["InstanceId"]] for one in attached if one["InstanceId"] in self.hosts]
        host = hosts[0] if hosts else None
        if disk.host != host:
            self._detach(name, disk)
        if host:
            self._attach(name, disk, host)

    def _attach(self, name: str, disk: Disk, host: str) -> None:
        if disk.loop is None:
            disk.loop = run("losetup", "--find", "--show", "--partscan", str(disk.file)).strip()
            with contextlib.suppress(RuntimeError):  # there are none
                run("partx", "--update", disk.loop)
        disk.host = host
        nodes = {by_id(name): disk.loop}
        numbers = {disk.loop: Path("/sys/block", Path(disk.loop).name, "dev")}
        for part in Path("/sys/block", Path(disk.loop).name).glob(f"{Path(disk.loop).name}p*"):
            nodes[f"{by_id(name)}-part{part.name.rpartition('p')[2]}"] = f"/dev/{part.name}"
            numbers[f"/dev/{part.name}"] = part / "dev"
        shown = (*nodes, *nodes.values())
        if set(shown) == set(disk.shown):
            return
        script = ["mkdir -p /dev/disk/by-id"]
        for link, node in nodes.items():
            major, _colon, minor = numbers[node].read_text().strip().partition(":")
            script += [f"rm -f {node}", f"mknod -m 660 {node} b {major} {minor}", f"ln -sfn ../../{Path(node).name} {link}"]
        gone = set(disk.shown) - set(shown)
        run("docker", "exec", host, "sh", "-ec", "\n".join([*script, *(f"rm -f {one}" for one in gone)]))
        disk.shown = shown

    def _detach(self, name: str, disk: Disk) -> None:
        """Without its device; where the host has it mounted still, the kernel ends it when that is over."""
        if disk.host and disk.shown:
            with contextlib.suppress(RuntimeError):  # the container may be gone
                run("docker", "exec", disk.host, "rm", "-f", *disk.shown)
        if disk.loop:
            with contextlib.suppress(RuntimeError):  # the loop device may have ended with the last mount
                run("losetup", "--detach", disk.loop)
        disk.loop, disk.host, disk.shown = None, None, ()

    def _forget(self, name: str) -> None:
        disk = self._disks.pop(name)
        self._detach(name, disk)
        disk.file.unlink(missing_ok=True)


@contextlib.contextmanager
def frozen(disk: Disk) -> Iterator[None]:
    """The file systems that the host has on the disk stand still, so that a copy of the file is what a snapshot would be."""
    mounts = []
    if disk.host and disk.loop:
        devices = [one for one in disk.shown if one.startswith(disk.loop)]
        with contextlib.suppress(RuntimeError):  # there are none
            lines = [run("docker", "exec", disk.host, "findmnt", "-rno", "TARGET", "-f", "-S", one) for one in devices]
            mounts = [line for text in lines for line in text.splitlines()]
    thawed = []
    try:
        for mount in mounts:
            with contextlib.suppress(RuntimeError):  # it is read-only, or frozen
                run("docker", "exec", str(disk.host), "fsfreeze", "--freeze", mount)
                thawed.append(mount)
        yield
    finally:
        for mount in thawed:
            run("docker", "exec", str(disk.host), "fsfreeze", "--unfreeze", mount)


def copy(source: Path, target: Path) -> None:
    """Copy a file with its holes, at once where the file system can."""
    run("cp", "--reflink=auto", "--sparse=always", str(source), str(target))


def main() -> None:
    import boto3

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="the sandbox's URL")
    parser.add_argument("--folder", required=True, type=Path, help="where the files are")
    parser.add_argument("--host", action="append", required=True, metavar="INSTANCE=CONTAINER", help="an instance and its container")
    parser.add_argument("--region", action="append", help="a region to follow (us-east-1)")
    parser.add_argument("--mib", type=int, default=1024, help="MiB of file for each GiB of volume (1024)")
    given = parser.parse_args()
    hosts = dict(one.split("=", 1) for one in given.host)
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "not-a-secret"}
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_signal: ended.set())

    def client(region: str) -> Any:
        return boto3.client("ec2", region_name=region, endpoint_url=given.endpoint, **keys)

    with Disks(client, given.folder, hosts, given.region or ["us-east-1"], given.mib):
        print(f"disks: following {given.endpoint} for {', '.join(given.host)}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
