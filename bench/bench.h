/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench: medians and spreads of repeated rounds, and where they are written. */
#ifndef CLOSER_BENCH_H
#define CLOSER_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bench_figure {
	double low, median, high;
}; /* quartiles */

/* CPU time of this thread: what a round costs, not how long others kept it from its CPU. */
static inline uint64_t bench_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts values. */
static inline struct bench_figure bench_figure(double *values, size_t n)
{
	qsort(values, n, sizeof(values[0]), bench_compare);
	return (struct bench_figure){ values[n / 4], values[n / 2], values[n - 1 - n / 4] };
}

#endif
