# SPDX-License-Identifier: GPL-2.0-or-later
# The rounds of demo_xen.sh --rounds (objects with mode, round and xen_gauge's lines) into compare.json. The first window of each is dropped. A
# round's figure with closer, or pinned, is set against the same round's native one.
def total(f): map(f) | add // 0;
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def digits: if . == null then "-" elif fabs >= 100 then round | tostring else . * 100 | round / 100 | tostring end;
def spread: {median: median, least: min, most: max};

def windows: [.lines[] | select(.type == "window")][1:];
def load($guest; f): [windows[].guests[$guest].loads[0] | f] | median;
def rate(f): (f) / .span_ns * 1e9;
def management: (windows[0].begin_ns) as $from | [.lines[] | select(.type == "task" and .begin_ns >= $from)] | group_by(.what) |
	map(map(.ns / 1e6) | median) | add;

def figures: {
	"management task (xl list, create, destroy), ms": management,
	"a guest that computes, rounds/s": load("g3"; rate(.achieved)),
	"a guest's best network rate, MB/s": load("g1"; rate(.bytes / 1e6)),
	"a guest's best disk rate, reads/s": load("g2"; rate(.achieved)),
};

map({mode, round} + figures) as $all |
($all | map(keys_unsorted[]) | unique - ["mode", "round"]) as $names |
{rounds: ($all | map(.round) | max), failed_steps: ([.[].lines[] | select(.type == "task" and .status != 0)] | length), each: $all,
 figures: [$names[] as $name | {name: $name} + ([("native", "pinned", "closer") as $mode |
	{key: $mode, value: ([$all[] | select(.mode == $mode) | .[$name] // empty] | spread)}] | from_entries) +
	([("pinned", "closer") as $mode | {key: "\($mode)_by_native", value: ([$all[] | select(.mode == $mode) | . as $with |
		$all[] | select(.mode == "native" and .round == $with.round) | $with[$name] / .[$name]] | spread)}] | from_entries)]} |
. + {table: (.rounds as $rounds | [["rounds", "median (least - most)", "native", "pinned by hand", "closer", "pinned/native", "closer/native"]] +
	[.figures[] | . as $f | ["\($rounds)", .name] + [["native", "pinned", "closer", "pinned_by_native", "closer_by_native"][] as $column |
		$f[$column] | "\(.median | digits) (\(.least | digits) - \(.most | digits))"]])}
