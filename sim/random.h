/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random: streams of numbers, one for each thing that needs one, so that adding one thing changes
 * no other's. Integers throughout: the same numbers on every machine.
 */
#ifndef CLOSER_SIM_RANDOM_H
#define CLOSER_SIM_RANDOM_H

#include <stdint.h>

struct sim_random { /* xoshiro256** (Blackman, Vigna 2018) */
	uint64_t s[4];
};

/* stream: which of the streams of this seed. */
void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream);
uint64_t sim_random_u64(struct sim_random *random);
/* Uniform in [0, n), n > 0. */
uint64_t sim_random_below(struct sim_random *random, uint64_t n);
/* Uniform in [low, high]. */
uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high);
/* True with this probability. */
int sim_random_chance(struct sim_random *random, uint64_t ppm);
/* Exponential with this mean; at most 44 means. */
uint64_t sim_random_exponential(struct sim_random *random, uint64_t mean);
/* Standard normal in millionths, of twelve uniforms (Irwin-Hall): within 6 deviations. */
int64_t sim_random_normal_ppm(struct sim_random *random);
/* -ln(u / 2^64) in units of 2^-32; u = 0 counts as 1. */
uint64_t sim_minus_ln(uint64_t u);

#endif
