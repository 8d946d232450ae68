/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A heap with four children a node, whose groups of siblings are cache lines. Nothing in it points
 * back: moving or cancelling an event leaves its old entry behind, which is passed over when its
 * turn comes. So a sift touches the heap alone, never the events.
 */
#include "event.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ID_BITS   24u
#define ID_MASK   (SIM_EVENTS_MAX - 1)
#define ROOM      3u    /* entries before the root, so that children 4i + 1.. are aligned */
#define FIRST_CAP 1021u /* and each later one: whole groups of siblings behind the root */
#define STALE_MIN 256u  /* with fewer entries, cleaning gains nothing */
#define FETCH_MIN (UINT32_C(1) << 17) /* with fewer, they are in a cache anyhow (measured) */

void sim_queue_init(struct sim_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->digest = UINT64_C(0xcbf29ce484222325);
}

void sim_queue_done(struct sim_queue *queue)
{
	free(queue->heap);
	free(queue->events);
	free(queue->spare);
	memset(queue, 0, sizeof(*queue));
}

/* ---- records ---- */

static bool grow_events(struct sim_queue *queue)
{
	uint32_t cap = queue->event_cap ? queue->event_cap * 2 : 1024;
	struct sim_event **events = realloc(queue->events, cap * sizeof(*events));
	uint32_t *spare;

	if (events)
		queue->events = events;
	spare = events ? realloc(queue->spare, cap * sizeof(*spare)) : NULL;
	if (!spare || cap > SIM_EVENTS_MAX) {
		queue->failed = true;
		return false;
	}
	queue->spare = spare;
	queue->event_cap = cap;
	return true;
}

void sim_event_init(struct sim_queue *queue, struct sim_event *event, sim_fire_fn *fire)
{
	*event = (struct sim_event){ .fire = fire };
	if (queue->spare_count > 0) {
		event->id = queue->spare[--queue->spare_count];
	} else {
		if (queue->event_count == queue->event_cap && !grow_events(queue))
			return;
		event->id = queue->event_count++;
	}
	queue->events[event->id] = event;
}

void sim_event_done(struct sim_queue *queue, struct sim_event *event)
{
	if (queue->failed || queue->events[event->id] != event)
		return;
	sim_cancel(queue, event);
	queue->events[event->id] = NULL;
	queue->spare[queue->spare_count++] = event->id;
}

/* ---- the heap: what is behind its end, up to its capacity, counts as never ---- */

static const struct sim_entry never = { UINT64_MAX, UINT64_MAX };

/* As one number of 128 bits: compared without a branch, which nobody could foresee. */
static bool before(const struct sim_entry *a, const struct sim_entry *b)
{
	return ((unsigned __int128)a->at_ns << 64 | a->key) <
	       ((unsigned __int128)b->at_ns << 64 | b->key);
}

static void sift_up(struct sim_entry *heap, uint32_t i, struct sim_entry entry)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;

		if (!before(&entry, &heap[parent]))
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = entry;
}

static uint32_t least_of_four(const struct sim_entry *heap, uint32_t child)
{
	uint32_t a = child + before(&heap[child + 1], &heap[child]);
	uint32_t b = child + 2 + before(&heap[child + 3], &heap[child + 2]);
	uint32_t other = (uint32_t)-before(&heap[b], &heap[a]); /* all ones, or 0 */

	return a ^ ((a ^ b) & other);
}

static void sift_down(struct sim_entry *heap, uint32_t n, uint32_t i, struct sim_entry entry)
{
	for (uint32_t child; (child = 4 * i + 1) < n;) {
		uint32_t least = least_of_four(heap, child);

		if (!before(&heap[least], &entry))
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = entry;
}

static void take_first(struct sim_queue *queue)
{
	struct sim_entry *heap = queue->heap + ROOM;
	struct sim_entry last = heap[--queue->count];

	heap[queue->count] = never;
	if (queue->count > 0)
		sift_down(heap, queue->count, 0, last);
}

static bool grow_heap(struct sim_queue *queue)
{
	uint32_t cap = queue->cap ? queue->cap * 2 + ROOM : FIRST_CAP;
	size_t bytes = (cap + ROOM) * sizeof(struct sim_entry);
	struct sim_entry *heap = aligned_alloc(64, bytes);

	if (!heap) {
		queue->failed = true;
		return false;
	}
	if (queue->heap)
		memcpy(heap + ROOM, queue->heap + ROOM, queue->count * sizeof(*heap));
	for (uint32_t i = queue->count; i < cap; i++)
		heap[ROOM + i] = never;
	free(queue->heap);
	queue->heap = heap;
	queue->cap = cap;
	return true;
}

static bool is_live(const struct sim_queue *queue, const struct sim_entry *entry)
{
	const struct sim_event *event = queue->events[entry->key & ID_MASK];

	return event && event->key == entry->key;
}

/* Where most entries are of events that were moved or cancelled, they are thrown out. */
static void clean(struct sim_queue *queue)
{
	struct sim_entry *heap = queue->heap + ROOM;
	uint32_t n = 0;

	for (uint32_t i = 0; i < queue->count; i++)
		if (is_live(queue, &heap[i]))
			heap[n++] = heap[i];
	for (uint32_t i = n; i < queue->count; i++)
		heap[i] = never;
	queue->count = n;
	for (uint32_t i = n / 4 + 1; i-- > 0;)
		if (i < n)
			sift_down(heap, n, i, heap[i]);
}

void sim_at(struct sim_queue *queue, struct sim_event *event, uint64_t at_ns)
{
	struct sim_entry entry;

	if (queue->failed)
		return;
	entry.at_ns = at_ns < queue->now_ns ? queue->now_ns : at_ns;
	entry.key = ++queue->asked << ID_BITS | event->id;
	queue->pending += event->key == 0;
	event->key = entry.key;
	if (queue->open) {
		queue->open = false;
		sift_down(queue->heap + ROOM, queue->count, 0, entry);
		return;
	}
	if (queue->count > STALE_MIN && queue->count / 4 > queue->pending)
		clean(queue);
	if (queue->count == queue->cap && !grow_heap(queue))
		return;
	sift_up(queue->heap + ROOM, queue->count++, entry);
}

void sim_after(struct sim_queue *queue, struct sim_event *event, uint64_t ns)
{
	sim_at(queue, event, queue->now_ns + ns);
}

void sim_cancel(struct sim_queue *queue, struct sim_event *event)
{
	queue->pending -= event->key != 0;
	event->key = 0;
}

/*
 * Events and their records are anywhere in memory. The root's children are likely to be next, so
 * their records are fetched; and where to find those of the first child's children.
 */
static void fetch_next(const struct sim_queue *queue)
{
	const struct sim_entry *heap = queue->heap + ROOM;
	uint32_t below = 4 * least_of_four(heap, 1) + 1;

	for (uint32_t i = 1; i <= 4; i++)
		__builtin_prefetch(queue->events[heap[i].key & ID_MASK]);
	for (uint32_t i = below; i < below + 4; i++)
		__builtin_prefetch(&queue->events[heap[i].key & ID_MASK]);
}

/* What it asks for first, itself again for one, takes its place at the root: a sift is saved. */
static void happen(struct sim_queue *queue, struct sim_event *event, uint64_t at_ns)
{
	assert(at_ns >= queue->now_ns);
	queue->now_ns = at_ns;
	queue->fired++;
	queue->digest =
		(queue->digest ^ at_ns ^ (uint64_t)event->id << 40) * UINT64_C(0x9e3779b97f4a7c15);
	event->key = 0;
	queue->pending--;
	queue->open = true;
	if (queue->count > FETCH_MIN)
		fetch_next(queue);
	event->fire(queue, event);
	if (queue->open)
		take_first(queue);
	queue->open = false;
}

bool sim_step(struct sim_queue *queue, uint64_t until_ns)
{
	assert(!queue->open); /* not within an event */
	while (queue->count > 0 && !queue->failed) {
		struct sim_entry first = queue->heap[ROOM];
		struct sim_event *event = queue->events[first.key & ID_MASK];

		if (first.at_ns > until_ns)
			break;
		if (event && event->key == first.key) {
			happen(queue, event, first.at_ns);
			return true;
		}
		take_first(queue);
	}
	if (until_ns > queue->now_ns)
		queue->now_ns = until_ns;
	return false;
}
