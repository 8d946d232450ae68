#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a real Xen dom0 while guests reboot, are saved, restored, migrated and made anew: they are placed again, and so is the toolstack
# while it works for them. xen_lifecycle.sh BUILD_DIR. Root.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_lifecycle: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi
"$top/lab/xen.sh" --build "$build" --add "$build/tests/xen/xen_watch" --dom0-pin "$top/lab/xen_jobs/lifecycle.sh" >"$log" 2>&1
status=$?
cat "$log"
# The job ends with 0 only if it got to its end and every check held.
if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 25 ]; then
	echo "ok xen_lifecycle: guests that came back and the toolstack's work for them were placed"
else
	echo "not ok xen_lifecycle: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
	exit 1
fi
