/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Utility curves and the price of idle memory (curve.h). */
#include "curve.h"

#include "ledger.h"

#include <assert.h>

#define ONE 16u /* fractions of a sample in means: these are below 2^31 */

uint32_t curve_part(uint64_t bytes, uint64_t contract)
{
	uint64_t part;

	if (contract == 0)
		return CURVE_FULL;
	part = mul_div(bytes, CURVE_FULL, contract, NULL);
	return part < CURVE_FULL ? (uint32_t)part : CURVE_FULL;
}

void curve_add(struct cl_curve *curve, uint32_t part, uint64_t done)
{
	uint64_t x = done < CURVE_SAMPLE ? done : CURVE_SAMPLE - 1;

	assert(part < CL_CURVE_PARTS);
	if (curve->count[part] >= CURVE_KEPT) {
		curve->count[part] /= 2;
		curve->sum[part] /= 2;
		curve->squares[part] /= 2;
	}
	curve->count[part]++;
	curve->sum[part] += x;
	curve->squares[part] += x * x; /* 64 of 2^54 */
}

static uint64_t mean_of(const struct cl_curve *curve, uint32_t part)
{
	return curve->sum[part] * ONE / curve->count[part];
}

/* The square of the standard error: v / n, where (squares / n - mean^2) * n / (n - 1) is v. At most
 * 2^60. */
static uint64_t error_of(const struct cl_curve *curve, uint32_t part)
{
	uint64_t n = curve->count[part], mean = mean_of(curve, part);
	uint64_t all = mul_div(curve->squares[part], (uint64_t)ONE * ONE, n, NULL);

	return all > mean * mean ? (all - mean * mean) / (n - 1) : 0; /* halving rounds */
}

enum curve_verdict curve_verdict(const struct cl_curve *curve, uint32_t part, uint64_t loss_ppm,
				 uint64_t least)
{
	assert(part < CL_CURVE_PARTS && loss_ppm <= CL_PPM);
	least = least < 2 ? 2 : least;
	if (curve->count[part] < least || curve->count[CURVE_FULL] < least ||
	    curve->sum[CURVE_FULL] == 0)
		return CURVE_UNKNOWN;
	/* M - loss * M: what it is to get done */
	uint64_t may = mul_div(mean_of(curve, CURVE_FULL), CL_PPM - loss_ppm, CL_PPM, NULL);
	uint64_t here = mean_of(curve, part);
	uint64_t errors = 4 * (error_of(curve, part) + error_of(curve, CURVE_FULL));

	if (here >= may)
		return (here - may) * (here - may) >= errors ? CURVE_SAME : CURVE_UNKNOWN;
	return (may - here) * (may - here) > errors ? CURVE_LESS : CURVE_UNKNOWN;
}

uint64_t tax_bytes(uint64_t bytes, uint64_t active, uint64_t tau_ppm)
{
	assert(active <= bytes && tau_ppm < CL_PPM);
	uint64_t idle = mul_div(bytes - active, CL_PPM, CL_PPM - tau_ppm, NULL);

	return idle < UINT64_MAX - active ? active + idle : UINT64_MAX;
}

uint64_t tax_price(uint64_t shares, uint64_t bytes, uint64_t active, uint64_t tau_ppm)
{
	uint64_t taxed = tax_bytes(bytes, active, tau_ppm);

	return taxed ? mul_div(shares, CL_PPM, taxed, NULL) : UINT64_MAX;
}
