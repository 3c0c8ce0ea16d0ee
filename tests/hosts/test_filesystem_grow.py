# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""filesystem_grow on real disks: loop devices in a systemd host."""

from __future__ import annotations

import json
from typing import Any

import pytest

MAKE = {"ext4": "mkfs.ext4 -q", "xfs": "mkfs.xfs -q", "btrfs": "mkfs.btrfs -q"}
MIB = 1024 * 1024


def make(host, device: str, kind: str, mount: str = "/mnt/data") -> str:
    """Make a file system and mount it."""
    host.sh(f"{MAKE[kind]} {device} 2>/dev/null; mkdir -p {mount}; mount {device} {mount}")
    return mount


def grow(host, *paths: str, **more: Any) -> dict[str, Any]:
    return result_of(start(host, *paths, **more))


def start(host, *paths: str, check: bool = False, tools: str = "", **more: Any) -> Any:
    return host.start_module("filesystem_grow", {"paths": list(paths), **more}, check, tools)


def result_of(running: Any) -> dict[str, Any]:
    done = running.wait()
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{done.stdout}\n{done.stderr}") from None


def only(result: dict[str, Any]) -> dict[str, Any]:
    """The only file system of a result."""
    (one,) = result["filesystems"]
    return one


def actions(result: dict[str, Any]) -> list[str]:
    return [step["action"] for one in result["filesystems"] for step in one["steps"]]


@pytest.mark.parametrize("kind", MAKE)
def test_a_whole_disk_grows_once(host, kind):
    disk = host.disk("320M")
    mount = make(host, disk.name, kind)
    assert not grow(host, mount)["changed"]
    disk.grow("512M")
    foretold = grow(host, mount, check=True)
    result = grow(host, mount)
    assert foretold["changed"] and result["changed"] and not result["errors"]
    assert only(foretold)["steps"] == only(result)["steps"] and actions(result) == ["filesystem"]
    after = only(result)["after"]
    assert (after["disk"], after["filesystem"], after["partition"]) == (512 * MIB, 512 * MIB, None)
    assert after["available"] > only(result)["before"]["available"] + 150 * MIB
    again = grow(host, mount)
    assert not again["changed"] and not again["errors"]
