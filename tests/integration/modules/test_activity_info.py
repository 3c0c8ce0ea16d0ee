# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""activity_info against the sandbox: our log, Auto Scaling, CodeDeploy and CloudTrail on one time line."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, rfc3339
from ansible_collections.spot.platform.plugins.modules import activity_info
from ansible_collections.spot.platform.tests.integration.modules import estates
from ansible_collections.spot.platform.tests.integration.modules.groups import make

BOTH = ["us-east-1", "eu-west-1"]


@pytest.fixture
def activity(run_module, tmp_path):
    """``activity(*events, **options)``: run the module with an activity log that has these events."""

    def run(*events, **options):
        if events:
            log = tmp_path / "activity.jsonl"
            log.write_text("".join(json.dumps(one) + "\n" for one in events), encoding="utf-8")
            options["file"] = str(log)
        return run_module("activity_info", {"regions": ["us-east-1"], **options})

    return run


def own(kind, resource, app="shop", seconds=0, **more):
    """An event of our own, of some seconds ago."""
    time = rfc3339(datetime.now(timezone.utc) - timedelta(seconds=seconds))
    return Event(
        kind=kind, resource=resource, summary=f"{kind} {resource}", app=app, region="us-east-1", time=time, **more
    ).as_dict()


def volume(sandbox, region="us-east-1", **tags):
    return sandbox.client("ec2", region).create_volume(
        AvailabilityZone=f"{region}a",
        Size=8,
        VolumeType="gp3",
        TagSpecifications=estates.specified("volume", {**estates.tags(), **tags}),
    )["VolumeId"]


def as_user(sandbox, name, service):
    """A client of a user of IAM."""
    iam = sandbox.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=sandbox.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )


def deployment(sandbox, app="shop", **tags):
    """A deployment of an application, and its id."""
    role = estates.role_of(sandbox, "codedeploy", {})
    client = sandbox.client("codedeploy")
    client.create_application(
        applicationName=app, computePlatform="Server", tags=estates.listed({**estates.tags(app), **tags})
    )
    client.create_deployment_group(applicationName=app, deploymentGroupName="production", serviceRoleArn=role)
    revision = {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k", "bundleType": "zip"}}
    return client.create_deployment(applicationName=app, deploymentGroupName="production", revision=revision)[
        "deploymentId"
    ]


def told(found, **wanted):
    return [one for one in found["activity"] if wanted.items() <= one.items()]


def test_all_sources_on_one_line_with_no_call_that_is_not_documented(sandbox, fresh, activity):
    make(sandbox)
    name, deployed = volume(sandbox), deployment(sandbox)
    sandbox.post("/sandbox/calls/reset")
    found = activity(
        own("volume.deferred", name, changed=False),
        own("capacity.launched", "", seconds=60, actor="aws.autoscaling"),
    )
    assert found["errors"] == []
    assert set(found["counts"]) == {"platform", "codedeploy", "autoscaling", "eventbridge", "cloudtrail"}
    times = [one["time"] for one in found["activity"]]
    assert times == sorted(times) and len({one["id"] for one in found["activity"]}) == len(times)
    launched = told(found, kind="capacity.launched", source="autoscaling", app="web")
    assert len(launched) == 4 and all(one["resource"].startswith("i-") for one in launched)
    assert [one["app"] for one in told(found, source="codedeploy", resource=deployed)] == ["shop"]
    assert [one["actor"] for one in told(found, kind="ec2.create_volume", resource=name)] == ["sandbox"]
    assert estates.made_calls(sandbox) <= estates.documented(activity_info.DOCUMENTATION)


def test_what_we_did_is_there_once_and_has_the_user_who_called(sandbox, fresh, activity):
    name = volume(sandbox)
    as_user(sandbox, "jane", "ec2").modify_volume(VolumeId=name, Size=20)
    found = activity(own("volume.resized", name))
    (resized,) = told(found, kind="volume.resized")
    assert (resized["source"], resized["actor"]) == ("platform", "jane")
    assert resized["principal"].endswith(":user/jane")
    assert told(found, kind="ec2.modify_volume") == []
    alone = activity()
    assert [one["actor"] for one in told(alone, kind="ec2.modify_volume")] == ["jane"]


def test_an_instance_that_somebody_ended_is_told_of_by_name(sandbox, fresh, activity):
    make(sandbox)
    members = sandbox.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
    victim = members[0]["InstanceId"]
    as_user(sandbox, "mallory", "ec2").terminate_instances(InstanceIds=[victim])
    sandbox.post("/sandbox/clock", advance=30)
    found = activity()
    ends = [one for one in found["activity"] if one["resource"] == victim and "terminat" in one["kind"]]
    assert [one["actor"] for one in ends] == ["mallory"]


def test_what_is_refused_is_told_as_not_done(sandbox, fresh, activity):
    name = volume(sandbox)
    with pytest.raises(Exception, match="InvalidParameterValue"):
        sandbox.client("ec2").modify_volume(VolumeId=name, Size=1)
    (refused,) = told(activity(), kind="ec2.modify_volume")
    assert refused["changed"] is False and "InvalidParameterValue" in refused["reasons"][0]


def test_what_is_not_ours_is_left_out_unless_it_is_asked_for(sandbox, fresh, activity):
    sandbox.client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=8)
    theirs = deployment(sandbox, app="theirs", **{"spot.platform/environment": "test"})
    assert activity(environment="production")["activity"] == []
    everything = activity(all=True)
    assert told(everything, kind="ec2.create_volume") and told(everything, source="codedeploy", resource=theirs)


def test_applications_narrow(sandbox, fresh, activity):
    blog, shop = volume(sandbox, **{"spot.platform/app": "blog"}), volume(sandbox)
    found = activity(own("volume.deferred", blog, app="blog"), own("volume.deferred", shop), apps=["blog"])
    assert {one["app"] for one in found["activity"]} == {"blog"} and len(found["activity"]) == 2


def test_without_permission_the_rest_is_there(sandbox, fresh, activity):
    make(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"operation": "LookupEvents", "kind": "denied"}])
    found = activity()
    assert [error["action"] for error in found["errors"]] == ["cloudtrail:LookupEvents"]
    assert set(found["counts"]) == {"autoscaling"}


def test_a_region_that_does_not_answer_leaves_the_others(sandbox, fresh, activity):
    make(sandbox)
    sandbox.post("/sandbox/faults", rules=[{"region": "eu-west-1", "kind": "timeout", "seconds": 0}])
    found = activity(regions=BOTH, aws_config={"retries": {"mode": "standard", "max_attempts": 2}})
    assert {error["region"] for error in found["errors"]} == {"eu-west-1"} and len(found["errors"]) == 1
    assert {one["region"] for one in found["activity"]} == {"us-east-1"}


def test_cloudtrail_is_read_page_by_page_and_says_where_it_stopped(sandbox, fresh, activity):
    for _each in range(60):
        volume(sandbox)
    sandbox.post("/sandbox/calls/reset")
    found = activity(sources=["cloudtrail"])
    assert len(told(found, kind="ec2.create_volume")) == 60 and found["errors"] == []
    assert sandbox.get("/sandbox/calls")["services"]["cloudtrail"]["LookupEvents"] == 2
    short = activity(sources=["cloudtrail"], trail_pages=1)
    assert len(told(short, kind="ec2.create_volume")) == 50
    assert "1 pages reach back to" in short["errors"][0]["message"] and "trail_pages" in short["errors"][0]["message"]
    assert len(activity(sources=["cloudtrail"], limit=5)["activity"]) == 5


def test_our_log_alone_needs_no_region_and_no_call(sandbox, fresh, activity):
    old = own("volume.resized", "vol-1", seconds=7200)
    sandbox.post("/sandbox/calls/reset")
    found = activity(old, own("volume.resized", "vol-2"), sources=["platform"], hours=1)
    assert [one["resource"] for one in found["activity"]] == ["vol-2"]
    assert sandbox.get("/sandbox/calls")["total"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"file": "/nowhere/activity.jsonl"}, "cannot read the activity file /nowhere/activity.jsonl"),
        ({"hours": -1}, "hours is -1.0; it must be at least 0"),
        ({"trail_pages": 0}, "trail_pages is 0; it must be at least 1"),
        ({"limit": 0}, "limit is 0; it must be at least 1"),
        ({"sources": ["gossip"]}, "sources"),
    ],
    ids=str,
)
def test_bad_input_is_refused(sandbox, fresh, activity, options, said):
    found = activity(**options)
    assert found["failed"] and said in found["msg"]


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"kind": "a.b"}', '{"kind": "a.b", "time": "2026-01-31T12:00:00"}'])
def test_a_log_with_another_line_is_refused(sandbox, fresh, run_module, tmp_path, line):
    log = tmp_path / "activity.jsonl"
    log.write_text(json.dumps(own("volume.resized", "vol-1")) + "\n" + line + "\n", encoding="utf-8")
    found = run_module("activity_info", {"regions": ["us-east-1"], "file": str(log)})
    assert found["failed"] and f"line 2 of the activity file {log}" in found["msg"]


def test_hostile_texts_are_data(sandbox, fresh, activity):
    hostile = "{{ lookup('pipe', 'id') }}"
    name = volume(sandbox, **{"spot.platform/app": hostile})
    found = activity(own("volume.resized", name, app=hostile, actor="<script>"), sources=["platform", "cloudtrail"])
    assert {one["app"] for one in found["activity"]} == {hostile}
