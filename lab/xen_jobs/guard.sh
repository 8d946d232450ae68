# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# guard.sh [SECONDS [ROUNDS]]: a job of the Xen lab: ShareGuard's experiment, scaled. dom0 has two CPUs, its guests the others (--dom0-vcpus 2).
# Two guests at fixed rates, as web servers have them; a third sends as fast as it can, then reads its disk as fast as it can. What the two
# achieve with it against what they achieved before it began, in pairs of windows of SECONDS, natively and with the third held to 5 % of dom0;
# medians of ROUNDS pairs, after a first that does not count.

seconds=${1:-6}
rounds=${2:-5}
settled=12 # three of five intervals over, one to be set, some to be corrected

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# web: what g1 and g2 achieve a second, of what they were to
web() {
	ask 1 "run udp-echo to=$LAB_PEER rate=200 size=1024 for=${seconds}s" $((seconds + 30)) >/tmp/web1 &
	first=$!
	ask 2 "run tcp-out to=$LAB_PEER rate=20 size=16384 for=${seconds}s" $((seconds + 30)) >/tmp/web2 || return 1
	wait $first || return 1
	jq -rj '.loads[0] | .achieved * 1e9 / .span_ns, " "' /tmp/web1 /tmp/web2
}

# pair NAME LOAD SETTLE: one line "g1 before, g2 before, g1 with it, g2 with it, g3's host CPU in per cent of a CPU" of /tmp/NAME; with it
# SETTLE seconds after it began
pair() {
	before=$(web) || return 1
	ask 3 "run $2 for=$(($3 + seconds + 3))s" $(($3 + seconds + 60)) >/out/load3 2>&1 &
	hog=$!
	sleep "$3"
	quietly kill -0 $hog || fail "g3's load ended: $(cat /out/load3)"
	closer status --interval "${seconds}s" --json >/tmp/status.json &
	status=$!
	with=$(web) || return 1
	wait $status || return 1
	cp /tmp/status.json "/out/$1-$n.json"
	host=$(jq -r '.span_ns as $span | .guests[] | select(.name == "g3") | .host_ns * 100 / $span' /tmp/status.json)
	wait $hog || true
	echo "$before$with$host" | tee -a "/tmp/$1"
}

pairs() { # NAME LOAD SETTLE
	rm -f "/tmp/$1"
	n=0
	while [ $n -le "$rounds" ]; do
		n=$((n + 1))
		pair "$1" "$2" "$3" || fail "a window of $1 was lost"
	done
	sed -i 1d "/tmp/$1"
	keep "/tmp/$1"
}

ratio() { # FILE GUEST
	awk -v n="$2" '{ print $(n + 2) / $n }' "/tmp/$1" | median
}

at_most() { # X MOST
	awk -v x="$1" -v most="$2" 'BEGIN { exit !(x <= most) }' || {
		echo "  $1 is more than $2"
		return 1
	}
}

start_guarding() {
	closer run --limit g3=5% --set pin=no --set fence=no --record "/out/$1.record" >"/out/$1.log" 2>&1 &
	run=$!
	sleep 5
}

stop_guarding() {
	kill -TERM "$run"
	wait "$run" || {
		tail -n 5 "/out/$1.log"
		return 1
	}
}

no_limit() {
	! xenstore-read "/local/domain/0/backend/vif/$(domid 3)/0/rate" >/dev/null 2>&1 || return 1
	[ ! -d "$(closer_groups)" ]
}

# compare NAME LOAD LEVER
compare() {
	pairs "$1-native" "$2" 3
	start_guarding "$1"
	pairs "$1-held" "$2" $settled
	check "$1: it was held by its $3" grep -q "$3" "/out/$1.log"
	check "$1: closer run ends, and nothing is left" stop_guarding "$1"
	check "$1: no limit is left" no_limit
	held=$(awk '{ print $5 }' "/tmp/$1-held" | median)
	say "$1: host CPU of g3 natively $(awk '{ print $5 }' "/tmp/$1-native" | median) %, held $held % of a CPU"
	for n in 1 2; do
		say "$1: g$n kept $(ratio "$1-native" $n) of what it had natively, $(ratio "$1-held" $n) with g3 held"
		check "$1: g$n keeps 95 % of what it had" at_least "$(ratio "$1-held" $n)" 0.95
	done
	# 5 % of dom0's vCPUs, and what the limit may be missed by before it is corrected
	check "$1: g3 is held to 5 % of dom0" at_most "$held" $((5 * dom0_cpus * 115 / 100))
}

pin_dom0 on
dom0_cpus=$(xl vcpu-list 0 | awk 'NR > 1' | wc -l)
start_guest 1 cpus=2
start_guest 2 cpus=3
start_guest 3 cpus=2-3
for n in 1 2 3; do
	wait_guest $n
done
peer
compare transfer "tcp-out to=$LAB_PEER size=65536" transmit-rate
compare disk "disk-read dev=/dev/xvda depth=32" group-io
verdict
