# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a fleet between two steps, as text: it is kept in AWS, so any controller takes the next step.

What cannot be read is taken for nothing remembered: the pools then count as unknown, which is cautious, not wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Record

FORM = 1
"""The form of the text; another one is not read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The application in another region, as it was last seen: its target, of which ``lent`` was carried for others, and
    since when it could not be observed (seconds since the epoch), ``None`` where it could."""

    target: int
    lent: int
    unseen_since: float | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """``memory`` of the pools; ``counted`` and ``warned``: the instances whose loss, or recommendation to leave, is in it
    already, while AWS still shows them. ``changed_at``: when the target was last changed; ``short_since``: since when less
    than it can be had, On-Demand included; seconds since the epoch. ``peers``: by region. ``replaced``: the instances that
    are to be replaced, though AWS takes none of them away."""

    memory: Memory = field(default_factory=Memory)
    counted: frozenset[str] = frozenset()
    warned: frozenset[str] = frozenset()
    changed_at: float | None = None
    short_since: float | None = None
    peers: Mapping[str, Peer] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()


def written(remembered: Remembered) -> str:
    """As a text that `read` takes."""
    memory = remembered.memory
    return json.dumps(
        {
            "form": FORM,
            "at": memory.at,
            "pools": {pool: astuple(record) for pool, record in sorted(memory.records.items())},
            "together": [[*pair, *counts] for pair, counts in sorted(memory.together.items())],
            "counted": sorted(remembered.counted),
            "warned": sorted(remembered.warned),
            "changed_at": remembered.changed_at,
            "short_since": remembered.short_since,
            "peers": {region: astuple(peer) for region, peer in sorted(remembered.peers.items())},
            "replaced": sorted(remembered.replaced),
        },
        separators=(",", ":"),
    )


def read(text: str | None) -> Remembered:
    """What was written; nothing where there is no such text."""
    try:
        found = json.loads(text or "")
        if found["form"] != FORM:
            return Remembered()
        return Remembered(
            Memory(
                found["at"],
                {pool: Record(*record) for pool, record in found["pools"].items()},
                {(one, other): (joint, chances) for one, other, joint, chances in found["together"]},
            ),
            frozenset(found["counted"]),
            frozenset(found["warned"]),
            found["changed_at"],
            found["short_since"],
            {region: Peer(*peer) for region, peer in found["peers"].items()},
            frozenset(found.get("replaced", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Remembered()
