"""The sandbox's time: it starts at the real time, may run faster or slower, and can be stepped.

Nothing in the sandbox reads another clock or starts another timer. One lock, ``LOCK``, is held by every request and by
every scheduled call, so state is never seen half changed.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time as real_time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

LOCK = threading.RLock()
"""Held while sandbox state is read or changed."""

log = logging.getLogger("spot_sandbox")


@dataclass(order=True)
class Call:
    """A scheduled call; ``cancel()`` keeps it from running."""

    due: float
    number: int
    function: Callable[..., Any] = field(compare=False)
    arguments: tuple[Any, ...] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


speed = 1.0
"""Sandbox seconds in one real second; 0 stands still."""

changed_hooks: list[Callable[[], None]] = []
"""Called, with ``LOCK`` held, when something may have changed: after a scheduled call and after a call of an API."""

stepped_hooks: list[Callable[[], None]] = []
"""Called, with ``LOCK`` held, when the clock was stepped or its speed changed: for what waits in real time."""

_wake = threading.Condition(LOCK)
_calls: list[Call] = []
_numbers = itertools.count()
_thread: threading.Thread | None = None
_real = real_time.monotonic()
_sandbox = real_time.time()
_started = _sandbox


def time() -> float:
    """Sandbox time, seconds since 1970."""
    return _sandbox + (real_time.monotonic() - _real) * speed


def now() -> datetime:
    """Sandbox time, aware, in UTC."""
    return datetime.fromtimestamp(time(), timezone.utc)


def started() -> float:
    """Sandbox time of the start or of the last reset."""
    return _started


def _set(moment: float) -> None:
    global _real, _sandbox
    _real, _sandbox = real_time.monotonic(), moment


def set_speed(factor: float) -> None:
    """Let time run ``factor`` times as fast from now on."""
    global speed
    if not 0 <= factor <= 100_000:
        raise ValueError(f"speed {factor} is out of range: use 0 (stands still) to 100000")
    with _wake:
        _set(time())
        speed = float(factor)
        _wake.notify_all()
        _tell_stepped()


def call_later(seconds: float, function: Callable[..., Any], *arguments: Any) -> Call:
    """Run ``function(*arguments)`` after that much sandbox time, with ``LOCK`` held."""
    global _thread
    call = Call(time() + max(0.0, seconds), next(_numbers), function, arguments)
    with _wake:
        heapq.heappush(_calls, call)
        if _thread is None:
            _thread = threading.Thread(target=_run, name="clock", daemon=True)
            _thread.start()
        _wake.notify_all()
    return call


def advance(seconds: float) -> None:
    """Step the clock; what falls due on the way runs in order, each at its own time, before this returns."""
    if not 0 <= seconds <= 366 * 86400:
        raise ValueError(f"cannot advance by {seconds} seconds: give 0 to {366 * 86400} (a year)")
    global speed
    with _wake:
        target, running = time() + seconds, speed
        speed = 0.0
        try:
            while _calls and _calls[0].due <= target:
                call = heapq.heappop(_calls)
                _set(max(time(), call.due))
                _perform(call)
        finally:
            _set(target)
            speed = running
            _wake.notify_all()
            _tell_stepped()


def reset(factor: float | None = None, moment: float | None = None) -> None:
    """Back to real time, or to a ``moment`` (seconds since 1970), with nothing scheduled."""
    global _started, speed
    with _wake:
        _calls.clear()
        _set(real_time.time() if moment is None else moment)
        _started = time()
        if factor is not None:
            speed = factor
        _wake.notify_all()
        _tell_stepped()


def _perform(call: Call) -> None:
    if call.cancelled:
        return
    try:
        call.function(*call.arguments)
    except Exception:  # one failed step must not stop the clock; the log shows it with its trace
        log.exception("a scheduled step failed: %s", getattr(call.function, "__qualname__", call.function))
    tell_changed()


def tell_changed() -> None:
    """Call the ``changed_hooks``."""
    for hook in changed_hooks:
        hook()


def _tell_stepped() -> None:
    for hook in stepped_hooks:
        hook()


def real_seconds(moment: float) -> float | None:
    """Real seconds from now until a sandbox time; ``None`` where the clock stands still before it."""
    ahead = moment - time()
    return 0.0 if ahead <= 0 else ahead / speed if speed else None


def _run() -> None:
    with _wake:
        while True:
            if not _calls:
                _wake.wait()
            elif _calls[0].due <= time():
                _perform(heapq.heappop(_calls))
            else:
                _wake.wait((_calls[0].due - time()) / speed if speed else None)
