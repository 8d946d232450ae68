# SPDX-License-Identifier: GPL-2.0-or-later
# What stays on every CPU of dom0, whoever asks: interrupts of a CPU's own, per second ($before and $after: /proc/uptime, then /proc/interrupts), and
# the threads that the kernel has on each and binds there ($fixed: CPU and name, a line each).
def rows: split("\n") | {up: (.[0] | split(" ")[0] | tonumber),
	rows: [.[2:][] | select(test("xen-percpu")) | [splits(" +")] | map(select(. != "")) |
		{name: (.[-1] | sub("[0-9]+$"; "")), cpu: (.[-1] | capture("(?<n>[0-9]+)$").n | tonumber), number: .[0], counts: (.[1:] | map(tonumber? // empty))}]};

($before | rows) as $a | ($after | rows) as $b | ($b.up - $a.up) as $span |
{interrupts: ([$b.rows[] | . as $row | ([$a.rows[] | select(.number == $row.number)][0].counts | add // 0) as $base |
	{name, cpu, rate: ((.counts | add) - $base | . / $span | round)}] | group_by(.name) |
	map({name: .[0].name, per_second: (sort_by(.cpu) | map(.rate))}) | map(select(.per_second | add > 0)) | sort_by(-(.per_second | add))),
 threads: ([$fixed | split("\n")[] | select(. != "") | capture("^(?<cpu>[0-9]+) (?<name>.*)$") |
	{cpu: (.cpu | tonumber), name: (.name | sub("/[0-9]+.*$"; "/N"))}] | group_by(.name) |
	map({name: .[0].name, cpus: (map(.cpu) | unique)}) | map(select(.cpus | length > 1)))}
