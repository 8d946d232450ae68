# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# systemd.sh: a job of the Xen lab, in a dom0 whose first process is systemd: closer and systemd leave each other's cgroups alone, through reloads and
# services that come and go, and closer gives all back. dom0's vCPU n is on pCPU n, and the main container is CPU 0.

group_of() { # PID: its cgroup in the hierarchy of cpusets
	sed -n 's/^0::\(.*closer.*\)/\1/p; s/^[0-9]*:\([^:]*,\)\{0,1\}cpuset\(,[^:]*\)\{0,1\}:\(.*\)/\3/p' "/proc/$1/cgroup" | head -n 1
}
placed() { # N
	backend_threads "$1" >/tmp/threads
	[ -s /tmp/threads ] || return 1
	while read -r pid name; do
		case $(group_of "$pid"):$(cpus_of "$pid") in
		"/closer/$(guest_uuid "$1")":*0*) return 1 ;;
		"/closer/$(guest_uuid "$1")":*) ;;
		*)
			echo "g$1: $name is in $(group_of "$pid"), on $(cpus_of "$pid")"
			return 1
			;;
		esac
	done </tmp/threads
}
service() { # NAME [PROPERTY..]: a service that sleeps; prints its pid
	service_name=$1
	shift
	systemd-run --quiet --unit="$service_name" "$@" sleep 1000
	systemctl show -p MainPID --value "$service_name"
}
# What systemd knows of: units and their state, but for those that this job starts.
units() {
	systemctl list-units --all --no-legend --plain --type=service,slice,scope | awk '{ print $1, $2, $3, $4 }' | grep -v '^\(early\|byhand\|late\|later\)' | sort
}
check "systemd is the first process" grep -qx systemd /proc/1/comm
start_guest 1 node=0
start_guest 2 node=1
wait_guest 1
wait_guest 2
early=$(service early)
by_hand=$(service byhand)
taskset -pc 2-3 "$by_hand" >/dev/null
units >/out/units
check "closer check speaks of systemd" says 'systemd manages cgroups here' closer check
grep -i 'systemd' /out/said

check "closer apply" closer apply
say applied
check "guests' back ends are in their containers" placed 1
check "of the other guest too" placed 2
check "a service that ran before is on the main CPU" is_on "$early" 0
systemctl daemon-reload
check "after a reload the containers are as they were" placed 1
check "and the service is where it was" is_on "$early" 0
late=$(service late)
if [ "$LAB_CGROUP" = 2 ]; then
	check "a service started behind the fence is on the main CPU" is_on "$late" 0
	systemctl set-property --runtime early.service CPUWeight=50
	check "a property of a unit changes, and the partition stays" grep -qx root /sys/fs/cgroup/closer/cpuset.cpus.partition
else
	check "a service started later is outside of a fence of masks, as closer check says" is_on "$late" 0-3
fi
systemctl stop late.service
check "a service that ends leaves the containers" placed 2
check "closer undo" closer undo
say undone
check "no container is left" sh -c '! find /sys/fs/cgroup -maxdepth 2 -name closer | grep -q .'
check "the service has its CPUs back" is_on "$early" 0-3
check "a mask that was set by hand is as it was" is_on "$by_hand" 2-3
systemctl daemon-reload
check "services that systemd starts may use all CPUs again" is_on "$(service later)" 0-3
units >/out/units.now
check "and knows of the same units" cmp /out/units /out/units.now

closer run --for 600s >/out/run 2>&1 &
run=$!
check "closer run puts the fence up again" until_true 30 quietly is_on "$early" 0
systemctl daemon-reload
start_guest 3 node=1
wait_guest 3
check "what is born after a reload is placed" until_true 20 quietly placed 3
kill -KILL $run
wait $run 2>/dev/null || true
check "when closer is killed the service has its CPUs back" until_true 20 quietly is_on "$early" 0-3
verdict
