#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is paid for and not used."""

from __future__ import annotations

DOCUMENTATION = r"""
module: waste_info
version_added: 0.1.0
short_description: Find what is paid for and not used
description:
  - Lists unattached volumes and addresses, old snapshots, volumes of gp2, load balancers without targets and over-sized instances, each with
    what mending it saves a month and the command that does.
  - Reads only. Regions are asked side by side. What cannot be read is named in RV(errors), and the rest is returned.
  - The savings are estimated from list prices of us-east-1, those of instances from the prices of their region.
author:
  - The spot.platform developers (@spot-platform)
options:
  regions:
    description: The regions to look at; by default that of the task.
    type: list
    elements: str
  kinds:
    description: What to look for.
    type: list
    elements: str
    choices: [volume.unattached, volume.gp2, address.unattached, snapshot.old, balancer.idle, instance.oversized]
    default: [volume.unattached, volume.gp2, address.unattached, snapshot.old, balancer.idle, instance.oversized]
  environment:
    description: Only what has the tag of this environment. By default all, also what belongs to nobody.
    type: str
  app:
    description: Only what has the tag of this application.
    type: str
  volume_days:
    description:
      - For how many days a volume must be there unattached. EC2 does not tell when a volume was detached, so without our tag
        C(spot.platform/free-since) its age counts.
    type: float
    default: 7
  snapshot_days:
    description: How old a snapshot must be. One that an image of the account needs is never listed.
    type: float
    default: 90
  cpu_percent:
    description:
      - Below which CPU utilisation in every hour an instance is over-sized. Its peak may not exceed twice as much.
      - Members of groups and fleets are left to those, and Spot Instances too.
    type: float
    default: 20
  cpu_days:
    description: How many days of utilisation to look at. CloudWatch charges 0.01 USD for 500 instances.
    type: int
    default: 14
  min_usd:
    description: List only what saves at least so much a month.
    type: float
    default: 0
  cache_dir:
    description: Where the On-Demand prices are kept for a day.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(ec2:DescribeVolumes), C(ec2:DescribeAddresses), C(ec2:DescribeSnapshots), C(ec2:DescribeImages),
    C(ec2:DescribeInstances), C(elasticloadbalancing:DescribeLoadBalancers), C(elasticloadbalancing:DescribeTargetGroups),
    C(elasticloadbalancing:DescribeTargetHealth), C(elasticloadbalancing:DescribeListeners), C(elasticloadbalancing:DescribeTags),
    C(cloudwatch:GetMetricData), C(pricing:GetProducts)."
  - What has the tag C(spot.platform/delete-after) is deleted by the platform itself, and is not listed.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: N/A
"""

EXAMPLES = r"""
- name: See what is wasted in two regions, from a dollar a month on
  spot.platform.waste_info:
    regions: [us-east-1, eu-west-1]
    min_usd: 1
  register: waste

- name: Show how to mend it
  ansible.builtin.debug:
    msg: "{{ waste.findings | map(attribute='command') }}"
"""

RETURN = r"""
findings:
  description: What is wasted, the dearest first.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: One of O(kinds).
      type: str
      sample: volume.unattached
    resource:
      description: Its id, or the name of the load balancer.
      type: str
      sample: vol-0123456789abcdef0
    region:
      description: Its region.
      type: str
      sample: us-east-1
    app:
      description: Its application, null where it has none.
      type: str
      sample: shop
    usd_month:
      description: What mending it saves, USD a month.
      type: float
      sample: 8.0
    at_most:
      description: Whether it may be less.
      type: bool
    command:
      description: The command that mends it.
      type: str
      sample: aws ec2 delete-volume --region us-east-1 --volume-id vol-0123456789abcdef0
    reasons:
      description: Why, with the figures, and what to look at before.
      type: list
      elements: str
      sample: ["100 GiB of gp3, attached to nothing, 40 days old"]
    basis:
      description: C(estimated).
      type: str
      sample: estimated
usd_month:
  description: The sum of the findings.
  returned: always
  type: float
  sample: 8.0
errors:
  description: What could not be looked for.
  returned: always
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: eu-west-1
    missing:
      description: Which of O(kinds).
      type: str
      sample: volume.unattached, volume.gp2
    message:
      description: What failed, why, and what to do.
      type: str
      sample: "cannot list the volumes in eu-west-1: access denied"
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.aws.waste import Question, look
from ansible_collections.spot.platform.plugins.module_utils.engine.money import rounded, units_of
from ansible_collections.spot.platform.plugins.module_utils.engine.waste import KINDS, sorted_findings

ARGUMENTS = {
    "regions": {"type": "list", "elements": "str"},
    "kinds": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
    "environment": {"type": "str"},
    "app": {"type": "str"},
    "volume_days": {"type": "float", "default": 7},
    "snapshot_days": {"type": "float", "default": 90},
    "cpu_percent": {"type": "float", "default": 20},
    "cpu_days": {"type": "int", "default": 14},
    "min_usd": {"type": "float", "default": 0},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    """The module's result. Raises ``ValueError`` for what means nothing."""
    given = module.params
    regions = regions_of(module)
    for name in ("volume_days", "snapshot_days", "min_usd"):
        if not given[name] >= 0:
            raise ValueError(f"{name} is {given[name]:g}: it must be 0 or more")
    if not 0 < given["cpu_percent"] <= 50:
        raise ValueError(f"cpu_percent is {given['cpu_percent']:g}: it must be above 0 and 50 at most")
    if not 1 <= given["cpu_days"] <= 60:
        raise ValueError(f"cpu_days is {given['cpu_days']}: it must be 1 to 60")
    names = ("environment", "app", "volume_days", "snapshot_days", "cpu_percent", "cpu_days")
    question = Question(kinds=tuple(given["kinds"]), **{name: given[name] for name in names})
    cache = Cache(given["cache_dir"], given["endpoint_url"])
    found, errors = look(Clients.of_module(module, regions[0]), regions, question, cache)
    if cache.problem:
        module.warn(cache.problem)
    findings = [
        {
            "kind": one.kind,
            "resource": one.resource,
            "region": one.region,
            "app": one.app,
            "usd_month": round(one.usd_month, 6),
            "at_most": one.at_most,
            "command": one.command,
            "reasons": list(one.reasons),
            "basis": "estimated",
        }
        for one in sorted_findings(found, given["min_usd"])
    ]
    usd_month = rounded(sum(units_of(one["usd_month"]) for one in findings))
    return {"changed": False, "findings": findings, "usd_month": usd_month, "errors": errors}


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), findings=[], errors=[])
    for error in result["errors"]:
        module.warn(f"{error['region']}: {error['missing']} is not known: {error['message']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
