/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits of containers and of packets: what is read, what is set, and what is somebody's. */
#include "limit.h"

#include "crowd.h"
#include "lib.h"
#include "packets.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#define DISK (UINT64_C(8) << 32 | 16)

/* The container of a guest that this process alone has: another build's test may run, too. */
static char guest[64];

static void test_cpu_text(void **state)
{
	struct cl_setting s;

	assert_true(cl_limit_parse_cpu("max 100000\n", &s));
	assert_false(s.present);
	assert_true(cl_limit_parse_cpu("5000 100000\n", &s));
	assert_true(s.present);
	assert_int_equal(s.number, 5 * CL_NS_PER_MS);
	assert_int_equal(s.period_ns, 100 * CL_NS_PER_MS);
	assert_false(cl_limit_parse_cpu("", &s));
	assert_false(cl_limit_parse_cpu("max", &s));
	assert_false(cl_limit_parse_cpu("5000", &s));
	assert_false(cl_limit_parse_cpu("5000 x", &s));
	assert_false(cl_limit_parse_cpu("18446744073709551615 1", &s));
}

static void test_io_text(void **state)
{
	struct cl_setting s;

	assert_true(cl_limit_parse_io("", DISK, &s));
	assert_false(s.present);
	assert_true(cl_limit_parse_io("8:0 rbps=1 wbps=1 riops=max wiops=max\n"
				      "8:16 rbps=4096 wbps=4096 riops=max wiops=7\n",
				      DISK, &s));
	assert_int_equal(s.number, 4096);
	assert_int_equal(s.period_ns, CL_NS_PER_S);
	/* Requests a second are somebody's, and no hindrance; one way alone is none of ours. */
	assert_true(cl_limit_parse_io("8:16 rbps=max wbps=max riops=9 wiops=max\n", DISK, &s));
	assert_false(s.present);
	assert_true(cl_limit_parse_io("8:16 rbps=4096 wbps=max riops=max wiops=max\n", DISK, &s));
	assert_true(s.present);
	assert_int_equal(s.number, -1);
	assert_false(cl_limit_parse_io("8:16", DISK, &s));
	assert_false(cl_limit_parse_io("8:16 riops=max\n", DISK, &s));
	assert_false(cl_limit_parse_io("sda rbps=1 wbps=1\n", DISK, &s));
}

static void test_packets_text(void **state)
{
#define RULE(expr)                                                                                 \
	"{\"nftables\": [{\"metainfo\": {}}, {\"chain\": {}}, {\"rule\": {\"expr\": " expr "}}]}"
#define LIMIT(rest) "[{\"limit\": {\"rate\": 800, \"burst\": 80, " rest "}}, {\"drop\": null}]"
	assert_int_equal(cl_packets_parse(RULE(LIMIT("\"per\": \"second\", \"inv\": true"))), 800);
	assert_int_equal(cl_packets_parse(RULE(LIMIT("\"per\": \"minute\", \"inv\": true"))), -1);
	assert_int_equal(cl_packets_parse(RULE(LIMIT("\"per\": \"second\""))), -1);
	assert_int_equal(cl_packets_parse(RULE(LIMIT("\"per\": \"second\", \"inv\": true, "
						     "\"rate_unit\": \"bytes\""))),
			 -1);
	assert_int_equal(cl_packets_parse(RULE("[{\"drop\": null}]")), -1);
	assert_int_equal(cl_packets_parse("{\"nftables\": []}"), -1);
	assert_int_equal(cl_packets_parse("[]"), -1);
	assert_int_equal(cl_packets_parse("{"), -1);
	assert_int_equal(cl_packets_parse(""), -1);
}

/* libnftables ends the process of who cannot have a socket: no limit is possible then, and closer
 * goes on. */
static void test_no_nftables(void **state)
{
	struct cl_change change = { .kind = CL_CHANGE_PACKETS, .path = "lo" };
	const struct rlimit none = { 0, 0 };
	struct cl_setting is;
	struct cl_error err;
	char why[160];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_NOFILE, &none);
		if (cl_packets_can(why, sizeof(why)) || !strstr(why, "no nftables"))
			_exit(1);
		_exit(cl_packets_read(&change, &is, &err) < 0 && strstr(err.text, "modprobe") ? 42
											      : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

/* ---- cgroup v2, as files of a folder: what is written where, and what is left alone ---- */

static struct cl_cgroup tree;

static void file(const char *path, const char *name, const char *text)
{
	char full[2 * CL_PATH_MAX + 64];
	int fd;

	snprintf(full, sizeof(full), "%s%s", tree.mount, path);
	(void)mkdir(full, 0755);
	snprintf(full, sizeof(full), "%s%s/%s", tree.mount, path, name);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void holds(const char *path, const char *name, const char *text)
{
	char full[2 * CL_PATH_MAX + 64], is[256];

	snprintf(full, sizeof(full), "%s%s/%s", tree.mount, path, name);
	assert_true(cl_read_file(AT_FDCWD, full, is, sizeof(is)) >= 0);
	is[strlen(text)] = '\0'; /* a file keeps what is behind; the kernel's do not */
	assert_string_equal(is, text);
}

static int grow_tree(void **state)
{
	char dir[] = "/tmp/closer-limit-XXXXXX";

	memset(&tree, 0, sizeof(tree));
	tree.version = 2;
	if (!mkdtemp(dir))
		return -1;
	snprintf(tree.mount, sizeof(tree.mount), "%s", dir);
	file("", "cgroup.controllers", "cpuset cpu io memory\n");
	file("", "cgroup.subtree_control", "cpu io\n");
	file("/closer", "cgroup.subtree_control", "cpu io\n");
	file(guest, "cpu.max", "max 100000\n");
	file(guest, "io.max", "");
	return 0;
}

static int cut_tree(void **state)
{
	char command[CL_PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf %s", tree.mount);
	return system(command);
}

static struct cl_change change_of(enum cl_change_kind kind, int64_t from, int64_t to,
				  uint64_t period_ns)
{
	struct cl_change c = { .kind = kind, .device = DISK };

	snprintf(c.path, sizeof(c.path), "%s", guest);
	c.from =
		(struct cl_setting){ from != 0, .number = from, .period_ns = from ? period_ns : 0 };
	c.to = (struct cl_setting){ to != 0, .number = to, .period_ns = to ? period_ns : 0 };
	return c;
}

#define P (100 * CL_NS_PER_MS)

static void test_v2_set_and_undone(void **state)
{
	struct cl_change on = change_of(CL_CHANGE_QUOTA, 0, 5 * CL_NS_PER_MS + 17, P);
	struct cl_change more = change_of(CL_CHANGE_QUOTA, on.to.number, 7 * CL_NS_PER_MS, P);
	struct cl_change off = change_of(CL_CHANGE_QUOTA, more.to.number, 0, P);
	struct cl_change io = change_of(CL_CHANGE_IO, 0, 1000000, CL_NS_PER_S);
	struct cl_setting is;

	assert_int_equal(cl_limit_apply(&tree, &on, NULL), 0);
	holds(guest, "cpu.max", "5000 100000\n");
	assert_int_equal(cl_limit_read(&tree, &on, &is, NULL), 0);
	assert_int_equal(is.number, on.to.number); /* the kernel keeps whole microseconds */
	assert_int_equal(cl_limit_apply(&tree, &on, NULL), 0); /* again: done */
	assert_int_equal(cl_limit_apply(&tree, &more, NULL), 0);
	holds(guest, "cpu.max", "7000 100000\n");
	assert_int_equal(cl_limit_apply(&tree, &off, NULL), 0);
	holds(guest, "cpu.max", "max 100000\n");
	assert_int_equal(cl_limit_apply(&tree, &io, NULL), 0);
	holds(guest, "io.max", "8:16 rbps=1000000 wbps=1000000\n");
}

/* Another value than expected is left, by apply and by undo, and said. */
static void test_v2_somebody_elses(void **state)
{
	struct cl_change on = change_of(CL_CHANGE_QUOTA, 0, 5 * CL_NS_PER_MS, P);
	struct cl_change off = change_of(CL_CHANGE_QUOTA, 5 * CL_NS_PER_MS, 0, P);
	struct cl_change io = change_of(CL_CHANGE_IO, 0, 1000, CL_NS_PER_S);
	struct cl_error err;

	file(guest, "cpu.max", "20000 50000\n");
	file(guest, "io.max", "8:16 rbps=5 wbps=max riops=max wiops=max\n");
	assert_int_equal(cl_limit_apply(&tree, &on, &err), -ESTALE);
	assert_non_null(strstr(err.text, "somebody else"));
	assert_int_equal(cl_limit_apply(&tree, &off, &err), -ESTALE);
	assert_int_equal(cl_limit_apply(&tree, &io, &err), -ESTALE);
	holds(guest, "cpu.max", "20000 50000\n");
	holds(guest, "io.max", "8:16 rbps=5 wbps=max riops=max wiops=max\n");
	snprintf(on.path, sizeof(on.path), "/system.slice");
	assert_int_equal(cl_limit_apply(&tree, &on, &err), -EINVAL);
	snprintf(on.path, sizeof(on.path), "/closer/gone");
	assert_int_equal(cl_limit_apply(&tree, &on, &err), -ENOENT);
}

/* What had to be passed down is passed down no more, unless somebody uses it by then. */
static void test_v2_controllers(void **state)
{
	struct cl_change off = change_of(CL_CHANGE_QUOTA, 5 * CL_NS_PER_MS, 0, P / 10);

	off.to.number = 1;
	file("", "cgroup.subtree_control", "cpu\n");
	file("/closer", "cgroup.subtree_control", "cpu\n");
	file(guest, "cpu.max", "5000 10000\n"); /* as long as what comes */
	file("/user.slice", "cpu.weight", "300\n");
	file("/user.slice", "cgroup.subtree_control", "\n");
	file(guest, "cgroup.subtree_control", "\n");
	assert_int_equal(cl_limit_apply(&tree, &off, NULL), 0);
	holds("/closer", "cgroup.subtree_control", "-cpu");
	holds("", "cgroup.subtree_control", "cpu\n");
	file("/user.slice", "cpu.weight", "100\n");
	assert_int_equal(cl_limit_apply(&tree, &off, NULL), 0); /* nothing there: looked at again */
	holds("", "cgroup.subtree_control", "-cpu");
}

/* ---- cgroup v1, for real ---- */

static uint64_t cpu_ns(pid_t pid)
{
	char path[64], text[64];
	uint64_t ns = 0;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_true(cl_parse_u64(text, &ns, NULL));
	return ns;
}

static double share_over(pid_t pid, long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	uint64_t before = cpu_ns(pid), begin = cl_clock_ns();

	nanosleep(&ts, NULL);
	return (double)(cpu_ns(pid) - before) / (double)(cl_clock_ns() - begin);
}

static bool in_twin(const struct cl_cgroup *cgroup, pid_t pid)
{
	char path[CL_PATH_MAX];

	return cl_cgroup_of_controller(pid, "cpu", path) == 0 && strcmp(path, guest) == 0;
}

/* The folder of all containers goes when another test has ended: then it is made again. */
static void make_container(const struct cl_cgroup *cgroup, const struct cl_cpuset *all)
{
	struct cl_error err;

	for (int n = 0; n < 100; n++)
		if (cl_cgroup_create(cgroup, "/closer", all, &err) == 0 &&
		    cl_cgroup_create(cgroup, guest, all, &err) == 0)
			return;
	fail_msg("%s", err.text);
}

static void test_v1_holds(void **state)
{
	struct cl_change on = change_of(CL_CHANGE_QUOTA, 0, 10 * CL_NS_PER_MS, P), off;
	struct cl_cgroup cgroup;
	struct cl_cpuset all;
	struct cl_setting is;
	struct cl_error err;
	char twin[2 * CL_PATH_MAX], folder[2 * CL_PATH_MAX];
	pid_t pid;

	cl_cgroup_find(&cgroup);
	if (cgroup.version != 1 || cgroup.why_not[0] || !cgroup.cpu_mount[0])
		skip();
	assert_int_equal(cl_cgroup_cpus(&cgroup, "/", &all, NULL), 0);
	make_container(&cgroup, &all);
	pid = fork();
	if (pid == 0)
		for (;;)
			;
	assert_int_equal(cl_cgroup_move(&cgroup, guest, pid, true, &err), 0);
	if (cl_limit_apply(&cgroup, &on, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(in_twin(&cgroup, pid));
	assert_int_equal(cl_limit_read(&cgroup, &on, &is, NULL), 0);
	assert_int_equal(is.number, on.to.number);
	double held = share_over(pid, 1000);

	assert_true(held < 0.15); /* a tenth of a CPU, and what the first period had left */
	off = change_of(CL_CHANGE_QUOTA, on.to.number, 0, P);
	assert_int_equal(cl_limit_apply(&cgroup, &off, &err), 0);
	assert_false(in_twin(&cgroup, pid));
	snprintf(twin, sizeof(twin), "%s%s", cgroup.cpu_mount, guest);
	assert_int_equal(access(twin, F_OK), -1);
	/* Cut short between its making and its limit: absent, and taken away all the same. */
	snprintf(folder, sizeof(folder), "%s/closer", cgroup.cpu_mount);
	do
		(void)mkdir(folder, 0755);
	while (mkdir(twin, 0755) < 0 && errno == ENOENT);
	assert_int_equal(access(twin, F_OK), 0);
	assert_int_equal(cl_limit_read(&cgroup, &off, &is, NULL), 0);
	assert_false(is.present);
	off.from = off.to;
	assert_int_equal(cl_limit_apply(&cgroup, &off, &err), 0);
	assert_int_equal(access(twin, F_OK), -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(cl_cgroup_remove(&cgroup, guest, &err), 0);
	(void)cl_cgroup_remove(&cgroup, "/closer", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_nftables),
		cmocka_unit_test(test_cpu_text),
		cmocka_unit_test(test_io_text),
		cmocka_unit_test(test_packets_text),
		cmocka_unit_test_setup_teardown(test_v2_set_and_undone, grow_tree, cut_tree),
		cmocka_unit_test_setup_teardown(test_v2_somebody_elses, grow_tree, cut_tree),
		cmocka_unit_test_setup_teardown(test_v2_controllers, grow_tree, cut_tree),
		cmocka_unit_test(test_v1_holds),
	};

	snprintf(guest, sizeof(guest), "/closer/%08x-0000-0000-0000-00000000c105",
		 (unsigned)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
