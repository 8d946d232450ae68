#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every verb of the command line, for real: on the template host, with processes of this test as its guests.
# cli.sh BUILD_DIR. Needs root, jq, util-linux. Masks are read from /proc, not by closer.
set -u

closer=$(realpath "$1/cli/closer")
tmp=$(mktemp -d)
state=$tmp/state
pids=
failed=0
export CLOSER_STATE_DIR="$state"

cleanup() {
	"$closer" undo >/dev/null 2>&1
	for pid in $pids; do
		kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

ok() { echo "ok cli: $*"; }
not_ok() {
	echo "not ok cli: $*"
	sed 's/^/# out: /' "$tmp/out" | head -5
	sed 's/^/# err: /' "$tmp/err" | head -5
	failed=1
}

# expect CODE VERB...: runs it, out and err kept; complains unless it exits with CODE.
expect() {
	want=$1
	shift
	"$closer" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	not_ok "closer $*: exit code $got, not $want"
	return 1
}

# says TEXT: the last run said so on stderr
says() { grep -qF -- "$1" "$tmp/err"; }
prints() { grep -qF -- "$1" "$tmp/out"; }

mask() { sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status"; }
masks() { for pid in $workers; do mask "$pid"; done; }
groups_of() { for pid in $workers; do cat "/proc/$pid/cgroup"; done; }

# until_true SECONDS COMMAND...: polls
until_true() {
	tries=$(($1 * 10))
	shift
	while [ "$tries" -gt 0 ]; do
		"$@" && return 0
		sleep 0.1
		tries=$((tries - 1))
	done
	return 1
}

spawn() {
	"$@" >/dev/null 2>&1 </dev/null &
	pids="$pids $!"
	last=$!
}

all=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
if [ ! -x "$closer" ]; then
	echo "not ok cli: there is no program $closer"
	exit 1
fi
if [ "$(id -u)" -ne 0 ] || [ "$(nproc)" -lt 2 ]; then
	echo "not ok cli: needs root and two CPUs"
	exit 1
fi
for dir in /sys/fs/cgroup/closer /sys/fs/cgroup/cpuset/closer; do
	if [ -d "$dir" ]; then
		echo "not ok cli: $dir is there: another closer acts here, or left it; this test needs the host for itself"
		exit 1
	fi
done
mkdir -m 700 "$state"

# ---- command line ----
verbs=$("$closer" help --json | jq -r '.verbs[].name')
n=0
for verb in $verbs; do
	expect 0 "$verb" --help && prints "Usage: closer $verb" && prints -- --help && n=$((n + 1))
	"$closer" help "$verb" | cmp -s - "$tmp/out" || not_ok "help $verb is not what $verb --help prints"
done
want=$(echo "$verbs" | wc -l)
if [ "$n" -eq "$want" ] && [ "$n" -ge 13 ]; then
	ok "help of $n verbs"
else
	not_ok "help: $n of $want verbs"
fi

# wrong CODE-LINE | TEXT: each is exit 2, names the mistake, prints nothing on stdout
n=0
while IFS='|' read -r line text; do
	# shellcheck disable=SC2086
	if expect 2 $line && says "$text" && [ ! -s "$tmp/out" ]; then
		n=$((n + 1))
	else
		not_ok "closer $line: did not say: $text"
	fi
done <<-END
	stauts|did you mean 'status'?
	xyzzyplugh|closer help
	plan --jsno|did you mean --json?
	plan --zzzzzzzz|closer plan --help
	plan -Z|no option -Z
	plan --json=1|takes no value
	plan --host|needs a URI
	plan --host=|not empty
	plan --set plce-floor=1%|did you mean 'place-floor'?
	plan --set place-floor|is not NAME=VALUE
	plan --set place-floor=x|give a share
	plan --set moves=x|give a whole number
	plan --set moves=9999999|out of range: from 1 to 65536
	plan --interval 1x|give a time
	plan --interval 1ns|out of range
	plan --set interval-min=2s|interval-min must be at most
	plan --main-cpus 3-1|a CPU list such as
	plan --main-cpus 99999|CPU
	plan --limit g3|give GUEST=SHARE
	plan --limit g3=5|at most 100%
	plan --limit g3=0%|more than 0%
	plan extra|one argument too many
	apply --for 0|is not a time
	apply --for 10parsecs|is not a time
	record|--output FILE
	record -o x --ticks 0|whole number from 1
	replay|argument is missing
	run --mode fast|is none of enforce|advise|observe
	adopt|argument is missing
	adopt guest|which guest
	adopt 12x|is no thread id
	adopt irq:|is no thread id
	help --completion tcsh|is none of
END
if [ "$n" -eq 33 ]; then
	ok "$n wrong command lines: exit 2, each named with what to do"
else
	not_ok "only $n of 33 wrong command lines"
fi
expect 2 && says "Verbs:" || not_ok "no verb: no list of them"
expect 0 --version && prints "closer " || not_ok "--version"
for shell in bash zsh fish; do
	expect 0 help --completion $shell && prints explain && prints main-cpus || not_ok "completion for $shell"
done
if command -v bash >/dev/null; then
	"$closer" help --completion bash >"$tmp/completion"
	got=$(bash -c '. "$1"; COMP_WORDS=(closer ex) COMP_CWORD=1; _closer; echo "${COMPREPLY[*]}"' - "$tmp/completion")
	[ "$got" = explain ] && ok "bash completes 'ex' to $got" || not_ok "bash completes 'ex' to '$got'"
fi

# ---- guests: sleeping ones, one that works a little ----
spawn sh -c 'while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; sleep 0.02; done'
busy=$last
spawn sleep 1000
idle=$last
spawn sleep 1000
third=$last
workers="$busy $idle $third"
host="template:$busy=busy,$idle=idle,$third=third"
fast="--interval 100ms --main-cpus 0"
before=$(masks)
groups_before=$(groups_of)

unchanged() { [ "$(masks)" = "$before" ] && [ "$(groups_of)" = "$groups_before" ]; }
changed() { [ "$(masks)" != "$before" ]; }
# closer on the template host, quickly
# shellcheck disable=SC2086
on() { code=$1; verb=$2; shift 2; expect "$code" "$verb" --host "$host" $fast "$@"; }

# ---- check ----
on 0 check && prints "main container on CPU 0" || not_ok "check"
if on 0 check --json && jq -e '.bad == 0 and ([.checks[].level] - ["ok","note","lost","bad"] == []) and
    ([.checks[].about] | contains(["build","privilege","cgroup","host","cpus","can","journal"]))' "$tmp/out" >/dev/null; then
	ok "check: $(jq '.checks | length' "$tmp/out") lines, $(jq '[.checks[] | select(.level == "lost")] | length' "$tmp/out") lost"
else
	not_ok "check --json"
fi
expect 1 check --host template:nopid && prints "bad " || not_ok "check of a host that is not there"
true &
gone=$!
wait $gone
expect 1 status --host "template:$gone" && says "no process $gone" || not_ok "status of a process that is not there"
on 2 plan -s foo=1 && ! says "did you mean" || not_ok "a parameter that is like none is given a name all the same"
expect 1 check --host nonsense:x && grep -q template "$tmp/out" || not_ok "check: an unknown host is not answered with those there are"

# ---- status ----
on 0 status && prints busy && prints HOST-CPU && prints unattributed || not_ok "status"
on 0 status --works && prints MAY-USE && prints "$idle" || not_ok "status --works"
if on 0 status --json && jq -e '(.guests | length == 3) and (.works | length == 3) and
    ([.guests[].name] | sort == ["busy","idle","third"]) and .main_cpus == "0" and
    (.guests[] | select(.name == "busy") | .host_ns > 0 and .host_ns == (.kinds | add)) and
    (.totals | .guest_ns + .host_ns + (.main_ns // 0) + .unattributed_ns - .busy_ns == .gap_ns)' "$tmp/out" >/dev/null; then
	ok "status: busy used $(jq '.guests[] | select(.name == "busy") | .host_ns / 1e6' "$tmp/out") ms of" \
		"$(jq '.span_ns / 1e6' "$tmp/out") ms, idle $(jq '.guests[] | select(.name == "idle") | .host_ns / 1e6' "$tmp/out") ms"
else
	not_ok "status --json"
fi
"$closer" status --host "$host" --interval 100ms --watch --json 2>/dev/null | head -3 >"$tmp/out"
[ "$(jq -s length "$tmp/out")" = 3 ] && ok "status --watch --json: 3 lines, ends when nobody reads" || not_ok "status --watch"

# ---- plan ----
on 3 plan && prints "place-thread $idle" && prints "changes" || not_ok "plan"
if on 3 plan --json && jq -e '[.actions[] | select(.kind == "place-thread")] | length == 3' "$tmp/out" >/dev/null && unchanged; then
	ok "plan: $(jq '.actions | length' "$tmp/out") actions, nothing changed"
else
	not_ok "plan --json"
fi

# ---- apply, explain, undo ----
if on 0 apply && prints done && changed; then
	on_main=$(masks | grep -cE '(^|,)0' || :)
	[ "$on_main" -eq 0 ] && ok "apply: masks of 3 threads $(masks | tr '\n' ' ')" || not_ok "apply: $on_main threads still on CPU 0"
else
	not_ok "apply"
fi
on 0 apply && says "nothing to change" || not_ok "apply twice"
on 0 plan && prints "nothing to change" && ok "plan after apply is empty" || not_ok "plan after apply is not empty"
on 0 explain idle && prints "set by   closer" && prints "thread $idle" && ! prints "thread $third" || not_ok "explain idle"
on 0 explain "$third" && prints "thread $third" && ! prints "thread $idle " || not_ok "explain by thread id"
on 0 explain && prints "set by closer, by the journal" || not_ok "explain: no journal"
on 0 explain --json && jq -e '(.works | length == 3) and (.journal | length >= 3)' "$tmp/out" >/dev/null || not_ok "explain --json"
on 0 explain idle --json && jq -e '.works | length == 1' "$tmp/out" >/dev/null || not_ok "explain idle --json"
cp "$(command -v sleep)" "$tmp/CPU 0"
spawn "$tmp/CPU 0" 1000
expect 0 explain --host "template:$last=vm" --interval 100ms && prints "vCPU 0: thread $last" || not_ok "explain of a vCPU"
on 1 explain nobody && says "there is no guest" || not_ok "explain of no guest"
on 1 explain 1 || not_ok "explain of pid 1"
on 0 check && prints "closer undo" || not_ok "check does not name what apply has left"
if expect 0 undo && says "verified" && unchanged; then
	ok "undo: masks and cgroups are what they were ($(sed -n 's/.*put back: \([^;]*\);.*/\1/p' "$tmp/err"))"
else
	not_ok "undo"
fi
expect 0 undo && says "nothing to undo" || not_ok "undo of nothing"
on 0 apply --json && jq -e '.failed == 0 and .done >= 3 and .until == null and ([.actions[].code] | all(. == 0))' "$tmp/out" >/dev/null ||
	not_ok "apply --json"
expect 0 undo --json && jq -e '.verified and .failed == 0 and .restored >= 3' "$tmp/out" >/dev/null && unchanged || not_ok "undo --json"

on 0 apply
sed 's/^done \([0-9]*\) /done 9\1 /' "$state/journal" >"$tmp/journal" && cat "$tmp/journal" >"$state/journal"
expect 1 undo && says "--skip-corrupt" && changed || not_ok "undo of a damaged journal"
on 1 check && prints "bad " || not_ok "check of a damaged journal"
on 1 apply && changed || not_ok "apply on a damaged journal"
expect 0 undo --skip-corrupt && unchanged && ok "a damaged journal is refused, --skip-corrupt puts all back" ||
	not_ok "undo --skip-corrupt"

# ---- apply --for, confirm ----
expect 1 confirm && says "nothing to confirm" || not_ok "confirm of nothing"
on 0 apply --for 4s && says "unless" && changed || not_ok "apply --for"
on 0 apply && says "undone at" && ! says "stays so" || not_ok "apply after apply --for does not say when all is undone"
on 0 apply --for 1h --json && [ "$(date -d "$(jq -r .until "$tmp/out")" +%s)" -lt $(($(date +%s) + 60)) ] ||
	not_ok "apply --for after apply --for does not say that the first one undoes all"
until_true 20 unchanged && ok "apply --for 4s: put back by itself" || not_ok "apply --for was not undone"
on 0 apply --for 2s && expect 0 confirm && says "stay" || not_ok "confirm"
sleep 4
changed && ok "confirm: still in place after the time" || not_ok "confirm: undone all the same"
expect 0 confirm --json && jq -e .confirmed "$tmp/out" >/dev/null || not_ok "confirm --json"
expect 0 undo && unchanged || not_ok "undo after confirm"

# ---- adopt ----
taskset -p 1 "$idle" >/dev/null
on 0 apply
if [ "$(mask "$idle")" = 0 ] && on 0 explain idle && prints "somebody else" && prints "closer adopt $idle"; then
	ok "a mask set by hand is left and reported"
else
	not_ok "a mask set by hand: now $(mask "$idle")"
fi
expect 0 adopt "$idle" && says "handed over" || not_ok "adopt"
on 0 apply
[ "$(mask "$idle")" != 0 ] || not_ok "adopt: not taken over"
expect 0 undo
[ "$(mask "$idle")" = 0 ] && ok "adopt: taken over, and undo gives back what was set by hand" || not_ok "adopt: undo gave $(mask "$idle")"
on 0 adopt guest idle --json && jq -e '.adopted | length == 1' "$tmp/out" >/dev/null || not_ok "adopt guest"
on 1 adopt guest nobody || not_ok "adopt of no guest"
expect 1 adopt 4194304 || not_ok "adopt of no thread"
expect 1 adopt irq:4000000 || not_ok "adopt of no interrupt"
rm -f "$state/adopt"
taskset -pc "$all" "$idle" >/dev/null

# ---- record, replay ----
on 0 record -o "$tmp/rec" --ticks 4 || not_ok "record"
expect 0 replay "$tmp/rec" --json && cp "$tmp/out" "$tmp/first" && expect 0 replay "$tmp/rec" --json
if cmp -s "$tmp/out" "$tmp/first" && [ "$(jq -s 'map(select(.same)) | length' "$tmp/out")" = 4 ]; then
	ok "replay: 4 ticks in $(wc -c <"$tmp/rec") bytes decide the same, twice, byte for byte"
else
	not_ok "replay --json"
fi
expect 0 replay "$tmp/rec" && prints "place-thread" || not_ok "replay"
expect 0 replay --verify "$tmp/rec" && [ "$(wc -l <"$tmp/out")" = 1 ] || not_ok "replay --verify"
expect 0 replay --tick 2 "$tmp/rec" && [ "$(grep -c '^tick ' "$tmp/out")" = 1 ] || not_ok "replay --tick"
expect 1 replay --tick 9 "$tmp/rec" && says "no tick 9" || not_ok "replay --tick 9"
size=$(wc -c <"$tmp/rec")
head -c $((size - 7)) "$tmp/rec" >"$tmp/torn"
expect 0 replay "$tmp/torn" && says "was cut" || not_ok "replay of a recording that was cut"
head -c 5000 /dev/urandom >"$tmp/noise"
expect 1 replay "$tmp/noise" || not_ok "replay of noise"
expect 1 replay "$tmp/none" && says "$tmp/none" || not_ok "replay of no file"
expect 0 status --host "replay:$tmp/rec" || not_ok "status of a recording"
unchanged || not_ok "recording changed something"
on 0 record -o "$tmp/rec2" --for 1s --json && jq -e '.ticks >= 2 and .bytes > 0' "$tmp/out" >/dev/null || not_ok "record --for --json"
on 1 record -o /dev/null/x --ticks 1 || not_ok "record into no directory"

# ---- run ----
start_run() {
	# shellcheck disable=SC2086
	"$closer" run --host "$host" $fast "$@" >"$tmp/run.out" 2>"$tmp/run.err" &
	run=$!
	pids="$pids $run"
}
start_run --record "$tmp/rec3"
if until_true 20 changed; then
	on 1 apply && says "$run" || not_ok "a second closer is not refused with the first one's pid"
	expect 1 undo && says "$run" || not_ok "undo below a running closer"
	on 0 status && changed || not_ok "status beside run"
	on 0 plan && prints "nothing to change" || not_ok "plan beside run takes what run has set for somebody's"
	kill -TERM "$run"
	wait "$run"
	code=$?
	[ "$code" -eq 0 ] && unchanged && grep -q verified "$tmp/run.err" && ok "run: placed, refused a second, put all back on SIGTERM" ||
		not_ok "run: exit code $code, $(tail -1 "$tmp/run.err")"
else
	not_ok "run changed nothing: $(tail -1 "$tmp/run.err")"
	kill -TERM "$run"
fi
expect 0 replay --verify "$tmp/rec3" && ok "run --record: $(cat "$tmp/out")" || not_ok "replay of run's recording"
start_run
until_true 20 changed
kill -KILL "$(cut -d' ' -f2 /run/closer.lock)"
until_true 20 grep -q "another was started" "$tmp/run.err" && ok "run: its supervisor was killed, it started another" ||
	not_ok "run: no other supervisor: $(tail -1 "$tmp/run.err")"
kill -KILL "$run"
wait "$run" 2>/dev/null
until_true 20 unchanged && ok "run: put back after SIGKILL" || not_ok "run was killed: $(masks | tr '\n' ' ')"
until_true 20 "$closer" undo 2>/dev/null || not_ok "undo after SIGKILL"
on 0 run --for 1s --json && jq -es '(.[0].kind | length > 0) and (.[-1] | .done >= 3 and .failed == 0 and .undo.verified)' "$tmp/out" \
	>/dev/null && unchanged || not_ok "run --for --json: $(jq -c 'select(.code > 0) | [.kind, .object, .outcome]' "$tmp/out" | head -c 400)"
on 0 run --mode advise --for 1s && says "place-thread" && unchanged || not_ok "run --mode advise"
on 0 run --mode observe --for 1s && ! says "place-thread" && unchanged || not_ok "run --mode observe"
ok "run: advise and observe change nothing"

# ---- no privilege, no output, no colours ----
mkdir "$tmp/open"
chmod 755 "$tmp"
cp "$closer" "$tmp/open/closer"	# where others may run it, wherever the build is
nobody() { (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/open/closer" "$@") >"$tmp/out" 2>"$tmp/err" </dev/null; }
nobody apply --host "$host" --state-dir "$tmp/open/state"
code=$?
[ "$code" -eq 1 ] && says root && unchanged && ok "no privilege: apply says $(head -1 "$tmp/err" | cut -c1-90)" || not_ok "apply without privilege"
nobody undo
[ "$?" -eq 1 ] && says root || not_ok "undo without privilege"
nobody check --host "$host" --json
jq -e '[.checks[] | select(.about == "privilege" and .level == "lost")] | length > 0' "$tmp/out" >/dev/null || not_ok "check without privilege"
# shellcheck disable=SC2086
"$closer" status --host "$host" $fast >/dev/full 2>"$tmp/err"
[ "$?" -eq 1 ] && says "could not be written" && ok "a full output is an error" || not_ok "status > /dev/full"
on 0 status --works
tr -d '\033' <"$tmp/out" | cmp -s - "$tmp/out" || not_ok "colours off a terminal"

# ---- hostile names ----
list=$tmp/guests
round=0
bad=0
while [ "$round" -lt 20 ]; do
	name=$(head -c 60 /dev/urandom | tr -d '\000\n')
	[ "$round" -eq 0 ] && name=$(printf '\033]0;owned\007\033[2J\\"\r%%s%%n')
	# a thread is named by what it runs
	program=$tmp/x$(head -c 13 /dev/urandom | tr -d '\000\n/')
	ln "$tmp/CPU 0" "$program"
	spawn "$program" 1000
	printf '%s %s\n' "$last" "$name" >"$list"
	for verb in status explain plan; do
		"$closer" $verb --host "template:@$list" --interval 100ms --json 2>"$tmp/err" >"$tmp/out"
		jq -e . "$tmp/out" >/dev/null 2>&1 || bad=$((bad + 1))
	done
	"$closer" explain --host "template:@$list" --interval 100ms >"$tmp/out" 2>"$tmp/err"
	left=$(cat "$tmp/out" "$tmp/err" | LC_ALL=C tr -d '[:print:]\n' | wc -c)
	[ "$left" -eq 0 ] && [ -s "$tmp/out" ] || bad=$((bad + 1))
	kill "$last"
	round=$((round + 1))
done
[ "$bad" -eq 0 ] && ok "$round hostile names of guests and threads: valid JSON, printable text" || not_ok "$bad outputs of hostile names are not clean"

exit "$failed"
