/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates and shares beside every packet: ten minutes of both, and how far they are apart. */
#include "sim.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define LONG_NS  (600 * CL_NS_PER_S)
#define WARM_NS  (60 * CL_NS_PER_S)
#define SETS_MAX 64u
#define LITTLE   0.002 /* CPUs: what differs by less is not looked at */
#define SET_MAX  96u

static const char *const fidelities[] = { "packet", "fluid" };

/* In this variant, with this fidelity, ten minutes. */
static int read_one(const struct cli_call *call, const char *path, const char *variant,
		    const char *fidelity, struct sim_scenario **ret, struct cl_error *reterr)
{
	const char *sets[SETS_MAX];
	struct sim_scenario *scenario = NULL;
	char name[SET_MAX], until[SET_MAX], warm[SET_MAX];
	uint32_t n = 0;
	int r = sim_scenario_read_as(path, variant, call->v.sets.items, call->v.sets.count,
				     &scenario, reterr);

	if (r < 0)
		return r;
	if (call->v.sets.count > SETS_MAX - 4)
		r = cl_fail(reterr, E2BIG, "more than %u --set", SETS_MAX - 4);
	for (; r == 0 && n < call->v.sets.count; n++)
		sets[n] = call->v.sets.items[n];
	snprintf(name, sizeof(name), "scenario.fidelity=%s", fidelity);
	snprintf(until, sizeof(until), "scenario.until=%lluns", (unsigned long long)LONG_NS);
	snprintf(warm, sizeof(warm), "scenario.warmup=%lluns", (unsigned long long)WARM_NS);
	sets[n++] = name;
	sets[n++] = until;
	sets[n++] = "scenario.kinds=yes";
	if (sim_scenario_warmup_ns(scenario) > WARM_NS)
		sets[n++] = warm;
	sim_scenario_free(scenario);
	return r < 0 ? r : sim_scenario_read_as(path, variant, sets, n, ret, reterr);
}

/* Both fidelities of one variant ("" for none), under each policy. */
static int add_variant(const struct cli_call *call, const char *path, const char *variant,
		       struct sim_trial *trial, struct cl_error *reterr)
{
	int r = 0;

	for (uint32_t f = 0; r == 0 && f < 2; f++) {
		struct sim_scenario **scenario = &trial->variants[trial->variant_count];

		if (trial->variant_count == SIM_ARMS_MAX ||
		    trial->arm_count + trial->policy_count > SIM_ARMS_MAX)
			return cl_fail(reterr, E2BIG, "too many variants; --variant chooses");
		r = read_one(call, path, *variant ? variant : NULL, fidelities[f], scenario,
			     reterr);
		if (r < 0)
			return r;
		trial->variant_count++;
		for (uint32_t p = 0; p < trial->policy_count; p++) {
			struct sim_arm *arm = &trial->arms[trial->arm_count++];

			*arm = (struct sim_arm){ variant, trial->policies[p], *scenario, "" };
			snprintf(arm->name, sizeof(arm->name), "%s@%s", arm->policy->name,
				 fidelities[f]);
		}
	}
	return 0;
}

/* CPU time and throughput. */
static bool is_checked(const struct sim_metric *metric)
{
	static const char *const not [] = { "host.switches", "host.moves" };

	for (uint32_t i = 0; i < CL_COUNT(not ); i++)
		if (strcmp(metric->name, not [i]) == 0)
			return false;
	return strcmp(metric->unit, "CPUs") == 0 || strcmp(metric->unit, "1/s") == 0 ||
	       strcmp(metric->unit, "bytes/s") == 0;
}

static bool is_near(const struct sim_metric *metric, double packet, double fluid, double within)
{
	if (strcmp(metric->unit, "CPUs") == 0 && fabs(fluid - packet) < LITTLE)
		return true;
	return fabs(fluid - packet) <= within * fabs(packet);
}

/* One policy in one variant. False: something is too far apart. */
static bool put_arm(const struct cli_call *call, const struct sim_trial *trial, uint32_t arm,
		    json_t *list)
{
	double within = sim_scenario_within(trial->arms[arm].scenario);
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX);
	bool fine = true;

	if (!call->v.json)
		printf("\n%s%s%s:\n%-28s %-7s %12s %12s %10s\n", trial->arms[arm].policy->name,
		       *trial->arms[arm].variant ? ", " : "", trial->arms[arm].variant, "METRIC",
		       "UNIT", "packet", "fluid", "deviation");
	for (uint32_t i = 0; i < n; i++) {
		double packet = 0, fluid = 0, off;
		bool near;

		if (!is_checked(metrics[i]) ||
		    !(sim_trial_value(trial, metrics[i]->name, arm, 0, &packet) |
		      sim_trial_value(trial, metrics[i]->name, arm + trial->policy_count, 0,
				      &fluid)))
			continue;
		near = is_near(metrics[i], packet, fluid, within);
		off = packet != 0 ? (fluid / packet - 1) * 100 : 0;
		fine = fine && near;
		if (call->v.json)
			json_array_append_new(
				list,
				json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:f,s:b}", "policy",
					  trial->arms[arm].policy->name, "variant",
					  trial->arms[arm].variant, "name", metrics[i]->name,
					  "unit", metrics[i]->unit, "packet", packet, "fluid",
					  fluid, "deviation_percent", off, "near", (int)near));
		else
			printf("%-28s %-7s %12.6g %12.6g %+8.1f %%%s\n", metrics[i]->name,
			       metrics[i]->unit, packet, fluid, off, near ? "" : "  TOO FAR");
	}
	return fine;
}

static bool put(const struct cli_call *call, const struct sim_trial *trial, json_t *list)
{
	bool fine = true;

	if (!call->v.json)
		printf("%s: rates and shares beside every packet, ten minutes of each; promised: "
		       "within %.0f %%, or %.3f CPUs\n",
		       sim_scenario_id(trial->variants[0]),
		       sim_scenario_within(trial->variants[0]) * 100, LITTLE);
	for (uint32_t a = 0; a < trial->arm_count; a += 2 * trial->policy_count)
		for (uint32_t p = 0; p < trial->policy_count; p++)
			fine = put_arm(call, trial, a + p, list) && fine;
	return fine;
}

enum cli_exit sim_fidelities(const struct cli_call *call, const char *path, struct sim_trial *trial,
			     uint32_t jobs)
{
	const char *only = call->v.variant, *name = "";
	struct cl_error err;
	enum cli_exit code;
	bool fine = false;
	json_t *list;
	int r = sim_scenario_read(path, call->v.sets.items, call->v.sets.count, &trial->scenario,
				  &err);

	if (r == 0 && (only || !sim_scenario_variant(trial->scenario, 0)))
		r = add_variant(call, path, only ? only : "", trial, &err);
	for (uint32_t i = 0; r == 0 && !only && (name = sim_scenario_variant(trial->scenario, i));
	     i++)
		r = add_variant(call, path, name, trial, &err);
	if (r == 0)
		r = sim_jobs(call, trial, jobs, &err);
	if (r < 0)
		return cli_error(call, &err);
	list = json_array();
	fine = put(call, trial, list);
	code = fine ? CLI_OK : CLI_FAILED;
	if (call->v.json) {
		enum cli_exit printed =
			cli_json(call, json_pack("{s:s,s:f,s:b,s:O}", "scenario",
						 sim_scenario_id(trial->scenario), "within",
						 sim_scenario_within(trial->scenario), "near",
						 (int)fine, "metrics", list));

		code = printed == CLI_OK ? code : printed;
	}
	json_decref(list);
	if (!fine)
		cli_say(call, "%s: rates and shares are further from packets than promised",
			sim_scenario_id(trial->scenario));
	return code;
}
