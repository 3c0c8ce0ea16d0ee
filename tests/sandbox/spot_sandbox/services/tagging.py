"""The Resource Groups Tagging API is moto's, but for its pages and the name that it has for log groups.

A page holds as many resources as are asked for, however many tags they have, unless the tags are limited too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.logs.models import LogsBackend
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

_log_groups = LogsBackend.iter_tagged_resources
_get_resources = ResourceGroupsTaggingAPIBackend.get_resources
MOST_TAGS = 10**6


def iter_tagged_resources(backend: LogsBackend) -> Iterator[TaggedResource]:
    for one in _log_groups(backend):
        yield replace(one, resource_type="logs:log-group")


def get_resources(
    backend: ResourceGroupsTaggingAPIBackend,
    pagination_token: str | None = None,
    resources_per_page: int = 100,
    tags_per_page: int | None = None,
    **asked: Any,
) -> tuple[str | None, list[TaggedResource]]:
    limit = tags_per_page if tags_per_page and tags_per_page != 100 else MOST_TAGS
    return _get_resources(backend, pagination_token, resources_per_page, limit, **asked)


LogsBackend.iter_tagged_resources = iter_tagged_resources
ResourceGroupsTaggingAPIBackend.get_resources = get_resources
