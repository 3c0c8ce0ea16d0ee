# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One shape for every event, whatever brought it: the activity event's vocabulary, with ``ids``, ``received_at`` and ``source``.

A rule, and a playbook that it starts, never parse a vendor's payload. What is not known here becomes an event too, whose kind
says where it came from.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

Envelope = dict[str, Any]

LONGEST, LONGEST_NAME = 300, 2048
"""Characters of a summary, and of what names a thing; no ARN is longer."""
DEEPEST = 32
"""Levels of a message that are read. AWS's own have fewer than ten."""
MOST_WRAPS = 3
"""Notifications within each other; there is one where a topic feeds a queue."""
NOTICE, REBALANCE = "spot.interruption", "spot.rebalance"

INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
FILESYSTEM = re.compile(INSTANCE.pattern + r":/[A-Za-z0-9_./@+-]{0,250}")
KIND = re.compile(r"[a-z0-9_]{1,40}(\.[a-z0-9_]{1,60}){1,3}")
APP, REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"), re.compile(r"[a-z]{2,5}(-[a-z]{1,20}){1,4}-[0-9]{1,2}")


def envelopes(message: Any, source: str, received_at: str, environment: str = "", otherwise: str = "") -> list[Envelope]:
    """What a message tells, each thing an envelope. ``message``: a JSON value, or text.

    ``source``: who brought it. ``environment``: what the names of our groups and applications begin with, so that their app
    is known. ``otherwise``: the id of an event that has none. It never raises: what cannot be read is an event of kind
    ``message.unknown``.
    """
    found = []
    for number, one in enumerate(_told(message, environment)):
        filled = {**EMPTY, **one, "received_at": received_at, "source": source}
        filled["time"] = _moment(filled["time"]) or received_at
        filled["summary"] = _line(filled["summary"])
        filled["app"] = _matching(APP, filled["app"])
        filled["region"] = _matching(REGION, filled["region"])
        for key in ("resource", "actor", "run"):
            filled[key] = _line(filled[key], LONGEST_NAME) if filled[key] is not None else None
        filled["id"] = _line(filled["id"] or (f"{otherwise}/{number}" if otherwise else _digest(one)), LONGEST_NAME)
        found.append(_inert(filled))
    return found


EMPTY: Envelope = {
    "id": None,
    "time": None,
    "app": None,
    "region": None,
    "kind": "message.unknown",
    "resource": "",
    "summary": "",
    "reasons": [],
    "before": None,
    "after": None,
    "changed": False,
    "actor": None,
    "run": None,
    "ids": [],
}


def now_text() -> str:
    """The time, RFC 3339 in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(message: Any, environment: str, wraps: int = 0) -> Iterator[Envelope]:
    message = _plain(_json(message) if isinstance(message, str) else message)
    if not isinstance(message, dict):
        yield {"kind": "message.text", "summary": _text(message), "after": message}
    elif isinstance(message.get("detail-type"), str) and isinstance(message.get("source"), str):
        yield _of_event_bridge(message, environment)
    elif message.get("Type") == "Notification" and isinstance(message.get("Message"), str) and wraps < MOST_WRAPS:
        yield from _of_sns(message, environment, wraps)
    elif isinstance(message.get("alerts"), list):
        yield from (_of_alert(one) for one in message["alerts"] if isinstance(one, dict))
    elif isinstance(message.get("AlarmName"), str) and "NewStateValue" in message:
        yield _of_alarm(message)
    elif isinstance(message.get("events"), list):
        for one in message["events"]:
            yield _of_activity(one) if isinstance(one, dict) else {"kind": "message.text", "summary": _text(one), "after": one}
    elif isinstance(message.get("kind"), str):
        yield _of_activity(message)
    else:
        yield {"kind": "message.unknown", "summary": "a message of a shape that is not known", "after": message}


def _of_sns(message: Mapping[str, Any], environment: str, wraps: int) -> Iterator[Envelope]:
    """What a topic carried. An event within keeps its own id: through topic and queue it may come twice."""
    for number, one in enumerate(_told(message["Message"], environment, wraps + 1)):
        subject = message.get("Subject")
        own = {
            "id": f"{message.get('MessageId')}/{number}" if message.get("MessageId") else None,
            "time": message.get("Timestamp"),
            "actor": _string(message.get("TopicArn")),
            "region": _region(message.get("TopicArn")),
        }
        if one["kind"].startswith("message.") and isinstance(subject, str):
            one = {**one, "summary": subject}
        yield {**own, **{key: value for key, value in one.items() if value not in (None, "")}}


def _of_event_bridge(event: Mapping[str, Any], environment: str) -> Envelope:
    source, what = event["source"], event["detail-type"]
    detail = event["detail"] if isinstance(event.get("detail"), dict) else {}
    read = KNOWN.get((source, what))
    told = read(detail, event) if read else _of_any(source, what, detail)
    group = detail.get("AutoScalingGroupName") or detail.get("application")
    return {
        "id": _string(event.get("id")),
        "time": event.get("time"),
        "region": _string(event.get("region")),
        "actor": source,
        "app": _app(group, environment),
        "after": detail or None,
        "resource": next(iter(_ids(told.get("ids", []))), _string(next(iter(_list(event.get("resources"))), "")) or ""),
        **told,
    }


def _of_any(source: str, what: str, detail: Mapping[str, Any]) -> Envelope:
    """An event that we have no words for. A lifecycle is its own kind."""
    area = _slug(source.removeprefix("aws."))[:40]
    return {"kind": f"{area}.{_slug(what)}", "summary": what, "ids": _ids([detail.get("instance-id"), detail.get("EC2InstanceId")])}


def _interruption(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
    name, action = _string(detail.get("instance-id")), _string(detail.get("instance-action")) or "terminate"
    return {
        "kind": NOTICE,
        "ids": _ids([name]),
        "summary": f"EC2 takes {name} away in two minutes ({action})",
        "after": {"action": action},
    }


def _rebalance(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
    name = _string(detail.get("instance-id"))
    return {"kind": REBALANCE, "ids": _ids([name]), "summary": f"EC2 expects that it may take {name} away", "after": None}


def _state(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
    name, state = _string(detail.get("instance-id")), _string(detail.get("state"))
    return {"kind": "instance.state", "ids": _ids([name]), "summary": f"{name} is {state}", "after": {"state": state}}


def _scaling(kind: str, words: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Envelope]:
    def read(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
        name, group = _string(detail.get("EC2InstanceId")), _string(detail.get("AutoScalingGroupName"))
        reasons = [_line(text) for text in (detail.get("Cause"), detail.get("StatusMessage")) if isinstance(text, str) and text]
        after = {
            key: _string(detail.get(field))
            for key, field in (
                ("group", "AutoScalingGroupName"),
                ("status", "StatusCode"),
                ("zone", "Availability Zone"),
                ("lifecycle_hook", "LifecycleHookName"),
                ("token", "LifecycleActionToken"),
            )
            if detail.get(field)
        }
        if isinstance(detail.get("Details"), dict) and "Availability Zone" in detail["Details"]:
            after["zone"] = _string(detail["Details"]["Availability Zone"])
        return {"kind": kind, "ids": _ids([name]), "summary": f"{group}: {words} {name or ''}".strip(), "reasons": reasons, "after": after}

    return read


def _volume(detail: Mapping[str, Any], event: Mapping[str, Any]) -> Envelope:
    what, result = _string(detail.get("event")) or "changed", _string(detail.get("result")) or ""
    volume = str(next(iter(_list(event.get("resources"))), "")).rpartition("/")[2]
    reasons = [_line(detail["cause"])] if isinstance(detail.get("cause"), str) and detail["cause"] else []
    return {"kind": f"volume.{_slug(what)}", "summary": f"{volume}: {what} {result}".strip(), "resource": volume, "reasons": reasons}


def _certificate(kind: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Envelope]:
    def read(detail: Mapping[str, Any], event: Mapping[str, Any]) -> Envelope:
        days, name = detail.get("DaysToExpiry"), _string(detail.get("CommonName")) or "a certificate"
        when = f" in {days} days" if isinstance(days, (int, float)) else ""
        words = f"the certificate of {name} expires{when}" if kind == "certificate.expiring" else f"the certificate of {name} has expired"
        return {"kind": kind, "summary": words, "resource": str(next(iter(_list(event.get("resources"))), ""))}

    return read


def _deployment(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
    state = _string(detail.get("state")) or "changed"
    name, app = _string(detail.get("deploymentId")), _string(detail.get("application"))
    return {"kind": f"deployment.{_slug(state)}", "summary": f"deployment {name} of {app}: {state}", "resource": name or ""}


def _health(detail: Mapping[str, Any], _event: Mapping[str, Any]) -> Envelope:
    category = _string(detail.get("eventTypeCategory")) or "event"
    entities = [one.get("entityValue") for one in _list(detail.get("affectedEntities")) if isinstance(one, dict)]
    texts = [one.get("latestDescription") for one in _list(detail.get("eventDescription")) if isinstance(one, dict)]
    return {
        "kind": f"health.{_slug(category)}",
        "summary": f"{_string(detail.get('service')) or 'AWS'}: {_string(detail.get('eventTypeCode')) or category}",
        "ids": _ids(entities),
        "reasons": [_line(text) for text in texts if isinstance(text, str)],
        "resource": _string(next(iter(entities), "")) or "",
    }


def _alarm_event(detail: Mapping[str, Any], event: Mapping[str, Any]) -> Envelope:
    state = _dict(detail.get("state"))
    told = _of_alarm({"AlarmName": detail.get("alarmName"), "NewStateValue": state.get("value"), "NewStateReason": state.get("reason")})
    metrics = [_dict(_dict(one).get("metricStat")).get("metric") for one in _list(_dict(detail.get("configuration")).get("metrics"))]
    values = [value for one in metrics for value in _dict(_dict(one).get("dimensions")).values()]
    return {**told, "time": state.get("timestamp") or event.get("time"), "ids": _ids(values)}


KNOWN: dict[tuple[str, str], Callable[[Mapping[str, Any], Mapping[str, Any]], Envelope]] = {
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _interruption,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _rebalance,
    ("aws.ec2", "EC2 Instance State-change Notification"): _state,
    ("aws.ec2", "EBS Volume Notification"): _volume,
    ("aws.autoscaling", "EC2 Instance Launch Successful"): _scaling("capacity.launched", "launched"),
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful"): _scaling("capacity.launch_failed", "could not launch"),
    ("aws.autoscaling", "EC2 Instance Terminate Successful"): _scaling("capacity.terminated", "ended"),
    ("aws.autoscaling", "EC2 Instance Terminate Unsuccessful"): _scaling("capacity.terminate_failed", "could not end"),
    ("aws.autoscaling", "EC2 Instance-launch Lifecycle Action"): _scaling("capacity.launching", "launches"),
    ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"): _scaling("capacity.terminating", "ends"),
    ("aws.acm", "ACM Certificate Approaching Expiration"): _certificate("certificate.expiring"),
    ("aws.acm", "ACM Certificate Expired"): _certificate("certificate.expired"),
    ("aws.codedeploy", "CodeDeploy Deployment State-change Notification"): _deployment,
    ("aws.health", "AWS Health Event"): _health,
    ("aws.cloudwatch", "CloudWatch Alarm State Change"): _alarm_event,
}
"""How the events of AWS's services are read, by source and detail type."""


def _of_alarm(alarm: Mapping[str, Any]) -> Envelope:
    state = {"ALARM": "firing", "OK": "resolved"}.get(str(alarm.get("NewStateValue")), "unknown")
    name, reason = _string(alarm.get("AlarmName")), alarm.get("NewStateReason")
    values = [one.get("value") for one in _list(_dict(alarm.get("Trigger")).get("Dimensions")) if isinstance(one, dict)]
    return {
        "kind": f"alarm.{state}",
        "resource": name or "",
        "summary": f"{name}: {state}",
        "reasons": [_line(reason)] if isinstance(reason, str) and reason else [],
        "time": alarm.get("StateChangeTime"),
        "ids": _ids(values),
    }


def _of_alert(alert: Mapping[str, Any]) -> Envelope:
    """One alert of Alertmanager. It is the same while its labels, its begin and whether it fires are: repeats are doubles.

    Its label ``event_kind`` says what it means for us while it fires, such as ``instance.unhealthy``. Of a file system, which has
    the label ``mountpoint``, the resource is ``<instance>:<mount point>``.
    """
    labels, annotations = ({str(k): v for k, v in _dict(alert.get(key)).items()} for key in ("labels", "annotations"))
    state = "resolved" if alert.get("status") == "resolved" else "firing"
    name = _string(labels.get("alertname")) or "alert"
    meant = _string(labels.get("event_kind")) or ""
    kind = meant if state == "firing" and KIND.fullmatch(meant) else f"alert.{state}"
    since = alert.get("endsAt") if state == "resolved" else alert.get("startsAt")
    identity = alert.get("fingerprint") or _digest(labels)
    words = annotations.get("summary") or annotations.get("description")
    resource, mount = _string(labels.get("instance_id") or labels.get("instance")) or name, _string(labels.get("mountpoint"))
    return {
        "id": f"{_text(identity)}/{_text(alert.get('startsAt'))}/{state}",
        "time": since,
        "kind": kind,
        "app": _string(labels.get("app")),
        "region": _string(labels.get("region")),
        "resource": f"{resource}:{mount}" if mount else resource,
        "summary": f"{name}: {_text(words)}" if words else f"{name} is {state}",
        "reasons": [_line(annotations["description"])] if isinstance(annotations.get("description"), str) else [],
        "after": {"alert": name, "labels": labels, "annotations": annotations},
        "ids": _ids([labels.get("instance_id"), labels.get("instance")]),
        "actor": "alertmanager",
    }


def _of_activity(event: Mapping[str, Any]) -> Envelope:
    """An activity event of ours, or of whoever speaks our words; fields of other types than ours are left out."""
    kind = _string(event.get("kind")) or ""
    if not KIND.fullmatch(kind):
        return {"kind": "message.unknown", "summary": "a message whose kind is not <area>.<what>", "after": dict(event)}
    texts = ("id", "time", "app", "region", "resource", "summary", "actor", "run")
    found: Envelope = {key: event[key] for key in texts if isinstance(event.get(key), str)}
    found |= {"kind": kind, "reasons": [_line(one) for one in _list(event.get("reasons")) if isinstance(one, str)]}
    found |= {key: event.get(key) for key in ("before", "after")}
    named = [one for one in _list(event.get("ids")) if isinstance(one, str)]
    return {**found, "changed": event.get("changed") is True, "ids": _ids([*named, event.get("resource")])}


def _app(name: Any, environment: str) -> str | None:
    """The app of a group or application that is called ``<environment>-<app>``."""
    prefix = f"{environment}-"
    return name[len(prefix) :] if environment and isinstance(name, str) and name.startswith(prefix) else None


def _ids(values: Any) -> list[str]:
    """Those that are ids of instances, each once."""
    return list(dict.fromkeys(one for one in values if isinstance(one, str) and INSTANCE.fullmatch(one)))


def _region(arn: Any) -> str | None:
    parts = arn.split(":") if isinstance(arn, str) else []
    return parts[3] if len(parts) > 5 else None


def _moment(value: Any) -> str | None:
    """A time as RFC 3339 in UTC, to the millisecond; ``None`` where it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()).replace("Z", "+00:00"))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    try:
        return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _slug(text: str) -> str:
    """A text as a part of a kind."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:LONGEST])
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:60] or "event"


def _line(text: Any, longest: int = LONGEST) -> str:
    """One line without control characters, not too long; what is cut off leaves a trace, so that two stay two."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text if isinstance(text, str) else str(text)).strip()
    if len(plain) <= longest:
        return plain
    return f"{plain[: longest - 1]}…" if longest == LONGEST else f"{plain[: longest - 34]}… {_digest(plain)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """The value as all who get it can write it: what is nested without end is cut, and no number is infinite or longer than 64
    bits, no text half a character."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, (list, tuple, dict)) and depth >= DEEPEST:
        return "…"
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else str(value)
    return value if value is None or isinstance(value, bool) else str(value)


def _inert(value: Any) -> Any:
    """The value without the marks of a template: what a playbook is given as a variable, Ansible would carry out."""
    if isinstance(value, str):
        return re.sub(r"\{(?=[{%#])", "{ ", value) if "{" in value else value
    if isinstance(value, list):
        return [_inert(one) for one in value]
    if isinstance(value, dict):
        return {_inert(key): _inert(one) for key, one in value.items()}
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _matching(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
