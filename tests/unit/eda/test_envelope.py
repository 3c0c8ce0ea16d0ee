"""Every event in one shape, whatever brought it, and nothing in it that could harm who reads it."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.event_filter import envelope as event_filter
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import envelope as module
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import EMPTY, KNOWN, envelopes

FIXTURES = Path(__file__).resolve().parents[2] / "integration" / "eda" / "fixtures"
RECEIVED = "2026-11-11T21:30:00.000Z"
AWS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FIXTURES.glob("**/*.json"))
    if path.parent.name != "other"
}
OTHER = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FIXTURES / "other").glob("*.json"))}
INSTANCE = "i-1234567890abcdef0"
EXPECTED = {
    "spot_interruption": ("spot.interruption", [INSTANCE], INSTANCE),
    "spot_rebalance": ("spot.rebalance", [INSTANCE], INSTANCE),
    "instance_state": ("instance.state", ["i-0abcd1111efab2222"], "i-0abcd1111efab2222"),
    "instance_stopping": ("instance.state", ["i-abcd1111abcd1111a"], "i-abcd1111abcd1111a"),
    "autoscaling_launch_successful": ("capacity.launched", [INSTANCE], INSTANCE),
    "autoscaling_launch_unsuccessful": ("capacity.launch_failed", [], None),
    "autoscaling_terminate_successful": ("capacity.terminated", [INSTANCE], INSTANCE),
    "autoscaling_terminate_unsuccessful": ("capacity.terminate_failed", [INSTANCE], INSTANCE),
    "autoscaling_launch_lifecycle": ("capacity.launching", [INSTANCE], INSTANCE),
    "autoscaling_terminate_lifecycle": ("capacity.terminating", [INSTANCE], INSTANCE),
    "volume_create_failed": ("volume.create_volume", [], "vol-01234567"),
    "volume_modify_failed": ("volume.modify_volume", [], "vol-03a55cf56513fa1b6"),
    "certificate_expiring": ("certificate.expiring", [], None),
    "certificate_expired": ("certificate.expired", [], None),
    "deployment_failed": ("deployment.failure", [], "d-123456789"),
    "health_retirement": ("health.scheduled_change", ["i-abcd1111abcd1111a"], "i-abcd1111abcd1111a"),
    "cloudwatch_alarm": ("alarm.firing", ["i-12345678901234567"], "ServerCpuTooHigh"),
}


def only(message, environment="production"):
    """The one event of a message."""
    (found,) = envelopes(message, "sqs us-east-1 q", RECEIVED, environment, "message-1")
    return found


def sound(found) -> None:
    """Assert what must hold of any event, whatever it was made of."""
    assert set(found) == {*EMPTY, "received_at", "source"}
    assert module.KIND.fullmatch(found["kind"]), found["kind"]
    assert isinstance(found["id"], str) and 0 < len(found["id"]) <= module.LONGEST_NAME
    assert found["time"].endswith("Z") and len(found["time"]) == len(RECEIVED)
    assert len(found["summary"]) <= module.LONGEST + 20 and not set(map(ord, found["summary"])) & set(range(32))
    assert all(isinstance(one, str) for one in found["reasons"])
    assert all(module.INSTANCE.fullmatch(one) for one in found["ids"]) and len(set(found["ids"])) == len(found["ids"])
    assert found["app"] is None or module.APP.fullmatch(found["app"])
    assert found["region"] is None or module.REGION.fullmatch(found["region"])
    for key in ("actor", "run"):
        assert found[key] is None or isinstance(found[key], str)
    written = json.dumps(found, ensure_ascii=False, allow_nan=False)
    written.encode("utf-8")
    assert not any(mark in written for mark in ("{{", "{%", "{#"))
    assert json.loads(written) == found


def test_there_is_a_recorded_event_for_each_kind_that_is_known():
    assert {(one["source"], one["detail-type"]) for one in AWS.values()} == set(KNOWN)
    assert set(AWS) == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_event_of_aws_is_read(name):
    event, found = AWS[name], only(AWS[name])
    sound(found)
    kind, ids, resource = EXPECTED[name]
    assert (found["kind"], found["ids"]) == (kind, ids)
    assert found["resource"] == (resource or event["resources"][0])
    assert (found["id"], found["actor"], found["region"]) == (event["id"], event["source"], event["region"])
    assert found["received_at"] == RECEIVED
    assert found["app"] == ("shop" if "autoscaling" in name or "deployment" in name else None)
    assert "None" not in found["summary"]


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"cloudwatch_alarm"}))
def test_the_time_is_the_events_own(name):
    assert only(AWS[name])["time"] == AWS[name]["time"].replace("Z", ".000Z")


def test_an_alarm_has_the_time_of_its_state_and_its_instances():
    found = only(AWS["cloudwatch_alarm"])
    assert (found["time"], found["ids"]) == ("2026-11-11T17:04:40.985Z", ["i-12345678901234567"])
    assert found["reasons"][0].startswith("Threshold Crossed")
    told = copy.deepcopy(AWS["cloudwatch_alarm"])
    del told["detail"]["state"]["timestamp"]
    assert only(told)["time"] == "2026-11-11T17:04:41.000Z"


def test_what_an_autoscaling_event_says_is_kept():
    failed = only(AWS["autoscaling_launch_unsuccessful"])
    assert failed["reasons"][1].startswith("There is no Spot capacity")
    assert failed["after"] == {"group": "production-shop", "status": "Failed", "zone": "us-west-2b"}
    ending = only(AWS["autoscaling_terminate_lifecycle"])["after"]
    assert (ending["lifecycle_hook"], ending["token"]) == ("drain", "87654321-4321-4321-4321-210987654321")


def test_the_cause_of_a_volume_that_could_not_be_made_is_a_reason():
    found = only(AWS["volume_create_failed"])
    assert found["reasons"] == ["arn:aws:kms:us-east-1:123456789012:key/01234567-0123-0123-0123-0123456789ab is disabled."]
    assert found["summary"] == "vol-01234567: createVolume failed"


def test_an_event_that_nobody_has_words_for_is_named_by_its_source_and_type():
    found = only(
        {"detail-type": "AWS API Call via CloudTrail", "source": "aws.elastic-thing", "detail": {"instance-id": INSTANCE}}
    )
    assert (found["kind"], found["ids"]) == ("elastic_thing.aws_api_call_via_cloud_trail", [INSTANCE])


def test_a_notification_in_a_queue_is_the_event_that_it_carries():
    found = only(OTHER["sns_wrapped_interruption"])
    event = AWS["spot_interruption"]
    assert (found["id"], found["region"], found["kind"]) == (event["id"], event["region"], "spot.interruption")
    assert found["actor"] == "aws.ec2"


def test_a_wrapped_event_comes_out_the_same_also_as_text():
    assert only(json.dumps(OTHER["sns_wrapped_interruption"])) == only(OTHER["sns_wrapped_interruption"])


def test_an_alarm_by_sns_is_read():
    found = only(OTHER["sns_alarm"])
    assert (found["kind"], found["ids"], found["resource"]) == ("alarm.resolved", ["i-0abcd1111efab2222"], "example")
    assert (found["time"], found["region"]) == ("2026-11-11T16:30:42.236Z", "us-west-2")
    assert found["id"] == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324/0"


def test_a_text_by_sns_is_summed_up_by_its_subject():
    found = only(OTHER["sns_text"])
    assert (found["kind"], found["summary"], found["after"]) == ("message.text", "My First Message", "Hello world!")


def test_alerts_are_events_of_their_own_and_firing_and_resolved_are_two():
    firing, resolved = envelopes(OTHER["alertmanager"], "alertmanager", RECEIVED)
    assert (firing["kind"], firing["ids"], firing["app"]) == ("alert.firing", ["i-0abcd1111efab2222"], "shop")
    assert (resolved["kind"], resolved["ids"]) == ("alert.resolved", ["i-0abcd1111efab3333"])
    assert (firing["time"], resolved["time"]) == ("2026-11-11T21:00:00.123Z", "2026-11-11T21:20:00.500Z")
    assert firing["summary"] == "HighLatency: p99 is above 500 ms"
    again = copy.deepcopy(OTHER["alertmanager"])
    again["alerts"][0]["status"] = "resolved"
    assert envelopes(again, "alertmanager", RECEIVED)[0]["id"] != firing["id"]
    assert [one["id"] for one in envelopes(OTHER["alertmanager"], "x", "")] == [firing["id"], resolved["id"]]


def test_an_alert_may_say_what_it_means_while_it_fires():
    told = copy.deepcopy(OTHER["alertmanager"])
    for one in told["alerts"]:
        one["labels"]["event_kind"] = "instance.unhealthy"
    assert [one["kind"] for one in envelopes(told, "x", "")] == ["instance.unhealthy", "alert.resolved"]
    told["alerts"][0]["labels"]["event_kind"] = "rm -rf"
    assert envelopes(told, "x", "")[0]["kind"] == "alert.firing"


def test_an_alert_of_a_file_system_names_it_by_instance_and_mount_point():
    told = copy.deepcopy(OTHER["alertmanager"])
    told["alerts"][0]["labels"] |= {"event_kind": "volume.filling", "instance_id": "i-0abcd1111efab2222", "mountpoint": "/srv/data"}
    found = envelopes(told, "x", "")[0]
    assert (found["kind"], found["resource"], found["ids"]) == ("volume.filling", "i-0abcd1111efab2222:/srv/data", ["i-0abcd1111efab2222"])


def test_our_own_activity_comes_back_as_it_was():
    (event,) = OTHER["activity"]["events"]
    found = only(OTHER["activity"])
    assert {key: found[key] for key in event} == event


def test_fields_of_another_type_than_ours_are_left_out():
    found = only({"kind": "a.b", "id": 7, "app": ["x"], "region": {}, "ids": "i-12345678", "changed": "yes", "reasons": [1, "r"]})
    sound(found)
    assert (found["id"], found["app"], found["ids"], found["changed"], found["reasons"]) == (
        "message-1/0",
        None,
        [],
        False,
        ["r"],
    )


@pytest.mark.parametrize("text", ["{{ lookup('pipe', 'id') }}", "{% if 1 %}", "{# x #}", "{{{{ x }}", "{\x00{ x }}", "{{{% x %}"])
def test_templates_are_made_inert_wherever_they_are(text):
    found = only(
        {
            "kind": "a.b",
            "id": text,
            "summary": text,
            "reasons": [text],
            "resource": text,
            "actor": text,
            "after": {text: [{"x": text}]},
        }
    )
    sound(found)
    for one in envelopes(
        {"alerts": [{"labels": {"alertname": text, text: text}, "annotations": {"summary": text}}]}, "x", RECEIVED
    ):
        sound(one)
    for name in AWS:
        told = copy.deepcopy(AWS[name])
        told["detail"] = {key: text if isinstance(value, str) else value for key, value in told["detail"].items()}
        told |= {"resources": [text], "region": text, "id": text}
        sound(only(told))


def test_an_app_or_region_that_is_no_name_is_not_one():
    for bad in ("all:!localhost", "../../etc", "a b", "x" * 200, "", "-x", "https://evil/"):
        found = only({"kind": "a.b", "app": bad, "region": bad})
        assert (found["app"], found["region"]) == (None, None)
    found = only({"kind": "a.b", "app": "shop-2", "region": "us-gov-west-1"})
    assert (found["app"], found["region"]) == ("shop-2", "us-gov-west-1")


def test_half_characters_and_endless_numbers_are_written_as_what_all_can_read():
    found = only(
        '{"kind": "a.b", "id": "\\ud800", "summary": "\\udfff", "after": [NaN, Infinity, 1e999, 123456789012345678901234567890]}'
    )
    sound(found)
    assert found["after"] == [None, None, None, "123456789012345678901234567890"]


@pytest.mark.parametrize("opening, closing", [('{"kind":', "}"), ("[", "]"), ('{"alerts":[', "]}"), ('{"a":[', "]}")])
def test_what_is_nested_without_end_is_cut(opening, closing):
    for depth in (10, 500, 5_000, 50_000):
        for one in envelopes(opening * depth + "1" + closing * depth, "x", RECEIVED):
            sound(one)


def test_values_nested_deeply_by_whoever_calls_are_cut():
    value: object = 1
    for _level in range(100_000):
        value = [value]
    found = only({"kind": "a.b", "after": value})
    sound(found)
    while isinstance(value, list):  # or its end is as deep as it
        value = value[0]


def test_notifications_within_notifications_end_somewhere():
    message = OTHER["sns_text"]
    for _level in range(8):
        message = {**OTHER["sns_text"], "Message": json.dumps(message)}
    found = only(message)
    sound(found)
    assert found["kind"] == "message.unknown"


def test_huge_texts_are_cut_where_they_name_a_thing_and_two_of_them_stay_two():
    huge = "x" * 1_000_000
    one, two = only({"kind": "a.b", "id": huge + "1", "summary": huge}), only({"kind": "a.b", "id": huge + "2"})
    sound(one)
    assert one["id"] != two["id"]


def test_a_message_without_an_id_has_that_of_whoever_brought_it_or_of_its_content():
    assert only({"kind": "a.b"})["id"] == "message-1/0"
    one, same, other = (envelopes({"kind": "a.b", "summary": text}, "x", RECEIVED)[0]["id"] for text in ("x", "x", "y"))
    assert one == same != other


STRANGE = (
    None, True, 0, -1, 1.5, 10**30, float("nan"), "", "x", "{{ x }}", "\x00\x1b[31m", "\ud800", "i-12345678", "9" * 5000, [], [[]], {}, {"a": 1}, [None],
    "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "{", '{"kind": "a.b"}', "arn:aws:sns:::::", "spot.interruption",
)  # fmt: skip


def mutated(value, dice: random.Random):
    """The value with something in it exchanged, removed or doubled."""
    if dice.random() < 0.15:
        return copy.deepcopy(dice.choice(STRANGE))
    if isinstance(value, dict) and value:
        key = dice.choice(list(value))
        where = dice.random()
        if where < 0.15:
            return {name: one for name, one in value.items() if name != key}
        if where < 0.25:
            return {
                **value,
                dice.choice(("kind", "alerts", "events", "detail", "Type", "\ud800", "{{ x }}")): dice.choice(STRANGE),
            }
        return {**value, key: mutated(value[key], dice)}
    if isinstance(value, list) and value:
        place = dice.randrange(len(value))
        return [*value[:place], mutated(value[place], dice), *value[place + dice.randrange(2) :]]
    if isinstance(value, str) and value and dice.random() < 0.5:
        place = dice.randrange(len(value))
        return value[:place] + dice.choice(("", "\x00", "{{", "\ud800", '"', "\\", "é")) + value[place + dice.randrange(3) :]
    return copy.deepcopy(dice.choice(STRANGE))


def test_ten_thousand_mutated_messages_raise_nothing_and_stay_sound():
    dice, seeds = random.Random(4), [*AWS.values(), *OTHER.values()]
    for _number in range(10_000):
        message = dice.choice(seeds)
        for _change in range(dice.randint(1, 4)):
            message = mutated(message, dice)
        if dice.random() < 0.3:
            text = json.dumps(message)
            message = text[: dice.randrange(len(text) + 1)] if dice.random() < 0.3 else text
        for found in envelopes(message, "fuzz", RECEIVED, "production", "m"):
            sound(found)


def test_the_filter_takes_a_payload_apart_and_keeps_what_ansible_rulebook_added():
    meta = {"source": {"name": "hook", "type": "eda.builtin.webhook"}}
    firing, resolved = event_filter.main({"payload": OTHER["alertmanager"], "meta": meta}, source="hook")
    assert (firing["kind"], resolved["kind"], firing["meta"], firing["receipt"]) == ("alert.firing", "alert.resolved", meta, "")
    assert firing["events"][0]["source"] == "hook"


def test_the_filter_believes_nobody_who_says_that_it_is_a_batch_with_a_receipt():
    told = event_filter.main({"batch": "1", "kind": "spot.interruption", "ids": [INSTANCE], "receipt": "/etc/passwd"})
    assert (told["receipt"], told["kind"], told["ids"]) == ("", "spot.interruption", [INSTANCE])
    assert told["batch"] != "1"


@pytest.mark.parametrize("event", [{}, {"payload": None}, {"payload": []}, {"meta": "x"}, {"payload": "\ud800"}, {"alerts": [1]}])
def test_the_filter_takes_anything(event):
    made = event_filter.main(event)
    for one in made if isinstance(made, list) else [made]:
        sound(one["events"][0])


def test_the_filter_names_an_option_that_it_does_not_have():
    with pytest.raises(ValueError, match="'sauce' was unexpected"):
        event_filter.main({}, sauce="x")
