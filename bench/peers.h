/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peers: what each event loop is asked to do, in C and C++, so that all do the same.
 *
 *   hold:  so many events are pending; each, when it happens, asks for its next turn
 *   sleep: so many actors; each sleeps, wakes, and sleeps again
 *
 * A measurement has a process of its own: no heap is fragmented by another's, and what can be
 * started once only is. Times are CPU time.
 */
#ifndef CLOSER_BENCH_PEERS_H
#define CLOSER_BENCH_PEERS_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define PEERS_STEP_NS ((UINT64_C(1) << 20) - 1) /* the longest pause; the mean is half of it */

struct peers_task {
	uint64_t count;  /* pending events, or actors */
	uint64_t events; /* that are timed, after as many as there are pending */
};

struct peers_result {
	double ns;    /* an event */
	double bytes; /* of memory for each that is pending, with all that belongs to it */
};

/* A pause in [1, PEERS_STEP_NS + 1]: xorshift64. */
static inline uint64_t peers_pause(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 20 & PEERS_STEP_NS) + 1;
}

static inline uint64_t peers_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Memory of this process, bytes. */
static inline double peers_resident(void)
{
	unsigned long total = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (double)resident * 4096;
}

#ifdef __cplusplus
extern "C" {
#endif

/* scheduler: one of ns-3's, "ns3::HeapScheduler" */
struct peers_result peers_ns3_hold(const char *scheduler, struct peers_task task);
struct peers_result peers_simgrid_sleep(struct peers_task task);

#ifdef __cplusplus
}
#endif

#endif
