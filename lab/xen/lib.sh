# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh: what a job of the Xen lab has in dom0. A job is run by busybox's sh -eu with this in; its files in /out and its exit status
# come back. $LAB_PEER is where guests find the network's other end.
#
#   start_guest N [KEY=VALUE..]   creates guest gN (1 to 32); the keys, and from where their defaults come:
#       vcpus=$LAB_VCPUS queues=$LAB_QUEUES (per vif and per disk) mem=$LAB_MEM maxmem= (MiB) disks=$LAB_DISKS (xvda..)
#       type=$LAB_TYPE (pv, pvh) weight= cap= pool=
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
#   until_true SECONDS COMMAND..  tries it ten times a second; fails when the time is over
#   keep FILE..                   copies files into /out
#   say TEXT, fail TEXT           on the job's output; fail ends the job with 1

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
	xl info -n | awk -v node="$1" '/^cpu_topology/ { on = 1; next } /^device topology|^numa_info/ { on = 0 }
		on && $1 ~ /^[0-9]+:$/ && $4 == node { print $1 + 0 }'
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

lab_disks() { # N DISKS
	lab_i=0
	while [ "$lab_i" -lt "$2" ]; do
		printf '"phy:/dev/ram%d,xvd%s,w",' $((($1 - 1) * LAB_DISKS_MAX + lab_i)) "$(printf 'abcd' | cut -c $((lab_i + 1)))"
		lab_i=$((lab_i + 1))
	done
}

start_guest() (
	lab_n=$1
	shift
	vcpus=$LAB_VCPUS queues=$LAB_QUEUES mem=$LAB_MEM maxmem='' disks=$LAB_DISKS type=$LAB_TYPE node='' cpus='' weight='' cap='' pool=''
	for lab_word in "$@"; do
		case $lab_word in
		vcpus=* | queues=* | mem=* | maxmem=* | disks=* | type=* | node=* | cpus=* | weight=* | cap=* | pool=*) eval "${lab_word%%=*}=\${lab_word#*=}" ;;
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
${pool:+pool="$pool"}
$([ "$type" != pvh ] || echo 'tsc_mode="native"')
extra="console=hvc0 quiet cryptomgr.notests lsm= audit=0 mitigations=off nokaslr panic=-1 closer.lab=1 closer.ip=$(guest_ip "$lab_n") closer.queues=$queues"
vif=["bridge=xenbr0,mac=00:16:3e:99:77:$(printf %02x "$lab_n")"]
disk=[$(lab_disks "$lab_n" "$disks")]
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
