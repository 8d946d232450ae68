#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs every test there is and counts. usage: tests/run.sh BUILD SANITIZE_BUILD|none [PATTERN]
#
# A program is one test: it passes if it exits 0. A system script prints a line "ok ..." or "not ok ..." for each
# thing that it shows, and each counts. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.."
build=$1
sanitize=$2
pattern=${3:-}
passed=0
failed=0
skipped=0
log=$build/tests.log
out=$build/test.out
: >"$log"

wanted() {
	case $1 in
	*"$pattern"*) return 0 ;;
	esac
	return 1
}

count() { # count NAME STATUS
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1 (exit $2)"
	fi
}

program() { # program NAME COMMAND...
	name=$1
	shift
	wanted "$name" || return 0
	"$@" >"$out" 2>&1 </dev/null
	status=$?
	{ echo "== $name"; cat "$out"; } >>"$log"
	[ $status = 0 ] || sed 's/^/    /' "$out" | tail -n 60
	# cmocka names each test that was skipped again at the end
	part=$(grep -c '^\[  SKIPPED \] [^0-9]' "$out")
	[ "$part" = 0 ] || sed -n 's/^\[  SKIPPED \] \([^0-9]\)/    skipped: \1/p' "$out" | sort -u
	skipped=$((skipped + (part + 1) / 2))
	count "$name" $status
}

script() { # script NAME FILE: counts its own lines
	wanted "$1" || return 0
	echo "-- $1"
	{ "$2" "$build" 2>"$build/test.err" </dev/null; echo "exit $?"; } | tee "$out" | grep -v '^exit [0-9]*$'
	{ echo "== $1"; cat "$out" "$build/test.err"; } >>"$log"
	ok=$(grep -c '^ok ' "$out")
	bad=$(grep -c '^not ok ' "$out")
	skipped=$((skipped + $(grep -c '^skip ' "$out")))
	# a script that fails and says nothing of it, or that shows nothing, has failed
	if ! grep -qx 'exit 0' "$out" && [ "$bad" = 0 ] || [ $((ok + bad)) = 0 ]; then
		bad=$((bad + 1))
		echo "not ok $1 ($(tail -n 1 "$out"))"
	fi
	[ "$bad" = 0 ] || sed 's/^/    /' "$build/test.err" | tail -n 60
	passed=$((passed + ok))
	failed=$((failed + bad))
}

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

programs() { # BUILD LABEL: its tests, and how many passed, failed and were skipped in BUILD/tests.counts
	passed=0 failed=0 skipped=0 out=$1/test.out
	for t in "$1"/tests/test_*; do
		[ -x "$t" ] && [ -f "$t" ] || continue
		program "unit/$(basename "$t" | sed 's/^test_//')$2" "$t"
	done
	program "golden$2" "$1/tests/golden/golden" tests/golden
	for t in "$1"/tests/fuzz_*; do
		[ -x "$t" ] && [ -f "$t" ] || continue
		name=$(basename "$t" | sed 's/^fuzz_//')
		program "fuzz/$name$2" "$t" "tests/fuzz/corpus/$name" 20000
	done
	echo "$passed $failed $skipped" >"$1/tests.counts"
}

for t in tests/tidy/*.sh; do
	program "tidy/$(basename "$t" .sh)" "$t" "$build"
done
# Those of the two builds at the same time: each is one process at a time.
case $sanitize in
*none) builds=$build ;;
*) builds="$build $sanitize" ;;
esac
for b in $builds; do
	rm -f "$b/tests.counts"
	: >"$b/programs.log"
done
[ "$builds" = "$build" ] || (log=$sanitize/programs.log; programs "$sanitize" " (sanitizers)" >"$sanitize/programs.out") &
(log=$build/programs.log; programs "$build" "")
wait
[ "$builds" = "$build" ] || cat "$sanitize/programs.out"
for b in $builds; do
	cat "$b/programs.log" >>"$log"
	p=0 f=1 s=0
	[ ! -e "$b/tests.counts" ] || read -r p f s <"$b/tests.counts"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
for t in tests/system/*.sh; do
	case $(head -n 3 "$t") in
	*"helper:"*) continue ;;
	esac
	script "system/$(basename "$t" .sh)" "$t"
done

# Real Xen under software emulation: a boot or two each.
for t in tests/xen/*.sh; do
	name=$(basename "$t" .sh)
	case $pattern:$(head -n 4 "$t") in
	*"helper:"*) continue ;;
	xen*:*) ;;
	*"only where asked for"*) continue ;; # ./run test xen: it takes minutes
	esac
	script "xen/$name" "$t"
done

echo "log: $log"
[ $skipped = 0 ] && skips= || skips=", $skipped skipped"
echo "$passed passed, $failed failed$skips"
[ "$failed" = 0 ]
