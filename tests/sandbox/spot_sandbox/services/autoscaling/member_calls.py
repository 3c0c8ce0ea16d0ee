"""The operations on the instances of groups, with their activities."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from spot_sandbox import clock
from spot_sandbox.services import instances
from spot_sandbox.services.autoscaling.activities import details
from spot_sandbox.services.autoscaling.allocation import override_weight
from spot_sandbox.services.autoscaling.calls import Calls
from spot_sandbox.services.autoscaling.loop import settle
from spot_sandbox.services.autoscaling.members import attach, cancel, leave
from spot_sandbox.services.autoscaling.requests import invalid
from spot_sandbox.services.autoscaling.shown import member_shown
from spot_sandbox.services.autoscaling.state import DELETED, GROUPS, Activity, Group, Member, weight_of
from spot_sandbox.services.autoscaling.targets import deregister, register
from spot_sandbox.services.events import stamp


class MemberCalls(Calls):
    """Moving instances in, out and aside, and what a group tells of it."""

    def describe_auto_scaling_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds") or []
        shown = [
            {**member_shown(m), "AutoScalingGroupName": g.name, "HealthStatus": m.health.upper()}
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
        activity = leave(group, member, cause)
        self._at_once(group)
        return ActionResult({"Activity": activity.shown()})

    def _decrement(self, group: Group, leaving: list[Member]) -> bool:
        """Lower the desired capacity by what leaves, if the request says so; not below the minimum."""
        if not self._get_param("ShouldDecrementDesiredCapacity"):
            return False
        wanted, least = group.desired - weight_of(leaving), int(group.plain["MinSize"])
        if wanted < least:
            start = "desiredSize equals minSize" if group.desired == least else "desiredSize is close to minSize"
            raise invalid(
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
            raise invalid(f"Invalid HealthStatus {status}: use Healthy or Unhealthy")
        respect = self._get_param("ShouldRespectGracePeriod")
        grace = float(group.plain["HealthCheckGracePeriod"]) if respect is None or respect else 0.0
        if status == "Healthy" or clock.time() - member.launched >= grace:
            member.health = status
        self._at_once(group)
        return EmptyResult()

    def attach_instances(self) -> ActionResult:
        group, ids = self._group(), self._get_param("InstanceIds") or []
        if len(ids) > 20:
            raise invalid("At most 20 instances can be attached in one call")
        joining = [self._joining(group, instance_id) for instance_id in dict.fromkeys(ids)]
        if group.desired + weight_of(joining) > int(group.plain["MaxSize"]):
            raise invalid(
                f"AutoScalingGroup {group.name} has min-size={group.plain['MinSize']},"
                f" max-size={group.plain['MaxSize']}, and desired-size={group.desired}. To attach {len(joining)}"
                f" instance{'s'[: len(joining) > 1]}, please update the AutoScalingGroup sizes appropriately."
            )
        for member in joining:
            before, group.desired = group.desired, group.desired + member.weight
            cause = (
                f"At {stamp()} an instance was attached in response to a user request, increasing the capacity from"
                f" {before} to {group.desired}."
            )
            attach(group, member, cause)
        settle(group)
        return EmptyResult()

    def _joining(self, group: Group, instance_id: str) -> Member:
        """The member that an instance would become, or Auto Scaling's refusal."""
        record = instances.RECORDS.get(instance_id)
        if record is None or record.region != self.region:
            raise invalid(f"Invalid Instance ID(s): [{instance_id}] specified")
        state = instances.state_of(instance_id)
        if state != "running":
            raise invalid(f"Invalid Instance ID(s): [{instance_id}] specified: it is {state}, and must be running")
        if any(instance_id in g.members for g in self._groups()):
            raise invalid(f"Instance {instance_id} is already part of an AutoScalingGroup")
        _region, zone, instance_type, lifecycle = record.pool
        if zone not in group.zones:
            raise invalid(
                f"The instance {instance_id} is in {zone}: AutoScalingGroup {group.name} is in {', '.join(group.zones)}"
            )
        weight = {o["InstanceType"]: override_weight(o) for o in group.overrides}.get(instance_type, 1)
        weighted = str(weight) if any("WeightedCapacity" in o for o in group.overrides) else None
        protected = bool(group.plain["NewInstancesProtectedFromScaleIn"])
        return Member(instance_id, instance_type, zone, None, lifecycle, weight, None, weighted, protected, None)

    def detach_instances(self) -> ActionResult:
        group = self._group()
        leaving = self._members(group)
        if len(leaving) > 20:
            raise invalid("At most 20 instances can be detached in one call")
        for member in leaving:
            if member.state not in ("InService", "Standby"):
                raise invalid(f"The instance {member.id} is not in InService or Standby.")
        self._decrement(group, leaving)
        deregister(group, leaving)
        shown = []
        for member in leaving:
            cancel(member)
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
                raise invalid(
                    f"The instance {member.id} is in {member.state}: only InService instances can enter Standby"
                )
        self._decrement(group, leaving)
        deregister(group, leaving)
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
                raise invalid(f"The instance {member.id} is in {member.state}: only Standby instances can exit Standby")
        if group.desired + weight_of(coming) > int(group.plain["MaxSize"]):
            raise invalid(
                f"AutoScalingGroup {group.name} has max size {group.plain['MaxSize']}: no room to exit Standby"
            )
        group.desired += weight_of(coming)
        shown = []
        for member in coming:
            member.state = "InService"
            register(group, member)
            shown.append(
                self._moved(group, member, "Moving EC2 instance out of Standby", "instance was moved out of standby")
            )
        self._at_once(group)
        return ActionResult({"Activities": shown})

    @staticmethod
    def _moved(group: Group, member: Member, what: str, how: str) -> dict[str, Any]:
        cause = f"At {stamp()} {how} in response to a user request."
        activity = Activity(group.name, group.arn, f"{what}: {member.id}", cause, details(group, member.zone))
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
