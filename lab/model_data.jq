# SPDX-License-Identifier: GPL-2.0-or-later
# What the job model.sh left, an object {run, lines} for each run as input, into the file that is kept: of each window, for each
# guest what its work in dom0 took by kind (ns a second, by closer's books within the window), what its loads got done, how often its back ends were
# interrupted and woken (a second). $runs, $domids: the texts; $books: xen_gauge's lines of closer status; $windows, $seconds, $interval: how it was measured.
def kinds: ["interrupt", "netback-rx", "netback-dealloc", "blkback"];
def rate(span_ns): . * 1e9 / span_ns | round;
def total(f): map(f) | add // 0;
def words: [splits(" +")] | map(select(. != ""));
def options: map(select(contains("=")) | split("=") | {key: .[0], value: (.[1] | tonumber)}) | from_entries;

# Of one guest in one window, whose length is $span_ns: sums over its queues of counts whose name begins and ends so.
def counted($counts; $first; $last; $span_ns):
	[$counts | to_entries[] | select((.key | startswith($first)) and (.key | endswith($last))) | .value] | add // 0 | rate($span_ns);

($runs | split("\n") | map(select(test("^(guest|calibration|validation) ")) | words)) as $table |
([$domids | split("\n")[] | words | select(length == 2) | {key: .[0], value: .[1]}] | from_entries) as $domid |
([$table[] | select(.[0] == "guest") | {key: .[1], value: (.[2:] | options)}] | from_entries) as $guests |
{about: "measured by ./run model --measure; see lab/model_data.jq", seconds: $seconds, interval: $interval, windows: $windows, guests: $guests,
 runs: [inputs | .run as $run | .lines as $windows | [$table[] | select(.[1] == $run)] as $lines |
	($windows | map(. as $w | [$books[] | select(.at_ns - .books.span_ns >= $w.begin_ns and .at_ns <= $w.end_ns) | .books])) as $seen |
	{run: $run, part: $lines[0][0],
	 cpus: [$windows[] | ([.domains[]] | add) / (.end_ns - .begin_ns) * 100 | round / 100],
	 overhead: [$seen[] | total(.span_ns) as $span | total(.totals.overhead_ns) | rate($span)],
	 ring_interrupts: [$windows[] | (.interrupts["blkif-backend"] // 0) | rate($windows[0].end_ns - $windows[0].begin_ns)],
	 guests: ([$lines[] | .[2] as $name | {key: $name, value: {
		loads: (.[3:] | join(" ")),
		guest_cpu: [$seen[] | total(.span_ns) as $span | [.[].guests[] | select(.name == $name)] | total(.guest_ns) | rate($span)],
		host: ([kinds[] as $kind | {key: $kind, value: [$seen[] | total(.span_ns) as $span |
			[.[].guests[] | select(.name == $name)] | total(.kinds[$kind]) | rate($span)]}] | from_entries),
		done: [range($windows[0].guests[$name].loads | length) as $l | {kind: $windows[0].guests[$name].loads[$l].kind,
			per_s: [$windows[].guests[$name].loads[$l] | (.achieved) * 1e10 / .span_ns | round / 10]}],
		interrupts: {tx: [$windows[] | counted(.interrupts; "vif\($domid[$name])."; "-tx"; .end_ns - .begin_ns)],
			rx: [$windows[] | counted(.interrupts; "vif\($domid[$name])."; "-rx"; .end_ns - .begin_ns)]},
		wakes: {rx: [$windows[] | counted(.wakes; "vif\($domid[$name])."; "-guest-rx"; .end_ns - .begin_ns)],
			dealloc: [$windows[] | counted(.wakes; "vif\($domid[$name])."; "-dealloc"; .end_ns - .begin_ns)],
			blkback: [$windows[] | counted(.wakes; "\($domid[$name]).xvd"; ""; .end_ns - .begin_ns)]}}}] | from_entries)}]}
