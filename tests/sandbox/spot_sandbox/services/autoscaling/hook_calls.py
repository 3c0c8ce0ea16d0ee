"""The operations on the lifecycle hooks of groups, and on the instances that they hold."""

from __future__ import annotations

import json
import uuid

from moto.core.responses import ActionResult, EmptyResult
from spot_sandbox import clock
from spot_sandbox.services.autoscaling.calls import Calls
from spot_sandbox.services.autoscaling.members import complete
from spot_sandbox.services.autoscaling.requests import invalid, read_hook
from spot_sandbox.services.autoscaling.state import Group, Member
from spot_sandbox.services.events import ACCOUNT, send, stamp


class HookCalls(Calls):
    """Putting, showing and deleting hooks, and completing what they wait for."""

    def put_lifecycle_hook(self) -> ActionResult:
        group, given = self._group(), self._given()
        hook = group.hooks[given["LifecycleHookName"]] = read_hook(group, given)
        if hook.target:
            test = {
                "AccountId": ACCOUNT,
                "RequestId": str(uuid.uuid4()),
                "AutoScalingGroupARN": group.arn,
                "AutoScalingGroupName": group.name,
                "Service": "AWS Auto Scaling",
                "Event": "autoscaling:TEST_NOTIFICATION",
                "Time": stamp(),
            }
            send(hook.target, json.dumps(test))
        return EmptyResult()

    def delete_lifecycle_hook(self) -> ActionResult:
        group, name = self._group(), self._get_param("LifecycleHookName")
        if group.hooks.pop(name, None) is None:
            raise invalid(f"No Lifecycle Hook found with name: {name}")
        for member in list(group.members.values()):
            complete(group, member, name, "CONTINUE")
        return EmptyResult()

    def describe_lifecycle_hooks(self) -> ActionResult:
        group, names = self._group(), self._get_param("LifecycleHookNames") or []
        return ActionResult(
            {
                "LifecycleHooks": [
                    {
                        "LifecycleHookName": h.name,
                        "AutoScalingGroupName": group.name,
                        "LifecycleTransition": h.transition,
                        "HeartbeatTimeout": int(h.timeout),
                        "GlobalTimeout": h.longest,
                        "DefaultResult": h.default,
                        "NotificationMetadata": h.metadata,
                        "NotificationTargetARN": h.target,
                        "RoleARN": h.role,
                    }
                    for h in group.hooks.values()
                    if not names or h.name in names
                ]
            }
        )

    def _waiting(self, group: Group) -> tuple[Member, str]:
        name, token = self._get_param("LifecycleHookName"), self._get_param("LifecycleActionToken")
        wanted = self._get_param("InstanceId")
        for member in group.members.values():
            wait = member.waits.get(name)
            if wait and (wait.token == token if token else member.id == wanted):
                return member, name
        raise invalid(f"No active Lifecycle Action found with {f'token {token}' if token else f'instance ID {wanted}'}")

    def complete_lifecycle_action(self) -> ActionResult:
        group = self._group()
        member, name = self._waiting(group)
        result = self._get_param("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise invalid(f"LifecycleActionResult {result} must be CONTINUE or ABANDON")
        complete(group, member, name, result)
        return EmptyResult()

    def record_lifecycle_action_heartbeat(self) -> ActionResult:
        group = self._group()
        member, name = self._waiting(group)
        wait, hook = member.waits[name], group.hooks[name]
        wait.deadline.cancel()
        left = min(float(hook.timeout), wait.began + hook.longest - clock.time())
        wait.deadline = clock.call_later(left, complete, group, member, name, hook.default)
        return EmptyResult()
