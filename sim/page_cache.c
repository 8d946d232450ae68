/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_cache: write-back and read-ahead of a guest's kernel. */
#include "page_cache.h"

#include <string.h>

#define SECTOR 512u
#define OLD_NS (30 * CL_NS_PER_S)    /* vm.dirty_expire_centisecs */
#define WINDOW (UINT64_C(128) << 10) /* read_ahead_kb */

uint32_t sim_cache_chunk(const struct sim_vbd *vbd)
{
	return vbd->indirect_pages * SIM_PAGE;
}

static void submit(struct sim_cache *cache, struct sim_cache_slot *slot, uint64_t offset,
		   uint32_t bytes, bool write,
		   void (*done)(struct sim_world *world, struct sim_request *request))
{
	slot->busy = true;
	slot->done = false;
	slot->request = (struct sim_request){
		.bytes = bytes,
		.write = write,
		.sector = cache->sector + offset % cache->size / SECTOR,
		.done = done,
	};
	sim_submit(cache->load->world, cache->vbd, 0, &slot->request);
}

/* ---- write-back ---- */

static struct sim_cache_slot *free_slot(struct sim_cache *cache)
{
	for (uint32_t i = 0; i < SIM_CACHE_SLOTS; i++)
		if (!cache->writes[i].busy)
			return &cache->writes[i];
	return NULL;
}

static uint64_t to_write(const struct sim_cache *cache)
{
	return cache->dirty - cache->under_way;
}

/* The flusher's time for what it can send now. */
static void flush(struct sim_cache *cache)
{
	uint64_t chunk = sim_cache_chunk(cache->vbd), n = (to_write(cache) + chunk - 1) / chunk;
	uint32_t slots = 0;

	for (uint32_t i = 0; i < SIM_CACHE_SLOTS; i++)
		slots += !cache->writes[i].busy;
	n = n < slots ? n : slots;
	if (cache->flushing || n == 0)
		return;
	struct sim_burst burst = sim_submit_burst(cache->vbd, 0, 0);

	burst.cpu_ns *= n;
	cache->flushing = true;
	sim_task_run(cache->load->world, &cache->flusher, &burst);
}

static void written(struct sim_world *world, struct sim_request *request)
{
	struct sim_cache_slot *slot = sim_of(request, struct sim_cache_slot, request);
	struct sim_cache *cache = slot->cache;
	bool could = sim_cache_may_write(cache);

	slot->busy = false;
	cache->under_way -= request->bytes;
	cache->dirty -= request->bytes;
	cache->written += request->bytes;
	/* In turns of half of what may be on its way: not for each request. */
	if (cache->under_way <= SIM_CACHE_SLOTS / 2 * (uint64_t)sim_cache_chunk(cache->vbd))
		flush(cache);
	if (!could && sim_cache_may_write(cache))
		cache->changed(cache);
}

static void flusher_done(struct sim_world *world, struct sim_task *task)
{
	struct sim_cache *cache = sim_of(task, struct sim_cache, flusher);
	uint64_t chunk = sim_cache_chunk(cache->vbd);
	struct sim_cache_slot *slot;

	cache->flushing = false;
	while (to_write(cache) > 0 && (slot = free_slot(cache))) {
		uint64_t left = cache->size - cache->at % cache->size, bytes = to_write(cache);

		bytes = bytes < chunk ? bytes : chunk;
		bytes = bytes < left ? bytes : left;
		cache->under_way += bytes;
		submit(cache, slot, cache->at, (uint32_t)bytes, true, written);
		cache->at += bytes;
	}
}

static void expired(struct sim_queue *queue, struct sim_event *event)
{
	flush(sim_of(event, struct sim_cache, expire));
}

bool sim_cache_may_write(const struct sim_cache *cache)
{
	return cache->dirty < cache->most;
}

void sim_cache_write(struct sim_cache *cache, uint64_t bytes)
{
	cache->dirty += bytes;
	if (cache->dirty >= cache->background)
		flush(cache);
	else if (!sim_is_pending(&cache->expire))
		sim_after(&cache->load->world->queue, &cache->expire, cache->age_ns);
}

/* ---- read-ahead ---- */

/* In order, whatever the order in which the disk is through. */
static void was_read(struct sim_world *world, struct sim_request *request)
{
	struct sim_cache_slot *slot = sim_of(request, struct sim_cache_slot, request);
	struct sim_cache *cache = slot->cache;

	slot->busy = false;
	slot->done = true;
	while (cache->reading > 0 && cache->reads[cache->oldest].done) {
		slot = &cache->reads[cache->oldest];
		slot->done = false;
		cache->ready += slot->request.bytes;
		cache->oldest = (cache->oldest + 1) % SIM_CACHE_SLOTS;
		cache->reading--;
	}
	cache->changed(cache);
}

bool sim_cache_read(struct sim_cache *cache, uint64_t until)
{
	uint64_t chunk = sim_cache_chunk(cache->vbd);

	/* The next window is asked for when the reader comes into the last one. */
	while (cache->asked < until + cache->window && cache->reading < SIM_CACHE_SLOTS) {
		uint32_t i = (cache->oldest + cache->reading) % SIM_CACHE_SLOTS;
		uint64_t left = cache->size - cache->asked % cache->size;
		uint64_t bytes = left < chunk ? left : chunk;

		cache->reading++;
		submit(cache, &cache->reads[i], cache->asked, (uint32_t)bytes, false, was_read);
		cache->asked += bytes;
	}
	return cache->ready >= until;
}

/* ---- */

bool sim_cache_init(struct sim_cache *cache, struct sim_load *load, struct sim_vbd *vbd,
		    uint64_t size, void (*changed)(struct sim_cache *cache))
{
	memset(cache, 0, sizeof(*cache));
	cache->load = load;
	cache->vbd = vbd;
	cache->size = size;
	cache->sector = sim_load_sector(load);
	cache->age_ns = OLD_NS;
	cache->window = WINDOW;
	cache->changed = changed;
	for (uint32_t i = 0; i < SIM_CACHE_SLOTS; i++)
		cache->writes[i].cache = cache->reads[i].cache = cache;
	sim_event_init(&load->world->queue, &cache->expire, expired);
	return sim_task_init(load->world, &cache->flusher, load->domain, "kworker/flush",
			     flusher_done);
}

void sim_cache_done(struct sim_cache *cache)
{
	struct sim_world *world;

	if (!cache->load)
		return;
	world = cache->load->world;
	for (uint32_t i = 0; i < SIM_CACHE_SLOTS; i++) {
		if (cache->writes[i].busy)
			sim_request_recall(world, &cache->writes[i].request);
		if (cache->reads[i].busy)
			sim_request_recall(world, &cache->reads[i].request);
	}
	sim_task_done(world, &cache->flusher);
	sim_event_done(&world->queue, &cache->expire);
	cache->load = NULL;
}
