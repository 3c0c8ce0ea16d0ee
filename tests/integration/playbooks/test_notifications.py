"""The role ``notifications``, and the welcome mail of an application that is onboarded for the first time."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import REGION, ROOT, WEB, WORKER, Project

MAIL = {"name": "owners", "type": "mail", "sender": "spot@example.com", "to": ["owner"], "region": REGION, "kinds": ["app.onboarded"]}
WRITE = """
- name: Write the channels
  hosts: localhost
  gather_facts: false
  roles:
    - role: spot.platform.notifications
"""


def write(project: Project, *channels: dict[str, Any], code: int = 0) -> str:
    """Run the role; its output on one line."""
    (project.directory / "write.yml").write_text(WRITE, encoding="utf-8")
    inputs = {
        "notifications_file": str(project.directory / "state" / "channels.yml"),
        "notifications_spool": str(project.directory / "state" / "spool"),
        "notifications_channels": channels,
    }
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(project.directory / "targets.spot.yml"), str(project.directory / "write.yml")),
            *("-e", json.dumps(inputs)),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def onboard(project: Project, environment: dict[str, str]) -> None:
    """Onboard with a callback that finds AWS and its channels in ``environment``."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(project.directory / "targets.spot.yml"), "spot.platform.app_onboard"),
        ],
        cwd=ROOT,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_role_writes_what_the_callback_reads_and_again_changes_nothing(project: Project) -> None:
    project.app(WEB)
    project.app({**WORKER, "alerts": {"email": ["ops@example.com"], "unsubscribe": ["capacity.*"]}})
    chat = {"name": "chat", "type": "slack", "url_env": "CHAT_URL"}
    assert "changed=3" in write(project, MAIL, chat)
    path = project.directory / "state" / "channels.yml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["apps"] == {
        "web": {"to": ["owner@example.com"], "unsubscribe": []},
        "worker": {"to": ["ops@example.com"], "unsubscribe": ["capacity.*"]},
    }
    assert [channel["name"] for channel in content["channels"]] == ["owners", "chat"]
    assert content["channels"][1] == chat
    assert "changed=0" in write(project, MAIL, chat)


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({"name": "chat", "type": "slack"}, "channel chat: a channel of type slack needs url or url_env"),
        ({**MAIL, "to": ["nobody"]}, "'nobody' is neither an e-mail address nor owner"),
    ],
)
def test_a_channel_that_cannot_be_used_is_refused_and_nothing_is_written(
    project: Project, channel: dict[str, Any], says: str
) -> None:
    project.app(WEB)
    assert says in write(project, channel, code=2)
    assert not (project.directory / "state").exists()


def test_an_owner_is_welcomed_once_with_the_address(project: Project) -> None:
    project.app(WEB)
    project.sandbox.client("sesv2", REGION).create_email_identity(EmailIdentity="spot@example.com")
    write(project, MAIL)
    channels = {
        "AWS_ENDPOINT_URL": project.sandbox.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "SPOT_ACTIVITY_CHANNELS": str(project.directory / "state" / "channels.yml"),
        "SPOT_ACTIVITY_SPOOL": str(project.directory / "state" / "spool"),
    }

    onboard(project, channels)

    (mail,) = project.sandbox.get("/sandbox/mail")["mails"]
    [balancer] = project.sandbox.client("elbv2", REGION).describe_load_balancers()["LoadBalancers"]
    assert (mail["to"], mail["subject"]) == (["owner@example.com"], f"Welcome: web@{REGION} runs on Spot")
    assert f"http://{balancer['DNSName']}" in mail["text"] and f'href="http://{balancer["DNSName"]}"' in mail["html"]

    onboard(project, channels)

    assert len(project.sandbox.get("/sandbox/mail")["mails"]) == 1
    assert not list((project.directory / "state" / "spool").glob("*/*"))


def test_an_owner_is_welcomed_though_the_run_that_made_the_group_was_killed(project: Project) -> None:
    project.app(WEB)
    events = project.directory / "events.jsonl"
    environment = {
        **os.environ,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": project.sandbox.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "SPOT_ACTIVITY_FILE": str(events),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(project.directory / "targets.spot.yml")]
    killed = subprocess.Popen(
        [*command, "spot.platform.app_onboard"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in killed.stdout or ():
        if line.startswith("TASK [spot.platform.app : Tell that the application was onboarded]"):
            os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert project.sandbox.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    told = [json.loads(line)["kind"] for line in events.read_text(encoding="utf-8").splitlines()]
    assert "capacity.created" in told

    onboard(project, environment)
    onboard(project, environment)

    told += [json.loads(line)["kind"] for line in events.read_text(encoding="utf-8").splitlines()[len(told) :]]
    assert told.count("app.onboarded") in (1, 2), "the killed run may have told it, and not remembered that"
    assert told[-1] != "app.onboarded"
