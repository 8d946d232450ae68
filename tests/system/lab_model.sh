#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The Xen lab against the model; it runs beside others. First the tool, on a lab that is made up: costs are found again, what the model has right is within the limit, what
# it has not is named. Then what was measured: the testbed is what its calibration runs give, and each validation run's host CPU by guest and kind
# is simulated within 30 %, but for what tests/sim/data/lab.missed names: what misses now and is not there fails, and what is there and misses no
# more. lab_model.sh BUILD_DIR.
set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP
. "$top/tests/check.sh"

# A lab in which each packet and request has a turn, which costs in us after a long pause: a packet sent 400 (mapped 500 more, given back 600), one received
# 500, a request 700 and its interrupt 250; right after another one a tenth of that, and 10 ms after it all but 1 / e of it, 40 % of which any turn keeps
# warm. A page of a request costs 15, a byte 1 ns; an idle disk's thread looks ten times a second for 60 each.
cat >"$work/made_up.jq" <<'JQ'
def words: [splits(" +")] | map(select(. != ""));
($runs | split("\n") | map(select(test("^(calibration|validation) ")) | words)) as $table |
def loads: [.[3:] | join(" ") | splits(" \\+ ") | words | {kind: .[0]} + ([.[1:][] | split("=") | {key: .[0], value: (.[1] | tonumber)}] | from_entries)];
def sum(f): map(f) | add // 0;
def sent: map(select(.kind == "udp-out" or .kind == "udp-echo"));
def got: map(select(.kind == "udp-in" or .kind == "udp-echo"));
def disk: map(select(.kind | startswith("disk")));
def mapped: map(select(.size + 42 > 128));
[$table[] | select(.[1] == $run)] as $lines | [$lines[] | loads[]] as $all |
def gone($rate): 1 / (1 + $rate * 0.01);
def turn(own): 0.1 + 0.9 * (0.6 * gone($all | own | sum(.rate)) + 0.4 * gone($all | sent + got + disk | sum(.rate)));
def turn_after(own): 0.1 + 0.9 * 0.6 * gone($all | own | sum(.rate));
def host: {"interrupt": ((sent | sum(.rate * (400000 * turn(sent) + .size + 42))) + (sent | mapped | sum(.rate * 500000)) + (disk | sum(.rate * 250000 * turn(disk)))),
	"netback-rx": (got | sum(.rate * (500000 * turn(got) + .size + 42))), "netback-dealloc": (sent | mapped | sum(.rate * 600000 * turn_after(sent | mapped))),
	"blkback": (disk | if length == 0 then 600000 else sum(.rate * (700000 * turn_after(disk) + .size / 4096 * 15000 + .size)) end)};
def domid: .[2][1:];
range(5) as $w | ($w * 5e9 + 1e12) as $at |
({type: "window", begin_ns: $at, end_ns: ($at + 5e9), domains: {"0": 1e9},
  interrupts: ({"blkif-backend": ($lines | sum(loads | disk | sum(.rate)) * 5)} + ($lines | map({key: "vif\(domid).0-q0-tx", value: (loads | sent | sum(.rate) * 5)}) | from_entries)),
  wakes: ($lines | map({key: "vif\(domid).0-q0-guest-rx", value: (loads | got | sum(.rate) * 5)}, {key: "vif\(domid).0-q0-dealloc", value: (loads | sent | mapped | sum(.rate) * 5)},
	{key: "\(domid).xvda-0", value: (loads | disk | sum(.rate) | if . == 0 then 10 else . end * 5)}) | from_entries),
  guests: ($lines | map({key: .[2], value: {loads: (loads | map(. + {achieved: (.rate * 5), span_ns: 5e9}))}}) | from_entries)},
 (range(1; 5) as $s | {type: "books", at_ns: ($at + $s * 1e9 + 5e8), books: {span_ns: 1e9, totals: {overhead_ns: 1e8}, guests:
	($lines | map({name: .[2], guest_ns: (1e8 + (loads | sum(.rate) * 100000)), kinds: (loads | host)}))}}))
JQ
mkdir "$work/raw"
begin=0
awk '/^[cv]/ { if (!seen[$2]++) print $2 }' "$top/lab/model_runs" | while read -r run; do
	begin=$((begin + 1000))
	jq -n -c --rawfile runs "$top/lab/model_runs" --arg run "$run" -f "$work/made_up.jq" |
		jq -c --argjson s $begin '($s * 1e9) as $by | if .at_ns then .at_ns += $by else .begin_ns += $by | .end_ns += $by end' >"$work/lines"
	grep '"window"' "$work/lines" >"$work/raw/$run.jsonl"
	grep '"books"' "$work/lines" >>"$work/raw/books.jsonl"
done
printf 'g1 1\ng2 2\ng3 3\n' >"$work/raw/domids"
made_up() { # OPTIONS of model.sh
	CLOSER_MODEL_DATA=$work/lab.json CLOSER_MODEL_TESTBED=$work/lab.ini CLOSER_MODEL_OUT=$work/out "$top/lab/model.sh" "$build" "$@" >"$work/table" 2>"$work/err"
}
costs() { # KEY NS..: within 1 %; of two keys, which cannot be told apart, together
	awk -v "keys=$1" -v ns="$2" '$2 == "=" && index(" " keys " ", " " $1 " ") { sum += $3 } END { exit !(sum > ns * 0.99 && sum < ns * 1.01) }' "$work/lab.ini"
}
check "a made-up lab is simulated within the limit" made_up --from "$work/raw"
warmth() {
	[ "$(grep -cx -e 'warm = 10%' -e 'cold_ns = 10000000' -e 'cold_shared = 40%' "$work/lab.ini")" = 3 ]
}
check "how warm turns keep each other is found again" warmth
check "what a turn of packets that are sent costs" costs napi_turn_ns 400000
check "what mapping one costs" costs grant_map_ns 500000
check "what giving it back costs" costs dealloc_turn_ns 600000
check "what a turn of packets that are received costs" costs guest_rx_turn_ns 500000
check "what a byte costs" costs local_ps 1000
check "what the guest spends on a packet" costs stack_ns 100000
check "what a turn of requests costs" costs blkback_turn_ns 700000
check "what its interrupt costs" costs blkback_irq_ns 250000
check "what a page costs" costs blkback_page_ns 15000
check "what an idle disk costs" costs blkback_look_ns 60000

# One guest's blkback twice as dear in one validation run than calibrated, another run's a quarter.
jq -c '(.runs[] | select(.run == "mix").guests.g1.host.blkback[]) *= 2 | (.runs[] | select(.run == "read").guests.g2.host.blkback[]) *= 1.25' \
	"$work/lab.json" >"$work/lab.json.new"
mv "$work/lab.json.new" "$work/lab.json"
not_within() {
	! made_up --compare && [ "$(jq -c '[.rows[] | select(.judged and (.within | not)) | [.run, .guest, .kind]]' "$work/out/report.json")" = '[["mix","g1","blkback"]]' ]
}
check "what the model has wrong by half is named, by a quarter is not" not_within
jq -c '(.runs[] | select(.run == "read-small").guests.g1.host.blkback[]) *= 2' "$work/lab.json" >"$work/lab.json.new"
mv "$work/lab.json.new" "$work/lab.json"
not_fitted() {
	! made_up --compare && grep -q "is not what .* gives" "$work/err"
}
check "a testbed that its calibration runs do not give is refused" not_fitted

# ---- what was measured ----

measured() {
	CLOSER_MODEL_OUT=$work/measured "$top/lab/model.sh" "$build" >"$work/table" 2>"$work/err" || [ -s "$work/measured/report.json" ]
}
check "what was measured is simulated, on the testbed that its calibration runs give" measured
sed 's/^/  /' "$work/table" "$work/err"
grep -v '^#' "$top/tests/sim/data/lab.missed" >"$work/known"
jq -r '.rows[] | select(.judged) | "\(.run) \(.guest) \(.kind)|\(.within)|\(.deviation * 1000 | round / 10) %"' "$work/measured/report.json" >"$work/rows"
while IFS='|' read -r row within deviation; do
	known=false
	! grep -qx "$row" "$work/known" || known=true
	case $within:$known in
	true:false) echo "ok lab against model: $row: $deviation" ;;
	false:true) echo "missed lab against model: $row: $deviation" ;;
	false:false) echo "not ok lab against model: $row: $deviation" ;;
	true:true) echo "not ok lab against model: $row: $deviation: no longer missed, and in lab.missed" ;;
	esac
done <"$work/rows" >"$work/verdicts"
cat "$work/verdicts"
! grep -q '^not ok' "$work/verdicts" || failed=1
gone() { # named in lab.missed, and not compared
	cut -d'|' -f1 "$work/rows" | grep -vxF -f - "$work/known"
}
check "what is said to be missed is compared" eval '! gone'
exit $failed
