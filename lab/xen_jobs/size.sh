# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# size.sh [SECONDS]: a job of the Xen lab: Algorithm 1 on real memory. g1's I/O steps up and down three times, each step SECONDS long; its
# memory and dom0's follow in the increments, each before the I/O that needs it, and come back; domains + Xen's free memory is the same
# whenever all is settled. Then guests whose balloons do not do what they are asked: g2 has no balloon driver, g3's stops half-way, g4 takes
# back what it gave. At the end, and after a SIGKILL, every target is back.

seconds=${1:-8}
eps=4
increment=4

target() { # DOMID: MiB
	echo $(($(xenstore-read "/local/domain/$1/memory/target") / 1024))
}

is_set_to() { # DOMID MIB
	[ "$(target "$1")" = "$2" ] || {
		echo "  domain $1 is asked to have $(target "$1") MiB, not $2"
		return 1
	}
}

# What Xen says that it has
mem() { # DOMID: MiB
	xl list "$1" | awk 'NR > 1 { print $(NF - 3) }'
}

has() { # DOMID MIB
	[ "$(mem "$1")" = "$2" ] || {
		echo "  domain $1 has $(mem "$1") MiB, not $2"
		return 1
	}
}

# What Xen sees of domains, and what is free, MiB
sum() {
	{
		xl list | awk 'NR > 1 { print $(NF - 3) }'
		xl info | awk '$1 == "free_memory" { print $3 }'
	} | awk '{ s += $1 } END { print s }'
}

conserved() {
	now=$(sum)
	[ $((now - whole)) -ge -2 ] && [ $((now - whole)) -le 2 ] || {
		echo "  domains and free memory are $now MiB, they were $whole"
		return 1
	}
}

start_sizing() { # EPS
	closer run --json --set size=yes --set size_eps="$1MiB" --set size_increment=${increment}MiB --set size_level=256KiB --set size_levels=3 \
		--set size_hold=3s --set size_patience=4s --set size_reserve=1MiB --set pin=no --set fence=no --set containers=no >/tmp/run.json 2>/tmp/run.log &
	run=$!
}

stop_sizing() {
	kill -TERM "$run"
	wait "$run" || {
		tail -n 5 /tmp/run.log
		return 1
	}
}

# I/O of g1 in the middle of level LEVEL for a while. At its end dom0 has what the next level will need (and at most another increment, where
# an emulated second was a busy one).
step() { # LEVEL
	ask 1 "run tcp-out to=$LAB_PEER rate=$((8 + 16 * $1)) size=16384 for=${seconds}s" $((seconds + 30)) >/dev/null || return 1
	now=$(mem 0)
	had="$had $now"
	[ "$now" -ge $((dom0 + eps + increment * $1)) ] && [ "$now" -le $((dom0 + eps + increment * ($1 + 1))) ] || {
		echo "  with I/O of level $1 dom0 has $now MiB, it had $dom0"
		return 1
	}
}

steps() {
	for level in 1 2 3 2 1; do
		step $level || return 1
	done
}

# Targets that closer set, in MiB, one after the other, each once
set_to() { # NAME, or null
	jq -sc --argjson name "$1" '[.[] | select(.kind == "memory-target" and .guest_name == $name and .outcome == "") | .to.number / 1048576 | round] |
		reduce .[] as $n ([]; if .[-1] == $n then . else . + [$n] end)' /tmp/run.json
}

# In whole increments, to the third level and back in each of three rounds.
stepped() { # LIST: of g1
	jq -ne --argjson list "$1" --argjson first $((m - eps)) --argjson step $increment '
		$list[0] == $first and $list[-1] == $first and all($list[]; ($first - .) % $step == 0) and ($list | min) == $first - 3 * $step and
		([$list[] | select(. == $first - 3 * $step)] | length) >= 3 and ([$list[] | select(. == $first)] | length) >= 4' >/dev/null || {
		echo "  it was set to $1"
		return 1
	}
}

# Of each claim of g1: in the same plan, or before, dom0 was asked to have as much more.
in_advance() {
	jq -se --argjson dom0 $((dom0 * 1048576)) --argjson m $((m * 1048576)) '
		[.[] | select(.kind == "memory-target" and .outcome == "" and (.guest_name == "g1" or .guest_name == null))] as $all |
		[$all[] | select(.guest_name == "g1" and .to.number < .from.number)] | length >= 7 and all(. as $claim |
			[$all[] | select(.guest_name == null and .tick <= $claim.tick)][-1].to.number - $dom0 >= $m - $claim.to.number)' /tmp/run.json >/dev/null
}

# closer says of a guest's balloon that it has stopped, and at how many bytes
stopped_at() { # GUEST
	jq -se --arg name "$1" '[.[] | select(.kind == "memory-target" and .guest_name == $name and .why.code == "balloon-stopped")][0].why.numbers[0]' /tmp/run.json
}

# g3 gives slowly; it is paused when it has given some and not all.
pause_half_way() {
	until [ "$(mem "$d3")" -lt "$m" ]; do
		sleep 0.2
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$late" ] || return 1
	done
	xl pause g3
	half=$(mem "$d3")
	[ "$half" -gt $((m - eps)) ]
}

start_guest 1
wait_guest 1
peer
d1=$(domid 1)
sleep 5
m=$(target "$d1")
dom0=$(mem 0)
whole=$(sum)
had=
say "g1 has $m MiB, dom0 $dom0; domains and free memory $whole MiB"
check "dom0 has room under its maximum" sh -c 'closer check | grep "dom0 has .* and may have"'

start_sizing $eps
check "g1 starts with M - eps" until_true 20 quietly has "$d1" $((m - eps))
check "dom0 has its eps" until_true 20 quietly has 0 $((dom0 + eps))
check "that is all of what there is" until_true 10 quietly conserved
for round in 1 2 3; do
	check "round $round: I/O up and down" steps
	check "round $round: g1 has its own but for eps" until_true 30 quietly has "$d1" $((m - eps))
	check "round $round: dom0, too" until_true 30 quietly has 0 $((dom0 + eps))
	check "round $round: nothing is lost" until_true 10 quietly conserved
done
say "dom0 had$had MiB after each step; g1 was set to $(set_to '"g1"'), dom0 to $(set_to null)"
check "g1 gave whole increments, to the third level and back, three times" stepped "$(set_to '"g1"')"
check "dom0 was asked to have each of them no later than g1 was asked for it" in_advance
ask 1 "start tcp-out to=$LAB_PEER rate=56 size=16384 for=60s" >/dev/null
check "in the middle of it" until_true 20 quietly has "$d1" $((m - eps - 3 * increment))
kill -KILL "$run"
wait "$run" || true
check "after a SIGKILL its supervisor gives g1 its target back" until_true 20 quietly is_set_to "$d1" "$m"
check "and dom0 its own" until_true 20 quietly is_set_to 0 "$dom0"
check "both have it" until_true 20 quietly has "$d1" "$m"
check "settled, nothing is lost" until_true 20 quietly conserved
cp /tmp/run.json /out/rounds.json
ask 1 stop >/dev/null || true

# ---- balloons that do not do as they are asked ----
start_guest 2 linux=initcall_blacklist=balloon_init
start_guest 3
start_guest 4
for n in 2 3 4; do
	wait_guest $n
done
d2=$(domid 2)
d3=$(domid 3)
d4=$(domid 4)
sleep 3
whole=$(sum)
eps=32
guest_sh 4 "(while :; do echo $((m * 1024)) >/sys/devices/system/xen_memory/xen_memory0/target_kb; sleep 0.1; done) >/dev/null 2>&1 </dev/null &" >/dev/null || true
xl sched-credit2 -d g3 -c 1
start_sizing $eps
late=$(($(cut -d. -f1 /proc/uptime) + 60))
check "g3 is paused when it has given some" pause_half_way
say "g3 has $(mem "$d3") of $m MiB, and is paused"
check "g1 gives" until_true 40 quietly has "$d1" $((m - eps))
check "dom0 keeps what g1 gave, alone" until_true 60 quietly is_set_to 0 $((dom0 + eps))
check "g2, without a balloon driver, keeps its memory" quietly has "$d2" "$m"
for n in 2 3 4; do
	check "g$n is let have its own" until_true 40 quietly is_set_to "$(domid $n)" "$m"
	check "g$n is said to have stopped" until_true 40 quietly stopped_at g$n
done
say "stopped at: g2 $(stopped_at g2), g3 $(stopped_at g3), g4 $(stopped_at g4) bytes; $(jq -s '[.[] | select(.kind == "memory-target" and .why.code == "claim") | .guest_name] | group_by(.) | map({(.[0]): length}) | add' -c /tmp/run.json) claims"
check "g2 answers" quietly ask 2 ping
check "g4 answers" quietly ask 4 ping
check "g3 has not more than it was left with" quietly has "$d3" "$half"
check "nothing is lost" until_true 30 quietly conserved
xl unpause g3
xl sched-credit2 -d g3 -c 0
check "g3, when it goes on, gives all that it is asked for" until_true 90 quietly has "$d3" $((m - eps))
check "and dom0 has that, too" until_true 30 quietly has 0 $((dom0 + 2 * eps))

xl mem-set g1 $((m - 8))
check "what somebody sets is let go" until_true 20 grep -q '"release-memory"' /tmp/run.json
check "closer ends" stop_sizing
check "what he set is left at the end" quietly is_set_to "$d1" $((m - 8))
check "dom0 has its own" until_true 20 quietly has 0 "$dom0"
for n in 2 3 4; do
	check "g$n has its own" until_true 20 quietly has "$(domid $n)" "$m"
done
check "nothing is lost at the end" until_true 20 quietly conserved

# ---- what dom0 should have ----
closer advise --for 5s --json >/out/advise.json
closer advise --for 1s >/out/advise || true
total=$(jq .mem_bytes /out/advise.json)
say "advise: $(jq -c '[.rules[] | {rule, vcpus, mem_mib, wasted_mib, short_mib}], .advice' /out/advise.json | tr '\n' ' ')"
oracle=$((502 + total / 1048576 * 205 / 10000))
xenserver=$(((total / 1024 + 262144) / 1024))
xenserver=$(((1024 + xenserver * 5 / 100) & ~15))
check "advise: Oracle's rule and XenServer's of $total bytes are $oracle and $xenserver MiB" \
	sh -c "jq -e '[.rules[0:3][].mem_mib] == [$oracle, $xenserver, $dom0]' /out/advise.json >/dev/null"
check "advise: dom0 would hold what it uses now" sh -c "jq -e '.advice.mem_mib >= $dom0 - $(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)' /out/advise.json >/dev/null"
cp /tmp/run.json /out/balloons.json
keep /tmp/run.log
verdict
