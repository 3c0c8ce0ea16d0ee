# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: two applications in two regions on the embedded sandbox, through a Spot drought and back, and then through a month.

It runs the same playbooks that a user runs, plays the market's part through the sandbox's control interface, and
asserts what each act is meant to show: it exits 1 when the platform did not do what this page promises.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import month

ROOT = Path(__file__).resolve().parents[2]
INVENTORY, MONTH = "tests/demo/inventory", "tests/demo/month.yml"
COMPUTE = "Amazon Elastic Compute Cloud - Compute"
REGIONS = ("us-east-1", "eu-west-1")
SOURCES = ["platform", "autoscaling", "codedeploy"]
"""Whose events the page shows: all that CloudTrail saw in a month would leave no place for the others."""
HIT = "us-east-1"
"""The region that the drought strikes; the other one shows that nothing happens to it."""

ARRIVES_BEFORE = timedelta(minutes=2)
"""How far behind the present the sandbox's clock is at the end, so that nothing of the month is in the future."""


class DemoError(Exception):
    """The platform did not do what the demo shows; the text says what was expected and what was seen."""


class Demo:
    """One run: where it writes, what it started, and how long each act took."""

    def __init__(self, output: Path, keep: bool) -> None:
        self.output = output
        self.keep = keep
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.acts: list[dict[str, Any]] = []
        self.child: subprocess.Popen[str] | None = None
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "AWS_ENDPOINT_URL": self.url,
            "SPOT_ACTIVITY_FILE": str(output / "activity.jsonl"),
            "SPOT_DEMO_DIRECTORY": str(output),
        }

    @contextmanager
    def act(self, title: str):
        """Announce an act, time it, and keep its time for the table at the end."""
        print(f"\n{title}", flush=True)
        started = time.monotonic()
        yield
        self.acts.append({"act": title, "seconds": round(time.monotonic() - started, 1)})

    def playbook(self, name: str, **variables: Any) -> str:
        """Run a playbook of the collection as a user would and return its output; raise ``DemoError`` if it fails."""
        given = [f"-e '{json.dumps({key: value})}'" if isinstance(value, list) else f"-e {key}={value}" for key, value in variables.items()]
        shown = " ".join([f"spot.platform.{name} -i {INVENTORY}", *given])
        return self.run(name, f"spot.platform.{name}", f"ansible-playbook {shown}", variables)

    def run(self, name: str, playbook: str, shown: str, variables: dict[str, Any]) -> str:
        """Run a playbook, a name or a file, and return its output, which is logged as ``name``; raise ``DemoError`` if it fails."""
        command = ["ansible-playbook", playbook, "-i", INVENTORY, *(part for one in variables.items() for part in ("-e", json.dumps(dict([one]))))]
        print(f"  $ {shown}", flush=True)
        log = self.output / f"{len(list(self.output.glob('*.log'))) + 1:02d}-{name}.log"
        lines: list[str] = []
        with Progress() as progress, open(log, "w", encoding="utf-8") as stream:
            self.child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            for line in self.child.stdout or ():
                stream.write(line)
                lines.append(line.rstrip("\n"))
                if line.startswith(("TASK [", "PLAY [")):
                    progress.say(line[line.index("[") + 1 : line.rindex("]")])
            status = self.child.wait()
            self.child = None
        if status != 0:
            tail = "\n    ".join(lines[-25:])
            raise DemoError(f"{shown} ended with status {status}; its last lines (all of them in {log}):\n    {tail}")
        return "\n".join(lines)

    def control(self, path: str, **body: Any) -> Any:
        """Ask the sandbox's control interface: POST with a body, GET without."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.url}/sandbox/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (loopback, our own server)
            return json.load(answer)

    def pass_time(self, seconds: int, why: str) -> None:
        """Let sandbox time pass."""
        print(f"  ... {seconds // 60} min {seconds % 60:02d} s pass: {why}", flush=True)
        self.control("clock", advance=seconds)

    def time(self) -> datetime:
        """The sandbox's time."""
        return datetime.fromisoformat(self.control("clock")["time"])

    def backdate(self) -> None:
        """What this machine noted by its own clock, which is at the present, goes to the sandbox's time."""
        path, now = self.output / "activity.jsonl", self.time()
        ahead, events = datetime.now(timezone.utc) - now, [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for event in events:
            noted = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
            if noted > now + timedelta(hours=1):
                event["time"] = (noted - ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")

    def fleets(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The fleets as ``platform_status`` sees them, by application and region; prints its table."""
        snapshot = self.output / "status.json"
        output = self.playbook("platform_status", platform_status_file=str(snapshot))
        print(table_of(output), flush=True)
        return {(fleet["app"], fleet["region"]): fleet for fleet in json.loads(snapshot.read_text("utf-8"))["fleets"]}

    def stop(self) -> None:
        """End what was started, also half-way."""
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGTERM)
            self.child.wait(timeout=20)
        if self.keep:
            print(f"\nThe sandbox stays up at {self.url}; stop it with:\n  {self.stop_command()}")
            return
        subprocess.run(self.stop_command().split(), cwd=ROOT, env=self.environment, check=False, capture_output=True)

    def stop_command(self) -> str:
        """The command that ends this run's sandbox."""
        return (
            f"ansible-playbook spot.platform.sandbox -e state=stopped -e sandbox_port={self.port}"
            f" -e sandbox_directory={self.output / 'sandbox'}"
        )


class Progress:
    """The name of the running task and its seconds, on one line that overwrites itself on a terminal."""

    def __init__(self) -> None:
        self.text = "starting"
        self.started = time.monotonic()
        self.terminal = sys.stdout.isatty()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.draw, daemon=True)

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.done.set()
        self.thread.join()
        if self.terminal:
            print("\r\033[K", end="")
        print(f"    done in {time.monotonic() - self.started:.1f} s", flush=True)

    def say(self, text: str) -> None:
        """Name what runs now."""
        self.text = text

    def draw(self) -> None:
        """A line that is redrawn on a terminal; elsewhere a line every ten seconds."""
        while not self.done.wait(0.2 if self.terminal else 10):
            line = f"    {time.monotonic() - self.started:5.0f} s  {self.text}"[: shutil.get_terminal_size().columns - 1]
            print(f"\r\033[K{line}" if self.terminal else line, end="" if self.terminal else "\n", flush=True)


def free_port(preferred: int = 5566) -> int:
    """``preferred`` when nothing listens there, else any free port of loopback."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")


def table_of(output: str) -> str:
    """The status table out of a playbook's output: the list that its last task shows."""
    start, end = output.rfind("["), output.rfind("]")
    lines = [line.strip().strip(",").strip('"') for line in output[start + 1 : end].splitlines()]
    return "\n".join(f"    {line}" for line in lines if line)


def expect(true: bool, what: str, seen: Any) -> None:
    """Raise ``DemoError`` unless ``true``."""
    if not true:
        raise DemoError(f"expected {what}; seen: {json.dumps(seen, default=str)[:1500]}")
    print(f"  ok: {what}", flush=True)


def drought(demo: Demo) -> None:
    """Take a Spot pool, then a zone in a tight market; give it back; at each step say what the platform did."""
    with demo.act("3. A Spot pool disappears"):
        before = demo.fleets()[("web", HIT)]
        pool = max((pool for pool in before["pools"] if pool["lifecycle"] == "spot"), key=lambda pool: pool["capacity"])
        print(f"  The market takes {pool['instance_type']} in {pool['zone']} away (two minutes' notice).")
        demo.control("capacity", region=HIT, zone=pool["zone"], instance_type=pool["instance_type"], room=0)
        demo.pass_time(20, "its instances have their notice, and still serve")
        demo.playbook("capacity_reconcile")
        demo.pass_time(60, "what replaces them starts")
        demo.playbook("capacity_reconcile")
        demo.pass_time(120, "the instances that had their notice are gone")
        after = demo.fleets()[("web", HIT)]
        expect(after["serving"] >= after["target"], "web serves its target from other Spot pools", after)
        expect(after["fallback"] == 0, "no On-Demand was needed for that", after)

    with demo.act("4. Spot runs dry and a whole zone disappears"):
        zones: dict[str, float] = {}
        for pool in after["pools"]:
            if pool["lifecycle"] == "spot":
                zones[pool["zone"]] = zones.get(pool["zone"], 0) + pool["capacity"]
        # Young pools have spares beside them: as many zones go as it takes to be short, mostly one.
        taken, left = [], after["serving"]
        for zone in sorted(zones, key=lambda name: (-zones[name], name)):
            if left >= after["target"]:
                taken.append(zone)
                left -= zones[zone]
        print(f"  No pool of {HIT} has room for another Spot Instance, and what {' and '.join(taken)} lent is taken back.")
        demo.control("capacity", region=HIT, room=0, interrupt=False)
        for zone in taken:
            demo.control("capacity", region=HIT, zone=zone, room=0)
        demo.pass_time(300, "its Spot Instances end, and the group finds no other")
        short = demo.fleets()[("web", HIT)]
        expect(short["serving"] < short["target"], "web is short: an Auto Scaling group alone has no fallback", short)
        demo.playbook("capacity_reconcile")
        demo.pass_time(120, "On-Demand starts")
        covered = demo.fleets()[("web", HIT)]
        expect(covered["fallback"] > 0, "On-Demand covers what Spot lacks", covered)
        expect(covered["serving"] >= covered["target"], "web serves its target", covered)

    with demo.act("5. Spot comes back"):
        print(f"  The market gives {HIT} its room again.")
        demo.control("capacity", region=HIT, room=None)
        demo.pass_time(600, "the pools that refused are due to be asked again")
        for what in ("new Spot Instances start", "they have served for a while", "On-Demand ends", "all is quiet"):
            demo.playbook("capacity_reconcile")
            demo.pass_time(90, what)
        back = demo.fleets()[("web", HIT)]
        expect(back["fallback"] == 0, "On-Demand was given back", back)
        expect(back["serving"] >= back["target"], "web serves its target from Spot", back)
        other = demo.fleets()[("web", REGIONS[1])]
        expect(other["serving_min"] >= other["target"], f"{REGIONS[1]} never noticed", other)


def simulated_month(demo: Demo) -> None:
    """Let the days pass until the sandbox has arrived at the present: load, market, a certificate, deployments, volumes that fill."""
    with demo.act("6. A month passes"):
        start = demo.time()
        hours = (datetime.now(timezone.utc) - start - ARRIVES_BEFORE).total_seconds() / 3600
        people = month.People(demo.url, REGIONS)
        print("  The demo plays the visitors, the certificate's owner and the team's pipeline.")
        people.bring_certificate(HIT)
        people.set_up_pipeline()
        people.raise_quotas()
        people.visit(start, 0.0, hours + 1)
        for number, steps in enumerate(month.parts(hours, month.until_monday(start), HIT, REGIONS[1]), 1):
            said = "; ".join(dict.fromkeys(step["say"] for step in steps))
            print(f"  Week {number}: {said}.")
            shown = f"ansible-playbook {MONTH} -i {INVENTORY} (week {number})"
            demo.run(f"week-{number}", MONTH, shown, {"month_sandbox": demo.url, "month_steps": steps})
            if number < 5:
                people.deploy(f"1.{number}.0")
                print(f"  The pipeline deploys web 1.{number}.0 with CodeDeploy.")
            if number == 4:
                short = demo.fleets()[("web", HIT)]
                expect(short["fallback"] > 0, "On-Demand stands in all through the crunch", short)
                expect(short["serving"] >= short["target"], "web serves its target", short)
        demo.backdate()


def check_month(demo: Demo, report: dict[str, Any]) -> None:
    """What the page is to show of the month."""
    page = json.loads((demo.output / "data" / "snapshot.json").read_text("utf-8"))
    spent: dict[str, dict[str, float]] = {}
    for row in page["costs"]["days"]:
        if row["service"] == COMPUTE:
            day = spent.setdefault(row["day"], {"spot": 0.0, "on_demand": 0.0})
            day[row["purchase"]] += row["usd"]
    days = sorted(spent)[1:-1]  # of the first and the last day there is a part only
    crunch, calm = days[-6:-1], days[:21]
    expect(len(days) >= month.DAYS - 2 and all(spent[day]["spot"] > 0 for day in days), "each day has its costs", spent)
    dear, usual = (sum(sum(spent[day].values()) for day in some) / len(some) for some in (crunch, calm))
    expect(dear > 1.2 * usual, f"a day of the crunch costs more: {dear:.2f} USD of compute, else {usual:.2f}", spent)
    stood_in, base = (sum(spent[day]["on_demand"] for day in some) / len(some) for some in (crunch, calm))
    expect(stood_in > 2 * base, f"that is what On-Demand costs: {stood_in:.2f} USD a day, else {base:.2f}", spent)
    hit = {app["name"]: one["fallback"] for app in report["apps"] for one in app["regions"] if one["region"] == HIT}
    expect(set(hit.values()) == {0}, f"{HIT} has given its On-Demand back at the end", hit)
    grown = [one for one in page["volumes"] if one["app"] == "web" and one["region"] == REGIONS[1]]
    expect(any(one["size_gib"] > month.VOLUME_GIB for one in grown), "the volumes of the uploads grew", grown)
    certificates = [one for one in page["certificates"] if one["name"] == month.CERTIFICATE]
    expect(len(certificates) == 1 and 0 < certificates[0]["days_left"] < 45, "the certificate has its days left", certificates)
    deployed = [one for one in page["activity"] if one["kind"] == "deployment.succeeded"]
    expect(len(deployed) >= len(REGIONS), "the activity tells of the deployments", sorted({one["kind"] for one in page["activity"]}))


def run(demo: Demo) -> dict[str, Any]:
    """All acts in order; returns the report that was written."""
    started = time.monotonic()
    with demo.act("1. Start an AWS to play with, a month ago"):
        directory = str(demo.output / "sandbox")
        demo.playbook("sandbox", sandbox_port=demo.port, sandbox_directory=directory, sandbox_days_ago=month.DAYS)
    with demo.act(f"2. Onboard two applications in {' and '.join(REGIONS)}"):
        demo.playbook("app_onboard", app_keys=str(demo.output / "keys"))
        demo.pass_time(120, "instances start and become healthy")
        fleets = demo.fleets()
        expect(len(fleets) == 2 * len(REGIONS), "two applications run in two regions", sorted(fleets))
        for fleet in fleets.values():
            name = f"{fleet['app']} in {fleet['region']}"
            expect(fleet["serving"] >= fleet["target"], f"{name} serves its target of {fleet['target']}", fleet)
            expect(fleet["spot"] > fleet["on_demand"], f"{name} runs mostly on Spot", fleet)
    demo.backdate()
    drought(demo)
    simulated_month(demo)
    with demo.act("7. What happened, and what was saved"):
        told = {"dashboard_activity_hours": 24 * (month.DAYS + 1), "dashboard_activity_sources": SOURCES}
        demo.playbook("platform_report", dashboard_directory=str(demo.output), **told)
    path = demo.output / "report.json"
    report = json.loads(path.read_text("utf-8"))
    report["duration_seconds"] = round(time.monotonic() - started, 1)
    report["acts"] = demo.acts
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    kinds = [event["kind"] for event in report["events"]]
    expect("capacity.fallback" in kinds and "capacity.returned" in kinds, "the activity tells of both turns", kinds)
    check_month(demo, report)
    report["bill"] = bill_of(demo.output)
    expect(report["bill"]["saved_percent"] > 30, "running on Spot cost less than On-Demand", report["bill"])
    return report


def bill_of(output: Path) -> dict[str, float]:
    """What the instances of all days on the page have cost, and would have cost On-Demand, in USD."""
    page = json.loads((output / "data" / "snapshot.json").read_text("utf-8"))
    rows = [row for row in page["costs"]["days"] if row.get("on_demand_usd") is not None]
    paid, instead = (sum(row[name] for row in rows) for name in ("usd", "on_demand_usd"))
    return {"paid": paid, "all_on_demand": instead, "saved_percent": 100 * (1 - paid / instead)}


def summary(report: dict[str, Any], output: Path) -> None:
    """What a person wants to know at the end."""
    bill = report["bill"]
    print("\nWhere the time went")
    for act in report["acts"]:
        print(f"  {act['seconds']:6.1f} s  {act['act']}")
    print(f"  {report['duration_seconds']:6.1f} s  in all")
    print("\nWhat the instances cost (a month of the sandbox, real market figures)")
    print(f"  on spot.platform   {bill['paid']:9.2f} USD")
    print(f"  all On-Demand      {bill['all_on_demand']:9.2f} USD")
    print(f"  saved              {bill['saved_percent']:9.1f} %")
    print(f"\nThe page:   {output / 'index.html'}\nThe report: {output / 'report.json'}")


def main() -> int:
    """Run the demo; 0 when all that it shows is true."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo", help="where the report goes")
    parser.add_argument("--keep", action="store_true", help="leave the sandbox running at the end")
    options = parser.parse_args()
    output = options.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(output, options.keep)
    try:
        report = run(demo)
        summary(report, output)
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; stopping what was started.", file=sys.stderr)
        return 130
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
