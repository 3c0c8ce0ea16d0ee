"""Thousands of running instances at once, for benchmarks."""

from __future__ import annotations

from typing import Any

from spot_sandbox import market
from spot_sandbox.services.instances.launches import make
from spot_sandbox.services.instances.records import backend_of, keep


def control_instances(body: dict[str, Any]) -> dict[str, Any]:
    """Make many running instances quickly, over all zones and some types, past the pools' room; for benchmarks."""
    region, count = body.get("region", "us-east-1"), int(body.get("count", 0))
    if region not in market.regions() or not 1 <= count <= 20_000:
        raise ValueError(f"cannot make {count} instances in {region}: give a served region and a count from 1 to 20000")
    backend, app = backend_of(region), str(body.get("app", "bench"))
    environment, spot_share = str(body.get("environment", "sandbox")), float(body.get("spot_share", 0.8))
    kinds = [t for t in ("m5.large", "c5.large", "r5.large", "m6i.large", "c6i.xlarge") if t in market.types(region)]
    image, made = body.get("image_id") or next(iter(backend.amis)), []
    subnets = _bench_subnets(backend, region)
    shares = [(s, t, k) for s in subnets for t in kinds for k in ("spot", "on_demand")]
    for index, (subnet, instance_type, lifecycle) in enumerate(shares):
        part = spot_share if lifecycle == "spot" else 1 - spot_share
        groups = len(subnets) * len(kinds)
        number = round(part * count * (index // 2 + 1) / groups) - round(part * count * (index // 2) / groups)
        if number < 1:
            continue
        spec: dict[str, Any] = {"ImageId": image, "InstanceType": instance_type}
        tags = {
            "Name": f"{environment}-{app}",
            "spot.platform/app": app,
            "spot.platform/environment": environment,
            "spot.platform/managed-by": "spot.platform",
        }
        reservation = make(backend, region, spec, number, subnet.id, lifecycle, tags)
        for instance in reservation.instances:
            pool = (region, subnet.availability_zone, instance_type, lifecycle)
            keep(region, pool, instance.id, reservation.id, holds_place=False)
            made.append(instance.id)
    return {"region": region, "count": len(made), "first": made[0], "last": made[-1]}


def _bench_subnets(backend: Any, region: str) -> list[Any]:
    """One large subnet in every zone, in a VPC of its own that is made once."""
    for vpc in backend.vpcs.values():
        if vpc.cidr_block == "10.200.0.0/16":
            return [s for zone in backend.subnets.values() for s in zone.values() if s.vpc_id == vpc.id]
    vpc = backend.create_vpc("10.200.0.0/16")
    return [
        backend.create_subnet(vpc.id, f"10.200.{n * 32}.0/19", availability_zone=zone)
        for n, zone in enumerate(market.zones(region))
    ]
