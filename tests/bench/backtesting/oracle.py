"""The limit: the cheapest way to serve the target at every counted tick, by a linear program that knows the future.

Room comes in *stretches*: a zone's room, cut into layers, is there from one tick to another (a zone that opens and closes
without limit has one layer as high as the target). An instance of a stretch can serve from a cold start after the
stretch begins until it ends, and for the time of notice after. What serves changes only where a stretch begins or ends to
serve, so ticks between two such points are one *segment*, and the program has a variable for each stretch and segment:

    minimise    sum of paid seconds x price, and of a cold start's for each instance that begins to serve
    subject to  in each segment, what serves of all stretches and of On-Demand is at least the target,
                and begun >= serving - serving in the segment before

It is a flow of ``target`` slots from segment to segment, so its vertices are whole numbers, and the plan can be played by
the rules of the simulator like any policy. Where Spot is billed by traced prices, changes of price cut segments too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Ask, Trace, View


@dataclass(frozen=True)
class Stretch:
    """Room for ``most`` instances in a zone (None: On-Demand) from tick ``first`` until before ``end``."""

    zone: str | None
    first: int
    end: int
    most: int


@dataclass(frozen=True)
class Stay:
    """``count`` instances of ``zone`` (None: On-Demand), launched at tick ``launch``, ended at tick ``end``."""

    zone: str | None
    launch: int
    end: int
    count: int


def stretches(zone: str, room: Sequence[int], limited: bool, target: int) -> list[Stretch]:
    """The zone's room as layers, none of more than the target in all: room that grows opens a layer, the last closes first."""
    found, layers, level = [], [], 0
    for tick, here in enumerate([*room, 0]):
        wanted = min(here, target) if limited else target * bool(here)
        if wanted > level:
            layers.append((tick, wanted - level))
        while level > wanted and layers:
            first, most = layers.pop()
            closed = min(most, level - wanted)
            found.append(Stretch(zone, first, tick, closed))
            if most > closed:
                layers.append((first, most - closed))
            level -= closed
        level = wanted
    return found


def plan(
    trace: Trace, start: int, ticks: int, target: int, od_ratio: float, cold_start: float, notice: float
) -> tuple[list[Stay], float]:
    """What to launch when and where, and its cost in the simulator's unit (seconds of Spot at the price 1).

    Raises ``RuntimeError`` where HiGHS does not solve it.
    """
    gap = trace.gap
    cold, grace = math.ceil(cold_start / gap), math.ceil(notice / gap)
    offered = [
        stretch
        for zone in trace.zones
        for stretch in stretches(zone, trace.room[zone][start : start + ticks], trace.limited, target)
    ]
    serves = {one: (one.first + cold, min(ticks, one.end + grace if one.end < ticks else ticks)) for one in offered}
    offered = [one for one in offered if serves[one][0] < serves[one][1]]
    on_demand = Stretch(None, 0, ticks, target)
    serves[on_demand] = (cold, ticks)
    points = {cold, ticks, *(tick for one in offered for tick in (*serves[one], min(ticks, one.end + cold)))}
    if trace.billed:
        for prices in trace.prices.values():
            points |= {t for t in range(cold + 1, ticks) if prices[start + t] != prices[start + t - 1]}
    ends = sorted(point for point in points if cold <= point <= ticks)
    segment_at = {tick: number for number, tick in enumerate(ends)}
    spent = {zone: _spent(trace, zone, start, ticks, od_ratio) for zone in (None, *trace.zones)}

    program = _Program(len(ends) - 1, target)
    columns: list[tuple[Stretch, int, int]] = []
    for one in (*offered, on_demand):
        paid, previous = spent[one.zone], None
        # Who was told to go pays until the notice is over, which may be within a tick.
        over = one.end + notice / gap if one.end < ticks else ticks
        for segment in range(segment_at[serves[one][0]], segment_at[serves[one][1]]):
            first, last = ends[segment], ends[segment + 1]
            cost = paid[last] - paid[first]
            if over < last:
                cost -= (paid[last] - paid[last - 1]) * (last - over)
            launch = first - cold
            begin = paid[first] - paid[launch] if launch < one.end else None
            columns.append((one, segment, previous := program.serve(segment, cost, one.most, begin, previous)))
    values, cost = program.solve()

    stays: list[Stay] = []
    running: dict[Stretch, list[list[int]]] = defaultdict(list)  # [launch tick, count], the oldest first
    before: dict[Stretch, tuple[int, int]] = {}
    for one, segment, column in columns:
        now, (_segment, had) = round(values[column]), before.get(one, (segment, 0))
        if now > had:
            running[one].append([ends[segment] - cold, now - had])
        stays += _end(one, running[one], had - now, ends[segment])
        before[one] = (segment, now)
    for one, (_segment, had) in before.items():
        stays += _end(one, running[one], had, serves[one][1])
    return stays, cost


def _spent(trace: Trace, zone: str | None, start: int, ticks: int, od_ratio: float) -> list[float]:
    """What an instance of the zone has paid from the window's start until each tick."""
    rates = [od_ratio if zone is None else trace.bill(zone, start + tick) for tick in range(ticks)]
    return [0.0, *(numpy.cumsum(rates) * trace.gap).tolist()]


def _end(one: Stretch, running: list[list[int]], count: int, tick: int) -> list[Stay]:
    """End ``count`` of those running, the oldest first."""
    ended = []
    while count > 0:
        launch, have = running[0]
        some = min(have, count)
        ended.append(Stay(one.zone, launch, tick, some))
        count -= some
        running[0][1] -= some
        if not running[0][1]:
            running.pop(0)
    return ended


class _Program:
    """The linear program, row by row."""

    def __init__(self, segments: int, target: int) -> None:
        self.cost: list[float] = []
        self.most: list[float] = []
        self.cover: list[list[int]] = [[] for _each in range(segments)]
        self.begun: list[tuple[list[int], list[float]]] = []
        self.target = target

    def column(self, cost: float, most: float) -> int:
        self.cost.append(cost)
        self.most.append(most)
        return len(self.cost) - 1

    def serve(self, segment: int, cost: float, most: int, begin: float | None, previous: int | None) -> int:
        """A stretch's instances that serve in the segment; ``begin`` is what it costs to begin with it, None: too late."""
        column = self.column(cost, most)
        self.cover[segment].append(column)
        indices, values = [column], [-1.0]
        if begin is not None:
            indices.append(self.column(begin, highspy.kHighsInf))
            values.append(1.0)
        if previous is not None:
            indices.append(previous)
            values.append(1.0)
        self.begun.append((indices, values))
        return column

    def solve(self) -> tuple[list[float], float]:
        """The columns' values and the cost."""
        rows = [(indices, [1.0] * len(indices)) for indices in self.cover] + self.begun
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = len(self.cost), len(rows)
        program.col_cost_ = numpy.array(self.cost)
        program.col_lower_ = numpy.zeros(len(self.cost))
        program.col_upper_ = numpy.array(self.most, dtype=float)
        program.row_lower_ = numpy.array([float(self.target)] * len(self.cover) + [0.0] * len(self.begun))
        program.row_upper_ = numpy.full(len(rows), highspy.kHighsInf)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = numpy.cumsum([0, *(len(indices) for indices, _values in rows)])
        program.a_matrix_.index_ = numpy.array([index for indices, _values in rows for index in indices])
        program.a_matrix_.value_ = numpy.array([value for _indices, values in rows for value in values])
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("solver", "simplex")  # a vertex is wanted, for its whole numbers
        solver.passModel(program)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS did not solve the oracle's program: {solver.getModelStatus()}")
        return list(solver.getSolution().col_value), solver.getInfo().objective_function_value


class Oracle:
    """Plays the plan of a window."""

    def __init__(self, stays: Sequence[Stay], gap: float) -> None:
        self.gap = gap
        self.launches: dict[int, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
        self.changes: dict[int, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
        self.alive: dict[str | None, int] = defaultdict(int)
        for stay in stays:
            self.launches[stay.launch][stay.zone] += stay.count
            self.changes[stay.launch][stay.zone] += stay.count
            self.changes[stay.end][stay.zone] -= stay.count

    def step(self, view: View) -> Ask:
        tick = round(view.now / self.gap)
        ask = Ask()
        if tick not in self.changes:
            return ask
        launches = self.launches[tick]
        for zone, change in self.changes[tick].items():
            self.alive[zone] += change
            mine = [one for one in view.instances if one.zone == zone]  # the oldest first
            ask.end = [*ask.end, *(one.id for one in mine[: max(0, len(mine) + launches[zone] - self.alive[zone])])]
        ask.on_demand = launches.pop(None, 0)
        ask.spot = {zone: count for zone, count in launches.items() if zone is not None and count}
        return ask
