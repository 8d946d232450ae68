#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kvm.sh [N [JOB [ARGS..]]]: boots N real guests (3), runs JOB with the helpers of lib.sh, and takes all down again; its
# exit status is the job's. Without a job: a shell. What a killed lab left is cleaned up by the next.
set -eu

LAB_HOME=$(cd "$(dirname "$0")" && pwd)
CLOSER_BUILD=${CLOSER_BUILD:-$(dirname "$LAB_HOME")/build/release}
export LAB_HOME CLOSER_BUILD
# shellcheck source=lab/lib.sh
. "$LAB_HOME/lib.sh"

guests=${1:-3}
case $guests in
'' | *[!0-9]* | 0 | ???*) lab_fail "'$guests' is no number of guests from 1 to 99: kvm.sh [N [JOB]]" ;;
esac
job=${2:-}
[ -z "$job" ] || [ -r "$job" ] || lab_fail "cannot read the job $job"
[ $# -lt 2 ] || shift 2

# The job has a process group of its own, so that it ends with the lab, with all that it started.
job_pid=
finish() {
	[ -z "$job_pid" ] || kill -s TERM -- "-$job_pid" 2>/dev/null || true
	lab_close
}

lab_open
lab_trap finish
lab_peer
i=1
while [ "$i" -le "$guests" ]; do
	lab_start "$i"
	i=$((i + 1))
done
i=1
while [ "$i" -le "$guests" ]; do
	lab_wait "$i"
	i=$((i + 1))
done
LAB_GUESTS=$guests
export LAB_DIR LAB_PEER LAB_LOADGEN LAB_CACHE LAB_GUESTS
echo "lab: $guests guests are up; closer sees them at --host qemu:$LAB_DIR" >&2

status=0
if [ -n "$job" ]; then
	# Waited for, not run in the foreground: only so is a signal seen at once.
	# shellcheck disable=SC2016 # expanded by that shell
	setsid sh -eu -c '. "$LAB_HOME/lib.sh"; job=$1; shift; . "$job"' job "$(cd "$(dirname "$job")" && pwd)/$(basename "$job")" \
		"$@" 9>&- &
	job_pid=$!
	wait "$job_pid" || status=$?
	job_pid=
else
	echo "lab: talk to a guest:  $LAB_LOADGEN ask $LAB_DIR/ctl/g1.agent 'run udp-echo to=$LAB_PEER rate=200 for=5s'" >&2
	echo "lab: to its monitor:   $LAB_LOADGEN qmp $LAB_DIR/ctl/g1.qmp '{\"execute\":\"query-status\"}'" >&2
	echo "lab: all loads:        $LAB_LOADGEN --help;  leave this shell to take the lab down" >&2
	"${SHELL:-/bin/sh}" 9>&- || status=$?
fi
exit "$status"
