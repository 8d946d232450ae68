#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# `closer calibrate` on a simulated host and on a recording of it: what it finds out explains other guests' work; what cannot be told is not. calibrate.sh BUILD_DIR.
set -u
build=$(cd "$1" && pwd)
closer=$build/cli/closer
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP
failed=0
ok() { echo "ok calibrate: $*"; }
not_ok() {
	echo "not ok calibrate: $*"
	sed 's/^/# out: /' "$tmp/out" | head -8
	sed 's/^/# err: /' "$tmp/err" | head -5
	failed=1
}

# host FILE LOADS: two guests, and what they do when
host() {
	cat >"$1" <<'TXT'
[scenario]
title = guests that send, receive and read
testbed = thesis-8
duration = 60s
warmup = 0s
[dom0]
pinned = yes
[nic eth0]
rate = 1Gbit/s
[disk sda]
bandwidth = 500M
access = 100us
[guest a]
[guest b]
TXT
	cat >>"$1"
}

load() { # NAME GUEST START STOP KEY=VALUE..
	printf '[load %s]\nguest = %s\nstart = %s\nstop = %s\n' "$1" "$2" "$3" "$4"
	shift 4
	printf '%s\n' "$@"
}

{
	load out a 0s 20s type=packets inbound=no rate=2K poisson=yes
	load out2 b 10s 35s type=packets inbound=no rate=3K poisson=yes
	load in b 15s 45s type=packets rate=2K poisson=yes
	load in2 a 5s 25s type=packets rate=1K poisson=yes
	load read a 30s 60s type=disk rate=300 record=4KiB random=100%
} | host "$tmp/mixed.ini"
"$closer" calibrate --host "sim:$tmp/mixed.ini" --for 55s --json >"$tmp/out" 2>"$tmp/err" &&
	jq -e '.intervals >= 54 and .r2 > 0.99 and (.kept | not) and ([.weights[] | .verdict == "told" and .half_width_ns < .ns / 10] | all)' "$tmp/out" >/dev/null &&
	ok "$(jq -r '.weights | "send \(.send.ns | round) ns, receive \(.receive.ns | round), request \(.request.ns | round)"' "$tmp/out")" || not_ok "three costs"
costs=$(jq -r '.weights | to_entries[] | "--set weigh-\(.key)=\(.value.ns // 0 | round)ns"' "$tmp/out")

# Other guests, at other rates, by these costs: with what their work causes they explain all that the host was busy with.
{
	load out a 0s 60s type=packets inbound=no rate=1K poisson=yes
	load in a 0s 60s type=packets rate=4K poisson=yes
	load read b 0s 60s type=disk rate=500 record=4KiB random=100%
	load in2 b 0s 60s type=packets rate=500 poisson=yes
} | host "$tmp/other.ini"
# shellcheck disable=SC2086 # a list
"$closer" status --host "sim:$tmp/other.ini" --interval 10s $costs --json >"$tmp/out" 2>"$tmp/err"
off='([.guests[].weighed_ns] | add) / (.totals.busy_ns - .totals.main_ns) - 1'
jq -e "([.guests[] | select(.weighed_ns > .host_ns)] | length) == 2 and ($off | fabs) < 0.05" "$tmp/out" >/dev/null &&
	ok "they explain other guests' work: off by $(jq -r "($off) * 1000 | round / 10" "$tmp/out") %" || not_ok "other guests"
# shellcheck disable=SC2086
"$closer" status --host "sim:$tmp/other.ini" --interval 10s $costs >"$tmp/out" 2>"$tmp/err"
grep -q 'WEIGHED%' "$tmp/out" && grep -q '~[0-9]' "$tmp/out" && grep -q 'at calibrated costs .* an estimate' "$tmp/out" &&
	ok "status shows it, marked as an estimate" || not_ok "status"

# Recorded, and looked at later.
"$closer" record --host "sim:$tmp/mixed.ini" --for 50s --output "$tmp/rec" >"$tmp/out" 2>"$tmp/err"
"$closer" calibrate --host "replay:$tmp/rec" --for 1h --state-dir "$tmp/state" --json >"$tmp/out" 2>"$tmp/err" &&
	jq -e '([.weights[] | .verdict == "told"] | all) and (.kept | not)' "$tmp/out" >/dev/null && [ ! -e "$tmp/state" ] &&
	ok "on a recording, which is not this host: nothing is kept" || not_ok "a recording"

# What cannot be told.
load echo a 0s 30s type=ping echoes=20 interval=20ms | host "$tmp/echo.ini"
"$closer" calibrate --host "sim:$tmp/echo.ini" --for 55s --json >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q 'cannot tell' "$tmp/err" &&
	jq -e '.weights | .send.verdict == "collinear" and .receive.verdict == "collinear" and .request.verdict == "constant" and .send.ns == null' "$tmp/out" >/dev/null &&
	ok "an echo: what it sends and receives cannot be told apart" || not_ok "an echo"
load burn a 0s 60s type=hog | host "$tmp/still.ini"
"$closer" calibrate --host "sim:$tmp/still.ini" --for 30s >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q 'cannot tell' "$tmp/err" && ok "guests that ask for nothing tell nothing" || not_ok "guests that ask for nothing"

# A guest and its loads.
"$closer" calibrate --host "sim:$tmp/mixed.ini" --guest a >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] && grep -q 'go together' "$tmp/err" && ok "a guest without a load is refused" || not_ok "a guest without a load"
"$closer" calibrate --host "sim:$tmp/echo.ini" --guest b --load 'exec sleep 1000' >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q 'has to be a load of this guest' "$tmp/err" && ok "a load that does nothing to the guest is refused" || not_ok "a load of somebody else"
"$closer" calibrate --host "sim:$tmp/mixed.ini" --guest nosuch --load 'exec sleep 1000' >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q "there is no guest 'nosuch'" "$tmp/err" && ok "a guest that is not there is refused" || not_ok "a guest that is not there"
"$closer" calibrate --host "template:$$=g" --guest g --interval 100ms --load "exit 3" >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q "ended with 3 before" "$tmp/err" && ok "a load that ends too early is refused" || not_ok "a load that ends"

# What is kept.
mkdir "$tmp/state"
"$closer" calibrate --show --state-dir "$tmp/state" >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q "nothing was calibrated yet" "$tmp/err" && ok "before anything is kept, that is said" || not_ok "nothing kept"
printf 'send 20000 500\nrequest 90000 4000\n' >"$tmp/state/weights"
"$closer" calibrate --show --state-dir "$tmp/state" >"$tmp/out" 2>"$tmp/err" && grep -q 'sends *20.0us +- 500ns' "$tmp/out" && grep -q 'receives *not known' "$tmp/out" &&
	ok "what is kept is shown, with its confidence" || not_ok "what is kept"
echo 'send many' >"$tmp/state/weights"
"$closer" status --host template:$$ --interval 100ms --state-dir "$tmp/state" >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q "$tmp/state/weights: line 1" "$tmp/err" && ok "a file that is damaged is named" || not_ok "a file that is damaged"
exit $failed
