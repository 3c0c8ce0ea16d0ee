"""Lifecycle hooks: what they hold, for how long, whom they tell, and what does not wait for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

WEB = {"AutoScalingGroupName": "web"}
DOWN = {**WEB, "LifecycleHookName": "down"}


def put(aws: Any, name: str = "down", transition: str = "TERMINATING", **more: Any) -> None:
    aws.asg.put_lifecycle_hook(
        **WEB,
        LifecycleHookName=name,
        **{"LifecycleTransition": f"autoscaling:EC2_INSTANCE_{transition}", "HeartbeatTimeout": 60, **more},
    )


def serving(aws: Any, desired: int = 1, **more: Any) -> list[str]:
    """A group of instances in service."""
    aws.make_group(desired=desired, **more)
    aws.advance(31)
    return [i["InstanceId"] for i in aws.group()["Instances"]]


def shrink(aws: Any) -> None:
    aws.asg.set_desired_capacity(**WEB, DesiredCapacity=0)


def state_of(aws: Any, instance: str) -> str:
    return aws.instances([instance])[0]["State"]["Name"]


def test_hooks_are_put_changed_shown_and_deleted(aws: Any, refused: Any) -> None:
    serving(aws, 0)
    put(aws, DefaultResult="CONTINUE", NotificationMetadata="m")
    aws.asg.put_lifecycle_hook(**DOWN, HeartbeatTimeout=90)
    (hook,) = aws.asg.describe_lifecycle_hooks(**WEB)["LifecycleHooks"]
    assert hook == {
        **DOWN,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": 90,
        "GlobalTimeout": 9000,
        "DefaultResult": "CONTINUE",
        "NotificationMetadata": "m",
    }
    for wrong in ({"HeartbeatTimeout": 5}, {"DefaultResult": "MAYBE"}):
        assert refused(aws.asg.put_lifecycle_hook, **DOWN, **wrong)[0] == "ValidationError"
    aws.asg.delete_lifecycle_hook(**DOWN)
    assert aws.asg.describe_lifecycle_hooks(**WEB)["LifecycleHooks"] == []
    assert refused(aws.asg.delete_lifecycle_hook, **DOWN)[0] == "ValidationError"


def test_a_terminating_instance_waits_runs_on_and_goes_when_it_is_completed(aws: Any, refused: Any) -> None:
    url = aws.queue("q", {"source": ["aws.autoscaling"]})
    (instance,) = serving(aws)
    put(aws, NotificationMetadata='{"app": "web"}')
    aws.messages(url)
    shrink(aws)
    assert (aws.states(), state_of(aws, instance)) == ({"Terminating:Wait": 1}, "running")
    (event,) = aws.messages(url)
    assert event["detail-type"] == "EC2 Instance-terminate Lifecycle Action"
    assert event["resources"] == [aws.group()["AutoScalingGroupARN"]]
    token = event["detail"].pop("LifecycleActionToken")
    assert event["detail"] == {
        **DOWN,
        "EC2InstanceId": instance,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "NotificationMetadata": '{"app": "web"}',
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    }
    done = {**DOWN, "LifecycleActionResult": "CONTINUE"}
    assert refused(aws.asg.complete_lifecycle_action, **done, InstanceId="i-1")[0] == "ValidationError"
    assert refused(aws.asg.complete_lifecycle_action, **done, LifecycleActionToken="1" * 36)[0] == "ValidationError"
    aws.asg.complete_lifecycle_action(**done, LifecycleActionToken=token)
    assert (aws.states(), state_of(aws, instance)) == ({}, "terminated")
    assert [m["detail-type"] for m in aws.messages(url)] == ["EC2 Instance Terminate Successful"]
    assert refused(aws.asg.complete_lifecycle_action, **done, InstanceId=instance)[0] == "ValidationError"


@pytest.mark.parametrize("default", ["CONTINUE", "ABANDON"])
def test_a_hook_that_nobody_completes_ends_with_its_time(aws: Any, default: str) -> None:
    (instance,) = serving(aws)
    put(aws, DefaultResult=default)
    shrink(aws)
    aws.advance(59)
    assert state_of(aws, instance) == "running"
    aws.advance(2)
    assert (aws.states(), state_of(aws, instance)) == ({}, "terminated")


def test_heartbeats_hold_an_instance_up_to_a_hundred_times(aws: Any) -> None:
    (instance,) = serving(aws)
    put(aws, HeartbeatTimeout=30)
    shrink(aws)
    for _beat in range(119):
        aws.asg.record_lifecycle_action_heartbeat(**DOWN, InstanceId=instance)
        aws.advance(25)
        assert state_of(aws, instance) == "running"
    aws.asg.record_lifecycle_action_heartbeat(**DOWN, InstanceId=instance)
    aws.advance(29)
    assert state_of(aws, instance) == "terminated"


def test_all_hooks_must_be_completed(aws: Any) -> None:
    (instance,) = serving(aws)
    put(aws, "one")
    put(aws, "two")
    shrink(aws)
    for name, state in (("one", "running"), ("two", "terminated")):
        assert state_of(aws, instance) == "running"
        aws.asg.complete_lifecycle_action(
            **WEB, LifecycleHookName=name, InstanceId=instance, LifecycleActionResult="CONTINUE"
        )
        assert state_of(aws, instance) == state


def test_a_launch_that_is_abandoned_is_replaced(aws: Any) -> None:
    aws.make_group(desired=0)
    put(aws, "up", "LAUNCHING")
    aws.asg.set_desired_capacity(**WEB, DesiredCapacity=1)
    (first,) = [i["InstanceId"] for i in aws.group()["Instances"]]
    aws.asg.complete_lifecycle_action(
        **WEB, LifecycleHookName="up", InstanceId=first, LifecycleActionResult="ABANDON"
    )
    assert state_of(aws, first) == "terminated"
    aws.advance(61)
    (second,) = [i["InstanceId"] for i in aws.group()["Instances"]]
    assert second != first


@pytest.mark.parametrize("kind", ["sqs", "sns"])
def test_a_hook_tells_its_target_first_for_a_test(aws: Any, kind: str) -> None:
    url = aws.queue("q")
    arn = aws.queue_arn("q")
    if kind == "sns":
        arn = aws.topic("t")
        aws.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=aws.queue_arn("q"))

    def told() -> dict[str, Any]:
        (message,) = aws.messages(url)
        return json.loads(message["Message"]) if kind == "sns" else message

    (instance,) = serving(aws)
    put(aws, NotificationTargetARN=arn, RoleARN="arn:aws:iam::123456789012:role/r")
    assert told()["Event"] == "autoscaling:TEST_NOTIFICATION"
    shrink(aws)
    notice = told()
    assert (notice["EC2InstanceId"], notice["LifecycleHookName"]) == (instance, "down")
    assert (notice["Service"], notice["AccountId"]) == ("AWS Auto Scaling", "123456789012")


def test_an_interruption_does_not_wait_for_a_hook(aws: Any) -> None:
    (instance,) = serving(aws, MixedInstancesPolicy=aws.policy(), CapacityRebalance=True)
    put(aws, HeartbeatTimeout=3600)
    aws.sandbox.post("/sandbox/interrupt", instance_ids=[instance])
    aws.advance(31)
    assert aws.states() == {"InService": 1, "Terminating:Wait": 1}
    aws.advance(88)
    assert state_of(aws, instance) == "running"
    aws.advance(2)
    assert (aws.states(), state_of(aws, instance)) == ({"InService": 1}, "terminated")


def test_a_termination_that_fails_is_told_and_tried_again(aws: Any) -> None:
    url = aws.queue("q", {"detail-type": [{"prefix": "EC2 Instance Terminate"}]})
    (instance,) = serving(aws)
    rule = {"service": "autoscaling", "operation": "Terminate", "kind": "error", "count": 1}
    aws.sandbox.post("/sandbox/faults", rules=[rule])
    shrink(aws)
    (failed,) = aws.messages(url)
    assert failed["detail-type"] == "EC2 Instance Terminate Unsuccessful"
    assert (failed["detail"]["StatusCode"], failed["detail"]["EC2InstanceId"]) == ("Failed", instance)
    assert failed["detail"]["StatusMessage"]
    assert (aws.states(), state_of(aws, instance)) == ({"Terminating": 1}, "running")
    assert aws.activities()[0]["StatusCode"] == "Failed"
    aws.advance(61)
    (done,) = aws.messages(url)
    assert done["detail-type"] == "EC2 Instance Terminate Successful"
    assert (aws.states(), state_of(aws, instance)) == ({}, "terminated")
