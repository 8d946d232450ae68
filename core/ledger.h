/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger: the arithmetic of charging, to the nanosecond. Values only; no snapshot, no policy.
 *
 *   charge -> owed -> repay | write off        charged = repaid + owed + written off, always
 */
#ifndef CLOSER_CORE_LEDGER_H
#define CLOSER_CORE_LEDGER_H

#include <closer/plan.h>

/* a * b / c rounded down, without overflow on the way; UINT64_MAX if it does not fit. c > 0.
 * *ret_rest: what is left, below c; may be NULL. */
uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c, uint64_t *ret_rest);

/* Charged and owed from now on. What would pass 2^64 ns (584 CPU years) is not charged: the return
 * value is what was. */
uint64_t ledger_charge(struct cl_ledger *ledger, uint64_t ns);
/* Entitlement that was not spent repays, no more than is owed: what it repaid. */
uint64_t ledger_repay(struct cl_ledger *ledger, uint64_t unspent_ns);
/* All that is owed: how much that was. */
uint64_t ledger_write_off(struct cl_ledger *ledger);

/*
 * SEDF-DC (Gupta et al., Middleware 2006): debt_i = C * w_i / sum(w). Whole ns by largest
 * remainder, equal ones by index, so that the parts are total_ns exactly; all weights 0: nobody's,
 * all parts are 0. The sum of the weights fits 64 bits. scratch: n numbers.
 */
void ledger_split(uint64_t total_ns, const uint64_t *weights, uint32_t n, uint64_t *ret_ns,
		  uint64_t *scratch);

/*
 * What is left of a setting while `owed_ns` are taken out of it, where the whole of it is worth
 * `worth_ns` of CPU time: contract * (1 - owed / worth), and at least floor_ppm of it (rounded up).
 * Over one period that is SEDF-DC's "remaining time less debt". worth_ns 0: all is left.
 */
uint64_t ledger_left(uint64_t contract, uint64_t owed_ns, uint64_t worth_ns, uint64_t floor_ppm);

#endif
