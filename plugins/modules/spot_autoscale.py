#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the next step of the capacity control of many Auto Scaling groups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: spot_autoscale
version_added: 0.1.0
short_description: Let On-Demand stand in while Spot is short, and go back to Spot
description:
  - Takes one step for each Auto Scaling group that the platform manages. Where Spot Instances cannot be had,
    On-Demand Instances cover what is missing; where Spot has come back and has proved stable, they are given back.
  - An Auto Scaling group by itself launches nothing in place of a Spot Instance that it cannot get. This module sets
    the group's desired capacity and its On-Demand base together, in one call, so that the missing capacity comes as
    On-Demand at once while the group goes on asking for all of its Spot part.
  - Run it every minute, or on an interruption notice. It keeps no state of its own. The target and the policy are the
    tags that M(spot.platform.spot_capacity) writes, and the fallback in force is read off the group.
  - A group that fails does not keep the others from their step; the task fails at the end and names it.
author:
  - The spot.platform developers (@spot-platform)
options:
  groups:
    description:
      - The groups to take the step for. Without it, all groups with the tag C(spot.platform/managed-by) in O(regions).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the Auto Scaling group.
        type: str
        required: true
      region:
        description: Its region; by default that of the task.
        type: str
  regions:
    description: The regions in which to look for groups; by default that of the task. Not used with O(groups).
    type: list
    elements: str
  apps:
    description: Only the groups of these applications. Not used with O(groups).
    type: list
    elements: str
    default: []
  environment:
    description: Only the groups of this environment. Not used with O(groups).
    type: str
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
  settle_seconds:
    description: How long a Spot launch may take before On-Demand is sent for. A launch that fails ends the wait.
    type: int
    default: 180
  stable_seconds:
    description: How long new Spot Instances must have served before the On-Demand that stood in for them is given back.
    type: int
    default: 120
notes:
  - "Required IAM actions: C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:DescribeScalingActivities),
    C(autoscaling:UpdateAutoScalingGroup), C(ec2:DescribeInstances), C(ec2:RunInstances), C(iam:PassRole)."
  - AWS asks for the last two of whoever updates a group whose instances have an instance profile.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Cover what Spot is short of, in two regions
  spot.platform.spot_autoscale:
    regions: [us-east-1, eu-west-1]
    environment: production

- name: Show what the next step for one group would be
  spot.platform.spot_autoscale:
    region: us-east-1
    groups:
      - name: production-web
  check_mode: true
  diff: true
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
    app:
      description: The application that it belongs to, null if it has no such tag.
      type: str
      sample: web
    kind:
      description:
        - V(fallback), On-Demand is sent for; V(returned), it is given back; V(adjusted), the figures are set to what
          target, base and fallback mean; V(waiting), something is wanted that cannot be done yet; V(steady), nothing
          is wanted.
      type: str
      sample: fallback
    changes:
      description: Whether the group had to be updated.
      type: bool
    target:
      description: The capacity that the application wants, in the group's unit.
      type: int
      sample: 10
    desired:
      description: The group's desired capacity as decided.
      type: int
      sample: 14
    on_demand_base:
      description: The group's On-Demand base as decided.
      type: int
      sample: 6
    fallback:
      description: The part of the On-Demand base that stands in for Spot.
      type: int
      sample: 4
    before:
      description: The desired capacity and the On-Demand base that were in force.
      type: dict
      sample: {desired: 10, on_demand_base: 2}
    after:
      description: The desired capacity and the On-Demand base as decided.
      type: dict
      sample: {desired: 14, on_demand_base: 6}
    serving:
      description: The capacity in service when the decision was made.
      type: int
      sample: 6
    expected:
      description: The capacity that will serve when the On-Demand asked for and the Spot granted so far have come.
      type: int
      sample: 10
    reasons:
      description: Why, with the figures.
      type: list
      elements: str
      sample: ["Spot has 4 of 8 vcpus (target 10, On-Demand base 2)"]
    ask_again_seconds:
      description: In how many seconds the next step is worth taking.
      type: int
      sample: 60
ask_again_seconds:
  description: The smallest of the decisions' figures.
  returned: always
  type: int
  sample: 60
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
      sample: the group production-web is not there
activity:
  description: One activity event for each change, and for each one that was wanted and could not be made yet.
  returned: always
  type: list
  elements: dict
  sample: [{kind: capacity.fallback, app: web, region: us-east-1, resource: production-web, changed: true}]
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts, rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as aws
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine

SUMMARIES = {
    "fallback": "On-Demand stands in for {fallback} {unit} of Spot",
    "returned": "Spot serves again: {returned} {unit} of On-Demand are given back",
    "adjusted": "Desired capacity and On-Demand base are set to what target and fallback mean",
    "waiting": "The group has {serving} of {target} {unit} in service and waits for Spot",
}


@dataclass(frozen=True)
class Step:
    """What became of a group's step: a decision with its event, or an error."""

    region: str
    group: str | None
    decision: engine.Decision | None = None
    event: Event | None = None
    error: str | None = None


def policy_of(group: aws.Group, options: dict[str, Any]) -> engine.Policy:
    """The policy in the group's tags, with the task's options before it; raises ``ValueError`` for a bad tag."""

    def number(option: str, tag: str) -> int:
        return group.number(tag) if options[option] is None else options[option]

    fallback = options["fallback"] or group.tags.get(tags.FALLBACK)
    if fallback not in ("on_demand", "none"):
        raise ValueError(f"the tag {tags.FALLBACK} of the group {group.name} is {fallback!r}, not on_demand or none")
    return engine.Policy(
        on_demand_base=number("on_demand_base", tags.ON_DEMAND_BASE),
        fallback=fallback,
        min=number("min", tags.MINIMUM),
        max=number("max", tags.MAXIMUM),
        settle_seconds=options["settle_seconds"],
        stable_seconds=options["stable_seconds"],
    )


def step(clients: Clients, group: aws.Group, known: dict[str, Any], options: dict[str, Any], check: bool) -> Step:
    """Observe, decide, act and record for one group."""
    try:
        policy = policy_of(group, options)
        observation = aws.observe(clients, group, known, policy)
        decision = engine.decide(observation, policy)
        if decision.changes and not check:
            aws.apply(clients, group, decision)
        return Step(group.region, group.name, decision, event(decision, observation))
    except (AwsError, ValueError) as error:
        return Step(group.region, group.name, error=str(error))


def event(decision: engine.Decision, observation: engine.Observation) -> Event | None:
    """The activity event of a decision; none where nothing was wanted."""
    if decision.kind == "steady":
        return None
    summary = SUMMARIES[decision.kind].format(
        fallback=decision.fallback,
        returned=decision.on_demand_base_before - decision.on_demand_base,
        serving=decision.serving,
        target=decision.target,
        unit=observation.unit,
    )
    return Event(
        kind=f"capacity.{decision.kind}",
        resource=decision.group,
        summary=summary,
        app=decision.app,
        region=decision.region,
        reasons=decision.reasons,
        before=decision.before(),
        after=decision.after(),
        changed=decision.changes,
        time=rfc3339(observation.now),
    )


def steps(clients: Clients, region: str, names: list[str] | None, options: dict[str, Any], check: bool) -> list[Step]:
    """The steps of one region's groups; a region that cannot be read is one failed step."""
    try:
        groups = aws.groups(clients, region, names, options["apps"], options["environment"])
        known = aws.instances(clients, region, [one for group in groups for one in group.instance_ids])
    except AwsError as error:
        return [Step(region, None, error=str(error))]
    missing = sorted(set(names or ()) - {group.name for group in groups})
    return [
        *side_by_side(lambda group: step(clients, group, known, options, check), groups),
        *(Step(region, name, error=f"the group {name} is not there in {region}") for name in missing),
    ]


def result_of(taken: list[Step]) -> dict[str, Any]:
    """The module's result."""
    decisions = [one.decision for one in taken if one.decision]
    changed = [decision for decision in decisions if decision.changes]
    keys = "group region app kind changes target desired on_demand_base fallback serving expected".split()
    return {
        "changed": bool(changed),
        "decisions": [
            {key: getattr(decision, key) for key in (*keys, "ask_again_seconds")}
            | {"before": decision.before(), "after": decision.after(), "reasons": list(decision.reasons)}
            for decision in decisions
        ],
        "ask_again_seconds": min((decision.ask_again_seconds for decision in decisions), default=60),
        "errors": [{"group": one.group, "region": one.region, "message": one.error} for one in taken if one.error],
        "activity": as_dicts(one.event for one in taken if one.event),
        "diff": {
            "before": {f"{decision.group}@{decision.region}": decision.before() for decision in changed},
            "after": {f"{decision.group}@{decision.region}": decision.after() for decision in changed},
        },
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "groups": {
                "type": "list",
                "elements": "dict",
                "options": {"name": {"type": "str", "required": True}, "region": {"type": "str"}},
            },
            "regions": {"type": "list", "elements": "str"},
            "apps": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "str"},
            "fallback": {"type": "str", "choices": ["on_demand", "none"]},
            "on_demand_base": {"type": "int"},
            "min": {"type": "int"},
            "max": {"type": "int"},
            "settle_seconds": {"type": "int", "default": 180},
            "stable_seconds": {"type": "int", "default": 120},
        },
        mutually_exclusive=[("groups", "regions")],
        supports_check_mode=True,
    )
    options = module.params
    clients = Clients.of_module(module)
    wanted: dict[str, list[str] | None] = defaultdict(list)
    for group in options["groups"] or ():
        wanted[group["region"] or module.region].append(group["name"])
    if options["groups"] is None:
        wanted = dict.fromkeys(options["regions"] or [module.region])
    if None in wanted:
        module.fail_json(msg="there is no region: set regions, region or AWS_DEFAULT_REGION")

    parts = side_by_side(lambda item: steps(clients, *item, options, module.check_mode), sorted(wanted.items()))
    result = result_of([one for part in parts for one in part])
    if result["errors"]:
        said = "; ".join(error["message"] for error in result["errors"])
        module.fail_json(
            msg=f"{len(result['errors'])} of {len(result['errors']) + len(result['decisions'])} failed: {said}",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
