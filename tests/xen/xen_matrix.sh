#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer on real Xen in other settings than xen_host's: number of pCPUs, scheduler, version of cgroups, cpupools, a dom0 with fewer vCPUs.
# The same job in each, and in each boot without cgroups, too; three boots, only where asked for. xen_matrix.sh BUILD_DIR [SETTING]. Root.
set -u

build=$1
only=${2:-}
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
failed=0
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_matrix: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi

setting() { # NAME LAB_OPTION..
	name=$1
	shift
	[ -z "$only" ] || [ "$only" = "$name" ] || return 0
	"$top/lab/xen.sh" --build "$build" --dom0-pin --out "$top/build/lab/out/matrix-$name" "$@" "$top/lab/xen_jobs/host.sh" short >"$log" 2>&1
	status=$?
	sed "s/^\(not \)\{0,1\}ok /&$name: /" "$log"
	# The job ends with 0 only if it got to its end and every check held.
	if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 20 ]; then
		echo "ok xen_matrix: $name: $*"
	else
		echo "not ok xen_matrix: $name: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
		failed=1
	fi
}

setting eight --pcpus 8 --sched credit
setting two --pcpus 2 --cgroup 1
setting pools --pcpus 4 --dom0-vcpus 2 --pool second:credit:2-3
exit $failed
