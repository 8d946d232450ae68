/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of loads, what they share, and what was counted. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sim_load_ops sim_load_hog, sim_load_web, sim_load_web_100k, sim_load_wordpress,
	sim_load_magento, sim_load_disk, sim_load_bulk, sim_load_packets, sim_load_ping,
	sim_load_kernbench, sim_load_dirty, sim_load_forkbomb, sim_load_trace, sim_load_manager,
	sim_load_operations;

const struct sim_load_ops *const sim_loads[] = {
	&sim_load_hog,     &sim_load_web,       &sim_load_web_100k,   &sim_load_wordpress,
	&sim_load_magento, &sim_load_disk,      &sim_load_bulk,       &sim_load_packets,
	&sim_load_ping,    &sim_load_kernbench, &sim_load_dirty,      &sim_load_forkbomb,
	&sim_load_trace,   &sim_load_manager,   &sim_load_operations, NULL,
};

const struct sim_load_ops *sim_load_find(const char *name)
{
	for (size_t i = 0; sim_loads[i]; i++)
		if (strcmp(sim_loads[i]->name, name) == 0)
			return sim_loads[i];
	return NULL;
}

struct sim_load *sim_load_new(struct sim_world *world, const struct sim_load_ops *ops,
			      struct sim_domain *domain, const char *name, uint64_t stream)
{
	struct sim_load *load = calloc(1, ops->bytes);

	if (!load)
		return NULL;
	load->ops = ops;
	load->world = world;
	load->domain = domain;
	snprintf(load->name, sizeof(load->name), "%s", name);
	sim_random_init(&load->random, world->seed, stream);
	for (const struct sim_load_param *param = ops->params; param->name; param++)
		if (param->unit != SIM_TEXT)
			memcpy((char *)load + param->offset, &param->def, sizeof(param->def));
	return load;
}

void sim_load_free(struct sim_load *load)
{
	if (!load)
		return;
	load->ops->stop(load);
	free(load);
}

void sim_report_add(struct sim_report *report, const char *prefix, const char *name,
		    const char *unit, double value, enum sim_better better)
{
	if (report->count == SIM_METRICS_MAX)
		return;
	struct sim_metric *metric = &report->metrics[report->count++];

	snprintf(metric->name, sizeof(metric->name), "%s%s%s", prefix, *prefix ? "." : "", name);
	metric->unit = unit;
	metric->value = value;
	metric->better = better;
}

/* Four buckets for each doubling: the two bits behind the leading one. */
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < 4)
		return (uint32_t)ns;
	unsigned top = 63 - (unsigned)__builtin_clzll(ns);

	return top * 4 + (uint32_t)(ns >> (top - 2) & 3) - 4;
}

static uint64_t bucket_middle(uint32_t bucket)
{
	unsigned top = (bucket + 4) / 4;
	uint64_t quarter = UINT64_C(1) << (top - 2);

	return bucket < 4 ? bucket : (4 + (bucket & 3)) * quarter + quarter / 2;
}

void sim_histogram_add(struct sim_histogram *histogram, uint64_t ns)
{
	histogram->buckets[bucket_of(ns)]++;
	histogram->count++;
	histogram->sum += ns;
}

uint64_t sim_histogram_quantile(const struct sim_histogram *histogram, uint64_t ppm)
{
	uint64_t rank = (uint64_t)((unsigned __int128)histogram->count * ppm / CL_PPM), seen = 0;

	for (uint32_t i = 0; i < 256; i++) {
		seen += histogram->buckets[i];
		if (seen > rank)
			return bucket_middle(i);
	}
	return 0;
}
