# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rulebooks, event sources and filters: what they name is there, and their arguments are described."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import arguments
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
EDA = ROOT / ".collections" / "ansible_collections" / "spot" / "platform" / "extensions" / "eda"
RULEBOOKS = sorted((EDA / "rulebooks").glob("*.yml"))
SOURCES = {path.stem: path for path in sorted((EDA / "plugins" / "event_source").glob("*.py"))}
FILTERS = {path.stem: path for path in sorted((EDA / "plugins" / "event_filter").glob("*.py"))}
OURS = "spot.platform."


def documentation(path: Path) -> str:
    return str(runpy.run_path(str(path))["DOCUMENTATION"])


def rulesets() -> list[tuple[str, dict[str, Any]]]:
    return [(path.stem, one) for path in RULEBOOKS for one in yaml.safe_load(path.read_text(encoding="utf-8"))]


def actions(ruleset: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [item for rule in ruleset["rules"] for one in (rule.get("actions") or [rule["action"]]) for item in one.items()]


def test_there_is_something_to_check() -> None:
    assert {path.stem for path in RULEBOOKS} >= {"spot", "health", "audit", "volumes"}
    assert set(SOURCES) >= {"sns", "sqs", "alertmanager", "webhook"} and "envelope" in FILTERS


@pytest.mark.parametrize(("name", "ruleset"), rulesets())
def test_a_rule_starts_a_playbook_that_is_there_with_variables_that_it_reads(name: str, ruleset: dict[str, Any]) -> None:
    for kind, given in actions(ruleset):
        assert kind == "run_playbook", name
        playbook = ROOT / "playbooks" / f"{given['name'].removeprefix(OURS)}.yml"
        text = playbook.read_text(encoding="utf-8")
        assert "receipt" in given["extra_vars"], f"{name}: without a receipt {given['name']} cannot say that it is done"
        for variable in given["extra_vars"]:
            assert re.search(rf"\b{variable}\b", text), f"{name}: {given['name']} does not read {variable}"


@pytest.mark.parametrize(("name", "ruleset"), rulesets())
def test_only_what_has_a_form_of_ours_is_handed_to_a_playbook(name: str, ruleset: dict[str, Any]) -> None:
    """What a message says is never a variable, which Ansible would carry out as a template."""
    for _kind, given in actions(ruleset):
        ours = {f"{{{{ event.{field} }}}}" for field in ("ids", "times", "filesystems", "receipt")}
        assert set(given["extra_vars"].values()) <= ours, name


@pytest.mark.parametrize(("name", "ruleset"), rulesets())
def test_a_source_has_only_options_that_it_knows(name: str, ruleset: dict[str, Any]) -> None:
    for source in ruleset["sources"]:
        ((plugin, given),) = ((key, value) for key, value in source.items() if "." in key)
        known = arguments.described(documentation(SOURCES[plugin.removeprefix(OURS)]))["options"]
        assert set(given) <= set(known), f"{name}: {plugin}"


@pytest.mark.parametrize("path", [*SOURCES.values(), *FILTERS.values()], ids=lambda path: path.stem)
def test_a_plugin_is_documented_and_has_a_schema(path: Path) -> None:
    found = arguments.described(documentation(path))
    assert found["name"] == f"{OURS}{path.stem}" and found["short_description"] and found["description"]
    Draft202012Validator.check_schema(arguments.schema(documentation(path)))
    examples = yaml.safe_load(runpy.run_path(str(path))["EXAMPLES"])
    assert any(key == found["name"] or "filters" in one for one in examples for key in one)


@pytest.mark.parametrize("path", SOURCES.values(), ids=lambda path: path.stem)
def test_the_example_of_a_source_is_accepted(path: Path) -> None:
    (example,) = yaml.safe_load(runpy.run_path(str(path))["EXAMPLES"])
    arguments.checked(documentation(path), example[f"{OURS}{path.stem}"])
