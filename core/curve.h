/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curve: how much of its work a guest gets done with how much of its memory (utility curve): counts
 * of what it got done in each sixteenth of its memory, and what may be concluded from them. And the
 * price of idle memory. Values only; no snapshot, no policy.
 *
 *   curve_add(sample) -> curve_verdict(sixteenth): unknown until there are samples enough
 */
#ifndef CLOSER_CORE_CURVE_H
#define CLOSER_CORE_CURVE_H

#include <closer/state.h>

#define CURVE_FULL   (CL_CURVE_PARTS - 1u) /* all of its memory, or more */
#define CURVE_KEPT   64u                   /* samples; then older ones count half */
#define CURVE_SAMPLE (UINT64_C(1) << 27)   /* a sample is less; larger ones are cut */

/* Which part of `contract` bytes this is; contract 0: all. */
uint32_t curve_part(uint64_t bytes, uint64_t contract);
void curve_add(struct cl_curve *curve, uint32_t part, uint64_t done);

enum curve_verdict {
	CURVE_UNKNOWN, /* too few samples of it or of all memory, or too far apart to tell */
	CURVE_SAME,    /* it loses no more than `loss` */
	CURVE_LESS,    /* it loses more */
};

/*
 * With all of its memory it gets M done, with this part m; each the mean of n samples with variance
 * v. SAME: M - m + 2 e <= loss * M; LESS: M - m - 2 e > loss * M; e^2 = V / N + v / n, and two
 * standard errors are 95 % of a normal's. least: samples below which nothing is concluded. A guest
 * that gets nothing done with all of its memory tells nothing.
 */
enum curve_verdict curve_verdict(const struct cl_curve *curve, uint32_t part, uint64_t loss_ppm,
				 uint64_t least);

/*
 * ESX's idle-memory tax (Waldspurger, OSDI 2002, 5.2): a guest pays for idle pages k times,
 *   rho = S / (P * (f + k * (1 - f))),  k = 1 / (1 - tau)
 * S its shares, P its memory, f the part of it that it uses. Memory is taken from the guest with
 * the least rho. tax_bytes is P * (f + k * (1 - f)): active + k * (bytes - active), rounded down;
 * active <= bytes, tau_ppm < CL_PPM; UINT64_MAX if it does not fit.
 */
uint64_t tax_bytes(uint64_t bytes, uint64_t active, uint64_t tau_ppm);
/* rho, in ppm of a share a byte: S * 10^6 / tax_bytes; UINT64_MAX for no bytes at all. */
uint64_t tax_price(uint64_t shares, uint64_t bytes, uint64_t active, uint64_t tau_ppm);

#endif
