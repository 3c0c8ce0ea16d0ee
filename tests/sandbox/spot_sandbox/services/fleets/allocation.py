"""Which pool the next launch of a fleet takes, and which instances leave when it shrinks."""

from __future__ import annotations

from collections import Counter

from spot_sandbox import clock, market, pools
from spot_sandbox.services import instances
from spot_sandbox.services.fleets.state import Fleet, Member
from spot_sandbox.services.instances import Choice


def pick(fleet: Fleet, lifecycle: str, choices: list[Choice], amount: float) -> Choice:
    """The pool of the next launch. A strategy that looks at capacity passes over pools without room; the others
    run into them. ``choices`` must not be empty."""
    strategy = fleet.settings.spot_strategy if lifecycle == "spot" else fleet.settings.on_demand_strategy
    if "prioritized" in strategy:
        choices = sorted(choices, key=_priority)
    if lifecycle == "on_demand":
        return choices[0] if strategy == "prioritized" else min(choices, key=lambda c: _on_demand_price(fleet, c))
    if "capacity" in strategy:
        choices = [c for c in choices if pools.free(fleet.region, c.zone, c.instance_type, "spot") > 0] or choices
    held = Counter((m.instance_type, m.zone) for m in fleet.members.values() if m.lifecycle == "spot")
    return instances.best_spot(fleet.region, strategy, choices, amount, held, fleet.settings.spread)


def _priority(choice: Choice) -> float:
    found = choice.what["override"].get("Priority")
    return float("inf") if found is None else float(found)


def _on_demand_price(fleet: Fleet, choice: Choice) -> float:
    return (market.on_demand_price(fleet.region, choice.instance_type) or 0) / choice.weight


def surplus(fleet: Fleet, lifecycle: str, target: float) -> list[Member]:
    """The members above the target: On-Demand the newest first, Spot as its strategy says; never more than that."""
    excess, leaving = fleet.held(lifecycle) - target, []
    while ready := [
        m
        for m in reversed(fleet.members.values())
        if m.lifecycle == lifecycle and not m.at_risk and m.weight <= excess and m not in leaving
    ]:
        member = ready[0] if lifecycle == "on_demand" else _least_wanted(fleet, ready)
        excess -= member.weight
        leaving.append(member)
    return leaving


def _least_wanted(fleet: Fleet, ready: list[Member]) -> Member:
    """The dearest of a unit, the one of the pool with least room, or one of the fullest pool; the newest of equals."""
    strategy, now = fleet.settings.spot_strategy, clock.now()
    if strategy == "diversified":
        load = Counter((m.instance_type, m.zone) for m in ready)
        return max(ready, key=lambda m: load[(m.instance_type, m.zone)])
    if "capacity" in strategy:
        return min(ready, key=lambda m: pools.free(fleet.region, m.zone, m.instance_type, "spot"))
    prices = {m.id: market.spot_price(fleet.region, m.zone, m.instance_type, now) or 0.0 for m in ready}
    return max(ready, key=lambda m: prices[m.id] / m.weight)
