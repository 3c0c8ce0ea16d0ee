"""Which instances a call means: by ids, filters and pages."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models.instances import Instance
from spot_sandbox import market
from spot_sandbox.services import lookups
from spot_sandbox.services.instances.answers import xml_time
from spot_sandbox.services.instances.records import RECORDS, backend_of, forget_ended


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
    "launch-time": lambda b, i: xml_time(i.launch_time),
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


def filtered(backend: Any, instances: Iterator[Instance], filters: list[dict[str, Any]]) -> Iterator[Instance]:
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
    forget_ended(region)
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
