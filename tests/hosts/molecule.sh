#!/usr/bin/env bash
# Every scenario, and the tests in this folder; without a Docker engine only what needs no host, and why is said.
set -euo pipefail
if [ -n "${SPOT_HOSTS:-}" ]; then
	echo "molecule: SKIPPED event_listener, and the tests of disks of systemd hosts: $SPOT_HOSTS"
	exec molecule test
fi
molecule test --all
python -m pytest -q -rs -m 'not soak' tests/hosts
