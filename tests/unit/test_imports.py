"""Dependencies point one way: modules -> aws -> engine; the engine is pure."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OURS = "ansible_collections.spot.platform.plugins"
ENGINE = f"{OURS}.module_utils.engine"
IMPURE = {
    "asyncio", "boto3", "botocore", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
ON_HOSTS = {"filesystem_grow"}
"""Modules that run on hosts, where Python may be as old as ansible-core 2.17 allows on targets, and has no packages of ours."""
IMPURE_CALLS = {"open", "input", "print", "now", "utcnow", "today", "exec", "eval"}


def sources(folder: str) -> list[Path]:
    """The Python files under ``plugins/<folder>``."""
    return sorted((PLUGINS / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """What the file imports, as full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert (
                not node.level
            ), f"{path.name}:{node.lineno} imports relatively; imports of the collection are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", sources("module_utils/engine"), ids=lambda path: path.name)
def test_the_engine_imports_only_the_engine_and_pure_parts_of_the_standard_library(path):
    for name in imports(path):
        top = name.split(".", 1)[0]
        allowed = name.startswith(f"{ENGINE}.") or (top in sys.stdlib_module_names and top not in IMPURE)
        assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sources("module_utils/engine"), ids=lambda path: path.name)
def test_the_engine_asks_no_clock_and_touches_no_file(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert called not in IMPURE_CALLS, f"{path.name}:{node.lineno} calls {called}"


@pytest.mark.parametrize("path", sources("."), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_nothing_imports_modules(path):
    assert not [name for name in imports(path) if name.startswith(f"{OURS}.modules")]


@pytest.mark.parametrize("path", sources("module_utils"), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_module_utils_import_no_other_plugins_of_ours(path):
    ours = [name for name in imports(path) if name.startswith(OURS)]
    assert all(name.startswith(f"{OURS}.module_utils") for name in ours), ours


def shipped(path: Path) -> set[Path]:
    """A module with all that it takes along of ours."""
    found = {path}
    for name in imports(path):
        parts = name.split(".")[4:] if name.startswith(f"{OURS}.") else []
        for depth in range(1, len(parts) + 1):
            file = PLUGINS.joinpath(*parts[:depth]).with_suffix(".py")
            if file.is_file() and file not in found:
                found |= shipped(file)
    return found


@pytest.mark.parametrize("module", sorted(ON_HOSTS))
def test_what_runs_on_hosts_needs_python_3_7_and_nothing_else(module):
    files = shipped(PLUGINS / "modules" / f"{module}.py")
    assert len(files) > 3
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))
        assert "slots=True" not in path.read_text(encoding="utf-8"), f"{path.name}: dataclasses have no slots before Python 3.10"
        for name in imports(path):
            top = name.split(".", 1)[0]
            allowed = name.startswith((f"{OURS}.", "ansible.module_utils.")) or top in sys.stdlib_module_names
            assert allowed, f"{path.name} imports {name}, which hosts do not have"
