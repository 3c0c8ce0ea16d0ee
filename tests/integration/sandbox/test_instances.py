"""Instances of the sandbox: scarcity, idempotency, their end, filters and pages."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.config import Config

SPOT = {"MarketType": "spot"}


def run(aws: Any, count: int = 1, **more: Any) -> list[dict[str, Any]]:
    given = {
        "ImageId": aws.image,
        "InstanceType": "m5.large",
        "SubnetId": aws.subnets[0],
        "MinCount": count,
        "MaxCount": count,
    }
    return aws.ec2.run_instances(**{**given, **more})["Instances"]


def described(aws: Any, *filters: tuple[str, str]) -> list[str]:
    found = aws.ec2.describe_instances(Filters=[{"Name": n, "Values": [v]} for n, v in filters])["Reservations"]
    return [i["InstanceId"] for r in found for i in r["Instances"]]


def test_spot_and_on_demand_are_told_apart(aws: Any) -> None:
    spot, steady = run(aws, InstanceMarketOptions=SPOT)[0], run(aws)[0]
    assert (spot["InstanceLifecycle"], "InstanceLifecycle" in steady) == ("spot", False)
    assert spot["State"]["Name"] == "pending"
    assert described(aws, ("instance-lifecycle", "spot")) == [spot["InstanceId"]]
    assert aws.instances([spot["InstanceId"]])[0]["Placement"]["AvailabilityZone"] == aws.zones[0]
    assert aws.instances([spot["InstanceId"]])[0]["State"]["Name"] == "running"


def test_a_template_adds_its_part_also_its_market_and_the_request_wins(aws: Any) -> None:
    group = aws.ec2.create_security_group(GroupName="app", Description="app", VpcId=aws.vpc)["GroupId"]
    template = aws.make_template(
        "spot",
        InstanceMarketOptions=SPOT,
        SecurityGroupIds=[group],
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20, "Encrypted": True, "VolumeType": "gp3"}}
        ],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}]}
        ],
    )
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "2"}]}]
    made = aws.ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template},
        MinCount=1,
        MaxCount=1,
        InstanceType="c5.large",
        TagSpecifications=tags,
    )["Instances"][0]
    shown = aws.instances([made["InstanceId"]])[0]
    assert (shown["InstanceType"], shown["InstanceLifecycle"]) == ("c5.large", "spot")
    assert [g["GroupId"] for g in shown["SecurityGroups"]] == [group]
    assert shown["MetadataOptions"]["HttpTokens"] == "required"
    kept = {t["Key"]: t["Value"] for t in shown["Tags"]}
    assert (kept["a"], kept["b"], kept["aws:ec2launchtemplate:id"]) == ("1", "2", template)
    sizes = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in shown["BlockDeviceMappings"]}
    assert len(sizes) == 2
    volume = aws.ec2.describe_volumes(VolumeIds=[sizes["/dev/sdf"]])["Volumes"][0]
    assert (volume["Size"], volume["Encrypted"], volume["VolumeType"]) == (20, True, "gp3")


def test_a_pool_without_room_refuses_and_a_small_one_gives_what_it_has(aws: Any, sandbox: Any, refused: Any) -> None:
    once = sandbox.client("ec2", config=Config(retries={"total_max_attempts": 1}))
    given = {"ImageId": aws.image, "InstanceType": "m5.large", "SubnetId": aws.subnets[0], "MinCount": 2, "MaxCount": 5}
    aws.room(1, instance_type="m5.large", zone=aws.zones[0])
    code, message = refused(once.run_instances, **given, InstanceMarketOptions=SPOT)
    assert (code, message) == (
        "InsufficientInstanceCapacity",
        "There is no Spot capacity available that matches your request.",
    )
    aws.room(3, instance_type="m5.large", zone=aws.zones[0])
    assert len(once.run_instances(**given, InstanceMarketOptions=SPOT)["Instances"]) == 3
    aws.room(0, instance_type="m5.large", zone=aws.zones[0], lifecycle="on_demand")
    assert "choosing us-east-1b" in refused(once.run_instances, **given)[1]
    del given["SubnetId"]
    assert once.run_instances(**given)["Instances"][0]["Placement"]["AvailabilityZone"] == aws.zones[1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"InstanceType": "z9.huge"}, "InvalidParameterValue"),
        ({"SubnetId": "subnet-0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0"]}, "InvalidGroup.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-0"}}, "InvalidLaunchTemplateId.NotFound"),
        (
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0001"}}},
            "SpotMaxPriceTooLow",
        ),
    ],
)
def test_wrong_requests_are_refused_and_hold_no_place(
    aws: Any, refused: Any, change: dict[str, Any], code: str
) -> None:
    assert refused(run, aws=aws, **change)[0] == code
    assert aws.sandbox.get("/sandbox/capacity")["pools"] == []


def test_a_client_token_makes_a_launch_idempotent(aws: Any, refused: Any) -> None:
    first, again = (run(aws, ClientToken="one")[0]["InstanceId"] for _attempt in range(2))
    assert first == again
    assert refused(run, aws=aws, ClientToken="one", InstanceType="c5.large")[0] == "IdempotentParameterMismatch"


def test_the_end_of_an_instance_gives_all_back_and_is_shown_for_an_hour(aws: Any) -> None:
    instance = run(aws, InstanceMarketOptions=SPOT)[0]["InstanceId"]
    answer = aws.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("running", "shutting-down")
    shown = aws.instances([instance])[0]
    assert shown["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    ended = datetime.strptime(shown["StateTransitionReason"], "User initiated (%Y-%m-%d %H:%M:%S GMT)")
    now = datetime.fromisoformat(aws.sandbox.get("/sandbox/health")["time"])
    assert abs((ended.replace(tzinfo=timezone.utc) - now).total_seconds()) < 2
    assert aws.sandbox.get("/sandbox/capacity")["pools"] == []
    assert aws.ec2.describe_volumes()["Volumes"] == []
    assert aws.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    aws.advance(3599)
    assert described(aws) == [instance]
    aws.advance(2)
    assert described(aws) == []


def test_stopping_gives_the_place_back_and_spot_cannot_be_stopped(aws: Any, refused: Any) -> None:
    steady, spot = run(aws)[0]["InstanceId"], run(aws, InstanceMarketOptions=SPOT)[0]["InstanceId"]
    assert refused(aws.ec2.stop_instances, InstanceIds=[spot])[0] == "UnsupportedOperation"
    aws.ec2.stop_instances(InstanceIds=[steady])
    assert [p["lifecycle"] for p in aws.sandbox.get("/sandbox/capacity")["pools"]] == ["spot"]
    aws.ec2.start_instances(InstanceIds=[steady])
    assert described(aws, ("instance-state-name", "running")) == [steady, spot]


def test_filters(aws: Any, refused: Any) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "spot.platform/app", "Value": "web"}]}]
    web = run(aws, TagSpecifications=tags, InstanceMarketOptions=SPOT)[0]["InstanceId"]
    other = run(aws, SubnetId=aws.subnets[1], InstanceType="c5.large")[0]["InstanceId"]
    expected = {
        ("tag:spot.platform/app", "w*"): [web],
        ("tag-key", "spot.platform/*"): [web],
        ("instance-type", "c5.*"): [other],
        ("availability-zone", aws.zones[1]): [other],
        ("subnet-id", aws.subnets[0]): [web],
        ("vpc-id", aws.vpc): [web, other],
        ("instance-id", web): [web],
        ("instance-state-name", "running"): [web, other],
        ("instance-lifecycle", "spot"): [web],
        ("tag:none", "*"): [],
    }
    assert {f: described(aws, f) for f in expected} == expected
    assert described(aws, ("vpc-id", aws.vpc), ("instance-type", "m5.large")) == [web]
    code, message = refused(aws.ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}])
    assert (code, message) == ("InvalidParameterValue", "The filter 'colour' is invalid")
    aws.ec2.create_tags(Resources=[other], Tags=[{"Key": "spot.platform/app", "Value": "worker"}])
    assert described(aws, ("tag:spot.platform/app", "worker")) == [other]
    shown = aws.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [other]}])["Tags"]
    assert [(t["Key"], t["ResourceType"]) for t in shown] == [("spot.platform/app", "instance")]


def test_thousands_of_instances_come_in_pages_and_all_else_keeps_working(aws: Any, refused: Any) -> None:
    made = aws.sandbox.post("/sandbox/instances", region="us-west-2", count=5000, app="web")
    assert made["count"] == 5000
    there = aws.sandbox.client("ec2", "us-west-2")
    pages = list(there.get_paginator("describe_instances").paginate())
    ids = [i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]]
    assert (len(pages), len(ids), len(set(ids))) == (5, 5000, 5000)
    assert (ids[0], ids[-1]) == (made["first"], made["last"])
    small = there.describe_instances(MaxResults=7)
    assert sum(len(r["Instances"]) for r in small["Reservations"]) == 7 and small["NextToken"]
    spot = there.describe_instances(MaxResults=7, Filters=[{"Name": "instance-lifecycle", "Values": ["spot"]}])
    assert {i["InstanceLifecycle"] for r in spot["Reservations"] for i in r["Instances"]} == {"spot"}
    assert refused(there.describe_instances, MaxResults=4)[0] == "InvalidParameterValue"
    assert refused(there.describe_instances, MaxResults=5, InstanceIds=ids[:1])[0] == "InvalidParameterCombination"
    assert refused(there.describe_instances, InstanceIds=["i-0123456789abcdef0"])[0] == "InvalidInstanceID.NotFound"
    statuses = there.describe_instance_status(InstanceIds=ids[-3:])["InstanceStatuses"]
    assert [s["InstanceStatus"]["Status"] for s in statuses] == ["ok"] * 3
    there.terminate_instances(InstanceIds=ids[:200])
    ended = there.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["terminated"]}])
    assert sum(len(r["Instances"]) for r in ended["Reservations"]) == 200


def test_wrong_control_requests_say_what_is_wrong(fresh: Any) -> None:
    with pytest.raises(ValueError, match="cannot make 0 instances in us-east-1"):
        fresh.post("/sandbox/instances", count=0)
    with pytest.raises(ValueError, match="i-1 is not a running Spot Instance"):
        fresh.post("/sandbox/interrupt", instance_ids=["i-1"])
    with pytest.raises(ValueError, match="instance_ids is missing"):
        fresh.post("/sandbox/rebalance")


def test_instances_can_be_pending_for_a_while(aws: Any) -> None:
    aws.sandbox.post("/sandbox/launches", pending_seconds=20)
    (made,) = run(aws, InstanceMarketOptions=SPOT)
    (gone,) = run(aws)
    assert described(aws, ("instance-state-name", "pending")) == [made["InstanceId"], gone["InstanceId"]]
    aws.ec2.terminate_instances(InstanceIds=[gone["InstanceId"]])
    aws.advance(19)
    assert described(aws, ("instance-state-name", "running")) == []
    aws.advance(1)
    assert described(aws, ("instance-state-name", "running")) == [made["InstanceId"]]
    assert aws.instances([gone["InstanceId"]])[0]["State"]["Name"] == "terminated"
    with pytest.raises(ValueError, match="pending_seconds -1 is out of range: give 0 to 3600"):
        aws.sandbox.post("/sandbox/launches", pending_seconds=-1)
