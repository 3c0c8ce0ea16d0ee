"""moto's look-ups by id, its tags and its images in constant time.

With 5,000 instances in a region each of moto's scans takes tens of milliseconds, and there are several in every call.
"""

from __future__ import annotations

from typing import Any

import moto.ec2.utils
from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.tags import TagBackend
from moto.moto_api._internal import mock_random

_describe_images = AmiBackend.describe_images
_describe_tags = TagBackend.describe_tags
_describe_volumes = EBSBackend.describe_volumes


def find_instance(backend: Any, instance_id: str) -> Instance | None:
    """The instance; one that is being made is found too, in the newest reservation."""
    index: dict[str, Instance] = backend.__dict__.setdefault("_instances_by_id", {})
    if instance_id not in index:
        for reservation in reversed(backend.reservations.values()):
            for instance in reversed(reservation.instances):
                if instance.id == instance_id:
                    index[instance_id] = instance
                    return instance
        return None
    return index[instance_id]


def forget_instance(backend: Any, instance_id: str) -> None:
    """The instance is no longer shown; its tags go with it."""
    backend.__dict__.setdefault("_instances_by_id", {}).pop(instance_id, None)
    backend.tags.pop(instance_id, None)


def get_instance(self: InstanceBackend, instance_id: str) -> Instance:
    instance = find_instance(self, instance_id)
    if instance is None:
        raise InvalidInstanceIdError(instance_id)
    return instance


def get_multi_instances_by_id(self: InstanceBackend, instance_ids: list[str], filters: Any = None) -> list[Instance]:
    found = {instance_id: find_instance(self, instance_id) for instance_id in instance_ids}
    if missing := [instance_id for instance_id, instance in found.items() if instance is None]:
        raise InvalidInstanceIdError(missing)
    return [instance for instance in found.values() if instance and instance.applies(filters)]


def describe_tags(self: TagBackend, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
    ids = (filters or {}).get("resource-id")
    if not ids or any("*" in i or "?" in i for i in ids):
        return _describe_tags(self, filters)
    part = TagBackend()
    part.tags.update({i: self.tags[i] for i in ids if i in self.tags})
    return _describe_tags(part, filters)


def describe_images(self: AmiBackend, ami_ids: Any = None, filters: Any = None, *args: Any, **kwargs: Any) -> Any:
    wanted = (filters or {}).get("image-id")
    if not ami_ids and isinstance(wanted, str) and len(filters) == 1 and not args and not kwargs:
        return [self.amis[wanted]] if wanted in self.amis else []
    return _describe_images(self, ami_ids, filters, *args, **kwargs)


def describe_volumes(self: EBSBackend, volume_ids: list[str] | None = None, filters: Any = None) -> list[Any]:
    if not volume_ids or filters or any(v not in self.volumes for v in volume_ids):
        return _describe_volumes(self, volume_ids, filters)
    return [self.volumes[v] for v in dict.fromkeys(volume_ids)]


def random_resource_id(size: int = 8) -> str:
    return f"{mock_random.getrandbits(4 * size):0{size}x}"


InstanceBackend.get_instance = get_instance  # type: ignore[method-assign]
InstanceBackend.get_instance_by_id = find_instance  # type: ignore[method-assign]
InstanceBackend.get_multi_instances_by_id = get_multi_instances_by_id  # type: ignore[method-assign]
TagBackend.describe_tags = describe_tags  # type: ignore[method-assign]
AmiBackend.describe_images = describe_images  # type: ignore[method-assign]
EBSBackend.describe_volumes = describe_volumes  # type: ignore[method-assign]
moto.ec2.utils.random_resource_id = random_resource_id
