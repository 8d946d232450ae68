/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rate of a trace's clock: the median of the longest runs, and the mean of those near it. */
#include "xen/trace_rate.h"

#include "lib.h"
#include "xen/trace.h"

#include <string.h>

#define LEAST_NS 20000u      /* shorter runs say little of the clock */
#define MOST_NS  CL_NS_PER_S /* longer ones may have wrapped */

void cl_trace_rate_add(struct cl_trace_rate *rate, uint64_t cycles, uint64_t ns)
{
	struct cl_trace_sample *samples = rate->samples;
	uint32_t to = rate->count;

	if (ns < LEAST_NS || ns > MOST_NS)
		return;
	if (rate->count < CL_TRACE_SAMPLES)
		rate->count++;
	else if (samples[rate->shortest].ns < ns)
		to = rate->shortest;
	else
		return;
	samples[to] = (struct cl_trace_sample){ cycles, ns };
	if (to != rate->shortest && samples[rate->shortest].ns <= ns)
		return;
	for (uint32_t i = 0; i < rate->count; i++)
		if (samples[i].ns < samples[rate->shortest].ns)
			rate->shortest = i;
}

static int by_rate(const void *a, const void *b)
{
	const struct cl_trace_sample *x = a, *y = b;
	unsigned __int128 left = (unsigned __int128)x->cycles * y->ns;
	unsigned __int128 right = (unsigned __int128)y->cycles * x->ns;

	return left < right ? -1 : left > right;
}

static uint64_t hz_of(uint64_t cycles, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)cycles * CL_NS_PER_S / ns);
}

uint64_t cl_trace_rate_hz(const struct cl_trace_rate *rate)
{
	struct cl_trace_sample sorted[CL_TRACE_SAMPLES];
	uint64_t cycles = 0, ns = 0, middle;

	if (rate->count == 0)
		return 0;
	memcpy(sorted, rate->samples, sizeof(sorted));
	qsort(sorted, rate->count, sizeof(sorted[0]), by_rate);
	middle = hz_of(sorted[rate->count / 2].cycles, sorted[rate->count / 2].ns);
	/* What a record is late evens out. */
	for (uint32_t i = 0; i < rate->count; i++) {
		uint64_t hz = hz_of(sorted[i].cycles, sorted[i].ns);

		if (hz < middle - middle / 50 || hz > middle + middle / 50)
			continue;
		cycles += sorted[i].cycles;
		ns += sorted[i].ns;
	}
	uint64_t hz = hz_of(cycles, ns);

	return hz >= CL_TRACE_HZ_LEAST && hz <= CL_TRACE_HZ_MOST ? hz : 0;
}
