#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# threadstate.sh PID...: helper: mask and cgroups of every thread of these processes, and what is below /closer in any hierarchy.
# Independent of closer: it reads /proc and lists directories, nothing else. Sorted lines, for comparing.
set -u
# LC_ALL: a stable order; one grep per question, because this runs a thousand times in kill.sh
export LC_ALL=C
status=
groups=
for pid; do
	[ -d "/proc/$pid/task" ] || { echo "$pid gone"; continue; }
	status="$status /proc/$pid/task/*/status"
	groups="$groups /proc/$pid/task/*/cgroup"
done
{
	# shellcheck disable=SC2086 # the patterns are to be expanded
	[ -z "$status" ] || grep -H -e '^Cpus_allowed_list:' $status 2>/dev/null
	# shellcheck disable=SC2086
	[ -z "$groups" ] || grep -H -e '^' $groups 2>/dev/null
	find /sys/fs/cgroup/closer /sys/fs/cgroup/*/closer -mindepth 0 -type d 2>/dev/null
} | sort
