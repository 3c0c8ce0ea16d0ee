"""Targets that drain or fail their health checks, and instances whose status checks fail."""

from __future__ import annotations

from typing import Any

import pytest


def make(aws: Any, name: str = "t", count: int = 2, delay: int = 60) -> tuple[str, list[str]]:
    """A target group and instances registered with it."""
    made = aws.elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=aws.vpc)["TargetGroups"][0]
    arn = made["TargetGroupArn"]
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
    aws.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
    found = aws.ec2.run_instances(
        ImageId=aws.image, InstanceType="m5.large", SubnetId=aws.subnets[0], MinCount=count, MaxCount=count
    )
    ids = [i["InstanceId"] for i in found["Instances"]]
    aws.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one} for one in ids])
    return arn, ids


def health(aws: Any, arn: str, *ids: str) -> dict[str, tuple[str, str | None]]:
    asked = {"Targets": [{"Id": one} for one in ids]} if ids else {}
    found = aws.elb.describe_target_health(TargetGroupArn=arn, **asked)["TargetHealthDescriptions"]
    return {t["Target"]["Id"]: (t["TargetHealth"]["State"], t["TargetHealth"].get("Reason")) for t in found}


def test_a_deregistered_target_drains_for_its_delay_and_is_gone(aws: Any) -> None:
    arn, (one, two) = make(aws)
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    assert health(aws, arn) == {
        two: ("healthy", None),
        one: ("draining", "Target.DeregistrationInProgress"),
    }
    aws.advance(59)
    assert health(aws, arn, one)[one][0] == "draining"
    aws.advance(2)
    assert health(aws, arn, one) == {one: ("unused", "Target.NotRegistered")}
    assert health(aws, arn) == {two: ("healthy", None)}


def test_a_target_that_is_registered_again_drains_no_more(aws: Any) -> None:
    arn, (one, _two) = make(aws)
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    aws.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    assert health(aws, arn, one) == {one: ("healthy", None)}


def test_a_target_without_a_delay_or_an_instance_is_gone_at_once(aws: Any, refused: Any) -> None:
    arn, (one, two) = make(aws, delay=0)
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    assert health(aws, arn) == {two: ("healthy", None)}
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": two}])
    aws.ec2.terminate_instances(InstanceIds=[two])
    assert health(aws, arn) == {}
    assert refused(aws.elb.deregister_targets, TargetGroupArn=arn, Targets=[{"Id": "i-1"}])[0] == "InvalidTarget"


def test_the_waiter_of_boto3_ends_when_the_delay_is_over(aws: Any) -> None:
    arn, (one, _two) = make(aws)
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    aws.sandbox.post("/sandbox/clock", speed=100)
    waiter = aws.elb.get_waiter("target_deregistered")
    waiter.wait(TargetGroupArn=arn, Targets=[{"Id": one}], WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    assert health(aws, arn, one)[one][0] == "unused"


def test_targets_fail_their_health_checks_on_request(aws: Any) -> None:
    arn, (one, two) = make(aws)
    aws.sandbox.post("/sandbox/targets", target_group=arn, ids=[one], state="unhealthy", reason="Target.Timeout")
    assert health(aws, arn) == {one: ("unhealthy", "Target.Timeout"), two: ("healthy", None)}
    answer = aws.sandbox.post("/sandbox/targets", target_group="t", state="unhealthy")
    assert [t["id"] for t in answer["targets"]] == [one, two]
    assert set(health(aws, arn).values()) == {("unhealthy", "Target.FailedHealthChecks")}
    aws.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": two}])
    assert health(aws, arn)[two][0] == "draining"
    aws.sandbox.post("/sandbox/targets", state="healthy")
    assert health(aws, arn, one) == {one: ("healthy", None)}


def status(aws: Any, **more: Any) -> dict[str, tuple[str, str]]:
    found = aws.ec2.describe_instance_status(**more)["InstanceStatuses"]
    return {s["InstanceId"]: (s["SystemStatus"]["Status"], s["InstanceStatus"]["Status"]) for s in found}


def test_status_checks_are_impaired_on_request(aws: Any) -> None:
    _arn, (one, two) = make(aws)
    aws.sandbox.post("/sandbox/checks", instance_ids=[one], system="impaired")
    assert status(aws) == {one: ("impaired", "ok"), two: ("ok", "ok")}
    aws.sandbox.post("/sandbox/checks", instance_ids=[one, two], instance="impaired")
    (shown,) = aws.ec2.describe_instance_status(InstanceIds=[two])["InstanceStatuses"]
    (detail,) = shown["InstanceStatus"]["Details"]
    assert (detail["Name"], detail["Status"]) == ("reachability", "failed")
    now = aws.sandbox.get("/sandbox/clock")["epoch"]
    assert abs(detail["ImpairedSince"].timestamp() - now) < 2
    assert status(aws, Filters=[{"Name": "system-status.status", "Values": ["impaired"]}]) == {one: ("impaired",) * 2}
    assert status(aws, Filters=[{"Name": "instance-status.reachability", "Values": ["passed"]}]) == {}
    aws.sandbox.post("/sandbox/checks", instance_ids=[two], instance="ok")
    assert status(aws, InstanceIds=[two]) == {two: ("ok", "ok")}
    aws.ec2.stop_instances(InstanceIds=[one])
    assert status(aws, InstanceIds=[one], IncludeAllInstances=True) == {one: ("not-applicable",) * 2}
    aws.ec2.start_instances(InstanceIds=[one])
    assert status(aws, InstanceIds=[one]) == {one: ("ok", "ok")}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/sandbox/targets", {"state": "ill"}, "state 'ill' is not known: use healthy, unhealthy"),
        ("/sandbox/targets", {"state": "unhealthy", "target_group": "no"}, "target group 'no' is not there in us-east-1"),
        ("/sandbox/targets", {"state": "unhealthy", "ids": ["i-1"]}, "i-1 is not registered"),
        ("/sandbox/targets", {"state": "unhealthy", "ids": []}, "ids [] must be a list"),
        ("/sandbox/checks", {"system": "ok"}, "instance_ids is missing"),
        ("/sandbox/checks", {"instance_ids": ["i-1"]}, "what to set is missing"),
        ("/sandbox/checks", {"instance_ids": ["i-1"], "system": "bad"}, "system 'bad' is not known"),
        ("/sandbox/checks", {"instance_ids": ["i-1"], "system": "ok"}, "i-1 is not a running instance"),
    ],
)
def test_bad_controls_are_clear_errors(aws: Any, path: str, body: dict[str, Any], message: str) -> None:
    make(aws)
    with pytest.raises(ValueError, match="^") as refusal:
        aws.sandbox.post(path, **body)
    assert message in str(refusal.value)
