/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace_sum: figures of traces whose truth is known, and what must hold of any. */
#include "unit.h"

#include "traced.h"

#include <errno.h>

#define MS          CL_NS_PER_MS
#define WINDOWS_MAX 80u

struct seen { /* what came of a trace */
	uint32_t windows;
	uint64_t span_ns[WINDOWS_MAX];
	struct cl_trace_row rows[WINDOWS_MAX][16], domains[WINDOWS_MAX][8];
	uint32_t row_counts[WINDOWS_MAX], domain_counts[WINDOWS_MAX];
	struct cl_trace_pcpu pcpus[WINDOWS_MAX][TRACED_PCPUS];
	struct cl_trace_row all[16];
	struct cl_trace_window last; /* its arrays are gone */
};

/* What must hold of each window of any trace. */
static void check_window(const struct cl_trace_window *w)
{
	for (uint32_t i = 0; i < w->vcpu_count; i++) {
		const struct cl_trace_figures *f = &w->vcpus[i].recent;
		const struct cl_trace_figures *l = &w->vcpus[i].lately;

		assert_int_equal(f->gotten_ns + f->waited_ns + f->blocked_ns + f->offline_ns,
				 w->span_ns);
		assert_true(l->gotten_ns + l->waited_ns + l->blocked_ns + l->offline_ns <=
			    w->lately_span_ns);
	}
	for (uint32_t i = 0; i < w->pcpu_count; i++)
		assert_true(w->pcpus[i].gotten_ns + w->pcpus[i].idle_ns <= w->span_ns);
}

static void take_window(void *ctx, const struct cl_trace_window *w)
{
	struct seen *seen = ctx;
	uint32_t at = seen->windows;

	assert_true(w->vcpu_count <= 16 && w->domain_count <= 8 && w->pcpu_count <= TRACED_PCPUS);
	if (w->last) {
		if (w->vcpu_count > 0)
			memcpy(seen->all, w->vcpus, w->vcpu_count * sizeof(w->vcpus[0]));
		seen->last = *w;
		return;
	}
	check_window(w);
	assert_true(at < WINDOWS_MAX);
	seen->span_ns[at] = w->span_ns;
	seen->row_counts[at] = w->vcpu_count;
	seen->domain_counts[at] = w->domain_count;
	if (w->vcpu_count > 0)
		memcpy(seen->rows[at], w->vcpus, w->vcpu_count * sizeof(w->vcpus[0]));
	if (w->domain_count > 0)
		memcpy(seen->domains[at], w->domains, w->domain_count * sizeof(w->domains[0]));
	if (w->pcpu_count > 0)
		memcpy(seen->pcpus[at], w->pcpus, w->pcpu_count * sizeof(w->pcpus[0]));
	seen->windows++;
}

/* The trace as `closer mon --trace` reads it; scouted: what there was before its first records is
 * looked up first. */
static struct seen *sum_up(const struct traced *t, uint64_t hz, uint64_t window_ns, bool scouted)
{
	struct cl_trace *trace = cl_trace_new();
	struct seen *seen = calloc(1, sizeof(*seen));
	struct cl_trace_sum *sum = cl_trace_sum_new(hz, window_ns, take_window, seen);
	struct cl_trace_record record;

	assert_int_equal(cl_trace_add_file(trace, t->file.bytes, t->file.len, NULL), 0);
	while (scouted && cl_trace_next(trace, &record))
		cl_trace_sum_scout(sum, &record);
	cl_trace_rewind(trace);
	while (cl_trace_next(trace, &record))
		cl_trace_sum_take(sum, &record);
	cl_trace_sum_finish(sum);
	assert_false(cl_trace_sum_failed(sum));
	cl_trace_sum_free(sum);
	cl_trace_free(trace);
	return seen;
}

static void expect(const struct cl_trace_figures *f, uint64_t gotten_ms, uint64_t waited_ms,
		   uint64_t blocked_ms, uint64_t executions)
{
	assert_int_equal(f->gotten_ns, gotten_ms * MS);
	assert_int_equal(f->waited_ns, waited_ms * MS);
	assert_int_equal(f->blocked_ns, blocked_ms * MS);
	assert_int_equal(f->executions, executions);
}

/* d1v0 and d2v0 take turns on one pCPU; d2v0 blocks, and is woken while d1v0 runs. */
static void test_turns(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t a = traced_key(1, 0), b = traced_key(2, 0), idle = TRACED_IDLE;
	const uint32_t goes_on[4] = { 1, 0, 0, 30 * (uint32_t)MS };

	traced_switch(&t, 0, 0, idle, CL_TRACE_RUNNABLE, 0, a, 20 * (uint32_t)MS);
	traced_switch(&t, 0, 100 * MS, a, CL_TRACE_RUNNABLE, 100 * MS, b, 10 * (uint32_t)MS);
	traced_switch(&t, 0, 400 * MS, b, CL_TRACE_BLOCKED, 300 * MS, a, 20 * (uint32_t)MS);
	traced_record(&t, 0, 410 * MS, CL_TRACE_INFCONT, 4, goes_on);
	traced_record(&t, 0, 410 * MS, CL_TRACE_CONTINUE, 1, &a);
	traced_change(&t, 0, 600 * MS, b, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_switch(&t, 0, 700 * MS, a, CL_TRACE_BLOCKED, 300 * MS, b, 5 * (uint32_t)MS);
	traced_switch(&t, 0, 900 * MS, b, CL_TRACE_BLOCKED, 200 * MS, idle, UINT32_MAX);
	traced_change(&t, 0, 1250 * MS, b, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_switch(&t, 0, 1250 * MS, idle, CL_TRACE_RUNNABLE, 350 * MS, b, UINT32_MAX);
	traced_switch(&t, 0, 1500 * MS, b, CL_TRACE_BLOCKED, 250 * MS, idle, UINT32_MAX);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, CL_NS_PER_S, CL_NS_PER_S, true);

	assert_int_equal(seen->windows, 2);
	assert_int_equal(seen->row_counts[0], 2);
	assert_int_equal(seen->rows[0][0].domid, 1);
	expect(&seen->rows[0][0].recent, 400, 300, 300, 2);
	expect(&seen->rows[0][1].recent, 500, 200, 300, 2);
	/* 20, then 20 of which the 30 that were given 10 ms later add 20 */
	assert_int_equal(seen->rows[0][0].recent.allocated_ns, 60 * MS);
	assert_int_equal(seen->rows[0][0].recent.slice_least_ns, 20 * MS);
	assert_int_equal(seen->rows[0][0].recent.slice_most_ns, 30 * MS);
	assert_int_equal(seen->rows[0][1].recent.allocated_ns, 15 * MS);
	assert_int_equal(seen->pcpus[0][0].gotten_ns, 900 * MS);
	assert_int_equal(seen->pcpus[0][0].idle_ns, 100 * MS);
	/* the second is cut at the last record */
	assert_int_equal(seen->span_ns[1], 500 * MS);
	expect(&seen->rows[1][0].recent, 0, 0, 500, 0);
	expect(&seen->rows[1][1].recent, 250, 0, 250, 1);
	assert_int_equal(seen->rows[1][1].recent.slices, 0); /* no end was set */
	expect(&seen->rows[1][1].lately, 750, 200, 550, 3);
	expect(&seen->all[1].all, 750, 200, 550, 3);
	assert_int_equal(seen->last.all_uncertain_ns, 0);
	assert_int_equal(seen->last.all_lost_records, 0);
	free(seen);
	traced_done(&t);
}

/* A vCPU goes from pCPU 3 to pCPU 0, whose records xentrace wrote first. */
static void test_migration(void **state)
{
	struct traced t = { .hz = UINT64_C(2400000000) };
	const uint32_t v = traced_key(5, 1);

	traced_switch(&t, 3, 0, TRACED_IDLE | 3, CL_TRACE_RUNNABLE, 0, v, UINT32_MAX);
	traced_switch(&t, 3, 300 * MS, v, CL_TRACE_RUNNABLE, 300 * MS, TRACED_IDLE | 3, UINT32_MAX);
	traced_switch(&t, 0, 310 * MS, TRACED_IDLE, CL_TRACE_RUNNABLE, 310 * MS, v, UINT32_MAX);
	traced_switch(&t, 0, 800 * MS, v, CL_TRACE_BLOCKED, 490 * MS, TRACED_IDLE, UINT32_MAX);
	traced_change(&t, 3, 1000 * MS, v, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);

	assert_int_equal(seen->windows, 1);
	assert_int_equal(seen->row_counts[0], 1);
	assert_int_equal(seen->rows[0][0].vcpu, 1);
	expect(&seen->rows[0][0].recent, 790, 10, 200, 2);
	assert_int_equal(seen->last.late_records, 0);
	assert_int_equal(seen->pcpus[0][0].gotten_ns, 490 * MS);
	assert_int_equal(seen->pcpus[0][0].idle_ns, 510 * MS);
	assert_int_equal(seen->pcpus[0][1].pcpu, 3);
	assert_int_equal(seen->pcpus[0][1].gotten_ns, 300 * MS);
	assert_int_equal(seen->pcpus[0][1].idle_ns, 700 * MS);
	free(seen);
	traced_done(&t);
}

/* A domain's row is its vCPUs' sum, with what is the domain's own. */
static void test_domains(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t granter = 3, call = 32 | 1u << 20, other_call = 29, vmmcall = 32;
	const uint32_t removed = 3;

	for (uint32_t i = 0; i < 2; i++)
		traced_switch(&t, i, i, TRACED_IDLE | i, CL_TRACE_RUNNABLE, 0, traced_key(3, i),
			      UINT32_MAX);
	traced_record(&t, 2, 10, CL_TRACE_GRANT_MAP, 1, &granter);
	traced_record(&t, 2, 11, CL_TRACE_GRANT_TRANSFER, 1, &granter);
	traced_record(&t, 1, 12, CL_TRACE_PV_HYPERCALL, 1, &call);
	traced_record(&t, 1, 13, CL_TRACE_PV_HYPERCALL, 1, &other_call);
	traced_record(&t, 0, 14, CL_TRACE_HVM_VMMCALL, 1, &vmmcall);
	traced_record(&t, 3, 15, CL_TRACE_PV_HYPERCALL, 1, &call); /* nobody is known there */
	for (uint32_t i = 0; i < 2; i++)
		traced_switch(&t, i, 500 * MS, traced_key(3, i), CL_TRACE_OFFLINE, 500 * MS,
			      TRACED_IDLE | i, UINT32_MAX);
	traced_record(&t, 0, 600 * MS, CL_TRACE_DOM_REM, 1, &removed);
	traced_change(&t, 0, 2000 * MS, 0, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, CL_NS_PER_S, CL_NS_PER_S, true);
	const struct cl_trace_row *d = &seen->domains[0][1];

	assert_int_equal(seen->domain_counts[0], 2);
	assert_int_equal(d->domid, 3);
	assert_int_equal(d->count, 2);
	assert_int_equal(seen->rows[0][d->first].domid, 3);
	assert_int_equal(d->recent.io, 4);
	assert_int_equal(seen->rows[0][d->first].recent.io, 1);
	assert_int_equal(seen->rows[0][d->first + 1].recent.io, 1);
	assert_int_equal(d->recent.gotten_ns, 1000 * MS - 1);
	assert_int_equal(d->recent.executions, 2);
	/* it ended: no row any more, but one in the totals */
	assert_int_equal(seen->domain_counts[1], 1);
	assert_int_equal(seen->last.domain_count, 2);
	free(seen);
	traced_done(&t);
}

/* Random schedules: every figure is the truth's, all of a pCPU's time is somebody's or idle. */
static void test_truth(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct traced t = { .hz = CL_NS_PER_S };
		struct traced_machine m;

		traced_machine_begin(&m, &t, seed);
		traced_machine_run(&m, 5300 * MS);
		struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);
		/* the first record is not at 0, and the last not at the end: what is outside of
		 * them nobody can know */
		uint64_t outside = m.now_ns - seen->last.all_span_ns;

		assert_in_range(outside, 0, 50 * MS);
		assert_int_equal(seen->windows, 6);
		for (uint32_t i = 0; i < seen->last.vcpu_count; i++) {
			const struct cl_trace_row *row = &seen->all[i];
			const struct traced_truth *truth = &m.truth[row->domid * 4 + row->vcpu];

			assert_in_range(row->all.gotten_ns, truth->ns[CL_TRACE_RUNNING] - outside,
					truth->ns[CL_TRACE_RUNNING]);
			assert_in_range(row->all.waited_ns + outside, truth->ns[CL_TRACE_RUNNABLE],
					truth->ns[CL_TRACE_RUNNABLE] + outside);
			assert_in_range(row->all.blocked_ns + outside, truth->ns[CL_TRACE_BLOCKED],
					truth->ns[CL_TRACE_BLOCKED] + outside);
			assert_int_equal(row->all.executions, truth->executions);
			assert_int_equal(row->all.allocated_ns, 10 * MS * truth->executions);
			assert_int_equal(row->all.uncertain_ns, 0);
		}
		for (uint32_t w = 0; w < seen->windows; w++)
			for (uint32_t p = 0; p < TRACED_PCPUS; p++)
				assert_int_equal(seen->pcpus[w][p].gotten_ns +
							 seen->pcpus[w][p].idle_ns,
						 seen->span_ns[w]);
		free(seen);
		traced_done(&t);
	}
}

static uint64_t off(uint64_t is, uint64_t truth)
{
	return is > truth ? is - truth : truth - is;
}

/* No time is off by more than is said. */
static void check_bounds(const struct seen *seen, const struct traced_machine *m,
			 uint64_t *ret_worst_off)
{
	uint64_t outside = m->now_ns - seen->last.all_span_ns;

	for (uint32_t i = 0; i < seen->last.vcpu_count; i++) {
		const struct cl_trace_figures *f = &seen->all[i].all;
		const uint64_t *ns = m->truth[seen->all[i].domid * 4 + seen->all[i].vcpu].ns;
		uint64_t bound = f->uncertain_ns + outside;

		assert_true(off(f->gotten_ns, ns[CL_TRACE_RUNNING]) <= bound);
		assert_true(off(f->waited_ns, ns[CL_TRACE_RUNNABLE]) <= bound);
		assert_true(off(f->blocked_ns, ns[CL_TRACE_BLOCKED]) <= bound);
		if (off(f->gotten_ns, ns[CL_TRACE_RUNNING]) > *ret_worst_off)
			*ret_worst_off = off(f->gotten_ns, ns[CL_TRACE_RUNNING]);
	}
}

/* The same with a pCPU that twice lost all records for a while: in a part of the traces before most
 * vCPUs have one, and the second time before most have one again. Windows are short, so that some
 * end in a loss. */
static void test_lost(void **state)
{
	uint64_t worst_off = 0;

	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct traced t = { .hz = CL_NS_PER_S };
		struct traced_machine m;

		traced_machine_begin(&m, &t, seed);
		m.lossy = (uint32_t)traced_random(&m, TRACED_PCPUS);
		m.lossy_from_ns = traced_random(&m, seed % 4 ? 800 : 20) * MS;
		m.lossy_until_ns = m.lossy_from_ns + (1 + traced_random(&m, 500)) * MS;
		traced_machine_run(&m, m.lossy_until_ns + traced_random(&m, 20) * MS);
		m.lossy_from_ns = m.now_ns + traced_random(&m, 5) * MS;
		m.lossy_until_ns = m.lossy_from_ns + (1 + traced_random(&m, 100)) * MS;
		traced_machine_run(&m, 1900 * MS);
		struct seen *seen = sum_up(&t, t.hz, 30 * MS, true);
		uint64_t lossy_ns = m.lossy_until_ns; /* all before it, at the worst */

		assert_int_equal(seen->last.all_lost_records, m.lost);
		check_bounds(seen, &m, &worst_off);
		for (uint32_t i = 0; i < seen->last.vcpu_count; i++)
			assert_true(seen->all[i].all.uncertain_ns <= lossy_ns + 500 * MS);
		assert_true(m.lost == 0 || seen->last.all_uncertain_ns > 0);
		free(seen);
		traced_done(&t);
	}
	assert_true(worst_off > 10 * MS); /* the losses did matter */
}

/* Known by hand: pCPU 0 loses from 300 to 500 ms that d1v0, which runs there, blocked. */
static void test_lost_figures(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t a = traced_key(1, 0), b = traced_key(2, 0);
	uint64_t first = traced_tsc(&t, 300 * MS);
	const uint32_t lost[4] = { 7, 0, (uint32_t)first, (uint32_t)(first >> 32) };

	traced_switch(&t, 0, 0, TRACED_IDLE, CL_TRACE_RUNNABLE, 0, a, UINT32_MAX);
	traced_switch(&t, 1, 0, TRACED_IDLE | 1, CL_TRACE_RUNNABLE, 0, b, UINT32_MAX);
	traced_record(&t, 0, 500 * MS, CL_TRACE_LOST, 4, lost);
	traced_change(&t, 0, 600 * MS, a, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_switch(&t, 1, 1000 * MS, b, CL_TRACE_BLOCKED, 1000 * MS, TRACED_IDLE | 1,
		      UINT32_MAX);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);

	assert_int_equal(seen->windows, 1);
	assert_int_equal(seen->last.all_lost_records, 7);
	/* certain: 300 ms run, from 500 to 600 blocked, then waiting */
	expect(&seen->rows[0][0].recent, 300, 400, 300, 1);
	assert_int_equal(seen->rows[0][0].recent.uncertain_ns, 200 * MS);
	/* who runs on another pCPU cannot have stopped unseen */
	expect(&seen->rows[0][1].recent, 1000, 0, 0, 1);
	assert_int_equal(seen->rows[0][1].recent.uncertain_ns, 0);
	assert_int_equal(seen->last.all_uncertain_ns, 200 * MS);
	free(seen);
	traced_done(&t);
}

static void put_lost(struct traced *t, uint64_t from_ms, uint64_t until_ms)
{
	uint64_t first = traced_tsc(t, from_ms * MS);
	const uint32_t words[4] = { 1, 0, (uint32_t)first, (uint32_t)(first >> 32) };

	traced_record(t, 0, until_ms * MS, CL_TRACE_LOST, 4, words);
}

/* Records were lost before a vCPU's first one, and again before it had one: what is before the end
 * of the last loss nobody knows, in whichever window it lies. */
static void test_lost_unseen(void **state)
{
	const uint32_t a = traced_key(1, 0), other = traced_key(2, 0);

	for (uint32_t known = 0; known < 2; known++) {
		struct traced t = { .hz = CL_NS_PER_S };

		traced_change(&t, 1, 0, other, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
		if (known)
			traced_change(&t, 0, 0, a, CL_TRACE_RUNNABLE, CL_TRACE_RUNNING);
		put_lost(&t, 100, 200);
		put_lost(&t, 500, 600);
		traced_change(&t, 0, 700 * MS, a, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
		traced_change(&t, 1, 1000 * MS, other, CL_TRACE_RUNNABLE, CL_TRACE_BLOCKED);
		traced_pass(&t);
		struct seen *seen = sum_up(&t, t.hz, 100 * MS, true);

		assert_int_equal(seen->windows, 10);
		assert_int_equal(seen->all[0].domid, 1);
		expect(&seen->all[0].all, 700, 0, 300, known);
		assert_int_equal(seen->all[0].all.uncertain_ns, (known ? 500 : 600) * MS);
		assert_int_equal(seen->rows[3][0].recent.uncertain_ns, 100 * MS);
		/* it ended before the record that says what it was; the total knows */
		assert_int_equal(seen->rows[6][0].recent.uncertain_ns, 100 * MS);
		assert_int_equal(seen->rows[7][0].recent.uncertain_ns, 0);
		free(seen);
		traced_done(&t);
	}
}

/* Two records of a vCPU whose pCPUs' clocks are a little apart: the later one does not undo the
 * earlier, and what lay between is uncertain. */
static void test_swapped(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t v = traced_key(1, 0);

	traced_change(&t, 0, 0, v, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_change(&t, 1, 500 * MS, v, CL_TRACE_RUNNABLE, CL_TRACE_RUNNING);
	traced_change(&t, 0, 500 * MS + 3, v, CL_TRACE_BLOCKED, CL_TRACE_RUNNABLE);
	traced_change(&t, 1, 1000 * MS, v, CL_TRACE_RUNNING, CL_TRACE_BLOCKED);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);

	assert_int_equal(seen->rows[0][0].recent.gotten_ns, 500 * MS);
	assert_int_equal(seen->rows[0][0].recent.uncertain_ns, 500 * MS);
	assert_int_equal(seen->last.late_records, 1);
	free(seen);
	traced_done(&t);
}

/* A clock that was set, and one that stood still: the time between is in no window. */
static void test_clock(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t v = traced_key(1, 0);

	traced_switch(&t, 0, 0, TRACED_IDLE, CL_TRACE_RUNNABLE, 0, v, UINT32_MAX);
	traced_record(&t, 0, 600 * MS, CL_TRACE_CONTINUE, 1, &v);
	/* an hour later by the clock, while nobody saw anything */
	traced_record(&t, 0, 3600 * CL_NS_PER_S, CL_TRACE_CONTINUE, 1, &v);
	traced_record(&t, 0, 3600 * CL_NS_PER_S + 300 * MS, CL_TRACE_CONTINUE, 1, &v);
	/* and set back to nearly nothing */
	traced_at(&t, 0, 1000, CL_TRACE_CONTINUE, 1, &v);
	traced_at(&t, 0, 1000 + 200 * MS, CL_TRACE_CONTINUE, 1, &v);
	traced_at(&t, 0, 1000 + 400 * MS, CL_TRACE_CONTINUE, 1, &v);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);

	assert_int_equal(seen->windows, 2);
	assert_int_equal(seen->last.breaks, 2);
	assert_int_equal(seen->last.all_span_ns, 1300 * MS);
	expect(&seen->rows[0][0].recent, 1000, 0, 0, 1);
	expect(&seen->rows[1][0].recent, 300, 0, 0, 0);
	free(seen);
	traced_done(&t);
}

/* Ten windows make the long one, and then the oldest goes. */
static void test_lately(void **state)
{
	struct traced t = { .hz = CL_NS_PER_S };
	const uint32_t v = traced_key(1, 0);

	for (uint64_t i = 0; i < 24; i++)
		traced_change(&t, 0, i * 500 * MS + (i % 2 ? i * MS : 0), v,
			      i % 2 ? CL_TRACE_RUNNING : CL_TRACE_BLOCKED,
			      i % 2 ? CL_TRACE_BLOCKED : CL_TRACE_RUNNING);
	traced_change(&t, 0, 12000 * MS, v, CL_TRACE_BLOCKED, CL_TRACE_RUNNING);
	traced_pass(&t);
	struct seen *seen = sum_up(&t, t.hz, CL_NS_PER_S, true);

	assert_int_equal(seen->windows, 12);
	/* window w: 500 + 2 w + 1 ms */
	assert_int_equal(seen->rows[4][0].lately.gotten_ns, (5 * 500 + 1 + 3 + 5 + 7 + 9) * MS);
	assert_int_equal(seen->rows[11][0].lately.gotten_ns, (10 * 500 + 144 - 4) * MS);
	assert_int_equal(seen->rows[11][0].all.gotten_ns, (12 * 500 + 144) * MS);
	free(seen);
	traced_done(&t);
}

/* More vCPUs than there is room for: those that there are keep their figures, the rest is counted.
 */
static void test_too_many(void **state)
{
	struct cl_trace_record record = { .event = CL_TRACE_RUNSTATE,
					  .word_count = 1,
					  .from = CL_TRACE_BLOCKED,
					  .to = CL_TRACE_RUNNABLE };
	struct seen *seen = calloc(1, sizeof(*seen));
	struct cl_trace_sum *sum = cl_trace_sum_new(CL_NS_PER_S, CL_NS_PER_S, take_window, seen);

	record.words[0] = 0xffff; /* a domain's own entry has this number: no vCPU can */
	cl_trace_sum_take(sum, &record);
	for (uint32_t i = 0; i < CL_TRACE_VCPUS_MAX + 10; i++) {
		record.words[0] = (CL_TRACE_IDLE << 16) + i; /* of the one that has no rows */
		cl_trace_sum_take(sum, &record);
	}
	record.tsc = 10;
	cl_trace_sum_take(sum, &record);
	cl_trace_sum_finish(sum);
	assert_int_equal(seen->last.left_out, 1 + 10 + 1);
	assert_int_equal(seen->windows, 1);
	cl_trace_sum_free(sum);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),       cmocka_unit_test(test_migration),
		cmocka_unit_test(test_domains),     cmocka_unit_test(test_truth),
		cmocka_unit_test(test_lost),        cmocka_unit_test(test_lost_figures),
		cmocka_unit_test(test_lost_unseen), cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_clock),       cmocka_unit_test(test_lately),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
