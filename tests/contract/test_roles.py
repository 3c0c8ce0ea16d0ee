# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of roles, playbooks, manifests and rulebooks."""

from __future__ import annotations

import re

import facts
import pytest

OURS = f"{facts.COLLECTION}."


def entry_points(role):
    """The entry points of a role's argument spec."""
    spec = facts.load(f"roles/{role}/meta/argument_specs.yml")
    assert spec, f"roles/{role}/meta/argument_specs.yml is missing: it is the role's interface"
    return spec["argument_specs"]


@pytest.mark.parametrize("role", facts.ROLES)
def test_role_is_complete(role):
    assert not role.startswith("_")
    for entry in entry_points(role):
        assert (facts.ROOT / "roles" / role / "tasks" / f"{entry}.yml").exists(), f"entry point {entry} has no tasks"
    assert (facts.ROOT / "roles" / role / "README.md").exists(), "a role has a README.md"


@pytest.mark.parametrize("role", facts.ROLES)
def test_spec_defaults_are_the_role_defaults(role):
    defaults = facts.load(f"roles/{role}/defaults/main.yml") or {}
    specified = {
        name: option for entry in entry_points(role).values() for name, option in entry.get("options", {}).items()
    }
    assert set(defaults) <= set(specified), f"not in the spec: {sorted(set(defaults) - set(specified))}"
    documented = {name: option["default"] for name, option in specified.items() if "default" in option}
    assert documented == defaults
    for name, option in specified.items():
        assert name.startswith(f"{role}_"), f"inputs are called {role}_..., but there is {name}"
        assert not (option.get("required") and name in defaults), f"{name} is required and has a default"


@pytest.mark.parametrize("role", facts.ROLES)
def test_spec_says_all(role):
    for entry in entry_points(role).values():
        assert entry.get("short_description")
        check_options(entry.get("options", {}), role)


def check_options(options, where):
    """Every option, in all depths, has a type and a description, and no dictionary is without its keys."""
    for name, option in options.items():
        path = f"{where}.{name}"
        assert option.get("type"), f"{path} has no type"
        assert option.get("description"), f"{path} has no description"
        assert option["type"] != "list" or option.get("elements"), f"{path} does not say what is in the list"
        check_options(option.get("options", {}), path)


YAML = [
    path
    for folder in ("roles", "playbooks", "extensions", "inventories")
    for path in facts.tracked(".yml", under=folder)
]


@pytest.mark.parametrize("path", YAML, ids=facts.relative)
def test_what_is_called_is_there(path):
    plugins = {name for _kind, name in facts.plugin_docs()}
    for task in facts.tasks_in(facts.load(path)):
        for key, value in task.items():
            if not isinstance(value, dict):
                value = {"name": value}
            if re.search(r"\b(import|include)_role$", key) and str(value.get("name")).startswith(OURS):
                check_role(value)
            elif re.search(r"\bimport_playbook$", key) and str(value.get("name")).startswith(OURS):
                assert value["name"].removeprefix(OURS) in facts.PLAYBOOKS
            elif key == "run_playbook":
                assert value["name"].removeprefix(OURS) in facts.PLAYBOOKS
            elif key.startswith(OURS):
                assert key.removeprefix(OURS) in facts.MODULES, f"there is no module {key}"
    for name in re.findall(r"\|\s*spot\.platform\.(\w+)", path.read_text(encoding="utf-8")):
        assert name in plugins, f"there is no filter {OURS}{name}"


def check_role(call):
    """A role that is imported or included, and its entry point."""
    role = call["name"].removeprefix(OURS)
    assert role in facts.ROLES, f"there is no role {call['name']}"
    entry = call.get("tasks_from", "main").removesuffix(".yml")
    assert "{{" in entry or (facts.ROOT / "roles" / role / "tasks" / f"{entry}.yml").exists(), f"{role} has no {entry}"


@pytest.mark.parametrize("path", facts.tracked(".yml", under="inventories/*/apps/*.yml"), ids=facts.relative)
def test_manifest_fits_the_schema(path):
    options = entry_points("app")["main"]["options"]["app_manifest"]["options"]
    assert not facts.problems(facts.load(path), options)


@pytest.mark.parametrize("path", facts.tracked(".yml", under="extensions/eda/rulebooks"), ids=facts.relative)
def test_rulebook_calls_playbooks_by_full_name(path):
    called = re.findall(r"run_playbook:\s*\n\s*name:\s*(\S+)", path.read_text(encoding="utf-8"))
    assert called and all(name.removeprefix(OURS) in facts.PLAYBOOKS and name.startswith(OURS) for name in called)
