# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather what is asked for of an estate: all of it side by side, what failed beside what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import Gathering, Wanted
from ansible_collections.spot.platform.plugins.module_utils.aws.instance_facts import Facts
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import NAMES
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus
from ansible_collections.spot.platform.plugins.module_utils.aws.quotas import Limits
from ansible_collections.spot.platform.plugins.module_utils.aws.service_accounts import Accounts
from ansible_collections.spot.platform.plugins.module_utils.aws.utilisation import Utilisation
from ansible_collections.spot.platform.plugins.module_utils.engine import estate as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.estate import Gap

FLEETS, INSTANCES, RESOURCES, CERTIFICATES, QUOTAS = "fleets", "instances", "resources", "certificates", "quotas"
ACCOUNTS, UTILISATION = "service_accounts", "utilisation"
PARTS = (FLEETS, INSTANCES, RESOURCES, CERTIFICATES, ACCOUNTS, QUOTAS, UTILISATION)


@dataclass(frozen=True)
class Question:
    """What to gather, and of whom; ``kinds``: of resources, all if empty; ``prometheus``: to ask about utilisation."""

    regions: Sequence[str]
    gather: Collection[str]
    apps: Sequence[str] = ()
    environment: str | None = None
    kinds: Collection[str] = ()
    everything: bool = False
    prometheus: Prometheus | None = None


@dataclass
class Answer:
    """``result``: what the module returns; ``read``: how many lists could be read."""

    result: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0


def gather(clients: Clients, question: Question, cache: Cache) -> Answer:
    """All parts but the fleets, which `aws.estate` observes. Raises nothing for what cannot be read."""
    asked, now = set(question.gather), datetime.now(timezone.utc)
    kinds = set(question.kinds or NAMES) if RESOURCES in asked else set()
    shown = frozenset(kinds | ({"certificate"} if CERTIFICATES in asked else set()))
    wanted = Wanted(
        question.regions,
        question.apps,
        question.environment,
        shown,
        members=bool(asked & {INSTANCES, UTILISATION}),
        count=QUOTAS in asked,
        everything=question.everything,
    )
    run = Gathering(clients, wanted)
    limits = Limits(question.regions) if QUOTAS in asked else None
    accounts = Accounts(wanted, now) if ACCOUNTS in asked else None
    found = run.run([*(limits.parts() if limits else ()), *(accounts.parts() if accounts else ())])
    facts = Facts(clients, found, cache) if found.instances else None
    use = Utilisation(found.instances, now.timestamp(), question.prometheus) if UTILISATION in asked else None
    run.then(
        [
            part
            for one in (accounts and accounts.then(), facts and facts.parts(), use and use.parts())
            for part in one or ()
        ]
    )
    if facts:
        facts.write()
    result: dict[str, Any] = {}
    if use:
        run.then(use.then())
        found.gaps += [Gap("*", "utilisation from Prometheus", problem, "Prometheus") for problem in use.scrape()]
        use.write()
    if wanted.members:
        result["instances"] = found.instances
    if RESOURCES in asked:
        result["resources"] = [row for row in found.rows if row["kind"] in kinds]
        result["by_app"] = engine.by_app(result["resources"])
    if CERTIFICATES in asked:
        result["certificates"] = certificates(found.rows, now)
    if accounts:
        result["service_accounts"] = accounts.rows()
    if limits:
        result["quotas"] = limits.rows(found)
    return Answer(result, engine.told(found.gaps), found.read)


def certificates(rows: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The certificates, what ends first at the top."""
    found = []
    for row in rows:
        if row["kind"] != "certificate":
            continue
        ends = row["details"]["expires_at"]
        left = (datetime.fromisoformat(ends.replace("Z", "+00:00")) - now).total_seconds() if ends else None
        found.append(
            {
                "name": row["name"],
                "id": row["id"],
                "region": row["region"],
                "app": row["app"],
                "environment": row["environment"],
                "expires_at": ends,
                "days_left": None if left is None else round(left / engine.DAY, 1),
                "in_use": bool(row["details"]["in_use"]),
                "renewal": row["details"]["renewal"] or row["details"]["eligible"],
                "state": row["state"],
                "health": row["health"],
                "note": row["note"],
            }
        )
    return sorted(found, key=lambda one: (one["days_left"] is None, one["days_left"] or 0.0, one["region"], one["id"]))
