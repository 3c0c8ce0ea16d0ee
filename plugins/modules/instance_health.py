#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace the unhealthy instances of many groups, within a budget."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_health
version_added: 0.1.0
short_description: Replace the unhealthy instances of many groups, within a budget
description:
  - Looks at all groups and fleets that the platform manages for instances that fail EC2's status checks, that are unhealthy in
    their target groups, or that an alert names (O(unhealthy)), and replaces them by the step of M(spot.platform.spot_autoscale).
  - What replaces an instance is launched now; the unhealthy one is ended by the step that finds that serving. So
    M(spot.platform.spot_autoscale) must go on to run, as it does every minute.
  - At most O(max_replaced) or O(max_percent) of a group are replaced at a time; those on their way count.
  - Where the O(stop_share) of a group, and at least two, are unhealthy at once, that is the application's fault, and new
    instances would have it too. Nothing is touched then, an event C(health.stopped) is left, and RV(alert) is true.
  - An Auto Scaling group replaces by itself, at once and without a budget, what its own health check (V(EC2) or V(ELB)) finds.
    Such instances count as on their way.
author:
  - The spot.platform developers (@spot-platform)
options:
  unhealthy:
    description: Ids of instances that an alert names, of any of the O(regions). They are unhealthy without more ado.
    type: list
    elements: str
    default: []
  regions:
    description: The regions to look at; by default that of the task.
    type: list
    elements: str
  apps:
    description: Only the groups of these applications.
    type: list
    elements: str
    default: []
  environment:
    description: Only the groups of this environment.
    type: str
  max_replaced:
    description:
      - How many instances of a group may be on their way out at a time. If O(max_percent) is given too, the smaller one holds.
    type: int
  max_percent:
    description: The same in percent of the group, rounded down, at least one instance; 20 if neither is given.
    type: float
  stop_share:
    description: The part of a group, from 0 to 1, that must be unhealthy for nothing to be touched.
    type: float
    default: 1.0
  grace_seconds:
    description: How long after its launch an instance may be unhealthy in its target groups.
    type: int
    default: 300
  impaired_seconds:
    description: How long an instance may fail EC2's status checks.
    type: int
    default: 300
  boot_seconds:
    description: How long an instance takes from its launch until it serves.
    type: int
    default: 120
  run_seconds:
    description: How long to wait for launched instances to run, so that they can be attached at once.
    type: int
    default: 40
  lease_seconds:
    description: How long to wait for another controller that takes a step for the same group.
    type: int
    default: 30
  cache_dir:
    description: Where answers of AWS that change seldom are kept.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(ec2:DescribeInstanceStatus), C(autoscaling:DescribeAutoScalingGroups),
    C(autoscaling:AttachInstances), C(autoscaling:TerminateInstanceInAutoScalingGroup), C(autoscaling:UpdateAutoScalingGroup), C(autoscaling:SuspendProcesses),
    C(autoscaling:CreateOrUpdateTags), C(dynamodb:BatchGetItem), C(dynamodb:UpdateItem), C(ec2:CreateFleet), C(ec2:CreateTags),
    C(ec2:DescribeAvailabilityZones), C(ec2:DescribeInstances), C(ec2:DescribeInstanceTypes),
    C(ec2:DescribeInstanceTypeOfferings), C(ec2:DescribeSpotInstanceRequests), C(ec2:DescribeSpotPriceHistory),
    C(ec2:DescribeSubnets), C(ec2:DescribeVolumes) for stateful applications,
    C(ec2:RunInstances), C(ec2:TerminateInstances), C(elasticloadbalancing:DescribeTargetHealth),
    C(iam:PassRole), C(pricing:GetProducts)."
  - "Required IAM actions for what is paid for already: C(ec2:DescribeReservedInstances), C(ec2:DescribeCapacityReservations),
    C(savingsplans:DescribeSavingsPlans), C(sts:GetCallerIdentity); what is denied counts as not paid for."
  - "Required IAM actions for fleets: C(ec2:DescribeFleets), C(ec2:DescribeFleetHistory), C(ec2:ModifyFleet),
    C(ec2:DescribeSpotFleetRequests), C(ec2:DescribeSpotFleetRequestHistory), C(ec2:ModifySpotFleetRequest),
    C(ec2:DeleteTags)."
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Replace what is unhealthy in two regions, one instance of a group at a time
  spot.platform.instance_health:
    regions: [us-east-1, eu-west-1]
    environment: production
    max_replaced: 1

- name: Replace an instance that an alert names
  spot.platform.instance_health:
    region: us-east-1
    apps: [web]
    unhealthy: [i-0123456789abcdef0]

- name: Show what would be replaced, and stop where half of a group is unhealthy
  spot.platform.instance_health:
    region: us-east-1
    stop_share: 0.5
  check_mode: true
"""

RETURN = r"""
alert:
  description: Whether so much of a group is unhealthy at once that nothing was touched, and somebody must look.
  returned: always
  type: bool
groups:
  description: The groups that have unhealthy instances, or some on their way out, by region and name.
  returned: always
  type: list
  elements: dict
  contains:
    group:
      description: Name of the group or fleet.
      type: str
      sample: production-web
    region:
      description: Its region.
      type: str
      sample: us-east-1
    app:
      description: Its application.
      type: str
      sample: web
    healthy:
      description: How many instances are known to be well; those that start are not.
      type: int
      sample: 9
    unhealthy:
      description: The instances that are unhealthy, oldest first.
      type: list
      elements: str
      sample: [i-0123456789abcdef0]
    going:
      description: How many are on their way out already.
      type: int
      sample: 0
    replaced:
      description: Those whose replacement was asked for now, in check mode would be.
      type: list
      elements: str
      sample: [i-0123456789abcdef0]
    waiting:
      description: Those for which the budget has no place yet.
      type: list
      elements: str
    stopped:
      description: Whether too many are unhealthy to touch any.
      type: bool
    reasons:
      description: Why, with the figures.
      type: list
      elements: str
      sample: ["i-0123456789abcdef0 fails EC2's status checks for 312 s"]
skipped:
  description: The instances in O(unhealthy) that are in none of the groups, with the reason.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: What was named.
      type: str
      sample: i-0fedcba9876543210
    region:
      description: Its region, null where it is unknown.
      type: str
      sample: us-east-1
    reason:
      description: Why.
      type: str
      sample: it is already terminated
decisions:
  description: The autoscaler's decisions for the groups concerned, as M(spot.platform.spot_autoscale) returns them.
  returned: always
  type: list
  elements: dict
  sample: [{group: production-web, region: us-east-1, kind: moved, changes: true}]
errors:
  description: What could not be done. To do it again is harmless.
  returned: always
  type: list
  elements: dict
  contains:
    group:
      description: Name of the group, null where it is not the step of a group that failed.
      type: str
      sample: production-web
    region:
      description: Its region.
      type: str
      sample: us-east-1
    message:
      description: What failed, why, and what to do.
      type: str
      sample: "cannot read the status checks of the instances in us-east-1: access denied"
activity:
  description:
    - One event for each group with unhealthy instances, C(health.replaced), C(health.waiting), C(health.stopped) or
      C(health.failed), besides those of the step.
  returned: always
  type: list
  elements: dict
  sample: [{kind: health.replaced, app: web, region: us-east-1, resource: production-web, changed: true}]
"""

import uuid

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.aws import control, health, market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, finish, message
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine.health import Policy
from ansible_collections.spot.platform.plugins.module_utils.health import result_of

PERCENT = 20.0
"""Of a group at a time, where nothing else is said."""
NAMES = {"type": "list", "elements": "str", "default": []}
ARGUMENTS = {
    "unhealthy": NAMES,
    "regions": {"type": "list", "elements": "str"},
    "apps": NAMES,
    "environment": {"type": "str"},
    "max_replaced": {"type": "int"},
    "max_percent": {"type": "float"},
    "stop_share": {"type": "float", "default": 1.0},
    "grace_seconds": {"type": "int", "default": 300},
    "impaired_seconds": {"type": "int", "default": 300},
    "boot_seconds": {"type": "int", "default": 120},
    "run_seconds": {"type": "int", "default": 40},
    "lease_seconds": {"type": "int", "default": 30},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def policy_of(module: AnsibleAWSModule) -> Policy:
    """The policy that is asked for. Raises ``ValueError`` for what means nothing."""
    given = module.params
    if given["max_replaced"] is not None and given["max_replaced"] < 1:
        raise ValueError(f"max_replaced is {given['max_replaced']}: it must be 1 or more; to replace nothing, do not run it")
    percent = given["max_percent"]
    if percent is None and given["max_replaced"] is None:
        percent = PERCENT
    if percent is not None and not 0 < percent <= 100:
        raise ValueError(f"max_percent is {percent:g}: it must be above 0 and up to 100")
    if not 0 < given["stop_share"] <= 1:
        raise ValueError(f"stop_share is {given['stop_share']:g}: it must be above 0 and up to 1, which is the whole group")
    return Policy(
        grace_seconds=given["grace_seconds"],
        impaired_seconds=given["impaired_seconds"],
        max_replaced=given["max_replaced"],
        max_percent=percent,
        stop_share=given["stop_share"],
    )


def run(module: AnsibleAWSModule) -> health.Checked:
    """Look at the groups of all regions, side by side."""
    given, policy = module.params, policy_of(module)
    regions = regions_of(module)
    clients = Clients.of_module(module, regions[0])
    cache = Cache(given["cache_dir"], market.endpoint(clients.get("ec2", regions[0])))
    question = Question(kinds=tuple(KINDS), apps=tuple(given["apps"]), environment=given["environment"])
    options = control.options_on_event(
        question,
        str(uuid.uuid4()),
        not module.check_mode,
        given["boot_seconds"],
        given["run_seconds"],
        given["lease_seconds"],
    )
    return health.check(clients, regions, given["unhealthy"], policy, options, cache)


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        checked = run(module)
    except FAILURES as failure:
        module.fail_json(
            msg=message(failure), alert=False, groups=[], skipped=[], decisions=[], activity=[], errors=[]
        )
    result = result_of(checked)
    finish(module, result)


if __name__ == "__main__":
    main()
