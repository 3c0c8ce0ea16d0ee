# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of many groups: what cannot be read, letting go, and regions that help each other."""

from __future__ import annotations

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import control, state, steering
from ansible_collections.spot.platform.plugins.module_utils.aws import steering_groups as acting
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Spread
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Peer
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits

from ansible_collections.spot.platform.tests.unit.plugins.module_utils.aws.stepped import (
    A,
    Clients,
    NOW,
    REGION,
    decided,
    fresh,
    group,
    member,
    only,
    options,
    step,
)

DECIDE = engine.decide


def test_letting_go_resumes_what_was_suspended_by_us(world, monkeypatch):
    monkeypatch.setattr(acting, "resume", lambda _clients, one: acting.suspended(one))
    outcome = only(world, release=True)
    assert outcome.released and outcome.resumed == acting.FIGHTING and outcome.changed
    assert world.decisions == []


def test_letting_go_in_check_mode_says_what_it_would_resume(world):
    outcome = only(world, release=True, act=False)
    assert outcome.resumed == acting.FIGHTING and world.calls == []


def test_letting_go_of_a_group_that_was_never_steered_changes_nothing(world):
    world.groups = [group(carried={tags.SUSPENDED: ""})]
    outcome = only(world, release=True)
    assert (outcome.released, outcome.resumed, outcome.changed) == (True, (), False)


def test_letting_go_needs_no_policy(world):
    world.groups = [group(carried={tags.FALLBACK: "maybe", tags.SUSPENDED: ""})]
    assert only(world, release=True).error is None


def test_a_group_that_cannot_be_let_go_is_an_error(world, monkeypatch):
    def denied(*_args):
        raise AwsError("cannot resume processes: access denied")

    monkeypatch.setattr(acting, "resume", denied)
    outcome = only(world, release=True)
    assert outcome.error == "cannot resume processes: access denied" and not outcome.released


def test_a_region_that_cannot_be_read_is_one_error(world):
    world.unreadable = "cannot describe the Auto Scaling groups in us-east-1: access denied"
    outcome = only(world, names=["web", "api"])
    assert (outcome.region, outcome.group, outcome.name) == (REGION, None, None)
    assert "access denied" in outcome.error


def test_one_bad_tag_and_one_failure_do_not_stop_the_others(world):
    world.groups = [group(name="a", carried={tags.FALLBACK: "maybe"}), group(name="b"), group(name="c")]
    world.states = {name: state.State(name, 1, fresh()) for name in "abc"}
    world.plan, world.failing = [decided({A: 1})], {"b": {"attach"}}
    a, b, c = step(world)
    assert "spot.platform/fallback of a is 'maybe'" in a.error and a.decisions == ()
    assert b.error == "cannot attach: no"
    assert c.error is None and c.attached == ("i-us-east-1a-0",)


def test_a_target_that_is_no_number_is_the_error_of_its_group(world):
    world.groups = [group(carried={tags.TARGET: "many"})]
    assert "the tag spot.platform/target of web is 'many'" in only(world).error


def test_a_named_group_that_is_not_there_is_an_error_of_its_own(world):
    outcomes = step(world, names=["web", "gone"])
    assert [(one.name, one.error) for one in outcomes] == [
        ("web", None),
        ("gone", "the group gone is not there in us-east-1"),
    ]


def test_two_regions_are_observed_before_either_acts_and_help_each_other(world, monkeypatch):
    """The one is short in spite of On-Demand since five minutes; the other carries what it may, under its own tags."""
    east = group(member("i-0"), counted=1, region="us-east-1")
    west = group(region="us-west-2")
    short = state.State("web", 3, fresh(short_since=NOW - 300))
    states = {"us-east-1": {"web": short}, "us-west-2": {"web": state.State("web", 3, fresh())}}

    def observe(_clients, region, _question, _cache):
        world.calls.append(("observe", region))
        found = {"us-east-1": east, "us-west-2": west}[region]
        return steering.Region([found], steering.Market(), states[region])

    monkeypatch.setattr(steering, "observe", observe)
    monkeypatch.setattr(engine, "decide", DECIDE)
    spread = Spread("web", ["us-east-1", "us-west-2"], Limits())
    wanted = {"us-east-1": None, "us-west-2": None}
    outcomes = control.step(Clients(), wanted, options(spreads=[spread]), None).outcomes
    assert [(one.region, one.decisions[-1].target, one.decisions[-1].lent) for one in outcomes] == [
        ("us-east-1", 4, 0),
        ("us-west-2", 6, 2),
    ]
    assert ("tag", {tags.TARGET: "6", tags.LENT: "2"}) in world.calls
    assert {call[0] for call in world.calls[:2]} == {"observe"}
    peers = [one.peers for one in world.written]
    assert {"us-west-2": Peer(6, 2)} in peers and {"us-east-1": Peer(4, 0)} in peers
    world.calls.clear()
    alone = control.step(Clients(), {"us-west-2": None}, options(spreads=[spread]), None).outcomes
    assert alone[0].decisions[-1].target == 4, "without the other region nothing is known of it"
