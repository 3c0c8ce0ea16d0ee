#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay what groups saw of the Spot market, or any trace, under other policies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_simulation_info
version_added: 0.1.0
short_description: Show what another profile would have cost and served
description:
  - Replays the Spot market under the platform's policy in each profile, and for comparison under a static mix, a third
    On-Demand and no fallback, as an Auto Scaling group by itself does it, and all On-Demand. What is replayed is what the
    groups of applications saw in the last days, or a folder of traces.
  - Reads only. Regions and groups are asked side by side; then each policy takes some seconds for a month in ticks of five
    minutes.
  - A group's history is a pool for each of its zones and instance types. Its Spot prices are known. Its room is known where
    the group tells of it. A pool that gave an instance has room; one that refused an instance, or took one away, has
    none for more, until it, or its zone where the zone as a whole refused, gives one again. Until then it holds what the
    group still had there, as far as EC2 remembers it, and no more, although a refusal need not mean that.
  - B(Nobody knows whether a pool had room that the group did not ask.) It is taken as open while it has a price, which is
    often too good to be true. RV(observed[].pools[].observed_share) says for each pool how much of the time is known.
  - EC2 forgets an instance about an hour after it ended. Of such a one only the zone is known, so what became of it counts
    for all of the group's types there, and it is taken for a Spot Instance that was interrupted if the group found it
    terminated or stopped. O(activity_file) tells more.
  - The target is the same throughout. It is counted in the group's unit, and so are launches; with V(vcpus), a unit of a
    pool costs the price of an instance over its vCPUs.
author:
  - The spot.platform developers (@spot-platform)
options:
  traces:
    description:
      - A folder with a trace for each pool, C(*.json) of the form
        V({"metadata":{"gap_seconds":300},"data":[1,0],"prices":[0.03,0.04]}), to replay instead of the history of groups.
      - C(data) is the room at each tick, numbers of instances, or 0 and 1 in all of them for closed and open without limit;
        C(prices), USD an hour, may be left out.
    type: path
  regions:
    description: The regions of the groups; by default that of the task.
    type: list
    elements: str
  groups:
    description: Names of Auto Scaling groups. Without it, all that the platform manages, narrowed by the next two options.
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
  days:
    description:
      - How many days of history to replay; less where the group is younger.
      - At most 42, since Auto Scaling keeps activities for six weeks.
    type: int
    default: 30
  activity_file:
    description:
      - The file that the callback P(spot.platform.activity#callback) writes. Give it if you have it.
      - Its events tell which pools gave, refused and took instances. What M(spot.platform.spot_autoscale) launches itself, and
        what is refused to it, is in no scaling activity, so without the file a group that it steers looks as if it had never
        been refused.
      - They tell also when On-Demand stood in for Spot. What came into the group meanwhile, and EC2 has forgotten, counts as
        Spot that was to be had only from the time that On-Demand was given back.
    type: path
  profiles:
    description: The profiles to replay.
    type: list
    elements: str
    choices: [cost, balanced, availability]
    default: [cost, balanced, availability]
  target:
    description:
      - The capacity to serve.
      - By default what the group's tag C(spot.platform/target) says, in the group's unit, and 3 instances with O(traces).
    type: int
  od_ratio:
    description:
      - The On-Demand price in multiples of the mean Spot price.
      - By default that of the cheapest of the group's types for a unit, over the mean of its Spot prices; 3 where the
        On-Demand price is not known, and with O(traces).
    type: float
  cold_start:
    description: How many seconds after its launch an instance serves.
    type: float
    default: 120
  notice:
    description: How many seconds of notice an instance is given before it is taken away.
    type: int
    choices: [0, 120]
    default: 120
  tick_seconds:
    description:
      - How often the policy takes a step. A pool that was without room in a part of a tick is without for all of it.
      - By default 300 for the history of groups, and what the files say for O(traces).
    type: float
  prices:
    description:
      - Whether Spot is billed at its prices over time; otherwise all pools cost the mean of them.
      - By default it is where prices are known.
    type: bool
  cache_dir:
    description: Where the On-Demand prices are kept for a day.
    type: path
    default: ~/.cache/spot.platform
notes:
  - "Required IAM actions: C(autoscaling:DescribeAutoScalingGroups), C(autoscaling:DescribeScalingActivities),
    C(ec2:DescribeInstances), C(ec2:DescribeSpotPriceHistory), and C(pricing:GetProducts) unless O(od_ratio) is given. None
    with O(traces)."
  - The files of O(traces) and O(activity_file) are read on the host that runs the module.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: See what the last 30 days would have been under each profile
  spot.platform.capacity_simulation_info:
    regions: [us-east-1, eu-west-1]
    apps: [web]
    environment: production
    activity_file: /var/log/spot-platform/activity.jsonl
  register: simulation

- name: Show it
  ansible.builtin.debug:
    msg: "{{ simulation.summary }}"

- name: Replay recorded traces without notice, for a target of twelve
  spot.platform.capacity_simulation_info:
    traces: traces/v100-2month
    profiles: [availability]
    target: 12
    notice: 0
"""

RETURN = r"""
rows:
  description: What each policy would have cost and served, by trace, then cost.
  returned: success
  type: list
  elements: dict
  contains:
    trace:
      description: The group as C(<group>@<region>), or the name of the folder of traces.
      type: str
      sample: production-web@us-east-1
    policy:
      description: V(spot.platform), V(static-mix) or V(all-on-demand).
      type: str
      sample: spot.platform
    profile:
      description: The profile of V(spot.platform). Null for the others.
      type: str
      sample: balanced
    target:
      description: The capacity to serve.
      type: int
      sample: 8
    notice:
      description: As O(notice).
      type: int
      sample: 120
    availability:
      description: The share of the ticks in which the whole target served. The first cold start of the fleet does not count.
      type: float
      sample: 0.9998
    service:
      description: The share of the target that served, over all those ticks.
      type: float
      sample: 0.99995
    cost:
      description: The cost as a share of what the target costs On-Demand.
      type: float
      sample: 0.41
    loss_3:
      description: Cost and what was not served, at 3 On-Demand hours for an hour short of one unit.
      type: float
      sample: 0.41015
    loss_10:
      description: The same at 10.
      type: float
      sample: 0.4105
    loss_30:
      description: The same at 30.
      type: float
      sample: 0.4115
    launches_per_day:
      description: The units launched, a day.
      type: float
      sample: 9.4
    longest_shortfall:
      description: For how many seconds on end less than the target served, at most.
      type: float
      sample: 300
    cost_usd_per_hour:
      description: The cost in USD an hour. Null where no price is known.
      type: float
      sample: 0.1574
summary:
  description: What the rows say, and how well the history is known, in sentences.
  returned: success
  type: list
  elements: str
  sample:
    - "production-web@us-east-1: all-on-demand would have cost 0.3840 USD an hour, 100.0% of the target On-Demand, and served
      the target of 8 throughout."
observed:
  description: What was replayed, by trace.
  returned: success
  type: list
  elements: dict
  contains:
    trace:
      description: As in RV(rows[].trace).
      type: str
      sample: production-web@us-east-1
    app:
      description: The application. Null with O(traces).
      type: str
      sample: web
    unit:
      description: What the target counts, V(vcpus) or V(instances).
      type: str
      sample: vcpus
    days:
      description: How many days were replayed.
      type: float
      sample: 30.0
    od_ratio:
      description: The On-Demand price in multiples of the mean Spot price.
      type: float
      sample: 2.74
    observed_share:
      description: The mean of RV(observed[].pools[].observed_share).
      type: float
      sample: 0.31
    pools:
      description: The pools, by name.
      type: list
      elements: dict
      contains:
        pool:
          description: The pool's name, C(<zone>/<type>) in the history of a group.
          type: str
          sample: us-east-1a/m5.large
        observed_share:
          description:
            - The share of the time in which it is known whether the pool had room. It held an instance of the group, or was
              between the first and the last refusal of a spell. V(1) with O(traces).
          type: float
          sample: 0.62
        open_share:
          description: The share of the time in which it is taken as having room.
          type: float
          sample: 0.98
        spot_price:
          description: The mean price of a unit, USD an hour. Null where it is not known.
          type: float
          sample: 0.0175
    remarks:
      description: How well it is known, in sentences.
      type: list
      elements: str
      sample: ["production-web@us-east-1: its On-Demand price is not known and taken as 3 times the Spot price."]
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils import tags, traces
from ansible_collections.spot.platform.plugins.module_utils.activity import events_in
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, history, market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.engine import comparison, simulation
from ansible_collections.spot.platform.plugins.module_utils.engine.history import Pool, pool_of_trace, replayable
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import WORTH

# What is taken where neither the options nor what is observed says more.
OD_RATIO = 3.0
TICK_SECONDS = 300.0
TARGET = 3


@dataclass(frozen=True)
class Market:
    """What is replayed, and what for."""

    trace: simulation.Trace
    pools: list[Pool]
    target: int
    od_ratio: float
    app: str | None = None
    unit: str = "instances"
    remarks: tuple[str, ...] = ()


def check(options: dict[str, Any]) -> None:
    """Raise ``ValueError`` for a number that cannot be."""
    if not 1 <= options["days"] <= 42:
        raise ValueError(
            f"days is {options['days']}: it must be 1 to 42, since Auto Scaling keeps activities six weeks"
        )
    for name in ("target", "od_ratio", "tick_seconds"):
        if options[name] is not None and options[name] <= 0:
            raise ValueError(f"{name} is {options[name]:g}: it must be above 0")
    if options["cold_start"] < 0:
        raise ValueError(f"cold_start is {options['cold_start']:g}: it must be 0 or more")
    if not options["profiles"]:
        raise ValueError(f"profiles is empty: name at least one of {', '.join(WORTH)}")


def of_traces(options: dict[str, Any]) -> Market:
    """The market of the folder of traces."""
    trace = traces.load(Path(options["traces"]), options["tick_seconds"])
    if options["prices"] and trace.mean_price is None:
        raise ValueError(f"the traces in {options['traces']} have no prices: leave out prices")
    billed = trace.mean_price is not None if options["prices"] is None else options["prices"]
    pools = [pool_of_trace(trace, zone) for zone in trace.zones]
    return Market(replace(trace, billed=billed), pools, options["target"] or TARGET, options["od_ratio"] or OD_RATIO)


def groups_of(clients: Clients, options: dict[str, Any]) -> list[autoscaling.Group]:
    """The groups that the options name, by region and name; raises ``ValueError`` where one is not there."""
    regions = sorted(set(options["regions"] or ([clients.region] if clients.region else [])))
    if not regions:
        raise ValueError("there is no region to look at; give the option regions or region")
    names, apps, environment = options["groups"], options["apps"], options["environment"]
    parts = side_by_side(lambda region: autoscaling.groups(clients, region, names, apps, environment), regions)
    found = [group for part in parts for group in part]
    missing = sorted(set(names or ()) - {group.name for group in found})
    if missing:
        raise ValueError(f"the group {missing[0]} is not there in {', '.join(regions)}: correct groups or regions")
    where = f"in {', '.join(regions)}" + (f", environment {environment}" if environment else "")
    unknown = [] if names else sorted(set(apps) - {group.tags.get(tags.APP) for group in found})
    if unknown:
        raise ValueError(f"the application {unknown[0]} has no group {where}: onboard it first, or correct apps")
    if not found:
        raise ValueError(f"the platform manages no group {where}: onboard an application first, or name regions")
    return found


def of_groups(clients: Clients, options: dict[str, Any]) -> list[Market]:
    """The markets that the groups saw."""
    events = events_in(options["activity_file"]) if options["activity_file"] else []
    found = groups_of(clients, options)
    cache = Cache(options["cache_dir"], market.endpoint(clients.get("autoscaling", found[0].region)))
    on_demand: dict[str, dict[str, float]] = {}
    if options["od_ratio"] is None:
        pricing = clients.get("pricing", market.PRICING_REGION)
        on_demand = {
            region: market.on_demand_prices(pricing, region, cache) for region in {group.region for group in found}
        }
    return side_by_side(lambda group: of_group(clients, group, events, on_demand.get(group.region, {}), options), found)


def of_group(
    clients: Clients,
    group: autoscaling.Group,
    events: Iterable[dict[str, Any]],
    on_demand: dict[str, float],
    options: dict[str, Any],
) -> Market:
    """The market that a group saw. ``on_demand``: USD an hour by type."""
    target = options["target"] or group.number(tags.TARGET)
    seen = history.observe(clients, group, group.now - timedelta(days=options["days"]), events)
    trace, pools = replayable(seen, options["tick_seconds"] or TICK_SECONDS, options["prices"] is not False)
    known = [on_demand[kind] / weight for kind, weight in seen.weights.items() if kind in on_demand]
    ratio = options["od_ratio"] or (min(known) / trace.mean_price if known else OD_RATIO)
    days = len(trace) * trace.gap / 86400
    observed = sum(pool.observed for pool in pools) / len(pools)
    remarks = [
        f"{trace.name}: {days:.1f} days of {len(pools)} pools were replayed; whether they had room is known for "
        f"{observed:.1%} of the time, and a pool that was not asked is taken as open."
    ]
    if not known and options["od_ratio"] is None:
        remarks.append(
            f"{trace.name}: its On-Demand price is not known and taken as {OD_RATIO:g} times the Spot price."
        )
    return Market(
        trace, pools, target, ratio, group.tags.get(tags.APP), group.tags.get(tags.UNIT, "instances"), tuple(remarks)
    )


def result_of(markets: Iterable[Market], options: dict[str, Any]) -> dict[str, Any]:
    """Play all policies on the markets, and the module's result."""
    rows, summary, observed = [], [], []
    for each in markets:
        setting = comparison.Setting(each.target, each.od_ratio, options["cold_start"], options["notice"])
        played = comparison.rows(each.trace, setting, options["profiles"])
        rows += played
        summary += [*comparison.sentences(played), *each.remarks]
        observed.append(
            {
                "trace": each.trace.name,
                "app": each.app,
                "unit": each.unit,
                "days": round(len(each.trace) * each.trace.gap / 86400, 4),
                "od_ratio": round(each.od_ratio, 4),
                "observed_share": round(sum(pool.observed for pool in each.pools) / len(each.pools), 4),
                "pools": [
                    {
                        "pool": pool.name,
                        "observed_share": round(pool.observed, 4),
                        "open_share": round(pool.open, 4),
                        "spot_price": pool.price and round(pool.price, 6),
                    }
                    for pool in each.pools
                ],
                "remarks": list(each.remarks),
            }
        )
    return {"rows": rows, "summary": summary, "observed": observed}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "traces": {"type": "path"},
            "regions": {"type": "list", "elements": "str"},
            "groups": {"type": "list", "elements": "str"},
            "apps": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "str"},
            "days": {"type": "int", "default": 30},
            "activity_file": {"type": "path"},
            "profiles": {"type": "list", "elements": "str", "choices": list(WORTH), "default": list(WORTH)},
            "target": {"type": "int"},
            "od_ratio": {"type": "float"},
            "cold_start": {"type": "float", "default": 120},
            "notice": {"type": "int", "choices": [0, 120], "default": 120},
            "tick_seconds": {"type": "float"},
            "prices": {"type": "bool"},
            "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
        },
        mutually_exclusive=[("traces", "regions"), ("traces", "groups"), ("traces", "activity_file")],
        supports_check_mode=True,
    )
    options = module.params
    try:
        check(options)
        markets = [of_traces(options)] if options["traces"] else of_groups(Clients.of_module(module), options)
        result = result_of(markets, options)
    except FAILURES as failure:
        module.fail_json(msg=message(failure))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
