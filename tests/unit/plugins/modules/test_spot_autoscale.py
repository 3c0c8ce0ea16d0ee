# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's wiring: its options as those of the step, regions side by side, and how it ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.spot.platform.plugins.module_utils.aws import control, market
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Outcome
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Spread
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import ASK_AGAIN
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits
from ansible_collections.spot.platform.plugins.modules import spot_autoscale

EAST, WEST = "us-east-1", "eu-west-1"


class Ended(Exception):
    """How the module ended; ``result`` is what it returned."""

    def __init__(self, failed, result):
        super().__init__(result.get("msg"))
        self.failed, self.result = failed, result


class Module:
    """An AnsibleAWSModule with these options."""

    def __init__(self, check_mode=False, region=EAST, **given):
        checked = ArgumentSpecValidator(spot_autoscale.ARGUMENTS).validate(given)
        assert not checked.error_messages, checked.error_messages
        self.params, self.check_mode, self.region = checked.validated_parameters, check_mode, region
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def exit_json(self, **result):
        raise Ended(False, result)

    def fail_json(self, **result):
        raise Ended(True, result)


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """The regions that a step was taken in, with the names of the groups and the options; ``answer`` is by region."""
    made = SimpleNamespace(taken={}, answer={}, cache_dir=str(tmp_path))

    def step(_clients, wanted, options, _cache):
        made.taken |= {region: (names, options) for region, names in wanted.items()}
        return control.Stepped([one for region in sorted(wanted) for one in made.answer.get(region, [])])

    client = SimpleNamespace(meta=SimpleNamespace(endpoint_url="https://ec2.test", region_name=EAST))
    clients = SimpleNamespace(get=lambda _service, _region=None: client)
    monkeypatch.setattr(control, "step", step)
    monkeypatch.setattr(spot_autoscale.Clients, "of_module", lambda _module, _region: clients)
    return made


def run(monkeypatch, steps, **given):
    """The module's end."""
    module = Module(cache_dir=steps.cache_dir, **given)
    monkeypatch.setattr(spot_autoscale, "AnsibleAWSModule", lambda **_arguments: module)
    with pytest.raises(Ended) as caught:
        spot_autoscale.main()
    return caught.value


def options(**given):
    return spot_autoscale.options_of(Module(**given), None, None)


def test_the_region_of_the_task_is_stepped_by_default_with_all_its_groups(monkeypatch, steps):
    ended = run(monkeypatch, steps)
    assert not ended.failed and list(steps.taken) == [EAST] and steps.taken[EAST][0] is None
    assert ended.result == {
        "changed": False,
        "decisions": [],
        "names": [],
        "ask_again_seconds": ASK_AGAIN,
        "errors": [],
        "activity": [],
        "diff": {"before": {}, "after": {}},
    }


def test_regions_are_stepped_side_by_side_and_each_once(monkeypatch, steps):
    run(monkeypatch, steps, regions=[EAST, WEST, EAST])
    assert {region: names for region, (names, _options) in steps.taken.items()} == {EAST: None, WEST: None}


def test_groups_are_stepped_in_their_own_region_or_that_of_the_task(monkeypatch, steps):
    run(monkeypatch, steps, groups=[{"name": "a"}, {"name": "b", "region": WEST}, {"name": "c"}])
    assert {region: names for region, (names, _options) in steps.taken.items()} == {EAST: ["a", "c"], WEST: ["b"]}


def test_no_groups_are_none_and_not_all(monkeypatch, steps):
    ended = run(monkeypatch, steps, groups=[])
    assert not ended.failed and steps.taken == {}


def test_without_a_region_nothing_is_stepped(monkeypatch, steps):
    ended = run(monkeypatch, steps, region=None)
    assert ended.failed and "there is no region: set regions, region or AWS_DEFAULT_REGION" in ended.result["msg"]
    assert (ended.result["decisions"], ended.result["activity"], steps.taken) == ([], [], {})


def test_what_is_not_given_leaves_the_tags_their_say():
    made = options()
    assert made.policy == {"profile": None, "fallback": None, "on_demand_base": None, "min": None, "max": None}
    assert (made.act, made.release, made.lease_seconds, made.scalings) == (True, False, 0, {})
    question = made.question
    assert (question.names, question.apps, question.environment, question.bands) == (None, (), None, None)
    assert (question.notices, question.placement_scores) == (frozenset(), False)


def test_what_is_given_is_handed_on():
    made = options(
        apps=["web"],
        environment="test",
        notices=["i-1"],
        min=0,
        on_demand_base=0,
        capacity_profile="cost",
        fallback="none",
        boot_seconds=60,
        run_seconds=10,
        lease_seconds=30,
        history_days=7,
        placement_scores=True,
        prometheus={"url": "https://prometheus.example.com"},
    )
    assert made.policy == {"profile": "cost", "fallback": "none", "on_demand_base": 0, "min": 0, "max": None}
    assert (made.question.apps, made.question.environment) == (("web",), "test")
    assert made.question.notices == {"i-1"}
    assert (made.question.history_days, made.question.placement_scores) == (7, True)
    assert (made.boot_seconds, made.run_seconds, made.lease_seconds) == (60, 10, 30)
    assert made.prometheus.url == "https://prometheus.example.com"


def test_check_mode_does_not_act_and_a_release_lets_go():
    assert not options(check_mode=True).act
    assert options(state="released").release


def test_each_run_is_a_controller_of_its_own():
    assert options().holder != options().holder


def test_scalings_are_by_application_and_bounded_by_the_group_alone():
    scaling = options(scaling=[{"app": "web", "metrics": [{"name": "cpu", "target": 60}]}]).scalings["web"]
    assert [(metric.name, metric.target) for metric in scaling.metrics] == [("cpu", 60.0)]
    assert (scaling.min, scaling.stabilization_seconds) == (0, 600.0)


def test_a_scaling_that_cannot_be_fails_before_anything_is_done(monkeypatch, steps):
    scaling = [{"app": "web", "metrics": [{"name": "cpu", "target": 160}]}]
    ended = run(monkeypatch, steps, scaling=scaling)
    assert ended.failed and "is 160: a utilization is a percentage" in ended.result["msg"] and steps.taken == {}


def test_bands_that_cannot_be_read_fail_before_anything_is_done(monkeypatch, steps):
    def unreadable(source, _cache):
        raise AwsError(f"cannot read the interruption bands {source}")

    monkeypatch.setattr(market, "interruption_bands", unreadable)
    ended = run(monkeypatch, steps, interruption_bands="bands.json")
    assert ended.failed and ended.result["msg"] == "cannot read the interruption bands bands.json"
    assert steps.taken == {}


def test_one_failure_fails_the_task_at_its_end_with_what_the_others_did(monkeypatch, steps):
    steps.answer = {
        EAST: [
            Outcome(EAST, None, "gone", error="the group gone is not there in us-east-1"),
            Outcome(EAST, None, "web"),
        ],
        WEST: [Outcome(WEST, None, error="cannot list the groups: access denied")],
    }
    ended = run(monkeypatch, steps, regions=[EAST, WEST])
    assert ended.failed
    assert ended.result["msg"] == (
        "2 of 3 failed: cannot list the groups: access denied; the group gone is not there in us-east-1"
    )
    assert [(error["group"], error["region"]) for error in ended.result["errors"]] == [(None, WEST), ("gone", EAST)]
    assert set(ended.result) >= {"changed", "decisions", "activity", "diff", "ask_again_seconds"}


def test_two_problems_of_a_group_are_one_failure(monkeypatch, steps):
    steps.answer = {EAST: [Outcome(EAST, None, "web", problems=("no such image", "the lease ran out"))]}
    assert run(monkeypatch, steps).result["msg"] == "1 of 1 failed: no such image; the lease ran out"


def test_groups_and_regions_are_not_given_together_and_check_mode_is_supported(monkeypatch):
    asked = {}

    def made(**arguments):
        asked.update(arguments)
        raise Ended(False, {})

    monkeypatch.setattr(spot_autoscale, "AnsibleAWSModule", made)
    with pytest.raises(Ended):
        spot_autoscale.main()
    assert asked["mutually_exclusive"] == [("groups", "regions")] and asked["supports_check_mode"] is True


def test_an_application_in_several_regions_is_spread_with_its_limits_and_its_name():
    dns = {"zone": "example.com", "name": "web.example.com"}
    given = {"app": "web", "regions": [EAST, WEST], "sharing": {"max_extra": 0.2}, "dns": dns}
    (spread,) = options(spread=[given]).spreads
    assert spread == Spread("web", [EAST, WEST], Limits(0.2, 120, 300), "web.example.com", "example.com", "weighted")
    (plain,) = options(spread=[{"app": "web", "regions": [EAST]}]).spreads
    assert plain == Spread("web", [EAST])


def test_limits_that_mean_nothing_fail_before_anything_is_done(monkeypatch, steps):
    given = {"app": "web", "regions": [EAST], "sharing": {"max_extra": -1}}
    ended = run(monkeypatch, steps, spread=[given], environment="test")
    assert ended.failed and "max_extra is -1.0: it must be a number, 0 or more" in ended.result["msg"]
    assert steps.taken == {}


def test_applications_of_several_environments_are_not_mixed(monkeypatch, steps):
    ended = run(monkeypatch, steps, spread=[{"app": "web", "regions": [EAST]}])
    assert ended.failed and "spread needs the environment" in ended.result["msg"] and steps.taken == {}
