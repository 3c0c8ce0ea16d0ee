"""What the script that mounts data does where no disk is needed: it reads by which name EC2 attached an NVMe disk of EBS, and mounts EFS.

What it does to disks is tested in tests/hosts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "app" / "files" / "spot_volumes.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("spot_volumes", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def controller(model: bytes = b"Amazon Elastic Block Store", device: bytes = b"sdf") -> bytes:
    """What Identify Controller answers: vendor, serial number and model by the NVMe specification, the device in the vendor's own part."""
    head = struct.pack("<HH20s40s", 0x1D0F, 0x1D0F, b"vol0123456789abcdef0".ljust(20), model.ljust(40))
    return head.ljust(3072, b"\0") + device.ljust(32) + bytes(992)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (controller(), "sdf"),
        (controller(device=b"/dev/sdg"), "sdg"),
        (controller(device=b"xvdh\0"), "xvdh"),
        (controller(model=b"Amazon EC2 NVMe Instance Storage", device=b"ephemeral0"), None),
        (controller(model=b"SAMSUNG", device=b""), None),
    ],
)
def test_an_nvme_disk_says_by_which_name_it_was_attached(script: Any, said: bytes, name: str | None) -> None:
    assert len(said) == 4096
    assert script.name_of(said) == name


def test_the_disk_is_asked_for_its_controller(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvme1n1").touch()
    asked = []

    def ioctl(_file: Any, request: int, command: bytes) -> None:
        asked.append((request, command))

    monkeypatch.setattr(script.fcntl, "ioctl", ioctl)
    assert script.identify(str(tmp_path / "nvme1n1")) == bytes(4096)
    ((request, command),) = asked
    # NVME_IOCTL_ADMIN_CMD is _IOWR('N', 0x41, struct nvme_admin_cmd), of 72 bytes: <linux/nvme_ioctl.h>
    assert request == (3 << 30) | (72 << 16) | (ord("N") << 8) | 0x41 and len(command) == 72
    assert command[0] == 6 and struct.unpack_from("<I", command, 36) == (4096,) and struct.unpack_from("<I", command, 40) == (1,)


def test_the_right_one_of_several_disks_is_taken(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"/dev/nvme0n1": controller(device=b"xvda"), "/dev/nvme1n1": controller(device=b"sdg"), "/dev/nvme2n1": controller()}
    monkeypatch.setattr(script.glob, "glob", lambda _pattern: list(said))
    monkeypatch.setattr(script, "identify", said.__getitem__)
    monkeypatch.setattr(script.os.path, "exists", lambda _path: False)
    assert (script.disk_of("sdf"), script.disk_of("sdg"), script.disk_of("sdz")) == ("/dev/nvme2n1", "/dev/nvme1n1", None)


@pytest.fixture
def host(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An instance without the mount helper, whose ``mount`` works when that is there: ``fstab``, the commands that were ``run``, what
    is ``installed`` and ``mounted``."""
    import types

    one = types.SimpleNamespace(fstab=tmp_path / "fstab", run=[], installed=set(), mounted=set(), mount=str(tmp_path / "media"))
    one.fstab.write_text("# kept\n")

    def run(*command: str) -> str:
        one.run.append(command)
        if command[0] == "apt-get":
            one.installed.add("mount.efs")
        if command[0] == "mount":
            one.mounted.add(command[1])
        return ""

    monkeypatch.setattr(script, "FSTAB", str(one.fstab))
    monkeypatch.setattr(script, "run", run)
    monkeypatch.setattr(script.shutil, "which", lambda name: name if name in one.installed else None)
    monkeypatch.setattr(script.os.path, "ismount", lambda path: path in one.mounted)
    isdir = script.os.path.isdir
    monkeypatch.setattr(script.os.path, "isdir", lambda path: path != "/run/systemd/system" and isdir(path))
    monkeypatch.setattr(script, "PACKAGE", str(tmp_path / "package.deb"))
    return one


def test_a_file_system_of_efs_is_mounted_with_tls_as_the_role_through_its_access_point(script: Any, host: Any) -> None:
    host.installed.add("mount.efs")
    script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    assert host.fstab.read_text() == f"# kept\nfs-1:/ {host.mount} efs _netdev,noauto,tls,iam,accesspoint=fsap-2 0 0\n"
    assert host.run == [("mount", host.mount)], "once"


def test_the_mount_helper_is_what_was_pinned_or_nothing(script: Any, host: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "utils.deb"
    package.write_bytes(b"the package")
    with pytest.raises(RuntimeError, match="the image has no mount.efs"):
        script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    monkeypatch.setenv("SPOT_EFS_UTILS", package.as_uri())
    monkeypatch.setenv("SPOT_EFS_UTILS_SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match="is not what it was: its SHA-256 is "):
        script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    assert host.run == [] and host.fstab.read_text() == "# kept\n"
    monkeypatch.setenv("SPOT_EFS_UTILS_SHA256", hashlib.sha256(b"the package").hexdigest())
    script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    assert [command[0] for command in host.run] == ["apt-get", "mount"] and Path(script.PACKAGE).read_bytes() == b"the package"


def test_amazon_linux_has_the_mount_helper_in_its_own_repository(script: Any, host: Any) -> None:
    host.installed.add("dnf")
    script.ensure("shop", "fs-1/fsap-2", "efs", host.mount)
    assert host.run == [("dnf", "-qy", "install", "amazon-efs-utils"), ("mount", host.mount)]
