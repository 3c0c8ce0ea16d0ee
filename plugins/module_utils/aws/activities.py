# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS remembers of our resources: scaling activities, deployments, and calls with those who made them.

Required IAM actions: ``autoscaling:DescribeScalingActivities``, ``autoscaling:DescribeAutoScalingGroups``,
``codedeploy:ListDeployments``, ``codedeploy:BatchGetDeployments``, ``cloudtrail:LookupEvents``, ``tag:GetResources``.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import PAGE, instance_of, shortened
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks
from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import (
    TAGGED_PAGE,
    Failed,
    Gathering,
    Part,
    Wanted,
    tags_of,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import snake
from ansible_collections.spot.platform.plugins.module_utils.engine.activities import AUTOSCALING, CLOUDTRAIL, CODEDEPLOY

DEPLOYMENTS = 25
"""BatchGetDeployments takes at most this many ids."""
PAUSE = 0.55
"""Seconds between two calls of LookupEvents in a region, of which AWS takes two a second."""
TRAIL_PAGE = 50


@dataclass(frozen=True)
class Question:
    """What to ask for. ``known``: resources that are ours whatever AWS says of them now, with their application; ``pages`` of
    CloudTrail for each region at most; ``everything``: also what happened to what is not ours."""

    regions: Sequence[str]
    sources: frozenset[str]
    since: datetime
    apps: Sequence[str] = ()
    environment: str | None = None
    everything: bool = False
    pages: int = 10
    known: Mapping[str, str | None] = field(default_factory=dict)


@dataclass
class Answer:
    """The ``events``, and the ``run`` with what could not be read."""

    events: list[dict[str, Any]]
    run: Gathering


def observe(clients: Clients, question: Question) -> Answer:
    """The events of all regions, in no order. Raises nothing for what cannot be read."""
    wanted = Wanted(question.regions, question.apps, question.environment, everything=question.everything)
    run = Gathering(clients, wanted)
    regions = [_Region(name, question, wanted) for name in question.regions]
    run.then([part for region in regions for part in region.first()])
    run.then([part for region in regions for part in region.second()])
    for region in regions:
        region.settle()
    return Answer([event for region in regions for event in region.events], run)


class _Region:
    """One region: first whose everything is, then what happened to it."""

    def __init__(self, name: str, question: Question, wanted: Wanted) -> None:
        self.name, self._question, self._wanted = name, question, wanted
        self.events: list[dict[str, Any]] = []
        self._apps: dict[str, str | None] = dict(question.known)
        self._deployments: list[dict[str, Any]] = []
        self._calls: list[Mapping[str, Any]] = []

    def first(self) -> Iterator[Part]:
        yield self.name, "resourcegroupstaggingapi", "the tags of resources", self._read_tags
        yield self.name, "autoscaling", "the Auto Scaling groups", self._read_groups
        if CODEDEPLOY in self._question.sources:
            yield self.name, "codedeploy", "deployments", self._read_deployments

    def second(self) -> Iterator[Part]:
        if AUTOSCALING in self._question.sources or CLOUDTRAIL in self._question.sources:
            yield self.name, "autoscaling", "scaling activities", self._read_activities
        if CLOUDTRAIL in self._question.sources:
            yield self.name, "cloudtrail", "the events of CloudTrail", self._read_trail

    def settle(self) -> None:
        """Choose what is ours, now that it is known what is: also instances that are gone, and deployments."""
        for info in self._deployments:
            event = of_deployment(info, self.name)
            if self._keeps(info["applicationName"], event):
                self._apps[info["deploymentId"]] = event["app"]
                self.events.append(event)
        for record in self._calls:
            self._take_call(record)

    def _read_tags(self, client: Any) -> None:
        values = {"Values": [self._question.environment]} if self._question.environment else {}
        pages = client.get_paginator("get_resources").paginate(
            TagFilters=[{"Key": ours.ENVIRONMENT, **values}], PaginationConfig={"PageSize": TAGGED_PAGE}
        )
        for page in pages:
            for one in page["ResourceTagMappingList"]:
                tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
                if self._wanted.has(tags):
                    for name in names_of(one["ResourceARN"]):
                        self._apps[name] = tags.get(ours.APP)

    def _read_groups(self, client: Any) -> None:
        filters = [{"Name": "tag-key", "Values": [ours.ENVIRONMENT]}]
        for page in client.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters, MaxRecords=PAGE):
            for group in page["AutoScalingGroups"]:
                tags = tags_of(group)
                if self._wanted.has(tags):
                    own = [group["AutoScalingGroupName"], *(one["InstanceId"] for one in group.get("Instances", ()))]
                    self._apps.update(dict.fromkeys(own, tags.get(ours.APP)))

    def _keeps(self, name: str | None, event: dict[str, Any]) -> bool:
        """Whether an event about ``name`` is asked for; it learns its application."""
        if name in self._apps:
            event["app"] = self._apps[name]
            return True
        return self._question.everything and not self._question.apps and not self._question.environment

    def _read_activities(self, client: Any) -> None:
        """Of all groups in one list, newest first; instances of ours that are gone by now are known by it, too."""
        pages = client.get_paginator("describe_scaling_activities").paginate(
            IncludeDeletedGroups=True, PaginationConfig={"PageSize": PAGE}
        )
        for page in pages:
            recent = [one for one in page["Activities"] if one["StartTime"] >= self._question.since]
            for activity in recent:
                event = of_scaling(activity, self.name)
                group = activity["AutoScalingGroupName"]
                if self._keeps(group, event):
                    instance = instance_of(activity)
                    if instance:
                        self._apps.setdefault(instance, self._apps.get(group))
                    if AUTOSCALING in self._question.sources:
                        self.events.append(event)
            if page["Activities"] and not recent:
                break

    def _read_deployments(self, client: Any) -> None:
        ids = [
            one
            for page in client.get_paginator("list_deployments").paginate(
                createTimeRange={"start": self._question.since}
            )
            for one in page["deployments"]
        ]
        for part in chunks(ids, DEPLOYMENTS):
            self._deployments += client.batch_get_deployments(deploymentIds=part)["deploymentsInfo"]

    def _read_trail(self, client: Any) -> None:
        """The calls that changed something, newest first, not faster than AWS takes them."""
        request: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}],
            "StartTime": self._question.since,
            "MaxResults": TRAIL_PAGE,
        }
        oldest = None
        for number in range(self._question.pages):
            if number:
                time.sleep(PAUSE)
            page = client.lookup_events(**request)
            for record in page.get("Events", ()):
                oldest = record["EventTime"]
                self._calls.append(record)
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]
        raise Failed(
            f"{self._question.pages} pages reach back to {rfc3339(oldest) if oldest else 'nothing'}; raise trail_pages, or look "
            "back over fewer hours",
            "Truncated",
            None,
        )

    def _take_call(self, record: Mapping[str, Any]) -> None:
        detail = detail_of(record)
        named = [one["ResourceName"] for one in record.get("Resources") or () if one.get("ResourceName")]
        about = list(dict.fromkeys(names_of(name)[-1] for name in named))
        # What CloudTrail calls the resources of a call is not all that it was about: a deployment, for one, is not there.
        mentioned = texts_in([detail.get("requestParameters"), detail.get("responseElements")])
        mine = list(dict.fromkeys(name for name in (*about, *mentioned) if name in self._apps))
        for place, name in enumerate(mine or about[:1] or [""]):
            event = of_call(record, detail, name, self.name, place)
            if self._keeps(name, event):
                self.events.append(event)


def texts_in(value: Any, depth: int = 5) -> Iterator[str]:
    """The texts in nested mappings and lists."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping):
        for one in value.values():
            yield from texts_in(one, depth - 1)
    elif depth and isinstance(value, list):
        for one in value:
            yield from texts_in(one, depth - 1)


def names_of(arn: str) -> list[str]:
    """What a resource may be called: its ARN, and its id or name in its region, last."""
    if not arn.startswith("arn:"):
        return [arn]
    rest = arn.split(":", 5)[-1]
    service = arn.split(":")[2]
    if service == "elasticloadbalancing":
        return [arn, rest.split("/")[-2] if rest.count("/") > 1 else rest.rpartition("/")[2]]
    if service == "logs":
        return [arn, rest.removeprefix("log-group:").removesuffix(":*")]
    if service == "iam":
        return [arn, rest.rpartition("/")[2]]
    return [arn, re.split(r"[:/]", rest, maxsplit=1)[-1]]


def _event(name: str, source: str, region: str, when: datetime, **more: Any) -> dict[str, Any]:
    """An event in the words of the activity log."""
    return {
        "kind": "",
        "resource": name,
        "summary": "",
        "app": None,
        "region": region,
        "reasons": [],
        "before": None,
        "after": None,
        "changed": True,
        "actor": None,
        "run": None,
        "time": rfc3339(when),
        "id": "",
        "source": source,
        "principal": None,
        **more,
    }


def of_scaling(activity: Mapping[str, Any], region: str) -> dict[str, Any]:
    """An activity of an Auto Scaling group."""
    text, group = activity["Description"], activity["AutoScalingGroupName"]
    began = text.split(maxsplit=1)[0].lower() if text else ""
    what = {"launching": "launched", "terminating": "terminated", "attaching": "attached", "detaching": "detached"}.get(
        began, "updated"
    )
    status = activity.get("StatusCode", "")
    failed = status in ("Failed", "Cancelled")
    if failed and what in ("launched", "terminated"):
        what = {"launched": "launch_failed", "terminated": "terminate_failed"}[what]
    cause = shortened(activity.get("Cause") or "", 400)
    why = shortened(activity.get("StatusMessage") or "")
    name = instance_of(activity)
    return _event(
        name or group,
        AUTOSCALING,
        region,
        activity["StartTime"],
        id=activity["ActivityId"],
        kind=f"capacity.{what}",
        summary=f"{group}: {shortened(text)}",
        reasons=[one for one in (why, cause) if one],
        after={"group": group, "status": status},
        changed=not failed,
        actor="autoscaling.amazonaws.com",
    )


def of_deployment(info: Mapping[str, Any], region: str) -> dict[str, Any]:
    """A deployment of CodeDeploy, at the time at which it began."""
    status = info.get("status", "")
    error = info.get("errorInformation") or {}
    name, group = info["applicationName"], info.get("deploymentGroupName")
    rolled = (info.get("rollbackInfo") or {}).get("rollbackTriggeringDeploymentId")
    said = f"deployment {info['deploymentId']} of {name} to {group}: {status.lower()}"
    reasons = [f"{error.get('code')}: {error.get('message')}"] if error else []
    reasons += [f"it rolls {rolled} back"] if rolled else []
    return _event(
        info["deploymentId"],
        CODEDEPLOY,
        region,
        info["createTime"],
        id=info["deploymentId"],
        kind=f"deployment.{status.lower() or 'created'}",
        summary=said,
        reasons=reasons,
        after={"application": name, "group": group, "overview": dict(info.get("deploymentOverview") or {})},
        changed=True,
        actor=None if info.get("creator") == "user" else info.get("creator"),
    )


def detail_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of CloudTrail in full, which comes as a text."""
    try:
        found = json.loads(record.get("CloudTrailEvent") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def of_call(record: Mapping[str, Any], detail: Mapping[str, Any], name: str, region: str, place: int) -> dict[str, Any]:
    """A call that CloudTrail saw, of one of the resources that it was about."""
    identity = detail.get("userIdentity") or {}
    actor = who(identity) or record.get("Username")
    error = detail.get("errorCode")
    source = (record.get("EventSource") or "aws").partition(".")[0]
    call = record["EventName"]
    return _event(
        name,
        CLOUDTRAIL,
        region,
        record["EventTime"],
        id=f"{record['EventId']}/{place}" if place else record["EventId"],
        kind=f"{source}.{snake(call)}",
        summary=f"{actor or 'somebody'} called {call}"
        + (f" of {name}" if name else "")
        + (f": {error}" if error else ""),
        reasons=[f"{error}: {detail.get('errorMessage') or 'no message'}"] if error else [],
        changed=not error,
        actor=actor,
        principal=identity.get("arn") or actor,
    )


def who(identity: Mapping[str, Any]) -> str | None:
    """Who made a call, as people call them: a user's name, a role with its session, a service."""
    if identity.get("invokedBy"):
        return identity["invokedBy"]
    kind = identity.get("type")
    if kind == "Root":
        return "root"
    if kind == "AssumedRole":
        issuer = ((identity.get("sessionContext") or {}).get("sessionIssuer") or {}).get("userName")
        session = str(identity.get("arn") or "").rpartition("/")[2]
        return f"{issuer}/{session}" if issuer and session else issuer or session or None
    return identity.get("userName")


def known_of(events: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """The resources of our own events, with their application."""
    return {one["resource"]: one.get("app") for one in events if one.get("resource")}
