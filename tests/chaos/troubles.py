# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in a simulated time, drawn by seed: pools vanish, regions run dry, AWS fails, controllers die.

A trouble has a name, a moment and, where it ends, an end; the judge reads from it what may be excused.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

HOUR = 3600.0
KINDS = {
    "pool": 14,
    "zone": 3,
    "dry": 2,
    "sold_out": 1,
    "throttle": 4,
    "fail": 3,
    "lost_answers": 2,
    "kill": 8,
    "two": 8,
    "jump": 2,
    "forget": 3,
    "away": 2,
}
"""How often each happens in a week."""


@dataclass(frozen=True, order=True)
class Trouble:
    """``kind`` at ``begin`` until ``end``, seconds after the start. ``what`` are the words for the sandbox or the run."""

    begin: float
    end: float
    kind: str
    region: str | None = None
    what: dict[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        where = f" in {self.region}" if self.region else ""
        return f"{self.kind}{where} from {self.begin / HOUR:.1f} h to {self.end / HOUR:.1f} h"


def plan(seed: int, hours: float, regions: Sequence[str], zones: dict[str, list[str]], types: Sequence[str]) -> list[Trouble]:
    """The troubles of so many hours, in order; each kind at least once."""
    dice = random.Random(seed)
    found = []
    for kind, weekly in KINDS.items():
        for _each in range(max(1, round(weekly * hours / 168))):
            begin = dice.uniform(0.08, 0.85) * hours * HOUR
            region = dice.choice(regions)
            found.append(_drawn(dice, kind, begin, region, zones[region], types, hours))
    return sorted(found)


def _drawn(
    dice: random.Random, kind: str, begin: float, region: str, zones: list[str], types: Sequence[str], hours: float
) -> Trouble:
    longest = hours * HOUR / 8
    lasts = min(longest, dice.uniform(0.5, 8) * HOUR)
    if kind == "pool":
        pool = {"zone": dice.choice(zones), "instance_type": dice.choice(types)}
        return Trouble(begin, begin + lasts, kind, region, pool)
    if kind == "zone":
        return Trouble(begin, begin + lasts, kind, region, {"zone": dice.choice(zones)})
    if kind == "dry":
        return Trouble(begin, begin + lasts, kind, region)
    if kind == "sold_out":
        return Trouble(begin, begin + min(longest, HOUR), kind, region)
    if kind in ("throttle", "fail", "lost_answers"):
        lasts = min(longest, dice.uniform(0.3, 1) * HOUR)
        fault = {"throttle": "throttle", "fail": "error", "lost_answers": "lost"}[kind]
        return Trouble(begin, begin + lasts, kind, None, {"kind": fault, "rate": 0.06 if kind == "lost_answers" else 0.15})
    if kind == "kill":
        return Trouble(begin, begin, kind, None, {"write": dice.randint(1, 6)})
    if kind == "two":
        return Trouble(begin, begin, kind, None, {"write": dice.randint(1, 3)})
    if kind == "jump":
        return Trouble(begin, begin, kind, None, {"seconds": min(longest, dice.uniform(1, 6) * HOUR)})
    if kind == "away":
        return Trouble(begin, begin + min(longest / 2, HOUR), kind)
    return Trouble(begin, begin, kind, region)
