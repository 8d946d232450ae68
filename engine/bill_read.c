/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the ledger, while somebody may be writing to it. */
#include "bill_file.h"

#include <errno.h>
#include <string.h>

#define BUSY_MS 5000

/* The last row of a guest is the one whose start is the greatest: SQLite takes owed_ns from it. */
static const char by_guest[] =
	"SELECT guest.uuid, guest.name, sum(intervals), sum(span_ns), sum(guest_ns), sum(host_ns), "
	"sum(usage.charged_ns), sum(usage.repaid_ns), usage.owed_ns, sum(usage.written_off_ns), "
	"max(start_ns) FROM usage JOIN guest ON guest.id = usage.guest WHERE start_ns >= ?1 AND "
	"start_ns < ?2 GROUP BY usage.guest ORDER BY guest.uuid";
static const char by_kind_text[] = "SELECT '', kind, 0, 0, 0, sum(host_ns), 0, 0, 0, 0 FROM kind "
				   "WHERE start_ns >= ?1 AND start_ns < ?2 GROUP BY kind ORDER BY "
				   "kind";

/* To write where possible: what a killed writer left open has to be taken back first. */
static int open_file(const char *path, sqlite3 **ret_db, struct cl_error *reterr)
{
	int rc;

	if (access(path, F_OK) < 0)
		return cl_fail(reterr, errno,
			       "reading ledger %.300s: %s; `closer run --ledger FILE` keeps one",
			       path, strerror(errno));
	rc = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE, NULL);
	if (rc != SQLITE_OK) {
		sqlite3_close(*ret_db);
		rc = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READONLY, NULL);
	}
	if (rc != SQLITE_OK)
		return cl_bill_fail(*ret_db, rc, "reading", path, reterr);
	sqlite3_busy_timeout(*ret_db, BUSY_MS);
	return cl_bill_is_ours(*ret_db, path, reterr);
}

static uint64_t amount(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

static int hand_out(sqlite3 *db, const char *path, const char *sql, const int64_t *bounds,
		    int (*fn)(void *ctx, const struct cl_bill_row *row), void *ctx,
		    struct cl_error *reterr)
{
	sqlite3_stmt *s = NULL;
	int r = 0, rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	for (int i = 0; rc == SQLITE_OK && i < 2; i++)
		rc = sqlite3_bind_int64(s, i + 1, bounds[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	for (; r == 0 && rc == SQLITE_ROW; rc = sqlite3_step(s)) {
		const char *uuid = (const char *)sqlite3_column_text(s, 0);
		const char *name = (const char *)sqlite3_column_text(s, 1);
		struct cl_bill_row row = { .name = name ? name : "",
					   .intervals = amount(s, 2),
					   .span_ns = amount(s, 3),
					   .guest_ns = amount(s, 4),
					   .host_ns = amount(s, 5),
					   .charge = { .charged_ns = amount(s, 6),
						       .repaid_ns = amount(s, 7),
						       .owed_ns = amount(s, 8),
						       .written_off_ns = amount(s, 9) } };

		if (!uuid || (*uuid && !cl_uuid_parse(uuid, &row.guest)))
			r = cl_fail(reterr, EBADMSG,
				    "reading ledger %.300s: it is damaged: a guest without a uuid",
				    path);
		else
			r = fn(ctx, &row);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = cl_bill_fail(db, rc, "reading", path, reterr);
	sqlite3_finalize(s);
	return r;
}

int cl_bill_report(const char *path, bool by_kind, uint64_t since_ns, uint64_t until_ns,
		   int (*fn)(void *ctx, const struct cl_bill_row *row), void *ctx,
		   struct cl_error *reterr)
{
	const int64_t bounds[] = { (int64_t)(since_ns < INT64_MAX ? since_ns : INT64_MAX),
				   (int64_t)(until_ns < INT64_MAX ? until_ns : INT64_MAX) };
	sqlite3 *db = NULL;
	int r = open_file(path, &db, reterr);

	if (r == 0)
		r = hand_out(db, path, by_kind ? by_kind_text : by_guest, bounds, fn, ctx, reterr);
	sqlite3_close(db);
	return r;
}
