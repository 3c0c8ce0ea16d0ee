"""The stand-in for EBS volumes: what the sandbox attaches is there in the host, grows, and goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.spot.platform.tests.hosts.disks import by_id, loops

DISKS = Path(__file__).with_name("disks.py")


def bytes_of(host, path):
    return int(host.sh(f"blockdev --getsize64 {path}"))


def test_a_volume_is_in_the_host_while_it_is_attached(host, volumes):
    name = volumes.make(3)
    path = volumes.attach(name)
    assert path == by_id(name) and bytes_of(host, path) == 3 << 30
    host.sh(f"mkfs.ext4 -q {path}; mkdir -p /mnt/a; mount {path} /mnt/a; echo kept > /mnt/a/file; umount /mnt/a")
    loop = volumes.disks.loop(name)
    volumes.detach(name)
    assert host.run(f"test -e {path} || test -e {loop}", check=False).returncode != 0
    assert loop not in loops().values()
    path = volumes.attach(name)
    assert host.sh(f"mount {path} /mnt/a; cat /mnt/a/file; umount /mnt/a") == "kept"
    volumes.detach(name)


def test_it_grows_once_its_modification_is_optimizing(host, volumes, sandbox):
    sandbox.post("/sandbox/clock", speed=0)
    sandbox.post("/sandbox/volumes", modifying=60, optimizing=600)
    name = volumes.make(1)
    path = volumes.attach(name)
    host.sh(f"mkfs.xfs -q {path}; mkdir -p /mnt/b; mount {path} /mnt/b")
    volumes.ec2.modify_volume(VolumeId=name, Size=2)
    volumes.disks.follow()
    assert bytes_of(host, path) == 1 << 30
    sandbox.post("/sandbox/clock", advance=61)
    volumes.disks.follow()
    assert bytes_of(host, path) == 2 << 30
    host.sh("xfs_growfs /mnt/b")
    assert int(host.sh("stat -fc '%b*%S' /mnt/b | bc 2>/dev/null || df -B1 --output=size /mnt/b | tail -1")) > 1.9 * (1 << 30)
    host.sh("umount /mnt/b")
    volumes.detach(name)
    sandbox.post("/sandbox/clock", speed=1)


def test_a_volume_from_a_snapshot_holds_what_the_source_held_then(host, volumes):
    source = volumes.make(1)
    path = volumes.attach(source)
    host.sh(f"mkfs.ext4 -q {path}; mkdir -p /mnt/c /mnt/d; mount {path} /mnt/c; echo then > /mnt/c/file; sync")
    snapshot = volumes.ec2.create_snapshot(VolumeId=source)["SnapshotId"]
    volumes.disks.follow()
    host.sh("echo later > /mnt/c/file; umount /mnt/c")
    volumes.detach(source)
    copied = volumes.make(2, SnapshotId=snapshot)
    path = volumes.attach(copied)
    assert bytes_of(host, path) == 2 << 30
    assert host.sh(f"mount {path} /mnt/d; cat /mnt/d/file; umount /mnt/d") == "then"
    volumes.detach(copied)


def test_partitions_have_their_links(host, volumes):
    name = volumes.make(1)
    path = volumes.attach(name)
    host.sh(f"echo 'start=2048, type=83' | sfdisk -q --no-reread {path}")
    subprocess.run(["partx", "--update", volumes.disks.loop(name)], check=False, capture_output=True)
    volumes.disks.follow()
    assert host.sh(f"mkfs.ext4 -q {path}-part1; lsblk -no TYPE {path}-part1") == "part"
    volumes.detach(name)
    assert host.run(f"test -e {path}-part1", check=False).returncode != 0


def test_the_program_ends_with_all_its_loop_devices(host, sandbox, instance, volumes, tmp_path):
    name = volumes.make(1)
    command = [sys.executable, str(DISKS), "--endpoint", sandbox.url, "--folder", str(tmp_path), "--host", f"{instance}={host.name}"]
    hosts, volumes.disks.hosts = volumes.disks.hosts, {}  # so that only one of the two follows
    try:
        volumes.ec2.attach_volume(VolumeId=name, InstanceId=instance, Device="/dev/sdp")
        for kill in (signal.SIGKILL, signal.SIGTERM):
            with subprocess.Popen([*command, "--mib", "8"], stdout=subprocess.PIPE, text=True) as program:
                assert program.stdout and "following" in program.stdout.readline()
                for _try in range(100):
                    if host.run(f"test -e {by_id(name)}", check=False).returncode == 0:
                        break
                    time.sleep(0.1)
                assert bytes_of(host, by_id(name)) == 8 << 20
                program.send_signal(kill)
            left = [file for file in loops() if Path(file).parent == tmp_path]
            assert len(left) == (1 if kill == signal.SIGKILL else 0)
        assert not list(tmp_path.iterdir()) and not os.listdir(tmp_path)
    finally:
        volumes.disks.hosts = hosts
        volumes.ec2.detach_volume(VolumeId=name, InstanceId=instance)
