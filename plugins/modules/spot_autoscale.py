#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the next step of the capacity of many applications."""

from __future__ import annotations

DOCUMENTATION = r"""
module: spot_autoscale
version_added: 0.1.0
short_description: Take the next step of the capacity of many applications
description:
  - Takes one step for each Auto Scaling group and fleet that the platform manages. It says how much capacity the demand asks for, which
    Spot pools to have it from, and how much On-Demand; launches what is missing, and ends what is no longer needed once what
    replaces it serves.
  - What Spot cannot give comes as On-Demand in the same step. On-Demand is given back when Spot serves in its place.
  - Run it every minute, and on every interruption notice. It keeps what it has learned in a DynamoDB table, so any controller
    can take the next step; only one acts on a group at a time. The target and the policy are the tags that
    M(spot.platform.spot_capacity) writes.
  - Instances are launched by an EC2 Fleet of the type C(instant), which says at once what it cannot give, and attached to
    the group. The group replaces what it loses by itself while no controller runs.
  - The processes C(AZRebalance), C(AlarmNotification) and C(ScheduledActions) of the group would undo the decisions and are
    suspended; with O(state=released) they are resumed.
  - An EC2 Fleet or Spot Fleet of the type C(maintain) is told how much Spot and On-Demand to keep, and launches by itself.
    It chooses the pools by its own strategy, so no Spot is moved between pools; while On-Demand stands in, it goes on asking
    for the Spot that is missing. What its pools refuse is read from its history, while it is short. It ends nothing of its
    own choice, which C(ExcessCapacityTermination) among what is suspended says.
  - The load balancer of a Spot Fleet is asked whether young instances serve; a Spot Fleet does not replace those that it
    calls unhealthy later.
  - Bounds that M(spot.platform.capacity_override) set for some hours come before those of O(scaling) until they end.
  - A group that fails does not keep the others from their step; the task fails at the end and names it.
author:
  - The spot.platform developers (@spot-platform)
options:
  groups:
    description:
      - The groups and fleets to take the step for. Without it, all with the tag C(spot.platform/managed-by) in O(regions).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the Auto Scaling group, or the C(Name) tag of the fleet.
        type: str
        required: true
      region:
        description: Its region; by default that of the task.
        type: str
  regions:
    description: The regions in which to look for groups; by default that of the task. Not used with O(groups).
    type: list
    elements: str
  kinds:
    description: What to look for. Each kind of fleet is a call for all fleets of a region.
    type: list
    elements: str
    choices: [auto_scaling_group, ec2_fleet, spot_fleet]
    default: [auto_scaling_group, ec2_fleet, spot_fleet]
  apps:
    description: Only the groups of these applications. Not used with O(groups).
    type: list
    elements: str
    default: []
  environment:
    description: Only the groups of this environment. Not used with O(groups).
    type: str
  state:
    description:
      - V(steered) takes the step. V(released) lets go of the groups, resumes what was suspended in them, and leaves
        their instances as they are.
    type: str
    choices: [steered, released]
    default: steered
  scaling:
    description: How the target of each application follows its demand. An application that is not named keeps its target.
    type: list
    elements: dict
    default: []
    suboptions:
      app:
        description: Name of the application.
        type: str
        required: true
      metrics:
        description: What is followed. The metric that wants the largest capacity wins.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - V(cpu), V(memory) and V(custom) of the kind V(utilization) are a percentage of what serves; V(requests) (a minute),
                V(queue_depth) and V(custom) of the kind V(load) are a total.
            type: str
            choices: [cpu, memory, requests, queue_depth, custom]
            required: true
          source:
            description: Where it is read.
            type: str
            choices: [cloudwatch, prometheus]
            default: cloudwatch
          kind:
            description: What a metric called V(custom) measures.
            type: str
            choices: [utilization, load]
          target:
            description: The percentage to keep, or the load that one unit of capacity takes.
            type: float
            required: true
          query:
            description: The query in PromQL that gives one value. C($app), C($environment), C($region) and C($group) are filled in.
            type: str
          url:
            description: The Prometheus to ask, if not the one of O(prometheus).
            type: str
          queue:
            description: The name of the SQS queue of V(queue_depth).
            type: str
          namespace:
            description: The namespace in CloudWatch.
            type: str
          metric:
            description: The name of the metric in CloudWatch.
            type: str
          dimensions:
            description: Its dimensions in CloudWatch.
            type: dict
          statistic:
            description: Its statistic in CloudWatch, such as V(Average), V(Sum) or V(p90).
            type: str
      schedules:
        description: Narrower bounds in a part of the week.
        type: list
        elements: dict
        suboptions:
          days:
            description: The days on which it starts.
            type: list
            elements: str
            choices: [mon, tue, wed, thu, fri, sat, sun]
            default: [mon, tue, wed, thu, fri, sat, sun]
          start:
            description: When it starts, such as V(08:30).
            type: str
            required: true
          end:
            description: When it ends; if not after O(scaling[].schedules[].start), on the next day.
            type: str
            required: true
          timezone:
            description: The IANA name of the time zone.
            type: str
            default: UTC
          min:
            description: The smallest target in it.
            type: int
          max:
            description: The largest target in it.
            type: int
      step_up:
        description: The most that is added in a minute; no limit by default.
        type: int
      step_down:
        description: The most that is taken away in a minute; no limit by default.
        type: int
      stabilization_minutes:
        description: Capacity is taken away only when all values of so long a time agree.
        type: int
        default: 10
      forecast:
        description: Whether the same hour of earlier days may raise the target ahead of the demand.
        type: bool
        default: false
      budget:
        description: What a region's capacity may cost.
        type: dict
        suboptions:
          per_hour:
            description: USD an hour.
            type: float
            required: true
          when_exceeded:
            description: V(degrade) asks for no more than the budget buys, V(alert) only says that it is exceeded.
            type: str
            choices: [degrade, alert]
            default: degrade
  prometheus:
    description: The Prometheus that metrics are read from.
    type: dict
    suboptions:
      url:
        description: Its address, such as V(https://prometheus.example.com:9090).
        type: str
      username:
        description: The user of its basic authentication.
        type: str
      password:
        description: The password of its basic authentication.
        type: str
      ca_path:
        description: The certificate authority to trust, as a file.
        type: path
      timeout:
        description: Seconds without an answer after which its metrics are given up.
        type: float
        default: 5.0
  notices:
    description: Instances that have their interruption notice, besides those that EC2 names when it is asked.
    type: list
    elements: str
    default: []
  rebalances:
    description:
      - Instances that AWS recommends to leave. The risk of their pools rises; most such instances are not interrupted, so nothing
        moves for this alone.
    type: list
    elements: str
    default: []
  replace:
    description:
      - Instances to be replaced, though AWS takes none of them away, because they are unhealthy for example. What replaces them
        is launched now; they are ended by the step that finds it serving, and count as a loss of no pool.
      - It is remembered, so later steps need not be told again. Nothing is ended without the table, and what is in no group is
        passed over.
    type: list
    elements: str
    default: []
  spread:
    description:
      - Applications in several regions, or with a DNS name. One is looked at when all of its regions are among
        O(regions). Needs O(environment), and is not used with O(groups).
    type: list
    elements: dict
    default: []
    suboptions:
      app:
        description: Name of the application.
        type: str
        required: true
      regions:
        description: All of its regions.
        type: list
        elements: str
        required: true
      sharing:
        description: How far a region helps when another one is short in spite of On-Demand, or cannot be observed.
        type: dict
        suboptions:
          max_extra:
            description: What a region may carry for others, as a share of its own demand; its maximum holds too.
            type: float
            default: 0.5
          after_seconds:
            description: For how long a region must be short before others help.
            type: float
            default: 120
          stable_seconds:
            description: For how long it must serve again before they stop.
            type: float
            default: 300
      dns:
        description: The DNS name that leads to the load balancers, by the capacity that serves in each region.
        type: dict
        suboptions:
          zone:
            description: Id or name of the hosted zone in Route 53.
            type: str
            required: true
          name:
            description: The DNS name.
            type: str
            required: true
          policy:
            description:
              - V(weighted) divides the requests by the capacity that serves, V(latency) sends each to the nearest region that serves.
            type: str
            choices: [weighted, latency]
            default: weighted
  commitments:
    description:
      - Whether to look for Reserved Instances, capacity reservations and EC2 Instance Savings Plans of the account that are not
        used. On-Demand that they pay for is used before Spot.
    type: bool
    default: true
  capacity_profile:
    description: What an hour short of one unit is worth, instead of what the group's tag says.
    type: str
    choices: [cost, balanced, availability]
  fallback:
    description: Whether On-Demand stands in for Spot, instead of what the group's tag says.
    type: str
    choices: [on_demand, none]
  on_demand_base:
    description: The capacity that is always On-Demand, instead of what the group's tag says.
    type: int
  min:
    description: The smallest target, instead of what the group's tag says.
    type: int
  max:
    description: The largest target, instead of what the group's tag says.
    type: int
  boot_seconds:
    description: How long an instance takes from its launch until it serves; the cost of a loss follows from it.
    type: int
    default: 120
  run_seconds:
    description:
      - How long to wait for launched instances to run, so that they can be attached in the same step.
      - It is the time of a region, however many groups launch; what runs later is attached at the next step.
    type: int
    default: 40
  lease_seconds:
    description: How long to wait for another controller that acts on the same group. On an event, give it time.
    type: int
    default: 0
  interruption_bands:
    description:
      - File or URL in the form of AWS's Spot Instance Advisor feed. Without it, the risk of a pool is what was observed of it.
    type: str
  placement_scores:
    description: Whether to ask for placement scores, once an hour for all groups of a region; AWS rations the questions.
    type: bool
    default: false
  history_days:
    description: The days over which the usual price of a pool is taken, 0 for none.
    type: int
    default: 0
  explain:
    description: Whether to tell what is known of each pool.
    type: bool
    default: false
  cache_dir:
    description: Where answers of AWS that change seldom are kept.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:AttachInstances),
    C(autoscaling:TerminateInstanceInAutoScalingGroup), C(autoscaling:UpdateAutoScalingGroup), C(autoscaling:SuspendProcesses),
    C(autoscaling:ResumeProcesses), C(autoscaling:CreateOrUpdateTags), C(autoscaling:DeleteTags), C(cloudwatch:GetMetricData),
    C(dynamodb:BatchGetItem), C(dynamodb:UpdateItem), C(ec2:CreateFleet), C(ec2:CreateTags),
    C(ec2:DescribeAvailabilityZones), C(ec2:DescribeInstances), C(ec2:DescribeInstanceTypes),
    C(ec2:DescribeInstanceTypeOfferings), C(ec2:DescribeSpotInstanceRequests), C(ec2:DescribeSpotPriceHistory),
    C(ec2:DescribeSubnets), C(ec2:DescribeVolumes) for stateful applications,
    C(ec2:GetSpotPlacementScores), C(ec2:RunInstances), C(ec2:TerminateInstances),
    C(elasticloadbalancing:DescribeTargetHealth), C(iam:PassRole), C(pricing:GetProducts)."
  - "Required IAM actions for O(commitments): C(ec2:DescribeReservedInstances), C(ec2:DescribeCapacityReservations),
    C(savingsplans:DescribeSavingsPlans), C(sts:GetCallerIdentity); what is denied counts as not paid for."
  - "Required IAM actions for O(spread[].dns) and the metric V(requests): C(elasticloadbalancing:DescribeTargetGroups),
    C(elasticloadbalancing:DescribeLoadBalancers); for names also C(route53:ListHostedZonesByName),
    C(route53:ListResourceRecordSets), C(route53:ChangeResourceRecordSets)."
  - "Required IAM actions for fleets, by O(kinds): C(ec2:DescribeFleets), C(ec2:DescribeFleetHistory), C(ec2:ModifyFleet),
    C(ec2:DescribeSpotFleetRequests), C(ec2:DescribeSpotFleetRequestHistory), C(ec2:ModifySpotFleetRequest),
    C(ec2:DeleteTags)."
  - AWS asks for C(ec2:RunInstances), C(ec2:CreateTags) and C(iam:PassRole) of whoever launches by a fleet.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Take the next step in two regions, with the demand that CloudWatch tells
  spot.platform.spot_autoscale:
    regions: [us-east-1, eu-west-1]
    environment: production
    scaling:
      - app: web
        metrics:
          - name: cpu
            target: 60
        schedules:
          - days: [mon, tue, wed, thu, fri]
            start: "07:30"
            end: "19:00"
            timezone: Europe/Berlin
            min: 12

- name: Replace two instances that have their notice, before they are gone
  spot.platform.spot_autoscale:
    region: us-east-1
    groups:
      - name: production-web
    notices: [i-0123456789abcdef0, i-0fedcba9876543210]
    lease_seconds: 30

- name: Replace an instance that is unhealthy, and end it when what replaces it serves
  spot.platform.spot_autoscale:
    region: us-east-1
    groups:
      - name: production-web
    replace: [i-0123456789abcdef0]

- name: Let two regions help each other, and let the name of the application follow what serves
  spot.platform.spot_autoscale:
    regions: [us-east-1, eu-west-1]
    environment: production
    spread:
      - app: web
        regions: [us-east-1, eu-west-1]
        sharing:
          max_extra: 0.5
        dns:
          zone: example.com
          name: web.example.com

- name: Show what the next step for one group would be
  spot.platform.spot_autoscale:
    region: us-east-1
    groups:
      - name: production-web
  check_mode: true
  diff: true

- name: Let go of a group
  spot.platform.spot_autoscale:
    region: us-east-1
    groups:
      - name: production-web
    state: released
"""

RETURN = r"""
decisions:
  description: The decision for each group, by region and name.
  returned: always
  type: list
  elements: dict
  contains:
    group:
      description: Name of the group.
      type: str
      sample: production-web
    region:
      description: Its region.
      type: str
      sample: us-east-1
    backend:
      description: What it is, V(auto_scaling_group), V(ec2_fleet) or V(spot_fleet).
      type: str
      sample: auto_scaling_group
    app:
      description: The application that it belongs to, null if it has no such tag.
      type: str
      sample: web
    kind:
      description:
        - V(fallback), On-Demand is sent for; V(returned), it is given back; V(scaled), the target changes; V(moved), other
          Spot for the same target; V(adjusted), only the group's own figures are set; V(waiting), less serves than is wanted
          and nothing more can be had; V(steady), nothing is wanted; V(released), it is no longer steered.
      type: str
      sample: fallback
    changes:
      description: Whether anything was changed, in check mode whether it would be.
      type: bool
    target:
      description: The capacity that the application wants, in the group's unit. Null where nothing was decided.
      type: int
      sample: 10
    lent:
      description: The part of the target that is carried for other regions of the application.
      type: int
      sample: 0
    serving:
      description: The capacity that served when the decision was made.
      type: int
      sample: 6
    expected:
      description: The capacity that will serve when all that was asked for has come.
      type: int
      sample: 10
    fallback:
      description: The On-Demand capacity that stands in for Spot.
      type: int
      sample: 4
    cost_per_hour:
      description: What the fleet that is best now costs, with the risk of its pools, USD an hour.
      type: float
      sample: 0.2135
    on_demand_cost_per_hour:
      description: What the target costs On-Demand, USD an hour.
      type: float
      sample: 0.48
    launched:
      description: What was asked for, and what became of it.
      type: list
      elements: dict
      contains:
        pool:
          description: The pool, null for On-Demand.
          type: str
          sample: us-east-1a/m5.large
        lifecycle:
          description: V(spot) or V(on_demand).
          type: str
          sample: spot
        asked:
          description: The capacity that was asked for.
          type: int
          sample: 4
        instances:
          description: The instances that were launched.
          type: list
          elements: str
          sample: [i-0123456789abcdef0]
        refusal:
          description: Why there were fewer, null if there were not.
          type: str
          sample: "InsufficientInstanceCapacity: We currently do not have sufficient m5.large capacity"
    ended:
      description: The instances that were ended.
      type: list
      elements: str
      sample: [i-0fedcba9876543210]
    before:
      description: Target, desired capacity and On-Demand base that were in force.
      type: dict
      sample: {target: 10, desired: 10, on_demand_base: 2}
    after:
      description: Target, desired capacity and On-Demand base that the step leads to.
      type: dict
      sample: {target: 10, desired: 10, on_demand_base: 6}
    reasons:
      description: Why, with the figures.
      type: list
      elements: str
      sample: ["6 of 10 vcpus serve: 4 vcpus of Spot in 2 pools and 2 On-Demand are there or on their way (base 2)"]
    ask_again_seconds:
      description: In how many seconds the next step is worth taking.
      type: int
      sample: 20
    pools:
      description: What is known of each pool, those that are held or wanted first.
      returned: with O(explain=true)
      type: list
      elements: dict
      contains:
        pool:
          description: Its zone and type.
          type: str
          sample: us-east-1a/m5.large
        held:
          description: The capacity that is held in it.
          type: int
          sample: 4
        wanted:
          description: The capacity that the best fleet has in it.
          type: int
          sample: 4
        instance_price_per_hour:
          description: The price of an instance in it, USD an hour.
          type: float
          sample: 0.0322
        price_per_hour:
          description: The price of a unit, USD an hour.
          type: float
          sample: 0.0161
        on_demand_price_per_hour:
          description: The price of the same instance On-Demand, USD an hour; null where it is not known.
          type: float
          sample: 0.096
        interruption_band:
          description: The share of its instances that were interrupted in a month, as AWS publishes it; null where it is not known.
          type: str
          sample: 5-10 %
        placement_score:
          description: AWS's score of its zone, 1 to 10; null where it was not asked for.
          type: int
          sample: 9
        hours_to_a_loss:
          description: In how many hours it is expected to take its instances away.
          type: float
          sample: 31.5
        chance_open:
          description: The chance that it has room.
          type: float
          sample: 1.0
ask_again_seconds:
  description: The smallest of the decisions' figures.
  returned: always
  type: int
  sample: 60
names:
  description: The DNS names of O(spread), with the records of each region before and after.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: web.example.com
    policy:
      description: V(weighted) or V(latency).
      type: str
      sample: weighted
    changes:
      description: Whether records were changed, in check mode whether they would be.
      type: bool
    before:
      description: The records by region, with the load balancer and the weight.
      type: dict
      sample: {us-east-1: {dns_name: web-1.us-east-1.elb.amazonaws.com, weight: 255}}
    after:
      description: The same, after the step.
      type: dict
      sample: {us-east-1: {dns_name: web-1.us-east-1.elb.amazonaws.com, weight: 170}}
    reasons:
      description: Why, in sentences with their numbers.
      type: list
      elements: str
      sample: ["us-east-1 serves 8 of 12 units: weight 255 -> 170"]
errors:
  description: What could not be done, for each group or region that failed.
  returned: always
  type: list
  elements: dict
  contains:
    group:
      description: Name of the group, null where a whole region could not be read.
      type: str
      sample: production-web
    region:
      description: Its region.
      type: str
      sample: us-east-1
    message:
      description: What failed, why, and what to do.
      type: str
      sample: the group production-web is not there in us-east-1
activity:
  description:
    - One activity event for each group where something was changed, or was wanted and could not be had.
    - Besides the figures, C(after) lists the pools that gave what they were asked for (C(granted)), that gave less
      (C(refused)), and that took an instance away or told it to go (C(lost)).
  returned: always
  type: list
  elements: dict
  sample: [{kind: capacity.fallback, app: web, region: us-east-1, resource: production-web, changed: true}]
"""

import uuid
from collections import defaultdict
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.arguments import PROMETHEUS, SCALING
from ansible_collections.spot.platform.plugins.module_utils.autoscaling import result_of
from ansible_collections.spot.platform.plugins.module_utils.aws import control, market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Spread
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import PROFILES
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import Limits
from ansible_collections.spot.platform.plugins.module_utils.engine.routing import POLICIES, WEIGHTED
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of

NAMES = {"type": "list", "elements": "str", "default": []}
ARGUMENTS = {
    "groups": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "region": {"type": "str"}},
    },
    "regions": {"type": "list", "elements": "str"},
    "kinds": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
    "apps": NAMES,
    "environment": {"type": "str"},
    "state": {"type": "str", "choices": ["steered", "released"], "default": "steered"},
    "scaling": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"app": {"type": "str", "required": True}, **SCALING["options"]},
    },
    "prometheus": PROMETHEUS,
    "notices": NAMES,
    "rebalances": NAMES,
    "replace": NAMES,
    "spread": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "app": {"type": "str", "required": True},
            "regions": {"type": "list", "elements": "str", "required": True},
            "sharing": {
                "type": "dict",
                "options": {
                    "max_extra": {"type": "float", "default": 0.5},
                    "after_seconds": {"type": "float", "default": 120},
                    "stable_seconds": {"type": "float", "default": 300},
                },
            },
            "dns": {
                "type": "dict",
                "options": {
                    "zone": {"type": "str", "required": True},
                    "name": {"type": "str", "required": True},
                    "policy": {"type": "str", "choices": list(POLICIES), "default": WEIGHTED},
                },
            },
        },
    },
    "commitments": {"type": "bool", "default": True},
    "capacity_profile": {"type": "str", "choices": list(PROFILES)},
    "fallback": {"type": "str", "choices": ["on_demand", "none"]},
    "on_demand_base": {"type": "int"},
    "min": {"type": "int"},
    "max": {"type": "int"},
    "boot_seconds": {"type": "int", "default": 120},
    "run_seconds": {"type": "int", "default": 40},
    "lease_seconds": {"type": "int", "default": 0},
    "interruption_bands": {"type": "str"},
    "placement_scores": {"type": "bool", "default": False},
    "history_days": {"type": "int", "default": 0},
    "explain": {"type": "bool", "default": False},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def options_of(module: AnsibleAWSModule, clients: Clients, cache: Cache) -> control.Options:
    """What is asked for. Raises ``ValueError`` for a scaling that cannot be, `AwsError` for bands that cannot be read."""
    given = module.params
    bands = given["interruption_bands"] and market.interruption_bands(given["interruption_bands"], cache)
    return control.Options(
        question=Question(
            kinds=tuple(given["kinds"]),
            apps=tuple(given["apps"]),
            environment=given["environment"],
            notices=frozenset(given["notices"]),
            warned=frozenset(given["rebalances"]),
            replace=frozenset(given["replace"]),
            bands=bands,
            history_days=given["history_days"],
            placement_scores=given["placement_scores"],
        ),
        policy={
            "profile": given["capacity_profile"],
            **{name: given[name] for name in ("fallback", "on_demand_base", "min", "max")},
        },
        scalings={
            one["app"]: scaling_of({key: value for key, value in one.items() if key != "app"}, 0, 10**6)
            for one in given["scaling"]
        },
        prometheus=Prometheus(**(given["prometheus"] or {})),
        holder=str(uuid.uuid4()),
        act=not module.check_mode,
        release=given["state"] == "released",
        boot_seconds=given["boot_seconds"],
        run_seconds=given["run_seconds"],
        lease_seconds=given["lease_seconds"],
        commitments=given["commitments"],
        spreads=[spread_of(one) for one in given["spread"]],
    )


def spread_of(given: dict[str, Any]) -> Spread:
    """An application in several regions. Raises ``ValueError`` for limits that mean nothing."""
    limits = given["sharing"] and Limits(**given["sharing"])
    return Spread(given["app"], given["regions"], limits, **(given["dns"] or {}))


def run(module: AnsibleAWSModule) -> control.Stepped:
    """The step of every group asked for, regions side by side."""
    wanted: dict[str | None, list[str] | None] = defaultdict(list)
    for group in module.params["groups"] or ():
        wanted[group["region"] or module.region].append(group["name"])
    if module.params["groups"] is None:
        wanted = dict.fromkeys(module.params["regions"] or [module.region])
    if not wanted:
        return control.Stepped([])
    if module.params["spread"] and not module.params["environment"]:
        raise ValueError("spread needs the environment: applications of several could have the same name")
    if None in wanted:
        raise ValueError("there is no region: set regions, region or AWS_DEFAULT_REGION")
    clients = Clients.of_module(module, min(wanted))
    cache = Cache(module.params["cache_dir"], market.endpoint(clients.get("ec2", next(iter(wanted)))))
    options = options_of(module, clients, cache)
    stepped = control.step(clients, wanted, options, cache)
    if cache.problem:
        module.warn(cache.problem)
    return stepped


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[("groups", "regions")],
        supports_check_mode=True,
    )
    try:
        stepped = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), decisions=[], names=[], activity=[], errors=[])
    result = result_of(stepped, module.params["explain"])
    if result["errors"]:
        said = "; ".join(error["message"] for error in result["errors"])
        failed = len({(error["group"], error["region"]) for error in result["errors"]})
        module.fail_json(msg=f"{failed} of {len(stepped.outcomes) + len(stepped.names)} failed: {said}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
