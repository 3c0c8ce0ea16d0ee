"""The policies that people would pick instead, stepped by the same simulation; the engine has two more of them."""

from __future__ import annotations

from collections import Counter

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import ON_DEMAND, SPOT, Ask, View


class RoundRobin:
    """Spot only, each new instance in the next zone."""

    def __init__(self) -> None:
        self.next = 0

    def step(self, view: View) -> Ask:
        ask = Ask()
        for _each in range(view.target - sum(1 for one in view.instances if one.told_at is None)):
            zone = view.zones[self.next % len(view.zones)]
            self.next += 1
            ask.spot[zone] = ask.spot.get(zone, 0) + 1
        return ask


class SpotHedge:
    """SpotHedge as its paper describes it (arXiv 2411.01438, section 4).

    A zone that took an instance away or refused one goes to the penalty list; when fewer than two zones are left, all of
    the list come back. A zone whose instance gets ready leaves the list. New instances go to zones that have none, the
    cheapest first. One Spot Instance more than the target is kept, and On-Demand stands in for what is not ready, at
    most the target.
    """

    def __init__(self, extra: int = 1) -> None:
        self.extra = extra
        self.penalised: set[str] = set()

    def penalise(self, zone: str, view: View) -> None:
        self.penalised.add(zone)
        if len(view.zones) - len(self.penalised) < 2:
            self.penalised = set()

    def step(self, view: View) -> Ask:
        alive = [one for one in view.instances if one.told_at is None]
        spot = [one for one in alive if one.lifecycle is SPOT]
        ready = [one for one in spot if view.now - one.launched_at >= view.cold_start]
        self.penalised -= {one.zone for one in ready if view.now - one.launched_at < view.cold_start + view.gap}
        for zone in sorted({one.zone for one in view.taken} | set(view.refused)):
            self.penalise(zone, view)
        running = Counter(one.zone for one in spot)
        ask = Ask()
        for _each in range(view.target + self.extra - len(spot)):
            candidates = [zone for zone in view.zones if zone not in self.penalised]
            free = [zone for zone in candidates if not running[zone]]
            zone = min(free or candidates, key=lambda name: (view.prices[name], running[name], name))
            running[zone] += 1
            ask.spot[zone] = ask.spot.get(zone, 0) + 1
        wanted = min(view.target, view.target + self.extra - len(ready))
        on_demand = [one for one in alive if one.lifecycle is ON_DEMAND]
        ask.on_demand = max(0, wanted - len(on_demand))
        newest = sorted(on_demand, key=lambda one: -one.launched_at)
        ask.end = [one.id for one in newest[: max(0, len(on_demand) - wanted)]]
        return ask
