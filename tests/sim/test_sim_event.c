/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens next: order, ties, moving and cancelling, many at once, and the trace's number. */
#include "unit.h"

#include "event.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

#define MANY 3000u

struct thing {
	struct sim_event event;
	uint64_t due_ns, asked; /* what the model below expects; due UINT64_MAX: nothing */
	uint32_t number;
};

static struct {
	struct sim_queue queue; /* first */
	struct thing things[MANY];
	uint32_t order[64], count;
	uint64_t asked;
	struct sim_random dice;
} s;

static void begin(sim_fire_fn *fire, uint32_t n)
{
	memset(&s, 0, sizeof(s));
	sim_queue_init(&s.queue);
	sim_random_init(&s.dice, 7, 0);
	for (uint32_t i = 0; i < n; i++) {
		s.things[i] = (struct thing){ .due_ns = UINT64_MAX, .number = i };
		sim_event_init(&s.queue, &s.things[i].event, fire);
	}
}

static void note(struct sim_queue *queue, struct sim_event *event)
{
	assert_true(s.count < 64);
	s.order[s.count++] = ((struct thing *)event)->number;
}

static void expect_order(const uint32_t *numbers, uint32_t n)
{
	assert_int_equal(s.count, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(s.order[i], numbers[i]);
}

static void by_time_then_by_asking(void **state)
{
	begin(note, 6);
	sim_at(&s.queue, &s.things[0].event, 30);
	sim_at(&s.queue, &s.things[1].event, 10);
	sim_at(&s.queue, &s.things[2].event, 20);
	sim_at(&s.queue, &s.things[3].event, 10);
	sim_at(&s.queue, &s.things[4].event, 20);
	sim_at(&s.queue, &s.things[5].event, 10);
	while (sim_step(&s.queue, 1000))
		;
	expect_order((uint32_t[]){ 1, 3, 5, 2, 4, 0 }, 6);
	assert_int_equal(s.queue.now_ns, 1000);
	assert_int_equal(s.queue.fired, 6);
	sim_queue_done(&s.queue);
}

static void until_is_included_and_the_past_is_now(void **state)
{
	begin(note, 2);
	sim_at(&s.queue, &s.things[0].event, 10);
	assert_false(sim_step(&s.queue, 9));
	assert_int_equal(s.queue.now_ns, 9);
	assert_true(sim_step(&s.queue, 10));
	sim_at(&s.queue, &s.things[1].event, 3);
	assert_true(sim_step(&s.queue, 10));
	assert_int_equal(s.queue.now_ns, 10);
	assert_false(sim_step(&s.queue, 4)); /* time does not go back */
	assert_int_equal(s.queue.now_ns, 10);
	sim_queue_done(&s.queue);
}

static void moved_cancelled_asked_again(void **state)
{
	begin(note, 4);
	for (uint32_t i = 0; i < 4; i++)
		sim_at(&s.queue, &s.things[i].event, 10 + i);
	sim_at(&s.queue, &s.things[0].event, 50); /* later */
	sim_at(&s.queue, &s.things[3].event, 5);  /* earlier */
	sim_cancel(&s.queue, &s.things[1].event);
	sim_cancel(&s.queue, &s.things[1].event);
	assert_false(sim_is_pending(&s.things[1].event));
	assert_true(sim_is_pending(&s.things[0].event));
	sim_cancel(&s.queue, &s.things[2].event);
	sim_at(&s.queue, &s.things[2].event, 12); /* where it was */
	while (sim_step(&s.queue, 100))
		;
	expect_order((uint32_t[]){ 3, 2, 0 }, 3);
	assert_false(sim_is_pending(&s.things[0].event));
	sim_queue_done(&s.queue);
}

static void gone_with_its_id_used_again(void **state)
{
	begin(note, 2);
	sim_at(&s.queue, &s.things[0].event, 10);
	uint32_t id = s.things[0].event.id;

	sim_event_done(&s.queue, &s.things[0].event);
	sim_event_done(&s.queue, &s.things[0].event); /* no harm */
	sim_event_init(&s.queue, &s.things[0].event, note);
	assert_int_equal(s.things[0].event.id, id);
	assert_false(sim_step(&s.queue, 20)); /* the old entry is not taken for the new event */
	sim_at(&s.queue, &s.things[0].event, 30);
	assert_true(sim_step(&s.queue, 30));
	expect_order((uint32_t[]){ 0 }, 1);
	sim_queue_done(&s.queue);
}

/* ---- what an event does while it happens ---- */

static void acts(struct sim_queue *queue, struct sim_event *event)
{
	uint32_t number = ((struct thing *)event)->number;

	note(queue, event);
	assert_false(sim_is_pending(event));
	if (number == 0 && s.count == 1) { /* another, itself at once, itself moved, another */
		sim_at(queue, &s.things[1].event, 15);
		sim_at(queue, event, queue->now_ns);
		sim_after(queue, event, 10);
		sim_at(queue, &s.things[2].event, 20);
	} else if (number == 1) { /* what it asked for first is cancelled: its place was taken */
		sim_at(queue, &s.things[3].event, 16);
		sim_cancel(queue, &s.things[3].event);
		sim_at(queue, &s.things[4].event, 15);
	} else if (number == 4) {
		sim_event_done(queue, event); /* it goes */
	}
}

/* An event that is moved again and again, or cancelled, leaves no heap behind. */
static void moved_often(void **state)
{
	begin(note, 3);
	for (uint64_t i = 1; i <= 100000; i++) {
		sim_at(&s.queue, &s.things[0].event, 1000000 + i);
		sim_at(&s.queue, &s.things[1].event, 2000000 - i);
		sim_cancel(&s.queue, &s.things[1].event);
	}
	assert_int_equal(s.queue.pending, 1);
	assert_true(s.queue.count < 1000);
	sim_at(&s.queue, &s.things[2].event, 5);
	while (sim_step(&s.queue, UINT64_MAX - 1))
		;
	expect_order((uint32_t[]){ 2, 0 }, 2);
	assert_int_equal(s.queue.pending, 0);
	sim_queue_done(&s.queue);
}

static void asking_while_it_happens(void **state)
{
	begin(acts, 5);
	sim_at(&s.queue, &s.things[0].event, 10);
	while (sim_step(&s.queue, 100))
		;
	expect_order((uint32_t[]){ 0, 1, 4, 0, 2 }, 5);
	sim_queue_done(&s.queue);
}

/* ---- many, against a model that looks through all of them ---- */

static void ask(struct thing *thing, uint64_t at_ns)
{
	thing->due_ns = at_ns;
	thing->asked = ++s.asked;
	sim_at(&s.queue, &thing->event, at_ns);
}

/* Asks for one, moves one, cancels one, in any order and number; few different times. */
static void stir(struct sim_queue *queue, struct sim_event *event)
{
	struct thing *self = (struct thing *)event, *next = NULL;

	for (uint32_t i = 0; i < MANY; i++) {
		struct thing *thing = &s.things[i];

		if (thing->due_ns != UINT64_MAX &&
		    (!next || thing->due_ns < next->due_ns ||
		     (thing->due_ns == next->due_ns && thing->asked < next->asked)))
			next = thing;
	}
	assert_ptr_equal(self, next);
	assert_int_equal(queue->now_ns, self->due_ns);
	self->due_ns = UINT64_MAX;
	for (uint64_t acts_left = sim_random_below(&s.dice, 4); acts_left-- > 0;) {
		struct thing *other = &s.things[sim_random_below(&s.dice, MANY)];

		if (sim_random_chance(&s.dice, 100000)) {
			other->due_ns = UINT64_MAX;
			sim_cancel(queue, &other->event);
		} else {
			ask(sim_random_chance(&s.dice, 500000) ? self : other,
			    queue->now_ns + sim_random_below(&s.dice, 50));
		}
	}
}

static void many_as_a_model_says(void **state)
{
	begin(stir, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		ask(&s.things[i], sim_random_below(&s.dice, 1000));
	for (uint32_t i = 0; i < 5000; i++)
		assert_true(sim_step(&s.queue, UINT64_MAX - 1));
	assert_false(s.queue.failed);
	sim_queue_done(&s.queue);
}

/* ---- stale entries ---- */

static void stale_entries_are_thrown_out(void **state)
{
	begin(note, 40);
	for (uint32_t i = 0; i < 1000000; i++)
		sim_at(&s.queue, &s.things[i % 40].event, 2000000 - i);
	assert_true(s.queue.cap < 10000); /* not a million */
	while (sim_step(&s.queue, UINT64_MAX - 1))
		;
	assert_int_equal(s.count, 40); /* the last of each; the last asked for is due first */
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(s.order[i], 39 - i);
	sim_queue_done(&s.queue);
}

/* ---- the digest ---- */

static uint64_t digest_of(uint64_t third_ns, bool swap)
{
	uint64_t digest;

	begin(note, 3);
	sim_at(&s.queue, &s.things[swap].event, 10);
	sim_at(&s.queue, &s.things[!swap].event, 10);
	sim_at(&s.queue, &s.things[2].event, third_ns);
	while (sim_step(&s.queue, 100))
		;
	digest = s.queue.digest;
	sim_queue_done(&s.queue);
	return digest;
}

static void digest_is_of_times_and_order(void **state)
{
	assert_true(digest_of(20, false) == digest_of(20, false));
	assert_true(digest_of(20, false) != digest_of(21, false));
	assert_true(digest_of(20, false) != digest_of(20, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_time_then_by_asking),
		cmocka_unit_test(until_is_included_and_the_past_is_now),
		cmocka_unit_test(moved_cancelled_asked_again),
		cmocka_unit_test(gone_with_its_id_used_again),
		cmocka_unit_test(moved_often),
		cmocka_unit_test(asking_while_it_happens),
		cmocka_unit_test(many_as_a_model_says),
		cmocka_unit_test(stale_entries_are_thrown_out),
		cmocka_unit_test(digest_is_of_times_and_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
