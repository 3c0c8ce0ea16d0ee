# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to replace of a group: graces, the budget, and when it is the application's fault."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.health import HEALTHY, UNHEALTHY, Member, Policy, decide

NOW = 1_000_000.0
POLICY = Policy(grace_seconds=300, impaired_seconds=300, max_replaced=None, max_percent=20, stop_share=1.0)


def well(count, first=0):
    return [Member(f"i-well-{number}", NOW - 9000, True, target=HEALTHY) for number in range(first, first + count)]


def bad(count, **more):
    facts = {"target": UNHEALTHY, **more}
    return [Member(f"i-bad-{number}", NOW - 9000 + number, True, **facts) for number in range(count)]


def test_a_group_that_is_well_is_left_alone():
    verdict = decide(well(4), POLICY, NOW)
    assert (verdict.unhealthy, verdict.replace, verdict.healthy, verdict.stopped, verdict.reasons) == ([], [], 4, False, ())


@pytest.mark.parametrize(
    "member, counts",
    [
        (Member("i-1", NOW - 300, True, target=UNHEALTHY), True),
        (Member("i-1", NOW - 299, True, target=UNHEALTHY), False),
        (Member("i-1", NOW - 9000, True, impaired_since=NOW - 300), True),
        (Member("i-1", NOW - 9000, True, impaired_since=NOW - 299), False),
        (Member("i-1", NOW - 1, False, named=True), True),
        (Member("i-1", NOW - 9000, True, target="starting"), False),
        (Member("i-1", NOW - 9000, True, target="unknown"), False),
        (Member("i-1", NOW - 9000, True, target=UNHEALTHY, going=True), False),
    ],
)
def test_an_instance_is_unhealthy_only_after_its_grace(member, counts):
    verdict = decide([member, *well(4)], POLICY, NOW)
    assert verdict.unhealthy == (["i-1"] if counts else []) and verdict.replace == verdict.unhealthy


@pytest.mark.parametrize(
    "limits, size, expected",
    [
        ({}, 10, 2),
        ({}, 4, 1),
        ({"max_replaced": 1}, 10, 1),
        ({"max_replaced": 3, "max_percent": None}, 10, 3),
        ({"max_replaced": 3, "max_percent": 10}, 10, 1),
        ({"max_percent": 29}, 100, 3),
    ],
)
def test_the_budget_is_the_smaller_limit_and_at_least_one(limits, size, expected):
    verdict = decide([*bad(3), *well(size - 3)], replace(POLICY, **limits), NOW)
    assert len(verdict.replace) == expected and len(verdict.waiting) == 3 - expected
    assert list(verdict.replace) == [f"i-bad-{number}" for number in range(expected)], "the oldest first"


def test_those_on_their_way_count_towards_the_budget():
    going = [replace(one, id=f"i-going-{one.id}", going=True) for one in bad(1)]
    verdict = decide([*going, *bad(2), *well(8)], POLICY, NOW)
    assert (verdict.going, len(verdict.replace)) == (1, 1)
    assert "at most 2 of 10 are replaced at a time, and 1 are on their way already" in verdict.reasons
    full = decide([*going, *bad(1), *well(4)], POLICY, NOW)
    assert full.replace == [] and full.waiting == ["i-bad-0"]


def test_where_all_are_unhealthy_nothing_is_touched():
    starting = [Member("i-new", NOW - 60, True, target="starting")]
    verdict = decide([*bad(3), *starting], POLICY, NOW)
    assert verdict.stopped and verdict.replace == [] and verdict.waiting == [] and len(verdict.unhealthy) == 3
    assert any("3 of 3 are unhealthy at once" in reason for reason in verdict.reasons), "what starts is no witness"
    assert not decide([*bad(3), *well(1)], POLICY, NOW).stopped
    assert decide([*bad(3), *well(3)], replace(POLICY, stop_share=0.5), NOW).stopped


def test_one_alone_says_nothing_of_the_application():
    verdict = decide(bad(1), POLICY, NOW)
    assert not verdict.stopped and verdict.replace == ["i-bad-0"]


def test_whatever_is_seen_the_budget_holds_and_only_the_unhealthy_go():
    chance = random.Random(4)
    for _round in range(500):
        members = [
            Member(
                f"i-{number}",
                NOW - chance.choice([10, 1000]),
                chance.random() < 0.8,
                chance.random() < 0.2,
                chance.choice([None, NOW - 10, NOW - 1000]),
                chance.choice([None, HEALTHY, UNHEALTHY, "starting", "unknown"]),
                chance.random() < 0.1,
            )
            for number in range(chance.randrange(12))
        ]
        policy = Policy(300, 300, chance.choice([None, 1, 3]), chance.choice([None, 20, 50, 100]), chance.choice([0.5, 1.0]))
        verdict = decide(members, policy, NOW)
        assert set(verdict.replace) <= set(verdict.unhealthy) <= {one.id for one in members if not one.going}
        staying = len(members) - verdict.going
        most = min(policy.max_replaced or staying, int(staying * (policy.max_percent or 100) / 100))
        assert not verdict.replace or len(verdict.replace) + verdict.going <= max(1, most)
        assert verdict == decide(list(reversed(members)), policy, NOW), "the order in which AWS tells them is nothing"
