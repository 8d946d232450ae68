#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xen.sh [OPTIONS] JOB [ARGS..] | xen.sh [OPTIONS] shell: boots real Xen in an emulated machine, with closer in its dom0, and runs JOB there.
#
# A job is a file for busybox's sh -eu; lab/xen/lib.sh says what it may call (start_guest, ask, ..). Its output comes here as it is printed. The
# exit status here is the job's; what it left in /out comes back as build/lab/out/NAME/, with job.log, serial.log (Xen and dom0's consoles)
# and log/ (guests' consoles, dmesg of Xen and dom0). 124: time over; 125: the lab itself failed. `--help` lists the options.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")

usage() {
	cat <<'TXT'
usage: ./run lab [OPTIONS] JOB [ARGS..]     JOB: a shell script, run in dom0 of a real Xen
       ./run lab [OPTIONS] shell            a console on dom0; leaving it ends the machine
  the machine
    --pcpus N          4            CPUs, spread evenly on the nodes
    --nodes N          2
    --memory MIB       3072
    --sched NAME       credit2      or credit
    --xen "ARGS"                    more for Xen's command line
  dom0
    --dom0-mem MIB     768          at boot
    --dom0-max MIB     1280         what it may grow to
    --dom0-vcpus N     as pcpus
    --dom0-pin                      dom0_vcpus_pin: vCPU n on pCPU n
    --cgroup 1|2       2
    --init NAME        busybox      or systemd, Debian's; the lab is a service of it then
    --linux "ARGS"                  more for dom0's command line
    --nic                           a network card on the guests' bridge; behind it is this machine, as $LAB_OUTSIDE
    --pool NAME:SCHED:CPUS          a cpupool (credit, credit2) of CPUs (2-3) that leave Pool-0; may be repeated
  guests: started before the job (--guests), and what start_guest takes where the job does not say
    --guests N         0
    --places "P P .."               node of each guest by turns: 0, 1, .., span, any; default: all nodes by turns
    --vcpus N          1
    --queues N         1            per vif and per disk
    --guest-mem MIB    128
    --type pv|pvh      pv
    --disks N          1            at most 4, in dom0's memory
    --disk-mb MIB      32
  this run
    --build DIR        build/release  where closer comes from
    --add FILE                      FILE is in dom0 as /lab/bin/NAME (in PATH), its libraries too; may be repeated
    --env NAME=VALUE                in the job's environment; may be repeated
    --out DIR          build/lab/out/NAME
    --timeout S        900          for the job
TXT
}

fail() {
	echo "lab: $*" >&2
	exit 125
}

# In quotes, for another shell.
quoted() {
	printf %s "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

number() { # OPTION VALUE MIN MAX
	case $2 in
	'' | *[!0-9]* | ???????*) fail "$1 takes a number, not '$2'" ;;
	esac
	[ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "$1 may be $3 to $4, not $2"
}

pcpus=4 nodes=2 memory=3072 sched=credit2 xen_args='' dom0_mem=768 dom0_max=1280 dom0_vcpus='' dom0_pin='' cgroup=2 linux_args=''
guests=0 places='' vcpus=1 queues=1 guest_mem=128 type=pv disks=1 disk_mb=32 init=busybox
build=$top/build/release out='' timeout=900 extra='' added='' pools='' nic=''

while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--dom0-pin)
		dom0_pin=dom0_vcpus_pin
		shift
		continue
		;;
	--nic)
		nic=yes
		shift
		continue
		;;
	--*) [ $# -ge 2 ] || fail "$1 takes a value" ;;
	*) break ;;
	esac
	case $1 in
	--pcpus) number "$1" "$2" 1 64 && pcpus=$2 ;;
	--nodes) number "$1" "$2" 1 8 && nodes=$2 ;;
	--memory) number "$1" "$2" 1024 65536 && memory=$2 ;;
	--dom0-mem) number "$1" "$2" 512 65536 && dom0_mem=$2 ;;
	--dom0-max) number "$1" "$2" 512 65536 && dom0_max=$2 ;;
	--dom0-vcpus) number "$1" "$2" 1 64 && dom0_vcpus=$2 ;;
	--guests) number "$1" "$2" 0 32 && guests=$2 ;;
	--vcpus) number "$1" "$2" 1 64 && vcpus=$2 ;;
	--queues) number "$1" "$2" 1 16 && queues=$2 ;;
	--guest-mem) number "$1" "$2" 96 65536 && guest_mem=$2 ;;
	--disks) number "$1" "$2" 0 4 && disks=$2 ;;
	--disk-mb) number "$1" "$2" 1 4096 && disk_mb=$2 ;;
	--timeout) number "$1" "$2" 1 86400 && timeout=$2 ;;
	--sched) sched=$2 ;;
	--cgroup) cgroup=$2 ;;
	--type) type=$2 ;;
	--init) init=$2 ;;
	--xen) xen_args=$2 ;;
	--linux) linux_args=$2 ;;
	--places) places=$2 ;;
	--build) build=$2 ;;
	--out) out=$2 ;;
	--add)
		[ -r "$2" ] || fail "--add: cannot read $2"
		added="$added $(quoted "$(realpath "$2")")"
		;;
	--pool)
		case $2 in
		*[!a-zA-Z0-9:,-]* | *:*:*:*) fail "--pool takes NAME:SCHED:CPUS, not '$2'" ;;
		?*:credit:[0-9]* | ?*:credit2:[0-9]*) pools="$pools $2" ;;
		*) fail "--pool takes NAME:SCHED:CPUS, not '$2'" ;;
		esac
		;;
	--env)
		case ${2%%=*} in
		'' | [0-9]* | *[!A-Za-z0-9_]*) fail "--env takes NAME=VALUE, not '$2'" ;;
		esac
		extra="$extra${2%%=*}=$(quoted "${2#*=}")
"
		;;
	*) fail "there is no option $1; see --help" ;;
	esac
	shift 2
done
[ $# -gt 0 ] || {
	usage >&2
	exit 125
}
job=$1
shift
case $sched:$cgroup:$type in
credit:[12]:pv | credit2:[12]:pv | credit:[12]:pvh | credit2:[12]:pvh) ;;
*) fail "--sched is credit or credit2, --cgroup 1 or 2, --type pv or pvh" ;;
esac
case $init:$cgroup in
busybox:*) images='' ;;
systemd:*) images=systemd linux_args="systemd.unit=lab.service systemd.unified_cgroup_hierarchy=$((cgroup - 1)) $linux_args" ;;
*) fail "--init is busybox or systemd" ;;
esac
[ "$job" = shell ] || [ -r "$job" ] || fail "cannot read the job $job"
build=$(cd "$build" 2>/dev/null && pwd) || fail "--build: there is no such directory"
[ $((pcpus % nodes)) = 0 ] || fail "--pcpus $pcpus cannot be spread evenly on $nodes nodes"
[ "$dom0_max" -ge "$dom0_mem" ] || dom0_max=$dom0_mem
for c in qemu-system-x86_64 flock timeout; do
	command -v "$c" >/dev/null 2>&1 || fail "$c is missing: ./run deps installs it"
done
name=$(basename "$job" .sh)
cache=${CLOSER_LAB_CACHE:-$top/build/lab}/xen
out=${out:-$top/build/lab/out/$name}
mkdir -p "$cache" "$out"
out=$(cd "$out" && pwd)

qemu_pid=
tail_pid=
work=
end_machine() {
	[ -z "$qemu_pid" ] || kill -s KILL "$qemu_pid" 2>/dev/null || true
	[ -z "$tail_pid" ] || kill "$tail_pid" 2>/dev/null || true
	qemu_pid=
	tail_pid=
}
finish() {
	trap - EXIT
	end_machine
	[ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# One at a time with a cache: two emulated machines on few CPUs only stall each other's boot.
exec 9>"$cache/lock"
flock -n 9 || {
	echo "lab: waiting for another Xen lab to end" >&2
	flock -w 3600 9 || fail "the other Xen lab did not end within an hour"
}

# Everything goes in with the initramfs: what the packages give, what the build gives, and this job.
prepare() {
	work=$cache/run.$$
	rm -rf "$cache"/run.* "${out:?}"/*	# what a killed lab left, too
	mkdir -p "$work/job/lab/bin"
	if [ "$job" != shell ]; then
		cp "$job" "$work/job/lab/job"
	fi
	printf "%s\n" "$job_args" >"$work/job/lab/args"
	eval "set -- $added"
	for file in "$@"; do
		cp -L "$file" "$work/job/lab/bin/"
	done
	cat >"$work/job/lab/env" <<ENV
LAB_JOB=$(quoted "$name")
LAB_NET=10.99.78
LAB_NODES=$nodes
LAB_PCPUS=$pcpus
LAB_CGROUP=$cgroup
LAB_INIT=$init
LAB_DISKS_MAX=4
LAB_RAMDISKS=128
LAB_DISK_MB=$disk_mb
LAB_GUESTS=$guests
LAB_POOLS=$(quoted "$pools")
LAB_PLACES=$(quoted "$places")
LAB_VCPUS=$vcpus
LAB_QUEUES=$queues
LAB_MEM=$guest_mem
LAB_TYPE=$type
LAB_DISKS=$disks
LAB_NIC=$nic
LAB_OUTSIDE=10.99.78.254
$extra
ENV
	sh "$here/xen_images.sh" "$cache" "$build" "$work/job" "$work/job.cpio" $images 9>&- || exit 125
	cat "$cache/base.cpio" ${images:+"$cache/systemd.cpio"} "$cache/top.cpio" "$work/job.cpio" >"$work/initramfs"
	ln "$cache/xen" "$cache/vmlinux" "$work/"
	rm -rf "$work/job" "$work/job.cpio"
}

machine_nodes() {
	i=0
	while [ "$i" -lt "$nodes" ]; do
		printf ' -object memory-backend-ram,id=m%d,size=%dM -numa node,nodeid=%d,cpus=%d-%d,memdev=m%d' "$i" $((memory / nodes)) "$i" \
			$((i * pcpus / nodes)) $(((i + 1) * pcpus / nodes - 1)) "$i"
		i=$((i + 1))
	done
	i=0
	while [ "$i" -lt "$nodes" ]; do
		j=$((i + 1))
		while [ "$j" -lt "$nodes" ]; do
			printf ' -numa dist,src=%d,dst=%d,val=20' "$i" "$j"
			j=$((j + 1))
		done
		i=$((i + 1))
	done
}

# Without SMAP, since dom0 dies at its first return to user space with it; the TSC flags and Xen's clock keep the pCPUs' clocks together.
# eager-fpu: QEMU's XSAVE and XRSTOR do not fault while CR0.TS is set, so where Xen switches vCPUs' FPU lazily, as it does on AMD, a guest's
# kernel saves and restores another vCPU's registers, and its processes die of them at random.
boot() {
	rm -f "$work/serial.log" "$work/job.log" "$work/out.img"
	: >"$work/serial.log"
	: >"$work/job.log"
	truncate -s 1G "$work/out.img"
	rm -f "$work/retranslate"
	mkfifo "$work/retranslate"
	# watchdog_thresh: a CPU that hangs is said to on the console after twice this, in seconds; see mend
	kernel="vmlinux console=hvc0 earlyprintk=xen cryptomgr.notests lsm= audit=0 quiet mitigations=off nokaslr panic=1 watchdog_thresh=5 $linux_args"
	kernel=$(printf %s "$kernel" | sed 's/,/,,/g')	# a comma ends a module's arguments
	if [ "$name" = shell ]; then
		talk='-device virtconsole,chardev=job'
		set -- -chardev stdio,id=job,signal=off
	else
		talk='-device virtserialport,chardev=job,name=job'
		set -- -chardev file,id=job,path=job.log
	fi
	[ -z "$nic" ] || set -- "$@" -netdev user,id=nic,net=10.99.78.0/24,host=10.99.78.254 -device virtio-net-pci,netdev=nic
	cd "$work"
	# shellcheck disable=SC2046,SC2086 # lists
	set -- env LD_PRELOAD="$build/lab/retranslate.so" RETRANSLATE=retranslate qemu-system-x86_64 -machine pc,hpet=on -accel tcg,thread=multi,tb-size=512 -cpu max,-smap,+invtsc,x-force-features=on \
		-m "$memory" -smp "$pcpus,sockets=$nodes,cores=$((pcpus / nodes)),threads=1" $(machine_nodes) \
		-nodefaults -no-user-config -display none -no-reboot -chardev file,id=serial,path=serial.log -serial chardev:serial \
		-drive if=none,id=out,file=out.img,format=raw,cache=unsafe -device virtio-blk-pci,drive=out \
		-device virtio-serial-pci $talk "$@" \
		-kernel xen -append "console=com1 com1=115200,8n1 dom0_mem=${dom0_mem}M,max:${dom0_max}M dom0_max_vcpus=${dom0_vcpus:-$pcpus} $dom0_pin sched=$sched spec-ctrl=no,eager-fpu xpti=no clocksource=tsc tsc=stable:socket $xen_args" \
		-initrd "$kernel,initramfs"
	if [ "$name" = shell ]; then
		# A background process of a shell without job control has no stdin, unless it is given one.
		"$@" <&3 9>&- &
	else
		"$@" </dev/null 9>&- >qemu.log 2>&1 &
	fi
	qemu_pid=$!
	cd "$top"
}

# Called twice a second while the machine runs. QEMU before 8.1 may keep a translation of code that is being patched, and then a CPU hangs for ever at
# what was there for a moment (lab/retranslate.c). Where dom0 says that one hangs, or nothing was said for 15 s of the boot, all is
# translated anew: the emulator's fault, so its repair, and said.
mend() { # boot|job
	hangs=$(grep -a -c 'soft lockup' "$work/serial.log") || true
	size=$(wc -c <"$work/serial.log")
	quiet=$((quiet + 1))
	[ "$1:$size" = "boot:$said" ] || quiet=0
	said=$size
	[ "$hangs" -gt "$hung" ] || [ "$quiet" -ge 30 ] || return 0
	[ "$hangs" -gt "$hung" ] && why='a CPU hangs' || why='the boot stands still'
	hung=$hangs
	quiet=0
	echo "lab: $why: the emulator is told to translate all code anew (QEMU before 8.1 may miss that code was patched)" >&2
	# shellcheck disable=SC2016 # expanded by that shell; without a reader it would wait for one
	timeout 5 sh -c 'echo anew >"$1"' - "$work/retranslate" || true
}

# Did dom0 get as far as its toolstack in this many seconds?
is_ready() {
	left=$(($1 * 2)) hung=0 said=0 quiet=0
	until grep -q 'lab: toolstack ready' "$work/serial.log"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] && kill -0 "$qemu_pid" 2>/dev/null || return 1
		mend boot
		sleep 0.5
	done
}

[ "$job" != shell ] || exec 3<&0
job_args=
for a in "$@"; do
	job_args="$job_args $(quoted "$a")"
done
prepare
# Now and then an emulated machine stalls in its boot.
attempt=1
boot
until is_ready $((60 * attempt)); do
	end_machine
	cp "$work/serial.log" "$out/serial.log"
	[ "$attempt" -lt 3 ] || fail "Xen or dom0 did not come up in $attempt attempts: $out/serial.log; $(cat "$work/qemu.log" 2>/dev/null)"
	echo "lab: the boot stalled after: $(grep -a . "$work/serial.log" | tail -n 1 | tr -d '\r'); trying again ($attempt of 2)" >&2
	attempt=$((attempt + 1))
	boot
done
if [ "$job" != shell ]; then
	tail -n +1 -s 0.2 -f --pid="$qemu_pid" "$work/job.log" 9>&- &
	tail_pid=$!
	left=$((timeout * 2))
	while kill -0 "$qemu_pid" 2>/dev/null; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || break
		mend job
		sleep 0.5
	done
	over=no
	[ "$left" -gt 0 ] || over=yes
	[ $over = yes ] || wait "$tail_pid" || true
else
	over=no
	wait "$qemu_pid" || true
fi
end_machine
cp "$work/serial.log" "$work/job.log" "$out/"
[ "$job" = shell ] || cp "$work/qemu.log" "$out/"
if [ $over = yes ]; then
	echo "lab: the job's $timeout s are over; $out/serial.log" >&2
	exit 124
fi
tar -x -f "$work/out.img" -C "$work" --strip-components=1 tmp/status 2>/dev/null || fail "the machine ended before the job did: $out/serial.log, $out/job.log"
tar -x -f "$work/out.img" -C "$out" --strip-components=1 out 2>/dev/null || echo "lab: not all of the job's files came back: /out may hold 1 GiB" >&2
exit "$(cat "$work/status")"
