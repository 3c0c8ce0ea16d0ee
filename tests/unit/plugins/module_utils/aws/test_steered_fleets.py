# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the history of a fleet that is short of Spot says of its pools."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.steered_fleets import Refusals, refusals_in

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
POOLS = [(zone, kind) for zone in ("us-east-1a", "us-east-1b") for kind in ("m5.large", "m5a.large")]
AMI = "ami-0123456789abcdef0, Linux/UNIX"
NO_ROOM = "There is no Spot capacity available that matches your request."


def event(kind: str, what: str, text: str = "", age: float = 10) -> dict[str, Any]:
    information = {"EventSubType": what, "EventDescription": text}
    return {"EventType": kind, "EventInformation": information, "Timestamp": NOW - timedelta(seconds=age)}


CHANGED = event("fleetRequestChange", "modify_succeeded", age=30)


@pytest.mark.parametrize("kind", ["error", "service-error"])
def test_a_pool_is_known_by_its_type_and_zone(kind: str) -> None:
    events = [CHANGED, event(kind, "spotFleetRequestConfigurationInvalid", f"m5.large, {AMI}, us-east-1b: {NO_ROOM}")]
    assert refusals_in(events, POOLS, NOW) == Refusals(frozenset({("us-east-1b", "m5.large")}))


def test_a_type_without_a_zone_is_refused_in_all_of_them() -> None:
    events = [CHANGED, event("information", "launchSpecTemporarilyBlacklisted", f"m5a.large, {AMI}: {NO_ROOM}")]
    assert refusals_in(events, POOLS, NOW).pools == {("us-east-1a", "m5a.large"), ("us-east-1b", "m5a.large")}


@pytest.mark.parametrize("what", ["allLaunchSpecsTemporarilyBlacklisted", "spotInstanceCountLimitExceeded"])
def test_some_events_speak_of_all_pools(what: str) -> None:
    assert refusals_in([CHANGED, event("error", what)], POOLS, NOW).pools == set(POOLS)


def test_a_fleet_that_has_just_changed_may_still_launch() -> None:
    assert refusals_in([CHANGED], POOLS, NOW) == Refusals()
    assert refusals_in([event("instanceChange", "terminated", age=59)], POOLS, NOW) == Refusals()


@pytest.mark.parametrize("events", [[], [event("instance-change", "terminated", age=60)]])
def test_the_silence_of_a_fleet_is_a_refusal(events: list[dict[str, Any]]) -> None:
    assert refusals_in(events, POOLS, NOW).pools == set(POOLS)


def test_texts_that_name_no_pool_refuse_none() -> None:
    events = [CHANGED, event("error", "spotFleetRequestConfigurationInvalid", "Value (x) for parameter y is invalid.")]
    assert refusals_in(events, POOLS, NOW) == Refusals()


def test_what_keeps_the_whole_fleet_from_launching_is_told_once() -> None:
    events = [CHANGED, *2 * [event("error", "iamFleetRoleInvalid", "The role x cannot be assumed")]]
    assert refusals_in(events, POOLS, NOW).troubles == ("iamFleetRoleInvalid: The role x cannot be assumed",)
