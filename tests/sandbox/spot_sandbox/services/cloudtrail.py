"""CloudTrail: LookupEvents, from the calls that the sandbox saw; trails are moto's.

Every management call is there at once (on AWS after some minutes), with its parameters as they came, the ids in them and in
the answer as its resources, the error where it failed, and who made it: the user of IAM whose access key signed it, else
``sandbox``. What groups, fleets and other services do by themselves is not seen. Two calls of LookupEvents a second are
answered in a region, in real time, as on AWS.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import defaultdict, deque
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends

from spot_sandbox import ACCOUNT, clock

PAGE = 50
RATE = 2
KEPT = 20_000
READS = ("Describe", "Get", "BatchGet", "List", "Lookup", "Head", "Search", "Scan", "Query", "Receive", "Select")
DATA = frozenset(
    {
        ("sqs", "SendMessage"),
        ("sqs", "SendMessageBatch"),
        ("sqs", "DeleteMessage"),
        ("sqs", "DeleteMessageBatch"),
        ("sqs", "ChangeMessageVisibility"),
        ("sns", "Publish"),
        ("sns", "PublishBatch"),
        ("dynamodb", "PutItem"),
        ("dynamodb", "UpdateItem"),
        ("dynamodb", "DeleteItem"),
        ("dynamodb", "BatchWriteItem"),
        ("dynamodb", "TransactWriteItems"),
        ("monitoring", "PutMetricData"),
        ("logs", "PutLogEvents"),
        ("events", "PutEvents"),
        ("lambda", "Invoke"),
    }
)
"""Data events, which CloudTrail does not keep in its history. (Of S3 none is kept here.)"""
SECRET = re.compile(r"password|secret|userdata|token$", re.IGNORECASE)
NAMING = re.compile(r"(Id|Ids|Name|Names|Arn|ARN|ARNs|Arns|Url|Targets)(\.|$)|\.member\.\d+$|ResourceId")
ID = re.compile(r"\b(?:i|vol|snap|ami|lt|eipalloc|nat|fleet|sfr|sg|subnet|vpc|key|d)-[0-9A-Za-z-]{8,36}\b")
GLOBAL = ("iam", "sts", "route53", "cloudfront")
"""Services whose calls are in us-east-1."""

_events: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=KEPT))
_asked: dict[str, deque[float]] = defaultdict(deque)


class TrailError(ServiceException):
    __module__ = "moto.cloudtrail.exceptions"  # moto's serialiser finds the service by it


def reset() -> None:
    """Nothing was called."""
    _events.clear()
    _asked.clear()


def note(call: Any, environ: dict[str, Any], body: bytes, answer: Any) -> None:
    """Remember a call; ``answer`` is its response."""
    service, operation = call.signing_name, call.operation
    if not service or service == "s3" or " " in operation or (service, operation) in DATA:
        return
    reading = operation.startswith(READS)
    if reading:
        return  # they are looked up by nobody here, and are many
    given = _parameters(environ, body)
    told = answer.get_data() if answer is not None else b""
    failed = answer is not None and answer.status_code >= 300
    names = [str(value) for key, value in given.items() if isinstance(value, str) and NAMING.search(key)]
    names += ID.findall(body.decode("utf-8", "replace")) + (
        [] if failed else ID.findall(told.decode("utf-8", "replace"))
    )
    names = [name for name in dict.fromkeys(names) if 0 < len(name) < 300][:100]
    region = "us-east-1" if service in GLOBAL else call.region
    user, identity = _identity(environ)
    now = clock.now().replace(microsecond=0)
    detail: dict[str, Any] = {
        "eventVersion": "1.10",
        "userIdentity": identity,
        "eventTime": now.isoformat().replace("+00:00", "Z"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": operation,
        "awsRegion": region,
        "requestParameters": {
            key: "HIDDEN_DUE_TO_SECURITY_REASONS" if SECRET.search(key) else value for key, value in given.items()
        },
        "responseElements": None if failed else {"ids": ID.findall(told.decode("utf-8", "replace"))[:100]},
        "eventID": str(uuid.uuid4()),
        "readOnly": reading,
    }
    if failed:
        code = re.search(rb"<Code>([^<]+)</Code>|\"__type\": ?\"([^\"]+)\"", told)
        said = re.search(rb"<Message>([^<]+)</Message>|\"[mM]essage\": ?\"([^\"]+)\"", told)
        detail["errorCode"] = next((g.decode() for g in code.groups() if g), "Error") if code else "Error"
        detail["errorMessage"] = next((g.decode() for g in said.groups() if g), "") if said else ""
    _events[region].append(
        {
            "EventId": detail["eventID"],
            "EventName": operation,
            "ReadOnly": str(reading).lower(),
            "AccessKeyId": identity["accessKeyId"],
            "EventTime": now.timestamp(),
            "EventSource": detail["eventSource"],
            "Username": user,
            "Resources": [{"ResourceType": "AWS::Resource", "ResourceName": name} for name in names],
            "CloudTrailEvent": json.dumps(detail),
        }
    )


def _parameters(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    text = body.decode("utf-8", "replace")
    if (environ.get("CONTENT_TYPE") or "").startswith("application/x-www-form"):
        return {key: value for key, value in parse_qsl(text) if key not in ("Action", "Version")}
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _identity(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Who signed a request: the name, and the record of the identity."""
    key = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
    user = iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(key) if key else None
    name = user.name if user else "sandbox"
    return name, {
        "type": "IAMUser",
        "userName": name,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": key,
    }


class Trail(CloudTrailResponse):
    """The history of events."""

    def lookup_events(self) -> ActionResult:
        self._throttle()
        wanted = {one["AttributeKey"]: one["AttributeValue"] for one in self._get_param("LookupAttributes") or []}
        if len(wanted) > 1:
            raise TrailError("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
        size = int(self._get_param("MaxResults") or PAGE)
        if not 1 <= size <= PAGE:
            raise TrailError("InvalidMaxResultsException", "A value of MaxResults must be between 1 and 50.")
        start, end = _moment(self._get_param("StartTime")), _moment(self._get_param("EndTime"))
        found = [
            one
            for one in reversed(_events[self.region])
            if (start is None or one["EventTime"] >= start)
            and (end is None or one["EventTime"] <= end)
            and all(_has(one, key, value) for key, value in wanted.items())
        ]
        first = int(self._get_param("NextToken") or 0)
        more = {"NextToken": str(first + size)} if first + size < len(found) else {}
        return ActionResult({"Events": found[first : first + size], **more})

    def _throttle(self) -> None:
        asked, now = _asked[self.region], time.monotonic()
        while asked and asked[0] <= now - 1:
            asked.popleft()
        if len(asked) >= RATE:
            raise TrailError("ThrottlingException", "Rate exceeded")
        asked.append(now)


def _moment(value: Any) -> float | None:
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or timezone.utc).timestamp()
    try:
        return float(value)
    except ValueError:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()


def _has(event: dict[str, Any], key: str, value: str) -> bool:
    if key == "ResourceName":
        return any(one["ResourceName"] == value for one in event["Resources"])
    names = {"ReadOnly": "ReadOnly", "EventName": "EventName", "EventId": "EventId", "Username": "Username"}
    names |= {"EventSource": "EventSource", "AccessKeyId": "AccessKeyId"}
    if key not in names:
        raise TrailError("InvalidLookupAttributesException", f"{key} is not an attribute to look up by.")
    return event[names[key]] == value


RESPONSES = {"cloudtrail": Trail}
