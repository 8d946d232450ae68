/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk: Iozone's or dd's way with a file: records of a size, in order or at random, read or
 * written, by so many at a time, past the guest's page cache or through it; when the file is
 * through, from its beginning. As fast as it can, or so many a second: then record i is due at i /
 * rate, however long the others took, and its latency counts from then.
 */
#include "page_cache.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_NS (SIM_TRACE_S * CL_NS_PER_S)
#define SLOTS   32u /* requests of one record on their way */
#define JOURNAL 4096u

struct disk_load;
struct doer;

struct part { /* a request of a record */
	struct doer *doer;
	struct sim_request request;
	bool busy;
};

/* Past the cache; found in it; read ahead into it; written into it and back later. */
enum way { DIRECT, RESIDENT, AHEAD, BEHIND };

struct doer {
	struct disk_load *disk;
	struct sim_task task;
	struct sim_event due; /* at a rate: the next record's time */
	struct part parts[SLOTS];
	enum way way;
	bool write, random, waiting; /* waiting: for the cache */
	uint64_t offset, left;       /* of the record: still to be asked for */
	uint32_t busy;
	uint64_t journals; /* small writes that it owes */
	uint64_t began_ns;
};

struct disk_load {
	struct sim_load load;
	uint64_t record, size, depth, rate, apart, write_ppm, random_ppm, cached, cpu_ns, fresh;
	uint64_t memory, dirty_background, dirty_most, mean, swing, poisson;
	struct sim_trace trace; /* which share of the rate; none: all of it, always */
	struct doer *all;
	struct sim_cache cache;
	struct sim_vbd *vbd;
	uint64_t sector;
	uint64_t base_ns;         /* the trace began */
	uint64_t start_ns, taken; /* at a rate: records that somebody does, or waits to */
	uint64_t at;              /* where the next record in order begins, since the beginning */
	uint64_t seen;            /* bytes, since the beginning */
	uint64_t allocated;       /* of the present journal write's share */
	/* counted */
	uint64_t records, bytes, passes, pass_ns, pass_began_ns, journals;
	struct sim_histogram latency;
};

static void next(struct doer *doer);

static void finished(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	uint64_t now = disk->load.world->queue.now_ns;

	disk->records++;
	disk->bytes += disk->record;
	sim_histogram_add(&disk->latency, now - doer->began_ns);
	if (!doer->random && (doer->offset + disk->record) % disk->size == 0) {
		disk->passes++;
		disk->pass_ns += now - disk->pass_began_ns;
		disk->pass_began_ns = now;
	}
	next(doer);
}

/* ---- past the cache ---- */

static void part_done(struct sim_world *world, struct sim_request *request);

static void submit(struct doer *doer, struct part *part, uint64_t sector, uint32_t bytes)
{
	part->doer = doer;
	part->busy = true;
	doer->busy++;
	part->request = (struct sim_request){
		.bytes = bytes, .write = doer->write, .sector = sector, .done = part_done
	};
	sim_submit(doer->disk->load.world, doer->disk->vbd, (uint32_t)(doer - doer->disk->all),
		   &part->request);
}

static void submit_more(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	uint64_t chunk = sim_cache_chunk(disk->vbd);

	for (uint32_t i = 0; i < SLOTS && doer->left + doer->journals > 0; i++) {
		struct part *part = &doer->parts[i];
		uint64_t bytes = doer->left < chunk ? doer->left : chunk;
		uint64_t done = disk->record - doer->left;

		if (part->busy)
			continue;
		if (doer->left == 0) { /* the journal lies elsewhere */
			doer->journals--;
			disk->journals++;
			submit(doer, part, disk->sector + (UINT64_C(1) << 39), JOURNAL);
			continue;
		}
		doer->left -= bytes;
		submit(doer, part, disk->sector + (doer->offset % disk->size + done) / 512,
		       (uint32_t)bytes);
	}
}

static void part_done(struct sim_world *world, struct sim_request *request)
{
	struct part *part = sim_of(request, struct part, request);
	struct doer *doer = part->doer;

	part->busy = false;
	doer->busy--;
	submit_more(doer);
	if (doer->busy == 0)
		finished(doer);
}

/* ---- a record ---- */

static uint64_t parts_of(const struct disk_load *disk)
{
	uint64_t chunk = sim_cache_chunk(disk->vbd);

	return (disk->record + chunk - 1) / chunk;
}

static void begin_direct(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	struct sim_burst burst = sim_submit_burst(disk->vbd, 0, 0);

	burst.cpu_ns = burst.cpu_ns * (parts_of(disk) + doer->journals) + disk->cpu_ns;
	sim_task_run(disk->load.world, &doer->task, &burst);
}

/* Is the record in memory? In order: in all of the file, or nowhere, since the least recently used
 * goes first; at random: with the share of the file that has been seen and fits. */
static bool is_resident(struct disk_load *disk, const struct doer *doer)
{
	uint64_t seen = disk->seen < disk->memory ? disk->seen : disk->memory;

	if (doer->random)
		return sim_random_below(&disk->load.random, disk->size) < seen;
	return disk->size <= disk->memory && doer->offset >= disk->size;
}

static enum way way_of(struct disk_load *disk, const struct doer *doer)
{
	if (!disk->cached)
		return DIRECT;
	if (doer->write)
		return BEHIND;
	if (is_resident(disk, doer))
		return RESIDENT;
	return doer->random ? DIRECT : AHEAD;
}

/* Between the application and the cache. */
static void copy(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	uint32_t node = sim_domain_node(disk->load.domain);
	struct sim_burst burst = { disk->cpu_ns, disk->record, node, node };

	doer->waiting = false;
	sim_task_run(disk->load.world, &doer->task, &burst);
}

static void copy_when_ready(struct doer *doer)
{
	struct disk_load *disk = doer->disk;

	doer->waiting = doer->way == BEHIND
				? !sim_cache_may_write(&disk->cache)
				: !sim_cache_read(&disk->cache, doer->offset + disk->record);
	if (!doer->waiting)
		copy(doer);
}

static void cache_changed(struct sim_cache *cache)
{
	struct disk_load *disk = sim_of(cache, struct disk_load, cache);

	for (uint64_t i = 0; i < disk->depth; i++)
		if (disk->all[i].waiting)
			copy_when_ready(&disk->all[i]);
}

static void choose(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	struct sim_random *random = &disk->load.random;

	doer->write = sim_random_chance(random, disk->write_ppm);
	doer->random = sim_random_chance(random, disk->random_ppm);
	doer->left = disk->record;
	if (doer->random) {
		doer->offset = sim_random_below(random, disk->size / disk->record) * disk->record;
	} else {
		doer->offset = disk->at;
		disk->at += disk->record;
	}
	if (doer->write && disk->fresh) {
		disk->allocated += disk->record;
		doer->journals = disk->allocated / disk->fresh;
		disk->allocated %= disk->fresh;
	}
	doer->way = way_of(disk, doer);
	disk->seen += disk->record;
}

static void begin(struct doer *doer)
{
	choose(doer);
	switch (doer->way) {
	case DIRECT:
		begin_direct(doer);
		break;
	case RESIDENT:
		copy(doer);
		break;
	case AHEAD:
	case BEHIND:
		copy_when_ready(doer);
		break;
	}
}

static void due(struct sim_queue *queue, struct sim_event *event)
{
	begin(sim_of(event, struct doer, due));
}

/* Which share of the rate it is at that time; never none, so that there is a next record. */
static uint64_t share_at(const struct disk_load *disk, uint64_t now_ns)
{
	uint64_t i = now_ns > disk->base_ns ? (now_ns - disk->base_ns) / SLOT_NS : 0;

	if (!disk->trace.count)
		return CL_PPM;
	return disk->trace.ppm[i % disk->trace.count] + 1;
}

static void next(struct doer *doer)
{
	struct disk_load *disk = doer->disk;
	struct sim_queue *queue = &disk->load.world->queue;

	doer->began_ns = queue->now_ns;
	if (disk->rate && (disk->trace.count || disk->poisson)) {
		uint64_t each =
			CL_NS_PER_S * CL_PPM / (disk->rate * share_at(disk, disk->start_ns));

		doer->began_ns = disk->start_ns;
		disk->start_ns +=
			disk->poisson ? sim_random_exponential(&disk->load.random, each) : each;
	} else if (disk->rate)
		doer->began_ns = disk->start_ns + (uint64_t)((unsigned __int128)disk->taken++ *
							     CL_NS_PER_S / disk->rate);
	if (doer->began_ns > queue->now_ns)
		sim_at(queue, &doer->due, doer->began_ns);
	else
		begin(doer);
}

static void doer_done(struct sim_world *world, struct sim_task *task)
{
	struct doer *doer = sim_of(task, struct doer, task);
	struct disk_load *disk = doer->disk;

	if (doer->way == DIRECT) {
		submit_more(doer);
		return;
	}
	if (doer->way == BEHIND) {
		disk->journals += doer->journals;
		sim_cache_write(&disk->cache, disk->record + doer->journals * JOURNAL);
		doer->journals = 0;
	}
	finished(doer);
}

/* ---- the load ---- */

static int check(const struct disk_load *disk, struct cl_error *reterr)
{
	const char *name = disk->load.name;

	if (disk->record % 512)
		return cl_fail(reterr, EINVAL, "load %s: record: not a multiple of 512 bytes",
			       name);
	if (disk->size % disk->record)
		return cl_fail(reterr, EINVAL, "load %s: size: not a multiple of the record", name);
	if (disk->dirty_background > disk->dirty_most)
		return cl_fail(reterr, EINVAL, "load %s: background: more than dirty", name);
	return 0;
}

/* A mean below all: the rate follows a trace that is made up as the load trace's. */
static int get_trace(struct disk_load *disk, struct cl_error *reterr)
{
	const struct sim_trace_shape shape = {
		.days = 1,
		.mean = disk->mean,
		.swing = disk->swing,
		.noise = 50000,
		.spikes = 10000,
		.spike = 400000,
		.last = 3,
	};

	disk->base_ns = disk->load.world->queue.now_ns;
	if (disk->mean == CL_PPM || !disk->rate)
		return 0;
	return sim_trace_generate(&shape, &disk->load.random, &disk->trace)
		       ? 0
		       : sim_load_no_memory(&disk->load, reterr);
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct disk_load *disk = (struct disk_load *)load;
	int r = check(disk, reterr);

	if (r < 0)
		return r;
	disk->vbd = sim_load_vbd(load, reterr);
	if (!disk->vbd)
		return -ENODEV;
	disk->sector = sim_load_sector(load);
	disk->pass_began_ns = disk->start_ns = load->world->queue.now_ns;
	r = get_trace(disk, reterr);
	if (r < 0)
		return r;
	if (disk->rate && disk->apart)
		disk->start_ns += sim_random_below(&load->random, CL_NS_PER_S / disk->rate);
	disk->all = calloc(disk->depth, sizeof(*disk->all));
	if (!disk->all || (disk->cached && !sim_cache_init(&disk->cache, load, disk->vbd,
							   disk->size, cache_changed)))
		return sim_load_no_memory(load, reterr);
	disk->cache.background = disk->dirty_background;
	disk->cache.most = disk->dirty_most;
	for (uint64_t i = 0; i < disk->depth; i++) {
		disk->all[i].disk = disk;
		sim_event_init(&load->world->queue, &disk->all[i].due, due);
		if (!sim_load_task(load, &disk->all[i].task, "iozone", doer_done))
			return sim_load_no_memory(load, reterr);
	}
	for (uint64_t i = 0; i < disk->depth; i++)
		next(&disk->all[i]);
	return 0;
}

/* By rates: past the page cache only, since what is in that is no rate. */
static int begin_rates(struct sim_load *load, struct cl_error *reterr)
{
	struct disk_load *disk = (struct disk_load *)load;
	int r = check(disk, reterr);

	if (r < 0)
		return r;
	if (disk->cached)
		return cl_fail(reterr, ENOTSUP,
			       "load %s: cached: fluid has no page cache; take cached = no, or "
			       "[scenario] fidelity = packet",
			       load->name);
	disk->vbd = sim_load_vbd(load, reterr);
	if (!disk->vbd)
		return -ENODEV;
	r = get_trace(disk, reterr);
	if (r < 0)
		return r;
	uint64_t n = parts_of(disk),
		 journals = disk->fresh ? disk->record * CL_PPM / disk->fresh : 0;

	load->rate = (struct sim_rate){
		.asked = disk->rate ? disk->rate : CL_NS_PER_S, /* as many as get through */
		.window = disk->depth,
		.threads = disk->depth,
		.parts[0] = { .flow = SIM_DISK,
			      .ppm = n * CL_PPM,
			      .batch = n,
			      .bytes = disk->record / n,
			      .own_ns = disk->cpu_ns / n,
			      .write_ppm = disk->write_ppm,
			      .paced = disk->rate != 0 },
		.parts[1] = { .flow = SIM_DISK,
			      .ppm = journals / 1000 * disk->write_ppm / 1000,
			      .batch = 1,
			      .bytes = JOURNAL,
			      .write_ppm = CL_PPM },
		.part_count = 2,
		.seeks_ppm = disk->random_ppm,
	};
	return 0;
}

/* Until the trace's next interval. */
static void ask(struct sim_load *load)
{
	struct disk_load *disk = (struct disk_load *)load;
	uint64_t now = load->world->queue.now_ns, i = (now - disk->base_ns) / SLOT_NS;

	if (!disk->trace.count)
		return;
	load->rate.until_ns = disk->base_ns + (i + 1) * SLOT_NS;
	load->rate.asked = disk->rate * share_at(disk, now) / CL_PPM;
}

static void gave(struct sim_load *load, uint64_t ns, uint64_t units)
{
	struct disk_load *disk = (struct disk_load *)load;

	disk->records += units;
	disk->bytes += units * disk->record;
}

static void reset(struct sim_load *load)
{
	struct disk_load *disk = (struct disk_load *)load;

	disk->records = disk->bytes = disk->passes = disk->pass_ns = disk->journals = 0;
	memset(&disk->latency, 0, sizeof(disk->latency));
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct disk_load *disk = (const struct disk_load *)load;

	sim_report_rate(report, load->name, "bytes", "bytes/s", disk->bytes, span_ns);
	sim_report_rate(report, load->name, "records", "1/s", disk->records, span_ns);
	sim_report_latency(report, load->name, "latency", &disk->latency);
	if (disk->passes)
		sim_report_add(report, load->name, "pass", "ns",
			       (double)disk->pass_ns / (double)disk->passes, SIM_LOWER);
}

static void stop(struct sim_load *load)
{
	struct disk_load *disk = (struct disk_load *)load;

	for (uint64_t i = 0; disk->all && i < disk->depth; i++) {
		struct doer *doer = &disk->all[i];

		for (uint32_t k = 0; k < SLOTS; k++)
			if (doer->parts[k].busy)
				sim_request_recall(load->world, &doer->parts[k].request);
		sim_task_done(load->world, &doer->task);
		if (doer->disk)
			sim_event_done(&load->world->queue, &doer->due);
	}
	sim_cache_done(&disk->cache);
	sim_trace_free(&disk->trace);
	free(disk->all);
	disk->all = NULL;
}

#define IN(member) offsetof(struct disk_load, member)
#define GIB        (UINT64_C(1) << 30)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "record", "bytes of a read or write (dd: bs, Iozone: -r)", SIM_BYTES, 65536, 512, UINT64_C(16) << 20, IN(record) },
	{ "size", "of the file, a multiple of the record; then it begins anew (Iozone: -s)", SIM_BYTES, GIB, 4096, 4096 * GIB, IN(size) },
	{ "depth", "records at a time (Iozone: -t)", SIM_COUNT, 1, 1, 256, IN(depth) },
	{ "rate", "records a second, as far as those at a time get through with them; 0 is as fast as they can", SIM_PER_S, 0, 0, 10000000, IN(rate) },
	{ "mean", "at a rate: share of it that is asked for on the average, by a trace that is made up for each guest; 100 %: always all", SIM_PPM, CL_PPM, 0, CL_PPM, IN(mean) },
	{ "swing", "made up: a day goes up and down by it, the least at four", SIM_PPM, 200000, 0, CL_PPM, IN(swing) },
	{ "poisson", "at a rate: at random times, else at even ones", SIM_BOOL, 0, 0, 1, IN(poisson) },
	{ "apart", "at a rate: each guest begins at a time of its own, else all at once", SIM_BOOL, 0, 0, 1, IN(apart) },
	{ "write", "share of the records that are written", SIM_PPM, 0, 0, CL_PPM, IN(write_ppm) },
	{ "random", "share of the records that are anywhere in the file; the others come in order", SIM_PPM, 0, 0, CL_PPM, IN(random_ppm) },
	{ "cached", "through the guest's page cache, else past it (O_DIRECT)", SIM_BOOL, 0, 0, 1, IN(cached) },
	{ "fresh", "a file that grows: a journal write of 4 KiB for so many bytes; 0: it is there (rewrite). A choice: ext4 joins a commit's", SIM_BYTES, 0, 0, GIB, IN(fresh) },
	{ "cpu", "CPU time of the application and the file system, a record; assumption", SIM_NS, 2000, 1, CL_NS_PER_S, IN(cpu_ns) },
	{ "memory", "of the guest's page cache, for what is read", SIM_BYTES, GIB / 2, 0, 4096 * GIB, IN(memory) },
	{ "background", "dirty bytes at which write-back begins (Linux: 10 % of memory)", SIM_BYTES, GIB / 10, 4096, 1024 * GIB, IN(dirty_background) },
	{ "dirty", "dirty bytes at which a writer waits (Linux: 20 % of memory)", SIM_BYTES, GIB / 5, 4096, 1024 * GIB, IN(dirty_most) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_disk = {
	.name = "disk",
	.doc = "reads or writes a file as Iozone or dd does",
	.bytes = sizeof(struct disk_load),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
	.begin = begin_rates,
	.ask = ask,
	.gave = gave,
};
