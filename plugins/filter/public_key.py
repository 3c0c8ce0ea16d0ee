# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an SSH public key."""

from __future__ import annotations

DOCUMENTATION = r"""
name: public_key
short_description: Read an SSH public key that EC2 is to have
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Reads a public key in OpenSSH's form, the line of a file that ends with C(.pub).
  - Refuses private keys, types other than C(ssh-ed25519) and C(ssh-rsa), RSA keys of fewer than 2048 or more than 4096 bits, and what is
    damaged. No message has any of the key.
options:
  _input:
    description: The line.
    type: str
    required: true
  weak:
    description: Take RSA keys of any length, to look at one that is there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the fingerprint of a key
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', 'id_ed25519.pub') | spot.platform.public_key).fingerprint }}"
"""

RETURN = r"""
_value:
  description: C(type), V(rsa) or V(ed25519); C(bits); C(blob), the key itself in base64; C(fingerprint), as C(ssh-keygen -l) shows it;
    C(comment); and C(line), all of it as OpenSSH writes it.
  type: dict
"""

from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.module_utils.engine.public_keys import parse


def public_key(text: Any, weak: bool = False) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    if not isinstance(text, str):
        raise AnsibleFilterError(f"public_key takes a text, not a {type(text).__name__}")
    try:
        key = parse(text, weak)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None  # its cause could show the key
    return {**asdict(key), "line": key.line}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Its name and function."""
        return {"public_key": public_key}
