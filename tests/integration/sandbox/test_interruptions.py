"""Interruptions and rebalance recommendations: the events as AWS documents them, delivered once, and what goes when."""

from __future__ import annotations

import json
from typing import Any

SPOT = {"MarketType": "spot"}
WARNING, REBALANCE = "EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"
STATE = "EC2 Instance State-change Notification"


def spot(aws: Any, count: int = 1, kind: str = "m5.large") -> list[str]:
    made = aws.ec2.run_instances(
        ImageId=aws.image,
        InstanceType=kind,
        SubnetId=aws.subnets[0],
        MinCount=count,
        MaxCount=count,
        InstanceMarketOptions=SPOT,
    )
    return [i["InstanceId"] for i in made["Instances"]]


def test_the_warning_comes_first_and_the_instance_goes_after_the_notice(aws: Any) -> None:
    url = aws.queue("warnings", {"source": ["aws.ec2"], "detail-type": [WARNING]})
    states = aws.queue("states", {"source": ["aws.ec2"], "detail-type": [STATE]})
    (instance,) = spot(aws)
    assert [m["detail"]["state"] for m in aws.messages(states)] == ["pending", "running"]
    answer = aws.sandbox.post("/sandbox/interrupt", instance_ids=[instance])
    assert answer == {"interrupted": [instance], "notice": 120.0}
    (event,) = aws.messages(url)
    assert event.pop("id") and event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": WARNING,
        "source": "aws.ec2",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1a:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }
    aws.advance(119)
    assert aws.instances([instance])[0]["State"]["Name"] == "running"
    aws.advance(2)
    gone = aws.instances([instance])[0]
    assert (gone["State"]["Name"], gone["StateReason"]["Code"]) == ("terminated", "Server.SpotInstanceTermination")
    assert gone["StateTransitionReason"].startswith("Service initiated (")
    assert [m["detail"] for m in aws.messages(states)] == [
        {"instance-id": instance, "state": "shutting-down"},
        {"instance-id": instance, "state": "terminated"},
    ]
    assert aws.messages(url) == []


def test_a_rebalance_recommendation_takes_nothing_away(aws: Any) -> None:
    url = aws.queue("advice", {"detail-type": [REBALANCE]})
    (instance,) = spot(aws)
    aws.sandbox.post("/sandbox/rebalance", instance_ids=[instance])
    (event,) = aws.messages(url)
    assert event["resources"] == [f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}"]
    assert event["detail"] == {"instance-id": instance}
    aws.advance(600)
    assert aws.instances([instance])[0]["State"]["Name"] == "running"


def test_room_that_is_taken_away_interrupts_the_newest_above_it_once(aws: Any) -> None:
    url = aws.queue("warnings", {"detail-type": [WARNING]})
    first, second, third = (spot(aws)[0] for _number in range(3))
    other = spot(aws, kind="c5.large")[0]
    answer = aws.room(1, instance_type="m5.large")
    assert [(p["zone"], p["instances"]) for p in answer["interrupted"]] == [("us-east-1a", 2)]
    aws.room(1, instance_type="m5.large")
    assert sorted(m["detail"]["instance-id"] for m in aws.messages(url)) == sorted([second, third])
    aws.advance(121)
    assert [i["State"]["Name"] for i in aws.instances([first, other])] == ["running", "running"]
    assert {i["State"]["Name"] for i in aws.instances([second, third])} == {"terminated"}


def test_each_event_reaches_queue_and_topic_once_as_the_target_wants_it(aws: Any) -> None:
    direct = aws.queue("direct", {"detail-type": [WARNING]})
    behind = aws.queue("behind")
    topic = aws.topic("topic")
    aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn("behind"))
    shaped = aws.queue("shaped")
    transformer = {"InputPathsMap": {"id": "$.detail.instance-id"}, "InputTemplate": '{"gone": <id>}'}
    aws.events.put_targets(
        Rule="direct",
        Targets=[
            {"Id": "topic", "Arn": topic},
            {"Id": "shaped", "Arn": aws.queue_arn("shaped"), "InputTransformer": transformer},
            {"Id": "lost", "Arn": aws.queue_arn("deleted")},
        ],
    )
    aws.events.put_rule(Name="off", EventPattern=json.dumps({"source": ["aws.ec2"]}), State="DISABLED")
    aws.events.put_targets(Rule="off", Targets=[{"Id": "1", "Arn": aws.queue_arn("direct")}])
    (instance,) = spot(aws)
    aws.sandbox.post("/sandbox/interrupt", instance_ids=[instance], notice=0)
    (event,) = aws.messages(direct)
    (wrapped,) = aws.messages(behind)
    assert json.loads(wrapped["Message"]) == event
    assert aws.messages(shaped) == [{"gone": instance}]


def test_events_of_our_own_go_the_same_way(aws: Any) -> None:
    url = aws.queue("mine", {"source": ["spot.platform"], "detail": {"app": ["web"]}})
    entry = {"Source": "spot.platform", "DetailType": "capacity", "Detail": json.dumps({"app": "web"})}
    other = {**entry, "Detail": json.dumps({"app": "worker"})}
    answer = aws.events.put_events(Entries=[entry, other, {**entry, "Detail": "no json"}])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][2]["ErrorCode"] == "MalformedDetail"
    (event,) = aws.messages(url)
    assert (event["id"], event["detail"]) == (answer["Entries"][0]["EventId"], {"app": "web"})


def test_groups_tell_of_their_launches_and_ends(aws: Any) -> None:
    url = aws.queue("groups", {"source": ["aws.autoscaling"]})
    aws.room(0, zone=aws.zones[0])
    aws.make_group(desired=1, VPCZoneIdentifier=",".join(aws.subnets[:2]))
    (failed,) = aws.messages(url)
    assert failed["detail-type"] == "EC2 Instance Launch Unsuccessful"
    assert failed["detail"]["StatusCode"] == "Failed"
    assert failed["detail"]["StatusMessage"].startswith("Could not launch Spot Instances. UnfulfillableCapacity")
    aws.advance(31)
    (launched,) = aws.messages(url)
    instance = launched["detail"]["EC2InstanceId"]
    assert launched["detail-type"] == "EC2 Instance Launch Successful"
    assert launched["resources"] == [
        aws.group()["AutoScalingGroupARN"],
        f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}",
    ]
    assert launched["detail"]["Details"] == {"Subnet ID": aws.subnets[1], "Availability Zone": aws.zones[1]}
    aws.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    (ended,) = aws.messages(url)
    assert ended["detail-type"] == "EC2 Instance Terminate Successful"
    assert (ended["detail"]["Origin"], ended["detail"]["EC2InstanceId"]) == ("AutoScalingGroup", instance)


def test_an_interrupted_member_is_replaced_where_there_is_room(aws: Any) -> None:
    aws.make_group(desired=3)
    aws.advance(31)
    lost = aws.group()["Instances"][0]
    aws.room(0, zone=lost["AvailabilityZone"])
    aws.advance(121)
    ids = {i["InstanceId"]: i["AvailabilityZone"] for i in aws.group()["Instances"]}
    assert len(ids) == 3 and lost["InstanceId"] not in ids
    assert lost["AvailabilityZone"] not in ids.values()


def test_a_room_that_only_stops_launches_takes_nothing_back(aws: Any) -> None:
    tight, taken = spot(aws), spot(aws, kind="c5.large")
    aws.sandbox.post("/sandbox/capacity", region="us-east-1", room=0, interrupt=False)
    answer = aws.sandbox.post("/sandbox/capacity", region="us-east-1", instance_type="c5.large", room=0)
    assert [pool["instance_type"] for pool in answer["interrupted"]] == ["c5.large"]
    aws.advance(1800)
    assert aws.instances(tight)[0]["State"]["Name"] == "running"
    assert aws.instances(taken)[0]["State"]["Name"] == "terminated"
