#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# twoclosers.sh BUILD_DIR: while one closer acts, another is refused with its pid and changes nothing; looking on is possible;
# when the first is killed, the second may act as soon as everything is back.
set -u
build=${1:?usage: twoclosers.sh BUILD_DIR}
here=$(cd "$(dirname "$0")" && pwd)
apply=$(find "$build" -name engine_apply -type f | head -n 1)
victim=$(find "$build" -name victim -type f | head -n 1)
dir=$(mktemp -d /run/closer-two.XXXXXX) || exit 1
state=$dir/state
holder= target= bad=0

cleanup() {
	trap - EXIT INT TERM HUP
	[ -z "$holder" ] || kill -9 "$holder" 2>/dev/null
	flock -w 10 /run/closer.lock true 2>/dev/null
	[ ! -e "$state/journal" ] || "$apply" undo "$state" >/dev/null 2>&1
	[ -z "$target" ] || kill -9 "$target" 2>/dev/null
	rm -rf "$dir"
}
trap 'cleanup' EXIT
trap 'cleanup; exit 1' INT TERM HUP
ok() { echo "ok twoclosers: $*"; }
not_ok() { echo "not ok twoclosers: $*"; bad=1; }
die() { not_ok "$*"; exit 1; }
look() { sh "$here/threadstate.sh" "$target"; }

[ "$(id -u)" = 0 ] || die "needs root"
[ -x "$apply" ] && [ -x "$victim" ] || die "engine_apply or victim is not in $build: build the tests first"
mkdir -m 0700 "$state"
"$victim" 8 2 >"$dir/ready" &
target=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do grep -qs ready "$dir/ready" && break; sleep 0.2; done
before=$(look)
"$apply" hold "template:$target" "$state" >"$dir/out" 2>&1 &
holder=$!
tries=0
until grep -q '^done' "$dir/out"; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || die "the first closer: $(cat "$dir/out")"
	sleep 0.05
done
placed=$(look)
[ "$placed" != "$before" ] || die "the first closer changed nothing"

for verb in "apply template:$target" undo confirm; do
	# shellcheck disable=SC2086 # two words
	if "$apply" $verb "$state" >"$dir/second" 2>&1; then
		not_ok "a second closer was let in: $verb"
	elif grep -q "pid $holder" "$dir/second" && [ "$(look)" = "$placed" ]; then
		ok "$verb beside a closer that acts is refused, nothing is changed: $(head -n 1 "$dir/second")"
	else
		not_ok "$verb beside a closer that acts: $(cat "$dir/second")"
	fi
done

closer=$(find "$build" -name closer -type f -perm -u+x | head -n 1)
if [ -x "${closer:-}" ]; then
	"$closer" plan --host "template:$target" --state-dir "$state" --interval 100ms >"$dir/second" 2>&1
	code=$?
	if [ $code = 0 ] || [ $code = 3 ]; then
		ok "closer plan beside a closer that acts: exit $code"
	else
		not_ok "closer plan beside a closer that acts: exit $code: $(cat "$dir/second")"
	fi
	if "$closer" apply --host "template:$target" --state-dir "$state" --interval 100ms >"$dir/second" 2>&1; then
		not_ok "closer apply beside a closer that acts was let in"
	elif grep -q "pid $holder" "$dir/second"; then
		ok "closer apply beside a closer that acts: $(grep "pid $holder" "$dir/second" | head -n 1)"
	else
		not_ok "closer apply beside a closer that acts: $(cat "$dir/second")"
	fi
fi

kill -9 "$holder"
wait "$holder" 2>/dev/null
holder=
flock -w 30 /run/closer.lock true
if [ "$(look)" = "$before" ] && "$apply" apply "template:$target" "$state" >"$dir/second" 2>&1 &&
	"$apply" undo "$state" >"$dir/second" 2>&1 && [ "$(look)" = "$before" ]; then
	ok "when the first was killed everything came back, and the next one acts"
else
	not_ok "after the first was killed: $(cat "$dir/second")"
fi
exit $bad
