# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check of channels by the code that reads them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: channels_problem
short_description: Say what is wrong with the channels of notifications
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Returns a sentence about the first thing that the callback P(spot.platform.activity#callback) could not use in a file of channels.
options:
  _input:
    description: The content of the file, a mapping with C(channels) and C(apps).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check the channels
  ansible.builtin.assert:
    that: problem == ''
    fail_msg: "{{ problem }}"
  vars:
    problem: "{{ {'channels': [{'name': 'chat', 'type': 'slack', 'url_env': 'CHAT_URL'}]} | spot.platform.channels_problem }}"
"""

RETURN = r"""
_value:
  description: A sentence with what is wrong and the remedy; empty if nothing is.
  type: str
"""

from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.channels import channels_of


def channels_problem(content: Any) -> str:
    """What is wrong, or nothing."""
    try:
        channels_of(content)
    except ValueError as error:
        return str(error)
    return ""


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Names of filters, and their functions."""
        return {"channels_problem": channels_problem}
