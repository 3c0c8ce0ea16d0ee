"""The playbook volume_grow on a systemd host, with loop devices for EBS volumes: what fills grows, once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.tests.hosts.test_volume_shrink import Project, Run

MOUNT = "/srv/data"
GIB = 1 << 30


class Data:
    """A file system of XFS on a volume of 1 GiB, and the inventory that names it. XFS grows in a container on any machine, for ext4
    it needs CAP_SYS_RESOURCE."""

    def __init__(self, project: Project, volumes: Any, volume: str) -> None:
        self.project, self.volumes, self.volume = project, volumes, volume
        self.host = project.host
        manifest = {
            "name": "shop",
            "owner": "owner@example.com",
            "regions": ["us-east-1"],
            "capacity": {"unit": "instances", "min": 1, "max": 2},
            "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
            "volumes": [{"mount": MOUNT, "free_percent": 40}],
        }
        file = project.folder / "hosts.yml"
        inventory = yaml.safe_load(file.read_text(encoding="utf-8"))
        inventory["all"]["hosts"][self.host.name] |= {"app_name": "shop", "app_region": "us-east-1"}
        inventory["all"]["hosts"]["shop@us-east-1"] = {"app_manifest": manifest, "app_region": "us-east-1", "app_environment": "test"}
        inventory["all"]["vars"]["spot_volume_growth"] = {"max_growth_percent": 1000}
        file.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        self.receipt = project.folder / "receipt"

    def grow(self, *named: str) -> Run:
        """Run the playbook as the rulebook does, or, with nothing named, as the scheduler does."""
        self.receipt.write_text("{}", encoding="utf-8")
        return self.project.play("volume_grow", **({"volumes": list(named), "receipt": str(self.receipt)} if named else {}))

    def fill(self, mib: int) -> None:
        self.host.sh(f"head -c {mib}M /dev/urandom > {MOUNT}/data; sync; sha256sum {MOUNT}/data > /root/sum")

    def intact(self) -> bool:
        return self.host.run("sha256sum --quiet --check /root/sum", check=False).returncode == 0

    def size(self) -> int:
        """GiB of the volume."""
        return int(self.volumes.get(self.volume)["Size"])

    def bytes(self) -> int:
        """Of the file system."""
        blocks, size = self.host.sh(f"stat --file-system --format='%b %S' {MOUNT}").split()
        return int(blocks) * int(size)

    def asked(self) -> int:
        """How often EBS was asked to modify a volume."""
        return int(self.project.sandbox.get("/sandbox/calls")["services"].get("ec2", {}).get("ModifyVolume", 0))


@pytest.fixture
def data(sandbox: Any, host: Any, volumes: Any, tmp_path: Path) -> Iterator[Data]:
    sandbox.post("/sandbox/faults", rules=[])
    sandbox.post("/sandbox/volumes", modifying=0.5, optimizing=1)
    sandbox.post("/sandbox/calls/reset")
    volume = volumes.make(1, {"spot.platform/app": "shop", "spot.platform/environment": "test"})
    device = volumes.attach(volume)
    host.sh(f"mkfs.xfs -q {device}; mkdir -p {MOUNT}; mount {device} {MOUNT}")
    yield Data(Project(sandbox, host, tmp_path), volumes, volume)
    host.run(f"umount --lazy {MOUNT}", check=False)
    volumes.detach(volume)
    volumes.ec2.delete_volume(VolumeId=volume)


def test_what_is_named_grows_once_and_its_data_stay(data: Data) -> None:
    data.fill(800)
    named = f"{data.host.instance}:{MOUNT}"
    run = data.grow(named)
    assert run.code == 0, run.output
    assert data.size() == 2 and data.bytes() > 1.9 * GIB and data.intact() and not data.receipt.exists()
    kinds = [one["kind"] for one in data.project.events()]
    assert kinds.count("volume.resized") == 1 and kinds.count("filesystem.grown") == 1
    again = data.grow()
    assert again.code == 0 and again.changed == 0 and data.asked() == 1, again.output


def test_the_scheduled_run_leaves_what_has_room_and_completes_what_a_reboot_interrupted(data: Data) -> None:
    data.fill(100)
    assert data.grow().code == 0 and data.asked() == 0
    data.volumes.ec2.modify_volume(VolumeId=data.volume, Size=3)  # and the host was gone before its file system grew
    data.project.sandbox.post("/sandbox/clock", advance=60)
    run = data.grow()
    assert run.code == 0 and data.bytes() > 2.9 * GIB and data.asked() == 1 and data.intact(), run.output


def test_what_ebs_does_not_let_grow_waits_and_grows_later(data: Data) -> None:
    for size in (2, 3, 4, 5):
        data.volumes.ec2.modify_volume(VolumeId=data.volume, Size=size)
        data.project.sandbox.post("/sandbox/clock", advance=3600)
    assert data.grow().code == 0 and data.bytes() > 4.9 * GIB
    data.host.sh(f"fallocate --length 4700M {MOUNT}/large")
    run = data.grow(f"{data.host.instance}:{MOUNT}")
    assert run.code == 0 and not data.receipt.exists() and data.size() == 5, run.output
    assert "cannot be modified before" in run.words
    data.project.sandbox.post("/sandbox/clock", advance=86400)
    later = data.grow()
    assert later.code == 0 and data.size() > 5 and data.bytes() > 5.9 * GIB, later.output


def test_what_cannot_be_done_is_said_and_the_receipt_stays(data: Data) -> None:
    data.fill(800)
    rule = {"kind": "denied", "service": "ec2", "operation": "ModifyVolume"}
    data.project.sandbox.post("/sandbox/faults", rules=[rule])
    denied = data.grow(f"{data.host.instance}:{MOUNT}")
    assert denied.code != 0 and "ec2:ModifyVolume" in denied.words and data.receipt.exists()
    data.project.sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    assert data.grow(f"{data.host.instance}:{MOUNT}").code == 0 and data.size() == 2
    data.project.sandbox.post("/sandbox/faults", rules=[])
    data.host.sh(f"umount {MOUNT}")
    gone = data.grow(f"{data.host.instance}:{MOUNT}")
    assert gone.code != 0 and MOUNT in gone.words and data.receipt.exists() and data.size() == 2
