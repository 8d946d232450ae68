/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Means, intervals, differences and verdicts, on numbers that can be worked out by hand. */
#include "unit.h"

#include "costs.h"
#include "setup.h"
#include "sim.h"

#include <math.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-3)

static void students(void **state)
{
	NEAR(sim_student(1), 12.706);
	NEAR(sim_student(9), 2.262);
	NEAR(sim_student(30), 2.042);
	NEAR(sim_student(39), 2.042); /* the greater of both rows */
	NEAR(sim_student(40), 2.021);
	NEAR(sim_student(100000), 1.980);
}

static void intervals(void **state)
{
	static const double values[] = { 1, 2, 3, 4, 5 }, equal[] = { 0.1, 0.1, 0.1 };
	struct sim_figure figure = sim_figure_of(values, 5);

	/* s^2 = 2.5, s / sqrt(5) = 0.7071, t(4) = 2.776 */
	NEAR(figure.mean, 3);
	NEAR(figure.half, 1.963);
	figure = sim_figure_of(equal, 3);
	assert_true(figure.mean == 0.1 && figure.half == 0);
	figure = sim_figure_of(values, 1);
	assert_true(figure.n == 1 && figure.mean == 1 && figure.half == 0);
	assert_int_equal(sim_figure_of(values, 0).n, 0);
}

/* Two policies, four seeds, made up. */
static struct cl_sim_outcome outcomes[8];
static struct sim_trial trial;

static void put(uint32_t seed, uint32_t policy, const char *name, const char *unit, double value,
		enum sim_better better)
{
	sim_report_add(&outcomes[seed * 2 + policy].report, "", name, unit, value, better);
}

static int setup(void **state)
{
	static const char text[] = SIM_TEST_COSTS
		"[expect hit]\nmetric=rate\nvalue=106\ntolerance=10%\nsource=s\n"
		"[expect miss]\nmetric=rate\npolicy=native\nvalue=200\ntolerance=10%\nsource=s\n"
		"[expect gain]\nmetric=rate\nagainst=native\nvalue=10%\ntolerance=50%\nsource=s\n"
		"[expect turn]\nmetric=rate\nagainst=native\ndirection=falls\nsource=s\n"
		"[expect same]\nmetric=even\nagainst=native\ndirection=same\ntolerance=1%\n"
		"source=s\n"
		"[expect none]\nmetric=nothing\nvalue=1\nsource=s\n"
		"[expect vague]\nmetric=even\nagainst=native\ndirection=rises\nsource=s\n"
		"[expect off]\nmetric=even\nagainst=native\nvalue=50%\nsource=s\n"
		"[expect slow]\nmetric=lag\nvalue=2ms\nsource=s\n"
		"[expect ours]\nmetric=rate\nvalue=50\ngoal=g\n"
		"[expect wish]\nmetric=rate\nagainst=native\ndirection=rises\ngoal=g\n";
	static const double noise[] = { -1, 0, 0, 1 };
	struct cl_error error;

	if (sim_scenario_parse(text, sizeof(text) - 1, NULL, 0, &trial.scenario, &error) < 0)
		fail_msg("%s", error.text);
	trial.policies[0] = cl_sim_policy_find("native");
	trial.policies[1] = cl_sim_policy_find("closer");
	trial.policy_count = trial.arm_count = 2;
	for (uint32_t a = 0; a < 2; a++) {
		trial.arms[a] = (struct sim_arm){ "", trial.policies[a], trial.scenario, "" };
		strcpy(trial.arms[a].name, trial.policies[a]->name);
	}
	trial.first_seed = 1;
	trial.seed_count = 4;
	trial.outcomes = outcomes;
	for (uint32_t s = 0; s < 4; s++) {
		put(s, 0, "rate", "1/s", 100, SIM_HIGHER);
		put(s, 1, "rate", "1/s", 106 + noise[s], SIM_HIGHER);
		put(s, 0, "lag", "ns", 1e6, SIM_LOWER);
		put(s, 1, "lag", "ns", 2e6 + noise[s], SIM_LOWER);
		put(s, 0, "even", "1/s", 50, SIM_HIGHER);
		put(s, 1, "even", "1/s", 50 + noise[s] / 10, SIM_HIGHER);
		put(s, 0, "moves", "1/s", 10, SIM_NEITHER);
		put(s, 1, "moves", "1/s", 20, SIM_NEITHER);
	}
	put(3, 1, "rare", "1/s", 3, SIM_HIGHER); /* only once */
	return 0;
}

static int teardown(void **state)
{
	sim_scenario_free(trial.scenario);
	return 0;
}

static void differences(void **state)
{
	static const struct {
		double mean;
		enum sim_mark mark;
	} wanted[] = {
		{ 6, SIM_BETTER }, { 100, SIM_WORSE }, { 0, SIM_EQUAL }, { 100, SIM_OTHER }
	};
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	char text[96];

	assert_int_equal(sim_trial_metrics(&trial, metrics, SIM_METRICS_MAX), 5);
	for (uint32_t i = 0; i < 4; i++) {
		struct sim_difference difference = sim_trial_difference(&trial, metrics[i], 1, 0);

		NEAR(difference.percent.mean, wanted[i].mean);
		assert_int_equal(difference.mark, wanted[i].mark);
	}
	struct sim_difference rare = sim_trial_difference(&trial, metrics[4], 1, 0);

	assert_int_equal(rare.percent.n, 0);
	assert_string_equal(sim_difference_text(&rare, text, sizeof(text)), "-");
	assert_int_equal(sim_trial_figure(&trial, "rare", 1).n, 1);
}

static void alike(void **state)
{
	assert_true(sim_trial_alike(&trial));
	outcomes[5].digest = 1;
	assert_false(sim_trial_alike(&trial));
	outcomes[5].digest = 0;
}

/* Without intervals nothing is called better or worse. */
static void one_seed(void **state)
{
	const struct sim_metric *metrics[SIM_METRICS_MAX];
	struct sim_trial one = trial;

	one.seed_count = 1;
	sim_trial_metrics(&one, metrics, SIM_METRICS_MAX);
	assert_int_equal(sim_trial_difference(&one, metrics[0], 1, 0).mark, SIM_UNSURE);
}

static void count_is(const struct sim_count *count, struct sim_count wanted)
{
	assert_memory_equal(count, &wanted, sizeof(wanted));
}

/* What sources say and goals of ours: counted apart. */
static void verdicts(void **state)
{
	static const struct {
		bool ran, figure, met, turn, right, unclear;
		const char *text;
	} wanted[] = {
		{ true, true, true, false, false, false, "+0 %: met" },      /* hit */
		{ true, true, false, false, false, false, "-50 %: MISSED" }, /* miss */
		/* gain: 6 % is within half of 10 % */
		{ true, true, true, true, true, false, "-40 %: met" },
		{ true, false, false, true, false, false, "MISSED" }, /* turn: it rises */
		{ true, false, false, true, true, false, "right" },   /* same */
		{ false, true, false, false, false, false, "-" },     /* none */
		/* vague, off: 0 is in the interval */
		{ true, false, false, true, false, true, "unclear" },
		{ true, true, false, true, false, true, "-100 %: MISSED, unclear direction" },
		{ true, true, true, false, false, false, "+0 %: met" }, /* slow: ms against ns */
		{ true, true, false, false, false, false, "+112 %: MISSED" }, /* ours */
		{ true, false, false, true, true, false, "right" },           /* wish */
	};
	struct sim_expectation expect;
	struct sim_tally tally = { 0 };
	char text[256];

	for (uint32_t i = 0; i < CL_COUNT(wanted); i++) {
		assert_true(sim_scenario_expects(trial.scenario, i, &expect));
		struct sim_verdict verdict = sim_judge(&trial, &expect);

		assert_int_equal(verdict.ran, wanted[i].ran);
		assert_int_equal(verdict.figure, wanted[i].figure);
		assert_int_equal(verdict.met, wanted[i].met);
		assert_int_equal(verdict.turn, wanted[i].turn);
		assert_int_equal(verdict.right, wanted[i].right);
		assert_int_equal(verdict.unclear, wanted[i].unclear);
		assert_string_equal(sim_verdict_text(&verdict, text, sizeof(text)), wanted[i].text);
	}
	assert_false(sim_scenario_expects(trial.scenario, CL_COUNT(wanted), &expect));
	sim_count_verdicts(&trial, &tally);
	count_is(&tally.sources, (struct sim_count){ 9, 8, 5, 3, 5, 2, 2 });
	count_is(&tally.goals, (struct sim_count){ 2, 2, 1, 0, 1, 1, 0 });
	assert_string_equal(sim_count_text(&tally.goals, SIM_OF_GOALS, text, sizeof(text)),
			    "of 2 goals of our own, 2 were run: 0 of 1 figures met, 1 of 1 "
			    "directions right, 0 unclear");
	assert_string_equal(sim_count_text(&(struct sim_count){ 0 }, "x", text, sizeof(text)), "");
}

static void as_text(void **state)
{
	char text[96];

	assert_string_equal(sim_number(12345.6, text, sizeof(text)), "12346");
	assert_string_equal(sim_number(-3.14159, text, sizeof(text)), "-3.142");
	assert_string_equal(sim_number(0, text, sizeof(text)), "0");
	assert_string_equal(sim_scale_of("ns", 2e6).unit, "ms");
	assert_string_equal(sim_scale_of("ns", 20).unit, "ns");
	assert_string_equal(sim_scale_of("share", 0.5).unit, "%");
	assert_string_equal(sim_scale_of("1/s", 5e9).unit, "1/s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(students),    cmocka_unit_test(intervals),
		cmocka_unit_test(differences), cmocka_unit_test(one_seed),
		cmocka_unit_test(verdicts),    cmocka_unit_test(alike),
		cmocka_unit_test(as_text),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
