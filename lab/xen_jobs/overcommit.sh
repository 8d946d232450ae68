# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# overcommit.sh: a job of the Xen lab: little memory is free; g1 is idle but for a fixed rate of work, g2 is given more to do than it has memory
# for. What g1 does not use reaches g2 within 5 s, and g1's work goes on; when g1 needs its memory it has it back within 5 s. Both say what
# they use, and swap to a disk of theirs meanwhile. Then SIGKILLs at moments of a claim and of a return: every target is back each time.

mem() { # DOMID: MiB
	xl list "$1" | awk 'NR > 1 { print $(NF - 3) }'
}

target() { # DOMID: MiB
	echo $(($(xenstore-read "/local/domain/$1/memory/target") / 1024))
}

at_least() { # DOMID MIB
	[ "$(mem "$1")" -ge "$2" ]
}

has() { # DOMID MIB
	[ "$(mem "$1")" = "$2" ]
}

is_set_to() { # DOMID MIB
	[ "$(target "$1")" = "$2" ]
}

sum() {
	{
		xl list | awk 'NR > 1 { print $(NF - 3) }'
		xl info | awk '$1 == "free_memory" { print $3 }'
	} | awk '{ s += $1 } END { print s }'
}

free() {
	xl info | awk '$1 == "free_memory" { print $3 }'
}

conserved() {
	now=$(sum)
	[ $((now - whole)) -ge -2 ] && [ $((now - whole)) -le 2 ] || {
		echo "  domains and free memory are $now MiB, they were $whole"
		return 1
	}
}

# Lets it write what it uses, as Qubes does, and makes it say so
publish() { # N
	xenstore-write "/local/domain/$(domid "$1")/memory/meminfo" 0
	xenstore-chmod "/local/domain/$(domid "$1")/memory/meminfo" "n$(domid "$1")"
	guest_sh "$1" "(meminfo >/dev/null 2>&1 </dev/null &)" >/dev/null || true
	guest_sh "$1" "mkswap /dev/xvda >/dev/null && swapon /dev/xvda" >/dev/null || fail "g$1 has no swap"
	until_true 10 says "$1" || fail "g$1 does not say what it uses"
}

says() { # N
	[ "$(xenstore-read "/local/domain/$(domid "$1")/memory/meminfo")" -gt 0 ]
}

start() {
	closer run --json --set overcommit=yes --set overcommit_free=2% --set pin=no --set fence=no --set containers=no "$@" >>/tmp/run.json 2>>/tmp/run.log &
	run=$!
}

now_ms() {
	awk '{ printf "%.0f", $1 * 1000 }' /proc/uptime
}

# How long until it is so, at most 20 s
took() { # COMMAND..
	began=$(now_ms)
	until_true 20 "$@" || return 1
	took=$(($(now_ms) - began))
}

within_5s() {
	took "$@" || took=20000
	say "took $took ms: $*"
	[ "$took" -le 5000 ]
}

# Operations of its fixed-rate work in 10 s
work() {
	ask 1 "run dirty span=16m rate=200 for=10s" 30 | jq '[.. | .achieved? // empty] | add'
}

watch() {
	while :; do
		echo "$(cut -d' ' -f1 /proc/uptime) $(xl list | awk 'NR > 1 { printf "%s=%s ", $1, $(NF - 3) }')free=$(free) says $(xenstore-read "/local/domain/$d1/memory/meminfo" "/local/domain/$d2/memory/meminfo" | tr '\n' ' ')"
		sleep 2
	done
}

start_guest 1 mem=256
# It has less than it may have: what xl starts so may have no more until xl says so, and closer leaves that alone.
start_guest 2 mem=256
wait_guest 1
wait_guest 2
d1=$(domid 1)
d2=$(domid 2)
publish 1
publish 2
# Not by xl, which sets a domain's maximum to that, too
xenstore-write "/local/domain/$d2/memory/target" $((128 * 1024))
until_true 20 quietly has "$d2" 128 || fail "g2 has $(mem "$d2") MiB"
dom0=$((768 + $(free) - 60))
xenstore-write /local/domain/0/memory/target $((dom0 * 1024))
check "dom0 has what the lab has beyond this" until_true 30 quietly has 0 $dom0
sleep 3
whole=$(sum)
say "dom0 has $dom0 MiB, g1 $(mem "$d1"), g2 $(mem "$d2"), free are $(free); they say that they use $(xenstore-read "/local/domain/$d1/memory/meminfo" "/local/domain/$d2/memory/meminfo" | tr '\n' ' ')KiB"
watch >/out/watch 2>&1 &
watcher=$!
before=$(work)
start
sleep 4
check "while nobody lacks any, all have theirs" quietly has "$d1" 256

ask 2 "start dirty span=150m rate=20000" >/dev/null
check "80 MiB that g1 does not use reach g2 within 5 s" within_5s at_least "$d2" 208
while_less=$(work)
say "g1's work: $before operations in 10 s before, $while_less while it has $(mem "$d1") MiB"
check "g1's work goes on at 98 % or more" [ $((while_less * 100)) -ge $((before * 98)) ]
check "it has less than its own" [ "$(mem "$d1")" -lt 200 ]
check "nothing is lost" until_true 20 quietly conserved
ask 1 "start dirty span=150m rate=20000" >/dev/null
check "at its first burst g1 has its memory back within 5 s" within_5s has "$d1" 256
sleep 3
check "and keeps it" quietly has "$d1" 256
check "g1 lives" quietly ask 1 report
check "g2 lives" quietly ask 2 report
ask 1 stop >/dev/null || true
ask 2 stop >/dev/null || true
kill -TERM "$run"
wait "$run" || check "closer ends" false
check "both have what they had" until_true 20 quietly has "$d1" 256
check "g2, too" until_true 20 quietly has "$d2" 128
check "and all is there" until_true 20 quietly conserved
cp /tmp/run.json /out/overcommit.json
kill "$watcher" 2>/dev/null || true

# ---- SIGKILL at moments of a claim (of guests, by Algorithm 1) and of a return ----
xenstore-write /local/domain/0/memory/target $((768 * 1024))
check "dom0 is as large as it was" until_true 30 quietly has 0 768
lost=0 middle=0 round=0
while [ $round -lt 10 ]; do
	round=$((round + 1))
	start --interval 250ms --set overcommit=no --set size=yes --set size_eps=48MiB --set size_reserve=1MiB
	# 1.0 s to 3.2 s after the start: around the first claims
	sleep $((round / 5 + 1)).$((round * 2 % 10))
	# Every second one while all of it is given back, which is begun by its end
	[ $((round % 2)) = 1 ] || {
		until_true 20 quietly is_set_to "$d1" 208 || true
		kill -TERM "$run"
		sleep 0.0$((round % 10))
	}
	[ "$(target "$d1"):$(target "$d2"):$(target 0)" = 256:128:768 ] || middle=$((middle + 1))
	kill -KILL "$run" 2>/dev/null || true
	wait "$run" 2>/dev/null || true
	until_true 20 quietly is_set_to "$d1" 256 && until_true 20 quietly is_set_to "$d2" 128 && until_true 20 quietly is_set_to 0 768 &&
		until_true 20 quietly has "$d1" 256 && until_true 20 quietly has "$d2" 128 && until_true 20 quietly has 0 768 && until_true 30 flock -n /run/closer.lock true || {
		lost=$((lost + 1))
		say "round $round: g1 $(target "$d1") $(mem "$d1"), g2 $(target "$d2") $(mem "$d2"), dom0 $(target 0) $(mem 0)"
		quietly closer undo || true
	}
done
say "$round SIGKILLs, $middle of them while targets were changed"
check "after each every target is back" [ $lost = 0 ]
check "some hit the middle" [ $middle -ge 3 ]
keep /tmp/run.log
verdict
