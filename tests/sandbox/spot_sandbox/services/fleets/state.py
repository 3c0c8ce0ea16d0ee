"""The fleets and their members, as the sandbox keeps them for both APIs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spot_sandbox import clock
from spot_sandbox.services.instances import Choice

REMEMBERED = timedelta(hours=48)
"""How long a fleet's events can be described."""


@dataclass(frozen=True)
class Dialect:
    """The words in which an API speaks of its fleets."""

    prefix: str
    resource_type: str
    instance_tag: str
    ended: str
    """The last state, which is also the start of the two before it: ``deleted``, ``deleted_running``."""
    config_error: str
    missing_error: str
    events: dict[str, str]
    """Kinds of events: ``fleet``, ``instance``, ``error``, ``information``."""


EC2_FLEET = Dialect(
    "fleet-",
    "fleet",
    "aws:ec2:fleet-id",
    "deleted",
    "InvalidFleetConfig",
    "InvalidFleetId.NotFound",
    {
        "fleet": "fleet-change",
        "instance": "instance-change",
        "error": "service-error",
        "information": "service-error",
    },
)
SPOT_FLEET = Dialect(
    "sfr-",
    "spot-fleet-request",
    "aws:ec2spot:fleet-request-id",
    "cancelled",
    "InvalidSpotFleetRequestConfig",
    "InvalidSpotFleetRequestId.NotFound",
    {
        "fleet": "fleetRequestChange",
        "instance": "instanceChange",
        "error": "error",
        "information": "information",
    },
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
class Settings:
    """How a fleet chooses, replaces and ends its instances, in EC2 Fleet's words whichever API it came from."""

    spot_strategy: str
    on_demand_strategy: str
    spread: int
    """How many pools lowest-price uses."""
    keep_excess: bool
    rebalance: dict[str, Any] | None = None
    """The capacity rebalancing that was asked for."""
    max_price: str | None = None
    """Dollars for a unit and hour, where an override does not say it."""
    tags: dict[str, str] = field(default_factory=dict)
    """Of its instances."""
    target_groups: list[str] = field(default_factory=list)
    role: str | None = None
    """The role that must exist before it can launch."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    end_with_expiration: bool = False


@dataclass
class Fleet:
    """A fleet; ``given`` is its request, from which it is described."""

    dialect: Dialect
    id: str
    region: str
    kind: str
    given: dict[str, Any]
    settings: Settings
    choices: list[Choice]
    total: int
    on_demand: int
    created: datetime = field(default_factory=clock.now)
    state: str = "submitted"
    members: dict[str, Member] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=lambda: {"on_demand": 0.0, "spot": 0.0})
    history: deque[dict[str, Any]] = field(default_factory=deque)
    errors: list[dict[str, Any]] = field(default_factory=list)
    retry_at: float = 0.0
    timer: clock.Call | None = None

    def held(self, lifecycle: str | None = None) -> float:
        """The capacity that it has, without what may be interrupted."""
        return sum(m.weight for m in self.members.values() if not m.at_risk and lifecycle in (None, m.lifecycle))

    def lack(self) -> dict[str, float]:
        """What is still to be launched; only ``maintain`` replaces what it had and lost."""
        targets = {"on_demand": self.on_demand, "spot": self.total - self.on_demand}
        had = {k: self.held(k) if self.kind == "maintain" else self.placed[k] for k in targets}
        return {k: max(0.0, target - had[k]) for k, target in targets.items()}

    def status(self) -> str:
        """The activity status."""
        if self.state.startswith(self.dialect.ended):
            return "pending_termination" if self.members else "fulfilled"
        if self.held() >= self.total:
            return "fulfilled"
        return "error" if self.errors else "pending_fulfillment"

    def note(self, kind: str, what: str, text: str, instance_id: str | None = None) -> None:
        """Write an event into its history."""
        information = {"EventSubType": what, "EventDescription": text}
        if instance_id:
            information["InstanceId"] = instance_id
        now = clock.now()
        while self.history and self.history[0]["Timestamp"] < now - REMEMBERED:
            self.history.popleft()
        event = {"EventType": self.dialect.events[kind], "Timestamp": now, "EventInformation": information}
        self.history.append(event)


FLEETS: dict[str, Fleet] = {}
tokens: dict[tuple[str, str, str], tuple[str, str]] = {}
"""By API, region and client token: what was asked for, and the fleet that it made."""


def reset() -> None:
    FLEETS.clear()
    tokens.clear()
