#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer's clock in a real Xen dom0 against Xen's own time of its vCPUs: parts of it under two guests' load, and a burner on a shared pCPU.
# xen_clock.sh BUILD_DIR. Root.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -x "$build/tests/xen/xen_clock" ]; then
	echo "not ok xen_clock: not built: libxen-dev and libbpf-dev are needed (./run deps)"
	exit 1
fi
"$top/lab/xen.sh" --build "$build" --add "$build/tests/xen/xen_clock" --guests 2 --dom0-pin "$top/lab/xen_jobs/clock.sh" >"$log" 2>&1
status=$?
cat "$log"
# The job ends with 0 only if it got to its end and all windows were within their bounds.
if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 6 ]; then
	echo "ok xen_clock: dom0's parts add up to Xen's time, and a thread on a shared pCPU has Xen's time"
else
	echo "not ok xen_clock: the job ended with $status, $(grep -c '^not ok ' "$log") windows were out of bounds"
	exit 1
fi
