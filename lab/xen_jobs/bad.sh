# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# bad.sh: a job of the Xen lab: what goes wrong around closer in a dom0, each tried for real. Wanted each time: a clear error, or work that
# goes on with the rest; and nothing left half done. In /lab/bin: other_abi.so, which makes the hypervisor see another version of its
# interface, and hold.so, which stops closer after its journal (tests/xen); modules.tar: libcloser-xen.so.other and .newer, of another closer
# and for another Xen.

fast='--interval 200ms'

# answers STATUS TEXT COMMAND..: it exits so, and says so
answers() {
	a_status=$1 a_text=$2 a_is=0
	shift 2
	"$@" >/tmp/answer 2>&1 || a_is=$?
	[ "$a_is" = "$a_status" ] && grep -qF -- "$a_text" /tmp/answer && return 0
	echo "  $*: status $a_is, wanted $a_status and '$a_text'; it said:"
	head -n 5 /tmp/answer
	return 1
}
# Whatever is on the machine is as it was when the job began, or since `note_state`.
note_state() {
	dom0_state >/tmp/noted
}
as_noted() {
	dom0_state >/tmp/now
	diff /tmp/noted /tmp/now >/tmp/difference && return 0
	head -n 10 /tmp/difference
	return 1
}
undone() {
	closer undo >/tmp/undo 2>&1 && [ ! -e /sys/fs/cgroup/closer ]
}
has_group() {
	[ -e "/sys/fs/cgroup/closer/$(guest_uuid "$1")" ]
}
# Of a guest's own threads: some are in its container.
is_placed() {
	backend_threads "$1" | while read -r pid name; do
		cat "/proc/$pid/cgroup"
	done | grep -q "closer/$(guest_uuid "$1")"
}
load() {
	for n in "$@"; do
		ask "$n" "run udp-echo to=$LAB_PEER rate=5 for=900s + disk-read dev=/dev/xvda rate=5 for=900s" 950 >/dev/null 2>&1 &
	done
}
# Control characters on its output are a terminal's commands.
is_clean() { # FILE
	! tr -d '\n' <"$1" | grep -q '[[:cntrl:]]'
}

# ---- no Xen for it: the module, the hypervisor's interface, privilege, a guest ----
module_cases() {
	mkdir -p /tmp/other
	cp "$(readlink -f "$(command -v closer)")" /tmp/other/closer
	tar -x -C /tmp/other -f /lab/bin/modules.tar
	cp /tmp/other/libcloser-xen.so.other /tmp/other/libcloser-xen.so
	check "a module of another closer is refused" answers 1 'of another closer' /tmp/other/closer status --host xen:
	cp /tmp/other/libcloser-xen.so.newer /tmp/other/libcloser-xen.so
	check "a module for another Xen is refused" answers 1 'the module for Xen cannot be loaded' /tmp/other/closer status --host xen:
	check "so it is by check, which goes on" answers 1 'managers' /tmp/other/closer check
	check "a hypervisor of another version is named" answers 1 'another interface' env LD_PRELOAD=/lab/bin/other_abi.so closer status
	umount -l /proc/xen # xenstored has it open
	check "without xenfs the way to it is named" answers 1 'mount -t xenfs' closer status --host xen:
	mount -t xenfs xenfs /proc/xen
}

nobody() {
	/lab/bin/setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
privilege_cases() {
	chmod 755 / /usr /usr/sbin /usr/bin /lab /lab/bin
	for verb in status apply check; do
		check "without privilege: $verb" answers 1 'run closer as root' nobody closer $verb --host xen: --state-dir /tmp/nobody
	done
}

# closer and its libraries go to guest 2 on its disk, before it looks at it.
closer_to_disk() {
	cp "$(readlink -f "$(command -v closer)")" /tmp/closer
	# shellcheck disable=SC2046 # names without blanks
	tar -c -h -f /dev/ram4 -C / tmp/closer lib64/ld-linux-x86-64.so.2 \
		$(LD_TRACE_LOADED_OBJECTS=1 /tmp/closer | sed -n 's,.* => /\([^ ]*\).*,\1,p')
}
guest_case() {
	guest_sh 2 'mkdir -p /x && tar -x -C /x -f /dev/xvda; mkdir -p /x/proc && mount -t proc proc /x/proc; chroot /x /tmp/closer status --host xen:; echo status $?; chroot /x /tmp/closer check >/dev/null; echo check $?' >/tmp/guest 2>&1 || true
	grep -q 'run closer in dom0' /tmp/guest && grep -q 'status 1' /tmp/guest && grep -q 'check 0' /tmp/guest && return 0
	cat /tmp/guest
	return 1
}

# ---- what xenstore says ----
put() { # PATH VALUE
	xenstore-write -- "$1" "$2"
}
# What looks answers, says nothing that a terminal would obey, would place nobody but back ends, and does not forget the other guests. In a
# slow machine xenstored may be late once: what was not described is left alone.
looks() { # VERB..
	l_bad=0
	for verb in plan "$@"; do
		l_status=0
		# shellcheck disable=SC2086 # a list
		timeout 120 closer $verb $fast >/tmp/look.$verb 2>&1 || l_status=$?
		[ "$verb:$l_status" = plan:3 ] || [ "$l_status" = 0 ] || {
			echo "  $verb: status $l_status: $(tail -n 1 /tmp/look.$verb)"
			l_bad=1
		}
		is_clean /tmp/look.$verb || {
			echo "  $verb passes control characters on"
			l_bad=1
		}
	done
	grep -q 'place-thread.*of g2' /tmp/look.plan || quietly until_true 2 knows_g2 || {
		echo "  plan: g2's threads are not in it:"
		tail -n 3 /tmp/look.plan
		l_bad=1
	}
	! grep -q 'place-thread \(1\|2\|'"$$"'\) ' /tmp/look.plan || {
		echo "  plan: it would place a process that is none of a guest's"
		l_bad=1
	}
	return $l_bad
}
knows_g2() {
	# shellcheck disable=SC2086 # a list
	closer plan $fast >/tmp/look.plan 2>&1 || grep -q 'place-thread.*of g2' /tmp/look.plan
}
store_cases() {
	d=$(domid 1)
	own=/local/domain/$d/device
	back=/local/domain/0/backend
	esc=$(printf 'g1\033[31m\007\r\n\tred')
	long=$(head -c 3000 /dev/zero | tr '\0' x)
	put "/local/domain/$d/name" "$esc"
	check "a name with control characters" looks status explain check
	put "/local/domain/$d/name" "$long"
	check "a name of 3,000 characters" looks status
	put "/local/domain/$d/name" "$(printf '\377\376../../%%s%%n')"
	for value in 99999999999999999999 -1 0x10 64 65 "$esc" "$long"; do
		put "$own/vif/0/multi-queue-num-queues" "$value"
		put "$own/vif/0/event-channel-tx" "$value"
		put "$own/vbd/51712/event-channel" "$value"
	done
	check "a name that is no text, a guest's numbers that are none, or too large" looks status explain
	put "/local/domain/$d/name" g1
	put "$own/vif/0/event-channel-tx" 1
	put "$own/vbd/51712/event-channel" 2147483647
	put "/local/domain/$d/image/device-model-pid" 1
	check "event channels that are another's, a device model that is pid 1" looks
	put "/local/domain/$d/image/device-model-pid" "$$"
	put "$back/vif/$d/0/vifname" '../../../etc'
	check "a device model that is somebody's shell, an interface's name that is a path" looks
	xenstore-rm "/local/domain/$d/image/device-model-pid"
	put "$back/vif/$d/0/vifname" "$esc"
	put "$back/vbd/$d/51712/dev" "$long"
	n=0
	while [ $n -lt 70 ]; do
		put "$back/vif/$d/1000$n/x" ''
		n=$((n + 1))
	done
	check "devices' names with control characters, and too long, and seventy interfaces of one guest" looks explain
	xenstore-rm "$back/vif/$d/0/vifname"
	put "$back/vbd/$d/51712/dev" xvda
	n=0
	while [ $n -lt 70 ]; do
		xenstore-rm "$back/vif/$d/1000$n"
		n=$((n + 1))
	done
	check "none of it has changed anything" as_noted
}

# ---- what changes between plan and apply ----
# closer is stopped when the journal is written, before its first change; meanwhile COMMAND runs.
is_stopped() {
	grep -qs '^State:.*stop' "/proc/$held/status"
}
held_apply() { # COMMAND..
	rm -f /run/closer/journal*
	# shellcheck disable=SC2086 # a list
	LD_PRELOAD=/lab/bin/hold.so closer apply $fast >/tmp/held 2>&1 &
	held=$!
	until_true 60 is_stopped && [ -e /run/closer/journal ] && [ ! -e /sys/fs/cgroup/closer ] || {
		echo "  apply did not get as far as its journal, or was not stopped there"
		cat /tmp/held
		kill -CONT $held || true
		wait $held || true
		return 1
	}
	held_ok=0
	"$@" >/tmp/meanwhile 2>&1 || held_ok=1
	kill -CONT $held
	[ $held_ok = 0 ] || cat /tmp/meanwhile
	held_status=0
	wait "$held" || held_status=$?
	cat /tmp/held >>/out/held
	return $held_ok
}
vanishes() {
	held_apply stop_guest 3 || return 1
	[ $held_status = 1 ] && grep -q 'gone' /tmp/held && is_placed 1 && is_placed 2 && return 0
	tail -n 5 /tmp/held
	return 1
}
detach() {
	xl block-detach g1 xvdb && until_true 10 no_thread 1 xvdb
}
no_thread() { # N DEVICE
	! backend_threads "$1" | grep -q "$2"
}
thread_dies() {
	held_apply detach || return 1
	[ $held_status = 1 ] && grep -q 'is gone' /tmp/held && is_placed 1 && is_placed 2 && return 0
	tail -n 5 /tmp/held
	return 1
}
# By hand on a thread: it is his, by whoever looks. Without the fence: before Linux 6.2 a partition forgets what is set by hand so late.
by_hand() {
	backend_threads 2 >/tmp/threads
	read -r hand_pid hand_name </tmp/threads
	taskset -p -c 3 "$hand_pid"
}
is_left() {
	fast="$fast --set fence=no"
	held_apply by_hand || return 1
	fast=${fast% --set*}
	[ $held_status = 1 ] && grep -q 'somebody else has set it' /tmp/held && [ "$(cpus_of "$hand_pid")" = 3 ] && return 0
	tail -n 5 /tmp/held
	return 1
}
left_by_undo() {
	undone && [ "$(cpus_of "$hand_pid")" = 3 ] && quietly taskset -p -c 0-$((LAB_PCPUS - 1)) "$hand_pid"
}

# ---- what others do while closer runs ----
is_running() {
	kill -0 "$run" 2>/dev/null
}
begin_run() {
	# shellcheck disable=SC2086 # a list
	closer run $fast >>/out/run 2>&1 &
	run=$!
	until_true 30 is_placed 1 && until_true 30 is_placed 2
}
end_run() {
	kill -TERM "$run"
	run_status=0
	wait "$run" || run_status=$?
	[ $run_status = 0 ] && [ ! -e /sys/fs/cgroup/closer ]
}
# It still ticks: a guest's reload is seen.
goes_on() {
	sleep 1
	is_running && is_placed 1 && is_placed 2
}
pins_change() {
	xl vcpu-pin g1 0 2 && xl vcpu-pin 0 1 2 && sleep 1 && goes_on
}
pins_back() {
	xl vcpu-pin g1 0 0-1 && xl vcpu-pin 0 1 1 && goes_on
}
pool_changes() {
	xl cpupool-cpu-remove Pool-0 3 && goes_on && xl cpupool-cpu-add Pool-0 3 && goes_on
}
slow_store() {
	store=$(pidof xenstored)
	(while [ ! -e /tmp/fast ]; do
		kill -STOP "$store"
		sleep 0.3
		kill -CONT "$store"
		sleep 0.05
	done) &
	slow=$!
	begin_run && goes_on
	slow_ok=$?
	: >/tmp/fast
	wait $slow
	return $slow_ok
}
store_gone() {
	kill -KILL "$(pidof xenstored)"
	sleep 7 # longer than it waits between two tries to connect
	goes_on
}
gone_looks() {
	for verb in status plan check; do
		g_status=0
		timeout 120 closer $verb >/tmp/gone.$verb 2>&1 || g_status=$?
		[ $g_status != 124 ] || return 1
	done
	[ $g_status = 1 ] && grep -q '^bad.*xenstore' /tmp/gone.check && grep -q 'left alone' /tmp/gone.check && grep -q 'nothing to change' /tmp/gone.plan && return 0
	grep xen /tmp/gone.check
	cat /tmp/gone.plan
	return 1
}

closer_to_disk
start_guest 1 node=0 disks=2
start_guest 2 node=1 vcpus=2
start_guest 3 node=1
for n in 1 2 3; do
	wait_guest $n
	domid $n >/tmp/domid.$n
done
# Without asking xenstored, which will not be there always.
domid() {
	cat "/tmp/domid.$1"
}
peer
check "a guest's closer says that it is no dom0" guest_case
load 1 2 3
note_state
module_cases
privilege_cases
check "nothing of that has changed anything" as_noted
store_cases
say "between plan and apply"
check "a domain that vanishes: the others are placed, the error names it" vanishes
check "undo after it" undone
note_state
check "a thread that dies: the others are placed, the error names it" thread_dies
check "undo after it" undone
note_state
check "a mask set by hand meanwhile: it is left" is_left
check "undo after it leaves it, too" left_by_undo
check "then all is as before" as_noted
say "while closer runs"
check "closer run places" begin_run
check "somebody's xl vcpu-pin of a guest and of dom0" pins_change
check "and back" pins_back
check "somebody takes a CPU from the cpupool, and gives it back" pool_changes
check "closer run ends" end_run
xl vcpu-pin 0 3 3 # Xen has let go of it when its CPU left the pool
check "all is as before" as_noted
check "xenstored that takes its time: work is placed all the same" slow_store
check "xenstored gone: what is placed stays" store_gone
check "closer run ends without xenstored" end_run
# xl speaks with xenstored: what it says is left out.
xl() { :; }
# Its event channels' interrupts went with it.
not_xenstored() {
	grep -v -e '^vcpu ' -e ' xenstored ' -e ' xl ' | while read -r line; do
		case $line in
		/proc/irq/*) [ -e "${line%%:*}" ] || continue ;;
		esac
		echo "$line"
	done
}
as_noted_but() {
	not_xenstored </tmp/noted >/tmp/less
	dom0_state | not_xenstored >/tmp/now
	diff /tmp/less /tmp/now
}
check "all is as before but for xenstored" as_noted_but
check "without xenstored: status, plan, check" gone_looks
verdict
