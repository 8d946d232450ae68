#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The fence in a real Xen dom0: a partition on cgroup v2, masks on v1. xen_fence.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
bad=0
for cgroup in 2 1; do
	if in_dom0 20 --dom0-pin --cgroup $cgroup --timeout 600 "$top/lab/xen_jobs/fence.sh"; then
		echo "ok xen_fence: cgroup v$cgroup: others were kept off the secondary CPUs, and got all back"
	else
		echo "not ok xen_fence: cgroup v$cgroup: $why"
		bad=1
	fi
done
exit $bad
