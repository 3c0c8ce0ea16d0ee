# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there shall be so that events reach the listener, and what is done where it differs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.routes import (
    KEY,
    QUEUE,
    RULE,
    SUBSCRIPTION,
    TOPIC,
    Piece,
    Place,
    decide,
    decide_absent,
    same,
    stages,
    wanted,
)

PLACE = Place("it", "eu-west-1", "123456789012")
ENDPOINT = "https://events.example.com/sns"
WANTED = wanted(PLACE, [ENDPOINT])


def rules():
    return {piece.name.removeprefix("spot-platform-it-"): piece.settings for piece in WANTED if piece.kind == RULE}


def policies():
    return [piece.settings.get("Policy", piece.settings.get("policy")) for piece in WANTED if piece.kind in (KEY, QUEUE, TOPIC)]


def changed(name, **settings):
    """All that is wanted, but for these settings of one piece."""
    return [replace(one, settings={**one.settings, **settings}) if one.name == name else one for one in WANTED]


def test_where_nothing_is_all_is_made_and_each_thing_after_what_it_needs():
    changes = decide(WANTED, [])
    assert [change.action for change in changes] == ["created"] * len(WANTED)
    kinds = [[(change.kind, change.name.endswith("-dead")) for change in stage][0] for stage in stages(changes)]
    assert kinds == [(KEY, False), (QUEUE, True), (QUEUE, False), (TOPIC, False), (SUBSCRIPTION, False), (RULE, False)]


def test_where_all_is_nothing_is_done():
    assert decide(WANTED, WANTED) == ()
    assert decide(WANTED, reversed(WANTED)) == ()


def test_only_what_differs_is_told():
    [change] = decide(WANTED, changed("spot-platform-it-audit", VisibilityTimeout=5))
    assert (change.action, change.before, change.after) == ("updated", {"VisibilityTimeout": 5}, {"VisibilityTimeout": 60})


def test_a_setting_that_aws_did_not_show_differs():
    bare = [Piece(one.kind, one.name, {}) for one in WANTED]
    assert {change.action for change in decide(WANTED, bare)} == {"updated"}


def test_what_is_not_ours_is_left_alone_but_for_subscriptions_of_our_topic():
    others = [Piece(RULE, "spot-platform-it-disks", {}), Piece(SUBSCRIPTION, "https://old.example.com/", {})]
    [change] = decide(WANTED, [*WANTED, *others])
    assert (change.kind, change.name, change.action) == (SUBSCRIPTION, "https://old.example.com/", "deleted")
    assert "spot-platform-it-disks" not in {one.name for one in decide_absent(WANTED, [*WANTED, *others])}


def test_nothing_is_removed_before_what_uses_it():
    order = [change.kind for change in decide_absent(WANTED, WANTED)]
    assert list(dict.fromkeys(order)) == [RULE, SUBSCRIPTION, TOPIC, QUEUE, KEY]
    assert len(order) == len(WANTED)
    assert decide_absent(WANTED, []) == ()


def test_who_must_act_hears_what_must_be_acted_on_and_the_audit_hears_all():
    heard = {name: set(rule["targets"]) for name, rule in rules().items()}
    acted_on = {name for name, targets in heard.items() if "events" in targets}
    assert acted_on == {"spot", "capacity", "instances", "health"}
    assert all("audit" in targets for targets in heard.values())
    assert all(("topic" in targets) == ("events" in targets) for targets in heard.values())
    assert rules()["capacity"]["pattern"]["detail-type"] == ["EC2 Instance Launch Unsuccessful"]
    assert "running" not in rules()["instances"]["pattern"]["detail"]["state"]


def test_each_target_is_tried_for_a_while_and_then_a_dead_letter():
    for name, rule in rules().items():
        for what, target in rule["targets"].items():
            assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == (300 if name == "spot" else 3600)
            assert 0 < target["RetryPolicy"]["MaximumRetryAttempts"] <= 185, "AWS takes no more"
            queue = "audit" if what == "audit" else "events"
            assert target["DeadLetterConfig"]["Arn"].endswith(f":spot-platform-it-{queue}-dead")


def test_no_policy_lets_anybody_in_but_services_for_this_account():
    for policy in policies():
        for statement in policy["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            if statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}:
                continue
            assert "*" not in json.dumps(statement["Principal"])
            if statement["Resource"] == "*" and statement["Principal"] == {"Service": "events.amazonaws.com"}:
                continue  # the key, see the next test
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_eventbridge_may_use_the_key_without_a_condition_or_the_encrypted_topic_would_get_nothing():
    [policy] = [piece.settings["policy"] for piece in wanted(PLACE) if piece.kind == "key"]
    [statement] = [one for one in policy["Statement"] if one["Principal"] == {"Service": "events.amazonaws.com"}]
    assert "Condition" not in statement
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}


def test_another_partition_has_its_own_arns():
    text = json.dumps([dict(piece.settings) for piece in wanted(replace(PLACE, partition="aws-cn"))])
    assert "arn:aws-cn:" in text
    assert "arn:aws:" not in text


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": ["x"]}, {"a": "x"}, True),
        (["a", "b"], ["b", "a"], True),
        (5, "5", True),
        (True, "True", False),
        (None, {}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (["a", "b"], ["a"], False),
    ],
)
def test_what_aws_writes_otherwise_is_the_same(one, other, equal):
    assert same(one, other) is equal
