# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the resources of an estate are judged and summed up, and what is said of the parts that could not be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "unknown"
WORST_FIRST = (PROBLEM, WARNING, UNKNOWN, OK)
DAY = 86400.0
CERTIFICATE_DAYS = (30.0, 7.0)
"""Days before its end at which a certificate is a warning, and a problem. ACM renews 60 days before the end what it can
renew: at 30 something keeps it from doing so."""

Verdict = tuple[str, str]
"""Health, and what is to be said of it; empty where all is well."""
FINE: Verdict = (OK, "")


def of_state(state: str | None, good: Sequence[str], bad: Sequence[str] = (), message: str | None = None) -> Verdict:
    """By the state's name: fine if ``good``, a problem if ``bad``, in between otherwise; ``message``: why, as AWS says it."""
    if not state:
        return UNKNOWN, "its state is not known"
    if state in good:
        return FINE
    said = f"is {state}" + (f": {message}" if message else "")
    return (PROBLEM if state in bad else WARNING), said


def of_volume(state: str | None) -> Verdict:
    """An EBS volume."""
    if state == "available":
        return WARNING, "is attached to no instance"
    return of_state(state, ("in-use",), ("error",))


def of_targets(states: Mapping[str, str]) -> Verdict:
    """A target group, by the states of its targets as load balancers name them."""
    if not states:
        return WARNING, "has no targets"
    counted = Counter(states.values())
    healthy = counted["healthy"]
    missing = ", ".join(f"{number} {state}" for state, number in sorted(counted.items()) if state != "healthy")
    if not healthy:
        return PROBLEM, f"has no healthy target: {missing}"
    return (WARNING, f"{healthy} healthy, {missing}") if missing else FINE


def of_group(desired: int, in_service: int) -> Verdict:
    """An Auto Scaling group or a fleet: what it is to have, and what serves."""
    if desired > 0 and in_service == 0:
        return PROBLEM, f"nothing of the {desired} that it is to have is in service"
    return (WARNING, f"{in_service} of {desired} are in service") if in_service < desired else FINE


def of_certificate(state: str | None, ends: float | None, now: float, in_use: bool, renewal: str | None) -> Verdict:
    """A certificate. ``ends``, ``now``: seconds since the epoch; ``renewal``: how its renewal stands, as ACM names it."""
    if state == "PENDING_VALIDATION":
        return WARNING, "waits to be validated: set the DNS records that ACM asks for"
    if ends is None:
        return of_state(state, ("ISSUED",), ("FAILED", "REVOKED", "VALIDATION_TIMED_OUT"))
    days = (ends - now) / DAY
    if days < 0 or state == "EXPIRED":
        return (PROBLEM if in_use else WARNING), f"expired {-days:.0f} days ago" if days < 0 else "has expired"
    if renewal in ("FAILED", "PENDING_VALIDATION"):
        why = "its renewal failed" if renewal == "FAILED" else "its renewal waits for validation"
        return (
            PROBLEM if days < CERTIFICATE_DAYS[0] else WARNING
        ), f"{why}, {days:.0f} days are left: check its DNS records"
    if days < CERTIFICATE_DAYS[1] and in_use:
        return PROBLEM, f"expires in {days:.0f} days"
    if days < CERTIFICATE_DAYS[0]:
        return WARNING, f"expires in {days:.0f} days"
    return of_state(state, ("ISSUED",), ("FAILED", "REVOKED", "VALIDATION_TIMED_OUT"))


def of_instance(state: str | None, in_group: str | None, targets: Iterable[str], impaired: bool) -> tuple[str, str]:
    """Whether an instance serves, ``healthy``, ``unhealthy`` or ``unknown``, and why it does not.

    ``in_group``: what its group or fleet says of it; ``targets``: its states in target groups, as AWS names them.
    """
    if state != "running":
        return "unhealthy", f"it is {state}"
    if impaired:
        return "unhealthy", "it fails a status check of EC2"
    states = list(targets)
    if any(one != "healthy" for one in states):
        bad = sorted({one for one in states if one != "healthy"})
        serious = [one for one in bad if one.startswith("unhealthy")]
        return ("unhealthy" if serious else "unknown"), f"its target group has it as {', '.join(serious or bad)}"
    if in_group == "unhealthy":
        return "unhealthy", "its group has it as unhealthy"
    if in_group in ("starting", "draining"):
        return "unknown", f"it is {in_group}"
    if states or in_group == "healthy":
        return "healthy", ""
    return "unknown", "it is in no group and in no target group"


USERS = (
    ("debian", "admin"),
    ("ubuntu", "ubuntu"),
    ("rocky", "rocky"),
    ("almalinux", "ec2-user"),
    ("fedora", "fedora"),
    ("bitnami", "bitnami"),
    ("centos", "centos"),
    ("al2023", "ec2-user"),
    ("amzn", "ec2-user"),
    ("amazon", "ec2-user"),
    ("rhel", "ec2-user"),
    ("suse", "ec2-user"),
)


def user_of(image: str | None) -> str | None:
    """The user that an image of this name lets in; ``None`` where the name does not tell."""
    folded = (image or "").lower()
    return next((user for part, user in USERS if part in folded), None)


def by_app(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each application has: how many of each kind, how they are, and where; what belongs to none is last."""
    kinds: dict[str | None, Counter[str]] = defaultdict(Counter)
    health: dict[str | None, Counter[str]] = defaultdict(Counter)
    regions: dict[str | None, set[str]] = defaultdict(set)
    for row in rows:
        kinds[row["app"]][row["kind"]] += 1
        health[row["app"]][row["health"]] += 1
        regions[row["app"]].add(row["region"])
    return [
        {
            "app": app,
            "regions": sorted(regions[app]),
            "kinds": dict(sorted(kinds[app].items())),
            "health": {name: health[app][name] for name in WORST_FIRST if health[app][name]},
        }
        for app in sorted(kinds, key=lambda app: (app is None, app or ""))
    ]


@dataclass(frozen=True)
class Gap:
    """Something that could not be read. ``code``: AWS's error code, ``None`` where no answer came; ``action``: of IAM."""

    region: str
    what: str
    message: str
    code: str | None
    action: str | None = None


def unread(errors: Iterable[Mapping[str, Any]]) -> str:
    """What is said where nothing at all could be read: each reason once."""
    return "nothing could be read: " + "; ".join(dict.fromkeys(error["message"] for error in errors))


def told(gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    """The gaps as they are returned, by region: a region that does not answer, or rejects the credentials, is one of them,
    however many services were asked."""
    kept: dict[tuple[Any, ...], list[Gap]] = defaultdict(list)
    for gap in gaps:
        alone = gap.code is not None and gap.action is not None
        kept[gap.region, gap.code, (gap.action, gap.message) if alone else None].append(gap)
    return sorted(
        (
            {
                "region": region,
                "what": ", ".join(sorted({gap.what for gap in some})),
                "message": some[0].message,
                "action": some[0].action,
            }
            for (region, _code, _own), some in kept.items()
        ),
        key=lambda one: (one["region"], one["what"], one["message"]),
    )
