/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers and the logarithm that the exponential one needs, in integers. */
#include "random.h"

#include <assert.h>

#define LN2_Q32 UINT64_C(2977044472) /* ln 2 * 2^32 */

static uint64_t rotate(uint64_t x, unsigned k)
{
	return x << k | x >> (64 - k);
}

/* SplitMix64: as the authors of xoshiro say to seed it. */
static uint64_t next_seed(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream)
{
	uint64_t x = stream;

	x = seed ^ next_seed(&x);
	for (unsigned i = 0; i < 4; i++)
		random->s[i] = next_seed(&x);
}

uint64_t sim_random_u64(struct sim_random *random)
{
	uint64_t *s = random->s;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* Lemire's: the few values that would make some results likelier than others are drawn again. */
uint64_t sim_random_below(struct sim_random *random, uint64_t n)
{
	assert(n > 0);
	for (;;) {
		unsigned __int128 wide = (unsigned __int128)sim_random_u64(random) * n;

		if ((uint64_t)wide >= n || (uint64_t)wide >= -n % n)
			return (uint64_t)(wide >> 64);
	}
}

uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
	assert(low <= high);
	if (high - low == UINT64_MAX)
		return sim_random_u64(random);
	return low + sim_random_below(random, high - low + 1);
}

int sim_random_chance(struct sim_random *random, uint64_t ppm)
{
	return sim_random_below(random, 1000000) < ppm;
}

/*
 * log2 of the mantissa by series: ln((1+z)/(1-z)) = 2(z + z^3/3 + z^5/5 + ..) with
 * z = (m - c)/(m + c), c = sqrt(2) so that |z| < 0.172; in Q62.
 */
uint64_t sim_minus_ln(uint64_t u)
{
	const uint64_t root2 = UINT64_C(6521908912666391106); /* sqrt(2) * 2^62 */
	unsigned shift = u ? (unsigned)__builtin_clzll(u) : 63;
	uint64_t m = (u ? u : 1) << shift >> 1; /* [1, 2) in Q62 */
	__int128 z = ((__int128)m - root2) * (INT64_C(1) << 62) / ((__int128)m + root2);
	__int128 square = z * z >> 62, term = z, sum = 0;

	for (int k = 1; k <= 21; k += 2) {
		sum += term / k;
		term = term * square >> 62;
	}
	/* ln m = ln(2)/2 + 2 * sum; -ln(u / 2^64) = (shift + 1) ln 2 - ln m */
	__int128 ln_m_q32 = (__int128)(LN2_Q32 / 2) + (sum >> 29);
	__int128 result = (__int128)(shift + 1) * LN2_Q32 - ln_m_q32;

	return result > 0 ? (uint64_t)result : 0;
}

uint64_t sim_random_exponential(struct sim_random *random, uint64_t mean)
{
	unsigned __int128 wide = (unsigned __int128)sim_minus_ln(sim_random_u64(random)) * mean;

	return (uint64_t)(wide >> 32);
}

int64_t sim_random_normal_ppm(struct sim_random *random)
{
	int64_t sum = 0;

	for (int i = 0; i < 12; i++)
		sum += (int64_t)sim_random_below(random, 1000000);
	return sum - 6000000;
}
