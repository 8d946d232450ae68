# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# manage.sh [ROUNDS]: a job of the Xen lab: how long xl create, save, restore and migrate take while two guests load dom0's back ends, native and
# with `closer run`, in paired rounds (the order changes from round to round). Prints each figure, medians and ranges, whatever they are. No
# figure is judged: on emulated CPUs that share fewer real ones only the pairs of one boot can be compared.

rounds=${1:-3}
[ "$LAB_NODES" -ge 2 ] || fail "two nodes are needed"

now_ms() {
	awk '{ print int($1 * 1000) }' /proc/uptime
}

timed() { # MODE WHAT COMMAND..
	timed_mode=$1 timed_what=$2
	shift 2
	timed_from=$(now_ms)
	"$@" >/tmp/timed 2>&1 || {
		say "$timed_what ($timed_mode) failed: $(tail -n 3 /tmp/timed)"
		return 1
	}
	echo "$timed_mode $timed_what $(($(now_ms) - timed_from))" | tee -a /out/times
}

# What failed is said, and its round has fewer figures.
operations() { # MODE
	timed "$1" create start_guest 4 node=1 && wait_guest 4 90 && timed "$1" save xl save g4 /tmp/g4.save &&
		timed "$1" restore xl restore /tmp/g4.save || true
	rm -f /tmp/g4.save
	timed "$1" destroy xl destroy g4 || true
	timed "$1" migrate xl migrate -s here g3 localhost && wait_guest 3 90 || true
}

with_closer() {
	closer run --for 600s >>/out/run 2>&1 &
	run=$!
	sleep 3
	operations closer
	kill -TERM "$run"
	wait "$run" || true
}

start_guest 1 node=0
start_guest 2 node=1
for n in 1 2; do
	wait_guest $n 90
done
start_pvh 3 60 node=1
peer
for n in 1 2; do
	ask $n "start udp-echo to=$LAB_PEER rate=1000 + disk-read dev=/dev/xvda rate=300" >/dev/null
done
round=1
while [ "$round" -le "$rounds" ]; do
	say "round $round"
	if [ $((round % 2)) = 1 ]; then
		operations native
		with_closer
	else
		with_closer
		operations native
	fi
	round=$((round + 1))
done
[ "$(grep -c . /out/times)" -ge $((rounds * 8)) ] || fail "too many commands failed"
sort -k1,2 -k3n /out/times | awk '
	function show() {
		if (n)
			printf "%-8s %-8s median %6d ms, range %d to %d, %d rounds\n", what, mode, (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2, v[1], v[n], n
		n = 0
	}
	{
		if ($1 != mode || $2 != what)
			show()
		mode = $1
		what = $2
		v[++n] = $3
	}
	END { show() }' | sort
