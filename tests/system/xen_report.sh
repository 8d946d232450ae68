#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The Xen demo's judgement without Xen: made-up phases that meet every criterion give no failure; each criterion that is missed gives its own, and
# nothing else. And xen_state.sh: equal states are equal, each kind of difference is found. xen_report.sh BUILD_DIR; runs beside others.
set -u
export LC_ALL=C
lab=$(cd "$(dirname "$0")/../../lab" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP
. "$(dirname "$0")/../check.sh"

# One phase that is as it should be: three windows of a second, two looks of closer in each.
cat >"$work/phase.jq" <<'JQ'
def guest($n): {uuid: "u\($n)", name: "g\($n)", guest_ns: 50000000, host_ns: 40000000, kinds: {"netback-rx": 15000000, blkback: 25000000},
	main_share: 0.005, far_share: 0.01, counted: true};
def totals: {busy_ns: 300000000, guest_ns: 200000000, host_ns: 160000000, main_part_ns: 800000, far_part_ns: 1600000, main_ns: 100000000,
	overhead_ns: 36000000, unattributed_ns: 4000000, gap_ns: 0, estimated: false, main_measured: true};
def load($kind): {kind: $kind, offered: 200, share: 1, achieved: 200, bytes: 1, errors: 0, p50_us: 10, p99_us: 20, span_ns: 1000000000};
def reply: {id: "x", ok: true, loads: [load("udp-echo"), load("disk-read")]};
range(3) as $w | ($base + $w * 1000000000) as $at |
({type: "books", dom0_ns: ($at * 0.6 + 300000000), at_ns: ($at + 500000000), books: {host: "xen:", span_ns: 500000000, main_cpus: "0", secondary_cpus: "1-3",
	totals: totals, guests: [guest(1), guest(2), guest(3), guest(4)]}},
 {type: "books", dom0_ns: ($at * 0.6 + 600000000), at_ns: ($at + 1000000000), books: {host: "xen:", span_ns: 500000000, main_cpus: "0", secondary_cpus: "1-3",
	totals: totals, guests: [guest(1), guest(2), guest(3), guest(4)]}},
 ({type: "task", status: 0, begin_ns: ($at + 1), ns: 100000000} + ({what: "list"}, {what: "create"}, {what: "destroy"})),
 {type: "window", window: $w, begin_ns: $at, end_ns: ($at + 1000000000), vcpus: [{moves: 1, pcpus: {"0": 5, "1": 5}}], domains: {"0": 600000000},
	guests: {g1: reply, g2: reply, g3: reply, g4: reply}})
JQ
report() { # CHANGED PHASE, FILTER for its lines
	base=0
	for phase in native pinned closer undone; do
		filter=.
		[ $phase != "$1" ] || filter=$2
		jq -n -c --argjson base $base -f "$work/phase.jq" | jq -c "$filter" >"$work/$phase.jsonl"
		base=$((base + 10000000000))
	done
	cat "$work"/native.jsonl "$work"/pinned.jsonl "$work"/closer.jsonl "$work"/undone.jsonl | jq -c 'select(.type == "books")' >"$work/status.jsonl"
	jq -n --slurpfile native "$work/native.jsonl" --slurpfile pinned "$work/pinned.jsonl" --slurpfile closer "$work/closer.jsonl" \
		--slurpfile undone "$work/undone.jsonl" --slurpfile status "$work/status.jsonl" --argjson undo "${undo:-true}" \
		--slurpfile actions "${actions:-$work/actions}" --argjson replay "${replay:-{\"equal\":true,\"text\":\"\"\}}" --slurpfile stays "$work/stays" \
		--arg books 500ms -f "$lab/xen_report.jq"
}

failures() {
	report "$@" | jq -r '.failures[]'
}

only() { # PATTERN PHASE FILTER: there is a failure, and each has the pattern
	pattern=$1
	shift
	failures "$@" >"$work/failures" && [ -s "$work/failures" ] && ! grep -qvE "$pattern" "$work/failures"
}

echo '[{"tick":1}]' >"$work/actions"
echo '[]' >"$work/no-actions"
echo '{}' >"$work/stays"

check "phases that meet each criterion fail none" eval '[ -z "$(failures native .)" ] && report native . | jq -e ".closer.far_share == 0.01" >/dev/null'
check "far share" only '^closer: far share' closer 'if .type == "books" then .books.guests[].far_share = 0.021 else . end'
check "far share of other phases is as it comes" eval '[ -z "$(failures native "if .type == \"books\" then .books.guests[].far_share = 0.7 else . end")" ]'
check "main share" only '^closer: main share' closer 'if .type == "books" then .books.guests[].main_share = 0.011 else . end'
check "the toolstack has shares of its own" eval \
	'report closer "if .type == \"books\" then .books.guests += [.books.guests[0] | .name = \"task\" | .main_share = 0.9] else . end" |
	 jq -e ".failures == [] and .closer.toolstack.main_share == 0.9 and .closer.main_share == 0.005" >/dev/null'
check "unattributed" only '^undone: .*unattributed' undone \
	'if .type == "books" then .books.totals |= (.unattributed_ns = 16000000 | .main_ns = 88000000) else . end'
check "parts that do not add up" only '^native: the parts are off' native 'if .type == "books" then .books.totals.main_ns = 80000000 else . end'
check "an estimate" only '^closer: the times are estimates' closer 'if .type == "books" then .books.totals.estimated = true else . end'
check "a rate that is not achieved" only '^undone: g2 achieved 90% of its disk-read' undone \
	'if .type == "window" then .guests.g2.loads[1].share = 0.9 else . end'
check "in the first window that does not count" eval \
	'[ -z "$(failures undone "if .type == \"window\" and .window == 0 then .guests.g2.loads[1].share = 0.9 else . end")" ]'
check "that of dom0 pinned by hand is as it comes" eval \
	'[ -z "$(failures pinned "if .type == \"window\" then .guests.g2.loads[1].share = 0.5 else . end")" ]'
check "a guest without a report" only '^native: g3 did not report' native 'if .type == "window" and .window == 2 then .guests.g3 = null else . end'
check "a guest that costs little" only '^native: g1 costs 4% of a CPU' native 'if .type == "books" then .books.guests[0].host_ns = 20000000 else . end'
check "a management task that fails" only '^closer: the management task' closer 'if .what == "create" then .status = 1 else . end'
actions=$work/no-actions
check "a closer that does nothing" only '^closer did nothing' native .
actions=$work/actions
undo=false
check "a state that differs after undo" only '^the state after undo' native .
undo=true
replay='{"equal":false,"text":"otherwise"}'
check "a replay that differs" only '^the recording was not decided again' native .

cat >"$work/before" <<'TXT'
vcpu Domain-0 0 0 hard all soft all
vcpu g1 1 0 hard 0-1 soft all
thread 2 0 kthreadd free mask 0-3 cgroup 0::/
thread 3 0 rcu_gp bound mask 2 cgroup 0::/
thread 20 5 kworker/1:0 bound mask 1 cgroup 0::/
thread 300 700 vif1.0-q0-guest free mask 0-3 cgroup 0::/
cgroup /sys/fs/cgroup
irq /proc/irq/55/smp_affinity_list:0-3
TXT
state() { # FILTER: the state after, by sed
	sed "$1" "$work/before" >"$work/after"
	"$lab/xen_state.sh" compare "$work/before" "$work/after" >"$work/differences"
}
differs() {
	! state "$1" && [ -s "$work/differences" ]
}
check "a state is equal to itself" state ''
check "a thread that went, and a new one like the others, are no difference" state 's/^thread 300 700 \(.*\)/thread 301 800 \1/'
check "a workqueue's own helper may be on all CPUs again" state 's/rcu_gp bound mask 2/rcu_gp bound mask 0-3/'
check "but on no others" differs 's/rcu_gp bound mask 2/rcu_gp bound mask 0/'
check "a worker of a CPU is not where it was" differs 's/^\(thread 20 .*\) mask 1/\1 mask 0-3/'
check "a vCPU's affinity" differs 's/hard all/hard 0/'
check "a thread's mask" differs 's/guest free mask 0-3/guest free mask 1/'
check "a thread's cgroup" differs 's,guest\(.*\) 0::/,guest\1 0::/closer/x,'
check "a new thread with a mask of its own" differs 's/^thread 300 700 \(.*\) 0-3/thread 301 800 \1 2/'
check "a cgroup that stays" differs '$a cgroup /sys/fs/cgroup/closer'
check "an interrupt's mask" differs 's/list:0-3/list:1/'
check "an empty state" differs d
exit $failed
