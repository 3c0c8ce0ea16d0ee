# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and what never belongs in the source."""

from __future__ import annotations

import ast
import re
import sys

import facts
import pytest

OURS = "ansible_collections.spot.platform."
UTILS = f"{OURS}plugins.module_utils"


def imports(path):
    """``[(module, names)]`` that a Python file imports; a relative import begins with a full stop."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", facts.tracked(".py", under="plugins"), ids=facts.relative)
def test_plugins_import_in_one_direction(path):
    place = facts.relative(path)
    for module, name in imports(path):
        full = f"{module}.{name}".rstrip(".")
        assert not module.startswith("."), f"{place} imports {full} relatively; imports of the collection are absolute"
        assert not full.startswith(f"{OURS}plugins.modules"), f"{place} imports a module; nothing does"
        if place.startswith("plugins/module_utils/engine/"):
            allowed = full.startswith(f"{UTILS}.engine") or module.split(".")[0] in sys.stdlib_module_names
            assert allowed, f"{place} imports {full}; the engine imports only the engine and the standard library"


@pytest.mark.parametrize("path", facts.tracked(".py", under="plugins/module_utils/engine"), ids=facts.relative)
def test_engine_is_pure(path):
    impure = {"time", "random", "os", "subprocess", "socket", "threading", "urllib", "requests", "pathlib", "logging"}
    used = {module.split(".")[0] for module, _name in imports(path)} & impure
    assert not used, f"{facts.relative(path)} imports {sorted(used)}: the engine has no clock, chance or I/O"
    assert not re.search(
        r"\b(datetime\.now|utcnow|open)\(", path.read_text(encoding="utf-8")
    ), "the clock is an argument"


@pytest.mark.parametrize("path", facts.tracked(".py", under="plugins"), ids=facts.relative)
def test_plugins_carry_their_licence(path):
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or "GNU General Public License v3.0+" in text


@pytest.mark.parametrize("path", facts.tracked(".py", ".yml", ".sh"), ids=facts.relative)
def test_a_silenced_check_says_why(path):
    silenced = re.compile(r"(?:#\s*(?:noqa|pylint: disable|nosec)\S*|^\s*(?:failed_when: false|ignore_errors: \w+)(?:\s*#)?)\s*(.*)$")
    said = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        match = silenced.search(line) if "re.compile" not in line else None
        said = bool(match) and (said or bool(re.search(r"[a-z]+ [a-z]+", match[1])))  # one reason for lines in a row
        assert said or not match, f"{facts.relative(path)}:{number} does not say why"


def test_no_check_is_ignored_by_a_list():
    assert not list((facts.ROOT / "tests/sanity").glob("ignore*")), "there are no sanity ignore files"
    assert not (facts.ROOT / ".ansible-lint-ignore").exists()
    assert not {"skip_list", "warn_list"} & set(facts.load(".ansible-lint"))
