# SPDX-License-Identifier: GPL-2.0-or-later
# report.json of demo_kvm.sh or demo_xen.sh: its actions in words, like ones together; each by itself is in the report.
def place: if .cpus then "CPUs \(.cpus)" elif .present == false then "absent" else tojson end;
def what: .object | .kind // (if .cgroup == "/closer" then "for all" elif .cgroup then "of a guest"
	elif .irq then .name | sub("[0-9]+[.][0-9]+"; "N") elif .vcpu then "vCPU \(.vcpu)" elif .cpu then "dom0's vCPU" else tojson end);

"actions: \(.actions | length), in \(.actions | map(.tick) | unique | length) ticks (tick numbers in brackets)",
(.actions | group_by([.kind, what, (.from | place), (.to | place), .why.code])
	| sort_by(.[0].tick, -length)[] | . as $same | .[0] |
	"  \($same | length) x \(.kind) \(what)\([$same[].guest_name // empty | select(. != "")] | unique | join(" ") | if . == "" then . else " of " + . end): \(.from | place) -> \(.to | place)" +
	" [\([$same[].tick] | unique | .[:6] | map(tostring) | join(" "))]\n      because: \(.why.text // .why.code)")
