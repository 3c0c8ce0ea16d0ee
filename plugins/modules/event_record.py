#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: event_record
short_description: Put events that came from outside into the activity log
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Reads a batch of events, as the event sources of this collection write it, and returns them as activity, which the callback
    P(spot.platform.activity#callback) takes to its sinks. Nothing is changed.
options:
  receipt:
    description: The file of the batch, C(event.receipt) in a rulebook. A batch that was handled meanwhile has none.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Record what AWS tells
  spot.platform.event_record:
    receipt: "{{ receipt }}"
"""

RETURN = r"""
activity:
  description: The events, see RV(spot.platform.spot_capacity#module:activity) for their fields. They have C(ids), C(received_at) and C(source) too.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 17793124-05d4-b198-2fde-7ededc63b103
      time: "2026-01-31T23:59:59.000Z"
      app: web
      region: eu-west-1
      kind: capacity.launch_failed
      resource: ""
      summary: "production-web: could not launch"
      reasons: ["There is no Spot capacity available that matches your request."]
      before:
      after: {group: production-web}
      changed: false
      actor: aws.autoscaling
      run:
      ids: []
      received_at: "2026-02-01T00:00:00.512Z"
      source: sqs eu-west-1 spot-platform-production-audit
recorded:
  description: How many events there are; 0 where the batch was handled meanwhile.
  returned: success
  type: int
  sample: 1
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def events_of(path: str) -> list[dict[str, Any]]:
    """The events of a batch; none where it is gone. Raises ``ValueError`` where the file is no batch."""
    try:
        batch = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the receipt {path}: {error}") from error
    events = batch.get("events") if isinstance(batch, dict) else None
    if not isinstance(events, list) or not all(isinstance(one, dict) and "kind" in one for one in events):
        raise ValueError(f"{path} is not a batch of events: give the receipt that a rule was given")
    return events


def main() -> None:
    """Read, and return."""
    module = AnsibleModule({"receipt": {"type": "path", "required": True}}, supports_check_mode=True)
    try:
        events = events_of(module.params["receipt"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, activity=events, recorded=len(events))


if __name__ == "__main__":
    main()
