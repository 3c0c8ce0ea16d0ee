"""What a group does by itself: launch what is missing, replace what is lost, take away what is too much.

A group is settled after every change and whenever its own timer is due: it compares what it has with what it wants,
takes one step, and books the next look.
"""

from __future__ import annotations

from collections import Counter

from moto.core.exceptions import ServiceException
from spot_sandbox import clock
from spot_sandbox.services import instances
from spot_sandbox.services.autoscaling.activities import record_failure
from spot_sandbox.services.autoscaling.allocation import candidates_of, choose
from spot_sandbox.services.autoscaling.members import launch_one, leave, moved_hooks, terminate
from spot_sandbox.services.autoscaling.state import GROUPS, RETRY, Group, Member, weight_of
from spot_sandbox.services.events import stamp

REPLACE_AFTER = 120.0
"""Sandbox seconds that the mix of purchase options must be wrong before the group begins to replace instances."""


def settle(group: Group) -> None:
    """Take the next step towards what the group wants, and book the next look."""
    if GROUPS.get((group.region, group.name)) is not group:
        return
    _drop_dead(group)
    have = weight_of(group.counted())
    short = group.desired - have
    if short > 0 and "Launch" not in group.suspended:
        if clock.time() >= group.retry_at:
            _launch(group, *_missing(group))
    elif short <= 0:
        _release_at_risk(group)
        if "Terminate" not in group.suspended:
            _scale_in(group)
        group.because = ""
        _mend_mix(group)
        _leave_zones(group)
    _book(group)


def _book(group: Group) -> None:
    """Look again when a retry or a replacement is due."""
    if group.timer:
        group.timer.cancel()
        group.timer = None
    due = []
    if weight_of(group.counted()) < group.desired and "Launch" not in group.suspended:
        due.append(group.retry_at)
    if group.mix_wrong_since is not None:
        due.append(max(group.retry_at, group.mix_wrong_since + REPLACE_AFTER))
    if group.retry_at > clock.time() and _outside(group):
        due.append(group.retry_at)
    if due:
        group.timer = clock.call_later(max(1.0, min(due) - clock.time()), settle, group)


def _missing(group: Group) -> tuple[int, int]:
    """How much On-Demand and how much Spot to launch, in the group's unit."""
    short = group.desired - weight_of(group.counted())
    on_demand = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    first = max(0, min(short, group.on_demand_wanted() - on_demand))
    return first, short - first


def _launch(group: Group, on_demand: int, spot: int) -> bool:
    """Launch so much of each; the pools that had no room leave a failed activity each. Returns whether all was had."""
    before = weight_of(group.counted())
    try:
        candidates, complete = candidates_of(group), True
    except ServiceException as refused:  # the launch template is gone
        record_failure(group, "on_demand", group.zones[0], refused.code, refused.message)
        candidates, complete, on_demand, spot = [], False, 0, 0
    for lifecycle, amount in (("on_demand", on_demand), ("spot", spot)):
        failed: set[str] = set()
        while amount > 0:
            choice = choose(group, lifecycle, amount, candidates, failed)
            if choice is None:
                complete = False
                break
            made = launch_one(group, lifecycle, choice, before)
            if made is None:
                failed.add(choice[1])
            else:
                amount -= made.weight
    if complete:
        group.failures, group.retry_at = 0, 0.0
    else:
        group.retry_at = clock.time() + RETRY[min(group.failures, len(RETRY) - 1)]
        group.failures += 1
    return complete


# Leaving a group


def _scale_in(group: Group) -> None:
    """Take away what is too much: the option over its share first, then the fullest zone, then the policy."""
    if group.replacing and any(m.state != "InService" for m in group.counted()):
        return  # the replacement serves before the old instance goes
    group.replacing = False
    before, victims = weight_of(group.counted()), []
    while (surplus := weight_of(group.counted()) - group.desired) > 0:
        ready = [m for m in group.counted() if not m.protected and m.weight <= surplus and m not in victims]
        if not ready:
            break
        victim = _victim(group, ready)
        victims.append(victim)
        victim.state = "Terminating"
    for number, victim in enumerate(victims):
        why = f"At {stamp()} {group.because}.  " if group.because else ""
        named = "  ".join(f"At {stamp()} instance {v.id} was selected for termination." for v in victims)
        cause = (
            f"{why}At {stamp()} an instance was taken out of service in response to a difference between desired and"
            f" actual capacity, shrinking the capacity from {before} to {group.desired}.  {named}"
        )
        leave(group, victim, cause)


def _victim(group: Group, ready: list[Member]) -> Member:
    wanted = group.on_demand_wanted()
    have = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    over = "on_demand" if have > wanted else "spot"
    choice = [m for m in ready if m.lifecycle == over] or ready
    choice = [m for m in _outside(group) if m in choice] or choice
    loads: Counter[str] = Counter()
    for member in group.counted():
        loads[member.zone] += member.weight
    fullest = max(loads[m.zone] for m in choice)
    choice = [m for m in choice if loads[m.zone] == fullest]
    policy = group.plain["TerminationPolicies"][0]
    if policy == "NewestInstance":
        return max(choice, key=lambda m: (m.launched, m.id))
    if policy in ("Default", "OldestLaunchTemplate"):
        return min(choice, key=lambda m: (int((m.template or {}).get("Version", 0)), m.launched, m.id))
    return min(choice, key=lambda m: (m.launched, m.id))


def _drop_dead(group: Group) -> None:
    """Members that ended or are unhealthy leave; what is missing is launched in the same step."""
    for member in list(group.members.values()):
        record = instances.RECORDS.get(member.id)
        gone = record is None or record.ended is not None or not record.holds_place
        if gone and "HealthCheck" in group.suspended and not member.state.startswith("Terminating"):
            continue
        if gone or (member.health == "Unhealthy" and not {"ReplaceUnhealthy", "Terminate"} & group.suspended):
            if member.state.startswith("Terminating") and not gone:
                continue
            if not member.state.startswith("Terminating"):
                kind = "EC2 health check indicating it has been terminated or stopped" if gone else "user health-check"
                why = f"At {stamp()} an instance was taken out of service in response to a {kind}."
                leave(group, member, why.replace("a EC2", "an EC2"))
            if gone and member.id in group.members:
                terminate(group, member)


def _release_at_risk(group: Group) -> None:
    """Capacity rebalancing: once the replacements serve, those that may be interrupted go."""
    if any(m.state != "InService" for m in group.counted()) or "Terminate" in group.suspended:
        return
    for member in [m for m in group.members.values() if m.at_risk and m.state == "InService"]:
        leave(
            group,
            member,
            f"At {stamp()} an instance was taken out of service in response to an EC2 instance rebalance"
            " recommendation.",
        )


def _mend_mix(group: Group) -> None:
    """The right number, but the wrong mix of On-Demand and Spot: replace some at a time, launching first."""
    on_demand = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    off = group.on_demand_wanted() - on_demand
    movable = [m for m in group.counted() if not m.protected and (m.lifecycle == "spot") == (off > 0)]
    if not group.policy or not movable or abs(off) < min(m.weight for m in movable):
        group.mix_wrong_since = None
        return
    if group.mix_wrong_since is None:
        group.mix_wrong_since = clock.time()
    due = max(group.retry_at, group.mix_wrong_since + REPLACE_AFTER)
    if clock.time() < due or any(m.state != "InService" for m in group.counted()):
        return
    if {"Launch", "Terminate"} & group.suspended:
        return
    step = min(abs(off), max(1, group.desired // 10))
    group.replacing = True
    _launch(group, step if off > 0 else 0, step if off < 0 else 0)


def _outside(group: Group) -> list[Member]:
    """The members that are to leave zones that the group no longer lists; none while AZRebalance is suspended."""
    if "AZRebalance" in group.suspended:
        return []
    return [m for m in group.counted() if m.zone not in group.zones and not m.protected]


def _leave_zones(group: Group) -> None:
    """Replace some of the members outside the group's zones by others of their purchase option, launching first."""
    leaving = _outside(group)[: max(1, group.desired // 10)]
    if not leaving or clock.time() < group.retry_at or {"Launch", "Terminate"} & group.suspended:
        return
    if any(m.state != "InService" for m in group.counted()):
        return
    group.replacing = True
    on_demand = weight_of(m for m in leaving if m.lifecycle == "on_demand")
    _launch(group, on_demand, weight_of(leaving) - on_demand)


def _ended(region: str, ids: list[str], cause: str) -> None:
    for group in list(GROUPS.values()):
        if group.region == region and any(i in group.members for i in ids):
            if "HealthCheck" not in group.suspended:
                settle(group)


def _warned(region: str, instance_id: str) -> None:
    for group in GROUPS.values():
        member = group.members.get(instance_id)
        if group.region == region and member and group.plain["CapacityRebalance"]:
            member.at_risk, group.retry_at = True, 0.0
            group.because = "an EC2 instance rebalance recommendation was received"
            settle(group)


moved_hooks.append(settle)
instances.ended_hooks.append(_ended)
instances.warned_hooks.append(_warned)
