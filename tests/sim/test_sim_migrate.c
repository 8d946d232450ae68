/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that leaves the host or comes into it: pre-copy against its closed form, near and far. */
#include "manage_world.h"
#include "unit.h"

#include <errno.h>

static struct host host;
static struct told told, other;
static struct writer writer;

static void near(uint64_t is, uint64_t should_be, uint64_t per_mille)
{
	uint64_t off = is > should_be ? is - should_be : should_be - is;

	if (off * 1000 > should_be * per_mille)
		fail_msg("%llu, and it should be %llu", (unsigned long long)is,
			 (unsigned long long)should_be);
}

/* ---- pre-copy ---- */

/* M/B * (1 - (D/B)^(n+1)) / (1 - D/B), n rounds after the first; and M/B * (D/B)^n at a standstill.
 */
static void closed_form(uint64_t rate, uint64_t pages_a_ms, uint32_t rounds)
{
	double memory = (double)GIB, line = (double)rate;
	double ratio = (double)pages_a_ms * SIM_PAGE * 1000 / line, power = 1;
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	host.nic->rate = rate;
	guest = host_guest(&host, "a", GIB, 0, 1);
	writer_begin(&host, &writer, guest, pages_a_ms);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	order.rounds = rounds;
	host_do(&host, &order, &told);
	for (uint32_t i = 0; i < rounds; i++)
		power *= ratio;
	assert_int_equal(told.result.rounds, rounds);
	near(told.result.copied_bytes, (uint64_t)(memory * (1 - power * ratio) / (1 - ratio)), 20);
	near(told.result.copied_ns,
	     (uint64_t)(1e9 * memory / line * (1 - power * ratio) / (1 - ratio)), 20);
	near(told.result.standstill_ns, (uint64_t)(1e9 * (memory * power + 4 * MIB) / line), 30);
	assert_int_equal(host.nic->sent_bytes, told.result.copied_bytes);
	assert_false(guest->alive);
	assert_int_equal(sim_domain_bytes(guest), 0);
	writer_end(&host, &writer);
	host_end(&host);
}

static void precopy(void **state)
{
	closed_form(125000000, 6, 2);    /* D/B = 0.2 */
	closed_form(1250000000, 122, 5); /* 0.4 */
	closed_form(1250000000, 244, 5); /* 0.8 */
	closed_form(1250000000, 244, 2);
	closed_form(1250000000, 244, 12);
}

/* Few pages are left: it does not try as often as it may. */
static void few_pages(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.result.rounds, 1);
	assert_int_equal(told.result.copied_bytes, GIB);
	assert_true(told.result.standstill_ns < 10 * MS);
	host_end(&host);
}

/* What is written round and round is copied once a round. */
static void dirty_set(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	guest = host_guest(&host, "a", GIB, 0, 1);
	guest->dirty_set = 64 * MIB / SIM_PAGE;
	writer_begin(&host, &writer, guest, 2000);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.result.rounds, 5);
	assert_int_equal(told.result.copied_bytes, GIB + 5 * 64 * MIB);
	writer_end(&host, &writer);
	host_end(&host);
}

/* More is written than the line takes: all of it in each round, and it ends all the same. */
static void no_convergence(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	guest = host_guest(&host, "a", GIB, 0, 1);
	writer_begin(&host, &writer, guest, 366);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.result.rounds, 5);
	assert_int_equal(told.result.copied_bytes, 6 * GIB);
	near(told.result.standstill_ns, (GIB + 4 * MIB) * 8 / 10, 10);
	writer_end(&host, &writer);
	host_end(&host);
}

/* Half the CPU for the guest is half as much written. */
static void slowed(void **state)
{
	uint64_t second_round[2];

	for (uint32_t slow = 0; slow < 2; slow++) {
		struct sim_domain *guest;
		struct sim_order order;

		host_begin(&host, 1, 2, 0);
		guest = host_guest(&host, "a", GIB, 0, 1);
		if (slow)
			bench_cap(guest, CL_PPM / 2);
		writer_begin(&host, &writer, guest, 122);
		order = host_order(SIM_OP_MIGRATE, guest, &told);
		order.rounds = 1;
		host_do(&host, &order, &told);
		second_round[slow] = told.result.copied_bytes - GIB;
		writer_end(&host, &writer);
		host_end(&host);
	}
	near(second_round[1], second_round[0] / 2, 50);
}

/* ---- near and far ---- */

static uint64_t copied_from(uint32_t dom0_pcpu, uint64_t rate)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, dom0_pcpu);
	host.nic->rate = rate;
	host.world->costs.page_ns = 250;
	host.world->costs.local_ps = 100;
	host.world->costs.remote_ps = 200;
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	host_end(&host);
	return told.result.copied_ns;
}

static void near_and_far(void **state)
{
	uint64_t pages = GIB / SIM_PAGE;

	/* The helper is what takes time: a page and its bytes, near; half of its way is far. */
	near(copied_from(0, UINT64_C(100000000000)), pages * (250000 + 4096 * 100) / 1000, 20);
	near(copied_from(2, UINT64_C(100000000000)), pages * (250000 + 4096 * 150) / 1000, 20);
	/* The line is: it does not matter where the helper runs. */
	near(copied_from(2, 125000000), copied_from(0, 125000000), 10);
}

/* The pages of each node are copied from there. */
static void two_nodes(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.nic->rate = UINT64_C(100000000000);
	host.world->costs.local_ps = 100;
	host.world->costs.remote_ps = 200;
	guest = host_guest(&host, "a", GIB, 0, 1);
	sim_mem_take(NULL, guest, 1, GIB);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	near(told.result.copied_ns, GIB * 100 / 1000 + GIB * 150 / 1000, 20);
	assert_int_equal(told.result.copied_bytes, 2 * GIB);
	host_end(&host);
}

/* Others in dom0 slow the helper, once it is what takes time. */
static void under_load(void **state)
{
	uint64_t took[2];

	for (uint32_t n = 0; n < 2; n++) {
		struct sim_domain *guest;
		struct sim_order order;

		host_begin(&host, 1, 2, 0);
		host.nic->rate = UINT64_C(100000000000);
		host.world->costs.page_ns = 1000;
		if (n)
			bench_load(&host.bench, host.dom0, 0, 5 * MS, 0);
		guest = host_guest(&host, "a", GIB, 0, 1);
		order = host_order(SIM_OP_MIGRATE, guest, &told);
		host_do(&host, &order, &told);
		took[n] = told.result.copied_ns;
		host_end(&host);
	}
	near(took[1], 2 * took[0], 30);
}

/* ---- the guest goes while it is being moved ---- */

static void destroyed_meanwhile(void **state)
{
	static const uint64_t when[] = {
		0, 1, MS, 10 * MS, 333 * MS, 860 * MS, 900 * MS, 1200 * MS
	};

	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		struct sim_domain *guest;
		struct sim_order order, end;

		host_begin(&host, 1, 2, 0);
		host.world->costs.page_ns = 100;
		host.world->costs.destroy_ns = 10 * MS;
		host.nic->wire_ns = 5 * MS;
		guest = host_guest(&host, "a", GIB, 0, 1);
		writer_begin(&host, &writer, guest, 122);
		order = host_order(SIM_OP_MIGRATE, guest, &told);
		assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
		host_run(&host, when[i]);
		end = host_order(SIM_OP_DESTROY, guest, &other);
		assert_int_equal(sim_manage(host.manager, &end, NULL), 0);
		assert_int_equal(told.times, 1);
		assert_int_equal(told.code, -ESRCH);
		host_run(&host, S);
		assert_int_equal(told.times, 1);
		assert_int_equal(other.code, 0);
		assert_int_equal(other.times, 1);
		assert_false(guest->alive);
		assert_null(host.manager->ops);
		assert_null(host.manager->drained);
		assert_int_equal(host.nic->out.count, 0);
		assert_int_equal(host.dom0->task_count, 0);
		assert_int_equal(host.manager->counts[SIM_OP_MIGRATE].failed, 1);
		writer_end(&host, &writer);
		host_end(&host);
	}
}

/* The host itself ends, with pieces on the line and at the disk. */
static void ends_meanwhile(void **state)
{
	static const enum sim_op_kind kinds[] = { SIM_OP_MIGRATE, SIM_OP_SAVE, SIM_OP_SHUTDOWN,
						  SIM_OP_DESTROY };

	for (size_t i = 0; i < 4; i++) {
		struct sim_domain *guest;
		struct sim_order order;

		host_begin(&host, 1, 2, 0);
		host.world->costs.destroy_ns = S;
		guest = host_guest(&host, "a", GIB, 0, 1);
		order = host_order(kinds[i], guest, &told);
		assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
		host_run(&host, 100 * MS);
		assert_int_equal(told.times, 0);
		host_end(&host);
	}
	assert_int_equal(told.times, 0);
}

/* ---- to a disk and back ---- */

static void saved_and_restored(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.world->costs.create_ns = 100 * MS;
	host.world->costs.destroy_ns = 50 * MS;
	host.world->costs.disk_driver_ns = 1000;
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_SAVE, guest, &told);
	host_do(&host, &order, &told);
	/* The disk is what takes time: 500 MB/s. The guest stands still for all of it. */
	near(told.result.copied_ns, GIB * 2, 10);
	assert_int_equal(told.result.copied_bytes, GIB);
	assert_int_equal(told.result.standstill_ns, told.result.copied_ns);
	near(told.result.took_ns, GIB * 2 + 50 * MS, 10);
	assert_false(guest->alive);
	order = host_order(SIM_OP_RESTORE, NULL, &told);
	order.name = "a";
	order.vcpus = 1;
	order.bytes = GIB;
	order.nodes = 2;
	host_do(&host, &order, &told);
	near(told.result.took_ns, 100 * MS + GIB * 2, 10);
	assert_int_equal(told.result.copied_bytes, GIB);
	assert_int_equal(told.guest->mem[1], GIB);
	assert_false(told.guest->paused);
	host_end(&host);
}

static void to_memory(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.world->costs.local_ps = 100;
	host.world->costs.remote_ps = 200;
	host.disk->in_memory = true;
	host.disk->node = 1;
	guest = host_guest(&host, "a", GIB + 12345 * SIM_PAGE, 0, 1);
	order = host_order(SIM_OP_SAVE, guest, &told);
	host_do(&host, &order, &told);
	near(told.result.copied_ns, (GIB + 12345 * SIM_PAGE) * 150 / 1000, 10);
	assert_int_equal(told.result.copied_bytes, GIB + 12345 * SIM_PAGE);
	order = host_order(SIM_OP_RESTORE, NULL, &told);
	order.name = "a";
	order.vcpus = 1;
	order.bytes = GIB + 12345 * SIM_PAGE;
	host_do(&host, &order, &told);
	assert_int_equal(told.result.copied_bytes, GIB + 12345 * SIM_PAGE);
	host_end(&host);
}

static void restore_destroyed(void **state)
{
	struct sim_order order, end;

	host_begin(&host, 1, 2, 0);
	order = host_order(SIM_OP_RESTORE, NULL, &told);
	order.name = "a";
	order.vcpus = 1;
	order.bytes = GIB;
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	host_run(&host, 300 * MS);
	end = host_order(SIM_OP_DESTROY, host.world->domains[1], &other);
	assert_int_equal(sim_manage(host.manager, &end, NULL), 0);
	host_run(&host, S);
	assert_int_equal(told.code, -ESRCH);
	assert_int_equal(other.code, 0);
	assert_null(host.manager->drained);
	assert_int_equal(host.world->nodes[0].free_bytes, 15 * GIB);
	host_end(&host);
}

/* ---- the same again ---- */

static uint64_t trace(void)
{
	struct sim_domain *guest;
	struct sim_order order;
	uint64_t digest;

	host_begin(&host, 2, 2, 0);
	host.world->costs.page_ns = 250;
	host.world->costs.scrub_bandwidth = 4 * GIB;
	guest = host_guest(&host, "a", GIB, 1, 3);
	writer_begin(&host, &writer, guest, 122);
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	host_do(&host, &order, &told);
	host_run(&host, S);
	digest = host.world->queue.digest;
	writer_end(&host, &writer);
	host_end(&host);
	return digest;
}

static void same_again(void **state)
{
	uint64_t first = trace();

	/* Elsewhere in memory. */
	void *moved = test_malloc(100000);

	assert_int_equal(trace(), first);
	test_free(moved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(precopy),
		cmocka_unit_test(few_pages),
		cmocka_unit_test(dirty_set),
		cmocka_unit_test(no_convergence),
		cmocka_unit_test(slowed),
		cmocka_unit_test(near_and_far),
		cmocka_unit_test(two_nodes),
		cmocka_unit_test(under_load),
		cmocka_unit_test(destroyed_meanwhile),
		cmocka_unit_test(ends_meanwhile),
		cmocka_unit_test(saved_and_restored),
		cmocka_unit_test(to_memory),
		cmocka_unit_test(restore_destroyed),
		cmocka_unit_test(same_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
