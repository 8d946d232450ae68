# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# in_dom0.sh: helper: sourced by the scripts of this folder, which are called with BUILD_DIR. What all of them need to run a job of the Xen lab
# as a test:
#   $build, $top                  of this build, and of the project
#   $log                          a file that goes with the script
#   needs WHAT FILE..             the script fails, and says that WHAT is needed, if one of these files of the build is not there
#   in_dom0 AT_LEAST LAB_OPTION.. JOB [ARG..]
#                                 runs the job and prints its checks. True if it got to its end, every check held, and there were AT_LEAST;
#                                 $why says why not

set -u
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
name=$(basename "$0" .sh)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

needs() {
	what=$1
	shift
	for file in "$@"; do
		[ -e "$build/$file" ] || {
			echo "not ok $name: $file is not built: $what is needed (./run deps)"
			exit 1
		}
	done
}

in_dom0() {
	least=$1
	shift
	"$top/lab/xen.sh" --build "$build" "$@" >"$log" 2>&1
	status=$?
	cat "$log"
	held=$(grep -c '^ok ' "$log")
	why="the job ended with $status, $(grep -c '^not ok ' "$log") checks did not hold, $held of at least $least did"
	[ "$status" = 0 ] && [ "$held" -ge "$least" ]
}
