# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python in forks of a process that has imported boto3 and read the descriptions of services: most of a module's run.

``python forking.py ADDRESS WHAT`` listens. A request is JSON with its length before it, and three open files, the
standard input, output and error. Each run is a process of its own, as ``__main__``, with the environment and folder that
the request names; it knows nothing of the runs before it and ends when the connection does.

WHAT is ``libraries``, for what `ansible-playbook` runs, which brings all of Ansible's and ours with it, or ``modules``,
for modules that are run from their files: all ``module_utils`` are imported then.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import boto3.session
from botocore import loaders
from botocore.exceptions import UnknownServiceError

SERVICES = (
    *("autoscaling", "cloudwatch", "dynamodb", "ec2", "elbv2", "events", "iam", "kms", "pricing", "route53"),
    *("savingsplans", "sesv2", "sns", "sqs", "ssm", "sts"),
)
"""Whose descriptions are read before the first fork; those of others when a run needs them."""
PACKAGES = (
    "ansible_collections.amazon.aws.plugins.module_utils",
    "ansible_collections.spot.platform.plugins.module_utils",
)
LAUNCHER = f"""#!{sys.executable} -IS
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
client.connect(os.path.dirname(os.path.realpath(__file__)) + "/socket")
asked = json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
socket.send_fds(client, [len(asked).to_bytes(8, "big")], [0, 1, 2])
client.sendall(asked)
sys.exit(int.from_bytes(client.recv(1) or b"\\1", "big"))
"""
"""An interpreter for ``ansible_python_interpreter``."""


class Forking:
    """The process. ``interpreter``: a Python that takes a script, or has it from its standard input."""

    def __init__(self, root: Path, what: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="forking-")
        self.interpreter = f"{self._folder.name}/python"
        Path(self.interpreter).write_text(LAUNCHER, encoding="utf-8")
        os.chmod(self.interpreter, 0o700)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
        self._process = subprocess.Popen(
            [sys.executable, __file__, f"{self._folder.name}/socket", what],
            env={**clean, "PYTHONPATH": str(root / ".collections") if what == "modules" else ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"it did not start: exit code {self._process.wait()}, see its log above")

    def run(self, module: str, given: str, environment: dict[str, str]) -> tuple[str, str]:
        """``python -m module``; returns its standard output and error."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            stdin.write(given.encode())
            stdin.seek(0)
            asked = {"arguments": ["-m", module], "folder": os.getcwd(), "environment": environment}
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(f"{self._folder.name}/socket")
                content = json.dumps(asked).encode()
                files = [one.fileno() for one in (stdin, stdout, stderr)]
                socket.send_fds(client, [len(content).to_bytes(8, "big")], files)
                client.sendall(content)
                client.recv(1)
            return _all_of(stdout), _all_of(stderr)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._folder.cleanup()


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def load(packages: tuple[str, ...]) -> None:
    """Import what runs need, and read the descriptions of services, which a run does anew for each of its clients."""
    for package in packages:
        for one in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            import_module(one.name)
    read = functools.cache(loaders.JSONFileLoader().load_file)
    loaders.JSONFileLoader.load_file = lambda _self, path: read(path)
    session = boto3.session.Session("none", "none", region_name="us-east-1")
    for service in SERVICES:
        session.client(service)
        for what in ("paginators-1", "waiters-2"):
            with suppress(UnknownServiceError, loaders.DataNotFoundError):  # that has none
                session._loader.load_service_model(service, what)


def become(asked: dict[str, Any], files: list[int]) -> None:
    """Run what was asked for."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["arguments"][:1] == ["-m"]:
        sys.argv = asked["arguments"][1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif asked["arguments"]:
        sys.argv = asked["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.argv = [""]
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec"), sys.modules["__main__"].__dict__)


def end_with(connection: socket.socket) -> None:
    """Nobody waits for a run whose connection has ended."""
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def fork(connection: socket.socket) -> None:
    """In the fork: serve one request, and end."""
    code = 1
    try:
        length, files, _flags, _address = socket.recv_fds(connection, 8, 3)
        content = connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
        threading.Thread(target=end_with, args=(connection,), daemon=True).start()
        become(json.loads(content), files)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.send(bytes([code & 255]))
        os._exit(code)


def serve(address: str, what: str) -> None:
    sys.path.pop(0)  # the folder of this file, which no run has
    load(PACKAGES if what == "modules" else ())
    gc.collect()
    gc.freeze()  # nothing of it goes, so no run need look at it
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen(32)
        os.write(1, b"ready\n")
        while True:
            connection, _address = server.accept()
            if not os.fork():
                server.close()
                fork(connection)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass  # those that have ended


if __name__ == "__main__":
    serve(*sys.argv[1:])
