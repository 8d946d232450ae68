/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace_rate: cycles a second, out of runs whose length is known in cycles and, but for wraps, in
 * ns. */
#ifndef CLOSER_XEN_TRACE_RATE_H
#define CLOSER_XEN_TRACE_RATE_H

#include <closer/base.h>

#define CL_TRACE_SAMPLES 256u

struct cl_trace_rate { /* zeroed to begin with */
	struct cl_trace_sample {
		uint64_t cycles, ns;
	} samples[CL_TRACE_SAMPLES]; /* the longest */
	uint32_t count, shortest;
};

void cl_trace_rate_add(struct cl_trace_rate *rate, uint64_t cycles, uint64_t ns);
/* 0: nothing to tell it by. */
uint64_t cl_trace_rate_hz(const struct cl_trace_rate *rate);

#endif
