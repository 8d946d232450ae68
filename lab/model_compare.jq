# SPDX-License-Identifier: GPL-2.0-or-later
# Lab against model: what was measured (lab/model_data.jq) beside what the model spent, $model: objects {run, books: [..]}, a line of closer status for
# each window. A row for each validation run, guest and kind, and for all kinds of a guest together: medians of the windows, the lab's spread, the
# model's deviation. What is too little for the lab to tell from nothing in both is shown, and not judged: the most that a kind of work took, as the median
# of a calibration run, of a guest whose loads had none of it (a thread that wakes idle, an interrupt in passing).
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def limit_share: 0.3;
def wanted: {"interrupt": "udp-out|udp-echo|disk", "netback-rx": "udp-in|udp-echo", "netback-dealloc": "udp-out|udp-echo", "blkback": "disk"};
def floor_ns: [.runs[] | select(.part == "calibration") | .guests[] | .loads as $loads | .host | to_entries[] |
	select(wanted[.key] as $kind | $loads | test($kind) | not) | .value | median] | max // 0;
def kinds: ["interrupt", "netback-rx", "netback-dealloc", "blkback"];

# The windows' figures of a kind; of all kinds together.
def of_lab($g; $kind): if $kind == "all" then [range($g.guest_cpu | length) as $n | [$g.host[][$n]] | add] else $g.host[$kind] end;
def of_model($lines; $name; $kind): [$lines[] | .span_ns as $span | .guests[] | select(.name == $name) |
	(if $kind == "all" then .host_ns else .kinds[$kind] end) * 1e9 / $span];

floor_ns as $floor_ns | [.runs[] | select(.part == "validation") | . as $run | [$model[] | select(.run == $run.run) | .books[]] as $lines |
	.guests | to_entries[] | .key as $name | .value as $g | (kinds[], "all") as $kind |
	of_lab($g; $kind) as $lab | of_model($lines; $name; $kind) as $sim |
	{run: $run.run, guest: $name, kind: $kind, lab_ns: ($lab | median), lab_least_ns: ($lab | min), lab_most_ns: ($lab | max), windows: ($lab | length),
	 model_ns: ($sim | median | round)} |
	.deviation = (if .lab_ns > 0 then .model_ns / .lab_ns - 1 | . * 1e4 | round / 1e4 else null end) |
	.judged = ([.lab_ns, .model_ns] | max >= $floor_ns) |
	.within = (.judged and .deviation != null and (.deviation | fabs) <= limit_share)] |
{floor_ns: $floor_ns, limit: limit_share, rows: .,
 judged: (map(select(.judged)) | length), within: (map(select(.within)) | length),
 worst: (map(select(.judged and .deviation != null)) | max_by(.deviation | fabs))}
