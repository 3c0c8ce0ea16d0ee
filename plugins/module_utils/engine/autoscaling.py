# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a group's control: On-Demand covers what Spot cannot give, and goes when Spot serves again.

A group wants the target T, of which the base b is always On-Demand and T - b is Spot. While Spot is short by f, it is
given ``DesiredCapacity = T + f`` and ``OnDemandBaseCapacity = b + f`` in one call (with nothing above the base
On-Demand): f comes at once as On-Demand, and the group goes on asking for the whole Spot part, T - b, by itself. So
the fallback in force can be read off the group, ``f = OnDemandBaseCapacity - b``, and there is no other memory.
Lowering both by f in one call gives it back: a group that shrinks ends first what is above its share, which is
On-Demand (https://docs.aws.amazon.com/autoscaling/ec2/userguide/mixed-instances-groups-set-up-overview.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

SPOT = "spot"
ON_DEMAND = "on_demand"
IN_SERVICE = "InService"
PENDING = ("Pending", "Pending:Wait", "Pending:Proceed")


@dataclass(frozen=True)
class Instance:
    """An instance of a group; ``capacity`` is its weight in the group's unit, ``state`` its lifecycle state there.

    ``serving_since`` is when it went into service, where that is known, else when it was launched.
    """

    id: str
    instance_type: str
    zone: str
    lifecycle: str
    capacity: int
    state: str
    healthy: bool
    launched_at: datetime
    serving_since: datetime

    @property
    def serves(self) -> bool:
        """It is in service and healthy."""
        return self.healthy and self.state == IN_SERVICE


@dataclass(frozen=True)
class FailedLaunch:
    """A launch that the group tried in vain; ``lifecycle`` is what it tried to launch."""

    time: datetime
    lifecycle: str
    message: str


@dataclass(frozen=True)
class Observation:
    """A group as it is. Capacities are in ``unit`` (``vcpus`` or ``instances``).

    ``active_at`` is when the group last launched or ended something, or tried to; ``updating`` that AWS is deleting it.
    """

    group: str
    region: str
    app: str | None
    unit: str
    now: datetime
    target: int
    desired: int
    on_demand_base: int
    max_size: int
    instances: tuple[Instance, ...]
    active_at: datetime
    failed_launches: tuple[FailedLaunch, ...] = ()
    suspended: tuple[str, ...] = ()
    updating: bool = False


@dataclass(frozen=True)
class Policy:
    """What the application's owner wants.

    ``settle_seconds``: how long a Spot launch may take before On-Demand is sent for. ``stable_seconds``: how long Spot
    must have served before its On-Demand stand-in goes.
    """

    on_demand_base: int
    fallback: str
    min: int
    max: int
    settle_seconds: int = 180
    stable_seconds: int = 120


@dataclass(frozen=True)
class Decision:
    """What to set, and why. ``kind`` is ``fallback``, ``returned``, ``adjusted``, ``waiting`` or ``steady``.

    ``serving`` is the capacity that serves now, ``expected`` what will when all that is asked of On-Demand and all Spot
    that has been granted serves.
    """

    group: str
    region: str
    app: str | None
    kind: str
    target: int
    desired: int
    on_demand_base: int
    fallback: int
    desired_before: int
    on_demand_base_before: int
    serving: int
    expected: int
    reasons: tuple[str, ...]
    ask_again_seconds: int

    @property
    def changes(self) -> bool:
        """Whether the group must be updated."""
        return (self.desired, self.on_demand_base) != (self.desired_before, self.on_demand_base_before)

    def before(self) -> dict[str, int]:
        """The figures in force."""
        return {"desired": self.desired_before, "on_demand_base": self.on_demand_base_before}

    def after(self) -> dict[str, int]:
        """The figures decided on."""
        return {"desired": self.desired, "on_demand_base": self.on_demand_base}


def decide(observation: Observation, policy: Policy) -> Decision:
    """The next step for one group. Pure: the same arguments give the same decision."""
    seen, unit, base = observation, observation.unit, policy.on_demand_base
    target = max(policy.min, min(policy.max, seen.target))
    in_force = max(0, seen.on_demand_base - base)
    reasons: list[str] = []
    if target != seen.target:
        reasons.append(f"the target of {seen.target} {unit} is outside {policy.min} to {policy.max}: {target} is taken")

    settling = seen.now - timedelta(seconds=policy.settle_seconds)
    stable = seen.now - timedelta(seconds=policy.stable_seconds)
    spot = [one for one in seen.instances if one.lifecycle == SPOT]
    granted = [one for one in spot if one.serves or (one.state in PENDING and one.launched_at > settling)]
    settled = [one for one in spot if one.serves and one.serving_since <= stable]
    on_demand = [one for one in seen.instances if one.lifecycle == ON_DEMAND and (one.serves or one.state in PENDING)]
    # Weights may overshoot: On-Demand above its share is capacity that the group will not ask of Spot.
    spare = max(0, capacity(on_demand) - seen.on_demand_base)
    wanted = max(0, target - base - spare)
    missing = max(0, wanted - capacity(granted))
    replaced_but = max(0, wanted - capacity(settled))
    shares = f"Spot has {capacity(granted)} of {wanted} {unit} (target {target}, On-Demand base {base})"

    evidence = why_spot_is_not_coming(seen, spot, settling)
    fallback, kind = in_force, "steady"
    if missing > in_force and evidence and policy.fallback == ON_DEMAND:
        fallback, kind = missing, "fallback"
        reasons += [shares, evidence]
    elif missing > in_force:
        kind = "waiting"
        reasons.append(shares)
        if policy.fallback == ON_DEMAND:
            reasons.append(f"no Spot launch has failed; On-Demand is sent for after {policy.settle_seconds} s")
        else:
            reasons.append("the policy is fallback: none, so nothing stands in")
    elif replaced_but < in_force:
        fallback, kind = replaced_but, "returned"
        reasons.append(
            f"{capacity(settled)} of {wanted} {unit} of Spot have served for {policy.stable_seconds} s: "
            f"{in_force - replaced_but} {unit} of On-Demand can go"
        )
    elif in_force:
        kind = "waiting"
        reasons.append(f"On-Demand stands in for {in_force} {unit}: {shares}")
        if missing < in_force:
            reasons.append(f"new Spot must serve for {policy.stable_seconds} s before On-Demand goes")
        elif evidence:
            reasons.append(evidence)

    room = max(0, seen.max_size - target)
    if fallback > room:
        reasons.append(f"the group's MaxSize of {seen.max_size} leaves room for {room} of {fallback} {unit}: raise it")
        fallback = room
        kind = kind if fallback != in_force else "waiting"
    desired, on_demand_base = target + fallback, base + fallback
    if seen.updating:
        kind, desired, on_demand_base, fallback = "waiting", seen.desired, seen.on_demand_base, in_force
        reasons.append("the group is being deleted: nothing is changed")
    elif (desired, on_demand_base) == (seen.desired, seen.on_demand_base):
        pass
    elif fallback == in_force:
        kind = "adjusted"
        reasons.append(
            f"target {target} and fallback {fallback} mean desired {desired} and On-Demand base {on_demand_base}"
        )
    if "Launch" in seen.suspended:
        reasons.append("the group's Launch process is suspended: nothing comes until it is resumed")
    if (desired, on_demand_base) != (seen.desired, seen.on_demand_base):
        reasons.append(
            f"desired {seen.desired} -> {desired}, On-Demand base {seen.on_demand_base} -> {on_demand_base} {unit}"
            + (f"; the group goes on asking for {target - base} {unit} of Spot" if fallback else "")
        )
    return Decision(
        group=seen.group,
        region=seen.region,
        app=seen.app,
        kind=kind,
        target=target,
        desired=desired,
        on_demand_base=on_demand_base,
        fallback=fallback,
        desired_before=seen.desired,
        on_demand_base_before=seen.on_demand_base,
        serving=capacity(one for one in seen.instances if one.serves),
        expected=capacity(granted) + on_demand_base + spare,
        reasons=tuple(reasons),
        ask_again_seconds=ask_again(seen, policy, spot, missing > fallback, fallback > 0),
    )


def capacity(instances: Iterable[Instance]) -> int:
    """Their capacity together, in the group's unit."""
    return sum(one.capacity for one in instances)


def why_spot_is_not_coming(seen: Observation, spot: list[Instance], settling: datetime) -> str | None:
    """The evidence that waiting for Spot is in vain, as a sentence; ``None`` while it may still come.

    That is a Spot launch that failed lately or after the last one that succeeded, a Spot Instance that does not get
    into service, or a group that has not even tried for as long as a launch may take (``settling``: since when).
    """
    last_success = max((one.launched_at for one in spot), default=settling)
    failures = [
        one for one in seen.failed_launches if one.lifecycle == SPOT and one.time >= min(last_success, settling)
    ]
    if failures:
        last = max(failures, key=lambda failure: failure.time)
        return f"a Spot launch failed {seconds(seen.now - last.time)} s ago: {last.message}"
    stuck = [one for one in spot if one.state in PENDING and one.launched_at <= settling]
    if stuck:
        return f"{stuck[0].id} was launched {seconds(seen.now - stuck[0].launched_at)} s ago and is not in service yet"
    if seen.active_at <= settling:
        return f"the group has launched nothing for {seconds(seen.now - seen.active_at)} s"
    return None


def ask_again(seen: Observation, policy: Policy, spot: list[Instance], short: bool, in_fallback: bool) -> int:
    """In how many seconds the next step is worth taking: at most 60, at least 5, earlier when something is due."""
    if not short and not in_fallback:
        return 60
    due = [policy.stable_seconds - seconds(seen.now - one.serving_since) for one in spot if one.serves]
    if short:
        due.append(policy.settle_seconds - seconds(seen.now - seen.active_at))
    return max(5, min([60, *(left for left in due if left > 0)]))


def seconds(span: timedelta) -> int:
    """Whole seconds, never negative: clocks differ."""
    return max(0, round(span.total_seconds()))
