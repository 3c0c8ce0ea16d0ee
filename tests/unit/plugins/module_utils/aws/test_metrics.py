# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of CloudWatch, in how many calls, and what its answers become."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import metrics
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Query, Range, Unreadable, Watch
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import decide
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Metric, Scaling, Source
from botocore.stub import Stubber

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=timezone.utc).timestamp()
ARN = "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:"
CPU = Metric("cpu", "utilization", 60)


def client() -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("cloudwatch", region_name="us-east-1", **keys)


def moment(second: float) -> datetime:
    return datetime.fromtimestamp(second, timezone.utc)


def result(number: int, values: dict[float, float], status: str = "Complete", said: str = "") -> dict[str, Any]:
    messages = {"Messages": [{"Code": "x", "Value": said}]} if said else {}
    times = [moment(second) for second in values]
    return {
        "Id": f"q{number}",
        "Timestamps": times,
        "Values": list(values.values()),
        "StatusCode": status,
        **messages,
    }


def query(name: str, statistic: str = "Average") -> Query:
    return Query("us-east-1", "N", name, (("D", "v"),), statistic)


def test_pages_are_put_together() -> None:
    cloudwatch = client()
    pages = [
        {"MetricDataResults": [result(0, {0: 1.0, 60: 2.0}, "PartialData"), result(1, {})], "NextToken": "more"},
        {"MetricDataResults": [result(0, {120: 3.0}), result(1, {60: 9.0})]},
    ]
    stat = {"Metric": {"Namespace": "N", "Dimensions": [{"Name": "D", "Value": "v"}]}, "Period": 60, "Stat": "Average"}
    asked: dict[str, Any] = {
        "MetricDataQueries": [
            {"Id": f"q{number}", "MetricStat": {**stat, "Metric": {**stat["Metric"], "MetricName": name}}}
            for number, name in enumerate("ab")
        ],
        "StartTime": moment(0),
        "EndTime": moment(180),
        "ScanBy": "TimestampAscending",
    }
    with Stubber(cloudwatch) as stub:
        stub.add_response("get_metric_data", pages[0], asked)
        stub.add_response("get_metric_data", pages[1], {**asked, "NextToken": "more"})
        found = metrics.get_metric_data(cloudwatch, [query("a"), query("b")], Range(0, 180, 60))
        stub.assert_no_pending_responses()
    assert found == [[(60, 1.0), (120, 2.0), (180, 3.0)], [(120, 9.0)]], "a value belongs to the end of its period"


def test_sums_are_for_a_minute_and_failures_have_their_reason() -> None:
    cloudwatch = client()
    answer = {
        "MetricDataResults": [
            result(0, {0: 500.0}),
            result(1, {0: 500.0}),
            result(2, {}, "Forbidden", "not yours"),
            result(3, {}, "InternalError"),
        ]
    }
    with Stubber(cloudwatch) as stub:
        stub.add_response("get_metric_data", answer)
        found = metrics.get_metric_data(
            cloudwatch, [query("a", "Sum"), query("b", "p90"), query("c"), query("d")], Range(0, 300, 300)
        )
    assert found == [
        [(300, 100.0)],
        [(300, 500.0)],
        "is not known (CloudWatch answers Forbidden: not yours)",
        "is not known (CloudWatch answers InternalError: no reason given)",
    ]


class Fake:
    """Stands in for the clients of regions, and for GetMetricData: a value a minute, unless a region fails."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.calls: list[tuple[str, int, Range]] = []
        self._failing = failing

    def get(self, service: str, region: str) -> str:
        assert service == "cloudwatch"
        return region

    def answer(self, region: str, batch: list[Query], span: Range) -> list[list[tuple[float, float]]]:
        self.calls.append((region, len(batch), span))
        if region in self._failing:
            raise AwsError(f"cannot read the metrics in {region}: AWS throttles")
        return [[(float(span.end), 30.0)] for _query in batch]


def fake(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Fake:
    made = Fake(**options)
    monkeypatch.setattr(metrics, "get_metric_data", made.answer)
    return made


def watch(*wanted: Metric, region: str = "us-east-1", group: str | None = "g", **more: Any) -> Watch:
    return Watch(region, Scaling(1, 9, wanted), 4, group, **more)


def test_as_few_calls_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = fake(monkeypatch)
    watches = [watch(CPU, group=f"g{number}") for number in range(600)]
    watches += [watch(CPU, group=f"g{number}", region="eu-west-1") for number in range(3)]
    watches += watches[:100]  # the same question is asked once
    found = metrics.observe(clients, watches, NOW)
    assert sorted(call[:2] for call in clients.calls) == [
        ("eu-west-1", 6),  # each group's CPU, and what served
        ("us-east-1", 200),
        ("us-east-1", 500),
        ("us-east-1", 500),
    ]
    assert all(len(scaling.metrics[0].series) == 1 for scaling in found)
    end = NOW - 30
    assert {call[2] for call in clients.calls} == {Range(int(end) - 1800, int(end), 60)}, "only whole minutes"


def test_a_region_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = fake(monkeypatch, failing=("us-east-1",))
    failed, fine = metrics.observe(clients, [watch(CPU), watch(CPU, region="eu-west-1")], NOW)
    assert failed.metrics[0].problem == "is not known (cannot read the metrics in us-east-1: AWS throttles)"
    assert decide(failed, 4, NOW).target == 4
    assert fine.metrics[0].problem is None and fine.metrics[0].series[-1].value == 30


def test_nothing_to_watch_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = fake(monkeypatch)
    assert metrics.observe(clients, [], NOW) == []
    assert metrics.observe(clients, [watch()], NOW) == [Scaling(1, 9)]
    assert clients.calls == []


def test_names_of_metrics() -> None:
    balanced = watch(
        load_balancer=f"{ARN}loadbalancer/app/web/50dc", target_group=f"{ARN}targetgroup/web/73e2", names={"app": "web"}
    )
    asked = metrics.queries(balanced, Metric("requests", "load", 1))
    pairs = (("LoadBalancer", "app/web/50dc"), ("TargetGroup", "targetgroup/web/73e2"))
    assert asked == [Query("us-east-1", "AWS/ApplicationELB", "RequestCount", pairs, "Sum")]
    own = Source(namespace="Agent", metric="used", statistic="Maximum", dimensions=(("App", "$app-$region$"),))
    pairs = (("App", "web-us-east-1$"),)
    asked = metrics.queries(balanced, Metric("memory", "utilization", 1, own))
    assert asked == [Query("us-east-1", "Agent", "used", pairs, "Maximum")]
    total = Metric("custom", "load", 1, Source(namespace="N", metric="M"))
    assert metrics.queries(balanced, total) == [Query("us-east-1", "N", "M", (), "Average")]


def test_a_utilization_of_earlier_days_needs_what_served_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_client: str, batch: list[Query], span: Range) -> list[list[tuple[float, float]]]:
        times = [float(time) for time in range(span.start, span.end, span.period)]
        return [[] if one.namespace == "AWS/AutoScaling" else [(time, 50.0) for time in times] for one in batch]

    monkeypatch.setattr(metrics, "get_metric_data", answer)
    wanted = Watch("us-east-1", Scaling(1, 9, (CPU,), forecast=True), 4, "g")
    (scaling,) = metrics.observe(Fake(), [wanted], NOW)
    assert {point.serving for point in scaling.metrics[0].series} == {4}
    assert {point.serving for point in scaling.metrics[0].daily} == {0}
    assert "a forecast needs 3 earlier days, 0 are known" in decide(scaling, 4, NOW).reasons[0]


@pytest.mark.parametrize("hour", [0, 1, 11, 23])
def test_the_same_hours_are_whole_at_any_hour(hour: int) -> None:
    day = 86400
    begin = 20000 * day + hour * 3600
    values = [(float(time), 1.0) for time in range(begin - 7 * day - 3600, begin + 1, 300)]
    kept = [time for time, _value in metrics._same_hours(values, begin, 1800)]
    assert len(kept) == 7 * (1800 + 3600 + 900 + 300) / 300
    for number in range(1, 8):
        then = begin - number * day
        assert sum(then - 1800 <= time < then + 4800 for time in kept) == 22


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Unreadable, match="needs a load balancer"):
        metrics.queries(watch(target_group=f"{ARN}targetgroup/web/73e2"), Metric("requests", "load", 1))
    with pytest.raises(Unreadable, match="there are none"):
        metrics.queries(watch(group=None), CPU)
