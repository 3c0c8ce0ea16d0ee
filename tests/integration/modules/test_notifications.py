# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of notifications: what is kept is sent once, and an onboarding is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.plugins.module_utils.spool import Letter

REGION = "eu-west-1"
ALLOWED = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}


@pytest.fixture(name="queue")
def _queue(fresh: Any) -> dict[str, str]:
    """A topic ``arn`` with a queue ``url`` behind it."""
    sns, sqs = fresh.client("sns", REGION), fresh.client("sqs", REGION)
    arn = sns.create_topic(Name="activity")["TopicArn"]
    url = sqs.create_queue(QueueName="activity")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"Statement": [{**ALLOWED, "Resource": attributes["QueueArn"]}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["QueueArn"])
    return {"arn": arn, "url": url}


def keep(spool: Any, channel: str, count: int) -> Letter:
    letter = Letter.new(str(spool), channel)
    letter.put({"id": f"{letter.path.name} {number}", "kind": "x.y", "summary": "s", "time": "t"} for number in range(count))
    return letter


def test_check_mode_sends_nothing_and_each_letter_has_its_result(fresh, queue, tmp_path, run_module):
    (tmp_path / "channels.yml").write_text(
        yaml.safe_dump({"channels": [{"name": "bus", "type": "sns", "topic_arn": queue["arn"]}]}), encoding="utf-8"
    )
    args = {"channels_file": str(tmp_path / "channels.yml"), "spool": str(tmp_path / "spool")}
    assert run_module("notification_resend", args) == run_module("notification_resend", args, check=True)  # no spool yet
    keep(tmp_path / "spool", "bus", 12).close("it was too late")
    keep(tmp_path / "spool", "gone", 1).close("it was too late")
    held = keep(tmp_path / "spool", "bus", 1)
    before = {path: path.read_bytes() for path in (tmp_path / "spool").glob("*/*")}

    checked = run_module("notification_resend", args, check=True)

    assert (checked["changed"], checked["sent"]) == (True, 0)
    assert {path: path.read_bytes() for path in (tmp_path / "spool").glob("*/*")} == before

    sent = run_module("notification_resend", args)

    assert (sent["changed"], sent["sent"], sent["left"]) == (True, 12, 1)
    by_problem = {letter["problem"]: (letter["channel"], letter["events"], letter["sent"]) for letter in sent["letters"]}
    assert by_problem == {
        None: ("bus", 12, 12),
        "another process is sending it": ("bus", 0, 0),
        "the channels file has no channel called gone, but bus: add it, or remove the letter": ("gone", 1, 0),
    }
    again = run_module("notification_resend", args)
    assert (again["changed"], again["sent"]) == (False, 0)
    held.close()
    assert run_module("notification_resend", {**args, "channels": ["bus"]})["sent"] == 1
    sqs, ids = fresh.client("sqs", REGION), []
    while messages := sqs.receive_message(QueueUrl=queue["url"], MaxNumberOfMessages=10).get("Messages"):
        ids += [json.loads(json.loads(message["Body"])["Message"])["id"] for message in messages]
    assert len(ids) == len(set(ids)) == 13


def test_aws_that_fails_leaves_the_letter_and_says_why(fresh, queue, tmp_path, run_module):
    (tmp_path / "channels.yml").write_text(
        yaml.safe_dump({"channels": [{"name": "bus", "type": "sns", "topic_arn": queue["arn"]}]}), encoding="utf-8"
    )
    letter = keep(tmp_path / "spool", "bus", 2)
    letter.close()
    args = {"channels_file": str(tmp_path / "channels.yml"), "spool": str(tmp_path / "spool")}
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "sns", "operation": "PublishBatch"}])
    failed = run_module("notification_resend", args)
    fresh.post("/sandbox/faults", rules=[])
    assert (failed["changed"], failed["left"]) == (False, 2)
    assert "sns:PublishBatch" in failed["letters"][0]["problem"] or "AccessDenied" in failed["letters"][0]["problem"]
    assert run_module("notification_resend", args)["sent"] == 2 and not letter.path.exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"channels": ["fax"]}, "has no channel called fax; it has bus"),
        ({"channels_file": "/nowhere.yml"}, "cannot read the channels file /nowhere.yml"),
    ],
)
def test_bad_input_is_told(tmp_path, run_module, more, says):
    path = tmp_path / "channels.yml"
    path.write_text("channels: [{name: bus, type: webhook, url: 'https://x.example.com'}]", encoding="utf-8")
    result = run_module("notification_resend", {"channels_file": str(path), "spool": str(tmp_path), **more})
    assert result["failed"] and says in result["msg"]


def test_an_onboarding_is_an_event_of_its_region_where_there_is_one(run_module):
    links = {"address": "https://shop.example.com"}
    told = run_module("app_onboarded", {"app": "shop", "regions": [REGION], "links": links})
    (event,) = told["activity"]
    assert (event["kind"], event["app"], event["region"], told["changed"]) == ("app.onboarded", "shop", REGION, False)
    assert event["after"] == {"regions": [REGION], "links": links}
    (event,) = run_module("app_onboarded", {"app": "shop", "regions": [REGION, "us-east-1"]})["activity"]
    assert event["region"] is None and event["summary"] == "shop was onboarded in eu-west-1, us-east-1"
