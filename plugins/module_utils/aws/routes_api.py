# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of KMS, SQS, SNS and EventBridge by which the events of a region are routed, one function each.

Functions that look at one thing return ``None`` where it is not there. What is to go and is gone already is no error.
All raise `AwsError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import DENIED, AwsError, Errors

Result = TypeVar("Result")

MISSING = {
    "NotFoundException",
    "NotFound",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
DELETED_LATELY = ["AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"]
"""SQS does not make a queue within a minute after one of its name was deleted."""
DELETION_DAYS = 7
"""How long KMS keeps a key that is to be deleted, at least: it can be had back until then."""


def none_if_missing(call: Callable[..., Result]) -> Callable[..., Result | None]:
    """``None`` where AWS says that there is no such thing."""

    @wraps(call)
    def ask(*args: Any, **kwargs: Any) -> Result | None:
        try:
            return call(*args, **kwargs)
        except AwsError as error:
            if error.code in MISSING:
                return None
            raise

    return ask


@Errors.common_error_handler("see whose credentials these are")
def get_caller_identity(client: Any) -> dict[str, str]:
    return client.get_caller_identity()


@none_if_missing
@Errors.common_error_handler("look at the key")
def describe_key(client: Any, name: str) -> dict[str, Any]:
    """``name``: an alias, id or ARN."""
    return client.describe_key(KeyId=name)["KeyMetadata"]


@Errors.common_error_handler("see whether the key rotates")
def get_key_rotation_status(client: Any, key_id: str) -> bool:
    return client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"]


@Errors.common_error_handler("read the policy of the key")
def get_key_policy(client: Any, key_id: str) -> dict[str, Any]:
    return json.loads(client.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"])


@Errors.common_error_handler("list the keys")
def keys_without_alias(client: Any) -> list[str]:
    """The ids of all keys that no alias names."""
    aliases = [one for page in client.get_paginator("list_aliases").paginate() for one in page["Aliases"]]
    named = {alias.get("TargetKeyId") for alias in aliases}
    keys = [one["KeyId"] for page in client.get_paginator("list_keys").paginate() for one in page["Keys"]]
    return [key for key in keys if key not in named]


def list_key_tags(client: Any, key_id: str) -> dict[str, str]:
    """The tags of a key; none of a key that these credentials may not look at, which is somebody else's."""
    try:
        return _list_key_tags(client, key_id)
    except AwsError as error:
        if error.code in DENIED | MISSING:
            return {}
        raise


@Errors.common_error_handler("list the tags of a key")
def _list_key_tags(client: Any, key_id: str) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in client.list_resource_tags(KeyId=key_id)["Tags"]}


@Errors.common_error_handler("make the key")
def create_key(client: Any, description: str, policy: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    tagged = [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
    made = client.create_key(Description=description, Policy=json.dumps(policy), Tags=tagged)
    return made["KeyMetadata"]["KeyId"]


def create_alias(client: Any, alias: str, key_id: str) -> bool:
    """Whether the alias names the key now; ``False`` where it names another."""
    try:
        _create_alias(client, alias, key_id)
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
        named = describe_key(client, alias)
        return named is not None and named["KeyId"] == key_id
    return True


@Errors.common_error_handler("name the key")
def _create_alias(client: Any, alias: str, key_id: str) -> None:
    client.create_alias(AliasName=alias, TargetKeyId=key_id)


@none_if_missing
@Errors.common_error_handler("delete the alias of the key")
def delete_alias(client: Any, alias: str) -> None:
    client.delete_alias(AliasName=alias)


@Errors.common_error_handler("set the policy of the key")
def put_key_policy(client: Any, key_id: str, policy: Mapping[str, Any]) -> None:
    client.put_key_policy(KeyId=key_id, PolicyName="default", Policy=json.dumps(policy))


@Errors.common_error_handler("let the key rotate")
def enable_key_rotation(client: Any, key_id: str) -> None:
    client.enable_key_rotation(KeyId=key_id)


@Errors.common_error_handler("enable the key")
def enable_key(client: Any, key_id: str) -> None:
    client.enable_key(KeyId=key_id)


@Errors.common_error_handler("keep the key from being deleted")
def cancel_key_deletion(client: Any, key_id: str) -> None:
    client.cancel_key_deletion(KeyId=key_id)


@Errors.common_error_handler("have the key deleted")
def schedule_key_deletion(client: Any, key_id: str) -> None:
    client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=DELETION_DAYS)


@none_if_missing
@Errors.common_error_handler("find the queue")
def get_queue_url(client: Any, name: str) -> str:
    return client.get_queue_url(QueueName=name)["QueueUrl"]


@none_if_missing
@Errors.common_error_handler("look at the queue")
def get_queue_attributes(client: Any, url: str) -> dict[str, str]:
    names = ["VisibilityTimeout", "MessageRetentionPeriod", "KmsMasterKeyId", "Policy", "RedrivePolicy"]
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=names).get("Attributes", {})


@Errors.common_error_handler("make the queue")
@AWSRetry.jittered_backoff(retries=12, delay=5, max_delay=10, catch_extra_error_codes=DELETED_LATELY)
def create_queue(client: Any, name: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Its URL."""
    return client.create_queue(QueueName=name, Attributes=attributes, tags=tags)["QueueUrl"]


@Errors.common_error_handler("change the queue")
def set_queue_attributes(client: Any, url: str, attributes: Mapping[str, str]) -> None:
    client.set_queue_attributes(QueueUrl=url, Attributes=attributes)


@none_if_missing
@Errors.common_error_handler("delete the queue")
def delete_queue(client: Any, url: str) -> None:
    client.delete_queue(QueueUrl=url)


@none_if_missing
@Errors.common_error_handler("look at the topic")
def get_topic_attributes(client: Any, arn: str) -> dict[str, str]:
    return client.get_topic_attributes(TopicArn=arn)["Attributes"]


@Errors.common_error_handler("make the topic")
def create_topic(client: Any, name: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> None:
    tagged = [{"Key": key, "Value": value} for key, value in tags.items()]
    client.create_topic(Name=name, Attributes=attributes, Tags=tagged)


@Errors.common_error_handler("change the topic")
def set_topic_attribute(client: Any, arn: str, name: str, value: str) -> None:
    client.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)


@Errors.common_error_handler("delete the topic")
def delete_topic(client: Any, arn: str) -> None:
    client.delete_topic(TopicArn=arn)


def list_subscriptions(client: Any, topic: str) -> list[dict[str, str]]:
    """The subscriptions of a topic; none where there is no topic."""
    return _list_subscriptions(client, topic) or []


@none_if_missing
@Errors.common_error_handler("list the subscriptions of the topic")
def _list_subscriptions(client: Any, topic: str) -> list[dict[str, str]]:
    pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return [one for page in pages for one in page["Subscriptions"]]


@Errors.common_error_handler("subscribe an endpoint to the topic")
def subscribe(client: Any, topic: str, endpoint: str, dead_letters: str) -> None:
    """``dead_letters``: ARN of the queue for what cannot be delivered."""
    attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters})}
    client.subscribe(TopicArn=topic, Protocol="https", Endpoint=endpoint, Attributes=attributes)


@none_if_missing
@Errors.common_error_handler("end the subscription")
def unsubscribe(client: Any, arn: str) -> None:
    client.unsubscribe(SubscriptionArn=arn)


@Errors.common_error_handler("list the rules")
def list_rules(client: Any, prefix: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_rules").paginate(NamePrefix=prefix)
    return [one for page in pages for one in page["Rules"]]


@Errors.common_error_handler("list the targets of the rule")
def list_targets(client: Any, rule: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_targets_by_rule").paginate(Rule=rule)
    return [one for page in pages for one in page["Targets"]]


@Errors.common_error_handler("set the rule")
def put_rule(client: Any, name: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """``settings``: ``description``, ``state``, ``pattern``. Tags are for a new rule; AWS ignores them for others."""
    client.put_rule(
        Name=name,
        Description=settings["description"],
        State=settings["state"],
        EventPattern=json.dumps(settings["pattern"]),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def put_targets(client: Any, rule: str, targets: Mapping[str, Mapping[str, Any]]) -> None:
    """Set these targets, by id. Raises `AwsError` also where AWS refuses some of them."""
    if targets:
        _refused(rule, _put_targets(client, rule, [{"Id": name, **one} for name, one in targets.items()]))


@Errors.common_error_handler("set the targets of the rule")
def _put_targets(client: Any, rule: str, targets: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return client.put_targets(Rule=rule, Targets=targets)["FailedEntries"]


def remove_targets(client: Any, rule: str, names: Sequence[str]) -> None:
    """Take these targets away. Raises `AwsError` also where AWS refuses some of them."""
    if names:
        _refused(rule, _remove_targets(client, rule, names) or [])


@none_if_missing
@Errors.common_error_handler("remove the targets of the rule")
def _remove_targets(client: Any, rule: str, names: Sequence[str]) -> list[dict[str, str]]:
    return client.remove_targets(Rule=rule, Ids=list(names))["FailedEntries"]


@none_if_missing
@Errors.common_error_handler("delete the rule")
def delete_rule(client: Any, name: str) -> None:
    client.delete_rule(Name=name)


def _refused(rule: str, failed: Sequence[Mapping[str, str]]) -> None:
    if failed:
        said = "; ".join(f"{one.get('TargetId')}: {one.get('ErrorCode')}, {one.get('ErrorMessage')}" for one in failed)
        raise AwsError(f"AWS refuses targets of the rule {rule}: {said}", failed[0].get("ErrorCode"))
