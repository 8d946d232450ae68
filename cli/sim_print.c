/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A trial as a table and as JSON: losses as open as gains. */
#include "sim.h"

#include <math.h>
#include <string.h>

#define CELLS_MAX (2u + 2u * SIM_POLICIES_MAX)
#define CELL_MAX  64u

struct sim_scale sim_scale_of(const char *unit, double value)
{
	static const struct {
		const char *of, *unit;
		double by;
	} scales[] = {
		{ "ns", "s", 1e9 },         { "ns", "ms", 1e6 },        { "ns", "us", 1e3 },
		{ "bytes/s", "GB/s", 1e9 }, { "bytes/s", "MB/s", 1e6 }, { "bytes/s", "kB/s", 1e3 },
		{ "bytes", "GB", 1e9 },     { "bytes", "MB", 1e6 },     { "bytes", "kB", 1e3 },
	};

	for (uint32_t i = 0; i < CL_COUNT(scales); i++)
		if (strcmp(scales[i].of, unit) == 0 && fabs(value) >= scales[i].by)
			return (struct sim_scale){ scales[i].by, scales[i].unit };
	if (strcmp(unit, "share") == 0)
		return (struct sim_scale){ 0.01, "%" };
	return (struct sim_scale){ 1, unit };
}

/* Four digits that count, and no powers of ten for what is of everyday size. */
char *sim_number(double value, char *buf, size_t size)
{
	double large = fabs(value);

	if (large >= 1000)
		snprintf(buf, size, "%.0f", value);
	else if (large >= 100)
		snprintf(buf, size, "%.1f", value);
	else if (large >= 10)
		snprintf(buf, size, "%.2f", value);
	else if (large >= 0.001)
		snprintf(buf, size, "%.3f", value);
	else
		snprintf(buf, size, "%.3g", value);
	return buf;
}

char *sim_figure_text(const struct sim_figure *figure, double by, char *buf, size_t size)
{
	char mean[32], half[32];

	if (figure->n == 0)
		snprintf(buf, size, "-");
	else if (figure->n == 1)
		snprintf(buf, size, "%s", sim_number(figure->mean / by, mean, sizeof(mean)));
	else
		snprintf(buf, size, "%s ±%s", sim_number(figure->mean / by, mean, sizeof(mean)),
			 sim_number(figure->half / by, half, sizeof(half)));
	return buf;
}

const char *sim_mark_name(enum sim_mark mark)
{
	switch (mark) {
	case SIM_BETTER:
		return "better";
	case SIM_WORSE:
		return "WORSE";
	case SIM_EQUAL:
		return "same";
	case SIM_OTHER:
		return "other";
	case SIM_UNSURE:
		break;
	}
	return "";
}

char *sim_difference_text(const struct sim_difference *difference, char *buf, size_t size)
{
	const struct sim_figure *percent = &difference->percent;
	char half[32] = "";

	if (percent->n == 0)
		snprintf(buf, size, "-");
	else if (percent->n == 1)
		snprintf(buf, size, "%+.1f %%", percent->mean);
	else
		snprintf(buf, size, "%+.1f ±%.1f %% %s%s", percent->mean, percent->half,
			 sim_mark_name(difference->mark), half);
	return buf;
}

/* ---- the table ---- */

struct grid {
	char (*cells)[CELLS_MAX][CELL_MAX];
	uint32_t rows, columns;
};

/* Columns that are seen: a byte that goes on a letter is none. */
static int seen(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void put_grid(const struct cli_call *call, const struct grid *grid)
{
	for (uint32_t r = 0; r < grid->rows; r++) {
		if (r == 0)
			fputs(cli_colour(call, "title"), stdout);
		for (uint32_t c = 0; c < grid->columns; c++) {
			const char *text = grid->cells[r][c];
			int width = 0;

			for (uint32_t k = 0; k < grid->rows; k++)
				width = seen(grid->cells[k][c]) > width ? seen(grid->cells[k][c])
									: width;
			if (c + 1 == grid->columns)
				width = 0;
			printf("%s%s%*s", c ? "  " : "", text,
			       width > seen(text) ? width - seen(text) : 0, "");
		}
		printf("%s\n", r == 0 ? cli_colour_off(call) : "");
	}
}

uint32_t sim_base_of(const struct sim_trial *trial, uint32_t arm)
{
	return arm - arm % trial->policy_count;
}

/* A metric in one variant, whose first arm is the base. */
static void fill_row(const struct sim_trial *trial, const struct sim_metric *metric, uint32_t base,
		     char cells[CELLS_MAX][CELL_MAX])
{
	struct sim_figure first = sim_trial_figure(trial, metric->name, base);
	struct sim_scale scale = sim_scale_of(metric->unit, first.n ? first.mean : metric->value);
	uint32_t c = 2;

	snprintf(cells[0], CELL_MAX, "%s", metric->name);
	snprintf(cells[1], CELL_MAX, "%s", scale.unit);
	for (uint32_t a = base; a < base + trial->policy_count; a++) {
		struct sim_figure figure = sim_trial_figure(trial, metric->name, a);

		sim_figure_text(&figure, scale.by, cells[c++], CELL_MAX);
		if (a == base)
			continue;
		struct sim_difference difference = sim_trial_difference(trial, metric, a, base);

		sim_difference_text(&difference, cells[c++], CELL_MAX);
	}
}

static void put_metrics(const struct cli_call *call, const struct sim_trial *trial, uint32_t base)
{
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX), c = 2;
	struct grid grid = { calloc(n + 1, sizeof(*grid.cells)), n + 1,
			     2 * trial->policy_count + 1 };

	if (!grid.cells)
		return;
	strcpy(grid.cells[0][0], "METRIC");
	strcpy(grid.cells[0][1], "UNIT");
	for (uint32_t p = 0; p < trial->policy_count; p++) {
		snprintf(grid.cells[0][c++], CELL_MAX, "%s", trial->policies[p]->name);
		if (p > 0)
			snprintf(grid.cells[0][c++], CELL_MAX, "to %s", trial->policies[0]->name);
	}
	for (uint32_t i = 0; i < n; i++)
		fill_row(trial, metrics[i], base, grid.cells[i + 1]);
	printf("\n");
	if (*trial->arms[base].variant)
		printf("%s:\n", trial->arms[base].variant);
	put_grid(call, &grid);
	free(grid.cells);
}

/* ---- against sources ---- */

char *sim_expected_text(const struct sim_expectation *expect, const struct sim_verdict *verdict,
			char *buf, size_t size)
{
	static const char *const turns[] = { "", "rises", "falls", "the same" };
	char number[32];

	if (!expect->has_figure) {
		snprintf(buf, size, "%s", turns[expect->direction]);
	} else if (expect->against[0]) {
		snprintf(buf, size, "%+.1f %%", expect->figure);
	} else {
		struct sim_scale scale =
			sim_scale_of(verdict->metric ? verdict->metric->unit : "", expect->figure);

		snprintf(buf, size, "%s %s",
			 sim_number(expect->figure / scale.by, number, sizeof(number)), scale.unit);
	}
	return buf;
}

char *sim_ours_text(const struct sim_expectation *expect, const struct sim_verdict *verdict,
		    char *buf, size_t size)
{
	char text[CELL_MAX];

	if (!verdict->ran) {
		snprintf(buf, size, "not run");
	} else if (expect->against[0]) {
		struct sim_difference difference = { verdict->ours, SIM_UNSURE };

		sim_difference_text(&difference, buf, size);
	} else {
		struct sim_scale scale =
			sim_scale_of(verdict->metric->unit,
				     expect->has_figure ? expect->figure : verdict->ours.mean);

		snprintf(buf, size, "%s %s",
			 sim_figure_text(&verdict->ours, scale.by, text, sizeof(text)), scale.unit);
	}
	return buf;
}

char *sim_verdict_text(const struct sim_verdict *verdict, char *buf, size_t size)
{
	const char *turn = verdict->right ? "right" : verdict->unclear ? "unclear" : "wrong";

	if (!verdict->ran)
		snprintf(buf, size, "-");
	else if (!verdict->figure)
		snprintf(buf, size, "%s", verdict->right || verdict->unclear ? turn : "MISSED");
	else if (verdict->met || !verdict->turn)
		snprintf(buf, size, "%+.0f %%: %s", verdict->off, verdict->met ? "met" : "MISSED");
	else
		snprintf(buf, size, "%+.0f %%: MISSED, %s direction", verdict->off, turn);
	return buf;
}

static void put_expectations(const struct cli_call *call, const struct sim_trial *trial)
{
	static const char *const titles[] = { "EXPECTED", "METRIC", "POLICY", "THEIRS",
					      "OURS",     "OFF BY", "WHERE" };
	struct sim_expectation expect;
	struct grid grid = { NULL, 1, CL_COUNT(titles) };

	while (sim_scenario_expects(trial->scenario, grid.rows - 1, &expect))
		grid.rows++;
	grid.cells = calloc(grid.rows, sizeof(*grid.cells));
	if (grid.rows == 1 || !grid.cells) {
		free(grid.cells);
		return;
	}
	for (uint32_t c = 0; c < grid.columns; c++)
		strcpy(grid.cells[0][c], titles[c]);
	for (uint32_t i = 0; sim_scenario_expects(trial->scenario, i, &expect); i++) {
		struct sim_verdict verdict = sim_judge(trial, &expect);
		char(*row)[CELL_MAX] = grid.cells[i + 1];

		snprintf(row[0], CELL_MAX, "%s", expect.name);
		cl_escape(expect.metric, row[1], CELL_MAX);
		snprintf(row[2], CELL_MAX, "%s%s%s", expect.policy, *expect.against ? " to " : "",
			 expect.against);
		sim_expected_text(&expect, &verdict, row[3], CELL_MAX);
		sim_ours_text(&expect, &verdict, row[4], CELL_MAX);
		sim_verdict_text(&verdict, row[5], CELL_MAX);
		strcpy(row[6], expect.goal ? "goal: " : "");
		cl_escape(expect.source, row[6] + strlen(row[6]), CELL_MAX - strlen(row[6]));
	}
	printf("\n");
	put_grid(call, &grid);
	free(grid.cells);
}

void sim_print(const struct cli_call *call, const struct sim_trial *trial)
{
	const char *paper = sim_scenario_paper(trial->scenario);
	char clean[4 * CL_PATH_MAX];
	uint64_t changes = 0, failed = 0;

	printf("%s%s%s: %s\n", cli_colour(call, "title"), sim_scenario_id(trial->scenario),
	       cli_colour_off(call),
	       cl_escape(sim_scenario_title(trial->scenario), clean, sizeof(clean)));
	if (*paper)
		printf("paper: %s\n", cl_escape(paper, clean, sizeof(clean)));
	if (*sim_scenario_native(trial->scenario))
		printf("native: %s\n",
		       cl_escape(sim_scenario_native(trial->scenario), clean, sizeof(clean)));
	for (uint32_t i = 0; i < trial->seed_count * trial->arm_count; i++) {
		changes += trial->outcomes[i].done;
		failed += trial->outcomes[i].failed;
	}
	printf("%u seed%s from %llu; simulated %.3g s each", trial->seed_count,
	       trial->seed_count == 1 ? "" : "s", (unsigned long long)trial->first_seed,
	       (double)sim_scenario_duration_ns(trial->scenario) / 1e9);
	if (changes + failed > 0)
		printf("; closer made %llu changes, %llu were refused", (unsigned long long)changes,
		       (unsigned long long)failed);
	printf("\n%s\n", trial->seed_count > 1
				 ? "means with their 95 % intervals; a difference is of the same "
				   "seeds"
				 : "one seed: no intervals, so no difference is shown to be one; "
				   "--seeds 1..10 has them");
	if (sim_trial_alike(trial))
		printf("nothing here depends on the seed: all runs are the same, and the intervals "
		       "say nothing\n");
	for (uint32_t a = 0; a < trial->arm_count; a += trial->policy_count)
		put_metrics(call, trial, a);
	put_expectations(call, trial);
}

char *sim_count_text(const struct sim_count *count, const char *what, char *buf, size_t size)
{
	buf[0] = '\0';
	if (count->expected > 0)
		snprintf(buf, size,
			 "of %u %s, %u were run: %u of %u figures met, %u of %u directions right, "
			 "%u unclear",
			 count->expected, what, count->ran, count->met, count->figures,
			 count->right, count->turns, count->unclear);
	return buf;
}

void sim_print_tally(const struct sim_tally *tally)
{
	char text[256];

	if (*sim_count_text(&tally->sources, SIM_OF_SOURCES, text, sizeof(text)))
		printf("\n%s\n", text);
	if (*sim_count_text(&tally->goals, SIM_OF_GOALS, text, sizeof(text)))
		printf("\n%s\n", text);
}

/* ---- JSON ---- */

static json_t *figure_json(const struct sim_figure *figure)
{
	json_t *json = json_pack("{s:i}", "n", (int)figure->n);

	if (figure->n > 0)
		json_object_set_new(json, "mean", json_real(figure->mean));
	if (figure->n > 1)
		json_object_set_new(json, "half", json_real(figure->half));
	return json;
}

static json_t *arm_json(const struct sim_trial *trial, const struct sim_metric *metric,
			uint32_t arm)
{
	struct sim_figure figure = sim_trial_figure(trial, metric->name, arm);
	uint32_t base = sim_base_of(trial, arm);
	json_t *json = figure_json(&figure), *values = json_array();

	for (uint32_t s = 0; s < trial->seed_count; s++) {
		double value;

		json_array_append_new(values, sim_trial_value(trial, metric->name, arm, s, &value)
						      ? json_real(value)
						      : json_null());
	}
	json_object_set_new(json, "policy", json_string(trial->arms[arm].policy->name));
	if (*trial->arms[arm].variant)
		json_object_set_new(json, "variant", json_string(trial->arms[arm].variant));
	json_object_set_new(json, "values", values);
	if (arm != base) {
		struct sim_difference difference = sim_trial_difference(trial, metric, arm, base);
		json_t *percent = figure_json(&difference.percent);

		json_object_set_new(percent, "mark", json_string(sim_mark_name(difference.mark)));
		json_object_set_new(json, "difference_percent", percent);
	}
	return json;
}

static json_t *metrics_json(const struct sim_trial *trial)
{
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	uint32_t n = sim_trial_metrics(trial, metrics, SIM_METRICS_MAX);
	static const char *const better[] = { "higher", "lower", "neither" };
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++) {
		json_t *policies = json_array();

		for (uint32_t a = 0; a < trial->arm_count; a++)
			json_array_append_new(policies, arm_json(trial, metrics[i], a));
		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:s,s:o}", "name", metrics[i]->name,
						"unit", metrics[i]->unit, "better",
						better[metrics[i]->better], "policies", policies));
	}
	return list;
}

static json_t *expectations_json(const struct sim_trial *trial)
{
	struct sim_expectation expect;
	json_t *list = json_array();

	for (uint32_t i = 0; sim_scenario_expects(trial->scenario, i, &expect); i++) {
		struct sim_verdict verdict = sim_judge(trial, &expect);
		char metric[2 * CL_PATH_MAX], source[2 * CL_PATH_MAX], policy[64], against[64];
		json_t *json = json_pack(
			"{s:s,s:s,s:s,s:s,s:s,s:b}", "name", expect.name, "metric",
			cl_escape(expect.metric, metric, sizeof(metric)), "policy",
			cl_escape(expect.policy, policy, sizeof(policy)), "against",
			cl_escape(expect.against, against, sizeof(against)), "source",
			cl_escape(expect.source, source, sizeof(source)), "ran", (int)verdict.ran);

		json_object_set_new(json, "goal", json_boolean(expect.goal));
		json_object_set_new(json, "ours", figure_json(&verdict.ours));
		if (verdict.figure) {
			json_object_set_new(json, "theirs", json_real(expect.figure));
			json_object_set_new(json, "met", json_boolean(verdict.met));
			json_object_set_new(json, "off_percent", json_real(verdict.off));
		}
		if (verdict.turn)
			json_object_set_new(json, "direction",
					    json_string(!verdict.ran      ? "not run"
							: verdict.right   ? "right"
							: verdict.unclear ? "unclear"
									  : "wrong"));
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *runs_json(const struct sim_trial *trial)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < trial->seed_count * trial->arm_count; i++) {
		const struct sim_arm *arm = &trial->arms[i % trial->arm_count];
		const struct cl_sim_outcome *outcome = &trial->outcomes[i];
		char digest[24];

		snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)outcome->digest);
		json_array_append_new(
			list, json_pack("{s:I,s:s,s:s,s:I,s:s,s:I,s:I}", "seed",
					(json_int_t)(trial->first_seed + i / trial->arm_count),
					"policy", arm->policy->name, "variant", arm->variant,
					"events", (json_int_t)outcome->events, "digest", digest,
					"done", (json_int_t)outcome->done, "failed",
					(json_int_t)outcome->failed));
	}
	return list;
}

json_t *sim_json(const struct sim_trial *trial)
{
	char title[4 * CL_PATH_MAX], paper[4 * CL_PATH_MAX];

	return json_pack(
		"{s:s,s:s,s:s,s:o,s:o,s:o}", "scenario", sim_scenario_id(trial->scenario), "title",
		cl_escape(sim_scenario_title(trial->scenario), title, sizeof(title)), "paper",
		cl_escape(sim_scenario_paper(trial->scenario), paper, sizeof(paper)), "metrics",
		metrics_json(trial), "expect", expectations_json(trial), "runs", runs_json(trial));
}
