"""What moto does not keep of each instance, and what follows when one changes its state."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from spot_sandbox import clock, pools
from spot_sandbox.services import events, lookups
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.instances.spot_requests import REQUESTS, SpotRequest

SHOWN_AFTER_END = 3600.0
"""Sandbox seconds that a terminated instance is still described."""


@dataclass
class Record:
    """What moto does not keep of an instance."""

    region: str
    pool: pools.Pool
    number: int
    reservation: str
    holds_place: bool = True
    ended: float | None = None
    warned: bool = False
    spot_request: str | None = None
    id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    launched: float = 0.0
    warned_at: float | None = None
    cause: str | None = None
    checks: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Its status checks that are not ok, by name: the status, and since when."""


RECORDS: dict[str, Record] = {}
ALL: list[Record] = []
"""Those that are forgotten as well."""
ended_hooks: list[Callable[[str, list[str], str], None]] = []
"""Called as ``hook(region, instance_ids, cause)`` when instances stopped or ended; for ``cause`` see ``end``."""
warned_hooks: list[Callable[[str, str], None]] = []
"""Called as ``hook(region, instance_id)`` on an interruption notice or a rebalance recommendation."""
tokens: dict[tuple[str, str], tuple[str, str]] = {}
"""By region and client token: what was asked for, and the reservation that answered it."""
_numbers = itertools.count(1)


def reset() -> None:
    RECORDS.clear()
    ALL.clear()
    REQUESTS.clear()
    tokens.clear()


def backend_of(region: str) -> Any:
    return ec2_backends[ACCOUNT][region]


def state_of(instance_id: str) -> str:
    """The state of an instance that has a record."""
    return str(lookups.get_instance(backend_of(RECORDS[instance_id].region), instance_id).state)


def keep(region: str, pool: pools.Pool, instance_id: str, reservation: str, holds_place: bool = True) -> None:
    """Begin the record of a new instance."""
    request = f"sir-{uuid.uuid4().hex[:12]}" if pool[3] == "spot" else None
    record = Record(region, pool, next(_numbers), reservation, holds_place, spot_request=request, id=instance_id)
    record.launched = clock.time()
    record.tags = dict(backend_of(region).tags.get(instance_id, {}))
    RECORDS[instance_id] = record
    ALL.append(record)
    if request:
        REQUESTS[request] = SpotRequest(request, instance_id, pool)


def end(region: str, instance_ids: Iterable[str], cause: str = "user") -> list[str]:
    """Terminate what still runs of these; returns their ids. ``cause``: ``user``, ``group`` (a service) or ``spot``."""
    backend, moment, ended = backend_of(region), clock.now(), []
    for instance_id in instance_ids:
        instance, record = lookups.find_instance(backend, instance_id), RECORDS.get(instance_id)
        if instance is None or record is None or instance.state == "terminated":
            continue
        tell_state(region, instance_id, "shutting-down")
        instance.terminate()
        initiator, code, message = {
            "spot": (
                "Service initiated",
                "Server.SpotInstanceTermination",
                "Instance terminated due to spot interruption",
            ),
        }.get(cause, ("User initiated", "Client.UserInitiatedShutdown", "User initiated shutdown"))
        instance._reason = f"{initiator} ({moment:%Y-%m-%d %H:%M:%S} GMT)"
        instance.state_reason.code, instance.state_reason.message = code, f"{code}: {message}"
        give_back(record)
        record.ended, record.cause = moment.timestamp(), cause
        if record.spot_request:
            REQUESTS[record.spot_request].end(interrupted=cause == "spot")
        tell_state(region, instance_id, "terminated")
        ended.append(instance_id)
    if ended:
        elbv2_backends[ACCOUNT][region].notify_terminate_instances(ended)
        for hook in ended_hooks:
            hook(region, ended, cause)
    return ended


def give_back(record: Record) -> None:
    if record.holds_place:
        record.holds_place = False
        pools.release(*record.pool)


def forget_ended(region: str) -> None:
    """Take terminated instances out of sight an hour after their end."""
    limit, backend = clock.time() - SHOWN_AFTER_END, backend_of(region)
    for instance_id in [
        i for i, r in RECORDS.items() if r.ended is not None and r.ended < limit and r.region == region
    ]:
        record = RECORDS.pop(instance_id)
        lookups.forget_instance(backend, instance_id)
        reservation = backend.reservations.get(record.reservation)
        if reservation:
            reservation.instances = [i for i in reservation.instances if i.id != instance_id]
            if not reservation.instances:
                del backend.reservations[record.reservation]


def tell_state(region: str, instance_id: str, state: str) -> None:
    events.emit(
        region,
        "aws.ec2",
        "EC2 Instance State-change Notification",
        {"instance-id": instance_id, "state": state},
        [f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance_id}"],
    )
