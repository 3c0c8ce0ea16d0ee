"""The engine's supply step beside the policies that people would pick instead, on recorded markets.

    python tests/bench/backtest.py [--traces DIR] [--target 3] [--od-ratio 3] [--cold-start 120] [--notice 0]
        [--windows 10 --window-hours 24 --seed 0 | --whole] [--profile NAME] [--json FILE]

DIR is a folder of traces, or one of such folders (default: those of ``SPOT_DATA``). Each row is a trace set under a
policy: availability, service, cost against all On-Demand, and loss(w) = cost + w (1 - service) for w = 3, 10 and 30.
The start of a fleet, before its first instances can serve, counts for no policy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from tests.bench.backtesting import baselines, simulator  # noqa: E402  the paths above come first
from tests.bench.backtesting.ours import WORTH, Ours  # noqa: E402
from tests.bench.common import DATA  # noqa: E402

BASELINES = {
    "all-on-demand": baselines.AllOnDemand,
    "static-mix": baselines.StaticMix,
    "round-robin": baselines.RoundRobin,
    "spothedge": baselines.SpotHedge,
}


def sets_of(folder: Path) -> list[Path]:
    """The folders of traces in ``folder``, or itself; raises ``ValueError`` where there are none."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not there: name a folder of traces with --traces, or their parent with SPOT_DATA"
        )
    found = sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.json")))
    return [folder] if any(folder.glob("*.json")) or not found else found


def row(job: tuple[Path, str, str | None, argparse.Namespace]) -> dict[str, Any]:
    """One row: a policy on a set."""
    folder, policy, profile, options = job
    trace = simulator.load(folder)
    whole = [(0, len(trace))]
    parts = whole if options.whole else simulator.windows(trace, options.windows, options.window_hours, options.seed)
    result = simulator.Outcome()
    for start, ticks in parts:
        stepped = Ours(profile) if profile else BASELINES[policy]()
        result.add(
            simulator.play(
                trace, stepped, start, ticks, options.target, options.od_ratio, options.cold_start, options.notice
            )
        )
    told = {
        "trace": folder.name,
        "policy": policy,
        "profile": profile,
        "notice": options.notice,
        "target": options.target,
    }
    return told | result.figures() | {"gap": trace.gap, "mode": "whole" if options.whole else "cold"}


def rows(folders: list[Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, side by side in as many processes as there are cores."""
    profiles = [options.profile] if options.profile else list(WORTH)
    kinds = [(name, None) for name in BASELINES] + [("spot.platform", profile) for profile in profiles]
    jobs = [(folder, policy, profile, options) for folder in folders for policy, profile in kinds]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(row, jobs))


def shown(found: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        f"{'trace':<14}{'policy':<30}{'avail %':>9}{'service %':>11}{'cost':>7}{'loss 3':>8}{'10':>7}{'30':>7}{'a day':>7}"
    ]
    for one in found:
        name = one["policy"] + (f" ({one['profile']})" if one["profile"] else "")
        lines.append(
            f"{one['trace']:<14}{name:<30}{100 * one['availability']:>9.2f}{100 * one['service']:>11.2f}{one['cost']:>7.3f}"
            f"{one['loss_3']:>8.3f}{one['loss_10']:>7.3f}{one['loss_30']:>7.3f}{one['launches_per_day']:>7.0f}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--traces", type=Path, default=DATA / "traces")
    parser.add_argument("--target", type=int, default=3)
    parser.add_argument("--od-ratio", type=float, default=3.0)
    parser.add_argument("--cold-start", type=float, default=120.0)
    parser.add_argument("--notice", type=float, default=0.0)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--window-hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--profile", choices=sorted(WORTH))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        found = rows(sets_of(options.traces), options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(shown(found))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"rows": found}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
