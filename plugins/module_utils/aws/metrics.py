# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the metrics of many applications: from CloudWatch in a few calls, from Prometheus side by side.

A metric that cannot be read never stops the others: it stays without values, with the reason, and the engine then takes
nothing away.

Required IAM actions: ``cloudwatch:GetMetricData``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from http.client import HTTPException
from statistics import fmean
from string import Template
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

from ansible.module_utils.urls import ConnectionError as UrlError
from ansible.module_utils.urls import open_url
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import HOUR, Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import (
    DAY,
    FORECAST_AHEAD,
    FORECAST_DAYS,
    FORECAST_LEVEL,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import (
    PROMETHEUS,
    UTILIZATION,
    Metric,
    Point,
    Scaling,
)

QUERIES = 500
"""GetMetricData takes at most this many queries in one call."""
PERIOD = 60
HISTORY_PERIOD = 300
"""Seconds between the values of the last minutes, and between those of earlier days."""
MARGIN = 1200
"""Seconds that are asked for beyond the stabilization window: the engine must see what was before it."""
PER_MINUTE = ("Sum", "SampleCount")
"""Statistics that grow with their period: they are given for a minute."""

Values = list[tuple[float, float]]
"""(end of the period in seconds since the epoch, value), in order of time."""


@dataclass(frozen=True)
class Watch:
    """An application's capacity in a region, whose ``scaling.metrics`` are to be read.

    ``serving``: the capacity that serves now; the past is read from the group's metric GroupInServiceCapacity, where
    that is collected. ``group``: the Auto Scaling group's name; ``instances``: in place of it the ids of a fleet's
    instances. ``load_balancer`` and ``target_group``: ARNs, where there is one. ``names``: what ``$app``,
    ``$environment`` and the like mean in queries, names of queues and dimensions; ``$region`` and ``$group`` are known.
    """

    region: str
    scaling: Scaling
    serving: float
    group: str | None = None
    instances: Sequence[str] = ()
    load_balancer: str | None = None
    target_group: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """``text`` with the names in it; a dollar sign that is none of them stays."""
        return Template(text).safe_substitute(self.names, region=self.region, group=self.group or "")


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus to ask. User name and password go to ``url`` only, never to a URL that a manifest names.

    ``timeout``: seconds without an answer after which its metrics are given up.
    """

    url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_path: str | None = None
    timeout: float = 5.0


class Query(NamedTuple):
    """A metric of CloudWatch in a region; ``dimensions`` are (name, value), in order."""

    region: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str


class Range(NamedTuple):
    """A time that is asked about, in seconds since the epoch, with a value every ``period`` seconds."""

    start: int
    end: int
    period: int


class Unreadable(ValueError):
    """Why a metric has no values, as it continues a sentence that begins with the metric."""


def observe(
    clients: Clients,
    watches: Sequence[Watch],
    now: float,
    prometheus: Prometheus | None = None,
    cache: Cache | None = None,
) -> list[Scaling]:
    """The scaling of each watch, in their order, its metrics with their values up to ``now`` (seconds).

    ``cache`` keeps the values of earlier days, which do not change, for an hour; without it a forecast reads them anew.
    Raises nothing for a metric that cannot be read: that has a ``problem``.
    """
    prometheus = prometheus or Prometheus()
    asked = [(watch, metric) for watch in watches for metric in watch.scaling.metrics]
    silent: dict[str, str] = {}
    foreseen = [(watch, metric) for watch, metric in asked if watch.scaling.forecast]
    end = int(now) // PERIOD * PERIOD
    reach = MARGIN + max((_span(watch.scaling) for watch, _metric in asked), default=0)
    recent = _Answers(clients, prometheus, Range(end - reach, end, PERIOD), silent)
    recent.ask(asked)

    hour = int(now) // int(HOUR) * int(HOUR)
    daily = _Answers(
        clients,
        prometheus,
        Range(hour - FORECAST_DAYS * int(DAY) - reach, hour, HISTORY_PERIOD),
        silent,
        lambda values: _same_hours(values, hour, reach),
        cache,
    )
    daily.ask(foreseen)
    return [
        replace(
            watch.scaling, metrics=tuple(_seen(watch, metric, recent, daily, now) for metric in watch.scaling.metrics)
        )
        for watch in watches
    ]


def _span(scaling: Scaling) -> int:
    """What the engine looks back at, in whole periods of seconds."""
    seconds = scaling.stabilization_seconds + (FORECAST_LEVEL if scaling.forecast else 0.0)
    return math.ceil(seconds / HISTORY_PERIOD) * HISTORY_PERIOD


def _same_hours(values: Values, hour: int, reach: int) -> Values:
    """Those of ``values`` that a forecast made between ``hour`` and the next compares itself with."""
    since, until = -reach, HOUR + FORECAST_AHEAD + HISTORY_PERIOD
    # Shifted so that what belongs to one day's comparison is not cut by a midnight.
    return [one for one in values if one[0] < hour - DAY + until and (one[0] - hour - since) % DAY < until - since]


def _seen(watch: Watch, metric: Metric, recent: "_Answers", daily: "_Answers", now: float) -> Metric:
    """``metric`` with what was read of it."""
    try:
        values = recent.values(watch, metric)
    except Unreadable as problem:
        return replace(metric, problem=str(problem))
    served = recent.served(watch)
    series = tuple(Point(time, value, _at(served, time, watch.serving)) for time, value in values)
    earlier: tuple[Point, ...] = ()
    if watch.scaling.forecast:
        try:
            served = daily.served(watch)
            # What served a day ago is not what serves now: where it is not known, a utilization says nothing.
            earlier = tuple(Point(time, value, _at(served, time, 0.0)) for time, value in daily.values(watch, metric))
        except Unreadable:
            earlier = ()  # the engine then says that the forecast has no earlier days
    return replace(metric, series=series, daily=earlier)


def _at(values: Values, time: float, otherwise: float) -> float:
    """The last of ``values`` up to ``time``, unless that is older than ten minutes."""
    place = bisect_right(values, (time, math.inf)) - 1
    return values[place][1] if place >= 0 and time - values[place][0] <= 600 else otherwise


class _Answers:
    """The values of all queries for one range of time, each asked once."""

    def __init__(
        self,
        clients: Clients,
        prometheus: Prometheus,
        span: Range,
        silent: dict[str, str],
        keep: Callable[[Values], Values] = list,
        cache: Cache | None = None,
    ) -> None:
        """``silent``: the URLs that do not answer, and why. ``keep`` chooses the values that are needed."""
        self._clients, self._prometheus, self._span = clients, prometheus, span
        self._silent, self._keep, self._cache = silent, keep, cache
        self._found: dict[Any, Values | str] = {}

    def ask(self, asked: Iterable[tuple[Watch, Metric]]) -> None:
        """Put the queries of all the metrics: to CloudWatch in batches, all side by side."""
        by_region: dict[str, dict[Query, None]] = defaultdict(dict)
        scrapes: dict[tuple[str, str], None] = {}
        for watch, metric in asked:
            try:
                if metric.source.system == PROMETHEUS:
                    scrapes[self._scrape(watch, metric)] = None
                else:
                    by_region[watch.region].update(dict.fromkeys(queries(watch, metric)))
                if metric.kind == UTILIZATION and watch.group:
                    by_region[watch.region][in_service(watch)] = None
            except Unreadable:
                continue  # `values` says so
        batches = [batch for found in by_region.values() for batch in chunks(list(found), QUERIES)]
        work = [partial(self._read, batch) for batch in batches] + [partial(self._look, *one) for one in scrapes]
        side_by_side(lambda one: one(), work)

    def values(self, watch: Watch, metric: Metric) -> Values:
        """What was found of ``metric``, the mean over the instances where they were asked one by one."""
        if metric.source.system == PROMETHEUS:
            return self._answer(self._scrape(watch, metric))
        parts = [self._answer(query) for query in queries(watch, metric)]
        if len(parts) == 1:
            return parts[0]
        together: dict[float, list[float]] = defaultdict(list)
        for time, value in (one for part in parts for one in part):
            together[time].append(value)
        return [(time, fmean(together[time])) for time in sorted(together)]

    def served(self, watch: Watch) -> Values:
        """The capacity that served over time, where it was collected."""
        found = self._found.get(in_service(watch)) if watch.group else None
        return found if isinstance(found, list) else []

    def _answer(self, question: Any) -> Values:
        found = self._found[question]
        if isinstance(found, str):
            raise Unreadable(found)
        return found

    def _scrape(self, watch: Watch, metric: Metric) -> tuple[str, str]:
        """(URL, query) for Prometheus."""
        url = metric.source.url or self._prometheus.url
        if not url:
            raise Unreadable("is read from Prometheus, but no URL is given for it; give the metric a url")
        return url.rstrip("/"), watch.filled(metric.source.query or "")

    def _read(self, batch: Sequence[Query]) -> None:
        def ask() -> list[Values | str]:
            found = get_metric_data(self._clients.get("cloudwatch", batch[0].region), batch, self._span)
            return [one if isinstance(one, str) else self._keep(one) for one in found]

        try:
            answers = self._remember([list(query) for query in batch], ask)
        except AwsError as error:
            answers = [f"is not known ({error})"] * len(batch)
        self._found.update(zip(batch, answers))

    def _look(self, url: str, query: str) -> None:
        def ask() -> list[Values | str]:
            if url in self._silent:
                raise Unreadable(self._silent[url])
            return [self._keep(query_range(self._prometheus, url, query, self._span))]

        try:
            (answer,) = self._remember([url, query], ask)
        except Unreadable as problem:
            answer = str(problem)
        except Unanswered as problem:
            # It is not asked again: a thousand applications would wait for it one after the other.
            answer = self._silent[url] = str(problem)
        self._found[url, query] = answer

    def _remember(self, question: Any, ask: Callable[[], list[Values | str]]) -> list[Values | str]:
        if self._cache is None:
            return ask()
        kept = self._cache.remember(["metrics", question, list(self._span)], HOUR, ask)
        return [one if isinstance(one, str) else [tuple(point) for point in one] for one in kept]


def queries(watch: Watch, metric: Metric) -> list[Query]:
    """The queries of CloudWatch that give ``metric``: one, or one for each instance of a fleet.

    Raises `Unreadable` where the application lacks what the metric is taken from.
    """
    source = metric.source
    of_balancer = (watch.load_balancer, watch.target_group)
    if metric.name == "requests":
        if None in of_balancer:
            raise Unreadable("needs a load balancer, and there is none; follow another metric")
        names = ("LoadBalancer", "TargetGroup")
        pairs = tuple((name, _suffix(arn)) for name, arn in zip(names, of_balancer) if arn)
        return [Query(watch.region, "AWS/ApplicationELB", "RequestCount", pairs, "Sum")]
    if metric.name == "queue_depth":
        pairs = (("QueueName", watch.filled(source.queue or "")),)
        return [Query(watch.region, "AWS/SQS", "ApproximateNumberOfMessagesVisible", pairs, "Average")]
    namespace, name = {"cpu": ("AWS/EC2", "CPUUtilization"), "memory": ("CWAgent", "mem_used_percent")}.get(
        metric.name, ("", "")
    )
    namespace, name = source.namespace or namespace, source.metric or name
    statistic = source.statistic or "Average"
    if source.dimensions or metric.name == "custom":
        sets = [tuple((key, watch.filled(value)) for key, value in source.dimensions)]
    elif watch.group:
        sets = [(("AutoScalingGroupName", watch.group),)]
    else:
        sets = [(("InstanceId", one),) for one in watch.instances]
    if not sets:
        raise Unreadable("is a mean over instances, and there are none")
    return [Query(watch.region, namespace, name, pairs, statistic) for pairs in sets]


def in_service(watch: Watch) -> Query:
    """The capacity of the group that serves, in its own unit."""
    pairs = (("AutoScalingGroupName", watch.group or ""),)
    return Query(watch.region, "AWS/AutoScaling", "GroupInServiceCapacity", pairs, "Average")


def _suffix(arn: str) -> str:
    """What CloudWatch calls it: ``app/web/50dc6c`` of a load balancer, ``targetgroup/web/73e2`` of a target group."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


@Errors.common_error_handler("read the metrics")
def get_metric_data(client: Any, batch: Sequence[Query], span: Range) -> list[Values | str]:
    """GetMetricData, all pages: for each query its values, or why there are none."""
    found: list[dict[float, float]] = [{} for _query in batch]
    problems: dict[int, str] = {}
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": query.namespace,
                        "MetricName": query.metric,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
                    },
                    "Period": span.period,
                    "Stat": query.statistic,
                },
            }
            for number, query in enumerate(batch)
        ],
        StartTime=datetime.fromtimestamp(span.start, timezone.utc),
        EndTime=datetime.fromtimestamp(span.end, timezone.utc),
        ScanBy="TimestampAscending",
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            number = int(result["Id"][1:])
            scale = PERIOD / span.period if batch[number].statistic in PER_MINUTE else 1.0
            for start, value in zip(result["Timestamps"], result["Values"]):
                found[number][start.timestamp() + span.period] = value * scale
            if result.get("StatusCode") in ("InternalError", "Forbidden"):
                said = " ".join(one.get("Value", "") for one in result.get("Messages", ())) or "no reason given"
                problems[number] = f"is not known (CloudWatch answers {result['StatusCode']}: {said})"
    return [problems.get(number) or sorted(values.items()) for number, values in enumerate(found)]


class Unanswered(Exception):
    """A Prometheus that cannot be reached or does not answer in time."""


def query_range(server: Prometheus, url: str, query: str, span: Range) -> Values:
    """`series_of` a query that gives one series: its values.

    Raises `Unanswered` where it does not answer, `Unreadable` where it refuses or the query gives not one series.
    """
    result = series_of(server, url, query, span)
    if len(result) > 1:
        raise Unreadable(f"is not known (the query {query} gives {len(result)} series; make it one by sum() or avg())")
    values = [(float(time), float(value)) for series in result for time, value in series["values"]]
    return [one for one in values if math.isfinite(one[1])]


def series_of(server: Prometheus, url: str, query: str, span: Range) -> list[dict[str, Any]]:
    """``/api/v1/query_range`` of the Prometheus at ``url``: each series with its ``metric`` (labels) and ``values``.

    Raises `Unanswered` where it does not answer, `Unreadable` where it refuses.
    """
    arguments = {"query": query, "start": span.start, "end": span.end, "step": span.period}
    ours = server.url is not None and url == server.url.rstrip("/")
    try:
        with open_url(
            f"{url}/api/v1/query_range?{urlencode({**arguments, 'timeout': f'{server.timeout:g}s'})}",
            timeout=server.timeout,
            url_username=server.username if ours else None,
            url_password=server.password if ours else None,
            force_basic_auth=True,
            ca_path=server.ca_path,
            follow_redirects="none",  # the password is for this server
        ) as answer:
            return list(json.load(answer)["data"]["result"])
    except HTTPError as refused:
        raise Unreadable(f"is not known (the Prometheus {url} answers {refused.code}: {_refusal(refused)})") from None
    except (OSError, HTTPException, UrlError) as error:
        reason = getattr(error, "reason", error)
        raise Unanswered(
            f"is not known (the Prometheus {url} does not answer within {server.timeout:g} s: {reason}; check its url)"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"is not known (what answers at {url} is no Prometheus; check its url)") from None


def _refusal(refused: HTTPError) -> str:
    if refused.code in (401, 403):
        return "check the user name and the password for it"
    try:
        return str(json.load(refused)["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(refused.reason)
