# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set and end the temporary bounds of an application, which are a tag of its groups, under the lease of each: a step that
looked before cannot act on what it saw, nor remove what is set now.

Required IAM actions: those of `steering.observe`, ``autoscaling:CreateOrUpdateTags``, ``ec2:CreateTags``, and
``dynamodb:UpdateItem`` on the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import state, steering
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.stepping import BACKENDS, LEASE_SECONDS, POLL_SECONDS
from ansible_collections.spot.platform.plugins.module_utils.engine import overrides
from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import Bounds, Change, Override

Decide = Callable[[Optional[Override], Bounds, float], Change]
"""What is to become of the bounds in force, by those of the manifest and AWS's time. Raises ``ValueError``."""


@dataclass(frozen=True)
class Set:
    """What became of the bounds of a group, or why they could not be set."""

    one: steering.Steered
    change: Change
    error: str | None = None


def apply(
    clients: Clients,
    regions: Sequence[str],
    question: steering.Question,
    decide: Decide,
    holder: str,
    lease_seconds: float,
    act: bool,
    cache: Cache,
) -> list[Set]:
    """Decide for the groups of all ``regions`` and then act. Raises `AwsError` where one cannot be read, and ``ValueError`` where one
    has no group or cannot be so: then nothing was changed."""
    seen = dict(zip(regions, side_by_side(lambda region: steering.observe(clients, region, question, cache), regions)))
    missing = [region for region, found in seen.items() if not found.steered]
    if missing:
        raise ValueError(
            f"{', '.join(question.apps)} has no group in {', '.join(missing)}: run spot.platform.app_onboard, or name a region that it runs in"
        )
    found = [(one, part, _decided(one, decide)) for part in seen.values() for one in part.steered]

    def work(item: tuple[steering.Steered, steering.Region, Change]) -> Set:
        one, part, change = item
        if change.after is None or not act:
            return Set(one, change)
        try:
            return _act(clients, one, part, question, decide, holder, lease_seconds, cache)
        except (AwsError, ValueError) as error:
            return Set(one, change, str(error))

    return side_by_side(work, found)


def _decided(one: steering.Steered, decide: Decide) -> Change:
    bounds = Bounds(
        one.app or one.name,
        one.region,
        one.text(ours.UNIT, "instances"),
        one.number(ours.MINIMUM),
        one.number(ours.MAXIMUM),
        max(0, one.number(ours.TARGET) - one.lent),
    )
    return decide(overrides.read(one.tags.get(ours.OVERRIDE)), bounds, one.now)


def _act(
    clients: Clients,
    one: steering.Steered,
    part: steering.Region,
    question: steering.Question,
    decide: Decide,
    holder: str,
    lease_seconds: float,
    cache: Cache,
) -> Set:
    """Write the tag, when no step of the group is under way. Without the table there is no lease, and no step removes the tag."""
    client, table = clients.get("dynamodb", one.region), state.table_of(one.tags.get(ours.ENVIRONMENT, ""))
    deadline = time.monotonic() + lease_seconds
    while True:
        held, change = part.states.get(one.key), _decided(one, decide)
        if change.after is None:
            return Set(one, change)
        lease = held and state.acquire(client, table, held, holder, one.now, LEASE_SECONDS)
        if held is None or lease:
            break
        if time.monotonic() > deadline:
            raise ValueError(f"another controller has acted on {one.name} for {lease_seconds:g} s: run it again")
        time.sleep(POLL_SECONDS)
        part = steering.observe(clients, one.region, replace(question, names=[one.name], kinds=[one.kind]), cache)
        if not part.steered:
            raise ValueError(f"{one.name} has gone")
        one = part.steered[0]
    try:
        BACKENDS[one.kind].tag(clients, one, {ours.OVERRIDE: overrides.written(change.after)})
    finally:
        if lease:
            state.release(client, table, lease, held.memory, one.now)
    return Set(one, change)
