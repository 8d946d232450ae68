/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose a setting is: the kernel's default, closer's, inherited, somebody's; and who comes and
 * goes. */
#include "unit.h"
#include "world.h"

static struct world w;

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

/* Somebody's mask is left, reported, and taken only when adopted; then undone by them, it is
 * default again. */
static void foreign_mask(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0,3");

	world_run(&w, 5, 10);
	assert_string_equal(io->mask, "0,3");
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_FOREIGN);
	assert_true(cl_state_adopt_thread(w.state, io->id));
	world_run(&w, 2, 10);
	assert_string_equal(io->mask, "2");
}

static void foreign_change_after_placement(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 8, 10);
	assert_string_equal(io->mask, "2");
	free((char *)(uintptr_t)io->mask);
	io->mask = strdup("3");
	world_tick(&w, 10);
	assert_non_null(world_action(&w, io));
	assert_int_equal(world_action(&w, io)->kind, CL_ACTION_THREAD_RELEASE);
	assert_int_equal(cl_plan_changes(w.plan), 0);
	world_apply(&w);
	/* Although it sits in a container of ours it is not taken for inherited. */
	world_run(&w, 20, 10);
	assert_string_equal(io->mask, "3");
	assert_int_equal(w.plan->n.actions, 0);
}

/* Another manager's cgroup: the thread stays in it and inside its CPUs. */
static void foreign_group(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	w.groups[0] = strdup("/machine/qemu-1/emulator");
	w.group_cpus[0] = strdup("0,3");
	w.group_count = 1;
	free((char *)(uintptr_t)io->group);
	free((char *)(uintptr_t)io->mask);
	io->group = strdup("/machine/qemu-1/emulator");
	io->mask = strdup("0,3");
	world_run(&w, 8, 10);
	assert_string_equal(io->group, "/machine/qemu-1/emulator");
	assert_string_equal(io->mask, "3");
}

/* Guests come and go: placed at the first tick, forgotten with its containers. */
static void come_and_go(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *old = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 3, 10);
	assert_int_equal(w.group_count, 2);
	int h = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, h, CL_WORK_IOTHREAD, "0-3");

	world_tick(&w, 10);
	assert_non_null(world_action(&w, io));
	world_apply(&w);
	assert_int_equal(w.group_count, 3);
	w.guest_gone[g] = true;
	world_run(&w, 1, 10);
	assert_int_equal(w.group_count, 2);
	assert_int_equal(w.state->n.guests, 1);
	assert_int_equal(w.state->n.works, 1);
	/* The same guest again, with a new process. */
	old->id.start += 1000;
	free((char *)(uintptr_t)old->group);
	free((char *)(uintptr_t)old->mask);
	old->group = strdup("/");
	old->mask = strdup("0-3");
	w.guest_gone[g] = false;
	world_run(&w, 1, 10);
	assert_int_equal(w.group_count, 3);
}

/* A worker born of a placed iothread inherits its mask and is closer's; a hot-plugged vCPU is given
 * back. */
static void newborns(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "0-3");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 40, 10);
	assert_string_equal(io->mask, "2");
	struct world_thread *worker = world_work(&w, g, CL_WORK_WORKER, io->mask);
	struct world_thread *vcpu = world_vcpu(&w, g, 1, 2, io->mask);

	free((char *)(uintptr_t)worker->group);
	free((char *)(uintptr_t)vcpu->group);
	worker->group = strdup(io->group);
	vcpu->group = strdup(io->group);
	world_tick(&w, 10);
	assert_int_equal(world_verdict(&w, worker)->left.code, CL_REASON_IN_PLACE);
	assert_int_equal(world_action(&w, vcpu)->kind, CL_ACTION_VCPU_RESTORE);
	world_apply(&w);
	assert_string_equal(vcpu->mask, "0-3");
	assert_string_equal(vcpu->group, "/");
	world_tick(&w, 10);
	assert_null(world_action(&w, vcpu));
}

/* What was born of placed work and only waits is given back; what was never in our hands is left.
 */
static void waiters(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "0-3");
	struct world_thread *tool = world_work(&w, g, CL_WORK_TOOLSTACK, "0-3");
	struct world_thread *other = world_work(&w, g, CL_WORK_WAITER, "0-3");
	struct world_thread *pinned = world_work(&w, g, CL_WORK_WAITER, "3");

	world_tick(&w, 10);
	assert_string_equal(world_cpus(&w, world_action(&w, tool)->to.mask), "2");
	assert_int_equal(world_verdict(&w, other)->left.code, CL_REASON_IN_PLACE);
	assert_int_equal(world_verdict(&w, pinned)->left.code, CL_REASON_FOREIGN);
	world_apply(&w);
	struct world_thread *waiter = world_work(&w, g, CL_WORK_WAITER, tool->mask);

	free((char *)(uintptr_t)waiter->group);
	waiter->group = strdup(tool->group);
	assert_string_not_equal(waiter->group, "/");
	world_run(&w, 1, 10);
	assert_string_equal(waiter->mask, "0-3");
	assert_string_equal(waiter->group, "/");
	world_tick(&w, 10);
	assert_int_equal(world_verdict(&w, waiter)->left.code, CL_REASON_IN_PLACE);
	/* The same for what was work itself until now. */
	tool->kind = CL_WORK_WAITER;
	world_run(&w, 1, 10);
	assert_string_equal(tool->mask, "0-3");
	assert_string_equal(tool->group, "/");
	assert_string_equal(pinned->mask, "3");
	/* Inside a fence it is where all others are. */
	tool->kind = CL_WORK_TOOLSTACK;
	world_run(&w, 1, 10);
	assert_string_equal(tool->mask, "2");
	w.state->fenced = 1;
	tool->kind = CL_WORK_WAITER;
	world_run(&w, 1, 10);
	assert_string_equal(tool->mask, "0");
	assert_string_equal(tool->group, "/");
}

/* An operator who pins a vCPU to the CPU of its work is left alone. */
static void operator_pins_vcpu_alike(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *vcpu = world_vcpu(&w, g, 0, 2, "0-3");

	world_work(&w, g, CL_WORK_IOTHREAD, "0-3");
	world_run(&w, 40, 10);
	free((char *)(uintptr_t)vcpu->mask);
	vcpu->mask = strdup("2");
	world_run(&w, 5, 10);
	assert_string_equal(vcpu->mask, "2");
}

/* After a restart the journal says what is closer's. */
static void owned_by_journal(void **state)
{
	struct cl_uuid nobody = { 0 };
	struct cl_cpuset set;

	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *a = world_work(&w, g, CL_WORK_IOTHREAD, "3");
	struct world_thread *b = world_work(&w, g, CL_WORK_IOTHREAD, "3");

	cl_cpuset_parse("3", 1, &set);
	assert_true(cl_state_own_thread(w.state, &nobody, a->id, cl_cpuset_hash(&set)));
	assert_true(
		cl_state_own_thread(w.state, &nobody, b->id, 0)); /* somebody had taken it over */
	world_run(&w, 8, 10);
	assert_string_equal(a->mask, "2");
	assert_string_equal(b->mask, "3");
}

/* A leftover container, wider than what ours may be now, is removed; the root follows after it. */
static void leftover_container(void **state)
{
	world_init(&w, 4, 1);
	w.groups[0] = strdup("/closer");
	w.group_cpus[0] = strdup("0-3");
	w.groups[1] = strdup("/closer/01020304-0506-0708-090a-0b0c0d0e0f10");
	w.group_cpus[1] = strdup("0-1");
	w.group_count = 2;
	world_guest(&w, 1);
	world_tick(&w, 0);
	assert_int_equal(w.plan->n.actions, 1); /* not the root's: its child has CPU 0 */
	assert_int_equal(w.plan->actions[0].kind, CL_ACTION_GROUP_REMOVE);
	world_apply(&w);
	world_tick(&w, 0);
	world_apply(&w);
	assert_int_equal(w.group_count, 1);
	assert_string_equal(w.group_cpus[0], "1-3");
}

/* Containers that cannot be made: masks alone, and another try later. */
static void containers_refused(void **state)
{
	int tries = 0;

	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	for (int i = 0; i < 60; i++) {
		world_tick(&w, 10);
		for (uint32_t a = 0; a < w.plan->n.actions; a++) {
			const struct cl_action *action = &w.plan->actions[a];

			if (action->kind == CL_ACTION_GROUP_CREATE) {
				tries++;
				cl_state_outcome(w.state, &w.params, w.plan, action, 30 /* EROFS */,
						 w.now_ns);
			}
		}
		const struct cl_action *placed = world_action(&w, io);

		if (placed && placed->to.group.tag == CL_GROUP_NONE)
			world_apply(&w);
	}
	assert_string_equal(io->mask, "1-3");
	assert_string_equal(io->group, "/");
	assert_in_range(tries, 6, 12); /* two containers, at 0, 5, 15, 35 s */
}

/* Only where it is asked for, only what is off, and not again at once when it is refused. */
static void napi_in_threads(void **state)
{
	world_init(&w, 4, 1);
	w.nic_guest[0] = w.nic_guest[1] = w.nic_guest[2] = world_guest(&w, 1);
	w.nic_threaded[0] = 0;
	w.nic_threaded[1] = 1;
	w.nic_threaded[2] = CL_NONE;
	w.nic_count = 3;
	world_tick(&w, 0);
	assert_int_equal(w.plan->n.actions, 0);
	w.params.napi_threads = true;
	world_tick(&w, 0);
	assert_int_equal(w.plan->n.actions, 1);
	const struct cl_action *a = &w.plan->actions[0];

	assert_int_equal(a->kind, CL_ACTION_NAPI_THREAD);
	assert_int_equal(w.now->nics[a->object.nic.v].threaded, 0);
	assert_int_equal(a->from.number, 0);
	assert_int_equal(a->to.number, 1);
	assert_true(a->possible);
	cl_state_outcome(w.state, &w.params, w.plan, a, 1 /* EPERM */, w.now_ns);
	world_tick(&w, 0);
	assert_int_equal(w.plan->n.actions, 0);
	w.can &= ~(1u << CL_CAN_NAPI_THREAD);
	for (int i = 0; i < 10 && w.plan->n.actions == 0; i++)
		world_tick(&w, 0);
	assert_int_equal(w.plan->n.actions, 1);
	assert_false(w.plan->actions[0].possible);
}

/* A guest's uuid may change while it moves to this same host: idle work too leaves the old
 * container. */
static void container_of_another_uuid(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_BLKBACK, "0-3");

	world_run(&w, 20, 10);
	world_run(&w, 40, 0);
	char *path = strdup(io->group);

	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_IN_PLACE);
	free((char *)(uintptr_t)io->group);
	io->group = strdup("/closer/3e05e100-0000-4000-8000-000000000001");
	w.groups[w.group_count] = strdup(io->group);
	w.group_cpus[w.group_count++] = strdup("1-3");
	world_run(&w, 1, 0);
	assert_string_equal(io->group, path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_teardown(name, teardown)
		T(foreign_mask),
		T(foreign_change_after_placement),
		T(foreign_group),
		T(come_and_go),
		T(newborns),
		T(waiters),
		T(operator_pins_vcpu_alike),
		T(owned_by_journal),
		T(leftover_container),
		T(containers_refused),
		T(napi_in_threads),
		T(container_of_another_uuid),
	};

	return cmocka_run_group_tests_name("own", tests, NULL, NULL);
}
