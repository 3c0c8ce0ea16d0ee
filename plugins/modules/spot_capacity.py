#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spot_capacity
version_added: 0.1.0
short_description: Ensure groups of Spot Instances on the cheapest safe mix of pools
description:
  - Makes, changes and deletes groups of instances, Auto Scaling groups with a mixed instances policy or EC2 Fleets and
    Spot Fleets of type maintain, for any number of applications and regions in one task.
  - For each group it looks at the Spot market, chooses instance types and their weights so that the target costs least
    within the limits given, and says why.
  - The types of a group that stands are kept until others would save more than
    O(groups[].replan_threshold_percent), or until one of them is gone or a limit can no longer be kept.
  - How many instances run is the business of M(spot.platform.spot_autoscale). The desired capacity of a group that
    stands, and an On-Demand fallback in force, are left alone unless O(groups[].target) or a bound changes.
  - What fails in one group does not stop the others; the task then fails at its end and names them.
author:
  - The spot.platform developers (@spot-platform)
options:
  groups:
    description: The groups to ensure.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the group. A fleet is known by it as its C(Name) tag.
        type: str
        required: true
      region:
        description: Region of the group. By default the one of O(region).
        type: str
      state:
        description:
          - V(present) makes the group or changes it.
          - V(absent) deletes it with its instances and waits until it is gone.
        type: str
        choices: [present, absent]
        default: present
      kind:
        description:
          - V(auto_scaling_group) is what fits most applications.
          - V(ec2_fleet) is for workers without a load balancer.
          - V(spot_fleet) can have a load balancer, but does not ask it for the health of its instances.
          - A fleet chooses pools by itself, with the strategy C(price-capacity-optimized). It keeps what is above its
            capacity; what is to go is ended by M(spot.platform.spot_autoscale).
        type: str
        choices: [auto_scaling_group, ec2_fleet, spot_fleet]
        default: auto_scaling_group
      migrate:
        description:
          - Whether the application moves to this group, or with O(groups[].state=absent) away from it, where it has one of the
            same name and another kind.
          - The new one is made beside the old one, with the target of that. What goes is drained first. When the new one
            serves, so that the old one may go, is for the caller to see; the playbook C(spot.platform.capacity_migrate) does.
          - Without it, no group is made where there is one of the same name and another kind.
        type: bool
        default: false
      app:
        description: Application that the group belongs to.
        type: str
        required: true
      environment:
        description: Environment that the group belongs to.
        type: str
        required: true
      launch_template:
        description:
          - Launch template of the instances, by O(groups[].launch_template.id) or O(groups[].launch_template.name).
          - Required where O(groups[].state=present).
        type: dict
        suboptions:
          id:
            description: Identifier of the launch template.
            type: str
          name:
            description: Name of the launch template.
            type: str
          version:
            description:
              - Version, a number, V($Default) or V($Latest).
              - Without it, a group that stands keeps the one it has and a new one takes V($Default).
            type: str
      subnets:
        description:
          - Identifiers of public subnets, of one VPC; one in each zone is best. A fleet takes one in each zone only.
          - Required where O(groups[].state=present).
        type: list
        elements: str
      min:
        description:
          - Least capacity, in O(groups[].unit).
          - Required where O(groups[].state=present).
        type: int
      max:
        description:
          - Most capacity, in O(groups[].unit).
          - With fallback, the group's own maximum is larger by what On-Demand may stand in for.
          - Required where O(groups[].state=present).
        type: int
      target:
        description:
          - Capacity that the application wants, in O(groups[].unit).
          - Without it, a group that stands keeps the target it has and a new one starts at O(groups[].min).
        type: int
      unit:
        description: What all capacities of the group count.
        type: str
        choices: [vcpus, instances]
        default: instances
      on_demand_base:
        description: How much of the capacity is always On-Demand.
        type: int
        default: 0
      fallback:
        description: Whether M(spot.platform.spot_autoscale) may stand in with On-Demand while Spot cannot be had.
        type: str
        choices: [on_demand, none]
        default: on_demand
      instance_types:
        description: Only these instance types.
        type: list
        elements: str
      requirements:
        description:
          - Only instance types that meet all of these.
          - Without this option, and without O(groups[].instance_types), its defaults hold.
        type: dict
        suboptions:
            vcpus:
              description: Number of vCPUs, both bounds inclusive.
              type: dict
              suboptions:
                min:
                  description: At least so many.
                  type: int
                max:
                  description: At most so many.
                  type: int
            memory_mib:
              description: Memory in MiB, both bounds inclusive.
              type: dict
              suboptions:
                min:
                  description: At least so much.
                  type: int
                max:
                  description: At most so much.
                  type: int
            architectures:
              description: Types that run at least one of these architectures.
              type: list
              elements: str
              choices: [x86_64, arm64]
              default: [x86_64]
            burstable:
              description: Whether types that earn CPU credits, as the T families do, may be or must be among them.
              type: str
              choices: [included, excluded, required]
              default: excluded
            accelerators:
              description: Whether types with GPUs or other accelerators may be or must be among them.
              type: str
              choices: [included, excluded, required]
              default: excluded
            bare_metal:
              description: Whether bare metal types may be or must be among them.
              type: str
              choices: [included, excluded, required]
              default: excluded
            families:
              description: Families by name or shell pattern, such as V(m5) or V(c6*).
              type: dict
              suboptions:
                include:
                  description: Only these families.
                  type: list
                  elements: str
                exclude:
                  description: None of these families. Wins over O(groups[].requirements.families.include).
                  type: list
                  elements: str
            current_generation:
              description: Only types of the current generation. With V(false) earlier ones too.
              type: bool
              default: true
      limits:
        description: What the plan must keep. Shares are of the Spot part of the target; V(1.0) is no limit.
        type: dict
        suboptions:
          min_pools:
            description: At least so many different pools of zone and instance type.
            type: int
            default: 1
          max_pool_share:
            description: At most this share in one pool.
            type: float
            default: 1.0
          max_zone_share:
            description: At most this share in one zone.
            type: float
            default: 1.0
          max_family_share:
            description: At most this share in one family of instance types.
            type: float
            default: 1.0
          budget_per_hour:
            description: At most this expected cost of the target, USD an hour.
            type: float
          max_types:
            description: At most so many instance types. AWS takes 40.
            type: int
            default: 40
      profile:
        description: How much risk of interruption to take for a lower price.
        type: str
        choices: [cost, balanced, availability]
        default: balanced
      replan_threshold_percent:
        description: Replace the types of a group that stands only if that saves more than this share of the cost.
        type: float
        default: 10.0
      target_group_arns:
        description:
          - Target groups of a load balancer in which the instances are registered, and no others.
          - Without it, those of a group that stands are left alone. Not for an EC2 Fleet. A Spot Fleet cannot change them.
        type: list
        elements: str
      health_check_type:
        description:
          - Whose word counts on whether an instance is healthy, V(EC2) or also that of the load balancer, V(ELB).
          - Without it, a group that stands keeps what it has and a new one takes V(EC2). Not for a fleet.
        type: str
        choices: [EC2, ELB]
      health_check_grace_period:
        description:
          - Seconds that a new instance has before its health counts.
          - Without it, a group that stands keeps what it has and a new one takes V(0). Not for a fleet.
        type: int
      capacity_rebalance:
        description:
          - Whether AWS replaces a Spot Instance that it thinks is at risk before it is taken away.
          - Without it, a group that stands keeps what it has and a new one does not, since M(spot.platform.spot_autoscale) replaces
            what has its notice. A fleet cannot change it.
        type: bool
      fleet_role:
        description:
          - ARN of the IAM role by which a Spot Fleet launches. A fleet cannot change it.
          - Without it, a fleet that stands keeps the one it has and a new one takes C(aws-ec2-spot-fleet-tagging-role)
            of the account, the role that AWS's console makes, with the managed policy C(AmazonEC2SpotFleetTaggingRole).
        type: str
      tags:
        description:
          - Tags for the group, and for the instances of an Auto Scaling group, beside those of the platform.
          - Tags that are there and not named are left alone.
        type: dict
        default: {}
  placement_scores:
    description:
      - Ask AWS how likely each zone is to have the capacity, and let that count as risk.
      - AWS answers only a limited number of different questions a day; answers are kept for an hour.
    type: bool
    default: false
  interruption_bands:
    description:
      - Path or URL of a file that says how often instances were interrupted, in the form of the feed of the AWS Spot
        Instance Advisor, U(https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json). It counts as risk.
    type: str
  history_days:
    description: Days of price history that the risk of a pool is judged by, at most 90; V(0) for none.
    type: int
    default: 7
  cache_dir:
    description: Where answers are kept that change slowly or are rationed.
    type: path
    default: ~/.cache/spot.platform
  wait_timeout:
    description: Seconds to wait for a group to be deleted.
    type: int
    default: 600
notes:
  - "Required IAM actions: C(ec2:DescribeAvailabilityZones), C(ec2:DescribeInstanceTypeOfferings),
    C(ec2:DescribeInstanceTypes), C(ec2:DescribeLaunchTemplates), C(ec2:DescribeSpotPriceHistory),
    C(ec2:DescribeSubnets), C(autoscaling:DescribeAutoScalingGroups), C(ec2:DescribeFleets),
    C(ec2:DescribeSpotFleetRequests), C(pricing:GetProducts), and C(ec2:GetSpotPlacementScores) where O(placement_scores) is set."
  - "Required IAM actions for Auto Scaling groups: C(autoscaling:AttachLoadBalancerTargetGroups),
    C(autoscaling:CreateAutoScalingGroup), C(autoscaling:CreateOrUpdateTags), C(autoscaling:DeleteAutoScalingGroup),
    C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:DetachLoadBalancerTargetGroups),
    C(autoscaling:UpdateAutoScalingGroup)."
  - "Required IAM actions for EC2 Fleets: C(ec2:CreateFleet), C(ec2:CreateTags), C(ec2:DeleteFleets),
    C(ec2:DescribeFleets), C(ec2:ModifyFleet)."
  - "Required IAM actions for Spot Fleets: C(ec2:CancelSpotFleetRequests), C(ec2:CreateTags),
    C(ec2:DescribeSpotFleetRequests), C(ec2:ModifySpotFleetRequest), C(ec2:RequestSpotFleet), C(iam:PassRole) for
    O(groups[].fleet_role), C(sts:GetCallerIdentity) without it; with O(groups[].migrate),
    C(ec2:DescribeSpotFleetInstances), C(elasticloadbalancing:DeregisterTargets) and
    C(elasticloadbalancing:DescribeTargetHealth)."
  - AWS also checks that the caller may launch from the launch template, with C(ec2:RunInstances), C(ec2:CreateTags)
    and, for its instance profile, C(iam:PassRole).
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Run the web servers of the shop on Spot in two regions
  spot.platform.spot_capacity:
    groups:
      - name: production-shop
        region: us-east-1
        app: shop
        environment: production
        launch_template: {name: production-shop}
        subnets: [subnet-0a1b2c3d4e5f60001, subnet-0a1b2c3d4e5f60002, subnet-0a1b2c3d4e5f60003]
        unit: vcpus
        min: 8
        max: 64
        target: 16
        on_demand_base: 4
        requirements:
          vcpus: {min: 2, max: 8}
          memory_mib: {min: 4096}
        limits:
          min_pools: 4
          max_zone_share: 0.5
          budget_per_hour: 2.5
      - name: production-shop
        region: eu-west-1
        app: shop
        environment: production
        launch_template: {name: production-shop}
        subnets: [subnet-0f9e8d7c6b5a40001, subnet-0f9e8d7c6b5a40002]
        min: 2
        max: 10
        instance_types: [m5.large, m5a.large, m6i.large, c5.xlarge]

- name: Keep a fleet of queue workers that costs as little as possible
  spot.platform.spot_capacity:
    region: us-east-1
    groups:
      - name: production-thumbnails
        kind: ec2_fleet
        app: thumbnails
        environment: production
        launch_template: {name: production-thumbnails, version: "3"}
        subnets: [subnet-0a1b2c3d4e5f60001, subnet-0a1b2c3d4e5f60002]
        unit: vcpus
        min: 0
        max: 32
        target: 8
        profile: cost

- name: Remove the group with its instances
  spot.platform.spot_capacity:
    region: us-east-1
    groups:
      - name: production-thumbnails
        kind: ec2_fleet
        app: thumbnails
        environment: production
        state: absent
"""

RETURN = r"""
groups:
  description: What became of each group, in the order given; also returned where the task fails for some of them.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the group.
      type: str
      sample: production-shop
    region:
      description: Region of the group.
      type: str
      sample: us-east-1
    kind:
      description: Kind of the group.
      type: str
      sample: auto_scaling_group
    action:
      description:
        - What was done, in check mode what would be done.
        - One of V(created), V(updated), V(unchanged), V(deleted), V(absent) and V(failed).
      type: str
      sample: created
    error:
      description: Why it failed. Null unless it did.
      type: str
      sample: null
    desired:
      description: Desired capacity, with any On-Demand fallback. Null where there is no group.
      type: int
      sample: 16
    on_demand_base:
      description: On-Demand capacity in force, with any fallback. Null where there is no group.
      type: int
      sample: 4
    changes:
      description: Each setting that differed, with its value before and after.
      type: dict
      sample: {max_size: {before: 60, after: 124}}
    plan:
      description: What the target is expected to run on. Null where the group failed or is absent.
      type: dict
      contains:
        target:
          description: The capacity planned for.
          type: int
          sample: 16
        unit:
          description: What capacities count.
          type: str
          sample: vcpus
        types:
          description: The instance types of the group, best first.
          type: list
          elements: str
          sample: [m5.large, c5.large]
        weights:
          description: What an instance of each type counts.
          type: dict
          sample: {m5.large: 2, c5.large: 2}
        zones:
          description: The zones in which they are on offer.
          type: list
          elements: str
          sample: [us-east-1a, us-east-1b]
        pools:
          description: What is expected to run where.
          type: list
          elements: dict
          contains:
            zone:
              description: The zone.
              type: str
              sample: us-east-1a
            instance_type:
              description: The instance type.
              type: str
              sample: m5.large
            lifecycle:
              description: V(spot) or V(on_demand).
              type: str
              sample: spot
            instances:
              description: Number of instances.
              type: int
              sample: 3
            capacity:
              description: Their capacity.
              type: int
              sample: 6
            price_per_hour:
              description: Price of one instance, USD an hour.
              type: float
              sample: 0.0335
        cost_per_hour:
          description: Expected cost of the target, USD an hour.
          type: float
          sample: 0.41
        on_demand_cost_per_hour:
          description: The same all On-Demand, on the cheapest type. Null where prices are not known.
          type: float
          sample: 0.77
        savings_percent:
          description: What the plan saves of that, in percent.
          type: float
          sample: 46.7
        reasons:
          description: Why it is so, with figures.
          type: list
          elements: str
          sample: ["m5.large in us-east-1a: 0.0321 USD/h, 66 % below On-Demand, interruption band <5 %"]
activity:
  description: One event for each group, what was changed or why nothing was. Empty in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "capacity.created", "resource": "production-shop", "region": "us-east-1", "changed": true}]
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import as_dicts
from ansible_collections.spot.platform.plugins.module_utils.arguments import OBSERVATION, REQUIREMENTS
from ansible_collections.spot.platform.plugins.module_utils.aws import market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.capacity import Outcome, Settings, Wish, ensure
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.capacity import diff_of, event_of, result_of
from ansible_collections.spot.platform.plugins.module_utils.engine.allocation import PROFILES, Limits
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP, KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine.market import Selection
from ansible_collections.spot.platform.plugins.module_utils.engine.provisioning import GroupSpec

GROUP = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kind": {"type": "str", "choices": list(KINDS), "default": AUTO_SCALING_GROUP},
    "migrate": {"type": "bool", "default": False},
    "app": {"type": "str", "required": True},
    "environment": {"type": "str", "required": True},
    "launch_template": {
        "type": "dict",
        "options": {"id": {"type": "str"}, "name": {"type": "str"}, "version": {"type": "str"}},
        "mutually_exclusive": [("id", "name")],
        "required_one_of": [("id", "name")],
    },
    "subnets": {"type": "list", "elements": "str"},
    "min": {"type": "int"},
    "max": {"type": "int"},
    "target": {"type": "int"},
    "unit": {"type": "str", "choices": ["vcpus", "instances"], "default": "instances"},
    "on_demand_base": {"type": "int", "default": 0},
    "fallback": {"type": "str", "choices": ["on_demand", "none"], "default": "on_demand"},
    "instance_types": {"type": "list", "elements": "str"},
    "requirements": REQUIREMENTS,
    "limits": {
        "type": "dict",
        "options": {
            "min_pools": {"type": "int", "default": 1},
            "max_pool_share": {"type": "float", "default": 1.0},
            "max_zone_share": {"type": "float", "default": 1.0},
            "max_family_share": {"type": "float", "default": 1.0},
            "budget_per_hour": {"type": "float"},
            "max_types": {"type": "int", "default": 40},
        },
    },
    "profile": {"type": "str", "choices": list(PROFILES), "default": "balanced"},
    "replan_threshold_percent": {"type": "float", "default": 10.0},
    "target_group_arns": {"type": "list", "elements": "str"},
    "health_check_type": {"type": "str", "choices": ["EC2", "ELB"]},
    "health_check_grace_period": {"type": "int"},
    "capacity_rebalance": {"type": "bool"},
    "fleet_role": {"type": "str"},
    "tags": {"type": "dict", "default": {}},
}

ARGUMENTS = {
    "groups": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": GROUP,
        "required_if": [("state", "present", ("launch_template", "subnets", "min", "max"))],
    },
    "placement_scores": {"type": "bool", "default": False},
    **OBSERVATION,
    "wait_timeout": {"type": "int", "default": 600},
}


def wish_of(options: dict[str, Any], default_region: str | None) -> Wish:
    """What one item of ``groups`` asks for. Raises ``ValueError`` for options that contradict each other."""
    region = options["region"] or default_region
    if not region:
        raise ValueError("it has no region; give the group's option region or the module's")
    identity = tags.of(options["app"], options["environment"])
    spec = spec_of(options, region, identity) if options["state"] == "present" else None
    return Wish(options["name"], region, options["kind"], identity, spec, options["migrate"])


def spec_of(options: dict[str, Any], region: str, identity: dict[str, str]) -> GroupSpec:
    """What the group shall be."""
    types, requirements = options["instance_types"], options["requirements"]
    arns = options["target_group_arns"]
    return GroupSpec(
        name=options["name"],
        region=region,
        kind=options["kind"],
        template=options["launch_template"]["id"] or options["launch_template"]["name"],
        template_version=options["launch_template"]["version"],
        subnets=tuple(options["subnets"]),
        selection=Selection.of(types, {} if requirements is None and not types else requirements),
        minimum=options["min"],
        maximum=options["max"],
        limits=Limits(**(options["limits"] or {})),
        target_group_arns=None if arns is None else tuple(arns),
        identity=identity,
        tags={"Name": options["name"], **{key: str(value) for key, value in options["tags"].items()}},
        **{
            name: options[name]
            for name in (
                "target",
                "on_demand_base",
                "unit",
                "fallback",
                "profile",
                "replan_threshold_percent",
                "health_check_type",
                "health_check_grace_period",
                "capacity_rebalance",
                "fleet_role",
            )
        },
    )


def run(module: AnsibleAWSModule) -> list[Outcome]:
    """Ensure the groups. Options that cannot be are raised before any is touched."""
    options = module.params
    clients = Clients.of_module(module)
    wishes = []
    for item in options["groups"]:
        try:
            wishes.append(wish_of(item, clients.region))
        except ValueError as error:
            raise ValueError(f"group {item['name']}: {error}") from error
    if not wishes:
        return []
    cache = Cache(options["cache_dir"], market.endpoint(clients.get("ec2", wishes[0].region)))
    bands = options["interruption_bands"] and market.interruption_bands(options["interruption_bands"], cache)
    settings = Settings(
        cache=cache,
        bands=bands,
        history_days=options["history_days"],
        placement_scores=options["placement_scores"],
        act=not module.check_mode,
        timeout=options["wait_timeout"],
    )
    outcomes = ensure(clients, wishes, settings)
    if cache.problem:
        module.warn(cache.problem)
    return outcomes


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcomes = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), groups=[], activity=[])
    results = [result_of(outcome) for outcome in outcomes]
    pairs = list(zip(outcomes, results))
    answer = {
        "changed": any(outcome.changed for outcome in outcomes),
        "groups": results,
        "activity": [] if module.check_mode else as_dicts(event_of(*pair) for pair in pairs),
        "diff": [diff_of(*pair) for pair in pairs if pair[0].changed],
    }
    failed = [f"{outcome.wish.name} ({outcome.wish.region}): {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        module.fail_json(msg=f"{len(failed)} of {len(outcomes)} groups failed: {'; '.join(failed)}", **answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
