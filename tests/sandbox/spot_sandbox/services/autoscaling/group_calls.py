"""The operations on groups, with their tags, processes and metrics."""

from __future__ import annotations

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.core.responses import ActionResult, EmptyResult
from spot_sandbox.services import instances
from spot_sandbox.services.autoscaling.calls import Calls
from spot_sandbox.services.autoscaling.loop import settle
from spot_sandbox.services.autoscaling.members import leave, terminate
from spot_sandbox.services.autoscaling.requests import (
    invalid,
    read_hook,
    read_places,
    read_policy,
    read_settings,
    read_template,
)
from spot_sandbox.services.autoscaling.shown import group_shown, tags_shown
from spot_sandbox.services.autoscaling.state import DELETED, GROUPS, METRICS, PROCESSES, Group
from spot_sandbox.services.autoscaling.targets import attach_sources, check_target_groups
from spot_sandbox.services.events import stamp


class GroupCalls(Calls):
    """Making, changing, showing and deleting groups."""

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
            raise invalid(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or"
                " MixedInstancesPolicy parameter."
                + (" The sandbox has no launch configurations." if given.get("LaunchConfigurationName") else "")
            )
        places = read_places(self.region, given)
        if places is None:
            raise invalid("At least one Availability Zone or VPC Subnet is required.")
        group = Group(name, self.region, read_settings(given, None), *places)
        if given.get("LaunchTemplate"):
            group.template = read_template(self.region, given["LaunchTemplate"])
        else:
            group.policy = read_policy(self.region, given["MixedInstancesPolicy"], None)
        check_target_groups(self.region, given.get("TargetGroupARNs") or [])
        group.target_groups = list(given.get("TargetGroupARNs") or [])
        group.load_balancers = list(given.get("LoadBalancerNames") or [])
        attach_sources(group, given.get("TrafficSources") or [])
        for tag in given.get("Tags") or []:
            group.tags[tag["Key"]] = (tag.get("Value", ""), bool(tag.get("PropagateAtLaunch", False)))
        for hook in given.get("LifecycleHookSpecificationList") or []:
            group.hooks[hook["LifecycleHookName"]] = read_hook(group, hook)
        group.because = (
            f"a user request created an AutoScalingGroup changing the desired capacity from 0 to {group.desired}"
        )
        GROUPS[(self.region, name)] = group
        settle(group)
        return EmptyResult()

    def update_auto_scaling_group(self) -> ActionResult:
        given, group = self._given(), self._group()
        if given.get("LaunchTemplate") and given.get("MixedInstancesPolicy"):
            raise invalid("A LaunchTemplate and a MixedInstancesPolicy cannot both be specified")
        plain, before = read_settings(given, group), group.desired
        places = read_places(self.region, given)
        template, policy = group.template, group.policy
        if given.get("LaunchTemplate"):
            template, policy = read_template(self.region, given["LaunchTemplate"]), None
        elif given.get("MixedInstancesPolicy"):
            template, policy = None, read_policy(self.region, given["MixedInstancesPolicy"], group.policy)
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
                terminate(group, member)
            else:
                leave(
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
                groups = [g for g in groups if any(match(value) for value, _propagated in g.tags.values())]
            elif name.startswith("tag:"):
                groups = [g for g in groups if match(g.tags.get(name[4:], (None, False))[0])]
            else:
                raise invalid(f"Invalid filter name {name}. Valid filters are tag-key, tag-value and tag:<key>")
        answer = self._paged("AutoScalingGroups", groups, 100, 50)
        shown = dict(answer.result)  # type: ignore[call-overload]
        shown["AutoScalingGroups"] = [group_shown(g) for g in shown["AutoScalingGroups"]]
        return ActionResult(shown)

    def set_desired_capacity(self) -> ActionResult:
        group, wanted = self._group(), int(self._get_param("DesiredCapacity"))
        before = group.desired
        if wanted > int(group.plain["MaxSize"]):
            raise invalid(
                f"New SetDesiredCapacity value {wanted} is above max value {group.plain['MaxSize']}"
                " for the AutoScalingGroup."
            )
        if wanted < int(group.plain["MinSize"]):
            raise invalid(
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

    # tags

    def create_or_update_tags(self) -> ActionResult:
        tags = self._get_param("Tags") or []
        groups = [self._group(tag["ResourceId"]) for tag in tags]  # all or none
        for group, tag in zip(groups, tags, strict=True):
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
        shown = [tag for group in self._groups() for tag in tags_shown(group)]
        keys = {
            "auto-scaling-group": "ResourceId",
            "key": "Key",
            "value": "Value",
            "propagate-at-launch": "PropagateAtLaunch",
        }
        for item in self._get_param("Filters") or []:
            if item["Name"] not in keys:
                raise invalid(f"Invalid filter name {item['Name']}. Valid filters are {', '.join(keys)}")
            match, key = instances.matcher(item.get("Values") or []), keys[item["Name"]]
            shown = [t for t in shown if match(str(t[key]).lower() if key == "PropagateAtLaunch" else t[key])]
        return self._paged("Tags", shown, 100, 50)

    # processes and metrics

    def _processes(self) -> set[str]:
        names = set(self._get_param("ScalingProcesses") or PROCESSES)
        if unknown := names - set(PROCESSES):
            raise invalid(f"The requested process {sorted(unknown)[0]} is not valid; use {', '.join(PROCESSES)}")
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
