"""Event patterns as EventBridge matches them; SNS filter policies are the same language.

A pattern names fields; a leaf is a list of which one must match one of the field's values. Fields of objects in an array
are looked at object by object: all that a pattern asks of such objects must hold for one of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

ABSENT = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether an event (parsed JSON) matches a pattern that ``check`` has found right."""
    if isinstance(event, list):
        return any(matches(pattern, one) for one in event)
    for name, wanted in pattern.items():
        if name == "$or" and _alternatives(wanted):
            if not any(matches(one, event) for one in wanted):
                return False
            continue
        value = event.get(name, ABSENT) if isinstance(event, dict) else ABSENT
        if isinstance(wanted, dict):
            if not matches(wanted, value):
                return False
        elif not _any_filter(wanted, value):
            return False
    return True


def check(pattern: Any) -> None:
    """``ValueError`` with EventBridge's reason, where it is known, for a pattern that it does not take."""
    if not isinstance(pattern, dict):
        raise ValueError("Filter is not an object")
    for name, wanted in pattern.items():
        if name == "$or" and _alternatives(wanted):
            if len(wanted) < 2:
                raise ValueError("There must have at least 2 Objects in $or relationship.")
            for one in wanted:
                check(one)
        elif isinstance(wanted, dict):
            if not wanted:
                raise ValueError("Empty objects are not allowed")
            check(wanted)
        elif not isinstance(wanted, list):
            raise ValueError(f'"{name}" must be an object or an array')
        elif not wanted:
            raise ValueError("Empty arrays are not allowed")
        else:
            for one in wanted:
                _check_filter(one)


def _alternatives(wanted: Any) -> bool:
    """Whether the value of ``$or`` is a list of patterns; else it is a field with a strange name."""
    return isinstance(wanted, list) and bool(wanted) and all(isinstance(one, dict) for one in wanted)


def _check_filter(one: Any) -> None:
    if isinstance(one, list):
        raise ValueError("Match value must be String, number, true, false, or null")
    if not isinstance(one, dict):
        return
    if len(one) != 1:
        raise ValueError("Only one key allowed in match expression")
    ((name, value),) = one.items()
    if name not in _FILTERS and name != "exists":
        raise ValueError(f"Unrecognized match type {name}")
    if name == "exists" and not isinstance(value, bool):
        raise ValueError("exists match pattern must be either true or false.")
    if name in ("prefix", "suffix"):
        folded = isinstance(value, dict) and isinstance(value.get("equals-ignore-case"), str) and len(value) == 1
        if not (isinstance(value, str) or folded):
            raise ValueError(f"{name} match pattern must be a string")
    if name in ("equals-ignore-case", "cidr", "wildcard") and not isinstance(value, str):
        raise ValueError(f"{name} match pattern must be a string")
    if name == "cidr":
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"Malformed CIDR, {value}") from None
    if name == "wildcard" and "**" in value.replace("\\*", ""):
        raise ValueError("Consecutive wildcard characters")
    if name == "numeric":
        _check_numeric(value)
    if name == "anything-but":
        _check_anything_but(value)


def _check_numeric(value: Any) -> None:
    if not isinstance(value, list) or len(value) not in (2, 4):
        raise ValueError("Invalid member in numeric match")
    for operator, number in zip(value[::2], value[1::2]):
        if operator not in _COMPARISONS:
            raise ValueError(f"Unrecognized numeric range operator: {operator}")
        if not _number(number):
            raise ValueError(f"Value of {operator} must be numeric")


def _check_anything_but(value: Any) -> None:
    if isinstance(value, dict):
        if len(value) != 1 or next(iter(value)) not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise ValueError("Unsupported anything-but pattern")
        ((_name, inner),) = value.items()
        strings = inner if isinstance(inner, list) else [inner]
        if not strings or not all(isinstance(one, str) for one in strings):
            raise ValueError("anything-but pattern must hold strings")
        return
    values = value if isinstance(value, list) else [value]
    if not values or not (all(isinstance(v, str) for v in values) or all(_number(v) for v in values)):
        raise ValueError("Inside anything-but list, start|null|boolean is not supported.")


def _any_filter(wanted: list[Any], value: Any) -> bool:
    values = [] if value is ABSENT else list(_leaves(value))
    for one in wanted:
        if isinstance(one, dict) and "exists" in one:
            if one["exists"] == bool(values):
                return True
        elif any(_matches_filter(one, leaf) for leaf in values):
            return True
    return False


def _leaves(value: Any) -> Iterator[Any]:
    """The plain values: of an array each one; objects are no leaves."""
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif not isinstance(value, dict):
        yield value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(wanted: Any, value: Any) -> bool:
    """Equal as in JSON: ``true`` is not 1."""
    return isinstance(wanted, bool) == isinstance(value, bool) and wanted == value


def _matches_filter(one: Any, value: Any) -> bool:
    if not isinstance(one, dict):
        return _same(one, value)
    ((name, argument),) = one.items()
    return _FILTERS[name](argument, value)


def _affix(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def match(argument: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(argument, dict):
            return test(value.lower(), argument["equals-ignore-case"].lower())
        return test(value, argument)

    return match


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        ((name, inner),) = argument.items()
        return not any(_FILTERS[name](one, value) for one in (inner if isinstance(inner, list) else [inner]))
    return not any(_same(one, value) for one in (argument if isinstance(argument, list) else [argument]))


def _numeric(argument: list[Any], value: Any) -> bool:
    return _number(value) and all(_COMPARISONS[o](value, n) for o, n in zip(argument[::2], argument[1::2]))


def _cidr(argument: str, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


@lru_cache(maxsize=1000)
def _wildcard_expression(pattern: str) -> re.Pattern[str]:
    r"""``*`` is any text; ``\*`` and ``\\`` are themselves."""
    parts = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", pattern)
    made = (".*" if p == "*" else re.escape(p[1:] if len(p) == 2 and p[0] == "\\" else p) for p in parts)
    return re.compile("".join(made), re.DOTALL)


_FILTERS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _affix(str.startswith),
    "suffix": _affix(str.endswith),
    "equals-ignore-case": lambda a, v: isinstance(v, str) and v.lower() == a.lower(),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "wildcard": lambda a, v: isinstance(v, str) and bool(_wildcard_expression(a).fullmatch(v)),
}
