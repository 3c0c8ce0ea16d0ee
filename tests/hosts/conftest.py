"""Fixtures of the tests on a systemd host in Docker: the host, and a sandbox whose volumes it sees.

``tests/hosts/with_engine.sh python -m pytest tests/hosts`` gives them engine and image; without these the tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.tests.hosts.disks import DOCKER_ARGUMENTS, Disks
from ansible_collections.spot.platform.tests.integration.conftest import Sandbox

ZONE = "us-east-1a"


class Host:
    """A systemd host in a container, for an ``instance`` of the sandbox."""

    def __init__(self, name: str, instance: str) -> None:
        self.name, self.instance = name, instance
        arguments = ["--cgroupns=host", "--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined"]
        arguments += ["--security-opt=apparmor=unconfined", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"]
        arguments += ["--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", *DOCKER_ARGUMENTS]
        image = os.environ["SPOT_HOST_IMAGE"]
        subprocess.run(["docker", "run", "--detach", f"--name={name}", *arguments, image, "/sbin/init"], check=True, stdout=subprocess.DEVNULL)
        for _second in range(60):
            if self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.5)
        self.remove()
        raise RuntimeError(f"{name} did not boot within 30 seconds")

    def run(self, script: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a script of the shell. ``AssertionError`` with what it says where it fails and ``check`` is set."""
        command = ["docker", "exec", "-i", self.name, "bash", "-s"]
        done = subprocess.run(command, check=False, input=script, capture_output=True, encoding="utf-8", errors="surrogateescape")
        assert done.returncode == 0 or not check, f"{script}\n{done.stdout}{done.stderr}"
        return done

    def sh(self, script: str) -> str:
        """What a script of the shell prints."""
        return self.run("set -euo pipefail\n" + script).stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        subprocess.run(["docker", "exec", "-i", self.name, "sh", "-c", 'cat > "$0"', path], check=True, input=text, text=True)

    def remove(self) -> None:
        """End it."""
        subprocess.run(["docker", "rm", "--force", self.name], check=True, stdout=subprocess.DEVNULL)


class Volumes:
    """EBS volumes of the sandbox in the zone of the instance."""

    def __init__(self, sandbox: Sandbox, instance: str, disks: Disks) -> None:
        self.ec2, self._instance, self.disks = sandbox.client("ec2"), instance, disks

    def make(self, size: int, tags: dict[str, str] | None = None, **options: Any) -> str:
        """A volume that is attached to nothing."""
        listed = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        named = {"TagSpecifications": [{"ResourceType": "volume", "Tags": listed}]} if listed else {}
        options = {"VolumeType": "gp3", **options, **named}
        return self.ec2.create_volume(AvailabilityZone=ZONE, Size=size, **options)["VolumeId"]

    def attach(self, volume: str, device: str = "/dev/sdf") -> str:
        """Attach it to the instance, and wait until the host has it: its path there."""
        self.ec2.attach_volume(VolumeId=volume, InstanceId=self._instance, Device=device)
        self.disks.follow()
        return "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + volume.replace("-", "")

    def detach(self, volume: str) -> None:
        """Detach it."""
        self.ec2.detach_volume(VolumeId=volume, InstanceId=self._instance)
        self.disks.follow()

    def get(self, volume: str) -> dict[str, Any]:
        """It as EC2 describes it, with its tags as a dictionary."""
        (found,) = self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        return {**found, "Tags": {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}}


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where there is no Docker engine."""
    if os.environ.get("SPOT_HOSTS") or not os.environ.get("SPOT_HOST_IMAGE"):
        pytest.skip(os.environ.get("SPOT_HOSTS") or "there is no engine: run by tests/hosts/with_engine.sh")
    if os.geteuid() or not os.path.exists("/dev/loop-control"):
        pytest.skip("loop devices need root and a kernel that has them")


@pytest.fixture(scope="module")
def sandbox(engine: None) -> Iterator[Sandbox]:
    """A sandbox of the file's own."""
    running = Sandbox("--seed", "1", "--regions", "us-east-1")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def instance(sandbox: Sandbox) -> str:
    """An instance of the sandbox."""
    ec2 = sandbox.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="m5.large", Placement={"AvailabilityZone": ZONE})
    return made["Instances"][0]["InstanceId"]


@pytest.fixture(scope="module")
def disks(sandbox: Sandbox, instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """The volumes of the sandbox, followed for the hosts in ``disks.hosts``."""
    folder: Path = tmp_path_factory.mktemp("disks")
    with Disks(lambda region: sandbox.client("ec2", region), folder, {}) as following:
        yield following


@pytest.fixture(scope="module")
def make_host(disks: Disks) -> Iterator[Callable[[str], Host]]:
    """``make_host(instance)``: a host that sees what is attached to the instance."""
    made: list[Host] = []

    def make(instance: str) -> Host:
        made.append(Host(f"spot-disks-{os.getpid()}-{len(made)}", instance))
        disks.hosts[instance] = made[-1].name
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture(scope="module")
def host(make_host: Callable[[str], Host], instance: str) -> Host:
    """The host of ``instance``."""
    return make_host(instance)


@pytest.fixture(scope="module")
def volumes(sandbox: Sandbox, instance: str, disks: Disks) -> Volumes:
    """Volumes in the zone of ``instance``."""
    return Volumes(sandbox, instance, disks)
