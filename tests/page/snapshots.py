# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots to look at: a small company's, that of 5,000 instances, one that lacks nearly all, and one full of script."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)
REGIONS = ("us-east-1", "eu-west-1")
APPS = ("web", "worker", "api", "media")
TYPES = {"m5.large": 0.096, "m6i.large": 0.096, "c6g.xlarge": 0.136, "r5.large": 0.126, "t3.medium": 0.0416, "m7g.large": 0.0816}
GIB = 1024**3


def when(**ago: float) -> str:
    """A time before ``NOW``, as RFC 3339."""
    return (NOW - timedelta(**ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def estate(instances: int = 60, events: int = 400, seed: int = 6) -> dict[str, Any]:
    """A snapshot with every part."""
    chance = random.Random(seed)
    machines = [machine(number, chance) for number in range(instances)]
    return {
        "made_at": when(),
        "environment": "production",
        "regions": list(REGIONS),
        "period": {"from": when(days=30), "to": when()},
        "errors": [
            {"region": "eu-west-1", "what": "quotas", "message": "cannot read the quotas: AccessDenied; allow servicequotas:ListServiceQuotas"}
        ],
        "apps": [
            {
                "app": app,
                "owner": f"{app}@example.com",
                "regions": list(REGIONS),
                "unit": "instances",
                "budget": {"monthly": 900, "alerts": [0.8, 1]},
                "links": {},
            }
            for app in APPS
        ],
        "fleets": [fleet(app, region, machines, chance) for app in APPS for region in REGIONS],
        "instances": machines,
        "resources": resources(machines, chance),
        "certificates": certificates(),
        "service_accounts": accounts(),
        "quotas": [
            {"region": region, "service": "ec2", "name": name, "code": f"L-{number:08X}", "limit": 640, "used": 640 * share, "share": share}
            for region in REGIONS
            for number, (name, share) in enumerate((("All Standard Spot Instance Requests", 0.84), ("Running On-Demand Standard instances", 0.21)))
        ],
        "volumes": volumes(machines, chance),
        "costs": costs(chance),
        "market": {"pools": pools(chance)},
        "activity": activity(events, chance),
        "actions": {
            "deploy": {"url": "https://awx.example.com/#/templates/job_template/7/details?app={app}"},
            "rollback": {"command": "ansible-playbook spot.platform.app_rollback -e app={app}"},
            "scale": {"url": "https://awx.example.com/#/templates/job_template/9/details?app={app}&region={region}"},
            "replace": {"command": "ansible-playbook spot.platform.instance_replace -e apps={app}"},
            "import_key": {"url": "https://awx.example.com/#/templates/job_template/11/details"},
            "grow": {"command": "ansible-playbook spot.platform.volume_grow"},
        },
    }


def machine(number: int, chance: random.Random) -> dict[str, Any]:
    region, app = REGIONS[number // 7 % 2], APPS[number % len(APPS) if number % 5 else 0]
    kind, lifecycle = chance.choice(list(TYPES)), "on_demand" if chance.random() < 0.15 else "spot"
    sick, base = chance.random() < 0.04, chance.uniform(10, 80)

    def curve(low: float, high: float) -> list[float | None]:
        return [round(min(high, max(low, base + chance.gauss(0, 8))), 1) if chance.random() > 0.03 else None for _hour in range(24)]

    return {
        "id": f"i-{number + 0x1234567890ABC:017x}",
        "app": app,
        "environment": "production",
        "region": region,
        "zone": region + "abc"[number % 3],
        "type": kind,
        "lifecycle": lifecycle,
        "state": "running",
        "health": "unhealthy" if sick else "healthy",
        "health_reason": "3 of 3 checks of the load balancer failed" if sick else "",
        "launched_at": when(hours=chance.uniform(0.1, 400)),
        "price_per_hour": round(TYPES[kind] * (1 if lifecycle == "on_demand" else chance.uniform(0.25, 0.5)), 4),
        "private_ip": f"10.0.{number // 250}.{number % 250}",
        "public_ip": None if number % 3 else f"203.0.113.{number % 250}",
        "key_name": f"production-{app}",
        "image_id": "ami-0123456789abcdef0",
        "os_user": "admin",
        "group": f"production-{app}",
        "utilisation": {
            "cpu": curve(0, 100),
            "memory": curve(5, 100),
            "disk": [round(base / 2 + hour / 6, 1) for hour in range(24)],
            "network": [round(abs(chance.gauss(4e6, 2e6))) for _hour in range(24)],
        },
    }


def fleet(app: str, region: str, machines: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    mine = [one for one in machines if one["app"] == app and one["region"] == region]
    spot = sum(one["lifecycle"] == "spot" for one in mine)
    target = len(mine) + (2 if (app, region) == ("worker", "us-east-1") else 0)
    found: dict[tuple[str, str, str], list[float]] = {}
    for one in mine:
        found.setdefault((one["zone"], one["type"], one["lifecycle"]), []).append(one["price_per_hour"])
    now, instead = sum(one["price_per_hour"] for one in mine), sum(TYPES[one["type"]] for one in mine)
    steps = [
        {
            "time": when(hours=24 - hour),
            "spot": max(0, spot - chance.choice((0, 0, 0, 1, 2))),
            "on_demand": len(mine) - spot + chance.choice((0, 0, 1)),
        }
        for hour in range(24)
    ]
    return {
        "app": app,
        "environment": "production",
        "region": region,
        "group": f"production-{app}",
        "kind": "auto_scaling_group",
        "unit": "instances",
        "target": target,
        "min": 2,
        "max": 5000,
        "desired": target,
        "on_demand_base": 1,
        "fallback": 1 if (app, region) == ("api", "eu-west-1") else 0,
        "spot": spot,
        "on_demand": len(mine) - spot,
        "serving": len(mine),
        "serving_min": max(0, len(mine) - 2),
        "health": {"healthy": len(mine), "unhealthy": 0},
        "pools": [
            {
                "zone": zone,
                "instance_type": kind,
                "lifecycle": lifecycle,
                "instances": len(prices),
                "capacity": len(prices),
                "price_per_hour": prices[0],
            }
            for (zone, kind, lifecycle), prices in sorted(found.items())
        ][:9],
        "cost_per_hour": round(now, 4),
        "on_demand_cost_per_hour": round(instead, 4),
        "savings_percent": round(100 * (1 - now / instead), 1) if instead else None,
        "cost": {
            "since": when(hours=24),
            "until": when(),
            "spot_platform": round(now * 24, 4),
            "all_on_demand": round(instead * 24, 4),
            "savings_percent": 55.0,
            "fallback_share": 0.0,
            "unpriced": [],
            "basis": "estimated from instance hours",
        },
        "timeline": steps,
    }


def resources(machines: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for one in machines:
        place = {key: one[key] for key in ("app", "environment", "region", "zone")}
        sick = one["health"] == "unhealthy"
        found.append(
            {
                "kind": "instance",
                "id": one["id"],
                "name": one["group"],
                "arn": f"arn:aws:ec2:{one['region']}:123456789012:instance/{one['id']}",
                **place,
                "state": "running",
                "health": "problem" if sick else "ok",
                "note": one["health_reason"],
                "created_at": one["launched_at"],
                "usd_per_month": round(one["price_per_hour"] * 730, 2),
                "details": {"type": one["type"], "lifecycle": one["lifecycle"]},
            }
        )
    for number, kind in enumerate(
        (
            "load_balancer",
            "target_group",
            "database",
            "queue",
            "topic",
            "bucket",
            "function",
            "launch_template",
            "log_group",
            "address",
            "key_pair",
            "file_system",
        )
        * 3
    ):
        app, region = APPS[number % 4], REGIONS[number % 2]
        found.append(
            {
                "kind": kind,
                "id": f"{kind}-{number:03}",
                "name": f"production-{app}-{kind}",
                "arn": f"arn:aws:any:{region}:123456789012:{kind}/{number}",
                "app": app if number % 7 else None,
                "environment": "production",
                "region": region,
                "zone": None,
                "state": "active",
                "health": "warning" if kind == "address" else "ok",
                "note": "attached to nothing" if kind == "address" else "",
                "created_at": when(days=number * 9),
                "usd_per_month": round(chance.uniform(0, 90), 2) if number % 3 else None,
                "details": {"tags": {"team": app}, "rules": number},
            }
        )
    return found


def certificates() -> list[dict[str, Any]]:
    rows = (
        ("shop.example.com", 4, "pending", "ISSUED"),
        ("*.example.com", 27, "eligible", "ISSUED"),
        ("api.example.com", 211, "eligible", "ISSUED"),
        ("old.example.com", -3, "failed", "EXPIRED"),
    )
    return [
        {
            "name": name,
            "id": f"arn:aws:acm:us-east-1:123456789012:certificate/{days}",
            "region": "us-east-1",
            "app": "web",
            "expires_at": when(days=-days),
            "days_left": days,
            "in_use": days > 0,
            "renewal": renewal,
            "state": state,
        }
        for name, days, renewal, state in rows
    ]


def accounts() -> list[dict[str, Any]]:
    key = {"id": "AKIAIOSFODNN7EXAMPLE", "age_days": 412, "last_used_at": when(days=200), "active": True}
    rows = (
        ("user", "ci-deployer", [key], ["its key is 412 days old", "its key was not used for 200 days"], "problem"),
        ("role", "production-web", [], [], "ok"),
        ("role", "production-worker", [], ["was never used"], "warning"),
        ("instance_profile", "production-web", [], [], "ok"),
    )
    return [
        {
            "kind": kind,
            "name": name,
            "arn": f"arn:aws:iam::123456789012:{kind}/{name}",
            "app": None if kind == "user" else name.split("-")[1],
            "created_at": when(days=500),
            "last_used_at": when(hours=3) if severity == "ok" else None,
            "last_used_region": "us-east-1" if severity == "ok" else None,
            "keys": keys,
            "findings": findings,
            "severity": severity,
        }
        for kind, name, keys, findings, severity in rows
    ]


def volumes(machines: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for number, one in enumerate(machines[:40]):
        size, full = chance.choice((20, 50, 200)), chance.choice((0.2, 0.5, 0.7, 0.86, 0.97))
        rate = chance.choice((0.0, 0.1, 2.5)) * GIB
        free = size * GIB * (1 - full)
        found.append(
            {
                "app": one["app"],
                "id": f"vol-{number + 0xABCDEF:017x}",
                "region": one["region"],
                "instance": one["id"],
                "mount": "/srv/data",
                "type": "gp3",
                "size_gib": size,
                "used_bytes": size * GIB * full,
                "available_bytes": free,
                "growth_bytes_per_day": rate,
                "days_left": free / rate if rate else None,
                "may_change": bool(number % 4),
                "not_before": None if number % 4 else when(hours=-5),
                "reasons": [] if number % 4 else ["4 modifications in 24 hours"],
            }
        )
    return found


def costs(chance: random.Random) -> dict[str, Any]:
    days = []
    for day in range(90):
        for app in APPS:
            for region in REGIONS:
                for purchase, service, dollars, instead in (
                    ("spot", "EC2", 6.0, 17.0),
                    ("on_demand", "EC2", 2.2, 2.2),
                    ("other", "EBS", 1.1, None),
                    ("other", "Load balancing", 0.8, None),
                ):
                    factor = chance.uniform(0.7, 1.3) * (1.9 if day == 12 else 1)
                    days.append(
                        {
                            "day": when(days=day)[:10],
                            "app": app,
                            "service": service,
                            "region": region,
                            "purchase": purchase,
                            "usd": round(dollars * factor, 4),
                            "on_demand_usd": instead and round(instead * factor, 4),
                            "basis": "billed" if day else "estimated",
                        }
                    )
    return {
        "basis": "billed",
        "currency": "USD",
        "days": days,
        "today_usd": 31.42,
        "month_usd": 2094.11,
        "saved_usd": 2310.5,
        "saved_share": 0.525,
        "saved_since": "2026-11-01T00:00:00Z",
        "saved_basis": "billed, On-Demand at list price",
        "fallback_usd": 44.02,
        "interrupted_usd": 3.1,
        "fallback_since": when(hours=24),
        "forecast": {"month_end_usd": 2440.0, "low_usd": 2310.0, "high_usd": 2590.0, "confidence": 0.8},
        "budgets": [
            {
                "app": app,
                "monthly_usd": 900,
                "spent_usd": 900 * share,
                "share": share,
                "forecast_share": share * 1.2,
                "alerts": [0.8, 1],
                "crossed": [0.8] if share > 0.8 else [],
            }
            for app, share in zip(APPS, (0.62, 0.88, 1.04, 0.3))
        ],
        "anomalies": [
            {
                "day": when(days=12)[:10],
                "usd": 151.2,
                "expected_usd": 80.4,
                "cause": {"app": "media", "service": "EC2", "region": "us-east-1"},
                "text": "EC2 of media in us-east-1 cost 1.9 times what it does on other days",
            }
        ],
        "waste": [
            {
                "kind": "volume",
                "id": "vol-0aa11bb22cc33dd44",
                "region": "us-east-1",
                "app": "media",
                "usd_per_month": 40.0,
                "why": "attached to nothing for 41 days",
                "remedy": "snapshot it and delete it",
            },
            {
                "kind": "address",
                "id": "eipalloc-0123456789",
                "region": "eu-west-1",
                "app": None,
                "usd_per_month": 3.65,
                "why": "associated with nothing",
                "remedy": "release it",
            },
        ],
        "warnings": ["Tags for cost allocation are not active for 2 of 4 applications: what they cost is estimated."],
    }


def pools(chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for region in REGIONS:
        for zone in "abc":
            for kind, price in TYPES.items():
                spot = round(price * chance.uniform(0.25, 0.6), 4)
                held = chance.choice((0, 0, 2, 5))
                found.append(
                    {
                        "region": region,
                        "zone": region + zone,
                        "type": kind,
                        "price": spot,
                        "on_demand_price": price,
                        "saving": round(1 - spot / price, 3),
                        "interruption_band": chance.choice(("<5%", "5-10%", ">20%")),
                        "score": chance.randint(1, 10),
                        "held": held,
                        "wanted": held or chance.choice((0, 3)),
                        "hours_to_a_loss": chance.uniform(20, 900),
                        "chance_open": chance.uniform(0.5, 1),
                    }
                )
    return found


def activity(number: int, chance: random.Random) -> list[dict[str, Any]]:
    kinds = {
        "capacity.fallback": "On-Demand covers 2 of 6 instances that Spot lacks",
        "capacity.returned": "Spot serves all again, and 2 On-Demand instances ended",
        "scaling.launched": "The group launched 2 instances",
        "scaling.failed": "The group tried in vain to launch instances, 3 times",
        "volume.resized": "vol-0123 grows from 20 to 40 GiB",
        "interruption.notice": "i-0123 ends in two minutes",
    }
    found = []
    for index in range(number):
        kind = chance.choice(list(kinds))
        found.append(
            {
                "id": f"event-{index}",
                "time": when(minutes=(number - index) * 31),
                "app": chance.choice(APPS),
                "region": chance.choice(REGIONS),
                "kind": kind,
                "resource": "production-web",
                "summary": kinds[kind],
                "reasons": ["m5.large in us-east-1a refused 3 times in 10 minutes", "no other pool scores above 3"],
                "before": {"spot": 6, "on_demand": 1},
                "after": {"spot": 4, "on_demand": 3},
                "actor": "scheduler",
                "run": f"run-{index // 3}",
                "changed": kind != "scaling.failed",
                "source": "autoscaling" if kind.startswith("scaling") else "platform",
            }
        )
    return found


HOSTILE = "\"'><script>window.hit=1</script><img src=x onerror=window.hit=1>{{ 1 }}\u2028</script>`${window.hit=1}"


KEPT = {"time", "day", "launched_at", "expires_at", "created_at", "last_used_at", "lifecycle", "health", "severity"}
"""What AWS or the platform says, and no user."""


def hostile() -> dict[str, Any]:
    """The small snapshot with script in every text that a tag, a name or a log can have, and as keys."""
    made = estate(12, 20)
    changed = {key: poisoned(part) for key, part in made.items() if key not in ("made_at", "period", "actions")}
    for app in changed["apps"]:
        app["links"] = {"deploy": "data:text/html,<script>window.hit=1</script>"}
    return {
        **changed,
        "made_at": made["made_at"],
        "page": {"title": HOSTILE, "refresh_seconds": 60},
        "__proto__": {"hit": HOSTILE},
        "actions": {
            "scale": {"url": "https://awx.example.com/{app}"},
            "rollback": {"command": "echo {app}"},
            "replace": {"command": HOSTILE},
            "grow": {"url": "javascript:window.hit=1"},
        },
    }


def poisoned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: part if key in KEPT else poisoned(part) for key, part in value.items()} | ({HOSTILE: HOSTILE} if "tags" in value else {})
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return HOSTILE if isinstance(value, str) else value
