"""The backtest's rules on traces so small that their results are computed by hand."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.comparison import AllOnDemand, StaticMix
from ansible_collections.spot.platform.plugins.module_utils.aws import stepping
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling
from ansible_collections.spot.platform.plugins.module_utils.engine.replay import Ours
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Ask, Trace, play

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import backtest, informed  # noqa: E402  the path above comes first
from tests.bench.backtesting import baselines, goals, oracle, runs  # noqa: E402

OPEN_CLOSED_OPEN = [1, 1, 1, 1, 1, 0, 1, 1, 1, 1]


def trace_of(gap: float = 60, **room: list[int]) -> Trace:
    """Zones by name."""
    return Trace("made", gap, tuple(sorted(room)), room, max(map(max, room.values())) > 1)


class Keep:
    """As many Spot Instances in zone ``a`` as are wanted, no matter what; remembers what it saw."""

    def __init__(self, wanted: int = 1) -> None:
        self.wanted = wanted
        self.views: list[tuple[int, int, dict[str, int]]] = []

    def step(self, view):
        alive = [one for one in view.instances if one.told_at is None]
        self.views.append((len(alive), len(view.taken), view.refused))
        missing = self.wanted - len(alive)
        return Ask({"a": missing} if missing else {})


class Script:
    """Asks what it was told for a tick."""

    def __init__(self, gap: float, asks: dict[int, Ask]) -> None:
        self.gap = gap
        self.asks = asks

    def step(self, view):
        return self.asks.get(round(view.now / self.gap), Ask())


def test_without_notice_what_is_taken_serves_no_more():
    policy = Keep()
    result = play(trace_of(a=OPEN_CLOSED_OPEN), policy, 0, 10, 1)
    # Launched at ticks 0 and 6, serving in 2-4 and 8-9 of the eight counted; paid in 0-4 and 6-9.
    assert (result.ticks, result.available, result.served, result.launches) == (8, 5, 5, 2)
    assert result.cost == 9 * 60
    assert result.figures()["cost"] == pytest.approx(9 / 30)
    assert result.figures()["loss_10"] == pytest.approx(9 / 30 + 10 * 3 / 8)
    assert result.longest_shortfall == 180
    assert policy.views[5:8] == [(0, 1, {}), (0, 0, {"a": 1}), (1, 0, {})]


def test_with_notice_it_serves_and_pays_until_it_is_over():
    result = play(trace_of(a=OPEN_CLOSED_OPEN), Keep(), 0, 10, 1, notice=120)
    # Told at tick 5 and gone at 7: serving in 2-6 and 8-9; paid in 0-6 and, the second, in 6-9.
    assert (result.available, result.cost, result.longest_shortfall) == (7, 11 * 60, 60)


def test_a_notice_shorter_than_a_tick_is_paid_in_part():
    result = play(trace_of(gap=300, a=[1, 1, 0, 0]), Keep(), 0, 4, 1, notice=120)
    # Serving in 1, before the gap is over, and in 2, in which it was told; paid for two ticks and 120 seconds.
    assert (result.ticks, result.available, result.cost) == (3, 2, 2 * 300 + 120)


@pytest.mark.parametrize(("gap", "first"), [(30, 4), (50, 3), (120, 1), (300, 1)])
def test_the_cold_start_is_over_at_the_first_tick_after_it(gap, first):
    serving = []
    result = play(trace_of(gap=gap, a=[1] * 6), Keep(), 0, 6, 1, watch=lambda _tick, _fleet, now: serving.append(now))
    assert serving == [0] * first + [1] * (6 - first)
    assert (result.ticks, result.available) == (6 - first, 6 - first)


def test_room_is_a_count_where_the_set_has_counts_and_the_youngest_go():
    watched = []
    asks = {0: Ask({"a": 1}), 1: Ask({"a": 4})}
    trace = trace_of(a=[3, 3, 3, 1, 1, 3])
    play(
        trace,
        Script(60, asks),
        0,
        6,
        3,
        watch=lambda _tick, fleet, _now: watched.append([one.launched_at for one in fleet]),
    )
    assert watched == [[0], [0, 60, 60], [0, 60, 60], [0], [0], [0]]
    policy = Keep(5)
    play(trace, policy, 0, 6, 3)
    assert [refused for _alive, _taken, refused in policy.views] == [{}, *({"a": n} for n in (2, 2, 2, 4, 4))]


def test_room_without_limit_takes_all_or_none():
    policy = Keep(50)
    play(trace_of(a=[1, 0, 1]), policy, 0, 3, 1)
    assert policy.views == [(0, 0, {}), (0, 50, {}), (0, 0, {"a": 50})]


def test_on_demand_is_always_there_and_costs_the_ratio_until_it_is_ended():
    asks = {0: Ask(on_demand=2), 3: Ask(end=[1])}
    result = play(trace_of(a=[0] * 5), Script(60, asks), 0, 5, 2, od_ratio=4)
    # Two in ticks 0-2, one in 3-4.
    assert result.cost == 8 * 60 * 4
    assert (result.available, result.served, result.wanted) == (1, 4, 6)


def test_a_trace_may_bill_its_prices(tmp_path):
    write(tmp_path, "z1", [1, 1, 1], prices=[0.5, 1.0, 1.5])
    write(tmp_path, "z2", [1, 1, 1], prices=[2.0, 2.0, 2.0])
    market = runs.Market(tmp_path, od_price=4.5, billed=True)
    assert (market.trace.mean_price, market.ratio) == (1.5, 3.0)
    result = play(market.trace, Script(60, {0: Ask({"z1": 1})}), 0, 3, 1, market.ratio, cold_start=60)
    assert result.cost == pytest.approx(60 * 3.0 / 1.5)
    assert result.figures()["cost"] == pytest.approx(3.0 / (3 * 4.5))
    plain = play(replace(market.trace, billed=False), Script(60, {0: Ask({"z1": 1})}), 0, 3, 1, cold_start=60)
    assert plain.cost == 3 * 60


def test_the_static_mix_comes_to_each_zone():
    trace = trace_of(a=[0] * 12, b=[0] * 12, c=[0] * 12, d=[1] * 12)
    assert play(trace, StaticMix(), 0, 12, 3).figures()["availability"] > 0.5


@pytest.mark.parametrize(
    ("opens", "notice", "cost"),
    [
        (4, 0, 12),  # a is paid in ticks 0-5, b in 4-9
        (5, 0, 20),  # On-Demand serves tick 6: it is paid at 3 in 4-6
        (5, 120, 12),  # a serves tick 6 too, and is paid for it
    ],
)
def test_the_oracle_finds_the_plan_that_is_found_by_hand(opens, notice, cost):
    trace = trace_of(a=[1] * 6 + [0] * 4, b=[0] * opens + [1] * (10 - opens))
    stays, told = oracle.plan(trace, 0, 10, 1, 3.0, 120.0, notice)
    assert told == pytest.approx(cost * 60)
    result = play(trace, oracle.Oracle(stays, trace.gap), 0, 10, 1, notice=notice)
    assert result.cost == pytest.approx(told)
    assert result.figures()["availability"] == 1


def test_room_is_cut_into_layers():
    found = oracle.stretches("a", [2, 5, 5, 1, 0, 3], limited=True, target=4)
    assert {(one.first, one.end, one.most) for one in found} == {(0, 3, 1), (0, 4, 1), (1, 3, 2), (5, 6, 3)}
    assert [(one.first, one.end, one.most) for one in oracle.stretches("a", [1, 1, 0, 1], False, 3)] == [
        (0, 2, 3),
        (3, 4, 3),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_the_oracle_plays_what_it_planned_and_nobody_who_serves_as_well_is_cheaper(seed):
    rng = random.Random(seed)
    most = rng.choice((1, 4))
    room = {zone: [] for zone in "abc"}
    for series in room.values():
        while len(series) < 150:
            series += [rng.randint(0, most)] * rng.randint(1, 25)
    trace = trace_of(gap=rng.choice((34, 60, 195)), **{zone: series[:150] for zone, series in room.items()})
    notice, target = rng.choice((0, 120)), rng.choice((1, 3))
    stays, told = oracle.plan(trace, 0, 150, target, 3.0, 120.0, notice)
    limit = play(trace, oracle.Oracle(stays, trace.gap), 0, 150, target, notice=notice)
    assert limit.cost == pytest.approx(told)
    assert limit.figures()["availability"] == 1
    for policy in (AllOnDemand(), baselines.SpotHedge(), Ours("availability")):
        other = play(trace, policy, 0, 150, target, notice=notice)
        assert other.available < other.ticks or other.cost >= limit.cost - 1e-6


def test_what_is_played_is_what_the_module_decides_by(monkeypatch):
    """One function, and no copy of it: the module's controller and the replay both look it up in the engine."""
    assert stepping.engine.decide is autoscaling.decide
    asked, decide = [], autoscaling.decide
    monkeypatch.setattr(autoscaling, "decide", lambda *told: asked.append(told) or decide(*told))
    play(trace_of(a=OPEN_CLOSED_OPEN, b=[1] * 10), Ours("balanced"), 0, 10, 2)
    assert len(asked) == 10 and stepping.engine.decide is autoscaling.decide
    assert all(isinstance(one[0], autoscaling.Observation) and one[1].profile == "balanced" for one in asked)


def test_windows_are_the_same_for_the_same_seed_and_within_the_trace():
    trace = trace_of(gap=600, a=[1] * 300)
    found = runs.windows(trace, 5, 24, 7)
    assert found == runs.windows(trace, 5, 24, 7) != runs.windows(trace, 5, 24, 8)
    assert all(ticks == 144 and 0 <= start <= 300 - 144 for start, ticks in found)


def test_the_worst_day_is_where_zones_closed_most():
    quiet, busy = [1] * 288, [1, 0] * 72 + [1] * 0
    start, ticks = runs.worst(trace_of(gap=600, a=[*quiet, *busy]), 24)
    assert (start, ticks) == (288, 144)


def write(folder: Path, zone: str, data: list[int], gap: float = 60, **more: object) -> None:
    """A trace file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"metadata": {"gap_seconds": gap}, "data": data, **more}
    (folder / f"{zone}_m5_1.json").write_text(json.dumps(content), encoding="utf-8")


def run(monkeypatch, *arguments: object) -> int:
    """The command."""
    monkeypatch.setattr(sys, "argv", ["backtest.py", *map(str, arguments)])
    return backtest.main()


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({}, (), "holds no trace"),
        ({"a.json": "{"}, (), "a.json is not JSON"),
        ({"a.json": "{}"}, (), "a.json is not a trace"),
        ({"a.json": '{"metadata": {"gap_seconds": 0}, "data": [1]}'}, (), "gap of 0 seconds"),
        ({"a.json": '{"metadata": {"gap_seconds": 9}, "data": [-1]}'}, (), "whole numbers from 0 up"),
        ({"a.json": '{"metadata": {"gap_seconds": 9}, "data": [1, 1], "prices": [1]}'}, (), "2 ticks but 1 prices"),
        (
            {f"{gap}.json": f'{{"metadata": {{"gap_seconds": {gap}}}, "data": [1]}}' for gap in (30, 60)},
            (),
            "different gaps, [30, 60] seconds",
        ),
        ({"a.json": '{"metadata": {"gap_seconds": 3600}, "data": [1, 1]}'}, (), "a window of 24 hours does not fit"),
        ({"a.json": '{"metadata": {"gap_seconds": 60}, "data": [1, 1]}'}, ("--whole",), "nothing is left"),
        ({"a.json": '{"metadata": {"gap_seconds": 60}, "data": [1, 1]}'}, ("--whole", "--prices"), "has no prices"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch, capsys, tmp_path, files, options, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert run(monkeypatch, "--traces", tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_says_where_to_get_it(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "--traces", tmp_path / "none") == 2
    told = capsys.readouterr().err
    assert "SPOT_DATA" in told and backtest.SOURCE in told


@pytest.fixture(name="sets")
def two_sets(tmp_path):
    """A set that opens and closes, and one of counts."""
    rng = random.Random(3)
    for zone in "abc":
        flips = [int(rng.random() < 0.7) for _each in range(16)]
        write(tmp_path / "flips", zone, [one for one in flips for _each in range(10)], gap=600)
        write(tmp_path / "counts", zone, [4 * one for one in flips for _each in range(10)], gap=600)
    return tmp_path


def test_the_command_writes_a_row_for_each_policy_and_set(monkeypatch, capsys, sets, tmp_path):
    out = tmp_path / "out"
    files = ("--json", out / "rows.json", "--html", out / "page.html", "--images", out / "images")
    assert run(monkeypatch, "--traces", sets, "--windows", 2, "--notice", 0, 120, *files) == 0
    rows = json.loads((out / "rows.json").read_text("utf-8"))["rows"]
    kinds = [("oracle", None), *(("spot.platform", profile) for profile in ("cost", "balanced", "availability"))]
    kinds += [(name, None) for name in ("all-on-demand", "static-mix", "round-robin", "spothedge")]
    wanted = {(name, *kind, notice) for name in ("flips", "counts") for kind in kinds for notice in (0, 120)}
    assert {(row["trace"], row["policy"], row["profile"], row["notice"]) for row in rows} == wanted
    assert len(rows) == len(wanted)
    keys = "trace policy profile notice target availability service cost loss_3 loss_10 loss_30 launches_per_day"
    assert all(row.keys() == {*keys.split(), "longest_shortfall", "gap", "mode", "windows", "seed"} for row in rows)
    for row in rows:
        assert row["loss_30"] == pytest.approx(row["cost"] + 30 * (1 - row["service"]))
        if row["policy"] in ("oracle", "all-on-demand"):
            assert row["availability"] == 1
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 1

    told = (out / "page.html").read_text("utf-8")
    assert not re.findall(r"""(?:src|href)=|@import|url\(""", told)
    assert told.count("<tr") == len(rows) + 4
    images = sorted((out / "images").iterdir())
    assert [path.name for path in images] == [
        f"backtest-{name}{day}.svg" for name in ("counts", "flips") for day in ("-day", "")
    ]
    for path in images:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def row_of(trace: str, policy: str, profile: str | None, **more: object) -> dict:
    """A row of a report."""
    case = {"notice": 0, "target": 3, "mode": "cold", "availability": 1.0, "cost": 0.5}
    row = {"trace": trace, "policy": policy, "profile": profile, **case, **more}
    return row | {f"loss_{w}": row.get("loss", row["cost"]) for w in (3, 10, 30)}


def test_the_goals_are_judged_against_spothedge_of_the_same_case():
    rows = []
    for name in ("v100-2month", "other"):
        for case in (
            {"notice": 120},
            {"notice": 0},
            {"notice": 0, "mode": "whole"},
            {"notice": 0, "target": 12},
        ):
            rows.append(row_of(name, "spothedge", None, **case))
            rows += [row_of(name, "spot.platform", profile, cost=0.38, **case) for profile in runs.PROFILES]
    assert [point.met for point in goals.points(rows)] == [True] * 4
    dear = [row | {"cost": 0.42} if row["trace"] == "other" and row["notice"] else row for row in rows]
    assert [point.met for point in goals.points(dear)] == [False, True, True, True]
    lossy = [row | {"loss_30": 0.46} if row["profile"] == "availability" else row for row in rows]
    assert [point.met for point in goals.points(lossy)] == [True, False, True, True]
    down = [row | {"availability": 0.99} if row["mode"] == "whole" else row for row in rows]
    assert [point.met for point in goals.points(down)] == [True, True, False, True]
    many = [row | {"loss_10": 0.6} if (row["target"], row["profile"]) == (12, "balanced") else row for row in rows]
    assert [point.met for point in goals.points(many)] == [True, True, True, False]
    assert [point.met for point in goals.points([])] == [None] * 4
    assert goals.record_of(goals.points([]))[2] is False


def test_who_is_told_the_present_goes_where_nothing_is_lost():
    past = informed.Past(trace_of(gap=120, a=[1, 1, 0] * 20, b=[1] * 60))
    assert past.chance("b", 30) == 0
    costs, serving = informed.play(past, target=3, worth=1000)
    assert serving == [3] * 60
    assert costs[10:] == [3] * 49 + [9]  # after the last tick is nothing to choose for


def test_who_is_told_the_present_takes_on_demand_where_spot_is_lost_at_once():
    past = informed.Past(trace_of(gap=120, a=[1, 0] * 30))
    assert past.chance("a", 31) == 1
    assert informed.play(past, target=3, worth=1000) == ([9.0] * 60, [3] * 60)
    costs, serving = informed.play(past, target=3, worth=1)
    assert (costs[0], serving[1], costs[1]) == (3, 0, 9)


def test_zones_that_are_lost_together_are_not_two():
    together = informed.Past(trace_of(gap=120, a=[1, 1, 0] * 20, b=[1, 1, 0] * 20))
    apart = informed.Past(trace_of(gap=120, a=[1, 1, 0] * 20, b=[0, 1, 1] * 20))
    chances = {"a": 0.1, "b": 0.1}
    both = (("a", 2), ("b", 2))
    assert informed.shortage(together, both, 2, chances) == pytest.approx(0.1)
    assert informed.shortage(apart, both, 2, chances) == 0
    assert informed.shortage(apart, both, 3, chances) == pytest.approx(0.2)
