"""Plots as SVG: cost against availability, and what served over a day. Colours follow the reader's light or dark scheme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace

from .runs import OURS, Day

STYLE = """
:root, svg { --page: #ffffff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --ours: #0b57c2; --hedge: #a04100;
  --oracle: #116329; --spot: #9cc3f5; --demand: #d9a441; --short: #cf222e; --open: #b8c2cc; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root, svg { --page: #0d1117; --text: #e6edf3; --soft: #9da7b3; --line: #3d444d;
  --ours: #79b0ff; --hedge: #ffa657; --oracle: #56d364; --spot: #2f6fb8; --demand: #c08a2b; --short: #ff6a61; --open: #59636e; } }
svg text { font: 11px system-ui, sans-serif; fill: var(--text); } svg .soft { fill: var(--soft); }
svg .ours { fill: var(--ours); } svg .spothedge { fill: var(--hedge); } svg .oracle { fill: var(--oracle); }
svg .other { fill: var(--soft); } svg text.ours, svg text.spothedge, svg text.oracle { font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .lead { stroke: var(--soft); stroke-width: .6; }
svg .spot { fill: var(--spot); } svg .demand { fill: var(--demand); } svg .open { fill: var(--open); }
svg .short { fill: var(--short); stroke: var(--short); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .target { stroke: var(--text); stroke-width: 1; fill: none; vector-effect: non-scaling-stroke; stroke-dasharray: 4 3; }
svg .page { fill: var(--page); }
"""

NAMES = {
    "all-on-demand": "all On-Demand",
    "static-mix": "static mix",
    "round-robin": "round robin",
    "spothedge": "SpotHedge",
    "oracle": "oracle",
}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 250, 46, 12, 14, 38
LETTER, LINE = 6.1, 12
WIDE = 1000
"""Units of a time line's width; its height is in tenths of an instance."""


def name_of(policy: str, profile: str | None) -> str:
    """How a reader knows the policy."""
    return f"ours, {profile}" if policy == OURS else NAMES[policy]


def colour_of(policy: str) -> str:
    """The class that gives the policy its colour."""
    return "ours" if policy == OURS else policy if policy in ("spothedge", "oracle") else "other"


def standalone(inner: str, width: int, height: int, title: str) -> str:
    """A file of its own, on a page of its own colour."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{2 * width}" height="{2 * height}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<rect class="page" width="{width}" height="{height}"/>{inner}</svg>\n'
    )


def inline(inner: str, width: int, height: int, title: str) -> str:
    """Part of a page that has the style."""
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{inner}</svg>'


def _nines(availability: float) -> float:
    """0 for none, 1 for 90 %, 2 for 99 %, ... ; what has no more than one tick in ten thousand missing is just below 100 %."""
    return 4.4 if availability >= 1 else min(4.0, -math.log10(1 - availability))


def scatter(rows: Sequence[dict[str, Any]]) -> str:
    """Cost (across) against availability (up, in nines), a labelled dot for each row; in a box of WIDTH and HEIGHT."""
    least = math.floor(10 * min(row["cost"] for row in rows)) / 10
    most = max(least + 0.1, math.ceil(10 * max(row["cost"] for row in rows)) / 10)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(cost: float) -> float:
        return LEFT + 6 + (cost - least) / (most - least) * (right - LEFT - 12)

    def up(availability: float) -> float:
        return bottom - _nines(availability) / 4.6 * (bottom - TOP)

    parts = []
    for availability, label in ((0.0, "0"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (1.0, "100 %")):
        y = up(availability)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="soft" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    tenths = round(10 * (most - least))
    for step in range(0, tenths + 1, 1 if tenths <= 8 else 2):
        cost = least + step / 10
        parts.append(
            f'<text class="soft" x="{across(cost):.1f}" y="{bottom + 15}" text-anchor="middle">{cost:.1f}</text>'
        )
    caption = "cost (all On-Demand = 1); up: availability"
    parts.append(f'<text class="soft" x="{right}" y="{HEIGHT - 6}" text-anchor="end">{caption}</text>')
    dots = [(across(row["cost"]), up(row["availability"])) for row in rows]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in dots]
    for row, (x, y) in sorted(zip(rows, dots, strict=True), key=lambda pair: (pair[0]["policy"] != OURS, pair[1])):
        colour, label = colour_of(row["policy"]), name_of(row["policy"], row["profile"])
        parts.append(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        box = _place(x, y, LETTER * len(label), taken)
        taken.append(box)
        middle = (box[1] + box[3]) / 2
        if not -10 < middle - y < 10:
            edge = min(max(x, box[0]), box[2])
            parts.append(f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{edge:.1f}" y2="{middle:.1f}"/>')
        parts.append(f'<text class="{colour}" x="{box[0]:.1f}" y="{middle + 4:.1f}">{escape(label)}</text>')
    return "".join(parts)


def _place(x: float, y: float, width: float, taken: list[tuple[float, ...]]) -> tuple[float, float, float, float]:
    """A box for a label near the dot that covers neither a dot nor a label: the nearest of those tried."""
    for away in range(0, 150, LINE // 2):
        for middle in (y + away, y - away):
            for left in (x + 7, x - 7 - width, x - width / 2):
                box = (left, middle - LINE / 2, left + width, middle + LINE / 2)
                inside = LEFT <= box[0] and box[2] <= WIDTH - 2 and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
                if inside and all(box[2] <= b[0] or box[0] >= b[2] or box[3] <= b[1] or box[1] >= b[3] for b in taken):
                    return box
    return (max(LEFT, x - 7 - width), y - LINE / 2, x - 7, y + LINE / 2)


def highest(days: Sequence[Day], target: int) -> int:
    """The most that served on the days, or one more than the target."""
    return max(target + 1, *(on_demand + spot for day in days for _tick, on_demand, spot in day.changes))


def lane(day: Day, target: int, most: int) -> str:
    """What served by tick, On-Demand below Spot, red where the target was missed; WIDE across, 10 x ``most`` up."""
    spans = [
        (now[0] * WIDE / day.ticks, then[0] * WIDE / day.ticks, now[1], now[2])
        for now, then in pairwise([*day.changes, (day.ticks, 0, 0)])
    ]
    parts = [
        f'<path class="spot" d="{_area([(x, end, demand + spot) for x, end, demand, spot in spans], most)}"/>',
        f'<path class="demand" d="{_area([(x, end, demand) for x, end, demand, _spot in spans], most)}"/>',
    ]
    for x, end, demand, spot in spans:
        missing = target - demand - spot
        x = max(x, day.cold * WIDE / day.ticks)
        if missing > 0 and x < end:
            y = 10 * (most - target)
            parts.append(f'<rect class="short" x="{x:.2f}" y="{y}" width="{end - x:.2f}" height="{10 * missing}"/>')
    parts.append(f'<path class="target" d="M0 {10 * (most - target)}H{WIDE}"/>')
    return "".join(parts)


def _area(spans: Sequence[tuple[float, float, int]], most: int) -> str:
    """The path of a stepped area over the ground."""
    steps = "".join(f"V{10 * (most - level)}H{end:.2f}" for _x, end, level in spans)
    return f"M0 {10 * most}{steps}V{10 * most}Z"


def zones(trace: Trace, start: int, ticks: int) -> str:
    """When each zone had room, a bar of 10 units for each; WIDE across."""
    parts = []
    for number, zone in enumerate(trace.zones):
        room = trace.room[zone][start : start + ticks]
        began = None
        for tick, here in enumerate([*room, 0]):
            if here and began is None:
                began = tick
            elif not here and began is not None:
                x, width = began * WIDE / ticks, (tick - began) * WIDE / ticks
                parts.append(f'<rect class="open" x="{x:.2f}" y="{10 * number + 1}" width="{width:.2f}" height="8"/>')
                began = None
    return "".join(parts)


def stretched(inner: str, height: int) -> str:
    """A time line as wide as its place on the page."""
    return f'<svg viewBox="0 0 {WIDE} {height}" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'


def sheet(trace: Trace, start: int, days: Sequence[Day], target: int) -> tuple[str, int]:
    """The day of all policies as one picture of 720 units across, and its height."""
    most, y, parts, x = highest(days, target), 44, [], 10
    for label, colour in (
        ("Spot serving", "spot"),
        ("On-Demand serving", "demand"),
        ("missing of the target (dashed)", "short"),
    ):
        parts.append(
            f'<rect class="{colour}" x="{x}" y="9" width="10" height="10"/><text x="{x + 15}" y="18">{label}</text>'
        )
        x += 40 + round(LETTER * len(label))
    lanes = [("room by zone", "soft", zones(trace, start, days[0].ticks), 10 * len(trace.zones))]
    lanes += [
        (
            f"{name_of(day.policy, day.profile)}: {day.figures['availability']:.2%} at {day.figures['cost']:.3f}",
            colour_of(day.policy),
            lane(day, target, most),
            10 * most,
        )
        for day in days
    ]
    for label, colour, inner, height in lanes:
        parts.append(f'<text class="{colour}" x="10" y="{y}">{escape(label)}</text>')
        parts.append(
            f'<svg x="10" y="{y + 5}" width="700" height="34" viewBox="0 0 {WIDE} {height}" preserveAspectRatio="none">'
            f"{inner}</svg>"
        )
        y += 60
    hours = days[0].ticks * trace.gap / 3600
    for hour in range(0, round(hours) + 1, 6):
        anchor = "start" if not hour else "end" if hour >= hours - 0.1 else "middle"
        x = 10 + 700 * hour / hours
        parts.append(f'<text class="soft" x="{x:.0f}" y="{y - 6}" text-anchor="{anchor}">{hour} h</text>')
    return "".join(parts), y + 4
