# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""notification_resend and app_onboarded as modules; what the callback leaves is in tests/integration/callback/test_channels.py."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.spot.platform.plugins.module_utils.spool import Letter

EVENT = {"id": "1", "kind": "capacity.fallback", "app": "web", "region": "us-east-1", "resource": "sandbox-web", "summary": "two stand in"}


@pytest.fixture
def desk(sandbox, tmp_path):
    """A channel to a topic that has a queue, with one letter: the options, and the messages that came."""
    sns, sqs = sandbox.client("sns"), sandbox.client("sqs")
    topic = sns.create_topic(Name="ops")["TopicArn"]
    url = sqs.create_queue(QueueName="ops")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = (
        '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",'
        f' "Resource": "{arn}"}}]}}'
    )
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    channels = tmp_path / "channels.yml"
    channels.write_text(yaml.safe_dump({"channels": [{"name": "ops", "type": "sns", "topic_arn": topic}]}), encoding="utf-8")
    letter = Letter.new(str(tmp_path / "spool"), "ops")
    letter.put([EVENT])
    letter.close("it was down")

    def came():
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for one in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return len(found)

    return {"channels_file": str(channels), "spool": str(tmp_path / "spool")}, came


def test_a_letter_is_looked_at_sent_and_gone(run_module, desk):
    options, came = desk
    looked = run_module("notification_resend", options, check=True)
    assert looked["changed"] and (looked["sent"], looked["left"], came()) == (0, 1, 0)
    sent = run_module("notification_resend", options)
    assert sent["changed"] and (sent["sent"], sent["left"], came()) == (1, 0, 1)
    again = run_module("notification_resend", options)
    assert not again["changed"] and again["letters"] == [] and came() == 0


def test_a_channel_that_is_not_there_is_named(run_module, desk):
    options, _came = desk
    result = run_module("notification_resend", {**options, "channels": ["nosuch"]})
    assert result["failed"] and "has no channel called nosuch; it has ops" in result["msg"]


def test_the_welcome_is_an_event(run_module):
    result = run_module("app_onboarded", {"app": "shop", "regions": ["eu-west-1"], "links": {"page": "https://shop.example.com"}})
    (event,) = result["activity"]
    assert not result["changed"] and (event["kind"], event["app"], event["region"]) == ("app.onboarded", "shop", "eu-west-1")
    assert event["after"]["links"] == {"page": "https://shop.example.com"}
