/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The toolstack: guests are made, stopped, destroyed; their memory; orders that are refused. */
#include "manage_world.h"
#include "unit.h"

#include <errno.h>

static struct host host;
static struct told told, other;

static void near(uint64_t is, uint64_t should_be, uint64_t per_mille)
{
	uint64_t off = is > should_be ? is - should_be : should_be - is;

	if (off * 1000 > should_be * per_mille)
		fail_msg("%llu, and it should be %llu", (unsigned long long)is,
			 (unsigned long long)should_be);
}

static struct sim_order make(uint64_t bytes, uint64_t nodes, struct told *to)
{
	struct sim_order order = host_order(SIM_OP_CREATE, NULL, to);

	order.name = "web";
	order.vcpus = 2;
	order.bytes = bytes;
	order.nodes = nodes;
	return order;
}

static uint64_t free_on(uint32_t node)
{
	return host.world->nodes[node].free_bytes;
}

/* ---- where memory comes from ---- */

static void placed(void **state)
{
	uint64_t bytes[SIM_NODES_MAX];

	host_begin(&host, 3, 1, 0);
	/* Node 0 has 15 GiB left. */
	assert_true(sim_mem_plan(host.world, 0, 4 * GIB, bytes));
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[1], 4 * GIB);
	assert_int_equal(bytes[2], 0);
	/* None has so much: all of them, in equal parts as far as they have it. */
	assert_true(sim_mem_plan(host.world, 0, 24 * GIB, bytes));
	for (uint32_t node = 0; node < 3; node++)
		assert_int_equal(bytes[node], 8 * GIB);
	assert_true(sim_mem_plan(host.world, 0, 47 * GIB, bytes));
	assert_int_equal(bytes[0], 15 * GIB);
	assert_int_equal(bytes[1], 16 * GIB);
	assert_false(sim_mem_plan(host.world, 0, 47 * GIB + 1, bytes));
	/* As told, and nowhere else. */
	assert_true(sim_mem_plan(host.world, 5, 2 * GIB, bytes));
	assert_int_equal(bytes[0], GIB);
	assert_int_equal(bytes[1], 0);
	assert_int_equal(bytes[2], GIB);
	assert_false(sim_mem_plan(host.world, 1, 16 * GIB, bytes));
	assert_false(sim_mem_plan(host.world, 8, GIB, bytes));
	host_end(&host);
}

/* ---- creating ---- */

static void creates(void **state)
{
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.world->costs.create_ns = 300 * MS;
	host.world->costs.page_ns = 1000;
	order = make(4 * GIB, 0, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.code, 0);
	/* A 2 MiB extent is one page to the hypervisor. */
	assert_int_equal(told.result.took_ns, 300 * MS + 2048 * 1000);
	assert_string_equal(told.guest->name, "web");
	assert_int_equal(told.guest->vcpu_count, 2);
	assert_int_equal(told.guest->mem[1], 4 * GIB);
	assert_int_equal(free_on(1), 12 * GIB);
	assert_false(told.guest->paused);
	assert_true(told.guest->alive);
	host_end(&host);
}

/* It is not there until it is made: what is in it does not run. */
static void runs_when_made(void **state)
{
	struct sim_order order;
	struct writer writer;

	host_begin(&host, 1, 2, 0);
	host.world->costs.create_ns = 100 * MS;
	order = make(GIB, 0, &told);
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	writer_begin(&host, &writer, host.world->domains[1], 1);
	host_run(&host, 99 * MS);
	assert_int_equal(host.world->domains[1]->dirty_writes, 0);
	assert_int_equal(told.times, 0);
	host_run(&host, 101 * MS);
	assert_int_equal(told.times, 1);
	near(told.guest->dirty_writes, 100, 20);
	writer_end(&host, &writer);
	host_end(&host);
}

static void refuses(void **state)
{
	struct sim_order order;
	struct cl_error err = { 0 };
	uint32_t domains;

	host_begin(&host, 2, 1, 0);
	domains = host.world->domain_count;
	order = make(32 * GIB, 0, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -ENOMEM);
	assert_string_equal(err.text,
			    "creating web: 32768 MiB are not free on the nodes it may have");
	order = make(GIB, 4, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -ENOMEM);
	order = make(GIB, 0, &told);
	order.vcpus = 0;
	assert_int_equal(sim_manage(host.manager, &order, &err), -EINVAL);
	order = host_order(SIM_OP_DESTROY, host.dom0, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -EINVAL);
	order = host_order(SIM_OP_DESTROY, NULL, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -EINVAL);
	host.manager->nic = NULL;
	host.manager->disk = NULL;
	struct sim_domain *guest = host_guest(&host, "a", GIB, 0, 0);

	order = host_order(SIM_OP_MIGRATE, guest, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -ENODEV);
	order = host_order(SIM_OP_SAVE, guest, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), -ENODEV);
	/* Nothing of it has happened. */
	host_run(&host, S);
	assert_int_equal(told.times, 0);
	assert_int_equal(host.world->domain_count, domains + 1);
	assert_int_equal(host.dom0->task_count, 0);
	assert_null(host.manager->ops);
	for (uint32_t kind = 0; kind < SIM_OP_COUNT; kind++)
		assert_int_equal(host.manager->counts[kind].begun, 0);
	host_end(&host);
}

/* ---- destroying, and clearing what was freed ---- */

static void destroys(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.world->costs.destroy_ns = 100 * MS;
	host.world->costs.scrub_bandwidth = 4 * GIB;
	guest = host_guest(&host, "a", 8 * GIB, 1, 2);
	order = host_order(SIM_OP_DESTROY, guest, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.code, 0);
	assert_int_equal(told.result.took_ns, 100 * MS);
	assert_false(guest->alive);
	assert_int_equal(sim_domain_bytes(guest), 0);
	assert_int_equal(free_on(1), 16 * GIB);
	/* One idle pCPU of that node at a time: 8 GiB in 2 s. */
	assert_int_equal(sim_mem_unscrubbed(host.manager, 1), 8 * GIB);
	host_run(&host, S);
	near(sim_mem_unscrubbed(host.manager, 1), 4 * GIB, 5);
	host_run(&host, S + 2 * MS);
	assert_int_equal(sim_mem_unscrubbed(host.manager, 1), 0);
	assert_int_equal(host.world->nodes[1].streams, 0);
	/* It is gone: nothing more can be done to it. */
	assert_int_equal(sim_manage(host.manager, &order, NULL), -ESRCH);
	host_end(&host);
}

/* Older ones: whoever destroys it clears its memory. */
static void scrubs_at_once(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.manager->scrub_at_once = true;
	host.world->costs.destroy_ns = 100 * MS;
	host.world->costs.scrub_bandwidth = 4 * GIB;
	guest = host_guest(&host, "a", 8 * GIB, 1, 2);
	sim_mem_take(host.manager, guest, 0, 2 * GIB);
	order = host_order(SIM_OP_DESTROY, guest, &told);
	host_do(&host, &order, &told);
	near(told.result.took_ns, 100 * MS + 2500 * MS, 1);
	for (uint32_t node = 0; node < 2; node++)
		assert_int_equal(sim_mem_unscrubbed(host.manager, node), 0);
	host_end(&host);
}

/* No pCPU of the node is idle: nobody clears, until somebody wants the memory. */
static void scrubs_when_wanted(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;
	struct writer busy[2];

	host_begin(&host, 2, 2, 0);
	host.world->costs.scrub_bandwidth = 4 * GIB;
	for (uint32_t i = 0; i < 2; i++) {
		guest = host_guest(&host, "busy", 0, 1, 2 + i);
		writer_begin(&host, &busy[i], guest, 0);
	}
	guest = host_guest(&host, "a", 8 * GIB, 1, 2);
	order = host_order(SIM_OP_DESTROY, guest, &told);
	host_do(&host, &order, &told);
	host_run(&host, 2 * S);
	assert_int_equal(sim_mem_unscrubbed(host.manager, 1), 8 * GIB);
	/* 8 GiB are clear; the other 2 are cleared by the toolstack. */
	order = make(10 * GIB, 2, &told);
	host_do(&host, &order, &told);
	assert_int_equal(told.result.took_ns, 500 * MS);
	assert_int_equal(sim_mem_unscrubbed(host.manager, 1), 6 * GIB);
	/* One of the two is idle: it goes on. */
	writer_end(&host, &busy[0]);
	host_run(&host, S);
	near(sim_mem_unscrubbed(host.manager, 1), 2 * GIB, 10);
	writer_end(&host, &busy[1]);
	host_end(&host);
}

/* dom0 has one vCPU: with n busy processes the toolstack gets 1 / (n + 1) of it. */
static void slower_under_load(void **state)
{
	struct sim_order order;
	uint64_t took[4];

	for (uint32_t n = 0; n < 4; n++) {
		struct sim_domain *guest;

		host_begin(&host, 1, 2, 0);
		host.world->costs.destroy_ns = S;
		for (uint32_t i = 0; i < n; i++)
			bench_load(&host.bench, host.dom0, 0, 5 * MS, 0);
		guest = host_guest(&host, "a", GIB, 0, 1);
		order = host_order(SIM_OP_DESTROY, guest, &told);
		host_do(&host, &order, &told);
		took[n] = told.result.took_ns;
		near(took[n], (n + 1) * S, 20);
		host_end(&host);
	}
}

/* ---- one at a time ---- */

static void one_at_a_time(void **state)
{
	struct sim_order order, second;
	struct sim_domain *guest;
	struct cl_error err = { 0 };

	host_begin(&host, 1, 2, 0);
	host.world->costs.destroy_ns = 100 * MS;
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_SAVE, guest, &told);
	assert_int_equal(sim_manage(host.manager, &order, &err), 0);
	second = host_order(SIM_OP_MIGRATE, guest, &other);
	assert_int_equal(sim_manage(host.manager, &second, &err), -EBUSY);
	assert_string_equal(err.text, "migrate of a: save of it is under way");
	second = host_order(SIM_OP_BALLOON, guest, &other);
	second.bytes = MIB;
	assert_int_equal(sim_manage(host.manager, &second, &err), -EBUSY);
	second.taker = guest;
	second.guest = NULL;
	assert_int_equal(sim_manage(host.manager, &second, &err), -EBUSY);
	/* Destroying it comes between, once. */
	host_run(&host, 100 * MS);
	second = host_order(SIM_OP_DESTROY, guest, &other);
	assert_int_equal(sim_manage(host.manager, &second, &err), 0);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.code, -ESRCH);
	assert_int_equal(sim_manage(host.manager, &second, &err), -EBUSY);
	host_run(&host, 10 * S);
	assert_int_equal(told.times, 1);
	assert_int_equal(other.times, 1);
	assert_int_equal(other.code, 0);
	assert_int_equal(host.dom0->task_count, 0);
	assert_null(host.manager->ops);
	assert_null(host.manager->drained);
	host_end(&host);
}

/* ---- shutting down ---- */

static const struct sim_task *find_task(const char *name)
{
	for (uint32_t i = 0; i < host.dom0->task_count; i++)
		if (strcmp(host.dom0->tasks[i]->name, name) == 0)
			return host.dom0->tasks[i];
	return NULL;
}

static void shuts_down(void **state)
{
	const struct sim_task *task;
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	host.world->costs.hypercall_ns = 1000;
	host.world->costs.destroy_ns = 100 * MS;
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_SHUTDOWN, guest, &told);
	order.guest_ns = 2 * S;
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	/* Work for that guest, which management is to run near it. */
	task = find_task("xl");
	assert_non_null(task);
	assert_int_equal(task->kind, CL_WORK_MIGRATION);
	assert_int_equal(task->guest, guest->id);
	host_run(&host, 2 * S - MS);
	assert_false(guest->paused);
	host_run(&host, S);
	assert_int_equal(told.code, 0);
	assert_int_equal(told.result.took_ns, 2100 * MS + 1000);
	assert_false(guest->alive);
	host_end(&host);
}

/* To create and to destroy is the host's own work. */
static void who_pays(void **state)
{
	struct sim_domain *guest;
	struct sim_order order;

	host_begin(&host, 1, 2, 0);
	host.world->costs.destroy_ns = host.world->costs.create_ns = 100 * MS;
	guest = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_DESTROY, guest, &told);
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	assert_int_equal(find_task("xl")->guest, CL_NONE);
	assert_true(find_task("xl")->user);
	host_run(&host, S);
	order = make(GIB, 0, &told);
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	assert_int_equal(find_task("xl")->guest, CL_NONE);
	host_run(&host, S);
	guest = told.guest;
	order = host_order(SIM_OP_MIGRATE, guest, &told);
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	assert_int_equal(find_task("libxl-save-help")->guest, guest->id);
	assert_int_equal(find_task("libxl-save-help")->kind, CL_WORK_MIGRATION);
	host_run(&host, 10 * S);
	assert_int_equal(host.dom0->task_count, 0);
	host_end(&host);
}

/* Back ends of a guest that is gone are in nobody's container. */
static void leaves_containers(void **state)
{
	struct cl_cpuset cpus;
	struct sim_domain *guest;
	struct sim_group *group;
	struct sim_order order;
	struct sim_vbd *vbd;

	host_begin(&host, 1, 2, 0);
	guest = host_guest(&host, "a", GIB, 0, 1);
	vbd = sim_vbd_new(host.world, guest, host.dom0, host.disk, 1);
	cl_cpuset_zero(&cpus);
	cl_cpuset_add(&cpus, 0);
	group = sim_group_new(host.dom0, "/closer/x", &cpus);
	sim_task_place(host.world, &vbd->rings[0].blkback, group, &cpus);
	order = host_order(SIM_OP_DESTROY, guest, &told);
	host_do(&host, &order, &told);
	assert_ptr_equal(vbd->rings[0].blkback.group, host.dom0->root);
	assert_null(vbd->rings[0].blkback.mask);
	assert_true(vbd->blocked);
	sim_group_free(group);
	sim_vbd_free(host.world, vbd);
	host_end(&host);
}

/* ---- balloon ---- */

static void balloons(void **state)
{
	struct sim_domain *a, *b;
	struct sim_order order;

	host_begin(&host, 2, 2, 0);
	host.world->costs.page_ns = 1000;
	host.world->costs.scrub_bandwidth = 4 * GIB;
	a = host_guest(&host, "a", 2 * GIB, 1, 2);
	b = host_guest(&host, "b", GIB, 0, 3);
	/* To free memory: the guest clears it. */
	order = host_order(SIM_OP_BALLOON, a, &told);
	order.bytes = GIB;
	host_do(&host, &order, &told);
	assert_int_equal(told.code, 0);
	assert_int_equal(a->mem[1], GIB);
	assert_int_equal(free_on(1), 15 * GIB);
	near(told.result.took_ns, GIB / SIM_PAGE * 1000 + 250 * MS, 1);
	assert_int_equal(sim_mem_unscrubbed(host.manager, 1), 0);
	near(sim_vcpu_cpu_ns(host.world, &a->vcpus[0]), told.result.took_ns, 1);
	/* From one to the other: it is the other's on the node on which it was. */
	order = host_order(SIM_OP_BALLOON, a, &told);
	order.taker = b;
	order.bytes = 512 * MIB;
	host_do(&host, &order, &told);
	assert_int_equal(a->mem[1], 512 * MIB);
	assert_int_equal(b->mem[1], 512 * MIB);
	assert_int_equal(b->mem[0], GIB);
	/* From free memory, of that node; not more than it may have. */
	order = host_order(SIM_OP_BALLOON, NULL, &told);
	order.taker = a;
	order.nodes = 1;
	order.bytes = GIB;
	host_do(&host, &order, &told);
	assert_int_equal(a->mem[0], GIB);
	a->mem_max = 2 * GIB;
	assert_int_equal(sim_manage(host.manager, &order, NULL), -EINVAL);
	/* Not more than there is; not to itself. */
	order = host_order(SIM_OP_BALLOON, b, &told);
	order.bytes = 2 * GIB;
	assert_int_equal(sim_manage(host.manager, &order, NULL), -ENOMEM);
	order.taker = b;
	assert_int_equal(sim_manage(host.manager, &order, NULL), -EINVAL);
	host_end(&host);
}

/* Whoever takes is too late: somebody else has it, and the books are right all the same. */
static void balloon_late(void **state)
{
	struct sim_order order;
	struct sim_domain *a;

	host_begin(&host, 1, 2, 0);
	host.world->costs.page_ns = 1000;
	a = host_guest(&host, "a", GIB, 0, 1);
	order = host_order(SIM_OP_BALLOON, NULL, &told);
	order.taker = a;
	order.bytes = free_on(0);
	assert_int_equal(sim_manage(host.manager, &order, NULL), 0);
	host_run(&host, 100 * MS);
	host_guest(&host, "b", free_on(0), 0, 1);
	host_run(&host, 60 * S);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.code, -ENOMEM);
	assert_int_equal(free_on(0), 0);
	host_end(&host);
}

/* ---- by name ---- */

static void by_name(void **state)
{
	struct cl_error err = { 0 };
	struct sim_world *world;
	struct sim_domain *guest;

	host_begin(&host, 1, 2, 0);
	world = host.world;
	assert_int_equal(sim_manage_event(world, "create", "x", GIB, &err), 0);
	host_run(&host, S);
	guest = world->domains[1];
	assert_string_equal(guest->name, "x");
	assert_int_equal(sim_manage_event(world, "create", "x", GIB, &err), -EEXIST);
	assert_int_equal(sim_manage_event(world, "pause", "x", 0, &err), 0);
	assert_true(guest->paused);
	assert_int_equal(sim_manage_event(world, "unpause", "x", 0, &err), 0);
	assert_false(guest->paused);
	guest->mem_max = 2 * GIB;
	assert_int_equal(sim_manage_event(world, "balloon", "x", 2 * GIB, &err), 0);
	host_run(&host, S);
	assert_int_equal(sim_domain_bytes(guest), 2 * GIB);
	assert_int_equal(sim_manage_event(world, "balloon", "x", 2 * GIB, &err), -EALREADY);
	assert_int_equal(sim_manage_event(world, "balloon", "x", GIB / 2, &err), 0);
	host_run(&host, S);
	assert_int_equal(sim_domain_bytes(guest), GIB / 2);
	assert_int_equal(sim_manage_event(world, "migrate", "x", 0, &err), 0);
	host_run(&host, 10 * S);
	assert_false(guest->alive);
	assert_int_equal(sim_manage_event(world, "destroy", "x", 0, &err), -ESRCH);
	assert_string_equal(err.text, "destroy: there is no guest x");
	assert_int_equal(sim_manage_event(world, "restore", "x", GIB, &err), 0);
	host_run(&host, 10 * S);
	assert_int_equal(sim_manage_event(world, "shutdown", "x", S, &err), 0);
	host_run(&host, 10 * S);
	assert_int_equal(sim_manage_event(world, "explode", "x", 0, &err), -EINVAL);
	for (uint32_t kind = 0; kind < SIM_OP_COUNT; kind++)
		assert_int_equal(host.manager->counts[kind].failed, 0);
	assert_int_equal(host.manager->counts[SIM_OP_BALLOON].done, 2);
	assert_int_equal(host.manager->counts[SIM_OP_SHUTDOWN].done, 1);
	host_end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placed),
		cmocka_unit_test(creates),
		cmocka_unit_test(runs_when_made),
		cmocka_unit_test(refuses),
		cmocka_unit_test(destroys),
		cmocka_unit_test(scrubs_at_once),
		cmocka_unit_test(scrubs_when_wanted),
		cmocka_unit_test(slower_under_load),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(shuts_down),
		cmocka_unit_test(who_pays),
		cmocka_unit_test(leaves_containers),
		cmocka_unit_test(balloons),
		cmocka_unit_test(balloon_late),
		cmocka_unit_test(by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
