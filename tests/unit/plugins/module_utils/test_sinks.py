# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.spot.platform.plugins.module_utils import sinks
from ansible_collections.spot.platform.plugins.module_utils.sinks import Courier, JsonLines, Later, Refused, Webhook


class Receiver(ThreadingHTTPServer):
    """A webhook's other end: answers with ``statuses`` in turn, the last one for ever, and keeps what was accepted."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook?key=hidden"
        self.statuses, self.requests, self.release, self.retry_after = [204], [], threading.Event(), None
        self.release.set()
        self.answered = threading.Semaphore(0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.release.wait()
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        self.server.requests.append((status, dict(self.headers), body))
        self.send_response(status)
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.server.answered.release()

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture(name="receiver")
def _receiver(monkeypatch):
    monkeypatch.setattr(sinks, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(Webhook, "linger", 0.01)
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def carry(url, count, seconds, secret=None):
    """What a courier that took ``count`` events says at the end."""
    courier = Courier(Webhook(url, secret, seconds))
    for number in range(count):
        courier.take({"id": number})
    courier.finish(time.monotonic() + seconds)
    return courier.join()


def arrived(receiver):
    """The ids of the events that the receiver accepted, in order."""
    bodies = [json.loads(body) for status, _headers, body in receiver.requests if status < 300]
    return [event["id"] for body in bodies for event in body["events"]]


def test_file_is_appended_to_line_by_line(tmp_path):
    path = tmp_path / "new" / "folder" / "activity.jsonl"
    JsonLines(str(path)).write([{"id": 1, "summary": "Größe\nzwei"}, {"id": 2, "when": {3}}])
    JsonLines(str(path)).write([{"id": 3}])
    assert [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()] == [1, 2, 3]
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0


def test_webhook_is_signed_over_time_and_body(receiver):
    assert carry(receiver.url, 3, 30, secret="key") is None
    _status, headers, body = receiver.requests[0]
    signed = f"{headers['X-Spot-Timestamp']}.".encode() + body
    assert headers["X-Spot-Signature"] == "sha256=" + hmac.new(b"key", signed, hashlib.sha256).hexdigest()
    assert abs(int(headers["X-Spot-Timestamp"]) - time.time()) < 60
    assert headers["Content-Type"] == "application/json"


def test_webhook_without_secret_is_not_signed(receiver):
    assert carry(receiver.url, 1, 30) is None
    assert "X-Spot-Signature" not in receiver.requests[0][1]


def test_events_go_in_order_in_batches(receiver):
    assert carry(receiver.url, 2 * sinks.BATCH + 1, 30) is None
    assert arrived(receiver) == list(range(2 * sinks.BATCH + 1))


def test_webhook_is_tried_again_until_it_takes_the_events(receiver):
    receiver.statuses = [503, 429, 500, 204]
    assert carry(receiver.url, 2, 30) is None
    assert [status for status, _headers, _body in receiver.requests] == [503, 429, 500, 204]
    assert arrived(receiver) == [0, 1]


@pytest.mark.parametrize(
    "asked, least, most",
    [
        ("90", 90, 90),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 10**9, 10**10),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
    ],
)
def test_a_receiver_may_say_when_in_seconds_or_by_a_date(receiver, asked, least, most):
    receiver.statuses, receiver.retry_after = [503], asked
    with pytest.raises(Later, match="it answered HTTP 503, Retry-After: ") as told:
        sinks.post(receiver.url, b"{}", {}, 10)
    assert least <= told.value.seconds <= most


@pytest.mark.parametrize("asked", ["soon", "-1", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_receiver_that_says_nothing_that_can_be_read_is_tried_at_our_pace(receiver, asked):
    receiver.statuses, receiver.retry_after = [503], asked
    with pytest.raises(OSError, match="it answered HTTP 503$"):
        sinks.post(receiver.url, b"{}", {}, 10)


def test_refused_events_are_not_tried_again(receiver):
    receiver.statuses = [404, 204]
    problem = carry(receiver.url, 1, 30)
    assert problem == "1 activity events did not reach the webhook http://127.0.0.1: it answered HTTP 404"
    assert len(receiver.requests) == 1


def test_failing_webhook_is_given_up_at_the_deadline(receiver):
    receiver.statuses = [500]
    courier = Courier(Webhook(receiver.url, None, 30))
    courier.take({"id": 1})
    assert receiver.answered.acquire(timeout=30) and receiver.answered.acquire(timeout=30)  # so one failure is known
    courier.finish(time.monotonic())
    problem = courier.join()
    assert problem.startswith("1 activity events did not reach the webhook http://127.0.0.1: ")
    assert "500" in problem and "hidden" not in problem


def test_hanging_webhook_does_not_hold_the_end(receiver):
    receiver.release.clear()
    problem = carry(receiver.url, 1, 0.1)
    assert "did not reach" in problem


def test_closed_port_is_told(receiver):
    receiver.server_close()
    assert "1 activity events did not reach" in carry("http://127.0.0.1:9/", 1, 0.1)


@pytest.mark.parametrize("url", ["ftp://example.com/x", "example.com", "file:///etc/passwd"])
def test_only_http_is_a_webhook(url):
    with pytest.raises(ValueError, match="must be an http:// or https:// URL"):
        Webhook(url, None, 1)


def test_courier_survives_any_error_of_a_sink():
    class Odd:
        name, linger, errors = "odd", 0.0, [KeyError("x"), Refused("no"), None]

        def deliver(self, events):
            error = self.errors.pop(0)
            if error:
                raise error

    sink = Odd()
    courier = Courier(sink)
    courier.take({"id": 1})
    courier.finish(time.monotonic() + 30)
    assert courier.join() == "1 activity events did not reach odd: no"
    assert sink.errors == [None]
