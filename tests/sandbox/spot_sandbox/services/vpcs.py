"""DeleteVpc as EC2 does it: refused while something depends on the VPC, and its default network ACL goes with it."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.responses import EC2Response


class Vpcs(EC2Response):
    """moto looks at subnets only, and leaves the network ACL behind."""

    def delete_vpc(self) -> Any:
        backend, vpc_id = self.ec2_backend, self._get_param("VpcId")
        attached = [gateway for gateway in backend.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc_id]
        groups = [group for group in backend.groups[vpc_id].values() if group.name != "default"]
        if attached or groups:
            raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        result = super().delete_vpc()
        for acl in [acl for acl in backend.network_acls.values() if acl.vpc_id == vpc_id]:
            backend.network_acls.pop(acl.id)
        return result


RESPONSES = {"ec2": Vpcs}
