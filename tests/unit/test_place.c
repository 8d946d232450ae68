/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where work is placed, and why: each situation that an operator's host can be in, as a small
 * world. */
#include "unit.h"
#include "world.h"

static struct world w;

static int setup(void **state)
{
	return 0;
}

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

/* Two CPUs on one node, vCPUs that move about: everything off CPU 0, which is the main container's.
 */
static void one_node_host(void **state)
{
	world_init(&w, 2, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 0, "0-1");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-1");
	struct world_thread *loop = world_work(&w, g, CL_WORK_MAIN_LOOP, "0-1");

	world_tick(&w, 10);
	assert_string_equal(world_cpus(&w, world_action(&w, io)->to.mask), "1");
	assert_string_equal(world_cpus(&w, world_action(&w, loop)->to.mask), "1");
	assert_true(world_action(&w, io)->first);
	assert_int_equal(world_action(&w, io)->why.code, CL_REASON_OFF_MAIN);
	/* The containers come first: root, then the guest's. */
	assert_int_equal(w.plan->n.actions, 4);
	assert_int_equal(w.plan->actions[0].kind, CL_ACTION_GROUP_CREATE);
	assert_int_equal(w.plan->actions[0].object.group.tag, CL_GROUP_ROOT);
	assert_int_equal(w.plan->actions[1].object.group.tag, CL_GROUP_GUEST);
	world_apply(&w);
	world_run(&w, 20, 10);
	world_tick(&w, 10);
	assert_int_equal(w.plan->n.actions, 0);
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_IN_PLACE);
	assert_int_equal(w.plan->books.main_part_ns, 0);
}

/* A vCPU that stays where it is draws its work to its CPU; evidence and residency are in the
 * reason. */
static void beside_busiest_vcpu(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 2);

	world_vcpu(&w, g, 0, 5, "0-7");
	world_vcpu(&w, g, 1, 6, "6");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");

	world_tick(&w, 10);
	assert_string_equal(world_cpus(&w, world_action(&w, io)->to.mask), "4-7");
	world_apply(&w);
	world_run(&w, 40, 10);
	assert_string_equal(io->mask, "5");
	const struct cl_verdict *v = world_verdict(&w, io);

	assert_int_equal(v->placed.code, CL_REASON_BESIDE_BUSIEST_VCPU);
	assert_int_equal(v->placed.number[0], 0);
	assert_int_equal(v->placed.number[1], 5);
	assert_true(v->placed.number[2] >= 900000);
}

static void pinned_vcpu_needs_no_history(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 1, 10);
	world_run(&w, 7, 10); /* past hold */
	assert_string_equal(io->mask, "2");
}

/* More queues than vCPUs: a queue whose vCPU is there follows it; one whose vCPU is not, the
 * busiest. */
static void fewer_vcpus_than_queues(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *v0 = world_vcpu(&w, g, 0, 1, "1");
	struct world_thread *q[3];

	world_vcpu(&w, g, 1, 3, "3");
	for (uint32_t i = 0; i < 3; i++) {
		q[i] = world_work(&w, g, CL_WORK_VHOST, "0-3");
		q[i]->queue_vcpu = i;
	}
	world_run(&w, 2, 10);
	v0->cpu_ns += CL_NS_PER_S / 2; /* the busiest */
	world_run(&w, 8, 10);
	world_tick(&w, 10);
	assert_string_equal(q[0]->mask, "1");
	assert_string_equal(q[1]->mask, "3");
	assert_string_equal(q[2]->mask, "1");
	assert_int_equal(world_verdict(&w, q[1])->placed.code, CL_REASON_BESIDE_QUEUE_VCPU);
	assert_int_equal(world_verdict(&w, q[2])->placed.code, CL_REASON_BESIDE_BUSIEST_VCPU);
}

/* The guest's vCPU runs on the main container's CPU: its work goes to the nearest secondary one. */
static void vcpu_on_main_cpu(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 0, "0");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");

	world_run(&w, 8, 10);
	world_tick(&w, 10);
	assert_string_equal(io->mask, "1");
	const struct cl_why *why = &world_verdict(&w, io)->placed;

	assert_int_equal(why->code, CL_REASON_NEAREST);
	assert_int_equal(why->number[0], 0);
	assert_int_equal(why->number[1], 1);
	assert_int_equal(why->number[2], 10);
}

/* SMT: the sibling of the main CPU is the main container's too; a sibling is nearer than its node.
 */
static void smt_siblings(void **state)
{
	world_init(&w, 8, 1);
	w.cores_per_node = 4; /* siblings: 0,4 1,5 2,6 3,7 */
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 1, "1");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");

	cl_param_set(&w.params, "main-cpus", "auto");
	world_tick(&w, 10);
	char main_cpus[16];

	cl_cpuset_format(&w.plan->main_cpus, main_cpus, sizeof(main_cpus));
	assert_string_equal(main_cpus, "0,4");
	assert_int_equal(cl_param_set(&w.params, "main-cpus", "0-1"), 0);
	world_apply(&w);
	world_run(&w, 8, 10);
	assert_string_equal(io->mask,
			    "5"); /* CPU 1 is taken; 5 is its sibling, 2 only its neighbour */
}

static void no_secondary_cpu(void **state)
{
	world_init(&w, 1, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 0, "0-0");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-0");

	world_run(&w, 3, 10);
	assert_int_equal(w.plan->n.actions, 0);
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_NO_SECONDARY);
	world_done(&w);

	world_init(&w, 4, 1);
	g = world_guest(&w, 1);
	io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");
	cl_param_set(&w.params, "main-cpus", "0-3");
	world_tick(&w, 10);
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_NO_SECONDARY);
}

/* Memory on node 1 and a vCPU on node 0: home wins, and the way there is named. */
static void vcpu_far_from_home(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 2);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");

	world_run(&w, 8, 10);
	world_tick(&w, 10);
	assert_string_equal(io->mask, "4");
	assert_int_equal(world_verdict(&w, io)->placed.code, CL_REASON_NEAREST);
	assert_int_equal(world_verdict(&w, io)->placed.number[2], 20);
	assert_int_equal(w.plan->books.far_part_ns, 0);
}

/* A home whose CPUs are all the main container's: any secondary CPU, rather than none. */
static void home_without_secondary_cpu(void **state)
{
	world_init(&w, 4, 2);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_vcpu(&w, g, 0, 0, "0");
	cl_param_set(&w.params, "main-cpus", "0-1");
	world_tick(&w, 10);
	assert_string_equal(world_cpus(&w, world_action(&w, io)->to.mask), "2-3");
}

/* A queue's interrupt is beside its vCPU, any other beside the busiest. */
static void interrupts(void **state)
{
	static const char *const wanted[] = { "1", "3", "3" };
	uint32_t placed = 0;

	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 1, "1");
	struct world_thread *busy = world_vcpu(&w, g, 1, 3, "3");

	w.irq_vcpu[0] = 0;
	w.irq_vcpu[1] = 1;
	w.irq_vcpu[2] = CL_NONE;
	w.irq_count = 3;
	for (int i = 0; i < 30; i++) {
		busy->cpu_ns += CL_NS_PER_S / 2;
		world_tick(&w, 10);
	}
	for (uint32_t i = 0; i < w.plan->n.actions; i++) {
		const struct cl_action *a = &w.plan->actions[i];

		if (a->kind != CL_ACTION_IRQ_PLACE)
			continue;
		assert_string_equal(world_cpus(&w, a->to.mask), wanted[a->object.irq - 10]);
		assert_int_equal(a->why.code, a->object.irq == 12 ? CL_REASON_BESIDE_BUSIEST_VCPU
								  : CL_REASON_BESIDE_QUEUE_VCPU);
		placed++;
	}
	assert_int_equal(placed, 3);
}

/* Who was not described lately is left alone, though the hypervisor knows whose an interrupt is. */
static void interrupts_of_nobody_described(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 1, "1");
	w.irq_vcpu[0] = 0;
	w.irq_count = 1;
	w.undescribed_ns = 5 * CL_NS_PER_S;
	world_tick(&w, 10);
	assert_int_equal(w.plan->n.actions, 0);
	w.undescribed_ns = 0;
	world_tick(&w, 10);
	assert_int_equal(w.plan->n.actions, 1);
}

/*
 * A guest whose vCPUs are each held to a node: its queues' work stays on its vCPU's node also while
 * nobody knows where in it, or comes from outside.
 */
static void queues_of_a_spanning_guest(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 3);
	struct world_thread *v0 = world_vcpu(&w, g, 0, 2, "0-3");
	struct world_thread *v1 = world_vcpu(&w, g, 1, 6, "4-7");
	struct world_thread *rx0 = world_work(&w, g, CL_WORK_NETBACK_RX, "0-7");
	struct world_thread *rx1 = world_work(&w, g, CL_WORK_NETBACK_RX, "0-7");
	struct world_thread *io1 = world_work(&w, g, CL_WORK_BLKBACK, "0-7");
	struct world_thread *any = world_work(&w, g, CL_WORK_HELPER, "0-7");

	rx0->queue_vcpu = 0;
	rx1->queue_vcpu = io1->queue_vcpu = 1;
	for (int i = 0; i < 30; i++) { /* they move about on their nodes */
		v0->cpu = 1 + (uint32_t)i % 3;
		v1->cpu = 4 + (uint32_t)i % 4;
		world_run(&w, 1, 10);
	}
	assert_string_equal(rx0->mask, "1-3"); /* 0 is the main container's */
	assert_string_equal(rx1->mask, "4-7");
	assert_string_equal(io1->mask, "4-7");
	assert_string_equal(any->mask, "1-7");
	assert_non_null(strstr(rx0->group, "/node0"));
	assert_non_null(strstr(rx1->group, "/node1"));
	assert_non_null(strstr(any->group, "/all"));
}

/* A guest that spans nodes has a container per node, and one for work that may run on each. */
static void guest_spans_nodes(void **state)
{
	char path[CL_PATH_MAX], uuid[CL_UUID_TEXT];
	struct cl_uuid id;

	world_init(&w, 8, 2);
	int g = world_guest(&w, 3);

	world_uuid(g, &id);
	cl_uuid_format(&id, uuid);
	world_vcpu(&w, g, 0, 2, "2");
	world_vcpu(&w, g, 1, 6, "6");
	struct world_thread *a = world_work(&w, g, CL_WORK_VHOST, "0-7");
	struct world_thread *b = world_work(&w, g, CL_WORK_VHOST, "0-7");

	a->queue_vcpu = 0;
	b->queue_vcpu = 1;
	world_tick(&w, 10);
	world_apply(&w);
	snprintf(path, sizeof(path), "/closer/%s/node0", uuid);
	assert_string_equal(a->group, path);
	assert_string_equal(a->mask, "2");
	snprintf(path, sizeof(path), "/closer/%s/node1", uuid);
	assert_string_equal(b->group, path);
	assert_string_equal(b->mask, "6");
	struct world_thread *c = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");

	w.threads[0].cpu = 2;
	free((char *)(uintptr_t)w.threads[0].mask);
	free((char *)(uintptr_t)w.threads[1].mask);
	w.threads[0].mask = strdup("0-7");
	w.threads[1].mask = strdup("0-7");
	for (int i = 0; i < 30; i++) { /* both vCPUs wander */
		w.threads[0].cpu = (uint32_t)i % 8;
		w.threads[1].cpu = (uint32_t)(i + 3) % 8;
		world_tick(&w, 10);
		world_apply(&w);
	}
	snprintf(path, sizeof(path), "/closer/%s/all", uuid);
	assert_string_equal(c->group, path);
	assert_string_equal(c->mask, "1-7");
}

/* Packets from outside go to that CPU of the guest's which has contributed least. */
static void outside_by_contribution(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	world_vcpu(&w, g, 1, 3, "3");
	struct world_thread *loop = world_work(&w, g, CL_WORK_MAIN_LOOP, "0-3");

	world_run(&w, 8, 50);
	const char *first = loop->mask;

	assert_true(strcmp(first, "2") == 0 || strcmp(first, "3") == 0);
	char before = first[0];
	int moves = 0;

	for (int i = 0; i < 60; i++) {
		world_tick(&w, 50);
		world_apply(&w);
		if (loop->mask[0] != before) {
			before = loop->mask[0];
			moves++;
			assert_int_equal(world_verdict(&w, loop)->placed.code,
					 CL_REASON_LEAST_CONTRIBUTED);
		}
	}
	assert_true(moves >= 2); /* it alternates, and does not flutter */
	assert_true(moves <= 8);
}

/* Several vCPUs on one CPU: work that is found waiting there is given more CPUs, level by level. */
static void overcommitted_cpu(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1), h = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	world_vcpu(&w, h, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 8, 40);
	assert_string_equal(io->mask, "2");
	for (int i = 0; i < 40; i++) {
		io->wait_ns += CL_NS_PER_S / 2;
		world_tick(&w, 40);
		world_apply(&w);
	}
	assert_string_equal(io->mask, "1-3");
	world_tick(&w, 40);
	assert_int_equal(world_verdict(&w, io)->placed.code, CL_REASON_CROWDED);
}

/* A vCPU that is busy, and nobody knows where: no evidence, and nothing to fall over. */
static void vcpu_nowhere(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, CL_NONE, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 10, 30);
	assert_string_equal(io->mask, "1-3");
}

/* "The guest's CPUs" are no widening where they are the one that work waits for already. */
static void crowded_on_the_guests_only_cpu(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);

	world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 8, 40);
	assert_string_equal(io->mask, "2");
	for (int i = 0; i < 12; i++) {
		io->wait_ns += CL_NS_PER_S / 2;
		world_tick(&w, 40);
		const struct cl_action *a = world_action(&w, io);

		if (a)
			assert_string_equal(world_cpus(&w, a->to.mask), "1-3");
		world_apply(&w);
	}
	assert_string_equal(io->mask, "1-3");
}

static void management_on_most_memory(void **state)
{
	world_init(&w, 8, 2);
	int g = world_guest(&w, 3);

	w.most[g] = 1;
	world_vcpu(&w, g, 0, 2, "2");
	world_vcpu(&w, g, 1, 7, "7");
	struct world_thread *mig = world_work(&w, g, CL_WORK_MIGRATION, "0-7");

	world_tick(&w, 10);
	assert_string_equal(world_cpus(&w, world_action(&w, mig)->to.mask), "7");
	assert_int_equal(world_action(&w, mig)->why.code, CL_REASON_HOME_MANAGEMENT);
	assert_int_equal(world_action(&w, mig)->why.number[0], 1);
}

static void refused_backs_off(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");
	int tries = 0;

	for (int i = 0; i < 60; i++) {
		world_tick(&w, 10);
		const struct cl_action *a = world_action(&w, io);

		if (a) {
			tries++;
			cl_state_outcome(w.state, &w.params, w.plan, a, 1 /* EPERM */, w.now_ns);
		} else {
			assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_BACKOFF);
		}
	}
	assert_in_range(tries, 3, 5); /* at 0, 5, 15, 35 s */
}

static void small_work_is_left(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *v = world_vcpu(&w, g, 0, 2, "2");
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 8, 0);
	v->cpu_ns += CL_NS_PER_S;
	world_run(&w, 1, 0);
	world_tick(&w, 0);
	assert_string_equal(io->mask, "1-3"); /* placed once, off the main container */
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_SMALL);
}

static void moves_are_bounded(void **state)
{
	struct world_thread *io[8];

	world_init(&w, 8, 1);
	int g = world_guest(&w, 1);
	struct world_thread *v = world_vcpu(&w, g, 0, 2, "2");

	for (int i = 0; i < 8; i++)
		io[i] = world_work(&w, g, CL_WORK_IOTHREAD, "0-7");
	world_run(&w, 16, 10); /* moved, and past hold again */
	assert_string_equal(io[7]->mask, "2");
	cl_param_set(&w.params, "moves", "3");
	free((char *)(uintptr_t)v->mask);
	v->mask = strdup("5");
	v->cpu = 5;
	world_tick(&w, 10);
	assert_int_equal(cl_plan_changes(w.plan), 3);
	assert_int_equal(world_verdict(&w, io[7])->left.code, CL_REASON_BUDGET);
}

static void stale_bound_and_impossible(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");
	struct world_thread *kernel = world_work(&w, g, CL_WORK_VHOST, "0-3");

	kernel->bound = true;
	w.stale_ns = 5 * CL_NS_PER_S;
	world_tick(&w, 10);
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_STALE);
	w.stale_ns = 0;
	world_tick(&w, 10);
	assert_int_equal(world_verdict(&w, kernel)->left.code, CL_REASON_BOUND);
	assert_non_null(world_action(&w, io));
	w.can &= ~(1u << CL_CAN_MASK);
	world_tick(&w, 10);
	assert_false(world_action(&w, io)->possible);
	assert_int_equal(world_verdict(&w, io)->left.code, CL_REASON_CANNOT);
}

/* Without containers, and where the host has none, masks alone. */
static void masks_alone(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	cl_param_set(&w.params, "containers", "off");
	world_tick(&w, 10);
	assert_int_equal(w.plan->n.actions, 1);
	assert_int_equal(world_action(&w, io)->to.group.tag, CL_GROUP_NONE);
	world_apply(&w);
	assert_string_equal(io->group, "/");
	assert_string_equal(io->mask, "1-3");
}

/* Other CPUs for the main container: containers widen first, then threads move, then containers
 * narrow. */
static void main_container_moves(void **state)
{
	world_init(&w, 4, 1);
	int g = world_guest(&w, 1);
	struct world_thread *io = world_work(&w, g, CL_WORK_IOTHREAD, "0-3");

	world_run(&w, 2, 10);
	assert_string_equal(io->mask, "1-3");
	cl_param_set(&w.params, "main-cpus", "3");
	world_tick(&w, 10);
	assert_int_equal(w.plan->actions[0].kind, CL_ACTION_GROUP_WIDEN);
	assert_int_equal(w.plan->actions[0].object.group.tag, CL_GROUP_ROOT);
	assert_int_equal(w.plan->actions[1].kind, CL_ACTION_GROUP_WIDEN);
	assert_int_equal(w.plan->actions[2].kind, CL_ACTION_THREAD_PLACE);
	world_apply(&w);
	assert_string_equal(io->mask, "0-2");
	world_tick(&w, 10);
	assert_int_equal(w.plan->actions[0].kind, CL_ACTION_GROUP_NARROW);
	assert_int_equal(w.plan->actions[0].object.group.tag, CL_GROUP_GUEST); /* children first */
	world_apply(&w);
	world_tick(&w, 10);
	assert_int_equal(w.plan->n.actions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(one_node_host),
		T(beside_busiest_vcpu),
		T(pinned_vcpu_needs_no_history),
		T(fewer_vcpus_than_queues),
		T(vcpu_on_main_cpu),
		T(smt_siblings),
		T(no_secondary_cpu),
		T(vcpu_far_from_home),
		T(home_without_secondary_cpu),
		T(guest_spans_nodes),
		T(queues_of_a_spanning_guest),
		T(interrupts),
		T(interrupts_of_nobody_described),
		T(outside_by_contribution),
		T(overcommitted_cpu),
		T(vcpu_nowhere),
		T(crowded_on_the_guests_only_cpu),
		T(management_on_most_memory),
		T(refused_backs_off),
		T(small_work_is_left),
		T(moves_are_bounded),
		T(stale_bound_and_impossible),
		T(masks_alone),
		T(main_container_moves),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
