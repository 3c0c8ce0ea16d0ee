# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_market_info against the sandbox."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.plugins.modules import spot_market_info

TYPES = ["m5.large", "c5.large", "t3.large"]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def look(fresh: Any, run_module: Any, cache_dir: str) -> Any:
    """``look(**options)``: the module's result, with the answers of earlier tests in the cache."""
    return lambda env=None, **options: run_module("spot_market_info", {"cache_dir": cache_dir, **options}, env=env)


def test_offers_are_what_is_documented(look: Any) -> None:
    result = look(regions=["us-east-1", "eu-west-1"], instance_types=TYPES)
    assert not result["changed"] and not result.get("failed"), result
    offers = result["offers"]
    documented = yaml.safe_load(spot_market_info.RETURN)["offers"]["contains"]
    kinds = {"str": str, "int": int, "float": float}
    for offer in offers:
        assert offer.keys() == documented.keys()
        for key, value in offer.items():
            assert value is None or isinstance(value, kinds[documented[key]["type"]]), (key, value)
    assert {offer["instance_type"] for offer in offers} == set(TYPES)
    assert all(offer["on_demand_price"] > offer["spot_price"] > 0 for offer in offers if offer["spot_price"])
    assert any(offer["spot_price"] for offer in offers)

    def order(offer: dict[str, Any]) -> tuple[Any, ...]:
        price = offer["spot_price"]
        per_vcpu = price / offer["vcpus"] if price else 0
        return (offer["region"], price is None, per_vcpu, offer["instance_type"], offer["zone"])

    assert offers == sorted(offers, key=order)


def test_prices_are_the_markets(look: Any, sandbox: Any) -> None:
    offer = look(instance_types=["m5.large"])["offers"][0]
    market = sandbox.get("/sandbox/market", region="us-east-1", zone=offer["zone"], instance_type="m5.large")
    assert f'"spot_price": {offer["spot_price"]}' in json.dumps(market), market


def test_requirements_choose(look: Any) -> None:
    offers = look(requirements={"vcpus": {"min": 2, "max": 4}, "families": {"include": ["m5*", "t3"]}})["offers"]
    assert offers and all(2 <= offer["vcpus"] <= 4 for offer in offers)
    families = {offer["instance_type"].split(".")[0] for offer in offers}
    assert len(families) > 1 and all(family.startswith("m5") for family in families), "t3 is burstable"


def test_nothing_is_an_empty_list(look: Any) -> None:
    assert look(instance_types=["m5.nosuch"])["offers"] == []
    assert look(requirements={"vcpus": {"min": 4096}})["offers"] == []


def test_scores_bands_and_history(look: Any, tmp_path: Path) -> None:
    path = tmp_path / "advisor.json"
    path.write_text(json.dumps({"spot_advisor": {"us-east-1": {"Linux": {"m5.large": {"s": 66, "r": 3}}}}}))
    offers = look(instance_types=TYPES, placement_score={"target": 10}, interruption_bands=str(path), history_days=2)[
        "offers"
    ]
    assert {offer["interruption_band"] for offer in offers if offer["instance_type"] == "m5.large"} == {3}
    assert {offer["interruption_band"] for offer in offers if offer["instance_type"] != "m5.large"} == {None}
    assert all(1 <= offer["placement_score"] <= 10 for offer in offers)
    assert all(offer["typical_spot_price"] for offer in offers if offer["spot_price"])


def test_rationed_and_slow_answers_are_kept(look: Any, sandbox: Any) -> None:
    options = {"instance_types": TYPES, "placement_score": {"target": 12}}
    look(**options)
    sandbox.post("/sandbox/calls/reset")
    look(**options)
    services = sandbox.get("/sandbox/calls")["services"]
    assert services.keys() == {"ec2"}
    assert services["ec2"].keys() == {"DescribeAvailabilityZones", "DescribeSpotPriceHistory"}


def test_every_call_is_documented(look: Any, sandbox: Any, tmp_path: Path) -> None:
    notes = str(yaml.safe_load(spot_market_info.DOCUMENTATION)["notes"])
    documented = set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", notes))
    look(instance_types=TYPES, placement_score={"target": 14}, history_days=1, cache_dir=str(tmp_path))
    services = sandbox.get("/sandbox/calls")["services"]
    made = {f"{service}:{name}" for service, operations in services.items() for name in operations}
    assert made == documented


@pytest.mark.parametrize(
    "options, words",
    [
        ({"requirements": {"vcpus": {"min": 4, "max": 2}}}, "min 4 is above max 2"),
        ({"history_days": 91}, "history_days is 91"),
        ({"placement_score": {"target": 0}}, "placement_score.target is 0"),
        (
            {"interruption_bands": "/nosuch/advisor.json"},
            "cannot read the interruption bands from /nosuch/advisor.json",
        ),
        ({"regions": ["us-mars-1"]}, "us-mars-1"),
        ({"profile": "nosuch"}, "nosuch"),
    ],
)
def test_bad_input_is_named(look: Any, options: dict[str, Any], words: str) -> None:
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""} if "profile" in options else None
    result = look(env=env, **{"instance_types": TYPES, **options})
    assert result["failed"] and words in result["msg"], result["msg"]


def test_no_credentials(look: Any, tmp_path: Path) -> None:
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    result = look(env=env, instance_types=TYPES, cache_dir=str(tmp_path))
    assert result["failed"] and "there are no AWS credentials; set AWS_ACCESS_KEY_ID" in result["msg"]


@pytest.mark.parametrize(
    "rule, words",
    [
        (
            {"operation": "DescribeSpotPriceHistory", "kind": "denied"},
            "allow the IAM action ec2:DescribeSpotPriceHistory",
        ),
        ({"operation": "DescribeAvailabilityZones", "kind": "expired"}, "credentials have expired"),
    ],
)
def test_refused_calls_say_what_to_do(look: Any, sandbox: Any, rule: dict[str, Any], words: str) -> None:
    sandbox.post("/sandbox/faults", rules=[rule])
    result = look(instance_types=TYPES)
    assert result["failed"] and words in result["msg"], result["msg"]


def test_throttled_calls_are_repeated(look: Any, sandbox: Any) -> None:
    sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    assert look(instance_types=TYPES)["offers"]
