#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests on real Xen are charged for what dom0 does for them, by cap and by weight, against the same natively; seven minutes, only where asked for.
# xen_charge.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 12 --dom0-vcpus 3 "$top/lab/xen_jobs/charge.sh"; then
	echo "ok xen_charge: guest and host together have what was paid for"
else
	echo "not ok xen_charge: $why"
	exit 1
fi
