# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders become instant fleets, and their answers what was had and why not more."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import launches
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Order, launch

WEIGHTS = {"m5.large": 2, "c5.xlarge": 4}
SUBNETS = {"us-east-1a": "subnet-a", "us-east-1b": "subnet-b"}
TEMPLATE = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "Version": "3"}
ICE = {"ErrorCode": "InsufficientInstanceCapacity", "ErrorMessage": "There is no Spot capacity available."}


@pytest.fixture
def asked(monkeypatch):
    """The requests that were made; each takes the next of ``answers``."""
    requests, answers = [], []

    def create_fleet(_client, request):
        requests.append(request)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(launches, "create_fleet", create_fleet)
    return requests, answers


def answer(*instances, errors=()):
    parts = [{"InstanceType": kind, "InstanceIds": ids} for kind, ids in instances]
    return {"Instances": parts, "Errors": list(errors)}


def test_a_spot_order_names_its_pool_and_nothing_else(asked):
    requests, answers = asked
    answers.append(answer(("m5.large", ["i-1", "i-2"])))
    made = launch(None, Order("us-east-1b/m5.large", 4, WEIGHTS, SUBNETS), TEMPLATE, {"b": "2", "a": "1"})
    assert made.instances == {"i-1": "m5.large", "i-2": "m5.large"} and (made.units, made.refusal) == (4, None)
    (request,) = requests
    (config,) = request["LaunchTemplateConfigs"]
    assert config["Overrides"] == [{"InstanceType": "m5.large", "SubnetId": "subnet-b", "WeightedCapacity": 2.0}]
    assert config["LaunchTemplateSpecification"] == {"LaunchTemplateId": "lt-1", "Version": "3"}
    assert request["Type"] == "instant" and request["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 4,
        "DefaultTargetCapacityType": "spot",
    }
    assert request["TagSpecifications"][0]["Tags"][0] == {"Key": "a", "Value": "1"}


def test_on_demand_may_come_from_any_zone_and_type(asked):
    requests, answers = asked
    answers.append(answer(("c5.xlarge", ["i-1"])))
    launch(None, Order(None, 4, WEIGHTS, SUBNETS), TEMPLATE, {})
    assert len(requests[0]["LaunchTemplateConfigs"][0]["Overrides"]) == 4
    assert requests[0]["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "on-demand"


def test_what_was_refused_is_told_with_what_was_had(asked):
    _requests, answers = asked
    answers += [answer(("m5.large", ["i-1"]), errors=[ICE]), answer(errors=[ICE])]
    order = Order("us-east-1a/m5.large", 4, WEIGHTS, SUBNETS)
    part, nothing = launch(None, order, TEMPLATE, {}), launch(None, order, TEMPLATE, {})
    assert part.units == 2 and part.refusal.startswith("InsufficientInstanceCapacity") and not part.wrong
    assert nothing.units == 0 and not nothing.wrong


def test_a_request_that_no_pool_would_take_is_wrong(asked):
    _requests, answers = asked
    answers.append(answer(errors=[{"ErrorCode": "InvalidAMIID.NotFound", "ErrorMessage": "The image is not there"}]))
    made = launch(None, Order(None, 2, WEIGHTS, SUBNETS), TEMPLATE, {})
    assert made.wrong and "InvalidAMIID.NotFound" in made.refusal


def test_what_many_pools_say_alike_is_said_once(asked):
    _requests, answers = asked
    messages = [f"We currently do not have sufficient m5.large capacity in us-east-1{zone}." for zone in "abc"]
    errors = [{"ErrorCode": "InsufficientInstanceCapacity", "ErrorMessage": message} for message in messages]
    answers.append(answer(errors=[*errors, errors[0]]))
    refusal = launch(None, Order(None, 2, WEIGHTS, SUBNETS), TEMPLATE, {}).refusal
    assert refusal == f"InsufficientInstanceCapacity: {messages[0]} (and 2 more like it)"


def test_a_quota_is_a_refusal_and_a_denial_an_error(asked):
    _requests, answers = asked
    answers += [AwsError("cannot launch: the quota", "MaxSpotInstanceCountExceeded"), AwsError("no", "AccessDenied")]
    order = Order("us-east-1a/m5.large", 2, WEIGHTS, SUBNETS)
    assert launch(None, order, TEMPLATE, {}).refusal == "cannot launch: the quota"
    with pytest.raises(AwsError):
        launch(None, order, TEMPLATE, {})
