# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data volumes that stay with their zone: seen, judged, and given to who is to have them.

The claim of a volume is AttachVolume itself. EC2 attaches a volume to one instance, and puts one volume at a device of an instance,
whoever asks at the same time: the other one is refused. A volume that moves is made under a token of its own, so that it is made once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list, boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.ebs import describe_volumes
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances, impaired_since
from ansible_collections.spot.platform.plugins.module_utils.engine import affinity as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.affinity import Instance, Plan, Policy, Volume

LOST_RACE = ("VolumeInUse", "InvalidParameterValue", "IncorrectState", "IdempotentParameterMismatch")
"""What EC2 answers where somebody else was faster."""
PAUSE = 1.0


@dataclass(frozen=True)
class Wanted:
    """The volumes of one mount of an application in a region. ``device``: under which name they are attached. ``keep_days``: for how
    long a volume is kept whose place another took in another zone."""

    region: str
    app: str
    mount: str
    environment: str | None
    policy: Policy
    device: str
    keep_days: int

    @property
    def filters(self) -> list[dict[str, Any]]:
        """Of EC2, for the instances; the volumes have the mount besides."""
        named = {tags.APP: self.app} | ({tags.ENVIRONMENT: self.environment} if self.environment else {})
        return [{"Name": f"tag:{tag}", "Values": [value]} for tag, value in named.items()]


@dataclass
class Settled:
    """What became of a volume. ``done``: the actions that were taken, in check mode the next one."""

    plan: Plan
    volume: Volume
    done: list[Plan] = field(default_factory=list)
    error: str | None = None


@dataclass
class Result:
    """What became of the volumes of ``wanted``. ``error``: why they could not be looked at."""

    wanted: Wanted
    volumes: dict[str, Settled] = field(default_factory=dict)
    decision: engine.Decision = engine.Decision((), frozenset(), ())
    error: str | None = None


def settle(clients: Clients, wanted: Sequence[Wanted], act: bool, seconds: float) -> list[Result]:
    """Give all volumes to who is to have them, side by side, and wait up to ``seconds`` for what is on its way."""
    return side_by_side(lambda one: _settle(clients.get("ec2", one.region), one, act, seconds), wanted)


def _settle(client: Any, wanted: Wanted, act: bool, seconds: float) -> Result:
    result, until, pause = Result(wanted), time.monotonic() + seconds, PAUSE
    detaching: dict[str, float] = {}
    while True:
        try:
            if act and wanted.policy.move_after is not None:
                _finish_moves(client, wanted)
            volumes, instances, labels, now = observe(client, wanted)
        except AwsError as error:
            result.error = str(error)
            return result
        # EC2 does not tell since when a volume is detached: as long as this has been seen, then.
        seen = {one.id for one in volumes if one.attachment not in (None, *engine.HOLDING)}
        detaching = {name: detaching.get(name, now) for name in seen}
        volumes = [replace(one, since=detaching.get(one.id, one.since)) for one in volumes]
        result.decision = engine.decide(volumes, instances, wanted.policy, now)
        by_id = {one.id: one for one in volumes}
        for plan in result.decision.plans:
            settled = result.volumes.setdefault(plan.volume, Settled(plan, by_id[plan.volume]))
            settled.plan, settled.volume = plan, by_id[plan.volume]
        now_known = [result.volumes[plan.volume] for plan in result.decision.plans]
        todo = [one for one in now_known if one.plan.action not in (engine.KEEP, engine.WAIT) and one.error is None]
        if not act:
            for one in todo:
                one.done.append(one.plan)
            return result
        if wanted.policy.move_after is not None:
            _note_free(client, result.decision, by_id, labels, now)
        side_by_side(lambda one: _act(client, wanted, one, labels), todo)
        if not todo and (time.monotonic() >= until or not _on_its_way(result.decision, instances)):
            return result
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
        pause = min(5.0, pause * 1.5)


def _on_its_way(decision: engine.Decision, instances: Sequence[Instance]) -> bool:
    """Whether a volume will be free in a moment that somebody waits for."""
    alive = {one.id for one in instances if one.state not in engine.ENDED}
    ending = any(one.action == engine.WAIT and one.instance and one.instance not in alive for one in decision.plans)
    return ending and bool(decision.lacking)


def _act(client: Any, wanted: Wanted, one: Settled, labels: Mapping[str, Mapping[str, str]]) -> None:
    plan = one.plan
    try:
        if plan.action == engine.CLAIM:
            _attach(client, plan.volume, plan.instance, wanted.device)
        elif plan.action == engine.FORCE:
            _detach(client, plan.volume, plan.instance)
        elif plan.action == engine.FENCE:
            _terminate(client, plan.instance)
        else:
            _move(client, wanted, one, labels[plan.volume])
    except AwsError as error:
        if error.code not in LOST_RACE:
            one.error = str(error)
        return
    one.done.append(plan)


def observe(client: Any, wanted: Wanted) -> tuple[list[Volume], list[Instance], dict[str, Mapping[str, str]], float]:
    """The volumes, the instances of the application, the volumes' tags, and AWS's time."""
    raws, now = describe_volumes(client, [*wanted.filters, {"Name": f"tag:{tags.MOUNT}", "Values": [wanted.mount]}])
    labels = {raw["VolumeId"]: boto3_tag_list_to_ansible_dict(raw.get("Tags", [])) for raw in raws}
    members = describe_instances(client, wanted.filters)
    impaired = impaired_since(client) if any(raw.get("Attachments") for raw in raws) else {}
    volumes = []
    for raw in raws:
        attached: Mapping[str, Any] = next(iter(raw.get("Attachments") or ()), {})
        free = labels[raw["VolumeId"]].get(tags.FREE_SINCE, "")
        volumes.append(
            Volume(
                raw["VolumeId"],
                raw["AvailabilityZone"],
                raw["Size"],
                raw["State"],
                attached.get("InstanceId"),
                attached.get("State"),
                attached["AttachTime"].timestamp() if attached else None,
                float(free) if free.isdigit() else None,
            )
        )
    instances = [
        Instance(
            raw["instance_id"],
            raw["placement"]["availability_zone"],
            raw["state"]["name"],
            datetime.fromisoformat(raw["launch_time"].replace("Z", "+00:00")).timestamp(),
            raw["instance_id"] not in impaired,
            max(0.0, now - (impaired.get(raw["instance_id"]) or now)),
        )
        for raw in members
    ]
    return volumes, instances, labels, now


def _attach(client: Any, volume: str, instance: str | None, device: str) -> None:
    _attach_volume(client, volume, instance, device)
    client.get_waiter("volume_in_use").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


@Errors.common_error_handler("attach a volume")
def _attach_volume(client: Any, volume: str, instance: str | None, device: str) -> None:
    client.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    client.delete_tags(Resources=[volume], Tags=[{"Key": tags.FREE_SINCE}, {"Key": tags.MAY_MOVE}])


@Errors.common_error_handler("detach a volume")
def _detach(client: Any, volume: str, instance: str | None) -> None:
    client.detach_volume(VolumeId=volume, InstanceId=instance, Force=True)


@Errors.common_error_handler("end an instance")
def _terminate(client: Any, instance: str | None) -> None:
    client.terminate_instances(InstanceIds=[instance])


def _move(client: Any, wanted: Wanted, one: Settled, labels: Mapping[str, str]) -> None:
    """A copy of a volume in the zone of who waits, which takes its place. Each step finds what an earlier run left."""
    gone = (tags.FREE_SINCE, tags.MAY_MOVE, tags.MOUNT, tags.REPLACED_BY, tags.DELETE_AFTER)
    mine = {key: value for key, value in labels.items() if not key.startswith("aws:") and key not in gone}
    old, mine = one.volume.id, {**mine, tags.MOVES: f"{one.volume.id} {wanted.mount}"}
    snapshot = _snapshot(client, old, mine)
    new = _copy(client, old, snapshot, one.plan.zone, mine)
    due = (datetime.now(timezone.utc) + timedelta(days=wanted.keep_days)).strftime("%Y-%m-%d")
    _tag(client, [snapshot], {tags.DELETE_AFTER: due})
    _tag(client, [old], {tags.REPLACED_BY: new, tags.DELETE_AFTER: due})
    # From here on nobody is given the old one any more; `_finish_moves` ends what ends here.
    _untag(client, [old], tags.MOUNT)
    _tag(client, [new], {tags.MOUNT: wanted.mount})
    _untag(client, [new], tags.MOVES)


def _finish_moves(client: Any, wanted: Wanted) -> None:
    """Have copies take the place of volumes that have given it up, where a run was killed in between."""
    copies, _now = describe_volumes(client, [*wanted.filters, {"Name": "tag-key", "Values": [tags.MOVES]}])
    for raw in copies:
        old, _space, mount = boto3_tag_list_to_ansible_dict(raw["Tags"])[tags.MOVES].partition(" ")
        if mount != wanted.mount:
            continue
        found, _now = describe_volumes(client, [{"Name": "volume-id", "Values": [old]}])
        left = boto3_tag_list_to_ansible_dict(found[0].get("Tags", [])) if found else {}
        if tags.MOUNT not in left:
            _tag(client, [raw["VolumeId"]], {tags.MOUNT: mount})
            _untag(client, [raw["VolumeId"]], tags.MOVES)


@Errors.common_error_handler("make a snapshot of a volume")
def _snapshot(client: Any, volume: str, named: Mapping[str, str]) -> str:
    """One that is complete, and no older than the volume is free."""
    filters = [{"Name": "volume-id", "Values": [volume]}, {"Name": f"tag:{tags.MOVES}", "Values": [named[tags.MOVES]]}]
    found = client.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
    usable = [one for one in found if one["State"] in ("pending", "completed")]
    if usable:
        name = min(usable, key=lambda one: one["StartTime"])["SnapshotId"]
    else:
        listed = [{"ResourceType": "snapshot", "Tags": ansible_dict_to_boto3_tag_list(dict(named))}]
        name = client.create_snapshot(VolumeId=volume, Description="to move it to another zone", TagSpecifications=listed)["SnapshotId"]
    client.get_waiter("snapshot_completed").wait(SnapshotIds=[name], WaiterConfig={"Delay": 5, "MaxAttempts": 720})
    return str(name)


@Errors.common_error_handler("make a volume in another zone")
def _copy(client: Any, volume: str, snapshot: str, zone: str, named: Mapping[str, str]) -> str:
    """The volume that is made of the snapshot, once, whoever asks how often."""
    (raw,) = client.describe_volumes(VolumeIds=[volume])["Volumes"]
    options: dict[str, Any] = {"VolumeType": raw["VolumeType"], "Size": raw["Size"], "Encrypted": raw.get("Encrypted", False)}
    if raw["VolumeType"] in ("gp3", "io1", "io2") and raw.get("Iops"):
        options["Iops"] = raw["Iops"]
    if raw["VolumeType"] == "gp3" and raw.get("Throughput"):
        options["Throughput"] = raw["Throughput"]
    if raw.get("KmsKeyId"):
        options["KmsKeyId"] = raw["KmsKeyId"]
    made = client.create_volume(
        AvailabilityZone=zone,
        SnapshotId=snapshot,
        ClientToken=f"{snapshot}-{zone}",
        TagSpecifications=[{"ResourceType": "volume", "Tags": ansible_dict_to_boto3_tag_list(dict(named))}],
        **options,
    )
    client.get_waiter("volume_available").wait(VolumeIds=[made["VolumeId"]], WaiterConfig={"Delay": 2, "MaxAttempts": 300})
    return str(made["VolumeId"])


@Errors.common_error_handler("tag volumes")
def _tag(client: Any, names: Sequence[str], named: Mapping[str, str]) -> None:
    client.create_tags(Resources=list(names), Tags=ansible_dict_to_boto3_tag_list(dict(named)))


@Errors.common_error_handler("tag volumes")
def _untag(client: Any, names: Sequence[str], tag: str) -> None:
    client.delete_tags(Resources=list(names), Tags=[{"Key": tag}])


def _note_free(client: Any, decision: engine.Decision, volumes: Mapping[str, Volume], labels: Mapping[str, Mapping[str, str]], now: float) -> None:
    """Remember since when volumes are nobody's, for EC2 does not, and which of them may have their next instance elsewhere."""
    for plan in decision.plans:
        volume, known = volumes[plan.volume], labels[plan.volume]
        noted = {}
        if plan.action == engine.WAIT and volume.state == "available" and not known.get(tags.FREE_SINCE, "").isdigit():
            noted[tags.FREE_SINCE] = str(int(now))
        if volume.id in decision.movable and tags.MAY_MOVE not in known:
            noted[tags.MAY_MOVE] = "true"
        try:
            if noted:
                _tag(client, [volume.id], noted)
        except AwsError:
            return  # it waits longer then
