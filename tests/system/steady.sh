#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A tick in a steady state opens nothing, forks nothing, maps and allocates nothing: traced, for both sources.
# steady.sh BUILD_DIR. Needs strace; root for BPF.
set -u

steady=$1/tests/system/steady
tmp=$(mktemp -d)
failed=0
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

ok() { echo "ok steady: $*"; }
not_ok() {
	echo "not ok steady: $*"
	failed=1
}

# The system calls of the program itself (not of the threads that it looks at) between its markers.
calls() {
	awk '
		/"\/steady\/begin"/ { pid = $1; on = 1; next }
		/"\/steady\/end"/ { on = 0 }
		on && $1 == pid
	' "$tmp/trace"
}

# What a tick may do. A list of what is allowed finds what nobody thought of. fstat may be newfstatat of ""; on
# kernels before 6.7 the BPF iterator is a descriptor made by bpf, read and closed.
others() {
	calls | awk '
		{ call = $2; sub(/\(.*/, "", call) }
		$2 == "<..." { next }
		call == "newfstatat" && /, "", / { next }
		call ~ /^(pread64|read|close|fstat|poll|ppoll|sched_getaffinity|bpf|nanosleep|clock_nanosleep|clock_gettime)$/ { next }
		{ print }
	'
}

# trace SOURCE [SPOIL]: 0, or the exit code of the program
trace() {
	strace -f -o "$tmp/trace" "$steady" "$@" >"$tmp/out" 2>"$tmp/err"
}

check() {
	trace "$1"
	code=$?
	if [ $code -eq 77 ] && [ "${CI:-}" != true ]; then
		echo "skip steady: $1: $(tail -n 1 "$tmp/err")"
		return
	fi
	if [ $code -ne 0 ]; then
		not_ok "$1: $(tail -n 1 "$tmp/err")"
		return
	fi
	made=$(calls | wc -l)
	read -r _ ticks _ threads _ allocations <"$tmp/out"
	others >"$tmp/others"
	if [ "$made" -lt "$ticks" ]; then
		not_ok "$1: only $made system calls were traced in $ticks ticks: the markers are not where they should be"
	elif [ -s "$tmp/others" ]; then
		not_ok "$1: $(wc -l <"$tmp/others") system calls that a tick may not make, as: $(head -n 1 "$tmp/others")"
	else
		ok "$1: $ticks ticks over $threads threads made $made system calls, no open, fork or mmap among them"
	fi
	if [ "$allocations" -eq 0 ]; then
		ok "$1: $ticks ticks allocated nothing"
	else
		not_ok "$1: $allocations allocations in $ticks ticks"
	fi

	# The same with a tick that does one: would it be found?
	trace "$1" open
	if [ "$(others | grep -c openat)" -ge "$ticks" ]; then
		ok "$1: an open in the tick is found"
	else
		not_ok "$1: an open in the tick was not found"
	fi
	trace "$1" malloc
	read -r _ ticks _ threads _ allocations <"$tmp/out"
	if [ "$allocations" -eq "$ticks" ]; then
		ok "$1: an allocation in the tick is found"
	else
		not_ok "$1: $allocations of $ticks allocations in the tick were found"
	fi
}

if ! command -v strace >/dev/null; then
	not_ok "strace is not installed: ./run deps"
	exit 1
fi
check schedstat
check bpf
exit $failed
