"""Instances become hosts, in the groups that core's own constructed inventory would make."""

from __future__ import annotations

import copy

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import Constructable
from ansible_collections.spot.platform.plugins.inventory import fleet
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError

OPTIONS = {
    "regions": ["us-east-1"],
    "strict_regions": True,
    "environment": "staging",
    "apps": [],
    "filters": {},
    "hostnames": ["instance_id"],
    "host_variables": "default",
    "health": True,
    "prices": True,
    "strict": False,
    "compose": {},
    "groups": {},
    "keyed_groups": [],
    "use_extra_vars": False,
    "leading_separator": True,
    "cache": False,
}


def instance(number, **described):
    """An instance as `_observe` gives it."""
    return {
        "instance_id": f"i-{number}",
        "instance_type": "m5.large",
        "instance_lifecycle": "spot",
        "private_ip_address": f"10.0.0.{number}",
        "launch_time": "2026-01-31T10:00:00.000Z",
        "state": {"code": 16, "name": "running"},
        "placement": {"availability_zone": "us-east-1a", "tenancy": "default", "region": "us-east-1"},
        "tags": {"Name": "web", "role": "front", "spot.platform/app": "web"},
        "app_name": "web",
        "app_environment": "staging",
        "app_region": "us-east-1",
        "zone": "us-east-1a",
        "lifecycle": "spot",
        "autoscaling_group": "staging-web",
        "health": "healthy",
        "price_per_hour": 0.03,
        **described,
    }


def trusted(value):
    """Expressions as they come from an inventory file, which Ansible trusts."""
    try:
        from ansible.template import trust_as_template
    except ImportError:  # before ansible-core 2.19
        return value
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def plugin_with(cls=fleet.InventoryModule, **options):
    plugin = cls()
    plugin._options = {**OPTIONS, **{key: trusted(value) for key, value in options.items()}}
    plugin.inventory, plugin.loader, plugin._vars = InventoryData(), DataLoader(), {}
    return plugin


def populate(found, cls=fleet.InventoryModule, **options):
    plugin = plugin_with(cls, **options)
    plugin._populate(copy.deepcopy(found))
    plugin.inventory.reconcile_inventory()
    return plugin.inventory


def groups_of(inventory):
    return {name: sorted(h.name for h in group.get_hosts()) for name, group in inventory.groups.items() if group.hosts}


class ByCore(fleet.InventoryModule):
    """The same hosts, with everything constructed by core alone."""

    _compose = Constructable._compose

    def _construct_groups(self, groups, keyed_groups, instance, host, strict):
        self._add_host_to_composed_groups(groups, instance, host.name, strict=strict)
        self._add_host_to_keyed_groups(keyed_groups, instance, host.name, strict=strict)


FOUND = [
    instance(1, public_ip_address="54.0.0.1"),
    instance(2, lifecycle="on_demand", health="unhealthy", zone="us-east-1b", tags={"Name": "", "role": "back-end"}),
    instance(3, tags={}, app_name=None, placement={"availability_zone": "us-east-1c", "tenancy": "host"}),
]


def test_built_in_groups():
    groups = groups_of(populate(FOUND))
    assert groups == {
        "fleet": ["i-1", "i-2", "i-3"],
        "app_web": ["i-1", "i-2"],
        "region_us_east_1": ["i-1", "i-2", "i-3"],
        "zone_us_east_1a": ["i-1", "i-3"],
        "zone_us_east_1b": ["i-2"],
        "lifecycle_spot": ["i-1", "i-3"],
        "lifecycle_on_demand": ["i-2"],
        "type_m5_large": ["i-1", "i-2", "i-3"],
        "health_healthy": ["i-1", "i-3"],
        "health_unhealthy": ["i-2"],
    }


def test_default_variables_are_those_documented():
    variables = populate(FOUND).get_host("i-1").vars
    assert set(variables) - {"inventory_file", "inventory_dir"} == {*fleet.DEFAULT_VARIABLES, "ansible_host"}
    assert variables["ansible_host"] == "54.0.0.1"
    assert populate(FOUND).get_host("i-2").vars["ansible_host"] == "10.0.0.2"
    assert all(name in fleet.DOCUMENTATION for name in fleet.DEFAULT_VARIABLES)


def test_all_variables():
    variables = populate(FOUND, host_variables="all").get_host("i-1").vars
    assert {key: variables[key] for key in FOUND[0]} == FOUND[0]


@pytest.mark.parametrize(
    "options",
    [
        {"keyed_groups": [{"key": "placement.availability_zone", "prefix": "az"}, {"key": "tags.role"}]},
        {"keyed_groups": [{"key": "tags.role", "prefix": "r", "separator": "-"}, {"key": "tags", "prefix": "tag"}]},
        {"keyed_groups": [{"key": "tags.Name", "default_value": "none"}, {"key": "tags['spot.platform/app']"}]},
        {"keyed_groups": [{"key": "tags", "trailing_separator": False}]},
        {"keyed_groups": [{"key": "tags.role", "parent_group": "roles"}, {"key": "instance_type | upper"}]},
        {"keyed_groups": [{"key": "tags.role", "parent_group": "{{ lifecycle }}"}, {"key": "tags.items"}]},
        {"keyed_groups": [{"key": "tags.role", "separator": ""}], "leading_separator": False},
        {"keyed_groups": [{"key": "tags.role"}, {"key": "group_names"}, {"key": "inventory_hostname"}]},
        {"keyed_groups": [{"key": "zone"}], "compose": {"zone": "tags.role", "x": "lifecycle ~ 1", "no": "tags.none"}},
        {"keyed_groups": [{"key": "mine"}], "compose": {"mine": "'the ' ~ lifecycle", "ansible_host": "tags.role"}},
        {"groups": {"cheap": "lifecycle == 'spot'", "front": "tags.role == 'front'", "hers": "zone_x is defined"}},
    ],
)
def test_constructed_as_core_does(options):
    ours, by_core = populate(FOUND, **options), populate(FOUND, ByCore, **options)
    assert groups_of(ours) == groups_of(by_core)
    assert {host.name: host.vars for host in ours.hosts.values()} == {
        host.name: host.vars for host in by_core.hosts.values()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"keyed_groups": [{"key": "tags.role"}]},
        {"compose": {"x": "tags.role"}},
        {"groups": {"x": "tags.role == 'front'"}},
        {"keyed_groups": [{"key": "tags.role", "default_value": "a", "trailing_separator": True}]},
        {"keyed_groups": ["zone"]},
        {"keyed_groups": [{"key": "price_per_hour"}]},
    ],
)
def test_strict_fails_as_core_does(options):
    with pytest.raises(AnsibleError) as by_core:
        populate(FOUND, ByCore, strict=True, **options)
    with pytest.raises(AnsibleError) as ours:
        populate(FOUND, strict=True, **options)
    assert str(ours.value) == str(by_core.value)


def test_extra_variables_come_first():
    plugin = plugin_with(use_extra_vars=True, keyed_groups=[{"key": "zone", "prefix": "z"}])
    plugin._vars = {"zone": "extra"}
    plugin._populate(copy.deepcopy(FOUND))
    assert "z_extra" in plugin.inventory.groups


@pytest.mark.parametrize(
    "preferences, names",
    [
        (["private_ip_address"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        (["public_ip_address", "private_ip_address"], ["54.0.0.1", "10.0.0.2", "10.0.0.3"]),
        (["tag:role", "instance_id"], ["front", "back-end", "i-3"]),
        (["name"], ["web", "i-2", "i-3"]),
    ],
)
def test_hostnames(preferences, names):
    assert [fleet.hostname(found, preferences) for found in FOUND] == names


def test_two_instances_of_one_name_are_an_error():
    with pytest.raises(AnsibleParserError, match="i-1 and i-2 would both be named web"):
        populate([instance(1), instance(2)], hostnames=["name"])


def filters_of(**options):
    filters = plugin_with(**options)._instance_filters("staging")
    return {item["Name"]: item["Values"] for item in filters}


def test_filters():
    assert filters_of() == {
        "instance-state-name": ["pending", "running"],
        "tag:spot.platform/environment": ["staging"],
        "tag:spot.platform/app": ["*"],
    }
    chosen = filters_of(apps=["web"], filters={"instance-state-name": "stopped", "tag:x": ["1", "2"]})
    assert chosen["tag:spot.platform/app"] == ["web"]
    assert chosen["instance-state-name"] == ["stopped"]
    assert chosen["tag:x"] == ["1", "2"]


def observe(monkeypatch, **options):
    plugin = plugin_with(
        regions=["us-east-1", "eu-west-1"], access_key="a", secret_key="b", region=None, profile=None, **options
    )

    def region(clients, name, environment):
        if name == "eu-west-1":
            raise AwsError(f"cannot list the instances in {name}: denied")
        return [instance(1)]

    plugin.warnings = []
    monkeypatch.setattr(plugin, "warn", plugin.warnings.append)
    monkeypatch.setattr(plugin, "_observe_region", region)
    return plugin, lambda: plugin._observe("staging")


def test_a_region_that_fails_is_an_error(monkeypatch):
    _plugin, ask = observe(monkeypatch)
    with pytest.raises(AnsibleParserError, match="cannot list the instances in eu-west-1: denied"):
        ask()


def test_a_region_that_fails_is_a_warning_where_that_is_wanted(monkeypatch):
    plugin, ask = observe(monkeypatch, strict_regions=False)
    assert ask() == ([instance(1)], False)
    assert plugin.warnings == ["The inventory lacks a region: cannot list the instances in eu-west-1: denied"]
