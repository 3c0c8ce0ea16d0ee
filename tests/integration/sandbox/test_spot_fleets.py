"""Spot Fleets of the sandbox: the same pools, losses and replacements as EC2 Fleets, in their own words."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

ROLE = "arn:aws:iam::123456789012:role/aws-service-role/spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet"


def configs(aws: Any, types: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Launch template configs of these types, with more of each override, in all subnets."""
    types = types or {"m5.large": {}, "c5.large": {}}
    overrides = [
        {"InstanceType": kind, "SubnetId": subnet, **more} for kind, more in types.items() for subnet in aws.subnets
    ]
    specification = {"LaunchTemplateId": aws.template, "Version": "$Latest"}
    return [{"LaunchTemplateSpecification": specification, "Overrides": overrides}]


def make(aws: Any, total: int, on_demand: int = 0, **more: Any) -> str:
    given = {
        "IamFleetRole": ROLE,
        "Type": "maintain",
        "TargetCapacity": total,
        "OnDemandTargetCapacity": on_demand,
        "AllocationStrategy": "priceCapacityOptimized",
        "LaunchTemplateConfigs": configs(aws),
        **more,
    }
    return aws.ec2.request_spot_fleet(SpotFleetRequestConfig=given)["SpotFleetRequestId"]


def shown(aws: Any, fleet: str) -> dict[str, Any]:
    return aws.ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet])["SpotFleetRequestConfigs"][0]


def fulfilled(aws: Any, fleet: str) -> tuple[float, float]:
    """(all, On-Demand)."""
    config = shown(aws, fleet)["SpotFleetRequestConfig"]
    return config["FulfilledCapacity"], config["OnDemandFulfilledCapacity"]


def active(aws: Any, fleet: str) -> list[str]:
    found = aws.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet)["ActiveInstances"]
    return [i["InstanceId"] for i in found]


def history(aws: Any, fleet: str, **more: Any) -> list[tuple[str, str]]:
    found = aws.ec2.describe_spot_fleet_request_history(
        SpotFleetRequestId=fleet, StartTime="2020-01-01T00:00:00Z", **more
    )
    return [(r["EventType"], r["EventInformation"]["EventSubType"]) for r in found["HistoryRecords"]]


def used(aws: Any, lifecycle: str = "spot") -> int:
    found = aws.sandbox.get("/sandbox/capacity")["pools"]
    return sum(pool["used"] for pool in found if pool["lifecycle"] == lifecycle)


def test_a_request_is_fulfilled_from_the_pools_and_its_instances_say_whose_they_are(aws: Any) -> None:
    fleet = make(aws, 6, 2)
    found = shown(aws, fleet)
    assert (found["SpotFleetRequestState"], found["ActivityStatus"]) == ("active", "fulfilled")
    assert fulfilled(aws, fleet) == (6.0, 2.0)
    members = aws.instances(active(aws, fleet))
    assert sum(i.get("InstanceLifecycle") == "spot" for i in members) == 4
    assert all({"Key": "aws:ec2spot:fleet-request-id", "Value": fleet} in i["Tags"] for i in members)
    assert (used(aws), used(aws, "on_demand")) == (4, 2)
    listed = aws.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet)["ActiveInstances"]
    assert sum("SpotInstanceRequestId" in i for i in listed) == 4
    assert history(aws, fleet)[:2] == [("fleetRequestChange", "submitted"), ("fleetRequestChange", "active")]
    assert history(aws, fleet, EventType="instanceChange") == [("instanceChange", "launched")] * 6


def test_it_is_described_as_it_was_asked_for(aws: Any) -> None:
    given = {
        "AllocationStrategy": "lowestPrice",
        "InstancePoolsToUseCount": 2,
        "OnDemandAllocationStrategy": "prioritized",
        "ExcessCapacityTerminationPolicy": "noTermination",
        "TargetCapacityUnitType": "units",
        "TerminateInstancesWithExpiration": True,
        "ClientToken": "one",
        "SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}},
        "LaunchTemplateConfigs": configs(aws, {"m5.large": {"WeightedCapacity": 2.0, "Priority": 1.0}}),
    }
    fleet = make(aws, 4, 2, **given)
    config = shown(aws, fleet)["SpotFleetRequestConfig"]
    assert {key: config[key] for key in given} == given
    assert (config["IamFleetRole"], config["TargetCapacity"], config["OnDemandTargetCapacity"]) == (ROLE, 4, 2)


def test_lost_spot_is_replaced_at_once_or_as_soon_as_there_is_room(aws: Any) -> None:
    fleet = make(aws, 4, 1)
    before = set(active(aws, fleet))
    aws.room(0)
    aws.advance(121)
    assert fulfilled(aws, fleet) == (1.0, 1.0)
    assert shown(aws, fleet)["ActivityStatus"] == "error"
    assert ("error", "allLaunchSpecsTemporarilyBlacklisted") in history(aws, fleet)
    assert ("error", "spotFleetRequestConfigurationInvalid") in history(aws, fleet)
    aws.room(None)
    aws.advance(61)
    assert fulfilled(aws, fleet) == (4.0, 1.0)
    assert len(before & set(active(aws, fleet))) == 1
    seen = Counter(history(aws, fleet, EventType="instanceChange"))
    assert seen[("instanceChange", "termination_notified")] == seen[("instanceChange", "terminated")] == 3
    aws.ec2.terminate_instances(InstanceIds=active(aws, fleet)[:2])
    assert fulfilled(aws, fleet) == (4.0, 1.0)


def test_a_one_time_request_waits_for_room_but_replaces_nothing(aws: Any, refused: Any) -> None:
    aws.room(1, instance_type="m5.large", zone=aws.zones[0])
    for zone in aws.zones[1:]:
        aws.room(0, instance_type="m5.large", zone=zone)
    fleet = make(aws, 3, Type="request", LaunchTemplateConfigs=configs(aws, {"m5.large": {}}))
    assert (len(active(aws, fleet)), shown(aws, fleet)["ActivityStatus"]) == (1, "error")
    aws.room(5, instance_type="m5.large")
    aws.advance(61)
    assert (len(active(aws, fleet)), shown(aws, fleet)["ActivityStatus"]) == (3, "fulfilled")
    aws.ec2.terminate_instances(InstanceIds=active(aws, fleet)[:1])
    aws.advance(600)
    assert len(active(aws, fleet)) == 2
    code, message = refused(aws.ec2.modify_spot_fleet_request, SpotFleetRequestId=fleet, TargetCapacity=4)
    assert code == "InvalidSpotFleetRequestState" and "of type request is active" in message


def test_modifying_moves_both_parts_and_the_pools(aws: Any) -> None:
    fleet = make(aws, 4, 1)
    change = {"SpotFleetRequestId": fleet}
    assert aws.ec2.modify_spot_fleet_request(**change, TargetCapacity=7)["Return"] is True
    assert fulfilled(aws, fleet) == (7.0, 1.0)
    aws.ec2.modify_spot_fleet_request(**change, OnDemandTargetCapacity=3)
    assert fulfilled(aws, fleet) == (7.0, 3.0)
    aws.ec2.modify_spot_fleet_request(**change, TargetCapacity=3, OnDemandTargetCapacity=0)
    assert fulfilled(aws, fleet) == (3.0, 0.0)
    assert used(aws, "on_demand") == 0
    others = configs(aws, {"m5a.large": {"WeightedCapacity": 2.0}})
    aws.ec2.modify_spot_fleet_request(**change, TargetCapacity=7, LaunchTemplateConfigs=others)
    kinds = Counter(i["InstanceType"] for i in aws.instances(active(aws, fleet)))
    assert (kinds["m5a.large"], kinds.total(), fulfilled(aws, fleet)[0]) == (2, 5, 7.0)
    aws.ec2.modify_spot_fleet_request(**change, TargetCapacity=1, ExcessCapacityTerminationPolicy="noTermination")
    assert fulfilled(aws, fleet)[0] == 7.0
    assert shown(aws, fleet)["SpotFleetRequestConfig"]["TargetCapacity"] == 1
    changes = history(aws, fleet, EventType="fleetRequestChange")
    assert Counter(changes)[("fleetRequestChange", "modify_succeeded")] == 5


def test_cancelling_ends_the_instances_or_leaves_them(aws: Any) -> None:
    ended, left = make(aws, 2), make(aws, 1)
    going, staying = active(aws, ended), active(aws, left)
    cancel = aws.ec2.cancel_spot_fleet_requests
    answer = cancel(SpotFleetRequestIds=[left, "sfr-0"], TerminateInstances=False)
    assert answer["SuccessfulFleetRequests"] == [
        {
            "SpotFleetRequestId": left,
            "PreviousSpotFleetRequestState": "active",
            "CurrentSpotFleetRequestState": "cancelled_running",
        }
    ]
    assert answer["UnsuccessfulFleetRequests"][0]["Error"]["Code"] == "fleetRequestIdDoesNotExist"
    (done,) = cancel(SpotFleetRequestIds=[ended], TerminateInstances=True)["SuccessfulFleetRequests"]
    assert done["CurrentSpotFleetRequestState"] == "cancelled_terminating"
    assert {i["State"]["Name"] for i in aws.instances(going)} == {"terminated"}
    assert {i["State"]["Name"] for i in aws.instances(staying)} == {"running"}
    states = [shown(aws, fleet)["SpotFleetRequestState"] for fleet in (ended, left)]
    assert (states, used(aws)) == (["cancelled", "cancelled_running"], 1)
    aws.ec2.terminate_instances(InstanceIds=staying)
    assert (active(aws, left), shown(aws, left)["SpotFleetRequestState"]) == ([], "cancelled")
    again = cancel(SpotFleetRequestIds=[ended], TerminateInstances=True)["UnsuccessfulFleetRequests"]
    assert again[0]["Error"]["Code"] == "fleetRequestNotInCancellableState"


def test_members_serve_in_the_target_groups_until_they_go(aws: Any) -> None:
    arn = aws.elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=aws.vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    fleet = make(aws, 3, 1, LoadBalancersConfig={"TargetGroupsConfig": {"TargetGroups": [{"Arn": arn}]}})

    def healthy() -> set[str]:
        found = aws.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {t["Target"]["Id"] for t in found if t["TargetHealth"]["State"] == "healthy"}

    before = set(active(aws, fleet))
    assert healthy() == before
    spot = [i["InstanceId"] for i in aws.instances(before) if i.get("InstanceLifecycle") == "spot"]
    aws.sandbox.post("/sandbox/interrupt", instance_ids=spot[:1], notice=30)
    aws.advance(31)
    assert spot[0] not in healthy()
    assert healthy() == set(active(aws, fleet)) and len(healthy()) == 3
    aws.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert healthy() == set()


def test_a_warned_instance_is_replaced_before_it_goes(aws: Any) -> None:
    rebalance = {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 300}}
    fleet = make(aws, 2, SpotMaintenanceStrategies=rebalance)
    warned = active(aws, fleet)[0]
    aws.sandbox.post("/sandbox/rebalance", instance_ids=[warned])
    assert (len(active(aws, fleet)), fulfilled(aws, fleet)[0]) == (3, 2.0)
    aws.advance(301)
    assert len(active(aws, fleet)) == 2 and warned not in active(aws, fleet)


def test_tags_of_the_request_and_later_ones_are_shown_and_found(aws: Any, refused: Any) -> None:
    first = {"Key": "spot.platform/app", "Value": "web"}
    spec = [{"ResourceType": "spot-fleet-request", "Tags": [first]}]
    fleet, ec2_fleet = (
        make(aws, 1, TagSpecifications=spec),
        aws.ec2.create_fleet(
            LaunchTemplateConfigs=configs(aws), TargetCapacitySpecification={"TotalTargetCapacity": 1}
        )["FleetId"],
    )
    later = {"Key": "spot.platform/target", "Value": "4"}
    aws.ec2.create_tags(Resources=[fleet, ec2_fleet], Tags=[later])
    assert shown(aws, fleet)["Tags"] == [first, later]
    assert aws.ec2.describe_fleets(FleetIds=[ec2_fleet])["Fleets"][0]["Tags"] == [later]
    found = aws.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [fleet, ec2_fleet]}])["Tags"]
    kinds = {(t["ResourceId"], t["ResourceType"]) for t in found if t["Key"] == later["Key"]}
    assert kinds == {(fleet, "spot-fleet-request"), (ec2_fleet, "fleet")}
    by_type = aws.ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["spot-fleet-request"]}])["Tags"]
    assert {t["ResourceId"] for t in by_type} == {fleet}
    aws.ec2.delete_tags(Resources=[fleet], Tags=[{"Key": first["Key"]}])
    assert shown(aws, fleet)["Tags"] == [later]
    unknown = "sfr-00000000-0000-4000-8000-000000000000"
    assert refused(aws.ec2.create_tags, Resources=[unknown], Tags=[later])[0] == "InvalidSpotFleetRequestId.NotFound"


def test_pages_of_requests_instances_and_events(aws: Any) -> None:
    fleets = [make(aws, 3 if number == 0 else 0) for number in range(5)]
    first = aws.ec2.describe_spot_fleet_requests(MaxResults=2)
    assert [f["SpotFleetRequestId"] for f in first["SpotFleetRequestConfigs"]] == fleets[:2]
    pages = aws.ec2.get_paginator("describe_spot_fleet_requests").paginate(PaginationConfig={"PageSize": 2})
    assert [[f["SpotFleetRequestId"] for f in p["SpotFleetRequestConfigs"]] for p in pages] == [
        fleets[:2],
        fleets[2:4],
        fleets[4:],
    ]
    one = aws.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleets[0], MaxResults=2)
    two = aws.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleets[0], NextToken=one["NextToken"], MaxResults=2)
    assert [i["InstanceId"] for page in (one, two) for i in page["ActiveInstances"]] == active(aws, fleets[0])
    aws.advance(3600)
    late = datetime.fromtimestamp(aws.sandbox.get("/sandbox/clock")["epoch"] - 60, timezone.utc)
    aws.ec2.modify_spot_fleet_request(SpotFleetRequestId=fleets[0], TargetCapacity=4)
    recent = aws.ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleets[0], StartTime=late)
    assert [r["EventInformation"]["EventSubType"] for r in recent["HistoryRecords"]] == [
        "modify_in_progress",
        "launched",
        "modify_succeeded",
    ]


def test_a_client_token_makes_one_fleet(aws: Any, refused: Any) -> None:
    fleet = make(aws, 2, ClientToken="once")
    assert make(aws, 2, ClientToken="once") == fleet
    assert used(aws) == 2
    assert refused(make, aws=aws, total=3, ClientToken="once")[0] == "IdempotentParameterMismatch"


@pytest.mark.parametrize("terminate", [False, True])
def test_an_expired_request_replaces_nothing_and_ends_its_instances_if_asked(aws: Any, terminate: bool) -> None:
    now = datetime.fromtimestamp(aws.sandbox.get("/sandbox/clock")["epoch"], timezone.utc)
    window = {"ValidFrom": now + timedelta(hours=1), "ValidUntil": now + timedelta(hours=2)}
    fleet = make(aws, 2, TerminateInstancesWithExpiration=terminate, **window)
    assert (shown(aws, fleet)["SpotFleetRequestState"], active(aws, fleet)) == ("submitted", [])
    aws.advance(3601)
    assert (shown(aws, fleet)["SpotFleetRequestState"], len(active(aws, fleet))) == ("active", 2)
    aws.advance(3600)
    assert ("fleetRequestChange", "expired") in history(aws, fleet)
    expected = ("cancelled", 0) if terminate else ("cancelled_running", 2)
    assert (shown(aws, fleet)["SpotFleetRequestState"], len(active(aws, fleet))) == expected


def test_without_its_role_it_launches_nothing_until_the_role_is_there(aws: Any) -> None:
    iam = aws.sandbox.client("iam")
    fleet = make(aws, 1, IamFleetRole="arn:aws:iam::123456789012:role/fleet")
    assert (active(aws, fleet), shown(aws, fleet)["ActivityStatus"]) == ([], "error")
    assert ("error", "iamFleetRoleInvalid") in history(aws, fleet)
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument="{}")
    aws.advance(61)
    assert len(active(aws, fleet)) == 1


def test_a_price_above_the_limit_is_not_paid(aws: Any) -> None:
    market = aws.sandbox.get("/sandbox/market", region=aws.region, zone=aws.zones[0], instance_type="m5.xlarge")
    price = market["pools"][0]["spot_price"]
    for limit, launched in ((price / 4 * 0.9, 0), (price / 4 * 1.5, 1)):
        override = {"WeightedCapacity": 4.0, "SpotPrice": f"{limit:.6f}"}
        limited = configs(aws, {"m5.xlarge": override})
        limited[0]["Overrides"] = limited[0]["Overrides"][:1]
        fleet = make(aws, 4, LaunchTemplateConfigs=limited)
        assert len(active(aws, fleet)) == launched
        assert (("information", "launchSpecUnusable") in history(aws, fleet)) is (not launched)


@pytest.mark.parametrize(
    ("strategy", "pools"),
    [("lowestPrice", 1), ("diversified", 6), ("capacityOptimized", 1), ("priceCapacityOptimized", 1)],
)
def test_strategies(aws: Any, strategy: str, pools: int) -> None:
    fleet = make(aws, 6, AllocationStrategy=strategy)
    found = aws.instances(active(aws, fleet))
    assert len({(i["InstanceType"], i["Placement"]["AvailabilityZone"]) for i in found}) == pools


def test_priorities_count_for_on_demand_and_where_room_allows_for_spot(aws: Any) -> None:
    ranked = configs(aws, {"m5.large": {"Priority": 2.0}, "c5.large": {"Priority": 1.0}, "m5a.large": {}})
    for kind, room in (("m5.large", 50), ("c5.large", 50), ("m5a.large", 500)):
        aws.room(room, instance_type=kind)
    more = {"AllocationStrategy": "capacityOptimizedPrioritized", "OnDemandAllocationStrategy": "prioritized"}
    fleet = make(aws, 6, 2, LaunchTemplateConfigs=ranked, **more)
    assert {i["InstanceType"] for i in aws.instances(active(aws, fleet))} == {"c5.large"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"on_demand": 2}, "InvalidSpotFleetRequestConfig"),
        ({"total": 0, "Type": "request"}, "InvalidSpotFleetRequestConfig"),
        ({"Type": "instant"}, "InvalidParameterValue"),
        ({"AllocationStrategy": "price-capacity-optimized"}, "InvalidParameterValue"),
        ({"IamFleetRole": "fleet"}, "InvalidSpotFleetRequestConfig"),
        ({"InstancePoolsToUseCount": 2}, "InvalidSpotFleetRequestConfig"),
        ({"TargetCapacityUnitType": "vcpu"}, "InvalidSpotFleetRequestConfig"),
        ({"TagSpecifications": [{"ResourceType": "instance", "Tags": []}]}, "InvalidParameterValue"),
        ({"LaunchTemplateConfigs": []}, "MissingParameter"),
        (
            {
                "Type": "request",
                "SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}},
            },
            "InvalidParameterCombination",
        ),
        (
            {"LoadBalancersConfig": {"TargetGroupsConfig": {"TargetGroups": [{"Arn": "arn:x"}]}}},
            "InvalidSpotFleetRequestConfig",
        ),
    ],
)
def test_wrong_requests_are_refused(aws: Any, refused: Any, change: dict[str, Any], code: str) -> None:
    assert refused(make, aws=aws, **{"total": 1, **change})[0] == code
    assert aws.ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []


def test_requests_that_do_not_exist_are_refused(aws: Any, refused: Any) -> None:
    fleet = "sfr-00000000-0000-4000-8000-000000000000"
    for call in (aws.ec2.describe_spot_fleet_instances, aws.ec2.modify_spot_fleet_request):
        assert refused(call, SpotFleetRequestId=fleet)[0] == "InvalidSpotFleetRequestId.NotFound"
    assert (
        refused(aws.ec2.describe_spot_fleet_requests, SpotFleetRequestIds=[fleet])[0]
        == "InvalidSpotFleetRequestId.NotFound"
    )
