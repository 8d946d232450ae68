#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The fence in a real Xen dom0: a partition on cgroup v2, masks on v1. xen_fence.sh BUILD_DIR. Root.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP
bad=0

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_fence: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi
for cgroup in 2 1; do
	"$top/lab/xen.sh" --build "$build" --dom0-pin --cgroup $cgroup --timeout 600 "$top/lab/xen_jobs/fence.sh" >"$log" 2>&1
	status=$?
	cat "$log"
	# The job ends with 0 only if it got to its end and every check held.
	if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 20 ]; then
		echo "ok xen_fence: cgroup v$cgroup: others were kept off the secondary CPUs, and got all back"
	else
		echo "not ok xen_fence: cgroup v$cgroup: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
		bad=1
	fi
done
exit $bad
