#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# demo_state.sh: helper: what closer may change on a machine, read without closer: by sh out of /proc and /sys.
#
#   demo_state.sh dump NAME=PID... >FILE      masks and cgroups of each thread of these processes, all cgroups with
#                                             their CPUs, all interrupts' masks
#   demo_state.sh compare BEFORE AFTER        0: equal; 1: prints each difference, "< before" "> after"
#
# Compared are: each thread that is in both (by tid and start time), with its mask and all its cgroups. A thread that
# is in one only (QEMU's workers come and go) must be as its process's main thread was before: that is what a
# thread of an untouched process inherits. The cgroups below */closer; the CPUs of each other cgroup that is in both (a
# service manager makes and removes some at any time). The mask of each interrupt that is in both.
set -eu
export LC_ALL=C

dump_thread() { # NAME PID TID
	start=$(sed 's/.*) //' "/proc/$2/task/$3/stat" 2>/dev/null | cut -d' ' -f20)
	mask=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$2/task/$3/status" 2>/dev/null)
	groups=$(sort "/proc/$2/task/$3/cgroup" 2>/dev/null | tr '\n ' ',_')
	# Gone while it was read: it is not part of the state.
	[ -n "$start" ] && [ -n "$mask" ] && [ -n "$groups" ] || return 0
	echo "thread $1 $2 $3 $start $mask $groups"
}

dump_cgroups() {
	# mountinfo: the fifth field is the mount point, the one after the dash the type.
	while read -r _ _ _ _ mount rest; do
		type=${rest##* - }
		case ${type%% *} in
		cgroup | cgroup2) ;;
		*) continue ;;
		esac
		find "$mount" -type d 2>/dev/null | while read -r dir; do
			cpus=$(cat "$dir/cpuset.cpus" 2>/dev/null || true)
			inside=${dir#"$mount"}
			echo "cgroup $(echo "$mount ${inside:-/}" | sed "s/ /_/2g") cpus=$cpus"
		done
	done </proc/self/mountinfo | sort -u
}

dump() {
	for process in "$@"; do
		name=${process%%=*}
		pid=${process#*=}
		[ -d "/proc/$pid/task" ] || {
			echo "demo_state: there is no process $pid ($name)" >&2
			exit 2
		}
		for task in "/proc/$pid/task"/*; do
			dump_thread "$name" "$pid" "${task##*/}"
		done
	done
	dump_cgroups
	for irq in /proc/irq/*/smp_affinity_list; do
		[ -r "$irq" ] || continue
		number=${irq#/proc/irq/}
		echo "irq ${number%%/*} $(cat "$irq" 2>/dev/null || echo unreadable)"
	done
}

compare() {
	awk '
	function differ(text) { print text; bad = 1 }
	function ours(path) { return path ~ / \/closer(\/|$)/ }
	$1 == "thread" {
		key = $2 " tid " $4 " start " $5
		value = "mask " $6 " cgroups " $7
		if (FNR == NR) {
			before[key] = value
			process[key] = $2
			if ($3 == $4)
				main[$2] = value
		} else {
			after[key] = value
			process[key] = $2
		}
	}
	$1 == "cgroup" { if (FNR == NR) groups[$2 " " $3] = $4; else groups_after[$2 " " $3] = $4 }
	$1 == "irq" { if (FNR == NR) irqs[$2] = $3; else irqs_after[$2] = $3 }
	END {
		for (key in before) {
			if (key in after && before[key] != after[key])
				differ("< thread " key " " before[key] "\n> thread " key " " after[key])
			same += key in after
			went += !(key in after)
		}
		for (key in after) {
			if (key in before)
				continue
			came++
			if (after[key] != main[process[key]])
				differ("< new threads of " process[key] ": " main[process[key]] "\n> thread " key " " after[key])
		}
		for (path in groups) {
			if (path in groups_after) {
				both++
				if (groups[path] != groups_after[path])
					differ("< cgroup " path " " groups[path] "\n> cgroup " path " " groups_after[path])
			} else if (ours(path)) {
				differ("< cgroup " path)
			}
		}
		for (path in groups_after)
			if (!(path in groups) && ours(path))
				differ("> cgroup " path)
		for (irq in irqs) {
			count += irq in irqs_after
			if (irq in irqs_after && irqs[irq] != irqs_after[irq])
				differ("< irq " irq " " irqs[irq] "\n> irq " irq " " irqs_after[irq])
		}
		# An empty dump is equal to nothing.
		if (!same || !both || !count)
			differ("nothing to compare: " same + 0 " threads, " both + 0 " cgroups, " count + 0 " interrupts in both")
		if (!bad)
			printf "equal: %d threads (%d came, %d went), %d cgroups, %d interrupts\n", same, came, went, both, count
		exit bad
	}' "$1" "$2"
}

case ${1:-} in
dump)
	shift
	dump "$@"
	;;
compare)
	[ $# = 3 ] && [ -r "$2" ] && [ -r "$3" ] || {
		echo "demo_state: compare BEFORE AFTER: two files that dump wrote" >&2
		exit 2
	}
	compare "$2" "$3"
	;;
*)
	sed -n '3,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
