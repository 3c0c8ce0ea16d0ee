"""The members of the sandbox's Auto Scaling groups: hooks, zones, suspended processes, standby, attached and detached."""

from __future__ import annotations

from collections import Counter
from typing import Any


def test_target_groups_follow_the_instances_in_service(aws: Any) -> None:
    target_group = aws.elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=aws.vpc)["TargetGroups"][0]
    arn = target_group["TargetGroupArn"]

    def targets() -> set[str]:
        return {
            t["Target"]["Id"] for t in aws.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        }

    aws.make_group(desired=3, TargetGroupARNs=[arn])
    assert targets() == set()
    aws.advance(31)
    assert targets() == {i["InstanceId"] for i in aws.group()["Instances"]}
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    assert targets() == {i["InstanceId"] for i in aws.group()["Instances"]}
    aws.asg.detach_load_balancer_target_groups(AutoScalingGroupName="web", TargetGroupARNs=[arn])
    assert targets() == set()
    aws.asg.attach_traffic_sources(AutoScalingGroupName="web", TrafficSources=[{"Identifier": arn, "Type": "elbv2"}])
    assert len(targets()) == 1
    shown = aws.asg.describe_traffic_sources(AutoScalingGroupName="web")["TrafficSources"]
    assert shown == [{"Identifier": arn, "State": "InService", "Type": "elbv2"}]


def test_hooks_hold_an_instance_until_completed_or_out_of_time(aws: Any) -> None:
    url = aws.queue("hooks", {"source": ["aws.autoscaling"], "detail-type": [{"suffix": "Lifecycle Action"}]})
    aws.make_group(desired=0)
    for name, transition, result in (("up", "LAUNCHING", "ABANDON"), ("down", "TERMINATING", "CONTINUE")):
        aws.asg.put_lifecycle_hook(
            AutoScalingGroupName="web",
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            HeartbeatTimeout=60,
            DefaultResult=result,
        )
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    aws.advance(59)
    assert aws.states() == {"Pending:Wait": 1}
    event = aws.messages(url)[0]["detail"]
    action = {"AutoScalingGroupName": "web", "LifecycleHookName": "up"}
    aws.asg.record_lifecycle_action_heartbeat(**action, LifecycleActionToken=event["LifecycleActionToken"])
    aws.advance(59)
    assert aws.states() == {"Pending:Wait": 1}
    aws.asg.complete_lifecycle_action(**action, InstanceId=event["EC2InstanceId"], LifecycleActionResult="CONTINUE")
    assert aws.states() == {"Pending:Proceed": 1}
    aws.advance(31)
    assert aws.states() == {"InService": 1}
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    assert aws.states() == {"Terminating:Wait": 1}
    assert aws.messages(url)[0]["detail-type"] == "EC2 Instance-terminate Lifecycle Action"
    aws.advance(61)
    assert aws.states() == {}
    assert aws.instances([event["EC2InstanceId"]])[0]["State"]["Name"] == "terminated"


def test_standby_attach_and_detach_move_the_desired_capacity(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    one, two, _three = [i["InstanceId"] for i in aws.group()["Instances"]]
    named = {"AutoScalingGroupName": "web"}
    aws.asg.enter_standby(**named, InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"Standby": 1, "InService": 2})
    aws.asg.exit_standby(**named, InstanceIds=[one])
    aws.asg.detach_instances(**named, InstanceIds=[two], ShouldDecrementDesiredCapacity=True)
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"InService": 2})
    assert aws.instances([two])[0]["State"]["Name"] == "running"
    aws.asg.attach_instances(**named, InstanceIds=[two])
    assert (aws.group()["DesiredCapacity"], aws.states()) == (3, {"InService": 3})
    listed = aws.asg.describe_auto_scaling_instances(InstanceIds=[two])["AutoScalingInstances"][0]
    assert (listed["AutoScalingGroupName"], listed["LifecycleState"]) == ("web", "InService")


def test_suspended_processes_do_nothing(aws: Any) -> None:
    aws.make_group(desired=1)
    aws.asg.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=3)
    aws.advance(300)
    assert len(aws.group()["Instances"]) == 1
    aws.asg.resume_processes(AutoScalingGroupName="web")
    assert len(aws.group()["Instances"]) == 3


def zones_of(aws: Any) -> dict[str, int]:
    return dict(Counter(i["AvailabilityZone"] for i in aws.group()["Instances"]))


def test_a_zone_that_is_no_longer_listed_is_left_launching_first(aws: Any) -> None:
    aws.make_group(desired=6, MixedInstancesPolicy=aws.policy(base=2))
    aws.advance(31)
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", VPCZoneIdentifier=",".join(aws.subnets[:2]))
    assert aws.states() == {"InService": 6, "Pending": 1}
    for _step in range(10):
        aws.advance(31)
        assert aws.states()["InService"] >= 6
    assert zones_of(aws) == {aws.zones[0]: 3, aws.zones[1]: 3}
    assert aws.mix() == {"on_demand": 2, "spot": 4}


def test_a_zone_is_left_as_soon_as_the_others_have_room(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    for zone in aws.zones[:2]:
        aws.room(0, zone=zone, interrupt=False)
    aws.asg.update_auto_scaling_group(AutoScalingGroupName="web", VPCZoneIdentifier=",".join(aws.subnets[:2]))
    aws.advance(600)
    assert (aws.states(), zones_of(aws)[aws.zones[2]]) == ({"InService": 3}, 1)
    aws.room(None)
    aws.advance(200)
    assert aws.states() == {"InService": 3} and aws.zones[2] not in zones_of(aws)


def test_with_az_rebalance_suspended_only_new_launches_follow_the_zones(aws: Any) -> None:
    aws.make_group(desired=6)
    aws.advance(31)
    named, before = {"AutoScalingGroupName": "web"}, {i["InstanceId"] for i in aws.group()["Instances"]}
    aws.asg.suspend_processes(**named, ScalingProcesses=["AZRebalance"])
    aws.asg.update_auto_scaling_group(**named, VPCZoneIdentifier=aws.subnets[0])
    aws.advance(3600)
    assert {i["InstanceId"] for i in aws.group()["Instances"]} == before
    assert aws.group()["AvailabilityZones"] == aws.zones[:1]
    aws.asg.set_desired_capacity(**named, DesiredCapacity=9)
    aws.ec2.terminate_instances(
        InstanceIds=[i["InstanceId"] for i in aws.group()["Instances"] if i["AvailabilityZone"] == aws.zones[1]]
    )
    aws.advance(31)
    assert zones_of(aws) == {aws.zones[0]: 7, aws.zones[2]: 2}
    assert [p["ProcessName"] for p in aws.group()["SuspendedProcesses"]] == ["AZRebalance"]
    aws.asg.resume_processes(**named, ScalingProcesses=["AZRebalance"])
    aws.advance(600)
    assert zones_of(aws) == {aws.zones[0]: 9}


def test_each_suspended_process_leaves_its_own_work_undone(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    named = {"AutoScalingGroupName": "web"}
    first, second, _third = [i["InstanceId"] for i in aws.group()["Instances"]]
    aws.asg.suspend_processes(**named, ScalingProcesses=["Terminate", "HealthCheck"])
    aws.asg.set_desired_capacity(**named, DesiredCapacity=2)
    aws.asg.set_instance_health(InstanceId=first, HealthStatus="Unhealthy")
    aws.ec2.terminate_instances(InstanceIds=[second])
    aws.advance(600)
    assert {first, second} < {i["InstanceId"] for i in aws.group()["Instances"]}
    aws.asg.resume_processes(**named, ScalingProcesses=["HealthCheck"])
    assert first in {i["InstanceId"] for i in aws.group()["Instances"]}
    assert second not in {i["InstanceId"] for i in aws.group()["Instances"]}
    aws.asg.resume_processes(**named)
    aws.advance(31)
    assert aws.states() == {"InService": 2} and aws.group()["SuspendedProcesses"] == []
    assert first not in {i["InstanceId"] for i in aws.group()["Instances"]}


def test_terminating_a_member_shrinks_the_group_or_has_it_replaced(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    one, two, three = [i["InstanceId"] for i in aws.group()["Instances"]]
    end = aws.asg.terminate_instance_in_auto_scaling_group
    activity = end(InstanceId=one, ShouldDecrementDesiredCapacity=True)["Activity"]
    assert activity["Cause"].endswith("shrinking the capacity from 3 to 2.")
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"InService": 2})
    end(InstanceId=two, ShouldDecrementDesiredCapacity=False)
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"InService": 1, "Pending": 1})
    assert {i["State"]["Name"] for i in aws.instances([one, two])} == {"terminated"}
    assert three in {i["InstanceId"] for i in aws.group()["Instances"]}


def test_detached_instances_live_on_outside_and_can_be_attached(aws: Any, refused: Any) -> None:
    arn = aws.elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=aws.vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]

    def targets() -> set[str]:
        found = aws.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {t["Target"]["Id"] for t in found}

    aws.make_group(desired=24, TargetGroupARNs=[arn])
    aws.make_group("other", 0)
    aws.advance(31)
    ids = [i["InstanceId"] for i in aws.group()["Instances"]]
    named, few = {"AutoScalingGroupName": "web"}, ids[:20]
    assert (
        "At most 20"
        in refused(aws.asg.detach_instances, **named, InstanceIds=ids[:21], ShouldDecrementDesiredCapacity=True)[1]
    )
    moved = aws.asg.detach_instances(**named, InstanceIds=few, ShouldDecrementDesiredCapacity=True)["Activities"]
    assert (len(moved), aws.group()["DesiredCapacity"], aws.states()) == (20, 4, {"InService": 4})
    assert {i["State"]["Name"] for i in aws.instances(few)} == {"running"}
    assert targets() == set(ids[20:])
    aws.asg.detach_instances(**named, InstanceIds=ids[20:21], ShouldDecrementDesiredCapacity=False)
    assert (aws.group()["DesiredCapacity"], aws.states()) == (4, {"InService": 3, "Pending": 1})
    pending = [i["InstanceId"] for i in aws.group()["Instances"] if i["LifecycleState"] == "Pending"]
    assert refused(aws.asg.detach_instances, **named, InstanceIds=pending, ShouldDecrementDesiredCapacity=True) == (
        "ValidationError",
        f"The instance {pending[0]} is not in InService or Standby.",
    )
    assert "At most 20" in refused(aws.asg.attach_instances, **named, InstanceIds=ids[:21])[1]
    aws.asg.attach_instances(AutoScalingGroupName="other", InstanceIds=few)
    assert (aws.group("other")["DesiredCapacity"], aws.states("other")) == (20, {"InService": 20})
    assert "already part of" in refused(aws.asg.attach_instances, **named, InstanceIds=few[:1])[1]
    (outside,) = aws.instances(ids[20:21])
    zone = outside["Placement"]["AvailabilityZone"]
    others = [subnet for subnet, where in zip(aws.subnets, aws.zones, strict=True) if where != zone]
    aws.asg.update_auto_scaling_group(**named, VPCZoneIdentifier=",".join(others))
    assert f"is in {zone}" in refused(aws.asg.attach_instances, **named, InstanceIds=ids[20:21])[1]


def outside(aws: Any, count: int = 1) -> list[str]:
    """Running On-Demand instances of no group, in its first zone."""
    given = {"ImageId": aws.image, "InstanceType": "m5.large", "SubnetId": aws.subnets[0]}
    made = aws.ec2.run_instances(**given, MinCount=count, MaxCount=count)["Instances"]
    return [i["InstanceId"] for i in made]


def test_attached_instances_leave_an_activity_and_are_protected_as_the_group_says(aws: Any) -> None:
    aws.make_group(desired=0, NewInstancesProtectedFromScaleIn=True)
    one, two = outside(aws, 2)
    url = aws.queue("launches", {"source": ["aws.autoscaling"]})
    aws.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=[one, two])
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"InService": 2})
    assert all(i["ProtectedFromScaleIn"] for i in aws.group()["Instances"])
    last, first = aws.activities()
    assert (first["Description"], first["StatusCode"]) == (f"Attaching an EC2 instance: {one}", "Successful")
    assert first["Cause"].endswith(
        "an instance was attached in response to a user request, increasing the capacity from 0 to 1."
    )
    assert last["Cause"].endswith("increasing the capacity from 1 to 2.")
    assert [m["detail-type"] for m in aws.messages(url)] == ["EC2 Instance Launch Successful"] * 2


def test_an_instance_must_run_before_it_can_be_attached(aws: Any, refused: Any) -> None:
    aws.make_group(desired=0)
    aws.sandbox.post("/sandbox/launches", pending_seconds=15)
    (one,) = outside(aws)
    named = {"AutoScalingGroupName": "web", "InstanceIds": [one]}
    assert refused(aws.asg.attach_instances, **named) == (
        "ValidationError",
        f"Invalid Instance ID(s): [{one}] specified: it is pending, and must be running",
    )
    aws.advance(15)
    aws.asg.attach_instances(**named)
    assert aws.states() == {"InService": 1}
    none = "i-0123456789abcdef0"
    assert refused(aws.asg.attach_instances, AutoScalingGroupName="web", InstanceIds=[none])[1] == (
        f"Invalid Instance ID(s): [{none}] specified"
    )


def test_nothing_is_attached_beyond_the_maximum(aws: Any, refused: Any) -> None:
    aws.make_group(desired=1, MaxSize=2)
    aws.advance(31)
    ids = outside(aws, 2)
    assert refused(aws.asg.attach_instances, AutoScalingGroupName="web", InstanceIds=ids)[1] == (
        "AutoScalingGroup web has min-size=0, max-size=2, and desired-size=1. To attach 2 instances, please update the"
        " AutoScalingGroup sizes appropriately."
    )
    assert (aws.group()["DesiredCapacity"], aws.states()) == (1, {"InService": 1})


def test_a_launching_hook_holds_an_attached_instance(aws: Any) -> None:
    url = aws.queue("hooks", {"detail-type": ["EC2 Instance-launch Lifecycle Action"]})
    arn = aws.elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=aws.vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    aws.make_group(desired=0, TargetGroupARNs=[arn])
    hook = {"AutoScalingGroupName": "web", "LifecycleHookName": "up"}
    aws.asg.put_lifecycle_hook(
        **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING", HeartbeatTimeout=60, DefaultResult="ABANDON"
    )
    one, two = outside(aws, 2)
    aws.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=[one, two])
    assert (aws.group()["DesiredCapacity"], aws.states()) == (2, {"Pending:Wait": 2})
    assert [a["StatusCode"] for a in aws.activities()] == ["MidLifecycleAction"] * 2
    assert aws.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] == []
    assert [m["detail"]["EC2InstanceId"] for m in aws.messages(url)] == [one, two]
    aws.asg.complete_lifecycle_action(**hook, InstanceId=one, LifecycleActionResult="CONTINUE")
    assert aws.states() == {"InService": 1, "Pending:Wait": 1}
    (target,) = aws.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert target["Target"]["Id"] == one
    aws.advance(61)
    assert aws.instances([two])[0]["State"]["Name"] == "terminated"
    assert {a["Description"].split(":")[0]: a["StatusCode"] for a in aws.activities()}[
        "Attaching an EC2 instance"
    ] == "Successful"
