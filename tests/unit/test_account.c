/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is charged with what, and whether the books close. */
#include "unit.h"
#include "world.h"

static struct world w;

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

#define S CL_NS_PER_S

static void parts_and_gap(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *vcpu = world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");
	struct world_thread *other = world_work(&w, -1, CL_WORK_THREAD, "0-3");

	world_tick(&w, 0);
	assert_int_equal(w.plan->books.span_ns, 0); /* no earlier snapshot: nothing is claimed */
	assert_int_equal(w.plan->books.busy_ns, 0);
	vcpu->cpu_ns += S / 2;
	io->cpu_ns += S / 4;
	other->cpu_ns += S / 100;
	w.main_ns += S / 10;
	w.kernel_ns += S / 50;
	w.busy_ns += S / 2 + S / 4 + S / 100 + S / 10 + S / 50 + S / 25;
	world_tick(&w, 0);
	const struct cl_books *b = &w.plan->books;

	assert_int_equal(b->span_ns, S);
	assert_int_equal(b->guest_ns, S / 2);
	assert_int_equal(b->host_ns, S / 4);
	assert_int_equal(b->main_ns, S / 10);
	assert_int_equal(b->unattributed_ns, S / 50 + S / 100);
	assert_int_equal(b->gap_ns, -(int64_t)(S / 25)); /* busy time that no part explains */
	assert_true(b->main_measured);
	assert_int_equal(w.plan->guest_books[0].kind_ns[CL_WORK_IOTHREAD], S / 4);
	assert_true(w.plan->guest_books[0].counted);
}

/* Where classes are not measured the rest is unattributed, and nothing is claimed for the main
 * container. */
static void without_classes(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");

	w.can &= ~(1u << CL_CAN_CLASSES);
	world_tick(&w, 0);
	io->cpu_ns += S / 4;
	w.busy_ns += S;
	world_tick(&w, 0);
	assert_false(w.plan->books.main_measured);
	assert_int_equal(w.plan->books.main_ns, 0);
	assert_int_equal(w.plan->books.unattributed_ns, S - S / 4);
	assert_int_equal(w.plan->books.gap_ns, 0);
}

/* Where it ran: from the mask where that answers, else from where it was seen, and then marked. */
static void main_share_by_mask(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *in = world_work(&w, g, CL_WORK_IOTHREAD, "0");
	struct world_thread *out = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");

	out->cpu = 2;
	world_tick(&w, 10);
	world_tick(&w, 10);
	assert_int_equal(w.plan->books.main_part_ns, S / 10);
	assert_false(w.plan->books.estimated);
	struct world_thread *free_thread = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	free_thread->cpu = 0;
	world_tick(&w, 10);
	world_tick(&w, 10);
	assert_int_equal(w.plan->books.main_part_ns, 2 * (S / 10));
	assert_true(w.plan->books.estimated);
	(void)in;
}

static void far_share(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 2);
	struct world_thread *near = world_work(&w, g, CL_WORK_IOTHREAD, "4-7");
	struct world_thread *far = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");

	near->cpu = 5;
	far->cpu = 1;
	world_tick(&w, 10);
	world_tick(&w, 10);
	assert_int_equal(w.plan->books.far_part_ns, S / 10);
	assert_false(w.plan->books.estimated);
}

/* Counters that go back, and threads that are newly seen but old, are no time of this interval. */
static void odd_counters(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");

	io->cpu_ns = 50 * S;
	world_tick(&w, 0);
	io->cpu_ns = 40 * S;
	struct world_thread *old = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");
	struct world_thread *young = world_work(&w, g, CL_WORK_WORKER, "1-3");

	old->cpu_ns = 3600 * S;
	young->cpu_ns = S / 3;
	world_tick(&w, 0);
	assert_int_equal(w.plan->books.host_ns, S / 3);
	/* another thread under an old id */
	io->id.start++;
	io->cpu_ns = S / 5;
	world_tick(&w, 0);
	assert_int_equal(w.plan->books.host_ns, S / 5);
}

static void runs_say_where(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_work(&w, g, CL_WORK_IOTHREAD, "0-3");
	world_tick(&w, 10);
	world_tick(&w, 10);
	/* Put runs into the snapshot that was made, as a host with BPF would, and decide again. */
	for (uint32_t c = 0; c < 2; c++) {
		struct cl_run *r = cl_snapshot_add_runs(w.now);

		r->work.v = 0;
		r->cpu.v = c;
		r->ns = c == 0 ? S / 40 : 3 * (S / 40);
	}
	assert_int_equal(cl_snapshot_check(w.prev, w.now), CL_SNAPSHOT_NONE);
	cl_decide(w.prev, w.now, &w.params, w.state, w.plan);
	assert_int_equal(w.plan->books.main_part_ns, S / 40);
	assert_false(w.plan->books.estimated);
}

static void guest_that_came(void **state)
{
	world_init(&w, 4, 1);
	world_guest(&w, 1);
	world_tick(&w, 0);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "1-3");

	io->cpu_ns = S / 7;
	world_tick(&w, 0);
	assert_int_equal(w.plan->books.host_ns, S / 7);
	assert_false(
		w.plan->guest_books[0].counted); /* sorted by uuid: the second guest is first */
	assert_true(w.plan->guest_books[1].counted);
}

/* Threads that came and went are charged to their guest, and newborns only once. */
static void reaped_threads(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_work(&w, g, CL_WORK_IOTHREAD, "1-3");
	world_tick(&w, 0);
	struct world_thread *young = world_work(&w, g, CL_WORK_WORKER, "1-3");

	young->cpu_ns = S / 10;
	w.reaped_ns[g] = S / 10 + S / 4; /* the newborn's first stretch, and one that is gone */
	world_tick(&w, 0);
	assert_int_equal(w.plan->books.host_ns, S / 10 + S / 4);
	assert_int_equal(w.plan->guest_books[0].kind_ns[CL_WORK_WORKER], S / 10);
	assert_int_equal(w.plan->guest_books[0].kind_ns[CL_WORK_HELPER], S / 4);
}

/* Interrupts are their guest's, where they were taken; under Xen the guests' own time is not in the
 * total. */
static void interrupts_and_outside_guests(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 2);
	struct world_thread *vcpu = world_vcpu(&w, g, 0, 5, "5");

	world_tick(&w, 0);
	vcpu->cpu_ns += S / 2;
	world_tick(&w, 0);
	for (int side = 0; side < 2; side++) {
		struct cl_snapshot *snap = side ? w.now : w.prev;
		struct cl_irq *irq = cl_snapshot_add_irqs(snap);

		irq->number = 30;
		irq->guest.v = 0;
		irq->cpu.v = 0;
		irq->cpu_ns = side ? S / 8 : 0;
		snap->guests_outside = true;
		snap->cpus[0].busy_ns = side ? S / 4 : 0;
		snap->cpus[0].overhead_ns = side ? S / 16 : 0;
	}
	assert_int_equal(cl_snapshot_check(w.prev, w.now), CL_SNAPSHOT_NONE);
	cl_decide(w.prev, w.now, &w.params, w.state, w.plan);
	const struct cl_books *b = &w.plan->books;

	assert_int_equal(b->guest_ns, S / 2);
	assert_int_equal(w.plan->guest_books[0].kind_ns[CL_WORK_INTERRUPT], S / 8);
	assert_int_equal(b->main_part_ns, S / 8);
	assert_int_equal(b->far_part_ns, S / 8);
	assert_int_equal(b->overhead_ns, S / 16);
	assert_int_equal(b->gap_ns, S / 8 + S / 16 - S / 4);
}

/* What serves several is its guests' by the host's division; of another domain's counters nothing
 * is taken for growth. */
static void shared_and_wakeups(void **state)
{
	world_init(&w, 4, 1);
	world_guest(&w, 1);
	world_guest(&w, 1);
	world_tick(&w, 0);
	world_tick(&w, 0);
	for (int side = 0; side < 2; side++) {
		struct cl_snapshot *snap = side ? w.now : w.prev;

		for (int g = 0; g < 2; g++) {
			snap->guests[g].shared_ns = side ? S / 4 : S / 8;
			snap->guests[g].wakeup_ns = side ? S / 16 : 0;
			snap->guests[g].domid = g ? 5 : 1 + (uint32_t)side;
		}
	}
	assert_int_equal(cl_snapshot_check(w.prev, w.now), CL_SNAPSHOT_NONE);
	cl_decide(w.prev, w.now, &w.params, w.state, w.plan);
	const struct cl_guest_books *reborn = &w.plan->guest_books[0];
	const struct cl_guest_books *guest = &w.plan->guest_books[1];

	assert_int_equal(reborn->host_ns, 0);
	assert_int_equal(guest->kind_ns[CL_WORK_SHARED], S / 8);
	assert_int_equal(guest->kind_ns[CL_WORK_WAKEUP], S / 16);
	assert_int_equal(guest->host_ns, S / 8 + S / 16);
	assert_int_equal(w.plan->books.host_ns, S / 8 + S / 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, teardown)
		T(parts_and_gap),      T(without_classes), T(main_share_by_mask),
		T(far_share),          T(odd_counters),    T(runs_say_where),
		T(guest_that_came),    T(reaped_threads),  T(interrupts_and_outside_guests),
		T(shared_and_wakeups),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
