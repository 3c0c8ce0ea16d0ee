"""On-Demand capacity reservations: which instances run in them. ``commitments`` makes and shows them."""

from __future__ import annotations

from dataclasses import dataclass

from spot_sandbox.services.instances.records import RECORDS


@dataclass(frozen=True)
class CapacityReservation:
    """A reservation of so many instances of a type in a zone; only an ``open`` one is filled by itself."""

    id: str
    region: str
    zone: str
    instance_type: str
    count: int
    match: str = "open"


RESERVATIONS: dict[str, CapacityReservation] = {}


def occupants(region: str) -> dict[str, str]:
    """The reservation that each instance runs in, by instance; the oldest matching instances are in."""
    free = {r.id: r.count for r in RESERVATIONS.values() if r.region == region and r.match == "open"}
    if not free:
        return {}
    found = {}
    for instance_id, record in RECORDS.items():
        if record.holds_place and record.pool[3] == "on_demand":
            for number in free:
                one = RESERVATIONS[number]
                if free[number] and (one.region, one.zone, one.instance_type) == record.pool[:3]:
                    free[number] -= 1
                    found[instance_id] = number
                    break
    return found
