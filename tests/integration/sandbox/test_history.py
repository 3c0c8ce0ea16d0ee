# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox tells what happened: lives and prices of instances, what of a group served when, and a start of one's own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

START = datetime(2026, 1, 5, tzinfo=timezone.utc)


@pytest.fixture
def still(fresh: Any) -> Any:
    """The sandbox with a clock that is only stepped."""
    fresh.post("/sandbox/clock", speed=0)
    return fresh


def make_group(sandbox: Any, spot: int) -> None:
    ec2, autoscaling = sandbox.client("ec2"), sandbox.client("autoscaling")
    image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image, "InstanceType": "m5.large"})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        MinSize=0,
        MaxSize=9,
        DesiredCapacity=spot + 1,
        AvailabilityZones=["us-east-1a"],
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "web"},
                "Overrides": [{"InstanceType": "m5.large"}],
            },
            "InstancesDistribution": {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0},
        },
        Tags=[{"Key": "spot.platform/target", "Value": "3", "PropagateAtLaunch": False}],
    )


def test_what_served_is_told_at_each_change(still: Any) -> None:
    begun = still.get("/sandbox/clock")["epoch"]
    make_group(still, spot=2)
    still.post("/sandbox/clock", advance=100)
    still.post("/sandbox/capacity", region="us-east-1", room=0)
    still.post("/sandbox/clock", advance=200)
    (group,) = still.get("/sandbox/history")["groups"]
    rows = [[round(row[0] - begun), *row[1:]] for row in group["rows"]]
    assert (group["name"], rows) == ("web", [[0, 3, 0, 0], [30, 3, 2, 1], [220, 3, 0, 1]])


def test_lives_and_notices_are_told(still: Any) -> None:
    make_group(still, spot=1)
    still.post("/sandbox/clock", advance=3600)
    still.post("/sandbox/capacity", region="us-east-1", room=0)
    (warned,) = still.get("/sandbox/notices")["instances"]
    still.post("/sandbox/clock", advance=2 * 3600)
    assert still.get("/sandbox/notices")["instances"] == []
    lives = {one["lifecycle"]: one for one in still.get("/sandbox/history")["instances"]}
    spot, on_demand = lives["spot"], lives["on_demand"]
    assert spot["id"] == warned["id"] and spot["group"] == on_demand["group"] == "web"
    assert spot["ended"] - spot["warned"] == pytest.approx(120) and spot["warned"] - spot["launched"] == pytest.approx(3600)
    assert spot["cause"] == "spot"
    assert on_demand["ended"] is None


def test_an_instance_costs_what_its_pool_did(still: Any) -> None:
    make_group(still, spot=1)
    prices = {one["zone"]: one for one in still.get("/sandbox/market", region="us-east-1", instance_type="m5.large")["pools"]}
    still.post("/sandbox/clock", advance=600)
    costs = {one["lifecycle"]: one["cost"] for one in still.get("/sandbox/history")["instances"]}
    assert costs["on_demand"] == pytest.approx(prices["us-east-1a"]["on_demand_price"] / 6, abs=2e-6)
    assert 0.8 * prices["us-east-1a"]["spot_price"] / 6 < costs["spot"] < 1.2 * prices["us-east-1a"]["spot_price"] / 6


def test_values_of_a_metric_are_found_by_their_period(fresh: Any) -> None:
    cloudwatch = fresh.client("cloudwatch")
    pairs = [{"Name": "App", "Value": "web"}]
    moments = [(0, 1.0), (30, 3.0), (60, 5.0), (200, 7.0)]
    cloudwatch.put_metric_data(
        Namespace="Test",
        MetricData=[
            {"MetricName": "Load", "Dimensions": pairs, "Timestamp": START + timedelta(seconds=at), "Value": value}
            for at, value in moments
        ],
    )
    metric = {"Namespace": "Test", "MetricName": "Load", "Dimensions": pairs}
    (found,) = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}],
        StartTime=START,
        EndTime=START + timedelta(seconds=180),
        ScanBy="TimestampAscending",
    )["MetricDataResults"]
    assert found["Values"] == [2.0, 5.0]
    assert found["Timestamps"] == [START, START + timedelta(seconds=60)]
