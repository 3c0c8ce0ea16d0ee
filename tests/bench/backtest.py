"""The engine's supply step beside the policies that people would pick instead, on recorded markets.

    python tests/bench/backtest.py --traces DIR --target 3 --od-ratio 3 --cold-start 120 --notice 0
        [--windows 10 --window-hours 24 --seed 0 | --whole] [--profile P ..] [--policy NAME ..] [--gap S]
        [--prices] [--od-price USD] [--json FILE] [--html FILE] [--images DIR]

DIR is a folder of traces, or one of such folders (default: those of ``SPOT_DATA``). A trace is a JSON file for each zone,
``{"metadata": {"gap_seconds": 195}, "data": [0, 1, ..], "prices": [..]}``: the room at each tick, 0 and 1 for closed and
open without limit, or numbers of instances; prices (USD an hour) are optional. A Spot Instance costs 1 and one On-Demand
``--od-ratio``; with ``--prices`` Spot costs its traced price as a multiple of the mean one, and ``--od-price`` takes the
ratio from the real On-Demand price. --target and --notice take several values.

Each row is a policy on a set: availability (share of ticks at the target), service (share of the target served), cost (of
the target On-Demand), loss(w) = cost + w (1 - service) for w = 3, 10 and 30, launches a day, the longest shortfall in
seconds. The ticks of the fleet's first cold start count for nobody's availability or service; their cost does.

``--report`` (`make bench-backtest`) plays all sets with targets 3 and 12, with and without notice, in cold windows and as
a whole, and writes build/bench/backtest.json, with the record of the goals, and build/bench/backtest.html.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from tests.bench.backtesting import goals, page, runs  # noqa: E402  the paths above come first
from tests.bench.common import DATA, RECORDS, record  # noqa: E402

SOURCE = "https://github.com/skypilot-org/spot-traces"


def sets_of(folder: Path) -> list[Path]:
    """The folders of traces in ``folder``, or itself; raises ``ValueError`` where there are none."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not there. Name a folder of traces with --traces, or set SPOT_DATA to the folder that has "
            f"traces/<set>/<zone>.json; the sets come from {SOURCE}"
        )
    found = sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.json")))
    return [folder] if any(folder.glob("*.json")) or not found else found


def planned(options: argparse.Namespace) -> list[runs.Run]:
    """All that is to be run; raises ``ValueError`` for what cannot be."""
    folders = sets_of(options.traces)
    if options.od_price and len(folders) > 1:
        raise ValueError(f"--od-price is of one instance type, {options.traces} holds {len(folders)} sets: name one")
    markets = [runs.Market(one, options.gap, options.od_ratio, options.od_price, options.prices) for one in folders]
    modes = (False, True) if options.report else (options.whole,)
    spells = [runs.Spell(options.windows, options.window_hours, options.seed, whole) for whole in modes]
    for market in markets:
        for spell in spells:
            if min(ticks for _start, ticks in spell.of(market.trace)) * market.trace.gap <= options.cold_start:
                raise ValueError(f"{market.folder.name}: nothing is left of what is played after the cold start")
    return [
        runs.Run(market, policy, profile, target, notice, options.cold_start, spell)
        for market in markets
        for target in options.target
        for notice in options.notice
        for spell in spells
        for policy, profile in runs.kinds(options.policy, options.profile)
    ]


def rows_of(wanted: Sequence[runs.Run]) -> list[dict[str, Any]]:
    """A row for each run, telling on stderr how far it is."""
    found: dict[int, dict[str, Any]] = {}
    for number, one in runs.side_by_side(runs.row, wanted):
        found[number] = one
        figures = f"{one['availability']:.2%} at {one['cost']:.3f}"
        print(f"  {len(found):>3} of {len(wanted)}  {wanted[number]}  {figures}", file=sys.stderr, flush=True)
    return [found[number] for number in range(len(wanted))]


def days_of(wanted: Sequence[runs.Run]) -> dict[Path, list[runs.Day]]:
    """The worst day of each set under each policy: the first target, notice and spell of ``wanted``."""
    first = wanted[0]
    some = [run for run in wanted if (run.target, run.notice, run.spell) == (first.target, first.notice, first.spell)]
    found = dict(runs.side_by_side(runs.day, some))
    days: dict[Path, list[runs.Day]] = {}
    for number, run in enumerate(some):
        days.setdefault(run.market.folder, []).append(found[number])
    return days


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    head = (
        f"{'trace':<14}{'target':>7}{'notice':>7} {'mode':<7}{'policy':<30}{'avail %':>8}{'service %':>11}{'cost':>7}"
    )
    lines = [head + f"{'loss 3':>8}{'10':>7}{'30':>8}{'a day':>7}{'longest s':>11}"]
    for one in rows:
        name = one["policy"] + (f" ({one['profile']})" if one["profile"] else "")
        lines.append(
            f"{one['trace']:<14}{one['target']:>7}{one['notice']:>7g} {one['mode']:<7}{name:<30}"
            f"{100 * one['availability']:>8.2f}{100 * one['service']:>11.2f}{one['cost']:>7.3f}{one['loss_3']:>8.3f}"
            f"{one['loss_10']:>7.3f}{one['loss_30']:>8.3f}{one['launches_per_day']:>7.0f}{one['longest_shortfall']:>11.0f}"
        )
    return "\n".join(lines)


def number_of(kind: type, least: float, above: bool = False) -> Any:
    """A number from ``least`` up (``above``: greater than it), as an option's type."""

    def read(text: str) -> Any:
        number = kind(text)
        if number < least or (above and number == least):
            raise argparse.ArgumentTypeError(
                f"{text} is too small: it has to be {'above' if above else 'at least'} {least}"
            )
        return number

    read.__name__ = kind.__name__
    return read


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    positive = number_of(float, 0, above=True)
    parser.add_argument("--traces", type=Path, default=DATA / "traces")
    parser.add_argument("--target", type=number_of(int, 1), nargs="+")
    parser.add_argument("--od-ratio", type=positive, default=3.0)
    parser.add_argument("--cold-start", type=number_of(float, 0), default=120.0)
    parser.add_argument("--notice", type=number_of(int, 0), nargs="+")
    parser.add_argument("--windows", type=number_of(int, 1), default=10)
    parser.add_argument("--window-hours", type=positive, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--profile", choices=runs.PROFILES, nargs="+", default=runs.PROFILES)
    parser.add_argument("--policy", choices=runs.POLICIES, nargs="+", default=runs.POLICIES)
    parser.add_argument("--gap", type=positive)
    parser.add_argument("--prices", action="store_true")
    parser.add_argument("--od-price", type=positive)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args(arguments)
    options.target = options.target or ([3, 12] if options.report else [3])
    options.notice = options.notice or ([0, 120] if options.report else [0])
    if options.report:
        options.html = options.html or RECORDS / "backtest.html"
    return options


def write(path: Path, text: str) -> None:
    """Write the file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    options, began = asked(), time.monotonic()
    try:
        wanted = planned(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    rows = rows_of(wanted)
    print(shown(rows))
    content: dict[str, Any] = {"rows": rows}
    points = goals.points(rows) if options.report else []
    if options.report:
        content = record("backtest", *goals.record_of(points)) | content
        options.json = options.json or RECORDS / "backtest.json"
    if options.json:
        write(options.json, json.dumps(content, indent=2) + "\n")
    if options.html or options.images:
        days = days_of(wanted)
        if options.html:
            write(options.html, page.html(rows, days, points, wanted))
        if options.images:
            for name, image in page.images(rows, days, wanted).items():
                write(options.images / name, image)
    for path in filter(None, (options.json, options.html, options.images)):
        print(f"wrote {path}", file=sys.stderr)
    print(f"{len(rows)} rows in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
