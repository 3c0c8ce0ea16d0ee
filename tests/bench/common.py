"""What the benchmarks share: the record that each leaves in ``build/bench``, and the table of all of them.

``python tests/bench/common.py`` prints the table of what was recorded; it exits 0 also where a goal is missed.
"""

from __future__ import annotations

import json
import os
import platform
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
