# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe and change the key, queues, topic and rules that bring a region's events to the listener."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import routes_api as api
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.engine import routes
from ansible_collections.spot.platform.plugins.module_utils.engine.routes import Change, Piece, Place

PENDING_DELETION = "PendingDeletion"
RULE_FIELDS = ("description", "state", "pattern")


@dataclass(frozen=True)
class Seen:
    """What is there, and by what AWS knows it: the key's id, the queues' URLs, the subscriptions' ARNs by endpoint."""

    pieces: tuple[Piece, ...] = ()
    key_id: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    subscriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[str, ...]:
        """The endpoints that have not confirmed their subscription: AWS gives no ARN for it yet."""
        return tuple(name for name, arn in self.subscriptions.items() if not arn.startswith("arn:"))


@dataclass(frozen=True)
class Outcome:
    """What became of one region. ``changes`` were made, or would be; with an ``error`` those that were made before it.

    ``urls`` are those of its queues, by name; ``pending`` the endpoints that have not confirmed their subscription.
    """

    place: Place
    changes: tuple[Change, ...] = ()
    error: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[str, ...] = ()


def places(clients: Clients, environment: str, regions: Sequence[str]) -> list[Place]:
    """The environment in each region, in the account that the credentials belong to."""
    identity = api.get_caller_identity(clients.get("sts", regions[0]))
    partition = identity["Arn"].split(":")[1]
    return [Place(environment, region, identity["Account"], partition) for region in dict.fromkeys(regions)]


def ensure(
    clients: Clients, where: Sequence[Place], endpoints: Sequence[str] | None, present: bool, act: bool
) -> list[Outcome]:
    """Make it so in each place, side by side; what fails in one does not stop the others.

    ``endpoints`` of ``None`` leaves the subscriptions of the topic alone.
    """

    def one(place: Place) -> Outcome:
        made: list[Change] = []
        try:
            seen = observe(clients, place)
            changes = decide(place, seen, endpoints, present)
            if not act or not changes:
                return Outcome(place, changes, urls=seen.urls, pending=seen.pending)
            new = apply(clients, place, seen, changes, made)
        except AwsError as error:
            return Outcome(place, tuple(made), error=str(error))
        subscribed = {change.name for change in changes if change.kind == routes.SUBSCRIPTION and change.after is not None}
        if not present:
            return Outcome(place, changes)
        pending = tuple(sorted({*seen.pending, *subscribed}))
        return Outcome(place, changes, urls={**seen.urls, **new}, pending=pending)

    return side_by_side(one, where)


def decide(place: Place, seen: Seen, endpoints: Sequence[str] | None, present: bool) -> tuple[Change, ...]:
    """What is to be done. A subscription that nobody confirmed cannot be ended: AWS forgets it after some days."""
    kept = list(seen.subscriptions) if endpoints is None else endpoints
    endless = set(seen.pending) - set(kept if present else ())
    there = [piece for piece in seen.pieces if piece.kind != routes.SUBSCRIPTION or piece.name not in endless]
    return (routes.decide if present else routes.decide_absent)(routes.wanted(place, kept), there)


def observe(clients: Clients, place: Place) -> Seen:
    """All that is there of ours."""
    looks: list[Callable[[], Seen]] = [lambda: _key(clients, place), lambda: _rules(clients, place)]
    names = [name for dead in (True, False) for name in routes.queue_names(place, dead)]
    looks += [lambda name=name: _queue(clients, place, name) for name in names]
    looks += [lambda: _topic(clients, place), lambda: _subscriptions(clients, place)]
    found = side_by_side(lambda look: look(), looks)
    return Seen(
        pieces=tuple(piece for part in found for piece in part.pieces),
        key_id=found[0].key_id,
        urls={name: url for part in found for name, url in part.urls.items()},
        subscriptions=found[-1].subscriptions,
    )


def _key(clients: Clients, place: Place) -> Seen:
    """The key behind the alias; without one, a key that a run made which was killed before it gave it the alias."""
    client = clients.get("kms", place.region)
    described = api.describe_key(client, place.alias)
    alias = described is not None
    if described is None:
        described = _unnamed_key(client, identity(place))
    if described is None:
        return Seen()
    name = described["KeyId"]
    settings = {
        "state": described["KeyState"],
        "alias": alias,
        "rotation": api.get_key_rotation_status(client, name),
        "policy": api.get_key_policy(client, name),
    }
    return Seen((Piece(routes.KEY, place.alias, settings),), key_id=name)


def _unnamed_key(client: Any, tags: Mapping[str, str]) -> dict[str, Any] | None:
    nameless = api.keys_without_alias(client)
    tagged = zip(nameless, side_by_side(lambda one: api.list_key_tags(client, one), nameless))
    found = (api.describe_key(client, one) for one, its in tagged if tags.items() <= its.items())
    return next((one for one in found if one and one["KeyState"] != PENDING_DELETION), None)


def _queue(clients: Clients, place: Place, name: str) -> Seen:
    client = clients.get("sqs", place.region)
    url = api.get_queue_url(client, name)
    attributes = url and api.get_queue_attributes(client, url)
    if not url or not attributes:
        return Seen()
    settings = {
        "VisibilityTimeout": int(attributes["VisibilityTimeout"]),
        "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
        "KmsMasterKeyId": attributes.get("KmsMasterKeyId"),
        "Policy": json.loads(attributes.get("Policy") or "null"),
        "RedrivePolicy": json.loads(attributes.get("RedrivePolicy") or "null"),
    }
    return Seen((Piece(routes.QUEUE, name, settings),), urls={name: url})


def _topic(clients: Clients, place: Place) -> Seen:
    attributes = api.get_topic_attributes(clients.get("sns", place.region), place.topic)
    if attributes is None:
        return Seen()
    settings = {
        "SignatureVersion": attributes.get("SignatureVersion", "1"),
        "KmsMasterKeyId": attributes.get("KmsMasterKeyId"),
        "Policy": json.loads(attributes.get("Policy") or "null"),
    }
    return Seen((Piece(routes.TOPIC, place.name(routes.EVENTS), settings),))


def _subscriptions(clients: Clients, place: Place) -> Seen:
    """Those of HTTPS endpoints; others are somebody else's."""
    listed = api.list_subscriptions(clients.get("sns", place.region), place.topic)
    found = {one["Endpoint"]: one["SubscriptionArn"] for one in listed if one["Protocol"] == "https"}
    return Seen(tuple(Piece(routes.SUBSCRIPTION, endpoint, {}) for endpoint in sorted(found)), subscriptions=found)


def _rules(clients: Clients, place: Place) -> Seen:
    client = clients.get("events", place.region)
    names = {piece.name for piece in routes.rules(place)}
    listed = [rule for rule in api.list_rules(client, place.name()) if rule["Name"] in names]
    targets = side_by_side(lambda rule: api.list_targets(client, rule["Name"]), listed)
    return Seen(
        tuple(
            Piece(
                routes.RULE,
                rule["Name"],
                {
                    "description": rule.get("Description"),
                    "state": rule["State"],
                    "pattern": json.loads(rule.get("EventPattern") or "null"),
                    "targets": {one["Id"]: {key: one[key] for key in one if key != "Id"} for one in its},
                },
            )
            for rule, its in zip(listed, targets)
        )
    )


def identity(place: Place) -> dict[str, str]:
    """The tags of all that is made."""
    return {**ours.of("events", place.environment), "Name": place.name(routes.EVENTS)}


def apply(
    clients: Clients, place: Place, seen: Seen, changes: Sequence[Change], made: list[Change]
) -> Mapping[str, str]:
    """Make the changes, step by step, and note in ``made`` those that are done; returns the URLs of new queues by name.

    Raises `AwsError` for the first that fails; what was made stays, and the next run goes on from there.
    """
    endpoints = [change.name for change in changes if change.kind == routes.SUBSCRIPTION]
    wanted = {(piece.kind, piece.name): piece.settings for piece in routes.wanted(place, endpoints)}
    act = Act(clients, place, seen)

    def make(change: Change) -> None:
        act.make(change, wanted.get((change.kind, change.name), {}))
        made.append(change)

    for stage in routes.stages(changes):
        side_by_side(make, stage)
    return act.urls


@dataclass(frozen=True)
class Act:
    """How each kind of thing is made, changed and deleted. ``urls`` are those of the queues that were made."""

    clients: Clients
    place: Place
    seen: Seen
    urls: dict[str, str] = field(default_factory=dict)

    def make(self, change: Change, wanted: Mapping[str, Any]) -> None:
        """``wanted``: all settings that it shall have, not only those that differ."""
        kinds = {
            routes.KEY: self._key,
            routes.QUEUE: self._queue,
            routes.TOPIC: self._topic,
            routes.SUBSCRIPTION: self._subscription,
            routes.RULE: self._rule,
        }
        kinds[change.kind](change, wanted)

    def _key(self, change: Change, wanted: Mapping[str, Any]) -> None:
        client, alias, key_id = self.clients.get("kms", self.place.region), self.place.alias, self.seen.key_id
        before, after = change.before or {}, change.after
        if after is None:
            if before["state"] != PENDING_DELETION:
                api.schedule_key_deletion(client, key_id)
            if before["alias"]:
                api.delete_alias(client, alias)
            return
        if key_id is None:
            key_id = api.create_key(client, self.place.name(routes.EVENTS), wanted["policy"], identity(self.place))
        elif "policy" in after:
            api.put_key_policy(client, key_id, wanted["policy"])
        if before.get("state") == PENDING_DELETION:
            api.cancel_key_deletion(client, key_id)
        if "state" in before:
            api.enable_key(client, key_id)
        if "rotation" in after:
            api.enable_key_rotation(client, key_id)
        if "alias" in after and not api.create_alias(client, alias, key_id):
            api.schedule_key_deletion(client, key_id)  # another run was quicker, and its key is the one

    def _queue(self, change: Change, wanted: Mapping[str, Any]) -> None:
        client = self.clients.get("sqs", self.place.region)
        if change.after is None:
            api.delete_queue(client, self.seen.urls[change.name])
        elif change.before is None:
            self.urls[change.name] = api.create_queue(client, change.name, texts(wanted), identity(self.place))
        else:
            api.set_queue_attributes(client, self.seen.urls[change.name], texts(change.after, empty=True))

    def _topic(self, change: Change, wanted: Mapping[str, Any]) -> None:
        client = self.clients.get("sns", self.place.region)
        if change.after is None:
            api.delete_topic(client, self.place.topic)
        elif change.before is None:
            api.create_topic(client, change.name, texts(wanted), identity(self.place))
        else:
            for name, value in texts(change.after).items():
                api.set_topic_attribute(client, self.place.topic, name, value)

    def _subscription(self, change: Change, _wanted: Mapping[str, Any]) -> None:
        client = self.clients.get("sns", self.place.region)
        if change.after is not None:
            dead = self.place.arn("sqs", self.place.name(routes.EVENTS) + routes.DEAD)
            api.subscribe(client, self.place.topic, change.name, dead)
        else:
            api.unsubscribe(client, self.seen.subscriptions[change.name])

    def _rule(self, change: Change, wanted: Mapping[str, Any]) -> None:
        client = self.clients.get("events", self.place.region)
        before, after = change.before or {}, change.after
        there, targets = before.get("targets", {}), wanted.get("targets", {})
        if after is None:
            api.remove_targets(client, change.name, list(there))
            api.delete_rule(client, change.name)
            return
        if any(name in after for name in RULE_FIELDS):
            api.put_rule(client, change.name, {name: wanted[name] for name in RULE_FIELDS}, identity(self.place))
        if "targets" in after:
            differing = {name: one for name, one in targets.items() if not routes.same(one, there.get(name))}
            api.remove_targets(client, change.name, sorted(set(there) - set(targets)))
            api.put_targets(client, change.name, differing)


def texts(settings: Mapping[str, Any], empty: bool = False) -> dict[str, str]:
    """Settings as the attributes that SQS and SNS take; with ``empty``, what shall not be is an empty text."""
    kept = {name: value for name, value in settings.items() if empty or value is not None}
    return {
        name: "" if value is None else json.dumps(value) if isinstance(value, Mapping) else str(value)
        for name, value in kept.items()
    }
