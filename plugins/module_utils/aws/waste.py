# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for waste in several regions side by side; what cannot be read in one keeps nothing else from being found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws import volumes
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import describe_target_groups
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances, describe_target_health
from ansible_collections.spot.platform.plugins.module_utils.aws.market import PRICING_REGION, on_demand_prices
from ansible_collections.spot.platform.plugins.module_utils.engine import waste as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.waste import Finding

QUERIES = 500
"""GetMetricData takes at most this many queries in one call."""
TAGGED = 20
"""DescribeTags of load balancers takes at most this many in one call."""
MEMBER = ("aws:autoscaling:groupName", tags.GROUP, "aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id")
"""Tags of instances whose number and type a group or fleet decides on."""
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """``environment``, ``app``: only what carries these tags, if given. The rest: see the options of ``waste_info``."""

    kinds: tuple[str, ...]
    environment: str | None
    app: str | None
    volume_days: float
    snapshot_days: float
    cpu_percent: float
    cpu_days: int

    def wanted(self, labels: Labels) -> bool:
        """Whether something with these tags is asked for. What is to be deleted anyhow is not."""
        return (
            tags.DELETE_AFTER not in labels
            and self.environment in (None, labels.get(tags.ENVIRONMENT))
            and self.app in (None, labels.get(tags.APP))
        )

    @property
    def filters(self) -> dict[str, list[str]]:
        """The same as filters of EC2."""
        named = {tags.ENVIRONMENT: self.environment, tags.APP: self.app}
        return {f"tag:{name}": [value] for name, value in named.items() if value}


def look(clients: Clients, regions: Iterable[str], question: Question, cache: Cache) -> tuple[list[Finding], list[dict[str, str]]]:
    """The findings, and the errors: what could not be looked for, and where."""
    jobs = [(region, kinds, search) for region in regions for kinds, search in SEARCHES if set(kinds) & set(question.kinds)]
    found: list[Finding] = []
    errors: list[dict[str, str]] = []

    def do(job: tuple[str, tuple[str, ...], Search]) -> list[Finding]:
        region, kinds, search = job
        try:
            return [one for one in search(clients, region, question, cache) if one.kind in question.kinds]
        except AwsError as error:
            missing = ", ".join(kind for kind in kinds if kind in question.kinds)
            errors.append({"region": region, "missing": missing, "message": str(error)})
            return []

    for part in side_by_side(do, jobs):
        found += part
    return found, sorted(errors, key=lambda one: (one["region"], one["missing"]))


def _volumes(clients: Clients, region: str, question: Question, _cache: Cache) -> list[Finding]:
    shown, now = volumes.describe(clients.get("ec2", region), question.filters)
    found = []
    for one in shown:
        labels = boto3_tag_list_to_ansible_dict(one.get("Tags", []))
        free = labels.get(tags.FREE_SINCE, "")
        if question.wanted(labels):
            found.append(
                engine.Volume(
                    id=one["VolumeId"],
                    region=region,
                    app=labels.get(tags.APP),
                    kind=one["VolumeType"],
                    size=one["Size"],
                    iops=one.get("Iops"),
                    throughput=one.get("Throughput"),
                    attached=one["State"] != "available",
                    since=float(free) if free.isdigit() else one["CreateTime"].timestamp(),
                )
            )
    return engine.unattached_volumes(found, now, question.volume_days) + engine.old_generations(found)


def _addresses(clients: Clients, region: str, question: Question, _cache: Cache) -> list[Finding]:
    found = []
    for one in describe_addresses(clients.get("ec2", region)):
        labels = boto3_tag_list_to_ansible_dict(one.get("Tags", []))
        if question.wanted(labels) and "AllocationId" in one and not one.get("AssociationId"):
            found.append(engine.Address(one["AllocationId"], region, labels.get(tags.APP), one["PublicIp"]))
    return engine.unattached_addresses(found)


def _snapshots(clients: Clients, region: str, question: Question, _cache: Cache) -> list[Finding]:
    client = clients.get("ec2", region)
    shown, now = describe_snapshots(client)
    needed: set[str] = set()
    if shown:
        needed = {device.get("Ebs", {}).get("SnapshotId", "") for one in describe_images(client) for device in one.get("BlockDeviceMappings", ())}
    found = []
    for one in shown:
        labels = boto3_tag_list_to_ansible_dict(one.get("Tags", []))
        if question.wanted(labels):
            name = one["SnapshotId"]
            made = one["StartTime"].timestamp()
            found.append(engine.Snapshot(name, region, labels.get(tags.APP), one["VolumeSize"], made, name in needed))
    return engine.old_snapshots(found, now, question.snapshot_days)


def _balancers(clients: Clients, region: str, question: Question, _cache: Cache) -> list[Finding]:
    client = clients.get("elbv2", region)
    shown, now = list_balancers(client)
    labels: dict[str, Labels] = {}
    for part in chunks([one["LoadBalancerArn"] for one in shown], TAGGED):
        labels |= describe_tags(client, part)
    chosen = [one for one in shown if question.wanted(labels.get(one["LoadBalancerArn"], {}))]
    if not chosen:
        return []
    behind: dict[str, list[str]] = {}
    for group in describe_target_groups(client):
        for arn in group.get("LoadBalancerArns", ()):
            behind.setdefault(arn, []).append(group["TargetGroupArn"])

    def of_one(one: Mapping[str, Any]) -> engine.Balancer:
        arn = one["LoadBalancerArn"]
        targets = sum(len(describe_target_health(client, group)) for group in behind.get(arn, ()))
        answers = not targets and answers_itself(client, arn)
        app, made = labels.get(arn, {}).get(tags.APP), one["CreatedTime"].timestamp()
        return engine.Balancer(arn, one["LoadBalancerName"], region, app, one["Type"], made, targets, answers)

    return engine.idle_balancers(side_by_side(of_one, chosen), now)


def _instances(clients: Clients, region: str, question: Question, cache: Cache) -> list[Finding]:
    filters = [{"Name": name, "Values": values} for name, values in question.filters.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    shown = [one for one in describe_instances(clients.get("ec2", region), filters) if not set(MEMBER) & set(one["tags"])]
    shown = [one for one in shown if question.wanted(one["tags"]) and groups.lifecycle_of(one) != "spot"]
    if not shown:
        return []
    end = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    used = cpu(clients.get("cloudwatch", region), [one["instance_id"] for one in shown], end - timedelta(days=question.cpu_days), end)
    on_demand = on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache)
    found = []
    for one in shown:
        hourly, peaks = used[one["instance_id"]]
        app = one["tags"].get(tags.APP)
        found.append(engine.Instance(one["instance_id"], region, app, one["instance_type"], hourly, max(peaks, default=100.0)))
    return engine.oversized_instances(found, on_demand, question.cpu_percent)


Search = Callable[[Clients, str, Question, Cache], list[Finding]]
SEARCHES: tuple[tuple[tuple[str, ...], Search], ...] = (
    ((engine.UNATTACHED_VOLUME, engine.OLD_GENERATION), _volumes),
    ((engine.UNATTACHED_ADDRESS,), _addresses),
    ((engine.OLD_SNAPSHOT,), _snapshots),
    ((engine.IDLE_BALANCER,), _balancers),
    ((engine.OVERSIZED,), _instances),
)


@Errors.common_error_handler("list the Elastic IP addresses")
def describe_addresses(client: Any) -> list[dict[str, Any]]:
    """DescribeAddresses, which has no pages."""
    return client.describe_addresses()["Addresses"]


@Errors.common_error_handler("list the snapshots")
def describe_snapshots(client: Any) -> tuple[list[dict[str, Any]], float]:
    """The account's own, and AWS's time."""
    found, now = [], time.time()
    for page in client.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 1000}):
        found += page["Snapshots"]
        now = groups.time_of(page).timestamp()
    return found, now


@Errors.common_error_handler("list the images")
def describe_images(client: Any) -> list[dict[str, Any]]:
    """The account's own."""
    return [one for page in client.get_paginator("describe_images").paginate(Owners=["self"]) for one in page["Images"]]


@Errors.common_error_handler("list the load balancers")
def list_balancers(client: Any) -> tuple[list[dict[str, Any]], float]:
    """All of them, and AWS's time."""
    found, now = [], time.time()
    for page in client.get_paginator("describe_load_balancers").paginate():
        found += page["LoadBalancers"]
        now = groups.time_of(page).timestamp()
    return found, now


@Errors.common_error_handler("read the tags of the load balancers")
def describe_tags(client: Any, arns: Sequence[str]) -> dict[str, Labels]:
    """By ARN."""
    found = client.describe_tags(ResourceArns=list(arns))["TagDescriptions"]
    return {one["ResourceArn"]: boto3_tag_list_to_ansible_dict(one["Tags"]) for one in found}


@Errors.common_error_handler("list the listeners")
def answers_itself(client: Any, arn: str) -> bool:
    """Whether a listener of a load balancer does anything but forward to a target group: it redirects, for example."""
    pages = client.get_paginator("describe_listeners").paginate(LoadBalancerArn=arn)
    return any(action["Type"] != "forward" for page in pages for one in page["Listeners"] for action in one.get("DefaultActions", ()))


@Errors.common_error_handler("read the CPU utilisation")
def cpu(client: Any, ids: Sequence[str], start: datetime, end: datetime) -> dict[str, tuple[list[float], list[float]]]:
    """By instance: the mean and the highest utilisation of each hour, in percent."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ids}
    wanted = [(name, statistic) for name in ids for statistic in ("Average", "Maximum")]
    for part in chunks(wanted, QUERIES):
        queries = [
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Dimensions": [{"Name": "InstanceId", "Value": name}]},
                    "Period": 3600,
                    "Stat": statistic,
                },
            }
            for number, (name, statistic) in enumerate(part)
        ]
        for page in client.get_paginator("get_metric_data").paginate(MetricDataQueries=queries, StartTime=start, EndTime=end):
            for result in page["MetricDataResults"]:
                name, statistic = part[int(result["Id"][1:])]
                found[name][statistic == "Maximum"].extend(result["Values"])
    return found
