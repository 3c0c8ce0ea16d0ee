"""Instances as EC2's XML, written as text: moto's serialiser is too slow for thousands."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from moto.ec2.models.instances import Instance
from spot_sandbox import market
from spot_sandbox.services.instances.records import RECORDS


def xml_time(moment: datetime | None) -> str:
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
        f"<status>attached</status><attachTime>{xml_time(nic.attach_time)}</attachTime>"
        f"<deleteOnTermination>{str(nic.delete_on_termination).lower()}</deleteOnTermination>"
        f"<networkCardIndex>0</networkCardIndex></attachment>{association}"
        f"<privateIpAddressesSet><item><privateIpAddress>{address}</privateIpAddress>"
        f"<privateDnsName>{instance.private_dns_name}</privateDnsName><primary>true</primary>{association}</item>"
        "</privateIpAddressesSet><interfaceType>interface</interfaceType></item>"
    )


@lru_cache(maxsize=None)
def _cpu_xml(instance_type: str) -> str:
    vcpus = market.type_info(instance_type).vcpus
    threads = 2 if vcpus % 2 == 0 and not re.match(r"[a-z]+\d+[a-z]*g", instance_type) else 1
    return f"<cpuOptions><coreCount>{vcpus // threads}</coreCount><threadsPerCore>{threads}</threadsPerCore></cpuOptions>"


def instance_xml(
    backend: Any, instance: Instance, state: tuple[int, str] | None = None, reservation: str | None = None
) -> str:
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
        f"<launchTime>{xml_time(instance.launch_time)}</launchTime><placement>",
        f"<availabilityZone>{record.pool[1]}</availabilityZone>",
        f"<availabilityZoneId>{market.zones(record.region)[record.pool[1]]}</availabilityZoneId>",
        "<groupName/><tenancy>default</tenancy></placement>",
        f"<monitoring><state>{instance.monitoring_state}</state></monitoring>",
        f"<architecture>{instance.architecture}</architecture><rootDeviceType>ebs</rootDeviceType>",
        f"<rootDeviceName>{instance.root_device_name}</rootDeviceName>",
        f"<virtualizationType>hvm</virtualizationType><clientToken>{escape(instance.client_token or '')}</clientToken>",
        f"<hypervisor>xen</hypervisor><ebsOptimized>{str(bool(instance.ebs_optimized)).lower()}</ebsOptimized>",
        "<enaSupport>true</enaSupport><platformDetails>Linux/UNIX</platformDetails>",
        "<usageOperation>RunInstances</usageOperation>",
        _cpu_xml(instance.instance_type),
        "<hibernationOptions><configured>false</configured>",
        "</hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions>",
    ]
    if instance.key_name:
        out.append(f"<keyName>{escape(instance.key_name)}</keyName>")
    if record.spot_request:
        out.append("<instanceLifecycle>spot</instanceLifecycle>")
        out.append(f"<spotInstanceRequestId>{record.spot_request}</spotInstanceRequestId>")
    if reservation:
        out.append(f"<capacityReservationId>{reservation}</capacityReservationId>")
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
                f"<attachTime>{xml_time(instance.launch_time)}</attachTime>"
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


def reservation_xml(reservation: str, owner: str, items: Iterable[str]) -> str:
    return (
        f"<reservationId>{reservation}</reservationId><ownerId>{owner}</ownerId><groupSet/>"
        f"<instancesSet>{''.join(items)}</instancesSet>"
    )


def answer(operation: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{operation}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>{uuid.uuid4()}</requestId>{body}</{operation}Response>"
    )
