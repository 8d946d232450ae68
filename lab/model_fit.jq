# SPDX-License-Identifier: GPL-2.0-or-later
# The lab's testbed out of what was measured (lab/model_data.jq), an INI file: of the calibration runs alone. Least squares without negative costs; each
# run is a row, of its windows' medians. $data: the name of the file that it is made of.
def dot($a; $b): [range($a | length) | $a[.] * $b[.]] | add;
def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;

# Gauss's elimination: a square of rows, the right side behind. null: it has no one solution.
def solve: . as $m | ($m | length) as $n |
	reduce range($n) as $c ($m; if . == null then null else . as $m |
		([range($c; $n)] | max_by($m[.][$c] | fabs)) as $p |
		if ($m[$p][$c] | fabs) < 1e-9 then null else
			(.[$p] = $m[$c] | .[$c] = $m[$p]) as $m | $m[$c] as $pivot |
			[range($n) as $r | if $r == $c then $m[$r] else
				($m[$r][$c] / $pivot[$c]) as $f | [range($n + 1) | $m[$r][.] - $f * $pivot[.]] end] end end) |
	if . == null then null else . as $m | [range($n) | $m[.][$n] / $m[.][.]] end;

# Least squares of rows {x: [..], y}: costs of an x each, none below 0: the best of all subsets, since there are few.
def least_squares: . as $rows | ($rows[0].x | length) as $n |
	[range($n) as $k | [$rows[].x[$k]] | max | if . > 0 then . else 1 end] as $scale |
	($rows | map(.x = [range($n) as $k | .x[$k] / $scale[$k]])) as $rows |
	[range(1; pow(2; $n)) as $set | [range($n) | select(($set / pow(2; .) | floor) % 2 == 1)] as $in |
	 ([$in[] as $i | [$in[] as $j | [$rows[] | .x[$i] * .x[$j]] | add] + [[$rows[] | .x[$i] * .y] | add]] | solve) as $some |
	 select($some != null and all($some[]; . >= 0)) |
	 [range($n) as $k | ($in | index($k)) as $at | if $at == null then 0 else $some[$at] end] as $all |
	 {costs: [range($n) | $all[.] / $scale[.]], error: ([$rows[] | dot(.x; $all) - .y | . * .] | add)}] |
	min_by(.error).costs;

# What is off by so many times, up or down, is as far off: the lab varies by factors. So least squares of the logarithms (Gauss and Newton's steps from
# those of relative errors, which alone would come out too low).
def fit: map(select(.y > 0)) as $rows |
	reduce range(30) as $i ($rows | map(.y as $y | {x: [.x[] / $y], y: 1}) | least_squares; . as $costs |
		[$rows[] | dot(.x; $costs) as $now | select($now > 0) | {x: [.x[] / $now], y: (1 + (.y / $now | log))}] | least_squares) |
	. as $costs | {costs: $costs, error: ([$rows[] | dot(.x; $costs) as $now | select($now > 0) | .y / $now | log] | (map(. * .) | add) / length | sqrt | exp - 1), rows: ($rows | length)};

# What a guest's loads sent, received and asked of the disk in a run, a second; how often its back ends had a turn for it. Turns of each kind and
# of any kind that no other turn led to, of all guests: blkback's interrupt leads to its thread, netback's to dealloc.
def loads: [splits(" \\+ ") | split(" ") | {kind: .[0]} + ([.[1:][] | split("=") | {key: .[0], value: (.[1] | tonumber)}] | from_entries)];
def sum(f): map(f) | add // 0;
def wire: .size + 42;
def sends: map(select(.kind == "udp-out" or .kind == "udp-echo"));
def gets: map(select(.kind == "udp-in" or .kind == "udp-echo"));
def asks: map(select(.kind | startswith("disk")));
def guest_row($run): . as $guest |
	([(.loads | loads), [.done[].per_s | median]] | transpose | map(.[0] + {per_s: .[1]})) as $did |
	($did | asks | sum(.per_s)) as $requests | ($guest.wakes.blkback | median) as $wakes | $guest |
	{run: $run.run, sent: ($did | sends | sum(.per_s)), mapped: ($did | sends | map(select(wire > 128)) | sum(.per_s)),
	 sent_bytes: ($did | sends | sum(.per_s * wire)), received: ($did | gets | sum(.per_s)), received_bytes: ($did | gets | sum(.per_s * wire)),
	 requests: $requests, bytes: ($did | asks | sum(.per_s * .size)), looks: (if $requests > 0 then 0 else $wakes end),
	 turns: {send: (.interrupts.tx | median), dealloc: (.wakes.dealloc | median), receive: (.wakes.rx | median),
		blkback: (if $requests > 0 then $wakes else 0 end)},
	 host: (.host | map_values(median)), guest_cpu: (.guest_cpu | median)};
def run_rows: . as $run | [.guests[] | guest_row($run)] | (map(.turns.blkback) | add) as $wakes |
	map(.turns.irq = (if $wakes > 0 then ($run.ring_interrupts | median) * .turns.blkback / $wakes else 0 end)) |
	([.[].turns | to_entries[]] | group_by(.key) | map({key: .[0].key, value: map(.value) | add}) | from_entries) as $all |
	map(.all = $all + {any: ($all.send + $all.receive + $all.irq)});

# Warm and cold (sim/warm.c): the cost of a turn, of its cost after a long pause, where turns of its kind and of any come at random. Of a footprint that is
# used l times a second, 1 / (1 + l * cold_ns) is gone when it is next used.
def gone($rate; $c): 1 / (1 + $rate * $c.cold_ns / 1e9);
def turn($c; $kind): if $c.warm == 1 then 1 else
	gone(.all[$kind]; $c) as $own | (if $kind == "blkback" or $kind == "dealloc" then 0 else gone(.all.any; $c) end) as $shared |
	$c.warm + (1 - $c.warm) * ((1 - $c.cold_shared) * $own + $c.cold_shared * $shared) end;
def cold_turns($c; $kind): .turns[$kind] * turn($c; $kind);

# How far rows are from one cost for each turn of this kind: the squares of what is left of the logarithms.
def spread($c; $kind; y): if any(.[]; cold_turns($c; $kind) <= 0) then 1e9 else map(y / cold_turns($c; $kind) | log) | if length == 0 then 0 else (add / length) as $mean | map(. - $mean | . * .) | add end end;
# A first look at a grid of constants: those under which turns cost the same in all runs, as far as may be. How often a handler finds its thread beside it
# is chance, so that its cost is left out, and so are what is mapped and what has many pages, which have costs of their own.
def candidates: . as $rows |
	[({warm: 1, cold_ns: 0, cold_shared: 0}),
	 ((0, 0.05, 0.1, 0.2, 0.4) as $warm | (1, 2, 4, 6, 8, 10, 12, 16, 24, 32) as $ms | (0, 0.2, 0.4, 0.6, 0.8, 1) as $shared |
	  {warm: $warm, cold_ns: ($ms * 1e6), cold_shared: $shared}) | . as $c |
	 .spread = ($rows | (map(select(.received > 0)) | spread($c; "receive"; .host["netback-rx"])) +
		(map(select(.requests > 0 and .bytes < .requests * 8192)) | spread($c; "blkback"; .host.blkback)) +
		(map(select(.mapped > 0)) | spread($c; "dealloc"; .host["netback-dealloc"])) +
		(map(select(.sent > 0 and .mapped == 0 and .requests == 0)) | spread($c; "send"; .host.interrupt)))] | sort_by(.spread)[:16];

# All costs of back ends under these constants, and how far all rows are from them.
def fits($c): . as $rows |
	(map(select(.received > 0)) | map({x: [cold_turns($c; "receive"), .received, .received_bytes], y: .host["netback-rx"]}) | fit) as $rx |
	($rows | map(select(.requests > 0)) | map({x: [cold_turns($c; "blkback"), .requests, .bytes], y: .host.blkback}) | fit) as $disk |
	([$rx.costs[2], $disk.costs[2]] | min) as $byte |
	($rows | map(select(.requests > 0 and .sent == 0)) | map({x: [cold_turns($c; "irq")], y: .host.interrupt}) | fit) as $ring |
	($rows | map(select(.sent > 0)) | map({x: [cold_turns($c; "send"), .sent, .mapped],
		y: (.host.interrupt - $byte * .sent_bytes - $ring.costs[0] * cold_turns($c; "irq"))}) | fit) as $tx |
	($rows | map(select(.mapped > 0)) | map({x: [cold_turns($c; "dealloc"), .mapped], y: .host["netback-dealloc"]}) | fit) as $dealloc |
	{cold: $c, rx: $rx, disk: $disk, byte: $byte, ring: $ring, tx: $tx, dealloc: $dealloc,
	 left: ([$rx, $disk, $tx, $dealloc] | map((.error + 1 | log | . * .) * .rows) | add)};

# How long what comes waits for its turn to begin: it finds others before it, and has its turn with them. Of arrivals at random, l a second, there is a turn
# each 1 / l and the time from the first one to the turn's end; guests that do but one thing show it.
def waits: [.[] | select([.sent, .received, .requests | select(. > 0)] | length == 1) | . as $row |
	(if .sent > 0 then [.sent, .turns.send] elif .received > 0 then [.received, .turns.receive] else [.requests, .turns.blkback] end) as [$arrivals, $turns] |
	1e9 / $turns - 1e9 / $arrivals - ($row.host.interrupt + $row.host["netback-rx"] + $row.host.blkback) / $turns] | [median, 0] | max;

def percent: . * 1000 | round / 10 | "\(.) %";
def cost($key; $value; $source): "\($key) = \($value | round)\n\($key).source = \($source)";
def measured($fit; $rows): "\($data), \($rows): least squares, \($fit.error | percent) off on the mean";

[.runs[] | select(.part == "calibration")] as $runs |
[$runs[] | run_rows[]] as $rows |
([$rows | candidates[] as $c | fits($c)] | min_by(.left)) as {$cold, $rx, $disk, $byte, $ring, $tx, $dealloc} |
(($rows | map(select(.looks > 0)) | map({x: [.looks], y: .host.blkback})) | fit) as $look |
(($rows | map(select(.sent > 0 and .received == 0 and .requests == 0)) | map({x: [1, .sent], y: .guest_cpu})) | fit) as $send |
(($rows | map(select(.requests > 0 and .sent == 0 and .received == 0)) | map({x: [1, .requests], y: .guest_cpu})) | fit) as $io |
([$runs[] | {x: [1, ([.guests[] | (.interrupts.tx | median) + (.wakes.rx | median)] | add) + (.ring_interrupts | median)], y: (.overhead | median)}] | fit) as $overhead |
($rows | waits / 3) as $third | "not told apart: in " as $in | "none: an emulated node is as near as another" as $near | "as irq_ns; its CPU time is overhead, which is not compared" as $as_irq |
"\($data), all runs: of a grid, with which all costs of back ends fit best" as $grid |
"# SPDX-License-Identifier: GPL-2.0-or-later
# Made by ./run model --fit of \($data), its calibration runs: not to be edited. Real Xen on emulated CPUs: what things cost there has nothing to do
# with any hardware. Tasks, interrupts and polls cost what closer's clock gave them; what is between them is overhead.

[testbed]
title = the Xen lab: 4 emulated CPUs on 2 nodes
source = lab/xen.sh: Debian's Xen under QEMU (TCG)

[machine]
nodes = 2
cores = 2
threads = 1
memory = 1536MiB
distance = 20

[costs]",
cost("switch_ns"; $third; $as_irq),
cost("migrate_ns"; 0; "assumption: there are no caches to be filled"),
cost("wake_ns"; $third; $as_irq),
cost("task_switch_ns"; 0; $in + "the turns: the clock has no time between two tasks"),
cost("irq_ns"; $third; "\($data), guests that do one thing: a third of what an event waits for its turn, by how many have one together"),
cost("tick_ns"; $overhead.costs[1] / 3; measured($overhead; "all runs") + "; a third of a turn's overhead"),
cost("tick_hz"; 250; "Debian's kernel: CONFIG_HZ=250"),
cost("hypercall_ns"; 0; $in + "what makes them"),
"warm = \($cold.warm * 100)%
warm.source = \($grid)",
cost("cold_ns"; $cold.cold_ns; $grid),
"cold_shared = \($cold.cold_shared * 100)%
cold_shared.source = \($grid)",
cost("napi_turn_ns"; $tx.costs[0]; measured($tx; "what was sent")),
cost("netback_tx_ns"; $tx.costs[1]; measured($tx; "what was sent")),
cost("grant_map_ns"; $tx.costs[2]; measured($tx; "what was sent")),
cost("guest_rx_turn_ns"; $rx.costs[0]; measured($rx; "what was received")),
cost("netback_rx_ns"; $rx.costs[1]; measured($rx; "what was received")),
cost("dealloc_turn_ns"; $dealloc.costs[0]; measured($dealloc; "what was mapped")),
cost("dealloc_ns"; $dealloc.costs[1]; measured($dealloc; "what was mapped")),
cost("bridge_ns"; 0; $in + "netback_tx_ns"),
cost("nic_ns"; 0; "none: the other end is a process of dom0"),
cost("netfront_ns"; 0; $in + "stack_ns"),
cost("stack_ns"; $send.costs[1]; measured($send; "guests that only send") + "; the guest's own time, application and ticks included"),
cost("blkback_irq_ns"; $ring.costs[0]; measured($ring; "guests with a disk that do not send")),
cost("blkback_look_ns"; $look.costs[0]; measured($look; "guests whose disk has nothing to do")),
cost("blkback_turn_ns"; $disk.costs[0]; measured($disk; "guests with a disk")),
cost("blkback_ns"; $disk.costs[1]; measured($disk; "guests with a disk")),
cost("blkback_page_ns"; ($disk.costs[2] - $byte) * 4096; measured($disk; "guests with a disk") + "; beyond local_ps"),
cost("blkfront_ns"; $io.costs[1] / 2; measured($io; "guests that have only a disk") + "; half each way, application and ticks included"),
cost("disk_driver_ns"; 0; "none: the disk is memory of dom0"),
cost("grant_copy_ns"; 0; $in + "netback_tx_ns, netback_rx_ns"),
cost("local_ps"; $byte * 1000; "the lesser of what is received's and of a disk's cost of a byte (\($rx.costs[2] * 1000 | round), \($disk.costs[2] * 1000 | round) ps)"),
cost("remote_ps"; $byte * 1000; $near),
cost("latency_ns"; 0; $near), cost("remote_latency_ns"; 0; $near), cost("misses"; 0; $near),
cost("node_bandwidth"; 0; "no limit of its own: in local_ps"), cost("link_bandwidth"; 0; "no limit of its own: in local_ps"),
"smt_speed = 100%
smt_speed.source = none: no CPU has a sibling",
cost("scrub_bandwidth"; 1000000000; "assumption: nothing is scrubbed in what is compared"),
cost("page_ns"; 0; "assumption: no balloon or migration in what is compared"),
cost("create_ns"; 0; "assumption: no domain is created in what is compared"), cost("destroy_ns"; 0; "assumption: as create_ns"),
cost("container_bytes"; 0; "not compared: dom0's memory"), cost("backend_bytes"; 0; "not compared: dom0's memory"),
cost("contribution_bytes"; 0; "not compared: dom0's memory"), cost("migrate_bytes"; 0; "not compared: dom0's memory"),
cost("io_hold_ns"; 0; "not compared: dom0's memory"),
"
# The bridge's other end is in dom0: a line that takes no time.
[nic peer]
rate = 100Gbit/s
wire = 0

[disk ram]
access = 0
in_memory = yes"
