"""`volume_shrink`: how fast it copies, and how long the application stands still.

    tests/hosts/with_engine.sh python tests/bench/volume_shrink.py [--files 20000] [--mib 512]

On a systemd host in Docker, with loop devices on sparse files for EBS volumes: so many files of 4 KiB in folders of 100, and one large
file. The copy is rsync with the role's options against `rsync -a` between the same two disks, in turn, each onto an empty file system and
up to the end of the sync, best of three; what the role puts before it (`nice`, `ionice`) is left out, since it lets go before whatever else the machine
does. Then the role runs, while a unit rewrites one file in a hundred again and again; the downtime is what the role tells.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

import yaml  # noqa: E402 - the path has to be set first
from ansible_collections.spot.platform.tests.hosts.conftest import ZONE, Host, Volumes  # noqa: E402 - the same
from ansible_collections.spot.platform.tests.hosts.disks import Disks  # noqa: E402 - the same
from ansible_collections.spot.platform.tests.hosts.test_volume_shrink import PATH, Project  # noqa: E402 - the same
from ansible_collections.spot.platform.tests.integration.conftest import Sandbox  # noqa: E402 - the same

from tests.bench.common import record  # noqa: E402 - the same

GOAL = 0.9
PLAIN = ["rsync", "-a"]
UNIT = f"""
[Unit]
RequiresMountsFor={PATH}
[Service]
ExecStart=/bin/bash -c 'n=0; while :; do for one in {PATH}/files/*/7; do echo $((n++)) > $one; done; sleep 1; done'
"""


def options() -> list[str]:
    """What the role gives rsync for the first copy, where no file has holes, as here."""
    return yaml.safe_load((ROOT / "roles/volume_shrink/vars/main.yml").read_text())["__volume_shrink_rsync"]


def fill(host: Host, files: int, mib: int) -> None:
    """The files."""
    host.sh(f"head -c {mib}M /dev/urandom > {PATH}/large")
    script = f"""
import os
for number in range({files}):
    folder = f"{PATH}/files/{{number // 100}}"
    if number % 100 == 0:
        os.makedirs(folder)
    with open(f"{{folder}}/{{number % 100}}", "wb") as file:
        file.write(os.urandom(4096))
"""
    host.write("/root/fill.py", script)
    host.sh("python3 /root/fill.py; sync")


def copy(host: Host, device: str, command: list[str]) -> float:
    """Seconds of a copy onto an empty file system."""
    host.sh(f"mkfs.ext4 -q -F {device}; mkdir -p /mnt/copy; mount {device} /mnt/copy; sync")
    began = time.monotonic()
    host.sh(f"{' '.join(command)} {PATH}/ /mnt/copy/ >/dev/null; sync -f /mnt/copy")
    seconds = time.monotonic() - began
    host.sh("umount /mnt/copy")
    return seconds


def measure(sandbox: Sandbox, folder: Path, files: int, mib: int) -> dict[str, Any]:
    """All figures."""
    smaller = max(8, math.ceil(1.3 * (mib + files * 4 / 1024) / 1024))  # GiB: with the role's margin, and what ext4 takes
    ec2 = sandbox.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="m5.large", Placement={"AvailabilityZone": ZONE})
    instance = made["Instances"][0]["InstanceId"]
    with Disks(lambda region: sandbox.client("ec2", region), folder / "disks", {}) as disks:
        host = Host(f"spot-bench-{os.getpid()}", instance)
        try:
            disks.hosts[instance] = host.name
            volumes = Volumes(sandbox, instance, disks)
            old, spare = volumes.make(2 * smaller), volumes.make(2 * smaller)
            device, other = volumes.attach(old), volumes.attach(spare, "/dev/sdg")
            host.sh(f"mkfs.ext4 -q {device}; mkdir -p {PATH}")
            host.write("/etc/fstab", f"UUID={host.sh(f'blkid -s UUID -o value {device}')} {PATH} ext4 defaults 0 2\n")
            host.write("/etc/systemd/system/writer.service", UNIT)
            host.sh(f"systemctl daemon-reload; mount {PATH}")
            fill(host, files, mib)
            copy(host, other, PLAIN)
            times = [(copy(host, other, PLAIN), copy(host, other, options())) for _round in range(3)]
            volumes.detach(spare)
            host.sh("systemctl start writer.service")
            project = Project(sandbox, host, folder)
            began = time.monotonic()
            run = project.play(size=smaller)
            wall = time.monotonic() - began
            if run.code:
                raise RuntimeError(run.output[-3000:])
            (event,) = [one for one in project.events() if one["kind"] == "volume.shrunk"]
            host.run(f"systemctl stop writer.service; umount {PATH}")
        finally:
            host.remove()
    plain, ours = (min(column) for column in zip(*times))
    return {
        "files": files,
        "files that change all the time": files // 100,
        "MiB": mib + files * 4 // 1024,
        "rsync -a, seconds": round(plain, 2),
        "the role's rsync, seconds": round(ours, 2),
        "speed against rsync -a": round(plain / ours, 3),
        "downtime, seconds": event["after"]["downtime_seconds"],
        "whole run, seconds": round(wall, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000, help="how many small files")
    parser.add_argument("--mib", type=int, default=512, help="size of the large one")
    given = parser.parse_args()
    if os.environ.get("SPOT_HOSTS") or not os.environ.get("SPOT_HOST_IMAGE"):
        sys.exit(f"volume_shrink: {os.environ.get('SPOT_HOSTS') or 'there is no engine: run it by tests/hosts/with_engine.sh'}")
    sandbox = Sandbox("--seed", "1", "--regions", "us-east-1")
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(sandbox, Path(folder), given.files, given.mib)
    finally:
        sandbox.stop()
    goal = f"the role copies at {GOAL:g} of the speed of rsync -a or more"
    print(json.dumps(record("volume_shrink", figures, goal, figures["speed against rsync -a"] >= GOAL), indent=2))


if __name__ == "__main__":
    main()
