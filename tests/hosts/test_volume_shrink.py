"""The role volume_shrink on a systemd host, with loop devices for EBS volumes: a mount gets a smaller volume under an application that
writes; killed after each step it ends well when it is run again, and the original data is there at every step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATH = "/srv/shop"
TAGS = {"spot.platform/app": "shop", "spot.platform/environment": "test", "spot.platform/mount": PATH, "cost-centre": "42"}

UNIT = f"""
[Unit]
RequiresMountsFor={PATH}
[Service]
ExecStart=/bin/sh -c 'exec 3>>{PATH}/log; while :; do echo "line $(wc -l < {PATH}/log) $(date +%%s.%%N)" >&3; cp {PATH}/log {PATH}/copy.new; mv {PATH}/copy.new {PATH}/copy; sleep 0.05; done'
[Install]
WantedBy=multi-user.target
"""
"""An application that writes, replaces and has a file open all the time."""

FILL = rf"""
cd {PATH}
mkdir -p fixed/empty fixed/deep/er fixed/acl.d fixed/many
cd fixed
head -c 3000000 /dev/urandom > random
for n in $(seq 300); do echo "file $n" > many/$n; done
truncate -s 200M holes; printf x | dd of=holes bs=1 seek=100M conv=notrunc status=none
echo data > one; ln one deep/er/two; ln one three
ln -s one link; ln -s /nowhere dangling
mknod null c 1 3; mknod disk b 7 250; mkfifo pipe
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
echo owned > owned; chown 1234:4321 owned; chmod 4750 owned; chmod 1777 empty
setfattr -n user.colour -v blue one; setfattr -n trusted.secret -v 1 one
setfacl -m u:1234:rw,g:4321:r one; setfacl -d -m u:1234:rwx acl.d
setcap cap_net_raw+ep random 2>/dev/null || true
: > 'name with
newline'; : > "$(printf 'not utf-8 \377')"; : > '-dash'; : > 'space and "quotes"'
touch -d '2001-02-03 04:05:06.789012345' one owned empty; touch -h -d 2002-02-02 link
"""
"""Files that copies like to lose something of, in a folder that the application leaves alone."""

SUMS = r"""
cd "$1/fixed"
find . -printf '%p|%y|%s|%U|%G|%m|%T@|%l|%n|%i\n' | LC_ALL=C sort | sed 's/|d|[0-9]*|/|d||/' | awk -F'|' -v OFS='|' '{
  if ($9 > 1 && $2 != "d") { if (!($10 in seen)) seen[$10] = ++count; $10 = "links " seen[$10] } else { $9 = ""; $10 = "" } print }'
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - --absolute-names 2>/dev/null
find . \( -type c -o -type b \) -print0 | LC_ALL=C sort -z | xargs -0 stat -c '%n %t:%T'
"""
"""All that there is to know of the files, by other tools than those that the role compares with."""


class Project:
    """An inventory for the host, and the playbooks run on it."""

    def __init__(self, sandbox: Any, host: Any, folder: Path) -> None:
        self.sandbox, self.host, self.folder = sandbox, host, folder
        aws = {"endpoint_url": sandbox.url, "region": "us-east-1", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "not-a-secret"}
        variables = {"ansible_connection": "community.docker.docker", "ansible_user": "root", "instance_id": host.instance, "spot_aws": aws}
        variables |= {"ansible_python_interpreter": "/usr/bin/python3"}
        inventory = {"all": {"hosts": {host.name: variables}, "vars": {"spot_aws": aws}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))

    def play(self, playbook: str = "volume_shrink", kill: str = "", arguments: tuple[str, ...] = (), **variables: Any) -> Run:
        """Run a playbook. ``kill``: what `killer` is told."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
        own = {"on": self.host.name, "mount": PATH} if playbook == "volume_shrink" else {}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), f"spot.platform.{playbook}", "-i", str(self.folder / "hosts.yml")]
        done = subprocess.run(
            [*command, "-e", json.dumps({**own, **variables}), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={
                **clean,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
                "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "spot.platform.activity,killer",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "SPOT_ACTIVITY_FILE": str(self.folder / "activity.jsonl"),
                "AWS_EC2_METADATA_DISABLED": "true",
                "KILLER": kill,
                "KILLER_LOG": str(self.folder / "killed"),
            },
            timeout=600,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def events(self) -> list[dict[str, Any]]:
        """The activity so far."""
        path = self.folder / "activity.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Run:
    """A playbook that has ended."""

    def __init__(self, code: int, output: str) -> None:
        self.code, self.output = code, output
        self.words = " ".join(output.replace("\\n", " ").split())
        recap = re.search(r"ok=\d+\s+changed=(\d+)", output)
        self.changed = int(recap[1]) if recap else None


class Shop:
    """The application on its volume."""

    def __init__(self, host: Any, volumes: Any, kind: str = "ext4", fstab: str = "UUID", partition: bool = False) -> None:
        self.host, self.volumes = host, volumes
        self.old = volumes.make(16, TAGS, Iops=3500, Throughput=150)
        device = volumes.attach(self.old)
        if partition:
            host.sh(f"echo 'start=2048, type=83' | sfdisk -q --no-reread {device}")
            subprocess.run(["partx", "--update", volumes.disks.loop(self.old)], check=False, capture_output=True)
            volumes.disks.follow()
            device += "-part1"
        host.sh(f"mkfs.{kind} -q -L shop {device}; mkdir -p {PATH}")
        spec = {"UUID": f"UUID={host.sh(f'blkid -s UUID -o value {device}')}", "LABEL": "LABEL=shop", "path": device}[fstab]
        host.write("/etc/fstab", f"# kept\n{spec}\t{PATH}  {kind} rw,noatime,nofail 0 2 # why\n\ntmpfs /mnt/other tmpfs noauto 0 0\n")
        host.write("/etc/systemd/system/shop.service", UNIT)
        host.sh(f"systemctl daemon-reload; mount {PATH}; {FILL}")
        self.sums = self.sums_at(PATH)
        host.sh("systemctl enable -q --now shop.service; sleep 0.3")

    def sums_at(self, path: str) -> str:
        return self.host.sh(f"set -- {path}\n{SUMS}")

    def source(self) -> str:
        """The volume that is mounted."""
        device = self.host.sh(f"findmnt -fnro SOURCE {PATH}")
        links = self.host.sh("cd /dev/disk/by-id; for one in nvme-Amazon*; do echo $one $(readlink -f $one); done").splitlines()
        return next(f"vol-{line.split()[0].split('_vol')[1].split('-')[0]}" for line in links if line.split()[1] == device)

    def lines(self, path: str = PATH) -> int:
        """How often the application has written, every line being whole and in its place."""
        lines = self.host.sh(f"cat {path}/log").splitlines()
        assert [line.split()[1] for line in lines] == [str(number) for number in range(len(lines))], "a line is missing or there twice"
        return len(lines)

    def check_works(self) -> None:
        """The application runs and writes to its mount."""
        before = self.lines()
        self.host.sh("systemctl is-active -q shop.service; sleep 0.4")
        assert self.lines() > before

    def remove(self) -> None:
        host = self.host
        host.run(f"systemctl disable -q --now shop.service; umount {PATH}; umount /run/spot-platform/vol-*; rm -rf /var/lib/spot-platform; : > /etc/fstab")
        for volume in self.volumes.ec2.describe_volumes()["Volumes"]:
            if any(one["Device"].startswith("/dev/sd") and one["Device"] != "/dev/sda1" for one in volume["Attachments"]):
                self.volumes.detach(volume["VolumeId"])


@pytest.fixture
def project(sandbox: Any, host: Any, tmp_path: Path) -> Project:
    return Project(sandbox, host, tmp_path)


@pytest.fixture
def shop(host: Any, volumes: Any) -> Iterator[Callable[..., Shop]]:
    """``shop(kind=, fstab=, partition=)``: the application, on a volume of 16 GiB."""
    made: list[Shop] = []

    def make(**options: Any) -> Shop:
        made.append(Shop(host, volumes, **options))
        return made[-1]

    yield make
    for one in made:
        one.remove()


def test_a_mount_gets_a_smaller_volume_under_an_application_that_writes(project, shop):
    app = shop()
    before = app.lines()
    planned = project.play(size=8, arguments=("--check",))
    assert planned.code == 0 and planned.changed == 0 and "takes the place of" in planned.words, planned.output
    assert app.source() == app.old
    run = project.play(size=8)
    assert run.code == 0, run.output
    print(run.output)
    assert app.lines() > before and app.sums_at(PATH) == app.sums
    app.check_works()
