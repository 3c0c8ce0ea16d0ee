# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where activity events go, and the couriers that take them there without holding up a play.

A sink has a ``name`` for messages, ``linger``, the seconds for which events are collected into one delivery, and
``deliver(events)``, which returns when all of them have arrived. It raises ``Refused`` when trying again cannot help,
``Later`` when it may after a while that the receiver named, and any other exception when it may.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import threading
import time
import urllib.error
import urllib.parse
from collections import deque
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from ansible.module_utils.urls import open_url

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts; each pause is up to twice the one before, less a part that chance decides, so that runs which
failed together do not come again together."""

BATCH = 100
"""Events in one delivery, at most."""


class Refused(Exception):
    """The receiver understood and said no."""


class Later(Exception):
    """The receiver wants to be left alone for so many ``seconds``."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Sink(Protocol):
    """See the module's description."""

    name: str
    linger: float

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Return when all ``events`` have arrived."""


def to_line(event: dict[str, Any]) -> str:
    """The event as one line of JSON, without the line's end. What JSON does not know is written as text, and half a surrogate, which
    no encoding knows, as a question mark."""
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)
    return line.encode(errors="replace").decode()


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
        post(self._url, body, headers, self._timeout)


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> None:
    """Post ``body``. Raises ``Refused`` at a 4xx that will stay, ``Later`` where the receiver says when, ``OSError`` at all
    else that may pass. No message has the URL in it."""
    try:
        open_url(url, data=body, headers=headers, method="POST", timeout=timeout, follow_redirects="none").close()
    except urllib.error.HTTPError as error:
        asked = error.headers.get("Retry-After") or ""
        wait = _wait(asked)
        error.close()
        if error.code in (429, 503) and wait is not None:
            raise Later(f"it answered HTTP {error.code}, Retry-After: {asked}", wait) from None
        if error.code in (408, 425, 429) or error.code >= 500:
            raise OSError(f"it answered HTTP {error.code}") from None
        raise Refused(f"it answered HTTP {error.code}") from None


def _wait(asked: str) -> float | None:
    """The seconds that a Retry-After names, as a number or as a date (RFC 9110, section 10.2.3); ``None`` where it is neither."""
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


class Courier:
    """Takes events to one sink from a thread of its own, in order, again and again while it fails."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._batch = getattr(sink, "batch", BATCH)
        self._waiting: deque[dict[str, Any]] = deque()
        self._taken = self._arrived = 0
        self.error = "the time limit was too short for an attempt"
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
        return f"{missing} activity events did not reach {self._sink.name}: {self.error}" if missing else None

    def _run(self) -> None:
        while not self._closing.is_set() or self._waiting:
            self._work_to_do.wait()
            self._closing.wait(self._sink.linger)
            self._work_to_do.clear()  # before the events are taken: what comes from here on sets it again
            while self._waiting:
                batch = [self._waiting.popleft() for _index in range(min(self._batch, len(self._waiting)))]
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
                self.error = str(error)
                return True
            except Exception as error:  # a sink may fail in any way; what is lost is told when the run ends
                self.error = str(error) or type(error).__name__
                asked = error.seconds if isinstance(error, Later) else 0.0
            if not self._rest(random.uniform(pause / 2, pause), asked):
                return False
            pause = min(2 * pause, LONGEST_PAUSE)

    def _rest(self, pause: float, asked: float) -> bool:
        """Pause, or for as long as the receiver ``asked``; the end of the playbook cuts only a pause of our own short.

        False when time is up.
        """
        began = time.monotonic()
        self._closing.wait(max(pause, asked))
        if self._closing.is_set():
            left = max(FIRST_PAUSE, asked - (time.monotonic() - began))
            if time.monotonic() + left >= self._deadline:
                return False
            time.sleep(left)
        return True
