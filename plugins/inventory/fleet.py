# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of the applications as hosts, over all regions."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
short_description: The instances of the applications, over all regions
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Lists the instances of the applications of one environment, all regions side by side, each with its Auto Scaling
    group, its lifecycle (Spot or On-Demand), its health and its price.
  - All hosts are in the group V(fleet) and in groups by application, region, zone, lifecycle, instance type and
    health, as V(app_web), V(region_us_east_1), V(zone_us_east_1a), V(lifecycle_spot), V(lifecycle_on_demand),
    V(type_m5_large) and V(health_healthy).
  - Each region is asked once, for its instances and for its groups; target groups and prices only where wanted. Where
    instances belong to an EC2 Fleet or Spot Fleet, each such fleet is asked for their health.
  - The file must be named C(fleet.yml), or end with C(fleet.spot.yml).
  - "Required IAM actions: C(ec2:DescribeInstances), C(autoscaling:DescribeAutoScalingGroups), with O(health) also
    C(elasticloadbalancing:DescribeTargetHealth), with O(prices) also C(ec2:DescribeSpotPriceHistory) and
    C(pricing:GetProducts); where there are fleets, C(ec2:DescribeFleetInstances), C(ec2:DescribeSpotFleetInstances) and
    C(ec2:DescribeSpotFleetRequests)."
notes:
  - "Host variables: C(instance_id), C(instance_type), C(private_ip_address), C(public_ip_address), C(launch_time), as
    AWS describes them; C(app_name), C(app_environment), C(app_region); C(zone); C(lifecycle) (V(spot) or
    V(on_demand)); C(autoscaling_group), null in a fleet; C(health) (V(healthy), V(unhealthy), V(starting), V(draining) or
    V(unknown));
    C(price_per_hour), the Spot or On-Demand price of now for Linux in USD, null where AWS gives none; and
    C(ansible_host), the public address or else the private one."
  - Expressions in O(compose), O(groups) and O(keyed_groups) see the whole description of an instance, in the names that
    P(amazon.aws.aws_ec2#inventory) gives them (C(placement.tenancy), C(tags.Name)), with any O(host_variables).
    Times are strings.
extends_documentation_fragment:
  - inventory_cache
  - constructed
  - amazon.aws.boto3
  - amazon.aws.common.plugins
  - amazon.aws.region.plugins
  - amazon.aws.assume_role.plugins
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices: [spot.platform.fleet]
  regions:
    description: The regions to list; the default is the one region of the AWS configuration.
    type: list
    elements: str
    default: []
  strict_regions:
    description: Whether a region that cannot be listed is an error, or is left out with a warning.
    type: bool
    default: true
  environment:
    description:
      - The environment whose instances to list, V(*) for all.
      - The default is the name of the inventory file's folder.
    type: str
  apps:
    description: The applications whose instances to list; the default is all.
    type: list
    elements: str
    default: []
  filters:
    description:
      - Further filters of DescribeInstances, as in P(amazon.aws.aws_ec2#inventory).
      - A filter C(instance-state-name) replaces that for the states V(pending) and V(running); a filter
        C(tag:spot.platform/app) or C(tag:spot.platform/environment) replaces that for O(apps) or O(environment).
    type: dict
    default: {}
  hostnames:
    description:
      - What to name a host by, in order of preference, the first that the instance has.
      - V(instance_id), V(private_ip_address), V(public_ip_address), V(private_dns_name), V(public_dns_name), V(name)
        (the tag C(Name)) or C(tag:<key>) for another tag.
      - Instances that get the same name are an error, because plays would reach only one of them.
    type: list
    elements: str
    default: [instance_id]
  host_variables:
    description: Whether hosts carry the few variables named in the notes, or also the whole description of the instance.
    type: str
    choices: [default, all]
    default: default
  health:
    description:
      - Whether to ask the target groups for the health of their members.
      - Otherwise, and for instances in no target group, C(health) is what the Auto Scaling group or fleet knows.
    type: bool
    default: true
  prices:
    description: Whether to find the price of each instance. On-Demand prices are kept for a day in C(~/.cache/spot.platform).
    type: bool
    default: true
"""

EXAMPLES = r"""
# inventories/production/fleet.spot.yml: all applications of the environment "production" in two regions
plugin: spot.platform.fleet
regions: [us-east-1, eu-west-1]
---
# Reached over the private network, with groups by a tag, and by whether the instance may be taken away soon
plugin: spot.platform.fleet
regions: [us-east-1]
apps: [web, worker]
hostnames: [name, instance_id]
compose:
  ansible_host: private_ip_address
keyed_groups:
  - key: tags.role
    prefix: role
  - key: placement.availability_zone
groups:
  interruptible: lifecycle == 'spot'
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/spot.platform/inventory
cache_timeout: 60
"""

from pathlib import Path
from typing import Any

try:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
except ImportError:
    pass  # AWSInventoryBase says which library is missing

from ansible.errors import AnsibleParserError
from ansible.utils.vars import combine_vars
from ansible_collections.amazon.aws.plugins.module_utils.transformation import ansible_dict_to_boto3_filter_list
from ansible_collections.amazon.aws.plugins.plugin_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.plugin_utils.inventory import AWSInventoryBase
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import instances, market, steered_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, explain
from ansible_collections.spot.platform.plugins.plugin_utils.paths import ASK_JINJA, follow, path_of

CONNECT_TIMEOUT = 5
"""Seconds. An inventory stands in front of every command; it must not wait long to say that AWS is out of reach."""

DEFAULT_VARIABLES = (
    "instance_id",
    "instance_type",
    "private_ip_address",
    "public_ip_address",
    "launch_time",
    "app_name",
    "app_environment",
    "app_region",
    "zone",
    "lifecycle",
    "autoscaling_group",
    "health",
    "price_per_hour",
)
GROUPED_BY = {
    "app_name": "app",
    "app_region": "region",
    "zone": "zone",
    "lifecycle": "lifecycle",
    "instance_type": "type",
    "health": "health",
}
"""Variable and the prefix of its groups."""
NAMES = ("instance_id", "private_ip_address", "public_ip_address", "private_dns_name", "public_dns_name", "name")


class InventoryModule(AWSInventoryBase):
    NAME = "spot.platform.fleet"

    def verify_file(self, path: str) -> bool:
        name = Path(path).name
        return super().verify_file(path) and (
            name in ("fleet.yml", "fleet.yaml") or name.endswith(("fleet.spot.yml", "fleet.spot.yaml"))
        )

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache=cache)
        for preference in self.get_option("hostnames"):
            if preference not in NAMES and not preference.startswith("tag:"):
                raise AnsibleParserError(
                    f"{path}: hostnames has {preference!r}; it must be one of {', '.join(NAMES)} or tag:<key>"
                )
        known, found = self.get_cached_result(path, cache)
        complete = True
        if not known:
            environment = self.get_option("environment") or Path(path).absolute().parent.name
            found, complete = self._observe(environment)
        self._populate(found)
        if complete:
            self.update_cached_result(path, cache, found)

    def get_option(self, option: str, hostvars: Any = None) -> Any:
        """As amazon.aws's, without the argument for which ansible-core warns of deprecation."""
        value = super(AWSInventoryBase, self).get_option(option, hostvars)
        return self.templar.template(value) if option in self.TemplatedOptions.TEMPLATABLE_OPTIONS else value

    def get_options(self, *args: Any) -> dict[str, Any]:
        return {option: self.get_option(option) for option in super(AWSInventoryBase, self).get_options(*args)}

    def _observe(self, environment: str) -> tuple[list[dict[str, Any]], bool]:
        """The instances of all regions, and whether no region was left out."""
        region, endpoint, connection = get_aws_connection_info(self)
        regions = list(dict.fromkeys(self.get_option("regions"))) or [region]
        if regions == [None]:
            raise AnsibleParserError("no region is given; set the option regions, or AWS_REGION")
        connection.update(self._frozen_credentials, aws_config=Config(connect_timeout=CONNECT_TIMEOUT))
        try:
            clients = Clients(regions[0], endpoint, connection)
        except BotoCoreError as error:  # a profile that is not there
            raise AnsibleParserError(f"cannot use the AWS configuration: {explain(error)}") from error

        def attempt(name: str) -> list[dict[str, Any]] | str:
            try:
                return self._observe_region(clients, name, environment)
            except AwsError as error:
                return str(error)
            except (BotoCoreError, ValueError) as error:  # no client can be made for such a region or endpoint
                return f"cannot list the region {name}: {explain(error)}"

        answers = side_by_side(attempt, regions)
        errors = [answer for answer in answers if isinstance(answer, str)]
        if errors and self.get_option("strict_regions"):
            raise AnsibleParserError("; ".join(errors))
        for error in errors:
            self.warn(f"The inventory lacks a region: {error}")
        return [instance for answer in answers if isinstance(answer, list) for instance in answer], not errors

    def _observe_region(self, clients: Clients, region: str, environment: str) -> list[dict[str, Any]]:
        ec2, autoscaling = clients.get("ec2", region), clients.get("autoscaling", region)
        found, members = side_by_side(
            lambda ask: ask(),
            (
                lambda: instances.describe_instances(ec2, self._instance_filters(environment)),
                lambda: instances.memberships(autoscaling, self._group_filters(environment)),
            ),
        )
        of_fleets = steered_fleets.memberships(ec2, (one for one in found if one["instance_id"] not in members))
        members = {**of_fleets, **members}
        present = {instance["instance_id"] for instance in found}
        members = {name: member for name, member in members.items() if name in present}
        if self.get_option("health") and any(member.target_groups for member in members.values()):
            health = instances.health(clients.get("elbv2", region), members)
        else:
            health = {name: member.health for name, member in members.items()}
        for instance in found:
            member = members.get(instance["instance_id"])
            starting = instance["state"]["name"] == "pending"
            instance.update(
                app_name=instance["tags"].get(tags.APP),
                app_environment=instance["tags"].get(tags.ENVIRONMENT),
                app_region=region,
                zone=instance["placement"]["availability_zone"],
                lifecycle="spot" if instance.get("instance_lifecycle") == "spot" else "on_demand",
                autoscaling_group=member.group if member else None,
                health=health.get(instance["instance_id"], instances.STARTING if starting else instances.UNKNOWN),
                price_per_hour=None,
            )
        if self.get_option("prices"):
            self._add_prices(clients, region, found)
        return found

    def _add_prices(self, clients: Clients, region: str, found: list[dict[str, Any]]) -> None:
        ec2, on_demand = clients.get("ec2", region), {}
        spot = market.spot_prices(
            ec2, {instance["instance_type"] for instance in found if instance["lifecycle"] == "spot"}
        )
        if any(instance["lifecycle"] == "on_demand" for instance in found):
            pricing = clients.get("pricing", market.PRICING_REGION)
            cache = Cache("~/.cache/spot.platform", market.endpoint(ec2))
            on_demand = market.on_demand_prices(pricing, region, cache)
        for instance in found:
            if instance["lifecycle"] == "spot":
                _since, instance["price_per_hour"] = spot.get(
                    (instance["zone"], instance["instance_type"]), (None, None)
                )
            else:
                instance["price_per_hour"] = on_demand.get(instance["instance_type"])

    def _instance_filters(self, environment: str) -> list[dict[str, Any]]:
        filters = {
            "instance-state-name": ["pending", "running"],
            f"tag:{tags.ENVIRONMENT}": environment,
            f"tag:{tags.APP}": self.get_option("apps") or "*",
        }
        return ansible_dict_to_boto3_filter_list({**filters, **self.get_option("filters")})

    @staticmethod
    def _group_filters(environment: str) -> list[dict[str, Any]]:
        if "*" in environment:  # Auto Scaling knows no wildcards
            return [{"Name": "tag-key", "Values": [tags.ENVIRONMENT]}]
        return [{"Name": f"tag:{tags.ENVIRONMENT}", "Values": [environment]}]

    def _populate(self, found: list[dict[str, Any]]) -> None:
        hostnames, everything = self.get_option("hostnames"), self.get_option("host_variables") == "all"
        compose, groups, keyed_groups, strict = map(self.get_option, ("compose", "groups", "keyed_groups", "strict"))
        self._extra_vars = self.get_option("use_extra_vars")
        group_names: dict[tuple[str, str], str] = {}
        taken: dict[str, str] = {}
        self.inventory.add_group("fleet")
        for instance in found:
            name = hostname(instance, hostnames)
            if name in taken:
                raise AnsibleParserError(
                    f"the instances {taken[name]} and {instance['instance_id']} would both be named {name}; "
                    "put something in front in hostnames that differs, such as instance_id"
                )
            taken[name] = instance["instance_id"]
            self.inventory.add_host(name, "fleet")
            for variable, prefix in GROUPED_BY.items():
                value = instance[variable]
                if value:
                    group = group_names.get((prefix, value))
                    if not group:
                        group = self.inventory.add_group(self._sanitize_group_name(f"{prefix}_{value}"))
                        group_names[prefix, value] = group
                    self.inventory.add_host(name, group)
            host = self.inventory.get_host(name)
            for variable in instance if everything else DEFAULT_VARIABLES:
                if variable in instance:
                    host.set_variable(variable, instance[variable])
            address = instance.get("public_ip_address") or instance.get("private_ip_address")
            if address:
                host.set_variable("ansible_host", address)
            self._set_composite_vars(compose, instance, name, strict=strict)
            if groups or keyed_groups:
                self._construct_groups(groups, keyed_groups, instance, host, strict)

    def _construct_groups(
        self, groups: dict[str, str], keyed_groups: list[Any], instance: dict[str, Any], host: Any, strict: bool
    ) -> None:
        """Core's own groups, with the variables of a host combined once for all the plain ones."""
        self._add_host_to_composed_groups(groups, instance, host.name, strict=strict)
        variables = combine_vars(instance, host.get_vars())
        for entry in keyed_groups:
            plain = isinstance(entry, dict) and path_of(str(entry.get("key")))
            if plain and plain[0] != "group_names":
                self._add_host_to_keyed_groups([entry], variables, host.name, strict=strict, fetch_hostvars=False)
            else:
                self._add_host_to_keyed_groups([entry], instance, host.name, strict=strict)

    def _compose(self, template: Any, variables: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As in core, without Jinja where the expression is a plain path to something that is there."""
        path = path_of(template) if isinstance(template, str) and not self._extra_vars else None
        value = follow(path, variables) if path else ASK_JINJA
        if value is ASK_JINJA:
            return super()._compose(template, variables, *args, **kwargs)
        self.templar.available_variables = variables  # core counts on it for the template in parent_group
        return value


def hostname(instance: dict[str, Any], preferences: list[str]) -> str:
    """The first of the preferred names that the instance has; its id when it has none."""
    for preference in preferences:
        if preference == "name":
            preference = "tag:Name"
        source, _colon, key = preference.partition(":")
        value = instance["tags"].get(key) if source == "tag" else instance.get(preference)
        if value:
            return value
    return instance["instance_id"]
