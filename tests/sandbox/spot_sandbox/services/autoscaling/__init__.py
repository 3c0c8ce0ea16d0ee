"""Auto Scaling: groups that launch by lifecycle, weight and strategy, and fail as real ones do, without a fallback.

The groups' state is here, in ``state``; the instances are those of ``instances``. What a group does by itself is in
``loop``; the operations of the API are in the ``*_calls``.
"""

from __future__ import annotations

from spot_sandbox.services.autoscaling.balancer_calls import BalancerCalls
from spot_sandbox.services.autoscaling.group_calls import GroupCalls
from spot_sandbox.services.autoscaling.hook_calls import HookCalls
from spot_sandbox.services.autoscaling.member_calls import MemberCalls
from spot_sandbox.services.autoscaling.state import control, reset

__all__ = ["CONTROL", "RESPONSES", "AutoScaling", "reset"]


class AutoScaling(GroupCalls, MemberCalls, HookCalls, BalancerCalls):
    """Auto Scaling's operations."""


RESPONSES = {"autoscaling": AutoScaling}
CONTROL = {"POST /sandbox/autoscaling": control}
