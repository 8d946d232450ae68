/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures over seeds: means, intervals, differences, and whether a source's figure is met. */
#include "sim.h"

#include <math.h>
#include <string.h>

#define SEEN_PERCENT 0.05 /* less is printed as 0.0, and called the same */

/* Student's t: 97.5 % quantiles, as tables print them; between rows the greater one. */
static const struct {
	uint32_t degrees;
	double t;
} quantiles[] = {
	{ 1, 12.706 }, { 2, 4.303 },  { 3, 3.182 },   { 4, 2.776 },          { 5, 2.571 },
	{ 6, 2.447 },  { 7, 2.365 },  { 8, 2.306 },   { 9, 2.262 },          { 10, 2.228 },
	{ 11, 2.201 }, { 12, 2.179 }, { 13, 2.160 },  { 14, 2.145 },         { 15, 2.131 },
	{ 16, 2.120 }, { 17, 2.110 }, { 18, 2.101 },  { 19, 2.093 },         { 20, 2.086 },
	{ 21, 2.080 }, { 22, 2.074 }, { 23, 2.069 },  { 24, 2.064 },         { 25, 2.060 },
	{ 26, 2.056 }, { 27, 2.052 }, { 28, 2.048 },  { 29, 2.045 },         { 30, 2.042 },
	{ 40, 2.021 }, { 60, 2.000 }, { 120, 1.980 }, { UINT32_MAX, 1.960 },
};

double sim_student(uint32_t degrees)
{
	double t = quantiles[0].t;

	for (uint32_t i = 0; i < CL_COUNT(quantiles) && quantiles[i].degrees <= degrees; i++)
		t = quantiles[i].t;
	return t;
}

struct sim_figure sim_figure_of(const double *values, uint32_t n)
{
	struct sim_figure figure = { .n = n };
	double sum = 0, squares = 0;
	bool equal = true;

	if (n == 0)
		return figure;
	for (uint32_t i = 1; i < n; i++)
		equal = equal && values[i] == values[0];
	figure.mean = values[0]; /* exactly, where the sum would be off by a digit */
	if (equal)
		return figure;
	for (uint32_t i = 0; i < n; i++)
		sum += values[i];
	figure.mean = sum / n;
	for (uint32_t i = 0; i < n; i++)
		squares += (values[i] - figure.mean) * (values[i] - figure.mean);
	if (n > 1)
		figure.half = sim_student(n - 1) * sqrt(squares / (n - 1) / n);
	return figure;
}

/* ---- a trial's ---- */

static const struct sim_metric *find(const struct sim_report *report, const char *name)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (strcmp(report->metrics[i].name, name) == 0)
			return &report->metrics[i];
	return NULL;
}

bool sim_trial_alike(const struct sim_trial *trial)
{
	uint32_t runs = trial->seed_count * trial->arm_count;
	bool alike = trial->seed_count > 1;

	for (uint32_t i = trial->arm_count; i < runs; i++)
		alike = alike &&
			trial->outcomes[i].digest == trial->outcomes[i % trial->arm_count].digest;
	return alike;
}

uint32_t sim_trial_metrics(const struct sim_trial *trial, const struct sim_metric **ret_metrics,
			   uint32_t max)
{
	uint32_t runs = trial->seed_count * trial->arm_count, n = 0;

	for (uint32_t r = 0; r < runs; r++) {
		const struct sim_report *report = &trial->outcomes[r].report;

		for (uint32_t i = 0; i < report->count; i++) {
			bool known = false;

			for (uint32_t k = 0; k < n && !known; k++)
				known = strcmp(ret_metrics[k]->name, report->metrics[i].name) == 0;
			if (!known && n < max)
				ret_metrics[n++] = &report->metrics[i];
		}
	}
	return n;
}

bool sim_trial_value(const struct sim_trial *trial, const char *metric, uint32_t arm, uint32_t seed,
		     double *ret_value)
{
	const struct sim_metric *found =
		find(&trial->outcomes[seed * trial->arm_count + arm].report, metric);

	if (found)
		*ret_value = found->value;
	return found != NULL;
}

struct sim_figure sim_trial_figure(const struct sim_trial *trial, const char *metric, uint32_t arm)
{
	double values[SIM_SEEDS_MAX];
	uint32_t n = 0;

	for (uint32_t s = 0; s < trial->seed_count; s++)
		n += sim_trial_value(trial, metric, arm, s, &values[n]);
	return sim_figure_of(values, n);
}

static enum sim_mark mark_of(const struct sim_figure *percent, enum sim_better better)
{
	bool higher = percent->mean > 0;

	if (percent->n < 2)
		return SIM_UNSURE;
	if (fabs(percent->mean) <= percent->half || fabs(percent->mean) < SEEN_PERCENT)
		return SIM_EQUAL;
	if (better == SIM_NEITHER)
		return SIM_OTHER;
	return (better == SIM_HIGHER) == higher ? SIM_BETTER : SIM_WORSE;
}

struct sim_difference sim_trial_difference(const struct sim_trial *trial,
					   const struct sim_metric *metric, uint32_t arm,
					   uint32_t base)
{
	double values[SIM_SEEDS_MAX], is, was;
	struct sim_difference difference;
	uint32_t n = 0;

	for (uint32_t s = 0; s < trial->seed_count; s++) {
		if (!sim_trial_value(trial, metric->name, arm, s, &is) ||
		    !sim_trial_value(trial, metric->name, base, s, &was))
			continue;
		if (was != 0)
			values[n++] = (is - was) / was * 100;
		else if (is == 0)
			values[n++] = 0;
	}
	difference.percent = sim_figure_of(values, n);
	difference.mark = mark_of(&difference.percent, metric->better);
	return difference;
}

/* ---- against sources ---- */

static bool find_arm(const struct sim_trial *trial, const char *name, uint32_t *ret)
{
	for (uint32_t a = 0; a < trial->arm_count; a++) {
		if (strcmp(trial->arms[a].name, name) == 0) {
			*ret = a;
			return true;
		}
	}
	return false;
}

/* An interval that holds 0 shows no direction, neither the source's nor the other. One seed has
 * none: its sign is taken, which shows no more than a coin does. */
static bool is_clear(const struct sim_figure *ours)
{
	return ours->n < 2 || ours->half == 0 || fabs(ours->mean) > ours->half;
}

static bool is_right(const struct sim_expectation *expect, const struct sim_figure *ours)
{
	switch (expect->direction) {
	case SIM_RISES:
		return ours->mean > 0 && is_clear(ours);
	case SIM_FALLS:
		return ours->mean < 0 && is_clear(ours);
	case SIM_SAME:
		return fabs(ours->mean) <= expect->tolerance * 100;
	case SIM_ANY:
		break;
	}
	return ours->mean * expect->figure > 0 && is_clear(ours);
}

struct sim_verdict sim_judge(const struct sim_trial *trial, const struct sim_expectation *expect)
{
	struct sim_verdict verdict = { 0 };
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX), arm = 0, base = 0;
	bool compared = expect->against[0] != '\0';

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(metrics[i]->name, expect->metric) == 0)
			verdict.metric = metrics[i];
	verdict.figure = expect->has_figure;
	verdict.turn = compared;
	if (!verdict.metric || !find_arm(trial, expect->policy, &arm) ||
	    (compared && !find_arm(trial, expect->against, &base)))
		return verdict;
	if (compared)
		verdict.ours = sim_trial_difference(trial, verdict.metric, arm, base).percent;
	else
		verdict.ours = sim_trial_figure(trial, expect->metric, arm);
	verdict.ran = verdict.ours.n > 0;
	if (verdict.figure && expect->figure != 0)
		verdict.off = (verdict.ours.mean - expect->figure) / fabs(expect->figure) * 100;
	verdict.met = verdict.ran && verdict.figure &&
		      fabs(verdict.ours.mean - expect->figure) <=
			      expect->tolerance * fabs(expect->figure);
	verdict.right = verdict.ran && compared && is_right(expect, &verdict.ours);
	verdict.unclear = verdict.ran && compared && !verdict.right && !is_clear(&verdict.ours);
	return verdict;
}

void sim_count_verdicts(const struct sim_trial *trial, struct sim_tally *tally)
{
	struct sim_expectation expect;

	for (uint32_t i = 0; sim_scenario_expects(trial->scenario, i, &expect); i++) {
		struct sim_verdict verdict = sim_judge(trial, &expect);
		struct sim_count *count = expect.goal ? &tally->goals : &tally->sources;

		count->expected++;
		count->ran += verdict.ran;
		count->figures += verdict.ran && verdict.figure;
		count->met += verdict.met;
		count->turns += verdict.ran && verdict.turn;
		count->right += verdict.right;
		count->unclear += verdict.unclear;
	}
}
