/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scale.h"

#define LEAST_NS (100 * CL_NS_PER_MS) /* booked: with a step of 10 ms at each end */

void cl_scale_begin(struct cl_scale *ret_scale)
{
	for (uint32_t i = 0; i < CL_CPUS_MAX; i++) {
		ret_scale->booked_ns[i] = ret_scale->given_ns[i] = CL_UNKNOWN;
		ret_scale->ppm[i] = CL_PPM;
	}
}

void cl_scale_cpu(struct cl_scale *scale, uint32_t cpu, uint64_t booked_ns, uint64_t given_ns)
{
	uint64_t booked = scale->booked_ns[cpu], given = scale->given_ns[cpu];
	bool known = booked_ns != CL_UNKNOWN && given_ns != CL_UNKNOWN && booked != CL_UNKNOWN &&
		     booked_ns >= booked && given_ns >= given;

	if (known && booked_ns - booked < LEAST_NS)
		return;
	if (known && given_ns - given < booked_ns - booked)
		scale->ppm[cpu] = (uint32_t)((double)(given_ns - given) /
					     (double)(booked_ns - booked) * CL_PPM);
	else
		scale->ppm[cpu] = CL_PPM;
	scale->booked_ns[cpu] = given_ns == CL_UNKNOWN ? CL_UNKNOWN : booked_ns;
	scale->given_ns[cpu] = given_ns;
}
