# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# demo.sh phases | demo.sh rounds N: what the demo does in dom0 (lab/demo_xen.sh is the rest of it). It measures and keeps, and judges nothing.
#
#   phases     four guests under fixed load and a management task: native, dom0's vCPUs pinned by hand, with closer, undone
#   rounds N   a guest that loads its network as fast as it can, one its disk, and one that computes, with the management task: N times native,
#              pinned by hand, with closer
#
# xen_gauge and xen_state.sh are in /lab/bin. From the environment: DEMO_LOAD what each guest does (phases), DEMO_WINDOWS and DEMO_SECONDS how
# long, DEMO_BOOKS how often closer status looks, DEMO_RUN options of closer run.

gauge() { # FILE [OPTION..]
	gauge_file=$1
	shift
	for n in $guests; do
		set -- "$@" "g$n=$(guest_ip "$n")"
	done
	xen_gauge --task /etc/xen/guests/task.cfg "$@" >"$gauge_file" || fail "measuring failed"
}

start_load() { # N LOADS
	ask "$1" "start $2" >/tmp/answer || fail "g$1 does not start its load: $(cat /tmp/answer)"
}

with_closer() { # what is to be done while it runs
	# shellcheck disable=SC2086 # options
	closer run $DEMO_RUN --record /out/recording >/out/run.log 2>&1 &
	run=$!
	for n in $guests; do
		until_true 60 off_main "$n" || {
			tail -n 20 /out/run.log
			fail "closer did not take the back ends of g$n off CPU 0 within a minute"
		}
	done
	"$@"
	kill -TERM "$run"
	status=0
	wait "$run" || status=$?
	echo "$status" >/out/run.status
	say "closer run ended with $status"
}

# ---- phases ----

phase() { # NAME
	say "$1: $DEMO_WINDOWS windows of $DEMO_SECONDS s"
	gauge "/out/$1.jsonl" --windows "$DEMO_WINDOWS" --seconds "$DEMO_SECONDS"
}

# One closer status for all phases: loading and unloading its BPF programs takes seconds in an emulated machine.
books_start() {
	xen_gauge --books "$DEMO_BOOKS" >/out/books.jsonl &
	books=$!
	until_true 60 test -s /out/books.jsonl || fail "closer status printed nothing within a minute"
}

books_stop() {
	kill -TERM "$books"
	wait "$books" || fail "closer status failed"
}

# What the kernel keeps on every CPU, whoever asks: threads that it binds (PF_NO_SETAFFINITY), and interrupts of a CPU's own.
fixed_threads() {
	grep -s . /proc/[0-9]*/stat | awk '{
		text = substr($0, index($0, ":") + 1)
		name = text
		sub(/^[0-9]+ \(/, "", name)
		sub(/\) [^)]*$/, "", name)
		sub(/.*\) /, "", text)
		split(text, field, " ")
		if (int(field[7] / 67108864) % 2)
			print field[37], name
	}'
}

closer_phase() {
	cat /proc/uptime /proc/interrupts >/out/interrupts.before
	phase closer
	cat /proc/uptime /proc/interrupts >/out/interrupts.after
	fixed_threads >/out/fixed
	xl vcpu-list >/out/vcpus.closer
}

phases() {
	guests='1 2 3 4'
	start_guest 1 node=0
	start_guest 2 node=1 vcpus=2 queues=2
	start_guest 3 node=span vcpus=2 queues=2
	start_guest 4 node=1
	for n in $guests; do
		wait_guest "$n"
	done
	for n in $guests; do
		start_load "$n" "$DEMO_LOAD"
	done
	closer check >/out/check 2>&1 || true
	xl info -n >/out/info
	xl vcpu-list >/out/vcpus
	xen_state.sh dump >/out/state.before
	books_start
	phase native
	pin_dom0 on
	phase pinned
	pin_dom0 off
	with_closer closer_phase
	xen_state.sh dump >/out/state.after
	phase undone
	books_stop
}

# ---- rounds ----

round() { # MODE: round number i
	gauge "/out/$1.$i.jsonl" --windows "$DEMO_WINDOWS" --seconds "$DEMO_SECONDS"
}

rounds() { # N
	guests='1 2 3'
	start_guest 1 node=0
	start_guest 2 node=1
	start_guest 3 node=1
	for n in $guests; do
		wait_guest "$n"
	done
	start_load 1 "tcp-out to=$LAB_PEER"
	start_load 2 'disk-read dev=/dev/xvda depth=8'
	start_load 3 cpu
	i=1
	while [ "$i" -le "$1" ]; do
		say "round $i of $1"
		round native
		pin_dom0 on
		round pinned
		pin_dom0 off
		with_closer round closer
		i=$((i + 1))
	done
}

# A guest of its own for xl create: paused, so that only the toolstack's time counts.
cat >/etc/xen/guests/task.cfg <<CFG
name="task"
type="pv"
kernel="/boot/vmlinux"
memory=96
vcpus=1
CFG
peer
"$@"
say "measured"
