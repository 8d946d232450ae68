#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What dom0 did for guests, shared workers and a network card's polls included, against Xen's own time of dom0; ten minutes, only where asked for.
# xen_attribute.sh BUILD_DIR [SECONDS [ROUNDS]]. Root.
. "$(dirname "$0")/in_dom0.sh"

needs "libxen-dev, libbpf-dev" hosts/libcloser-xen.so
port=7079
"$build/lab/loadgen" peer 127.0.0.1:$port >"$log.peer" 2>&1 &
peer=$!
trap 'kill $peer; rm -f "$log" "$log.peer"' EXIT
shift
if in_dom0 9 --nic --env LAB_PORT=$port "$top/lab/xen_jobs/attribute.sh" "$@"; then
	echo "ok xen_attribute: dom0's time is its guests', as Xen counts it"
else
	echo "not ok xen_attribute: $why"
	exit 1
fi
