"""The operations on instances that moto does differently from EC2."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance
from spot_sandbox import market, pools
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.instances.answers import answer, instance_xml, reservation_xml
from spot_sandbox.services.instances.checks import StatusCalls
from spot_sandbox.services.instances.filters import filtered, listed, page_of
from spot_sandbox.services.instances.launches import Scarce, check_profile, from_template, scarce, start
from spot_sandbox.services.instances.records import RECORDS, end, ended_hooks, give_back, tell_state, tokens
from spot_sandbox.services.instances.reservations import occupants
from spot_sandbox.services.instances.spot_request_calls import SpotRequestCalls


class Instances(StatusCalls, SpotRequestCalls):
    """The operations on instances that moto does differently from EC2."""

    def describe_instances(self) -> str:
        self.error_on_dryrun()
        ids, size = self._get_param("InstanceIds", []), self._instance_page_size()
        backend = self.ec2_backend
        wanted = filtered(backend, listed(self.region, ids), self._get_param("Filters", []) or [])
        page, token = page_of(wanted, len(RECORDS) if ids else size, self._get_param("NextToken"))
        inside = occupants(self.region)
        body = "".join(
            f"<item>{reservation_xml(r, ACCOUNT, (instance_xml(backend, i, None, inside.get(i.id)) for i in some))}</item>"
            for r, some in itertools.groupby(page, key=lambda i: RECORDS[i.id].reservation)
        )
        more = f"<nextToken>{token}</nextToken>" if token else ""
        return answer("DescribeInstances", f"<reservationSet>{body}</reservationSet>{more}")

    def run_instances(self) -> Any:
        request = {k: v for k, v in dict(self._get_params()).items() if v is not None}
        token = request.get("ClientToken")
        digest = json.dumps({k: v for k, v in request.items() if k != "DryRun"}, sort_keys=True, default=str)
        known = tokens.get((self.region, token)) if token else None
        if known and known[0] != digest:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
                f" Client token: {token}",
            )
        if known and known[1] in self.ec2_backend.reservations:
            return self._reservation(known[1])
        spec = from_template(self.region, request.get("LaunchTemplate"), request)
        profile = spec.get("IamInstanceProfile") or {}
        if profile:
            check_profile(self.region, profile)
        self.error_on_dryrun()
        try:
            reservation = self._run_request(spec)
        except Scarce as refused:
            error = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
            return body, {"status": 500}
        if token:
            tokens[(self.region, token)] = (digest, reservation)
        return self._reservation(reservation)

    def _run_request(self, spec: dict[str, Any]) -> str:
        spec.setdefault("InstanceType", "m1.small")
        lifecycle = "spot" if (spec.get("InstanceMarketOptions") or {}).get("MarketType") == "spot" else "on_demand"
        most, least = int(spec.get("MaxCount") or 1), int(spec.get("MinCount") or 1)
        nics = spec.get("NetworkInterfaces") or []
        subnet_id = spec.get("SubnetId") or next((n["SubnetId"] for n in nics if n.get("SubnetId")), None)
        zone = (spec.get("Placement") or {}).get("AvailabilityZone")
        if subnet_id:
            zone = self.ec2_backend.get_subnet(subnet_id).availability_zone
        defaults = self.ec2_backend.get_default_subnets()
        for choice in [zone] if zone else [z for z in market.zones(self.region) if z in defaults]:
            if zone or pools.free(self.region, choice, spec["InstanceType"], lifecycle) >= least:
                place = subnet_id or (defaults[choice].id if choice in defaults else None)
                made = start(self.region, spec, most, choice, place, lifecycle, minimum=least)
                return RECORDS[made[0].id].reservation
        if not defaults and not zone:
            raise EC2ClientError(
                "VPCIdNotSpecified",
                "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
            )
        raise scarce(self.region, None, spec["InstanceType"], lifecycle)

    def _reservation(self, reservation: str) -> str:
        backend = self.ec2_backend
        items = (instance_xml(backend, i, (0, "pending")) for i in backend.reservations[reservation].instances)
        return answer("RunInstances", reservation_xml(reservation, ACCOUNT, items))

    def terminate_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        instances = list(listed(self.region, ids))
        for instance in instances:
            if instance.disable_api_termination is True or instance.disable_api_termination == "true":
                raise EC2ClientError(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' instance"
                    " attribute and try again.",
                )
        before = {i.id: {"Code": i.state_code, "Name": i.state} for i in instances}
        ended = set(end(self.region, ids))
        gone, going = {"Code": 48, "Name": "terminated"}, {"Code": 32, "Name": "shutting-down"}
        return ActionResult(
            {
                "TerminatingInstances": [
                    {"InstanceId": i, "CurrentState": going if i in ended else gone, "PreviousState": state}
                    for i, state in before.items()
                ]
            }
        )

    def stop_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        for instance in listed(self.region, ids):
            if RECORDS[instance.id].spot_request:
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot"
                    " Instance request. You can only stop Spot Instances associated with persistent Spot"
                    " Instance requests.",
                )
            if instance.state in ("pending", "terminated"):
                raise _wrong_state(instance, "stopped")
        stopped = super().stop_instances()
        for instance_id in ids:
            give_back(RECORDS[instance_id])
            tell_state(self.region, instance_id, "stopping")
            tell_state(self.region, instance_id, "stopped")
        for hook in ended_hooks:
            hook(self.region, ids, "user")
        return stopped

    def start_instances(self) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        for instance in listed(self.region, ids):
            record = RECORDS[instance.id]
            if instance.state == "terminated":
                raise _wrong_state(instance, "started")
            if not record.holds_place:
                if not pools.acquire(*record.pool, 1):
                    raise scarce(*record.pool)
                record.holds_place = True
        started = super().start_instances()
        for instance_id in ids:
            RECORDS[instance_id].checks.clear()  # it is on another host now
            tell_state(self.region, instance_id, "pending")
            tell_state(self.region, instance_id, "running")
        return started


def _wrong_state(instance: Instance, done: str) -> EC2ClientError:
    message = f"The instance '{instance.id}' is not in a state from which it can be {done}."
    return EC2ClientError("IncorrectInstanceState", message)
