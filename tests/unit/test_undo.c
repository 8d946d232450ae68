/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Undo against a small machine made of lines: what comes back, what is left, and that being killed
 * at any write, on the way there or back, changes nothing of that. (system/kill.sh does it to real
 * threads.)
 */
#include "machine.h"

static void test_all_comes_back(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine before = start(), m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	thread_is(&m, 11, "/closer/a", "2");
	r = undo(&m, &j);
	same_machine(&before, &m);
	assert_int_equal(r.objects, 5);
	assert_int_equal(r.restored, 5);
	assert_true(r.verified);
	r = undo(&m, &j); /* again: nothing to do */
	assert_int_equal(r.already, 5);
	assert_true(r.verified);
	cl_journal_done(&j);
}

/* Killed at each write of applying, then at each write of undoing, then left to finish. */
static void test_killed_anywhere(void **state)
{
	struct cl_journal j = parse(usual, NULL);

	for (int there = 0; there < 12; there++) {
		for (int back = 0; back < 16; back++) {
			struct machine before = start(), m = start();
			struct cl_undo_report r;

			m.writes_left = there;
			forward(&m, &j);
			m.writes_left = back;
			r = undo(&m, &j);
			assert_true(r.verified || m.writes_left == 0);
			m.writes_left = 1000;
			r = undo(&m, &j);
			same_machine(&before, &m);
			assert_true(r.verified && r.left == 0);
		}
	}
	cl_journal_done(&j);
}

static void test_somebody_elses_mask(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	/* one set by hand where closer put it, one taken out altogether, the interrupt too */
	thread(&m, 10)->cpus = cpus("3");
	snprintf(thread(&m, 11)->path, 64, "/vm");
	thread(&m, 11)->cpus = cpus("0");
	m.irq = cpus("1");
	r = undo(&m, &j);
	thread_is(&m, 10, "/vm", "3"); /* the group had to go, the mask stays */
	thread_is(&m, 11, "/vm", "0");
	assert_true(cl_cpuset_has(&m.irq, 1) && cl_cpuset_count(&m.irq) == 1);
	assert_int_equal(r.left, 3);
	assert_int_equal(m.said, 3);
	assert_true(r.verified);
	assert_null(group(&m, "/closer"));
	cl_journal_done(&j);
}

static void test_born_of_placed_ones(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	add_thread(&m, 20, 150, 10, "/closer/a", "1"); /* born in the container */
	add_thread(&m, 21, 150, 10, "/vm", "1");       /* born with the mask, after it was given */
	add_thread(&m, 22, 60, 10, "/vm", "1");        /* had it before: somebody's own */
	add_thread(&m, 23, 150, 10, "/vm", "2");       /* that one was given only later, at 200 */
	add_thread(&m, 24, 300, 10, "/closer/a", "3"); /* never one of ours: goes out with it */
	add_thread(&m, 30, 150, 30, "/closer/a", "1"); /* a process that the guest started */
	thread(&m, 30)->parent = 10;
	add_thread(&m, 31, 150, 31, "/closer/a", "1"); /* whose parent has ended */
	thread(&m, 31)->parent = 1;
	r = undo(&m, &j);
	thread_is(&m, 20, "/vm", "0-3");
	thread_is(&m, 21, "/vm", "0-3");
	thread_is(&m, 22, "/vm", "1");
	thread_is(&m, 23, "/vm", "2");
	thread_is(&m, 24, "/vm", "3");
	thread_is(&m, 30, "/vm", "0-3");
	thread_is(&m, 31, "/vm", "0-3");
	assert_int_equal(r.objects, 5 + 5);
	assert_int_equal(r.restored, 10);
	assert_true(r.verified);
	assert_null(group(&m, "/closer"));
	cl_journal_done(&j);
}

static void test_born_while_undoing(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	m.births = 1; /* after the threads were restored and before the group goes */
	r = undo(&m, &j);
	thread_is(&m, 501, "/vm", "0-3");
	assert_true(r.verified);
	assert_null(group(&m, "/closer/a"));
	cl_journal_done(&j);
}

/* A worker born of a placed thread, then placed itself: its `from` in the journal is ours. */
static void test_from_was_inherited(void **state)
{
	static const char *const more[] = {
		"change 7 thread 20 start 150 process 10 from cgroup /closer/a cpus 1 "
		"to cgroup /closer/a cpus 3 why home",
		"change 8 thread 21 start 150 process 10 from cgroup /vm cpus 1 to cgroup /vm cpus 3 why home",
		"change 9 thread 22 start 60 process 10 from cgroup /vm cpus 1 to cgroup /vm cpus 3 why home",
		"change 10 thread 23 start 150 process 10 from cgroup /closer/a cpus 1 "
		"to cgroup /vm cpus 0-3 why inherited",
		NULL,
	};
	struct cl_journal j = parse(usual, more);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	add_thread(&m, 20, 150, 10, "/closer/a", "3");
	add_thread(&m, 21, 150, 10, "/vm", "3");
	add_thread(&m, 22, 60, 10, "/vm", "3"); /* older than the plan: the mask was its own */
	add_thread(&m, 23, 150, 10, "/vm",
		   "0-3"); /* a vCPU that was given its default back: stays */
	r = undo(&m, &j);
	thread_is(&m, 20, "/vm", "0-3");
	thread_is(&m, 21, "/vm", "0-3");
	thread_is(&m, 22, "/vm", "1");
	thread_is(&m, 23, "/vm", "0-3");
	assert_true(r.verified);
	assert_int_equal(r.already, 1);
	/* and one whose giving back never happened */
	thread(&m, 23)->cpus = cpus("1");
	r = undo(&m, &j);
	thread_is(&m, 23, "/vm", "0-3");
	cl_journal_done(&j);
}

static void test_numbers_used_again(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	for (int32_t tid = 10; tid <= 12; tid++) { /* the guest died; its ids belong to others */
		thread(&m, tid)->start = 5000;
		snprintf(thread(&m, tid)->path, 64, "/");
		thread(&m, tid)->cpus = cpus("1");
	}
	r = undo(&m, &j);
	for (int32_t tid = 10; tid <= 12; tid++)
		thread_is(&m, tid, "/", "1");
	assert_int_equal(r.gone, 2);
	assert_true(r.verified);
	assert_null(group(&m, "/closer"));
	cl_journal_done(&j);
}

static void test_strangers_in_our_group(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	snprintf(thread(&m, 99)->path, 64, "/closer/a");
	r = undo(&m, &j);
	thread_is(&m, 99, "/closer/a", "0-3");
	thread_is(&m, 10, "/vm", "0-3");
	assert_non_null(group(&m, "/closer/a"));
	assert_int_equal(r.left, 2); /* the container, and the one above it */
	assert_true(r.verified);
	/* a container of another's making inside ours */
	m = start();
	forward(&m, &j);
	add_group(&m, "/closer/other", "1");
	r = undo(&m, &j);
	assert_null(group(&m, "/closer/a"));
	assert_non_null(group(&m, "/closer"));
	assert_int_equal(r.left, 1);
	assert_true(r.verified);
	cl_journal_done(&j);
}

static void test_where_it_was_is_gone(void **state)
{
	struct cl_journal j = parse(usual, NULL);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	snprintf(thread(&m, 12)->path, 64, "/");
	*group(&m, "/vm") = m.groups[--m.group_count];
	r = undo(&m, &j);
	thread_is(&m, 10, "/", "0-3");
	thread_is(&m, 11, "/", "0-3");
	assert_int_equal(r.failed, 0);
	assert_true(m.said >= 2);
	assert_true(r.verified);
	/* there, but with fewer CPUs than before */
	m = start();
	forward(&m, &j);
	group(&m, "/vm")->cpus = cpus("2-3");
	r = undo(&m, &j);
	thread_is(&m, 10, "/vm", "2-3");
	assert_true(r.verified);
	cl_journal_done(&j);
}

static void test_dropped_is_not_touched(void **state)
{
	static const char *const more[] = { "drop thread 10 start 50", "drop irq 4", NULL };
	struct cl_journal j = parse(usual, more);
	struct machine m = start();
	struct cl_undo_report r;

	forward(&m, &j);
	snprintf(thread(&m, 10)->path, 64, "/vm");
	thread(&m, 10)->cpus = cpus("1"); /* a value of ours, but it is somebody's now */
	m.irq = cpus("2");
	r = undo(&m, &j);
	thread_is(&m, 10, "/vm", "1");
	assert_true(cl_cpuset_has(&m.irq, 2) && cl_cpuset_count(&m.irq) == 1);
	assert_int_equal(r.objects, 3);
	assert_true(r.verified);
	cl_journal_done(&j);
}

#define NO_UUID  "uuid 00000000-0000-0000-0000-000000000000"
#define UUID(n)  "uuid 00000000-0000-0000-0000-00000000000" #n
#define ALL_PINS "from cpus 0-3 to cpus"

static const char *const pins[] = {
	"closer-journal 1",
	"boot 01234567-89ab-cdef-0123-456789abcdef",
	"id 00000000000000aa",
	"host xen:",
	"plan 1 2026-01-01T00:00:00Z ticks 100",
	"change 1 vcpu 0 domain 0 " NO_UUID " " ALL_PINS " 0 why one-to-one",
	"change 2 vcpu 1 domain 0 " NO_UUID " " ALL_PINS " 1 why one-to-one",
	"plan 2 2026-01-01T00:00:01Z ticks 200",
	"change 3 vcpu 0 domain 5 " UUID(5) " " ALL_PINS " 1-3 why main-exclusive",
	"change 4 vcpu 1 domain 5 " UUID(5) " from cpus 0-1 to cpus 1 why main-exclusive",
	"change 5 vcpu 0 domain 6 " UUID(6) " " ALL_PINS " 1-3 why main-exclusive",
	NULL,
};

static void vcpu_is(const struct machine *m, int at, const char *list)
{
	struct cl_cpuset want = cpus(list);

	assert_true(cl_cpuset_equal(&m->vcpus[at].cpus, &want));
}

/* One that somebody pinned since is his; a number that is another domain's by now is not touched.
 */
static void test_vcpus(void **state)
{
	struct cl_journal j = parse(pins, NULL);
	struct machine m = { .writes_left = 1000 };
	struct cl_undo_report r;

	add_group(&m, "/", "0-3");
	add_vcpu(&m, 0, 0, "0-3");
	add_vcpu(&m, 0, 1, "0-3");
	add_vcpu(&m, 5, 0, "0-3");
	add_vcpu(&m, 5, 1, "0-1");
	add_vcpu(&m, 6, 0, "0-3");
	for (uint32_t i = 0; i < j.entry_count; i++)
		assert_int_equal(fake_apply(&m, &j.entries[i].change, NULL), 0);
	vcpu_is(&m, 1, "1");
	m.vcpus[2].cpus = cpus("0-2"); /* somebody's */
	m.vcpus[4].id = 7;             /* another guest's, with the same set by chance */
	r = undo(&m, &j);
	vcpu_is(&m, 0, "0-3");
	vcpu_is(&m, 1, "0-3");
	vcpu_is(&m, 2, "0-2");
	vcpu_is(&m, 3, "0-1");
	vcpu_is(&m, 4, "1-3");
	assert_int_equal(r.restored, 3);
	assert_int_equal(r.left, 1);
	assert_int_equal(r.gone, 1);
	assert_true(r.verified && r.failed == 0);
	assert_int_equal(m.said, 1);
	cl_journal_done(&j);
}

#define CAP(domid, from, to)                                                                       \
	" cap domain " #domid " " UUID(domid) " from number " from " to number " to

static const char *const caps[] = {
	"closer-journal 1",
	"boot 01234567-89ab-cdef-0123-456789abcdef",
	"id 00000000000000aa",
	"host xen:",
	"plan 1 2026-01-01T00:00:00Z ticks 100",
	"change 1" CAP(5, "600000", "400000") " why debt",
	"change 2" CAP(6, "600000", "400000") " why debt",
	"change 3" CAP(7, "600000", "400000") " why debt",
	"plan 2 2026-01-01T00:00:01Z ticks 200",
	"change 4" CAP(5, "400000", "380000") " why debt",
	"drop cap domain 6 " UUID(6),
	"plan 3 2026-01-01T00:00:02Z ticks 300",
	"change 5" CAP(6, "800000", "700000") " why debt",
	"change 6" CAP(8, "300000", "600000") " why reborn",
	"change 7" CAP(8, "600000", "500000") " why debt",
	"change 8" CAP(9, "600000", "500000") " why debt",
	NULL,
};

/* The contract comes back: the operator's last one, and of one that came back with what closer had
 * left it the one from before. */
static void test_caps(void **state)
{
	static const int64_t is[] = { 380000, 700000, 200000, 500000, 300000 };
	static const int64_t want[] = { 600000, 800000, 200000, 600000, 300000 };
	struct cl_journal j = parse(caps, NULL);
	struct machine m = { .writes_left = 1000 };
	struct cl_undo_report r;

	add_group(&m, "/", "0-3");
	for (uint32_t i = 0; i < 5; i++)
		add_vcpu(&m, 5 + i, 0, "0-3")->cap = is[i];
	m.vcpus[4].id = 1; /* another guest's by now */
	r = undo(&m, &j);
	for (int i = 0; i < 5; i++)
		assert_int_equal(m.vcpus[i].cap, want[i]);
	assert_int_equal(r.restored, 3);
	assert_int_equal(r.left, 1); /* somebody set it to 20 % */
	assert_int_equal(r.gone, 1);
	assert_true(r.verified);
	cl_journal_done(&j);
}

#define MEMORY(domid, from, to)                                                                    \
	" memory domain " #domid " " UUID(domid) " from number " from " to number " to

static const char *const targets[] = {
	"closer-journal 1",
	"boot 01234567-89ab-cdef-0123-456789abcdef",
	"id 00000000000000aa",
	"host xen:",
	"plan 1 2026-01-01T00:00:00Z ticks 100",
	"change 1" MEMORY(5, "1073741824", "1056964608") " why claim",
	"change 2" MEMORY(6, "1073741824", "1056964608") " why claim",
	"plan 2 2026-01-01T00:00:01Z ticks 200",
	"change 3" MEMORY(0, "1073741824", "1107296256") " why hold",
	"change 4" MEMORY(5, "1056964608", "1040187392") " why claim",
	"change 5" MEMORY(7, "1056964608", "1073741824") " why reborn",
	"change 6" MEMORY(7, "1073741824", "1056964608") " why claim",
	NULL,
};

/* Killed at any moment of a claim: every target comes back, the privileged domain's too. */
static void test_targets(void **state)
{
	static const int64_t is[] = { 1107296256, 1040187392, 512 << 20, 1056964608 };
	static const int64_t want[] = { 1 << 30, 1 << 30, 512 << 20, 1 << 30 };
	static const uint32_t domids[] = { 0, 5, 6, 7 };
	struct cl_journal j = parse(targets, NULL);
	struct machine m = { .writes_left = 1000 };
	struct cl_undo_report r;

	add_group(&m, "/", "0-3");
	for (uint32_t i = 0; i < 4; i++)
		add_vcpu(&m, domids[i], 0, "0-3")->memory = is[i];
	r = undo(&m, &j);
	for (int i = 0; i < 4; i++)
		assert_int_equal(m.vcpus[i].memory, want[i]);
	assert_int_equal(r.restored, 3);
	assert_int_equal(r.left, 1); /* somebody's */
	assert_true(r.verified);
	/* Not all of the plan was applied: what is as it was is left so. */
	m.vcpus[0].memory = 1 << 30;
	m.vcpus[1].memory = 1056964608;
	r = undo(&m, &j);
	assert_int_equal(m.vcpus[0].memory, 1 << 30);
	assert_int_equal(m.vcpus[1].memory, 1 << 30);
	cl_journal_done(&j);
}

/* A journal of dom0's on a machine that is none: said of each, and kept for another try. */
static void test_no_hypervisor(void **state)
{
	struct cl_journal j = parse(pins, NULL);
	struct cl_undo_linux *here;
	struct machine m = { .said = 0 };
	struct cl_undo_report r;

	if (access("/proc/xen", F_OK) == 0)
		skip();
	assert_int_equal(cl_undo_linux_new(&here, NULL), 0);
	assert_int_equal(cl_undo_run(&j, &cl_undo_linux, here, say, &m, &r, NULL), 0);
	cl_undo_linux_free(here);
	assert_int_equal(r.failed, 5);
	assert_int_equal(m.said, 5);
	assert_false(r.verified);
	cl_journal_done(&j);
}

/* A partition over two threads of others: one with all CPUs, one with a mask set by hand. */
static const char *const fenced[] = {
	"closer-journal 1",
	"boot 01234567-89ab-cdef-0123-456789abcdef",
	"id 00000000000000aa",
	"host x:y",
	"plan 1 2026-01-01T00:00:00Z ticks 100",
	"change 1 group /closer from absent to cpus 1-3 why container",
	"change 2 thread 10 start 50 process 10 from cgroup / cpus 0-3 to cgroup /closer cpus 2 why home",
	"change 3 fence /closer from number 0 cpus - to number 1 cpus 0 why fence",
	"change 4 thread 20 start 60 process 20 from cgroup - cpus 0,2 to cgroup - cpus 0 why fence",
	"plan 2 2026-01-01T00:00:01Z ticks 200",
	"change 5 thread 30 start 150 process 30 from cgroup / cpus 0 to cgroup /closer cpus 3 why home",
	NULL,
};

static struct machine fence_start(void)
{
	struct machine m = { .writes_left = 1000 };

	add_group(&m, "/", "0-3");
	add_thread(&m, 10, 50, 10, "/", "0-3");
	add_thread(&m, 20, 60, 20, "/", "0,2");
	add_thread(&m, 21, 61, 21, "/", "0-3");
	add_thread(&m, 30, 150, 30, "/", "0-3"); /* in truth born later, with CPU 0 alone */
	m.irq = cpus("0-3");
	return m;
}

/* First it goes, then the threads go back to where they could not be before. */
static void test_fence_goes_first(void **state)
{
	struct cl_journal j = parse(fenced, NULL);
	struct machine before = fence_start(), m = fence_start();
	struct cl_undo_report r;

	forward(&m, &j);
	thread_is(&m, 10, "/closer", "2");
	thread_is(&m, 20, "/", "0");
	thread_is(&m, 21, "/", "0");
	thread_is(&m, 30, "/closer", "3");
	r = undo(&m, &j);
	same_machine(&before, &m);
	assert_int_equal(m.fence, 0);
	assert_int_equal(r.restored, 5);
	assert_true(r.verified);
	for (int there = 0; there < 8; there++) {
		for (int back = 0; back < 10; back++) {
			m = fence_start();
			m.writes_left = there;
			forward(&m, &j);
			m.writes_left = back;
			undo(&m, &j);
			m.writes_left = 1000;
			r = undo(&m, &j);
			same_machine(&before, &m);
			assert_true(r.verified && r.left == 0);
		}
	}
	cl_journal_done(&j);
}

/* Somebody has made it another kind of partition: the container is closer's, and so it goes. */
static void test_fence_of_another_kind(void **state)
{
	struct cl_journal j = parse(fenced, NULL);
	struct machine before = fence_start(), m = fence_start();
	struct cl_undo_report r;

	forward(&m, &j);
	m.fence = 2;
	r = undo(&m, &j);
	same_machine(&before, &m);
	assert_true(r.verified && r.left == 0);
	cl_journal_done(&j);
}

/* Set under the fence by somebody else, where the kernel remembers masks: it stays. */
static void test_set_under_the_fence(void **state)
{
	struct cl_journal j = parse(fenced, NULL);
	struct machine m = fence_start();
	struct cl_undo_report r;

	forward(&m, &j);
	set_fence(&m, 0);
	thread(&m, 20)->cpus = cpus("3");
	r = undo(&m, &j);
	thread_is(&m, 20, "/", "3");
	assert_int_equal(r.left, 1);
	assert_true(r.verified);
	cl_journal_done(&j);
}

/* Masks: who was there gets all back, and so does what was born of them; not what was older, has
 * another mask, or is a kernel thread. */
static void test_fence_of_masks(void **state)
{
	static const char *const lines[] = {
		"closer-journal 1",
		"boot 01234567-89ab-cdef-0123-456789abcdef",
		"id 00000000000000aa",
		"host x:y",
		"plan 1 2026-01-01T00:00:00Z ticks 100",
		"change 1 fence / from number 0 cpus - to number 1 cpus 0 why fence",
		"change 2 thread 10 start 50 process 10 from cgroup - cpus 0-3 to cgroup - cpus 0 why fence",
		NULL,
	};
	struct cl_journal j = parse(lines, NULL);
	struct machine m = { .writes_left = 1000 };
	struct cl_undo_report r;

	add_group(&m, "/", "0-3");
	add_thread(&m, 10, 50, 10, "/", "0-3");
	forward(&m, &j);
	thread_is(&m, 10, "/", "0");
	add_thread(&m, 30, 150, 30, "/", "0");
	add_thread(&m, 31, 99, 31, "/", "0");
	add_thread(&m, 32, 150, 32, "/", "1");
	add_thread(&m, 33, 150, 33, "/", "0");
	thread(&m, 33)->parent = 2;
	r = undo(&m, &j);
	thread_is(&m, 10, "/", "0-3");
	thread_is(&m, 30, "/", "0-3");
	thread_is(&m, 31, "/", "0");
	thread_is(&m, 32, "/", "1");
	thread_is(&m, 33, "/", "0");
	assert_int_equal(r.restored, 2);
	assert_true(r.verified && r.failed == 0);
	cl_journal_done(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_comes_back),
		cmocka_unit_test(test_killed_anywhere),
		cmocka_unit_test(test_somebody_elses_mask),
		cmocka_unit_test(test_born_of_placed_ones),
		cmocka_unit_test(test_born_while_undoing),
		cmocka_unit_test(test_from_was_inherited),
		cmocka_unit_test(test_numbers_used_again),
		cmocka_unit_test(test_strangers_in_our_group),
		cmocka_unit_test(test_where_it_was_is_gone),
		cmocka_unit_test(test_dropped_is_not_touched),
		cmocka_unit_test(test_fence_goes_first),
		cmocka_unit_test(test_fence_of_another_kind),
		cmocka_unit_test(test_set_under_the_fence),
		cmocka_unit_test(test_fence_of_masks),
		cmocka_unit_test(test_vcpus),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_no_hypervisor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
