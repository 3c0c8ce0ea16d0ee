# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of SQS queues."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spot.platform.sqs
short_description: Receive the messages of SQS queues, in several regions
description:
  - Waits for messages by long polling. A message stays in its queue, hidden from others, until its events were handled, and is
    deleted then. What nobody could handle is left to the queue's redrive policy, and so comes to its dead-letter queue.
  - While a queue cannot be reached it is tried again, with pauses that grow to 30 seconds.
  - "Required IAM actions: C(sqs:GetQueueUrl), C(sqs:ReceiveMessage), C(sqs:ChangeMessageVisibility), C(sqs:DeleteMessage); for an
    encrypted queue C(kms:Decrypt)."
extends_documentation_fragment:
  - spot.platform.gathering
options:
  queues:
    description: The queues. Without any, the source does nothing.
    type: list
    elements: dict
    default: []
    options:
      name:
        description: The name of the queue.
        type: str
        required: true
      region:
        description: The region that it is in.
        type: str
        required: true
  visibility:
    description: For how many seconds a message is hidden; it is prolonged in time while its events are being handled.
    type: int
    default: 60
  wait:
    description: For how many seconds a poll waits for a message, at most 20.
    type: int
    default: 20
  pollers:
    description: Polls of one queue at once.
    type: int
    default: 2
  endpoint_url:
    description: Where SQS is asked in place of its own address.
    type: str
  access_key:
    description: The AWS access key. By default credentials are found by the usual means of AWS.
    type: str
  secret_key:
    description: The AWS secret key.
    type: str
  session_token:
    description: The AWS session token.
    type: str
"""

EXAMPLES = r"""
- spot.platform.sqs:
    queues:
      - name: spot-platform-production-events
        region: eu-west-1
    inbox: /var/lib/spot-events/sqs
"""

import asyncio
import logging
import random
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

sys.path.append(str(Path(__file__).absolute().parents[7]))  # ansible-rulebook runs this file by itself

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked  # noqa: E402  the path is set above
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.source import Source, idle, together  # noqa: E402

log = logging.getLogger("spot.platform.events")

BATCH = 10
"""Messages of one call, SQS's most."""
COUNT = "ApproximateReceiveCount"
"""Of a message: one that is moved back from the dead letters is a new message, and counted from 1 again."""
CALLS = 4
"""Calls at once that delete messages and keep them hidden."""
FIRST_PAUSE, TOLD_PAUSE, LONGEST_PAUSE = 0.05, 0.5, 30.0
"""Seconds between attempts to receive, which double; what fails for longer than the first few is told. botocore's own pauses of a
second and more would tear a storm's notices into many batches where SQS throttles."""


class Queue:
    """A queue."""

    def __init__(self, client: Any, receiver: Any, name: str, region: str, visibility: int, wait: int) -> None:
        self.client, self.receiver, self.name, self.region = client, receiver, name, region
        self.visibility, self.wait = visibility, wait
        self.source = f"sqs {region} {name}"

    @cached_property
    def url(self) -> str:
        return self.client.get_queue_url(QueueName=self.name)["QueueUrl"]

    def receive(self) -> list[dict[str, str]]:
        """Wait for messages."""
        answer = self.receiver.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=self.wait,
            VisibilityTimeout=self.visibility,
            AttributeNames=[COUNT],
        )
        return list(answer.get("Messages", ()))

    def delete(self, handles: Sequence[str]) -> None:
        """Delete messages; one that is gone already is fine. Raises ``OSError`` for what was refused, once all were tried."""
        self._each(handles, self.client.delete_message_batch, {}, "ReceiptHandleIsInvalid")

    def prolong(self, handles: Sequence[str]) -> None:
        """Hide messages for longer; one that is gone already is fine. Raises as `delete` does."""
        fine = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight")
        self._each(handles, self.client.change_message_visibility_batch, {"VisibilityTimeout": self.visibility}, *fine)

    def _each(self, handles: Sequence[str], call: Callable[..., dict[str, Any]], more: dict[str, Any], *fine: str) -> None:
        problems = []
        for entries in _entries(handles):
            try:
                _check(call(QueueUrl=self.url, Entries=[{**entry, **more} for entry in entries]), *fine)
            except Exception as error:  # see told
                problems.append(error)
        if problems:
            raise OSError(f"{told(problems[0])} ({len(problems)} of {len(_entries(handles))} calls failed)")


def told(error: Exception) -> str:
    """What went wrong with a call. Where something else answers in SQS's place, such as the page of a proxy, botocore raises
    whatever reading it comes to."""
    return str(error) if isinstance(error, (BotoCoreError, ClientError, OSError)) else f"what answers is not SQS: {error!r}"


def _entries(handles: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Handles as entries of batch calls, each call's as many as SQS takes."""
    unique = list(dict.fromkeys(handles))
    return [
        [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(unique[begin : begin + BATCH])]
        for begin in range(0, len(unique), BATCH)
    ]


def _check(answer: dict[str, Any], *fine: str) -> None:
    if not answer.keys() & {"Successful", "Failed"}:
        raise OSError("what answers is not SQS: it says of no message what became of it")
    wrong = [one for one in answer.get("Failed", ()) if one["Code"].rpartition(".")[2] not in fine]
    if wrong:
        raise OSError(f"{wrong[0]['Code']}: {wrong[0].get('Message', '')}")


class Queues:
    """All queues of a source. What blocks runs in threads of its own, one for each poll, and some for the rest."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            read_timeout=options["wait"] + 10,
            connect_timeout=5,
            max_pool_connections=len(options["queues"]) * options["pollers"] + CALLS,
        )
        keys = {
            "aws_access_key_id": options["access_key"],
            "aws_secret_access_key": options["secret_key"],
            "aws_session_token": options["session_token"],
        }
        session = boto3.session.Session(**keys)
        once = config.merge(Config(retries={"mode": "standard", "max_attempts": 1}))
        clients = {
            region: [session.client("sqs", region, endpoint_url=options["endpoint_url"], config=each) for each in (config, once)]
            for region in {one["region"] for one in options["queues"]}
        }
        made = [
            Queue(*clients[one["region"]], one["name"], one["region"], options["visibility"], options["wait"])
            for one in options["queues"]
        ]
        self.queues = {queue.source: queue for queue in made}
        polls = len(self.queues) * options["pollers"]
        self._polls = ThreadPoolExecutor(polls, thread_name_prefix="sqs-poll")
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="sqs-call")
        self.source: Source | None = None

    async def poll(self, queue: Queue) -> None:
        """Receive, again and again."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            begun = loop.time()
            try:
                messages = await loop.run_in_executor(self._polls, queue.receive)
            except Exception as error:  # see told
                if pause > TOLD_PAUSE:
                    log.warning("%s: %s; tried again in %.0f s", queue.source, told(error), pause)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if not messages and loop.time() - begun < TOLD_PAUSE:
                await asyncio.sleep(TOLD_PAUSE)  # it did not wait as it was asked to
            elif messages:
                handles = [f"{queue.source} {one['ReceiptHandle']}" for one in messages]
                again = {name for name, one in zip(handles, messages) if int(one.get("Attributes", {}).get(COUNT, 1)) > 1}
                await self.source.receive([(one["Body"], one["MessageId"]) for one in messages], queue.source, handles, again)

    async def prolong(self) -> None:
        """Keep hidden what is being handled, or waits for it."""
        while True:
            await asyncio.sleep(self.options["visibility"] / 3)
            await self._each(self.source.inbox.handles(), Queue.prolong, "cannot be hidden for longer")

    async def settle(self, handles: Sequence[str]) -> None:
        """Delete what was handled. What cannot be deleted comes again, is known, and is deleted then."""
        await self._each(handles, Queue.delete, "cannot be deleted")

    async def _each(self, handles: Sequence[str], work: Callable[[Queue, Sequence[str]], None], problem: str) -> None:
        by_queue: dict[str, list[str]] = {}
        for one in handles:
            name, _space, handle = one.rpartition(" ")
            by_queue.setdefault(name, []).append(handle)
        known = [name for name in by_queue if name in self.queues]  # an inbox may hold messages of a queue that is no longer asked
        loop = asyncio.get_running_loop()
        works = [loop.run_in_executor(self._calls, work, self.queues[name], by_queue[name]) for name in known]
        for name, result in zip(known, await asyncio.gather(*works, return_exceptions=True)):
            if isinstance(result, Exception):
                log.warning("%s: messages %s: %s", name, problem, told(result))
            elif isinstance(result, BaseException):
                raise result

    def close(self) -> None:
        self._polls.shutdown(wait=False, cancel_futures=True)
        self._calls.shutdown(wait=False, cancel_futures=True)


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Run the source."""
    options = checked(DOCUMENTATION, args)
    if not options["queues"]:
        return await idle("sqs", "queues")
    if not 0 <= options["wait"] <= 20 or not 10 <= options["visibility"] <= 43200 or not 1 <= options["pollers"] <= 10:
        raise ValueError("spot.platform.sqs: wait must be from 0 to 20, visibility from 10 to 43200, and pollers from 1 to 10")
    queues = Queues(options)
    source = queues.source = Source("sqs", queue, options, args, queues.settle)
    try:
        polls = [queues.poll(one) for one in queues.queues.values() for _number in range(options["pollers"])]
        await together(source.dispatcher.run(), queues.prolong(), *polls)
    finally:
        queues.close()
        source.close()
