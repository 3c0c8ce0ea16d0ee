# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a policy of IAM gives more than a service needs, in words, with the remedy.

Only statements that allow are looked at; one that denies may take back what another gives, and is not reckoned with.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.estate import OK, PROBLEM, WARNING, WORST_FIRST

READING = (
    "get",
    "list",
    "describe",
    "batchget",
    "batchdescribe",
    "head",
    "view",
    "search",
    "lookup",
    "query",
    "scan",
    "select",
    "check",
    "simulate",
    "estimate",
    "generate",
    "validate",
    "verify",
    "test",
    "read",
    "preview",
)
"""How the names of actions begin that change nothing. (KMS and Secrets Manager read secrets by others: Decrypt,
GetSecretValue; see `SECRET`.)"""
SECRET = (
    "secretsmanager:getsecretvalue",
    "kms:decrypt",
    "ssm:getparameter",
    "ssm:getparameters",
    "ssm:getparametersbypath",
)
EVERYWHERE = (
    "cloudwatch:putmetricdata",
    "logs:createloggroup",
    "logs:createlogdelivery",
    "xray:put*",
    "ec2messages:*",
    "ssmmessages:*",
    "ssm:updateinstanceinformation",
    "sts:getcalleridentity",
    "elasticloadbalancing:createrule",
    "route53:createhostedzone",
    "autoscaling:completelifecycleaction",
    "ec2:createkeypair",
)
"""Writing actions that IAM can hardly limit to resources, or that do no harm to others."""
LIMITS = (
    "aws:resourcetag/",
    "aws:requesttag/",
    "ec2:resourcetag/",
    "autoscaling:resourcetag/",
    "ecs:cluster",
    "cloudwatch:namespace",
)
LIMITS += (
    "aws:resourceaccount",
    "aws:resourceorgid",
    "ec2:vpc",
    "ec2:subnet",
    "ec2:region",
    "aws:requestedregion",
    "kms:viaservice",
)
"""The beginnings of the keys of conditions that narrow what a statement on all resources gives."""
WHO = (
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principaltag/",
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourceip",
    "aws:userid",
    "sts:externalid",
    "saml:",
)
"""The beginnings of the keys of conditions that narrow who may take a role."""
ESCALATION = (
    "iam:createpolicyversion",
    "iam:setdefaultpolicyversion",
    "iam:attachuserpolicy",
    "iam:attachrolepolicy",
    "iam:attachgrouppolicy",
    "iam:putuserpolicy",
    "iam:putrolepolicy",
    "iam:putgrouppolicy",
    "iam:createaccesskey",
    "iam:createloginprofile",
    "iam:updateloginprofile",
    "iam:updateassumerolepolicy",
    "iam:addusertogroup",
)
"""With these on all resources, one can give oneself everything."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``severity``: `estate.PROBLEM` or `estate.WARNING`; ``text``: what is found, where, and what to do."""

    severity: str
    text: str


def worst(findings: Iterable[Finding]) -> str:
    """The severity of all together."""
    return min((one.severity for one in findings), key=WORST_FIRST.index, default=OK)


def of_policy(document: Any, name: str) -> list[Finding]:
    """What a policy gives too widely; ``name``: how the texts call it, such as ``the inline policy deploy``."""
    statements = _statements(document)
    if statements is None:
        return [Finding(WARNING, f"{name} cannot be understood: it is no policy document")]
    found: dict[str, Finding] = {}
    for statement in statements:
        if statement.get("Effect") == "Allow":
            for finding in _statement(statement, name):
                found.setdefault(finding.text, finding)
    return list(found.values())


def of_trust(document: Any) -> list[Finding]:
    """Who may take a role that should not."""
    statements = _statements(document)
    if statements is None:
        return [Finding(WARNING, "its trust policy cannot be understood: it is no policy document")]
    found: dict[str, Finding] = {}
    for statement in statements:
        if statement.get("Effect") == "Allow":
            for finding in _trust(statement):
                found.setdefault(finding.text, finding)
    return list(found.values())


def _statements(document: Any) -> list[Mapping[str, Any]] | None:
    if not isinstance(document, Mapping) or "Statement" not in document:
        return None
    statements = _listed(document["Statement"])
    return statements if all(isinstance(one, Mapping) for one in statements) else None


def _statement(statement: Mapping[str, Any], name: str) -> Iterator[Finding]:
    actions = [str(one).lower() for one in _listed(statement.get("Action"))]
    all_resources = "NotResource" in statement or any(_is_all(str(one)) for one in _listed(statement.get("Resource")))
    conditions = _condition_keys(statement)
    narrowed = any(key.startswith(LIMITS) for key in conditions)
    if "NotAction" in statement:
        but = _some(_listed(statement["NotAction"]))
        severity = PROBLEM if all_resources and not narrowed else WARNING
        yield Finding(
            severity, f"{name} allows all actions but {but} (NotAction): list those that are needed in Action"
        )
        return
    if any(set(one) <= {"*", ":"} for one in actions):
        severity = PROBLEM if all_resources and not narrowed else WARNING
        yield Finding(severity, f"{name} allows every action (*): list those that are needed")
        return
    if any(
        _like("iam:*", one) and _like(one, "iam:createpolicyversion") and _like(one, "iam:attachrolepolicy")
        for one in actions
    ):
        yield Finding(
            PROBLEM, f"{name} allows every action of iam, with which anything can be gained: list those that are needed"
        )
    elif all_resources and not narrowed:
        gained = [one for one in ESCALATION if any(_like(action, one) for action in actions)]
        if gained:
            yield Finding(
                PROBLEM,
                f"{name} allows {_some(gained)} on everything, with which anything can be gained: limit Resource, or add a "
                "permissions boundary",
            )
    if any(_like(action, "iam:passrole") for action in actions) and all_resources:
        to = "iam:passedtoservice" in conditions or "iam:associatedresourcearn" in conditions
        remedy = "name the roles in Resource" + (
            "" if to else ", and their service in the condition iam:PassedToService"
        )
        yield Finding(WARNING if to else PROBLEM, f"{name} allows iam:PassRole of every role: {remedy}")
    if any(_like(action, "sts:assumerole") for action in actions) and all_resources and not narrowed:
        yield Finding(WARNING, f"{name} allows sts:AssumeRole of every role: name the roles in Resource")
    if not all_resources or narrowed:
        return
    whole = [one for one in actions if re.fullmatch(r"(?!iam:)[a-z0-9-]+:\*", one) and not _among(one, EVERYWHERE)]
    if whole:
        yield Finding(PROBLEM, f"{name} allows {_some(whole)} on everything: list the actions, and limit Resource")
    secrets = [one for one in actions if one not in whole and any(_like(one, secret) for secret in SECRET)]
    if secrets:
        yield Finding(WARNING, f"{name} allows to read all secrets ({_some(secrets)}): name them in Resource")
    writing = [one for one in actions if one not in whole and one not in secrets and _writes(one)]
    if writing:
        yield Finding(
            WARNING, f"{name} allows {_some(writing)} on everything: limit Resource, or add a condition on tags"
        )


def _writes(action: str) -> bool:
    service, _colon, verb = action.partition(":")
    if service == "iam" or _among(action, (*EVERYWHERE, "sts:assumerole")):
        return False  # said already, or harmless
    return not verb.startswith(READING)


def _trust(statement: Mapping[str, Any]) -> Iterator[Finding]:
    actions = [str(one).lower() for one in _listed(statement.get("Action"))]
    if not any(_like(action, wanted) for action in actions for wanted in _TAKING):
        return
    principal, conditions = statement.get("Principal"), _condition_keys(statement)
    who = any(key.startswith(WHO) for key in conditions)
    if "NotPrincipal" in statement:
        yield Finding(PROBLEM, "it may be taken by all but some (NotPrincipal): name those who may in Principal")
        return
    anybody = principal == "*" or (isinstance(principal, Mapping) and "*" in _listed(principal.get("AWS")))
    if anybody and not conditions:
        yield Finding(PROBLEM, "anybody on AWS may take it (Principal *): name those who may")
    elif anybody and not who:
        names = _some(sorted(conditions))
        yield Finding(PROBLEM, f"anybody on AWS may take it (Principal *): the condition on {names} does not say who")
    elif anybody:
        yield Finding(WARNING, "its Principal is *, and only a condition says who may take it: name those who may")
    federated = [str(one) for one in _listed(principal.get("Federated"))] if isinstance(principal, Mapping) else []
    for provider in federated:
        host = provider.rpartition("oidc-provider/")[2]
        by_web = any(_like(action, "sts:assumerolewithwebidentity") for action in actions)
        if by_web and "oidc-provider/" in provider and f"{host}:sub".lower() not in conditions:
            yield Finding(PROBLEM, f"every user of {host} may take it: add a condition on {host}:sub")


_TAKING = ("sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml")


def _condition_keys(statement: Mapping[str, Any]) -> set[str]:
    """The keys of the conditions that must be fulfilled, in small letters; those with IfExists need not be."""
    conditions = statement.get("Condition")
    if not isinstance(conditions, Mapping):
        return set()
    found = set()
    for operator, keys in conditions.items():
        if isinstance(keys, Mapping) and not str(operator).lower().endswith("ifexists"):
            for key, values in keys.items():
                if any(not _is_all(str(value)) for value in _listed(values)):
                    found.add(str(key).lower())
    return found


TYPES = (
    "role|user|group|policy|instance-profile|instance|volume|snapshot|image|table|function|key|secret|log-group|db|cluster|"
    "repository|parameter|autoscalinggroup|loadbalancer|targetgroup|stack|hostedzone|certificate|domain"
)
ALL = re.compile(rf"\*+|arn:\*+|arn:[^:]*:\*+|arn:[^:]*:[^:]*:[^:]*:[^:]*:(?:(?:{TYPES})[/:])?[*/:]*\*", re.IGNORECASE)
"""``*``, or the ARN of all that a service has of a type."""


def _is_all(resource: str) -> bool:
    """Whether it stands for all resources, at least those of a service or of a type."""
    return bool(ALL.fullmatch(resource))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


@lru_cache(maxsize=2000)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", pattern)), re.DOTALL
    )


def _like(pattern: str, value: str) -> bool:
    return bool(_glob(pattern).fullmatch(value))


def _among(action: str, patterns: Iterable[str]) -> bool:
    return any(_like(pattern, action) for pattern in patterns)


def _some(names: Iterable[Any], most: int = 4) -> str:
    """The first of them, and how many more there are."""
    named = [str(name) for name in names]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(named[:most]) + more


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. Ages in days; ``unused``: since it was last used, ``None`` if it never was."""

    id: str
    age: float
    unused: float | None
    active: bool


KEY_DAYS = 90.0
IDLE_DAYS = 90.0


def of_keys(keys: Iterable[Key]) -> list[Finding]:
    """What is to be said of a user's access keys."""
    found = []
    active = [key for key in keys if key.active]
    for key in active:
        if key.unused is None and key.age > 1:
            found.append(Finding(WARNING, f"the access key {key.id} was never used in {key.age:.0f} days: delete it"))
        elif key.unused is not None and key.unused > IDLE_DAYS:
            found.append(Finding(WARNING, f"the access key {key.id} was not used for {key.unused:.0f} days: delete it"))
        elif key.age > KEY_DAYS:
            found.append(
                Finding(
                    WARNING,
                    f"the access key {key.id} is {key.age:.0f} days old: make a new one, or use a role in its place",
                )
            )
    if len(active) > 1:
        found.append(Finding(WARNING, f"there are {len(active)} active access keys: delete the one that is not in use"))
    return found


def of_use(age: float | None, unused: float | None) -> list[Finding]:
    """What is to be said of a role, by its age and the days since it was last taken, ``None`` if AWS knows of no time. It
    remembers 400 days."""
    if unused is not None and unused > IDLE_DAYS:
        return [Finding(WARNING, f"it was not used for {unused:.0f} days: delete it if nobody needs it")]
    if unused is None and age is not None and age > IDLE_DAYS:
        return [Finding(WARNING, f"it was never used in {min(age, 400):.0f} days: delete it if nobody needs it")]
    return []
