# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""waste_info against the sandbox: what is wasted is found, what is used is not, and its commands mend it."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta, timezone

import pytest

REGION, OTHER = "us-east-1", "eu-west-1"
APP, ENVIRONMENT = "spot.platform/app", "spot.platform/environment"


@pytest.fixture
def waste(fresh, run_module, tmp_path):
    def look(**options):
        given = {"regions": [REGION], "cache_dir": str(tmp_path), "volume_days": 0, "snapshot_days": 0, **options}
        return run_module("waste_info", given)

    return look


def of(found, kind):
    return [one for one in found["findings"] if one["kind"] == kind]


def tagged(kind, **more):
    tags = {APP: "shop", ENVIRONMENT: "production", **more}
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def subnets(ec2, count=2):
    return [one["SubnetId"] for one in sorted(ec2.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])[:count]]


def image(sandbox):
    name = "/aws/service/debian/release/12/latest/amd64"
    return sandbox.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]


def run(sandbox, kind="m5.2xlarge", tags=None):
    ec2 = sandbox.client("ec2", REGION)
    given = {"ImageId": image(sandbox), "InstanceType": kind, "MinCount": 1, "MaxCount": 1, "SubnetId": subnets(ec2)[0]}
    return ec2.run_instances(**given, TagSpecifications=tags or tagged("instance"))["Instances"][0]["InstanceId"]


def load(sandbox, name, percent):
    """CPU utilisation in the last two days, as EC2 reports it."""
    now = datetime.now(timezone.utc)
    data = [
        {
            "MetricName": "CPUUtilization",
            "Dimensions": [{"Name": "InstanceId", "Value": name}],
            "Timestamp": now - timedelta(minutes=30 * number),
            "Value": percent,
        }
        for number in range(96)
    ]
    client = sandbox.client("cloudwatch", REGION)
    for start in range(0, len(data), 20):
        client.put_metric_data(Namespace="AWS/EC2", MetricData=data[start : start + 20])


def test_nothing_is_wasted_where_there_is_nothing(waste):
    found = waste(regions=[REGION, OTHER])
    assert (found["findings"], found["usd_month"], found["errors"], found["changed"]) == ([], 0.0, [], False)


def test_volumes_addresses_and_snapshots_are_found_in_all_regions_and_add_up(fresh, waste):
    for region in (REGION, OTHER):
        ec2 = fresh.client("ec2", region)
        volume = ec2.create_volume(AvailabilityZone=f"{region}a", Size=100, VolumeType="gp3", TagSpecifications=tagged("volume"))["VolumeId"]
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged("snapshot"))
        ec2.allocate_address(Domain="vpc")
    found = waste(regions=[REGION, OTHER])
    assert len(found["findings"]) == 6 and found["usd_month"] == pytest.approx(2 * (8 + 5 + 3.65))
    assert round(sum(one["usd_month"] for one in found["findings"]), 6) == found["usd_month"]
    assert {one["region"] for one in of(found, "volume.unattached")} == {REGION, OTHER}
    assert {one["app"] for one in of(found, "snapshot.old")} == {"shop"} and {one["app"] for one in of(found, "address.unattached")} == {None}
    assert all(one["basis"] == "estimated" for one in found["findings"])
    assert [one["usd_month"] for one in found["findings"]] == sorted((one["usd_month"] for one in found["findings"]), reverse=True)
    assert {one["kind"] for one in waste(app="shop", min_usd=6)["findings"]} == {"volume.unattached"}
    assert waste(environment="staging")["findings"] == []
    assert waste(volume_days=7, snapshot_days=90, kinds=["volume.unattached", "snapshot.old"])["findings"] == []


def test_what_is_used_or_to_be_deleted_anyhow_is_not_waste(fresh, waste):
    ec2 = fresh.client("ec2", REGION)
    instance = run(fresh)
    zone = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
    used = ec2.create_volume(AvailabilityZone=zone, Size=10, VolumeType="gp3")["VolumeId"]
    ec2.attach_volume(VolumeId=used, InstanceId=instance, Device="/dev/sdf")
    due = tagged("volume", **{"spot.platform/delete-after": "2026-01-31"})
    ec2.create_volume(AvailabilityZone=zone, Size=10, VolumeType="gp3", TagSpecifications=due)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=instance)
    needed = ec2.create_image(InstanceId=instance, Name="copy")["ImageId"]
    assert ec2.describe_images(ImageIds=[needed])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert waste()["findings"] == []


def test_the_command_makes_gp3_of_gp2(fresh, waste):
    ec2 = fresh.client("ec2", REGION)
    instance = run(fresh)
    zone = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=2000, VolumeType="gp2")["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    (found,) = of(waste(), "volume.gp2")
    assert found["usd_month"] == pytest.approx(20)
    words = shlex.split(found["command"])
    assert words[:3] == ["aws", "ec2", "modify-volume"] and words[words.index("--volume-id") + 1] == volume
    given = dict(zip(words[3::2], words[4::2]))
    ec2.modify_volume(
        VolumeId=given["--volume-id"],
        VolumeType=given["--volume-type"],
        Iops=int(given["--iops"]),
        Throughput=int(given["--throughput"]),
    )
    fresh.post("/sandbox/clock", advance=10)
    assert of(waste(), "volume.gp2") == []


def test_a_load_balancer_without_targets_is_found_and_one_that_redirects_is_not(fresh, waste):
    ec2, elb = fresh.client("ec2", REGION), fresh.client("elbv2", REGION)
    vpc = ec2.describe_subnets(SubnetIds=subnets(ec2)[:1])["Subnets"][0]["VpcId"]
    arns = {}
    for name in ("idle", "busy", "redirects"):
        made = elb.create_load_balancer(Name=name, Subnets=subnets(ec2), Tags=[{"Key": APP, "Value": "shop"}])["LoadBalancers"][0]
        arns[name] = made["LoadBalancerArn"]
    for name in ("idle", "busy"):
        group = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
        action = [{"Type": "forward", "TargetGroupArn": group}]
        elb.create_listener(LoadBalancerArn=arns[name], Protocol="HTTP", Port=80, DefaultActions=action)
        if name == "busy":
            elb.register_targets(TargetGroupArn=group, Targets=[{"Id": run(fresh, "m5.large")}])
    redirect = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}]
    elb.create_listener(LoadBalancerArn=arns["redirects"], Protocol="HTTP", Port=80, DefaultActions=redirect)
    assert of(waste(), "balancer.idle") == [], "none is a day old"
    fresh.post("/sandbox/clock", advance=2 * 86400)
    (found,) = of(waste(), "balancer.idle")
    assert (found["resource"], found["app"], found["usd_month"]) == ("idle", "shop", 16.425)
    words = shlex.split(found["command"])
    elb.delete_load_balancer(LoadBalancerArn=words[words.index("--load-balancer-arn") + 1])
    assert of(waste(), "balancer.idle") == []


def test_an_instance_with_nothing_to_do_is_over_sized_and_a_busy_one_and_a_member_are_not(fresh, waste):
    idle, busy = run(fresh), run(fresh)
    member = run(fresh, tags=tagged("instance", **{"spot.platform/group": "production-shop"}))
    for name, percent in ((idle, 5.0), (busy, 60.0), (member, 5.0)):
        load(fresh, name, percent)
    (found,) = of(waste(), "instance.oversized")
    assert found["resource"] == idle and "--instance-type Value=m5.xlarge" in found["command"]
    pools = fresh.get("/sandbox/market", region=REGION, zone=f"{REGION}a", instance_type="m5.xlarge")["pools"]
    assert found["usd_month"] == pytest.approx(pools[0]["on_demand_price"] * 730, rel=0.01)
    assert of(waste(cpu_percent=4), "instance.oversized") == []


def test_what_cannot_be_read_is_named_and_the_rest_is_there(fresh, waste):
    for region in (REGION, OTHER):
        ec2 = fresh.client("ec2", region)
        ec2.create_volume(AvailabilityZone=f"{region}a", Size=100, VolumeType="gp3")
        ec2.allocate_address(Domain="vpc")
    rules = [{"kind": "denied", "operation": "DescribeVolumes", "region": OTHER}, {"kind": "denied", "service": "elbv2"}]
    fresh.post("/sandbox/faults", rules=rules)
    found = waste(regions=[REGION, OTHER])
    assert [(one["kind"], one["region"]) for one in found["findings"]] == [
        ("volume.unattached", REGION),
        ("address.unattached", OTHER),
        ("address.unattached", REGION),
    ]
    assert [(one["region"], one["missing"]) for one in found["errors"]] == [
        (OTHER, "balancer.idle"),
        (OTHER, "volume.unattached, volume.gp2"),
        (REGION, "balancer.idle"),
    ]
    assert "allow the IAM action ec2:DescribeVolumes" in found["errors"][1]["message"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"volume_days": -1}, "volume_days is -1: it must be 0 or more"),
        ({"cpu_percent": 0}, "cpu_percent is 0: it must be above 0 and 50 at most"),
        ({"cpu_days": 0}, "cpu_days is 0: it must be 1 to 60"),
        ({"min_usd": -0.5}, "min_usd is -0.5: it must be 0 or more"),
        ({"kinds": ["lambda"]}, "value of kinds must be one or more of"),
    ],
)
def test_input_that_cannot_be_is_refused(waste, wrong, message):
    refused = waste(**wrong)
    assert refused["failed"] and message in refused["msg"]
