# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a notice or a recommendation concerns, and who leaves its target group at once."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import (
    IGNORE,
    INTERRUPTION,
    NOTE,
    NOTICE_SECONDS,
    REBALANCE,
    Known,
    leaving_now,
    seconds_left,
    sort,
)

REGIONS = ("us-east-1", "eu-west-1")
ONE, OTHER = "i-00000001", "i-00000002"


def known(name=ONE, **more):
    facts = {"region": "us-east-1", "state": "running", "spot": True, "app": "web", "environment": "production"}
    return Known(name, **{**facts, **more})


def sorted_of(notices=(), rebalances=(), *found, policy=NOTE, environment=None, complete=True):
    return sort(notices, rebalances, {one.id: one for one in found}, policy, environment, REGIONS, complete)


def test_each_is_handled_once_and_an_interruption_comes_before_a_recommendation():
    found = sorted_of([ONE, ONE], [ONE, OTHER, OTHER], known(), known(OTHER))
    assert [(one.id, told) for one, told in found.handled] == [(ONE, INTERRUPTION), (OTHER, REBALANCE)]


@pytest.mark.parametrize(
    "facts, reason",
    [
        ({"state": "shutting-down"}, "it is already shutting-down"),
        ({"app": None}, "it is not managed by spot.platform"),
        ({"environment": "staging"}, "it is of the environment staging, not production"),
        ({"spot": False}, "it is On-Demand, which AWS does not interrupt"),
    ],
)
def test_what_is_not_to_be_handled_is_said_with_its_reason(facts, reason):
    (one,) = sorted_of([ONE], (), known(**facts), environment="production").skipped
    assert (one.id, one.reason, one.region) == (ONE, reason, "us-east-1")


def test_a_recommendation_is_ignored_by_policy_and_an_interruption_never():
    found = sorted_of([ONE], [OTHER], known(), known(OTHER), policy=IGNORE)
    assert [one.id for one, _told in found.handled] == [ONE]
    assert "the policy for rebalance recommendations is ignore" in found.skipped[0].reason


def test_an_unknown_instance_may_be_in_a_region_that_could_not_be_read():
    assert "us-east-1, eu-west-1" in sorted_of([ONE]).skipped[0].reason
    unread = sorted_of([ONE, "none"], complete=False)
    assert unread.unread == [ONE] and [one.id for one in unread.skipped] == ["none"]


def test_all_leave_at_once_where_something_else_is_healthy():
    assert leaving_now({"a", "b"}, {"a", "b", "c"}, False) == (["a", "b"], [])


def test_the_last_healthy_ones_stay_until_draining_is_due():
    assert leaving_now({"a", "b"}, {"a"}, False) == (["b"], ["a"])
    assert leaving_now({"a", "b"}, {"a"}, True) == (["a", "b"], [])
    assert leaving_now({"a"}, (), False) == (["a"], []), "what is not healthy serves nobody"


@pytest.mark.parametrize("since, left", [(None, 120), (0, 120), (45, 75), (500, 0), (-30, NOTICE_SECONDS)])
def test_the_time_left_runs_from_the_notice_whatever_the_clocks_say(since, left):
    assert seconds_left(since) == left
