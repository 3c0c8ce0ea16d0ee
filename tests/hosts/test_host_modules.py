"""The modules that act on a host, each on its own: service_pause, mount_switch and ebs_mount_info."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = "/srv/mods"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"
TIMER = "[Timer]\nOnActiveSec=1d\n"


@pytest.fixture
def module(host: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``module(name, **arguments)``: what it returns, run on the host by ``ansible``."""

    def run(name: str, /, check: bool = False, **arguments: Any) -> dict[str, Any]:
        command = [str(Path(sys.executable).parent / "ansible"), "-i", f"{host.name},", "-c", "community.docker.docker", "all", "-m", f"spot.platform.{name}"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        environment |= {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_NOCOLOR": "1"}
        options = ["-a", json.dumps(arguments), "-e", "ansible_python_interpreter=/usr/bin/python3", *(["--check"] if check else [])]
        done = subprocess.run([*command, *options], check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert " => {" in done.stdout, done.stdout + done.stderr
        outcome, _arrow, result = done.stdout.partition(" => ")
        return {"failed": "FAILED" in outcome, **json.loads(result)}

    return run


def active(host, unit):
    return host.run(f"systemctl is-active -q {unit}", check=False).returncode == 0


def test_a_pause_outlives_who_began_it(host, module):
    for unit, text in (("one.service", SERVICE), ("two.service", SERVICE), ("one.timer", TIMER), ("off.service", SERVICE)):
        host.write(f"/etc/systemd/system/{unit}", text)
    host.sh("systemctl daemon-reload; systemctl start one.service two.service one.timer")
    unknown = module("service_pause", name="a", state="paused", units=["one.service", "gone.service"])
    assert unknown["failed"] and unknown["msg"] == "there is no unit gone.service" and active(host, "one.service")
    planned = module("service_pause", check=True, name="a", state="paused", units=["one.service"])
    assert planned["changed"] and active(host, "one.service")
    begun = module("service_pause", name="a", state="paused", units=["one.service", "off.service"])
    assert begun["changed"] and begun["units"] == ["one.timer", "one.service"] and begun["seconds"] is None
    assert not active(host, "one.service") and not active(host, "one.timer") and active(host, "two.service")
    assert not module("service_pause", name="a", state="paused", units=["one.service"])["changed"]
    added = module("service_pause", name="a", state="paused", units=["one.service", "two.service"])
    assert added["changed"] and added["units"] == ["one.timer", "one.service", "two.service"]
    ended = module("service_pause", name="a", state="resumed")
    assert ended["changed"] and ended["seconds"] > 0 and all(active(host, unit) for unit in ("one.service", "one.timer", "two.service"))
    assert not active(host, "off.service"), "what did not run is not started"
    again = module("service_pause", name="a", state="resumed")
    assert not again["changed"] and again["seconds"] == ended["seconds"]
    assert module("service_pause", name="a", state="absent")["changed"]
    none = module("service_pause", name="a", state="resumed")
    assert (none["changed"], none["units"], none["seconds"]) == (False, [], None)
    assert module("service_pause", name="a/b", state="absent")["failed"]
    host.sh("systemctl stop one.timer one.service two.service")


def test_a_mount_is_switched_and_seen(host, volumes, module):
    names = [volumes.make(1) for _number in range(2)]
    devices = [volumes.attach(name, f"/dev/sd{letter}") for name, letter in zip(names, "fg")]
    for number, device in enumerate(devices):
        host.sh(f"mkfs.ext4 -q -L disk{number} {device}; mkdir -p {PATH}; mount {device} {PATH}; echo {number} > {PATH}/number; umount {PATH}")
    uuids = [host.sh(f"blkid -p -s UUID -o value $(readlink -f {device})") for device in devices]
    host.write("/etc/fstab", f"LABEL=disk0 {PATH} ext4 noatime 0 2\n")
    assert module("mount_switch", path="/srv/none", uuid=uuids[0])["msg"].startswith("fstab has no entry for /srv/none")
    assert "blkid" in module("mount_switch", path=PATH, uuid="00000000-0000-0000-0000-000000000000")["msg"]
    host.sh(f"mount {PATH}; (exec 3<{PATH}/number; exec sleep 1000) >/dev/null 2>&1 &")
    seen = module("ebs_mount_info", path=PATH, units=["none.service"])
    mount = seen["mount"]
    assert (mount["volume"], mount["type"], mount["uuid"], mount["label"]) == (names[0], "ext4", uuids[0], "disk0")
    assert mount["block"] == {"kind": "disk", "disk": mount["device"], "partitions": 0} and "noatime" in mount["options"]
    assert mount["fstab"] == [{"spec": "LABEL=disk0", "type": "ext4", "options": "noatime", "uuid": uuids[0]}]
    assert [one["command"] for one in mount["processes"]] == ["sleep 1000"] and mount["processes"][0]["file"] == f"{PATH}/number"
    assert mount["volumes"][names[1]]["uuid"] == uuids[1] and mount["volumes"][names[1]]["mounts"] == []
    assert seen["units"]["none.service"]["LoadState"] == "not-found" and "rsync" in seen["tools"]
    busy = module("mount_switch", path=PATH, uuid=uuids[1])
    assert busy["failed"] and "umount" in busy["msg"] and host.sh("cat /etc/fstab") == f"LABEL=disk0 {PATH} ext4 noatime 0 2"
    host.sh(f"kill {mount['processes'][0]['pid']}; sleep 0.2")
    planned = module("mount_switch", check=True, path=PATH, uuid=uuids[1])
    assert planned["changed"] and host.sh(f"cat {PATH}/number") == "0"
    done = module("mount_switch", path=PATH, uuid=uuids[1])
    assert done["changed"] and done["before"] == "LABEL=disk0" and host.sh(f"cat {PATH}/number") == "1"
    assert host.sh("cat /etc/fstab") == f"UUID={uuids[1]} {PATH} ext4 noatime 0 2"
    assert not module("mount_switch", path=PATH, uuid=uuids[1])["changed"]
    host.sh(f"umount {PATH}; : > /etc/fstab")
    for name in names:
        volumes.detach(name)
