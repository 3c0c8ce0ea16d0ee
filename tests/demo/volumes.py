# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that looks after itself, the whole path: a file system fills on a systemd host, Prometheus sees it, Alertmanager posts, the
rulebook starts the playbook, the EBS volume grows, the file system grows, the alert resolves, a signed webhook tells.

Real are host, kernel, file system, node exporter, Prometheus, Alertmanager, ansible-rulebook and Ansible; the sandbox is AWS, and a loop
device is its volume. Run by ``make demo-volumes``, which has the engine for the host; exits 1 where the platform does not do what
this page promises, and prints the seconds of each leg.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from tests.demo.run import DemoError, expect, free_port  # noqa: E402 - the paths above have to be set first
from tests.hosts.conftest import Host  # noqa: E402 - as above
from tests.hosts.disks import Disks, by_id  # noqa: E402 - as above
from tests.integration.conftest import Sandbox  # noqa: E402 - as above
from tests.integration.eda.conftest import ENVIRONMENT, Listener  # noqa: E402 - as above

REGION = "us-east-1"
CONTAINER = "spot-demo-volumes"
MOUNT = "/srv/data"
TOKEN, SECRET = "a-token-of-the-demo", "a-secret-of-the-demo"
BELOW, WANTED = 10, 20
"""Percent free: where it grows, and what it is to have then."""
FILLS = 5
SCRAPE = 2
GROUP_WAIT = 1
SLOW = 3
"""MB a second that the writer goes on with once the alert is due, so that it is still writing while the disk grows."""

WRITER = """
import hashlib, os, sys, time
folder, sums, goal = sys.argv[1], sys.argv[2], sys.argv[3]
number, stalls = len(open(sums).readlines()) if os.path.exists(sums) else 0, 0
while True:
    free, slow = (float(word) for word in open(goal).read().split())
    shown = os.statvfs(folder)
    share = 100 * shown.f_bavail / shown.f_blocks
    if share <= free - 3:
        time.sleep(0.05)
        continue
    block = os.urandom(4 << 20 if share > free + 3 else 1 << 20)
    name = os.path.join(folder, "%06d" % number)
    try:
        with open(name, "wb") as file:
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        stalls += 1
        open(sums + ".stalls", "w").write(str(stalls))
        time.sleep(0.1)
        continue
    with open(sums, "a") as file:
        file.write(hashlib.sha256(block).hexdigest() + "  " + name + chr(10))
    number += 1
    if share <= free + 1:
        time.sleep(len(block) / 1e6 / slow)
"""


def wait_for(what: Callable[[], Any], words: str, seconds: float = 60) -> Any:
    """What ``what`` returns once it is true. Raises ``DemoError``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.05)
    raise DemoError(f"{words}: not within {seconds} s")


class Receiver:
    """An HTTP server that takes signed webhooks; ``events``: what came, with the time, and only if the signature is right."""

    def __init__(self) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                moment = self.headers.get("X-Spot-Timestamp", "")
                mine = "sha256=" + hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
                genuine = hmac.compare_digest(mine, self.headers.get("X-Spot-Signature", ""))
                if genuine:
                    receiver.events += [(time.time(), one) for one in json.loads(body)["events"]]
                else:
                    receiver.refused += 1
                self.send_response(200 if genuine else 403)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        return [one for one in self.events if one[1]["kind"] == kind]


class Scene:
    """All that runs: the host with its volume, the monitoring, the listener, and the writer."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.sandbox = Sandbox("--seed", "1", "--regions", REGION)
        stack.callback(self.sandbox.stop)
        self.sandbox.post("/sandbox/volumes", modifying=1, optimizing=4)
        self.ec2 = self.sandbox.client("ec2", REGION)
        self.receiver = Receiver()
        stack.callback(self.receiver.server.shutdown)
        self.instance, self.volume = "", ""

    def make_host(self) -> None:
        """A host with an empty file system on a volume of 1 GiB."""
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        tags = [{"Key": f"spot.platform/{key}", "Value": value} for key, value in (("app", "shop"), ("environment", ENVIRONMENT))]
        made = self.ec2.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, InstanceType="m5.large", Placement={"AvailabilityZone": f"{REGION}a"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )  # fmt: skip
        self.instance = made["Instances"][0]["InstanceId"]
        self.sandbox.post("/sandbox/clock", advance=60)
        subprocess.run(["docker", "rm", "--force", CONTAINER], check=False, capture_output=True)
        self.host = Host(CONTAINER, self.instance)
        self.stack.callback(self.host.remove)
        disks = Disks(lambda region: self.sandbox.client("ec2", region), self.folder / "disks", {self.instance: CONTAINER}, [REGION])
        self.disks = self.stack.enter_context(disks)
        tags.append({"Key": "spot.platform/mount", "Value": MOUNT})
        self.volume = self.ec2.create_volume(
            AvailabilityZone=f"{REGION}a", Size=1, VolumeType="gp3", TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
        )["VolumeId"]
        self.ec2.attach_volume(VolumeId=self.volume, InstanceId=self.instance, Device="/dev/sdf")
        disks.follow()
        device = by_id(self.volume)
        # XFS, for ext4 does not let a container grow it without CAP_SYS_RESOURCE, which not every machine may give.
        self.host.sh(f"mkfs.xfs -q {device}; mkdir -p {MOUNT}; mount {device} {MOUNT}")
        self.stack.callback(subprocess.run, ["docker", "exec", CONTAINER, "umount", "--lazy", MOUNT], check=False, capture_output=True)

    def monitor(self) -> None:
        """Node exporter in the host, Prometheus with our rules, Alertmanager that posts to the listener."""
        address = json.loads(subprocess.run(["docker", "inspect", CONTAINER], check=True, capture_output=True, text=True).stdout)
        exporter = f"{address[0]['NetworkSettings']['Networks']['bridge']['IPAddress']}:9100"
        self.prometheus, alertmanager, self.listener_port = (free_port(0) for _each in range(3))
        rules = self.folder / "rules.yml"
        reload = {"name": "Reload Prometheus", "ansible.builtin.meta": "noop"}  # it has not started yet
        play = [{"hosts": "localhost", "gather_facts": False, "roles": ["spot.platform.volume_alerts"], "handlers": [reload]}]
        (self.folder / "rules-play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
        given = {"volume_alerts_file": str(rules), "volume_alerts_below_percent": BELOW, "volume_alerts_for": "0s"}
        given |= {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        self.run("ansible-playbook", str(self.folder / "rules-play.yml"), "-i", "localhost,", "-e", json.dumps(given))
        config: dict[str, Any] = {
            "global": {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{SCRAPE}s"},
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
            "scrape_configs": [
                {
                    "job_name": "hosts",
                    "static_configs": [
                        {"targets": [exporter], "labels": {"app": "shop", "region": REGION, "instance_id": self.instance}}
                    ],
                }
            ],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        config = {
            "route": {
                "receiver": "listener", "group_by": ["instance_id", "mountpoint"], "group_wait": f"{GROUP_WAIT}s",
                "group_interval": "2s", "repeat_interval": "1h",
            },
            "receivers": [
                {
                    "name": "listener",
                    "webhook_configs": [
                        {
                            "url": f"http://127.0.0.1:{self.listener_port}/",
                            "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
                        }
                    ],
                }
            ],
        }  # fmt: skip
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.start(
            "alertmanager", "prometheus-alertmanager", f"--config.file={self.folder / 'alertmanager.yml'}", "--cluster.listen-address=",
            f"--storage.path={self.folder / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{alertmanager}",
        )  # fmt: skip
        self.start(
            "prometheus", "prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
        )  # fmt: skip
        wait_for(lambda: self.percent_seen() is not None, "Prometheus has the file system's free space")

    def start(self, name: str, *command: str) -> None:
        """A program in the background, that ends with the demo."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)

    def run(self, *command: str, **environment: str) -> str:
        done = subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode:
            raise DemoError(f"{' '.join(command[:2])} ended with status {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return done.stdout

    def listen(self) -> None:
        """The rulebook, and the inventory that its playbooks work on."""
        os.environ |= {"SPOT_ACTIVITY_WEBHOOKS": self.receiver.url, "SPOT_ACTIVITY_WEBHOOK_SECRET": SECRET}
        folder = self.folder / "listener"
        folder.mkdir()
        self.listener = Listener(self.sandbox, folder)
        self.stack.callback(self.listener.kill)
        self.listener.app(
            {
                "name": "shop",
                "owner": "owner@example.com",
                "regions": [REGION],
                "capacity": {"unit": "instances", "min": 1, "max": 2},
                "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
                "volumes": [{"mount": MOUNT, "grow_below": BELOW, "free_percent": WANTED, "max_size": 50}],
            }
        )
        host = {
            "instance_id": self.instance, "app_name": "shop", "app_region": REGION, "ansible_host": CONTAINER, "ansible_user": "root",
            "ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3",
        }  # fmt: skip
        settings = {"spot_volume_growth": {"max_growth_percent": 1000}, "spot_prometheus": {"url": f"http://127.0.0.1:{self.prometheus}"}}
        hosts = {"all": {"hosts": {"shop-1": host}, "vars": settings}}
        (self.listener.inventory / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
        self.listener.start("spot.platform.volumes", spot_alertmanager_port=self.listener_port, spot_alertmanager_token=TOKEN)

    def play(self, name: str, **variables: str) -> None:
        """A playbook, as the scheduler runs it."""
        command = ["ansible-playbook", f"spot.platform.{name}", "-i", str(self.listener.inventory), "-e", json.dumps(variables)]
        self.run(*command, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_CALLBACKS_ENABLED="spot.platform.activity", **self.sandbox.env)

    def write(self) -> None:
        """Start the writer, which fills the disk to a little above what is to be free, and goes on slowly from there."""
        self.host.sh(f"cat > /root/writer.py <<'END'\n{WRITER}\nEND\necho '100 1' > /root/goal; touch /root/sums")
        self.host.sh(f"systemd-run --quiet --unit=writer python3 /root/writer.py {MOUNT} /root/sums /root/goal")

    def fill_to(self, percent: float) -> None:
        self.host.sh(f"echo '{percent} {SLOW}' > /root/goal.new; mv /root/goal.new /root/goal")

    def query(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus}/api/v1/{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def percent_seen(self) -> float | None:
        """What Prometheus knows of what is free."""
        try:
            found = self.query("query?query=spot:filesystem_free:percent")["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    def alert(self) -> dict[str, Any] | None:
        return next((one for one in self.query("alerts")["alerts"] if one["labels"]["alertname"] == "VolumeFilling"), None)

    def shown(self) -> os.statvfs_result:
        """The file system, as the kernel has it."""
        if not hasattr(self, "_seen_at"):
            state = json.loads(subprocess.run(["docker", "inspect", CONTAINER], check=True, capture_output=True, text=True).stdout)
            self._seen_at = f"/proc/{state[0]['State']['Pid']}/root{MOUNT}"
        return os.statvfs(self._seen_at)

    def free(self) -> float:
        shown = self.shown()
        return 100 * shown.f_bavail / shown.f_blocks

    def size(self) -> int:
        """GiB of the volume."""
        return int(self.ec2.describe_volumes(VolumeIds=[self.volume])["Volumes"][0]["Size"])

    def modified(self) -> int:
        return int(self.sandbox.get("/sandbox/calls")["services"].get("ec2", {}).get("ModifyVolume", 0))


def fill(scene: Scene, number: int) -> dict[str, float]:
    """Fill the disk and wait until it has grown; the moments of each leg."""
    handled = scene.listener.words().count("events of kind volume.filling")
    calls, blocks, told = scene.modified(), scene.shown().f_blocks, len(scene.receiver.of("filesystem.grown"))
    loop = Path("/sys/block", Path(scene.disks.loop(scene.volume) or "").name, "size")
    sectors = int(loop.read_text())
    scene.fill_to(BELOW)
    at: dict[str, float] = {}

    def reached(name: str, what: Callable[[], Any], seconds: float = 120) -> None:
        wait_for(what, f"fill {number}: {name}", seconds)
        at[name] = time.time()

    reached("crossed", lambda: scene.free() < BELOW)
    watchers = {
        "alert fires": lambda: (scene.alert() or {}).get("state") == "firing",
        "rulebook has it": lambda: scene.listener.words().count("events of kind volume.filling") > handled,
        "volume modified": lambda: scene.modified() > calls,
        "disk is larger": lambda: int(loop.read_text()) > sectors,
        "file system is larger": lambda: scene.shown().f_blocks > blocks,
        "webhook came": lambda: len(scene.receiver.of("filesystem.grown")) > told,
        "alert resolved": lambda: at.get("file system is larger") and scene.alert() is None,
    }
    threads = [threading.Thread(target=watched, args=(at, name, what)) for name, what in watchers.items()]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    missing = [name for name in watchers if name not in at]
    if missing:
        raise DemoError(f"fill {number}: {', '.join(missing)}: not within 120 s\n{scene.listener.words()[-4000:]}")
    return at


def watched(at: dict[str, float], name: str, what: Callable[[], Any]) -> None:
    """Keep the moment from which ``what`` is true."""
    try:
        wait_for(what, name, 120)
    except DemoError:
        return
    at[name] = time.time()


LEGS = {
    "scrape, and Prometheus' rule": ("crossed", "alert fires"),
    "Alertmanager's group wait, and the rulebook's window": ("alert fires", "rulebook has it"),
    "playbook until the volume is modified": ("rulebook has it", "volume modified"),
    "EBS until the host has the larger disk": ("volume modified", "disk is larger"),
    "playbook until the file system is larger": ("disk is larger", "file system is larger"),
    "from crossed to grown": ("crossed", "file system is larger"),
    "and until the webhook came": ("file system is larger", "webhook came"),
    "and until the alert was resolved": ("file system is larger", "alert resolved"),
}
OURS = ("playbook until the volume is modified", "playbook until the file system is larger")


def run(scene: Scene) -> dict[str, Any]:
    """The demo; returns what is recorded."""
    print("1. A host with a volume of 1 GiB, monitoring, and the listener", flush=True)
    scene.make_host()
    scene.monitor()
    scene.listen()
    scene.write()
    found, sizes = [], [1]
    for number in range(1, FILLS):
        print(f"\n{number + 1}. The disk of {sizes[-1]} GiB fills to {100 - BELOW} %", flush=True)
        found.append(fill(scene, number))
        sizes.append(scene.size())
        expect(sizes[-1] > sizes[-2], f"the volume has grown from {sizes[-2]} to {sizes[-1]} GiB, and the file system with it", sizes)
        expect(scene.free() >= WANTED - 5, f"{scene.free():.0f} % are free", scene.free())
        wait_for(lambda: scene.listener.words().count("PLAY RECAP") >= number, "the playbook ends")
    print(f"\n{FILLS + 1}. It fills again: the fifth modification within 24 hours, which EBS does not let begin", flush=True)
    scene.fill_to(BELOW)
    _when, deferred = wait_for(lambda: scene.receiver.of("volume.deferred"), "the webhook tells that it is deferred", 180)[-1]
    until = deferred["after"]["not_before"]
    expect(bool(until), f"the webhook tells that it cannot grow before {until}", deferred)
    expect(scene.size() == sizes[-1] and scene.modified() == FILLS - 1, "EBS was not asked a fifth time", scene.modified())
    wait_for(lambda: scene.listener.words().count("PLAY RECAP") >= FILLS, "the playbook ends")
    now = scene.sandbox.get("/sandbox/clock")["epoch"]
    print(f"  The sandbox's clock goes on to {until}; then the scheduled run comes.", flush=True)
    scene.sandbox.post("/sandbox/clock", advance=max(0.0, datetime.fromisoformat(until).timestamp() - now) + 1)
    scene.play("volume_grow")
    expect(scene.size() > sizes[-1], f"it has grown to {scene.size()} GiB", scene.size())
    sizes.append(scene.size())
    wait_for(lambda: scene.alert() is None, "the alert is resolved")
    report = scene.folder / "volumes.json"
    scene.play("volume_report", volume_report_file=str(report))
    (row,) = json.loads(report.read_text("utf-8"))
    expect(row["id"] == scene.volume and row["size_gib"] == sizes[-1] and row["used_bytes"] > 3 * 1024**3, "the report shows it", row)
    print("\nAll that was written, is it there?", flush=True)
    scene.host.sh("systemctl stop writer")
    lines = int(scene.host.sh("wc -l < /root/sums"))
    scene.host.sh("sync; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null || true; sha256sum --quiet --check /root/sums")
    stalls = int(scene.host.sh("cat /root/sums.stalls 2>/dev/null || echo 0"))
    expect(lines > 0, f"{lines} files have the checksums that they were written with", lines)
    print(f"  {stalls} writes found the disk full, and waited", flush=True)
    legs = {name: [round(at[end] - at[begin], 1) for at in found] for name, (begin, end) in LEGS.items()}
    return {"legs": legs, "sizes": sizes, "files": lines, "stalls": stalls, "refused": scene.receiver.refused}


def summary(report: dict[str, Any]) -> None:
    """The seconds of each leg."""
    print(f"\nSeconds, of {FILLS - 1} times (scraped every {SCRAPE} s, group wait {GROUP_WAIT} s)")
    for name, seconds in report["legs"].items():
        print(f"  {'  '.join(f'{one:6.1f}' for one in seconds)}   {name}")
    whole = sum(report["legs"]["from crossed to grown"])
    share = 100 * sum(sum(report["legs"][name]) for name in OURS) / whole
    print(f"  Ours are the playbook's two legs: {share:.0f} % of the time from crossed to grown.")
    print(f"\nThe volume had {', '.join(map(str, report['sizes']))} GiB.")


def main() -> int:
    parser = argparse.ArgumentParser(description=textwrap.shorten(__doc__ or "", 200))
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo-volumes", help="where logs and the report go")
    output = parser.parse_args().output.resolve()
    if os.environ.get("SPOT_HOSTS") or not os.environ.get("SPOT_HOST_IMAGE"):
        print(os.environ.get("SPOT_HOSTS") or "There is no engine: run make demo-volumes", file=sys.stderr)
        return 1
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with ExitStack() as stack:
        try:
            report = run(Scene(output, stack))
        except (DemoError, AssertionError) as error:  # an AssertionError: what a command in the host says
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
        (output / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        summary(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
