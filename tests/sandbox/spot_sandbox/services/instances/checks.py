"""Status checks: what DescribeInstanceStatus says of the system and of the instance, and the control that breaks them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from spot_sandbox import clock
from spot_sandbox.services.instances.filters import FILTERS, filtered, listed, page_of
from spot_sandbox.services.instances.records import RECORDS, state_of

PAGE = 1000
REACHED = {
    "ok": "passed",
    "impaired": "failed",
    "initializing": "initializing",
    "insufficient-data": "insufficient-data",
}
"""The states of a check, and what it says of the reachability."""
CHECKS = ("system", "instance")


def check_of(instance: Instance, check: str) -> tuple[str, str | None, float | None]:
    """(status, reachability, since when it is impaired) of a check of an instance."""
    if instance.state != "running":
        return "not-applicable", None, None
    status, since = RECORDS[instance.id].checks.get(check, ("ok", None))
    return status, REACHED[status], since


def _shown(instance: Instance, check: str) -> dict[str, Any]:
    status, reached, since = check_of(instance, check)
    detail: dict[str, Any] = {"Name": "reachability", "Status": reached}
    if status == "impaired" and since is not None:
        detail["ImpairedSince"] = datetime.fromtimestamp(since, timezone.utc)
    return {"Status": status, **({"Details": [detail]} if reached else {})}


class StatusCalls(EC2Response):
    """DescribeInstanceStatus, and the pages of descriptions."""

    def _instance_page_size(self) -> int:
        size = self._get_param("MaxResults")
        if size is None:
            return PAGE
        if self._get_param("InstanceIds"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if not 5 <= int(size) <= 1000:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000.",
            )
        return int(size)

    def describe_instance_status(self) -> ActionResult:
        self.error_on_dryrun()
        ids, size = self._get_param("InstanceIds", []), self._instance_page_size()
        asked = self._get_param("Filters", []) or []
        every = self._get_bool_param("IncludeAllInstances", False)
        wanted = filtered(
            self.ec2_backend, listed(self.region, ids), [f for f in asked if f.get("Name") in FILTERS]
        )
        page, token = page_of(
            (i for i in wanted if (every or i.state == "running") and all(_passes(i, f) for f in asked)),
            len(RECORDS) if ids else size,
            self._get_param("NextToken"),
        )
        return ActionResult({"InstanceStatuses": [self._instance_status(i) for i in page], "NextToken": token})

    @staticmethod
    def _instance_status(instance: Instance) -> dict[str, Any]:
        return {
            "InstanceId": instance.id,
            "AvailabilityZone": RECORDS[instance.id].pool[1],
            "InstanceState": {"Code": instance.state_code, "Name": instance.state},
            "InstanceStatus": _shown(instance, "instance"),
            "SystemStatus": _shown(instance, "system"),
        }


def _passes(instance: Instance, wanted: dict[str, Any]) -> bool:
    """Whether an instance passes a filter such as ``system-status.status``; other filters are not looked at here."""
    name, _dot, what = wanted["Name"].partition(".")
    if name not in ("system-status", "instance-status") or what not in ("status", "reachability"):
        return True
    status, reached, _since = check_of(instance, name.removesuffix("-status"))
    return (status if what == "status" else reached) in wanted["Values"]


def control_checks(body: dict[str, Any]) -> dict[str, Any]:
    """Set the status checks of running instances."""
    known = ("instance_ids", *CHECKS)
    if unknown := sorted(set(body) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(known)}")
    ids, given = body.get("instance_ids"), {check: body[check] for check in CHECKS if check in body}
    if not ids or not isinstance(ids, list):
        raise ValueError("instance_ids is missing: give a list of ids of running instances")
    if not given:
        raise ValueError(f"what to set is missing: give {' or '.join(CHECKS)}, one of {', '.join(REACHED)}")
    for check, status in given.items():
        if status not in REACHED:
            raise ValueError(f"{check} {status!r} is not known: use one of {', '.join(REACHED)}")
    for instance_id in ids:
        if instance_id not in RECORDS or state_of(instance_id) != "running":
            raise ValueError(f"{instance_id} is not a running instance of this sandbox")
    for instance_id in ids:
        for check, status in given.items():
            RECORDS[instance_id].checks[check] = (status, clock.time())
    return {"instance_ids": ids, **given}
