#!/usr/bin/env bash
# Run a command with a Docker engine of this checkout's own, and the image of a systemd host in it:
#   tests/hosts/with_engine.sh molecule test --all
# No registry is needed: the image is made of Debian's packages. Where no engine can be started, or no systemd boots in it, the
# command runs without hosts, and SPOT_HOSTS says why. The engine ends with the command; its image stays in build/docker.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
state=$root/build/docker
suite=bookworm
packages=systemd,systemd-sysv,dbus,udev,python3,python3-apt,iproute2,ca-certificates
packages+=,python3-venv,openjdk-17-jre-headless,nginx,python3-cryptography,python3-packaging,logrotate # the event listener
packages+=,acl,attr,btrfs-progs,cloud-guest-utils,cryptsetup-bin,e2fsprogs,fdisk,lvm2,parted,prometheus-node-exporter,rsync,xfsprogs # disks
packages+=,kmod,user-mode-linux # a kernel of their own, where disks are made
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
without() {
	SPOT_HOSTS=$1
	export SPOT_HOSTS
	echo "tests/hosts: $SPOT_HOSTS"
}

make_image() {
	docker image inspect "$SPOT_HOST_IMAGE" >/dev/null 2>&1 && return
	echo "Making the image of a systemd host from Debian's packages (half a minute) ..."
	mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" - 2>"$state/image.log" | docker import - "$SPOT_HOST_IMAGE" >/dev/null
}

# As molecule's create.yml starts it.
boots() {
	local host
	host=$(docker run --detach --cgroupns=host --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined \
		--security-opt apparmor=unconfined --tmpfs /run --tmpfs /run/lock --tmpfs /tmp --volume /sys/fs/cgroup:/sys/fs/cgroup:rw \
		"$SPOT_HOST_IMAGE" /sbin/init 2>"$state/boot.log") || return 1
	for _second in $(seq 30); do
		docker exec "$host" systemctl is-system-running >"$state/boot.log" 2>&1 || true
		grep -qE '^(running|degraded)$' "$state/boot.log" && break
		sleep 1
	done
	docker rm --force "$host" >/dev/null
	grep -qE '^(running|degraded)$' "$state/boot.log"
}

if ! docker info >/dev/null 2>&1; then
	without "no Docker engine can be started: $(tail -1 "$state/dockerd.log")"
elif ! make_image; then
	without "no image of a systemd host can be made: $(tail -1 "$state/image.log")"
elif ! boots; then
	without "no systemd boots in Docker: $(tail -1 "$state/boot.log")"
fi
"$@"
