#!/usr/bin/env bash
# In a container: boot systemd on a kernel of its own, User-mode Linux, with the container's files as root. That kernel has the
# file systems, partition tables and device mapper that the machine's may lack, and nothing on the machine is touched.
#   boot.sh FOLDER  is the entry point; FOLDER is where commands come from (agent.py).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
ln -sfn /usr/lib/uml/modules /usr/lib/modules
cat >/etc/systemd/system/agent.service <<END
[Unit]
DefaultDependencies=no
After=local-fs.target systemd-udevd.service
[Service]
Environment=PYTHONPATH=/code PYTHONPYCACHEPREFIX=/run/pycache
ExecStart=/usr/bin/python3 $here/agent.py $1
TasksMax=infinity
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet agent.service
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty.target \
	nginx.service systemd-logind.service systemd-timesyncd.service systemd-udev-trigger.service # which would look at a thousand consoles
printf '%s\n' loop dm-mod dm-crypt dm-thin-pool dm-snapshot >/etc/modules-load.d/disks.conf
exec linux.uml rootfstype=hostfs rw mem=2G con=null con0=fd:0,fd:1 init=/sbin/init systemd.unit=multi-user.target quiet
