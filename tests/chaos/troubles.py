# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in a simulated time, drawn by seed: pools vanish, regions run dry, AWS fails, controllers die."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOUR = 3600.0
POOL, ZONE, DRY, SOLD_OUT = "pool", "zone", "dry", "sold out"
THROTTLE, FAIL, LOST = "throttle", "fail", "lost answers"
KILL, TWO, JUMP, FORGET, AWAY = "kill", "two", "jump", "forget", "away"
WORDS = {
    POOL: "a Spot pool vanishes",
    ZONE: "a zone has no Spot",
    DRY: "a region has no Spot",
    SOLD_OUT: "a region has neither Spot nor On-Demand",
    THROTTLE: "the APIs throttle",
    FAIL: "the APIs fail",
    LOST: "answers of the APIs are lost",
    KILL: "the controller is killed between two writes",
    TWO: "two controllers step a region at once",
    JUMP: "the controller's clock is wrong",
    FORGET: "what the controller remembered is lost",
    AWAY: "no controller runs",
}
WEEKLY = {POOL: 28, ZONE: 6, DRY: 4, SOLD_OUT: 1, THROTTLE: 4, FAIL: 4, LOST: 3, KILL: 12, TWO: 12, JUMP: 4, FORGET: 4, AWAY: 2}
"""How often each happens in a week."""
SCARCE = (POOL, ZONE, DRY, SOLD_OUT)
FAULTS = {THROTTLE: "throttle", FAIL: "error", LOST: "lost"}
"""The sandbox's words."""
FIRST, LAST = 0.06, 0.8
"""Where in the time they begin."""


@dataclass(frozen=True, order=True)
class Trouble:
    """``kind`` from ``begin`` until ``end``, seconds after the start, in ``region`` or everywhere."""

    begin: float
    end: float
    kind: str
    region: str | None = None
    what: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        where = "/".join(filter(None, (self.region, self.what.get("zone"), self.what.get("instance_type"))))
        return WORDS[self.kind] + (f" ({where})" if where else "")


def plan(seed: int, hours: float, zones: Mapping[str, Sequence[str]], types: Sequence[str]) -> list[Trouble]:
    """The troubles of so many hours, in order, each kind at least once; ``zones`` by region."""
    dice = random.Random(seed)
    return sorted(
        _drawn(dice, kind, hours, zones, types)
        for kind, weekly in WEEKLY.items()
        for _each in range(max(1, round(weekly * hours / 168)))
    )


def _drawn(
    dice: random.Random, kind: str, hours: float, zones: Mapping[str, Sequence[str]], types: Sequence[str]
) -> Trouble:
    longest = hours * HOUR / 12
    begin = float(round(dice.uniform(FIRST, LAST) * hours * HOUR))
    region = dice.choice(sorted(zones))
    lasts = round(min(longest, dice.uniform(0.5, 8) * HOUR))
    what: dict[str, Any] = {}
    if kind in SCARCE:
        what["notice"] = dice.choice((120, 120, 120, 0))
    if kind in (POOL, ZONE):
        what["zone"] = dice.choice(zones[region])
    if kind == POOL:
        what["instance_type"] = dice.choice(types)
    elif kind in (SOLD_OUT, AWAY):
        lasts = round(min(longest, HOUR))
    elif kind in FAULTS:
        lasts, region = round(min(longest, dice.uniform(0.3, 1) * HOUR)), None
        what |= {"kind": FAULTS[kind], "rate": 0.06 if kind == LOST else dice.choice((0.15, 0.15, 0.6))}
    elif kind in (KILL, TWO):
        what["write"] = dice.randint(1, 5)
        lasts = 0
    elif kind == JUMP:
        what["seconds"] = dice.choice((-1, 1)) * round(dice.uniform(1, 6) * HOUR)
    elif kind == FORGET:
        lasts = 0
    return Trouble(begin, begin + lasts, kind, None if kind in (AWAY, JUMP) else region, what)
