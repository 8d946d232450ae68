/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arithmetic of charging, and its law: charged = repaid + owed + written off, to the ns. */
#include "../../core/ledger.h"

#include "house.h"

#define LEDGERS 100000u

static uint64_t seed = 88172645463325252u;

static uint64_t any(void) /* xorshift64 */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

static void test_mul_div(void **state)
{
	for (int i = 0; i < 100000; i++) {
		uint64_t a = any() >> below(64), b = any() >> below(64),
			 c = (any() >> below(64)) | 1;
		unsigned __int128 product = (unsigned __int128)a * b;
		uint64_t rest, is = mul_div(a, b, c, &rest);

		assert_int_equal(rest, (uint64_t)(product % c));
		assert_int_equal(is,
				 product / c > UINT64_MAX ? UINT64_MAX : (uint64_t)(product / c));
	}
}

/* The slide: dom0 ran 6 ms for VM-1 and VM-2, weighted 1:2, both with 10 ms left in the period. */
static void test_slide(void **state)
{
	const uint64_t weights[] = { 1, 2 };
	uint64_t debts[2], rests[2];

	ledger_split(6 * MS, weights, 2, debts, rests);
	assert_int_equal(debts[0], 2 * MS);
	assert_int_equal(debts[1], 4 * MS);
	assert_int_equal(ledger_left(10 * MS, debts[0], 10 * MS, 100000), 8 * MS);
	assert_int_equal(ledger_left(10 * MS, debts[1], 10 * MS, 100000), 6 * MS);
	/* Over two periods: half of it in each. */
	assert_int_equal(ledger_left(10 * MS, debts[1], 2 * 10 * MS, 100000), 8 * MS);
}

static void test_split(void **state)
{
	const uint64_t thirds[] = { 1, 1, 1, 0 }, none[] = { 0, 0, 0, 0 };
	uint64_t weights[40], parts[40], rests[40];

	ledger_split(11, thirds, 4, parts, rests); /* 3 2/3 each */
	assert_int_equal(parts[0], 4);
	assert_int_equal(parts[1], 4);
	assert_int_equal(parts[2], 3);
	assert_int_equal(parts[3], 0);
	ledger_split(11, none, 4, parts, rests);
	assert_int_equal(parts[0] + parts[1] + parts[2] + parts[3], 0);
	for (int round = 0; round < 20000; round++) {
		uint32_t n = 1 + (uint32_t)below(40);
		uint64_t total = any() >> below(64), sum = 0, is = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += weights[i] = any() >> (6 + below(58));
		ledger_split(total, weights, n, parts, rests);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t floor = sum ? mul_div(total, weights[i], sum, NULL) : 0;

			assert_true(parts[i] == floor || parts[i] == floor + 1);
			/* No larger remainder was passed over. */
			for (uint32_t k = 0; k < n && parts[i] > floor; k++)
				assert_true(rests[k] <= rests[i] ||
					    parts[k] > mul_div(total, weights[k], sum, NULL));
			is += parts[i];
		}
		assert_int_equal(is, sum ? total : 0);
	}
}

static void test_left(void **state)
{
	assert_int_equal(ledger_left(600000, 0, 1, 100000), 600000);
	assert_int_equal(ledger_left(600000, 5, 0, 100000), 600000);
	assert_int_equal(ledger_left(600000, UINT64_MAX, 1, 100000), 60000);
	assert_int_equal(ledger_left(7, UINT64_MAX, 1, 500000), 4); /* rounded up */
	assert_int_equal(ledger_left(1, UINT64_MAX, 1, 10000), 1);
	assert_int_equal(ledger_left(600000, UINT64_MAX, 1, CL_PPM), 600000);
}

static void test_full(void **state)
{
	struct cl_ledger l = { UINT64_MAX - 5, UINT64_MAX - 9, 3, 1 };

	assert_true(cl_ledger_sound(&l));
	assert_int_equal(ledger_charge(&l, 10), 5);
	assert_int_equal(ledger_charge(&l, 10), 0);
	assert_int_equal(ledger_repay(&l, 6), 6);
	assert_int_equal(ledger_write_off(&l), 2);
	assert_true(cl_ledger_sound(&l));
	l.repaid_ns = UINT64_MAX; /* wraps round to the same sum */
	l.owed_ns = UINT64_MAX;
	l.written_off_ns = 1;
	assert_false(cl_ledger_sound(&l));
}

/* ---- the law, over many lives ---- */

struct total {
	uint64_t charged, repaid, written_off;
	uint32_t born, deaths_in_debt, floors, changes, releases, reborn;
};

static void contract(struct house_guest *g)
{
	g->cap = g->weight = g->period_ns = g->budget_ns = CL_UNKNOWN;
	switch (below(5)) {
	case 0:
		g->cap = (1 + below(200)) * 10000;
		g->weight = 1 + below(65535);
		break;
	case 1:
	case 2:
		g->cap = 0;
		g->weight = 1 + below(1024);
		break;
	case 3:
		g->period_ns = 10 * CL_NS_PER_US + below(100 * MS);
		g->budget_ns = 1 + below(g->period_ns);
		break;
	default:
		break;
	}
}

static void live(struct house *h, struct total *t, uint32_t i)
{
	static struct house_guest gone[HOUSE_GUESTS];
	struct house_guest *g = &h->guests[i];

	if (!g->uuid && below(2)) {
		bool back = gone[i].uuid && below(3) == 0;

		house_guest(h, i, back ? gone[i].uuid : ++t->born);
		if (back && below(2)) { /* with what it had when it went */
			g->cap = gone[i].cap;
			g->weight = gone[i].weight;
			g->period_ns = gone[i].period_ns;
			g->budget_ns = gone[i].budget_ns;
		} else {
			contract(g);
		}
		g->pcpu = (uint32_t)below(4);
		g->vcpus = 1;
	} else if (g->uuid && below(4) == 0) {
		gone[i] = *g;
		g->uuid = 0;
	} else if (g->uuid) {
		g->guest_ns += below(3) ? below((2 * CL_NS_PER_S)) : 0;
		g->host_ns += below(3) ? below((2 * CL_NS_PER_S)) >> below(20) : 0;
		g->sent += below(1000);
		g->received += below(1000);
		if (below(30) == 0)
			contract(g);
	}
}

static void check_actions(const struct house *h, struct total *t)
{
	for (uint32_t i = 0; i < h->plan->n.actions; i++) {
		const struct cl_action *a = &h->plan->actions[i];
		enum cl_lever lever = cl_action_kind_lever(a->kind);

		if (lever == CL_LEVER_COUNT)
			continue;
		if (cl_action_kind_releases(a->kind)) {
			t->releases++;
			continue;
		}
		const struct cl_uuid *id = &h->now->guests[a->object.guest.v].id;
		const struct cl_state_ledger *l = NULL;

		for (uint32_t k = 0; k < h->state->ledger_count; k++)
			if (cl_uuid_compare(&h->state->ledgers[k].id, id) == 0)
				l = &h->state->ledgers[k];
		assert_non_null(l);
		uint64_t to = (uint64_t)a->to.number, whole = l->contract[lever];

		assert_true(to > 0 && to <= whole);
		assert_true((unsigned __int128)to * CL_PPM >=
			    (unsigned __int128)whole * h->params.charge_floor);
		t->floors +=
			to < whole && to <= whole / 100 * (h->params.charge_floor / 10000) + 10000;
		t->changes++;
		t->reborn += a->why.code == CL_REASON_REBORN;
	}
}

static void check_law(const struct house *h, struct total *t)
{
	uint64_t owed = 0, host = 0;

	for (uint32_t i = 0; i < h->plan->n.guests; i++) {
		host += h->plan->guest_books[i].host_ns;
		assert_true(cl_ledger_sound(&h->plan->guest_books[i].charge.ledger));
	}
	for (uint32_t i = 0; i < h->state->ledger_count; i++) {
		assert_true(cl_ledger_sound(&h->state->ledgers[i].ledger));
		owed += h->state->ledgers[i].ledger.owed_ns;
	}
	for (uint32_t i = 0; i < h->plan->n.write_offs; i++) {
		assert_true(cl_ledger_sound(&h->plan->write_offs[i].ledger));
		assert_int_equal(h->plan->write_offs[i].ledger.owed_ns, 0);
		t->written_off += h->plan->write_offs[i].ns;
		t->deaths_in_debt++;
	}
	/* What the host spent is charged to somebody, all of it, once. */
	if (h->params.charge == CL_CHARGE_CLOSER)
		assert_int_equal(h->plan->books.charged_ns, host);
	else
		assert_true(h->plan->books.charged_ns == host || h->plan->books.charged_ns == 0);
	t->charged += h->plan->books.charged_ns;
	t->repaid += h->plan->books.repaid_ns;
	assert_int_equal(t->charged, t->repaid + owed + t->written_off);
}

static void test_law(void **state)
{
	struct total t = { 0 };
	struct house h;

	house_init(&h, 4);
	while (t.born < LEDGERS) {
		if (below(100) == 0) {
			h.params.charge = 1 + below(2);
			h.params.charge_periods = 1 + below(8);
			h.params.charge_floor = 10000 + below(CL_PPM - 10000);
			h.params.charge_keep = below(10) * CL_NS_PER_S;
		}
		for (uint32_t i = 0; i < HOUSE_GUESTS; i++)
			live(&h, &t, i);
		house_tick(&h, 100 * MS + below(2 * CL_NS_PER_S));
		check_law(&h, &t);
		check_actions(&h, &t);
		if (below(10))
			house_apply(&h);
	}
	/* All of it was met. */
	assert_true(t.changes > 1000 && t.releases > 100 && t.reborn > 100 && t.floors > 100);
	assert_true(t.deaths_in_debt > 1000 && t.written_off > 0 && t.repaid > 0);
	house_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mul_div), cmocka_unit_test(test_slide),
		cmocka_unit_test(test_split),   cmocka_unit_test(test_left),
		cmocka_unit_test(test_full),    cmocka_unit_test(test_law),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
