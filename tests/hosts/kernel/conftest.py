"""A systemd host for the tests of what runs on hosts; tests/hosts/with_engine.sh gives engine and image, boot.sh the kernel."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = "spot-disks"
CODE = "/code"
OURS = f"{CODE}/ansible_collections/spot/platform"
TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
DISKS = "/run/disks"


class Running:
    """A command that was started in the host."""

    def __init__(self, argv: list[str], result: Path) -> None:
        self.argv, self._result = argv, result

    @property
    def over(self) -> bool:
        return self._result.exists()

    def wait(self, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        until = time.monotonic() + timeout
        while not self.over:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.argv} takes more than {timeout} seconds")
            time.sleep(0.01)
        told = json.loads(self._result.read_text(encoding="utf-8"))
        return subprocess.CompletedProcess(self.argv, told["code"], told["out"], told["err"])


class Host:
    """The host: runs commands and modules in it, and makes disks. ``writer``: where it has writer.py."""

    writer = f"{OURS}/tests/hosts/kernel/writer.py"

    def __init__(self, folder: Path) -> None:
        self._folder, self._ids = folder, itertools.count()

    def start(self, argv: list[str], text: str = "", environment: dict[str, str] | None = None) -> Running:
        """Start a command."""
        path = self._folder / str(next(self._ids))
        given = {"argv": argv, "input": text, "environment": environment or {}}
        path.with_suffix(".new").write_text(json.dumps(given), encoding="utf-8")
        path.with_suffix(".new").rename(path.with_suffix(".command"))
        return Running(argv, path.with_suffix(".result"))

    def sh(self, script: str, check: bool = True, timeout: float = 120) -> str:
        """What a script prints."""
        done = self.start(["bash", "-euo", "pipefail", "-c", script]).wait(timeout)
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start_module(self, name: str, arguments: dict[str, Any], check: bool = False, tools: str = "") -> Running:
        """Start a module of ours. ``tools``: a folder whose tools it takes before others."""
        given = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}
        command = ["module", f"ansible_collections.spot.platform.plugins.modules.{name}"]
        return self.start(command, json.dumps(given), {"PATH": f"{tools}:{TOOLS}"})

    def ansible(self, module: str, arguments: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        """Run a module as ``ansible`` does, which sends it to the host."""
        variables = {"ansible_connection": "ssh", "ansible_ssh_executable": str(ROOT / "tests/hosts/kernel/ssh.py")}
        variables["ansible_python_interpreter"] = "/usr/bin/python3"
        command = ["ansible", "all", "--inventory", "host,", "--extra-vars", json.dumps(variables), *options]
        command += ["--module-name", module, "--args", json.dumps(arguments)]
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "SPOT_HOST_COMMANDS": str(self._folder),
        }
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env={**os.environ, **settings})

    def disk(self, size: str) -> Disk:
        """A new disk."""
        return Disk(self, size)


class Disk:
    """A loop device on a sparse file."""

    count = itertools.count()

    def __init__(self, host: Host, size: str) -> None:
        self.host, self.file = host, f"{DISKS}/{next(Disk.count)}"
        self.name = host.sh(f"truncate -s {size} {self.file}; losetup --find --show --partscan {self.file}")

    def partition(self, label: str, *lines: str) -> list[str]:
        """Partition it; the partitions' names."""
        table = "\n".join([f"label: {label}", *lines])
        self.host.sh(f"sfdisk -q {self.name} <<< {shlex.quote(table)}; udevadm settle")
        return self.host.sh(f"ls -1v {self.name}p*").split()

    def grow(self, size: str) -> None:
        """As EBS does it, and the kernel sees it."""
        self.resize(size)
        self.host.sh(f"losetup --set-capacity {self.name}")

    def resize(self, size: str) -> None:
        """As EBS does it, before the kernel sees it."""
        self.host.sh(f"truncate -s {size} {self.file}")


CLEAN = f"""
for mount in $(findmnt --raw --noheadings --output TARGET | sed -n '\\|^/mnt/|p' | tac); do umount --lazy $mount; done
if [ "$(ls /dev/mapper)" != control ]; then
    vgs --noheadings --options vg_name | xargs --no-run-if-empty vgremove --force --yes --quiet
    dmsetup ls --target crypt | sed -n 's/\\t.*//p' | xargs --no-run-if-empty --max-args=1 cryptsetup close
fi
losetup --detach-all
rm -rf {DISKS}/* /mnt/*
mkdir -p {DISKS}
mountpoint -q {DISKS} || mount -t tmpfs -o size=90% disks {DISKS}
"""

BOOTED = "running in system mode"
"""What systemd says first: the kernel has started, so what goes wrong from then on is no matter of the machine."""
PANIC, REGISTERS = "Kernel panic", "put_fp_registers"
"""It does not end then. Linux 6.1 panics in this function before systemd starts where a processor's registers are more than it has room
for (AMX); any other panic is a fault of ours."""


def _docker(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session")
def systemd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if os.environ.get("SPOT_HOSTS") or not os.environ.get("SPOT_HOST_IMAGE"):
        pytest.skip(os.environ.get("SPOT_HOSTS") or "there is no engine: run this by tests/hosts/with_engine.sh")
    folder = tmp_path_factory.mktemp("host")
    docker = ["docker", "run", "--detach", "--name", NAME, "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
    docker += ["--cap-add=SYS_PTRACE", "--tmpfs=/tmp:rw,exec,size=3g", "--env=TMPDIR=/tmp", f"--volume={folder}:/commands"]
    docker += [f"--volume={Path(ansible.__file__).parent}:{CODE}/ansible:ro", f"--volume={ROOT}:{OURS}:ro"]
    docker += [os.environ["SPOT_HOST_IMAGE"], f"{OURS}/tests/hosts/kernel/boot.sh", "/commands"]
    _docker("rm", "--force", NAME)
    subprocess.run(docker, check=True, capture_output=True, text=True)
    try:
        until = time.monotonic() + 120
        while not (folder / "ready").exists():
            running = _docker("inspect", "--format={{.State.Running}}", NAME).stdout.strip() == "true"
            said = _docker("logs", NAME).stdout
            if not running or PANIC in said:
                if BOOTED in said or (PANIC in said and REGISTERS not in said):
                    pytest.fail(f"the host stopped while it booted:\n{said}")
                why = "this processor's registers are more than its kernel has room for" if PANIC in said else said[-500:]
                pytest.skip(f"User-mode Linux does not start here: {why}")
            if time.monotonic() > until:
                pytest.fail(f"the host does not boot:\n{_docker('logs', '--tail=50', NAME).stdout}")
            time.sleep(0.5)
        yield Host(folder)
    finally:
        _docker("rm", "--force", NAME)


@pytest.fixture
def host(systemd_host: Host) -> Iterator[Host]:
    """The host, without disks."""
    systemd_host.sh(CLEAN)
    yield systemd_host
