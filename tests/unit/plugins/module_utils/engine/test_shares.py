# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shared file system is to be, and what cannot be it."""

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.shares import (
    TOKEN_LENGTH,
    Share,
    State,
    access_point_of,
    client_token,
    policy_of,
    problems,
    token_of,
    unlike,
)

ARN = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-1"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
OWNER = {"spot.platform/app": "shop"}
SHARE = Share("media", "test-shop-media", 1000, 30, True)
STATE = State("fs-1", ARN, True, KEY, "elastic", (), True, OWNER, {}, {}, None)


def test_unread_files_go_to_infrequent_access_and_come_back_or_never_go():
    assert SHARE.lifecycle == [{"TransitionToIA": "AFTER_30_DAYS"}, {"TransitionToPrimaryStorageClass": "AFTER_1_ACCESS"}]
    assert replace(SHARE, cold_after=1).lifecycle[0] == {"TransitionToIA": "AFTER_1_DAY"}
    assert replace(SHARE, cold_after=0).lifecycle == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a" * 21}, "must start with a letter and hold at most 20"),
        ({"name": "1st"}, "must start with a letter"),
        ({"uid": 65534}, "it must be from 1 to 65533"),
        ({"cold_after": 2}, "EFS knows"),
    ],
)
def test_what_is_wrong_with_a_share_is_said(change, words):
    (said,) = problems(replace(SHARE, **change))
    assert words in said
    assert problems(SHARE) == []


def test_the_token_names_environment_application_and_share_and_is_refused_where_it_is_too_long():
    assert token_of("production", "shop", "media") == "production-shop-media"
    assert len(token_of("e" * 53, "shop", "media")) == TOKEN_LENGTH
    with pytest.raises(ValueError, match="with 65 characters: EFS allows 64; shorten its name"):
        token_of("e" * 54, "shop", "media")


def test_only_the_role_gets_in_through_an_access_point_and_nobody_without_tls():
    allow, deny = policy_of(ARN, "arn:aws:iam::123456789012:role/shop", ["ap-2", "ap-1"])["Statement"]
    assert allow["Principal"] == {"AWS": "arn:aws:iam::123456789012:role/shop"} and allow["Resource"] == deny["Resource"] == ARN
    assert "elasticfilesystem:ClientRootAccess" not in allow["Action"]
    assert allow["Condition"] == {
        "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
        "StringEquals": {"elasticfilesystem:AccessPointArn": ["ap-1", "ap-2"]},
    }
    assert (deny["Effect"], deny["Action"], deny["Condition"]) == ("Deny", "*", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(
    ("state", "share", "words"),
    [
        (replace(STATE, tags={"spot.platform/app": "blog"}), SHARE, "is another's by its tags spot.platform/app"),
        (replace(STATE, encrypted=False), SHARE, "is not encrypted"),
        (STATE, replace(SHARE, kms_key=KEY.replace("key/1", "key/2")), f"is encrypted with {KEY}"),
        (STATE, replace(SHARE, kms_key=KEY), None),
        (STATE, replace(SHARE, kms_key="alias/data"), None),
        (replace(STATE, tags={}), SHARE, None),
    ],
)
def test_a_file_system_that_cannot_be_the_share_is_told_from_one_that_can(state, share, words):
    said = unlike(share, state, OWNER)
    assert said is None if words is None else words in said


def test_of_access_points_the_one_of_the_same_user_and_folder_is_taken_always_the_same():
    points = {
        "ap-3": ({"Uid": 1000, "Gid": 1000}, "/data"),
        "ap-2": ({"Uid": 1000, "Gid": 1000}, "/data"),
        "ap-1": ({"Uid": 1000, "Gid": 1000}, "/"),
        "ap-0": ({"Uid": 2000, "Gid": 2000}, "/data"),
    }
    assert access_point_of(SHARE, replace(STATE, access_points=points)) == "ap-2"
    assert access_point_of(SHARE, STATE) is None and access_point_of(SHARE, None) is None


def test_an_access_point_has_one_token_and_another_user_another():
    token = client_token(SHARE, "fs-1")
    assert len(token) == TOKEN_LENGTH and token == client_token(replace(SHARE, cold_after=0), "fs-1")
    assert len({token, client_token(replace(SHARE, uid=2), "fs-1"), client_token(SHARE, "fs-2")}) == 3
