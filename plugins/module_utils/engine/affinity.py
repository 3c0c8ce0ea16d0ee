# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instance a data volume belongs to: it stays in its zone, and goes to the replacement there when its instance has gone.

A volume is never taken from an instance that may still write to it. EBS gives it away when its instance is terminated; one that can
be reached by nobody is not, so it keeps the volume until it is ended, by `FENCE` where the policy says so. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

KEEP, CLAIM, WAIT, FORCE, FENCE, MOVE = "keep", "claim", "wait", "force_detach", "fence", "move"

ENDED = ("shutting-down", "terminated")
HOLDING = ("attaching", "attached")

GIB_MINUTE = 1.0
"""GiB that a first snapshot of a volume copies in a minute, at least; EBS promises nothing, and what did not change since an earlier
one is not copied again."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the application. ``reachable``: false where its status checks fail, for ``impaired`` seconds. ``leaving``: it was
    told to go, so that nothing is given to it any more."""

    id: str
    zone: str
    state: str
    launched_at: float
    reachable: bool = True
    impaired: float = 0.0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A data volume for one mount of the application. ``instance``, ``attachment`` and ``since``: who has it, in which state, and since
    when. ``free_since``: since when it is seen to be nobody's."""

    id: str
    zone: str
    size: int
    state: str
    instance: str | None = None
    attachment: str | None = None
    since: float | None = None
    free_since: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """``detach_after``: for how long a detach may take before it is forced, which is done with instances that are terminated only.
    ``fence_after``: for how long an instance must be unreachable before it is ended for the sake of its volume, ``None`` for never.
    ``move_after``: for how long a volume waits for an instance in its zone before it goes to another one, ``None`` for ever.
    ``snapshot_price``: USD a GiB and month."""

    detach_after: float = 300.0
    fence_after: float | None = None
    move_after: float | None = None
    snapshot_price: float = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a volume. ``instance``: who has it or is to have it, or is to be ended; ``zone``: where it is to be."""

    volume: str
    action: str
    zone: str
    instance: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """``plans`` by volume. ``movable``: the volumes that have waited long enough to go to another zone. ``lacking``: instances that run
    and wait for a volume, for which there is none."""

    plans: tuple[Plan, ...]
    movable: frozenset[str]
    lacking: tuple[str, ...]


def decide(volumes: Iterable[Volume], instances: Iterable[Instance], policy: Policy, now: float) -> Decision:
    """The plans for the volumes of one mount. Pure: the same arguments give the same plans, whoever makes them."""
    volumes = sorted(volumes, key=lambda one: one.id)
    known = {one.id: one for one in instances}
    served = {one.instance for one in volumes if one.attachment in HOLDING}
    waiting = sorted(
        (one for one in known.values() if one.state == "running" and one.reachable and not one.leaving and one.id not in served),
        key=lambda one: (one.launched_at, one.id),
    )
    plans, free = {}, []
    for volume in volumes:
        plan = _held(volume, known, policy, now, bool(waiting)) if volume.attachment else None
        if plan is None:
            free.append(volume)
        else:
            plans[volume.id] = plan
    plans |= _given(free, waiting, policy, now)
    movable = frozenset(one.id for one in free if plans[one.id].action != CLAIM and _may_move(one, policy, now))
    given = {plan.instance for plan in plans.values() if plan.action in (CLAIM, MOVE)}
    return Decision(
        tuple(plans[volume.id] for volume in volumes), movable, tuple(one.id for one in waiting if one.id not in given)
    )


def _held(volume: Volume, known: Mapping[str, Instance], policy: Policy, now: float, wanted: bool) -> Plan | None:
    """The plan for a volume that somebody has."""
    holder = known.get(volume.instance or "")
    gone, ended = holder is None or holder.state == "terminated", holder is None or holder.state in ENDED
    took = 0.0 if volume.since is None else now - volume.since

    def plan(action: str, *reasons: str) -> Plan:
        return Plan(volume.id, action, volume.zone, volume.instance, reasons)

    if volume.attachment in HOLDING and holder is not None and not ended:
        if holder.reachable or holder.state != "running":
            return plan(KEEP)
        why = f"{holder.id} has it, runs, and has failed its status checks for {holder.impaired:.0f} s: it may still write"
        if policy.fence_after is None or not wanted:
            return plan(WAIT, f"{why}; end it, or let fence_after do so")
        if holder.impaired < policy.fence_after:
            return plan(WAIT, f"{why}; it is ended after {policy.fence_after:.0f} s")
        return plan(FENCE, f"{why}, so it is ended before anybody else gets its volume")
    if volume.attachment in HOLDING:
        return plan(WAIT, f"{volume.instance} is being terminated, and EBS detaches its volumes then")
    if gone and took >= policy.detach_after:
        return plan(FORCE, f"{volume.instance} is terminated, and its volume has been {volume.attachment} for {took:.0f} s")
    if ended:
        return plan(WAIT, f"it is being detached from {volume.instance}, which ends")
    return plan(
        WAIT, f"it is {volume.attachment} on {volume.instance}, which runs, for {took:.0f} s: unmount it there, a detach is never forced on it"
    )


def _given(free: Sequence[Volume], waiting: Sequence[Instance], policy: Policy, now: float) -> dict[str, Plan]:
    """The plans for volumes that nobody has: those who wait longest in their zone get them."""
    plans, left = {}, list(waiting)
    for volume in free:
        if volume.state != "available":
            plans[volume.id] = Plan(volume.id, WAIT, volume.zone, None, (f"it is {volume.state}",))
            continue
        here = next((one for one in left if one.zone == volume.zone), None)
        if here is not None:
            left.remove(here)
            reason = f"{here.id} is in its zone, {volume.zone}, and has none"
            plans[volume.id] = Plan(volume.id, CLAIM, volume.zone, here.id, (reason,))
    for volume in free:
        if volume.id not in plans:
            plans[volume.id] = _elsewhere(volume, left, policy, now)
    return plans


def _elsewhere(volume: Volume, left: list[Instance], policy: Policy, now: float) -> Plan:
    """The plan for a volume for which nobody waits in its zone. Takes whom it goes to out of ``left``."""
    waits = 0.0 if volume.free_since is None else now - volume.free_since
    nobody = f"nobody in {volume.zone} has waited for it, for {waits:.0f} s"
    if policy.move_after is None:
        return Plan(volume.id, WAIT, volume.zone, None, (f"{nobody}: it stays with its zone",))
    if not _may_move(volume, policy, now):
        return Plan(volume.id, WAIT, volume.zone, None, (f"{nobody}; it may move after {policy.move_after:.0f} s",))
    if not left:
        return Plan(volume.id, WAIT, volume.zone, None, (f"{nobody}, and nobody elsewhere lacks one",))
    taker = left.pop(0)
    minutes, price = volume.size / GIB_MINUTE, volume.size * policy.snapshot_price
    cost = f"by a snapshot, within {minutes:.0f} minutes, for {price:.2f} USD a month until it is deleted"
    return Plan(volume.id, MOVE, taker.zone, taker.id, (nobody, f"{taker.id} in {taker.zone} has none: it moves there {cost}"))


def _may_move(volume: Volume, policy: Policy, now: float) -> bool:
    """Whether it has waited long enough to go to another zone."""
    since = now if volume.free_since is None else volume.free_since
    return policy.move_after is not None and volume.state == "available" and now - since >= policy.move_after
