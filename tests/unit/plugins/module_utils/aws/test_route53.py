# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that follow what serves: what is asked of Route 53, what is written, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import route53
from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.route53 import Record, Target, follow
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

NAME = "web.example.com"
EAST, WEST = "us-east-1", "eu-west-1"


class FakeClients:
    """Clients with one Route 53 client, whose answers are stubbed."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.client = boto3.client("route53", region_name=EAST, **keys)
        self.stub = Stubber(self.client)
        self.stub.activate()

    def get(self, service: str, region: str | None = None) -> Any:
        assert service == "route53"
        return self.client

    def sets(self, *sets: dict[str, Any], **request: Any) -> None:
        """Answer a list request with ``sets``; ``request``, if given, is what must be asked besides the zone."""
        answer = {"ResourceRecordSets": list(sets), "IsTruncated": False, "MaxItems": "300"}
        asked = {"HostedZoneId": "Z1", **request} if request else None
        self.stub.add_response("list_resource_record_sets", answer, asked)

    def change(self, *changes: tuple[str, dict[str, Any]]) -> None:
        """Expect one batch."""
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": one} for action, one in changes]}
        info = {"ChangeInfo": {"Id": "C1", "Status": "PENDING", "SubmittedAt": "2026-01-31T00:00:00Z"}}
        self.stub.add_response("change_resource_record_sets", info, {"HostedZoneId": "Z1", "ChangeBatch": batch})


@pytest.fixture
def clients():
    made = FakeClients()
    yield made
    made.stub.assert_no_pending_responses()


def balancer(region: str) -> Balancer:
    return Balancer(f"Web-{region}.elb.test", f"Z-{region}")


def record(east: int | None = 10, west: int | None = 10, **more: Any) -> Record:
    targets = tuple(Target(region, serving, balancer(region)) for region, serving in ((EAST, east), (WEST, west)))
    given = {"zone": "Z1", "name": NAME, "policy": "weighted", "app": "web", "environment": "test", "targets": targets, **more}
    return Record(**given)


def ours(region: str, name: str = NAME, environment: str = "test", **routing: Any) -> dict[str, Any]:
    """A record set of ours, as it is written."""
    return {
        "Name": name,
        "Type": "A",
        "SetIdentifier": f"spot.platform/{environment}/{region}",
        "AliasTarget": {
            "HostedZoneId": f"Z-{region}",
            "DNSName": f"Web-{region}.elb.test",
            "EvaluateTargetHealth": True,
        },
        **routing,
    }


def kept(region: str, name: str = NAME, **more: Any) -> dict[str, Any]:
    """The same, as Route 53 tells of it."""
    one = ours(region, f"{name}.", **more)
    return {**one, "AliasTarget": {**one["AliasTarget"], "DNSName": f"web-{region}.elb.test."}}


BOTH = (kept(EAST, Weight=128), kept(WEST, Weight=127))


def test_the_first_time_all_records_are_created_in_one_batch(clients):
    clients.sets(StartRecordName=NAME)
    clients.change(("CREATE", ours(EAST, Weight=170)), ("CREATE", ours(WEST, Weight=85)))
    (change,) = follow(clients, [record(10, 5)], act=True)
    assert change.changed and change.error is None and change.before == {}
    assert change.after == {
        WEST: {"dns_name": f"web-{WEST}.elb.test", "weight": 85},
        EAST: {"dns_name": f"web-{EAST}.elb.test", "weight": 170},
    }
    assert change.reasons[0] == "us-east-1 serves 10 of 15 units: it gets the weight 170"


def test_the_second_time_nothing_is_written(clients):
    clients.sets(*BOTH)
    (change,) = follow(clients, [record()], act=True)
    assert not change.changed and change.before == change.after


def test_in_check_mode_nothing_is_written_but_all_is_said(clients):
    clients.sets(*BOTH)
    (change,) = follow(clients, [record(20, 0)], act=False)
    assert change.changed and [change.after[region]["weight"] for region in (EAST, WEST)] == [255, 0]


def test_only_what_differs_is_written_and_what_others_added_stays(clients):
    checked = {**kept(EAST, Weight=85), "HealthCheckId": "abc"}
    moved = {**kept(WEST, Weight=170), "AliasTarget": {**kept(WEST)["AliasTarget"], "DNSName": "old.elb.test."}}
    clients.sets(checked, moved)
    fresh = {**ours(WEST, f"{NAME}.", Weight=85)}
    clients.change(("UPSERT", {**checked, "Weight": 170}), ("UPSERT", fresh))
    (change,) = follow(clients, [record(10, 5)], act=True)
    assert change.before[WEST] == {"dns_name": "old.elb.test", "weight": 170}


def test_a_region_whose_balancer_is_not_known_keeps_its_record_or_gets_none(clients):
    unknown = replace(record(), targets=(Target(EAST, 10, balancer(EAST)), Target(WEST, None)))
    clients.sets(*BOTH)
    (change,) = follow(clients, [unknown], act=True)
    assert not change.changed and "eu-west-1 could not be observed: its record stays" in change.reasons[0]
    clients.sets(BOTH[0])
    (change,) = follow(clients, [unknown], act=False)
    assert list(change.after) == [EAST]
    assert "no load balancer of eu-west-1 is known: it gets no record" in change.reasons


def test_latency_records_come_and_go_but_never_the_last(clients):
    latency = record(10, 0, policy="latency")
    both = (kept(EAST, Region=EAST), kept(WEST, Region=WEST))
    clients.sets(*both)
    clients.change(("DELETE", both[1]))
    (change,) = follow(clients, [latency], act=True)
    assert change.after == {EAST: {"dns_name": f"web-{EAST}.elb.test"}}
    clients.sets(both[0])
    assert not follow(clients, [record(0, 0, policy="latency")], act=True)[0].changed
    clients.sets(both[0])
    clients.change(("CREATE", ours(WEST, Region=WEST)))
    assert follow(clients, [record(10, 10, policy="latency")], act=True)[0].changed


def test_another_policy_is_set_by_deleting_and_creating_in_one_batch(clients):
    clients.sets(*BOTH, kept("ap-south-1", Weight=1))
    clients.change(
        ("DELETE", BOTH[1]),
        ("DELETE", BOTH[0]),
        ("DELETE", kept("ap-south-1", Weight=1)),
        ("CREATE", kept(EAST, Region=EAST)),
        ("CREATE", kept(WEST, Region=WEST)),
    )
    (change,) = follow(clients, [record(policy="latency")], act=True)
    assert change.before[EAST]["weight"] == 128 and "weight" not in change.after[EAST]


def test_records_of_other_regions_go(clients):
    other = kept("ap-south-1", Weight=9)
    clients.sets(*BOTH, other)
    clients.change(("DELETE", other))
    assert "ap-south-1 is not among the regions" in follow(clients, [record()], act=True)[0].reasons[0]


def test_offboarding_removes_ours_and_nothing_else(clients):
    others = [
        kept(EAST, environment="prod", Weight=3),
        {"Name": f"{NAME}.", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"x"'}]},
    ]
    clients.sets(*BOTH, *others)
    clients.change(("DELETE", BOTH[1]), ("DELETE", BOTH[0]))
    (change,) = follow(clients, [record(targets=())], act=True)
    assert change.after == {} and set(change.before) == {EAST, WEST}
    clients.sets(*others)
    assert not follow(clients, [record(targets=())], act=True)[0].changed


@pytest.mark.parametrize(
    "foreign, words",
    [
        ({"Type": "A", "TTL": 60}, "web.example.com. has a record of type A that is not ours: delete it, or"),
        ({"Type": "CNAME", "TTL": 60}, "has a record of type CNAME that is not ours"),
        ({"Type": "CNAME", "SetIdentifier": "theirs", "Weight": 1}, "has a record of type CNAME that is not ours"),
        ({"Type": "A", "SetIdentifier": "theirs", "Failover": "PRIMARY"}, "(theirs) that is not ours and not weighted"),
    ],
)
def test_a_record_of_somebody_else_is_refused_before_anything_is_written(clients, foreign, words):
    clients.sets({"Name": f"{NAME}.", **foreign})
    (change,) = follow(clients, [record()], act=True)
    assert not change.changed and words in change.error


def test_a_weighted_record_of_somebody_else_may_stand_beside_ours(clients):
    theirs = {"Name": f"{NAME}.", "Type": "A", "SetIdentifier": "theirs", "Weight": 5}
    clients.sets(theirs, {**theirs, "Type": "AAAA"}, *BOTH)
    (change,) = follow(clients, [record()], act=True)
    assert change.error is None and not change.changed


def test_a_name_wanted_twice_is_refused_and_others_go_on(clients):
    clients.sets(*BOTH, StartRecordName=NAME)
    clients.sets(StartRecordName="www.example.com")
    clients.change(
        ("CREATE", ours(EAST, "www.example.com", Weight=128)), ("CREATE", ours(WEST, "www.example.com", Weight=127))
    )
    wanted = [record(20, 0), record(name="www.example.com"), record(0, 20, name=f"{NAME.upper()}.")]
    first, second, third = follow(clients, wanted, act=True)
    assert second.changed and not first.changed and not third.changed
    assert first.error == "the name web.example.com is wanted 2 times: give it to one app"


def test_one_name_that_is_refused_does_not_keep_the_others(clients):
    clients.sets()
    clients.sets()
    clients.stub.add_client_error("change_resource_record_sets", "InvalidChangeBatch", "all")
    clients.stub.add_client_error("change_resource_record_sets", "InvalidChangeBatch", "no such alias target")
    created = [ours(region, "b.example.com", Weight=weight) for region, weight in ((EAST, 255), (WEST, 0))]
    clients.change(*(("CREATE", one) for one in created))
    bad, good = follow(clients, [record(1, 0, name=f"{name}.example.com") for name in "ab"], act=True)
    assert "cannot change the record sets" in bad.error and "no such alias target" in bad.error
    assert not bad.changed and bad.after == bad.before == {} and good.changed


def test_a_zone_that_cannot_be_read_is_the_error_of_its_names_alone(clients, monkeypatch):
    def list_record_sets_of(_client: Any, zone: str, _name: str) -> list[dict[str, Any]]:
        if zone == "Z0":
            raise AwsError("cannot list the record sets: NoSuchHostedZone", "NoSuchHostedZone")
        return list(BOTH)

    monkeypatch.setattr(route53, "list_record_sets_of", list_record_sets_of)
    lost, well = follow(clients, [record(zone="Z0"), record()], act=True)
    assert "NoSuchHostedZone" in lost.error and lost.record.zone == "Z0" and well.error is None


def zones(*found: tuple[str, str, bool]) -> dict[str, Any]:
    return {
        "HostedZones": [
            {"Id": f"/hostedzone/{zone}", "Name": name, "CallerReference": zone, "Config": {"PrivateZone": private}}
            for zone, name, private in found
        ],
        "IsTruncated": False,
        "MaxItems": "100",
    }


@pytest.mark.parametrize(
    "answer, found",
    [
        ([("Z1", "example.com.", False), ("Z2", "example.net.", False)], "Z1"),
        ([("Z2", "example.com.", True), ("Z1", "example.com.", False)], "Z1"),
        ([("Z2", "example.com.", True)], "Z2"),
        ([("Z2", "example.net.", False)], "there is no hosted zone Example.com: create it"),
        ([(one, "example.com.", False) for one in ("Z2", "Z1")], r"there are 2 hosted zones Example.com \(Z1, Z2\)"),
    ],
)
def test_a_zone_is_found_by_its_name(clients, answer, found):
    clients.stub.add_response("list_hosted_zones_by_name", zones(*answer), {"DNSName": "Example.com"})
    if found.startswith("Z"):
        assert route53.find_zone(clients.client, "Example.com") == found
    else:
        with pytest.raises(ValueError, match=found):
            route53.find_zone(clients.client, "Example.com")


def test_a_zone_given_by_id_is_not_looked_up(clients):
    assert route53.find_zone(clients.client, "/hostedzone/Z1") == route53.find_zone(clients.client, "Z1") == "Z1"


def test_few_names_are_looked_up_each_many_in_the_pages_of_the_zone(clients):
    wildcard = {**kept(EAST, "*.example.com", Weight=1), "Name": "\\052.example.com."}
    clients.sets(wildcard, kept(EAST, "a.example.com", Weight=1), StartRecordName="*.example.com")
    assert route53.observe(clients.client, "Z1", ["*.Example.com."]) == {"*.example.com": [wildcard]}
    first = {"ResourceRecordSets": [kept(EAST, "a.example.com", Weight=1)], "IsTruncated": True, "MaxItems": "300"}
    after = {"NextRecordName": "b.example.com.", "NextRecordType": "A", "NextRecordIdentifier": "x"}
    clients.stub.add_response("list_resource_record_sets", {**first, **after}, {"HostedZoneId": "Z1"})
    clients.sets(
        kept(EAST, "b.example.com", Weight=1),
        kept(EAST, "z.example.com", Weight=1),
        StartRecordName="b.example.com.",
        StartRecordType="A",
        StartRecordIdentifier="x",
    )
    found = route53.observe(clients.client, "Z1", [f"{name}.example.com" for name in "abcdef"])
    assert sorted(found) == ["a.example.com", "b.example.com"]


def test_a_batch_holds_as_many_names_as_it_may(clients, monkeypatch):
    monkeypatch.setattr(route53, "BATCH_CHANGES", 5)
    clients.sets()
    names = [f"{name}.example.com" for name in "abcdef"]
    for part in (names[:2], names[2:4], names[4:]):
        clients.change(
            *(
                ("CREATE", ours(region, name, Weight=weight))
                for name in part
                for region, weight in ((EAST, 128), (WEST, 127))
            )
        )
    assert all(one.changed for one in follow(clients, [record(name=name) for name in names], act=True))


def test_characters_fill_a_batch_too(monkeypatch):
    (change,) = _decided(record())
    monkeypatch.setattr(route53, "BATCH_CHARACTERS", 2 * 2 * len("Web-us-east-1.elb.test"))
    assert route53._batches([0, 1, 2], [change] * 3) == [[0, 1], [2]]
    upserts = replace(change, batch=tuple({**one, "Action": "UPSERT"} for one in change.batch))
    assert route53._batches([0, 1, 2], [upserts] * 3) == [[0], [1], [2]], "they count twice"


def _decided(*records: Record) -> list[route53.Change]:
    made = FakeClients()
    for _record in records:
        made.sets()
    return follow(made, records, act=False)


@pytest.mark.parametrize("code, status", [("PriorRequestNotComplete", 400), ("Throttling", 400), ("Unavailable", 503)])
def test_a_call_that_is_put_off_is_repeated_by_itself(monkeypatch, code, status):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    clients = Clients(EAST, None, keys)
    asked: list[str] = []

    class Body:
        def __init__(self, text: str) -> None:
            self.text = text.encode()

        def stream(self, *_args: Any, **_kwargs: Any):
            yield self.text

    def answer(request: Any, **_more: Any) -> AWSResponse:
        asked.append(request.method)
        namespace = 'xmlns="https://route53.amazonaws.com/doc/2013-04-01/"'
        if request.method == "GET":
            sets = f"<ListResourceRecordSetsResponse {namespace}><ResourceRecordSets/><IsTruncated>false</IsTruncated>"
            return AWSResponse(request.url, 200, {}, Body(f"{sets}</ListResourceRecordSetsResponse>"))
        if asked.count("POST") < 3:
            error = f"<ErrorResponse {namespace}><Error><Type>Sender</Type><Code>{code}</Code><Message>later</Message>"
            return AWSResponse(request.url, status, {}, Body(f"{error}</Error></ErrorResponse>"))
        info = "<Id>C1</Id><Status>PENDING</Status><SubmittedAt>2026-01-31T00:00:00Z</SubmittedAt>"
        changed = f"<ChangeResourceRecordSetsResponse {namespace}><ChangeInfo>{info}</ChangeInfo>"
        changed += "</ChangeResourceRecordSetsResponse>"
        return AWSResponse(request.url, 200, {}, Body(changed))

    clients.get("route53").meta.events.register("before-send.route53", answer)
    (change,) = follow(clients, [record()], act=True)
    assert change.changed and asked == ["GET", "POST", "POST", "POST"]
