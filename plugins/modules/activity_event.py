#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave an event in the activity log."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activity_event
short_description: Leave an event in the activity log
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Returns an event as activity, which the callback P(spot.platform.activity#callback) takes to its sinks. Nothing is changed.
options:
  kind:
    description: What happened, C(<area>.<what>).
    type: str
    required: true
  resource:
    description: The identifier of what it is about.
    type: str
    required: true
  summary:
    description: One sentence.
    type: str
    required: true
  app:
    description: The application.
    type: str
  region:
    description: The region.
    type: str
  reasons:
    description: Sentences with their numbers.
    type: list
    elements: str
    default: []
  before:
    description: What it was.
    type: dict
  after:
    description: What it has become.
    type: dict
  once:
    description:
      - What tells this event from all others of its O(kind), for example the ids of two volumes. An event that is told again after a crash
        has the same C(id) then, by which receivers know it.
      - By default each event has an C(id) of its own.
    type: str
  made:
    description: Whether the change was made; otherwise O(reasons) says why it was not.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode, where nothing is recorded.
    support: full
"""

EXAMPLES = r"""
- name: Tell of the restore
  spot.platform.activity_event:
    kind: database.restored
    resource: db-1
    summary: shop's database was restored from the copy of yesterday
    app: shop
    after: {seconds: 42}
"""

RETURN = r"""
activity:
  description: The event, see RV(spot.platform.spot_capacity#module:activity) for its fields.
  returned: always
  type: list
  elements: dict
  sample: [{kind: database.restored, app: shop, resource: db-1, changed: true}]
"""

import re
import uuid

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts

ARGUMENTS = {
    "kind": {"type": "str", "required": True},
    "resource": {"type": "str", "required": True},
    "summary": {"type": "str", "required": True},
    "app": {"type": "str"},
    "region": {"type": "str"},
    "reasons": {"type": "list", "elements": "str", "default": []},
    "before": {"type": "dict"},
    "after": {"type": "dict"},
    "once": {"type": "str"},
    "made": {"type": "bool", "default": True},
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    given = dict(module.params)
    if not re.match(r"^[a-z0-9_]+\.[a-z0-9_]+$", given["kind"]):
        module.fail_json(msg=f"kind is {given['kind']!r}: it must be <area>.<what>, such as volume.shrunk", activity=[])
    once = given.pop("once")
    if once:
        given["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{given['kind']} {once}"))
    event = Event(changed=given.pop("made"), reasons=tuple(given.pop("reasons")), **given)
    module.exit_json(changed=False, activity=as_dicts([event]))


if __name__ == "__main__":
    main()
