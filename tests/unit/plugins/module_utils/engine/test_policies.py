# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a policy is too wide, and what is not."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import policies
from ansible_collections.spot.platform.plugins.module_utils.engine.policies import (
    Key,
    of_keys,
    of_policy,
    of_trust,
    of_use,
    worst,
)


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def found(*statements):
    """(severity, text) of all findings."""
    return [(one.severity, one.text) for one in of_policy(policy(*statements), "the policy p")]


@pytest.mark.parametrize(
    "statement",
    [
        allow("*"),
        allow("*:*"),
        allow("iam:*"),
        allow("IAM:*", "arn:aws:iam::1:role/x"),
        allow("iam:*Policy*"),
        allow(["ec2:DescribeInstances", "s3:*"]),
        allow("s3:*", "arn:aws:*"),
        allow("iam:PassRole"),
        allow("iam:Pass*", ["arn:aws:s3:::mine", "*"]),
        allow("iam:PassRole", "arn:aws:iam::1:role/*"),
        allow("s3:*", "arn:aws:s3:::*"),
        allow("iam:PutRolePolicy"),
        allow("iam:CreateAccessKey"),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::secret"},
    ],
    ids=str,
)
def test_what_gives_far_too_much_is_a_problem(statement):
    assert "problem" in [severity for severity, _text in found(statement)]


@pytest.mark.parametrize(
    "statement",
    [
        allow("ec2:TerminateInstances"),
        allow(["dynamodb:PutItem", "dynamodb:GetItem"]),
        allow("ec2:*Instances"),
        allow("sts:AssumeRole"),
        allow("secretsmanager:GetSecretValue"),
        allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
        allow("*", "arn:aws:s3:::mine/*"),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::mine/*"},
        allow("ec2:TerminateInstances", Condition={"StringEqualsIfExists": {"ec2:ResourceTag/team": "a"}}),
        allow("ec2:TerminateInstances", Condition={"StringLike": {"aws:ResourceTag/team": "*"}}),
        allow("ec2:TerminateInstances", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    ],
    ids=str,
)
def test_what_gives_more_than_is_needed_is_a_warning(statement):
    assert [severity for severity, _text in found(statement)] == ["warning"]


@pytest.mark.parametrize(
    "statement",
    [
        allow(["ec2:Describe*", "s3:ListAllMyBuckets", "pricing:GetProducts", "iam:GetRole"]),
        allow("s3:*", ["arn:aws:s3:::mine", "arn:aws:s3:::mine/*"]),
        allow("iam:PassRole", "arn:aws:iam::1:role/shop-*"),
        allow("logs:PutLogEvents", "arn:aws:logs:*:*:log-group:/shop:*"),
        allow("ec2:TerminateInstances", Condition={"StringEquals": {"aws:ResourceTag/spot.platform/app": "web"}}),
        allow(
            "iam:PassRole",
            "arn:aws:iam::1:role/web",
            Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        allow(["cloudwatch:PutMetricData", "xray:PutTraceSegments", "ssmmessages:*", "sts:GetCallerIdentity"]),
        {"Effect": "Deny", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "NotAction": "ec2:*", "Resource": "*"},
        allow([]),
        {"Effect": "Allow"},
    ],
    ids=str,
)
def test_what_is_narrow_enough_is_not_told(statement):
    assert found(statement) == []


def test_a_finding_says_where_and_what_to_do():
    ((severity, text),) = found(allow(["ec2:RunInstances", "ec2:CreateTags"]))
    assert severity == "warning"
    assert text == (
        "the policy p allows ec2:runinstances, ec2:createtags on everything: limit Resource, or add a condition on tags"
    )


def test_the_same_said_by_two_statements_is_told_once():
    assert len(found(allow("*"), allow(["*"]))) == 1


def test_brackets_are_no_wildcards():
    assert found(allow("iam:[a-z]assRole")) == []


@pytest.mark.parametrize(
    "document", [None, "", "{}", [], {}, {"Statement": "all"}, {"Statement": ["*"]}, {"Statement": [None]}, 7], ids=str
)
def test_what_is_no_policy_is_said_to_be_none(document):
    (finding,) = of_policy(document, "the policy p")
    assert finding.severity == "warning" and "cannot be understood" in finding.text
    (finding,) = of_trust(document)
    assert "trust policy cannot be understood" in finding.text


def test_a_statement_of_its_own_without_a_list_is_read():
    assert of_policy({"Statement": allow("*")}, "the policy p")


def trust(principal, action="sts:AssumeRole", **more):
    return {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": action, **more}]}


GITHUB = {"Federated": "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"}
AUDIENCE = {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}


@pytest.mark.parametrize(
    "document",
    [
        trust("*"),
        trust({"AWS": "*"}),
        trust({"AWS": ["arn:aws:iam::1:root", "*"]}, "sts:*"),
        trust({"AWS": "*"}, Condition={"Bool": {"aws:SecureTransport": "true"}}),
        trust({"AWS": "*"}, Condition={"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
        trust({"AWS": "*"}, Condition={"StringLike": {"aws:PrincipalArn": "*"}}),
        trust(GITHUB, "sts:AssumeRoleWithWebIdentity", Condition=AUDIENCE),
        {"Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": "1"}, "Action": "sts:AssumeRole"}},
    ],
    ids=str,
)
def test_a_role_that_anybody_may_take_is_a_problem(document):
    assert [one.severity for one in of_trust(document)] == ["problem"]


@pytest.mark.parametrize(
    "document",
    [
        trust({"Service": "ec2.amazonaws.com"}),
        trust({"AWS": "arn:aws:iam::1:root"}),
        trust("*", "sts:TagSession"),
        trust(
            GITHUB,
            "sts:AssumeRoleWithWebIdentity",
            Condition={"StringLike": {"token.actions.githubusercontent.com:sub": "repo:us/web:*"}},
        ),
        {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]},
    ],
    ids=str,
)
def test_a_role_that_those_may_take_that_are_named_is_fine(document):
    assert of_trust(document) == []


def test_a_role_for_anybody_of_the_organisation_is_a_warning():
    document = trust({"AWS": "*"}, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
    assert [one.severity for one in of_trust(document)] == ["warning"]


def test_keys_that_are_old_idle_or_too_many():
    keys = [Key("AKIA1", 200, 2, True), Key("AKIA2", 30, None, True), Key("AKIA3", 400, 300, False)]
    texts = [one.text for one in of_keys(keys)]
    assert [text for text in texts if "AKIA1 is 200 days old" in text]
    assert [text for text in texts if "AKIA2 was never used in 30 days" in text]
    assert [text for text in texts if "2 active" in text] and not [text for text in texts if "AKIA3" in text]
    assert of_keys([Key("AKIA1", 20, 1, True)]) == [] and of_keys([Key("AKIA1", 0.5, None, True)]) == []


def test_roles_that_nobody_uses():
    assert "was not used for 120 days" in of_use(500, 120)[0].text
    assert "never used in 400 days" in of_use(900, None)[0].text
    assert of_use(10, None) == [] and of_use(500, 3) == [] and of_use(None, None) == []


def test_the_worst_counts():
    assert worst([]) == "ok"
    assert worst([policies.Finding("warning", "a"), policies.Finding("problem", "b")]) == "problem"
