#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The ledger on disk: SIGKILL while it is written, against a recording of the same simulated host; files that cannot be written or
# are none. bill.sh BUILD_DIR [KILLS]. Needs jq; nothing of this machine is looked at or changed but a folder in /tmp: it
# runs beside others.
set -u

closer=$(realpath "$1/cli/closer")
kills=${2:-100}
tmp=$(mktemp -d)
failed=0
unset CLOSER_SIM_DIR
export CLOSER_STATE_DIR="$tmp/state"
trap 'umount "$tmp/disk" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

ok() { echo "ok bill: $*"; }
not_ok() {
	echo "not ok bill: $*"
	sed 's/^/# /' "$tmp/err" 2>/dev/null | head -5
	failed=1
}
host="--host sim:charge-cap --interval 100ms"
loop() { # loop LEDGER MORE...: exec'd, so that $! is closer's
	ledger=$1
	shift
	# shellcheck disable=SC2086
	exec "$closer" run $host --ledger "$ledger" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
}
# What a ledger has of all guests: intervals, guest and host CPU.
sums() { # sums LEDGER
	"$closer" bill --ledger "$1" --json 2>"$tmp/err" | jq -r '[([.rows[].intervals] | max // 0), .total.guest_ns, .total.host_ns] | @tsv'
}

# ---- what there is to be billed: the same each time, by a recording of one that nobody kills ----
(loop "$tmp/whole" --record "$tmp/record") || not_ok "an undisturbed run"
"$closer" status --watch --json --host "replay:$tmp/record" 2>"$tmp/err" |
	jq -r '[.totals.guest_ns, .totals.host_ns] | @tsv' | awk '{ g += $1; h += $2; printf "%.0f\t%.0f\t%.0f\n", NR, g, h }' >"$tmp/prefix"
all=$(wc -l <"$tmp/prefix")
if [ "$all" -gt 250 ] && [ "$(sums "$tmp/whole")" = "$(tail -n 1 "$tmp/prefix")" ]; then
	ok "$all intervals of a run are those of its recording, to the ns"
else
	not_ok "the ledger has $(sums "$tmp/whole"), the recording $(tail -n 1 "$tmp/prefix")"
fi

# ---- killed again and again, one ledger ----
printf '0\t0\t0\n' >"$tmp/was"
wrong=0 lost=0 none=0 total=0 i=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	rm -f "$tmp/record"
	loop "$tmp/killed" --record "$tmp/record" &
	pid=$!
	sleep "0.$(printf %03d $(((i * 37) % 240 + 20)))"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	seen=0
	[ -s "$tmp/record" ] && seen=$("$closer" status --watch --json --host "replay:$tmp/record" 2>/dev/null | wc -l)
	if [ -s "$tmp/killed" ] && sums "$tmp/killed" >"$tmp/is" && [ -s "$tmp/is" ]; then :; else cp "$tmp/was" "$tmp/is"; fi
	paste "$tmp/was" "$tmp/is" | awk '{ printf "%.0f\t%.0f\t%.0f\n", $4 - $1, $5 - $2, $6 - $3 }' >"$tmp/new"
	n=$(cut -f 1 "$tmp/new")
	mv "$tmp/is" "$tmp/was"
	total=$((total + n))
	[ "$n" -gt 0 ] || none=$((none + 1))
	# the first n intervals, no other, none twice; and none missing that was over when the recording had it
	[ "$n" = 0 ] || grep -qxF "$(cat "$tmp/new")" "$tmp/prefix" || wrong=$((wrong + 1))
	[ "$n" -ge "$((seen - 1))" ] || lost=$((lost + 1))
done
if [ $wrong = 0 ] && [ $lost = 0 ] && [ $total -gt "$kills" ] && [ $none -lt $((kills / 2)) ]; then
	ok "$kills SIGKILLs, $total intervals: none lost but the open one, none doubled ($none came before the first)"
else
	not_ok "$kills SIGKILLs: $wrong times other sums than the recording's, $lost times an interval lost, $none times none of $total"
fi

# ---- the same while guests are charged ----
i=0
while [ $i -lt $((kills / 5)) ]; do
	i=$((i + 1))
	loop "$tmp/charged" --set charge=closer &
	pid=$!
	sleep "0.$(printf %03d $(((i * 71) % 200 + 50)))"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
done
if "$closer" bill --ledger "$tmp/charged" --json 2>"$tmp/err" |
	jq -e '.total | .charged_ns > 0 and .charged_ns == .host_ns and .charged_ns == .repaid_ns + .owed_ns + .written_off_ns' >/dev/null; then
	ok "charged = host CPU = repaid + owed + written off, to the ns, after $i more"
else
	not_ok "the charges do not add up: $("$closer" bill --ledger "$tmp/charged" --json | jq -c .total)"
fi

# ---- two that write, and what cannot be written ----
mkfifo "$tmp/hold"
"$closer" run --host sim:charge-cap --ledger "$tmp/two" >"$tmp/hold" 2>"$tmp/hold" &
pid=$!
exec 3<"$tmp/hold"
sleep 0.2
kill -STOP $pid 2>/dev/null
(loop "$tmp/two"); code=$?
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
exec 3<&-
if [ $code = 1 ] && grep -q "another closer writes to it" "$tmp/err"; then ok "two do not bill to one ledger"; else not_ok "a second writer ($code)"; fi

echo "this is a letter, no ledger" >"$tmp/letter"
(loop "$tmp/letter"); code=$?
if [ $code = 1 ] && grep -q "no database" "$tmp/err" && grep -q letter "$tmp/letter"; then ok "a file that is no ledger is left as it is"; else not_ok "no ledger ($code)"; fi

head -c 6000 "$tmp/whole" >"$tmp/torn"
(loop "$tmp/torn"); code=$?
if [ $code = 1 ] && grep -q "damaged" "$tmp/err"; then ok "a damaged ledger is said to be"; else not_ok "a damaged ledger ($code)"; fi

mkdir "$tmp/disk"
if mount -t tmpfs -o size=96k closer-test "$tmp/disk" 2>/dev/null; then
	(loop "$tmp/disk/ledger"); code=$?
	cp "$tmp/err" "$tmp/said"
	had=$(sums "$tmp/disk/ledger")
	if [ $code = 1 ] && grep -q "disk is full" "$tmp/said" && [ "$(echo "$had" | cut -f 1)" -gt 0 ] && grep -qxF "$had" "$tmp/prefix"; then
		ok "a full disk: said, and the ledger whole up to then ($(echo "$had" | cut -f 1) of $all intervals)"
	else
		not_ok "a full disk ($code): $had"
	fi
	mount -o remount,ro "$tmp/disk"
	(loop "$tmp/disk/ledger"); code=$?
	if [ $code = 1 ] && grep -qi "read-only\|cannot be written" "$tmp/err" && [ "$(sums "$tmp/disk/ledger")" = "$had" ]; then
		ok "a read-only one: said before the run, and still read"
	else
		not_ok "a read-only ledger ($code)"
	fi
else
	echo "skip bill: no tmpfs can be mounted here"
fi

# ---- what is printed ----
if "$closer" bill --ledger "$tmp/whole" --by kind --csv 2>"$tmp/err" | grep -q '^"netback-rx",[1-9]' &&
	[ "$("$closer" bill --ledger "$tmp/whole" --csv | wc -l)" = 3 ] && "$closer" bill --ledger "$tmp/whole" | grep -q '^flood .* s$'; then
	ok "by guest and by kind, as a table and as CSV"
else
	not_ok "bill's tables"
fi
uuid=$("$closer" bill --ledger "$tmp/whole" --json | jq -r '.rows[] | select(.name == "flood") | .uuid')
printf '# whose\n%s acme corp\n' "$uuid" >"$tmp/tenants"
if "$closer" bill --ledger "$tmp/whole" --by tenant --tenants "$tmp/tenants" --json 2>"$tmp/err" |
	jq -e '[.rows[].tenant] | sort == ["-", "acme corp"]' >/dev/null; then
	ok "by tenant"
else
	not_ok "by tenant"
fi
if "$closer" bill --ledger "$tmp/whole" --since 1h --until 2037-01-01T00:00 --json 2>"$tmp/err" | jq -e '.rows | length == 2' >/dev/null &&
	"$closer" bill --ledger "$tmp/whole" --until 2020-01-01 --json | jq -e '.rows | length == 0' >/dev/null &&
	! "$closer" bill --ledger "$tmp/whole" --since yesterday >/dev/null 2>&1 &&
	! "$closer" bill --ledger "$tmp/whole" --since 1h --until 2h >/dev/null 2>"$tmp/err" && grep -q 'not before --until' "$tmp/err"; then
	ok "since and until"
else
	not_ok "since and until"
fi
exit $failed
