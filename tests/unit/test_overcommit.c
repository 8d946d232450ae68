/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What guests can lose: prices, curves, who is taken from, who gets it, and that no page is lost.
 */
#include "unit.h"

#include "balloons.h"
#include "../../core/curve.h"
#include "lib.h"

/* ---- the price ---- */

/* Waldspurger 2002, 5.2: at a tax of 75 % an idle page costs as much as four that are used. */
static void tax_by_hand(void **state)
{
	assert_int_equal(tax_bytes(100, 100, 750000), 100);
	assert_int_equal(tax_bytes(100, 0, 750000), 400);
	assert_int_equal(tax_bytes(100, 50, 750000), 250);
	assert_int_equal(tax_bytes(100, 25, 500000), 175);
	assert_int_equal(tax_bytes(100, 25, 0), 100); /* no tax: shares alone */
	assert_int_equal(tax_bytes(256 * MIB, 256 * MIB - 1, 750000), 256 * MIB + 3);
	assert_int_equal(tax_bytes(UINT64_MAX, 0, 750000), UINT64_MAX);
	/* rho = S / taxed: an idle guest pays four times, so its memory is worth a quarter */
	assert_int_equal(tax_price(256, 256, 256, 750000), 1000000);
	assert_int_equal(tax_price(256, 256, 0, 750000), 250000);
	/* twice the shares, half of it idle: 2 / 2.5 */
	assert_int_equal(tax_price(512, 256, 128, 750000), 800000);
	assert_int_equal(tax_price(256, 256, 0, 0), 1000000);
	assert_int_equal(tax_price(1, 0, 0, 750000), UINT64_MAX);
}

/* ---- curves ---- */

static void fill(struct cl_curve *curve, uint32_t part, uint32_t n, uint64_t mean, uint64_t swing)
{
	for (uint32_t i = 0; i < n; i++)
		curve_add(curve, part, i % 2 ? mean + swing : mean - swing);
}

static void curves(void **state)
{
	struct cl_curve curve = { 0 };

	assert_int_equal(curve_part(1000, 1000), CURVE_FULL);
	assert_int_equal(curve_part(999, 1000), CURVE_FULL - 1);
	assert_int_equal(curve_part(0, 1000), 0);
	assert_int_equal(curve_part(UINT64_MAX, 1), CURVE_FULL);
	/* too few samples of either say nothing, however clear they are */
	fill(&curve, CURVE_FULL, 20, 10000, 10);
	fill(&curve, 12, 4, 10000, 10);
	fill(&curve, 9, 4, 10, 1);
	assert_int_equal(curve_verdict(&curve, 12, 20000, 5), CURVE_UNKNOWN);
	assert_int_equal(curve_verdict(&curve, 9, 20000, 5), CURVE_UNKNOWN);
	fill(&curve, 12, 16, 10000, 10);
	fill(&curve, 11, 16, 9000, 10);
	assert_int_equal(curve_verdict(&curve, 12, 20000, 5), CURVE_SAME);
	assert_int_equal(curve_verdict(&curve, 11, 20000, 5), CURVE_LESS);
	assert_int_equal(curve_verdict(&curve, 11, 200000, 5), CURVE_SAME); /* a tenth is allowed */
	/* samples too far apart: 2 % of 10,000 is less than two standard errors of 20 */
	fill(&curve, 10, 20, 10000, 9000);
	assert_int_equal(curve_verdict(&curve, 10, 20000, 5), CURVE_UNKNOWN);
	/* a guest that does nothing tells nothing */
	curve = (struct cl_curve){ 0 };
	fill(&curve, CURVE_FULL, 64, 0, 0);
	fill(&curve, 8, 64, 0, 0);
	assert_int_equal(curve_verdict(&curve, 8, 20000, 5), CURVE_UNKNOWN);
}

/* However many and large the samples are; old ones fade. */
static void curves_are_bounded(void **state)
{
	struct cl_curve curve = { 0 };

	for (uint32_t i = 0; i < 1000; i++) {
		curve_add(&curve, CURVE_FULL, UINT64_MAX);
		curve_add(&curve, 3, UINT64_MAX);
	}
	assert_true(curve.count[3] <= CURVE_KEPT);
	assert_int_equal(curve_verdict(&curve, 3, 20000, 5), CURVE_SAME);
	fill(&curve, 3, 600, 1000, 0);
	assert_int_equal(curve_verdict(&curve, 3, 20000, 5), CURVE_LESS);
}

/* ---- a host ---- */

/* 4 GiB: a GiB of dom0's, guests of 1 GiB, and what is left; 6 % of it are 245 MiB. */
static void crowd(struct hall *h, uint32_t guests, uint64_t left)
{
	hall_init(h, (1024 + guests * 1024 + left) * MIB);
	h->params.size = 0;
	h->params.overcommit = 1;
	h->params.size_floor = 250000;
	h->params.size_reserve = 0;
	for (uint32_t i = 0; i < guests; i++) {
		struct hall_domain *g = hall_guest(h, i, 1024 * MIB);

		g->max = 2048 * MIB;
		g->used = CL_UNKNOWN;
	}
}

static const struct cl_overcommit_books *books_of(const struct hall *h, uint32_t uuid)
{
	struct cl_uuid id = hall_uuid(uuid);

	for (uint32_t i = 0; i < h->now->n.guests; i++)
		if (cl_uuid_compare(&h->now->guests[i].id, &id) == 0)
			return &h->plan->guest_books[i].overcommit;
	return NULL;
}

static void off_is_off(void **state)
{
	struct hall h;

	crowd(&h, 3, 8);
	h.params.overcommit = 0;
	for (uint32_t i = 0; i < 3; i++)
		h.guests[i].used = 100 * MIB;
	hall_run(&h, 20);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(h.guests[i].target, 1024 * MIB);
	hall_done(&h);
}

/* Memory enough: nothing is taken, and it is told what could be. */
static void high_takes_nothing(void **state)
{
	struct hall h;

	crowd(&h, 2, 2048);
	h.guests[0].used = 100 * MIB;
	h.guests[1].used = 1000 * MIB;
	hall_run(&h, 20);
	assert_int_equal(h.plan->books.memory.pressure, CL_PRESSURE_HIGH);
	assert_int_equal(h.guests[0].target, 1024 * MIB);
	assert_int_equal(h.guests[1].target, 1024 * MIB + 226 * MIB); /* 1,000 and a quarter */
	/* 100 and a quarter are below a quarter of what it has: its floor */
	assert_int_equal(books_of(&h, 1)->lose, 768 * MIB);
	assert_int_equal(books_of(&h, 1)->why.code, CL_REASON_FLOOR);
	assert_int_equal(books_of(&h, 2)->lose, 0);
	hall_done(&h);
}

/* The states: each from its threshold down, and up only at the next one. */
static void states(void **state)
{
	static const struct {
		uint64_t free_ppm;
		enum cl_pressure is;
	} steps[] = {
		{ 60001, CL_PRESSURE_HIGH }, { 40500, CL_PRESSURE_HIGH },
		{ 39000, CL_PRESSURE_SOFT }, { 41000, CL_PRESSURE_SOFT },
		{ 59000, CL_PRESSURE_SOFT }, { 60500, CL_PRESSURE_HIGH },
		{ 19000, CL_PRESSURE_HARD }, { 39000, CL_PRESSURE_HARD },
		{ 9000, CL_PRESSURE_LOW },   { 19000, CL_PRESSURE_LOW },
		{ 21000, CL_PRESSURE_HARD }, { 41000, CL_PRESSURE_SOFT },
		{ 9000, CL_PRESSURE_LOW },   { 70000, CL_PRESSURE_HIGH },
	};
	struct hall h;

	crowd(&h, 1, 6144);
	for (size_t i = 0; i < CL_COUNT(steps); i++) {
		uint64_t free = h.total / 1000000 * steps[i].free_ppm;

		h.dom0.mem = h.dom0.target = h.dom0.had = h.dom0.max = h.total - 1024 * MIB - free;
		h.free = free;
		hall_tick(&h);
		assert_int_equal(h.plan->books.memory.pressure, steps[i].is);
	}
	hall_done(&h);
}

/* What is lent is not lent to the last: the little that the hypervisor itself takes does not make
 * all of it go back. */
static void lent_is_kept(void **state)
{
	struct hall h;
	uint64_t lent;

	crowd(&h, 2, 128);
	h.guests[0].used = 1200 * MIB;
	h.guests[1].used = 815 * MIB;
	hall_run(&h, 6);
	lent = h.guests[0].target;
	assert_true(lent > 1040 * MIB);
	h.total -= 4 * MIB;
	h.free -= 4 * MIB;
	for (int i = 0; i < 6; i++) {
		hall_run(&h, 1);
		assert_true(h.guests[0].target >= lent);
	}
	hall_done(&h);
}

/* The one with most idle memory for its shares gives first, a step at a time; the busy one keeps
 * all. */
static void idle_gives_first(void **state)
{
	struct hall h;
	int ticks = 0;

	crowd(&h, 3, 128); /* 3 % free: soft */
	h.guests[0].used = 700 * MIB;
	h.guests[1].used = 200 * MIB;
	h.guests[2].used = 810 * MIB; /* and a quarter: all it has */
	hall_run(&h, 2);
	assert_int_equal(h.plan->books.memory.pressure, CL_PRESSURE_SOFT);
	assert_true(books_of(&h, 2)->price < books_of(&h, 1)->price);
	assert_true(books_of(&h, 1)->price < books_of(&h, 3)->price);
	assert_true(h.guests[1].target < 1024 * MIB);
	assert_true(1024 * MIB - h.guests[1].target <= 64 * MIB);
	for (; ticks < 30; ticks++)
		hall_run(&h, 1);
	assert_true(h.guests[1].target >= 256 * MIB);
	assert_int_equal(h.guests[2].target, 1024 * MIB);
	assert_true(h.guests[0].target >= 875 * MIB);
	assert_int_equal(h.plan->books.memory.pressure, CL_PRESSURE_HIGH);
	hall_done(&h);
}

/* In need: an idle guest's memory is there within five intervals, and goes back as fast. */
static void to_the_needy_and_back(void **state)
{
	struct hall h;
	struct hall_domain *idle = &h.guests[0], *needy = &h.guests[1];

	crowd(&h, 2, 48);
	h.params.overcommit_free = 6000;
	h.params.overcommit_step = 15625; /* 16 MiB, where nobody is in need */
	needy->max = 1104 * MIB;
	idle->max = 1024 * MIB;
	idle->used = 700 * MIB; /* with a quarter: 149 to spare */
	needy->used = 600 * MIB;
	hall_run(&h, 20);
	assert_int_equal(needy->mem, 1024 * MIB);
	needy->used = 1000 * MIB;
	hall_run(&h, 5);
	assert_int_equal(needy->mem, 1104 * MIB);
	assert_true(idle->mem < 1024 * MIB && idle->mem >= 875 * MIB);
	/* its first burst */
	idle->used = 1000 * MIB;
	hall_run(&h, 3);
	assert_true(idle->mem >= 1000 * MIB);
	needy->used = 300 * MIB;
	hall_run(&h, 40);
	assert_int_equal(needy->mem, 1024 * MIB);
	assert_true(idle->mem >= 1024 * MIB);
	hall_done(&h);
}

/* All that can be lost at once, where memory is nearly out; then nobody has more than its own. */
static void low_takes_at_once(void **state)
{
	struct hall h;

	crowd(&h, 2, 8); /* 0.2 % */
	h.guests[0].used = 400 * MIB;
	h.guests[1].used = 810 * MIB;
	hall_run(&h, 3);
	assert_true(h.guests[0].target <= 1024 * MIB - 150 * MIB);
	assert_int_equal(h.guests[1].target, 1024 * MIB);
	hall_done(&h);
}

/* Nothing is known: nothing is taken before there are samples, then in small steps that are looked
 * at; where it gets less done it has its memory back, and it is not tried again. */
static void steps_are_looked_at(void **state)
{
	struct hall h;
	struct hall_domain *g = &h.guests[0];
	uint64_t least = UINT64_MAX;

	crowd(&h, 1, 16);
	g->has_nic = true;
	for (int i = 0; i < 14; i++) { /* the last change was at the beginning: none */
		g->net += 100 * MIB;
		hall_run(&h, 1);
		if (i < 4)
			assert_int_equal(g->target, 1024 * MIB);
	}
	/* it needs 850 MiB: with less it gets half as much done */
	for (int i = 0; i < 400; i++) {
		g->net += g->mem >= 850 * MIB ? 100 * MIB : 50 * MIB;
		hall_run(&h, 1);
		least = g->mem < least ? g->mem : least;
	}
	assert_true(g->mem >= 850 * MIB && g->mem <= 1024 * MIB - 64 * MIB);
	assert_true(least >= 850 * MIB - 128 * MIB);
	assert_int_equal(books_of(&h, 1)->why.code, CL_REASON_AS_MUCH_DONE);
	for (int i = 0; i < 200; i++) {
		g->net += g->mem >= 850 * MIB ? 100 * MIB : 50 * MIB;
		hall_run(&h, 1);
		assert_true(g->mem >= 850 * MIB);
	}
	hall_done(&h);
}

/* One that does now this, now that: nothing can be concluded, so nothing but one step is taken. */
static void noise_teaches_nothing(void **state)
{
	struct hall h;
	struct hall_domain *g = &h.guests[0];

	crowd(&h, 1, 16);
	g->has_nic = true;
	for (int i = 0; i < 300; i++) {
		g->net += i % 7 < 3 ? 300 * MIB : 1 * MIB;
		hall_run(&h, 1);
		assert_true(g->target >= 1024 * MIB - 64 * MIB);
	}
	hall_done(&h);
}

/* Figures that cannot be: no page beyond what is its own, none below its floor. */
static void lies(void **state)
{
	static const uint64_t told[] = { 0, 1, 4095, UINT64_MAX - 1, INT64_MAX, UINT64_C(1) << 50 };
	struct hall h;

	for (size_t i = 0; i < CL_COUNT(told); i++) {
		crowd(&h, 2, 64);
		h.guests[0].used = told[i];
		h.guests[1].used = 1000 * MIB;
		for (int t = 0; t < 60; t++) {
			hall_run(&h, 1);
			assert_true(h.guests[0].target >= 256 * MIB);
			assert_true(h.guests[0].target <= h.guests[0].max);
			assert_true(h.guests[1].target >= 1024 * MIB);
		}
		hall_done(&h);
	}
}

/* What it says is gone: what was taken on its word goes back, by steps that are looked at. */
static void what_it_says_is_gone(void **state)
{
	struct hall h;

	crowd(&h, 2, 64);
	h.guests[0].used = 200 * MIB;
	h.guests[1].used = CL_UNKNOWN;
	hall_run(&h, 20);
	assert_true(h.guests[0].target < 1024 * MIB);
	h.guests[0].used = CL_UNKNOWN;
	hall_run(&h, 3);
	assert_int_equal(h.guests[0].target, 1024 * MIB);
	assert_int_equal(books_of(&h, 1)->why.code, CL_REASON_NOT_KNOWN);
	hall_done(&h);
}

/* Somebody sets a target: it is his, and the contract from then on. */
static void somebody_else(void **state)
{
	struct hall h;

	crowd(&h, 2, 64);
	h.guests[0].used = 200 * MIB;
	h.guests[1].used = 1000 * MIB;
	hall_run(&h, 20);
	assert_true(h.guests[0].target < 1024 * MIB);
	h.guests[0].target = 640 * MIB;
	hall_tick(&h);
	assert_non_null(hall_action(&h, CL_ACTION_MEMORY_RELEASE, 1));
	assert_null(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1));
	hall_apply(&h);
	hall_done(&h);
}

/* Algorithm 1 and this at once: one target, both parts of it, never below the floor. */
static void with_algorithm_1(void **state)
{
	struct hall h;
	const struct cl_size_books *b;

	crowd(&h, 2, 96);
	h.params.size = 1;
	h.guests[0].used = 200 * MIB;
	h.guests[1].used = 1000 * MIB;
	hall_load(&h, &h.guests[0], 100, 40);
	b = hall_books(&h, 1);
	assert_true(b->asked >= 16 * MIB && b->held == b->asked);
	assert_int_equal(h.dom0.target, 1024 * MIB + h.plan->books.memory.held);
	assert_int_equal(h.guests[0].target, 1024 * MIB - b->asked - books_of(&h, 1)->taken);
	assert_true(books_of(&h, 1)->taken > 0 && h.guests[0].target >= 256 * MIB);
	hall_done(&h);
}

/* What could be started: free, without anybody's noticing, down to the floors. */
static void admission(void **state)
{
	struct hall h;

	crowd(&h, 3, 2048);
	h.guests[0].used = 400 * MIB; /* 500 with the headroom: 524 to lose */
	h.guests[1].used = 1000 * MIB;
	hall_run(&h, 3);
	const struct cl_memory_books *b = &h.plan->books.memory;

	assert_int_equal(b->admit_free, h.free);
	assert_int_equal(b->admit_idle, h.free + 524 * MIB);
	assert_int_equal(b->admit_floor, h.free + 3 * 768 * MIB);
	hall_done(&h);
}

/* ---- 100,000 histories ---- */

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % below;
}

static void check_all(const struct hall *h)
{
	uint64_t pages = h->free + h->dom0.mem;

	for (uint32_t i = 0; i < HALL_GUESTS; i++) {
		const struct hall_domain *g = &h->guests[i];

		if (!g->there)
			continue;
		pages += g->mem;
		assert_true(g->target >= g->had / 4 && g->target <= g->max);
	}
	assert_int_equal(pages, h->total);
	if (h->params.size || h->params.overcommit)
		assert_int_equal(h->plan->books.memory.domains + h->plan->books.memory.free,
				 h->total);
}

static void something_happens(struct hall *h, uint64_t *seed)
{
	uint32_t i = (uint32_t)draw(seed, 6);
	struct hall_domain *g = &h->guests[i];

	switch (draw(seed, 8)) {
	case 0:
		if (!g->there && h->free >= 256 * MIB) {
			g = hall_guest(h, i, 256 * MIB);
			g->max = (256 + draw(seed, 3) * 128) * MIB;
			g->used = CL_UNKNOWN;
			g->has_nic = draw(seed, 2);
			g->speed = (1 + draw(seed, 200)) * MIB;
		}
		break;
	case 1:
		if (g->there && draw(seed, 4) == 0)
			hall_remove(h, i);
		break;
	case 2:
		g->used = draw(seed, 3) ? draw(seed, 400) * MIB : draw(seed, UINT64_MAX);
		break;
	case 3:
		g->used = CL_UNKNOWN;
		break;
	case 4:
		g->gives = draw(seed, 4) ? UINT64_MAX : draw(seed, 100) * MIB;
		break;
	case 5:
		h->refuse = draw(seed, 5) ? 0 : EBUSY;
		break;
	case 6:
		h->params.size = draw(seed, 2);
		break;
	case 7:
		h->params.overcommit = draw(seed, 8) > 0;
		break;
	}
}

static void histories(void **state)
{
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

	for (uint32_t history = 0; history < 100000; history++) {
		struct hall h;

		hall_init(&h, (1024 + 64 + draw(&seed, 1800)) * MIB);
		h.params.overcommit = 1;
		h.params.size_floor = 250000;
		h.params.overcommit_settle = CL_NS_PER_S * (1 + draw(&seed, 5));
		h.params.overcommit_samples = 2 + draw(&seed, 4);
		for (int t = 0; t < 20; t++) {
			something_happens(&h, &seed);
			for (uint32_t i = 0; i < 6; i++)
				h.guests[i].net += draw(&seed, 100) * MIB;
			hall_run(&h, 1);
			check_all(&h);
		}
		hall_done(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tax_by_hand),
		cmocka_unit_test(curves),
		cmocka_unit_test(curves_are_bounded),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(high_takes_nothing),
		cmocka_unit_test(states),
		cmocka_unit_test(lent_is_kept),
		cmocka_unit_test(idle_gives_first),
		cmocka_unit_test(to_the_needy_and_back),
		cmocka_unit_test(low_takes_at_once),
		cmocka_unit_test(steps_are_looked_at),
		cmocka_unit_test(noise_teaches_nothing),
		cmocka_unit_test(lies),
		cmocka_unit_test(what_it_says_is_gone),
		cmocka_unit_test(somebody_else),
		cmocka_unit_test(with_algorithm_1),
		cmocka_unit_test(admission),
		cmocka_unit_test(histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
