# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a data volume, and that nobody gets one to which another may still write."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.affinity import (
    CLAIM,
    FENCE,
    FORCE,
    KEEP,
    MOVE,
    WAIT,
    Instance,
    Policy,
    Volume,
    decide,
)

NOW = 10_000.0
A, B = "us-east-1a", "us-east-1b"
FREE = Volume("vol-1", A, 20, "available", free_since=NOW - 60)
HELD = Volume("vol-1", A, 20, "in-use", "i-old", "attached", NOW - 9000)
OLD = Instance("i-old", A, "running", NOW - 9000)
NEW = Instance("i-new", A, "running", NOW - 30)


def plan(volume, *instances, policy=Policy()):
    (found,) = decide([volume], instances, policy, NOW).plans
    return found


def test_a_volume_stays_with_the_instance_that_runs():
    assert plan(HELD, OLD, NEW).action == KEEP
    assert plan(HELD, replace(OLD, state="stopped"), NEW).action == KEEP


def test_the_replacement_in_its_zone_gets_it_when_its_instance_has_gone():
    found = plan(FREE, replace(OLD, state="terminated"), NEW)
    assert (found.action, found.instance, found.zone) == (CLAIM, "i-new", A)
    assert plan(HELD, replace(OLD, state="shutting-down"), NEW).action == WAIT
    assert plan(HELD, NEW).action == WAIT


@pytest.mark.parametrize("other", [{"zone": B}, {"state": "pending"}, {"state": "stopped"}, {"leaving": True}, {"reachable": False}])
def test_nobody_else_gets_it(other):
    found = decide([FREE], [replace(NEW, **other)], Policy(), NOW)
    assert found.plans[0].action == WAIT and found.movable == frozenset()


def test_two_replacements_get_one_each_the_one_that_waits_longest_first():
    second, later = replace(FREE, id="vol-2"), replace(NEW, id="i-later", launched_at=NOW - 10)
    found = decide([second, FREE], [later, NEW], Policy(), NOW)
    assert [(one.volume, one.instance) for one in found.plans] == [("vol-1", "i-new"), ("vol-2", "i-later")]
    only = decide([FREE], [later, NEW], Policy(), NOW)
    assert only.plans[0].instance == "i-new" and only.lacking == ("i-later",)


def test_an_instance_that_has_a_volume_gets_no_second_one():
    mine = replace(HELD, id="vol-2", instance="i-new")
    assert [one.action for one in decide([FREE, mine], [NEW], Policy(), NOW).plans] == [WAIT, KEEP]


def test_an_instance_that_cannot_be_reached_keeps_its_volume_until_it_is_ended():
    lost = replace(OLD, reachable=False, impaired=600.0)
    found = plan(HELD, lost, NEW)
    assert found.action == WAIT and "it may still write" in found.reasons[0]
    fencing = Policy(fence_after=300.0)
    assert plan(HELD, lost, NEW, policy=fencing).action == FENCE
    assert plan(HELD, replace(lost, impaired=200.0), NEW, policy=fencing).action == WAIT
    assert plan(HELD, lost, policy=fencing).action == WAIT, "nobody waits for the volume, so it is not ended for that"


def test_a_detach_that_hangs_is_forced_on_an_instance_that_has_ended_only():
    hanging = replace(HELD, attachment="detaching", since=NOW - 400)
    assert plan(hanging, replace(OLD, state="terminated"), NEW).action == FORCE
    assert plan(hanging, NEW).action == FORCE
    assert plan(replace(hanging, since=NOW - 100), replace(OLD, state="terminated"), NEW).action == WAIT
    assert plan(hanging, replace(OLD, state="shutting-down"), NEW).action == WAIT
    found = plan(hanging, OLD, NEW)
    assert found.action == WAIT and "never forced" in found.reasons[0]


def test_a_volume_moves_to_another_zone_by_the_policy_alone_and_says_what_that_takes():
    far = replace(NEW, id="i-far", zone=B)
    assert plan(FREE, far).action == WAIT
    moving = Policy(move_after=600.0)
    assert plan(FREE, far, policy=moving).action == WAIT
    found = plan(replace(FREE, free_since=NOW - 700), far, policy=moving)
    assert (found.action, found.instance, found.zone) == (MOVE, "i-far", B)
    assert "within 20 minutes, for 1.00 USD a month" in found.reasons[1]
    assert plan(replace(FREE, free_since=NOW - 700), NEW, far, policy=moving).action == CLAIM
    assert plan(replace(FREE, free_since=NOW - 700), policy=moving).action == WAIT


def test_whatever_is_seen_no_volume_is_taken_from_one_that_may_write_and_none_is_given_twice():
    states = [("available", None, None), *(("in-use", "i-old", one) for one in ("attaching", "attached", "detaching", "busy"))]
    olds = [None, *(replace(OLD, state=one) for one in ("running", "stopped", "shutting-down", "terminated")), replace(OLD, reachable=False, impaired=9e9)]
    policies = [Policy(), Policy(0.0, 0.0, 0.0)]
    for (first, second), old, policy in itertools.product(itertools.product(states, repeat=2), olds, policies):
        volumes = [
            Volume(f"vol-{number}", zone, 20, state, holder, attachment, NOW - 500, NOW - 500)
            for number, ((state, holder, attachment), zone) in enumerate(((first, A), (second, B)))
        ]
        found = decide(volumes, [*([old] if old else []), NEW, replace(NEW, id="i-far", zone=B)], policy, NOW)
        given = [one.instance for one in found.plans if one.action in (CLAIM, MOVE)]
        assert len(given) == len(set(given)) and "i-old" not in given or (old and old.state == "running")
        for volume, one in zip(volumes, found.plans):
            if one.action in (CLAIM, MOVE):
                assert volume.state == "available"
            if one.action == FORCE:
                assert old is None or old.state == "terminated"
