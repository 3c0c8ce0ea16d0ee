"""SQS: moto's queues and answers, with messages kept so that no call takes longer when there are thousands.

Visibility, delays, retention and deduplication follow the sandbox's clock; a long poll waits in real time, as its
client does, and holds nobody up.
"""

from __future__ import annotations

from spot_sandbox.services.sqs.calls import RESPONSES, dead_letter, put, reset

__all__ = ["RESPONSES", "dead_letter", "put", "reset"]
