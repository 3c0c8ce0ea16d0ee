# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where events wait between their arrival and the playbook that handled them: a small database, on disk or in memory.

An event is taken in once: whoever sends it again, or sends another word of the same thing, changes nothing. Events of one kind
that arrived together leave together, as a batch. A batch that nobody reports handled is offered again, and after some attempts
it is among the dead, where a person finds it, until somebody sends it anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import (
    FILESYSTEM,
    NOTICE,
    REBALANCE,
    Envelope,
)

PATIENCE = 5
"""For how many windows the first event of a batch waits at most, while others like it keep coming."""
REMEMBER_SECONDS = 3600.0
"""For how long an event that was handled is known, and its double told."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, app TEXT, region TEXT, body TEXT NOT NULL,
    received REAL NOT NULL, batch TEXT, offered INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    done REAL, dead INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_waiting ON events (done, batch);
CREATE TABLE IF NOT EXISTS handles (key TEXT NOT NULL, handle TEXT NOT NULL, PRIMARY KEY (key, handle)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handles_by_handle ON handles (handle);
"""


@dataclass(frozen=True)
class Arrival:
    """An event with the ``handle`` by which whoever brought it is told that it was handled. ``again``: it is the same message as
    before, which its queue delivers once more, and not one that somebody sent."""

    envelope: Envelope
    handle: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Batch:
    """Events of one kind, app and region. ``attempt`` counts from 1."""

    id: str
    kind: str
    app: str | None
    region: str | None
    events: Sequence[Envelope]
    attempt: int

    def as_event(self, receipt: str) -> dict[str, Any]:
        """What a rule sees."""
        times: dict[str, str] = {}
        for event in self.events:
            for one in event["ids"]:
                times.setdefault(one, event["time"])
        return {
            "batch": self.id,
            "kind": self.kind,
            "app": self.app,
            "region": self.region,
            "ids": list(times),
            "times": times,
            "filesystems": [one for one in dict.fromkeys(event["resource"] for event in self.events) if FILESYSTEM.fullmatch(one)],
            "count": len(self.events),
            "attempt": self.attempt,
            "events": list(self.events),
            "receipt": receipt,
        }


def key_of(envelope: Envelope) -> str:
    """What makes two events one: the same notice for an instance, however often and by whomever it is sent; else the id. AWS tells
    of one instance at a time; what tells of several is its own, or the others would be lost with the one that is known."""
    if envelope["kind"] in (NOTICE, REBALANCE) and len(envelope["ids"]) == 1:
        return f"{envelope['kind']} {envelope['ids'][0]}"
    return f"id {envelope['id']}"  # which whoever sends it chooses; it is never a notice's


class Inbox:
    """Events between arrival and handling. Times are seconds since the epoch, and arguments.

    Raises ``OSError`` where the folder cannot be used, ``BlockingIOError`` where another process has the inbox.
    """

    def __init__(self, folder: str | None, name: str) -> None:
        self._lock = -1
        if folder is None:
            self._db = sqlite3.connect(":memory:", isolation_level=None)
        else:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(Path(folder) / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._lock)
                raise BlockingIOError(f"another process has the inbox {name} in {folder}: give each source a folder of its own") from None
            self._db = sqlite3.connect(Path(folder) / f"{name}.sqlite", isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)
        # whoever had taken these is gone, and had told nobody
        self._db.execute("UPDATE events SET batch = NULL WHERE done IS NULL AND batch IS NOT NULL AND NOT offered")

    def close(self) -> None:
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)

    def add(self, arrivals: Iterable[Arrival], now: float) -> list[str]:
        """Take events in; when it returns, they are kept. Returns the handles of those that need nothing more: all that they
        brought was handled already. A double of what still waits brings its newer handle."""
        told: dict[str, None] = {}
        with self._transaction():
            self._db.execute("DELETE FROM events WHERE done < ? AND dead = 0", (now - REMEMBER_SECONDS,))
            for one in arrivals:
                key = self._add(one, now)
                if one.handle:
                    told[one.handle] = None
                    if key:
                        self._db.execute("INSERT OR IGNORE INTO handles VALUES (?, ?)", (key, one.handle))
            return self._settled(told)

    def _add(self, arrival: Arrival, now: float) -> str | None:
        """The key of the event, if whoever brought it is to wait for it."""
        envelope = arrival.envelope
        key = key_of(envelope)
        known = self._db.execute("SELECT done, dead FROM events WHERE key = ?", (key,)).fetchone()
        if known and known[1] and not arrival.again:  # moved back from the dead letters, or told anew
            self._db.execute(
                "UPDATE events SET done = NULL, dead = 0, batch = NULL, offered = 0, attempts = 0, received = ?, body = ? WHERE key = ?",
                (now, json.dumps(envelope), key),
            )
            return key
        if known:
            return key if known[0] is None or known[1] else None  # who brings a dead one keeps it, for its own dead letters
        if envelope["kind"] == REBALANCE and len(envelope["ids"]) == 1:
            notice = f"{NOTICE} {envelope['ids'][0]}"
            if self._db.execute("SELECT 1 FROM events WHERE key = ?", (notice,)).fetchone():
                return None  # it goes anyhow
        self._db.execute(
            "INSERT INTO events (key, kind, app, region, body, received) VALUES (?, ?, ?, ?, ?, ?)",
            (key, envelope["kind"], envelope["app"], envelope["region"], json.dumps(envelope), now),
        )
        return key

    def _settled(self, handles: Iterable[str]) -> list[str]:
        """Those of the handles that brought nothing that waits or is dead; they are forgotten."""
        free = [
            handle
            for handle in handles
            if not self._db.execute(
                "SELECT 1 FROM handles JOIN events USING (key) WHERE handle = ? AND (done IS NULL OR dead = 1)", (handle,)
            ).fetchone()
        ]
        self._db.executemany("DELETE FROM handles WHERE handle = ?", [(handle,) for handle in free])
        return free

    def first(self, key: str, now: float) -> bool:
        """Whether ``key`` is seen for the first time, for as long as doubles are known."""
        row = (key, "seen", "{}", now, now)
        with self._transaction():
            made = self._db.execute(
                "INSERT INTO events (key, kind, body, received, done) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
            )
            return made.rowcount == 1

    def has(self, key: str) -> bool:
        """Whether ``key`` was seen by `first`."""
        return self._db.execute("SELECT 1 FROM events WHERE key = ?", (key,)).fetchone() is not None

    def settle_hints(self, now: float) -> list[str]:
        """Recommendations that wait for an instance that has its notice by now are handled with it; returns their handles."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT key FROM events AS hint WHERE kind = ? AND done IS NULL AND batch IS NULL AND EXISTS"
                " (SELECT 1 FROM events WHERE key = ? || substr(hint.key, ?))",
                (REBALANCE, NOTICE, len(REBALANCE) + 1),
            ).fetchall()
            return self._done([key for (key,) in rows], now)

    def _done(self, keys: Sequence[str], now: float) -> list[str]:
        self._db.executemany("UPDATE events SET done = ? WHERE key = ?", [(now, key) for key in keys])
        told = {
            handle: None
            for key in keys
            for (handle,) in self._db.execute("SELECT handle FROM handles WHERE key = ?", (key,)).fetchall()
        }
        return self._settled(told)

    def take(self, now: float, window: float, most: int, batches: int, notices: bool | None = None) -> list[Batch]:
        """The batches that may leave, up to ``batches``: of each kind, app and region as many events as wait, up to ``most``,
        once none like them has come for ``window`` seconds, or the first has waited for `PATIENCE` of those, or there are
        ``most``. Notices leave first; with ``notices`` only they, or only others."""
        found = []
        with self._transaction():
            # what came before the clock was set back came now, and does not wait until it is as late again
            self._db.execute("UPDATE events SET received = ? WHERE done IS NULL AND batch IS NULL AND received > ?", (now, now))
            groups = self._db.execute(
                "SELECT kind, app, region FROM events WHERE done IS NULL AND batch IS NULL AND ifnull((kind = ?) = ?, 1)"
                " GROUP BY kind, app, region"
                " HAVING max(received) <= ? OR min(received) <= ? OR count(*) >= ? ORDER BY kind <> ?, min(received) LIMIT ?",
                (NOTICE, notices, now - window, now - PATIENCE * window, most, NOTICE, batches),
            ).fetchall()
            for kind, app, region in groups:
                rows = self._db.execute(
                    "SELECT key, body, attempts FROM events WHERE done IS NULL AND batch IS NULL"
                    " AND kind = ? AND app IS ? AND region IS ? ORDER BY received, rowid LIMIT ?",
                    (kind, app, region, most),
                ).fetchall()
                name = str(uuid.uuid4())
                self._db.executemany(
                    "UPDATE events SET batch = ?, offered = 0, attempts = attempts + 1 WHERE key = ?", [(name, row[0]) for row in rows]
                )
                events = [json.loads(row[1]) for row in rows]
                found.append(Batch(name, kind, app, region, events, 1 + max(row[2] for row in rows)))
        return found

    def offer(self, batch: str) -> None:
        """The rules are told of the batch now: from here on it may be handled, also while nobody looks."""
        self._db.execute("UPDATE events SET offered = 1 WHERE batch = ? AND done IS NULL", (batch,))

    def offered(self) -> list[str]:
        """The batches that the rules were told of, and that are not done."""
        rows = self._db.execute("SELECT DISTINCT batch FROM events WHERE done IS NULL AND batch IS NOT NULL AND offered").fetchall()
        return [batch for (batch,) in rows]

    def release(self, batch: str) -> None:
        """Whoever had taken the batch is gone: its events wait again."""
        self._db.execute("UPDATE events SET batch = NULL WHERE batch = ? AND done IS NULL", (batch,))

    def finish(self, batch: str, now: float) -> list[str]:
        """The batch was handled; returns the handles of those who brought nothing else that waits."""
        with self._transaction():
            rows = self._db.execute("SELECT key FROM events WHERE batch = ? AND done IS NULL", (batch,)).fetchall()
            return self._done([key for (key,) in rows], now)

    def give_back(self, batch: str, now: float, attempts: int) -> list[Envelope]:
        """The batch was not handled: its events wait again; those that were offered ``attempts`` times are dead, and returned."""
        with self._transaction():
            dead = self._db.execute(
                "SELECT body FROM events WHERE batch = ? AND done IS NULL AND attempts >= ?", (batch, attempts)
            ).fetchall()
            self._db.execute(
                "UPDATE events SET done = ?, dead = 1 WHERE batch = ? AND done IS NULL AND attempts >= ?", (now, batch, attempts)
            )
            self._db.execute(
                "UPDATE events SET batch = NULL, received = ? WHERE batch = ? AND done IS NULL", (now, batch)
            )
        return [json.loads(body) for (body,) in dead]

    def waiting(self) -> int:
        """How many events are not handled yet."""
        return int(self._db.execute("SELECT count(*) FROM events WHERE done IS NULL").fetchone()[0])

    def dead(self) -> list[Envelope]:
        """The events that nobody could handle, oldest first."""
        rows = self._db.execute("SELECT body FROM events WHERE dead = 1 ORDER BY received").fetchall()
        return [json.loads(body) for (body,) in rows]

    def handles(self) -> list[str]:
        """The handles of all that is not handled yet."""
        rows = self._db.execute("SELECT DISTINCT handle FROM handles JOIN events USING (key) WHERE done IS NULL").fetchall()
        return [handle for (handle,) in rows]

    def _transaction(self) -> Transaction:
        return Transaction(self._db)


class Transaction:
    """All or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, error: type[BaseException] | None, *_more: object) -> None:
        self._db.execute("ROLLBACK" if error else "COMMIT")
