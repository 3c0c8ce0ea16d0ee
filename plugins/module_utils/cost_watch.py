# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``cost_watch`` tells of budgets and of days out of line, each once, and what it remembers to have told."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.activity import Event
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_watch import Anomaly, State

FORECAST = "forecast"
KEPT = timedelta(days=92)
"""For how long it is remembered that a day was told of."""


class Told:
    """What was told, in a file that its owner alone reads: by application the month and its alerts, and the days out of line.

    A file that is damaged is an error, since all would be told again.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        self.budgets: dict[str, dict[str, Any]] = {}
        self.anomalies: list[str] = []

    def read(self) -> None:
        """Raises ``ValueError`` for a file that cannot be used."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            self.budgets, self.anomalies = dict(kept["budgets"]), list(kept["anomalies"])
        except FileNotFoundError:
            self.budgets, self.anomalies = {}, []
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise ValueError(f"cannot read what was told, {self.path}: {problem}; mend it, or remove it to be told all again") from None

    def write(self, today: date) -> None:
        """Raises ``ValueError`` where it cannot be written."""
        oldest = str(today - KEPT)
        content = {"budgets": self.budgets, "anomalies": sorted(one for one in set(self.anomalies) if one >= oldest)}
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1, sort_keys=True)
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as problem:
            raise ValueError(f"cannot keep what was told in {self.path}: {problem}; name a file that can be written") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """With nobody else telling, so that two at once tell nothing twice. Raises ``ValueError`` where the folder cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise ValueError(f"cannot keep what was told in {self.path}: {problem}; name a file that can be written") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def news(states: Sequence[State], anomalies: Sequence[Anomaly], told: Told, basis: str) -> list[Event]:
    """What was not told before; ``told`` then has it."""
    events = []
    for state in states:
        kept = told.budgets.get(state.budget.app)
        if not kept or kept.get("month") != state.month:
            kept = {"month": state.month, "alerts": []}
        if state.crossed is not None and state.crossed > max(kept["alerts"], default=0):
            kept["alerts"] = [share for share in sorted(state.budget.alerts) if share <= state.share]
            events.append(_reached(state, basis))
        if state.exceeds and state.share < 100 and not kept.get(FORECAST):
            kept[FORECAST] = True
            events.append(_to_exceed(state, basis))
        told.budgets[state.budget.app] = kept
    for one in anomalies:
        name = f"{one.day}/{one.app if one.app is not None else '*'}"
        if name not in told.anomalies:
            told.anomalies.append(name)
            events.append(_out_of_line(one, basis))
    return events


def _reached(state: State, basis: str) -> Event:
    budget = state.budget
    return Event(
        kind="budget.exceeded" if state.share >= 100 else "budget.reached",
        resource=f"budget/{budget.app}/{state.month}",
        app=budget.app,
        summary=f"{budget.app} has spent {state.spent:.2f} USD in {state.month}, {state.share:.0f} % of its budget of {budget.monthly:.2f} USD",
        reasons=(f"the alert at {state.crossed:g} % is reached", *_outlook(state), f"the costs are {basis}"),
        after=budget_of(state),
        changed=False,
    )


def _to_exceed(state: State, basis: str) -> Event:
    budget = state.budget
    expected = state.forecast.expected if state.forecast else 0.0
    return Event(
        kind="budget.forecast",
        resource=f"budget/{budget.app}/{state.month}",
        app=budget.app,
        summary=f"{budget.app} is to spend {expected:.2f} USD in {state.month}, more than its budget of {budget.monthly:.2f} USD",
        reasons=(f"{state.spent:.2f} USD are spent", *_outlook(state), f"the costs are {basis}"),
        after=budget_of(state),
        changed=False,
    )


def _outlook(state: State) -> tuple[str, ...]:
    found = state.forecast
    if found is None:
        return ()
    return (f"at the end of the month it will be {found.expected:.2f} USD, with 80 % confidence {found.low:.2f} to {found.high:.2f} USD",)


def _out_of_line(one: Anomaly, basis: str) -> Event:
    whose = "all applications together" if one.app is None else one.app or "what belongs to no application"
    how = "more" if one.difference > 0 else "less"
    return Event(
        kind="cost.anomaly",
        resource=f"cost/{one.day}/{one.app or ('*' if one.app is None else '-')}",
        app=one.app or None,
        summary=f"{whose} cost {one.usd:.2f} USD on {one.day}, {abs(one.difference):.2f} USD {how} than usual",
        reasons=(*(reason_of(cause) for cause in one.causes), f"the costs are {basis}"),
        after=anomaly_of(one),
        changed=False,
    )


def reason_of(cause: Any) -> str:
    """A sentence for a cause."""
    return f"{cause.service} of {cause.app or 'no application'}: {cause.usd:.2f} USD, usually {cause.usual:.2f} USD"


def budget_of(state: State) -> dict[str, Any]:
    """A budget as the module returns it."""
    return {
        "app": state.budget.app,
        "month": state.month,
        "budget_usd": state.budget.monthly,
        "spent_usd": round(state.spent, 6),
        "spent_percent": round(state.share, 1),
        "crossed_percent": state.crossed,
        "exceeds": state.exceeds,
        "forecast": forecast_of(state.forecast),
    }


def forecast_of(found: Any) -> dict[str, Any] | None:
    """A forecast as the module returns it."""
    if found is None:
        return None
    usd = {name: round(getattr(found, name), 6) for name in ("expected", "low", "high", "spent")}
    return {**usd, "days_over": found.days_over, "days_left": found.days_left}


def anomaly_of(one: Anomaly) -> dict[str, Any]:
    """A day out of line as the module returns it."""
    return {
        "day": str(one.day),
        "app": one.app,
        "usd": round(one.usd, 6),
        "usual_usd": round(one.usual, 6),
        "score": round(one.score, 1) if abs(one.score) < 1e6 else None,
        "causes": [
            {"app": cause.app, "service": cause.service, "usd": round(cause.usd, 6), "usual_usd": round(cause.usual, 6)} for cause in one.causes
        ],
    }


def day_of(name: str, text: str | None, otherwise: date) -> date:
    """An option that is a day. Raises ``ValueError`` for any other text."""
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError:
        raise ValueError(f"{name} is {text!r}: write a day as in 2026-01-31") from None


def budgets_named(given: Sequence[Mapping[str, Any]]) -> None:
    """Raises ``ValueError`` where an application has two."""
    names = [one["app"] for one in given]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"there are two budgets of {name}: leave one")
