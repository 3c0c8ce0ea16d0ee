# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From target groups to load balancers in few calls."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import BY_ARN, Balancer, balancers
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from botocore.stub import Stubber

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"


class FakeClients:
    """Clients with one elbv2 client, whose answers are stubbed."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.elbv2 = boto3.client("elbv2", region_name="us-east-1", **keys)
        self.stub = Stubber(self.elbv2)
        self.stub.activate()

    def get(self, service: str, region: str | None = None) -> Any:
        assert (service, region) == ("elbv2", "us-east-1")
        return self.elbv2


def group(number: int, *loads: str) -> dict[str, Any]:
    return {"TargetGroupArn": f"{ARN}targetgroup/{number}", "LoadBalancerArns": [f"{ARN}{one}" for one in loads]}


def load(name: str) -> dict[str, Any]:
    return {"LoadBalancerArn": f"{ARN}{name}", "DNSName": f"{name}.elb.test", "CanonicalHostedZoneId": "ZELB"}


def test_two_calls_by_arn():
    clients = FakeClients()
    arns = [f"{ARN}targetgroup/{number}" for number in range(3)]
    groups = {"TargetGroups": [group(0, "one"), group(1, "one"), group(2)]}
    clients.stub.add_response("describe_target_groups", groups, {"TargetGroupArns": arns})
    asked = {"LoadBalancerArns": [ARN + "one"]}
    clients.stub.add_response("describe_load_balancers", {"LoadBalancers": [load("one")]}, asked)
    found = balancers(clients, "us-east-1", [*arns, arns[0]])
    assert found == dict.fromkeys(arns[:2], Balancer("one.elb.test", "ZELB", ARN + "one"))
    clients.stub.assert_no_pending_responses()


def test_nothing_is_asked_about_nothing():
    clients = FakeClients()
    assert balancers(clients, "us-east-1", []) == {}
    clients.stub.add_response("describe_target_groups", {"TargetGroups": [group(0)]})
    assert balancers(clients, "us-east-1", [f"{ARN}targetgroup/0"]) == {}


def test_many_are_found_in_pages_of_all():
    clients = FakeClients()
    wanted = [f"{ARN}targetgroup/{number}" for number in range(BY_ARN + 1)]
    groups = [group(number, "one" if number % 2 else "two") for number in range(BY_ARN + 5)]
    clients.stub.add_response("describe_target_groups", {"TargetGroups": groups}, {"PageSize": 400})
    arns = {"LoadBalancerArns": [ARN + "one", ARN + "two"]}
    clients.stub.add_response("describe_load_balancers", {"LoadBalancers": [load("one"), load("two")]}, arns)
    found = balancers(clients, "us-east-1", wanted)
    assert sorted(found) == sorted(wanted) and found[wanted[1]].dns_name == "one.elb.test"


def test_one_that_is_gone_does_not_keep_the_others():
    clients = FakeClients()
    clients.stub.add_client_error("describe_target_groups", "TargetGroupNotFound")
    clients.stub.add_response("describe_target_groups", {"TargetGroups": [group(0, "one"), group(7, "one")]})
    clients.stub.add_response("describe_load_balancers", {"LoadBalancers": [load("one")]})
    found = balancers(clients, "us-east-1", [f"{ARN}targetgroup/{number}" for number in (0, 1)])
    assert list(found) == [f"{ARN}targetgroup/0"]


def test_any_other_refusal_is_an_error():
    clients = FakeClients()
    clients.stub.add_client_error("describe_target_groups", "AccessDenied")
    with pytest.raises(AwsError, match="allow the IAM action elasticloadbalancing:DescribeTargetGroups"):
        balancers(clients, "us-east-1", [f"{ARN}targetgroup/0"])
