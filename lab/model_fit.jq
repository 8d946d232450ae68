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
	. as $costs | {costs: $costs, error: ([$rows[] | dot(.x; $costs) as $now | select($now > 0) | .y / $now | log] | (map(. * .) | add) / length | sqrt | exp - 1)};

# Runs whose name matches, as rows of what f makes of the medians of their windows.
def rows($runs; $name; f): [$runs[] | select(.run | test($name)) | . as $run | .guests[] |
	{per_s: (.done[0].per_s | median), size: (.loads | capture("size=(?<s>[0-9]+)").s | tonumber), host: (.host | map_values(median)),
	 wakes: (.wakes | map_values(median)), tx: (.interrupts.tx | median), guest_cpu: (.guest_cpu | median),
	 ring: ($run.ring_interrupts | median), overhead: ($run.overhead | median), disk: (.done[0].kind | startswith("disk"))} | f];
def wire: .size + 42;
def mapped: if (.disk | not) and wire > 128 then .per_s else 0 end;
def percent: . * 1000 | round / 10 | "\(.) %";

def cost($key; $value; $source): "\($key) = \($value | round)\n\($key).source = \($source)";
def measured($fit; $runs): "\($data), runs \($runs): least squares, \($fit.error | percent) off on the mean";

[.runs[] | select(.part == "calibration")] as $runs |
(rows($runs; "^receive-"; {x: [.wakes.rx, .per_s, .per_s * wire], y: .host["netback-rx"]}) | fit) as $rx |
(rows($runs; "."; {x: (if .disk then [.wakes.blkback, .per_s, .per_s * .size] else [.wakes.blkback, 0, 0] end), y: .host.blkback}) | fit) as $disk |
([$rx.costs[2], $disk.costs[2]] | min) as $byte |
(rows($runs; "^send-"; {x: [.tx, .per_s, mapped], y: (.host.interrupt - $byte * .per_s * wire)}) | fit) as $tx |
(rows($runs; "^send-large"; {x: [.wakes.dealloc, mapped], y: .host["netback-dealloc"]}) | fit) as $dealloc |
(rows($runs; "^(read|write)-"; {x: [.ring], y: .host.interrupt}) | fit) as $ring |
(rows($runs; "^send-"; {x: [1, .per_s], y: .guest_cpu}) | fit) as $send |
(rows($runs; "^(read|write)-"; {x: [1, .per_s], y: .guest_cpu}) | fit) as $io |
(rows($runs; "."; {x: [1, .tx + .ring + .wakes.rx], y: .overhead}) | fit) as $overhead |
"not told apart: in " as $in | "none: an emulated node is as near as another" as $near | "assumption: as an interrupt's; it is overhead, which is not compared" as $as_irq |
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
cost("switch_ns"; $overhead.costs[1]; $as_irq),
cost("migrate_ns"; 0; "assumption: there are no caches to be filled"),
cost("wake_ns"; $overhead.costs[1]; $as_irq),
cost("task_switch_ns"; 0; $in + "the turns: the clock has no time between two tasks"),
cost("irq_ns"; $overhead.costs[1]; measured($overhead; "all") + "; overhead of an interrupt or wake, beside \($overhead.costs[0] / 1e5 | round / 100) % of a CPU at all times"),
cost("tick_ns"; $overhead.costs[1]; $as_irq),
cost("tick_hz"; 250; "Debian's kernel: CONFIG_HZ=250"),
cost("hypercall_ns"; 0; $in + "what makes them"),
cost("napi_turn_ns"; $tx.costs[0]; measured($tx; "send-*")),
cost("netback_tx_ns"; $tx.costs[1]; measured($tx; "send-*")),
cost("grant_map_ns"; $tx.costs[2]; measured($tx; "send-*")),
cost("guest_rx_turn_ns"; $rx.costs[0]; measured($rx; "receive-*")),
cost("netback_rx_ns"; $rx.costs[1]; measured($rx; "receive-*")),
cost("dealloc_turn_ns"; $dealloc.costs[0]; measured($dealloc; "send-large, send-larger")),
cost("dealloc_ns"; $dealloc.costs[1]; measured($dealloc; "send-large, send-larger")),
cost("bridge_ns"; 0; $in + "netback_tx_ns"),
cost("nic_ns"; 0; "none: the other end is a process of dom0"),
cost("netfront_ns"; 0; $in + "stack_ns"),
cost("stack_ns"; $send.costs[1]; measured($send; "send-*") + "; the guest's own time, application and ticks included"),
cost("blkback_irq_ns"; $ring.costs[0]; measured($ring; "read-*, write-*")),
cost("blkback_turn_ns"; $disk.costs[0]; measured($disk; "all") + "; without requests it wakes ten times a second"),
cost("blkback_ns"; $disk.costs[1]; measured($disk; "all")),
cost("blkback_page_ns"; ($disk.costs[2] - $byte) * 4096; measured($disk; "all") + "; beyond local_ps"),
cost("blkfront_ns"; $io.costs[1] / 2; measured($io; "read-*, write-*") + "; half each way, application and ticks included"),
cost("disk_driver_ns"; 0; "none: the disk is memory of dom0"),
cost("grant_copy_ns"; 0; $in + "netback_tx_ns, netback_rx_ns"),
cost("local_ps"; $byte * 1000; "the lesser of receive-*'s and read-*, write-*'s cost of a byte (\($rx.costs[2] * 1000 | round), \($disk.costs[2] * 1000 | round) ps)"),
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
