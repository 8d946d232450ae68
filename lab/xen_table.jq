# SPDX-License-Identifier: GPL-2.0-or-later
# report.json of demo_xen.sh into the rows of its table, tab-separated; table.awk aligns them. CPU is in % of one CPU.
def percent: if . == null then "-" else . * 1000 | round / 10 | tostring | if test("[.]") then . else . + ".0" end end;
def row($kinds): [.guest_cpu] + [.kinds[$kinds[]] // 0] + [.host_cpu, .main_share, .far_share, .achieved] | map(percent);
def sum(f): map(f) | add;
def phases: ["native", "pinned", "closer", "undone"][];

([phases as $name | .[$name].guests[].kinds | to_entries[] | select(.value >= 0.0005) | .key] | unique) as $kinds |
(["phase", "guest", "guest CPU"] + $kinds + ["in dom0", "on main", "far", "achieved", "dom0", "main", "overhead", "unattributed", "gap", "xl list", "create",
	"destroy ms"]),
(phases as $name | .[$name] | . as $phase |
	(.guests[] | [$name, .name] + row($kinds)),
	([.guests[].kinds] as $each |
	 {guest_cpu: (.guests | sum(.guest_cpu)), host_cpu: (.guests | sum(.host_cpu)),
	  kinds: (reduce ($each[] | to_entries[]) as $kind ({}; .[$kind.key] += $kind.value)), main_share, far_share, achieved} |
	 [$name, "four"] + row($kinds) + ([$phase.dom0_cpu, $phase.main_cpu, $phase.overhead_share, $phase.unattributed_share, $phase.gap] | map(percent)) +
	 ([$phase.management_ms | .list.p50, .create.p50, .destroy.p50] | map(round | tostring))),
	(.toolstack | [$name, "task", ""] + ($kinds | map("")) + ([.cpu, .main_share, .far_share] | map(percent)))) |
@tsv
