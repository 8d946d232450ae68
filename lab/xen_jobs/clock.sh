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
[ "$bad" = 0 ]
