# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications' manifests as play hosts, one for each pair of application and region."""

from __future__ import annotations

DOCUMENTATION = r"""
name: targets
short_description: One play host for each application and region
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Reads the manifests of an inventory, C(apps/<app>.yml), and makes one host C(<app>@<region>) for each region of
    each application, so that a play over V(targets) works on all of them side by side.
  - Makes one host C(network@<region>) for each region that some application uses, in the group V(networks).
  - Hosts of applications are in the groups V(targets), V(app_<app>) and V(region_<region>), in group names every
    character that Ansible does not allow there becomes an underscore. All hosts use the local connection.
  - A manifest that cannot be read, or that lacks a usable name or regions, becomes the host C(<file>@error) with the
    reason in C(app_error), so that a playbook's preflight reports it; it is never left out silently. The rest of a
    manifest is checked by the playbooks.
  - The file must be named C(targets.yml), or end with C(targets.spot.yml).
notes:
  - "Where the folder is used as the inventory, Ansible reads the manifests as inventories too and warns about them,
    unless C(ansible.cfg) has C(ignore_patterns = ^apps$) in the section C([inventory])."
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices: [spot.platform.targets]
  apps:
    description: The folder of the manifests, relative to the inventory file.
    type: str
    default: apps
  environment:
    description:
      - The name of the environment, for example V(production); a part of the name of every resource.
      - The default is the name of the inventory file's folder.
    type: str
"""

EXAMPLES = r"""
# inventories/production/targets.spot.yml
plugin: spot.platform.targets
---
# Manifests in another place, the environment by another name than the folder's
plugin: spot.platform.targets
apps: ../../manifests
environment: staging
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.unsafe_proxy import wrap_var

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every string may be a template

    def trust_as_template(value: str) -> str:
        return value


NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*")
REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")


@dataclass(frozen=True)
class Manifest:
    """What one file says of where its application runs; ``error`` when that cannot be used."""

    file: Path
    content: Any = None
    name: str | None = None
    regions: tuple[str, ...] = ()
    error: str | None = None


def examine(file: Path, content: Any) -> Manifest:
    """The manifest in ``content``, with the reason why its name or its regions cannot be used, if so."""

    def unusable(reason: str, name: str | None = None) -> Manifest:
        return Manifest(file, content, name, error=f"{file}: {reason}")

    if not isinstance(content, dict):
        return unusable("the manifest must be a mapping with the keys name, owner, regions, capacity, ...")
    name = content.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return unusable(
            f"name is {name!r}; it must start with a letter and hold at most 20 lower-case letters, digits and '-'"
            if name is not None
            else "name is missing"
        )
    regions = content.get("regions")
    if not isinstance(regions, list) or not regions:
        return unusable(f"regions is {regions!r}; it must be a list with at least one AWS region", name)
    for region in regions:
        if not isinstance(region, str) or not REGION.fullmatch(region):
            return unusable(f"regions has {region!r}, which is not the name of an AWS region, as us-east-1 is", name)
        if regions.count(region) > 1:
            return unusable(f"regions has {region} more than once", name)
    return Manifest(file, content, name, tuple(regions))


def without_duplicates(manifests: list[Manifest]) -> list[Manifest]:
    """The manifests, those that share a name turned into errors that name each other."""

    def checked(manifest: Manifest) -> Manifest:
        others = [other.file.name for other in manifests if other.name == manifest.name and other is not manifest]
        if not manifest.name or manifest.error or not others:
            return manifest
        reason = f"the name {manifest.name} is also used by {', '.join(others)}; give each application its own"
        return replace(manifest, regions=(), error=f"{manifest.file}: {reason}")

    return [checked(manifest) for manifest in manifests]


class InventoryModule(BaseInventoryPlugin):
    NAME = "spot.platform.targets"

    def verify_file(self, path: str) -> bool:
        name = Path(path).name
        return super().verify_file(path) and (
            name in ("targets.yml", "targets.yaml") or name.endswith(("targets.spot.yml", "targets.spot.yaml"))
        )

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        environment = self.get_option("environment") or Path(path).absolute().parent.name
        if not ENVIRONMENT.fullmatch(environment):
            raise AnsibleParserError(
                f"{path}: the environment {environment!r} must start with a letter and hold only lower-case letters, "
                "digits and '-'; set the option environment, or rename the folder"
            )
        folder = Path(path).absolute().parent / self.get_option("apps")
        if not folder.is_dir():
            raise AnsibleParserError(
                f"{path}: the folder of the manifests, {folder}, is not there; create it, or set the option apps"
            )
        files = sorted(file for file in folder.iterdir() if file.suffix in (".yml", ".yaml") and file.name[0] != ".")
        self._populate(without_duplicates([self._read(file) for file in files]), environment)

    def _read(self, file: Path) -> Manifest:
        try:
            content = self.loader.load_from_file(str(file), cache="none")
        except AnsibleError as error:
            mark = getattr(error.__cause__, "problem_mark", None)  # where PyYAML stumbled
            line = f"line {mark.line + 1}: " if mark else ""
            return Manifest(file, error=f"{file}: {line}{' '.join(str(error).split())}")
        return examine(file, wrap_var(content))  # a manifest is data: nothing in it is ever run as a template

    def _populate(self, manifests: list[Manifest], environment: str) -> None:
        for group in ("targets", "networks"):
            self.inventory.add_group(group)
            self.inventory.set_variable(group, "ansible_connection", "local")
            self.inventory.set_variable(
                group, "ansible_python_interpreter", trust_as_template("{{ ansible_playbook_python }}")
            )
        for manifest in manifests:
            common = {"app_environment": environment, "app_manifest_file": str(manifest.file)}
            if manifest.content is not None:
                common["app_manifest"] = manifest.content
            groups = ["targets", f"app_{manifest.name or manifest.file.stem}"]
            if manifest.error:
                self._add(f"{manifest.file.name}@error", groups, {**common, "app_error": manifest.error})
            for region in manifest.regions:
                self._add(f"{manifest.name}@{region}", [*groups, f"region_{region}"], {**common, "app_region": region})
        for region in sorted({region for manifest in manifests for region in manifest.regions}):
            self._add(
                f"network@{region}",
                ["networks"],
                {"network_region": region, "network_environment": environment},
            )

    def _add(self, host: str, groups: list[str], variables: dict[str, Any]) -> None:
        for group in groups:
            self.inventory.add_host(host, self.inventory.add_group(self._sanitize_group_name(group)))
        for name, value in variables.items():
            self.inventory.set_variable(host, name, value)
