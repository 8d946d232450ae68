# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# host.sh [short]: a job of the Xen lab: closer in a real dom0 sees, places and gives back the back ends of guests on two nodes, and of one
# that comes and goes while it runs, then the same by masks alone. For any number of pCPUs, scheduler, version of cgroups, and dom0 with
# fewer vCPUs than there are pCPUs, as long as they are pinned; where there is a second cpupool, guests of node 1 are in it. short: two guests
# instead of three, and a xenstored that goes on. The main container is CPU 0. What closer did is read from /proc by what is in lib.sh,
# never by closer.

has_threads() {
	[ "$(backend_threads "$1" | wc -l)" -ge "$2" ]
}
names_all() { # FILE PATTERN: a line of it for each guest
	for n in $guests; do
		grep -q "$2g$n" "$1" || return 1
	done
}
status_ok() {
	closer status >/out/status 2>&1 && cat /out/status && names_all /out/status ''
}
plan_ok() { # exit status 3: there is something to do
	plan_status=0
	closer plan >/out/plan 2>&1 || plan_status=$?
	[ $plan_status = 3 ] && names_all /out/plan 'place-thread.*of '
}
explain_ok() {
	closer explain >/out/explain 2>&1 && grep -q netback-rx /out/explain
}
no_groups() {
	[ ! -e "$(closer_groups)" ]
}
no_group() { # N
	[ ! -e "$(closer_groups)/$(guest_uuid "$1")" ]
}
# Without what groups a thread is in, once the hierarchies are unmounted: the kernel drops them when it likes.
state() {
	if [ "$LAB_CGROUP" = none ] && [ -z "$(ls /sys/fs/cgroup)" ]; then
		dom0_state | sed '/^thread /s/ [0-9][0-9]*:[^ ]*//g'
	else
		dom0_state
	fi
}
as_before() {
	state >/out/after
	diff /out/before /out/after
}
all_placed() {
	for n in $guests; do
		# shellcheck disable=SC2046 # a list
		placed "$n" $(cat "/tmp/beside.$n") || return 1
	done
}

# A xenstored that has stopped costs closer a moment, and is named.
stalled_ok() {
	kill -STOP "$(pidof xenstored)"
	timeout 120 closer check >/out/stalled 2>&1 || true
	timeout 120 closer plan >/out/stalled.plan 2>&1 || true
	kill -CONT "$(pidof xenstored)"
	grep -q 'xenstored has not answered' /out/stalled && grep -q 'guests could not be described' /out/stalled.plan
}
slow_ok() {
	kill -STOP "$(pidof xenstored)"
	{ sleep 0.8; kill -CONT "$(pidof xenstored)"; } &
	plan_ok
}

short=${1:-}
guests='1 2'
other=$(echo "$LAB_POOLS" | cut -d: -f1 | tr -d ' ')
other=${other:+pool=$other}
# shellcheck disable=SC2086 # a word, or none
{
	start_guest 1 node=0
	start_guest 2 node=1 $other
	if [ -z "$short" ]; then
		guests='1 2 3'
		start_guest 3 node=1 vcpus=2 queues=2 $other
	fi
}
for n in $guests; do
	wait_guest "$n"
	secondary $((n > 1)) >"/tmp/beside.$n"
done
peer
xl vcpu-list >/out/vcpus
cat /out/vcpus
say "secondary CPUs: node 0:$(cat /tmp/beside.1), node 1:$(cat /tmp/beside.2)"
[ -n "$short" ] || check "g3's back ends have two queues" has_threads 3 6
dom0_state >/out/before
for n in $guests; do
	ask "$n" "run udp-echo to=$LAB_PEER rate=20 for=600s + disk-read dev=/dev/xvda rate=20 for=600s" 650 >"/out/load$n.json" 2>&1 &
done

check "closer check counts the machine's CPUs and nodes" eval 'closer check >/out/check; cat /out/check; grep -q ", $LAB_PCPUS CPUs on $LAB_NODES nodes" /out/check'
check "closer status names the guests" status_ok
check "closer plan would place the threads of each" plan_ok
check "closer plan changes nothing" no_groups
check "closer apply" closer apply
check "back ends are on their guests' nodes, or the nearest CPUs there are, off the main container" all_placed
check "closer explain" explain_ok
check "closer undo" closer undo
check "after undo all is as before" as_before

[ -n "$short" ] || check "a xenstored that does not answer is named, and a plan without its guests says so" stalled_ok
[ -n "$short" ] || check "one that takes its time is waited for: the plan is whole" slow_ok

closer run --for 600s >/out/run 2>&1 &
run=$!
check "closer run places them" until_true 30 quietly all_placed
# shellcheck disable=SC2086 # a word, or none
start_guest 4 node=1 $other
wait_guest 4
# shellcheck disable=SC2046 # a list
check "a guest that comes is placed" until_true 20 quietly placed 4 $(cat /tmp/beside.2)
stop_guest 4
check "the container of a guest that went is removed" until_true 20 no_group 4
kill -TERM "$run"
wait "$run" || true
check "when closer run ends all is as before" as_before

# By masks alone: asked for, and because there is nothing else.
check "closer apply without containers" closer apply --set containers=no
check "no container is made" no_groups
LAB_CGROUP=none
check "the threads are where they were with containers" all_placed
check "closer undo" closer undo
check "after undo all is as before" as_before
umount -l /sys/fs/cgroup
state >/out/before
check "without cgroups closer check names what is lost" eval 'closer check >/out/bare; grep -q "^lost *cgroup" /out/bare'
check "closer apply without cgroups" closer apply
check "the threads are where they were with them" all_placed
check "closer undo" closer undo
check "after undo all is as before" as_before
verdict
