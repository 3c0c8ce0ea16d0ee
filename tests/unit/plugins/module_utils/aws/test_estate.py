# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's figures from what AWS answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws import estate, steered_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
CREATED = NOW - timedelta(hours=2)
PRICES = estate.Prices({("us-east-1a", "m5.large"): [(CREATED - timedelta(days=1), 0.03)]}, {"m5.large": 0.1})


def ago(**span):
    return NOW - timedelta(**span)


def member(name):
    return {
        "InstanceId": name,
        "InstanceType": "m5.large",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": "InService",
        "HealthStatus": "Healthy",
        "WeightedCapacity": "2",
    }


def known(name, launched, spot=True, ended=None):
    instance = {
        "instance_id": name,
        "instance_type": "m5.large",
        "launch_time": launched.isoformat(),
        "state": {"name": "terminated" if ended else "running"},
        "placement": {"availability_zone": "us-east-1a"},
        "state_transition_reason": f"User initiated ({ended:%Y-%m-%d %H:%M:%S} GMT)" if ended else "",
    }
    return {**instance, "instance_lifecycle": "spot"} if spot else instance


def launch(name, at, seconds=30):
    return {
        "Description": f"Launching a new EC2 instance: {name}",
        "StatusCode": "Successful",
        "StartTime": at,
        "EndTime": at + timedelta(seconds=seconds),
    }


def end(name, at):
    return {
        "Description": f"Terminating EC2 instance: {name}",
        "StatusCode": "Successful",
        "StartTime": at,
        "EndTime": at + timedelta(seconds=20),
    }


def group(*names, base=0):
    raw = {
        "AutoScalingGroupName": "sandbox-web",
        "CreatedTime": CREATED,
        "DesiredCapacity": 4,
        "MinSize": 2,
        "MaxSize": 16,
        "Instances": [member(name) for name in names],
        "MixedInstancesPolicy": {
            "InstancesDistribution": {"OnDemandBaseCapacity": base},
            "LaunchTemplate": {"Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": "2"}]},
        },
    }
    carried = {tags.APP: "web", tags.ENVIRONMENT: "sandbox", tags.TARGET: "4", tags.ON_DEMAND_BASE: "0"}
    return groups.Group(raw, {**carried, tags.UNIT: "vcpus", tags.MINIMUM: "2", tags.MAXIMUM: "8"}, "us-east-1", NOW)


A, B, C = "i-0000000a", "i-0000000b", "i-0000000c"


def test_a_fleet_that_lost_an_instance_and_was_covered():
    half = ago(minutes=30)
    facts = {
        A: known(A, CREATED),
        B: known(B, CREATED, ended=half),
        C: known(C, half + timedelta(seconds=60), spot=False),
    }
    activities = [
        launch(C, half + timedelta(seconds=60)),
        end(B, half + timedelta(seconds=40)),
        launch(B, CREATED),
        launch(A, CREATED),
    ]
    fleet = estate.figures(estate.of_group(group(A, C, base=2)), activities, facts, PRICES, ago(hours=24))
    assert (fleet["spot"], fleet["on_demand"], fleet["serving"], fleet["fallback"]) == (2, 2, 4, 2)
    assert fleet["serving_min"] == 2
    assert fleet["health"] == {"healthy": 2, "unhealthy": 0}
    assert [(pool["lifecycle"], pool["capacity"], pool["price_per_hour"]) for pool in fleet["pools"]] == [
        ("on_demand", 2, 0.1),
        ("spot", 2, 0.03),
    ]
    assert (fleet["cost_per_hour"], fleet["on_demand_cost_per_hour"], fleet["savings_percent"]) == (0.13, 0.2, 35.0)
    cost = fleet["cost"]
    assert cost["since"] == "2026-01-31T10:00:00.000Z"
    assert cost["spot_platform"] == pytest.approx(0.03 * 2 + 0.03 * 1.5 + 0.1 * 29 / 60, abs=1e-6)
    assert cost["all_on_demand"] == pytest.approx(0.1 * (2 + 1.5 + 29 / 60), abs=1e-6)
    assert 0 < cost["fallback_share"] < 0.2
    assert [(point["spot"], point["on_demand"]) for point in fleet["timeline"]] == [(0, 0), (4, 0), (2, 0), (2, 2)]


def test_the_account_begins_after_the_last_instance_that_ec2_has_forgotten():
    gone = end(B, ago(minutes=90))
    fleet = estate.figures(
        estate.of_group(group(A)), [gone, launch(A, CREATED)], {A: known(A, CREATED)}, PRICES, ago(hours=24)
    )
    assert fleet["cost"]["since"] == "2026-01-31T10:30:20.000Z"
    assert fleet["cost"]["spot_platform"] == pytest.approx(0.03 * (90 * 60 - 20) / 3600, abs=1e-6)


def test_an_instance_launched_before_the_activities_begin_serves_from_the_start():
    fleet = estate.figures(estate.of_group(group(A)), [], {A: known(A, ago(days=9))}, PRICES, ago(hours=1))
    assert [(point["time"], point["spot"]) for point in fleet["timeline"]] == [("2026-01-31T11:00:00.000Z", 2)]
    assert fleet["cost"]["since"] == "2026-01-31T11:00:00.000Z"


def test_a_target_that_was_never_reached_has_no_minimum():
    fleet = estate.figures(
        estate.of_group(group(A)), [launch(A, CREATED)], {A: known(A, CREATED)}, PRICES, ago(hours=24)
    )
    assert (fleet["serving"], fleet["serving_min"]) == (2, None)


def test_without_prices_the_figures_are_null_and_the_types_named():
    nothing = estate.Prices({}, {})
    fleet = estate.figures(
        estate.of_group(group(A)), [launch(A, CREATED)], {A: known(A, CREATED)}, nothing, ago(hours=24)
    )
    assert (fleet["cost_per_hour"], fleet["on_demand_cost_per_hour"], fleet["savings_percent"]) == (None, None, None)
    assert fleet["cost"]["unpriced"] == ["m5.large"] and fleet["cost"]["savings_percent"] is None


def test_a_region_without_prices_still_shows_its_fleets(monkeypatch):
    def denied(*_args):
        raise AwsError("cannot read the On-Demand prices in us-east-1: access denied")

    class Clients:
        def get(self, _service, _region=None):
            return None

    def of_region(_clients, region, *_args):
        if region == "eu-west-1":
            raise AwsError("cannot describe the Auto Scaling groups in eu-west-1: access denied")
        return [group(A)]

    monkeypatch.setattr(groups, "groups", of_region)
    monkeypatch.setattr(steered_fleets, "fleets", lambda *_args: [])
    monkeypatch.setattr(groups, "describe_scaling_activities", lambda *_args: [launch(A, CREATED)])
    monkeypatch.setattr(groups, "instances", lambda *_args: {A: known(A, CREATED)})
    monkeypatch.setattr(estate, "on_demand_prices", denied)
    monkeypatch.setattr(estate, "describe_spot_price_history", lambda *_args: [])
    question = estate.Question([], None, 24)
    fleets, errors = estate.observe(Clients(), ["us-east-1", "eu-west-1"], question, None)
    assert [fleet["serving"] for fleet in fleets] == [2]
    assert [error["region"] for error in errors] == ["us-east-1", "eu-west-1"]


def ec2_fleet(overrides, carried):
    return {
        "FleetId": "fleet-1",
        "FleetState": "active",
        "CreateTime": CREATED,
        "TargetCapacitySpecification": {"TotalTargetCapacity": 4, "OnDemandTargetCapacity": 1},
        "LaunchTemplateConfigs": [{"Overrides": overrides}],
        "Tags": carried,
    }


def spot_fleet(overrides, carried):
    return {
        "SpotFleetRequestId": "sfr-1",
        "SpotFleetRequestState": "active",
        "CreateTime": CREATED,
        "SpotFleetRequestConfig": {
            "Type": "maintain",
            "TargetCapacity": 4,
            "OnDemandTargetCapacity": 1,
            "LaunchTemplateConfigs": [{"Overrides": overrides}],
        },
        "Tags": carried,
    }


@pytest.mark.parametrize(
    ("kind", "item", "describe", "key"),
    [
        ("ec2_fleet", ec2_fleet, "describe_fleets", "Fleets"),
        ("spot_fleet", spot_fleet, "describe_spot_fleet_requests", "SpotFleetRequestConfigs"),
    ],
)
def test_a_fleet_is_shown_like_a_group(monkeypatch, kind, item, describe, key):
    """Those of its instances that ended lately count, those before are not remembered."""
    carried = {"Name": "sandbox-web", tags.APP: "web", tags.MANAGED_BY: "spot.platform"}
    found = item(
        [{"InstanceType": "m5.large", "WeightedCapacity": 2.0}],
        [{"Key": name, "Value": value} for name, value in carried.items()],
    )
    page = {key: [found], "ResponseMetadata": {"HTTPHeaders": {"date": NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")}}}
    monkeypatch.setattr(steered_fleets, describe, lambda _client: [page])
    (fleet,) = steered_fleets.fleets(boto3.client("ec2", "us-east-1"), kind)
    own = [known(A, CREATED), known(B, CREATED, ended=ago(minutes=30))]
    facts = {**{one["instance_id"]: one for one in own}, C: known(C, CREATED)}
    shown = estate.figures(estate.of_fleet(fleet, own), [], facts, PRICES, ago(hours=24))
    assert (shown["kind"], shown["group"], shown["target"], shown["fallback"]) == (kind, "sandbox-web", 4, 1)
    assert (shown["spot"], shown["serving_min"], shown["health"]) == (2, 2, {"healthy": 1, "unhealthy": 0})
    assert shown["cost"]["since"] == "2026-01-31T11:00:00.000Z"
    assert shown["cost"]["spot_platform"] == pytest.approx(0.03 * 1.5, abs=1e-6)
