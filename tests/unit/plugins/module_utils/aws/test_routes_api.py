# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that route events: what is refused, what is gone already, and what another run did meanwhile."""

from __future__ import annotations

import inspect
import re
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import routes_api as api
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.modules import event_routing
from botocore import xform_name
from botocore.exceptions import ClientError

WITHOUT_CALL = {"kms:TagResource", "sqs:TagQueue", "sns:TagResource", "events:TagResource"}
"""What AWS asks for where a thing is made with tags."""


def refusal(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Operation")


def client(**calls):
    return Mock(meta=SimpleNamespace(region_name="eu-west-1", service_model=SimpleNamespace(signing_name="x")), **calls)


def test_every_call_has_its_iam_action_and_every_action_its_call():
    source = inspect.getsource(api)
    called = set(re.findall(r'client\.(?:get_paginator\(")?(\w+)', source)) - {"get_paginator", "meta"}
    notes = " ".join(line for line in event_routing.DOCUMENTATION.split("notes:")[1].splitlines())
    documented = set(re.findall(r"C\((\w+:\w+)\)", notes)) - WITHOUT_CALL
    assert called == {xform_name(action.partition(":")[2]) for action in documented}


@pytest.mark.parametrize("code", ["NotFoundException", "NotFound", "AWS.SimpleQueueService.NonExistentQueue"])
def test_what_is_not_there_is_none_and_what_is_gone_already_is_no_error(code):
    gone = Mock(side_effect=refusal(code))
    assert api.get_queue_url(client(get_queue_url=gone), "x") is None
    assert api.list_subscriptions(client(get_paginator=gone), "x") == []
    api.delete_queue(client(delete_queue=gone), "x")


def test_a_denied_look_is_not_taken_for_nothing():
    with pytest.raises(AwsError, match="access denied"):
        api.get_queue_url(client(get_queue_url=Mock(side_effect=refusal("AccessDenied"))), "x")


def test_the_tags_of_a_key_that_nobody_may_look_at_are_none():
    assert api.list_key_tags(client(list_resource_tags=Mock(side_effect=refusal("AccessDeniedException"))), "x") == {}
    with pytest.raises(AwsError):
        api.list_key_tags(client(list_resource_tags=Mock(side_effect=refusal("KMSInternalException"))), "x")


@pytest.mark.parametrize(("named", "ours"), [("mine", True), ("theirs", False)])
def test_an_alias_that_another_run_made_names_our_key_or_another(named, ours):
    made = Mock(side_effect=refusal("AlreadyExistsException"))
    kms = client(create_alias=made, describe_key=Mock(return_value={"KeyMetadata": {"KeyId": named}}))
    assert api.create_alias(kms, "alias/x", "mine") is ours


def test_a_queue_whose_name_was_deleted_a_moment_ago_is_made_when_the_minute_is_over(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    answers = [refusal("AWS.SimpleQueueService.QueueDeletedRecently")] * 3 + [{"QueueUrl": "https://x"}]
    sqs = client(create_queue=Mock(side_effect=answers))
    assert api.create_queue(sqs, "x", {}, {}) == "https://x"
    assert sqs.create_queue.call_count == 4


def test_targets_that_aws_refuses_in_an_answer_are_an_error():
    failed = {"FailedEntries": [{"TargetId": "audit", "ErrorCode": "LimitExceeded", "ErrorMessage": "too many"}]}
    with pytest.raises(AwsError, match="rule spot: audit: LimitExceeded, too many"):
        api.put_targets(client(put_targets=Mock(return_value=failed)), "spot", {"audit": {"Arn": "a"}})
    with pytest.raises(AwsError, match="audit: LimitExceeded"):
        api.remove_targets(client(remove_targets=Mock(return_value=failed)), "spot", ["audit"])
