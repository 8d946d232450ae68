/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dom0's vCPUs one to one on physical CPUs, and guests' vCPUs off the main container's. */
#include "unit.h"
#include "world.h"

#include <errno.h>

static struct world w;

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

static uint32_t count(enum cl_action_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w.plan->n.actions; i++)
		n += w.plan->actions[i].kind == kind;
	return n;
}

/* As a list: "0 2 4-5", one word a vCPU. */
static void assert_pins(const char *want)
{
	char have[256] = "";

	for (uint32_t c = 0; c < w.cpus; c++) {
		size_t len = strlen(have);

		snprintf(have + len, sizeof(have) - len, "%s%s", c ? " " : "", w.pins[c]);
	}
	assert_string_equal(have, want);
}

/* cpus vCPUs of dom0, pcpus physical CPUs on two nodes, a guest on each. */
static void start(uint32_t cpus, uint32_t pcpus)
{
	world_init(&w, cpus, 2);
	world_hypervisor(&w, pcpus);
	for (int g = 0; g < 2; g++) {
		world_guest(&w, UINT64_C(1) << g);
		world_vcpu(&w, g, 0, cpus ? cpus - 1 : 0, "0-3");
		world_work(&w, g, CL_WORK_BLKBACK, "0-3");
	}
}

static void one_to_one(void **state)
{
	start(4, 4);
	world_run(&w, 1, 10);
	assert_pins("0 1 2 3");
	assert_int_equal(count(CL_ACTION_CPU_PIN), 4);
	assert_true(cl_plan_goes_on(w.plan));
	/* nothing but that in the first plan, and each work says so */
	assert_int_equal(w.plan->n.actions, 4);
	for (uint32_t i = 0; i < w.now->n.works; i++)
		assert_int_equal(w.plan->verdicts[i].left.code, CL_REASON_PINS_FIRST);
	/* then the rest, in the next, and then nothing any more */
	world_run(&w, 1, 10);
	assert_int_equal(count(CL_ACTION_CPU_PIN), 0);
	assert_int_equal(count(CL_ACTION_THREAD_PLACE), 2);
	assert_false(cl_plan_goes_on(w.plan));
	world_run(&w, 3, 10);
	assert_pins("0 1 2 3");
	assert_int_equal(w.plan->n.actions, 0);
}

static void fewer_vcpus(void **state)
{
	start(2, 4); /* one on each node */
	world_run(&w, 2, 10);
	assert_pins("0 2");
	teardown(state);
	start(3, 8);
	world_run(&w, 2, 10);
	assert_pins("0 1 4");
	teardown(state);
	start(5, 8);
	world_run(&w, 2, 10);
	assert_pins("0 1 2 4 5");
}

/* One vCPU for two nodes: the node where guests are. */
static void one_vcpu(void **state)
{
	world_init(&w, 1, 2);
	world_hypervisor(&w, 4);
	world_guest(&w, 2);
	world_run(&w, 1, 10);
	assert_pins("2");
}

/* What is too many moves about as before; nothing more is tried. */
static void more_vcpus(void **state)
{
	start(6, 4);
	world_run(&w, 1, 10);
	assert_pins("0 1 2 3 0-3 0-3");
	world_run(&w, 2, 10);
	assert_int_equal(count(CL_ACTION_CPU_PIN), 0);
	assert_int_equal(w.plan->n.actions, 0);
}

static void within_the_pool(void **state)
{
	start(4, 4);
	w.pool = "1,3";
	world_run(&w, 1, 10);
	assert_pins("1 3 0-3 0-3");
}

/* dom0_vcpus_pin, or by hand one to one in another order: as good as ours. */
static void operator_pinned(void **state)
{
	start(4, 4);
	for (uint32_t c = 0; c < 4; c++) {
		char pcpu[4];

		snprintf(pcpu, sizeof(pcpu), "%u", 3 - c);
		world_pin(&w, c, pcpu);
	}
	world_tick(&w, 10);
	assert_int_equal(count(CL_ACTION_CPU_PIN), 0);
	assert_int_equal(count(CL_ACTION_THREAD_PLACE), 2);
	assert_int_equal(w.state->cpus[0].foreign, 0);
	/* some of them: the others get what is free */
	teardown(state);
	start(4, 4);
	world_pin(&w, 1, "0");
	world_run(&w, 1, 10);
	assert_pins("1 0 2 3");
}

/* Two on one CPU, or on some: somebody wants it so. */
static void somebody_elses(void **state)
{
	start(4, 4);
	world_pin(&w, 0, "0");
	world_pin(&w, 1, "0");
	world_pin(&w, 2, "0-1");
	world_run(&w, 3, 10);
	assert_pins("0 0 0-1 2"); /* the free CPU of the node that has none yet */
	assert_int_equal(w.state->cpus[0].foreign, 1);
	assert_int_equal(w.state->cpus[2].foreign, 1);
	assert_int_equal(w.state->cpus[3].foreign, 0);
}

static void changed_by_somebody(void **state)
{
	start(4, 4);
	world_run(&w, 2, 10);
	world_pin(&w, 2, "1-2");
	world_tick(&w, 10);
	assert_int_equal(count(CL_ACTION_CPU_RELEASE), 1);
	assert_int_equal(count(CL_ACTION_CPU_PIN), 0);
	assert_int_equal(w.plan->actions[w.plan->n.actions - 1].object.cpu, 2);
	world_apply(&w);
	world_run(&w, 5, 10);
	assert_pins("0 1 1-2 3");
	assert_int_equal(count(CL_ACTION_CPU_RELEASE), 0);
	/* one onto another's: that other stays where it is */
	world_pin(&w, 3, "0");
	world_run(&w, 3, 10);
	assert_pins("0 1 1-2 0");
	assert_int_equal(w.state->cpus[0].foreign, 0);
	assert_int_equal(w.state->cpus[3].foreign, 1);
	world_pin(&w, 3, "0-3");
	/* handed back: Xen's default, as after its CPU left the pool and came again */
	world_pin(&w, 2, "0-3");
	world_run(&w, 1, 10);
	assert_pins("0 1 2 3");
}

/* A refused pin holds nothing back for long: tried again later, and the rest goes on. */
static void refused(void **state)
{
	start(4, 4);
	world_tick(&w, 10);
	for (uint32_t i = 0; i < w.plan->n.actions; i++)
		cl_state_outcome(w.state, &w.params, w.plan, &w.plan->actions[i], EPERM, w.now_ns);
	world_run(&w, 1, 10);
	assert_int_equal(count(CL_ACTION_CPU_PIN), 0);
	assert_int_equal(count(CL_ACTION_THREAD_PLACE), 2);
	world_run(&w, 10, 10);
	assert_pins("0 1 2 3");
}

static void not_asked_for(void **state)
{
	start(4, 4);
	w.params.pin = 0;
	world_run(&w, 2, 10);
	assert_pins("0-3 0-3 0-3 0-3");
	/* no hypervisor at all */
	teardown(state);
	world_init(&w, 4, 2);
	w.params.main_exclusive = 1;
	world_run(&w, 1, 10);
	assert_int_equal(w.plan->n.actions, 0);
}

static void after_a_restart(void **state)
{
	struct cl_cpuset set;

	start(4, 4);
	w.params.main_exclusive = 1;
	world_pin(&w, 3, "0-1");
	world_move(&w.threads[0], "1-2");
	cl_cpuset_parse("0-1", 3, &set);
	assert_true(cl_state_own_cpu(w.state, 3, cl_cpuset_hash(&set)));
	struct cl_uuid id;

	world_uuid(0, &id);
	cl_cpuset_parse("1-2", 3, &set);
	assert_true(cl_state_own_vcpu(w.state, &id, 1, 0, cl_cpuset_hash(&set)));
	world_uuid(1, &id);
	assert_true(cl_state_own_vcpu(w.state, &id, 2, 0, 0)); /* somebody had taken it over */
	world_run(&w, 3, 10);
	assert_pins("0 1 2 3");
	assert_string_equal(w.threads[0].pcpus, "1-2");
	assert_int_equal(count(CL_ACTION_VCPU_RELEASE), 0);
	assert_null(w.threads[2].pcpus); /* the other guest's vCPU: left */
}

/* ---- main_exclusive ---- */

static void kept_off(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	world_move(&w.threads[2], "0,3");
	world_run(&w, 1, 10);
	assert_int_equal(count(CL_ACTION_VCPU_KEEP), 0); /* not before the pins */
	world_run(&w, 1, 10);
	assert_string_equal(w.threads[0].pcpus, "1-3");
	assert_string_equal(w.threads[2].pcpus, "3");
	/* a guest that comes later, at its first tick */
	struct world_thread *late = world_vcpu(&w, world_guest(&w, 1), 0, 1, "0-3");

	world_tick(&w, 10);
	assert_int_equal(count(CL_ACTION_VCPU_KEEP), 1);
	world_apply(&w);
	assert_string_equal(late->pcpus, "1-3");
	world_run(&w, 3, 10);
	assert_int_equal(count(CL_ACTION_VCPU_KEEP), 0);
}

static void cannot_be_kept_off(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	world_move(&w.threads[0], "0");   /* nothing would be left */
	world_move(&w.threads[2], "1-2"); /* is not there anyway */
	world_run(&w, 3, 10);
	assert_string_equal(w.threads[0].pcpus, "0");
	assert_string_equal(w.threads[2].pcpus, "1-2");
	assert_int_equal(w.state->vcpus[0].foreign, 0);
}

/* In another cpupool they are never on the main container's CPUs, whatever Xen has them down for.
 */
static void in_another_pool(void **state)
{
	start(2, 4);
	w.params.main_exclusive = 1;
	w.pool = "0-1";
	w.other_pool = "2-3";
	w.in_other_pool[0] = true;
	world_move(&w.threads[0], "0-3");
	world_move(&w.threads[2], "0,2"); /* outside of its pool is nowhere */
	world_run(&w, 3, 10);
	assert_pins("0 1");
	assert_string_equal(w.threads[0].pcpus, "0-3");
	assert_string_equal(w.threads[2].pcpus, "0,2");
}

/* dom0's own vCPUs are not pinned: where the main container is is not known. */
static void main_is_nowhere(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	w.params.pin = 0;
	world_run(&w, 3, 10);
	assert_int_equal(count(CL_ACTION_VCPU_KEEP), 0);
}

static void guest_moved_by_somebody(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	world_run(&w, 2, 10);
	world_move(&w.threads[0], "0-1");
	world_tick(&w, 10);
	assert_int_equal(count(CL_ACTION_VCPU_RELEASE), 1);
	world_apply(&w);
	world_run(&w, 5, 10);
	assert_string_equal(w.threads[0].pcpus, "0-1");
	assert_int_equal(count(CL_ACTION_VCPU_RELEASE), 0);
	/* it reboots: another domain, set anew, and nobody's */
	w.domid[0] = 9;
	world_move(&w.threads[0], "0-3");
	world_run(&w, 1, 10);
	assert_string_equal(w.threads[0].pcpus, "1-3");
}

/* A guest that reboots between two looks has nothing of ours: that is nobody's change. */
static void rebooted(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	world_run(&w, 3, 10);
	w.domid[0] = 9;
	world_move(&w.threads[0], "0-3");
	world_tick(&w, 10);
	assert_int_equal(count(CL_ACTION_VCPU_RELEASE), 0);
	assert_int_equal(count(CL_ACTION_VCPU_KEEP), 1);
}

/* Changed between our look and our hand: he has the last word. */
static void changed_just_then(void **state)
{
	start(4, 4);
	w.params.main_exclusive = 1;
	world_run(&w, 1, 10);
	world_tick(&w, 10);
	for (uint32_t i = 0; i < w.plan->n.actions; i++) {
		const struct cl_action *a = &w.plan->actions[i];

		if (a->kind == CL_ACTION_VCPU_KEEP)
			cl_state_outcome(w.state, &w.params, w.plan, a, ESTALE, w.now_ns);
	}
	world_run(&w, 20, 10);
	assert_null(w.threads[0].pcpus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, teardown)
		T(one_to_one),         T(fewer_vcpus),         T(one_vcpu),
		T(more_vcpus),         T(within_the_pool),     T(operator_pinned),
		T(somebody_elses),     T(changed_by_somebody), T(refused),
		T(not_asked_for),      T(after_a_restart),     T(kept_off),
		T(cannot_be_kept_off), T(main_is_nowhere),     T(guest_moved_by_somebody),
		T(rebooted),           T(changed_just_then),   T(in_another_pool),
	};

	return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
