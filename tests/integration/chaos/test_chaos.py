# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chaos in a short form: some hours with every kind of trouble, from three seeds; the same seed gives the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUN = ROOT / "tests" / "chaos" / "run.py"
SEEDS = (0, 1, 2)
AGAIN = "0 again"
WIRE = "0 over the wire"
KINDS = 12
"""The kinds of trouble, see `troubles.WEEKLY`."""


def play(folder: Path, seed: int, name: str, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Exit status, output and history of a short run, whose strings are hashed in an order of its own."""
    path = folder / f"{name}.json"
    done = subprocess.run(
        [sys.executable, str(RUN), "--short", "--seed", str(seed), "--json", str(path), *more],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": str(len(name)), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert path.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr, json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, tuple[int, str, dict[str, Any]]]:
    """The runs of all seeds, and the first one again and over the wire, two at a time."""
    folder = tmp_path_factory.mktemp("chaos")
    with ThreadPoolExecutor(2) as pool:
        begun = {seed: pool.submit(play, folder, seed, str(seed)) for seed in SEEDS}
        begun[AGAIN] = pool.submit(play, folder, 0, "again")
        begun[WIRE] = pool.submit(play, folder, 0, "by wire", "--wire")
        return {name: one.result() for name, one in begun.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_judge_finds_nothing(runs: dict[Any, tuple[int, str, dict[str, Any]]], seed: int) -> None:
    status, output, history = runs[seed]
    assert history["verdict"]["findings"] == []
    assert status == 0, output


@pytest.mark.parametrize("seed", SEEDS)
def test_much_went_wrong(runs: dict[Any, tuple[int, str, dict[str, Any]]], seed: int) -> None:
    history = runs[seed][2]
    assert len({one["kind"] for one in history["troubles"]}) == KINDS
    assert history["counts"]["killed"] and history["counts"]["two"] and history["verdict"]["figures"]["interruptions"]


def test_a_seed_gives_the_same_run_again(runs: dict[Any, tuple[int, str, dict[str, Any]]]) -> None:
    assert runs[AGAIN][2] == runs[0][2]


def test_the_short_way_to_the_sandbox_leads_to_the_same(runs: dict[Any, tuple[int, str, dict[str, Any]]]) -> None:
    """But for fractions of a second: while calls are repeated, what waits for how long is drawn in another order."""
    wire, short = (runs[name][2] for name in (WIRE, 0))
    assert wire["verdict"]["findings"] == [] and wire["troubles"] == short["troubles"]
    for figure in ("served", "cost_share"):
        assert wire["verdict"]["figures"][figure] == pytest.approx(short["verdict"]["figures"][figure], rel=0.02)


def test_seeds_differ(runs: dict[Any, tuple[int, str, dict[str, Any]]]) -> None:
    assert runs[0][2]["groups"] != runs[1][2]["groups"]
