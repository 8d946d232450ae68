#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# `closer mon --trace`: figures of a trace as table, CSV and JSON, and what it says of a bad one. mon.sh BUILD_DIR. Needs jq, no Xen, no
# privilege: nothing of this machine is looked at or changed, so it runs beside others.
set -u

here=$(cd "$(dirname "$0")/../.." && pwd)
closer=$(realpath "$1/cli/closer")
traces=$here/tests/fuzz/corpus/trace
tmp=$(mktemp -d)
failed=0
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

check() { # WHAT COMMAND..
	what=$1
	shift
	if "$@"; then
		echo "ok mon: $what"
	else
		echo "not ok mon: $what"
		sed 's/^/# out: /' "$tmp/out" | head -n 5
		sed 's/^/# err: /' "$tmp/err" | head -n 5
		failed=1
	fi
}
mon() { # CODE ARGUMENT..
	want=$1
	shift
	"$closer" mon "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? = "$want" ]
}
json() { # CODE TRACE FILTER: what holds of the JSON
	mon "$1" --trace "$2" --window 20ms --json && jq -e "$3" "$tmp/out" >/dev/null
}
says() { # CODE WORDS ARGUMENT..
	words=$2
	code=$1
	shift 2
	mon "$code" "$@" && grep -qF -- "$words" "$tmp/err"
}

figures='def time: .gotten_ns + .waited_ns + .blocked_ns + .offline_ns; def figures: [.gotten_ns, .waited_ns, .blocked_ns, .executions, .io];'
check "in each window every vCPU ran, waited, was blocked or offline all the time, to the nanosecond" json 0 "$traces/whole" "$figures"'
	(.windows | length) > 1 and all(.windows[]; .span_ns as $span | all(.domains[].vcpus[]; time == $span))'
check "and every pCPU ran somebody or was idle" json 0 "$traces/whole" '
	all(.windows[]; .span_ns as $span | (.pcpus | length) == 4 and all(.pcpus[]; .gotten_ns + .idle_ns == $span))'
check "a domain is the sum of its vCPUs, the whole the sum of its windows" json 0 "$traces/whole" "$figures"'
	def sum: [.[] | figures] | transpose | map(add);
	(.domains | length) == 3 and all(.domains[]; figures == (.vcpus | sum)) and . as $all |
	all(.domains[]; .domid as $id | figures == ([$all.windows[].domains[] | select(.domid == $id)] | sum)) and
	.lost_records == 0 and .uncertain_ns == 0 and .torn == null'
check "the trace's own records say the rate of its clock" json 0 "$traces/whole" '.cpu_hz > 2399000000 and .cpu_hz < 2401000000'
check "ten windows are the last ten" json 0 "$traces/lost" "$figures"'
	(.windows | length) as $n | all(.windows[]; .lately_span_ns >= .span_ns) and
	.windows[-1].lately_span_ns == ([.windows[-10:][].span_ns] | add)'
check "lost records are counted, their effect is bounded, and said" eval 'json 0 "$traces/lost" ".lost_records > 0 and .uncertain_ns > 0 and
	(.uncertain_ns == ([.domains[].uncertain_ns] | add))" && grep -q "records were lost" "$tmp/err"'
check "what is before a tear is shown; the exit code is 1" eval 'json 1 "$traces/torn" "(.torn | test(\"torn at byte\")) and (.domains | length) == 3" &&
	grep -q "torn at byte" "$tmp/err"'
check "a clock that jumps is said" says 0 'clock of the records jumped' --trace "$traces/clock" --cpu-hz 1000000000

mon 0 --trace "$traces/whole" --window 20ms --csv --per-vcpu
cp "$tmp/out" "$tmp/csv"
check "CSV has the JSON's figures" eval 'mon 0 --trace "$traces/whole" --window 20ms --json &&
	[ "$(awk -F, "NR > 1 && \$4 == \"\" { sum += \$6 } END { printf \"%.0f\", sum }" "$tmp/csv")" = "$(jq "[.domains[].gotten_ns] | add" "$tmp/out")" ] &&
	[ "$(awk -F, "NR > 1 && \$4 != \"\"" "$tmp/csv" | wc -l)" = "$(jq "[.windows[].domains[].vcpus[]] | length" "$tmp/out")" ]'
check "a table has a line for each domain, one for each vCPU where asked for, and no colours off a terminal" eval '
	mon 0 --trace "$traces/whole" && [ "$(wc -l <"$tmp/out")" = 5 ] &&
	mon 0 --trace "$traces/whole" --per-vcpu && [ "$(wc -l <"$tmp/out")" -ge 14 ] && ! grep -q "$(printf "\033")" "$tmp/out"'
check "the most first, where asked for" eval 'mon 0 --trace "$traces/whole" --sort gotten --json &&
	jq -e "[.domains[].gotten_ns] | . == (sort | reverse)" "$tmp/out" >/dev/null'

od -An -v -tx4 -w4 "$traces/whole" | sed 's/ *\(..\)\(..\)\(..\)\(..\)/\\x\1\\x\2\\x\3\\x\4/' | tr -d '\n' |
	xargs -0 printf %b >"$tmp/swapped"
check "a trace of the other byte order is refused" says 1 'byte order' --trace "$tmp/swapped"
: >"$tmp/empty"
check "an empty one, too" says 1 'is empty' --trace "$tmp/empty"
check "and what is no trace" says 1 'no trace as xentrace writes it' --trace "$here/README.md"
check "and a folder" says 1 'is no file' --trace "$tmp"
check "and none" says 1 'No such file' --trace "$tmp/none"
if [ ! -e /proc/xen ]; then
	check "without Xen and a file it says what it needs" says 1 'does not run on Xen'
fi
screen=$(realpath "$1")/tests/system/mon_screen
typed() { # KEYS: each after a while, as one who looks; what the screen said in the end
	for key in $1; do
		sleep 0.7
		printf %s "$key"
	done | TERM=xterm timeout 20 script -qec "stty rows 30 cols 120; $screen $traces/lost" /dev/null 2>"$tmp/err" >"$tmp/out"
}
check "a terminal's keys: sort, vCPUs, pause, end" eval 'typed "s v p q" && grep -q "ended at window .*, sorted by 2, vCPUs, paused" "$tmp/out"'
check "and twice is off again" eval 'typed "v v p p q" && grep -q "ended at window .*, sorted by 1, domains, going on" "$tmp/out"'
check "the screen has the table" eval 'grep -q "gotten%" "$tmp/out" && grep -q "s: sort (domid)" "$tmp/out"'

check "--json and --csv do not go together" says 2 'not both' --json --csv
check "nor a file and --for" says 2 'not for --trace' --trace "$traces/whole" --for 1s
exit $failed
