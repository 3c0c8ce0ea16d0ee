# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file system of EFS that an application's instances share is to be, and what it lacks of that.

Documents are those of the API: https://docs.aws.amazon.com/efs/latest/ug/API_Operations.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
TOKEN_LENGTH = 64
"""Characters of a creation token, and of a client token."""
COLD_AFTER = (0, 1, 7, 14, 30, 60, 90, 180, 270, 365)
"""Days without access after which files may go to Infrequent Access; 0 for never."""
MODE = "elastic"
ROOT = "/data"
"""The folder that the access point shows as the root; EFS makes it with its owner when it is first mounted."""


@dataclass(frozen=True, slots=True)
class Share:
    """A file system that is wanted. ``uid``: as whom, user and group, all access through its access point is made."""

    name: str
    token: str
    uid: int
    cold_after: int
    backup: bool
    kms_key: str | None = None

    @property
    def posix_user(self) -> dict[str, Any]:
        return {"Uid": self.uid, "Gid": self.uid}

    @property
    def root_directory(self) -> dict[str, Any]:
        return {"Path": ROOT, "CreationInfo": {"OwnerUid": self.uid, "OwnerGid": self.uid, "Permissions": "0770"}}

    @property
    def lifecycle(self) -> list[dict[str, str]]:
        """Files that nobody reads go to Infrequent Access, and come back when somebody does."""
        if not self.cold_after:
            return []
        days = f"AFTER_{self.cold_after}_DAY{'S' if self.cold_after > 1 else ''}"
        return [{"TransitionToIA": days}, {"TransitionToPrimaryStorageClass": "AFTER_1_ACCESS"}]


@dataclass(frozen=True, slots=True)
class State:
    """A file system as it is. ``targets``: the security groups of each mount target by its subnet."""

    id: str
    arn: str
    encrypted: bool
    kms_key: str | None
    mode: str
    lifecycle: Sequence[Mapping[str, str]]
    backup: bool
    tags: Mapping[str, str]
    targets: Mapping[str, frozenset[str]]
    access_points: Mapping[str, tuple[Mapping[str, Any], str]]
    """POSIX user and path of each, by its ARN."""
    policy: Mapping[str, Any] | None


def token_of(environment: str, app: str, name: str) -> str:
    """By which EFS knows the file system again, whoever asks. Raises ``ValueError`` where it would be too long."""
    token = f"{environment}-{app}-{name}"
    if len(token) > TOKEN_LENGTH:
        raise ValueError(f"the file system would be called {token}, with {len(token)} characters: EFS allows {TOKEN_LENGTH}; shorten its name")
    return token


def problems(share: Share) -> list[str]:
    """What is wrong with a share that is wanted."""
    found = []
    if not NAME.fullmatch(share.name):
        found.append(f"the name {share.name!r} must start with a letter and hold at most 20 lower-case letters, digits and '-'")
    if not 1 <= share.uid <= 65533:
        found.append(f"uid of {share.name} is {share.uid}: it must be from 1 to 65533")
    if share.cold_after not in COLD_AFTER:
        found.append(f"cold_after_days of {share.name} is {share.cold_after}: EFS knows {', '.join(map(str, COLD_AFTER))}")
    return found


def unlike(share: Share, state: State, owner: Mapping[str, str]) -> str | None:
    """Why a file system that has the share's token cannot be it, ``None`` where it can. ``owner``: the tags that ours has."""
    foreign = {key: value for key, value in owner.items() if state.tags.get(key, value) != value}
    if foreign:
        return f"{state.id} has the creation token {share.token}, and is another's by its tags {', '.join(sorted(foreign))}: choose another name"
    if not state.encrypted:
        return f"{state.id} is not encrypted, which cannot be changed: copy what it has to one with another name"
    if share.kms_key and ":key/" in share.kms_key and share.kms_key != state.kms_key:
        return f"{state.id} is encrypted with {state.kms_key}, which cannot be changed: leave kms_key as it was, or choose another name"
    return None


def policy_of(arn: str, role: str, access_points: Sequence[str]) -> dict[str, Any]:
    """Who may mount the file system: the role, through one of the access points, and nobody without TLS."""
    mounted = {"elasticfilesystem:AccessedViaMountTarget": "true"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "InstancesThroughTheAccessPoint",
                "Effect": "Allow",
                "Principal": {"AWS": role},
                "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
                "Resource": arn,
                "Condition": {"Bool": mounted, "StringEquals": {"elasticfilesystem:AccessPointArn": sorted(access_points)}},
            },
            {
                "Sid": "NobodyWithoutTls",
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "*",
                "Resource": arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def access_point_of(share: Share, state: State | None) -> str | None:
    """The ARN of the access point for a share, ``None`` where there is none yet. Of several, the same one each time."""
    points = state.access_points if state else {}
    return min((arn for arn, (user, path) in points.items() if path == ROOT and dict(user) == share.posix_user), default=None)


def client_token(share: Share, file_system: str) -> str:
    """With which an access point is made once, also by two runs at once."""
    return sha256(f"{file_system} {share.posix_user} {share.root_directory}".encode()).hexdigest()[:TOKEN_LENGTH]
