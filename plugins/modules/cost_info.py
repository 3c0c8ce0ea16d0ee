#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was paid, by day, app, service, region and purchase option."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cost_info
version_added: 0.1.0
short_description: Show what applications cost
description:
  - Asks Cost Explorer what was paid, by day or month, and by application, service, region and purchase option.
  - Each request of Cost Explorer costs 0.01 USD. So the fewest are made, answers are kept in O(cache_dir), and nothing is asked that would
    cost more than O(max_usd). RV(api_requests) and RV(api_cost_usd) say what the answer cost.
  - A day that has been over for three days is kept, and asked for once more when the bill of its month is final; what AWS calls final
    is never asked for again. Days that have not settled are asked for again after O(cache_hours).
  - Where Cost Explorer must not be asked, the costs are estimated from running hours and prices. RV(basis) and RV(reason) say so.
  - The applications are told apart by the cost allocation tag C(spot.platform/app), which the payer account has to activate.
author:
  - The spot.platform developers (@spot-platform)
options:
  start:
    description:
      - The first day, in UTC, such as V(2026-01-01).
      - By default the first of this month, and on the first of a month that of the month before.
    type: str
  end:
    description: The first day that does not count any more. By default today.
    type: str
  granularity:
    description: Whether to show days or months.
    type: str
    choices: [day, month]
    default: day
  by:
    description: What to tell apart, besides the time. Two take one request, three about three, four about as many as there are regions.
    type: list
    elements: str
    choices: [app, service, region, purchase]
    default: [app, service, purchase]
  apps:
    description: Only these applications. That one of them costs nothing in the period is an error.
    type: list
    elements: str
    default: []
  environment:
    description: Only this environment, by the cost allocation tag C(spot.platform/environment).
    type: str
  accounts:
    description: For a payer account, only these of its accounts. By default all.
    type: list
    elements: str
    default: []
  metric:
    description: Which costs. V(AmortizedCost) spreads what is paid in advance over its time, the V(Net) ones count discounts.
    type: str
    choices: [UnblendedCost, AmortizedCost, NetUnblendedCost, NetAmortizedCost]
    default: UnblendedCost
  source:
    description:
      - V(billed) asks Cost Explorer, and fails where that is not allowed. V(estimated) does not ask it.
      - V(auto) estimates where Cost Explorer denies access.
    type: str
    choices: [auto, billed, estimated]
    default: auto
  equivalents:
    description:
      - Whether to tell in RV(equivalents) what the hours of instances would have cost On-Demand, too. That takes one request more, by
        application and usage type.
      - Only what Cost Explorer billed is compared, not what is estimated.
    type: bool
    default: false
  committed_rates:
    description:
      - USD an hour by instance type, of a Savings Plan or of Reserved Instances. RV(equivalents) tells what the hours would have cost at
        them, too.
    type: dict
    default: {}
  regions:
    description: The regions to estimate in; by default that of the task.
    type: list
    elements: str
  max_usd:
    description: The most that asking may cost, in USD. With V(0), only what is kept is answered.
    type: float
    default: 0.1
  cache_dir:
    description: Where answers are kept, by account. Readable by its owner only.
    type: path
    default: ~/.cache/spot.platform/costs
  cache_hours:
    description: For how long an answer holds for days that have not settled.
    type: float
    default: 6
notes:
  - "Required IAM actions: C(ce:GetCostAndUsage), C(ce:ListCostAllocationTags), C(sts:GetCallerIdentity), for O(equivalents)
    C(pricing:GetProducts), and to estimate C(ec2:DescribeInstances), C(ec2:DescribeSpotPriceHistory), C(ec2:DescribeVolumes) and the same."
  - RV(equivalents) compares what was paid for hours of Spot and On-Demand Instances on shared hardware with the list price of Linux On-Demand of
    today. What Savings Plans or Reserved Instances cover is in neither side, nor are credits, refunds and taxes. All hours count,
    those of an instance that stood beside the one it replaces as well.
  - RV(rows) add up to RV(total_usd), and so do all RV(totals), each to the last decimal.
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
- name: See what this month has cost, by application, service and purchase option
  spot.platform.cost_info:
    environment: production
  register: costs

- name: See half a year by application, for at most five cents
  spot.platform.cost_info:
    start: "2026-01-01"
    end: "2026-07-01"
    granularity: month
    by: [app]
    max_usd: 0.05

- name: See what the month's instances would have cost On-Demand
  spot.platform.cost_info:
    environment: production
    by: [app]
    equivalents: true
  register: costs

- name: Show what each application saved
  ansible.builtin.debug:
    msg: "{{ costs.equivalents.apps | map(attribute='saved_usd') }}"
  when: costs.equivalents is not none
"""

RETURN = r"""
rows:
  description: The costs. What was not asked for in O(by) is null.
  returned: always
  type: list
  elements: dict
  contains:
    day:
      description: The day, or the first day of the month.
      type: str
      sample: "2026-01-31"
    app:
      description: The application, empty for what has no tag.
      type: str
      sample: web
    service:
      description: The service, as Cost Explorer calls it.
      type: str
      sample: Amazon Elastic Compute Cloud - Compute
    region:
      description: The region.
      type: str
      sample: us-east-1
    purchase:
      description: The purchase option, as Cost Explorer calls it.
      type: str
      sample: Spot Instances
    usd:
      description: USD.
      type: float
      sample: 12.345678
    basis:
      description: C(billed) or C(estimated).
      type: str
      sample: billed
total_usd:
  description: The sum of the rows.
  returned: always
  type: float
  sample: 345.678901
totals:
  description: The sums by each of O(by), and by C(day).
  returned: always
  type: dict
  sample: {app: {web: 300.678901, worker: 45.0}}
equivalents:
  description:
    - What the billed hours of instances would have cost On-Demand; null without O(equivalents), and where costs are estimated.
    - Those of C(rows) that are compared add up to C(paid_usd), C(on_demand_usd) and C(saved_usd), and so do C(apps), each to the last decimal.
  returned: always
  type: dict
  contains:
    rows:
      description: By day or month, application, region, instance type and lifecycle.
      type: list
      elements: dict
      contains:
        day:
          description: The day, or the first day of the month.
          type: str
          sample: "2026-01-31"
        app:
          description: The application, empty for what has no tag.
          type: str
          sample: web
        region:
          description: The region; null where its billing code is not known.
          type: str
          sample: us-east-1
        instance_type:
          description: The instance type.
          type: str
          sample: m5.large
        lifecycle:
          description: C(spot) or C(on_demand).
          type: str
          sample: spot
        hours:
          description: How long instances ran, in hours.
          type: float
          sample: 48.0
        paid_usd:
          description: What was paid for them.
          type: float
          sample: 1.92
        on_demand_usd:
          description: What the same hours cost On-Demand at list price; null where that is not known.
          type: float
          sample: 4.608
        saved_usd:
          description: The difference; null where it is not known.
          type: float
          sample: 2.688
        committed_usd:
          description: What the same hours cost at O(committed_rates); null where the type has no rate.
          type: float
          sample: 2.9
        left_out:
          description: Why the row is in none of the sums; null where it is in them.
          type: str
          sample: null
    apps:
      description: The sums of each application, with the keys of the sums below.
      type: list
      elements: dict
    spot_hours:
      description: Hours of Spot Instances.
      type: float
      sample: 48.0
    on_demand_hours:
      description: Hours of On-Demand Instances.
      type: float
      sample: 12.0
    paid_usd:
      description: What was paid for both.
      type: float
      sample: 3.072
    on_demand_usd:
      description: What all of it costs On-Demand.
      type: float
      sample: 5.76
    saved_usd:
      description: The difference.
      type: float
      sample: 2.688
    saved_percent:
      description: The saving in percent of C(on_demand_usd), to one place; null where there is nothing to compare.
      type: float
      sample: 46.7
    committed_usd:
      description: What all of it costs at O(committed_rates); null where a type that ran has no rate.
      type: float
      sample: 3.6
    left_out_usd:
      description: What was paid for hours of instances whose price On-Demand is not known, which is in neither side.
      type: float
      sample: 0.0
    other_usd:
      description: What else the service has cost, such as traffic, dedicated hardware and unused capacity reservations.
      type: float
      sample: 0.5
    start:
      description: The first day.
      type: str
      sample: "2026-01-01"
    end:
      description: The first day that does not count any more.
      type: str
      sample: "2026-02-01"
    paid_basis:
      description: What C(paid_usd) is, C(billed).
      type: str
      sample: billed
    on_demand_basis:
      description: What C(on_demand_usd) is, C(list price).
      type: str
      sample: list price
period:
  description: The period, C(start) and C(end), and C(open), those of its days or months whose figures may still change.
  returned: always
  type: dict
  sample: {start: "2026-01-01", end: "2026-02-01", open: []}
basis:
  description: C(billed) or C(estimated).
  returned: always
  type: str
  sample: billed
reason:
  description: Why it is estimated, and from what; null if it is billed.
  returned: always
  type: str
metric:
  description: Which costs these are.
  returned: always
  type: str
  sample: UnblendedCost
api_requests:
  description: The requests that were made of Cost Explorer, each page counted.
  returned: always
  type: int
  sample: 3
api_cost_usd:
  description: What they cost.
  returned: always
  type: float
  sample: 0.03
cached_requests:
  description: The requests that the cache spared.
  returned: always
  type: int
  sample: 0
notes:
  description: What is to be known of the figures, such as a tag that is not activated. Each is a warning as well.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.aws.cost_explorer import Purse
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.costs import ARGUMENTS, answer


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    purse = Purse(0)
    try:
        result = answer(module, purse)
    except FAILURES as failure:
        spent = {"api_requests": purse.asked, "api_cost_usd": purse.usd, "cached_requests": purse.cached}
        module.fail_json(msg=message(failure), rows=[], **spent)
    for text in result["notes"]:
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
