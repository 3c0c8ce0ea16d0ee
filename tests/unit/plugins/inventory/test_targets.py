"""Manifests become play hosts, the unusable ones with their reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.spot.platform.plugins.inventory.targets import InventoryModule, examine

GOOD = "name: web\nregions: [us-east-1, eu-west-1]\n"


def inventory_of(folder, manifests, **options):
    """The inventory of ``folder`` with these manifests (text by file name)."""
    (folder / "apps").mkdir(parents=True)
    for name, text in manifests.items():
        (folder / "apps" / name).write_text(text, encoding="utf-8")
    plugin = InventoryModule()
    plugin._options = {"apps": "apps", "environment": None, **options}
    plugin._read_config_data = lambda path: None
    inventory = InventoryData()
    plugin.parse(inventory, DataLoader(), str(folder / "targets.spot.yml"))
    inventory.reconcile_inventory()
    return inventory


def hosts(inventory, group):
    return sorted(host.name for host in inventory.groups[group].get_hosts())


def test_a_host_for_each_app_and_region(tmp_path):
    worker = "name: a-worker\nregions: [us-east-1]\n"
    inventory = inventory_of(tmp_path / "staging", {"web.yml": GOOD, "other.yaml": worker, ".hidden.yml": "x"})
    assert hosts(inventory, "targets") == ["a-worker@us-east-1", "web@eu-west-1", "web@us-east-1"]
    assert hosts(inventory, "networks") == ["network@eu-west-1", "network@us-east-1"]
    assert hosts(inventory, "app_web") == ["web@eu-west-1", "web@us-east-1"]
    assert hosts(inventory, "app_a_worker") == ["a-worker@us-east-1"]
    assert hosts(inventory, "region_us_east_1") == ["a-worker@us-east-1", "web@us-east-1"]


def test_the_variables_of_the_hosts(tmp_path):
    inventory = inventory_of(tmp_path / "staging", {"web.yml": GOOD + 'command: "{{ not_run }}"\n'})
    web = inventory.get_host("web@eu-west-1").vars
    assert web["app_region"] == "eu-west-1"
    assert web["app_environment"] == "staging"
    assert web["app_manifest"]["command"] == "{{ not_run }}"
    assert Path(web["app_manifest_file"]).name == "web.yml"
    assert "app_error" not in web
    network = inventory.get_host("network@us-east-1").vars
    assert (network["network_region"], network["network_environment"]) == ("us-east-1", "staging")
    for group in ("targets", "networks"):
        assert inventory.groups[group].vars["ansible_connection"] == "local"
        assert inventory.groups[group].vars["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


def test_options_of_place_and_environment(tmp_path):
    inventory = inventory_of(tmp_path / "X", {"web.yml": GOOD}, apps="../X/apps", environment="production")
    assert inventory.get_host("web@us-east-1").vars["app_environment"] == "production"


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "must be a mapping"),
        ([], "must be a mapping"),
        ({"regions": ["us-east-1"]}, "name is missing"),
        ({"name": "Web"}, "name is 'Web'; it must start with a letter and hold at most 20 lower-case"),
        ({"name": "a" * 21}, "at most 20"),
        ({"name": 5}, "name is 5"),
        ({"name": "web"}, "regions is None; it must be a list with at least one"),
        ({"name": "web", "regions": "us-east-1"}, "regions is 'us-east-1'; it must be a list"),
        ({"name": "web", "regions": ["us-east"]}, "regions has 'us-east', which is not the name"),
        ({"name": "web", "regions": ["us-east-1", "us-east-1"]}, "regions has us-east-1 more than once"),
    ],
)
def test_what_cannot_be_used_says_why(content, reason):
    manifest = examine(Path("apps/web.yml"), content)
    assert manifest.regions == ()
    assert manifest.error.startswith("apps/web.yml: ")
    assert reason in manifest.error


def test_an_unusable_manifest_is_a_host_with_its_error(tmp_path):
    inventory = inventory_of(tmp_path / "staging", {"web.yml": "name: web\n  regions: [\n", "ok.yml": GOOD})
    assert hosts(inventory, "app_web") == ["web.yml@error", "web@eu-west-1", "web@us-east-1"]
    error = inventory.get_host("web.yml@error").vars["app_error"]
    assert "web.yml: line 2: " in error


def test_two_manifests_of_one_name_are_both_errors(tmp_path):
    inventory = inventory_of(tmp_path / "staging", {"a.yml": GOOD, "b.yml": GOOD})
    assert hosts(inventory, "targets") == ["a.yml@error", "b.yml@error"]
    assert "the name web is also used by b.yml" in inventory.get_host("a.yml@error").vars["app_error"]
    assert hosts(inventory, "networks") == []


def test_no_folder_of_manifests(tmp_path):
    with pytest.raises(AnsibleParserError, match="nowhere, is not there; create it, or set the option apps"):
        inventory_of(tmp_path / "staging", {}, apps="nowhere")


def test_an_environment_that_cannot_be_part_of_names(tmp_path):
    with pytest.raises(AnsibleParserError, match="the environment 'My Env' must start with a letter"):
        inventory_of(tmp_path / "My Env", {"web.yml": GOOD})


@pytest.mark.parametrize(
    "name, accepted",
    [("targets.yml", True), ("my.targets.spot.yaml", True), ("web.yml", False), ("fleet.spot.yml", False)],
)
def test_the_files_for_this_plugin(tmp_path, name, accepted):
    (tmp_path / name).write_text("plugin: spot.platform.targets\n", encoding="utf-8")
    assert InventoryModule().verify_file(str(tmp_path / name)) is accepted
