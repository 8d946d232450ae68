#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Includes go one way: core -> include; hosts, sim, cluster -> include, lib; engine -> include, core, hosts, sim, lib;
# cli, daemon -> engine and what it may include. A quoted include is looked up in the file's own folder first.
set -u
cd "$(dirname "$0")/../.."
bad=0

room_of() { # which room holds this header: the first that has it
	for room in include core lib hosts sim engine cli lab bench tests; do
		if [ -n "$(find "$room" -name "$(basename "$1")" -path "*$1" 2>/dev/null | head -n 1)" ]; then
			echo "$room"
			return
		fi
	done
	echo "?"
}

check() { # check ROOM ALLOWED...
	room=$1
	shift
	for f in $(find "$room" -name '*.c' -o -name '*.h'); do
		for inc in $(sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$f"); do
			from=$(dirname "$f")
			[ -f "$from/$inc" ] && target=$(echo "$from/$inc" | cut -d/ -f1) || target=$(room_of "$inc")
			case $inc in
			../*) target=$(cd "$from" && realpath --relative-to="$OLDPWD" "$inc" | cut -d/ -f1) ;;
			*.skel.h) target=hosts ;;	# made by the build
			config.h) target=$room ;;
			esac
			ok=no
			for a in "$room" "$@"; do
				[ "$target" = "$a" ] && ok=yes
			done
			if [ $ok = no ]; then
				echo "$f includes \"$inc\" of $target: $room may include only: $*"
				bad=1
			fi
		done
	done
}

check include
check core include
check lib include
check hosts include lib
check sim include lib
check engine include core hosts sim lib
check cli include core hosts sim lib engine
[ "$(grep -rlE '^#[ \t]*include[ \t]*[<"](stdio|stdlib|time|unistd|fcntl|sys/)' core include | wc -l)" = 0 ] || {
	echo "core or include reaches for the machine:"
	grep -rnE '^#[ \t]*include[ \t]*[<"](stdio|stdlib|time|unistd|fcntl|sys/)' core include
	bad=1
}
exit $bad
