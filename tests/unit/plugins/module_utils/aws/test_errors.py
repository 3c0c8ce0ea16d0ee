# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each failure becomes a sentence with the reason and the remedy."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors, explain, message
from botocore import exceptions


def client(service: str = "ec2", region: str = "us-east-1", **options: Any) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=region, **keys, **options)


def answer(code: str, text: str = "words of AWS", operation: str = "CreateFleet") -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"RetryAttempts": 9}}
    return exceptions.ClientError(response, operation)


@pytest.mark.parametrize(
    "error, words",
    [
        (answer("UnauthorizedOperation"), "allow the IAM action ec2:CreateFleet"),
        (answer("AccessDenied", "User: x is not authorized to perform: iam:PassRole on"), "IAM action iam:PassRole"),
        (answer("RequestExpired"), "credentials have expired (RequestExpired); renew them"),
        (answer("AuthFailure"), "does not accept the credentials (AuthFailure"),
        (answer("RequestLimitExceeded"), "throttles CreateFleet (RequestLimitExceeded, 10 tries)"),
        (answer("InvalidParameterValue"), "InvalidParameterValue: words of AWS"),
        (exceptions.NoCredentialsError(), "there are no AWS credentials; set AWS_ACCESS_KEY_ID"),
        (exceptions.NoRegionError(), "no AWS region is set"),
        (exceptions.ConnectTimeoutError(endpoint_url="x"), "https://ec2.us-east-1.amazonaws.com cannot be reached"),
        (exceptions.EndpointConnectionError(endpoint_url="x"), "cannot be reached"),
    ],
)
def test_reason_and_remedy(error: Exception, words: str) -> None:
    assert words in explain(error, client())


def test_the_iam_service_of_a_client() -> None:
    assert "elasticloadbalancing:DescribeRules" in explain(
        answer("AccessDenied", operation="DescribeRules"), client("elbv2")
    )


def test_the_encoded_message_is_left_out() -> None:
    error = answer("UnauthorizedOperation", "You may not. Encoded authorization failure message: AbCdEf")
    assert "You may not." in explain(error, client()) and "AbCdEf" not in explain(error, client())


def test_a_region_that_does_not_exist() -> None:
    unreachable = exceptions.EndpointConnectionError(endpoint_url="x")
    assert "the AWS region us-mars-1 is not known" in explain(unreachable, client(region="us-mars-1"))
    own = client(region="us-mars-1", endpoint_url="http://127.0.0.1:1")
    assert "http://127.0.0.1:1 cannot be reached" in explain(unreachable, own)


def test_the_handler_names_what_where_and_code() -> None:
    @Errors.common_error_handler("make the fleet")
    def make(client: Any) -> None:
        raise answer("FleetLimitExceeded")

    with pytest.raises(AwsError) as raised:
        make(client())
    assert str(raised.value) == "cannot make the fleet in us-east-1: FleetLimitExceeded: words of AWS"
    assert raised.value.code == "FleetLimitExceeded"


def test_message_of_what_main_catches() -> None:
    assert message(ValueError("min is 3")) == "min is 3"
    assert message(AwsError("cannot x")) == "cannot x"
    assert "no AWS credentials" in message(exceptions.NoCredentialsError())
    assert "nosuch" in message(exceptions.ProfileNotFound(profile="nosuch"))
