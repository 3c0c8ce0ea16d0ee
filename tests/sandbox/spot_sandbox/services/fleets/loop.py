"""What a fleet does by itself: launch what is missing, replace what is lost, end what is too much.

A fleet is settled after every change and whenever its own timer is due, whichever API it came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from spot_sandbox import clock
from spot_sandbox.services import instances
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.fleets.allocation import pick, surplus
from spot_sandbox.services.fleets.state import FLEETS, Fleet, Member
from spot_sandbox.services.instances import Choice

RETRY = 60.0
"""Sandbox seconds until a fleet tries again after a launch that failed."""
SERVICE_ROLES = ":role/aws-service-role/"


def begin(fleet: Fleet) -> None:
    """Let a new fleet live; it begins to launch when its time has come."""
    FLEETS[fleet.id] = fleet
    fleet.note("fleet", "submitted", "The fleet was submitted")
    start, end = fleet.settings.valid_from, fleet.settings.valid_until
    if end:
        clock.call_later(end.timestamp() - clock.time(), _expire, fleet)
    if start and start > clock.now():
        clock.call_later(start.timestamp() - clock.time(), _activate, fleet)
    else:
        _activate(fleet)


def _activate(fleet: Fleet) -> None:
    if fleet.state == "submitted":
        fleet.state = "active"
        fleet.note("fleet", "active", "The fleet is active")
        settle(fleet)


def modify(fleet: Fleet, choices: list[Choice], total: int, on_demand: int) -> None:
    """Give a fleet other pools and targets, and let it act on them at once."""
    fleet.note("fleet", "modify_in_progress", f"Target capacity {total}, of it On-Demand {on_demand}")
    fleet.choices, fleet.total, fleet.on_demand, fleet.retry_at = choices, total, on_demand, 0.0
    settle(fleet)
    fleet.note("fleet", "modify_succeeded", f"Target capacity {total}, of it On-Demand {on_demand}")


def settle(fleet: Fleet) -> None:
    """Launch what a fleet lacks, end what it has too much, and book the next try."""
    if fleet.state != "active":
        return
    lack = fleet.lack()
    if any(lack.values()) and clock.time() >= fleet.retry_at:
        _launch(fleet, lack)
    if fleet.kind == "maintain" and not fleet.settings.keep_excess:
        for lifecycle, target in (("on_demand", fleet.on_demand), ("spot", fleet.total - fleet.on_demand)):
            leaving = surplus(fleet, lifecycle, target)
            for member in leaving:
                _note_member(fleet, "termination_notified", member)
            end_members(fleet, [m.id for m in leaving])
    if fleet.timer:
        fleet.timer.cancel()
    fleet.timer = None
    if any(fleet.lack().values()) and fleet.kind != "instant":
        fleet.timer = clock.call_later(max(1.0, fleet.retry_at - clock.time()), settle, fleet)


def _launch(fleet: Fleet, lack: dict[str, float]) -> None:
    """Launch so much of each lifecycle; every pool that refuses leaves one error."""
    fleet.errors, complete = [], True
    if fleet.settings.role and not _role_exists(fleet.settings.role):
        fleet.retry_at = clock.time() + RETRY
        fleet.errors.append({"ErrorCode": "iamFleetRoleInvalid", "ErrorMessage": fleet.settings.role})
        fleet.note("error", "iamFleetRoleInvalid", f"The role {fleet.settings.role} cannot be assumed")
        return
    for lifecycle, amount in lack.items():
        ready = list(fleet.choices)
        while amount > 0 and ready:
            choice = pick(fleet, lifecycle, ready, amount)
            try:
                amount -= _start(fleet, lifecycle, choice)
            except ServiceException as refused:
                ready.remove(choice)
                _refuse(fleet, lifecycle, choice, refused)
        if not ready:
            text = f"No launch specification can be had as {lifecycle.replace('_', '-')}; they are tried again"
            fleet.note("error", "allLaunchSpecsTemporarilyBlacklisted", text)
        complete = complete and amount <= 0
    fleet.retry_at = 0.0 if complete else clock.time() + RETRY


def _role_exists(arn: str) -> bool:
    return SERVICE_ROLES in arn or any(role.arn == arn for role in iam_backends[ACCOUNT]["aws"].roles.values())


def _start(fleet: Fleet, lifecycle: str, choice: Choice) -> float:
    """Launch one instance; returns its weight, raises EC2's error."""
    override, specification = choice.what["override"], choice.what["template"]
    request: dict[str, Any] = {"InstanceType": choice.instance_type, "ImageId": override.get("ImageId")}
    price = override.get("MaxPrice") or override.get("SpotPrice") or fleet.settings.max_price
    if lifecycle == "spot" and price:
        options = {"MaxPrice": str(float(price) * choice.weight)}
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    spec = instances.from_template(fleet.region, specification, request)
    if spec.get("IamInstanceProfile"):
        instances.check_profile(fleet.region, spec["IamInstanceProfile"])
    subnet = override.get("SubnetId")
    if not subnet:
        default = instances.backend_of(fleet.region).get_default_subnets().get(choice.zone)
        subnet = default.id if default else None
    tags = {**fleet.settings.tags, fleet.dialect.instance_tag: fleet.id}
    made = instances.start(fleet.region, spec, 1, choice.zone, subnet, lifecycle, tags)[0]
    member = Member(made.id, choice.instance_type, choice.zone, lifecycle, choice.weight, override, specification)
    fleet.members[made.id] = member
    fleet.placed[lifecycle] += choice.weight
    _note_member(fleet, "launched", member, image=spec.get("ImageId"), productDescription="Linux/UNIX")
    _register(fleet, member)
    return choice.weight


def _register(fleet: Fleet, member: Member) -> None:
    backend = elbv2_backends[ACCOUNT][fleet.region]
    for arn in fleet.settings.target_groups:
        if arn in backend.target_groups:
            backend.register_targets(arn, [{"Id": member.id}])
        else:
            fleet.note("information", "registerWithLoadBalancersFailed", f"The target group {arn} does not exist")


def _note_member(fleet: Fleet, what: str, member: Member, **more: Any) -> None:
    described = {"instanceType": member.instance_type, **more, "availabilityZone": member.zone}
    fleet.note("instance", what, json.dumps(described), member.id)


def _refuse(fleet: Fleet, lifecycle: str, choice: Choice, refused: ServiceException) -> None:
    """Keep an error of the launch, as CreateFleet answers it, and write it into the history."""
    code, message = refused.code, refused.message
    scarce = code == "InsufficientInstanceCapacity"
    if scarce and lifecycle == "spot" and len(fleet.choices) > 1:
        code = "UnfulfillableCapacity"
        message = (
            "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
        )
    error = {
        "LaunchTemplateAndOverrides": {
            "LaunchTemplateSpecification": choice.what["template"],
            "Overrides": {**choice.what["override"], "AvailabilityZone": choice.zone},
        },
        "Lifecycle": lifecycle.replace("_", "-"),
        "ErrorCode": code,
        "ErrorMessage": message,
    }
    fleet.errors.append(error)
    text = f"{choice.instance_type}, Linux/UNIX, {choice.zone}: {refused.message}"
    if scarce:
        fleet.note("error", "spotFleetRequestConfigurationInvalid", text)
    elif code == "SpotMaxPriceTooLow":
        fleet.note("information", "launchSpecUnusable", text)
    else:
        fleet.note("information", "launchSpecTemporarilyBlacklisted", text)


# Leaving a fleet


def end_members(fleet: Fleet, ids: Iterable[str]) -> None:
    """Terminate these, as far as they are still the fleet's."""
    leaving = [fleet.members.pop(i) for i in list(ids) if i in fleet.members]
    for member in leaving:
        _note_member(fleet, "terminated", member)
    instances.end(fleet.region, [m.id for m in leaving], "group")


def close(fleet: Fleet, terminate: bool) -> str:
    """End a fleet, with or without its instances; returns the state in which the answer shows it."""
    fleet.state = state = f"{fleet.dialect.ended}_{'terminating' if terminate else 'running'}"
    fleet.note("fleet", state, f"The fleet is {state}")
    if fleet.timer:
        fleet.timer.cancel()
    if terminate:
        end_members(fleet, list(fleet.members))
    _finish(fleet)
    return state


def _finish(fleet: Fleet) -> None:
    """A closed fleet without instances is gone."""
    ended = fleet.dialect.ended
    if fleet.state.startswith(f"{ended}_") and not fleet.members:
        fleet.state = ended
        fleet.note("fleet", ended, f"The fleet is {ended}")


def _expire(fleet: Fleet) -> None:
    if fleet.state in ("submitted", "active"):
        fleet.note("fleet", "expired", "The fleet has expired")
        close(fleet, fleet.settings.end_with_expiration)


def _ended(region: str, ids: list[str], cause: str) -> None:
    for fleet in list(FLEETS.values()):
        lost = [i for i in ids if i in fleet.members]
        for instance_id in lost:
            _note_member(fleet, "terminated", fleet.members.pop(instance_id))
        if lost:
            _finish(fleet)
            if fleet.kind != "instant":
                settle(fleet)


def _warned(region: str, instance_id: str) -> None:
    for fleet in FLEETS.values():
        member, rebalance = fleet.members.get(instance_id), fleet.settings.rebalance
        if not member or fleet.state != "active":
            continue
        if instances.RECORDS[instance_id].warned:
            _note_member(fleet, "termination_notified", member)
        if rebalance and fleet.kind == "maintain" and not member.at_risk:
            member.at_risk, fleet.retry_at = True, 0.0
            settle(fleet)
            if rebalance["ReplacementStrategy"] == "launch-before-terminate":
                clock.call_later(float(rebalance.get("TerminationDelay") or 120), _replaced, fleet, instance_id)


def _replaced(fleet: Fleet, instance_id: str) -> None:
    if fleet.state == "active":
        end_members(fleet, [instance_id])


instances.ended_hooks.append(_ended)
instances.warned_hooks.append(_warned)
