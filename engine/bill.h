/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bill: the ledger on disk, a SQLite database: what each guest used, inside it and outside it, by
 * kind, and what it was charged for that.
 *
 *   engine -> add (one transaction an interval) -> usage rows -> rolled up: minutes, hours, days
 *   file -> report -> `closer bill`
 *
 * Guests are known by uuid; names are the last ones. A transaction is whole or not there, whenever
 * its writer is killed. What could not be written (a full disk) is kept, and is part of the next
 * one: nothing is lost while closer runs, and nothing is counted twice. Times are the wall clock's,
 * in ns since 1970; where that goes back the ledger's go on, since no two intervals are one. Rows
 * are kept as they came for an hour, by minutes for two days, by hours for 60 days, by days for two
 * years; a guest's debt is kept as long as the file.
 */
#ifndef CLOSER_BILL_H
#define CLOSER_BILL_H

#include "lib.h"

#define CL_BILL_FILE "/var/lib/closer/ledger"

struct cl_bill;

/*
 * For writing: makes it if it is not there (0600; its folder has to be there), checks it, and keeps
 * others from writing. -EBUSY: another closer writes to it; -EBADMSG: damaged; -EINVAL: no ledger
 * of closer's; else errno.
 */
int cl_bill_open(const char *path, struct cl_bill **ret_bill, struct cl_error *reterr);
/* The interval that the plan's books are of; it ended at wall_ns. Books without one (the first) are
 * passed over. On failure it is kept for the next call. */
int cl_bill_add(struct cl_bill *bill, const struct cl_snapshot *now, const struct cl_plan *plan,
		uint64_t wall_ns, struct cl_error *reterr);
/* What guests owe by the file: those that owe anything. fn: 0, or -errno, which ends it. */
int cl_bill_owed(struct cl_bill *bill,
		 int (*fn)(void *ctx, const struct cl_uuid *guest, const struct cl_ledger *ledger),
		 void *ctx, struct cl_error *reterr);
/* Writes what is left to be written; NULL is fine. Closes even on failure. */
int cl_bill_close(struct cl_bill *bill, struct cl_error *reterr);

/* ---- bill_read.c ---- */

struct cl_bill_row { /* sums over rows that began in the time asked for */
	struct cl_uuid guest;
	const char *name; /* the last one, escaped; of a kind: the kind's */
	uint64_t intervals, span_ns;
	uint64_t guest_ns, host_ns;
	struct cl_ledger charge; /* owed: at the end of the time */
};

/* By guest, in the order of uuids, or by kind of work (host_ns alone). */
int cl_bill_report(const char *path, bool by_kind, uint64_t since_ns, uint64_t until_ns,
		   int (*fn)(void *ctx, const struct cl_bill_row *row), void *ctx,
		   struct cl_error *reterr);

#endif
