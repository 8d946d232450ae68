#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sizing on simulated hosts: `closer advise` on five of them, and Algorithm 1 while I/O steps up and down. sizing.sh BUILD_DIR. Needs
# jq, no privilege: nothing of this machine is looked at or changed, so it runs beside others.
set -u

closer=$(realpath "$1/cli/closer")
tmp=$(mktemp -d)
failed=0
unset CLOSER_SIM_DIR
export CLOSER_STATE_DIR="$tmp/state"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

ok() { echo "ok sizing: $*"; }
not_ok() {
	echo "not ok sizing: $*"
	sed 's/^/# out: /' "$tmp/out" | head -5
	sed 's/^/# err: /' "$tmp/err" | head -5
	failed=1
}

# ---- the rules that others go by, on hosts of 2 GB to 1 TB and 2 to 256 CPUs ----
# VARIANT CPUS ORACLE XENSERVER ITS-VCPUS
while read -r host cpus oracle xenserver vcpus; do
	"$closer" advise --host "sim:sizes@$host" --for 2s --stack opennebula --json >"$tmp/out" 2>"$tmp/err"
	jq -e --argjson cpus "$cpus" --argjson o "$oracle" --argjson x "$xenserver" --argjson v "$vcpus" '
		.advice.mem_mib as $need | (.rules | map({ (.rule): . }) | add) as $r |
		.cpus == $cpus and $r.oracle.mem_mib == $o and $r.xenserver.mem_mib == $x and $r.xenserver.vcpus == $v and
		([.rules[] | (.mem_mib - $need) == (.wasted_mib - .short_mib)] | all) and
		.measured.main_cpu_ppm.p50 <= .measured.main_cpu_ppm.peak and .measured.main_cpu_ppm.peak > 900000 and
		.advice.vcpus == $cpus and .advice.max_mib >= .advice.mem_mib and .stack == "opennebula" and
		.advice.xen_command_line == "dom0_mem=\(.advice.mem_mib)M,max:\(.advice.max_mib)M dom0_max_vcpus=\($cpus)"
		' "$tmp/out" >/dev/null &&
		ok "$host: $(jq -r .advice.xen_command_line "$tmp/out"); oracle $oracle, xenserver $xenserver MiB, $vcpus vCPUs" || not_ok "advise on $host"
done <<'TXT'
g2 2 543 1136 2
g24 8 1005 2256 8
g32 8 1173 2672 8
g64 32 1845 4304 16
g1024 256 21997 8192 16
TXT
"$closer" advise --host sim:sizes@g2 --for 2s >"$tmp/out" 2>"$tmp/err" && grep -q "the host has less memory than that" "$tmp/out" &&
	ok "a host that is too small is told" || not_ok "a host that is too small"
"$closer" advise --host sim:sizes@g2 --stack nosuch >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] && grep -q "openstack, opennebula, eucalyptus" "$tmp/err" && ok "an unknown stack: the table is named" || not_ok "an unknown stack"

# ---- the same on what was recorded ----
"$closer" record --host sim:sizes@g64 --for 3s --output "$tmp/rec" >"$tmp/out" 2>"$tmp/err"
"$closer" advise --host "replay:$tmp/rec" --json >"$tmp/out" 2>"$tmp/err" && jq -e '[.rules[].mem_mib][0:2] == [1845, 4304] and .cpus == 32' "$tmp/out" >/dev/null &&
	ok "on a recording: the same figures" || not_ok "advise on a recording"

# ---- Algorithm 1: I/O steps up and down three times ----
set -- --host sim:on-demand --set interval=1s --set size=yes --set size-level=8MiB --set size-levels=4 --set size-hold=2s --set size-patience=3s
"$closer" run "$@" --for 130s --json >"$tmp/out" 2>"$tmp/err"
jq -s '[.[] | select(.kind == "memory-target")]' "$tmp/out" >"$tmp/moves"
mib() { # mib NAME: what its target was set to, in MiB, one after the other
	jq -c --argjson name "$1" '[.[] | select(.guest_name == $name) | .to.number / 1048576]' "$tmp/moves"
}
steps='[1008,992,976,960,976,992,1008,992,976,960,976,992,1008,992,976,960,976,992,1008]'
[ "$(mib '"busy"')" = "$steps" ] && ok "the guest: M - eps, then increments down and up, three times" || not_ok "the guest: $(mib '"busy"')"
# In the beginning also what was asked of the two whose balloons then stopped
steps='[1072,1056,1040,1056,1072,1088,1072,1056,1040,1056,1072,1088,1072,1056,1040,1056,1072,1088,1072,1056,1040]'
[ "$(mib null)" = "$steps" ] && ok "dom0 has as much more" || not_ok "dom0: $(mib null)"
# Memory is free here: each rise of dom0 is in the very plan that asks the guest for it.
jq -e '[.[] | select(.guest_name == null and .to.number > .from.number) | .tick] as $rises |
	[.[] | select(.guest_name == "busy" and .to.number < .from.number) | .tick] as $claims | ($rises | length) == 10 and $rises == $claims' "$tmp/moves" >/dev/null &&
	ok "no rise of dom0 waits for the guest to give" || not_ok "the order of asking and having"
for guest in stops none; do
	[ "$(jq --arg g $guest '[.[] | select(.guest_name == $g)] | (length % 2 == 0 and length <= 12 and .[-1].to.number == 536870912)' "$tmp/moves")" = true ] &&
		ok "guest '$guest' keeps its memory, and is asked $(jq --arg g $guest '[.[] | select(.guest_name == $g)] | length / 2' "$tmp/moves") times" || not_ok "guest '$guest': $(mib "\"$guest\"")"
done
"$closer" sim on-demand --policy closer --json >"$tmp/one" 2>"$tmp/err" && "$closer" sim on-demand --policy closer --json >"$tmp/two" 2>>"$tmp/err" &&
	cmp -s "$tmp/one" "$tmp/two" && jq -e '.scenarios[0].runs[0].failed == 0 and .scenarios[0].runs[0].done > 60' "$tmp/one" >/dev/null &&
	ok "as a scenario: $(jq '.scenarios[0].runs[0].done' "$tmp/one") changes, the same each time" || not_ok "sim on-demand"

# ---- what is recorded is decided alike ----
"$closer" run "$@" --for 60s --record "$tmp/sized" >"$tmp/out" 2>"$tmp/err" && "$closer" replay --verify "$tmp/sized" >"$tmp/out" 2>"$tmp/err" &&
	ok "a replay decides the same" || not_ok "replay of a recording with size=yes"
# ---- a guest that is to be started ----
admit() { # admit CODE HOST LINE..
	want=$1 host=$2
	shift 2
	printf '%s\n' "$@" >"$tmp/guest.cfg"
	"$closer" admit --host "sim:$host" --json "$tmp/guest.cfg" >"$tmp/out" 2>"$tmp/err"
	[ $? = "$want" ]
}
admit 0 sizes@g64 'name = "web"' 'memory = 1024' 'vcpus = 2' 'disk = [ "phy:/dev/x,xvda,w" ]' &&
	jq -e '.name == "web" and .vcpus == 2 and .verdict == "fits" and .start_bytes == (1024 - 16) * 1048576 and (.nodes | length) == 1' "$tmp/out" >/dev/null &&
	ok "admit: a guest starts with M - eps on one node" || not_ok "admit: one node"
admit 0 sizes@g64 'memory = 40960' && jq -e '.spread and .start_bytes == (40960 - 32) * 1048576' "$tmp/out" >/dev/null &&
	ok "admit: on two nodes with M - 2 eps" || not_ok "admit: two nodes"
admit 0 sizes@g64 'memory = 256' 'cpus = "16-17"' && jq -e '.nodes == "1"' "$tmp/out" >/dev/null && ok "admit: where its CPUs are" || not_ok "admit: cpus"
admit 1 sizes@g2 'memory = 4096' && jq -e '.verdict == "no-memory" and .short_bytes > 0' "$tmp/out" >/dev/null && ok "admit: too large for the host" || not_ok "admit: no memory"
admit 1 sizes@g2 'memory = 64' 'cpus = "100"' && jq -e '.verdict == "no-cpu"' "$tmp/out" >/dev/null && ok "admit: CPUs that are not there" || not_ok "admit: no CPU"
for bad in 'memory = ' 'memory = "x"' 'name = "n"' 'memory = 512 maxmem' 'vcpus = -1'; do
	admit 1 sizes@g2 "$bad" "$([ "$bad" = 'vcpus = -1' ] && echo 'memory = 64')" && [ -s "$tmp/err" ] && [ ! -s "$tmp/out" ] || { not_ok "admit: '$bad'"; bad=; break; }
done
[ -n "$bad" ] && ok "admit: what is no configuration is said: $(head -n 1 "$tmp/err" | cut -c 1-90)"
[ "$failed" = 0 ]
