# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom an interruption notice or a rebalance recommendation concerns, and who leaves its target group at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

INTERRUPTION, REBALANCE = "interruption", "rebalance"
IGNORE, NOTE, REPLACE = "ignore", "note", "replace"
POLICIES = (IGNORE, NOTE, REPLACE)
NOTICE_SECONDS = 120.0
"""From the notice to the interruption."""
MARGIN = 5.0
"""Seconds before the interruption by which everything is to be done: the notice is best effort."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
NO_ID = "it is no instance id: one is like i-0123456789abcdef0"


@dataclass(frozen=True, slots=True)
class Known:
    """An instance as EC2 describes it: its region, its ``state``, whether it is Spot, and by its tags the application and
    the environment; ``app`` is ``None`` where the platform does not manage it."""

    id: str
    region: str
    state: str
    spot: bool
    app: str | None
    environment: str | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instance for which nothing is done, and why."""

    id: str
    reason: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Sorted:
    """Those to be handled, each with what it was told, `INTERRUPTION` or `REBALANCE`; those that are not; and those that
    may be in a region that could not be read."""

    handled: Sequence[tuple[Known, str]]
    skipped: Sequence[Skipped]
    unread: Sequence[str] = ()


def sort(
    notices: Iterable[str],
    rebalances: Iterable[str],
    known: Mapping[str, Known],
    policy: str,
    environment: str | None,
    regions: Sequence[str],
    complete: bool,
) -> Sorted:
    """Sort what was named: each once, and an interruption comes before a rebalance recommendation.

    ``environment``: whose instances are ours, all environments if ``None``. ``complete``: whether all ``regions`` were read.
    """
    told = dict.fromkeys(rebalances, REBALANCE) | dict.fromkeys(notices, INTERRUPTION)
    handled, skipped, unread = [], [], []
    for name, what in sorted(told.items()):
        one = known.get(name)
        if not INSTANCE_ID.fullmatch(name):
            skipped.append(Skipped(name, NO_ID))
        elif one is None and not complete:
            unread.append(name)
        elif one is None:
            skipped.append(Skipped(name, f"EC2 does not know it in {', '.join(regions)}: gone for long, or elsewhere"))
        elif reason := not_ours(one, environment) or _nothing_to_do(one, what, policy):
            skipped.append(Skipped(name, reason, one.region))
        else:
            handled.append((one, what))
    return Sorted(handled, skipped, unread)


def not_ours(one: Known, environment: str | None) -> str | None:
    """Why an instance is not to be touched, ``None`` where it may be."""
    if one.app is None:
        return "it is not managed by spot.platform"
    if environment not in (None, one.environment):
        return f"it is of the environment {one.environment}, not {environment}"
    return None


def _nothing_to_do(one: Known, what: str, policy: str) -> str | None:
    if one.state not in ("pending", "running"):
        return f"it is already {one.state}"
    if not one.spot:
        return "it is On-Demand, which AWS does not interrupt"
    if what == REBALANCE and policy == IGNORE:
        return "the policy for rebalance recommendations is ignore"
    return None


def leaving_now(going: Collection[str], healthy: Collection[str], due: bool) -> tuple[list[str], list[str]]:
    """Of the targets ``going`` of a target group those that leave it now, and those that stay for a while: where none but
    they are ``healthy``, the healthy ones serve until others are, or until draining is ``due``."""
    alone = not due and not set(healthy) - set(going)
    held = sorted(set(going) & set(healthy)) if alone else []
    return sorted(set(going) - set(held)), held


def seconds_left(since_notice: float | None) -> float:
    """Until the interruption, so many seconds after the notice; with an unknown time, it was just given."""
    return min(NOTICE_SECONDS, max(0.0, NOTICE_SECONDS - (since_notice or 0.0)))
