# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded markets: folders of trace files, read as a `Trace`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace


def load(folder: Path, gap: float | None = None) -> Trace:
    """The traces of ``folder``, one JSON file a zone, read with ``gap`` seconds a tick where the files are not to say it.

    Raises ``ValueError`` that names the file for a folder without traces, with different gaps, or with a broken file.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ValueError(
            f'{folder} holds no trace: *.json with {{"metadata": {{"gap_seconds"}}, "data": [..]}} is wanted'
        )
    contents = {path.stem: _read(path) for path in files}
    gaps = sorted({content["metadata"]["gap_seconds"] for content in contents.values()})
    if len(gaps) > 1 and gap is None:
        raise ValueError(
            f"the traces in {folder} have different gaps, {gaps} seconds: give one as --gap or tick_seconds"
        )
    short = {stem: stem.split("_")[0] for stem in contents}
    if len(set(short.values())) < len(short):  # several types in a zone are pools of their own
        short = {stem: stem for stem in contents}
    room = {short[stem]: content["data"] for stem, content in contents.items()}
    traced = {short[stem]: content["prices"] for stem, content in contents.items() if content.get("prices")}
    mean = sum(map(sum, traced.values())) / sum(map(len, traced.values())) if traced else None
    prices = {zone: [price / mean for price in series] for zone, series in traced.items()}
    limited = max(map(max, room.values())) > 1
    return Trace(folder.name, gap or gaps[0], tuple(sorted(room)), room, limited, prices, mean)


def _read(path: Path) -> dict[str, Any]:
    """The content of a trace file that is sound; ``ValueError`` says what is not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    try:
        gap, data, prices = content["metadata"]["gap_seconds"], content["data"], content.get("prices") or []
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a trace: it lacks "metadata": {{"gap_seconds"}} or "data"') from error
    if not isinstance(gap, (int, float)) or gap <= 0:
        raise ValueError(f"{path} has a gap of {gap!r} seconds: a number above 0 is wanted")
    if not isinstance(data, list) or not data or not all(isinstance(room, int) and room >= 0 for room in data):
        raise ValueError(f"{path} has data that is not a list of whole numbers from 0 up")
    if prices and len(prices) < len(data):
        raise ValueError(f"{path} has {len(data)} ticks but {len(prices)} prices")
    if not all(isinstance(price, (int, float)) and price > 0 for price in prices):
        raise ValueError(f"{path} has prices that are not numbers above 0")
    return content
