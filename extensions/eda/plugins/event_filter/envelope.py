# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any event as one of ours."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spot.platform.envelope
short_description: Turn the event of any source into the shape that the rules of spot.platform read
description:
  - The sources of this collection do that themselves. This filter does it for others, such as C(eda.builtin.webhook) or an event
    stream of AWX - events of EventBridge, messages of SNS, notifications of Alertmanager, CloudWatch alarms and activity events.
  - A message may hold several events, so that several leave it. Each is a batch of one, without a receipt.
  - It verifies nothing. Use it only behind a source that does, and not behind those of this collection - an event that says
    that it is a batch with a receipt is not believed.
options:
  environment:
    description: The environment that the events are of. The app of a group that is called C(<environment>-<app>) is known by it.
    type: str
  source:
    description: What the C(source) of the events is called.
    type: str
    default: other
"""

EXAMPLES = r"""
- eda.builtin.webhook:
    port: 5003
    token: "{{ TOKEN }}"
  filters:
    - spot.platform.envelope:
        environment: production
"""

import sys
import uuid
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).absolute().parents[7]))  # ansible-rulebook runs this file by itself

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import checked  # noqa: E402  the path is set above
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import envelopes, now_text  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Batch  # noqa: E402


def main(event: dict[str, Any], **arguments: Any) -> Any:
    """The events of ``event``."""
    options = checked(DOCUMENTATION, arguments)
    meta = event["meta"] if isinstance(event.get("meta"), dict) else {}
    message = event.get("payload", {key: value for key, value in event.items() if key != "meta"})
    found = [
        Batch(str(uuid.uuid4()), one["kind"], one["app"], one["region"], [one], 1).as_event("")
        for one in envelopes(message, options["source"], now_text(), options["environment"] or "")
    ]
    made = [{**one, "meta": dict(meta)} if meta else one for one in found]
    return made[0] if len(made) == 1 else made
