# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What served when: instances' stays as a step function of capacity over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Stay:
    """The life of one instance. It costs from ``launched`` and serves from ``in_service`` until ``ended``.

    ``in_service`` is ``None`` while it has not served, ``ended`` while it runs. ``capacity`` is in the group's unit,
    ``lifecycle`` is ``spot`` or ``on_demand``. ``interrupted``: whether Spot took it away.
    """

    id: str
    zone: str
    instance_type: str
    lifecycle: str
    capacity: int
    launched: datetime
    in_service: datetime | None
    ended: datetime | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Step:
    """The capacity that serves from ``time`` on, until the next step."""

    time: datetime
    spot: int
    on_demand: int

    @property
    def serving(self) -> int:
        """Spot and On-Demand together."""
        return self.spot + self.on_demand


def on_demand_of(stays: Iterable[Stay]) -> list[int]:
    """The capacities of those that are On-Demand, the oldest first."""
    return [stay.capacity for stay in sorted(stays, key=lambda stay: stay.launched) if stay.lifecycle == "on_demand"]


def serving(stays: Iterable[Stay], since: datetime, until: datetime) -> tuple[Step, ...]:
    """The serving capacity from ``since`` to ``until``: a step at ``since`` and one at each change, in order.

    What happens at the same moment is one step, so that a replacement without a gap shows none.
    """
    changes: dict[datetime, Counter[str]] = {since: Counter()}
    for stay in stays:
        if stay.in_service is None:
            continue
        begin, end = max(stay.in_service, since), min(stay.ended or until, until)
        if begin < end:
            changes.setdefault(begin, Counter())[stay.lifecycle] += stay.capacity
            if end < until:
                changes.setdefault(end, Counter())[stay.lifecycle] -= stay.capacity
    steps: list[Step] = []
    running: Counter[str] = Counter()
    for moment in sorted(changes):
        running.update(changes[moment])
        step = Step(moment, running["spot"], running["on_demand"])
        if not steps or (step.spot, step.on_demand) != (steps[-1].spot, steps[-1].on_demand):
            steps.append(step)
    return tuple(steps)


def minimum_since_reached(steps: Sequence[Step], target: int) -> int | None:
    """The smallest serving capacity since ``target`` was first reached; ``None`` if it never was."""
    reached = next((number for number, step in enumerate(steps) if step.serving >= target), None)
    return None if reached is None else min(step.serving for step in steps[reached:])
