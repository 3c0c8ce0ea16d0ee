# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed webhooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spot.platform.webhook
short_description: Receive signed webhooks
description:
  - Serves HTTP for whoever signs as the callback P(spot.platform.activity#callback) does - the header C(X-Spot-Signature) is
    C(sha256=) and the HMAC-SHA256, in hexadecimal, of the header C(X-Spot-Timestamp) (seconds since 1970), a full stop and the body.
  - The body is a JSON object with C(kind), or with a list of such C(events). Fields are those of an activity event.
  - A request whose time is more than O(replay_seconds) away, or that came before, is refused. C(GET /health) answers anyone.
extends_documentation_fragment:
  - spot.platform.http
  - spot.platform.gathering
options:
  secret:
    description: The key that requests are signed with, of at least 16 characters. Without it, the source does nothing.
    type: str
  name:
    description: What the C(source) of the events is called, C(webhook <name>).
    type: str
    default: webhook
  replay_seconds:
    description: How far the time of a request may be from this machine's, at most half an hour.
    type: int
    default: 300
"""

EXAMPLES = r"""
- spot.platform.webhook:
    port: 5002
    secret: "{{ WEBHOOK_SECRET }}"
    inbox: /var/lib/spot-events/webhook
"""

import hmac
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).absolute().parents[7]))  # ansible-rulebook runs this file by itself

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked  # noqa: E402  the path is set above
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Answer  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import REMEMBER_SECONDS  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.source import Source, idle  # noqa: E402
from ansible_collections.spot.platform.plugins.module_utils.sinks import signature  # noqa: E402

if TYPE_CHECKING:
    from aiohttp import web

SHORTEST_SECRET = 16


def refusal(timestamp: str, shown: str, body: bytes, secret: str, window: float, now: float) -> str | None:
    """Why a request is not genuine, or ``None``."""
    if not re.fullmatch(r"\d{1,12}", timestamp):
        return "its time is missing or not a number of seconds"
    if not hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), signature(secret, timestamp, body).encode()):
        return "its signature is missing or wrong"
    if abs(now - int(timestamp)) > window:
        return f"its time is {now - int(timestamp):.0f} s from this machine's, more than {window}: a replay, or a clock that is off"
    return None


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Run the source."""
    options = checked(DOCUMENTATION, args)
    if not options["secret"]:
        return await idle("webhook", "secret")
    secret, window = options["secret"], options["replay_seconds"]
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"spot.platform.webhook: the secret has {len(secret)} characters, fewer than {SHORTEST_SECRET}")
    widest = REMEMBER_SECONDS / 2  # one from a clock that is ahead is accepted for twice the window
    if not 0 < window <= widest:
        raise ValueError(f"spot.platform.webhook: replay_seconds is {window}, not from 1 to {widest:.0f}")
    source = Source("webhook", queue, options, args)

    async def handle(request: web.BaseRequest, body: bytes) -> Answer:
        shown = request.headers.get("X-Spot-Signature", "")
        problem = refusal(request.headers.get("X-Spot-Timestamp", ""), shown, body, secret, window, time.time())
        if problem:
            return Answer(403, problem)
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return Answer(400, "the body is not JSON")
        if not isinstance(message, dict):
            return Answer(400, "the body is not an object")
        if source.inbox.has(f"signature {shown}"):
            return Answer(403, "it came before: a replay")
        await source.receive([(message, shown)], f"webhook {options['name']}")
        source.inbox.first(f"signature {shown}", time.time())  # only now: where it could not be kept, it may come again
        return Answer(200)

    await source.listen(handle)
