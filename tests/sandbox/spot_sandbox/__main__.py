"""``python -m spot_sandbox --port 5566``: serve AWS on loopback until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from datetime import datetime
from types import FrameType

MOTO_SETTINGS = {
    "MOTO_ACCOUNT_ID": "123456789012",
    "MOTO_ACM_VALIDATION_WAIT": "1",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}
"""The account need not be searched in IAM on every call; seconds until a certificate is issued; no CORS headers;
AWS's own IAM policies exist."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spot_sandbox", description="AWS with a Spot market, on this machine.")
    parser.add_argument(
        "--port", type=int, default=5566, help="port on 127.0.0.1; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of prices, room, faults and ids (default: %(default)s)")
    parser.add_argument("--regions", help="regions to serve, with commas between (default: all of the market)")
    parser.add_argument("--speed", type=float, default=1.0, help="sandbox seconds in one second (default: %(default)s)")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--start", help="its time at the start, such as 2026-01-05T00:00:00+00:00 (default: now)")
    begin.add_argument("--days-ago", type=float, metavar="DAYS", help="its time at the start: so many days before now")
    parser.add_argument("--verbose", action="store_true", help="log every request")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"port {options.port} is out of range: use 0 to 65535")
    if not 0 <= options.speed <= 100_000:
        parser.error(f"speed {options.speed} is out of range: use 0 to 100000")
    if options.days_ago is not None and not 0 <= options.days_ago <= 366:
        parser.error(f"days-ago {options.days_ago} is out of range: use 0 to 366")
    try:
        options.start = datetime.fromisoformat(options.start).timestamp() if options.start else None
    except ValueError:
        parser.error(f"start {options.start!r} is no time: write it as 2026-01-05T00:00:00+00:00")
    if options.days_ago:
        options.start = time.time() - options.days_ago * 86400
    options.regions = [r.strip() for r in options.regions.split(",") if r.strip()] if options.regions else None
    return options


def stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    begun = time.monotonic()
    options = arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name, value in MOTO_SETTINGS.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGTERM, stop)
    from spot_sandbox import control, market, server  # after the settings: moto reads them once, on import

    try:
        market.configure(options.seed, options.regions)
        listener = server.listen(options.port, verbose=options.verbose)
    except (ValueError, OSError) as problem:
        raise SystemExit(f"spot_sandbox: {problem}") from None
    control.configure(options.seed, options.regions, options.speed, options.start)
    control.reset()
    print(f"spot_sandbox: http://127.0.0.1:{listener.port} ready in {time.monotonic() - begun:.1f} s", flush=True)
    try:
        listener.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        listener.server_close()


if __name__ == "__main__":
    main()
