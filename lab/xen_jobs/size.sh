# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# size.sh [SECONDS]: a job of the Xen lab: Algorithm 1 on real memory. g1's I/O steps up and down three times, each step SECONDS long; its
# target and dom0's follow in the increments, and come back; domains + Xen's free memory is the same at every settled point. g2 is paused:
# its balloon does nothing. g3's is paused half-way. In the end, and after a SIGKILL, every target is back.

seconds=${1:-10}
eps=4
increment=4

target() { # DOMID: MiB
	echo $(($(xenstore-read "/local/domain/$1/memory/target") / 1024))
}

domid() {
	xl domid "g$1"
}

has() { # DOMID MIB
	[ "$(target "$1")" = "$2" ] || {
		echo "  domain $1 is asked to have $(target "$1") MiB, not $2"
		return 1
	}
}

# What xl sees of domains, and what is free, MiB
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

start_sizing() {
	closer run --json --set size=yes --set size_eps=${eps}MiB --set size_increment=${increment}MiB --set size_level=256KiB --set size_levels=4 \
		--set size_hold=2s --set size_patience=4s --set size_reserve=1MiB --set pin=no --set fence=no --set containers=no >/tmp/run.json 2>/tmp/run.log &
	run=$!
}

stop_sizing() {
	kill -TERM "$run"
	wait "$run" || {
		tail -n 5 /tmp/run.log
		return 1
	}
}

# The steps of g1 up, then down: RATE of 16 KiB a second
steps() {
	for rate in 20 38 56 38 20; do
		ask 1 "run tcp-out to=$LAB_PEER rate=$rate size=16384 for=${seconds}s" $((seconds + 30)) >/dev/null || return 1
	done
}

# Targets of a guest that closer set, in MiB, one after the other, each once
set_to() { # NAME, or null
	jq -sc --argjson name "$1" '[.[] | select(.kind == "memory-target" and .guest_name == $name and .outcome == "") | .to.number / 1048576 | round] |
		reduce .[] as $n ([]; if .[-1] == $n then . else . + [$n] end)' /tmp/run.json
}

# It went down by increments to the third level and up again, in each of three rounds, and never otherwise.
stepped() { # LIST FIRST: of the guest
	jq -ne --argjson list "$1" --argjson first "$2" --argjson step $increment '
		[range(1; $list | length) as $i | $list[$i] - $list[$i - 1] | fabs] | all(. == $step)' >/dev/null &&
		[ "$(jq -n --argjson list "$1" --argjson low $(($2 - 3 * increment)) '[$list[] | select(. == $low)] | length')" = 3 ] || {
		echo "  it was set to $1"
		return 1
	}
}

start_guest 1
start_guest 2
start_guest 3
wait_guest 1
wait_guest 2
wait_guest 3
peer
d1=$(domid 1)
d2=$(domid 2)
d3=$(domid 3)
sleep 5
m=$(target "$d1")
dom0=$(xl list 0 | awk 'NR > 1 { print $(NF - 3) }')
whole=$(sum)
say "g1 has $m MiB, dom0 $dom0; domains and free memory $whole MiB"
xl pause g2

start_sizing
check "g1 starts with M - eps" until_true 20 quietly has "$d1" $((m - eps))
check "dom0 has its eps, and g3's" until_true 30 quietly has 0 $((dom0 + 2 * eps))
check "that is all of what there is" until_true 10 quietly conserved
for round in 1 2 3; do
	check "round $round: I/O up and down" steps
	check "round $round: g1 has its own but for eps" until_true 30 quietly has "$d1" $((m - eps))
	check "round $round: dom0, too" until_true 30 quietly has 0 $((dom0 + 2 * eps))
	check "round $round: nothing is lost" until_true 10 quietly conserved
done
say "g1 was set to $(set_to '"g1"'), dom0 to $(set_to null)"
check "g1 gave increments in advance of each level, three times" stepped "$(set_to '"g1"')" $((m - eps))
check "g2, paused, keeps its memory" quietly has "$d2" "$m"
check "and is said to have stopped" grep -q balloon-stopped /tmp/run.json
xl pause g3
ask 1 "run tcp-out to=$LAB_PEER rate=56 size=16384 for=${seconds}s" $((seconds + 30)) >/dev/null
kill -KILL "$run"
wait "$run" || true
for d in "$d1" "$d2" "$d3"; do
	check "after a SIGKILL its supervisor gives domain $d its target back" until_true 20 quietly has "$d" "$m"
done
check "and dom0 its own" until_true 20 quietly has 0 "$dom0"
xl unpause g2
xl unpause g3
check "settled, nothing is lost" until_true 20 quietly conserved

start_sizing
check "again: g1 gives" until_true 20 quietly has "$d1" $((m - eps))
xl mem-set g1 $((m - 8))
check "what somebody sets is let go" until_true 20 grep -q '"release-memory"' /tmp/run.json
stop_sizing
check "and left at the end" quietly has "$d1" $((m - 8))
check "dom0 has its own" quietly has 0 "$dom0"
check "advise works here" sh -c 'closer advise --for 3s >/out/advise && grep "dom0_mem=" /out/advise'
keep /tmp/run.json /tmp/run.log
