/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk: a physical disk that serves some requests at a time, or memory that stands for one. */
#include "io.h"

#include <stdlib.h>
#include <string.h>

struct slot { /* for one request in service */
	struct sim_event event;
	struct sim_disk *disk;
};

static void begin(struct sim_disk *disk);
static void poll(struct sim_disk *disk);

static void finished(struct sim_queue *queue, struct sim_event *event)
{
	struct slot *slot = sim_of(event, struct slot, event);
	struct sim_disk *disk = slot->disk;
	uint32_t i = (uint32_t)(slot - disk->slots);
	struct sim_request *request = disk->in_service[i];

	disk->in_service[i] = NULL;
	disk->active--;
	sim_requests_add(&disk->finished, request);
	poll(disk);
	begin(disk);
}

/* One interrupt for what is through by then. */
static void poll(struct sim_disk *disk)
{
	struct sim_world *world = disk->world;
	struct sim_request *request;

	if (disk->poll.queued || disk->polled.count > 0 || disk->finished.count == 0)
		return;
	while ((request = sim_requests_take(&disk->finished)))
		sim_requests_add(&disk->polled, request);
	disk->poll.burst = (struct sim_burst){ disk->polled.count * world->costs.disk_driver_ns, 0,
					       disk->node, CL_NONE };
	sim_irq_raise(world, &disk->irq, &disk->poll);
}

static void poll_done(struct sim_world *world, struct sim_irq_work *work)
{
	struct sim_disk *disk = sim_of(work, struct sim_disk, poll);
	struct sim_requests through = disk->polled;
	struct sim_request *request;

	sim_requests_init(&disk->polled);
	while ((request = sim_requests_take(&through)))
		sim_vbd_finished(world, request);
	poll(disk);
}

static uint64_t service_ns(struct sim_disk *disk, const struct sim_request *request)
{
	uint64_t now = disk->world->queue.now_ns, ns = disk->access_ns, start;

	if (disk->seek_ns && request->sector != disk->next_sector)
		ns += sim_random_between(&disk->random, disk->seek_ns / 2, disk->seek_ns * 3 / 2);
	disk->next_sector = request->sector + (request->bytes + 511) / 512;
	if (!disk->bandwidth)
		return ns;
	/* The medium moves one request's bytes at a time. */
	start = now + ns > disk->transfer_free_ns ? now + ns : disk->transfer_free_ns;
	disk->transfer_free_ns = start + (uint64_t)((unsigned __int128)request->bytes * 1000 *
						    CL_PPM / disk->bandwidth);
	return disk->transfer_free_ns - now;
}

static void begin(struct sim_disk *disk)
{
	struct sim_request *request;

	for (uint32_t i = 0; i < disk->depth && disk->queue.count > 0; i++) {
		if (disk->in_service[i])
			continue;
		request = sim_requests_take(&disk->queue);
		disk->in_service[i] = request;
		disk->active++;
		sim_after(&disk->world->queue, &disk->slots[i].event, service_ns(disk, request));
	}
}

void sim_disk_submit(struct sim_disk *disk, struct sim_request *request)
{
	if (disk->in_memory) {
		sim_vbd_finished(disk->world, request);
		return;
	}
	sim_requests_add(&disk->queue, request);
	begin(disk);
}

bool sim_disk_recall(struct sim_disk *disk, struct sim_request *request)
{
	if (sim_requests_drop(&disk->queue, request) ||
	    sim_requests_drop(&disk->finished, request) ||
	    sim_requests_drop(&disk->polled, request))
		return true;
	for (uint32_t i = 0; i < disk->depth; i++) {
		if (disk->in_service[i] != request)
			continue;
		sim_cancel(&disk->world->queue, &disk->slots[i].event);
		disk->in_service[i] = NULL;
		disk->active--;
		begin(disk);
		return true;
	}
	return false;
}

struct sim_disk *sim_disk_new(struct sim_world *world, struct sim_domain *owner, const char *name,
			      uint32_t depth)
{
	struct sim_disk *disk = calloc(1, sizeof(*disk));
	struct slot *slots = calloc(depth, sizeof(*slots));

	if (!disk || !slots || !(disk->in_service = calloc(depth, sizeof(struct sim_request *)))) {
		free(slots);
		free(disk);
		world->queue.failed = true;
		return NULL;
	}
	disk->world = world;
	disk->owner = owner;
	disk->depth = depth;
	disk->node = CL_NONE;
	disk->slots = slots;
	disk->poll.done = poll_done;
	strncpy(disk->name, name, sizeof(disk->name) - 1);
	sim_requests_init(&disk->queue);
	sim_requests_init(&disk->finished);
	sim_requests_init(&disk->polled);
	sim_random_init(&disk->random, world->seed, UINT64_C(0xd15c00000) + world->next_irq);
	sim_irq_init(&disk->irq, owner, name, CL_NONE);
	for (uint32_t i = 0; i < depth; i++) {
		slots[i].disk = disk;
		sim_event_init(&world->queue, &slots[i].event, finished);
	}
	return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
	if (!disk)
		return;
	for (uint32_t i = 0; i < disk->depth; i++)
		sim_event_done(&disk->world->queue, &disk->slots[i].event);
	sim_irq_drop(disk->world, &disk->irq, &disk->poll);
	sim_irq_done(&disk->irq);
	free(disk->in_service);
	free(disk->slots);
	free(disk);
}
