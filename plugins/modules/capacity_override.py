#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set bounds of an application's capacity that end by themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_override
version_added: 0.1.0
short_description: Set bounds of an application's capacity that end by themselves
description:
  - For some hours the target of an application is O(minimum) at least and O(maximum) at most in each of its regions, and so much of it
    On-Demand as O(on_demand_base) says. Within V(capacity.min) and V(capacity.max) of the manifest this comes before its metrics, its
    schedules and its budget.
  - It is a tag of the Auto Scaling group or fleet, which M(spot.platform.spot_autoscale) reads at each step. When the time is over, the
    step after it goes back to what the metrics and schedules say, or to the target that there was before, and removes the tag.
  - All regions are checked before the first is changed.
author:
  - The spot.platform developers (@spot-platform)
options:
  app:
    description: Name of the application.
    type: str
    required: true
  environment:
    description: Its environment.
    type: str
    required: true
  regions:
    description: The regions in which to set it; by default that of the task.
    type: list
    elements: str
  state:
    description: V(absent) ends what is in force.
    type: str
    choices: [present, absent]
    default: present
  minimum:
    description: The smallest target in each region, in the application's unit.
    type: int
  maximum:
    description: The largest target in each region.
    type: int
  on_demand_base:
    description: The capacity in each region that is On-Demand, at least.
    type: int
  hours:
    description:
      - For how long, up to V(168). What is asked for again is no change while it ends at most a tenth of that time earlier.
    type: float
  ends_at:
    description: When it ends, with the time zone, in place of O(hours), such as V(2026-01-31T23:59Z).
    type: str
  reason:
    description: Why, for whoever wonders.
    type: str
    default: ""
  by:
    description: Who wants it.
    type: str
    default: ""
  followed:
    description:
      - Whether metrics or schedules set the target of the application. Otherwise it goes back to what it was.
    type: bool
    default: false
  lease_seconds:
    description: How long to wait for a controller that acts on the group.
    type: int
    default: 60
  cache_dir:
    description: Where answers of AWS that change seldom are kept.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:CreateOrUpdateTags), C(dynamodb:BatchGetItem),
    C(dynamodb:UpdateItem), C(ec2:CreateTags), C(ec2:DescribeFleets), C(ec2:DescribeInstances), C(ec2:DescribeSpotFleetRequests),
    C(ec2:DescribeSpotInstanceRequests), C(ec2:DescribeSubnets), C(ec2:DescribeVolumes) for stateful applications."
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Have at least 12 in each region for two hours
  spot.platform.capacity_override:
    app: web
    environment: production
    regions: [us-east-1, eu-west-1]
    minimum: 12
    hours: 2
    by: alice
    reason: the advert on television

- name: End it now
  spot.platform.capacity_override:
    app: web
    environment: production
    regions: [us-east-1, eu-west-1]
    state: absent
"""

RETURN = r"""
overrides:
  description: The bounds of each group that are in force then, in check mode that would be.
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
      description: The application.
      type: str
      sample: web
    changes:
      description: Whether they were changed, in check mode whether they would be.
      type: bool
    minimum:
      description: The smallest target, null for that of the manifest.
      type: int
      sample: 12
    maximum:
      description: The largest target, null for that of the manifest.
      type: int
    on_demand_base:
      description: The capacity that is On-Demand at least, null for that of the manifest.
      type: int
    until:
      description: When they end, null where none are in force.
      type: str
      sample: 2026-01-31T23:59Z
    by:
      description: Who wanted them.
      type: str
      sample: alice
    reason:
      description: Why.
      type: str
      sample: the advert on television
    summary:
      description: All of it as a sentence.
      type: str
      sample: "temporarily at least 12 vcpus, until 2026-01-31T23:59Z (alice: the advert on television)"
errors:
  description: The groups for which it could not be done.
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
    message:
      description: What failed, why, and what to do.
      type: str
      sample: "another controller has acted on production-web for 60 s: run it again"
activity:
  description: An event for each group whose bounds were set (C(capacity.overridden)) or ended (C(capacity.restored)).
  returned: always
  type: list
  elements: dict
  sample: [{kind: capacity.overridden, app: web, region: us-east-1, resource: production-web, changed: true}]
"""

import uuid

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.aws import market, overrides
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, finish, message
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine.overrides import Wish, end, moment, settle
from ansible_collections.spot.platform.plugins.module_utils.overrides import result_of

ARGUMENTS = {
    "app": {"type": "str", "required": True},
    "environment": {"type": "str", "required": True},
    "regions": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "minimum": {"type": "int"},
    "maximum": {"type": "int"},
    "on_demand_base": {"type": "int"},
    "hours": {"type": "float"},
    "ends_at": {"type": "str"},
    "reason": {"type": "str", "default": ""},
    "by": {"type": "str", "default": ""},
    "followed": {"type": "bool", "default": False},
    "lease_seconds": {"type": "int", "default": 60},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def decision_of(module: AnsibleAWSModule) -> overrides.Decide:
    """What is to become of the bounds in force. Raises ``ValueError`` for a time that is none."""
    given = module.params
    if given["state"] == "absent":
        return end
    figures = {name: given[name] for name in ("minimum", "maximum", "on_demand_base", "hours")}
    words = {name: " ".join(given[name].split()) for name in ("by", "reason")}  # one line each
    wish = Wish(until=None if given["ends_at"] is None else moment(given["ends_at"]), **figures, **words)
    return lambda present, bounds, now: settle(present, wish, bounds, now, given["followed"])


def run(module: AnsibleAWSModule) -> list[overrides.Set]:
    """Set or end the bounds, regions side by side."""
    given, regions = module.params, regions_of(module)
    decide = decision_of(module)
    clients = Clients.of_module(module, regions[0])
    cache = Cache(given["cache_dir"], market.endpoint(clients.get("ec2", regions[0])))
    question = Question(kinds=tuple(KINDS), apps=[given["app"]], environment=given["environment"], whole=False)
    act = not module.check_mode
    return overrides.apply(clients, regions, question, decide, str(uuid.uuid4()), given["lease_seconds"], act, cache)


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, mutually_exclusive=[("hours", "ends_at")], supports_check_mode=True)
    try:
        result = result_of(run(module))
    except FAILURES as failure:
        module.fail_json(msg=message(failure), overrides=[], errors=[], activity=[])
    finish(module, result)


if __name__ == "__main__":
    main()
