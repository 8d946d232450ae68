/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace: Xen's records out of files and rings that are whole, torn, foreign, or have a bad clock.
 */
#include "unit.h"

#include "traced.h"

#include <errno.h>

#define MS CL_NS_PER_MS

static struct traced one(uint64_t hz)
{
	return (struct traced){ .hz = hz };
}

static int add(struct cl_trace *trace, const struct traced *t, struct cl_error *err)
{
	return cl_trace_add_file(trace, t->file.bytes, t->file.len, err);
}

static void expect(struct cl_trace *trace, uint64_t tsc, uint32_t pcpu)
{
	struct cl_trace_record record;

	assert_true(cl_trace_next(trace, &record));
	assert_int_equal(record.tsc, tsc);
	assert_int_equal(record.pcpu, pcpu);
}

static void expect_end(struct cl_trace *trace)
{
	struct cl_trace_record record;

	assert_false(cl_trace_next(trace, &record));
}

static void test_order(void **state)
{
	struct traced t = one(CL_NS_PER_S);
	struct cl_trace *trace = cl_trace_new();
	struct cl_trace_record record;

	/* two looks, and in each a pCPU after the other */
	traced_change(&t, 0, 10, traced_key(1, 2), CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_change(&t, 0, 30, traced_key(1, 2), CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_change(&t, 2, 20, 5, CL_TRACE_RUNNING, CL_TRACE_OFFLINE);
	traced_pass(&t);
	traced_change(&t, 1, 25, 6, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_change(&t, 2, 30, 7, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	assert_int_equal(add(trace, &t, NULL), 0);
	for (int round = 0; round < 2; round++) {
		assert_true(cl_trace_next(trace, &record));
		assert_int_equal(record.tsc, TRACED_BASE + 10);
		assert_int_equal(record.event, CL_TRACE_RUNSTATE);
		assert_int_equal(record.from, CL_TRACE_RUNNING);
		assert_int_equal(record.to, CL_TRACE_BLOCKED);
		assert_int_equal(record.words[0], traced_key(1, 2));
		expect(trace, TRACED_BASE + 20, 2);
		expect(trace, TRACED_BASE + 25, 1);
		expect(trace, TRACED_BASE + 30, 0);
		expect(trace, TRACED_BASE + 30, 2);
		expect_end(trace);
		cl_trace_rewind(trace);
	}
	assert_int_equal(cl_trace_jumps(trace), 0);
	cl_trace_free(trace);
	traced_done(&t);
}

/* From buffers: a record is given when all pCPUs have been looked at again. */
static void test_passes(void **state)
{
	struct traced t = one(CL_NS_PER_S);
	struct cl_trace *trace = cl_trace_new();

	traced_change(&t, 0, 10, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	assert_int_equal(cl_trace_add(trace, 0, t.pcpus[0].bytes, t.pcpus[0].len, NULL), 0);
	traced_change(&t, 1, 50, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	assert_int_equal(cl_trace_add(trace, 1, t.pcpus[1].bytes, t.pcpus[1].len, NULL), 0);
	cl_trace_pass(trace);
	expect_end(trace);
	t.pcpus[0].len = 0;
	traced_change(&t, 0, 40, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_change(&t, 0, 60, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	assert_int_equal(cl_trace_add(trace, 0, t.pcpus[0].bytes, t.pcpus[0].len, NULL), 0);
	memset(t.pcpus[0].bytes, 0xee, t.pcpus[0].len); /* the ring goes on: it was copied */
	cl_trace_pass(trace);
	expect(trace, TRACED_BASE + 10, 0);
	expect(trace, TRACED_BASE + 40, 0);
	expect(trace, TRACED_BASE + 50, 1);
	expect_end(trace);
	cl_trace_flush(trace);
	expect(trace, TRACED_BASE + 60, 0);
	expect_end(trace);
	cl_trace_free(trace);
	traced_done(&t);
}

/* Looks of all sizes, with records between that nobody uses: each that is used is given once, in
 * order and whole, and what the buffers are used for again says nothing. */
static void test_many_passes(void **state)
{
	static const uint32_t wake[2] = { 1, 0 };
	struct traced t = one(CL_NS_PER_S);
	struct cl_trace *trace = cl_trace_new();
	struct cl_trace_record record;
	uint64_t added = 0, given = 0;

	for (uint32_t look = 0; look < 200; look++) {
		uint32_t pcpu = look % 3;

		t.pcpus[pcpu].len = 0;
		for (uint32_t i = 0; i < look * 37 % 5000; i++) {
			if (i % 3 == 0) {
				traced_change(&t, pcpu, 10 * added, (uint32_t)added,
					      CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
				added++;
			}
			traced_record(&t, pcpu, 10 * added, 0x28004, 2, wake);
		}
		assert_int_equal(
			cl_trace_add(trace, pcpu, t.pcpus[pcpu].bytes, t.pcpus[pcpu].len, NULL), 0);
		if (look == 199)
			cl_trace_flush(trace);
		else
			cl_trace_pass(trace);
		for (; cl_trace_next(trace, &record); given++) {
			assert_int_equal(record.event, CL_TRACE_RUNSTATE);
			assert_int_equal(record.words[0], given);
			assert_int_equal(record.tsc, TRACED_BASE + 10 * given);
		}
		assert_true(given <= added);
	}
	assert_int_equal(given, added);
	cl_trace_free(trace);
	traced_done(&t);
}

static void refused(const void *bytes, size_t len, int code, const char *why)
{
	struct cl_trace *trace = cl_trace_new();
	struct cl_error err;

	assert_int_equal(cl_trace_add_file(trace, bytes, len, &err), -code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	cl_trace_free(trace);
}

static void test_foreign(void **state)
{
	struct traced t = one(CL_NS_PER_S);
	const uint32_t old_prev[2] = { 1, 1000 }, old_next[3] = { 1, 1000, 1000 };
	uint32_t swapped[64];

	traced_change(&t, 0, 10, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	for (size_t i = 0; i < t.file.len / 4; i++) {
		memcpy(&swapped[i], t.file.bytes + 4 * i, 4);
		swapped[i] = __builtin_bswap32(swapped[i]);
	}
	refused(swapped, t.file.len, EINVAL, "byte order");
	refused("", 0, ENODATA, "empty");
	refused("#!/bin/sh\nexit 1\n", 17, EINVAL, "no trace");
	refused("\x03", 1, EINVAL, "no trace");
	traced_record(&t, 0, 20, CL_TRACE_INFPREV, 2, old_prev);
	traced_pass(&t);
	refused(t.file.bytes, t.file.len, ENOTSUP, "another version");
	t.file.len = 0;
	traced_record(&t, 0, 20, CL_TRACE_INFNEXT, 3, old_next);
	traced_pass(&t);
	refused(t.file.bytes, t.file.len, ENOTSUP, "another version");
	traced_done(&t);
}

/* However a file is cut, the whole records before the cut are there, and the error names the byte.
 */
static void test_torn(void **state)
{
	struct traced t = one(CL_NS_PER_S);
	const size_t record = 16, chunk = 12 + 3 * record;

	for (uint64_t i = 0; i < 3; i++)
		traced_change(&t, 0, i, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	for (uint64_t i = 3; i < 6; i++)
		traced_change(&t, 1, i, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	assert_int_equal(t.file.len, 2 * chunk);
	for (size_t cut = 12; cut <= t.file.len; cut++) {
		struct cl_trace *trace = cl_trace_new();
		struct cl_error err;
		bool whole = cut == chunk || cut == 2 * chunk;
		int r = cl_trace_add_file(trace, t.file.bytes, cut, &err);
		size_t in_chunk = cut % chunk < 12 ? 0 : (cut % chunk - 12) / record;

		assert_int_equal(r, whole ? 0 : -EBADMSG);
		assert_true(whole || strstr(err.text, "torn at byte"));
		for (size_t i = 0; i < cut / chunk * 3 + in_chunk; i++)
			expect(trace, TRACED_BASE + i, i >= 3);
		expect_end(trace);
		cl_trace_free(trace);
	}
	/* zeros where records should be, as a machine that died leaves them */
	memset(t.file.bytes + chunk + 12 + record, 0, 2 * record);
	struct cl_trace *trace = cl_trace_new();
	struct cl_error err;

	assert_int_equal(add(trace, &t, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "torn at byte 88"));
	for (size_t i = 0; i < 4; i++)
		expect(trace, TRACED_BASE + i, i >= 3);
	expect_end(trace);
	cl_trace_free(trace);
	traced_done(&t);
}

/* A record alone with a time far off has the time of the one before; the rest is as it was. */
static void test_glitch(void **state)
{
	static const uint64_t wrong[] = { 0, 5, TRACED_BASE - 1, UINT64_C(1) << 62, UINT64_MAX };

	for (size_t i = 0; i < CL_COUNT(wrong); i++) {
		struct traced t = one(CL_NS_PER_S);
		struct cl_trace *trace = cl_trace_new();
		const uint32_t key = 1;

		traced_record(&t, 0, 10, CL_TRACE_CONTINUE, 1, &key);
		traced_at(&t, 0, wrong[i], CL_TRACE_CONTINUE, 1, &key);
		traced_record(&t, 0, 30, CL_TRACE_CONTINUE, 1, &key);
		traced_record(&t, 1, 20, CL_TRACE_CONTINUE, 1, &key);
		traced_pass(&t);
		assert_int_equal(add(trace, &t, NULL), 0);
		expect(trace, TRACED_BASE + 10, 0);
		expect(trace, TRACED_BASE + 10, 0);
		expect(trace, TRACED_BASE + 20, 1);
		expect(trace, TRACED_BASE + 30, 0);
		expect_end(trace);
		assert_int_equal(cl_trace_jumps(trace), 1);
		cl_trace_free(trace);
		traced_done(&t);
	}
}

/* A clock that was set back, as by a machine's sleep: what is after it comes after it. */
static void test_set_back(void **state)
{
	struct traced t = one(CL_NS_PER_S);
	struct cl_trace *trace = cl_trace_new();
	struct cl_trace_record record;
	const uint32_t key = 1;

	for (uint32_t pcpu = 0; pcpu < 2; pcpu++) {
		traced_at(&t, pcpu, 1000 + pcpu, CL_TRACE_CONTINUE, 1, &key);
		traced_at(&t, pcpu, 2000 + pcpu, CL_TRACE_CONTINUE, 1, &key);
		traced_at(&t, pcpu, 10 + pcpu, CL_TRACE_CONTINUE, 1, &key);
		traced_at(&t, pcpu, 20 + pcpu, CL_TRACE_CONTINUE, 1, &key);
	}
	traced_pass(&t);
	assert_int_equal(add(trace, &t, NULL), 0);
	expect(trace, 1000, 0);
	expect(trace, 1001, 1);
	expect(trace, 2000, 0);
	expect(trace, 2001, 1);
	assert_true(cl_trace_next(trace, &record));
	assert_int_equal(record.tsc, 10);
	assert_int_equal(record.epoch, 1);
	expect(trace, 11, 1);
	expect(trace, 20, 0);
	expect(trace, 21, 1);
	expect_end(trace);
	assert_int_equal(cl_trace_jumps(trace), 2);
	cl_trace_free(trace);
	traced_done(&t);
}

/* The clock's rate out of the ns that Xen says, which wrap at 4.29 s. */
static void test_rate(void **state)
{
	static const uint64_t rates[] = { UINT64_C(1000000000), UINT64_C(2399987000),
					  UINT64_C(5100000001) };

	for (size_t i = 0; i < CL_COUNT(rates); i++) {
		struct traced t = one(rates[i]);
		struct cl_trace *trace = cl_trace_new();
		uint64_t now = 0;

		for (uint64_t k = 0; k < 40; k++) {
			uint64_t ran = k % 4 == 0 ? 4500 * MS : (k + 1) * MS;
			uint32_t prev = k % 2 ? 1 : TRACED_IDLE, next = k % 2 ? TRACED_IDLE : 1;

			now += ran;
			traced_switch(&t, 0, now, prev, CL_TRACE_RUNNABLE, ran, next, 0);
		}
		traced_pass(&t);
		assert_int_equal(add(trace, &t, NULL), 0);
		/* a quarter of the runs have ns that wrapped, and these are the longest */
		assert_in_range(cl_trace_hz(trace), rates[i] - rates[i] / 1000000,
				rates[i] + rates[i] / 1000000);
		cl_trace_free(trace);
		traced_done(&t);
	}
	struct traced t = one(CL_NS_PER_S);
	struct cl_trace *trace = cl_trace_new();

	traced_change(&t, 0, 10, 1, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	assert_int_equal(add(trace, &t, NULL), 0);
	assert_int_equal(cl_trace_hz(trace), 0); /* nothing says it */
	cl_trace_free(trace);
	traced_done(&t);
}

static void test_ring(void **state)
{
	struct cl_trace_piece got[2];
	const uint32_t size = 1000;

	assert_true(cl_trace_pieces(0, 0, size, got));
	assert_int_equal(got[0].len + got[1].len, 0);
	assert_true(cl_trace_pieces(100, 900, size, got));
	assert_int_equal(got[0].at, 100);
	assert_int_equal(got[0].len, 800);
	assert_int_equal(got[1].len, 0);
	assert_true(cl_trace_pieces(900, 1100, size, got)); /* over the end */
	assert_int_equal(got[0].at, 900);
	assert_int_equal(got[0].len, 100);
	assert_int_equal(got[1].at, 0);
	assert_int_equal(got[1].len, 100);
	assert_true(cl_trace_pieces(1900, 100, size, got)); /* the numbers wrap, too */
	assert_int_equal(got[0].at, 900);
	assert_int_equal(got[0].len, 100);
	assert_int_equal(got[1].len, 100);
	assert_true(cl_trace_pieces(400, 1400, size, got)); /* full */
	assert_int_equal(got[0].len, 600);
	assert_int_equal(got[1].len, 400);
	assert_false(cl_trace_pieces(0, 2000, size, got));
	assert_false(cl_trace_pieces(2000, 0, size, got));
	assert_false(cl_trace_pieces(0, 1004, size, got)); /* more than there is room for */
	assert_false(cl_trace_pieces(1, 5, size, got));
	assert_false(cl_trace_pieces(0, 0, 0, got));
	assert_false(cl_trace_pieces(0, 0, UINT32_MAX, got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),       cmocka_unit_test(test_passes),
		cmocka_unit_test(test_many_passes), cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_torn),        cmocka_unit_test(test_glitch),
		cmocka_unit_test(test_set_back),    cmocka_unit_test(test_rate),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
