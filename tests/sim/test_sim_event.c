/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events happen in order, each once; random numbers are as they should be distributed. */
#include "event.h"
#include "random.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

/* ---- events ---- */

struct thing {
	struct sim_event event;
	uint64_t due_ns, asked, at_ns;
	uint32_t times;
};

static struct thing *order[4096];
static uint32_t happened;

static void happens(struct sim_queue *queue, struct sim_event *event)
{
	struct thing *thing = (struct thing *)(void *)event;

	thing->at_ns = queue->now_ns;
	thing->times++;
	order[happened++ % 4096] = thing;
}

static void in_order(void **state)
{
	struct thing things[5] = { 0 };
	static const uint64_t at[] = { 30, 10, 20, 10, 5 };
	static const uint32_t expected[] = { 4, 1, 3, 2, 0 };
	struct sim_queue queue;

	sim_queue_init(&queue);
	happened = 0;
	for (uint32_t i = 0; i < 5; i++) {
		sim_event_init(&queue, &things[i].event, happens);
		assert_false(sim_is_pending(&things[i].event));
		sim_at(&queue, &things[i].event, at[i]);
		assert_true(sim_is_pending(&things[i].event));
	}
	/* Of equal time: as they were asked for. */
	while (sim_step(&queue, 100))
		;
	assert_int_equal(happened, 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_ptr_equal(order[i], &things[expected[i]]);
		assert_int_equal(order[i]->at_ns, at[expected[i]]);
		assert_false(sim_is_pending(&things[i].event));
	}
	assert_int_equal(queue.now_ns, 100);
	assert_int_equal(queue.fired, 5);
	sim_queue_done(&queue);
}

static void moved_and_cancelled(void **state)
{
	struct thing a = { 0 }, b = { 0 };
	struct sim_queue queue;

	sim_queue_init(&queue);
	sim_event_init(&queue, &a.event, happens);
	sim_event_init(&queue, &b.event, happens);
	sim_at(&queue, &a.event, 10);
	sim_at(&queue, &a.event, 50);
	sim_at(&queue, &b.event, 20);
	sim_cancel(&queue, &b.event);
	assert_false(sim_step(&queue, 49));
	assert_int_equal(queue.now_ns, 49);
	assert_true(sim_step(&queue, 50));
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 0);
	/* The past is now; time does not go back. */
	sim_at(&queue, &a.event, 3);
	assert_false(sim_step(&queue, 40));
	assert_true(sim_step(&queue, 50));
	assert_int_equal(a.at_ns, 50);
	assert_false(sim_step(&queue, 10));
	assert_int_equal(queue.now_ns, 50);
	/* One that is gone does not happen, though another one has its id. */
	sim_at(&queue, &a.event, 60);
	sim_event_done(&queue, &a.event);
	sim_event_init(&queue, &b.event, happens);
	assert_int_equal(b.event.id, a.event.id);
	assert_false(sim_step(&queue, 100));
	assert_int_equal(a.times, 2);
	sim_queue_done(&queue);
}

static int compare(const void *a, const void *b)
{
	const struct thing *x = *(struct thing *const *)a, *y = *(struct thing *const *)b;

	if (x->due_ns != y->due_ns)
		return x->due_ns < y->due_ns ? -1 : 1;
	return x->asked < y->asked ? -1 : x->asked > y->asked;
}

/* Asked for, moved and cancelled at random, far more often than there are events: the heap throws
 * out what is stale, and the order is that of a sort. */
static uint64_t churn(uint64_t seed, uint64_t *ret_most)
{
	static struct thing things[3000];
	static struct thing *sorted[3000];
	struct sim_random random;
	struct sim_queue queue;
	uint32_t count = 0;
	uint64_t digest;

	memset(things, 0, sizeof(things));
	sim_random_init(&random, seed, 0);
	sim_queue_init(&queue);
	happened = 0;
	for (uint32_t i = 0; i < 3000; i++)
		sim_event_init(&queue, &things[i].event, happens);
	for (uint32_t i = 0; i < 60000; i++) {
		struct thing *thing = &things[sim_random_below(&random, 3000)];

		if (sim_random_chance(&random, 300000)) {
			sim_cancel(&queue, &thing->event);
			continue;
		}
		thing->due_ns = sim_random_below(&random, 5000);
		thing->asked = i;
		sim_at(&queue, &thing->event, thing->due_ns);
	}
	*ret_most = queue.count;
	for (uint32_t i = 0; i < 3000; i++)
		if (sim_is_pending(&things[i].event))
			sorted[count++] = &things[i];
	qsort(sorted, count, sizeof(sorted[0]), compare);
	while (sim_step(&queue, 10000))
		;
	assert_int_equal(happened, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_ptr_equal(order[i], sorted[i]);
		assert_int_equal(order[i]->at_ns, sorted[i]->due_ns);
	}
	digest = queue.digest;
	sim_queue_done(&queue);
	return digest;
}

static void churned(void **state)
{
	uint64_t most;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		uint64_t digest = churn(seed, &most);

		assert_true(most < 30000);
		assert_int_equal(churn(seed, &most), digest);
		assert_int_not_equal(churn(seed + 100, &most), digest);
	}
}

/* ---- random numbers ---- */

/* The streams' authors' own: xoshiro256** of the state 1, 2, 3, 4. */
static void reference(void **state)
{
	struct sim_random random = { { 1, 2, 3, 4 } };
	static const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(sim_random_u64(&random), expected[i]);
}

static void streams(void **state)
{
	struct sim_random a, b, c, d;
	uint32_t same = 0;

	sim_random_init(&a, 1, 1);
	sim_random_init(&b, 1, 1);
	sim_random_init(&c, 1, 2);
	sim_random_init(&d, 2, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t x = sim_random_u64(&a);

		assert_int_equal(sim_random_u64(&b), x);
		same += sim_random_u64(&c) == x;
		same += sim_random_u64(&d) == x;
	}
	assert_int_equal(same, 0);
}

static void uniform(void **state)
{
	struct sim_random random;
	uint32_t counts[10] = { 0 };
	double chi = 0;

	sim_random_init(&random, 7, 7);
	for (uint32_t i = 0; i < 100000; i++)
		counts[sim_random_below(&random, 10)]++;
	for (uint32_t i = 0; i < 10; i++)
		chi += (counts[i] - 1e4) * (counts[i] - 1e4) / 1e4;
	assert_true(chi < 27.88); /* 99.9 %, 9 degrees of freedom */
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t x = sim_random_between(&random, 5, 7);

		assert_true(x >= 5 && x <= 7);
		assert_int_equal(sim_random_between(&random, 9, 9), 9);
		assert_int_equal(sim_random_below(&random, 1), 0);
		assert_false(sim_random_chance(&random, 0));
		assert_true(sim_random_chance(&random, 1000000));
	}
}

static void logarithm(void **state)
{
	struct sim_random random;

	sim_random_init(&random, 3, 3);
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t u = sim_random_u64(&random) >> sim_random_below(&random, 64);
		long double expected = 64 * logl(2) - logl(u ? (long double)u : 1);
		long double is = (long double)sim_minus_ln(u) / 4294967296.0L;

		assert_true(fabsl(is - expected) < 1e-8L);
	}
	assert_int_equal(sim_minus_ln(0), sim_minus_ln(1));
	assert_true(sim_minus_ln(UINT64_MAX) <= 1);
}

static void distributions(void **state)
{
	double sum = 0, squares = 0, n = 200000;
	struct sim_random random;

	sim_random_init(&random, 5, 5);
	for (uint32_t i = 0; i < 200000; i++) {
		double x = (double)sim_random_exponential(&random, 1000000);

		sum += x;
		squares += x * x;
	}
	/* Mean and deviation are the same: 1; four standard errors. */
	assert_true(fabs(sum / n / 1e6 - 1) < 4 / sqrt(n));
	assert_true(fabs(sqrt(squares / n - sum / n * (sum / n)) / 1e6 - 1) < 8 / sqrt(n));
	sum = squares = 0;
	for (uint32_t i = 0; i < 200000; i++) {
		double x = (double)sim_random_normal_ppm(&random) / 1e6;

		assert_true(fabs(x) <= 6);
		sum += x;
		squares += x * x;
	}
	assert_true(fabs(sum / n) < 4 / sqrt(n));
	assert_true(fabs(squares / n - 1) < 4 * sqrt(2 / n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),  cmocka_unit_test(moved_and_cancelled),
		cmocka_unit_test(churned),   cmocka_unit_test(reference),
		cmocka_unit_test(streams),   cmocka_unit_test(uniform),
		cmocka_unit_test(logarithm), cmocka_unit_test(distributions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
