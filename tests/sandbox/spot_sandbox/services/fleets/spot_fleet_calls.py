"""Spot Fleet's operations."""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import convert_tag_spec
from moto.elbv2.models import elbv2_backends
from spot_sandbox import clock
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.fleets.calls import FleetParts
from spot_sandbox.services.fleets.loop import begin, close, modify
from spot_sandbox.services.fleets.requests import check_common, check_one_of, check_tag_types, moment, read_choices
from spot_sandbox.services.fleets.state import FLEETS, SPOT_FLEET, Fleet, Settings

SPOT_STRATEGIES = {
    "lowestPrice": "lowest-price",
    "diversified": "diversified",
    "capacityOptimized": "capacity-optimized",
    "capacityOptimizedPrioritized": "capacity-optimized-prioritized",
    "priceCapacityOptimized": "price-capacity-optimized",
}
"""Spot Fleet's names, and EC2 Fleet's."""
ON_DEMAND_STRATEGIES = {"lowestPrice": "lowest-price", "prioritized": "prioritized"}
EXCESS = ("default", "noTermination")
ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/.+")
MOST_CANCELLED = 100


def wrong(message: str) -> EC2ClientError:
    return EC2ClientError(SPOT_FLEET.config_error, message)


def read_settings(region: str, given: dict[str, Any], kind: str) -> Settings:
    """How the fleet of a request acts; raises EC2's errors."""
    rebalance = (given.get("SpotMaintenanceStrategies") or {}).get("CapacityRebalance")
    check_common(SPOT_FLEET, kind, rebalance, given.get("TargetCapacityUnitType"))
    check_tag_types(given.get("TagSpecifications") or [], (SPOT_FLEET.resource_type,))
    spot, on_demand = (
        given.get("AllocationStrategy") or "lowestPrice",
        given.get("OnDemandAllocationStrategy") or "lowestPrice",
    )
    check_one_of("AllocationStrategy", spot, tuple(SPOT_STRATEGIES))
    check_one_of("OnDemandAllocationStrategy", on_demand, tuple(ON_DEMAND_STRATEGIES))
    excess = given.get("ExcessCapacityTerminationPolicy") or "default"
    check_one_of("ExcessCapacityTerminationPolicy", excess, EXCESS)
    if given.get("InstancePoolsToUseCount") and spot != "lowestPrice":
        raise wrong("InstancePoolsToUseCount is allowed with the allocation strategy lowestPrice only")
    if not ROLE.fullmatch(given["IamFleetRole"]):
        raise wrong("Parameter: SpotFleetRequestConfig.IamFleetRole is invalid.")
    return Settings(
        spot_strategy=SPOT_STRATEGIES[spot],
        on_demand_strategy=ON_DEMAND_STRATEGIES[on_demand],
        spread=int(given.get("InstancePoolsToUseCount") or 1),
        keep_excess=excess == "noTermination",
        rebalance=rebalance if rebalance and rebalance.get("ReplacementStrategy") else None,
        max_price=given.get("SpotPrice"),
        target_groups=_target_groups(region, given.get("LoadBalancersConfig") or {}),
        role=given["IamFleetRole"],
        valid_from=moment(given.get("ValidFrom")),
        valid_until=moment(given.get("ValidUntil")),
        end_with_expiration=bool(given.get("TerminateInstancesWithExpiration")),
    )


def _target_groups(region: str, given: dict[str, Any]) -> list[str]:
    if (given.get("ClassicLoadBalancersConfig") or {}).get("ClassicLoadBalancers"):
        raise EC2ClientError("UnsupportedOperation", "The sandbox has no Classic Load Balancers: use target groups")
    arns = [t["Arn"] for t in (given.get("TargetGroupsConfig") or {}).get("TargetGroups") or []]
    known = elbv2_backends[ACCOUNT][region].target_groups
    if missing := [arn for arn in arns if arn not in known]:
        raise wrong(f"The target group {missing[0]} does not exist")
    return arns


def read_targets(total: int, on_demand: int, kind: str) -> tuple[int, int]:
    """(total, On-Demand), checked."""
    if not 0 <= on_demand <= total:
        raise wrong(f"OnDemandTargetCapacity {on_demand} must be from 0 to TargetCapacity {total}")
    if total == 0 and kind != "maintain":
        raise wrong("TargetCapacity 0 is allowed with a fleet of type maintain only")
    return total, on_demand


class SpotFleetCalls(FleetParts):
    """Requesting, changing, showing and cancelling Spot Fleets."""

    def request_spot_fleet(self) -> ActionResult:
        self.error_on_dryrun()
        given = {k: v for k, v in dict(self._get_param("SpotFleetRequestConfig")).items() if v is not None}
        if known := self._fleet_of_token(SPOT_FLEET, given):
            return ActionResult({"SpotFleetRequestId": known.id})
        kind = given.get("Type", "maintain")
        check_one_of("Type", kind, ("maintain", "request"))
        if given.get("LaunchSpecifications"):
            raise EC2ClientError(
                "UnsupportedOperation", "The sandbox has no LaunchSpecifications: use LaunchTemplateConfigs"
            )
        settings = read_settings(self.region, given, kind)
        targets = read_targets(int(given["TargetCapacity"]), int(given.get("OnDemandTargetCapacity") or 0), kind)
        choices = read_choices(SPOT_FLEET, self.region, given.get("LaunchTemplateConfigs") or [])
        fleet = Fleet(SPOT_FLEET, self._fleet_id(SPOT_FLEET), self.region, kind, given, settings, choices, *targets)
        tags = convert_tag_spec(list(given.get("TagSpecifications") or []))
        self._fleet_tag(fleet, tags.get(SPOT_FLEET.resource_type, {}))
        self._fleet_keep_token(fleet)
        begin(fleet)
        return ActionResult({"SpotFleetRequestId": fleet.id})

    def _spot_fleet(self) -> Fleet:
        return self._fleet_named(SPOT_FLEET, self._get_param("SpotFleetRequestId"))

    def describe_spot_fleet_requests(self) -> ActionResult:
        ids = self._get_param("SpotFleetRequestIds") or []
        found = [self._fleet_named(SPOT_FLEET, i) for i in dict.fromkeys(ids)] or self._fleets_listed(SPOT_FLEET)
        return self._fleet_page("SpotFleetRequestConfigs", [self._spot_fleet_shown(f) for f in found])

    def _spot_fleet_shown(self, fleet: Fleet) -> dict[str, Any]:
        config = {
            "AllocationStrategy": "lowestPrice",
            "OnDemandAllocationStrategy": "lowestPrice",
            "ExcessCapacityTerminationPolicy": "default",
            "InstanceInterruptionBehavior": "terminate",
            "ReplaceUnhealthyInstances": False,
            "TerminateInstancesWithExpiration": False,
            "Type": fleet.kind,
            **{k: v for k, v in fleet.given.items() if k != "TagSpecifications"},
            "TargetCapacity": fleet.total,
            "OnDemandTargetCapacity": fleet.on_demand,
            "FulfilledCapacity": fleet.held(),
            "OnDemandFulfilledCapacity": fleet.held("on_demand"),
        }
        return {
            "ActivityStatus": fleet.status(),
            "CreateTime": fleet.created,
            "SpotFleetRequestConfig": config,
            "SpotFleetRequestId": fleet.id,
            "SpotFleetRequestState": fleet.state,
            "Tags": self._fleet_tags_shown(fleet),
        }

    def describe_spot_fleet_instances(self) -> ActionResult:
        fleet = self._spot_fleet()
        return self._fleet_page("ActiveInstances", self._fleet_instances(fleet), SpotFleetRequestId=fleet.id)

    def describe_spot_fleet_request_history(self) -> ActionResult:
        fleet = self._spot_fleet()
        return self._fleet_page(
            "HistoryRecords",
            self._fleet_events(fleet),
            SpotFleetRequestId=fleet.id,
            StartTime=self._get_param("StartTime"),
            LastEvaluatedTime=clock.now(),
        )

    def modify_spot_fleet_request(self) -> ActionResult:
        fleet = self._spot_fleet()
        if fleet.kind != "maintain" or fleet.state != "active":
            raise EC2ClientError(
                "InvalidSpotFleetRequestState",
                f"The Spot Fleet request {fleet.id} of type {fleet.kind} is {fleet.state}: only an active one of type"
                " maintain can be modified",
            )
        configs, policy = self._get_param("LaunchTemplateConfigs"), self._get_param("ExcessCapacityTerminationPolicy")
        total, on_demand = self._get_param("TargetCapacity"), self._get_param("OnDemandTargetCapacity")
        total = fleet.total if total is None else int(total)
        on_demand = min(fleet.on_demand, total) if on_demand is None else int(on_demand)
        targets = read_targets(total, on_demand, fleet.kind)
        choices = read_choices(SPOT_FLEET, self.region, configs) if configs else fleet.choices
        if policy:
            check_one_of("ExcessCapacityTerminationPolicy", policy, EXCESS)
            fleet.given = {**fleet.given, "ExcessCapacityTerminationPolicy": policy}
            fleet.settings.keep_excess = policy == "noTermination"
        if configs:
            fleet.given = {**fleet.given, "LaunchTemplateConfigs": configs}
        modify(fleet, choices, *targets)
        return ActionResult({"Return": True})

    def cancel_spot_fleet_requests(self) -> ActionResult:
        self.error_on_dryrun()
        ids, terminate = self._get_param("SpotFleetRequestIds") or [], bool(self._get_param("TerminateInstances"))
        if len(ids) > MOST_CANCELLED:
            raise EC2ClientError("InvalidParameterValue", f"At most {MOST_CANCELLED} requests can be cancelled at once")
        done, failed = [], []
        for fleet_id in ids:
            fleet = FLEETS.get(fleet_id)
            if fleet is None or fleet.region != self.region or fleet.dialect is not SPOT_FLEET:
                code, text = "fleetRequestIdDoesNotExist", f"The spot fleet request ID '{fleet_id}' does not exist"
            elif fleet.state == SPOT_FLEET.ended:
                code, text = "fleetRequestNotInCancellableState", f"The spot fleet request {fleet_id} is {fleet.state}"
            else:
                before = fleet.state
                states = {
                    "PreviousSpotFleetRequestState": before,
                    "CurrentSpotFleetRequestState": close(fleet, terminate),
                }
                done.append({"SpotFleetRequestId": fleet_id, **states})
                continue
            failed.append({"Error": {"Code": code, "Message": text}, "SpotFleetRequestId": fleet_id})
        return ActionResult({"SuccessfulFleetRequests": done, "UnsuccessfulFleetRequests": failed})
