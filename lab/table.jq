# SPDX-License-Identifier: GPL-2.0-or-later
# report.json of demo_kvm.sh into the rows of its table, tab-separated; table.awk aligns them. CPU is in % of one CPU.
def percent: if . == null then "-" else . * 1000 | round / 10 | tostring | if test("[.]") then . else . + ".0" end end;
def row($kinds): [.guest_cpu] + [.kinds[$kinds[]] // 0] + [.host_cpu, .main_share, .far_share, .unattributed_share,
	(if .offered then .achieved / .offered else null end)] | map(percent);
def sum(f): map(f) | add;

([.native, .closer, .undone | .guests[].kinds | to_entries[] | select(.value >= 0.0005) | .key] | unique) as $kinds |
(["phase", "guest", "guest CPU"] + $kinds + ["host CPU", "on main", "far", "unattributed", "achieved", "management p50/p99 ms"]),
(["native", "closer", "undone"][] as $name | .[$name] | . as $phase |
	(.guests[] | [$name, .name] + row($kinds) + [""]),
	(([.guests[] | .kinds]) as $each |
	 {guest_cpu: (.guests | sum(.guest_cpu)), host_cpu: (.guests | sum(.host_cpu)),
	  kinds: (reduce ($each[] | to_entries[]) as $kind ({}; .[$kind.key] += $kind.value)),
	  main_share, far_share, unattributed_share,
	  offered: ([.guests[].offered // empty] | add), achieved: ([.guests[].achieved // empty] | add)} |
	 [$name, "all"] + row($kinds) + ["\($phase.management_ms.p50 * 100 | round / 100) / \($phase.management_ms.p99 * 100 | round / 100)"])) |
@tsv
