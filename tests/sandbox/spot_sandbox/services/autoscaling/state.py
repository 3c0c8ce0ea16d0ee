"""The groups and their members, as the sandbox keeps them."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.exceptions import ServiceException
from spot_sandbox import clock
from spot_sandbox.services import instances
from spot_sandbox.services.events import ACCOUNT

RETRY = (60.0, 90.0, 120.0)
"""Sandbox seconds until a group tries again after its first, second and every further launch that failed."""
LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
COUNTED = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")
PROCESSES = (
    "AddToLoadBalancer AlarmNotification AZRebalance HealthCheck InstanceRefresh Launch ReplaceUnhealthy"
    " ScheduledActions Terminate"
).split()
METRICS = (
    "GroupMinSize GroupMaxSize GroupDesiredCapacity GroupInServiceInstances GroupPendingInstances GroupStandbyInstances"
    " GroupTerminatingInstances GroupTotalInstances GroupInServiceCapacity GroupPendingCapacity GroupStandbyCapacity"
    " GroupTerminatingCapacity GroupTotalCapacity"
).split()
DISTRIBUTION: dict[str, Any] = {
    "OnDemandAllocationStrategy": "prioritized",
    "OnDemandBaseCapacity": 0,
    "OnDemandPercentageAboveBaseCapacity": 100,
    "SpotAllocationStrategy": "lowest-price",
}
boot_seconds = 30.0
"""Sandbox seconds from launch to InService; ``POST /sandbox/autoscaling`` or ``SPOT_SANDBOX_BOOT_SECONDS`` sets it."""


@dataclass
class Activity:
    """One scaling activity."""

    group: str
    arn: str
    description: str
    cause: str
    details: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    begun: datetime = field(default_factory=clock.now)
    ended: datetime | None = None
    status: str = "InProgress"
    message: str = ""
    progress: int = 0

    def close(self, status: str, message: str = "") -> None:
        self.status, self.message, self.ended, self.progress = status, message, clock.now(), 100

    def shown(self) -> dict[str, Any]:
        return {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "AutoScalingGroupARN": self.arn,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.begun,
            "EndTime": self.ended,
            "StatusCode": self.status,
            "StatusMessage": self.message or None,
            "Progress": self.progress,
            "Details": json.dumps(self.details, separators=(",", ":")),
        }


@dataclass
class Hook:
    """A lifecycle hook."""

    name: str
    transition: str
    timeout: int = 3600
    default: str = "ABANDON"
    metadata: str | None = None
    target: str | None = None
    role: str | None = None

    @property
    def longest(self) -> int:
        """Seconds that heartbeats can hold an instance at most."""
        return min(172800, 100 * int(self.timeout))


@dataclass
class Wait:
    """A member that waits for a hook to be completed."""

    token: str
    deadline: clock.Call
    began: float = field(default_factory=clock.time)


@dataclass
class Member:
    """An instance of a group."""

    id: str
    instance_type: str
    zone: str
    subnet: str | None
    lifecycle: str
    weight: int
    template: dict[str, Any] | None
    weighted: str | None
    protected: bool
    activity: Activity | None
    launched: float = field(default_factory=clock.time)
    state: str = "Pending"
    health: str = "Healthy"
    at_risk: bool = False
    attached: bool = False
    """It ran already when it became a member: it does not boot."""
    waits: dict[str, Wait] = field(default_factory=dict)
    boot: clock.Call | None = None


@dataclass
class Group:
    """An Auto Scaling group; ``plain`` holds the fields that are kept as they were given."""

    name: str
    region: str
    plain: dict[str, Any]
    zones: list[str]
    subnets: list[str]
    template: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    target_groups: list[str] = field(default_factory=list)
    load_balancers: list[str] = field(default_factory=list)
    traffic_sources: list[dict[str, str]] = field(default_factory=list)
    tags: dict[str, tuple[str, bool]] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    hooks: dict[str, Hook] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    metrics: list[str] = field(default_factory=list)
    created: datetime = field(default_factory=clock.now)
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    because: str = ""
    failures: int = 0
    retry_at: float = 0.0
    mix_wrong_since: float | None = None
    replacing: bool = False
    timer: clock.Call | None = None

    @property
    def arn(self) -> str:
        prefix = f"arn:aws:autoscaling:{self.region}:{ACCOUNT}:autoScalingGroup"
        return f"{prefix}:{self.key}:autoScalingGroupName/{self.name}"

    @property
    def desired(self) -> int:
        return int(self.plain["DesiredCapacity"])

    @desired.setter
    def desired(self, value: int) -> None:
        self.plain["DesiredCapacity"] = value

    @property
    def distribution(self) -> dict[str, Any]:
        return {**DISTRIBUTION, **((self.policy or {}).get("InstancesDistribution") or {})}

    @property
    def overrides(self) -> list[dict[str, Any]]:
        return list(((self.policy or {}).get("LaunchTemplate") or {}).get("Overrides") or [])

    @property
    def specification(self) -> dict[str, Any]:
        if self.policy:
            return dict((self.policy.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification") or {})
        return dict(self.template or {})

    def counted(self) -> list[Member]:
        """The members that count towards the desired capacity."""
        return [m for m in self.members.values() if m.state in COUNTED and not m.at_risk]

    def subnet_in(self, zone: str) -> str | None:
        backend = instances.backend_of(self.region)
        for subnet in self.subnets:
            if backend.get_subnet(subnet).availability_zone == zone:
                return subnet
        default = backend.get_default_subnets().get(zone)
        return default.id if default else None

    def on_demand_wanted(self) -> int:
        """How much of the desired capacity is to be On-Demand, in the group's unit."""
        if not self.policy:
            try:
                spec = instances.from_template(self.region, self.specification, {})
            except ServiceException:  # the launch template is gone
                return self.desired
            spot = (spec.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"
            return 0 if spot else self.desired
        base = min(self.desired, int(self.distribution["OnDemandBaseCapacity"]))
        percentage = int(self.distribution["OnDemandPercentageAboveBaseCapacity"])
        return base + math.ceil((self.desired - base) * percentage / 100)


GROUPS: dict[tuple[str, str], Group] = {}
DELETED: dict[tuple[str, str], list[Activity]] = {}


def reset() -> None:
    global boot_seconds
    GROUPS.clear()
    DELETED.clear()
    boot_seconds = float(os.environ.get("SPOT_SANDBOX_BOOT_SECONDS", "30"))


def control(body: dict[str, Any]) -> dict[str, Any]:
    """Set how long instances boot."""
    global boot_seconds
    value = body.get("boot_seconds", boot_seconds)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 3600:
        raise ValueError(f"boot_seconds {value!r} is out of range: give 0 to 3600")
    boot_seconds = float(value)
    return {"boot_seconds": boot_seconds}


def weight_of(members: Iterable[Member]) -> int:
    return sum(m.weight for m in members)
