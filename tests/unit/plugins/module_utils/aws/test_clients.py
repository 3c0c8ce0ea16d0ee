# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from botocore.exceptions import EndpointConnectionError

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def test_an_endpoint_out_of_reach_is_not_tried_for_long(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    client = Clients("us-east-1", "http://127.0.0.1:9", CREDENTIALS).get("ec2")
    tries = []

    def refuse(request, **_event):
        tries.append(request)
        raise EndpointConnectionError(endpoint_url=request.url)

    client.meta.events.register("before-send.ec2", refuse)
    with pytest.raises(EndpointConnectionError, match="127.0.0.1:9"):
        client.describe_instances()
    assert len(tries) == 3


def test_a_service_and_region_has_one_client():
    clients = Clients("us-east-1", None, CREDENTIALS)
    assert clients.get("sqs") is clients.get("sqs", "us-east-1")
    assert clients.get("sqs", "eu-west-1").meta.region_name == "eu-west-1"


def test_side_by_side_runs_at_the_same_time_and_keeps_the_order():
    met = threading.Barrier(3, timeout=10)

    def work(item):
        met.wait()
        return item * item

    assert side_by_side(work, [1, 2, 3]) == [1, 4, 9]


def test_side_by_side_raises_the_first_error():
    def work(item):
        raise ValueError(f"no {item}")

    with pytest.raises(ValueError, match="no 1"):
        side_by_side(work, [1, 2])
