# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances use of their CPU, memory, disks and network, an hour at a time, from CloudWatch and Prometheus.

CloudWatch knows CPU and network by itself, memory and disks from its agent on the host. Where it knows nothing of an hour, the
Prometheus is asked, whose node exporters have the label ``instance_id``.

Required IAM actions: ``cloudwatch:GetMetricData``, ``cloudwatch:ListMetrics``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.clients import chunks
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import Part
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import (
    PERIOD,
    QUERIES,
    Prometheus,
    Query,
    Range,
    Unanswered,
    Unreadable,
    get_metric_data,
    series_of,
)

HOUR = 3600
HOURS = 24
CPU, MEMORY, DISK, NETWORK = "cpu", "memory", "disk", "network"
OWN = ((CPU, "CPUUtilization", "Average"), (NETWORK, "NetworkIn", "Sum"), (NETWORK, "NetworkOut", "Sum"))
"""What EC2 measures of every instance."""
AGENT = "CWAgent"
OF_AGENT = ((MEMORY, "mem_used_percent"), (DISK, "disk_used_percent"))
PASSING = frozenset({"tmpfs", "devtmpfs", "overlay", "squashfs", "ramfs", "iso9660"})
"""File systems that are no disks."""
REAL = 'fstype!~"tmpfs|devtmpfs|overlay|squashfs|ramfs|iso9660"'
SCRAPED = {
    CPU: '100 * (1 - avg by (instance_id) (rate(node_cpu_seconds_total{mode="idle"}[1h])))',
    MEMORY: "100 * (1 - max by (instance_id) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes))",
    DISK: f"100 * max by (instance_id) (1 - node_filesystem_avail_bytes{{{REAL}}} / node_filesystem_size_bytes{{{REAL}}})",
    NETWORK: (
        'sum by (instance_id) (rate(node_network_receive_bytes_total{device!="lo"}[1h])) + '
        'sum by (instance_id) (rate(node_network_transmit_bytes_total{device!="lo"}[1h]))'
    ),
}
"""Of node exporter, by instance."""


class Utilisation:
    """Of the instances ``rows`` that run, over the last whole hours before ``now`` (seconds since the epoch)."""

    def __init__(self, rows: Sequence[dict[str, Any]], now: float, prometheus: Prometheus | None) -> None:
        self._rows = {row["id"]: row for row in rows if row["state"] == "running"}
        end = int(now) // HOUR * HOUR
        self._span = Range(end - HOURS * HOUR, end, HOUR)
        self._prometheus = prometheus if prometheus and prometheus.url else None
        self._agents: dict[str, list[tuple[str, str, Query]]] = defaultdict(list)
        self._values: dict[str, dict[str, list[float | None]]] = {
            name: {measure: [None] * HOURS for measure in (CPU, MEMORY, DISK, NETWORK)} for name in self._rows
        }

    def parts(self) -> Iterator[Part]:
        """What to read first: what the agents of CloudWatch on the hosts tell of."""
        for region in sorted({row["region"] for row in self._rows.values()}):
            yield region, "cloudwatch", "the metrics of CloudWatch's agents", partial(self._look_for_agents, region)

    def then(self) -> Iterator[Part]:
        """What to read after that."""
        for region in sorted({row["region"] for row in self._rows.values()}):
            own = [
                (name, measure, Query(region, "AWS/EC2", metric, (("InstanceId", name),), statistic))
                for name, row in self._rows.items()
                if row["region"] == region
                for measure, metric, statistic in OWN
            ]
            for batch in chunks([*own, *self._agents[region]], QUERIES):
                yield region, "cloudwatch", "utilisation", partial(self._read, batch)

    def _look_for_agents(self, region: str, client: Any) -> None:
        """An agent may tell of more dimensions than the instance: which, only the list of metrics says."""
        for measure, metric in OF_AGENT:
            pages = client.get_paginator("list_metrics").paginate(
                Namespace=AGENT, MetricName=metric, RecentlyActive="PT3H"
            )
            for one in (one for page in pages for one in page["Metrics"]):
                pairs = tuple((pair["Name"], pair["Value"]) for pair in one.get("Dimensions", ()))
                named = dict(pairs)
                name = named.get("InstanceId")
                if name in self._rows and named.get("fstype") not in PASSING:
                    self._agents[region].append((name, measure, Query(region, AGENT, metric, pairs, "Average")))

    def _read(self, batch: Sequence[tuple[str, str, Query]], client: Any) -> None:
        answers = get_metric_data(client, [query for _name, _measure, query in batch], self._span)
        for (name, measure, _query), values in zip(batch, answers):
            if isinstance(values, str):
                raise AwsError(f"CloudWatch: {measure} of {name} {values}")
            if measure == NETWORK:  # a sum, given for a minute
                values = [(time, value / PERIOD) for time, value in values]
            self._put(name, measure, values)

    def scrape(self) -> list[str]:
        """Ask the Prometheus for what CloudWatch did not tell; returns why it could not be read."""
        if not self._prometheus or not self._rows:
            return []
        problems = []
        for measure, query in SCRAPED.items():
            if all(None not in values[measure] for values in self._values.values()):
                continue
            try:
                found = series_of(self._prometheus, str(self._prometheus.url).rstrip("/"), query, self._span)
            except Unanswered as problem:
                return [*problems, f"utilisation {problem}"]
            except Unreadable as problem:
                problems.append(f"the utilisation of {measure} {problem}")
                continue
            for series in found:
                name = series.get("metric", {}).get("instance_id")
                if name in self._rows:
                    values = [(float(time), float(value)) for time, value in series["values"]]
                    self._fill(name, measure, values)
        return problems

    def _place(self, time: float) -> int:
        """The hour that ends at ``time``."""
        return math.ceil((time - self._span.start) / HOUR) - 1

    def _put(self, name: str, measure: str, values: Iterable[tuple[float, float]]) -> None:
        """Of several disks the fullest counts, of several directions of the network their sum."""
        hours = self._values[name][measure]
        for time, value in values:
            place = self._place(time)
            if 0 <= place < HOURS:
                before = hours[place]
                if before is None:
                    hours[place] = value
                else:
                    hours[place] = before + value if measure == NETWORK else max(before, value)

    def _fill(self, name: str, measure: str, values: Iterable[tuple[float, float]]) -> None:
        hours = self._values[name][measure]
        for time, value in values:
            place = self._place(time)
            if 0 <= place < HOURS and hours[place] is None and math.isfinite(value):
                hours[place] = value

    def write(self) -> None:
        """Put down in the rows what was read; what is known of no hour is left as it is."""
        for name, row in self._rows.items():
            row["utilisation"] = {measure: _rounded(measure, hours) for measure, hours in self._values[name].items()}


def _rounded(measure: str, hours: Sequence[float | None]) -> list[float | None]:
    digits = 0 if measure == NETWORK else 1
    return [None if value is None else round(value, digits) for value in hours]


def prometheus_of(options: Mapping[str, Any] | None) -> Prometheus | None:
    """The Prometheus that a module's option names."""
    return Prometheus(**options) if options else None
