/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows out of records: each vCPU's state from record to record. */
#include "xen/trace_private.h"

#include "lib.h"

#include <assert.h>
#include <string.h>

#define NO_SLICE    0x80000000u /* from here on a slice is negative: no end is set */
#define LOSS_MAX_NS (120 * CL_NS_PER_S)
#define EVENT_CALLS 32u      /* __HYPERVISOR_event_channel_op */
#define CALL_BITS   0xfffffu /* of PV_HYPERCALL's first word: the number */

void cl_trace_sum_free(struct cl_trace_sum *sum)
{
	if (!sum)
		return;
	free(sum->vcpus);
	free(sum->table);
	free(sum->order);
	free(sum->rows);
	free(sum);
}

struct cl_trace_sum *cl_trace_sum_new(uint64_t hz, uint64_t window_ns, cl_trace_window_fn fn,
				      void *ctx)
{
	struct cl_trace_sum *sum = calloc(1, sizeof(*sum));

	assert(hz >= CL_TRACE_HZ_LEAST && hz <= CL_TRACE_HZ_MOST && window_ns > 0 && fn);
	if (!sum)
		return NULL;
	/* rounded up, so that whole ns come out whole */
	sum->ns_per_cycle = (uint64_t)(((unsigned __int128)CL_NS_PER_S << CYCLE_BITS) / hz + 1);
	sum->window_ns = window_ns;
	sum->fn = fn;
	sum->ctx = ctx;
	for (uint32_t i = 0; i < CL_CPUS_MAX; i++)
		sum->pcpus[i].running = CL_NONE;
	if (!cl_trace_grow(sum)) {
		cl_trace_sum_free(sum);
		return NULL;
	}
	return sum;
}

bool cl_trace_sum_failed(const struct cl_trace_sum *sum)
{
	return sum->failed;
}

/* Of a vCPU. NULL: there are too many, or it has the number of a domain's own entry. */
static struct cl_trace_vcpu *entry_of(struct cl_trace_sum *sum, uint32_t key)
{
	if (VCPU_OF(key) != CL_TRACE_DOMAIN && DOMAIN_OF(key) <= CL_TRACE_IDLE)
		return cl_trace_entry(sum, key);
	sum->left_out++;
	return NULL;
}

static struct cl_trace_on *pcpu_of(struct cl_trace_sum *sum, uint32_t pcpu)
{
	assert(pcpu < CL_CPUS_MAX);
	if (pcpu >= sum->pcpu_count)
		sum->pcpu_count = pcpu + 1;
	sum->pcpus[pcpu].there = true;
	return &sum->pcpus[pcpu];
}

/* ---- time that has passed ---- */

static void add_state(struct cl_trace_figures *f, enum cl_trace_state state, uint64_t ns)
{
	switch (state) {
	case CL_TRACE_RUNNING:
		f->gotten_ns += ns;
		break;
	case CL_TRACE_RUNNABLE:
		f->waited_ns += ns;
		break;
	case CL_TRACE_BLOCKED:
		f->blocked_ns += ns;
		break;
	case CL_TRACE_OFFLINE:
	case CL_TRACE_STATES:
		f->offline_ns += ns;
		break;
	}
}

/*
 * From since_ns on it was in this state. A vCPU that is known to run on a pCPU that loses nothing
 * cannot have changed unseen; any other may have while some pCPU lost records, since whoever wakes
 * it records that where he is.
 */
static void charge(struct cl_trace_sum *sum, struct cl_trace_vcpu *v, uint64_t until_ns,
		   enum cl_trace_state state, bool uncertain)
{
	uint64_t ns = until_ns - v->since_ns;
	uint64_t lossy_ns = sum->lossy_ns - v->lossy_ns;

	assert(until_ns >= v->since_ns);
	add_state(&v->now, state, ns);
	if (uncertain)
		v->now.uncertain_ns += ns;
	else if (state != CL_TRACE_RUNNING)
		v->now.uncertain_ns += lossy_ns < ns ? lossy_ns : ns;
	else if (v->pcpu != CL_NONE && DOMAIN_OF(v->key) == CL_TRACE_IDLE)
		sum->pcpus[v->pcpu].idle_ns += ns;
	else if (v->pcpu != CL_NONE)
		sum->pcpus[v->pcpu].gotten_ns += ns;
	v->since_ns = until_ns;
	v->lossy_ns = sum->lossy_ns;
}

/* A record says that it was in this state until now. */
static void observe(struct cl_trace_sum *sum, struct cl_trace_vcpu *v, enum cl_trace_state state)
{
	uint64_t now = sum->now_ns, lossy_end = sum->lossy_until_ns;

	v->seen = true;
	v->gone_at = 0;
	if (!v->known) {
		v->known = true;
		charge(sum, v, now, state, sum->lossy_ns > v->lossy_ns);
	} else if (v->sure && v->state == state) {
		charge(sum, v, now, state, false);
	} else if (v->sure) { /* a record is missing that nobody counted */
		charge(sum, v, now, state, true);
	} else {
		if (lossy_end > v->since_ns)
			charge(sum, v, lossy_end < now ? lossy_end : now, state, true);
		if (v->state != state)
			v->all.uncertain_ns += v->unconfirmed_ns;
		charge(sum, v, now, state, false);
	}
	v->unconfirmed_ns = 0;
	v->state = state;
	v->sure = state == CL_TRACE_RUNNING || lossy_end <= now;
}

/* Its next record will say nothing of what was before this. */
static void doubt(struct cl_trace_vcpu *v)
{
	v->all.uncertain_ns += v->unconfirmed_ns;
	v->unconfirmed_ns = 0;
	v->sure = false;
}

/* ---- the end of a window ---- */

/* Up to here all have their time; `now` moves to what has ended. */
static void end_vcpu(struct cl_trace_sum *sum, struct cl_trace_vcpu *v, uint64_t end_ns)
{
	struct cl_trace_figures *ended = &v->ended[sum->number % CL_TRACE_LONG];

	if (v->known && v->sure) {
		charge(sum, v, end_ns, v->state, false);
	} else if (v->known) {
		uint64_t lossy_end = sum->lossy_until_ns;

		if (lossy_end > v->since_ns)
			charge(sum, v, lossy_end < end_ns ? lossy_end : end_ns, v->state, true);
		v->window_unconfirmed_ns = end_ns - v->since_ns;
		charge(sum, v, end_ns, v->state, true);
	}
	v->since_ns = end_ns;
	v->lossy_ns = sum->lossy_ns;
	*ended = v->now;
	cl_trace_add_figures(&v->all, &v->now);
	v->all.uncertain_ns -= v->window_unconfirmed_ns;
	v->unconfirmed_ns += v->window_unconfirmed_ns;
	v->window_unconfirmed_ns = 0;
	memset(&v->now, 0, sizeof(v->now));
}

static void end_window(struct cl_trace_sum *sum, uint64_t end_ns)
{
	sum->spans[sum->number % CL_TRACE_LONG] = end_ns - sum->begin_ns;
	for (uint32_t i = 0; i < sum->vcpu_count; i++)
		end_vcpu(sum, &sum->vcpus[i], end_ns);
	cl_trace_report(sum, end_ns, false);
	for (uint32_t i = 0; i < sum->pcpu_count; i++)
		sum->pcpus[i].gotten_ns = sum->pcpus[i].idle_ns = 0;
	sum->number++;
	sum->begin_ns = end_ns;
	sum->begin_lossy_ns = sum->lossy_ns;
	sum->lost = 0;
}

static void pass_to(struct cl_trace_sum *sum, uint64_t ns)
{
	uint64_t lossy_to = ns < sum->lossy_until_ns ? ns : sum->lossy_until_ns;

	if (lossy_to > sum->now_ns)
		sum->lossy_ns += lossy_to - sum->now_ns;
	sum->now_ns = ns;
}

/* What is before this is not to be compared with what comes: all go on from here. */
static void break_off(struct cl_trace_sum *sum, uint64_t tsc)
{
	for (uint32_t i = 0; i < sum->vcpu_count; i++) {
		struct cl_trace_vcpu *v = &sum->vcpus[i];

		if (v->known)
			charge(sum, v, sum->now_ns, v->state, !v->sure);
		doubt(v);
	}
	for (uint32_t i = 0; i < sum->pcpu_count; i++)
		sum->pcpus[i].running = CL_NONE;
	sum->base_tsc = tsc;
	sum->base_ns = sum->now_ns;
	sum->lossy_until_ns = sum->now_ns;
	sum->breaks++;
}

static uint64_t ns_of(const struct cl_trace_sum *sum, uint64_t tsc)
{
	unsigned __int128 ns;

	if (tsc <= sum->base_tsc)
		return sum->base_ns;
	ns = (unsigned __int128)(tsc - sum->base_tsc) * sum->ns_per_cycle >> CYCLE_BITS;
	return ns > UINT64_MAX / 4 ? UINT64_MAX / 4 : sum->base_ns + (uint64_t)ns;
}

static void pass_to_record(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	if (!sum->begun) {
		sum->begun = true;
		sum->base_tsc = record->tsc;
		sum->epoch = record->epoch;
	}
	if (record->epoch > sum->epoch) {
		sum->epoch = record->epoch;
		break_off(sum, record->tsc);
	}
	uint64_t ns = ns_of(sum, record->tsc);

	uint64_t silent_ns = sum->lossy_until_ns > sum->now_ns ? sum->lossy_until_ns : sum->now_ns;
	if (ns > silent_ns + CL_TRACE_PAUSE_NS) {
		break_off(sum, record->tsc);
		ns = sum->now_ns;
	}
	if (ns < sum->now_ns) {
		sum->late += record->event != CL_TRACE_LOST;
		ns = sum->now_ns;
	}
	while (ns - sum->begin_ns >= sum->window_ns) {
		pass_to(sum, sum->begin_ns + sum->window_ns);
		end_window(sum, sum->now_ns);
	}
	pass_to(sum, ns);
}

/* ---- records ---- */

static void take_change(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	struct cl_trace_on *p = pcpu_of(sum, record->pcpu);
	struct cl_trace_vcpu *v = entry_of(sum, record->words[0]);
	enum cl_trace_state from = record->from, to = record->to;

	if (!v)
		return;
	if (v->missed && from == v->missed_from && to == v->missed_to) {
		v->missed = false;
		sum->late++;
		return;
	}
	v->missed = v->known && v->sure && v->state != from;
	v->missed_from = (uint8_t)v->state;
	v->missed_to = (uint8_t)from;
	if (from == CL_TRACE_RUNNING)
		v->pcpu = record->pcpu;
	observe(sum, v, from);
	v->state = to;
	v->sure = to == CL_TRACE_RUNNING || sum->lossy_until_ns <= sum->now_ns;
	uint32_t index = (uint32_t)(v - sum->vcpus);

	if (to == CL_TRACE_RUNNING) {
		v->now.executions += from != CL_TRACE_RUNNING;
		v->pcpu = record->pcpu;
		p->running = index;
	} else if (p->running == index) {
		p->running = CL_NONE;
	}
}

static void take_running(struct cl_trace_sum *sum, uint32_t pcpu, uint32_t key)
{
	struct cl_trace_vcpu *v = entry_of(sum, key);

	if (!v)
		return;
	v->pcpu = pcpu;
	v->missed = false;
	observe(sum, v, CL_TRACE_RUNNING);
	pcpu_of(sum, pcpu)->running = (uint32_t)(v - sum->vcpus);
}

static void take_slice(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	struct cl_trace_vcpu *v =
		entry_of(sum, record->words[0] << 16 | (record->words[1] & 0xffff));
	uint64_t slice = record->words[3], end = sum->now_ns + slice;
	struct cl_trace_figures *f;

	if (!v || slice >= NO_SLICE || record->words[0] == CL_TRACE_IDLE)
		return;
	f = &v->now;
	if (record->event == CL_TRACE_INFNEXT || v->until_ns < sum->now_ns)
		f->allocated_ns += slice;
	else if (end > v->until_ns)
		f->allocated_ns += end - v->until_ns;
	v->until_ns = end;
	if (f->slices == 0 || slice < f->slice_least_ns)
		f->slice_least_ns = slice;
	if (slice > f->slice_most_ns)
		f->slice_most_ns = slice;
	f->slices++;
}

static void take_lost(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	struct cl_trace_on *p = pcpu_of(sum, record->pcpu);
	uint64_t from_ns = ns_of(sum, record->tsc), until_ns = ns_of(sum, record->until_tsc);
	uint64_t before_ns = from_ns < sum->now_ns ? sum->now_ns - from_ns : 0;

	if (before_ns > sum->now_ns - sum->base_ns)
		before_ns = sum->now_ns - sum->base_ns;
	p->running = CL_NONE;
	sum->lost += record->words[0];
	sum->all_lost += record->words[0];
	if (until_ns > sum->now_ns + LOSS_MAX_NS)
		until_ns = sum->now_ns + LOSS_MAX_NS;
	if (until_ns > sum->lossy_until_ns)
		sum->lossy_until_ns = until_ns;
	for (uint32_t i = 0; i < sum->vcpu_count; i++) {
		struct cl_trace_vcpu *v = &sum->vcpus[i];

		if (!v->known ||
		    (v->sure && v->state == CL_TRACE_RUNNING && v->pcpu != record->pcpu))
			continue;
		if (v->sure)
			charge(sum, v, sum->now_ns, v->state, false);
		/* what is past by now, and may be in windows that have ended */
		v->now.uncertain_ns += before_ns;
		doubt(v);
	}
}

static void take_io(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	const struct cl_trace_on *p = &sum->pcpus[record->pcpu];
	uint32_t call = record->words[0];
	struct cl_trace_vcpu *v;

	if (record->word_count < 1)
		return;
	if (record->event == CL_TRACE_GRANT_MAP || record->event == CL_TRACE_GRANT_TRANSFER) {
		v = call < CL_TRACE_IDLE ? cl_trace_entry(sum, call << 16 | CL_TRACE_DOMAIN) : NULL;
		if (v)
			v->now.io++;
		return;
	}
	if (record->event == CL_TRACE_PV_HYPERCALL)
		call &= CALL_BITS;
	if (call == EVENT_CALLS && p->running != CL_NONE)
		sum->vcpus[p->running].now.io++;
}

void cl_trace_sum_take(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	pass_to_record(sum, record);
	switch ((enum cl_trace_event)record->event) {
	case CL_TRACE_RUNSTATE:
		take_change(sum, record);
		break;
	case CL_TRACE_CONTINUE:
		take_running(sum, record->pcpu, record->words[0]);
		break;
	case CL_TRACE_INFNEXT:
	case CL_TRACE_INFCONT:
		take_slice(sum, record);
		break;
	case CL_TRACE_LOST:
		take_lost(sum, record);
		break;
	case CL_TRACE_DOM_REM:
		for (uint32_t i = 0; i < sum->vcpu_count; i++)
			if (DOMAIN_OF(sum->vcpus[i].key) == record->words[0])
				sum->vcpus[i].gone_at = sum->number + 1;
		break;
	case CL_TRACE_GRANT_MAP:
	case CL_TRACE_GRANT_TRANSFER:
	case CL_TRACE_PV_HYPERCALL:
	case CL_TRACE_HVM_VMMCALL:
		take_io(sum, record);
		break;
	case CL_TRACE_INFPREV:
	case CL_TRACE_WRAP:
	case CL_TRACE_CPU_CHANGE:
	default:
		break;
	}
}

void cl_trace_sum_know(struct cl_trace_sum *sum, uint32_t domid, uint32_t vcpu,
		       enum cl_trace_state state, uint32_t pcpu)
{
	struct cl_trace_vcpu *v = entry_of(sum, domid << 16 | (vcpu & 0xffff));

	if (!v || v->known)
		return;
	v->known = true;
	v->sure = !sum->scout_lost; /* it may have changed before its first record */
	v->state = state;
	v->seen = state != CL_TRACE_OFFLINE;
	v->pcpu = pcpu;
	if (state == CL_TRACE_RUNNING)
		pcpu_of(sum, pcpu)->running = (uint32_t)(v - sum->vcpus);
}

void cl_trace_sum_scout(struct cl_trace_sum *sum, const struct cl_trace_record *record)
{
	uint32_t key = record->words[0];
	enum cl_trace_state state =
		record->event == CL_TRACE_RUNSTATE ? record->from : CL_TRACE_RUNNING;

	sum->scout_lost |= record->event == CL_TRACE_LOST;
	if (record->event == CL_TRACE_RUNSTATE || record->event == CL_TRACE_CONTINUE)
		cl_trace_sum_know(sum, DOMAIN_OF(key), VCPU_OF(key), state, record->pcpu);
}

void cl_trace_sum_finish(struct cl_trace_sum *sum)
{
	if (sum->now_ns > sum->begin_ns)
		end_window(sum, sum->now_ns);
	if (sum->number > 0)
		sum->number--; /* the last that there was */
	cl_trace_report(sum, sum->now_ns, true);
}
