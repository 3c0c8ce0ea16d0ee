# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the collection, read from its files: the data that the contract tests run over."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "spot.platform"
TASK_LISTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")


def load(path: Path | str) -> Any:
    """A YAML file of the collection, or ``None`` where it is not there."""
    path = ROOT / path
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def tracked(*suffixes: str, under: str = ".") -> list[Path]:
    """The files that Git has or would have, by the ends of their names."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", under]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file())


def relative(path: Path) -> str:
    """The path as a test's name shows it."""
    return str(path.relative_to(ROOT))


MODULES = sorted(path.stem for path in tracked(".py", under="plugins/modules"))
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ROLES = sorted({relative(path).split("/")[1] for path in tracked("main.yml", under="roles")})


@lru_cache(maxsize=None)
def plugin_docs() -> dict[tuple[str, str], dict[str, Any]]:
    """What ``ansible-doc`` knows of each plugin, with its fragments: ``{(kind, short name): {"doc", "examples", ...}}``."""
    found = {}
    for folder in (ROOT / "plugins").iterdir():
        kind = {"modules": "module"}.get(folder.name, folder.name)
        if kind in ("module_utils", "doc_fragments", "plugin_utils"):
            continue
        plugins = sorted({path.stem for path in tracked(".py", ".yml", under=f"plugins/{folder.name}")} - {"__init__"})
        if not plugins:
            continue
        fqcns = [f"{COLLECTION}.{name}" for name in plugins]
        command = ["ansible-doc", "--json", "--type", kind, *fqcns]
        shown = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        found.update({(kind, name.removeprefix(f"{COLLECTION}.")): entry for name, entry in shown.items()})
    return found


TYPES = {"string": "str", "integer": "int", "boolean": "bool", "dictionary": "dict"}
"""Other words for the types of an argument spec, which the documentation of plugins also knows."""


def argument_spec(options: dict[str, Any]) -> dict[str, Any]:
    """The argument spec that documented (or a role's) options describe."""
    kept = ("type", "elements", "choices", "required", "aliases", "default")
    spec = {}
    for name, option in (options or {}).items():
        spec[name] = {key: option[key] for key in kept if key in option}
        spec[name].update({key: TYPES.get(option[key], option[key]) for key in ("type", "elements") if option.get(key)})
        if isinstance(option.get("choices"), dict):
            spec[name]["choices"] = list(option["choices"])
        if nested := option.get("suboptions") or option.get("options"):
            spec[name]["options"] = argument_spec(nested)
    return spec


SAMPLES = {"bytes": "1G", "int": 1, "float": 1.0, "bool": True, "list": [], "dict": {}, "path": "x", "raw": "x", "json": "{}"}


def without_templates(value: Any, option: dict[str, Any]) -> Any:
    """``value`` with each template in it replaced by something of the option's type, since only a run can fill it in."""
    if isinstance(value, str) and "{{" in value:
        return (option.get("choices") or [SAMPLES.get(option.get("type", "str"), "x")])[0]
    nested = option.get("options")
    if isinstance(value, dict) and nested:
        return {key: without_templates(item, nested.get(key, {})) for key, item in value.items()}
    if isinstance(value, list):
        element = {"type": option.get("elements", "str"), "options": nested, "choices": option.get("choices")}
        return [without_templates(item, element) for item in value]
    return value


def problems(arguments: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """What is wrong with ``arguments`` under documented ``options``."""
    spec = argument_spec(options)
    filled = {key: without_templates(value, spec.get(key, {})) for key, value in arguments.items()}
    return ArgumentSpecValidator(spec).validate(filled).error_messages


def tasks_in(value: Any) -> Iterator[dict[str, Any]]:
    """All tasks in a list of plays or tasks, blocks opened."""
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, dict):
            continue
        inner = [key for key in TASK_LISTS if key in item]
        for key in inner:
            yield from tasks_in(item[key])
        if not inner:
            yield item


def code_blocks(path: Path) -> list[tuple[str, str]]:
    """The fenced code blocks of a Markdown file: ``[(language, text)]``."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def yaml_examples() -> Iterator[tuple[str, str]]:
    """All YAML that users are shown: ``(where, text)``, from plugins' EXAMPLES and from Markdown."""
    for (kind, name), entry in plugin_docs().items():
        text = entry["examples"] or ""
        if not text.lstrip().startswith("# fmt: code-block"):  # an example that is not YAML says so
            yield f"{kind} {name}", text
    for path in tracked(".md"):
        for number, (language, text) in enumerate(code_blocks(path), 1):
            if language in ("yaml", "yml"):
                yield f"{relative(path)}, block {number}", text
