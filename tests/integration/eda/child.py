"""A source in a process of its own that can be killed: ``python child.py sqs <arguments as JSON>``, a line for each batch."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any


class Lines:
    """In place of ansible-rulebook's queue."""

    async def put(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), flush=True)


if __name__ == "__main__":
    plugin = importlib.import_module(f"ansible_collections.spot.platform.extensions.eda.plugins.event_source.{sys.argv[1]}")
    asyncio.run(plugin.main(Lines(), json.loads(sys.argv[2])))
