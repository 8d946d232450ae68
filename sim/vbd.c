/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbd: blkfront and blkback. A request waits in the guest while its ring is full; blkback's thread
 * maps its pages and hands it to the disk; the answer is written where the disk is through, in the
 * owner's interrupt. Answers come in the order in which the disk is through, not in that of asking.
 */
#include "io.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECT_PAGES 11u /* BLKIF_MAX_SEGMENTS_PER_REQUEST */
#define TURN         SIM_BLK_RING
#define LOOK_NS      (100 * CL_NS_PER_MS) /* LRU_INTERVAL */

void sim_requests_init(struct sim_requests *requests)
{
	requests->first = NULL;
	requests->last = &requests->first;
	requests->count = 0;
}

void sim_requests_add(struct sim_requests *requests, struct sim_request *request)
{
	request->next = NULL;
	*requests->last = request;
	requests->last = &request->next;
	requests->count++;
}

struct sim_request *sim_requests_take(struct sim_requests *requests)
{
	struct sim_request *request = requests->first;

	if (!request)
		return NULL;
	requests->first = request->next;
	if (!requests->first)
		requests->last = &requests->first;
	requests->count--;
	return request;
}

bool sim_requests_drop(struct sim_requests *requests, const struct sim_request *request)
{
	struct sim_request **at = &requests->first;

	while (*at && *at != request)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = request->next;
	if (requests->last == &request->next)
		requests->last = at;
	requests->count--;
	return true;
}

static uint64_t pages_of(const struct sim_requests *requests)
{
	uint64_t pages = 0;

	for (const struct sim_request *request = requests->first; request; request = request->next)
		pages += (request->bytes + SIM_PAGE - 1) / SIM_PAGE;
	return pages;
}

struct sim_burst sim_submit_burst(const struct sim_vbd *vbd, uint32_t bytes, uint64_t own_ns)
{
	return (struct sim_burst){ own_ns + vbd->guest->world->costs.blkfront_ns, 0, CL_NONE,
				   CL_NONE };
}

/* ---- blkback ---- */

/* A disk in memory is copied from or to by the very thread that asks. */
static uint64_t copied_bytes(const struct sim_vbd *vbd, const struct sim_requests *requests)
{
	uint64_t bytes = 0;

	for (const struct sim_request *request = requests->first; request; request = request->next)
		bytes += vbd->disk->in_memory ? request->bytes : 0;
	return bytes;
}

static void run_back(struct sim_world *world, struct sim_vbd_ring *ring)
{
	const struct sim_costs *costs = &world->costs;
	struct sim_vbd *vbd = ring->vbd;
	struct sim_request *request;
	uint64_t turn = 0;

	if (ring->working || ring->asked.count == 0 || vbd->blocked)
		return;
	while (ring->worked.count < TURN && (request = sim_requests_take(&ring->asked)))
		sim_requests_add(&ring->worked, request);
	if (ring->blkback.state == SIM_TASK_SLEEPING)
		turn = sim_turn_ns(vbd->back, SIM_TURN_BLKBACK, costs->blkback_turn_ns);
	struct sim_burst burst = {
		turn + ring->worked.count * (costs->blkback_ns + costs->disk_driver_ns) +
			pages_of(&ring->worked) * costs->blkback_page_ns,
		copied_bytes(vbd, &ring->worked),
		sim_domain_node(vbd->guest),
		vbd->disk->node,
	};

	ring->working = true;
	sim_task_run(world, &ring->blkback, &burst);
}

static uint64_t limit_ns(const struct sim_vbd *vbd, uint32_t bytes)
{
	return (uint64_t)((unsigned __int128)bytes * 1000 * CL_PPM / vbd->rate);
}

/* io.max: a request may begin when those before it have had their time at the limit's rate. */
static void let_go(struct sim_world *world, struct sim_vbd *vbd)
{
	uint64_t now = world->queue.now_ns, next = UINT64_MAX;

	for (uint32_t way = 0; way < 2; way++) {
		uint64_t *free_ns = &vbd->rate_free_ns[way];

		while (vbd->held[way].first && (!vbd->rate || *free_ns <= now)) {
			struct sim_request *request = sim_requests_take(&vbd->held[way]);

			if (vbd->rate)
				*free_ns = now + limit_ns(vbd, request->bytes);
			sim_disk_submit(vbd->disk, request);
		}
		if (vbd->held[way].first && *free_ns < next)
			next = *free_ns;
	}
	if (next != UINT64_MAX)
		sim_at(&world->queue, &vbd->release, next);
}

void sim_vbd_limit(struct sim_world *world, struct sim_vbd *vbd, uint64_t rate)
{
	sim_cancel(&world->queue, &vbd->release);
	vbd->rate = rate;
	vbd->rate_free_ns[0] = vbd->rate_free_ns[1] = world->queue.now_ns;
	let_go(world, vbd);
}

static void release(struct sim_queue *queue, struct sim_event *event)
{
	let_go(sim_world_of(queue), sim_of(event, struct sim_vbd, release));
}

static void blkback_done(struct sim_world *world, struct sim_task *task)
{
	struct sim_vbd_ring *ring = sim_of(task, struct sim_vbd_ring, blkback);
	struct sim_request *request;

	ring->working = false;
	ring->seen_ns = world->queue.now_ns;
	while ((request = sim_requests_take(&ring->worked)))
		sim_requests_add(&ring->vbd->held[request->write], request);
	let_go(world, ring->vbd);
	run_back(world, ring);
}

/* The thread looks after the pages that it keeps mapped where it has had no request for so long. */
static void look(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_vbd_ring *ring = sim_of(event, struct sim_vbd_ring, look);
	struct sim_world *world = sim_world_of(queue);
	struct sim_burst burst = { world->costs.blkback_look_ns, 0, CL_NONE, CL_NONE };
	uint64_t due = ring->seen_ns + LOOK_NS;

	if (ring->working || due > queue->now_ns) {
		sim_at(queue, event, due > queue->now_ns ? due : queue->now_ns + LOOK_NS);
		return;
	}
	sim_after(queue, event, LOOK_NS);
	ring->working = true;
	sim_task_run(world, &ring->blkback, &burst);
}

static void kicked(struct sim_world *world, struct sim_irq_work *work)
{
	run_back(world, sim_of(work, struct sim_vbd_ring, kick));
}

/* ---- blkfront ---- */

static void ask(struct sim_world *world, struct sim_vbd_ring *ring)
{
	struct sim_request *request;
	bool any = false;

	while (ring->in_ring < SIM_BLK_RING && (request = sim_requests_take(&ring->waiting))) {
		ring->in_ring++;
		sim_requests_add(&ring->asked, request);
		any = true;
	}
	/* The back end asks to be told only when it has seen all there is. */
	if (!any || ring->working || ring->vbd->blocked)
		return;
	if (!ring->kick.queued)
		ring->kick.burst =
			(struct sim_burst){ sim_turn_ns(ring->vbd->back, SIM_TURN_BLKBACK_IRQ,
							world->costs.blkback_irq_ns),
					    0, CL_NONE, CL_NONE };
	sim_irq_raise(world, &ring->irq, &ring->kick);
}

void sim_submit(struct sim_world *world, struct sim_vbd *vbd, uint32_t ring,
		struct sim_request *request)
{
	assert(request->bytes <= vbd->indirect_pages * SIM_PAGE);
	request->vbd = vbd;
	request->ring = ring % vbd->ring_count;
	request->born_ns = world->queue.now_ns;
	sim_requests_add(&vbd->rings[request->ring].waiting, request);
	ask(world, &vbd->rings[request->ring]);
}

static void run_front(struct sim_world *world, struct sim_vbd_ring *ring)
{
	struct sim_request *request;

	if (ring->front.queued || ring->taken.count > 0 || ring->answered.count == 0)
		return;
	while ((request = sim_requests_take(&ring->answered)))
		sim_requests_add(&ring->taken, request);
	ring->front.burst = (struct sim_burst){ ring->taken.count * world->costs.blkfront_ns, 0,
						CL_NONE, CL_NONE };
	sim_irq_raise(world, &ring->front_irq, &ring->front);
}

void sim_vbd_finished(struct sim_world *world, struct sim_request *request)
{
	if (!request->vbd) { /* the owner's own */
		request->done(world, request);
		return;
	}
	struct sim_vbd_ring *ring = &request->vbd->rings[request->ring];

	sim_requests_add(&ring->answered, request);
	run_front(world, ring);
}

static void front_done(struct sim_world *world, struct sim_irq_work *work)
{
	struct sim_vbd_ring *ring = sim_of(work, struct sim_vbd_ring, front);
	struct sim_vbd *vbd = ring->vbd;
	struct sim_requests through = ring->taken;
	struct sim_request *request;

	sim_requests_init(&ring->taken);
	while ((request = sim_requests_take(&through))) {
		ring->in_ring--;
		vbd->latency_ns += world->queue.now_ns - request->born_ns;
		if (request->write) {
			vbd->writes++;
			vbd->written_bytes += request->bytes;
		} else {
			vbd->reads++;
			vbd->read_bytes += request->bytes;
		}
		request->done(world, request);
	}
	ask(world, ring);
	run_front(world, ring);
}

void sim_request_recall(struct sim_world *world, struct sim_request *request)
{
	struct sim_vbd *vbd = request->vbd;
	struct sim_vbd_ring *ring = &vbd->rings[request->ring];

	if (sim_requests_drop(&ring->waiting, request))
		return;
	if (sim_requests_drop(&ring->asked, request) || sim_requests_drop(&ring->worked, request) ||
	    sim_requests_drop(&vbd->held[request->write], request) ||
	    sim_disk_recall(vbd->disk, request) || sim_requests_drop(&ring->answered, request) ||
	    sim_requests_drop(&ring->taken, request)) {
		ring->in_ring--;
		ask(world, ring);
	}
}

/* ---- making and ending one ---- */

static void init_ring(struct sim_world *world, struct sim_vbd *vbd, uint32_t index)
{
	struct sim_vbd_ring *ring = &vbd->rings[index];
	struct cl_cpuset one;
	char name[32];

	ring->vbd = vbd;
	ring->index = index;
	ring->vcpu = index % vbd->guest->vcpu_count;
	ring->kick.done = kicked;
	ring->front.done = front_done;
	sim_requests_init(&ring->waiting);
	sim_requests_init(&ring->asked);
	sim_requests_init(&ring->worked);
	sim_requests_init(&ring->answered);
	sim_requests_init(&ring->taken);
	sim_irq_init(&ring->irq, vbd->back, "blkif-backend", vbd->guest->id);
	sim_irq_init(&ring->front_irq, vbd->guest, "blkif", CL_NONE);
	cl_cpuset_zero(&one);
	cl_cpuset_add(&one, ring->vcpu);
	sim_irq_place(&ring->front_irq, &one);
	sim_event_init(&world->queue, &ring->look, look);
	if (world->costs.blkback_look_ns) /* else it would change nothing */
		sim_after(&world->queue, &ring->look, LOOK_NS);
	snprintf(name, sizeof(name), "%u.%s-%u", vbd->guest->id, vbd->name, index);
	if (!sim_task_init(world, &ring->blkback, vbd->back, name, blkback_done))
		return;
	ring->blkback.kind = CL_WORK_BLKBACK;
	ring->blkback.guest = vbd->guest->id;
	ring->blkback.queue_vcpu = ring->vcpu;
}

struct sim_vbd *sim_vbd_new(struct sim_world *world, struct sim_domain *guest,
			    struct sim_domain *back, struct sim_disk *disk, uint32_t rings)
{
	struct sim_vbd *vbd = calloc(1, sizeof(*vbd));

	assert(rings > 0 && rings <= SIM_QUEUES_MAX);
	if (!vbd || !(vbd->rings = calloc(rings, sizeof(*vbd->rings)))) {
		free(vbd);
		world->queue.failed = true;
		return NULL;
	}
	vbd->guest = guest;
	vbd->back = back;
	vbd->disk = disk;
	vbd->ring_count = rings;
	vbd->indirect_pages = DIRECT_PAGES;
	strcpy(vbd->name, "xvda");
	sim_requests_init(&vbd->held[0]);
	sim_requests_init(&vbd->held[1]);
	sim_event_init(&world->queue, &vbd->release, release);
	for (uint32_t i = 0; i < rings; i++)
		init_ring(world, vbd, i);
	vbd->next = guest->vbds;
	guest->vbds = vbd;
	return vbd;
}

void sim_vbd_free(struct sim_world *world, struct sim_vbd *vbd)
{
	for (uint32_t i = 0; vbd && i < vbd->ring_count; i++) {
		struct sim_vbd_ring *ring = &vbd->rings[i];

		sim_event_done(&world->queue, &ring->look);
		sim_irq_drop(world, &ring->irq, &ring->kick);
		sim_irq_drop(world, &ring->front_irq, &ring->front);
		sim_task_done(world, &ring->blkback);
		sim_irq_done(&ring->irq);
		sim_irq_done(&ring->front_irq);
	}
	if (!vbd)
		return;
	struct sim_vbd **at = &vbd->guest->vbds;

	while (*at != vbd)
		at = &(*at)->next;
	*at = vbd->next;
	sim_event_done(&world->queue, &vbd->release);
	free(vbd->rings);
	free(vbd);
}
