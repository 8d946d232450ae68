/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linux: compare and set on real threads and cgroups; what is read back here is read
 * without closer's reader. */
#include "linux.h"
#include "crowd.h"
#include "lib.h"
#include "nic.h"
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <cmocka.h>

static struct cl_cgroup cgroup;
static struct cl_cpuset all, first,
	second; /* of the CPUs that we have; second is empty on a machine with one */
static struct crowd crowd;
static char home[CL_PATH_MAX];    /* where the crowd is born */
static char ours[64], others[64]; /* groups of this test's own; others: not below /closer */

static void raw_mask(pid_t tid, struct cl_cpuset *ret_set)
{
	cpu_set_t *set = CPU_ALLOC(CL_CPUS_MAX);

	assert_int_equal(sched_getaffinity(tid, CPU_ALLOC_SIZE(CL_CPUS_MAX), set), 0);
	cl_cpuset_zero(ret_set);
	for (uint32_t i = 0; i < CL_CPUS_MAX; i++)
		if (CPU_ISSET_S(i, CPU_ALLOC_SIZE(CL_CPUS_MAX), set))
			cl_cpuset_add(ret_set, i);
	CPU_FREE(set);
}

static void set_mask(pid_t tid, const struct cl_cpuset *cpus)
{
	assert_int_equal(sched_setaffinity(tid, sizeof(cpus->w), (const cpu_set_t *)cpus->w), 0);
}

static void assert_thread(pid_t tid, const char *path, const struct cl_cpuset *cpus)
{
	char name[64], line[1024], want[600];
	struct cl_cpuset now;
	bool in = false;

	raw_mask(tid, &now);
	assert_true(cl_cpuset_equal(&now, cpus));
	if (!path)
		return;
	snprintf(name, sizeof(name), "/proc/%d/cgroup", tid);
	snprintf(want, sizeof(want), ":cpuset:%s\n", path);
	FILE *f = fopen(name, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		in = in || (strchr(line, ':') && strcmp(strchr(line, ':'), want) == 0);
	fclose(f);
	assert_true(in);
}

static struct cl_setting setting(const char *path, const struct cl_cpuset *cpus)
{
	struct cl_setting s = { .present = true, .cpus = *cpus };

	if (path) {
		s.has_path = true;
		snprintf(s.path, sizeof(s.path), "%s", path);
	}
	return s;
}

static struct cl_change thread_change(pid_t tid, const char *from_path,
				      const struct cl_cpuset *from, const char *to_path,
				      const struct cl_cpuset *to)
{
	struct cl_change change = { .kind = CL_CHANGE_THREAD };
	struct cl_error error;
	int32_t process;

	assert_int_equal(cl_thread_identify(tid, &change.thread, &process, &error), 0);
	change.from = setting(from_path, from);
	change.to = setting(to_path, to);
	return change;
}

static struct cl_change group_change(const char *path, const struct cl_cpuset *from,
				     const struct cl_cpuset *to)
{
	struct cl_change change = { .kind = CL_CHANGE_GROUP };

	snprintf(change.path, sizeof(change.path), "%s", path);
	if (from)
		change.from = setting(NULL, from);
	if (to)
		change.to = setting(NULL, to);
	return change;
}

static struct cl_change back(const struct cl_change *change)
{
	struct cl_change b = *change;

	b.from = change->to;
	b.to = change->from;
	return b;
}

static int apply(const struct cl_change *change, struct cl_error *reterr)
{
	return cl_linux_apply(&cgroup, change, reterr);
}

static void move_raw(const char *path, pid_t tid)
{
	char name[2 * CL_PATH_MAX];

	snprintf(name, sizeof(name), "%s%s/tasks", cgroup.mount, path);
	FILE *f = fopen(name, "we");
	assert_non_null(f);
	fprintf(f, "%d", tid);
	assert_int_equal(fclose(f), 0);
}

static bool one_cpu(void)
{
	return cl_cpuset_empty(&second);
}
static bool no_groups(void)
{
	return one_cpu() || !cl_cgroup_moves_threads(&cgroup);
}

static int setup(void **state)
{
	static const char *const names[] = { "one", "two", NULL };
	struct cl_error error;

	crowd = crowd_start(names);
	cl_cgroup_find(&cgroup);
	if (cgroup.version && cl_cgroup_of(&cgroup, crowd.pid, home, &error) < 0)
		return -1;
	if (!no_groups()) {
		struct cl_change root = group_change("/closer", NULL, &all);

		if (apply(&root, &error) < 0)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	const char *const groups[] = { ours, others, "/closer" };

	crowd_end(&crowd);
	for (size_t i = 0; cgroup.version && i < 3; i++)
		cl_cgroup_remove(&cgroup, groups[i], NULL);
	return 0;
}

static void test_mask(void **state)
{
	struct cl_error error;
	struct cl_setting now;

	if (one_cpu())
		skip();
	struct cl_change change = thread_change(crowd.tids[0], NULL, &all, NULL, &first),
			 undo = back(&change);
	assert_int_equal(apply(&change, &error), 0);
	assert_thread(crowd.tids[0], NULL, &first);
	assert_int_equal(apply(&change, &error), 0); /* it is there already */
	assert_int_equal(cl_linux_read(&cgroup, &change, &now, &error), 0);
	assert_true(cl_linux_equal(CL_CHANGE_THREAD, &now, &change.to));
	assert_false(cl_linux_equal(CL_CHANGE_THREAD, &now, &change.from));
	assert_thread(crowd.tids[1], NULL, &all);
	/* Somebody else sets it: neither way is anything written. */
	set_mask(crowd.tids[0], &second);
	assert_int_equal(apply(&change, &error), -ESTALE);
	assert_non_null(strstr(error.text, "somebody else"));
	assert_int_equal(apply(&undo, &error), -ESTALE);
	assert_thread(crowd.tids[0], NULL, &second);
	set_mask(crowd.tids[0], &first);
	assert_int_equal(apply(&undo, &error), 0);
	assert_thread(crowd.tids[0], NULL, &all);
}

static void test_offline_cpus_do_not_count(void **state)
{
	struct cl_setting is = setting(NULL, &first), wanted = is;

	cl_cpuset_add(&wanted.cpus, CL_CPUS_MAX - 1); /* no machine of this test has it */
	assert_true(cl_linux_equal(CL_CHANGE_IRQ, &is, &wanted));
	cl_cpuset_zero(&wanted.cpus);
	cl_cpuset_add(&wanted.cpus, CL_CPUS_MAX - 1);
	assert_false(cl_linux_equal(CL_CHANGE_IRQ, &is, &wanted));
	cl_cpuset_zero(&is.cpus);
	assert_false(cl_linux_equal(CL_CHANGE_IRQ, &is, &wanted));
	wanted = is = setting("/a", &first);
	assert_true(cl_linux_equal(CL_CHANGE_THREAD, &is, &wanted));
	snprintf(is.path, sizeof(is.path), "/b");
	assert_false(cl_linux_equal(CL_CHANGE_THREAD, &is, &wanted));
	wanted.has_path = false;
	assert_true(cl_linux_equal(CL_CHANGE_THREAD, &is, &wanted));
}

static void test_another_thread(void **state)
{
	struct cl_error error;
	struct cl_setting now;

	if (one_cpu())
		skip();
	struct cl_change change = thread_change(crowd.tids[0], NULL, &all, NULL, &first);
	change.thread.start++;
	assert_int_equal(apply(&change, &error), -ESRCH);
	assert_int_equal(cl_linux_read(&cgroup, &change, &now, &error), -ESRCH);
	assert_thread(crowd.tids[0], NULL, &all);
	change.thread.tid = 0; /* would be ourselves */
	assert_int_equal(apply(&change, &error), -EINVAL);
	struct cl_change dead = thread_change(crowd.tids[1], NULL, &all, NULL, &first);
	crowd_end(&crowd);
	assert_int_equal(apply(&dead, &error), -ESRCH);
	assert_non_null(strstr(error.text, "gone"));
	setup(state);
}

/* A process that gets the very number of one that died: clone3 with set_tid. */
static void test_reused_tid(void **state)
{
	static const char *const alone[] = { NULL };
	struct cl_error error;
	struct cl_tid id;
	int32_t leader;

	if (one_cpu())
		skip();
	struct crowd victim = crowd_start(alone);
	pid_t pid = victim.pid;
	struct cl_change change = thread_change(pid, NULL, &all, NULL, &first);
	crowd_end(&victim);
	for (int tries = 0; tries < 50; tries++) {
		struct clone_args args = { .exit_signal = SIGCHLD,
					   .set_tid = (uintptr_t)&pid,
					   .set_tid_size = 1 };
		long born = syscall(SYS_clone3, &args, sizeof(args));

		if (born == 0) {
			for (;;)
				pause();
		}
		if (born < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL))
			skip(); /* no right to choose, or before Linux 5.5 */
		if (born < 0) { /* taken by somebody meanwhile */
			usleep(10000);
			continue;
		}
		assert_int_equal(born, pid);
		int identified = cl_thread_identify(pid, &id, &leader, &error);
		bool other_start = identified == 0 && id.start != change.thread.start;
		int r = other_start ? apply(&change, &error) : 0;
		struct cl_cpuset now;

		raw_mask(pid, &now);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(identified, 0);
		if (other_start) {
			assert_int_equal(r, -ESRCH);
			assert_true(cl_cpuset_equal(&now, &all));
			return;
		}
		usleep(10000); /* within one clock tick start times are equal; wait for the next */
	}
	fail_msg("no process with the same number and another start could be made");
}

static void test_group_and_mask(void **state)
{
	struct cl_error error;
	struct cl_setting now;
	pid_t tid = crowd.tids[0];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &first), unmake = back(&make);
	struct cl_change change = thread_change(tid, home, &all, ours, &first),
			 undo = back(&change);
	assert_int_equal(apply(&change, &error),
			 -EIDRM); /* the group is not there: the thread stays */
	assert_thread(tid, home, &all);
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(apply(&change, &error), 0);
	assert_thread(tid, ours, &first);
	assert_thread(crowd.tids[1], home, &all);
	assert_int_equal(cl_linux_read(&cgroup, &change, &now, &error), 0);
	assert_true(cl_linux_equal(CL_CHANGE_THREAD, &now, &change.to));
	assert_int_equal(apply(&unmake, &error), -EBUSY);
	assert_non_null(strstr(error.text, "1 threads"));
	assert_int_equal(apply(&undo, &error), 0);
	assert_thread(tid, home, &all);
	assert_int_equal(apply(&unmake, &error), 0);
	assert_int_equal(apply(&unmake, &error), 0);
	assert_int_equal(cl_linux_read(&cgroup, &make, &now, &error), 0);
	assert_false(now.present);
	/* Moved by somebody: left, with the mask that it has. */
	assert_int_equal(apply(&make, &error), 0);
	move_raw(ours, tid);
	set_mask(tid, &first);
	struct cl_change elsewhere = thread_change(tid, "/nowhere", &all, home, &all);
	assert_int_equal(apply(&elsewhere, &error), -ESTALE);
	assert_thread(tid, ours, &first);
}

/* A mask that the target group has not: nothing is moved, or it is moved back. */
static void test_mask_outside_group(void **state)
{
	struct cl_error error;
	pid_t tid = crowd.tids[0];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &first);
	assert_int_equal(apply(&make, &error), 0);
	struct cl_change change = thread_change(tid, home, &all, ours, &second);
	assert_int_equal(apply(&change, &error), -EINVAL);
	assert_non_null(strstr(error.text, "widen"));
	assert_thread(tid, home, &all);
	/* By mask alone, where the kernel would cut it down (and say nothing) or refuse. */
	move_raw(ours, tid);
	struct cl_change cut = thread_change(tid, NULL, &first, NULL, &all);
	assert_int_equal(apply(&cut, &error), -EINVAL);
	assert_thread(tid, ours, &first);
	struct cl_change none = thread_change(tid, NULL, &first, NULL, &second);
	assert_int_equal(apply(&none, &error), -EINVAL);
	assert_thread(tid, ours, &first);
}

/* Killed between the two writes: found as ours, finished forward, or taken back. */
static void test_half_way(void **state)
{
	struct cl_error error;
	struct cl_setting now;
	pid_t tid = crowd.tids[0];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &all);
	assert_int_equal(apply(&make, &error), 0);
	struct cl_change change = thread_change(tid, home, &second, ours, &first),
			 undo = back(&change);
	for (int i = 0; i < 4; i++) {
		set_mask(tid, &all); /* as thread_move does before it moves */
		if (i < 2)
			move_raw(ours, tid);
		else
			move_raw(home, tid);
		/* In the first group with its default mask a change forward has no claim on it:
		 * nothing had been done. */
		bool claim = i < 2 || i == 3;

		assert_int_equal(cl_linux_read(&cgroup, &change, &now, &error), 0);
		assert_true(cl_linux_equal(CL_CHANGE_THREAD, &now, &change.to));
		assert_int_equal(apply(i % 2 ? &undo : &change, &error), claim ? 0 : -ESTALE);
		if (claim)
			assert_thread(tid, i % 2 ? home : ours, i % 2 ? &second : &first);
		else
			assert_thread(tid, home, &all);
	}
}

/* The group that a thread came from is gone: the error says so, the thread stays where it is
 * served. */
static void test_from_vanished(void **state)
{
	struct cl_error error;
	pid_t tid = crowd.tids[0];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &first);
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(cl_cgroup_create(&cgroup, others, &all, &error), 0);
	move_raw(others, tid);
	struct cl_change change = thread_change(tid, others, &all, ours, &first),
			 undo = back(&change);
	assert_int_equal(apply(&change, &error), 0);
	assert_int_equal(cl_cgroup_remove(&cgroup, others, &error), 0);
	assert_int_equal(apply(&undo, &error), -EIDRM);
	assert_non_null(strstr(error.text, others));
	assert_thread(tid, ours, &first);
}

/* After undo a thread with its group's default mask follows that group's later changes, as one
 * never touched does. */
static void test_default_follows_group(void **state)
{
	struct cl_error error;
	pid_t tid = crowd.tids[0];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &all);
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(cl_cgroup_create(&cgroup, others, &first, &error), 0);
	move_raw(others, tid);
	assert_thread(tid, others, &first);
	struct cl_change change = thread_change(tid, others, &first, ours, &second),
			 undo = back(&change);
	assert_int_equal(apply(&change, &error), 0);
	assert_thread(tid, ours, &second);
	assert_int_equal(apply(&undo, &error), 0);
	assert_thread(tid, others, &first);
	assert_int_equal(cl_cgroup_set_cpus(&cgroup, others, &all, &error), 0);
	assert_thread(tid, others, &all);
}

static void test_groups(void **state)
{
	struct cl_error error;
	struct cl_setting now;
	char full[2 * CL_PATH_MAX];

	if (no_groups())
		skip();
	struct cl_change make = group_change(ours, NULL, &first),
			 widen = group_change(ours, &first, &all);
	struct cl_change unmake = back(&make), foreign = group_change(others, NULL, &first);
	assert_int_equal(apply(&foreign, &error), -EINVAL);
	assert_int_equal(apply(&widen, &error), -ESTALE); /* it is not there */
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(apply(&widen, &error), 0);
	assert_int_equal(apply(&unmake, &error),
			 -ESTALE); /* it is another's now, for all that unmake knows */
	assert_int_equal(cl_linux_read(&cgroup, &make, &now, &error), 0);
	assert_true(now.present && cl_cpuset_equal(&now.cpus, &all));
	struct cl_change narrow = back(&widen);
	assert_int_equal(apply(&narrow, &error), 0);
	assert_int_equal(apply(&unmake, &error), 0);
	/* Killed between mkdir and the CPUs: counts as made; finished forward, or removed. */
	snprintf(full, sizeof(full), "%s%s", cgroup.mount, ours);
	assert_int_equal(mkdir(full, 0755), 0);
	assert_int_equal(cl_linux_read(&cgroup, &make, &now, &error), 0);
	assert_true(cl_linux_equal(CL_CHANGE_GROUP, &now, &make.to));
	assert_int_equal(apply(&unmake, &error), 0);
	assert_int_equal(access(full, F_OK), -1);
	assert_int_equal(mkdir(full, 0755), 0);
	assert_int_equal(apply(&make, &error), 0);
	assert_int_equal(cl_cgroup_own_cpus(&cgroup, ours, &now.cpus, &error), 0);
	assert_true(cl_cpuset_equal(&now.cpus, &first));
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* The whole run has the machine's /closer to itself. */
static int group_setup(void **state)
{
	struct cl_cgroup found;

	cl_cgroup_find(&found);
	return found.version == 0 || crowd_alone(found.mount) ? 0 : -1;
}

/* A network device of our own with NAPI, for as long as the descriptor is open; -1: none here. */
static int make_nic(char name[IFNAMSIZ])
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_NAPI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "cltest%%d");
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) {
		close(fd);
		fd = -1;
	}
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return fd;
}

static void test_nic(void **state)
{
	static const char *const bad_names[] = { "", "..", "lo/../lo", "/lo" };
	struct cl_change on = { .kind = CL_CHANGE_NIC }, off, stale;
	struct cl_setting is;
	struct cl_error error;
	char name[IFNAMSIZ];

	for (size_t i = 0; i < CL_COUNT(bad_names); i++) {
		snprintf(on.path, sizeof(on.path), "%s", bad_names[i]);
		assert_int_equal(cl_linux_read(&cgroup, &on, &is, &error), -EINVAL);
		assert_int_equal(apply(&on, &error), -EINVAL);
	}
	snprintf(on.path, sizeof(on.path), "vif40000.0");
	assert_int_equal(cl_linux_read(&cgroup, &on, &is, &error), -ENOENT);
	cl_autoclose int fd = cl_nic_can() ? make_nic(name) : -1;

	if (fd < 0)
		skip();
	snprintf(on.path, sizeof(on.path), "%s", name);
	on.from.present = on.to.present = true;
	on.to.number = 1;
	off = stale = on;
	off.from.number = 1;
	off.to.number = 0;
	stale.to.number = 0;
	assert_int_equal(cl_linux_read(&cgroup, &on, &is, &error), 0);
	assert_int_equal(is.number, 0);
	assert_int_equal(apply(&on, &error), 0);
	assert_int_equal(apply(&on, &error), 0);
	assert_int_equal(cl_linux_read(&cgroup, &on, &is, &error), 0);
	assert_int_equal(is.number, 1);
	/* Neither the one nor the other: left. */
	assert_int_equal(apply(&stale, &error), -ESTALE);
	assert_int_equal(apply(&off, &error), 0);
	assert_int_equal(cl_linux_read(&cgroup, &on, &is, &error), 0);
	assert_int_equal(is.number, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(test_mask),
		cmocka_unit_test(test_offline_cpus_do_not_count),
		REAL(test_another_thread),
		REAL(test_reused_tid),
		REAL(test_group_and_mask),
		REAL(test_mask_outside_group),
		REAL(test_half_way),
		REAL(test_from_vanished),
		REAL(test_default_follows_group),
		REAL(test_groups),
		cmocka_unit_test(test_nic),
	};
	uint32_t cpu;

	raw_mask(0, &all);
	cpu = cl_cpuset_next(&all, 0);
	cl_cpuset_add(&first, cpu);
	cpu = cl_cpuset_next(&all, cpu + 1);
	if (cpu != CL_NONE)
		cl_cpuset_add(&second, cpu);
	/* uuids of this run's own, so that a closer or another test beside us is not met */
	snprintf(ours, sizeof(ours), "/closer/7e577e57-0000-4000-8000-%012x",
		 (unsigned int)getpid());
	snprintf(others, sizeof(others), "/closer-test-%d", getpid());
	return cmocka_run_group_tests_name("linux", tests, group_setup, NULL);
}
