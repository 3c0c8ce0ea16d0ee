#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform runs: fleets, capacity, cost."""

from __future__ import annotations

DOCUMENTATION = r"""
module: estate_info
version_added: 0.1.0
short_description: Show all that applications have, how it is, and what it serves and costs
description:
  - Lists the Auto Scaling group, EC2 Fleet or Spot Fleet of every application in every region, with what serves on Spot and
    on On-Demand, where it runs, what it costs at present, and what it has cost beside the same capacity On-Demand. While an
    application migrates, it has two of them.
  - With O(gather) also every instance and every other resource, by application, how it is, what is used of the account's quotas,
    and more.
  - Reads only. All services of all regions are asked side by side, and page by page. What cannot be read is named in
    RV(errors), with the region and the IAM action that is missing, and the rest is returned. The task fails only where
    O(gather) asks for more than V(fleets) and nothing at all could be read.
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
  gather:
    description:
      - What to return. V(fleets) takes some calls for each region, V(resources) one or two for each kind and region, and one more
        for each target group, queue, table, key and function of ours, and for each certificate that ends within 60 days.
      - V(service_accounts) reads IAM whole, and three calls for each user of ours with one key.
      - V(utilisation) returns RV(instances) with their utilisation. CloudWatch asks 0.01 USD for a thousand metrics, of which each
        instance has three, and up to five with the agent of CloudWatch.
    type: list
    elements: str
    choices: [fleets, instances, resources, certificates, service_accounts, quotas, utilisation]
    default: [fleets]
  kinds:
    description: Only resources of these kinds, with O(gather=resources). By default all.
    type: list
    elements: str
    choices: [address, bucket, certificate, database, file_system, fleet, function, group, image, instance, key, key_pair,
      launch_template, load_balancer, log_group, nat_gateway, queue, snapshot, spot_fleet, table, target_group, topic, volume]
    default: []
  all:
    description:
      - Whether to return what is not ours, too. Ours is what carries the tag C(spot.platform/environment).
      - RV(fleets) are always ours.
    type: bool
    default: false
  prometheus:
    description:
      - The Prometheus that tells of the utilisation of which CloudWatch does not, with O(gather=utilisation). It is asked for the
        metrics of node exporter, by its label C(instance_id).
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
        description: Seconds without an answer after which it is given up.
        type: float
        default: 5.0
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
  - "Required IAM actions: with O(gather) of V(instances) or V(resources) also C(sts:GetCallerIdentity), C(tag:GetResources),
    C(ec2:DescribeSpotFleetInstances), C(ec2:DescribeFleetInstances), C(ec2:DescribeInstanceStatus), C(ec2:DescribeImages),
    C(ec2:DescribeVolumes), C(ec2:DescribeSnapshots), C(ec2:DescribeAddresses), C(ec2:DescribeNatGateways),
    C(ec2:DescribeKeyPairs), C(ec2:DescribeLaunchTemplates), C(elasticloadbalancing:DescribeLoadBalancers),
    C(elasticloadbalancing:DescribeTargetGroups), C(elasticloadbalancing:DescribeTargetHealth), C(acm:ListCertificates),
    C(acm:DescribeCertificate), C(rds:DescribeDBInstances), C(dynamodb:ListTables), C(dynamodb:DescribeTable), C(sqs:ListQueues),
    C(sqs:GetQueueAttributes), C(sns:ListTopics), C(elasticfilesystem:DescribeFileSystems),
    C(lambda:ListFunctions), C(lambda:GetFunctionConfiguration), C(kms:ListKeys), C(kms:DescribeKey), C(logs:DescribeLogGroups),
    C(s3:ListAllMyBuckets)."
  - "Required IAM actions: with O(gather) of V(quotas) also C(servicequotas:ListServiceQuotas),
    C(servicequotas:ListAWSDefaultServiceQuotas). What is used of a quota counts all of the account, whatever O(apps) and
    O(environment) say."
  - "Required IAM actions: with O(gather) of V(service_accounts) also C(iam:GetAccountAuthorizationDetails), C(iam:ListAccessKeys),
    C(iam:GetAccessKeyLastUsed), C(iam:GetUser)."
  - "Required IAM actions: with O(gather) of V(utilisation) those of V(instances), and C(cloudwatch:GetMetricData),
    C(cloudwatch:ListMetrics)."
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

- name: See all that the shop has, and what is wrong with it
  spot.platform.estate_info:
    regions: [us-east-1, eu-west-1]
    apps: [shop]
    gather: [instances, resources, certificates]
  register: shop

- name: See which quotas are close to their end
  spot.platform.estate_info:
    regions: [us-east-1, eu-west-1]
    gather: [quotas]
  register: estate
  failed_when: estate.quotas | selectattr('health', 'ne', 'ok') | list

- name: Show it as a table
  ansible.builtin.debug:
    msg: "{{ estate | spot.platform.status_table }}"
"""

RETURN = r"""
fleets:
  description: The fleets, by application and region.
  returned: with V(fleets) in O(gather)
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
    override:
      description:
        - What M(spot.platform.capacity_override) set for some hours, null where nothing is in force - C(minimum), C(maximum) and
          C(on_demand_base), C(until) when, C(by) whom and for what C(reason), and all of it as C(summary).
      type: dict
      sample: {minimum: 12, until: "2026-01-31T23:59Z", by: alice, summary: "temporarily at least 12 vcpus, until 2026-01-31T23:59Z (alice)"}
    desired:
      description: The group's desired capacity, which is the target and the fallback.
      type: int
      sample: 14
    on_demand_base:
      description: The capacity that is always On-Demand, by the tags or for some hours.
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
instances:
  description:
    - The instances, by region and id, but for those that ended. C(utilisation) has 24 values of each of C(cpu), C(memory), C(disk)
      (the fullest one; all in percent) and C(network) (bytes a second, both ways), one for each of the last whole hours, null
      where it is not known; without V(utilisation) in O(gather) it is null.
  returned: with V(instances) or V(utilisation) in O(gather)
  type: list
  elements: dict
  sample:
    - id: i-0123456789abcdef0
      app: web
      environment: production
      region: us-east-1
      zone: us-east-1a
      type: m5.large
      lifecycle: spot
      state: running
      health: healthy
      health_reason: ""
      launched_at: "2026-01-31T08:00:00.000Z"
      price_per_hour: 0.0352
      private_ip: 10.80.0.12
      public_ip: 203.0.113.12
      key_name: web
      image_id: ami-0123456789abcdef0
      os_user: admin
      group: production-web
      utilisation:
resources:
  description: The resources, by kind, region, application and id.
  returned: with V(resources) in O(gather)
  type: list
  elements: dict
  contains:
    kind:
      description: One of O(kinds).
      type: str
      sample: volume
    id:
      description: What AWS knows it by in its region.
      type: str
      sample: vol-0123456789abcdef0
    name:
      description: Its tag C(Name), or the name that its service has for it.
      type: str
      sample: uploads
    arn:
      description: Its ARN; null where it is not known.
      type: str
      sample: arn:aws:ec2:us-east-1:123456789012:volume/vol-0123456789abcdef0
    app:
      description: The application, by its tag.
      type: str
      sample: shop
    environment:
      description: The environment, by its tag.
      type: str
      sample: production
    region:
      description: The region.
      type: str
      sample: us-east-1
    zone:
      description: The zone, of what is in one.
      type: str
      sample: us-east-1a
    state:
      description: Its state, as its service names it.
      type: str
      sample: in-use
    health:
      description: V(ok), V(warning), V(problem) or V(unknown).
      type: str
      sample: ok
    note:
      description: Why it is not V(ok).
      type: str
      sample: is attached to no instance
    created_at:
      description: When it was made, RFC 3339.
      type: str
      sample: "2026-01-31T08:00:00.000Z"
    usd_per_month:
      description: What it costs in 730 hours; of an instance that runs, with V(instances) in O(gather), else null.
      type: float
      sample: 25.7
    details:
      description: What else there is to know of its kind.
      type: dict
      sample: {size_gib: 100, type: gp3}
by_app:
  description: How many resources of each kind each application has, how they are, and in which regions.
  returned: with V(resources) in O(gather)
  type: list
  elements: dict
  sample:
    - app: shop
      regions: [us-east-1]
      kinds: {instance: 4, volume: 6}
      health: {warning: 1, ok: 9}
certificates:
  description: The certificates of ACM, what expires first at the top.
  returned: with V(certificates) in O(gather)
  type: list
  elements: dict
  sample:
    - name: shop.example.com
      id: arn:aws:acm:us-east-1:123456789012:certificate/0f5a2d3c
      region: us-east-1
      app: shop
      environment: production
      expires_at: "2026-02-28T12:00:00.000Z"
      days_left: 28.2
      in_use: true
      renewal: PENDING_VALIDATION
      state: ISSUED
      health: problem
      note: "its renewal waits for validation, 28 days are left: check its DNS records"
service_accounts:
  description: The users, roles and instance profiles of IAM that are ours, those to look at first at the top. Roles that AWS makes for
    its services are left out.
  returned: with V(service_accounts) in O(gather)
  type: list
  elements: dict
  contains:
    kind:
      description: V(user), V(role) or V(instance_profile), which has the role's figures.
      type: str
      sample: role
    name:
      description: Its name.
      type: str
      sample: production-web
    arn:
      description: Its ARN.
      type: str
      sample: arn:aws:iam::123456789012:role/production-web
    app:
      description: The application, by its tag.
      type: str
      sample: web
    environment:
      description: The environment, by its tag.
      type: str
      sample: production
    created_at:
      description: When it was made, RFC 3339.
      type: str
      sample: "2026-01-31T08:00:00.000Z"
    last_used_at:
      description: When it was last used, RFC 3339; null if AWS knows of no time in the last 400 days.
      type: str
      sample: "2026-01-31T12:00:00.000Z"
    last_used_region:
      description: Where that was.
      type: str
      sample: us-east-1
    keys:
      description: The access keys of a user, with C(id), C(age_days), C(last_used_at) and C(active).
      type: list
      elements: dict
      sample: [{id: AKIAIOSFODNN7EXAMPLE, age_days: 120.5, last_used_at: "2026-01-31T12:00:00.000Z", active: true}]
    findings:
      description: What is wrong with it, and what to do.
      type: list
      elements: str
      sample: ["the inline policy deploy allows every action of iam, with which anything can be gained: list those that are needed"]
    severity:
      description: The worst of it, V(ok), V(warning) or V(problem).
      type: str
      sample: problem
quotas:
  description: What is used of the account's quotas, those of Spot Instances first, then by share.
  returned: with V(quotas) in O(gather)
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: us-east-1
    service:
      description: Its code in Service Quotas.
      type: str
      sample: ec2
    name:
      description: What it limits.
      type: str
      sample: All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests
    code:
      description: The quota's code.
      type: str
      sample: L-34B43A08
    limit:
      description: What is allowed, in vCPUs, TiB or pieces, as the name says.
      type: float
      sample: 640
    used:
      description: What is used of it.
      type: float
      sample: 548
    share:
      description: The part that is used, 1 for all of it; null where nothing is allowed and something is used.
      type: float
      sample: 0.8562
    health:
      description: V(ok), V(warning) from 80 percent on, V(problem) where nothing is left.
      type: str
      sample: warning
    note:
      description: What is to be said of it, also that On-Demand could not stand in for all Spot.
      type: str
      sample: "86% is in use: ask for more in Service Quotas (L-34B43A08 in us-east-1)"
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
    what:
      description: What is missing.
      type: str
      sample: volume
    action:
      description: The IAM action that is missing; null where it is not that.
      type: str
      sample: ec2:DescribeVolumes
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
from ansible_collections.spot.platform.plugins.module_utils import estate
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.arguments import PROMETHEUS
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.estate import Question, observe
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import NAMES
from ansible_collections.spot.platform.plugins.module_utils.aws.utilisation import prometheus_of
from ansible_collections.spot.platform.plugins.module_utils.engine import costs
from ansible_collections.spot.platform.plugins.module_utils.engine.estate import unread

ARGUMENTS = {
    "regions": {"type": "list", "elements": "str"},
    "apps": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "str"},
    "gather": {"type": "list", "elements": "str", "choices": list(estate.PARTS), "default": ["fleets"]},
    "kinds": {"type": "list", "elements": "str", "choices": list(NAMES), "default": []},
    "all": {"type": "bool", "default": False},
    "prometheus": PROMETHEUS,
    "hours": {"type": "int", "default": 24},
    "committed_rates": {"type": "dict", "default": {}},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    """The module's result. Raises ``ValueError`` for what means nothing."""
    given, regions = module.params, regions_of(module)
    rates = costs.rates_of(given["committed_rates"])
    clients, cache = Clients.of_module(module), Cache(given["cache_dir"], given["endpoint_url"])
    result: dict[str, Any] = {"errors": [], "generated_at": rfc3339(datetime.now(timezone.utc))}
    if estate.FLEETS in given["gather"]:
        fleets, failed = observe(clients, regions, Question(given["apps"], given["environment"], given["hours"], rates), cache)
        result["fleets"] = fleets
        result["errors"] += [{"what": "fleets", "action": None, **error} for error in failed]
        result["generated_at"] = max((fleet["cost"]["until"] for fleet in fleets), default=result["generated_at"])
    further = set(given["gather"]) - {estate.FLEETS}
    if further:
        prometheus = prometheus_of(given["prometheus"])
        question = estate.Question(regions, further, given["apps"], given["environment"], given["kinds"], given["all"], prometheus)
        parts = estate.gather(clients, question, cache)
        result |= parts.result
        result["errors"] += parts.errors
        if not parts.read and not result.get("fleets"):
            module.fail_json(msg=unread(result["errors"]), errors=result["errors"])
    if cache.problem:
        module.warn(cache.problem)
    return result


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    for error in result["errors"]:
        module.warn(f"{error['region']}: {error['message']}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
