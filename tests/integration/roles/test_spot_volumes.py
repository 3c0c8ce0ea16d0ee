"""By which name EC2 attached a disk, from what an NVMe disk of EBS says of itself. What the script does to disks is tested in tests/hosts."""

from __future__ import annotations

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
