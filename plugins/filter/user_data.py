# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data of EC2, compressed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: user_data
short_description: Compress user data for a launch template
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Returns a text compressed by gzip and encoded by base64, as C(user_data) of M(amazon.aws.ec2_launch_template) takes it. cloud-init
    decompresses it.
  - EC2 allows 16384 bytes of it, counted without base64.
options:
  _input:
    description: The text, such as a C(#cloud-config).
    type: str
    required: true
  known:
    description:
      - User data that stands already, encoded by base64. Where it says the same it is returned as it is, since two versions of zlib
        compress the same text differently.
    type: str
"""

EXAMPLES = r"""
- name: Ensure the launch template
  amazon.aws.ec2_launch_template:
    template_name: production-web
    image_id: ami-0123456789abcdef0
    user_data: "{{ lookup('ansible.builtin.template', 'user_data.yml.j2') | spot.platform.user_data }}"
"""

RETURN = r"""
_value:
  description: The user data, encoded by base64.
  type: str
"""

import base64
import binascii
import gzip
import zlib
from typing import Any


def user_data(text: str, known: str | None = None) -> str:
    """The text as user data: ``known`` where that says the same."""
    if known and _says(known) == text.encode():
        return known
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _says(encoded: str) -> bytes | None:
    """What user data says, compressed or not; ``None`` where it cannot be read."""
    try:
        data = base64.b64decode(encoded, validate=True)
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (binascii.Error, EOFError, OSError, zlib.error):
        return None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Names of filters, and their functions."""
        return {"user_data": user_data}
