# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Explorer, asked as little as can be: answers are kept on disk, and no more is asked than may be paid for."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors
from ansible_collections.spot.platform.plugins.module_utils.engine import cost_queries as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_queries import USAGE, Ask
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import Usage
from ansible_collections.spot.platform.plugins.module_utils.engine.money import units_of

REGION = "us-east-1"
"""Cost Explorer tells of all regions, and answers in this one."""
GROUPINGS = {
    "app": {"Type": "TAG", "Key": tags.APP},
    "service": {"Type": "DIMENSION", "Key": "SERVICE"},
    "region": {"Type": "DIMENSION", "Key": "REGION"},
    "purchase": {"Type": "DIMENSION", "Key": "PURCHASE_TYPE"},
    "usage_type": {"Type": "DIMENSION", "Key": "USAGE_TYPE"},
    "record_type": {"Type": "DIMENSION", "Key": "RECORD_TYPE"},
}
QUANTITY = "UsageQuantity"
GRANULARITY = {engine.DAY: "DAILY", engine.MONTH: "MONTHLY"}
LOCK_SECONDS = 60.0
"""For how long one waits for another who asks; then both ask."""
PATIENCE = 0.05


@dataclass(frozen=True)
class Question:
    """``end``: the first day that is not in it. ``environment``, ``accounts``: only these, if given. ``fresh``: for how long an answer
    holds for days that have not settled. ``usage``: the hours of instances as well."""

    by: tuple[str, ...]
    first: date
    end: date
    granularity: str
    metric: str
    environment: str | None
    accounts: tuple[str, ...]
    fresh: timedelta
    usage: bool = False

    def metrics(self, one: Ask) -> tuple[str, ...]:
        """What a request asks for."""
        return (self.metric, QUANTITY) if one == USAGE else (self.metric,)


@dataclass
class Purse:
    """What may be asked, in requests, and what was. ``cached``: requests that the disk answered."""

    limit: int
    asked: int = 0
    cached: int = 0

    def check(self, requests: int) -> None:
        """Raises ``ValueError`` where so many more would be too many."""
        if self.asked + requests > self.limit:
            raise ValueError(
                f"{self.asked} {'request was' if self.asked == 1 else 'requests were'} made, and at least {requests} more "
                f"{'is' if requests == 1 else 'are'} needed, {(self.asked + requests) * engine.REQUEST_USD:.2f} USD in all, but max_usd allows "
                f"{self.limit * engine.REQUEST_USD:.2f} USD: raise it, or ask by fewer dimensions or without equivalents; what was answered is "
                "kept in the cache"
            )

    @property
    def usd(self) -> float:
        """What was asked costs."""
        return round(self.asked * engine.REQUEST_USD, 2)


@dataclass
class Store:
    """Answers on disk, one file for each request, account and endpoint, readable by its owner only. A file that is damaged counts as
    absent; ``problem`` says why nothing can be kept."""

    directory: Path
    scope: tuple[str | None, ...]
    problem: str | None = None

    def read(self, about: Any) -> dict[str, Any]:
        """What is kept about something: each value by its name."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path(about).read_bytes())
            if kept["about"] == self._key(about) and isinstance(kept["values"], dict):
                return kept["values"]
        return {}

    def add(self, about: Any, values: Mapping[str, Any]) -> None:
        """Keep the values beside those that are there."""
        try:
            self._write(self._path(about), {"about": self._key(about), "values": {**self.read(about), **values}})
        except OSError as error:
            self.problem = f"answers of Cost Explorer are not kept in {self.directory}, and will cost again: {error}"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """With nobody else asking, so that what two want to know is asked once. Whoever waits too long goes on."""
        handle, until = None, time.monotonic() + LOCK_SECONDS
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self.problem = f"answers of Cost Explorer are not kept in {self.directory}, and will cost again: {error}"
        try:
            while handle is not None:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() >= until:
                        break
                    time.sleep(PATIENCE)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _key(self, about: Any) -> str:
        return json.dumps([self.scope, about], sort_keys=True)

    def _path(self, about: Any) -> Path:
        return self.directory / f"{hashlib.sha256(self._key(about).encode()).hexdigest()[:32]}.json"

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.directory, suffix=".tmp")  # of mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, separators=(",", ":"))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


@dataclass(frozen=True)
class Found:
    """The answers to a question: the costs, the days or months whose figures may still change, and the hours of instances, if asked for."""

    rows: engine.Rows
    open: tuple[str, ...]
    usage: Usage | None = None


def ask(client: Any, question: Question, store: Store, purse: Purse, now: datetime) -> Found:
    """The costs, from the disk and from Cost Explorer. Raises `AwsError`, and ``ValueError`` where they would cost more than may be paid;
    before a request is made, all that are known to be needed are counted."""
    spans = engine.spans(question.first, question.end, question.granularity)
    names = [f"{first}/{end}" for first, end in spans]
    known: dict[Ask, dict[engine.Cell, int]] = {}
    usage: dict[Any, tuple[int, int]] | None = None
    changing: set[str] = set()
    with store.alone():
        while asks := (*engine.next_asks(question.by, known), *([USAGE] if question.usage and usage is None else ())):
            kept = {one: store.read(_about(question, one)) for one in asks}
            missing = {
                one: [span for span, name in zip(spans, names) if not _good(kept[one].get(name), one, span, question, now)] for one in asks
            }
            purse.check(sum(bool(absent) for absent in missing.values()))
            for one, absent in missing.items():
                if absent:
                    fresh = _fetch(client, question, one, absent, purse, now)
                    store.add(_about(question, one), fresh)
                    kept[one] |= fresh
                else:
                    purse.cached += 1
                answers = {name: kept[one][name] for name in names}
                changing |= {name.partition("/")[0] for name, answer in answers.items() if answer["estimated"]}
                cells = {
                    (name.partition("/")[0], tuple(group[: len(one.groups)])): group[len(one.groups) :]
                    for name, answer in answers.items()
                    for group in answer["groups"]
                }
                if one == USAGE:
                    usage = {cell: (paid, quantity) for cell, (paid, quantity) in cells.items()}
                else:
                    known[one] = {cell: units for cell, (units,) in cells.items()}
    return Found(engine.assemble(question.by, known), tuple(sorted(changing)), usage)


def _about(question: Question, one: Ask) -> list[Any]:
    """What tells a request's answers from those of others; the days do not, since they are kept each by itself."""
    return [one.groups, one.only, question.granularity, question.metric, question.environment, question.accounts]


def _good(kept: Any, one: Ask, span: tuple[date, date], question: Question, now: datetime) -> bool:
    keys, figures = len(one.groups), len(question.metrics(one))
    try:
        asked = datetime.fromtimestamp(kept["asked"], timezone.utc)
        well = all(len(group) == keys + figures and all(isinstance(each, int) for each in group[keys:]) for group in kept["groups"])
        return well and engine.still_good(span, asked, kept["estimated"], now, question.fresh)
    except (TypeError, KeyError, ValueError, OverflowError, IndexError):
        return False


def _fetch(
    client: Any, question: Question, one: Ask, absent: Sequence[tuple[date, date]], purse: Purse, now: datetime
) -> dict[str, dict[str, Any]]:
    """The answer for all days from the first that is missing to the last, which costs no more than for one of them."""
    first, end = min(span[0] for span in absent), max(span[1] for span in absent)
    found: dict[str, dict[str, Any]] = {}
    for result in get_cost_and_usage(client, _request(question, one, first, end), purse):
        period = result["TimePeriod"]
        entry = found.setdefault(f"{period['Start']}/{period['End']}", {"asked": now.timestamp(), "estimated": False, "groups": []})
        entry["estimated"] = entry["estimated"] or bool(result.get("Estimated"))
        groups = result["Groups"] if one.groups else [{"Keys": [], "Metrics": result["Total"]}]
        for group in groups:
            keys = [_value(dimension, key) for dimension, key in zip(one.groups, group["Keys"])]
            entry["groups"].append([*keys, *(units_of(group["Metrics"][name]["Amount"]) for name in question.metrics(one))])
    return found


def _request(question: Question, one: Ask, first: date, end: date) -> dict[str, Any]:
    filters = [
        {"Tags": {"Key": tags.APP, "Values": [value]}} if dimension == "app" else {"Dimensions": {"Key": GROUPINGS[dimension]["Key"], "Values": [value]}}
        for dimension, value in one.only
    ]
    if question.environment:
        filters.append({"Tags": {"Key": tags.ENVIRONMENT, "Values": [question.environment]}})
    if question.accounts:
        filters.append({"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": list(question.accounts)}})
    return {
        "TimePeriod": {"Start": first.isoformat(), "End": end.isoformat()},
        "Granularity": GRANULARITY[question.granularity],
        "Metrics": list(question.metrics(one)),
        **({"GroupBy": [GROUPINGS[name] for name in one.groups]} if one.groups else {}),
        **({"Filter": filters[0] if len(filters) == 1 else {"And": filters}} if filters else {}),
    }


def _value(dimension: str, key: str) -> str:
    """Of a tag, what stands after its key and ``$``."""
    return key.partition("$")[2] if dimension == "app" else key


@Errors.common_error_handler("read the costs from Cost Explorer")
def get_cost_and_usage(client: Any, given: Mapping[str, Any], purse: Purse) -> list[dict[str, Any]]:
    """GetCostAndUsage, all pages, each of which is paid for."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        purse.check(1)
        page = client.get_cost_and_usage(**given, **token)
        purse.asked += 1
        found += page["ResultsByTime"]
        if not page.get("NextPageToken"):
            return found
        token = {"NextPageToken": page["NextPageToken"]}


def active_since(client: Any, key: str, store: Store, purse: Purse, now: datetime) -> str | None:
    """Since when a cost allocation tag is active, RFC 3339; nothing if it is not. Kept for a day. Raises `AwsError` and ``ValueError``."""
    about = ["cost allocation tag", key]
    kept = store.read(about)
    with contextlib.suppress(KeyError, TypeError):
        if 0 <= now.timestamp() - kept["asked"] < 86400:
            purse.cached += 1
            return kept["since"]
    purse.check(1)
    since = list_cost_allocation_tags(client, key)
    purse.asked += 1
    store.add(about, {"asked": now.timestamp(), "since": since})
    return since


@Errors.common_error_handler("see which cost allocation tags are active")
def list_cost_allocation_tags(client: Any, key: str) -> str | None:
    """Since when the tag is active, empty where AWS does not say; nothing if it is not."""
    found = client.list_cost_allocation_tags(TagKeys=[key], Type="UserDefined")["CostAllocationTags"]
    return next((one.get("LastUpdatedDate", "") for one in found if one["TagKey"] == key and one["Status"] == "Active"), None)


@Errors.common_error_handler("see which account this is")
def account_of(client: Any) -> str:
    """The account of the credentials, which costs nothing. ``client``: of STS."""
    return client.get_caller_identity()["Account"]
