#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest does not use reaches one in need on real Xen, and comes back; SIGKILLs while memory is moved; five minutes, only where asked for.
# xen_overcommit.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so
if in_dom0 16 --memory 1664 --disk-mb 128 --add "$(command -v flock)" "$top/lab/xen_jobs/overcommit.sh"; then
	echo "ok xen_overcommit: idle memory went where it was needed and came back, and after each SIGKILL all of it was where it was"
else
	echo "not ok xen_overcommit: $why"
	exit 1
fi
