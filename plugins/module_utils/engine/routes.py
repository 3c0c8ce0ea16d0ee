# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the events of a region reach the listener: the key, queues, topic and rules that there shall be, and what differs.

All of them are pieces: a kind, a name, and settings as JSON values. What AWS shows is made into pieces too, so that one
comparison does for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEY, QUEUE, TOPIC, SUBSCRIPTION, RULE = "key", "queue", "topic", "subscription", "rule"
EVENTS, AUDIT, DEAD = "events", "audit", "-dead"
"""The queues: what the rulebook ``spot`` reads, what ``audit`` reads, and the end of the names of their dead letters."""
MAX_RECEIVES = 5
VISIBILITY, RETENTION, DEAD_RETENTION = 60, 4 * 86400, 14 * 86400
"""Seconds that a message is hidden once it is received, and that messages and dead letters are kept."""
SPOT_AGE, AGE = 300, 3600
"""Seconds that EventBridge tries to deliver an event: a notice of two minutes is soon worth nothing."""
SPOT_ATTEMPTS, ATTEMPTS = 20, 100

SPOT_EVENTS = ("EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation")
FAILED_LAUNCHES = ("EC2 Instance Launch Unsuccessful",)
CAPACITY_CHANGES = (
    "EC2 Instance Launch Successful",
    "EC2 Instance Terminate Successful",
    "EC2 Instance Terminate Unsuccessful",
)
GOING = ("stopping", "stopped", "shutting-down", "terminated")
OTHER_SOURCES = ("aws.ec2", "aws.acm", "aws.codedeploy")
OTHER_EVENTS = (
    "EBS Volume Notification",
    "ACM Certificate Approaching Expiration",
    "ACM Certificate Expired",
    "CodeDeploy Deployment State-change Notification",
)


@dataclass(frozen=True)
class Place:
    """An environment in a region of an account; all names and ARNs follow from it."""

    environment: str
    region: str
    account: str
    partition: str = "aws"

    def name(self, what: str = "") -> str:
        """``spot-platform-production-events``."""
        return f"spot-platform-{self.environment}-{what}"

    def arn(self, service: str, name: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{name}"

    @property
    def alias(self) -> str:
        """The alias of the key that encrypts queues and topic."""
        return f"alias/{self.name(EVENTS)}"

    @property
    def topic(self) -> str:
        """The ARN of the topic."""
        return self.arn("sns", self.name(EVENTS))

    @property
    def rules(self) -> str:
        """What the ARNs of our rules are like."""
        return self.arn("events", f"rule/{self.name()}*")


@dataclass(frozen=True)
class Piece:
    """One thing in AWS. ``settings`` are JSON values; policies are objects, not texts."""

    kind: str
    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """``before`` is ``None`` for what is to be made, ``after`` for what is to go; else both have only what differs."""

    kind: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def action(self) -> str:
        return "created" if self.before is None else "deleted" if self.after is None else "updated"


def wanted(place: Place, endpoints: Sequence[str] = ()) -> tuple[Piece, ...]:
    """All that there shall be, each after what it needs. ``endpoints``: HTTPS addresses subscribed to the topic."""
    queues = [
        queue(place, name, dead_of=None if dead else name) for dead in (True, False) for name in queue_names(place, dead)
    ]
    topic = Piece(
        TOPIC,
        place.name(EVENTS),
        {"SignatureVersion": "2", "KmsMasterKeyId": place.alias, "Policy": topic_policy(place)},
    )
    subscriptions = [Piece(SUBSCRIPTION, endpoint, {}) for endpoint in endpoints]
    return (key(place), *queues, topic, *subscriptions, *rules(place))


def queue_names(place: Place, dead: bool) -> list[str]:
    """The two queues, or their dead-letter queues."""
    return [place.name(what) + (DEAD if dead else "") for what in (EVENTS, AUDIT)]


def key(place: Place) -> Piece:
    """The key of all messages: the account's own policies rule it, and EventBridge and SNS use it for us.

    EventBridge may without a condition: for topics that are encrypted SNS supports none on the source, and what is published
    would be lost without a word (SNS developer guide, "Managing Amazon SNS encryption keys"). The policies of queues and
    topic say for whom it may send.
    """
    root = f"arn:{place.partition}:iam::{place.account}:root"
    use = {"Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
            {"Sid": "Rules", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, **use},
            {
                "Sid": "Topic",
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                **use,
                "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
            },
        ],
    }
    return Piece(KEY, place.alias, {"state": "Enabled", "alias": True, "rotation": True, "policy": policy})


def queue(place: Place, name: str, dead_of: str | None) -> Piece:
    """A queue with the dead letters of ``dead_of``, its own name; a dead-letter queue has none."""
    arn = place.arn("sqs", name)
    settings = {
        "VisibilityTimeout": VISIBILITY,
        "MessageRetentionPeriod": RETENTION if dead_of else DEAD_RETENTION,
        "KmsMasterKeyId": place.alias,
        "Policy": policy_of(arn, "sqs:SendMessage", "sqs:*", place, subscriptions=name == place.name(EVENTS) + DEAD),
        "RedrivePolicy": {"deadLetterTargetArn": arn + DEAD, "maxReceiveCount": MAX_RECEIVES} if dead_of else None,
    }
    return Piece(QUEUE, name, settings)


def topic_policy(place: Place) -> dict[str, Any]:
    """Our rules may publish; that is all."""
    return policy_of(place.topic, "sns:Publish", "sns:Publish", place)


def policy_of(arn: str, action: str, denied: str, place: Place, subscriptions: bool = False) -> dict[str, Any]:
    """Who may send to ``arn``: our rules, and with ``subscriptions`` SNS what it could not deliver; nobody without TLS."""
    senders = [("Rules", "events.amazonaws.com", "ArnLike", place.rules)]
    if subscriptions:
        senders.append(("Subscriptions", "sns.amazonaws.com", "ArnEquals", place.topic))
    statements: list[dict[str, Any]] = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": action,
            "Resource": arn,
            "Condition": {test: {"aws:SourceArn": source}, "StringEquals": {"aws:SourceAccount": place.account}},
        }
        for sid, service, test, source in senders
    ]
    statements.append(
        {
            "Sid": "OnlyTLS",
            "Effect": "Deny",
            "Principal": "*",
            "Action": denied,
            "Resource": arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    return {"Version": "2012-10-17", "Statement": statements}


def rules(place: Place) -> list[Piece]:
    """What is heard, and where it goes: all to the audit, what somebody must act on to the events and the topic too."""
    patterns = [
        ("spot", "Spot Instances that are to go, or may be", True, _pattern(("aws.ec2",), SPOT_EVENTS)),
        ("capacity", "Launches that failed", True, _pattern(("aws.autoscaling",), FAILED_LAUNCHES)),
        ("capacity-changes", "What Auto Scaling did", False, _pattern(("aws.autoscaling",), CAPACITY_CHANGES)),
        (
            "instances",
            "Instances that stop or end",
            True,
            {**_pattern(("aws.ec2",), ("EC2 Instance State-change Notification",)), "detail": {"state": list(GOING)}},
        ),
        (
            "health",
            "What AWS Health says of EC2",
            True,
            {**_pattern(("aws.health",), ("AWS Health Event",)), "detail": {"service": ["EC2"]}},
        ),
        ("others", "Volumes, certificates and deployments", False, _pattern(OTHER_SOURCES, OTHER_EVENTS)),
    ]
    return [
        Piece(
            RULE,
            place.name(what),
            {
                "description": description,
                "state": "ENABLED",
                "pattern": pattern,
                "targets": targets(place, acted_on, urgent=what == "spot"),
            },
        )
        for what, description, acted_on, pattern in patterns
    ]


def _pattern(sources: Sequence[str], detail_types: Sequence[str]) -> dict[str, Any]:
    return {"source": list(sources), "detail-type": list(detail_types)}


def targets(place: Place, acted_on: bool, urgent: bool) -> dict[str, dict[str, Any]]:
    """The targets of a rule by id. What cannot be delivered in time is a dead letter of its queue."""
    retry = {
        "MaximumEventAgeInSeconds": SPOT_AGE if urgent else AGE,
        "MaximumRetryAttempts": SPOT_ATTEMPTS if urgent else ATTEMPTS,
    }
    events, audit = (place.arn("sqs", place.name(what)) for what in (EVENTS, AUDIT))
    found = {AUDIT: (audit, audit)}
    if acted_on:
        found |= {EVENTS: (events, events), TOPIC: (place.topic, events)}
    return {
        name: {"Arn": arn, "RetryPolicy": retry, "DeadLetterConfig": {"Arn": dead + DEAD}}
        for name, (arn, dead) in sorted(found.items())
    }


def decide(wanted_pieces: Iterable[Piece], observed: Iterable[Piece]) -> tuple[Change, ...]:
    """What is to be made and changed, in the order of ``wanted_pieces``; then the subscriptions that are to go.

    Nothing else that is observed and not wanted is touched.
    """
    there = {(piece.kind, piece.name): piece.settings for piece in observed}
    changes = []
    for piece in wanted_pieces:
        before = there.pop((piece.kind, piece.name), None)
        if before is None:
            changes.append(Change(piece.kind, piece.name, None, piece.settings))
            continue
        differing = [name for name, value in piece.settings.items() if not same(value, before.get(name))]
        if differing:
            pairs = ({name: side.get(name) for name in differing} for side in (before, piece.settings))
            changes.append(Change(piece.kind, piece.name, *pairs))
    changes += [Change(kind, name, settings, None) for (kind, name), settings in there.items() if kind == SUBSCRIPTION]
    return tuple(changes)


def decide_absent(wanted_pieces: Iterable[Piece], observed: Iterable[Piece]) -> tuple[Change, ...]:
    """What is there of ``wanted_pieces``, and all subscriptions, go: nothing before what still uses it."""
    ours = {(piece.kind, piece.name) for piece in wanted_pieces}
    order = (RULE, SUBSCRIPTION, TOPIC, QUEUE, KEY)
    there = [piece for piece in observed if (piece.kind, piece.name) in ours or piece.kind == SUBSCRIPTION]
    there.sort(key=lambda piece: (order.index(piece.kind), piece.name))
    return tuple(Change(piece.kind, piece.name, piece.settings, None) for piece in there)


def stages(changes: Iterable[Change]) -> list[list[Change]]:
    """The changes in steps: those of a step do not need each other, and may be made side by side."""
    found: dict[tuple[bool, str, bool], list[Change]] = {}
    for change in changes:
        dead = change.kind == QUEUE and change.name.endswith(DEAD)
        found.setdefault((change.action == "deleted", change.kind, dead), []).append(change)
    return list(found.values())


def same(one: Any, other: Any) -> bool:
    """Whether two settings mean the same to AWS, which may turn lists of one into values and numbers into texts."""
    return _plain(one) == _plain(other)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = sorted((_plain(item) for item in value), key=repr)
        return items[0] if len(items) == 1 else items
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
