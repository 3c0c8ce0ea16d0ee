# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where activity events go, and the couriers that take them there without holding up a play.

A sink has a ``name`` for messages, ``linger``, the seconds for which events are collected into one delivery, and
``deliver(events)``, which returns when all of them have arrived. It raises ``Refused`` when trying again cannot help,
and any other exception when it may.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
import urllib.error
import urllib.parse
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from ansible.module_utils.urls import open_url

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts; each pause is twice the one before."""

BATCH = 100
"""Events in one delivery, at most."""


class Refused(Exception):
    """The receiver understood and said no."""


class Sink(Protocol):
    """See the module's description."""

    name: str
    linger: float

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Return when all ``events`` have arrived."""


def to_line(event: dict[str, Any]) -> str:
    """The event as one line of JSON, without the line's end. What JSON does not know is written as text."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


class JsonLines:
    """A file with one event a line, which several runs may append to at once."""

    def __init__(self, path: str) -> None:
        self.name = f"the file {path}"
        self._path = path

    def write(self, events: Iterable[dict[str, Any]]) -> None:
        """Append ``events``. Raises ``OSError``."""
        os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            for event in events:  # one write a line: with O_APPEND, the lines of two runs never mix
                os.write(descriptor, f"{to_line(event)}\n".encode())
        finally:
            os.close(descriptor)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``X-Spot-Signature``: HMAC-SHA256 over ``<timestamp>.<body>``, in hexadecimal."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


class Webhook:
    """An HTTP endpoint that is posted ``{"events": [...]}``, signed when there is a secret.

    The time of the signature is in ``X-Spot-Timestamp`` (seconds since 1970), so that a receiver can turn away replays.
    """

    linger = 0.5

    def __init__(self, url: str, secret: str | None, timeout: float) -> None:
        address = urllib.parse.urlsplit(url)
        self.name = f"the webhook {address.scheme}://{address.hostname}"  # paths and queries of webhooks are secrets
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("a webhook must be an http:// or https:// URL")
        self._url, self._secret, self._timeout = url, secret, timeout

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Post ``events``. Raises ``Refused`` at a 4xx that will stay, ``OSError`` at all that may pass."""
        body = f'{{"events":[{",".join(map(to_line, events))}]}}'.encode()
        timestamp = str(int(time.time()))
        headers = {"Content-Type": "application/json", "User-Agent": "spot.platform", "X-Spot-Timestamp": timestamp}
        if self._secret:
            headers["X-Spot-Signature"] = signature(self._secret, timestamp, body)
        try:
            open_url(self._url, data=body, headers=headers, method="POST", timeout=self._timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (408, 425, 429) or error.code >= 500:
                raise
            raise Refused(f"it answered HTTP {error.code}") from error


class Courier:
    """Takes events to one sink from a thread of its own, in order, again and again while it fails."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[dict[str, Any]] = deque()
        self._taken = self._arrived = 0
        self._error = "the time limit was too short for an attempt"
        self._work_to_do = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"courier to {sink.name}", daemon=True)
        self._thread.start()

    def take(self, event: dict[str, Any]) -> None:
        """Accept an event; returns at once."""
        self._taken += 1
        self._waiting.append(event)
        self._work_to_do.set()

    def finish(self, deadline: float) -> None:
        """No more events will come; stop trying at ``deadline`` (``time.monotonic()``). Returns at once."""
        self._deadline = deadline
        self._closing.set()
        self._work_to_do.set()

    def join(self) -> str | None:
        """Wait until all is delivered or the deadline has come; a sentence about what did not arrive, if anything."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        missing = self._taken - self._arrived
        return f"{missing} activity events did not reach {self._sink.name}: {self._error}" if missing else None

    def _run(self) -> None:
        while not self._closing.is_set() or self._waiting:
            self._work_to_do.wait()
            self._closing.wait(self._sink.linger)
            self._work_to_do.clear()  # before the events are taken: what comes from here on sets it again
            while self._waiting:
                batch = [self._waiting.popleft() for _index in range(min(BATCH, len(self._waiting)))]
                if not self._bring(batch):
                    return

    def _bring(self, batch: list[dict[str, Any]]) -> bool:
        """Deliver ``batch``, unless it is refused; false when time is up."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._sink.deliver(batch)
                self._arrived += len(batch)
                return True
            except Refused as error:
                self._error = str(error)
                return True
            except Exception as error:  # a sink may fail in any way; what is lost is told when the run ends
                self._error = str(error) or type(error).__name__
            if time.monotonic() + FIRST_PAUSE >= self._deadline:
                return False
            self._closing.wait(pause)
            if self._closing.is_set():
                time.sleep(FIRST_PAUSE)
            pause = min(2 * pause, LONGEST_PAUSE)
