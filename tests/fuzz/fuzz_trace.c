/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: a file as xentrace writes it, and a pCPU's buffer. Whatever is in them, each window's time
 * adds up. */
#include "lib.h"
#include "xen/trace_sum.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
	if (!what)
		abort();
}

static void check(void *ctx, const struct cl_trace_window *w)
{
	uint32_t vcpus = 0;

	must(w->span_ns <= 100 * CL_NS_PER_S && w->span_ns <= w->lately_span_ns);
	for (uint32_t i = 0; i < w->domain_count; i++) {
		must(w->domains[i].first == vcpus);
		vcpus += w->domains[i].count;
	}
	must(vcpus == w->vcpu_count);
	for (uint32_t i = 0; i < w->vcpu_count; i++) {
		const struct cl_trace_figures *f = &w->vcpus[i].recent;

		must(w->last ||
		     f->gotten_ns + f->waited_ns + f->blocked_ns + f->offline_ns == w->span_ns);
		must(w->vcpus[i].domid < CL_TRACE_IDLE && w->vcpus[i].vcpu < CL_TRACE_DOMAIN);
	}
	(*(uint32_t *)ctx)++;
}

static void sum_up(struct cl_trace *trace, uint64_t hz, bool scouted)
{
	uint32_t windows = 0;
	struct cl_trace_sum *sum = cl_trace_sum_new(hz, 100 * CL_NS_PER_S, check, &windows);
	struct cl_trace_record record;

	must(sum);
	while (scouted && cl_trace_next(trace, &record))
		cl_trace_sum_scout(sum, &record);
	if (scouted)
		cl_trace_rewind(trace);
	while (cl_trace_next(trace, &record)) {
		must(record.pcpu < CL_CPUS_MAX && record.word_count <= CL_TRACE_WORDS);
		cl_trace_sum_take(sum, &record);
	}
	cl_trace_sum_finish(sum);
	must(windows > 0);
	cl_trace_sum_free(sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cl_trace *trace = cl_trace_new();
	struct cl_error err = { 0 };
	int r;

	must(trace);
	r = cl_trace_add_file(trace, data, size, &err);
	must(r == 0 || (err.code == -r && err.text[0]));
	must(r == 0 || r == -EINVAL || r == -ENODATA || r == -ENOTSUP || r == -EBADMSG);
	if (r == 0 || r == -EBADMSG) {
		uint64_t hz = cl_trace_hz(trace);

		sum_up(trace, hz ? hz : CL_NS_PER_S, true);
	}
	cl_trace_free(trace);

	trace = cl_trace_new();
	must(trace);
	r = cl_trace_add(trace, 1, data, size, &err);
	must(r == 0 || r == -ENOTSUP || r == -EBADMSG);
	cl_trace_flush(trace);
	sum_up(trace, CL_NS_PER_S, false);
	cl_trace_free(trace);
	return 0;
}
