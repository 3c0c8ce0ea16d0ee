"""The pool that a Spot allocation strategy takes next, for groups and for fleets."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from spot_sandbox import clock, market, pools


@dataclass(frozen=True)
class Choice:
    """A pool that a group or a fleet may launch in; ``what`` is the override behind it."""

    instance_type: str
    zone: str
    weight: float
    what: Any


def best_spot(
    region: str, strategy: str, choices: list[Choice], amount: float, held: Counter[tuple[str, str]], spread: int = 2
) -> Choice:
    """The pool that a Spot allocation strategy takes next; ``choices`` (in order of priority) all have room.

    ``amount`` is the capacity still to launch; ``held`` what runs by (type, zone); ``spread`` how many pools
    lowest-price uses.
    """
    now = clock.now()

    def price(choice: Choice) -> float:
        found = market.spot_price(region, choice.zone, choice.instance_type, now)
        return (found if found is not None else math.inf) / choice.weight

    def room(choice: Choice) -> float:
        return pools.free(region, choice.zone, choice.instance_type, "spot") * choice.weight

    if strategy == "capacity-optimized":
        return max(choices, key=room)
    if strategy == "capacity-optimized-prioritized":
        return next((c for c in choices if room(c) >= amount), max(choices, key=room))
    if strategy == "price-capacity-optimized":
        least = max(amount, max(map(room, choices)) / 3)
        return min([c for c in choices if room(c) >= least] or [max(choices, key=room)], key=price)
    if strategy == "lowest-price":
        choices = sorted(choices, key=price)[:spread]
    return min(choices, key=lambda c: held[(c.instance_type, c.zone)])
