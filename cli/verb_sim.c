/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim: simulated hosts under several policies, and what they make of it. */
#include "sim.h"

#include "places.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SCENARIOS_MAX 256u
#define PAPERS        "papers" /* in place of a scenario: all that are a paper's experiment */

/* ---- --list ---- */

static uint32_t list_places(struct sim_place **ret)
{
	*ret = calloc(SCENARIOS_MAX, sizeof(**ret));
	return *ret ? sim_place_list(*ret, SCENARIOS_MAX) : 0;
}

static enum cli_exit list(const struct cli_call *call)
{
	struct sim_place *places;
	uint32_t n = list_places(&places), broken = 0;
	json_t *all = json_array();

	for (uint32_t i = 0; i < n; i++) {
		struct sim_scenario *scenario = NULL;
		struct cl_error err;
		char title[1024], paper[1024];

		if (sim_scenario_read(places[i].path, NULL, 0, &scenario, &err) < 0) {
			cli_error(call, &err);
			broken++;
			continue;
		}
		cl_escape(sim_scenario_title(scenario), title, sizeof(title));
		cl_escape(sim_scenario_paper(scenario), paper, sizeof(paper));
		if (call->v.json)
			json_array_append_new(all,
					      json_pack("{s:s,s:s,s:s}", "name", places[i].name,
							"title", title, "paper", paper));
		else
			printf("%-20s  %s%s%s%s\n", places[i].name, title, *paper ? " (" : "",
			       paper, *paper ? ")" : "");
		sim_scenario_free(scenario);
	}
	free(places);
	if (n == 0)
		cli_say(call, "there are no scenarios; CLOSER_SIM_DIR says where they are");
	enum cli_exit code = broken > 0 || n == 0 ? CLI_FAILED : CLI_OK;

	if (call->v.json) {
		enum cli_exit printed = cli_json(call, json_pack("{s:O}", "scenarios", all));

		code = printed == CLI_OK ? code : printed;
	}
	json_decref(all);
	return code;
}

/* ---- the command line ---- */

static enum cli_exit read_seeds(const struct cli_call *call, struct sim_trial *trial)
{
	const char *text = call->v.seeds, *end;
	uint64_t last = 0;

	trial->first_seed = call->v.seed ? call->v.seed : 1;
	trial->seed_count = 1;
	if (!text)
		return CLI_OK;
	if (call->v.seed)
		return cli_usage(call, "--seed and --seeds do not go together");
	if (!cl_parse_u64(text, &trial->first_seed, &end) || strncmp(end, "..", 2) != 0 ||
	    !cl_parse_u64(end + 2, &last, &end) || *end || last < trial->first_seed ||
	    trial->first_seed == 0)
		return cli_usage(call, "'%s' for --seeds is not A..B, such as 1..10", text);
	if (last - trial->first_seed >= SIM_SEEDS_MAX)
		return cli_usage(call, "--seeds %s: more than %u", text, SIM_SEEDS_MAX);
	trial->seed_count = (uint32_t)(last - trial->first_seed + 1);
	return CLI_OK;
}

static enum cli_exit add_policy(const struct cli_call *call, const char *name,
				struct sim_trial *trial)
{
	const char *names[SIM_POLICIES_MAX + 1] = { NULL }, *near;
	const struct cl_sim_policy *policy = cl_sim_policy_find(name);

	for (uint32_t i = 0; cl_sim_policies[i].name && i < SIM_POLICIES_MAX; i++)
		names[i] = cl_sim_policies[i].name;
	near = cl_nearest(name, names);
	if (!policy)
		return cli_usage(call,
				 near ? "there is no policy '%s'; did you mean '%s'?"
				      : "there is no policy '%s'; there are native, pinned and "
					"closer",
				 name, near);
	for (uint32_t p = 0; p < trial->policy_count; p++)
		if (trial->policies[p] == policy)
			return cli_usage(call, "the policy %s is named twice", name);
	if (trial->policy_count == SIM_POLICIES_MAX)
		return cli_usage(call, "more than %u policies", SIM_POLICIES_MAX);
	trial->policies[trial->policy_count++] = policy;
	return CLI_OK;
}

static enum cli_exit read_policies(const struct cli_call *call, struct sim_trial *trial)
{
	const char *at = call->v.compare ? call->v.compare : call->v.policy;
	enum cli_exit code = CLI_OK;

	if (call->v.compare && call->v.policy)
		return cli_usage(call, "--policy and --compare do not go together");
	at = at ? at : "native,pinned,closer";
	while (code == CLI_OK && *at) {
		size_t len = strcspn(at, ",");
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)(len < 31 ? len : 31), at);
		code = add_policy(call, name, trial);
		at += len;
		at += *at == ',';
	}
	return code;
}

/* ---- running ---- */

struct trials {
	struct sim_trial *all;
	uint32_t count;
	struct sim_tally tally;
};

static void free_trials(struct trials *trials)
{
	for (uint32_t i = 0; i < trials->count; i++) {
		struct sim_trial *trial = &trials->all[i];

		for (uint32_t v = 0; v < trial->variant_count; v++)
			sim_scenario_free(trial->variants[v]);
		sim_scenario_free(trial->scenario);
		free(trial->outcomes);
	}
	free(trials->all);
}

static int add_arms(struct sim_trial *trial, const char *variant,
		    const struct sim_scenario *scenario, struct cl_error *reterr)
{
	for (uint32_t p = 0; p < trial->policy_count; p++) {
		struct sim_arm *arm = &trial->arms[trial->arm_count];

		if (trial->arm_count == SIM_ARMS_MAX)
			return cl_fail(reterr, E2BIG,
				       "%s: more than %u policies in variants; --policy, --compare "
				       "and --variant choose",
				       sim_scenario_id(scenario), SIM_ARMS_MAX);
		*arm = (struct sim_arm){ variant, trial->policies[p], scenario, "" };
		snprintf(arm->name, sizeof(arm->name), "%s%s%s", arm->policy->name,
			 *variant ? "@" : "", variant);
		trial->arm_count++;
	}
	return 0;
}

/* All of them, or the one that is asked for; the scenario itself where there are none. */
static int add_variants(const struct cli_call *call, const char *path, struct sim_trial *trial,
			struct cl_error *reterr)
{
	const char *only = call->v.variant, *name;
	bool any = only || sim_scenario_variant(trial->scenario, 0);
	int r = 0;

	if (!any)
		return add_arms(trial, "", trial->scenario, reterr);
	for (uint32_t i = 0; r == 0; i++) {
		name = only ? only : sim_scenario_variant(trial->scenario, i);
		if (!name || (only && i > 0))
			break;
		if (trial->variant_count == SIM_ARMS_MAX)
			return cl_fail(reterr, E2BIG, "more than %u variants", SIM_ARMS_MAX);
		r = sim_scenario_read_as(path, name, call->v.sets.items, call->v.sets.count,
					 &trial->variants[trial->variant_count], reterr);
		if (r == 0)
			r = add_arms(trial, name, trial->variants[trial->variant_count++], reterr);
	}
	return r;
}

static int add_trial(const struct cli_call *call, const char *path, const struct sim_trial *like,
		     bool papers_only, struct trials *trials, struct cl_error *reterr)
{
	struct sim_scenario *scenario = NULL;
	int r = sim_scenario_read(path, call->v.sets.items, call->v.sets.count, &scenario, reterr);

	if (r < 0)
		return r;
	if (papers_only && !*sim_scenario_paper(scenario)) {
		sim_scenario_free(scenario);
		return 0;
	}
	trials->all[trials->count] = *like;
	trials->all[trials->count].scenario = scenario;
	return add_variants(call, path, &trials->all[trials->count++], reterr);
}

static int add_trials(const struct cli_call *call, const struct sim_trial *like,
		      struct trials *trials, struct cl_error *reterr)
{
	bool papers = strcmp(call->v.args[0], PAPERS) == 0;
	struct sim_place *places = NULL;
	char path[CL_PATH_MAX];
	int r = 0;

	trials->all = calloc(SCENARIOS_MAX, sizeof(*trials->all));
	if (!trials->all)
		return cl_fail(reterr, ENOMEM, "simulating: no memory");
	if (!papers) {
		r = sim_place_scenario(call->v.args[0], path, reterr);
		return r < 0 ? r : add_trial(call, path, like, false, trials, reterr);
	}
	uint32_t n = list_places(&places);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = add_trial(call, places[i].path, like, true, trials, reterr);
	free(places);
	if (r == 0 && trials->count == 0)
		r = cl_fail(reterr, ENOENT, "none of the scenarios is a paper's");
	return r;
}

static uint32_t jobs_of(const struct cli_call *call)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (call->v.jobs)
		return call->v.jobs > UINT16_MAX ? UINT16_MAX : (uint32_t)call->v.jobs;
	return cpus > 0 ? (uint32_t)cpus : 1;
}

static int run_trials(const struct cli_call *call, struct trials *trials, struct cl_error *reterr)
{
	uint32_t jobs = jobs_of(call);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < trials->count; i++) {
		r = sim_jobs(call, &trials->all[i], jobs, reterr);
		if (r < 0)
			break;
		sim_count_verdicts(&trials->all[i], &trials->tally);
		if (call->v.json)
			continue;
		if (i > 0)
			printf("\n");
		sim_print(call, &trials->all[i]);
		fflush(stdout);
	}
	return r;
}

static json_t *count_json(const struct sim_count *count)
{
	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "expected", (int)count->expected, "run",
			 (int)count->ran, "figures", (int)count->figures, "met", (int)count->met,
			 "directions", (int)count->turns, "right", (int)count->right, "unclear",
			 (int)count->unclear);
}

static enum cli_exit print_json(const struct cli_call *call, const struct trials *trials)
{
	const struct sim_tally *tally = &trials->tally;
	json_t *list = json_array();

	for (uint32_t i = 0; i < trials->count; i++)
		json_array_append_new(list, sim_json(&trials->all[i]));
	return cli_json(call,
			json_pack("{s:o,s:o,s:o}", "scenarios", list, "sources",
				  count_json(&tally->sources), "goals", count_json(&tally->goals)));
}

static enum cli_exit finish(const struct cli_call *call, const struct trials *trials)
{
	struct cl_error err;
	enum cli_exit code = CLI_OK;
	bool plots = true;

	if (call->v.json)
		code = print_json(call, trials);
	else
		sim_print_tally(&trials->tally);
	if (!call->v.report)
		return code;
	if (sim_page(call->v.report, trials->all, trials->count, &plots, &err) < 0)
		return cli_error(call, &err);
	cli_say(call, "%s/index.html is written%s", call->v.report,
		plots ? "" : "; without plots, since gnuplot (package gnuplot-nox) is missing");
	return code;
}

static enum cli_exit check_fluid(const struct cli_call *call, const struct sim_trial *like)
{
	struct trials trials = { .all = calloc(1, sizeof(*trials.all)), .count = 1 };
	char path[CL_PATH_MAX];
	struct cl_error err;
	enum cli_exit code;

	if (call->v.seeds || call->v.report)
		return cli_usage(call, "--check-fluid is of one --seed, and has no --report");
	if (!trials.all) {
		cl_fail(&err, ENOMEM, "simulating: no memory");
		return cli_error(call, &err);
	}
	trials.all[0] = *like;
	code = sim_place_scenario(call->v.args[0], path, &err) < 0
		       ? cli_error(call, &err)
		       : sim_fidelities(call, path, &trials.all[0], jobs_of(call));
	free_trials(&trials);
	return code;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct sim_trial like = { 0 };
	struct trials trials = { 0 };
	struct cl_error err;

	if (call->v.list)
		return list(call);
	if (call->v.keys) {
		cli_sim_keys(stdout);
		return CLI_OK;
	}
	if (call->v.arg_count == 0)
		return cli_usage(call, "which scenario? `closer sim --list` has them");
	enum cli_exit code = read_seeds(call, &like);

	if (code == CLI_OK)
		code = read_policies(call, &like);
	if (code != CLI_OK)
		return code;
	if (call->v.check_fluid)
		return check_fluid(call, &like);
	if (add_trials(call, &like, &trials, &err) < 0 || run_trials(call, &trials, &err) < 0)
		code = cli_error(call, &err);
	else
		code = finish(call, &trials);
	free_trials(&trials);
	return code;
}

static const struct cli_option options[] = {
	{ "list", 'l', CLI_FLAG, NULL, CLI_AT(list), CLI_GROUP_ALL,
	  "print the scenarios that there are" },
	{ "keys", 'k', CLI_FLAG, NULL, CLI_AT(keys), CLI_GROUP_ALL,
	  "print what a scenario may say: sections, keys, loads, events, schedulers" },
	{ "seed", 0, CLI_COUNT, "N", CLI_AT(seed), CLI_GROUP_ALL, "of the one run; default 1" },
	{ "seeds", 0, CLI_STRING, "A..B", CLI_AT(seeds), CLI_GROUP_ALL,
	  "a run for each of these seeds, and intervals over them" },
	{ "compare", 0, CLI_STRING, "LIST", CLI_AT(compare), CLI_GROUP_ALL,
	  "these policies, the others with the first; default native,pinned,closer" },
	{ "policy", 0, CLI_STRING, "POLICY", CLI_AT(policy), CLI_GROUP_ALL, "this policy only" },
	{ "variant", 0, CLI_STRING, "NAME", CLI_AT(variant), CLI_GROUP_ALL,
	  "this variant of the scenario only; by default all of them" },
	{ "set", 's', CLI_LIST, "SECTION.KEY=VALUE", CLI_AT(sets), CLI_GROUP_ALL,
	  "instead of what the scenario says, as often as needed: guest.web.count=20" },
	{ "jobs", 0, CLI_COUNT, "N", CLI_AT(jobs), CLI_GROUP_ALL,
	  "runs at a time; default one for each CPU" },
	{ "check-fluid", 0, CLI_FLAG, NULL, CLI_AT(check_fluid), CLI_GROUP_ALL,
	  "ten minutes by rates and shares, and packet by packet: how far they are apart" },
	{ "report", 0, CLI_STRING, "DIR", CLI_AT(report), CLI_GROUP_ALL,
	  "write DIR/index.html, with plots: a page that can be read alone" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_sim = {
	.name = "sim",
	.args = "[SCENARIO | papers]",
	.args_most = 1,
	.groups = CLI_GROUP_JSON,
	.options = options,
	.doc = "simulate a host under several policies and compare",
	.text = "Runs a scenario (closer-sim(5)) by its name or its file under each policy and for "
		"each seed, and prints what was counted: native is the host as it is, pinned has "
		"dom0's vCPUs pinned by hand, closer is closer itself. A scenario with variants is "
		"run in all of them. Differences are of the same "
		"seeds, with 95 % intervals; what is worse is marked as what is better is. Where "
		"the scenario says what a source found, its figure is beside ours, and a miss is "
		"called one; goals of our own are counted apart. `papers` is all scenarios that are a paper's experiment. The same "
		"seeds give the same output, with any number of jobs. Touches no host, needs no "
		"privilege.",
	.run = run,
};
