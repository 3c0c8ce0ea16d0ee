"""The arguments of sources and filters are what their documentation says."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import yaml
from ansible_collections.spot.platform.extensions.eda.plugins.event_filter import envelope
from ansible_collections.spot.platform.extensions.eda.plugins.event_source import alertmanager, sns, sqs, webhook
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked, described, schema
from jsonschema import Draft202012Validator

PLUGINS = [alertmanager, sns, sqs, webhook, envelope]
TOPIC = "arn:aws:sns:eu-west-1:123456789012:t"
SECRET = "not-to-be-shown-anywhere"


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_each_documentation_is_a_schema_and_its_defaults_fit_it(plugin):
    made = schema(plugin.DOCUMENTATION)
    Draft202012Validator.check_schema(made)
    defaults = {key: one["default"] for key, one in made["properties"].items() if "default" in one}
    needed = {key: {"integer": 5000}[made["properties"][key]["type"]] for key in made["required"]}
    Draft202012Validator(made).validate({**defaults, **needed})
    assert set(checked(plugin.DOCUMENTATION, needed)) == set(described(plugin.DOCUMENTATION)["options"])


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_each_example_has_arguments_that_fit(plugin):
    name = described(plugin.DOCUMENTATION)["name"]
    (example,) = yaml.safe_load(plugin.EXAMPLES)
    found = [one[name] for one in (example, *example.get("filters", ())) if name in one]
    assert len(found) == 1
    assert checked(plugin.DOCUMENTATION, found[0]).items() >= found[0].items()


def test_texts_of_a_rulebooks_variables_become_what_they_say():
    given = {"port": "5000", "window": "2.5", "topics": f"{TOPIC}, {TOPIC}2", "signature_versions": "1", "environment": ""}
    found = checked(sns.DOCUMENTATION, given)
    assert (found["port"], found["window"], found["topics"], found["signature_versions"]) == (
        5000,
        2.5,
        [TOPIC, f"{TOPIC}2"],
        ["1"],
    )
    assert (found["environment"], found["acknowledge"], found["host"]) == (None, "handled", "127.0.0.1")


def test_what_ansible_rulebook_adds_itself_is_no_option():
    assert "feedback" not in checked(sqs.DOCUMENTATION, {"feedback": True, "eda_feedback_queue": object()})


@pytest.mark.parametrize(
    "plugin, arguments, words",
    [
        (sns, {}, "spot.platform.sns: 'port' is a required property; the options are"),
        (sns, {"port": "five"}, "port: 'five' is not of type 'integer'"),
        (sns, {"port": True}, "port: True is not of type 'integer'"),
        (sns, {"port": 1, "signature_versions": ["3"]}, "signature_versions.0: '3' is not one of"),
        (sns, {"port": 1, "topic": TOPIC}, "'topic' was unexpected"),
        (sqs, {"queues": [{"name": "q"}]}, "queues.0: 'region' is a required property"),
        (sqs, {"queues": [{"name": "q", "region": "r", "url": "u"}]}, "queues.0: .*'url' was unexpected"),
        (sqs, {"queues": "q"}, "queues: 'q' is not of type 'array'"),
        (sqs, {"acknowledge": "never"}, "acknowledge: 'never' is not one of"),
        (webhook, {"port": 1, "window": []}, "window: .* is not of type 'number'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_value(plugin, arguments, words):
    with pytest.raises(ValueError, match=words):
        checked(plugin.DOCUMENTATION, arguments)


@pytest.mark.parametrize(
    "plugin, option", [(alertmanager, "token"), (alertmanager, "password"), (webhook, "secret"), (sqs, "secret_key")]
)
def test_a_secret_is_never_shown(plugin, option):
    with pytest.raises(ValueError, match=f"{option}: a secret that does not fit") as told:
        checked(plugin.DOCUMENTATION, {"port": 1, option: [SECRET]} if plugin is not sqs else {option: [SECRET]})
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    "plugin, arguments, words",
    [
        (sns, {"topics": [TOPIC], "max_age": 3600}, "max_age is 3600, not from 1 to 3540"),
        (sns, {"topics": [TOPIC], "max_age": 0}, "max_age is 0"),
        (sns, {"topics": ["arn:aws:sqs:eu-west-1:123456789012:t"]}, "is not the ARN of a topic"),
        (webhook, {"secret": "short"}, "the secret has 5 characters, fewer than 16"),
        (webhook, {"secret": SECRET, "replay_seconds": 1801}, "replay_seconds is 1801, not from 1 to 1800"),
        (webhook, {"secret": SECRET, "body_limit": 0}, "the limit of body is 0"),
        (webhook, {"secret": SECRET, "rate_limit": -1}, "the limit of rate is -1"),
        (webhook, {"secret": SECRET, "connection_limit": 0}, "the limit of connections is 0"),
        (webhook, {"secret": SECRET, "request_seconds": ".nan"}, "the limit of seconds is nan"),
        (webhook, {"secret": SECRET, "port": 65536}, "port is 65536"),
        (webhook, {"secret": SECRET, "window": -1}, "window is -1"),
        (webhook, {"secret": SECRET, "window": ".nan"}, "window is nan"),
        (webhook, {"secret": SECRET, "attempts": 0}, "attempts is 0, below 1"),
        (webhook, {"secret": SECRET, "keyfile": "/k"}, "keyfile is given without certfile"),
        (alertmanager, {"token": "t", "username": "u", "password": "p"}, "give either token, or username and password"),
        (alertmanager, {"username": "u"}, "give either token, or username and password"),
        (alertmanager, {"password": "p"}, "give either token, or username and password"),
        (sqs, {"queues": [{"name": "q", "region": "eu-west-1"}], "wait": 21}, "wait must be from 0 to 20"),
        (sqs, {"queues": [{"name": "q", "region": "eu-west-1"}], "visibility": 9}, "visibility from 10"),
        (sqs, {"queues": [{"name": "q", "region": "eu-west-1"}], "pollers": 11}, "pollers from 1 to 10"),
    ],
)
def test_a_value_that_cannot_be_meant_ends_the_source_with_a_sentence(plugin, arguments, words):
    arguments = arguments if plugin is sqs else {"port": 0, **arguments}
    with pytest.raises(ValueError, match=words):
        asyncio.run(asyncio.wait_for(plugin.main(asyncio.Queue(), arguments), 10))


def test_authorities_that_are_none_end_the_source_at_its_start(tmp_path):
    (tmp_path / "ca.pem").write_text("", encoding="utf-8")
    with pytest.raises(ValueError):
        asyncio.run(
            asyncio.wait_for(sns.main(asyncio.Queue(), {"port": 0, "topics": [TOPIC], "ca_file": str(tmp_path / "ca.pem")}), 10)
        )


@pytest.mark.parametrize(
    "plugin, arguments", [(sns, {"port": 1}), (sqs, {}), (webhook, {"port": 1}), (alertmanager, {"port": 1})]
)
def test_a_source_that_is_not_wanted_does_nothing_until_it_is_ended(plugin, arguments):
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(plugin.main(asyncio.Queue(), arguments), 0.2))


def test_each_can_be_run_by_its_path_as_ansible_rulebook_runs_it():
    code = "import runpy, sys; print(*('main' in runpy.run_path(path) for path in sys.argv[1:]))"
    paths = [plugin.__file__ for plugin in PLUGINS]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["True"] * len(PLUGINS), "")
