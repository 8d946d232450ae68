#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# `closer mon` in a real Xen dom0: traces by xentrace against xenalyze, lost records, a minute live. xen_mon.sh BUILD_DIR. Root.
# Three minutes; only where asked for.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_mon: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi
"$top/lab/xen.sh" --build "$build" --dom0-pin "$top/lab/xen_jobs/mon.sh" >"$log" 2>&1
status=$?
cat "$log"
# The job ends with 0 only if it got to its end and every check held.
if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 14 ]; then
	echo "ok xen_mon: figures of a trace are xenalyze's, losses are bounded, live costs little"
else
	echo "not ok xen_mon: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
	exit 1
fi
