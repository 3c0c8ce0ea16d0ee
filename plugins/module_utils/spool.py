# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Letters: events on disk, written before they are sent and removed when all of them have arrived.

A letter is a file ``<spool>/<channel>/<time>-<unique>.jsonl`` of JSON lines: ``{"n", "event"}`` for each event,
``{"delivered": [n, ...]}`` for what has arrived, ``{"problem", "time"}`` for what went wrong. It is only appended to, so that a
process that is killed in any place loses nothing. Whoever works with a letter holds its lock (``flock``), which the
system gives back when that process ends: so nobody sends what another one is sending, and no claim outlives its owner.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import uuid
import weakref
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.sinks import to_line


class InUse(Exception):
    """Another process works with the letter, or has just removed it."""


_OPEN: weakref.WeakSet["Letter"] = weakref.WeakSet()


def _drop() -> None:
    """Close in a forked process what is its parent's: Ansible's workers would hold the locks of a parent that was killed."""
    for letter in list(_OPEN):
        if letter._descriptor >= 0:
            os.close(letter._descriptor)
            letter._descriptor = -1


os.register_at_fork(after_in_child=_drop)


class Letter:
    """One letter, whose lock this process holds until ``close``. ``pending`` are its events that have not arrived, by number."""

    def __init__(self, path: Path | None, descriptor: int) -> None:
        self.path = path
        self.pending: dict[int, dict[str, Any]] = {}
        self._descriptor = descriptor
        self._next = 0
        self._lock = threading.Lock()  # events come from the playbook, and arrive in the courier's thread
        _OPEN.add(self)

    @classmethod
    def new(cls, spool: str, channel: str) -> "Letter":
        """An empty letter. Raises ``OSError``."""
        folder = Path(spool).expanduser() / channel
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}.jsonl"
        hidden = folder / f".{name}"  # nobody finds it before it is locked
        descriptor = os.open(hidden, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(folder / name)
        except OSError:
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise
        return cls(folder / name, descriptor)

    @classmethod
    def claim(cls, path: Path) -> "Letter":
        """The letter in ``path``. Raises ``InUse`` where it is another's, ``ValueError`` where it is none, ``OSError``."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            raise InUse("it was delivered meanwhile") from None
        letter = cls(path, descriptor)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUse("another process is sending it") from None
            if not os.fstat(descriptor).st_nlink:  # removed between the two calls
                raise InUse("it was delivered meanwhile")
            letter._read()
        except BaseException:
            os.close(descriptor)
            raise
        return letter

    def put(self, events: Iterable[dict[str, Any]]) -> list[int]:
        """Write ``events``, and return their numbers once they are on the disk. Raises ``OSError``."""
        first, events = self._next, legible(events)
        self._append([{"n": number, "event": event} for number, event in enumerate(events, first)])
        return self.add(events)

    def add(self, events: Iterable[dict[str, Any]]) -> list[int]:
        """As ``put``, but in memory alone."""
        numbers = []
        for event in legible(events):
            numbers.append(self._next)
            self.pending[self._next] = event
            self._next += 1
        return numbers

    def delivered(self, numbers: Iterable[int]) -> None:
        """Note that these have arrived. Raises ``OSError``."""
        numbers = [number for number in numbers if number in self.pending]
        if numbers:
            self._append([{"delivered": numbers}])
        for number in numbers:
            del self.pending[number]

    def close(self, problem: str | None = None) -> bool:
        """Remove the letter where nothing is pending, else note the ``problem``; give it back. Whether it was removed."""
        if self._descriptor < 0:
            return not self.pending
        try:
            if not self.pending and self.path:
                self.path.unlink(missing_ok=True)
                return True
            if problem:
                self._append([{"problem": problem, "time": datetime.now(timezone.utc).isoformat(timespec="seconds")}])
            return False
        finally:
            self.release()

    def release(self) -> None:
        """Give the letter back as it is."""
        with self._lock:
            if self._descriptor >= 0:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
                os.close(self._descriptor)
                self._descriptor = -1

    def _append(self, lines: list[dict[str, Any]]) -> None:
        left = memoryview("".join(f"{to_line(line)}\n" for line in lines).encode(errors="replace"))
        with self._lock:
            if self._descriptor < 0:  # a courier that came too late; what it brought is sent once more
                return
            size = os.fstat(self._descriptor).st_size
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
                os.fdatasync(self._descriptor)
            except OSError:  # a full disk: half a line would spoil those that follow
                os.ftruncate(self._descriptor, size)
                raise

    def _read(self) -> None:
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        whole, newline, torn = content.rpartition(b"\n")
        for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
            try:
                said = json.loads(line)
                if "event" in said:
                    self.pending[int(said["n"])] = dict(said["event"])
                    self._next = max(self._next, int(said["n"]) + 1)
                for done in said.get("delivered", []):
                    self.pending.pop(done, None)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"line {number} of {self.path} is not of a letter: look at it, and remove it") from error
        if torn:  # its writer was killed at this line, before it sent anything of it
            os.ftruncate(self._descriptor, len(whole) + len(newline))


def legible(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``events`` as they are read again: what JSON does not know has become text."""
    return [json.loads(to_line(event).encode(errors="replace")) for event in events]


def letters_in(spool: str, channels: Iterable[str] = ()) -> list[Path]:
    """The letters of a spool, the oldest first; only those of ``channels``, where there are any."""
    wanted = set(channels)
    found = [
        path
        for path in Path(spool).expanduser().glob("*/*.jsonl")
        if not path.name.startswith(".") and (not wanted or path.parent.name in wanted)
    ]
    return sorted(found, key=lambda path: (path.name, str(path)))
