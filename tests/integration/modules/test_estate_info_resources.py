# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""estate_info against the sandbox: all kinds of resources, whose they are, how they are, and what cannot be read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import NAMES
from ansible_collections.spot.platform.plugins.modules import estate_info
from ansible_collections.spot.platform.tests.integration.modules import estates, fleets
from ansible_collections.spot.platform.tests.integration.modules.groups import make
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BOTH = ["us-east-1", "eu-west-1"]
HASTY = {"retries": {"mode": "standard", "max_attempts": 2}}
"""Gives up soon: the tests do not wait for what does not answer."""


@pytest.fixture
def estate(run_module, tmp_path):
    """Run the module for resources, with a cache of the test's own."""

    def run(**options):
        given = {"cache_dir": str(tmp_path), "regions": ["us-east-1"], "gather": ["resources"], **options}
        return run_module("estate_info", given)

    return run


def ids(found, kind):
    return [one["id"] for one in found["resources"] if one["kind"] == kind]


def only(found, kind, **wanted):
    """The one resource of a kind that is as wanted."""
    rows = [row for row in found["resources"] if row["kind"] == kind and wanted.items() <= row.items()]
    assert len(rows) == 1, rows
    return rows[0]


def volumes(sandbox, count, **tags):
    ec2 = sandbox.client("ec2")
    for _each in range(count):
        ec2.create_volume(
            AvailabilityZone="us-east-1a",
            Size=1,
            VolumeType="gp3",
            TagSpecifications=estates.specified("volume", {**estates.tags(), **tags}),
        )


def test_every_kind_is_found_with_no_call_that_is_not_documented(sandbox, fresh, estate):
    made = estates.build(sandbox)
    fleets.make(sandbox, "ec2_fleet", app="crawler")
    fleets.make(sandbox, "spot_fleet", app="miner")
    sandbox.post("/sandbox/calls/reset")
    found = estate(gather=["resources", "instances", "certificates", "quotas"])
    assert not found.get("failed") and found["errors"] == [], found
    assert {row["kind"] for row in found["resources"]} == set(NAMES)
    assert {kind: name for kind, name in made.items() if name not in ids(found, kind)} == {}
    assert all(row["app"] for row in found["resources"] if row["kind"] != "image")
    assert all(row["arn"] for row in found["resources"])
    assert all(row["health"] in ("ok", "warning") for row in found["resources"]), found["resources"]
    assert estates.made_calls(sandbox) <= estates.documented(estate_info.DOCUMENTATION)
    shop = next(one for one in found["by_app"] if one["app"] == "shop")
    assert shop["regions"] == ["us-east-1"] and shop["kinds"]["queue"] == 2 and shop["health"]["warning"] == 2


def test_what_is_not_ours_is_left_out_unless_it_is_asked_for(sandbox, fresh, estate):
    made = estates.build(sandbox, own={}, prefix="theirs")
    assert estate()["resources"] == [] and estate()["by_app"] == []
    found = estate(all=True)
    assert {kind for kind, name in made.items() if name not in ids(found, kind)} == set()
    assert only(found, "bucket")["app"] is None
    assert found["by_app"][-1]["app"] is None


def test_apps_environments_and_kinds_narrow(sandbox, fresh, estate):
    estates.build(sandbox)
    volumes(sandbox, 1, **{"spot.platform/app": "blog", "spot.platform/environment": "test"})
    assert {row["app"] for row in estate(apps=["shop"])["resources"]} == {"shop"}
    (volume,) = estate(environment="test")["resources"]
    assert (volume["app"], volume["environment"]) == ("blog", "test")
    sandbox.post("/sandbox/calls/reset")
    assert {row["kind"] for row in estate(kinds=["volume", "queue"])["resources"]} == {"volume", "queue"}
    assert "rds" not in sandbox.get("/sandbox/calls")["services"]


def test_nothing_is_there(sandbox, fresh, estate):
    found = estate(regions=BOTH, gather=["resources", "instances", "certificates", "quotas"])
    assert (found["resources"], found["instances"], found["certificates"], found["errors"]) == ([], [], [], [])
    assert found["quotas"] and all(quota["health"] == "ok" for quota in found["quotas"])
    assert "fleets" not in found


def test_without_one_permission_that_kind_is_named_and_the_rest_is_there(sandbox, fresh, estate):
    estates.build(sandbox)
    rules = [
        {"service": "rds", "operation": "DescribeDBInstances", "kind": "denied"},
        {"service": "elbv2", "operation": "DescribeTargetHealth", "kind": "denied"},
    ]
    sandbox.post("/sandbox/faults", rules=rules)
    found = estate()
    assert {(error["what"], error["action"]) for error in found["errors"]} == {
        ("database", "rds:DescribeDBInstances"),
        ("details of target_group", "elasticloadbalancing:DescribeTargetHealth"),
    }
    assert all(error["region"] == "us-east-1" and error["action"] in error["message"] for error in found["errors"])
    assert {row["kind"] for row in found["resources"]} == set(NAMES) - {"database", "fleet", "spot_fleet"}
    assert only(found, "target_group")["health"] == "unknown"
    assert "rds:DescribeDBInstances" in str(found["warnings"])


def test_without_the_tags_it_is_said_which_kinds_cannot_be_told_apart(sandbox, fresh, estate):
    estates.build(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"operation": "GetResources", "kind": "denied"}])
    found = estate()
    (error,) = found["errors"]
    assert error["action"] == "tag:GetResources" and "queue" in error["what"] and "volume" not in error["what"]
    assert ids(found, "volume") and not ids(found, "queue")
    assert ids(estate(all=True), "queue")


def test_a_region_that_does_not_answer_is_one_error(sandbox, fresh, estate):
    estates.build(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"region": "eu-west-1", "kind": "timeout", "seconds": 0}])
    found = estate(regions=BOTH, aws_config=HASTY)
    (error,) = found["errors"]
    assert error["region"] == "eu-west-1" and "volume" in error["what"] and error["action"] is None
    assert {row["region"] for row in found["resources"]} == {"us-east-1"} and ids(found, "queue")


def test_where_nothing_can_be_read_the_task_fails(sandbox, fresh, estate):
    sandbox.post("/sandbox/faults", rules=[{"kind": "timeout", "seconds": 0}])
    found = estate(aws_config=HASTY)
    assert found["failed"] and "nothing could be read" in found["msg"] and found["errors"]


def test_credentials_that_have_expired_are_one_error(sandbox, fresh, estate):
    sandbox.post("/sandbox/faults", rules=[{"kind": "expired"}])
    found = estate()
    assert found["failed"] and "have expired" in found["msg"] and len(found["errors"]) == 1


def test_throttling_costs_time_and_loses_nothing(sandbox, fresh, estate):
    estates.build(sandbox)
    whole = estate()
    sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.2}])
    found = estate()
    assert found["errors"] == [] and found["resources"] == whole["resources"]


def test_1200_volumes_come_over_pages(sandbox, fresh, estate):
    volumes(sandbox, 1200)
    sandbox.post("/sandbox/calls/reset")
    found = estate(kinds=["volume"])
    assert len(set(ids(found, "volume"))) == 1200
    assert sandbox.get("/sandbox/calls")["services"]["ec2"]["DescribeVolumes"] == 2


def test_hostile_tags_are_data(sandbox, fresh, estate):
    hostile = ["{{ lookup('pipe', 'id') }}", "'; DROP TABLE apps; --", "<script>alert(1)</script>", "é\u202e𝔸 \\n"]
    for text in hostile:
        volumes(sandbox, 1, **{"spot.platform/app": text, "Name": text})
    found = estate(kinds=["volume"])
    assert {(row["app"], row["name"]) for row in found["resources"]} == {(text, text) for text in hostile}
    assert [one["app"] for one in found["by_app"]] == sorted(hostile)


def test_a_fleet_its_instances_and_their_health(sandbox, fresh, estate):
    make(sandbox)
    balancing = sandbox.client("elbv2")
    vpc = sandbox.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
    arn = balancing.create_target_group(
        Name="web",
        Protocol="HTTP",
        Port=80,
        VpcId=vpc,
        Tags=estates.listed(estates.tags("web", "sandbox")),
    )["TargetGroups"][0]["TargetGroupArn"]
    scaling = sandbox.client("autoscaling")
    scaling.attach_load_balancer_target_groups(AutoScalingGroupName="sandbox-web", TargetGroupARNs=[arn])
    members = [one["InstanceId"] for one in scaling.describe_auto_scaling_instances()["AutoScalingInstances"]]
    sandbox.post("/sandbox/clock", advance=60)
    sandbox.post("/sandbox/targets", region="us-east-1", target_group=arn, ids=members[:1], state="unhealthy")
    sandbox.post("/sandbox/checks", instance_ids=members[1:2], instance="impaired")
    found = estate(gather=["instances", "resources"])
    by_id = {one["id"]: one for one in found["instances"]}
    assert set(by_id) == set(members)
    assert {one["group"] for one in by_id.values()} == {"sandbox-web"}
    assert {one["os_user"] for one in by_id.values()} == {"admin"}
    assert {one["lifecycle"] for one in by_id.values()} == {"spot", "on_demand"}
    assert all(one["price_per_hour"] > 0 for one in by_id.values())
    assert (by_id[members[0]]["health"], by_id[members[1]]["health"]) == ("unhealthy", "unhealthy")
    assert "status check" in by_id[members[1]]["health_reason"] and "target group" in by_id[members[0]]["health_reason"]
    assert {by_id[one]["health"] for one in members[2:]} == {"healthy"}
    assert only(found, "instance", id=members[0])["health"] == "problem"
    assert "3 healthy, 1 unhealthy" in only(found, "target_group")["note"]
    assert only(found, "instance", id=members[2])["usd_per_month"] > 0


def test_dead_letters_are_a_problem(sandbox, fresh, estate):
    estates.build(sandbox)
    queues = sandbox.client("sqs")
    queues.send_message(QueueUrl=queues.get_queue_url(QueueName="shop-dead")["QueueUrl"], MessageBody="lost")
    found = estate(kinds=["queue"])
    assert only(found, "queue", id="shop-dead")["note"] == "1 messages could not be handled"
    assert only(found, "queue", id="shop")["details"]["dead_letters_to"].endswith(":shop-dead")


def test_quotas_are_counted_over_the_whole_account_and_warn(sandbox, fresh, estate):
    make(sandbox)
    for code, value in (("L-34B43A08", 7), ("L-1216C47A", 9), ("L-0263D0A3", 100)):
        sandbox.post("/sandbox/quotas", region="us-east-1", code=code, value=value)
    found = estate(gather=["quotas"], apps=["another"])
    spot, *_others = found["quotas"]
    assert (spot["code"], spot["used"], spot["limit"], spot["share"]) == ("L-34B43A08", 6, 7, 0.8571)
    assert spot["health"] == "warning" and "L-34B43A08 in us-east-1" in spot["note"]
    on_demand = next(one for one in found["quotas"] if one["code"] == "L-1216C47A")
    assert (on_demand["used"], on_demand["health"]) == (2, "ok")
    assert "On-Demand to stand in for all Spot" not in on_demand["note"]
    sandbox.post("/sandbox/quotas", region="us-east-1", code="L-1216C47A", value=7)
    on_demand = next(one for one in estate(gather=["quotas"])["quotas"] if one["code"] == "L-1216C47A")
    assert "On-Demand to stand in for all Spot" in on_demand["note"]
    groups = next(one for one in found["quotas"] if one["code"] == "L-CDE20ADC")
    assert (groups["used"], groups["limit"]) == (1, 500), "AWS's default where there is no applied value"
    assert "resources" not in found


def test_a_quota_whose_use_cannot_be_counted_is_not_shown(sandbox, fresh, estate):
    sandbox.post("/sandbox/faults", rules=[{"operation": "DescribeVolumes", "kind": "denied"}])
    found = estate(gather=["quotas"])
    assert not [one for one in found["quotas"] if "volumes" in one["name"]]
    assert [error["what"] for error in found["errors"]] == ["volume"]


def test_certificates_with_the_days_that_are_left(sandbox, fresh, estate):
    estates.build(sandbox)
    (certificate,) = estate(gather=["certificates"])["certificates"]
    assert certificate["name"] == "shop.example.com" and 360 < certificate["days_left"] < 400
    assert (certificate["app"], certificate["health"], certificate["in_use"]) == ("shop", "ok", False)


def short_lived(days):
    """A certificate of our own that ends after so many days, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old.example.com")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days, hours=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def test_a_certificate_that_ends_soon_is_looked_at_closely_and_comes_first(sandbox, fresh, estate):
    estates.build(sandbox)
    certificate, key = short_lived(20)
    acm = sandbox.client("acm")
    acm.import_certificate(Certificate=certificate, PrivateKey=key, Tags=estates.listed(estates.tags()))
    sandbox.post("/sandbox/calls/reset")
    first, second = estate(gather=["certificates"])["certificates"]
    assert (first["name"], first["health"], first["note"]) == ("old.example.com", "warning", "expires in 20 days")
    assert second["days_left"] > 300
    assert sandbox.get("/sandbox/calls")["services"]["acm"] == {"ListCertificates": 1, "DescribeCertificate": 1}


def test_bad_input_is_refused(sandbox, fresh, estate):
    assert "gather" in estate(gather=["gossip"])["msg"]
    assert "kinds" in estate(kinds=["unicorn"])["msg"]
