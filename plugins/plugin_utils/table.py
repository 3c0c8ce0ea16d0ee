# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for a terminal, at most 100 characters wide."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100


def aligned(rows: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """The rows with their columns under each other, the first giving way where the table would be too wide.

    The first ``left`` columns are words and stand on the left; the others are figures.
    """
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    widths[0] -= max(0, min(widths[0] - 8, sum(widths) + 2 * (len(widths) - 1) - WIDTH))
    lines = []
    for cells in rows:
        first = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "~"
        shown = (first, *cells[1:])
        lines.append(
            "  ".join(
                cell.ljust(width) if column < left else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(shown, widths))
            ).rstrip()
        )
    return lines


def wrapped(text: str) -> list[str]:
    """``text`` in lines of at most the table's width, broken at spaces, continued with two spaces."""
    lines = []
    while len(text) > WIDTH:
        cut = text.rfind(" ", 3, WIDTH + 1)
        cut = cut if cut > 0 else WIDTH
        lines.append(text[:cut])
        text = "  " + text[cut:].lstrip()
    return [*lines, text]


def money(dollars: float | None) -> str:
    """USD to a hundredth of a cent: a small fleet costs cents an hour."""
    return "?" if dollars is None else f"{dollars:.4f}"


def percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1f} %"
