# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# kill.sh [KILLS [SEED]]: a job of the Xen lab: SIGKILL at random moments of `closer apply`. Each time everything is as it was, by the
# supervisor; each fifth time that one is killed as well, and then by `closer undo`, or by the next apply and undo. Compared by dom0_state,
# which knows nothing of closer. In /lab/bin: flock.

kills=${1:-20}
seed=${2:-1}
fast='--interval 100ms'
state=/run/closer

# Nobody acts any more: closer is gone, and its supervisor has done what it had to.
settled() {
	until_true 30 flock -n /run/closer.lock true
}
now_ms() {
	awk '{ printf "%.0f", $1 * 1000 }' /proc/uptime
}
apply() {
	# shellcheck disable=SC2086 # a list
	closer apply $fast
}
kill_supervisor() {
	read -r _ supervisor </run/closer.lock && [ "$(cat "/proc/${supervisor:-0}/comm" 2>/dev/null)" = closer-superv ] &&
		kill -KILL "$supervisor" && supervisors=$((supervisors + 1))
}
# What is left where nobody could put it back.
recover() { # ROUND
	[ -e $state/journal ] || return 0
	left=$((left + 1))
	[ $(($1 % 2)) = 0 ] || quietly apply
	quietly closer undo
}
one_kill() { # ROUND SECONDS LATE BOTH
	rm -f $state/journal.undone
	# shellcheck disable=SC2086 # a list
	closer apply $fast >/tmp/killed 2>&1 &
	pid=$!
	while [ "$3" = 1 ] && [ ! -e $state/journal ] && kill -0 $pid 2>/dev/null; do :; done
	sleep "$2"
	[ "$4" = 0 ] || kill_supervisor || true
	kill -KILL $pid 2>/dev/null || true
	status=0
	wait $pid || status=$?
	settled || stuck=$((stuck + 1))
	if [ $status = 0 ]; then
		after=$((after + 1))
	elif [ -e $state/journal ] || [ -e $state/journal.undone ]; then
		middle=$((middle + 1))
	else
		before=$((before + 1))
	fi
	recover "$1"
	dom0_state >/tmp/now
	diff /out/noted /tmp/now >/tmp/difference || {
		differ=$((differ + 1))
		echo "  kill $1, $2 s after $([ "$3" = 1 ] && echo the journal || echo the start), status $status:"
		head -n 10 /tmp/difference
	}
}

start_guest 1 node=0
start_guest 2 node=1 vcpus=2 queues=2
for n in 1 2; do
	wait_guest $n
done
peer
for n in 1 2; do
	ask $n "run udp-echo to=$LAB_PEER rate=5 for=900s + disk-read dev=/dev/xvda rate=5 for=900s" 950 >/dev/null 2>&1 &
done
sleep 1
dom0_state >/out/noted
began=$(now_ms)
check "closer apply" apply
took=$(($(now_ms) - began))
dom0_state >/out/applied
check "it changes something" eval '! cmp -s /out/noted /out/applied'
check "closer undo" closer undo
dom0_state >/tmp/now
check "then all is as before" diff /out/noted /tmp/now

before=0 middle=0 after=0 supervisors=0 left=0 differ=0 stuck=0 round=0
# One quarter from the start to after the end; the others from the moment when the journal is there, when things begin to change.
awk -v n="$kills" -v seed="$seed" -v took="$took" 'BEGIN { srand(seed)
	for (i = 0; i < n; i++) { late = i % 4 != 0; printf "%.3f %d %d\n", rand() * (late ? 0.25 : took / 1000 * 1.2), late, i % 5 == 4 } }' >/tmp/moments
while read -r moment late both; do
	round=$((round + 1))
	one_kill $round "$moment" "$late" "$both"
done </tmp/moments
say "$kills kills of an apply that takes $took ms: $before before the journal, $middle in the middle, $after after the end; $supervisors supervisors killed too; $left journals left, and recovered"
check "$kills SIGKILLs: difference 0" [ "$differ:$stuck" = 0:0 ]
check "some hit the middle" [ "$middle" -ge $((kills / 5)) ]
check "some were left to undo or the next apply" [ "$left" -ge 1 ]
verdict
