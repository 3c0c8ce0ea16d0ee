# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet can do of a step: it is told how much Spot and On-Demand to keep, and chooses the pools itself.

So Spot is not moved from pool to pool, since the fleet would go back to where it was; and it is asked for as a whole, in
all pools at once, so that the refusal of one of them delays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

from ansible_collections.spot.platform.plugins.module_utils.engine.supply import SURE, Instance, Moves, Step

ANY = "any pool"
"""The pool of what a fleet places."""


def of_fleet(instances: Sequence[Instance], step: Step, target: int, worth: float) -> Moves:
    """The moves of ``step`` as a fleet of ``instances`` makes them.

    Spot is kept up to its part of ``target``, or what the best composition has of it: while On-Demand stands in, the
    fleet goes on asking for what is missing, which costs nothing. What is above that goes, as far as ``target`` serves
    without it; then also what was told to go. ``worth``: of a unit short for an hour, in On-Demand hours.
    """
    alive = [one for one in instances if not one.leaving]
    spot = sum(one.capacity for one in alive if one.pool is not None)
    on_demand = sum(one.capacity for one in alive if one.pool is None)
    wanted = max(target - step.base, sum(step.best.spot.values()))
    more = max(0, wanted - spot)
    besides = step.moves.on_demand
    if prod(1 - one.open for one in step.prospects.values()) * worth <= SURE:
        besides = min(besides, max(0, step.best.on_demand - on_demand))
    given_back = [one for one in alive if one.pool is None and one.id in step.moves.end]
    left = sum(one.capacity for one in alive if one.serving) - sum(one.capacity for one in given_back if one.serving)
    end = [one.id for one in given_back]
    excess = spot - wanted
    for one in sorted((one for one in alive if one.pool is not None), key=lambda one: _worth_keeping(one, step)):
        if one.capacity > excess or (one.serving and left - one.capacity < target):
            continue
        excess -= one.capacity
        left -= one.capacity if one.serving else 0
        end.append(one.id)
    if left >= target:
        end += [one.id for one in instances if one.leaving and one.id in step.moves.end]
    return Moves({ANY: more} if more else {}, besides, tuple(end), step.moves.short)


def _worth_keeping(one: Instance, step: Step) -> tuple[bool, float, float]:
    """The order in which Spot goes that is too much: what does not serve, then by the hazard of its pool, the newest."""
    promised = step.prospects.get(one.pool or "")
    return one.serving, -promised.hazard if promised else -inf, -one.launched_at
