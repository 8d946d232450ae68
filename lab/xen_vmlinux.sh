#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xen_vmlinux.sh BZIMAGE VMLINUX: unpacks a kernel. Xen could unpack it itself, but does so slowly in an emulated machine, for each guest.
set -eu

fail() {
	echo "lab: $*" >&2
	exit 1
}

# The number at an offset of the image, little-endian.
number() { # OFFSET BYTES
	od -An -v -j "$1" -N "$2" -t "u$2" "$image" | tr -d ' '
}

bytes() { # OFFSET COUNT
	od -An -v -j "$1" -N "$2" -t x1 "$image" | tr -d ' \n'
}

image=$1
# Boot protocol (Documentation/arch/x86/boot.rst): "HdrS" at 0x202; setup_sects at 0x1f1; payload_offset and _length at 0x248, from the
# end of the setup sectors.
[ "$(bytes 514 4)" = 48647253 ] || fail "$image is no Linux bzImage"
start=$((($(number 497 1) + 1) * 512 + $(number 584 4)))
# Its last four bytes are the unpacked length, no part of the stream.
size=$(($(number 588 4) - 4))
case $(bytes "$start" 4) in
fd377a58) tool=xz ;;
28b52ffd) tool=zstd ;;
02214c18) tool=lz4 ;;
1f8b*) tool=gzip ;;
*) fail "$image is packed in a way that is not known here" ;;
esac
command -v "$tool" >/dev/null || fail "$tool is missing: ./run deps installs it"
tail -c "+$((start + 1))" "$image" | head -c "$size" | "$tool" -dc >"$2.new" || fail "unpacking $image with $tool failed"
image=$2.new
[ "$(bytes 0 4)" = 7f454c46 ] || fail "what was unpacked from $1 is no ELF file"
mv "$2.new" "$2"
