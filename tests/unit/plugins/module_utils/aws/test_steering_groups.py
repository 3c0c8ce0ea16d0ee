# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a group: that it takes in, lets go, wants what it has, and does nothing by itself."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import steering_groups as acting
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Place
from ansible_collections.spot.platform.plugins.module_utils.engine.homes import Rooms
from botocore.exceptions import ClientError

POLICY = {
    "InstancesDistribution": {"OnDemandBaseCapacity": 2, "OnDemandPercentageAboveBaseCapacity": 0},
    "LaunchTemplate": {
        "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "Version": "7"},
        "Overrides": [
            {"InstanceType": "m5.large"},
            {
                "InstanceType": "m6g.large",
                "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-2", "LaunchTemplateName": "arm"},
            },
        ],
    },
}


def group(members=(), desired=6, base=2, counted=6, suspended=(), carried=None, policy=None) -> Steered:
    return Steered(
        name="web",
        kind="auto_scaling_group",
        region="us-east-1",
        tags=carried or {},
        now=1000.0,
        created=0.0,
        desired=desired,
        on_demand_base=base,
        counted=counted,
        template={},
        weights={},
        subnets={},
        suspended=suspended,
        raw={
            "Instances": [{"InstanceId": one} for one in members],
            "MixedInstancesPolicy": POLICY if policy is None else policy,
        },
    )


class Clients:
    """Clients that write down what they are asked: ``calls`` are pairs of operation and request."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def get(self, _service, _region=None):
        return self

    def __getattr__(self, operation):
        return lambda **request: self.calls.append((operation, request))


@pytest.fixture
def clients():
    return Clients()


@pytest.mark.parametrize(
    ("counted", "target", "coming", "desired", "wanted"),
    [
        (6, 6, 0, 6, {}),
        (5, 6, 1, 6, {"desired": 5}),
        (5, 6, 0, 6, {}),
        (4, 6, 1, 6, {"desired": 5}),
        (6, 6, 0, 4, {"desired": 6}),
        (8, 6, 0, 6, {"desired": 8}),
        (6, 6, 2, 8, {"desired": 6}),
        (0, 0, 0, 3, {"desired": 0}),
        (0, 4, 6, 4, {"desired": 0}),
    ],
    ids=[
        "all is there",
        "a hole that is covered: it must not be replaced again",
        "a hole that is not covered: the group goes on asking too",
        "of two holes one is covered",
        "somebody lowered the desired capacity: nothing is taken away",
        "more is there than the target: it is ended one by one",
        "more is wanted than is there and than the target",
        "nothing is wanted",
        "more is coming than the target",
    ],
)
def test_the_group_is_to_want_what_it_has_and_what_nothing_could_be_had_for(counted, target, coming, desired, wanted):
    one = group(desired=desired, counted=counted)
    assert acting.figures(one, decided(target, 2), coming) == wanted


def decided(target, on_demand):
    return SimpleNamespace(target=target, on_demand=on_demand)


def test_the_base_follows_the_on_demand_that_is_held():
    assert acting.figures(group(base=2), decided(6, 5), 0) == {"on_demand_base": 5}
    assert acting.figures(group(base=5), decided(6, 0), 0) == {"on_demand_base": 0}


def test_nothing_is_wanted_or_attached_beyond_the_maximum_of_the_group():
    one = group(counted=11)
    one = replace(one, raw={**one.raw, "MaxSize": 10})
    assert acting.figures(one, decided(6, 2), 0) == {"desired": 10}
    assert acting.fitting(one, 5, {"i-1": 4, "i-2": 2, "i-3": 1}) == ["i-1", "i-3"]
    assert acting.fitting(group(), 5, {"i-1": 400}) == ["i-1"]


def test_both_figures_are_set_in_one_call(clients):
    acting.set_figures(clients, group(), {"desired": 5, "on_demand_base": 3})
    ((operation, request),) = clients.calls
    assert (operation, request["AutoScalingGroupName"], request["DesiredCapacity"]) == (
        "update_auto_scaling_group",
        "web",
        5,
    )
    distribution = request["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution == {"OnDemandBaseCapacity": 3, "OnDemandPercentageAboveBaseCapacity": 0}


def test_the_desired_capacity_alone_leaves_the_policy_out(clients):
    acting.set_figures(clients, group(), {"desired": 5})
    assert clients.calls == [("update_auto_scaling_group", {"AutoScalingGroupName": "web", "DesiredCapacity": 5})]


def test_a_launch_template_is_named_once_as_aws_accepts_it_and_what_was_observed_stays(clients):
    seen = copy.deepcopy(POLICY)
    acting.set_figures(clients, group(policy=seen), {"on_demand_base": 3})
    template = clients.calls[0][1]["MixedInstancesPolicy"]["LaunchTemplate"]
    assert template["LaunchTemplateSpecification"] == {"LaunchTemplateId": "lt-1", "Version": "7"}
    assert template["Overrides"][1]["LaunchTemplateSpecification"] == {"LaunchTemplateId": "lt-2"}
    assert seen == POLICY


def test_instances_are_attached_in_parts_of_what_aws_takes(clients):
    ids = [f"i-{number:02}" for number in range(25)]
    acting.attach(clients, group(), list(reversed(ids)))
    assert [request["InstanceIds"] for _operation, request in clients.calls] == [ids[:20], ids[20:]]


def test_a_member_is_ended_with_its_desired_capacity_and_what_is_not_attached_directly(clients):
    acting.end(clients, group(["i-1", "i-2"]), ["i-1", "i-loose"])
    assert clients.calls == [
        ("terminate_instances", {"InstanceIds": ["i-loose"]}),
        (
            "terminate_instance_in_auto_scaling_group",
            {"InstanceId": "i-1", "ShouldDecrementDesiredCapacity": True},
        ),
    ]


@pytest.mark.parametrize(
    ("text", "raised"),
    [("Instance Id not found - No managed instance found for instance ID: i-1", False), ("Desired capacity", True)],
)
def test_a_member_that_is_gone_already_keeps_nobody_else_from_going(text, raised):
    class Gone(Clients):
        meta = SimpleNamespace(region_name="us-east-1")

        def terminate_instance_in_auto_scaling_group(self, **request):
            self.calls.append(("terminate", request))
            raise ClientError({"Error": {"Code": "ValidationError", "Message": text}}, "TerminateInstance")

    clients = Gone()
    with pytest.raises(AwsError) if raised else nullcontext():
        acting.end(clients, group(members=["i-1", "i-2"]), ["i-1", "i-2"])
    if not raised:
        assert {request["InstanceId"] for _name, request in clients.calls} == {"i-1", "i-2"}


def test_what_the_group_does_by_itself_is_suspended_but_what_is_suspended_already(clients):
    assert acting.fighting(group()) == list(acting.FIGHTING)
    assert acting.fighting(group(suspended=acting.FIGHTING)) == []
    assert acting.fighting(group(suspended=["AZRebalance", "Launch"])) == ["AlarmNotification", "ScheduledActions"]


def test_what_is_suspended_is_written_down_first(clients):
    carried = {tags.SUSPENDED: "AZRebalance"}
    acting.suspend(clients, group(carried=carried), ["ScheduledActions"])
    (tagged, request), (suspended, wanted) = clients.calls
    assert (tagged, suspended) == ("create_or_update_tags", "suspend_processes")
    assert request["Tags"] == [
        {
            "ResourceId": "web",
            "ResourceType": "auto-scaling-group",
            "Key": tags.SUSPENDED,
            "Value": "AZRebalance ScheduledActions",
            "PropagateAtLaunch": False,
        }
    ]
    assert wanted["ScalingProcesses"] == ["ScheduledActions"]


def test_only_what_was_suspended_by_us_is_resumed(clients):
    carried = {tags.SUSPENDED: "AZRebalance ScheduledActions"}
    one = group(suspended=["AZRebalance", "Launch", "ScheduledActions"], carried=carried)
    assert acting.resume(clients, one) == ["AZRebalance", "ScheduledActions"]
    assert clients.calls == [
        (
            "resume_processes",
            {"AutoScalingGroupName": "web", "ScalingProcesses": ["AZRebalance", "ScheduledActions"]},
        ),
        (
            "delete_tags",
            {"Tags": [{"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": tags.SUSPENDED}]},
        ),
    ]


@pytest.mark.parametrize("carried", [{}, {tags.SUSPENDED: ""}], ids=["no tag", "an empty tag"])
def test_where_nothing_was_suspended_by_us_nothing_is_resumed(clients, carried):
    assert acting.resume(clients, group(suspended=["Launch"], carried=carried)) == []
    assert clients.calls == []


def test_on_demand_is_launched_first_where_it_is_paid_for():
    one = replace(group(), weights={"m5.large": 2, "m5.xlarge": 4}, subnets={"us-east-1a": "a", "us-east-1b": "b"})
    decision = SimpleNamespace(moves=SimpleNamespace(spot={"us-east-1a/m5.large": 2}, on_demand=9), rooms=None)
    places = [Place("m5.xlarge", "us-east-1b", 1, "reserved"), Place("m5.large", None, 2, "a plan")]
    orders = acting.orders(one, decision, places)
    made = [(each.pool, each.units, dict(each.weights), sorted(each.subnets), each.paid) for each in orders]
    both = ["us-east-1a", "us-east-1b"]
    assert made == [
        ("us-east-1a/m5.large", 2, {"m5.large": 2, "m5.xlarge": 4}, both, False),
        (None, 4, {"m5.xlarge": 4}, ["us-east-1b"], True),
        (None, 4, {"m5.large": 2}, both, True),
        (None, 1, {"m5.large": 2, "m5.xlarge": 4}, both, False),
    ]


def test_on_demand_of_a_stateful_group_is_launched_where_there_is_room():
    one = replace(group(), weights={"m5.large": 1}, subnets={"us-east-1a": "a", "us-east-1b": "b", "us-east-1c": "c"})

    def made(on_demand, rooms):
        decision = SimpleNamespace(moves=SimpleNamespace(spot={}, on_demand=on_demand), rooms=rooms)
        return [(order.units, order.zone, order.paid) for order in acting.orders(one, decision, [Place("m5.large", None, 9, "r")])]

    assert made(3, Rooms({"us-east-1a": 2, "us-east-1b": 0, "us-east-1c": 1})) == [(2, "us-east-1a", False), (1, "us-east-1c", False)]
    assert made(2, Rooms({"us-east-1b": 1}, anywhere=1)) == [(1, "us-east-1b", False), (1, None, False)]
    assert made(2, Rooms({"us-east-1b": 1})) == [(1, "us-east-1b", False)]


@pytest.mark.parametrize("place", [Place("c5.large", None, 3, "r"), Place("m5.large", "us-east-1z", 3, "r")])
def test_what_is_paid_for_elsewhere_is_no_use(place):
    one = replace(group(), weights={"m5.large": 1}, subnets={"us-east-1a": "a"})
    decision = SimpleNamespace(moves=SimpleNamespace(spot={}, on_demand=2), rooms=None)
    assert [(order.units, order.paid) for order in acting.orders(one, decision, [place])] == [(2, False)]
