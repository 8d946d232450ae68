#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# closer in a real Xen dom0 while guests reboot, are saved, restored, migrated and made anew: they are placed again, and so is the toolstack
# while it works for them. xen_lifecycle.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so tests/xen/xen_watch
if in_dom0 25 --add "$build/tests/xen/xen_watch" --dom0-pin "$top/lab/xen_jobs/lifecycle.sh"; then
	echo "ok xen_lifecycle: guests that came back and the toolstack's work for them were placed"
else
	echo "not ok xen_lifecycle: $why"
	exit 1
fi
