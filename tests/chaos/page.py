# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as one page that needs nothing else, and one app of it as a picture for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tests.bench.backtesting import page as backtest_page
from tests.bench.backtesting import plots

from . import judge, troubles

WIDE = 1000
STYLE = backtest_page.STYLE + """
.apps { display: grid; gap: 14px 24px; grid-template-columns: repeat(auto-fit, minmax(min(520px, 100%), 1fr)); }
.apps .lane svg { height: 64px; } .apps .lane .marks svg { height: 20px; margin-top: 2px; }
.figures { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 12px 0; } .figures b { display: block; font-size: 1.4rem; }
.figures span { color: var(--soft); font-size: .85rem; } td.text { text-align: left; white-space: normal; min-width: 22ch; }
svg .scarce { fill: var(--demand); } svg .fault { fill: var(--hedge); } svg .away { fill: var(--short); }
svg .mark { fill: var(--ours); } .findings { color: var(--short); }
"""
CLASSES = {
    **dict.fromkeys(troubles.SCARCE, "scarce"),
    **dict.fromkeys(troubles.FAULTS, "fault"),
    troubles.AWAY: "away",
}
LANES = (
    ("room taken away", "scarce", troubles.SCARCE),
    ("APIs throttle or fail", "fault", tuple(troubles.FAULTS)),
    ("no controller", "away", (troubles.AWAY,)),
    ("kills, two controllers, lost memory, wrong clock", "mark", (troubles.KILL, troubles.TWO, troubles.FORGET, troubles.JUMP)),
)
SHOWN = 200
"""So many shortages are listed, the longest ones."""

History = Mapping[str, Any]


def html(found: History) -> str:
    """The page."""
    verdict, hours = found["verdict"], found["hours"]
    lost = "".join(f"<li>{escape(text)}</li>" for text in verdict["findings"])
    state = (
        f'<p class="findings">The judge found something:</p><ul class="findings">{lost}</ul>'
        if lost
        else "<p>Every shortage is explained by an event, nothing is orphaned, every app is at its target in the end, and "
        "On-Demand beyond the base is given back.</p>"
    )
    lanes = [
        _lane(name, f"target served {_available(found, name):.2%} of the time", picture(found, name), most, strip)
        for name, group in found["groups"].items()
        for most, strip in [(highest(found, name), marks(found, group["region"]))]
    ]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chaos, seed {found["seed"]}</title><style>{STYLE}</style></head><body>
<h1>{found["apps"]} applications, {len(found["regions"])} regions, {_length(hours)} in which much goes wrong</h1>
<p>A simulated time on the sandbox, seed {found["seed"]}. Pools vanish, a region runs dry, APIs throttle and fail, the controller
is killed, two run at once, its clock is wrong, what it remembers is lost. Traffic follows the hour of the day.</p>
{state}
<div class="figures">{"".join(_figures(found))}</div>
<h2>Serving against target</h2>
<p class="key"><span style="background:var(--spot);margin-left:0"></span>Spot serving
<span style="background:var(--demand)"></span>On-Demand serving
<span style="background:var(--short)"></span>missing of the target (dashed)</p>
{_troubles(found)}
<div class="apps">{"".join(lanes)}</div>
<h2>Shortages</h2>{_shortages(found)}
<h2>Troubles</h2>{_plan(found)}
<p class="soft">Run it yourself: <code>python tests/chaos/run.py --seed {found["seed"]}</code>, or <code>make chaos</code>.</p>
</body></html>
"""


def _length(hours: float) -> str:
    return "a week" if hours == 168 else f"{hours:g} hours"


def _figures(found: History) -> Iterable[str]:
    one, counts = found["verdict"]["figures"], found["counts"]
    for value, text in (
        (f"{one['available']:.2%}", "of the time at the target"),
        (f"{one['served']:.3%}", "of the wanted units served"),
        (f"{one['cost_share']:.1%}", f"of the cost of all On-Demand: {one['cost']:.2f} of {one['all_on_demand']:.2f} USD"),
        (f"{one['spot_share']:.1%}", "of what served was Spot"),
        (f"{one['interruptions']}", "interruptions"),
        (f"{one['shortages']}", f"shortages, the longest {one['longest_shortage']} s"),
        (f"{counts.get('steps', 0)}", "steps of the controller"),
    ):
        yield f"<div><b>{value}</b><span>{escape(text)}</span></div>"


def _lane(name: str, told: str, inner: str, most: int, strip: str) -> str:
    return (
        f'<div class="lane"><div><b>{escape(name)}</b><span class="soft">{escape(told)}</span></div>'
        f"{plots.stretched(inner, 10 * most)}"
        f'<div class="marks">{plots.stretched(strip, 10 * len(LANES))}</div></div>'
    )


def _available(found: History, group: str) -> float:
    short = sum(one["end"] - one["begin"] for one in found["verdict"]["shortages"] if one["group"] == group)
    return 1 - short / found["end"]


def highest(found: History, group: str) -> int:
    """The most that served or was wanted, after the first minutes."""
    return int(max(max(row[1], row[2] + row[3]) for row in found["groups"][group]["rows"]))


def picture(found: History, group: str) -> str:
    """What served of an app over time: On-Demand below Spot, red where the target was missed; WIDE across."""
    most, end, rows = highest(found, group), found["end"], found["groups"][group]["rows"]
    ends = [*(row[0] for row in rows[1:]), end]
    spans = [
        (WIDE * max(0.0, row[0]) / end, WIDE * until / end, *map(int, row[1:]))
        for row, until in zip(rows, ends)
        if until > 0
    ]
    short = "".join(
        f'<rect class="short" x="{x:.2f}" y="{10 * (most - target)}" width="{until - x:.2f}" '
        f'height="{10 * (target - spot - demand)}"/>'
        for x, until, target, spot, demand in spans
        if spot + demand < target
    )
    return (
        f'<path class="spot" d="{_area([(until, spot + demand) for _x, until, _target, spot, demand in spans], most)}"/>'
        f'<path class="demand" d="{_area([(until, demand) for _x, until, _target, _spot, demand in spans], most)}"/>'
        f'{short}<path class="target" d="{_line([(until, target) for _x, until, target, *_rest in spans], most)}"/>'
    )


def _steps(spans: Sequence[tuple[float, int]], most: int) -> Iterable[str]:
    last = None
    for until, level in spans:
        yield (f"V{10 * (most - level)}" if level != last else "") + f"H{until:.2f}"
        last = level


def _area(spans: Sequence[tuple[float, int]], most: int) -> str:
    return f"M0 {10 * most}{''.join(_steps(spans, most))}V{10 * most}Z"


def _line(spans: Sequence[tuple[float, int]], most: int) -> str:
    return f"M0 {10 * (most - spans[0][1])}{''.join(_steps(spans, most))}"


def marks(found: History, region: str) -> str:
    """When the troubles of a region were, a bar of 10 units for each kind; WIDE across."""
    parts = []
    for number, (_name, colour, kinds) in enumerate(LANES):
        for one in found["troubles"]:
            if one["kind"] in kinds and one["region"] in (None, region):
                x = WIDE * one["begin"] / found["end"]
                width = max(2.0, WIDE * (one["end"] - one["begin"]) / found["end"])
                parts.append(
                    f'<rect class="{colour}" x="{x:.2f}" y="{10 * number + 1}" width="{width:.2f}" height="8"/>'
                )
    return "".join(parts)


def _troubles(found: History) -> str:
    names = "".join(
        f'<span style="background:var(--{variable})"></span>{escape(name)} '
        for (name, _colour, _kinds), variable in zip(LANES, ("demand", "hedge", "short", "ours"))
    )
    return f'<p class="key">Below each, from the top, the troubles of its region: {names}</p>'


def _shortages(found: History) -> str:
    longest = sorted(found["verdict"]["shortages"], key=lambda one: one["begin"] - one["end"])[:SHOWN]
    rows = "".join(
        f'<tr><td>{escape(one["group"])}</td><td>{judge.clock(one["begin"])}</td><td>{one["end"] - one["begin"]:.0f} s</td>'
        f'<td>{one["least"]} of {one["target"]}</td><td class="text">{escape("; ".join(one["causes"]))}</td></tr>'
        for one in longest
    )
    head = "<tr><th>app</th><th>from</th><th>for</th><th>served</th><th>explained by</th></tr>"
    count = len(found["verdict"]["shortages"])
    return (
        f"<details><summary>{count}, the longest first</summary>"
        f'<div class="scroll"><table>{head}{rows}</table></div></details>'
    )


def _plan(found: History) -> str:
    rows = "".join(
        f'<tr><td>{judge.clock(one["begin"])}</td><td>{(one["end"] - one["begin"]) / 60:.0f} min</td>'
        f'<td class="text">{escape(one["text"])}</td></tr>'
        for one in found["troubles"]
    )
    return (
        f'<details><summary>{len(found["troubles"])}</summary><div class="scroll"><table>'
        f"<tr><th>from</th><th>for</th><th>what</th></tr>{rows}</table></div></details>"
    )


def image(found: History) -> str:
    """The app that lost most instances to interruptions, as a file of its own, 720 units across."""
    losses = Counter(one["group"] for one in found["instances"] if one["cause"] == "spot")
    group = max(found["groups"], key=lambda name: losses[name])
    most, y, x = highest(found, group), 22, 10
    parts = []
    for label, colour in (
        ("Spot serving", "spot"),
        ("On-Demand serving", "demand"),
        ("missing of the target (dashed)", "short"),
    ):
        parts.append(
            f'<rect class="{colour}" x="{x}" y="9" width="10" height="10"/><text x="{x + 15}" y="18">{label}</text>'
        )
        x += 40 + round(plots.LETTER * len(label))
    box = 'x="10" width="700" preserveAspectRatio="none"'
    parts.append(f'<text class="soft" x="10" y="{y + 18}">{escape(group)}</text>')
    parts.append(f'<svg {box} y="{y + 24}" height="110" viewBox="0 0 {WIDE} {10 * most}">{picture(found, group)}</svg>')
    y += 150
    marked = marks(found, group.partition("@")[2])
    parts.append(f'<svg {box} y="{y}" height="44" viewBox="0 0 {WIDE} {10 * len(LANES)}">{marked}</svg>')
    names = "; ".join(name for name, _colour, _kinds in LANES)
    parts.append(f'<text class="soft" x="10" y="{y + 58}">troubles: {escape(names)}</text>')
    days = max(1, round(found["end"] / 86400))
    for day in range(days + 1):
        anchor = "start" if not day else "end" if day == days else "middle"
        across = 10 + 700 * min(1.0, 86400 * day / found["end"])
        parts.append(f'<text class="soft" x="{across:.0f}" y="{y - 4}" text-anchor="{anchor}">{day} d</text>')
    height = y + 66
    title = f"{group}: what served in a week in which much went wrong"
    colours = {"scarce": "demand", "fault": "hedge", "away": "short", "mark": "ours"}
    rules = " ".join(f"svg .{name} {{ fill: var(--{colour}); }}" for name, colour in colours.items())
    extra = f"<style>{rules}</style>"
    return plots.standalone(extra + "".join(parts), 720, height, title)
