"""EC2 Fleets of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest


def configs(aws: Any, types: dict[str, int] | None = None) -> list[dict[str, Any]]:
    types = types or {"m5.large": 1, "c5.large": 1}
    overrides = [
        {"InstanceType": kind, "SubnetId": subnet, "WeightedCapacity": weight}
        for kind, weight in types.items()
        for subnet in aws.subnets
    ]
    return [
        {
            "LaunchTemplateSpecification": {"LaunchTemplateId": aws.template, "Version": "$Latest"},
            "Overrides": overrides,
        }
    ]


def make(aws: Any, total: int, on_demand: int, kind: str = "maintain", **more: Any) -> dict[str, Any]:
    target = {"TotalTargetCapacity": total, "OnDemandTargetCapacity": on_demand, "DefaultTargetCapacityType": "spot"}
    given = {"Type": kind, "LaunchTemplateConfigs": configs(aws), "TargetCapacitySpecification": target}
    return aws.ec2.create_fleet(**{**given, **more})


def shown(aws: Any, fleet: str) -> dict[str, Any]:
    return aws.ec2.describe_fleets(FleetIds=[fleet])["Fleets"][0]


def active(aws: Any, fleet: str) -> list[str]:
    return [i["InstanceId"] for i in aws.ec2.describe_fleet_instances(FleetId=fleet)["ActiveInstances"]]


def test_a_fleet_maintains_its_parts(aws: Any) -> None:
    tags = [{"ResourceType": "fleet", "Tags": [{"Key": "spot.platform/app", "Value": "web"}]}]
    fleet = make(aws, 6, 2, TagSpecifications=tags)["FleetId"]
    found = shown(aws, fleet)
    assert (found["FulfilledCapacity"], found["FulfilledOnDemandCapacity"], found["ActivityStatus"]) == (
        6.0,
        2.0,
        "fulfilled",
    )
    assert found["Tags"] == [{"Key": "spot.platform/app", "Value": "web"}]
    assert found["TargetCapacitySpecification"]["SpotTargetCapacity"] == 4
    members = aws.instances(active(aws, fleet))
    assert sum(i.get("InstanceLifecycle") == "spot" for i in members) == 4
    assert all({"Key": "aws:ec2:fleet-id", "Value": fleet} in i["Tags"] for i in members)
    aws.ec2.terminate_instances(InstanceIds=active(aws, fleet)[:1])
    assert shown(aws, fleet)["FulfilledCapacity"] == 6.0
    wanted = [{"Name": "tag:spot.platform/app", "Values": ["web"]}]
    assert [f["FleetId"] for f in aws.ec2.describe_fleets(Filters=wanted)["Fleets"]] == [fleet]


def test_without_spot_it_says_so_keeps_trying_and_can_be_covered_by_on_demand(aws: Any) -> None:
    fleet = make(aws, 6, 1)["FleetId"]
    aws.room(0)
    aws.advance(121)
    found = shown(aws, fleet)
    assert (found["FulfilledCapacity"], found["ActivityStatus"]) == (1.0, "error")
    assert {e["ErrorCode"] for e in found["Errors"]} == {"UnfulfillableCapacity"}
    assert {e["Lifecycle"] for e in found["Errors"]} == {"spot"}
    aws.ec2.modify_fleet(
        FleetId=fleet, TargetCapacitySpecification={"TotalTargetCapacity": 6, "OnDemandTargetCapacity": 6}
    )
    assert shown(aws, fleet)["FulfilledOnDemandCapacity"] == 6.0
    aws.ec2.modify_fleet(
        FleetId=fleet, TargetCapacitySpecification={"TotalTargetCapacity": 6, "OnDemandTargetCapacity": 1}
    )
    aws.room(None)
    aws.advance(61)
    found = shown(aws, fleet)
    assert (found["FulfilledCapacity"], found["FulfilledOnDemandCapacity"]) == (6.0, 1.0)
    history = aws.ec2.describe_fleet_history(FleetId=fleet, StartTime="2020-01-01T00:00:00Z")["HistoryRecords"]
    seen = {(r["EventType"], r["EventInformation"]["EventSubType"]) for r in history}
    assert {
        ("fleet-change", "submitted"),
        ("instance-change", "launched"),
        ("instance-change", "termination_notified"),
    } <= seen


def test_weights_fill_a_fleet(aws: Any) -> None:
    fleet = make(aws, 7, 0, LaunchTemplateConfigs=configs(aws, {"m5.xlarge": 4}))["FleetId"]
    assert (len(active(aws, fleet)), shown(aws, fleet)["FulfilledCapacity"]) == (2, 8.0)


def test_an_instant_fleet_answers_with_its_instances_and_errors(aws: Any) -> None:
    aws.room(0, instance_type="c5.large")
    aws.room(2, instance_type="m5.large", zone=aws.zones[0])
    for zone in aws.zones[1:]:
        aws.room(0, instance_type="m5.large", zone=zone)
    answer = make(aws, 5, 1, "instant")
    spot = [i for i in answer["Instances"] if i["Lifecycle"] == "spot"]
    assert [(i["InstanceType"], len(i["InstanceIds"])) for i in spot] == [("m5.large", 2)]
    assert sum(len(i["InstanceIds"]) for i in answer["Instances"] if i["Lifecycle"] == "on-demand") == 1
    assert {e["ErrorCode"] for e in answer["Errors"]} == {"UnfulfillableCapacity"}
    least = {"MinTargetCapacity": 3, "SingleInstanceType": True}
    assert make(aws, 5, 0, "instant", SpotOptions=least)["Instances"] == []
    aws.advance(600)
    assert aws.ec2.describe_fleets()["Fleets"] == []


@pytest.mark.parametrize("strategy", ["lowest-price", "price-capacity-optimized"])
def test_an_instant_fleet_names_the_override_of_every_pool_that_gave_or_refused(aws: Any, strategy: str) -> None:
    for kind in ("m5.large", "c5.large"):
        for zone in aws.zones:
            aws.room(1 if (kind, zone) == ("c5.large", aws.zones[1]) else 0, instance_type=kind, zone=zone)
    answer = make(aws, 2, 0, "instant", SpotOptions={"AllocationStrategy": strategy})
    (given,) = answer["Instances"]
    override = given["LaunchTemplateAndOverrides"]["Overrides"]
    assert (override["InstanceType"], override["SubnetId"]) == ("c5.large", aws.subnets[1])
    assert (given["InstanceType"], given["Lifecycle"], len(given["InstanceIds"])) == ("c5.large", "spot", 1)
    where = dict(zip(aws.subnets, aws.zones, strict=True))
    refusing = [e["LaunchTemplateAndOverrides"] for e in answer["Errors"]]
    pools = {(r["Overrides"]["InstanceType"], r["Overrides"]["SubnetId"]) for r in refusing}
    assert pools == {(kind, subnet) for kind in ("m5.large", "c5.large") for subnet in aws.subnets}
    assert all(r["Overrides"]["AvailabilityZone"] == where[r["Overrides"]["SubnetId"]] for r in refusing)
    assert {r["LaunchTemplateSpecification"]["LaunchTemplateId"] for r in refusing} == {aws.template}
    assert len(refusing) == 6
    aws.room(None)
    aws.ec2.terminate_instances(InstanceIds=given["InstanceIds"])
    aws.advance(600)
    assert active(aws, answer["FleetId"]) == []


def test_an_instant_fleet_tells_of_a_pool_without_room_though_another_served(aws: Any) -> None:
    aws.room(0, lifecycle="on_demand", instance_type="m5.large")
    ranked = configs(aws)
    for override in ranked[0]["Overrides"]:
        override["Priority"] = {"m5.large": 1.0, "c5.large": 2.0}[override["InstanceType"]]
    more = {"LaunchTemplateConfigs": ranked, "OnDemandOptions": {"AllocationStrategy": "prioritized"}}
    answer = make(aws, 1, 1, "instant", **more)
    assert [(i["InstanceType"], i["Lifecycle"]) for i in answer["Instances"]] == [("c5.large", "on-demand")]
    assert {(e["Lifecycle"], e["ErrorCode"]) for e in answer["Errors"]} == {
        ("on-demand", "InsufficientInstanceCapacity")
    }
    assert {e["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] for e in answer["Errors"]} == {"m5.large"}


def test_an_instant_fleet_of_several_templates_names_each_refusing_pool_for_both_lifecycles(aws: Any) -> None:
    other = aws.make_template("other")
    kinds = {aws.template: "m5.large", other: "c5.large"}
    given = [
        {
            "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"},
            "Overrides": [{"InstanceType": kind, "SubnetId": subnet} for subnet in aws.subnets[:2]],
        }
        for template, kind in kinds.items()
    ]
    for lifecycle in ("spot", "on_demand"):
        aws.room(0, lifecycle=lifecycle)
    aws.room(1, instance_type="c5.large", zone=aws.zones[0])
    aws.room(1, instance_type="c5.large", zone=aws.zones[0], lifecycle="on_demand")
    answer = make(aws, 4, 2, "instant", LaunchTemplateConfigs=given)
    served = {(i["Lifecycle"], i["InstanceType"], len(i["InstanceIds"])) for i in answer["Instances"]}
    assert served == {("spot", "c5.large", 1), ("on-demand", "c5.large", 1)}
    refusing = [(e["Lifecycle"], e["LaunchTemplateAndOverrides"]) for e in answer["Errors"]]
    named = {
        (lifecycle, what["LaunchTemplateSpecification"]["LaunchTemplateId"], what["Overrides"]["SubnetId"])
        for lifecycle, what in refusing
    }
    assert named == {
        (lifecycle, template, subnet)
        for lifecycle in ("spot", "on-demand")
        for template in kinds
        for subnet in aws.subnets[:2]
    }
    assert all(
        kinds[w["LaunchTemplateSpecification"]["LaunchTemplateId"]] == w["Overrides"]["InstanceType"]
        for _l, w in refusing
    )
    assert {(e["Lifecycle"], e["ErrorCode"]) for e in answer["Errors"]} == {
        ("spot", "UnfulfillableCapacity"),
        ("on-demand", "InsufficientInstanceCapacity"),
    }


def test_instances_of_an_instant_fleet_keep_their_tags_and_are_found_by_them_and_by_state(aws: Any) -> None:
    template = aws.make_template(
        "tagged",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "spot.platform/app", "Value": "web"}]}],
    )
    given = configs(aws)
    given[0]["LaunchTemplateSpecification"]["LaunchTemplateId"] = template
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "spot.platform/step", "Value": "7"}]}]
    aws.sandbox.post("/sandbox/launches", pending_seconds=5)
    answer = make(aws, 3, 1, "instant", LaunchTemplateConfigs=given, TagSpecifications=tags)
    ids = {i for entry in answer["Instances"] for i in entry["InstanceIds"]}

    def found(*states: str) -> dict[str, dict[str, Any]]:
        filters = [
            {"Name": "tag:spot.platform/step", "Values": ["7"]},
            {"Name": "tag:spot.platform/app", "Values": ["web"]},
            {"Name": "instance-state-name", "Values": list(states)},
        ]
        return {
            i["InstanceId"]: i
            for r in aws.ec2.describe_instances(Filters=filters)["Reservations"]
            for i in r["Instances"]
        }

    assert set(found("pending")) == ids and found("running") == {}
    aws.advance(5)
    assert set(found("running")) == ids
    taken, ended = sorted(ids, key=lambda i: found("running")[i].get("InstanceLifecycle", "") != "spot")[:2]
    aws.sandbox.post("/sandbox/interrupt", instance_ids=[taken], notice=0)
    aws.ec2.terminate_instances(InstanceIds=[ended])
    aws.advance(3590)
    reasons = {i: found("terminated")[i]["StateReason"]["Code"] for i in found("terminated")}
    assert reasons == {taken: "Server.SpotInstanceTermination", ended: "Client.UserInitiatedShutdown"}
    assert all("StateTransitionReason" in i for i in found("terminated").values())
    aws.advance(20)
    assert found("terminated") == {} and len(found("running")) == 1


def test_a_one_time_fleet_waits_for_room_but_replaces_nothing(aws: Any) -> None:
    aws.room(0)
    fleet = make(aws, 2, 0, "request")["FleetId"]
    assert active(aws, fleet) == []
    aws.room(None)
    aws.advance(61)
    assert shown(aws, fleet)["FulfilledCapacity"] == 2.0
    aws.ec2.terminate_instances(InstanceIds=active(aws, fleet)[:1])
    aws.advance(600)
    assert len(active(aws, fleet)) == 1


def test_deleting_ends_the_instances_if_told_to(aws: Any) -> None:
    ended, left = make(aws, 2, 0)["FleetId"], make(aws, 1, 0)["FleetId"]
    going, staying = active(aws, ended), active(aws, left)
    aws.ec2.delete_fleets(FleetIds=[left], TerminateInstances=False)
    answer = aws.ec2.delete_fleets(FleetIds=[ended, "fleet-0"], TerminateInstances=True)
    assert answer["SuccessfulFleetDeletions"][0]["CurrentFleetState"] == "deleted_terminating"
    assert answer["UnsuccessfulFleetDeletions"][0]["Error"]["Code"] == "fleetIdDoesNotExist"
    assert {i["State"]["Name"] for i in aws.instances(going)} == {"terminated"}
    assert {i["State"]["Name"] for i in aws.instances(staying)} == {"running"}
    assert (shown(aws, ended)["FleetState"], shown(aws, left)["FleetState"]) == ("deleted", "deleted_running")
    aws.ec2.terminate_instances(InstanceIds=staying)
    assert (active(aws, left), shown(aws, left)["FleetState"]) == ([], "deleted")


def test_a_warned_instance_is_replaced_before_it_goes(aws: Any) -> None:
    rebalance = {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 300}}
    fleet = make(aws, 2, 0, SpotOptions={"MaintenanceStrategies": rebalance})["FleetId"]
    warned = active(aws, fleet)[0]
    aws.sandbox.post("/sandbox/rebalance", instance_ids=[warned])
    assert len(active(aws, fleet)) == 3
    aws.advance(301)
    assert len(active(aws, fleet)) == 2 and warned not in active(aws, fleet)


def test_wrong_fleets_are_refused(aws: Any, refused: Any) -> None:
    assert refused(make, aws=aws, total=1, on_demand=2)[0] == "InvalidTargetCapacitySpecification"
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "app", "Value": "web"}]}]
    assert refused(make, aws=aws, total=1, on_demand=0, TagSpecifications=tags)[0] == "InvalidParameterValue"
    twice = configs(aws)
    twice[0]["Overrides"] = [{"InstanceType": "m5.large", "SubnetId": aws.subnets[0]}] * 2
    assert refused(make, aws=aws, total=1, on_demand=0, LaunchTemplateConfigs=twice)[0] == "InvalidFleetConfig"
    assert refused(aws.ec2.describe_fleets, FleetIds=["fleet-0"])[0] == "InvalidFleetId.NotFound"
    instant = make(aws, 1, 0, "instant")["FleetId"]
    assert (
        refused(aws.ec2.modify_fleet, FleetId=instant, TargetCapacitySpecification={"TotalTargetCapacity": 2})[0]
        == "InvalidFleetState"
    )


@pytest.mark.parametrize("strategy", ["lowest-price", "price-capacity-optimized", "diversified"])
def test_strategies(aws: Any, strategy: str) -> None:
    fleet = make(aws, 6, 0, SpotOptions={"AllocationStrategy": strategy})["FleetId"]
    pools = {(i["InstanceType"], i["Placement"]["AvailabilityZone"]) for i in aws.instances(active(aws, fleet))}
    assert len(pools) == (6 if strategy == "diversified" else 1)
