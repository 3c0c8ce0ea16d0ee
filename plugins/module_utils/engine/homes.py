# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stateful application may have its instances: in the zones of its data volumes, one for each. It counts in instances.

An instance that is launched elsewhere has no data, and one that is launched beside another in its zone waits until that one has gone. So
nothing is launched to replace what serves: what is missing is, in a zone with room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Pool, Prospect
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance, Moves


@dataclass(frozen=True, slots=True)
class Homes:
    """Data volumes by zone; ``movable``: further ones, which may go to another zone; ``holders``: the instances that have one."""

    zones: Mapping[str, int] = field(default_factory=dict)
    movable: int = 0
    holders: frozenset[str] = frozenset()

    @property
    def volumes(self) -> int:
        """All of them."""
        return sum(self.zones.values()) + self.movable


@dataclass(frozen=True, slots=True)
class Rooms:
    """How many instances may be launched in each zone, and ``anywhere`` beyond those."""

    zones: Mapping[str, int]
    anywhere: int = 0

    @property
    def total(self) -> int:
        """In all."""
        return sum(self.zones.values()) + self.anywhere

    def of(self, zone: str) -> int:
        """How many may be launched in a zone."""
        return self.zones.get(zone, 0) + self.anywhere

    def split(self, count: int, zones: Iterable[str]) -> list[tuple[str | None, int]]:
        """How many of ``count`` to launch in which of the ``zones`` that there are, ``None`` for any of them."""
        found: list[tuple[str | None, int]] = []
        for zone in sorted(zones):
            here = min(count, self.zones.get(zone, 0))
            found += [(zone, here)] if here else []
            count -= here
        anywhere = min(count, self.anywhere)
        return [*found, (None, anywhere)] if anywhere else found

    def taken(self, zone: str, count: int) -> Rooms:
        """With ``count`` launched in a zone."""
        own = min(count, self.zones.get(zone, 0))
        return Rooms({**self.zones, zone: self.zones.get(zone, 0) - own}, max(0, self.anywhere - (count - own)))


def rooms_of(homes: Homes, instances: Iterable[Instance], target: int) -> Rooms:
    """The rooms that ``instances`` leave: those that are to go leave theirs. Where the ``target``, in instances, is above the number of
    volumes, the others may be anywhere: for them there are no data yet."""
    there = Counter(one.zone for one in instances if not one.leaving)
    free = {zone: max(0, count - there[zone]) for zone, count in homes.zones.items()}
    homeless = sum(max(0, count - homes.zones.get(zone or "", 0)) for zone, count in there.items())
    return Rooms(free, max(0, homes.movable + max(0, target - homes.volumes) - homeless))


def open_pools(pools: Sequence[Pool], instances: Iterable[Instance], rooms: Rooms) -> list[Pool]:
    """Those of ``pools`` with room in their zone, and those that hold something, which are full where there is none."""
    held = {one.pool for one in instances if not one.leaving}
    return [
        pool if rooms.of(pool.zone) else replace(pool, full=True) for pool in pools if rooms.of(pool.zone) or pool.id in held
    ]


def fitting(
    moves: Moves, prospects: Mapping[str, Prospect], instances: Sequence[Instance], homes: Homes, target: int
) -> tuple[Moves, Rooms]:
    """Of the ``moves`` those for which there is room, and the rooms that are left for On-Demand.

    Where a zone of a wanted pool has no room for all, the best pools of the others are asked too. Those who have no data end first. Those
    that are to go may once what replaces them is launched: it serves when it has their data, and not before.
    """
    left = rooms_of(homes, instances, target)
    alive = [one for one in instances if not one.leaving]
    missing = max(0, target - len(alive))
    wanted = sum(moves.spot.values())
    others = sorted((one for one in prospects.values() if one.open > 0.5 and not one.full), key=lambda one: one.pool.price)
    asks: dict[str, int] = {}
    for name in (*sorted(moves.spot, key=lambda name: prospects[name].pool.price), *(one.pool.id for one in others)):
        zone = prospects[name].pool.zone
        count = min(moves.spot.get(name, wanted), missing, wanted, left.of(zone))
        if count > 0 and name not in asks:
            asks[name] = count
            missing, wanted, left = missing - count, wanted - count, left.taken(zone, count)
    ending = sum(one.id in moves.end for one in alive)
    end = sorted(alive, key=lambda one: (one.id in homes.holders, one.serving, -one.launched_at, one.id))[:ending]
    going = [one for one in instances if one.leaving and (one.id in moves.end or len(alive) - ending >= target)]
    on_demand = min(moves.on_demand, missing, left.total)
    return replace(moves, spot=asks, on_demand=on_demand, end=tuple(one.id for one in (*end, *going))), left
