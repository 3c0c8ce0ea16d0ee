"""What runs in which pool of (region, zone, instance type, lifecycle), and how much room is left.

The room is the market's own, unless ``/sandbox/capacity`` set it. A rule may leave out region, zone and type; the rule
that was set last wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from spot_sandbox import clock, market

LIFECYCLES = ("spot", "on_demand")
Pool = tuple[str, str, str, str]
"""(region, zone, instance type, lifecycle)"""

shortage_hooks: list[Callable[[Pool, int, float], None]] = []
"""Called as ``hook(pool, surplus, notice_seconds)`` when a pool holds more Spot Instances than its room."""


@dataclass(frozen=True)
class Rule:
    """Room that was set by hand; ``None`` in a field stands for all. Without ``interrupt`` it only stops launches."""

    region: str | None
    zone: str | None
    instance_type: str | None
    lifecycle: str
    room: int | None
    interrupt: bool = True

    def covers(self, pool: Pool) -> bool:
        wanted = (self.region, self.zone, self.instance_type, self.lifecycle)
        return all(mine in (None, theirs) for mine, theirs in zip(wanted, pool))


_used: Counter[Pool] = Counter()
_rules: list[Rule] = []


def reset() -> None:
    """Nothing runs, no room is set by hand."""
    _used.clear()
    _rules.clear()


def room(region: str, zone: str, instance_type: str, lifecycle: str) -> int:
    """How many instances the pool holds at most, now."""
    rule = _rule_of((region, zone, instance_type, lifecycle))
    if rule is not None and rule.room is not None:
        return rule.room
    return market.room(region, zone, instance_type, lifecycle, clock.now())


def _rule_of(pool: Pool) -> Rule | None:
    """The rule that was last set for the pool."""
    return next((rule for rule in reversed(_rules) if rule.covers(pool)), None)


def used(region: str, zone: str, instance_type: str, lifecycle: str) -> int:
    """How many instances run in the pool."""
    return _used[(region, zone, instance_type, lifecycle)]


def free(region: str, zone: str, instance_type: str, lifecycle: str) -> int:
    """How many more instances the pool can start."""
    return max(0, room(region, zone, instance_type, lifecycle) - used(region, zone, instance_type, lifecycle))


def acquire(region: str, zone: str, instance_type: str, lifecycle: str, count: int) -> int:
    """Take up to ``count`` places; returns how many were granted."""
    granted = min(count, free(region, zone, instance_type, lifecycle))
    _used[(region, zone, instance_type, lifecycle)] += granted
    return granted


def release(region: str, zone: str, instance_type: str, lifecycle: str, count: int = 1) -> None:
    """Give places back."""
    pool = (region, zone, instance_type, lifecycle)
    _used[pool] = max(0, _used[pool] - count)
    if not _used[pool]:
        del _used[pool]


def set_room(
    room: int | None,
    lifecycle: str = "spot",
    region: str | None = None,
    zone: str | None = None,
    instance_type: str | None = None,
    interrupt: bool = True,
) -> Rule:
    """Set the room of all pools that match (``None``: the market's own again)."""
    rule = Rule(region, zone, instance_type, lifecycle, room, interrupt)
    same = (region, zone, instance_type, lifecycle)
    _rules[:] = [r for r in _rules if (r.region, r.zone, r.instance_type, r.lifecycle) != same]
    if room is None and None in same:  # a wildcard gives back all that it covers, also what was set more narrowly
        _rules[:] = [r for r in _rules if not rule.covers((r.region, r.zone, r.instance_type, r.lifecycle))]
    if room is not None or any(r.covers((region, zone, instance_type, lifecycle)) for r in _rules):
        _rules.append(rule)
    return rule


def rules() -> list[Rule]:
    """The rules in force, oldest first."""
    return list(_rules)


def reclaim(notice: float) -> dict[Pool, int]:
    """Interrupt what is above the room of its pool; returns how many in each. On-Demand is never taken back."""
    surplus = {}
    for pool in sorted(_used):
        rule = _rule_of(pool)
        if pool[3] == "spot" and (rule is None or rule.interrupt) and (over := _used[pool] - room(*pool)) > 0:
            surplus[pool] = over
    for pool, over in surplus.items():
        for hook in shortage_hooks:
            hook(pool, over, notice)
    return surplus


def running() -> dict[Pool, int]:
    """All pools in use, with their instances."""
    return dict(sorted(_used.items()))
