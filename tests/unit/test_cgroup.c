/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup: what is parsed, and what is done in this machine's own hierarchies, v1 and v2. */
#include "cgroup.h"
#include "crowd.h"
#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

static const struct cl_cgroup one = { .version = 1, .mount = "/m" };
static const struct cl_cgroup two = { .version = 2, .mount = "/m" };

static struct cl_cpuset set_of(const char *list)
{
	struct cl_cpuset set;

	assert_true(cl_cpuset_parse(list, strlen(list), &set));
	return set;
}

static void test_mounts(void **state)
{
	struct cl_cgroup found;

	assert_true(cl_cgroup_parse_mount(
		"33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n",
		&found));
	assert_int_equal(found.version, 1);
	assert_string_equal(found.mount, "/sys/fs/cgroup/cpuset");
	assert_true(cl_cgroup_parse_mount(
		"3 1 0:31 / /a\\040b rw shared:4 master:1 - cgroup x rw,cpu,cpuset,noprefix",
		&found));
	assert_string_equal(found.mount, "/a b");
	assert_true(cl_cgroup_parse_mount(
		"41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw", &found));
	assert_int_equal(found.version, 2);
	/* Not cpuset, only begins with it; a part of a hierarchy; another file system; cut lines.
	 */
	assert_false(
		cl_cgroup_parse_mount("32 31 0:29 / /c rw - cgroup cgroup rw,cpu,cpuacct", &found));
	assert_false(
		cl_cgroup_parse_mount("32 31 0:29 / /c rw - cgroup cgroup rw,cpusets", &found));
	assert_false(cl_cgroup_parse_mount(
		"41 31 0:38 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw", &found));
	assert_false(
		cl_cgroup_parse_mount("31 23 0:28 / /sys/fs/cgroup rw - tmpfs cgroup2 rw", &found));
	assert_false(cl_cgroup_parse_mount("41 31 0:38 / /sys/fs/cgroup rw", &found));
	assert_false(cl_cgroup_parse_mount("41 31 0:38 / /x\\04 rw - cgroup2 cgroup2 rw", &found));
	assert_false(cl_cgroup_parse_mount("", &found));
}

static void test_parse(void **state)
{
	char path[CL_PATH_MAX] = "kept", text[2 * CL_PATH_MAX];

	assert_true(cl_cgroup_parse(&one, "9:name=systemd:/a\n3:cpuset:/b/c\n0::/d\n", path));
	assert_string_equal(path, "/b/c");
	assert_true(cl_cgroup_parse(&one, "4:cpuset,cpu:/x:y z\n", path));
	assert_string_equal(path, "/x:y z");
	assert_true(cl_cgroup_parse(&two, "3:cpuset:/b/c\n0::/", path));
	assert_string_equal(path, "/");
	/* None, another's prefix, malformed, outside of our namespace: untouched. */
	snprintf(path, sizeof(path), "kept");
	assert_false(cl_cgroup_parse(&one, "0::/d\n", path));
	assert_false(cl_cgroup_parse(&one, "3:cpusets:/b\n4:xcpuset:/b\n5:name=cpuset:/b\n", path));
	assert_false(cl_cgroup_parse(&two, "0:x:/b\n", path));
	assert_false(cl_cgroup_parse(&two, "nonsense", path));
	assert_false(cl_cgroup_parse(&two, "0::\n", path));
	assert_false(cl_cgroup_parse(&two, "0::/../a\n", path));
	assert_false(cl_cgroup_parse(&two, "", path));
	snprintf(text, sizeof(text), "0::/%0*d\n", (int)CL_PATH_MAX, 0);
	assert_false(cl_cgroup_parse(&two, text, path));
	assert_string_equal(path, "kept");
}

static void test_paths_refused(void **state)
{
	static const char *const bad[] = { "",           "closer",   "/../etc", "/closer/..",
					   "/closer//x", "/closer/", "/./x",    "/a\nb" };
	struct cl_cpuset cpus = set_of("0");
	struct cl_error error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cl_cgroup_create(&one, bad[i], &cpus, &error), -EINVAL);
		assert_int_equal(cl_cgroup_remove(&one, bad[i], &error), -EINVAL);
		assert_int_equal(cl_cgroup_move(&two, bad[i], getpid(), false, &error), -EINVAL);
		assert_int_equal(cl_cgroup_cpus(&two, bad[i], &cpus, &error), -EINVAL);
	}
}

/* ---- for real ---- */

static char base[64], child_path[96]; /* a group of this test's own, and one below it */

static int gather(void *ctx, int32_t tid)
{
	int32_t *tids = ctx;
	int i = 0;

	while (tids[i])
		i++;
	assert_true(i < CROWD_MAX);
	tids[i] = tid;
	return 0;
}

static int stop(void *ctx, int32_t tid)
{
	++*(int *)ctx;
	return 7;
}

/* Makes groups, moves one of several threads, and takes all back. The version is whichever moves
 * threads here. */
static void test_real(void **state)
{
	static const char *const names[] = { "a", "b", NULL };
	struct cl_cgroup cgroup;
	struct cl_cpuset all, now, first = { 0 };
	struct cl_error error;
	char path[CL_PATH_MAX], home[CL_PATH_MAX];
	int32_t tids[CROWD_MAX] = { 0 };
	int calls = 0;

	cl_cgroup_find(&cgroup);
	if (!cl_cgroup_moves_threads(&cgroup))
		skip();
	assert_int_equal(cl_cgroup_cpus(&cgroup, "/", &all, &error), 0);
	assert_false(cl_cpuset_empty(&all));
	cl_cpuset_add(&first, cl_cpuset_next(&all, 0));

	struct crowd crowd = crowd_start(names);
	assert_int_equal(cl_cgroup_of(&cgroup, crowd.tids[0], home, &error), 0);
	assert_int_equal(cl_cgroup_create(&cgroup, child_path, &first, &error),
			 -ENOENT); /* parent first */
	assert_int_equal(cl_cgroup_create(&cgroup, base, &all, &error), 0);
	assert_int_equal(cl_cgroup_create(&cgroup, child_path, &first, &error), 0);
	assert_int_equal(cl_cgroup_own_cpus(&cgroup, child_path, &now, &error), 0);
	assert_true(cl_cpuset_equal(&now, &first));
	assert_int_equal(cl_cgroup_cpus(&cgroup, child_path, &now, &error), 0);
	assert_true(cl_cpuset_equal(&now, &first));

	assert_int_equal(cl_cgroup_move(&cgroup, child_path, crowd.tids[0], false, &error), 0);
	assert_int_equal(cl_cgroup_of(&cgroup, crowd.tids[0], path, &error), 0);
	assert_string_equal(path, child_path);
	assert_int_equal(cl_cgroup_of(&cgroup, crowd.tids[1], path, &error), 0);
	assert_string_equal(path, home);
	assert_int_equal(cl_cgroup_each(&cgroup, child_path, gather, tids, &error), 0);
	assert_int_equal(tids[0], crowd.tids[0]);
	assert_int_equal(tids[1], 0);
	assert_int_equal(cl_cgroup_each(&cgroup, child_path, stop, &calls, &error), 7);
	assert_int_equal(calls, 1);

	assert_int_equal(cl_cgroup_remove(&cgroup, child_path, &error), -EBUSY);
	assert_non_null(strstr(error.text, "1 threads"));
	assert_int_equal(cl_cgroup_move(&cgroup, home, crowd.tids[0], false, &error), 0);
	int fd = cl_cgroup_open_cpus(&cgroup, child_path);
	assert_true(fd >= 0);
	assert_int_equal(cl_cgroup_read_cpus(fd, &now), 0);
	assert_int_equal(cl_cgroup_remove(&cgroup, child_path, &error), 0);
	assert_int_equal(cl_cgroup_remove(&cgroup, child_path, &error), 0); /* gone is gone */
	assert_int_equal(cl_cgroup_read_cpus(fd, &now), -ENODEV);
	close(fd);
	assert_int_equal(cl_cgroup_cpus(&cgroup, child_path, &now, &error), -ENOENT);
	assert_int_equal(cl_cgroup_set_cpus(&cgroup, child_path, &first, &error), -ENOENT);
	assert_int_equal(cl_cgroup_move(&cgroup, child_path, crowd.tids[0], false, &error),
			 -ENOENT);
	pid_t gone = crowd.tids[0];
	crowd_end(&crowd);
	assert_int_equal(cl_cgroup_move(&cgroup, base, gone, false, &error), -ESRCH);
	assert_int_equal(cl_cgroup_of(&cgroup, gone, path, &error), -ESRCH);
	assert_int_equal(cl_cgroup_remove(&cgroup, base, &error), 0);
}

static bool find_v2(struct cl_cgroup *ret_v2)
{
	char line[8192];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = cl_cgroup_parse_mount(line, ret_v2) && ret_v2->version == 2;
	if (f)
		fclose(f);
	return found && access(ret_v2->mount, W_OK) == 0;
}

static void make_dir(const struct cl_cgroup *cgroup, const char *path)
{
	char full[2 * CL_PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	assert_int_equal(mkdir(full, 0755), 0);
}

static void write_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
		       const char *text)
{
	char full[2 * CL_PATH_MAX];

	snprintf(full, sizeof(full), "%s%s/%s", cgroup->mount, path, name);
	FILE *f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* v2 without regard to which controllers it has: whole processes, and threads in a threaded
 * subtree. */
static void test_real_v2(void **state)
{
	static const char *const names[] = { "a", "b", NULL }, *const alone[] = { NULL };
	struct cl_cgroup v2;
	struct cl_error error;
	char path[CL_PATH_MAX], home[CL_PATH_MAX], threaded[128];
	int32_t tids[CROWD_MAX] = { 0 };

	if (!find_v2(&v2))
		skip();
	assert_false(cl_cgroup_moves_threads(&v2));
	struct crowd many = crowd_start(names), single = crowd_start(alone);
	assert_int_equal(cl_cgroup_of(&v2, single.pid, home, &error), 0);
	make_dir(&v2, base);
	assert_int_equal(cl_cgroup_move(&v2, base, single.pid, false, &error), 0);
	assert_int_equal(cl_cgroup_of(&v2, single.pid, path, &error), 0);
	assert_string_equal(path, base);
	/* A thread of several would take the others with it: refused, and nobody has moved. */
	assert_int_equal(cl_cgroup_move(&v2, base, many.tids[0], false, &error), -EOPNOTSUPP);
	assert_int_equal(cl_cgroup_each(&v2, base, gather, tids, &error), 0);
	assert_int_equal(tids[0], single.pid);
	assert_int_equal(tids[1], 0);
	assert_int_equal(cl_cgroup_remove(&v2, base, &error), -EBUSY);
	assert_int_equal(cl_cgroup_move(&v2, home, single.pid, false, &error), 0);

	/* As a whole it may go there, and come back from there. */
	assert_int_equal(cl_cgroup_move(&v2, base, many.pid, true, &error), 0);
	assert_int_equal(cl_cgroup_of(&v2, many.tids[1], path, &error), 0);
	assert_string_equal(path, base);
	assert_int_equal(cl_cgroup_move(&v2, home, many.pid, true, &error), 0);
	assert_int_equal(cl_cgroup_of(&v2, many.tids[1], path, &error), 0);
	assert_string_equal(path, home);

	/* The process into base as a whole, by hand; then one thread of it into a threaded group
	 * below. */
	snprintf(threaded, sizeof(threaded), "%s/threads", base);
	snprintf(path, sizeof(path), "%d", many.pid);
	write_file(&v2, base, "cgroup.procs", path);
	make_dir(&v2, threaded);
	write_file(&v2, threaded, "cgroup.type", "threaded");
	assert_int_equal(cl_cgroup_move(&v2, threaded, many.tids[1], false, &error), 0);
	assert_int_equal(cl_cgroup_of(&v2, many.tids[1], path, &error), 0);
	assert_string_equal(path, threaded);
	assert_int_equal(cl_cgroup_of(&v2, many.tids[0], path, &error), 0);
	assert_string_equal(path, base);
	assert_int_equal(cl_cgroup_move(&v2, "/closer-no-such-group", many.pid, false, &error),
			 -ENOENT);
	crowd_end(&many);
	crowd_end(&single);
	assert_int_equal(cl_cgroup_remove(&v2, threaded, &error), 0);
	assert_int_equal(cl_cgroup_remove(&v2, base, &error), 0);
}

/* v2 with the controller: made from the root down; without it: an error that says so, and nothing
 * left. */
static void test_create_v2(void **state)
{
	struct cl_cgroup v2, used;
	struct cl_cpuset all, now, first = { 0 };
	struct cl_error error;
	char full[2 * CL_PATH_MAX];

	if (!find_v2(&v2))
		skip();
	cl_cgroup_find(&used);
	snprintf(full, sizeof(full), "%s%s", v2.mount, base);
	if (used.version != 2) {
		cl_cpuset_add(&first, 0);
		assert_true(cl_cgroup_create(&v2, base, &first, &error) < 0);
		assert_non_null(strstr(error.text, "cpuset"));
		assert_int_equal(access(full, F_OK), -1);
		assert_int_equal(cl_cgroup_cpus(&v2, "/", &now, &error), -EOPNOTSUPP);
		return;
	}
	assert_int_equal(cl_cgroup_cpus(&v2, "/", &all, &error), 0);
	cl_cpuset_add(&first, cl_cpuset_next(&all, 0));
	assert_int_equal(cl_cgroup_create(&v2, base, &all, &error), 0);
	assert_int_equal(cl_cgroup_create(&v2, child_path, &first, &error), 0);
	assert_int_equal(cl_cgroup_cpus(&v2, child_path, &now, &error), 0);
	assert_true(cl_cpuset_equal(&now, &first));
	assert_int_equal(cl_cgroup_remove(&v2, base, &error), -EBUSY);
	assert_int_equal(cl_cgroup_remove(&v2, child_path, &error), 0);
	assert_int_equal(cl_cgroup_remove(&v2, base, &error), 0);
}

static void assert_passes(const struct cl_cgroup *cgroup, const char *text)
{
	char full[2 * CL_PATH_MAX], is[64];

	snprintf(full, sizeof(full), "%s/cgroup.subtree_control", cgroup->mount);
	ssize_t len = cl_read_file(AT_FDCWD, full, is, sizeof(is));
	assert_true(len >= 0);
	is[len] = '\0';
	assert_string_equal(is, text);
}

/* The controller is taken back only where closer had it passed down, and nobody uses it by now. The
 * files are plain ones: what was written last is in them. */
static void test_pass_no_more(void **state)
{
	struct cl_cgroup v2 = { .version = 2, .mount = "/tmp/closer-test-XXXXXX" }, v1 = one;
	struct cl_error error;
	char command[2 * CL_PATH_MAX];

	assert_non_null(mkdtemp(v2.mount));
	assert_true(cl_cgroup_passed(&v1, "/closer"));
	assert_true(cl_cgroup_passed(&v2, "/closer")); /* cannot be read */
	write_file(&v2, "", "cgroup.subtree_control", "cpu io\n");
	assert_false(cl_cgroup_passed(&v2, "/closer"));
	write_file(&v2, "", "cgroup.subtree_control", "cpuset cpu io\n");
	assert_true(cl_cgroup_passed(&v2, "/closer"));

	make_dir(&v2, "/other");
	write_file(&v2, "/other", "cpuset.cpus", "\n");
	write_file(&v2, "/other", "cpuset.mems", "\n");
	write_file(&v2, "/other", "cpuset.cpus.partition", "member\n");
	write_file(&v2, "/other", "cgroup.subtree_control", "cpuset\n");
	write_file(&v2, "", "cgroup.subtree_control", "+cpuset");
	assert_int_equal(cl_cgroup_pass_no_more(&v2, "/closer", &error), 0);
	assert_passes(&v2, "+cpuset"); /* another passes it on */
	write_file(&v2, "/other", "cgroup.subtree_control", "\n");
	write_file(&v2, "/other", "cpuset.cpus", "1-2\n");
	assert_int_equal(cl_cgroup_pass_no_more(&v2, "/closer", &error), 0);
	assert_passes(&v2, "+cpuset"); /* another has CPUs of its own */
	write_file(&v2, "/other", "cpuset.cpus", "\n");
	write_file(&v2, "/other", "cpuset.cpus.partition", "root\n");
	assert_int_equal(cl_cgroup_pass_no_more(&v2, "/closer", &error), 0);
	assert_passes(&v2, "+cpuset");
	write_file(&v2, "/other", "cpuset.cpus.partition", "member\n");
	assert_int_equal(cl_cgroup_pass_no_more(&v2, "/closer", &error), 0);
	assert_passes(&v2, "-cpuset");
	snprintf(command, sizeof(command), "rm -r %s", v2.mount);
	assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
	struct cl_cgroup cgroup;
	char threaded[128];

	snprintf(threaded, sizeof(threaded), "%s/threads", base);
	cl_cgroup_find(&cgroup);
	for (int i = 0; i < 2; i++) {
		if (i == 1 ? find_v2(&cgroup) : cgroup.version != 0) {
			cl_cgroup_remove(&cgroup, threaded, NULL);
			cl_cgroup_remove(&cgroup, child_path, NULL);
			cl_cgroup_remove(&cgroup, base, NULL);
		}
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_paths_refused),
		cmocka_unit_test(test_pass_no_more),
		cmocka_unit_test_teardown(test_real, teardown),
		cmocka_unit_test_teardown(test_real_v2, teardown),
		cmocka_unit_test_teardown(test_create_v2, teardown),
	};

	snprintf(base, sizeof(base), "/closer-test-%d", getpid());
	snprintf(child_path, sizeof(child_path), "%s/below", base);
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
