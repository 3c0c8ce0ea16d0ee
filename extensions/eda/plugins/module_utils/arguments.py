# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of event sources and filters, checked against their documentation, which is their only schema."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.fragments import FRAGMENTS
from jsonschema import Draft202012Validator

TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "path": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
}
SECRETS = ("token", "password", "secret", "secret_key", "session_token")
"""Options whose value is never shown."""
FEEDBACK = "eda_feedback_queue"
GIVEN_BY_RULEBOOK = (FEEDBACK, "feedback")
"""What ansible-rulebook itself knows, and passes on."""


def described(documentation: str) -> dict[str, Any]:
    """A plugin's ``DOCUMENTATION``, with the options of the fragments that it extends."""
    found = yaml.safe_load(documentation)
    for name in found.pop("extends_documentation_fragment", []):
        found["options"] |= yaml.safe_load(FRAGMENTS[name])
    return found


def schema(documentation: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the arguments that a plugin's ``DOCUMENTATION`` describes."""
    found = described(documentation)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": found["name"],
        "description": found["short_description"],
        **_object(found["options"]),
    }


def checked(documentation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the defaults of those that were not given. What a variable of the environment gave as text becomes
    the number, truth or list that it says. Raises ``ValueError`` that names the option, the value and what it must be."""
    plugin = described(documentation)
    name, options = plugin["name"], plugin["options"]
    given = {key: value for key, value in arguments.items() if key not in GIVEN_BY_RULEBOOK and value not in (None, "")}
    given = {key: _read(value, options.get(key, {})) for key, value in given.items()}
    problem = min(Draft202012Validator(schema(documentation)).iter_errors(given), key=lambda one: str(one.path), default=None)
    if problem is not None:
        where = ".".join(map(str, problem.absolute_path))
        secret = str(problem.absolute_path[0]) in SECRETS if problem.absolute_path else False
        text = f"{where}: a secret that does not fit" if secret else f"{where}: {problem.message}" if where else problem.message
        raise ValueError(f"{name}: {text}; the options are {', '.join(options)}")
    return {key: given.get(key, option.get("default")) for key, option in options.items()}


def _object(options: dict[str, Any]) -> dict[str, Any]:
    required = [key for key, option in options.items() if option.get("required")]
    properties = {key: _property(option) for key, option in options.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _property(option: dict[str, Any]) -> dict[str, Any]:
    kind = option.get("type", "str")
    suboptions = option.get("options")
    if kind == "list":
        items = _object(suboptions) if suboptions else dict(TYPES[option.get("elements", "str")])
        found: dict[str, Any] = {"type": "array", "items": items}
        if option.get("required"):
            found["minItems"] = 1
    else:
        found = _object(suboptions) if suboptions else dict(TYPES[kind])
    if "choices" in option:
        (found["items"] if kind == "list" else found)["enum"] = option["choices"]
    if "default" in option:
        found["default"] = option["default"]
    description = option["description"]
    found["description"] = description if isinstance(description, str) else " ".join(description)
    return found


def _read(value: Any, option: dict[str, Any]) -> Any:
    kind = option.get("type", "str")
    if not isinstance(value, str):
        return value
    if kind == "list" and not option.get("options"):
        return [part.strip() for part in value.split(",") if part.strip()]
    if kind in ("int", "float", "bool"):
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            return value
        return read if isinstance(read, (int, float, bool)) else value
    return value
