# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of SNS topics over HTTP."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spot.platform.sns
short_description: Receive the messages of SNS topics over HTTP
description:
  - Serves HTTP for subscriptions to SNS topics. Every message is verified - type, topic, age, the address of the signing
    certificate, who issued that certificate, and the signature. What is refused is answered with 403, and the log says why;
    while the certificate cannot be fetched the answer is 503, and SNS tries again.
  - Confirms subscriptions to O(topics), and to no others. A message that SNS sends again is known. C(GET /health) answers anyone.
  - Raw message delivery carries no signature, and is refused.
extends_documentation_fragment:
  - spot.platform.http
  - spot.platform.gathering
options:
  topics:
    description: The ARNs of the topics that messages are expected from. Without any, the source does nothing.
    type: list
    elements: str
    default: []
  signature_versions:
    description: The versions of signatures that are accepted; V(1) is SHA1, V(2) is SHA256.
    type: list
    elements: str
    choices: ["1", "2"]
    default: ["2"]
  max_age:
    description:
      - How old a message may be, in seconds, at most 3540. SNS tries again for some minutes.
    type: int
    default: 900
  ca_file:
    description: The authorities that may have issued the signing certificate (PEM). By default those that are trusted for HTTPS.
    type: path
  endpoint_url:
    description: Where SNS is asked in place of its own address, for certificates and to confirm subscriptions.
    type: str
"""

EXAMPLES = r"""
- spot.platform.sns:
    port: 5000
    topics: ["arn:aws:sns:eu-west-1:123456789012:spot-platform-production-events"]
    inbox: /var/lib/spot-events/sns
"""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

sys.path.append(str(Path(__file__).absolute().parents[7]))  # ansible-rulebook runs this file by itself

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import sns  # noqa: E402  the path is set above
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Answer  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import REMEMBER_SECONDS  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.source import Source, idle  # noqa: E402

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger("spot.platform.events")

FETCH_SECONDS = 5.0


def fetcher(session: aiohttp.ClientSession, endpoint_url: str | None) -> sns.Fetch:
    """Fetches what is at an address, and nothing that it leads to."""

    async def fetch(url: str) -> bytes:
        if endpoint_url and urlsplit(url).netloc.startswith("sns."):
            url = endpoint_url.rstrip("/") + urlsplit(url).path
        try:
            async with session.get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(FETCH_SECONDS)) as answer:
                if answer.status == 429 or answer.status >= 500:
                    raise OSError(f"it answers {answer.status}")
                if answer.status != 200:
                    raise sns.Refused(f"{url} answers {answer.status}")
                body = await answer.content.read(sns.LARGEST_CERTIFICATE + 1)
                while len(body) <= sns.LARGEST_CERTIFICATE and (more := await answer.content.read(sns.LARGEST_CERTIFICATE)):
                    body += more
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(str(error) or type(error).__name__) from None
        if len(body) > sns.LARGEST_CERTIFICATE:
            raise sns.Refused(f"what is at {url} is too large for a certificate")
        return body

    return fetch


def confirm(message: dict[str, str], endpoint_url: str | None) -> None:
    """Confirm a subscription; SNS asks for no credentials. Raises botocore's errors."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    region = message["TopicArn"].split(":")[3]
    limits = {"connect_timeout": FETCH_SECONDS, "read_timeout": FETCH_SECONDS, "retries": {"total_max_attempts": 2}}
    client = boto3.client("sns", region_name=region, endpoint_url=endpoint_url, config=Config(signature_version=UNSIGNED, **limits))
    client.confirm_subscription(TopicArn=message["TopicArn"], Token=message["Token"])


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Run the source."""
    options = checked(DOCUMENTATION, args)
    if not options["topics"]:
        return await idle("sns", "topics")
    oldest = REMEMBER_SECONDS - sns.AHEAD_SECONDS  # a message is known for longer than it is accepted
    if not 0 < options["max_age"] <= oldest:
        raise ValueError(f"spot.platform.sns: max_age is {options['max_age']}, not from 1 to {oldest:.0f}")
    for topic in options["topics"]:
        if not sns.TOPIC.fullmatch(topic):
            raise ValueError(f"spot.platform.sns: topics: {topic!r} is not the ARN of a topic")
    endpoint_url = options["endpoint_url"] or os.environ.get("AWS_ENDPOINT_URL_SNS") or os.environ.get("AWS_ENDPOINT_URL")
    expected = sns.Expected(options["topics"], options["signature_versions"], options["max_age"])
    roots = await asyncio.to_thread(sns.roots_in, options["ca_file"])
    source = Source("sns", queue, options, args)
    async with aiohttp.ClientSession(trust_env=True) as session:
        verifier = sns.Verifier(expected, sns.Certificates(fetcher(session, endpoint_url), roots))

        async def handle(_request: web.BaseRequest, body: bytes) -> Answer:
            try:
                message = await verifier.verified(body)
            except sns.Undecided as undecided:
                return Answer(503, str(undecided))  # SNS sends again what is answered with 5xx, and gives up what is with 4xx
            except sns.Refused as refused:
                return Answer(403, str(refused))
            topic = message["TopicArn"]
            if message["Type"] == sns.CONFIRMATION:
                if not source.inbox.has(name := f"confirmed {message['MessageId']}"):
                    await asyncio.to_thread(confirm, message, endpoint_url)
                    source.inbox.first(name, time.time())
                    log.info("the subscription to %s is confirmed", topic)
            elif message["Type"] == sns.UNSUBSCRIBED:
                log.warning("the subscription to %s was ended by somebody", topic)
                words = f"the subscription to {topic} was ended by somebody"
                told = {"id": message["MessageId"], "kind": "subscription.ended", "resource": topic, "summary": words}
                await source.receive([({**told, "time": message["Timestamp"]}, "")], f"sns {topic}")
            else:
                await source.receive([(message, "")], f"sns {topic}")
            return Answer(200)

        await source.listen(handle)
