"""EC2 Fleet and Spot Fleet, over pools that have an end; ``maintain`` keeps trying, as a group does.

Both APIs make the same fleets (``state``), which act by the same rules (``loop``); what differs is in their words
(``state.Dialect``) and in their operations (``ec2_fleet_calls``, ``spot_fleet_calls``).
"""

from __future__ import annotations

from spot_sandbox.services.fleets.ec2_fleet_calls import Ec2FleetCalls
from spot_sandbox.services.fleets.spot_fleet_calls import SpotFleetCalls
from spot_sandbox.services.fleets.state import reset

__all__ = ["RESPONSES", "Fleets", "reset"]


class Fleets(Ec2FleetCalls, SpotFleetCalls):
    """The operations of both APIs."""


RESPONSES = {"ec2": Fleets}
