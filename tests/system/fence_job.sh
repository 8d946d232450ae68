#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fence_job.sh containers|masks..: helper: run by fence.sh as all that a small machine does. Puts up a fence around two processes in each of these
# ways, and looks at what it did to all others, and at what comes back. What is read is /proc and cgroups, by sh and awk.
set -u

cg=/sys/fs/cgroup
[ "$CGROUP" = 2 ] || cg=/sys/fs/cgroup/cpuset

check() { # WHAT COMMAND..
	what=$1
	shift
	if "$@"; then
		echo "ok fence: v$CGROUP, $mode: $what"
	else
		echo "not ok fence: v$CGROUP, $mode: $what"
	fi
}
cpus() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status"
}
is() { # PID CPUS
	[ "$(cpus "$1")" = "$2" ] || {
		echo "# process $1 ($(cat "/proc/$1/comm")) may use $(cpus "$1"), not $2"
		return 1
	}
}
# "PID CPUS BOUND GROUP" of all; BOUND: the kernel refuses another mask (PF_NO_SETAFFINITY).
world() {
	grep -s . /proc/[0-9]*/stat /proc/[0-9]*/cgroup >/tmp/all
	grep -s '^Cpus_allowed_list' /proc/[0-9]*/status >>/tmp/all
	awk '{ split($0, path, "/"); pid = path[3]; rest = $0; sub(/^[^:]*:/, "", rest) }
		path[4] ~ /^stat:/ { sub(/.*\) /, "", rest); split(rest, f, " "); bound[pid] = int(f[7] / 67108864) % 2 }
		path[4] ~ /^status:/ { mask[pid] = $2 }
		path[4] ~ /^cgroup:/ && (rest ~ /^0::/ || rest ~ /cpuset:/) { sub(/^[^:]*:[^:]*:/, "", rest); group[pid] = rest }
		END { for (pid in mask) if (pid in bound) print pid, mask[pid], bound[pid], group[pid] }' /tmp/all | sort -n
}
# A thread that the kernel binds and had narrowed itself is the one exception: no one can set it.
same() {
	world >/tmp/now
	awk 'NR == FNR { was[$1] = $2 " " $4; next } ($1 in was) && !$3 && was[$1] != $2 " " $4 { print "# was", was[$1], "and is", $0; bad = 1 }
		END { exit bad }' /tmp/before /tmp/now && [ ! -e $cg/closer ]
}
comes_back() {
	tries=0
	until same >/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || break
		sleep 0.2
	done
	same && by_hand
}
by_hand() {
	is $pinned 2-3 && is "$kernel" 1,3
}
pin() {
	taskset -pc 2-3 $pinned >/dev/null
	taskset -pc 1,3 "$kernel" >/dev/null
}
apply() {
	fence_host apply /run/state "$mode" "$@" >/tmp/said 2>&1
}
undo() {
	fence_host undo /run/state >/tmp/said 2>&1
}
# Others that could be elsewhere and may be on another CPU than 0, as far as this fence goes.
none_loose() {
	world >/tmp/now
	awk -v v2="$partition" -v but=" 1 $pinned $kernel $one $two " '$4 !~ /^\/closer/ && !$3 && $2 != "0" && \
		(v2 == "yes" || !index(but, " " $1 " ")) { print "# may be elsewhere:", $0; bad = 1 } END { exit bad }' /tmp/now
}
killed_anywhere() {
	round=0
	while [ $round -lt 8 ]; do
		round=$((round + 1))
		fence_host hold /run/state "$mode" $one $two >/dev/null 2>&1 &
		holder=$!
		usleep $((round * 43000))
		kill -9 $holder
		wait $holder 2>/dev/null
		comes_back || return 1
	done
}
# Somebody's cgroup with one of the CPUs, and his the controller: the kernel calls the partition invalid, and why is in the error.
refused() {
	echo +cpuset >$cg/cgroup.subtree_control
	mkdir $cg/other
	echo 2 >$cg/other/cpuset.cpus
	apply $one $two
	grep -q "the kernel says 'root invalid" /tmp/said && [ "$(cat $cg/closer/cpuset.cpus.partition)" = member ] && undo && same && by_hand
}
beside_another() {
	echo 1 >$cg/other/cpuset.cpus
	echo root >$cg/other/cpuset.cpus.partition
	apply $one $two && [ "$(cat $cg/closer/cpuset.cpus.partition) $(cat $cg/closer/cpuset.cpus)" = "root 2-3" ] &&
		[ "$(cat $cg/other/cpuset.cpus.partition)" = root ] && undo
	echo member >$cg/other/cpuset.cpus.partition
	rmdir $cg/other
	pin # the kernel forgot it when that partition came
	same
}
taken_down() {
	apply $one $two || return 1
	echo member >$cg/closer/cpuset.cpus.partition
	apply $one $two && [ "$(cat $cg/closer/cpuset.cpus.partition)" = member ] && undo && same && by_hand
}

way() { # MODE
	mode=$1
	partition=no
	[ "$CGROUP:$mode" != 2:containers ] || partition=yes
	check "put up" apply $one $two
	check "all others are on the main CPU" none_loose
	check "the two are not" is $one 1-3
	sleep 1000 &
	later=$!
	check "what starts now is, too" is $later 0
	if [ $partition = yes ]; then
		check "it is the kernel's" grep -qx root $cg/closer/cpuset.cpus.partition
		check "a mask that was set by hand is bounded" is $pinned 0
	else
		check "a mask that was set by hand is left" by_hand
	fi
	check "work that starts behind it is placed" apply $one $two $later
	check "there" is $later 1-3
	sleep 1000 &
	after=$!
	check "taken down" undo
	check "all is as before" same
	check "masks set by hand, too" by_hand
	check "what started under it may use all CPUs" is $later 0-3
	check "and what was never ours" is $after 0-3
	kill $later $after
	check "comes back from SIGKILLs at any moment" killed_anywhere
	if [ $partition = yes ]; then
		check "one that the kernel refuses is taken back" refused
		check "leaves room to another partition" beside_another
		check "one that somebody took down is left so" taken_down
	fi
}

sleep 1000 &
one=$!
sleep 1000 &
two=$!
sleep 1000 &
pinned=$!
kernel=$(grep -slx kauditd /proc/[0-9]*/comm | cut -d/ -f3)
pin
mkdir -m 700 /run/state
world >/tmp/before
for each in "$@"; do
	way "$each"
done
echo over
