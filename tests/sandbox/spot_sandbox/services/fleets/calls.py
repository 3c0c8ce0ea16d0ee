"""What the operations of both APIs need: the fleets that they name, client tokens, tags, events and pages."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from spot_sandbox.services import instances
from spot_sandbox.services.fleets.requests import moment
from spot_sandbox.services.fleets.state import EC2_FLEET, FLEETS, SPOT_FLEET, Dialect, Fleet, tokens


class FleetParts(EC2Response):
    """The part that the operations share; its names begin with ``_fleet``, as all of EC2 is one class."""

    def create_tags(self) -> ActionResult:
        self._fleets_of_tags()
        return super().create_tags()

    def delete_tags(self) -> ActionResult:
        self._fleets_of_tags()
        return super().delete_tags()

    def _fleets_of_tags(self) -> None:
        """Raise EC2's error for a fleet that does not exist; its tags themselves are with those of all resources."""
        for resource in self._get_param("Resources") or []:
            for dialect in (EC2_FLEET, SPOT_FLEET):
                if resource.startswith(dialect.prefix):
                    self._fleet_named(dialect, resource)

    def _fleet_named(self, dialect: Dialect, fleet_id: str) -> Fleet:
        fleet = FLEETS.get(fleet_id)
        if fleet is None or fleet.region != self.region or fleet.dialect is not dialect:
            raise EC2ClientError(dialect.missing_error, f"The fleet ID '{fleet_id}' does not exist")
        return fleet

    def _fleets_listed(self, dialect: Dialect) -> list[Fleet]:
        return [f for f in FLEETS.values() if f.region == self.region and f.dialect is dialect]

    @staticmethod
    def _fleet_id(dialect: Dialect) -> str:
        return f"{dialect.prefix}{uuid.uuid4()}"

    def _fleet_of_token(self, dialect: Dialect, given: dict[str, Any]) -> Fleet | None:
        """The fleet that an equal request with this client token has made."""
        known = tokens.get((dialect.prefix, self.region, given.get("ClientToken") or ""))
        if known and known[0] != self._fleet_digest(given):
            raise EC2ClientError("IdempotentParameterMismatch", "The client token was used with other parameters")
        return FLEETS.get(known[1]) if known else None

    def _fleet_keep_token(self, fleet: Fleet) -> None:
        if token := fleet.given.get("ClientToken"):
            tokens[(fleet.dialect.prefix, self.region, token)] = (self._fleet_digest(fleet.given), fleet.id)

    @staticmethod
    def _fleet_digest(given: dict[str, Any]) -> str:
        return json.dumps(given, sort_keys=True, default=str)

    def _fleet_tag(self, fleet: Fleet, tags: dict[str, str]) -> None:
        if tags:
            self.ec2_backend.create_tags([fleet.id], tags)

    def _fleet_tags(self, fleet: Fleet) -> dict[str, str]:
        return dict(self.ec2_backend.tags.get(fleet.id, {}))

    def _fleet_tags_shown(self, fleet: Fleet) -> list[dict[str, str]]:
        return [{"Key": k, "Value": v} for k, v in self._fleet_tags(fleet).items()]

    def _fleet_events(self, fleet: Fleet) -> list[dict[str, Any]]:
        """The part of the history that the request asks for."""
        begin, kind = moment(self._get_param("StartTime")), self._get_param("EventType")
        return [
            r
            for r in fleet.history
            if (begin is None or r["Timestamp"].timestamp() >= begin.timestamp() - 1) and kind in (None, r["EventType"])
        ]

    @staticmethod
    def _fleet_instances(fleet: Fleet) -> list[dict[str, Any]]:
        return [
            {
                "InstanceId": m.id,
                "InstanceType": m.instance_type,
                "InstanceHealth": "healthy",
                "SpotInstanceRequestId": instances.RECORDS[m.id].spot_request,
            }
            for m in fleet.members.values()
        ]

    def _fleet_page(self, key: str, items: list[Any], **more: Any) -> ActionResult:
        size, token = int(self._get_param("MaxResults") or 1000), self._get_param("NextToken")
        try:
            begin = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            raise EC2ClientError("InvalidParameterValue", "Unable to parse pagination token") from None
        rest = base64.urlsafe_b64encode(str(begin + size).encode()).decode() if begin + size < len(items) else None
        return ActionResult({key: items[begin : begin + size], "NextToken": rest, **more})
