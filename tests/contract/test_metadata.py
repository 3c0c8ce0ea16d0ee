# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says of itself: metadata, dependencies, the commands in its documentation."""

from __future__ import annotations

import re
import runpy

import facts
import pytest

GALAXY = facts.load("galaxy.yml")
FOLDERS = ("plugins", "roles", "playbooks", "extensions", "meta")
PYTHON = [path for folder in FOLDERS for path in facts.tracked(".py", under=folder)]
YAML = [path for folder in FOLDERS for path in facts.tracked(".yml", ".j2", under=folder)]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in YAML)
CODE = "\n".join(path.read_text(encoding="utf-8") for path in PYTHON)
TARGETS = re.findall(r"^([a-z-]+):.*## ", (facts.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("dependency", GALAXY["dependencies"])
def test_dependency_is_used(dependency):
    used = re.search(rf"\b{re.escape(dependency)}\.\w", TEXT) or f"ansible_collections.{dependency}." in CODE
    assert used, f"galaxy.yml depends on {dependency}, but nothing uses it"


def test_collections_that_are_used_are_dependencies():
    used = set(re.findall(r"^\s*(?:- )?([a-z_]+\.[a-z_]+)\.[a-z0-9_]+:(?:\s|$)", TEXT, re.MULTILINE))
    used |= set(re.findall(r"\|\s*([a-z_]+\.[a-z_]+)\.[a-z0-9_]+\b", TEXT))
    used |= set(re.findall(r"ansible_collections\.([a-z_]+\.[a-z_]+)\.", CODE))
    assert used - {"ansible.builtin", facts.COLLECTION} <= set(GALAXY["dependencies"])


def test_requirements_are_the_dependencies():
    listed = {entry["name"]: entry["version"] for entry in facts.load("requirements.yml")["collections"]}
    assert listed == GALAXY["dependencies"]


def test_execution_environment_names_files_that_are_there():
    for name in facts.load("meta/execution-environment.yml")["dependencies"].values():
        assert (facts.ROOT / name).exists()


def test_change_is_told():
    fragments = facts.tracked(".yml", ".yaml", under="changelogs/fragments")
    assert (
        fragments or facts.load("changelogs/changelog.yaml")["releases"]
    ), "a change has a fragment in changelogs/fragments"


def test_gates_are_targets():
    gates = runpy.run_path(str(facts.ROOT / "tests/gates/run.py"))["GATES"]
    assert set(gates) <= set(TARGETS)
    assert "make test" in (facts.ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", facts.tracked(".md"), ids=facts.relative)
def test_commands_in_the_documentation_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`|\$ )make ([a-z-]+)", text, re.MULTILINE):
        assert target in TARGETS, f"there is no make {target}"
    for playbook in re.findall(r"ansible-playbook (?:-\S+ \S+ )*spot\.platform\.(\w+)", text):
        assert playbook in facts.PLAYBOOKS, f"there is no playbook spot.platform.{playbook}"


@pytest.mark.parametrize("path", facts.tracked(".md"), ids=facts.relative)
def test_links_of_the_documentation_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in link and not link.startswith("mailto:"):
            assert (path.parent / link).exists(), f"{link} is not there"
