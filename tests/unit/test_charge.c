/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charging: what guests pay for, each by its scheduler's lever; the contract stays the operator's.
 */
#include "house.h"

#include <errno.h>

#define SECOND CL_NS_PER_S

static struct house h;

static int start(void **state)
{
	house_init(&h, 4);
	return 0;
}

static int stop(void **state)
{
	house_done(&h);
	return 0;
}

/* A second in which the guest wants the whole CPU and gets its cap, and the host spends this much
 * for it. */
static void capped_second(struct house_guest *g, uint64_t host_ns)
{
	g->guest_ns += g->cap * 1000;
	g->host_ns += host_ns;
	house_tick(&h, SECOND);
	house_apply(&h);
}

/* "60 % paid for is 60 % used": guest and host together, after the first few periods. */
static void test_cap(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	uint64_t guest_ns, host_ns;

	g->cap = 600000;
	g->weight = 256;
	for (int i = 0; i < 20; i++)
		capped_second(g, 200 * MS);
	assert_in_range(g->cap, 390000, 410000);
	assert_int_equal(g->weight, 256);
	guest_ns = g->guest_ns;
	host_ns = g->host_ns;
	for (int i = 0; i < 20; i++)
		capped_second(g, 200 * MS);
	assert_in_range(g->guest_ns - guest_ns + g->host_ns - host_ns, 20 * 590 * MS,
			20 * 610 * MS);
	assert_int_equal(house_books(&h, 1)->why.code, CL_REASON_DEBT);
	/* The work stops: what is owed is paid, and the operator's cap is back. */
	for (int i = 0; i < 20; i++)
		capped_second(g, 0);
	assert_int_equal(g->cap, 600000);
	/* The first second has no books. Less than a per cent of a CPU for an interval waits. */
	assert_int_equal(house_books(&h, 1)->ledger.charged_ns, g->host_ns - 200 * MS);
	assert_in_range(house_books(&h, 1)->ledger.owed_ns, 0, 10 * MS);
	g->guest_ns += 590 * MS;
	house_tick(&h, SECOND);
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 0);
	assert_int_equal(house_books(&h, 1)->ledger.repaid_ns, g->host_ns - 200 * MS);
}

/* What it did not spend pays first: one that is idle but for its traffic keeps its cap. */
static void test_idle(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	g->cap = 600000;
	for (int i = 0; i < 10; i++) {
		g->guest_ns += 100 * MS;
		g->host_ns += 500 * MS;
		house_tick(&h, SECOND);
		assert_null(house_action(&h, CL_ACTION_CAP_SET));
		assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 0);
	}
	/* 100 ms more than its rest pays for: owed, and as much as one of the periods takes back.
	 */
	g->guest_ns += 100 * MS;
	g->host_ns += 600 * MS;
	house_tick(&h, SECOND);
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 100 * MS);
	assert_int_equal(house_action(&h, CL_ACTION_CAP_SET)->to.number, 580000);
}

/* A host that works more for a guest than it paid for leaves it its floor all the same. */
static void test_floor(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	g->cap = 600000;
	h.params.charge_floor = 250000;
	for (int i = 0; i < 30; i++)
		capped_second(g, 2 * SECOND);
	assert_int_equal(g->cap, 150000);
	assert_true(house_books(&h, 1)->ledger.owed_ns > 30 * SECOND);
}

/* One CPU, dom0 on others: both hungry, so the scheduler gives them time by weight. */
static void contend(struct house_guest *a, uint64_t host_a_ns, struct house_guest *b,
		    uint64_t host_b_ns)
{
	a->guest_ns += a->weight * SECOND / (a->weight + b->weight);
	b->guest_ns += b->weight * SECOND / (a->weight + b->weight);
	a->host_ns += host_a_ns;
	b->host_ns += host_b_ns;
	house_tick(&h, SECOND);
	house_apply(&h);
}

/* Guest and host together get the weight's share; the neighbour gets the rest. */
static void test_weight(void **state)
{
	struct house_guest *a = house_guest(&h, 0, 1), *b = house_guest(&h, 1, 2);
	uint64_t of_a, of_b;

	a->weight = 600;
	b->weight = 400;
	for (int i = 0; i < 40; i++)
		contend(a, 300 * MS, b, 0);
	assert_int_equal(b->weight, 400);
	of_a = a->guest_ns + a->host_ns;
	of_b = b->guest_ns + b->host_ns;
	for (int i = 0; i < 20; i++)
		contend(a, 300 * MS, b, 0);
	of_a = a->guest_ns + a->host_ns - of_a;
	of_b = b->guest_ns + b->host_ns - of_b;
	assert_in_range(of_a * 1000 / (of_a + of_b), 590, 610);
	for (int i = 0; i < 60; i++)
		contend(a, 0, b, 0);
	assert_int_equal(a->weight, 600);
}

/* Who is charged alike is charged by nobody's loss. */
static void test_weight_alike(void **state)
{
	struct house_guest *a = house_guest(&h, 0, 1), *b = house_guest(&h, 1, 2);

	a->weight = b->weight = 256;
	for (int i = 0; i < 10; i++)
		contend(a, 300 * MS, b, 300 * MS);
	assert_int_equal(a->weight, 256);
	assert_int_equal(b->weight, 256);
	assert_int_equal(house_books(&h, 1)->ledger.repaid_ns, 2700 * MS); /* the first: no books */
}

/* Where nobody is short of CPU time, weights are for nothing; and who is elsewhere is no rival. */
static void test_weight_free(void **state)
{
	struct house_guest *a = house_guest(&h, 0, 1), *b = house_guest(&h, 1, 2);
	struct house_guest *c = house_guest(&h, 2, 3);

	a->weight = b->weight = c->weight = 256;
	c->pcpu = 1;
	for (int i = 0; i < 10; i++) {
		a->guest_ns += 300 * MS;
		b->guest_ns += 300 * MS;
		c->guest_ns += SECOND;
		c->host_ns += 900 * MS;
		a->host_ns += 200 * MS;
		house_tick(&h, SECOND);
		assert_int_equal(house_apply(&h), 0);
	}
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 0);
	assert_int_equal(house_books(&h, 3)->ledger.owed_ns, 0);
	h.guests[1].guest_ns += 700 * MS; /* now they are */
	a->guest_ns += 300 * MS;
	a->host_ns += 900 * MS;
	house_tick(&h, SECOND);
	assert_true(house_books(&h, 1)->ledger.owed_ns > 0);
}

/* A scheduler that is a third off its weights, and one who wants little: neither hides the debt. */
static void test_weight_rough(void **state)
{
	struct house_guest *a = house_guest(&h, 0, 1), *b = house_guest(&h, 1, 2);
	struct house_guest *c = house_guest(&h, 2, 3);
	uint64_t of_a = 0, of_b = 0;

	a->weight = b->weight = c->weight = 256;
	for (int i = 0; i < 80; i++) {
		uint64_t of_weight = a->weight * 900 * MS / (a->weight + b->weight);
		uint64_t more = of_weight + of_weight / 5 < 850 * MS ? of_weight / 5 : 0;

		if (i == 40) {
			of_a = a->guest_ns + a->host_ns;
			of_b = b->guest_ns + b->host_ns;
		}
		a->guest_ns += of_weight + more;
		b->guest_ns += 900 * MS - of_weight - more;
		c->guest_ns += 100 * MS;
		a->host_ns += 200 * MS;
		house_tick(&h, SECOND);
		house_apply(&h);
	}
	of_a = a->guest_ns + a->host_ns - of_a;
	of_b = b->guest_ns + b->host_ns - of_b;
	assert_in_range(of_a * 1000 / (of_a + of_b), 480, 520);
	assert_int_equal(c->weight, 256);
}

static void test_budget(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	g->vcpus = 2;
	g->period_ns = 10 * MS;
	g->budget_ns = 4 * MS;
	for (int i = 0; i < 40; i++) {
		g->guest_ns += 2 * 100 * g->budget_ns;
		g->host_ns += 200 * MS;
		house_tick(&h, SECOND);
		house_apply(&h);
	}
	assert_in_range(g->budget_ns, 2900 * CL_NS_PER_US, 3100 * CL_NS_PER_US);
	assert_int_equal(house_books(&h, 1)->lever, CL_LEVER_BUDGET);
	assert_int_equal(house_books(&h, 1)->contract, 4 * MS);
	assert_int_equal(house_books(&h, 1)->entitled_ns, 800 * MS);
}

/* Somebody else's setting is the contract from then on, whatever was owed before. */
static void test_contract(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	uint64_t owed;

	g->cap = 600000;
	for (int i = 0; i < 10; i++)
		capped_second(g, 200 * MS);
	assert_true(g->cap < 600000);
	owed = house_books(&h, 1)->ledger.owed_ns;
	g->cap = 800000;
	capped_second(g, 200 * MS);
	assert_non_null(house_action(&h, CL_ACTION_CAP_RELEASE));
	assert_null(house_action(&h, CL_ACTION_CAP_SET)); /* one action for one setting */
	assert_int_equal(house_books(&h, 1)->contract, 800000);
	assert_int_equal(house_books(&h, 1)->entitled_ns, 800 * MS);
	assert_true(house_books(&h, 1)->ledger.owed_ns >= owed);
	capped_second(g, 200 * MS);
	assert_null(house_action(&h, CL_ACTION_CAP_RELEASE));
	assert_int_equal(house_action(&h, CL_ACTION_CAP_SET)->from.number, 800000);
	for (int i = 0; i < 20; i++)
		capped_second(g, 0);
	assert_int_equal(g->cap, 800000);
	/* The cap is gone: the weight is what is left, and the cap is not set again. */
	g->weight = 256;
	g->cap = 0;
	for (int i = 0; i < 3; i++)
		capped_second(g, 200 * MS);
	assert_int_equal(g->cap, 0);
	assert_int_equal(house_books(&h, 1)->lever, CL_LEVER_WEIGHT);
}

/* A setting that cannot be read for a moment is no new contract. */
static void test_unread(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	uint64_t is;

	g->cap = 600000;
	for (int i = 0; i < 10; i++)
		capped_second(g, 200 * MS);
	is = g->cap;
	g->cap = CL_UNKNOWN;
	g->host_ns += 200 * MS;
	house_tick(&h, SECOND);
	assert_int_equal(house_apply(&h), 0);
	assert_null(house_action(&h, CL_ACTION_CAP_RELEASE));
	g->cap = is;
	capped_second(g, 200 * MS);
	assert_int_equal(house_books(&h, 1)->contract, 600000);
}

static void reboot(uint64_t cap, uint32_t gone_s)
{
	struct house_guest was = h.guests[0];

	h.guests[0].uuid = 0;
	for (uint32_t i = 0; i < gone_s; i++)
		house_tick(&h, SECOND);
	struct house_guest *g = house_guest(&h, 0, was.uuid);

	assert_int_not_equal(g->domid, was.domid);
	g->cap = cap;
}

/* A reboot is no way out of debt, nor a way to a lower contract: toolstacks give the new domain
 * what the old one had just then. */
static void test_reborn(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	uint64_t owed;

	g->cap = 600000;
	for (int i = 0; i < 10; i++)
		capped_second(g, 200 * MS);
	owed = house_books(&h, 1)->ledger.owed_ns;
	reboot(g->cap, 5);
	house_tick(&h, SECOND);
	assert_int_equal(house_action(&h, CL_ACTION_CAP_SET)->why.code, CL_REASON_REBORN);
	assert_int_equal(house_action(&h, CL_ACTION_CAP_SET)->to.number, 600000);
	assert_int_equal(house_apply(&h), 1);
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, owed);
	capped_second(g, 200 * MS);
	assert_int_equal(house_books(&h, 1)->contract, 600000);
	/* One that comes back with another cap has that one. */
	reboot(700000, 5);
	capped_second(g, 0);
	assert_int_equal(house_books(&h, 1)->contract, 700000);
	assert_null(house_action(&h, CL_ACTION_CAP_RELEASE));
}

static void test_death(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	struct cl_uuid id = house_uuid(1);
	uint64_t owed;

	g->cap = 600000;
	for (int i = 0; i < 10; i++)
		capped_second(g, 200 * MS);
	owed = house_books(&h, 1)->ledger.owed_ns;
	g->uuid = 0;
	for (int i = 0; i < 59; i++) {
		house_tick(&h, SECOND);
		assert_int_equal(h.plan->n.write_offs, 0);
	}
	house_tick(&h, SECOND);
	assert_int_equal(h.plan->n.write_offs, 1);
	assert_int_equal(cl_uuid_compare(&h.plan->write_offs[0].guest, &id), 0);
	assert_int_equal(h.plan->write_offs[0].ns, owed);
	assert_int_equal(h.plan->books.written_off_ns, owed);
	assert_true(cl_ledger_sound(&h.plan->write_offs[0].ledger));
	house_tick(&h, SECOND);
	assert_int_equal(h.plan->n.write_offs, 0);
	assert_int_equal(h.state->ledger_count, 0);
}

/* Estimates are no ground to take anything from anybody. */
static void test_unmeasured(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	h.can &= ~(1u << CL_CAN_CLOCK);
	g->cap = 600000;
	for (int i = 0; i < 5; i++)
		capped_second(g, 200 * MS);
	assert_int_equal(g->cap, 600000);
	assert_int_equal(house_books(&h, 1)->ledger.charged_ns, 0);
	assert_int_equal(house_books(&h, 1)->why.code, CL_REASON_UNMEASURED);
}

/* No lever: it goes on owing, and that is said. A host that cannot: the plan says so. */
static void test_cannot(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	g->host_ns += 200 * MS;
	house_tick(&h, SECOND);
	g->host_ns += 200 * MS;
	house_tick(&h, SECOND);
	assert_int_equal(house_books(&h, 1)->why.code, CL_REASON_NO_LEVER);
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 200 * MS); /* of one interval */
	g->cap = 600000;
	h.can &= ~(1u << CL_CAN_ENTITLEMENT);
	capped_second(g, 400 * MS);
	assert_false(house_action(&h, CL_ACTION_CAP_SET)->possible);
	assert_int_equal(g->cap, 600000);
}

static void test_refused(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	const struct cl_action *a;

	g->cap = 600000;
	house_tick(&h, SECOND);
	g->guest_ns += 600 * MS;
	g->host_ns += 400 * MS;
	house_tick(&h, SECOND);
	a = house_action(&h, CL_ACTION_CAP_SET);
	cl_state_outcome(h.state, &h.params, h.plan, a, EPERM, h.now_ns);
	g->guest_ns += 600 * MS;
	house_tick(&h, SECOND);
	assert_null(house_action(&h, CL_ACTION_CAP_SET));
	for (int i = 0; i < 5; i++) {
		g->guest_ns += 600 * MS;
		house_tick(&h, SECOND);
	}
	assert_non_null(house_action(&h, CL_ACTION_CAP_SET));
}

/* Off until an operator asks. */
static void test_off(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);

	cl_params_default(&h.params);
	g->cap = 600000;
	for (int i = 0; i < 5; i++)
		capped_second(g, 200 * MS);
	assert_int_equal(g->cap, 600000);
	assert_int_equal(h.plan->books.charged_ns, 0);
	assert_int_equal(h.state->ledger_count, 0);
}

/* After a restart: by the journal the cap is ours; by the ledger on disk it owes. */
static void test_owned(void **state)
{
	struct house_guest *g = house_guest(&h, 0, 1);
	struct cl_uuid id = house_uuid(1);
	struct cl_ledger ledger = { 900 * MS, 500 * MS, 300 * MS, 100 * MS };

	g->cap = 400000;
	assert_true(cl_state_own_lever(h.state, &id, g->domid, CL_LEVER_CAP, 600000, 400000));
	assert_true(cl_state_own_ledger(h.state, &id, &ledger, h.now_ns));
	ledger.owed_ns++;
	assert_false(cl_state_own_ledger(h.state, &id, &ledger, h.now_ns));
	capped_second(g, 0);
	assert_int_equal(house_books(&h, 1)->contract, 600000);
	assert_int_equal(house_books(&h, 1)->ledger.owed_ns, 300 * MS);
	for (int i = 0; i < 30; i++)
		capped_second(g, 0);
	assert_int_equal(g->cap, 600000);
	assert_in_range(house_books(&h, 1)->ledger.repaid_ns, 790 * MS, 800 * MS);
}

/* Gupta et al., the slide's example ten times as long: dom0 runs 60 ms for two guests that sent 1:2
 * packets, both with 100 ms left of their period; they lose 20 and 40 ms. */
static void test_sedf_dc(void **state)
{
	struct house_guest *a = house_guest(&h, 0, 1), *b = house_guest(&h, 1, 2);

	h.params.charge = CL_CHARGE_SEDF_DC;
	h.params.interval = 100 * MS;
	h.params.charge_periods = 1;
	a->period_ns = b->period_ns = a->budget_ns = b->budget_ns = 100 * MS;
	house_tick(&h, 100 * MS);
	a->guest_ns += 100 * MS;
	b->guest_ns += 100 * MS;
	a->host_ns += 30 * MS;
	b->host_ns += 30 * MS;
	a->sent += 500;
	a->received += 500;
	b->sent += 2000;
	house_tick(&h, 100 * MS);
	assert_int_equal(house_books(&h, 1)->charged_ns, 20 * MS);
	assert_int_equal(house_books(&h, 2)->charged_ns, 40 * MS);
	assert_int_equal(house_apply(&h), 2);
	assert_int_equal(a->budget_ns, 80 * MS);
	assert_int_equal(b->budget_ns, 60 * MS);
	/* A packet that is received costs three times as much here. */
	h.params.charge_receive = 3;
	a->host_ns += 80 * MS;
	a->received += 100;
	b->sent += 100;
	house_tick(&h, 100 * MS);
	assert_int_equal(house_books(&h, 1)->charged_ns, 60 * MS);
	assert_int_equal(house_books(&h, 2)->charged_ns, 20 * MS);
	/* No packets: nobody's. */
	a->host_ns += 80 * MS;
	house_tick(&h, 100 * MS);
	assert_int_equal(h.plan->books.charged_ns, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(cap),          TEST(idle),        TEST(floor),        TEST(weight),
		TEST(weight_alike), TEST(weight_free), TEST(weight_rough), TEST(budget),
		TEST(contract),     TEST(unread),      TEST(reborn),       TEST(death),
		TEST(unmeasured),   TEST(cannot),      TEST(refused),      TEST(off),
		TEST(owned),        TEST(sedf_dc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
