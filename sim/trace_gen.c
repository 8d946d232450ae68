/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Traces that are made up: a day's swing, noise, and spikes. Integers: the same everywhere. */
#include "trace.h"

#include <stdlib.h>

#define PPM   INT64_C(1000000)
#define DAY   (86400 / SIM_TRACE_S)    /* intervals */
#define LEAST (4 * 3600 / SIM_TRACE_S) /* four in the morning */

/* -cos of a day's part, in ppm, from -1 at the least: two parabolas, 0 at a quarter, within 6 % of
 * the real one. */
static int64_t day_ppm(uint64_t interval)
{
	int64_t at = (int64_t)((interval + DAY - LEAST) % DAY), half = DAY / 2, quarter = DAY / 4;
	int64_t x = at < half ? at - quarter : half + quarter - at; /* -quarter .. quarter */
	int64_t share = (x < 0 ? -x : x) * PPM / quarter, bow = share * (2 * PPM - share) / PPM;

	return x < 0 ? -bow : bow;
}

bool sim_trace_generate(const struct sim_trace_shape *shape, struct sim_random *random,
			struct sim_trace *ret_trace)
{
	uint32_t count = (uint32_t)(shape->days * DAY);
	uint32_t *ppm = malloc((count ? count : 1) * sizeof(*ppm));
	uint64_t spike = 0; /* intervals that the present one goes on for */

	if (!ppm)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		int64_t value = (int64_t)shape->mean;

		value += (int64_t)shape->swing * day_ppm(i) / PPM;
		value += (int64_t)shape->noise * sim_random_normal_ppm(random) / PPM;
		if (spike == 0 && sim_random_chance(random, shape->spikes))
			spike = 1 + sim_random_exponential(random, shape->last ? shape->last : 1);
		if (spike > 0) {
			value += (int64_t)shape->spike;
			spike--;
		}
		ppm[i] = (uint32_t)(value < 0 ? 0 : value > PPM ? PPM : value);
	}
	*ret_trace = (struct sim_trace){ ppm, count };
	return true;
}
