// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * load: loads that run side by side: their threads, their pace, and the report. The loads that need
 * no network are here; net.c has the others.
 */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

struct lg_job {
	struct lg_run runs[LG_LOADS_MAX];
	uint32_t n;
	_Atomic bool stop;
	_Atomic uint32_t alive; /* threads that have not ended */
	bool joined;
};

bool lg_job_stopping(const struct lg_job *job)
{
	return atomic_load_explicit(&job->stop, memory_order_relaxed);
}

bool lg_over(struct lg_run *run)
{
	return lg_job_stopping(run->job) || lg_now() >= run->end_ns;
}

bool lg_next(struct lg_run *run, uint64_t *ret_due)
{
	uint64_t due, now = lg_now();

	if (run->load.rate == 0) {
		*ret_due = now;
		return now < run->end_ns && !lg_job_stopping(run->job);
	}
	due = run->start_ns + lg_due(run->load.rate, atomic_fetch_add(&run->ticket, 1));
	if (due >= run->end_ns)
		return false;
	while (now < due) {
		if (lg_job_stopping(run->job))
			return false;
		/* In slices, so that a stop is seen at low rates too. */
		lg_sleep_until(due - now > LG_POLL_NS ? now + LG_POLL_NS : due);
		now = lg_now();
	}
	*ret_due = due;
	return now < run->end_ns && !lg_job_stopping(run->job);
}

void lg_done(struct lg_run *run, uint64_t due_ns, uint64_t bytes)
{
	uint64_t now = lg_now();

	atomic_fetch_add_explicit(&run->hist[lg_hist_bucket(now > due_ns ? now - due_ns : 0)], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&run->ops, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&run->bytes, bytes, memory_order_relaxed);
}

static void leave(struct lg_run *run)
{
	atomic_fetch_sub(&run->job->alive, 1);
}

static void *cpu_thread(void *arg)
{
	struct lg_run *run = arg;
	uint64_t due, x = 88172645463325252u;

	while (lg_next(run, &due)) {
		for (uint64_t i = 0; i < run->load.work; i++)
			x = lg_random(&x) | 1;
		lg_done(run, due, 0);
	}
	leave(run);
	return NULL;
}

static void *dirty_thread(void *arg)
{
	struct lg_run *run = arg;
	uint64_t due, pages = run->load.span / PAGE;

	for (uint64_t i = 0; lg_next(run, &due); i++) {
		uint64_t stamp = lg_now();

		memcpy(run->memory + i % pages * PAGE, &stamp, sizeof(stamp));
		lg_done(run, due, PAGE);
	}
	leave(run);
	return NULL;
}

static void *disk_thread(void *arg)
{
	struct lg_run *run = arg;
	uint64_t due, size = run->load.size, blocks = run->span / size, i = 0;
	uint64_t seed = lg_now() | 1;
	void *buf = NULL;

	if (posix_memalign(&buf, PAGE, size)) {
		atomic_fetch_add(&run->errors, 1);
		leave(run);
		return NULL;
	}
	memset(buf, 0x5a, size);
	while (lg_next(run, &due)) {
		uint64_t at = (run->load.seq ? i++ % blocks : lg_random(&seed) % blocks) * size;
		ssize_t n = run->load.kind == LG_DISK_READ ? pread(run->fd, buf, size, (off_t)at)
							   : pwrite(run->fd, buf, size, (off_t)at);

		if (n == (ssize_t)size)
			lg_done(run, due, size);
		else
			atomic_fetch_add(&run->errors, 1);
	}
	free(buf);
	leave(run);
	return NULL;
}

static void *net_thread(void *arg)
{
	lg_net_thread(arg);
	leave(arg);
	return NULL;
}

static void *net_receiver(void *arg)
{
	lg_net_receiver(arg);
	leave(arg);
	return NULL;
}

static int disk_open(struct lg_run *run, char *error, size_t size)
{
	off_t end;

	run->fd = open(run->load.dev, (run->load.kind == LG_DISK_READ ? O_RDONLY : O_WRONLY) |
					      O_DIRECT | O_CLOEXEC);
	if (run->fd < 0) {
		snprintf(error, size, "opening %s past the cache: %s", run->load.dev,
			 strerror(errno));
		return -errno;
	}
	end = lseek(run->fd, 0, SEEK_END);
	run->span = run->load.span ? run->load.span : (uint64_t)(end > 0 ? end : 0);
	if (end < 0 || (uint64_t)end < run->span || run->span < run->load.size) {
		snprintf(error, size,
			 "%s has %lld bytes: too few for a span of %llu in blocks of %llu",
			 run->load.dev, (long long)end, (unsigned long long)run->span,
			 (unsigned long long)run->load.size);
		return -ENOSPC;
	}
	return 0;
}

static int dirty_open(struct lg_run *run, char *error, size_t size)
{
	void *memory = mmap(NULL, run->load.span, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		snprintf(error, size, "mapping %llu bytes: %s", (unsigned long long)run->load.span,
			 strerror(errno));
		return -errno;
	}
	run->memory = memory;
	return 0;
}

static int run_open(struct lg_run *run, char *error, size_t size)
{
	switch (run->load.kind) {
	case LG_CPU:
		return 0;
	case LG_DIRTY:
		return dirty_open(run, error, size);
	case LG_DISK_READ:
	case LG_DISK_WRITE:
		return disk_open(run, error, size);
	case LG_UDP_OUT:
	case LG_UDP_IN:
	case LG_UDP_ECHO:
	case LG_TCP_OUT:
	case LG_TCP_IN:
		return lg_net_open(run, error, size);
	case LG_KIND_COUNT:
		break;
	}
	abort();
}

static void *(*run_function(const struct lg_run *run, uint32_t thread))(void *)
{
	switch (run->load.kind) {
	case LG_CPU:
		return cpu_thread;
	case LG_DIRTY:
		return dirty_thread;
	case LG_DISK_READ:
	case LG_DISK_WRITE:
		return disk_thread;
	case LG_UDP_ECHO:
		return thread == 0 ? net_thread : net_receiver;
	case LG_UDP_OUT:
	case LG_UDP_IN:
	case LG_TCP_OUT:
	case LG_TCP_IN:
		return net_thread;
	case LG_KIND_COUNT:
		break;
	}
	abort();
}

static int run_start(struct lg_run *run, char *error, size_t size)
{
	uint32_t want = run->load.kind == LG_UDP_ECHO ? 2 : (uint32_t)run->load.depth;

	run->start_ns = lg_now();
	run->end_ns = run->load.for_ns ? run->start_ns + run->load.for_ns : UINT64_MAX;
	run->last.ns = run->start_ns;
	for (; run->threads_count < want; run->threads_count++) {
		atomic_fetch_add(&run->job->alive, 1);
		int r = pthread_create(&run->threads[run->threads_count], NULL,
				       run_function(run, run->threads_count), run);

		if (r) {
			leave(run);
			snprintf(error, size, "starting thread %u: %s", run->threads_count + 1,
				 strerror(r));
			return -r;
		}
	}
	return 0;
}

struct lg_job *lg_job_start(const struct lg_load *loads, uint32_t n, char *error, size_t size)
{
	struct lg_job *job = calloc(1, sizeof(*job));
	char why[256] = "";
	uint32_t at;
	int r = 0;

	if (!job) {
		snprintf(error, size, "no memory for a job");
		return NULL;
	}
	/* All are opened before one starts: a job runs whole or not at all. */
	for (at = 0; at < n && r == 0; at++) {
		struct lg_run *run = &job->runs[at];

		run->load = loads[at];
		run->job = job;
		run->fd = -1;
		job->n = at + 1;
		r = run_open(run, why, sizeof(why));
	}
	if (r == 0)
		for (at = 0; at < n && r == 0; at++)
			r = run_start(&job->runs[at], why, sizeof(why));
	if (r) {
		snprintf(error, size, "load %u (%s): %s", at, lg_kind_name(loads[at - 1].kind),
			 why);
		lg_job_free(job);
		return NULL;
	}
	return job;
}

bool lg_job_over(struct lg_job *job)
{
	return atomic_load(&job->alive) == 0;
}

static void see(struct lg_run *run, struct lg_seen *ret_seen)
{
	ret_seen->ns = lg_now();
	ret_seen->ops = atomic_load(&run->ops);
	ret_seen->bytes = atomic_load(&run->bytes);
	ret_seen->errors = atomic_load(&run->errors);
	for (uint32_t i = 0; i < LG_HIST_COUNT; i++)
		ret_seen->hist[i] = atomic_load_explicit(&run->hist[i], memory_order_relaxed);
	lg_net_count(run, &ret_seen->ops, &ret_seen->bytes, &ret_seen->errors);
	/* Nothing is offered after the end. */
	if (ret_seen->ns > run->end_ns)
		ret_seen->ns = run->end_ns;
}

static uint64_t less(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void report(struct lg_run *run, FILE *out)
{
	struct lg_seen now, *last = &run->last;
	uint32_t hist[LG_HIST_COUNT];
	uint64_t rate = run->load.rate, achieved, offered;

	see(run, &now);
	for (uint32_t i = 0; i < LG_HIST_COUNT; i++)
		hist[i] = now.hist[i] - last->hist[i];
	achieved = less(now.ops, last->ops);
	fprintf(out, "{\"kind\":\"%s\",\"size\":%llu,\"rate\":%llu,\"span_ns\":%llu,",
		lg_kind_name(run->load.kind), (unsigned long long)run->load.size,
		(unsigned long long)rate, (unsigned long long)(now.ns - last->ns));
	if (rate) {
		offered = lg_due_count(rate, now.ns - run->start_ns) -
			  lg_due_count(rate, last->ns - run->start_ns);
		fprintf(out, "\"offered\":%llu,\"share\":%.4f,", (unsigned long long)offered,
			offered ? (double)achieved / (double)offered : 0.0);
	} else {
		fprintf(out, "\"offered\":null,\"share\":null,");
	}
	fprintf(out,
		"\"achieved\":%llu,\"bytes\":%llu,\"errors\":%llu,\"p50_us\":%.1f,\"p99_us\":%.1f}",
		(unsigned long long)achieved, (unsigned long long)less(now.bytes, last->bytes),
		(unsigned long long)less(now.errors, last->errors),
		(double)lg_hist_quantile(hist, 500000) / 1000.0,
		(double)lg_hist_quantile(hist, 990000) / 1000.0);
	*last = now;
}

void lg_job_report(struct lg_job *job, FILE *out)
{
	fprintf(out, "\"loads\":[");
	for (uint32_t i = 0; i < job->n; i++) {
		if (i)
			fputc(',', out);
		report(&job->runs[i], out);
	}
	fputc(']', out);
}

void lg_job_stop(struct lg_job *job)
{
	if (job->joined)
		return;
	atomic_store(&job->stop, true);
	for (uint32_t i = 0; i < job->n; i++) {
		for (uint32_t k = 0; k < job->runs[i].threads_count; k++)
			pthread_join(job->runs[i].threads[k], NULL);
		/* What the load offered ends with it, not with whenever somebody asks. */
		if (job->runs[i].end_ns > lg_now())
			job->runs[i].end_ns = lg_now();
	}
	job->joined = true;
}

void lg_job_free(struct lg_job *job)
{
	if (!job)
		return;
	lg_job_stop(job);
	for (uint32_t i = 0; i < job->n; i++) {
		if (job->runs[i].fd >= 0)
			close(job->runs[i].fd);
		if (job->runs[i].memory)
			munmap(job->runs[i].memory, job->runs[i].load.span);
	}
	free(job);
}
