"""The part of the user data that makes and mounts data volumes, on a systemd host with loop devices for EBS volumes: it is taken from
the template as an instance would get it, and cloud-init's part - to run ``bootcmd``, write files, run ``runcmd`` - is done by the test.

Disks are found by the names of Xen here, ``/dev/xvdf``; that of an NVMe disk is read from what one said of itself, in a test of the script.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "app"
MANIFEST = {
    "name": "keeper",
    "owner": "owner@example.com",
    "regions": ["us-east-1"],
    "capacity": {"unit": "instances", "min": 1, "max": 2},
    "runtime": {"kind": "systemd", "command": "/bin/sh -c 'echo started >> /srv/data/log && exec sleep infinity'"},
    "volumes": [{"mount": "/srv/data/more", "size": 1, "filesystem": "xfs"}, {"mount": "/srv/data", "size": 1}],
}
STAYS = {"mount": "/srv/data", "affinity": {"device": "/dev/sdf"}}
TAGS = {"spot.platform/app": "keeper", "spot.platform/environment": "test"}


def playbook(folder: Path, task: dict[str, Any], env: dict[str, str] | None = None, **play: Any) -> None:
    """Run a task on localhost."""
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task], **play}]), encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "AWS_"))}
    ours = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false", **(env or {})}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(folder / "play.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env={**clean, **ours})
    assert done.returncode == 0, done.stdout + done.stderr


def user_data(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """The user data of an instance of the manifest's application, as the role makes it."""
    for name in ("templates", "files"):
        (folder / name).symlink_to(ROLE / name)
    task = {"ansible.builtin.copy": {"content": "{{ __app_user_data }}", "dest": str(folder / "user_data.yml"), "mode": "0600"}}
    variables = {"app_manifest": manifest, "app_environment": "test", "app_region": "us-east-1", "app_kind": "", "app_manifest_file": "keeper.yml"}
    variables["__app"] = "{{ app_manifest | spot.platform.manifest }}"
    playbook(folder, task, vars=variables, vars_files=[str(ROLE / "vars" / "main.yml")])
    found: dict[str, Any] = yaml.safe_load((folder / "user_data.yml").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def cloud_config(engine: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an instance with the volumes of the manifest is told."""
    return user_data(tmp_path_factory.mktemp("user_data"), MANIFEST)


@pytest.fixture(scope="module")
def claiming(engine: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one is told that gets its data when it runs."""
    return user_data(tmp_path_factory.mktemp("user_data"), {**MANIFEST, "volumes": [STAYS]})


class Keeper:
    """An instance with the volumes of the manifest, and others in their place where a test wants so."""

    def __init__(self, host: Any, volumes: Any, cloud_config: dict[str, Any]) -> None:
        self.host, self._volumes, self._cloud_config = host, volumes, cloud_config
        self.attached: dict[str, str] = {}

    def attach(self, device: str, volume: str | None = None) -> str:
        """Attach a volume, a new one where none is given: its path."""
        name = volume or self._volumes.make(1)
        self.attached[device] = name
        path = self._volumes.attach(name, f"/dev/{device}")
        self.host.sh(f"ln -sfn {path} /dev/xvd{device[2:]}")
        return path

    def detach(self) -> None:
        for device, name in self.attached.items():
            self.host.run(f"rm -f /dev/xvd{device[2:]}", check=False)
            self._volumes.detach(name)
        self.attached.clear()

    def boot_early(self) -> str:
        """What cloud-init does before it installs packages: what ``bootcmd`` says."""
        (command,) = self._cloud_config["bootcmd"]
        return self.host.run(command).stderr

    def boot(self) -> str:
        """All that it does at the first start. Whether the application starts is for the test to see."""
        said = self.boot_early()
        for file in self._cloud_config["write_files"]:
            self.host.sh(f"mkdir -p {Path(file['path']).parent}")
            self.host.write(file["path"], file["content"])
        self.host.sh("mkdir -p /etc/systemd/system/spot-volumes.service.d")
        self.host.write("/etc/systemd/system/spot-volumes.service.d/test.conf", "[Service]\nEnvironment=SPOT_VOLUMES_SECONDS=5\n")
        for command in self._cloud_config["runcmd"]:
            self.host.run(shlex.join(command), check=False)
        return said

    def runs(self) -> bool:
        return self.host.run("systemctl is-active -q keeper.service", check=False).returncode == 0

    def clean(self) -> None:
        """As before the first start."""
        self.host.run(
            "systemctl disable --now keeper spot-drain spot-volumes; systemctl reset-failed\n"
            "umount /srv/data/more; umount /srv/data; rm -rf /srv/data; : > /etc/fstab; systemctl daemon-reload; userdel keeper",
            check=False,
        )
        self.detach()


@pytest.fixture
def keeper(host: Any, volumes: Any, cloud_config: dict[str, Any]) -> Iterator[Keeper]:
    one = Keeper(host, volumes, cloud_config)
    host.sh(": > /etc/fstab")
    yield one
    one.clean()


class Claims:
    """An application whose data stay in their zone. Its instances are the host, one after the other."""

    def __init__(self, keeper: Keeper, sandbox: Any, disks: Any, folder: Path) -> None:
        self.keeper, self._disks, self._sandbox, self._folder, self.ec2 = keeper, disks, sandbox, folder, sandbox.client("ec2")

    def launch(self) -> str:
        listed = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()]}]
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        options = {"InstanceType": "m5.large", "Placement": {"AvailabilityZone": "us-east-1a"}, "TagSpecifications": listed}
        name: str = self.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **options)["Instances"][0]["InstanceId"]
        self._sandbox.post("/sandbox/clock", advance=60)
        self._disks.hosts[name] = self.keeper.host.name
        return name

    def claim(self) -> None:
        """What ``capacity_reconcile`` does every minute."""
        wanted = {"app": "keeper", "mount": STAYS["mount"], **STAYS["affinity"]}  # type: ignore[dict-item]
        task = {"spot.platform.ebs_volume_affinity": {"region": "us-east-1", "environment": "test", "volumes": [wanted]}}
        playbook(self._folder, task, self._sandbox.env)
        self.see()

    def see(self) -> None:
        """The host has what is attached to its instance, by the name of Xen."""
        self._disks.follow()
        self.keeper.host.sh("shopt -s nullglob; for disk in /dev/disk/by-id/*; do ln -sfn $disk /dev/xvdf; done")

    def end(self, name: str) -> None:
        """The instance is terminated, and the next one begins with nothing."""
        self.keeper.clean()
        self.keeper.host.sh("rm -f /dev/xvdf")
        self.ec2.terminate_instances(InstanceIds=[name])
        self._sandbox.post("/sandbox/clock", advance=120)
        self._disks.follow()


@pytest.fixture
def claims(host: Any, volumes: Any, claiming: dict[str, Any], sandbox: Any, disks: Any, tmp_path: Path) -> Iterator[Claims]:
    one = Claims(Keeper(host, volumes, claiming), sandbox, disks, tmp_path)
    host.sh(": > /etc/fstab")
    yield one
    mine = [{"Name": "tag:spot.platform/app", "Values": ["keeper"]}]
    running = [*mine, {"Name": "instance-state-name", "Values": ["running"]}]
    for each in one.ec2.describe_instances(Filters=running)["Reservations"]:
        one.end(each["Instances"][0]["InstanceId"])
    for volume in one.ec2.describe_volumes(Filters=mine)["Volumes"]:
        one.ec2.delete_volume(VolumeId=volume["VolumeId"])


def uuids(host: Any, *paths: str) -> list[str]:
    return [host.sh(f"blkid -p -s UUID -o value {path}") for path in paths]


def eventually(true: Callable[[], bool]) -> bool:
    return any(true() or time.sleep(0.5) for _half_second in range(60))


def test_blank_volumes_get_file_systems_once_and_the_application_writes_to_them(keeper: Keeper) -> None:
    host, paths = keeper.host, [keeper.attach("sdf"), keeper.attach("sdg")]
    keeper.boot()
    assert eventually(keeper.runs), host.run("journalctl -u keeper -u spot-volumes --no-pager", check=False).stdout
    assert host.sh("findmnt -no FSTYPE /srv/data; findmnt -no FSTYPE /srv/data/more").split() == ["ext4", "xfs"]
    assert eventually(lambda: host.run("test -s /srv/data/log", check=False).returncode == 0)
    assert host.sh("stat -c %U /srv/data /srv/data/more /srv/data/log").split() == ["keeper"] * 3
    made, fstab = uuids(host, *paths), host.sh("cat /etc/fstab")
    assert [line.split()[:4] for line in fstab.splitlines()] == [
        [f"UUID={made[1]}", "/srv/data", "ext4", "defaults,nofail,x-systemd.device-timeout=90"],
        [f"UUID={made[0]}", "/srv/data/more", "xfs", "defaults,nofail,x-systemd.device-timeout=90"],
    ]

    host.sh("echo mine > /srv/data/more/kept; chown root: /srv/data/more; systemctl restart spot-volumes")
    assert "blank" not in keeper.boot(), "it is done"
    assert (uuids(host, *paths), host.sh("cat /etc/fstab; cat /srv/data/more/kept")) == (made, f"{fstab}\nmine")
    assert host.sh("stat -c %U /srv/data/more") == "root", "what somebody has set stays"


def test_after_a_reboot_the_data_are_there_and_without_its_disk_the_application_does_not_start(keeper: Keeper) -> None:
    host = keeper.host
    for device in ("sdf", "sdg"):
        keeper.attach(device)
    keeper.boot()
    assert eventually(lambda: host.run("test -s /srv/data/log", check=False).returncode == 0)
    host.sh("systemctl stop keeper; umount /srv/data/more /srv/data")
    volumes = dict(keeper.attached)
    keeper.detach()
    subprocess.run(["docker", "restart", "--time=5", host.name], check=True, capture_output=True)
    assert eventually(lambda: "failed" in host.run("systemctl is-active spot-volumes", check=False).stdout)
    assert not keeper.runs() and host.sh("ls -A /srv/data") == "", "nothing is written to the root disk"

    for device, name in volumes.items():
        keeper.attach(device, name)
    host.sh("systemctl start keeper")
    assert eventually(lambda: host.run("test $(grep -c started /srv/data/log) = 2", check=False).returncode == 0)
    assert host.sh("findmnt -no FSTYPE /srv/data; findmnt -no FSTYPE /srv/data/more").split() == ["ext4", "xfs"]


@pytest.mark.parametrize(
    ("makes", "words"),
    [
        ("echo 'start=2048, type=83' | sfdisk -q --no-reread $DISK", "has dos, no file system: nothing is written to it"),
        ("mkswap -q $DISK", "has swap, no file system: nothing is written to it"),
        ("printf precious | dd of=$DISK bs=1 seek=4096 conv=notrunc status=none", "is not blank, and has no file system: nothing is written to it"),
    ],
    ids=["partitions", "swap", "bytes of no known kind"],
)
def test_a_disk_with_foreign_data_is_not_formatted_and_the_application_does_not_start(keeper: Keeper, makes: str, words: str) -> None:
    host = keeper.host
    keeper.attach("sdf")
    foreign = keeper.attach("sdg")
    host.sh(f"DISK=$(readlink -f {foreign}); {makes}")
    before = host.sh(f"sync; sha256sum < {foreign}")
    assert words in keeper.boot()
    assert not keeper.runs()
    assert host.sh(f"sync; sha256sum < {foreign}") == before
    assert "/srv/data " not in host.sh("cat /etc/fstab")


def test_a_file_system_that_is_there_is_mounted_as_it_is(keeper: Keeper) -> None:
    host = keeper.host
    keeper.attach("sdf")
    disk = keeper.attach("sdg")
    host.sh(f"mkfs.xfs -q $(readlink -f {disk}); mount {disk} /mnt; echo before > /mnt/data; umount /mnt")
    keeper.boot()
    assert host.sh("cat /srv/data/data; findmnt -no FSTYPE /srv/data").split() == ["before", "xfs"]


def test_before_the_packages_are_there_it_mounts_what_it_can_and_the_rest_afterwards(keeper: Keeper) -> None:
    host = keeper.host
    for device in ("sdf", "sdg"):
        keeper.attach(device)
    host.sh("mv /usr/sbin/mkfs.xfs /usr/sbin/away")
    try:
        assert "mkfs.xfs is not installed" in keeper.boot_early()
        assert host.sh("findmnt -no FSTYPE /srv/data") == "ext4"
    finally:
        host.sh("mv /usr/sbin/away /usr/sbin/mkfs.xfs")
    keeper.boot()
    assert eventually(keeper.runs) and host.sh("findmnt -no FSTYPE /srv/data/more") == "xfs"


def test_a_mount_that_fstab_names_otherwise_is_left_to_it(keeper: Keeper) -> None:
    host, paths = keeper.host, [keeper.attach("sdf"), keeper.attach("sdg")]
    other = keeper.attach("sdh")
    host.sh(f"mkfs.ext4 -q -L moved {other}; echo 'LABEL=moved /srv/data ext4 defaults,nofail 0 2' > /etc/fstab")
    keeper.boot()
    assert eventually(keeper.runs) and host.sh("findmnt -no SOURCE /srv/data") == host.sh(f"readlink -f {other}")
    assert host.run(f"blkid -p {paths[1]}", check=False).returncode == 2, "the other one is left blank"
    assert json.loads(host.sh("findmnt -J /srv/data"))["filesystems"][0]["fstype"] == "ext4"


def test_data_that_stay_in_their_zone_are_mounted_whenever_they_are_attached_by_each_instance_that_gets_them(claims: Claims, volumes: Any) -> None:
    keeper, host = claims.keeper, claims.keeper.host
    volume = volumes.make(1, {**TAGS, "spot.platform/mount": "/srv/data"})

    def starts(times: int) -> bool:
        return eventually(lambda: host.run(f"test $(grep -c started /srv/data/log) = {times}", check=False).returncode == 0)

    # Launched first, attached then: it waits, for longer than what it was launched with may take.
    first = claims.launch()
    assert keeper.boot() == ""
    time.sleep(7)
    assert host.run("systemctl is-active spot-volumes", check=False).stdout == "activating\n" and not keeper.runs()
    assert "waits until attached: sdf+:ext4:/srv/data" in host.sh("journalctl -u spot-volumes --no-pager")
    assert host.run("findmnt /srv/data", check=False).returncode and host.run("test -e /srv/data/log", check=False).returncode
    claims.claim()
    assert starts(1), host.run("journalctl -u keeper -u spot-volumes --no-pager", check=False).stdout
    assert host.sh("findmnt -no FSTYPE /srv/data; stat -c %U /srv/data/log").split() == ["ext4", "keeper"]
    (made,) = uuids(host, "/dev/xvdf")

    # Rebooted without it: it waits again, and nothing is written to the root disk.
    host.sh("systemctl stop keeper; umount /srv/data; rm /dev/xvdf")
    volumes.ec2.detach_volume(VolumeId=volume, InstanceId=first)
    claims.see()
    subprocess.run(["docker", "restart", "--time=5", host.name], check=True, capture_output=True)
    time.sleep(7)
    assert host.run("systemctl is-active spot-volumes", check=False).stdout == "activating\n"
    assert not keeper.runs() and host.sh("ls -A /srv/data") == ""
    claims.claim()
    assert starts(2)

    # Another instance gets it before it has booted, and its users have other numbers.
    claims.end(first)
    host.sh("useradd --system other")
    second = claims.launch()
    claims.claim()
    (attached,) = volumes.get(volume)["Attachments"]
    assert attached["InstanceId"] == second
    assert "blank" not in keeper.boot()
    assert starts(3), host.run("journalctl -u keeper -u spot-volumes --no-pager", check=False).stdout
    assert uuids(host, "/dev/xvdf") == [made] and "blank" not in host.sh("journalctl -b -u spot-volumes --no-pager | tail -3")
    host.sh("userdel other")


def test_a_claimed_volume_with_foreign_data_is_not_formatted(claims: Claims, volumes: Any) -> None:
    keeper, host = claims.keeper, claims.keeper.host
    volumes.make(1, {**TAGS, "spot.platform/mount": "/srv/data"})
    claims.launch()
    claims.claim()
    host.sh("printf precious | dd of=$(readlink -f /dev/xvdf) bs=1 seek=4096 conv=notrunc status=none")
    before = host.sh("sync; sha256sum < /dev/xvdf")
    keeper.boot()
    assert eventually(lambda: "failed" in host.run("systemctl is-active spot-volumes", check=False).stdout)
    assert "is not blank, and has no file system: nothing is written to it" in host.sh("journalctl -u spot-volumes --no-pager | tail -5")
    assert not keeper.runs() and host.sh("sync; sha256sum < /dev/xvdf") == before
