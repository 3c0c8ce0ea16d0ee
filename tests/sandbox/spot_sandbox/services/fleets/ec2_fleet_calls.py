"""EC2 Fleet's operations."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import convert_tag_spec
from spot_sandbox import clock
from spot_sandbox.services import instances
from spot_sandbox.services.fleets.calls import FleetParts
from spot_sandbox.services.fleets.loop import begin, close, end_members, modify
from spot_sandbox.services.fleets.requests import (
    ON_DEMAND_STRATEGIES,
    SPOT_STRATEGIES,
    check_common,
    check_one_of,
    check_tag_types,
    moment,
    read_choices,
)
from spot_sandbox.services.fleets.state import EC2_FLEET, FLEETS, Fleet, Settings

FILTERS = {
    "fleet-state": "FleetState",
    "type": "Type",
    "activity-status": "ActivityStatus",
    "excess-capacity-termination-policy": "ExcessCapacityTerminationPolicy",
}


def read_settings(given: dict[str, Any], kind: str) -> Settings:
    """How the fleet of a CreateFleet request acts; raises EC2's errors."""
    spot, on_demand = given.get("SpotOptions") or {}, given.get("OnDemandOptions") or {}
    rebalance = (spot.get("MaintenanceStrategies") or {}).get("CapacityRebalance")
    unit = given["TargetCapacitySpecification"].get("TargetCapacityUnitType")
    check_common(EC2_FLEET, kind, rebalance, unit)
    settings = Settings(
        spot_strategy=spot.get("AllocationStrategy") or "lowest-price",
        on_demand_strategy=on_demand.get("AllocationStrategy") or "lowest-price",
        spread=int(spot.get("InstancePoolsToUseCount") or 1),
        keep_excess=given.get("ExcessCapacityTerminationPolicy") == "no-termination",
        rebalance=rebalance if rebalance and rebalance.get("ReplacementStrategy") else None,
        tags=convert_tag_spec(list(given.get("TagSpecifications") or [])).get("instance", {}),
        valid_from=moment(given.get("ValidFrom")),
        valid_until=moment(given.get("ValidUntil")),
        end_with_expiration=bool(given.get("TerminateInstancesWithExpiration")),
    )
    check_one_of("AllocationStrategy", settings.spot_strategy, SPOT_STRATEGIES)
    check_one_of("AllocationStrategy", settings.on_demand_strategy, ON_DEMAND_STRATEGIES)
    return settings


def read_targets(given: dict[str, Any], old: Fleet | None = None) -> tuple[int, int]:
    """(total, On-Demand) of a target capacity specification."""
    total = int(given["TotalTargetCapacity"])
    on_demand, spot = given.get("OnDemandTargetCapacity"), given.get("SpotTargetCapacity")
    if on_demand is None and spot is None:
        kind = given.get("DefaultTargetCapacityType")
        base = min(old.on_demand, total) if old else 0
        return total, total if kind == "on-demand" or (old is None and kind is None) else base
    if on_demand is not None and spot is not None and int(on_demand) + int(spot) > total:
        raise EC2ClientError(
            "InvalidTargetCapacitySpecification",
            f"OnDemandTargetCapacity {on_demand} and SpotTargetCapacity"
            f" {spot} are more than TotalTargetCapacity {total}",
        )
    if max(int(on_demand or 0), int(spot or 0)) > total or total < 0:
        raise EC2ClientError("InvalidTargetCapacitySpecification", f"A part is more than TotalTargetCapacity {total}")
    if on_demand is None:
        on_demand = total - int(spot or 0) if given.get("DefaultTargetCapacityType") == "on-demand" else 0
    elif given.get("DefaultTargetCapacityType") == "on-demand" and spot is not None:
        on_demand = total - int(spot)
    return total, int(on_demand)


class Ec2FleetCalls(FleetParts):
    """Making, changing, showing and deleting EC2 Fleets."""

    def create_fleet(self) -> ActionResult:
        given = {k: v for k, v in dict(self._get_params()).items() if v is not None}
        self.error_on_dryrun()
        if known := self._fleet_of_token(EC2_FLEET, given):
            return self._fleet_created(known)
        kind = given.get("Type", "maintain")
        check_one_of("Type", kind, ("instant", "maintain", "request"))
        tag_types = ("fleet", "instance", "volume", "network-interface") if kind == "instant" else ("fleet",)
        check_tag_types(given.get("TagSpecifications") or [], tag_types)
        settings = read_settings(given, kind)
        choices = read_choices(EC2_FLEET, self.region, given.get("LaunchTemplateConfigs") or [])
        targets = read_targets(given["TargetCapacitySpecification"])
        fleet = Fleet(EC2_FLEET, self._fleet_id(EC2_FLEET), self.region, kind, given, settings, choices, *targets)
        self._fleet_tag(fleet, convert_tag_spec(list(given.get("TagSpecifications") or [])).get("fleet", {}))
        self._fleet_keep_token(fleet)
        begin(fleet)
        if kind == "instant":
            self._fleet_minimum(fleet)
        return self._fleet_created(fleet)

    @staticmethod
    def _fleet_minimum(fleet: Fleet) -> None:
        """An instant fleet that misses its minimum launches nothing."""
        for option, lifecycle in (("SpotOptions", "spot"), ("OnDemandOptions", "on_demand")):
            least = (fleet.given.get(option) or {}).get("MinTargetCapacity")
            if least and fleet.held(lifecycle) < int(least):
                end_members(fleet, list(fleet.members))

    def _fleet_created(self, fleet: Fleet) -> ActionResult:
        if fleet.kind != "instant":
            return ActionResult({"FleetId": fleet.id, "Errors": [], "Instances": []})
        return ActionResult({"FleetId": fleet.id, "Errors": fleet.errors, "Instances": self._fleet_launched(fleet)})

    @staticmethod
    def _fleet_launched(fleet: Fleet) -> list[dict[str, Any]]:
        """The instances, one entry for each pool and lifecycle."""
        shown: dict[tuple[str, str, str], dict[str, Any]] = {}
        for member in fleet.members.values():
            entry = shown.setdefault(
                (member.instance_type, member.zone, member.lifecycle),
                {
                    "LaunchTemplateAndOverrides": {
                        "LaunchTemplateSpecification": member.template,
                        "Overrides": {**member.override, "AvailabilityZone": member.zone},
                    },
                    "Lifecycle": member.lifecycle.replace("_", "-"),
                    "InstanceIds": [],
                    "InstanceType": member.instance_type,
                },
            )
            entry["InstanceIds"].append(member.id)
        return list(shown.values())

    def describe_fleets(self) -> ActionResult:
        ids = self._get_param("FleetIds") or []
        if ids:
            found = [self._fleet_named(EC2_FLEET, fleet_id) for fleet_id in dict.fromkeys(ids)]
        else:
            found = [f for f in self._fleets_listed(EC2_FLEET) if f.kind != "instant"]
        for item in self._get_param("Filters") or []:
            name, match = item["Name"], instances.matcher(item.get("Values") or [])
            if name.startswith("tag:"):
                found = [f for f in found if match(self._fleet_tags(f).get(name[4:]))]
            elif name in FILTERS:
                found = [f for f in found if match(self._fleet_shown(f)[FILTERS[name]])]
            else:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        return self._fleet_page("Fleets", [self._fleet_shown(f) for f in found])

    def _fleet_shown(self, fleet: Fleet) -> dict[str, Any]:
        given = fleet.given
        shown = {
            "ActivityStatus": fleet.status(),
            "CreateTime": fleet.created,
            "FleetId": fleet.id,
            "FleetState": fleet.state,
            "ClientToken": given.get("ClientToken"),
            "ExcessCapacityTerminationPolicy": given.get("ExcessCapacityTerminationPolicy", "termination"),
            "FulfilledCapacity": fleet.held(),
            "FulfilledOnDemandCapacity": fleet.held("on_demand"),
            "LaunchTemplateConfigs": given.get("LaunchTemplateConfigs"),
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": fleet.total,
                "OnDemandTargetCapacity": fleet.on_demand,
                "SpotTargetCapacity": fleet.total - fleet.on_demand,
                "DefaultTargetCapacityType": given["TargetCapacitySpecification"].get(
                    "DefaultTargetCapacityType", "on-demand"
                ),
            },
            "TerminateInstancesWithExpiration": fleet.settings.end_with_expiration,
            "Type": fleet.kind,
            "ValidFrom": fleet.settings.valid_from,
            "ValidUntil": fleet.settings.valid_until,
            "ReplaceUnhealthyInstances": bool(given.get("ReplaceUnhealthyInstances")),
            "SpotOptions": {
                "AllocationStrategy": "lowest-price",
                "InstanceInterruptionBehavior": "terminate",
                **(given.get("SpotOptions") or {}),
            },
            "OnDemandOptions": {"AllocationStrategy": "lowest-price", **(given.get("OnDemandOptions") or {})},
            "Tags": self._fleet_tags_shown(fleet),
            "Errors": fleet.errors,
        }
        if fleet.kind == "instant":
            shown["Instances"] = self._fleet_launched(fleet)
        return shown

    def describe_fleet_instances(self) -> ActionResult:
        fleet = self._fleet_named(EC2_FLEET, self._get_param("FleetId"))
        return self._fleet_page("ActiveInstances", self._fleet_instances(fleet), FleetId=fleet.id)

    def describe_fleet_history(self) -> ActionResult:
        fleet = self._fleet_named(EC2_FLEET, self._get_param("FleetId"))
        return self._fleet_page(
            "HistoryRecords",
            self._fleet_events(fleet),
            FleetId=fleet.id,
            StartTime=self._get_param("StartTime"),
            LastEvaluatedTime=clock.now(),
        )

    def modify_fleet(self) -> ActionResult:
        self.error_on_dryrun()
        fleet = self._fleet_named(EC2_FLEET, self._get_param("FleetId"))
        if fleet.kind != "maintain" or fleet.state != "active":
            raise EC2ClientError(
                "InvalidFleetState",
                f"The fleet {fleet.id} of type {fleet.kind} is {fleet.state}: only an active fleet of type"
                " maintain can be modified",
            )
        configs, policy = self._get_param("LaunchTemplateConfigs"), self._get_param("ExcessCapacityTerminationPolicy")
        choices = read_choices(EC2_FLEET, self.region, configs) if configs else fleet.choices
        targets = self._get_param("TargetCapacitySpecification")
        total, on_demand = read_targets(targets, fleet) if targets else (fleet.total, fleet.on_demand)
        if configs:
            fleet.given = {**fleet.given, "LaunchTemplateConfigs": configs}
        if policy:
            fleet.given = {**fleet.given, "ExcessCapacityTerminationPolicy": policy}
            fleet.settings.keep_excess = policy == "no-termination"
        modify(fleet, choices, total, on_demand)
        return ActionResult({"Return": True})

    def delete_fleets(self) -> ActionResult:
        self.error_on_dryrun()
        terminate = bool(self._get_param("TerminateInstances"))
        done, failed = [], []
        for fleet_id in self._get_param("FleetIds") or []:
            fleet = FLEETS.get(fleet_id)
            if fleet is None or fleet.region != self.region or fleet.dialect is not EC2_FLEET:
                error = {"Code": "fleetIdDoesNotExist", "Message": f"The fleet ID '{fleet_id}' does not exist"}
                failed.append({"Error": error, "FleetId": fleet_id})
                continue
            if fleet.kind == "instant" and not terminate:
                raise EC2ClientError(
                    "InvalidParameterCombination", "An instant fleet must be deleted with TerminateInstances"
                )
            before = fleet.state
            shown = close(fleet, terminate)
            done.append({"FleetId": fleet_id, "PreviousFleetState": before, "CurrentFleetState": shown})
        return ActionResult({"SuccessfulFleetDeletions": done, "UnsuccessfulFleetDeletions": failed})
