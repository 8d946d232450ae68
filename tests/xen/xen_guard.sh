#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest on real Xen is held to a share of dom0, and its neighbours keep what they had; ten minutes, only where asked for. xen_guard.sh
# BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 12 --dom0-vcpus 2 "$top/lab/xen_jobs/guard.sh"; then
	echo "ok xen_guard: a transfer and a disk were held to 5 % of dom0"
else
	echo "not ok xen_guard: $why"
	exit 1
fi
