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
void sim_scenario_free(struct sim_scenario *scenario);
const char *sim_scenario_title(const struct sim_scenario *scenario);
uint64_t sim_scenario_duration_ns(const struct sim_scenario *scenario);

int sim_run_new(const struct sim_scenario *scenario, uint64_t seed, struct sim_run **ret_run,
		struct cl_error *reterr);
void sim_run_free(struct sim_run *run);
struct sim_world *sim_run_world(struct sim_run *run);
/* Events happen until then. False: the run is over, or a bound was hit (*reterr says which). */
bool sim_run_until(struct sim_run *run, uint64_t until_ns, struct cl_error *reterr);
/* What was counted since the warm-up. */
void sim_run_report(struct sim_run *run, struct sim_report *ret_report);

#endif
