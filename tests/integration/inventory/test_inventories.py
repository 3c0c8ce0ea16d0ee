"""Both inventories through ``ansible-inventory``, the fleet against the sandbox."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.spot.platform.tests.integration.modules import fleets

ROOT = Path(__file__).resolve().parents[3]
REGIONS = ["us-east-1", "eu-west-1"]


def run(source, env, cache_home):
    """``ansible-inventory --list`` of ``source``: the parsed output and what went to stderr."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", str(source), "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            **env,
            "HOME": str(cache_home),
            "ANSIBLE_INVENTORY_ENABLED": "spot.platform.targets,spot.platform.fleet,amazon.aws.aws_ec2",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
        },
    )
    return json.loads(done.stdout), " ".join(done.stderr.split())


def plain(value):
    """The value without ansible-inventory's marks of strings that are no templates."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if "__ansible_unsafe" in value else {k: plain(v) for k, v in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def inventory(sandbox, tmp_path):
    """``inventory(**options) -> (listing, stderr)`` of a fleet in the environment "sandbox", in two regions."""

    def listing(env=None, **options):
        source = tmp_path / "fleet.yml"
        config = {"plugin": "spot.platform.fleet", "regions": REGIONS, "environment": "sandbox", **options}
        source.write_text(yaml.safe_dump(config), encoding="utf-8")
        return run(source, sandbox.env if env is None else env, tmp_path)

    return listing


@pytest.fixture(scope="module")
def instances(sandbox):
    """Thirty instances in each of two regions."""
    for region in REGIONS:
        sandbox.post("/sandbox/instances", region=region, count=30, app="web", environment="sandbox")
    sandbox.post("/sandbox/instances", region="us-east-1", count=3, app="web", environment="other")


@pytest.fixture
def faults(sandbox):
    """``faults(rule, ...)``: what goes wrong during this test."""
    yield lambda *rules: sandbox.post("/sandbox/faults", rules=list(rules))
    sandbox.post("/sandbox/faults", rules=[])


def test_every_instance_of_the_environment_with_one_question_a_region(sandbox, instances, inventory):
    sandbox.post("/sandbox/calls/reset")
    listing, errors = inventory()
    calls = sandbox.get("/sandbox/calls")["services"]
    assert errors == ""
    assert calls["ec2"]["DescribeInstances"] == calls["autoscaling"]["DescribeAutoScalingGroups"] == len(REGIONS)
    hosts = listing["fleet"]["hosts"]
    assert len(hosts) == 60
    assert sorted(listing["app_web"]["hosts"]) == sorted(hosts)
    for region in ("us_east_1", "eu_west_1"):
        assert len(listing[f"region_{region}"]["hosts"]) == 30
    lifecycles = [set(listing[f"lifecycle_{name}"]["hosts"]) for name in ("spot", "on_demand")]
    assert lifecycles[0] and lifecycles[1] and lifecycles[0] | lifecycles[1] == set(hosts)
    variables = plain(listing["_meta"]["hostvars"])
    for host in hosts:
        assert variables[host]["price_per_hour"] or variables[host]["zone"] == "us-east-1e"  # which has no such pools
        assert variables[host]["ansible_host"]
        assert host in listing[f"zone_{variables[host]['zone'].replace('-', '_')}"]["hosts"]


def test_the_same_groups_and_variables_as_aws_ec2(sandbox, instances, inventory, tmp_path):
    constructed = {
        "filters": {"instance-state-name": "running", "tag:spot.platform/environment": "sandbox"},
        "keyed_groups": [
            {"key": "placement.availability_zone", "prefix": "az"},
            {"key": "instance_type", "prefix": "kind"},
            {"key": "tags['spot.platform/app']", "prefix": "tag"},
        ],
        "compose": {"ansible_host": "private_ip_address"},
    }
    ours, _errors = inventory(host_variables="all", **constructed)
    peer = {"plugin": "amazon.aws.aws_ec2", "regions": REGIONS, "hostnames": ["instance-id"], **constructed}
    (tmp_path / "aws_ec2.yml").write_text(yaml.safe_dump(peer), encoding="utf-8")
    theirs, _errors = run(tmp_path / "aws_ec2.yml", sandbox.env, tmp_path)

    groups = [name for name in theirs if name.startswith(("az_", "kind_", "tag_"))]
    assert len(groups) > 5
    for group in groups:
        assert sorted(ours[group]["hosts"]) == sorted(theirs[group]["hosts"])
    our_variables, their_variables = plain(ours["_meta"]["hostvars"]), plain(theirs["_meta"]["hostvars"])
    assert set(our_variables) == set(their_variables)
    for host, variables in their_variables.items():
        differing = {key for key, value in variables.items() if our_variables[host].get(key) != value}
        assert differing <= {"launch_time", "block_device_mappings", "network_interfaces"}  # these have times in them


def test_the_group_and_the_health_of_its_members(fresh, inventory):
    region, app = "us-east-1", {"spot.platform/app": "api", "spot.platform/environment": "sandbox"}
    ec2, elb, scaling = (fresh.client(service, region) for service in ("ec2", "elbv2", "autoscaling"))
    subnet = ec2.describe_subnets()["Subnets"][0]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    template = {"ImageId": image, "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName="api", LaunchTemplateData=template)
    target_group = elb.create_target_group(Name="api", Protocol="HTTP", Port=80, VpcId=subnet["VpcId"])
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="sandbox-api",
        LaunchTemplate={"LaunchTemplateName": "api", "Version": "$Latest"},
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=subnet["SubnetId"],
        TargetGroupARNs=[target_group["TargetGroups"][0]["TargetGroupArn"]],
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in app.items()],
    )
    fresh.post("/sandbox/clock", advance=600)
    listing, errors = inventory(regions=[region])
    assert errors == ""
    hosts = plain(listing["_meta"]["hostvars"]).values()
    assert [(host["autoscaling_group"], host["health"]) for host in hosts] == [("sandbox-api", "healthy")] * 2


@pytest.mark.parametrize("kind", ["ec2_fleet", "spot_fleet"])
def test_the_members_of_a_fleet_and_their_health(fresh, inventory, kind):
    elb, vpc = fresh.client("elbv2"), fresh.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elb.create_target_group(Name="work", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    fleets.make(fresh, kind, target_groups=[arn] if kind == "spot_fleet" else None)
    fresh.post("/sandbox/calls/reset")
    listing, errors = inventory(regions=["us-east-1"])
    assert errors == ""
    hosts = plain(listing["_meta"]["hostvars"])
    assert [(host["autoscaling_group"], host["health"]) for host in hosts.values()] == [(None, "healthy")] * 4
    assert sorted(listing["app_work"]["hosts"]) == sorted(listing["health_healthy"]["hosts"]) == sorted(hosts)
    calls = fresh.get("/sandbox/calls")["services"]
    asked = {name: count for names in calls.values() for name, count in names.items() if re.search("Fleet|Target", name)}
    assert asked == {
        "ec2_fleet": {"DescribeFleetInstances": 1},
        "spot_fleet": {"DescribeSpotFleetInstances": 1, "DescribeSpotFleetRequests": 1, "DescribeTargetHealth": 1},
    }[kind]


def test_a_region_that_is_denied(sandbox, instances, inventory, faults):
    sandbox.post("/sandbox/instances", region="eu-west-1", count=5, app="web", environment="sandbox")
    faults({"service": "ec2", "operation": "DescribeInstances", "rate": 1, "kind": "denied"})
    listing, errors = inventory()
    assert "fleet" not in listing
    assert "cannot list the instances in us-east-1: access denied; allow the IAM action ec2:DescribeInstances" in errors
    listing, errors = inventory(strict_regions=False)
    assert "hosts" not in listing.get("fleet", {})
    assert "The inventory lacks a region: cannot list the instances in eu-west-1" in errors


def test_throttled_and_complete(sandbox, inventory, faults):
    sandbox.post("/sandbox/instances", region="us-east-1", count=20, app="batch", environment="sandbox")
    faults(*({"service": name, "rate": 0.3, "kind": "throttle"} for name in ("ec2", "autoscaling")))
    listing, errors = inventory(apps=["batch"])
    assert errors == ""
    assert len(listing["app_batch"]["hosts"]) == 20


def test_what_is_cached_is_not_asked_again(sandbox, inventory, tmp_path):
    sandbox.post("/sandbox/instances", region="us-east-1", count=5, app="cached", environment="sandbox")
    options = {
        "apps": ["cached"],
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
        "cache_timeout": 600,
    }
    first, _errors = inventory(**options)
    sandbox.post("/sandbox/calls/reset")
    assert inventory(**options)[0] == first
    assert sandbox.get("/sandbox/calls")["total"] == 0
    assert len(first["app_cached"]["hosts"]) == 5


def test_out_of_reach_or_without_credentials_it_says_so_soon(sandbox, inventory):
    began = time.monotonic()
    _listing, errors = inventory(env={**sandbox.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert "http://127.0.0.1:9 cannot be reached" in errors
    assert time.monotonic() - began < 60  # ten attempts with their back-off take minutes
    _listing, errors = inventory(env={"AWS_EC2_METADATA_DISABLED": "true"})
    assert "there are no AWS credentials; set AWS_ACCESS_KEY_ID" in errors


def test_two_instances_of_one_name(sandbox, instances, inventory):
    _listing, errors = inventory(hostnames=["name"])
    assert "would both be named sandbox-" in errors


def test_the_targets_of_a_folder(tmp_path):
    folder = tmp_path / "staging"
    (folder / "apps").mkdir(parents=True)
    (folder / "targets.spot.yml").write_text("plugin: spot.platform.targets\n", encoding="utf-8")
    (folder / "apps" / "web.yml").write_text("name: web\nregions: [us-east-1]\n", encoding="utf-8")
    (folder / "apps" / "bad.yml").write_text("name: [\n", encoding="utf-8")
    listing, errors = run(folder, {}, tmp_path)
    assert errors == ""  # the manifests are not read as inventories
    assert sorted(listing["targets"]["hosts"]) == ["bad.yml@error", "web@us-east-1"]
    assert listing["networks"]["hosts"] == ["network@us-east-1"]
    variables = plain(listing["_meta"]["hostvars"])
    assert variables["web@us-east-1"]["app_environment"] == "staging"
    assert variables["web@us-east-1"]["ansible_connection"] == "local"
    assert "bad.yml: line " in variables["bad.yml@error"]["app_error"]
