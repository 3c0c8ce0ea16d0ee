# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels in real playbooks: receivers that fail, are slow, refuse or ask for patience, and what is kept for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from ansible_collections.spot.platform.plugins.module_utils.sinks import signature

ROOT = Path(__file__).resolve().parents[3]
BUCKETS = """
- name: Make buckets
  hosts: shop@eu-west-1
  gather_facts: false
  tasks:
    - name: Make a bucket
      amazon.aws.s3_bucket: {name: "shop-{{ item }}", region: eu-west-1}
      loop: "{{ range(count | int) | list }}"
"""
HANG = "    - name: Hang\n      ansible.builtin.command: sleep 60\n"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        status = server.statuses.pop(0) if len(server.statuses) > 1 else server.statuses[0]
        server.seen.append((status, dict(self.headers), body, time.monotonic()))
        server.came.set()
        server.release.wait(30)
        try:
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", server.retry_after)
            self.end_headers()
        except OSError:
            pass  # the client did not wait

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture(name="hook")
def _hook():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.statuses, server.seen, server.retry_after = [200], [], "1"
    server.release, server.came = threading.Event(), threading.Event()
    server.release.set()
    server.url = f"http://127.0.0.1:{server.server_port}/hidden-path"
    server.accepted = lambda: [json.loads(body) for status, _headers, body, _time in server.seen if status == 200]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Desk:
    """A playbook with channels, its spool, and the resend."""

    def __init__(self, sandbox, directory):
        self.directory, self.spool, self.file = directory, directory / "spool", directory / "channels.yml"
        target = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"all": {"hosts": {"shop@eu-west-1": target, "localhost": target}}}
        (directory / "hosts.yml").write_text(json.dumps(hosts), encoding="utf-8")
        self.env = {
            **os.environ, **sandbox.env, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_INVENTORY_ENABLED": "yaml",
            "AWS_DEFAULT_REGION": "eu-west-1", "SPOT_ACTIVITY_CHANNELS": str(self.file),
            "SPOT_ACTIVITY_SPOOL": str(self.spool), "SPOT_ACTIVITY_TIME_LIMIT": "3",
        }  # fmt: skip

    def channels(self, *channels, **apps):
        self.file.write_text(yaml.safe_dump({"channels": list(channels), "apps": apps}), encoding="utf-8")

    def start(self, playbook=None, count=2, **environment):
        what = "spot.platform.notifications_resend"
        if playbook:
            what = str(self.directory / "playbook.yml")
            Path(what).write_text(playbook, encoding="utf-8")
        return subprocess.Popen(
            ["ansible-playbook", "-i", str(self.directory / "hosts.yml"), what, "-e", f"count={count}"],
            cwd=ROOT, env={**self.env, **environment}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def play(self, playbook=None, count=2, **environment):
        process = self.start(playbook, count, **environment)
        output, _nothing = process.communicate(timeout=240)
        assert process.returncode == 0, output
        return " ".join(output.split())

    def letters(self):
        return sorted(self.spool.glob("*/*.jsonl"))


@pytest.fixture(name="desk")
def _desk(fresh, tmp_path):
    return Desk(fresh, tmp_path)


def hook_channel(hook, **more):
    return {"name": "hook", "type": "webhook", "url": hook.url, **more}


def summaries(hook):
    return [event["summary"] for body in hook.accepted() for event in body["events"]]


def test_a_webhook_that_fails_at_first_gets_all_signed_and_nothing_is_kept(desk, hook):
    hook.statuses = [503, 500, 200]
    desk.channels(hook_channel(hook, secret_env="HOOK_KEY"))
    desk.play(BUCKETS, HOOK_KEY="k")
    assert len(summaries(hook)) == 2 and desk.letters() == []
    for _status, headers, body, _time in hook.seen:
        assert headers["X-Spot-Signature"] == signature("k", headers["X-Spot-Timestamp"], body)


def test_what_is_refused_stays_and_is_sent_by_the_resend(desk, hook):
    hook.statuses = [403]
    desk.channels(hook_channel(hook))
    told = desk.play(BUCKETS)
    assert "2 activity events did not reach the channel hook: it answered HTTP 403" in told
    (letter,) = desk.letters()
    assert letter.stat().st_mode & 0o777 == 0o600
    assert "hidden-path" not in letter.read_text(encoding="utf-8") + told
    told = desk.play()
    assert "0 of 2 events were sent" in told and desk.letters() == [letter]
    hook.statuses = [200]
    desk.play()
    assert len(summaries(hook)) == 2 and desk.letters() == []


def test_a_slow_receiver_holds_no_play_up_beyond_the_time_limit(desk, hook):
    hook.release.clear()
    desk.channels(hook_channel(hook), {**hook_channel(hook), "name": "other"})
    process = desk.start(BUCKETS, 1)
    assert hook.came.wait(60)
    output, _nothing = process.communicate(timeout=25)  # the receiver would keep it for 30 seconds, each of the channels
    assert process.returncode == 0, output
    assert [letter.parent.name for letter in desk.letters()] == ["hook", "other"]
    hook.release.set()
    desk.play()
    assert desk.letters() == [] and len(summaries(hook)) >= 2


def test_a_receiver_that_asks_for_patience_gets_it(desk, hook):
    hook.statuses, hook.retry_after = [429, 200], "2"
    desk.channels({"name": "chat", "type": "slack", "url_env": "CHAT"})
    desk.play(BUCKETS, 1, CHAT=hook.url, SPOT_ACTIVITY_TIME_LIMIT="8")
    (first, second) = hook.seen
    assert second[3] - first[3] >= 2
    (message,) = hook.accepted()
    assert message == {"text": message["text"]} and "Make a bucket" in message["text"] and desk.letters() == []


def test_a_storm_is_one_digest_and_filters_hold(desk, hook):
    desk.channels(
        {"name": "chat", "type": "slack", "url": hook.url, "digest_above": 3},
        hook_channel(hook, kinds=["deployment.*"]),
    )
    desk.play(BUCKETS, 8)
    texts = [message["text"] for message in hook.accepted()]
    assert all("events" not in message for message in hook.accepted())
    # On a slow machine the fourth may be on its way alone before the third is known to be told.
    assert any("activity.digest" in text for text in texts) and len(texts) <= 5


def test_events_of_a_playbook_that_was_killed_arrive_by_the_resend(desk, hook):
    hook.statuses = [500]
    desk.channels(hook_channel(hook))
    process = desk.start(BUCKETS + HANG, 3)
    deadline = time.monotonic() + 60
    while sum(letter.read_bytes().count(b'"event"') for letter in desk.letters()) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    during = desk.play()  # the playbook has its letter, nobody takes it away
    assert "another process is sending it" in during
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert hook.accepted() == []
    hook.statuses = [200]
    desk.play()
    assert len(summaries(hook)) == 3 and desk.letters() == []


def test_two_resends_at_once_send_nothing_twice(desk, hook):
    hook.statuses = [403]
    desk.channels(hook_channel(hook))
    for _round in range(3):
        desk.play(BUCKETS.replace("shop-{{ item }}", f"shop-{_round}-{{{{ item }}}}"), 1)
    assert len(desk.letters()) == 3
    hook.statuses = [200]
    both = [desk.start(), desk.start()]
    for process in both:
        output, _nothing = process.communicate(timeout=120)
        assert process.returncode == 0, output
    ids = [event["id"] for body in hook.accepted() for event in body["events"]]
    assert len(ids) == len(set(ids)) == 3 and desk.letters() == []


def test_a_topic_gets_events_with_their_attributes(desk, fresh):
    sns, sqs = fresh.client("sns", "eu-west-1"), fresh.client("sqs", "eu-west-1")
    topic = sns.create_topic(Name="activity")["TopicArn"]
    queue = sqs.create_queue(QueueName="activity")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Statement": [allowed]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    desk.channels({"name": "topic", "type": "sns", "topic_arn": topic})
    desk.play(BUCKETS, 2, SPOT_ACTIVITY_TIME_LIMIT="10")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [json.loads(message["Body"]) for message in messages]
    assert len(bodies) == 2 and desk.letters() == []
    for body in bodies:
        event = json.loads(body["Message"])
        values = {name: said["Value"] for name, said in body["MessageAttributes"].items()}
        assert values == {"app": "shop", "region": "eu-west-1", "kind": event["kind"]}
        assert body["Subject"].startswith("make_buckets.s3_bucket: Make a bucket")


def test_an_owner_gets_mail_and_a_bad_sender_keeps_it_for_later(desk, fresh):
    ses = fresh.client("sesv2", "eu-west-1")
    mail = {"name": "mail", "type": "mail", "sender": "spot@example.com", "to": ["owner"], "region": "eu-west-1"}
    desk.channels(mail, shop={"to": ["ann@example.com"], "unsubscribe": []})
    told = desk.play(BUCKETS, 1)
    assert "1 activity events did not reach the channel mail" in told and len(desk.letters()) == 1
    ses.create_email_identity(EmailIdentity="spot@example.com")
    desk.play()
    (sent,) = fresh.get("/sandbox/mail")["mails"]
    assert (sent["to"], sent["from"]) == (["ann@example.com"], "spot@example.com")
    assert "Make a bucket" in sent["subject"] and "Make a bucket" in sent["text"] and "<h1" in sent["html"]
    assert "List-Unsubscribe" in sent["headers"] and desk.letters() == []


def test_a_channels_file_that_is_wrong_is_one_warning(desk):
    desk.channels({"name": "x", "type": "fax"})
    assert "sent to no channel: the channels file" in desk.play(BUCKETS, 1)
