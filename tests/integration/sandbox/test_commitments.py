"""Commitments of the sandbox, and what the platform makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import commitments
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Paid, Want, fit, split

REGION = "us-east-1"
ZONE = "us-east-1a"
TYPES = {"m5.large": 2, "c5.large": 2, "m5.xlarge": 4}


def run(aws: Any, count: int = 1, **more: Any) -> list[str]:
    given = {"ImageId": aws.image, "InstanceType": "m5.large", "SubnetId": aws.subnets[0]}
    made = aws.ec2.run_instances(**{**given, **more}, MinCount=count, MaxCount=count)["Instances"]
    return [i["InstanceId"] for i in made]


def paid_for(clients: Clients, cache: Cache, zones: frozenset[str] | None = None) -> Paid:
    """What one app can run On-Demand without paying more, in ``zones`` or all."""
    return fit(commitments.spare(clients, REGION, cache), Want(TYPES, zones))[0]


@pytest.fixture
def clients(aws: Any) -> Clients:
    keys = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "not-a-secret"}
    return Clients(REGION, aws.sandbox.url, keys)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_the_sandbox_shows_what_was_committed_and_how_much_of_it_is_used(aws: Any, refused: Any) -> None:
    made = aws.sandbox.post(
        "/sandbox/commitments",
        reserved_instances=[
            {"region": REGION, "instance_type": "m5.large", "count": 2},
            {"region": REGION, "instance_type": "c5.large", "count": 1, "zone": ZONE, "state": "retired"},
        ],
        capacity_reservations=[{"region": REGION, "instance_type": "m5.large", "zone": ZONE, "count": 2}],
        savings_plans=[{"commitment": 1.5, "type": "Compute"}],
    )
    active = [{"Name": "state", "Values": ["active"]}]
    (one,) = aws.ec2.describe_reserved_instances(Filters=active)["ReservedInstances"]
    assert (one["InstanceType"], one["Scope"], one["InstanceCount"]) == ("m5.large", "Region", 2)
    (inside,) = run(aws)
    run(aws, InstanceMarketOptions={"MarketType": "spot"})
    (slot,) = aws.ec2.describe_capacity_reservations()["CapacityReservations"]
    assert (slot["TotalInstanceCount"], slot["AvailableInstanceCount"]) == (2, 1)
    shown = aws.ec2.describe_instances()["Reservations"]
    held = {i["InstanceId"]: i.get("CapacityReservationId") for r in shown for i in r["Instances"]}
    assert [i for i, where in held.items() if where == made["capacity_reservations"][0]] == [inside]
    (plan,) = aws.sandbox.client("savingsplans").describe_savings_plans(states=["active"])["savingsPlans"]
    assert (plan["savingsPlanType"], float(plan["commitment"])) == ("Compute", 1.5)
    elsewhere = aws.sandbox.client("ec2", "eu-west-1")
    assert elsewhere.describe_reserved_instances()["ReservedInstances"] == []
    assert refused(aws.ec2.describe_reserved_instances, Filters=[{"Name": "colour", "Values": ["red"]}])[0] == (
        "InvalidParameterValue"
    )


@pytest.mark.parametrize(
    "body, message",
    [
        ({"coupons": []}, "unknown key 'coupons': use reserved_instances, capacity_reservations, savings_plans"),
        ({"savings_plans": 7}, r"savings_plans must be a list of objects; \[\] clears"),
        ({"savings_plans": [{"colour": "red"}]}, "SavingsPlan: got an unexpected keyword argument 'colour'"),
        ({"savings_plans": [{"commitment": 1, "region": "mars"}]}, "region 'mars' is not served"),
        (
            {"reserved_instances": [{"region": REGION, "instance_type": "m5.huge", "count": 1}]},
            "instance type 'm5.huge' is not in the market of us-east-1",
        ),
    ],
)
def test_wrong_commitments_are_refused(sandbox: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sandbox.post("/sandbox/commitments", **body)


def test_what_is_paid_for_shrinks_with_every_launch(aws: Any, clients: Clients, cache: Cache) -> None:
    aws.sandbox.post(
        "/sandbox/commitments",
        reserved_instances=[
            {"region": REGION, "instance_type": "m5.xlarge", "count": 2},
            {"region": REGION, "instance_type": "m5.large", "count": 9, "platform": "Windows"},
            {"region": REGION, "instance_type": "m5.large", "count": 9, "tenancy": "dedicated"},
        ],
        capacity_reservations=[{"region": REGION, "instance_type": "c5.large", "zone": ZONE, "count": 1}],
    )
    paid = paid_for(clients, cache)
    assert (paid.units, paid.types, paid.covered) == (10, {"c5.large": 1, "m5.large": 4}, frozenset())
    spot = run(aws, InstanceMarketOptions={"MarketType": "spot"})
    ids = [*run(aws, 3), *run(aws, InstanceType="c5.large")]
    paid = paid_for(clients, cache)
    assert (paid.units, paid.types, paid.covered) == (2, {"m5.large": 1}, frozenset(ids))
    assert not paid.covered & set(spot)
    run(aws, 2)
    assert paid_for(clients, cache).units == 0
    aws.ec2.terminate_instances(InstanceIds=ids)
    assert paid_for(clients, cache, frozenset({"us-east-1b"})).types == {"m5.large": 2}


def test_a_savings_plan_of_the_region_counts_and_a_compute_plan_does_not(
    aws: Any, clients: Clients, cache: Cache
) -> None:
    price = aws.sandbox.get("/sandbox/market", region=REGION, instance_type="m5.large")["pools"][0]["on_demand_price"]
    aws.sandbox.post(
        "/sandbox/commitments",
        savings_plans=[
            {"region": REGION, "family": "m5", "commitment": 3.5 * price},
            {"region": "eu-west-1", "family": "m5", "commitment": 99.0},
            {"type": "Compute", "commitment": 2.0},
        ],
    )
    assert paid_for(clients, cache).units == 6
    ids = run(aws, 2)
    paid = paid_for(clients, cache)
    assert (paid.units, paid.covered) == (2, frozenset(ids))
    assert any("other regions, Fargate and Lambda draw on it too" in reason for reason in paid.reasons)


def test_where_nothing_is_committed_it_asks_three_times_in_ten_minutes(
    aws: Any, clients: Clients, cache: Cache
) -> None:
    aws.sandbox.post("/sandbox/calls/reset")
    for _time in range(3):
        assert paid_for(clients, cache).units == 0
    assert aws.sandbox.get("/sandbox/calls")["services"] == {
        "ec2": {"DescribeCapacityReservations": 1, "DescribeReservedInstances": 1},
        "savingsplans": {"DescribeSavingsPlans": 1},
        "sts": {"GetCallerIdentity": 1},
    }


@pytest.mark.parametrize(
    "service, operation, action",
    [
        ("ec2", "DescribeReservedInstances", "ec2:DescribeReservedInstances"),
        ("savingsplans", "DescribeSavingsPlans", "savingsplans:DescribeSavingsPlans"),
        ("ec2", "DescribeInstances", "ec2:DescribeInstances"),
    ],
)
def test_what_may_not_be_read_counts_as_nothing_and_names_the_action(
    aws: Any, clients: Clients, cache: Cache, service: str, operation: str, action: str
) -> None:
    aws.sandbox.post(
        "/sandbox/commitments",
        reserved_instances=[{"region": REGION, "instance_type": "m5.large", "count": 2}],
        savings_plans=[{"region": REGION, "family": "c5", "commitment": 1.0}],
    )
    aws.sandbox.post("/sandbox/faults", rules=[{"kind": "denied", "service": service, "operation": operation}])
    paid = paid_for(clients, cache)
    left = {"DescribeReservedInstances": {"c5.large"}, "DescribeSavingsPlans": {"m5.large"}}.get(operation, set())
    assert set(paid.types) == left
    assert any(f"allow the IAM action {action} to these credentials" in reason for reason in paid.reasons)


def test_several_apps_never_get_the_same_instance(aws: Any, clients: Clients, cache: Cache) -> None:
    aws.sandbox.post(
        "/sandbox/commitments",
        reserved_instances=[{"region": REGION, "instance_type": "m5.large", "count": 3}],
    )
    found = commitments.spare(clients, REGION, cache)
    shares = split(found, {"web": Want(TYPES, units=4), "jobs": Want(TYPES, units=6), "off": Want(TYPES, units=0)})
    assert {name: paid.units for name, paid in shares.items()} == {"web": 0, "jobs": 6, "off": 0}
