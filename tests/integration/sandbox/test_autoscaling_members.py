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
