"""The Spot market: prices, interruption bands and room, from real figures (``market.json.xz``) and a seed.

The base of a price is real; how it moves, and how much room a pool has, is a pure function of the seed, the pool and
the time since the origin, so that what a seed shows does not depend on the day on which it is shown. Prices are USD an
hour for Linux. A pool is (region, zone, instance type).
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

HISTORY = timedelta(days=90)
"""How far back EC2 tells Spot prices."""

PRODUCT = "Linux/UNIX"
NOT_OFFERED = -1
HOUR = 3600


@dataclass(frozen=True)
class TypeInfo:
    """An instance type as the market knows it."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    burstable: bool
    current_generation: bool
    accelerators: int
    bare_metal: bool


_data: dict[str, Any] = {}
_seed = 1
_origin = 0
_regions: tuple[str, ...] = ()


def load() -> dict[str, Any]:
    """The compiled market; see its ``about`` for sources and approximations."""
    if not _data:
        path = Path(__file__).with_name("market.json.xz")
        _data.update(json.loads(lzma.decompress(path.read_bytes())))
    return _data


def configure(seed: int = 1, regions: Iterable[str] | None = None, origin: float = 0.0) -> None:
    """Set the seed, the regions to serve (default: all) and the origin (seconds since 1970) from which it moves."""
    global _seed, _regions, _origin
    known = load()["regions"]
    chosen = tuple(regions) if regions else tuple(sorted(known))
    for region in chosen:
        if region not in known:
            raise ValueError(f"region {region} is not in the market; it has {', '.join(sorted(known))}")
    _seed, _regions, _origin = seed, chosen, math.floor(origin)
    _pool.cache_clear()


def regions() -> tuple[str, ...]:
    """The regions that are served."""
    return _regions or tuple(sorted(load()["regions"]))


def zones(region: str) -> dict[str, str]:
    """Zone name to zone id."""
    return load()["regions"][region]["zones"]


def type_info(instance_type: str) -> TypeInfo:
    """What the market knows of a type; raises ``KeyError`` for one that it lacks."""
    vcpus, memory, architectures, burstable, current, accelerators, metal = load()["types"][instance_type]
    return TypeInfo(
        instance_type, vcpus, memory, tuple(architectures), bool(burstable), bool(current), accelerators, bool(metal)
    )


def types(region: str) -> tuple[str, ...]:
    """The types that the region offers in at least one zone, by name."""
    return tuple(load()["regions"][region]["pools"])


def offered(region: str, zone: str, instance_type: str) -> bool:
    """Whether the zone offers the type at all (as Spot or On-Demand)."""
    return _pool(region, zone, instance_type) is not None


def on_demand_price(region: str, instance_type: str) -> float | None:
    """``None`` where the region does not offer the type."""
    row = load()["regions"][region]["pools"].get(instance_type)
    return row[0] if row else None


def band(region: str, instance_type: str) -> int | None:
    """Interruption band of the Spot Instance Advisor, 0 (under 5 % a month) to 4 (over 20 %)."""
    row = load()["regions"][region]["pools"].get(instance_type)
    return row[1] if row else None


def spot_price(region: str, zone: str, instance_type: str, when: datetime) -> float | None:
    """The Spot price in force; ``None`` where the pool has none. Never above On-Demand."""
    pool = _pool(region, zone, instance_type)
    if pool is None or pool.base is None:
        return None
    return pool.price(pool.slot(when.timestamp() - _origin))


def history(region: str, zone: str, instance_type: str, start: datetime, end: datetime) -> list[tuple[datetime, float]]:
    """Price changes from ``start`` to ``end``, newest first, and last the one in force at ``start``."""
    pool = _pool(region, zone, instance_type)
    if pool is None or pool.base is None or end < start:
        return []
    first, last = pool.slot(start.timestamp() - _origin), pool.slot(end.timestamp() - _origin)
    return [
        (datetime.fromtimestamp(_origin + pool.moment(slot), timezone.utc), pool.price(slot))
        for slot in range(last, first - 1, -1)
    ]


def room(region: str, zone: str, instance_type: str, lifecycle: str, when: datetime) -> int:
    """How many instances the pool holds at most; 0 where it is not offered so.

    Spot pools are smaller and ebb more often the higher their interruption band; none ebbs in the first hour.
    """
    pool = _pool(region, zone, instance_type)
    if pool is None or (lifecycle == "spot" and pool.base is None):
        return 0
    size = max(1.0, type_info(instance_type).vcpus / 8)
    if lifecycle != "spot":
        return max(10, int(1000 / size))
    depth = pool.depth * 150 / (1 + pool.risk) / size
    age = when.timestamp() - _origin - HOUR
    if age > 0:
        tide, part = divmod(age / (6 * HOUR), 1)
        if part < 0.5 and _unit(pool.key, int(tide), 7) < 0.003 * 3**pool.risk:
            return 0  # an ebb of three hours: in 0.3 % (band 0) to 24 % (band 4) of the six-hour tides
        depth *= 1 + 0.3 * math.sin(age / (9 * HOUR)) * pool.depth / 1.5
    return max(2, int(depth))


@dataclass(frozen=True)
class _Pool:
    """One pool's character: what its hash makes of the seed."""

    key: int
    on_demand: float
    base: float | None
    risk: int
    period: int
    phase: float
    depth: float

    def moment(self, slot: int) -> int:
        """Seconds from the origin to when a slot's price comes into force: once in every period, at no fixed hour."""
        return math.floor((slot + 0.8 * _unit(self.key, slot, 1)) * self.period)

    def slot(self, moment: float) -> int:
        """The slot whose price is in force so many seconds after the origin."""
        slot = math.floor(moment / self.period)
        return slot if self.moment(slot) <= moment else slot - 1

    def price(self, slot: int) -> float:
        """Slow waves of about one and four weeks, a step every three days, a little noise; wider for higher bands."""
        day = slot * self.period / 86400
        wave = 0.5 * math.sin(day * 0.22 + self.phase) + 0.3 * math.sin(day * 0.9 + 2 * self.phase)
        step = _unit(self.key, math.floor(day / 3), 2) - 0.5
        noise = 0.3 * (_unit(self.key, slot, 3) - 0.5)
        share = 1 + (0.06 + 0.04 * self.risk) * (wave + step + noise)
        assert self.base is not None
        return round(min(self.on_demand, max(0.0001, self.base * share)), 4 if self.base > 0.01 else 6)


@lru_cache(maxsize=None)
def _pool(region: str, zone: str, instance_type: str) -> _Pool | None:
    place = load()["regions"].get(region)
    row = place["pools"].get(instance_type) if place else None
    if row is None or zone not in place["zones"]:
        return None
    on_demand, risk, shares, measured = row
    share = shares[list(place["zones"]).index(zone)]
    if share == NOT_OFFERED:
        return None
    key = crc32(f"{_seed}|{region}|{zone}|{instance_type}".encode())
    base = None
    if share is not None:
        spread = 1.0 if zone[-1] in measured else 0.94 + 0.12 * _unit(key, 0, 4)  # the advisor knows no zones
        base = on_demand * share / 1000 * spread
    return _Pool(
        key,
        on_demand,
        base,
        2 if risk is None else risk,
        (4, 6, 8, 12)[key % 4] * HOUR,
        6.283 * _unit(key, 0, 5),
        0.5 + _unit(key, 0, 6),
    )


def _unit(key: int, index: int, salt: int) -> float:
    """A number in [0, 1) that depends on its arguments alone (the finaliser of splitmix64)."""
    x = (key * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + salt * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (x ^ (x >> 31)) / 2**64
