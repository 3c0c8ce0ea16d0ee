"""EventBridge: what a rule matches, whom it may send to, what becomes of what cannot be delivered, and AWS's own events."""

from __future__ import annotations

import json
from typing import Any

import pytest

RULE = "arn:aws:events:us-east-1:123456789012:rule"
PATTERN = {"source": ["aws.health"]}


def put(aws: Any, name: str, target: dict[str, Any], pattern: dict[str, Any] | None = None) -> None:
    aws.events.put_rule(Name=name, EventPattern=json.dumps(pattern or PATTERN))
    answer = aws.events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])
    assert answer["FailedEntryCount"] == 0


def tell(aws: Any, **more: Any) -> str:
    event = {"source": "aws.health", "detail-type": "AWS Health Event", "detail": {"n": 1}, **more}
    return aws.sandbox.post("/sandbox/event", **event)["id"]


def letters(aws: Any, url: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """The events in a dead-letter queue, each with its attributes."""
    found = []
    while batch := aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages"):
        for message in batch:
            attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
            found.append((json.loads(message["Body"]), attributes))
            aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


# Whom a rule may send to


@pytest.mark.parametrize(
    ("statement", "comes"),
    [
        ({}, True),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": f"{RULE}/r"}}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": f"{RULE}/*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}, True),
        ({"Action": ["sqs:*"], "Resource": "*"}, True),
        ({"Principal": "*", "Condition": {"StringLike": {"AWS:SourceArn": f"{RULE}/?"}}}, True),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": [f"{RULE}/other", f"{RULE}/another"]}}}, False),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Principal": {"AWS": "123456789012"}}, False),
        ({"Action": "sqs:ReceiveMessage"}, False),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:other"}, False),
        ({"Effect": "Deny"}, False),
    ],
)
def test_a_queue_gets_what_its_policy_allows(aws: Any, statement: dict[str, Any], comes: bool) -> None:
    url = aws.queue("q", open_to_all=False)
    own = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "SQS:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**own, "Resource": aws.queue_arn("q"), **statement}]}
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    put(aws, "r", {"Arn": aws.queue_arn("q")})
    tell(aws)
    assert len(aws.messages(url)) == int(comes)


def test_a_deny_outweighs_an_allow(aws: Any) -> None:
    url = aws.queue("q")
    policy = json.loads(aws.send_policy("q"))
    policy["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:SourceArn": f"{RULE}/trusted"}},
        }
    )
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    for name in ("trusted", "other"):
        put(aws, name, {"Arn": aws.queue_arn("q")})
    tell(aws)
    assert len(aws.messages(url)) == 1


def test_a_topic_gets_what_its_policy_allows_and_by_default_nothing(aws: Any) -> None:
    url, dead = aws.queue("q"), aws.queue("dead")
    shut = aws.sns.create_topic(Name="shut")["TopicArn"]
    opened = aws.topic("opened")
    for number, topic in enumerate((shut, opened)):
        aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn("q"))
        put(aws, f"r{number}", {"Arn": topic, "DeadLetterConfig": {"Arn": aws.queue_arn("dead")}})
    sent = tell(aws)
    (message,) = aws.messages(url)
    assert (message["TopicArn"], json.loads(message["Message"])["id"]) == (opened, sent)
    ((event, attributes),) = letters(aws, dead)
    assert (event["id"], attributes["TARGET_ARN"], attributes["ERROR_CODE"]) == (sent, shut, "NO_PERMISSIONS")


def test_encrypted_queues_and_topics_are_targets_as_others(aws: Any) -> None:
    url = aws.queue("q", KmsMasterKeyId="alias/spot-platform-sandbox-events", KmsDataKeyReusePeriodSeconds="300")
    topic = aws.topic("t", KmsMasterKeyId="alias/spot-platform-sandbox-events")
    aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn("q"))
    put(aws, "queue", {"Arn": aws.queue_arn("q")})
    put(aws, "topic", {"Arn": topic})
    tell(aws)
    assert len(aws.messages(url)) == 2


# What cannot be delivered


def test_what_may_not_or_cannot_be_delivered_goes_to_the_dead_letters_at_once(aws: Any) -> None:
    dead = aws.queue("dead")
    aws.queue("shut", open_to_all=False)
    config = {"DeadLetterConfig": {"Arn": aws.queue_arn("dead")}}
    put(aws, "shut", {"Arn": aws.queue_arn("shut"), **config})
    put(aws, "gone", {"Arn": aws.queue_arn("gone"), **config})
    sent = tell(aws, region="us-east-1", resources=["arn:x"])
    found = {attributes["ERROR_CODE"]: (event, attributes) for event, attributes in letters(aws, dead)}
    event, attributes = found["NO_PERMISSIONS"]
    assert (event["id"], event["detail-type"], event["resources"]) == (sent, "AWS Health Event", ["arn:x"])
    assert attributes == {
        "RULE_ARN": f"{RULE}/shut",
        "TARGET_ARN": aws.queue_arn("shut"),
        "ERROR_CODE": "NO_PERMISSIONS",
        "ERROR_MESSAGE": attributes["ERROR_MESSAGE"],
        "RETRY_ATTEMPTS": "0",
    }
    assert attributes["ERROR_MESSAGE"]
    assert found["NO_RESOURCE"][1]["TARGET_ARN"] == aws.queue_arn("gone")


def test_a_dead_letter_queue_must_let_the_rule_send(aws: Any) -> None:
    dead = aws.queue("dead", open_to_all=False)
    config = {"DeadLetterConfig": {"Arn": aws.queue_arn("dead")}}
    put(aws, "r", {"Arn": aws.queue_arn("gone"), **config})
    tell(aws)
    assert letters(aws, dead) == []
    policy = aws.send_policy("dead", "events.amazonaws.com", ArnEquals={"aws:SourceArn": f"{RULE}/r"})
    aws.sqs.set_queue_attributes(QueueUrl=dead, Attributes={"Policy": policy})
    tell(aws)
    assert len(letters(aws, dead)) == 1


def test_what_fails_for_a_while_is_tried_again_by_the_clock(aws: Any) -> None:
    url = aws.queue("q")
    put(aws, "r", {"Arn": aws.queue_arn("q")})
    aws.sandbox.post("/sandbox/faults", rules=[{"service": "events", "operation": "Deliver", "kind": "throttle", "count": 3}])
    tell(aws)
    assert aws.messages(url) == []
    aws.advance(30)
    assert len(aws.messages(url)) == 1


@pytest.mark.parametrize(
    ("policy", "condition", "retries"),
    [
        ({"MaximumRetryAttempts": 2}, "MaximumRetryAttempts", "2"),
        ({"MaximumRetryAttempts": 0}, "MaximumRetryAttempts", "0"),
        ({"MaximumRetryAttempts": 100, "MaximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", "5"),
    ],
)
def test_a_used_up_retry_policy_ends_in_the_dead_letters(
    aws: Any, policy: dict[str, int], condition: str, retries: str
) -> None:
    url, dead = aws.queue("q"), aws.queue("dead")
    config = {"DeadLetterConfig": {"Arn": aws.queue_arn("dead")}, "RetryPolicy": policy}
    put(aws, "r", {"Arn": aws.queue_arn("q"), **config})
    aws.sandbox.post("/sandbox/faults", rules=[{"service": "events", "operation": "Deliver", "kind": "throttle"}])
    tell(aws)
    aws.advance(600)
    ((_event, attributes),) = letters(aws, dead)
    assert attributes["ERROR_CODE"] == "THROTTLING"
    assert (attributes["EXHAUSTED_RETRY_CONDITION"], attributes["RETRY_ATTEMPTS"]) == (condition, retries)
    assert aws.messages(url) == []


def test_a_lost_answer_delivers_an_event_twice(aws: Any) -> None:
    url = aws.queue("q")
    put(aws, "r", {"Arn": aws.queue_arn("q")})
    aws.sandbox.post("/sandbox/faults", rules=[{"service": "events", "operation": "Deliver", "kind": "lost", "count": 1}])
    sent = tell(aws)
    aws.advance(30)
    assert [m["id"] for m in aws.messages(url)] == [sent, sent]


def test_faults_of_all_calls_leave_deliveries_alone(aws: Any) -> None:
    url = aws.queue("q")
    put(aws, "r", {"Arn": aws.queue_arn("q")})
    aws.sandbox.post("/sandbox/faults", rules=[{"kind": "error"}])
    tell(aws)
    aws.sandbox.post("/sandbox/faults", rules=[])
    assert len(aws.messages(url)) == 1


# What a rule matches

EVENT = {
    "id": "1",
    "account": "123456789012",
    "source": "aws.ec2",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-1", "arn:aws:ec2:us-east-1:123456789012:volume/vol-1"],
    "detail-type": "X",
    "detail": {
        "state": "Running",
        "count": 5,
        "share": 0.5,
        "on": True,
        "none": None,
        "empty": "",
        "list": [],
        "ip": "10.0.0.7",
        "path": "a*b/c",
        "parts": [{"name": "a", "size": 1}, {"name": "b", "size": 2}],
    },
}


@pytest.mark.parametrize(
    ("detail", "matched"),
    [
        ({"state": ["Running", "stopped"]}, True),
        ({"state": ["running"]}, False),
        ({"state": [{"equals-ignore-case": "RUNNING"}]}, True),
        ({"state": [{"prefix": "Run"}]}, True),
        ({"state": [{"prefix": {"equals-ignore-case": "rUN"}}]}, True),
        ({"state": [{"suffix": "ing"}]}, True),
        ({"state": [{"suffix": {"equals-ignore-case": "ING"}}]}, True),
        ({"count": [{"prefix": "5"}]}, False),
        ({"state": [{"anything-but": "Running"}]}, False),
        ({"state": [{"anything-but": ["stopped", "pending"]}]}, True),
        ({"state": [{"anything-but": {"prefix": "Run"}}]}, False),
        ({"state": [{"anything-but": {"suffix": ["x", "ing"]}}]}, False),
        ({"state": [{"anything-but": {"equals-ignore-case": ["running"]}}]}, False),
        ({"state": [{"anything-but": {"wildcard": "*nn*"}}]}, False),
        ({"missing": [{"anything-but": "x"}]}, False),
        ({"count": [{"anything-but": [5, 6]}]}, False),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": {"deeper": [{"exists": False}]}}, True),
        ({"state": [{"exists": True}]}, True),
        ({"parts": [{"exists": True}]}, False),
        ({"list": [{"exists": True}]}, False),
        ({"none": [None]}, True),
        ({"none": [{"exists": True}]}, True),
        ({"empty": [""]}, True),
        ({"missing": [None]}, False),
        ({"count": [{"numeric": ["=", 5]}]}, True),
        ({"count": [{"numeric": [">", 0, "<=", 5]}]}, True),
        ({"count": [{"numeric": [">", 5]}]}, False),
        ({"state": [{"numeric": [">", 0]}]}, False),
        ({"on": [{"numeric": ["=", 1]}]}, False),
        ({"count": [5.0]}, True),
        ({"count": ["5"]}, False),
        ({"on": [True]}, True),
        ({"on": [1]}, False),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"state": [{"cidr": "10.0.0.0/24"}]}, False),
        ({"state": [{"wildcard": "R*g"}]}, True),
        ({"state": [{"wildcard": "R*x"}]}, False),
        ({"path": [{"wildcard": "a\\*b/*"}]}, True),
        ({"state": [{"wildcard": "Runnin\\*"}]}, False),
        ({"parts": {"name": ["b"], "size": [2]}}, True),
        ({"parts": {"name": ["b"], "size": [1]}}, False),
        ({"$or": [{"state": ["x"]}, {"count": [{"numeric": [">=", 5]}]}]}, True),
        ({"$or": [{"state": ["x"]}, {"count": [6]}], "on": [True]}, False),
        ({"$or": [{"state": ["Running"]}, {"count": [6]}], "on": [False]}, False),
    ],
)
def test_patterns_match_as_in_aws(sandbox: Any, detail: dict[str, Any], matched: bool) -> None:
    client = sandbox.client("events")
    answer = client.test_event_pattern(EventPattern=json.dumps({"detail": detail}), Event=json.dumps(EVENT))
    assert answer["Result"] is matched


def test_a_rule_goes_by_its_pattern_and_any_resource_may_match(aws: Any) -> None:
    url = aws.queue("q")
    put(aws, "r", {"Arn": aws.queue_arn("q")}, {"resources": [{"wildcard": "*:volume/*"}], "detail": {"n": [2]}})
    for resources, number in ((["arn:instance/i-1", "arn:x:volume/v"], 2), (["arn:x:volume/v"], 1), ([], 2)):
        tell(aws, resources=resources, detail={"n": number})
    assert [m["resources"] for m in aws.messages(url)] == [["arn:instance/i-1", "arn:x:volume/v"]]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("no json", "Invalid JSON"),
        ({"source": "aws.ec2"}, '"source" must be an object or an array'),
        ({"source": []}, "Empty arrays are not allowed"),
        ({"source": [{"begins": "a"}]}, "Unrecognized match type begins"),
        ({"source": [{"exists": "yes"}]}, "exists match pattern must be either true or false"),
        ({"detail": {"n": [{"numeric": ["~", 5]}]}}, "Unrecognized numeric range operator: ~"),
        ({"detail": {"n": [{"numeric": [">", "5"]}]}}, "Value of > must be numeric"),
        ({"source": [{"prefix": 5}]}, "prefix match pattern must be a string"),
        ({"source": [{"wildcard": "a**"}]}, "Consecutive wildcard characters"),
    ],
)
def test_patterns_that_aws_does_not_take_are_refused(aws: Any, refused: Any, pattern: Any, reason: str) -> None:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    code, message = refused(aws.events.put_rule, Name="r", EventPattern=text)
    assert (code, reason in message) == ("InvalidEventPatternException", True)


# AWS's own events


def test_every_change_of_an_instances_state_is_told(aws: Any) -> None:
    url = aws.queue("q", {"detail-type": ["EC2 Instance State-change Notification"]})
    made = aws.ec2.run_instances(ImageId=aws.image, InstanceType="m5.large", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    aws.ec2.stop_instances(InstanceIds=[instance])
    aws.ec2.start_instances(InstanceIds=[instance])
    aws.ec2.terminate_instances(InstanceIds=[instance])
    found = aws.messages(url)
    assert [m["detail"]["state"] for m in found] == [
        *("pending", "running", "stopping", "stopped", "pending", "running", "shutting-down", "terminated")
    ]
    assert {m["detail"]["instance-id"] for m in found} == {instance}
    assert all(m["resources"] == [f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}"] for m in found)


def test_any_event_of_a_service_can_be_made(aws: Any, refused: Any) -> None:
    url = aws.queue("q", {"source": [{"prefix": "aws."}]})
    resources = ["arn:aws:ec2:us-east-1:123456789012:volume/vol-1"]
    detail = {"result": "available", "cause": "", "event": "createVolume", "request-id": "r"}
    sent = aws.sandbox.post(
        "/sandbox/event",
        region="us-east-1",
        source="aws.ec2",
        **{"detail-type": "EBS Volume Notification"},
        detail=detail,
        resources=resources,
    )
    aws.sandbox.post("/sandbox/event", region="eu-west-1", source="aws.ec2", **{"detail-type": "elsewhere"})
    (event,) = aws.messages(url)
    assert event == {
        "version": "0",
        "id": sent["id"],
        "detail-type": "EBS Volume Notification",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": event["time"],
        "region": "us-east-1",
        "resources": resources,
        "detail": detail,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"detail-type": "X"}, "source None must be a text"),
        ({"source": "aws.ec2"}, "detail-type None must be a text"),
        ({"source": "a", "detail-type": "X", "region": "us-east-9"}, "region 'us-east-9' is not served"),
        ({"source": "a", "detail-type": "X", "detail": []}, "detail [] must be an object"),
        ({"source": "a", "detail-type": "X", "resources": "arn"}, "resources 'arn' must be a list"),
        ({"source": "a", "detail-type": "X", "details": {}}, "unknown key 'details'"),
    ],
)
def test_a_wrong_event_is_refused(fresh: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^") as refusal:
        fresh.post("/sandbox/event", **body)
    assert message in str(refusal.value)
