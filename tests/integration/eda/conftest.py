"""A real ansible-rulebook beside the sandbox, with the activity file that its playbooks write, and an application."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.tests.integration.modules import balanced
from ansible_collections.spot.platform.tests.integration.modules.groups import advance, make, serving, spot_members

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = "sandbox"
QUEUE = f"spot-platform-{ENVIRONMENT}-events"
REGION = "us-east-1"
QUEUES = [{"name": QUEUE, "region": REGION}]
APP = {
    "name": "web",
    "owner": "owner@example.com",
    "regions": [REGION],
    "capacity": {"unit": "vcpus", "min": 2, "max": 20, "instance_types": ["m5.large"]},
    "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], words: str, seconds: float = 60) -> Any:
    """What ``what`` returns, once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{words}: not within {seconds} s")


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not: playbooks run in sessions of their own."""
    parents = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents.append((int(stat.parent.name), int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])))
    found = [pid]
    for one in found:
        found += [child for child, parent in parents if parent == one]
    return found


class Listener:
    """An ansible-rulebook with a rulebook of ours, and an inventory for the sandbox, whose modules run in ``interpreter``.
    ``folder`` keeps its inbox from one run to the next."""

    def __init__(self, sandbox: Any, folder: Path, interpreter: str, environment: str = ENVIRONMENT) -> None:
        self.sandbox, self.folder, self.environment = sandbox, folder, environment
        self.inventory = folder / "inventory"
        (self.inventory / "apps").mkdir(parents=True)
        (self.inventory / "group_vars").mkdir()
        (self.inventory / "host_vars").mkdir()
        self._write("inventory/targets.spot.yml", {"plugin": "spot.platform.targets", "environment": environment})
        keys = {"access_key": sandbox.env["AWS_ACCESS_KEY_ID"], "secret_key": sandbox.env["AWS_SECRET_ACCESS_KEY"]}
        self._write("inventory/group_vars/all.yml", {"spot_aws": {"endpoint_url": sandbox.url, **keys}})
        self._write("inventory/host_vars/localhost.yml", {"ansible_python_interpreter": interpreter})
        self.activity_file = folder / "activity.jsonl"
        self.log = folder / "rulebook.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")

    def app(self, manifest: dict[str, Any]) -> None:
        self._write(f"inventory/apps/{manifest['name']}.yml", manifest)

    def start(self, rulebook: str, **variables: Any) -> None:
        """Begin to listen; returns when it does."""
        common = {"spot_endpoint_url": self.sandbox.url, "spot_environment": self.environment, "spot_inbox": str(self.folder / "inbox")}
        self._write("vars.yml", common | variables)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
        before = self.log.read_text(encoding="utf-8").count(READY) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).parent / "ansible-rulebook"),
                    *("--rulebook", rulebook, "-i", str(self.inventory), "--vars", str(self.folder / "vars.yml"), "-v"),
                ],
                cwd=ROOT,
                env={
                    **clean,
                    **self.sandbox.env,
                    "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}",
                    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
                    "ANSIBLE_CALLBACKS_ENABLED": "spot.platform.activity",
                    "ANSIBLE_NOCOLOR": "1",
                    "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                    "SPOT_ACTIVITY_FILE": str(self.activity_file),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: self.words().count(READY) > before or self._process.poll() is not None, "the rulebook starts")
        assert self._process.poll() is None, self.words()

    def words(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def kill(self) -> None:
        """End it, and the playbooks that it runs, on the spot, as systemd does with a control group."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)  # so that it starts no other meanwhile
            for one in family(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, as systemd does."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def activity(self, kind: str = "") -> list[dict[str, Any]]:
        """The activity events so far."""
        lines = self.activity_file.read_text(encoding="utf-8").splitlines() if self.activity_file.exists() else []
        return [one for one in map(json.loads, lines) if one["kind"].startswith(kind)]


READY = "Waiting for events"


@pytest.fixture
def listener(fresh: Any, tmp_path: Path, interpreter: str) -> Iterator[Listener]:
    made = Listener(fresh, tmp_path, interpreter)
    yield made
    made.kill()


class Mailbox:
    """A queue with its dead-letter queue, in a region of the sandbox."""

    def __init__(self, sandbox: Any, region: str, name: str = QUEUE, receives: int = 5) -> None:
        self.client, self.region, self.name = sandbox.client("sqs", region), region, name
        self.dead = self.client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = self.client.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(receives)})
        self.url = self.client.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]

    @property
    def as_variable(self) -> dict[str, str]:
        return {"name": self.name, "region": self.region}

    def send(self, *messages: Any) -> None:
        for begin in range(0, len(messages), 10):
            entries = [
                {"Id": str(number), "MessageBody": one if isinstance(one, str) else json.dumps(one)}
                for number, one in enumerate(messages[begin : begin + 10])
            ]
            self.client.send_message_batch(QueueUrl=self.url, Entries=entries)

    def redrive(self) -> None:
        """Move the dead letters back, as StartMessageMoveTask does, which moto has not: they are new messages."""
        while found := self.client.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                self.send(one["Body"])
                self.client.delete_message(QueueUrl=self.dead, ReceiptHandle=one["ReceiptHandle"])

    def left(self, url: str | None = None) -> int:
        """Messages that are there, hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


class Scene:
    """An application behind a target group, whose events come to a queue and a topic."""

    def __init__(self, sandbox: Any, listener: Listener, run_module: Any) -> None:
        self.sandbox, self.listener = sandbox, listener
        make(sandbox)
        self.target_group = balanced.balance(sandbox)
        sandbox.client("elbv2", REGION).modify_target_group_attributes(
            TargetGroupArn=self.target_group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        )
        advance(sandbox, 300)
        routed = run_module("event_routing", {"environment": ENVIRONMENT, "regions": [REGION]})
        assert not routed.get("failed"), routed
        self.topic = routed["regions"][0]["topic_arn"]
        listener.app(APP)

    def left(self, queue: str = QUEUE) -> int:
        """Messages that are in a queue, hidden or not."""
        sqs = self.sandbox.client("sqs", REGION)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def interrupt(self, count: int = 2) -> list[str]:
        """Notices for instances that serve; returns their ids."""
        victims = self.members()[:count]
        assert len(victims) == count
        self.sandbox.post("/sandbox/interrupt", instance_ids=victims)
        return victims

    def replaced_and_drained(self, victims: list[str]) -> None:
        """Wait until they are out of the target group and what replaces them serves."""
        wait_for(lambda: not set(victims) & balanced.serving(self.sandbox, self.target_group), "they are drained", 120)
        wait_for(lambda: serving(self.sandbox) >= 8, "what replaces them serves", 120)

    def handled(self, victims: list[str]) -> None:
        """Wait until they are out of the target group, and were told of once; what replaces them serves."""
        self.replaced_and_drained(victims)
        wait_for(lambda: set(self.told()) >= set(victims), "they are in the activity", 180)
        assert self.told() == Counter(victims)

    def members(self) -> list[str]:
        """Spot Instances that serve."""
        return sorted(set(spot_members(self.sandbox)) & balanced.serving(self.sandbox, self.target_group))

    def replaced(self) -> Counter[str]:
        """How often each was told of as replaced for its health."""
        return Counter(one for event in self.listener.activity("health.replaced") for one in event["after"]["ids"])

    def waiting(self) -> set[str]:
        """Those that are unhealthy and wait."""
        return {one for event in self.listener.activity("health.waiting") for one in event["after"]["ids"]}

    def told(self) -> Counter[str]:
        """How often each was told of as handled."""
        return Counter(one for event in self.listener.activity("interruption.handled") for one in event["after"]["ids"])


@pytest.fixture
def scene(fresh: Any, listener: Listener, run_module: Any) -> Scene:
    return Scene(fresh, listener, run_module)
