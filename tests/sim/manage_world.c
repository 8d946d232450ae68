/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manage_world.h"

#include "unit.h"

void host_begin(struct host *host, uint32_t nodes, uint32_t cores, uint32_t dom0_pcpu)
{
	uint64_t seed = host->bench.seed;

	memset(host, 0, sizeof(*host));
	host->bench.seed = seed;
	bench_begin(&host->bench, &sim_sched_credit, nodes, cores, 1);
	host->world = host->bench.world;
	host->dom0 = sim_domain_new(host->world, SIM_DOM0, "dom0", 1, host->bench.pools[0]);
	assert_non_null(host->dom0);
	bench_pin(&host->bench, &host->dom0->vcpus[0], dom0_pcpu);
	sim_mem_take(NULL, host->dom0, 0, GIB);
	host->nic = sim_nic_new(host->world, host->dom0, "eth0", 1250000000, 1);
	host->disk = sim_disk_new(host->world, host->dom0, "sda", 8);
	host->disk->bandwidth = 500000000;
	host->manager = sim_manager_new(host->world);
	assert_non_null(host->manager);
	host->manager->nic = host->nic;
	host->manager->disk = host->disk;
}

void host_end(struct host *host)
{
	host_check(host);
	sim_manager_free(host->manager);
	sim_nic_free(host->nic);
	sim_disk_free(host->disk);
	bench_end(&host->bench);
}

void host_check(const struct host *host)
{
	const struct sim_world *world = host->world;

	for (uint32_t node = 0; node < world->node_count; node++) {
		uint64_t bytes = world->nodes[node].free_bytes;

		assert_true(sim_mem_unscrubbed(host->manager, node) <= bytes);
		for (uint32_t i = 0; i < world->domain_count; i++)
			bytes += world->domains[i]->mem[node];
		assert_int_equal(bytes, world->nodes[node].mem_bytes);
		assert_true(world->nodes[node].streams < 1000); /* it has not gone below 0 */
	}
}

void host_run(struct host *host, uint64_t ns)
{
	uint64_t end = host->world->queue.now_ns + ns;

	while (sim_step(&host->world->queue, end))
		host_check(host);
	assert_false(host->world->queue.failed);
}

struct sim_domain *host_guest(struct host *host, const char *name, uint64_t bytes, uint32_t node,
			      uint32_t pcpu)
{
	struct sim_domain *guest =
		sim_domain_new(host->world, SIM_GUEST, name, 1, host->bench.pools[0]);

	assert_non_null(guest);
	bench_pin(&host->bench, &guest->vcpus[0], pcpu);
	sim_mem_take(host->manager, guest, node, bytes);
	return guest;
}

static void wrote(struct sim_world *world, struct sim_task *task)
{
	struct writer *writer = sim_of(task, struct writer, task);
	const struct sim_burst burst = { MS, 0, CL_NONE, CL_NONE };

	if (writer->began)
		task->domain->dirty_writes += writer->pages;
	writer->began = true;
	sim_task_run(world, task, &burst);
}

void writer_begin(struct host *host, struct writer *writer, struct sim_domain *guest,
		  uint64_t pages)
{
	memset(writer, 0, sizeof(*writer));
	writer->pages = pages;
	assert_true(sim_task_init(host->world, &writer->task, guest, "writer", wrote));
	wrote(host->world, &writer->task);
}

void writer_end(struct host *host, struct writer *writer)
{
	sim_task_done(host->world, &writer->task);
}

static void tell(struct sim_op *op)
{
	struct told *told = sim_op_order(op)->owner;

	told->times++;
	told->result = *sim_op_result(op);
	told->code = told->result.code;
	told->guest = sim_op_guest(op);
	told->at_ns = told->guest ? told->guest->world->queue.now_ns : 0;
}

struct sim_order host_order(enum sim_op_kind kind, struct sim_domain *guest, struct told *told)
{
	memset(told, 0, sizeof(*told));
	return (struct sim_order){ .kind = kind, .guest = guest, .done = tell, .owner = told };
}

void host_do(struct host *host, const struct sim_order *order, struct told *told)
{
	struct cl_error err = { 0 };

	if (sim_manage(host->manager, order, &err) < 0)
		fail_msg("%s", err.text);
	while (!told->times && sim_step(&host->world->queue, host->world->queue.now_ns + 1000 * S))
		host_check(host);
	assert_int_equal(told->times, 1);
}
