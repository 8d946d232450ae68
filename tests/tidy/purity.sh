#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# core is pure: what its archive needs from outside is assert and mem/str functions, and it has no variable that can change.
set -u
cd "$(dirname "$0")/../.."
archive=$1/libcore.a
bad=0

defined=$(nm --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort -u)
for s in $(nm --undefined-only "$archive" | awk 'NF == 2 { print $2 }' | sort -u); do
	echo "$defined" | grep -qx "$s" && continue
	case $s in
	__assert_fail | mem* | str* | __popcountdi2 | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_) ;;
	*)
		echo "core needs $s: it may need only assert and mem/str functions"
		bad=1
		;;
	esac
done
# Tables of constant pointers are relocated once, and read-only after that: .data.rel.ro.
for s in $(nm -f sysv "$archive" | awk -F'|' '$3 ~ /[dDbBcC]/ && $7 !~ /\.data\.rel\.ro/ { print $1 }'); do
	echo "core has a variable that can change: $s"
	bad=1
done
exit $bad
