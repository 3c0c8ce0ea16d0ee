"""Resource policies: whether a service of AWS may do an action on a queue or a topic.

Statements with Effect, Principal, Action, Resource and Condition, and their negations; the policies of identities are
not looked at.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any


def allows(
    policy: dict[str, Any] | None, service: str, action: str, resource: str, source_arn: str, account: str
) -> bool:
    """Whether a policy lets a service, such as ``events.amazonaws.com``, do an action, such as ``sqs:SendMessage``.

    ``source_arn`` is the rule or the topic on whose behalf it does it, ``account`` whose that is.
    """
    context = {
        "aws:sourcearn": source_arn,
        "aws:sourceaccount": account,
        "aws:securetransport": "true",
        "aws:principalisawsservice": "true",
        "aws:principalservicename": service,
    }
    allowed = False
    for statement in _listed((policy or {}).get("Statement")):
        if (
            _principal(statement, service)
            and _named(statement, "Action", action, fold=True)
            and _named(statement, "Resource", resource)
            and _conditions(statement.get("Condition") or {}, context)
        ):
            if statement.get("Effect") == "Deny":
                return False
            allowed = allowed or statement.get("Effect") == "Allow"
    return allowed


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


@lru_cache(maxsize=1000)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"([*?])", pattern)
    return re.compile("".join({"*": ".*", "?": "."}.get(p, re.escape(p)) for p in parts), re.DOTALL)


def _like(pattern: str, value: str, fold: bool = False) -> bool:
    return bool(_glob(pattern.lower() if fold else pattern).fullmatch(value.lower() if fold else value))


def _principal(statement: dict[str, Any], service: str) -> bool:
    def among(principal: Any) -> bool:
        if principal == "*":
            return True
        if not isinstance(principal, dict):
            return False
        return "*" in _listed(principal.get("AWS")) or service in _listed(principal.get("Service"))

    if "NotPrincipal" in statement:
        return not among(statement["NotPrincipal"])
    return among(statement.get("Principal"))


def _named(statement: dict[str, Any], key: str, value: str, fold: bool = False) -> bool:
    if f"Not{key}" in statement:
        return not any(_like(one, value, fold) for one in _listed(statement[f"Not{key}"]))
    return any(_like(one, value, fold) for one in _listed(statement.get(key)))


def _arn_like(pattern: str, value: str) -> bool:
    """Each of the six parts of an ARN by itself."""
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) and all(_like(w, g) for w, g in zip(wanted, given))


_OPERATORS = {
    "stringequals": lambda wanted, value: wanted == value,
    "stringequalsignorecase": lambda wanted, value: wanted.lower() == value.lower(),
    "stringlike": _like,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
    "bool": lambda wanted, value: wanted.lower() == value.lower(),
}


def _conditions(conditions: dict[str, Any], context: dict[str, str]) -> bool:
    return all(
        _condition(operator, context.get(key.lower()), [_text(v) for v in _listed(values)])
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _condition(operator: str, value: str | None, wanted: list[str]) -> bool:
    name = operator.rpartition(":")[2].lower()
    every = operator.lower().startswith("forallvalues:")
    if name == "null":
        return ("true" in [w.lower() for w in wanted]) == (value is None)
    optional, name = name.endswith("ifexists"), name.removesuffix("ifexists")
    negated = "not" in name
    test = _OPERATORS.get(name.replace("not", "", 1))
    if test is None:  # one that is not known here grants nothing
        return False
    if value is None:
        return optional or negated or every
    return any(test(w, value) for w in wanted) != negated
