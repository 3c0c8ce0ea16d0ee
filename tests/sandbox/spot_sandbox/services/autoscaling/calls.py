"""What all operations of Auto Scaling need: the groups and members that they name, and pages."""

from __future__ import annotations

import base64
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.core.responses import ActionResult, BaseResponse
from spot_sandbox.services.autoscaling.loop import settle
from spot_sandbox.services.autoscaling.requests import invalid
from spot_sandbox.services.autoscaling.state import GROUPS, Group, Member


class Calls(BaseResponse):
    """The part that the operations share."""

    def __init__(self) -> None:
        super().__init__(service_name="autoscaling")
        self.automated_parameter_parsing = True

    def _given(self) -> dict[str, Any]:
        return {k: v for k, v in dict(self._get_params()).items() if v is not None}

    def _groups(self) -> list[Group]:
        return sorted((g for g in GROUPS.values() if g.region == self.region), key=lambda g: g.name)

    def _group(self, name: str | None = None) -> Group:
        name = name or self._get_param("AutoScalingGroupName")
        group = GROUPS.get((self.region, name))
        if group is None:
            raise invalid(f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
        return group

    def _member(self, instance_id: str | None = None) -> tuple[Group, Member]:
        instance_id = instance_id or self._get_param("InstanceId")
        for group in self._groups():
            if instance_id in group.members:
                return group, group.members[instance_id]
        raise invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def _members(self, group: Group) -> list[Member]:
        ids = self._get_param("InstanceIds", [])
        for instance_id in ids:
            if instance_id not in group.members:
                raise invalid(f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")
        return [group.members[i] for i in ids]

    @staticmethod
    def _at_once(group: Group) -> None:
        group.retry_at = 0.0
        settle(group)

    def _paged(self, key: str, items: list[Any], most: int, usual: int) -> ActionResult:
        size = int(self._get_param("MaxRecords") or usual)
        if not 1 <= size <= most:
            raise invalid(
                f"1 validation error detected: Value '{size}' at 'maxRecords' failed to satisfy constraint:"
                f" Member must have value less than or equal to {most}"
            )
        token = self._get_param("NextToken")
        try:
            begin = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            raise AutoscalingClientError("InvalidNextToken", "The token is not valid") from None
        end = begin + size
        more = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
        return ActionResult({key: items[begin:end], "NextToken": more})
