/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * traced: an encoder of Xen's traces for tests, and a small machine whose schedule is known, so
 * that every figure of its trace is.
 */
#ifndef CLOSER_TESTS_TRACED_H
#define CLOSER_TESTS_TRACED_H

#include "lib.h"
#include "xen/trace_sum.h"

#include <assert.h>
#include <string.h>

#define TRACED_PCPUS 4u
#define TRACED_VCPUS 12u
#define TRACED_BASE  UINT64_C(7000000000000) /* cycles on the clock at time 0 */
#define TRACED_IDLE  (CL_TRACE_IDLE << 16)

struct traced_bytes {
	uint8_t *bytes;
	size_t len, cap;
};

struct traced { /* a file, and what each pCPU has that is not in it yet */
	struct traced_bytes file, pcpus[TRACED_PCPUS];
	uint64_t hz;
};

static inline void traced_put(struct traced_bytes *to, const void *bytes, size_t len)
{
	while (to->len + len > to->cap) {
		to->cap = to->cap ? to->cap * 2 : 4096;
		to->bytes = realloc(to->bytes, to->cap);
		assert(to->bytes);
	}
	if (len > 0)
		memcpy(to->bytes + to->len, bytes, len);
	to->len += len;
}

static inline uint64_t traced_tsc(const struct traced *t, uint64_t ns)
{
	return TRACED_BASE + (uint64_t)((unsigned __int128)ns * t->hz / CL_NS_PER_S);
}

static inline void traced_at(struct traced *t, uint32_t pcpu, uint64_t tsc, uint32_t event,
			     uint32_t count, const uint32_t *words)
{
	const uint32_t head[3] = { event | count << 28 | 1u << 31, (uint32_t)tsc,
				   (uint32_t)(tsc >> 32) };

	traced_put(&t->pcpus[pcpu], head, sizeof(head));
	traced_put(&t->pcpus[pcpu], words, count * sizeof(words[0]));
}

static inline void traced_record(struct traced *t, uint32_t pcpu, uint64_t ns, uint32_t event,
				 uint32_t count, const uint32_t *words)
{
	traced_at(t, pcpu, traced_tsc(t, ns), event, count, words);
}

static inline uint32_t traced_key(uint32_t domid, uint32_t vcpu)
{
	return domid << 16 | vcpu;
}

static inline void traced_change(struct traced *t, uint32_t pcpu, uint64_t ns, uint32_t key,
				 enum cl_trace_state from, enum cl_trace_state to)
{
	traced_record(t, pcpu, ns, CL_TRACE_RUNSTATE | (uint32_t)from << 8 | (uint32_t)to << 4, 1,
		      &key);
}

/* As Xen's sched_switch_units: who stops, after how long; who begins, and with what slice. */
static inline void traced_switch(struct traced *t, uint32_t pcpu, uint64_t ns, uint32_t prev,
				 enum cl_trace_state to, uint64_t ran_ns, uint32_t next,
				 uint32_t slice_ns)
{
	const uint32_t before[3] = { prev >> 16, prev & 0xffff, (uint32_t)ran_ns };
	const uint32_t after[4] = { next >> 16, next & 0xffff, 0, slice_ns };

	traced_record(t, pcpu, ns, CL_TRACE_INFPREV, 3, before);
	traced_record(t, pcpu, ns, CL_TRACE_INFNEXT, 4, after);
	traced_change(t, pcpu, ns, prev, CL_TRACE_RUNNING, to);
	traced_change(t, pcpu, ns, next, CL_TRACE_RUNNABLE, CL_TRACE_RUNNING);
}

/* Xentrace has looked at a pCPU's buffer. */
static inline void traced_flush(struct traced *t, uint32_t pcpu)
{
	struct traced_bytes *from = &t->pcpus[pcpu];
	const uint32_t head[3] = { CL_TRACE_CPU_CHANGE | 2u << 28, pcpu, (uint32_t)from->len };

	if (from->len == 0)
		return;
	traced_put(&t->file, head, sizeof(head));
	traced_put(&t->file, from->bytes, from->len);
	from->len = 0;
}

static inline void traced_pass(struct traced *t)
{
	for (uint32_t pcpu = 0; pcpu < TRACED_PCPUS; pcpu++)
		traced_flush(t, pcpu);
}

static inline void traced_done(struct traced *t)
{
	for (uint32_t i = 0; i < TRACED_PCPUS; i++)
		free(t->pcpus[i].bytes);
	free(t->file.bytes);
}

/* ---- a machine ---- */

struct traced_truth {
	uint64_t ns[CL_TRACE_STATES];
	uint64_t executions, allocated_ns;
};

struct traced_machine {
	struct traced *trace;
	uint64_t random, now_ns;
	uint32_t running[TRACED_PCPUS];       /* keys */
	uint64_t running_since[TRACED_PCPUS]; /* ns */
	enum cl_trace_state states[TRACED_VCPUS];
	uint64_t since[TRACED_VCPUS];
	struct traced_truth truth[TRACED_VCPUS];
	/* loss: on this pCPU, from and until; counted */
	uint32_t lossy;
	uint64_t lossy_from_ns, lossy_until_ns;
	uint64_t lost, lost_untold, first_lost_ns;
};

/* Four vCPUs a domain, from domain 0 on. */
static inline uint32_t traced_vcpu(uint32_t i)
{
	return traced_key(i / 4, i % 4);
}

static inline uint64_t traced_random(struct traced_machine *m, uint64_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % below;
}

/* Does this pCPU lose its records now? What it lost before is told before the next. */
static inline bool traced_lost(struct traced_machine *m, uint32_t pcpu, uint32_t records)
{
	if (pcpu != m->lossy)
		return false;
	if (m->now_ns >= m->lossy_from_ns && m->now_ns < m->lossy_until_ns) {
		if (m->lost_untold == 0)
			m->first_lost_ns = m->now_ns;
		m->lost += records;
		m->lost_untold += records;
		return true;
	}
	if (m->lost_untold > 0) {
		uint64_t first = traced_tsc(m->trace, m->first_lost_ns);
		const uint32_t words[4] = { (uint32_t)m->lost_untold, 0, (uint32_t)first,
					    (uint32_t)(first >> 32) };

		traced_record(m->trace, pcpu, m->now_ns, CL_TRACE_LOST, 4, words);
		m->lost_untold = 0;
	}
	return false;
}

static inline void traced_become(struct traced_machine *m, uint32_t key, enum cl_trace_state to)
{
	uint32_t i = (key >> 16) * 4 + (key & 0xffff);

	if (key >> 16 == CL_TRACE_IDLE)
		return;
	m->truth[i].ns[m->states[i]] += m->now_ns - m->since[i];
	m->truth[i].executions += to == CL_TRACE_RUNNING;
	m->since[i] = m->now_ns;
	m->states[i] = to;
}

/* The pCPU takes another vCPU that can run, or none. */
static inline void traced_reschedule(struct traced_machine *m, uint32_t pcpu,
				     enum cl_trace_state to)
{
	uint32_t prev = m->running[pcpu], next = TRACED_IDLE | pcpu;
	uint32_t first = (uint32_t)traced_random(m, TRACED_VCPUS);

	for (uint32_t k = 0; k < TRACED_VCPUS && next >> 16 == CL_TRACE_IDLE; k++) {
		uint32_t i = (first + k) % TRACED_VCPUS;

		if (m->states[i] == CL_TRACE_RUNNABLE)
			next = traced_vcpu(i);
	}
	if (next == prev)
		return;
	if (!traced_lost(m, pcpu, 4))
		traced_switch(m->trace, pcpu, m->now_ns, prev,
			      prev >> 16 == CL_TRACE_IDLE ? CL_TRACE_RUNNABLE : to,
			      m->now_ns - m->running_since[pcpu], next,
			      next >> 16 == CL_TRACE_IDLE ? UINT32_MAX : 10 * 1000 * 1000);
	traced_become(m, prev, to);
	traced_become(m, next, CL_TRACE_RUNNING);
	m->running[pcpu] = next;
	m->running_since[pcpu] = m->now_ns;
}

static inline void traced_wake(struct traced_machine *m, uint32_t i)
{
	uint32_t by = (uint32_t)traced_random(m, TRACED_PCPUS);

	if (!traced_lost(m, by, 1))
		traced_change(m->trace, by, m->now_ns, traced_vcpu(i), m->states[i],
			      CL_TRACE_RUNNABLE);
	traced_become(m, traced_vcpu(i), CL_TRACE_RUNNABLE);
	m->now_ns++; /* what follows on another pCPU is later */
	for (uint32_t p = 0; p < TRACED_PCPUS; p++) {
		if (m->running[p] >> 16 == CL_TRACE_IDLE) {
			traced_reschedule(m, p, CL_TRACE_RUNNABLE);
			return;
		}
	}
}

static inline void traced_machine_begin(struct traced_machine *m, struct traced *trace,
					uint64_t seed)
{
	*m = (struct traced_machine){ .trace = trace,
				      .random = seed * 2654435761u + 1,
				      .lossy = CL_NONE };
	for (uint32_t p = 0; p < TRACED_PCPUS; p++)
		m->running[p] = TRACED_IDLE | p;
	for (uint32_t i = 0; i < TRACED_VCPUS; i++)
		m->states[i] = i % 4 == 3 ? CL_TRACE_OFFLINE : CL_TRACE_BLOCKED;
}

/* Until then: wakes, blocks and preemptions at random times; xentrace looks every 100 ms. */
static inline void traced_machine_run(struct traced_machine *m, uint64_t until_ns)
{
	uint64_t passed = m->now_ns / (100 * CL_NS_PER_MS);

	while (m->now_ns < until_ns) {
		uint32_t p = (uint32_t)traced_random(m, TRACED_PCPUS);
		uint32_t i = (uint32_t)traced_random(m, TRACED_VCPUS);

		m->now_ns += 1 + traced_random(m, 2 * CL_NS_PER_MS);
		if (m->now_ns >= until_ns)
			m->now_ns = until_ns;
		if (m->states[i] >= CL_TRACE_BLOCKED)
			traced_wake(m, i);
		else if (m->running[p] >> 16 != CL_TRACE_IDLE)
			traced_reschedule(
				m, p, traced_random(m, 2) ? CL_TRACE_BLOCKED : CL_TRACE_RUNNABLE);
		if (m->now_ns / (100 * CL_NS_PER_MS) > passed) {
			passed = m->now_ns / (100 * CL_NS_PER_MS);
			traced_pass(m->trace);
		}
	}
	for (uint32_t i = 0; i < TRACED_VCPUS; i++) {
		m->truth[i].ns[m->states[i]] += m->now_ns - m->since[i];
		m->since[i] = m->now_ns;
	}
	traced_pass(m->trace);
}

#endif
