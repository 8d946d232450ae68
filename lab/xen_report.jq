# SPDX-License-Identifier: GPL-2.0-or-later
# What xen_gauge wrote in each phase of demo_xen.sh ($native, $pinned, $closer, $undone, and $status for all: arrays of its lines) into report.json. The first window
# of a phase is dropped. far_share and main_share are of the work done for the four guests; the toolstack's, for the management task's guest, has
# shares of its own: its commands begin where all management does. Shares are of sums, never means of shares; what is compared with an offered rate is the median of the windows.
def share(part; whole): if whole > 0 then part / whole * 1000000 | round / 1000000 else 0 end;
def percent: . * 10000 | round / 100 | "\(.)%";
def total(f): map(f) | add // 0;
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def ms: if . == null then null else . / 10000 | round / 100 end;

def parts: .host_ns + .main_ns + .overhead_ns + .unattributed_ns;

# Each load of a guest: offered and achieved in all windows, and the windows' median share of it.
def loads($windows; $name):
	[$windows[].guests[$name].loads // [] | .[]] | group_by(.kind) |
	map({kind: .[0].kind, offered: total(.offered), achieved: total(.achieved), share: (map(.share) | median), least: (map(.share) | min),
	     windows: length, p50_us: (map(.p50_us) | median), p99_us: (map(.p99_us) | median)});

def guest($books; $windows; $name):
	[$books[].books.guests[] | select(.name == $name)] as $mine | ($books | total(.books.span_ns)) as $span |
	{name: $name, uuid: $mine[0].uuid,
	 guest_cpu: share($mine | total(.guest_ns); $span), host_cpu: share($mine | total(.host_ns); $span),
	 kinds: (reduce ($mine[].kinds | to_entries[]) as $kind ({}; .[$kind.key] += $kind.value) | map_values(share(.; $span))),
	 main_share: share($mine | total(.main_share * .host_ns); $mine | total(.host_ns)),
	 far_share: share($mine | total(.far_share * .host_ns); $mine | total(.host_ns)),
	 loads: loads($windows; $name)} |
	.achieved = ([.loads[].share] | min);

# One round of the management task is xl list, xl create and xl destroy.
def management($steps):
	{p50: ([$steps | group_by(.what)[] | map(.ns) | median] | add | ms),
	 rounds: ([$steps[] | select(.what == "destroy")] | length), failed: ([$steps[] | select(.status != 0)] | length)} +
	([$steps | group_by(.what)[] | {key: .[0].what, value: {p50: (map(.ns) | median | ms), max: (map(.ns) | max | ms)}}] | from_entries);

# Where dom0's vCPUs were: each one's time by pCPU, and how often it was found on another one than before.
def vcpus($windows):
	[range($windows[0].vcpus | length) as $v | [$windows[].vcpus[$v]] |
	 (reduce (.[].pcpus | to_entries[]) as $at ({}; .[$at.key] += $at.value)) as $ns | ($ns | [.[]] | add // 0) as $sum |
	 {vcpu: $v, moves: total(.moves), pcpus: ($ns | map_values(share(.; $sum)))}];

def phase:
	[.[] | select(.type == "window")][1:] as $windows | ($windows[0].begin_ns) as $from | ($windows[-1].end_ns) as $to |
	[$status[] | select(.at_ns >= $from and .at_ns <= $to)] as $lines | $lines[1:] as $books | ($books | map(.books.totals)) as $totals |
	($books | total(.books.span_ns)) as $span |
	share($lines[-1].dom0_ns - $lines[0].dom0_ns; $lines[-1].at_ns - $lines[0].at_ns) as $xen |
	[$books[].books.guests[]] as $each | [$each[] | select(.name | test("^g[1-4]$"))] as $four | ($each - $four) as $task |
	{main_share: share($four | total(.main_share * .host_ns); $four | total(.host_ns)),
	 far_share: share($four | total(.far_share * .host_ns); $four | total(.host_ns)),
	 toolstack: {cpu: share($task | total(.host_ns); $span), main_share: share($task | total(.main_share * .host_ns); $task | total(.host_ns)),
		far_share: share($task | total(.far_share * .host_ns); $task | total(.host_ns))},
	 unattributed_share: share(share($totals | total(.unattributed_ns); $span); $xen),
	 overhead_share: share(share($totals | total(.overhead_ns); $span); $xen),
	 gap: (share(share($totals | total(parts); $span); $xen) - 1 | . * 1000000 | round / 1000000),
	 dom0_cpu: $xen, main_cpu: share($totals | total(.main_ns); $span), host_cpu: share($totals | total(.host_ns); $span),
	 estimated: ($totals | any(.estimated)), main_measured: ($totals | all(.main_measured)),
	 observations: ($books | length), seconds: ($span / 1e7 | round / 100),
	 windows: ([range($windows | length) as $w | $windows[$w] as $window |
		[$lines[] | select(.at_ns > $window.begin_ns and .at_ns <= $window.end_ns) | .books.guests[] | select(.name | test("^g[1-4]$"))] |
		{far_share: share(total(.far_share * .host_ns); total(.host_ns)), main_share: share(total(.main_share * .host_ns); total(.host_ns)),
		 dom0_cpu: share($window.domains["0"]; $window.end_ns - $window.begin_ns),
		 achieved_least: ([$window.guests[] | .loads // [{share: 0}] | .[].share] | min)}]),
	 guests: (["g1", "g2", "g3", "g4"] | map(guest($books; $windows; .))),
	 management_ms: management([.[] | select(.type == "task" and .begin_ns >= $from and .begin_ns <= $to)]),
	 vcpus: vcpus($windows)} |
	.achieved = ([.guests[].achieved] | min);

# What is pinned by hand is for comparison: whether the guests get what they offer there is a result, and no criterion.
def failures:
	(["native", "pinned", "closer", "undone"][] as $phase | .[$phase] | ([.windows[]] | length) as $windows |
		(.guests[] | .name as $name |
			(.loads[] | select(.share < 0.95 and $phase != "pinned") | "\($phase): \($name) achieved \(.share | percent) of its \(.kind) rate, less than 95%"),
			(select((.loads | length) < 2 or ([.loads[].windows] | min) < $windows) | "\($phase): \($name) did not report both its loads in each window"),
			(select(.host_cpu < 0.05 and $phase != "pinned") | "\($phase): \($name) costs \(.host_cpu | percent) of a CPU in dom0, less than 5%")),
		(select(.gap | fabs > 0.05) | "\($phase): the parts are off Xen's time by \(.gap | percent), more than 5%"),
		(select(.unattributed_share > 0.05) | "\($phase): \(.unattributed_share | percent) of dom0's time unattributed, more than 5%"),
		(select(.estimated or (.main_measured | not)) | "\($phase): the times are estimates"),
		(select(.management_ms.rounds < 1 or .management_ms.failed > 0) |
			"\($phase): the management task had \(.management_ms.rounds) rounds, \(.management_ms.failed) steps failed")),
	(.closer | select(.far_share > 0.02) | "closer: far share \(.far_share | percent), more than 2%"),
	(.closer | select(.main_share > 0.01) | "closer: main share \(.main_share | percent), more than 1%"),
	(select(.actions == []) | "closer did nothing"),
	(select(.replay.equal | not) | "the recording was not decided again as it was in dom0: \(.replay.text)"),
	(select(.undo_equal | not) | "the state after undo is not that before; the differences are above");

($status[-1].books) as $last |
{host: {uri: $last.host, main_cpus: $last.main_cpus, secondary_cpus: $last.secondary_cpus},
 where: "dom0's vCPUs by Xen's vCPU information, sampled: with each observation for the shares (\($books)), every 20 ms for the table of vCPUs",
 native: ($native | phase), pinned: ($pinned | phase), closer: ($closer | phase), undone: ($undone | phase),
 actions: $actions[0], replay: $replay, stays: $stays[0], undo_equal: $undo} |
. + {failures: [failures]}
