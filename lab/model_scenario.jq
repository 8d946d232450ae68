# SPDX-License-Identifier: GPL-2.0-or-later
# One run of what was measured (lab/model_data.jq) as a scenario: $run its name, $testbed the testbed's.
def words: [splits(" +")] | map(select(. != ""));
# Loads begin one after the other, so that no two of them always meet, and go on at random times, for that too: guests' clocks are not one.
def load($name; $guest; $i; $type; $keys): "
[load \($name)]
guest = \($guest)
type = \($type)
start = \($i * 700)us
\($keys)";
# Who sends on time in the lab is late by more than what is between two packets: a back end finds as many alone as it would of Poisson's.
def packets($guest; $i; $name; $load; $inbound): load("\($guest)-\($i)\($name)"; $guest; $i; "packets";
	"rate = \($load.rate)\npacket = \(($load.size | tonumber) + 42)\ninbound = \($inbound)\npoisson = yes\ncpu = 0");
def disk($guest; $i; $load; $write): load("\($guest)-\($i)"; $guest; $i; "disk";
	"rate = \($load.rate)\nrecord = \($load.size)\ndepth = \($load.depth // 1)\nrandom = 100%\npoisson = yes\nwrite = \($write)\nsize = 32MiB\ncpu = 1ns");

. as $all | .runs[] | select(.run == $run) |
"[scenario]
title = the lab's run \($run)
testbed = \($testbed)
duration = \(($all.windows + 1) * $all.seconds + 1)s
warmup = 0

[dom0]
vcpus = 4
memory = 768MiB",
(.guests | keys[] as $g | "
[guest \($g)]
vcpus = \($all.guests[$g].vcpus)
queues = \($all.guests[$g].queues)
rings = \($all.guests[$g].queues)
node = \($all.guests[$g].node)
memory = 128MiB"),
(.guests | to_entries[] | .key as $g | .value.loads | [splits(" \\+ ")] | to_entries[] | .key as $i | (.value | words) as $words |
	([$words[1:][] | split("=") | {key: .[0], value: .[1]}] | from_entries) as $load | $words[0] |
	if . == "udp-out" then packets($g; $i; ""; $load; "no")
	elif . == "udp-in" then packets($g; $i; ""; $load; "yes")
	elif . == "udp-echo" then packets($g; $i; ""; $load; "no"), packets($g; $i; "-back"; $load; "yes")
	elif . == "disk-read" then disk($g; $i; $load; "0%")
	elif . == "disk-write" then disk($g; $i; $load; "100%")
	else error("a load of kind \(.) is not modelled") end)
