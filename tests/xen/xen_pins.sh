#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a real Xen dom0 that nobody has pinned: vCPUs one to one on physical CPUs, guests off the main container's, and back. xen_pins.sh
# BUILD_DIR. Root.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_pins: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi
"$top/lab/xen.sh" --build "$build" "$top/lab/xen_jobs/pins.sh" >"$log" 2>&1
status=$?
cat "$log"
# The job ends with 0 only if it got to its end and every check held.
if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 28 ]; then
	echo "ok xen_pins: dom0's vCPUs were pinned, guests kept off the main container, and all put back"
else
	echo "not ok xen_pins: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
	exit 1
fi
