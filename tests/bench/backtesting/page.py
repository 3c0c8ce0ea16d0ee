"""The report as one page that needs nothing else, and its plots as files for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace

from . import plots
from .goals import Point
from .runs import Day, Run, worst

STYLE = plots.STYLE + """
* { box-sizing: border-box; } body { margin: 0 auto; max-width: 1240px; padding: 16px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; } h1 { font-size: 1.5rem; margin: .2em 0; } h2 { margin: 1.6em 0 .3em; }
h3 { font-size: 1rem; margin: 1.2em 0 .3em; } p { max-width: 75ch; margin: .4em 0; } code { overflow-wrap: anywhere; }
.points { padding-left: 1.3em; max-width: 100ch; } .points li { margin: .5em 0; } .points small { display: block; color: var(--soft); }
.met { color: var(--oracle); font-weight: 600; } .missed { color: var(--short); font-weight: 600; }
.plots { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); }
figure { margin: 0; } figure > svg { display: block; width: 100%; max-width: 600px; } figcaption, .soft { color: var(--soft); }
.lane { margin: 8px 0; } .lane > div { display: flex; justify-content: space-between; gap: 8px; flex-wrap: wrap; font-size: .85rem; }
.lane svg { display: block; width: 100%; height: 46px; } .lane.zones svg { height: auto; max-height: 90px; min-height: 36px; }
.hours { display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft); }
.key span { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 10px; vertical-align: -1px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } tr.ours td { font-weight: 600; } summary { cursor: pointer; padding: 4px 0; }
"""

COLUMNS = {
    "availability": ("availability", "{:.2%}"),
    "service": ("service", "{:.2%}"),
    "cost": ("cost", "{:.3f}"),
    "loss_3": ("loss(3)", "{:.3f}"),
    "loss_10": ("loss(10)", "{:.3f}"),
    "loss_30": ("loss(30)", "{:.3f}"),
    "launches_per_day": ("launches a day", "{:.0f}"),
    "longest_shortfall": ("longest shortfall", "{:.0f} s"),
}

Row = dict[str, Any]


def cases(rows: Sequence[Row]) -> dict[tuple[str, int, int], list[Row]]:
    """The rows by mode, target and notice: what is compared with each other."""
    found: dict[tuple[str, int, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row["mode"], row["target"], row["notice"]), []).append(row)
    return found


def case_name(mode: str, target: int, notice: int, rows: Sequence[Row]) -> str:
    """The case in words."""
    part = "the whole trace" if mode == "whole" else f"{rows[0]['windows']} cold windows"
    return f"target {target}, {f'{notice} s notice' if notice else 'no notice'}, {part}"


def html(rows: Sequence[Row], days: Mapping[Path, Sequence[Day]], points: Sequence[Point], runs: Sequence[Run]) -> str:
    """The page."""
    first = runs[0]
    parts = [_points(points)] if points else []
    for folder, some in days.items():
        mine = [row for row in rows if row["trace"] == folder.name]
        trace = next(run.market for run in runs if run.market.folder == folder).trace
        length = len(trace) * trace.gap / 86400
        parts.append(f"<h2>{escape(folder.name)}</h2>")
        parts.append(f"<p>{len(trace.zones)} zones, {length:.1f} days, a tick of {trace.gap:g} seconds.</p>")
        parts.append(f'<h3>Cost against availability</h3><div class="plots">{_plots(mine)}</div>')
        parts.append(_day(trace, some, first))
        parts.append(f"<h3>Figures</h3>{_tables(mine)}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backtest of spot.platform</title><style>{STYLE}</style></head><body>
<h1>Spot policies on recorded markets</h1>
<p>Every policy plays the same recorded Spot markets by the same rules and sees the past only; the oracle, a linear program
that knows the future, shows the limit. On-Demand costs {first.market.ratio:.3g} times Spot, an instance serves
{first.cold_start:g} seconds after its launch. <em>Availability</em> is the share of time at the target, <em>cost</em> is that of
the target On-Demand, and <em>loss(w)</em> = cost + w (1 - service), where w is what an hour short of one instance is worth
in On-Demand hours: 3 for our profile <code>cost</code>, 10 for <code>balanced</code>, 30 for <code>availability</code>.</p>
{"".join(parts)}
<p class="soft">The traces are those of spot-traces (github.com/skypilot-org/spot-traces), published with "Can't Be Late",
NSDI 2024. SpotHedge is played as its paper (arXiv 2411.01438) describes it. Run it yourself: <code>make bench-backtest</code>.</p>
</body></html>
"""


def _points(points: Sequence[Point]) -> str:
    items = []
    for point in points:
        verdict, kind = {True: ("met", "met"), False: ("missed", "missed"), None: ("not run", "soft")}[point.met]
        figures = "".join(f"<small>{escape(name)}: {escape(told)}</small>" for name, told in point.figures.items())
        items.append(f'<li><span class="{kind}">{verdict}</span> {escape(point.goal)}{figures}</li>')
    return f'<h2>What it has to reach</h2><ol class="points">{"".join(items)}</ol>'


def _plots(rows: Sequence[Row]) -> str:
    figures = []
    for case, some in cases(rows).items():
        name = case_name(*case, some)
        plot = plots.inline(plots.scatter(some), plots.WIDTH, plots.HEIGHT, f"Cost against availability, {name}")
        figures.append(f"<figure><figcaption>{escape(name)}</figcaption>{plot}</figure>")
    return "".join(figures)


def _day(trace: Trace, days: Sequence[Day], run: Run) -> str:
    most, start = plots.highest(days, run.target), worst(trace, 24)[0]
    room = plots.stretched(plots.zones(trace, start, days[0].ticks), 10 * len(trace.zones))
    names = escape(", ".join(trace.zones))
    lanes = [f'<div class="lane zones"><div><span>room by zone: {names}</span></div>{room}</div>']
    for day in days:
        figures = f"{day.figures['availability']:.2%} available at {day.figures['cost']:.3f}"
        name = escape(plots.name_of(day.policy, day.profile))
        line = plots.stretched(plots.lane(day, run.target, most), 10 * most)
        lanes.append(f'<div class="lane"><div><b>{name}</b><span class="soft">{figures}</span></div>{line}</div>')
    hours = "".join(f"<span>{hour} h</span>" for hour in _hours(days[0].ticks * trace.gap / 3600))
    notice = f"{run.notice} s notice" if run.notice else "no notice"
    return (
        f"<h3>The worst day</h3><p>The 24 hours in which zones closed most often, target {run.target}, {notice}, an empty "
        "fleet at first.</p>"
        '<p class="key"><span style="background:var(--spot);margin-left:0"></span>Spot serving'
        '<span style="background:var(--demand)"></span>On-Demand serving'
        '<span style="background:var(--short)"></span>missing of the target (dashed)</p>'
        f'{"".join(lanes)}<div class="hours">{hours}</div>'
    )


def _hours(length: float) -> list[str]:
    """Five marks, evenly spaced."""
    return [f"{length * mark / 4:.3g}" for mark in range(5)]


def _tables(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{title}</th>" for title in ("policy", *(title for title, _form in COLUMNS.values())))
    tables = []
    for number, (case, some) in enumerate(cases(rows).items()):
        lines = []
        for row in some:
            cells = "".join(f"<td>{form.format(row[key])}</td>" for key, (_title, form) in COLUMNS.items())
            name = escape(plots.name_of(row["policy"], row["profile"]))
            lines.append(f'<tr class="{plots.colour_of(row["policy"])}"><td>{name}</td>{cells}</tr>')
        table = f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'
        opened = " open" if not number else ""
        tables.append(f"<details{opened}><summary>{escape(case_name(*case, some))}</summary>{table}</details>")
    return "".join(tables)


def images(rows: Sequence[Row], days: Mapping[Path, Sequence[Day]], runs: Sequence[Run]) -> dict[str, str]:
    """The first case of each set and its worst day, by file name."""
    found = {}
    for folder, some in days.items():
        case, mine = next(iter(cases([row for row in rows if row["trace"] == folder.name]).items()))
        title = f"{folder.name}: cost against availability, {case_name(*case, mine)}"
        plot = plots.standalone(plots.scatter(mine), plots.WIDTH, plots.HEIGHT, title)
        found[f"backtest-{folder.name}.svg"] = plot
        run = next(run for run in runs if run.market.folder == folder)
        trace = run.market.trace
        inner, height = plots.sheet(trace, worst(trace, 24)[0], some, run.target)
        title = f"{folder.name}: what served on its worst day, target {run.target}"
        found[f"backtest-{folder.name}-day.svg"] = plots.standalone(inner, 720, height, title)
    return found
