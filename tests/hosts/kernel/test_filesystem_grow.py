# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""filesystem_grow on real disks, which grow while they are written to; interrupted, in the way of each other, and where it must refuse."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine import filesystems as engine

MAKE = {"ext4": "mkfs.ext4 -q", "xfs": "mkfs.xfs -q", "btrfs": "mkfs.btrfs -q"}
MIB = 1024 * 1024
LOCK = "/run/spot-filesystem-grow.lock"


def make(host, device: str, kind: str, mount: str = "/mnt/data") -> str:
    """Make a file system and mount it."""
    host.sh(f"{MAKE[kind]} {device} 2>/dev/null; mkdir -p {mount}; mount {device} {mount}")
    return mount


def start(host, *paths: str, check: bool = False, tools: str = "", **more: Any) -> Any:
    return host.start_module("filesystem_grow", {"paths": list(paths), **more}, check, tools)


def result_of(running: Any) -> dict[str, Any]:
    done = running.wait()
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{done.stdout}\n{done.stderr}") from None


def grow(host, *paths: str, **more: Any) -> dict[str, Any]:
    return result_of(start(host, *paths, **more))


def only(result: dict[str, Any]) -> dict[str, Any]:
    """The only file system of a result."""
    (one,) = result["filesystems"]
    return one


def actions(result: dict[str, Any]) -> list[str]:
    return [step["action"] for one in result["filesystems"] for step in one["steps"]]


def grown(result: dict[str, Any]) -> bool:
    """Whether all is well and something was done."""
    assert not result.get("failed"), result["msg"]
    return result["changed"]


def wrapped(host, tool: str, script: str) -> str:
    """A folder with a tool that runs ``script`` after the real one."""
    path, text = f"/run/tools/{tool}", f"#!/bin/bash\n/usr/bin/{tool} $@; {script}\n"
    host.sh(f"mkdir -p /run/tools; rm -f /run/tools/*; echo -n {shlex.quote(text)} >{path}; chmod +x {path}")
    return "/run/tools"


@contextlib.contextmanager
def written(host, *mounts: str) -> Iterator[None]:
    """Write all the time; what was there before, and what came meanwhile, is intact afterwards, also on the disks themselves."""
    host.sh("rm -rf /run/stop /run/sums; mkdir /run/sums")
    sums = [f"/run/sums/{number}" for number, _mount in enumerate(mounts)]
    writers = [host.start(["python3", host.writer, mount, "/run/stop", one]) for mount, one in zip(mounts, sums)]
    host.sh(f"for sums in {' '.join(sums)}; do until [ -s $sums ]; do sleep 0.2; done; done; sync; cat {' '.join(sums)} >/run/before")
    try:
        yield
        assert not any(writer.over for writer in writers), "a writer has failed"
    finally:
        host.sh("touch /run/stop")
    for done in [writer.wait() for writer in writers]:
        assert done.returncode == 0, done.stderr
    before, after = host.sh("cat /run/before | wc -l; cat /run/sums/* | wc -l").split()
    assert len(mounts) <= int(before) < int(after)
    host.sh("sync; echo 3 >/proc/sys/vm/drop_caches; cat /run/sums/* | sha256sum --quiet --check")


def test_whole_disks_grow_once(host):
    disks = [host.disk("320M") for _kind in MAKE]
    mounts = [make(host, disk.name, kind, f"/mnt/{kind}") for disk, kind in zip(disks, MAKE)]
    for disk in disks:
        disk.grow("512M")
    foretold = grow(host, *mounts, check=True)
    with written(host, *mounts):
        result = grow(host, *mounts)
    assert grown(foretold) and grown(result) and actions(result) == ["filesystem"] * 3
    for told, one, disk in zip(foretold["filesystems"], result["filesystems"], disks):
        assert told["steps"] == one["steps"] and (one["device"], one["disk"], one["volume_id"]) == (disk.name, disk.name, None)
        assert (one["after"]["disk"], one["after"]["filesystem"], one["after"]["partition"]) == (512 * MIB, 512 * MIB, None)
        assert one["after"]["available"] > one["before"]["available"] + 150 * MIB
    assert not grown(grow(host, *mounts))


def test_the_last_partitions_grow_with_their_file_systems(host):
    disks = [host.disk("400M") for _label in range(2)]
    parts = [disk.partition(label, "size=20M", "size=350M")[1] for disk, label in zip(disks, ("gpt", "dos"))]
    mounts = [make(host, part, kind, f"/mnt/{kind}") for part, kind in zip(parts, ("ext4", "xfs"))]
    for disk in disks:
        disk.grow("600M")
    assert "backup GPT table is not on the end" in host.sh(f"sfdisk --verify {disks[0].name} 2>&1", check=False)
    foretold = grow(host, *mounts, check=True)
    with written(host, *mounts):
        result = grow(host, *mounts)
    assert grown(foretold) and grown(result) and actions(result) == ["partition", "filesystem"] * 2
    for told, one, disk, part in zip(foretold["filesystems"], result["filesystems"], disks, parts):
        assert told["steps"] == one["steps"] and told["after"] == {**one["after"], "used": None, "available": None}
        after = one["after"]
        assert after["partition"] == int(host.sh(f"blockdev --getsize64 {part}")) == (600 - 21) * MIB - 33 * 512
        assert 0 <= after["partition"] - after["filesystem"] < 4096
        assert "No errors detected" in host.sh(f"sfdisk --verify {disk.name} 2>&1")
    assert not grown(grow(host, *mounts))


def test_what_is_full_grows_too(host):
    mounts = []
    for kind, size in (("ext4", "100M"), ("xfs", "320M"), ("btrfs", "260M")):
        disk = host.disk(size)
        mounts.append(make(host, disk.name, kind, f"/mnt/{kind}"))
        host.sh(f"dd if=/dev/zero of={mounts[-1]}/fill bs=1M status=none 2>/dev/null || sync")
        disk.grow("480M")
    result = grow(host, *mounts)
    assert grown(result) and all(one["before"]["available"] < MIB for one in result["filesystems"])
    for mount in mounts:
        host.sh(f"head -c 100M /dev/zero >{mount}/more; sync")


def test_two_runs_at_once_wait_for_each_other(host):
    disk = host.disk("100M")
    (data,) = disk.partition("gpt", "size=50M")
    mount = make(host, data, "ext4")
    disk.grow("200M")
    runs = [start(host, mount) for _run in range(2)]
    results = [result_of(run) for run in runs]
    assert sorted(grown(result) for result in results) == [False, True]
    assert sorted(map(actions, results)) == [[], ["partition", "filesystem"]]
    assert {only(result)["after"]["filesystem"] for result in results} == {only(results[0])["after"]["filesystem"]}
    other = host.start(["flock", LOCK, "sleep", "3"])
    host.sh(f"until ! flock --nonblock {LOCK} true; do sleep 0.1; done")
    refused = grow(host, mount, wait_timeout=0)
    assert refused["failed"] and "another run has held" in refused["msg"]
    other.wait()


def test_what_was_killed_half_way_is_completed(host):
    disk = host.disk("100M")
    (data,) = disk.partition("gpt", "size=50M")
    mount = make(host, data, "ext4")
    disk.grow("200M")
    run = start(host, mount, tools=wrapped(host, "growpart", "touch /run/grown; kill -KILL $PPID"))
    host.sh("until [ -e /run/grown ]; do sleep 0.1; done; rm /run/grown")
    assert run.wait().returncode != 0
    completed = grow(host, mount)
    assert grown(completed) and actions(completed) == ["filesystem"]
    disk.grow("300M")
    host.sh(f"echo ', +' | sfdisk -q --force --no-reread --no-tell-kernel -N 1 {disk.name}")
    completed = grow(host, mount)
    assert grown(completed) and actions(completed) == ["reread", "filesystem"]
    assert only(completed)["after"]["filesystem"] > 295 * MIB
    assert not grown(grow(host, mount))


def test_what_lies_behind_a_partition_stays_and_is_named(host):
    disk = host.disk("200M")
    data, other = disk.partition("dos", "start=2048, size=50M", "start=204800, size=50M")
    mount = make(host, data, "ext4")
    host.sh(f"mkfs.ext4 -q {other}; e2fsck -fn {other}")
    disk.grow("300M")
    result = grow(host, mount)
    assert result["changed"] and result["failed"] and f"remove or move {other}" in result["msg"]
    assert actions(result) == ["partition", "filesystem"] and only(result)["after"]["partition"] == (100 - 1) * MIB
    host.sh(f"e2fsck -fn {other}")
    again = grow(host, mount, check=True)
    assert not again["changed"] and again["failed"] and only(again)["outcome"] == "refused"
    host.sh(f"sfdisk -q --force --no-reread --delete {disk.name} 2; partx --delete --nr 2 {disk.name}")
    assert grown(grow(host, mount)) and not grown(grow(host, mount, check=True))


def test_a_logical_partition_is_left_alone(host):
    disk = host.disk("200M")
    data = disk.partition("dos", "size=150M, type=5", f"{disk.name}p5 : size=100M, type=83")[-1]
    mount = make(host, data, "ext4")
    disk.grow("300M")
    result = grow(host, mount)
    assert result["failed"] and not result["changed"] and "resizepart" in result["msg"]


def test_a_mount_that_vanishes_half_way_is_told_and_completed_later(host):
    disk = host.disk("100M")
    (data,) = disk.partition("gpt", "size=50M")
    mount = make(host, data, "ext4")
    disk.grow("200M")
    result = grow(host, mount, tools=wrapped(host, "growpart", f"umount {mount}"))
    assert result["failed"] and f"{mount} vanished meanwhile" in result["msg"] and only(result)["outcome"] == "failed"
    host.sh(f"mount {data} {mount}")
    completed = grow(host, mount)
    assert grown(completed) and actions(completed) == ["filesystem"]


def test_what_cannot_grow_is_refused_each_with_its_way_out(host):
    disk, locked = host.disk("100M"), host.disk("100M")
    mount = make(host, disk.name, "ext4")
    make(host, locked.name, "ext4", "/mnt/locked")
    host.sh("mkdir -p /mnt/memory /mnt/plain; mount -t tmpfs none /mnt/memory; mount -o remount,ro /mnt/locked")
    disk.grow("150M")
    locked.grow("150M")
    result = grow(host, "/mnt/none", "/mnt/plain", "/mnt/memory", "/proc", "/mnt/locked", mount)
    said = {error["mount"]: error["message"] for error in result["errors"]}
    assert said.pop("/mnt/none") == "there is no /mnt/none"
    assert said.pop("/mnt/plain") == "nothing is mounted on /mnt/plain: it lies on /"
    assert "tmpfs, which is on no disk" in said.pop("/mnt/memory") and "proc, which is on no disk" in said.pop("/proc")
    assert "mount -o remount,rw /mnt/locked" in said.pop("/mnt/locked") and not said
    assert [one["outcome"] for one in result["filesystems"]] == ["refused"] * 5 + ["changed"]


def test_bind_mounts_and_subvolumes_lead_to_their_file_systems(host):
    disk, other = host.disk("100M"), host.disk("260M")
    mount, tree = make(host, disk.name, "ext4"), make(host, other.name, "btrfs", "/mnt/tree")
    host.sh(f"mkdir {mount}/in /mnt/bound; mount --bind {mount}/in /mnt/bound; mount -o remount,bind,ro /mnt/bound")
    host.sh(f"btrfs subvolume create {tree}/sub; mkdir /mnt/sub; mount -o subvol=sub {other.name} /mnt/sub")
    disk.grow("150M")
    other.grow("300M")
    result = grow(host, "/mnt/bound", "/mnt/sub")
    assert grown(result) and [one["after"]["filesystem"] // MIB for one in result["filesystems"]] == [150, 300]
    assert not grown(grow(host, mount, tree, check=True))


def test_of_a_btrfs_on_several_disks_each_that_grew_is_used(host):
    disks = [host.disk("200M") for _disk in range(2)]
    host.sh(f"mkfs.btrfs -q -d raid0 {disks[0].name} {disks[1].name} 2>/dev/null; mkdir -p /mnt/data; mount {disks[0].name} /mnt/data")
    disks[1].grow("300M")
    result = grow(host, "/mnt/data")
    assert grown(result) and only(result)["steps"][0]["command"] == ["btrfs", "filesystem", "resize", "2:max", "/mnt/data"]
    assert [one["disk"] for one in only(result)["disks"]] == [disk.name for disk in disks]
    assert not grown(grow(host, "/mnt/data", check=True))


def test_a_missing_tool_is_named_with_its_package_before_anything_is_done(host):
    disk = host.disk("100M")
    (data,) = disk.partition("gpt", "size=50M")
    mount = make(host, data, "ext4")
    disk.grow("200M")
    host.sh("mount --bind /dev/null /usr/sbin/resize2fs")
    try:
        result = grow(host, mount)
    finally:
        host.sh("umount /usr/sbin/resize2fs")
    assert result["failed"] and not result["changed"]
    assert "resize2fs is not installed: install e2fsprogs (Debian, Ubuntu) or e2fsprogs (RPM)" in result["msg"]


def test_it_waits_for_the_size_that_the_disk_is_to_have(host):
    disk = host.disk("100M")
    mount = make(host, disk.name, "ext4")
    foretold = grow(host, mount, size="200M", check=True)
    assert grown(foretold) and actions(foretold) == ["rescan", "filesystem"]
    assert only(foretold)["after"]["filesystem"] == 200 * MIB and only(foretold)["before"]["disk"] == 100 * MIB
    late = grow(host, mount, size="200M", wait_timeout=1)
    assert late["failed"] and not late["changed"] and f"has {100 * MIB} bytes after 1 seconds, {200 * MIB} are waited for" in late["msg"]
    run = start(host, mount, size="200M", wait_timeout=30)
    disk.resize("200M")
    result = result_of(run)
    assert grown(result) and only(result)["steps"] == only(foretold)["steps"]
    assert not grown(grow(host, mount, size="200M"))


def test_logical_volumes_grow_on_all_their_disks(host):
    first, second = host.disk("200M"), host.disk("200M")
    _boot, data = first.partition("gpt", "size=10M", "size=150M")
    host.sh(f"vgcreate -qq shop {data} {second.name}; lvcreate -qq -y -l 50%VG -n uploads shop")
    mount = make(host, "/dev/shop/uploads", "ext4")
    first.grow("300M")
    second.grow("400M")
    foretold = grow(host, mount, volume_group_percent=75, check=True)
    with written(host, mount):
        result = grow(host, mount, volume_group_percent=75)
    assert grown(result) and set(actions(foretold)) == {"partition", "physical_volume", "logical_volume", "filesystem"}
    after = only(result)["after"]
    assert after == {**only(foretold)["after"], **{key: after[key] for key in ("used", "available")}} and after["disk"] == 700 * MIB
    total = int(host.sh("vgs --noheadings --units b --nosuffix -o vg_size shop"))
    assert total >= 680 * MIB and total * 0.75 - 8 * MIB < after["filesystem"] <= total * 0.75
    again = grow(host, mount, volume_group_percent=75)
    assert not grown(again) and "75 % of the volume group" in only(again)["reasons"][0]


def test_thin_volumes_are_refused_where_their_disk_grew(host):
    disk = host.disk("200M")
    host.sh(f"vgcreate -qq thin {disk.name}; lvcreate -qq -y -L 100M -T thin/pool; lvcreate -qq -y -V 100M -T thin/pool -n data")
    mount = make(host, "/dev/thin/data", "ext4")
    assert not grown(grow(host, mount))
    disk.grow("300M")
    result = grow(host, mount)
    assert result["failed"] and not result["changed"] and "thin/data is thin" in result["msg"]


def test_what_is_encrypted_grows_with_its_key(host):
    disk = host.disk("200M")
    (data,) = disk.partition("gpt", "size=100M")
    host.sh(f"echo -n secret >/run/key; cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {data} /run/key")
    host.sh(f"cryptsetup open --key-file /run/key {data} safe")
    mount = make(host, "/dev/mapper/safe", "ext4")
    disk.grow("300M")
    refused = grow(host, mount)
    assert refused["failed"] and actions(refused) == ["partition"] and refused["msg"].endswith("give key_file")
    result = grow(host, mount, key_file="/run/key")
    assert grown(result) and actions(result) == ["crypt", "filesystem"]
    assert only(result)["after"]["filesystem"] > 270 * MIB
    assert not grown(grow(host, mount))


def test_what_is_left_over_is_no_growth(host):
    """What the engine says a file system can have is what its own tool makes of it, at any size of the disk."""
    disk = host.disk("130M")
    make(host, disk.name, "ext4")
    dump = host.sh(f"dumpe2fs -h {disk.name} 2>/dev/null")
    told = {name: int(value) for name, value in re.findall(r"^([A-Z][^:]+):\s+(\d+)\s*$", dump, re.MULTILINE)}
    geometry = engine.Ext(
        told["Block size"], told["First block"], told["Blocks per group"], told["Inode blocks per group"], told["Reserved GDT blocks"],
        told["Group descriptor size"], ("sparse_super", "64bit"),
    )  # fmt: skip
    sizes = [130 * MIB + extra * 1024 for extra in (1, 3, 4, 7, 700, 2047, 5000, 6140, 6151, 8000, 14341, 17000, 22222, 30001)]
    script = f"for size in {' '.join(map(str, sizes))}; do truncate -s $size {disk.file}; losetup --set-capacity {disk.name}; "
    script += f"resize2fs {disk.name} >/dev/null 2>&1; dumpe2fs -h {disk.name} 2>/dev/null | sed -n 's/^Block count: *//p'; done"
    found = [int(blocks) * geometry.block for blocks in host.sh(script).split()]
    assert found == [engine.capacity("ext4", geometry, size) for size in sizes]


def test_ansible_sends_all_that_the_host_needs(host):
    disk = host.disk("100M")
    mount = make(host, disk.name, "ext4")
    assert "No module named 'boto3'" in host.sh("python3 -c 'import boto3' 2>&1", check=False)
    for options, told in ((["--check", "--diff"], "CHANGED"), ([], "CHANGED"), ([], "SUCCESS")):
        if not options:
            disk.resize("200M")
        done = host.ansible("spot.platform.filesystem_grow", {"paths": [f"{mount}/"], "size": "200M"}, *options)
        assert done.returncode == 0 and f"host | {told} =>" in done.stdout, done.stdout + done.stderr
        assert not options or f'+        "filesystem": {200 * MIB},' in done.stdout
    assert f'"filesystem": {200 * MIB},' in done.stdout
