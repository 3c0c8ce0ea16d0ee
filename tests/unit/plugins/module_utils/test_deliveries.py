# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.senders import TopicSender, batches, entry_of, subject_of
from ansible_collections.spot.platform.plugins.module_utils.channels import channels_of
from ansible_collections.spot.platform.plugins.module_utils.deliveries import (
    MailSender, SLACK_CHARACTERS, SlackSender, deliver, resend, slack_text,
)  # fmt: skip
from ansible_collections.spot.platform.plugins.module_utils.sinks import Refused
from ansible_collections.spot.platform.plugins.module_utils.spool import Letter

TOPIC = "arn:aws:sns:eu-west-1:123456789012:t"
MAIL = {"name": "mail", "type": "mail", "sender": "spot@example.com", "to": ["owner"]}


def events(count, **more):
    return [
        {"id": str(number), "kind": "x.y", "app": "shop", "region": "eu-west-1", "summary": f"s{number}", "time": "t", **more}
        for number in range(count)
    ]


def mail_channel(**apps):
    (channel,) = channels_of({"channels": [MAIL], "apps": apps})
    return channel


def test_slack_gets_no_mark_up_from_a_text():
    (event,) = events(1, summary="<!channel> a & b", reasons=["<x>"])
    assert slack_text(event) == "*x.y* shop@eu-west-1: &lt;!channel&gt; a &amp; b\n• &lt;x&gt;"
    assert len(slack_text({**event, "reasons": ["&" * 99] * 99})) <= SLACK_CHARACTERS + 1


def test_slack_messages_are_not_longer_than_slack_wants(monkeypatch):
    (channel,) = channels_of({"channels": [{"name": "c", "type": "slack", "url": "https://x.example.com", "digest_above": 0}]})
    sender, sent = SlackSender(channel, 1), []
    monkeypatch.setattr(sender, "_post", sent.append)
    places = [place for part in sender.send(events(10, reasons=["r" * 1000])) for place in part]
    assert places == list(range(10)) and len(sent) == 4 and all(len(text) < 4000 for text in sent)


@pytest.mark.parametrize(
    ("summary", "subject"),
    [("a\r\nb", "x.y: a b"), ("Größe", "x.y: Gr??e"), ("w" * 200, "x.y: " + "w" * 95), ("\x1b[0m", "x.y: ?[0m")],
)
def test_a_subject_is_one_that_sns_takes(summary, subject):
    assert subject_of({"kind": "x.y", "summary": summary}) == subject


def test_an_entry_has_attributes_only_for_what_there_is_and_is_not_too_long():
    entry = entry_of(0, {"id": "1", "kind": "x.y", "app": None, "region": "", "after": "w" * 300_000}, fifo=True)
    assert entry["MessageAttributes"] == {"kind": {"DataType": "String", "StringValue": "x.y"}}
    assert len(entry["Message"]) < 1000 and (entry["MessageGroupId"], entry["MessageDeduplicationId"]) == ("-", "1")


def test_a_call_holds_ten_messages_and_not_too_many_bytes():
    assert [len(part) for part in batches([{"Message": "m"}] * 25)] == [10, 10, 5]
    assert [len(part) for part in batches([{"Message": "m" * 100_000}] * 5)] == [2, 2, 1]


class Topic:
    """Publishes all but the entries in ``failed``: ``{id: (code, whose fault)}``."""

    def __init__(self, failed):
        self.failed, self.published = failed, []

    def publish_batch(self, TopicArn, PublishBatchRequestEntries):
        answer = {"Successful": [], "Failed": []}
        for entry in PublishBatchRequestEntries:
            if entry["Message"][7] in self.failed:
                code, fault = self.failed[entry["Message"][7]]
                answer["Failed"].append({"Id": entry["Id"], "Code": code, "SenderFault": fault})
            else:
                self.published.append(entry["Message"][7])
                answer["Successful"].append({"Id": entry["Id"]})
        return answer


def test_what_a_topic_did_not_take_is_sent_again_and_nothing_else(tmp_path):
    letter = Letter.new(str(tmp_path), "topic")
    numbers = letter.put(events(3))
    topic = Topic({"1": ("InternalError", False)})
    sender = TopicSender(topic, TOPIC, 20)
    with pytest.raises(OSError, match="InternalError"):
        deliver(letter, numbers, sender)
    assert list(letter.pending) == [1]
    topic.failed = {}
    deliver(letter, numbers, sender)
    assert topic.published == ["0", "2", "1"] and letter.close()


def test_a_message_that_a_topic_never_takes_holds_up_no_other(tmp_path):
    letter = Letter.new(str(tmp_path), "topic")
    letter.put(events(3))
    problem = resend(letter, TopicSender(Topic({"0": ("InvalidParameter", True)}), TOPIC, 0), time.monotonic() + 5)
    assert "InvalidParameter" in problem and list(letter.pending) == [0] and not letter.close(problem)


def test_each_owner_gets_their_own_mail_and_a_bad_address_holds_up_no_other():
    sent = []

    def mail(_sender, to, _message):
        if to == ("bad@example.com",):
            raise Refused("no such address")
        sent.append(to)

    channel = mail_channel(shop={"to": "ann@example.com"}, web={"to": "bad@example.com"}, gone={"to": []})
    mixed = [{**event, "app": app} for event, app in zip(events(4), ("web", "shop", "shop", "gone"))]
    arrived = []
    with pytest.raises(Refused, match="no such address"):
        for places in MailSender(channel, mail).send(mixed):
            arrived += places
    assert arrived == [1, 2, 3] and sent == [("ann@example.com",)] * 2


def test_a_resend_begins_nothing_after_its_time_limit(tmp_path):
    letter = Letter.new(str(tmp_path), "topic")
    letter.put(events(2))
    topic = Topic({})
    assert resend(letter, TopicSender(topic, TOPIC, 0), time.monotonic() - 1) == "the time limit was reached"
    assert topic.published == [] and len(letter.pending) == 2
