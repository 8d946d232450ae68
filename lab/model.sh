#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# model.sh BUILD_DIR [--compare | --measure | --from DIR | --fit]: the Xen lab against the model: host CPU by guest and kind.
#
#   --compare   simulates each validation run that was measured on the lab's testbed, and prints both; fails if one deviates by more than 30 %,
#               or if the testbed is not what the calibration runs give. The default
#   --fit       makes the testbed anew out of the measured calibration runs
#   --measure   measures anew (lab/model_runs, in one boot of the Xen lab, about a quarter of an hour), then --fit, then compares
#   --from DIR  the same with what the lab's job left in DIR
#
# Measured: tests/sim/data/lab.json (CLOSER_MODEL_DATA); testbed: sim/testbeds/lab.ini (CLOSER_MODEL_TESTBED). Output: a table, and report.json
# in build/model (CLOSER_MODEL_OUT).
set -eu
export LC_ALL=C

lab=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$lab")
build=$(cd "$1" && pwd)
data=${CLOSER_MODEL_DATA:-$top/tests/sim/data/lab.json}
testbed=${CLOSER_MODEL_TESTBED:-$top/sim/testbeds/lab.ini}
out=${CLOSER_MODEL_OUT:-$top/build/model}
windows=5	# of each run
window_s=5
books=1s

fail() {
	echo "model: $*" >&2
	exit 1
}

measure() {
	[ -x "$build/lab/xen_gauge" ] || fail "xen_gauge is not built: libxen-dev is missing (./run deps)"
	raw=$out/lab
	mkdir -p "$raw"
	"$lab/xen.sh" --pcpus 4 --nodes 2 --timeout 1500 --out "$raw" --build "$build" --add "$build/lab/xen_gauge" --add "$lab/model_runs" \
		--env MODEL_WINDOWS=$windows --env MODEL_SECONDS=$window_s --env MODEL_BOOKS=$books "$lab/xen_jobs/model.sh" >&2 ||
		fail "the part in dom0 ended with $?; its log is $raw/job.log"
	collect "$raw"
}

collect() { # DIR: what the job left
	raw=$1
	run_names | while read -r run; do
		jq -c -s --arg run "$run" '{run: $run, lines: .}' "$raw/$run.jsonl" || exit
	done >"$out/runs.jsonl"
	jq -n -c --rawfile runs "$lab/model_runs" --rawfile domids "$raw/domids" --slurpfile books "$raw/books.jsonl" --argjson windows $windows \
		--argjson seconds $window_s --arg interval $books -f "$lab/model_data.jq" "$out/runs.jsonl" >"$out/measured.json"
	# A run's guests on a line each.
	sed 's/{"run":/\n&/g; s/"g[0-9]*":{"loads"/\n  &/g' "$out/measured.json" >"$data"
	echo "model: $data is written" >&2
}

run_names() {
	awk '($1 == "calibration" || $1 == "validation") && !seen[$2]++ { print $2 }' "$lab/model_runs"
}

fit() { # the testbed
	jq -r --arg data "${data#"$top"/}" -f "$lab/model_fit.jq" "$data"
}

# What the model spends in each window of a run; the first one is its warm-up, as in the lab.
simulate() { # RUN: on the testbed beside its scenario
	jq -r --arg run "$1" --arg testbed lab -f "$lab/model_scenario.jq" "$data" >"$out/$1.ini"
	"$build/cli/closer" status --host "sim:$out/$1.ini" --json --watch --interval ${window_s}s >"$out/$1.model" || fail "simulating $1 failed"
	jq -c -s --arg run "$1" '{run: $run, books: .[1:]}' "$out/$1.model"
}

compare() {
	for run in $(jq -r '.runs[] | select(.part == "validation") | .run' "$data"); do
		simulate "$run"
	done >"$out/model.jsonl"
	jq --slurpfile model "$out/model.jsonl" -f "$lab/model_compare.jq" "$data" >"$out/report.json"
	echo "Host CPU by guest and kind, in % of a CPU: lab (median, least and most of $windows windows of $window_s s), model, and how far the model is off."
	jq -r -f "$lab/model_table.jq" "$out/report.json" | awk -F '\t' -f "$lab/table.awk"
	jq -r '"\(.within) of \(.judged) within \(.limit * 100) %; the farthest: \(.worst | "\(.run), \(.guest) \(.kind), \(.deviation * 1000 | round / 10) %"). " +
		"little: less than \(.floor_ns / 1e7) % of a CPU in both, not judged."' "$out/report.json"
}

mkdir -p "$out"
case ${2:---compare} in
--measure)
	measure
	fit >"$testbed"
	;;
--from)
	collect "$3"
	fit >"$testbed"
	;;
--fit) fit >"$testbed" ;;
--compare) ;;
*) fail "there is no option $2" ;;
esac
[ -r "$data" ] || fail "nothing was measured yet: ./run model --measure"
fit >"$out/lab.ini"
cmp -s "$out/lab.ini" "$testbed" || fail "$testbed is not what $data gives: ./run model --fit, or git checkout"
compare
jq -e '.judged > 0 and .within == .judged' "$out/report.json" >/dev/null
