# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS tells of commitments, and which of them count."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import commitments
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import (
    Commitments,
    Plan,
    Reservation,
    Reserved,
    Running,
)
from botocore.stub import Stubber

ACCOUNT = "123456789012"
REGION = "us-east-1"


class Stubs:
    """Clients whose answers are queued, in place of `Clients`."""

    region = REGION

    def __init__(self, refusal: str | None = None) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._clients = {s: boto3.client(s, region_name=REGION, **keys) for s in ("ec2", "sts", "savingsplans")}
        self.stubs = {service: Stubber(client) for service, client in self._clients.items()}
        for stub in self.stubs.values():
            stub.activate()
        if refusal:
            self.stubs["sts"].add_client_error("get_caller_identity", refusal)
        else:
            self.stubs["sts"].add_response("get_caller_identity", {"Account": ACCOUNT})

    def get(self, service: str, region: str | None = None) -> Any:
        return self._clients[service]


def reservation(number: int, **more: Any) -> dict[str, Any]:
    return {
        "CapacityReservationId": f"cr-{number}",
        "OwnerId": ACCOUNT,
        "InstanceType": "m5.large",
        "AvailabilityZone": "us-east-1a",
        "InstancePlatform": "Linux/UNIX",
        "Tenancy": "default",
        "AvailableInstanceCount": 3,
        "InstanceMatchCriteria": "open",
        **more,
    }


def plan(number: int, kind: str = "EC2Instance", **more: Any) -> dict[str, Any]:
    given = {"savingsPlanId": f"p-{number}", "savingsPlanType": kind, "commitment": "0.5", "currency": "USD"}
    return {**given, "region": REGION, "ec2InstanceFamily": "m5", **more}


def observe(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, stubs: Stubs) -> Commitments:
    monkeypatch.setattr(commitments, "side_by_side", lambda work, items: [work(item) for item in items])
    return commitments.commitments(stubs, REGION, Cache(tmp_path))


def test_only_what_can_pay_for_shared_linux_of_this_account_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    stubs = Stubs()
    linux = {"InstanceType": "m5.large", "InstanceTenancy": "default", "ProductDescription": "Linux/UNIX"}
    stubs.stubs["ec2"].add_response(
        "describe_reserved_instances",
        {
            "ReservedInstances": [
                {**linux, "InstanceCount": 2},
                {**linux, "InstanceCount": 1, "AvailabilityZone": "us-east-1a"},
                {**linux, "InstanceCount": 4, "ProductDescription": "Linux/UNIX (Amazon VPC)"},
                {**linux, "InstanceCount": 8, "ProductDescription": "Red Hat Enterprise Linux"},
                {**linux, "InstanceCount": 16, "InstanceTenancy": "dedicated"},
            ]
        },
    )
    slots = [
        reservation(1),
        reservation(2, InstanceMatchCriteria="targeted"),
        reservation(3, PlacementGroupArn="arn:aws:ec2:us-east-1:123456789012:placement-group/one"),
        reservation(4, OwnerId="210987654321"),
        reservation(5, UnusedReservationBillingOwnerId="210987654321"),
        reservation(6, InstancePlatform="Windows"),
        reservation(7, Tenancy="dedicated"),
        reservation(8, ReservationType="capacity-block"),
        reservation(9, OutpostArn="arn:aws:outposts:us-east-1:123456789012:outpost/op-1"),
    ]
    for _time in range(2):  # the list, and then what of it is unused
        stubs.stubs["ec2"].add_response("describe_capacity_reservations", {"CapacityReservations": slots})
    stubs.stubs["savingsplans"].add_response(
        "describe_savings_plans", {"savingsPlans": [plan(1), plan(2, region="eu-west-1")], "nextToken": "more"}
    )
    stubs.stubs["savingsplans"].add_response(
        "describe_savings_plans",
        {"savingsPlans": [plan(3, currency="CNY"), plan(4, "Compute"), plan(5, "SageMaker")]},
        {"states": ["active"], "nextToken": "more"},
    )
    found = observe(monkeypatch, tmp_path, stubs)
    assert found.reserved == (Reserved("m5.large", 2), Reserved("m5.large", 1, "us-east-1a"), Reserved("m5.large", 4))
    assert found.reservations == (
        Reservation("cr-1", "m5.large", "us-east-1a", 3),
        Reservation("cr-2", "m5.large", "us-east-1a", 3, open=False),
        Reservation("cr-3", "m5.large", "us-east-1a", 3, open=False),
    )
    assert found.plans == (Plan("p-1", "m5", 0.5),)
    assert [reason.partition(" counts as used")[0] for reason in found.reasons] == [
        "cr-2",
        "cr-3",
        "the Compute Savings Plan p-4 (0.5 USD an hour)",
    ]


def test_a_refusal_is_kept_and_a_failure_is_not(tmp_path: Any) -> None:
    asked: list[str] = []

    def fail(code: str) -> Any:
        def ask() -> list[dict[str, Any]]:
            asked.append(code)
            raise commitments.AwsError(f"cannot: {code}", code)

        return ask

    cache = Cache(tmp_path)
    for _time in range(2):
        assert commitments._ask(cache, ["a"], fail("AccessDenied")) == ([], "cannot: AccessDenied")
        assert commitments._ask(cache, ["b"], fail("Throttling")) == ([], "cannot: Throttling")
    assert asked == ["AccessDenied", "Throttling", "Throttling"]


def test_without_an_account_nothing_is_known(tmp_path: Any) -> None:
    found = commitments.commitments(Stubs(refusal="ExpiredToken"), REGION, Cache(tmp_path))
    (reason,) = found.reasons
    assert reason.startswith(
        "what is paid for is not known: cannot ask for the account of the credentials in us-east-1"
    )
    assert found.families == ()


@pytest.mark.parametrize(
    "more, plain",
    [
        ({}, True),
        ({"platform_details": "Linux/UNIX"}, True),
        ({"platform_details": "Red Hat Enterprise Linux"}, False),
        ({"placement": {"availability_zone": "a", "tenancy": "dedicated"}}, False),
    ],
)
def test_an_instance_is_plain_if_it_is_shared_linux(more: dict[str, Any], plain: bool) -> None:
    described = {"instance_id": "i-1", "instance_type": "m5.large", "placement": {"availability_zone": "a"}, **more}
    assert commitments.running_of(described) == Running("i-1", "m5.large", "a", plain)
