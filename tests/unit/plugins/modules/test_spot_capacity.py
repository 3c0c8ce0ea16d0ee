# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's options, turned into wishes, and outcomes turned into what it returns."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.spot.platform.plugins.module_utils.aws.capacity import Outcome, Wish
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import EC2_FLEET, Subnet
from ansible_collections.spot.platform.plugins.module_utils.engine.market import InstanceType, Offer, Selection
from ansible_collections.spot.platform.plugins.module_utils.engine.provisioning import Decision, decide
from ansible_collections.spot.platform.plugins.modules import spot_capacity


def options(**changed: Any) -> dict[str, Any]:
    """A group's options as Ansible hands them over."""
    given = {
        "name": "test-web",
        "region": "us-east-1",
        "app": "web",
        "environment": "test",
        "launch_template": {"name": "test-web"},
        "subnets": ["subnet-a"],
        "min": 2,
        "max": 16,
        **changed,
    }
    given = {key: value for key, value in given.items() if value is not None}
    checked = ArgumentSpecValidator(spot_capacity.ARGUMENTS).validate({"groups": [given]})
    assert not checked.error_messages, checked.error_messages
    return checked.validated_parameters["groups"][0]


def test_the_least_that_can_be_asked_for() -> None:
    wish = spot_capacity.wish_of(options(region=None), "eu-west-1")
    assert (wish.name, wish.region, wish.kind) == ("test-web", "eu-west-1", "auto_scaling_group")
    spec = wish.spec
    assert (spec.target, spec.on_demand_base, spec.unit, spec.fallback) == (None, 0, "instances", "on_demand")
    assert spec.target_group_arns is None and spec.capacity_rebalance is None
    assert spec.selection.requirements.burstable == "excluded", "without types or requirements the defaults hold"
    assert spec.tags == {"Name": "test-web"}
    assert spec.identity == {
        "spot.platform/app": "web",
        "spot.platform/environment": "test",
        "spot.platform/managed-by": "spot.platform",
    }


def test_named_types_need_meet_no_requirements() -> None:
    spec = spot_capacity.wish_of(options(instance_types=["t3.large"]), None).spec
    assert spec.selection == Selection(frozenset({"t3.large"}))


def test_absent_needs_only_the_name() -> None:
    wish = spot_capacity.wish_of(options(state="absent", subnets=None, launch_template=None, min=None, max=None), None)
    assert wish.spec is None and wish.identity["spot.platform/app"] == "web"


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"region": None}, "it has no region"),
        ({"min": 9, "max": 4}, "min is 9 and max is 4"),
        ({"target": 99}, "target is 99"),
        ({"on_demand_base": -1}, "on_demand_base is -1"),
        ({"requirements": {"vcpus": {"min": 8, "max": 4}}}, "min 8 is above max 4"),
        ({"limits": {"min_pools": 0}}, "min_pools is 0"),
        ({"kind": "ec2_fleet", "target_group_arns": ["arn:x"]}, "an EC2 Fleet knows no target groups"),
    ],
)
def test_contradictions_are_named(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spot_capacity.wish_of(options(**changed), None)


def decided() -> tuple[Wish, Decision]:
    wish = spot_capacity.wish_of(options(), None)
    kind = InstanceType("m5.large", 2, 8192, ("x86_64",), False, True, 0, False)
    offers = [Offer("us-east-1", "us-east-1a", "use1-az1", kind, 0.03, 0.1)]
    return wish, decide(wish.spec, None, "lt-1", [Subnet("subnet-a", "us-east-1a", True)], offers)


def test_a_created_group_is_told_with_its_plan() -> None:
    wish, decision = decided()
    outcome = Outcome(wish, "created", decision)
    result = spot_capacity.result_of(outcome)
    assert result["plan"]["pools"] == [
        {
            "zone": "us-east-1a",
            "instance_type": "m5.large",
            "lifecycle": "spot",
            "instances": 2,
            "capacity": 2,
            "price_per_hour": 0.03,
        }
    ]
    event = spot_capacity.event_of(outcome, result)
    assert (event.kind, event.app, event.region, event.changed) == ("capacity.created", "web", "us-east-1", True)
    assert "2 instances on 1 instance type(s) for 0.0600 USD/h, 70.0 % below On-Demand" in event.summary
    assert event.after == result["plan"] and event.reasons
    diff = spot_capacity.diff_of(outcome, result)
    assert diff["before"] == {} and diff["after"]["expected"]["cost_per_hour"] == 0.06


def test_what_did_not_happen_is_told_too() -> None:
    wish, decision = decided()
    for action, kind, words in (
        ("failed", "capacity.failed", "could not be ensured: no room"),
        ("absent", "capacity.absent", "is absent"),
        ("deleted", "capacity.deleted", "was deleted with its instances"),
    ):
        outcome = Outcome(wish, action, error="no room" if action == "failed" else None)
        result = spot_capacity.result_of(outcome)
        event = spot_capacity.event_of(outcome, result)
        assert (event.kind, event.changed) == (kind, action == "deleted") and words in event.summary
        assert result["plan"] is None and result["desired"] is None
    fleet = spot_capacity.wish_of(options(kind=EC2_FLEET), None)
    unchanged = Outcome(fleet, "unchanged", decision)
    assert spot_capacity.event_of(unchanged, spot_capacity.result_of(unchanged)).summary.startswith("Fleet test-web in")
