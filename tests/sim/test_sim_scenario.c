/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios: units, what is refused and how that is said, and the world that comes of one. */
#include "unit.h"

#include "costs.h"
#include "lib.h"
#include "run.h"
#include "value.h"

#include <errno.h>
#include <sys/stat.h>

/* ---- values ---- */

static int set(enum sim_load_unit unit, const char *name, const char *text, uint64_t *ret)
{
	const struct sim_load_param param = { name, "", unit, 0, 0, UINT64_MAX / 2, 0 };
	struct cl_error error = { 0 };
	int r = sim_value_set(&param, text, ret, &error);

	assert_true(r == 0 || (error.code == -r && strstr(error.text, name)));
	return r;
}

static void units(void **state)
{
	static const struct {
		enum sim_load_unit unit;
		const char *name, *text;
		uint64_t is;
	} right[] = {
		{ SIM_NS, "x", "0", 0 },
		{ SIM_NS, "x", "3", 3 * CL_NS_PER_S },
		{ SIM_NS, "irq_ns", "3", 3 },
		{ SIM_NS, "irq_ns", "3us", 3000 },
		{ SIM_NS, "x", "2.5ms", 2500000 },
		{ SIM_NS, "x", "0.001us", 1 },
		{ SIM_NS, "x", "90m", 5400 * CL_NS_PER_S },
		{ SIM_NS, "x", "1h", 3600 * CL_NS_PER_S },
		{ SIM_BYTES, "x", "4096", 4096 },
		{ SIM_BYTES, "x", "64K", 64000 },
		{ SIM_BYTES, "x", "1.5KiB", 1536 },
		{ SIM_BYTES, "x", "2GiB", UINT64_C(2) << 30 },
		{ SIM_PER_S, "x", "1Gbit/s", 125000000 },
		{ SIM_PER_S, "x", "1Gbit", 125000000 },
		{ SIM_PER_S, "x", "500/s", 500 },
		{ SIM_PER_S, "x", "100M/s", 100000000 },
		{ SIM_PPM, "x", "25%", 250000 },
		{ SIM_PPM, "x", "0.25", 250000 },
		{ SIM_PPM, "x", "7ppm", 7 },
		{ SIM_PPM, "x", "200%", 2000000 },
		{ SIM_COUNT, "x", "12", 12 },
		{ SIM_COUNT, "x", "2K", 2000 },
		{ SIM_BOOL, "x", "yes", 1 },
		{ SIM_BOOL, "x", "no", 0 },
	};
	static const struct {
		enum sim_load_unit unit;
		const char *text;
		int error;
	} wrong[] = {
		{ SIM_NS, "-3s", -EINVAL },
		{ SIM_NS, "3 s", -EINVAL },
		{ SIM_NS, "s", -EINVAL },
		{ SIM_NS, "", -EINVAL },
		{ SIM_NS, "0.1ns", -EINVAL },
		{ SIM_NS, "3sec", -EINVAL },
		{ SIM_NS, "9999999999999999999999s", -ERANGE },
		{ SIM_NS, "99999999999h", -ERANGE },
		{ SIM_BYTES, "1kib", -EINVAL },
		{ SIM_BYTES, "0x10", -EINVAL },
		{ SIM_COUNT, "1.5", -EINVAL },
		{ SIM_COUNT, "1e3", -EINVAL },
		{ SIM_BOOL, "maybe", -EINVAL },
		{ SIM_PPM, "0.0000001", -EINVAL },
		{ SIM_PPM, "1.", -EINVAL },
		{ SIM_BYTES, "5/s", -EINVAL },
	};

	for (size_t i = 0; i < CL_COUNT(right); i++) {
		uint64_t is = 77;

		assert_int_equal(set(right[i].unit, right[i].name, right[i].text, &is), 0);
		assert_int_equal(is, right[i].is);
	}
	for (size_t i = 0; i < CL_COUNT(wrong); i++) {
		uint64_t is = 77;

		assert_int_equal(set(wrong[i].unit, "x", wrong[i].text, &is), wrong[i].error);
		assert_int_equal(is, 77);
	}
}

/* What is printed of a key's range is what it takes. */
static void values_as_text(void **state)
{
	for (uint32_t kind = 0; kind < SIM_SECTION_KINDS; kind++) {
		for (const struct sim_load_param *key = sim_section_infos[kind].keys; key->name;
		     key++) {
			const uint64_t values[] = { key->def, key->least, key->most };
			struct sim_load_param at_start = *key;

			at_start.offset = 0;
			for (size_t i = 0; i < CL_COUNT(values) && key->unit != SIM_TEXT; i++) {
				uint64_t is = 0;
				char text[32];

				sim_value_text(key, values[i], text, sizeof(text));
				assert_int_equal(sim_value_set(&at_start, text, &is, NULL), 0);
				assert_int_equal(is, values[i]);
			}
			assert_true(key->def >= key->least && key->def <= key->most);
		}
	}
}

static void figures(void **state)
{
	double value;
	bool percent;

	assert_true(sim_figure_parse("8.5ms", &value, &percent) && !percent);
	assert_true(value > 8.49e6 && value < 8.51e6);
	assert_true(sim_figure_parse("521", &value, &percent) && !percent && value == 521);
	assert_true(sim_figure_parse("-36.5%", &value, &percent) && percent && value == -36.5);
	assert_false(sim_figure_parse("about 5", &value, &percent));
	assert_false(sim_figure_parse("", &value, &percent));
	assert_false(sim_figure_parse("5 %", &value, &percent));
}

/* ---- what is refused ---- */

static struct sim_scenario *parse(const char *text)
{
	struct sim_scenario *scenario = NULL;
	struct cl_error error = { 0 };

	if (sim_scenario_parse(text, strlen(text), NULL, 0, &scenario, &error) < 0)
		fail_msg("%s", error.text);
	return scenario;
}

/* Each behind the costs, whose last line is SIM_TEST_COSTS_LINES. */
static const struct {
	uint32_t line; /* behind the costs; 0: any */
	const char *text, *says;
} refusals[] = {
	{ 2, "[guest web]\ncout = 3\n", "there is no key 'cout', did you mean 'count'?" },
	{ 1, "[gest web]\n", "there is no section [gest web], did you mean 'guest'?" },
	{ 1, "[guest]\n", "needs a name" },
	{ 1, "[guest a/b]\n", "needs a name" },
	{ 1, "[machine big]\n", "takes no name" },
	{ 1, "[guest web\n", "ends with ]" },
	{ 2, "[guest web]\nthis is no key\n", "neither [section] nor key = value" },
	{ 3, "[guest web]\ncount = 1\n  count = 2\n", "count is there already, in line 50" },
	{ 3, "[guest web]\n\n[guest web]\n", "is there already, in line 49" },
	{ 2, "[scenario]\nduration = -5s\n", "cannot be negative" },
	{ 2, "[scenario]\nduration = 5 parsecs\n", "give a time such as" },
	{ 2, "[scenario]\nduration = 1us\n", "out of range: from 1ms" },
	{ 2, "[scenario]\nwarmup = 10s\n", "nothing would be counted" },
	{ 2, "[machine]\nnodes = 0\n", "out of range: from 1 to 64" },
	{ 3, "[machine]\nnodes = 16\ncores = 64\n", "1024 pCPUs" },
	{ 2, "[machine]\nthreads = 3\n", "out of range" },
	{ 2, "[guest web]\nnode = 1\n", "node '1' is not there: this machine has 0 to 0" },
	{ 2, "[guest web]\nnode = x\n", "is no list" },
	{ 2, "[guest web]\npcpus = 4\n", "this machine has 0 to 3" },
	{ 2, "[guest web]\nmemory = 64GiB\n", "has not that much memory" },
	{ 2, "[guest web]\ncount = 20\nnode = 0\n", "" },
	{ 2, "[guest web]\nvcpus = 0\n", "out of range" },
	{ 2, "[guest web]\npool = fast\n", "there is no [pool fast]" },
	{ 2, "[guest web]\nnic = eth0\n", "there is no [nic eth0]" },
	{ 2, "[guest web]\nbudget = 5ms\n", "a budget is at most its period" },
	{ 1, "[guest dom0]\n", "no name for a guest" },
	{ 4, "[guest web]\ncount = 2\n\n[guest web-1]\n", "a guest of that name" },
	{ 2, "[pool a]\nscheduler = credit2x\n", "did you mean 'credit2'?" },
	{ 4, "[pool a]\npcpus = 0-2\n[pool b]\npcpus = 2-3\n", "another pool's already" },
	{ 1, "[load l]\nguest = dom0\n", "type is missing" },
	{ 3, "[load l]\nguest = dom0\ntype = hg\n", "there is no load 'hg', did you mean" },
	{ 4, "[load l]\nguest = dom0\ntype = hog\ntask = 2\n", "did you mean 'tasks'?" },
	{ 2, "[load l]\nguest = wbe\ntype = hog\n[guest web]\n", "did you mean 'web'?" },
	{ 1, "[load l]\ntype = hog\n", "guest is missing" },
	{ 1, "[load host]\nguest = dom0\ntype = hog\n", "no names for a load" },
	{ 2, "[load l]\nstart = 10s\nguest = dom0\ntype = hog\n", "after the end" },
	{ 3, "[load l]\nstart = 2s\nstop = 1s\nguest = dom0\ntype = hog\n", "stop before" },
	{ 2, "[event e]\nwhat = creat\n", "did you mean 'create'?" },
	{ 2, "[event e]\nguest = web\nwhat = pause\n", "no guest is called 'web'" },
	{ 2, "[event e]\nat = 11s\nwhat = pause\nguest = dom0\n", "after the end of the run" },
	{ 2, "[event e]\nvalue = 3\nwhat = pause\nguest = dom0\n", "takes no value" },
	{ 2, "[event e]\nvalue = 0\nwhat = weight\nguest = dom0\n", "out of range" },
	{ 1, "[expect e]\nmetric = a\n", "metric and either source or goal must be given" },
	{ 1, "[expect e]\nmetric = a\nsource = b\ngoal = c\n", "metric and either source or goal" },
	{ 2, "[expect e]\nvalue = 5%\nmetric = a\nsource = b\n", "is no figure" },
	{ 2, "[expect e]\nvalue = 5\nagainst = native\nmetric = a\nsource = b\n", "is no figure" },
	{ 2, "[expect e]\ndirection = up\nmetric = a\nsource = b\n", "is no direction" },
	{ 1, "[expect e]\nmetric = a\nsource = b\n", "give a value, or a direction" },
	{ 2, "[closer]\nintervall = 2s\n", "did you mean 'interval'?" },
	{ 2, "[closer]\ninterval = 1ns\n", "out of its range" },
	{ 1, "[testbed]\n", "belongs into a testbed's file" },
};

static void refused(void **state)
{
	char text[8192], where[64];

	for (size_t i = 0; i < CL_COUNT(refusals); i++) {
		struct sim_scenario *scenario = NULL;
		struct cl_error error = { 0 };

		snprintf(text, sizeof(text), "%s%s", SIM_TEST_COSTS, refusals[i].text);
		int r = sim_scenario_parse(text, strlen(text), NULL, 0, &scenario, &error);

		if (!*refusals[i].says) { /* this one is fine: what is refused is refused for a
					     reason */
			assert_int_equal(r, 0);
			sim_scenario_free(scenario);
			continue;
		}
		assert_true(r < 0 && error.code == -r);
		assert_null(scenario);
		snprintf(where, sizeof(where),
			 "text.ini:%u: ", SIM_TEST_COSTS_LINES + refusals[i].line);
		if (!strstr(error.text, refusals[i].says) ||
		    strncmp(error.text, where, strlen(where)))
			fail_msg("%s: not '%s' at %s", error.text, refusals[i].says, where);
	}
}

static void refused_texts(void **state)
{
	static const char *const texts[] = { "count = 3\n", "[costs]\nswitch_ns = 1\n", "",
					     "[scenario]\ntitle = x\n" };
	static const char *const says[] = { "text.ini:1: 'count' is in no section",
					    "migrate_ns is missing", "switch_ns is missing",
					    "switch_ns is missing" };
	char long_line[512];
	struct cl_error error;
	struct sim_scenario *scenario = NULL;

	for (size_t i = 0; i < CL_COUNT(texts); i++) {
		assert_true(sim_scenario_parse(texts[i], strlen(texts[i]), NULL, 0, &scenario,
					       &error) < 0);
		assert_non_null(strstr(error.text, says[i]));
	}
	memset(long_line, 'x', sizeof(long_line));
	assert_true(sim_scenario_parse(long_line, sizeof(long_line), NULL, 0, &scenario, &error) <
		    0);
	assert_non_null(strstr(error.text, "longer than"));
	assert_true(sim_scenario_parse("[costs]\n\0x=1\n", 13, NULL, 0, &scenario, &error) < 0);
	assert_non_null(strstr(error.text, "text.ini:2: a line with a byte of zero"));
}

/* ---- files: testbed, --set ---- */

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The costs with a source each, as a testbed has them. */
static void put_testbed(const char *dir, const char *but)
{
	static const char costs[] = SIM_TEST_COSTS;
	char text[8192] = "", line[256];

	for (const char *at = costs; *at; at += strcspn(at, "\n") + 1) {
		size_t len = strcspn(at, "\n"), key = strcspn(at, "=\n");

		snprintf(line, sizeof(line), "%.*s\n", (int)len, at);
		strcat(text, line);
		snprintf(line, sizeof(line), "%.*s.source = a test\n", (int)key, at);
		if (*at != '[' && (strlen(but) != key || strncmp(at, but, key) != 0))
			strcat(text, line);
	}
	strcat(text, "[machine]\nnodes = 2\ncores = 2\n[testbed]\ntitle = T\n");
	put_file(dir, "tb.ini", text);
}

static int read_with(const char *dir, const char *const *sets, uint32_t n,
		     struct sim_scenario **ret, struct cl_error *error)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/s.ini", dir);
	return sim_scenario_read(path, sets, n, ret, error);
}

static void testbed_and_sets(void **state)
{
	static const char *const sets[] = { "guest.web.count=3", "scenario.duration=4s",
					    "guest web.vcpus=2", "costs.irq_ns=7",
					    "guest.extra.memory=64MiB" };
	char dir[] = "/tmp/test_sim_scenario.XXXXXX", path[64];
	struct sim_scenario *scenario = NULL;
	struct cl_error error;

	assert_non_null(mkdtemp(dir));
	put_testbed(dir, "");
	put_file(dir, "s.ini",
		 "[scenario]\ntestbed = tb\nduration = 9s\n[machine]\ncores = 3\n[guest web]\n");
	assert_int_equal(read_with(dir, NULL, 0, &scenario, &error), 0);
	assert_string_equal(sim_scenario_testbed(scenario), "T");
	assert_int_equal(sim_setup_pcpus(scenario), 6); /* nodes of the testbed, cores of its own */
	assert_int_equal(scenario->costs.irq_ns, 300);
	assert_int_equal(sim_scenario_duration_ns(scenario), 9 * CL_NS_PER_S);
	sim_scenario_free(scenario);
	assert_int_equal(read_with(dir, sets, CL_COUNT(sets), &scenario, &error), 0);
	assert_int_equal(sim_scenario_duration_ns(scenario), 4 * CL_NS_PER_S);
	assert_int_equal(scenario->costs.irq_ns, 7);
	assert_int_equal(scenario->domain_count, 4);
	sim_scenario_free(scenario);

	const char *const wrong[] = { "guest.web.cout=3", "duration=4s", "scenario.warmup=9s" };
	const char *const says[] = { "--set: [guest web] there is no key 'cout', did you mean",
				     "'duration' is not SECTION.KEY",
				     "--set: [scenario] the warm-up" };

	for (uint32_t i = 0; i < CL_COUNT(wrong); i++) {
		assert_true(read_with(dir, &wrong[i], 1, &scenario, &error) < 0);
		assert_non_null(strstr(error.text, says[i]));
	}
	put_testbed(dir, "wake_ns");
	assert_true(read_with(dir, NULL, 0, &scenario, &error) < 0);
	assert_non_null(strstr(error.text, "wake_ns has no source"));
	put_file(dir, "s.ini", "[scenario]\ntestbed = tc\n");
	assert_true(read_with(dir, NULL, 0, &scenario, &error) < 0);
	assert_non_null(strstr(error.text, "s.ini:2: [scenario] there is no testbed 'tc'"));
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, i ? "tb.ini" : "s.ini");
		unlink(path);
	}
	rmdir(dir);
}

static void variants(void **state)
{
	char dir[] = "/tmp/test_sim_scenario.XXXXXX", path[64];
	const char *const set = "guest.web.count=5";
	struct sim_scenario *scenario = NULL;
	struct cl_error error;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.ini", dir);
	put_file(dir, "s.ini",
		 SIM_TEST_COSTS "[guest web]\ncount = 2\n[variant n3]\nguest.web.count = 3\n"
				"[variant late]\nscenario.duration = 20s\nguest.web.vcpus = 2\n"
				"[load l]\nguest = web\ntype = hog\n[variant own]\n"
				"load.l.tasks = 4\nguest.more.memory = 64MiB\n");
	assert_int_equal(sim_scenario_read(path, NULL, 0, &scenario, &error), 0);
	assert_string_equal(sim_scenario_variant(scenario, 1), "late");
	assert_null(sim_scenario_variant(scenario, 3));
	assert_int_equal(scenario->domain_count, 2);
	sim_scenario_free(scenario);
	assert_int_equal(sim_scenario_read_as(path, "n3", NULL, 0, &scenario, &error), 0);
	assert_int_equal(scenario->domain_count, 3);
	sim_scenario_free(scenario);
	assert_int_equal(sim_scenario_read_as(path, "own", NULL, 0, &scenario, &error), 0);
	assert_int_equal(scenario->domain_count, 3);
	sim_scenario_free(scenario);
	/* what is set by hand counts more than what the variant sets */
	assert_int_equal(sim_scenario_read_as(path, "n3", &set, 1, &scenario, &error), 0);
	assert_int_equal(scenario->domain_count, 5);
	sim_scenario_free(scenario);
	scenario = NULL;
	assert_int_equal(sim_scenario_read_as(path, "n4", NULL, 0, &scenario, &error), -ENOENT);
	assert_non_null(strstr(error.text, "no variant 'n4', did you mean 'n3'?"));
	/* one that is not sound makes the scenario so, with the variant's line */
	put_file(dir, "s.ini", SIM_TEST_COSTS "[guest web]\n[variant n]\nguest.web.cout = 3\n");
	assert_int_equal(sim_scenario_read(path, NULL, 0, &scenario, &error), -ENOENT);
	assert_non_null(strstr(error.text, "s.ini:51: [guest web] there is no key 'cout'"));
	assert_null(scenario);
	put_file(dir, "s.ini",
		 SIM_TEST_COSTS "[variant n]\n[expect e]\nmetric=a\nvalue=1\nsource=s\n");
	assert_true(sim_scenario_read(path, NULL, 0, &scenario, &error) < 0);
	assert_non_null(strstr(error.text, "say which, as POLICY@VARIANT"));
	unlink(path);
	rmdir(dir);
}

/* ---- the world of it ---- */

static void builds(void **state)
{
	struct sim_scenario *scenario = parse(
		SIM_TEST_COSTS "[machine]\nnodes=2\ncores=4\nmemory=4GiB\n"
			       "[pool a]\npcpus=0-3\n[pool b]\nscheduler=credit\n[nic eth0]\n"
			       "[disk sda]\nnode=1\n[dom0]\nvcpus=2\npcpus=0-1\nmemory=1GiB\n"
			       "[driver net]\nmemory=64MiB\n"
			       "[guest web]\ncount=3\nvcpus=2\nmemory=256MiB\nnode=1\nqueues=2\n"
			       "weight=512\n[guest far]\npool=b\nmemory=1GiB\nnic=none\n"
			       "[guest later]\n[event e]\nat=1s\nwhat=create\nguest=later\n");
	struct sim_run *run = NULL;
	struct cl_error error;

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	struct sim_world *world = sim_run_world(run);

	assert_int_equal(world->pool_count, 2);
	assert_int_equal(cl_cpuset_count(&world->pools[1]->pcpus), 4);
	assert_int_equal(world->domain_count, 6); /* dom0, driver, 3 web, far */
	assert_int_equal(cl_cpuset_count(&world->domains[0]->vcpus[0].hard), 2);
	assert_int_equal(world->domains[0]->mem[0], UINT64_C(512) << 20);
	assert_int_equal(world->domains[0]->mem[1], UINT64_C(512) << 20);
	assert_int_equal(world->domains[1]->kind, SIM_DRIVER);
	const struct sim_domain *web = world->domains[3], *far = world->domains[5];

	assert_string_equal(web->name, "web-1");
	assert_int_equal(web->mem[1], UINT64_C(256) << 20);
	assert_int_equal(web->weight, 512);
	assert_int_equal(web->vifs->queue_count, 2);
	assert_non_null(web->vbds);
	assert_string_equal(far->name, "far");
	assert_null(far->vifs);
	assert_ptr_equal(far->pool, world->pools[1]);
	/* what is free is what nobody has */
	for (uint32_t node = 0; node < 2; node++) {
		uint64_t used = 0;

		for (uint32_t d = 0; d < world->domain_count; d++)
			used += world->domains[d]->mem[node];
		assert_int_equal(world->nodes[node].free_bytes + used, UINT64_C(4) << 30);
	}
	sim_run_free(run);
	sim_scenario_free(scenario);
}

static double metric(struct sim_run *run, const char *name)
{
	struct sim_report report;

	sim_run_report(run, &report);
	for (uint32_t i = 0; i < report.count; i++)
		if (strcmp(report.metrics[i].name, name) == 0)
			return report.metrics[i].value;
	return -1;
}

/* Loads in several guests are one figure; what begins and ends in between counts for its time. */
static void counts(void **state)
{
	struct sim_scenario *scenario =
		parse(SIM_TEST_COSTS "[scenario]\nduration=4s\nwarmup=1s\n[machine]\ncores=4\n"
				     "[dom0]\nvcpus=1\n[guest a]\ncount=2\n[guest b]\n"
				     "[load burn]\nguest=a-*\ntype=hog\n"
				     "[load late]\nguest=b\ntype=hog\nstart=2s\nstop=3s\n");
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };
	uint64_t at = 0;

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	while (sim_run_until(run, at += CL_NS_PER_S / 2, &error))
		;
	assert_int_equal(error.code, 0);
	assert_int_equal(sim_run_world(run)->queue.now_ns, 4 * CL_NS_PER_S);
	assert_true(metric(run, "burn.cpu") > 1.98 && metric(run, "burn.cpu") < 2.01);
	assert_true(metric(run, "late.cpu") > 0.98 && metric(run, "late.cpu") < 1.01);
	assert_true(metric(run, "guest.b.cpu") > 0.32 && metric(run, "guest.b.cpu") < 0.35);
	assert_true(metric(run, "host.dom0") >= 0 && metric(run, "host.dom0") < 0.01);
	sim_run_free(run);
	sim_scenario_free(scenario);
}

static void events_happen(void **state)
{
	struct sim_scenario *scenario =
		parse(SIM_TEST_COSTS
		      "[scenario]\nduration=6s\nwarmup=0\n[machine]\ncores=2\nmemory=2GiB\n"
		      "[dom0]\nvcpus=1\nmemory=512MiB\n[guest a]\n[guest b]\n[nic e]\n"
		      "[disk d]\n[load burn]\nguest=?\ntype=hog\n"
		      "[event come]\nat=1s\nwhat=create\nguest=b\n"
		      "[event hold]\nat=2s\nwhat=pause\nguest=b\n"
		      "[event on]\nat=3s\nwhat=unpause\nguest=b\n"
		      "[event heavy]\nat=3s\nwhat=weight\nguest=b\nvalue=1024\n"
		      "[event go]\nat=4s\nwhat=destroy\nguest=b\n");
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	struct sim_world *world = sim_run_world(run);
	uint64_t before = world->nodes[0].free_bytes;

	assert_int_equal(world->domain_count, 2);
	assert_true(sim_run_until(run, CL_NS_PER_S, &error));
	assert_int_equal(world->domain_count, 3);
	assert_true(world->nodes[0].free_bytes < before);
	assert_true(sim_run_until(run, 5 * CL_NS_PER_S / 2, &error));
	const struct sim_domain *b = world->domains[2];
	uint64_t held = sim_vcpu_cpu_ns(world, &b->vcpus[0]);

	assert_true(held > CL_NS_PER_S * 9 / 10);
	assert_true(sim_run_until(run, 3 * CL_NS_PER_S, &error));
	assert_int_equal(sim_vcpu_cpu_ns(world, &b->vcpus[0]), held);
	assert_true(sim_run_until(run, 41 * CL_NS_PER_S / 10, &error));
	assert_true(sim_vcpu_cpu_ns(world, &b->vcpus[0]) > held);
	assert_int_equal(b->weight, 1024);
	held = sim_vcpu_cpu_ns(world, &b->vcpus[0]);
	assert_int_equal(world->nodes[0].free_bytes, before);
	assert_null(b->vifs);
	for (uint32_t i = 0; i < world->domains[0]->task_count; i++)
		assert_int_not_equal(world->domains[0]->tasks[i]->guest, b->id);
	assert_false(sim_run_until(run, UINT64_MAX, &error));
	assert_int_equal(sim_vcpu_cpu_ns(world, &b->vcpus[0]), held);
	sim_run_free(run);
	sim_scenario_free(scenario);
}

static uint64_t digest_of(const struct sim_scenario *scenario, uint64_t step_ns)
{
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };
	uint64_t at = 0, digest;

	assert_int_equal(sim_run_new(scenario, 5, &run, &error), 0);
	while (sim_run_until(run, at += step_ns, &error))
		;
	digest = sim_run_world(run)->queue.digest;
	sim_run_free(run);
	return digest;
}

/* Looked at often or once: the same happens. */
static void same_however_stepped(void **state)
{
	struct sim_scenario *scenario =
		parse(SIM_TEST_COSTS "[scenario]\nduration=2s\nwarmup=1s\n[guest a]\ncount=5\n"
				     "[load burn]\nguest=a\ntype=hog\ntasks=2\n");
	uint64_t once = digest_of(scenario, UINT64_MAX / 2);

	assert_int_equal(digest_of(scenario, CL_NS_PER_S / 7), once);
	sim_scenario_free(scenario);
}

static void bounded(void **state)
{
	struct sim_scenario *scenario = parse(SIM_TEST_COSTS "[scenario]\nevents=500\n[guest a]\n"
							     "[load burn]\nguest=a\ntype=hog\n");
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	assert_false(sim_run_until(run, UINT64_MAX, &error));
	assert_int_equal(error.code, E2BIG);
	assert_non_null(strstr(error.text, "500 events"));
	assert_int_equal(sim_run_world(run)->queue.fired, 500);
	/* and says so again */
	error.code = 0;
	assert_false(sim_run_until(run, UINT64_MAX, &error));
	assert_int_equal(error.code, E2BIG);
	sim_run_free(run);
	sim_scenario_free(scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units),
		cmocka_unit_test(values_as_text),
		cmocka_unit_test(figures),
		cmocka_unit_test(refused),
		cmocka_unit_test(refused_texts),
		cmocka_unit_test(testbed_and_sets),
		cmocka_unit_test(variants),
		cmocka_unit_test(builds),
		cmocka_unit_test(counts),
		cmocka_unit_test(events_happen),
		cmocka_unit_test(same_however_stepped),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
