/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large the privileged side should be. */
#include <closer/advise.h>
#include <closer/params.h>

#include "ledger.h"

#include <assert.h>

#define KIB       UINT64_C(1024)
#define MIB       (KIB * KIB)
#define GIB       (KIB * MIB)
#define NODE      (UINT64_C(75) * 1000 * 1000) /* a secondary container, at first */
#define DEVICE    (UINT64_C(44) * 1000)        /* a back end in it */
#define GRAIN_MIB 16u

uint64_t cl_rule_oracle_mib(uint64_t host_bytes)
{
	return 502 + mul_div(host_bytes / MIB, 205, 10000, NULL);
}

uint64_t cl_rule_xenserver_mib(uint64_t host_bytes)
{
	uint64_t mb = (host_bytes / KIB + 262144) / 1024;
	uint64_t mib = (1024 + mul_div(mb, 5, 100, NULL)) & ~UINT64_C(15);

	return mib < 8192 ? mib : 8192;
}

uint32_t cl_rule_xenserver_vcpus(uint64_t dom0_bytes, uint32_t pcpus)
{
	uint32_t most = dom0_bytes < 2 * GIB ? 4 : dom0_bytes < 4 * GIB ? 8 : 16;

	return pcpus < most ? pcpus : most;
}

static uint64_t more_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* In whole steps, for people. */
static uint64_t rounded_mib(uint64_t bytes)
{
	uint64_t mib = (bytes + MIB - 1) / MIB;

	return (mib + GRAIN_MIB - 1) / GRAIN_MIB * GRAIN_MIB;
}

static uint32_t cpus_of(uint64_t ppm, uint32_t most)
{
	uint64_t cpus = ppm == CL_UNKNOWN ? 0 : (ppm + CL_PPM - 1) / CL_PPM;

	return (uint32_t)(cpus < most ? more_of(cpus, 1) : most);
}

void cl_advise(const struct cl_advice_input *in, struct cl_advice *ret_advice)
{
	uint64_t secondary = in->nodes * NODE + in->devices * DEVICE;
	/* What is in use holds the back ends. */
	uint64_t seen = in->used_peak == CL_UNKNOWN ? 0 : in->used_peak + in->used_peak / 4;
	uint64_t bytes = more_of(in->stack_bytes + secondary, seen);
	uint32_t pcpus = in->pcpus > 0 ? in->pcpus : 1;

	ret_advice->main_vcpus = (uint32_t)more_of(
		in->stack_vcpus < pcpus ? in->stack_vcpus : pcpus, cpus_of(in->main_peak, pcpus));
	ret_advice->busy_vcpus =
		(uint32_t)more_of(ret_advice->main_vcpus, cpus_of(in->work_peak, pcpus));
	ret_advice->vcpus = pcpus;
	ret_advice->mem_mib = rounded_mib(bytes);
	ret_advice->too_small = ret_advice->mem_mib > in->host_bytes / MIB;
	ret_advice->max_mib = rounded_mib(ret_advice->mem_mib * MIB + in->contribute);
}

static void sift(uint64_t *samples, uint32_t root, uint32_t end)
{
	for (uint32_t child; (child = root * 2 + 1) < end; root = child) {
		if (child + 1 < end && samples[child] < samples[child + 1])
			child++;
		if (samples[root] >= samples[child])
			return;
		uint64_t spare = samples[root];

		samples[root] = samples[child];
		samples[child] = spare;
	}
}

uint64_t cl_percentile(uint64_t *samples, uint32_t n, uint32_t p)
{
	assert(n > 0 && p > 0 && p <= 100);
	for (uint32_t start = n / 2; start-- > 0;)
		sift(samples, start, n);
	for (uint32_t end = n; end-- > 1;) {
		uint64_t most = samples[0];

		samples[0] = samples[end];
		samples[end] = most;
		sift(samples, 0, end);
	}
	return samples[(uint32_t)(((uint64_t)n * p + 99) / 100) - 1];
}

uint64_t cl_contribute_most(const struct cl_snapshot *snap, const struct cl_params *params)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < snap->n.guests; i++) {
		const struct cl_guest *g = &snap->guests[i];
		uint64_t nodes = (uint64_t)__builtin_popcountll(g->home);
		uint64_t mem = g->mem_bytes == CL_UNKNOWN ? 0 : g->mem_bytes;
		uint64_t eps =
			params->size_eps + mul_div(mem, params->size_eps_share, CL_PPM, NULL);

		if (nodes == 0)
			nodes = snap->n.nodes > 0 ? snap->n.nodes : 1;
		uint64_t most = nodes * eps + params->size_levels * params->size_increment;
		uint64_t spare = mul_div(mem, CL_PPM - params->size_floor, CL_PPM, NULL);

		bytes += most < spare ? most : spare;
	}
	return bytes;
}

uint64_t cl_memory_used(const struct cl_snapshot *snap)
{
	const struct cl_memory *m = &snap->memory;
	bool domain = snap->guests_outside && m->bytes != CL_UNKNOWN;
	uint64_t total = domain ? m->bytes : m->total_bytes, guests = 0;

	if (total == CL_UNKNOWN || m->available_bytes == CL_UNKNOWN)
		return CL_UNKNOWN;
	for (uint32_t i = 0; i < snap->n.guests && !snap->guests_outside; i++)
		if (snap->guests[i].mem_bytes != CL_UNKNOWN)
			guests += snap->guests[i].mem_bytes;
	uint64_t bytes = total > m->available_bytes ? total - m->available_bytes : 0;

	return bytes > guests ? bytes - guests : 0;
}
