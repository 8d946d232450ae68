#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guests.sh BUILD_DIR: real QEMU guests that come, reboot, restart and are killed while `closer run` is on; a mask that an
# operator sets by hand; and what is left when closer ends or is killed. Threads, masks and cgroups are read by sh
# (lib.sh, demo_state.sh), not by closer.
set -eu
export LC_ALL=C

CLOSER_BUILD=$(cd "${1:?usage: guests.sh BUILD_DIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
LAB_HOME=$(cd "$here/../../lab" && pwd)
# shellcheck source=lab/lib.sh
. "$LAB_HOME/lib.sh"

closer=$CLOSER_BUILD/cli/closer
host=qemu:$LAB_DIR
wait_s=60	# patience with a loaded machine, not what is expected
run_pid=
failed=0

ok() {
	echo "ok guests: $*"
}

not_ok() {
	echo "not ok guests: $*"
	failed=1
}

finish() {
	trap - EXIT
	[ -z "$run_pid" ] || kill -TERM "$run_pid" 2>/dev/null || true
	[ -z "$run_pid" ] || wait "$run_pid" || true
	lab_clean
}

closer_run() {
	"$closer" run --host "$host" --state-dir "$LAB_DIR/state" >>"$LAB_DIR/log/run" 2>&1 9>&- &
	run_pid=$!
}

closer_on() { # VERB ARGS..
	closer_verb=$1
	shift
	"$closer" "$closer_verb" --state-dir "$LAB_DIR/state" "$@"
}

off_main() { # GUEST
	on_main=$(lab_on_cpus "$1" "$main_cpus") && [ -z "$on_main" ]
}

threads_of() {
	find "/proc/$(lab_pid "$1")/task" -mindepth 1 -maxdepth 1 2>/dev/null | grep -c .
}

# Polls a condition and says what was seen, with how long it took.
expect() { # TEXT COMMAND...
	text=$1
	shift
	from=$(date +%s%N)
	if lab_until "$wait_s" "$@"; then
		ok "$text ($((($(date +%s%N) - from) / 1000000)) ms)"
	else
		not_ok "$text: not within $wait_s s; closer said: $(tail -n 3 "$LAB_DIR/log/run" | tr '\n' '|')"
	fi
}

known() { # GUEST: does closer count it?
	closer_on status --json --interval 200ms --host "$host" | jq -e --arg uuid "$(lab_uuid "$1")" \
		'.guests | any(.uuid == $uuid)' >/dev/null
}

groups_of() { # GUEST or "": closer's cgroups
	"$here/demo_state.sh" dump |
		awk -v prefix="/closer${1:+/$(lab_uuid "$1")}" '$1 == "cgroup" && index($3 "/", prefix "/") == 1 { print $2 $3 }'
}

forgotten() { # GUEST
	! known "$1" && [ -z "$(groups_of "$1")" ]
}

all_off_main() {
	for guest in "$@"; do
		off_main "$guest" || return 1
	done
}

disk_work() { # GUEST: makes QEMU start workers
	lab_ask "$1" 'run disk-read dev=/dev/vda depth=4 for=500ms' >/dev/null
}

mask_of() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status"
}

iothread_of() {
	lab_qmp "$1" '{"execute":"query-iothreads"}' | jq -r '.return[0]["thread-id"]'
}

booted() { # GUEST TIMES
	[ "$(grep -c 'userland after' "$LAB_DIR/log/g$1")" -ge "$2" ]
}

come_and_go() {
	expect "2 guests, $(threads_of 1) and $(threads_of 2) threads: host side off main CPUs $main_cpus" all_off_main 1 2
	lab_start 3
	expect 'a guest started later: placed' off_main 3
	lab_wait 3
	disk_work 3
	expect "after disk work ($(threads_of 3) threads, workers among them): placed" off_main 3
	lab_qmp 1 '{"execute":"system_reset"}' >/dev/null
	lab_until "$wait_s" booted 1 2 || lab_fail 'guest g1 did not come up again after a reset'
	lab_wait 1
	disk_work 1
	expect 'a guest rebooted by system_reset: placed' off_main 1
	old_pid=$(lab_pid 1)
	lab_qmp 1 '{"execute":"quit"}' >/dev/null || true
	lab_kill 1 TERM
	lab_start 1
	expect "a guest whose QEMU ended and came back (pid $old_pid, now $(lab_pid 1)): placed" off_main 1
	lab_wait 1
	groups=$(groups_of 2 | grep -c . || true)
	lab_kill 2
	expect "a guest killed by SIGKILL: forgotten, none of its $groups cgroups is left" forgotten 2
	all_off_main 1 3 && ok 'the others are still placed' || not_ok 'the others are no longer placed'
}

reported() { # TID: does explain say that it is somebody else's?
	closer_on explain --host "$host" "$1" | grep -q 'somebody else has set it'
}

mask_is() {
	[ "$(mask_of "$1")" = "$2" ]
}

# As an operator does: a mask outside its container's CPUs needs the thread out of there first, where the guest's
# vCPUs are, which closer leaves where they were.
put_on_cpu() { # GUEST TID CPU
	vcpu=$(lab_qmp "$1" '{"execute":"query-cpus-fast"}' | jq -r '.return[0]["thread-id"]')
	mount=$(awk '/ - cgroup / && $NF ~ /(^|,)cpuset(,|$)/ { print $5; exit }' /proc/self/mountinfo)
	if [ -n "$mount" ]; then
		home=$(sed -n 's/^[0-9]*:\([^:]*,\)\{0,1\}cpuset\(,[^:]*\)\{0,1\}://p' "/proc/$vcpu/cgroup")
		echo "$2" >"$mount$home/tasks"
	fi
	taskset -p -c "$3" "$2" >/dev/null
}

by_hand() {
	first_main=$(lab_cpus "$main_cpus")
	first_main=${first_main%% *}
	tid=$(iothread_of 3)
	put_on_cpu 3 "$tid" "$first_main"
	expect "an iothread put on CPU $first_main by hand: reported as somebody else's" reported "$tid"
	# Several ticks in which closer could have taken it back.
	sleep 4
	if mask_is "$tid" "$first_main"; then
		ok 'it is left alone after 4 more intervals'
	else
		not_ok "it was changed to $(mask_of "$tid")"
	fi
	closer_on adopt "$tid" >/dev/null || not_ok 'closer adopt failed'
	expect 'after closer adopt: placed' off_main 3
}

ends() {
	tid=$(iothread_of 3)
	code=0
	kill -TERM "$run_pid"
	wait "$run_pid" || code=$?
	run_pid=
	[ "$code" = 0 ] && ok 'closer run ended with 0' || not_ok "closer run ended with $code: $(tail -n 3 "$LAB_DIR/log/run")"
	[ -z "$(groups_of '')" ] && ok 'no cgroup is left' || not_ok "left behind: $(groups_of '' | tr '\n' ' ')"
	[ ! -e "$LAB_DIR/state/journal" ] && ok 'no journal is left' || not_ok 'a journal is left'
	wrong=
	for guest in 1 3; do
		for task in "/proc/$(lab_pid "$guest")/task"/*; do
			mask=$(mask_of "${task##*/}")
			[ "${task##*/}" = "$tid" ] || [ "$mask" = "$default_mask" ] || wrong="$wrong ${task##*/}:$mask"
		done
	done
	[ -z "$wrong" ] && ok "all masks are $default_mask again" || not_ok "masks that are not back:$wrong"
	mask_is "$tid" "$first_main" && ok "the adopted iothread has the operator's mask again" ||
		not_ok "the adopted iothread has mask $(mask_of "$tid"), not the operator's $first_main"
	taskset -p -c "$default_mask" "$tid" >/dev/null
}

dump() {
	"$here/demo_state.sh" dump "g1=$(lab_pid 1)" "g3=$(lab_pid 3)"
}

is_as_before() {
	dump >"$LAB_DIR/after"
	"$here/demo_state.sh" compare "$LAB_DIR/before" "$LAB_DIR/after" >"$LAB_DIR/difference"
}

killed() {
	dump >"$LAB_DIR/before"
	closer_run
	expect 'closer started again: placed' all_off_main 1 3
	is_as_before && not_ok 'the independent reader sees no change while closer runs' ||
		ok "the independent reader sees $(grep -c '^> ' "$LAB_DIR/difference") objects changed"
	kill -KILL "$run_pid"
	wait "$run_pid" 2>/dev/null || true
	run_pid=
	expect 'closer run killed by SIGKILL: its supervisor restored everything' is_as_before
	cat "$LAB_DIR/difference"
}

[ -x "$closer" ] || lab_fail "$closer is not built"
lab_open
lab_trap finish
mkdir -p "$LAB_DIR/state"
lab_start 1
lab_start 2
lab_wait 1
lab_wait 2
default_mask=$(mask_of "$(lab_pid 1)")
main_cpus=$(closer_on status --json --interval 200ms --host "$host" | jq -r .main_cpus)
if [ -z "$main_cpus" ]; then
	echo 'not ok guests: closer leaves the main container no CPU here: this needs two or more CPUs'
	exit 1
fi
closer_run
come_and_go
by_hand
ends
killed
exit "$failed"
