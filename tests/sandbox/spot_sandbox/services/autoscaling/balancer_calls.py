"""The operations on the load balancers and traffic sources of groups."""

from __future__ import annotations

from moto.core.responses import ActionResult, EmptyResult
from spot_sandbox.services.autoscaling.calls import Calls
from spot_sandbox.services.autoscaling.targets import (
    attach_sources,
    check_target_groups,
    deregister,
    register,
    sources_of,
)


class BalancerCalls(Calls):
    """Attaching, detaching and showing load balancers."""

    def attach_load_balancer_target_groups(self) -> ActionResult:
        group, arns = self._group(), self._get_param("TargetGroupARNs") or []
        check_target_groups(self.region, arns)
        group.target_groups += [arn for arn in arns if arn not in group.target_groups]
        for member in group.members.values():
            if member.state == "InService":
                register(group, member)
        return EmptyResult()

    def detach_load_balancer_target_groups(self) -> ActionResult:
        group, arns = self._group(), self._get_param("TargetGroupARNs") or []
        deregister(group, group.members.values(), arns)
        group.target_groups = [arn for arn in group.target_groups if arn not in arns]
        return EmptyResult()

    def describe_load_balancer_target_groups(self) -> ActionResult:
        shown = [{"LoadBalancerTargetGroupARN": arn, "State": "InService"} for arn in self._group().target_groups]
        return self._paged("LoadBalancerTargetGroups", shown, 100, 100)

    def describe_load_balancers(self) -> ActionResult:
        shown = [{"LoadBalancerName": name, "State": "InService"} for name in self._group().load_balancers]
        return self._paged("LoadBalancers", shown, 100, 100)

    def attach_traffic_sources(self) -> ActionResult:
        attach_sources(self._group(), self._get_param("TrafficSources") or [])
        return EmptyResult()

    def detach_traffic_sources(self) -> ActionResult:
        group, names = self._group(), [s["Identifier"] for s in self._get_param("TrafficSources") or []]
        deregister(group, group.members.values(), names)
        group.target_groups = [arn for arn in group.target_groups if arn not in names]
        group.traffic_sources = [s for s in group.traffic_sources if s["Identifier"] not in names]
        return EmptyResult()

    def describe_traffic_sources(self) -> ActionResult:
        wanted = self._get_param("TrafficSourceType")
        shown = [{**s, "State": "InService"} for s in sources_of(self._group()) if wanted in (None, s["Type"])]
        return self._paged("TrafficSources", shown, 50, 50)
