/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim: what the files of `closer sim` share.
 *
 *   scenario x variants x policies x seeds -> jobs (sim_jobs.c) -> trial -> figures (sim_stats.c)
 * -> table, JSON (sim_print.c), page (sim_page.c)
 */
#ifndef CLOSER_CLI_SIM_H
#define CLOSER_CLI_SIM_H

#include "cli.h"
#include "simulate.h"

#define SIM_POLICIES_MAX 8u
#define SIM_ARMS_MAX     128u
#define SIM_SEEDS_MAX    1000u

/* A policy in a variant of the scenario: what is compared. */
struct sim_arm {
	const char *variant; /* "" where the scenario has none */
	const struct cl_sim_policy *policy;
	const struct sim_scenario *scenario;
	char name[48]; /* "closer", "closer@n8" */
};

/* Runs of one scenario: the outcome of seed s in arm a is outcomes[s * arm_count + a]. */
struct sim_trial {
	struct sim_scenario *scenario;
	struct sim_scenario *variants[SIM_ARMS_MAX]; /* none where there are no variants */
	const struct cl_sim_policy *policies[SIM_POLICIES_MAX];
	uint32_t policy_count, variant_count;
	struct sim_arm arms[SIM_ARMS_MAX]; /* by variant, then by policy */
	uint32_t arm_count;
	uint64_t first_seed;
	uint32_t seed_count;
	struct cl_sim_outcome *outcomes;
};

/*
 * Runs all of it in so many processes. The outcome is the same with any number of them. -errno: the
 * first run, in order, that failed.
 */
int sim_jobs(const struct cli_call *call, struct sim_trial *trial, uint32_t jobs,
	     struct cl_error *reterr);

/* ---- sim_stats.c ---- */

/* A mean over seeds with the half width of its 95 % confidence interval (Student's t). */
struct sim_figure {
	uint32_t n;
	double mean, half; /* half: 0 with n < 2, which is no interval */
};

enum sim_mark { SIM_UNSURE, SIM_EQUAL, SIM_BETTER, SIM_WORSE, SIM_OTHER };

/* A difference in per cent, of the same seeds. */
struct sim_difference {
	struct sim_figure percent;
	enum sim_mark mark; /* BETTER and WORSE: the interval does not hold 0 */
};

double sim_student(uint32_t degrees);
struct sim_figure sim_figure_of(const double *values, uint32_t n);

/* Did every seed give the very same run? Then intervals say nothing. */
bool sim_trial_alike(const struct sim_trial *trial);
/* The metrics of a trial: those of its first outcome, then what only others have. */
uint32_t sim_trial_metrics(const struct sim_trial *trial, const struct sim_metric **ret_metrics,
			   uint32_t max);
/* False: this run has it not. */
bool sim_trial_value(const struct sim_trial *trial, const char *metric, uint32_t arm, uint32_t seed,
		     double *ret_value);
struct sim_figure sim_trial_figure(const struct sim_trial *trial, const char *metric, uint32_t arm);
struct sim_difference sim_trial_difference(const struct sim_trial *trial,
					   const struct sim_metric *metric, uint32_t arm,
					   uint32_t base);

/* What became of an expectation. */
struct sim_verdict {
	bool ran;    /* its policies and its metric are there */
	bool figure; /* there is a figure: met says whether it is met */
	bool met;
	bool turn; /* there is a direction: right says whether it is, unclear that seeds differ */
	bool right, unclear;
	struct sim_figure ours;
	double off; /* from the figure, in % of it */
	const struct sim_metric *metric;
};
struct sim_verdict sim_judge(const struct sim_trial *trial, const struct sim_expectation *expect);

struct sim_count {
	uint32_t expected, ran, figures, met, turns, right, unclear;
};
struct sim_tally {
	struct sim_count sources, goals;
};
void sim_count_verdicts(const struct sim_trial *trial, struct sim_tally *tally);

/* ---- sim_print.c ---- */

/* A scale for values about this large: divide by it, and write the unit. */
struct sim_scale {
	double by;
	const char *unit;
};
struct sim_scale sim_scale_of(const char *unit, double value);
char *sim_number(double value, char *buf, size_t size);
/* What an arm's policy is compared with: the first policy in the same variant. */
uint32_t sim_base_of(const struct sim_trial *trial, uint32_t arm);
/* "12.3 ±0.4", "12.3" */
char *sim_figure_text(const struct sim_figure *figure, double by, char *buf, size_t size);
char *sim_difference_text(const struct sim_difference *difference, char *buf, size_t size);
char *sim_verdict_text(const struct sim_verdict *verdict, char *buf, size_t size);
/* What the source says: its figure, or its direction. */
char *sim_expected_text(const struct sim_expectation *expect, const struct sim_verdict *verdict,
			char *buf, size_t size);
char *sim_ours_text(const struct sim_expectation *expect, const struct sim_verdict *verdict,
		    char *buf, size_t size);
const char *sim_mark_name(enum sim_mark mark);
void sim_print(const struct cli_call *call, const struct sim_trial *trial);
#define SIM_OF_SOURCES "figures and directions that sources give"
#define SIM_OF_GOALS   "goals of our own"
/* "of 3 goals of our own, .."; buf: 256 bytes. "": there are none. */
char *sim_count_text(const struct sim_count *count, const char *what, char *buf, size_t size);
void sim_print_tally(const struct sim_tally *tally);
json_t *sim_json(const struct sim_trial *trial);

/* ---- sim_check.c ---- */

/* --check-fluid of one scenario; policies and seed are the trial's. CLI_FAILED: too far apart. */
enum cli_exit sim_fidelities(const struct cli_call *call, const char *path, struct sim_trial *trial,
			     uint32_t jobs);

/* ---- sim_page.c ---- */

/* DIR/index.html: all trials, to be read alone. *ret_plots: false where gnuplot is missing. */
int sim_page(const char *dir, const struct sim_trial *trials, uint32_t count, bool *ret_plots,
	     struct cl_error *reterr);

#endif
