# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes a report of the estate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.engine import report as engine

DOCUMENTATION = r"""
name: report
short_description: Compose the report of an environment
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Puts the fleets and the activity of an environment together, with the sum of their cost.
options:
  _input:
    description: What M(spot.platform.estate_info) returned.
    type: dict
    required: true
  events:
    description: Activity events, in any order.
    type: list
    elements: dict
    default: []
"""
EXAMPLES = r"""
- name: Compose the report
  ansible.builtin.debug:
    msg: "{{ estate | spot.platform.report(events=[]) }}"
  vars:
    estate:
      fleets: []
      errors: []
      generated_at: "2026-01-31T12:00:00.000Z"
"""
RETURN = r"""
_value:
  description: RV(_value) has C(apps), C(events), C(cost), C(errors) and C(generated_at).
  type: dict
"""


def report(estate: Mapping[str, Any], events: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The report of ``estate`` (C(estate_info)'s result) and ``events``."""
    if not isinstance(estate, Mapping) or "fleets" not in estate:
        raise AnsibleFilterError("the report needs the result of spot.platform.estate_info, which has 'fleets'")
    errors = [error if isinstance(error, str) else error.get("message", str(error)) for error in estate.get("errors", [])]
    now = estate.get("generated_at") or rfc3339(datetime.now(timezone.utc))
    return engine.compose(estate["fleets"], events or [], now, errors)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Their names and functions."""
        return {"report": report}
