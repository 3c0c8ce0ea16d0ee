# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts of Alertmanager."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spot.platform.alertmanager
short_description: Receive the alerts of Alertmanager
description:
  - Serves HTTP for the webhook receiver of Alertmanager. Each alert of a notification is an event of its own, of the kind
    C(alert.firing) or C(alert.resolved). An alert that is sent again
    within an hour while nothing changed is known.
  - Who calls must show O(token), or O(username) and O(password). C(GET /health) answers anyone.
extends_documentation_fragment:
  - spot.platform.http
  - spot.platform.gathering
options:
  token:
    description: The bearer token that requests must carry. Without it and O(username), the source does nothing.
    type: str
  username:
    description: The user of basic authentication, in place of O(token).
    type: str
  password:
    description: The password of O(username).
    type: str
"""

EXAMPLES = r"""
- spot.platform.alertmanager:
    port: 5001
    token: "{{ ALERTMANAGER_TOKEN }}"
    inbox: /var/lib/spot-events/alertmanager
"""

import base64
import hmac
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).absolute().parents[7]))  # ansible-rulebook runs this file by itself

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked  # noqa: E402  the path is set above
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Answer  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.source import Source, idle  # noqa: E402

if TYPE_CHECKING:
    from aiohttp import web


def expected(options: dict[str, Any]) -> str:
    """The header C(Authorization) that requests must have. Raises ``ValueError``."""
    token, user, password = (options[key] for key in ("token", "username", "password"))
    if (token and user) or (user is None) != (password is None):
        raise ValueError("spot.platform.alertmanager: give either token, or username and password")
    return f"Bearer {token}" if token else "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Run the source."""
    options = checked(DOCUMENTATION, args)
    if not options["token"] and not options["username"] and not options["password"]:
        return await idle("alertmanager", "token")
    header = expected(options).encode()
    source = Source("alertmanager", queue, options, args)

    async def handle(request: web.BaseRequest, body: bytes) -> Answer:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, header):
            return Answer(401, "the token or password is missing or wrong")
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return Answer(400, "the body is not JSON")
        if not isinstance(message, dict) or not isinstance(message.get("alerts"), list):
            return Answer(400, "the body is no notification of Alertmanager")
        await source.receive([(message, "")], "alertmanager")
        return Answer(200)

    await source.listen(handle)
