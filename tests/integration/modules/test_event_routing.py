# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""event_routing against the sandbox: what it makes, that it mends what was changed, and what it leaves alone."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REGION = "eu-west-1"
ALIAS = "alias/spot-platform-it-events"
QUEUES = ["audit", "audit-dead", "events", "events-dead"]
RULES = ["capacity", "capacity-changes", "health", "instances", "others", "spot"]
ENDPOINT = "https://127.0.0.1:9/sns"


@pytest.fixture
def route(fresh, run_module):
    """``route(**options)``: the module for the environment ``it``."""
    fresh.post("/sandbox/faults", rules=[])

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module("event_routing", {"environment": "it", "region": REGION, **options}, check=check, diff=True)

    return run


def writes(sandbox) -> list[str]:
    calls = sandbox.get("/sandbox/calls")["services"]
    reading = ("Describe", "Get", "List")
    return sorted({name for counts in calls.values() for name in counts if not name.startswith(reading)})


def names(sandbox, region: str = REGION) -> dict[str, list[str]]:
    """All queues, topics, rules and aliases of ours in the region."""
    queues = sandbox.client("sqs", region).list_queues().get("QueueUrls", [])
    topics = sandbox.client("sns", region).list_topics()["Topics"]
    aliases = sandbox.client("kms", region).list_aliases()["Aliases"]
    rules = sandbox.client("events", region).list_rules()["Rules"]
    return {
        "queues": sorted(url.rsplit("/", 1)[1] for url in queues),
        "topics": sorted(one["TopicArn"].rsplit(":", 1)[1] for one in topics),
        "rules": sorted(one["Name"] for one in rules),
        "aliases": sorted(one["AliasName"] for one in aliases if not one["AliasName"].startswith("alias/aws/")),
    }


def named(ends: list[str]) -> list[str]:
    return [f"spot-platform-it-{end}" for end in ends]


ALL = {"queues": named(QUEUES), "topics": named(["events"]), "rules": named(RULES), "aliases": [ALIAS]}
NOTHING = {"queues": [], "topics": [], "rules": [], "aliases": []}


def test_checked_then_made_then_unchanged_with_no_call_that_writes(route, fresh):
    checked = route(check=True)
    assert checked["changed"] and not checked["activity"], checked
    assert checked["regions"][0]["action"] == "created"
    assert names(fresh) == NOTHING

    made = route()
    assert made["changed"], made
    assert made["regions"][0]["changes"] == checked["regions"][0]["changes"]
    assert made["diff"] == checked["diff"]
    assert sorted(made["regions"][0]["queue_urls"]) == QUEUES
    assert made["activity"][0]["kind"] == "events.created"
    assert names(fresh) == ALL

    fresh.post("/sandbox/calls/reset")
    again = route()
    assert not again["changed"], again["diff"]
    assert again["regions"][0] == {**made["regions"][0], "action": "unchanged", "changes": []}
    assert writes(fresh) == []


def test_queues_are_encrypted_give_up_after_five_and_let_only_our_rules_in(route, fresh):
    url = route()["regions"][0]["queue_urls"]
    sqs, key = fresh.client("sqs", REGION), fresh.client("kms", REGION).describe_key(KeyId=ALIAS)["KeyMetadata"]
    for what in QUEUES:
        attributes = sqs.get_queue_attributes(QueueUrl=url[what], AttributeNames=["All"])["Attributes"]
        assert (attributes["KmsMasterKeyId"], attributes["VisibilityTimeout"]) == (ALIAS, "60")
        assert attributes["MessageRetentionPeriod"] == ("1209600" if what.endswith("-dead") else "345600")
        rules, *_others, insecure = json.loads(attributes["Policy"])["Statement"]
        assert rules["Principal"] == {"Service": "events.amazonaws.com"}
        assert rules["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":rule/spot-platform-it-*")
        assert (insecure["Effect"], insecure["Principal"]) == ("Deny", "*")
        redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        assert what.endswith("-dead") or redrive == {
            "deadLetterTargetArn": attributes["QueueArn"] + "-dead",
            "maxReceiveCount": 5,
        }
    assert fresh.client("kms", REGION).get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]


@pytest.mark.parametrize(
    ("source", "what", "detail", "heard", "acted_on"),
    [
        ("aws.ec2", "EC2 Spot Instance Interruption Warning", {"instance-id": "i-1"}, True, True),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation", {"instance-id": "i-1"}, True, True),
        ("aws.autoscaling", "EC2 Instance Launch Unsuccessful", {}, True, True),
        ("aws.autoscaling", "EC2 Instance Launch Successful", {}, True, False),
        ("aws.autoscaling", "EC2 Instance Terminate Unsuccessful", {}, True, False),
        ("aws.ec2", "EC2 Instance State-change Notification", {"state": "stopped"}, True, True),
        ("aws.ec2", "EC2 Instance State-change Notification", {"state": "running"}, False, False),
        ("aws.health", "AWS Health Event", {"service": "EC2"}, True, True),
        ("aws.health", "AWS Health Event", {"service": "RDS"}, False, False),
        ("aws.ec2", "EBS Volume Notification", {"event": "createVolume"}, True, False),
        ("aws.acm", "ACM Certificate Approaching Expiration", {}, True, False),
        ("aws.codedeploy", "CodeDeploy Deployment State-change Notification", {}, True, False),
        ("aws.s3", "Object Created", {}, False, False),
    ],
)
def test_each_event_comes_once_where_it_is_read(routed, source, what, detail, heard, acted_on):
    sandbox, urls = routed
    event = {"source": source, "detail-type": what, "detail": detail, "region": REGION}
    sandbox.post("/sandbox/event", **event)
    sqs = sandbox.client("sqs", REGION)
    for url, expected in ((urls["audit"], heard), (urls["events"], acted_on), (urls["topic"], acted_on)):
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        assert len(messages) == expected, url
        for message in messages:
            assert what in message["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture(scope="module")
def routed(sandbox):
    """The sandbox with the routes, and the URLs of the queues, with one that the topic sends to."""
    from ansible_collections.spot.platform.plugins.module_utils.aws import routes
    from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients

    sandbox.post("/sandbox/reset")
    clients = Clients(REGION, sandbox.url, {"aws_access_key_id": "a", "aws_secret_access_key": "b"})
    [outcome] = routes.ensure(clients, routes.places(clients, "it", [REGION]), [], True, True)
    assert not outcome.error
    arn = f"arn:aws:sqs:{REGION}:123456789012:reader"
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = {"Policy": json.dumps({"Statement": [allowed]})}
    url = sandbox.client("sqs", REGION).create_queue(QueueName="reader", Attributes=policy)["QueueUrl"]
    sandbox.client("sns", REGION).subscribe(TopicArn=outcome.place.topic, Protocol="sqs", Endpoint=arn)
    return sandbox, {"topic": url, **{name.removeprefix("spot-platform-it-"): one for name, one in outcome.urls.items()}}


def test_what_was_changed_by_hand_is_set_right_and_what_is_not_ours_is_left_alone(route, fresh):
    urls = route()["regions"][0]["queue_urls"]
    events, sqs = fresh.client("events", REGION), fresh.client("sqs", REGION)
    sns, kms = fresh.client("sns", REGION), fresh.client("kms", REGION)
    other = {"Id": "somebody", "Arn": f"arn:aws:sqs:{REGION}:123456789012:theirs"}
    events.remove_targets(Rule="spot-platform-it-spot", Ids=["events"])
    events.put_targets(Rule="spot-platform-it-capacity", Targets=[other])
    events.disable_rule(Name="spot-platform-it-health")
    events.remove_targets(Rule="spot-platform-it-others", Ids=["audit"])
    events.delete_rule(Name="spot-platform-it-others")
    for name in ("spot-platform-it-disks", "theirs"):
        events.put_rule(Name=name, EventPattern='{"source": ["aws.ec2"]}', State="ENABLED")
        events.put_targets(Rule=name, Targets=[other])
    sqs.set_queue_attributes(QueueUrl=urls["events"], Attributes={"VisibilityTimeout": "5", "RedrivePolicy": ""})
    sqs.delete_queue(QueueUrl=urls["audit"])
    topic = f"arn:aws:sns:{REGION}:123456789012:spot-platform-it-events"
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue="1")
    key = kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    fresh.post("/sandbox/calls/reset")
    mended = route()

    assert {(one["kind"], one["name"], one["action"]) for one in mended["regions"][0]["changes"]} == {
        ("key", ALIAS, "updated"),
        ("queue", "spot-platform-it-events", "updated"),
        ("queue", "spot-platform-it-audit", "created"),
        ("topic", "spot-platform-it-events", "updated"),
        ("rule", "spot-platform-it-spot", "updated"),
        ("rule", "spot-platform-it-capacity", "updated"),
        ("rule", "spot-platform-it-health", "updated"),
        ("rule", "spot-platform-it-others", "created"),
    }
    assert "CreateTopic" not in writes(fresh) and "CreateKey" not in writes(fresh)
    assert {one["Id"] for one in events.list_targets_by_rule(Rule="spot-platform-it-capacity")["Targets"]} == {
        "audit",
        "events",
        "topic",
    }
    for name in ("spot-platform-it-disks", "theirs"):
        assert events.list_targets_by_rule(Rule=name)["Targets"] == [other]
    assert kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["KeyState"] == "Enabled"
    again = route()
    assert not again["changed"], again["diff"]


def test_a_third_of_all_calls_throttled_is_only_slower(route, fresh):
    fresh.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    made = route()
    assert made["changed"] and not made.get("failed"), made
    fresh.post("/sandbox/faults", rules=[])
    assert names(fresh) == ALL
    assert not route()["changed"]


def test_a_denied_action_is_named_the_other_region_is_done_and_the_next_run_goes_on(route, fresh):
    denied = {"kind": "denied", "service": "sqs", "operation": "CreateQueue", "region": REGION}
    fresh.post("/sandbox/faults", rules=[denied])
    regions = [REGION, "us-east-1"]
    failed = route(regions=regions)
    assert failed["failed"] and failed["changed"]
    assert "sqs:CreateQueue" in failed["msg"] and failed["msg"].startswith(f"1 of 2 regions failed: {REGION}")
    assert [one["action"] for one in failed["regions"]] == ["failed", "created"]
    assert [one["kind"] for one in failed["regions"][0]["changes"]] == ["key"]
    assert names(fresh, "us-east-1") == ALL

    fresh.post("/sandbox/faults", rules=[])
    assert [one["action"] for one in route(regions=regions)["regions"]] == ["created", "unchanged"]
    assert names(fresh) == ALL
    assert len(fresh.client("kms", REGION).list_keys()["Keys"]) == 1


def test_a_key_that_a_killed_run_left_without_its_name_is_taken(route, fresh):
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "kms", "operation": "CreateAlias"}])
    assert "kms:CreateAlias" in route()["msg"]
    fresh.post("/sandbox/faults", rules=[])
    assert not route(check=True, state="present").get("failed")
    assert route()["changed"]
    assert len(fresh.client("kms", REGION).list_keys()["Keys"]) == 1
    assert names(fresh) == ALL


def test_absent_removes_all_and_nothing_else_and_again_writes_nothing(route, fresh):
    route(endpoints=[ENDPOINT])
    events = fresh.client("events", REGION)
    events.put_rule(Name="spot-platform-it-disks", EventPattern='{"source": ["aws.ec2"]}')
    events.put_targets(Rule="spot-platform-it-spot", Targets=[{"Id": "x", "Arn": "arn:aws:sqs:eu-west-1:123456789012:x"}])
    key = fresh.client("kms", REGION).describe_key(KeyId=ALIAS)["KeyMetadata"]["KeyId"]

    checked = route(check=True, state="absent")
    assert checked["regions"][0]["action"] == "deleted"
    assert names(fresh) == {**ALL, "rules": sorted([*ALL["rules"], "spot-platform-it-disks"])}

    gone = route(state="absent")
    assert gone["regions"][0]["changes"] == checked["regions"][0]["changes"]
    assert gone["activity"][0]["kind"] == "events.deleted"
    assert names(fresh) == {**NOTHING, "rules": ["spot-platform-it-disks"]}
    assert fresh.client("kms", REGION).describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"

    fresh.post("/sandbox/calls/reset")
    again = route(state="absent")
    assert (again["changed"], again["regions"][0]["action"]) == (False, "absent")
    assert writes(fresh) == []
    assert route()["regions"][0]["action"] == "created", "a key that is to be deleted is not taken"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, list[dict[str, Any]], threading.Semaphore]]:
    """An HTTPS endpoint: its address, what it was sent, and how often."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(hours=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = tmp_path / "both.pem"
    both.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    sent: list[dict[str, Any]] = []
    came = threading.Semaphore(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            came.release()

        def log_message(self, *_args: Any) -> None:
            """Quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/sns", sent, came
    server.shutdown()
    thread.join()
    server.server_close()


def test_endpoints_are_those_that_were_given_and_others_subscriptions_stay(route, fresh, listener):
    made = route(endpoints=[ENDPOINT])
    assert made["regions"][0]["pending"] == [ENDPOINT]
    sns = fresh.client("sns", REGION)
    topic = made["regions"][0]["topic_arn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="owner@example.com")

    again = route(endpoints=[ENDPOINT])
    assert not again["changed"] and again["regions"][0]["pending"] == [ENDPOINT]
    assert not route()["changed"], "without the option they are left alone"

    (confirmed, sent, came), other = listener, "https://127.0.0.1:9/other"
    assert route(endpoints=[ENDPOINT, confirmed])["regions"][0]["pending"] == sorted([ENDPOINT, confirmed])
    assert came.acquire(timeout=20)
    assert (sent[0]["Type"], sent[0]["SignatureVersion"]) == ("SubscriptionConfirmation", "2")
    sns.confirm_subscription(TopicArn=topic, Token=sent[0]["Token"])
    changed = route(endpoints=[other])["regions"][0]
    assert {(one["name"], one["action"]) for one in changed["changes"]} == {(confirmed, "deleted"), (other, "created")}
    assert changed["pending"] == sorted([other, ENDPOINT]), "what nobody confirmed cannot be ended"
    left = {one["Endpoint"] for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]}
    assert left == {other, ENDPOINT, "owner@example.com"}
    assert not route(endpoints=[other])["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"environment": "a b"}, "environment 'a b' cannot be part of the name of a queue"),
        ({"endpoints": ["http://example.com/"]}, "endpoint 'http://example.com/' is not an HTTPS address"),
        ({"endpoints": ["https://me:secret@example.com/"]}, "a user name or a password in it"),
    ],
)
def test_bad_input_is_refused_before_any_call(route, fresh, options, words):
    fresh.post("/sandbox/calls/reset")
    refused = route(**options)
    assert refused["failed"] and words in refused["msg"], refused
    assert "secret" not in refused["msg"]
    assert fresh.get("/sandbox/calls")["total"] == 0
