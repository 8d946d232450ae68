#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Monitors that hang, flood, lie and break the protocol, all at once, beside two honest ones: the honest guests must be
# described in full, each hostile one named, the snapshot sound, and memory bounded.
#
#   qmp_hostile.sh BUILD-DIR
set -u
build=${1:?usage: qmp_hostile.sh BUILD-DIR}
find_tool() { for p in "$build/tests/$1" "$build/tests/system/$1" "$build/$1"; do [ -x "$p" ] && { echo "$p"; return; }; done; }
peer=$(find_tool qmp_peer) look=$(find_tool qmp_look)
[ -n "$peer" ] && [ -n "$look" ] || { echo "not ok qmp_hostile: qmp_peer or qmp_look is not built in $build"; exit 1; }

dir=$(mktemp -d) || exit 1
pids=
failed=0
cleanup() { for p in $pids; do kill -9 "$p" 2>/dev/null; done; rm -rf "$dir"; }
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

ok() { echo "ok $*"; }
bad() { echo "not ok $*"; failed=1; }
# check NAME WHAT COMMAND...: one line a check
check() { name=$1 what=$2; shift 2; if "$@"; then ok "$name: $what"; else bad "$name: $what"; fi; }

n=0
# start MODE [TID]: leaves its pid in $pid and its vCPU's tid in $tid
start() {
	n=$((n + 1))
	"$peer" "$1" "$dir/$1.qmp" "$(printf '00000000-1111-2222-3333-%012d' $n)" ${2+"$2"} >"$dir/$1.up" 2>"$dir/$1.err" &
	pid=$! pids="$pids $!" tries=0
	until [ -s "$dir/$1.up" ]; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || { bad "qmp_hostile: peer $1 did not start: $(cat "$dir/$1.err")"; exit 1; }
		sleep 0.05
	done
	read -r _ tid <"$dir/$1.up"
	eval "pid_$(echo "$1" | tr - _)=\$pid"
}

start honest
honest_cpu=$tid
hostile="deaf silent mute drip garbage flood events big deep wide wrong-id twice hangs-up many-cpus same-cpus zero-tid"
for mode in $hostile; do start "$mode"; done
start lies "$honest_cpu"
start long-name
start odd-name
start no-uuid

"$look" "$dir" 4 4000 >"$dir/out" 2>"$dir/look.err" || { bad "qmp_hostile: $(cat "$dir/look.err")"; sed -n '$p' "$dir/out"; exit 1; }

# The guest line of a peer, and how many of its threads are of a kind.
guest() { grep "^guest .* pid=$1 " "$dir/out"; }
kinds() { grep -c "^work $1 kind=$2 " "$dir/out"; }
described() { guest "$1" | grep -q " described=$2 "; }
monitor() { grep "^check .* monitor $dir/$1.qmp " "$dir/out"; }

check honest "is described beside $n others" described "$pid_honest" 1
check honest "two vCPUs" [ "$(grep -c "^vcpu $pid_honest\." "$dir/out")" = 2 ]
for kind in main-loop iothread worker migration helper; do
	check honest "one thread is $kind" [ "$(kinds "$pid_honest" $kind)" = 1 ]
done
check honest "has the uuid that it said" grep -q "^guest 00000000-1111-2222-3333-000000000001 .* pid=$pid_honest " "$dir/out"
for mode in $hostile lies; do
	eval "pid=\$pid_$(echo "$mode" | tr - _)"
	if described "$pid" 0; then ok "$mode: is a guest, not described"; else bad "$mode: $(guest "$pid")"; fi
	if [ -n "$(monitor "$mode")" ]; then ok "$(monitor "$mode" | sed "s|$dir/||; s|^check ||")"; else bad "$mode: check says nothing"; fi
	# Its threads are its own, by their names, whatever it claimed.
	[ "$(grep -c "^vcpu $pid\." "$dir/out")" = 2 ] || bad "$mode: $(grep -c "^vcpu $pid\." "$dir/out") vCPUs"
done
check lies "the thread that it claimed stays its owner's" [ "$(grep -c "tid=$honest_cpu\b" "$dir/out")" = 1 ]
check long-name "900 kB of a name are cut" [ "$(guest "$pid_long_name" | wc -c)" -lt 300 ]
check long-name "is described" described "$pid_long_name" 1
check odd-name "is described, and its name escaped" grep -q '^guest .* name=\\x1b\[31mred\\x07\\x0aguest\\x09\\x5c pid=' "$dir/out"
check no-uuid "has a uuid of its own" sh -c "! grep -q '^guest 00000000-0000-0000-0000-000000000000' '$dir/out'"
check snapshot "each of $(grep -c '^tick' "$dir/out") is sound" sh -c "! grep '^tick' '$dir/out' | grep -qv fault=sound"
rss=$(sed -n 's/^rss_kb //p' "$dir/out")
check memory "at most $((rss / 1024)) MiB were used, of 200 allowed" [ "$rss" -lt 204800 ]
ok "ticks: $(sed -n 's/^tick [0-9]* took_ms=\([0-9.]*\) .*/\1/p' "$dir/out" | tr '\n' ' ')ms"
exit $failed
