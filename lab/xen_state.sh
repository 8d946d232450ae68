#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xen_state.sh: what closer may change in a Xen host, read without closer: from Xen by xl, and out of /proc and /sys. In dom0 it is xen_state.sh
# in /lab/bin; comparing can be done anywhere.
#
#   xen_state.sh dump >FILE              each vCPU's affinities, cpupools, the scheduler's parameters; each thread's mask and cgroup; cgroups
#                                        with their settings; interrupts' masks; NAPI threads, CPUs online, unbound workers' mask
#   xen_state.sh compare BEFORE AFTER    0: equal; 1: prints each difference, "< before" "> after"
#
# A thread that is in one of them only (workers and processes come and go) is not compared with itself; one that is new must be where a
# new one is by default: in a cgroup and with a mask that others had before. Everything else must be the same, line by line.
set -eu
export LC_ALL=C

dump() {
	# NAME ID VCPU CPU STATE TIME HARD / SOFT: the first three and the affinities.
	xl vcpu-list | awk 'NR > 1 { print "vcpu", $1, $2, $3, "hard", $(NF - 2), "soft", $NF }'
	xl cpupool-list -c | sed 's/^/pool /; s/  */ /g'
	{ xl sched-credit2 || xl sched-credit; } 2>/dev/null | sed 's/^/sched /; s/  */ /g'
	# All in one awk: a process costs more here than what it would read.
	{
		grep -s . /proc/[0-9]*/task/[0-9]*/stat || true
		grep -s '^Cpus_allowed_list:' /proc/[0-9]*/task/[0-9]*/status || true
		grep -s . /proc/[0-9]*/task/[0-9]*/cgroup || true
	} | awk '{
		split($0, part, "/")
		tid = part[5]
		text = substr($0, index($0, ":") + 1)
		if (part[6] ~ /^stat:/) {
			name = text
			sub(/^[0-9]+ \(/, "", name)
			sub(/\) [^)]*$/, "", name)
			gsub(/[ \t]/, "_", name)
			sub(/.*\) /, "", text)
			split(text, field, " ")
			# PF_NO_SETAFFINITY: the kernel binds it.
			bound = int(field[7] / 67108864) % 2
			key[tid] = tid " " field[20] " " name " " (bound ? "bound" : "free")
		} else if (part[6] ~ /^status:/) {
			sub(/.*:[ \t]*/, "", text)
			mask[tid] = text
		} else {
			group[tid] = group[tid] text ";"
		}
	}
	END {
		for (tid in key)
			if (tid in mask && tid in group)
				print "thread", key[tid], "mask", mask[tid], "cgroup", group[tid]
	}' | sort -k 2n
	find /sys/fs/cgroup -type d | sort | sed 's/^/cgroup /'
	find /sys/fs/cgroup -type f '(' -name 'cpuset.cpus*' -o -name cpu.max -o -name 'cpu.weight' -o -name cpu.cfs_quota_us -o -name io.max \
		-o -name cgroup.subtree_control -o -name cgroup.type ')' -exec grep -s . '{}' + | sort | sed 's/^/setting /'
	grep -s . /proc/irq/*/smp_affinity_list /proc/irq/default_smp_affinity | sort | sed 's/^/irq /'
	grep -s . /sys/class/net/*/threaded /sys/devices/system/cpu/online /sys/devices/virtual/workqueue/cpumask | sort | sed 's/^/kernel /'
}

compare() {
	awk '
	function differ(text) { print text; bad = 1 }
	$1 == "thread" {
		key = $2 " start " $3
		value = $6 " " $7 " " $8 " " $9
		if (FNR == NR) {
			threads[key] = value
			threads[key, "group"] = $9
			if ($5 != "bound")
				usual[value] = 1
			if ($4 == "kthreadd")
				all = $7
		} else if (key in threads) {
			same++
			# The thread with which a workqueue helps itself when there is no other has the mask of whom it last
			# helped, or all CPUs; nobody but the kernel sets it, and none is called KIND/CPU.
			helper = $5 == "bound" && $4 !~ "/" && $9 == threads[key, "group"] && $7 == all
			if (threads[key] != value && !helper)
				differ("< thread " $2 " " $4 " " threads[key] "\n> thread " $2 " " $4 " " value)
		} else {
			came++
			if ($5 != "bound" && !(value in usual))
				differ("> new thread " $2 " " $4 " " value ": no thread was like that before")
		}
		next
	}
	FNR == NR { lines[$0] = 1; next }
	{
		kinds[$1]++
		if ($0 in lines)
			delete lines[$0]
		else
			differ("> " $0)
	}
	END {
		for (line in lines)
			differ("< " line)
		# An empty dump is equal to nothing.
		if (!same || !kinds["vcpu"] || !kinds["cgroup"] || !kinds["irq"])
			differ("nothing to compare: " same + 0 " threads, " kinds["vcpu"] + 0 " vCPUs, " kinds["cgroup"] + 0 " cgroups, " kinds["irq"] + 0 " interrupts")
		if (!bad)
			printf "equal: %d vCPUs, %d threads (%d new), %d cgroups with %d settings, %d interrupts\n", kinds["vcpu"], same, came, kinds["cgroup"], kinds["setting"], kinds["irq"]
		exit bad
	}' "$1" "$2"
}

case ${1:-} in
dump)
	dump
	;;
compare)
	[ $# = 3 ] && [ -r "$2" ] && [ -r "$3" ] || {
		echo "xen_state: compare BEFORE AFTER: two files that dump wrote" >&2
		exit 2
	}
	compare "$2" "$3"
	;;
*)
	sed -n '3,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
