#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a real Xen dom0 that nobody has pinned: vCPUs one to one on physical CPUs, guests off the main container's, and back; and
# where a guest's pages lie. xen_pins.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 32 "$top/lab/xen_jobs/pins.sh"; then
	echo "ok xen_pins: dom0's vCPUs were pinned, guests kept off the main container, and all put back"
else
	echo "not ok xen_pins: $why"
	exit 1
fi
