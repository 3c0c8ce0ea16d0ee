# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.spot.platform.plugins.callback.activity import (
    MASK,
    CallbackModule,
    identifier,
    masked,
    place,
    summary,
)


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_password",
        "SecretAccessKey",
        "session_token",
        "tokens",
        "private_key",
        "aws-secret-key",
        "MasterUserPassword",
    ],
)
def test_values_of_secret_keys_are_masked_at_any_depth(key):
    assert masked({"before": [{key: "s3cret"}]}) == {"before": [{key: MASK}]}
    assert masked({key: {"nested": "s3cret"}}) == {key: MASK}


@pytest.mark.parametrize("key", ["http_tokens", "HttpTokens", "key_name", "tokenizer", "secretary", "next_token"])
def test_values_of_other_keys_stay(key):
    assert masked({key: "required"}) == {key: "required"}


def test_an_absent_secret_stays_absent():
    assert masked({"password": None}) == {"password": None}


def test_private_keys_in_text_are_masked():
    text = "made\n-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nend"
    assert masked(["x", text]) == ["x", f"made\n{MASK}\nend"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"changed": True, "vpc": {"id": "vpc-1", "tags": {"name": "x"}, "owner_id": "1"}}, "vpc-1"),
        ({"subnet": {"id": "subnet-1", "vpc_id": "vpc-1"}}, "subnet-1"),
        ({"group_id": "sg-1", "vpc_id": "vpc-1", "owner_id": "1", "ip_permissions": [{"id": "sgr-1"}]}, "sg-1"),
        ({"load_balancer_arn": "arn:lb", "listeners": [{"target_group_arn": "arn:tg"}]}, "arn:lb"),
        ({"iam_role": {"arn": "arn:role", "role_name": "x"}}, "arn:role"),
        ({"template": {"launch_template_id": "lt-1"}, "versions": []}, "lt-1"),
        ({"instance_ids": ["i-1", "i-2"]}, "i-1, i-2"),
        ({"invocation": {"module_args": {"name": "wrong"}}, "diff": {"id": "wrong"}}, None),
        ({}, None),
    ],
)
def test_identifier_of_a_result(result, expected):
    assert identifier(result) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web@us-east-1", ("web", "us-east-1")),
        ("network@eu-west-1", ("network", "eu-west-1")),
        ("localhost", (None, None)),
    ],
)
def test_place_of_a_target(host, expected):
    assert place(host) == expected


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("Make the group {{ item }}", "a", "Make the group (a)"),
        ("Make the group << error 1 - 'item' is undefined >>", "a", "Make the group (a)"),
        ("Make the group", {"name": "a"}, "Make the group"),
        ("Make the group", None, "Make the group"),
    ],
)
def test_summary_of_a_task(name, label, expected):
    assert summary(name, label) == expected


def recorded(data, failed=False, host="web@us-east-1", **task):
    """The events that a task's result leaves."""
    callback = CallbackModule()
    callback._actor, callback._run = "ann", "7"
    callback._play = SimpleNamespace(get_name=lambda: "Lay the network")
    taken = []
    callback._couriers = [SimpleNamespace(take=taken.append)]
    fields = {"action": "amazon.aws.ec2_vpc_net", "name": "Make the VPC", "check_mode": False, **task}
    result = SimpleNamespace(
        _result=data,
        _task_fields=fields,
        _task=SimpleNamespace(loop=None, _role=None),
        _host=SimpleNamespace(get_name=lambda: host),
    )
    (callback.v2_runner_on_failed if failed else callback.v2_runner_on_ok)(result)
    return taken


OWN = {"kind": "capacity.fallback", "resource": "web", "summary": "covers", "app": None, "region": "eu-west-1"}


def test_events_of_a_module_are_filled_in_and_masked():
    (event,) = recorded({"changed": True, "activity": [{**OWN, "after": {"password": "x"}}]})
    assert event == {**OWN, "app": "web", "after": {"password": MASK}, "actor": "ann", "run": "7"}


def test_what_a_failed_module_had_done_is_recorded():
    assert [event["kind"] for event in recorded({"failed": True, "activity": [OWN, OWN]}, failed=True)] == [
        OWN["kind"]
    ] * 2
    assert not recorded({"changed": True, "vpc": {"id": "vpc-1"}}, failed=True)


def test_a_change_of_another_collection_gets_an_event():
    (event,) = recorded({"changed": True, "vpc": {"id": "vpc-1"}})
    assert (event["kind"], event["resource"]) == ("lay_the_network.ec2_vpc_net", "vpc-1")
    assert (event["app"], event["region"], event["actor"]) == ("web", "us-east-1", "ann")
    (event,) = recorded({"changed": True, "invocation": {"module_args": {"region": "eu-west-1"}}}, host="localhost")
    assert (event["app"], event["region"], event["resource"]) == (None, "eu-west-1", "ec2_vpc_net")


@pytest.mark.parametrize(
    ("data", "task"),
    [
        ({"changed": False, "vpc": {"id": "vpc-1"}}, {}),
        ({"changed": True}, {"action": "ansible.builtin.command"}),
        ({"changed": True, "activity": [OWN]}, {"check_mode": True}),
        ({"changed": True, "activity": [OWN]}, {"no_log": True}),
        ({"changed": True, "_ansible_no_log": True}, {}),
        ({"changed": True, "activity": []}, {}),
    ],
)
def test_nothing_is_recorded(data, task):
    assert not recorded(data, **task)
