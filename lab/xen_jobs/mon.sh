# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# mon.sh [SECONDS]: a job of the Xen lab: `closer mon` on traces that xentrace takes of two loaded guests, against xenalyze's and Xen's own
# figures; live for SECONDS (60), with what it costs; and beside another reader. dom0's vCPU n is on pCPU n.

seconds=${1:-60}
mask=0x0002f000
start_guest 1 cpus=1
start_guest 2 cpus=3
wait_guest 1
wait_guest 2
d1=$(domid 1) d2=$(domid 2)
peer

xen_time() { # DOMID..: for each the seconds that Xen gave its vCPUs, to a tenth; last when that was
	xl vcpu-list | awk -v domids="$*" 'NR > 1 { sum[$(NF - 7)] += $(NF - 3) } END {
		count = split(domids, id, " ")
		for (i = 1; i <= count; i++) printf "%.1f ", sum[id[i]]
	}'
	cut -d' ' -f1 /proc/uptime
}
end_reader() { # PID: xentrace looks once more, and writes what there is
	kill -s TERM "$1"
	wait "$1" || true
}
summary() { # TRACE FILE: "DOMID VCPU SECONDS" of each vCPU that xenalyze saw running: times, and mean cycles of one
	xenalyze --cpu-hz "${mhz}M" --summary "$1" 2>"$2.err" >"$2.all"
	awk -v hz="$mhz" '
		/^\|-- Domain/ { domain = $3; vcpu = "" }
		/^-- v[0-9]+ --/ { vcpu = substr($2, 2) }
		vcpu != "" && $1 == "running:" { printf "%d %d %.6f\n", domain, vcpu, $2 * $4 / hz / 1e6; vcpu = "" }' "$2.all" |
		awk '$1 < 32767' >"$2"
}
# Of each vCPU: closer's figure and xenalyze's. One that ran for 5 % of the time or more is to agree within 0.5 %, any within 10 ms: xenalyze
# knows nothing of a vCPU before its first record.
agree() { # JSON SUMMARY
	jq -r '.domains[] | .domid as $d | .vcpus[] | "\($d) \(.vcpu) \(.gotten_ns / 1e9) \(.uncertain_ns / 1e9)"' "$1" >/tmp/closer.vcpus
	span=$(jq '.span_ns / 1e9' "$1")
	awk -v span="$span" '
		NR == FNR { theirs[$1 " " $2] = $3; next }
		{
			is = theirs[$1 " " $2]
			off = $3 - is
			away = off < 0 ? -off : off
			printf "  d%dv%d: closer %.4f s, +- %.4f s, xenalyze %.4f s: %+.3f %%\n", $1, $2, $3, $4, is, (is > 0 ? off / is * 100 : 0)
			if (away > 0.01 || (is >= span / 20 && away > is / 200)) bad = 1
			if (is >= span / 20) compared++
		}
		END { exit bad || compared < 2 }' "$2" /tmp/closer.vcpus
}
# Xen's own figures lie round those of a trace: shares of one CPU are compared, of loads that go on evenly.
near_xen() { # JSON BEFORE AFTER DOMID..: within 2 % or 1 % of a CPU, and what closer says is uncertain
	json=$1
	both="$2 $3"
	shift 3
	n=$#
	k=0
	for d in "$@"; do
		k=$((k + 1))
		figures=$(jq -r ".span_ns as \$s | .domains[] | select(.domid == $d) | \"\(.gotten_ns * 100 / \$s) \(.uncertain_ns * 100 / \$s)\"" "$json")
		echo "$both $figures" | awk -v k="$k" -v n="$n" -v d="$d" '{
			xen = ($(n + 1 + k) - $k) * 100 / ($(2 * n + 2) - $(n + 1))
			is = $(NF - 1)
			off = is > xen ? is - xen : xen - is
			printf "  d%d: closer %.2f %% of a CPU, +- %.2f %%, Xen %.2f %%\n", d, is, $NF, xen
			exit !(off <= (xen * 0.02 > 1 ? xen * 0.02 : 1) + $NF)
		}' || return 1
	done
}
closes() { # JSON LINES: each vCPU's and each pCPU's time in each window
	jq -se 'all(.[] | select(.total | not); .span_ns as $span |
		all(.domains[].vcpus[]; .gotten_ns + .waited_ns + .blocked_ns + .offline_ns == $span) and
		all(.pcpus[]; .gotten_ns + .idle_ns <= $span))' "$1" >/dev/null
}
refuses() {
	! closer mon --for 1s >/out/refused 2>&1 && grep -q 'another program reads' /out/refused
}

say "a guest that burns CPU, and one that sends and reads"
ask 1 "run cpu for=900s" 1000 >/dev/null 2>&1 &
ask 2 "run udp-echo to=$LAB_PEER rate=200 for=900s + disk-read dev=/dev/xvda rate=40 for=900s" 1000 >/dev/null 2>&1 &
sleep 3
# Xen prints it once at its boot; the same rate for both programs.
mhz=$(xl dmesg | sed -n 's/.*Detected \([0-9.]*\) MHz processor.*/\1/p' | head -n 1)
say "Xen's clock: $mhz MHz"

say "a trace of 15 s"
xentrace -D -e $mask -s 50 /tmp/whole.trace >/out/xentrace 2>&1 &
reader=$!
sleep 15
check "closer does not read beside another reader" refuses
end_reader "$reader"
ls -l /tmp/whole.trace
closer mon --trace /tmp/whole.trace --cpu-hz "$(echo "$mhz" | awk '{ printf "%.0f", $1 * 1e6 }')" --json >/out/whole.json
closer mon --trace /tmp/whole.trace --per-vcpu
summary /tmp/whole.trace /out/whole.summary
check "no record was lost" jq -e '.lost_records == 0 and .uncertain_ns < 5e7' /out/whole.json
check "running time per vCPU is xenalyze's within 0.5 %" agree /out/whole.json /out/whole.summary
closer mon --trace /tmp/whole.trace --json >/out/rate.json
check "the records tell the clock's rate within 0.05 %" eval 'jq ".cpu_hz / 1e6" /out/rate.json && jq -e --argjson mhz "$mhz" \
	"(.cpu_hz / 1e6 / \$mhz - 1) | fabs < 0.0005" /out/rate.json >/dev/null'
check "vCPUs' and pCPUs' times add up in each window" eval 'jq -c ".windows[]" /out/whole.json >/tmp/windows && closes /tmp/windows'

say "a trace whose reader sleeps while all that Xen can record is: records are lost"
xentrace -D -e 0x0ffff000 /tmp/lost.trace >>/out/xentrace 2>&1 &
reader=$!
sleep 1
before=$(xen_time "$d1" "$d2")
kill -s STOP "$reader"
sleep 4
kill -s CONT "$reader"
sleep 3
after=$(xen_time "$d1" "$d2")
end_reader "$reader"
ls -l /tmp/lost.trace
closer mon --trace /tmp/lost.trace --cpu-hz "$(echo "$mhz" | awk '{ printf "%.0f", $1 * 1e6 }')" --json >/out/lost.json || true
closer mon --trace /tmp/lost.trace || true
summary /tmp/lost.trace /out/lost.summary
agree /out/lost.json /out/lost.summary || true
check "lost records are counted, and the effect is bounded" jq -e '.lost_records > 0 and .uncertain_ns > 0' /out/lost.json
check "Xen's own time of the guests lies within the bound" near_xen /out/lost.json "$before" "$after" "$d1" "$d2"
rm -f /tmp/*.trace

say "live for $seconds s"
before=$(xen_time "$d1" "$d2")
# Where no guest is: what Xen takes from a vCPU dom0's kernel would book on closer, too.
taskset -c 2 closer mon --for "${seconds}s" --json >/out/live.json 2>/out/live.err &
live=$!
sleep $((seconds / 2))
check "nor does a second closer read beside the first" refuses
wait $live || fail "closer mon ended with $?: $(cat /out/live.err)"
after=$(xen_time "$d1" "$d2")
cat /out/live.err
tail -n 1 /out/live.json >/out/live.total.json
check "a line for each second, and one for all" eval 'jq -s "length" /out/live.json &&
	jq -se --argjson s "$seconds" "length >= \$s and .[-1].total" /out/live.json >/dev/null'
check "no record was lost, none came too late" jq -e '.lost_records == 0 and .late_records == 0' /out/live.total.json
check "times add up in each window" closes /out/live.json
check "the guests' time is Xen's" near_xen /out/live.total.json "$before" "$after" "$d1" "$d2"
jq -r '"closer mon itself: \(.own_ns / .own_span_ns * 100) % of a CPU; " + ([.domains[] | "d\(.domid) \(.executions) executions, I/O \(.io)"] | join("; "))' /out/live.total.json
check "its own cost is at most 1 % of a CPU" jq -e '.own_ns <= .own_span_ns / 100' /out/live.total.json
closer mon --for 3s --hypercalls --json 2>/out/calls.err | tail -n 1 >/out/calls.json
cat /out/calls.err
check "with hypercalls the guest that sends and reads has I/O" jq -e --argjson d "$d2" '.domains[] | select(.domid == $d) | .io > 100' /out/calls.json
closer mon --for 3s 2>&1
verdict
