/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load_world.h"

#include "unit.h"

#include <stdio.h>

const struct sim_costs host_costs = {
	.switch_ns = 1000,
	.migrate_ns = 3000,
	.wake_ns = 1000,
	.task_switch_ns = 1000,
	.irq_ns = 800,
	.tick_ns = 2000,
	.tick_hz = 250,
	.netback_tx_ns = 800,
	.netback_rx_ns = 900,
	.dealloc_ns = 300,
	.bridge_ns = 300,
	.nic_ns = 500,
	.netfront_ns = 600,
	.stack_ns = 2000,
	.blkback_ns = 4000,
	.blkback_page_ns = 400,
	.blkfront_ns = 3000,
	.disk_driver_ns = 2000,
	.grant_copy_ns = 150,
	.local_ps = 100,
	.remote_ps = 180,
	.latency_ns = 90,
	.remote_latency_ns = 140,
	.misses = 2,
};

static void pin(struct host *host, struct sim_domain *domain, uint32_t first)
{
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct cl_cpuset one;

		cl_cpuset_zero(&one);
		cl_cpuset_add(&one, first + i);
		sim_vcpu_pin(host->world, &domain->vcpus[i], &one);
	}
}

void host_begin(struct host *host, uint64_t seed, const struct sim_costs *costs)
{
	static const struct sim_costs free_of_charge;
	const struct sim_machine machine = { 1, 4, 1, UINT64_C(1) << 34, 20 };
	struct cl_cpuset all;
	struct sim_pool *pool;

	memset(host, 0, sizeof(*host));
	host->world = sim_world_new(seed, &machine, costs ? costs : &free_of_charge);
	assert_non_null(host->world);
	cl_cpuset_zero(&all);
	for (uint32_t i = 0; i < 4; i++)
		cl_cpuset_add(&all, i);
	pool = sim_pool_new(host->world, &sim_sched_credit2, &all);
	host->dom0 = sim_domain_new(host->world, SIM_DOM0, "Domain-0", 2, pool);
	host->guest = sim_domain_new(host->world, SIM_GUEST, "web-0", 2, pool);
	pin(host, host->dom0, 0);
	pin(host, host->guest, 2);
	host->nic = sim_nic_new(host->world, host->dom0, "eth0", 125000000, 1);
	host->disk = sim_disk_new(host->world, host->dom0, "sda", 32);
	host->disk->access_ns = 100 * US;
	host->disk->bandwidth = 500000000;
	host->vif = sim_vif_new(host->world, host->guest, host->dom0, host->nic, 2);
	host->vbd = sim_vbd_new(host->world, host->guest, host->dom0, host->disk, 1);
	assert_false(host->world->queue.failed);
}

void host_end(struct host *host)
{
	for (uint32_t i = 0; i < host->load_count; i++)
		sim_load_free(host->loads[i]);
	host_is_empty(host);
	assert_false(host->world->queue.failed);
	sim_vif_free(host->world, host->vif);
	sim_vbd_free(host->world, host->vbd);
	sim_nic_free(host->nic);
	sim_disk_free(host->disk);
	sim_world_free(host->world);
}

void host_run(struct host *host, uint64_t ns)
{
	uint64_t end = host->world->queue.now_ns + ns;

	while (sim_step(&host->world->queue, end))
		;
	assert_false(host->world->queue.failed);
	assert_int_equal(host->world->queue.now_ns, end);
}

/* ---- loads ---- */

void host_set(struct sim_load *load, const char *name, uint64_t value)
{
	for (const struct sim_load_param *param = load->ops->params; param->name; param++) {
		if (strcmp(param->name, name) != 0)
			continue;
		assert_in_range(value, param->least, param->most);
		memcpy((char *)load + param->offset, &value, sizeof(value));
		return;
	}
	fail_msg("load %s has no parameter %s", load->ops->name, name);
}

void host_start(struct host *host, struct sim_load *load)
{
	struct cl_error err = { 0 };

	if (load->ops->start(load, &err) < 0)
		fail_msg("%s", err.text);
	load->ops->reset(load);
}

struct sim_load *host_load(struct host *host, const char *type, ...)
{
	const struct sim_load_ops *ops = sim_load_find(type);
	struct sim_load *load;
	const char *name;
	va_list args;

	assert_non_null(ops);
	assert_in_range(host->load_count, 0, HOST_LOADS - 1);
	load = sim_load_new(host->world, ops, host->guest, "l", 0x10ad00 + host->load_count);
	assert_non_null(load);
	host->loads[host->load_count++] = load;
	va_start(args, type);
	while ((name = va_arg(args, const char *)))
		host_set(load, name, va_arg(args, uint64_t));
	va_end(args);
	host_start(host, load);
	return load;
}

void host_stop(struct host *host, struct sim_load *load)
{
	for (uint32_t i = 0; i < host->load_count; i++) {
		if (host->loads[i] != load)
			continue;
		host->loads[i] = host->loads[--host->load_count];
		sim_load_free(load);
		return;
	}
	fail_msg("no such load");
}

void host_measure(struct host *host, struct sim_load *load, uint64_t ns,
		  struct sim_report *ret_report)
{
	load->ops->reset(load);
	host_run(host, ns);
	ret_report->count = 0;
	load->ops->report(load, ns, ret_report);
}

double metric(const struct sim_report *report, const char *name)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (strncmp(report->metrics[i].name, "l.", 2) == 0 &&
		    strcmp(report->metrics[i].name + 2, name) == 0)
			return report->metrics[i].value;
	fail_msg("nothing was reported of %s", name);
	return 0;
}

void near(double is, double should_be, double tolerance)
{
	if (is < should_be * (1 - tolerance) || is > should_be * (1 + tolerance))
		fail_msg("%g, and it should be %g +- %g %%", is, should_be, tolerance * 100);
}

/* ---- what is left ---- */

static void vif_is_empty(const struct host *host)
{
	for (uint32_t i = 0; i < host->vif->queue_count; i++) {
		const struct sim_vif_queue *q = &host->vif->queues[i];

		assert_int_equal(q->tx.count + q->polled.count + q->backlog.count +
					 q->copied.count + q->rx.count + q->taken.count,
				 0);
		assert_null(q->waiting);
	}
	assert_int_equal(host->nic->in.count + host->nic->out.count, 0);
	for (uint32_t i = 0; i < host->nic->queue_count; i++)
		assert_int_equal(
			host->nic->queues[i].arrived.count + host->nic->queues[i].polled.count, 0);
}

void host_is_empty(const struct host *host)
{
	const struct sim_disk *disk = host->disk;

	vif_is_empty(host);
	for (uint32_t i = 0; i < host->vbd->ring_count; i++) {
		assert_int_equal(host->vbd->rings[i].in_ring, 0);
		assert_int_equal(host->vbd->rings[i].waiting.count, 0);
	}
	assert_int_equal(host->vbd->held[0].count + host->vbd->held[1].count, 0);
	assert_int_equal(
		disk->active + disk->queue.count + disk->finished.count + disk->polled.count, 0);
	assert_int_equal(host->guest->task_count, 0);
	assert_int_equal(host->guest->dirty_set, 0);
}
