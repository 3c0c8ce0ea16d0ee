# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe what the autoscaler steers: groups and fleets with their instances, pools, notices and memory.

A region is asked once for each kind of thing, however many applications it has: groups, instances, Spot requests that
were told to go, prices, and what the table remembers. Only the health of targets is asked for by group, and only while
the group has instances so young that it is not clear that they serve, and what a fleet is refused, while it is short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import (
    autoscaling,
    groups,
    homes,
    market,
    state,
    steered_fleets,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import DAY, Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import (
    HEALTHY,
    UNKNOWN,
    describe_instances,
    describe_target_health,
)
from ansible_collections.spot.platform.plugins.module_utils.engine import memory as remembering
from ansible_collections.spot.platform.plugins.module_utils.engine import risk, supply
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP
from ansible_collections.spot.platform.plugins.module_utils.engine.homes import Homes
from ansible_collections.spot.platform.plugins.module_utils.engine.market import Offer

GROUP_OF_MEMBER = "aws:autoscaling:groupName"
"""The tag that Auto Scaling puts on the instances of a group."""
TAKEN = ("Server.SpotInstanceTermination", "Server.SpotInstanceShutdown")
"""The codes of the state reason of an instance that EC2 took away."""
MARKED = ("marked-for-termination", "marked-for-stop")
"""The status codes of a Spot request whose instance has its notice."""
YOUNG = 900.0
"""Seconds: the targets of a load balancer that were launched so lately are asked whether they are healthy."""
NEW = 90.0
"""Seconds that a new group is left alone: it launches its own first instances."""


@dataclass(frozen=True)
class Steered:
    """A group or fleet that the autoscaler steers. Capacities are in its unit, times are seconds since the epoch.

    ``counted``: the capacity that AWS counts towards ``desired``, whatever state it is in. ``subnets``: by zone.
    ``weights``: the units of an instance of each type that it may launch. ``loose``: the instances that were launched for
    it and are not attached yet, ``waiting``: those of them that run. ``taken``: Spot Instances that EC2 took away within
    the last hour, by id, with their pool. Of a fleet, ``refused``: the pools that gave nothing lately; ``troubles``: what
    keeps it from launching at all. ``homes``: the zones of its data volumes, where it is stateful, or why
    they are not known.
    """

    name: str
    kind: str
    region: str
    tags: Mapping[str, str]
    now: float
    created: float
    desired: int
    on_demand_base: int
    counted: int
    template: Mapping[str, str]
    weights: Mapping[str, int]
    subnets: Mapping[str, str]
    instances: Sequence[supply.Instance] = ()
    loose: Collection[str] = ()
    waiting: Sequence[str] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    target_groups: Sequence[str] = ()
    suspended: Collection[str] = ()
    busy: str | None = None
    refused: Collection[str] = ()
    troubles: Sequence[str] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fleet: steered_fleets.Fleet | None = field(default=None, repr=False)
    homes: Homes | str | None = None

    @property
    def key(self) -> str:
        """By what it is remembered: while an application migrates, a group and a fleet have the same name."""
        return key_of(self.name, self.kind)

    @property
    def lent(self) -> int:
        """The part of its target that it carries for other regions."""
        return self.number(ours.LENT) if ours.LENT in self.tags else 0

    @property
    def app(self) -> str | None:
        return self.tags.get(ours.APP)

    def number(self, tag: str) -> int:
        """The whole number in a tag that spot_capacity wrote; raises ``ValueError`` that says what is wrong with it."""
        text = self.text(tag)
        if not text.isdigit():
            raise ValueError(f"the tag {tag} of {self.name} is {text!r}, not a whole number: apply spot_capacity again")
        return int(text)

    def text(self, tag: str, otherwise: str | None = None) -> str:
        """The tag, or ``otherwise``; raises ``ValueError`` where there is neither."""
        found = self.tags.get(tag, otherwise)
        if found is None:
            raise ValueError(f"{self.name} has no tag {tag}: apply spot.platform.spot_capacity to it first")
        return found


def key_of(name: str, kind: str) -> str:
    return name if kind == AUTO_SCALING_GROUP else f"{name}/{kind}"


@dataclass(frozen=True)
class Market:
    """The offers of a region by zone and type, made into the engine's pools."""

    offers: Mapping[tuple[str, str], Offer] = field(default_factory=dict)

    def pools(self, weights: Mapping[str, int], zones: Iterable[str]) -> list[risk.Pool]:
        """The pools of the types in ``weights`` in ``zones`` that have a Spot price, which is that of a unit."""
        return [
            risk.Pool(
                id=pool_id(zone, name),
                zone=zone,
                price=offer.spot_price / weight,
                capacity=weight,
                family=offer.instance_type.family,
                price_ratio=offer.spot_price / offer.typical_spot_price if offer.typical_spot_price else None,
                score=offer.placement_score,
                band=offer.interruption_band,
                on_demand=offer.on_demand_price / weight if offer.on_demand_price else None,
            )
            for zone in sorted(zones)
            for name, weight in sorted(weights.items())
            if (offer := self.offers.get((zone, name))) and offer.spot_price
        ]

    def on_demand(self, weights: Mapping[str, int], zones: Iterable[str]) -> tuple[float, int] | None:
        """Price of a unit, and units, of the cheapest On-Demand Instance; ``None`` where no price is known."""
        found = [
            (offer.on_demand_price / weight, weight)
            for zone in zones
            for name, weight in weights.items()
            if (offer := self.offers.get((zone, name))) and offer.on_demand_price
        ]
        return min(found, default=None)


def pool_id(zone: str, instance_type: str) -> str:
    """What a pool is called: ``us-east-1a/m5.large``."""
    return f"{zone}/{instance_type}"


@dataclass(frozen=True)
class Question:
    """What is steered, and how it is observed.

    ``names``: the groups, all that are ours if ``None``, narrowed by ``apps`` and ``environment``. ``kinds``: of groups
    and fleets; each is a call. ``notices``: instances that were told to go, besides those that EC2 names. ``warned``:
    those that AWS recommends to leave. ``replace``: those to be replaced, which is remembered until they are gone.
    ``keep``: those of the ``notices`` that are not to be ended yet, for they drain. ``whole``: whether the market,
    the load balancers and what fleets are refused are asked for too.
    """

    names: Collection[str] | None = None
    kinds: Sequence[str] = (AUTO_SCALING_GROUP,)
    apps: Sequence[str] = ()
    environment: str | None = None
    notices: frozenset[str] = frozenset()
    warned: frozenset[str] = frozenset()
    replace: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    bands: market.Bands | None = None
    history_days: int = 0
    placement_scores: bool = False
    whole: bool = True


@dataclass(frozen=True)
class Region:
    """A region as it was observed. By key of what is steered: its state, or, in ``stateless``, why there is neither
    memory nor lease. ``warned``: the instances that AWS recommends to leave."""

    steered: Sequence[Steered]
    market: Market
    states: Mapping[str, state.State]
    stateless: Mapping[str, str] = field(default_factory=dict)
    warned: frozenset[str] = frozenset()


def observe(clients: Clients, region: str, question: Question, cache: Cache) -> Region:
    """All that is steered in ``region``. Raises `AwsError`."""
    ec2 = clients.get("ec2", region)
    told, *parts = side_by_side(
        lambda ask: ask(),
        (
            lambda: describe_marked_spot_requests(ec2),
            *(partial(_found, clients, region, question, kind) for kind in question.kinds),
        ),
    )
    told = frozenset(told) | question.notices
    found = [one for part in parts for one in part]
    if not found:
        return Region((), Market(), {})
    auto_scaling = [one for one in found if isinstance(one, autoscaling.Group)]
    fleets = [one for one in found if isinstance(one, steered_fleets.Fleet)]
    known, members, zones, stays, (states, stateless) = side_by_side(
        lambda ask: ask(),
        (
            lambda: _instances(clients, region, auto_scaling),
            lambda: steered_fleets.members(ec2, fleets),
            lambda: _zones(ec2, found, cache),
            lambda: _homes(ec2, auto_scaling),
            lambda: _states(clients, region, found),
        ),
    )
    own = _by_group(auto_scaling, known)
    steered = [
        *(replace(_steered(group, own[group.name], zones, told), homes=stays.get(group.name)) for group in auto_scaling),
        *(_steered_fleet(fleet, members.get(fleet.id, ()), zones, told) for fleet in fleets),
    ]
    steered = [_with_replaced(one, states.get(one.key), question.replace) for one in steered]
    if not question.whole:
        return Region(steered, Market(), states, stateless, question.warned)
    offers = _market(clients, region, steered, question, cache)
    steered = side_by_side(partial(_with_health, clients.get("elbv2", region)), steered)
    steered = side_by_side(partial(_with_refusals, ec2, states), steered)
    return Region(steered, offers, states, stateless, question.warned)


def _found(
    clients: Clients, region: str, question: Question, kind: str
) -> Sequence[autoscaling.Group | steered_fleets.Fleet]:
    """The groups or fleets of a kind."""
    asked = (question.names, question.apps, question.environment)
    if kind == AUTO_SCALING_GROUP:
        return autoscaling.groups(clients, region, *asked)
    return steered_fleets.fleets(clients.get("ec2", region), kind, *asked)


@Errors.common_error_handler("list the Spot requests that were told to go")
def describe_marked_spot_requests(client: Any) -> list[str]:
    """DescribeSpotInstanceRequests, all pages: the instances that have their interruption notice."""
    pages = client.get_paginator("describe_spot_instance_requests").paginate(
        Filters=[{"Name": "status-code", "Values": list(MARKED)}], PaginationConfig={"PageSize": 1000}
    )
    return [item["InstanceId"] for page in pages for item in page["SpotInstanceRequests"] if "InstanceId" in item]


def _instances(clients: Clients, region: str, found: Sequence[autoscaling.Group]) -> dict[str, dict[str, Any]]:
    """The instances of the groups, those that ended lately too, by id."""
    if not found:
        return {}
    filters = [{"Name": f"tag:{ours.MANAGED_BY}", "Values": ["spot.platform"]}]
    for tag in (ours.ENVIRONMENT, ours.APP):
        values = sorted({group.tags.get(tag, "") for group in found})
        if len(values) <= autoscaling.FILTER_VALUES:
            filters.append({"Name": f"tag:{tag}", "Values": values})
    known = {one["instance_id"]: one for one in describe_instances(clients.get("ec2", region), filters)}
    # Members without the tags were attached by somebody, or their group was tagged after it had launched them.
    others = {one for group in found for one in group.instance_ids} - known.keys()
    return {**known, **(autoscaling.instances(clients, region, others) if others else {})}


def _zones(ec2: Any, found: Sequence[autoscaling.Group | steered_fleets.Fleet], cache: Cache) -> dict[str, str]:
    """The zone of each subnet; a subnet never changes its zone."""
    wanted = sorted({subnet for one in found for subnet in one.subnets})

    def ask() -> dict[str, str]:
        return {one: subnet.zone for one, subnet in groups.subnets(ec2, wanted).items()}

    return cache.remember(["zones of subnets", ec2.meta.region_name, wanted], DAY, ask)


def _homes(ec2: Any, found: Sequence[autoscaling.Group]) -> Mapping[str, Homes | str]:
    """Where the data volumes of the stateful ones are, or why that is not known: the others do not hang on it."""
    try:
        return homes.homes(ec2, found)
    except AwsError as error:
        return {group.name: str(error) for group in found if group.tags.get(ours.STAYS)}


def _states(
    clients: Clients, region: str, found: Sequence[autoscaling.Group | steered_fleets.Fleet]
) -> tuple[dict[str, state.State], dict[str, str]]:
    """What the tables of the environments remember, and why others do not, by key; each environment on its own."""
    by_environment: dict[str, list[str]] = {}
    for one in found:
        by_environment.setdefault(one.tags.get(ours.ENVIRONMENT, ""), []).append(key_of(one.name, one.kind))
    client = clients.get("dynamodb", region)

    def read(environment: str) -> dict[str, state.State] | str:
        table = state.table_of(environment)
        try:
            return state.read(client, table, by_environment[environment])
        except AwsError as error:
            if error.code == state.NO_TABLE:
                return f"there is no table {table} in {region}: run spot.platform.app_onboard, which makes it"
            return str(error)

    states: dict[str, state.State] = {}
    stateless: dict[str, str] = {}
    for keys, answer in zip(by_environment.values(), side_by_side(read, by_environment)):
        if isinstance(answer, str):
            stateless |= dict.fromkeys(keys, answer)
        else:
            states |= answer
    return states, stateless


def _by_group(
    found: Sequence[autoscaling.Group], known: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Of the instances, those of each group, by its name: its members, and what carries its name."""
    parts = {group.name: {one: known[one] for one in group.instance_ids if one in known} for group in found}
    for name, one in known.items():
        if (group := name_of(one)) in parts:
            parts[group][name] = one
    return parts


def _steered(
    group: autoscaling.Group, known: Mapping[str, dict[str, Any]], zones: Mapping[str, str], told: Collection[str]
) -> Steered:
    """A group with its instances, whether they are attached to it yet or not."""
    raw, now = group.raw, group.now.timestamp()
    policy = raw.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    weights = {one["InstanceType"]: int(one.get("WeightedCapacity") or 1) for one in policy.get("Overrides", ())}
    members = {one["InstanceId"]: one for one in raw["Instances"]}
    instances, waiting, taken = [], [], {}
    for name, one in known.items():
        if name not in members and name_of(one) != group.name:
            continue
        pool = pool_of(one)
        if one["state"]["name"] not in autoscaling.RUNNING:
            if pool and one.get("state_reason", {}).get("code") in TAKEN:
                taken[name] = pool
            continue
        member = members.get(name)
        if member is None:
            if one["state"]["name"] == "running":
                waiting.append(name)
        elif not counts(member) or member["HealthStatus"] != "Healthy":
            continue
        instances.append(
            supply.Instance(
                id=name,
                pool=pool,
                capacity=autoscaling.weight(member) if member else weights.get(one["instance_type"], 1),
                launched_at=autoscaling.moment(one["launch_time"]).timestamp(),
                serving=member is not None and one["state"]["name"] == "running" and autoscaling.serves(member),
                leaving=name in told,
                zone=one["placement"]["availability_zone"],
            )
        )
    instances += [
        # Launched so lately that EC2 does not tell of it yet.
        supply.Instance(
            name, pool_id(one["AvailabilityZone"], one["InstanceType"]), autoscaling.weight(one), now, False, zone=one["AvailabilityZone"]
        )
        for name, one in members.items()
        if name not in known and counts(one)
    ]
    return Steered(
        name=group.name,
        kind=group.kind,
        region=group.region,
        tags=group.tags,
        now=float(int(now)),
        created=raw["CreatedTime"].timestamp(),
        desired=raw["DesiredCapacity"],
        on_demand_base=group.on_demand_base,
        counted=sum(autoscaling.weight(one) for one in raw["Instances"] if counts(one)),
        template=policy.get("LaunchTemplateSpecification", {}),
        weights=weights,
        subnets=_by_zone(group.subnets, zones),
        instances=tuple(sorted(instances, key=lambda one: (one.launched_at, one.id))),
        loose=frozenset(one.id for one in instances) - members.keys(),
        waiting=tuple(sorted(waiting)),
        taken=taken,
        target_groups=tuple(raw.get("TargetGroupARNs", ())),
        suspended=frozenset(one["ProcessName"] for one in raw.get("SuspendedProcesses", ())),
        busy="it is being deleted" if raw.get("Status") or not raw["MaxSize"] else None,
        raw=raw,
    )


def _by_zone(subnets: Iterable[str], zones: Mapping[str, str]) -> dict[str, str]:
    """One subnet of each zone."""
    return {zones[one]: one for one in sorted(subnets, reverse=True) if one in zones}


def _steered_fleet(
    fleet: steered_fleets.Fleet,
    members: Iterable[Mapping[str, Any]],
    zones: Mapping[str, str],
    told: Collection[str],
) -> Steered:
    """A fleet with its instances: what runs, serves."""
    now, weights = float(int(fleet.now.timestamp())), fleet.weights
    instances, taken = [], {}
    for one in members:
        name, pool, running = one["instance_id"], pool_of(one), one["state"]["name"]
        if running in autoscaling.RUNNING:
            launched = autoscaling.moment(one["launch_time"]).timestamp()
            capacity = weights.get(one["instance_type"], 1)
            instances.append(supply.Instance(name, pool, capacity, launched, running == "running", name in told))
        elif pool and one.get("state_reason", {}).get("code") in TAKEN:
            taken[name] = pool
    return Steered(
        name=fleet.name,
        kind=fleet.kind,
        region=fleet.region,
        tags=fleet.tags,
        now=now,
        created=fleet.created.timestamp(),
        desired=fleet.desired,
        on_demand_base=fleet.on_demand_base,
        counted=sum(one.capacity for one in instances),
        template=fleet.template,
        weights=weights,
        subnets=_by_zone(fleet.subnets, zones),
        instances=tuple(sorted(instances, key=lambda one: (one.launched_at, one.id))),
        taken=taken,
        target_groups=fleet.target_groups,
        busy=None if fleet.state == steered_fleets.ACTIVE else f"it is {fleet.state}",
        fleet=fleet,
    )


def _with_replaced(one: Steered, held: state.State | None, asked: Collection[str]) -> Steered:
    """With those that are to be replaced, now or since an earlier step, among those that leave."""
    wanted = asked | remembering.read(held.memory if held else None).replaced
    if not wanted:
        return one
    going = (each.id in wanted and not each.leaving for each in one.instances)
    changed = (replace(each, leaving=True, replaced=True) if goes else each for each, goes in zip(one.instances, going))
    return replace(one, instances=tuple(changed))


def counts(member: Mapping[str, Any]) -> bool:
    """Whether the group counts the member towards its desired capacity."""
    return not member["LifecycleState"].startswith(("Terminat", "Detach", "Standby", "EnteringStandby"))


def name_of(instance: Mapping[str, Any]) -> str | None:
    """The group of an instance, by its tags."""
    return instance["tags"].get(GROUP_OF_MEMBER) or instance["tags"].get(ours.GROUP)


def pool_of(instance: Mapping[str, Any]) -> str | None:
    """The Spot pool of an instance; ``None`` for On-Demand."""
    if autoscaling.lifecycle_of(instance) != autoscaling.SPOT:
        return None
    return pool_id(instance["placement"]["availability_zone"], instance["instance_type"])


def _market(
    clients: Clients, region: str, steered: Sequence[Steered], question: Question, cache: Cache
) -> Market:
    """The offers of all types that may be launched."""
    names = frozenset(name for one in steered for name in one.weights)
    if not names:
        return Market()
    asked = market.Question(
        wanted=lambda kind: True,
        names=names,
        history_days=question.history_days,
        score_target=max(one.desired for one in steered) if question.placement_scores else None,
        score_unit=steered[0].tags.get(ours.UNIT, "instances"),
    )
    found = market.offers(clients, [region], asked, cache, question.bands)
    return Market({(offer.zone, offer.instance_type.name): offer for offer in found})


def _with_health(elbv2: Any, one: Steered) -> Steered:
    """With what the load balancer says of instances that are in service, where some are young."""
    if not one.target_groups or not any(each.serving and one.now - each.launched_at < YOUNG for each in one.instances):
        return one
    healths = [describe_target_health(elbv2, arn) for arn in one.target_groups]
    return replace(
        one,
        instances=tuple(
            replace(each, serving=each.serving and all(of.get(each.id, UNKNOWN) == HEALTHY for of in healths))
            for each in one.instances
        ),
    )


def _with_refusals(ec2: Any, states: Mapping[str, state.State], one: Steered) -> Steered:
    """With what its pools refused, where it is a fleet that has less Spot than it is to keep."""
    spot = sum(each.capacity for each in one.instances if each.pool)
    if one.fleet is None or one.busy or spot >= one.desired - one.on_demand_base:
        return one
    held = states.get(one.key)
    learned = remembering.read(held.memory if held else None).memory.at or one.now - YOUNG
    since = min(learned, one.now - steered_fleets.PATIENCE)
    pools = [(zone, name) for zone in one.subnets for name in one.weights]
    found = steered_fleets.refusals(ec2, one.fleet, pools, datetime.fromtimestamp(since, timezone.utc))
    gave = {each.pool for each in one.instances if each.launched_at >= since}
    refused = frozenset(pool_id(*pool) for pool in found.pools) - gave
    return replace(one, refused=refused, troubles=found.troubles)
