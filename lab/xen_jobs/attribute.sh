# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# attribute.sh [SECONDS [ROUNDS]]: a job of the Xen lab (--nic): what closer says that dom0 did for guests against the increase of Xen's own time
# of dom0, in windows of SECONDS, medians of ROUNDS. Disks are files behind loop devices, whose work is done by the kernel's shared workers;
# packets go through a network card, whose interrupt and polls are nobody's by name. Then what a packet and a request cost is calibrated, and two guests
# of different load are attributed by both: as measured, and by what they asked for.

seconds=${1:-4}
rounds=${2:-5}
lead=3 # a load has begun
outside=$LAB_OUTSIDE:$LAB_PORT

# window NAME: a line of /tmp/NAME: in per cent of a CPU: Xen's dom0, the guests' g1 and g2, main, overhead, unattributed; the gap in per cent of Xen's
window() {
	closer status --interval "${seconds}s" --json >/tmp/window.json || fail "closer status failed"
	jq -c --arg name "$1" '. + {window: $name}' /tmp/window.json >>/out/windows
	jq -r 'def of(name): [.guests[] | select(.name == name) | .host_ns] | add // 0;
		.span_ns as $span | [.totals.busy_ns, of("g1"), of("g2"), .totals.main_ns, .totals.overhead_ns, .totals.unattributed_ns] |
		map(. * 100 / $span) | @tsv' /tmp/window.json >>"/tmp/$1"
	jq -r 'def of(name): [.guests[] | select(.name == name) | .weighed_ns // 0] | add // 0;
		.span_ns as $span | [.totals.busy_ns, of("g1"), of("g2")] | map(. * 100 / $span) | @tsv' /tmp/window.json >>"/tmp/$1-weighed"
	jq -r '.totals | .gap_ns * 100 / .busy_ns' /tmp/window.json >>/tmp/gaps
}

# windows NAME LOAD_OF_G1 [LOAD_OF_G2]: base, load, base, .., base
windows() {
	rm -f "/tmp/$1-base" "/tmp/$1-load" "/tmp/$1-base-weighed" "/tmp/$1-load-weighed"
	window "$1-base"
	n=0
	while [ $n -lt "$rounds" ]; do
		n=$((n + 1))
		span=$((lead + seconds + 4))
		ask 1 "run $(echo "$2" | sed "s/,/ for=${span}s + /g") for=${span}s" $((span + 30)) >/tmp/load1 &
		first=$!
		second=
		if [ -n "${3:-}" ]; then
			ask 2 "run $(echo "$3" | sed "s/,/ for=${span}s + /g") for=${span}s" $((span + 30)) >/tmp/load2 &
			second=$!
		fi
		sleep $lead
		window "$1-load"
		wait $first || fail "g1's load failed: $(cat /tmp/load1)"
		[ -z "$second" ] || wait "$second" || fail "g2's load failed: $(cat /tmp/load2)"
		window "$1-base"
	done
}

# increases NAME [-weighed]: a line for each round: of Xen's dom0, g1, g2, main, overhead, unattributed, over the mean of the bases before and after
increases() {
	awk 'NR == FNR { for (i = 1; i <= NF; i++) base[FNR, i] = $i; next }
		{ for (i = 1; i <= NF; i++) printf "%.3f%s", $i - (base[FNR, i] + base[FNR + 1, i]) / 2, i < NF ? " " : "\n" }' "/tmp/$1-base${2:-}" "/tmp/$1-load${2:-}"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

within_most() { # X MOST: of either sign
	awk -v x="$1" -v most="$2" 'BEGIN { exit !(x <= most && x >= -most) }' || {
		echo "  $1 is over $2, one way or the other"
		return 1
	}
}

# compare NAME WHAT LOAD: of one guest
compare() {
	windows "$1" "$3"
	increases "$1" >"/tmp/$1"
	say "$2, increase in per cent of a CPU: Xen's dom0, g1, g2, main, overhead, unattributed"
	cat "/tmp/$1"
	xen=$(awk '{ print $1 }' "/tmp/$1" | median)
	off=$(awk '{ print ($2 / $1 - 1) * 100 }' "/tmp/$1" | median)
	say "$2: Xen's increase $xen % of a CPU, g1's is off by $off % of it"
	check "$2: it is a load of 15 % of a CPU and more" at_least "$xen" 15
	check "$2: its increase is attributed within 10 %" within_most "$off" 10
}

modprobe loop
for n in 1 2; do
	dd if=/dev/zero of=/tmp/disk$n bs=1M count=24 2>/dev/null
	losetup /dev/loop$n /tmp/disk$n
done
pin_dom0 on
for n in 1 2; do
	start_guest $n disk=/dev/loop$n
done
for n in 1 2; do
	wait_guest $n
done
: >/tmp/gaps
guest_sh 1 "ping -c 2 $LAB_OUTSIDE" || fail "nothing is behind the network card"
cat /proc/interrupts >/out/interrupts

compare disk "a disk behind a loop device" "disk-read dev=/dev/xvda rate=250 size=16384"
compare net "packets through the network card" "udp-echo to=$outside rate=500"
compare both "both" "udp-echo to=$outside rate=250,disk-read dev=/dev/xvda rate=120 size=16384"

# Loads of one thing each: what an echo sends and receives cannot be told apart.
cat >/tmp/load <<'LOAD'
trap '' TERM # it goes on in the guest until its time is over
. /lab/lib.sh
ask 1 "run $1 for=$((LAB_SECONDS + 5))s" $((LAB_SECONDS + 40))
LOAD
export LAB_SECONDS="$seconds"
say "calibrating with loads of g1"
calibrate() {
	closer calibrate --guest g1 --interval "${seconds}s" --rounds $(((rounds + 1) / 3)) --load "sh /tmp/load 'udp-out to=$outside rate=400'" \
		--load "sh /tmp/load 'udp-in to=$outside rate=400'" --load "sh /tmp/load 'disk-read dev=/dev/xvda rate=150'" --load "sh /tmp/load 'udp-echo to=$outside rate=250'"
}
check "costs of packets and requests are told" calibrate
closer calibrate --show || true

windows two "udp-echo to=$outside rate=400,disk-read dev=/dev/xvda rate=60" "udp-echo to=$outside rate=100,disk-read dev=/dev/xvda rate=200"
increases two >/tmp/two
increases two -weighed >/tmp/two-weighed
say "two guests, increase in per cent of a CPU: Xen's dom0, g1, g2, main, overhead, unattributed"
cat /tmp/two
say "the same by packets and requests: Xen's dom0, g1, g2"
cat /tmp/two-weighed
together() { # FILE
	awk '{ print (($2 + $3) / $1 - 1) * 100 }' "$1" | median
}
say "two guests together are off Xen's increase by $(together /tmp/two) % as measured, by $(together /tmp/two-weighed) % by packets and requests"
for n in 1 2; do
	say "g$n by packets and requests is off what was measured by $(paste /tmp/two /tmp/two-weighed | awk -v n=$n '{ print ($(7 + n) / $(1 + n) - 1) * 100 }' | median) %"
done
check "two guests: their increase is attributed within 10 %" within_most "$(together /tmp/two)" 10

cat /proc/interrupts >>/out/interrupts
keep /tmp/gaps
worst=$(awk '{ x = $1 < 0 ? -$1 : $1; if (x > w) w = x } END { print w }' /tmp/gaps)
say "all parts are off Xen's time by $worst % at most, in $(wc -l </tmp/gaps) windows"
check "the parts close with Xen's time within 3 % in every window" within_most "$worst" 3
verdict
