"""Record sets of the sandbox's Route 53: changed whole or not at all, refused and paged as AWS does it."""

from __future__ import annotations

from typing import Any

import pytest

NAME = "web.example.com"


@pytest.fixture
def zone(fresh: Any) -> Any:
    """``zone(*changes)``: change a zone of its own; ``zone.sets()``: what is in it but its NS and SOA."""
    return Zone(fresh.client("route53"))


class Zone:
    def __init__(self, client: Any) -> None:
        self.client = client
        made = client.create_hosted_zone(Name="example.com", CallerReference="one")
        self.id = made["HostedZone"]["Id"]

    def __call__(self, *changes: tuple[str, dict[str, Any]]) -> None:
        batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
        self.client.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch={"Changes": batch})

    def sets(self, **request: Any) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.id, **request)
        found = [one for page in pages for one in page["ResourceRecordSets"]]
        return [one for one in found if one["Type"] not in ("NS", "SOA")]


def alias(identifier: str, name: str = NAME, **routing: Any) -> dict[str, Any]:
    target = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "Web-1.elb.example.org", "EvaluateTargetHealth": True}
    return {"Name": name, "Type": "A", "SetIdentifier": identifier, "AliasTarget": target, **routing}


def simple(kind: str, value: str, name: str = NAME) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}


def test_weighted_aliases_are_kept_changed_and_deleted_one_by_one(zone):
    other = alias("a", "x.example.com", Weight=1)
    zone(("CREATE", alias("a", Weight=0)), ("UPSERT", alias("b", Weight=255)), ("CREATE", other))
    shown = zone.sets()
    assert [(one["Name"], one["SetIdentifier"], one["Weight"]) for one in shown] == [
        (f"{NAME}.", "a", 0),
        (f"{NAME}.", "b", 255),
        ("x.example.com.", "a", 1),
    ]
    assert shown[0]["AliasTarget"] == {
        "HostedZoneId": "Z35SXDOTRQ7X7K",
        "DNSName": "web-1.elb.example.org.",
        "EvaluateTargetHealth": True,
    }
    zone(("UPSERT", alias("b", Weight=7)), ("DELETE", shown[0]))
    assert [(one["Name"], one["SetIdentifier"], one["Weight"]) for one in zone.sets()] == [
        (f"{NAME}.", "b", 7),
        ("x.example.com.", "a", 1),
    ]


@pytest.mark.parametrize(
    ("there", "changes", "words"),
    [
        ([simple("A", "192.0.2.1")], [("CREATE", alias("a", Weight=1))], "as other RRSets exist"),
        ([alias("a", Weight=1)], [("UPSERT", alias("b", Region="us-east-1"))], "as other RRSets exist"),
        ([simple("CNAME", "other.example.org")], [("CREATE", alias("a", Weight=1))], "conflicting RRSet of type A"),
        ([alias("a", Weight=1)], [("CREATE", alias("a", Weight=1))], "set identifier='a'] but it already exists"),
        ([], [("DELETE", alias("a", Weight=1))], "but it was not found"),
        ([alias("a", Weight=1)], [("DELETE", alias("a", Weight=2))], "do not match the current values"),
        ([], [("CREATE", alias("a", "web.example.org", Weight=1))], "not permitted in zone"),
    ],
)
def test_what_contradicts_is_refused_and_nothing_is_changed(zone, refused, there, changes, words):
    zone(*(("CREATE", one) for one in (simple("MX", "1 mail.example.org", "mx.example.com"), *there)))
    before = zone.sets()
    batch = [("CREATE", simple("TXT", '"ours"', "txt.example.com")), *changes]
    request = [{"Action": action, "ResourceRecordSet": record} for action, record in batch]
    code, message = refused(
        zone.client.change_resource_record_sets, HostedZoneId=zone.id, ChangeBatch={"Changes": request}
    )
    assert code in ("InvalidChangeBatch", "InvalidInput") and words in message
    assert zone.sets() == before


def test_a_policy_is_changed_by_deleting_and_creating_in_one_batch(zone):
    zone(("CREATE", alias("a", Weight=1)), ("CREATE", alias("b", Weight=1)))
    gone = [("DELETE", one) for one in zone.sets()]
    zone(*gone, *(("CREATE", alias(name, Region=region)) for name, region in (("a", "us-east-1"), ("b", "eu-west-1"))))
    assert [one["Region"] for one in zone.sets()] == ["us-east-1", "eu-west-1"]


def test_lists_are_paged_within_a_name(zone):
    zone(*(("CREATE", alias(f"{number:02}", Weight=number)) for number in range(9)))
    paged = zone.sets(StartRecordName=NAME, PaginationConfig={"PageSize": 2})
    assert [one["Weight"] for one in paged] == list(range(9))
    zone(*(("CREATE", simple("A", "192.0.2.1", f"{name}.example.com")) for name in ("a.web", "a")))
    assert [one["Name"] for one in zone.sets() if "TTL" in one] == ["a.example.com.", "a.web.example.com."]


def test_calls_and_faults_know_the_operations(zone, fresh, refused):
    zone.sets()
    assert fresh.get("/sandbox/calls")["services"]["route53"]["ListResourceRecordSets"] == 1
    fresh.post("/sandbox/faults", rules=[{"operation": "ChangeResourceRecordSets", "kind": "denied"}])
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": alias("a", Weight=1)}]}
    code, message = refused(zone.client.change_resource_record_sets, HostedZoneId=zone.id, ChangeBatch=batch)
    assert code == "AccessDenied" and "route53:ChangeResourceRecordSets" in message
