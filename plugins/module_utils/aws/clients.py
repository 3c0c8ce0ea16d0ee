# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One boto3 session for a task, one client for each service and region, and regions side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

try:
    import boto3.session
    from botocore import exceptions as boto_errors
    from botocore.config import Config
except ImportError:
    pass  # AnsibleAWSModule and the inventory say which library is missing

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 16
CONNECT_TIMEOUT = 10
"""Seconds; botocore's own minute, ten times over, says too late that the network is down."""
RETRIES = {"mode": "standard", "max_attempts": 10}
"""botocore's own retries: jittered exponential back-off on throttling, 5xx and connection errors, per call."""


class Clients:
    """Clients of one session, made once each; safe to use from several threads.

    A session of its own for each client would parse the service's model again, at 0.25 s for EC2.
    """

    def __init__(self, region: str | None, endpoint_url: str | None, connection: dict[str, Any]) -> None:
        """``connection``: the keyword arguments that amazon.aws gives for its connection options."""
        connection = dict(connection)
        self.region = region
        self._session = boto3.session.Session(profile_name=connection.pop("profile_name", None), region_name=region)
        config = Config(retries=RETRIES, max_pool_connections=THREADS, connect_timeout=CONNECT_TIMEOUT)
        for extra in ("config", "aws_config"):
            config = config.merge(connection.pop(extra, None) or Config())
        self._arguments = {**connection, "endpoint_url": endpoint_url, "config": config}
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_module(cls, module: Any, region: str | None = None) -> "Clients":
        """The clients that an ``AnsibleAWSModule``'s connection options ask for; global services are asked from
        ``region`` where the task has none."""
        own, endpoint_url, connection = get_aws_connection_info(module)
        return cls(own or region, endpoint_url, connection)

    def get(self, service: str, region: str | None = None) -> Any:
        """The client of ``service`` in ``region`` (default: the session's)."""
        key = (service, region or self.region)
        with self._lock:  # making a client is not thread-safe, using one is
            if key not in self._clients:
                client = self._session.client(service, region_name=key[1], **self._arguments)
                give_up_when_unreachable(client)
                self._clients[key] = client
            return self._clients[key]


def regions_of(module: Any, own: Sequence[str] | None = None) -> list[str]:
    """The regions that a task names: ``own`` of an entry, or its option ``regions``, or its region. Raises ``ValueError`` where it
    names none."""
    regions = sorted(set(own or module.params["regions"] or ([module.region] if module.region else [])))
    if not regions:
        raise ValueError("there is no region: set regions, region or AWS_DEFAULT_REGION")
    return regions


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> list[Result]:
    """``[work(item) for item in items]`` in threads, results in the order of the items; raises the first error."""
    items = list(items)
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(max_workers=min(threads, len(items))) as pool:
        return list(pool.map(work, items))


def chunks(values: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """``values`` in parts of at most ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def give_up_when_unreachable(client: Any, attempts: int = 3) -> None:
    """Stop trying an endpoint that cannot even be connected to; the retries are for one that answers.

    Without it, ten attempts with their back-off take minutes to say so.
    """

    def needs_retry(attempts_made: int, caught_exception: Exception | None) -> None:
        unreachable = (
            boto_errors.EndpointConnectionError,
            boto_errors.ConnectTimeoutError,
            boto_errors.ProxyConnectionError,
        )
        if isinstance(caught_exception, unreachable) and attempts_made >= attempts:
            raise caught_exception

    client.meta.events.register_first(
        f"needs-retry.{client.meta.service_model.service_id.hyphenize()}",
        lambda attempts, caught_exception, **_event: needs_retry(attempts, caught_exception),
        unique_id="spot-platform-unreachable",
    )
