"""The control interface under ``/sandbox/``; README.md lists it for its users."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_api._internal import mock_random
from werkzeug.wrappers import Response

from spot_sandbox import calls, clock, faults, market, pools, services

Handler = Callable[[dict[str, Any]], dict[str, Any]]

_settings: dict[str, Any] = {"seed": 1, "regions": None, "speed": 1.0, "start": None}
RECLAIM_EVERY = 900.0
"""Sandbox seconds between two looks at which pools the market's ebb has left over-full."""


def configure(seed: int, regions: list[str] | None, speed: float, start: float | None = None) -> None:
    """What the sandbox starts with, and goes back to on a reset."""
    _settings.update(seed=seed, regions=regions, speed=speed, start=start)


def answer(environ: dict[str, Any], body: bytes) -> Response:
    """Run a control request; ``ValueError`` becomes a 400 that says what is wrong."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
    handler = _handlers().get(f"{method} {path}")
    if handler is None:
        known = ", ".join(sorted(_handlers()))
        return _json({"error": f"{method} {path} is not known here; there is {known}"}, 404)
    try:
        if method == "GET":
            values = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        else:
            values = json.loads(body or b"{}")
            if not isinstance(values, dict):
                raise ValueError("the body must be a JSON object")
        return _json(handler(values))
    except ValueError as problem:  # JSONDecodeError is one too
        return _json({"error": str(problem)}, 400)


def reset(_values: dict[str, Any] | None = None) -> dict[str, Any]:
    """As after the start: no resources, no rules, the time of the start, counts at zero."""
    BackendDict.reset()
    reset_model_data()
    mock_random.seed(_settings["seed"])
    clock.reset(_settings["speed"], _settings["start"])
    market.configure(_settings["seed"], _settings["regions"], clock.started())
    pools.reset()
    faults.reset(_settings["seed"])
    calls.reset()
    for module in services.modules():
        if hasattr(module, "reset"):
            module.reset()
    clock.call_later(RECLAIM_EVERY, _ebb)
    return health({})


def health(_values: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": "ok",
        "time": clock.now().isoformat(),
        "speed": clock.speed,
        "seed": _settings["seed"],
        "regions": list(market.regions()),
    }


def _ebb() -> None:
    pools.reclaim(120.0)
    clock.call_later(RECLAIM_EVERY, _ebb)


def _set_capacity(values: dict[str, Any]) -> dict[str, Any]:
    _only(values, "region", "zone", "instance_type", "lifecycle", "room", "interrupt", "notice")
    if "room" not in values:
        raise ValueError("room is missing: give the number of instances, or null for the market's own room")
    room, lifecycle, zone = values["room"], values.get("lifecycle", "spot"), values.get("zone")
    if room is not None and (not isinstance(room, int) or isinstance(room, bool) or room < 0):
        raise ValueError(f"room {room!r} must be a whole number of at least 0, or null")
    if lifecycle not in pools.LIFECYCLES:
        raise ValueError(f"lifecycle {lifecycle!r} is not known: use {' or '.join(pools.LIFECYCLES)}")
    region = values.get("region")
    if region is not None and region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    served = [region] if region else market.regions()
    if zone is not None and not any(zone in market.zones(r) for r in served):
        raise ValueError(f"zone {zone!r} is not in {', '.join(served)}")
    kind = values.get("instance_type")
    if kind is not None and not any(kind in market.types(r) for r in served):
        raise ValueError(f"instance type {kind!r} is not in the market of {', '.join(served)}")
    pools.set_room(room, lifecycle, region, zone, kind, values.get("interrupt", True))
    surplus = pools.reclaim(_number(values, "notice", 120.0))
    return {
        "rules": _rules(),
        "interrupted": [{**_pool(pool), "instances": count} for pool, count in surplus.items()],
    }


def _get_capacity(_values: dict[str, Any]) -> dict[str, Any]:
    running = [{**_pool(pool), "used": count, "room": pools.room(*pool)} for pool, count in pools.running().items()]
    return {"rules": _rules(), "pools": running}


def _set_faults(values: dict[str, Any]) -> dict[str, Any]:
    _only(values, "rules")
    rules = values.get("rules")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError("rules must be a list of objects; [] clears")
    return {"rules": faults.replace(rules)}


def _set_clock(values: dict[str, Any]) -> dict[str, Any]:
    _only(values, "speed", "advance")
    if "speed" in values:
        clock.set_speed(_number(values, "speed", 1.0))
    if "advance" in values:
        clock.advance(_number(values, "advance", 0.0))
    return _get_clock({})


def _get_clock(_values: dict[str, Any]) -> dict[str, Any]:
    return {"time": clock.now().isoformat(), "epoch": clock.time(), "speed": clock.speed}


def _get_market(values: dict[str, Any]) -> dict[str, Any]:
    _only(values, "region", "zone", "instance_type")
    region, zone, kind = values.get("region"), values.get("zone"), values.get("instance_type")
    if region is None:
        return {
            "about": market.load()["about"],
            "regions": {r: {"zones": market.zones(r), "types": len(market.types(r))} for r in market.regions()},
        }
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    if zone is not None and zone not in market.zones(region):
        raise ValueError(f"zone {zone!r} is not in {region}: use one of {', '.join(market.zones(region))}")
    if kind is not None and kind not in market.types(region):
        raise ValueError(f"instance type {kind!r} is not in the market of {region}")
    now = clock.now()
    rows = []
    for instance_type in [kind] if kind else market.types(region):
        for name, zone_id in market.zones(region).items():
            if (zone and name != zone) or not market.offered(region, name, instance_type):
                continue
            rows.append(
                {
                    "region": region,
                    "zone": name,
                    "zone_id": zone_id,
                    "instance_type": instance_type,
                    "spot_price": market.spot_price(region, name, instance_type, now),
                    "on_demand_price": market.on_demand_price(region, instance_type),
                    "interruption_band": market.band(region, instance_type),
                    "spot": {
                        "room": pools.room(region, name, instance_type, "spot"),
                        "used": pools.used(region, name, instance_type, "spot"),
                    },
                    "on_demand": {
                        "room": pools.room(region, name, instance_type, "on_demand"),
                        "used": pools.used(region, name, instance_type, "on_demand"),
                    },
                }
            )
    return {"time": now.isoformat(), "pools": rows}


def _reset_calls(_values: dict[str, Any]) -> dict[str, Any]:
    calls.reset()
    return calls.summary()


_OWN: dict[str, Handler] = {
    "GET /sandbox/health": health,
    "POST /sandbox/reset": reset,
    "POST /sandbox/capacity": _set_capacity,
    "GET /sandbox/capacity": _get_capacity,
    "POST /sandbox/faults": _set_faults,
    "GET /sandbox/faults": lambda _values: {"rules": faults.current()},
    "POST /sandbox/clock": _set_clock,
    "GET /sandbox/clock": _get_clock,
    "GET /sandbox/market": _get_market,
    "GET /sandbox/calls": lambda _values: calls.summary(),
    "POST /sandbox/calls/reset": _reset_calls,
}


@cache
def _handlers() -> dict[str, Handler]:
    handlers = dict(_OWN)
    for module in services.modules():
        handlers.update(getattr(module, "CONTROL", {}))
    return handlers


def _rules() -> list[dict[str, Any]]:
    return [vars(rule) for rule in pools.rules()]


def _pool(pool: pools.Pool) -> dict[str, str]:
    return dict(zip(("region", "zone", "instance_type", "lifecycle"), pool))


def _only(values: dict[str, Any], *known: str) -> None:
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(known)}")


def _number(values: dict[str, Any], key: str, default: float) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{key} must be a number, not {value!r}")
    return float(value)


def _json(answer_body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(answer_body) + "\n", status, content_type="application/json")
