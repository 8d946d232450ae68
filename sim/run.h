/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: what the files of a run share: run.c, run_build.c, run_report.c, events.c. */
#ifndef CLOSER_SIM_RUN_H
#define CLOSER_SIM_RUN_H

#include "manage.h"
#include "setup.h"

struct sim_run_guest {
	const struct sim_section *section;
	uint32_t index;
	struct sim_domain *domain; /* NULL: it does not exist yet */
	bool building;             /* the toolstack is at it: it has no devices, nothing runs */
	uint64_t cpu_ns, wait_ns, host_ns; /* when counting began */
	uint64_t t_ns[3], t_count;
	uint64_t kind_ns[CL_WORK_KIND_COUNT];
	uint64_t gone_t_ns[3], gone_count; /* of a device that is there no more */
};

struct sim_run_load {
	struct sim_run *run;
	const struct sim_section *section;
	struct sim_run_guest *guest; /* NULL: in dom0 or a driver domain */
	struct sim_domain *domain;
	uint64_t stream;
	struct sim_load *load; /* NULL: not begun yet */
	struct sim_event start, stop;
	uint64_t since_ns;        /* counting began */
	struct sim_report *ended; /* what was counted until it was stopped */
};

struct sim_run_event {
	struct sim_run *run;
	const struct sim_setup_event *setup;
	struct sim_event event;
};

struct sim_run_base { /* what had been counted when counting began */
	uint64_t dom0_ns, dom0_wait_ns, main_ns, driver_ns, switches, moves;
};

/* need.c: sums over the time that was counted. */
struct sim_need {
	struct sim_event look;
	uint64_t then_ns, io_bytes; /* of the last look */
	bool seen;
	uint64_t short_since_ns;                         /* 0: it is not */
	uint64_t busy_ns[SIM_PCPUS_MAX], fluid_short_ns; /* at the last look */
	struct {
		uint64_t span_ns, short_ns, short_most_ns, times, need_most;
		double need, has, wasted, lacked;       /* bytes times ns */
		double io, starved;                     /* bytes */
		double cpu_kept, cpu_wasted, cpu_short; /* CPUs times ns */
	} sum;
};

struct sim_run {
	const struct sim_scenario *scenario;
	struct sim_world *world;
	struct sim_pool **pools; /* by their section's order */
	struct sim_domain **drivers;
	struct sim_nic **nics;
	struct sim_disk **disks;
	uint32_t driver_count, nic_count, disk_count;
	struct sim_run_guest *guests;
	uint32_t guest_count;
	struct sim_run_load *loads;
	uint32_t load_count;
	struct sim_run_event *events;
	uint32_t event_count;
	struct sim_event warm;
	bool counting;
	struct sim_run_base base;
	struct sim_need need;
	uint64_t warm_ns;        /* since when it counts */
	uint64_t wall_end_ns;    /* this machine's clock; 0: not begun */
	struct cl_error trouble; /* code not 0: it cannot go on */
};

/* run_build.c */
int sim_run_build(struct sim_run *run, struct cl_error *reterr);
struct sim_pool *sim_run_pool(const struct sim_run *run, const struct sim_setup_domain *setup);
/* A guest that the toolstack has made gets its settings and devices. */
int sim_run_equip(struct sim_run *run, struct sim_run_guest *guest, struct cl_error *reterr);
/* run.c */
void sim_run_begin_load(struct sim_run_load *load);
void sim_run_end_load(struct sim_run_load *load); /* what it counted is kept */
/* A guest's virtual devices, and their back ends' threads. */
void sim_run_free_devices(struct sim_run *run, struct sim_run_guest *guest);
/* run_manage.c */
bool sim_run_manager(struct sim_run *run);
/* The toolstack is asked for it; if it refuses, the run has trouble. */
void sim_run_order(struct sim_run *run, struct sim_run_guest *guest, enum sim_op_kind kind,
		   uint64_t guest_ns);
/* It is made by the toolstack; then its loads begin. */
void sim_run_create(struct sim_run *run, struct sim_run_guest *guest);
void sim_run_balloon(struct sim_run *run, struct sim_run_guest *guest, uint64_t bytes);
/* need.c: what dom0 needs and has, at each look; begun and counted where the scenario samples. */
void sim_need_begin(struct sim_run *run);
void sim_need_count(struct sim_run *run);
void sim_need_report(struct sim_run *run, struct sim_report *report);
/* run_report.c */
void sim_run_count(struct sim_run *run); /* from here on */

#endif
