# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh: real QEMU guests for jobs, tests and the demo. Sourced; the caller has set CLOSER_BUILD (a build
# directory) and calls lab_open first. One lab at a time on a machine: bridge, addresses and folder have fixed names.
#
#   lab_open             lock, clean up what a killed lab left, images, bridge; cleans up at exit
#   lab_start N          boots guest gN (1 to 99); returns when QEMU runs
#   lab_wait N           returns when its userland answers
#   lab_ask N COMMAND    one command to its agent (see loadgen), prints the JSON reply
#   lab_qmp N COMMAND    one command to its second monitor, e.g. '{"execute":"system_reset"}'
#   lab_pid N            pid of its QEMU            lab_uuid N, lab_ip N: its uuid and address
#   lab_kill N [SIGNAL]  kills its QEMU (KILL) and waits until it is gone
#   lab_peer             starts the network peer at $LAB_PEER on the host
#   lab_close            all of it down
#
# closer finds the guests at qemu:$LAB_DIR. Options, from the environment: LAB_VCPUS (1), LAB_MEM in MiB (96),
# LAB_IOTHREADS (1, a disk each), CLOSER_LAB_ACCEL (tcg; kvm where it can run a kernel),
# CLOSER_LAB_CACHE (build/lab).

LAB_HOME=${LAB_HOME:-$(cd "$(dirname "$0")" && pwd)}
LAB_TOP=$(dirname "$LAB_HOME")
LAB_DIR=/run/closer-lab
LAB_BRIDGE=clbr0
LAB_NET=10.99.77
LAB_PEER=$LAB_NET.1:7077
LAB_VCPUS=${LAB_VCPUS:-1}
LAB_MEM=${LAB_MEM:-96}
LAB_IOTHREADS=${LAB_IOTHREADS:-1}
LAB_DISK_MB=${LAB_DISK_MB:-64}
LAB_LOADGEN=$CLOSER_BUILD/lab/loadgen
LAB_CACHE=${CLOSER_LAB_CACHE:-$LAB_TOP/build/lab}

lab_fail() {
	echo "lab: $*" >&2
	exit 1
}

# Is the process of this pid file one of the lab's? Prints its pid.
lab_ours() {
	lab_p=$(cat "$1" 2>/dev/null) || return 1
	case $lab_p in
	'' | *[!0-9]*) return 1 ;;
	esac
	# A pid may have been given to somebody else since.
	tr "\0" " " 2>/dev/null <"/proc/$lab_p/cmdline" | grep -qF -e "$LAB_DIR/" -e "peer $LAB_PEER" || return 1
	echo "$lab_p"
}

# Kills the process of a pid file and waits until it is gone.
lab_end() {
	lab_e=$(lab_ours "$1") || lab_e=
	[ -z "$lab_e" ] || kill -s "${2:-KILL}" "$lab_e" 2>/dev/null || true
	lab_n=0
	while [ -n "$lab_e" ] && [ -d "/proc/$lab_e" ] && ! grep -q '^State:.[ZX]' "/proc/$lab_e/status" 2>/dev/null; do
		lab_n=$((lab_n + 1))
		[ "$lab_n" -lt 200 ] || lab_fail "process $lab_e does not end"
		sleep 0.05
	done
	rm -f "$1"
}

lab_clean() {
	# All are told before one is waited for.
	for lab_f in "$LAB_DIR"/pid/*; do
		lab_e=$(lab_ours "$lab_f") && kill -s KILL "$lab_e" 2>/dev/null || true
	done
	for lab_f in "$LAB_DIR"/pid/*; do
		[ ! -e "$lab_f" ] || lab_end "$lab_f"
	done
	for lab_f in /sys/class/net/cltap*; do
		[ ! -e "$lab_f" ] || ip link delete "${lab_f##*/}" 2>/dev/null || true
	done
	[ ! -e "/sys/class/net/$LAB_BRIDGE" ] || ip link delete "$LAB_BRIDGE" 2>/dev/null || true
	rm -rf "$LAB_DIR"
}

lab_close() {
	trap - EXIT
	lab_clean
}

# At the end, and at a signal too: dash runs no EXIT trap when a signal ends it.
lab_trap() {
	# shellcheck disable=SC2064 # a function of the caller's, named now
	trap "$1" EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

lab_open() {
	[ "$(id -u)" = 0 ] || lab_fail "guests on a bridge need root: run it through sudo"
	for lab_c in qemu-system-x86_64 ip flock cpio jq; do
		command -v "$lab_c" >/dev/null 2>&1 || lab_fail "$lab_c is missing: ./run deps installs it"
	done
	exec 9>/run/closer-lab.lock
	flock -n 9 || lab_fail "another lab is running on this machine; wait for it or end it"
	lab_clean
	lab_trap lab_close
	sh "$LAB_HOME/guest.sh" "$LAB_CACHE" "$LAB_LOADGEN" 9>&-
	mkdir -p "$LAB_DIR/pid" "$LAB_DIR/ctl" "$LAB_DIR/disk" "$LAB_DIR/log"
	chmod 700 "$LAB_DIR"
	[ -e /dev/net/tun ] || {
		mkdir -p /dev/net
		mknod /dev/net/tun c 10 200
	}
	ip link add "$LAB_BRIDGE" type bridge || lab_fail "cannot make a bridge: does this kernel have bridges, is this root?"
	# No chatter of the host's own on the measured wire.
	[ ! -e "/proc/sys/net/ipv6/conf/$LAB_BRIDGE" ] || echo 1 >"/proc/sys/net/ipv6/conf/$LAB_BRIDGE/disable_ipv6"
	ip address add "$LAB_NET.1/24" dev "$LAB_BRIDGE"
	ip link set "$LAB_BRIDGE" up
}

lab_uuid() {
	printf 'c105e700-0000-4000-8000-%012d\n' "$1"
}

lab_ip() {
	echo "$LAB_NET.$((10 + $1))"
}

lab_pid() {
	lab_ours "$LAB_DIR/pid/g$1"
}

lab_start() {
	lab_g=g$1
	lab_tap=cltap$1
	[ ! -e "/sys/class/net/$lab_tap" ] || ip link delete "$lab_tap"
	ip tuntap add "$lab_tap" mode tap
	[ ! -e "/proc/sys/net/ipv6/conf/$lab_tap" ] || echo 1 >"/proc/sys/net/ipv6/conf/$lab_tap/disable_ipv6"
	ip link set "$lab_tap" master "$LAB_BRIDGE" up
	lab_disks=
	lab_i=0
	while [ "$lab_i" -lt "$LAB_IOTHREADS" ]; do
		truncate -s "${LAB_DISK_MB}M" "$LAB_DIR/disk/$lab_g.$lab_i"
		lab_disks="$lab_disks -object iothread,id=io$lab_i"
		lab_disks="$lab_disks -drive if=none,id=d$lab_i,file=$LAB_DIR/disk/$lab_g.$lab_i,format=raw,aio=threads"
		lab_disks="$lab_disks -device virtio-blk-pci,drive=d$lab_i,iothread=io$lab_i"
		lab_i=$((lab_i + 1))
	done
	case ${CLOSER_LAB_ACCEL:-tcg} in
	tcg) lab_accel='-accel tcg,thread=multi,tb-size=32' ;;
	kvm) lab_accel='-accel kvm' ;;
	*) lab_fail "CLOSER_LAB_ACCEL is $CLOSER_LAB_ACCEL; it may be tcg or kvm" ;;
	esac
	rm -f "$LAB_DIR/$lab_g.qmp" "$LAB_DIR/ctl/$lab_g.qmp" "$LAB_DIR/ctl/$lab_g.agent"
	# shellcheck disable=SC2086 # the lists are made to be split
	qemu-system-x86_64 -M pc $lab_accel -cpu max -smp "$LAB_VCPUS" -m "$LAB_MEM" -nodefaults -no-user-config \
		-name "$lab_g,debug-threads=on" -uuid "$(lab_uuid "$1")" -display none -daemonize \
		-pidfile "$LAB_DIR/pid/$lab_g" \
		-kernel "$LAB_CACHE/vmlinux" -initrd "$LAB_CACHE/initramfs" \
		-append "console=ttyS0 quiet cryptomgr.notests lsm= audit=0 mitigations=off nokaslr panic=-1 closer.lab=1 closer.ip=$(lab_ip "$1")" \
		-qmp "unix:$LAB_DIR/$lab_g.qmp,server=on,wait=off" -qmp "unix:$LAB_DIR/ctl/$lab_g.qmp,server=on,wait=off" \
		-serial "file:$LAB_DIR/log/$lab_g" \
		-device virtio-serial-pci -chardev "socket,id=agent,path=$LAB_DIR/ctl/$lab_g.agent,server=on,wait=off" \
		-device virtserialport,chardev=agent,name=org.closer.agent \
		$lab_disks \
		-netdev "tap,id=n0,ifname=$lab_tap,script=no,downscript=no,vhost=off" \
		-device "virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:99:77:$(printf %02x "$1")" \
		-device virtio-balloon-pci 9>&- || lab_fail "QEMU did not start guest $lab_g"
}

lab_ask() {
	"$LAB_LOADGEN" ask "$LAB_DIR/ctl/g$1.agent" "$2" "${3:-20s}"
}

lab_qmp() {
	"$LAB_LOADGEN" qmp "$LAB_DIR/ctl/g$1.qmp" "$2" "${3:-20s}"
}

lab_wait() {
	lab_ask "$1" ping "${2:-60s}" >/dev/null || {
		tail -n 5 "$LAB_DIR/log/g$1" >&2
		lab_fail "guest g$1 does not answer; its console is above"
	}
}

lab_kill() {
	lab_end "$LAB_DIR/pid/g$1" "${2:-KILL}"
}

# Starts a program of the lab in the background, with its pid file and log: lab_spawn NAME COMMAND...
lab_spawn() {
	lab_name=$1
	shift
	"$@" >"$LAB_DIR/log/$lab_name" 2>&1 9>&- &
	echo $! >"$LAB_DIR/pid/$lab_name"
}

lab_peer() {
	lab_spawn peer "$LAB_LOADGEN" peer "$LAB_PEER"
	lab_n=0
	until grep -qsx ready "$LAB_DIR/log/peer"; do
		lab_n=$((lab_n + 1))
		[ "$lab_n" -lt 100 ] || lab_fail "the peer did not start: $(cat "$LAB_DIR/log/peer")"
		sleep 0.05
	done
}

# A CPU list, 0-2,5, as words: 0 1 2 5.
lab_cpus() {
	echo "$1" | tr ',' '\n' | while IFS=- read -r lab_a lab_b; do
		lab_b=${lab_b:-$lab_a}
		while [ "$lab_a" -le "$lab_b" ]; do
			printf '%s ' "$lab_a"
			lab_a=$((lab_a + 1))
		done
	done
}

# Prints each host-side thread of guest N that may run on one of these CPUs: its tid, mask and name. Threads named as
# QEMU names its vCPUs are the guest itself. Reads /proc, not closer. Fails if there is no such guest.
lab_on_cpus() { # N LIST
	lab_q=$(lab_pid "$1") || return 1
	for lab_t in "/proc/$lab_q/task"/*; do
		# A thread that ends while it is read is on no CPU.
		lab_name=$(cat "$lab_t/comm" 2>/dev/null) || continue
		case $lab_name in
		'CPU '*/TCG | 'CPU '*/KVM) continue ;;
		esac
		lab_mask=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$lab_t/status" 2>/dev/null)
		for lab_cpu in $(lab_cpus "$lab_mask"); do
			case " $(lab_cpus "$2")" in
			*" $lab_cpu "*)
				echo "${lab_t##*/} $lab_mask $lab_name"
				break
				;;
			esac
		done
	done
}

# Polls a command of the shell until it succeeds: lab_until SECONDS COMMAND...
lab_until() {
	lab_end_at=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$lab_end_at" ] || return 1
		sleep 0.1
	done
}
