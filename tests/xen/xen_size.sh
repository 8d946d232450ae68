#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory on demand on real Xen: I/O steps up and down three times, balloons that stop, a SIGKILL; eight minutes, only where asked for.
# xen_size.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 45 "$top/lab/xen_jobs/size.sh"; then
	echo "ok xen_size: guests' memory followed their I/O to dom0 and back, and all of it is where it was"
else
	echo "not ok xen_size: $why"
	exit 1
fi
