/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is held back, by what, how far, and when he is let go. */
#include "unit.h"
#include "world.h"

#include <errno.h>

static struct world w;

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

#define S CL_NS_PER_S

/*
 * A guest that asks for so much each second, at so much CPU time for each; what closer has set is
 * in force at once. Beside it one that never does much.
 */
struct hog {
	uint64_t send, send_ns;       /* bytes */
	uint64_t disk, disk_ns;       /* bytes */
	uint64_t receive, receive_ns; /* packets */
	uint64_t other_ns;
	uint64_t wakes; /* per cent of what runs for it: wake-ups, in no container */
	struct world_thread *sends, *writes, *receives, *others;
	uint64_t set[CL_ACTION_KIND_COUNT]; /* a second; 0: nothing */
	uint32_t changes[CL_ACTION_KIND_COUNT];
	uint64_t passed[CL_ACTION_KIND_COUNT]; /* in the last second */
	bool deaf;                             /* what is set does nothing */
	int code;                              /* what applying a transmit rate comes to */
};

static int quiet, loud;
static struct hog hog;

static void begin(const char *limit)
{
	world_init(&w, 4, 1);
	world_hypervisor(&w, 4);
	memset(&hog, 0, sizeof(hog));
	quiet = world_guest(&w, 1);
	loud = world_guest(&w, 1);
	world_work(&w, quiet, CL_WORK_NETBACK_RX, "0-3");
	hog.sends = world_work(&w, loud, CL_WORK_NETBACK_DEALLOC, "0-3");
	hog.writes = world_work(&w, loud, CL_WORK_BLKBACK, "0-3");
	hog.receives = world_work(&w, loud, CL_WORK_NETBACK_RX, "0-3");
	hog.others = world_work(&w, loud, CL_WORK_DEVICE_MODEL, "0-3");
	w.nic_guest[0] = quiet;
	w.nic_guest[1] = loud;
	w.nic_count = 2;
	w.disk_guest[0] = loud;
	w.disk_count = 1;
	w.params.pin = 0;
	if (limit)
		assert_int_equal(cl_param_set(&w.params, "limit", limit), 0);
}

static uint64_t pass(enum cl_action_kind kind, uint64_t asked)
{
	uint64_t most = hog.set[kind] && !hog.deaf ? hog.set[kind] : UINT64_MAX;

	return hog.passed[kind] = asked < most ? asked : most;
}

/* A second of it, in CPU time on the privileged side. */
static uint64_t burn(void)
{
	uint64_t sent = pass(CL_ACTION_NIC_RATE, hog.send);
	uint64_t written = pass(CL_ACTION_GROUP_IO, hog.disk);
	uint64_t received = pass(CL_ACTION_PACKET_RATE, hog.receive);
	uint64_t ns[4] = { sent * hog.send_ns, written * hog.disk_ns, received * hog.receive_ns,
			   hog.other_ns };
	uint64_t contained = pass(CL_ACTION_GROUP_QUOTA, ns[0] + ns[1] + ns[2] + ns[3]);
	uint64_t all = ns[0] + ns[1] + ns[2] + ns[3], parts[4];

	for (int i = 0; i < 4; i++)
		parts[i] = all ? (uint64_t)((double)ns[i] * (double)contained / (double)all) : 0;
	hog.sends->cpu_ns += parts[0];
	hog.writes->cpu_ns += parts[1];
	hog.receives->cpu_ns += parts[2];
	hog.others->cpu_ns += parts[3];
	w.nic_sent_bytes[1] += sent;
	w.nic_sent[1] += sent / 1000;
	w.nic_received[1] += received;
	w.disk_bytes[0] += written;
	w.disk_ops[0] += written / 4096;
	uint64_t ran = parts[0] + parts[1] + parts[2] + parts[3];

	w.wakeup_ns[loud] += ran * hog.wakes / 100;
	return ran + ran * hog.wakes / 100;
}

static void apply(void)
{
	for (uint32_t i = 0; i < w.plan->n.actions; i++) {
		const struct cl_action *a = &w.plan->actions[i];
		uint64_t period = cl_throttle_period_ns(a->kind);

		if (period == 0 || !a->possible)
			continue;
		assert_true(a->from.tag == CL_VALUE_ABSENT || a->from.number > 0);
		assert_true(a->to.tag == CL_VALUE_ABSENT || a->to.number > 0);
		hog.changes[a->kind]++;
		int code = a->kind == CL_ACTION_NIC_RATE ? hog.code : 0;

		if (code == 0)
			hog.set[a->kind] = (uint64_t)a->to.number * (S / period);
		cl_state_outcome(w.state, &w.params, w.plan, a, code, w.now_ns);
	}
}

/* What it used in the last of n seconds. */
static uint64_t run(int n)
{
	uint64_t ns = 0;

	while (n-- > 0) {
		ns = burn();
		world_tick(&w, 0);
		world_apply(&w);
		apply();
	}
	return ns;
}

static uint32_t throttles(void)
{
	uint32_t n = 0;

	for (int k = 0; k < CL_ACTION_KIND_COUNT; k++)
		n += hog.set[k] != 0;
	return n;
}

/* In the snapshot, whose order is another than ours. */
static uint32_t at(int guest)
{
	struct cl_uuid id;
	uint32_t g = 0;

	world_uuid(guest, &id);
	while (cl_uuid_compare(&w.now->guests[g].id, &id) != 0)
		g++;
	return g;
}

static const struct cl_guest_books *books(void)
{
	return &w.plan->guest_books[at(loud)];
}

static void no_limit_is_none(void **state)
{
	begin(NULL);
	hog.send = 100000000;
	hog.send_ns = 5;
	assert_int_equal(run(30), S / 2);
	assert_int_equal(throttles(), 0);
	assert_int_equal(books()->limit, CL_UNKNOWN);
	assert_int_equal(books()->guard.code, CL_REASON_NONE);
}

/* 3 of 5: two bursts in five are nobody's business, three are. */
static void k_of_n(void **state)
{
	static const char *const bursts[] = { "1010010100101001010010100", "111", "10101", "1011" };

	for (size_t i = 0; i < CL_COUNT(bursts); i++) {
		begin("*=10%/cpu");
		run(2);
		for (const char *p = bursts[i]; *p; p++) {
			hog.send = *p == '1' ? 100000000 : 0;
			hog.send_ns = 5;
			if (i > 0)
				assert_int_equal(throttles(), 0);
			run(1);
		}
		assert_int_equal(throttles(), i > 0 ? 1 : 0);
		if (i < CL_COUNT(bursts) - 1)
			world_done(&w);
	}
}

/* 5 % of the privileged side with four CPUs is a fifth of one. */
static void share_of_all(void **state)
{
	begin("*=5%");
	run(2);
	assert_int_equal(books()->limit, CL_PPM / 5);
}

/* What it sends is held in the guest, and nothing else is; within a few seconds it is within its
 * limit, and near it. */
static void held_by_rate(void **state)
{
	uint64_t ns;

	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(8);
	for (int i = 0; i < 60; i++) {
		ns = run(1);
		assert_in_range(ns, S / 10 * 8 / 10, S / 10);
	}
	assert_int_equal(throttles(), 1);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	/* Once it is right it is left as it is. */
	assert_in_range(hog.changes[CL_ACTION_NIC_RATE], 1, 6);
	assert_int_equal(books()->guard.code, CL_REASON_HELD_BACK);
	assert_int_equal(w.state->guests[at(loud)].guard.took, 600000);
	assert_int_equal(w.plan->guest_books[at(quiet)].guard.code, CL_REASON_WITHIN_LIMIT);
}

/* What a packet costs changes: so does the rate. */
static void cost_changes(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(20);
	hog.send_ns = 30;
	run(10);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
	hog.send_ns = 2;
	run(40);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
}

static void each_by_its_own(void **state)
{
	begin("*=10%/cpu");
	hog.disk = 200000000;
	hog.disk_ns = 3;
	run(10);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_IO], 0);
	assert_int_equal(throttles(), 1);
	world_done(&w);

	begin("*=10%/cpu");
	hog.receive = 100000;
	hog.receive_ns = 5000;
	run(10);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
	assert_int_equal(throttles(), 1);
	world_done(&w);

	begin("*=10%/cpu");
	hog.other_ns = S / 2;
	run(10);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
	world_done(&w);

	/* Two things at a time. */
	begin("*=10%/cpu");
	hog.send = 50000000;
	hog.send_ns = 6;
	hog.disk = 100000000;
	hog.disk_ns = 3;
	run(12);
	assert_in_range(run(1), S / 10 * 7 / 10, S / 10);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_IO], 0);
	assert_int_equal(throttles(), 2);
}

/* What its work wakes up goes with that work: no container holds it, and none is tried. */
static void wake_ups_follow(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	hog.wakes = 60;
	run(10);
	assert_in_range(run(1), S / 10 * 8 / 10, S / 10);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	assert_int_equal(throttles(), 1);
}

/* Without the first throttle the second; without any it is said, and nothing is set. */
static void next_throttle(void **state)
{
	bool said = false;

	begin("*=10%/cpu");
	w.can &= ~(1u << CL_CAN_RATE);
	hog.send = 100000000;
	hog.send_ns = 6;
	run(10);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
	world_done(&w);

	begin("*=10%/cpu");
	w.can &= ~(1u << CL_CAN_RATE | 1u << CL_CAN_QUOTA);
	hog.send = 100000000;
	hog.send_ns = 6;
	run(10);
	assert_int_equal(throttles(), 0);
	for (uint32_t i = 0; i < w.plan->n.actions; i++)
		said = said || (w.plan->actions[i].kind == CL_ACTION_NIC_RATE &&
				!w.plan->actions[i].possible);
	assert_true(said);
}

/* A throttle that does nothing is not the last one: after guard_release the next. */
static void deaf_throttle(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	hog.deaf = true;
	run(8);
	assert_int_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
	run(12);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
}

/* Held as long as it asks for all that it is given; then guard_release longer. */
static void released_slowly(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(200);
	assert_int_equal(throttles(), 1);
	hog.send = 1000000;
	run(9);
	assert_int_equal(throttles(), 1);
	run(4);
	assert_int_equal(throttles(), 0);
	assert_int_equal(books()->guard.code, CL_REASON_WITHIN_LIMIT);
	/* And again from the beginning: k of n. */
	hog.send = 100000000;
	run(2);
	assert_int_equal(throttles(), 0);
	run(2);
	assert_int_equal(throttles(), 1);
}

/* The limit is taken away: let go at once. */
static void limit_taken_away(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(10);
	assert_int_equal(throttles(), 1);
	assert_int_equal(cl_param_set(&w.params, "limit", "*=none"), 0);
	run(1);
	assert_int_equal(throttles(), 0);
}

/* Somebody else's is left, and the next throttle used; made anew, it is ours to set again. */
static void somebody_elses(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	hog.code = ESTALE;
	run(6);
	assert_int_equal(hog.changes[CL_ACTION_NIC_RATE], 1);
	hog.code = 0;
	run(10);
	assert_int_equal(hog.changes[CL_ACTION_NIC_RATE], 1);
	assert_int_not_equal(hog.set[CL_ACTION_GROUP_QUOTA], 0);
	world_done(&w);

	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(10);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	hog.set[CL_ACTION_NIC_RATE] = 0; /* a new device: nothing is set on it */
	hog.code = ESTALE;
	run(1);
	hog.code = 0;
	run(6);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
}

/* A refusal is not repeated each second. */
static void refused(void **state)
{
	begin("*=10%/cpu");
	w.can &= ~(1u << CL_CAN_QUOTA);
	hog.send = 100000000;
	hog.send_ns = 6;
	hog.code = EIO;
	run(30);
	assert_in_range(hog.changes[CL_ACTION_NIC_RATE], 2, 4);
}

/* With another domid its devices are others: what was set on the old ones is gone with them. */
static void rebooted(void **state)
{
	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	run(10);
	w.domid[loud] = 77;
	hog.set[CL_ACTION_NIC_RATE] = 0;
	for (uint32_t i = 0; i < 3; i++) {
		run(1);
		for (uint32_t k = 0; k < w.plan->n.actions; k++)
			if (w.plan->actions[k].kind == CL_ACTION_NIC_RATE)
				assert_int_equal(w.plan->actions[k].from.tag, CL_VALUE_ABSENT);
	}
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
}

/* After a restart the journal's word: not taken for somebody's, and let go when it is time. */
static void owned_by_journal(void **state)
{
	struct cl_uuid id;

	begin("*=10%/cpu");
	world_uuid(loud, &id);
	assert_true(cl_state_own_throttle(w.state, &id, CL_ACTION_NIC_RATE, cl_throttle_key("vif1"),
					  100000, 50 * S));
	hog.set[CL_ACTION_NIC_RATE] = 100000 * 20;
	hog.send = 1000;
	hog.send_ns = 6;
	run(2);
	assert_int_equal(w.state->guests[at(loud)].guard.held_ns, 50 * S);
	assert_int_not_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	run(13);
	assert_int_equal(hog.set[CL_ACTION_NIC_RATE], 0);
	assert_false(cl_state_own_throttle(w.state, &id, CL_ACTION_FENCE, 0, 1, 1));
	assert_false(cl_state_own_throttle(w.state, &id, 9999, 0, 1, 1));
}

/* Migration and the toolstack are done to the guest: they hold nobody back. */
static void management_is_free(void **state)
{
	struct world_thread *migration;

	begin("*=10%/cpu");
	migration = world_work(&w, loud, CL_WORK_MIGRATION, "0-3");
	for (int i = 0; i < 20; i++) {
		migration->cpu_ns += S;
		run(1);
	}
	assert_int_equal(throttles(), 0);
	assert_int_equal(books()->used, 0);
}

/* Counters that jump, wrap, go back or are not read: nothing that is set is out of bounds. */
static void hostile_counters(void **state)
{
	static const uint64_t odd[] = {
		0, 1, UINT64_MAX, UINT64_MAX - 1, INT64_MAX, UINT64_C(1) << 63, 5, UINT64_C(1) << 40
	};

	begin("*=10%/cpu");
	hog.send = 100000000;
	hog.send_ns = 6;
	for (uint32_t i = 0; i < 400; i++) {
		burn();
		w.nic_sent_bytes[1] = odd[i * 7 % CL_COUNT(odd)];
		w.nic_sent[1] = odd[i * 5 % CL_COUNT(odd)];
		w.nic_received[1] = odd[i * 3 % CL_COUNT(odd)];
		w.disk_bytes[0] = odd[(i + 3) * 5 % CL_COUNT(odd)];
		w.disk_ops[0] = odd[(i + 1) * 7 % CL_COUNT(odd)];
		world_tick(&w, 0);
		world_apply(&w);
		apply(); /* asserts what is set */
	}
}

/* More CPU time than there is, a second that is a nanosecond: no overflow, no division by 0. */
static void hostile_times(void **state)
{
	begin("*=10%/cpu");
	hog.send = 1000;
	for (uint32_t i = 0; i < 40; i++) {
		hog.sends->cpu_ns += UINT64_C(1) << (i + 20);
		w.nic_sent_bytes[1] += UINT64_C(1) << i;
		if (i % 3 == 0)
			w.now_ns -= S - 1;
		world_tick(&w, 0);
		world_apply(&w);
		apply();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, teardown)
		T(no_limit_is_none), T(k_of_n),          T(share_of_all),     T(held_by_rate),
		T(cost_changes),     T(each_by_its_own), T(wake_ups_follow),  T(next_throttle),
		T(deaf_throttle),    T(released_slowly), T(limit_taken_away), T(somebody_elses),
		T(refused),          T(rebooted),        T(owned_by_journal), T(management_is_free),
		T(hostile_counters), T(hostile_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
