/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load: what guests do, and what is counted of it.
 *
 *   sim_load_new(ops, domain, seed) -> params set -> start -> { reset -> report }* -> stop
 *
 * One file a load (or a family), a const struct at its foot, listed in load.c. A load's tasks are
 * its domain's; it may use the domain's devices. Its random numbers are its own stream.
 *
 * stop may come at any time, after a start that failed and a second time too, but not from within a
 * call of the load itself. What it had under way is taken back.
 */
#ifndef CLOSER_SIM_LOAD_H
#define CLOSER_SIM_LOAD_H

#include "io.h"

#define SIM_METRICS_MAX 128u

enum sim_better { SIM_HIGHER, SIM_LOWER, SIM_NEITHER };

/* What was counted over a span. Names are "guest.load.what", "host.what". */
struct sim_metric {
	char name[64];
	const char *unit; /* "1/s", "ns", "bytes/s", "share" */
	double value;
	enum sim_better better;
};

struct sim_report {
	struct sim_metric metrics[SIM_METRICS_MAX];
	uint32_t count;
};

/* prefix may be "". Over capacity: left out. */
void sim_report_add(struct sim_report *report, const char *prefix, const char *name,
		    const char *unit, double value, enum sim_better better);

enum sim_load_unit { SIM_NS, SIM_BYTES, SIM_COUNT, SIM_PPM, SIM_PER_S, SIM_TEXT, SIM_BOOL };

struct sim_load_param { /* of type uint64_t; TEXT: char[CL_PATH_MAX] */
	const char *name, *doc;
	enum sim_load_unit unit;
	uint64_t def, least, most;
	size_t offset; /* in the load */
};

struct sim_load;

/* ---- a load as rates (fluid.h) ---- */

enum sim_part_flow { SIM_SEND, SIM_RECEIVE, SIM_DISK };

/* What passes between a guest and the host for one of its units: packets, or requests. */
struct sim_part {
	enum sim_part_flow flow;
	uint64_t ppm;       /* so many a unit */
	uint64_t batch;     /* so many come together */
	uint64_t bytes;     /* of each */
	uint64_t own_ns;    /* of the application, for each */
	uint64_t write_ppm; /* share of requests that write */
	bool paced;         /* a request comes when its time has come, not when the last is over */
	bool silent;        /* no application has a part in it: an ACK */
};

#define SIM_PARTS_MAX 4u
#define SIM_GIVEN     1000u /* seconds, of which rates are given */

struct sim_rate {
	uint64_t asked;            /* units a second */
	uint64_t window, think_ns; /* closed: so many at a time, each after such a pause; 0: open */
	uint64_t own_ns, threads;  /* the application's time a unit; at most in so many threads */
	struct sim_part parts[SIM_PARTS_MAX];
	uint32_t part_count;
	uint64_t seeks_ppm;                      /* of requests that do not follow on the last */
	uint64_t until_ns;                       /* all of that holds so long; 0: for good */
	uint64_t given;                          /* found: units in SIM_GIVEN seconds */
	uint64_t rest, part_rest[SIM_PARTS_MAX]; /* of a unit: of what was booked */
	uint64_t pass_ns; /* found: how long one takes to go through, without queues */
};

struct sim_load_ops {
	const char *name, *doc;
	size_t bytes;                        /* of its struct, whose first member is a sim_load */
	const struct sim_load_param *params; /* ended by one without a name */
	int (*start)(struct sim_load *load, struct cl_error *reterr);
	void (*reset)(struct sim_load *load); /* the warm-up is over: counting begins */
	void (*report)(struct sim_load *load, uint64_t span_ns, struct sim_report *report);
	void (*stop)(struct sim_load *load);
	/* As rates, where it can be: in place of start; sets load->rate and its tasks' rate_ns as
	 * of now; that was given so long, and came to so many units. begin
	 * NULL: it cannot. ask and gave may be NULL. */
	int (*begin)(struct sim_load *load, struct cl_error *reterr);
	void (*ask)(struct sim_load *load);
	void (*gave)(struct sim_load *load, uint64_t ns, uint64_t units);
};

struct sim_load {
	const struct sim_load_ops *ops;
	struct sim_world *world;
	struct sim_domain *domain;
	char name[32]; /* of the scenario's section */
	struct sim_random random;
	uint64_t start_ns, stop_ns; /* when it is on; stop 0: to the end */
	struct sim_load *next;
	struct sim_rate rate;
};

extern const struct sim_load_ops *const sim_loads[];
const struct sim_load_ops *sim_load_find(const char *name);
/* Defaults set. NULL: no memory. */
struct sim_load *sim_load_new(struct sim_world *world, const struct sim_load_ops *ops,
			      struct sim_domain *domain, const char *name, uint64_t stream);
void sim_load_free(struct sim_load *load);

/* Counts of latencies by powers of 2^(1/4): quantiles within a fifth, without memory of each. */
struct sim_histogram {
	uint64_t buckets[256], count, sum;
};
void sim_histogram_add(struct sim_histogram *histogram, uint64_t ns);
uint64_t sim_histogram_quantile(const struct sim_histogram *histogram, uint64_t ppm);

/* ---- what loads have in common: load_parts.c ---- */

/* The domain's devices; NULL with *reterr where it has none. */
struct sim_vif *sim_load_vif(const struct sim_load *load, struct cl_error *reterr);
struct sim_vbd *sim_load_vbd(const struct sim_load *load, struct cl_error *reterr);
int sim_load_no_memory(const struct sim_load *load, struct cl_error *reterr);
/* A process of the domain. False: no memory. */
bool sim_load_task(struct sim_load *load, struct sim_task *task, const char *name,
		   void (*done)(struct sim_world *world, struct sim_task *task));
/* spread 0: the mean itself; else exponential. Never 0. */
uint64_t sim_load_draw(struct sim_load *load, uint64_t mean, uint64_t spread);
/* Where a file begins on the guest's disk: each guest has a part of it, each load a file. */
uint64_t sim_load_sector(struct sim_load *load);

struct sim_vif_times { /* what a vif had counted of t1, t2, t3 */
	uint64_t t_ns[3], count, dropped;
};
struct sim_vif_times sim_vif_times(const struct sim_vif *vif);
/* t1, t2, t3 since then. */
void sim_report_times(struct sim_report *report, const char *prefix, const struct sim_vif *vif,
		      const struct sim_vif_times *before);
void sim_report_rate(struct sim_report *report, const char *prefix, const char *name,
		     const char *unit, uint64_t count, uint64_t span_ns);
/* name, name.p50, name.p99 */
void sim_report_latency(struct sim_report *report, const char *prefix, const char *name,
			const struct sim_histogram *histogram);

#endif
