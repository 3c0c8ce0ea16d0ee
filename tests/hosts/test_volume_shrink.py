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
LAUNCHED = {key: value for key, value in TAGS.items() if key != "spot.platform/mount"} | {
    "spot.platform/mount/sdf": PATH,
    "spot.platform/mount/sdg": "/srv/other",
}
"""The tags of a volume that an instance was launched with."""

UNIT = f"""
[Unit]
RequiresMountsFor={PATH}
[Service]
ExecStart=/bin/sh -c 'exec 3>>{PATH}/log; while :; do \\
  echo "line $(wc -l < {PATH}/log) $(date +%%s.%%N)" >&3; cp {PATH}/log {PATH}/copy.new; mv {PATH}/copy.new {PATH}/copy; sleep 0.05; done'
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
        self.changed = sum(int(count) for count in re.findall(r"ok=\d+\s+changed=(\d+)", output))


class Shop:
    """The application on its volume."""

    def __init__(self, host: Any, volumes: Any, kind: str = "ext4", fstab: str = "UUID", partition: bool = False, tags: dict[str, str] | None = None) -> None:
        self.host, self.volumes = host, volumes
        self.old = volumes.make(16, tags or TAGS, Iops=3500, Throughput=150)
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
    """``shop(kind=, fstab=, partition=, tags=)``: the application, on a volume of 16 GiB."""
    made: list[Shop] = []

    def make(**options: Any) -> Shop:
        made.append(Shop(host, volumes, **options))
        return made[-1]

    yield make
    for one in made:
        one.remove()


SHIM = r"""#!/bin/sh
/usr/bin/$(basename "$0") "$@"
status=$?
case "$*" in show*|is-*|--types=*) exit $status;; esac
key="$(basename "$0") $*"
if [ -e /run/shims ] && ! grep -qxF -e "$key" /run/shims; then echo "$key" >> /run/shims; kill -9 $PPID; fi
exit $status
"""
"""A command that kills who called it, once for each of its arguments."""


def retired(app: Shop, project: Project) -> None:
    """All is as it is to be in the end, in AWS and on the host, and the old volume has all that there was."""
    host, new = app.host, app.source()
    assert new != app.old
    was, now = app.volumes.get(app.old), app.volumes.get(new)
    assert (now["Size"], now["VolumeType"], now["Iops"], now["Throughput"]) == (8, "gp3", 3500, 150)
    assert now["AvailabilityZone"] == was["AvailabilityZone"] and now["Attachments"][0]["InstanceId"] == host.instance
    assert now["Tags"] == TAGS, "the new volume is found as the old one was, and nothing of the work is left on it"
    assert was["State"] == "available" and was["Tags"]["spot.platform/replaced-by"] == new
    assert "spot.platform/mount" not in was["Tags"] and re.fullmatch(r"\d{4}-\d\d-\d\d", was["Tags"]["spot.platform/delete-after"])
    fstab = host.sh("cat /etc/fstab").splitlines()
    kind = host.sh(f"findmnt -fnro FSTYPE {PATH}")
    assert fstab[0] == "# kept" and fstab[1].startswith("UUID=") and fstab[1].endswith(f"\t{PATH}  {kind} rw,noatime,nofail 0 2 # why")
    assert fstab[1].split()[0] == "UUID=" + host.sh(f"findmnt -fnro UUID {PATH}") and len(fstab) == 4
    left = host.sh("find /var/lib/spot-platform /run/spot-platform -type f; findmnt -rno TARGET | grep ^/run/spot-platform || true")
    assert left == "", "nothing of the work is left on the host"
    assert app.sums_at(PATH) == app.sums
    app.check_works()
    check_old(app)
    (snapshot,) = app.volumes.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [app.old]}])["Snapshots"]
    assert "spot.platform/delete-after" in {tag["Key"] for tag in snapshot["Tags"]}
    assert project.events()[-1]["kind"] != "volume.not_shrunk"
    assert len({one["id"] for one in project.events() if one["kind"] == "volume.shrunk"}) == 1


def check_old(app: Shop) -> None:
    """The old volume, detached, has all that there was."""
    device = app.volumes.attach(app.old, "/dev/sdp")
    if app.host.run(f"test -e {device}-part1", check=False).returncode == 0:
        device += "-part1"
    app.host.sh(f"mkdir -p /mnt/old; mount -o ro {device} /mnt/old")
    try:
        assert app.sums_at("/mnt/old") == app.sums
        app.lines("/mnt/old")
    finally:
        app.host.sh("umount /mnt/old")
        app.volumes.detach(app.old)


def test_a_mount_gets_a_smaller_volume_under_an_application_that_writes(project, shop):
    app = shop()
    before = app.lines()
    planned = project.play(size=8, arguments=("--check",))
    assert planned.code == 0 and planned.changed == 0 and "takes the place of" in planned.words, planned.output
    assert app.source() == app.old
    run = project.play(size=8)
    assert run.code == 0, run.output
    assert app.lines() > before
    retired(app, project)
    (told,) = [one for one in project.events() if one["kind"] == "volume.shrunk"]
    seconds = told["after"]["downtime_seconds"]
    assert told["resource"] == app.source() and told["app"] == "shop" and told["before"] == {"id": app.old, "size": 16}
    assert f"stood still for {seconds} seconds" in run.words
    moments = [float(line.split()[2]) for line in app.host.sh(f"cat {PATH}/log").splitlines()]
    gap = max(later - earlier for earlier, later in zip(moments, moments[1:]))
    assert seconds - 1.5 < gap < seconds + 1.5, "the longest silence of the application is the downtime that is told"
    again = project.play(size=8)
    assert again.code == 0 and again.changed == 0, again.output
    larger = project.play(size=9)
    assert larger.code != 0 and "spot.platform.ebs_volume_resize grows volumes" in larger.words


@pytest.mark.soak
def test_killed_after_each_step_it_ends_well_and_the_data_is_there_at_every_step(project, shop):
    app = shop()
    host = app.host
    for name in ("mount", "umount", "systemctl", "mkfs.ext4"):
        host.write(f"/usr/local/sbin/{name}", SHIM if name != "mkfs.ext4" else SHIM.replace("/usr/bin/", "/usr/sbin/"))
    host.sh("chmod +x /usr/local/sbin/*; : > /run/shims")
    lines, ended, endings = 0, None, []
    for _round in range(60):
        ended = project.play(size=8, kill="each")
        endings.append(ended.code)
        (project.folder / f"run-{len(endings)}").write_text(ended.output)
        if ended.code not in (0, -9) and endings[-3:-1] == [ended.code] * 2:
            break
        host.sh("mv /run/shims /run/shims.off")
        mounted = host.run(f"findmnt -fnro SOURCE {PATH}", check=False).stdout.strip()
        old = app.volumes.disks.loop(app.old)
        if mounted:
            assert app.sums_at(PATH) == app.sums
            assert app.lines() >= lines, "what was written is there"
            lines = app.lines()
        if old and mounted != old:
            host.sh(f"mkdir -p /mnt/old; mount -o ro {old} /mnt/old")
            assert app.sums_at("/mnt/old") == app.sums
            host.sh("umount /mnt/old")
        host.sh("mv /run/shims.off /run/shims")
        if ended.code == 0:
            break
    killed, commands = (project.folder / "killed").read_text().splitlines(), host.sh("cat /run/shims").splitlines()
    host.sh("rm /usr/local/sbin/* /run/shims")
    assert ended and ended.code == 0, f"{endings}\n{killed}\n{commands}\n{ended and ended.output}"
    steps = {"Begin a snapshot", "Make the new volume", "Attach it", "Make it", "Say that it has one", "Mount it there", "Copy all files"}
    steps |= {"Copy what has changed meanwhile", "Stop the units that use the mount", "Let nobody write to it", "Copy the last changes"}
    steps |= {"Have the new volume mounted in its place", "Start them", "Detach the old volume", "Say that all is done"}
    assert steps <= set(killed) and len(killed) == len(set(killed))
    told = {" ".join(one.split()[:2]) for one in commands}
    assert {f"mount {PATH}", f"umount {PATH}", "mount -o", "systemctl stop", "systemctl start", "systemctl daemon-reload", "mkfs.ext4 -q"} <= told
    retired(app, project)


def test_a_controller_that_dies_while_a_copy_runs_leaves_one_that_the_next_run_ends(project, shop, host):
    app = shop()
    host.sh(f"head -c 600M /dev/urandom > {PATH}/fixed/large")
    app.sums = app.sums_at(PATH)
    killed = project.play(size=8, kill="in:Copy all files:3")
    assert killed.code == -9
    run = project.play(size=8)
    assert run.code == 0, run.output
    retired(app, project)


def test_what_has_become_of_it_is_told_by_one_event_whenever_the_controller_dies(project, shop):
    app = shop()
    for task in ("Forget the pause", "Say that all is done"):
        assert project.play(size=8, kill=f"before:{task}").code == -9
    run = project.play(size=8)
    assert run.code == 0, run.output
    first, again = [one for one in project.events() if one["kind"] == "volume.shrunk"]
    assert {**first, "time": "", "run": ""} == {**again, "time": "", "run": ""} and first["after"]["downtime_seconds"] > 0
    retired(app, project)


@pytest.mark.parametrize(
    ("options", "holes"),
    [
        ({"kind": "xfs", "fstab": "LABEL", "tags": LAUNCHED}, "rm holes"),
        ({"kind": "btrfs", "fstab": "path"}, "rm holes"),
        ({"kind": "ext4", "partition": True}, "rm holes; truncate -s 8K holes"),
    ],
    ids=["XFS, on a volume of the launch", "Btrfs", "ext4, in a partition"],
)
def test_other_file_systems_and_a_partition(project, shop, options, holes):
    app = shop(**options)
    app.host.sh(f"cd {PATH}/fixed; {holes}")
    app.sums = app.sums_at(PATH)
    run = project.play(size=8, arguments=("-v",))
    assert run.code == 0, run.output
    first = run.output.split("Copy all files]")[1].split("TASK [")[0]
    assert "--hard-links" in first and ("--sparse" in first) == ("truncate" in holes), "holes are looked for where there are any"
    retired(app, project)


def test_a_file_that_got_holes_after_they_were_looked_for_keeps_them(project, shop, host):
    app = shop()
    host.sh(f"rm {PATH}/fixed/holes")
    assert project.play(size=8, kill="in:Wait until the snapshot is complete:0").code == -9
    place = host.sh("findmnt -rno TARGET | grep ^/run/spot-platform/")
    host.sh(f"cd {PATH}/fixed; truncate -s 100M holes; cp -p --sparse=never holes {place}/fixed; touch -r . {place}/fixed; sync")
    app.sums = app.sums_at(PATH)
    run = project.play(size=8)
    assert run.code == 0, run.output
    retired(app, project)
    assert int(host.sh(f"stat -c %b {PATH}/fixed/holes")) < 1000


def test_who_uses_the_mount_still_has_everything_put_back(project, shop, host):
    app = shop()
    host.sh("mkdir -p /etc/systemd/system/shop.service.d")
    left = f"/bin/sh -c 'exec 4>>{PATH}/kept; sleep 86400 & echo $! >/run/kept'"
    host.write("/etc/systemd/system/shop.service.d/stop.conf", f"[Service]\nKillMode=process\nExecStartPre={left}\n")
    host.sh("systemctl daemon-reload; systemctl restart shop.service; sleep 0.3")
    try:
        run = project.play(size=8)
        assert run.code != 0 and "is still in use by" in run.words and "sleep 86400" in run.words, run.output
        assert f"{PATH} is on {app.old} as before, its units run again after" in run.words
        assert app.source() == app.old and app.sums_at(PATH) == app.sums
        app.check_works()
        (told,) = [one for one in project.events() if one["kind"] == "volume.not_shrunk"]
        assert not told["changed"] and told["after"]["downtime_seconds"] > 0
    finally:
        host.sh("rm -r /etc/systemd/system/shop.service.d; systemctl daemon-reload; systemctl restart shop.service; kill $(cat /run/kept) 2>/dev/null || true")
    run = project.play(size=8)
    assert run.code == 0, run.output
    retired(app, project)


def test_a_file_that_changed_without_its_times_is_copied_too(project, shop, host):
    app = shop()
    killed = project.play(size=8, kill="in:Copy what has changed meanwhile:0")
    assert killed.code == -9
    host.sh(f"cd {PATH}/fixed/many; printf 'FILE 7\n' > 7.new; touch -r 7 7.new; mv 7.new 7")
    app.sums = app.sums_at(PATH)
    run = project.play(size=8)
    assert run.code == 0, run.output
    assert "Copy it" in run.output
    retired(app, project)


def test_what_cannot_be_is_refused_with_the_way_and_nothing_is_touched(project, shop, host):
    app = shop()
    host.sh(f"mkdir -p {PATH}/below; systemd-run -q --unit=holder sh -c 'cd {PATH}/fixed; exec sleep 1000'; sleep 0.3")
    before = app.volumes.ec2.describe_volumes()["Volumes"]
    cases = [
        ({"mount": "/"}, "build an image with a smaller root volume"),
        ({"mount": "/nowhere"}, "Nothing is mounted at /nowhere"),
        ({"mount": "/run"}, "/run is no block device"),
        ({"size": 20}, "ebs_volume_resize grows volumes"),
        ({"size": 0}, "volume_shrink_size"),
        ({"units": ["shop"]}, "with their suffix"),
        ({"units": ["nobody.service"]}, "there is no unit nobody.service on the host"),
        ({}, "in use by processes of units that would not be stopped"),
        ({"size": 4}, "gp3 allows 3000 for 4 GiB"),
    ]
    for variables, message in cases:
        run = project.play(**{"size": 8, **variables})
        assert run.code != 0 and message in run.words, run.output
        assert run.changed == 0
    host.sh(f"systemctl stop holder; mount -t tmpfs none {PATH}/below")
    run = project.play(size=8)
    host.sh(f"umount {PATH}/below")
    assert run.code != 0 and f"there are mounts below {PATH}, {PATH}/below" in run.words, run.output
    assert app.volumes.ec2.describe_volumes()["Volumes"] == before and app.sums_at(PATH) == app.sums
    app.check_works()


def test_what_is_due_is_deleted_and_nothing_else(project, volumes):
    due = volumes.make(1, {"spot.platform/delete-after": "2026-01-30", "spot.platform/replaced-by": "vol-1"})
    used = volumes.make(1, {"spot.platform/delete-after": "2026-01-30"})
    later = volumes.make(1, {"spot.platform/delete-after": "2026-01-31"})
    plain = volumes.make(1)
    volumes.attach(used, "/dev/sdm")
    snapshots = []
    for day in ("2026-01-30", "2026-01-31"):
        tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "spot.platform/delete-after", "Value": day}]}]
        snapshots.append(volumes.ec2.create_snapshot(VolumeId=plain, TagSpecifications=tags)["SnapshotId"])
    run = project.play("volume_delete_due", today="2026-01-31")
    assert run.code == 0 and f"{used} was to be deleted after 2026-01-30, but is in-use" in run.words, run.output
    left = {one["VolumeId"] for one in volumes.ec2.describe_volumes()["Volumes"]}
    assert due not in left and {used, later, plain} <= left
    kept = {one["SnapshotId"] for one in volumes.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert snapshots[0] not in kept and snapshots[1] in kept
    again = project.play("volume_delete_due", today="2026-01-31", regions=["us-east-1"])
    assert again.code == 0 and again.changed == 0, again.output
    volumes.detach(used)
