/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizing: what guests contribute, in advance and back; balloons as they are; no page twice. */
#include "balloons.h"

static struct hall h;

static int start(void **state)
{
	hall_init(&h, 8192 * MIB);
	h.params.size_eps = h.params.size_increment = 16 * MIB;
	h.params.size_level = 32 * MIB;
	h.params.size_levels = 4;
	h.params.size_hold = 2 * CL_NS_PER_S;
	h.params.size_patience = 3 * CL_NS_PER_S;
	return 0;
}

static int stop(void **state)
{
	hall_done(&h);
	return 0;
}

static void test_off(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	h.params.size = 0;
	hall_load(&h, g, 100, 10);
	assert_int_equal(g->target, 1024 * MIB);
	assert_int_equal(h.dom0.target, 1024 * MIB);
	assert_int_equal(h.plan->n.actions, 0);
}

/* Algorithm 1: M - n * eps at the start, and n * eps more for the privileged side. */
static void test_start(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	g->home = 3;
	hall_run(&h, 6);
	assert_int_equal(g->mem, (1024 - 2 * 16) * MIB);
	assert_int_equal(h.dom0.mem, (1024 + 2 * 16) * MIB);
	assert_int_equal(hall_books(&h, 1)->asked, 32 * MIB);
	assert_int_equal(hall_books(&h, 1)->held, 32 * MIB);
	assert_int_equal(h.plan->books.memory.flight, 0);
	assert_int_equal(h.plan->books.memory.drift, 0);
	/* eps by the instance's memory, too */
	h.params.size_eps_share = 10000;
	hall_run(&h, 6);
	assert_int_equal(g->mem, 1024 * MIB - 2 * (16 * MIB + 1024 * MIB / 100 / 4096 * 4096));
}

/* I/O steps up and down: each increment is there before the level that needs it, and goes back. */
static void test_levels(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);
	const struct cl_size_books *b;

	hall_run(&h, 6);
	for (int round = 0; round < 3; round++) {
		/* passes level 1: what level 2 needs is claimed */
		hall_load(&h, g, 33, 4);
		assert_int_equal(hall_books(&h, 1)->level, 1);
		assert_int_equal(h.dom0.mem, (1024 + 2 * 16) * MIB);
		hall_load(&h, g, 70, 4);
		assert_int_equal(h.dom0.mem, (1024 + 3 * 16) * MIB);
		/* all that it has passed at once, and no more than there are levels */
		hall_load(&h, g, 1000, 1);
		assert_int_equal(hall_books(&h, 1)->level, 4);
		hall_load(&h, g, 1000, 8);
		assert_int_equal(h.dom0.mem, (1024 + 5 * 16) * MIB);
		assert_int_equal(g->mem, (1024 - 5 * 16) * MIB);
		/* just below the level it stays, */
		hall_load(&h, g, 4 * 32 - 7, 10);
		assert_int_equal(hall_books(&h, 1)->level, 4);
		/* and further below for a moment, too */
		hall_load(&h, g, 4 * 32 - 9, 2);
		hall_load(&h, g, 4 * 32, 1);
		assert_int_equal(hall_books(&h, 1)->level, 4);
		hall_load(&h, g, 4 * 32 - 9, 8);
		assert_int_equal(h.dom0.mem, (1024 + 4 * 16) * MIB);
		hall_load(&h, g, 0, 12);
		b = hall_books(&h, 1);
		assert_int_equal(b->level, 0);
		assert_int_equal(b->asked, 16 * MIB);
		assert_int_equal(g->mem, (1024 - 16) * MIB);
		assert_int_equal(h.dom0.mem, (1024 + 16) * MIB);
	}
}

/* What newcomers bring need not wait for their balloons: it is there an interval after they are.
 * Where no memory is free, it comes from them. */
static void test_ahead(void **state)
{
	hall_run(&h, 3);
	for (uint32_t i = 0; i < 10; i++)
		hall_guest(&h, i, 256 * MIB)->speed = 4 * MIB;
	hall_run(&h, 2);
	assert_int_equal(h.plan->books.memory.held, 0);
	assert_int_equal(h.plan->books.memory.ahead, 160 * MIB);
	assert_int_equal(h.dom0.mem, (1024 + 160) * MIB);
	hall_run(&h, 6);
	assert_int_equal(h.plan->books.memory.held, 160 * MIB);
	assert_int_equal(h.plan->books.memory.ahead, 0);
	assert_int_equal(h.dom0.mem, (1024 + 160) * MIB);
	hall_guest(&h, 10, h.free)->speed = 4 * MIB;
	hall_run(&h, 2);
	assert_int_equal(h.plan->books.memory.ahead, 0);
	assert_int_equal(h.dom0.target, (1024 + 160) * MIB);
	hall_run(&h, 12); /* the first of it is what is left free */
	assert_int_equal(h.plan->books.memory.held, 176 * MIB);
	assert_int_equal(h.free, 16 * MIB);
}

/* The reasons that explain prints. */
static void test_reasons(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);
	const struct cl_action *a;

	hall_tick(&h);
	hall_tick(&h);
	a = hall_action(&h, CL_ACTION_MEMORY_TARGET, 0); /* out of free memory */
	assert_int_equal(a->why.code, CL_REASON_HOLD);
	assert_int_equal(a->why.number[0], 0);
	assert_int_equal(a->why.number[2], 16 * MIB);
	a = hall_action(&h, CL_ACTION_MEMORY_TARGET, 1);
	assert_int_equal(a->why.code, CL_REASON_CLAIM);
	assert_int_equal(a->from.number, 1024 * MIB);
	assert_int_equal(a->to.number, 1008 * MIB);
	hall_apply(&h);
	hall_tick(&h);
	assert_null(hall_action(&h, CL_ACTION_MEMORY_TARGET, 0)); /* it has it already */
	assert_int_equal(h.plan->books.memory.held, 16 * MIB);
	hall_apply(&h);
	hall_load(&h, g, 40, 3);
	hall_load(&h, g, 0, 3);
	a = hall_action(&h, CL_ACTION_MEMORY_TARGET, 1);
	assert_int_equal(a->why.code, CL_REASON_RETURN);
}

static void test_floor(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 64 * MIB), *tiny = hall_guest(&h, 1, 20 * MIB);

	h.params.size_floor = 700000;
	for (int i = 0; i < 20; i++) {
		tiny->io += 1000 * MIB;
		hall_load(&h, g, 1000, 1);
	}
	assert_int_equal(g->mem, 48 * MIB); /* two increments would leave 32 of 64 */
	assert_int_equal(hall_books(&h, 1)->why.code, CL_REASON_FLOOR);
	/* eps above what it can spare, or above M */
	assert_int_equal(tiny->mem, 20 * MIB);
	h.params.size_eps = 4096 * MIB;
	hall_load(&h, g, 0, 20);
	assert_int_equal(g->mem, 64 * MIB);
	assert_int_equal(h.dom0.mem, 1024 * MIB);
}

static void test_room(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB),
			   *other = hall_guest(&h, 1, 1024 * MIB);

	h.dom0.max = 1024 * MIB + 40 * MIB;
	hall_load(&h, g, 1000, 20);
	assert_int_equal(h.dom0.mem, 1024 * MIB + 32 * MIB);
	assert_int_equal(g->mem + other->mem, 2048 * MIB - 32 * MIB);
	assert_int_equal(hall_books(&h, 2)->why.code, CL_REASON_NO_ROOM);
}

static void test_no_balloon(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);
	int asked = 0, more = 0;

	g->speed = 0;
	for (int i = 0; i < 300; i++) {
		hall_run(&h, 1);
		asked += hall_action(&h, CL_ACTION_MEMORY_TARGET, 1) &&
			 hall_action(&h, CL_ACTION_MEMORY_TARGET, 1)->why.code == CL_REASON_CLAIM;
		assert_in_range(h.dom0.target, 1024 * MIB, 1040 * MIB);
		more += h.dom0.target > 1024 * MIB;
	}
	assert_in_range(asked, 3, 8); /* less and less often */
	assert_in_range(more, 3, 5);  /* as long as it was waited for at first, and no longer */
	assert_int_equal(h.dom0.mem, 1024 * MIB);
	assert_int_equal(g->mem, 1024 * MIB);
}

/* One that stops half-way: whole steps are held, the rest of what was asked for is forgotten. */
static void test_stops(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	g->gives = 40 * MIB;
	for (int i = 0; i < 20; i++) {
		hall_load(&h, g, 1000, 1);
		if (hall_books(&h, 1)->why.code == CL_REASON_STOPPED)
			break;
	}
	assert_int_equal(hall_books(&h, 1)->why.number[0], 40 * MIB);
	assert_int_equal(hall_books(&h, 1)->why.number[1], 80 * MIB);
	hall_load(&h, g, 1000, 2);
	assert_int_equal(h.dom0.mem, (1024 + 32) * MIB);
	assert_int_equal(g->target, (1024 - 32) * MIB);
	assert_int_equal(g->mem, (1024 - 32) * MIB);
	assert_int_equal(hall_books(&h, 1)->held, 32 * MIB);
	hall_load(&h, g, 0, 30);
	assert_int_equal(g->mem, (1024 - 16) * MIB);
	assert_int_equal(h.dom0.mem, (1024 + 16) * MIB);
}

/* One that takes back what it gave: the privileged side does not keep what is not there. */
static void test_lies(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	hall_load(&h, g, 1000, 10);
	assert_int_equal(h.dom0.mem, (1024 + 5 * 16) * MIB);
	g->steals = true;
	hall_load(&h, g, 1000, 6);
	assert_int_equal(h.dom0.mem, 1024 * MIB);
	hall_load(&h, g, 1000, 20);
	assert_int_equal(h.dom0.mem, 1024 * MIB);
	assert_int_equal(g->mem, 1024 * MIB);
}

/* Somebody makes a guest of what was given: it is not promised twice. */
static void test_taken_meanwhile(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	h.params.size_reserve = 0;
	hall_run(&h, 2);
	hall_guest(&h, 1, h.free); /* all of it */
	h.guests[1].speed = 0;
	hall_tick(&h); /* the claim has been met */
	hall_guest(&h, 2, h.free)->speed = 0;
	hall_apply(&h);
	hall_run(&h, 10);
	assert_int_equal(h.free, 0);
	assert_true(h.dom0.mem == 1024 * MIB || g->mem == 1008 * MIB);
	hall_remove(&h, 2);
	hall_load(&h, g, 0, 40);
	assert_int_equal(h.dom0.target - 1024 * MIB, 16 * MIB);
	assert_int_equal(h.dom0.mem, h.dom0.target);
	assert_int_equal(g->mem, 1008 * MIB);
}

/* What was given is somebody's before the privileged side could be told of it. */
static void test_taken_between(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	h.params.size_reserve = 0;
	hall_guest(&h, 1, h.free)->target = CL_UNKNOWN;
	hall_run(&h, 2);
	assert_int_equal(h.dom0.target, 1024 * MIB); /* nothing is free ahead of that */
	hall_tick(&h);
	assert_int_equal(hall_action(&h, CL_ACTION_MEMORY_TARGET, 0)->to.number, 1040 * MIB);
	h.refuse = EAGAIN;
	hall_apply(&h);
	h.refuse = 0;
	hall_guest(&h, 2, h.free - 1 * MIB)->target = CL_UNKNOWN;
	for (int i = 0; i < 20; i++) {
		hall_run(&h, 1);
		assert_true(h.dom0.target <= 1025 * MIB);
	}
	assert_int_equal(h.plan->books.memory.why.code, CL_REASON_NO_FREE);
	/* The guest stops contributing, and has what there is. */
	h.params.size_eps = 0;
	hall_run(&h, 20);
	assert_int_equal(g->target, g->mem);
	assert_int_equal(h.free, 0);
	hall_remove(&h, 2);
	hall_run(&h, 5);
	assert_int_equal(g->mem, 1024 * MIB);
}

/* On a host without free memory the privileged side gives first. */
static void test_full_host(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	hall_guest(&h, 1, h.free - 20 * MIB)->speed = 0;
	h.params.size_reserve = 16 * MIB;
	hall_load(&h, g, 1000, 20);
	assert_int_equal(h.dom0.mem, (1024 + 5 * 16) * MIB);
	h.dom0.speed = 4 * MIB; /* slowly */
	for (int i = 0; i < 60; i++) {
		hall_load(&h, g, 0, 1);
		assert_true(h.free >= 16 * MIB);
	}
	assert_int_equal(h.dom0.mem, (1024 + 16) * MIB);
	assert_int_equal(g->mem, (1024 - 16) * MIB);
}

/* The privileged side near its end keeps what it needs. */
static void test_needed(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	hall_load(&h, g, 1000, 20);
	h.available = h.params.size_reserve + 8 * MIB;
	hall_load(&h, g, 0, 1);
	hall_load(&h, g, 0, 3);
	assert_int_equal(h.plan->books.memory.why.code, CL_REASON_NEEDED);
	assert_true(h.dom0.target >= (1024 + 5 * 16 - 3 * 8) * MIB);
	h.available = 900 * MIB;
	hall_load(&h, g, 0, 20);
	assert_int_equal(h.dom0.mem, (1024 + 16) * MIB);
}

static void test_taken_over(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);

	hall_run(&h, 6);
	g->target = 900 * MIB; /* xl mem-set */
	hall_tick(&h);
	assert_non_null(hall_action(&h, CL_ACTION_MEMORY_RELEASE, 1));
	assert_null(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1));
	hall_apply(&h);
	hall_run(&h, 3);
	assert_int_equal(g->target, 900 * MIB); /* in peace for a while */
	assert_int_equal(h.dom0.mem, 1024 * MIB);
	hall_run(&h, 10);
	assert_int_equal(g->target, 884 * MIB);
	assert_int_equal(hall_books(&h, 1)->contract, 900 * MIB);
	/* dom0's own */
	h.dom0.target = 2048 * MIB;
	hall_tick(&h);
	assert_non_null(hall_action(&h, CL_ACTION_MEMORY_RELEASE, 0));
	hall_apply(&h);
	hall_run(&h, 20);
	assert_int_equal(h.dom0.target, (2048 + 16) * MIB);
	assert_int_equal(h.plan->books.memory.contract, 2048 * MIB);
}

/* A reboot keeps the target that closer set; it is given its own first. */
static void test_reborn(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);
	uint64_t target;

	hall_load(&h, g, 1000, 10);
	target = g->target;
	assert_int_equal(target, (1024 - 5 * 16) * MIB);
	hall_remove(&h, 0);
	hall_run(&h, 3);
	assert_int_equal(h.dom0.mem, 1024 * MIB); /* nobody's share is kept */
	g = hall_guest(&h, 0, 1024 * MIB);
	h.free += g->mem - target;
	g->mem = g->target = target;
	hall_tick(&h);
	assert_int_equal(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1)->why.code, CL_REASON_REBORN);
	assert_int_equal(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1)->to.number, 1024 * MIB);
	hall_apply(&h);
	hall_run(&h, 8);
	assert_int_equal(g->target, 1008 * MIB);
	assert_int_equal(hall_books(&h, 1)->contract, 1024 * MIB);
	assert_int_equal(h.dom0.mem, 1040 * MIB);
}

static void test_cannot(void **state)
{
	hall_guest(&h, 0, 1024 * MIB);
	h.can &= ~(1u << CL_CAN_MEMORY);
	hall_run(&h, 4);
	assert_false(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1)->possible);
	assert_int_equal(h.guests[0].target, 1024 * MIB);
	/* a privileged side that is no domain: nothing is asked for */
	h.can |= 1u << CL_CAN_MEMORY;
	h.dom0.target = CL_UNKNOWN;
	hall_run(&h, 4);
	assert_null(hall_action(&h, CL_ACTION_MEMORY_TARGET, 1));
	assert_int_equal(h.plan->books.memory.why.code, CL_REASON_NO_BALLOON);
}

static void test_refused(void **state)
{
	int tries = 0;

	hall_guest(&h, 0, 1024 * MIB);
	h.refuse = EACCES;
	for (int i = 0; i < 60; i++) {
		hall_run(&h, 1);
		tries += hall_action(&h, CL_ACTION_MEMORY_TARGET, 1) != NULL;
	}
	assert_in_range(tries, 3, 6);
}

/* After a restart: what the journal says is ours goes on from there. */
static void test_owned(void **state)
{
	struct hall_domain *g = hall_guest(&h, 0, 1024 * MIB);
	struct cl_uuid id = hall_uuid(1), none = { 0 };
	uint64_t dom0 = h.dom0.target;

	g->target = g->mem = 976 * MIB;
	h.dom0.target = h.dom0.mem = dom0 + 48 * MIB;
	assert_true(cl_state_own_memory(h.state, &id, g->domid, 1024 * MIB, 976 * MIB));
	assert_true(cl_state_own_memory(h.state, &none, 0, dom0, dom0 + 48 * MIB));
	h.free = h.total - h.dom0.mem - g->mem;
	hall_run(&h, 6);
	assert_int_equal(g->mem, 1008 * MIB);
	assert_int_equal(h.dom0.mem, 1040 * MIB);
}

/* ---- histories ---- */

static uint64_t seed;

static uint32_t chance(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static void mischief(uint32_t i)
{
	struct hall_domain *g = &h.guests[i];

	switch (chance(12)) {
	case 0:
		if (!g->there) {
			uint64_t mem = (16 + chance(500)) * MIB;

			if (mem > h.free)
				break;
			hall_guest(&h, i, mem);
			g->home = 1 + chance(3);
			g->speed = chance(4) ? (1 + chance(64)) * MIB : chance(2) ? UINT64_MAX : 0;
			g->gives = chance(3) ? UINT64_MAX : chance(100) * MIB;
		} else if (chance(3) == 0) {
			hall_remove(&h, i);
		}
		break;
	case 1:
		g->steals = chance(2);
		break;
	case 2:
		if (g->there && chance(4) == 0) /* the operator's */
			g->target = g->had = (g->had / MIB - chance(8)) * MIB + MIB;
		break;
	case 3:
		g->speed = chance(3) ? (1 + chance(64)) * MIB : 0;
		break;
	default:
		g->io += chance(200) * MIB;
		break;
	}
}

static uint64_t pages_of_all(void)
{
	uint64_t bytes = h.free + h.dom0.mem;

	for (uint32_t i = 0; i < HALL_GUESTS; i++)
		bytes += h.guests[i].mem;
	return bytes;
}

/* Promised is what was given, and what is on its way while nobody lacks it: the privileged side's
 * target is its contract, what is held and what is free ahead of that. */
static void check(void)
{
	const struct cl_memory_books *b = &h.plan->books.memory;

	assert_int_equal(pages_of_all(), h.total);
	assert_int_equal(b->domains + b->free, h.total);
	assert_true(b->held <= b->asked);
	assert_true(h.dom0.target >= 1024 * MIB);
	for (uint32_t i = 0; i < h.now->n.guests; i++) {
		const struct cl_size_books *g = &h.plan->guest_books[i].size;

		assert_true(g->held <= g->asked && g->asked <= g->contract / 2);
		assert_true(g->held + g->ahead <= g->contract / 2);
		assert_true(g->why.code != CL_REASON_NO_FREE || b->ahead == 0);
		assert_true(h.now->guests[i].target_bytes + g->contract / 2 + 1 >= g->contract ||
			    h.plan->guest_books[i].size.why.code != CL_REASON_NONE);
	}
	for (uint32_t i = 0; i < h.plan->n.actions; i++) {
		const struct cl_action *a = &h.plan->actions[i];

		if (a->kind != CL_ACTION_MEMORY_TARGET)
			continue;
		if (a->object.guest.v != CL_NONE) {
			assert_true((uint64_t)a->to.number * 2 >=
				    h.plan->guest_books[a->object.guest.v].size.contract);
		} else if (a->to.number > a->from.number) {
			/* of what was given in truth, and is free now */
			assert_true((uint64_t)a->to.number <= 1024 * MIB + b->held + b->ahead);
			assert_true((uint64_t)a->to.number <= h.dom0.mem + h.free);
			assert_true(b->held <= b->given + h.now->n.guests * MIB);
		}
	}
}

static bool all_have_theirs(void)
{
	for (uint32_t i = 0; i < h.now->n.guests; i++)
		if (h.now->guests[i].target_bytes != h.plan->guest_books[i].size.contract)
			return false;
	return true;
}

static void history(uint64_t number)
{
	seed = number;
	start(NULL);
	h.total = (1100 + chance(3000)) * MIB; /* often all of it is taken */
	h.free = h.total - h.dom0.mem;
	h.params.size_reserve = chance(3) * 8 * MIB;
	h.params.size_patience = (1 + chance(4)) * CL_NS_PER_S;
	h.params.size_hold = chance(4) * CL_NS_PER_S;
	h.dom0.speed = chance(2) ? UINT64_MAX : (1 + chance(32)) * MIB;
	for (uint32_t t = 0; t < 24; t++) {
		for (uint32_t k = 0; k < 3; k++)
			mischief(chance(6));
		hall_tick(&h);
		check();
		h.refuse = chance(20) ? 0 : EAGAIN;
		hall_apply(&h);
	}
	/* Everybody is well again and idle, and nobody contributes any more: all goes back. */
	h.refuse = 0;
	h.params.size_eps = 0;
	h.dom0.speed = UINT64_MAX;
	for (uint32_t i = 0; i < HALL_GUESTS; i++) {
		h.guests[i].steals = false;
		h.guests[i].speed = h.guests[i].gives = UINT64_MAX;
	}
	hall_run(&h, 30);
	assert_int_equal(h.dom0.target, 1024 * MIB);
	assert_int_equal(h.dom0.mem, 1024 * MIB);
	/* But for what a new guest took meanwhile: until as much is free again. */
	if (!all_have_theirs()) {
		assert_true(h.free < 4096);
		h.total += 1024 * MIB;
		h.free += 1024 * MIB;
		hall_run(&h, 10);
	}
	assert_true(all_have_theirs());
	check();
	stop(NULL);
}

static void test_histories(void **state)
{
	const char *text = getenv("CLOSER_HISTORIES");
	uint64_t n = text ? strtoull(text, NULL, 10) : 100000;

	for (uint64_t i = 1; i <= n; i++)
		history(i);
}

int main(void)
{
#define HALL(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		HALL(test_off),
		HALL(test_start),
		HALL(test_levels),
		HALL(test_ahead),
		HALL(test_reasons),
		HALL(test_floor),
		HALL(test_room),
		HALL(test_no_balloon),
		HALL(test_stops),
		HALL(test_lies),
		HALL(test_taken_meanwhile),
		HALL(test_taken_between),
		HALL(test_full_host),
		HALL(test_needed),
		HALL(test_taken_over),
		HALL(test_reborn),
		HALL(test_cannot),
		HALL(test_refused),
		HALL(test_owned),
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
