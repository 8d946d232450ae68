/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fence on a machine: what the kernel says of a partition, in files of our own making, and
 * which threads a fence concerns, of real ones. */
#include "linux.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[] = "/tmp/closer-partition-XXXXXX";
static struct cl_cgroup two = { .version = 2 };

static void put(const char *text)
{
	char name[sizeof(root) + 64];

	snprintf(name, sizeof(name), "%s/closer", root);
	mkdir(name, 0755);
	snprintf(name, sizeof(name), "%s/closer/cpuset.cpus.partition", root);
	unlink(name);
	if (!text)
		return;
	int fd = open(name, O_WRONLY | O_CREAT, 0644);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void is(char *buf, size_t size)
{
	assert_int_equal(cl_cgroup_partition(&two, "/closer", buf, size, NULL), 0);
}

static int setup(void **state)
{
	if (!mkdtemp(root))
		return -1;
	snprintf(two.mount, sizeof(two.mount), "%s", root);
	return 0;
}

static int teardown(void **state)
{
	char name[sizeof(root) + 16];

	put(NULL);
	snprintf(name, sizeof(name), "%s/closer", root);
	rmdir(name);
	return rmdir(root);
}

static int64_t number(const char *path)
{
	struct cl_change change = { .kind = CL_CHANGE_FENCE };
	struct cl_setting setting;

	snprintf(change.path, sizeof(change.path), "%s", path);
	assert_int_equal(cl_linux_read(&two, &change, &setting, NULL), 0);
	return setting.number;
}

static void test_read(void **state)
{
	static const struct {
		const char *text;
		int64_t number;
	} cases[] = {
		{ "member\n", 0 },
		{ "root\n", 1 },
		{ "root invalid (Parent is not a partition root)\n", 1 },
		{ "isolated\n", 2 },
		{ "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n", 2 },
		{ NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(cases[i].text);
		assert_int_equal(number("/closer"), cases[i].number);
		assert_int_equal(number("/"), 0); /* masks: nothing of its own */
	}
}

/* A plain file takes what is written and keeps what is behind it, which is enough here. */
static void test_set(void **state)
{
	struct cl_error err = { 0 };
	char now[256];

	put("");
	assert_int_equal(cl_cgroup_set_partition(&two, "/closer", true, &err), 0);
	is(now, sizeof(now));
	assert_string_equal(now, "root");
	put("");
	assert_int_equal(cl_cgroup_set_partition(&two, "/closer", false, &err), 0);
	is(now, sizeof(now));
	assert_string_equal(now, "member");
	put(NULL);
	assert_int_equal(cl_cgroup_set_partition(&two, "/closer", true, &err), -ENOENT);
	assert_int_equal(cl_cgroup_set_partition(&two, "/closer/../x", true, &err), -EINVAL);
}

/* The kernel takes the write, and says afterwards that it is none: an error with the kernel's
 * reason, and it is a member again. */
static void test_invalid(void **state)
{
	struct cl_error err = { 0 };
	char now[256];

	put("root invalid (Cpu list in cpuset.cpus not exclusive)\n");
	assert_int_equal(cl_cgroup_set_partition(&two, "/closer", true, &err), -EIO);
	assert_non_null(strstr(err.text, "Cpu list in cpuset.cpus not exclusive"));
	is(now, sizeof(now));
	assert_int_equal(strncmp(now, "member", 6), 0);
}

static void test_apply(void **state)
{
	struct cl_change up = { .kind = CL_CHANGE_FENCE,
				.path = "/closer",
				.from.present = true,
				.to = { .present = true, .number = 1 } };
	struct cl_error err = { 0 };
	char now[256];

	put("root\n");
	assert_int_equal(cl_linux_apply(&two, &up, &err), 0);
	put("isolated\n");
	assert_int_equal(cl_linux_apply(&two, &up, &err), -ESTALE);
	is(now, sizeof(now));
	assert_string_equal(now, "isolated");
	/* As undo asks for it: from what there is. */
	put("root invalid\n");
	up.from.number = 1;
	up.to.number = 0;
	assert_int_equal(cl_linux_apply(&two, &up, &err), -EIO); /* a file keeps what is behind */
	is(now, sizeof(now));
	assert_int_equal(strncmp(now, "member", 6), 0);
}

/* ---- which threads ---- */

struct found {
	int32_t want; /* the thread looked for */
	uint32_t n, first, seen;
	struct cl_change change;
};

static int find(void *ctx, const struct cl_change *change)
{
	struct found *f = ctx;

	assert_int_equal(change->kind, CL_CHANGE_THREAD);
	assert_false(change->from.has_path || change->to.has_path);
	assert_false(cl_cpuset_empty(&change->to.cpus));
	f->n++;
	f->first += change->process == 1;
	if (change->thread.tid == f->want) {
		f->seen++;
		f->change = *change;
	}
	return 0;
}

static struct found along(const struct cl_cgroup *cgroup, const char *path, uint32_t left,
			  int32_t want)
{
	struct cl_change fence = { .kind = CL_CHANGE_FENCE, .to = { .number = 1 } };
	struct found f = { .want = want };
	struct cl_error err;

	snprintf(fence.path, sizeof(fence.path), "%s", path);
	cl_cpuset_add(&fence.to.cpus, left);
	if (cl_linux_along(cgroup, &fence, find, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

static int32_t sleeper(const struct cl_cpuset *mask)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (mask)
		assert_int_equal(sched_setaffinity(pid, sizeof(mask->w),
						   (const cpu_set_t *)(const void *)mask->w),
				 0);
	return pid;
}

static void stop(int32_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_along(void **state)
{
	struct cl_cgroup cgroup;
	struct cl_cpuset all = { 0 }, one = { 0 };
	struct found f;

	cl_cgroup_find(&cgroup);
	assert_int_equal(sched_getaffinity(0, sizeof(all.w), (cpu_set_t *)(void *)all.w), 0);
	uint32_t first = cl_cpuset_next(&all, 0), second = cl_cpuset_next(&all, first + 1);

	if (second == CL_NONE || cgroup.version == 0)
		skip();
	cl_cpuset_add(&one, second);
	int32_t loose = sleeper(NULL), pinned = sleeper(&one);

	/* Masks: who has all CPUs. Not the first process, and not what somebody has set. */
	f = along(&cgroup, "/", first, loose);
	assert_int_equal(f.seen, 1);
	assert_int_equal(f.first, 0);
	assert_true(f.n > 1);
	assert_true(cl_cpuset_subset(&all, &f.change.from.cpus));
	assert_int_equal(cl_cpuset_count(&f.change.to.cpus), 1);
	assert_true(cl_cpuset_has(&f.change.to.cpus, first));
	assert_int_equal(along(&cgroup, "/", first, pinned).seen, 0);
	/* A partition: the kernel sees to these; what was set by hand it forgets. */
	assert_int_equal(along(&cgroup, "/closer", first, loose).seen, 0);
	f = along(&cgroup, "/closer", first, pinned);
	assert_int_equal(f.seen, 1);
	assert_true(cl_cpuset_equal(&f.change.from.cpus, &one));
	assert_true(cl_cpuset_has(&f.change.to.cpus, first));
	assert_false(cl_cpuset_has(&f.change.to.cpus, second));
	/* What of it is left to others stays its own. */
	f = along(&cgroup, "/closer", second, pinned);
	assert_true(cl_cpuset_equal(&f.change.to.cpus, &one));
	stop(loose);
	stop(pinned);
}

static void test_bound(void **state)
{
	char names[64] = "?", tiny[4];

	if (access("/proc/2/comm", R_OK) < 0)
		skip(); /* a container: kernel threads are not seen */
	assert_true(cl_linux_bound(names, sizeof(names)) == cl_linux_bound(tiny, sizeof(tiny)));
	assert_int_equal(strlen(tiny) < sizeof(tiny), 1);
	assert_null(strchr(names, '?'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),    cmocka_unit_test(test_set),
		cmocka_unit_test(test_invalid), cmocka_unit_test(test_apply),
		cmocka_unit_test(test_along),   cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
