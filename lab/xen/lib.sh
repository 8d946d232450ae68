# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh: what a job of the Xen lab has in dom0. A job is run by busybox's sh -eu with this in; its files in /out and its exit status
# come back. $LAB_PEER is where guests find the network's other end.
#
#   start_guest N [KEY=VALUE..]   creates guest gN (1 to 32); the keys, and from where their defaults come:
#       vcpus=$LAB_VCPUS queues=$LAB_QUEUES (per vif and per disk) mem=$LAB_MEM maxmem= (MiB) disks=$LAB_DISKS (xvda..)
#       disk=DEVICE: what is behind xvda, instead of dom0's memory
#       type=$LAB_TYPE (pv, pvh) weight= cap= pool= linux= (an argument for its kernel)
#       node=0, 1, ..: its CPUs and memory there; span: vCPUs by turns on each node, memory on all; any: as Xen chooses. Default: its place
#       in the list $LAB_PLACES, which is gone through by turns; where that is empty, node (N - 1) modulo the nodes
#       cpus=LIST: instead of node, as in xl.cfg
#   wait_guest N [SECONDS]        returns when its userland answers; fails the job after 180 s
#   start_pvh N SECONDS [KEY=VALUE..]  start_guest type=pvh and wait_guest: a PVH guest's boot stalls now and then, and is tried once more
#   ask N COMMAND [SECONDS]       one command to its agent (loadgen --help), prints the JSON reply, within 60 s where nothing is said:
#                                 ask 1 "run udp-echo to=$LAB_PEER rate=200 for=5s + disk-read dev=/dev/xvda rate=200 for=5s"
#   guest_sh N COMMAND [SECONDS]  one command line in its shell; its output and exit status
#   reboot_guest N, stop_guest N  stop destroys at once
#   domid N, guest_ip N, guest_uuid N
#   peer                          starts loadgen's network peer in dom0, at $LAB_PEER
#   node_cpus NODE                pCPUs of a node, one a line
#   pool NAME SCHED CPUS          makes a cpupool (credit, credit2) of CPUs (xl's list, 2-3), which leave Pool-0
#   backend_threads N             "PID NAME" of each kernel thread that works for guest gN in dom0
#   backend_irqs N                numbers of its interrupts that bear its name (vifs)
#   off_main N                    true if none of these may be on CPU 0
#   pin_dom0 on|off               dom0's vCPU n on pCPU n, as an operator would by hand; off: anywhere
#   until_true SECONDS COMMAND..  tries it ten times a second; fails when the time is over
#   keep FILE..                   copies files into /out
#   say TEXT, fail TEXT           on the job's output; fail ends the job with 1
#   check WHAT COMMAND..          prints "ok WHAT" or "not ok WHAT"; the job goes on. `verdict` at the end counts, and fails if one did not hold
#   quietly COMMAND..             without its output
#   cpus_of PID                   CPUs that a thread may use
#   secondary NODE                CPUs of dom0 on a node, but the main container's, CPU 0; all others where it has none there
#   closer_groups                 where closer's groups are, if it has any
#   placed N CPU..                are all threads and named interrupts of guest gN on these CPUs, and its threads in its container, where there
#                                 are containers? Says which is not
#   dom0_state                    masks and groups of dom0's threads, interrupts, groups, vCPUs' pins: all that closer may set; read from /proc,
#                                 sysfs and xl, sorted, to be compared

lab_places=${LAB_PLACES:-}
LAB_PEER=$LAB_NET.1:7077

say() {
	echo "lab: $(cut -d' ' -f1 /proc/uptime) s: $*"
}

fail() {
	echo "lab: $*" >&2
	exit 1
}

# The clock's seconds: a try may take some itself.
until_true() {
	read -r lab_now lab_rest </proc/uptime
	lab_until=$((${lab_now%.*} + $1))
	shift
	until "$@"; do
		read -r lab_now lab_rest </proc/uptime
		[ "${lab_now%.*}" -lt "$lab_until" ] || return 1
		sleep 0.1
	done
}

keep() {
	cp -r "$@" /out/
}

guest_ip() {
	echo "$LAB_NET.$((10 + $1))"
}

guest_uuid() {
	printf 'c105e700-0000-4000-8000-%012d\n' "$1"
}

domid() {
	xl domid "g$1"
}

node_cpus() {
	# As the machine was given them; xl leaves out CPUs that are alone in their package.
	seq $(($1 * LAB_PCPUS / LAB_NODES)) $((($1 + 1) * LAB_PCPUS / LAB_NODES - 1))
}

pool() {
	xl cpupool-cpu-remove Pool-0 "$3" || fail "taking CPUs $3 from Pool-0 failed"
	echo "name=\"$1\" sched=\"$2\"" | tr ' ' '\n' >"/etc/xen/pool-$1"
	xl cpupool-create "/etc/xen/pool-$1" >/dev/null || fail "creating cpupool $1 failed"
	xl cpupool-cpu-add "$1" "$3" || fail "giving CPUs $3 to cpupool $1 failed"
}

# Where guest N goes if the job does not say.
lab_place() {
	if [ -z "$lab_places" ]; then
		echo $((($1 - 1) % LAB_NODES))
		return
	fi
	# shellcheck disable=SC2086 # a list
	set -- "$1" $lab_places
	shift $((1 + ($1 - 1) % ($# - 1)))
	echo "$1"
}

# The line of xl.cfg for a place. A list with an entry for each vCPU: with one text for all of them libxl's own placement still chooses a node for
# the memory, and another one at times.
lab_cpus() { # PLACE|cpus:LIST VCPUS
	[ "$1" != any ] || return 0
	lab_list=
	lab_i=0
	while [ "$lab_i" -lt "$2" ]; do
		case $1 in
		cpus:*) lab_cpu=${1#cpus:} ;;
		span) lab_cpu=nodes:$((lab_i % LAB_NODES)) ;;
		*) lab_cpu=nodes:$1 ;;
		esac
		[ "$1:$2" != span:1 ] || lab_cpu=nodes:0-$((LAB_NODES - 1))
		lab_list="$lab_list${lab_list:+,}\"$lab_cpu\""
		lab_i=$((lab_i + 1))
	done
	echo "cpus=[$lab_list]"
}

lab_disks() { # N DISKS [FIRST]
	lab_i=0
	lab_first=${3:-}
	while [ "$lab_i" -lt "$2" ]; do
		printf '"phy:%s,xvd%s,w",' "${lab_first:-/dev/ram$((($1 - 1) * LAB_DISKS_MAX + lab_i))}" "$(printf 'abcd' | cut -c $((lab_i + 1)))"
		lab_first=
		lab_i=$((lab_i + 1))
	done
}

start_guest() (
	lab_n=$1
	shift
	vcpus=$LAB_VCPUS queues=$LAB_QUEUES mem=$LAB_MEM maxmem='' disks=$LAB_DISKS type=$LAB_TYPE node='' cpus='' weight='' cap='' pool='' linux='' disk=''
	for lab_word in "$@"; do
		case $lab_word in
		vcpus=* | queues=* | mem=* | maxmem=* | disks=* | type=* | node=* | cpus=* | weight=* | cap=* | pool=* | disk=* | linux=*) eval "${lab_word%%=*}=\${lab_word#*=}" ;;
		*) fail "start_guest $lab_n: there is no option '$lab_word'" ;;
		esac
	done
	[ "$disks" -le "$LAB_DISKS_MAX" ] || fail "start_guest $lab_n: at most $LAB_DISKS_MAX disks"
	[ $((lab_n * LAB_DISKS_MAX)) -le "$LAB_RAMDISKS" ] || fail "start_guest $lab_n: there are disks for $((LAB_RAMDISKS / LAB_DISKS_MAX)) guests"
	place=${cpus:+cpus:$cpus}
	[ -n "$place" ] || place=${node:-$(lab_place "$lab_n")}
	cpus=$(lab_cpus "$place" "$vcpus")
	# A PVH guest under emulation keeps no time with an emulated TSC.
	cat >"/etc/xen/guests/g$lab_n.cfg" <<CFG
name="g$lab_n"
uuid="$(guest_uuid "$lab_n")"
type="$type"
kernel="/boot/vmlinux"
ramdisk="/boot/domu.img"
memory=$mem
maxmem=${maxmem:-$mem}
vcpus=$vcpus
$cpus
${weight:+cpu_weight=$weight}
${cap:+cap=$cap}
$([ -z "$pool" ] || echo "pool=\"$pool\"")
$([ "$type" != pvh ] || echo 'tsc_mode="native"')
extra="console=hvc0 quiet cryptomgr.notests lsm= audit=0 mitigations=off nokaslr panic=-1 closer.lab=1 closer.ip=$(guest_ip "$lab_n") closer.queues=$queues $linux"
vif=["bridge=xenbr0,mac=00:16:3e:99:77:$(printf %02x "$lab_n")"]
disk=[$(lab_disks "$lab_n" "$disks" "$disk")]
on_crash="preserve"
CFG
	xl create -q "/etc/xen/guests/g$lab_n.cfg" || fail "xl create of g$lab_n failed"
)

start_pvh() {
	lab_pvh=$1 lab_seconds=$2
	shift 2
	start_guest "$lab_pvh" type=pvh "$@"
	until_true "$lab_seconds" lab_answers "$lab_pvh" || {
		say "g$lab_pvh stalled in its boot: made anew"
		stop_guest "$lab_pvh"
		start_guest "$lab_pvh" type=pvh "$@"
		wait_guest "$lab_pvh" "$lab_seconds"
	}
}

# One line to a guest's port. Its answer's last line is the status. The time is a limit for a guest that died meanwhile.
lab_line() { # N SECONDS LINE
	lab_answer=$(printf '%s\n' "$3" | timeout "$2" nc "$(guest_ip "$1")" 7070) || true
	lab_status=${lab_answer##*
}
	case $lab_status in
	'' | *[!0-9]*)
		echo "lab: g$1 gave no answer to: $3" >&2
		return 1
		;;
	esac
	if [ "$lab_answer" != "$lab_status" ]; then
		printf '%s\n' "${lab_answer%
*}"
	fi
	return "$lab_status"
}

ask() {
	lab_line "$1" $((${3:-60} + 10)) "ask ${3:-60}s $2"
}

guest_sh() {
	lab_line "$1" "${3:-60}" "sh $2"
}

wait_guest() {
	until_true "${2:-180}" lab_answers "$1" || {
		tail -n 5 "/var/log/xen/console/guest-g$1.log" >&2
		fail "guest g$1 does not answer; its console is above"
	}
}

lab_answers() {
	lab_line "$1" 3 "ask 2s ping" >/dev/null 2>&1
}

reboot_guest() {
	lab_line "$1" 5 reboot
}

stop_guest() {
	xl destroy "g$1"
}

peer() {
	# Its own output, since the job's port ends with the job; a child of nobody here, so that a job's `wait` does not wait for it.
	(loadgen peer "$LAB_PEER" >/tmp/peer.log 2>&1 </dev/null &)
	until_true 10 grep -qsx ready /tmp/peer.log || fail "the peer did not start: $(cat /tmp/peer.log)"
}

backend_threads() {
	# Few processes: they are slow to start under emulation.
	grep -s . /proc/[0-9]*/comm | sed -n -E "s,^/proc/([0-9]+)/comm:((napi/)?vif$(domid "$1")\\.|$(domid "$1")\\.xvd)(.*),\1 \2\4,p"
}

backend_irqs() {
	awk -v "vif=vif$(domid "$1")." -F: 'index($0, vif) { print $1 + 0 }' /proc/interrupts
}

off_main() {
	for lab_t in $(backend_threads "$1" | cut -d' ' -f1); do
		! grep -qs '^Cpus_allowed_list:[[:space:]]*0' "/proc/$lab_t/status" || return 1
	done
	for lab_t in $(backend_irqs "$1"); do
		! grep -q ^0 "/proc/irq/$lab_t/smp_affinity_list" || return 1
	done
}

pin_dom0() {
	if [ "$1" = off ]; then
		xl vcpu-pin 0 all all
		return
	fi
	for lab_v in $(xl vcpu-list 0 | awk 'NR > 1 { print $3 }'); do
		xl vcpu-pin 0 "$lab_v" "$lab_v"
	done
}

# Pools and guests that the command line asked for.
lab_first_guests() {
	for lab_p in $LAB_POOLS; do
		lab_c=${lab_p#*:}
		pool "${lab_p%%:*}" "${lab_c%%:*}" "${lab_c#*:}"
	done
	lab_g=1
	while [ "$lab_g" -le "$LAB_GUESTS" ]; do
		start_guest "$lab_g"
		lab_g=$((lab_g + 1))
	done
	lab_g=1
	while [ "$lab_g" -le "$LAB_GUESTS" ]; do
		wait_guest "$lab_g"
		lab_g=$((lab_g + 1))
	done
}

lab_count=0
lab_bad=0
check() {
	lab_what=$1
	shift
	lab_count=$((lab_count + 1))
	if "$@"; then
		echo "ok $lab_what"
	else
		echo "not ok $lab_what"
		lab_bad=$((lab_bad + 1))
	fi
}

verdict() {
	say "$((lab_count - lab_bad)) of $lab_count checks hold"
	[ "$lab_bad" = 0 ]
}

quietly() {
	"$@" >/dev/null 2>&1
}

cpus_of() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/status"
}

# Is every CPU of a list such as 0,2-3 in the words that follow?
within() { # LIST CPU..
	lab_list=$1
	shift
	lab_any=no
	for lab_part in $(echo "$lab_list" | tr , ' '); do
		lab_cpu=${lab_part%-*}
		while [ "$lab_cpu" -le "${lab_part#*-}" ]; do
			case " $* " in
			*" $lab_cpu "*) lab_any=yes ;;
			*) return 1 ;;
			esac
			lab_cpu=$((lab_cpu + 1))
		done
	done
	[ $lab_any = yes ]
}

secondary() {
	node_cpus "$1" >/tmp/node
	xl vcpu-list Domain-0 | awk 'NR == FNR { node[$1] = 1; next }
		$3 ~ /^[1-9]/ { all = all " " $3; if ($4 in node) near = near " " $3 }
		END { print near ? near : all }' /tmp/node -
}

closer_groups() {
	case $LAB_CGROUP in
	1) echo /sys/fs/cgroup/cpuset/closer ;;
	*) echo /sys/fs/cgroup/closer ;;
	esac
}

placed() { # N CPU..
	lab_n=$1
	shift
	backend_threads "$lab_n" >/tmp/threads
	[ -s /tmp/threads ] || return 1
	while read -r lab_pid lab_name; do
		within "$(cpus_of "$lab_pid")" "$@" || {
			echo "g$lab_n: $lab_name is on $(cpus_of "$lab_pid"), not within $*"
			return 1
		}
		[ "$LAB_CGROUP" = none ] || grep -q "/closer/$(guest_uuid "$lab_n")" "/proc/$lab_pid/cgroup" || {
			echo "g$lab_n: $lab_name is in $(cat "/proc/$lab_pid/cgroup")"
			return 1
		}
	done </tmp/threads
	for lab_irq in $(backend_irqs "$lab_n"); do
		within "$(cat "/proc/irq/$lab_irq/smp_affinity_list")" "$@" || {
			echo "g$lab_n: interrupt $lab_irq is on $(cat "/proc/irq/$lab_irq/smp_affinity_list"), not within $*"
			return 1
		}
	done
}

# Threads of the kernel, and daemons; not those that the kernel binds (PF_NO_SETAFFINITY in proc(5)'s flags), its workers among them: nobody else can
# set these. The groups' files but subtree_control, where the kernel keeps what was ever enabled.
dom0_state() {
	{ # grep fails where a process ended meanwhile
		grep -s -H . /proc/[0-9]*/stat || true
		grep -s -H . /proc/[0-9]*/cgroup || true
		grep -s -H '^Cpus_allowed_list:' /proc/[0-9]*/status || true
	} | awk '
		{ at = index($0, ":"); split(substr($0, 1, at - 1), part, "/"); pid = part[3]; value = substr($0, at + 1) }
		part[4] == "stat" {
			name[pid] = value
			sub(/^[0-9]* \(/, "", name[pid])
			sub(/\) [A-Za-z] .*/, "", name[pid])
			sub(/.*\) [A-Za-z] /, "", value)
			split(value, field, " ")
			kept[pid] = (field[1] == 2 && int(field[6] / 67108864) % 2 == 0) || name[pid] ~ /^(kthreadd|xenstored|xenconsoled|xl|loadgen)$/
			next
		}
		part[4] == "cgroup" { group[pid] = group[pid] " " value; next }
		{ sub(/^Cpus_allowed_list:[ \t]*/, "", value); mask[pid] = value }
		END {
			for (pid in mask)
				if (kept[pid]) print "thread " pid " " name[pid] " " mask[pid] group[pid]
		}' >/tmp/dom0_state
	grep -s -H . /proc/irq/[0-9]*/smp_affinity_list >>/tmp/dom0_state || true
	find /sys/fs/cgroup -type d >>/tmp/dom0_state
	find /sys/fs/cgroup -name 'cpuset.cpus*' -exec grep -s -H . {} + >>/tmp/dom0_state || true
	xl vcpu-list | awk '{ print "vcpu", $1, $2, $3, $(NF - 2), $NF }' >>/tmp/dom0_state
	LC_ALL=C sort -u /tmp/dom0_state
}

# ---- what several jobs check ----

is_on() { # PID CPUS
	[ "$(cpus_of "$1")" = "$2" ] || {
		echo "process $1 may use $(cpus_of "$1"), not $2"
		return 1
	}
}

says() { # PATTERN COMMAND..: it prints a line like that; all of it is in /out/said
	says_what=$1
	shift
	"$@" >/out/said 2>&1 || true
	grep -q "$says_what" /out/said || {
		cat /out/said
		return 1
	}
}

at_least() { # X LEAST
	awk -v x="$1" -v least="$2" 'BEGIN { exit !(x >= least) }' || {
		echo "  $1 is less than $2"
		return 1
	}
}
