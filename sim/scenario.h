/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scenario: an experiment as an INI file (closer-sim(5)), and a run of it.
 *
 *   file -> sim_scenario_read -> sim_run_new(scenario, seed, policy) -> sim_run_until.. -> report
 *
 *   [scenario] title paper duration warmup testbed native
 *   [machine]  nodes cores threads memory distance   [costs] what differs from the testbed's
 *   [pool NAME] scheduler pcpus   [dom0] vcpus memory   [nic NAME]  [disk NAME]
 *   [guest NAME] count vcpus memory node weight cap period budget pool queues rings
 *   [variant NAME] SECTION.KEY = VALUE: the same with these changes
 *   [load NAME] guest type and the load's own   [event NAME] at what (create destroy migrate ..)
 *   [expect NAME] metric value source tolerance: what the paper's figure says
 *
 * A policy says what is done to the host: native nothing, pinned dom0's vCPUs by hand, closer the
 * core's plans at its interval. A run ends when its time is over, or its events (bounded), said.
 */
#ifndef CLOSER_SIM_SCENARIO_H
#define CLOSER_SIM_SCENARIO_H

#include "load.h"
#include "sched.h"

#define SIM_EVENTS_LIMIT UINT64_C(2000000000) /* of one run, unless the scenario says less */

struct sim_scenario;
struct sim_run;

/* Every error names file, line and the nearest valid key. set: "section.key=value" from --set. */
int sim_scenario_read(const char *path, const char *const *sets, uint32_t set_count,
		      struct sim_scenario **ret_scenario, struct cl_error *reterr);
/* The same in one of its variants; NULL: none. */
int sim_scenario_read_as(const char *path, const char *variant, const char *const *sets,
			 uint32_t set_count, struct sim_scenario **ret_scenario,
			 struct cl_error *reterr);
void sim_scenario_free(struct sim_scenario *scenario);
/* The name of the i-th variant; NULL: there are no more. */
const char *sim_scenario_variant(const struct sim_scenario *scenario, uint32_t i);
const char *sim_scenario_title(const struct sim_scenario *scenario);
uint64_t sim_scenario_duration_ns(const struct sim_scenario *scenario);
/* When counting begins; rates and shares, and how far these may be from packets. */
uint64_t sim_scenario_warmup_ns(const struct sim_scenario *scenario);
bool sim_scenario_fluid(const struct sim_scenario *scenario);
double sim_scenario_within(const struct sim_scenario *scenario);
/* "" where there is none. */
const char *sim_scenario_id(const struct sim_scenario *scenario); /* the file's name */
const char *sim_scenario_paper(const struct sim_scenario *scenario);
const char *sim_scenario_native(const struct sim_scenario *scenario);
const char *sim_scenario_testbed(const struct sim_scenario *scenario); /* its title */
/* The files that it was read from: 0 the scenario's, 1 the testbed's; NULL: none. */
const char *sim_scenario_file(const struct sim_scenario *scenario, uint32_t i);
const struct cl_params *sim_scenario_params(const struct sim_scenario *scenario);

/* What a source says, or a goal of ours: an absolute figure, or a difference in % against another
 * policy's. */
struct sim_expectation {
	/* policy, against: "closer", or "closer@VARIANT"; against: "" for none */
	const char *name, *metric, *policy, *against, *source;
	bool goal; /* source says why it is one */
	bool has_figure;
	double figure; /* in the metric's unit, or % */
	enum sim_direction { SIM_ANY, SIM_RISES, SIM_FALLS, SIM_SAME } direction;
	double tolerance; /* a share of the figure; of 'same', of what it is compared with */
};
/* The i-th; false: there are no more. */
bool sim_scenario_expects(const struct sim_scenario *scenario, uint32_t i,
			  struct sim_expectation *ret);

int sim_run_new(const struct sim_scenario *scenario, uint64_t seed, struct sim_run **ret_run,
		struct cl_error *reterr);
void sim_run_free(struct sim_run *run);
/* By hand: dom0's vCPUs one to one on the first of the pCPUs that they may be on. */
void sim_run_pin(struct sim_run *run);
struct sim_world *sim_run_world(struct sim_run *run);
/* Events happen until then. False: the run is over, or a bound was hit (*reterr says which). */
bool sim_run_until(struct sim_run *run, uint64_t until_ns, struct cl_error *reterr);
/* What was counted since the warm-up. */
void sim_run_report(struct sim_run *run, struct sim_report *ret_report);

#endif
