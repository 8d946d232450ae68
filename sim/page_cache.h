/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_cache: what a guest's kernel keeps between a file and the disk, in short.
 *
 *   written: dirty -> (background, or old) write-back in the order of writing -> clean
 *   read in order: read ahead in windows, as Linux does
 *
 * Whoever writes more than may be dirty waits until the disk has caught up. What is in the cache is
 * not kept page by page: a load says what it expects to find there.
 */
#ifndef CLOSER_SIM_PAGE_CACHE_H
#define CLOSER_SIM_PAGE_CACHE_H

#include "load.h"

#define SIM_CACHE_SLOTS 32u /* requests of one kind on their way */

struct sim_cache;

struct sim_cache_slot {
	struct sim_cache *cache;
	struct sim_request request;
	bool busy, done;
};

struct sim_cache {
	struct sim_load *load;
	struct sim_vbd *vbd;
	uint64_t sector, size; /* of the file */
	uint64_t background, most, age_ns;
	/* Those who wait are told: room to write, or more to read. */
	void (*changed)(struct sim_cache *cache);

	/* write-back */
	uint64_t dirty, under_way; /* under_way: of the dirty bytes, on their way to the disk */
	uint64_t at, written;      /* where the next goes; so much has gone */
	struct sim_task flusher;
	bool flushing;
	struct sim_event expire;
	struct sim_cache_slot writes[SIM_CACHE_SLOTS];

	/* read-ahead */
	uint64_t window, asked, ready; /* offsets in the file, since the reading began */
	uint32_t oldest, reading;
	struct sim_cache_slot reads[SIM_CACHE_SLOTS];
};

/* background, most: bytes; size: of the file. False: no memory. */
bool sim_cache_init(struct sim_cache *cache, struct sim_load *load, struct sim_vbd *vbd,
		    uint64_t size, void (*changed)(struct sim_cache *cache));
void sim_cache_done(struct sim_cache *cache);
/* May somebody write now, or has he to wait? */
bool sim_cache_may_write(const struct sim_cache *cache);
/* So many bytes have been copied into the cache. */
void sim_cache_write(struct sim_cache *cache, uint64_t bytes);
/* Somebody wants to read in order up to that offset; the file goes on from its beginning. False: it
 * is not there yet. The kernel reads on ahead of him. */
bool sim_cache_read(struct sim_cache *cache, uint64_t until);
uint32_t sim_cache_chunk(const struct sim_vbd *vbd); /* bytes of the largest request */

#endif
