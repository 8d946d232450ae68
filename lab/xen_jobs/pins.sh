# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pins.sh: a job of the Xen lab: dom0's vCPUs, which nobody has pinned, and those of two guests: one at home on node 0, one that may be
# anywhere. closer pins dom0's one to one and keeps the guests' off the main container's CPU; what Xen has is read from `xl vcpu-list`, before
# and after, however closer ended.

# "NAME VCPU HARD SOFT", a line a vCPU.
affinity() {
	xl vcpu-list | awk 'NR > 1 { print $1, $3, $(NF - 2), $NF }'
}

is_at() { # NAME VCPU HARD
	[ "$(affinity | awk -v name="$1" -v vcpu="$2" '$1 == name && $2 == vcpu { print $3 }')" = "$3" ]
}

one_to_one() {
	for v in 0 1 2 3; do
		is_at Domain-0 $v $v || return 1
	done
}

kept_off() {
	is_at g1 0 1 && is_at g2 0 1-3 && is_at g2 1 1-3
}

pinned_and_kept_off() {
	one_to_one && kept_off
}

as_before() { # EXCEPT: a pattern of lines that do not count
	affinity | grep -v "$1" >/tmp/now
	grep -v "$1" /out/before | diff - /tmp/now
}

placed() { # N
	[ -d "/sys/fs/cgroup/closer/$(guest_uuid "$1")" ]
}

says() { # FILE PATTERN
	grep -q "$2" "$1" || {
		cat "$1"
		return 1
	}
}

plan_ok() { # exit status 3: there is something to do
	plan_status=0
	closer plan >/out/plan 2>&1 || plan_status=$?
	[ $plan_status = 3 ] && says /out/plan 'pin-cpu vCPU 1 of dom0: physical CPUs 0-3 -> 1' && says /out/plan '^more follows' &&
		says /out/plan pins-first
}

apply_ok() {
	closer apply --set main_exclusive=1 >/out/apply 2>&1 || {
		cat /out/apply
		return 1
	}
}

undo_ok() {
	closer undo >/out/undo 2>&1 || {
		cat /out/undo
		return 1
	}
}

start_run() { # FILE
	closer run --set main_exclusive=1 --for 600s >"$1" 2>&1 &
	run=$!
	until_true 40 quietly pinned_and_kept_off || {
		cat "$1"
		affinity
		return 1
	}
}

start_guest 1 node=0
start_guest 2 node=any vcpus=2
wait_guest 1
wait_guest 2
affinity >/out/before
cat /out/before

check "closer check says that dom0 is not pinned" sh -c 'closer check >/out/check 2>&1; grep -q "4 of dom0.s 4 vCPUs are not pinned" /out/check'
check "closer plan pins first, and says that more follows" plan_ok
check "closer plan changes nothing" as_before nothing
check "closer apply" apply_ok
affinity >/out/applied
cat /out/applied
check "dom0's vCPU n is on physical CPU n" one_to_one
check "guests are kept off physical CPU 0" kept_off
check "the same apply placed guests' work" placed 2
check "closer explain says whose the pins are" sh -c 'closer explain >/out/explain 2>&1; grep -q "vCPU 2 of dom0.*physical CPU 2, set by closer" /out/explain'
check "a second apply finds nothing to pin" sh -c 'closer apply --set main_exclusive=1 >/out/again 2>&1; ! grep -Eq "pin-cpu|keep-vcpu" /out/again'
check "closer undo" undo_ok
check "after undo all is as before" as_before nothing

check "closer run pins and keeps off" start_run /out/run
xl vcpu-pin 0 3 2
xl vcpu-pin g2 0 0-2
check "a vCPU of dom0 that somebody moved is let go" until_true 15 grep -q 'release-cpu vCPU 3 of dom0' /out/run
check "so is a guest's" until_true 15 grep -q 'release-vcpu vCPU 0 of g2' /out/run
check "both are reported" until_true 15 grep -q '2 vCPUs set by somebody else' /out/run
sleep 2
check "closer run leaves it there" is_at Domain-0 3 2
kill -TERM "$run"
wait "$run" || true
check "undo leaves it too" is_at Domain-0 3 2
check "and the guest's" is_at g2 0 0-2
check "and puts the others back" as_before 'Domain-0 3\|g2 0'
xl vcpu-pin 0 3 all
xl vcpu-pin g2 0 all

check "closer run again" start_run /out/killed
# Xen lets go of a pin whose CPU leaves the pool, and does not make it again.
until_true 10 quietly xl cpupool-cpu-remove Pool-0 3 || fail "physical CPU 3 cannot be taken from the pool"
check "without its physical CPU dom0's vCPU 3 is not pinned" until_true 10 quietly is_at Domain-0 3 all
xl cpupool-cpu-add Pool-0 3
check "and is pinned again when that is back" until_true 30 quietly one_to_one
check "no pin was tried in vain" sh -c '! grep FAILED /out/killed'
kill -KILL "$run"
wait "$run" || true
check "its supervisor puts back what a SIGKILL left" until_true 20 quietly as_before nothing
as_before nothing || true

until_true 20 quietly apply_ok || cat /out/apply
check "closer apply once more" pinned_and_kept_off
stop_guest 2
check "undo after a guest went" undo_ok
check "its vCPUs are gone, and no failure" says /out/undo ' [1-9][0-9]* are gone.* 0 failed; verified'
check "all others are as before" as_before g2

# Its vCPUs are moved to node 1, its memory stays where it was: that is known only if Xen is asked for its pages.
home_of() { # HOST: of g1
	closer explain --host "$1" >/out/home 2>&1 && sed -n 's/^g1 .*memory on node //p' /out/home
}
pages_most() { # the node that holds most of g1, by Xen's dump
	xl debug-keys u
	xl dmesg | awk -v id="$(xl domid g1)" '$2 == "Domain" { most = 0; inside = $3 == id }
		inside && $2 == "Node" && $4 >= most { most = $4; node = $3 + 0 } END { print node }'
}
xl vcpu-pin g1 all 2-3
say "home of g1 by affinity: $(home_of xen:)"
check "with xen:pages its home is where its memory was given" [ "$(home_of xen:pages)" = 0 ]
check "as Xen's own dump has it" [ "$(pages_most)" = 0 ]
check "closer check says that they are known" sh -c 'closer check --host xen:pages >/out/check.pages 2>&1; grep "known of 1 of 1 guests" /out/check.pages'
check "another word behind the colon is refused" sh -c '! closer status --host xen:page >/out/refused 2>&1 && grep "xen:pages" /out/refused'
verdict
