"""The messages of one queue: those that wait, oldest first, and those that are in flight or delayed, by their time."""

from __future__ import annotations

import base64
import copy
import heapq
import itertools
import threading
from typing import Any

from moto.moto_api._internal import mock_random
from moto.sqs.exceptions import ReceiptHandleIsInvalid, SQSException
from moto.sqs.models import Message
from spot_sandbox import clock

WAITING, DELAYED, FLYING, GONE = "waiting", "delayed", "flying", "gone"
DEDUPLICATION = 300.0
"""Sandbox seconds in which a message with the same deduplication id is the same message."""
LONGEST = 43200
"""Seconds that a message can be in flight, from when it was received."""


class Entry:
    """A message and where it is; ``turn`` grows whenever it is moved, so that older marks of it count no more."""

    def __init__(self, number: int, message: Message) -> None:
        self.number, self.message = number, message
        self.place, self.turn, self.received, self.source = GONE, 0, 0.0, ""


class MessageNotInflight(SQSException):
    """The message is visible again."""

    def __init__(self) -> None:
        super().__init__("AWS.SimpleQueueService.MessageNotInflight", "The message referred to isn't in flight.")


class Store:
    """The messages of one queue; ``clock.LOCK`` is held by who uses it."""

    def __init__(self) -> None:
        self.counts = {WAITING: 0, DELAYED: 0, FLYING: 0}
        self.arrived = threading.Condition(clock.LOCK)
        self._numbers = itertools.count(1)
        self._waiting: list[tuple[int, int, Entry]] = []
        self._later: list[tuple[float, int, int, Entry]] = []
        self._handles: dict[str, Entry] = {}
        self._same: dict[str, tuple[float, Message]] = {}
        self._flying_groups: dict[str, int] = {}

    def add(self, message: Message, delay: float = 0.0, source: str = "") -> None:
        """Put a message in; ``source``: the queue whose dead letter it is."""
        entry = Entry(next(self._numbers), message)
        entry.source = source
        self._move(entry, DELAYED if delay > 0 else WAITING, clock.time() + delay)

    def known(self, deduplication_id: str) -> Message | None:
        """The message that was sent with this id in the last five minutes."""
        sent = self._same.get(deduplication_id)
        return sent[1] if sent and clock.time() - sent[0] < DEDUPLICATION else None

    def remember(self, deduplication_id: str, message: Message) -> None:
        """Further messages with this id are this one."""
        self._same[deduplication_id] = (clock.time(), message)

    def take(
        self, count: int, visibility: float, fifo: bool, retention: float, limit: int
    ) -> tuple[list[Message], list[Entry]]:
        """Up to ``count`` messages, from now on in flight; and those that were received ``limit`` times, taken out."""
        self._wake_up()
        taken: list[Entry] = []
        dead: list[Entry] = []
        aside: list[tuple[int, int, Entry]] = []
        busy = {group for group, number in self._flying_groups.items() if number} if fifo else set()
        while self._waiting and len(taken) < count:
            mark = heapq.heappop(self._waiting)
            _number, turn, entry = mark
            message = entry.message
            if entry.place != WAITING or entry.turn != turn:
                continue
            if fifo and message.group_id in busy:
                aside.append(mark)
            elif clock.time() - message.sent_timestamp / 1000 >= retention:
                self._move(entry, GONE)
            elif limit and message.approximate_receive_count >= limit:
                self._move(entry, GONE)
                dead.append(entry)
            else:
                taken.append(entry)
        for mark in aside:
            heapq.heappush(self._waiting, mark)
        return [self._hand_out(entry, visibility) for entry in taken], dead

    def _hand_out(self, entry: Entry, visibility: float) -> Message:
        message = entry.message
        if not message.approximate_first_receive_timestamp:
            message.approximate_first_receive_timestamp = int(clock.time() * 1000)
        message.approximate_receive_count += 1
        message.receipt_handle = base64.b64encode(mock_random.getrandbits(1088).to_bytes(136, "big")).decode()
        self._handles[message.receipt_handle] = entry
        entry.received = clock.time()
        self._move(entry, FLYING if visibility > 0 else WAITING, clock.time() + visibility)
        return copy.copy(message)

    def source_of(self, handle: str) -> str:
        """The queue whose dead letter a received message is."""
        return self._handles[handle].source

    def delete(self, handle: str) -> None:
        """Take out the message; a handle that is not its newest deletes nothing, as SQS warns."""
        entry = self._handles.get(handle)
        if entry is None:
            raise ReceiptHandleIsInvalid()
        if entry.message.receipt_handle == handle and entry.place != GONE:
            self._move(entry, GONE)

    def change_visibility(self, handle: str, seconds: float) -> None:
        """Hide a message in flight for so long from now on; 0 gives it back."""
        self._wake_up()
        entry = self._handles.get(handle)
        if entry is None:
            raise ReceiptHandleIsInvalid()
        if entry.place == GONE:
            why = "Message does not exist or is not available for visibility timeout change."
            raise SQSException(
                "InvalidParameterValue", f"Value {handle} for parameter ReceiptHandle is invalid. Reason: {why}"
            )
        if entry.place != FLYING or entry.message.receipt_handle != handle:
            raise MessageNotInflight()
        if clock.time() + seconds - entry.received > LONGEST:
            raise SQSException(
                "InvalidParameterValue",
                f"Value {seconds:.0f} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for"
                f" the message is beyond the limit [{LONGEST} seconds]",
            )
        self._move(entry, FLYING if seconds > 0 else WAITING, clock.time() + seconds)

    def purge(self) -> None:
        """No messages; handles of those that were stay known."""
        for entry in [mark[-1] for mark in (*self._waiting, *self._later)]:
            if entry.place != GONE:
                self._move(entry, GONE)

    def counted(self) -> dict[str, int]:
        """How many messages are waiting, delayed and in flight."""
        self._wake_up()
        return self.counts

    def next_due(self) -> float | None:
        """Sandbox time at which the next message may become visible."""
        return self._later[0][0] if self._later else None

    def _wake_up(self) -> None:
        while self._later and self._later[0][0] <= clock.time():
            _due, _number, turn, entry = heapq.heappop(self._later)
            if entry.turn == turn and entry.place in (DELAYED, FLYING):
                self._move(entry, WAITING)

    def _move(self, entry: Entry, place: str, due: float = 0.0) -> None:
        group = entry.message.group_id
        if entry.place != GONE:
            self.counts[entry.place] -= 1
        if group and entry.place == FLYING:
            self._flying_groups[group] -= 1
        entry.place = place
        entry.turn += 1
        if place == GONE:
            return
        self.counts[place] += 1
        if group and place == FLYING:
            self._flying_groups[group] = self._flying_groups.get(group, 0) + 1
        if place == WAITING:
            heapq.heappush(self._waiting, (entry.number, entry.turn, entry))
            self.arrived.notify()
        else:
            heapq.heappush(self._later, (due, entry.number, entry.turn, entry))


def copy_for(message: Message, attributes: dict[str, Any]) -> Message:
    """The message with only these of its attributes, as a receiver asked for it."""
    shown = copy.copy(message)
    shown.message_attributes = attributes
    return shown
