# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a manifest against its one schema, the argument spec of the role ``app``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: manifest
short_description: Check an application's manifest and fill in its defaults
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Checks a manifest against the schema, which is the option O(spot.platform.app#role:main:app_manifest) of the role
    P(spot.platform.app#role), and returns it with the defaults of all keys that were not given.
  - With O(errors=true) it returns what is wrong with the manifest instead.
options:
  _input:
    description: The manifest, as written.
    type: dict
    required: true
  errors:
    description: Return the list of what is wrong, which is empty for a good manifest, instead of the manifest.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show a manifest with its defaults
  ansible.builtin.debug:
    msg: "{{ app_manifest | spot.platform.manifest }}"

- name: Check a manifest
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ app_manifest | spot.platform.manifest(errors=true) }}"
"""

RETURN = r"""
_value:
  description: The manifest with its defaults; or, with O(errors=true), a list of sentences, each with key and remedy.
  type: raw
"""

import difflib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_watch import Budget
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of
from ansible_collections.spot.platform.plugins.module_utils.engine.shares import Share
from ansible_collections.spot.platform.plugins.module_utils.engine.shares import problems as misfits_of
from ansible_collections.spot.platform.plugins.module_utils.engine.volumes import misfits

SCHEMA = Path(__file__).resolve().parents[2] / "roles" / "app" / "meta" / "argument_specs.yml"


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The option ``app_manifest`` of the role: ``{key: {"type", "options", ...}}``."""
    specs = yaml_load(SCHEMA.read_text(encoding="utf-8"))["argument_specs"]
    return specs["main"]["options"]["app_manifest"]["options"]


def complete(value: Any, options: dict[str, Any]) -> Any:
    """``value`` with an empty mapping for each mapping left out that may be empty, so that its defaults apply, and
    without what is null, at every depth.

    Ansible fills in the defaults of nested options only below a mapping that is there, and takes null for no choice.
    """
    if isinstance(value, list):
        return [complete(item, options) for item in value]
    if not isinstance(value, dict):
        return value
    result = dict(value)
    for key, option in options.items():
        if option.get("type") == "dict" and "options" in option:
            needs = any(inner.get("required") for inner in option["options"].values())
            if result.get(key) is None and (option.get("required") or needs):
                continue
            if result.get(key) is None:
                result[key] = {}
        if "options" in option:
            result[key] = complete(result.get(key), option["options"])
    return {key: item for key, item in result.items() if item is not None}


def unknown_keys(value: Any, options: dict[str, Any], path: str = "") -> list[str]:
    """A sentence for each key that the schema does not have, with the nearest one that it has."""
    problems = []
    for item in value if isinstance(value, list) else [value]:
        for key, inner in item.items() if isinstance(item, dict) else ():
            if key in options:
                if "options" in options[key]:
                    problems += unknown_keys(inner, options[key]["options"], f"{path}{key}.")
                continue
            near = difflib.get_close_matches(str(key), options, n=1)
            remedy = f"did you mean {path}{near[0]}?" if near else f"use one of {', '.join(options)}"
            problems.append(f"unknown key {path}{key}: {remedy}")
    return problems


def wrong_types(value: Any, options: dict[str, Any], path: str = "") -> list[str]:
    """A sentence for each value whose YAML type Ansible would bend into another: a list out of a word, for example."""
    wanted = {"int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict, "str": str}
    problems = []
    for item in value if isinstance(value, list) else [value]:
        for key, option in options.items() if isinstance(item, dict) else ():
            inner = item.get(key)
            if inner is None:
                continue
            kind = option.get("type", "str")
            is_bool_for_number = isinstance(inner, bool) and kind in ("int", "float")
            if not isinstance(inner, wanted.get(kind, object)) or is_bool_for_number:
                problems.append(f"{path}{key} is {inner!r}: it must be {WORDS.get(kind, kind)}")
            elif "options" in option:
                problems += wrong_types(inner, option["options"], f"{path}{key}.")
    return problems


WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "str": "a text; put it in quotes if it looks like a number",
}


def check(manifest: Any) -> tuple[dict[str, Any], list[str]]:
    """The manifest with its defaults, and what is wrong with it."""
    if not isinstance(manifest, dict):
        return {}, ["the manifest must be a mapping with the keys name, owner, regions, capacity, runtime"]
    problems = unknown_keys(manifest, schema()) + wrong_types(manifest, schema())
    if problems:
        return {}, problems
    result = ArgumentSpecValidator(schema()).validate(complete(manifest, schema()))
    problems = [plain(message) for message in result.error_messages]
    made = result.validated_parameters
    if not problems:
        problems = [*wrong_scaling(made["capacity"]), *wrong_regions(made), *wrong_volumes(made["volumes"])]
        problems += [*wrong_affinity(made), *wrong_budget(made), *wrong_shares(made)]
    return made, problems


def wrong_scaling(capacity: dict[str, Any]) -> list[str]:
    """What is wrong with a scaling whose keys and types are right."""
    try:
        scaling_of(capacity["scaling"], capacity["min"], capacity["max"], capacity["unit"])
    except ValueError as error:
        return [str(error)]
    return []


def wrong_regions(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with how several regions go together, where keys and types are right."""
    problems = []
    try:
        Limits(**manifest["capacity"]["sharing"])
    except ValueError as error:
        problems.append(f"capacity.sharing.{error}")
    dns = manifest["routing"]["dns"]
    if not dns:
        return problems
    zone, name = (dns[key].lower().rstrip(".") for key in ("zone", "name"))
    if "." in zone and name != zone and not name.endswith(f".{zone}"):
        problems.append(f"routing.dns.name is {dns['name']!r}: it must be in the zone {dns['zone']}")
    if not (manifest["runtime"]["port"] and manifest["routing"]["enabled"]):
        problems.append("routing.dns needs a load balancer: set runtime.port, and leave routing.enabled at true")
    return problems


MOUNT = re.compile(r"(/[A-Za-z0-9_@.-]*[A-Za-z0-9_@-][A-Za-z0-9_@.-]*)+")
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var/tmp")
"""Folders that an instance needs as they are, with all below them."""
PARENTS = ("", "home", "opt", "var", "var/lib")
"""Folders that others share: a mount would hide what they have."""


def wrong_mount(mount: str) -> str | None:
    """What is wrong with a mount point of something that is made."""
    if mount[1:] in PARENTS or any(mount[1:] == one or mount[1:].startswith(f"{one}/") for one in SYSTEM):
        return "the instance needs what is there; use one such as /srv/data or /var/lib/postgresql"
    if not MOUNT.fullmatch(mount) or len(mount) > 255:
        return "it must be a path of letters, digits, '.', '_', '@' and '-', of 255 characters at most"
    return None


def wrong_disk(one: dict[str, Any]) -> list[str]:
    """What is wrong with the volume that an entry asks for."""
    mount, size = one["mount"], one["size"]
    if size is None:
        given = [key for key in ("iops", "throughput", "kms_key") if one[key] is not None]
        return [f"volumes of {mount} has {given[0]} and no size: give the size, or leave it out"] if given else []
    problems = [f"volumes.{text}, at {mount}" for text in misfits(one["type"], size, one["iops"], one["throughput"])]
    wrong = wrong_mount(mount)
    if wrong and mount.startswith("/"):
        problems.append(f"volumes.mount is {mount!r}: {wrong}")
    if one["max_size"] is not None and 1 <= one["max_size"] < size:
        problems.append(f"volumes.max_size of {mount} is {one['max_size']}, below its size, {size}: make it {size} or more")
    return problems


def wrong_volumes(volumes: list[dict[str, Any]]) -> list[str]:
    """What is wrong with file systems and how they grow, where keys and types are right."""
    problems, seen = [], set()
    for one in volumes:
        mount, below, free = one["mount"], one["grow_below"], one["free_percent"]
        if not mount.startswith("/") or (mount != "/" and mount != mount.rstrip("/")):
            problems.append(f"volumes.mount is {mount!r}: it must be a path such as /srv/data")
        if mount in seen:
            problems.append(f"volumes.mount {mount} is there twice: leave one")
        if not 0 < below < free <= 90:
            problems.append(
                f"volumes of {mount} has grow_below {below:g} and free_percent {free:g}: grow_below must be above 0 and less than "
                "free_percent, which is 90 at most"
            )
        if one["max_size"] is not None and one["max_size"] < 1:
            problems.append(f"volumes.max_size of {mount} is {one['max_size']}: it must be 1 or more")
        problems += wrong_disk(one)
        seen.add(mount)
    return problems


def wrong_affinity(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with volumes that stay with their zone, where keys and types are right."""
    problems, stay = [], [one for one in manifest["volumes"] if one["affinity"]]
    launched = [f"/dev/sd{chr(ord('f') + number)}" for number in range(sum(one["size"] is not None for one in manifest["volumes"]))]
    if stay and (manifest["capacity"]["kind"] != "auto_scaling_group" or manifest["capacity"]["unit"] != "instances"):
        problems.append("volumes.affinity gives each instance a volume: set capacity.kind to auto_scaling_group, capacity.unit to instances")
    for one in stay:
        if len(one["mount"].split()) > 1:
            problems.append(f"volumes.mount is {one['mount']!r}: with affinity it must be without spaces")
        if one["size"] is not None:
            problems.append(f"volumes of {one['mount']} has a size and affinity: what stays is not made with an instance; leave one of them out")
        if not re.match(r"/dev/(sd|xvd)[b-z]$", one["affinity"]["device"]):
            problems.append(f"volumes.affinity.device is {one['affinity']['device']!r}: it must be a name such as /dev/sdf")
        if one["affinity"]["device"] in launched:
            problems.append(f"volumes.affinity.device {one['affinity']['device']} is that of a volume with a size: take one behind {launched[-1]}")
        for key, value in one["affinity"].items():
            if isinstance(value, (int, float)) and value < 0:
                problems.append(f"volumes.affinity.{key} of {one['mount']} is {value:g}: it must be 0 or more")
    devices = [one["affinity"]["device"] for one in stay]
    for device in sorted({one for one in devices if devices.count(one) > 1}):
        problems.append(f"volumes.affinity.device {device} is there twice: give each mount its own")
    return problems


def wrong_budget(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with the budget, where keys and types are right."""
    given = manifest["budget"]
    try:
        if given:
            Budget(manifest["name"], given["monthly"], tuple(given["alerts"]))
    except ValueError as error:
        return [f"budget: {error}"]
    return []


def wrong_shares(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with file systems that instances share, where keys and types are right."""
    problems, names = [], [one["name"] for one in manifest["file_systems"]]
    mounts = [one["mount"] for one in (*manifest["file_systems"], *manifest["volumes"])]
    for one in manifest["file_systems"]:
        share = Share(one["name"], "", one["uid"], one["cold_after_days"], one["backup"], one["kms_key"])
        problems += [f"file_systems: {text}" for text in misfits_of(share)]
        mount = one["mount"]
        wrong = wrong_mount(mount) if mount.startswith("/") else "it must be a path such as /srv/shared"
        if wrong:
            problems.append(f"file_systems.mount is {mount!r}: {wrong}")
        if mounts.count(mount) > 1:
            problems.append(f"file_systems.mount {mount} is there twice, in file_systems or volumes: leave one")
    problems += [f"file_systems has {name} twice: leave one" for name in sorted({name for name in names if names.count(name) > 1})]
    return problems


def plain(message: str) -> str:
    """Ansible's message with the path of the key first: ``capacity.unit must be one of ..., got: cpus``."""
    missing = re.fullmatch(r"missing required arguments: (.*?)(?: found in (.*))?", message)
    if missing:
        where = f"{missing[2].replace(' -> ', '.')}." if missing[2] else ""
        return "; ".join(f"{where}{key} is missing: add it" for key in missing[1].split(", "))
    value = re.fullmatch(r"value of (\S+) must be (.*?)(?: found in (.*))?", message)
    if value:
        where = f"{value[3].replace(' -> ', '.')}." if value[3] else ""
        return f"{where}{value[1]} must be {value[2]}"
    return message


def manifest_filter(manifest: Any, errors: bool = False) -> Any:
    """See the filter's documentation above."""
    result, problems = check(manifest)
    if errors:
        return problems
    if problems:
        raise AnsibleFilterError("the manifest cannot be used: " + "; ".join(problems))
    return result


def scalings_filter(manifests: Any) -> list[dict[str, Any]]:
    """See ``scalings.yml``."""
    found = []
    for result in by_name(manifests):
        # As it would be written: the module refuses null where it has choices.
        scaling = complete(result["capacity"]["scaling"], schema()["capacity"]["options"]["scaling"]["options"])
        if scaling.keys() & {"metrics", "schedules", "budget"}:
            found.append({"app": result["name"], **scaling})
    return found


def spreads_filter(manifests: Any) -> list[dict[str, Any]]:
    """See ``spreads.yml``."""
    found = []
    for result in by_name(manifests):
        one = {"app": result["name"], "regions": result["regions"]}
        if len(result["regions"]) > 1 and result["capacity"]["sharing"]["max_extra"]:
            one["sharing"] = result["capacity"]["sharing"]
        if result["routing"]["dns"]:
            one["dns"] = result["routing"]["dns"]
        if len(one) > 2:
            found.append(one)
    return found


def affinities_filter(manifests: Any) -> list[dict[str, Any]]:
    """See ``affinities.yml``."""
    return [
        {"app": result["name"], "mount": one["mount"], "regions": result["regions"], **complete(one["affinity"], {})}
        for result in by_name(manifests)
        for one in result["volumes"]
        if one["affinity"]
    ]


def budgets_filter(manifests: Any) -> list[dict[str, Any]]:
    """See ``budgets.yml``."""
    return [{"app": result["name"], **result["budget"]} for result in by_name(manifests) if result["budget"]]


def by_name(manifests: Any) -> list[dict[str, Any]]:
    """The manifests with their defaults, each once, by name. Raises ``AnsibleFilterError`` for one that cannot be used."""
    found: dict[str, dict[str, Any]] = {}
    for manifest in manifests:
        result, problems = check(manifest)
        if problems:
            name = manifest.get("name", "without a name") if isinstance(manifest, dict) else "that is no mapping"
            raise AnsibleFilterError(f"the manifest {name} cannot be used: {'; '.join(problems)}")
        found[result["name"]] = result
    return [found[name] for name in sorted(found)]


class FilterModule:
    """The filters of the collection that take manifests."""

    def filters(self) -> dict[str, Any]:
        """Their names in Jinja."""
        return {
            "manifest": manifest_filter,
            "scalings": scalings_filter,
            "spreads": spreads_filter,
            "affinities": affinities_filter,
            "budgets": budgets_filter,
        }
