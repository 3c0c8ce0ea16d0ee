# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain expressions of inventories, such as ``placement.availability_zone``, without Jinja.

Most keyed groups and composed variables are such paths, and a template evaluated for each of thousands of hosts is
what inventories spend their time on. Whatever is not certain to mean the same as in Jinja is left to Jinja.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
STEP = re.compile(rf"""\.({IDENTIFIER})|\[\s*'([^'\\]*)'\s*\]|\[\s*"([^"\\]*)"\s*\]""")
PATH = re.compile(rf"\s*({IDENTIFIER})((?:{STEP.pattern})*)\s*")
WORDS = {"true", "True", "false", "False", "none", "None", "not", "and", "or", "in", "is", "if", "else"}
ATTRIBUTES = frozenset(dir(dict))
"""In Jinja ``tags.items`` is the method of the mapping, not a tag."""
PLAIN_TYPES = frozenset((str, int, float, bool, type(None), list, dict))
"""Exact types: a subclass may be a string that Ansible trusts as a template, which Jinja has to render."""

ASK_JINJA = object()
"""What `follow` returns where only Jinja can tell the value, or say what is wrong."""


@functools.lru_cache(maxsize=1024)
def path_of(expression: str) -> tuple[str, ...] | None:
    """``("placement", "tenancy")`` of ``placement.tenancy`` or ``placement['tenancy']``; None for any other expression."""
    match = PATH.fullmatch(expression)
    if not match or match[1] in WORDS:
        return None
    steps = tuple(next(filter(None, groups), "") for groups in STEP.findall(match[2]))
    return None if ATTRIBUTES.intersection(steps) else (match[1], *steps)


def follow(path: tuple[str, ...], variables: Mapping[str, Any]) -> Any:
    """The value at ``path`` of plain nested dicts, else `ASK_JINJA`."""
    value: Any = variables
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return ASK_JINJA
        value = value[step]
        if type(value) not in PLAIN_TYPES:
            return ASK_JINJA
    return value
