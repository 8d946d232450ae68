#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILLs at random moments of `closer apply` in a real dom0. xen_kill.sh BUILD_DIR. Root. KILLS (20) and SEED (1) come from the environment.
set -u

build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -e "$build/hosts/libcloser-xen.so" ]; then
	echo "not ok xen_kill: the module is not built: libxen-dev is needed (./run deps)"
	exit 1
fi
"$top/lab/xen.sh" --build "$build" --dom0-pin --add "$(command -v flock)" "$top/lab/xen_jobs/kill.sh" "${KILLS:-20}" "${SEED:-1}" >"$log" 2>&1
status=$?
cat "$log"
# The job ends with 0 only if it got to its end and every check held.
if [ "$status" = 0 ] && [ "$(grep -c '^ok ' "$log")" -ge 7 ]; then
	echo "ok xen_kill: $(sed -n 's/^lab: [0-9.]* s: \([0-9]* kills.*\)/\1/p' "$log"); difference 0"
else
	echo "not ok xen_kill: the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold"
	exit 1
fi
