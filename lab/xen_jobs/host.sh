# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# host.sh: a job of the Xen lab: closer in a real dom0 sees, places and gives back the back ends of three guests on two nodes, and of one
# that comes and goes while it runs. dom0's vCPU n is on pCPU n, and the main container is CPU 0. What closer did is read from /proc by
# what is in lib.sh, never by closer.

count=0
bad=0
check() { # WHAT COMMAND..
	check_what=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $check_what"
	else
		echo "not ok $check_what"
		bad=$((bad + 1))
	fi
}

cpus_of() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status"
}

# All that closer may set: threads with their CPUs and groups, interrupts, and groups of its own.
world() {
	for n in "$@"; do
		backend_threads "$n" | while read -r pid name; do
			echo "$pid $name $(cpus_of "$pid") $(cat "/proc/$pid/cgroup")"
		done
		for irq in $(backend_irqs "$n"); do
			echo "irq $irq $(cat "/proc/irq/$irq/smp_affinity_list")"
		done
	done
	find /sys/fs/cgroup -type d -path '*closer*'
}

# Is every CPU of a list such as 0,2-3 in the words that follow?
within() { # LIST CPU..
	within_list=$1
	shift
	within_any=no
	for part in $(echo "$within_list" | tr , ' '); do
		cpu=${part%-*}
		while [ "$cpu" -le "${part#*-}" ]; do
			case " $* " in
			*" $cpu "*) within_any=yes ;;
			*) return 1 ;;
			esac
			cpu=$((cpu + 1))
		done
	done
	[ $within_any = yes ]
}

# Are all of a guest's threads and interrupts on these CPUs? Says which is not.
placed() { # N CPU..
	placed_n=$1
	shift
	backend_threads "$placed_n" >/tmp/threads
	[ -s /tmp/threads ] || return 1
	while read -r pid name; do
		within "$(cpus_of "$pid")" "$@" || {
			echo "g$placed_n: $name is on $(cpus_of "$pid"), not within $*"
			return 1
		}
		grep -q "/closer/$(guest_uuid "$placed_n")" "/proc/$pid/cgroup" || {
			echo "g$placed_n: $name is in $(cat "/proc/$pid/cgroup")"
			return 1
		}
	done </tmp/threads
	for irq in $(backend_irqs "$placed_n"); do
		within "$(cat "/proc/irq/$irq/smp_affinity_list")" "$@" || {
			echo "g$placed_n: interrupt $irq is on $(cat "/proc/irq/$irq/smp_affinity_list"), not within $*"
			return 1
		}
	done
}
quietly() {
	"$@" >/dev/null 2>&1
}
# CPUs of a node but the main container's.
secondary() {
	node_cpus "$1" | grep -vx 0 | tr '\n' ' '
}
has_threads() {
	[ "$(backend_threads "$1" | wc -l)" -ge "$2" ]
}
status_ok() {
	closer status >/out/status 2>&1 && cat /out/status && grep -q g1 /out/status && grep -q g2 /out/status && grep -q g3 /out/status
}
plan_ok() { # exit status 3: there is something to do
	plan_status=0
	closer plan >/out/plan 2>&1 || plan_status=$?
	[ $plan_status = 3 ] && grep -q 'place-thread.*of g1' /out/plan && grep -q 'place-thread.*of g2' /out/plan && grep -q 'place-thread.*of g3' /out/plan
}
explain_ok() {
	closer explain >/out/explain 2>&1 && grep -q netback-rx /out/explain
}
no_group() { # N
	[ ! -e "/sys/fs/cgroup/closer/$(guest_uuid "$1")" ]
}

# A xenstored that has stopped costs closer a moment, and is named.
stalled_ok() {
	kill -STOP "$(pidof xenstored)"
	timeout 120 closer check >/out/stalled 2>&1 || true
	kill -CONT "$(pidof xenstored)"
	grep -q 'xenstored has not answered' /out/stalled
}

start_guest 1 node=0
start_guest 2 node=1
start_guest 3 node=1 vcpus=2 queues=2
for n in 1 2 3; do
	wait_guest $n
done
peer
xl vcpu-list >/out/vcpus
cat /out/vcpus
node0=$(secondary 0) node1=$(secondary 1)
say "secondary CPUs: node 0: $node0, node 1: $node1"
check "g3's back ends have two queues" has_threads 3 6
world 1 2 3 >/out/before
cat /out/before
for n in 1 2 3; do
	ask $n "run udp-echo to=$LAB_PEER rate=50 for=30s + disk-read dev=/dev/xvda rate=50 for=30s" 60 >"/out/load$n.json" 2>&1 &
done

check "closer check" closer check
check "closer status names the guests" status_ok
check "closer plan would place the threads of each" plan_ok
check "closer plan changes nothing" sh -c '[ ! -e /sys/fs/cgroup/closer ]'
check "closer apply" closer apply
# shellcheck disable=SC2086 # lists
{
	check "g1's back ends are on node 0, off the main container" placed 1 $node0
	check "g2's back ends are on node 1" placed 2 $node1
	check "g3's back ends are on node 1" placed 3 $node1
}
check "closer explain" explain_ok
check "closer undo" closer undo
world 1 2 3 >/out/after
check "after undo all is as before" diff /out/before /out/after

check "a xenstored that does not answer is named" stalled_ok

closer run --for 600s >/out/run 2>&1 &
run=$!
# shellcheck disable=SC2086 # lists
{
	check "closer run places g1's back ends" until_true 30 quietly placed 1 $node0
	start_guest 4 node=1
	wait_guest 4
	check "a guest that comes is placed" until_true 20 quietly placed 4 $node1
}
stop_guest 4
check "the container of a guest that went is removed" until_true 20 no_group 4
kill -TERM "$run"
wait "$run" || true
world 1 2 3 >/out/after
check "when closer run ends all is as before" diff /out/before /out/after
say "$((count - bad)) of $count checks hold"
[ "$bad" = 0 ]
