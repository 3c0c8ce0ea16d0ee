"""CloudWatch is moto's; its GetMetricData finds the values of a metric by their time, however many there are.

moto goes through all values of all metrics for each period of each query.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, Statistics

Key = tuple[str, str, frozenset[tuple[str, str]]]
_moto_put, _moto_get = CloudWatchBackend.put_metric_data, CloudWatchBackend.get_metric_data
_values: dict[tuple[str, str], dict[Key, list[tuple[datetime, int, Any]]]] = defaultdict(dict)
"""By account and region: the values of each metric in order of time."""


def _moment(value: datetime) -> datetime:
    return value.replace(tzinfo=None)


def put_metric_data(backend: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """Keep them as moto does, and by metric."""
    before = len(backend.metric_data)
    _moto_put(backend, namespace, metric_data)
    kept = _values[backend.account_id, backend.region_name]
    for number, one in enumerate(backend.metric_data[before:], before):
        key = (one.namespace, one.name, frozenset((each.name, each.value) for each in one.dimensions))
        insort(kept.setdefault(key, []), (_moment(one.timestamp), number, one))


def get_metric_data(
    backend: CloudWatchBackend,
    queries: list[dict[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampAscending",
) -> list[dict[str, Any]]:
    """The values of plain metrics; expressions, units and what AWS measures itself are moto's."""
    kept = _values.get((backend.account_id, backend.region_name), {})
    if start_time >= end_time or not all(_plain(query) for query in queries):
        return _moto_get(backend, queries, start_time, end_time, scan_by)
    start, end = _moment(start_time).replace(microsecond=0), _moment(end_time).replace(microsecond=0)
    found = []
    for query in queries:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        pairs = frozenset((one["Name"], one["Value"]) for one in metric.get("Dimensions", ()))
        values = kept.get((metric["Namespace"], metric["MetricName"], pairs), [])
        inside = values[bisect_left(values, (start,)) : bisect_left(values, (end,))]
        points = list(_by_period(inside, start, int(stat["Period"]), stat["Stat"]))
        if scan_by == "TimestampDescending":
            points.reverse()
        found.append(
            {
                "id": query["Id"],
                "label": query.get("Label") or f"{metric['MetricName']} {stat['Stat']}",
                "values": [value for _time, value in points],
                "timestamps": [time for time, _value in points],
                "status_code": "Complete",
            }
        )
    return found


def _plain(query: dict[str, Any]) -> bool:
    """Whether it asks for what was put, and is to be answered."""
    stat = query.get("MetricStat", {})
    metric = stat.get("Metric", {})
    own = not metric.get("Namespace", "AWS/").startswith("AWS/")
    return own and bool(metric.get("Dimensions")) and not stat.get("Unit") and query.get("ReturnData") is not False


def _by_period(
    values: Iterable[tuple[datetime, int, Any]], start: datetime, period: int, stat: str
) -> Iterable[tuple[datetime, Any]]:
    parts: dict[int, list[Any]] = defaultdict(list)
    for moment, _number, value in values:
        parts[int((moment - start).total_seconds()) // period].append(value)
    for number, some in sorted(parts.items()):
        stats = Statistics([stat], start + timedelta(seconds=number * period))
        stats.metric_data = some
        yield stats.timestamp, stats.get_statistics_for_type(stat)


def reset() -> None:
    """No values."""
    _values.clear()


CloudWatchBackend.put_metric_data = put_metric_data
CloudWatchBackend.get_metric_data = get_metric_data
