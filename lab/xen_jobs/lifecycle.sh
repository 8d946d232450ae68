# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lifecycle.sh: a job of the Xen lab: guests that reboot, are saved and restored, migrate to this same host, are destroyed and made, while
# `closer run` is on: their back ends, and the toolstack's processes at work for them, are placed within two intervals of a second. A guest
# on both nodes by its vCPUs has its queues' work on their nodes. Where it is asked for, NAPI runs in threads, which are placed too. dom0's
# vCPU n is on pCPU n, the main container is CPU 0. tests/xen/xen_watch writes down what /proc says of these processes; closer is not asked.

ALL=0-$((LAB_PCPUS - 1))
LIMIT=250 # hundredths of a second: two intervals, and half a second for ticks that are late in an emulated machine

now() {
	cut -d' ' -f1 /proc/uptime
}

# Processes of these names that were born after FROM: how many, how many were placed within CPUS while they lived and in a container of
# closer's, and the longest that it took, in hundredths.
judge() { # FROM NAMES CPUS
	awk -v from="$1" -v names="$2" -v cpus="$3" '
		function inside(list,   n, part, i, ends, c) {
			n = split(list, part, ",")
			for (i = 1; i <= n; i++) {
				if (split(part[i], ends, "-") < 2)
					ends[2] = ends[1]
				for (c = ends[1] + 0; c <= ends[2] + 0; c++)
					if (index(" " cpus " ", " " c " ") == 0)
						return 0
			}
			return n > 0
		}
		$3 / 100 >= from - 0.02 && $4 ~ names {
			id = $2 "." $3
			if (!(id in seen))
				who[++n] = id
			seen[id] = 1
			name[id] = $4
			if (!(id in lag) && inside($5) && $6 ~ /\/closer\//)
				lag[id] = int($1 * 100 - $3 + 0.5)
		}
		END {
			for (i = 1; i <= n; i++) {
				if (!(who[i] in lag)) {
					missed = missed " " name[who[i]]
					continue
				}
				placed++
				if (lag[who[i]] > most)
					most = lag[who[i]]
			}
			print n + 0, placed + 0, most + 0, missed
		}' /tmp/watch
}

# All that there were, at least LEAST of them, were placed in time.
all_placed() { # LEAST FROM NAMES CPUS
	ap_least=$1
	shift
	# shellcheck disable=SC2046 # fields
	set -- $(judge "$@")
	echo "$1 seen, $2 placed, the last after 0.01 s x $3; not placed:${4:+ $4} ${5:-}"
	[ "$1" -ge "$ap_least" ] && [ "$2" = "$1" ] && [ "$3" -le $LIMIT ]
}

# Of processes that may be over before the first interval is: those that lived long enough.
some_placed() { # FROM NAMES CPUS
	# shellcheck disable=SC2046 # fields
	set -- $(judge "$@")
	echo "$1 seen, $2 placed, the last after 0.01 s x $3; not placed:${4:+ $4} ${5:-}"
	[ "$2" -ge 1 ] && [ "$3" -le $LIMIT ]
}

is_settled() { # N CPUS: each of its back ends' threads is within CPUS
	is_threads=$(backend_threads "$1")
	[ -n "$is_threads" ] || return 1
	echo "$is_threads" | while read -r is_pid is_name; do
		is_cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$is_pid/status") || exit 1
		case " $2 " in
		*" $is_cpus "*) ;;
		*) exit 1 ;;
		esac
		grep -q "/closer/" "/proc/$is_pid/cgroup" || exit 1
	done
}

another_domid() { # N OLD
	ad_now=$(domid "$1" 2>/dev/null) && [ "$ad_now" != "$2" ]
}

place_of() { # PID
	echo "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status") $(sed -n 1p "/proc/$1/cgroup")"
}

# xl that waits for a guest's end is where any other process is, this shell for one.
waiters_are_free() {
	wf_count=0
	wf_others=$(place_of $$)
	for wf_pid in $(pidof xl); do
		wf_count=$((wf_count + 1))
		[ "$(place_of "$wf_pid")" = "$wf_others" ] || {
			echo "xl $wf_pid is on $(place_of "$wf_pid"), others on $wf_others"
			return 1
		}
	done
	[ "$wf_count" = 3 ] || echo "$wf_count are there"
	[ "$wf_count" = 3 ]
}

# The guest's vCPU that is told of events on a port of it: Xen's word.
port_vcpu() { # DOMID PORT
	lsevtchn "$1" | sed -n "s/^ *$2: VCPU \([0-9]*\): .*/\1/p"
}

# The end of one of g2's queues that a thread serves, as the guest wrote it.
thread_port() { # NAME
	tp_front=/local/domain/$(domid 2)/device
	tp_q=${1##*-q}
	case $1 in
	*-guest-rx) xenstore-read "$tp_front/vif/0/queue-${tp_q%%-*}/event-channel-rx" ;;
	*-dealloc) xenstore-read "$tp_front/vif/0/queue-${tp_q%%-*}/event-channel-tx" ;;
	*.xvda-*) xenstore-read "$tp_front/vbd/51712/queue-${1##*-}/event-channel" ;;
	esac
}

# g2's vCPU n may run on node n alone. Each queue's thread is on the node of the vCPU that is told of the queue, in a container of that node.
queues_are_apart() {
	backend_threads 2 | while read -r qa_pid qa_name; do
		qa_vcpu=$(port_vcpu "$(domid 2)" "$(thread_port "$qa_name")")
		case $qa_vcpu in
		0) qa_want="$node0" ;;
		1) qa_want="$node1" ;;
		*) exit 1 ;;
		esac
		qa_cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$qa_pid/status")
		echo "$qa_name: vCPU $qa_vcpu, CPUs $qa_cpus, $(cat "/proc/$qa_pid/cgroup")"
		case " $qa_want " in
		*" $qa_cpus "*) ;;
		*) exit 1 ;;
		esac
		grep -q "/closer/$(guest_uuid 2)/node$qa_vcpu" "/proc/$qa_pid/cgroup" || exit 1
	done >/tmp/queues
}
# Both nodes have some, or nothing is shown.
queues_are_on_both() {
	grep -q 'vCPU 0' /tmp/queues && grep -q 'vCPU 1' /tmp/queues
}

free_again() {
	for fa_n in 1 2 3; do
		backend_threads $fa_n | while read -r fa_pid fa_name; do
			[ "$(place_of "$fa_pid")" = "$ALL 0::/" ] || {
				echo "$fa_name is on $(place_of "$fa_pid")"
				exit 1
			}
		done || return 1
	done
	[ "$(place_of $$)" = "$ALL 0::/" ] && [ ! -e /sys/fs/cgroup/closer ]
}

# What g3 sends is work of a thread on its node, in its container.
napi_is_placed() {
	[ "$(cat "/sys/class/net/vif$(domid 3).0/threaded")" = 1 ] || return 1
	backend_threads 3 >/tmp/napi
	grep -q ' napi/' /tmp/napi && is_settled 3 "$node1"
}

napi_is_off() {
	for no_n in 1 2 3; do
		[ "$(cat "/sys/class/net/vif$(domid $no_n).0/threaded")" = 0 ] || return 1
	done
}

timed() { # WHAT COMMAND..
	timed_what=$1
	shift
	timed_from=$(now)
	timed_status=0
	"$@" >/tmp/timed 2>&1 || timed_status=$?
	[ $timed_status = 0 ] || tail -n 3 /tmp/timed
	say "$timed_what took from $timed_from to $(now)"
	return $timed_status
}

start_guest 2 node=span vcpus=2 queues=2
start_guest 3 node=1
wait_guest 2 60
wait_guest 3 60
say "PV guests are there"
start_pvh 1 45 node=1
say "all guests are there"
peer
command -v xen_watch >/dev/null || fail "xen_watch is not here: --add build/release/tests/xen/xen_watch"
xen_watch /tmp/watched >/tmp/watch &
watcher=$!
node0=$(node_cpus 0 | grep -vx 0 | tr '\n' ' ')
# A list of CPUs as the kernel writes it, if it is all of the node's.
node1=$(node_cpus 1 | tr '\n' ' ')
node1="$node1 $(node_cpus 1 | head -n 1)-$(node_cpus 1 | tail -n 1)"
closer run --for 600s >/out/run 2>&1 &
run=$!
check "g3 is placed on node 1" until_true 30 is_settled 3 "$node1"
check "g1 too" until_true 20 is_settled 1 "$node1"
for q in 1 2; do
	ask 2 "run udp-echo to=$LAB_PEER rate=100 for=4s + disk-read dev=/dev/xvda rate=100 for=4s" 30 >/dev/null || true
done
check "g2 spans the nodes: its queues' threads are each on their vCPU's" until_true 5 queues_are_apart
cat /tmp/queues
check "there are some on each node" queues_are_on_both
closer explain >/out/explain 2>&1 || true
keep /tmp/watch

cpus1="$(node_cpus 1 | tr '\n' ' ')"
was=$(domid 3) from=$(now)
reboot_guest 3
check "g3 reboots" until_true 60 another_domid 3 "$was"
wait_guest 3 60
sleep 3
check "its back ends are placed again in time" all_placed 3 "$from" "^vif$(domid 3)[.]|^$(domid 3)[.]xvd" "$cpus1"

from=$(now)
check "g1 is saved" timed save xl save g1 /tmp/g1.save
check "its save helper was placed while it lived" all_placed 1 "$from" '^libxl-save-help$' "$cpus1"
check "and xl" some_placed "$from" '^xl$' "$cpus1"
from=$(now)
check "g1 is restored" timed restore xl restore /tmp/g1.save
rm -f /tmp/g1.save
check "its restore helper was placed while it lived" all_placed 1 "$from" '^libxl-save-help$' "$cpus1"
wait_guest 1 60
sleep 3
check "its back ends are placed again in time" all_placed 3 "$from" "^vif$(domid 1)[.]|^$(domid 1)[.]xvd" "$cpus1"

from=$(now)
check "g1 migrates to this same host" timed migrate xl migrate -s here g1 localhost
check "both helpers of the migration were placed while they lived" all_placed 2 "$from" '^libxl-save-help$' "$cpus1"
check "and xl" some_placed "$from" '^xl$' "$cpus1"
wait_guest 1 60
sleep 3
check "its back ends are placed again in time" all_placed 3 "$from" "^vif$(domid 1)[.]|^$(domid 1)[.]xvd" "$cpus1"

stop_guest 3
from=$(now)
check "g3 is made anew" timed create start_guest 3 node=1
check "xl create was placed while it lived" some_placed "$from" '^xl$' "$cpus1"
wait_guest 3 60
sleep 3
check "its back ends are placed in time" all_placed 3 "$from" "^vif$(domid 3)[.]|^$(domid 3)[.]xvd" "$cpus1"
check "xl that waits for a guest's end is not held" until_true 3 waiters_are_free
closer explain >/out/explain2 2>&1 || true

kill -TERM "$run"
wait "$run" || true
check "when closer run ends all is free again" free_again
check "xl too" waiters_are_free
closer run --for 600s --set napi_threads=1 >/out/run.napi 2>&1 &
run=$!
# Its beginning is in this time, too: loading BPF programs takes an emulated machine seconds.
check "threads of g3's NAPI are there when asked for, and placed" until_true 40 napi_is_placed
kill -TERM "$run"
wait "$run" || true
check "NAPI is out of threads again" napi_is_off
check "and all is free again" free_again
touch /tmp/watched
wait "$watcher" || true
keep /tmp/watch
verdict
