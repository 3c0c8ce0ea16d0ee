# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of resources that an estate has: how each is listed, what of it is kept, and how it is judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import IN_SERVICE
from ansible_collections.spot.platform.plugins.module_utils.engine import estate
from ansible_collections.spot.platform.plugins.module_utils.engine.quotas import vcpu_class

Item = Mapping[str, Any]
NUMBERS = frozenset({"messages", "in_flight"})
"""Details that SQS writes as texts."""
RENEWAL = 60 * estate.DAY
"""Seconds before its end at which ACM begins to renew a certificate; before that there is nothing to be told of it."""
Path = tuple[Any, ...]
"""Keys of mappings, and places in lists."""


def path(text: str) -> Path:
    """``Attachments.0.InstanceId`` as keys and places."""
    return tuple(int(part) if part.isdigit() else part for part in text.split(".") if part)


def take(item: Any, where: Path) -> Any:
    """What is at ``where`` in nested mappings and lists; ``None`` where there is nothing."""
    for step in where:
        try:
            item = item[step]
        except (KeyError, IndexError, TypeError):
            return None
    return item


@dataclass(frozen=True)
class Detail:
    """A further call for each resource of ours for which it is ``needed``: ``argument`` takes the item's ``of``; ``key`` of the
    answer is put into the item as ``into`` (the whole of it, if empty)."""

    operation: str
    argument: str
    of: str
    key: str
    into: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needed: Callable[[Item], bool] = lambda _item: True


INLINE, FILTER, TAGGING = "inline", "filter", "tagging"
"""How one learns whose a resource is: its tags come with it; EC2 can be asked for those alone that carry a tag; or the
Resource Groups Tagging API says so."""


@dataclass(frozen=True)
class Kind:
    """``operation`` of boto3's ``service`` gives pages with ``key``; items that are texts become ``{"name": text}``.

    ``id``, ``name``, ``state``, ``zone``, ``created`` and the values of ``details`` are paths in an item, ``arn`` too, or a
    template with ``{region}``, ``{account}`` and ``{id}``. ``type``: what the Tagging API calls it. ``use``: what an item takes of a
    quota, see `quotas`. ``quick``: there are thousands, so botocore's parser is passed by; times then are texts.
    """

    name: str
    service: str
    operation: str
    key: str
    id: str
    arn: str
    judge: Callable[[Item], estate.Verdict]
    action: str
    label: str = "Name"
    state: str = ""
    zone: str = ""
    created: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    page: int | None = None
    owned: str = TAGGING
    filter: str = "Filters"
    type: str = ""
    detail: Detail | None = None
    quick: bool = False
    use: Callable[[Item], tuple[str, float]] | None = None
    paths: Mapping[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        named = {"id": self.id, "label": self.label, "state": self.state, "zone": self.zone, "created": self.created}
        object.__setattr__(self, "paths", {name: path(text) for name, text in {**named, **self.details}.items()})

    def row(self, item: Item, region: str, tags: Mapping[str, str], arn: str | None) -> dict[str, Any]:
        """The small row that is kept of an item."""
        health, note = self.judge(item)
        name = tags.get("Name") or (take(item, self.paths["label"]) if self.label else None)
        return {
            "kind": self.name,
            "id": take(item, self.paths["id"]),
            "name": name.rpartition(":")[2] if name and name.startswith("arn:") else name or None,
            "arn": arn,
            "app": tags.get("spot.platform/app"),
            "environment": tags.get("spot.platform/environment"),
            "region": region,
            "zone": take(item, self.paths["zone"]) if self.zone else None,
            "state": take(item, self.paths["state"]) if self.state else None,
            "health": health,
            "note": note,
            "created_at": moment(take(item, self.paths["created"])) if self.created else None,
            "usd_per_month": None,
            "details": {name: plain(take(item, self.paths[name]), name in NUMBERS) for name in self.details},
        }

    def arn_of(self, item: Item, region: str, account: str | None) -> str | None:
        """Its ARN; ``None`` where AWS does not say it and the account is not known."""
        if "{" not in self.arn:
            found = take(item, path(self.arn))
            return found.removesuffix(":*") if isinstance(found, str) else None
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        names = {"partition": partition, "region": region, "account": account, "id": take(item, self.paths["id"])}
        return self.arn.format(**names) if account or "{account}" not in self.arn else None


def moment(value: Any) -> str | None:
    """When it was made, RFC 3339 in UTC; AWS writes times, texts and milliseconds."""
    if isinstance(value, datetime):
        return value.astimezone(_UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, (int, float)):
        return moment(datetime.fromtimestamp(value / 1000 if value > 1e11 else value, _UTC))
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return moment(float(value))
    if isinstance(value, str):
        try:
            return moment(datetime.fromisoformat(value.replace("Z", "+00:00").replace("+0000", "+00:00")))
        except ValueError:
            return None
    return None


def plain(value: Any, number: bool = False) -> Any:
    """``value`` as JSON has it; ``number``: one that a service writes as a text."""
    if number and isinstance(value, str) and value.isdigit():
        return int(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def _by(
    where: str, good: tuple[str, ...], bad: tuple[str, ...] = (), message: str = ""
) -> Callable[[Item], estate.Verdict]:
    state, why = path(where), path(message)
    return lambda item: estate.of_state(take(item, state), good, bad, take(item, why) if why else None)


def _fine(_item: Item) -> estate.Verdict:
    return estate.FINE


def _group(item: Item) -> estate.Verdict:
    members = [one for one in item.get("Instances", ()) if one["LifecycleState"] == IN_SERVICE]
    served = sum(int(one.get("WeightedCapacity") or 1) for one in members if one["HealthStatus"].lower() == "healthy")
    return estate.of_group(item["DesiredCapacity"], served)


def _fleet(item: Item) -> estate.Verdict:
    wanted = take(item, ("TargetCapacitySpecification", "TotalTargetCapacity")) or 0
    return estate.of_group(int(wanted), int(item.get("FulfilledCapacity") or 0))


def _spot_fleet(item: Item) -> estate.Verdict:
    config = item["SpotFleetRequestConfig"]
    return estate.of_group(int(config["TargetCapacity"]), int(config.get("FulfilledCapacity") or 0))


def _address(item: Item) -> estate.Verdict:
    return estate.FINE if item.get("AssociationId") else (estate.WARNING, "is given to nothing")


def _targets(item: Item) -> estate.Verdict:
    if "health" not in item:
        return estate.UNKNOWN, "the health of its targets is not known"
    return estate.of_targets(target_states(item))


def target_states(item: Item) -> dict[str, str]:
    """The states of a target group's targets, as AWS names them, by id."""
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in item.get("health") or ()}


def _file_system(item: Item) -> estate.Verdict:
    if item.get("LifeCycleState") == "available" and not item.get("NumberOfMountTargets"):
        return estate.WARNING, "has no mount target"
    return estate.of_state(item.get("LifeCycleState"), ("available",), ("error",))


def _function(item: Item) -> estate.Verdict:
    if item.get("LastUpdateStatus") == "Failed":
        return estate.PROBLEM, f"its last update failed: {item.get('LastUpdateStatusReason') or 'no reason given'}"
    return estate.of_state(item.get("State"), ("Active", "Inactive"), ("Failed",), item.get("StateReason"))


def _queue(item: Item) -> estate.Verdict:
    return estate.FINE if item.get("attributes") else (estate.UNKNOWN, "its attributes are not known")


def judged_queues(rows: list[dict[str, Any]]) -> None:
    """Put down in the rows of queues where their dead letters go, and which of them have some."""
    for row in rows:
        try:
            row["details"]["dead_letters_to"] = json.loads(row["details"].pop("redrive") or "{}").get(
                "deadLetterTargetArn"
            )
        except (ValueError, AttributeError):
            row["details"]["dead_letters_to"] = None
    letters = {row["details"]["dead_letters_to"] for row in rows} - {None}
    for row in rows:
        waiting = row["details"]["messages"] or 0
        if row["arn"] in letters and waiting:
            row["health"], row["note"] = estate.PROBLEM, f"{waiting} messages could not be handled"


def _to_be_renewed(item: Item) -> bool:
    ends = item.get("NotAfter")
    return ends is not None and ends.timestamp() - datetime.now(_UTC).timestamp() < RENEWAL


def _certificate(item: Item) -> estate.Verdict:
    ends = item.get("NotAfter")
    return estate.of_certificate(
        item.get("Status"),
        ends.timestamp() if ends else None,
        datetime.now(_UTC).timestamp(),
        bool(item.get("InUse")),
        take(item, ("RenewalSummary", "RenewalStatus")),
    )


def _one(name: str) -> Callable[[Item], tuple[str, float]]:
    return lambda _item: (name, 1.0)


def _vcpus(item: Item) -> tuple[str, float]:
    """The vCPUs of an instance that runs, by purchase option and by the family of its type."""
    lifecycle = "spot" if item.get("instance_lifecycle") == "spot" else "on_demand"
    options = item.get("cpu_options") or {}
    running = take(item, ("state", "name")) in ("pending", "running")
    vcpus = options.get("core_count", 0) * options.get("threads_per_core", 1) if running else 0
    return f"{lifecycle}:{vcpu_class(item['instance_type'])}", float(vcpus)


def _storage(item: Item) -> tuple[str, float]:
    return f"volumes:{item.get('VolumeType')}", float(item.get("Size") or 0)


def _balancer(item: Item) -> tuple[str, float]:
    return f"load_balancers:{item.get('Type')}", 1.0


_UTC = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo
_ec2 = partial(Kind, service="ec2", owned=FILTER)
_EC2_ARN = "arn:{partition}:ec2:{region}:{account}:"
_DB_BAD = (
    "failed",
    "storage-full",
    "restore-error",
    "inaccessible-encryption-credentials",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
)

INSTANCE = _ec2(
    name="instance",
    operation="describe_instances",
    key="Reservations",
    action="ec2:DescribeInstances",
    id="instance_id",
    arn=_EC2_ARN + "instance/{id}",
    label="",
    state="state.name",
    zone="placement.availability_zone",
    created="launch_time",
    page=500,
    use=_vcpus,
    judge=_by("state.name", ("running",), (), "state_transition_reason"),
    details={
        "type": "instance_type",
        "image_id": "image_id",
        "private_ip": "private_ip_address",
        "public_ip": "public_ip_address",
    },
)

KINDS: tuple[Kind, ...] = (
    INSTANCE,
    _ec2(
        name="volume",
        operation="describe_volumes",
        key="Volumes",
        action="ec2:DescribeVolumes",
        id="VolumeId",
        arn=_EC2_ARN + "volume/{id}",
        label="",
        state="State",
        zone="AvailabilityZone",
        created="CreateTime",
        page=1000,
        quick=True,
        use=_storage,
        judge=lambda item: estate.of_volume(item.get("State")),
        details={
            "size_gib": "Size",
            "type": "VolumeType",
            "iops": "Iops",
            "throughput": "Throughput",
            "encrypted": "Encrypted",
            "instance_id": "Attachments.0.InstanceId",
            "device": "Attachments.0.Device",
            "snapshot_id": "SnapshotId",
        },
    ),
    _ec2(
        name="snapshot",
        operation="describe_snapshots",
        key="Snapshots",
        action="ec2:DescribeSnapshots",
        arguments={"OwnerIds": ["self"]},
        id="SnapshotId",
        arn=_EC2_ARN + "snapshot/{id}",
        label="",
        state="State",
        created="StartTime",
        page=1000,
        quick=True,
        use=_one("snapshots"),
        judge=_by("State", ("completed", "pending"), ("error",), "StateMessage"),
        details={"size_gib": "VolumeSize", "volume_id": "VolumeId", "tier": "StorageTier", "encrypted": "Encrypted"},
    ),
    Kind(
        name="group",
        service="autoscaling",
        operation="describe_auto_scaling_groups",
        key="AutoScalingGroups",
        action="autoscaling:DescribeAutoScalingGroups",
        id="AutoScalingGroupName",
        arn="AutoScalingGroupARN",
        label="AutoScalingGroupName",
        state="Status",
        created="CreatedTime",
        page=100,
        owned=FILTER,
        use=_one("groups"),
        judge=_group,
        details={"min": "MinSize", "max": "MaxSize", "desired": "DesiredCapacity", "zones": "AvailabilityZones"},
    ),
    _ec2(
        name="image",
        operation="describe_images",
        key="Images",
        action="ec2:DescribeImages",
        arguments={"Owners": ["self"]},
        id="ImageId",
        arn=_EC2_ARN + "image/{id}",
        state="State",
        created="CreationDate",
        page=1000,
        judge=_by("State", ("available",), ("failed", "error", "invalid"), "StateReason.Message"),
        details={"architecture": "Architecture", "public": "Public", "used_at": "LastLaunchedTime"},
    ),
    _ec2(
        name="address",
        operation="describe_addresses",
        key="Addresses",
        action="ec2:DescribeAddresses",
        id="AllocationId",
        arn=_EC2_ARN + "elastic-ip/{id}",
        label="PublicIp",
        use=_one("addresses"),
        judge=_address,
        details={"public_ip": "PublicIp", "instance_id": "InstanceId", "interface": "NetworkInterfaceId"},
    ),
    _ec2(
        name="nat_gateway",
        operation="describe_nat_gateways",
        key="NatGateways",
        action="ec2:DescribeNatGateways",
        filter="Filter",
        id="NatGatewayId",
        arn=_EC2_ARN + "natgateway/{id}",
        label="",
        state="State",
        created="CreateTime",
        page=1000,
        judge=_by("State", ("available", "deleted"), ("failed",), "FailureMessage"),
        details={"vpc": "VpcId", "subnet": "SubnetId"},
    ),
    _ec2(
        name="key_pair",
        operation="describe_key_pairs",
        key="KeyPairs",
        action="ec2:DescribeKeyPairs",
        id="KeyPairId",
        arn=_EC2_ARN + "key-pair/{id}",
        label="KeyName",
        created="CreateTime",
        judge=_fine,
        details={"fingerprint": "KeyFingerprint", "type": "KeyType"},
    ),
    _ec2(
        name="launch_template",
        operation="describe_launch_templates",
        key="LaunchTemplates",
        action="ec2:DescribeLaunchTemplates",
        id="LaunchTemplateId",
        arn=_EC2_ARN + "launch-template/{id}",
        label="LaunchTemplateName",
        created="CreateTime",
        page=200,
        use=_one("launch_templates"),
        judge=_fine,
        details={"default_version": "DefaultVersionNumber", "latest_version": "LatestVersionNumber"},
    ),
    _ec2(
        name="fleet",
        owned=INLINE,
        operation="describe_fleets",
        key="Fleets",
        action="ec2:DescribeFleets",
        id="FleetId",
        arn=_EC2_ARN + "fleet/{id}",
        label="",
        state="FleetState",
        created="CreateTime",
        judge=_fleet,
        details={
            "type": "Type",
            "target": "TargetCapacitySpecification.TotalTargetCapacity",
            "fulfilled": "FulfilledCapacity",
        },
    ),
    _ec2(
        name="spot_fleet",
        owned=INLINE,
        operation="describe_spot_fleet_requests",
        key="SpotFleetRequestConfigs",
        action="ec2:DescribeSpotFleetRequests",
        id="SpotFleetRequestId",
        arn=_EC2_ARN + "spot-fleet-request/{id}",
        label="",
        state="SpotFleetRequestState",
        created="CreateTime",
        judge=_spot_fleet,
        details={
            "type": "SpotFleetRequestConfig.Type",
            "target": "SpotFleetRequestConfig.TargetCapacity",
            "fulfilled": "SpotFleetRequestConfig.FulfilledCapacity",
        },
    ),
    Kind(
        name="load_balancer",
        service="elbv2",
        operation="describe_load_balancers",
        key="LoadBalancers",
        action="elasticloadbalancing:DescribeLoadBalancers",
        type="elasticloadbalancing:loadbalancer",
        id="LoadBalancerArn",
        arn="LoadBalancerArn",
        label="LoadBalancerName",
        state="State.Code",
        created="CreatedTime",
        page=400,
        use=_balancer,
        judge=_by("State.Code", ("active",), ("failed", "active_impaired"), "State.Reason"),
        details={"type": "Type", "scheme": "Scheme", "dns_name": "DNSName", "vpc": "VpcId"},
    ),
    Kind(
        name="target_group",
        service="elbv2",
        operation="describe_target_groups",
        key="TargetGroups",
        action="elasticloadbalancing:DescribeTargetGroups",
        type="elasticloadbalancing:targetgroup",
        id="TargetGroupArn",
        arn="TargetGroupArn",
        label="TargetGroupName",
        page=400,
        use=_one("target_groups"),
        judge=_targets,
        details={
            "protocol": "Protocol",
            "port": "Port",
            "path": "HealthCheckPath",
            "load_balancers": "LoadBalancerArns",
        },
        detail=Detail(
            "describe_target_health", "TargetGroupArn", "TargetGroupArn", "TargetHealthDescriptions", "health"
        ),
    ),
    Kind(
        name="certificate",
        service="acm",
        operation="list_certificates",
        key="CertificateSummaryList",
        action="acm:ListCertificates",
        type="acm:certificate",
        # Without it ACM lists the keys of RSA 1024 and 2048 alone.
        arguments={
            "Includes": {
                "keyTypes": [
                    "RSA_1024",
                    "RSA_2048",
                    "RSA_3072",
                    "RSA_4096",
                    "EC_prime256v1",
                    "EC_secp384r1",
                    "EC_secp521r1",
                ]
            }
        },
        id="CertificateArn",
        arn="CertificateArn",
        label="DomainName",
        state="Status",
        created="CreatedAt",
        page=1000,
        judge=_certificate,
        details={
            "expires_at": "NotAfter",
            "type": "Type",
            "in_use": "InUse",
            "renewal": "RenewalSummary.RenewalStatus",
            "eligible": "RenewalEligibility",
        },
        detail=Detail("describe_certificate", "CertificateArn", "CertificateArn", "Certificate", needed=_to_be_renewed),
    ),
    Kind(
        name="database",
        service="rds",
        operation="describe_db_instances",
        key="DBInstances",
        action="rds:DescribeDBInstances",
        owned=INLINE,
        id="DBInstanceIdentifier",
        arn="DBInstanceArn",
        label="DBInstanceIdentifier",
        state="DBInstanceStatus",
        zone="AvailabilityZone",
        created="InstanceCreateTime",
        page=100,
        use=_one("databases"),
        judge=_by("DBInstanceStatus", ("available", "backing-up", "storage-optimization"), _DB_BAD),
        details={
            "engine": "Engine",
            "version": "EngineVersion",
            "class": "DBInstanceClass",
            "size_gib": "AllocatedStorage",
            "multi_zone": "MultiAZ",
            "public": "PubliclyAccessible",
            "backup_days": "BackupRetentionPeriod",
        },
    ),
    Kind(
        name="table",
        service="dynamodb",
        operation="list_tables",
        key="TableNames",
        action="dynamodb:ListTables",
        type="dynamodb:table",
        id="name",
        arn="arn:{partition}:dynamodb:{region}:{account}:table/{id}",
        label="name",
        state="TableStatus",
        created="CreationDateTime",
        page=100,
        judge=_by("TableStatus", ("ACTIVE", "UPDATING"), ("INACCESSIBLE_ENCRYPTION_CREDENTIALS",)),
        details={"items": "ItemCount", "bytes": "TableSizeBytes"},
        detail=Detail("describe_table", "TableName", "name", "Table"),
    ),
    Kind(
        name="queue",
        service="sqs",
        operation="list_queues",
        key="QueueUrls",
        action="sqs:ListQueues",
        type="sqs",
        id="name",
        arn="arn:{partition}:sqs:{region}:{account}:{id}",
        label="name",
        created="attributes.CreatedTimestamp",
        page=1000,
        judge=_queue,
        details={
            "messages": "attributes.ApproximateNumberOfMessages",
            "in_flight": "attributes.ApproximateNumberOfMessagesNotVisible",
            "url": "url",
            "redrive": "attributes.RedrivePolicy",
        },
        detail=Detail(
            "get_queue_attributes", "QueueUrl", "url", "Attributes", "attributes", {"AttributeNames": ["All"]}
        ),
    ),
    Kind(
        name="topic",
        service="sns",
        operation="list_topics",
        key="Topics",
        action="sns:ListTopics",
        type="sns",
        id="TopicArn",
        arn="TopicArn",
        label="TopicArn",
        judge=_fine,
    ),
    Kind(
        name="file_system",
        service="efs",
        operation="describe_file_systems",
        key="FileSystems",
        action="elasticfilesystem:DescribeFileSystems",
        owned=INLINE,
        id="FileSystemId",
        arn="FileSystemArn",
        state="LifeCycleState",
        created="CreationTime",
        page=100,
        judge=_file_system,
        details={"bytes": "SizeInBytes.Value", "mount_targets": "NumberOfMountTargets", "encrypted": "Encrypted"},
    ),
    Kind(
        name="function",
        service="lambda",
        operation="list_functions",
        key="Functions",
        action="lambda:ListFunctions",
        type="lambda:function",
        id="FunctionName",
        arn="FunctionArn",
        label="FunctionName",
        state="State",
        created="LastModified",
        page=50,
        judge=_function,
        details={"runtime": "Runtime", "memory_mib": "MemorySize", "role": "Role", "timeout": "Timeout"},
        detail=Detail("get_function_configuration", "FunctionName", "FunctionName", ""),
    ),
    Kind(
        name="key",
        service="kms",
        operation="list_keys",
        key="Keys",
        action="kms:ListKeys",
        type="kms:key",
        id="KeyId",
        arn="KeyArn",
        label="Description",
        state="KeyState",
        created="CreationDate",
        page=1000,
        judge=_by("KeyState", ("Enabled",), ("PendingDeletion", "Unavailable", "PendingReplicaDeletion")),
        details={"description": "Description", "usage": "KeyUsage", "deleted_at": "DeletionDate"},
        detail=Detail("describe_key", "KeyId", "KeyId", "KeyMetadata"),
    ),
    Kind(
        name="log_group",
        service="logs",
        operation="describe_log_groups",
        key="logGroups",
        action="logs:DescribeLogGroups",
        type="logs:log-group",
        id="logGroupName",
        arn="arn",
        label="logGroupName",
        created="creationTime",
        page=50,
        judge=_fine,
        details={"bytes": "storedBytes", "retention_days": "retentionInDays"},
    ),
    Kind(
        name="bucket",
        service="s3",
        operation="list_buckets",
        key="Buckets",
        action="s3:ListAllMyBuckets",
        type="s3",
        id="Name",
        arn="arn:{partition}:s3:::{id}",
        created="CreationDate",
        page=1000,
        arguments={"BucketRegion": "{region}"},
        judge=_fine,
    ),
)
NAMES = tuple(sorted(kind.name for kind in KINDS))
BY_NAME = {kind.name: kind for kind in KINDS}
