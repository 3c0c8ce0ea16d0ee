"""A real ansible-rulebook beside the sandbox, with the activity file that its playbooks write."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = "sandbox"
QUEUE = f"spot-platform-{ENVIRONMENT}-events"


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


class Listener:
    """An ansible-rulebook with a rulebook of ours, and an inventory for the sandbox. ``folder`` keeps its inbox from one run to
    the next."""

    def __init__(self, sandbox: Any, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.inventory = folder / "inventory"
        (self.inventory / "apps").mkdir(parents=True)
        (self.inventory / "group_vars").mkdir()
        self._write("inventory/targets.spot.yml", {"plugin": "spot.platform.targets", "environment": ENVIRONMENT})
        keys = {"access_key": sandbox.env["AWS_ACCESS_KEY_ID"], "secret_key": sandbox.env["AWS_SECRET_ACCESS_KEY"]}
        self._write("inventory/group_vars/all.yml", {"spot_aws": {"endpoint_url": sandbox.url, **keys}})
        self.activity_file = folder / "activity.jsonl"
        self.log = folder / "rulebook.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")

    def app(self, manifest: dict[str, Any]) -> None:
        self._write(f"inventory/apps/{manifest['name']}.yml", manifest)

    def start(self, rulebook: str, **variables: Any) -> None:
        """Begin to listen; returns when it does."""
        self._write("vars.yml", {"spot_endpoint_url": self.sandbox.url, "spot_environment": ENVIRONMENT, "spot_inbox": str(self.folder / "inbox"), **variables})
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
        """End it, and the playbooks that it runs, on the spot."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
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
def listener(fresh: Any, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(fresh, tmp_path)
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

    def left(self, url: str | None = None) -> int:
        """Messages that are there, hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)
