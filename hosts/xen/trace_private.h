/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace_private: what the windows' arithmetic (trace_sum.c) and their rows (trace_rows.c) share. */
#ifndef CLOSER_XEN_TRACE_PRIVATE_H
#define CLOSER_XEN_TRACE_PRIVATE_H

#include "xen/trace_sum.h"

#define DOMAIN_OF(key) ((key) >> 16)
#define CYCLE_BITS     56
#define VCPU_OF(key)   ((key)&0xffffu)

struct cl_trace_vcpu {
	uint32_t key; /* domain << 16 | vCPU */
	enum cl_trace_state state;
	bool known;  /* its state is: false for a domain's own entry, and before the first record */
	bool sure;   /* false: records were lost since, in which it may have changed */
	bool seen;   /* it was there: has a record, or was not offline at the start */
	bool missed; /* a record with these states is late, and comes after its next */
	uint8_t missed_from, missed_to;
	uint64_t gone_at;        /* number of the window in which its domain ended, + 1 */
	uint32_t pcpu;           /* where it runs or ran last */
	uint64_t since_ns;       /* all before is in the figures */
	uint64_t lossy_ns;       /* the sum's, then */
	uint64_t until_ns;       /* end of the slice */
	uint64_t unconfirmed_ns; /* in ended windows: what its next record will confirm or not */
	uint64_t window_unconfirmed_ns;
	struct cl_trace_figures now, ended[CL_TRACE_LONG], all;
};

struct cl_trace_on {
	bool there;
	uint32_t running; /* index of a vCPU, or CL_NONE */
	uint64_t gotten_ns, idle_ns;
};

struct cl_trace_sum {
	cl_trace_window_fn fn;
	void *ctx;
	uint64_t ns_per_cycle; /* in 1 / 2^CYCLE_BITS */
	uint64_t window_ns;
	bool begun, failed, scout_lost;
	uint64_t base_tsc, base_ns, epoch;
	uint64_t now_ns, begin_ns; /* of the last record, of the window */
	uint64_t number;           /* of the window */
	uint64_t spans[CL_TRACE_LONG];
	uint64_t lossy_ns;       /* time so far in which a pCPU lost records */
	uint64_t begin_lossy_ns; /* that, at the window's beginning */
	uint64_t lossy_until_ns; /* by the losses known so far */
	uint64_t lost, all_lost, late, breaks, left_out;
	struct cl_trace_vcpu *vcpus;
	uint32_t vcpu_count, vcpu_cap;
	uint32_t *table; /* hash of keys: index + 1, 0 is free; twice vcpu_cap */
	uint32_t *order; /* indices by key */
	struct cl_trace_on pcpus[CL_CPUS_MAX];
	uint32_t pcpu_count;
	struct cl_trace_row *rows; /* 2 * vcpu_cap: vCPUs, then domains */
	struct cl_trace_pcpu pcpu_rows[CL_CPUS_MAX];
};

/* Room for the first vCPUs, or for twice as many: false, and `failed`, where there is no memory. */
bool cl_trace_grow(struct cl_trace_sum *sum);
/* A vCPU's entry, or a domain's own; made if it is not there. NULL: there are too many. */
struct cl_trace_vcpu *cl_trace_entry(struct cl_trace_sum *sum, uint32_t key);
void cl_trace_add_figures(struct cl_trace_figures *to, const struct cl_trace_figures *f);
/* Gives the window to the caller. last: the totals. */
void cl_trace_report(struct cl_trace_sum *sum, uint64_t end_ns, bool last);

#endif
