# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# clock.sh [SECONDS]: a job of the Xen lab: closer's clock against Xen's, with xen_clock in /lab/bin. Guests g1 and g2 run, and dom0's vCPU n
# is on pCPU n.

seconds=${1:-5}
bad=0

[ "$(cat /sys/hypervisor/type)" = xen ] || fail "this is no Xen domain"
d1=$(domid 1) d2=$(domid 2)
peer

say "network and disk load of two guests"
for n in 1 2; do
	ask "$n" "run udp-echo to=$LAB_PEER rate=300 for=600s + disk-read dev=/dev/xvda rate=40 for=600s" 700 >/dev/null 2>&1 &
done
sleep 2
xen_clock parts "$seconds" 3 "$d1" "$d2" || bad=1
stop_guest 2

# The pCPU of dom0's last vCPU, which a busy guest shares with a thread of dom0 there.
cpu=$((LAB_PCPUS - 1))
say "a thread on cpu$cpu, whose pCPU a busy guest shares"
stop_guest 1
start_guest 1 cpus="$cpu"
wait_guest 1
ask 1 "run cpu for=600s" 700 >/dev/null 2>&1 &
taskset -c "$cpu" sh -c 'while :; do :; done' &
burner=$!
sleep 2
xen_clock burner "$seconds" 3 "$burner" "$cpu" || bad=1
kill "$burner"

# The same load seen by two closers at once, one of them where the kernel's types, and with them BPF, are hidden. The back ends of g1 share a
# pCPU with g2, which is busy: dom0's kernel books what Xen takes from them as their own.
say "closer's estimate without BPF"
stop_guest 1
start_guest 1 cpus=$((cpu - 1))
start_guest 2 cpus="$cpu"
wait_guest 1
wait_guest 2
ask 2 "run cpu for=600s" 700 >/dev/null 2>&1 &
ask 1 "run udp-echo to=$LAB_PEER rate=300 for=600s + disk-read dev=/dev/xvda rate=40 for=600s" 700 >/dev/null 2>&1 &
sleep 1
for pid_name in $(backend_threads 1 | tr ' ' :); do
	taskset -p -c "$cpu" "${pid_name%%:*}" >/dev/null
done
booked() { # ns, by dom0's kernel
	for pid_name in $(backend_threads 1 | tr ' ' :); do
		cat "/proc/${pid_name%%:*}/schedstat"
	done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
# percent FILE: of a CPU, what the guest's back-end threads used, and all that was done for it
percent() {
	jq -r '.span_ns as $span | .guests[] | select(.name == "g1") |
		"\((.kinds | .["netback-rx"] + .["netback-dealloc"] + .blkback) * 100 / $span) \(.host_ns * 100 / $span)"' "$1"
}
estimate() {
	closer status --interval "$seconds"s --json >/tmp/true.json &
	true_pid=$!
	unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && closer status --interval "$1"s --json' - "$seconds" >/tmp/scaled.json &
	scaled_pid=$!
	from=$(booked)
	from_s=$(cut -d' ' -f1 /proc/uptime)
	wait $true_pid && wait $scaled_pid || return 1
	to=$(booked)
	to_s=$(cut -d' ' -f1 /proc/uptime)
	keep /tmp/true.json /tmp/scaled.json
	jq -e '.totals.estimated == false' /tmp/true.json >/dev/null && jq -e '.totals.estimated' /tmp/scaled.json >/dev/null || {
		echo "  it is not marked as an estimate, or the other one is"
		return 1
	}
	echo "$(percent /tmp/true.json) $(percent /tmp/scaled.json) $from $to $from_s $to_s" | awk '
		function off(x, is) { return is > 0 ? (x - is) / is * 100 : 0 }
		{
			booked = ($6 - $5) / 1e7 / ($8 - $7)
			printf "g1, percent of a CPU: back-end threads %.2f, with their interrupts %.2f; ", $1, $2
			printf "estimated without BPF, where both are one, %.2f (%+.1f %%, %+.1f %%); ", $3, off($3, $1), off($3, $2)
			printf "booked by the kernel %.2f (%+.1f %%, %+.1f %%)\n", booked, off(booked, $1), off(booked, $2)
			exit !($2 > 0 && $3 > 0)
		}'
}
unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && closer status && closer explain g1 && closer check' >/out/estimate 2>&1 || true
cat /out/estimate
check "an estimate without BPF is marked as one; how far it is off is printed" estimate
check "status, explain and check say that it is one" eval '[ "$(grep -c "^~ is an estimate" /out/estimate)" = 2 ] && grep -q "runs *~" /out/estimate && grep -q "lost .*true-clock" /out/estimate'
[ "$bad" = 0 ] && verdict
