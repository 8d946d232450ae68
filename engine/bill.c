/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing the ledger. */
#include "bill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define BUSY_MS   2000 /* somebody reads */
#define NAME_ROOM (4u * CL_NAME_MAX)
#define MINUTE_NS (60 * CL_NS_PER_S)

/* What is to be written of one guest: of the last interval, and of those before that could not be.
 */
struct item {
	struct cl_uuid guest;
	char name[NAME_ROOM]; /* escaped */
	uint64_t intervals, guest_ns, host_ns, kind_ns[CL_WORK_KIND_COUNT];
	uint64_t charged_ns, repaid_ns, written_off_ns;
};

enum statement { GUEST, USAGE, KIND, LEDGER, CLOCK, STATEMENTS };

static const char *const texts[STATEMENTS] = {
	[GUEST] = "INSERT INTO guest(uuid, name) VALUES(?1, ?2) ON CONFLICT(uuid) DO UPDATE SET "
		  "name = CASE ?2 WHEN '' THEN name ELSE ?2 END RETURNING id",
	[LEDGER] = "UPDATE guest SET charged_ns = charged_ns + ?2, repaid_ns = repaid_ns + ?3, "
		   "written_off_ns = written_off_ns + ?4, owed_ns = owed_ns + ?2 - ?3 - ?4 "
		   "WHERE id = ?1",
	[USAGE] = "INSERT INTO usage SELECT 0, ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, owed_ns FROM "
		  "guest WHERE id = ?1",
	[KIND] = "INSERT INTO kind VALUES(0, ?2, ?1, ?3, ?4)",
	[CLOCK] = "UPDATE clock SET end_ns = ?1",
};

struct cl_bill {
	char path[CL_PATH_MAX];
	int lock_fd; /* closed after the database: closing it would drop SQLite's own locks */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct item *items;
	uint32_t n, cap;
	uint64_t span_ns;      /* of the items */
	int64_t end_ns;        /* of the last row */
	int64_t rolled_ns;     /* when rows were rolled up last */
	struct cl_error shown; /* why items are waiting; code 0: they are not */
};

/* ---- the file ---- */

/* step: seconds that a row is of, 0: an interval. owed_ns: at its end. */
static const char schema[] =
	"CREATE TABLE guest(id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, "
	"charged_ns INTEGER NOT NULL DEFAULT 0, repaid_ns INTEGER NOT NULL DEFAULT 0, "
	"owed_ns INTEGER NOT NULL DEFAULT 0 CHECK(owed_ns >= 0), "
	"written_off_ns INTEGER NOT NULL DEFAULT 0, "
	"CHECK(charged_ns = repaid_ns + owed_ns + written_off_ns));"
	"CREATE TABLE usage(step INTEGER, start_ns INTEGER, guest INTEGER REFERENCES guest, "
	"intervals INTEGER NOT NULL, span_ns INTEGER NOT NULL, guest_ns INTEGER NOT NULL, "
	"host_ns INTEGER NOT NULL, charged_ns INTEGER NOT NULL, repaid_ns INTEGER NOT NULL, "
	"written_off_ns INTEGER NOT NULL, owed_ns INTEGER NOT NULL, "
	"PRIMARY KEY(step, start_ns, guest)) WITHOUT ROWID;"
	"CREATE TABLE kind(step INTEGER, start_ns INTEGER, guest INTEGER REFERENCES guest, "
	"kind TEXT, host_ns INTEGER NOT NULL, PRIMARY KEY(step, start_ns, guest, kind)) WITHOUT "
	"ROWID;"
	"CREATE TABLE clock(end_ns INTEGER NOT NULL);"
	"INSERT INTO clock VALUES(0);";

static int make(struct cl_bill *bill, struct cl_error *reterr)
{
	char head[128];
	int r = cl_bill_exec(bill->db, "BEGIN IMMEDIATE", "making", bill->path, reterr);

	snprintf(head, sizeof(head), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 CL_BILL_APPLICATION, CL_BILL_VERSION);
	if (r == 0)
		r = cl_bill_exec(bill->db, schema, "making", bill->path, reterr);
	if (r == 0)
		r = cl_bill_exec(bill->db, head, "making", bill->path, reterr);
	if (r == 0)
		r = cl_bill_exec(bill->db, "COMMIT", "making", bill->path, reterr);
	return r;
}

/* Whole, of this version, and not written to by anybody else. */
static int check(struct cl_bill *bill, struct cl_error *reterr)
{
	int64_t tables, sound;
	int r = cl_bill_number(bill->db, "SELECT count(*) FROM sqlite_schema", bill->path, &tables,
			       reterr);

	if (r < 0)
		return r;
	if (tables == 0)
		r = make(bill, reterr);
	if (r == 0)
		r = cl_bill_is_ours(bill->db, bill->path, reterr);
	if (r == 0)
		r = cl_bill_number(bill->db, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)",
				   bill->path, &sound, reterr);
	if (r == 0 && !sound)
		return cl_bill_fail(bill->db, SQLITE_CORRUPT, "checking", bill->path, reterr);
	return r == 0 ? cl_bill_number(bill->db, "SELECT end_ns FROM clock", bill->path,
				       &bill->end_ns, reterr)
		      : r;
}

static int open_file(struct cl_bill *bill, struct cl_error *reterr)
{
	int rc;

	bill->lock_fd = open(bill->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (bill->lock_fd < 0)
		return cl_fail(reterr, errno, "opening ledger %.300s: %s", bill->path,
			       errno == ENOENT ? "its folder is not there: make it"
					       : strerror(errno));
	if (flock(bill->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return cl_fail(reterr, EBUSY,
			       "opening ledger %.300s: another closer writes to it; end that one, "
			       "or name another file",
			       bill->path);
	rc = sqlite3_open_v2(bill->path, &bill->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	if (rc != SQLITE_OK)
		return cl_bill_fail(bill->db, rc, "opening", bill->path, reterr);
	sqlite3_busy_timeout(bill->db, BUSY_MS);
	return 0;
}

static int prepare(struct cl_bill *bill, struct cl_error *reterr)
{
	for (int i = 0; i < STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(bill->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
					    &bill->statements[i], NULL);

		if (rc != SQLITE_OK)
			return cl_bill_fail(bill->db, rc, "opening", bill->path, reterr);
	}
	return 0;
}

static void free_bill(struct cl_bill *bill)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(bill->statements[i]);
	sqlite3_close(bill->db);
	if (bill->lock_fd >= 0)
		close(bill->lock_fd);
	free(bill->items);
	free(bill);
}

int cl_bill_open(const char *path, struct cl_bill **ret_bill, struct cl_error *reterr)
{
	struct cl_bill *bill = calloc(1, sizeof(*bill));
	int r;

	if (!bill)
		return cl_fail(reterr, ENOMEM, "opening the ledger: no memory");
	bill->lock_fd = -1;
	snprintf(bill->path, sizeof(bill->path), "%s", path);
	r = strlen(path) < sizeof(bill->path)
		    ? open_file(bill, reterr)
		    : cl_fail(reterr, ENAMETOOLONG, "opening ledger %.64s...: too long", path);
	if (r == 0)
		r = check(bill, reterr);
	if (r == 0)
		r = prepare(bill, reterr);
	if (r < 0) {
		free_bill(bill);
		return r;
	}
	*ret_bill = bill;
	return 0;
}

/* ---- rolled up ---- */

#define AMOUNTS                                                                                    \
	"intervals, span_ns, guest_ns, host_ns, charged_ns, repaid_ns, written_off_ns, owed_ns"

/* ?1: from rows of this step, ?2: to this one, ?3: ns of it, ?4: those that began before. */
static const char *const roll_up[] = {
	"INSERT INTO usage(step, start_ns, guest, " AMOUNTS ") SELECT ?2, at, guest, " AMOUNTS
	" FROM (SELECT start_ns / ?3 * ?3 AS at, guest, sum(intervals) AS intervals, sum(span_ns) "
	"AS span_ns, sum(guest_ns) AS guest_ns, sum(host_ns) AS host_ns, sum(charged_ns) AS "
	"charged_ns, sum(repaid_ns) AS repaid_ns, sum(written_off_ns) AS written_off_ns, owed_ns, "
	"max(start_ns) FROM usage WHERE step = ?1 AND start_ns < ?4 GROUP BY 1, 2) WHERE true "
	"ON CONFLICT(step, start_ns, guest) DO UPDATE SET intervals = intervals + "
	"excluded.intervals, span_ns = span_ns + excluded.span_ns, guest_ns = guest_ns + "
	"excluded.guest_ns, host_ns = host_ns + excluded.host_ns, charged_ns = charged_ns + "
	"excluded.charged_ns, repaid_ns = repaid_ns + excluded.repaid_ns, written_off_ns = "
	"written_off_ns + excluded.written_off_ns, owed_ns = excluded.owed_ns",
	"INSERT INTO kind(step, start_ns, guest, kind, host_ns) SELECT ?2, start_ns / ?3 * ?3, "
	"guest, kind, sum(host_ns) FROM kind WHERE step = ?1 AND start_ns < ?4 GROUP BY 2, 3, 4 "
	"ON CONFLICT(step, start_ns, guest, kind) DO UPDATE SET host_ns = host_ns + "
	"excluded.host_ns",
	"DELETE FROM usage WHERE step = ?1 AND start_ns < ?4",
	"DELETE FROM kind WHERE step = ?1 AND start_ns < ?4",
};

static int run_roll(struct cl_bill *bill, const char *sql, const int64_t *values,
		    struct cl_error *reterr)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(bill->db, sql, -1, &s, NULL);

	for (int i = 1; rc == SQLITE_OK && i <= 4; i++)
		if (strstr(sql, (const char[]){ '?', (char)('0' + i), '\0' }))
			rc = sqlite3_bind_int64(s, i, values[i - 1]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : cl_bill_fail(bill->db, rc, "writing", bill->path, reterr);
}

/* Each minute, what has got old enough. The last step's rows become nothing. */
static int roll(struct cl_bill *bill, int64_t now_ns, struct cl_error *reterr)
{
	static const struct {
		int64_t step, into, keep_s;
	} steps[] = {
		{ 0, 60, 3600 },
		{ 60, 3600, 2 * 86400 },
		{ 3600, 86400, 60 * 86400 },
		{ 86400, 0, 731 * 86400 },
	};
	int r = 0;

	if (now_ns / (int64_t)MINUTE_NS == bill->rolled_ns / (int64_t)MINUTE_NS)
		return 0;
	for (size_t i = 0; r == 0 && i < CL_COUNT(steps); i++) {
		int64_t whole = (steps[i].into ? steps[i].into : 86400) * (int64_t)CL_NS_PER_S;
		int64_t before = (now_ns - steps[i].keep_s * (int64_t)CL_NS_PER_S) / whole * whole;
		const int64_t values[] = { steps[i].step, steps[i].into, whole, before };

		for (size_t k = steps[i].into ? 0 : 2; r == 0 && k < CL_COUNT(roll_up); k++)
			r = run_roll(bill, roll_up[k], values, reterr);
	}
	return r;
}

/* ---- one interval ---- */

/* Binds values from ?1 on and runs it; *ret: the number that it answers, if it does. */
static int run(struct cl_bill *bill, enum statement which, const int64_t *values, int n,
	       int64_t *ret, struct cl_error *reterr)
{
	sqlite3_stmt *s = bill->statements[which];
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < n; i++)
		rc = sqlite3_bind_int64(s, i + 1, values[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		if (ret)
			*ret = sqlite3_column_int64(s, 0);
		rc = sqlite3_step(s); /* to its end: only then it is done */
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : cl_bill_fail(bill->db, rc, "writing", bill->path, reterr);
}

static int write_item(struct cl_bill *bill, const struct item *item, int64_t start_ns,
		      struct cl_error *reterr)
{
	sqlite3_stmt *kind = bill->statements[KIND], *guest = bill->statements[GUEST];
	char uuid[CL_UUID_TEXT];
	int64_t id = 0;

	cl_uuid_format(&item->guest, uuid);
	sqlite3_bind_text(guest, 1, uuid, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(guest, 2, item->name, -1, SQLITE_TRANSIENT);
	int r = run(bill, GUEST, NULL, 0, &id, reterr);

	if (r == 0)
		r = run(bill, LEDGER,
			(const int64_t[]){ id, (int64_t)item->charged_ns, (int64_t)item->repaid_ns,
					   (int64_t)item->written_off_ns },
			4, NULL, reterr);
	if (r == 0)
		r = run(bill, USAGE,
			(const int64_t[]){ id, start_ns, (int64_t)item->intervals,
					   (int64_t)bill->span_ns, (int64_t)item->guest_ns,
					   (int64_t)item->host_ns, (int64_t)item->charged_ns,
					   (int64_t)item->repaid_ns,
					   (int64_t)item->written_off_ns },
			9, NULL, reterr);
	for (int k = 0; r == 0 && k < CL_WORK_KIND_COUNT; k++) {
		if (item->kind_ns[k] == 0)
			continue;
		sqlite3_bind_text(kind, 3, cl_work_kind_name((enum cl_work_kind)k), -1,
				  SQLITE_STATIC);
		sqlite3_bind_int64(kind, 4, (int64_t)item->kind_ns[k]);
		r = run(bill, KIND, (const int64_t[]){ id, start_ns }, 2, NULL, reterr);
	}
	return r;
}

/* All that waits, or nothing of it. */
static int write_items(struct cl_bill *bill, int64_t end_ns, struct cl_error *reterr)
{
	int64_t start_ns = end_ns - (int64_t)bill->span_ns;
	int r;

	if (start_ns < bill->end_ns) {
		start_ns = bill->end_ns;
		end_ns = start_ns + (int64_t)bill->span_ns;
	}
	r = cl_bill_exec(bill->db, "BEGIN IMMEDIATE", "writing", bill->path, reterr);
	if (r < 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < bill->n; i++)
		r = write_item(bill, &bill->items[i], start_ns, reterr);
	if (r == 0)
		r = run(bill, CLOCK, &end_ns, 1, NULL, reterr);
	if (r == 0)
		r = roll(bill, end_ns, reterr);
	if (r == 0)
		r = cl_bill_exec(bill->db, "COMMIT", "writing", bill->path, reterr);
	if (r < 0) { /* SQLite may have done so by itself */
		sqlite3_exec(bill->db, "ROLLBACK", NULL, NULL, NULL);
		return r;
	}
	bill->end_ns = bill->rolled_ns = end_ns;
	bill->n = 0;
	bill->span_ns = 0;
	return 0;
}

/* Its item, a new one if it has none; NULL: no memory. hint: where it probably is. */
static struct item *item_of(struct cl_bill *bill, const struct cl_uuid *guest, uint32_t hint)
{
	for (uint32_t i = 0; i < bill->n; i++) {
		struct item *item = &bill->items[(hint + i) % bill->n];

		if (cl_uuid_compare(&item->guest, guest) == 0)
			return item;
	}
	if (bill->n == bill->cap) {
		uint32_t cap = bill->cap ? 2 * bill->cap : 64;
		struct item *items = realloc(bill->items, cap * sizeof(*items));

		if (!items)
			return NULL;
		bill->items = items;
		bill->cap = cap;
	}
	struct item *item = &bill->items[bill->n++];

	memset(item, 0, sizeof(*item));
	item->guest = *guest;
	return item;
}

static int gather(struct cl_bill *bill, const struct cl_snapshot *now, const struct cl_plan *plan)
{
	for (uint32_t i = 0; i < plan->n.guests; i++) {
		const struct cl_guest_books *books = &plan->guest_books[i];
		struct item *item = item_of(bill, &now->guests[i].id, i);

		if (!item)
			return -ENOMEM;
		cl_escape(cl_snapshot_str(now, now->guests[i].name), item->name,
			  sizeof(item->name));
		item->intervals++;
		item->guest_ns += books->guest_ns;
		item->host_ns += books->host_ns;
		for (int k = 0; k < CL_WORK_KIND_COUNT; k++)
			item->kind_ns[k] += books->kind_ns[k];
		item->charged_ns += books->charge.charged_ns;
		item->repaid_ns += books->charge.repaid_ns;
	}
	for (uint32_t i = 0; i < plan->n.write_offs; i++) {
		struct item *item = item_of(bill, &plan->write_offs[i].guest, 0);

		if (!item)
			return -ENOMEM;
		item->written_off_ns += plan->write_offs[i].ns;
	}
	return 0;
}

int cl_bill_add(struct cl_bill *bill, const struct cl_snapshot *now, const struct cl_plan *plan,
		uint64_t wall_ns, struct cl_error *reterr)
{
	int r;

	if (plan->books.span_ns == 0)
		return 0;
	bill->span_ns += plan->books.span_ns;
	if (gather(bill, now, plan) < 0)
		return cl_fail(reterr, ENOMEM, "writing ledger %.300s: no memory", bill->path);
	r = write_items(bill, (int64_t)wall_ns, &bill->shown);
	if (r == 0)
		bill->shown.code = 0;
	else if (reterr)
		*reterr = bill->shown;
	return r;
}

int cl_bill_owed(struct cl_bill *bill,
		 int (*fn)(void *ctx, const struct cl_uuid *guest, const struct cl_ledger *ledger),
		 void *ctx, struct cl_error *reterr)
{
	sqlite3_stmt *s = NULL;
	int r = 0, rc = sqlite3_prepare_v2(bill->db,
					   "SELECT uuid, charged_ns, repaid_ns, owed_ns, "
					   "written_off_ns FROM guest WHERE owed_ns > 0 ORDER BY "
					   "uuid",
					   -1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	for (; r == 0 && rc == SQLITE_ROW; rc = sqlite3_step(s)) {
		const char *text = (const char *)sqlite3_column_text(s, 0);
		struct cl_ledger l = { (uint64_t)sqlite3_column_int64(s, 1),
				       (uint64_t)sqlite3_column_int64(s, 2),
				       (uint64_t)sqlite3_column_int64(s, 3),
				       (uint64_t)sqlite3_column_int64(s, 4) };
		struct cl_uuid id;

		if (text && cl_uuid_parse(text, &id))
			r = fn(ctx, &id, &l);
	}
	sqlite3_finalize(s);
	if (r == 0 && rc != SQLITE_DONE)
		return cl_bill_fail(bill->db, rc, "reading", bill->path, reterr);
	return r;
}

int cl_bill_close(struct cl_bill *bill, struct cl_error *reterr)
{
	int r = 0;

	if (!bill)
		return 0;
	if (bill->shown.code && bill->n > 0)
		r = write_items(bill, bill->end_ns + (int64_t)bill->span_ns, reterr);
	free_bill(bill);
	return r;
}
