#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a real Xen dom0: three guests on two nodes are seen, placed and given back. xen_host.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 17 --dom0-pin "$top/lab/xen_jobs/host.sh"; then
	echo "ok xen_host: back ends of guests on two nodes were placed, and put back"
else
	echo "not ok xen_host: $why"
	exit 1
fi
