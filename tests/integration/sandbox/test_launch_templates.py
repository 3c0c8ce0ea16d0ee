"""Launch templates and load balancers where moto alone falls short."""

from __future__ import annotations

import base64

import pytest
from botocore.exceptions import ClientError


def test_versions_are_paged_deleted_and_never_numbered_again(fresh):
    ec2 = fresh.client("ec2")
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "app", "Value": "web"}]}]
    data = {"InstanceType": "m5.large", "UserData": "aGVsbG8="}
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data, TagSpecifications=tags)
    name = {"LaunchTemplateName": "web"}
    for kind in ("c5.large", "r5.large"):
        ec2.create_launch_template_version(**name, SourceVersion="1", LaunchTemplateData={"InstanceType": kind})
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(**name, PaginationConfig={"PageSize": 2})
    versions = [version for page in pages for version in page["LaunchTemplateVersions"]]
    assert [(v["VersionNumber"], v["LaunchTemplateData"]["InstanceType"]) for v in versions] == [
        (1, "m5.large"),
        (2, "c5.large"),
        (3, "r5.large"),
    ]
    assert versions[0]["LaunchTemplateData"] == data
    assert versions[2]["LaunchTemplateData"]["UserData"] == data["UserData"]
    answer = ec2.delete_launch_template_versions(**name, Versions=["1", "3"])
    assert [v["VersionNumber"] for v in answer["SuccessfullyDeletedLaunchTemplateVersions"]] == [3]
    assert [v["VersionNumber"] for v in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [1]
    added = ec2.create_launch_template_version(**name, LaunchTemplateData={"InstanceType": "m5a.large"})
    assert added["LaunchTemplateVersion"]["VersionNumber"] == 4
    with pytest.raises(ClientError, match="InvalidLaunchTemplateId.VersionNotFound"):
        ec2.describe_launch_template_versions(**name, Versions=["3"])
    ec2.create_tags(Resources=[made["LaunchTemplate"]["LaunchTemplateId"]], Tags=[{"Key": "more", "Value": "1"}])
    (shown,) = ec2.describe_launch_templates()["LaunchTemplates"]
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == {"app": "web", "more": "1"}
    assert shown["LatestVersionNumber"] == 4


def test_user_data_has_its_limit(fresh):
    ec2 = fresh.client("ec2")
    data = {"UserData": base64.b64encode(bytes(16384)).decode()}
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
    longer = {"UserData": base64.b64encode(bytes(16385)).decode()}
    with pytest.raises(ClientError, match="InvalidUserData.Malformed.*limited to 16384 bytes"):
        ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData=longer)


def test_target_health_follows_the_instance(fresh):
    ec2, elb = fresh.client("ec2"), fresh.client("elbv2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    found = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
    attributes = {pair["Key"]: pair["Value"] for pair in found}
    assert attributes["idle_timeout.timeout_seconds"] == "60" and attributes["routing.http2.enabled"] == "true"
    group = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    launched = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=subnets[0])
    instance = launched["Instances"][0]["InstanceId"]
    fresh.post("/sandbox/clock", advance=120)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])

    def health():
        (shown,) = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return shown["TargetHealth"]["State"]

    assert health() == "healthy"
    ec2.stop_instances(InstanceIds=[instance])
    fresh.post("/sandbox/clock", advance=120)
    assert health() == "unused"
