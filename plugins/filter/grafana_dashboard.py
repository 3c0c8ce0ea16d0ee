# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes a dashboard of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grafana_dashboard
short_description: Make a dashboard of Grafana
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Makes the JSON of a dashboard, as Grafana 11 and later read it from a file. It asks a data source of the type Prometheus, which is
    chosen in the dashboard, for what P(spot.platform.snapshot_metrics#filter) and P(spot.platform.cost_metrics#filter) write, and for the
    metrics of the node exporter.
  - The role P(spot.platform.grafana_dashboards#role) gives them to Grafana.
options:
  _input:
    description: Which one, V(fleet), V(cost), V(market), V(volumes) or V(interruptions).
    type: str
    required: true
  prefix:
    description: What its title begins with.
    type: str
    default: ""
  refresh:
    description: How often it asks again, such as V(1m); empty for never.
    type: str
    default: 1m
  page_url:
    description: The address of the page of the role P(spot.platform.dashboard#role), which is linked.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write the dashboard of the fleet
  ansible.builtin.copy:
    content: "{{ 'fleet' | spot.platform.grafana_dashboard(refresh='5m') }}"
    dest: /var/lib/grafana/dashboards/fleet.json
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The JSON.
  type: str
"""

import json
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana import dashboard
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana_boards import BOARDS


def grafana_dashboard(name: str, prefix: str = "", refresh: str = "1m", page_url: str = "") -> str:
    """See the filter's documentation above."""
    if name not in BOARDS:
        raise AnsibleFilterError(f"there is no dashboard {name!r}: it must be one of {', '.join(BOARDS)}")
    made = dashboard(str(name), BOARDS[name], str(prefix), str(refresh), str(page_url))
    return json.dumps(made, indent=2) + "\n"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {"grafana_dashboard": grafana_dashboard}
