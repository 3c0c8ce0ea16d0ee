# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drain hook that roles/app puts on instances, run for real against a small instance metadata service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "app" / "files" / "spot_drain.py"
ACTION = "/latest/meta-data/spot/instance-action"
LIFECYCLE = "/latest/meta-data/autoscaling/target-lifecycle-state"


class Metadata:
    """IMDSv2: what is in ``paths`` is told to who has a token; ``broken``: it answers with errors."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self.broken = False
        self.token = 0
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, text: str = "") -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self) -> None:
                known = self.headers["X-aws-ec2-metadata-token-ttl-seconds"] and self.path == "/latest/api/token"
                self.answer(200 if known else 400, f"token-{outer.token}")

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if outer.broken:
                    self.answer(500)
                elif self.headers["X-aws-ec2-metadata-token"] != f"token-{outer.token}":
                    self.answer(401)
                else:
                    self.answer(200 if self.path in outer.paths else 404, outer.paths.get(self.path, ""))

            def log_message(self, *_words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def interrupt(self, seconds: float) -> None:
        at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        self.paths[ACTION] = f'{{"action": "terminate", "time": "{at:%Y-%m-%dT%H:%M:%SZ}"}}'


class Hook:
    """The script at work in a folder, with what it wrote."""

    def __init__(self, metadata: Metadata, folder: Path) -> None:
        self.metadata = metadata
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        stop = folder / "stop"
        stop.write_text('#!/bin/sh\necho "stopped $1" >> events\n')
        stop.chmod(0o755)

    def start(self, drain: str | None = None, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        told = {
            "SPOT_METADATA": self.metadata.url,
            "SPOT_POLL": "0.1",
            "SPOT_UNIT": "web.service",
            "SPOT_STOP": str(self.folder / "stop"),
            "RUNTIME_DIRECTORY": str(self.folder),
            "http_proxy": "http://127.0.0.1:9",
            **settings,
        }
        if drain is not None:
            (self.folder / "drain.sh").write_text(drain)
            told["SPOT_DRAIN"] = str(self.folder / "drain.sh")
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    @property
    def events(self) -> list[str]:
        path = self.folder / "events"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.events
            time.sleep(0.02)


@pytest.fixture
def hook(tmp_path: Path) -> Any:
    made = Hook(Metadata(), tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
    made.metadata.server.shutdown()
    made.metadata.server.server_close()


def test_it_waits_while_nobody_tells_the_instance_to_go(hook: Hook) -> None:
    process = hook.start("echo drained >> events")
    hook.metadata.paths[LIFECYCLE] = "InService"
    hook.until(lambda: len(hook.metadata.asked) > 6)
    assert process.poll() is None and hook.events == []


@pytest.mark.parametrize("why", ["interruption", "Terminated"])
def test_told_to_go_it_drains_then_stops_the_application_and_says_so(hook: Hook, why: str) -> None:
    process = hook.start("echo drained >> events")
    hook.until(lambda: hook.metadata.asked)
    if why == "Terminated":
        hook.metadata.paths[LIFECYCLE] = why
    else:
        hook.metadata.interrupt(120)
    said, _nothing = process.communicate(timeout=20)
    assert process.returncode == 0 and hook.events == ["drained", "stopped web.service"]
    assert "told to go in 1" in said and "the drain command has ended" in said and "web.service has stopped" in said


def test_without_a_drain_command_the_application_is_just_stopped(hook: Hook) -> None:
    hook.metadata.interrupt(120)
    assert hook.start().wait(20) == 0 and hook.events == ["stopped web.service"]


def test_a_drain_command_that_hangs_is_ended_with_all_that_it_started(hook: Hook) -> None:
    hook.metadata.interrupt(120)
    process = hook.start("(sleep 300; echo late >> events) & sleep 300", SPOT_DRAIN_SECONDS="1")
    said, _nothing = process.communicate(timeout=20)
    assert "took more than 1 s" in said and hook.events == ["stopped web.service"]
    assert subprocess.run(["pgrep", "-f", str(hook.folder)], check=False, capture_output=True).stdout == b""


def test_a_drain_command_that_fails_does_not_keep_the_application_from_its_stop(hook: Hook) -> None:
    hook.metadata.interrupt(120)
    said, _nothing = hook.start("exit 3").communicate(timeout=20)
    assert "the drain command failed" in said and hook.events == ["stopped web.service"]


def test_little_time_is_left_to_both(hook: Hook) -> None:
    hook.metadata.interrupt(8)
    began = time.monotonic()
    hook.start("sleep 60", SPOT_DRAIN_SECONDS="30").communicate(timeout=20)
    assert time.monotonic() - began < 7 and hook.events == ["stopped web.service"]


def test_behind_a_load_balancer_the_application_goes_on_until_little_time_is_left(hook: Hook) -> None:
    hook.metadata.interrupt(10)
    process = hook.start("echo drained >> events", SPOT_STOP_LEFT="1")
    hook.until(lambda: hook.events)
    assert hook.events == ["drained"] and process.poll() is None, "it serves what still comes"
    assert process.wait(20) == 0 and hook.events == ["drained", "stopped web.service"]


def test_killed_and_started_again_it_drains_once(hook: Hook) -> None:
    hook.metadata.interrupt(120)
    process = hook.start("echo drained >> events; sleep 4")
    hook.until(lambda: hook.events)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert hook.start("echo drained >> events").wait(20) == 0
    assert hook.events == ["drained", "stopped web.service"]


def test_when_the_machine_shuts_down_it_drains_at_once_and_only_once(hook: Hook) -> None:
    for _each in range(2):
        assert hook.start("echo drained >> events", "now").wait(20) == 0
    assert hook.events == ["drained"] and hook.metadata.asked == [], "systemd stops the application itself"


def test_a_shutdown_waits_for_a_drain_that_is_at_work(hook: Hook) -> None:
    hook.metadata.interrupt(120)
    first = hook.start("echo begun >> events; sleep 2; echo drained >> events")
    hook.until(lambda: hook.events)
    assert hook.start(None, "now", SPOT_DRAIN=str(hook.folder / "drain.sh")).wait(20) == 0
    assert hook.events[:2] == ["begun", "drained"]
    assert first.wait(20) == 0


def test_metadata_that_fails_or_wants_a_new_token_is_asked_again(hook: Hook) -> None:
    process = hook.start()
    hook.until(lambda: hook.metadata.asked)
    hook.metadata.broken = True
    asked = len(hook.metadata.asked)
    hook.until(lambda: len(hook.metadata.asked) > asked + 5)
    hook.metadata.broken = False
    hook.metadata.token += 1
    hook.metadata.interrupt(120)
    said, _nothing = process.communicate(timeout=20)
    assert said.count("cannot read the instance metadata") == 1, "once, not at every attempt"
    assert hook.events == ["stopped web.service"]


@pytest.mark.parametrize("text", ["{", "{}", '{"action": "terminate", "time": "soon"}', "[]"])
def test_what_nobody_understands_stops_nothing(hook: Hook, text: str) -> None:
    hook.metadata.paths[ACTION] = text
    process = hook.start()
    hook.until(lambda: len(hook.metadata.asked) > 5)
    assert process.poll() is None and hook.events == []
