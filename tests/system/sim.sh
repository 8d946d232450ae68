#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# `closer sim`, and simulated hosts under the other verbs. sim.sh BUILD_DIR. Needs jq, no privilege: nothing of this
# machine is looked at or changed, so it runs beside others.
set -u

here=$(cd "$(dirname "$0")/../.." && pwd)
closer=$(realpath "$1/cli/closer")
tmp=$(mktemp -d)
failed=0
unset CLOSER_SIM_DIR
export CLOSER_STATE_DIR="$tmp/state"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

ok() { echo "ok sim: $*"; }
not_ok() {
	echo "not ok sim: $*"
	sed 's/^/# out: /' "$tmp/out" | head -5
	sed 's/^/# err: /' "$tmp/err" | head -5
	failed=1
}
expect() { # expect CODE VERB...
	want=$1
	shift
	"$closer" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	times >"$tmp/times" # of the shell, and of what it has run
	[ "$got" -eq "$want" ] && return 0
	not_ok "closer $*: exit code $got, not $want"
	return 1
}
# CPU time of what was run so far: much the same beside other work. A scenario's runs are spread over all CPUs.
cpu_s() {
	sed -n 's/^\([0-9]*\)m\([0-9]*\).*/\1 \2/p' "$tmp/times" | { read -r _ _ && read -r m s && echo $((m * 60 + s)); }
}
says() { grep -qF -- "$1" "$tmp/err"; }
prints() { grep -qF -- "$1" "$tmp/out"; }

# ---- scenarios ----
if expect 0 sim --list && [ ! -s "$tmp/err" ] && prints two-nodes; then
	ok "--list: $(wc -l <"$tmp/out") scenarios, all of them sound"
else
	not_ok "--list"
fi
expect 0 sim --list --json && jq -e '[.scenarios[].title | length > 0] | all' "$tmp/out" >/dev/null || not_ok "--list --json"

expect 0 sim --list --json && jq -e '[.scenarios[] | select(.paper != "")] | length >= 20' "$tmp/out" >/dev/null &&
	ok "of papers: $(jq '[.scenarios[] | select(.paper != "")] | length' "$tmp/out")" || not_ok "papers' experiments"

if expect 0 sim --keys && prints "[guest NAME]" && prints "type = hog" && prints "scheduler = credit2" && prints "what = destroy"; then
	ok "--keys: $(grep -c '^  ' "$tmp/out") keys"
else
	not_ok "--keys"
fi

# ---- a run ----
expect 0 sim weights --seeds 1..3 && prints "4 of 4 figures met" && ok "weights and caps are those of xl(1): $(tail -n 1 "$tmp/out")" ||
	not_ok "weights: $(tail -n 1 "$tmp/out")"
expect 0 sim two-nodes --json && jq -e '.scenarios[0] | ([.runs[].policy] == ["native","pinned","closer"]) and (.runs[2].done > 0) and
    (.runs[0].done == 0) and ([.metrics[].policies | length == 3] | all) and
    (.metrics[] | select(.name == "serve.cpu") | .policies[0].mean > 1)' "$tmp/out" >/dev/null &&
	ok "three policies: closer makes $(jq '.scenarios[0].runs[2].done' "$tmp/out") changes, native none" || not_ok "two-nodes --json"
expect 0 sim two-nodes --policy native --set guest.web.count=1 --set load.serve.tasks=1 --json &&
	jq -e '.scenarios[0].metrics[] | select(.name == "serve.cpu") | .policies[0].mean | . > 0.3 and . < 1.02' "$tmp/out" >/dev/null &&
	ok "--set changes what is simulated" || not_ok "--set"

expect 0 sim thesis-benchmark-3 --compare native,closer && prints "1 of 1 directions right" &&
	ok "near is better than far: $(grep "^bandwidth" "$tmp/out" | cut -c 1-80)" || not_ok "thesis-benchmark-3: $(tail -n 1 "$tmp/out")"

expect 0 sim crowd --policy native --seeds 1..2 && prints "1 of 1 directions right" && [ "$(grep -c '^n[0-9]*:$' "$tmp/out")" = 4 ] &&
	expect 0 sim crowd --policy native --variant n8 && [ "$(grep -c '^n[0-9]*:$' "$tmp/out")" = 1 ] &&
	expect 0 status --host sim:crowd@n8:seed=2 && [ "$(grep -c '^web-' "$tmp/out")" = 8 ] && ok "variants: all four, one, and as a host" ||
	not_ok "variants"

# ---- rates and shares ----
for name in $(grep -l '^fidelity = fluid' "$here"/sim/scenarios/*.ini | sed 's,.*/,,; s,\.ini$,,'); do
	before=$(cpu_s)
	expect 0 sim "$name" && prints "simulated 8.64e+04 s each" && [ $((($(cpu_s) - before) / $(nproc))) -lt 60 ] &&
		ok "$name: a day, each policy in each variant, in $(($(cpu_s) - before)) s of CPU time, on $(nproc) CPUs" ||
		not_ok "$name: a day, $(($(cpu_s) - before)) s of CPU time, on $(nproc) CPUs"
	# of many variants those whose dom0 has fewest CPUs, most, and changes
	for variant in $(sed -n 's/^\[variant \(.*\)\]$/\1/p' "$here/sim/scenarios/$name.ini" | grep -x -e undersized -e oversized -e demand | sed 's/^/--variant=/') ""; do
		[ -n "$variant" ] || ! grep -q '^\[variant' "$here/sim/scenarios/$name.ini" || continue
		# shellcheck disable=SC2086 # no word where there are no variants
		expect 0 sim "$name" --compare native,closer --check-fluid $variant && prints "host.dom0" && ! prints "TOO FAR" &&
			ok "$name${variant:+ $variant}: beside packets $(grep -m 1 "^host.dom0" "$tmp/out")" || not_ok "$name${variant:+ $variant}: rates are too far from packets"
	done
done
expect 1 sim office --policy native --check-fluid --set scenario.within=0 --set load.stack.every=5ms --set load.work.apart=no && prints "TOO FAR" &&
	says "further from packets than promised" && ok "what is too far apart is said, and fails" || not_ok "--check-fluid --set scenario.within=0"
expect 0 run --host sim:office --for 10m --json && jq -es '.[-1].done > 0 and .[-1].failed == 0' "$tmp/out" >/dev/null &&
	ok "rates as a host: $(jq -s '.[-1].done' "$tmp/out") changes in ten minutes" || not_ok "run --host sim:office"
changes() { # changes CHARGE: what closer does in two minutes of guests with caps and much to receive
	expect 0 sim office --policy closer --json --set "closer.charge=$1" --set closer.interval=1s --set guest.vm.cap=60% \
		--set load.mail.rate=5000 --set scenario.until=2m && jq '.scenarios[0].runs[0] | select(.failed == 0) | .done' "$tmp/out"
}
off=$(changes off)
on=$(changes closer)
[ "${on:-0}" -gt "${off:-0}" ] && [ "${off:-0}" -gt 0 ] && ok "rates are charged, too: $on changes, $off without" || not_ok "charge in a fluid scenario: '$on', '$off'"

# ---- the same bytes ----
"$closer" sim day --json --jobs 1 >"$tmp/one" && "$closer" sim day --json --jobs 2 >"$tmp/two" && [ -s "$tmp/one" ] && cmp -s "$tmp/one" "$tmp/two" &&
	ok "day: 1 and 2 jobs print the same bytes" || not_ok "day: the number of jobs changes what is printed"
set -- sim come-and-go --seeds 3..6 --json
"$closer" "$@" --jobs 1 >"$tmp/one" && "$closer" "$@" --jobs 2 >"$tmp/two" && "$closer" "$@" --jobs 7 >"$tmp/seven"
if [ -s "$tmp/one" ] && cmp -s "$tmp/one" "$tmp/two" && cmp -s "$tmp/one" "$tmp/seven"; then
	ok "1, 2 and 7 jobs print the same $(wc -c <"$tmp/one") bytes"
else
	not_ok "the number of jobs changes what is printed"
fi
other=$here/build/sanitize/cli/closer
[ "$other" = "$closer" ] && other=$here/build/release/cli/closer
if [ ! -x "$other" ]; then
	echo "skip sim: there is no other build to compare with"
elif "$other" "$@" --jobs 2 >"$tmp/other" 2>"$tmp/err" && cmp -s "$tmp/one" "$tmp/other"; then
	ok "with and without sanitizers: the same bytes"
else
	not_ok "another build prints other bytes"
fi

# ---- the report ----
if expect 0 sim weights --seeds 1..2 --report "$tmp/report" && says "index.html is written"; then
	page=$tmp/report/index.html
	if grep -q '</html>' "$page" && grep -q 'light.cpu' "$page" && ! grep -qE '(src|href)="[^#]' "$page"; then
		ok "--report: a page of $(wc -c <"$page") bytes that refers to nothing outside"
	else
		not_ok "--report: $page"
	fi
	if command -v gnuplot >/dev/null; then
		grep -q '<svg' "$page" && ok "with plots" || not_ok "gnuplot is there, and the page has no plot"
	else
		says "without plots" && ok "without gnuplot it says that there are no plots" || not_ok "no plots, and nothing said"
	fi
fi
mkdir "$tmp/bin"
ln -s "$(command -v sh)" "$tmp/bin/sh"
PATH=$tmp/bin "$closer" sim weights --policy native --report "$tmp/bare" >"$tmp/out" 2>"$tmp/err"
says "without plots" && grep -q 'light.cpu' "$tmp/bare/index.html" && ok "no gnuplot: tables, and it is said" || not_ok "no gnuplot"
expect 1 sim weights --report /dev/null/x && says "/dev/null/x" || not_ok "a report that cannot be written"

# ---- what is refused ----
n=0
while IFS='|' read -r code line text; do
	# shellcheck disable=SC2086
	if expect "$code" sim $line && says "$text" && [ ! -s "$tmp/out" ]; then
		n=$((n + 1))
	else
		not_ok "closer sim $line: did not say: $text"
	fi
done <<-END
	2||closer sim --list
	1|two-node|did you mean 'two-nodes'?
	1|/nowhere/x.ini|/nowhere/x.ini
	2|two-nodes --seeds 5..2|is not A..B
	2|two-nodes --seeds 0..2|is not A..B
	2|two-nodes --seeds 1..99999|more than
	2|two-nodes --seed 1 --seeds 1..2|do not go together
	2|two-nodes --policy native --compare native|do not go together
	2|two-nodes --compare native,clser|did you mean 'closer'?
	2|two-nodes --compare native,native|named twice
	1|two-nodes --set guest.web.cout=3|did you mean 'count'?
	1|two-nodes --set guest.web.count=-3|cannot be negative
	1|two-nodes --set guest.web.node=7|this machine has 0 to 1
	1|two-nodes --set machine.memory=1GiB|has not that much memory
	1|crowd --variant n9|did you mean 'n4'?
	1|crowd --set variant.n8.x=3|a variant cannot be changed
	1|two-nodes --set scenario.fidelity=fluit|did you mean 'fluid'?
	1|slides-kernbench --set scenario.fidelity=fluid|slides-kernbench.ini:
	1|slides-kernbench --set scenario.fidelity=fluid|no rate, and fluid has only rates: hog
	2|day --check-fluid --seeds 1..2|is of one --seed
	1|two-nodes --set nothing|is not SECTION.KEY=VALUE
	1|two-nodes --set scenario.events=1000|1000 events are the most
	1|two-nodes --set scenario.wall=1ms --set scenario.duration=10h|took longer than it may
END
want=23
[ "$n" -eq "$want" ] && ok "$n bad requests, each named with what to do" || not_ok "only $n of $want bad requests"
mkdir -p "$tmp/dir/scenarios" "$tmp/dir/testbeds"
printf '[scenario]\ntitle = t\ntestbed = tb\n\n[guest web]\nvcpsu = 2\n' >"$tmp/dir/scenarios/mine.ini"
cp "$here/sim/testbeds/two-socket.ini" "$tmp/dir/testbeds/tb.ini"
export CLOSER_SIM_DIR="$tmp/dir"
expect 1 sim mine && says "mine.ini:6: [guest web] there is no key 'vcpsu', did you mean 'vcpus'?" &&
	ok "file, line, nearest key: $(sed 's/.*mine.ini/mine.ini/' "$tmp/err")" || not_ok "an unknown key"
expect 1 sim --list && says "mine.ini:6" || not_ok "--list with a scenario that is not sound"
sed -n '/^```$/,/^```$/p' "$here/man/closer-sim.5.head.scd" | grep -v '^```' >"$tmp/dir/scenarios/example.ini"
cp "$here/sim/testbeds/two-socket.ini" "$tmp/dir/testbeds/"
expect 0 sim example && ok "the manual's example runs" || not_ok "the manual's example"
unset CLOSER_SIM_DIR

# ---- a host like the others ----
host="--host sim:two-nodes:seed=2"
n=0
for verb in check status explain "plan" "apply" "run --for 4s" "run --mode advise" "record -o $tmp/rec"; do
	code=0
	[ "$verb" = plan ] && code=3
	# shellcheck disable=SC2086
	expect $code $verb $host && n=$((n + 1))
done
[ "$n" -eq 8 ] && ok "check, status, explain, plan, apply, run and record on a simulated host" || not_ok "$n of 8 verbs on a simulated host"
expect 0 replay --verify "$tmp/rec" && prints ", 0 decided otherwise" && ok "its recording replays: $(cat "$tmp/out")" || not_ok "replay"
expect 0 run --host sim:come-and-go --record "$tmp/rec2" --json && jq -es '(.[-1] | .done > 10 and .failed == 0 and .undo == null)' "$tmp/out" >/dev/null &&
	expect 0 replay --verify "$tmp/rec2" && prints ", 0 decided otherwise" && ok "guests that come and go: $(cat "$tmp/out")" || not_ok "run --record"
expect 2 apply --host sim:two-nodes --for 10m && says "makes no sense" || not_ok "apply --for on a simulated host"
expect 2 adopt 1 --host sim:two-nodes && says "simulated host" || not_ok "adopt on a simulated host"
[ ! -e "$CLOSER_STATE_DIR" ] && ok "no state directory, lock or journal was made" || not_ok "something was left in $CLOSER_STATE_DIR"

exit "$failed"
