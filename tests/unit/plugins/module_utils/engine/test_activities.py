# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One time line: in order, each thing once, and with who did it."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.activities import act_of, merged, subjects

START = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
NUMBERS = itertools.count()


def event(source, kind, resource="vol-1", at=0.0, **more):
    time = (START + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    given = {"app": None, "region": "us-east-1", "actor": None, "changed": True, "id": f"id-{next(NUMBERS)}"}
    return {**given, "kind": kind, "resource": resource, "time": time, "source": source, **more}


def kinds(*events, **options):
    return [one["kind"] for one in merged(events, **options)]


def test_in_order_of_time_whatever_the_order_in_which_they_come():
    events = [event("platform", f"volume.resized{n}", f"vol-{n}", at=n) for n in range(9)]
    shuffled = list(events)
    random.Random(1).shuffle(shuffled)
    assert merged(shuffled) == events


def test_our_event_stays_and_learns_from_cloudtrail_who_did_it():
    trail = event("cloudtrail", "ec2.modify_volume", at=-20, actor="jane", principal="arn:aws:iam::1:user/jane")
    (one,) = merged([trail, event("platform", "volume.resized")])
    assert (one["kind"], one["actor"], one["principal"]) == ("volume.resized", "jane", "arn:aws:iam::1:user/jane")
    (one,) = merged([trail, event("platform", "volume.resized", actor="awx-user")])
    assert (one["actor"], one["principal"]) == ("awx-user", "arn:aws:iam::1:user/jane")


def test_four_that_tell_of_the_end_of_an_instance_are_one():
    told = [
        event("eventbridge", "capacity.terminated", "", at=8, ids=["i-1"], after={"group": "web"}, changed=False),
        event("autoscaling", "capacity.terminated", "i-1", actor="autoscaling.amazonaws.com"),
        event("cloudtrail", "ec2.terminate_instances", "arn:aws:ec2:us-east-1:1:instance/i-1", at=1, actor="jane"),
    ]
    (one,) = merged(told)
    assert (one["source"], one["actor"]) == ("autoscaling", "jane")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("platform", "volume.resized", "vol-1", 0), ("cloudtrail", "ec2.modify_volume", "vol-2", 0)),
        (("platform", "volume.resized", "vol-1", 0), ("cloudtrail", "ec2.modify_volume", "vol-1", 61)),
        (("platform", "volume.resized", "vol-1", 0), ("cloudtrail", "ec2.delete_volume", "vol-1", 0)),
        (("autoscaling", "capacity.launched", "i-1", 0), ("cloudtrail", "ec2.terminate_instances", "i-1", 1)),
        (("platform", "volume.resized", "vol-1", 0), ("platform", "volume.resized", "vol-1", 1)),
        (("cloudtrail", "ec2.modify_volume", "vol-1", 0), ("cloudtrail", "ec2.modify_volume", "vol-1", 1)),
        (("platform", "volume.deferred", "vol-1", 0), ("cloudtrail", "ec2.modify_volume", "vol-1", 1)),
        (("platform", "volume.resized", "", 0), ("cloudtrail", "ec2.modify_volume", "", 0)),
    ],
)
def test_what_only_looks_alike_stays(first, second):
    events = [event(source, kind, resource, at) for source, kind, resource, at in (first, second)]
    assert len(merged(events)) == 2


def test_of_two_regions_both_stay_and_a_refusal_is_not_what_was_done():
    there = event("cloudtrail", "ec2.modify_volume", region="eu-west-1")
    refused = event("cloudtrail", "ec2.modify_volume", changed=False)
    assert len(merged([event("platform", "volume.resized"), there, refused])) == 3


def test_an_event_stands_for_the_nearest_of_each_other_source():
    ours = [event("platform", "volume.resized", at=0), event("platform", "volume.resized", at=30)]
    trail = [event("cloudtrail", "ec2.modify_volume", at=at, actor=f"at-{at}") for at in (28, 2)]
    assert [one["actor"] for one in merged([*ours, *trail])] == ["at-2", "at-28"]
    third = event("cloudtrail", "ec2.modify_volume", at=15)
    assert len(merged([*ours, *trail, third])) == 3


def test_the_same_id_is_the_same_event():
    one = event("platform", "volume.resized")
    assert merged([one, dict(one)]) == [one]


def test_the_event_of_a_role_stands_for_any_call_about_its_resource():
    assert kinds(
        event("platform", "app.elb_application_lb", "web"), event("cloudtrail", "elbv2.create_load_balancer", "web")
    ) == ["app.elb_application_lb"]
    assert len(kinds(event("autoscaling", "capacity.odd", "web"), event("cloudtrail", "ec2.create_tags", "web"))) == 2


def test_the_window_can_be_chosen():
    pair = [event("platform", "volume.resized"), event("cloudtrail", "ec2.modify_volume", at=90)]
    assert len(merged(pair, within=120)) == 1 and len(merged(pair, within=0)) == 2


def test_nothing_is_changed_in_what_was_given():
    ours, trail = event("platform", "volume.resized"), event("cloudtrail", "ec2.modify_volume", actor="jane")
    before = dict(ours), dict(trail)
    merged([ours, trail])
    assert (ours, trail) == before and merged([]) == []


def test_thousands_of_the_same_resource_are_no_trouble():
    events = [event("platform", "volume.resized", at=n * 100) for n in range(3000)]
    events += [event("cloudtrail", "ec2.modify_volume", at=n * 100 + 5) for n in range(3000)]
    assert len(merged(events)) == 3000


def test_what_an_event_is_about():
    assert subjects(event("cloudtrail", "x.y", "arn:aws:rds:us-east-1:1:db:shop")) == {
        "arn:aws:rds:us-east-1:1:db:shop",
        "shop",
    }
    assert subjects({"resource": "", "ids": ["i-1", None, 3], "after": {"group": "web"}}) == {"i-1", "web"}
    assert subjects({"resource": None, "after": "text"}) == set()


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("capacity.launch_failed", "launch"),
        ("ec2.run_instances", "launch"),
        ("capacity.terminated", "end"),
        ("ec2.terminate_instances", "end"),
        ("deployment.succeeded", "deploy"),
        ("codedeploy.create_deployment", "deploy"),
        ("capacity.fallback", "change"),
        ("autoscaling.update_auto_scaling_group", "change"),
        ("ec2.create_tags", "change"),
        ("ec2.create_volume", "create"),
        ("volume.claimed", "attach"),
        ("ec2.attach_volume", "attach"),
        ("app.elb_application_lb", "any"),
        ("odd", "any"),
    ],
)
def test_the_kind_of_an_act(kind, act):
    assert act_of(kind) == act
