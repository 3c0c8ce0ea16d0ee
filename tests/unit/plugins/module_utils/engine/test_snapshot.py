# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot import app_of, as_json, as_script, compose

NOW = "2026-01-31T12:00:00.000Z"


def event(number):
    return {
        "id": f"e{number}",
        "time": f"2026-01-31T10:{number:02}:00.000Z",
        "kind": "capacity.fallback",
        "summary": "s",
    }


def fleet(**more):
    return {"app": "web", "region": "us-east-1", "group": "g", "cost": {"since": "2026-01-30T12:00:00.000Z"}, **more}


def test_what_nobody_observed_is_missing_and_what_is_empty_is_there():
    made = compose({"fleets": [], "volumes": [], "costs": None}, [], NOW)
    assert made["fleets"] == [] and made["volumes"] == []
    assert not {"costs", "instances", "certificates"} & set(made)


def test_the_newest_events_stay_the_newest_last_and_it_says_how_many_there_were():
    made = compose({"fleets": []}, [event(3), event(1), event(2)], NOW, events_max=2)
    assert [one["id"] for one in made["activity"]] == ["e2", "e3"]
    assert made["truncated"] == {"activity": {"kept": 2, "of": 3}}
    assert "truncated" not in compose({"fleets": []}, [event(1)], NOW, events_max=2)
    assert compose({"fleets": []}, [event(1)], NOW, events_max=0)["activity"] == []


def test_an_event_that_comes_twice_is_there_once():
    assert len(compose({"fleets": []}, [event(1), event(1)], NOW)["activity"]) == 1


def test_what_groups_did_by_themselves_is_activity_of_another_source():
    did = {
        "time": "2026-01-31T11:00:00.000Z",
        "status": "Successful",
        "description": "Launching a new EC2 instance: i-1",
        "message": "",
        "cause": "",
    }
    made = compose({"fleets": [fleet(activities=[did])]}, [event(1)], NOW)
    assert [(one["source"], one["kind"]) for one in made["activity"]] == [
        ("platform", "capacity.fallback"),
        ("autoscaling", "scaling.launched"),
    ]
    assert "activities" not in made["fleets"][0]
    merged = [{**event(1), "source": "platform"}, {**event(2), "source": "autoscaling", "kind": "capacity.launched"}]
    told = compose({"fleets": [fleet(activities=[did])]}, merged, NOW)["activity"]
    assert [one["kind"] for one in told] == ["capacity.fallback", "capacity.launched"], "activity_info tells of it, and it is told once"


def test_a_source_that_an_event_has_stays():
    assert compose({"fleets": []}, [event(1) | {"source": "cloudtrail"}], NOW)["activity"][0]["source"] == "cloudtrail"


def test_period_and_regions_are_those_of_the_fleets():
    made = compose({"fleets": [fleet(), fleet(region="eu-west-1", cost=None)]}, [], NOW, "production")
    assert made["period"] == {"from": "2026-01-30T12:00:00.000Z", "to": NOW}
    assert made["regions"] == ["eu-west-1", "us-east-1"]
    assert (made["made_at"], made["environment"]) == (NOW, "production")


def test_an_error_in_words_is_an_error():
    assert compose({"fleets": [], "errors": ["no access", {"message": "throttled"}]}, [], NOW)["errors"] == [
        {"message": "no access"},
        {"message": "throttled"},
    ]


def test_an_application_is_what_its_manifest_says():
    assert app_of(
        {"name": "web", "owner": "o@example.com", "regions": ["us-east-1"], "capacity": {"unit": "vcpus"}}
    ) == {
        "app": "web",
        "owner": "o@example.com",
        "regions": ["us-east-1"],
        "unit": "vcpus",
        "budget": None,
        "links": {},
    }


def test_the_json_is_ascii_without_what_ends_a_script_and_without_numbers_that_json_lacks():
    text = as_json({"a": "</script><!--\u2028ü", "b": float("nan"), "c": (1, 2.5, True, None), 4: float("inf")})
    assert text.isascii() and "<" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028ü", "b": None, "c": [1, 2.5, True, None], "4": None}


def test_the_script_is_one_call_with_one_string():
    text = as_json({"quote": "'", "backslash": "\\", "line": "\n", "key'": {"__proto__": 1}})
    script = as_script(text)
    assert script.startswith("receive('") and script.endswith("');\n") and script.count("\n") == 1
    inside = script[len("receive('") : -len("');\n")]
    assert inside.replace("\\\\", "").replace("\\'", "").count("'") == 0
    assert inside.replace("\\'", "'").replace("\\\\", "\\") == text
