"""Interruptions and rebalance recommendations, for pools that shrink and on request."""

from __future__ import annotations

from typing import Any

from spot_sandbox import clock, pools
from spot_sandbox.services import events
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.instances.records import RECORDS, end, warned_hooks
from spot_sandbox.services.instances.spot_requests import REQUESTS


def interrupt(instance_id: str, notice: float) -> None:
    """Give the notice now and take the Spot Instance away after ``notice`` sandbox seconds."""
    record = RECORDS[instance_id]
    if record.warned or record.ended is not None:
        return
    record.warned, record.warned_at = True, clock.time()
    if record.spot_request:
        REQUESTS[record.spot_request].warn()
    events.emit(
        record.region,
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        {"instance-id": instance_id, "instance-action": "terminate"},
        [f"arn:aws:ec2:{record.pool[1]}:instance/{instance_id}"],  # a zone and no account, as in the real event
    )
    clock.call_later(notice, end, record.region, [instance_id], "spot")
    for hook in warned_hooks:
        hook(record.region, instance_id)


def rebalance(instance_id: str) -> None:
    """Recommend to replace the instance; it is not taken away."""
    record = RECORDS[instance_id]
    events.emit(
        record.region,
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        {"instance-id": instance_id},
        [f"arn:aws:ec2:{record.region}:{ACCOUNT}:instance/{instance_id}"],
    )
    for hook in warned_hooks:
        hook(record.region, instance_id)


def take_back(pool: pools.Pool, surplus: int, notice: float) -> None:
    """Interrupt so many of a pool, the newest first; those with a notice already count."""
    running = [i for i, r in RECORDS.items() if r.pool == pool and r.holds_place]
    surplus -= sum(RECORDS[i].warned for i in running)
    for instance_id in [i for i in reversed(running) if not RECORDS[i].warned][: max(0, surplus)]:
        interrupt(instance_id, notice)


pools.shortage_hooks.append(take_back)


def _running_spot(body: dict[str, Any]) -> list[str]:
    ids = body.get("instance_ids")
    if not ids or not isinstance(ids, list):
        raise ValueError("instance_ids is missing: give a list of ids of Spot Instances")
    for instance_id in ids:
        record = RECORDS.get(instance_id)
        if record is None or not record.holds_place or record.pool[3] != "spot":
            raise ValueError(f"{instance_id} is not a running Spot Instance of this sandbox")
    return ids


def control_interrupt(body: dict[str, Any]) -> dict[str, Any]:
    ids, notice = _running_spot(body), float(body.get("notice", 120))
    if notice < 0:
        raise ValueError(f"notice {notice} is negative: give seconds from 0 on")
    for instance_id in ids:
        interrupt(instance_id, notice)
    return {"interrupted": ids, "notice": notice}


def control_rebalance(body: dict[str, Any]) -> dict[str, Any]:
    ids = _running_spot(body)
    for instance_id in ids:
        rebalance(instance_id)
    return {"recommended": ids}
