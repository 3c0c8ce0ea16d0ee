"""Which override and which zone the next launch of a group takes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from spot_sandbox import market, pools
from spot_sandbox.services import instances
from spot_sandbox.services.autoscaling.activities import record_scarcity
from spot_sandbox.services.autoscaling.state import Group


def candidates_of(group: Group) -> list[dict[str, Any]]:
    """The overrides; a group without them has one, the template's own type."""
    if group.overrides:
        return group.overrides
    spec = instances.from_template(group.region, group.specification, {})
    return [{"InstanceType": spec.get("InstanceType") or "m1.small"}]


def choose(
    group: Group, lifecycle: str, amount: int, candidates: list[dict[str, Any]], failed: set[str]
) -> tuple[dict[str, Any], str] | None:
    """The override and the zone of the next launch: the zone with least, then the strategy; ``None`` if all failed."""
    loads = Counter({zone: 0 for zone in group.zones})
    for member in group.counted():
        loads[member.zone] += member.weight
    for zone in sorted((z for z in group.zones if z not in failed), key=lambda z: (loads[z], z)):
        offered = [o for o in candidates if market.offered(group.region, zone, o["InstanceType"])]
        roomy = [o for o in offered if pools.free(group.region, zone, o["InstanceType"], lifecycle) > 0]
        if roomy:
            rank = _spot_rank if lifecycle == "spot" else _on_demand_rank
            return rank(group, zone, roomy, amount), zone
        record_scarcity(group, lifecycle, zone, offered or candidates)
        failed.add(zone)
    return None


def override_weight(override: dict[str, Any]) -> int:
    return int(override.get("WeightedCapacity") or 1)


def _spot_rank(group: Group, zone: str, roomy: list[dict[str, Any]], amount: int) -> dict[str, Any]:
    choices = [instances.Choice(o["InstanceType"], zone, override_weight(o), o) for o in roomy]
    held = Counter((m.instance_type, m.zone) for m in group.counted() if m.lifecycle == "spot")
    settings = group.distribution
    spread = int(settings.get("SpotInstancePools") or 2)
    best = instances.best_spot(group.region, settings["SpotAllocationStrategy"], choices, amount, held, spread)
    return dict(best.what)


def _on_demand_rank(group: Group, zone: str, roomy: list[dict[str, Any]], amount: int) -> dict[str, Any]:
    if group.distribution["OnDemandAllocationStrategy"] == "lowest-price":
        return min(
            roomy, key=lambda o: (market.on_demand_price(group.region, o["InstanceType"]) or 0) / override_weight(o)
        )
    return roomy[0]
