# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run gates, each a target of the Makefile, as many at a time as there are cores, and sum up.

``python tests/gates/run.py [gate ...]``, default all. What a gate prints goes to ``build/gates/<gate>.log``; the end of a
failed one is shown. The last line is ``N passed, N failed``; the exit status is 1 when one failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "gates"

GATES = {  # the cores that each keeps busy; those that take long come first
    "integration": 2,
    "demo-check": 2,
    "page": 2,
    "sanity": 1,
    "molecule": 1,
    "lint": 1,
    "units": 1,
    "importer": 1,
    "docs": 1,
    "contract": 1,
    "changelog": 1,
}

HEARTBEAT = 30
"""Seconds between two signs of life."""

TAIL = 40
"""Lines of a failed gate's output that are shown."""


@dataclass
class Run:
    """A gate under way or over."""

    gate: str
    process: subprocess.Popen[bytes]
    started: float
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        """What the gate printed."""
        return LOGS / f"{self.gate}.log"

    def last_lines(self, count: int) -> list[str]:
        """The end of what the gate printed."""
        return self.log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-count:]


def start(gate: str) -> Run:
    """Start ``make <gate>`` with its output in its log."""
    print(f"  started  {gate}", flush=True)
    with open(LOGS / f"{gate}.log", "wb") as log:
        process = subprocess.Popen(["make", gate], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return Run(gate, process, time.monotonic())


def finish(run: Run) -> None:
    """Note and tell how a gate ended."""
    run.seconds = time.monotonic() - run.started
    outcome = "FAILED" if run.process.returncode else "passed"
    print(f"  {outcome}   {run.gate} ({run.seconds:.0f} s)", flush=True)
    if run.process.returncode:
        print(*(f"    {run.gate} | {line}" for line in run.last_lines(TAIL)), sep="\n", flush=True)


def run_all(gates: list[str]) -> list[Run]:
    """Run the gates; all of them, also after a failure."""
    cores = max(2, os.cpu_count() or 2)
    waiting, running, done = list(gates), [], []
    told = time.monotonic()
    try:
        while waiting or running:
            free = cores - sum(GATES[run.gate] for run in running)
            if waiting and GATES[waiting[0]] <= free:
                running.append(start(waiting.pop(0)))
                continue
            time.sleep(0.2)
            for run in [run for run in running if run.process.poll() is not None]:
                running.remove(run)
                done.append(run)
                finish(run)
            if time.monotonic() - told > HEARTBEAT:
                told = time.monotonic()
                for run in running:
                    print(
                        f"  running  {run.gate} ({told - run.started:.0f} s): {''.join(run.last_lines(1))[:100]}",
                        flush=True,
                    )
    finally:
        for run in running:
            run.process.terminate()
    return done


def main() -> int:
    """Run the gates that the command line names."""
    gates = sys.argv[1:] or list(GATES)
    unknown = sorted(set(gates) - set(GATES))
    if unknown:
        print(f"no such gate: {', '.join(unknown)}; there are {', '.join(GATES)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    done = run_all(gates)
    failed = [run for run in done if run.process.returncode]
    print(f"\n{'gate':<14}{'outcome':<10}{'seconds':>8}")
    for run in done:
        print(f"{run.gate:<14}{'FAILED' if run in failed else 'passed':<10}{run.seconds:>8.0f}")
    print(f"{'all':<24}{time.monotonic() - started:>8.0f}")
    for run in failed:
        print(
            f"FAILED: {run.gate}; its whole output is in build/gates/{run.gate}.log; run it alone with: make {run.gate}"
        )
    print(f"{len(done) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
