"""How many requests of Cost Explorer a month takes, by day, app, service and purchase option.

    python tests/bench/costs.py [--apps 30]

A month of the sandbox has thirty applications, six services and four purchase options. Compared are a cold cache, a repeat, and
two plans of others: a request for each purchase option after one that finds them, and one for each application.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import ROOT, ask, calls, clean_environment, record, sandbox  # noqa: E402 - the path has to be set first

COMPUTE = "Amazon Elastic Compute Cloud - Compute"
OPTIONS = ("On Demand Instances", "Spot Instances", "Savings Plans", "Standard Reserved Instances")
SERVICES = (COMPUTE, "EC2 - Other", "Amazon Elastic Load Balancing", "AmazonCloudWatch", "AWS Lambda", "Amazon Simple Queue Service")
PLANNED = 3


def bill(first: Any, days: int, apps: int) -> list[dict[str, Any]]:
    """Lines of a month."""
    used = [(COMPUTE, option) for option in OPTIONS] + [(service, OPTIONS[0]) for service in SERVICES[1:]]
    return [
        {"day": str(first + timedelta(days=day)), "app": f"app-{app}", "service": service, "purchase": option, "usd": 1 + app + day / 7}
        for day in range(days)
        for app in range(apps)
        for service, option in used
    ]


def module(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """The answer of cost_info."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.spot.platform.plugins.modules.cost_info"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        env={**clean_environment(url), "PYTHONPATH": str(ROOT / ".collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout)
    if answer.get("failed"):
        raise RuntimeError(answer["msg"])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=30)
    options = parser.parse_args()
    end = datetime.now(timezone.utc).date().replace(day=1)
    first = (end - timedelta(days=1)).replace(day=1)
    lines = bill(first, (end - first).days, options.apps)
    with sandbox() as url, tempfile.TemporaryDirectory() as cache:
        ask(url, "/sandbox/costs", lines=lines, page=100_000)
        given = {"start": str(first), "end": str(end), "by": ["app", "service", "purchase"], "cache_dir": cache}
        counted = []
        for _time in range(2):
            ask(url, "/sandbox/calls/reset", all=True)
            answer = module(url, given)
            counted.append(sum(count for name, count in calls(url).items() if name.startswith("ce:")))
        exact = abs(answer["total_usd"] - sum(line["usd"] for line in lines)) < 1e-3 and len(answer["rows"]) == len(lines)
    figures = {
        "rows": len(lines),
        "requests, cold": counted[0],
        "requests, again": counted[1],
        "requests, one for each purchase option": 1 + len(OPTIONS),
        "requests, one for each application": 1 + options.apps,
        "all rows are there and add up": exact,
    }
    goal = f"a month by day, app, service and purchase option in {PLANNED} requests, the planned minimum, and none on a repeat"
    print(json.dumps(record("costs", figures, goal, counted == [PLANNED, 0] and exact), indent=2))


if __name__ == "__main__":
    main()
