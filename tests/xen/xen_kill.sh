#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILLs at random moments of `closer apply` in a real dom0. xen_kill.sh BUILD_DIR. Root. KILLS (20) and SEED (1) come from the environment.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 7 --dom0-pin --add "$(command -v flock)" "$top/lab/xen_jobs/kill.sh" "${KILLS:-20}" "${SEED:-1}"; then
	echo "ok xen_kill: $(sed -n 's/^lab: [0-9.]* s: \([0-9]* kills.*\)/\1/p' "$log"); difference 0"
else
	echo "not ok xen_kill: $why"
	exit 1
fi
