"""Posting to the endpoints of subscriptions, by threads of its own: no call and no other endpoint waits for it.

An endpoint that does not answer, or answers 429 or 5xx, is tried again after each of the pauses; any other answer than
2xx is an error that trying again does not mend. Pauses are real time: the endpoint lives in it.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import ssl
import threading
import time as real_time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from spot_sandbox import clock

PAUSES = (0.2, 0.5, 1.0)
"""Real seconds before each further attempt. AWS makes three as well, 20 seconds apart."""
TIMEOUT = 15.0
"""Real seconds that an endpoint has to answer."""
THREADS = 32
KEPT = 1000
"""How many attempts are remembered."""


@dataclass
class Post:
    """Something to post. ``make`` gives its body, ``give_up`` is called with the last error, holding ``clock.LOCK``."""

    url: str
    headers: dict[str, str]
    make: Callable[[], str]
    give_up: Callable[[str], None]
    about: dict[str, str]
    attempt: int = 0
    body: bytes | None = field(default=None, repr=False)


_pauses: tuple[float, ...] = PAUSES
_timeout = TIMEOUT
_ready = threading.Condition()
_due: list[tuple[float, int, Post]] = []
_numbers = itertools.count()
_threads: list[threading.Thread] = []
_idle = 0
_under_way = 0
_era = 0
_log: deque[dict[str, Any]] = deque(maxlen=KEPT)


def post(one: Post, after: float = 0.0) -> None:
    """Post it soon, or after so many real seconds; returns at once."""
    with _ready:
        heapq.heappush(_due, (real_time.monotonic() + after, next(_numbers), one))
        if not _idle and len(_threads) < THREADS:
            thread = threading.Thread(target=_run, name=f"sns-{len(_threads)}", daemon=True)
            _threads.append(thread)
            thread.start()
        _ready.notify()


def reset() -> None:
    """Forget what is under way, and the settings."""
    global _pauses, _timeout, _era
    with _ready:
        _due.clear()
        _log.clear()
        _era += 1
        _pauses, _timeout = PAUSES, TIMEOUT


def control(body: dict[str, Any]) -> dict[str, Any]:
    """Set the pauses before further attempts, and how long an endpoint has to answer."""
    global _pauses, _timeout
    if unknown := sorted(set(body) - {"pauses", "timeout"}):
        raise ValueError(f"unknown key {unknown[0]!r}: use pauses, timeout")
    pauses, timeout = body.get("pauses", list(_pauses)), body.get("timeout", _timeout)
    if not isinstance(pauses, list) or len(pauses) > 100 or not all(_seconds(one) for one in pauses):
        raise ValueError(f"pauses {pauses!r} must be a list of at most 100 numbers of seconds from 0 to 3600")
    if not _seconds(timeout) or timeout == 0:
        raise ValueError(f"timeout {timeout!r} must be seconds, more than 0 and at most 3600")
    _pauses, _timeout = tuple(float(one) for one in pauses), float(timeout)
    return {"pauses": list(_pauses), "timeout": _timeout}


def control_deliveries(_query: dict[str, Any]) -> dict[str, Any]:
    """What was tried, the newest last, and how much is still to be tried."""
    with _ready:
        return {"pending": len(_due) + _under_way, "deliveries": list(_log)}


def _seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 3600


def _run() -> None:
    global _idle, _under_way
    connections: dict[str, http.client.HTTPConnection] = {}
    while True:
        with _ready:
            while not _due or _due[0][0] > real_time.monotonic():
                _idle += 1
                _ready.wait(max(0.0, _due[0][0] - real_time.monotonic()) if _due else None)
                _idle -= 1
            _moment, _number, one = heapq.heappop(_due)
            era = _era
            _under_way += 1
        try:
            _perform(one, era, connections)
        finally:
            with _ready:
                _under_way -= 1


def _perform(one: Post, era: int, connections: dict[str, http.client.HTTPConnection]) -> None:
    status, error = _send(one, connections)
    with _ready:
        if era != _era:
            return
        _log.append(
            {**one.about, "url": one.url, "attempt": one.attempt + 1, "status": status, "error": error or None}
        )
    if not error:
        return
    if (status is None or status == 429 or status >= 500) and one.attempt < len(_pauses):
        pause = _pauses[one.attempt]
        one.attempt += 1
        post(one, pause)
        return
    with clock.LOCK:
        if era == _era:
            one.give_up(error)


def _send(one: Post, connections: dict[str, http.client.HTTPConnection]) -> tuple[int | None, str]:
    """The status of the answer, and what is wrong with it, or with the endpoint, or nothing."""
    try:
        if one.body is None:
            one.body = one.make().encode()
        parts = urlsplit(one.url)
        key = f"{parts.scheme}://{parts.netloc}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        reused = key in connections
        try:
            status = _exchange(connections, key, path, one)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not reused:
                raise
            status = _exchange(connections, key, path, one)  # it had closed the connection that was kept
    except (OSError, ValueError, http.client.HTTPException) as failed:
        return None, f"{type(failed).__name__}: {failed}"
    return status, "" if 200 <= status < 300 else f"HTTP {status}"


def _exchange(connections: dict[str, http.client.HTTPConnection], key: str, path: str, one: Post) -> int:
    connection = connections.pop(key, None) or _connect(key)
    connection.timeout = _timeout
    if connection.sock is not None:
        connection.sock.settimeout(_timeout)
    try:
        connection.request("POST", path, body=one.body, headers=one.headers)
        answer = connection.getresponse()
        answer.read()
    except BaseException:
        connection.close()
        raise
    if answer.will_close:
        connection.close()
    else:
        connections[key] = connection
    return int(answer.status)


def _connect(key: str) -> http.client.HTTPConnection:
    parts = urlsplit(key)
    if not parts.hostname:
        raise ValueError(f"{key} names no host")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_timeout)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # an endpoint of a test has its own authority
    return http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=_timeout, context=trusting)
