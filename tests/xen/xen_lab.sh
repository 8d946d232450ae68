#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The Xen lab itself: two boots. In the first a job looks at the machine, at two guests on two nodes and at their loads, leaves files and fails
# with a status of its own; the second never comes up, which is tried again and said.
# usage: xen_lab.sh BUILD_DIR
set -u
here=$(cd "$(dirname "$0")" && pwd)
lab=$here/../../lab/xen.sh
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP
. "$here/../check.sh"

cat >"$work/look.sh" <<'JOB'
# Facts, a file each; the test outside judges them.
printf '%s|' "$@" >/out/args
xl info -n >/out/info
mount >/out/mounts
for path in /proc/xen/capabilities /sys/kernel/btf/vmlinux /sys/fs/cgroup/cgroup.controllers; do
	[ ! -r "$path" ] || echo "$path"
done >/out/present
pidof xenstored xenconsoled >/out/daemons
xenstore-read /local/domain/0/domid >/out/dom0
ls /lab/bin >/out/added
echo "$GREETING" >/out/env
# As the kernel says it of a CPU that hangs.
echo '<0>watchdog: BUG: soft lockup: no, a test' >/dev/kmsg
closer check >/out/check 2>&1 || echo "closer check: $?" >>/out/check
peer
for n in 1 2; do
	ask $n "start udp-out to=$LAB_PEER rate=50 size=256 + udp-in to=$LAB_PEER rate=50 size=256 + disk-read dev=/dev/xvda rate=50" >/dev/null
done
sleep 2
for n in 1 2; do
	ask $n report >/dev/null
done
sleep 6
for n in 1 2; do
	ask $n report >/out/load.$n
	guest_sh $n 'cat /proc/partitions' >/out/partitions.$n
	backend_threads $n >/out/threads.$n
	xl vcpu-list g$n >/out/vcpus.$n
done
status=0
guest_sh 1 'exit 5' >/dev/null || status=$?
echo "$status" >/out/guest_status
# With a guest's process on the same CPUs, so that Xen has vCPUs to switch.
for n in 1 2; do
	guest_sh $n 'timeout 12 sh -c "while :; do :; done" || true' >/dev/null &
done
registers 10 12 >/out/registers 2>&1 || echo "registers: $?" >>/out/registers
# Which node each domain's memory is on.
xl debug-keys u
xl dmesg >/out/memory
say 'all seen'
exit 3
JOB
echo 'exit 0' >"$work/never.sh"

# Each load's share of what was offered, in thousandths.
shares() {
	jq -r '.loads[] | .share * 1000 | floor' "$1" 2>/dev/null
}

achieved() { # FILE
	n=0
	for share in $(shares "$1"); do
		[ "$share" -ge 900 ] || return 1
		n=$((n + 1))
	done
	[ "$n" = 3 ]
}

on_node() { # FILE CPUS: hard affinity
	awk -v cpus="$2" 'NR > 1 { n++; if ($7 != cpus) bad = 1 } END { exit !(n == 1 && !bad) }' "$1"
}

home() { # FILE DOMID NODE: all of its memory is there
	awk -v domid="$2" -v node="$3" '/Domain [0-9]+ \(total/ { on = $3 == domid } on && /Node [0-9]+:/ { pages[$3 + 0] = $4 }
		END { exit !(pages[node] > 0 && pages[1 - node] == 0) }' "$1"
}

numa() { # of two nodes, 10 to itself and 20 to the other; two CPUs each
	awk '/^numa_info/ { numa = 1 } /^cpu_topology/ { cpu = 1 } /^device topology/ { cpu = 0 }
		cpu && $1 ~ /^[0-9]+:$/ { count[$4]++ }
		numa && $1 == "0:" && $4 == "10,20" { near = 1 }
		numa && $1 == "1:" && $4 == "20,10" { far = 1 }
		END { exit !(near && far && count[0] == 2 && count[1] == 2) }' "$1"
}

status=0
"$lab" --build "$build" --out "$work/out" --guests 2 --dom0-pin --env GREETING='a "b" $c' --add "$(command -v env)" --add "$build/tests/xen/registers" \
	"$work/look.sh" one "two  'words'" >"$work/output" 2>"$work/errors" || status=$?
cat "$work/errors" >&2
[ "$status" = 3 ] || tail -n 20 "$work/output" >&2
out=$work/out
check "a job's exit status comes back" [ "$status" = 3 ]
check "its output and its arguments too" eval 'grep -q "all seen" "$work/output" && [ "$(cat "$out/args")" = "one|two  '\''words'\''|" ]'
check "what --env and --add gave is there" eval '[ "$(cat "$out/env")" = "a \"b\" \$c" ] && grep -qx env "$out/added"'
check "Xen sees two nodes, their distances and CPUs" numa "$out/info"
check "xenstored and xenconsoled run, dom0 is known to xenstore" eval \
	'[ "$(wc -w <"$out/daemons")" = 2 ] && [ "$(cat "$out/dom0")" = 0 ]'
check "the kernel's BTF, cgroup v2, xenfs and tracefs are there" eval \
	'[ "$(wc -l <"$out/present")" = 3 ] && grep -q "type cgroup2" "$out/mounts" && grep -q "type tracefs" "$out/mounts"'
check "closer check runs in dom0, BPF is usable" grep -q '^ok *bpf ' "$out/check"
check "guest g1 runs on node 0, g2 on node 1" eval 'on_node "$out/vcpus.1" 0-1 && on_node "$out/vcpus.2" 2-3'
check "so is their memory" eval 'home "$out/memory" 1 0 && home "$out/memory" 2 1'
check "each has a disk, and back-end threads for disk and network" eval \
	'grep -q xvda "$out/partitions.1" && grep -q xvda "$out/partitions.2" &&
	 grep -q "vif.*guest-rx" "$out/threads.1" && grep -q "xvda" "$out/threads.1" &&
	 grep -q "vif.*guest-rx" "$out/threads.2" && grep -q "xvda" "$out/threads.2"'
for n in 1 2; do
	check "g$n achieves its network and disk load (thousandths: $(shares "$out/load.$n" | tr '\n' ' '))" achieved "$out/load.$n"
done
tail -n 2 "$out/registers"
check "processes in dom0 keep their registers" grep -q '^rounds .* wrong: vector 0 x87 0 tls 0 died 0$' "$out/registers"
check "where a CPU hangs the emulator is told to translate anew, and the machine goes on" eval \
	'grep -q "a CPU hangs: .*anew" "$work/errors" && grep -qx "retranslate: done" "$work/out/qemu.log"'
check "a command's status comes back from a guest" [ "$(cat "$out/guest_status" 2>/dev/null)" = 5 ]
check "the consoles' logs come back" eval 'grep -q "toolstack ready" "$out/serial.log" && grep -q userland "$out/log/guest-g1.log"'

status=0
"$lab" --build "$build" --out "$work/out" --linux rdinit=/nowhere "$work/never.sh" >"$work/output" 2>"$work/errors" || status=$?
check "a boot that ends nowhere is tried again twice, said, and is no job's status" eval \
	'[ "$status" = 125 ] && [ "$(grep -c "trying again" "$work/errors")" = 2 ]'
exit $failed
