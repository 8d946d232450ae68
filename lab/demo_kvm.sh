#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# demo_kvm.sh [BUILD_DIR]: closer on real guests. Three guests with network and disk load at fixed rates, a fourth that burns CPU, and
# a management task on the main container's CPU; measured native, with closer, and after undo. Fails if a guest does
# not achieve its rate, if host work stays on the main container's CPUs, if the sums do not close, or if the machine is not
# as it was. Output: one table here; report.json and a recording, in build/demo-kvm.
set -eu
export LC_ALL=C

LAB_HOME=$(cd "$(dirname "$0")" && pwd)
CLOSER_BUILD=$(cd "${1:-$(dirname "$LAB_HOME")/build/release}" && pwd)
# shellcheck source=lab/lib.sh
. "$LAB_HOME/lib.sh"

closer=$CLOSER_BUILD/cli/closer
state_tool=$(dirname "$LAB_HOME")/tests/system/demo_state.sh
out=${CLOSER_DEMO_OUT:-$LAB_TOP/build/demo-kvm}
host=qemu:$LAB_DIR
rounds=${CLOSER_DEMO_ROUNDS:-5}
span_s=${CLOSER_DEMO_SPAN:-5}
# What a 1.5 times slower machine with two CPUs still does beside the burner.
load="udp-out to=$LAB_PEER rate=300 size=256 + udp-in to=$LAB_PEER rate=300 size=256 + disk-read dev=/dev/vda rate=300 depth=4"
management='cpu rate=50 work=200000'
loaded='1 2 3'
burner=4
run_pid=

say() {
	echo "demo: $*" >&2
}

closer_stop() { # its exit status
	[ -n "$run_pid" ] || return 0
	kill -TERM "$run_pid" 2>/dev/null || true
	stopped=0
	wait "$run_pid" || stopped=$?
	run_pid=
	return "$stopped"
}

finish() {
	trap - EXIT
	closer_stop || true
	lab_clean
}

# busy ns of all CPUs and the time, ns: /proc/stat counts in hundredths of a second here as everywhere. Busy is what is neither
# idle, iowait nor steal: those are measured, user and system only sampled at ticks (50 % off was seen here).
stat_now() {
	awk '$1 == "cpu" { away = $5 + $6 + $9 } $1 ~ /^cpu[0-9]/ { cpus++ } END { getline up <"/proc/uptime"; split(up, at, " ")
		printf "%.0f %.0f\n", cpus * at[1] * 1e9 - away * 1e7, at[1] * 1e9 }' /proc/stat
}

round() { # PHASE ROUND
	for guest in $loaded; do
		lab_ask "$guest" report >/dev/null
	done
	"$LAB_LOADGEN" ask "$LAB_DIR/ctl/management.agent" report >/dev/null
	before=$(stat_now)
	"$closer" status --json --interval "${span_s}s" --host "$host" --state-dir "$LAB_DIR/state" >"$out/status.json" ||
		lab_fail "closer status failed"
	after=$(stat_now)
	for guest in $loaded; do
		lab_ask "$guest" report | jq -c --arg name "g$guest" '{name: $name, loads: .loads}'
	done | jq -s . >"$out/loads.json"
	"$LAB_LOADGEN" ask "$LAB_DIR/ctl/management.agent" report >"$out/management.json"
	jq -n -c --arg phase "$1" --argjson round "$2" --argjson before "[${before% *},${before#* }]" \
		--argjson after "[${after% *},${after#* }]" --slurpfile status "$out/status.json" \
		--slurpfile loads "$out/loads.json" --slurpfile management "$out/management.json" \
		'{phase: $phase, round: $round, stat: {busy_ns: ($after[0] - $before[0]), span_ns: ($after[1] - $before[1])},
		  status: $status[0], loads: $loads[0], management: $management[0].loads[0]}' >>"$out/rounds.jsonl"
	rm -f "$out/status.json" "$out/loads.json" "$out/management.json"
}

phase() { # NAME
	say "$1: $rounds rounds of $span_s s"
	i=1
	while [ "$i" -le "$rounds" ]; do
		round "$1" "$i"
		i=$((i + 1))
	done
}

state() {
	"$state_tool" dump "g1=$(lab_pid 1)" "g2=$(lab_pid 2)" "g3=$(lab_pid 3)" "g4=$(lab_pid 4)"
}

# Is the first placement over? No host-side thread of any guest may run on the main container's CPUs.
all_placed() {
	for guest in $loaded $burner; do
		[ -z "$(lab_on_cpus "$guest" "$main_cpus")" ] || return 1
	done
}

boot() {
	lab_open
	lab_trap finish
	mkdir -p "$LAB_DIR/state"
	lab_peer
	for guest in $loaded $burner; do
		lab_start "$guest"
	done
	for guest in $loaded $burner; do
		lab_wait "$guest"
	done
}

start_loads() {
	main_cpus=$("$closer" status --json --interval 200ms --host "$host" --state-dir "$LAB_DIR/state" | jq -r .main_cpus)
	[ -n "$main_cpus" ] && [ "$main_cpus" != null ] ||
		lab_fail "closer leaves the main container no CPU of its own here; the demo needs a machine with two or more CPUs"
	for guest in $loaded; do
		lab_ask "$guest" "start $load" >/dev/null
	done
	lab_ask "$burner" 'start cpu' >/dev/null
	first_main=$(lab_cpus "$main_cpus")
	lab_spawn management taskset -c "${first_main%% *}" "$LAB_LOADGEN" agent "unix:$LAB_DIR/ctl/management.agent"
	"$LAB_LOADGEN" ask "$LAB_DIR/ctl/management.agent" "start $management" >/dev/null
	# Warm: translated code, ARP, the first page faults.
	sleep 2
}

with_closer() {
	"$closer" run --host "$host" --state-dir "$LAB_DIR/state" --record "$out/recording" >"$out/run.log" 2>&1 9>&- &
	run_pid=$!
	lab_until 30 all_placed || {
		cat "$out/run.log" >&2
		lab_fail "closer did not take the guests' host-side threads off CPUs $main_cpus within 30 s"
	}
	phase closer
	"$closer" explain --host "$host" --state-dir "$LAB_DIR/state" >"$out/explain.txt" 2>&1 || lab_fail "closer explain failed"
	run_status=0
	closer_stop || run_status=$?
	[ "$run_status" = 0 ] || {
		tail -n 20 "$out/run.log" >&2
		lab_fail "closer run ended with $run_status"
	}
}

# The same plans out of the recording, twice, byte for byte.
replay() {
	"$closer" replay "$out/recording" --json >"$out/replay.1" || lab_fail "replaying the recording decided otherwise"
	"$closer" replay "$out/recording" --json >"$out/replay.2"
	cmp -s "$out/replay.1" "$out/replay.2" || lab_fail "two replays of the recording differ: $out/replay.1 and .2"
	jq -c -s '[.[] | select(.plan) | .tick as $tick | .plan.actions[] | {tick: $tick} + .]' "$out/replay.1" >"$out/actions.json"
	rm -f "$out/replay.1" "$out/replay.2"
}

main() {
	[ -x "$closer" ] || lab_fail "$closer is not built: run ./run build"
	rm -f "$out"/report.json "$out"/rounds.jsonl "$out"/recording "$out"/run.log "$out"/replay.[12]
	mkdir -p "$out"
	say "booting four guests"
	boot
	start_loads
	state >"$out/state.before"
	phase native
	with_closer
	state >"$out/state.after"
	undo_equal=true
	"$state_tool" compare "$out/state.before" "$out/state.after" >"$out/undo.txt" || undo_equal=false
	phase undone
	replay
	jq -s --argjson undo "$undo_equal" --slurpfile actions "$out/actions.json" --arg host "$host" \
		-f "$LAB_HOME/report.jq" "$out/rounds.jsonl" >"$out/report.json"
	rm -f "$out/actions.json"
	jq -r -f "$LAB_HOME/table.jq" "$out/report.json" | awk -F '\t' -f "$LAB_HOME/table.awk"
	jq -r '"CPU in % of one CPU; shares in % of the guest'"'"'s host CPU; guests + main + unattributed against /proc/stat: " +
		"native \(.native.closure * 100 | round)%, closer \(.closer.closure * 100 | round)%, undone \(.undone.closure * 100 | round)%",
		(if .closer.estimated then "(on main, far: estimated from where threads were seen; exact with BPF)" else empty end)' "$out/report.json"
	echo
	jq -r -f "$LAB_HOME/actions.jq" "$out/report.json"
	echo
	echo "undo: $undo_equal: $(cat "$out/undo.txt")"
	echo "report: $out/report.json  recording: $out/recording  explanation: $out/explain.txt"
	verdict=$(jq -r .failures[] "$out/report.json")
	[ -z "$verdict" ] || {
		echo "$verdict" | sed 's/^/FAILED: /'
		exit 1
	}
	echo "ok: every guest achieved its rate in each phase, main share with closer $(jq .closer.main_share "$out/report.json")" \
		"(native $(jq .native.main_share "$out/report.json")), the machine is as it was"
}

main
