/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_observe: what a steady-state look at N real threads costs, per thread, by CPU time.
 *
 *   bench_observe [--rounds N] [--json FILE]
 *
 * Each way of looking is a process of its own, so that each has its own descriptors; they take
 * turns, round by round, over the same threads. The floor is one pread of schedstat per thread from
 * a kept descriptor.
 */
#include "bench.h"
#include "cgroup.h"
#include "lib.h"
#include "threads.h"
#include "threads_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define WARM_UP    20
#define WAKE_EVERY 10u /* one thread in so many wakes ten times a second; the others sleep */

struct way {
	const char *name;
	const char *what;
	/* Once; false with a text if it is not possible here. */
	bool (*begin)(int32_t pid, uint32_t threads, char *ret_why, size_t size);
	bool (*round)(void);
};

/* ---- the threads that are looked at ---- */

static void *sleeper(void *arg)
{
	bool wakes = arg != NULL;

	for (;;)
		nanosleep(&(struct timespec){ .tv_sec = wakes ? 0 : 1000,
					      .tv_nsec = wakes ? 100000000 : 0 },
			  NULL);
	return NULL;
}

static pid_t start_threads(uint32_t n)
{
	int pair[2];
	char ready;
	pid_t pid;

	if (pipe(pair) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		pthread_attr_t attr;
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 64 * 1024);
		for (uint32_t i = 1; i < n; i++)
			if (pthread_create(&thread, &attr, sleeper, i % WAKE_EVERY ? NULL : &attr))
				_exit(1);
		if (write(pair[1], "r", 1) == 1)
			sleeper(NULL);
		_exit(1);
	}
	close(pair[1]);
	bool ok = read(pair[0], &ready, 1) == 1;

	close(pair[0]);
	if (ok)
		return pid;
	waitpid(pid, NULL, 0);
	return -1;
}

/* ---- the ways; each process has one of them, in these variables ---- */

static struct cl_threads *table;
static int *kept;
static int32_t *tids;
static uint32_t count;
static int task_dir = -1;

static bool begin_table(enum cl_threads_source source, int32_t pid, uint32_t threads, char *ret_why,
			size_t size)
{
	struct cl_cgroup cgroup;
	struct cl_error error;

	cl_cgroup_find(&cgroup);
	if (cl_threads_new(threads + 64, source, &cgroup, &table, &error) == 0 &&
	    cl_threads_follow(table, pid, 0, &error) == 0)
		return true;
	snprintf(ret_why, size, "%.200s", error.text);
	return false;
}

static bool begin_bpf(int32_t pid, uint32_t threads, char *ret_why, size_t size)
{
	return begin_table(CL_THREADS_BPF, pid, threads, ret_why, size);
}

static bool begin_schedstat(int32_t pid, uint32_t threads, char *ret_why, size_t size)
{
	return begin_table(CL_THREADS_SCHEDSTAT, pid, threads, ret_why, size);
}

static bool round_table(void)
{
	bool changed;

	return cl_threads_refresh(table, &changed, NULL) == 0 && cl_threads_count(table) > 0;
}

static int add_tid(void *ctx, int32_t tid)
{
	uint32_t most = *(uint32_t *)ctx;

	if (count < most)
		tids[count++] = tid;
	return 0;
}

static bool begin_list(int32_t pid, uint32_t threads, char *ret_why, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	task_dir = open(path, O_RDONLY | O_DIRECTORY);
	tids = calloc(threads, sizeof(*tids));
	kept = calloc(threads, sizeof(*kept));
	if (task_dir >= 0 && tids && kept && cl_proc_each(task_dir, add_tid, &threads) == 0 &&
	    count == threads)
		return true;
	snprintf(ret_why, size, "%s: %u of %u threads", path, count, threads);
	return false;
}

static bool begin_kept(int32_t pid, uint32_t threads, char *ret_why, size_t size)
{
	if (!begin_list(pid, threads, ret_why, size))
		return false;
	cl_proc_descriptors(threads);
	for (uint32_t i = 0; i < count; i++) {
		kept[i] = cl_proc_open(task_dir, tids[i], "schedstat");
		if (kept[i] < 0) {
			snprintf(ret_why, size, "descriptor %u of %u: %s", i, count,
				 strerror(-kept[i]));
			return false;
		}
	}
	return true;
}

static volatile uint64_t sum; /* so that what is read is used */

static bool take(const char *text)
{
	uint64_t run_ns, wait_ns;

	if (!cl_schedstat_parse(text, &run_ns, &wait_ns))
		return false;
	sum += run_ns;
	return true;
}

static bool round_kept(void)
{
	char text[CL_PROC_TEXT];

	for (uint32_t i = 0; i < count; i++)
		if (cl_proc_pread(kept[i], text) < 0 || !take(text))
			return false;
	return true;
}

static bool round_open(void)
{
	char text[CL_PROC_TEXT];

	for (uint32_t i = 0; i < count; i++) {
		cl_autoclose int fd = cl_proc_open(task_dir, tids[i], "schedstat");

		if (fd < 0 || cl_proc_pread(fd, text) < 0 || !take(text))
			return false;
	}
	return true;
}

/* As top does it: list the threads, read and parse the stat of each. */
static bool round_walk(void)
{
	char path[300], text[CL_PROC_TEXT];
	struct cl_stat stat;
	struct dirent *entry;
	uint32_t found = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/.", task_dir);
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/stat", entry->d_name);
		if (cl_read_file(dirfd(dir), path, text, sizeof(text)) > 0 &&
		    cl_stat_parse(text, &stat)) {
			sum += stat.cpu;
			found++;
		}
	}
	if (dir)
		closedir(dir);
	return found == count;
}

static const struct way ways[] = {
	{ "kept", "pread of schedstat, kept descriptors (the floor)", begin_kept, round_kept },
	{ "bpf", "cl_threads_refresh, BPF", begin_bpf, round_table },
	{ "schedstat", "cl_threads_refresh, schedstat", begin_schedstat, round_table },
	{ "open", "open, read, close of schedstat", begin_list, round_open },
	{ "walk", "walk of /proc, stat of each", begin_list, round_walk },
};
#define WAYS CL_COUNT(ways)

/* ---- rounds, in turns ---- */

struct runner {
	pid_t pid;
	int fd;
	char why[256];
};

static void runner_main(const struct way *way, int fd, int32_t pid, uint32_t threads)
{
	char why[256] = "", go;
	bool ok = way->begin(pid, threads, why, sizeof(why));

	if (write(fd, why, sizeof(why)) != sizeof(why) || !ok)
		_exit(1);
	while (read(fd, &go, 1) == 1) {
		uint64_t begin_ns = bench_cpu_ns();
		uint64_t ns = way->round() ? bench_cpu_ns() - begin_ns : 0;

		if (write(fd, &ns, sizeof(ns)) != sizeof(ns))
			break;
	}
	_exit(0);
}

static bool runner_start(struct runner *runner, const struct way *way, int32_t pid,
			 uint32_t threads)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    (runner->pid = fork()) < 0)
		return false;
	if (runner->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		runner_main(way, pair[1], pid, threads);
	}
	close(pair[1]);
	runner->fd = pair[0];
	return recv(runner->fd, runner->why, sizeof(runner->why), MSG_WAITALL) ==
		       sizeof(runner->why) &&
	       !runner->why[0];
}

static void runner_end(struct runner *runner)
{
	close(runner->fd);
	kill(runner->pid, SIGKILL);
	waitpid(runner->pid, NULL, 0);
}

/* ns of one round; 0: it failed. */
static uint64_t runner_round(struct runner *runner)
{
	uint64_t ns;

	if (write(runner->fd, "g", 1) != 1 ||
	    recv(runner->fd, &ns, sizeof(ns), MSG_WAITALL) != sizeof(ns))
		return 0;
	return ns;
}

static bool measure(struct runner runners[], const bool usable[], uint32_t threads, uint32_t rounds,
		    struct bench_figure ret_figures[])
{
	double *values = calloc(WAYS * rounds, sizeof(*values));

	if (!values)
		return false;
	for (uint32_t round = 0; round < rounds + WARM_UP; round++) {
		for (size_t i = 0; i < WAYS; i++) {
			uint64_t ns = usable[i] ? runner_round(&runners[i]) : 1;

			if (!ns) {
				fprintf(stderr, "%s: a round failed\n", ways[i].name);
				free(values);
				return false;
			}
			if (round >= WARM_UP)
				values[i * rounds + round - WARM_UP] = (double)ns / threads;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	for (size_t i = 0; i < WAYS; i++)
		ret_figures[i] = bench_figure(&values[i * rounds], rounds);
	free(values);
	return true;
}

static void print(FILE *json, bool *first, uint32_t threads, const struct runner runners[],
		  const bool usable[], const struct bench_figure figures[])
{
	for (size_t i = 0; i < WAYS; i++) {
		if (!usable[i]) {
			printf("%7u  %-50s  not possible: %s\n", threads, ways[i].what,
			       runners[i].why);
			continue;
		}
		const struct bench_figure *f = &figures[i];
		double ratio = f->median / figures[0].median;

		printf("%7u  %-50s  %8.3f  %8.3f - %-8.3f  %7.3f\n", threads, ways[i].what,
		       f->median / 1e3, f->low / 1e3, f->high / 1e3, ratio);
		if (json)
			fprintf(json,
				"%s\n    {\"threads\": %u, \"way\": \"%s\", \"ns_per_thread\": %.2f, "
				"\"low\": %.2f, \"high\": %.2f, \"ratio\": %.4f}",
				*first ? "" : ",", threads, ways[i].name, f->median, f->low,
				f->high, ratio);
		*first = false;
	}
}

static bool bench(uint32_t threads, uint32_t rounds, FILE *json, bool *first)
{
	pid_t pid = start_threads(threads);
	struct runner runners[WAYS];
	struct bench_figure figures[WAYS];
	bool usable[WAYS], ok = false;

	if (pid < 0) {
		fprintf(stderr, "cannot make %u threads: %s\n", threads, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < WAYS; i++)
		usable[i] = runner_start(&runners[i], &ways[i], pid, threads);
	if (!usable[0])
		fprintf(stderr, "no floor to measure against: %s\n", runners[0].why);
	else
		ok = measure(runners, usable, threads, rounds, figures);
	if (ok)
		print(json, first, threads, runners, usable, figures);
	for (size_t i = 0; i < WAYS; i++)
		runner_end(&runners[i]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ok;
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 100, 1000, 5000 };
	const char *file = NULL;
	uint64_t rounds = 101;
	bool first = true, ok = true;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
			file = argv[i + 1];
		} else if (i + 1 >= argc || strcmp(argv[i], "--rounds") != 0 ||
			   !cl_parse_u64(argv[i + 1], &rounds, NULL) || rounds < 5 ||
			   rounds > 100000) {
			fprintf(stderr,
				"usage: bench_observe [--rounds 5..100000] [--json FILE]\n");
			return 2;
		}
	}
	cl_autofclose FILE *json = file ? fopen(file, "w") : NULL;

	if (file && !json) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	printf("one look at N threads, %u rounds in turns: CPU time per thread in us, median and quartiles\n\n",
	       (unsigned)rounds);
	printf("threads  %-50s  %8s  %-19s  %7s\n", "way", "us", "quartiles", "ratio");
	if (json)
		fprintf(json, "{\"observe\": [");
	for (size_t i = 0; i < CL_COUNT(sizes) && ok; i++)
		ok = bench(sizes[i], (uint32_t)rounds, json, &first);
	if (json)
		fprintf(json, "\n]}\n");
	return ok ? 0 : 1;
}
