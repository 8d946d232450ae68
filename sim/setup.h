/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * setup: a scenario as read, for those who read it, check it and build its world.
 *
 *   text -> entries in sections (setup.c) -> values by the table of keys (keys.c) -> checked
 *   (check.c) -> a world (run.c)
 *
 * What lies beside the values of a section was found by check.c.
 */
#ifndef CLOSER_SIM_SETUP_H
#define CLOSER_SIM_SETUP_H

#include "scenario.h"

#include <closer/params.h>

/* Xen's own */
#define SIM_DEFAULT_SCHEDULER "credit2"
#define SIM_NAME_MAX          24u   /* of a section, with NUL; a number may follow */
#define SIM_SECTIONS_MAX      1024u /* of one scenario */
#define SIM_ENTRIES_MAX       16384u
#define SIM_FILE_MAX          (1u << 20) /* bytes */
#define SIM_DOMAINS_MAX       4096u
#define SIM_VCPUS_MAX         512u /* of one domain */
#define SIM_LINE_MAX          190u /* bytes: libinih's are at most 200 */

enum sim_section_kind {
	SIM_IN_SCENARIO,
	SIM_IN_TESTBED,
	SIM_IN_MACHINE,
	SIM_IN_COSTS,
	SIM_IN_CLOSER,
	SIM_IN_POOL,
	SIM_IN_DOM0,
	SIM_IN_DRIVER,
	SIM_IN_NIC,
	SIM_IN_DISK,
	SIM_IN_GUEST,
	SIM_IN_LOAD,
	SIM_IN_EVENT,
	SIM_IN_VARIANT,
	SIM_IN_EXPECT,
	SIM_SECTION_KINDS
};

struct sim_section_info {
	const char *name, *doc;
	bool named; /* "[guest web]" */
	size_t bytes;
	const struct sim_load_param *keys;
};

extern const struct sim_section_info sim_section_infos[SIM_SECTION_KINDS];

/* ---- values of the sections ---- */

struct sim_setup_scenario {
	char title[CL_PATH_MAX], paper[CL_PATH_MAX], testbed[CL_PATH_MAX], native[CL_PATH_MAX];
	char fidelity[CL_PATH_MAX];
	uint64_t duration_ns, warmup_ns, sample_ns, events, wall_ns;
	uint64_t until_ns, within, kinds;

	bool fluid; /* rates and shares, else every packet */
};

struct sim_setup_testbed {
	char title[CL_PATH_MAX], source[CL_PATH_MAX];
};

struct sim_setup_machine {
	uint64_t nodes, cores, threads, memory, distance, scrub_at_once;
};

struct sim_setup_pool {
	char scheduler[CL_PATH_MAX], pcpus[CL_PATH_MAX];
	uint64_t slice_ns, ratelimit_ns;

	struct cl_cpuset set;
};

struct sim_setup_domain { /* dom0, driver domains, guests */
	uint64_t count, vcpus, memory, weight, cap, period_ns, budget_ns, extra;
	uint64_t pinned, queues, rings, indirect, memory_max, balloon, steady;
	char node[CL_PATH_MAX], pcpus[CL_PATH_MAX], pool[CL_PATH_MAX];
	char nic[CL_PATH_MAX], disk[CL_PATH_MAX];

	uint64_t nodes;        /* of its memory; 0: where there is room */
	struct cl_cpuset hard; /* empty: all of its pool */
	struct sim_section *in_pool, *has_nic, *has_disk;
	bool later; /* an event creates it */
};

struct sim_setup_nic {
	uint64_t rate, wire_ns, moderation_ns, queues;
	char node[CL_PATH_MAX], domain[CL_PATH_MAX];

	uint32_t on_node;
	struct sim_section *in_domain;
};

struct sim_setup_disk {
	uint64_t seek_ns, access_ns, bandwidth, depth, in_memory;
	char node[CL_PATH_MAX], domain[CL_PATH_MAX];

	uint32_t on_node;
	struct sim_section *in_domain;
};

struct sim_setup_load {
	char guest[CL_PATH_MAX], type[CL_PATH_MAX];
	uint64_t start_ns, stop_ns;

	const struct sim_load_ops *ops;
	void *values; /* a load of this type whose parameters are set, and nothing else */
};

struct sim_setup_event {
	uint64_t at_ns;
	char what[CL_PATH_MAX], guest[CL_PATH_MAX], value[CL_PATH_MAX];

	const struct sim_event_kind *kind;
	uint64_t number; /* value, in the unit of the kind */
};

struct sim_setup_expect {
	char metric[CL_PATH_MAX], policy[CL_PATH_MAX], against[CL_PATH_MAX], value[CL_PATH_MAX];
	char direction[CL_PATH_MAX], source[CL_PATH_MAX], goal[CL_PATH_MAX];
	uint64_t tolerance;

	double figure;
	bool has_figure;
	enum sim_direction turns;
};

/* ---- the scenario ---- */

struct sim_line { /* "key = value", and where */
	char *key, *value;
	uint32_t file, line;
};

struct sim_section {
	enum sim_section_kind kind;
	char name[SIM_NAME_MAX]; /* "" where the kind has none */
	uint32_t lines[4];       /* where it begins in each file (enum sim_file); 0: nowhere */
	struct sim_line *entries;
	uint32_t entry_count, entry_cap;
	void *values;
};

/* What comes later counts. The variant's are lines of the scenario's file. */
enum sim_file { SIM_OF_TESTBED, SIM_OF_SCENARIO, SIM_OF_VARIANT, SIM_OF_SETS, SIM_FILES };

struct sim_scenario {
	char paths[SIM_FILES][CL_PATH_MAX]; /* for errors */
	char dir[CL_PATH_MAX];              /* of the scenario's file; "" without one */
	char id[SIM_NAME_MAX * 2];          /* the file's name without .ini */
	struct sim_section **sections;      /* in order of first mention */
	uint32_t section_count, entry_count;
	struct sim_costs costs;
	struct cl_params params;
	uint32_t domain_count; /* guests of all sections */
};

/* The first of a kind, or the one of that name; NULL: none. */
struct sim_section *sim_section_find(const struct sim_scenario *scenario,
				     enum sim_section_kind kind, const char *name);
/* Another one, with zeros for values. There is room for SIM_SECTIONS_MAX + 1. NULL: no memory. */
struct sim_section *sim_section_add(struct sim_scenario *scenario, enum sim_section_kind kind,
				    const char *name);
bool sim_section_put(struct sim_section *section, const char *key, const char *value, uint32_t file,
		     uint32_t line);
/* The next of this kind behind *at, from 0; NULL: no more. */
struct sim_section *sim_section_next(const struct sim_scenario *scenario,
				     enum sim_section_kind kind, uint32_t *at);
/* The single ones are always there, with their defaults. */
#define SIM_SETUP(scenario, kind, type)                                                            \
	((struct sim_setup_##type *)sim_section_find(scenario, kind, NULL)->values)
/* "FILE:LINE: [guest web] ..."; key NULL, or not given: the section's line. Returns -code. */
int sim_fail_at(const struct sim_scenario *scenario, const struct sim_section *section,
		const char *key, struct cl_error *reterr, int code, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
int sim_fail_line(const struct sim_scenario *scenario, uint32_t file, uint32_t line,
		  struct cl_error *reterr, int code, const char *text);
/* ", did you mean 'x'?", or "" */
char *sim_near(const char *word, const char *const *names, char *buf, size_t size);
/* Does the name of the i-th guest of the section fit the pattern (fnmatch)? */
bool sim_guest_fits(const struct sim_section *guest, uint32_t i, const char *pattern);
/* "web", or "web-3" where there are several. */
char *sim_guest_name(const struct sim_section *guest, uint32_t i, char buf[32]);

/* Scenario and testbed as text, for the fuzzer; testbed NULL: looked for. */
int sim_scenario_parse(const char *text, size_t len, const char *testbed, size_t testbed_len,
		       struct sim_scenario **ret_scenario, struct cl_error *reterr);
/* keys.c: texts become values. */
int sim_scenario_values(struct sim_scenario *scenario, struct cl_error *reterr);
/* check.c, check_domains.c, check_fluid.c */
int sim_scenario_check(struct sim_scenario *scenario, struct cl_error *reterr);
int sim_check_domains(struct sim_scenario *scenario, struct cl_error *reterr);
/* Last: can all of it be done by rates, where that is asked for? */
int sim_check_fluid(struct sim_scenario *scenario, struct cl_error *reterr);
int sim_check_cpus(const struct sim_scenario *scenario, const struct sim_section *section,
		   const char *key, const char *text, uint32_t most, struct cl_cpuset *ret_set,
		   struct cl_error *reterr);
uint32_t sim_setup_pcpus(const struct sim_scenario *scenario);

/* ---- events that a scenario may ask for: events.c ---- */

struct sim_run;

struct sim_event_kind {
	const char *name, *doc;
	bool has_value;
	struct sim_load_param value; /* its unit and range */
	void (*happen)(struct sim_run *run, const struct sim_setup_event *event);
};
/* Ended by one without a name. */
extern const struct sim_event_kind sim_event_kinds[];

#endif
