"""The Spot requests of the sandbox: what an instance's request says from its launch to hours after its end."""

from __future__ import annotations

from typing import Any

SPOT = {"MarketType": "spot"}


def run(aws: Any, count: int = 1, subnet: int = 0, **more: Any) -> list[str]:
    given = {"ImageId": aws.image, "InstanceType": "m5.large", "SubnetId": aws.subnets[subnet]}
    made = aws.ec2.run_instances(**given, MinCount=count, MaxCount=count, **more)["Instances"]
    return [i["InstanceId"] for i in made]


def requests(aws: Any, *filters: tuple[str, str], **more: Any) -> list[dict[str, Any]]:
    named = [{"Name": n, "Values": [v]} for n, v in filters]
    return aws.ec2.describe_spot_instance_requests(Filters=named, **more)["SpotInstanceRequests"]


def told(aws: Any) -> dict[str, tuple[str, str]]:
    """(state, status code) of every instance's request."""
    return {r["InstanceId"]: (r["State"], r["Status"]["Code"]) for r in requests(aws)}


def test_a_request_follows_its_instance(aws: Any) -> None:
    (steady,) = run(aws)
    taken, ended, kept = run(aws, 3, InstanceMarketOptions=SPOT)
    assert told(aws) == {i: ("active", "fulfilled") for i in (taken, ended, kept)}
    assert steady not in told(aws)
    shown = aws.instances([taken])[0]
    (request,) = requests(aws, ("instance-id", taken))
    assert request["SpotInstanceRequestId"] == shown["SpotInstanceRequestId"]
    assert (request["Type"], request["LaunchedAvailabilityZone"]) == ("one-time", aws.zones[0])
    aws.sandbox.post("/sandbox/interrupt", instance_ids=[taken], notice=120)
    aws.ec2.terminate_instances(InstanceIds=[ended])
    assert told(aws) == {
        taken: ("active", "marked-for-termination"),
        ended: ("closed", "instance-terminated-by-user"),
        kept: ("active", "fulfilled"),
    }
    aws.advance(119)
    assert told(aws)[taken][1] == "marked-for-termination"
    aws.advance(2)
    assert told(aws)[taken] == ("closed", "instance-terminated-no-capacity")
    assert aws.instances([taken])[0]["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert aws.instances([ended])[0]["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    aws.advance(3700)
    aws.ec2.describe_instances()
    assert set(told(aws)) == {taken, ended, kept}, "a request is described longer than its instance"
    aws.advance(4 * 3600)
    assert set(told(aws)) == {kept}


def test_who_ends_a_warned_instance_first_is_the_reason(aws: Any) -> None:
    (one,) = run(aws, InstanceMarketOptions=SPOT)
    aws.sandbox.post("/sandbox/interrupt", instance_ids=[one], notice=120)
    aws.ec2.terminate_instances(InstanceIds=[one])
    aws.advance(121)
    assert told(aws) == {one: ("closed", "instance-terminated-by-user")}


def test_groups_and_fleets_have_requests_too(aws: Any) -> None:
    aws.make_group(desired=4, MixedInstancesPolicy=aws.policy(base=1))
    launched = aws.ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateId": aws.template, "Version": "1"}}],
        TargetCapacitySpecification={"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "spot"},
    )["Instances"]
    assert len(told(aws)) == 3 + sum(len(i["InstanceIds"]) for i in launched) == 5
    member = next(i for i in told(aws) if i in {m["InstanceId"] for m in aws.group()["Instances"]})
    aws.asg.terminate_instance_in_auto_scaling_group(InstanceId=member, ShouldDecrementDesiredCapacity=True)
    assert told(aws)[member] == ("closed", "instance-terminated-by-user")


def test_filters_ids_and_pages(aws: Any, refused: Any) -> None:
    here, there = run(aws, 6, InstanceMarketOptions=SPOT), run(aws, 1, 1, InstanceMarketOptions=SPOT)
    aws.sandbox.post("/sandbox/interrupt", instance_ids=there)
    names = {r["InstanceId"]: r["SpotInstanceRequestId"] for r in requests(aws)}
    wanted = {
        ("state", "active"): [*here, *there],
        ("state", "closed"): [],
        ("status-code", "marked-for-*"): there,
        ("launched-availability-zone", aws.zones[1]): there,
        ("spot-instance-request-id", names[here[2]]): [here[2]],
        ("instance-id", here[0]): [here[0]],
    }
    assert {f: [r["InstanceId"] for r in requests(aws, f)] for f in wanted} == wanted
    aws.ec2.create_tags(Resources=[names[here[1]]], Tags=[{"Key": "app", "Value": "<web>"}])
    (tagged,) = requests(aws, ("tag:app", "<web>"))
    assert (tagged["InstanceId"], tagged["Tags"]) == (here[1], [{"Key": "app", "Value": "<web>"}])
    assert [r["InstanceId"] for r in requests(aws, SpotInstanceRequestIds=[names[there[0]]])] == there
    call = aws.ec2.describe_spot_instance_requests
    first = call(MaxResults=5)
    second = call(MaxResults=5, NextToken=first["NextToken"])
    assert [len(p["SpotInstanceRequests"]) for p in (first, second)] == [5, 2] and "NextToken" not in second
    assert refused(call, SpotInstanceRequestIds=["sir-none"])[0] == "InvalidSpotInstanceRequestID.NotFound"
    assert refused(call, Filters=[{"Name": "colour", "Values": ["red"]}])[0] == "InvalidParameterValue"


def test_a_cancelled_request_leaves_its_instance_running(aws: Any) -> None:
    (one,) = run(aws, InstanceMarketOptions=SPOT)
    (request,) = requests(aws)
    cancelled = aws.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"]])
    assert cancelled["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
    assert told(aws) == {one: ("cancelled", "request-canceled-and-instance-running")}
    assert aws.instances([one])[0]["State"]["Name"] == "running"
    aws.ec2.terminate_instances(InstanceIds=[one])
    assert told(aws) == {one: ("cancelled", "instance-terminated-by-user")}


def test_requests_made_by_hand_are_shown_beside_them(aws: Any) -> None:
    (one,) = run(aws, InstanceMarketOptions=SPOT)
    made = aws.ec2.request_spot_instances(
        LaunchSpecification={"ImageId": aws.image, "InstanceType": "m5.large"}, InstanceCount=1
    )["SpotInstanceRequests"][0]
    assert [r["InstanceId"] for r in requests(aws)] == [one, made["InstanceId"]]
    assert [r["Status"]["Code"] for r in requests(aws, ("state", "active"))] == ["fulfilled"] * 2
    by_id = {"SpotInstanceRequestIds": [made["SpotInstanceRequestId"]]}
    assert aws.ec2.cancel_spot_instance_requests(**by_id)["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
    assert [r["InstanceId"] for r in requests(aws)] == [one]
