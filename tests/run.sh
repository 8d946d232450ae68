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
error=$build/test.err
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
	began=$(date +%s)
	"$@" >"$out" 2>&1 </dev/null
	status=$?
	{ echo "== $name ($(($(date +%s) - began)) s)"; cat "$out"; } >>"$log"
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
	began=$(date +%s)
	{ "$2" "$build" 2>"$error" </dev/null; echo "exit $?"; } | tee "$out" | grep -v '^exit [0-9]*$'
	{ echo "== $1 ($(($(date +%s) - began)) s)"; cat "$out" "$error"; } >>"$log"
	ok=$(grep -c '^ok ' "$out")
	bad=$(grep -c '^not ok ' "$out")
	skipped=$((skipped + $(grep -c '^skip ' "$out")))
	# a script that fails and says nothing of it, or that shows nothing, has failed
	if ! grep -qx 'exit 0' "$out" && [ "$bad" = 0 ] || [ $((ok + bad)) = 0 ]; then
		bad=$((bad + 1))
		echo "not ok $1 ($(tail -n 1 "$out"))"
	fi
	[ "$bad" = 0 ] || sed 's/^/    /' "$error" | tail -n 60
	passed=$((passed + ok))
	failed=$((failed + bad))
}

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# When a test runs. "apart": it touches nothing of this machine but its own files, so it runs beside all others, at the lowest priority: the
# long programs, by name, and the scripts that say so at their head. "last": it is long and mostly waits, so it runs beside real Xen, which
# sees nothing of this machine. "alone": the rest, one by one.
kind_of() { # FILE
	case $1 in
	*.sh)
		case $(sed -n 2,6p "$1") in
		*"runs beside others"*) echo apart ;;
		*"runs beside Xen"*) echo last ;;
		*) echo alone ;;
		esac
		;;
	*/test_sim_* | */test_size | */test_overcommit | */test_ledger | */test_charge) echo apart ;;
	*) echo alone ;;
	esac
}

programs() { # BUILD LABEL KIND: the unit tests of BUILD that are of this kind
	for t in "$1"/tests/test_*; do
		[ -x "$t" ] && [ -f "$t" ] && [ "$(kind_of "$t")" = "$3" ] || continue
		program "unit/$(basename "$t" | sed 's/^test_//')$2" "$t"
	done
}

scripts() { # KIND
	for t in tests/system/*.sh; do
		case $(head -n 3 "$t") in
		*"helper:"*) continue ;;
		esac
		[ "$(kind_of "$t")" != "$1" ] || script "system/$(basename "$t" .sh)" "$t"
	done
}

# lane NAME NICE COMMAND...: runs it beside the rest; what it prints and counts is kept until `together`.
lane() {
	lane=$build/lane.$1
	nice=$2
	shift 2
	rm -f "$lane.counts"
	lanes="$lanes $lane"
	(
		renice -n "$nice" -p "$(exec sh -c 'echo $PPID')" >/dev/null 2>&1
		passed=0 failed=0 skipped=0 log=$lane.log out=$lane.test error=$lane.err
		: >"$log"
		"$@"
		echo "$passed $failed $skipped" >"$lane.counts"
	) >"$lane.out" 2>&1 &
}

together() {
	wait
	for lane in $lanes; do
		cat "$lane.out"
		cat "$lane.log" >>"$log"
		p=0 f=1 s=0
		[ ! -e "$lane.counts" ] || read -r p f s <"$lane.counts"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	done
}

apart() { # BUILD LABEL
	programs "$1" "$2" apart
	program "golden$2" "$1/tests/golden/golden" tests/golden
	for t in "$1"/tests/fuzz_*; do
		[ -x "$t" ] && [ -f "$t" ] || continue
		name=$(basename "$t" | sed 's/^fuzz_//')
		program "fuzz/$name$2" "$t" "tests/fuzz/corpus/$name" 20000
	done
}

tidy() {
	for t in tests/tidy/*.sh; do
		program "tidy/$(basename "$t" .sh)" "$t" "$build"
	done
}

sanitizers() {
	apart "$sanitize" " (sanitizers)"
}
release() {
	tidy
	apart "$build" ""
	scripts apart
}

lanes=
case $sanitize in
*none) ;;
*) lane sanitizers 19 sanitizers ;;
esac
lane release 19 release
programs "$build" "" alone
case $sanitize in
*none) ;;
*) programs "$sanitize" " (sanitizers)" alone ;;
esac
scripts alone
lane last 10 scripts last

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

together
echo "log: $log"
[ $skipped = 0 ] && skips= || skips=", $skipped skipped"
echo "$passed passed, $failed failed$skips"
[ "$failed" = 0 ]
