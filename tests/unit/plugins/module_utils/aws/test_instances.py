"""The quick reader gives what botocore's parser gives; health is what groups and target groups say."""

from __future__ import annotations

import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.spot.platform.plugins.module_utils.aws import instances
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from botocore.awsrequest import AWSResponse

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>1</requestId>
  <reservationSet>
    <item>
      <reservationId>r-{number}</reservationId><ownerId>123456789012</ownerId><groupSet/>
      <instancesSet>
        <item>
          <instanceId>i-{number}</instanceId>
          <instanceState><code>16</code><name>running</name></instanceState>
          <reason/>
          <amiLaunchIndex>0</amiLaunchIndex>
          <instanceType>m5.large</instanceType>
          <launchTime>2026-01-31T10:00:00.000Z</launchTime>
          <placement><availabilityZone>us-east-1a</availabilityZone><groupName/><tenancy>default</tenancy></placement>
          <sourceDestCheck>true</sourceDestCheck><ebsOptimized>false</ebsOptimized>
          <groupSet><item><groupId>sg-1</groupId><groupName>web &amp; more</groupName></item></groupSet>
          <blockDeviceMapping>
            <item>
              <deviceName>/dev/xvda</deviceName>
              <ebs><volumeId>vol-1</volumeId><deleteOnTermination>true</deleteOnTermination></ebs>
            </item>
          </blockDeviceMapping>
          <instanceLifecycle>spot</instanceLifecycle>
          <notInTheModel>x</notInTheModel>
          <tagSet>
            <item><key>Name</key><value>web</value></item>
            <item><key>CamelCase</key><value/></item>
          </tagSet>
        </item>
      </instancesSet>
    </item>
  </reservationSet>
  {token}
</DescribeInstancesResponse>"""
PAGES = [PAGE.format(number=2, token="<nextToken>more</nextToken>"), PAGE.format(number=1, token="")]


def client_of(bodies, status=200):
    """An EC2 client that gets these answers; the requests that it sends are collected in ``client.sent``."""
    client = boto3.session.Session().client(
        "ec2", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    answers = iter(bodies)

    class Raw:
        def __init__(self, body):
            self.body = body

        def stream(self, **_options):
            yield self.body

    def send(request, **_event):
        client.sent.append(request.body)
        return AWSResponse(request.url, status, {}, Raw(next(answers).encode()))

    client.sent = []
    client.meta.events.register("before-send.ec2", send)
    return client


def strings(value):
    """The value with its times as the strings that AWS sends."""
    if isinstance(value, dict):
        return {key: strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strings(item) for item in value]
    return value.strftime("%Y-%m-%dT%H:%M:%S.000Z") if isinstance(value, datetime.datetime) else value


def test_reads_what_botocore_reads():
    by_botocore = client_of(PAGES[1:]).describe_instances()["Reservations"][0]["Instances"][0]
    expected = strings(camel_dict_to_snake_dict(by_botocore, ignore_list=["Tags"]))
    expected["tags"] = {tag["Key"]: tag["Value"] for tag in by_botocore["Tags"]}
    expected.update(owner_id="123456789012", requester_id="", reservation_id="r-1")
    expected["placement"]["region"] = "us-east-1"
    assert instances.describe_instances(client_of(PAGES[1:]), []) == [expected]


def test_follows_the_pages_and_sorts():
    client = client_of(PAGES)
    assert [found["instance_id"] for found in instances.describe_instances(client, [])] == ["i-1", "i-2"]
    assert ["NextToken=more" in str(request) for request in client.sent] == [False, True]
    assert all("MaxResults=1000" in str(request) for request in client.sent)


def test_no_instances():
    answer = "<DescribeInstancesResponse xmlns='x'><reservationSet/></DescribeInstancesResponse>"
    assert instances.describe_instances(client_of([answer]), []) == []


def test_an_error_of_aws_is_explained():
    answer = (
        "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error>"
        "</Errors><RequestID>1</RequestID></Response>"
    )
    with pytest.raises(AwsError, match="list the instances in us-east-1: access denied.*ec2:DescribeInstances"):
        instances.describe_instances(client_of([answer], status=403), [])


@pytest.mark.parametrize(
    "state, status, health",
    [
        ("InService", "Healthy", "healthy"),
        ("InService", "Unhealthy", "unhealthy"),
        ("Pending:Wait", "Healthy", "starting"),
        ("Terminating", "Healthy", "draining"),
        ("Detaching", "Healthy", "draining"),
        ("Standby", "Healthy", "unknown"),
    ],
)
def test_health_in_group(state, status, health):
    assert instances.health_in_group({"LifecycleState": state, "HealthStatus": status}) == health


class TargetGroups:
    """An ELBv2 client with these target groups: state by instance, by ARN."""

    def __init__(self, states):
        self.states = states

    def describe_target_health(self, TargetGroupArn):
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": name}, "TargetHealth": {"State": state}}
                for name, state in self.states[TargetGroupArn].items()
            ]
        }


def test_the_worst_target_group_counts_and_the_group_where_there_is_none():
    client = TargetGroups({"a": {"i-1": "healthy", "i-2": "healthy"}, "b": {"i-1": "initial", "i-2": "healthy"}})
    members = {name: instances.Membership("web", "healthy", ("a", "b")) for name in ("i-1", "i-2", "i-3")}
    members["i-4"] = instances.Membership("worker", "unhealthy", ())
    assert instances.health(client, members) == {
        "i-1": "starting",
        "i-2": "healthy",
        "i-3": "healthy",
        "i-4": "unhealthy",
    }


def test_who_asks_while_another_one_prepares_the_reading_is_read_quickly_too(monkeypatch):
    client = client_of(PAGES[1:] * 2)
    began, reader_of = threading.Event(), instances.reader_of

    def slow(shape, name):
        began.set()
        time.sleep(0.05)
        return reader_of(shape, name)

    monkeypatch.setattr(instances, "reader_of", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(instances.describe_instances, client, [])
        began.wait(10)
        second = pool.submit(instances.describe_instances, client, [])
        assert first.result() == second.result() != []
