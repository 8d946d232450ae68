/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fence as core decides it: when it is put up, that it stays, and whose it is. */
#include "unit.h"
#include "world.h"

#include <errno.h>
#include <string.h>

#define FENCES (1u << CL_CAN_FENCE | 1u << CL_CAN_PARTITION)

static struct world w;

static void start(uint32_t can)
{
	world_init(&w, 4, 2);
	w.can |= can;
	int g = world_guest(&w, 2);

	world_vcpu(&w, g, 0, 2, "0-3");
	world_work(&w, g, CL_WORK_BLKBACK, "0-3");
}

static const struct cl_action *fence_action(void)
{
	for (uint32_t i = 0; i < w.plan->n.actions; i++)
		if (w.plan->actions[i].kind == CL_ACTION_FENCE)
			return &w.plan->actions[i];
	return NULL;
}

/* With the first containers, after everything was placed; it says what is left to the others. */
static void put_up_last(void **state)
{
	start(FENCES);
	world_tick(&w, 10);
	const struct cl_action *a = &w.plan->actions[w.plan->n.actions - 1];

	assert_int_equal(a->kind, CL_ACTION_FENCE);
	assert_int_equal(a->object.group.tag, CL_GROUP_ROOT);
	assert_int_equal(a->from.number, 0);
	assert_int_equal(a->to.number, 1);
	assert_string_equal(world_cpus(&w, a->to.mask), "0");
	assert_int_equal(a->why.code, CL_REASON_FENCE);
	assert_int_equal(a->why.number[0], 3);
	assert_int_equal(w.plan->actions[0].object.group.tag, CL_GROUP_ROOT);
	for (uint32_t i = 0; i + 1 < w.plan->n.actions; i++)
		assert_int_not_equal(w.plan->actions[i].kind, CL_ACTION_FENCE);
	world_done(&w);
}

/* Guests come and go, and the main container gets another CPU: it is not touched again. */
static void stays_up(void **state)
{
	start(FENCES);
	world_run(&w, 2, 10);
	assert_true(w.fenced);
	assert_int_equal(w.plan->fence.code, CL_REASON_FENCE);
	int g = world_guest(&w, 1);

	world_work(&w, g, CL_WORK_NAPI, "0-3");
	world_run(&w, 2, 10);
	assert_null(fence_action());
	w.guest_gone[g] = true;
	assert_true(cl_cpuset_parse("0-1", 3, &w.params.main_cpus));
	world_run(&w, 3, 10);
	assert_null(fence_action());
	assert_int_equal(w.plan->fence.code, CL_REASON_FENCE);
	assert_int_equal(w.plan->fence.number[0], 2);
	world_done(&w);
}

/* What starts under the fence starts on the main CPUs, which is the default then: it is placed. */
static void born_under_it(void **state)
{
	start(FENCES);
	world_run(&w, 2, 10);
	w.groups[w.group_count] = strdup("/");
	w.group_cpus[w.group_count++] = strdup("0");
	struct world_thread *t = world_work(&w, 0, CL_WORK_NAPI, "0");

	world_tick(&w, 10);
	assert_non_null(world_action(&w, t));
	assert_int_equal(world_action(&w, t)->kind, CL_ACTION_THREAD_PLACE);
	world_done(&w);
}

/* Taken down by somebody: said, not fought over, until the container is another. */
static void taken_down(void **state)
{
	start(FENCES);
	world_run(&w, 2, 10);
	w.fenced = false;
	world_run(&w, 3, 10);
	assert_false(w.fenced);
	assert_int_equal(w.plan->fence.code, CL_REASON_FOREIGN);
	for (int i = 0; i < w.thread_count; i++) {
		free((char *)(uintptr_t)w.threads[i].group);
		w.threads[i].group = strdup("/");
	}
	while (w.group_count > 0) {
		w.group_count--;
		free((char *)(uintptr_t)w.groups[w.group_count]);
		free((char *)(uintptr_t)w.group_cpus[w.group_count]);
	}
	world_run(&w, 2, 10);
	assert_true(w.fenced);
	world_done(&w);
}

/* The kernel refuses: later, and longer each time. Somebody's already: never. */
static void refused(void **state)
{
	start(FENCES);
	w.params.fence = 0;
	world_run(&w, 2, 10);
	w.params.fence = 1;
	world_tick(&w, 10);
	cl_state_outcome(w.state, &w.params, w.plan, fence_action(), EIO, w.now_ns);
	world_tick(&w, 10);
	assert_null(fence_action());
	assert_int_equal(w.plan->fence.code, CL_REASON_BACKOFF);
	for (int i = 0; i < 5 && !fence_action(); i++)
		world_tick(&w, 10);
	assert_non_null(fence_action());
	cl_state_outcome(w.state, &w.params, w.plan, fence_action(), ESTALE, w.now_ns);
	world_tick(&w, 10);
	assert_null(fence_action());
	assert_int_equal(w.plan->fence.code, CL_REASON_FOREIGN);
	world_done(&w);
}

/* Masks, where there is no partition or no container: once, by what the state remembers. */
static void by_masks(void **state)
{
	for (int way = 0; way < 2; way++) {
		start(way ? FENCES : 1u << CL_CAN_FENCE);
		w.params.containers = way ? 0 : 1;
		world_tick(&w, 10);
		assert_non_null(fence_action());
		assert_int_equal(fence_action()->object.group.tag, CL_GROUP_NONE);
		world_apply(&w);
		world_run(&w, 2, 10);
		assert_null(fence_action());
		assert_int_equal(w.plan->fence.code, CL_REASON_FENCE);
		/* A device model that a process inside it starts: placed all the same. */
		struct world_thread *t = world_work(&w, 0, CL_WORK_DEVICE_MODEL, "0");

		world_tick(&w, 10);
		assert_non_null(world_action(&w, t));
		world_done(&w);
	}
	/* After a restart the journal says it. */
	start(1u << CL_CAN_FENCE);
	cl_state_own_fence(w.state);
	world_tick(&w, 10);
	assert_null(fence_action());
	world_done(&w);
}

static void not_at_all(void **state)
{
	start(0);
	world_tick(&w, 10);
	assert_null(fence_action());
	assert_int_equal(w.plan->fence.code, CL_REASON_CANNOT);
	world_done(&w);

	start(FENCES);
	w.params.fence = 0;
	world_tick(&w, 10);
	assert_null(fence_action());
	assert_int_equal(w.plan->fence.code, CL_REASON_NONE);
	world_done(&w);

	/* One CPU: there is nothing to set apart. */
	world_init(&w, 1, 1);
	w.can |= FENCES;
	world_work(&w, world_guest(&w, 1), CL_WORK_BLKBACK, "0");
	world_tick(&w, 10);
	assert_null(fence_action());
	world_done(&w);

	/* A guest without work: no container, so no fence yet. */
	world_init(&w, 4, 2);
	w.can |= FENCES;
	world_vcpu(&w, world_guest(&w, 1), 0, 0, "0-3");
	world_tick(&w, 10);
	assert_null(fence_action());
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_up_last),   cmocka_unit_test(stays_up),
		cmocka_unit_test(born_under_it), cmocka_unit_test(taken_down),
		cmocka_unit_test(refused),       cmocka_unit_test(by_masks),
		cmocka_unit_test(not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
