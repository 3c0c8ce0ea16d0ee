"""Launching: from a request and its launch template to running instances of one pool, or EC2's error."""

from __future__ import annotations

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance
from moto.ec2.utils import convert_tag_spec, parse_user_data
from moto.iam.models import iam_backends
from spot_sandbox import clock, market, pools
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services import images
from spot_sandbox.services.instances.records import backend_of, forget_ended, keep, tell_state

NO_SPOT = "There is no Spot capacity available that matches your request."
pending_seconds = 0.0
"""Sandbox seconds from launch to ``running``; ``POST /sandbox/launches`` sets it."""


class Scarce(EC2ClientError):
    """No room in the pool; EC2 answers it with HTTP 500, so clients retry."""


def scarce(region: str, zone: str | None, instance_type: str, lifecycle: str) -> Scarce:
    """The error that EC2 gives for a pool without room."""
    if lifecycle == "spot":
        return Scarce("InsufficientInstanceCapacity", NO_SPOT)
    others = [z for z in market.zones(region) if z != zone and pools.free(region, z, instance_type, lifecycle)]
    where = f"in the Availability Zone you requested ({zone})" if zone else "in the Region you requested"
    remedy = (
        f" You can currently get {instance_type} capacity by not specifying an Availability Zone in your request"
        f" or choosing {', '.join(others)}."
        if others and zone
        else ""
    )
    return Scarce(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {instance_type} capacity {where}."
        f" Our system will be working on provisioning additional capacity.{remedy}",
    )


def template_version(region: str, specification: dict[str, Any]) -> Any:
    """moto's launch template version for ``{"LaunchTemplateId"|"LaunchTemplateName", "Version"}``."""
    backend = backend_of(region)
    if specification.get("LaunchTemplateId"):
        template = backend.get_launch_template(specification["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(specification.get("LaunchTemplateName"))
    return template.get_version(specification.get("Version") or "$Default")


def from_template(region: str, specification: dict[str, Any] | None, request: dict[str, Any]) -> dict[str, Any]:
    """A launch request with what its launch template adds; the request wins, tags are joined."""
    if not specification:
        return dict(request)
    version = template_version(region, specification)
    data = {k: v for k, v in dict(version.data).items() if v is not None}
    made = {**data, **{k: v for k, v in request.items() if v is not None}}
    tags = convert_tag_spec(list(data.get("TagSpecifications") or []))
    for kind, more in convert_tag_spec(list(request.get("TagSpecifications") or [])).items():
        tags.setdefault(kind, {}).update(more)
    tags.setdefault("instance", {}).update(
        {"aws:ec2launchtemplate:id": version.template.id, "aws:ec2launchtemplate:version": str(version.number)}
    )
    made["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in some.items()]} for kind, some in tags.items()
    ]
    return made


def check_profile(region: str, profile: dict[str, Any]) -> None:
    """Raise EC2's error for an instance profile that does not exist."""
    iam = iam_backends[ACCOUNT]["aws"]
    named = {p.name for p in iam.instance_profiles.values()} | {p.arn for p in iam.instance_profiles.values()}
    wanted = profile.get("Name") or profile.get("Arn")
    if wanted not in named:
        kind = "Name" if profile.get("Name") else "ARN"
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({wanted}) for parameter iamInstanceProfile.{kind.lower()} is invalid."
            f" Invalid IAM Instance Profile {kind}",
        )


def start(
    region: str,
    spec: dict[str, Any],
    count: int,
    zone: str,
    subnet_id: str | None,
    lifecycle: str,
    tags: dict[str, str] | None = None,
    minimum: int = 1,
) -> list[Instance]:
    """Run up to ``count`` instances of one pool; raises ``Scarce`` when fewer than ``minimum`` can be had.

    ``spec`` is a RunInstances request (with the template's part, see ``from_template``); ``lifecycle`` is ``spot`` or
    ``on_demand``; ``tags`` are added to the instances.
    """
    backend, instance_type = backend_of(region), spec["InstanceType"]
    if not spec.get("ImageId"):
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if instance_type not in market.types(region):
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    if not market.offered(region, zone, instance_type):
        others = ", ".join(z for z in market.zones(region) if market.offered(region, z, instance_type))
        raise EC2ClientError(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability"
            f" Zone ({zone}). Please retry your request by not specifying an Availability Zone or choosing {others}.",
        )
    if lifecycle == "spot":
        _check_price(region, zone, spec)
    forget_ended(region)
    pool = (region, zone, instance_type, lifecycle)
    granted = pools.acquire(*pool, count)
    if granted < minimum:
        pools.release(*pool, granted)
        raise scarce(region, zone, instance_type, lifecycle)
    try:
        made = make(backend, region, spec, granted, subnet_id, lifecycle, tags or {})
    except BaseException:
        pools.release(*pool, granted)
        raise
    for instance in made.instances:
        keep(region, pool, instance.id, made.id)
        tell_state(region, instance.id, "pending")
        if pending_seconds:
            instance._state.code, instance._state.name = 0, "pending"
            clock.call_later(pending_seconds, _run, region, instance)
        else:
            tell_state(region, instance.id, "running")
    return list(made.instances)


def _run(region: str, instance: Instance) -> None:
    if instance.state == "pending":
        instance._state.code, instance._state.name = 16, "running"
        tell_state(region, instance.id, "running")


def control_launches(body: dict[str, Any]) -> dict[str, Any]:
    """Set how long instances are pending."""
    global pending_seconds
    value = body.get("pending_seconds", pending_seconds)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 3600:
        raise ValueError(f"pending_seconds {value!r} is out of range: give 0 to 3600")
    pending_seconds = float(value)
    return {"pending_seconds": pending_seconds}


def reset() -> None:
    """Instances run at once."""
    global pending_seconds
    pending_seconds = 0.0


def _check_price(region: str, zone: str, spec: dict[str, Any]) -> None:
    limit = ((spec.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}).get("MaxPrice")
    price = market.spot_price(region, zone, spec["InstanceType"], clock.now())
    if limit and price is not None and float(limit) < price:
        raise EC2ClientError(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {limit} is lower than the minimum required Spot request"
            f" fulfillment price of {price}.",
        )


def make(
    backend: Any,
    region: str,
    spec: dict[str, Any],
    count: int,
    subnet_id: str | None,
    lifecycle: str,
    tags: dict[str, str],
) -> Any:
    spec = {**spec, "ImageId": images.resolved(region, spec["ImageId"])}
    specified = convert_tag_spec(list(spec.get("TagSpecifications") or []))
    specified["instance"] = {**specified.get("instance", {}), **tags}
    data = spec.get("UserData")
    if data is not None and not isinstance(data, Base64EncodedString):
        data = parse_user_data(data)
    profile = spec.get("IamInstanceProfile") or {}
    try:
        made = backend.run_instances(
            spec["ImageId"],
            count,
            data,
            list(spec.get("SecurityGroups") or []),
            instance_type=spec["InstanceType"],
            is_instance_type_default=False,
            region_name=region,
            subnet_id=subnet_id,
            key_name=spec.get("KeyName"),
            security_group_ids=list(spec.get("SecurityGroupIds") or []),
            nics=[dict(nic, SubnetId=subnet_id) for nic in spec.get("NetworkInterfaces") or []],
            private_ip=spec.get("PrivateIpAddress"),
            associate_public_ip=None if subnet_id else True,
            tags=specified,
            ebs_optimized=bool(spec.get("EbsOptimized")),
            disable_api_stop=bool(spec.get("DisableApiStop")),
            disable_api_termination=bool(spec.get("DisableApiTermination")),
            instance_market_options="spot" if lifecycle == "spot" else None,
            instance_initiated_shutdown_behavior=spec.get("InstanceInitiatedShutdownBehavior"),
            hibernation_options=spec.get("HibernationOptions"),
            monitoring_state="enabled" if (spec.get("Monitoring") or {}).get("Enabled") else "disabled",
            metadata_options=spec.get("MetadataOptions") or {},
            client_token=spec.get("ClientToken", ""),
            block_device_mappings=_devices(backend, spec),
        )
    except StopIteration:
        raise EC2ClientError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested"
            " number of instances.",
        ) from None
    launched = clock.now().replace(tzinfo=None)
    for instance in made.instances:
        instance.launch_time = launched
        for nic in instance.nics.values():
            nic.attach_time, nic.delete_on_termination = launched, True
        if profile:
            backend.associate_iam_instance_profile(
                instance.id, iam_instance_profile_name=profile.get("Name"), iam_instance_profile_arn=profile.get("Arn")
            )
    return made


def _devices(backend: Any, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The block devices with EC2's defaults; the image's root volume is always among them."""
    image = backend.amis.get(spec["ImageId"])
    root = (image.root_device_name if image else None) or "/dev/xvda"
    wanted = {
        d["DeviceName"]: dict(d.get("Ebs") or {}) for d in spec.get("BlockDeviceMappings") or [] if d.get("DeviceName")
    }
    wanted.setdefault(root, {})
    defaults = {"VolumeSize": 8, "VolumeType": "gp3"}
    return [
        {"DeviceName": name, "Ebs": {**defaults, "DeleteOnTermination": name == root, **ebs}}
        for name, ebs in wanted.items()
    ]
