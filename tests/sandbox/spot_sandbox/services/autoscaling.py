"""Auto Scaling: groups that launch by lifecycle, weight and strategy, and fail as real ones do, without a fallback.

A group is settled after every change and whenever its own timer is due: it compares what it has with what it wants,
takes one step, and books the next look. Its state is here; the instances are those of ``instances``.
"""

from __future__ import annotations

import base64
import json
import math
import os
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.elbv2.models import elbv2_backends
from spot_sandbox import clock, market, pools
from spot_sandbox.services import events, instances
from spot_sandbox.services.events import ACCOUNT, stamp

RETRY = (60.0, 90.0, 120.0)
"""Sandbox seconds until a group tries again after its first, second and every further launch that failed."""
REPLACE_AFTER = 120.0
"""Sandbox seconds that the mix of purchase options must be wrong before the group begins to replace instances."""
MAX_OVERRIDES = 40
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
PLAIN_FIELDS = (
    "MinSize MaxSize DesiredCapacity DefaultCooldown HealthCheckType HealthCheckGracePeriod"
    " NewInstancesProtectedFromScaleIn CapacityRebalance MaxInstanceLifetime DefaultInstanceWarmup TerminationPolicies"
    " PlacementGroup ServiceLinkedRoleARN Context DesiredCapacityType InstanceMaintenancePolicy"
    " AvailabilityZoneDistribution"
).split()
"""What a group keeps as it was given, by the API's own names."""
DEFAULTS: dict[str, Any] = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "NewInstancesProtectedFromScaleIn": False,
    "CapacityRebalance": False,
    "TerminationPolicies": ["Default"],
    "ServiceLinkedRoleARN": (
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    ),
}
DISTRIBUTION: dict[str, Any] = {
    "OnDemandAllocationStrategy": "prioritized",
    "OnDemandBaseCapacity": 0,
    "OnDemandPercentageAboveBaseCapacity": 100,
    "SpotAllocationStrategy": "lowest-price",
}
SPOT_STRATEGIES = ("lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized")

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


@dataclass
class Wait:
    """A member that waits for a hook to be completed."""

    token: str
    deadline: clock.Call


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


CONTROL = {"POST /sandbox/autoscaling": control}


def weight_of(members: Iterable[Member]) -> int:
    return sum(m.weight for m in members)


# What a group does


def settle(group: Group) -> None:
    """Take the next step towards what the group wants, and book the next look."""
    if GROUPS.get((group.region, group.name)) is not group:
        return
    _drop_dead(group)
    have = weight_of(group.counted())
    short = group.desired - have
    if short > 0 and "Launch" not in group.suspended:
        if clock.time() >= group.retry_at:
            _launch(group, *_missing(group))
    elif short <= 0:
        _release_at_risk(group)
        if "Terminate" not in group.suspended:
            _scale_in(group)
        group.because = ""
        _mend_mix(group)
    _book(group)


def _book(group: Group) -> None:
    """Look again when a retry or a replacement is due."""
    if group.timer:
        group.timer.cancel()
        group.timer = None
    due = []
    if weight_of(group.counted()) < group.desired and "Launch" not in group.suspended:
        due.append(group.retry_at)
    if group.mix_wrong_since is not None:
        due.append(max(group.retry_at, group.mix_wrong_since + REPLACE_AFTER))
    if due:
        group.timer = clock.call_later(max(1.0, min(due) - clock.time()), settle, group)


def _missing(group: Group) -> tuple[int, int]:
    """How much On-Demand and how much Spot to launch, in the group's unit."""
    short = group.desired - weight_of(group.counted())
    on_demand = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    first = max(0, min(short, group.on_demand_wanted() - on_demand))
    return first, short - first


def _launch(group: Group, on_demand: int, spot: int) -> bool:
    """Launch so much of each; the pools that had no room leave a failed activity each. Returns whether all was had."""
    before = weight_of(group.counted())
    try:
        candidates, complete = _candidates(group), True
    except ServiceException as refused:  # the launch template is gone
        _record_failure(group, "on_demand", group.zones[0], refused.code, refused.message)
        candidates, complete, on_demand, spot = [], False, 0, 0
    for lifecycle, amount in (("on_demand", on_demand), ("spot", spot)):
        failed: set[str] = set()
        while amount > 0:
            choice = _choose(group, lifecycle, amount, candidates, failed)
            if choice is None:
                complete = False
                break
            made = _start(group, lifecycle, choice, before)
            if made is None:
                failed.add(choice[1])
            else:
                amount -= made.weight
    if complete:
        group.failures, group.retry_at = 0, 0.0
    else:
        group.retry_at = clock.time() + RETRY[min(group.failures, len(RETRY) - 1)]
        group.failures += 1
    return complete


def _candidates(group: Group) -> list[dict[str, Any]]:
    """The overrides; a group without them has one, the template's own type."""
    if group.overrides:
        return group.overrides
    spec = instances.from_template(group.region, group.specification, {})
    return [{"InstanceType": spec.get("InstanceType") or "m1.small"}]


def _choose(
    group: Group, lifecycle: str, amount: int, candidates: list[dict[str, Any]], failed: set[str]
) -> tuple[dict[str, Any], str] | None:
    """The override and the zone of the next launch: the zone with least, then the strategy; ``None`` if all failed."""
    loads = Counter({zone: 0 for zone in group.zones})
    for member in group.counted():
        loads[member.zone] += member.weight
    for zone in sorted((z for z in group.zones if z not in failed), key=lambda z: (loads[z], z)):
        offered = [o for o in candidates if market.offered(group.region, zone, o["InstanceType"])]
        roomy = [o for o in offered if pools.free(group.region, zone, o["InstanceType"], lifecycle) > 0]
        if roomy:
            rank = _spot_rank if lifecycle == "spot" else _on_demand_rank
            return rank(group, zone, roomy, amount), zone
        _fail(group, lifecycle, zone, offered or candidates)
        failed.add(zone)
    return None


def _weight(override: dict[str, Any]) -> int:
    return int(override.get("WeightedCapacity") or 1)


def _on_demand_rank(group: Group, zone: str, roomy: list[dict[str, Any]], amount: int) -> dict[str, Any]:
    if group.distribution["OnDemandAllocationStrategy"] == "lowest-price":
        return min(roomy, key=lambda o: (market.on_demand_price(group.region, o["InstanceType"]) or 0) / _weight(o))
    return roomy[0]


def _spot_rank(group: Group, zone: str, roomy: list[dict[str, Any]], amount: int) -> dict[str, Any]:
    choices = [instances.Choice(o["InstanceType"], zone, _weight(o), o) for o in roomy]
    held = Counter((m.instance_type, m.zone) for m in group.counted() if m.lifecycle == "spot")
    settings = group.distribution
    spread = int(settings.get("SpotInstancePools") or 2)
    best = instances.best_spot(group.region, settings["SpotAllocationStrategy"], choices, amount, held, spread)
    return dict(best.what)


def _subnet(group: Group, zone: str) -> str | None:
    backend = instances.backend_of(group.region)
    for subnet in group.subnets:
        if backend.get_subnet(subnet).availability_zone == zone:
            return subnet
    default = backend.get_default_subnets().get(zone)
    return default.id if default else None


def _cause(group: Group, before: int) -> str:
    why = f"At {stamp()} {group.because}.  " if group.because else ""
    return (
        f"{why}At {stamp()} an instance was started in response to a difference between desired and actual capacity,"
        f" increasing the capacity from {before} to {group.desired}."
    )


def _details(group: Group, zone: str) -> dict[str, str]:
    subnet = _subnet(group, zone)
    return {**({"Subnet ID": subnet} if subnet else {}), "Availability Zone": zone}


def _start(group: Group, lifecycle: str, choice: tuple[dict[str, Any], str], before: int) -> Member | None:
    """Launch one instance; ``None`` (and a failed activity) if EC2 refuses."""
    override, zone = choice
    specification = override.get("LaunchTemplateSpecification") or group.specification
    try:
        version = instances.template_version(group.region, specification)
        template = {
            "LaunchTemplateId": version.template.id,
            "LaunchTemplateName": version.template.name,
            "Version": str(version.number),
        }
        request: dict[str, Any] = {"InstanceType": override["InstanceType"]}
        if lifecycle == "spot" and group.distribution.get("SpotMaxPrice"):
            options = {"MaxPrice": group.distribution["SpotMaxPrice"]}
            request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
        spec = instances.from_template(group.region, specification, request)
        if spec.get("IamInstanceProfile"):
            instances.check_profile(group.region, spec["IamInstanceProfile"])
        tags = {k: v for k, (v, propagate) in group.tags.items() if propagate}
        tags["aws:autoscaling:groupName"] = group.name
        subnet = _subnet(group, zone)
        made = instances.start(group.region, spec, 1, zone, subnet, lifecycle, tags)[0]
    except ServiceException as refused:
        _record_failure(group, lifecycle, zone, refused.code, refused.message)
        return None
    activity = Activity(
        group.name, group.arn, f"Launching a new EC2 instance: {made.id}", _cause(group, before), _details(group, zone)
    )
    activity.status, activity.progress = "PreInService", 30
    group.activities.insert(0, activity)
    member = Member(
        id=made.id,
        instance_type=override["InstanceType"],
        zone=zone,
        subnet=subnet,
        lifecycle=lifecycle,
        weight=_weight(override),
        template=template,
        weighted=override.get("WeightedCapacity"),
        protected=bool(group.plain["NewInstancesProtectedFromScaleIn"]),
        activity=activity,
    )
    group.members[made.id] = member
    if not _wait(group, member, LAUNCHING):
        _boot(group, member)
    return member


def _fail(group: Group, lifecycle: str, zone: str, tried: list[dict[str, Any]]) -> None:
    if lifecycle == "spot" and len(tried) > 1:
        code = "UnfulfillableCapacity"
        text = "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
    else:
        error = instances.scarce(group.region, zone, tried[0]["InstanceType"], lifecycle)
        code, text = error.code, error.message
    _record_failure(group, lifecycle, zone, code, text)


def _record_failure(group: Group, lifecycle: str, zone: str, code: str, text: str) -> None:
    shown = f"Could not launch Spot Instances. {code} - {text}" if lifecycle == "spot" else text
    message = f"{shown} Launching EC2 instance failed."
    activity = Activity(
        group.name,
        group.arn,
        f"Launching a new EC2 instance.  Status Reason: {message}",
        _cause(group, weight_of(group.counted())),
        _details(group, zone),
    )
    activity.close("Failed", message)
    group.activities.insert(0, activity)
    _tell(group, "EC2 Instance Launch Unsuccessful", activity, "")


def _boot(group: Group, member: Member) -> None:
    member.boot = clock.call_later(boot_seconds, _in_service, group, member)


def _in_service(group: Group, member: Member) -> None:
    if group.members.get(member.id) is not member or not member.state.startswith("Pending"):
        return
    member.state = "InService"
    _register(group, member)
    if member.activity:
        member.activity.close("Successful")
        _tell(group, "EC2 Instance Launch Successful", member.activity, member.id)
    settle(group)


def _register(group: Group, member: Member) -> None:
    if "AddToLoadBalancer" in group.suspended:
        return
    backend = elbv2_backends[ACCOUNT][group.region]
    for arn in group.target_groups:
        if arn in backend.target_groups:
            backend.register_targets(arn, [{"Id": member.id}])


def _deregister(group: Group, members: Iterable[Member], target_groups: Iterable[str] | None = None) -> None:
    backend = elbv2_backends[ACCOUNT][group.region]
    for arn in group.target_groups if target_groups is None else target_groups:
        target_group = backend.target_groups.get(arn)
        if target_group:
            for member in members:
                if member.id in target_group.targets:
                    target_group.deregister([{"Id": member.id}])


def _tell(group: Group, detail_type: str, activity: Activity, instance_id: str) -> None:
    leaving = "Terminate" in detail_type
    resources = [group.arn]
    if instance_id:
        resources.append(f"arn:aws:ec2:{group.region}:{ACCOUNT}:instance/{instance_id}")
    detail = {
        "StatusCode": "Failed" if activity.status == "Failed" else "InProgress",
        "Description": activity.description,
        "AutoScalingGroupName": group.name,
        "ActivityId": activity.id,
        "Details": activity.details,
        "RequestId": activity.id,
        "StatusMessage": activity.message,
        "EndTime": stamp(activity.ended.timestamp() if activity.ended else None),
        "EC2InstanceId": instance_id,
        "StartTime": stamp(activity.begun.timestamp()),
        "Cause": activity.cause,
        "Origin": "AutoScalingGroup" if leaving else "EC2",
        "Destination": "EC2" if leaving else "AutoScalingGroup",
    }
    events.emit(group.region, "aws.autoscaling", detail_type, detail, resources)


# Leaving a group


def _scale_in(group: Group) -> None:
    """Take away what is too much: the option over its share first, then the fullest zone, then the policy."""
    if group.replacing and any(m.state != "InService" for m in group.counted()):
        return  # the replacement serves before the old instance goes
    group.replacing = False
    before, victims = weight_of(group.counted()), []
    while (surplus := weight_of(group.counted()) - group.desired) > 0:
        ready = [m for m in group.counted() if not m.protected and m.weight <= surplus and m not in victims]
        if not ready:
            break
        victim = _victim(group, ready)
        victims.append(victim)
        victim.state = "Terminating"
    for number, victim in enumerate(victims):
        why = f"At {stamp()} {group.because}.  " if group.because else ""
        named = "  ".join(f"At {stamp()} instance {v.id} was selected for termination." for v in victims)
        cause = (
            f"{why}At {stamp()} an instance was taken out of service in response to a difference between desired and"
            f" actual capacity, shrinking the capacity from {before} to {group.desired}.  {named}"
        )
        _leave(group, victim, cause)


def _victim(group: Group, ready: list[Member]) -> Member:
    wanted = group.on_demand_wanted()
    have = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    over = "on_demand" if have > wanted else "spot"
    choice = [m for m in ready if m.lifecycle == over] or ready
    loads: Counter[str] = Counter()
    for member in group.counted():
        loads[member.zone] += member.weight
    fullest = max(loads[m.zone] for m in choice)
    choice = [m for m in choice if loads[m.zone] == fullest]
    policy = group.plain["TerminationPolicies"][0]
    if policy == "NewestInstance":
        return max(choice, key=lambda m: (m.launched, m.id))
    if policy in ("Default", "OldestLaunchTemplate"):
        return min(choice, key=lambda m: (int((m.template or {}).get("Version", 0)), m.launched, m.id))
    return min(choice, key=lambda m: (m.launched, m.id))


def _leave(group: Group, member: Member, cause: str) -> Activity:
    """Take a member out of service and terminate it, after the hooks if there are any."""
    activity = Activity(
        group.name,
        group.arn,
        f"Terminating EC2 instance: {member.id}",
        cause,
        _details(group, member.zone),
        progress=50,
    )
    group.activities.insert(0, activity)
    if member.activity and member.activity.ended is None:
        member.activity.close("Cancelled")
    _cancel(member)
    member.state, member.activity = "Terminating", activity
    _deregister(group, [member])
    if not _wait(group, member, TERMINATING):
        _terminate(group, member)
    return activity


def _cancel(member: Member) -> None:
    if member.boot:
        member.boot.cancel()
    for wait in member.waits.values():
        wait.deadline.cancel()
    member.waits.clear()


def _terminate(group: Group, member: Member) -> None:
    group.members.pop(member.id, None)
    _cancel(member)
    if member.activity:
        member.activity.close("Successful")
        _tell(group, "EC2 Instance Terminate Successful", member.activity, member.id)
    instances.end(group.region, [member.id], "group")


def _drop_dead(group: Group) -> None:
    """Members that ended or are unhealthy leave; what is missing is launched in the same step."""
    for member in list(group.members.values()):
        record = instances.RECORDS.get(member.id)
        gone = record is None or record.ended is not None or not record.holds_place
        if gone or (member.health == "Unhealthy" and "ReplaceUnhealthy" not in group.suspended):
            if member.state.startswith("Terminating") and not gone:
                continue
            if not member.state.startswith("Terminating"):
                kind = "EC2 health check indicating it has been terminated or stopped" if gone else "user health-check"
                why = f"At {stamp()} an instance was taken out of service in response to a {kind}."
                _leave(group, member, why.replace("a EC2", "an EC2"))
            if gone and member.id in group.members:
                _terminate(group, member)


def _release_at_risk(group: Group) -> None:
    """Capacity rebalancing: once the replacements serve, those that may be interrupted go."""
    if any(m.state != "InService" for m in group.counted()) or "Terminate" in group.suspended:
        return
    for member in [m for m in group.members.values() if m.at_risk and m.state == "InService"]:
        _leave(
            group,
            member,
            f"At {stamp()} an instance was taken out of service in response to an EC2 instance rebalance"
            " recommendation.",
        )


def _mend_mix(group: Group) -> None:
    """The right number, but the wrong mix of On-Demand and Spot: replace some at a time, launching first."""
    on_demand = weight_of(m for m in group.counted() if m.lifecycle == "on_demand")
    off = group.on_demand_wanted() - on_demand
    movable = [m for m in group.counted() if not m.protected and (m.lifecycle == "spot") == (off > 0)]
    if not group.policy or not movable or abs(off) < min(m.weight for m in movable):
        group.mix_wrong_since = None
        return
    if group.mix_wrong_since is None:
        group.mix_wrong_since = clock.time()
    due = max(group.retry_at, group.mix_wrong_since + REPLACE_AFTER)
    if clock.time() < due or any(m.state != "InService" for m in group.counted()):
        return
    if {"Launch", "Terminate"} & group.suspended:
        return
    step = min(abs(off), max(1, group.desired // 10))
    group.replacing = True
    _launch(group, step if off > 0 else 0, step if off < 0 else 0)


def _ended(region: str, ids: list[str], cause: str) -> None:
    for group in list(GROUPS.values()):
        if group.region == region and any(i in group.members for i in ids):
            if "HealthCheck" not in group.suspended:
                settle(group)


def _warned(region: str, instance_id: str) -> None:
    for group in GROUPS.values():
        member = group.members.get(instance_id)
        if group.region == region and member and group.plain["CapacityRebalance"]:
            member.at_risk, group.retry_at = True, 0.0
            group.because = "an EC2 instance rebalance recommendation was received"
            settle(group)


instances.ended_hooks.append(_ended)
instances.warned_hooks.append(_warned)


# Lifecycle hooks


def _wait(group: Group, member: Member, transition: str) -> bool:
    """Let a member wait for the hooks of a transition; whether there are any."""
    hooks = [h for h in group.hooks.values() if h.transition == transition]
    for hook in hooks:
        deadline = clock.call_later(hook.timeout, _complete, group, member, hook.name, hook.default)
        wait = Wait(str(uuid.uuid4()), deadline)
        member.waits[hook.name] = wait
        member.state = "Pending:Wait" if transition == LAUNCHING else "Terminating:Wait"
        if member.activity:
            member.activity.status = "MidLifecycleAction"
        detail = {
            "LifecycleActionToken": wait.token,
            "AutoScalingGroupName": group.name,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": member.id,
            "LifecycleTransition": transition,
            "Origin": "EC2" if transition == LAUNCHING else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if transition == LAUNCHING else "EC2",
        }
        if hook.metadata:
            detail["NotificationMetadata"] = hook.metadata
        kind = "launch" if transition == LAUNCHING else "terminate"
        events.emit(group.region, "aws.autoscaling", f"EC2 Instance-{kind} Lifecycle Action", detail, [group.arn])
        if hook.target:
            notice = {
                "Service": "AWS Auto Scaling",
                "Time": stamp(),
                "RequestId": wait.token,
                "AccountId": ACCOUNT,
                **detail,
            }
            events.send(hook.target, json.dumps(notice))
    return bool(hooks)


def _complete(group: Group, member: Member, hook_name: str, result: str) -> None:
    """A hook was completed, or ran out of time with its default result."""
    wait = member.waits.pop(hook_name, None)
    if wait is None or group.members.get(member.id) is not member:
        return
    wait.deadline.cancel()
    if member.state == "Pending:Wait":
        if result == "ABANDON":
            group.retry_at = max(group.retry_at, clock.time() + RETRY[0])
            _leave(
                group,
                member,
                f"At {stamp()} an instance was taken out of service in response to a lifecycle action that was"
                " abandoned.",
            )
            settle(group)
        elif not member.waits:
            member.state = "Pending:Proceed"
            _boot(group, member)
    elif result == "ABANDON" or not member.waits:
        member.state = "Terminating:Proceed"
        _terminate(group, member)
        settle(group)


# The API


def _invalid(message: str) -> ValidationError:
    return ValidationError(message)


def _settings(given: dict[str, Any], group: Group | None) -> dict[str, Any]:
    """The plain fields after a create or an update, checked as Auto Scaling does."""
    old = group.plain if group else DEFAULTS
    plain = {**old, **{k: given[k] for k in PLAIN_FIELDS if given.get(k) is not None}}
    least, most = int(plain["MinSize"]), int(plain["MaxSize"])
    if least < 0 or most < least:
        raise _invalid(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if given.get("DesiredCapacity") is None:
        plain["DesiredCapacity"] = min(max(int(plain.get("DesiredCapacity", least)), least), most)
    desired = int(plain["DesiredCapacity"])
    if not least <= desired <= most:
        raise _invalid(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")
    if plain["HealthCheckType"] not in ("EC2", "ELB", "EC2,ELB", "EBS", "VPC_LATTICE"):
        raise _invalid(
            f"Invalid HealthCheckType: {plain['HealthCheckType']}. Supported types are [EC2, ELB, EBS, VPC_LATTICE]."
        )
    return plain


def _places(region: str, given: dict[str, Any]) -> tuple[list[str], list[str]] | None:
    """Zones and subnets of a request; ``None`` if it names neither."""
    backend = instances.backend_of(region)
    subnets = [s.strip() for s in (given.get("VPCZoneIdentifier") or "").split(",") if s.strip()]
    zones = list(given.get("AvailabilityZones") or [])
    known = {subnet.id: subnet for zone in backend.subnets.values() for subnet in zone.values()}
    if missing := [s for s in subnets if s not in known]:
        raise _invalid(f"The subnet ID '{missing[0]}' does not exist")
    if unknown := [z for z in zones if z not in market.zones(region)]:
        raise _invalid(f"Invalid availability zones [{', '.join(unknown)}]")
    if subnets:
        return sorted({known[s].availability_zone for s in subnets}), subnets
    return (sorted(zones), []) if zones else None


def _template(region: str, given: dict[str, Any]) -> dict[str, Any]:
    """A launch template specification with both id and name; raises if it does not exist or lacks an image."""
    try:
        version = instances.template_version(region, given)
    except ServiceException as refused:
        named = given.get("LaunchTemplateId") or given.get("LaunchTemplateName")
        raise _invalid(
            "You must use a valid fully-formed launch template."
            f" The specified launch template, with template {named}, does not exist. ({refused.code})"
        ) from None
    if not version.image_id:
        raise _invalid(
            "You must use a valid fully-formed launch template. The request must contain the parameter ImageId"
        )
    made = {"LaunchTemplateId": version.template.id, "LaunchTemplateName": version.template.name}
    return {**made, **({"Version": given["Version"]} if given.get("Version") else {})}


def _policy(region: str, given: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
    """A mixed instances policy after a create or an update: what is not given stays as it is."""
    made = {**((old or {}).get("LaunchTemplate") or {})}
    launch = given.get("LaunchTemplate") or {}
    if launch.get("LaunchTemplateSpecification"):
        made["LaunchTemplateSpecification"] = _template(region, launch["LaunchTemplateSpecification"])
    if launch.get("Overrides") is not None:
        made["Overrides"] = [_override(region, o) for o in launch["Overrides"]]
    if not made.get("LaunchTemplateSpecification"):
        raise _invalid("LaunchTemplateSpecification must be specified when creating a mixed instances policy")
    overrides = made.get("Overrides") or []
    if len(overrides) > MAX_OVERRIDES:
        raise _invalid(
            "1 validation error detected: Value at 'mixedInstancesPolicy.launchTemplate.overrides' failed to satisfy"
            f" constraint: Member must have length less than or equal to {MAX_OVERRIDES}"
        )
    repeated = [t for t, n in Counter(o["InstanceType"] for o in overrides).items() if n > 1]
    if repeated:
        raise _invalid(f"Overrides contain the instance type {repeated[0]} more than once")
    if 0 < sum("WeightedCapacity" in o for o in overrides) < len(overrides):
        raise _invalid("WeightedCapacity must be specified for all overrides or for none")
    distribution = {
        **DISTRIBUTION,
        **((old or {}).get("InstancesDistribution") or {}),
        **{k: v for k, v in (given.get("InstancesDistribution") or {}).items() if v is not None},
    }
    _check_distribution(distribution)
    return {"LaunchTemplate": made, "InstancesDistribution": distribution}


def _override(region: str, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("InstanceRequirements"):
        raise _invalid("The sandbox does not have InstanceRequirements: name the instance types")
    instance_type, weight = given.get("InstanceType"), given.get("WeightedCapacity")
    if not instance_type:
        raise _invalid("An override must name an InstanceType")
    if instance_type not in market.types(region):
        raise _invalid(f"The instance type {instance_type} is not supported in {region}")
    if weight is not None and not (str(weight).isdigit() and 1 <= int(weight) <= 999):
        raise _invalid(f"WeightedCapacity {weight} of {instance_type} must be a whole number from 1 to 999")
    made: dict[str, Any] = {"InstanceType": instance_type}
    if weight is not None:
        made["WeightedCapacity"] = str(weight)
    if given.get("LaunchTemplateSpecification"):
        made["LaunchTemplateSpecification"] = _template(region, given["LaunchTemplateSpecification"])
    return made


def _check_distribution(distribution: dict[str, Any]) -> None:
    strategy = distribution["SpotAllocationStrategy"]
    if strategy not in SPOT_STRATEGIES:
        raise _invalid(f"Spot allocation strategy {strategy} is not supported; use one of {', '.join(SPOT_STRATEGIES)}")
    if distribution["OnDemandAllocationStrategy"] not in ("prioritized", "lowest-price"):
        raise _invalid(f"On-Demand allocation strategy {distribution['OnDemandAllocationStrategy']} is not supported")
    if int(distribution["OnDemandBaseCapacity"]) < 0:
        raise _invalid("OnDemandBaseCapacity must be at least 0")
    if not 0 <= int(distribution["OnDemandPercentageAboveBaseCapacity"]) <= 100:
        raise _invalid("OnDemandPercentageAboveBaseCapacity must be between 0 and 100")
    if strategy == "lowest-price":
        distribution.setdefault("SpotInstancePools", 2)
    else:
        distribution.pop("SpotInstancePools", None)


def _shown(group: Group) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        **{k: v for k, v in group.plain.items() if k != "PlacementGroup"},
        "AvailabilityZones": group.zones,
        "LoadBalancerNames": group.load_balancers,
        "TargetGroupARNs": group.target_groups,
        "CreatedTime": group.created,
        "SuspendedProcesses": [
            {"ProcessName": p, "SuspensionReason": "User suspended"} for p in PROCESSES if p in group.suspended
        ],
        "VPCZoneIdentifier": ",".join(group.subnets),
        "EnabledMetrics": [{"Metric": m, "Granularity": "1Minute"} for m in group.metrics],
        "Tags": _tags_shown(group),
        "TrafficSources": _sources(group),
        "Instances": [_member_shown(m) for m in group.members.values()],
    }
    if group.plain.get("PlacementGroup"):
        shown["PlacementGroup"] = group.plain["PlacementGroup"]
    if group.policy:
        shown["MixedInstancesPolicy"] = {
            "LaunchTemplate": {"Overrides": [], **group.policy["LaunchTemplate"]},
            "InstancesDistribution": group.policy["InstancesDistribution"],
        }
    else:
        shown["LaunchTemplate"] = group.template
    return shown


def _sources(group: Group) -> list[dict[str, str]]:
    return [{"Identifier": arn, "Type": "elbv2"} for arn in group.target_groups] + group.traffic_sources


def _member_shown(member: Member) -> dict[str, Any]:
    shown = {
        "InstanceId": member.id,
        "InstanceType": member.instance_type,
        "AvailabilityZone": member.zone,
        "LifecycleState": member.state,
        "HealthStatus": member.health,
        "LaunchTemplate": member.template,
        "ProtectedFromScaleIn": member.protected,
    }
    if member.weighted is not None:
        shown["WeightedCapacity"] = member.weighted
    return shown


def _tags_shown(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": propagate,
        }
        for key, (value, propagate) in sorted(group.tags.items())
    ]


class AutoScaling(BaseResponse):
    """Auto Scaling's operations."""

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
            raise _invalid(f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
        return group

    def _member(self, instance_id: str | None = None) -> tuple[Group, Member]:
        instance_id = instance_id or self._get_param("InstanceId")
        for group in self._groups():
            if instance_id in group.members:
                return group, group.members[instance_id]
        raise _invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def _members(self, group: Group) -> list[Member]:
        ids = self._get_param("InstanceIds", [])
        for instance_id in ids:
            if instance_id not in group.members:
                raise _invalid(f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")
        return [group.members[i] for i in ids]

    def _paged(self, key: str, items: list[Any], most: int, usual: int) -> ActionResult:
        size = int(self._get_param("MaxRecords") or usual)
        if not 1 <= size <= most:
            raise _invalid(
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

    # groups

    def create_auto_scaling_group(self) -> ActionResult:
        given = self._given()
        name = given["AutoScalingGroupName"]
        if (self.region, name) in GROUPS:
            raise AutoscalingClientError(
                "AlreadyExists",
                "AutoScalingGroup by this name already exists - A group with the name" f" {name} already exists",
            )
        sources = [k for k in ("LaunchTemplate", "MixedInstancesPolicy") if given.get(k)]
        if len(sources) != 1:
            raise _invalid(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or"
                " MixedInstancesPolicy parameter."
                + (" The sandbox has no launch configurations." if given.get("LaunchConfigurationName") else "")
            )
        places = _places(self.region, given)
        if places is None:
            raise _invalid("At least one Availability Zone or VPC Subnet is required.")
        group = Group(name, self.region, _settings(given, None), *places)
        if given.get("LaunchTemplate"):
            group.template = _template(self.region, given["LaunchTemplate"])
        else:
            group.policy = _policy(self.region, given["MixedInstancesPolicy"], None)
        self._check_target_groups(given.get("TargetGroupARNs") or [])
        group.target_groups = list(given.get("TargetGroupARNs") or [])
        group.load_balancers = list(given.get("LoadBalancerNames") or [])
        self._attach_sources(group, given.get("TrafficSources") or [])
        for tag in given.get("Tags") or []:
            group.tags[tag["Key"]] = (tag.get("Value", ""), bool(tag.get("PropagateAtLaunch", False)))
        for hook in given.get("LifecycleHookSpecificationList") or []:
            self._put_hook(group, hook)
        group.because = (
            f"a user request created an AutoScalingGroup changing the desired capacity from 0 to {group.desired}"
        )
        GROUPS[(self.region, name)] = group
        settle(group)
        return EmptyResult()

    def update_auto_scaling_group(self) -> ActionResult:
        given, group = self._given(), self._group()
        if given.get("LaunchTemplate") and given.get("MixedInstancesPolicy"):
            raise _invalid("A LaunchTemplate and a MixedInstancesPolicy cannot both be specified")
        plain, before = _settings(given, group), group.desired
        places = _places(self.region, given)
        template, policy = group.template, group.policy
        if given.get("LaunchTemplate"):
            template, policy = _template(self.region, given["LaunchTemplate"]), None
        elif given.get("MixedInstancesPolicy"):
            template, policy = None, _policy(self.region, given["MixedInstancesPolicy"], group.policy)
        group.plain, group.template, group.policy = plain, template, policy
        if places:
            group.zones, group.subnets = places
        if group.desired != before:
            group.because = (
                f"a user request update of AutoScalingGroup constraints to min: {plain['MinSize']},"
                f" max: {plain['MaxSize']}, desired: {group.desired} changing the desired capacity"
                f" from {before} to {group.desired}"
            )
        self._at_once(group)
        return EmptyResult()

    @staticmethod
    def _at_once(group: Group) -> None:
        group.retry_at = 0.0
        settle(group)

    def delete_auto_scaling_group(self) -> ActionResult:
        group = self._group()
        if group.members and not self._get_param("ForceDelete"):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
                " still in the group.",
            )
        group.hooks.clear()
        for member in list(group.members.values()):
            if member.state.startswith("Terminating"):
                _terminate(group, member)
            else:
                _leave(
                    group,
                    member,
                    f"At {stamp()} a user request force deleted AutoScalingGroup changing the desired"
                    f" capacity from {group.desired} to 0.",
                )
        if group.timer:
            group.timer.cancel()
        del GROUPS[(self.region, group.name)]
        DELETED[(self.region, group.name)] = group.activities
        return EmptyResult()

    def describe_auto_scaling_groups(self) -> ActionResult:
        names = self._get_param("AutoScalingGroupNames") or []
        groups = [g for g in self._groups() if not names or g.name in names]
        for item in self._get_param("Filters") or []:
            name, match = item["Name"], instances.matcher(item.get("Values") or [])
            if name == "tag-key":
                groups = [g for g in groups if any(map(match, g.tags))]
            elif name == "tag-value":
                groups = [g for g in groups if any(match(value) for value, _ in g.tags.values())]
            elif name.startswith("tag:"):
                groups = [g for g in groups if match(g.tags.get(name[4:], (None, False))[0])]
            else:
                raise _invalid(f"Invalid filter name {name}. Valid filters are tag-key, tag-value and tag:<key>")
        answer = self._paged("AutoScalingGroups", groups, 100, 50)
        shown = dict(answer.result)  # type: ignore[call-overload]
        shown["AutoScalingGroups"] = [_shown(g) for g in shown["AutoScalingGroups"]]
        return ActionResult(shown)

    def set_desired_capacity(self) -> ActionResult:
        group, wanted = self._group(), int(self._get_param("DesiredCapacity"))
        before = group.desired
        if wanted > int(group.plain["MaxSize"]):
            raise _invalid(
                f"New SetDesiredCapacity value {wanted} is above max value {group.plain['MaxSize']}"
                " for the AutoScalingGroup."
            )
        if wanted < int(group.plain["MinSize"]):
            raise _invalid(
                f"New SetDesiredCapacity value {wanted} is below min value {group.plain['MinSize']}"
                " for the AutoScalingGroup."
            )
        group.desired = wanted
        if wanted != before:
            group.because = (
                "a user request explicitly set group desired capacity changing the desired capacity"
                f" from {before} to {wanted}"
            )
        self._at_once(group)
        return EmptyResult()

    def describe_account_limits(self) -> ActionResult:
        return ActionResult(
            {
                "MaxNumberOfAutoScalingGroups": 500,
                "MaxNumberOfLaunchConfigurations": 200,
                "NumberOfAutoScalingGroups": len(self._groups()),
                "NumberOfLaunchConfigurations": 0,
            }
        )

    def describe_launch_configurations(self) -> ActionResult:
        return ActionResult({"LaunchConfigurations": []})

    # instances

    def describe_auto_scaling_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds") or []
        shown = [
            {**_member_shown(m), "AutoScalingGroupName": g.name, "HealthStatus": m.health.upper()}
            for g in self._groups()
            for m in g.members.values()
            if not ids or m.id in ids
        ]
        return self._paged("AutoScalingInstances", shown, 50, 50)

    def terminate_instance_in_auto_scaling_group(self) -> ActionResult:
        group, member = self._member()
        before = group.desired
        shrink = self._decrement(group, [member])
        cause = f"At {stamp()} instance {member.id} was taken out of service in response to a user request" + (
            f", shrinking the capacity from {before} to {group.desired}." if shrink else "."
        )
        activity = _leave(group, member, cause)
        self._at_once(group)
        return ActionResult({"Activity": activity.shown()})

    def _decrement(self, group: Group, leaving: list[Member]) -> bool:
        """Lower the desired capacity by what leaves, if the request says so; not below the minimum."""
        if not self._get_param("ShouldDecrementDesiredCapacity"):
            return False
        wanted, least = group.desired - weight_of(leaving), int(group.plain["MinSize"])
        if wanted < least:
            start = "desiredSize equals minSize" if group.desired == least else "desiredSize is close to minSize"
            raise _invalid(
                f"Currently, {start} ({least}). Terminating instance without replacement will violate group's min size"
                " constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
            )
        group.desired = wanted
        return True

    def set_instance_protection(self) -> ActionResult:
        for member in self._members(self._group()):
            member.protected = bool(self._get_param("ProtectedFromScaleIn"))
        settle(self._group())
        return EmptyResult()

    def set_instance_health(self) -> ActionResult:
        group, member = self._member()
        status = self._get_param("HealthStatus")
        if status not in ("Healthy", "Unhealthy"):
            raise _invalid(f"Invalid HealthStatus {status}: use Healthy or Unhealthy")
        respect = self._get_param("ShouldRespectGracePeriod")
        grace = float(group.plain["HealthCheckGracePeriod"]) if respect is None or respect else 0.0
        if status == "Healthy" or clock.time() - member.launched >= grace:
            member.health = status
        self._at_once(group)
        return EmptyResult()

    def attach_instances(self) -> ActionResult:
        group, ids = self._group(), self._get_param("InstanceIds") or []
        if len(ids) > 20:
            raise _invalid("At most 20 instances can be attached in one call")
        weights = {o["InstanceType"]: _weight(o) for o in group.overrides}
        joining = []
        for instance_id in ids:
            record = instances.RECORDS.get(instance_id)
            if record is None or record.region != self.region or not record.holds_place:
                raise _invalid(f"Invalid Instance ID(s): [{instance_id}] specified: it is not running in {self.region}")
            if any(instance_id in g.members for g in self._groups()):
                raise _invalid(f"Instance {instance_id} is already part of an AutoScalingGroup")
            _, zone, instance_type, lifecycle = record.pool
            weight = weights.get(instance_type, 1)
            weighted = str(weight) if any("WeightedCapacity" in o for o in group.overrides) else None
            joining.append(
                Member(instance_id, instance_type, zone, None, lifecycle, weight, None, weighted, False, None)
            )
        if group.desired + weight_of(joining) > int(group.plain["MaxSize"]):
            raise _invalid(
                f"AutoScalingGroup {group.name} has max size {group.plain['MaxSize']}: attaching {len(joining)}"
                f" instances would raise its desired capacity from {group.desired}"
                f" to {group.desired + weight_of(joining)}"
            )
        group.desired += weight_of(joining)
        for member in joining:
            member.state = "InService"
            group.members[member.id] = member
            instances.backend_of(self.region).tags[member.id]["aws:autoscaling:groupName"] = group.name
            _register(group, member)
        settle(group)
        return EmptyResult()

    def detach_instances(self) -> ActionResult:
        group = self._group()
        leaving = self._members(group)
        if len(leaving) > 20:
            raise _invalid("At most 20 instances can be detached in one call")
        self._decrement(group, leaving)
        _deregister(group, leaving)
        shown = []
        for member in leaving:
            _cancel(member)
            del group.members[member.id]
            instances.backend_of(self.region).tags[member.id].pop("aws:autoscaling:groupName", None)
            shown.append(self._moved(group, member, "Detaching EC2 instance", "instance was detached"))
        self._at_once(group)
        return ActionResult({"Activities": shown})

    def enter_standby(self) -> ActionResult:
        group = self._group()
        leaving = self._members(group)
        for member in leaving:
            if member.state != "InService":
                raise _invalid(
                    f"The instance {member.id} is in {member.state}: only InService instances can enter Standby"
                )
        self._decrement(group, leaving)
        _deregister(group, leaving)
        shown = []
        for member in leaving:
            member.state = "Standby"
            shown.append(self._moved(group, member, "Moving EC2 instance to Standby", "instance was moved to standby"))
        self._at_once(group)
        return ActionResult({"Activities": shown})

    def exit_standby(self) -> ActionResult:
        group = self._group()
        coming = self._members(group)
        for member in coming:
            if member.state != "Standby":
                raise _invalid(
                    f"The instance {member.id} is in {member.state}: only Standby instances can exit Standby"
                )
        if group.desired + weight_of(coming) > int(group.plain["MaxSize"]):
            raise _invalid(
                f"AutoScalingGroup {group.name} has max size {group.plain['MaxSize']}: no room to exit Standby"
            )
        group.desired += weight_of(coming)
        shown = []
        for member in coming:
            member.state = "InService"
            _register(group, member)
            shown.append(
                self._moved(group, member, "Moving EC2 instance out of Standby", "instance was moved out of standby")
            )
        self._at_once(group)
        return ActionResult({"Activities": shown})

    @staticmethod
    def _moved(group: Group, member: Member, what: str, how: str) -> dict[str, Any]:
        cause = f"At {stamp()} {how} in response to a user request."
        activity = Activity(group.name, group.arn, f"{what}: {member.id}", cause, _details(group, member.zone))
        activity.close("Successful")
        group.activities.insert(0, activity)
        return activity.shown()

    def describe_scaling_activities(self) -> ActionResult:
        name, ids = self._get_param("AutoScalingGroupName"), self._get_param("ActivityIds") or []
        if name and (self.region, name) not in GROUPS and not self._get_param("IncludeDeletedGroups"):
            self._group(name)
        found = [a for g in self._groups() if name in (None, g.name) for a in g.activities]
        if self._get_param("IncludeDeletedGroups"):
            found += [a for (r, n), some in DELETED.items() if r == self.region and name in (None, n) for a in some]
        limit = clock.time() - 42 * 86400
        found = [a for a in found if (not ids or a.id in ids) and a.begun.timestamp() > limit]
        if not name:
            found.sort(key=lambda a: a.begun, reverse=True)
        return self._paged("Activities", [a.shown() for a in found], 100, 100)

    # load balancers

    def _check_target_groups(self, arns: list[str]) -> None:
        known = elbv2_backends[ACCOUNT][self.region].target_groups
        if missing := [arn for arn in arns if arn not in known]:
            raise _invalid(
                f"Provided Target Groups may not be valid. Please ensure they exist and try again. ({missing[0]})"
            )

    def attach_load_balancer_target_groups(self) -> ActionResult:
        group, arns = self._group(), self._get_param("TargetGroupARNs") or []
        self._check_target_groups(arns)
        group.target_groups += [arn for arn in arns if arn not in group.target_groups]
        for member in group.members.values():
            if member.state == "InService":
                _register(group, member)
        return EmptyResult()

    def detach_load_balancer_target_groups(self) -> ActionResult:
        group, arns = self._group(), self._get_param("TargetGroupARNs") or []
        _deregister(group, group.members.values(), arns)
        group.target_groups = [arn for arn in group.target_groups if arn not in arns]
        return EmptyResult()

    def describe_load_balancer_target_groups(self) -> ActionResult:
        shown = [{"LoadBalancerTargetGroupARN": arn, "State": "InService"} for arn in self._group().target_groups]
        return self._paged("LoadBalancerTargetGroups", shown, 100, 100)

    def describe_load_balancers(self) -> ActionResult:
        shown = [{"LoadBalancerName": name, "State": "InService"} for name in self._group().load_balancers]
        return self._paged("LoadBalancers", shown, 100, 100)

    def _attach_sources(self, group: Group, sources: list[dict[str, str]]) -> None:
        arns = [s["Identifier"] for s in sources if ":targetgroup/" in s["Identifier"]]
        self._check_target_groups(arns)
        group.target_groups += [arn for arn in arns if arn not in group.target_groups]
        known = [s["Identifier"] for s in group.traffic_sources]
        group.traffic_sources += [{"Type": "elb", **s} for s in sources if s["Identifier"] not in [*arns, *known]]
        for member in group.members.values():
            if member.state == "InService":
                _register(group, member)

    def attach_traffic_sources(self) -> ActionResult:
        self._attach_sources(self._group(), self._get_param("TrafficSources") or [])
        return EmptyResult()

    def detach_traffic_sources(self) -> ActionResult:
        group, names = self._group(), [s["Identifier"] for s in self._get_param("TrafficSources") or []]
        _deregister(group, group.members.values(), names)
        group.target_groups = [arn for arn in group.target_groups if arn not in names]
        group.traffic_sources = [s for s in group.traffic_sources if s["Identifier"] not in names]
        return EmptyResult()

    def describe_traffic_sources(self) -> ActionResult:
        wanted = self._get_param("TrafficSourceType")
        shown = [{**s, "State": "InService"} for s in _sources(self._group()) if wanted in (None, s["Type"])]
        return self._paged("TrafficSources", shown, 50, 50)

    # tags

    def create_or_update_tags(self) -> ActionResult:
        for tag in self._get_param("Tags") or []:
            group = self._group(tag["ResourceId"])
            propagate = tag.get("PropagateAtLaunch")
            if propagate is None:
                propagate = group.tags.get(tag["Key"], ("", False))[1]
            group.tags[tag["Key"]] = (tag.get("Value", ""), bool(propagate))
        return EmptyResult()

    def delete_tags(self) -> ActionResult:
        for tag in self._get_param("Tags") or []:
            self._group(tag["ResourceId"]).tags.pop(tag["Key"], None)
        return EmptyResult()

    def describe_tags(self) -> ActionResult:
        shown = [tag for group in self._groups() for tag in _tags_shown(group)]
        keys = {
            "auto-scaling-group": "ResourceId",
            "key": "Key",
            "value": "Value",
            "propagate-at-launch": "PropagateAtLaunch",
        }
        for item in self._get_param("Filters") or []:
            if item["Name"] not in keys:
                raise _invalid(f"Invalid filter name {item['Name']}. Valid filters are {', '.join(keys)}")
            match, key = instances.matcher(item.get("Values") or []), keys[item["Name"]]
            shown = [t for t in shown if match(str(t[key]).lower() if key == "PropagateAtLaunch" else t[key])]
        return self._paged("Tags", shown, 100, 50)

    # processes and metrics

    def _processes(self) -> set[str]:
        names = set(self._get_param("ScalingProcesses") or PROCESSES)
        if unknown := names - set(PROCESSES):
            raise _invalid(f"The requested process {sorted(unknown)[0]} is not valid; use {', '.join(PROCESSES)}")
        return names

    def suspend_processes(self) -> ActionResult:
        self._group().suspended |= self._processes()
        return EmptyResult()

    def resume_processes(self) -> ActionResult:
        group = self._group()
        group.suspended -= self._processes()
        self._at_once(group)
        return EmptyResult()

    def enable_metrics_collection(self) -> ActionResult:
        group, names = self._group(), self._get_param("Metrics") or METRICS
        group.metrics = sorted({*group.metrics, *names})
        return EmptyResult()

    def disable_metrics_collection(self) -> ActionResult:
        group, names = self._group(), self._get_param("Metrics") or METRICS
        group.metrics = [m for m in group.metrics if m not in names]
        return EmptyResult()

    # lifecycle hooks

    @staticmethod
    def _put_hook(group: Group, given: dict[str, Any]) -> None:
        name, old = given["LifecycleHookName"], group.hooks.get(given["LifecycleHookName"])
        transition = given.get("LifecycleTransition") or (old.transition if old else None)
        if transition not in (LAUNCHING, TERMINATING):
            raise _invalid(f"LifecycleTransition {transition} must be {LAUNCHING} or {TERMINATING}")
        hook = Hook(name, transition)
        fields = {
            "timeout": "HeartbeatTimeout",
            "default": "DefaultResult",
            "metadata": "NotificationMetadata",
            "target": "NotificationTargetARN",
            "role": "RoleARN",
        }
        for attribute, parameter in fields.items():
            value = given.get(parameter)
            setattr(hook, attribute, value if value is not None else getattr(old or hook, attribute))
        if not 30 <= int(hook.timeout) <= 7200:
            raise _invalid(f"HeartbeatTimeout {hook.timeout} must be from 30 to 7200 seconds")
        if hook.default not in ("CONTINUE", "ABANDON"):
            raise _invalid(f"DefaultResult {hook.default} must be CONTINUE or ABANDON")
        group.hooks[name] = hook

    def put_lifecycle_hook(self) -> ActionResult:
        self._put_hook(self._group(), self._given())
        return EmptyResult()

    def delete_lifecycle_hook(self) -> ActionResult:
        group, name = self._group(), self._get_param("LifecycleHookName")
        if group.hooks.pop(name, None) is None:
            raise _invalid(f"No Lifecycle Hook found with name: {name}")
        for member in list(group.members.values()):
            _complete(group, member, name, "CONTINUE")
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
                        "GlobalTimeout": min(172800, 100 * int(h.timeout)),
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
        raise _invalid(
            f"No active Lifecycle Action found with {f'token {token}' if token else f'instance ID {wanted}'}"
        )

    def complete_lifecycle_action(self) -> ActionResult:
        group = self._group()
        member, name = self._waiting(group)
        result = self._get_param("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise _invalid(f"LifecycleActionResult {result} must be CONTINUE or ABANDON")
        _complete(group, member, name, result)
        return EmptyResult()

    def record_lifecycle_action_heartbeat(self) -> ActionResult:
        group = self._group()
        member, name = self._waiting(group)
        wait, hook = member.waits[name], group.hooks[name]
        wait.deadline.cancel()
        wait.deadline = clock.call_later(hook.timeout, _complete, group, member, name, hook.default)
        return EmptyResult()


RESPONSES = {"autoscaling": AutoScaling}
