#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xen_images.sh CACHE [BUILD [JOB_FOLDER JOB_FILE [systemd]]]: makes what the Xen lab boots, each part only when something that it is made of has changed:
#
#   CACHE/xen       the hypervisor
#   CACHE/vmlinux   Debian's kernel, for dom0 and guests
#   CACHE/base      dom0's files out of packages, as a folder and as base.cpio
#   CACHE/systemd.cpio  Debian's systemd, where the fifth argument asks for it
#   CACHE/top.cpio  closer and loadgen from BUILD, the guests' initramfs, the lab's scripts; laid over base
#
# Packages are downloaded and unpacked, never installed. Without BUILD that is all that is done: it needs nothing compiled. The caller holds
# the lab's lock.
set -eu
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)/xen
me=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
cache=$1
build=${2:+$(cd "$2" && pwd)}
libdir=usr/lib/$(gcc -dumpmachine 2>/dev/null || echo x86_64-linux-gnu)

dom0_modules='xen-evtchn xen-privcmd xenfs xen-gntdev xen-gntalloc xen-blkback xen-netback bridge brd loop tun virtio_pci virtio_blk
virtio_console virtio_net'
domu_modules='xen-netfront xen-blkfront'
# For jobs, where the machine has them.
tools='taskset chrt jq strace'

fail() {
	echo "lab: $*" >&2
	exit 1
}

# The packages that Xen and the kernel are in today, and the libraries that they need.
packages() {
	apt-cache depends xen-system-amd64 2>/dev/null | sed -n 's/^ *Depends: \(xen-hypervisor-[0-9][^ ]*\|xen-utils-[0-9][^ ]*\)$/\1/p'
	apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p'
	utils=$(apt-cache depends xen-system-amd64 2>/dev/null | sed -n 's/^ *Depends: \(xen-utils-[0-9][^ ]*\)$/\1/p')
	[ -n "$utils" ] || return 0
	echo xen-utils-common
	echo xenstore-utils
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$utils" |
		sed -n 's/^\(libxen[a-z]*[0-9.]*\|libyajl2\|libncurses6\|libtinfo6\|liblzma5\|libgcc-s1\|libuuid1\|zlib1g\|libbz2-1.0\|liblzo2-2\|libzstd1\)$/\1/p'
}

# What apt would download: names, sizes and hashes.
offered() {
	# shellcheck disable=SC2046 # a list
	apt-get -q --print-uris download $(packages | sort -u) 2>/dev/null | sort
}

is_current() { # NAME KEY
	[ "$(cat "$cache/$1.key" 2>/dev/null)" = "$2" ]
}

unpack() {
	uris=$(offered)
	case $uris in
	*xen-utils-*linux-image-* | *linux-image-*xen-utils-*) ;;
	*)
		# The lists are absent, or older than the mirror.
		apt-get -q update >"$cache/update.log" 2>&1 || true
		uris=$(offered)
		;;
	esac
	key=$(echo "$uris" | cksum)
	if [ -z "$uris" ]; then
		[ -e "$cache/packages.key" ] || fail "apt offers no Xen: is Debian's main in its sources, and the mirror there? apt-get update"
		return 0
	fi
	! is_current packages "$key" || return 0
	echo "lab: fetching Debian's Xen and kernel" >&2
	rm -rf "$cache/work" "$cache/packages" "$cache/packages.key"
	mkdir -p "$cache/work"
	# shellcheck disable=SC2046
	(cd "$cache/work" && apt-get -q -o APT::Sandbox::User="$(id -un)" download $(packages | sort -u) >apt.log 2>&1) || {
		apt-get -q update >"$cache/update.log" 2>&1 || true
		# shellcheck disable=SC2046
		(cd "$cache/work" && apt-get -q -o APT::Sandbox::User="$(id -un)" download $(packages | sort -u) >apt.log 2>&1) ||
			fail "downloading Xen failed: $(tail -n 1 "$cache/work/apt.log")"
		key=$(offered | cksum)
	}
	mkdir "$cache/packages"
	for deb in "$cache"/work/*.deb; do
		dpkg -x "$deb" "$cache/packages"
	done
	rm -rf "$cache/work"
	gzip -dc "$(echo "$cache"/packages/boot/xen-*-amd64.gz)" >"$cache/xen"
	sh "$(dirname "$me")/xen_vmlinux.sh" "$(echo "$cache"/packages/boot/vmlinuz-*)" "$cache/vmlinux"
	depmod -b "$cache/packages" "$(kernel)"
	echo "$key" >"$cache/packages.key"
}

kernel() {
	basename "$(echo "$cache"/packages/lib/modules/*)"
}

# Modules with those that they need, in the order in which they need each other.
module_files() {
	for m in "$@"; do
		modprobe -d "$cache/packages" -S "$(kernel)" --show-depends "$m" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++'
}

library() { # NAME: the file, from the packages or else from the machine
	for d in "$cache/packages/$libdir" "$cache/packages/${libdir#usr/}" "$cache/systemd.packages/$libdir" \
		"$cache/systemd.packages/${libdir#usr/}" "$cache/systemd.packages/$libdir/systemd" "/$libdir" "/${libdir#usr/}" /usr/lib /usr/local/lib; do
		if [ -e "$d/$1" ]; then
			echo "$d/$1"
			return
		fi
	done
	return 1
}

# Copies the libraries that files need, and what those need, into ROOT; not those that are in BASE already.
libraries() { # ROOT BASE FILE...
	lib_root=$1
	lib_base=$2
	shift 2
	mkdir -p "$lib_root/$libdir"
	while [ $# -gt 0 ]; do
		found=
		for name in $(readelf -d "$@" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
			[ ! -e "$lib_root/$libdir/$name" ] && [ ! -e "$lib_base/$libdir/$name" ] || continue
			case $name in
			ld-linux*) continue ;;
			esac
			file=$(library "$name") || fail "the library $name is neither in Xen's packages nor on this machine"
			cp -L "$file" "$lib_root/$libdir/$name"
			found="$found $lib_root/$libdir/$name"
		done
		# shellcheck disable=SC2086 # a list
		set -- $found
	done
}

pack() { # FOLDER FILE
	(cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$2.new"
	mv "$2.new" "$2"
}

busybox_into() { # FOLDER: with a link for each applet
	cp "$busybox" "$1/busybox"
	for applet in $("$busybox" --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$1/$applet"
	done
}

make_base() {
	key=$(cat "$cache/packages.key" "$me" "$busybox" | cksum)
	! is_current base "$key" || return 0
	p=$cache/packages
	b=$cache/base
	version=$(basename "$(echo "$p"/usr/lib/xen-[0-9]*)")
	rm -rf "$b" "$b.key"
	mkdir -p "$b/usr/bin" "$b/usr/sbin" "$b/$libdir" "$b/usr/lib64" "$b/usr/lib/$version" "$b/etc/xen/scripts" "$b/boot" "$b/lab" \
		"$b/dev" "$b/proc" "$b/sys" "$b/run" "$b/tmp" "$b/var/lib" "$b/var/log" "$b/root" "$b/usr/local"
	ln -s usr/bin "$b/bin"
	ln -s usr/sbin "$b/sbin"
	ln -s usr/lib "$b/lib"
	ln -s usr/lib64 "$b/lib64"
	ln -s /run "$b/var/run"
	ln -s /run/lock "$b/var/lock"
	ln -s "$version" "$b/usr/lib/xen"
	busybox_into "$b/usr/bin"
	cp -a "$p/usr/lib/$version/bin" "$b/usr/lib/$version/bin"
	# Kept small: each byte is unpacked in an emulated machine at each boot.
	(cd "$b/usr/lib/$version/bin" && rm -f test-* flask-* convert-legacy-stream verify-stream-v2 pygrub xenpvnetboot xen-livepatch xencov* \
		oxenstored xen-kdd xen-access)
	for f in "$p"/usr/bin/xenstore* "$p/usr/bin/xenalyze"; do
		# The machine's own xenstore* are one program by many names.
		[ "$(basename "$f")" = xenstore-control ] || cp -a "$f" "$b/usr/bin/"
	done
	cp -a "$p/etc/xen/." "$b/etc/xen/"
	for tool in $tools; do
		file=$(command -v "$tool") || continue
		rm -f "$b/usr/bin/$tool"
		cp -L "$file" "$b/usr/bin/$tool"
	done
	cp -L /lib64/ld-linux-x86-64.so.2 "$b/usr/lib64/"
	# shellcheck disable=SC2046 # names of this folder's, without blanks
	libraries "$b" /nowhere $(find "$b/usr/bin" "$b/usr/lib/$version/bin" -type f) \
		"$p/$libdir"/libxen*.so.* "$p/$libdir"/libxl*.so.*
	for file in "$p/$libdir"/libxen*.so.* "$p/$libdir"/libxl*.so.*; do
		name=$(readelf -d "$file" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
		cp -L "$file" "$b/$libdir/$name"
	done
	cp -L "$(library libgcc_s.so.1)" "$b/$libdir/"	# opened by name, when a thread is cancelled
	# shellcheck disable=SC2086 # a list
	for f in $(module_files $dom0_modules); do
		to=$b/usr/lib/modules/$(kernel)/${f#*/lib/modules/*/}
		mkdir -p "$(dirname "$to")"
		cp "$f" "$to"
	done
	for f in "$p/lib/modules/$(kernel)"/modules.order "$p/lib/modules/$(kernel)"/modules.builtin*; do
		cp "$f" "$b/usr/lib/modules/$(kernel)/"
	done
	depmod -b "$b" "$(kernel)"
	cp "$cache/vmlinux" "$b/boot/vmlinux"
	pack "$b" "$cache/base.cpio"
	echo "$key" >"$cache/base.key"
}

# A dom0 whose first process is systemd: the lab is its one service. Its packages are fetched once, when it is first asked for.
make_systemd() {
	key=$(cat "$me" "$cache/packages.key" "$here/lab.service" | cksum)
	! is_current systemd "$key" || return 0
	p=$cache/systemd.packages
	s=$cache/systemd
	rm -rf "$p" "$s" "$s.key"
	mkdir -p "$p" "$s/usr/lib/systemd/system" "$s/usr/bin" "$s/etc/systemd/system"
	echo "lab: fetching Debian's systemd" >&2
	# shellcheck disable=SC2046 # a list
	(cd "$p" && apt-get -q -o APT::Sandbox::User="$(id -un)" download systemd $(apt-cache depends --recurse --no-recommends --no-suggests \
		--no-conflicts --no-breaks --no-replaces --no-enhances systemd | sed -n 's/^\(lib[a-z0-9.-]*\)$/\1/p') >apt.log 2>&1) ||
		fail "downloading systemd failed: $(tail -n 1 "$p/apt.log")"
	for deb in "$p"/*.deb; do
		dpkg -x "$deb" "$p"
	done
	cp -a "$p/lib/systemd/." "$s/usr/lib/systemd/"
	cp -a "$p/bin/systemctl" "$p/usr/bin/systemd-run" "$s/usr/bin/"
	# shellcheck disable=SC2046 # names of this folder's, without blanks
	libraries "$s" "$cache/base" $(find "$s/usr" -type f -perm -100)
	cp "$here/lab.service" "$s/etc/systemd/system/"
	echo 0123456789abcdef0123456789abcdef >"$s/etc/machine-id"
	pack "$s" "$cache/systemd.cpio"
	rm -rf "$p" "$s"
	echo "$key" >"$cache/systemd.key"
}

make_domu() { # FILE
	u=$cache/domu
	rm -rf "$u"
	mkdir -p "$u/bin" "$u/dev" "$u/proc" "$u/sys" "$u/tmp" "$u/modules"
	busybox_into "$u/bin"
	cp "$loadgen" "$u/bin/loadgen"
	strip "$u/bin/loadgen" 2>/dev/null || true
	# shellcheck disable=SC2086 # a list
	cp $(module_files $domu_modules) "$u/modules/"
	cp "$here/domu_answer" "$u/bin/answer"
	cp "$here/domu_meminfo" "$u/bin/meminfo"
	cp "$here/domu_init" "$u/init"
	chmod 755 "$u/init" "$u/bin/answer" "$u/bin/meminfo"
	pack "$u" "$1"
	rm -rf "$u"
}

make_top() {
	modules=$(find "$build/hosts" -maxdepth 2 -name '*.so' 2>/dev/null | sort)
	# shellcheck disable=SC2086 # a list
	key=$(cat "$cache/base.key" "$here"/* "$loadgen" "$closer" $modules | cksum)
	! is_current top "$key" || return 0
	t=$cache/top
	rm -rf "$t" "$t.key"
	mkdir -p "$t/boot" "$t/lab" "$t/etc/xen/scripts" "$t/usr/bin" "$t/usr/sbin"
	make_domu "$t/boot/domu.img"
	# Where it would be installed: so it finds its modules.
	DESTDIR=$t meson install -C "$build" --no-rebuild --quiet >"$cache/install.log" 2>&1 || fail "$(cat "$cache/install.log")"
	installed=$(find "$t" -name closer -type f -perm -100 | head -n 1)
	[ -n "$installed" ] || fail "$build installs no closer"
	rm -rf "$(dirname "$(dirname "$installed")")/share" "$(dirname "$(dirname "$installed")")/include"
	[ "$installed" = "$t/usr/sbin/closer" ] || ln -s "${installed#"$t"}" "$t/usr/sbin/closer"
	cp "$loadgen" "$t/usr/bin/loadgen"
	cp "$here/here" "$t/usr/bin/here"
	cp "$here/lib.sh" "$t/lab/lib.sh"
	cp "$here/block" "$here/vif-bridge" "$t/etc/xen/scripts/"
	cp "$here/dom0_init" "$t/init"
	chmod 755 "$t/init" "$t/usr/bin/here" "$t"/etc/xen/scripts/*
	# shellcheck disable=SC2046 # names of this folder's, without blanks
	libraries "$t" "$cache/base" $(find "$t/usr" -type f \( -name '*.so*' -o -perm -100 \))
	pack "$t" "$cache/top.cpio"
	rm -rf "$t"
	echo "$key" >"$cache/top.key"
}

# make_job JOB_FOLDER FILE: what one run adds, with the libraries of the programs in it.
make_job() {
	programs=$(find "$1/lab/bin" -type f 2>/dev/null)
	# shellcheck disable=SC2086 # a list
	[ -z "$programs" ] || libraries "$1" "$cache/base" $programs
	pack "$1" "$2"
}

for c in cpio:cpio depmod:kmod readelf:binutils; do
	command -v "${c%:*}" >/dev/null 2>&1 || fail "${c%:*} is missing: install the package ${c#*:}"
done
mkdir -p "$cache"
if [ -z "$build" ]; then
	unpack
	exit
fi
closer=$build/cli/closer
loadgen=$build/lab/loadgen
[ -x "$closer" ] && [ -x "$loadgen" ] || fail "$build has no closer or loadgen built: run ./run build"
busybox=$(command -v busybox) || fail "busybox is missing: install the package busybox-static"
unpack
make_base
make_top
[ "${5:-}" != systemd ] || make_systemd
if [ $# -gt 2 ]; then
	make_job "$3" "$4"
fi
