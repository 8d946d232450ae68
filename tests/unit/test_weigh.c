/* SPDX-License-Identifier: GPL-2.0-or-later */
/* weigh: what guests asked for at its cost, beside the measured books and in their place. */
#include "unit.h"
#include "world.h"

static struct world w;

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

#define US CL_NS_PER_US

/* Two guests with a NIC and a disk each, a second apart; `times` as many packets for the second. */
static void two_guests(uint64_t packets, uint64_t requests)
{
	world_init(&w, 4, 1);
	for (int g = 0; g < 2; g++) {
		world_guest(&w, 1);
		world_work(&w, g, CL_WORK_BLKBACK, "1-3");
	}
	world_tick(&w, 0);
	world_tick(&w, 10);
	for (int side = 0; side < 2; side++) {
		struct cl_snapshot *snap = side ? w.now : w.prev;

		for (uint32_t g = 0; g < 2; g++) {
			struct cl_nic *nic = cl_snapshot_add_nics(snap);
			struct cl_disk *disk = cl_snapshot_add_disks(snap);

			nic->guest.v = disk->guest.v = g;
			nic->name = cl_snapshot_text(snap, g ? "vif2.0" : "vif1.0");
			disk->name = cl_snapshot_text(snap, g ? "2.xvda" : "1.xvda");
			nic->rx_packets = side ? packets * (g + 1) : 0;
			nic->tx_packets = side ? 2 * packets * (g + 1) : 0;
			nic->rx_bytes = side ? 100 * packets : 0;
			nic->tx_bytes = 0;
			disk->rd_ops = side ? requests : 0;
			disk->wr_ops = 0;
			disk->rd_bytes = side ? 4096 * requests : 0;
			disk->wr_bytes = 0;
		}
		snap->guests_outside = true;
		snap->cpus[0].busy_ns = side ? CL_NS_PER_S / 2 : 0;
	}
}

static void decide(void)
{
	assert_int_equal(cl_snapshot_check(w.prev, w.now), CL_SNAPSHOT_NONE);
	cl_decide(w.prev, w.now, &w.params, w.state, w.plan);
}

static void set_costs(void)
{
	w.params.weigh_send = 20 * US;
	w.params.weigh_receive = 10 * US;
	w.params.weigh_request = 100 * US;
}

static void beside_the_books(void **state)
{
	two_guests(1000, 500);
	decide();
	const struct cl_guest_books *b = w.plan->guest_books;
	uint64_t host_ns = b[1].host_ns;

	assert_int_equal(b[1].sent, 2000);
	assert_int_equal(b[1].received, 4000);
	assert_int_equal(b[1].requests, 500);
	assert_int_equal(b[1].moved, 100 * 1000 + 4096 * 500);
	assert_int_equal(b[1].weighed_ns, CL_UNKNOWN); /* nothing was calibrated */
	set_costs();
	decide();
	assert_int_equal(b[0].weighed_ns, (1000 * 20 + 2000 * 10 + 500 * 100) * US);
	assert_int_equal(b[1].weighed_ns, (2000 * 20 + 4000 * 10 + 500 * 100) * US);
	assert_int_equal(b[1].host_ns, host_ns); /* what is measured stays */
	assert_int_equal(b[1].kind_ns[CL_WORK_COUNTED], 0);
}

/* As where a dom0 has no BPF. */
static void decide_without_clock(void)
{
	for (int side = 0; side < 2; side++) {
		struct cl_snapshot *snap = side ? w.now : w.prev;

		snap->can &= ~(1u << CL_CAN_CLOCK | 1u << CL_CAN_CLASSES);
	}
	decide();
}

static void in_their_place(void **state)
{
	two_guests(1000, 500);
	set_costs();
	decide_without_clock();
	const struct cl_guest_books *b = w.plan->guest_books;

	assert_true(w.plan->books.estimated);
	assert_int_equal(b[1].kind_ns[CL_WORK_BLKBACK], 0);
	assert_int_equal(b[1].kind_ns[CL_WORK_COUNTED], (2000 * 20 + 4000 * 10 + 500 * 100) * US);
	assert_int_equal(b[1].host_ns, b[1].kind_ns[CL_WORK_COUNTED]);
	assert_int_equal(w.plan->books.host_ns, b[0].host_ns + b[1].host_ns);
	/* What they do not explain is nobody's. */
	assert_int_equal(w.plan->books.unattributed_ns,
			 w.plan->books.busy_ns - w.plan->books.host_ns);
	assert_int_equal(w.plan->books.gap_ns, 0);
}

/* Costs that are too high are never more than there was, and keep their proportion. */
static void no_more_than_there_was(void **state)
{
	two_guests(100000, 0);
	set_costs();
	decide_without_clock();
	const struct cl_guest_books *b = w.plan->guest_books;

	assert_int_equal(b[0].weighed_ns, w.plan->books.busy_ns / 3);
	assert_int_equal(b[1].weighed_ns, w.plan->books.busy_ns / 3 * 2 + 1);
	w.params.weigh_send = w.params.weigh_receive = CL_NS_PER_S;
	decide();
	assert_true(w.plan->books.host_ns <= w.plan->books.busy_ns);
	assert_in_range(b[1].weighed_ns, 2 * b[0].weighed_ns, 2 * b[0].weighed_ns + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, teardown)
		T(beside_the_books),
		T(in_their_place),
		T(no_more_than_there_was),
	};

	return cmocka_run_group_tests_name("weigh", tests, NULL, NULL);
}
