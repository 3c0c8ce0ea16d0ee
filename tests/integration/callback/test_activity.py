# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The activity callback in real playbooks: what is recorded, what is not, and where it arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PLAYBOOK = """
- name: Lay the network
  hosts: shop@eu-west-1
  gather_facts: false
  module_defaults:
    group/amazon.aws.aws: {region: eu-west-1}
  tasks:
    - name: Make the VPC
      amazon.aws.ec2_vpc_net: {name: shop, cidr_block: 10.0.0.0/16}
      register: vpc
    - name: Make the subnet of {{ item.az }}
      amazon.aws.ec2_vpc_subnet: {vpc_id: "{{ vpc.vpc.id }}", cidr: "{{ item.cidr }}", az: "{{ item.az }}"}
      loop: [{az: eu-west-1a, cidr: 10.0.0.0/24}, {az: eu-west-1b, cidr: 10.0.1.0/24}]
      loop_control: {label: "{{ item.az }}"}
    - name: Make the hidden gateway
      amazon.aws.ec2_vpc_igw: {vpc_id: "{{ vpc.vpc.id }}"}
      no_log: true
    - name: Find the VPC
      amazon.aws.ec2_vpc_net_info:
    - name: Show what was done before
      spot.platform.activity_info: {region: eu-west-1, sources: [cloudtrail], all: true}
      register: shown
      failed_when: shown.activity | length == 0
    - name: Change something that is not AWS
      ansible.builtin.command: "true"
"""


@pytest.fixture(name="play")
def _play(fresh, tmp_path):
    def run(playbook, *arguments, **environment):
        (tmp_path / "playbook.yml").write_text(playbook, encoding="utf-8")
        target = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"hosts": {"shop@eu-west-1": target}}}
        (tmp_path / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "playbook.yml"), *arguments],
            cwd=ROOT,
            env={**os.environ, **fresh.env, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_INVENTORY_ENABLED": "yaml", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(name="hook")
def _hook():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format, *args):
            """Say nothing."""

    bodies = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.bodies = bodies
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def events_of(lines):
    return [json.loads(line) for line in lines.splitlines()]


def test_changes_reach_every_sink(play, fresh, hook, tmp_path):
    s3, logs = fresh.client("s3"), fresh.client("logs")
    s3.create_bucket(Bucket="activity")
    logs.create_log_group(logGroupName="activity")
    path = tmp_path / "new" / "activity.jsonl"
    play(
        PLAYBOOK,
        "--extra-vars",
        "awx_user_name=ann awx_job_id=7",
        SPOT_ACTIVITY_FILE=str(path),
        SPOT_ACTIVITY_S3_BUCKET="activity",
        SPOT_ACTIVITY_LOG_GROUP="activity",
        SPOT_ACTIVITY_WEBHOOKS=f"http://127.0.0.1:{hook.server_port}/hook",
    )
    written = events_of(path.read_text(encoding="utf-8"))
    assert [(event["kind"], event["summary"]) for event in written] == [
        ("lay_the_network.ec2_vpc_net", "Make the VPC"),
        ("lay_the_network.ec2_vpc_subnet", "Make the subnet of (eu-west-1a)"),
        ("lay_the_network.ec2_vpc_subnet", "Make the subnet of (eu-west-1b)"),
    ]
    assert [event["resource"].split("-")[0] for event in written] == ["vpc", "subnet", "subnet"]
    for event in written:
        assert (event["app"], event["region"]) == ("shop", "eu-west-1")
        assert (event["actor"], event["run"], event["changed"]) == ("ann", "7", True)
    (entry,) = s3.list_objects_v2(Bucket="activity")["Contents"]
    assert entry["Key"].startswith("activity/") and entry["Key"].endswith("-7.jsonl")
    stored = s3.get_object(Bucket="activity", Key=entry["Key"])["Body"].read().decode()
    assert events_of(stored) == written
    messages = logs.get_log_events(logGroupName="activity", logStreamName="7")["events"]
    assert [json.loads(message["message"]) for message in messages] == written
    assert [event for body in hook.bodies for event in body["events"]] == written


def test_check_mode_records_nothing(play, tmp_path):
    path = tmp_path / "activity.jsonl"
    playbook = "\n".join(PLAYBOOK.splitlines()[:9])  # what comes after needs the VPC
    play(playbook, "--check", SPOT_ACTIVITY_FILE=str(path))
    assert not path.exists()


def test_a_sink_that_fails_is_one_warning(play, tmp_path):
    playbook = "\n".join(PLAYBOOK.splitlines()[:9])
    output = play(
        playbook,
        SPOT_ACTIVITY_FILE=str(tmp_path),  # a folder
        SPOT_ACTIVITY_S3_BUCKET="there-is-none",
        SPOT_ACTIVITY_WEBHOOKS="http://127.0.0.1:9/secret-path,ftp://x",
        SPOT_ACTIVITY_TIME_LIMIT="2",
    )
    told = " ".join(output.split())
    assert told.count("Activity events are not written to the file") == 1
    assert told.count("1 activity events did not reach s3://there-is-none/") == 1
    assert told.count("1 activity events did not reach the webhook http://127.0.0.1") == 1
    assert "Activity events are not sent to webhook 2: a webhook must be an http:// or https:// URL" in told
    assert "secret-path" not in told
