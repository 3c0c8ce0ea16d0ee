#!/usr/bin/env bash
# Every scenario, and what runs on hosts of its own; without a Docker engine only those that need no host, and why is said.
set -euo pipefail
if [ -n "${SPOT_HOSTS:-}" ]; then
	echo "molecule: SKIPPED event_listener, the role on a systemd host: $SPOT_HOSTS"
	echo "molecule: SKIPPED filesystem_grow, disks of a systemd host: $SPOT_HOSTS"
	exec molecule test
fi
python -m pytest -q -rs tests/hosts
exec molecule test --all
