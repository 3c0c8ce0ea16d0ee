# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One resource of each kind, as an application has them."""

from __future__ import annotations

import json
import re
import time
from typing import Any

REGION = "us-east-1"


def tags(app: str = "shop", environment: str = "production") -> dict[str, str]:
    return {
        "spot.platform/app": app,
        "spot.platform/environment": environment,
        "spot.platform/managed-by": "spot.platform",
    }


def listed(own: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in own.items()]


def tagged(own: dict[str, str]) -> dict[str, Any]:
    """The argument of a call that takes no empty list of tags."""
    return {"Tags": listed(own)} if own else {}


def specified(kind: str, own: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": listed(own)}] if own else []


def build(
    sandbox: Any, region: str = REGION, own: dict[str, str] | None = None, prefix: str = "shop"
) -> dict[str, str]:
    """Make it all; returns the ids by kind."""
    own = tags() if own is None else own
    ec2 = sandbox.client("ec2", region)
    subnet = ec2.describe_subnets()["Subnets"][0]
    image = next(iter(ec2.describe_images()["Images"]))["ImageId"]
    made: dict[str, str] = {}
    instance = ec2.run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet["SubnetId"],
        TagSpecifications=specified("instance", {**own, "Name": f"{prefix}-one"}),
    )
    made["instance"] = instance["Instances"][0]["InstanceId"]
    made["volume"] = ec2.create_volume(
        AvailabilityZone=subnet["AvailabilityZone"],
        Size=10,
        VolumeType="gp3",
        TagSpecifications=specified("volume", {**own, "Name": f"{prefix}-data"}),
    )["VolumeId"]
    made["snapshot"] = ec2.create_snapshot(VolumeId=made["volume"], TagSpecifications=specified("snapshot", own))[
        "SnapshotId"
    ]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=specified("elastic-ip", own))
    made["address"] = address["AllocationId"]
    made["key_pair"] = ec2.create_key_pair(KeyName=prefix, TagSpecifications=specified("key-pair", own))["KeyPairId"]
    template = ec2.create_launch_template(
        LaunchTemplateName=prefix,
        LaunchTemplateData={"ImageId": image, "InstanceType": "m5.large"},
        TagSpecifications=specified("launch-template", own),
    )
    made["launch_template"] = template["LaunchTemplate"]["LaunchTemplateId"]
    made["image"] = ec2.create_image(
        InstanceId=made["instance"], Name=f"{prefix}-golden", TagSpecifications=specified("image", own)
    )["ImageId"]
    made["nat_gateway"] = ec2.create_nat_gateway(
        SubnetId=subnet["SubnetId"], AllocationId=made["address"], TagSpecifications=specified("natgateway", own)
    )["NatGateway"]["NatGatewayId"]
    sandbox.client("autoscaling", region).create_auto_scaling_group(
        AutoScalingGroupName=prefix,
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=2,
        VPCZoneIdentifier=subnet["SubnetId"],
        LaunchTemplate={"LaunchTemplateName": prefix, "Version": "$Latest"},
        Tags=[{**one, "PropagateAtLaunch": True} for one in listed(own)],
    )
    made["group"] = prefix
    sandbox.post("/sandbox/clock", advance=120)
    balancing = sandbox.client("elbv2", region)
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    balancer = balancing.create_load_balancer(Name=prefix, Subnets=subnets, **tagged(own))["LoadBalancers"][0]
    made["load_balancer"] = balancer["LoadBalancerArn"]
    group = balancing.create_target_group(Name=prefix, Protocol="HTTP", Port=80, VpcId=subnet["VpcId"], **tagged(own))[
        "TargetGroups"
    ][0]
    made["target_group"] = group["TargetGroupArn"]
    balancing.register_targets(TargetGroupArn=made["target_group"], Targets=[{"Id": made["instance"]}])
    acm = sandbox.client("acm", region)
    made["certificate"] = acm.request_certificate(DomainName=f"{prefix}.example.com", ValidationMethod="DNS", **tagged(own))["CertificateArn"]
    deadline = time.monotonic() + 30
    while acm.describe_certificate(CertificateArn=made["certificate"])["Certificate"]["Status"] != "ISSUED":  # moto takes a second
        assert time.monotonic() < deadline, "the certificate was not issued"
        time.sleep(0.2)
    sandbox.client("rds", region).create_db_instance(
        DBInstanceIdentifier=prefix,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="postgres",
        MasterUserPassword="not-a-secret",
        **tagged(own),
    )
    made["database"] = prefix
    sandbox.client("dynamodb", region).create_table(
        TableName=prefix,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        **tagged(own),
    )
    made["table"] = prefix
    queues = sandbox.client("sqs", region)
    dead = queues.create_queue(QueueName=f"{prefix}-dead", tags=own)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    queues.create_queue(QueueName=prefix, tags=own, Attributes={"RedrivePolicy": policy})
    made["queue"] = prefix
    made["topic"] = sandbox.client("sns", region).create_topic(Name=prefix, **tagged(own))["TopicArn"]
    made["file_system"] = sandbox.client("efs", region).create_file_system(CreationToken=prefix, **tagged(own))[
        "FileSystemId"
    ]
    made["function"] = prefix
    role = role_of(sandbox, f"{prefix}-function", own)
    sandbox.client("lambda", region).create_function(
        FunctionName=prefix,
        Runtime="python3.11",
        Role=role,
        Handler="main.handler",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        Tags=own,
    )
    kms = sandbox.client("kms", region)
    of_key = [{"TagKey": key, "TagValue": value} for key, value in own.items()]
    made["key"] = kms.create_key(Description=f"{prefix} data", Tags=of_key)["KeyMetadata"]["KeyId"]
    sandbox.client("logs", region).create_log_group(logGroupName=f"/{prefix}", tags=own)
    made["log_group"] = f"/{prefix}"
    bucket = f"{prefix}-{region}"
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    storage = sandbox.client("s3", region)
    storage.create_bucket(Bucket=bucket, **where)
    if own:
        storage.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": listed(own)})
    made["bucket"] = bucket
    return made


def role_of(sandbox: Any, name: str, own: dict[str, str], trust: dict[str, Any] | None = None) -> str:
    """A role that Lambda may take, or whoever ``trust`` says."""
    trust = trust or {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    iam = sandbox.client("iam")
    names = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    if name not in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), **tagged(own))
    return iam.get_role(RoleName=name)["Role"]["Arn"]


def documented(documentation: str) -> set[str]:
    """The IAM actions that a module names."""
    return set(re.findall(r"C\(([a-z0-9]+:[A-Za-z]+)\)", documentation))


IAM_OF = {
    "elbv2": "elasticloadbalancing",
    "efs": "elasticfilesystem",
    "service-quotas": "servicequotas",
    "resourcegroupstaggingapi": "tag",
}


def made_calls(sandbox: Any) -> set[str]:
    """The calls since the last reset, as IAM names them."""
    services = sandbox.get("/sandbox/calls")["services"]
    named = {f"{IAM_OF.get(service, service)}:{name}" for service, names in services.items() for name in names}
    return {"s3:ListAllMyBuckets" if one.startswith("s3:") else one for one in named}
