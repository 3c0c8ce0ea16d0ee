# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""estate_info against the sandbox: the service accounts of IAM, and what they may do too much."""

from __future__ import annotations

import json

import pytest
from ansible_collections.spot.platform.plugins.modules import estate_info
from ansible_collections.spot.platform.tests.integration.modules import estates

WIDE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
NARROW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop/*"}],
}
ANYBODY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}


@pytest.fixture
def accounts(run_module, tmp_path):
    """The service accounts by name, and the module's result."""

    def run(**options):
        given = {"cache_dir": str(tmp_path), "regions": ["us-east-1"], "gather": ["service_accounts"], **options}
        found = run_module("estate_info", given)
        return {(one["kind"], one["name"]): one for one in found.get("service_accounts", ())}, found

    return run


def test_roles_and_instance_profiles_with_what_is_too_wide(sandbox, fresh, accounts):
    iam = sandbox.client("iam")
    for name, policy in (("wide", WIDE), ("narrow", NARROW)):
        estates.role_of(sandbox, name, estates.tags())
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    iam.create_instance_profile(InstanceProfileName="wide")
    iam.add_role_to_instance_profile(InstanceProfileName="wide", RoleName="wide")
    estates.role_of(sandbox, "open", estates.tags(), ANYBODY)
    estates.role_of(sandbox, "admin", estates.tags())
    iam.attach_role_policy(RoleName="admin", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    estates.role_of(sandbox, "foreign", {})
    sandbox.post("/sandbox/calls/reset")
    found, result = accounts()
    assert estates.made_calls(sandbox) <= estates.documented(estate_info.DOCUMENTATION)
    assert result["errors"] == []
    assert set(found) == {
        ("role", "wide"),
        ("role", "narrow"),
        ("role", "open"),
        ("role", "admin"),
        ("instance_profile", "wide"),
    }
    assert (found["role", "narrow"]["severity"], found["role", "narrow"]["findings"]) == ("ok", [])
    assert found["role", "wide"]["findings"] == [
        "the inline policy own allows every action (*): list those that are needed"
    ]
    assert found["instance_profile", "wide"]["severity"] == "problem"
    assert "by its role wide" in found["instance_profile", "wide"]["findings"][0]
    assert "the managed policy AdministratorAccess allows every action" in found["role", "admin"]["findings"][0]
    assert found["role", "open"]["findings"] == ["anybody on AWS may take it (Principal *): name those who may"]
    assert found["role", "wide"]["app"] == "shop"
    assert [one["severity"] for one in result["service_accounts"]] == ["problem"] * 4 + ["ok"]
    assert ("role", "foreign") in accounts(all=True)[0]


def test_a_permissions_boundary_takes_the_edge_off(sandbox, fresh, accounts):
    iam = sandbox.client("iam")
    boundary = iam.create_policy(PolicyName="edge", PolicyDocument=json.dumps(NARROW))["Policy"]["Arn"]
    estates.role_of(sandbox, "wide", estates.tags())
    iam.put_role_policy(RoleName="wide", PolicyName="own", PolicyDocument=json.dumps(WIDE))
    iam.put_role_permissions_boundary(RoleName="wide", PermissionsBoundary=boundary)
    role = accounts()[0]["role", "wide"]
    assert role["severity"] == "warning" and "within the permissions boundary edge" in role["findings"][0]


def test_users_with_their_keys_and_groups(sandbox, fresh, accounts):
    iam = sandbox.client("iam")
    iam.create_user(UserName="deployer", Tags=estates.listed(estates.tags()))
    iam.create_group(GroupName="admins")
    iam.put_group_policy(GroupName="admins", PolicyName="all", PolicyDocument=json.dumps(WIDE))
    iam.add_user_to_group(GroupName="admins", UserName="deployer")
    made = [iam.create_access_key(UserName="deployer")["AccessKey"]["AccessKeyId"] for _each in range(2)]
    user = accounts()[0]["user", "deployer"]
    assert {key["id"] for key in user["keys"]} == set(made) and all(key["active"] for key in user["keys"])
    assert user["last_used_at"] is None and user["severity"] == "problem"
    assert "by its group admins: the inline policy all allows every action" in user["findings"][0]
    assert any("2 active access keys" in text for text in user["findings"])


def test_without_permission_it_is_said_and_the_rest_is_there(sandbox, fresh, accounts):
    estates.role_of(sandbox, "web", estates.tags())
    sandbox.post("/sandbox/faults", rules=[{"operation": "GetAccountAuthorizationDetails", "kind": "denied"}])
    found, result = accounts(gather=["service_accounts", "resources"])
    assert found == {} and result["resources"] == []
    assert [error["action"] for error in result["errors"]] == ["iam:GetAccountAuthorizationDetails"]
    assert accounts()[1]["failed"]


def test_a_key_that_cannot_be_read_leaves_its_user(sandbox, fresh, accounts):
    sandbox.client("iam").create_user(UserName="deployer", Tags=estates.listed(estates.tags()))
    sandbox.post("/sandbox/faults", rules=[{"operation": "ListAccessKeys", "kind": "denied"}])
    found, result = accounts()
    assert found["user", "deployer"]["keys"] == []
    assert [(error["what"], error["action"]) for error in result["errors"]] == [
        ("the access keys of deployer", "iam:ListAccessKeys")
    ]
