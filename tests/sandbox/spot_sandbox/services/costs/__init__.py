"""Cost Explorer: what ran is billed (``ledger``), and asked for as on AWS (``calls``)."""

from __future__ import annotations

from spot_sandbox.services.costs import calls

RESPONSES = {"ce": calls.Costs}
CONTROL = {"POST /sandbox/costs": calls.control_costs, "GET /sandbox/costs": calls.control_shown}
reset = calls.reset
