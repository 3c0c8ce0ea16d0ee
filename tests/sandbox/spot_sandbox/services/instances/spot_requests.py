"""The Spot requests behind the Spot Instances that were launched here, by RunInstances, a fleet or a group."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spot_sandbox import clock, market, pools

SHOWN_AFTER_END = 4 * 3600.0
"""Sandbox seconds that the request of an ended instance is still described, as EC2's reference says."""
MESSAGES = {
    "fulfilled": "Your Spot request is fulfilled.",
    "marked-for-termination": "Your Spot Instance is marked for termination.",
    "request-canceled-and-instance-running": "Your Spot request is canceled, but your instance is still running.",
    "instance-terminated-no-capacity": (
        "Your Spot Instance was terminated because there is no Spot capacity available that matches your request."
    ),
    "instance-terminated-by-user": "Your Spot Instance was terminated by a user.",
}


@dataclass
class SpotRequest:
    """The one-time request of an instance."""

    id: str
    instance_id: str
    pool: pools.Pool
    created: datetime = field(default_factory=clock.now)
    state: str = "active"
    code: str = "fulfilled"
    updated: datetime = field(default_factory=clock.now)
    ended: float | None = None

    def warn(self) -> None:
        """The instance has got its notice."""
        if self.state == "active":
            self._become("marked-for-termination")

    def cancel(self) -> None:
        """The request is withdrawn; its instance runs on."""
        if self.state == "active":
            self.state = "cancelled"
            self._become("request-canceled-and-instance-running")

    def end(self, interrupted: bool) -> None:
        """The instance is gone."""
        self._become("instance-terminated-no-capacity" if interrupted else "instance-terminated-by-user")
        self.ended = clock.time()
        if self.state == "active":
            self.state = "closed"

    def _become(self, code: str) -> None:
        self.code, self.updated = code, clock.now()

    def shown(self) -> dict[str, Any]:
        region, zone, instance_type, _lifecycle = self.pool
        return {
            "SpotInstanceRequestId": self.id,
            "InstanceId": self.instance_id,
            "State": self.state,
            "Status": {"Code": self.code, "Message": MESSAGES[self.code], "UpdateTime": self.updated},
            "CreateTime": self.created,
            "LaunchedAvailabilityZone": zone,
            "LaunchedAvailabilityZoneId": market.zones(region)[zone],
            "LaunchSpecification": {"InstanceType": instance_type},
            "SpotPrice": f"{market.on_demand_price(region, instance_type) or 0:.6f}",
            "Type": "one-time",
            "ProductDescription": "Linux/UNIX",
            "InstanceInterruptionBehavior": "terminate",
        }


REQUESTS: dict[str, SpotRequest] = {}


def requests_of(region: str) -> list[SpotRequest]:
    """Those of a region that are still described, in the order in which they were made."""
    limit = clock.time() - SHOWN_AFTER_END
    for request in [r for r in REQUESTS.values() if r.ended is not None and r.ended < limit]:
        del REQUESTS[request.id]
    return [r for r in REQUESTS.values() if r.pool[0] == region]
