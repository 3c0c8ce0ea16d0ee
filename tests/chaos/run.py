# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play a simulated week in which much goes wrong, and judge it: ``python tests/chaos/run.py [--seed 0] [--short]``.

Writes ``build/chaos/<seed>.json`` and a page beside it. The exit status is 1 where the judge found something.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / ".collections"), str(ROOT / "tests" / "sandbox")]

from tests.chaos import judge, page, troubles  # noqa: E402  the path is set above
from tests.chaos.troubles import Trouble  # noqa: E402
from tests.chaos.world import TYPES, Killed, World  # noqa: E402

REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-south-1")
SHORT = (3, REGIONS[:2], 4.0)
"""Applications, regions and hours of the short form."""
QUIET = 300.0
"""Seconds to the next step where nothing is due."""
SOONEST = 30.0
"""Seconds to the next step at least: a run of the playbook takes about that long."""
EBB = 900.0
"""Seconds between the moments at which the sandbox's market takes instances back."""
HEARD = 5.0
"""Seconds from an interruption notice until the step that it causes."""
SETTLED = 10
"""Minutes after the end of it all, in each of which a step is taken."""


class Play:
    """A run: the world, its troubles, and what is written down of both."""

    def __init__(self, world: World, plan: Sequence[Trouble], seconds: float) -> None:
        self.world, self.plan, self.seconds = world, plan, seconds
        self.start = world.now
        self.due = dict.fromkeys(world.regions, self.start)
        self.notices: dict[str, set[str]] = {region: set() for region in world.regions}
        self.told: set[str] = set()
        self.kills: dict[str, list[int]] = {region: [] for region in world.regions}
        self.others: dict[str, list[int]] = {region: [] for region in world.regions}
        self.holder = 0
        self.events: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.best: dict[str, dict[str, int]] = {}
        self.edges = sorted({self.start + at for one in plan for at in (one.begin, one.end)})

    def play(self, tell: Callable[[str], None]) -> None:
        """Let the time pass, with its troubles and the controller's steps."""
        end, told = self.start + self.seconds, -1
        while self.world.now < end:
            ebb = self.world.began + EBB * (math.floor((self.world.now - self.world.began) / EBB) + 1)
            edge = next((at for at in self.edges if at > self.world.now), end)
            moment = min(end, ebb, edge, max(self.world.now, min(self.due.values())))
            if moment > self.world.now:
                self.world.pass_time(moment - self.world.now)
            if self.world.now >= ebb or self.edges and self.edges[0] <= self.world.now:
                self._meet()
                self._hear()
            for region in [one for one, at in sorted(self.due.items(), key=lambda item: item[1]) if at <= self.world.now]:
                self._step(region)
            if (hour := int((self.world.now - self.start) // 3600)) != told:
                told = hour
                tell(f"hour {hour}: {self.counts['steps']} steps, {self.counts['notices']} notices")

    def _in_force(self) -> list[Trouble]:
        at = self.world.now - self.start
        return [one for one in self.plan if one.begin <= at < one.end]

    def _meet(self) -> None:
        """Let the troubles begin and end that are due."""
        at = self.world.now
        due = [edge for edge in self.edges if edge <= at]
        if not due:
            return
        del self.edges[: len(due)]
        for one in self.plan:
            if self.start + one.begin not in due:
                continue
            if one.kind == troubles.KILL:
                self.kills[one.region].append(one.what["write"])
            elif one.kind == troubles.TWO:
                self.others[one.region].append(one.what["write"])
            elif one.kind == troubles.FORGET:
                self.world.forget(one.region)
        force = self._in_force()
        self.world.skew = sum(one.what["seconds"] for one in force if one.kind == troubles.JUMP)
        rules = [{"kind": one.what["kind"], "rate": one.what["rate"]} for one in force if one.kind in troubles.FAULTS]
        self.world.ask("faults", rules=rules)
        for lifecycle in ("spot", "on_demand"):
            self.world.ask("capacity", room=None, lifecycle=lifecycle)
        for one in force:
            if one.kind in troubles.SCARCE:
                pool = {"region": one.region, **{key: one.what[key] for key in ("zone", "instance_type") if key in one.what}}
                self.world.ask("capacity", room=0, notice=one.what["notice"], **pool)
                if one.kind == troubles.SOLD_OUT:
                    self.world.ask("capacity", room=0, lifecycle="on_demand", **pool)
        away = [self.start + one.end for one in force if one.kind == troubles.AWAY]
        if away:
            self.due = dict.fromkeys(self.due, max(away))

    def _hear(self) -> None:
        """The interruption notices that are new, each an event that asks for a step."""
        away = any(one.kind == troubles.AWAY for one in self._in_force())
        for one in self.world.ask("notices")["instances"]:
            if one["id"] not in self.told:
                self.told.add(one["id"])
                self.counts["notices"] += 1
                if not away:  # nobody hears
                    self.notices[one["region"]].add(one["id"])
                    self.due[one["region"]] = min(self.due[one["region"]], self.world.now + HEARD)

    def _step(self, region: str) -> None:
        """A step of the controller in a region, with what befalls it."""
        world, notices = self.world, frozenset(self.notices[region])
        world.report_traffic(region)
        self.counts["steps"] += 1
        self.notices[region].clear()

        def kill() -> None:
            self.kills[region].pop(0)
            raise Killed

        def other() -> None:
            self.others[region].pop(0)
            self._note(region, None, "two", "a second controller steps the region")
            self._learn(region, *world.step(world.others, region, f"second-{self.holder}", notices))

        self.due[region] = world.now + 60.0
        try:
            if self.kills[region]:
                with world.on_write(world.clients, self.kills[region][0], kill):
                    result, best = world.step(world.clients, region, f"controller-{self.holder}", notices)
            elif self.others[region]:
                with world.on_write(world.clients, self.others[region][0], other):
                    result, best = world.step(world.clients, region, f"controller-{self.holder}", notices)
            else:
                result, best = world.step(world.clients, region, f"controller-{self.holder}", notices)
        except Killed:
            self.holder += 1
            self._note(region, None, "killed", "the controller is killed")
            return
        self._learn(region, result, best)
        soon = min((one["ask_again_seconds"] for one in result["decisions"]), default=60)
        self.due[region] = world.now + (QUIET if soon >= 60 and not result["errors"] else max(SOONEST, soon))

    def _learn(self, region: str, result: dict[str, Any], best: dict[str, int]) -> None:
        """Write down of a step what explains a shortage."""
        self.best |= best
        for one in result["errors"]:
            self._note(region, one["group"], "error", one["message"])
        for one in result["decisions"]:
            self.counts[one["kind"]] += 1
            self.counts["launched"] += sum(len(each["instances"]) for each in one["launched"])
            self.counts["ended"] += len(one["ended"])
            refused = [each for each in one["launched"] if each["lifecycle"] == "on_demand" and each["refusal"]]
            if refused:
                self._note(region, one["group"], "refused", f"On-Demand: {refused[0]['refusal']}")

    def _note(self, region: str, group: str | None, what: str, text: str) -> None:
        self.counts[what] += 1
        self.events.append(
            {"time": self.world.now - self.start, "region": region, "group": group, "what": what, "text": text}
        )

    def settle(self) -> dict[str, Any]:
        """Let some minutes pass without market or trouble, and say what remains."""
        for _minute in range(SETTLED):
            self.world.pass_time(60)
            self._hear()
            for region in self.world.regions:
                self._step(region)
        remains = self.world.remains()
        for name, group in remains["groups"].items():
            group["best"] = self.best[name]
        return remains


def told(play: Play, remains: dict[str, Any], seed: int) -> dict[str, Any]:
    """All that the judge and the page read. Times are seconds after the start."""
    world, start = play.world, play.start
    history = world.ask("history")
    profiles = {f"{app.group}@{app.region}": app.profile for app in world.apps}

    def after(moment: float | None) -> float | None:
        return None if moment is None else round(moment - start, 3)

    return {
        "seed": seed,
        "hours": play.seconds / 3600,
        "apps": len({app.name for app in world.apps}),
        "regions": world.regions,
        "end": after(history["now"]),
        "troubles": [
            {"kind": one.kind, "begin": one.begin, "end": one.end, "region": one.region, "text": str(one)}
            for one in play.plan
        ],
        "events": play.events,
        "counts": dict(sorted(play.counts.items())),
        "groups": {
            name: {
                "profile": profiles[name],
                "region": one["region"],
                "rows": [[after(row[0]), *row[1:]] for row in one["rows"]],
            }
            for one in history["groups"]
            if (name := f"{one['name']}@{one['region']}")
        },
        "instances": [
            {
                "group": f"{one['group']}@{one['region']}",
                "pool": f"{one['zone']}/{one['instance_type']}" if one["lifecycle"] == "spot" else None,
                "launched": after(one["launched"]),
                "warned": after(one["warned"]),
                "ended": after(one["ended"]),
                "cause": one["cause"],
                "cost": one["cost"],
            }
            for one in history["instances"]
        ],
        "on_demand_price": {region: world.on_demand_price(region) for region in world.regions},
        "remains": remains,
    }


def run(
    seed: int, apps: int, regions: Sequence[str], hours: float, tell: Callable[[str], None], wire: bool = False
) -> dict[str, Any]:
    """Play and judge; returns what was told, with the judge's ``verdict``."""
    world = World(seed, apps, regions, not wire)
    try:
        plan = troubles.plan(seed, hours, world.zones, sorted(TYPES))
        play = Play(world, plan, hours * 3600)
        play.play(tell)
        history = told(play, play.settle(), seed)
    finally:
        world.close()
    return {**history, "verdict": judge.judge(history)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Play a week in which much goes wrong, and judge it.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--hours", type=float, default=168)
    parser.add_argument("--short", action="store_true", help="3 applications in 2 regions for 4 hours")
    parser.add_argument("--wire", action="store_true", help="every call over the wire (see shortcuts.py), which takes longer")
    parser.add_argument("--json", type=Path, help="where the history goes (default: build/chaos/<seed>.json)")
    parser.add_argument("--image", type=Path, help="where the picture of the app that lost most instances goes")
    options = parser.parse_args()
    apps, regions, hours = SHORT if options.short else (options.apps, REGIONS, options.hours)
    begun = time.monotonic()

    def tell(text: str) -> None:
        print(f"  {time.monotonic() - begun:5.0f} s  {text}", flush=True)

    found = run(options.seed, apps, regions, hours, tell, options.wire)
    path = options.json or ROOT / "build" / "chaos" / f"{options.seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".html").write_text(page.html(found), encoding="utf-8")
    if options.image:
        options.image.write_text(page.image(found), encoding="utf-8")
    print("\n".join(judge.report(found)), flush=True)
    return 1 if found["verdict"]["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
