#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits on a real kernel: packets out of a veth in a network namespace of its own, CPU time of a container; set, held, undone, killed in
# between, and somebody else's left alone.
set -u
build=$1
apply=$build/tests/system/engine_apply
hold=$build/tests/system/limit_hold
dir=$(mktemp -d)
failed=0

report() { # report STATUS TEXT
	if [ "$1" = 0 ]; then echo "ok $2"; else echo "not ok $2"; failed=1; fi
}

trap 'rm -rf "$dir"' EXIT

quota() {
	# CPU time: in a container, where the kernel has one for it.
	group=/closer/$(printf %08x $$)-0000-0000-0000-00000000c106
	set=$(awk '$3 == "cgroup" && $4 ~ /cpuset/ { print $2; exit }' /proc/mounts)
	cpu=$(awk '$3 == "cgroup" && $4 ~ /(^|,)cpu(,|$)/ { print $2; exit }' /proc/mounts)
	if [ -n "$set" ] && [ -n "$cpu" ] && mkdir -p "$set$group" 2>/dev/null; then
		for g in /closer "$group"; do
			cat "$set/cpuset.cpus" >"$set$g/cpuset.cpus"
			cat "$set/cpuset.mems" >"$set$g/cpuset.mems"
		done
		sh -c 'while :; do :; done' &
		busy=$!
		echo $busy >"$set$group/tasks"
		bad=0
		n=0
		while [ $n -lt 40 ]; do
			"$hold" quota "$dir" "$group" 10000000 >/dev/null 2>&1 &
			pid=$!
			sleep "0.00$((n % 10))"
			kill -9 $pid 2>/dev/null
			wait $pid 2>/dev/null
			[ ! -f "$dir/journal" ] || "$apply" undo "$dir" >/dev/null 2>&1 || bad=$((bad + 1))
			[ ! -d "$cpu$group" ] && grep -q ':cpu:/$' /proc/$busy/cgroup || bad=$((bad + 1))
			n=$((n + 1))
		done
		report $bad "40 SIGKILLs while CPU time is limited: nothing is left ($bad bad)"
		"$hold" quota "$dir" "$group" 10000000
		[ "$(cat "$cpu$group/cpu.cfs_quota_us")" = 10000 ]
		report $? "a tenth of a CPU is set"
		echo 50000 >"$cpu$group/cpu.cfs_quota_us"
		"$apply" undo "$dir" >"$dir/undo" 2>&1
		grep -q 'left 1' "$dir/undo" && [ "$(cat "$cpu$group/cpu.cfs_quota_us")" = 50000 ]
		report $? "somebody else has set half of one: left alone"
		kill -9 $busy
		wait $busy 2>/dev/null
		sleep 0.2
		rmdir "$cpu$group" "$cpu/closer" "$set$group" "$set/closer" 2>/dev/null
	fi
}

# Everything of nftables is in a network namespace that goes with its last process.
if [ -z "${IN_NETNS:-}" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v nft >/dev/null; then
		echo "skip limits: needs root and nft"
		exit 0
	fi
	quota
	IN_NETNS=1 unshare --net --mount sh -c "mount -t sysfs sysfs /sys && exec $0 $build" || failed=1
	exit $failed
fi

chains() { nft list ruleset | grep -c 'chain' ; }
received() { cat "/sys/class/net/peer0/statistics/rx_packets"; }
pass() { # pass COUNT: how many of so many in a second came through
	before=$(received)
	"$hold" send vif9.0 "$1"
	sleep 0.1
	echo $(($(received) - before))
}

ip link add vif9.0 type veth peer name peer0 && ip link set vif9.0 up && ip link set peer0 up
sleep 1
free=$(pass 400)
[ "$free" -ge 380 ]
report $? "without a limit $free of 400 packets pass"
"$hold" packets "$dir" vif9.0 100
report $? "a limit of 100 packets/s is set and confirmed"
held=$(pass 400)
[ "$held" -ge 80 ] && [ "$held" -le 220 ]
report $? "with it $held of 400 packets pass in about a second"
"$apply" undo "$dir" >"$dir/undo" 2>&1 && [ "$(chains)" = 0 ] && ! nft list tables | grep -q closer
report $? "undone: no chain, no table ($(cat "$dir/undo"))"
free=$(pass 400)
[ "$free" -ge 380 ]
report $? "then $free of 400 packets pass again"

"$hold" packets "$dir" vif9.0 100 &&
	nft add rule netdev closer to-vif9.0 counter && "$apply" undo "$dir" >"$dir/undo" 2>&1
grep -q 'left 1' "$dir/undo" && [ "$(chains)" = 1 ]
report $? "somebody else's rule in it: left alone ($(tail -n 1 "$dir/undo"))"
nft delete table netdev closer
rm -f "$dir"/journal*

nft 'add table netdev other; add chain netdev other vif9.0 { type filter hook egress device "vif9.0" priority 1; }'
"$hold" packets "$dir" vif9.0 100 && "$apply" undo "$dir" >/dev/null && [ "$(nft list tables)" = "table netdev other" ]
report $? "another table on the same device is as it was"

"$hold" packets "$dir" vif9.0 100 && ip link delete vif9.0 && "$apply" undo "$dir" >"$dir/undo" 2>&1 && grep -q 'failed 0 verified 1' "$dir/undo" &&
	[ "$(nft list tables)" = "table netdev other" ]
report $? "the device goes, and its limit with it"
ip link add vif9.0 type veth peer name peer0

n=0
bad=0
while [ $n -lt 40 ]; do
	"$hold" packets "$dir" vif9.0 100 >/dev/null 2>&1 &
	pid=$!
	sleep "0.00$((n % 10))"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ ! -f "$dir/journal" ] || "$apply" undo "$dir" >/dev/null 2>&1 || bad=$((bad + 1))
	nft list tables | grep -q closer && bad=$((bad + 1))
	n=$((n + 1))
done
report $bad "40 SIGKILLs while packets are limited: nothing is left ($bad bad)"

exit $failed
