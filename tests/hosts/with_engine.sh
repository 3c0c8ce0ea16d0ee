#!/usr/bin/env bash
# Run a command with a Docker engine of this checkout's own, and the image of a systemd host in it:
#   tests/hosts/with_engine.sh molecule test --all
# No registry is needed: the image is made of Debian's packages. Where no engine can be started the command runs without one, and
# SPOT_HOSTS says why. The engine ends with the command; its image stays in build/docker.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
state=$root/build/docker
suite=bookworm
packages=systemd,systemd-sysv,dbus,python3,python3-apt,iproute2,ca-certificates,python3-venv,openjdk-17-jre-headless,nginx,python3-cryptography,python3-packaging,logrotate
mkdir -p "$state"
run=$(mktemp -d) # a short path: sockets have at most 108 characters
export DOCKER_HOST=unix://$run/docker.sock
SPOT_HOST_IMAGE=spot-host:$suite-$(echo "$packages" | sha256sum | cut -c1-12)
export SPOT_HOST_IMAGE
engine=

finish() {
	if [ -n "$engine" ]; then
		kill "$engine" 2>/dev/null || true
		wait "$engine" 2>/dev/null || true
	fi
	rm -rf "$run"
}
trap finish EXIT

dockerd --data-root "$state/data" --exec-root "$run/exec" --pidfile "$run/docker.pid" -H "$DOCKER_HOST" >"$state/dockerd.log" 2>&1 &
engine=$!
for _second in $(seq 30); do
	docker info >/dev/null 2>&1 && break
	kill -0 "$engine" 2>/dev/null || break
	sleep 1
done
if ! docker info >/dev/null 2>&1; then
	SPOT_HOSTS="no Docker engine can be started: $(tail -1 "$state/dockerd.log")"
	export SPOT_HOSTS
	echo "tests/hosts: $SPOT_HOSTS"
elif ! docker image inspect "$SPOT_HOST_IMAGE" >/dev/null 2>&1; then
	echo "Making the image of a systemd host from Debian's packages (half a minute) ..."
	mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" - | docker import - "$SPOT_HOST_IMAGE" >/dev/null
fi
"$@"
