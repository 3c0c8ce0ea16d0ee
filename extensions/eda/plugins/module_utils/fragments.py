# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several event sources have."""

from __future__ import annotations

GATHERING = """
environment:
  description: The environment that the events are of. The app of a group that is called C(<environment>-<app>) is known by it.
  type: str
kinds:
  description:
    - The kinds of events that the rules handle, as patterns such as V(spot.*). Others are dropped.
  type: list
  elements: str
  default: ["*"]
window:
  description:
    - A batch leaves when nothing of its kind, app and region has come for so many seconds; while more keeps coming the first waits
      five times as long at most.
  type: float
  default: 0.4
most:
  description: Events of a batch, at most.
  type: int
  default: 500
inbox:
  description:
    - A folder of its own, in which the events wait, and survive this process. Without it they wait in memory.
  type: path
acknowledge:
  description:
    - V(handled) counts a batch as done when the playbook removed its C(receipt), V(taken) as soon as the rules have it.
    - Use V(taken) where the playbook runs on another machine, as with AWX, with C(feedback=true), an argument of ansible-rulebook
      for every source, by which it says when the rules have it.
  type: str
  choices: [handled, taken]
  default: handled
handle_seconds:
  description: After how many seconds a batch that was not handled is offered again.
  type: float
  default: 180.0
attempts:
  description: How often a batch is offered, before its events are dead and an event of the kind C(event.dead) says so.
  type: int
  default: 3
at_once:
  description: Batches that are being handled at once, at most; notices of interruptions have as many for themselves.
  type: int
  default: 8
"""

HTTP = """
host:
  description: The address to listen on. Leave it on loopback behind a proxy.
  type: str
  default: 127.0.0.1
port:
  description: The port to listen on.
  type: int
  required: true
certfile:
  description: A certificate with its chain (PEM), to serve HTTPS.
  type: path
keyfile:
  description: The key of O(certfile).
  type: path
body_limit:
  description: The largest body in bytes.
  type: int
  default: 1048576
rate_limit:
  description: Requests a second at most, as a mean over ten seconds.
  type: float
  default: 200.0
connection_limit:
  description: Connections at once, at most.
  type: int
  default: 500
request_seconds:
  description: The time that a request may take.
  type: float
  default: 10.0
"""

FRAGMENTS = {"spot.platform.gathering": GATHERING, "spot.platform.http": HTTP}
