# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, roles and instance profiles of IAM: when they were last used, their keys, and what their policies give too widely.

One list of IAM has all of them with all policies, however many there are; only the keys of users are asked one by one.
Required IAM actions: ``iam:GetAccountAuthorizationDetails``, ``iam:ListAccessKeys``, ``iam:GetAccessKeyLastUsed``,
``iam:GetUser``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import Part, Wanted, tags_of
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import moment
from ansible_collections.spot.platform.plugins.module_utils.engine import policies
from ansible_collections.spot.platform.plugins.module_utils.engine.estate import DAY, WORST_FIRST

GLOBAL = "/aws-service-role/"
"""The path of the roles that AWS makes and keeps for its own services."""
PAGE = 300


class Accounts:
    """What is read of IAM, which has no regions: it is asked in the first one."""

    def __init__(self, wanted: Wanted, now: datetime) -> None:
        self._wanted, self._now = wanted, now
        self._region = wanted.regions[0]
        self._users: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, dict[str, Any]] = {}
        self._roles: dict[str, dict[str, Any]] = {}
        self._policies: dict[str, Any] = {}
        self._keys: dict[str, list[dict[str, Any]]] = {}
        self._passwords: dict[str, datetime | None] = {}

    def parts(self) -> Iterator[Part]:
        """What to read first."""
        yield self._region, "iam", "service accounts", self._read

    def then(self) -> Iterator[Part]:
        """What to read of the users that were found."""
        for name in self._users:

            def keys(client: Any, name: str = name) -> None:
                self._read_keys(client, name)

            yield self._region, "iam", f"the access keys of {name}", keys

    def rows(self) -> list[dict[str, Any]]:
        """The service accounts; those to look at first at the top."""
        rows = [*map(self._user, self._users.values())]
        for role in self._roles.values():
            rows += self._role(role)
        order = {"user": 0, "role": 1, "instance_profile": 2}
        return sorted(rows, key=lambda row: (WORST_FIRST.index(row["severity"]), order[row["kind"]], row["name"]))

    def _read(self, client: Any) -> None:
        pages = client.get_paginator("get_account_authorization_details").paginate(
            Filter=["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"],
            PaginationConfig={"PageSize": PAGE},
        )
        for page in pages:
            for user in page.get("UserDetailList", ()):
                if self._wanted.has(tags_of(user)):
                    self._users[user["UserName"]] = user
            for role in page.get("RoleDetailList", ()):
                if self._wanted.has(tags_of(role)) and not role.get("Path", "/").startswith(GLOBAL):
                    self._roles[role["RoleName"]] = role
            for group in page.get("GroupDetailList", ()):
                self._groups[group["GroupName"]] = group
            for policy in page.get("Policies", ()):
                # The documents of one version are kept, already judged: there are hundreds of large ones.
                valid = next((one for one in policy.get("PolicyVersionList", ()) if one.get("IsDefaultVersion")), None)
                if valid:
                    name = f"the managed policy {policy['PolicyName']}"
                    self._policies[policy["Arn"]] = policies.of_policy(document_of(valid.get("Document")), name)

    def _read_keys(self, client: Any, name: str) -> None:
        found = []
        pages = client.get_paginator("list_access_keys").paginate(UserName=name)
        for key in (one for page in pages for one in page["AccessKeyMetadata"]):
            used = client.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
            found.append({**key, "used": used.get("LastUsedDate"), "used_in": used.get("Region")})
        self._keys[name] = found
        self._passwords[name] = client.get_user(UserName=name)["User"].get("PasswordLastUsed")

    def _days(self, since: datetime | None) -> float | None:
        return None if since is None else max(0.0, (self._now - since).total_seconds() / DAY)

    def _granted(self, one: Mapping[str, Any], what: str) -> list[policies.Finding]:
        """What the policies of a user, group or role give too widely."""
        found: list[policies.Finding] = []
        for inline in one.get(f"{what}PolicyList", ()):
            name = f"the inline policy {inline['PolicyName']}"
            found += policies.of_policy(document_of(inline.get("PolicyDocument")), name)
        for attached in one.get("AttachedManagedPolicies", ()):
            if attached["PolicyArn"] in self._policies:
                found += self._policies[attached["PolicyArn"]]
        boundary = one.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        if boundary and not any(finding.severity == "problem" for finding in self._policies.get(boundary, ())):
            said = f" (within the permissions boundary {boundary.rpartition('/')[2]})"
            found = [policies.Finding("warning", finding.text + said) for finding in found]
        return found

    def _user(self, user: Mapping[str, Any]) -> dict[str, Any]:
        name = user["UserName"]
        keys = self._keys.get(name, [])
        findings = self._granted(user, "User")
        for group in user.get("GroupList", ()):
            if group in self._groups:
                granted = self._granted(self._groups[group], "Group")
                findings += [policies.Finding(one.severity, f"by its group {group}: {one.text}") for one in granted]
        findings += policies.of_keys(
            policies.Key(
                key["AccessKeyId"],
                self._days(key["CreateDate"]) or 0.0,
                self._days(key["used"]),
                key["Status"] == "Active",
            )
            for key in keys
        )
        used = [(key["used"], key["used_in"]) for key in keys if key["used"]]
        password = self._passwords.get(name)
        used += [(password, None)] if password else []
        last, where = max(used, key=lambda one: one[0], default=(None, None))
        shown = [
            {
                "id": key["AccessKeyId"],
                "age_days": round(self._days(key["CreateDate"]) or 0.0, 1),
                "last_used_at": moment(key["used"]),
                "active": key["Status"] == "Active",
            }
            for key in keys
        ]
        return self._row("user", name, user["Arn"], user, last, where, shown, findings)

    def _role(self, role: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A role, and each instance profile that hands it to instances."""
        last = role.get("RoleLastUsed", {}).get("LastUsedDate")
        where = role.get("RoleLastUsed", {}).get("Region")
        findings = policies.of_trust(document_of(role.get("AssumeRolePolicyDocument")))
        findings += self._granted(role, "Role")
        findings += policies.of_use(self._days(role.get("CreateDate")), self._days(last))
        rows = [self._row("role", role["RoleName"], role["Arn"], role, last, where, [], findings)]
        for profile in role.get("InstanceProfileList", ()):
            note = [policies.Finding(one.severity, f"by its role {role['RoleName']}: {one.text}") for one in findings]
            made = {**role, "CreateDate": profile.get("CreateDate")}
            rows.append(
                self._row(
                    "instance_profile", profile["InstanceProfileName"], profile["Arn"], made, last, where, [], note
                )
            )
        return rows

    @staticmethod
    def _row(
        kind: str,
        name: str,
        arn: str,
        item: Mapping[str, Any],
        last: datetime | None,
        where: str | None,
        keys: list[dict[str, Any]],
        findings: Iterable[policies.Finding],
    ) -> dict[str, Any]:
        own = tags_of(item)
        found = sorted(dict.fromkeys(findings), key=lambda one: WORST_FIRST.index(one.severity))
        return {
            "kind": kind,
            "name": name,
            "arn": arn,
            "app": own.get(ours.APP),
            "environment": own.get(ours.ENVIRONMENT),
            "created_at": moment(item.get("CreateDate")),
            "last_used_at": moment(last),
            "last_used_region": where or None,
            "keys": keys,
            "findings": [finding.text for finding in found],
            "severity": policies.worst(found),
        }


def document_of(document: Any) -> Any:
    """A policy document, which botocore reads where it knows it for one, and IAM writes as a quoted text."""
    if not isinstance(document, str):
        return document
    try:
        return json.loads(unquote(document))
    except ValueError:
        return None
