/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: how busy a machine was, five minutes by five minutes; read from a file, or made up.
 *
 * A file has a line for each interval: the percentage, with up to three decimals, or the seconds
 * since the beginning and the percentage, with a comma between them. Lines that begin with # come
 * first. Everything else is refused, with file and line.
 */
#ifndef CLOSER_SIM_TRACE_H
#define CLOSER_SIM_TRACE_H

#include "random.h"

#include <closer/base.h>

#define SIM_TRACE_S     300u
#define SIM_TRACE_LINES (UINT32_C(1) << 20) /* ten years */

struct sim_trace {
	uint32_t *ppm; /* owned */
	uint32_t count;
};

int sim_trace_read(const char *path, struct sim_trace *ret_trace, struct cl_error *reterr);
int sim_trace_write(const char *path, const struct sim_trace *trace, struct cl_error *reterr);
void sim_trace_free(struct sim_trace *trace);

/* What a made-up trace looks like: shares in ppm. Days begin at midnight; the least is at four. */
struct sim_trace_shape {
	uint64_t days;
	uint64_t mean, swing; /* a day goes from mean - swing to mean + swing */
	uint64_t noise;       /* standard deviation of each interval */
	uint64_t spikes;      /* chance that one begins in an interval */
	uint64_t spike, last; /* how much more, and for how many intervals on the average */
};

/* trace_gen.c. False: no memory. */
bool sim_trace_generate(const struct sim_trace_shape *shape, struct sim_random *random,
			struct sim_trace *ret_trace);

#endif
