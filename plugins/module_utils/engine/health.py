# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which unhealthy instances of a group are replaced now: as many as the budget allows, and none where all are unhealthy at
once, for that is the application's fault, and new instances would have it too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
TOLD = 5
"""So many instances are named in a reason."""
LEAST = 2
"""One unhealthy instance alone says nothing of the application."""


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of a group. ``going``: it is on its way out already. ``impaired_since``: since when it fails EC2's status
    checks, seconds since the epoch. ``target``: what its target groups say, ``None`` where it has none. ``named``: whether an
    alert names it."""

    id: str
    launched_at: float
    serving: bool
    going: bool = False
    impaired_since: float | None = None
    target: str | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """``grace_seconds``: after its launch an instance may be unhealthy in its target groups. ``impaired_seconds``: how long it
    may fail status checks. ``max_replaced`` and ``max_percent``: how many of a group are replaced at a time, the smaller
    one if both are given, at least one. ``stop_share``: the unhealthy part from which nothing is touched, from 0 to 1."""

    grace_seconds: float
    impaired_seconds: float
    max_replaced: int | None
    max_percent: float | None
    stop_share: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``unhealthy``: those found to be, oldest first, of which ``replace`` are replaced now. ``healthy``: how many are known
    to be well; ``going``: how many are on their way out. ``stopped``: too many are unhealthy to touch any."""

    unhealthy: Sequence[str]
    replace: Sequence[str]
    healthy: int
    going: int
    stopped: bool
    reasons: tuple[str, ...]

    @property
    def waiting(self) -> list[str]:
        """Those that the budget has no place for now."""
        return [] if self.stopped else [one for one in self.unhealthy if one not in self.replace]


def decide(members: Iterable[Member], policy: Policy, now: float) -> Verdict:
    """Whom to replace of a group. Pure: the same arguments give the same verdict."""
    members = sorted(members, key=lambda one: (one.launched_at, one.id))
    staying = [one for one in members if not one.going]
    why = {one.id: reason for one in staying if (reason := _unhealthy(one, policy, now))}
    healthy = sum(_healthy(one) for one in staying if one.id not in why)
    going = len(members) - len(staying)
    reasons = [f"{one} {reason}" for one, reason in list(why.items())[:TOLD]]
    if len(why) > TOLD:
        reasons.append(f"and {len(why) - TOLD} more are unhealthy")
    judged = len(why) + healthy
    if len(why) >= LEAST and len(why) >= policy.stop_share * judged:
        reasons.append(
            f"{len(why)} of {judged} are unhealthy at once, {policy.stop_share:.0%} or more: that is the application's "
            "fault, and nothing is touched"
        )
        return Verdict(list(why), [], healthy, going, True, tuple(reasons))
    budget = _budget(len(staying), policy)
    replaced = list(why)[: max(0, budget - going)]
    if len(replaced) < len(why):
        reasons.append(f"at most {budget} of {len(staying)} are replaced at a time, and {going} are on their way already")
    return Verdict(list(why), replaced, healthy, going, False, tuple(reasons))


def _budget(size: int, policy: Policy) -> int:
    """How many may be on their way out at a time."""
    limits = [size]
    if policy.max_replaced is not None:
        limits.append(policy.max_replaced)
    if policy.max_percent is not None:
        limits.append(int(size * policy.max_percent / 100 + 1e-9))
    return max(1, min(limits))


def _unhealthy(one: Member, policy: Policy, now: float) -> str | None:
    """Why an instance is unhealthy, ``None`` where it is not, or has not been for long enough."""
    if one.named:
        return "is named by an alert"
    if one.impaired_since is not None and now - one.impaired_since >= policy.impaired_seconds:
        return f"fails EC2's status checks for {now - one.impaired_since:.0f} s"
    if one.target == UNHEALTHY and now - one.launched_at >= policy.grace_seconds:
        return f"is unhealthy in its target group, {now - one.launched_at:.0f} s after its launch"
    return None


def _healthy(one: Member) -> bool:
    """Whether it is known to be well; one that starts, or has just begun to fail, says nothing."""
    return one.serving and one.impaired_since is None and one.target in (HEALTHY, None)
