#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every bench, one after another. usage: bench/run.sh BUILD [--rounds N]
set -eu
build=$1
shift
"$build"/bench/bench_observe --json "$build/bench_observe.json" "$@"
echo
"$build"/bench/bench_decide --json "$build/bench_decide.json" "$@"
echo
"$build"/bench/bench_events --json "$build/bench_events.json" "$@"
echo "figures: $build/bench_observe.json $build/bench_decide.json $build/bench_events.json"
