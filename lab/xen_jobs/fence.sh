# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# fence.sh: a job of the Xen lab: closer keeps dom0's other tasks off the secondary CPUs, and gives all back. With cgroup v2 by a partition,
# with v1 by masks. dom0's vCPU n is on pCPU n, and the main container is CPU 0. What closer did is read from /proc, never by closer.

# "PID CPUS BOUND PARENT GROUP" of each process and kernel thread; BOUND: the kernel refuses another mask (PF_NO_SETAFFINITY).
world() {
	# grep fails where a process ended meanwhile
	grep -s . /proc/[0-9]*/stat /proc/[0-9]*/cgroup >/tmp/all || true
	grep -s '^Cpus_allowed_list' /proc/[0-9]*/status >>/tmp/all || true
	awk '{ split($0, path, "/"); pid = path[3]; rest = $0; sub(/^[^:]*:/, "", rest) }
		path[4] ~ /^stat:/ { sub(/.*\) /, "", rest); split(rest, f, " "); bound[pid] = int(f[7] / 67108864) % 2; parent[pid] = f[2] }
		path[4] ~ /^status:/ { mask[pid] = $2 }
		path[4] ~ /^cgroup:/ && (rest ~ /^0::/ || rest ~ /cpuset:/) { sub(/^[^:]*:[^:]*:/, "", rest); group[pid] = rest }
		END { for (pid in mask) if (pid in parent) print pid, mask[pid], bound[pid], parent[pid], group[pid] }' /tmp/all | sort -n
}

# Is each that is in both as it was, and no container left? Prints what is not. The one exception is what the kernel binds and had narrowed itself:
# nobody can set that.
same_world() { # BEFORE
	world >/tmp/now
	awk 'NR == FNR { was[$1] = $2 " " $5; next } ($1 in was) && !$3 && was[$1] != $2 " " $5 { print "process", $1, "was", was[$1], "and is", $2, $5; bad = 1 }
		END { exit bad }' "$1" /tmp/now && [ ! -e "$closer_group" ]
}

# Those outside of closer's containers that could be elsewhere, and may be on another CPU than 0. Where masks fence, not the first process and what it
# starts, nor what somebody has set. Nor what has just been started by the kernel.
loose() {
	world >/tmp/now
	awk -v v2="$v2" -v born="$1" -v set=" $pinned $kernel " '$5 !~ /^\/closer/ && $3 == 0 && $2 != "0" && $1 <= born &&
		(v2 == "yes" || ($1 != 1 && $4 != 1 && !index(set, " " $1 " ")))' /tmp/now
}
none_loose() { # PID: who was there before that
	loose "$1" >/tmp/loose
	[ ! -s /tmp/loose ] || {
		echo "may be elsewhere: $(cat /tmp/loose)"
		return 1
	}
}
# CPUs where it was seen in a second.
ran_on() { # PID
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f37
		sleep 0.1
	done | sort -u | tr '\n' ' '
}
runs_on_main() { # PID
	ran=$(ran_on "$1")
	echo "the burner was seen on CPU $ran"
	[ "$ran" = "0 " ]
}
placed() { # N
	backend_threads "$1" >/tmp/threads
	[ -s /tmp/threads ] || return 1
	while read -r pid name; do
		grep -q "/closer/$(guest_uuid "$1")" "/proc/$pid/cgroup" || {
			echo "g$1: $name is in $(cat "/proc/$pid/cgroup")"
			return 1
		}
		case $(cpus_of "$pid") in
		*0*) return 1 ;;
		esac
	done </tmp/threads
}
burn() {
	while :; do :; done
}
thread_called() { # NAME: its pid
	grep -slx "$1" /proc/[0-9]*/comm | head -n 1 | cut -d/ -f3
}
if [ "$LAB_CGROUP" = 2 ]; then
	v2=yes
	closer_group=/sys/fs/cgroup/closer
else
	v2=no
	closer_group=/sys/fs/cgroup/cpuset/closer
fi
start_guest 1 node=0
start_guest 2 node=1
wait_guest 1
wait_guest 2
# Two whose masks were set by hand, one of the kernel's among them: the fence must give these back as they were.
sleep 1000 &
pinned=$!
taskset -pc 2-3 $pinned >/dev/null
kernel=$(thread_called xenwatch)
taskset -pc 1,3 "$kernel" >/dev/null
(sleep 1000 & sleep 1000) &
family=$!
sleep 0.5
world >/out/before
say "by hand: $pinned on $(cpus_of $pinned), xenwatch $kernel on $(cpus_of "$kernel")"

check "closer plan puts up a fence" says '^ *fence' closer plan
check "closer check tells what no fence moves" says 'threads that the kernel binds' closer check
grep -i 'fence' /out/said
last=$(sh -c 'echo $$')
check "closer apply" closer apply
say applied
world >/out/fenced
cp /run/closer/journal /out/journal
check "back ends are behind it" placed 1
check "those of the other guest too" placed 2
check "all others that can be moved are on the main container's CPU" none_loose "$last"
burn &
burner=$!
check "a process that starts now is there too" is_on $burner 0
check "and runs there" runs_on_main $burner
kill -STOP $burner # its mask is what is looked at from here on
check "closer explain says it" says 'fence: the 3 secondary' closer explain
check "closer plan has nothing to add" sh -c '! closer plan | grep -q "^ *fence"'
if [ $v2 = yes ]; then
	check "the kernel has a partition" grep -qx root $closer_group/cpuset.cpus.partition
	check "and leaves CPU 0 to the others" grep -qx 0 /sys/fs/cgroup/cpuset.cpus.effective
	check "a mask set by hand is bounded by it" is_on $pinned 0
	check "nobody can be put behind it by mask" sh -c "! taskset -pc 3 $burner 2>/dev/null"
else
	check "a mask that somebody set is left" is_on $pinned 2-3
	check "closer check tells what masks do not reach" says 'what pid 1 and the kernel start later' closer check
fi
check "closer undo" closer undo
say undone
check "after undo all is as before" same_world /out/before
check "masks set by hand are back" is_on $pinned 2-3
check "the kernel thread's, too" is_on "$kernel" 1,3
check "what started under the fence has all CPUs" is_on $burner 0-3

closer run --for 600s >/out/run 2>&1 &
run=$!
check "closer run puts it up again" until_true 30 quietly is_on $burner 0
start_guest 3 node=1
wait_guest 3
check "what is born under the fence is placed" until_true 20 quietly placed 3
kill -KILL $run
wait $run 2>/dev/null || true
check "when closer is killed all is as before" until_true 20 quietly same_world /out/before
same_world /out/before || true
check "masks set by hand are back then, too" is_on $pinned 2-3
check "and what started under it has all CPUs" is_on $burner 0-3
kill -KILL $pinned $burner $family
verdict
