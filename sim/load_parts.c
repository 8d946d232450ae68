/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What loads have in common. */
#include "load.h"

#include <errno.h>
#include <stdio.h>

struct sim_vif *sim_load_vif(const struct sim_load *load, struct cl_error *reterr)
{
	if (!load->domain->vifs)
		cl_fail(reterr, ENODEV,
			"starting load %s: %s has no network device; give the guest a nic",
			load->name, load->domain->name);
	return load->domain->vifs;
}

struct sim_vbd *sim_load_vbd(const struct sim_load *load, struct cl_error *reterr)
{
	if (!load->domain->vbds)
		cl_fail(reterr, ENODEV, "starting load %s: %s has no disk; give the guest one",
			load->name, load->domain->name);
	return load->domain->vbds;
}

int sim_load_no_memory(const struct sim_load *load, struct cl_error *reterr)
{
	return cl_fail(reterr, ENOMEM, "starting load %s: no memory", load->name);
}

bool sim_load_task(struct sim_load *load, struct sim_task *task, const char *name,
		   void (*done)(struct sim_world *world, struct sim_task *task))
{
	if (!sim_task_init(load->world, task, load->domain, name, done))
		return false;
	task->user = true;
	return true;
}

uint64_t sim_load_draw(struct sim_load *load, uint64_t mean, uint64_t spread)
{
	uint64_t value = spread ? sim_random_exponential(&load->random, mean) : mean;

	return value ? value : 1;
}

uint64_t sim_load_sector(struct sim_load *load)
{
	return ((uint64_t)load->domain->id << 40) +
	       (sim_random_below(&load->random, 1u << 16) << 24);
}

struct sim_vif_times sim_vif_times(const struct sim_vif *vif)
{
	return (struct sim_vif_times){ { vif->t_ns[0], vif->t_ns[1], vif->t_ns[2] },
				       vif->t_count,
				       vif->dropped };
}

void sim_report_times(struct sim_report *report, const char *prefix, const struct sim_vif *vif,
		      const struct sim_vif_times *before)
{
	uint64_t count = vif->t_count - before->count;
	char name[4];

	for (unsigned i = 0; i < 3 && count > 0; i++) {
		snprintf(name, sizeof(name), "t%u", i + 1);
		sim_report_add(report, prefix, name, "ns",
			       (double)(vif->t_ns[i] - before->t_ns[i]) / (double)count, SIM_LOWER);
	}
}

void sim_report_rate(struct sim_report *report, const char *prefix, const char *name,
		     const char *unit, uint64_t count, uint64_t span_ns)
{
	if (span_ns)
		sim_report_add(report, prefix, name, unit,
			       (double)count * (double)CL_NS_PER_S / (double)span_ns, SIM_HIGHER);
}

void sim_report_latency(struct sim_report *report, const char *prefix, const char *name,
			const struct sim_histogram *histogram)
{
	static const struct {
		const char *name;
		uint64_t ppm;
	} quantiles[] = { { "p50", 500000 }, { "p99", 990000 } };
	char full[40];

	if (!histogram->count)
		return;
	sim_report_add(report, prefix, name, "ns",
		       (double)histogram->sum / (double)histogram->count, SIM_LOWER);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(full, sizeof(full), "%s.%s", name, quantiles[i].name);
		sim_report_add(report, prefix, full, "ns",
			       (double)sim_histogram_quantile(histogram, quantiles[i].ppm),
			       SIM_LOWER);
	}
}
