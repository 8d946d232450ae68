/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event: what happens next. A queue of events ordered by time, and by when they were asked for
 * among those of equal time: so one seed gives one order, on any machine.
 *
 *   sim_event_init -> { sim_at | sim_after -> fire | sim_cancel }*
 *
 * Event records are embedded in whatever they belong to. An event is pending at most once: asking
 * again moves it. Time is in ns and never goes back.
 */
#ifndef CLOSER_SIM_EVENT_H
#define CLOSER_SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_EVENTS_MAX (UINT32_C(1) << 24) /* records at one time */

struct sim_event;
struct sim_queue;

typedef void sim_fire_fn(struct sim_queue *queue, struct sim_event *event);

struct sim_event {
	uint64_t key; /* of its live entry in the heap; 0: not pending */
	sim_fire_fn *fire;
	uint32_t id;
};

struct sim_entry { /* 16 bytes: four siblings fill a cache line */
	uint64_t at_ns;
	uint64_t key; /* order of asking << 24 | id */
};

struct sim_queue {
	uint64_t now_ns;
	uint64_t fired;         /* events that happened */
	struct sim_entry *heap; /* 64-byte aligned; entry i is at heap[i + 3] */
	uint32_t count, cap; /* entries, those of events that were moved or cancelled among them */
	uint32_t pending;    /* events: so many entries are live */
	bool open;           /* the root is free: its event is happening */
	uint64_t asked;
	struct sim_event **events; /* by id */
	uint32_t *spare;           /* ids to be used again */
	uint32_t event_count, event_cap, spare_count;
	uint64_t digest; /* of the times and ids of all events that happened: the trace in a number
			  */
	bool failed;     /* no memory: nothing more happens */
};

void sim_queue_init(struct sim_queue *queue);
void sim_queue_done(struct sim_queue *queue);

/* Gives the record its id. The record must stay where it is until sim_event_done. */
void sim_event_init(struct sim_queue *queue, struct sim_event *event, sim_fire_fn *fire);
void sim_event_done(struct sim_queue *queue, struct sim_event *event);

/* at_ns in the past is now. */
void sim_at(struct sim_queue *queue, struct sim_event *event, uint64_t at_ns);
void sim_after(struct sim_queue *queue, struct sim_event *event, uint64_t ns);
void sim_cancel(struct sim_queue *queue, struct sim_event *event);
static inline bool sim_is_pending(const struct sim_event *event)
{
	return event->key != 0;
}

/* The next event happens, if there is one until then. False: none; now_ns is then until_ns. */
bool sim_step(struct sim_queue *queue, uint64_t until_ns);

#endif
