#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: app_onboarded
short_description: Tell that an application was onboarded
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Returns the activity event C(app.onboarded), which the callback P(spot.platform.activity#callback) takes to its sinks, and a
    channel of mail turns into the welcome mail. Nothing is changed. The playbook C(spot.platform.app_onboard) runs it.
options:
  app:
    description: The application.
    type: str
    required: true
  regions:
    description: The regions that it was onboarded in.
    type: list
    elements: str
    required: true
  links:
    description: Where it is reached, a mapping of what is shown to URLs.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Tell that the shop was onboarded
  spot.platform.app_onboarded:
    app: shop
    regions: [eu-west-1]
    links:
      load balancer in eu-west-1: http://production-shop-1.eu-west-1.elb.amazonaws.com
"""

RETURN = r"""
activity:
  description: The event, see RV(spot.platform.spot_capacity#module:activity) for its fields.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: app.onboarded
      resource: shop
      summary: shop was onboarded in eu-west-1
      after: {regions: [eu-west-1], links: {address: "https://shop.example.com"}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts


def event_of(app: str, regions: list[str], links: dict[str, str]) -> Event:
    """The event; it belongs to a region where there is only one."""
    return Event(
        kind="app.onboarded",
        resource=app,
        summary=f"{app} was onboarded in {', '.join(regions)}",
        app=app,
        region=regions[0] if len(regions) == 1 else None,
        after={"regions": regions, "links": links},
    )


def main() -> None:
    """Return the event."""
    spec = {
        "app": {"type": "str", "required": True},
        "regions": {"type": "list", "elements": "str", "required": True},
        "links": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(spec, supports_check_mode=True)
    module.exit_json(changed=False, activity=as_dicts([event_of(**module.params)]))


if __name__ == "__main__":
    main()
