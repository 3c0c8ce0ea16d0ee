"""What the benchmarks share: the record that each leaves in ``build/bench``, and the table of all of them.

``python tests/bench/common.py`` prints the table of what was recorded; it exits 0 also where a goal is missed.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "build" / "bench"
DATA = Path(os.environ.get("SPOT_DATA", ROOT.parent / "shared" / "data"))
"""Traces and prices that are not in the repository; their README has the sources."""


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or a processor that does not say its name
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


@contextmanager
def sandbox(*arguments: str) -> Iterator[str]:
    """A sandbox of seed 1 in us-east-1, while the context lasts: its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "spot_sandbox", "--port", "0", "--seed", "1", "--regions", "us-east-1", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sandbox")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline() if server.stdout else ""
        if "http://" not in line:
            raise RuntimeError(f"the sandbox did not start: exit code {server.wait()}")
        yield line[line.index("http://") :].split()[0]
    finally:
        server.terminate()
        server.wait(10)


def ask(url: str, path: str, **body: Any) -> dict[str, Any]:
    """The sandbox's control interface: POST with a body, GET without."""
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url + path, data=data), timeout=300) as answer:
        return json.load(answer)


def calls(url: str) -> dict[str, int]:
    """The API calls since the counts were reset, by service and operation."""
    services = ask(url, "/sandbox/calls")["services"]
    return {f"{service}:{name}": count for service, names in services.items() for name, count in names.items()}


def clean_environment(url: str) -> dict[str, str]:
    """The environment in which our modules and Ansible's find the sandbox, and nothing else of AWS."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def record(name: str, figures: dict[str, Any], goal: str, met: bool) -> dict[str, Any]:
    """Write ``build/bench/<name>.json`` and return what it holds. ``goal`` is a sentence, ``met`` its truth."""
    result = {"name": name, "machine": machine(), "figures": figures, "goal": goal, "met": bool(met)}
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def table() -> str:
    """All records as text: a line for the goal, one for each figure."""
    lines = []
    for path in sorted(RECORDS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "met" not in result:
            continue  # rows of a backtest that was no report
        lines.append(f"{'met   ' if result['met'] else 'MISSED'}  {result['name']}: {result['goal']}")
        width = max((len(key) for key in result["figures"]), default=0)
        lines += [f"          {key.ljust(width)}  {_shown(value)}" for key, value in result["figures"].items()]
    return "\n".join(lines) or f"no benchmark was recorded in {RECORDS.relative_to(ROOT)}: run `make bench`"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_shown(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(table())
