#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a dom0 whose first process is systemd, on cgroup v2 and v1: each leaves the other's cgroups alone. Four minutes, only where asked for.
# xen_systemd.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
bad=0
for cgroup in 2 1; do
	if in_dom0 18 --init systemd --dom0-pin --cgroup $cgroup --timeout 600 "$top/lab/xen_jobs/systemd.sh"; then
		echo "ok xen_systemd: cgroup v$cgroup: closer and systemd left each other alone, and all came back"
	else
		echo "not ok xen_systemd: cgroup v$cgroup: $why"
		bad=1
	fi
done
exit $bad
