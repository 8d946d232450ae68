/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ledger on disk: whole intervals, once each, whatever happens to its disk and its writer. */
#include "house.h"

#include "bill.h"
#include "tenants.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SECOND CL_NS_PER_S
#define WALL   (UINT64_C(1700000000) * SECOND) /* a whole minute and more: 2023-11-14 */

struct place {
	char dir[64], path[96];
	struct house h;
	uint64_t wall_ns;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "%s/closer-bill-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/ledger", p->dir);
	house_init(&p->h, 4);
	p->wall_ns = WALL;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	umount2(p->dir, MNT_DETACH);
	snprintf(command, sizeof(command), "chattr -i %s 2>/dev/null; rm -rf %s", p->path, p->dir);
	(void)!system(command);
	house_done(&p->h);
	free(p);
	return 0;
}

static struct cl_bill *open_bill(const struct place *p)
{
	struct cl_bill *bill = NULL;
	struct cl_error err;

	if (cl_bill_open(p->path, &bill, &err) < 0)
		fail_msg("%s", err.text);
	return bill;
}

/* A second in which each guest ran 300 ms, and the host 200 ms for it. */
static int second(struct place *p, struct cl_bill *bill, struct cl_error *err)
{
	for (uint32_t i = 0; i < HOUSE_GUESTS; i++) {
		p->h.guests[i].guest_ns += 300 * MS;
		p->h.guests[i].host_ns += 200 * MS;
	}
	house_tick(&p->h, SECOND);
	p->wall_ns += SECOND;
	return cl_bill_add(bill, p->h.now, p->h.plan, p->wall_ns, err);
}

struct sum {
	uint32_t rows;
	struct cl_bill_row total;
	char names[256];
};

static int add_row(void *ctx, const struct cl_bill_row *row)
{
	struct sum *sum = ctx;

	sum->rows++;
	sum->total.intervals += row->intervals;
	sum->total.span_ns += row->span_ns;
	sum->total.guest_ns += row->guest_ns;
	sum->total.host_ns += row->host_ns;
	sum->total.charge.charged_ns += row->charge.charged_ns;
	sum->total.charge.repaid_ns += row->charge.repaid_ns;
	sum->total.charge.owed_ns += row->charge.owed_ns;
	sum->total.charge.written_off_ns += row->charge.written_off_ns;
	strncat(sum->names, row->name, sizeof(sum->names) - strlen(sum->names) - 2);
	strcat(sum->names, " ");
	return 0;
}

static struct sum report(const struct place *p, bool by_kind, uint64_t since, uint64_t until)
{
	struct sum sum = { 0 };
	struct cl_error err;

	if (cl_bill_report(p->path, by_kind, since, until, add_row, &sum, &err) < 0)
		fail_msg("%s", err.text);
	return sum;
}

static void test_adds_up(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);
	struct sum sum;

	house_guest(&p->h, 0, 1)->cap = 400000;
	house_guest(&p->h, 1, 2);
	for (int i = 0; i < 11; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	sum = report(p, false, 0, UINT64_MAX);
	assert_int_equal(sum.rows, 2);
	assert_int_equal(sum.total.intervals, 20);
	assert_int_equal(sum.total.guest_ns, 2 * 3 * SECOND);
	assert_int_equal(sum.total.host_ns, 2 * 2 * SECOND);
	assert_int_equal(sum.total.charge.charged_ns, 2 * 2 * SECOND);
	assert_true(cl_ledger_sound(&sum.total.charge));
	assert_true(sum.total.charge.repaid_ns > 0 && sum.total.charge.owed_ns > 0);
	sum = report(p, true, 0, UINT64_MAX);
	assert_string_equal(sum.names, "netback-rx ");
	assert_int_equal(sum.total.host_ns, 2 * 2 * SECOND);
	/* Half of it: rows that began in the first five seconds. */
	sum = report(p, false, 0, WALL + 6 * SECOND);
	assert_int_equal(sum.total.intervals, 10);
	sum = report(p, false, WALL + 6 * SECOND, UINT64_MAX);
	assert_int_equal(sum.total.intervals, 10);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
}

static int one_debt(void *ctx, const struct cl_uuid *guest, const struct cl_ledger *ledger)
{
	struct cl_uuid id = house_uuid(1);

	assert_int_equal(cl_uuid_compare(guest, &id), 0);
	*(struct cl_ledger *)ctx = *ledger;
	return 0;
}

/* Restarted, renamed, rebooted, its number another's: one guest by its uuid, and one debt. */
static void test_same_guest(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p), *other = NULL;
	struct cl_ledger owed = { 0 }, is;
	struct cl_error err;
	uint32_t domid;

	house_guest(&p->h, 0, 1)->cap = 400000;
	for (int i = 0; i < 5; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(cl_bill_open(p->path, &other, &err), -EBUSY); /* nobody bills twice */
	assert_int_equal(cl_bill_close(bill, NULL), 0);
	is = house_books(&p->h, 1)->ledger;
	bill = open_bill(p);
	assert_int_equal(cl_bill_owed(bill, one_debt, &owed, NULL), 0);
	assert_memory_equal(&owed, &is, sizeof(is));
	domid = p->h.guests[0].domid;
	house_guest(&p->h, 0, 1)->cap = 400000; /* another domid: rebooted */
	house_guest(&p->h, 1, 2)->domid = domid;
	for (int i = 0; i < 5; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
	assert_int_equal(report(p, false, 0, UINT64_MAX).rows, 2);
}

/* The clock goes back, and on again: no interval is lost or falls onto another. */
static void test_clock(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);

	house_guest(&p->h, 0, 1);
	for (int i = 0; i < 31; i++) {
		if (i == 10)
			p->wall_ns -= 3600 * SECOND;
		if (i == 20)
			p->wall_ns += 7200 * SECOND;
		assert_int_equal(second(p, bill, NULL), 0);
	}
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.intervals, 30);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
}

static int64_t number(const struct place *p, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *s;
	int64_t n;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

/* Minutes, hours, days: fewer rows, the same sums. */
static void test_rolled_up(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);
	struct sum before, sum;

	house_guest(&p->h, 0, 1)->cap = 400000;
	for (int i = 0; i < 200; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	before = report(p, false, 0, UINT64_MAX);
	p->wall_ns += 2 * 3600 * SECOND;
	assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM usage WHERE step = 0"), 1);
	assert_in_range(number(p, "SELECT count(*) FROM usage WHERE step = 60"), 3, 5);
	p->wall_ns += 3 * 86400 * SECOND;
	assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(number(p, "SELECT count(*) FROM usage WHERE step = 60"), 0);
	p->wall_ns += 100 * 86400 * SECOND;
	assert_int_equal(second(p, bill, NULL), 0);
	assert_in_range(number(p, "SELECT count(*) FROM usage"), 2, 4);
	sum = report(p, false, 0, UINT64_MAX);
	assert_int_equal(sum.total.intervals, before.total.intervals + 3);
	assert_int_equal(sum.total.span_ns, before.total.span_ns + 3 * SECOND);
	assert_int_equal(sum.total.host_ns, before.total.host_ns + 3 * 200 * MS);
	assert_true(cl_ledger_sound(&sum.total.charge));
	assert_int_equal(sum.total.charge.owed_ns, house_books(&p->h, 1)->ledger.owed_ns);
	assert_int_equal(report(p, true, 0, UINT64_MAX).total.host_ns, sum.total.host_ns);
	p->wall_ns += UINT64_C(800) * 86400 * SECOND; /* older than all that is kept */
	assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.intervals, 1);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
}

/* Who is gone in debt is written off, in the ledger as well. */
static void test_written_off(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);
	struct sum sum;

	house_guest(&p->h, 0, 1)->cap = 400000;
	for (int i = 0; i < 10; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	p->h.guests[0].uuid = 0;
	for (int i = 0; i < 61; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	sum = report(p, false, 0, UINT64_MAX);
	assert_true(sum.total.charge.written_off_ns > 0);
	assert_int_equal(sum.total.charge.owed_ns, 0);
	assert_true(cl_ledger_sound(&sum.total.charge));
	assert_int_equal(cl_bill_close(bill, NULL), 0);
}

/* A full disk: said, whole up to then, and all there when there is room again. */
static void test_full(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill;
	struct cl_error err;
	uint32_t intervals = 0, failed = 0;
	char big[96];

	if (mount("closer-test", p->dir, "tmpfs", 0, "size=256k") < 0)
		skip();
	bill = open_bill(p);
	snprintf(big, sizeof(big), "%s/big", p->dir);
	for (uint32_t i = 0; i < HOUSE_GUESTS; i++)
		house_guest(&p->h, i, i + 1);
	assert_int_equal(second(p, bill, NULL), 0); /* no books yet */
	assert_int_equal(second(p, bill, NULL), 0);
	intervals = 1;
	int fd = open(big, O_CREAT | O_WRONLY, 0600);

	assert_true(fallocate(fd, 0, 0, 4096) == 0);
	for (off_t at = 4096; fallocate(fd, 0, at, 4096) == 0; at += 4096)
		;
	for (int i = 0; i < 10; i++) {
		int r = second(p, bill, &err);

		failed += r < 0;
		if (r < 0)
			assert_int_equal(r, -ENOSPC);
		intervals += r == 0;
		if (failed > 0)
			assert_non_null(strstr(err.text, "disk is full"));
	}
	assert_true(failed > 0);
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.intervals, intervals * HOUSE_GUESTS);
	close(fd);
	unlink(big);
	assert_int_equal(second(p, bill, &err), 0);
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.intervals,
			 12 * HOUSE_GUESTS - HOUSE_GUESTS + HOUSE_GUESTS);
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.host_ns,
			 UINT64_C(12) * HOUSE_GUESTS * 200 * MS);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
}

static void put(const struct place *p, const char *bytes, size_t len)
{
	int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static int nothing(void *ctx, const struct cl_bill_row *row)
{
	return 0;
}

/* What is no ledger is named and left as it is. */
static void test_no_ledger(void **state)
{
	struct place *p = *state;
	static const char text[] = "dear diary, today nobody was charged for anything at all\n";
	struct cl_bill *bill = NULL;
	struct cl_error err;
	char is[128];
	sqlite3 *db;

	assert_int_equal(cl_bill_report(p->path, false, 0, 1, nothing, NULL, &err), -ENOENT);
	put(p, text, sizeof(text));
	assert_int_equal(cl_bill_open(p->path, &bill, &err), -EINVAL);
	assert_int_equal(cl_bill_report(p->path, false, 0, 1, nothing, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no database"));
	cl_read_file(AT_FDCWD, p->path, is, sizeof(is));
	assert_memory_equal(is, text, sizeof(text));
	unlink(p->path);
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE other(x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(cl_bill_open(p->path, &bill, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no ledger of closer"));
	snprintf(p->path, sizeof(p->path), "%s/none/ledger", p->dir);
	assert_int_equal(cl_bill_open(p->path, &bill, &err), -ENOENT);
	assert_non_null(strstr(err.text, "folder"));
}

/* Bytes turned over anywhere: refused or read, never a crash, never written to silently. */
static void test_damaged(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);
	static char bytes[1 << 20], bad[1 << 20];
	uint32_t refused = 0;
	ssize_t len;

	for (uint32_t i = 0; i < 8; i++)
		house_guest(&p->h, i, i + 1);
	for (int i = 0; i < 60; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
	len = cl_read_file(AT_FDCWD, p->path, bytes, sizeof(bytes));
	assert_true(len > 8192);
	for (ssize_t page = 0; page < len; page += 4096) {
		struct cl_error err = { 0 };

		memcpy(bad, bytes, (size_t)len);
		memset(bad + page + (page ? 0 : 100), 0x5a, 600);
		put(p, bad, (size_t)len);
		int r = cl_bill_open(p->path, &bill, &err);

		refused += r < 0;
		if (r < 0)
			assert_true(err.code == -r && err.text[0]);
		else
			cl_bill_close(bill, NULL);
		(void)cl_bill_report(p->path, false, 0, UINT64_MAX, nothing, NULL, &err);
	}
	assert_true(refused >= len / 4096 - 1);
	put(p, bytes, (size_t)len / 2); /* cut */
	assert_true(cl_bill_open(p->path, &bill, NULL) < 0);
}

static void test_read_only(void **state)
{
	struct place *p = *state;
	struct cl_bill *bill = open_bill(p);
	struct cl_error err;

	house_guest(&p->h, 0, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(second(p, bill, NULL), 0);
	assert_int_equal(cl_bill_close(bill, NULL), 0);
	if (mount(p->dir, p->dir, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, p->dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		skip();
	assert_int_equal(cl_bill_open(p->path, &bill, &err), -EROFS);
	assert_int_equal(report(p, false, 0, UINT64_MAX).total.intervals, 2);
}

static void test_tenants(void **state)
{
	char good[] = "# whose\n"
		      "00000000-0000-0000-0000-000000000002 acme\n\n"
		      "  00000000-0000-0000-0000-000000000001\tBob's \x1b shop  \n";
	char unnamed[] = "00000000-0000-0000-0000-000000000001\n";
	char twice[] =
		"00000000-0000-0000-0000-000000000001 a\n00000000-0000-0000-0000-000000000001 b";
	struct cl_uuid one = house_uuid(1), three = house_uuid(3);
	struct cl_tenants t;
	struct cl_error err;

	assert_int_equal(cl_tenants_parse(good, &t, &err), 0);
	assert_string_equal(cl_tenants_find(&t, &one), "Bob's \\x1b shop");
	assert_null(cl_tenants_find(&t, &three));
	cl_tenants_done(&t);
	assert_int_equal(cl_tenants_parse(unnamed, &t, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "line 1"));
	assert_int_equal(cl_tenants_parse(twice, &t, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "two tenants"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(adds_up), TEST(same_guest), TEST(clock),   TEST(rolled_up), TEST(written_off),
		TEST(full),    TEST(no_ledger),  TEST(damaged), TEST(read_only), TEST(tenants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
