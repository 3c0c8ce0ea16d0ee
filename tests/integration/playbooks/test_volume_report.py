"""volume_report against the sandbox: every volume of the environment, whatever cannot be asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENVIRONMENT, REGION, WORKER, Project


@pytest.fixture
def volume(project: Project) -> str:
    """A volume of an application, and one of nobody."""
    project.app(WORKER)
    ec2 = project.sandbox.client("ec2", REGION)
    zone = f"{REGION}a"
    tags = {"spot.platform/environment": ENVIRONMENT, "spot.platform/app": "worker", "spot.platform/mount": "/srv/data"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2.create_volume(AvailabilityZone=zone, Size=7, VolumeType="gp3")
    named = [{"ResourceType": "volume", "Tags": listed}]
    return str(ec2.create_volume(AvailabilityZone=zone, Size=20, VolumeType="gp3", TagSpecifications=named)["VolumeId"])


@pytest.fixture
def prometheus() -> Iterator[Any]:
    """What answers in its place, 503 until ``answer`` is set; ``asked``: the queries."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            self.send_response(200 if server.answer else 503)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(server.answer).encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answer = [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_every_volume_of_the_environment_is_shown(project: Project, volume: str, prometheus: Any, tmp_path: Path) -> None:
    file = tmp_path / "volumes.json"
    url = f"http://127.0.0.1:{prometheus.server_port}"
    project.sandbox.post("/sandbox/calls/reset")
    run = project.play("volume_report", spot_prometheus={"url": url}, volume_report_file=str(file))
    assert run.code == 0, run.output
    (row,) = json.loads(file.read_text("utf-8"))
    assert (row["id"], row["app"], row["mount"], row["size_gib"], row["may_change"]) == (volume, "worker", "/srv/data", 20, True)
    assert row["used_bytes"] is None and "What is used of 1 of 1 is not known" in run.words
    assert "Prometheus does not tell how the volumes fill" in run.words and len(prometheus.asked) == 1
    assert project.writes() == [], "nothing is changed"

    project.sandbox.client("ec2", REGION).modify_volume(VolumeId=volume, Size=30)
    prometheus.answer = {"status": "success", "data": {"resultType": "vector", "result": []}}
    run = project.play("volume_report", spot_prometheus={"url": url})
    assert run.code == 0 and "Prometheus does not tell" not in run.words and "a modification is" in run.words, run.output


def test_without_applications_it_says_what_is_missing(project: Project) -> None:
    run = project.play("volume_report")
    assert run.code != 0 and "The inventory has no targets" in run.words
