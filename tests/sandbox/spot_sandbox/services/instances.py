"""Instances: scarcity, lifecycle, interruptions, and a DescribeInstances that pages through thousands.

moto keeps the instances with their volumes and interfaces; what it lacks of each one is in ``RECORDS``.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import itertools
import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from moto.ec2.utils import convert_tag_spec, parse_user_data
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from spot_sandbox import clock, market, pools
from spot_sandbox.services import events, lookups
from spot_sandbox.services.events import ACCOUNT

SHOWN_AFTER_END = 3600.0
"""Sandbox seconds that a terminated instance is still described."""

PAGE = 1000
NO_SPOT = "There is no Spot capacity available that matches your request."


@dataclass
class Record:
    """What moto does not keep of an instance."""

    region: str
    pool: pools.Pool
    number: int
    reservation: str
    holds_place: bool = True
    ended: float | None = None
    warned: bool = False
    spot_request: str | None = None


RECORDS: dict[str, Record] = {}
ended_hooks: list[Callable[[str, list[str], str], None]] = []
"""Called as ``hook(region, instance_ids, cause)`` when instances stopped or ended; for ``cause`` see ``end``."""
warned_hooks: list[Callable[[str, str], None]] = []
"""Called as ``hook(region, instance_id)`` on an interruption notice or a rebalance recommendation."""

_numbers = itertools.count(1)
_tokens: dict[tuple[str, str], tuple[str, str]] = {}


def reset() -> None:
    RECORDS.clear()
    _tokens.clear()


class Scarce(EC2ClientError):
    """No room in the pool; EC2 answers it with HTTP 500, so clients retry."""


def backend_of(region: str) -> Any:
    return ec2_backends[ACCOUNT][region]


def scarce(region: str, zone: str | None, instance_type: str, lifecycle: str) -> Scarce:
    """The error that EC2 gives for a pool without room."""
    if lifecycle == "spot":
        return Scarce("InsufficientInstanceCapacity", NO_SPOT)
    others = [z for z in market.zones(region) if z != zone and pools.free(region, z, instance_type, lifecycle)]
    where = f"in the Availability Zone you requested ({zone})" if zone else "in the Region you requested"
    remedy = (
        f" You can currently get {instance_type} capacity by not specifying an Availability Zone in your request"
        f" or choosing {', '.join(others)}."
        if others and zone
        else ""
    )
    return Scarce(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {instance_type} capacity {where}."
        f" Our system will be working on provisioning additional capacity.{remedy}",
    )


def template_version(region: str, specification: dict[str, Any]) -> Any:
    """moto's launch template version for ``{"LaunchTemplateId"|"LaunchTemplateName", "Version"}``."""
    backend = backend_of(region)
    if specification.get("LaunchTemplateId"):
        template = backend.get_launch_template(specification["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(specification.get("LaunchTemplateName"))
    return template.get_version(specification.get("Version") or "$Default")


def from_template(region: str, specification: dict[str, Any] | None, request: dict[str, Any]) -> dict[str, Any]:
    """A launch request with what its launch template adds; the request wins, tags are joined."""
    if not specification:
        return dict(request)
    version = template_version(region, specification)
    data = {k: v for k, v in dict(version.data).items() if v is not None}
    made = {**data, **{k: v for k, v in request.items() if v is not None}}
    tags = convert_tag_spec(list(data.get("TagSpecifications") or []))
    for kind, more in convert_tag_spec(list(request.get("TagSpecifications") or [])).items():
        tags.setdefault(kind, {}).update(more)
    tags.setdefault("instance", {}).update(
        {"aws:ec2launchtemplate:id": version.template.id, "aws:ec2launchtemplate:version": str(version.number)}
    )
    made["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in some.items()]} for kind, some in tags.items()
    ]
    return made


def start(
    region: str,
    spec: dict[str, Any],
    count: int,
    zone: str,
    subnet_id: str | None,
    lifecycle: str,
    tags: dict[str, str] | None = None,
    minimum: int = 1,
) -> list[Instance]:
    """Run up to ``count`` instances of one pool; raises ``Scarce`` when fewer than ``minimum`` can be had.

    ``spec`` is a RunInstances request (with the template's part, see ``from_template``); ``lifecycle`` is ``spot`` or
    ``on_demand``; ``tags`` are added to the instances.
    """
    backend, instance_type = backend_of(region), spec["InstanceType"]
    if not spec.get("ImageId"):
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if instance_type not in market.types(region):
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    if not market.offered(region, zone, instance_type):
        others = ", ".join(z for z in market.zones(region) if market.offered(region, z, instance_type))
        raise EC2ClientError(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability"
            f" Zone ({zone}). Please retry your request by not specifying an Availability Zone or choosing {others}.",
        )
    if lifecycle == "spot":
        _check_price(region, zone, spec)
    _forget_ended(region)
    pool = (region, zone, instance_type, lifecycle)
    granted = pools.acquire(*pool, count)
    if granted < minimum:
        pools.release(*pool, granted)
        raise scarce(region, zone, instance_type, lifecycle)
    try:
        made = _make(backend, region, spec, granted, subnet_id, lifecycle, tags or {})
    except BaseException:
        pools.release(*pool, granted)
        raise
    for instance in made.instances:
        request = f"sir-{uuid.uuid4().hex[:8]}" if lifecycle == "spot" else None
        RECORDS[instance.id] = Record(region, pool, next(_numbers), made.id, spot_request=request)
        _tell_state(region, instance.id, "pending")
        _tell_state(region, instance.id, "running")
    return list(made.instances)


def _check_price(region: str, zone: str, spec: dict[str, Any]) -> None:
    limit = ((spec.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}).get("MaxPrice")
    price = market.spot_price(region, zone, spec["InstanceType"], clock.now())
    if limit and price is not None and float(limit) < price:
        raise EC2ClientError(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {limit} is lower than the minimum required Spot request"
            f" fulfillment price of {price}.",
        )


def _make(
    backend: Any,
    region: str,
    spec: dict[str, Any],
    count: int,
    subnet_id: str | None,
    lifecycle: str,
    tags: dict[str, str],
) -> Any:
    specified = convert_tag_spec(list(spec.get("TagSpecifications") or []))
    specified["instance"] = {**specified.get("instance", {}), **tags}
    data = spec.get("UserData")
    if data is not None and not isinstance(data, Base64EncodedString):
        data = parse_user_data(data)
    profile = spec.get("IamInstanceProfile") or {}
    try:
        made = backend.run_instances(
            spec["ImageId"],
            count,
            data,
            list(spec.get("SecurityGroups") or []),
            instance_type=spec["InstanceType"],
            is_instance_type_default=False,
            region_name=region,
            subnet_id=subnet_id,
            key_name=spec.get("KeyName"),
            security_group_ids=list(spec.get("SecurityGroupIds") or []),
            nics=[dict(nic, SubnetId=subnet_id) for nic in spec.get("NetworkInterfaces") or []],
            private_ip=spec.get("PrivateIpAddress"),
            associate_public_ip=None if subnet_id else True,
            tags=specified,
            ebs_optimized=bool(spec.get("EbsOptimized")),
            disable_api_stop=bool(spec.get("DisableApiStop")),
            disable_api_termination=bool(spec.get("DisableApiTermination")),
            instance_market_options="spot" if lifecycle == "spot" else None,
            instance_initiated_shutdown_behavior=spec.get("InstanceInitiatedShutdownBehavior"),
            hibernation_options=spec.get("HibernationOptions"),
            monitoring_state="enabled" if (spec.get("Monitoring") or {}).get("Enabled") else "disabled",
            metadata_options=spec.get("MetadataOptions") or {},
            client_token=spec.get("ClientToken", ""),
            block_device_mappings=_devices(backend, spec),
        )
    except StopIteration:
        raise EC2ClientError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested"
            " number of instances.",
        ) from None
    launched = clock.now().replace(tzinfo=None)
    for instance in made.instances:
        instance.launch_time = launched
        for nic in instance.nics.values():
            nic.attach_time, nic.delete_on_termination = launched, True
        if profile:
            backend.associate_iam_instance_profile(
                instance.id, iam_instance_profile_name=profile.get("Name"), iam_instance_profile_arn=profile.get("Arn")
            )
    return made


def _devices(backend: Any, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The block devices with EC2's defaults; the image's root volume is always among them."""
    image = backend.amis.get(spec["ImageId"])
    root = (image.root_device_name if image else None) or "/dev/xvda"
    wanted = {
        d["DeviceName"]: dict(d.get("Ebs") or {}) for d in spec.get("BlockDeviceMappings") or [] if d.get("DeviceName")
    }
    wanted.setdefault(root, {})
    defaults = {"VolumeSize": 8, "VolumeType": "gp3"}
    return [
        {"DeviceName": name, "Ebs": {**defaults, "DeleteOnTermination": name == root, **ebs}}
        for name, ebs in wanted.items()
    ]


def end(region: str, instance_ids: Iterable[str], cause: str = "user") -> list[str]:
    """Terminate what still runs of these; returns their ids. ``cause``: ``user``, ``group`` (a service) or ``spot``."""
    backend, moment, ended = backend_of(region), clock.now(), []
    for instance_id in instance_ids:
        instance, record = lookups.find_instance(backend, instance_id), RECORDS.get(instance_id)
        if instance is None or record is None or instance.state == "terminated":
            continue
        _tell_state(region, instance_id, "shutting-down")
        instance.terminate()
        initiator, code, message = {
            "spot": (
                "Service initiated",
                "Server.SpotInstanceTermination",
                "Instance terminated due to spot interruption",
            ),
        }.get(cause, ("User initiated", "Client.UserInitiatedShutdown", "User initiated shutdown"))
        instance._reason = f"{initiator} ({moment:%Y-%m-%d %H:%M:%S} GMT)"
        instance.state_reason.code, instance.state_reason.message = code, f"{code}: {message}"
        _give_back(record)
        record.ended = moment.timestamp()
        _tell_state(region, instance_id, "terminated")
        ended.append(instance_id)
    if ended:
        elbv2_backends[ACCOUNT][region].notify_terminate_instances(ended)
        for hook in ended_hooks:
            hook(region, ended, cause)
    return ended


def _give_back(record: Record) -> None:
    if record.holds_place:
        record.holds_place = False
        pools.release(*record.pool)


def _forget_ended(region: str) -> None:
    """Take terminated instances out of sight an hour after their end."""
    limit, backend = clock.time() - SHOWN_AFTER_END, backend_of(region)
    for instance_id in [
        i for i, r in RECORDS.items() if r.ended is not None and r.ended < limit and r.region == region
    ]:
        record = RECORDS.pop(instance_id)
        lookups.forget_instance(backend, instance_id)
        reservation = backend.reservations.get(record.reservation)
        if reservation:
            reservation.instances = [i for i in reservation.instances if i.id != instance_id]
            if not reservation.instances:
                del backend.reservations[record.reservation]


def _tell_state(region: str, instance_id: str, state: str) -> None:
    events.emit(
        region,
        "aws.ec2",
        "EC2 Instance State-change Notification",
        {"instance-id": instance_id, "state": state},
        [f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance_id}"],
    )


# Allocation strategies


@dataclass(frozen=True)
class Choice:
    """A pool that a group or a fleet may launch in; ``what`` is the override behind it."""

    instance_type: str
    zone: str
    weight: float
    what: Any


def best_spot(
    region: str, strategy: str, choices: list[Choice], amount: float, held: Counter[tuple[str, str]], spread: int = 2
) -> Choice:
    """The pool that a Spot allocation strategy takes next; ``choices`` (in order of priority) all have room.

    ``amount`` is the capacity still to launch; ``held`` what runs by (type, zone); ``spread`` how many pools
    lowest-price uses.
    """
    now = clock.now()

    def price(choice: Choice) -> float:
        found = market.spot_price(region, choice.zone, choice.instance_type, now)
        return (found if found is not None else math.inf) / choice.weight

    def room(choice: Choice) -> float:
        return pools.free(region, choice.zone, choice.instance_type, "spot") * choice.weight

    if strategy == "capacity-optimized":
        return max(choices, key=room)
    if strategy == "capacity-optimized-prioritized":
        return next((c for c in choices if room(c) >= amount), max(choices, key=room))
    if strategy == "price-capacity-optimized":
        least = max(amount, max(map(room, choices)) / 3)
        return min([c for c in choices if room(c) >= least] or [max(choices, key=room)], key=price)
    if strategy == "lowest-price":
        choices = sorted(choices, key=price)[:spread]
    return min(choices, key=lambda c: held[(c.instance_type, c.zone)])


# Interruptions


def interrupt(instance_id: str, notice: float) -> None:
    """Give the notice now and take the Spot Instance away after ``notice`` sandbox seconds."""
    record = RECORDS[instance_id]
    if record.warned or record.ended is not None:
        return
    record.warned = True
    events.emit(
        record.region,
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        {"instance-id": instance_id, "instance-action": "terminate"},
        [f"arn:aws:ec2:{record.pool[1]}:instance/{instance_id}"],  # a zone and no account, as in the real event
    )
    clock.call_later(notice, end, record.region, [instance_id], "spot")
    for hook in warned_hooks:
        hook(record.region, instance_id)


def rebalance(instance_id: str) -> None:
    """Recommend to replace the instance; it is not taken away."""
    record = RECORDS[instance_id]
    events.emit(
        record.region,
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        {"instance-id": instance_id},
        [f"arn:aws:ec2:{record.region}:{ACCOUNT}:instance/{instance_id}"],
    )
    for hook in warned_hooks:
        hook(record.region, instance_id)


def take_back(pool: pools.Pool, surplus: int, notice: float) -> None:
    """Interrupt so many of a pool, the newest first; those with a notice already count."""
    running = [i for i, r in RECORDS.items() if r.pool == pool and r.holds_place]
    surplus -= sum(RECORDS[i].warned for i in running)
    for instance_id in [i for i in reversed(running) if not RECORDS[i].warned][: max(0, surplus)]:
        interrupt(instance_id, notice)


pools.shortage_hooks.append(take_back)


def _running_spot(body: dict[str, Any]) -> list[str]:
    ids = body.get("instance_ids")
    if not ids or not isinstance(ids, list):
        raise ValueError("instance_ids is missing: give a list of ids of Spot Instances")
    for instance_id in ids:
        record = RECORDS.get(instance_id)
        if record is None or not record.holds_place or record.pool[3] != "spot":
            raise ValueError(f"{instance_id} is not a running Spot Instance of this sandbox")
    return ids


def control_interrupt(body: dict[str, Any]) -> dict[str, Any]:
    ids, notice = _running_spot(body), float(body.get("notice", 120))
    if notice < 0:
        raise ValueError(f"notice {notice} is negative: give seconds from 0 on")
    for instance_id in ids:
        interrupt(instance_id, notice)
    return {"interrupted": ids, "notice": notice}


def control_rebalance(body: dict[str, Any]) -> dict[str, Any]:
    ids = _running_spot(body)
    for instance_id in ids:
        rebalance(instance_id)
    return {"recommended": ids}


def control_instances(body: dict[str, Any]) -> dict[str, Any]:
    """Make many running instances quickly, over all zones and some types, past the pools' room; for benchmarks."""
    region, count = body.get("region", "us-east-1"), int(body.get("count", 0))
    if region not in market.regions() or not 1 <= count <= 20_000:
        raise ValueError(f"cannot make {count} instances in {region}: give a served region and a count from 1 to 20000")
    backend, app = backend_of(region), str(body.get("app", "bench"))
    environment, spot_share = str(body.get("environment", "sandbox")), float(body.get("spot_share", 0.8))
    kinds = [t for t in ("m5.large", "c5.large", "r5.large", "m6i.large", "c6i.xlarge") if t in market.types(region)]
    image, made = body.get("image_id") or next(iter(backend.amis)), []
    subnets = _bench_subnets(backend, region)
    shares = [(s, t, k) for s in subnets for t in kinds for k in ("spot", "on_demand")]
    for index, (subnet, instance_type, lifecycle) in enumerate(shares):
        part = spot_share if lifecycle == "spot" else 1 - spot_share
        groups = len(subnets) * len(kinds)
        number = round(part * count * (index // 2 + 1) / groups) - round(part * count * (index // 2) / groups)
        if number < 1:
            continue
        spec: dict[str, Any] = {"ImageId": image, "InstanceType": instance_type}
        tags = {
            "Name": f"{environment}-{app}",
            "spot.platform/app": app,
            "spot.platform/environment": environment,
            "spot.platform/managed-by": "spot.platform",
        }
        reservation = _make(backend, region, spec, number, subnet.id, lifecycle, tags)
        for instance in reservation.instances:
            request = f"sir-{uuid.uuid4().hex[:8]}" if lifecycle == "spot" else None
            pool = (region, subnet.availability_zone, instance_type, lifecycle)
            RECORDS[instance.id] = Record(
                region, pool, next(_numbers), reservation.id, holds_place=False, spot_request=request
            )
            made.append(instance.id)
    return {"region": region, "count": len(made), "first": made[0], "last": made[-1]}


def _bench_subnets(backend: Any, region: str) -> list[Any]:
    """One large subnet in every zone, in a VPC of its own that is made once."""
    for vpc in backend.vpcs.values():
        if vpc.cidr_block == "10.200.0.0/16":
            return [s for zone in backend.subnets.values() for s in zone.values() if s.vpc_id == vpc.id]
    vpc = backend.create_vpc("10.200.0.0/16")
    return [
        backend.create_subnet(vpc.id, f"10.200.{n * 32}.0/19", availability_zone=zone)
        for n, zone in enumerate(market.zones(region))
    ]


CONTROL = {
    "POST /sandbox/interrupt": control_interrupt,
    "POST /sandbox/rebalance": control_rebalance,
    "POST /sandbox/instances": control_instances,
}


# The API


def _xml_time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") if moment else ""


def _groups_xml(groups: Iterable[Any]) -> str:
    return "".join(
        f"<item><groupId>{g.id}</groupId><groupName>{escape(g.name)}</groupName></item>"
        for g in sorted({g.id: g for g in groups}.values(), key=lambda g: g.id)
    )


def _nic_xml(instance: Instance, nic: Any, groups: str) -> str:
    address = nic.private_ip_address
    public = nic.public_ip
    association = ""
    if public:
        name = instance.public_dns_name
        association = (
            f"<association><ipOwnerId>amazon</ipOwnerId><publicDnsName>{name}</publicDnsName>"
            f"<publicIp>{public}</publicIp></association>"
        )
    return (
        f"<item><networkInterfaceId>{nic.id}</networkInterfaceId><subnetId>{nic.subnet.id}</subnetId>"
        f"<vpcId>{nic.subnet.vpc_id}</vpcId><description>{escape(nic.description or '')}</description>"
        f"<ownerId>{instance.owner_id}</ownerId><status>in-use</status><macAddress>{nic.mac_address}</macAddress>"
        f"<privateIpAddress>{address}</privateIpAddress><privateDnsName>{instance.private_dns_name}</privateDnsName>"
        f"<sourceDestCheck>{str(nic.source_dest_check).lower()}</sourceDestCheck><groupSet>{groups}</groupSet>"
        f"<attachment><attachmentId>{nic.attachment_id}</attachmentId><deviceIndex>{nic.device_index}</deviceIndex>"
        f"<status>attached</status><attachTime>{_xml_time(nic.attach_time)}</attachTime>"
        f"<deleteOnTermination>{str(nic.delete_on_termination).lower()}</deleteOnTermination>"
        f"<networkCardIndex>0</networkCardIndex></attachment>{association}"
        f"<privateIpAddressesSet><item><privateIpAddress>{address}</privateIpAddress>"
        f"<privateDnsName>{instance.private_dns_name}</privateDnsName><primary>true</primary>{association}</item>"
        "</privateIpAddressesSet><interfaceType>interface</interfaceType></item>"
    )


def _instance_xml(backend: Any, instance: Instance, state: tuple[int, str] | None = None) -> str:
    record = RECORDS[instance.id]
    code, name = state or (instance._state.code, instance._state.name)
    alive = name not in ("terminated", "shutting-down")
    tags = "".join(
        f"<item><key>{escape(k)}</key><value>{escape(v)}</value></item>"
        for k, v in backend.tags.get(instance.id, {}).items()
    )
    out = [
        f"<item><instanceId>{instance.id}</instanceId><imageId>{instance.image_id}</imageId>",
        f"<instanceState><code>{code}</code><name>{name}</name></instanceState>",
        f"<reason>{escape(instance._reason or '')}</reason>",
        f"<amiLaunchIndex>{instance.ami_launch_index}</amiLaunchIndex>",
        f"<productCodes/><instanceType>{instance.instance_type}</instanceType>",
        f"<launchTime>{_xml_time(instance.launch_time)}</launchTime><placement>",
        f"<availabilityZone>{record.pool[1]}</availabilityZone>",
        f"<availabilityZoneId>{market.zones(record.region)[record.pool[1]]}</availabilityZoneId>",
        "<groupName/><tenancy>default</tenancy></placement>",
        f"<monitoring><state>{instance.monitoring_state}</state></monitoring>",
        f"<architecture>{instance.architecture}</architecture><rootDeviceType>ebs</rootDeviceType>",
        f"<rootDeviceName>{instance.root_device_name}</rootDeviceName>",
        f"<virtualizationType>hvm</virtualizationType><clientToken>{escape(instance.client_token or '')}</clientToken>",
        f"<hypervisor>xen</hypervisor><ebsOptimized>{str(bool(instance.ebs_optimized)).lower()}</ebsOptimized>",
        "<enaSupport>true</enaSupport><platformDetails>Linux/UNIX</platformDetails>",
        "<usageOperation>RunInstances</usageOperation><cpuOptions/><hibernationOptions><configured>false</configured>",
        "</hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions>",
    ]
    if instance.key_name:
        out.append(f"<keyName>{escape(instance.key_name)}</keyName>")
    if record.spot_request:
        out.append("<instanceLifecycle>spot</instanceLifecycle>")
        out.append(f"<spotInstanceRequestId>{record.spot_request}</spotInstanceRequestId>")
    if instance.state_reason.code:
        out.append(
            f"<stateReason><code>{instance.state_reason.code}</code>"
            f"<message>{escape(instance.state_reason.message)}</message></stateReason>"
        )
    if alive:
        nics = list(instance.nics.values())
        groups = _groups_xml([*instance.security_groups, *nics[0]._group_set])
        out += [
            f"<privateDnsName>{instance.private_dns_name}</privateDnsName>",
            f"<dnsName>{instance.public_dns_name or ''}</dnsName>",
            f"<subnetId>{nics[0].subnet.id}</subnetId><vpcId>{nics[0].subnet.vpc_id}</vpcId>",
            f"<privateIpAddress>{nics[0].private_ip_address}</privateIpAddress>",
            f"<sourceDestCheck>{str(instance.source_dest_check).lower()}</sourceDestCheck>",
            f"<groupSet>{groups}</groupSet>",
            "<networkInterfaceSet>",
            *(_nic_xml(instance, nic, groups) for nic in nics),
            "</networkInterfaceSet><blockDeviceMapping>",
            *(
                f"<item><deviceName>{name}</deviceName><ebs><volumeId>{d.volume_id}</volumeId><status>attached</status>"
                f"<attachTime>{_xml_time(instance.launch_time)}</attachTime>"
                f"<deleteOnTermination>{str(bool(d.delete_on_termination)).lower()}</deleteOnTermination></ebs></item>"
                for name, d in instance.block_device_mapping.items()
            ),
            "</blockDeviceMapping>",
        ]
        if nics[0].public_ip:
            out.append(f"<ipAddress>{nics[0].public_ip}</ipAddress>")
    else:
        out.append("<privateDnsName/><dnsName/><blockDeviceMapping/><networkInterfaceSet/><groupSet/>")
    association = backend.iam_instance_profile_associations.get(instance.id)
    if association:
        profile = association.iam_instance_profile
        out.append(f"<iamInstanceProfile><arn>{profile.arn}</arn><id>{profile.id}</id></iamInstanceProfile>")
    options = instance.metadata_options
    out += [
        f"<metadataOptions><state>applied</state><httpTokens>{options.http_tokens}</httpTokens>",
        f"<httpPutResponseHopLimit>{options.http_put_response_hop_limit}</httpPutResponseHopLimit>",
        f"<httpEndpoint>{options.http_endpoint}</httpEndpoint>",
        f"<httpProtocolIpv6>{options.http_protocol_ipv6}</httpProtocolIpv6>",
        f"<instanceMetadataTags>{options.instance_metadata_tags}</instanceMetadataTags></metadataOptions>",
        f"<tagSet>{tags}</tagSet></item>" if tags else "</item>",
    ]
    return "".join(out)


def _reservation_xml(reservation: str, owner: str, items: Iterable[str]) -> str:
    return (
        f"<reservationId>{reservation}</reservationId><ownerId>{owner}</ownerId><groupSet/>"
        f"<instancesSet>{''.join(items)}</instancesSet>"
    )


def _answer(operation: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{operation}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>{uuid.uuid4()}</requestId>{body}</{operation}Response>"
    )


def _subnet(instance: Instance) -> Any:
    return instance.nics[0].subnet if instance.nics else None


FILTERS: dict[str, Callable[[Any, Instance], Any]] = {
    "instance-id": lambda b, i: i.id,
    "instance-state-name": lambda b, i: i._state.name,
    "instance-state-code": lambda b, i: i._state.code,
    "instance-lifecycle": lambda b, i: "spot" if RECORDS[i.id].spot_request else None,
    "spot-instance-request-id": lambda b, i: RECORDS[i.id].spot_request,
    "instance-type": lambda b, i: i.instance_type,
    "availability-zone": lambda b, i: RECORDS[i.id].pool[1],
    "availability-zone-id": lambda b, i: market.zones(RECORDS[i.id].region)[RECORDS[i.id].pool[1]],
    "vpc-id": lambda b, i: getattr(_subnet(i), "vpc_id", None),
    "network-interface.vpc-id": lambda b, i: getattr(_subnet(i), "vpc_id", None),
    "subnet-id": lambda b, i: getattr(_subnet(i), "id", None),
    "network-interface.subnet-id": lambda b, i: getattr(_subnet(i), "id", None),
    "network-interface.network-interface-id": lambda b, i: [n.id for n in i.nics.values()],
    "image-id": lambda b, i: i.image_id,
    "key-name": lambda b, i: i.key_name,
    "architecture": lambda b, i: i.architecture,
    "private-ip-address": lambda b, i: i.private_ip,
    "ip-address": lambda b, i: i.public_ip,
    "private-dns-name": lambda b, i: i.private_dns_name,
    "dns-name": lambda b, i: i.public_dns_name,
    "reservation-id": lambda b, i: RECORDS[i.id].reservation,
    "owner-id": lambda b, i: i.owner_id,
    "client-token": lambda b, i: i.client_token,
    "launch-time": lambda b, i: _xml_time(i.launch_time),
    "instance.group-id": lambda b, i: [g.id for n in i.nics.values() for g in n.group_set],
    "instance.group-name": lambda b, i: [g.name for n in i.nics.values() for g in n.group_set],
    "iam-instance-profile.arn": lambda b, i: _profile(b, i, "arn"),
    "iam-instance-profile.id": lambda b, i: _profile(b, i, "id"),
    "iam-instance-profile.name": lambda b, i: _profile(b, i, "name"),
    "monitoring-state": lambda b, i: i.monitoring_state,
    "root-device-name": lambda b, i: i.root_device_name,
    "root-device-type": lambda b, i: "ebs",
    "state-reason-code": lambda b, i: i.state_reason.code,
    "reason": lambda b, i: i._reason,
    "tenancy": lambda b, i: "default",
    "hypervisor": lambda b, i: "xen",
    "virtualization-type": lambda b, i: "hvm",
    "platform-details": lambda b, i: "Linux/UNIX",
    "source-dest-check": lambda b, i: str(i.source_dest_check).lower(),
    "metadata-options.http-tokens": lambda b, i: i.metadata_options.http_tokens,
    "block-device-mapping.volume-id": lambda b, i: [d.volume_id for d in i.block_device_mapping.values()],
    "tag-key": lambda b, i: list(b.tags.get(i.id, {})),
    "tag-value": lambda b, i: list(b.tags.get(i.id, {}).values()),
}


def _tag_reader(key: str) -> Callable[[Any, Instance], Any]:
    return lambda backend, instance: backend.tags.get(instance.id, {}).get(key)


def _profile(backend: Any, instance: Instance, attribute: str) -> Any:
    association = backend.iam_instance_profile_associations.get(instance.id)
    return getattr(association.iam_instance_profile, attribute) if association else None


def matcher(values: Iterable[str]) -> Callable[[Any], bool]:
    """Whether a value (or one of a list) is among ``values``; there ``*`` is any text, ``?`` a character."""
    texts = [str(v) for v in values]
    plain = {v for v in texts if "*" not in v and "?" not in v}
    wild = [re.compile(fnmatch.translate(v.replace("[", "[[]"))) for v in texts if v not in plain]

    def one(value: Any) -> bool:
        text = str(value)
        return text in plain or any(w.match(text) for w in wild)

    def match(value: Any) -> bool:
        if isinstance(value, list):
            return any(map(one, value))
        return value is not None and one(value)

    return match


def _filtered(backend: Any, instances: Iterator[Instance], filters: list[dict[str, Any]]) -> Iterator[Instance]:
    for item in filters:
        name, match = item.get("Name", ""), matcher(item.get("Values") or [])
        if name.startswith("tag:"):
            read = _tag_reader(name[4:])
        elif name in FILTERS:
            read = FILTERS[name]
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        instances = filter(lambda i, read=read, match=match: match(read(backend, i)), instances)
    return instances


def listed(region: str, instance_ids: list[str] | None = None) -> Iterator[Instance]:
    """The instances of a region in the order in which they were made, or those with these ids."""
    backend = backend_of(region)
    _forget_ended(region)
    if instance_ids:
        if missing := [i for i in instance_ids if i not in RECORDS or RECORDS[i].region != region]:
            raise InvalidInstanceIdError(missing)
        return iter([lookups.get_instance(backend, i) for i in dict.fromkeys(instance_ids)])
    return (i for r in list(backend.reservations.values()) for i in r.instances if i.id in RECORDS)


def page_of(instances: Iterator[Instance], size: int, token: str | None) -> tuple[list[Instance], str | None]:
    """At most ``size`` instances after the one that the token names, and the token of the next page."""
    after = 0
    if token:
        try:
            after = int(json.loads(base64.urlsafe_b64decode(token))["after"])
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise EC2ClientError("InvalidParameterValue", "Unable to parse pagination token") from None
    chosen = list(itertools.islice((i for i in instances if RECORDS[i.id].number > after), size + 1))
    if len(chosen) <= size:
        return chosen, None
    last = RECORDS[chosen[size - 1].id].number
    return chosen[:size], base64.urlsafe_b64encode(json.dumps({"after": last}).encode()).decode()


class Instances(EC2Response):
    """The operations on instances that moto does differently from EC2."""

    def describe_instances(self) -> str:
        self.error_on_dryrun()
        ids, size = self._get_param("InstanceIds", []), self._instance_page_size(5)
        backend = self.ec2_backend
        wanted = _filtered(backend, listed(self.region, ids), self._get_param("Filters", []) or [])
        page, token = page_of(wanted, len(RECORDS) if ids else size, self._get_param("NextToken"))
        body = "".join(
            f"<item>{_reservation_xml(r, ACCOUNT, (_instance_xml(backend, i) for i in some))}</item>"
            for r, some in itertools.groupby(page, key=lambda i: RECORDS[i.id].reservation)
        )
        more = f"<nextToken>{token}</nextToken>" if token else ""
        return _answer("DescribeInstances", f"<reservationSet>{body}</reservationSet>{more}")

    def _instance_page_size(self, least: int) -> int:
        size = self._get_param("MaxResults")
        if size is None:
            return PAGE
        if self._get_param("InstanceIds"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if not least <= int(size) <= 1000:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value from {least} to 1000.",
            )
        return int(size)

    def describe_instance_status(self) -> ActionResult:
        self.error_on_dryrun()
        ids, size = self._get_param("InstanceIds", []), self._instance_page_size(5)
        filters = [f for f in self._get_param("Filters", []) or [] if f.get("Name") in FILTERS]
        every = self._get_bool_param("IncludeAllInstances", False)
        wanted = _filtered(self.ec2_backend, listed(self.region, ids), filters)
        page, token = page_of(
            (i for i in wanted if every or i.state == "running"),
            len(RECORDS) if ids else size,
            self._get_param("NextToken"),
        )
        return ActionResult({"InstanceStatuses": [self._instance_status(i) for i in page], "NextToken": token})

    @staticmethod
    def _instance_status(instance: Instance) -> dict[str, Any]:
        running = instance.state == "running"
        status: dict[str, Any] = {"Status": "ok" if running else "not-applicable"}
        if running:
            status["Details"] = [{"Name": "reachability", "Status": "passed"}]
        return {
            "InstanceId": instance.id,
            "AvailabilityZone": RECORDS[instance.id].pool[1],
            "InstanceState": {"Code": instance.state_code, "Name": instance.state},
            "InstanceStatus": status,
            "SystemStatus": status,
        }

    def run_instances(self) -> Any:
        request = {k: v for k, v in dict(self._get_params()).items() if v is not None}
        token = request.get("ClientToken")
        digest = json.dumps({k: v for k, v in request.items() if k != "DryRun"}, sort_keys=True, default=str)
        known = _tokens.get((self.region, token)) if token else None
        if known and known[0] != digest:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
                f" Client token: {token}",
            )
        if known and known[1] in self.ec2_backend.reservations:
            return self._reservation(known[1])
        spec = from_template(self.region, request.get("LaunchTemplate"), request)
        profile = spec.get("IamInstanceProfile") or {}
        if profile:
            check_profile(self.region, profile)
        self.error_on_dryrun()
        try:
            reservation = self._run_request(spec)
        except Scarce as refused:
            error = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
            return body, {"status": 500}
        if token:
            _tokens[(self.region, token)] = (digest, reservation)
        return self._reservation(reservation)

    def _run_request(self, spec: dict[str, Any]) -> str:
        spec.setdefault("InstanceType", "m1.small")
        lifecycle = "spot" if (spec.get("InstanceMarketOptions") or {}).get("MarketType") == "spot" else "on_demand"
        most, least = int(spec.get("MaxCount") or 1), int(spec.get("MinCount") or 1)
        nics = spec.get("NetworkInterfaces") or []
        subnet_id = spec.get("SubnetId") or next((n["SubnetId"] for n in nics if n.get("SubnetId")), None)
        zone = (spec.get("Placement") or {}).get("AvailabilityZone")
        if subnet_id:
            zone = self.ec2_backend.get_subnet(subnet_id).availability_zone
        defaults = self.ec2_backend.get_default_subnets()
        for choice in [zone] if zone else [z for z in market.zones(self.region) if z in defaults]:
            if zone or pools.free(self.region, choice, spec["InstanceType"], lifecycle) >= least:
                place = subnet_id or (defaults[choice].id if choice in defaults else None)
                made = start(self.region, spec, most, choice, place, lifecycle, minimum=least)
                return RECORDS[made[0].id].reservation
        if not defaults and not zone:
            raise EC2ClientError(
                "VPCIdNotSpecified",
                "No default VPC for this user. GroupName is only supported for EC2-Classic" " and default VPC.",
            )
        raise scarce(self.region, None, spec["InstanceType"], lifecycle)

    def _reservation(self, reservation: str) -> str:
        backend = self.ec2_backend
        items = (_instance_xml(backend, i, (0, "pending")) for i in backend.reservations[reservation].instances)
        return _answer("RunInstances", _reservation_xml(reservation, ACCOUNT, items))

    def terminate_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        instances = list(listed(self.region, ids))
        for instance in instances:
            if instance.disable_api_termination is True or instance.disable_api_termination == "true":
                raise EC2ClientError(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' instance"
                    " attribute and try again.",
                )
        before = {i.id: {"Code": i.state_code, "Name": i.state} for i in instances}
        ended = set(end(self.region, ids))
        gone, going = {"Code": 48, "Name": "terminated"}, {"Code": 32, "Name": "shutting-down"}
        return ActionResult(
            {
                "TerminatingInstances": [
                    {"InstanceId": i, "CurrentState": going if i in ended else gone, "PreviousState": state}
                    for i, state in before.items()
                ]
            }
        )

    def stop_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        for instance in listed(self.region, ids):
            if RECORDS[instance.id].spot_request:
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot"
                    " Instance request. You can only stop Spot Instances associated with persistent Spot"
                    " Instance requests.",
                )
            if instance.state == "terminated":
                raise _wrong_state(instance, "stopped")
        answer = super().stop_instances()
        for instance_id in ids:
            _give_back(RECORDS[instance_id])
            _tell_state(self.region, instance_id, "stopping")
            _tell_state(self.region, instance_id, "stopped")
        for hook in ended_hooks:
            hook(self.region, ids, "user")
        return answer

    def start_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        for instance in listed(self.region, ids):
            record = RECORDS[instance.id]
            if instance.state == "terminated":
                raise _wrong_state(instance, "started")
            if not record.holds_place:
                if not pools.acquire(*record.pool, 1):
                    raise scarce(*record.pool)
                record.holds_place = True
        answer = super().start_instances()
        for instance_id in ids:
            _tell_state(self.region, instance_id, "pending")
            _tell_state(self.region, instance_id, "running")
        return answer


def _wrong_state(instance: Instance, done: str) -> EC2ClientError:
    message = f"The instance '{instance.id}' is not in a state from which it can be {done}."
    return EC2ClientError("IncorrectInstanceState", message)


def check_profile(region: str, profile: dict[str, Any]) -> None:
    """Raise EC2's error for an instance profile that does not exist."""
    iam = iam_backends[ACCOUNT]["aws"]
    named = {p.name for p in iam.instance_profiles.values()} | {p.arn for p in iam.instance_profiles.values()}
    wanted = profile.get("Name") or profile.get("Arn")
    if wanted not in named:
        kind = "Name" if profile.get("Name") else "ARN"
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({wanted}) for parameter iamInstanceProfile.{kind.lower()} is invalid."
            f" Invalid IAM Instance Profile {kind}",
        )


RESPONSES = {"ec2": Instances}
