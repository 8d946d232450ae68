#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kill.sh BUILD_DIR: SIGKILL at random moments of applying a plan to real threads; each time every mask and cgroup has to come
# back, by the supervisor or, where that one was killed too, by undo. Compared by threadstate.sh, which knows nothing of closer.
# KILLS (1000) and SEED (1) come from the environment. It runs beside Xen: it takes minutes, most of them waiting.
set -u
build=${1:?usage: kill.sh BUILD_DIR}
seed=${SEED:-1}
here=$(cd "$(dirname "$0")" && pwd)
apply=$(find "$build" -name engine_apply -type f | head -n 1)
closer=$(find "$build" -name closer -type f -path "*/cli/*" | head -n 1)
victim=$(find "$build" -name victim -type f | head -n 1)
# in /run, as the real one: a disk would spend the time on syncing
dir=$(mktemp -d /run/closer-kill.XXXXXX) || exit 1
state=$dir/state
victims=
bad=0

cleanup() {
	trap - EXIT INT TERM HUP
	[ ! -e "$state/journal" ] || "$apply" undo "$state" >/dev/null 2>&1
	for pid in $victims; do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$dir"
}
trap 'cleanup' EXIT
trap 'cleanup; exit 1' INT TERM HUP

ok() { echo "ok kill: $*"; }
not_ok() { echo "not ok kill: $*"; bad=1; }
die() { not_ok "$*"; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# Nobody holds the lock: the closer is gone, and its supervisor has done what it had to.
settled() { flock -w 30 /run/closer.lock true; }
look() { sh "$here/threadstate.sh" "$@"; }
# The same without thread ids and pids, for processes whose threads come and go.
kinds() { look "$@" | sed 's,/task/[0-9]*/,/task/-/,' | sort -u; }

new_victim() { # THREADS VCPUS [BIRTHS] -> $pid
	"$victim" "$@" >"$dir/ready" &
	pid=$!
	victims="$victims $pid"
	tries=0
	until grep -qs ready "$dir/ready"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || die "the victim with $1 threads did not start"
		sleep 0.05
	done
}
end_victim() {
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

[ "$(id -u)" = 0 ] || die "needs root"
[ -x "$apply" ] && [ -x "$victim" ] || die "engine_apply or victim is not in $build: build the tests first"
mkdir -m 0700 "$state"

# ---- three processes of 40 threads, killed while they are placed ----
new_victim 40 2; first=$pid
new_victim 40 2; second=$pid
new_victim 40 2; third=$pid
uri=template:$first,$second,$third
before=$(look "$first" "$second" "$third")

engine_applies() { "$apply" apply "$uri" "$state"; }
closer_applies() { "$closer" apply --host "$uri" --state-dir "$state" --interval 100ms; }

# storm KILLS WHO: SIGKILLs at random moments of WHO, from before its start to after its end, with one difference allowed: none.
storm() {
	kills=$1
	who=$2
	: >"$dir/took"
	for _ in 1 2 3; do
		began=$(now_ms)
		"$who" >"$dir/out" 2>&1 || die "$who: $(cat "$dir/out")"
		echo $(($(now_ms) - began)) >>"$dir/took"
		[ "$(look "$first" "$second" "$third")" != "$before" ] || die "applying a plan changed nothing: this shows nothing"
		"$apply" undo "$state" >"$dir/out" 2>&1 || die "undo: $(cat "$dir/out")"
	done
	[ "$(look "$first" "$second" "$third")" = "$before" ] || die "apply and undo do not come back to the start"
	rm -f "$state"/journal*
	usual=$(sort -n "$dir/took" | sed -n 2p)
	in_head=0 in_middle=0 in_tail=0 supervisors=0 differ=0 stuck=0 round=0
	began=$(now_ms)
	# One half: moments from 0 to more than a whole run usually takes. The other: from the moment when the journal is
	# there, which is when things begin to change. Each tenth time the supervisor is killed as well.
	awk -v n="$kills" -v seed="$seed" -v most="$usual" \
		'BEGIN { srand(seed); for (i = 0; i < n; i++) { late = rand() < 0.5
			printf "%.4f %d %d\n", rand() * (late ? 25 : most * 1.4) / 1000, i % 10 == 9, late } }' >"$dir/moments"
	while read -r moment both late; do
		one_kill
	done <"$dir/moments"
	figures="$kills kills of $who within $((usual * 14 / 10)) ms: $in_head before the journal, $in_middle in the middle, $in_tail after the end; $supervisors supervisors killed too; $(($(now_ms) - began)) ms in all"
	if [ $differ = 0 ] && [ $stuck = 0 ] && [ $bad = 0 ]; then
		ok "difference 0 every time; $figures"
	else
		not_ok "$differ times something was not as before, $stuck times the lock stayed taken; $figures"
	fi
	[ "$kills" -lt 100 ] || [ $in_middle -ge $((kills / 20)) ] || not_ok "only $in_middle kills hit the middle: this shows too little"
}

one_kill() {
	round=$((round + 1))
	# A program of its own, not a function's shell: its pid is the one that is killed.
	case $who in
	engine_applies) "$apply" apply "$uri" "$state" >"$dir/out" 2>&1 & ;;
	*) "$closer" apply --host "$uri" --state-dir "$state" --interval 100ms >"$dir/out" 2>&1 & ;;
	esac
	pid=$!
	while [ "$late" = 1 ] && ! [ -e "$state/journal" ] && kill -0 "$pid" 2>/dev/null; do :; done
	sleep "$moment"
	if [ "$both" = 1 ] && read -r _ superv </run/closer.lock && [ "${superv:-0}" -gt 1 ] &&
		[ "$(cat "/proc/$superv/comm" 2>/dev/null)" = closer-superv ]; then
		kill -9 "$superv" 2>/dev/null && supervisors=$((supervisors + 1))
	fi
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	code=$?
	settled || stuck=$((stuck + 1))
	if [ -e "$state/journal" ]; then
		# it had ended, or nobody was left to do it
		if [ $code = 0 ]; then in_tail=$((in_tail + 1)); else in_middle=$((in_middle + 1)); fi
		"$apply" undo "$state" >"$dir/out" 2>&1 || not_ok "round $round: undo: $(cat "$dir/out")"
	elif [ -e "$state/journal.undone" ]; then
		in_middle=$((in_middle + 1))
	else
		in_head=$((in_head + 1))
	fi
	rm -f "$state/journal.undone"
	after=$(look "$first" "$second" "$third")
	if [ "$after" != "$before" ]; then
		differ=$((differ + 1))
		[ $differ -gt 1 ] || {
			echo "$before" >"$dir/before"
			echo "$after" | diff "$dir/before" - | head -n 20
		}
		before=$after
	fi
}

# The verb spends most of its time between two observations; the engine alone is hit in the middle more often.
storm "${KILLS:-1000}" closer_applies
storm "$((${KILLS:-1000} / 5))" engine_applies
end_victim "$first"; end_victim "$second"; end_victim "$third"

# ---- 1,000 threads ----
new_victim 1000 2; many=$pid
before=$(look "$many")
"$apply" hold "template:$many" "$state" >"$dir/out" 2>&1 &
pid=$!
until grep -q '^done' "$dir/out"; do
	kill -0 "$pid" 2>/dev/null || die "holding 1,000 threads: $(cat "$dir/out")"
	sleep 0.05
done
began=$(now_ms)
kill -9 "$pid"
wait "$pid" 2>/dev/null
settled
took=$(($(now_ms) - began))
if [ "$(look "$many")" = "$before" ]; then
	"$apply" apply "template:$many" "$state" >/dev/null 2>&1
	if undone=$("$apply" undo "$state") && [ "$(look "$many")" = "$before" ]; then
		ok "1,000 threads restored and verified by the supervisor within $took ms of the SIGKILL; by undo: $undone"
	else
		not_ok "1,000 threads: not all came back by undo: $undone"
	fi
else
	not_ok "1,000 threads: not all came back"
fi
end_victim "$many"

# ---- threads that are born all the time inherit what their parents were given ----
new_victim 20 2 20; fertile=$pid
before=$(kinds "$fertile")
"$apply" hold "template:$fertile" "$state" >"$dir/out" 2>&1 &
pid=$!
until grep -q '^done' "$dir/out"; do
	kill -0 "$pid" 2>/dev/null || die "holding threads that are born: $(cat "$dir/out")"
	sleep 0.05
done
sleep 1	# of births
held=$(kinds "$fertile")
kill -9 "$pid"
wait "$pid" 2>/dev/null
settled
if [ "$held" = "$before" ]; then
	not_ok "threads being born: nothing was changed, this shows nothing"
elif [ "$(kinds "$fertile")" = "$before" ]; then
	ok "360 threads a second being born inherited masks and cgroups; all gave them back"
else
	not_ok "threads being born: left behind: $(kinds "$fertile" | tr '\n' ' ')"
fi
end_victim "$fertile"

# ---- what somebody else sets is his ----
new_victim 4 0; mine=$pid
before=$(look "$mine" | grep -v "/task/$mine/status")
"$apply" apply "template:$mine" "$state" >/dev/null 2>&1
# Inside a container of closer's only its CPUs can be had: out of it first, where there is one.
for tasks in /sys/fs/cgroup/cpuset/tasks /sys/fs/cgroup/cgroup.procs; do
	grep -q closer "/proc/$mine/cgroup" && [ -w $tasks ] && echo "$mine" >$tasks
done
taskset -p -c 0 "$mine" >/dev/null 2>&1
hand=$(grep Cpus_allowed_list: "/proc/$mine/status")
"$apply" undo "$state" >"$dir/out" 2>&1
if grep -q 'left 1 ' "$dir/out" && [ "$(grep Cpus_allowed_list: "/proc/$mine/status")" = "$hand" ] &&
	[ "$(look "$mine" | grep -v "/task/$mine/status")" = "$before" ]; then
	ok "a mask set by hand was left by undo and said, everything else came back: $(tail -n 1 "$dir/out")"
else
	not_ok "a mask set by hand: $(cat "$dir/out")"
fi
end_victim "$mine"

# ---- apply for a time: undone by itself; undone before; confirmed ----
new_victim 4 0; timed=$pid
before=$(look "$timed")
"$apply" until "template:$timed" "$state" 1 >/dev/null 2>&1
placed=$(look "$timed")
tries=0
while [ -e "$state/journal" ] && [ $tries -lt 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
settled
if [ "$placed" != "$before" ] && [ "$(look "$timed")" = "$before" ]; then
	ok "applied for a second, undone by itself"
else
	not_ok "applied for a second: still there after $((tries / 10)) s"
fi
"$apply" until "template:$timed" "$state" 1 >/dev/null 2>&1
"$apply" confirm "$state" || not_ok "confirm right after apply"
sleep 3
if [ "$(look "$timed")" = "$placed" ] || [ -e "$state/journal" ]; then
	"$apply" undo "$state" >"$dir/out" 2>&1 || not_ok "undo after confirm: $(cat "$dir/out")"
	if [ "$(look "$timed")" = "$before" ]; then ok "confirmed in time: it stayed, until undo"; else not_ok "undo after confirm"; fi
else
	not_ok "confirmed in time, and undone all the same"
fi
# the first one's deadline must not touch what another applied later
"$apply" until "template:$timed" "$state" 2 >/dev/null 2>&1
"$apply" undo "$state" >/dev/null 2>&1 || not_ok "undo before the deadline"
"$apply" apply "template:$timed" "$state" >/dev/null 2>&1
sleep 4
if [ "$(look "$timed")" = "$placed" ]; then
	ok "a deadline of an undone journal leaves the next one alone"
else
	not_ok "a deadline touched another journal's changes"
fi
"$apply" undo "$state" >/dev/null 2>&1
end_victim "$timed"
exit $bad
