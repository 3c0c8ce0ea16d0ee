# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The senders of activity events that are AWS's: a topic of SNS, and mail through SES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.channels import Allowance
from ansible_collections.spot.platform.plugins.module_utils.sinks import Refused, to_line

MESSAGE_BYTES, CALL_BYTES, CALL_ENTRIES = 200_000, 250_000, 10
"""SNS takes 256 KiB and ten messages in a call, attributes and subjects counted."""

NEVER = ("InvalidParameter", "ParameterValueInvalid", "InvalidParameterValue", "InvalidBatchEntryId")
"""What SNS says of a message that it will not take tomorrow either."""

MAIL_NEVER = ("MessageRejected", "BadRequestException")
"""The same of SES; an account that may not send at present is no fault of the mail."""


def subject_of(event: dict[str, Any]) -> str:
    """A subject as SNS takes it: printable ASCII, at most 100 characters, a letter, digit or mark first."""
    text = f"{event.get('kind')}: {event.get('summary')}"
    text = "".join(sign if 32 <= ord(sign) < 127 else " " if sign.isspace() else "?" for sign in text)
    return " ".join(text.split())[:100].rstrip()


def entry_of(number: int, event: dict[str, Any], fifo: bool) -> dict[str, Any]:
    """One entry of PublishBatch."""
    line = to_line(event)
    if len(line.encode()) > MESSAGE_BYTES:
        line = to_line({**event, "before": None, "after": None})
    values = {key: event.get(key) for key in ("app", "kind", "region")}
    entry = {
        "Id": str(number),
        "Message": line,
        "Subject": subject_of(event),
        "MessageAttributes": {
            key: {"DataType": "String", "StringValue": str(value)} for key, value in values.items() if value
        },
    }
    if fifo:
        entry.update(MessageGroupId=str(event.get("app") or "-"), MessageDeduplicationId=str(event.get("id")))
    return entry


class TopicSender:
    """Publishes each event as a JSON message with the attributes ``app``, ``kind`` and ``region``, for filter policies."""

    def __init__(self, client: Any, topic: str, digest_above: int) -> None:
        self._client, self._topic, self.allowance = client, topic, Allowance(digest_above)

    def send(self, events: list[dict[str, Any]]) -> Iterator[list[int]]:
        """Yield what was published. Raises botocore's errors."""
        told = self.allowance.digest(events)
        whole = len(told) < len(events)
        refused = later = None
        for batch in batches([entry_of(number, event, self._topic.endswith(".fifo")) for number, event in enumerate(told)]):
            answer = self._client.publish_batch(TopicArn=self._topic, PublishBatchRequestEntries=batch)
            arrived = [int(entry["Id"]) for entry in answer.get("Successful", [])]
            if arrived:
                yield list(range(len(events))) if whole else arrived
            for failed in answer.get("Failed", []):
                said = f"{failed.get('Code')}: {failed.get('Message') or 'no reason given'}"
                if failed.get("SenderFault") and failed.get("Code") in NEVER:
                    refused = Refused(said)
                else:
                    later = OSError(said)
        if later or refused:
            raise later or refused  # type: ignore[misc]


def batches(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """``entries`` in parts that a call takes."""
    part: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        weight = len(entry["Message"].encode()) + 500
        if part and (len(part) == CALL_ENTRIES or size + weight > CALL_BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += weight
    if part:
        yield part


def ses_mail(client: Any) -> Callable[[str, tuple[str, ...], bytes], None]:
    """What sends a mail through SES. It raises ``Refused`` where the mail is at fault, else botocore's errors."""

    def send(sender: str, to: tuple[str, ...], message: bytes) -> None:
        try:
            client.send_email(
                FromEmailAddress=sender, Destination={"ToAddresses": list(to)}, Content={"Raw": {"Data": message}}
            )
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in MAIL_NEVER:
                raise Refused(str(error)) from error
            raise

    return send
