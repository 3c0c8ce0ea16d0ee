"""The sandbox's command line and its control interface."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

SANDBOX = Path(__file__).resolve().parents[2] / "sandbox"


def test_health_names_what_is_served(fresh):
    health = fresh.get("/sandbox/health")
    assert health["status"] == "ok"
    assert health["speed"] == 1.0
    assert "us-east-1" in health["regions"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--regions", "us-east-9"], "region us-east-9 is not in the market"),
        (["--port", "70000"], "port 70000 is out of range"),
        (["--speed", "-1"], "speed -1.0 is out of range"),
        (["--seed", "many"], "invalid int value"),
        (["--days-ago", "-1"], "days-ago -1.0 is out of range"),
        (["--days-ago", "1", "--start", "2026-01-05T00:00:00+00:00"], "not allowed with argument"),
    ],
)
def test_bad_arguments_are_clear_errors(sandbox, arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "spot_sandbox", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SANDBOX)},
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_a_clear_error(sandbox):
    done = subprocess.run(
        [sys.executable, "-m", "spot_sandbox", "--port", sandbox.url.rpartition(":")[2]],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SANDBOX)},
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "cannot be used" in done.stderr and "--port" in done.stderr


def test_it_starts_as_many_days_ago_as_asked_and_goes_back_there_on_a_reset():
    process = subprocess.Popen(
        [sys.executable, "-m", "spot_sandbox", "--port", "0", "--regions", "us-east-1", "--days-ago", "30"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SANDBOX)},
    )
    try:
        url = process.stdout.readline().split()[1]

        def ago(path, **body):
            request = urllib.request.Request(url + path, json.dumps(body).encode() if body else None)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return (time.time() - datetime.fromisoformat(json.load(answer)["time"]).timestamp()) / 86400

        assert ago("/sandbox/clock") == pytest.approx(30, abs=0.01)
        assert ago("/sandbox/clock", advance=29 * 86400) == pytest.approx(1, abs=0.01)
        with urllib.request.urlopen(urllib.request.Request(url + "/sandbox/reset", b"{}"), timeout=10) as answer:
            assert answer.status == 200
        assert ago("/sandbox/health") == pytest.approx(30, abs=0.01)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_it_ends_cleanly_when_told_to():
    process = subprocess.Popen(
        [sys.executable, "-m", "spot_sandbox", "--port", "0", "--regions", "us-east-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SANDBOX)},
    )
    assert "ready" in process.stdout.readline()
    process.terminate()
    _output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/sandbox/capacity", {}, "room is missing"),
        ("/sandbox/capacity", {"room": -1}, "room -1"),
        ("/sandbox/capacity", {"room": True}, "room True"),
        ("/sandbox/capacity", {"room": 1, "lifecycle": "reserved"}, "use spot or on_demand"),
        ("/sandbox/capacity", {"room": 1, "region": "us-east-9"}, "region 'us-east-9' is not served"),
        ("/sandbox/capacity", {"room": 1, "zone": "us-east-1z"}, "zone 'us-east-1z' is not in"),
        ("/sandbox/capacity", {"room": 1, "instance_type": "m5.huge"}, "instance type 'm5.huge'"),
        ("/sandbox/capacity", {"room": 1, "zones": []}, "unknown key 'zones'"),
        ("/sandbox/clock", {"advance": -1}, "cannot advance by -1"),
        ("/sandbox/clock", {"speed": "fast"}, "speed must be a number"),
        ("/sandbox/faults", {}, "rules must be a list"),
        ("/sandbox/faults", {"rules": [{"kind": "flood"}]}, "kind 'flood' is not known"),
        ("/sandbox/faults", {"rules": [{"kind": "throttle", "rate": 2}]}, "rate 2 is out of range"),
        ("/sandbox/faults", {"rules": [{"kind": "throttle", "rates": 1}]}, "unknown key 'rates'"),
        ("/sandbox/nothing", {}, "is not known here"),
    ],
)
def test_bad_input_is_refused_with_its_reason(fresh, path, body, message):
    with pytest.raises(ValueError, match="^") as refused:
        fresh.post(path, **body)
    assert message in str(refused.value)


def test_room_is_set_for_a_pool_a_zone_and_a_region_and_given_back(fresh):
    def room(zone="us-east-1a", kind="m5.large", lifecycle="spot"):
        pools = fresh.get("/sandbox/market", region="us-east-1", zone=zone, instance_type=kind)["pools"]
        return pools[0][lifecycle]["room"]

    own = {zone: room(zone) for zone in ("us-east-1a", "us-east-1b")}
    assert min(own.values()) > 1
    fresh.post("/sandbox/capacity", region="us-east-1", zone="us-east-1a", instance_type="m5.large", room=1)
    assert (room(), room("us-east-1b"), room(lifecycle="on_demand")) == (1, own["us-east-1b"], 1000)
    fresh.post("/sandbox/capacity", region="us-east-1", zone="us-east-1a", room=0)
    assert (room(), room("us-east-1b")) == (0, own["us-east-1b"])
    fresh.post("/sandbox/capacity", region="us-east-1", room=0)
    assert room("us-east-1b") == 0
    fresh.post("/sandbox/capacity", region="us-east-1", zone="us-east-1b", room=None)
    assert (room("us-east-1b"), room()) == (own["us-east-1b"], 0)
    fresh.post("/sandbox/capacity", room=None)
    assert {zone: room(zone) for zone in own} == own
    assert fresh.get("/sandbox/capacity")["rules"] == []


def test_calls_are_counted_by_service_and_operation(fresh):
    fresh.client("ec2").describe_vpcs()
    fresh.client("ec2").describe_vpcs()
    fresh.client("elbv2").describe_load_balancers()
    fresh.client("ssm").describe_parameters()
    assert fresh.get("/sandbox/calls") == {
        "total": 4,
        "services": {
            "ec2": {"DescribeVpcs": 2},
            "elbv2": {"DescribeLoadBalancers": 1},
            "ssm": {"DescribeParameters": 1},
        },
    }
    assert fresh.post("/sandbox/calls/reset") == {"total": 0, "services": {}}


def test_a_reset_forgets_resources_rules_and_time(fresh):
    ec2 = fresh.client("ec2")
    made = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    fresh.post("/sandbox/faults", rules=[{"kind": "throttle", "service": "iam"}])
    fresh.post("/sandbox/capacity", room=0)
    fresh.post("/sandbox/clock", advance=86400, speed=10)
    fresh.post("/sandbox/reset")
    assert made not in [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]]
    assert fresh.get("/sandbox/faults") == {"rules": []}
    assert fresh.get("/sandbox/capacity")["rules"] == []
    assert abs(fresh.get("/sandbox/clock")["epoch"] - time.time()) < 60
    assert fresh.get("/sandbox/clock")["speed"] == 1.0
