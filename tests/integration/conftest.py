"""Fixtures of the integration tests: a sandbox for each test file, and modules run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from ansible_collections.spot.platform.tests.integration.forking import Forking

ROOT = Path(__file__).resolve().parents[2]
REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-south-1")


class Sandbox:
    """A running sandbox: its ``url``, its control interface, and the environment in which clients find it."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spot_sandbox", "--port", "0", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sandbox")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(f"the sandbox did not start: exit code {self._process.wait()}, see its log above")
        self.url = line[line.index("http://") :].split()[0]
        self.env = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._session = boto3.session.Session()
        self._clients: dict[tuple[str, str], Any] = {}

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """``GET`` of a control path, as JSON."""
        return self._ask("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), None)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """``POST`` of keyword arguments as JSON; ``ValueError`` with the sandbox's words where it refuses."""
        return self._ask("POST", path, json.dumps(body).encode())

    def client(self, service: str, region: str = "us-east-1", **options: Any) -> Any:
        """A boto3 client for this sandbox; one without ``options`` is made once: to read a service's description takes long."""
        made = self._clients.get((service, region)) if not options else None
        if made is None:
            made = self._session.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
                **options,
            )
            if not options:
                self._clients[service, region] = made
        return made

    def stop(self) -> int:
        """Ask it to end, wait for it, and return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise ValueError(json.load(refused)["error"]) from None


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Sandbox]:
    running = Sandbox("--seed", "1", "--regions", ",".join(REGIONS))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sandbox(_sandbox: Sandbox) -> Sandbox:
    """The sandbox, empty at the start of each file."""
    _sandbox.post("/sandbox/reset")
    return _sandbox


@pytest.fixture
def fresh(sandbox: Sandbox) -> Sandbox:
    """The sandbox, empty at the start of the test."""
    sandbox.post("/sandbox/reset")
    return sandbox


@pytest.fixture(scope="session")
def _modules() -> Iterator[Forking]:
    running = Forking(ROOT, "modules")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def interpreter() -> Iterator[str]:
    """A Python for the modules of playbooks, with boto3 imported already."""
    running = Forking(ROOT, "libraries")
    yield running.interpreter
    running.stop()


@pytest.fixture
def run_module(sandbox: Sandbox, _modules: Forking) -> Callable[..., dict[str, Any]]:
    """``run_module(name, args, check=False, diff=False, env=None) -> result``.

    ``name`` is one of ours (``spot_capacity``) or fully qualified (``amazon.aws.ec2_vpc_net``). Runs the module's file
    as Ansible's own developer interface does, in a process of its own; a failure is a result with ``failed``.
    """

    def run(
        name: str, args: dict[str, Any], check: bool = False, diff: bool = False, env: dict[str, str] | None = None
    ) -> dict[str, Any]:
        namespace, collection, module = name.split(".") if "." in name else ("spot", "platform", name)
        arguments = {"ANSIBLE_MODULE_ARGS": {**args, "_ansible_check_mode": check, "_ansible_diff": diff}}
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            **sandbox.env,
            "PYTHONPATH": str(ROOT / ".collections"),
            **(env or {}),
        }
        name_in_python = f"ansible_collections.{namespace}.{collection}.plugins.modules.{module}"
        stdout, stderr = _modules.run(name_in_python, json.dumps(arguments), environment)
        try:
            return json.loads(stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"{name} answered no JSON:\n{stdout}\n{stderr}") from None

    return run
