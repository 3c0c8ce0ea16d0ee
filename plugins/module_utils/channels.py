# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels: who is told of which activity events. Read from a file that the role ``notifications`` writes."""

from __future__ import annotations

import fnmatch
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

NEEDED = {"webhook": ("url",), "slack": ("url",), "sns": ("topic_arn",), "mail": ("sender", "to")}
"""What each type of channel must say; ``url_env`` does in place of ``url``."""

DIGEST = "activity.digest"
"""The kind of the event that stands for many."""

DIGEST_LINES = 50
"""The sentences of the events that a digest quotes, at most."""

ADDRESS = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


@dataclass(frozen=True)
class Owner:
    """Who answers for an application: ``to`` addresses, and the kinds (shell patterns) that they want no mail about."""

    to: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


@dataclass(frozen=True)
class Channel:
    """One receiver. ``apps``, ``kinds`` and ``except_kinds`` are shell patterns; no pattern in the first two means all.

    ``url_env`` and ``secret_env`` name environment variables. ``digest_above``: the most events that are told one by one
    in a run; 0 for no limit.
    """

    name: str
    type: str
    url: str = ""
    url_env: str = ""
    secret_env: str = ""
    topic_arn: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    region: str = ""
    apps: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    except_kinds: tuple[str, ...] = ()
    digest_above: int = 20
    owners: Mapping[str, Owner] = field(default_factory=dict)

    def address(self) -> str:
        """The URL, from the file or the environment. Raises ``ValueError`` where the variable is not set."""
        return from_environment(self.name, "url_env", self.url_env) if self.url_env else self.url

    def secret(self) -> str | None:
        """The key to sign with. Raises ``ValueError`` where the variable is not set."""
        return from_environment(self.name, "secret_env", self.secret_env) if self.secret_env else None


def from_environment(channel: str, key: str, variable: str) -> str:
    """The value of ``variable``; raises ``ValueError`` where it is not set."""
    if not os.environ.get(variable):
        raise ValueError(f"the environment variable {variable}, {key} of the channel {channel}, is not set")
    return os.environ[variable]


def matches(value: Any, patterns: Iterable[str]) -> bool:
    """Whether one of the shell patterns fits."""
    return any(fnmatch.fnmatchcase(str(value or ""), pattern) for pattern in patterns)


def recipients(channel: Channel, event: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom a mail channel writes to about ``event``: ``owner`` stands for the application's owner, who may not want to know."""
    owner = channel.owners.get(str(event.get("app") or ""), Owner())
    owners = () if matches(event.get("kind"), owner.unsubscribe) else owner.to
    found = [address for entry in channel.to for address in (owners if entry == "owner" else (entry,))]
    return tuple(dict.fromkeys(found))


def wants(channel: Channel, event: Mapping[str, Any]) -> bool:
    """Whether ``event`` is for ``channel``."""
    kind = event.get("kind")
    return (
        (not channel.apps or matches(event.get("app"), channel.apps))
        and (not channel.kinds or matches(kind, channel.kinds))
        and not matches(kind, channel.except_kinds)
        and (channel.type != "mail" or bool(recipients(channel, event)))
    )


def digested(events: Sequence[dict[str, Any]], above: int) -> list[dict[str, Any]]:
    """The events themselves, or where they are more than ``above`` (and that is not 0), one that stands for all.

    Its id follows from theirs, so that a repeated delivery is told by it.
    """
    if not above or len(events) <= above:
        return list(events)
    kinds = Counter(str(event.get("kind")) for event in events)
    apps = sorted({str(event["app"]) for event in events if event.get("app")})
    regions = sorted({str(event["region"]) for event in events if event.get("region")})
    names = "\n".join(str(event.get("id")) for event in events)
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, names)),
            "time": max(str(event.get("time") or "") for event in events),
            "app": apps[0] if len(apps) == 1 else None,
            "region": regions[0] if len(regions) == 1 else None,
            "kind": DIGEST,
            "resource": f"{len(events)} events",
            "summary": f"{len(events)} events: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)),
            "reasons": [str(event.get("summary")) for event in events[:DIGEST_LINES]],
            "before": None,
            "after": {
                "count": len(events),
                "kinds": dict(kinds),
                "apps": apps,
                "regions": regions,
                "events": [event.get("id") for event in events],
            },
            "changed": any(event.get("changed") for event in events),
            "actor": events[0].get("actor"),
            "run": events[0].get("run"),
        }
    ]


class Allowance:
    """How many events of a run may be told one by one: ``above``, or all where that is 0. What is more comes in digests."""

    def __init__(self, above: int) -> None:
        self._above = above
        self._told: dict[Any, dict[Any, bool]] = {}  # by receiver: the ids, and whether they came in a digest

    @property
    def used(self) -> bool:
        """Whether some receiver was told as many."""
        return bool(self._above) and any(len(told) >= self._above for told in self._told.values())

    def digest(self, events: Sequence[dict[str, Any]], receiver: Any = None) -> list[dict[str, Any]]:
        """The events, or the digest that stands for them. The same events, tried again, use nothing up."""
        told, ids = self._told.setdefault(receiver, {}), [event.get("id") for event in events]
        over = bool(self._above) and len(told.keys() | set(ids)) > self._above
        for one in ids:
            told.setdefault(one, over)
        return digested(events, 1 if any(told[one] for one in ids) else 0)


def channels_in(path: str) -> list[Channel]:
    """The channels of a file. Raises ``ValueError`` that names the file and what is wrong with it."""
    import yaml  # not needed where there are no channels

    try:
        content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the channels file {path}: {' '.join(str(error).split())}") from error
    try:
        return channels_of(content)
    except ValueError as error:
        raise ValueError(f"the channels file {path}: {error}") from error


def channels_of(content: Any) -> list[Channel]:
    """The channels of ``{"channels": [...], "apps": {app: {"to": [...], "unsubscribe": [...]}}}``; raises ``ValueError``."""
    if not isinstance(content, dict) or not isinstance(content.get("channels"), list):
        raise ValueError("it must be a mapping with the list channels")
    apps = content.get("apps") or {}
    if not isinstance(apps, dict):
        raise ValueError("apps must be a mapping of applications to their owners")
    owners = {}
    for app, said in apps.items():
        if not isinstance(said, dict):
            raise ValueError(f"apps.{app} must be a mapping with the list to")
        owners[str(app)] = Owner(
            texts(f"apps.{app}.to", said.get("to")), texts(f"apps.{app}.unsubscribe", said.get("unsubscribe"))
        )
    found = [channel_of(entry, owners) for entry in content["channels"]]
    twice = [name for name, count in Counter(channel.name for channel in found).items() if count > 1]
    if twice:
        raise ValueError(f"there are two channels called {twice[0]}: give each a name of its own")
    return found


def texts(what: str, value: Any) -> tuple[str, ...]:
    """A list of texts, or one text, as a tuple."""
    values = [value] if isinstance(value, str) else value or []
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise ValueError(f"{what} must be a list of texts, not {value!r}")
    return tuple(values)


def channel_of(entry: Any, owners: Mapping[str, Owner]) -> Channel:
    """One channel; raises ``ValueError`` with its name and the remedy."""
    if not isinstance(entry, dict) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", str(entry.get("name") or "")):
        raise ValueError(f"each channel needs a name of letters, digits, hyphens, underscores and dots: {entry!r:.60}")
    name, kind = str(entry["name"]), entry.get("type")
    known = {item.name: item for item in fields(Channel) if item.name != "owners"}
    if kind not in NEEDED:
        raise ValueError(f"channel {name}: the type {kind!r} is none of {', '.join(NEEDED)}")
    if unknown := sorted(set(map(str, entry)) - set(known)):
        raise ValueError(f"channel {name}: unknown key {unknown[0]}; the keys are {', '.join(known)}")
    given: dict[str, Any] = {"name": name, "owners": owners}
    for key, value in entry.items():
        if key == "digest_above":
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"channel {name}: digest_above must be a whole number, 0 or more, not {value!r}")
            given[key] = value
        elif key in ("to", "apps", "kinds", "except_kinds"):
            given[key] = texts(f"channel {name}: {key}", value)
        elif key != "name" and value is not None:
            if not isinstance(value, str):
                raise ValueError(f"channel {name}: {key} must be a text, not {value!r}")
            given[key] = value
    channel = Channel(**given)
    for key in NEEDED[channel.type]:
        if not getattr(channel, key) and not (key == "url" and channel.url_env):
            remedy = "url or url_env" if key == "url" else key
            raise ValueError(f"channel {name}: a channel of type {channel.type} needs {remedy}")
    if channel.topic_arn and not TOPIC.fullmatch(channel.topic_arn):
        raise ValueError(f"channel {name}: topic_arn {channel.topic_arn} is not the ARN of an SNS topic")
    for address in (*channel.to, *(to for owner in owners.values() for to in owner.to)):
        if address != "owner" and not ADDRESS.fullmatch(address):
            raise ValueError(f"channel {name}: {address!r} is neither an e-mail address nor owner")
    return channel
