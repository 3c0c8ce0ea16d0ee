#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: notification_resend
short_description: Send the events that channels did not get
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Sends what the callback P(spot.platform.activity#callback) left in its spool - events that a channel refused, that did not
    arrive within the time limit, or whose playbook was killed. A letter is removed when all of its events have arrived.
  - A letter that a playbook or another resend works with is left alone, so that two at once send nothing twice.
  - Each part of a letter is tried once; what fails stays for the next time. An event may arrive twice where a process was
    killed between its arrival and the note about it; a receiver tells it by its C(id).
options:
  channels_file:
    description: The file of the channels, see P(spot.platform.notifications#role).
    type: path
    required: true
  spool:
    description: The folder of the letters, O(spot.platform.activity#callback:spool).
    type: path
    default: ~/.local/state/spot-platform/spool
  channels:
    description: The names of the channels to send to; all, if there are none.
    type: list
    elements: str
    default: []
  request_timeout:
    description: How many seconds one request to a webhook may take.
    type: float
    default: 10
  time_limit:
    description: After so many seconds nothing more is begun.
    type: float
    default: 300
  region:
    description: The region of channels of mail that name none.
    type: str
requirements:
  - PyYAML
  - Jinja2, for channels of mail
  - boto3, for channels of mail and SNS
notes:
  - "Required IAM actions: C(sns:Publish) for topics, C(ses:SendEmail) and C(ses:SendRawEmail) for mail."
  - Credentials are those of the environment; secrets of webhooks too.
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Send what channels did not get
  spot.platform.notification_resend:
    channels_file: /etc/spot-platform/channels.yml
"""

RETURN = r"""
letters:
  description: What became of each letter, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    channel:
      description: Whom it is for.
      type: str
    events:
      description: How many of its events had not arrived.
      type: int
    sent:
      description: How many of them have arrived now.
      type: int
    problem:
      description: Why not all of them have, or nothing.
      type: str
  sample:
    - {path: /var/lib/spot/spool/ops/20260131T235959-0f3c.jsonl, channel: ops, events: 3, sent: 3, problem: null}
sent:
  description: How many events have arrived.
  returned: success
  type: int
  sample: 3
left:
  description: How many events are still to be sent, those in use by others not counted.
  returned: success
  type: int
  sample: 0
"""

import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.spot.platform.plugins.module_utils.channels import Channel, channels_in
from ansible_collections.spot.platform.plugins.module_utils.deliveries import Sender, resend, sender_of
from ansible_collections.spot.platform.plugins.module_utils.spool import InUse, Letter, letters_in

SPEC: dict[str, Any] = {
    "channels_file": {"type": "path", "required": True},
    "spool": {"type": "path", "default": "~/.local/state/spot-platform/spool"},
    "channels": {"type": "list", "elements": "str", "default": []},
    "request_timeout": {"type": "float", "default": 10},
    "time_limit": {"type": "float", "default": 300},
    "region": {"type": "str"},
}


class Resender:
    """Sends letters; one sender for each channel."""

    def __init__(self, channels: Iterable[Channel], params: dict[str, Any], check: bool) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._timeout, self._region, self._check = params["request_timeout"], params["region"], check
        self._deadline = time.monotonic() + params["time_limit"]
        self._senders: dict[str, Sender] = {}

    def handle(self, path: Path) -> dict[str, Any]:
        """Send one letter, and say what became of it."""
        result: dict[str, Any] = {"path": str(path), "channel": path.parent.name, "events": 0, "sent": 0, "problem": None}
        if time.monotonic() >= self._deadline:
            return {**result, "problem": "the time limit was reached"}
        try:
            letter = Letter.claim(path)
        except (InUse, ValueError, OSError) as error:
            return {**result, "problem": str(error)}
        result["events"] = len(letter.pending)
        try:
            if self._check:
                result["problem"] = None if path.parent.name in self._channels else self._unknown(path.parent.name)
            else:
                result["problem"] = self._send(letter, path.parent.name)
                result["sent"] = result["events"] - len(letter.pending)
        finally:
            if self._check:
                letter.release()
            else:
                letter.close(result["problem"])
        return result

    def _send(self, letter: Letter, name: str) -> str | None:
        if not letter.pending:
            return None
        if name not in self._channels:
            return self._unknown(name)
        try:
            if name not in self._senders:
                self._senders[name] = sender_of(self._channels[name], self._timeout, self._client)
        except Exception as error:  # boto3 may lack credentials in many ways; other channels have none of them
            return str(error) or type(error).__name__
        return resend(letter, self._senders[name], self._deadline)

    def _unknown(self, name: str) -> str:
        known = ", ".join(self._channels) or "none"
        return f"the channels file has no channel called {name}, but {known}: add it, or remove the letter"

    def _client(self, service: str, region: str | None) -> Any:
        # imports boto3 only where it is used
        from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients

        return Clients(region or self._region, None, {}).get(service)


def main() -> None:
    """Read the channels, and send the letters."""
    module = AnsibleModule(SPEC, supports_check_mode=True)
    wanted = module.params["channels"]
    try:
        channels = channels_in(module.params["channels_file"])
    except ImportError:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=traceback.format_exc())
    except ValueError as error:
        module.fail_json(msg=str(error))
    unknown = sorted(set(wanted) - {channel.name for channel in channels})
    if unknown:
        names = ", ".join(channel.name for channel in channels)
        module.fail_json(msg=f"{module.params['channels_file']} has no channel called {unknown[0]}; it has {names}")
    resender = Resender(channels, module.params, module.check_mode)
    letters = [resender.handle(path) for path in letters_in(module.params["spool"], wanted)]
    sent, events = (sum(letter[key] for letter in letters) for key in ("sent", "events"))
    changed = bool(sent or (module.check_mode and any(letter["events"] and not letter["problem"] for letter in letters)))
    module.exit_json(changed=changed, letters=letters, sent=sent, left=events - sent)


if __name__ == "__main__":
    main()
