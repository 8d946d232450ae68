// SPDX-License-Identifier: GPL-2.0-or-later
/* pace: the clock, when operations are due, and how long they took. */
#include "loadgen.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

uint64_t lg_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * LG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void lg_sleep_until(uint64_t due_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(due_ns / LG_NS_PER_S),
		.tv_nsec = (long)(due_ns % LG_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

uint64_t lg_due(uint64_t rate, uint64_t i)
{
	assert(rate > 0);
	/* Split, so that no product overflows for rates below 18 G/s. */
	return i / rate * LG_NS_PER_S + i % rate * LG_NS_PER_S / rate;
}

uint64_t lg_due_count(uint64_t rate, uint64_t ns)
{
	uint64_t whole = ns / LG_NS_PER_S * rate;
	uint64_t part = ns % LG_NS_PER_S * rate;

	/* Operation i is due before ns if i / rate < ns: rounded up. */
	return whole + (part + LG_NS_PER_S - 1) / LG_NS_PER_S;
}

uint32_t lg_hist_bucket(uint64_t ns)
{
	if (ns < LG_HIST_SUB)
		return (uint32_t)ns;
	uint32_t log = 63u - (uint32_t)__builtin_clzll(ns);

	/* The four bits below the highest one. */
	return (log - 3) * LG_HIST_SUB + (uint32_t)((ns >> (log - 4)) & (LG_HIST_SUB - 1));
}

uint64_t lg_hist_value(uint32_t bucket)
{
	assert(bucket < LG_HIST_COUNT);
	if (bucket < LG_HIST_SUB)
		return bucket;
	uint32_t log = bucket / LG_HIST_SUB + 3;
	uint64_t width = UINT64_C(1) << (log - 4);

	return (LG_HIST_SUB + bucket % LG_HIST_SUB) * width + width / 2;
}

uint64_t lg_hist_quantile(const uint32_t hist[LG_HIST_COUNT], uint64_t ppm)
{
	uint64_t total = 0, before = 0;

	for (uint32_t i = 0; i < LG_HIST_COUNT; i++)
		total += hist[i];
	if (total == 0)
		return 0;
	/* The rank that is looked for, rounded up: the 99 % of 10 values is the tenth. */
	uint64_t rank = (total * ppm + 999999) / 1000000;

	for (uint32_t i = 0; i < LG_HIST_COUNT; i++) {
		before += hist[i];
		if (before >= rank && before > 0)
			return lg_hist_value(i);
	}
	return 0;
}

uint64_t lg_random(uint64_t *state)
{
	uint64_t x = *state;

	assert(x != 0);
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}
