"""DynamoDB tables with conditional writes, and Route 53 records, as the platform uses them on the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

MODULE = "community.aws.dynamodb_table"


def make_table(client: Any, name: str = "state") -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "app", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "app", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 2})


@pytest.fixture
def tables(fresh: Any) -> Any:
    """A DynamoDB client, and a table."""
    client = fresh.client("dynamodb")
    make_table(client)
    return client


def test_a_condition_lets_one_writer_through_and_tells_the_other_what_is_there(tables: Any, refused: Any) -> None:
    lease = {"TableName": "state", "Item": {"app": {"S": "web"}, "owner": {"S": "a"}, "until": {"N": "100"}}}
    tables.put_item(**lease, ConditionExpression="attribute_not_exists(app)")
    code, _message = refused(tables.put_item, **lease, ConditionExpression="attribute_not_exists(app)")
    assert code == "ConditionalCheckFailedException"
    taking = {
        "TableName": "state",
        "Key": {"app": {"S": "web"}},
        "UpdateExpression": "SET #o = :me, #u = :until",
        "ConditionExpression": "attribute_not_exists(#o) OR #o = :me OR #u < :now",
        "ExpressionAttributeNames": {"#o": "owner", "#u": "until"},
    }

    def values(now: int) -> dict[str, dict[str, str]]:
        return {":me": {"S": "b"}, ":until": {"N": str(now + 60)}, ":now": {"N": str(now)}}

    with pytest.raises(tables.exceptions.ConditionalCheckFailedException) as caught:
        tables.update_item(
            **taking, ExpressionAttributeValues=values(99), ReturnValuesOnConditionCheckFailure="ALL_OLD"
        )
    assert caught.value.response["Item"]["owner"] == {"S": "a"}
    taken = tables.update_item(**taking, ExpressionAttributeValues=values(101), ReturnValues="ALL_NEW")
    assert taken["Attributes"] == {"app": {"S": "web"}, "owner": {"S": "b"}, "until": {"N": "161"}}


def test_many_items_come_in_one_call_and_each_region_has_its_own_table(tables: Any, fresh: Any, refused: Any) -> None:
    for app in ("web", "worker"):
        tables.put_item(TableName="state", Item={"app": {"S": app}, "memory": {"M": {"n": {"N": "1"}}}})
    keys = [{"app": {"S": app}} for app in ("web", "worker", "none")]
    found = tables.batch_get_item(RequestItems={"state": {"Keys": keys, "ConsistentRead": True}})
    assert sorted(i["app"]["S"] for i in found["Responses"]["state"]) == ["web", "worker"]
    assert found["UnprocessedKeys"] == {}
    elsewhere = fresh.client("dynamodb", "eu-west-1")
    assert refused(elsewhere.describe_table, TableName="state")[0] == "ResourceNotFoundException"
    make_table(elsewhere)
    assert "Item" not in elsewhere.get_item(TableName="state", Key={"app": {"S": "web"}})


def test_time_to_live_is_kept(tables: Any) -> None:
    tables.update_time_to_live(TableName="state", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    shown = tables.describe_time_to_live(TableName="state")["TimeToLiveDescription"]
    assert shown == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_the_community_modules_make_a_table_once(fresh: Any, run_module: Any) -> None:
    wanted = {
        "name": "state",
        "region": "us-east-1",
        "hash_key_name": "app",
        "hash_key_type": "STRING",
        "billing_mode": "PAY_PER_REQUEST",
        "tags": {"spot.platform/managed-by": "spot.platform"},
    }
    assert run_module(MODULE, wanted, check=True)["changed"]
    first, second = run_module(MODULE, wanted), run_module(MODULE, wanted)
    assert (first["changed"], second["changed"]) == (True, False), (first, second)
    assert first["table"]["id"] == second["table"]["id"]
    lasting = {"state": "enable", "region": "us-east-1", "table_name": "state", "attribute_name": "expires"}
    assert [run_module("community.aws.dynamodb_ttl", lasting)["changed"] for _time in range(2)] == [True, False]
    gone = {"name": "state", "region": "us-east-1", "state": "absent"}
    assert [run_module(MODULE, gone)["changed"] for _time in range(2)] == [True, False]


def test_weighted_and_latency_records_are_changed_in_place(fresh: Any) -> None:
    dns = fresh.client("route53")
    zone = dns.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def upsert(name: str, region: str, **more: Any) -> None:
        alias = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": f"lb.{region}.example", "EvaluateTargetHealth": True}
        record = {"Name": name, "Type": "A", "SetIdentifier": region, "AliasTarget": alias, **more}
        changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)

    for region, weight in (("us-east-1", 10), ("eu-west-1", 20), ("us-east-1", 0)):
        upsert("www.example.com", region, Weight=weight)
    upsert("near.example.com", "eu-west-1", Region="eu-west-1")
    shown = dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert {r["SetIdentifier"]: r["Weight"] for r in shown if "Weight" in r} == {"us-east-1": 0, "eu-west-1": 20}
    assert [r["Name"] for r in shown if r.get("Region") == "eu-west-1"] == ["near.example.com."]
    counted = fresh.get("/sandbox/calls")["services"]["route53"]
    assert counted == {"CreateHostedZone": 1, "ChangeResourceRecordSets": 4, "ListResourceRecordSets": 1}
