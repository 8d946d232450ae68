#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes wrong around closer on a Xen host: no Xen at all, here; everything else in a real dom0. It takes minutes: only where asked for.
# xen_bad.sh BUILD_DIR. Root.
. "$(dirname "$0")/in_dom0.sh"

needs libxen-dev hosts/libcloser-xen.so tests/xen/other_abi.so
work=$(mktemp -d)
trap 'rm -rf "$work" "$log"' EXIT

module=$build/hosts/libcloser-xen.so
# The same module, but of another closer, and one that was linked to the library of a later Xen.
export LC_ALL=C
version=$("$build/cli/closer" version | sed -n '1s/[^0-9]*\([0-9]*\.[0-9]*\.[0-9]*\).*/\1/p')
sed "s/\\x00$(echo "$version" | sed 's/\./\\./g')\\x00/\\x009.9.9\\x00/g" "$module" >"$work/libcloser-xen.so.other"
sed 's/libxenctrl\.so\.4\.[0-9][0-9]/libxenctrl.so.4.99/g' "$module" >"$work/libcloser-xen.so.newer"
if cmp -s "$module" "$work/libcloser-xen.so.other" || cmp -s "$module" "$work/libcloser-xen.so.newer"; then
	echo "not ok xen_bad: the module could not be made another's"
	exit 1
fi
tar -c -f "$work/modules.tar" -C "$work" libcloser-xen.so.other libcloser-xen.so.newer

failed=0
if [ -e /proc/xen ]; then
	echo "skip xen_bad: no Xen: this is one"
elif "$build/cli/closer" status --host xen: >"$work/none" 2>&1 || ! grep -q 'this kernel does not run on Xen' "$work/none"; then
	echo "not ok xen_bad: without Xen: $(cat "$work/none")"
	failed=1
else
	echo "ok xen_bad: without Xen it says so: $(cat "$work/none")"
fi
if in_dom0 33 --dom0-pin --add "$build/tests/xen/other_abi.so" --add "$build/tests/xen/hold.so" --add "$work/modules.tar" --add "$(command -v setpriv)" \
	"$top/lab/xen_jobs/bad.sh"; then
	echo "ok xen_bad: $held cases in dom0"
else
	echo "not ok xen_bad: $why"
	exit 1
fi
exit $failed
