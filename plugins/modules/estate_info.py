#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform runs: fleets, capacity, cost."""

from __future__ import annotations

DOCUMENTATION = r"""
module: estate_info
version_added: 0.1.0
short_description: Show what every application runs, serves and costs
description:
  - Lists the Auto Scaling group, EC2 Fleet or Spot Fleet of every application in every region, with what serves on Spot and
    on On-Demand, where it runs, what it costs at present, and what it has cost beside the same capacity On-Demand. While an
    application migrates, it has two of them.
  - Reads only. Regions are asked side by side. What cannot be read is named in RV(errors), and the rest is returned.
author:
  - The spot.platform developers (@spot-platform)
options:
  regions:
    description: The regions to look at; by default that of the task.
    type: list
    elements: str
  apps:
    description: Only these applications.
    type: list
    elements: str
    default: []
  environment:
    description: Only this environment.
    type: str
  hours:
    description: How far to look back for RV(fleets[].cost), RV(fleets[].timeline) and RV(fleets[].serving_min).
    type: int
    default: 24
  committed_rates:
    description:
      - USD an hour by instance type, of a Savings Plan or of Reserved Instances. RV(fleets[].cost) is compared with them as well.
    type: dict
    default: {}
  cache_dir:
    description: Where the On-Demand prices are kept for a day.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:DescribeScalingActivities),
    C(ec2:DescribeFleets), C(ec2:DescribeInstances), C(ec2:DescribeSpotFleetRequests), C(ec2:DescribeSpotPriceHistory),
    C(pricing:GetProducts)."
  - The cost is an estimate from instance hours and list prices. EC2 forgets an instance about an hour after it ended,
    so the account begins after the last one that is forgotten; RV(fleets[].cost.since) says when that was.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: See what runs in two regions
  spot.platform.estate_info:
    regions: [us-east-1, eu-west-1]
    environment: production
  register: estate

- name: Show it as a table
  ansible.builtin.debug:
    msg: "{{ estate | spot.platform.status_table }}"
"""

RETURN = r"""
fleets:
  description: The fleets, by application and region.
  returned: always
  type: list
  elements: dict
  contains:
    app:
      description: The application.
      type: str
      sample: web
    environment:
      description: Its environment.
      type: str
      sample: production
    region:
      description: The region.
      type: str
      sample: us-east-1
    group:
      description: Name of the Auto Scaling group, or the C(Name) tag of the fleet.
      type: str
      sample: production-web
    kind:
      description: V(auto_scaling_group), V(ec2_fleet) or V(spot_fleet).
      type: str
      sample: auto_scaling_group
    unit:
      description: What all capacities count, V(vcpus) or V(instances).
      type: str
      sample: vcpus
    target:
      description: The capacity that the application wants.
      type: int
      sample: 10
    min:
      description: The smallest target.
      type: int
      sample: 4
    max:
      description: The largest target.
      type: int
      sample: 40
    desired:
      description: The group's desired capacity, which is the target and the fallback.
      type: int
      sample: 14
    on_demand_base:
      description: The capacity that is always On-Demand.
      type: int
      sample: 2
    fallback:
      description: The On-Demand capacity that stands in for Spot.
      type: int
      sample: 4
    spot:
      description: The Spot capacity in service.
      type: int
      sample: 4
    on_demand:
      description: The On-Demand capacity in service.
      type: int
      sample: 6
    serving:
      description: Both together.
      type: int
      sample: 10
    serving_min:
      description: The smallest capacity that served since the target was first reached; null if it was not.
      type: int
      sample: 8
    health:
      description: How many instances are in service and healthy, and how many are not.
      type: dict
      contains:
        healthy:
          description: In service and healthy.
          type: int
        unhealthy:
          description: Starting, ending or not healthy.
          type: int
      sample: {healthy: 5, unhealthy: 0}
    pools:
      description: What runs where, by zone, type and lifecycle.
      type: list
      elements: dict
      contains:
        zone:
          description: The Availability Zone.
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
          description: How many instances run.
          type: int
          sample: 2
        capacity:
          description: Their capacity together.
          type: int
          sample: 4
        price_per_hour:
          description: USD an hour for one instance, null if not known.
          type: float
          sample: 0.0352
    cost_per_hour:
      description: USD an hour for all that runs, null if a price is not known.
      type: float
      sample: 0.27
    on_demand_cost_per_hour:
      description: USD an hour for the same instances On-Demand, null if a price is not known.
      type: float
      sample: 0.48
    savings_percent:
      description: What of the On-Demand price is saved at present, in percent.
      type: float
      sample: 43.8
    cost:
      description: What it has cost.
      type: dict
      contains:
        since:
          description: Since when, RFC 3339. All instances that ran since then are known.
          type: str
          sample: "2026-01-31T08:00:00.000Z"
        until:
          description: Until when, RFC 3339.
          type: str
          sample: "2026-01-31T12:00:00.000Z"
        spot_platform:
          description: USD that were paid.
          type: float
          sample: 1.08
        all_on_demand:
          description:
            - USD for the same capacity On-Demand. Of the time in which more than the target ran, only the target's
              share counts.
          type: float
          sample: 1.92
        savings_percent:
          description: The difference in percent; null if nothing ran.
          type: float
          sample: 43.8
        committed:
          description: USD for the same capacity at O(committed_rates); null where a type has no rate.
          type: float
          sample: 1.25
        fallback:
          description: Of what was paid, USD for On-Demand that stood in for Spot.
          type: float
          sample: 0.1
        interrupted:
          description: Of what was paid, USD for instances that Spot took away in the end.
          type: float
          sample: 0.05
        by_day:
          description: The same sums by C(day), in UTC. They add up to those of the whole.
          type: list
          elements: dict
          sample: [{day: "2026-01-31", spot_platform: 1.08, all_on_demand: 1.92}]
        by_pool:
          description: The same sums by C(zone), C(instance_type) and C(lifecycle).
          type: list
          elements: dict
          sample: [{zone: us-east-1a, instance_type: m5.large, lifecycle: spot, spot_platform: 1.08, all_on_demand: 1.92}]
        fallback_share:
          description: The part of the capacity's hours, 0 to 1, in which On-Demand stood in for Spot.
          type: float
          sample: 0.02
        unpriced:
          description: Instance types without a known price, left out of both sums.
          type: list
          elements: str
          sample: []
        basis:
          description: What the figures are made from.
          type: str
          sample: estimated from instance hours
    timeline:
      description: The capacity in service, each entry until the next.
      type: list
      elements: dict
      contains:
        time:
          description: From when on, RFC 3339.
          type: str
          sample: "2026-01-31T08:00:00.000Z"
        spot:
          description: Spot capacity in service.
          type: int
          sample: 8
        on_demand:
          description: On-Demand capacity in service.
          type: int
          sample: 2
    activities:
      description: The group's last 100 scaling activities, newest first. A fleet has none.
      type: list
      elements: dict
      contains:
        time:
          description: When it began, RFC 3339.
          type: str
          sample: "2026-01-31T08:00:00.000Z"
        status:
          description: AWS's status code.
          type: str
          sample: Failed
        description:
          description: What was done.
          type: str
          sample: "Launching a new EC2 instance: i-0123456789abcdef0"
        message:
          description: Why it failed; empty if it did not.
          type: str
          sample: Could not launch Spot Instances.
        cause:
          description: What the group did it for.
          type: str
          sample: At 2026-01-31T08:00:00Z an instance was started in response to a difference between desired and actual capacity.
errors:
  description: What could not be read.
  returned: always
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: eu-west-1
    message:
      description: What failed, why, and what to do.
      type: str
      sample: cannot read the On-Demand prices in us-east-1
generated_at:
  description: When this was observed, RFC 3339.
  returned: always
  type: str
  sample: "2026-01-31T12:00:00.000Z"
"""

from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.estate import Question, observe


def rates_of(given: dict[str, Any]) -> dict[str, float]:
    """``committed_rates``. Raises ``ValueError`` for one that is no price."""
    rates = {}
    for name, value in given.items():
        try:
            rates[name] = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"committed_rates.{name} is {value!r}: it must be USD an hour") from None
        if not 0 <= rates[name] < float("inf"):
            raise ValueError(f"committed_rates.{name} is {value}: it must be 0 or more")
    return rates


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "regions": {"type": "list", "elements": "str"},
            "apps": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "str"},
            "hours": {"type": "int", "default": 24},
            "committed_rates": {"type": "dict", "default": {}},
            "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
        },
        supports_check_mode=True,
    )
    options = module.params
    regions = options["regions"] or ([module.region] if module.region else [])
    if not regions:
        module.fail_json(msg="there is no region: set regions, region or AWS_DEFAULT_REGION")
    cache = Cache(options["cache_dir"], options["endpoint_url"])
    try:
        rates = rates_of(options["committed_rates"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    question = Question(options["apps"], options["environment"], options["hours"], rates)
    fleets, errors = observe(Clients.of_module(module), sorted(set(regions)), question, cache)
    for error in errors:
        module.warn(f"{error['region']}: {error['message']}")
    if cache.problem:
        module.warn(cache.problem)
    now = max((fleet["cost"]["until"] for fleet in fleets), default=rfc3339(datetime.now(timezone.utc)))
    module.exit_json(changed=False, fleets=fleets, errors=errors, generated_at=now)


if __name__ == "__main__":
    main()
