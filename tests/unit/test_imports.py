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
