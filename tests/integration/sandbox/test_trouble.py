"""Instances that fail their checks, targets that drain, events of other services, and mail."""

from __future__ import annotations

import json
from typing import Any

import pytest

REGION = "us-east-1"


@pytest.fixture
def target(fresh: Any) -> tuple[Any, str, str]:
    """An instance in a target group that drains for a minute: the client, the group and the instance."""
    ec2, elbv2 = fresh.client("ec2"), fresh.client("elbv2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType="m5.large", SubnetId=subnet["SubnetId"], MinCount=1, MaxCount=1)
    name = made["Instances"][0]["InstanceId"]
    group = elbv2.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=subnet["VpcId"], TargetType="instance")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]
    elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": name}])
    return elbv2, arn, name


def states(elbv2: Any, arn: str) -> dict[str, str]:
    found = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in found}


def test_a_target_drains_for_its_delay(fresh: Any, target: tuple[Any, str, str]) -> None:
    elbv2, arn, name = target
    assert states(elbv2, arn) == {name: "healthy"}
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": name}])
    assert states(elbv2, arn) == {name: "draining"}
    (one,) = elbv2.describe_target_health(TargetGroupArn=arn, Targets=[{"Id": name}])["TargetHealthDescriptions"]
    assert one["TargetHealth"]["State"] == "draining"
    fresh.post("/sandbox/clock", advance=61)
    assert states(elbv2, arn) == {}
    elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": name}])
    assert states(elbv2, arn) == {name: "healthy"}


def test_an_instance_that_is_gone_drains_no_longer(fresh: Any, target: tuple[Any, str, str]) -> None:
    elbv2, arn, name = target
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": name}])
    fresh.client("ec2").terminate_instances(InstanceIds=[name])
    fresh.post("/sandbox/clock", advance=30)
    assert states(elbv2, arn) == {}


def test_instances_fail_their_checks_until_they_are_told_not_to(fresh: Any, target: tuple[Any, str, str]) -> None:
    elbv2, arn, name = target
    fresh.post("/sandbox/unhealthy", instance_ids=[name])
    fresh.post("/sandbox/unhealthy", instance_ids=[name], checks="status")
    assert states(elbv2, arn) == {name: "unhealthy"}
    (status,) = fresh.client("ec2").describe_instance_status(InstanceIds=[name])["InstanceStatuses"]
    assert status["InstanceStatus"]["Status"] == status["SystemStatus"]["Status"] == "impaired"
    for checks in ("targets", "status"):
        fresh.post("/sandbox/unhealthy", instance_ids=[], checks=checks)
    (status,) = fresh.client("ec2").describe_instance_status(InstanceIds=[name])["InstanceStatuses"]
    assert (states(elbv2, arn), status["InstanceStatus"]["Status"]) == ({name: "healthy"}, "ok")
    with pytest.raises(ValueError, match="checks 'none' are not known"):
        fresh.post("/sandbox/unhealthy", instance_ids=[], checks="none")


def test_any_service_can_say_something(fresh: Any) -> None:
    sqs, events = fresh.client("sqs"), fresh.client("events")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="acm", EventPattern=json.dumps({"source": ["aws.acm"]}))
    events.put_targets(Rule="acm", Targets=[{"Id": "queue", "Arn": arn}])
    told = {"source": "aws.acm", "detail-type": "ACM Certificate Approaching Expiration", "detail": {"DaysToExpiry": 31}}
    fresh.post("/sandbox/event", region=REGION, resources=["arn:aws:acm:1"], **told)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    event = json.loads(message["Body"])
    assert told.items() <= event.items() and event["resources"] == ["arn:aws:acm:1"] and event["region"] == REGION
    with pytest.raises(ValueError, match="region 'mars' is not served"):
        fresh.post("/sandbox/event", region="mars", **told)


def test_mail_can_be_read(fresh: Any) -> None:
    ses = fresh.client("sesv2", "eu-west-1")
    ses.create_email_identity(EmailIdentity="platform@example.com")
    raw = "From: platform@example.com\nTo: owner@example.com\nSubject: Hello\nX-Kind: a\n\nText\n"
    to = {"ToAddresses": ["owner@example.com"]}
    ses.send_email(FromEmailAddress="platform@example.com", Destination=to, Content={"Raw": {"Data": raw.encode()}})
    (mail,) = fresh.get("/sandbox/mail")["mail"]
    assert (mail["region"], mail["to"], mail["subject"]) == ("eu-west-1", ["owner@example.com"], "Hello")
    assert mail["text"] == "Text\n" and mail["headers"]["X-Kind"] == "a"
