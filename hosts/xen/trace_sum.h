/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace_sum: what each domain and vCPU had of the CPUs, in windows, out of records in their order.
 * XenMon (Gupta et al., Middleware 2006; HP Labs HPL-2005-187) on the records of today's Xen.
 *
 *   new -> know* -> { take a record }* -> finish -> free; windows go to the caller as they end
 *
 * All times are ns from the first record on, integers. For each vCPU and window
 * gotten + waited + blocked + offline = the window, exactly; for each pCPU gotten + idle +
 * switching = the window. Where records were lost a vCPU's time is given to the state that it was
 * found in afterwards, and counted in uncertain_ns too: each time is off by no more than that.
 * Pure but for memory; no Xen, no clock.
 */
#ifndef CLOSER_XEN_TRACE_SUM_H
#define CLOSER_XEN_TRACE_SUM_H

#include "xen/trace.h"

#define CL_TRACE_LONG      10u                /* windows in the long one */
#define CL_TRACE_VCPUS_MAX 16384u             /* more are counted as left out */
#define CL_TRACE_PAUSE_NS  (10 * CL_NS_PER_S) /* no record for longer: the clock was set */
#define CL_TRACE_DOMAIN    0xffffu            /* in place of a vCPU: the domain's own */

struct cl_trace_figures {
	uint64_t gotten_ns;    /* running */
	uint64_t waited_ns;    /* runnable, and another ran */
	uint64_t blocked_ns;   /* nothing to do */
	uint64_t offline_ns;   /* paused, or not there */
	uint64_t allocated_ns; /* slices that the scheduler gave, at the time that it gave them; of
				  one that it renews what is new of it */
	uint64_t slices, slice_least_ns, slice_most_ns; /* 0 slices: least and most are 0 */
	uint64_t executions;                            /* times that it was put on a pCPU */
	uint64_t io; /* pages granted that a back end mapped or took; and, where the trace has
			hypercalls, calls of event_channel_op: what a front end tells its back end
			by */
	uint64_t uncertain_ns;
};

struct cl_trace_row {                                /* a vCPU, or a domain: its vCPUs' sums */
	uint32_t domid, vcpu;                        /* CL_TRACE_DOMAIN: a domain */
	uint32_t first, count;                       /* a domain's vCPUs in the window's */
	struct cl_trace_figures recent, lately, all; /* this window, the last ten, all */
};

struct cl_trace_pcpu {
	uint32_t pcpu;
	uint64_t gotten_ns, idle_ns; /* the rest: Xen's own between two, or not known */
};

struct cl_trace_window {
	uint64_t number, begin_ns;                     /* the first is 0 */
	uint64_t span_ns, lately_span_ns, all_span_ns; /* shorter at the beginning and the end */
	uint64_t lost_records, uncertain_ns; /* in this window; uncertain: all domains' sum */
	uint64_t all_lost_records, all_uncertain_ns;
	uint64_t late_records; /* all: came too late for their order, and count at their coming */
	uint64_t breaks;   /* all: times that the clock was set; what was between is in no window */
	uint64_t left_out; /* all: records of vCPUs beyond CL_TRACE_VCPUS_MAX */
	bool last;         /* finish: no new window, totals of all; ended domains among them */
	const struct cl_trace_row *domains, *vcpus; /* by domid and vCPU; not the idle domain */
	uint32_t domain_count, vcpu_count;
	const struct cl_trace_pcpu *pcpus;
	uint32_t pcpu_count;
};

typedef void (*cl_trace_window_fn)(void *ctx, const struct cl_trace_window *window);

struct cl_trace_sum;

/* hz: cycles a second, CL_TRACE_HZ_LEAST to MOST. NULL: no memory. */
struct cl_trace_sum *cl_trace_sum_new(uint64_t hz, uint64_t window_ns, cl_trace_window_fn fn,
				      void *ctx);
void cl_trace_sum_free(struct cl_trace_sum *sum); /* NULL is fine */
/*
 * What is known of a vCPU that has had no record so far: its state, and if it runs, where. A vCPU
 * that was not known is taken to have been since its window's beginning what its first record says
 * that it was.
 */
void cl_trace_sum_know(struct cl_trace_sum *sum, uint32_t domid, uint32_t vcpu,
		       enum cl_trace_state state, uint32_t pcpu);
/* The same from a record, where it says of a vCPU what it was: for a first reading of a file. */
void cl_trace_sum_scout(struct cl_trace_sum *sum, const struct cl_trace_record *record);
void cl_trace_sum_take(struct cl_trace_sum *sum, const struct cl_trace_record *record);
/* Ends the window that is open, if anything is in it, then gives the totals as one that is `last`.
 */
void cl_trace_sum_finish(struct cl_trace_sum *sum);
bool cl_trace_sum_failed(const struct cl_trace_sum *sum); /* no memory for all of it */

#endif
