#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer on real Xen in other settings than xen_host's: number of pCPUs, scheduler, version of cgroups, cpupools, a dom0 with fewer vCPUs.
# The same job in each, and in each boot without cgroups, too; three boots, only where asked for. xen_matrix.sh BUILD_DIR [SETTING]. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
only=${2:-}
failed=0

setting() { # NAME LAB_OPTION..
	name=$1
	shift
	[ -z "$only" ] || [ "$only" = "$name" ] || return 0
	if in_dom0 20 --dom0-pin --out "$top/build/lab/out/matrix-$name" "$@" "$top/lab/xen_jobs/host.sh" short; then
		echo "ok xen_matrix: $name: $*"
	else
		echo "not ok xen_matrix: $name: $why"
		failed=1
	fi
}

setting eight --pcpus 8 --sched credit
setting two --pcpus 2 --cgroup 1
setting pools --pcpus 4 --dom0-vcpus 2 --pool second:credit:2-3
exit $failed
