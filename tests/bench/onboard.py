"""`app_onboard` for one application in one region, cold and again: seconds, tasks, API calls, the ten largest tasks.

``python tests/bench/onboard.py`` starts a sandbox and onboards the sandbox's web application in eu-west-1, twice. The
second run must change nothing and write nothing.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import ROOT, record, table  # noqa: E402 - the repository's root has to be on the path first

REGION = "eu-west-1"
GOAL = 60.0
READING = ("Describe", "Get", "List")


def ask(url: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """The sandbox's control interface: POST with a body, GET without."""
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body), timeout=60) as answer:
        return json.load(answer)


def project(folder: Path, url: str) -> Path:
    """An inventory with the sandbox's web application, in one region."""
    source = ROOT / "inventories" / "sandbox" / "apps"
    manifest = yaml.safe_load((source / "web.yml").read_text(encoding="utf-8"))
    manifest["regions"] = [REGION]
    manifest["runtime"]["source"] = str(Path(os.path.relpath(source / "web", folder / "apps")))
    keys = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "not-a-secret"}
    files = {
        "targets.spot.yml": {"plugin": "spot.platform.targets", "environment": "bench"},
        "apps/web.yml": manifest,
        "group_vars/all.yml": {"spot_aws": {"endpoint_url": url, **keys}},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "targets.spot.yml"


def cpu() -> float:
    """CPU seconds of all that ran and ended: what a busy machine does not change much."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def onboard(inventory: Path, url: str) -> dict[str, Any]:
    """One run: its figures."""
    ask(url, "/sandbox/calls/reset", b"{}")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
    wanted = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks", "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "10"}
    started, spent = time.perf_counter(), cpu()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "spot.platform.app_onboard", "-i", str(inventory)],
        cwd=ROOT,
        env={**clean, **wanted, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"app_onboard failed:\n{done.stdout}\n{done.stderr}")
    recap = re.findall(r"ok=(\d+)\s+changed=(\d+)", done.stdout)
    calls = ask(url, "/sandbox/calls")
    counts = [(name, count) for service in calls["services"].values() for name, count in service.items()]
    largest = re.findall(r"^(\S.*?) -+ +([0-9.]+)s$", done.stdout, re.MULTILINE)[:10]
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu() - spent, 1),
        "tasks": sum(int(ok) for ok, _changed in recap),
        "changed": sum(int(changed) for _ok, changed in recap),
        "api_calls": calls["total"],
        "writes": sum(count for name, count in counts if not name.startswith(READING)),
        "largest": {name.split(" : ")[-1]: float(figure) for name, figure in largest},
    }


def main() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sandbox")}
    command = [sys.executable, "-m", "spot_sandbox", "--port", "0", "--seed", "1", "--regions", f"us-east-1,{REGION}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            assert sandbox.stdout is not None
            url = next(word for word in sandbox.stdout.readline().split() if word.startswith("http"))
            with tempfile.TemporaryDirectory() as folder:
                inventory = project(Path(folder), url)
                figures = {"cold": onboard(inventory, url), "again": onboard(inventory, url)}
        finally:
            sandbox.terminate()
    again = figures["again"]
    met = again["changed"] == 0 and again["writes"] == 0 and figures["cold"]["seconds"] <= GOAL
    record(
        "onboard",
        {f"{run}_{name}": value for run, values in figures.items() for name, value in values.items()},
        f"one application cold within {GOAL:.0f} s; again changes and writes nothing",
        met,
    )
    print(table())


if __name__ == "__main__":
    main()
