#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest.sh CACHE LOADGEN: makes CACHE/vmlinux and CACHE/initramfs, each only when something that it is made of
# has changed. The kernel is Debian's cloud kernel, downloaded and unpacked, never installed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=$1
loadgen=$2

# In the order in which they need each other.
modules='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk failover net_failover
virtio_net virtio_balloon virtio_console'

fail() {
	echo "lab: $*" >&2
	exit 1
}

need() {
	command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install the package $2"
}

# The package that Debian's cloud kernel is in today.
kernel_package() {
	apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*-cloud-amd64\)$/\1/p' | head -n 1
}

download() {
	package=$(kernel_package)
	[ -n "$package" ] || return 1
	(cd "$1" && apt-get -q -o APT::Sandbox::User="$(id -un)" download "$package" >apt.log 2>&1)
}

# bytes at an offset as one little-endian number
number_at() {
	od -An -v -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '
}

# vmlinux out of a bzImage: the boot protocol's header (Documentation/arch/x86/boot.rst) says where the payload is.
unpack_kernel() {
	[ "$(od -An -c -j 514 -N 4 "$1" | tr -d ' \n')" = HdrS ] || fail "$1 is no Linux bzImage"
	sectors=$(number_at "$1" 497 1)
	offset=$(((sectors + 1) * 512 + $(number_at "$1" 584 4)))
	# The last four bytes are the unpacked length, not part of the stream.
	length=$(($(number_at "$1" 588 4) - 4))
	case $(od -An -t x1 -j "$offset" -N 4 "$1" | tr -d ' \n') in
	02214c18) tool=lz4 ;;
	28b52ffd) tool=zstd ;;
	1f8b*) tool=gzip ;;
	fd377a58) tool=xz ;;
	*) fail "$1 is packed in a way that is not known here" ;;
	esac
	need "$tool" "$tool"
	tail -c "+$((offset + 1))" "$1" | head -c "$length" | "$tool" -dc >"$2" || fail "unpacking $1 with $tool failed"
	[ "$(head -c 4 "$2" | od -An -c | tr -d ' \n')" = '177ELF' ] || fail "what was unpacked from $1 is no ELF file"
}

make_kernel() {
	work=$cache/work.$$
	rm -rf "$work"
	mkdir -p "$work/root"
	echo "lab: fetching Debian's cloud kernel" >&2
	if ! download "$work"; then
		# The lists are absent, or older than the mirror: both are cured by an update.
		apt-get -q update >"$work/update.log" 2>&1 || true
		download "$work" || fail "cannot download linux-image-cloud-amd64: $(tail -n 1 "$work/update.log"); as root: apt-get update"
	fi
	dpkg -x "$work"/linux-image-*.deb "$work/root"
	unpack_kernel "$(echo "$work"/root/boot/vmlinuz-*)" "$work/vmlinux"
	rm -rf "$cache/modules"
	mkdir "$cache/modules"
	for module in $modules; do
		find "$work/root/lib/modules" -name "$module.ko" -exec cp {} "$cache/modules/" \;
		[ -e "$cache/modules/$module.ko" ] || fail "$module.ko is not in $(basename "$work"/linux-image-*.deb)"
	done
	basename "$work"/linux-image-*.deb >"$cache/kernel"
	mv "$work/vmlinux" "$cache/vmlinux"	# last: its presence says that all is there
	rm -rf "$work"
}

make_initramfs() {
	root=$cache/root.$$
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/modules"
	cp "$busybox" "$root/bin/busybox"
	for applet in sh mount insmod ip cat cut sleep; do
		ln -s busybox "$root/bin/$applet"
	done
	cp "$loadgen" "$root/bin/loadgen"
	for module in $modules; do
		cp "$cache/modules/$module.ko" "$root/modules/"
		echo "$module" >>"$root/modules/order"
	done
	cp "$here/init" "$root/init"
	chmod 755 "$root/init" "$root/bin/loadgen" "$root/bin/busybox"
	# Strip: a guest unpacks this slowly.
	strip "$root/bin/loadgen" 2>/dev/null || true
	strip -g "$root"/modules/*.ko 2>/dev/null || true
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$cache/initramfs.$$"
	mv "$cache/initramfs.$$" "$cache/initramfs"
	rm -rf "$root"
}

[ -x "$loadgen" ] || fail "$loadgen is not built: run ./run build"
need cpio cpio
busybox=$(command -v busybox) || fail "busybox is missing: install the package busybox-static"
mkdir -p "$cache"
exec 8>"$cache/lock"
flock 8
[ -e "$cache/vmlinux" ] || make_kernel
inputs=$(cat "$busybox" "$loadgen" "$here/init" "$here/guest.sh" "$cache/kernel" | cksum)
if [ ! -e "$cache/initramfs" ] || [ "$(cat "$cache/inputs" 2>/dev/null)" != "$inputs" ]; then
	make_initramfs
	echo "$inputs" >"$cache/inputs"
fi
