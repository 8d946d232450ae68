/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steady: ticks over real threads, between two markers that strace shows, with every allocation
 * counted.
 *
 *   steady bpf|schedstat [open|malloc]
 *
 * A tick is what a host and the engine do: topology, threads, interrupts, snapshot, check, decide.
 * "open" and "malloc" put one of them into each tick, to show that the test would find it. Exit
 * code 77: this source is not possible here.
 */
#include "cgroup.h"
#include "lib.h"
#include "linux.h"
#include "threads.h"
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS 50u
#define WARM_UP 300u /* longer than the longest turn in which details are read */
#define TICKS   200u

/*
 * Takes the C library's place for the whole program, its libraries included. __libc_* are what
 * glibc calls its own.
 */
static uint64_t allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_realloc(p, size);
}

struct world {
	struct cl_threads *threads;
	struct cl_topology *topology;
	struct cl_irqs *irqs;
	struct cl_snapshot *snaps[2];
	struct cl_plan *plan;
	struct cl_state *state;
	struct cl_params params;
	uint32_t *scratch;
	int32_t pid;
	const char *spoil;
};

static void *sleeper(void *arg)
{
	for (;;)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	return NULL;
}

static pid_t start_threads(void)
{
	int pair[2];
	char ready;
	pid_t pid;

	if (pipe(pair) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint32_t i = 1; i < THREADS; i++)
			if (pthread_create(&thread, NULL, sleeper, NULL))
				_exit(1);
		if (write(pair[1], "r", 1) == 1)
			sleeper(NULL);
		_exit(1);
	}
	close(pair[1]);
	return read(pair[0], &ready, 1) == 1 ? pid : -1;
}

static void add_works(struct world *world, struct cl_snapshot *snap)
{
	struct cl_guest *guest = cl_snapshot_add_guests(snap);
	struct cl_group *group = cl_snapshot_add_groups(snap);

	guest->id.b[0] = 1;
	guest->process.tid = world->pid;
	guest->read_ns = snap->taken_ns;
	group->path = cl_snapshot_text(snap, "/");
	group->cpus = snap->allowed;
	for (uint32_t i = 0; i < cl_threads_count(world->threads); i++) {
		const struct cl_thread *thread = cl_threads_at(world->threads, i);
		struct cl_work *work = cl_snapshot_add_works(snap);

		work->guest.v = 0;
		work->kind = CL_WORK_THREAD;
		work->thread = thread->id;
		memcpy(work->name, thread->comm, sizeof(work->name));
		work->cpu.v = thread->cpu;
		work->mask = cl_snapshot_mask(snap, &thread->mask);
		work->group.v = 0;
		work->cpu_ns = thread->cpu_ns;
		work->wait_ns = thread->wait_ns;
		work->read_ns = thread->read_ns;
		for (uint32_t j = 0; j < thread->run_count; j++) {
			const struct cl_thread_run *from =
				&cl_threads_runs(world->threads)[thread->run_first + j];
			struct cl_run *run = cl_snapshot_add_runs(snap);

			*run = (struct cl_run){ .work = { i },
						.cpu = { from->cpu },
						.ns = from->ns };
		}
	}
}

/* All interrupts are guest 0's. */
static struct cl_guest_ix own_irq(void *ctx, const char *name)
{
	return (struct cl_guest_ix){ 0 };
}

static bool tick(struct world *world, uint32_t number, struct cl_error *reterr)
{
	struct cl_snapshot *now = world->snaps[number % 2],
			   *prev = number ? world->snaps[(number + 1) % 2] : NULL;
	bool changed;

	cl_snapshot_reset(now);
	now->taken_ns = cl_clock_ns();
	now->can = 1u << CL_CAN_MASK | 1u << CL_CAN_RUNS;
	if (cl_topology_observe(world->topology, now, reterr) < 0 ||
	    cl_threads_refresh(world->threads, &changed, reterr) < 0)
		return false;
	if (cl_threads_count(world->threads) != THREADS)
		return cl_fail(reterr, EIO, "%u threads of %u", cl_threads_count(world->threads),
			       THREADS) == 0;
	now->part_ns[CL_PART_THREADS] = now->part_ns[CL_PART_GUESTS] = now->taken_ns;
	add_works(world, now);
	if (cl_irqs_observe(world->irqs, now, own_irq, NULL, reterr) < 0)
		return false;
	if (now->n.irqs == 0)
		return cl_fail(reterr, EIO, "no interrupt was seen") == 0;
	cl_snapshot_sort(now, world->scratch);
	enum cl_snapshot_fault fault = cl_snapshot_check(prev, now);

	if (fault != CL_SNAPSHOT_NONE)
		return cl_fail(reterr, EIO, "snapshot refused: %s",
			       cl_snapshot_fault_text(fault)) == 0;
	cl_plan_reset(world->plan);
	cl_decide(prev, now, &world->params, world->state, world->plan);
	if (strcmp(world->spoil, "open") == 0) {
		cl_autoclose int fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
		return fd >= 0;
	}
	if (strcmp(world->spoil, "malloc") == 0) {
		void *volatile p = malloc(16);

		free(p);
	}
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return true;
}

static int run(struct world *world)
{
	struct cl_error error = { .text = "the tick failed" };

	for (uint32_t i = 0; i < WARM_UP; i++) {
		if (!tick(world, i, &error)) {
			fprintf(stderr, "steady: %s\n", error.text);
			return 1;
		}
	}
	uint64_t before = allocations;
	bool ok = true;

	faccessat(AT_FDCWD, "/steady/begin", F_OK, 0);
	for (uint32_t i = WARM_UP; i < WARM_UP + TICKS && ok; i++)
		ok = tick(world, i, &error);
	faccessat(AT_FDCWD, "/steady/end", F_OK, 0);
	uint64_t during = allocations - before;

	if (!ok) {
		fprintf(stderr, "steady: %s\n", error.text);
		return 1;
	}
	printf("ticks %u threads %u allocations %llu\n", TICKS, THREADS,
	       (unsigned long long)during);
	return 0;
}

int main(int argc, char **argv)
{
	bool bpf = argc > 1 && strcmp(argv[1], "bpf") == 0;
	struct world world = { .spoil = argc > 2 ? argv[2] : "" };
	struct cl_cgroup cgroup;
	struct cl_error error = { .text = "out of memory" };

	if (argc < 2 || (!bpf && strcmp(argv[1], "schedstat") != 0)) {
		fprintf(stderr, "usage: steady bpf|schedstat [open|malloc]\n");
		return 2;
	}
	cl_cgroup_find(&cgroup);
	if (cl_threads_new(1024, bpf ? CL_THREADS_BPF : CL_THREADS_SCHEDSTAT, &cgroup,
			   &world.threads, &error) < 0) {
		fprintf(stderr, "steady: %s\n", error.text);
		return 77;
	}
	cl_params_default(&world.params);
	world.snaps[0] = cl_snapshot_new(&cl_limits_small);
	world.snaps[1] = cl_snapshot_new(&cl_limits_small);
	world.plan = cl_plan_new(&cl_limits_small);
	world.state = cl_state_new(&cl_limits_small);
	world.scratch =
		calloc(cl_limits_small.guests + cl_limits_small.works + cl_limits_small.groups,
		       sizeof(uint32_t));
	world.pid = start_threads();
	int code = 1;

	if (world.snaps[0] && world.snaps[1] && world.plan && world.state && world.scratch &&
	    world.pid > 0 && cl_topology_new(&world.topology, &error) == 0 &&
	    cl_irqs_new(&world.irqs, &error) == 0 &&
	    cl_threads_follow(world.threads, world.pid, 0, &error) == 0)
		code = run(&world);
	else
		fprintf(stderr, "steady: %s\n", error.text);
	if (world.pid > 0) {
		kill(world.pid, SIGKILL);
		waitpid(world.pid, NULL, 0);
	}
	cl_threads_free(world.threads);
	cl_topology_free(world.topology);
	cl_irqs_free(world.irqs);
	cl_snapshot_free(world.snaps[0]);
	cl_snapshot_free(world.snaps[1]);
	cl_plan_free(world.plan);
	cl_state_free(world.state);
	free(world.scratch);
	return code;
}
