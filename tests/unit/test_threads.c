/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads: real processes of this test's own are followed by each source that this machine allows.
 */
#include "bpf/clock.h"
#include "lib.h"
#include "threads.h"
#include "threads_proc.h"
#include "unit.h"

#include "blind.h"
#include "sleepers.h"

#include <errno.h>
#include <sys/resource.h>

/* ---- each test for each source ---- */

static struct cl_threads *threads_of(void **state, uint32_t capacity)
{
	enum cl_threads_source source = *(enum cl_threads_source *)*state;
	struct cl_threads *threads;
	struct cl_error error;

	if (cl_threads_new(capacity, source, NULL, &threads, &error) < 0) {
		/* Only privilege and the kernel may stand in the way of BPF, and it must say so. */
		assert_int_not_equal(source, CL_THREADS_SCHEDSTAT);
		assert_true(error.code == EPERM || error.code == ENOSYS || error.code == ENOENT ||
			    error.code == EXDEV);
		print_message("no BPF here: %s\n", error.text);
		skip();
	}
	assert_int_equal(cl_threads_source(threads),
			 source == CL_THREADS_HONEST ? CL_THREADS_BPF : source);
	if (source == CL_THREADS_HONEST || source == CL_THREADS_SCHEDSTAT)
		assert_int_equal(cl_threads_honest(threads), source == CL_THREADS_HONEST);
	return threads;
}

static bool refresh(struct cl_threads *threads)
{
	struct cl_error error = { 0 };
	bool changed = false;

	if (cl_threads_refresh(threads, &changed, &error) < 0)
		fail_msg("%s", error.text);
	for (uint32_t i = 1; i < cl_threads_count(threads); i++) {
		const struct cl_thread *a = cl_threads_at(threads, i - 1),
				       *b = cl_threads_at(threads, i);

		assert_true(a->process < b->process ||
			    (a->process == b->process && a->id.tid < b->id.tid));
	}
	return changed;
}

static const struct cl_thread *find(const struct cl_threads *threads, int32_t tid)
{
	for (uint32_t i = 0; i < cl_threads_count(threads); i++)
		if (cl_threads_at(threads, i)->id.tid == tid)
			return cl_threads_at(threads, i);
	return NULL;
}

static void test_births_and_deaths(void **state)
{
	struct cl_threads *threads = threads_of(state, 256);
	struct child a = child_start(), b = child_start();

	assert_int_equal(cl_threads_follow(threads, b.pid, 2, NULL), 0);
	assert_int_equal(cl_threads_follow(threads, a.pid, 1, NULL), 0);
	assert_true(refresh(threads));
	assert_int_equal(cl_threads_count(threads), 2);
	assert_false(refresh(threads));

	int32_t first = child_do(&a, '+'), second = child_do(&b, '+');

	assert_true(refresh(threads));
	assert_int_equal(cl_threads_count(threads), 4);
	assert_int_equal(find(threads, first)->tag, 1);
	assert_int_equal(find(threads, second)->tag, 2);
	assert_int_equal(find(threads, second)->process, b.pid);
	assert_false(refresh(threads));

	/* One goes and one comes between two looks: their number is the same. */
	assert_int_equal(child_do(&a, '-'), first);
	int32_t third = child_do(&a, '+');

	assert_true(refresh(threads));
	if (third != first)
		assert_null(find(threads, first));
	assert_non_null(find(threads, third));
	assert_int_equal(cl_threads_count(threads), 4);

	cl_threads_unfollow(threads, b.pid);
	assert_true(refresh(threads));
	assert_int_equal(cl_threads_count(threads), 2);
	cl_threads_free(threads);
	child_end(&a);
	child_end(&b);
}

static void test_process_ends(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	struct child child = child_start();
	struct cl_error error = { 0 };

	child_do(&child, '+');
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	refresh(threads);
	assert_int_equal(cl_threads_count(threads), 2);
	assert_true(cl_threads_alive(threads, child.pid));
	kill(child.pid, SIGKILL);

	siginfo_t info;

	/* Dead, but not reaped: its number and its /proc are still there. */
	assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(cl_threads_alive(threads, child.pid));
	assert_true(refresh(threads));
	assert_int_equal(cl_threads_count(threads), 0);
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, &error), -ESRCH);
	child_end(&child);
	assert_false(refresh(threads));
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, &error), -ESRCH);
	assert_int_equal(error.code, ESRCH);
	cl_threads_free(threads);
}

static void test_follow_wrong(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	struct child child = child_start();
	int32_t tid = child_do(&child, '+');

	assert_int_equal(cl_threads_follow(threads, tid, 1, NULL),
			 -ESRCH); /* a thread, no process */
	assert_int_equal(cl_threads_follow(threads, INT32_MAX, 1, NULL), -ESRCH);
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	refresh(threads);
	assert_int_equal(cl_threads_follow(threads, child.pid, 9, NULL), 0);
	assert_int_equal(find(threads, tid)->tag, 9);
	assert_false(refresh(threads));
	cl_threads_unfollow(threads, child.pid + 1);
	assert_int_equal(cl_threads_count(threads), 2);
	cl_threads_free(threads);
	child_end(&child);
}

static void test_over_capacity(void **state)
{
	struct cl_threads *threads = threads_of(state, 4);
	struct child child = child_start();

	for (int i = 0; i < 7; i++)
		child_do(&child, '+');
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	refresh(threads);
	assert_int_equal(cl_threads_count(threads), 4);
	assert_int_equal(cl_threads_dropped(threads), 4);
	assert_true(cl_threads_alive(threads, child.pid));
	for (int i = 0; i < 5; i++)
		child_do(&child, '-');
	refresh(threads);
	refresh(threads);
	assert_int_equal(cl_threads_count(threads), 3);
	assert_int_equal(cl_threads_dropped(threads), 0);
	cl_threads_free(threads);
	child_end(&child);
}

static void test_facts(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	struct child child = child_start();
	int32_t tid = child_do(&child, '+'), process;
	char path[64], text[CL_PROC_TEXT];
	uint64_t run_ns, wait_ns;
	struct cl_cpuset mask;
	struct cl_tid id;

	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	for (int i = 0; i < 4; i++)
		refresh(threads);
	const struct cl_thread *thread = find(threads, tid);

	assert_string_not_equal(thread->comm, "a) b (\nc");
	child_do(&child, 'b');
	child_do(&child, 'n');
	until_asleep(&child, tid);
	for (int i = 0; i < 129; i++) /* names are read in turn */
		refresh(threads);

	assert_string_equal(thread->comm, "a) b (\nc");
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", child.pid, tid);
	assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_true(cl_schedstat_parse(text, &run_ns, &wait_ns));
	assert_true(run_ns >= BURN_NS);
	/* The honest one: less the interrupts, and from when the thread was first seen. */
	if (cl_threads_honest(threads))
		assert_true(thread->cpu_ns >= BURN_NS / 2);
	else
		assert_int_equal(thread->cpu_ns, run_ns);
	assert_int_equal(thread->wait_ns, wait_ns);
	assert_int_equal(cl_thread_identify(tid, &id, &process, NULL), 0);
	assert_int_equal(thread->id.start, id.start);
	assert_int_equal(process, child.pid);
	assert_false(thread->bound);

	assert_int_equal(cl_proc_mask(tid, &mask), 0);
	assert_true(cl_cpuset_equal(&thread->mask, &mask));
	uint32_t last = CL_NONE;

	for (uint32_t cpu = 0; (cpu = cl_cpuset_next(&mask, cpu)) != CL_NONE; cpu++)
		last = cpu;
	cl_cpuset_zero(&mask);
	cl_cpuset_add(&mask, last);
	assert_int_equal(sched_setaffinity(tid, sizeof(mask), (cpu_set_t *)(void *)&mask), 0);
	cl_threads_recheck(threads);
	refresh(threads);
	assert_true(cl_cpuset_equal(&find(threads, tid)->mask, &mask));
	child_do(&child, 'b');
	until_asleep(&child, tid);
	refresh(threads);
	assert_int_equal(find(threads, tid)->cpu, last);
	cl_threads_free(threads);
	child_end(&child);
}

/* With fewer descriptors than files: slower, but nothing is lost. In a process of its own, for
 * limits only fall. */
static void test_few_descriptors(void **state)
{
	struct child child = child_start();
	pid_t pid;
	int status;

	for (int i = 0; i < 40; i++)
		child_do(&child, '+');
	pid = fork();
	if (pid == 0) {
		struct rlimit limit = { 60, 60 };
		struct cl_threads *threads;
		struct cl_error error;
		bool changed;
		int r = cl_threads_new(64, *(enum cl_threads_source *)*state, NULL, &threads,
				       &error);

		if (r < 0)
			_exit(77);
		cl_threads_free(threads);
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			_exit(2);
		r = cl_threads_new(64, *(enum cl_threads_source *)*state, NULL, &threads, &error);
		if (r == 0)
			r = cl_threads_follow(threads, child.pid, 1, &error);
		for (int i = 0; i < 3 && r == 0; i++)
			r = cl_threads_refresh(threads, &changed, &error);
		if (r < 0)
			fprintf(stderr, "%s\n", error.text);
		_exit(r < 0 ? 1 : cl_threads_count(threads) == 41 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	child_end(&child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- what only BPF knows ---- */

static uint64_t rest_of(const struct cl_threads *threads, int32_t pid)
{
	uint64_t sum = 0, ns;

	for (uint32_t cpu = 0; cl_threads_rest(threads, pid, cpu, &ns); cpu++)
		sum += ns;
	return sum;
}

static void test_runs(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	struct child child = child_start();
	int32_t tid = child_do(&child, '+');
	struct cl_cpuset one = { 0 }, mask;

	assert_int_equal(cl_proc_mask(tid, &mask), 0);
	uint32_t cpu = cl_cpuset_next(&mask, 0);

	cl_cpuset_add(&one, cpu);
	assert_int_equal(sched_setaffinity(tid, sizeof(one), (cpu_set_t *)(void *)&one), 0);
	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	refresh(threads);
	for (int round = 0; round < 5; round++) {
		uint64_t before = find(threads, tid)->cpu_ns, sum = 0;

		/* In odd rounds it is read while it runs. */
		child_do(&child, 'b');
		if (round % 2 == 0)
			until_asleep(&child, tid);
		refresh(threads);
		const struct cl_thread *thread = find(threads, tid);

		for (uint32_t i = 0; i < thread->run_count; i++) {
			const struct cl_thread_run *run =
				&cl_threads_runs(threads)[thread->run_first + i];

			assert_int_equal(run->cpu, cpu);
			assert_true(run->ns > 0);
			sum += run->ns;
		}
		assert_int_equal(sum, thread->cpu_ns - before);
		/* It may have been seen asleep just before it was switched out: up to a tick is not
		 * booked yet. */
		if (round % 2 == 0)
			assert_true(sum >= BURN_NS / 4);
	}
	cl_threads_free(threads);
	child_end(&child);
}

/* What a burn is booked as, at least: the honest clock takes off the interrupts on top of it. */
static uint64_t least_of(const struct cl_threads *threads)
{
	return cl_threads_honest(threads) ? BURN_NS / 2 : BURN_NS;
}

/* A thread that is gone may still be in its last slice: what it ran there is counted when that
 * ends. */
static void expect_rest(struct cl_threads *threads, int32_t pid, uint64_t least_ns)
{
	for (int i = 0; i < 1000 && rest_of(threads, pid) < least_ns; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		refresh(threads);
	}
	assert_true(rest_of(threads, pid) >= least_ns);
}

/* Born and gone between two looks: nobody's entry, but not lost. */
static void test_rest(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	struct child child = child_start();

	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	refresh(threads);
	uint64_t before = rest_of(threads, child.pid);
	int32_t tid = child_do(&child, '+');

	child_do(&child, 'b');
	until_asleep(&child, tid);
	assert_int_equal(child_do(&child, '-'), tid);
	assert_false(refresh(threads));
	expect_rest(threads, child.pid, before + least_of(threads));

	/* What a thread ran after it was last seen. */
	tid = child_do(&child, '+');
	until_asleep(&child, tid);
	refresh(threads);
	before = rest_of(threads, child.pid);
	child_do(&child, 'b');
	until_asleep(&child, tid);
	assert_int_equal(child_do(&child, '-'), tid);
	assert_true(refresh(threads));
	expect_rest(threads, child.pid, before + least_of(threads));
	cl_threads_free(threads);
	child_end(&child);
}

/* What a thread ran while no switch was traced is told once. On one CPU: when this process runs, it
 * does not. */
static void test_unseen(void **state)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	struct child child = child_start(); /* first: it must not inherit what is to be closed */
	struct cl_threads *threads = threads_of(state, 64);

	assert_int_equal(cl_threads_follow(threads, child.pid, 1, NULL), 0);
	for (int told = 0; told < 2; told++) {
		int32_t tid = child_do(&child, '+');

		until_asleep(&child, tid);
		refresh(threads);
		uint64_t before = rest_of(threads, child.pid);
		struct blind blind = blind_clock();

		child_do(&child, 'b');
		until_asleep(&child, tid);
		sight_clock(&blind);
		if (told) { /* as the thread's: its end must not tell it again */
			refresh(threads);
			assert_true(find(threads, tid)->cpu_ns >= BURN_NS);
		}
		assert_int_equal(child_do(&child, '-'), tid);
		refresh(threads);
		uint64_t rest = rest_of(threads, child.pid) - before;

		assert_true(told ? rest < BURN_NS / 2 : rest >= BURN_NS);
	}
	cl_threads_free(threads);
	child_end(&child);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void test_classes(void **state)
{
	struct cl_threads *threads = threads_of(state, 64);
	uint64_t user = 0, kernel, before = 0, after = 0, until_ns;
	uint32_t cpus = 0;

	/* A CPU is counted from its first switch on: make one. */
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	refresh(threads);
	for (; cl_threads_classes(threads, cpus, &user, &kernel); cpus++)
		before += user;
	assert_true(cpus > 0);
	/* This process is not followed: its time is the users', also while it is still on its CPU.
	 */
	until_ns = own_cpu_ns() + 4 * BURN_NS;
	while (own_cpu_ns() < until_ns)
		;
	refresh(threads);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		assert_true(cl_threads_classes(threads, cpu, &user, &kernel));
		after += user;
	}
	/* The slice that was open at the first look was told by the wall: it may have been told too
	 * long. */
	assert_true(after - before >= 2 * BURN_NS);
	cl_threads_free(threads);
}

static uint64_t parts_sum(const struct cl_threads *threads, uint64_t *ret_thread_ns)
{
	struct cl_threads_parts parts;
	uint64_t sum = 0, overhead_ns, nobody_ns;

	*ret_thread_ns = 0;
	for (uint32_t cpu = 0; cl_threads_parts(threads, cpu, &parts); cpu++) {
		assert_int_equal(parts.total_ns, parts.thread_ns + parts.irq_ns + parts.napi_ns +
							 parts.softirq_ns + parts.tick_ns +
							 parts.idle_ns);
		assert_true(cl_threads_rests(threads, cpu, &nobody_ns, &overhead_ns));
		assert_true(overhead_ns >= parts.tick_ns + parts.idle_ns); /* no guest has any */
		sum += parts.total_ns;
		*ret_thread_ns += parts.thread_ns;
	}
	return sum;
}

/* Every moment of a CPU is in one part: together they can be no more than the time that passed, and
 * all that threads were given is in them. */
static void test_parts(void **state)
{
	uint64_t opened_ns = cl_clock_ns(), until_ns, thread_ns, before_ns, user, kernel;
	struct cl_threads *threads = threads_of(state, 64);
	uint64_t told = 0, ns, tied;
	uint32_t cpus = 0, cpu, domid;

	refresh(threads);
	assert_true(parts_sum(threads, &before_ns) > 0);
	until_ns = own_cpu_ns() + 4 * BURN_NS;
	while (own_cpu_ns() < until_ns)
		;
	refresh(threads);
	for (; cl_threads_classes(threads, cpus, &user, &kernel); cpus++)
		told += user + kernel;
	uint64_t sum = parts_sum(threads, &thread_ns);

	assert_true(told > 2 * BURN_NS && told <= thread_ns);
	assert_true(thread_ns - before_ns >= 2 * BURN_NS);
	assert_true(sum <= (cl_clock_ns() - opened_ns) * cpus);
	assert_false(cl_threads_irq(threads, UINT32_MAX, &ns, &cpu, &domid));
	assert_false(cl_threads_vif(threads, "no such vif", &ns, &tied));
	assert_false(cl_threads_vif(threads, "a name that is too long", &ns, &tied));
	cl_threads_free(threads);
}

static void tids_by(enum cl_clock_walk walk, const struct child *child,
		    uint32_t ret_tids[THREADS_MOST], uint32_t *ret_n)
{
	const struct cl_clock_task *tasks;
	struct cl_clock *clock;
	uint32_t lost;

	assert_int_equal(cl_clock_open(THREADS_MOST, walk, CL_CLOCK_TIME_AUTO, &clock, NULL), 0);
	assert_int_equal(cl_clock_follow(clock, (uint32_t)child->pid, NULL), 0);
	assert_int_equal(cl_clock_read(clock, &tasks, ret_n, &lost, NULL), 0);
	assert_int_equal(lost, 0);
	for (uint32_t i = 0; i < *ret_n; i++) {
		assert_int_equal(tasks[i].tgid, child->pid);
		ret_tids[i] = tasks[i].tid;
	}
	cl_clock_close(clock);
}

/* The walk for older kernels finds the same threads. */
static void test_walks(void **state)
{
	struct cl_threads *threads = threads_of(state, 8); /* skips where BPF is not possible */
	uint32_t a[THREADS_MOST], b[THREADS_MOST], n, m;
	struct child child = child_start();
	struct cl_clock *clock;
	enum cl_clock_walk best;

	cl_threads_free(threads);
	for (int i = 0; i < 10; i++)
		child_do(&child, '+');
	tids_by(CL_CLOCK_WALK_ALL, &child, a, &n);
	assert_int_equal(n, 11);
	assert_int_equal(cl_clock_open(8, CL_CLOCK_WALK_AUTO, CL_CLOCK_TIME_AUTO, &clock, NULL), 0);
	best = cl_clock_walk(clock);
	cl_clock_close(clock);
	tids_by(best, &child, b, &m);
	assert_int_equal(n, m);
	assert_memory_equal(a, b, n * sizeof(a[0]));
	child_end(&child);
}

/* ---- parsers ---- */

static void test_parse(void **state)
{
	static const char line[] =
		"7 (%s) S 1 2 3 4 -1 67108928 6 7 8 9 10 11 12 13 20 0 1 0 4242 15 16 17 18 19 20 21 22 23 "
		"24 25 26 27 28 29 17 3 0 0 0\n";
	char text[CL_PROC_TEXT];
	struct cl_stat stat;
	uint64_t run, wait;

	snprintf(text, sizeof(text), line, ") R 9 9 9 9 (x\n) Z");
	assert_true(cl_stat_parse(text, &stat));
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.start, 4242);
	assert_int_equal(stat.cpu, 3);
	assert_true(stat.flags & CL_PF_NO_SETAFFINITY);
	assert_string_equal(stat.comm, ") R 9 9 9 9 (x\n");
	for (size_t len = 0; len < strlen(text) - 8; len++) {
		char cut[CL_PROC_TEXT] = { 0 };

		memcpy(cut, text, len);
		assert_false(cl_stat_parse(cut, &stat));
	}
	assert_false(cl_stat_parse(") S (", &stat));
	assert_true(cl_schedstat_parse("18446744073709551615 0 3\n", &run, &wait));
	assert_true(run == UINT64_MAX);
	assert_false(cl_schedstat_parse("18446744073709551616 0 3\n", &run, &wait));
	assert_false(cl_schedstat_parse("1 2\n", &run, &wait));
	assert_false(cl_schedstat_parse("", &run, &wait));
}

static void test_identify(void **state)
{
	struct cl_error error;
	struct cl_tid id;
	int32_t process;

	assert_int_equal(cl_thread_identify(gettid(), &id, &process, &error), 0);
	assert_int_equal(id.tid, gettid());
	assert_int_equal(process, getpid());
	assert_int_equal(cl_thread_identify(INT32_MAX, &id, &process, &error), -ESRCH);
}

int main(void)
{
	static enum cl_threads_source schedstat = CL_THREADS_SCHEDSTAT, bpf = CL_THREADS_BPF,
				      honest = CL_THREADS_HONEST;
#define BY_BPF(test)                                                                               \
	{ #test " bpf", test, NULL, NULL, &bpf },                                                  \
	{                                                                                          \
#test " honest", test, NULL, NULL, &honest                                         \
	}
#define ALL(test) { #test " schedstat", test, NULL, NULL, &schedstat }, BY_BPF(test)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_identify),
		ALL(test_births_and_deaths),
		ALL(test_process_ends),
		ALL(test_follow_wrong),
		ALL(test_over_capacity),
		ALL(test_facts),
		ALL(test_few_descriptors),
		BY_BPF(test_runs),
		BY_BPF(test_rest),
		{ "test_unseen", test_unseen, NULL, NULL, &bpf },
		BY_BPF(test_classes),
		{ "test_parts", test_parts, NULL, NULL, &honest },
		{ "test_walks", test_walks, NULL, NULL, &bpf },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
