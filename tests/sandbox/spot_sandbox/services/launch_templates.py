"""Launch templates: what moto stores beside the point.

moto adds the template's own tags to what it tags instances with, shows at most 15 templates and the tags of its
creation, has no DeleteLaunchTemplateVersions, and makes a second template when a call is repeated with
its client token.
"""

from __future__ import annotations

import base64
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses import EC2Response
from moto.ec2.utils import parse_user_data

from spot_sandbox.services.ec2 import Page

LONGEST_USER_DATA = 16384
"""Bytes, without base64."""

_made: dict[tuple[str, str], str] = {}
"""(region, client token) -> template id"""


def reset() -> None:
    _made.clear()


def _create_version(self: LaunchTemplate, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """Numbers are never used again, also after versions were deleted."""
    number = self.__dict__.get("_last_number", 0) + 1
    self.__dict__["_last_number"] = number
    version = LaunchTemplateVersion(self, number, data, description)
    self.versions.append(version)
    return version


def _get_version(self: LaunchTemplate, number: Any) -> LaunchTemplateVersion:
    wanted = {"$latest": self.versions[-1].number, "$default": self.default_version_number}.get(
        str(number).lower(), number
    )
    for version in self.versions:
        if str(version.number) == str(wanted):
            return version
    raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=number)


LaunchTemplate.create_version = _create_version
LaunchTemplate.get_version = _get_version
LaunchTemplate.default_version = lambda self: _get_version(self, "$Default")


class LaunchTemplates(EC2Response):
    def create_launch_template(self) -> ActionResult:
        self.error_on_dryrun()
        key = (self.region, self._get_param("ClientToken") or "")
        known = self.ec2_backend.launch_templates.get(_made.get(key))
        template = known or self.ec2_backend.create_launch_template(
            self._get_param("LaunchTemplateName"),
            self._get_param("VersionDescription"),
            self._data(),
            self._parse_tag_specification(),
        )
        if key[1]:
            _made[key] = template.id
        return ActionResult({"LaunchTemplate": self._shown(template)})

    def create_launch_template_version(self) -> ActionResult:
        self.error_on_dryrun()
        template = self._template()
        data = self._data()
        if source := self._get_param("SourceVersion"):
            data = {**template.get_version(source).data, **data}
        version = template.create_version(data, self._get_param("VersionDescription"))
        return ActionResult({"LaunchTemplateVersion": self._shown_version(template, version)})

    def describe_launch_templates(self) -> ActionResult:
        self.error_on_dryrun()
        page = Page(self.params, default=200, least=1, most=200)
        templates = self.ec2_backend.describe_launch_templates(
            template_names=self._get_param("LaunchTemplateNames", []),
            template_ids=self._get_param("LaunchTemplateIds", []),
            filters=self._filters_from_querystring(),
        )
        rows, token = page.cut(templates)
        return ActionResult({"LaunchTemplates": [self._shown(t) for t in rows], "NextToken": token or None})

    def describe_launch_template_versions(self) -> ActionResult:
        self.error_on_dryrun()
        page = Page(self.params, default=200, least=1, most=200)
        found = self.ec2_backend.describe_launch_template_versions(
            template_name=self._get_param("LaunchTemplateName"),
            template_id=self._get_param("LaunchTemplateId"),
            versions=self._get_param("Versions", []),
            min_version=None,
            max_version=None,
            max_results=None,
        )
        least, most = int(self._get_param("MinVersion") or 1), int(self._get_param("MaxVersion") or 10**9)
        rows, token = page.cut([(t, v) for t, v in found if least <= v.number <= most])
        shown = [self._shown_version(template, version) for template, version in rows]
        return ActionResult({"LaunchTemplateVersions": shown, "NextToken": token or None})

    def delete_launch_template_versions(self) -> ActionResult:
        self.error_on_dryrun()
        template = self._template()
        done, failed = [], []
        for number in self._get_param("Versions", []):
            entry = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": int(number)}
            try:
                version = template.get_version(number)
            except EC2ClientError as missing:
                why = {"Code": "launchTemplateVersionDoesNotExist", "Message": missing.message}
                failed.append({**entry, "ResponseError": why})
                continue
            if template.is_default(version):
                why = {
                    "Code": "unexpectedError",
                    "Message": "The default version of a launch template cannot be deleted.",
                }
                failed.append({**entry, "ResponseError": why})
                continue
            template.versions.remove(version)
            done.append(entry)
        return ActionResult(
            {"SuccessfullyDeletedLaunchTemplateVersions": done, "UnsuccessfullyDeletedLaunchTemplateVersions": failed}
        )

    def _template(self) -> LaunchTemplate:
        if name := self._get_param("LaunchTemplateName"):
            return self.ec2_backend.get_launch_template_by_name(name)
        return self.ec2_backend.get_launch_template(self._get_param("LaunchTemplateId"))

    def _data(self) -> dict[str, Any]:
        data = dict(self._get_param("LaunchTemplateData", {}))
        if data.get("UserData") is not None and not isinstance(data["UserData"], Base64EncodedString):
            data["UserData"] = parse_user_data(data["UserData"])
        if len(base64.b64decode(str(data.get("UserData") or ""))) > LONGEST_USER_DATA:
            raise EC2ClientError("InvalidUserData.Malformed", f"User data is limited to {LONGEST_USER_DATA} bytes")
        return data

    def _creator(self) -> str:
        return f"arn:{self.partition}:iam::{self.current_account}:root"

    def _shown(self, template: LaunchTemplate) -> dict[str, Any]:
        return {
            "CreateTime": template.create_time,
            "CreatedBy": self._creator(),
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.latest_version_number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.get_tags(),
        }

    def _shown_version(self, template: LaunchTemplate, version: LaunchTemplateVersion) -> dict[str, Any]:
        return {
            "CreateTime": version.create_time,
            "CreatedBy": self._creator(),
            "DefaultVersion": template.is_default(version),
            "LaunchTemplateData": version.data,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionDescription": version.description,
            "VersionNumber": version.number,
        }


RESPONSES = {"ec2": LaunchTemplates}
