# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lifecycle hooks that hold instances of Auto Scaling groups which are to end.

Required IAM actions: ``autoscaling:DescribeAutoScalingGroups``, ``autoscaling:DescribeLifecycleHooks``,
``autoscaling:CompleteLifecycleAction``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors

TERMINATING = "Terminating:Wait"
"""The lifecycle state of a member that a hook keeps from its end."""
OF_ENDING = "autoscaling:EC2_INSTANCE_TERMINATING"
NO_ACTION = "No active Lifecycle Action"
"""What AWS says where the hook was completed, or ran out, already."""


def complete_hooks(
    clients: Clients, region: str, groups: Sequence[str], ids: Collection[str], act: bool
) -> dict[str, list[str]]:
    """Let go of those of ``ids`` that hooks of the ``groups`` keep from their end: the hooks completed, by instance.

    ``act`` false: say only which would be. AWS has no call for many instances at once. Raises `AwsError`.
    """
    held = {
        one.name: sorted(
            each["InstanceId"]
            for each in one.raw["Instances"]
            if each["InstanceId"] in ids and each["LifecycleState"] == TERMINATING
        )
        for one in (autoscaling.groups(clients, region, groups) if groups else ())
    }
    client = clients.get("autoscaling", region)
    pairs = [
        (group, hook, each)
        for group, waiting in held.items()
        if waiting
        for hook in describe_lifecycle_hooks(client, group)
        if hook["LifecycleTransition"] == OF_ENDING
        for each in waiting
    ]
    made = side_by_side(lambda pair: not act or _completed(client, *pair), pairs, threads=8)
    done: dict[str, list[str]] = {}
    for (_group, hook, each), completed in zip(pairs, made):
        if completed:
            done.setdefault(each, []).append(hook["LifecycleHookName"])
    return done


def _completed(client: Any, group: str, hook: dict[str, Any], instance_id: str) -> bool:
    """Whether the hook held the instance until now."""
    try:
        complete_lifecycle_action(client, group, hook["LifecycleHookName"], instance_id)
    except AwsError as error:
        if NO_ACTION in str(error):
            return False
        raise
    return True


@Errors.common_error_handler("describe the lifecycle hooks")
def describe_lifecycle_hooks(client: Any, group: str) -> list[dict[str, Any]]:
    """DescribeLifecycleHooks of a group."""
    return client.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]


@Errors.common_error_handler("complete the lifecycle action")
def complete_lifecycle_action(client: Any, group: str, hook: str, instance_id: str) -> None:
    """CompleteLifecycleAction, so that the instance goes on to its end."""
    client.complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName=hook,
        InstanceId=instance_id,
        LifecycleActionResult="CONTINUE",
    )
