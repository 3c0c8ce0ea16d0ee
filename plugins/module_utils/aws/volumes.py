# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many EBS volumes of several regions: found, judged, modified side by side, and waited for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.ebs import PAGE, describe_volumes
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine import volumes as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.volumes import Change, Plan, Volume, Wish

FILTER_VALUES = 200
"""Values that a filter of EC2 may have."""
TAGGED = 1000
"""Resources that one CreateTags may name."""
UNDER_WAY, TOO_OFTEN = "IncorrectModificationState", "VolumeModificationRateExceeded"
OPTIMIZING, COMPLETED, FAILED = "optimizing", "completed", "failed"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which volumes a wish is for: by ``ids``, or by ``filters`` of EC2 and ``mount``; in ``regions``. ``words``: of one that must be
    there, who it is."""

    regions: tuple[str, ...]
    wish: Wish
    ids: tuple[str, ...] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: str | None = None
    mount: str | None = None


@dataclass(slots=True)
class Judged:
    """A volume at ``now``, AWS's time, what is wished of it, and what became of that. ``state``: of its modification, once one was
    begun."""

    region: str
    volume: Volume
    wish: Wish
    tags: Mapping[str, str]
    device: str | None
    instance: str | None
    plan: Plan
    now: float
    state: str | None = None
    error: str | None = None

    @property
    def mount(self) -> str | None:
        """Where its application mounts it, ``None`` where that is not known."""
        return tags.mount_of(self.tags, self.device)

    @property
    def changed(self) -> bool:
        """Whether a modification was begun, in check mode whether it would be."""
        return self.plan.action == engine.CHANGE and self.error is None


@dataclass(frozen=True, slots=True)
class Options:
    """``day_percent``: how much a volume may grow in a day. ``act``: false in check mode. ``wait``: for which state, ``None`` for
    none, and for how many ``seconds`` at most."""

    day_percent: float
    act: bool
    wait: str | None
    seconds: float


def resize(clients: Clients, selectors: Sequence[Selector], options: Options) -> tuple[list[Judged], list[tuple[str | None, str]]]:
    """Judge and change all volumes that are selected. Where a wish can never be had nothing is changed at all; what one region or
    volume fails on otherwise keeps no other from its change.

    Returns the volumes by region and id, and the errors of regions and selectors as (region, message).
    """
    errors: list[tuple[str | None, str]] = []
    fitting: set[str | None] = set()

    def guarded(region: str, work: Callable[[], list[Judged]]) -> list[Judged]:
        try:
            return work()
        except AwsError as error:
            errors.append((region, str(error)))
            return []

    def look(region: str) -> list[Judged]:
        return guarded(region, lambda: _look(clients.get("ec2", region), region, selectors, options, fitting))

    regions = sorted({region for one in selectors for region in one.regions})
    found = dict(zip(regions, side_by_side(look, regions)))
    everything = [one for part in found.values() for one in part]
    failed, known = {region for region, _message in errors}, {one.volume.id for one in everything}
    for one in selectors:
        missing = [name for name in one.ids if name not in known]
        if missing and not failed & set(one.regions):
            errors.append((None, f"there is no volume {', '.join(missing)} in {', '.join(one.regions)}: check the id and the region"))
        if one.words and one.words not in fitting and not failed & set(one.regions):
            errors.append((None, f"there is no volume of {one.words} in {', '.join(one.regions)}: check its tags and the region"))
    if options.act and not any(one.plan.action == engine.REFUSE for one in everything):
        side_by_side(lambda region: guarded(region, lambda: _act(clients.get("ec2", region), found[region], options)), regions)
    return sorted(everything, key=lambda one: (one.region, one.volume.id)), errors


def _look(client: Any, region: str, selectors: Sequence[Selector], options: Options, fitting: set[str | None]) -> list[Judged]:
    """The volumes of a region with their plans. Only for those that are to change it is asked what was done to them last. ``fitting``
    gets the words of the selectors that volumes fit."""
    shown, now = _found(client, [one for one in selectors if region in one.regions], fitting)
    judged = [_judged(region, raw, wish, options, now) for raw, wish in shown]
    changing = [one for one in judged if one.plan.action == engine.CHANGE]
    last = _last_modifications(client, [one.volume.id for one in changing]) if changing else {}
    for one in changing:
        if one.volume.id in last:
            one.volume = _with_last(one.volume, last[one.volume.id])
            one.plan = engine.decide(one.volume, one.wish, options.day_percent, now)
    return judged


def _act(client: Any, judged: Sequence[Judged], options: Options) -> list[Judged]:
    """Begin the modifications that are planned, remember them, and wait for them."""
    changing = [one for one in judged if one.plan.action == engine.CHANGE]
    side_by_side(lambda one: _modify(client, one), changing)
    begun = [one for one in changing if one.changed]
    _remember(client, begun)
    if options.wait:
        _wait(client, begun, options)
    return begun


def _found(client: Any, selectors: Sequence[Selector], fitting: set[str | None]) -> tuple[list[tuple[dict[str, Any], Wish]], float]:
    """The volumes with what is wished of each, the first selector that names one having its way; and AWS's time."""
    chosen: dict[str, tuple[dict[str, Any], Wish]] = {}
    now = time.time()
    by_id = {name: one.wish for one in reversed(selectors) for name in one.ids}
    for part in chunks(sorted(by_id), FILTER_VALUES):
        raws, now = describe(client, {"volume-id": part})
        chosen.update({raw["VolumeId"]: (raw, by_id[raw["VolumeId"]]) for raw in raws})
    for one in selectors:
        if one.filters:
            shown, now = describe(client, one.filters)
            raws = [raw for raw in shown if one.mount in (None, _mount(raw))]
            if raws:
                fitting.add(one.words)
            for raw in raws:
                chosen.setdefault(raw["VolumeId"], (raw, one.wish))
    return list(chosen.values()), now


def describe(client: Any, filters: Mapping[str, Sequence[str]]) -> tuple[list[dict[str, Any]], float]:
    """The volumes that pass the filters, as EC2 shows them, and its time."""
    return describe_volumes(client, [{"Name": name, "Values": list(values)} for name, values in filters.items()])


@Errors.common_error_handler("list the modifications of the volumes")
def _last_modifications(client: Any, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The last modification of each volume that had one. By a filter: ids of volumes that had none are an error."""
    found = {}
    for part in chunks(list(ids), FILTER_VALUES):
        asked = [{"Name": "volume-id", "Values": list(part)}]
        for page in client.get_paginator("describe_volumes_modifications").paginate(Filters=asked, PaginationConfig={"PageSize": PAGE}):
            found.update({one["VolumeId"]: one for one in page["VolumesModifications"]})
    return found


def _attached(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its attachment, empty where it has none."""
    return next(iter(raw.get("Attachments") or ()), {})


def _mount(raw: Mapping[str, Any]) -> str | None:
    return tags.mount_of(boto3_tag_list_to_ansible_dict(raw.get("Tags", [])), _attached(raw).get("Device"))


def _judged(region: str, raw: Mapping[str, Any], wish: Wish, options: Options, now: float) -> Judged:
    labels = boto3_tag_list_to_ansible_dict(raw.get("Tags", []))
    attached = _attached(raw)
    volume = Volume(
        id=raw["VolumeId"],
        size=raw["Size"],
        kind=raw["VolumeType"],
        iops=raw.get("Iops"),
        throughput=raw.get("Throughput"),
        state=raw["State"],
        past=past_of(labels.get(tags.MODIFIED, "")),
    )
    plan = engine.decide(volume, wish, options.day_percent, now)
    return Judged(region, volume, wish, labels, attached.get("Device"), attached.get("InstanceId"), plan, now)


def past_of(text: str) -> tuple[Change, ...]:
    """The modifications in the tag of a volume, ``<seconds since 1970>:<GiB before>`` and spaces; what cannot be read is left out."""
    pairs = [word.partition(":") for word in text.split()]
    return tuple(sorted((Change(float(a), int(b)) for a, _colon, b in pairs if a.isdigit() and b.isdigit()), key=lambda one: one.began))


def _with_last(volume: Volume, last: Mapping[str, Any]) -> Volume:
    """With the state of its last modification, and with that one itself, which somebody else may have begun."""
    began: datetime = last["StartTime"]
    known = any(abs(one.began - began.timestamp()) < 120 for one in volume.past)
    mine = Change(began.timestamp(), last.get("OriginalSize") or volume.size)
    past = volume.past if known else tuple(sorted((*volume.past, mine), key=lambda one: one.began))
    return replace(volume, modification=last["ModificationState"], past=past)


def _modify(client: Any, one: Judged) -> None:
    plan = one.plan
    asked = {"Size": plan.size, "VolumeType": plan.kind, "Iops": plan.iops, "Throughput": plan.throughput}
    try:
        answer = _modify_volume(client, one.volume.id, {name: value for name, value in asked.items() if value is not None})
    except AwsError as error:
        if error.code not in (UNDER_WAY, TOO_OFTEN):
            one.error = str(error)
            return
        one.plan = engine.deferred(one.volume, plan, str(error), error.code == TOO_OFTEN, one.now)
        return
    one.state = answer["VolumeModification"]["ModificationState"]


@Errors.common_error_handler("modify a volume")
def _modify_volume(client: Any, name: str, asked: Mapping[str, Any]) -> Any:
    return client.modify_volume(VolumeId=name, **asked)


def _remember(client: Any, begun: Iterable[Judged]) -> None:
    """Keep in a tag when each was modified: EBS tells of the last modification only. Those with the same past share a call."""
    values: dict[str, list[Judged]] = defaultdict(list)
    for one in begun:
        past = [*one.volume.past, Change(one.now, one.volume.size)][-engine.MOST :]
        values[" ".join(f"{int(change.began)}:{change.size}" for change in past)].append(one)
    for value, same in values.items():
        for part in chunks(same, TAGGED):
            try:
                _tag(client, [one.volume.id for one in part], value)
            except AwsError as error:
                for one in part:
                    one.plan = replace(one.plan, reasons=(*one.plan.reasons, f"when it was modified is not remembered: {error}"))


@Errors.common_error_handler("tag the volumes")
def _tag(client: Any, names: Sequence[str], value: str) -> None:
    client.create_tags(Resources=list(names), Tags=[{"Key": tags.MODIFIED, "Value": value}])


def _wait(client: Any, begun: Sequence[Judged], options: Options) -> None:
    """Until all have the state that is waited for, or a later one, or failed, or the time is over."""
    enough = {COMPLETED, FAILED} | ({OPTIMIZING} if options.wait == OPTIMIZING else set())
    until, pause = time.monotonic() + options.seconds, 1.0
    while waiting := [one for one in begun if one.error is None and one.state not in enough]:
        if time.monotonic() >= until:
            for one in waiting:
                one.error = f"it is {one.state} after {options.seconds:g} s: run it again later, or raise wait_timeout"
            return
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
        pause = min(15.0, pause * 1.5)
        try:
            last = _last_modifications(client, [one.volume.id for one in waiting])
        except AwsError as error:
            for one in waiting:
                one.error = str(error)
            return
        for one in waiting:
            shown = last.get(one.volume.id, {})
            one.state = shown.get("ModificationState", one.state)
            if one.state == FAILED:
                one.error = f"AWS could not modify it: {shown.get('StatusMessage') or 'it gives no reason'}; run it again"
