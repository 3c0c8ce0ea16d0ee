"""EventBridge: each event once, to SQS and to SNS, with the sandbox's time; those of AWS's own services too."""

from __future__ import annotations

import copy
import json
import re
import uuid
from datetime import datetime, timezone
from typing import Any

from moto.events.models import EventBus, Rule, events_backends
from moto.events.responses import EventsHandler
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from spot_sandbox import clock, market

ACCOUNT = "123456789012"


def stamp(moment: float | None = None) -> str:
    """``2026-01-31T23:59:59Z``: how events and causes write a time; default is now."""
    when = clock.now() if moment is None else datetime.fromtimestamp(moment, timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def emit(region: str, source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """An event that an AWS service makes, on the default bus of its region."""
    bus = events_backends[ACCOUNT][region].event_buses["default"]
    _deliver(bus, region, _event(region, source, detail_type, detail, resources))


def send(arn: str, message: str, group_id: str | None = None) -> None:
    """One message to a queue or a topic; one that was deleted gets none, as in AWS."""
    _arn, _partition, service, region, account, name = arn.split(":", 5)
    if service == "sqs" and name in sqs_backends[account][region].queues:
        sqs_backends[account][region].send_message(queue_name=name, message_body=message, group_id=group_id)
    if service == "sns" and arn in sns_backends[account][region].topics:
        sns_backends[account][region].publish(message, arn=arn)


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
            and rule.event_pattern.matches_event(event)
        ):
            for target in list(rule.targets):
                _send_to_target(rule, target, region, event)


def _send_to_target(rule: Rule, target: dict[str, Any], region: str, event: dict[str, Any]) -> None:
    service = target["Arn"].split(":")[2]
    if service in ("sqs", "sns"):
        send(target["Arn"], _message(rule, target, event), target.get("SqsParameters", {}).get("MessageGroupId"))
    elif service == "logs" or ":event-bus/" in target["Arn"]:
        alone = copy.copy(rule)
        alone.targets = [target]
        alone.send_to_targets({**event, "time": clock.time(), "ingestion-time": clock.time()})


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


class Events(EventsHandler):
    """PutEvents goes the same way; entries that moto finds wrong keep moto's answer."""

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


def control_event(values: dict[str, Any]) -> dict[str, Any]:
    """Let a service of AWS say something: ``{"region", "source", "detail-type", "detail", "resources"}``."""
    region, source, what = (values.get(key) for key in ("region", "source", "detail-type"))
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    if not isinstance(source, str) or not isinstance(what, str) or not isinstance(values.get("detail"), dict):
        raise ValueError("source, detail-type and detail are needed: two texts and an object")
    emit(region, source, what, values["detail"], values.get("resources", []))
    return {"emitted": what}


CONTROL = {"POST /sandbox/event": control_event}
RESPONSES = {"events": Events}
