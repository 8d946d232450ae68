# SPDX-License-Identifier: GPL-2.0-or-later
# The rounds of demo_kvm.sh (an array) into report.json. Shares are of sums, never means of shares.
def share(part; whole): if whole > 0 then part / whole * 1000000 | round / 1000000 else 0 end;
def percent: . * 10000 | round / 100 | "\(.)%";
def total(f): map(f) | add // 0;
def median: sort | .[length / 2 | floor];

# guests + main + unattributed, per second of closer's span, over what /proc/stat says, per second of ours.
def parts: .guest_ns + .host_ns + .main_ns + .unattributed_ns;
def closure: share(total((.status.totals | parts) / .status.span_ns); total(.stat.busy_ns / .stat.span_ns));

def loads: group_by(.kind) | map({kind: .[0].kind, offered: total(.offered), achieved: total(.achieved),
	share: share(total(.achieved); total(.offered)), p50_us: (map(.p50_us) | median), p99_us: (map(.p99_us) | median)});

def guest($rounds; $name):
	[$rounds[].status.guests[] | select(.name == $name)] as $books |
	[$rounds[].loads[] | select(.name == $name) | .loads[]] as $loads |
	($rounds | total(.status.span_ns)) as $span |
	{name: $name, uuid: $books[0].uuid,
	 guest_cpu: share($books | total(.guest_ns); $span), host_cpu: share($books | total(.host_ns); $span),
	 kinds: (reduce ($books[].kinds | to_entries[]) as $kind ({}; .[$kind.key] += $kind.value) | map_values(share(.; $span))),
	 main_share: share($books | total(.main_share * .host_ns); $books | total(.host_ns)),
	 far_share: share($books | total(.far_share * .host_ns); $books | total(.host_ns)),
	 offered: (if $loads == [] then null else $loads | total(.offered) end),
	 achieved: (if $loads == [] then null else $loads | total(.achieved) end),
	 loads: ($loads | loads)};

def phase($name):
	map(select(.phase == $name)) as $rounds | ($rounds | map(.status.totals)) as $totals |
	{main_share: share($totals | total(.main_part_ns); $totals | total(.host_ns)),
	 far_share: share($totals | total(.far_part_ns); $totals | total(.host_ns)),
	 unattributed_share: share($totals | total(.unattributed_ns); $totals | total(.busy_ns)),
	 estimated: ($totals | any(.estimated)), main_measured: ($totals | all(.main_measured)),
	 busy_cpu: share($rounds | total(.stat.busy_ns); $rounds | total(.stat.span_ns)),
	 main_cpu: share($totals | total(.main_ns); $rounds | total(.status.span_ns)),
	 closure: ($rounds | closure),
	 rounds: ($rounds | map({main_share: .status.totals.main_share, unattributed_share: .status.totals.unattributed_share,
		closure: ([.] | closure), achieved_least: ([.loads[].loads[].share] | min)})),
	 guests: ([$rounds[].status.guests[].name] | unique | map(guest($rounds; .))),
	 management_ms: {p50: ($rounds | map(.management.p50_us / 1000) | median | . * 1000 | round / 1000),
			 p99: ($rounds | map(.management.p99_us / 1000) | median | . * 1000 | round / 1000)}};

def failures:
	(to_entries[] | select(.key == "native" or .key == "closer" or .key == "undone") | .key as $phase | .value |
		(.guests[] | .name as $name | .loads[] | select(.share < 0.95) |
			"\($phase): \($name) achieved \(.share | percent) of its \(.kind) rate, less than 95%"),
		(.guests[] | select(.name != "g4" and (.loads | length) != 3) |
			"\($phase): \(.name) reported \(.loads | length) of its 3 loads"),
		(select((.closure - 1) | fabs > 0.05) |
			"\($phase): guests + main + unattributed are \(.closure | percent) of what /proc/stat says, off by more than 5%"),
		(select((.guests | length) != 4) | "\($phase): closer saw \(.guests | length) of 4 guests")),
	(.closer.rounds | to_entries[] | select(.value.main_share > 0.005) |
		"closer: round \(.key + 1): main share \(.value.main_share), more than 0.005"),
	(select(.actions == []) | "closer did nothing"),
	(select(.undo_equal | not) | "the state after undo is not that before; the differences are above");

{host: {uri: $host, name: .[0].status.host, main_cpus: .[0].status.main_cpus, secondary_cpus: .[0].status.secondary_cpus},
 native: phase("native"), closer: phase("closer"), undone: phase("undone"), actions: $actions[0], undo_equal: $undo} |
. + {failures: [failures]}
