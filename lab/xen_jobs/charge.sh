# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# charge.sh [SECONDS [ROUNDS]]: a job of the Xen lab: g1 paid for 60 % of a CPU, burns all of it and floods the network; g2 computes on the same
# CPU, on which dom0 has no vCPU (--dom0-vcpus 3). dom0's work for them is where it was put by hand, so that closer leaves it. What g1 has of
# guest and host, natively and charged, in windows of SECONDS, medians of ROUNDS; by cap, then by weight; then what is left of it when closer
# has ended.

seconds=${1:-20}
rounds=${2:-3}
settle=8

# "WEIGHT CAP" of a guest
contract() {
	xl sched-credit2 -d "$1" | awk 'NR > 1 || !/Weight/ { weight = $(NF - 1); cap = $NF } END { print weight, cap }'
}

is_contract() { # NAME WEIGHT CAP
	[ "$(contract "$1")" = "$2 $3" ] || {
		echo "$1 has a weight and a cap of $(contract "$1"), not $2 $3"
		return 1
	}
}

# Back ends on CPU 1 by hand: somebody's.
aside() {
	for n in 1 2; do
		for pid_name in $(backend_threads $n | tr ' ' :); do
			taskset -p -c 1 "${pid_name%%:*}" >/dev/null
		done
		for irq in $(backend_irqs $n); do
			echo 1 >"/proc/irq/$irq/smp_affinity_list"
		done
	done
}

# window NAME: "g1's own, g1's host, g2's own", in per cent of a CPU, as a line of /tmp/NAME
window() {
	closer status --interval "${seconds}s" --json >/tmp/window.json || return 1
	jq -r '.span_ns as $span | [.guests[] | select(.name == "g1" or .name == "g2")] | sort_by(.name) |
		[.[0].guest_ns, .[0].host_ns, .[1].guest_ns, .[1].host_ns] | map(. * 100 / $span) | @tsv' /tmp/window.json | tee -a "/tmp/$1"
	cp /tmp/window.json "/out/$1-$round.json"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

between() { # X LEAST MOST
	awk -v x="$1" -v least="$2" -v most="$3" 'BEGIN { exit !(x >= least && x <= most) }' || {
		echo "  $1 is not from $2 to $3"
		return 1
	}
}

start_charging() { # MORE..
	closer run --set charge=closer --set pin=no --set fence=no --set containers=no --interval 500ms "$@" >/tmp/run.log 2>&1 &
	run=$!
	sleep $settle
}

stop_charging() {
	kill -TERM "$run"
	wait "$run" || {
		tail -n 5 /tmp/run.log
		return 1
	}
}

# compare NAME: windows without and with charging by turns
compare() {
	rm -f "/tmp/$1-native" "/tmp/$1-charged"
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		window "$1-native"
		start_charging --ledger /tmp/ledger --record "/out/$1-$round.record"
		window "$1-charged"
		stop_charging
	done
	keep "/tmp/$1-native" "/tmp/$1-charged"
	cp /tmp/run.log "/out/$1-run.log"
}

cpu=$((LAB_PCPUS - 1))
pin_dom0 on
start_guest 1 cpus=$cpu weight=1024 cap=60
start_guest 2 cpus=$cpu weight=256
wait_guest 1
wait_guest 2
peer
aside
ask 1 "run cpu for=3000s + udp-out to=$LAB_PEER for=3000s" 3100 >/out/load1 2>&1 &
flood=$!
ask 2 "run cpu for=3000s" 3100 >/out/load2 2>&1 &
burn=$!
sleep $settle
quietly kill -0 $flood $burn || fail "a guest's load ended: $(cat /out/load1 /out/load2)"

say "by cap: guest, host and neighbour, per cent of a CPU"
compare cap
native=$(awk '{ print $1 + $2 }' /tmp/cap-native | median)
charged=$(awk '{ print $1 + $2 }' /tmp/cap-charged | median)
owed=$(awk 'NR == FNR { own[FNR] = $1; is[FNR] = $3; next } { print $3 - is[FNR] - (own[FNR] - $1) }' /tmp/cap-native /tmp/cap-charged | median)
say "guest and host together: natively $native %, charged $charged %; the neighbour got the difference but for $owed %"
check "natively it is 60 % and more" between "$native" 63 200
check "charged it is 60 % +- 3" between "$charged" 57 63
check "the neighbour gets the difference" between "$owed" -3 3
check "after closer run the cap is the operator's" is_contract g1 1024 60

start_charging
until_true 20 sh -c 'xl sched-credit2 -d g1 | awk "END { exit !(\$NF < 60) }"' || fail "the cap was not lowered"
kill -KILL "$run"
wait "$run" || true
check "after a SIGKILL its supervisor gives the cap back" until_true 20 quietly is_contract g1 1024 60

start_charging
xl sched-credit2 -d g1 -c 70
check "a cap that somebody sets meanwhile is let go" until_true 20 grep -q 'release-cap g1' /tmp/run.log
check "and charged from then on" until_true 20 sh -c 'xl sched-credit2 -d g1 | awk "END { exit !(\$NF < 70) }"'
stop_charging
check "and is what comes back" is_contract g1 1024 70

say "by weight: 600 and 400"
xl sched-credit2 -d g1 -c 0
xl sched-credit2 -d g1 -w 600
xl sched-credit2 -d g2 -w 400
compare weight
native=$(awk '{ print ($1 + $2) * 100 / ($1 + $2 + $3 + $4) }' /tmp/weight-native | median)
charged=$(awk '{ print ($1 + $2) * 100 / ($1 + $2 + $3 + $4) }' /tmp/weight-charged | median)
say "of what both have of guest and host: natively $native %, charged $charged %"
check "by weight: charged it has 60 % +- 5" between "$charged" 55 65
check "which is nearer than natively" between "$native" 61 100
check "after closer run the weights are the operator's" eval 'is_contract g1 600 0 && is_contract g2 400 0'
closer bill --ledger /tmp/ledger --json >/out/bill.json
check "the ledger adds up" jq -e '.total | .charged_ns > 0 and .charged_ns == .repaid_ns + .owed_ns + .written_off_ns' /out/bill.json
verdict
