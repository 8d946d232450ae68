/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QEMU host on real processes with real threads and real sockets (tests/qmp_serve.c stands in
 * for QEMU, whose monitor is tried by the system tests), and its pure readers of command lines and
 * names.
 */
#include "../qmp_serve.c" /* one file a program: it is no library */
#include "lib.h"
#include "qemu/discover.h"
#include "qemu/qemu.h"
#include "threads.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define UUID_A "aaaaaaaa-0000-4000-8000-000000000001"
#define UUID_B "bbbbbbbb-0000-4000-8000-000000000002"

/* Long enough for a slow machine; what is waited for ends it sooner. */
#define PATIENCE_NS (30 * CL_NS_PER_S)

struct world {
	char dir[64];
	pid_t pids[8];
	uint32_t pid_count;
	struct cl_host *host;
	struct cl_snapshot *snap;
	struct cl_error err;
	char said[16384];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	strcpy(w->dir, "/tmp/closer-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->snap = cl_snapshot_new(&cl_limits_default);
	assert_non_null(w->snap);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	cl_host_qemu.close(w->host);
	for (uint32_t i = 0; i < w->pid_count; i++)
		if (w->pids[i] > 0) {
			kill(w->pids[i], SIGKILL);
			waitpid(w->pids[i], NULL, 0);
		}
	cl_snapshot_free(w->snap);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void path_of(const struct world *w, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", w->dir, name);
}

/* A process that says it is QEMU, serving one socket or two; with threads named as QEMU's or with
 * one without a name. */
static pid_t guest_with(struct world *w, enum qmp_mode mode, const char *uuid, const char *name,
			const char *second, bool named)
{
	struct qmp_server server = { .mode = mode, .uuid = uuid, .name = "vm" };
	char path[128], path2[128], ready;
	int up[2], listener;
	pid_t pid;

	path_of(w, name, path, sizeof(path));
	path_of(w, second ? second : "", path2, sizeof(path2));
	assert_int_equal(pipe(up), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "qemu-test");
		if (named)
			qmp_threads_start(&server);
		else
			pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))pause,
				       NULL);
		listener = qmp_listen(path);
		if (listener < 0 || (second && qmp_listen(path2) < 0) || write(up[1], "1", 1) != 1)
			_exit(1);
		qmp_serve(&server, listener);
	}
	close(up[1]);
	assert_int_equal(read(up[0], &ready, 1), 1);
	close(up[0]);
	w->pids[w->pid_count++] = pid;
	return pid;
}

static pid_t guest(struct world *w, enum qmp_mode mode, const char *uuid, const char *name)
{
	return guest_with(w, mode, uuid, name, NULL, true);
}

static void open_host(struct world *w)
{
	assert_int_equal(cl_host_qemu.open(w->dir, &w->host, &w->err), 0);
}

static void observe(struct world *w)
{
	int r = w->host->ops->observe(w->host, cl_clock_ns() + PATIENCE_NS, w->snap, &w->err);

	if (r < 0)
		fail_msg("%s", w->err.text);
	assert_int_equal(cl_snapshot_check(NULL, w->snap), CL_SNAPSHOT_NONE);
}

/* Observes, and waits for events in between, until done() says so. */
static void observe_until(struct world *w, bool (*done)(const struct cl_snapshot *snap))
{
	uint64_t end = cl_clock_ns() + PATIENCE_NS;
	enum cl_wake why;

	for (observe(w); !done(w->snap); observe(w)) {
		if (cl_clock_ns() > end)
			fail_msg("not seen in %llu s",
				 (unsigned long long)(PATIENCE_NS / CL_NS_PER_S));
		assert_int_equal(
			w->host->ops->wait(w->host, cl_clock_ns() + CL_NS_PER_S, -1, &why, &w->err),
			0);
	}
}

static bool is_one_described(const struct cl_snapshot *snap)
{
	return snap->n.guests == 1 && snap->guests[0].described;
}
static bool is_two_described(const struct cl_snapshot *snap)
{
	return snap->n.guests == 2 && snap->guests[0].described && snap->guests[1].described;
}
static bool is_one(const struct cl_snapshot *snap)
{
	return snap->n.guests == 1;
}
static bool is_empty(const struct cl_snapshot *snap)
{
	return snap->n.guests == 0;
}

static void say(void *ctx, const char *level, const char *text)
{
	struct world *w = ctx;
	size_t at = strlen(w->said);

	snprintf(w->said + at, sizeof(w->said) - at, "%s %s\n", level, text);
}

static const char *check(struct world *w)
{
	w->said[0] = '\0';
	w->host->ops->check(w->host, say, w);
	return w->said;
}

static uint32_t count_kind(const struct world *w, enum cl_work_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->snap->n.works; i++)
		n += w->snap->works[i].kind == kind;
	return n;
}

static void expect_uuid(const struct cl_guest *found, const char *text)
{
	char uuid[CL_UUID_TEXT];

	cl_uuid_format(&found->id, uuid);
	assert_string_equal(uuid, text);
}

/* ---- guests ---- */

static void test_described(void **state)
{
	struct world *w = *state;
	pid_t pid = guest(w, QMP_HONEST, UUID_A, "a.qmp");
	const struct cl_guest *found;

	open_host(w);
	observe_until(w, is_one_described);
	found = &w->snap->guests[0];
	expect_uuid(found, UUID_A);
	assert_string_equal(cl_snapshot_str(w->snap, found->name), "vm");
	assert_int_equal(found->process.tid, pid);
	assert_int_equal(found->mem_max_bytes, 100663296);
	assert_true(found->mem_bytes > 0 && found->mem_bytes != CL_UNKNOWN);
	assert_true(found->balloon_bytes == CL_UNKNOWN);
	assert_int_equal(found->vcpu_count, 2);
	assert_int_equal(w->snap->vcpus[0].index, 0);
	assert_int_equal(w->snap->vcpus[1].index, 1);
	assert_true(found->read_ns == w->snap->taken_ns);
	assert_int_equal(found->work_count, 5);
	assert_int_equal(count_kind(w, CL_WORK_MAIN_LOOP), 1);
	assert_int_equal(count_kind(w, CL_WORK_IOTHREAD), 1);
	assert_int_equal(count_kind(w, CL_WORK_WORKER), 1);
	assert_int_equal(count_kind(w, CL_WORK_MIGRATION), 1);
	assert_int_equal(count_kind(w, CL_WORK_HELPER), 1);
	assert_int_equal(w->snap->n.disks, 1);
	assert_int_equal(w->snap->disks[0].rd_bytes, 28672);
	assert_non_null(strstr(check(w), "ok 1 QEMU guests, 1 of them described"));
}

/* Descriptions are not asked for again while they stand, and the same snapshot comes out. */
static void test_again(void **state)
{
	struct world *w = *state;

	guest(w, QMP_HONEST, UUID_A, "a.qmp");
	guest(w, QMP_HONEST, UUID_B, "b.qmp");
	open_host(w);
	observe_until(w, is_two_described);
	for (int i = 0; i < 3; i++) {
		observe(w);
		assert_true(is_two_described(w->snap));
		assert_int_equal(w->snap->n.vcpus, 4);
		assert_int_equal(w->snap->n.works, 10);
	}
	expect_uuid(&w->snap->guests[0], UUID_A);
	expect_uuid(&w->snap->guests[1], UUID_B);
}

static void test_two_sockets(void **state)
{
	struct world *w = *state;

	guest_with(w, QMP_HONEST, UUID_A, "a.qmp", "b.qmp", true);
	open_host(w);
	observe_until(w, is_one_described);
	observe(w);
	assert_int_equal(w->snap->n.guests, 1);
}

/* Two that claim one uuid: the process that started first has it, and it is said. */
static void test_same_uuid(void **state)
{
	struct world *w = *state;
	struct cl_tid a, b;
	int32_t process;
	uint32_t with = 0;

	assert_int_equal(
		cl_thread_identify(guest(w, QMP_HONEST, UUID_A, "b.qmp"), &a, &process, &w->err),
		0);
	assert_int_equal(
		cl_thread_identify(guest(w, QMP_HONEST, UUID_A, "a.qmp"), &b, &process, &w->err),
		0);
	open_host(w);
	observe_until(w, is_two_described);
	for (uint32_t i = 0; i < 2; i++) {
		char uuid[CL_UUID_TEXT];

		cl_uuid_format(&w->snap->guests[i].id, uuid);
		if (strcmp(uuid, UUID_A) == 0) {
			with++;
			if (a.start != b.start)
				assert_int_equal(w->snap->guests[i].process.tid,
						 a.start < b.start ? a.tid : b.tid);
		}
	}
	assert_int_equal(with, 1);
	assert_non_null(strstr(check(w), "claims a uuid that an older guest has"));
}

static void test_no_uuid(void **state)
{
	struct world *w = *state;
	struct cl_uuid first;

	guest(w, QMP_NO_UUID, UUID_A, "a.qmp");
	open_host(w);
	observe_until(w, is_one_described);
	first = w->snap->guests[0].id;
	assert_false(cl_qemu_uuid_is_zero(&first));
	/* Another closer calls it the same. */
	w->host->ops->close(w->host);
	open_host(w);
	observe_until(w, is_one_described);
	assert_memory_equal(&first, &w->snap->guests[0].id, sizeof(first));
	assert_non_null(strstr(check(w), "has no uuid"));
}

/* A monitor that somebody else uses: the guest is there, its threads are known by name. */
static void test_taken(void **state)
{
	struct world *w = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char byte;
	int fd;

	guest(w, QMP_HONEST, UUID_A, "a.qmp");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
		    0); /* not before: the guest would inherit it */
	path_of(w, "a.qmp", address.sun_path, sizeof(address.sun_path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 1); /* it is served: the next one is not */
	open_host(w);
	observe_until(w, is_one);
	assert_false(w->snap->guests[0].described);
	assert_int_equal(w->snap->guests[0].vcpu_count, 2);
	assert_int_equal(count_kind(w, CL_WORK_IOTHREAD), 1);
	assert_true(w->snap->guests[0].read_ns > 0);
	assert_non_null(strstr(check(w), "is taken by another program"));
	/* As soon as it is free, the guest is described. */
	close(fd);
	observe_until(w, is_one_described);
	expect_uuid(&w->snap->guests[0], UUID_A);
}

/* Neither description nor names: any thread may be a vCPU, so that none counts as read and none is
 * acted on. */
static void test_unknown(void **state)
{
	struct world *w = *state;

	guest_with(w, QMP_SILENT, UUID_A, "a.qmp", NULL, false);
	open_host(w);
	observe_until(w, is_one);
	assert_int_equal(w->snap->guests[0].read_ns, 0);
	assert_int_equal(w->snap->n.works, 2);
	for (uint32_t i = 0; i < w->snap->n.works; i++)
		assert_true((w->snap->works[i].read_ns == 0) ==
			    (w->snap->works[i].kind == CL_WORK_HELPER));
	assert_non_null(strstr(check(w), "neither by a monitor nor by names"));
}

/* ---- coming and going ---- */

static void test_comes(void **state)
{
	struct world *w = *state;
	enum cl_wake why;

	open_host(w);
	observe(w);
	assert_int_equal(w->snap->n.guests, 0);
	guest(w, QMP_HONEST, UUID_A, "a.qmp");
	/* The socket's appearance ends the wait, not the timer. */
	assert_int_equal(
		w->host->ops->wait(w->host, cl_clock_ns() + PATIENCE_NS, -1, &why, &w->err), 0);
	assert_int_equal(why, CL_WAKE_EVENT);
	observe_until(w, is_one_described);
}

static void test_goes(void **state)
{
	struct world *w = *state;
	pid_t pid = guest(w, QMP_HONEST, UUID_A, "a.qmp");
	enum cl_wake why;

	open_host(w);
	observe_until(w, is_one_described);
	kill(pid, SIGKILL);
	assert_int_equal(
		w->host->ops->wait(w->host, cl_clock_ns() + PATIENCE_NS, -1, &why, &w->err), 0);
	assert_int_equal(why, CL_WAKE_EVENT);
	observe(w);
	assert_true(is_empty(w->snap));
	/* Its socket is still there, and nobody listens. */
	assert_non_null(strstr(check(w), "nobody listening"));
	/* Another guest takes its place at the same path. */
	guest(w, QMP_HONEST, UUID_B, "a.qmp");
	observe_until(w, is_one_described);
	expect_uuid(&w->snap->guests[0], UUID_B);
}

static void test_waits(void **state)
{
	struct world *w = *state;
	enum cl_wake why;
	int fd[2];

	open_host(w);
	observe(w);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(w->host->ops->wait(w->host, cl_clock_ns() + 1000000, fd[0], &why, &w->err),
			 0);
	assert_int_equal(why, CL_WAKE_TIMER);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(
		w->host->ops->wait(w->host, cl_clock_ns() + PATIENCE_NS, fd[0], &why, &w->err), 0);
	assert_int_equal(why, CL_WAKE_SIGNAL);
	close(fd[0]);
	close(fd[1]);
}

/* ---- acting ---- */

static void test_apply(void **state)
{
	struct world *w = *state;
	struct cl_change change = { .kind = CL_CHANGE_THREAD };
	struct cl_setting before;
	cpu_set_t set;

	guest(w, QMP_HONEST, UUID_A, "a.qmp");
	open_host(w);
	observe_until(w, is_one_described);
	change.thread = w->snap->works[0].thread;
	assert_int_equal(w->host->ops->read(w->host, &change, &before, &w->err), 0);
	assert_true(
		cl_cpuset_equal(&before.cpus, cl_snapshot_set(w->snap, w->snap->works[0].mask)));
	change.from = change.to = before;
	change.from.has_path = change.to.has_path = false;
	cl_cpuset_zero(&change.to.cpus);
	cl_cpuset_add(&change.to.cpus, cl_cpuset_next(&before.cpus, 0));
	assert_int_equal(w->host->ops->apply(w->host, &change, &w->err), 0);
	assert_int_equal(sched_getaffinity(change.thread.tid, sizeof(set), &set), 0);
	assert_int_equal(CPU_COUNT(&set), 1);
	observe(w);
	assert_true(
		cl_cpuset_equal(&change.to.cpus, cl_snapshot_set(w->snap, w->snap->works[0].mask)));
	/* And back, as undo does it. */
	change.to.cpus = before.cpus;
	change.from.cpus = *cl_snapshot_set(w->snap, w->snap->works[0].mask);
	assert_int_equal(w->host->ops->apply(w->host, &change, &w->err), 0);
	assert_int_equal(sched_getaffinity(change.thread.tid, sizeof(set), &set), 0);
	assert_int_equal((uint32_t)CPU_COUNT(&set), cl_cpuset_count(&before.cpus));
}

/* ---- what is given to open() ---- */

static void test_open(void **state)
{
	struct world *w = *state;
	char arg[CL_PATH_MAX + 64];

	path_of(w, "none", arg, sizeof(arg));
	assert_int_equal(cl_host_qemu.open(arg, &w->host, &w->err), -ENOENT);
	assert_non_null(strstr(w->err.text, "give the folder"));
	assert_int_equal(cl_host_qemu.open("/dev/null", &w->host, &w->err), -ENOTSOCK);
	memset(arg, 'a', sizeof(arg) - 1);
	arg[sizeof(arg) - 1] = '\0';
	assert_int_equal(cl_host_qemu.open(arg, &w->host, &w->err), -ENAMETOOLONG);
	assert_null(w->host);
	/* A pattern that matches nothing so far is fine. */
	guest(w, QMP_HONEST, UUID_A, "a.qmp");
	guest(w, QMP_HONEST, UUID_B, "a.console");
	path_of(w, "*.qmp", arg, sizeof(arg));
	assert_int_equal(cl_host_qemu.open(arg, &w->host, &w->err), 0);
	observe_until(w, is_one_described);
	expect_uuid(&w->snap->guests[0], UUID_A);
	/* In a folder, what is not called a monitor is left alone: it may be a console. */
	w->host->ops->close(w->host);
	open_host(w);
	observe_until(w, is_one_described);
	expect_uuid(&w->snap->guests[0], UUID_A);
}

/* ---- pure readers ---- */

#define ARGV(text) (text), sizeof(text)

static void test_args(void **state)
{
	struct cl_qemu_args args;
	uint64_t bdf;

	cl_qemu_args_parse(
		ARGV("qemu\0-name\0guest=a,,b,debug-threads=on\0-uuid\0" UUID_A
		     "\0-S\0-no-user-config\0"
		     "-chardev\0socket,id=m,path=/run/m.sock,server=on,wait=off\0-mon\0chardev=m,mode=control\0"
		     "-chardev\0socket,id=s,path=/run/serial,server=on\0-serial\0chardev:s\0"
		     "-qmp\0unix:/run/q,,1.qmp,server,nowait\0--qmp-pretty\0unix:/run/out.qmp\0"
		     "-device\0vfio-pci,id=x,host=3b:00.1\0-device\0{\"driver\":\"virtio-net\"}"),
		&args);
	assert_string_equal(args.name, "a,b");
	assert_true(args.names_threads && args.has_uuid && !args.is_probe);
	assert_int_equal(args.socket_count, 2);
	assert_string_equal(args.sockets[0], "/run/q,1.qmp");
	assert_string_equal(args.sockets[1], "/run/m.sock");
	assert_int_equal(args.vfio_count, 1);
	assert_true(cl_qemu_irq_bdf("vfio-msix[2](0000:3b:00.1)", &bdf));
	assert_true(bdf == args.vfio[0]);

	cl_qemu_args_parse(ARGV("kvm\0-smbios\0type=1,uuid=" UUID_B
				"\0-name\0web,debug-threads=off\0-M\0none"),
			   &args);
	assert_true(args.has_uuid && args.is_probe && !args.names_threads);
	assert_string_equal(args.name, "web");
	/* A cut word says nothing; an all-zero uuid is none. */
	cl_qemu_args_parse("qemu\0-name\0abc", 13, &args);
	assert_string_equal(args.name, "");
	cl_qemu_args_parse(ARGV("qemu\0-uuid\00000000000-0000-0000-0000-000000000000"), &args);
	assert_false(args.has_uuid);
}

static void test_names(void **state)
{
	static const struct {
		const char *comm;
		int kind;
	} names[] = {
		{ "IO io0", CL_WORK_IOTHREAD },
		{ "IO mon_iothread", CL_WORK_HELPER },
		{ "worker", CL_WORK_WORKER },
		{ "vhost-123", CL_WORK_VHOST },
		{ "live_migration", CL_WORK_MIGRATION },
		{ "mig/src/main", CL_WORK_MIGRATION },
		{ "multifdsend_0", CL_WORK_MIGRATION },
		{ "return path", CL_WORK_MIGRATION },
		{ "bg_snapshot", CL_WORK_MIGRATION },
		{ "call_rcu", -1 },
		{ "workers", -1 },
		{ "CPU", -1 },
		{ "CPU x/KVM", -1 },
		{ "CPU 5000/KVM", -1 },
		{ "CPU 1KVM", -1 },
		{ "", -1 },
	};
	enum cl_work_kind kind;
	uint32_t vcpu = 0;

	for (size_t i = 0; i < CL_COUNT(names); i++) {
		enum cl_qemu_named named = cl_qemu_by_name(names[i].comm, &vcpu, &kind);

		assert_int_equal(named,
				 names[i].kind < 0 ? CL_QEMU_NAMED_NOTHING : CL_QEMU_NAMED_WORK);
		if (names[i].kind >= 0)
			assert_int_equal((int)kind, names[i].kind);
	}
	assert_int_equal(cl_qemu_by_name("CPU 12/TCG", &vcpu, &kind), CL_QEMU_NAMED_VCPU);
	assert_int_equal(vcpu, 12);
	assert_int_equal(cl_qemu_by_name("ALL CPUs/TCG", &vcpu, &kind), CL_QEMU_NAMED_VCPU);
	assert_int_equal(vcpu, 0);
}

static void test_small_readers(void **state)
{
	static const char *const bad[] = { "",        "0:0",      "3b:00",         "3b:00.8",
					   "3b:20.0", "100:00.0", "0000:3b:00.1x", ":3b:00.1",
					   "g:0.0" };
	uint64_t a, b;
	char tap[16];

	assert_true(cl_qemu_bdf("0000:3b:1f.7", 12, &a) && cl_qemu_bdf("3B:1f.7", 7, &b));
	assert_true(a == b && a == 0x3bff);
	for (size_t i = 0; i < CL_COUNT(bad); i++)
		assert_false(cl_qemu_bdf(bad[i], strlen(bad[i]), &a));
	assert_false(cl_qemu_irq_bdf("eth0-rx-0", &a));
	assert_false(cl_qemu_irq_bdf("vfio-intx(", &a));
	assert_true(cl_qemu_tap_parse("pos:\t0\nflags:\t0104002\niff:\ttap7\n", tap));
	assert_string_equal(tap, "tap7");
	assert_false(cl_qemu_tap_parse("pos:\t0\n", tap));
	assert_false(cl_qemu_tap_parse("iff:\t../../etc\n", tap));
	assert_false(cl_qemu_tap_parse("iff:\t0123456789abcdef\n", tap));
}

int main(void)
{
#define HOST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		HOST(test_described),
		HOST(test_again),
		HOST(test_two_sockets),
		HOST(test_same_uuid),
		HOST(test_no_uuid),
		HOST(test_taken),
		HOST(test_unknown),
		HOST(test_comes),
		HOST(test_goes),
		HOST(test_waits),
		HOST(test_apply),
		HOST(test_open),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_small_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
