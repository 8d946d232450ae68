# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# check.sh: sourced by scripts that show one thing after the other, each a line that run.sh counts.

failed=0
check() { # NAME CONDITION..
	name=$1
	shift
	if "$@"; then
		echo "ok $name"
	else
		echo "not ok $name"
		failed=1
	fi
}
