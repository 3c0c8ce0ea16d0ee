"""The operations on messages, and the way in for what other services send."""

from __future__ import annotations

import hashlib
import json
import time as real_time
import weakref
from typing import Any

import moto.sqs.models as moto_sqs
from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.sqs.exceptions import (
    BatchEntryIdsNotDistinct,
    EmptyBatchRequest,
    InvalidParameterValue,
    SQSException,
    TooManyEntriesInBatchRequest,
)
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse
from spot_sandbox import ACCOUNT, clock, policies
from spot_sandbox.services.sqs.store import DELAYED, FLYING, WAITING, Store, copy_for

_stores: weakref.WeakKeyDictionary[Queue, Store] = weakref.WeakKeyDictionary()


def store_of(queue: Queue) -> Store:
    """The messages of a queue."""
    found = _stores.get(queue)
    if found is None:
        found = _stores[queue] = Store()
    return found


def send_message(
    backend: SQSBackend,
    queue_name: str,
    message_body: str,
    message_attributes: dict[str, Any] | None = None,
    delay_seconds: int | None = None,
    deduplication_id: str | None = None,
    group_id: str | None = None,
    system_attributes: dict[str, Any] | None = None,
    validate_group_id: bool = True,
) -> Message:
    """In moto's words, for all of moto that sends messages."""
    queue = backend.get_queue(queue_name)
    delay = int(delay_seconds if delay_seconds is not None else queue.delay_seconds)
    of_its_own = delay if delay_seconds else 0
    backend._validate_message(queue, message_body, of_its_own, deduplication_id, group_id, validate_group_id)
    if not 0 <= delay <= moto_sqs.MAXIMUM_MESSAGE_DELAY:
        raise InvalidParameterValue(
            f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        )
    store = store_of(queue)
    message = Message(str(mock_random.uuid4()), message_body, system_attributes)
    message.sent_timestamp = int(clock.time() * 1000)
    message.group_id, message.message_attributes = group_id, message_attributes or {}
    if queue.fifo_queue:
        if deduplication_id is None and queue.content_based_deduplication:
            deduplication_id = hashlib.sha256(message_body.encode()).hexdigest()
        message.deduplication_id = deduplication_id
        message.sequence_number = f"{mock_random.getrandbits(60):020d}"
        if deduplication_id and (known := store.known(deduplication_id)):
            return known
        if deduplication_id:
            store.remember(deduplication_id, message)
    store.add(message, delay)
    return message


def receive_message(
    backend: SQSBackend,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> list[Message]:
    """Take messages, or wait for some without the lock; no messages where the queue goes away meanwhile."""
    until = real_time.monotonic() + wait_seconds_timeout
    with clock.LOCK:
        queue = backend.get_queue(queue_name)
        store = store_of(queue)
        while True:
            taken = _take(backend, queue, count, visibility_timeout)
            left = until - real_time.monotonic()
            if taken or left <= 0:
                break
            due = store.next_due()
            soon = clock.real_seconds(due) if due is not None else None
            store.arrived.wait(left if soon is None else min(left, soon + 0.001))
            if backend.queues.get(queue_name) is not queue:
                return []
    return [copy_for(m, _asked_for(m.message_attributes, message_attribute_names or [])) for m in taken]


def _take(backend: SQSBackend, queue: Queue, count: int, visibility: int) -> list[Message]:
    dead_letters = queue.dead_letter_queue
    if dead_letters is not None and backend.queues.get(dead_letters.name) is not dead_letters:
        dead_letters = None
    limit = int(queue.redrive_policy["maxReceiveCount"]) if queue.redrive_policy and dead_letters else 0
    taken, dead = store_of(queue).take(count, visibility, queue.fifo_queue, queue.message_retention_period, limit)
    for entry in dead:
        store_of(dead_letters).add(entry.message, source=queue.queue_arn)
    return taken


def _asked_for(attributes: dict[str, Any], names: list[str]) -> dict[str, Any]:
    if "All" in names or ".*" in names:
        return attributes
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {k: v for k, v in attributes.items() if k in names or (prefixes and k.startswith(prefixes))}


def delete_message(backend: SQSBackend, queue_name: str, receipt_handle: str) -> None:
    store_of(backend.get_queue(queue_name)).delete(receipt_handle)


def change_message_visibility(
    backend: SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int
) -> None:
    if not 0 <= int(visibility_timeout) <= moto_sqs.MAXIMUM_VISIBILITY_TIMEOUT:
        raise InvalidParameterValue(
            f"Value {visibility_timeout} for parameter VisibilityTimeout is invalid."
            f" Reason: Must be between 0 and {moto_sqs.MAXIMUM_VISIBILITY_TIMEOUT}."
        )
    store_of(backend.get_queue(queue_name)).change_visibility(receipt_handle, int(visibility_timeout))


def purge_queue(backend: SQSBackend, queue_name: str) -> None:
    store_of(backend.get_queue(queue_name)).purge()


SQSBackend.send_message = send_message  # type: ignore[method-assign]
SQSBackend.receive_message = receive_message  # type: ignore[method-assign]
SQSBackend.delete_message = delete_message  # type: ignore[method-assign]
SQSBackend.change_message_visibility = change_message_visibility  # type: ignore[method-assign]
SQSBackend.purge_queue = purge_queue  # type: ignore[method-assign]
Queue.approximate_number_of_messages = property(lambda q: store_of(q).counted()[WAITING])  # type: ignore[assignment]
Queue.approximate_number_of_messages_delayed = property(  # type: ignore[assignment]
    lambda q: store_of(q).counted()[DELAYED]
)
Queue.approximate_number_of_messages_not_visible = property(  # type: ignore[assignment]
    lambda q: store_of(q).counted()[FLYING]
)
moto_sqs.unix_time = clock.time  # type: ignore[assignment]


def put(
    arn: str,
    body: str,
    service: str,
    source_arn: str,
    attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    role: bool = False,
) -> str | None:
    """A message from another service to a queue: ``None``, or why not, ``NO_RESOURCE`` or ``NO_PERMISSIONS``.

    ``service`` is its principal, such as ``events.amazonaws.com``; ``source_arn`` the rule or topic that sends. With a
    ``role`` of its own it needs no word in the queue's policy.
    """
    _arn, _partition, _service, region, account, name = arn.split(":", 5)
    queue = sqs_backends[account][region].queues.get(name)
    if queue is None:
        return "NO_RESOURCE"
    policy = json.loads(queue.policy) if queue.policy else None
    if not role and not policies.allows(policy, service, "sqs:SendMessage", arn, source_arn, ACCOUNT):
        return "NO_PERMISSIONS"
    sqs_backends[account][region].send_message(
        name, body, message_attributes=attributes, group_id=group_id, deduplication_id=deduplication_id
    )
    return None


def dead_letter(arn: str, body: str, service: str, source_arn: str, attributes: dict[str, str] | None = None) -> bool:
    """Give up a message to a dead-letter queue; whether the queue took it."""
    given = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
    return put(arn, body, service, source_arn, given) is None


class Queues(SQSResponse):
    """The operations of SQS that moto answers otherwise."""

    def receive_message(self) -> ActionResult:
        answer = super().receive_message()
        asked = {*self._asked("AttributeNames"), *self._asked("MessageSystemAttributeNames")}
        if not {"All", "DeadLetterQueueSourceArn"} & asked:
            return answer
        with clock.LOCK:
            store = store_of(self.sqs_backend.get_queue(self._get_queue_name()))
            for message in answer.result.get("Messages", ()):  # type: ignore[attr-defined]
                if source := store.source_of(message["ReceiptHandle"]):
                    message.setdefault("Attributes", {})["DeadLetterQueueSourceArn"] = source
        return answer

    def _asked(self, name: str) -> list[str]:
        return self._get_param(name, []) or []

    def _entries(self, action: str) -> list[dict[str, Any]]:
        entries = self._get_param("Entries", []) or []
        ids = [entry["Id"] for entry in entries]
        if not entries:
            raise EmptyBatchRequest(action)
        if len(entries) > 10:
            raise TooManyEntriesInBatchRequest(len(entries))
        if repeated := next((one for one in ids if ids.count(one) > 1), None):
            raise BatchEntryIdsNotDistinct(repeated)
        return entries

    def delete_message_batch(self) -> ActionResult:
        done, failed = self.sqs_backend.delete_message_batch(self._get_queue_name(), self._entries("Delete"))
        return ActionResult({"Successful": [{"Id": one} for one in done], "Failed": failed})

    def change_message_visibility_batch(self) -> ActionResult:
        queue_name, done, failed = self._get_queue_name(), [], []
        for entry in self._entries("ChangeMessageVisibility"):
            try:
                self.sqs_backend.change_message_visibility(
                    queue_name, entry["ReceiptHandle"], int(entry.get("VisibilityTimeout") or 0)
                )
                done.append({"Id": entry["Id"]})
            except SQSException as refused:
                why = {"SenderFault": True, "Code": refused.code, "Message": refused.message}
                failed.append({"Id": entry["Id"], **why})
        return ActionResult({"Successful": done, "Failed": failed})


def _stepped() -> None:
    for store in list(_stores.values()):
        store.arrived.notify_all()


def reset() -> None:
    """Nobody waits for what is gone."""
    _stepped()


clock.stepped_hooks.append(_stepped)
RESPONSES = {"sqs": Queues}
