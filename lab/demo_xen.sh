#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# demo_xen.sh BUILD_DIR [--rounds N]: closer in the dom0 of a real Xen, on an emulated machine with four CPUs on two nodes.
#
# Without --rounds: four guests with network and disk load at fixed rates and a management task (xl list, create, destroy); measured as Debian
# boots it, with dom0's vCPUs pinned by hand, with closer, and after undo. The recording of closer's run is decided again here, where there is no
# Xen. Fails if a criterion is missed, and says which (lab/xen_report.jq has them). Output: tables here; report.json, the recording and all that
# was measured in build/demo.
#
# With it: N rounds, each native, pinned by hand, and with closer, of a guest that loads its network as fast as it can, one its disk, one that
# computes, and the management task; medians and ranges, whatever they are. Output: a table; compare.json and all that was measured in
# build/demo/rounds.
set -eu
export LC_ALL=C

lab=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
top=${CLOSER_DEMO_OUT:-$(dirname "$lab")/build/demo}
windows=${CLOSER_DEMO_WINDOWS:-5}
span_s=${CLOSER_DEMO_SPAN:-3}
books=500ms
# Small packets are copied by netback; larger ones it maps and unmaps, which an emulated machine pays with milliseconds each.
load='udp-echo to=10.99.78.1:7077 rate=260 size=64 + disk-read dev=/dev/xvda rate=130 depth=4'
# CPU 0 is the main container's; guests' vCPUs are kept off it, too.
run_options='--set main-exclusive=1'

say() {
	echo "demo: $*" >&2
}

fail() {
	echo "FAILED: $*"
	exit 1
}

# The same plans out of the recording, on a machine without Xen; twice, byte for byte.
replay() {
	equal=true text='as in dom0'
	"$build/cli/closer" replay "$out/recording" --json >"$out/replay.1" || equal=false text='otherwise than in dom0, or not to the end'
	"$build/cli/closer" replay "$out/recording" --json >"$out/replay.2" || true
	cmp -s "$out/replay.1" "$out/replay.2" || equal=false text='two replays differ'
	jq -c -s --argjson equal $equal --arg text "$text" '.[-1] + {equal: ($equal and .[-1].different == 0 and .[-1].torn == false), text: $text}' \
		"$out/replay.1" >"$out/replay.json"
	jq -c -s '[.[] | select(.plan) | .tick as $tick | .plan.actions[] | {tick: $tick} + .]' "$out/replay.1" >"$out/actions.json"
	rm -f "$out/replay.1" "$out/replay.2"
}

measure() { # SECONDS WHAT THE JOB IS TO DO..
	status=0
	seconds=$1
	shift
	"$lab/xen.sh" --pcpus 4 --nodes 2 --timeout "$seconds" --out "$out" --build "$build" --add "$build/lab/xen_gauge" --add "$lab/xen_state.sh" \
		--env DEMO_LOAD="$load" --env DEMO_WINDOWS="$windows" --env DEMO_SECONDS="$span_s" --env DEMO_BOOKS="$books" --env DEMO_RUN="$run_options" \
		"$lab/xen_jobs/demo.sh" "$@" >&2 || status=$?
	[ "$status" = 0 ] || fail "the part in dom0 ended with $status; its log is $out/job.log"
}

report() {
	undo_equal=true
	"$lab/xen_state.sh" compare "$out/state.before" "$out/state.after" >"$out/undo.txt" || undo_equal=false
	[ "$(cat "$out/run.status")" = 0 ] || undo_equal=false
	jq -n --rawfile before "$out/interrupts.before" --rawfile after "$out/interrupts.after" --rawfile fixed "$out/fixed" \
		-f "$lab/xen_stays.jq" >"$out/stays.json"
	set --
	for phase in native pinned closer undone; do
		set -- "$@" --slurpfile "$phase" "$out/$phase.jsonl"
	done
	jq -n "$@" --slurpfile status "$out/books.jsonl" --argjson undo "$undo_equal" --slurpfile actions "$out/actions.json" --argjson replay "$(cat "$out/replay.json")" \
		--slurpfile stays "$out/stays.json" --arg books "$books" -f "$lab/xen_report.jq" >"$out/report.json"
	rm -f "$out/actions.json" "$out/replay.json" "$out/stays.json"
}

print() {
	jq -r -f "$lab/xen_table.jq" "$out/report.json" | awk -F '\t' -f "$lab/table.awk"
	jq -r '"CPU in % of one CPU; on main and far in % of the guest'"'"'s work in dom0; overhead and unattributed in % of dom0'"'"'s time, gap of all parts to it, as Xen counts it.",
		"far: \(.where).",
		(["native", "closer"][] as $phase | "dom0 in \($phase): " + ([.[$phase].vcpus[] | "vCPU \(.vcpu) on pCPU " +
			([.pcpus | to_entries | sort_by(-.value)[] | "\(.key) (\(.value * 100 | round)%)"] | join(" ")) + ", \(.moves) moves"] | join("; ")))' "$out/report.json"
	echo
	jq -r -f "$lab/actions.jq" "$out/report.json"
	echo
	jq -r '"stays on every CPU: threads that the kernel binds: " + (.stays.threads | map("\(.name) (CPUs \(.cpus | map(tostring) | join(" ")))") | join(", ")),
		"  interrupts of a CPU'"'"'s own, per second on CPU 0, 1, ..: " +
		(.stays.interrupts | map("\(.name) \(.per_second | map(tostring) | join(" "))") | join("; "))' "$out/report.json"
	echo
	echo "undo: $(jq .undo_equal "$out/report.json"): $(cat "$out/undo.txt")"
	jq -r '"replay without Xen: \(.replay.ticks) ticks decided again, \(.replay.different) otherwise"' "$out/report.json"
	echo "report: $out/report.json  recording: $out/recording"
}

demo() {
	out=$top
	mkdir -p "$out"
	measure 600 phases
	replay
	report
	print
	verdict=$(jq -r .failures[] "$out/report.json")
	[ -z "$verdict" ] || {
		echo "$verdict" | sed 's/^/FAILED: /'
		exit 1
	}
	jq -r '"ok: far share \(.native.far_share) native, \(.closer.far_share) with closer; main share \(.native.main_share), \(.closer.main_share); " +
		"every guest achieved its rates in each phase, and the machine is as it was"' "$out/report.json"
}

rounds() { # N
	out=$top/rounds
	mkdir -p "$out"
	measure $((300 + $1 * 240)) rounds "$1"
	for mode in native pinned closer; do
		i=1
		while [ "$i" -le "$1" ]; do
			jq -c -s --arg mode $mode --argjson round $i '{mode: $mode, round: $round, lines: .}' "$out/$mode.$i.jsonl"
			i=$((i + 1))
		done
	done | jq -s -f "$lab/xen_compare.jq" >"$top/compare.json"
	jq -r '.table[] | @tsv' "$top/compare.json" | awk -F '\t' -f "$lab/table.awk"
	echo "compare: $top/compare.json"
}

[ -x "$build/cli/closer" ] || fail "closer is not built: run ./run build"
[ -x "$build/lab/xen_gauge" ] || fail "xen_gauge is not built: libxen-dev is missing (./run deps)"
case ${2:-} in
'') demo ;;
--rounds) rounds "$3" ;;
*) fail "there is no option $2" ;;
esac
