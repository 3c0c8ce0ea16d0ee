# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step begins with: the policy of each group, its metrics, its load balancer, and what is paid for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import (
    balancers,
    commitments,
    metrics,
    observing,
    steering,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Spread
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Place, Spare
from ansible_collections.spot.platform.plugins.module_utils.engine.homes import Homes
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance

NOW, REGION, ARN = 1_000_000.0, "us-east-1", "arn:target-group/web"
REQUESTS = scaling_of({"metrics": [{"name": "requests", "target": 100}]}, 0, 20)


def group(name="web", app="web", instances=(), kind="auto_scaling_group", **carried):
    return steering.Steered(
        name=name,
        kind=kind,
        region=REGION,
        tags={
            tags.APP: app,
            tags.ENVIRONMENT: "test",
            tags.TARGET: "4",
            tags.MINIMUM: "1",
            tags.MAXIMUM: "8",
            tags.ON_DEMAND_BASE: "0",
            tags.FALLBACK: "on_demand",
            **carried,
        },
        now=NOW,
        created=0.0,
        desired=4,
        on_demand_base=0,
        counted=4,
        template={},
        weights={"m5.large": 2},
        subnets={"us-east-1a": "subnet-a"},
        instances=tuple(instances),
        target_groups=(ARN,),
    )


@pytest.fixture
def region(monkeypatch):
    """``region(*groups, **options)``: what is observed of a region with these groups; ``region.asked``: of AWS besides."""

    def look(*groups, spare=Spare(), balancer=None, **more):
        look.asked = []

        def found(_clients, _region, arns):
            look.asked.append(("balancers", *arns))
            if isinstance(balancer, AwsError):
                raise balancer
            return {arn: balancer for arn in arns} if balancer else {}

        def measured(_clients, watched, *_rest):
            look.asked += [("metrics", one.group, one.load_balancer, one.serving) for one in watched]
            return [one.scaling for one in watched]

        def unused(*_args):
            look.asked.append(("commitments",))
            return spare

        monkeypatch.setattr(steering, "observe", lambda *_args: steering.Region(groups, steering.Market(), {}))
        monkeypatch.setattr(balancers, "balancers", found)
        monkeypatch.setattr(metrics, "observe", measured)
        monkeypatch.setattr(commitments, "spare", unused)
        given = {"policy": {}, "scalings": {}, "prometheus": None, "holder": "me", "act": True, "release": False}
        times = {"boot_seconds": 120, "run_seconds": 40, "lease_seconds": 0}
        options = observing.Options(question=steering.Question(), **{**given, **times, **more})
        return observing.observe(None, REGION, None, options, None)

    return look


def test_a_group_that_follows_nothing_costs_no_further_question(region):
    found = region(group())
    assert found.members["web"].observation.target == 4 and region.asked == [("balancers",)]


def test_requests_are_counted_at_the_load_balancer(region):
    found = region(group(), balancer=Balancer("web.elb", "Z", "arn:balancer"), scalings={"web": REQUESTS})
    assert region.asked == [("balancers", ARN), ("metrics", "web", "arn:balancer", 0)]
    assert found.balancers == {ARN: Balancer("web.elb", "Z", "arn:balancer")} and found.problem is None


def test_the_load_balancer_of_an_application_with_a_name_is_looked_for(region):
    region(group(), group("api", "api"), spreads=[Spread("web", [REGION], name="web.example.com")])
    assert region.asked == [("balancers", ARN)]


def test_a_load_balancer_that_cannot_be_read_is_a_problem_and_keeps_no_group_from_its_step(region):
    spread = Spread("web", [REGION], name="web.example.com")
    found = region(group(), balancer=AwsError("cannot describe: denied"), spreads=[spread])
    assert found.problem == "cannot describe: denied" and found.members["web"].observation.target == 4


def test_what_is_paid_for_is_divided_and_what_runs_on_it_counts_too(region):
    running = Instance("i-1", None, 2, NOW, True)
    spare = Spare((Place("m5.large", None, 3, "reserved"),), covered=frozenset({"i-1", "i-other"}))
    fleet = group("fleet", "api", kind="ec2_fleet")
    found = region(group(instances=[running]), fleet, spare=spare, commitments=True)
    member = found.members["web"]
    assert region.asked[-1] == ("commitments",)
    assert (member.paid.units, member.observation.paid) == (2, 4), "one more of two units completes the target of four"
    assert found.members["fleet/ec2_fleet"].observation.paid == 0, "a fleet chooses its types itself"


def test_a_bad_tag_is_the_trouble_of_its_group_alone(region):
    found = region(replace(group("bad"), tags={tags.APP: "bad"}), group())
    assert "apply spot.platform.spot_capacity" in found.members["bad"] and found.members["web"].one.name == "web"
    found = region(group(**{tags.LENT: "some"}))
    assert f"the tag {tags.LENT} of web is 'some', not a whole number" in found.members["web"]


@pytest.mark.parametrize(("kind", "homes"), [("ec2_fleet", None), ("auto_scaling_group", Homes())])
def test_what_cannot_have_a_volume_for_each_instance_is_told(region, kind, homes):
    one = replace(group("db", kind=kind, **{tags.STAYS: "/srv/data"}), homes=homes)
    (said,) = region(one).members.values()
    assert "it needs the kind auto_scaling_group and the unit instances" in said


def test_where_the_data_are_is_unknown_the_group_is_left_alone(region):
    found = region(replace(group("db", **{tags.STAYS: "/srv/data"}), homes="Failed to list the data volumes"), group())
    assert found.members["db"] == "Failed to list the data volumes" and found.members["web"].one.name == "web"


def test_a_group_that_is_let_go_of_is_not_looked_into(region):
    assert region(group(), release=True, commitments=True).members == {} and region.asked == []
