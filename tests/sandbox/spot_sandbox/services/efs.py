"""EFS: what takes time, what is made once for a token, what is refused, and the operations that moto lacks.

A file system and a mount target are ``creating``, and a mount target ``deleting``, for some seconds, none where no control says otherwise.
moto has neither UpdateFileSystem, PutBackupPolicy nor DeleteFileSystemPolicy, forgets no tags, lists access points of what is not there,
makes a second access point when a call is repeated with its client token, takes mount targets for a file system that is not
available yet, and any document for a policy.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.efs.exceptions import FileSystemNotFound, MountTargetNotFound
from moto.efs.models import EFSBackend, FileSystem, MountTarget
from moto.efs.responses import TYPE_RESPONSE, EFSResponse
from moto.iam.models import iam_backends

from spot_sandbox import ACCOUNT, clock

PACE = {"creating": 0.0, "deleting": 0.0}
"""Seconds of each state, where a control does not say otherwise."""
FIELDS = {"kms_key_id": "KmsKeyId", "provisioned_throughput_in_mibps": "ProvisionedThroughputInMibps", "availability_zone_name": "AvailabilityZoneName"}
"""What is not shown where it is not set."""
MODES = ("bursting", "provisioned", "elastic")

_pace = dict(PACE)


def reset() -> None:
    _pace.update(PACE)


class Refused(JsonRESTError):
    """A refusal of EFS, with its code and status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = status


def _become(one: Any, first: str, then: str) -> None:
    """Let something be in a state, and later in another."""
    if _pace[first]:
        one.life_cycle_state = first
        clock.call_later(_pace[first], setattr, one, "life_cycle_state", then)


class Efs(EFSResponse):
    """EFS's operations."""

    def create_file_system(self) -> TYPE_RESPONSE:
        token = self._get_param("CreationToken")
        for known in self.efs_backend.file_systems_by_id.values():
            if known.creation_token == token:
                body = {"ErrorCode": "FileSystemAlreadyExists", "FileSystemId": known.file_system_id, "Message": "the token is in use"}
                raise Refused("FileSystemAlreadyExists", json.dumps(body), 409)
        answer = super().create_file_system()
        made = self._file_system(json.loads(answer[0])["FileSystemId"])
        if made.encrypted and not made.kms_key_id:
            made.kms_key_id = f"arn:aws:kms:{self.region}:{ACCOUNT}:key/aws-elasticfilesystem"
        _become(made, "creating", "available")
        return json.dumps(_shown(made)), answer[1]

    def describe_file_systems(self) -> TYPE_RESPONSE:
        body, headers = super().describe_file_systems()
        shown = json.loads(body)
        for one in shown["FileSystems"]:
            one |= _shown(self._file_system(one["FileSystemId"]))
        shown["FileSystems"] = [_without_null(one) for one in shown["FileSystems"]]
        return json.dumps(shown), headers

    def update_file_system(self) -> TYPE_RESPONSE:
        found = self._available()
        mode = self._get_param("ThroughputMode") or found.throughput_mode
        if mode not in MODES:
            raise Refused("BadRequest", f"ThroughputMode {mode} is none of {', '.join(MODES)}")
        found.throughput_mode = mode
        return json.dumps(_shown(found)), {"status": 202, "Content-Type": "application/json"}

    def delete_file_system(self) -> TYPE_RESPONSE:
        name = self._file_system(self._get_param("FileSystemId")).file_system_id
        answer = super().delete_file_system()
        backend = self.efs_backend
        for one in [one for one in backend.access_points.values() if one.file_system_id == name]:
            self._forget(one.access_point_id)
        backend.tagging_service.delete_all_tags_for_resource(name)
        return answer

    def put_backup_policy(self) -> TYPE_RESPONSE:
        found = self._available()
        status = (self._get_param("BackupPolicy") or {}).get("Status")
        if status not in ("ENABLED", "DISABLED"):
            raise Refused("ValidationException", f"the status {status} is none of ENABLED, DISABLED")
        found._backup = status == "ENABLED"
        return json.dumps({"BackupPolicy": {"Status": status}}), {"Content-Type": "application/json"}

    def describe_backup_policy(self) -> TYPE_RESPONSE:
        self._file_system(self._get_param("FileSystemId"))
        return super().describe_backup_policy()

    def put_lifecycle_configuration(self) -> TYPE_RESPONSE:
        self._available()
        return super().put_lifecycle_configuration()

    def put_file_system_policy(self) -> TYPE_RESPONSE:
        self._available()
        _check_policy(self._get_param("Policy"))
        return super().put_file_system_policy()

    def describe_file_system_policy(self) -> TYPE_RESPONSE:
        self._file_system(self._get_param("FileSystemId"))
        return super().describe_file_system_policy()

    def create_mount_target(self) -> TYPE_RESPONSE:
        self._available()
        body, headers = super().create_mount_target()
        made = self.efs_backend.mount_targets_by_id[json.loads(body)["MountTargetId"]]
        _become(made, "creating", "available")
        return json.dumps(made.info_json()), headers

    def delete_mount_target(self) -> TYPE_RESPONSE:
        found = self.efs_backend.mount_targets_by_id.get(self._get_param("MountTargetId"))
        if found is None:
            raise MountTargetNotFound(self._get_param("MountTargetId"))
        if not _pace["deleting"]:
            return super().delete_mount_target()
        if found.life_cycle_state != "deleting":
            found.life_cycle_state = "deleting"
            clock.call_later(_pace["deleting"], _gone, self.efs_backend, found)
        return "{}", {"status": 204, "Content-Type": "application/json"}

    def create_access_point(self) -> TYPE_RESPONSE:
        file_system = self._available()
        token, user, root = (self._get_param(name) for name in ("ClientToken", "PosixUser", "RootDirectory"))
        for known in self.efs_backend.access_points.values():
            if known.client_token != token:
                continue
            if (known.file_system_id, known.posix_user, known.root_directory) != (file_system.file_system_id, user, root or {"Path": "/"}):
                raise Refused("AccessPointAlreadyExists", "The client token is of another access point.", 409)
            return json.dumps(known.info_json()), {"Content-Type": "application/json"}
        return super().create_access_point()

    def describe_access_points(self) -> TYPE_RESPONSE:
        if name := self._get_param("FileSystemId"):
            self._file_system(name)
        return super().describe_access_points()

    def delete_access_point(self) -> TYPE_RESPONSE:
        name = self._get_param("AccessPointId")
        if name not in self.efs_backend.access_points:
            raise Refused("AccessPointNotFound", f"Access Point {name} does not exist.", 404)
        self._forget(name)
        return "{}", {"status": 204, "Content-Type": "application/json"}

    def _forget(self, access_point: str) -> None:
        self.efs_backend.delete_access_point(access_point)
        self.efs_backend.tagging_service.delete_all_tags_for_resource(access_point)

    def _file_system(self, name: str) -> FileSystem:
        found = self.efs_backend.file_systems_by_id.get(name)
        if found is None:
            raise FileSystemNotFound(name)
        return found

    def _available(self) -> FileSystem:
        found = self._file_system(self._get_param("FileSystemId"))
        if found.life_cycle_state != "available":
            raise Refused("IncorrectFileSystemLifeCycleState", f"{found.file_system_id} is {found.life_cycle_state}.", 409)
        return found


def _shown(found: FileSystem) -> dict[str, Any]:
    """As EFS shows it."""
    return _without_null({**found.info_json(), "CreationTime": found.creation_time})


def _without_null(shown: dict[str, Any]) -> dict[str, Any]:
    hidden = ("Backup", "LifecyclePolicies", "FileSystemPolicy")
    return {key: value for key, value in shown.items() if key not in hidden and not (key in FIELDS.values() and value is None)}


def _check_policy(text: str) -> None:
    """Refuse a document that is none, or that names a role that is not there, as EFS does."""
    try:
        statements = json.loads(text)["Statement"]
    except (ValueError, KeyError, TypeError):
        raise Refused("InvalidPolicyException", "The policy is no JSON document with statements.") from None
    roles = {role.arn for role in iam_backends[ACCOUNT]["aws"].get_roles()}
    for statement in statements:
        principals = (statement.get("Principal") or {}).get("AWS", []) if isinstance(statement.get("Principal"), dict) else []
        for principal in [principals] if isinstance(principals, str) else principals:
            if re.match(r"arn:[a-z-]+:iam::\d+:role/", principal) and principal not in roles:
                raise Refused("InvalidPolicyException", f"The principal {principal} does not exist.")


def _gone(backend: EFSBackend, target: MountTarget) -> None:
    if target.mount_target_id in backend.mount_targets_by_id:
        backend.delete_mount_target(target.mount_target_id)


def pace(body: dict[str, Any]) -> dict[str, Any]:
    """``POST /sandbox/efs``: how many seconds each state lasts."""
    unknown = sorted(set(body) - set(PACE))
    if unknown:
        raise ValueError(f"there is no {', '.join(unknown)}; there are {', '.join(PACE)}")
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 for value in body.values()):
        raise ValueError("seconds are numbers, 0 or more")
    _pace.update(body)
    return dict(_pace)


CONTROL = {"POST /sandbox/efs": pace}
RESPONSES = {"elasticfilesystem": Efs}
