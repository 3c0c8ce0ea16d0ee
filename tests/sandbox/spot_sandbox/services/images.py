"""AMIs that exist in every region and the public SSM parameters that name them; moto has them for some regions only."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.responses import EC2Response
from moto.ssm.models import Parameter
from moto.ssm.responses import SimpleSystemManagerResponse

BUILT = datetime(2026, 9, 1, tzinfo=timezone.utc)
RELEASE = "20260901-2224"
SERVICE = "/aws/service"
AMAZON_LINUX = f"{SERVICE}/ami-amazon-linux-latest/al2023-ami-kernel-default"
IMAGES = {
    "amd64": ("x86_64", f"{SERVICE}/debian/release/12/{{}}/amd64", "136693071363", "debian-12-amd64", "/dev/xvda"),
    "arm64": ("arm64", f"{SERVICE}/debian/release/12/{{}}/arm64", "136693071363", "debian-12-arm64", "/dev/xvda"),
    "al-x86_64": ("x86_64", f"{AMAZON_LINUX}-x86_64", "137112412989", "al2023-ami-kernel-default-x86_64", "/dev/xvda"),
    "al-arm64": ("arm64", f"{AMAZON_LINUX}-arm64", "137112412989", "al2023-ami-kernel-default-arm64", "/dev/xvda"),
}
"""architecture, SSM parameter (``{}``: the version), owner, name, root device"""


def image_id(region: str, name: str) -> str:
    """The same for a region and an image in every sandbox."""
    return "ami-0" + hashlib.sha256(f"{region}/{name}".encode()).hexdigest()[:16]


def ensure(account: str, region: str) -> None:
    """Make the region's AMIs and parameters where they are missing."""
    from moto.ec2.models import ec2_backends
    from moto.ssm.models import ssm_backends

    ec2, ssm = ec2_backends[account][region], ssm_backends[account][region]
    for architecture, path, owner, name, root in IMAGES.values():
        ami_id = image_id(region, name)
        if ami_id in ec2.amis:
            continue
        debian = "debian" in path
        if not debian and path in ssm._parameters:  # moto has Amazon's own for this region
            continue
        ec2.amis[ami_id] = Ami(
            ec2,
            ami_id,
            owner_id=owner,
            owner_alias="amazon",
            public=True,
            name=f"{name}-{RELEASE}",
            description=f"Debian 12 ({RELEASE})" if debian else "Amazon Linux 2023",
            architecture=architecture,
            virtualization_type="hvm",
            hypervisor="xen",
            root_device_name=root,
            root_device_type="ebs",
            image_type="machine",
            image_location=f"amazon/{name}-{RELEASE}",
            sriov="simple",
            creation_date=BUILT,
            region_name=f"{region}a",
        )
        for version in ("latest", RELEASE) if debian else ("latest",):
            parameter = path.format(version)
            ssm._parameters[parameter].append(_parameter(account, parameter, ami_id))


def _parameter(account: str, name: str, value: str) -> Any:
    return Parameter(
        account_id=account,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=BUILT.timestamp(),
        version=1,
        data_type="aws:ec2:image",
    )


class Images(EC2Response):
    def describe_images(self) -> Any:
        ensure(self.current_account, self.region)
        return super().describe_images()


class Parameters(SimpleSystemManagerResponse):
    def get_parameter(self) -> Any:
        ensure(self.current_account, self.region)
        return super().get_parameter()

    def get_parameters(self) -> Any:
        ensure(self.current_account, self.region)
        return super().get_parameters()

    def get_parameters_by_path(self) -> Any:
        ensure(self.current_account, self.region)
        return super().get_parameters_by_path()


RESPONSES = {"ec2": Images, "ssm": Parameters}
