/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernbench: make -j N of a kernel, again and again. So many compilers, at most N at a time: each
 * is started, reads its source, computes, writes its object into the page cache; then the linker,
 * alone. The time from beginning to end is what counts.
 */
#include "page_cache.h"

#include <errno.h>
#include <stdlib.h>

struct build;

enum step { STARTS, COMPILES, WAITS_FOR_CACHE, LINKS };

struct job {
	struct build *build;
	struct sim_task task;
	struct sim_request request;
	enum step step;
	bool on_disk, resting;
};

struct build {
	struct sim_load load;
	uint64_t jobs, files, fork_ns, compile_ns, spread, read_bytes, miss_ppm, object_bytes;
	uint64_t link_ns, dirty_background, dirty_most;
	struct job *all;
	struct sim_cache cache;
	struct sim_vbd *vbd;
	uint64_t begun, finished; /* files of this build */
	uint64_t began_ns;
	/* counted */
	uint64_t builds, build_ns, compiled;
};

static void run(struct job *job, enum step step, uint64_t cpu_ns)
{
	const struct sim_burst burst = { cpu_ns, 0, CL_NONE, CL_NONE };

	job->step = step;
	sim_task_run(job->build->load.world, &job->task, &burst);
}

static void compile(struct job *job)
{
	struct build *build = job->build;

	run(job, COMPILES, sim_load_draw(&build->load, build->compile_ns, build->spread));
}

static void next_file(struct job *job)
{
	struct build *build = job->build;

	job->resting = build->begun == build->files;
	if (job->resting)
		return;
	build->begun++;
	run(job, STARTS, build->fork_ns);
}

static void begin(struct build *build)
{
	build->begun = build->finished = 0;
	build->began_ns = build->load.world->queue.now_ns;
	for (uint64_t i = 0; i < build->jobs; i++)
		next_file(&build->all[i]);
}

static void has_read(struct sim_world *world, struct sim_request *request)
{
	struct job *job = sim_of(request, struct job, request);

	job->on_disk = false;
	compile(job);
}

static void read_source(struct job *job)
{
	struct build *build = job->build;

	if (!sim_random_chance(&build->load.random, build->miss_ppm)) {
		compile(job);
		return;
	}
	job->on_disk = true;
	job->request = (struct sim_request){
		.bytes = (uint32_t)build->read_bytes,
		.sector = build->cache.sector + (UINT64_C(1) << 39) +
			  sim_random_below(&build->load.random, 1u << 20) * 8,
		.done = has_read,
	};
	sim_submit(build->load.world, build->vbd, (uint32_t)(job - build->all), &job->request);
}

static void write_object(struct job *job)
{
	struct build *build = job->build;

	job->step = WAITS_FOR_CACHE;
	if (!sim_cache_may_write(&build->cache))
		return;
	sim_cache_write(&build->cache, build->object_bytes);
	build->compiled++;
	if (++build->finished == build->files)
		run(job, LINKS, build->link_ns);
	else
		next_file(job);
}

static void cache_changed(struct sim_cache *cache)
{
	struct build *build = sim_of(cache, struct build, cache);

	for (uint64_t i = 0; i < build->jobs; i++)
		if (build->all[i].step == WAITS_FOR_CACHE && !build->all[i].resting)
			write_object(&build->all[i]);
}

static void job_done(struct sim_world *world, struct sim_task *task)
{
	struct job *job = sim_of(task, struct job, task);
	struct build *build = job->build;

	switch (job->step) {
	case STARTS:
		read_source(job);
		break;
	case COMPILES:
		write_object(job);
		break;
	case LINKS:
		build->builds++;
		build->build_ns += world->queue.now_ns - build->began_ns;
		begin(build);
		break;
	case WAITS_FOR_CACHE:
		break;
	}
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct build *build = (struct build *)load;

	if (build->dirty_background > build->dirty_most)
		return cl_fail(reterr, EINVAL, "load %s: background: more than dirty", load->name);
	build->vbd = sim_load_vbd(load, reterr);
	if (!build->vbd)
		return -ENODEV;
	build->all = calloc(build->jobs, sizeof(*build->all));
	if (!build->all ||
	    !sim_cache_init(&build->cache, load, build->vbd, UINT64_C(1) << 32, cache_changed))
		return sim_load_no_memory(load, reterr);
	build->cache.background = build->dirty_background;
	build->cache.most = build->dirty_most;
	for (uint64_t i = 0; i < build->jobs; i++) {
		build->all[i].build = build;
		if (!sim_load_task(load, &build->all[i].task, "cc1", job_done))
			return sim_load_no_memory(load, reterr);
	}
	begin(build);
	return 0;
}

static void reset(struct sim_load *load)
{
	struct build *build = (struct build *)load;

	build->builds = build->build_ns = build->compiled = 0;
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct build *build = (const struct build *)load;

	sim_report_rate(report, load->name, "files", "1/s", build->compiled, span_ns);
	sim_report_add(report, load->name, "builds", "builds", (double)build->builds, SIM_HIGHER);
	if (build->builds)
		sim_report_add(report, load->name, "time", "ns",
			       (double)build->build_ns / (double)build->builds, SIM_LOWER);
}

static void stop(struct sim_load *load)
{
	struct build *build = (struct build *)load;

	for (uint64_t i = 0; build->all && i < build->jobs; i++) {
		if (build->all[i].on_disk)
			sim_request_recall(load->world, &build->all[i].request);
		sim_task_done(load->world, &build->all[i].task);
	}
	sim_cache_done(&build->cache);
	free(build->all);
	build->all = NULL;
}

#define IN(member) offsetof(struct build, member)
#define MIB        (UINT64_C(1) << 20)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "jobs", "at a time (make -j; kernbench: half of, and as many as, and four times the CPUs)", SIM_COUNT, 4, 1, 1024, IN(jobs) },
	{ "files", "that are compiled in a build; a choice: a defconfig has some thousands, which takes long", SIM_COUNT, 200, 1, 100000, IN(files) },
	{ "fork", "CPU time to start a compiler; assumption", SIM_NS, 3 * CL_NS_PER_MS, 1, CL_NS_PER_S, IN(fork_ns) },
	{ "compile", "mean CPU time of a file; assumption: 20 minutes for the 2,900 of a defconfig", SIM_NS, 400 * CL_NS_PER_MS, 1, 1000 * CL_NS_PER_S, IN(compile_ns) },
	{ "spread", "that time is exponential, else always the same", SIM_BOOL, 1, 0, 1, IN(spread) },
	{ "read", "bytes that are read for a file where they are not in the cache", SIM_BYTES, 32768, 512, 11 * SIM_PAGE, IN(read_bytes) },
	{ "miss", "share of the files whose source is not in the cache; assumption (kernbench reads all of it first)", SIM_PPM, 20000, 0, CL_PPM, IN(miss_ppm) },
	{ "object", "bytes that are written for a file; assumption: 250 MB for a defconfig", SIM_BYTES, 90000, 1, 64 * MIB, IN(object_bytes) },
	{ "link", "CPU time of the linker; assumption", SIM_NS, 4 * CL_NS_PER_S, 1, 1000 * CL_NS_PER_S, IN(link_ns) },
	{ "background", "dirty bytes at which write-back begins (Linux: 10 % of memory)", SIM_BYTES, 100 * MIB, 4096, MIB * MIB, IN(dirty_background) },
	{ "dirty", "dirty bytes at which a writer waits (Linux: 20 % of memory)", SIM_BYTES, 200 * MIB, 4096, MIB * MIB, IN(dirty_most) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_kernbench = {
	.name = "kernbench",
	.doc = "compiles a kernel with so many jobs, again and again",
	.bytes = sizeof(struct build),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
