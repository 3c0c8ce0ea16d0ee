"""The operations on Spot requests; those of RequestSpotInstances are moto's, and are shown beside the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from spot_sandbox.services.ec2 import Page
from spot_sandbox.services.instances.answers import answer, xml_time
from spot_sandbox.services.instances.filters import matcher
from spot_sandbox.services.instances.spot_requests import REQUESTS, requests_of

FILTERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "spot-instance-request-id": lambda r: r["SpotInstanceRequestId"],
    "instance-id": lambda r: r["InstanceId"],
    "state": lambda r: r["State"],
    "status-code": lambda r: r["Status"]["Code"],
    "launched-availability-zone": lambda r: r["LaunchedAvailabilityZone"],
    "launch.instance-type": lambda r: r["LaunchSpecification"]["InstanceType"],
    "product-description": lambda r: r["ProductDescription"],
    "type": lambda r: r["Type"],
}


class SpotRequestCalls(EC2Response):
    """Showing and cancelling Spot requests."""

    def describe_spot_instance_requests(self) -> str:
        self.error_on_dryrun()
        ids = list(self._get_param("SpotInstanceRequestIds") or [])
        size = self._get_param("MaxResults")
        if ids and size:
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter spotInstanceRequestIds cannot be used with the parameter maxResults",
            )
        self._check_spot_requests(ids)
        found = [r.shown() for r in requests_of(self.region) if not ids or r.id in ids]
        found += [_moto_shown(r) for r in self.ec2_backend.spot_instance_requests.values() if not ids or r.id in ids]
        for item in self._get_param("Filters") or []:
            name, match = item["Name"], matcher(item.get("Values") or [])
            if name.startswith("tag:"):
                key = name.removeprefix("tag:")
                found = [r for r in found if match(self._spot_request_tags(r).get(key))]
            elif name in FILTERS:
                found = [r for r in found if match(FILTERS[name](r))]
            else:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        rows, token = Page(self.params, default=len(found) if ids else 1000, least=5, most=1000).cut(found)
        items = "".join(_xml(row, self._spot_request_tags(row)) for row in rows)
        following = f"<nextToken>{token}</nextToken>" if token else ""
        body = f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>{following}"
        return answer("DescribeSpotInstanceRequests", body)

    def cancel_spot_instance_requests(self) -> ActionResult:
        self.error_on_dryrun()
        ids = list(self._get_param("SpotInstanceRequestIds") or [])
        self._check_spot_requests(ids)
        for request_id in ids:
            if request_id in REQUESTS:
                REQUESTS[request_id].cancel()
            else:
                self.ec2_backend.cancel_spot_instance_requests([request_id])
        states = {i: REQUESTS[i].state if i in REQUESTS else "cancelled" for i in ids}
        return ActionResult(
            {"CancelledSpotInstanceRequests": [{"SpotInstanceRequestId": i, "State": s} for i, s in states.items()]}
        )

    def _check_spot_requests(self, ids: list[str]) -> None:
        known = {r.id for r in requests_of(self.region)} | set(self.ec2_backend.spot_instance_requests)
        if missing := [i for i in ids if i not in known]:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{missing[0]}' does not exist"
            )

    def _spot_request_tags(self, shown: dict[str, Any]) -> dict[str, str]:
        return dict(self.ec2_backend.tags.get(shown["SpotInstanceRequestId"], {}))


def _moto_shown(request: Any) -> dict[str, Any]:
    """A request that moto keeps."""
    nics = list(request.instance.nics.values())
    return {
        "SpotInstanceRequestId": request.id,
        "InstanceId": request.instance_id,
        "State": request.state,
        "Status": request.status,
        "CreateTime": request.create_time,
        "LaunchedAvailabilityZone": nics[0].subnet.availability_zone if nics else None,
        "LaunchSpecification": {
            "InstanceType": request.launch_specification.instance_type,
            "ImageId": request.launch_specification.image_id,
        },
        "SpotPrice": request.price,
        "Type": request.type,
        "ProductDescription": request.product_description,
        "InstanceInterruptionBehavior": request.instance_interruption_behavior,
    }


def _xml(request: dict[str, Any], tags: dict[str, str]) -> str:
    """A request as text: moto's serialiser is too slow for thousands."""
    named = "".join(f"<item><key>{escape(k)}</key><value>{escape(v)}</value></item>" for k, v in tags.items())
    return f"<item>{_fields(request)}<tagSet>{named}</tagSet></item>"


def _fields(values: dict[str, Any]) -> str:
    return "".join(
        f"<{k[0].lower()}{k[1:]}>{_text(v)}</{k[0].lower()}{k[1:]}>" for k, v in values.items() if v is not None
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _fields(value)
    return xml_time(value) if isinstance(value, datetime) else escape(str(value))
