# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sinks for activity events that AWS keeps: an S3 object for each run, or a CloudWatch Logs stream for each run."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.sinks import to_line

LOG_EVENT_BYTES = 10_000
"""A hundred of these, the most in one delivery, stay below the 1 MiB that CloudWatch Logs takes in a call."""


class S3Object:
    """One object a run, ``<prefix><year>/<month>/<day>/<time>-<run>.jsonl``; each delivery writes all of the run so far."""

    linger = 10.0

    def __init__(self, client: Any, bucket: str, prefix: str, run: str) -> None:
        start = datetime.now(timezone.utc).strftime(
            "%Y/%m/%d/%H%M%S"
        )  # so that no playbook of a run replaces another's
        self._client, self._bucket, self._key = client, bucket, f"{prefix}{start}-{run}.jsonl"
        self.name = f"s3://{bucket}/{self._key}"
        self._lines: list[str] = []

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Write the object. Raises botocore's errors."""
        lines = [*self._lines, *map(to_line, events)]
        body = "".join(f"{line}\n" for line in lines).encode()
        self._client.put_object(Bucket=self._bucket, Key=self._key, Body=body, ContentType="application/x-ndjson")
        self._lines = lines


class LogStream:
    """One stream a run, named after it, in a log group that is there. One log event an activity event."""

    linger = 2.0

    def __init__(self, client: Any, group: str, run: str) -> None:
        self._client, self._group, self._stream = client, group, run
        self.name = f"the log stream {group}:{run}"
        self._made = False

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Put the events. Raises botocore's errors; an event that is too long goes without its before and after."""
        if not self._made:
            try:
                self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
            except self._client.exceptions.ResourceAlreadyExistsException:
                pass  # made by an earlier playbook of the same run
            self._made = True
        entries = [{"timestamp": _milliseconds(event), "message": _message(event)} for event in events]
        entries.sort(key=lambda entry: entry["timestamp"])  # the service refuses a batch that is not in order
        self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=entries)


def _milliseconds(event: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp() * 1000)


def _message(event: dict[str, Any]) -> str:
    line = to_line(event)
    if len(line.encode()) > LOG_EVENT_BYTES:
        line = to_line({**event, "before": None, "after": None})
    return line.encode()[:LOG_EVENT_BYTES].decode(errors="ignore")
