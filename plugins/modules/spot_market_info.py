#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spot_market_info
version_added: 0.1.0
short_description: List what the Spot market offers
description:
  - Lists the offers of the EC2 Spot market, one for each pool of region, Availability Zone and instance type, with the
    Spot and the On-Demand price of Linux and what is known of the risk of interruption.
  - Reads only. Regions are asked side by side.
  - Instance types, zones that offer them and On-Demand prices are kept in O(cache_dir) for a day, placement scores for
    an hour, since AWS rations them.
author:
  - The spot.platform developers (@spot-platform)
options:
  regions:
    description:
      - The regions to look at.
      - By default the one of O(region).
    type: list
    elements: str
  instance_types:
    description:
      - Only these instance types. A type that a region does not have is left out there.
    type: list
    elements: str
  requirements:
    description:
      - Only instance types that meet all of these.
      - Without this option, and without O(instance_types), all types are listed.
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
        description: Whether types that earn CPU credits, as those of the T families, may be or must be among them.
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
            description: None of these families. Wins over O(requirements.families.include).
            type: list
            elements: str
      current_generation:
        description: Only types of the current generation. With V(false) earlier ones too.
        type: bool
        default: true
  placement_score:
    description:
      - Ask AWS how likely it is to get this much Spot capacity in each zone, using all the wanted types together.
      - AWS answers only a limited number of different questions a day and always scores fewer than three types low.
    type: dict
    suboptions:
      target:
        description: The capacity to score, in O(placement_score.unit).
        type: int
        required: true
      unit:
        description: What O(placement_score.target) counts.
        type: str
        choices: [vcpus, instances]
        default: vcpus
  interruption_bands:
    description:
      - Path or URL of a file that says how often instances were interrupted, in the form of the feed of the AWS Spot
        Instance Advisor, U(https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json). AWS has no API for it.
      - Without it, RV(offers[].interruption_band) is null.
    type: str
  history_days:
    description:
      - Days of price history for RV(offers[].typical_spot_price), at most 90.
      - With V(0) only the price of now is read, which is much faster for many types.
    type: int
    default: 0
  cache_dir:
    description: Where answers are kept that change slowly or are rationed.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(ec2:DescribeAvailabilityZones), C(ec2:DescribeInstanceTypeOfferings),
    C(ec2:DescribeInstanceTypes), C(ec2:DescribeSpotPriceHistory), C(pricing:GetProducts), and
    C(ec2:GetSpotPlacementScores) where O(placement_score) is given."
  - On-Demand prices come from the Pricing API in us-east-1, in USD; it has none for the regions of China and GovCloud.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: List what a web server could run on in two regions
  spot.platform.spot_market_info:
    regions: [us-east-1, eu-west-1]
    requirements:
      vcpus: {min: 2, max: 8}
      memory_mib: {min: 4096}
      architectures: [x86_64, arm64]
  register: market

- name: Show the ten cheapest per vCPU
  ansible.builtin.debug:
    msg: "{{ market.offers | map(attribute='instance_type') | unique | list | first(10) }}"

- name: Compare three types, with the chance of getting 40 vCPUs of them
  spot.platform.spot_market_info:
    region: us-east-1
    instance_types: [m5.large, m5a.large, c5.large]
    placement_score:
      target: 40
    interruption_bands: https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json
    history_days: 7
"""

RETURN = r"""
offers:
  description:
    - The pools, by region, then Spot price per vCPU (those without one last), instance type and zone.
    - Empty if there are none.
  returned: success
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: us-east-1
    zone:
      description: Name of the Availability Zone in this account.
      type: str
      sample: us-east-1a
    zone_id:
      description: Identifier of the Availability Zone, the same in all accounts.
      type: str
      sample: use1-az4
    instance_type:
      description: The instance type.
      type: str
      sample: m5.large
    vcpus:
      description: Number of vCPUs.
      type: int
      sample: 2
    memory_mib:
      description: Memory in MiB.
      type: int
      sample: 8192
    architecture:
      description: Architecture of the processor.
      type: str
      sample: x86_64
    spot_price:
      description: Spot price of now, USD an hour. Null where the pool has none.
      type: float
      sample: 0.0335
    on_demand_price:
      description: On-Demand price, USD an hour. Null where it is not known.
      type: float
      sample: 0.096
    savings_percent:
      description: What Spot saves of the On-Demand price, in percent.
      type: float
      sample: 65.1
    typical_spot_price:
      description: Mean of the Spot price over O(history_days), weighted by time, USD an hour. Null without history.
      type: float
      sample: 0.0329
    interruption_band:
      description:
        - How often instances of the type were interrupted in the last month, from V(0) for less than 5 % over V(1) for
          5 to 10 %, V(2) for 10 to 15 % and V(3) for 15 to 20 % to V(4) for more than 20 %.
        - Null without O(interruption_bands).
      type: int
      sample: 1
    placement_score:
      description:
        - From 1 to 10, how likely it is to get the capacity of O(placement_score) in the zone with all the wanted types
          together. Null unless asked for, and in zones for which AWS gives none.
      type: int
      sample: 9
    price_time:
      description: Since when the Spot price holds, RFC 3339, UTC.
      type: str
      sample: "2026-01-31T04:12:09.000Z"
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.arguments import OBSERVATION, REQUIREMENTS
from ansible_collections.spot.platform.plugins.module_utils.aws import market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.engine.market import ARCHITECTURES, Offer, Selection

ARGUMENTS = {
    "regions": {"type": "list", "elements": "str"},
    "instance_types": {"type": "list", "elements": "str"},
    "requirements": REQUIREMENTS,
    "placement_score": {
        "type": "dict",
        "options": {
            "target": {"type": "int", "required": True},
            "unit": {"type": "str", "choices": ["vcpus", "instances"], "default": "vcpus"},
        },
    },
    **OBSERVATION,
    "history_days": {"type": "int", "default": 0},
}


def observe(module: AnsibleAWSModule) -> list[Offer]:
    """The offers that the options ask for."""
    options = module.params
    clients = Clients.of_module(module)
    regions = options["regions"] or ([clients.region] if clients.region else [])
    if not regions:
        raise ValueError("there is no region to look at; give the option regions or region")
    if not 0 <= options["history_days"] <= 90:
        raise ValueError(f"history_days is {options['history_days']}: AWS keeps 90 days, so it must be 0 to 90")
    cache = Cache(options["cache_dir"], market.endpoint(clients.get("ec2", regions[0])))
    selection = Selection.of(options["instance_types"], options["requirements"])
    score = options["placement_score"] or {"target": None, "unit": "vcpus"}
    if score["target"] is not None and score["target"] < 1:
        raise ValueError(f"placement_score.target is {score['target']}: it must be 1 or more")
    question = market.Question(
        wanted=selection.__contains__,
        names=selection.names,
        history_days=options["history_days"],
        score_target=score["target"],
        score_unit=score["unit"],
    )
    bands = options["interruption_bands"] and market.interruption_bands(options["interruption_bands"], cache)
    found = market.offers(clients, sorted(set(regions)), question, cache, bands)
    if cache.problem:
        module.warn(cache.problem)
    return found


def as_dict(offer: Offer) -> dict[str, Any]:
    """An offer as the module returns it."""
    kind = offer.instance_type
    return {
        "region": offer.region,
        "zone": offer.zone,
        "zone_id": offer.zone_id,
        "instance_type": kind.name,
        "vcpus": kind.vcpus,
        "memory_mib": kind.memory_mib,
        "architecture": next((name for name in ARCHITECTURES if name in kind.architectures), kind.architectures[0]),
        "spot_price": offer.spot_price,
        "on_demand_price": offer.on_demand_price,
        "savings_percent": offer.savings_percent,
        "typical_spot_price": offer.typical_spot_price and round(offer.typical_spot_price, 6),
        "interruption_band": offer.interruption_band,
        "placement_score": offer.placement_score,
        "price_time": offer.price_time,
    }


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        found = observe(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure))
    module.exit_json(changed=False, offers=[as_dict(offer) for offer in found])


if __name__ == "__main__":
    main()
