# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that put a snapshot together, and write it for the page."""

from __future__ import annotations

DOCUMENTATION = r"""
name: snapshot
short_description: Put together what the page of an environment shows
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Merges what was observed of an environment into one document, whose schema is C(files/snapshot.schema.json) of the role
    P(spot.platform.dashboard#role).
  - A part that nobody observed is missing in it; the page says so.
options:
  _input:
    description:
      - What M(spot.platform.estate_info) returned, C(fleets) and what else it has of C(instances), C(resources), C(certificates),
        C(service_accounts), C(quotas), C(volumes), C(costs), C(market), C(apps) and C(errors).
    type: dict
    required: true
  events:
    description: Activity events, in any order.
    type: list
    elements: dict
    default: []
  environment:
    description: The name of the environment.
    type: str
  manifests:
    description: The manifests of the applications, for owners and regions.
    type: list
    elements: dict
    default: []
  parts:
    description: More parts by name, such as C(volumes) and C(costs); those with a value come in place of those of the input.
    type: dict
    default: {}
  events_max:
    description: So many of the newest events stay.
    type: int
    default: 2000
"""

EXAMPLES = r"""
- name: Put the snapshot together
  ansible.builtin.debug:
    msg: "{{ estate | spot.platform.snapshot(environment='production', parts={'volumes': rows}) }}"
  vars:
    estate:
      fleets: []
      errors: []
      generated_at: "2026-01-31T12:00:00.000Z"
    rows: []
"""

RETURN = r"""
_value:
  description: The snapshot.
  type: dict
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.engine import snapshot as engine
from ansible_collections.spot.platform.plugins.module_utils.engine import snapshot_parts as parts_of
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot_metrics import metrics


def snapshot(
    estate: Mapping[str, Any],
    events: Iterable[Mapping[str, Any]] = (),
    environment: str | None = None,
    manifests: Iterable[Mapping[str, Any]] = (),
    parts: Mapping[str, Any] | None = None,
    events_max: int = 2000,
) -> dict[str, Any]:
    """See the filter's documentation above."""
    if not isinstance(estate, Mapping) or "fleets" not in estate:
        raise AnsibleFilterError("the snapshot needs the result of spot.platform.estate_info, which has 'fleets'")
    apps = {one["name"]: engine.app_of(one) for one in manifests}
    given = {key: value for key, value in (parts or {}).items() if value is not None}
    known = {**estate, **({"apps": [apps[name] for name in sorted(apps)]} if apps else {}), **given}
    made_at = estate.get("generated_at") or rfc3339(datetime.now(timezone.utc))
    return engine.compose(known, events, made_at, environment, int(events_max))


def snapshot_json(content: Mapping[str, Any]) -> str:
    """See ``snapshot_json.yml``."""
    if not isinstance(content, Mapping) or not content.get("made_at"):
        raise AnsibleFilterError("this is no snapshot: it does not say when it was made, in 'made_at'")
    return engine.as_json(content) + "\n"


def snapshot_script(text: str) -> str:
    """See ``snapshot_script.yml``."""
    return engine.as_script(str(text).strip())


def snapshot_metrics(content: Mapping[str, Any]) -> str:
    """See ``snapshot_metrics.yml``."""
    if not isinstance(content, Mapping) or not content.get("made_at"):
        raise AnsibleFilterError("this is no snapshot: it does not say when it was made, in 'made_at'")
    try:
        return metrics(content)
    except ValueError as failure:
        raise AnsibleFilterError(f"the snapshot cannot be told as metrics: {failure}") from failure


def costs_part(
    costs: Mapping[str, Any],
    watch: Mapping[str, Any],
    waste: Mapping[str, Any] | None = None,
    today: str = "",
) -> dict[str, Any]:
    """See ``costs_part.yml``."""
    if not today:
        raise AnsibleFilterError("costs_part needs the day in UTC: give today, such as 2026-01-31")
    return parts_of.costs_of(costs, watch, waste, today)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {
            "snapshot": snapshot,
            "snapshot_json": snapshot_json,
            "snapshot_script": snapshot_script,
            "snapshot_metrics": snapshot_metrics,
            "costs_part": costs_part,
            "market_part": parts_of.market_of,
        }
