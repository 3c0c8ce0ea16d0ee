# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of EFS: observed, made what they are to be, and removed, with their mount targets, access points and policies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.policy import compare_policies
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list, boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine import shares as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.shares import Share, State

CREATING, AVAILABLE, DELETING = "creating", "available", "deleting"
NEW_ROLE_SECONDS = 60
"""For how long EFS may not know a role that was just made."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the file systems are to be reached, and by whom. ``owner``: the tags of the application."""

    owner: Mapping[str, str]
    subnets: Sequence[str]
    groups: frozenset[str]
    role: str
    act: bool
    seconds: float


@dataclass(slots=True)
class Done:
    """A file system, and what was done to it, in check mode what would be."""

    name: str
    id: str | None = None
    arn: str | None = None
    access_point: str | None = None
    targets: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    @property
    def created(self) -> bool:
        return "create the file system" in self.steps


def ensure(client: Any, share: Share, place: Place) -> Done:
    """Make a share what it is to be. Raises ``ValueError`` where a file system has its token and cannot be it."""
    done = Done(share.name)
    found = _by_token(client, share.token)
    if found and found["LifeCycleState"] == DELETING:
        _until(lambda: _by_token(client, share.token) is None, place.seconds, f"{found['FileSystemId']} is still being deleted")
        found = None
    if found is None:
        done.steps.append("create the file system")
        if not place.act:
            done.steps += [*(f"create the mount target in {one}" for one in place.subnets), "create the access point", "set the policy"]
            return done
        found = _create(client, share, place.owner)
    done.id, done.arn = found["FileSystemId"], found["FileSystemArn"]
    if found["LifeCycleState"] == CREATING:
        _until(lambda: _by_id(client, done.id)["LifeCycleState"] == AVAILABLE, place.seconds, f"{done.id} is not available yet")
    state = observe(client, _by_id(client, done.id))
    wrong = engine.unlike(share, state, place.owner)
    if wrong:
        raise ValueError(wrong)
    _configure(client, share, state, place, done)
    _reach(client, state, place, done)
    _guard(client, share, state, place, done)
    return done


def settle(client: Any, made: Sequence[Done], seconds: float) -> None:
    """Wait until all mount targets can be mounted."""
    for one in made:
        name = one.id
        if any(step.startswith("create the mount target") for step in one.steps):
            _until(
                lambda name=name: all(target["LifeCycleState"] == AVAILABLE for target in _targets(client, name)),
                seconds,
                f"the mount targets of {name} are not available yet",
            )


def remove(client: Any, owner: Mapping[str, str], act: bool, delete_data: bool, seconds: float) -> list[Done]:
    """Remove what reaches the file systems of an application, and with ``delete_data`` these as well, with all that they hold."""
    made = []
    for found in _all(client):
        labels = boto3_tag_list_to_ansible_dict(found.get("Tags", []))
        if found["LifeCycleState"] == DELETING or any(labels.get(key) != value for key, value in owner.items()):
            continue
        name = found["FileSystemId"]
        done = Done(labels.get("Name", found["CreationToken"]), name, found["FileSystemArn"])
        for point in _access_points(client, name):
            done.steps.append(f"delete the access point {point['AccessPointId']}")
            if act:
                _ignore_gone(_delete_access_point, client, point["AccessPointId"])
        for target in _targets(client, name):
            if target["LifeCycleState"] != DELETING:
                done.steps.append(f"delete the mount target {target['MountTargetId']}")
                if act:
                    _ignore_gone(_delete_mount_target, client, target["MountTargetId"])
        if delete_data:
            done.steps.append("delete the file system")
        made.append(done)
    if act:
        for done in made:
            _until(lambda name=done.id: not _targets(client, name), seconds, f"the mount targets of {done.id} are still there")
            if delete_data:
                _ignore_gone(_delete_file_system, client, done.id)
    return made


def observe(client: Any, found: Mapping[str, Any]) -> State:
    """All that there is to know of a file system that is available."""
    name = found["FileSystemId"]
    targets = {one["SubnetId"]: frozenset(_groups(client, one["MountTargetId"])) for one in _targets(client, name) if one["LifeCycleState"] != DELETING}
    points = [one for one in _access_points(client, name) if one["LifeCycleState"] in (CREATING, AVAILABLE)]
    return State(
        id=name,
        arn=found["FileSystemArn"],
        encrypted=bool(found.get("Encrypted")),
        kms_key=found.get("KmsKeyId"),
        mode=found.get("ThroughputMode", ""),
        lifecycle=_lifecycle(client, name),
        backup=_backup(client, name) in ("ENABLED", "ENABLING"),
        tags=boto3_tag_list_to_ansible_dict(found.get("Tags", [])),
        targets=targets,
        access_points={one["AccessPointArn"]: (one.get("PosixUser") or {}, (one.get("RootDirectory") or {}).get("Path", "/")) for one in points},
        policy=_policy(client, name),
    )


def _configure(client: Any, share: Share, state: State, place: Place, done: Done) -> None:
    """Throughput, life cycle, backups and tags."""
    if state.mode != engine.MODE:
        _step(place, done, "set the throughput mode", lambda: _set_mode(client, state.id))
    if sorted(map(str, state.lifecycle)) != sorted(map(str, share.lifecycle)):
        _step(place, done, "set the life cycle", lambda: _set_lifecycle(client, state.id, share.lifecycle))
    if state.backup != share.backup:
        _step(place, done, "set the backups", lambda: _set_backup(client, state.id, share.backup))
    wanted = {**place.owner, "Name": share.token}
    if any(state.tags.get(key) != value for key, value in wanted.items()):
        _step(place, done, "set the tags", lambda: _tag(client, state.id, wanted))


def _reach(client: Any, state: State, place: Place, done: Done) -> None:
    """A mount target in each subnet, for the security groups."""
    for subnet in place.subnets:
        if subnet not in state.targets:
            _step(place, done, f"create the mount target in {subnet}", lambda subnet=subnet: _create_target(client, state.id, subnet, place.groups))
    for target in _targets(client, state.id):
        if target["SubnetId"] in place.subnets and target["SubnetId"] in state.targets and state.targets[target["SubnetId"]] != place.groups:
            text = f"set the security groups of {target['MountTargetId']}"
            _step(place, done, text, lambda name=target["MountTargetId"]: _set_groups(client, name, place.groups))
    done.targets = sorted({*state.targets, *place.subnets})


def _guard(client: Any, share: Share, state: State, place: Place, done: Done) -> None:
    """The access point, and the policy that lets nobody in but through it."""
    points = set(state.access_points)
    done.access_point = engine.access_point_of(share, state)
    if done.access_point is None:
        done.steps.append("create the access point")
        if not place.act:
            return
        done.access_point = _create_access_point(client, share, state.id, place.owner)["AccessPointArn"]
        points.add(done.access_point)
    wanted = engine.policy_of(state.arn, place.role, sorted(points))
    if compare_policies(state.policy or {}, wanted):
        _step(place, done, "set the policy", lambda: _set_policy_of_new_role(client, state.id, wanted))


def _step(place: Place, done: Done, text: str, work: Callable[[], Any]) -> None:
    done.steps.append(text)
    if place.act:
        work()


def _until(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait. Raises ``ValueError`` where the time does not suffice."""
    end, pause = time.monotonic() + seconds, 0.5
    while not true():
        if time.monotonic() >= end:
            raise ValueError(f"{otherwise} after {seconds:g} s: run it again later, or raise wait_timeout")
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(10.0, pause * 1.5)


def _ignore_gone(work: Callable[[Any, str], Any], client: Any, name: str) -> None:
    try:
        work(client, name)
    except AwsError as error:
        if error.code not in ("FileSystemNotFound", "MountTargetNotFound", "AccessPointNotFound"):
            raise


def _create_target(client: Any, name: str, subnet: str, groups: frozenset[str]) -> None:
    """A mount target, unless another run has just made it, or this one, whose answer was lost."""
    try:
        _create_mount_target(client, name, subnet, groups)
    except AwsError as error:
        if error.code != "MountTargetConflict" or subnet not in [one["SubnetId"] for one in _targets(client, name)]:
            raise


def _create(client: Any, share: Share, owner: Mapping[str, str]) -> Mapping[str, Any]:
    """A file system, with its tags from the first moment. Where another run has just made it, that one."""
    try:
        return _create_file_system(client, share, {**owner, "Name": share.token})
    except AwsError as error:
        found = _by_token(client, share.token)
        if error.code != "FileSystemAlreadyExists" or found is None:
            raise
        return found


def _set_policy_of_new_role(client: Any, name: str, policy: Mapping[str, Any]) -> None:
    """EFS takes a policy only when it knows the role, which takes a while for a new one."""
    end = time.monotonic() + NEW_ROLE_SECONDS
    while True:
        try:
            _set_policy(client, name, policy)
            return
        except AwsError as error:
            if error.code != "InvalidPolicyException" or time.monotonic() >= end:
                raise
        time.sleep(3)


def _by_token(client: Any, token: str) -> Mapping[str, Any] | None:
    return next(iter(_described(client, CreationToken=token)), None)


def _by_id(client: Any, name: str | None) -> Mapping[str, Any]:
    return _described(client, FileSystemId=name)[0]


def _all(client: Any) -> list[dict[str, Any]]:
    return _described(client)


@Errors.common_error_handler("list the file systems")
def _described(client: Any, **which: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_file_systems").paginate(**which)
    return [one for page in pages for one in page["FileSystems"]]


@Errors.common_error_handler("list the mount targets")
def _targets(client: Any, name: str | None) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_mount_targets").paginate(FileSystemId=name)
    return sorted((one for page in pages for one in page["MountTargets"]), key=lambda one: one["MountTargetId"])


@Errors.common_error_handler("see the security groups of a mount target")
def _groups(client: Any, target: str) -> list[str]:
    return client.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"] or []


@Errors.common_error_handler("list the access points")
def _access_points(client: Any, name: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_access_points").paginate(FileSystemId=name)
    return sorted((one for page in pages for one in page["AccessPoints"]), key=lambda one: one["AccessPointId"])


@Errors.common_error_handler("see the life cycle of a file system")
def _lifecycle(client: Any, name: str) -> list[dict[str, str]]:
    return client.describe_lifecycle_configuration(FileSystemId=name)["LifecyclePolicies"]


def _backup(client: Any, name: str) -> str:
    try:
        return _backup_policy(client, name)["BackupPolicy"]["Status"]
    except AwsError as error:
        if error.code == "PolicyNotFound":
            return "DISABLED"
        raise


@Errors.common_error_handler("see the backups of a file system")
def _backup_policy(client: Any, name: str) -> Any:
    return client.describe_backup_policy(FileSystemId=name)


def _policy(client: Any, name: str) -> Mapping[str, Any] | None:
    try:
        return json.loads(_file_system_policy(client, name)["Policy"])
    except AwsError as error:
        if error.code == "PolicyNotFound":
            return None
        raise


@Errors.common_error_handler("see the policy of a file system")
def _file_system_policy(client: Any, name: str) -> Any:
    return client.describe_file_system_policy(FileSystemId=name)


@Errors.common_error_handler("create a file system")
def _create_file_system(client: Any, share: Share, labels: Mapping[str, str]) -> Any:
    key = {"KmsKeyId": share.kms_key} if share.kms_key else {}
    return client.create_file_system(
        CreationToken=share.token,
        PerformanceMode="generalPurpose",
        ThroughputMode=engine.MODE,
        Encrypted=True,
        Backup=share.backup,
        Tags=ansible_dict_to_boto3_tag_list(dict(labels)),
        **key,
    )


@Errors.common_error_handler("set the throughput mode of a file system")
def _set_mode(client: Any, name: str) -> Any:
    return client.update_file_system(FileSystemId=name, ThroughputMode=engine.MODE)


@Errors.common_error_handler("set the life cycle of a file system")
def _set_lifecycle(client: Any, name: str, policies: Sequence[Mapping[str, str]]) -> Any:
    return client.put_lifecycle_configuration(FileSystemId=name, LifecyclePolicies=list(policies))


@Errors.common_error_handler("set the backups of a file system")
def _set_backup(client: Any, name: str, backup: bool) -> Any:
    return client.put_backup_policy(FileSystemId=name, BackupPolicy={"Status": "ENABLED" if backup else "DISABLED"})


@Errors.common_error_handler("tag a file system")
def _tag(client: Any, name: str, labels: Mapping[str, str]) -> Any:
    return client.tag_resource(ResourceId=name, Tags=ansible_dict_to_boto3_tag_list(dict(labels)))


@Errors.common_error_handler("create a mount target")
def _create_mount_target(client: Any, name: str, subnet: str, groups: frozenset[str]) -> Any:
    return client.create_mount_target(FileSystemId=name, SubnetId=subnet, SecurityGroups=sorted(groups))


@Errors.common_error_handler("set the security groups of a mount target")
def _set_groups(client: Any, target: str, groups: frozenset[str]) -> Any:
    return client.modify_mount_target_security_groups(MountTargetId=target, SecurityGroups=sorted(groups))


@Errors.common_error_handler("create an access point")
def _create_access_point(client: Any, share: Share, name: str, owner: Mapping[str, str]) -> Any:
    return client.create_access_point(
        ClientToken=engine.client_token(share, name),
        FileSystemId=name,
        PosixUser=share.posix_user,
        RootDirectory=share.root_directory,
        Tags=ansible_dict_to_boto3_tag_list({**owner, "Name": share.token}),
    )


@Errors.common_error_handler("set the policy of a file system")
def _set_policy(client: Any, name: str, policy: Mapping[str, Any]) -> Any:
    return client.put_file_system_policy(FileSystemId=name, Policy=json.dumps(policy))


@Errors.common_error_handler("delete an access point")
def _delete_access_point(client: Any, name: str) -> Any:
    return client.delete_access_point(AccessPointId=name)


@Errors.common_error_handler("delete a mount target")
def _delete_mount_target(client: Any, name: str) -> Any:
    return client.delete_mount_target(MountTargetId=name)


@Errors.common_error_handler("delete a file system")
def _delete_file_system(client: Any, name: str) -> Any:
    return client.delete_file_system(FileSystemId=name)
