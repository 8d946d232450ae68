# SPDX-License-Identifier: GPL-2.0-or-later
# report.json of demo_kvm.sh: its actions in words, like ones together; each by itself is in the report.
def place: if .cpus then "CPUs \(.cpus)" elif .present == false then "absent" else tojson end;
def what: .object | .kind // (if .cgroup then "of a guest" else tojson end);

"actions: \(.actions | length), in \(.actions | map(.tick) | unique | length) ticks (tick numbers in brackets)",
(.actions | group_by([.kind, what, (.from | place), (.to | place), .why.code])
	| sort_by(.[0].tick, -length)[] | . as $same | .[0] |
	"  \($same | length) x \(.kind) \(what) of \([$same[].guest_name // empty] | unique | join(" ")): \(.from | place) -> \(.to | place)" +
	" [\([$same[].tick] | unique | .[:6] | map(tostring) | join(" "))]\n      because: \(.why.text // .why.code)")
