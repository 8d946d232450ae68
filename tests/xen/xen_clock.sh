#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer's clock in a real Xen dom0 against Xen's own time of its vCPUs: parts of it under two guests' load, and a burner on a shared pCPU.
# xen_clock.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs "libxen-dev, libbpf-dev" tests/xen/xen_clock
if in_dom0 6 --add "$build/tests/xen/xen_clock" --guests 2 --dom0-pin "$top/lab/xen_jobs/clock.sh"; then
	echo "ok xen_clock: dom0's parts add up to Xen's time, and a thread on a shared pCPU has Xen's time"
else
	echo "not ok xen_clock: $why"
	exit 1
fi
