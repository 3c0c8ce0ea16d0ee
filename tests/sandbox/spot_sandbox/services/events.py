"""EventBridge: each event once, to SQS and to SNS, with the sandbox's time; those of AWS's own services too.

A target that refuses gets nothing: what cannot be mended goes to the dead-letter queue at once, the rest is tried again,
by the sandbox's clock, until the target's retry policy is used up.
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from moto.events.exceptions import InvalidEventPatternException, ValidationException
from moto.events.models import EventBus, Rule, events_backends
from moto.events.responses import EventsHandler
from spot_sandbox import ACCOUNT, clock, faults, market, patterns
from spot_sandbox.services import sns, sqs

PRINCIPAL = "events.amazonaws.com"
LASTING = ("NO_PERMISSIONS", "NO_RESOURCE")
"""Errors that no further attempt mends."""
MESSAGES = {
    "NO_PERMISSIONS": "Lack of permissions to invoke cross account target.",
    "NO_RESOURCE": "Target resource does not exist.",
    "THROTTLING": "Rate exceeded",
    "TIMEOUT": "Invocation of the target timed out.",
    "ERROR_FROM_TARGET": "The target answered with an error.",
}
STRUCK = {"throttle": "THROTTLING", "denied": "NO_PERMISSIONS", "expired": "NO_PERMISSIONS", "timeout": "TIMEOUT"}
"""The error by the kind of a fault; any other is the target's."""
ATTEMPTS, AGE = 185, 86400
"""How often an event is tried again, and for how many seconds, where the target's retry policy does not say."""


def stamp(moment: float | None = None) -> str:
    """``2026-01-31T23:59:59Z``: how events and causes write a time; default is now."""
    when = clock.now() if moment is None else datetime.fromtimestamp(moment, timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def emit(region: str, source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> str:
    """An event that an AWS service makes, on the default bus of its region; returns its id."""
    bus = events_backends[ACCOUNT][region].event_buses["default"]
    event = _event(region, source, detail_type, detail, resources)
    _deliver(bus, region, event)
    return str(event["id"])


def send(arn: str, message: str) -> None:
    """One message to a queue or a topic by a role that may; one that was deleted gets none, as in AWS."""
    service = arn.split(":")[2]
    if service == "sqs":
        sqs.put(arn, message, "autoscaling.amazonaws.com", arn, role=True)
    elif service == "sns":
        sns.publish(arn, message, "autoscaling.amazonaws.com", arn, role=True)


def _event(
    region: str, source: str, detail_type: str, detail: dict[str, Any], resources: list[str], moment: str | None = None
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": moment or stamp(),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def _deliver(bus: EventBus, region: str, event: dict[str, Any]) -> None:
    for rule in list(bus.rules.values()):
        if (
            rule.state.startswith("ENABLED")
            and not rule.scheduled_expression
            and patterns.matches(rule.event_pattern.get_pattern(), event)
        ):
            for target in list(rule.targets):
                _send_to_target(rule, target, region, event)


def _send_to_target(rule: Rule, target: dict[str, Any], region: str, event: dict[str, Any]) -> None:
    service = target["Arn"].split(":")[2]
    if service in ("sqs", "sns"):
        _attempt(Delivery(region, rule.arn, target, event, _message(rule, target, event), clock.time()))
    elif service == "logs" or ":event-bus/" in target["Arn"]:
        alone = copy.copy(rule)
        alone.targets = [target]
        alone.send_to_targets({**event, "time": clock.time(), "ingestion-time": clock.time()})


@dataclass
class Delivery:
    """An event on its way to a target; ``retries``: how often it was tried again."""

    region: str
    rule: str
    target: dict[str, Any]
    event: dict[str, Any]
    message: str
    began: float
    retries: int = 0


def _attempt(delivery: Delivery) -> None:
    """Deliver, try again later, or give up."""
    rule = faults.strike("events", "Deliver", delivery.region, named=True)
    if rule and rule.kind == "latency":
        clock.call_later(rule.seconds or 0.0, _attempt, delivery)
        return
    error = STRUCK.get(rule.kind, "ERROR_FROM_TARGET") if rule else _put(delivery)
    if rule and rule.kind == "lost":  # it arrived, and nobody heard of it: it will arrive twice
        _put(delivery)
    if error is None:
        return
    policy = delivery.target.get("RetryPolicy") or {}
    pause = min(300.0, 2.0**delivery.retries)
    if error in LASTING:
        _give_up(delivery, error)
    elif delivery.retries >= int(policy.get("MaximumRetryAttempts", ATTEMPTS)):
        _give_up(delivery, error, "MaximumRetryAttempts")
    elif clock.time() + pause - delivery.began > int(policy.get("MaximumEventAgeInSeconds", AGE)):
        _give_up(delivery, error, "MaximumEventAgeInSeconds")
    else:
        delivery.retries += 1
        clock.call_later(pause, _attempt, delivery)


def _put(delivery: Delivery) -> str | None:
    """Hand it over; the code of the error, or ``None``."""
    target, arn = delivery.target, delivery.target["Arn"]
    role = bool(target.get("RoleArn"))
    if arn.split(":")[2] == "sns":
        return sns.publish(arn, delivery.message, PRINCIPAL, delivery.rule, role=role)
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    once = delivery.event["id"] if group else None
    return sqs.put(arn, delivery.message, PRINCIPAL, delivery.rule, None, group, once, role=role)


def _give_up(delivery: Delivery, error: str, exhausted: str | None = None) -> None:
    arn = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    if not arn:
        return
    attributes = {
        "RULE_ARN": delivery.rule,
        "TARGET_ARN": delivery.target["Arn"],
        "ERROR_CODE": error,
        "ERROR_MESSAGE": MESSAGES[error],
        "RETRY_ATTEMPTS": str(delivery.retries),
    }
    if exhausted:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
    sqs.dead_letter(arn, json.dumps(delivery.event), PRINCIPAL, delivery.rule, attributes)


def _message(rule: Rule, target: dict[str, Any], event: dict[str, Any]) -> str:
    """What the target gets: the event, a part of it, a constant, or what its template makes of it."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    if "InputTransformer" not in target:
        return json.dumps(event)
    values = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
    }
    for name, path in target["InputTransformer"].get("InputPathsMap", {}).items():
        values[name] = _at(event, path)

    def fill(found: re.Match[str]) -> str:
        if found.group(1):  # a placeholder by itself is a JSON value, one within quotes is text
            return json.dumps(values.get(found.group(1)))
        return re.sub(r"<([^<>]+)>", lambda m: json.dumps(_text(values.get(m.group(1))))[1:-1], found.group(0))

    return re.sub(r'<([^<>]+)>|"(?:[^"\\]|\\.)*"', fill, target["InputTransformer"]["InputTemplate"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _at(event: dict[str, Any], path: str) -> Any:
    """The value at a path as ``$.detail.state``; ``None`` where there is none."""
    found: Any = event
    for key in filter(None, path.removeprefix("$").split(".")):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _read_pattern(text: str) -> dict[str, Any]:
    """A pattern as PutRule takes it."""
    try:
        pattern = json.loads(text)
        patterns.check(pattern)
    except json.JSONDecodeError:
        raise InvalidEventPatternException("Invalid JSON") from None
    except ValueError as wrong:
        raise InvalidEventPatternException(str(wrong)) from None
    return dict(pattern)


class Events(EventsHandler):
    """Events go our way, by our patterns; entries that moto finds wrong keep moto's answer."""

    def put_rule(self) -> Any:
        if self._get_param("EventPattern"):
            _read_pattern(self._get_param("EventPattern"))
        return super().put_rule()

    def test_event_pattern(self) -> str:
        pattern = _read_pattern(self._get_param("EventPattern"))
        try:
            event = json.loads(self._get_param("Event"))
        except ValueError:
            raise ValidationException("Parameter Event is not valid.") from None
        return json.dumps({"Result": patterns.matches(pattern, event)})

    def put_events(self) -> str:
        entries, answers = self._get_param("Entries"), []
        for entry in entries:
            try:
                detail = json.loads(entry.get("Detail") or "null")
            except ValueError:
                detail = None
            if (
                len(entries) > 10
                or not isinstance(detail, dict)
                or not entry.get("Source")
                or not entry.get("DetailType")
            ):
                answers += self.events_backend.put_events([entry] if len(entries) <= 10 else entries)
                continue
            bus = self.events_backend.describe_event_bus(
                self.events_backend._normalize_event_bus_arn(entry.get("EventBusName"))
            )
            moment = stamp(float(entry["Time"])) if entry.get("Time") else None
            event = _event(
                self.region, entry["Source"], entry["DetailType"], detail, entry.get("Resources", []), moment
            )
            _deliver(bus, self.region, event)
            answers.append({"EventId": event["id"]})
        return json.dumps({"FailedEntryCount": sum("ErrorCode" in a for a in answers), "Entries": answers})


def control_event(body: dict[str, Any]) -> dict[str, Any]:
    """Emit an event as AWS's own service would."""
    known = ("region", "source", "detail-type", "detail", "resources")
    if unknown := sorted(set(body) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(known)}")
    region, source, kind = body.get("region", "us-east-1"), body.get("source"), body.get("detail-type")
    detail, resources = body.get("detail", {}), body.get("resources", [])
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    for name, value in (("source", source), ("detail-type", kind)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} {value!r} must be a text, such as aws.ec2 or EBS Volume Notification")
    if not isinstance(detail, dict):
        raise ValueError(f"detail {detail!r} must be an object")
    if not isinstance(resources, list) or not all(isinstance(one, str) for one in resources):
        raise ValueError(f"resources {resources!r} must be a list of ARNs")
    return {"id": emit(region, str(source), str(kind), detail, resources)}


RESPONSES = {"events": Events}
CONTROL = {"POST /sandbox/event": control_event}
