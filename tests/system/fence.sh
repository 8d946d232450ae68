#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fence.sh BUILD_DIR: the fence on real kernels, cgroup v2 and v1, each in a small emulated machine, since it concerns all tasks of one.
# fence_job.sh is what runs in it, around fence_host. It runs beside others.
set -u
export LC_ALL=C

build=$(cd "${1:?usage: fence.sh BUILD_DIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
lab=$(cd "$here/../../lab" && pwd)
cache=${CLOSER_LAB_CACHE:-$lab/../build/lab}
host=$build/tests/system/fence_host
bad=0
dir=$(mktemp -d) || exit 1
qemu=
trap '[ -z "$qemu" ] || kill -9 $qemu 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

die() {
	echo "not ok fence: $*"
	exit 1
}

make_initramfs() {
	root=$dir/root
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run"
	cp "$(command -v busybox)" "$root/bin/busybox" || die "busybox is missing: ./run deps"
	for a in $("$root/bin/busybox" --list); do
		[ -e "$root/bin/$a" ] || ln -s busybox "$root/bin/$a"
	done
	cp "$host" "$root/bin/"
	cp "$here/fence_job.sh" "$root/job"
	ldd "$host" | grep -oE '/[^ ]+' | while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done
	cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
read -r line </proc/cmdline
for word in $line; do
	case $word in closer.*=*) export "${word#closer.}" ;; esac
done
if [ "$CGROUP" = 2 ]; then
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
	mount -t tmpfs tmpfs /sys/fs/cgroup
	mkdir /sys/fs/cgroup/cpuset
	mount -t cgroup -o cpuset cgroup /sys/fs/cgroup/cpuset
fi
sh /job containers masks >/dev/ttyS0 2>&1 </dev/null
poweroff -f
INIT
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc 2>/dev/null) >"$dir/initramfs" || die "cpio is missing: ./run deps"
}

boot() { # CGROUP
	: >"$dir/serial"
	timeout 400 qemu-system-x86_64 -M pc -accel tcg,thread=multi,tb-size=64 -cpu max -m 384 -smp 4 -nodefaults -display none -no-reboot \
		-serial "file:$dir/serial" -kernel "$cache/vmlinux" -initrd "$dir/initramfs" \
		-append "console=ttyS0 rdinit=/init panic=-1 mitigations=off nokaslr quiet cryptomgr.notests closer.CGROUP=$1" >"$dir/qemu" 2>&1 &
	qemu=$!
	wait $qemu
	qemu=
	tr -d '\r' <"$dir/serial" >"$dir/said"
	grep -E '^(ok|not ok) ' "$dir/said"
	grep '^#' "$dir/said" >&2
	grep -q '^not ok' "$dir/said" && bad=1
	grep -qx over "$dir/said" || {
		echo "not ok fence: the machine with cgroup v$1 did not get to its end: $(tail -n 2 "$dir/said" "$dir/qemu" | tr '\n' ' ')"
		bad=1
	}
}

[ -x "$host" ] || die "fence_host is not in $build: build the tests first"
[ -e "$cache/vmlinux" ] || sh "$lab/guest.sh" "$cache" "$build/lab/loadgen" || die "the lab's kernel could not be made"
make_initramfs
boot 2
boot 1
exit $bad
