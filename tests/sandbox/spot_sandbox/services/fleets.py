"""EC2 Fleet: ``instant`` and ``maintain``, over pools that have an end; ``maintain`` keeps trying, as a group does."""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.ec2.utils import convert_tag_spec
from spot_sandbox import clock, market, pools
from spot_sandbox.services import instances
from spot_sandbox.services.instances import Choice

RETRY = 60.0
"""Sandbox seconds until a ``maintain`` fleet tries again after a launch that failed."""
MAX_POOLS = 300
SPOT_STRATEGIES = (
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)


@dataclass
class Member:
    """An instance of a fleet."""

    id: str
    instance_type: str
    zone: str
    lifecycle: str
    weight: float
    override: dict[str, Any]
    template: dict[str, Any]
    at_risk: bool = False


@dataclass
class Fleet:
    """A fleet; ``given`` is its request, from which it is described."""

    id: str
    region: str
    kind: str
    given: dict[str, Any]
    choices: list[Choice]
    total: int
    on_demand: int
    created: datetime = field(default_factory=clock.now)
    state: str = "active"
    members: dict[str, Member] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    retry_at: float = 0.0
    timer: clock.Call | None = None

    def held(self, lifecycle: str | None = None) -> float:
        """The capacity that it has, without what may be interrupted."""
        return sum(m.weight for m in self.members.values() if not m.at_risk and lifecycle in (None, m.lifecycle))

    def note(self, kind: str, what: str, text: str, instance_id: str | None = None) -> None:
        information = {"EventSubType": what, "EventDescription": text}
        if instance_id:
            information["InstanceId"] = instance_id
        self.history.append({"EventType": kind, "Timestamp": clock.now(), "EventInformation": information})


FLEETS: dict[str, Fleet] = {}
_tokens: dict[tuple[str, str], tuple[str, str]] = {}


def reset() -> None:
    FLEETS.clear()
    _tokens.clear()


def settle(fleet: Fleet) -> None:
    """Launch what a ``maintain`` fleet lacks, end what it has too much, and book the next try."""
    if fleet.state != "active" or fleet.kind != "maintain":
        return
    lack = _lack(fleet)
    if any(lack.values()) and clock.time() >= fleet.retry_at:
        _launch(fleet, lack)
    if fleet.given.get("ExcessCapacityTerminationPolicy", "termination") == "termination":
        _trim(fleet)
    if fleet.timer:
        fleet.timer.cancel()
    fleet.timer = None
    if any(_lack(fleet).values()):
        fleet.timer = clock.call_later(max(1.0, fleet.retry_at - clock.time()), settle, fleet)


def _lack(fleet: Fleet) -> dict[str, float]:
    return {
        "on_demand": max(0.0, fleet.on_demand - fleet.held("on_demand")),
        "spot": max(0.0, fleet.total - fleet.on_demand - fleet.held("spot")),
    }


def _launch(fleet: Fleet, lack: dict[str, float]) -> None:
    """Launch so much of each lifecycle; every pool that refuses leaves one error."""
    fleet.errors, refused_any = [], False
    for lifecycle, amount in lack.items():
        failed: set[tuple[str, str]] = set()
        while amount > 0:
            open_choices = [c for c in fleet.choices if (c.instance_type, c.zone) not in failed]
            roomy = [c for c in open_choices if pools.free(fleet.region, c.zone, c.instance_type, lifecycle) > 0]
            for choice in open_choices:
                if choice not in roomy:
                    failed.add((choice.instance_type, choice.zone))
            if not roomy:
                break
            choice = _pick(fleet, lifecycle, roomy, amount)
            try:
                amount -= _start(fleet, lifecycle, choice)
            except ServiceException as refused:
                failed.add((choice.instance_type, choice.zone))
                _refuse(fleet, lifecycle, choice, refused.code, refused.message)
        if amount > 0:
            refused_any = True
            for choice in fleet.choices:
                if not pools.free(fleet.region, choice.zone, choice.instance_type, lifecycle):
                    error = instances.scarce(fleet.region, choice.zone, choice.instance_type, lifecycle)
                    _refuse(fleet, lifecycle, choice, *_pool_error(lifecycle, error, len(fleet.choices)))
    fleet.retry_at = clock.time() + RETRY if refused_any else 0.0


def _pool_error(lifecycle: str, error: ServiceException, number: int) -> tuple[str, str]:
    if lifecycle == "spot" and number > 1:
        text = "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
        return "UnfulfillableCapacity", text
    return error.code, error.message


def _pick(fleet: Fleet, lifecycle: str, roomy: list[Choice], amount: float) -> Choice:
    options = fleet.given.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions") or {}
    strategy = options.get("AllocationStrategy") or "lowest-price"
    prioritized = [c for c in roomy if c.what["override"].get("Priority") is not None]
    if "prioritized" in strategy:
        roomy = sorted(prioritized, key=lambda c: float(c.what["override"]["Priority"])) + [
            c for c in roomy if c not in prioritized
        ]
    if lifecycle == "spot":
        held = Counter((m.instance_type, m.zone) for m in fleet.members.values() if m.lifecycle == "spot")
        spread = int(options.get("InstancePoolsToUseCount") or 1)
        return instances.best_spot(fleet.region, strategy, roomy, amount, held, spread)
    if strategy == "prioritized":
        return roomy[0]
    return min(roomy, key=lambda c: (market.on_demand_price(fleet.region, c.instance_type) or 0) / c.weight)


def _start(fleet: Fleet, lifecycle: str, choice: Choice) -> float:
    override, specification = choice.what["override"], choice.what["template"]
    request: dict[str, Any] = {"InstanceType": choice.instance_type, "ImageId": override.get("ImageId")}
    if lifecycle == "spot" and override.get("MaxPrice"):
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": {"MaxPrice": override["MaxPrice"]}}
    spec = instances.from_template(fleet.region, specification, request)
    if spec.get("IamInstanceProfile"):
        instances.check_profile(fleet.region, spec["IamInstanceProfile"])
    tags = convert_tag_spec(list(fleet.given.get("TagSpecifications") or [])).get("instance", {})
    subnet = override.get("SubnetId")
    if not subnet:
        default = instances.backend_of(fleet.region).get_default_subnets().get(choice.zone)
        subnet = default.id if default else None
    tags["aws:ec2:fleet-id"] = fleet.id
    made = instances.start(fleet.region, spec, 1, choice.zone, subnet, lifecycle, tags)[0]
    template = {k: v for k, v in specification.items() if v is not None}
    fleet.members[made.id] = Member(
        made.id, choice.instance_type, choice.zone, lifecycle, choice.weight, override, template
    )
    described = json.dumps(
        {"instanceType": choice.instance_type, "image": spec.get("ImageId"), "availabilityZone": choice.zone}
    )
    fleet.note("instance-change", "launched", described, made.id)
    return choice.weight


def _refuse(fleet: Fleet, lifecycle: str, choice: Choice, code: str, message: str) -> None:
    error = {
        "LaunchTemplateAndOverrides": {
            "LaunchTemplateSpecification": choice.what["template"],
            "Overrides": choice.what["override"],
        },
        "Lifecycle": lifecycle.replace("_", "-"),
        "ErrorCode": code,
        "ErrorMessage": message,
    }
    if error not in fleet.errors:
        fleet.errors.append(error)
        fleet.note(
            "service-error",
            "launchSpecTemporarilyBlacklisted",
            f"{choice.instance_type}, {choice.zone}, {code}: {message}",
        )


def _trim(fleet: Fleet) -> None:
    """End what is above the target of each lifecycle, the newest first."""
    for lifecycle, target in (("on_demand", fleet.on_demand), ("spot", fleet.total - fleet.on_demand)):
        leaving = []
        surplus = fleet.held(lifecycle) - target
        for member in reversed(list(fleet.members.values())):
            if member.lifecycle == lifecycle and not member.at_risk and member.weight <= surplus:
                surplus -= member.weight
                leaving.append(member.id)
        _end(fleet, leaving)


def _end(fleet: Fleet, ids: list[str]) -> None:
    for instance_id in ids:
        member = fleet.members.pop(instance_id, None)
        if member:
            fleet.note("instance-change", "terminated", json.dumps({"instanceType": member.instance_type}), instance_id)
    instances.end(fleet.region, ids, "group")


def _ended(region: str, ids: list[str], cause: str) -> None:
    for fleet in list(FLEETS.values()):
        lost = [i for i in ids if i in fleet.members]
        for instance_id in lost:
            kind = "interrupted" if cause == "spot" else "terminated"
            fleet.note(
                "instance-change",
                kind,
                json.dumps({"instanceType": fleet.members[instance_id].instance_type}),
                instance_id,
            )
            del fleet.members[instance_id]
        if lost and fleet.state == "deleted_terminating" and not fleet.members:
            fleet.state = "deleted"
        elif lost:
            settle(fleet)


def _warned(region: str, instance_id: str) -> None:
    for fleet in FLEETS.values():
        member, rebalance = fleet.members.get(instance_id), _rebalance(fleet)
        if member and rebalance and fleet.kind == "maintain":
            member.at_risk, fleet.retry_at = True, 0.0
            settle(fleet)
            if rebalance["ReplacementStrategy"] == "launch-before-terminate":
                clock.call_later(float(rebalance.get("TerminationDelay") or 120), _end, fleet, [instance_id])


def _rebalance(fleet: Fleet) -> dict[str, Any] | None:
    strategies = (fleet.given.get("SpotOptions") or {}).get("MaintenanceStrategies") or {}
    found = strategies.get("CapacityRebalance")
    return found if found and found.get("ReplacementStrategy") else None


instances.ended_hooks.append(_ended)
instances.warned_hooks.append(_warned)


# The API


def _choices(region: str, configs: list[dict[str, Any]]) -> list[Choice]:
    """Every pool that the launch template configs name; raises EC2's errors for a wrong one."""
    backend = instances.backend_of(region)
    subnets = {s.id: s for zone in backend.subnets.values() for s in zone.values()}
    made: list[Choice] = []
    for config in configs:
        template = dict(config.get("LaunchTemplateSpecification") or {})
        version = instances.template_version(region, template)
        named = {
            "LaunchTemplateId": version.template.id,
            "LaunchTemplateName": version.template.name,
            "Version": template.get("Version") or str(version.number),
        }
        for override in config.get("Overrides") or [{}]:
            if override.get("InstanceRequirements"):
                raise EC2ClientError(
                    "UnsupportedOperation", "The sandbox does not have InstanceRequirements: name the types"
                )
            kind = override.get("InstanceType") or version.instance_type
            if kind not in market.types(region):
                raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
            zones = [override["AvailabilityZone"]] if override.get("AvailabilityZone") else list(market.zones(region))
            if override.get("SubnetId"):
                if override["SubnetId"] not in subnets:
                    raise EC2ClientError(
                        "InvalidSubnetID.NotFound", f"The subnet ID '{override['SubnetId']}' does not exist"
                    )
                zones = [subnets[override["SubnetId"]].availability_zone]
            weight = float(override.get("WeightedCapacity") or 1)
            what = {"override": {**override, "InstanceType": kind}, "template": named}
            made += [Choice(kind, zone, weight, what) for zone in zones]
    if not made:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
    if len(made) > MAX_POOLS:
        raise EC2ClientError("InvalidFleetConfig", f"The fleet names {len(made)} pools; the limit is {MAX_POOLS}")
    twice = [pool for pool, n in Counter((c.instance_type, c.zone) for c in made).items() if n > 1]
    if twice:
        kind, zone = twice[0]
        raise EC2ClientError(
            "InvalidFleetConfig", f"The fleet configuration contains duplicate instance pools ({kind} in {zone})"
        )
    by_zone: dict[str, set[str]] = {}
    for choice in made:
        by_zone.setdefault(choice.zone, set()).add(choice.what["override"].get("SubnetId") or "")
    if crowded := [zone for zone, ids in by_zone.items() if len(ids) > 1]:
        raise EC2ClientError(
            "InvalidFleetConfig", f"The fleet names more than one subnet in the Availability Zone {crowded[0]}"
        )
    return [c for c in made if market.offered(region, c.zone, c.instance_type)] or made


def _targets(given: dict[str, Any], old: Fleet | None = None) -> tuple[int, int]:
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


class Fleets(EC2Response):
    """EC2 Fleet's operations."""

    def create_fleet(self) -> ActionResult:
        given = {k: v for k, v in dict(self._get_params()).items() if v is not None}
        self.error_on_dryrun()
        token, digest = given.get("ClientToken"), json.dumps(given, sort_keys=True, default=str)
        known = _tokens.get((self.region, token)) if token else None
        if known and known[0] != digest:
            raise EC2ClientError("IdempotentParameterMismatch", "The client token was used with other parameters")
        if known and known[1] in FLEETS:
            return self._fleet_created(FLEETS[known[1]])
        kind = given.get("Type", "maintain")
        if kind == "request":
            raise EC2ClientError("UnsupportedOperation", "The sandbox has fleets of type instant and maintain only")
        strategy = (given.get("SpotOptions") or {}).get("AllocationStrategy") or "lowest-price"
        if strategy not in SPOT_STRATEGIES:
            raise EC2ClientError(
                "InvalidParameterValue", f"AllocationStrategy {strategy} is not one of {', '.join(SPOT_STRATEGIES)}"
            )
        if kind != "maintain" and ((given.get("SpotOptions") or {}).get("MaintenanceStrategies") or {}).get(
            "CapacityRebalance"
        ):
            raise EC2ClientError("InvalidParameterCombination", "CapacityRebalance needs a fleet of type maintain")
        choices = _choices(self.region, given.get("LaunchTemplateConfigs") or [])
        total, on_demand = _targets(given["TargetCapacitySpecification"])
        fleet = Fleet(f"fleet-{uuid.uuid4()}", self.region, kind, given, choices, total, on_demand)
        FLEETS[fleet.id] = fleet
        tags = convert_tag_spec(list(given.get("TagSpecifications") or [])).get("fleet", {})
        if tags:
            self.ec2_backend.create_tags([fleet.id], tags)
        fleet.note("fleet-change", "submitted", "The fleet was submitted")
        fleet.note("fleet-change", "active", "The fleet is active")
        if kind == "instant":
            _launch(fleet, _lack(fleet))
            self._fleet_minimum(fleet)
        else:
            settle(fleet)
        if token:
            _tokens[(self.region, token)] = (digest, fleet.id)
        return self._fleet_created(fleet)

    @staticmethod
    def _fleet_minimum(fleet: Fleet) -> None:
        """An instant fleet that misses its minimum launches nothing."""
        for option, lifecycle in (("SpotOptions", "spot"), ("OnDemandOptions", "on_demand")):
            least = (fleet.given.get(option) or {}).get("MinTargetCapacity")
            if least and fleet.held(lifecycle) < int(least):
                _end(fleet, list(fleet.members))

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

    def _fleet(self) -> Fleet:
        fleet = FLEETS.get(self._get_param("FleetId"))
        if fleet is None or fleet.region != self.region:
            raise EC2ClientError(
                "InvalidFleetId.NotFound", f"The fleet ID '{self._get_param('FleetId')}' does not exist"
            )
        return fleet

    def _fleet_page(self, key: str, items: list[Any], **more: Any) -> ActionResult:
        size, token = int(self._get_param("MaxResults") or 1000), self._get_param("NextToken")
        try:
            begin = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            raise EC2ClientError("InvalidParameterValue", "Unable to parse pagination token") from None
        rest = base64.urlsafe_b64encode(str(begin + size).encode()).decode() if begin + size < len(items) else None
        return ActionResult({key: items[begin : begin + size], "NextToken": rest, **more})

    def describe_fleets(self) -> ActionResult:
        ids = self._get_param("FleetIds") or []
        for fleet_id in ids:
            if fleet_id not in FLEETS or FLEETS[fleet_id].region != self.region:
                raise EC2ClientError("InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist")
        found = [
            f for f in FLEETS.values() if f.region == self.region and (f.id in ids if ids else f.kind != "instant")
        ]
        for item in self._get_param("Filters") or []:
            name, match = item["Name"], instances.matcher(item.get("Values") or [])
            if name.startswith("tag:"):
                found = [f for f in found if match(self._fleet_tags(f).get(name[4:]))]
            elif name in ("fleet-state", "type", "activity-status", "excess-capacity-termination-policy"):
                key = {"fleet-state": "FleetState", "type": "Type", "activity-status": "ActivityStatus"}.get(
                    name, "ExcessCapacityTerminationPolicy"
                )
                found = [f for f in found if match(self._fleet_shown(f)[key])]
            else:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        return self._fleet_page("Fleets", [self._fleet_shown(f) for f in found])

    def _fleet_tags(self, fleet: Fleet) -> dict[str, str]:
        return dict(self.ec2_backend.tags.get(fleet.id, {}))

    def _fleet_shown(self, fleet: Fleet) -> dict[str, Any]:
        given, held = fleet.given, fleet.held()
        status = "fulfilled" if held >= fleet.total else "error" if fleet.errors else "pending_fulfillment"
        if fleet.state.startswith("deleted"):
            status = "pending_termination" if fleet.members else "fulfilled"
        shown = {
            "ActivityStatus": status,
            "CreateTime": fleet.created,
            "FleetId": fleet.id,
            "FleetState": fleet.state,
            "ClientToken": given.get("ClientToken"),
            "ExcessCapacityTerminationPolicy": given.get("ExcessCapacityTerminationPolicy", "termination"),
            "FulfilledCapacity": held,
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
            "TerminateInstancesWithExpiration": bool(given.get("TerminateInstancesWithExpiration")),
            "Type": fleet.kind,
            "ReplaceUnhealthyInstances": bool(given.get("ReplaceUnhealthyInstances")),
            "SpotOptions": {
                "AllocationStrategy": "lowest-price",
                "InstanceInterruptionBehavior": "terminate",
                **(given.get("SpotOptions") or {}),
            },
            "OnDemandOptions": {"AllocationStrategy": "lowest-price", **(given.get("OnDemandOptions") or {})},
            "Tags": [{"Key": k, "Value": v} for k, v in self._fleet_tags(fleet).items()],
            "Errors": fleet.errors,
        }
        if fleet.kind == "instant":
            shown["Instances"] = self._fleet_launched(fleet)
        return shown

    def describe_fleet_instances(self) -> ActionResult:
        fleet = self._fleet()
        shown = [
            {
                "InstanceId": m.id,
                "InstanceType": m.instance_type,
                "InstanceHealth": "healthy",
                "SpotInstanceRequestId": instances.RECORDS[m.id].spot_request,
            }
            for m in fleet.members.values()
        ]
        return self._fleet_page("ActiveInstances", shown, FleetId=fleet.id)

    def describe_fleet_history(self) -> ActionResult:
        fleet, start, kind = self._fleet(), self._get_param("StartTime"), self._get_param("EventType")
        begin = start.timestamp() if start.tzinfo else start.replace(tzinfo=fleet.created.tzinfo).timestamp()
        records = [
            r for r in fleet.history if r["Timestamp"].timestamp() >= begin - 1 and kind in (None, r["EventType"])
        ]
        return self._fleet_page(
            "HistoryRecords", records, FleetId=fleet.id, StartTime=start, LastEvaluatedTime=clock.now()
        )

    def modify_fleet(self) -> ActionResult:
        self.error_on_dryrun()
        fleet = self._fleet()
        if fleet.kind != "maintain" or fleet.state != "active":
            raise EC2ClientError(
                "InvalidFleetState",
                f"The fleet {fleet.id} of type {fleet.kind} is {fleet.state}: only an active fleet of type"
                " maintain can be modified",
            )
        configs, policy = self._get_param("LaunchTemplateConfigs"), self._get_param("ExcessCapacityTerminationPolicy")
        choices = _choices(self.region, configs) if configs else fleet.choices
        targets = self._get_param("TargetCapacitySpecification")
        total, on_demand = _targets(targets, fleet) if targets else (fleet.total, fleet.on_demand)
        fleet.choices, fleet.total, fleet.on_demand = choices, total, on_demand
        fleet.given = {
            **fleet.given,
            **({"LaunchTemplateConfigs": configs} if configs else {}),
            **({"ExcessCapacityTerminationPolicy": policy} if policy else {}),
        }
        fleet.note("fleet-change", "modify_in_progress", f"Target capacity {total}, of it On-Demand {on_demand}")
        fleet.retry_at = 0.0
        settle(fleet)
        return ActionResult({"Return": True})

    def delete_fleets(self) -> ActionResult:
        self.error_on_dryrun()
        terminate = bool(self._get_param("TerminateInstances"))
        done, failed = [], []
        for fleet_id in self._get_param("FleetIds") or []:
            fleet = FLEETS.get(fleet_id)
            if fleet is None or fleet.region != self.region:
                error = {"Code": "fleetIdDoesNotExist", "Message": f"The fleet ID '{fleet_id}' does not exist"}
                failed.append({"Error": error, "FleetId": fleet_id})
                continue
            if fleet.kind == "instant" and not terminate:
                raise EC2ClientError(
                    "InvalidParameterCombination", "An instant fleet must be deleted with TerminateInstances"
                )
            before = fleet.state
            fleet.state = "deleted_terminating" if terminate else "deleted_running"
            done.append({"FleetId": fleet_id, "PreviousFleetState": before, "CurrentFleetState": fleet.state})
            fleet.note("fleet-change", "deleted", "The fleet was deleted")
            if terminate:
                _end(fleet, list(fleet.members))
                fleet.state = "deleted"
        return ActionResult({"SuccessfulFleetDeletions": done, "UnsuccessfulFleetDeletions": failed})


RESPONSES = {"ec2": Fleets}
