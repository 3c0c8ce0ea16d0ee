# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state between steps, and the lease: one controller acts, and only on what it saw."""

from __future__ import annotations

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import state
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from moto import mock_aws

TABLE = state.table_of("test")


@pytest.fixture
def client():
    with mock_aws():
        made = boto3.client("dynamodb", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        made.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        yield made


def now_of(client, name="web"):
    return state.read(client, TABLE, [name])[name]


def test_a_lease_is_taken_held_and_given_back_with_what_was_learned(client):
    held = state.acquire(client, TABLE, now_of(client), "first", 1000.0, 60)
    assert (held.version, held.holder, held.until) == (1, "first", 1060.0)
    assert state.acquire(client, TABLE, now_of(client), "second", 1030.0, 60) is None
    assert state.release(client, TABLE, held, "learned", 1040.0) == state.State("web", 2, "learned")
    assert now_of(client).memory == "learned" and now_of(client).holder is None


def test_who_looked_before_another_acted_cannot_act_on_what_it_saw(client):
    seen = now_of(client)
    held = state.acquire(client, TABLE, now_of(client), "first", 1000.0, 60)
    state.release(client, TABLE, held, "learned", 1010.0)
    assert state.acquire(client, TABLE, seen, "second", 1020.0, 60) is None
    assert state.remember(client, TABLE, seen, "stale", 1020.0) is None and now_of(client).memory == "learned"


def test_the_lease_of_one_that_was_killed_runs_out(client):
    state.acquire(client, TABLE, now_of(client), "killed", 1000.0, 60)
    assert state.acquire(client, TABLE, now_of(client), "second", 1059.0, 60) is None
    taken = state.acquire(client, TABLE, now_of(client), "second", 1060.0, 60)
    assert taken.version == 2
    assert state.release(client, TABLE, state.State("web", 1, None, "killed"), "late", 1070.0) is None


def test_a_repeated_call_whose_answer_was_lost_has_won(client, monkeypatch):
    write = state.update_item

    def twice(*told):
        write(*told)
        write(*told)

    monkeypatch.setattr(state, "update_item", twice)
    assert state.acquire(client, TABLE, now_of(client), "first", 1000.4, 60).holder == "first"


def test_more_items_than_one_request_takes_are_read(client):
    for number in range(130):
        state.remember(client, TABLE, state.State(f"g{number}"), str(number), 1000.0)
    found = state.read(client, TABLE, [f"g{number}" for number in range(131)])
    assert [found[f"g{number}"].memory for number in (0, 129, 130)] == ["0", "129", None]


def test_a_missing_table_is_told_by_its_code(client):
    with pytest.raises(AwsError) as refused:
        state.read(client, "spot-platform-none", ["web"])
    assert refused.value.code == state.NO_TABLE
