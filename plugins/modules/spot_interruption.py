#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handle Spot interruption notices and rebalance recommendations, many at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: spot_interruption
version_added: 0.1.0
short_description: Handle Spot interruption notices and rebalance recommendations, many at once
description:
  - Of the instances that AWS told to go within two minutes, the replacements are asked for first, by the step of
    M(spot.platform.spot_autoscale). Then they leave the target groups of their application, so that they get no new requests, are
    waited for until they are drained, within the time left, and their terminating lifecycle hooks are completed.
  - Their pools count as having taken an instance away, so the next steps go elsewhere.
  - Where nothing else is healthy in a target group, the last healthy ones stay in it until something is, or until the time
    left is just what draining needs.
  - A rebalance recommendation is a hint, handled by O(rebalance_policy). An instance that is named twice, or in both lists, is
    handled once, as interrupted.
  - An instance that is gone, unknown, or not managed by the platform is named in RV(skipped) with the reason, and is no failure.
  - Instances are claimed in the DynamoDB table of their environment, so that two controllers, or the same batch again, do
    nothing twice. What a killed run left is taken up after half a minute. Without the table all is done nevertheless.
  - Regions are handled side by side; calls are by region, group and target group, not by instance.
author:
  - The spot.platform developers (@spot-platform)
options:
  notices:
    description: Ids of the instances that have their interruption notice, of any of the O(regions).
    type: list
    elements: str
    default: []
  noticed_at:
    description:
      - When notices were given, by instance id, RFC 3339 with a time zone, such as V(2026-01-31T12:00:00Z). Without it, the two
        minutes begin now.
    type: dict
    default: {}
  rebalances:
    description: Ids of the instances that AWS recommends to leave.
    type: list
    elements: str
    default: []
  rebalance_policy:
    description:
      - V(ignore) does nothing. V(note) raises the risk of the instance's pool. V(replace) replaces the instance too, and ends it
        when what replaces it serves. Most such instances are never interrupted.
    type: str
    choices: [ignore, note, replace]
    default: note
  regions:
    description: The regions in which to look for the instances; by default that of the task.
    type: list
    elements: str
  environment:
    description: The environment whose instances are ours; by default all.
    type: str
  drain_seconds:
    description:
      - How long to wait at most until instances are drained, 0 to wait for nothing. Never longer than to the interruption.
      - The deregistration delay of the target groups should not be longer.
    type: int
    default: 60
  boot_seconds:
    description: How long an instance takes from its launch until it serves.
    type: int
    default: 120
  lease_seconds:
    description: How long to wait for another controller that takes a step for the same group. The next step catches up.
    type: int
    default: 5
  cache_dir:
    description: Where answers of AWS that change seldom are kept.
    type: path
    default: ~/.cache/spot.platform
notes:
  - What was launched is attached by the next step of M(spot.platform.spot_autoscale).
  - "Required IAM actions: C(autoscaling:CompleteLifecycleAction), C(autoscaling:DescribeLifecycleHooks),
    C(elasticloadbalancing:DeregisterTargets), C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:AttachInstances),
    C(autoscaling:TerminateInstanceInAutoScalingGroup), C(autoscaling:UpdateAutoScalingGroup), C(autoscaling:SuspendProcesses),
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
- name: Handle what EventBridge told in the last second
  spot.platform.spot_interruption:
    regions: [us-east-1, eu-west-1]
    environment: production
    notices: [i-0123456789abcdef0, i-0fedcba9876543210]
    rebalances: [i-0aaaaaaaaaaaaaaaa]

- name: Handle a notice that is half a minute old
  spot.platform.spot_interruption:
    region: us-east-1
    notices: [i-0123456789abcdef0]
    noticed_at:
      i-0123456789abcdef0: "2026-01-31T12:00:00Z"

- name: Replace what AWS recommends to leave
  spot.platform.spot_interruption:
    region: us-east-1
    rebalances: [i-0123456789abcdef0]
    rebalance_policy: replace
"""

RETURN = r"""
instances:
  description: What was handled, by id.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The instance.
      type: str
      sample: i-0123456789abcdef0
    region:
      description: Its region.
      type: str
      sample: us-east-1
    app:
      description: Its application.
      type: str
      sample: web
    environment:
      description: The environment of that.
      type: str
      sample: production
    group:
      description: Its group or fleet, null if it is in none.
      type: str
      sample: production-web
    told:
      description: V(interruption) or V(rebalance).
      type: str
      sample: interruption
    action:
      description: V(handled) for an interruption, V(noted) or V(replaced) for a rebalance recommendation.
      type: str
      sample: handled
    target_groups:
      description: ARNs of the target groups that it left, in check mode that it would leave.
      type: list
      elements: str
    held:
      description: Whether it stayed in one at first, because nothing else was healthy there.
      type: bool
    drained:
      description: Whether it was drained in time; null where it was in no target group, and in check mode.
      type: bool
    hooks:
      description: The lifecycle hooks that were completed for it.
      type: list
      elements: str
    seconds_left:
      description: The time that it had when it was taken up; null for a rebalance recommendation.
      type: int
      sample: 118
    failed:
      description: Whether something failed, so that it is to be handled again.
      type: bool
skipped:
  description: The instances for which nothing was done, by id.
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
  description: What could not be done. What is named here is to be handled again; to do it again is harmless.
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
      sample: "cannot take instances out of the target group in us-east-1: access denied"
notes:
  description: What somebody should know, such as that nobody could be asked who else handles the instances.
  returned: always
  type: list
  elements: str
activity:
  description:
    - One event for each group and kind of news, C(interruption.handled), C(rebalance.noted) or C(rebalance.replaced), with the
      instances in C(after.ids), besides those of the step.
  returned: always
  type: list
  elements: dict
  sample: [{kind: interruption.handled, app: web, region: us-east-1, resource: production-web, changed: true}]
"""

import uuid
from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.aws import control, interruptions, market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, finish, message
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import NOTE, POLICIES
from ansible_collections.spot.platform.plugins.module_utils.interruptions import result_of

NAMES = {"type": "list", "elements": "str", "default": []}
ARGUMENTS = {
    "notices": NAMES,
    "noticed_at": {"type": "dict", "default": {}},
    "rebalances": NAMES,
    "rebalance_policy": {"type": "str", "choices": list(POLICIES), "default": NOTE},
    "regions": {"type": "list", "elements": "str"},
    "environment": {"type": "str"},
    "drain_seconds": {"type": "int", "default": 60},
    "boot_seconds": {"type": "int", "default": 120},
    "lease_seconds": {"type": "int", "default": 5},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def moment_of(name: str, text: Any) -> float:
    """Seconds since the epoch. Raises ``ValueError`` for what is no time, or has no time zone."""
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        if found.tzinfo is None:
            raise ValueError
    except ValueError:
        raise ValueError(f"noticed_at of {name} is {text!r}: write it as 2026-01-31T12:00:00Z") from None
    return found.timestamp()


def wanted_of(module: AnsibleAWSModule) -> interruptions.Wanted:
    """What is asked for. Raises ``ValueError`` for what cannot be."""
    given = module.params
    regions = regions_of(module)
    if given["drain_seconds"] < 0:
        raise ValueError(f"drain_seconds is {given['drain_seconds']}: it must be 0 or more")
    return interruptions.Wanted(
        notices=given["notices"],
        rebalances=given["rebalances"],
        regions=regions,
        environment=given["environment"],
        policy=given["rebalance_policy"],
        drain_seconds=given["drain_seconds"],
        noticed_at={name: moment_of(name, text) for name, text in given["noticed_at"].items()},
    )


def run(module: AnsibleAWSModule) -> interruptions.Handled:
    """Handle what is named, regions side by side."""
    given, wanted = module.params, wanted_of(module)
    clients = Clients.of_module(module, wanted.regions[0])
    cache = Cache(given["cache_dir"], market.endpoint(clients.get("ec2", wanted.regions[0])))
    question = Question(kinds=tuple(KINDS), environment=given["environment"])
    options = control.options_on_event(
        question, str(uuid.uuid4()), not module.check_mode, given["boot_seconds"], 0, given["lease_seconds"]
    )
    return interruptions.handle(clients, wanted, options, cache)


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        handled = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), instances=[], skipped=[], decisions=[], notes=[], activity=[], errors=[])
    result = result_of(handled, module.params["rebalance_policy"])
    for note in result["notes"]:
        module.warn(note)
    finish(module, result)


if __name__ == "__main__":
    main()
