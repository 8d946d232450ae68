# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# model.sh: what lab/model.sh measures in dom0: the runs of model_runs, one after the other and that several times, native, while closer status looks. It
# measures and keeps, and judges nothing. xen_gauge and model_runs are in /lab/bin. From the environment: MODEL_WINDOWS how often each run is measured,
# MODEL_SECONDS how long, MODEL_BOOKS how often closer status looks.

runs() {
	awk '$1 == "calibration" || $1 == "validation" { if (!seen[$2]++) print $2 }' /lab/bin/model_runs
}

lines() { # RUN: "GUEST LOADS" of each of its guests, with where the loads go
	awk -v run="$1" -v "peer=to=$LAB_PEER" '$2 == run {
		$1 = $2 = ""
		gsub(/udp-[a-z]+/, "& " peer)
		gsub(/disk-[a-z]+/, "& dev=/dev/xvda")
		sub(/^ +/, "")
		print
	}' /lab/bin/model_runs
}

measure() { # RUN
	lines "$1" >/tmp/lines
	set -- "$1"
	while read -r guest loads; do
		ask "${guest#g}" "start $loads" >/tmp/answer || fail "$1: $guest does not start its load: $(cat /tmp/answer)"
		set -- "$@" "$guest=$(guest_ip "${guest#g}")"
	done </tmp/lines
	name=$1
	shift
	say "$name: $*"
	sleep 1 # loads that begin are no rate yet
	xen_gauge --windows 1 --seconds "$MODEL_SECONDS" "$@" >>"/out/$name.jsonl" || fail "$name: measuring failed"
	for guest in "$@"; do
		guest=${guest%%=*}
		ask "${guest#g}" stop >/dev/null || fail "$name: $guest does not stop its load"
	done
}

guests() { # "NUMBER KEY=VALUE.."
	awk '$1 == "guest" { $1 = ""; sub(/^ g/, ""); print }' /lab/bin/model_runs
}

guests | while read -r n options; do
	# shellcheck disable=SC2086 # words
	start_guest "$n" $options </dev/null
done
guests | while read -r n options; do
	wait_guest "$n" </dev/null
	echo "g$n $(domid "$n")"
done >/out/domids
peer
xl info >/out/info
xl vcpu-list >/out/vcpus
xen_gauge --books "$MODEL_BOOKS" >/out/books.jsonl &
books=$!
until_true 60 test -s /out/books.jsonl || fail "closer status printed nothing within a minute"
for pass in $(seq "$MODEL_WINDOWS"); do
	for run in $(runs); do
		measure "$run"
	done
done
kill -TERM "$books"
wait "$books" || fail "closer status failed"
say "measured"
