"""EBS volumes: ModifyVolume with its real life, its limits and its refusals, and volumes that are attached to one instance at a time.

A modification is ``modifying`` for some seconds, and then ``optimizing``, from when on the volume has its new size, for long; then
``completed``, or ``failed`` where a control said so. None begins before the one before has ended, nor after four in 24 hours.
moto changes a volume at once, lets it shrink, and knows no limit.

A volume is ``attaching`` and ``detaching`` for some seconds, none where no control says otherwise. A detach hangs for volumes that a
control names, as it does on AWS while the volume is mounted, until it is forced. moto attaches a volume to whom it is told, whoever has
it, in whatever zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
from moto.ec2.responses import EC2Response

from spot_sandbox import ACCOUNT, clock
from spot_sandbox.services import events
from spot_sandbox.services.ec2 import Page, passes

MOST, DAY = 4, 86400.0
"""Modifications of a volume that may begin in so many seconds."""

SIZES = {
    "gp2": (1, 16384),
    "gp3": (1, 65536),
    "io1": (4, 16384),
    "io2": (4, 65536),
    "st1": (125, 16384),
    "sc1": (125, 16384),
    "standard": (1, 1024),
}
"""GiB of each type, at least and at most."""
IOPS = {"gp3": (3000, 80000, 500), "io1": (100, 64000, 50), "io2": (100, 256000, 1000)}
"""Of the types that are told theirs: at least, at most, and for each GiB."""
THROUGHPUT = (125, 2000, 0.25)
"""MiB/s of gp3: at least, at most, and for each of its IOPS."""

PACE = {"modifying": 5.0, "optimizing": 600.0, "attaching": 0.0, "detaching": 0.0}
"""Seconds of each state, where a control does not say otherwise."""

_pace = dict(PACE)
_failing: set[str] = set()
_hanging: set[str] = set()
MODIFYING = ("modifying", "optimizing")


@dataclass
class Modification:
    """One of a volume, by its request. ``original`` and ``target``: size, volume type, IOPS and throughput."""

    volume: Volume
    region: str
    original: dict[str, Any]
    target: dict[str, Any]
    began: datetime
    state: str = "modifying"
    message: str | None = None
    ended: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """As EC2 answers it."""
        whole = sum(_pace[state] for state in MODIFYING)
        passed = (clock.now() - self.began).total_seconds() / whole if whole else 1.0
        shown = {
            "VolumeId": self.volume.id,
            "ModificationState": self.state,
            "Progress": 100 if self.state == "completed" else min(99, int(100 * passed)),
            "StartTime": self.began,
            "StatusMessage": self.message,
            "EndTime": self.ended,
        }
        for when, figures in (("Original", self.original), ("Target", self.target)):
            shown |= {f"{when}{name}": value for name, value in figures.items()}
        return {name: value for name, value in shown.items() if value is not None}

    def optimize(self) -> None:
        """The volume has its new size and type."""
        if self.volume.id in _failing:
            _failing.discard(self.volume.id)
            self._end("failed", "The volume modification failed; try again")
            return
        self.volume.size, self.volume.volume_type = self.target["Size"], self.target["VolumeType"]
        self.volume.iops, self.volume.throughput = self.target["Iops"], self.target["Throughput"]
        self.state = "optimizing"
        self._tell()
        clock.call_later(_pace["optimizing"], self._end, "completed")

    def _end(self, state: str, message: str | None = None) -> None:
        self.state, self.message, self.ended = state, message, clock.now()
        self._tell()

    def _tell(self) -> None:
        arn = f"arn:aws:ec2:{self.region}:{ACCOUNT}:volume/{self.volume.id}"
        detail = {"result": self.state, "cause": self.message or "", "event": "modifyVolume", "request-id": self.volume.id}
        events.emit(self.region, "aws.ec2", "EBS Volume Notification", detail, [arn])


_modifications: dict[str, list[Modification]] = {}
_tokens: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
"""What was asked with each token for idempotency, by region, and the volume that was made."""


def reset() -> None:
    _modifications.clear()
    _failing.clear()
    _hanging.clear()
    _tokens.clear()
    _pace.update(PACE)


def figures(volume: Volume) -> dict[str, Any]:
    """What a modification may change; gp2's IOPS follow from its size."""
    iops = min(16000, max(100, 3 * volume.size)) if volume.volume_type == "gp2" else volume.iops
    throughput = volume.throughput or (125 if volume.volume_type == "gp3" else None)
    return {"Size": volume.size, "VolumeType": volume.volume_type, "Iops": iops, "Throughput": throughput}


class Volumes(EC2Response):
    """EBS's operations on volumes."""

    def create_volume(self) -> Any:
        token, asked = self._get_param("ClientToken"), {key: value for key, value in self.params.items() if key != "Action"}
        if token and (self.region, token) in _tokens:
            before, name = _tokens[self.region, token]
            if before != asked:
                raise EC2ClientError("IdempotentParameterMismatch", "The client token has been used with other parameters.")
            return ActionResult(self.ec2_backend.get_volume(name))
        result = super().create_volume()
        made = list(self.ec2_backend.volumes.values())[-1]
        made.iops, made.throughput = figures(made)["Iops"], figures(made)["Throughput"]
        if token:
            _tokens[self.region, token] = (asked, made.id)
        return result

    def describe_volumes(self) -> ActionResult:
        page = Page(self.params, default=1000, least=5, most=1000)
        filters = self._filters_from_querystring()
        types = filters.pop("volume-type", None)
        found = self.ec2_backend.describe_volumes(volume_ids=self._get_param("VolumeIds", []), filters=filters)
        shown, token = page.cut([one for one in found if passes(one.volume_type, types)])
        for one in shown:
            one.snapshot_id, one.multi_attach_enabled = one.snapshot_id or "", False
        return ActionResult({"Volumes": list(shown)} | ({"NextToken": token} if token else {}))

    def describe_snapshots(self) -> ActionResult:
        """moto ignores whose they are asked for, and shows those of public images as well."""
        page = Page(self.params, default=1000, least=5, most=1000)
        owners = {ACCOUNT if one == "self" else one for one in self._get_param("OwnerIds", [])}
        found = self.ec2_backend.describe_snapshots(self._get_param("SnapshotIds", []), self._filters_from_querystring())
        shown, token = page.cut([one for one in found if not owners or one.owner_id in owners])
        return ActionResult({"Snapshots": list(shown)} | ({"NextToken": token} if token else {}))

    def attach_volume(self) -> ActionResult:
        volume, instance = self.ec2_backend.get_volume(self._get_param("VolumeId")), self.ec2_backend.get_instance(self._get_param("InstanceId"))
        device = self._get_param("Device")
        _check_attach(volume, instance, device)
        self.error_on_dryrun()
        made = self.ec2_backend.attach_volume(volume.id, instance.id, device)
        made.attach_time = clock.now()
        if _pace["attaching"]:
            made.status = "attaching"
            clock.call_later(_pace["attaching"], _attached, made)
        return ActionResult(_shown(made, "attaching"))

    def detach_volume(self) -> ActionResult:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        asked, made = self._get_param("InstanceId"), volume.attachment
        if made is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        if asked and asked != made.instance.id:
            raise EC2ClientError("InvalidAttachment.NotFound", f"The volume '{volume.id}' is not attached to instance '{asked}'.")
        self.error_on_dryrun()
        forced = str(self._get_param("Force")).lower() == "true"
        answer = _shown(made, "detaching")
        if volume.id in _hanging and not forced:
            made.status = "busy"
        elif _pace["detaching"] and not forced:
            made.status = "detaching"
            clock.call_later(_pace["detaching"], _detached, self.ec2_backend, made)
        else:
            _detached(self.ec2_backend, made)
        return ActionResult(answer)

    def modify_volume(self) -> ActionResult:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        asked = {name: self._get_param(name) for name in ("Size", "VolumeType", "Iops", "Throughput")}
        asked = {name: value for name, value in asked.items() if value is not None}
        if not asked:
            raise EC2ClientError("InvalidParameterCombination", "At least one of size, type, iops or throughput must be given.")
        past = _modifications.setdefault(volume.id, [])
        target = _target(figures(volume), asked)
        _check_state(volume.id, past)
        self.error_on_dryrun()
        made = Modification(volume, self.region, figures(volume), target, clock.now())
        past.append(made)
        clock.call_later(_pace["modifying"], made.optimize)
        return ActionResult({"VolumeModification": made.as_dict()})

    def describe_volumes_modifications(self) -> ActionResult:
        page = Page(self.params, default=500, least=1, most=500)
        ids = self._get_param("VolumeIds", [])
        for name in ids:
            self.ec2_backend.get_volume(name)
            if not _modifications.get(name):
                raise EC2ClientError("InvalidVolumeModification.NotFound", f"Modification for volume '{name}' does not exist.")
        last = {name: past[-1] for name, past in _modifications.items() if past and past[-1].region == self.region}
        found = [last[name] for name in ids] if ids else list(last.values())
        filters = self._filters_from_querystring()
        for name, values in filters.items():
            if name not in ("modification-state", "volume-id"):
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
            found = [one for one in found if passes(one.state if name == "modification-state" else one.volume.id, values)]
        shown, token = page.cut(found)
        return ActionResult({"VolumesModifications": [one.as_dict() for one in shown]} | ({"NextToken": token} if token else {}))


def _check_attach(volume: Volume, instance: Any, device: str) -> None:
    if volume.attachment is not None:
        raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.zone.name != instance._placement.zone:
        words = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise EC2ClientError("InvalidVolume.ZoneMismatch", words)
    if instance.state not in ("running", "stopped", "stopping"):
        raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if device in instance.block_device_mapping:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use")


def _shown(made: VolumeAttachment, state: str) -> dict[str, Any]:
    """An attachment as EC2 answers it."""
    named = {"VolumeId": made.volume.id, "InstanceId": made.instance.id, "Device": made.device}
    return {**named, "State": state, "AttachTime": made.attach_time}


def _attached(made: VolumeAttachment) -> None:
    if made.volume.attachment is made and made.status == "attaching":
        made.status = "attached"


def _detached(backend: Any, made: VolumeAttachment) -> None:
    if made.volume.attachment is made:
        backend.detach_volume(made.volume.id, made.instance.id, made.device)


def _target(now: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked for, whole. Raises for what EC2 refuses."""
    kind = asked.get("VolumeType", now["VolumeType"])
    size = int(asked.get("Size", now["Size"]))
    if kind not in SIZES:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}' for VolumeType.")
    if size < now["Size"]:
        raise EC2ClientError("InvalidParameterValue", "New size cannot be smaller than existing size")
    least, most = SIZES[kind]
    if not least <= size <= most:
        raise EC2ClientError("InvalidParameterValue", f"Volume of {size}GiB is invalid; must be between {least} and {most} for {kind}.")
    return {"Size": size, "VolumeType": kind, "Iops": _iops(kind, size, now, asked), "Throughput": _throughput(kind, now, asked)}


def _iops(kind: str, size: int, now: dict[str, Any], asked: dict[str, Any]) -> int | None:
    if kind not in IOPS:
        if "Iops" in asked:
            raise EC2ClientError("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
        return min(16000, max(100, 3 * size)) if kind == "gp2" else None
    least, most, each = IOPS[kind]
    kept = now["Iops"] if now["VolumeType"] == kind else None
    found = int(asked.get("Iops") or kept or least)
    if kind != "gp3" and not (asked.get("Iops") or kept):
        raise EC2ClientError("InvalidParameterCombination", f"The parameter iops must be specified for {kind} volumes.")
    if not least <= found <= most or found > max(least, each * size):
        raise EC2ClientError("InvalidParameterCombination", f"Iops of {found} is invalid for {size} GiB of {kind}.")
    return found


def _throughput(kind: str, now: dict[str, Any], asked: dict[str, Any]) -> int | None:
    if kind != "gp3":
        if "Throughput" in asked:
            raise EC2ClientError("InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes.")
        return None
    least, most, each = THROUGHPUT
    found = int(asked.get("Throughput") or now["Throughput"] or least)
    if not least <= found <= most:
        raise EC2ClientError("InvalidParameterValue", f"Throughput of {found} is invalid; must be between {least} and {most}.")
    return found


def _check_state(name: str, past: list[Modification]) -> None:
    if past and past[-1].state in MODIFYING:
        state = past[-1].state.upper()
        raise EC2ClientError("IncorrectModificationState", f"Volume {name} cannot be modified in modification state {state}")
    if sum((clock.now() - one.began).total_seconds() < DAY for one in past) >= MOST:
        raise EC2ClientError(
            "VolumeModificationRateExceeded",
            f"You've reached the maximum modification rate per volume limit of {MOST} in 24 hours: {name}.",
        )


def volumes(body: dict[str, Any]) -> dict[str, Any]:
    """How fast modifications, attaching and detaching go, in seconds; which volumes' next modification fails, and whose detach hangs."""
    lists = {"failing": _failing, "hanging": _hanging}
    unknown = sorted(set(body) - {*_pace, *lists})
    if unknown:
        raise ValueError(f"there is no {unknown[0]}: give {', '.join(_pace)} (seconds), failing or hanging (lists of ids of volumes)")
    for name in set(body) & set(_pace):
        if not isinstance(body[name], int | float) or isinstance(body[name], bool) or body[name] < 0:
            raise ValueError(f"{name} is {body[name]!r}: it must be seconds, 0 or more")
    for name in set(body) & set(lists):
        if not isinstance(body[name], list) or not all(isinstance(one, str) for one in body[name]):
            raise ValueError(f"{name} is {body[name]!r}: it must be a list of ids of volumes")
    _pace.update({name: float(body[name]) for name in set(body) & set(_pace)})
    for name in set(body) & set(lists):
        lists[name].clear()
        lists[name].update(body[name])
    return {**_pace, **{name: sorted(found) for name, found in lists.items()}}


CONTROL = {"POST /sandbox/volumes": volumes}
RESPONSES = {"ec2": Volumes}
