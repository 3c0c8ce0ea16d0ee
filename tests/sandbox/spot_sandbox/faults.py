"""Faults on request: rules say which calls fail, how, and how often.

A rule is ``{"service", "operation", "region", "rate", "kind", "seconds", "count"}``; only ``kind`` is needed. Names are
boto3's (``elbv2``) and the API's (``CreateLoadBalancer``), ``*`` and ``?`` match as in a shell. The first rule that
strikes counts.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("throttle", "error", "timeout", "lost", "latency", "denied", "expired")
"""``timeout``: nothing is done, the connection closes; ``lost``: the call is carried out, then it closes."""

USER = "arn:aws:iam::123456789012:user/sandbox"


@dataclass
class Rule:
    """One rule. ``seconds``: real time of a latency or a hanging connection; ``count``: how often it still strikes."""

    kind: str
    service: str = "*"
    operation: str = "*"
    region: str = "*"
    rate: float = 1.0
    seconds: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is not known: use one of {', '.join(KINDS)}")
        if not isinstance(self.rate, (int, float)) or not 0 <= self.rate <= 1:
            raise ValueError(f"rate {self.rate!r} is out of range: use 0 to 1")
        if self.seconds is not None and not 0 <= self.seconds <= 3600:
            raise ValueError(f"seconds {self.seconds!r} is out of range: use 0 to 3600")
        if self.count is not None and (not isinstance(self.count, int) or self.count < 0):
            raise ValueError(f"count {self.count!r} must be a whole number of at least 0")
        if self.seconds is None:
            self.seconds = {"timeout": 5.0, "lost": 0.0, "latency": 0.05}.get(self.kind)


@dataclass(frozen=True)
class Fault:
    """An error that AWS would answer with."""

    code: str
    message: str
    status: int


_rules: list[Rule] = []
_random = random.Random(1)


def reset(seed: int = 1) -> None:
    """No rules; the dice begin anew."""
    _rules.clear()
    _random.seed(seed)


def replace(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put these rules in the place of all others."""
    known = {field.name for field in fields(Rule)}
    made = []
    for rule in rules:
        if unknown := sorted(set(rule) - known):
            raise ValueError(f"unknown key {unknown[0]!r} in a fault rule: use {', '.join(sorted(known))}")
        made.append(Rule(**{"kind": "", **rule}))
    _rules[:] = made
    return current()


def current() -> list[dict[str, Any]]:
    """The rules in force, with what is left of their counts."""
    return [asdict(rule) for rule in _rules]


def strike(service: str, operation: str, region: str, named: bool = False) -> Rule | None:
    """The rule that hits this call, if any; its count goes down. ``named``: only rules that name the operation."""
    for rule in _rules:
        if named and rule.operation != operation:
            continue
        if rule.count == 0 or not (
            fnmatchcase(service, rule.service)
            and fnmatchcase(operation, rule.operation)
            and fnmatchcase(region, rule.region)
        ):
            continue
        if _random.random() < rule.rate:
            if rule.count:
                rule.count -= 1
            return rule
    return None


def wait(rule: Rule) -> None:
    """Sit out a latency, or the time before a connection closes."""
    time.sleep(rule.seconds or 0)


def fault(kind: str, service: str, action: str, protocol: str) -> Fault:
    """What AWS answers: each protocol has names of its own. ``action`` is IAM's, such as ``ec2:RunInstances``."""
    json = protocol in ("json", "cbor")
    if kind == "throttle":
        if protocol == "ec2":
            return Fault("RequestLimitExceeded", "Request limit exceeded.", 503)
        return Fault("ThrottlingException" if json else "Throttling", "Rate exceeded", 400)
    if kind == "error":
        if protocol == "ec2":
            return Fault("InternalError", "An internal error has occurred", 500)
        return Fault(
            "InternalServerError" if json else "ServiceUnavailable", "Service is unavailable, try again later", 503
        )
    if kind == "denied":
        why = f"no identity-based policy allows the {action} action"
        why = f"User: {USER} is not authorized to perform: {action} because {why}"
        if protocol == "ec2":
            return Fault("UnauthorizedOperation", f"You are not authorized to perform this operation. {why}", 403)
        return Fault("AccessDeniedException", why, 400) if json else Fault("AccessDenied", why, 403)
    if protocol == "ec2":
        return Fault("RequestExpired", "Request has expired.", 400)
    message = "The security token included in the request is expired"
    return Fault("ExpiredTokenException", message, 400) if json else Fault("ExpiredToken", message, 403)
