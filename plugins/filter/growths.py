# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems of which hosts are to grow, and within which limits."""

from __future__ import annotations

DOCUMENTATION = r"""
name: growths
short_description: Which file systems are to be looked after, on which hosts
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Finds the hosts of file systems that an event names, and what the manifest of their application says of each, its
    O(spot.platform.app#role:main:app_manifest.volumes).
  - Hosts are those of the inventory that have C(instance_id), C(app_name) and C(app_region), as the inventory plugin
    P(spot.platform.fleet#inventory) makes them; manifests are those of P(spot.platform.targets#inventory).
options:
  _input:
    description: The file systems, as C(<instance id or host>:<mount point>).
    type: list
    elements: str
    required: true
  hosts:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  everything:
    description: Find all file systems that manifests have besides, on all hosts of their applications.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Find what is to grow
  ansible.builtin.debug:
    msg: "{{ ['i-0123456789abcdef0:/srv/data'] | spot.platform.growths(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - Each file system once, by host and mount, with C(host), C(mount), C(app), C(region), C(named), whether it was named, and with
      C(grow_below), C(free_percent) and C(max_size) of its manifest; where no manifest has it, their defaults.
  type: list
  elements: dict
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.manifest import by_name, schema
from ansible_collections.spot.platform.plugins.module_utils.engine.volumes import Usage, wish_for

NAMED = re.compile(r"(?P<host>[^/]+):(?P<mount>/.*)")
GIB = 1024**3


def growths(named: Iterable[str], hosts: Mapping[str, Any], everything: bool = False) -> list[dict[str, Any]]:
    """See the filter's documentation above."""
    instances = {name: hosts[name] for name in hosts if hosts[name].get("instance_id") and hosts[name].get("app_name")}
    policies = policies_of(hosts)
    defaults = {key: option.get("default") for key, option in schema()["volumes"]["options"].items()}
    told = {found_of(one, instances) for one in named}
    written = {(name, mount) for name, one in instances.items() for app, mount in policies if everything and app == one["app_name"]}
    found = []
    for name, mount in sorted(told | written):
        one = instances[name]
        policy = policies.get((one["app_name"], mount), defaults)
        found.append(
            {
                "host": name,
                "mount": mount,
                "app": one["app_name"],
                "region": one["app_region"],
                "named": (name, mount) in told,
                **{key: policy[key] for key in ("grow_below", "free_percent", "max_size")},
            }
        )
    return found


def policies_of(hosts: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What the manifests say, by application and mount point. Raises ``AnsibleFilterError`` for one that cannot be used."""
    manifests = [hosts[name]["app_manifest"] for name in hosts if hosts[name].get("app_manifest")]
    return {(one["name"], volume["mount"]): volume for one in by_name(manifests) for volume in one["volumes"]}


def found_of(named: str, instances: Mapping[str, Any]) -> tuple[str, str]:
    """Host and mount point of what is named. Raises ``AnsibleFilterError``."""
    parts = NAMED.fullmatch(str(named))
    if not parts:
        raise AnsibleFilterError(f"{named!r} names no file system: write <instance id or host>:<mount point>")
    for name, one in instances.items():
        if parts["host"] in (name, one["instance_id"]):
            return name, parts["mount"]
    raise AnsibleFilterError(
        f"no host of the inventory is {parts['host']}, which {named} names: it has gone, or the inventory lacks "
        f"spot.platform.fleet; it has {len(instances)} instances of applications"
    )


def growth_wishes(found: Iterable[Mapping[str, Any]], hosts: Mapping[str, Any]) -> dict[str, Any]:
    """See ``growth_wishes.yml``."""
    wishes, left_out = [], []
    for one in found:
        seen = next((each for each in hosts[one["host"]].get("__seen", {}).get("filesystems", ()) if each["mount"] == one["mount"]), None)
        if seen is None or seen["outcome"] in ("refused", "failed"):
            continue  # the host has told why
        why = unfit(seen)
        if why:
            left_out.append(f"{one['mount']} of {one['host']} {why}")
            continue
        wish = wish_of(one, seen)
        if wish:
            wishes.append({"ids": [seen["volume_id"]], "regions": [one["region"]], **wish})
    return {"wishes": wishes, "left_out": left_out}


def unfit(seen: Mapping[str, Any]) -> str | None:
    """Why no volume can be chosen for a file system."""
    if len(seen["disks"]) != 1:
        return f"lies on {len(seen['disks'])} disks: grow the volume that you choose with spot.platform.ebs_volume_resize, and run this again"
    if not seen["volume_id"]:
        return f"lies on {seen['disk']}, which is no EBS volume that can be told from here"
    return None


def wish_of(one: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the volume is to have, as the module takes it; ``None`` where it has enough."""
    before = seen["before"]
    usage = Usage(before["disk"] / GIB, before["filesystem"] / GIB, before["used"] / GIB, before["available"] / GIB)
    wish = wish_for(usage, one["grow_below"], one["free_percent"], one["max_size"], one["named"])
    if wish is None:
        return None
    asked = {"percent": wish.percent, "free_percent": wish.free_percent, "used": wish.used, "max_size": wish.maximum}
    return {key: value for key, value in asked.items() if value is not None}


class FilterModule:
    """The filters ``spot.platform.growths`` and ``spot.platform.growth_wishes``."""

    def filters(self) -> dict[str, Any]:
        """Their names in Jinja."""
        return {"growths": growths, "growth_wishes": growth_wishes}
