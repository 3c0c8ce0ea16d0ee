# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS and botocore answer when a call fails, as one sentence that says what, why and what to do."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

try:
    import boto3.session
    from botocore import exceptions as boto_errors
except ImportError:
    boto_errors = None  # AnsibleAWSModule and the inventory say which library is missing

from ansible_collections.amazon.aws.plugins.module_utils.errors import AWSErrorHandler
from ansible_collections.amazon.aws.plugins.module_utils.exceptions import AnsibleAWSError

DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
EXPIRED = {"RequestExpired", "ExpiredToken", "ExpiredTokenException"}
UNKNOWN_KEY = {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "SignatureDoesNotMatch"}
THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestThrottled",
}

FAILURES = (AnsibleAWSError, ValueError, boto_errors.BotoCoreError) if boto_errors else (AnsibleAWSError, ValueError)
"""What a module's ``main()`` catches: a failed call, input that cannot be, and botocore's own complaints."""


def message(failure: Exception) -> str:
    """The text for ``fail_json`` of one of the ``FAILURES``."""
    return explain(failure) if isinstance(failure, boto_errors.BotoCoreError) else str(failure)


def finish(module: Any, result: dict[str, Any]) -> None:
    """End a module that goes on where it can: what was done is told in any case, and with ``errors`` it has failed."""
    if result["errors"]:
        said = "; ".join(dict.fromkeys(error["message"] for error in result["errors"]))
        module.fail_json(msg=f"not all could be done: {said}", **result)
    module.exit_json(**result)


class AwsError(AnsibleAWSError):
    """A failed call, explained in full by its message; ``code`` is AWS's error code where AWS answered."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message=message)
        self.code = code


class Errors(AWSErrorHandler):
    """amazon.aws's error handler, for functions whose first argument is the client that they call.

    ``@Errors.common_error_handler("list the groups")`` turns every botocore error into an `AwsError`.
    """

    _CUSTOM_EXCEPTION = AwsError

    @classmethod
    def common_error_handler(cls, description: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def handler(client: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    return function(client, *args, **kwargs)
                except (boto_errors.ClientError, boto_errors.BotoCoreError) as error:
                    where = f"in {client.meta.region_name}"
                    raise AwsError(
                        f"cannot {description} {where}: {explain(error, client)}", error_code(error)
                    ) from error

            return handler

        return wrapper


def error_code(error: Exception) -> str | None:
    """AWS's code, such as ``AccessDenied``; None where no answer came."""
    return error.response["Error"]["Code"] if isinstance(error, boto_errors.ClientError) else None


def explain(error: Exception, client: Any = None) -> str:
    """Reason and remedy. ``client``: whose call failed, for the names of service and region."""
    if isinstance(error, boto_errors.ClientError):
        return _explain_answer(error, client)
    if isinstance(error, boto_errors.WaiterError):
        return f"it was not done in the time given ({error}); wait longer or look at its state"
    if isinstance(error, (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError)):
        return (
            "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the option profile, "
            "or run on an instance with a role"
        )
    if isinstance(error, boto_errors.NoRegionError):
        return "no AWS region is set; give the option region or set AWS_DEFAULT_REGION"
    if isinstance(error, boto_errors.InvalidRegionError) or _unknown_region(error, client):
        region = client.meta.region_name if client else "given"
        return f"the AWS region {region} is not known; write it as in us-east-1"
    if isinstance(error, (boto_errors.HTTPClientError, boto_errors.ConnectionError)):  # network, proxies, certificates
        endpoint = client.meta.endpoint_url if client else "AWS"
        return f"{endpoint} cannot be reached ({error}); check the network, the proxy and the endpoint_url"
    return str(error)


def _explain_answer(error: Any, client: Any) -> str:
    answer = error.response["Error"]
    code, text = answer["Code"], _without_blob(answer.get("Message") or "no message")
    if code in DENIED:
        return f"access denied; allow the IAM action {action_of(error, client)} to these credentials ({text})"
    if code in EXPIRED:
        return f"the AWS credentials have expired ({code}); renew them, for example with aws sso login"
    if code in UNKNOWN_KEY:
        return f"AWS does not accept the credentials ({code}: {text}); check the key, and that the region is enabled"
    if code in THROTTLED:
        tries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
        return f"AWS throttles {error.operation_name} ({code}, {tries} tries); run again later or with fewer forks"
    return f"{code}: {text}"


def action_of(error: Any, client: Any) -> str:
    """The IAM action that a refused call needs, as AWS names it, or by its service and operation."""
    named = re.search(r"perform: ?([a-z0-9-]+:[A-Za-z0-9]+)", error.response["Error"].get("Message") or "")
    if named:
        return named.group(1)
    service = client.meta.service_model.signing_name if client else "*"
    return f"{service}:{error.operation_name}"


def _without_blob(text: str) -> str:
    """EC2 appends an encoded message of a thousand characters, which helps nobody in a terminal."""
    return re.split(r"\s*Encoded authorization failure message", text)[0]


def _unknown_region(error: Exception, client: Any) -> bool:
    """A region that does not exist has a host name that does not resolve: no other error tells the two apart."""
    if client is None or not isinstance(error, boto_errors.EndpointConnectionError):
        return False
    if client.meta.region_name not in client.meta.endpoint_url:
        return False  # an endpoint of the user's own
    session = boto3.session.Session()
    known = (session.get_available_regions("ec2", partition) for partition in session.get_available_partitions())
    return not any(client.meta.region_name in regions for regions in known)
